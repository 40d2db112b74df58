//! What an answer costs beyond its list price: attempts that failed, were cancelled or cut, copies, judges and guards, per workflow
//! and cause, with the multiplier that follows.
//!
//! The base is what the answers that were given would cost at the provider's list: every served attempt that answered a caller,
//! whichever try it was. Everything else a workflow booked is hidden in that price. The multiplier is all of it over the base.
//!
//! Of what answers cost, one part bought nothing: tokens written to a provider's cache and never read from it. Sums know how many a
//! workflow wrote and read with a model; what was written beyond what was read was not read, whichever tokens they were.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::{Cause, Meter, NanoUsd, UnixMs};
use ledger::cells::{Basis, list_price};
use serde::Serialize;
use store::rollup::{DAY_MS, start_of};
use store::{MeterSum, Store, StoreError};

use crate::control::Control;
use crate::failure::ControlError;
use crate::overview::DIRECT;

/// The costs of a stretch of time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct HiddenCosts {
    /// From this day on.
    pub from: UnixMs,
    /// Before this day.
    pub to: UnixMs,
    /// Of everything.
    pub total: Costs,
    /// By workflow, the dearest first.
    pub workflows: Vec<Costs>,
}

/// The costs of one workflow.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Costs {
    /// Which; `(direct)` where a key named a lane or model.
    pub workflow: String,
    /// Attempts.
    pub attempts: u64,
    /// Answers given.
    pub answers: u64,
    /// All that was booked.
    #[serde(rename = "booked_nano_usd")]
    pub booked: NanoUsd,
    /// What the answers would have cost at the providers' lists.
    #[serde(rename = "list_nano_usd")]
    pub list: NanoUsd,
    /// What the answers were booked with; lower than the list where a contract is.
    #[serde(rename = "answers_nano_usd")]
    pub answered: NanoUsd,
    /// What was booked for anything but an answer.
    #[serde(rename = "hidden_nano_usd")]
    pub hidden: NanoUsd,
    /// All over the list price, thousandths; absent without an answer that has a price.
    pub multiplier_thousandths: Option<i64>,
    /// Attempts that used something without a price, which is missing here.
    pub unpriced: u64,
    /// Tokens written to caches that nothing of the same workflow and model read in this time: at least so many.
    pub unread_tokens: u64,
    /// What writing them cost; part of what was booked for answers.
    #[serde(rename = "unread_nano_usd")]
    pub unread: NanoUsd,
    /// By cause and end, the dearest first; they add up to what was booked.
    pub parts: Vec<Part>,
}

/// Why money went.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Part {
    /// The cause of its attempts.
    pub cause: String,
    /// How they ended: `served`, `failed`, `cancelled`, `indeterminate`, or `bound` while only the most is known.
    pub end: String,
    /// Whether it answered a caller.
    pub answers: bool,
    /// Attempts.
    pub attempts: u64,
    /// What was booked.
    #[serde(rename = "booked_nano_usd")]
    pub booked: NanoUsd,
}

/// Causes whose served attempts answer whoever called.
fn answers(cause: Cause) -> bool {
    !matches!(cause.as_str(), "shadow" | "experiment" | "judge" | "guard" | "drill" | "correction" | "capacity")
}

/// The costs of what was sent in `from..to`, both starts of a day.
pub async fn of(store: &Store, from: UnixMs, to: UnixMs) -> Result<HiddenCosts, StoreError> {
    Ok(add_up(&store.meter_totals(from, to).await?, from, to))
}

impl Control {
    /// The costs of the last days, of which today is the last.
    pub async fn hidden_costs(&self, days: u32) -> Result<HiddenCosts, ControlError> {
        let today = start_of(self.now(), DAY_MS);
        let from = UnixMs(today - (i64::from(days.max(1)) - 1) * DAY_MS);
        Ok(of(self.store(), from, UnixMs(today + DAY_MS)).await?)
    }
}

fn add_up(sums: &[MeterSum], from: UnixMs, to: UnixMs) -> HiddenCosts {
    let mut gathered: BTreeMap<Option<&str>, Gathering> = BTreeMap::new();
    let mut total = Gathering::default();
    for sum in sums {
        let workflow = sum.cell.workflow.as_ref().map(|name| name.as_str());
        gathered.entry(workflow).or_default().add(sum);
        total.add(sum);
    }
    let mut workflows: Vec<Costs> =
        gathered.into_iter().map(|(name, costs)| costs.done(name.unwrap_or(DIRECT).to_owned())).collect();
    workflows.sort_by(|a, b| b.booked.cmp(&a.booked).then_with(|| a.workflow.cmp(&b.workflow)));
    HiddenCosts { from, to, total: total.done("all workflows".to_owned()), workflows }
}

#[derive(Default)]
struct Gathering {
    costs: Costs,
    /// Pico-dollars.
    list: i128,
    parts: BTreeMap<(&'static str, &'static str), Part>,
    /// By workflow, provider and its model.
    caches: BTreeMap<(String, String, String), Cache>,
}

/// What a workflow wrote to a model's cache, and read from it.
#[derive(Clone, Copy, Default)]
struct Cache {
    written: u64,
    /// What writing it cost.
    cost: NanoUsd,
    read: u64,
}

impl Cache {
    /// Tokens that were certainly not read, and their share of the cost.
    fn unread(self) -> (u64, NanoUsd) {
        let tokens = self.written.saturating_sub(self.read);
        let share = i128::from(self.cost.0) * i128::from(tokens) / i128::from(self.written.max(1));
        (tokens, NanoUsd(i64::try_from(share).unwrap_or(i64::MAX)))
    }
}

impl Gathering {
    fn add(&mut self, sum: &MeterSum) {
        let cell = &sum.cell;
        let is_bound = cell.basis == Basis::UpperBound;
        let end = if is_bound { "bound" } else { cell.end };
        let answered = !is_bound && cell.end == "served" && answers(cell.cause);
        let costs = &mut self.costs;
        costs.attempts += sum.attempts;
        costs.booked = costs.booked.saturating_add(sum.amount);
        if answered {
            costs.answers += sum.attempts;
            costs.answered = costs.answered.saturating_add(sum.amount);
            self.list += i128::from(list_price(&cell.price_row, cell.price).0) * i128::from(sum.units);
        }
        if let Some(meter) = cell.meter.map(Meter::as_str).filter(|meter| meter.starts_with("cache_")) {
            let workflow = cell.workflow.as_ref().map(ToString::to_string).unwrap_or_default();
            let whose = (workflow, cell.provider.to_string(), cell.upstream_model.clone());
            let cache = self.caches.entry(whose).or_default();
            if meter.starts_with("cache_write") {
                cache.written = cache.written.saturating_add(sum.units);
                cache.cost = cache.cost.saturating_add(sum.amount);
            } else {
                cache.read = cache.read.saturating_add(sum.units);
            }
        }
        costs.unpriced += if cell.basis == Basis::Unpriced { sum.attempts } else { 0 };
        let part = self.parts.entry((cell.cause.as_str(), end)).or_insert_with(|| Part {
            cause: cell.cause.to_string(),
            end: end.to_owned(),
            answers: answered,
            ..Part::default()
        });
        part.attempts += sum.attempts;
        part.booked = part.booked.saturating_add(sum.amount);
    }

    fn done(self, workflow: String) -> Costs {
        let mut parts: Vec<Part> = self.parts.into_values().collect();
        parts.retain(|part| part.attempts > 0 || part.booked != NanoUsd::ZERO);
        parts.sort_by(|a, b| b.booked.cmp(&a.booked).then_with(|| (&a.cause, &a.end).cmp(&(&b.cause, &b.end))));
        let (mut unread_tokens, mut unread) = (0u64, NanoUsd::ZERO);
        for (tokens, cost) in self.caches.values().map(|cache| cache.unread()) {
            unread_tokens = unread_tokens.saturating_add(tokens);
            unread = unread.saturating_add(cost);
        }
        let list = i64::try_from(self.list / 1_000).unwrap_or(i64::MAX);
        let multiplier = (list > 0).then(|| {
            let thousandths = (i128::from(self.costs.booked.0) * 1_000 + i128::from(list) / 2) / i128::from(list);
            i64::try_from(thousandths).unwrap_or(i64::MAX)
        });
        Costs {
            workflow,
            list: NanoUsd(list),
            hidden: self.costs.booked - self.costs.answered,
            multiplier_thousandths: multiplier,
            parts,
            unread_tokens,
            unread,
            ..self.costs
        }
    }
}

impl Costs {
    /// The multiplier as a decimal; a dash where there is none.
    pub fn multiplier(&self) -> String {
        self.multiplier_thousandths.map_or("–".to_owned(), |it| format!("{}.{:03}", it / 1_000, it % 1_000))
    }
}

impl HiddenCosts {
    /// The report for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:24} {:>9} {:>9} {:>16} {:>16} {:>16} {:>10}",
            "WORKFLOW", "ATTEMPTS", "ANSWERS", "LIST USD", "HIDDEN USD", "BOOKED USD", "MULTIPLIER"
        );
        for costs in self.workflows.iter().chain([&self.total]) {
            let _ = writeln!(
                out,
                "{:24} {:>9} {:>9} {:>16} {:>16} {:>16} {:>10}",
                costs.workflow,
                costs.attempts,
                costs.answers,
                costs.list.to_string(),
                costs.hidden.to_string(),
                costs.booked.to_string(),
                costs.multiplier()
            );
            for part in &costs.parts {
                let what = format!("  {} {}", part.cause, part.end);
                let mark = if part.answers { "" } else { "hidden" };
                let _ = writeln!(
                    out,
                    "{what:24} {:>9} {:>9} {:>50} {mark:>10}",
                    part.attempts,
                    "",
                    part.booked.to_string()
                );
            }
            if costs.unread_tokens > 0 {
                let (tokens, cost) = (costs.unread_tokens, costs.unread);
                let _ =
                    writeln!(out, "  at least {tokens} tokens were written to caches for {cost} USD and never read");
            }
            if costs.unpriced > 0 {
                let _ = writeln!(
                    out,
                    "  {} attempts used something without a price, which is missing here",
                    costs.unpriced
                );
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::PicoUsd;
    use ledger::cells::Cell;

    fn sum(cause: Cause, end: &'static str, units: u64, row: &str) -> MeterSum {
        let price = PicoUsd(1_000_000);
        let cell = Cell {
            workflow: Some("claims-triage".into()),
            model: "m".into(),
            upstream_model: "m".into(),
            provider: "p".into(),
            region: String::new(),
            cause,
            end,
            meter: Some(Meter::Output),
            price_row: row.into(),
            price,
            basis: Basis::Reported,
        };
        MeterSum { start: UnixMs(0), cell, attempts: 1, units, amount: price.times(units) }
    }

    #[test]
    fn what_answered_nobody_is_hidden_and_the_multiplier_says_how_much() {
        let sums = [
            sum(Cause::Serve, "served", 700, "p/m@2026-01-01"),
            sum(Cause::Serve, "failed", 100, "p/m@2026-01-01"),
            sum(Cause::Failover, "served", 300, "p/m@2026-01-01"),
            sum(Cause::Shadow, "served", 200, "p/m@2026-01-01"),
        ];
        let costs = &add_up(&sums, UnixMs(0), UnixMs(1)).workflows[0];
        assert_eq!(
            (costs.list, costs.hidden, costs.booked),
            (NanoUsd(1_000_000), NanoUsd(300_000), NanoUsd(1_300_000))
        );
        assert_eq!((costs.answers, costs.attempts, &*costs.multiplier()), (2, 4, "1.300"));
        assert_eq!(costs.parts.iter().map(|part| part.booked).sum::<NanoUsd>(), costs.booked);
        assert_eq!(costs.parts.iter().filter(|part| !part.answers).count(), 2);
    }

    #[test]
    fn what_was_written_to_a_cache_beyond_what_was_read_was_never_read() {
        let of = |meter: Meter, units: u64, model: &str| {
            let mut sum = sum(Cause::Serve, "served", units, "p/m@2026-01-01");
            (sum.cell.meter, sum.cell.upstream_model) = (Some(meter), model.into());
            sum
        };
        let sums = [
            of(Meter::CacheWrite5m, 800, "m"),
            of(Meter::CacheWrite1h, 200, "m"),
            of(Meter::CacheRead, 400, "m"),
            // Of another model more was read than written: no reading makes up for what was not read elsewhere.
            of(Meter::CacheWrite5m, 100, "n"),
            of(Meter::CacheRead, 900, "n"),
        ];
        let costs = add_up(&sums, UnixMs(0), UnixMs(1));
        // A micro-dollar a token.
        assert_eq!((costs.workflows[0].unread_tokens, costs.workflows[0].unread), (600, NanoUsd(600_000)));
        assert_eq!(costs.total.unread, NanoUsd(600_000));
        assert!(costs.table().contains("at least 600 tokens were written to caches for 0.0006 USD and never read"));
    }

    #[test]
    fn a_contract_is_measured_against_the_list() {
        let mut discounted = sum(Cause::Serve, "served", 1_000, "p/m@2026-01-01#contract-0.5");
        discounted.cell.price = PicoUsd(500_000);
        discounted.amount = NanoUsd(500_000);
        let costs = &add_up(&[discounted], UnixMs(0), UnixMs(1)).total;
        assert_eq!((costs.list, &*costs.multiplier()), (NanoUsd(1_000_000), "0.500"));
        assert_eq!(add_up(&[], UnixMs(0), UnixMs(1)).total.multiplier(), "–");
    }
}
