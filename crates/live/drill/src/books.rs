//! What the gateway books, as it books it: money by workflow and minute, attempts by cause, failed calls by the row of the truth
//! table that decided them.

use std::collections::BTreeMap;

use domain::{AttemptEnd, CallEnd, CallId, Cause, Cost, Entry, FaultClass, NanoUsd, Record, UnixMs};
use routing::truth::{Action, Phase, after};
use rustc_hash::FxHashMap;

/// Everything that was booked in one run.
#[derive(Debug, Default)]
pub struct Books {
    began: UnixMs,
    /// What was booked for each workflow in each minute since the beginning.
    pub spent: BTreeMap<String, Vec<NanoUsd>>,
    /// What attempts cost that did not answer, by workflow.
    pub wasted: BTreeMap<String, NanoUsd>,
    /// Attempts by cause.
    pub causes: BTreeMap<Cause, u64>,
    /// Attempts that failed, by fault.
    pub faults: BTreeMap<FaultClass, u64>,
    /// Which lane and model answered, by workflow: how many calls.
    pub served: BTreeMap<String, BTreeMap<(String, String), u64>>,
    /// Failed calls by what decided them.
    pub rows: BTreeMap<Row, u64>,
    /// Calls that ended.
    pub calls: u64,
    /// Attempts whose cost nobody could tell.
    pub unpriced: u64,
    /// What is known of attempts of calls under way: the last fault of each.
    last: FxHashMap<CallId, (FaultClass, bool)>,
    /// Every record, where somebody asked to audit them.
    pub audit: Option<Vec<Audited>>,
}

/// What decided that a call failed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Row {
    /// The last attempt's fault, and whether content had reached the client.
    Fault {
        /// Which.
        class: FaultClass,
        /// Whether content had.
        after_content: bool,
    },
    /// Freehold refused it, with this code, and nothing had failed before.
    Refused(String),
}

/// A record as an auditor looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audited {
    /// Which attempt, as the provider was told it.
    pub attempt: String,
    /// What it was booked with.
    pub cost: NanoUsd,
    /// Whether the usage was reported.
    pub reported: bool,
    /// Tokens in and out, as booked.
    pub tokens: (u64, u64),
}

impl Row {
    /// Whether the truth table has a way on from here: such a call failed because nothing was left to try.
    pub fn can_be_saved(&self) -> bool {
        match self {
            Row::Fault { class, after_content } => {
                let phase = if *after_content { Phase::AfterContent } else { Phase::BeforeContent };
                !matches!(after(*class, phase), Action::Surface | Action::EndStream | Action::Stop)
            }
            // Breakers hold back all there is, or a defect: nothing that the table gives up.
            Row::Refused(_) => true,
        }
    }

    /// Such as `upstream_cut after content: error frame`.
    pub fn words(&self) -> String {
        match self {
            Row::Fault { class, after_content } => {
                let phase = if *after_content { Phase::AfterContent } else { Phase::BeforeContent };
                let when = if *after_content { "after content" } else { "before content" };
                format!("{class} {when}: {}", after(*class, phase))
            }
            Row::Refused(code) => format!("{code}: nothing could be tried"),
        }
    }
}

impl Books {
    /// Empty ones of a run that begins now.
    pub fn new(began: UnixMs, audits: bool) -> Books {
        Books { began, audit: audits.then(Vec::new), ..Books::default() }
    }

    /// Takes what the gateway says.
    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(_) => {}
            Entry::Record(record) => self.record(record),
            Entry::Call(end) => self.call(end),
        }
    }

    fn record(&mut self, record: &Record) {
        let workflow = record.intent.workflow.as_ref().map_or("(direct)", |name| name.as_str());
        let booked = match &record.cost {
            Cost::Priced { total, .. } => *total,
            Cost::Unpriced { lines, .. } => {
                self.unpriced += 1;
                lines.iter().map(|line| line.amount).sum()
            }
            Cost::AtMost(bound) => bound.unwrap_or(NanoUsd::ZERO),
        };
        let minute = usize::try_from(record.intent.at.since(self.began) / 60_000).unwrap_or(usize::MAX);
        if !self.spent.contains_key(workflow) {
            self.spent.insert(workflow.to_owned(), Vec::new());
        }
        let minutes = self.spent.get_mut(workflow).expect("it was put there if it was missing");
        if minutes.len() <= minute {
            minutes.resize(minute + 1, NanoUsd::ZERO);
        }
        minutes[minute] += booked;
        *self.causes.entry(record.intent.cause).or_default() += 1;
        let answered = matches!(record.end, AttemptEnd::Served { .. });
        if !answered {
            *self.wasted.entry(workflow.to_owned()).or_default() += booked;
        }
        if let AttemptEnd::Failed { class, after_content, .. } = &record.end {
            *self.faults.entry(*class).or_default() += 1;
            self.last.insert(record.intent.attempt.call, (*class, *after_content));
        }
        if let Some(audit) = &mut self.audit {
            audit.push(Audited {
                attempt: record.intent.attempt.to_string(),
                cost: booked,
                reported: record.usage_origin == domain::UsageOrigin::Reported,
                tokens: (record.usage.input_tokens(), record.usage.output_tokens()),
            });
        }
    }

    fn call(&mut self, end: &CallEnd) {
        self.calls += 1;
        let last = self.last.remove(&end.call);
        match &end.failure {
            None => {
                let workflow = end.workflow.as_ref().map_or("(direct)", |name| name.as_str()).to_owned();
                let lane = end.lane.as_ref().map_or("(direct)", |name| name.as_str()).to_owned();
                let model = end.model.as_ref().map_or("(none)", |name| name.as_str()).to_owned();
                *self.served.entry(workflow).or_default().entry((lane, model)).or_default() += 1;
            }
            Some(failure) => {
                let row = match last {
                    Some((class, after_content)) => Row::Fault { class, after_content },
                    None => Row::Refused(failure.code.clone()),
                };
                *self.rows.entry(row).or_default() += 1;
            }
        }
    }

    /// Everything that was booked.
    pub fn total(&self) -> NanoUsd {
        self.spent.values().flatten().copied().sum()
    }

    /// What was booked for a workflow.
    pub fn of(&self, workflow: &str) -> NanoUsd {
        self.spent.get(workflow).into_iter().flatten().copied().sum()
    }

    /// Failed calls that the truth table says can be saved.
    pub fn failed_though_savable(&self) -> u64 {
        self.rows.iter().filter(|(row, _)| row.can_be_saved()).map(|(_, calls)| calls).sum()
    }
}
