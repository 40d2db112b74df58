//! What of lanes that promise something goes to and comes from outside the gateway: what monitors see of them, and what is
//! kept of their events for the next start.

use config::Lane;
use domain::UnixMs;
use gateway::deployed::Deployed;
use routing::slo::budget::Events;
use routing::slo::lane::Counted;
use routing::slo::{ALERTS, BUDGET_MS, HOUR_MS, Indicator, LaneStanding, MINUTE_MS, Span};
use store::{LaneEvents, Store, StoreError};

/// A gauge: its name, what it is, and its series of one lane, each with its labels behind the lane's.
type Gauge = (&'static str, &'static str, fn(&LaneStanding, &[String]) -> Vec<(String, String)>);

const GAUGES: [Gauge; 5] = [
    ("freehold_lane_events", "Events of a lane's promise in 30 days, as this instance counted them.", events_series),
    ("freehold_lane_budget_left_permille", "What is left of a budget of errors for 30 days, thousandths.", left),
    (
        "freehold_lane_burn_permille",
        "Use of a budget of errors over the long window, thousandths of an even use.",
        burns,
    ),
    ("freehold_lane_level", "How many of the four burn alerts up to the fastest that holds.", level),
    (
        "freehold_lane_kept_permille",
        "Share of the calls of a criticality that still begin in the lane, thousandths.",
        kept,
    ),
];

/// Every line, without an end.
pub fn lines(deployed: &Deployed, now: UnixMs) -> Vec<String> {
    let lanes = deployed.snapshot.lanes.iter();
    let standings: Vec<(&Lane, LaneStanding)> =
        lanes.filter_map(|lane| Some((&**lane, deployed.promises.standing(lane.index, now)?))).collect();
    let mut classes: Vec<String> = deployed.snapshot.criticality.iter().map(|class| class.name.clone()).collect();
    classes.push("(direct)".to_owned());
    let mut lines = Vec::new();
    for (name, help, series) in GAUGES.iter().filter(|_| !standings.is_empty()) {
        lines.push(format!("# HELP {name} {help}"));
        lines.push(format!("# TYPE {name} gauge"));
        for (lane, standing) in &standings {
            let of_lane = series(standing, &classes).into_iter();
            lines.extend(of_lane.map(|(labels, value)| format!("{name}{{lane=\"{}\"{labels}}} {value}", lane.name)));
        }
    }
    lines.extend(vendors(deployed));
    lines
}

/// What each vendor has of the criticalities that have a limit.
fn vendors(deployed: &Deployed) -> Vec<String> {
    let name = "freehold_vendor_attempts";
    let shares = deployed.traffic.shares(&deployed.snapshot);
    if shares.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        format!("# HELP {name} Attempts of a criticality that went to a vendor, of those that its limit counts."),
        format!("# TYPE {name} gauge"),
    ];
    let line = |(class, vendor, count): &(String, String, usize)| {
        format!("{name}{{criticality=\"{class}\",vendor=\"{vendor}\"}} {count}")
    };
    lines.extend(shares.iter().map(line));
    lines
}

/// What was counted since `from`, as the store keeps it.
pub fn events(deployed: &Deployed, from: UnixMs) -> Vec<LaneEvents> {
    let counted = deployed.promises.counted(from).into_iter();
    let kept = |(lane, one): (usize, Counted)| LaneEvents {
        lane: deployed.snapshot.lanes[lane].name.to_string(),
        indicator: one.indicator.as_str().to_owned(),
        within_ms: one.within_ms.unwrap_or(0),
        width_ms: one.width_ms,
        start: one.start,
        good: one.events.good,
        bad: one.events.bad,
    };
    counted.map(kept).collect()
}

/// Tells a gateway what this instance counted before it was started: minute by minute where windows of minutes look, else hour by
/// hour.
pub async fn remember(deployed: &Deployed, store: &Store, now: UnixMs) -> Result<(), StoreError> {
    let minutes_from = now - 6 * HOUR_MS;
    let minutes_from = UnixMs(minutes_from.0 - minutes_from.0.rem_euclid(HOUR_MS.cast_signed()));
    let hours = store.lane_events(HOUR_MS, now - BUDGET_MS).await?;
    let minutes = store.lane_events(MINUTE_MS, minutes_from).await?;
    for one in hours.iter().filter(|one| one.start < minutes_from).chain(&minutes) {
        let lane = deployed.snapshot.lanes.iter().position(|lane| lane.name.as_str() == one.lane);
        let indicator = Indicator::ALL.into_iter().find(|indicator| indicator.as_str() == one.indicator);
        let (Some(lane), Some(indicator)) = (lane, indicator) else { continue };
        let within_ms = Some(one.within_ms).filter(|ms| *ms > 0);
        let events = Events { good: one.good, bad: one.bad };
        let counted = Counted { indicator, within_ms, width_ms: one.width_ms, start: one.start, events };
        deployed.promises.restore(lane, &counted, now);
    }
    Ok(())
}

fn events_series(standing: &LaneStanding, _: &[String]) -> Vec<(String, String)> {
    let of_promise = |promise: &routing::slo::lane::Promise| {
        let events = promise.reading.events;
        let series = |verdict: &str, count: u64| {
            (format!(",indicator=\"{}\",verdict=\"{verdict}\"", promise.indicator.as_str()), count.to_string())
        };
        [series("good", events.good), series("bad", events.bad)]
    };
    standing.promises.iter().flat_map(of_promise).collect()
}

fn left(standing: &LaneStanding, _: &[String]) -> Vec<(String, String)> {
    let promises = standing.promises.iter();
    let of_promise = |promise: &routing::slo::lane::Promise| {
        (format!(",indicator=\"{}\"", promise.indicator.as_str()), promise.reading.left_permille.to_string())
    };
    promises.map(of_promise).collect()
}

fn burns(standing: &LaneStanding, _: &[String]) -> Vec<(String, String)> {
    let of_promise = |promise: &routing::slo::lane::Promise| {
        let indicator = promise.indicator.as_str();
        let of_alert = |(alert, burn): (&routing::slo::Alert, &routing::slo::budget::Burn)| {
            let window = Span(alert.long_ms).to_string().replace(' ', "");
            (format!(",indicator=\"{indicator}\",window=\"{window}\""), burn.long_milli.to_string())
        };
        ALERTS.iter().zip(&promise.reading.burns).map(of_alert).collect::<Vec<_>>()
    };
    standing.promises.iter().flat_map(of_promise).collect()
}

fn level(standing: &LaneStanding, _: &[String]) -> Vec<(String, String)> {
    vec![(String::new(), standing.level.to_string())]
}

fn kept(standing: &LaneStanding, classes: &[String]) -> Vec<(String, String)> {
    let each = classes.iter().zip(&standing.kept_permille);
    each.map(|(class, kept)| (format!(",criticality=\"{class}\""), kept.to_string())).collect()
}
