//! What each workflow spends, and all together, in buckets of five minutes and of an hour.

use std::sync::Arc;

use domain::{NanoUsd, UnixMs, WorkflowName};
use economics::{Change, Series, What};
use routing::anomaly::{Kind, Standing};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::found::{Ended, Found};
use super::told::{ALL, Drawing, Unit, of_workflow, times};

/// A workflow that spends more than usual.
#[derive(Clone)]
pub(super) struct Spending {
    pub workflow: WorkflowName,
    pub since: UnixMs,
    pub reason: Arc<str>,
}

/// What workflows spend; as many as the configuration has.
#[derive(Default)]
pub(super) struct Spends {
    all: Option<Spend>,
    workflows: FxHashMap<WorkflowName, Spend>,
}

/// What one of them spends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spend {
    series: Series,
    high: Standing,
}

impl Spends {
    /// Books what an attempt cost. Where the calls of its workflow are moved to something cheaper, `moved`, what it would have
    /// cost is counted: else the anomaly would be over because of what was done about it.
    pub fn book(&mut self, ended: &Ended<'_>, moved: bool, found: &mut Vec<Found>) {
        let record = ended.record;
        let (booked, now) = (record.cost.booked(), record.ended_at);
        if booked <= NanoUsd::ZERO || matches!(record.cost, domain::Cost::AtMost(_)) {
            return;
        }
        let all = self.all.get_or_insert_with(|| Spend::new(now));
        all.close(ALL, now, found);
        all.series.add(booked.0);
        let Some(name) = &record.intent.workflow else { return };
        let amount = match (ended.usual_cost, ended.expected_cost) {
            (Some(usual), Some(here)) if moved && here > NanoUsd::ZERO && usual > here => {
                let scaled = i128::from(booked.0) * i128::from(usual.0) / i128::from(here.0);
                i64::try_from(scaled).unwrap_or(i64::MAX)
            }
            _ => booked.0,
        };
        let spend = match self.workflows.get_mut(name) {
            Some(spend) => spend,
            None => self.workflows.entry(name.clone()).or_insert_with(|| Spend::new(now)),
        };
        if spend.series.is_due(now) {
            spend.close(&of_workflow(name), now, found);
        }
        spend.series.add(amount);
    }

    pub fn tick(&mut self, now: UnixMs, found: &mut Vec<Found>) {
        if let Some(all) = &mut self.all {
            all.close(ALL, now, found);
        }
        for (name, spend) in &mut self.workflows {
            spend.close(&of_workflow(name), now, found);
        }
    }

    /// Forgets the workflows that there are no more.
    pub fn keep(&mut self, is_known: impl Fn(&WorkflowName) -> bool) {
        self.workflows.retain(|name, _| is_known(name));
    }

    pub fn standing(&self) -> Vec<Spending> {
        let one = |(name, spend): (&WorkflowName, &Spend)| {
            let since = spend.high.since()?;
            let reason = format!("{name} {}", reason(spend.high.factor_milli())).into();
            Some(Spending { workflow: name.clone(), since, reason })
        };
        self.workflows.iter().filter_map(one).collect()
    }

    /// What stands, by kind and subject.
    pub fn subjects(&self) -> Vec<(Kind, String)> {
        let all = self.all.iter().map(|spend| (spend, ALL.to_owned()));
        let named = self.workflows.iter().map(|(name, spend)| (spend, of_workflow(name)));
        all.chain(named)
            .filter(|(spend, _)| spend.high.since().is_some())
            .map(|(_, name)| (Kind::Spend, name))
            .collect()
    }

    pub fn drawings(&self) -> Vec<Drawing> {
        let drawing = |name: String, spend: &Spend| Drawing {
            name,
            unit: Unit::NanoUsd,
            points: spend.series.drawn().copied().collect(),
        };
        let mut drawings: Vec<Drawing> =
            self.workflows.iter().map(|(name, spend)| drawing(of_workflow(name), spend)).collect();
        drawings.sort_by(|one, other| one.name.cmp(&other.name));
        drawings.splice(0..0, self.all.iter().map(|spend| drawing(ALL.to_owned(), spend)));
        drawings
    }

    /// What is kept for the next start: all together first, which has no name.
    pub fn saved(&self) -> Vec<(Option<WorkflowName>, Spend)> {
        let all = self.all.iter().map(|spend| (None, spend.clone()));
        all.chain(self.workflows.iter().map(|(name, spend)| (Some(name.clone()), spend.clone()))).collect()
    }

    pub fn restore(&mut self, saved: Vec<(Option<WorkflowName>, Spend)>) {
        for (name, spend) in saved {
            match name {
                None => self.all = Some(spend),
                Some(name) => {
                    self.workflows.insert(name, spend);
                }
            }
        }
    }
}

impl Spend {
    fn new(now: UnixMs) -> Spend {
        Spend { series: Series::new(What::Sum, now), high: Standing::default() }
    }

    fn close(&mut self, subject: &str, now: UnixMs, found: &mut Vec<Found>) {
        if !self.series.is_due(now) {
            return;
        }
        let high = &mut self.high;
        self.series.advance(now, |Change { raised, factor_milli, .. }| {
            let turn = if raised { high.bad(now, factor_milli) } else { high.clear() };
            found.extend(turn.map(|turn| Found {
                kind: Kind::Spend,
                subject: subject.to_owned(),
                turn,
                factor_milli,
                reason: reason(factor_milli),
            }));
        });
    }
}

fn reason(factor_milli: u64) -> String {
    format!("spends {} × what is usual at this time of the week", times(factor_milli))
}
