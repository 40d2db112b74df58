//! An answer written down on its way to the client, and whether it may be kept once it is complete.

use config::CacheRule;
use domain::{AttemptEnd, CallId, Class, LaneName, Record, UnixMs, WorkflowName};
use http::HeaderMap;
use tokio::time::Instant;
use wire::Seen;

use super::name::Name;
use super::near::{Comparing, Words};
use super::shelf::{Kept, PieceEnd};

/// Longest answer that is kept, bytes.
const LONGEST_ANSWER_BYTES: usize = 4 << 20;

/// The providers' words for an answer that came to its own end. Of any other (cut at a cap, filtered, calling tools, paused) only
/// its own call should hear, and so of any word that we do not know.
const ENDED: [&str; 7] = ["stop", "end_turn", "stop_sequence", "STOP", "COMPLETE", "STOP_SEQUENCE", "completed"];

/// How a model says no, in the dialects that say it in the answer and not in its end. Within a text its quotes would be escaped.
const DECLINED: [&[u8]; 3] = [br#""refusal":""#, br#""type":"refusal""#, br#""refusal": ""#];

/// An answer on its way.
pub struct Keeping {
    name: Name,
    workflow: WorkflowName,
    ttl_ms: u64,
    /// Its headers.
    pub head: HeaderMap,
    body: Vec<u8>,
    pieces: Vec<PieceEnd>,
    first: Option<Instant>,
    too_long: bool,
    /// The words by which it may be found by requests that are near.
    pub words: Option<Words>,
    /// The answer it is to be compared with.
    pub comparing: Option<Comparing>,
}

impl Keeping {
    /// Nothing of it yet.
    pub fn new(name: Name, workflow: WorkflowName, rule: &CacheRule) -> Keeping {
        Keeping {
            name,
            workflow,
            ttl_ms: rule.ttl_ms,
            head: HeaderMap::new(),
            body: Vec::new(),
            pieces: Vec::new(),
            first: None,
            too_long: false,
            words: None,
            comparing: None,
        }
    }

    /// Bytes on their way to the client.
    pub fn take(&mut self, bytes: &[u8], stream: bool) {
        self.take_at(bytes, stream, Instant::now());
    }

    /// The same, at this time.
    pub fn take_at(&mut self, bytes: &[u8], stream: bool, now: Instant) {
        if self.too_long || self.body.len() + bytes.len() > LONGEST_ANSWER_BYTES {
            (self.too_long, self.body) = (true, Vec::new());
            return;
        }
        self.body.extend_from_slice(bytes);
        if !stream || bytes.is_empty() {
            return;
        }
        let after = now - *self.first.get_or_insert(now);
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let end = u32::try_from(self.body.len()).expect("an answer that is kept is shorter than 4 MiB");
        match self.pieces.last_mut().filter(|last| last.after_ms == after_ms) {
            Some(last) => last.end = end,
            None => self.pieces.push(PieceEnd { end, after_ms }),
        }
    }

    /// The answer with its name, if it may be given again.
    pub fn into_kept(
        self,
        record: &Record,
        seen: &Seen,
        of: CallId,
        lane: Option<(LaneName, Class)>,
        now: UnixMs,
    ) -> Option<(Name, Kept)> {
        let served = matches!(record.end, AttemptEnd::Served { .. }) && seen.ended && !seen.deferred;
        // What was made by other models, or looked up, within the answer was so at that time.
        if !served || !ended(seen) || self.too_long || !seen.beside.is_empty() || declined(&self.body) {
            return None;
        }
        let kept = Kept {
            of,
            key: record.intent.key.clone(),
            workflow: self.workflow,
            lane,
            model: record.intent.model.clone(),
            at: now,
            until: now + self.ttl_ms,
            head: self.head,
            body: self.body.into(),
            text: if self.words.is_some() { seen.kept.text().to_owned() } else { String::new() },
            pieces: self.pieces,
            usage: record.usage,
            tier: record.served.tier.clone(),
            region: record.served.region.clone(),
        };
        Some((self.name, kept))
    }
}

/// Whether an answer came to its own end.
pub fn ended(seen: &Seen) -> bool {
    seen.finish.as_deref().is_none_or(|word| ENDED.contains(&word))
}

fn declined(body: &[u8]) -> bool {
    DECLINED.iter().any(|words| body.windows(words.len()).any(|window| window == *words))
}
