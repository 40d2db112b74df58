//! How much depends on whom: answers and money by provider, region and model family, and what would become of each workflow if a
//! provider or a region were gone: who would answer, what that would have cost, what it would promise.
//!
//! Shares are of the answers that callers were given. What a replacement would have cost is the same usage at its price of
//! today, without bands for long prompts, since sums do not know how long each prompt was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use config::{Lane, LaneHops, Model, Snapshot, Workflow};
use domain::{Cause, Class, Cost, NanoUsd, Pick, Region, UnixMs, Usage};
use ledger::cells::Basis;
use ledger::price::price;
use ledger::rows::Served;
use serde::Serialize;
use store::rollup::{DAY_MS, start_of};
use store::{MeterSum, Store, StoreError};

use crate::control::Control;
use crate::failure::ControlError;

/// Who depends on whom.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Concentration {
    /// From this day on.
    pub from: UnixMs,
    /// Before this day.
    pub to: UnixMs,
    /// By provider, the largest first.
    pub providers: Vec<Share>,
    /// By region; `unknown` where the configuration says none.
    pub regions: Vec<Share>,
    /// By model family: the letters that the vendor's model id begins with.
    pub families: Vec<Share>,
    /// What would become of workflows.
    pub gone: Vec<Gone>,
}

/// A share of what callers were given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Share {
    /// Of whom.
    pub name: String,
    /// Answers.
    pub answers: u64,
    /// Share of all answers, thousandths of a percent.
    pub answers_millipercent: u64,
    /// What was booked for them.
    #[serde(rename = "booked_nano_usd")]
    pub booked: NanoUsd,
    /// Share of all that was booked for answers, thousandths of a percent.
    pub booked_millipercent: u64,
}

/// What would become of a workflow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Gone {
    /// Who is gone: `provider summit` or `region eu-fr`.
    pub what: String,
    /// Whose calls.
    pub workflow: String,
    /// Answers it had from there.
    pub answers: u64,
    /// Share of all its answers, thousandths of a percent.
    pub answers_millipercent: u64,
    /// Who would answer; absent where nobody is left.
    pub instead: Option<Instead>,
    /// What those answers would have cost more; below zero where less. Absent without answers, or where nobody is left or the
    /// replacement has no price.
    #[serde(rename = "added_nano_usd")]
    pub added: Option<NanoUsd>,
    /// What becomes of what the workflow is promised.
    pub risk: Risk,
    /// The same in words.
    pub sentence: String,
}

/// Who would answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Instead {
    /// Through which lane.
    pub lane: String,
    /// Of which class.
    pub class: Class,
    /// Which model.
    pub model: String,
    /// At which provider.
    pub provider: String,
}

/// What becomes of a promise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// The lane that is asked first goes on.
    Kept,
    /// Another lane answers, with its own promise.
    OtherLane,
    /// Nobody is left; its calls fail.
    Fails,
}

/// What was answered between two starts of a day, and what would become of the workflows of this configuration.
pub async fn of(
    store: &Store,
    snapshot: &Snapshot,
    from: UnixMs,
    to: UnixMs,
    now: UnixMs,
) -> Result<Concentration, StoreError> {
    Ok(add_up(&store.meter_totals(from, to).await?, snapshot, (from, to), now))
}

impl Control {
    /// The same of the last days, of which today is the last, for the configuration that runs.
    pub async fn concentration(&self, days: u32) -> Result<Concentration, ControlError> {
        let today = start_of(self.now(), DAY_MS);
        let from = UnixMs(today - (i64::from(days.max(1)) - 1) * DAY_MS);
        let (snapshot, _) = self.running().snapshot();
        Ok(of(self.store(), &snapshot, from, UnixMs(today + DAY_MS), self.now()).await?)
    }
}

/// Whether a sum is of answers that a caller was given.
fn is_answer(sum: &MeterSum) -> bool {
    let asked = !matches!(
        sum.cell.cause,
        Cause::Shadow
            | Cause::Experiment
            | Cause::Judge
            | Cause::Guard
            | Cause::Drill
            | Cause::Correction
            | Cause::Capacity
    );
    asked && sum.cell.basis != Basis::UpperBound && sum.cell.end == "served"
}

fn add_up(sums: &[MeterSum], snapshot: &Snapshot, (from, to): (UnixMs, UnixMs), now: UnixMs) -> Concentration {
    let answered: Vec<&MeterSum> = sums.iter().filter(|sum| is_answer(sum)).collect();
    let region = |sum: &MeterSum| match sum.cell.region.as_str() {
        "" => "unknown".to_owned(),
        region => region.to_owned(),
    };
    Concentration {
        from,
        to,
        providers: shares(&answered, |sum| sum.cell.provider.to_string()),
        regions: shares(&answered, region),
        families: shares(&answered, |sum| family(&sum.cell.upstream_model)),
        gone: gone(&answered, snapshot, now),
    }
}

fn shares(sums: &[&MeterSum], name: impl Fn(&MeterSum) -> String) -> Vec<Share> {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for sum in sums {
        let share = shares.entry(name(sum)).or_default();
        share.answers += sum.attempts;
        share.booked = share.booked.saturating_add(sum.amount);
    }
    let answers: u64 = shares.values().map(|share| share.answers).sum();
    let booked: NanoUsd = shares.values().map(|share| share.booked).sum();
    let mut shares: Vec<Share> = shares
        .into_iter()
        .map(|(name, share)| Share {
            name,
            answers_millipercent: part(i128::from(share.answers), i128::from(answers)),
            booked_millipercent: part(i128::from(share.booked.0), i128::from(booked.0)),
            ..share
        })
        .collect();
    shares.sort_by(|a, b| b.answers.cmp(&a.answers).then_with(|| a.name.cmp(&b.name)));
    shares
}

/// Thousandths of a percent, rounded to the nearest; zero of nothing.
fn part(one: i128, all: i128) -> u64 {
    if all <= 0 { 0 } else { u64::try_from((one * 100_000 + all / 2) / all).unwrap_or(0) }
}

/// The letters that a vendor's model id begins with, behind what hosts put before it: `claude` of `anthropic.claude-3`.
fn family(model: &str) -> String {
    let last = model.rsplit('/').next().unwrap_or(model);
    let own = last.rsplit('.').find(|part| part.chars().next().is_some_and(char::is_alphabetic)).unwrap_or(last);
    // What follows a point may be a version's: `gpt-4.1-mini`.
    let own = if last.starts_with(own) || !own.contains('-') { last } else { own };
    let letters: String = own.chars().take_while(|letter| letter.is_alphabetic()).collect();
    if letters.is_empty() { "unknown".to_owned() } else { letters.to_lowercase() }
}

fn gone(sums: &[&MeterSum], snapshot: &Snapshot, now: UnixMs) -> Vec<Gone> {
    let providers = snapshot.providers.iter().map(|provider| {
        let lost = |model: &Model| model.provider.name == provider.name;
        (format!("provider {}", provider.name), models(snapshot, lost))
    });
    let regions: BTreeSet<&Region> = snapshot.models.iter().filter_map(|model| model.region.as_ref()).collect();
    let regions = regions.into_iter().map(|region| {
        let lost = |model: &Model| model.region.as_ref().is_some_and(|own| own.within(region));
        (format!("region {region}"), models(snapshot, lost))
    });
    let mut rows = Vec::new();
    for (what, lost) in providers.chain(regions) {
        for workflow in snapshot.workflows.values() {
            rows.extend(without(&what, &lost, workflow, sums, snapshot, now));
        }
    }
    rows
}

fn models(snapshot: &Snapshot, lost: impl Fn(&Model) -> bool) -> BTreeSet<usize> {
    snapshot.models.iter().filter(|model| lost(model)).map(|model| model.index).collect()
}

/// What becomes of one workflow; nothing where it neither had answers from there nor asks there first.
fn without(
    what: &str,
    lost: &BTreeSet<usize>,
    workflow: &Workflow,
    sums: &[&MeterSum],
    snapshot: &Snapshot,
    now: UnixMs,
) -> Option<Gone> {
    let own = || sums.iter().filter(|sum| sum.cell.workflow.as_ref() == Some(&workflow.name));
    let is_lost = |sum: &&&MeterSum| {
        snapshot.models.iter().any(|model| lost.contains(&model.index) && model.name == sum.cell.model)
    };
    let answers: u64 = own().filter(is_lost).map(|sum| sum.attempts).sum();
    let all: u64 = own().map(|sum| sum.attempts).sum();
    let first = workflow.lanes.first()?;
    let asks_there_first = first.models.iter().any(|model| lost.contains(model));
    if answers == 0 && !asks_there_first {
        return None;
    }
    let mut usage = Usage::ZERO;
    let mut booked = NanoUsd::ZERO;
    for sum in own().filter(is_lost) {
        booked += sum.amount;
        if let Some(meter) = sum.cell.meter {
            usage.add(meter, sum.units);
        }
    }
    let left = workflow.lanes.iter().find_map(|hops| {
        let lane = &snapshot.lanes[hops.lane];
        Some((hops, lane, chosen(hops, lane, lost, &usage, snapshot, now)?))
    });
    let added =
        left.as_ref().filter(|_| answers > 0).and_then(|(_, _, model)| Some(cost(&usage, model, now)? - booked));
    let first_lane = &snapshot.lanes[first.lane];
    let (risk, sentence) = match &left {
        None => (Risk::Fails, "nobody is left: its calls fail".to_owned()),
        Some((hops, lane, model)) if hops.lane == first.lane => {
            (Risk::Kept, format!("lane {} goes on with {}", lane.name, model.name))
        }
        Some((_, lane, model)) => (Risk::OtherLane, other_lane(first_lane, lane, model)),
    };
    Some(Gone {
        what: what.to_owned(),
        workflow: workflow.name.to_string(),
        answers,
        answers_millipercent: part(i128::from(answers), i128::from(all)),
        instead: left.map(|(_, lane, model)| Instead {
            lane: lane.name.to_string(),
            class: lane.class,
            model: model.name.to_string(),
            provider: model.provider.name.to_string(),
        }),
        added,
        risk,
        sentence,
    })
}

/// Which of a lane's models would be asked first of those that are left.
fn chosen<'s>(
    hops: &LaneHops,
    lane: &Lane,
    lost: &BTreeSet<usize>,
    usage: &Usage,
    snapshot: &'s Snapshot,
    now: UnixMs,
) -> Option<&'s Model> {
    let left = || hops.models.iter().filter(|index| !lost.contains(index)).map(|index| &*snapshot.models[*index]);
    match lane.pick {
        // Of equals the one that is declared first, as a call would have it.
        Pick::Best => left().reduce(|best, model| if model.quality_milli > best.quality_milli { model } else { best }),
        Pick::Cheapest => left().reduce(|best, model| match (cost(usage, model, now), cost(usage, best, now)) {
            (Some(cost), Some(least)) if cost < least => model,
            (Some(_), None) => model,
            _ => best,
        }),
        // How fast each will be is not known beforehand.
        _ => left().next(),
    }
}

/// What this usage costs at a model's price of now.
fn cost(usage: &Usage, model: &Model, now: UnixMs) -> Option<NanoUsd> {
    let mut row = model.price_at(now)?.clone();
    row.bands.clear();
    match price(usage, Some(&row), &Served { at: now, tier: None, region: None }) {
        Cost::Priced { total, .. } => Some(total),
        Cost::Unpriced { .. } | Cost::AtMost(_) => None,
    }
}

fn other_lane(first: &Lane, lane: &Lane, model: &Model) -> String {
    let mut sentence = format!("{} in lane {} (class {})", model.name, lane.name, lane.class);
    let ms = |most: Option<u64>| most.map_or("nothing".to_owned(), |ms| format!("{ms} ms"));
    if first.slo.first_token_p95_ms != lane.slo.first_token_p95_ms {
        let _ = write!(
            sentence,
            ", which promises {} for first tokens instead of {}",
            ms(lane.slo.first_token_p95_ms),
            ms(first.slo.first_token_p95_ms)
        );
    }
    if let (Some(promised), Some(quality)) = (first.slo.quality_milli, model.quality_milli)
        && quality < promised
    {
        let decimal = |milli: u32| format!("{}.{:03}", milli / 1_000, milli % 1_000);
        let _ = write!(sentence, ", quality {} where {} is promised", decimal(quality), decimal(promised));
    }
    sentence
}

impl Share {
    /// `99.9 %` of all answers.
    pub fn answers_percent(&self) -> String {
        percent(self.answers_millipercent)
    }

    /// The same of money.
    pub fn booked_percent(&self) -> String {
        percent(self.booked_millipercent)
    }
}

/// One decimal is enough for a share.
fn percent(millipercent: u64) -> String {
    let tenths = (millipercent + 50) / 100;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

impl Gone {
    /// Share of the workflow's answers.
    pub fn answers_percent(&self) -> String {
        percent(self.answers_millipercent)
    }

    /// What would be added, with its sign; a dash where nobody can say.
    pub fn added_text(&self) -> String {
        match self.added {
            None => "–".to_owned(),
            Some(added) if added.0 > 0 => format!("+{added}"),
            Some(added) => added.to_string(),
        }
    }
}

impl Risk {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Risk::Kept => "kept",
            Risk::OtherLane => "other_lane",
            Risk::Fails => "fails",
        }
    }
}

impl Concentration {
    /// The report for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (what, shares) in
            [("PROVIDER", &self.providers), ("REGION", &self.regions), ("MODEL FAMILY", &self.families)]
        {
            let _ = writeln!(out, "{what:24} {:>9} {:>8} {:>16} {:>8}", "ANSWERS", "SHARE", "BOOKED USD", "SHARE");
            for share in shares {
                let booked = share.booked.to_string();
                let (answers, money) = (share.answers_percent(), share.booked_percent());
                let _ = writeln!(out, "{:24} {:>9} {answers:>8} {booked:>16} {money:>8}", share.name, share.answers);
            }
            out.push('\n');
        }
        let _ = writeln!(out, "{:24} {:20} {:>8} {:>14}  WHAT THEN", "IF GONE", "WORKFLOW", "SHARE", "ADDED USD");
        for row in &self.gone {
            let (share, added) = (row.answers_percent(), row.added_text());
            let _ = writeln!(out, "{:24} {:20} {share:>8} {added:>14}  {}", row.what, row.workflow, row.sentence);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Catalog, Input};
    use domain::{Meter, PicoUsd};
    use ledger::cells::Cell;

    const NOW: UnixMs = UnixMs(1_767_225_600_000);
    const TEXT: &str = "
[providers.a]
dialect = \"openai-chat\"
base_url = \"http://127.0.0.1:1/v1\"
region = \"us\"
[providers.b]
dialect = \"openai-chat\"
base_url = \"http://127.0.0.1:2/v1\"
region = \"eu-fr\"
[models.large]
provider = \"a\"
model = \"claude-9\"
price = { input = \"3\", output = \"15\" }
[models.small]
provider = \"b\"
model = \"mistral-9\"
price = { input = \"1\", output = \"5\" }
[lanes.premium]
class = \"A\"
models = [\"large\"]
pick = \"best\"
slo = { first_token_p95_ms = 2000 }
[lanes.standard]
class = \"B\"
models = [\"small\"]
pick = \"cheapest\"
[criticality.high]
lanes = [\"premium\", \"standard\"]
[criticality.bound]
lanes = [\"premium\"]
[workflows.triage]
criticality = \"high\"
[workflows.stuck]
criticality = \"bound\"
";

    fn snapshot() -> Snapshot {
        let input = Input {
            file_name: "freehold.toml",
            text: TEXT,
            catalog: &Catalog::default(),
            environment: &|_| None,
            read_secret_file: &|_| Err("there is none".into()),
            now: NOW,
        };
        config::check(&input).unwrap()
    }

    fn sum(workflow: &str, model: &str, provider: &str, attempts: u64, meter: Meter, units: u64, usd: u64) -> MeterSum {
        let cell = Cell {
            workflow: Some(workflow.into()),
            model: model.into(),
            upstream_model: if model == "large" { "claude-9".into() } else { "mistral-9".into() },
            provider: provider.into(),
            region: if provider == "a" { "us".into() } else { "eu-fr".into() },
            cause: Cause::Serve,
            end: "served",
            meter: Some(meter),
            price_row: "p".into(),
            price: PicoUsd(0),
            basis: Basis::Reported,
        };
        MeterSum { start: UnixMs(0), cell, attempts, units, amount: NanoUsd(usd as i64 * 1_000_000_000) }
    }

    #[test]
    fn shares_are_of_answers_and_of_money_and_a_replacement_has_its_price() {
        let sums = [
            sum("triage", "large", "a", 3, Meter::Input, 1_000_000, 3),
            sum("triage", "large", "a", 0, Meter::Output, 200_000, 3),
            sum("triage", "small", "b", 1, Meter::Input, 1_000_000, 1),
        ];
        let found = add_up(&sums, &snapshot(), (UnixMs(0), UnixMs(1)), NOW);
        let names: Vec<(&str, u64, String)> =
            found.providers.iter().map(|share| (share.name.as_str(), share.answers, share.booked_percent())).collect();
        assert_eq!(names, [("a", 3, "85.7 %".to_owned()), ("b", 1, "14.3 %".to_owned())]);
        assert_eq!(found.families.iter().map(|share| share.name.as_str()).collect::<Vec<_>>(), ["claude", "mistral"]);
        let row = |what: &str, workflow: &str| {
            found
                .gone
                .iter()
                .find(|row| row.what == what && row.workflow == workflow)
                .unwrap_or_else(|| panic!("{what}"))
        };
        let triage = row("provider a", "triage");
        // A million in at 1 USD and 200,000 out at 5 USD a million: 2 USD instead of 6.
        assert_eq!((triage.added, triage.risk), (Some(NanoUsd(-4_000_000_000)), Risk::OtherLane));
        assert!(
            triage.sentence.contains("promises nothing for first tokens instead of 2000 ms"),
            "{}",
            triage.sentence
        );
        assert_eq!((row("region us", "stuck").risk, row("region us", "stuck").added), (Risk::Fails, None));
        let small = row("provider b", "triage");
        assert_eq!((small.answers, small.risk), (1, Risk::Kept));
    }

    #[test]
    fn a_family_is_what_a_models_name_begins_with() {
        let families =
            ["gpt-4.1-mini", "anthropic.claude-3-5", "meta-llama/Llama-3.3-70B", "o3", "eu.amazon.nova-pro-v1:0"];
        assert_eq!(families.map(family), ["gpt", "claude", "llama", "o", "nova"]);
    }
}
