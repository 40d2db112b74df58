//! Values as a busy installation would have them, the awkward ones included: an open breaker, a spent budget, an unpriced
//! model, an attempt without usage, a client that writes HTML into `model`.

#![allow(dead_code, reason = "shared by an example and by tests, which use different parts")]

mod calls;
mod lanes;
mod texts;

use std::sync::Mutex;

use console::{Answer, Names, Pages, Trouble};
use control::anomalies::{AnomaliesView, AnomalyNow, WatchedPoint, WatchedSeries};
use control::budgets::{BudgetsView, NewApproval};
use control::cache::{CacheView, CachedWorkflow, Given};
use control::concentration::{Concentration, Gone, Instead, Risk, Share};
use control::drills::KeptDrill;
use control::hidden_costs::{Costs, HiddenCosts, Part};
use control::instances::{InstanceState, InstanceView, LeaseView};
use control::keys::NewKey;
use control::sessions::{Login, Session};
use control::views::*;
use domain::*;
use ledger::Amount;

/// The admin token of the sample.
pub const TOKEN: &str = "sample";
/// What a hostile client wrote into `model`.
pub const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>' style='display:none";

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WORKFLOWS: [&str; 5] =
    ["claims-triage", "support-reply", "contract-summary", "product-tagging", "nightly-digest"];

/// Canned answers around one instant.
pub struct Canned {
    now: UnixMs,
    made: Mutex<Vec<KeyView>>,
    revoked: Mutex<Vec<KeyId>>,
    logged_in: Mutex<bool>,
    empty: bool,
}

/// The time of the machine.
pub fn system_time() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Canned {
    /// The sample as it stands at `now`.
    pub fn new(now: UnixMs) -> Canned {
        Canned { now, made: Mutex::default(), revoked: Mutex::default(), logged_in: Mutex::new(false), empty: false }
    }

    /// An installation in which nothing has happened yet.
    pub fn empty(now: UnixMs) -> Canned {
        Canned { empty: true, ..Canned::new(now) }
    }

    fn midnight(&self) -> UnixMs {
        UnixMs(self.now.0 - self.now.0.rem_euclid(DAY as i64))
    }

    fn all_calls(&self) -> Vec<CallEnd> {
        if self.empty { Vec::new() } else { (0..130).map(|i| self.call_end(i)).collect() }
    }

    fn points(&self, step: u64, count: u64, scale: u64) -> Vec<Point> {
        let first = UnixMs(self.now.0 - self.now.0.rem_euclid(step as i64)) - (count - 1) * step;
        let point = |i: u64| {
            let chance = scatter(i + step);
            let wave = 40 + (i * 7) % 35 + chance % 25;
            let calls = if self.empty || i == 21 || i == 22 { 0 } else { wave * scale / 40 };
            let trouble = (38..44).contains(&i);
            Point {
                at: first + i * step,
                calls,
                errors: if trouble { calls / 4 } else { calls / 60 },
                cost: NanoUsd(i64::try_from(calls * (3_100_000 + chance % 400_000)).unwrap_or(0)),
                first_token_p50_ms: (calls > 0).then_some(310 + chance % 90 + if trouble { 240 } else { 0 }),
                first_token_p95_ms: (calls > 0).then_some(820 + chance % 400 + if trouble { 1_400 } else { 0 }),
            }
        };
        (0..count).map(point).collect()
    }

    /// A limit on requests a minute.
    fn rate(&self, scope: &str, used: i64, limit: i64) -> BudgetNow {
        BudgetNow {
            scope: scope.to_owned(),
            per: "minute".into(),
            measure: ledger::Measure::Requests,
            limit: Amount(limit),
            hard: true,
            settled: Amount(used),
            held: Amount(0),
            overrun: Amount(0),
            left: Amount(limit - used),
            approval_at: None,
            approval: None,
            resets_at: None,
        }
    }

    fn spend(&self, i: usize) -> Spend {
        let budgets = [Some((500, "month")), Some((120, "month")), None, Some((25, "day")), Some((40, "month"))];
        let month = [412_034_118_400, 96_412_007_125, 58_900_250_000, 24_981_330, 40_000_000_000][i];
        let today = [18_220_411_900, 4_120_900_000, 2_010_004_500, 24_981_330, 0][i];
        let budget = budgets[i].map(|(limit, per)| BudgetNow {
            scope: format!("workflow {}", WORKFLOWS[i]),
            per: per.to_owned(),
            measure: ledger::Measure::Usd,
            limit: NanoUsd::usd(limit).into(),
            hard: true,
            settled: Amount(month),
            held: Amount(if i == 0 { 241_000_000 } else { 0 }),
            overrun: Amount(if i == 4 { 1_204_000 } else { 0 }),
            left: Amount(NanoUsd::usd(limit).0 - month),
            approval_at: None,
            approval: None,
            resets_at: Some(self.midnight() + if per == "day" { DAY } else { 10 * DAY }),
        });
        let (calls_today, errors_today) = [(8_412, 31), (3_960, 4), (1_204, 0), (911, 120), (0, 0)][i];
        let quiet = |nano| NanoUsd(if self.empty { 0 } else { nano });
        let calls = |count| if self.empty { 0 } else { count };
        Spend {
            name: WORKFLOWS[i].to_owned(),
            today: quiet(today),
            month: quiet(month),
            calls_today: calls(calls_today),
            errors_today: calls(errors_today),
            budget,
        }
    }

    fn lane_spend(&self, name: &str, month: i64, calls: u64, errors: u64) -> Spend {
        let month = if self.empty { 0 } else { month };
        Spend {
            name: name.to_owned(),
            today: NanoUsd(month / 22),
            month: NanoUsd(month),
            calls_today: if self.empty { 0 } else { calls },
            errors_today: if self.empty { 0 } else { errors },
            budget: None,
        }
    }

    fn workflow_view(&self, i: usize) -> WorkflowView {
        let lane =
            |name: &str, models: &[&str]| (name.to_owned(), models.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>());
        let premium = lane("premium", &["sonnet", "sonnet-eu"]);
        let standard = lane("standard", &["haiku", "gpt-mini", "mistral-small"]);
        let own = lane("own", &["qwen-own"]);
        WorkflowView {
            spend: self.spend(i),
            criticality: ["high", "high", "normal", "routine", "routine"][i].to_owned(),
            aliases: if i == 0 { vec!["gpt-4o".into(), "claude-sonnet-4-5".into()] } else { Vec::new() },
            residency: if i < 2 { vec!["eu".into()] } else { Vec::new() },
            on_loss: if i == 0 { "refuse" } else { "report" },
            lanes: [
                vec![premium.clone(), own.clone()],
                vec![premium, standard.clone(), own.clone()],
                vec![standard.clone()],
                vec![standard, own.clone()],
                vec![own],
            ][i]
                .clone(),
            last_day: self.points(HOUR, 24, 60),
        }
    }

    fn key_views(&self) -> Vec<KeyView> {
        if self.empty {
            return Vec::new();
        }
        let key = |id: &str, label: &str, workflows: Option<&[&str]>, month: i64| KeyView {
            grant: KeyGrant {
                id: KeyId(id.into()),
                hash: [0; 32],
                label: label.to_owned(),
                workflows: workflows.map(|names| names.iter().map(|name| (*name).into()).collect()),
                direct: false,
                budgets: Vec::new(),
                requests_per_minute: None,
                tokens_per_minute: None,
                created_at: self.now - 40 * DAY,
                expires_at: None,
                revoked_at: None,
            },
            budget: None,
            rates: Vec::new(),
            month: NanoUsd(month),
            last_used: Some(self.now - 4_000),
        };
        let mut claims =
            key("ab12cd", "claims app, production", Some(&["claims-triage", "contract-summary"]), 470_934_368_400);
        claims.grant.requests_per_minute = Some(600);
        claims.grant.tokens_per_minute = Some(2_000_000);
        claims.rates = vec![self.rate("key ab12cd", 41, 600)];
        claims.grant.budgets = vec!["600.00 USD per month".into()];
        claims.budget = Some(BudgetNow {
            scope: "key ab12cd".into(),
            per: "month".into(),
            measure: ledger::Measure::Usd,
            limit: NanoUsd::usd(600).into(),
            hard: true,
            settled: Amount(470_934_368_400),
            held: Amount(241_000_000),
            overrun: Amount(0),
            left: Amount(128_824_631_600),
            approval_at: None,
            approval: None,
            resets_at: Some(self.midnight() + 10 * DAY),
        });
        let mut bench = key("9xk2mf", "evaluation <b>bench</b>", None, 96_437_000);
        bench.grant.direct = true;
        bench.grant.expires_at = Some(self.now + 30 * DAY);
        let mut old = key("77qzv0", "contractor", Some(&["support-reply"]), 0);
        (old.grant.revoked_at, old.last_used) = (Some(self.now - 3 * DAY), None);
        let mut past = key("51hh2w", "trial", None, 1_200_000);
        past.grant.expires_at = Some(self.now - DAY);
        let mut keys = vec![claims, bench, old, past];
        keys.extend(self.made.lock().expect("no one panics with it").iter().cloned());
        let revoked = self.revoked.lock().expect("no one panics with it");
        for key in &mut keys {
            if revoked.contains(&key.grant.id) {
                key.grant.revoked_at = Some(self.now);
            }
        }
        keys
    }
}

/// Numbers without a pattern the eye would find, the same on every run.
fn scatter(i: u64) -> u64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)) >> 12
}

fn ready<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(async move { Ok(value) })
}

impl Pages for Canned {
    fn overview(&self) -> Answer<'_, Overview> {
        let workflows = (0..5).map(|i| self.spend(i)).collect::<Vec<_>>();
        let alarm = |code: &str, message: &str| Alarm { code: code.to_owned(), message: message.to_owned() };
        let alarms = vec![
            alarm(
                "breaker_open",
                "model `sonnet` at anthropic: breaker open since 95 s; its calls go to sonnet-eu. Nothing to do unless it stays.",
            ),
            alarm(
                "unpriced",
                "model `mistral-small` has no price: give it one in freehold.toml, or its calls are refused under a hard budget.",
            ),
            alarm(
                "configuration_rejected",
                "freehold.toml on disk has 1 error and is not what runs; see Configuration.",
            ),
        ];
        ready(Overview {
            now: self.now,
            spent_today: workflows.iter().map(|spend| spend.today).sum(),
            spent_month: workflows.iter().map(|spend| spend.month).sum(),
            workflows,
            lanes: self.lane_views().into_iter().map(|lane| lane.spend).collect(),
            last_hour: self.points(MINUTE, 60, 60),
            in_flight: if self.empty { 0 } else { 7 },
            alarms: if self.empty { Vec::new() } else { alarms },
        })
    }
    fn workflows(&self) -> Answer<'_, Vec<WorkflowView>> {
        ready((0..5).map(|i| self.workflow_view(i)).collect())
    }
    fn workflow<'a>(&'a self, name: &'a str) -> Answer<'a, Option<WorkflowView>> {
        ready(WORKFLOWS.iter().position(|known| *known == name).map(|i| self.workflow_view(i)))
    }
    fn budgets(&self) -> Answer<'_, BudgetsView> {
        let mut budgets: Vec<BudgetNow> = (0..5).filter_map(|i| self.spend(i).budget).collect();
        if self.empty {
            budgets.clear();
        }
        if let Some(first) = budgets.first_mut() {
            first.approval_at = Some(Amount(NanoUsd::usd(450).0));
        }
        let reached = budgets.iter().take(1).map(|budget| BudgetReached {
            at: self.now - 600_000,
            scope: budget.scope.clone(),
            per: budget.per.clone(),
            limit: budget.measure.shown(budget.limit),
            share_percent: 80,
            act: "notify".into(),
        });
        let reached = reached.collect();
        ready(BudgetsView { budgets, reached })
    }
    fn anomalies(&self) -> Answer<'_, AnomaliesView> {
        let one = |kind, subject: &str, sentence: &str, until: Option<UnixMs>, moves| AnomalyNow {
            kind,
            subject: subject.into(),
            since: self.now - 3_600_000,
            until,
            factor_milli: 2_000,
            sentence: sentence.into(),
            moves,
        };
        let point = |bucket: i64| WatchedPoint {
            at: UnixMs(self.now.0 / 300_000 * 300_000 - (288 - bucket) * 300_000),
            amount: if bucket < 280 { 40_000_000 + bucket % 7 * 3_000_000 } else { 110_000_000 },
            expected: Some(49_000_000),
            alarm: bucket > 283,
        };
        let series =
            |name: &str, unit| WatchedSeries { name: name.into(), unit, points: (0..288).map(point).collect() };
        let over = Some(self.now - 600_000);
        ready(if self.empty {
            AnomaliesView::default()
        } else {
            AnomaliesView {
                anomalies: vec![
                    one("price", "model sonnet", "realised price 2.0 × the catalogue's", None, true),
                    one(
                        "tier",
                        HOSTILE,
                        "served as `default` where `flex` was asked for, at 2.0 × the price",
                        over,
                        false,
                    ),
                ],
                series: vec![
                    series("all calls", "nano_usd"),
                    series("workflow claims-triage", "nano_usd"),
                    series("workflow support-reply", "nano_usd"),
                    series("workflow nightly-digest", "nano_usd"),
                    series("model sonnet", "first_token_ms"),
                ],
            }
        })
    }
    fn approve_budget<'a>(&'a self, wish: NewApproval, _by: &'a str) -> Answer<'a, String> {
        match wish.scope.as_str() {
            "workflow claims-triage" => ready("approved".to_owned()),
            scope => Box::pin(std::future::ready(Err(Trouble::NotFound(format!("There is no budget of `{scope}`."))))),
        }
    }

    fn instances(&self) -> Answer<'_, Vec<InstanceView>> {
        let lease = |booked: &str, held: &str, leased: &str, indeterminate: &str| LeaseView {
            budget: "workflow claims-triage per month".into(),
            window_start: Some(self.now),
            booked: booked.into(),
            held: held.into(),
            leased: leased.into(),
            indeterminate: indeterminate.into(),
        };
        let instance = |name: &str, state, leases| InstanceView {
            instance: name.into(),
            state,
            started_at: self.now,
            lease_ends: self.now + 30_000,
            place: "gateway-1:64768:1234 /var/lib/freehold".into(),
            leases,
        };
        let instances = vec![
            instance("i_7k2m", InstanceState::Serving, vec![lease("201.40 USD", "1.20 USD", "17.40 USD", "0.00 USD")]),
            instance("i_9q4x", InstanceState::Gone, vec![lease("88.10 USD", "0.40 USD", "0.00 USD", "3.90 USD")]),
            instance("i_old1", InstanceState::Ended, Vec::new()),
        ];
        ready(if self.empty { Vec::new() } else { instances })
    }
    fn tool_servers(&self) -> Answer<'_, Vec<ToolServerView>> {
        let tool = |name: &str, allowed, price: Option<i64>, month, calls, errors| ToolView {
            allowed,
            price: price.map(NanoUsd),
            spend: self.lane_spend(name, month, calls, errors),
        };
        let crm = ToolServerView {
            reach: "https://crm.example/mcp".into(),
            is_process: false,
            region: Some("eu-de".into()),
            allows_all: false,
            by_key: vec![("ab12cd".into(), vec!["read_claim".into()])],
            by_workflow: vec![("claims-triage".into(), vec!["read_claim".into(), "search".into()])],
            price_of_others: Some(NanoUsd::ZERO),
            tools: vec![
                tool("delete_claim", false, Some(0), 0, 3, 3),
                tool("read_claim", true, Some(0), 0, 812, 0),
                tool("search", true, Some(5_000_000), 12_410_000_000, 204, 2),
                // What a hostile client named; the list keeps it from being called.
                tool(HOSTILE, false, None, 0, 1, 1),
            ],
            spend: self.lane_spend("crm", 12_410_000_000, 1_020, 6),
        };
        let files = ToolServerView {
            reach: "/usr/bin/files-server".into(),
            is_process: true,
            region: None,
            allows_all: true,
            by_key: Vec::new(),
            by_workflow: Vec::new(),
            price_of_others: Some(NanoUsd::ZERO),
            tools: Vec::new(),
            spend: self.lane_spend("files", 0, 0, 0),
        };
        let servers = if self.empty { Vec::new() } else { vec![crm, files] };
        Box::pin(async move { Ok(servers) })
    }

    fn lanes(&self) -> Answer<'_, Vec<LaneView>> {
        ready(self.lane_views())
    }
    fn drills(&self) -> Answer<'_, Vec<KeptDrill>> {
        let drill = KeptDrill {
            id: 3,
            ran_at: self.midnight(),
            title: "The premium provider is gone for ten minutes".to_owned(),
            revision: "0a1b2c3d4e5f".to_owned(),
            seed: 1,
            held: true,
            report:
                "claims-triage: 612 of 612 calls answered (100%)\n  held   100% answered, at least 99.5% expected\n"
                    .into(),
        };
        ready(if self.empty { Vec::new() } else { vec![drill] })
    }
    fn drill_page(&self, id: i64) -> Answer<'_, Option<String>> {
        ready((id == 3).then(|| "<!doctype html><title>drill</title>".to_owned()))
    }
    fn concentration(&self, days: u32) -> Answer<'_, Concentration> {
        let share = |name: &str, answers, part, nano| Share {
            name: name.to_owned(),
            answers,
            answers_millipercent: part,
            booked: NanoUsd(nano),
            booked_millipercent: part,
        };
        let (from, to) = (self.midnight() - u64::from(days - 1) * DAY, self.midnight() + DAY);
        if self.empty {
            return ready(Concentration { from, to, ..Concentration::default() });
        }
        let instead =
            Instead { lane: "standard".into(), class: Class::B, model: "gpt-5-mini".into(), provider: "openai".into() };
        let gone = |workflow: &str, instead: Option<Instead>, added, risk, sentence: &str| Gone {
            what: "provider anthropic".to_owned(),
            workflow: workflow.to_owned(),
            answers: 6_100,
            answers_millipercent: 72_500,
            instead,
            added,
            risk,
            sentence: sentence.to_owned(),
        };
        ready(Concentration {
            from,
            to,
            providers: vec![
                share("anthropic", 6_100, 72_500, 320_000_000_000),
                share("openai", 2_312, 27_500, 70_000_000_000),
            ],
            regions: vec![share("eu-de", 8_412, 100_000, 390_000_000_000)],
            families: vec![
                share("claude", 6_100, 72_500, 320_000_000_000),
                share("gpt", 2_312, 27_500, 70_000_000_000),
            ],
            gone: vec![
                gone(
                    "claims-triage",
                    Some(instead),
                    Some(NanoUsd(-41_500_000_000)),
                    Risk::OtherLane,
                    "gpt-5-mini in lane standard (class B), which promises 2500 ms for first tokens instead of 1500 ms",
                ),
                gone("contract-summary", None, None, Risk::Fails, "nobody is left: its calls fail"),
            ],
        })
    }
    fn hidden_costs(&self, days: u32) -> Answer<'_, HiddenCosts> {
        let part = |cause: &str, end: &str, answers, attempts, nano| Part {
            cause: cause.to_owned(),
            end: end.to_owned(),
            answers,
            attempts,
            booked: NanoUsd(nano),
        };
        let costs = |name: &str, unpriced| Costs {
            workflow: name.to_owned(),
            attempts: 8_600,
            answers: 8_412,
            booked: NanoUsd(412_034_118_400),
            list: NanoUsd(390_000_000_000),
            answered: NanoUsd(390_000_000_000),
            hidden: NanoUsd(22_034_118_400),
            multiplier_thousandths: Some(1_056),
            unpriced,
            unread_tokens: 240_000,
            unread: NanoUsd(900_000_000),
            parts: vec![
                part("serve", "served", true, 8_300, 380_000_000_000),
                part("serve", "failed", false, 120, 12_034_118_400),
                part("failover", "served", true, 112, 10_000_000_000),
                part("judge", "served", false, 60, 8_000_000_000),
                part("serve", "cancelled", false, 8, 2_000_000_000),
            ],
        };
        let workflows = if self.empty { Vec::new() } else { vec![costs("claims-triage", 0), costs("(direct)", 3)] };
        let (from, to) = (self.midnight() - u64::from(days - 1) * DAY, self.midnight() + DAY);
        ready(HiddenCosts { from, to, total: costs("all workflows", 3), workflows })
    }
    fn cache(&self, days: u32) -> Answer<'_, CacheView> {
        let from = self.midnight() - u64::from(days - 1) * DAY;
        if self.empty {
            return ready(CacheView { from, ..CacheView::default() });
        }
        let support = CachedWorkflow {
            workflow: "support-reply".into(),
            rule: Some("for 3600 s, to every key of the workflow".into()),
            entries: 412,
            exact: Given { hits: 8_204, saved: NanoUsd(31_904_220_000), compared: 0, differing: 0 },
            near: Given { hits: 1_120, saved: NanoUsd(4_003_000_000), compared: 61, differing: 1 },
            threshold: Some(ThresholdNow {
                milli: 960,
                declared_milli: 950,
                compared: 40,
                differing: 0,
                moves: vec![(self.midnight(), 950), (self.midnight() + 3_600_000, 960)],
            }),
        };
        let digest = CachedWorkflow { workflow: "nightly-digest".into(), exact: support.exact, ..Default::default() };
        let now = CacheNow {
            bytes: 3_204_118,
            most_bytes: 64 << 20,
            entries: [("support-reply".into(), 412)].into(),
            evicted: 12,
            ..CacheNow::default()
        };
        ready(CacheView { from, now, workflows: vec![digest, support] })
    }
    fn purge_cache<'a>(&'a self, _workflow: &'a str, _by: &'a str) -> Answer<'a, u64> {
        ready(412)
    }
    fn calls(&self, filter: CallFilter) -> Answer<'_, Vec<CallEnd>> {
        let is = |wish: &Option<String>, value: Option<&str>| wish.as_deref().is_none_or(|wish| value == Some(wish));
        let all = self.all_calls().into_iter().filter(|call| {
            is(&filter.workflow, call.workflow.as_ref().map(|n| n.as_str()))
                && is(&filter.lane, call.lane.as_ref().map(|n| n.as_str()))
                && is(&filter.model, call.model.as_ref().map(|n| n.as_str()))
                && is(&filter.key, call.key.as_ref().map(|id| &*id.0))
                && is(&filter.outcome, Some(if call.failure.is_some() { "failed" } else { "served" }))
        });
        let skip_to = filter.before.as_ref().and_then(|id| id.parse::<CallId>().ok());
        let all = all.filter(|call| skip_to.is_none_or(|before| call.call < before));
        ready(all.take(filter.limit.unwrap_or(50) as usize).collect())
    }
    fn call(&self, id: CallId) -> Answer<'_, Option<CallView>> {
        let view = self.all_calls().into_iter().find(|call| call.call == id).map(|end| {
            let entries = self.entries(&end);
            let booked: NanoUsd =
                entries.iter().map(|e| if let Entry::Record(r) = e { r.cost.booked() } else { NanoUsd::ZERO }).sum();
            let workflow = end.workflow.as_ref().map_or("(direct)".to_owned(), ToString::to_string);
            let journal = match booked {
                NanoUsd::ZERO => Vec::new(),
                _ => vec![(format!("expense:{workflow}"), booked), ("payable:anthropic".to_owned(), -booked)],
            };
            CallView { end: Some(CallEnd { cost: booked, ..end }), entries, journal }
        });
        ready(view)
    }
    fn configuration(&self) -> Answer<'_, ConfigurationView> {
        ready(ConfigurationView {
            revision: "3f9a1c77b2d0".into(),
            since: self.now - 3 * HOUR,
            text: texts::CONFIGURATION.into(),
            explained: texts::EXPLAINED.into(),
            warnings: vec!["freehold.toml:19: models.mistral-small: no price in the catalog; its calls are refused where a hard budget applies; give `price`".into()],
            rejected: if self.empty { Vec::new() } else { vec!["freehold.toml:24: lanes.premium.models: `sonet` is no model; did you mean `sonnet`?".into()] },
            history: if self.empty { Vec::new() } else { vec![("88c01d5fe4a2".into(), self.now - 2 * DAY), ("0b7be1aa9c30".into(), self.now - 9 * DAY)] },
        })
    }
    fn keys(&self) -> Answer<'_, Vec<KeyView>> {
        ready(self.key_views())
    }
    fn create_key<'a>(&'a self, wish: NewKey, _by: &'a str) -> Answer<'a, String> {
        let mut made = self.made.lock().expect("no one panics with it");
        let id = format!("new{:03}", made.len());
        let text = format!("fh_{id}_5tq0x9v2m1k8c7z4b6n3w0r5y2e9h1gd7s4a6p8j3f0d");
        made.push(KeyView {
            grant: KeyGrant {
                id: KeyId(id.into()),
                hash: [0; 32],
                label: wish.label,
                workflows: wish.workflows,
                direct: wish.direct,
                budgets: wish.budgets,
                requests_per_minute: wish.requests_per_minute,
                tokens_per_minute: wish.tokens_per_minute,
                created_at: self.now,
                expires_at: wish.expires_at,
                revoked_at: None,
            },
            budget: None,
            rates: Vec::new(),
            month: NanoUsd::ZERO,
            last_used: None,
        });
        ready(text)
    }
    fn revoke_key<'a>(&'a self, id: &'a KeyId, _by: &'a str) -> Answer<'a, ()> {
        self.revoked.lock().expect("no one panics with it").push(id.clone());
        ready(())
    }
    fn names(&self) -> Answer<'_, Names> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ready(Names {
            workflows: names(&WORKFLOWS),
            lanes: names(&["premium", "standard", "own"]),
            models: names(&["gpt-mini", "haiku", "mistral-small", "qwen-own", "sonnet", "sonnet-eu"]),
            keys: self.key_views().into_iter().map(|key| (key.grant.id.to_string(), key.grant.label)).collect(),
        })
    }
    fn gateway_address(&self) -> String {
        "http://127.0.0.1:7400".to_owned()
    }
    fn login<'a>(&'a self, token: &'a str, _from: &'a str) -> Answer<'a, Login> {
        if token != TOKEN {
            return Box::pin(async {
                Err(Trouble::Refused("This is no admin token of this installation.".to_owned()))
            });
        }
        *self.logged_in.lock().expect("no one panics with it") = true;
        ready(Login { cookie: "sample-session".into(), csrf: "sample-csrf".into(), expires_at: self.now + DAY })
    }
    fn session<'a>(&'a self, cookie: &'a str) -> Answer<'a, Option<Session>> {
        let good = cookie == "sample-session" && *self.logged_in.lock().expect("no one panics with it");
        ready(good.then(|| Session { csrf: "sample-csrf".into(), who: "sample".into(), expires_at: self.now + DAY }))
    }
    fn logout<'a>(&'a self, _cookie: &'a str) -> Answer<'a, ()> {
        *self.logged_in.lock().expect("no one panics with it") = false;
        ready(())
    }
    fn now(&self) -> UnixMs {
        self.now
    }
}
