//! Lanes: their models, how each is doing, and what it costs.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use control::views::{BudgetNow, LaneView, ModelView, MoveView};
use domain::{Class, UnixMs};
use ledger::Measure;
use routing::slo::budget::Burn;
use routing::slo::lane::Promise;
use routing::slo::{ALERTS, Alert, Span, Times};
use routing::{HealthView, QuotaView, State as Breaker};
use serde::Deserialize;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, Live, draw};
use crate::pages::error;
use crate::show::{self, Mark, When};

#[derive(Template)]
#[template(path = "lanes.html")]
struct LanesPage {
    frame: Frame,
    lanes: Vec<LaneShown>,
}

struct LaneShown {
    anchor: String,
    name: String,
    class: Mark,
    pick: String,
    slo: Vec<String>,
    sentence: String,
    promises: Vec<PromiseShown>,
    moves: Vec<MoveShown>,
    models: Vec<ModelShown>,
}

struct PromiseShown {
    what: String,
    target: String,
    kept: String,
    events: String,
    left: Mark,
    burns: Vec<BurnShown>,
}

struct BurnShown {
    windows: String,
    long: String,
    short: Mark,
}

struct MoveShown {
    from: String,
    why: String,
    stays: String,
}

struct ModelShown {
    name: String,
    upstream: String,
    provider: String,
    breaker: Mark,
    breaker_note: String,
    failed: String,
    samples: String,
    first_token_p50: String,
    first_token_p95: String,
    prices: Vec<(String, String)>,
    unpriced: Mark,
    price_source: String,
    quality: String,
    region: String,
    /// How much of its own limits is used.
    limits: Vec<String>,
}

/// Whether the page renews itself.
#[derive(Debug, Deserialize)]
pub struct Choice {
    live: Option<u8>,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Query(choice): Query<Choice>) -> Response {
    match desk.source.lanes().await {
        Ok(lanes) => {
            let now = desk.source.now();
            let live = Live::unless_paused(choice.live, "/lanes");
            let frame = Frame::new(&visitor, "Lanes", "/lanes").living(live);
            draw(&LanesPage { frame, lanes: lanes.iter().map(|lane| shown(lane, now)).collect() })
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

fn shown(lane: &LaneView, now: UnixMs) -> LaneShown {
    let purpose = match lane.class {
        Class::A => "premium",
        Class::B => "standard",
        Class::C => "failover and open models",
    };
    let rule = match lane.pick.as_str() {
        "best" => "tries the model of the highest quality first",
        "fastest" => "tries the model with the quickest first token first",
        "cheapest" => "tries the model that is expected to cost least for the call at hand first",
        "balanced" => "draws two models and tries the one first that has less to do, fails less and costs less",
        _ => "picks by its own rule",
    };
    LaneShown {
        anchor: show::anchor("lane", &lane.name),
        name: lane.name.clone(),
        class: Mark::new("", format!("class {}, {purpose}", lane.class)),
        pick: format!("pick {}", lane.pick),
        slo: lane.slo.iter().map(|(what, target)| goal(what, target)).collect(),
        sentence: format!(
            "It {rule}. Today {}, {} USD; this month {} USD.",
            show::counted(lane.spend.calls_today, "call"),
            lane.spend.today,
            lane.spend.month
        ),
        promises: lane.standing.iter().flat_map(|standing| &standing.promises).map(promise_shown).collect(),
        moves: lane.moves.iter().map(|one| move_shown(one, now)).collect(),
        models: lane.models.iter().map(|model| model_shown(model, now)).collect(),
    }
}

fn promise_shown(promise: &Promise) -> PromiseShown {
    let reading = &promise.reading;
    let allowed = u64::from(reading.allowed.get());
    let target = match promise.within_ms {
        Some(ms) => format!("{} of 100 within {}", 100 - allowed / 10_000, show::duration(ms)),
        None => format!("{} %", decimal(1_000_000 - allowed, 10_000)),
    };
    let (all, bad) = (reading.events.all(), reading.events.bad);
    let kept = match (reading.events.good * 1_000_000).checked_div(all) {
        Some(share) => format!("{} %", decimal(share, 10_000)),
        None => "–".to_owned(),
    };
    let (mood, percent) = match reading.left_permille {
        left if left <= 0 => ("bad", left),
        left if left < 250 => ("warn", left),
        left => ("good", left),
    };
    PromiseShown {
        what: promise.indicator.to_string(),
        target,
        kept,
        events: format!("{} bad of {}", bad, show::counted(all, "event")),
        left: Mark::new(if all == 0 { "" } else { mood }, format!("{} %", percent.div_euclid(10))),
        burns: ALERTS.iter().zip(&reading.burns).rev().map(|(alert, burn)| burn_shown(alert, burn)).collect(),
    }
}

fn burn_shown(alert: &Alert, burn: &Burn) -> BurnShown {
    let limit = Times(u64::from(alert.burn_milli));
    BurnShown {
        windows: format!("{} and {}", Span(alert.long_ms), Span(alert.short_ms)),
        long: format!("{}×, {}×", Times(burn.long_milli), Times(burn.short_milli)),
        short: match burn.fires {
            true => Mark::new(if alert.pages { "bad" } else { "warn" }, format!("above {limit}×")),
            false => Mark::new("", format!("limit {limit}×")),
        },
    }
}

/// So many parts of which `whole` are one, to as many decimals as it needs, at most four.
fn decimal(parts: u64, whole: u64) -> String {
    let text = format!("{}.{:04}", parts / whole, parts % whole * 10_000 / whole);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn move_shown(one: &MoveView, now: UnixMs) -> MoveShown {
    let from = one.model.as_ref().map_or_else(|| "this lane".to_owned(), |model| format!("model {model}"));
    let kept = one.kept_permille.iter().map(|(class, kept)| {
        let percent = decimal(u64::from(*kept), 10);
        format!("{class} {percent} %")
    });
    MoveShown {
        from,
        why: format!("{}: {}, since {}.", one.by, one.reason, When::near(one.since, now).text),
        stays: format!("Still begins there: {}.", kept.collect::<Vec<_>>().join(", ")),
    }
}

/// A declared service level in words.
fn goal(what: &str, target: &str) -> String {
    match (what, target.parse()) {
        ("first_token_p95_ms", Ok(ms)) => format!("first token p95 {}", show::duration(ms)),
        ("inter_token_p95_ms", Ok(ms)) => format!("time per token p95 {}", show::duration(ms)),
        ("total_p95_ms", Ok(ms)) => format!("total p95 {}", show::duration(ms)),
        _ => format!("{what} {target}"),
    }
}

fn model_shown(model: &ModelView, now: UnixMs) -> ModelShown {
    let health = model.health.as_ref();
    let (breaker, breaker_note) = health.map_or_else(
        || (Mark::new("", "unknown"), "Nothing has been sent to it yet.".to_owned()),
        |health| breaker(health, now),
    );
    let samples = health.map_or(0, |health| health.samples);
    ModelShown {
        name: model.name.clone(),
        upstream: model.upstream.clone(),
        provider: model.provider.clone(),
        breaker,
        breaker_note,
        failed: health
            .filter(|_| samples > 0)
            .map_or_else(|| "–".to_owned(), |h| format!("{} %", h.failure_share_percent)),
        samples: format!("of {}", show::counted(samples.into(), "attempt")),
        first_token_p50: show::duration_or_dash(health.and_then(|health| health.first_token_p50_ms)),
        first_token_p95: show::duration_or_dash(health.and_then(|health| health.first_token_p95_ms)),
        prices: model.prices.clone(),
        unpriced: Mark::new("bad", "unpriced"),
        price_source: model.price_source.clone().unwrap_or_default(),
        quality: model.quality.clone().unwrap_or_else(|| "not declared".to_owned()),
        region: model.region.clone().unwrap_or_else(|| "not declared".to_owned()),
        limits: model.limits.iter().map(limit_shown).collect(),
    }
}

/// A limit of the model's own: `12 of 600 requests a minute`.
fn limit_shown(limit: &BudgetNow) -> String {
    let used = limit.settled.plus(limit.held);
    let per = if limit.measure == Measure::Calls { "" } else { " a minute" };
    format!("{} of {}{per}", limit.measure.figure(used), limit.measure.shown(limit.limit))
}

/// Where the breaker stands and what that means, worst news first.
fn breaker(health: &HealthView, now: UnixMs) -> (Mark, String) {
    let clock = |at: UnixMs| When::near(at, now).text;
    let limited = health.rate_limited_until.filter(|until| *until > now);
    let (mark, mut note) = match (health.state, limited) {
        (Breaker::Open, _) => {
            let until = health.open_until.map_or_else(String::new, |until| format!(", until {}", clock(until)));
            (Mark::new("bad", "breaker open"), format!("Since {}{until}; passed over meanwhile.", clock(health.since)))
        }
        (Breaker::HalfOpen, _) => (
            Mark::new("warn", "being probed"),
            format!("Since {}; single calls find out whether it is back.", clock(health.since)),
        ),
        (Breaker::Closed, Some(until)) => {
            (Mark::new("warn", "rate-limited"), format!("The provider asked us to wait until {}.", clock(until)))
        }
        (Breaker::Closed, None) if health.samples == 0 => (Mark::new("", "no calls yet"), String::new()),
        (Breaker::Closed, None) => (Mark::new("good", "healthy"), String::new()),
    };
    if health.in_flight > 0 {
        note.push_str(&format!(" {} in flight.", show::counted(health.in_flight.into(), "attempt")));
    }
    for quota in &health.quota {
        note.push_str(&left_of(quota, now));
    }
    if let Some(fault) = &health.last_fault {
        let status = fault.status.map_or_else(String::new, |status| format!(" ({status})"));
        note.push_str(&format!(" Last fault {}: {}{status}.", clock(fault.at), fault.class));
    }
    (mark, note.trim_start().to_owned())
}

/// What is left of a quota, in words: ` 12 of 500 requests left until 09:18:44.`
fn left_of(quota: &QuotaView, now: UnixMs) -> String {
    let Some(left) = quota.left else { return String::new() };
    let clock = |at: UnixMs| When::near(at, now).text;
    let what = quota.unit.as_str().replace('_', " ");
    let window = if quota.window.as_str().is_empty() { String::new() } else { format!(" of the {}", quota.window) };
    let limit = quota.limit.map_or_else(String::new, |limit| format!(" of {}", show::count(limit)));
    let full = quota.full_at.filter(|at| *at > now).map_or_else(String::new, |at| format!(", full at {}", clock(at)));
    let spent = quota.spent_at.map_or_else(String::new, |at| format!(", spent at {} at this pace", clock(at)));
    let learned = if quota.is_learned { ", as learned from refusals" } else { "" };
    format!(" {}{limit} {what}{window} left{learned}{full}{spent}.", show::count(left))
}

#[cfg(test)]
mod tests {
    use domain::{FaultClass, QuotaUnit, QuotaWindow};
    use routing::LastFault;

    use super::*;

    fn health(state: Breaker) -> HealthView {
        HealthView {
            state,
            since: UnixMs(60_000),
            open_until: Some(UnixMs(120_000)),
            failure_share_percent: 50,
            samples: 10,
            first_token_p50_ms: None,
            first_token_p95_ms: None,
            latency_p50_ms: None,
            in_flight: 0,
            rate_limited_until: None,
            quota: Vec::new(),
            last_fault: Some(LastFault { class: FaultClass::Overloaded, status: Some(529), at: UnixMs(59_000) }),
        }
    }

    #[test]
    fn an_open_breaker_says_since_when_until_when_and_why() {
        let (mark, note) = breaker(&health(Breaker::Open), UnixMs(90_000));
        assert_eq!(mark.text, "breaker open");
        assert_eq!(
            note,
            "Since 00:01:00, until 00:02:00; passed over meanwhile. Last fault 00:00:59: upstream_overloaded (529)."
        );
    }

    #[test]
    fn what_is_left_of_a_quota_is_told_with_its_end() {
        let quota = QuotaView {
            unit: QuotaUnit::InputTokens,
            window: QuotaWindow::Minute,
            limit: Some(50_000),
            left: Some(1_200),
            full_at: Some(UnixMs(120_000)),
            spent_at: Some(UnixMs(95_000)),
            is_learned: false,
        };
        let health = HealthView { quota: vec![quota], last_fault: None, ..health(Breaker::Closed) };
        let told = "1,200 of 50,000 input tokens of the minute left, full at 00:02:00, spent at 00:01:35 at this pace.";
        assert_eq!(breaker(&health, UnixMs(90_000)).1, told);
    }

    #[test]
    fn a_rate_limit_that_is_over_is_not_shown() {
        let health =
            HealthView { rate_limited_until: Some(UnixMs(80_000)), last_fault: None, ..health(Breaker::Closed) };
        assert_eq!(breaker(&health, UnixMs(79_000)).0.text, "rate-limited");
        assert_eq!(breaker(&health, UnixMs(90_000)).0.text, "healthy");
    }
}
