//! Lanes with models in every state: healthy, rate-limited, open, probed, never called, unpriced.

use control::views::{LaneView, ModelView, MoveView};
use domain::{Class, FaultClass};
use routing::slo::{Allowed, Indicator, LaneBudgets, LaneStanding, Target};
use routing::{HealthView, LastFault, State};

use super::Canned;

impl Canned {
    fn health(&self, state: State, share: u8, p50: u64) -> HealthView {
        let open = state == State::Open;
        HealthView {
            state,
            since: self.now - 95_000,
            open_until: open.then_some(self.now + 21_000),
            failure_share_percent: share,
            samples: 20,
            first_token_p50_ms: (!open).then_some(p50),
            first_token_p95_ms: (!open).then_some(p50 * 3),
            latency_p50_ms: Some(p50 * 4),
            in_flight: if open { 0 } else { 3 },
            rate_limited_until: None,
            quota: Vec::new(),
            last_fault: (share > 0).then_some(LastFault {
                class: FaultClass::Overloaded,
                status: Some(529),
                at: self.now - 95_000,
            }),
        }
    }

    /// A lane whose calls fail since a minute.
    fn burning(&self) -> LaneStanding {
        let success = Allowed::beside_success(99_900).expect("a share");
        let targets = [
            Target { indicator: Indicator::FirstToken, within_ms: Some(2_500), allowed: Allowed::P95 },
            Target { indicator: Indicator::Success, within_ms: None, allowed: success },
        ];
        let mut lane = LaneBudgets::new(&targets, 2);
        for number in 0..2_000_u64 {
            let at = self.now - 3_000_000 + number * 1_000;
            lane.came(Some(usize::from(number % 20 > 0)));
            lane.answered(number % 40 != 0 || number < 1_900, at);
            lane.took(Indicator::FirstToken, if number % 50 == 0 { 4_000 } else { 800 }, at);
        }
        (0..60).for_each(|second| lane.answered(false, self.now - 60_000 + second * 1_000));
        lane.look(self.now);
        lane.standing(self.now)
    }

    fn moved(&self, lane: &str) -> MoveView {
        let standing = self.burning();
        let classes = ["high", "routine", "(direct)"].map(str::to_owned);
        MoveView {
            by: "burn".into(),
            lane: Some(lane.to_owned()),
            model: None,
            kept_permille: classes.into_iter().zip(standing.kept_permille).collect(),
            reason: standing.reason,
            since: self.now,
        }
    }

    /// Every lane.
    pub fn lane_views(&self) -> Vec<LaneView> {
        let prices = |input: &str, cached: &str, output: &str| {
            vec![
                ("input".to_owned(), input.to_owned()),
                ("cache_read".to_owned(), cached.to_owned()),
                ("output".to_owned(), output.to_owned()),
            ]
        };
        let model = |name: &str,
                     provider: &str,
                     upstream: &str,
                     region: Option<&str>,
                     health,
                     prices: Vec<(String, String)>| ModelView {
            name: name.to_owned(),
            provider: provider.to_owned(),
            upstream: upstream.to_owned(),
            region: region.map(str::to_owned),
            health,
            price_source: (!prices.is_empty())
                .then(|| format!("{provider}/{upstream}@2025-09-29, from litellm 1.82.4 as of 2026-11-03")),
            prices,
            quality: Some("0.93".to_owned()),
            limits: if name == "sonnet" { vec![self.rate("model sonnet", 212, 600)] } else { Vec::new() },
        };
        let (ok, open, probed) = (State::Closed, State::Open, State::HalfOpen);
        let limited = HealthView { rate_limited_until: Some(self.now + 8_000), ..self.health(ok, 10, 350) };
        vec![
            LaneView {
                name: "premium".into(),
                class: Class::A,
                pick: "best".into(),
                slo: vec![("first token p95".into(), "2500 ms".into()), ("success".into(), "99.9%".into())],
                standing: Some(self.burning()),
                moves: vec![self.moved("premium")],
                models: vec![
                    model(
                        "sonnet",
                        "anthropic",
                        "claude-sonnet-4-5",
                        Some("eu-west-1"),
                        Some(self.health(open, 55, 420)),
                        prices("3", "0.3", "15"),
                    ),
                    model(
                        "sonnet-eu",
                        "anthropic-eu",
                        "eu.anthropic.claude-sonnet-4-5",
                        Some("eu-central-1"),
                        Some(self.health(probed, 20, 430)),
                        prices("3.3", "0.33", "16.5"),
                    ),
                ],
                spend: self.lane_spend("premium", 488_120_400_100, 9_102, 40),
            },
            LaneView {
                name: "standard".into(),
                class: Class::B,
                pick: "cheapest".into(),
                slo: vec![("success".into(), "99.5%".into())],
                standing: None,
                moves: Vec::new(),
                models: vec![
                    model(
                        "haiku",
                        "anthropic",
                        "claude-haiku-4-5",
                        Some("eu-west-1"),
                        Some(self.health(ok, 0, 240)),
                        prices("1", "0.1", "5"),
                    ),
                    model(
                        "gpt-mini",
                        "openai",
                        "gpt-4o-mini",
                        Some("us-east"),
                        Some(limited),
                        prices("0.15", "0.075", "0.6"),
                    ),
                    model("mistral-small", "mistral", "mistral-small-2506", Some("eu-fr"), None, Vec::new()),
                ],
                spend: self.lane_spend("standard", 119_227_010_000, 5_310, 12),
            },
            LaneView {
                name: "own".into(),
                class: Class::C,
                pick: "cheapest".into(),
                slo: Vec::new(),
                standing: None,
                moves: Vec::new(),
                models: vec![model(
                    "qwen-own",
                    "gpu-hall",
                    "qwen3-32b",
                    Some("eu-de"),
                    Some(self.health(ok, 0, 90)),
                    vec![("input".into(), "0.112".into()), ("output".into(), "0.112".into())],
                )],
                spend: self.lane_spend("own", 24_981_330, 911, 120),
            },
        ]
    }
}
