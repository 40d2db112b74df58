//! What providers do after their call is over (background answers, batches), and what it will have cost: each is booked at once
//! at the most it can cost, and settled exactly once, by a record of its own, when the provider has told. What waits is kept here;
//! a restart finds it again in the records.

use config::Model;
use domain::{
    AttemptEnd, Cost, CostLine, Intent, KeyId, NanoUsd, ProviderName, Record, Usage, UsageOrigin, WorkflowName,
};
use ledger::budget::Spend;
use ledger::price::Served;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::budgets::{Budgets, Scopes};
use crate::clock;
use crate::metrics::Metrics;
use crate::spend::tokens;

/// Most that is waited for. What does not fit stays booked at its upper bound.
const MOST: usize = 65_536;

/// What is waited for.
#[derive(Default)]
pub struct Deferred {
    owed: Mutex<FxHashMap<(ProviderName, String), Intent>>,
}

/// What a provider has told of something it did later.
pub struct Told<'a> {
    /// The provider's id of it.
    pub id: &'a str,
    /// What each request of it consumed.
    pub usages: &'a [Usage],
    /// The tier that served it.
    pub tier: Option<&'a str>,
    /// What it came to, in the provider's word.
    pub finish: &'a str,
    /// The model that was asked, where it is still configured.
    pub model: Option<&'a Model>,
}

impl Deferred {
    /// Waits for what this record says is answered later.
    pub fn wait_for(&self, record: &Record) {
        let Some(id) = &record.provider_request_id else { return };
        let mut owed = self.owed.lock();
        if owed.len() >= MOST {
            tracing::warn!(
                attempt = %record.intent.attempt,
                "more is answered later than is kept track of; this stays booked at the most it can cost"
            );
            return;
        }
        owed.insert((record.intent.provider.clone(), id.clone()), record.intent.clone());
    }

    /// Settles what was waited for, with the record to be written down and by how much it changes what was booked. Nothing where
    /// it was settled before.
    pub fn settle(
        &self,
        budgets: &Budgets,
        metrics: &Metrics,
        provider: &ProviderName,
        told: &Told<'_>,
    ) -> Option<(Record, NanoUsd)> {
        // Whoever takes it out settles it: of two who fetch at the same time, one.
        let intent = self.owed.lock().remove(&(provider.clone(), told.id.to_owned()))?;
        let (bound, at) = (intent.hold.unwrap_or(NanoUsd::ZERO), intent.at);
        let scopes = scopes(intent.workflow.as_ref(), &intent.key);
        let record = record(intent, told);
        let change = record.cost.booked();
        let actual = Spend { usd: change + bound, tokens: tokens(&record.usage) };
        budgets.correct(&scopes, Spend::usd(bound), actual, at);
        metrics.attempt(&record);
        Some((record, change))
    }
}

fn scopes(workflow: Option<&WorkflowName>, key: &KeyId) -> Scopes {
    Scopes { workflow: workflow.cloned(), key: key.clone(), session: None }
}

/// What settles an attempt: what it cost, less what it was booked with.
fn record(intent: Intent, told: &Told<'_>) -> Record {
    let bound = intent.hold.filter(|bound| *bound > NanoUsd::ZERO);
    let row = told.model.and_then(|model| model.price_at(intent.at));
    let served = Served { at: intent.at, tier: told.tier, region: None };
    let cost = ledger::price::price_each(told.usages, row, &served);
    let back = bound.map(|bound| CostLine::taking_back(bound, intent.attempt));
    let cost = match cost {
        Cost::Priced { total, mut lines } => {
            lines.extend(back);
            Cost::Priced { total: total - bound.unwrap_or(NanoUsd::ZERO), lines }
        }
        Cost::Unpriced { mut lines, missing } => {
            lines.extend(back);
            Cost::Unpriced { lines, missing }
        }
        Cost::AtMost(_) => unreachable!("pricing never bounds"),
    };
    let now = clock::now();
    Record {
        ended_at: now,
        end: AttemptEnd::Served { finish: Some(told.finish.to_owned()) },
        status: Some(200),
        upstream_model: told.model.map(|model| model.upstream.clone()).unwrap_or_default(),
        region: told.model.and_then(|model| model.region.as_ref()).map(ToString::to_string),
        usage: ledger::price::total_usage(told.usages),
        usage_origin: UsageOrigin::Reported,
        cost,
        usage_residue: 0,
        provider_cost: None,
        latency_ms: now.since(intent.at),
        first_token_ms: None,
        decision: format!("settles {}: what it cost takes the place of the most it could have cost", intent.attempt),
        losses: Vec::new(),
        provider_request_id: Some(told.id.to_owned()),
        intent: Intent { attempt: intent.attempt.settlement(), hold: None, ..intent },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::Limit;
    use domain::{Meter, UnixMs};
    use ledger::{Amount, Scope, Window};

    #[tokio::test]
    async fn what_is_told_later_is_settled_once_and_takes_the_place_of_its_upper_bound() {
        let (deferred, budgets, metrics) = (Deferred::default(), Budgets::default(), Metrics::new());
        let mut record = testkit::facts::Sample::new(1, UnixMs(1)).record();
        record.intent.at = clock::now();
        record.intent.hold = Some(NanoUsd(60));
        record.cost = Cost::AtMost(Some(NanoUsd(60)));
        record.provider_request_id = Some("resp_1".into());
        let limit = Limit::hard(Scope::Key(record.intent.key.clone()), NanoUsd(100), Window::TOTAL);
        budgets.set(vec![Limit { settled: vec![(UnixMs(1), Amount(60))], ..limit }], UnixMs(1));
        let provider = record.intent.provider.clone();
        deferred.wait_for(&record);
        let usage = Usage::ZERO.with(Meter::Input, 3);
        let told = Told { id: "resp_1", usages: &[usage], tier: None, finish: "completed", model: None };
        let (settled, change) = deferred.settle(&budgets, &metrics, &provider, &told).unwrap();
        // Nobody knows a price for it: what was booked is taken back, and the alarm rings.
        assert_eq!((change, settled.cost.booked()), (NanoUsd(-60), NanoUsd(-60)));
        assert!(matches!(settled.cost, Cost::Unpriced { .. }));
        assert_eq!(settled.intent.attempt, record.intent.attempt.settlement());
        assert_eq!(budgets.view()[0].account.settled, Amount::ZERO);
        assert!(deferred.settle(&budgets, &metrics, &provider, &told).is_none(), "a second time changes nothing");
    }
}
