//! How anomalies are told: once in the log when they begin and end, as a metric, and as a list that the console shows.

use std::collections::VecDeque;

use domain::{ModelName, UnixMs, WorkflowName};
use economics::series::Drawn;
use routing::anomaly::{Kind, Turn};
use serde::{Deserialize, Serialize};

use super::found::Found;
use crate::metrics::Metrics;

/// How many anomalies that are over are remembered.
const KEPT: usize = 256;
/// What all workflows are called together.
pub const ALL: &str = "all calls";

/// Something that is, or was, out of the ordinary.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Anomaly {
    /// What kind.
    pub kind: Kind,
    /// Of what: `model sonnet`, `workflow claims-triage`, `all calls`.
    pub subject: String,
    /// When it began.
    pub since: UnixMs,
    /// When it was over.
    pub until: Option<UnixMs>,
    /// How many times as much as it should be, thousandths, when last seen.
    pub factor_milli: u64,
    /// What it is, in words.
    pub sentence: String,
    /// Whether calls go elsewhere because of it.
    pub moves: bool,
}

/// A series as it is drawn.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Of what: `model sonnet`, `workflow claims-triage`, `all calls`.
    pub name: String,
    /// What is counted.
    pub unit: Unit,
    /// The last day in buckets of five minutes, oldest first.
    pub points: Vec<Drawn>,
}

/// What a series counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Nano-dollars spent in a bucket.
    NanoUsd,
    /// Milliseconds to the first token, the geometric mean of a bucket.
    FirstTokenMs,
}

/// Subject of a model.
pub(super) fn of_model(name: &ModelName) -> String {
    format!("model {name}")
}

/// Subject of a workflow.
pub(super) fn of_workflow(name: &WorkflowName) -> String {
    format!("workflow {name}")
}

/// A factor as people write it: `2.0`, `1.01`, `12.35`.
pub(super) fn times(factor_milli: u64) -> String {
    let hundredths = (factor_milli + 5) / 10;
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.strip_suffix('0').map(str::to_owned).unwrap_or(text)
}

/// What was found.
#[derive(Default)]
pub(super) struct Told {
    standing: Vec<Anomaly>,
    past: VecDeque<Anomaly>,
}

impl Told {
    /// Notes what was found, and says it where somebody should know. What begins or ends is handed out, to be told to others.
    pub fn note(&mut self, found: Found, now: UnixMs, moves: bool, metrics: &Metrics) -> Option<Anomaly> {
        let Found { kind, subject, turn, factor_milli, reason } = found;
        let place = self.standing.iter().position(|one| one.kind == kind && one.subject == subject);
        match (turn, place) {
            (Turn::Began, None) => {
                metrics.anomaly(kind.as_str());
                let led = if moves { "its calls go elsewhere until it is over" } else { "its calls go on" };
                tracing::warn!(kind = kind.as_str(), subject, "{subject}: {reason}; {led}");
                let since = now;
                let one = Anomaly { kind, subject, since, until: None, factor_milli, sentence: reason, moves };
                self.standing.push(one.clone());
                Some(one)
            }
            (Turn::Began | Turn::Changed, Some(place)) => {
                let one = &mut self.standing[place];
                if factor_milli > 1_000 {
                    (one.factor_milli, one.sentence) = (factor_milli, reason);
                }
                None
            }
            (Turn::Changed, None) => None,
            (Turn::Ended { .. }, Some(place)) => {
                let one = Anomaly { until: Some(now), ..self.standing.remove(place) };
                tracing::info!(
                    kind = kind.as_str(),
                    subject,
                    "{subject}: over is what was since {}: {}",
                    one.since,
                    one.sentence
                );
                self.remember(one.clone());
                Some(one)
            }
            // Over as soon as it was: a price that somebody has changed.
            (Turn::Ended { since }, None) => {
                metrics.anomaly(kind.as_str());
                tracing::info!(kind = kind.as_str(), subject, "{subject}: {reason}");
                let until = Some(now);
                let one = Anomaly { kind, subject, since, until, factor_milli, sentence: reason, moves: false };
                self.remember(one.clone());
                Some(one)
            }
        }
    }

    /// Ends what nobody watches any more: its model or workflow is gone, or asked in another way.
    pub fn end_others(&mut self, known: &[(Kind, String)], now: UnixMs) {
        let stands = |one: &Anomaly| known.iter().any(|(kind, subject)| *kind == one.kind && *subject == one.subject);
        let (standing, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.standing).into_iter().partition(stands);
        self.standing = standing;
        gone.into_iter().for_each(|one| self.remember(Anomaly { until: Some(now), ..one }));
    }

    fn remember(&mut self, one: Anomaly) {
        if self.past.len() == KEPT {
            self.past.pop_front();
        }
        self.past.push_back(one);
    }

    pub fn newest_first(&self) -> Vec<Anomaly> {
        self.standing.iter().rev().chain(self.past.iter().rev()).cloned().collect()
    }

    pub fn restore(&mut self, newest_first: Vec<Anomaly>) {
        for one in newest_first.into_iter().rev() {
            match one.until {
                None => self.standing.push(one),
                Some(_) => self.remember(one),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(turn: Turn, factor_milli: u64) -> Found {
        let reason = format!("realised price {} × the catalogue's", times(factor_milli));
        Found { kind: Kind::Price, subject: "model sonnet".into(), turn, factor_milli, reason }
    }

    #[test]
    fn factors_read_as_people_write_them() {
        assert_eq!([2_000, 1_010, 12_345, 1_004].map(times), ["2.0", "1.01", "12.35", "1.0"]);
    }

    #[test]
    fn what_is_over_stays_in_the_list_with_its_end() {
        let (mut told, metrics) = (Told::default(), Metrics::new());
        assert!(told.note(found(Turn::Began, 2_000), UnixMs(1), true, &metrics).is_some());
        assert_eq!(told.note(found(Turn::Changed, 3_000), UnixMs(2), true, &metrics), None, "told once");
        assert_eq!(told.newest_first()[0].sentence, "realised price 3.0 × the catalogue's");
        assert!(told.note(found(Turn::Ended { since: UnixMs(1) }, 1_000), UnixMs(9), true, &metrics).is_some());
        let all = told.newest_first();
        assert_eq!(
            (all.len(), all[0].since, all[0].until, all[0].factor_milli),
            (1, UnixMs(1), Some(UnixMs(9)), 3_000)
        );
        let mut again = Told::default();
        again.restore(all.clone());
        assert_eq!(again.newest_first(), all);
        assert!(metrics.text().contains("freehold_anomalies_total{kind=\"price\"} 1"), "{}", metrics.text());
    }
}
