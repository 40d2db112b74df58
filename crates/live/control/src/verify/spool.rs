//! The spool against the store: how far each segment counts as read, and whether what was read of it is there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use domain::Entry;
use ledger::segment::Decoder;
use store::{Books, SegmentState, Store, StoreError};

use super::{Findings, Read};

/// Lines looked up at once.
const AT_ONCE: usize = 500;

pub(crate) async fn compare(
    store: &Store,
    spool: Option<&Path>,
    books: &Books,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<(), StoreError> {
    let segments = store.segments().await?;
    let ends = ends(store).await?;
    for segment in &segments {
        if segment.corrupt_lines > 0 {
            let example = format!("{} lines of `{}`", segment.corrupt_lines, segment.name);
            findings.add("spool_unreadable", example);
        }
        let end = ends.get(&store.name_in_books(&segment.name)).copied();
        let is_older = end.is_none() && (books.folded_seq > 0 || books.attempts_before > 0);
        if !is_older && end != i64::try_from(segment.upto_offset).ok() {
            let end = end.map_or("nowhere".to_owned(), |end| end.to_string());
            let example =
                format!("`{}` counts as read up to {}, its last batch ended {end}", segment.name, segment.upto_offset);
            findings.add("segment_offset", example);
        }
    }
    let Some(spool) = spool else { return Ok(()) };
    let known: HashMap<&str, &SegmentState> = segments.iter().map(|it| (it.name.as_str(), it)).collect();
    for name in names(spool) {
        let upto = match known.get(name.as_str()) {
            Some(segment) => segment.upto_offset,
            None if ends.contains_key(&store.name_in_books(&name)) => {
                findings.add("segment_offset", format!("`{name}` was read, and counts as unread"));
                continue;
            }
            None => continue,
        };
        let known_corrupt = known.get(name.as_str()).map_or(0, |segment| segment.corrupt_lines);
        let file = Segment { name: &name, path: spool.join(&name), upto, known_corrupt };
        lines(store, &file, findings, read).await?;
    }
    for segment in segments.iter().filter(|segment| ends.contains_key(&store.name_in_books(&segment.name))) {
        let path = spool.join(&segment.name);
        // A server that runs beside this may just have deleted it, or another instance has it.
        if spool.is_dir() && !path.exists() && !path.with_extension("bad").exists() {
            findings.add("segment_gone", format!("`{}`, read up to {}", segment.name, segment.upto_offset));
        }
    }
    Ok(())
}

/// A segment, as far as the store says it was read.
struct Segment<'a> {
    name: &'a str,
    path: PathBuf,
    upto: u64,
    known_corrupt: u64,
}

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

/// Whether the facts of what counts as read are all there, and whether every line still says what was written. A segment that
/// goes meanwhile was taken over whole.
async fn lines(
    store: &Store,
    segment: &Segment<'_>,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<(), StoreError> {
    let Segment { name, path, upto, known_corrupt } = segment;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            findings.add("spool_unreadable", format!("`{name}`: {error}"));
            return Ok(());
        }
    };
    let length = file.metadata().map_or(0, |file| file.len());
    if length < *upto {
        findings.add("spool_cut", format!("`{name}` has {length} bytes, {upto} were read of it"));
    }
    let mut reader = BufReader::new(file);
    let (mut facts, mut line, mut offset, mut corrupt) = (Facts::default(), Vec::new(), 0u64, 0u64);
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).unwrap_or(0) as u64;
        let (counts_as_read, whole) = (offset < *upto, line.last() == Some(&b'\n'));
        offset += length;
        if counts_as_read && offset > *upto {
            findings.add("segment_offset", format!("`{name}` counts as read up to {upto}, in the middle of a line"));
        }
        match Decoder::new(&line).next() {
            Some(Err(_)) => corrupt += 1,
            Some(Ok((_, entry))) if counts_as_read => facts.add(&entry),
            Some(Ok(_)) | None => {}
        }
        read.spool_lines += u64::from(counts_as_read && whole);
        if length == 0 || facts.count() >= AT_ONCE {
            for lost in std::mem::take(&mut facts).missing(store).await? {
                findings.add("spool_line_lost", format!("{lost} in `{name}`"));
            }
        }
        if length == 0 {
            break;
        }
    }
    if corrupt > *known_corrupt {
        let more = corrupt - known_corrupt;
        findings.add("spool_unreadable", format!("{more} lines of `{name}` are not what was written"));
    }
    Ok(())
}

/// Names of facts that lines say were taken over.
#[derive(Default)]
struct Facts {
    attempts: Vec<String>,
    calls: Vec<String>,
    intents: Vec<String>,
}

impl Facts {
    fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(intent) => self.intents.push(intent.attempt.to_string()),
            Entry::Record(record) => self.attempts.push(record.intent.attempt.to_string()),
            Entry::Call(call) => self.calls.push(call.call.to_string()),
        }
    }

    fn count(&self) -> usize {
        self.attempts.len() + self.calls.len() + self.intents.len()
    }

    /// Those the store has not. An intent is there while it is open, and as the record of its attempt then.
    async fn missing(self, store: &Store) -> Result<Vec<String>, StoreError> {
        let attempts: Vec<String> = self.attempts.iter().chain(&self.intents).cloned().collect();
        let mut there: HashSet<String> = store.attempts_there(&attempts).await?.into_iter().collect();
        there.extend(store.calls_there(&self.calls).await?);
        let open: HashSet<String> = store.intents_there(&self.intents).await?.into_iter().collect();
        let facts = self.attempts.into_iter().chain(self.calls).filter(|fact| !there.contains(fact));
        let mut missing: Vec<String> = facts.collect();
        let intents = self.intents.into_iter().filter(|intent| !there.contains(intent) && !open.contains(intent));
        missing.extend(intents.map(|intent| format!("the intent of {intent}")));
        Ok(missing)
    }
}
