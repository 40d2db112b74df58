//! What came of a drill: which workflows broke which promise, for how long, what it cost, and what held.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::NanoUsd;
use serde::Serialize;

use crate::load::{End, Heard};
use crate::plan::Plan;
use crate::scenario::{Expect, Scenario, Shock, What};
use crate::units::{duration, percent};
use crate::world::Ran;

/// A drill's outcome, as JSON has it. Money is in dollars, exactly; shares are in thousandths of a percent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// What people call it.
    pub title: String,
    /// The question it asked.
    pub asks: String,
    /// From what all chance came.
    pub seed: u64,
    /// How long calls came in, milliseconds of virtual time.
    pub lasts_ms: u64,
    /// Whether every expectation held.
    pub held: bool,
    /// What went wrong, in order.
    pub shocks: Vec<Shown>,
    /// How each workflow fared.
    pub workflows: Vec<Fared>,
    /// What everything cost, dollars.
    pub cost_usd: String,
    /// What the same calls cost without the shocks, dollars.
    pub cost_without_usd: String,
    /// What was spent on attempts that did not answer, dollars.
    pub wasted_usd: String,
    /// Attempts, by why they were made.
    pub attempts: BTreeMap<String, u64>,
    /// Attempts that failed, by fault.
    pub faults: BTreeMap<String, u64>,
    /// Failed calls, by what decided them.
    pub failures: Vec<Decided>,
}

/// A shock, in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Shown {
    /// What and to whom.
    pub what: String,
    /// When it began, milliseconds.
    pub from_ms: u64,
    /// When it was over, milliseconds.
    pub to_ms: u64,
}

/// Failed calls of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Decided {
    /// The row of the truth table, or the code that Freehold refused with.
    pub row: String,
    /// How many.
    pub calls: u64,
    /// Whether the truth table had a way on: then nothing was left to try.
    pub can_be_saved: bool,
}

/// How a workflow fared.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fared {
    /// Which.
    pub workflow: String,
    /// Calls made.
    pub calls: u64,
    /// Calls answered in full.
    pub answered: u64,
    /// Share of calls answered in full, thousandths of a percent.
    pub success_millipercent: u64,
    /// Calls that were not, by the code they were told, `broken off` or `lost`.
    pub failed: BTreeMap<String, u64>,
    /// Time to the first token of answered streamed calls, milliseconds: median, 95th and 99th percentile.
    pub first_token_ms: [u64; 3],
    /// The same without the shocks.
    pub first_token_without_ms: [u64; 3],
    /// Time to the end of answered calls, milliseconds: median, 95th and 99th percentile.
    pub total_ms: [u64; 3],
    /// How its lane's service level was broken; absent where the lane promises nothing.
    pub slo: Option<Broken>,
    /// What it cost, dollars.
    pub cost_usd: String,
    /// What it cost without the shocks, dollars.
    pub cost_without_usd: String,
    /// The one of the other, percent; absent where it cost nothing without them.
    pub cost_percent: Option<u64>,
    /// What of it went to attempts that did not answer, dollars.
    pub wasted_usd: String,
    /// Who answered.
    pub served: Vec<Served>,
    /// What was expected, and whether it held.
    pub expected: Vec<Verdict>,
    /// Minute by minute.
    pub minutes: Minutes,
}

/// Who answered how many calls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Served {
    /// Through which lane.
    pub lane: String,
    /// Which model.
    pub model: String,
    /// How many calls.
    pub calls: u64,
}

/// How a service level was broken, looked at minute by minute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Broken {
    /// What it promises, in words.
    pub promise: String,
    /// In how many minutes it was broken.
    pub minutes: u64,
    /// The longest stretch of such minutes.
    pub longest_minutes: u64,
    /// The first such minute, counted from 0.
    pub first_minute: Option<u64>,
    /// The last.
    pub last_minute: Option<u64>,
}

/// One expectation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    /// What, how much of it was expected, and how much was found.
    pub sentence: String,
    /// Whether it held.
    pub held: bool,
}

/// What happened in each minute in which calls came in.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Minutes {
    /// Calls made.
    pub calls: Vec<u64>,
    /// Of these, not answered in full.
    pub failed: Vec<u64>,
    /// 95th percentile of the time to the first token, milliseconds; 0 where nothing was answered.
    pub first_token_p95_ms: Vec<u64>,
    /// The same without the shocks.
    pub first_token_p95_without_ms: Vec<u64>,
    /// Booked, nano-dollars.
    pub nano_usd: Vec<i64>,
    /// The same without the shocks.
    pub nano_usd_without: Vec<i64>,
}

impl Report {
    /// What a run with shocks and one without come to.
    pub fn new(scenario: &Scenario, plan: &Plan, expectations: &[Expect], with: &Ran, without: &Ran) -> Report {
        let minutes = usize::try_from(plan.lasts_ms.div_ceil(60_000)).unwrap_or(usize::MAX);
        let workflows: Vec<Fared> = (0..plan.load.len())
            .map(|place| fared(plan, place, &expectations[place], (with, without), minutes))
            .collect();
        let named = |counts: &BTreeMap<domain::FaultClass, u64>| {
            counts.iter().map(|(class, count)| (class.to_string(), *count)).collect()
        };
        let failures = with.books.rows.iter();
        Report {
            title: scenario.title.clone(),
            asks: scenario.asks.clone(),
            seed: plan.seed,
            lasts_ms: plan.lasts_ms,
            held: workflows.iter().flat_map(|one| &one.expected).all(|verdict| verdict.held),
            shocks: scenario.shocks.iter().map(shown).collect(),
            workflows,
            cost_usd: with.books.total().to_string(),
            cost_without_usd: without.books.total().to_string(),
            wasted_usd: with.books.wasted.values().copied().sum::<NanoUsd>().to_string(),
            attempts: with.books.causes.iter().map(|(cause, count)| (cause.as_str().to_owned(), *count)).collect(),
            faults: named(&with.books.faults),
            failures: failures
                .map(|(row, calls)| Decided { row: row.words(), calls: *calls, can_be_saved: row.can_be_saved() })
                .collect(),
        }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.title, self.asks);
        for shock in &self.shocks {
            let _ = writeln!(text, "  {} to {}: {}", duration(shock.from_ms), duration(shock.to_ms), shock.what);
        }
        for one in &self.workflows {
            let _ = writeln!(
                text,
                "\n{}: {} of {} calls answered ({}), first token p50 {} ms, p95 {} ms ({} ms without), {} USD ({} without)",
                one.workflow,
                one.answered,
                one.calls,
                percent(one.success_millipercent),
                one.first_token_ms[0],
                one.first_token_ms[1],
                one.first_token_without_ms[1],
                one.cost_usd,
                one.cost_without_usd,
            );
            if !one.failed.is_empty() {
                let failed: Vec<String> = one.failed.iter().map(|(code, calls)| format!("{calls} {code}")).collect();
                let _ = writeln!(text, "  not answered: {}", failed.join(", "));
            }
            let served: Vec<String> =
                one.served.iter().map(|by| format!("{} by {} in {}", by.calls, by.model, by.lane)).collect();
            let _ = writeln!(text, "  served: {}", served.join(", "));
            if let Some(slo) = &one.slo {
                let _ = writeln!(text, "  {}", slo.sentence());
            }
            for verdict in &one.expected {
                let _ = writeln!(text, "  {} {}", if verdict.held { "held  " } else { "BROKEN" }, verdict.sentence);
            }
        }
        if !self.failures.is_empty() {
            text.push_str("\ncalls that failed, by what decided them\n");
            for row in &self.failures {
                let _ = writeln!(text, "  {:>7}  {}", row.calls, row.row);
            }
        }
        let attempts: Vec<String> = self.attempts.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        let _ = writeln!(
            text,
            "\nattempts: {}; {} USD of {} went to attempts that did not answer; {} USD without the shocks\n{}",
            attempts.join(", "),
            self.wasted_usd,
            self.cost_usd,
            self.cost_without_usd,
            if self.held { "everything held" } else { "not everything held" },
        );
        text
    }

    /// For a pipeline.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain values") + "\n"
    }
}

impl Broken {
    /// In words.
    pub fn sentence(&self) -> String {
        match (self.first_minute, self.last_minute) {
            (Some(first), Some(last)) => format!(
                "{}: broken in {} minutes, {} at a stretch, first in minute {first}, last in minute {last}",
                self.promise, self.minutes, self.longest_minutes
            ),
            _ => format!("{}: kept in every minute", self.promise),
        }
    }
}

fn shown(shock: &Shock) -> Shown {
    let what = match &shock.what {
        What::Gone => "gone".to_owned(),
        What::Quota { requests_per_minute } => format!("quota cut to {requests_per_minute} requests a minute"),
        What::Price { percent } => format!("prices at {percent} %"),
        What::Fault { kind, delay_ms, .. } => {
            let name = serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned));
            let name = name.unwrap_or_default().replace('_', " ");
            delay_ms.map_or(name.clone(), |ms| format!("{name} by {}", duration(ms)))
        }
    };
    let share = if shock.percent < 100.0 { format!(", {} % of calls", shock.percent) } else { String::new() };
    let bursts = shock
        .bursts
        .map_or_else(String::new, |(every, length)| format!(", for {} in every {}", duration(length), duration(every)));
    Shown {
        what: format!("{}: {what}{share}{bursts}", shock.target.words()),
        from_ms: shock.at_ms,
        to_ms: shock.at_ms + shock.lasts_ms,
    }
}

fn fared(plan: &Plan, place: usize, expect: &Expect, (with, without): (&Ran, &Ran), minutes: usize) -> Fared {
    let asking = &plan.load[place];
    let workflow = asking.workflow.as_str();
    let own: Vec<&Heard> = with.heard.iter().filter(|heard| heard.workflow == place).collect();
    let calm: Vec<&Heard> = without.heard.iter().filter(|heard| heard.workflow == place).collect();
    let mut failed = BTreeMap::new();
    for heard in &own {
        let code = match &heard.end {
            End::Answered => continue,
            End::Refused(code) => code.clone(),
            End::BrokenOff => "broken off".to_owned(),
            End::Lost(_) => "lost".to_owned(),
        };
        *failed.entry(code).or_default() += 1;
    }
    let calls = own.len() as u64;
    let answered = calls - failed.values().sum::<u64>();
    let success_millipercent = (answered * 100_000).checked_div(calls).unwrap_or(100_000);
    let timeline = timeline(workflow, (&own, &calm), (with, without), minutes);
    let slo = plan.slo(asking);
    let broken = broken(&slo, &timeline);
    let (cost, cost_without) = (with.books.of(workflow), without.books.of(workflow));
    let cost_percent = (cost_without.0 > 0)
        .then(|| u64::try_from(i128::from(cost.0) * 100 / i128::from(cost_without.0)).unwrap_or(u64::MAX));
    let first_token_ms = percentiles(firsts(&own));
    let total_ms =
        percentiles(own.iter().filter(|heard| heard.end == End::Answered).map(|heard| heard.total_ms).collect());
    let served = with.books.served.get(workflow).into_iter().flatten();
    let mut served: Vec<Served> = served
        .map(|((lane, model), calls)| Served { lane: lane.clone(), model: model.clone(), calls: *calls })
        .collect();
    served.sort_by_key(|by| std::cmp::Reverse(by.calls));
    Fared {
        workflow: workflow.to_owned(),
        calls,
        answered,
        success_millipercent,
        failed,
        first_token_ms,
        first_token_without_ms: percentiles(firsts(&calm)),
        total_ms,
        expected: verdicts(expect, success_millipercent, first_token_ms[1], total_ms[1], broken.as_ref(), cost_percent),
        slo: broken,
        cost_usd: cost.to_string(),
        cost_without_usd: cost_without.to_string(),
        cost_percent,
        wasted_usd: with.books.wasted.get(workflow).copied().unwrap_or(NanoUsd::ZERO).to_string(),
        served,
        minutes: timeline,
    }
}

fn firsts(heard: &[&Heard]) -> Vec<u64> {
    heard.iter().filter(|heard| heard.end == End::Answered).filter_map(|heard| heard.first_ms).collect()
}

/// Median, 95th and 99th percentile by nearest rank; zeros of nothing.
fn percentiles(mut values: Vec<u64>) -> [u64; 3] {
    values.sort_unstable();
    let rank = |percent: usize| match values.len() {
        0 => 0,
        count => values[(count * percent).div_ceil(100).max(1) - 1],
    };
    [rank(50), rank(95), rank(99)]
}

fn timeline(
    workflow: &str,
    (own, calm): (&[&Heard], &[&Heard]),
    (with, without): (&Ran, &Ran),
    minutes: usize,
) -> Minutes {
    let by_minute = |heard: &[&Heard]| {
        let mut firsts = vec![Vec::new(); minutes];
        for one in heard.iter().filter(|heard| heard.end == End::Answered) {
            let minute = usize::try_from(one.at_ms / 60_000).unwrap_or(usize::MAX);
            if let (Some(minute), Some(first_ms)) = (firsts.get_mut(minute), one.first_ms) {
                minute.push(first_ms);
            }
        }
        firsts.into_iter().map(|firsts| percentiles(firsts)[1]).collect::<Vec<u64>>()
    };
    let mut line = Minutes {
        calls: vec![0; minutes],
        failed: vec![0; minutes],
        first_token_p95_ms: by_minute(own),
        first_token_p95_without_ms: by_minute(calm),
        nano_usd: spent(with, workflow, minutes),
        nano_usd_without: spent(without, workflow, minutes),
    };
    for heard in own {
        let minute = usize::try_from(heard.at_ms / 60_000).unwrap_or(usize::MAX);
        if minute < minutes {
            line.calls[minute] += 1;
            line.failed[minute] += u64::from(heard.end != End::Answered);
        }
    }
    line
}

/// What was booked in each minute; what came after the last call was made counts with the last minute.
fn spent(ran: &Ran, workflow: &str, minutes: usize) -> Vec<i64> {
    let mut line = vec![0; minutes];
    for (minute, amount) in ran.books.spent.get(workflow).into_iter().flatten().enumerate() {
        if let Some(cell) = line.get_mut(minute.min(minutes.saturating_sub(1))) {
            *cell += amount.0;
        }
    }
    line
}

fn broken(slo: &config::Slo, line: &Minutes) -> Option<Broken> {
    let mut promise = Vec::new();
    promise.extend(slo.first_token_p95_ms.map(|ms| format!("first token p95 within {ms} ms")));
    promise.extend(slo.success_millipercent.map(|share| format!("{} answered", percent(u64::from(share)))));
    if promise.is_empty() {
        return None;
    }
    let is_broken = |minute: &usize| {
        let (calls, failed) = (line.calls[*minute], line.failed[*minute]);
        let slow = slo.first_token_p95_ms.is_some_and(|most| line.first_token_p95_ms[*minute] > most);
        let lossy = slo
            .success_millipercent
            .is_some_and(|least| calls > 0 && (calls - failed) * 100_000 < u64::from(least) * calls);
        slow || lossy
    };
    let minutes: Vec<usize> = (0..line.calls.len()).filter(is_broken).collect();
    let mut longest = 0;
    let mut stretch = 0;
    let mut before = None;
    for minute in &minutes {
        stretch = if before == minute.checked_sub(1) && before.is_some() { stretch + 1 } else { 1 };
        longest = longest.max(stretch);
        before = Some(*minute);
    }
    Some(Broken {
        promise: promise.join(", "),
        minutes: minutes.len() as u64,
        longest_minutes: longest,
        first_minute: minutes.first().map(|minute| *minute as u64),
        last_minute: minutes.last().map(|minute| *minute as u64),
    })
}

fn verdicts(
    expect: &Expect,
    success: u64,
    first_p95: u64,
    total_p95: u64,
    broken: Option<&Broken>,
    cost_percent: Option<u64>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |held: bool, sentence: String| verdicts.push(Verdict { sentence, held });
    if let Some(least) = expect.success_millipercent.map(u64::from) {
        say(success >= least, format!("{} answered, at least {} expected", percent(success), percent(least)));
    }
    if let Some(most) = expect.first_token_p95_ms {
        say(first_p95 <= most, format!("first token p95 {first_p95} ms, at most {most} ms expected"));
    }
    if let Some(most) = expect.total_p95_ms {
        say(total_p95 <= most, format!("end p95 {total_p95} ms, at most {most} ms expected"));
    }
    if let Some(most) = expect.broken_minutes {
        let minutes = broken.map_or(0, |broken| broken.minutes);
        say(minutes <= most, format!("service level broken in {minutes} minutes, at most {most} expected"));
    }
    if let Some(most) = expect.cost_percent {
        match cost_percent {
            Some(cost) => {
                say(cost <= most, format!("cost {cost} % of what it costs without, at most {most} % expected"))
            }
            None => say(true, "cost nothing without the shocks, so there is nothing to compare".to_owned()),
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(percentiles((1..=100).collect()), [50, 95, 99]);
        assert_eq!(percentiles(vec![7]), [7, 7, 7]);
        assert_eq!(percentiles(Vec::new()), [0, 0, 0]);
    }

    #[test]
    fn the_longest_stretch_of_broken_minutes_is_told_from_their_number() {
        let slo = config::Slo { success_millipercent: Some(100_000), ..config::Slo::default() };
        let failed = vec![0, 1, 1, 0, 1, 1, 1, 0];
        let line = Minutes { calls: vec![10; 8], first_token_p95_ms: vec![0; 8], failed, ..Minutes::default() };
        let broken = broken(&slo, &line).unwrap();
        assert_eq!((broken.minutes, broken.longest_minutes), (5, 3));
        assert_eq!((broken.first_minute, broken.last_minute), (Some(1), Some(6)));
    }
}
