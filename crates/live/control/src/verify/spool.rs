//! The spool against the store: how far each segment counts as read, whether what was read of it is there as it was written, and
//! whether what waits is whole.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use domain::{AttemptId, CallEnd, CallId, Entry, Intent, Record, UnixMs};
use ledger::segment::Decoder;
use store::{Books, SegmentState, Store, StoreError};

use super::{Findings, IN_FLIGHT_MS, Read};

/// Lines looked up at once.
const AT_ONCE: usize = 500;

/// What segments are compared with.
pub(crate) struct Spool<'a> {
    pub store: &'a Store,
    pub books: &'a Books,
    /// Attempts that the store knows to be under way.
    pub intents: &'a [Intent],
    pub now: UnixMs,
}

/// Lines that were taken over, on their way to be looked up.
#[derive(Default)]
struct Taken {
    intents: Vec<Intent>,
    records: Vec<Record>,
    ends: Vec<CallEnd>,
}

/// Lines that were not.
#[derive(Default)]
struct Waiting {
    intents: Vec<Intent>,
    records: HashSet<AttemptId>,
    /// How many attempts each call made, by what its end says.
    ends: Vec<(CallId, u16)>,
}

impl Spool<'_> {
    pub async fn compare(
        &self,
        spool: Option<&Path>,
        findings: &mut Findings,
        read: &mut Read,
    ) -> Result<(), StoreError> {
        let segments = self.store.segments().await?;
        let ends = ends(self.store).await?;
        for segment in &segments {
            self.mark(segment, ends.get(&self.store.name_in_books(&segment.name)).copied(), findings);
        }
        let Some(spool) = spool else { return Ok(()) };
        let known: HashMap<&str, &SegmentState> = segments.iter().map(|it| (it.name.as_str(), it)).collect();
        let (mut waiting, unread) = (Waiting::default(), SegmentState::default());
        let names = names(spool);
        for name in &names {
            let known = match known.get(name.as_str()) {
                Some(segment) => segment,
                None if ends.contains_key(&self.store.name_in_books(name)) => {
                    findings.add("segment_offset", format!("`{name}` was read, and counts as unread"));
                    continue;
                }
                None => &unread,
            };
            let is_newest = names.last() == Some(name);
            self.lines(&spool.join(name), (name, known, is_newest), &mut waiting, findings, read).await?;
        }
        for segment in segments.iter().filter(|segment| ends.contains_key(&self.store.name_in_books(&segment.name))) {
            let path = spool.join(&segment.name);
            // A server that runs beside this may just have deleted it, or another instance has it.
            if spool.is_dir() && !path.exists() && !path.with_extension("bad").exists() {
                findings.add("segment_gone", format!("`{}`, read up to {}", segment.name, segment.upto_offset));
            }
        }
        self.wait(&waiting, findings).await
    }

    fn mark(&self, segment: &SegmentState, end: Option<i64>, findings: &mut Findings) {
        if segment.corrupt_lines > 0 {
            let example = format!("{} lines of `{}`", segment.corrupt_lines, segment.name);
            findings.add("spool_unreadable", example);
        }
        let is_older = end.is_none() && (self.books.folded_seq > 0 || self.books.attempts_before > 0);
        if !is_older && end != i64::try_from(segment.upto_offset).ok() {
            let end = end.map_or("nowhere".to_owned(), |end| end.to_string());
            let example =
                format!("`{}` counts as read up to {}, its last batch ended {end}", segment.name, segment.upto_offset);
            findings.add("segment_offset", example);
        }
    }

    /// Reads a segment: what was taken over of it must be in the store. One that goes meanwhile was taken over whole.
    async fn lines(
        &self,
        path: &Path,
        (name, known, is_newest): (&str, &SegmentState, bool),
        waiting: &mut Waiting,
        findings: &mut Findings,
        read: &mut Read,
    ) -> Result<(), StoreError> {
        let (upto, known_corrupt) = (known.upto_offset, known.corrupt_lines);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                findings.add("spool_unreadable", format!("`{name}`: {error}"));
                return Ok(());
            }
        };
        let length = file.metadata().map_or(0, |file| file.len());
        if length < upto {
            findings.add("spool_cut", format!("`{name}` has {length} bytes, {upto} were read of it"));
        }
        let (mut reader, mut line, mut offset) = (BufReader::new(file), Vec::new(), 0u64);
        let (mut taken, mut corrupt) = (Taken::default(), 0);
        loop {
            line.clear();
            let bytes = match reader.read_until(b'\n', &mut line) {
                Ok(bytes) => bytes as u64,
                Err(error) => {
                    findings.add("spool_unreadable", format!("`{name}` at byte {offset}: {error}"));
                    0
                }
            };
            let (from, is_taken) = (offset, offset + bytes <= upto);
            offset += bytes;
            if bytes == 0 {
                if corrupt > known_corrupt {
                    let more = corrupt - known_corrupt;
                    findings.add("spool_unreadable", format!("{more} lines of `{name}` are not what was written"));
                }
                return self.look_up(&mut taken, name, findings).await;
            }
            if !is_taken && from < upto {
                findings
                    .add("segment_offset", format!("`{name}` counts as read up to {upto}, in the middle of a line"));
            }
            read.spool_lines += u64::from(is_taken);
            match Decoder::new(&line).next() {
                Some(Ok((_, Entry::Intent(intent)))) if is_taken => taken.intents.push(intent),
                Some(Ok((_, Entry::Record(record)))) if is_taken => taken.records.push(*record),
                Some(Ok((_, Entry::Call(end)))) if is_taken => taken.ends.push(*end),
                Some(Ok((_, Entry::Intent(intent)))) => waiting.intents.push(intent),
                Some(Ok((_, Entry::Record(record)))) => drop(waiting.records.insert(record.intent.attempt)),
                Some(Ok((_, Entry::Call(end)))) => waiting.ends.push((end.call, end.attempts)),
                // Lines that could not be taken over were counted with their segment; others were damaged since.
                Some(Err(_)) if is_taken => corrupt += 1,
                Some(Err(corrupt)) => {
                    findings.add("spool_unreadable", format!("`{name}` at byte {from}: {}", corrupt.reason))
                }
                // The end of a segment that may be written to just now.
                None if is_newest => {}
                None => findings.add("spool_torn", format!("`{name}` at byte {from}")),
            }
            if taken.intents.len() + taken.records.len() + taken.ends.len() >= AT_ONCE {
                self.look_up(&mut taken, name, findings).await?;
            }
        }
    }

    /// Whether the store has these as they were written. What retention has erased since is not there, and rightly so.
    async fn look_up(&self, taken: &mut Taken, name: &str, findings: &mut Findings) -> Result<(), StoreError> {
        let Taken { intents, records, ends } = std::mem::take(taken);
        let attempts = intents.iter().map(|intent| intent.attempt).chain(records.iter().map(|it| it.intent.attempt));
        let attempts: Vec<String> = attempts.map(|attempt| attempt.to_string()).collect();
        let there = self.store.records_of(&attempts).await?;
        let is_open = |attempt: AttemptId| self.intents.iter().any(|intent| intent.attempt == attempt);
        for intent in intents.iter().filter(|intent| intent.at >= self.books.pruned_before) {
            if !there.contains_key(&intent.attempt.to_string()) && !is_open(intent.attempt) {
                findings.add("intent_lost", format!("{} in `{name}`", intent.attempt));
            }
        }
        for record in records.iter().filter(|record| record.intent.at >= self.books.pruned_before) {
            let attempt = record.intent.attempt;
            match there.get(&attempt.to_string()).map(|held| serde_json::from_str::<Record>(held)) {
                None => findings.add("spool_line_lost", format!("{attempt} in `{name}`")),
                Some(Ok(held)) if held != *record => {
                    findings.add("spool_unlike_store", format!("{attempt} in `{name}`"))
                }
                // What does not read back is said elsewhere.
                Some(_) => {}
            }
        }
        let calls: Vec<String> = ends.iter().map(|end| end.call.to_string()).collect();
        let there = self.store.ends_of(&calls).await?;
        for end in ends.into_iter().filter(|end| end.ended_at >= self.books.pruned_before) {
            let call = end.call;
            match there.get(&call.to_string()).map(|held| serde_json::from_str::<CallEnd>(held)) {
                None => findings.add("spool_line_lost", format!("{call} in `{name}`")),
                // Bodies lie apart from their call.
                Some(Ok(held)) if held != (CallEnd { capture: None, ..end }) => {
                    findings.add("spool_unlike_store", format!("{call} in `{name}`"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether lines that wait speak of records that are nowhere.
    async fn wait(&self, waiting: &Waiting, findings: &mut Findings) -> Result<(), StoreError> {
        let mut of_call: HashMap<CallId, i64> = HashMap::new();
        for attempt in waiting.records.iter().filter(|attempt| attempt.ordinal < FIRST_LATER_WORD) {
            *of_call.entry(attempt.call).or_default() += 1;
        }
        for (call, attempts) in &waiting.ends {
            let (mut there, said) = (of_call.get(call).copied().unwrap_or_default(), i64::from(*attempts));
            if there < said {
                there += self.store.attempts_of(&call.to_string()).await?;
            }
            if there < said {
                findings.add("spool_incomplete", format!("{call} made {said} attempts, {there} records are there"));
            }
        }
        let old = waiting.intents.iter().filter(|intent| intent.at < self.now - IN_FLIGHT_MS);
        let old: Vec<String> =
            old.filter(|it| !waiting.records.contains(&it.attempt)).map(|it| it.attempt.to_string()).collect();
        let there = self.store.records_of(&old).await?;
        for attempt in old.iter().filter(|attempt| !there.contains_key(*attempt)) {
            findings.add("spool_incomplete", format!("{attempt} was sent over an hour ago and has no record"));
        }
        Ok(())
    }
}

/// From this ordinal on a record is no attempt: it settles or corrects one.
const FIRST_LATER_WORD: u16 = 0x4000;

/// Where the last batch of each segment ended.
async fn ends(store: &Store) -> Result<HashMap<String, i64>, StoreError> {
    let (mut ends, mut cursor) = (HashMap::new(), i64::MIN);
    loop {
        let page = store.batches_after(cursor, 1_000).await?;
        let Some(last) = page.last() else { return Ok(ends) };
        cursor = last.seq;
        ends.extend(page.into_iter().map(|batch| (batch.segment, batch.upto_offset)));
    }
}

fn names(spool: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "seg")).collect()
}
