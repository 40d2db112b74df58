//! What providers do after their call is over (background answers, batches), and what it will have cost: each is booked at once
//! at the most it can cost, and settled exactly once, by a record of its own, when the provider has told. What waits is kept here;
//! a restart finds it again in the records.

use std::sync::Arc;

use config::Model;
use domain::{
    AttemptEnd, Cost, CostLine, Intent, KeyId, NanoUsd, ProviderName, Record, ServedAs, UnixMs, Usage, UsageOrigin,
    WorkflowName,
};
use ledger::PriceRow;
use ledger::budget::Spend;
use ledger::price::Served;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use wire::usage::Reported;

use crate::budgets::{Budgets, Scopes};
use crate::clock;
use crate::metrics::Metrics;
use crate::pricing::{billed_region, priced_beside, tell_difference};
use crate::spend::tokens;
use crate::totals::Totals;

/// Most that is waited for. What does not fit stays booked at its upper bound.
const MOST: usize = 65_536;

/// What is waited for.
#[derive(Default)]
pub struct Deferred {
    owed: Mutex<FxHashMap<(ProviderName, String), Owed>>,
}

/// What was sent, and the tokens that count on its budgets until it is told how many it used.
struct Owed {
    intent: Intent,
    tokens: u64,
}

/// What a provider has told of something it did later.
pub struct Told<'a> {
    /// The provider's id of it.
    pub id: &'a str,
    /// What each request of it consumed.
    pub reported: &'a [Reported],
    /// The tier that served it.
    pub tier: Option<&'a str>,
    /// What it came to, in the provider's word.
    pub finish: &'a str,
    /// The model that was asked, where it is still configured.
    pub model: Option<&'a Model>,
    /// The models of the configuration, for calls of others within an answer.
    pub models: &'a [Arc<Model>],
}

impl Deferred {
    /// Waits for what this record says is answered later, and of which so many tokens count on its budgets until then.
    pub fn wait_for(&self, record: &Record, tokens: u64) {
        let Some(id) = &record.provider_request_id else { return };
        let mut owed = self.owed.lock();
        if owed.len() >= MOST {
            tracing::warn!(
                attempt = %record.intent.attempt,
                "more is answered later than is kept track of; this stays booked at the most it can cost"
            );
            return;
        }
        owed.insert((record.intent.provider.clone(), id.clone()), Owed { intent: record.intent.clone(), tokens });
    }

    /// Settles what was waited for, with the record to be written down and by how much it changes what was booked. Nothing where
    /// it was settled before.
    pub fn settle(
        &self,
        (budgets, totals): (&Budgets, &Totals),
        metrics: &Metrics,
        provider: &ProviderName,
        told: &Told<'_>,
    ) -> Option<(Record, NanoUsd)> {
        // Whoever takes it out settles it: of two who fetch at the same time, one.
        let Owed { intent, tokens: counted } = self.owed.lock().remove(&(provider.clone(), told.id.to_owned()))?;
        let (bound, at) = (intent.hold.unwrap_or(NanoUsd::ZERO), intent.at);
        let scopes = scopes(intent.workflow.as_ref(), &intent.key);
        let record = record(intent, told, totals);
        let change = record.cost.booked();
        let actual = Spend { usd: change + bound, tokens: tokens(&record.usage) };
        budgets.correct(&scopes, Spend { usd: bound, tokens: counted }, actual, at);
        metrics.attempt(&record);
        tell_difference(&record, metrics);
        Some((record, change))
    }
}

fn scopes(workflow: Option<&WorkflowName>, key: &KeyId) -> Scopes {
    Scopes { workflow: workflow.cloned(), key: key.clone(), session: None, model: None }
}

/// What settles an attempt: what it cost, less what it was booked with.
fn record(intent: Intent, told: &Told<'_>, totals: &Totals) -> Record {
    let bound = intent.hold.filter(|bound| *bound > NanoUsd::ZERO);
    let row = told.model.and_then(|model| model.price_at(intent.at));
    let regions = told.reported.iter().map(|one| region(one, told));
    let region = regions.clone().next().flatten().filter(|first| regions.clone().all(|one| one == Some(*first)));
    let cost = ledger::price::together(told.reported.iter().flat_map(|one| priced(one, told, row, intent.at)));
    let (cost, counted) = totals.priced(cost, row, intent.at);
    let served = ServedAs { tier: told.tier.map(str::to_owned), region: region.map(str::to_owned) };
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
        usage: consumed(told.reported),
        usage_origin: UsageOrigin::Reported,
        cost,
        usage_residue: told.reported.iter().fold(0, |sum, one| sum.saturating_add(one.residue)),
        provider_cost: cost_told(told.reported),
        latency_ms: now.since(intent.at),
        first_token_ms: None,
        decision: format!("settles {}: what it cost takes the place of the most it could have cost", intent.attempt),
        losses: Vec::new(),
        provider_request_id: Some(told.id.to_owned()),
        served,
        corrects: None,
        counted,
        intent: Intent { attempt: intent.attempt.settlement(), hold: None, ..intent },
    }
}

/// What a request cost, and beside it what was asked of other models within it: each by its own size and region.
fn priced<'a>(
    one: &'a Reported,
    told: &'a Told<'_>,
    row: Option<&'a PriceRow>,
    at: UnixMs,
) -> impl Iterator<Item = Cost> + 'a {
    let served = Served { at, tier: told.tier, region: region(one, told) };
    let own = ledger::price::price(&one.usage, row, &served);
    let beside = one.beside.iter().map(move |beside| match told.model {
        Some(model) => priced_beside(beside, told.models, model, row, &served),
        None => ledger::price::price_standing_in(&beside.usage, row, &served),
    });
    std::iter::once(own).chain(beside)
}

/// Where a request was processed, as far as its bill depends on it.
fn region<'a>(one: &'a Reported, told: &'a Told<'_>) -> Option<&'a str> {
    one.geography.as_deref().or_else(|| told.model.and_then(billed_region))
}

/// What all of them consumed, calls of other models within them included.
fn consumed(reported: &[Reported]) -> Usage {
    let each = reported
        .iter()
        .flat_map(|one| std::iter::once(&one.usage).chain(one.beside.iter().map(|beside| &beside.usage)));
    ledger::price::total_usage(&each.copied().collect::<Vec<_>>())
}

/// What the provider says all of it cost; nothing unless it says so of each.
fn cost_told(reported: &[Reported]) -> Option<NanoUsd> {
    let costs: Option<Vec<NanoUsd>> = reported.iter().map(|one| one.cost).collect();
    costs.filter(|costs| !costs.is_empty()).map(|costs| costs.into_iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::Limit;
    use domain::Meter;
    use ledger::{Amount, Scope, Window};

    /// A model of a batch whose prices are a nano-dollar a token, ten in the US, with a dearer one beside it.
    fn snapshot() -> config::Snapshot {
        let text = "[providers.p]\ndialect = \"anthropic\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
            [models.m]\nprovider = \"p\"\nmodel = \"v\"\n[models.m.price]\ninput = \"0.001\"\noutput = \"0.001\"\n\
            tier = [{ tier = \"batch\", input = \"0.001\" }]\nregion = [{ region = \"us\", multiplier = \"10\" }]\n\
            [models.advisor]\nprovider = \"p\"\nmodel = \"w\"\nprice = { input = \"0.1\", output = \"0.1\", tier = [{ tier = \"batch\", input = \"0.05\" }] }\n";
        config::check_elsewhere("freehold.toml", text, &config::Catalog::default(), UnixMs(1)).unwrap()
    }

    #[test]
    fn dimensions_4_and_9_each_request_of_a_batch_has_its_own_region_and_its_own_calls_of_other_models() {
        let snapshot = snapshot();
        let input = |tokens| Usage::ZERO.with(Meter::Input, tokens);
        let at = |place: Option<&str>| Reported { geography: place.map(str::to_owned), ..Reported::of(input(1_000)) };
        let beside = wire::usage::Beside { model: Some("w".into()), usage: input(1_000) };
        let reported = [
            at(Some("us")),
            Reported { residue: 3, cost: Some(NanoUsd(1)), ..at(None) },
            Reported { beside: vec![beside], ..at(None) },
        ];
        let told = Told {
            id: "b",
            reported: &reported,
            tier: Some("batch"),
            finish: "results",
            model: Some(&snapshot.models[0]),
            models: &snapshot.models,
        };
        let intent = testkit::facts::Sample::new(1, UnixMs(1)).record().intent;
        let record = record(Intent { hold: None, ..intent }, &told, &Totals::default());
        // 1000 tokens at ten nano-dollars, twice 1000 at one, and 1000 of the other model at fifty.
        assert_eq!(record.cost.booked(), NanoUsd(10_000 + 2_000 + 50_000));
        assert_eq!((record.usage.get(Meter::Input), record.usage_residue), (4_000, 3));
        assert_eq!(record.provider_cost, None, "the provider did not say it of each");
        assert_eq!((record.served.tier.as_deref(), record.served.region), (Some("batch"), None), "they differ");
    }

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
        deferred.wait_for(&record, 0);
        let reported = [Reported { residue: 2, ..Reported::of(Usage::ZERO.with(Meter::Input, 3)) }];
        let told =
            Told { id: "resp_1", reported: &reported, tier: None, finish: "completed", model: None, models: &[] };
        let totals = Totals::default();
        let (settled, change) = deferred.settle((&budgets, &totals), &metrics, &provider, &told).unwrap();
        assert_eq!(settled.usage_residue, 2);
        // Nobody knows a price for it: what was booked is taken back, and the alarm rings.
        assert_eq!((change, settled.cost.booked()), (NanoUsd(-60), NanoUsd(-60)));
        assert!(matches!(settled.cost, Cost::Unpriced { .. }));
        assert_eq!(settled.intent.attempt, record.intent.attempt.settlement());
        assert_eq!(budgets.view()[0].account.settled, Amount::ZERO);
        assert!(
            deferred.settle((&budgets, &totals), &metrics, &provider, &told).is_none(),
            "a second time changes nothing"
        );
    }
}
