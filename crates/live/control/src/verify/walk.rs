//! Every record and every call, read once in the order they were taken over: each compared with itself, added to the sums there
//! should be, and to the digest of its batch.

use std::collections::HashMap;

use domain::{AttemptId, CallEnd, Cost, Intent, NanoUsd, Record, UnixMs};
use store::erased::{RETENTION, digest_of};
use store::{BatchRow, Books, Digest, ErasedDay, Expected, RawAttempt, RawCall, Store, StoreError};

use super::anchor::Anchor;
use super::record::{self, Prices};
use super::{EXAMPLES, Findings, Read, hex};

/// Rows read at once.
const PAGE: u32 = 500;
/// A call is named when it comes in: at most so long may lie between, milliseconds.
const MINTED_WITHIN_MS: u64 = 60_000;

/// What the facts add up to.
pub(crate) struct Facts {
    /// All that are left.
    pub expected: Expected,
    /// Those taken over since the anchor.
    pub since_anchor: Expected,
    /// Whether none of these is erased.
    pub since_is_whole: bool,
    /// The numbers of the highest rows when it was taken.
    anchored: (i64, i64),
}

/// Compares record by record and batch by batch; returns what the sums should be.
pub(crate) async fn facts(
    store: &Store,
    books: &Books,
    anchor: Option<&Anchor>,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<Facts, StoreError> {
    let mut chain = Chain::read(store, books, findings).await?;
    let mut facts = Facts {
        expected: Expected::default(),
        since_anchor: Expected::default(),
        since_is_whole: anchor.is_some_and(|anchor| chain.goes_through(anchor, books, findings)),
        anchored: (i64::MAX, i64::MAX),
    };
    if let Some(stand) = anchor.and_then(|anchor| anchor.stand.as_ref()) {
        facts.anchored = (stand.attempts, stand.calls);
    }
    let settled = attempts(store, books, &mut chain, &mut facts, findings, read).await?;
    calls(store, books, &settled, &mut chain, &mut facts, findings, read).await?;
    read.batches = chain.batches.len() as u64;
    chain.compare(findings);
    chain.compare_erased(books, &store.erased_days().await?, findings);
    let nothing_erased = books.folded_seq == 0 && chain.batches.iter().all(|batch| batch.pruned == 0);
    if nothing_erased && chain.oldest < books.pruned_before.0 && !chain.batches.is_empty() {
        findings.add("books_row", format!("records are said to be erased up to {}, and none is", books.pruned_before));
    }
    Ok(facts)
}

/// What was settled: when, and what that changed.
type SettledAt = Vec<(UnixMs, i64)>;

async fn attempts(
    store: &Store,
    books: &Books,
    chain: &mut Chain,
    facts: &mut Facts,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<SettledAt, StoreError> {
    let (mut cursor, mut prices, mut settled) = (0, Prices::new(), SettledAt::new());
    loop {
        let rows = store.raw_attempts_after(cursor, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(settled) };
        cursor = last.seq;
        let names: Vec<&str> = rows.iter().map(|row| row.attempt.as_str()).collect();
        let journal = store.journal_of(&names).await?;
        for row in &rows {
            let lines = journal.get(&row.attempt).map_or(&[][..], Vec::as_slice);
            read.attempts += 1;
            read.journal_lines += lines.len() as u64;
            chain.attempt(row, findings);
            if let Some(record) = record::of_row(row, lines, &mut prices, findings) {
                read.booked += i128::from(record.cost.booked().0);
                settlement(store, books, &record, findings).await?;
                if record.intent.attempt == record.intent.attempt.settlement() {
                    settled.push((record.ended_at, record.cost.booked().0));
                }
                facts.expected.add_record(&record);
                if row.seq > facts.anchored.0 {
                    facts.since_anchor.add_record(&record);
                }
            }
        }
    }
}

/// A settlement takes back the bound its attempt was booked with, and nothing else.
async fn settlement(store: &Store, books: &Books, record: &Record, findings: &mut Findings) -> Result<(), StoreError> {
    let name = record.intent.attempt;
    let lines = match &record.cost {
        Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. } => &lines[..],
        Cost::AtMost(_) => &[],
    };
    let back = lines.iter().filter(|line| line.price_row.starts_with("upper bound of "));
    let back: NanoUsd = back.map(|line| line.amount).sum();
    if name != name.settlement() {
        if back != NanoUsd::ZERO {
            findings.add("settlement_wrong", format!("{name} takes back {back} and is no settlement"));
        }
        return Ok(());
    }
    let settled = AttemptId { ordinal: name.ordinal & 0x7fff, ..name };
    let held = store.records_of(&[settled.to_string()]).await?.remove(&settled.to_string());
    match held.map(|held| serde_json::from_str::<Record>(&held)) {
        Some(Ok(of)) => {
            let booked = of.cost.booked();
            if booked != -back {
                findings
                    .add("settlement_wrong", format!("{name} takes back {back}, {settled} was booked with {booked}"));
            }
            let is_same = |record: &Record| {
                let Intent { at, key, workflow, provider, .. } = &record.intent;
                (*at, key.clone(), workflow.clone(), provider.clone())
            };
            if is_same(&of) != is_same(record) {
                let example =
                    format!("{name} was sent at another time, by another key or workflow or elsewhere than {settled}");
                findings.add("settlement_wrong", example);
            }
        }
        // It is said elsewhere that it does not read back.
        Some(Err(_)) => {}
        // Its attempt is one of those that retention has erased.
        None if record.intent.at < books.pruned_before => {}
        None => findings.add("settlement_wrong", format!("{name} settles {settled}, which is not there")),
    }
    Ok(())
}

async fn calls(
    store: &Store,
    books: &Books,
    settled: &SettledAt,
    chain: &mut Chain,
    facts: &mut Facts,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<(), StoreError> {
    let mut cursor = 0;
    loop {
        let rows = store.raw_calls_after(cursor, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        cursor = last.seq;
        for row in &rows {
            read.calls += 1;
            chain.call(row, findings);
            let end: CallEnd = match serde_json::from_str(&row.call_end) {
                Ok(end) => end,
                Err(error) => {
                    findings.add("call_unreadable", format!("{}: {error}", row.call));
                    continue;
                }
            };
            call(row, &end, books, settled, findings);
            facts.expected.add_call(&end);
            if row.seq > facts.anchored.1 {
                facts.since_anchor.add_call(&end);
            }
        }
    }
}

fn call(row: &RawCall, end: &CallEnd, books: &Books, settled: &SettledAt, findings: &mut Findings) {
    let name = |name: Option<&dyn std::fmt::Display>| name.map(ToString::to_string).unwrap_or_default();
    let words = [
        name(end.workflow.as_ref().map(|name| name as _)),
        name(end.lane.as_ref().map(|name| name as _)),
        name(end.model.as_ref().map(|name| name as _)),
        name(end.key.as_ref().map(|name| name as _)),
    ];
    let mut compared: Vec<(&str, String, String)> = RawCall::WORDS
        .into_iter()
        .zip(row.words.iter().cloned().zip(words))
        .map(|(column, (held, said))| (column, held, said))
        .collect();
    compared.push(("call", row.call.clone(), end.call.to_string()));
    compared.push(("ended_at", row.ended_at.to_string(), end.ended_at.0.to_string()));
    compared.push(("failed", row.failed.to_string(), i64::from(end.failure.is_some()).to_string()));
    compared.push(("cost_nano", row.cost_nano.to_string(), end.cost.0.to_string()));
    for (column, held, said) in compared.into_iter().filter(|(_, held, said)| held != said) {
        let example = format!("{}: `{column}` is `{held}`, the end says `{said}`", row.call);
        findings.add("call_unlike_columns", example);
    }
    let minted = end.call.minted_at();
    if end.at.0.abs_diff(minted.0) > MINTED_WITHIN_MS || end.ended_at < end.at {
        let example = format!("{}: named at {minted}, came in {}, ended {}", row.call, end.at, end.ended_at);
        findings.add("call_times", example);
    }
    // Attempts from before what retention erased are gone, though the call ended after it.
    if end.at < books.pruned_before {
        return;
    }
    // A call that fetched the answer of an earlier one cost what that settled.
    let fetched = || {
        let then = settled.iter().filter(|(at, _)| (end.at..=end.ended_at).contains(at));
        let then = then.map(|(_, change)| i128::from(*change));
        let more = i128::from(end.cost.0) - row.attempts_nano;
        then.clone().sum::<i128>() == more || then.clone().any(|change| change == more)
    };
    if row.attempts_nano != i128::from(end.cost.0) && !fetched() {
        let example = format!("{}: cost {} nano-dollars, attempts {}", row.call, end.cost.0, row.attempts_nano);
        findings.add("call_cost", example);
    }
    let said = i64::from(end.attempts);
    if row.attempts != said || row.last_ordinal != said {
        let example = format!(
            "{}: made {said} attempts, {} records are there, the last is number {}",
            row.call, row.attempts, row.last_ordinal
        );
        findings.add("call_attempts", example);
    }
}

/// The batches, and what is left of each.
struct Chain {
    batches: Vec<BatchRow>,
    /// By place in `batches`: attempts, calls, and what they digest to.
    found: Vec<(i64, i64, Digest)>,
    attempts_before: i64,
    calls_before: i64,
    /// When the oldest attempt of a batch was sent.
    oldest: i64,
}

impl Chain {
    async fn read(store: &Store, books: &Books, findings: &mut Findings) -> Result<Chain, StoreError> {
        let mut batches: Vec<BatchRow> = Vec::new();
        let (mut seq, mut before) = (books.folded_seq, books.folded_chain.clone());
        let mut ends: HashMap<String, i64> = HashMap::new();
        loop {
            let page = store.batches_after(batches.last().map_or(i64::MIN, |last| last.seq), PAGE).await?;
            if page.is_empty() {
                break;
            }
            for batch in page {
                if batch.seq != seq + 1 {
                    findings.add("batch_missing", format!("between batch {seq} and batch {}", batch.seq));
                }
                if batch.chain != batch.hash(&before) {
                    findings.add("chain_broken", format!("batch {} of segment `{}`", batch.seq, batch.segment));
                }
                if let Some(end) = ends.get(&batch.segment)
                    && !batch.segment.is_empty()
                    && *end != batch.from_offset
                {
                    let (from, segment) = (batch.from_offset, &batch.segment);
                    let example =
                        format!("batch {}: segment `{segment}` was read up to {end}, then from {from}", batch.seq);
                    findings.add("segment_offset", example);
                }
                ends.insert(batch.segment.clone(), batch.upto_offset);
                (seq, before) = (batch.seq, batch.chain.clone());
                batches.push(batch);
            }
        }
        if (seq, &before) != (books.seq, &books.chain) {
            findings.add("chain_head", format!("the newest batch is {seq}, the chain ended with {}", books.seq));
        }
        let upto = batches.last().map(|last| (last.attempts_upto, last.calls_upto));
        if upto.is_some_and(|upto| upto != (books.attempts_upto, books.calls_upto)) {
            findings.add("chain_head", "the numbers of the highest rows differ");
        }
        let found = vec![(0, 0, Digest::default()); batches.len()];
        let (attempts_before, calls_before) = (books.attempts_before, books.calls_before);
        Ok(Chain { batches, found, attempts_before, calls_before, oldest: i64::MAX })
    }

    /// Whether the chain goes through an anchor, and every fact since is still there.
    fn goes_through(&self, anchor: &Anchor, books: &Books, findings: &mut Findings) -> bool {
        let is_it = |seq: i64, chain: &[u8]| {
            hex(chain) == anchor.head && anchor.stand.as_ref().is_none_or(|stand| stand.batch == seq)
        };
        if anchor.stand.as_ref().is_some_and(|stand| stand.batch < books.folded_seq) {
            findings.add("anchor_too_old", anchor.to_string());
            return false;
        }
        let place = self.batches.iter().position(|batch| is_it(batch.seq, &batch.chain));
        if place.is_none() && !(books.folded_seq > 0 && is_it(books.folded_seq, &books.folded_chain)) {
            let stands = format!("the books stand at batch {}; {anchor}", books.seq);
            findings.add("head_not_found", stands);
            return false;
        }
        let since = self.batches.iter().skip(place.map_or(0, |place| place + 1));
        let is_whole = since.map(|batch| batch.pruned).sum::<i64>() == 0;
        if !is_whole {
            findings.add("anchor_part", anchor.to_string());
        }
        is_whole
    }

    /// What retention has noted against what it took out of the batches, and against the chain.
    fn compare_erased(&self, books: &Books, days: &[ErasedDay], findings: &mut Findings) {
        let chained = self.batches.iter().rev().find(|batch| batch.segment == RETENTION).map(|batch| batch.digest);
        // Days from before there were seals wait for the first turn of retention without a link in the chain.
        let is_noted = days.iter().any(|day| day.attempts + day.calls > 0 || day.sums.is_some());
        if chained.map_or(is_noted, |chained| chained != digest_of(days)) {
            let said = if chained.is_some() { "another" } else { "no" };
            findings.add("erased_seal", format!("the chain holds {said} digest of the {} days erased", days.len()));
        }
        let Some(mut pruned) = books.folded_digest else { return };
        self.batches.iter().for_each(|batch| pruned.join(batch.pruned_digest));
        let mut noted = Digest::default();
        days.iter().for_each(|day| noted.join(day.digest));
        if pruned != noted {
            let of: Vec<String> = self
                .batches
                .iter()
                .filter(|batch| batch.pruned > 0)
                .map(|batch| batch.seq.to_string())
                .take(EXAMPLES)
                .collect();
            findings.add("erased_unlike_batches", format!("among the batches {}, or those before", of.join(", ")));
        }
    }

    fn attempt(&mut self, row: &RawAttempt, findings: &mut Findings) {
        let place = self.batches.partition_point(|batch| batch.attempts_upto < row.seq);
        match self.batches.get(place).filter(|batch| batch.attempts_after < row.seq) {
            Some(_) => {
                let (attempts, _, digest) = &mut self.found[place];
                *attempts += 1;
                digest.add_attempt(&row.record);
                self.oldest = self.oldest.min(row.at);
            }
            None if row.seq <= self.attempts_before => {}
            None => findings.add("row_outside_batches", format!("row {} of `attempts`: {}", row.seq, row.attempt)),
        }
    }

    fn call(&mut self, row: &RawCall, findings: &mut Findings) {
        let place = self.batches.partition_point(|batch| batch.calls_upto < row.seq);
        match self.batches.get(place).filter(|batch| batch.calls_after < row.seq) {
            Some(_) => {
                let (_, calls, digest) = &mut self.found[place];
                *calls += 1;
                digest.add_call(&row.call_end);
            }
            None if row.seq <= self.calls_before => {}
            None => findings.add("row_outside_batches", format!("row {} of `calls`: {}", row.seq, row.call)),
        }
    }

    fn compare(&self, findings: &mut Findings) {
        for (batch, (attempts, calls, digest)) in self.batches.iter().zip(&self.found) {
            let place = format!(
                "batch {}: rows {}..={} of `attempts`, {}..={} of `calls`, from segment `{}`",
                batch.seq,
                batch.attempts_after + 1,
                batch.attempts_upto,
                batch.calls_after + 1,
                batch.calls_upto,
                batch.segment
            );
            if attempts + calls + batch.pruned != batch.attempts + batch.calls {
                let (left, wrote) = (attempts + calls + batch.pruned, batch.attempts + batch.calls);
                findings.add("batch_rows", format!("{place}: wrote {wrote} rows, {left} are there"));
                continue;
            }
            // One of retention took nothing over; its digest is another.
            if batch.segment == RETENTION && batch.attempts + batch.calls == 0 {
                continue;
            }
            let mut whole = *digest;
            whole.join(batch.pruned_digest);
            if whole != batch.digest {
                findings.add("batch_digest", place);
            }
        }
    }
}
