//! Are the books right? Everything kept is read again and compared: each record with itself, its columns and its journal lines,
//! each call with its attempts, every sum with what it sums, each batch with what it wrote, the spool with the store.
//!
//! What is found is a kind of [`kinds::KINDS`] with a count and a few examples. Nothing is changed.

pub mod anchor;
mod archive;
pub mod kinds;
mod record;
mod spool;
mod sums;
mod walk;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use domain::UnixMs;
use serde::Serialize;
use store::{Store, StoreError};

use anchor::{Anchor, Stand};
use kinds::{KINDS, Kind, Weight};

/// Examples kept of one kind.
const EXAMPLES: usize = 10;
/// How long an attempt may be under way before its intent is asked after, milliseconds.
const IN_FLIGHT_MS: u64 = 3_600_000;

/// What was compared, and what did not agree.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// Whether the books are balanced and complete.
    pub proven: bool,
    /// Records and rows that were read.
    pub read: Read,
    /// From when on records are there to be compared; what is older is compared by its sums alone.
    #[serde(rename = "records_from")]
    pub from: String,
    /// Where the books stand. Kept elsewhere, it shows later that the past was not written anew and nothing was cut off; empty where
    /// the sums could not be read.
    pub anchor: String,
    /// Whether they were compared with an earlier anchor.
    pub anchored: bool,
    /// What did not agree, the gravest first.
    pub findings: Vec<Finding>,
}

/// What the books are compared with.
#[derive(Clone, Copy, Default, Debug)]
pub struct Against<'a> {
    /// The folder of segments.
    pub spool: Option<&'a Path>,
    /// What an earlier report ended with.
    pub anchor: Option<&'a Anchor>,
    /// The folder into which retention puts what it erases.
    pub archive: Option<&'a Path>,
}

/// How much was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Read {
    /// Records.
    pub attempts: u64,
    /// Ends of calls.
    pub calls: u64,
    /// Lines of the journal.
    pub journal_lines: u64,
    /// Sums by minute, hour and day.
    pub sums: u64,
    /// Batches of the chain.
    pub batches: u64,
    /// Lines of the spool that the store says it has.
    pub spool_lines: u64,
    /// Rows of the archive.
    pub archived: u64,
    /// Whether something was erased and its archive was not compared.
    pub archive_left_out: bool,
    /// Attempts under way, whose records are still to come.
    pub in_flight: u64,
    /// Nano-dollars booked by the records.
    #[serde(rename = "booked_nano_usd")]
    pub booked: i128,
}

/// Something that did not agree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Its kind.
    pub code: &'static str,
    /// `damage` and `gap` leave the books unproven; `note` does not.
    pub weight: &'static str,
    /// How often.
    pub count: u64,
    /// What that means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Where, a few of them.
    pub examples: Vec<String>,
}

/// Collects what does not agree.
#[derive(Default)]
pub(crate) struct Findings(BTreeMap<&'static str, (u64, Vec<String>)>);

impl Findings {
    /// One more of a kind.
    pub fn add(&mut self, code: &'static str, example: impl Into<String>) {
        let (count, examples) = self.0.entry(code).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example.into());
        }
    }

    /// What was read; a failure to read is one more finding.
    fn or_unreadable<T>(&mut self, what: &str, read: Result<T, StoreError>) -> Option<T> {
        read.inspect_err(|error| self.add("unreadable", format!("{what}: {error}"))).ok()
    }

    fn into_list(self) -> Vec<Finding> {
        let mut found: Vec<(&Kind, u64, Vec<String>)> = self
            .0
            .into_iter()
            .map(|(code, (count, examples))| {
                let kind = KINDS.iter().find(|kind| kind.code == code).expect("every kind has its row");
                (kind, count, examples)
            })
            .collect();
        found.sort_by_key(|(kind, _, _)| kind.weight);
        let list = found.into_iter().map(|(kind, count, examples)| Finding {
            code: kind.code,
            weight: kind.weight.as_str(),
            count,
            meaning: kind.meaning,
            remedy: kind.remedy,
            examples,
        });
        list.collect()
    }
}

/// Compares everything.
pub async fn verify(store: &Store, against: Against<'_>, now: UnixMs) -> Result<Report, StoreError> {
    // One moment of the database, however much is written meanwhile.
    let frozen = store.frozen().await?;
    let done = compare(&frozen, against, now).await;
    frozen.let_go().await;
    done
}

async fn compare(store: &Store, against: Against<'_>, now: UnixMs) -> Result<Report, StoreError> {
    let Against { spool, anchor, archive } = against;
    let (mut findings, mut read) = (Findings::default(), Read::default());
    // What cannot be read is said, and the rest is compared all the same.
    let integrity = store.integrity().await;
    for trouble in findings.or_unreadable("the file's integrity", integrity).unwrap_or_default() {
        findings.add("file_damaged", trouble);
    }
    let differences = store.schema_differences().await;
    for difference in findings.or_unreadable("the schema", differences).unwrap_or_default() {
        findings.add("schema", difference);
    }
    let books = store.books().await?;
    if books.pruned_before > now || books.minutes_before > now {
        findings.add("books_row", format!("records are said to be erased up to {}", books.pruned_before));
    }
    let facts = walk::facts(store, &books, anchor, &mut findings, &mut read).await;
    let mut sums = None;
    if let Some(facts) = findings.or_unreadable("records, calls and batches", facts) {
        let compared = sums::compare(store, &books, &facts, anchor, &mut findings, &mut read).await;
        sums = findings.or_unreadable("sums", compared);
    }
    let orphans = store.orphans(100).await;
    for (code, name) in findings.or_unreadable("what belongs together", orphans).unwrap_or_default() {
        findings.add(code, name);
    }
    let changed = store.leases_changed(100).await;
    for name in findings.or_unreadable("parts in budgets", changed).unwrap_or_default() {
        findings.add("lease_changed", name);
    }
    let endless = store.attempts_without_call(now - IN_FLIGHT_MS, 100).await;
    for name in findings.or_unreadable("attempts without a call", endless).unwrap_or_default() {
        findings.add("call_without_end", name);
    }
    let intents = store.open_intents().await;
    let intents = findings.or_unreadable("intents", intents).unwrap_or_default();
    for intent in &intents {
        match intent.at < now - IN_FLIGHT_MS {
            true => findings.add("intent_open", format!("{} of {}", intent.attempt, intent.at)),
            false => read.in_flight += 1,
        }
    }
    let spool =
        spool::Spool { store, books: &books, intents: &intents, now }.compare(spool, &mut findings, &mut read).await;
    findings.or_unreadable("the spool", spool);
    match archive {
        Some(folder) => {
            let archive = archive::compare(store, folder, &mut findings, &mut read).await;
            findings.or_unreadable("the archive", archive);
        }
        None if books.pruned_before.0 > 0 => read.archive_left_out = true,
        None => {}
    }
    if books.attempts_before > 0 || books.calls_before > 0 {
        let example = format!("up to row {} of `attempts`, {} of `calls`", books.attempts_before, books.calls_before);
        findings.add("before_chain", example);
    }
    let findings = findings.into_list();
    let from = if books.pruned_before.0 == 0 { "the beginning".into() } else { books.pruned_before.to_string() };
    let proven = findings.iter().all(|finding| finding.weight == Weight::Note.as_str());
    let stand = sums.map(|sums| {
        let stand = Stand { batch: books.seq, attempts: books.attempts_upto, calls: books.calls_upto, sums };
        Anchor { head: hex(&books.chain), stand: Some(stand) }.to_string()
    });
    Ok(Report { proven, read, from, anchor: stand.unwrap_or_default(), anchored: anchor.is_some(), findings })
}

impl Report {
    /// The report for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let read = &self.read;
        let _ = writeln!(
            out,
            "Read {} records with {} journal lines, {} calls, {} sums, {} batches, {} spool lines; records from {}.",
            read.attempts, read.journal_lines, read.calls, read.sums, read.batches, read.spool_lines, self.from
        );
        let booked = i64::try_from(read.booked).map(|nano| domain::NanoUsd(nano).to_string());
        let _ = writeln!(out, "Booked: {} USD. In flight: {}.", booked.unwrap_or_default(), read.in_flight);
        if read.archive_left_out {
            let _ = writeln!(
                out,
                "What retention has erased was not looked for in an archive: give its folder as --archive."
            );
        }
        for finding in &self.findings {
            let _ = writeln!(out, "\n{} {} ({}): {}", finding.weight, finding.code, finding.count, finding.meaning);
            for example in &finding.examples {
                let _ = writeln!(out, "    {example}");
            }
            if finding.count > finding.examples.len() as u64 {
                let _ = writeln!(out, "    and {} more", finding.count - finding.examples.len() as u64);
            }
            let _ = writeln!(out, "    What to do: {}", finding.remedy);
        }
        let verdict = match (self.proven, self.anchored) {
            (false, _) => "The books are NOT proven: see above.",
            (true, true) => "The books are balanced and complete, and go on from the anchor.",
            (true, false) => {
                "The books are balanced and complete in themselves. No anchor was given: that the newest facts were cut off, or the \
                 whole past was written anew, cannot be excluded."
            }
        };
        let _ = writeln!(out, "\n{verdict}");
        if self.proven {
            let _ = writeln!(out, "Keep this elsewhere, and give it to a later run as --anchor:\n{}", self.anchor);
        }
        out
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
