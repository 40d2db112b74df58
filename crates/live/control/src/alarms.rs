//! What needs somebody's eye, each as a stable code and a sentence that says what to do next.

use domain::UnixMs;
use ledger::{Amount, Window};
use routing::State;
use routing::slo::ALERTS;
use store::rollup::{DAY_MS, start_of};
use store::{DifferenceSum, Dimension, SegmentState, SpendRow};

use crate::control::Control;
use crate::failure::ControlError;
use crate::ports::Running;
use crate::views::{Alarm, BudgetNow};

#[path = "alarms_money.rs"]
mod money;

/// Age of the oldest waiting fact that is worth an alarm, milliseconds.
const BEHIND_MS: u64 = 10_000;

/// Starts of the UTC day and month of a time.
#[derive(Clone, Copy)]
pub(crate) struct Today {
    pub day: UnixMs,
    pub month: UnixMs,
}

impl Today {
    pub fn of(now: UnixMs) -> Today {
        Today { day: UnixMs(start_of(now, DAY_MS)), month: Window::MONTH.bounds(now).0 }
    }
}

/// Every alarm there is now.
pub(crate) async fn all(control: &Control, today: Today, budgets: &[BudgetNow]) -> Result<Vec<Alarm>, ControlError> {
    let running = control.running();
    let mut alarms: Vec<Alarm> = running
        .rejected()
        .into_iter()
        .map(|reason| {
            alarm("configuration_rejected", format!("the configuration on disk is not the one that runs: {reason}"))
        })
        .collect();
    alarms.extend(breakers(running));
    alarms.extend(anomalies(running));
    alarms.extend(burns(running));
    let without = running.without_token().into_iter();
    alarms.extend(without.map(|(_, at, why)| alarm("no_token", format!("{why} (last tried {at})"))));
    for (model, row) in control.store().spend_by(Dimension::Model, today.day, today.day).await? {
        alarms.extend(books(&model, &row));
    }
    alarms.extend(money::all(control, today).await?);
    let differing = control.store().cost_differences_by_model(today.day).await?;
    alarms.extend(differing.iter().map(|(model, sum)| differs(model, sum)));
    alarms.extend(budgets.iter().filter(|budget| budget.overrun > Amount::ZERO).map(overrun));
    alarms.extend(behind(running.spool_behind()));
    let segments = control.store().segments().await?;
    alarms.extend(segments.iter().filter(|segment| segment.corrupt_lines > 0).map(corrupt));
    Ok(alarms)
}

fn breakers(running: &dyn Running) -> Vec<Alarm> {
    let (snapshot, _) = running.snapshot();
    let mut alarms = Vec::new();
    for model in &snapshot.models {
        let Some(health) = running.health(&model.name) else { continue };
        let what = match health.state {
            State::Closed => continue,
            State::Open => "gets no calls",
            State::HalfOpen => "is tried again with single calls",
        };
        let fault = health.last_fault.map_or_else(String::new, |fault| format!("; its last fault was {}", fault.class));
        alarms.push(alarm("breaker_open", format!("model `{}` {what} since {}{fault}", model.name, health.since)));
    }
    alarms
}

fn anomalies(running: &dyn Running) -> impl Iterator<Item = Alarm> {
    let standing = running.anomalies().anomalies.into_iter().filter(|one| one.until.is_none());
    standing.map(|one| {
        let led = if one.moves {
            "its calls go elsewhere until it is over"
        } else {
            "its calls go on; `on_anomaly` could lead them elsewhere"
        };
        alarm("anomaly", format!("{}: {} since {}; {led}", one.subject, one.sentence, one.since))
    })
}

/// Lanes that use up what they may break too fast.
fn burns(running: &dyn Running) -> Vec<Alarm> {
    let (snapshot, _) = running.snapshot();
    let mut alarms = Vec::new();
    for lane in &snapshot.lanes {
        let Some(standing) = running.lane_standing(&lane.name) else { continue };
        let Some(alert) = standing.level.checked_sub(1).and_then(|index| ALERTS.get(index)) else { continue };
        let left = standing.promises.iter().map(|promise| promise.reading.left_permille).min().unwrap_or(1000);
        let code = if alert.pages { "lane_burns" } else { "lane_burns_slowly" };
        let message = format!(
            "lane `{}` does not keep its promise: {}; of its budget for 30 days {} percent are left. Calls are moved to the next \
             lane of their criticality, the least critical first; the page Lanes shows how many",
            lane.name,
            standing.reason,
            left.div_euclid(10)
        );
        alarms.push(alarm(code, message));
    }
    alarms
}

fn books(model: &str, row: &SpendRow) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    if row.unpriced_today > 0 {
        let message = format!(
            "{} attempts of model `{model}` today used something without a price, which is missing from every sum; \
             give `models.{model}` a `price`",
            row.unpriced_today
        );
        alarms.push(alarm("unpriced", message));
    }
    if row.indeterminate_today > 0 {
        let message = format!(
            "{} attempts of model `{model}` today were in flight when Freehold was killed; each is booked with the most it \
             can have cost. Compare with the provider's own usage page",
            row.indeterminate_today
        );
        alarms.push(alarm("indeterminate", message));
    }
    alarms
}

fn differs(model: &str, sum: &DifferenceSum) -> Alarm {
    let message = format!(
        "{} attempts of model `{model}` today were booked at {} USD, and their provider says {} USD; more than 0.5 percent apart each. \
         `freehold ledger export --differing` lists them; compare the provider's price list with ours",
        sum.attempts, sum.ours, sum.theirs
    );
    alarm("provider_cost", message)
}

fn overrun(budget: &BudgetNow) -> Alarm {
    let message = format!(
        "{} was billed {} USD above what its providers had declared as the most; compare with their bill",
        budget.scope,
        budget.measure.shown(budget.overrun)
    );
    alarm("overrun", message)
}

fn behind((bytes, age_ms): (u64, u64)) -> Option<Alarm> {
    let message = format!(
        "the store has not taken records for {} seconds ({bytes} bytes wait in the spool): pages and exports are behind, \
         calls are not. The log says why",
        age_ms / 1000
    );
    (age_ms >= BEHIND_MS).then(|| alarm("spool_behind", message))
}

fn corrupt(segment: &SegmentState) -> Alarm {
    let message = format!(
        "{} lines of spool segment {} cannot be read, the first at byte {}; the rest was taken over. Compare with the \
         providers' usage of that time, then delete the .bad file",
        segment.corrupt_lines,
        segment.name,
        segment.corrupt_offset.unwrap_or(0)
    );
    alarm("spool_corrupt", message)
}

fn alarm(code: &str, message: String) -> Alarm {
    Alarm { code: code.to_owned(), message }
}
