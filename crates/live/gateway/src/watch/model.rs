//! What is known of one model beside its health: how it bills, how it serves, how soon it answers.

use domain::{AttemptEnd, Cost, ModelName, NanoUsd, UnixMs};
use economics::{Change, Series, What};
use ledger::PriceRow;
use ledger::provider_cost::Difference;
use ledger::tier::other_than_asked;
use routing::anomaly::{Kind, Standing};
use routing::{Kept, Permille};
use serde::{Deserialize, Serialize};
use wire::AskedTier;

use super::found::{Ended, Found};
use super::told::{Drawing, Unit, of_model, times};

/// Tokens in and out of the call that two prices of a model are compared by.
const SAMPLE_TOKENS: u64 = 1_000;
/// A configured price that changes by less than this is not told, thousandths: one percent.
const TOLD_CHANGE_MILLI: u64 = 10;
/// The largest factor that is told, thousandths: a thousand times as much.
const LARGEST_MILLI: u64 = 1_000_000;

/// What is known of one model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ModelWatch {
    price: Standing,
    tier: Standing,
    /// What was asked for and what was served, in a sentence.
    tier_reason: String,
    slow: Standing,
    /// Milliseconds to the first token of streams.
    first_token_ms: Option<Box<Series>>,
    /// The row it is booked by, and what the sample costs there.
    #[serde(skip)]
    row: Option<(String, NanoUsd)>,
}

impl ModelWatch {
    pub(super) fn look(&mut self, ended: &Ended<'_>, found: &mut Vec<Found>) {
        let (record, now) = (ended.record, ended.record.ended_at);
        let name = &record.intent.model;
        // A row that ends on a day is followed by one of another name; the same row with other figures comes with a configuration.
        if ended.row.is_some_and(|row| self.row.as_ref().is_none_or(|(id, _)| *id != row.id)) {
            self.priced(name, ended.row, now, found);
        }
        if let Some(dearer) = billed(ended) {
            let turn = match dearer {
                Some(factor_milli) => self.price.bad(now, factor_milli),
                None => self.price.good(),
            };
            found.extend(turn.map(|turn| Found {
                kind: Kind::Price,
                subject: of_model(name),
                turn,
                factor_milli: dearer.unwrap_or(1_000),
                reason: price_reason(dearer.unwrap_or(1_000)),
            }));
        }
        self.look_at_tier(ended, found);
        if let (Some(ms), true, AttemptEnd::Served { .. }) = (record.first_token_ms, ended.streamed, &record.end) {
            self.closed(name, now, found);
            let series = self.first_token_ms.get_or_insert_with(|| Box::new(Series::new(What::Mean, now)));
            series.add(i64::try_from(ms.max(1)).unwrap_or(i64::MAX));
        }
    }

    fn look_at_tier(&mut self, ended: &Ended<'_>, found: &mut Vec<Found>) {
        let (record, now) = (ended.record, ended.record.ended_at);
        let (Some(asked), Some(served)) = (ended.asked, &record.served.tier) else { return };
        if asked == AskedTier::Other || record.losses.iter().any(|loss| loss.pointer == "/service_tier") {
            return;
        }
        let other = other_than_asked(asked.named(), served, ended.row, record.intent.at);
        let turn = match &other {
            Some(other) => {
                let wanted = asked.named().map_or_else(|| "nothing of the kind".to_owned(), |tier| format!("`{tier}`"));
                // A provider may say anything.
                let served: String = served.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
                self.tier_reason = format!(
                    "served as `{served}` where {wanted} was asked for, at {} × the price",
                    times(other.times_milli)
                );
                self.tier.bad(now, other.times_milli)
            }
            None => self.tier.good(),
        };
        found.extend(turn.map(|turn| Found {
            kind: Kind::Tier,
            subject: of_model(&record.intent.model),
            turn,
            factor_milli: other.map_or(self.tier.factor_milli(), |other| other.times_milli),
            reason: self.tier_reason.clone(),
        }));
    }

    /// Notes the row that it is booked by from now on. What a provider bills is compared with that one, so an anomaly of the price
    /// ends with another row.
    pub(super) fn priced(&mut self, name: &ModelName, row: Option<&PriceRow>, now: UnixMs, found: &mut Vec<Found>) {
        let Some(row) = row else { return };
        let cost = ledger::price::expected(row, SAMPLE_TOKENS, SAMPLE_TOKENS, now);
        if self.row.as_ref().is_some_and(|(id, before)| *id == row.id && *before == cost) {
            return;
        }
        let before = self.row.replace((row.id.clone(), cost));
        let Some((_, before)) = before.filter(|(_, before)| before.0 > 0) else { return };
        let factor_milli = ratio_milli(cost, before);
        if let Some(turn) = self.price.clear() {
            let reason = "the configured price has changed, and what is billed is compared with that one".to_owned();
            found.push(Found { kind: Kind::Price, subject: of_model(name), turn, factor_milli, reason });
        }
        if factor_milli.abs_diff(1_000) >= TOLD_CHANGE_MILLI {
            let reason = format!("the configured price is {} × what it was (`{}`)", times(factor_milli), row.id);
            let turn = routing::anomaly::Turn::Ended { since: now };
            found.push(Found { kind: Kind::Price, subject: of_model(name), turn, factor_milli, reason });
        }
    }

    pub(super) fn tick(&mut self, name: &ModelName, now: UnixMs, found: &mut Vec<Found>) {
        self.closed(name, now, found);
    }

    /// Closes the buckets of first tokens that are over.
    fn closed(&mut self, name: &ModelName, now: UnixMs, found: &mut Vec<Found>) {
        let Some(series) = self.first_token_ms.as_mut().filter(|series| series.is_due(now)) else { return };
        let slow = &mut self.slow;
        series.advance(now, |Change { raised, factor_milli, .. }| {
            let turn = if raised { slow.bad(now, factor_milli) } else { slow.clear() };
            let reason = slow_reason(factor_milli);
            found.extend(turn.map(|turn| Found {
                kind: Kind::Latency,
                subject: of_model(name),
                turn,
                factor_milli,
                reason,
            }));
        });
    }

    /// What stands: its kind, how many calls still go there, why, and since when.
    pub(super) fn standing(&self) -> impl Iterator<Item = (Kind, Kept, String, UnixMs)> {
        let price = self.price.since().map(|since| {
            let kept = Kept::UnlessDearer { share: self.price.probes(), times_milli: self.price.factor_milli() };
            (Kind::Price, kept, price_reason(self.price.factor_milli()), since)
        });
        let other = |kind, standing: &Standing, reason: String| {
            let share: Permille = standing.probes();
            standing.since().map(|since| (kind, Kept::OfAll(share), reason, since))
        };
        let tier = other(Kind::Tier, &self.tier, self.tier_reason.clone());
        let slow = other(Kind::Latency, &self.slow, slow_reason(self.slow.factor_milli()));
        [price, tier, slow].into_iter().flatten()
    }

    pub(super) fn drawing(&self, name: &ModelName) -> Option<Drawing> {
        let series = self.first_token_ms.as_ref()?;
        Some(Drawing { name: of_model(name), unit: Unit::FirstTokenMs, points: series.drawn().copied().collect() })
    }
}

/// How many times as much as we booked the provider says that an answer cost, thousandths: `Some(None)` where it agrees or says
/// less, `None` where it says nothing that can be compared.
fn billed(ended: &Ended<'_>) -> Option<Option<u64>> {
    let theirs = ended.record.provider_cost?;
    let Cost::Priced { total, .. } = &ended.record.cost else { return None };
    if *total <= NanoUsd::ZERO && theirs <= NanoUsd::ZERO {
        return None;
    }
    let dearer = Difference::of(ended.record).filter(|difference| difference.theirs > difference.ours);
    Some(dearer.map(|difference| ratio_milli(difference.theirs, difference.ours)))
}

fn ratio_milli(new: NanoUsd, old: NanoUsd) -> u64 {
    let ratio = (i128::from(new.0) * 1000).checked_div(i128::from(old.0).max(0));
    ratio.and_then(|ratio| u64::try_from(ratio).ok()).unwrap_or(LARGEST_MILLI).min(LARGEST_MILLI)
}

fn price_reason(factor_milli: u64) -> String {
    format!("realised price {} × the catalogue's", times(factor_milli))
}

fn slow_reason(factor_milli: u64) -> String {
    format!("first tokens take {} × what is usual at this time of the week", times(factor_milli))
}
