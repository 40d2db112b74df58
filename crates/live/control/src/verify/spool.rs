//! The spool against the store: how far each segment counts as read, and whether what was read of it is there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

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
        let end = ends.get(&segment.name).copied();
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
            None if ends.contains_key(&name) => {
                findings.add("segment_offset", format!("`{name}` was read, and counts as unread"));
                continue;
            }
            None => continue,
        };
        lines(store, &spool.join(&name), &name, upto, findings, read).await?;
    }
    Ok(())
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

/// Whether the facts of a segment's first bytes are all there. A segment that goes meanwhile was taken over whole.
async fn lines(
    store: &Store,
    path: &Path,
    name: &str,
    upto: u64,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<(), StoreError> {
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
    let mut reader = BufReader::new(file.take(upto));
    let (mut attempts, mut calls, mut line) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        line.clear();
        let more = reader.read_until(b'\n', &mut line).unwrap_or(0) > 0;
        match Decoder::new(&line).next() {
            Some(Ok((_, Entry::Record(record)))) => attempts.push(record.intent.attempt.to_string()),
            Some(Ok((_, Entry::Call(call)))) => calls.push(call.call.to_string()),
            Some(Ok((_, Entry::Intent(_)))) | Some(Err(_)) | None => {}
        }
        if more && line.last() != Some(&b'\n') {
            findings.add("segment_offset", format!("`{name}` counts as read up to {upto}, in the middle of a line"));
        }
        read.spool_lines += u64::from(more);
        if !more || attempts.len() + calls.len() >= AT_ONCE {
            let mut there: HashSet<String> = store.attempts_there(&attempts).await?.into_iter().collect();
            there.extend(store.calls_there(&calls).await?);
            for lost in attempts.drain(..).chain(calls.drain(..)).filter(|fact| !there.contains(fact)) {
                findings.add("spool_line_lost", format!("{lost} in `{name}`"));
            }
        }
        if !more {
            return Ok(());
        }
    }
}
