//! What a call leaves on its way: a sentence per stage, what its attempts cost, and fingerprints of what went through.
//! It ends as a [`CallEnd`].

use std::time::Duration;

use bytes::Bytes;
use config::CaptureRule;
use domain::record::{BodyPrint, CallFailure, Capture, StageNote};
use domain::{CacheUse, CallEnd, CallId, Class, KeyId, LaneName, Loss, ModelName, NanoUsd, UnixMs, WorkflowName};
use ledger::budget::Spend;
use routing::LaneIndex;
use tokio::time::Instant;

use crate::budgets::Budgets;
use crate::cache::keeping::Keeping;
use crate::fingerprint::{Fingerprint, PrintKeys};
use crate::open::Open;
use crate::quote::without_quotation;
use crate::reply::LastWord;

/// Grows while the call passes its stages.
pub struct Trail {
    call: CallId,
    at: UnixMs,
    arrived: Instant,
    endpoint: &'static str,
    revision: String,
    prints: PrintKeys,
    /// Whose key, once known.
    pub key: Option<KeyId>,
    /// What `model` said.
    pub asked: String,
    /// Which workflow that meant.
    pub workflow: Option<WorkflowName>,
    /// Where it was answered.
    pub lane: Option<(LaneName, Class)>,
    /// By what.
    pub model: Option<ModelName>,
    /// Whether it is streamed.
    pub stream: bool,
    /// Attempts made so far.
    pub attempts: u16,
    /// What they booked.
    pub cost: NanoUsd,
    /// Tokens they used.
    pub tokens_used: u64,
    /// Milliseconds to the first content.
    pub first_token_ms: Option<u64>,
    /// What translations gave up, of the attempt that answered.
    pub losses: Vec<Loss>,
    /// The attempt under way, until its record is written down.
    pub open: Option<Open>,
    /// A second attempt under way beside it. Apart, since few calls have one.
    pub beside: Option<Box<Open>>,
    /// How long the client kept us from reading an answer.
    pub held_up: Duration,
    /// The lane that was entered last, and when.
    entered: Option<(LaneIndex, Instant)>,
    /// The answer, written down for calls like this one.
    pub keeping: Option<Box<Keeping>>,
    /// What its client is told of the cache; absent where the cache is not for it.
    pub cache_told: Option<&'static str>,
    /// What the cache had for it.
    pub cache: Option<Box<CacheUse>>,
    /// Where a stream goes whose head was sent, for a last word.
    pub stream_out: Option<LastWord>,
    written: bool,
    stages: Vec<StageNote>,
    request: BodyPrint,
    /// What the client sent, to know its words in what a provider says of it.
    body: Bytes,
    answer: Fingerprint,
    capture: Option<Capturing>,
}

/// What a provider of a test answers to have the call's task panic.
#[cfg(test)]
pub const TRAP: &[u8] = b"fall into this trap";

struct Capturing {
    rule: CaptureRule,
    request: Bytes,
    answer: Vec<u8>,
}

impl Trail {
    /// Starts with nothing but where and when.
    pub fn new(
        call: CallId,
        at: UnixMs,
        arrived: Instant,
        endpoint: &'static str,
        revision: &str,
        prints: PrintKeys,
    ) -> Trail {
        Trail {
            call,
            at,
            arrived,
            endpoint,
            revision: revision.to_owned(),
            prints,
            key: None,
            asked: String::new(),
            workflow: None,
            lane: None,
            model: None,
            stream: false,
            attempts: 0,
            cost: NanoUsd::ZERO,
            tokens_used: 0,
            first_token_ms: None,
            losses: Vec::new(),
            open: None,
            beside: None,
            held_up: Duration::ZERO,
            entered: None,
            keeping: None,
            cache_told: None,
            cache: None,
            stream_out: None,
            written: false,
            stages: Vec::new(),
            request: BodyPrint::default(),
            body: Bytes::new(),
            answer: Fingerprint::Nothing,
            capture: None,
        }
    }

    /// Where the call came in.
    pub fn endpoint(&self) -> &'static str {
        self.endpoint
    }

    /// One sentence about a stage.
    pub fn note(&mut self, stage: &'static str, note: impl Into<String>) {
        self.stages.push(StageNote { stage: stage.into(), note: note.into() });
    }

    /// The request body, fingerprinted; kept where the workflow says so.
    pub fn request(&mut self, body: &Bytes, capture: Option<&CaptureRule>) {
        self.request = self.prints.print(body);
        self.body = body.clone();
        self.capture = capture.map(|rule| Capturing { rule: rule.clone(), request: body.clone(), answer: Vec::new() });
    }

    /// All that the client gets, at once.
    pub fn whole_answer(&mut self, body: &Bytes) {
        match self.answer {
            Fingerprint::Nothing => self.answer = Fingerprint::Whole(body.clone()),
            _ => self.answer.take(body, &self.prints),
        }
        self.answered(body);
    }

    /// Bytes on their way to the client.
    pub fn answer(&mut self, bytes: &[u8]) {
        self.answer.take(bytes, &self.prints);
        self.answered(bytes);
    }

    fn answered(&mut self, bytes: &[u8]) {
        #[cfg(test)]
        assert!(!bytes.windows(TRAP.len()).any(|window| window == TRAP), "this panic was planted by a test");
        if let Some(capture) = &mut self.capture {
            let room = capture.rule.max_bytes.saturating_sub(capture.answer.len());
            capture.answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.take(bytes, self.stream);
        }
    }

    /// What may be kept of a message about this call.
    pub fn kept_words(&self, message: &str) -> String {
        without_quotation(message, &self.body)
    }

    /// Whether its answer is asked for only to be compared with one that the cache had.
    pub fn compares(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| keeping.comparing.is_some())
    }

    /// Milliseconds since the call came in.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.arrived.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since the call came in, for the histograms.
    pub fn elapsed_seconds(&self) -> f64 {
        self.arrived.elapsed().as_secs_f64()
    }

    /// When this lane was entered: now, unless the attempt before was made there too.
    pub fn entered(&mut self, lane: LaneIndex) -> Instant {
        match self.entered {
            Some((known, at)) if known == lane => at,
            _ => self.entered.insert((lane, Instant::now())).1,
        }
    }

    /// Books what the attempt under way cost. Returns what was billed beyond its hold.
    pub fn settle(&mut self, budgets: &Budgets, actual: Spend) -> NanoUsd {
        self.cost += actual.usd;
        self.open.as_mut().map_or(NanoUsd::ZERO, |open| open.settle(budgets, actual))
    }

    /// Takes the second attempt for the first, and the other way round: what is settled is the first.
    pub fn turn(&mut self) {
        if let (Some(open), Some(beside)) = (&mut self.open, &mut self.beside) {
            std::mem::swap(open, beside);
        }
    }

    /// Says that the record of the attempt under way is written down. One that was under way beside it is now the one.
    pub fn closed(&mut self) {
        self.open = self.beside.take().map(|beside| *beside);
    }

    /// Says that the spool has the call's end, and with it the record of the attempt that was under way.
    pub fn written(&mut self) {
        self.open = None;
        self.written = true;
    }

    /// Whether the spool has the call's end.
    pub fn is_written(&self) -> bool {
        self.written
    }

    /// The end of the call; what was gathered for it goes into it.
    pub fn end(&mut self, status: u16, failure: Option<CallFailure>, now: UnixMs) -> CallEnd {
        let answer = self.answer.print(&self.prints);
        let capture = self.capture.take().map(|kept| Capture {
            request: text(&kept.request[..kept.request.len().min(kept.rule.max_bytes)]),
            answer: text(&kept.answer),
            until: now + u64::from(kept.rule.retention_days) * 86_400_000,
        });
        CallEnd {
            call: self.call,
            at: self.at,
            ended_at: now,
            key: self.key.take(),
            asked: cut(&self.asked, 200),
            workflow: self.workflow.take(),
            lane: self.lane.as_ref().map(|(name, _)| name.clone()),
            class: self.lane.take().map(|(_, class)| class),
            model: self.model.take(),
            endpoint: self.endpoint.to_owned(),
            stream: self.stream,
            status,
            failure: failure.map(|failure| {
                let message = cut(&without_quotation(&failure.message, &self.body), 2_000);
                CallFailure { message, ..failure }
            }),
            attempts: self.attempts,
            first_token_ms: self.first_token_ms,
            cost: self.cost,
            cache: self.cache.take(),
            stages: std::mem::take(&mut self.stages),
            request: std::mem::take(&mut self.request),
            answer,
            capture,
            revision: std::mem::take(&mut self.revision),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first characters of a text that strangers may have made long.
fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}
