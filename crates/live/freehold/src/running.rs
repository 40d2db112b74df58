//! The running gateway as control sees it: the adapter between the two, which know nothing of each other.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use config::Snapshot;
use control::Progress;
use control::anomalies::{AnomaliesView, AnomalyNow, WatchedPoint, WatchedSeries};
use control::ports::Running;
use control::views::{BudgetNow, BudgetReached, CacheNow, MoveView, ThresholdNow};
use domain::{LaneName, ModelName, UnixMs, WorkflowName};
use gateway::budgets::{BudgetView, Reached};
use gateway::cache::threshold::Threshold;
use gateway::clock;
use gateway::dataplane::Gateway;
use gateway::deployed::Deployed;
use gateway::watch::told::{Anomaly, Drawing, Unit};
use ledger::{Measure, Scope};
use routing::slo::LaneStanding;
use routing::{HealthView, Move, Place, QuotaView, State};
use store::LaneEvents;
use tokio::sync::Notify;

use crate::promises;

/// A gateway with what stands beside it.
pub struct RunningGateway {
    /// The data plane.
    pub gateway: Arc<Gateway>,
    /// How far the store is behind the spool.
    pub progress: Arc<Progress>,
    /// Wakes whoever reads the configuration.
    pub reload: Arc<Notify>,
}

impl RunningGateway {
    /// Whether calls are taken; the reason where they are not.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.gateway.draining.load(Ordering::Relaxed) {
            return Err("draining: this instance is shutting down");
        }
        if self.gateway.spool.failing() {
            return Err("the spool cannot be written; see the log");
        }
        Ok(())
    }
}

impl Running for RunningGateway {
    fn snapshot(&self) -> (Arc<Snapshot>, UnixMs) {
        let deployed = self.gateway.deployed.load();
        (deployed.snapshot.clone(), deployed.since)
    }

    fn health(&self, model: &ModelName) -> Option<HealthView> {
        let deployed = self.gateway.deployed.load();
        let index = deployed.snapshot.models.iter().position(|known| known.name == *model)?;
        let view = deployed.slots[index].health.lock().view(clock::now());
        Some(view)
    }

    fn lane_standing(&self, lane: &LaneName) -> Option<LaneStanding> {
        let deployed = self.gateway.deployed.load();
        let index = deployed.snapshot.lanes.iter().position(|known| known.name == *lane)?;
        deployed.promises.look(&deployed.steering, clock::now());
        deployed.promises.standing(index, clock::now())
    }

    fn lane_events(&self, from: UnixMs) -> Vec<LaneEvents> {
        promises::events(&self.gateway.deployed.load(), from)
    }

    fn moves(&self) -> Vec<MoveView> {
        let deployed = self.gateway.deployed.load();
        let snapshot = &deployed.snapshot;
        let shown = |one: &Arc<Move>| {
            let (lane, model) = match one.from {
                Place::Lane(index) => (Some(snapshot.lanes[index].name.to_string()), None),
                Place::Model(index) => (None, Some(snapshot.models[index].name.to_string())),
                Place::ModelOf(lane, index) => {
                    (Some(snapshot.lanes[lane].name.to_string()), Some(snapshot.models[index].name.to_string()))
                }
            };
            let classes = snapshot.criticality.iter().map(|class| (class.name.clone(), Some(class.index)));
            let classes = classes.chain([("(direct)".to_owned(), None)]);
            let kept_permille = classes.map(|(name, index)| (name, one.kept.of(index).get())).collect();
            let (reason, by) = (one.reason.to_string(), one.by.to_string());
            MoveView { by, lane, model, kept_permille, reason, since: one.since }
        };
        deployed.steering.now().iter().map(shown).collect()
    }

    fn without_token(&self) -> Vec<(String, UnixMs, String)> {
        let deployed = self.gateway.deployed.load();
        let providers = deployed.snapshot.providers.iter();
        let failure = |provider: &Arc<config::Provider>| {
            let (at, why) = deployed.upstreams.keeper(provider.name.as_str())?.standing().failure?;
            Some((provider.name.to_string(), at, why))
        };
        providers.filter_map(failure).collect()
    }

    fn budgets(&self) -> Vec<BudgetNow> {
        let views = self.gateway.budgets.view().into_iter();
        views
            .map(|BudgetView { budget, account, .. }| BudgetNow {
                scope: budget.scope.plain(),
                per: budget.window.to_string(),
                measure: budget.measure,
                limit: account.limit,
                hard: account.hard,
                settled: account.settled,
                held: account.held,
                overrun: account.overrun,
                left: account.left,
                approval_at: account.approval_at,
                approval: account.approval,
                resets_at: account.resets_at,
            })
            .collect()
    }

    fn budgets_reached(&self) -> Vec<BudgetReached> {
        let reached = self.gateway.budgets.reached().into_iter();
        reached
            .map(|Reached { at, budget, notice, limit }| BudgetReached {
                at,
                scope: budget.scope.plain(),
                per: budget.window.to_string(),
                limit: budget.measure.shown(limit),
                share_percent: notice.share_percent,
                act: notice.act.to_owned(),
            })
            .collect()
    }

    fn cache(&self) -> CacheNow {
        let totals = self.gateway.cache.totals(clock::now());
        CacheNow {
            bytes: totals.bytes,
            most_bytes: totals.most_bytes,
            entries: totals.entries,
            evicted: totals.evicted,
            expired: totals.expired,
            too_large: totals.too_large,
            near_is_off: self.gateway.cache.near.off(),
            thresholds: self.gateway.cache.near.thresholds().into_iter().map(threshold_now).collect(),
        }
    }

    fn purge_cache(&self, workflow: Option<&WorkflowName>) -> u64 {
        self.gateway.cache.purge(workflow)
    }

    fn anomalies(&self) -> AnomaliesView {
        let watch = &self.gateway.watch;
        let anomaly = |one: Anomaly| AnomalyNow {
            kind: one.kind.as_str(),
            subject: one.subject,
            since: one.since,
            until: one.until,
            factor_milli: one.factor_milli,
            sentence: one.sentence,
            moves: one.moves,
        };
        let series = |one: Drawing| WatchedSeries {
            name: one.name,
            unit: match one.unit {
                Unit::NanoUsd => "nano_usd",
                Unit::FirstTokenMs => "first_token_ms",
            },
            points: one
                .points
                .iter()
                .map(|point| WatchedPoint {
                    at: point.start,
                    amount: point.amount,
                    expected: point.expected,
                    alarm: point.alarm,
                })
                .collect(),
        };
        AnomaliesView {
            anomalies: watch.anomalies().into_iter().map(anomaly).collect(),
            series: watch.series(&self.gateway.deployed.load()).into_iter().map(series).collect(),
        }
    }

    fn in_flight(&self) -> u64 {
        self.gateway.metrics.in_flight.get().max(0).unsigned_abs()
    }

    fn rejected(&self) -> Vec<String> {
        self.gateway.rejected.lock().clone()
    }

    fn spool_behind(&self) -> (u64, u64) {
        self.progress.behind(clock::now())
    }

    fn metrics(&self) -> String {
        self.gateway.metrics.cache(&self.gateway.cache.totals(clock::now()));
        let text = self.gateway.metrics.text();
        let mut text = text.strip_suffix("# EOF\n").unwrap_or(&text).to_owned();
        let (bytes, age_ms) = self.spool_behind();
        let deployed = self.gateway.deployed.load();
        let mut write =
            |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("writing to a string cannot fail");
        write(format_args!("# HELP freehold_spool_behind_bytes Bytes the store has not taken over yet."));
        write(format_args!("# TYPE freehold_spool_behind_bytes gauge"));
        write(format_args!("freehold_spool_behind_bytes {bytes}"));
        write(format_args!("# HELP freehold_spool_behind_seconds Age of the oldest of them."));
        write(format_args!("# TYPE freehold_spool_behind_seconds gauge"));
        write(format_args!("freehold_spool_behind_seconds {}.{:03}", age_ms / 1000, age_ms % 1000));
        write(format_args!("# HELP freehold_breaker_open 1 while a model's breaker is open, 0.5 while it is probed."));
        write(format_args!("# TYPE freehold_breaker_open gauge"));
        for (model, slot) in deployed.snapshot.models.iter().zip(&deployed.slots) {
            let value = match slot.health.lock().view(clock::now()).state {
                State::Closed => "0",
                State::HalfOpen => "0.5",
                State::Open => "1",
            };
            write(format_args!("freehold_breaker_open{{model=\"{}\"}} {value}", model.name));
        }
        quota_lines(&deployed).iter().for_each(|line| write(format_args!("{line}")));
        write(format_args!("# HELP freehold_anomaly 1 while something is out of the ordinary."));
        write(format_args!("# TYPE freehold_anomaly gauge"));
        for one in self.gateway.watch.anomalies().iter().filter(|one| one.until.is_none()) {
            write(format_args!("freehold_anomaly{{kind=\"{}\",subject=\"{}\"}} 1", one.kind, one.subject));
        }
        promises::lines(&deployed, clock::now()).iter().for_each(|line| write(format_args!("{line}")));
        write(format_args!(
            "# HELP freehold_provider_token 1 while there is a token for a provider that takes tokens."
        ));
        write(format_args!("# TYPE freehold_provider_token gauge"));
        for provider in &deployed.snapshot.providers {
            let Some(keeper) = deployed.upstreams.keeper(provider.name.as_str()) else { continue };
            let value = u8::from(keeper.standing().good);
            write(format_args!("freehold_provider_token{{provider=\"{}\"}} {value}", provider.name));
        }
        // Sessions are as many as clients like, so they are no series.
        let mut budgets = self.gateway.budgets.view();
        budgets.retain(|view| !matches!(view.budget.scope, Scope::Session { .. }));
        for (name, help, measure, pick) in BUDGET_GAUGES {
            write(format_args!("# HELP {name} {help}"));
            write(format_args!("# TYPE {name} gauge"));
            for BudgetView { budget, account, .. } in budgets.iter().filter(|view| view.budget.measure == *measure) {
                let (scope, per) = (budget.scope.plain(), &budget.window);
                write(format_args!("{name}{{scope=\"{scope}\",per=\"{per}\"}} {}", pick(account).0));
            }
        }
        write(format_args!("# HELP freehold_budget_thresholds_reached Shares of its limit a budget has reached."));
        write(format_args!("# TYPE freehold_budget_thresholds_reached counter"));
        for BudgetView { budget, reached, .. } in &budgets {
            let (scope, per, measure) = (budget.scope.plain(), &budget.window, budget.measure.as_str());
            write(format_args!(
                "freehold_budget_thresholds_reached_total{{scope=\"{scope}\",per=\"{per}\",measure=\"{measure}\"}} {reached}"
            ));
        }
        write(format_args!("# HELP freehold_notices_dropped Notices that the webhook of [notify] did not take."));
        write(format_args!("# TYPE freehold_notices_dropped counter"));
        let untold = self.gateway.budgets.untold.load(Ordering::Relaxed);
        let untold = untold + self.gateway.watch.untold.load(Ordering::Relaxed);
        write(format_args!("freehold_notices_dropped_total {untold}"));
        text.push_str("# EOF\n");
        text
    }

    fn reload(&self) {
        self.reload.notify_one();
    }
}

/// What providers say is left of their quotas, one gauge after the other.
fn quota_lines(deployed: &Deployed) -> Vec<String> {
    let now = clock::now();
    let models = deployed.snapshot.models.iter().zip(&deployed.slots);
    let views: Vec<_> = models
        .map(|(model, slot)| {
            let mut health = slot.health.lock();
            (&model.name, health.view(now).quota, health.unread_limits())
        })
        .collect();
    let mut lines = Vec::new();
    for (name, help, pick) in QUOTA_GAUGES {
        lines.extend([format!("# HELP {name} {help}"), format!("# TYPE {name} gauge")]);
        for (model, quota, _) in &views {
            for gauge in quota {
                let Some(value) = pick(gauge, now) else { continue };
                let (unit, window) = (gauge.unit, gauge.window);
                lines.push(format!("{name}{{model=\"{model}\",unit=\"{unit}\",window=\"{window}\"}} {value}"));
            }
        }
    }
    lines.push("# HELP freehold_quota_unread_headers Headers that look like limits and could not be read.".into());
    lines.push("# TYPE freehold_quota_unread_headers counter".into());
    for (model, _, unread) in views.iter().filter(|(.., unread)| *unread > 0) {
        lines.push(format!("freehold_quota_unread_headers_total{{model=\"{model}\"}} {unread}"));
    }
    lines
}

type PickQuota = fn(&QuotaView, UnixMs) -> Option<u64>;

/// What is shown of each quota.
const QUOTA_GAUGES: &[(&str, &str, PickQuota)] = &[
    ("freehold_quota_limit", "The most a provider says there can be.", |quota, _| quota.limit),
    ("freehold_quota_left", "What it says is left, less what was sent since.", |quota, _| quota.left),
    ("freehold_quota_full_in_ms", "Until there is all of it again.", |quota, now| Some(quota.full_at?.since(now))),
    ("freehold_quota_spent_in_ms", "Until none is left at the present pace.", |quota, now| {
        Some(quota.spent_at?.since(now))
    }),
];

type PickAmount = fn(&ledger::AccountView) -> ledger::Amount;

/// What is shown of each budget.
const BUDGET_GAUGES: &[(&str, &str, Measure, PickAmount)] = &[
    ("freehold_budget_limit_nano_usd", "The limit of a budget of money.", Measure::Usd, |view| view.limit),
    ("freehold_budget_settled_nano_usd", "What is booked in its window.", Measure::Usd, |view| view.settled),
    ("freehold_budget_held_nano_usd", "What is reserved for calls in flight.", Measure::Usd, |view| view.held),
    ("freehold_budget_limit_tokens", "The limit of a budget of tokens.", Measure::Tokens, |view| view.limit),
    ("freehold_budget_settled_tokens", "What is booked in its window.", Measure::Tokens, |view| view.settled),
    ("freehold_budget_held_tokens", "What is reserved for calls in flight.", Measure::Tokens, |view| view.held),
    ("freehold_limit_requests", "The limit of requests in a window.", Measure::Requests, |view| view.limit),
    ("freehold_limit_requests_counted", "Requests counted in it.", Measure::Requests, |view| view.settled),
    ("freehold_limit_calls", "The limit of calls at once.", Measure::Calls, |view| view.limit),
    ("freehold_limit_calls_under_way", "Calls under way.", Measure::Calls, |view| view.held),
];

fn threshold_now((workflow, threshold): (WorkflowName, Threshold)) -> (WorkflowName, ThresholdNow) {
    let (compared, differing) = threshold.compared();
    let now = ThresholdNow {
        milli: threshold.milli(),
        declared_milli: threshold.rule().threshold_milli,
        compared,
        differing,
        moves: threshold.moves().collect(),
    };
    (workflow, now)
}
