//! Calls as they come: served, failed over, refused, direct, and one of a client that means harm.

use domain::record::{BodyPrint, CallFailure, Capture, StageNote};
use domain::*;

use super::{Canned, DAY, HOSTILE, WORKFLOWS, scatter};

impl Canned {
    /// The `i`th call back from now; the first ones are the telling ones.
    pub fn call_end(&self, i: u64) -> CallEnd {
        let chance = scatter(i);
        let ended_at = self.now - (3_000 + i * 41_700 + chance % 9_000);
        let took = 600 + chance % 4_000;
        let workflow = WORKFLOWS[(chance % 5) as usize];
        let mut end = CallEnd {
            call: call_id(ended_at - took, i),
            at: ended_at - took,
            ended_at,
            key: Some(KeyId(if chance.is_multiple_of(3) { "9xk2mf".into() } else { "ab12cd".into() })),
            asked: workflow.to_owned(),
            workflow: Some(workflow.into()),
            lane: Some("standard".into()),
            class: Some(Class::B),
            model: Some("haiku".into()),
            endpoint: "POST /v1/chat/completions".into(),
            stream: chance.is_multiple_of(2),
            status: 200,
            failure: None,
            attempts: 1,
            first_token_ms: Some(180 + chance % 700),
            cost: NanoUsd(i64::try_from(400_000 + chance % 9_000_000).unwrap_or(0)),
            cache: None,
            stages: vec![
                note("admit", "key ab12cd may name it; 41 of 600 requests this minute"),
                note("attempt", "standard: cheapest of 3 by expected 0.0021 USD"),
                note("settle", "hold of 0.0124 USD settled"),
            ],
            request: BodyPrint { bytes: 2_148, hash: "7d1f0c3ab2e94455".into() },
            answer: BodyPrint { bytes: 912, hash: "0a51d2c8f0b7e613".into() },
            capture: None,
            revision: "3f9a1c77b2d0".into(),
        };
        match i {
            0 => self.failed_over(&mut end),
            2 => refuse(
                &mut end,
                "budget_spent",
                429,
                Blame::Client,
                "budget `nightly-digest` is spent (40.00 of 40.00 USD); raise `limit` in freehold.toml or wait for 1 December",
            ),
            4 => {
                refuse(
                    &mut end,
                    "unknown_model",
                    404,
                    Blame::Client,
                    "no workflow, alias, lane or model of that name; GET /v1/models lists what this key may name",
                );
                end.asked = HOSTILE.to_owned();
                end.workflow = None;
                end.key = None;
            }
            7 => {
                end.asked = "model:qwen-own".into();
                (end.workflow, end.lane, end.class, end.model) = (None, None, None, Some("qwen-own".into()));
            }
            9 => {
                end.asked = "gpt-4o".into();
                end.workflow = Some("claims-triage".into());
            }
            11 => {
                let message = "every model of premium and standard failed; 3 attempts were made, none was billed";
                refuse(&mut end, "upstream_overloaded", 503, Blame::Provider, message);
                end.attempts = 3;
            }
            _ => {}
        }
        end
    }

    /// The telling call: a first provider that overloads, an answer from the next one through a translation.
    fn failed_over(&self, end: &mut CallEnd) {
        end.asked = "gpt-4o".into();
        end.workflow = Some("claims-triage".into());
        (end.lane, end.class, end.model) = (Some("premium".into()), Some(Class::A), Some("sonnet".into()));
        (end.attempts, end.stream, end.first_token_ms) = (3, true, Some(1_742));
        end.at = end.ended_at - 4_391;
        end.call = call_id(end.at, 0);
        end.cost = NanoUsd(11_634_900);
        end.stages = vec![
            note("admit", "key ab12cd may name it; alias `gpt-4o` means claims-triage; 41 of 600 requests this minute"),
            note("protect", "residency eu: `gpt-big` (us-east) is left out"),
            note("attempt", "3 attempts over 2 models; 0.0482 USD held before the first"),
            note("relay", "streamed; the usage chunk the client had not asked for was taken out"),
            note("settle", "hold of 0.0482 USD settled with 0.0116349 USD"),
        ];
        end.capture = Some(Capture {
            request: "{\"model\": \"gpt-4o\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Hail damage to the roof, 12 March …\"}]}".into(),
            answer: "{\"category\": \"storm\", \"urgency\": \"high\", \"missing\": [\"photos\"]}".into(),
            until: self.now + 7 * DAY,
        });
    }

    /// What the call left in the spool.
    pub fn entries(&self, end: &CallEnd) -> Vec<Entry> {
        let intent = |ordinal, after_ms: u64, model: &str, provider: &str, cause| Intent {
            attempt: AttemptId { call: end.call, ordinal },
            at: end.at + after_ms,
            key: end.key.clone().unwrap_or(KeyId("ab12cd".into())),
            workflow: end.workflow.clone(),
            lane: end.lane.clone(),
            model: model.into(),
            provider: provider.into(),
            cause,
            hold: Some(NanoUsd(48_200_000)),
            hold_tokens: None,
        };
        let record = |intent: Intent, took: u64| Record {
            ended_at: intent.at + took,
            intent,
            end: AttemptEnd::Served { finish: Some("end_turn".into()) },
            status: Some(200),
            upstream_model: "claude-sonnet-4-5".into(),
            region: Some("eu-west-1".into()),
            usage: Usage::ZERO,
            usage_origin: UsageOrigin::None,
            cost: Cost::NOTHING,
            usage_residue: 0,
            provider_cost: None,
            latency_ms: took,
            first_token_ms: None,
            decision: String::new(),
            losses: Vec::new(),
            provider_request_id: None,
            served: domain::ServedAs::default(),
            corrects: None,
            counted: Vec::new(),
        };
        if end.attempts == 0 {
            return Vec::new();
        }
        let took = end.ended_at.since(end.at);
        if end.attempts < 3 {
            let served = priced(
                Record {
                    upstream_model: "claude-haiku-4-5".into(),
                    first_token_ms: end.first_token_ms.map(|ms| ms.saturating_sub(9)),
                    decision: "standard: cheapest of 3 by expected 0.0021 USD".into(),
                    provider_request_id: Some("req_011CTz".into()),
                    ..record(intent(1, 8, "haiku", "anthropic", Cause::Serve), took.saturating_sub(12))
                },
                &[(Meter::Input, 412, 1_000_000), (Meter::Output, 96, 5_000_000)],
                "anthropic/claude-haiku-4-5@2025-10-01",
            );
            return vec![Entry::Intent(served.intent.clone()), Entry::Record(Box::new(served))];
        }
        let first = Record {
            end: AttemptEnd::Failed {
                class: FaultClass::Overloaded,
                message: "Overloaded".into(),
                after_content: false,
            },
            status: Some(529),
            decision: "premium: best of 2 by quality 0.93".into(),
            provider_request_id: Some("req_011CTy".into()),
            ..record(intent(1, 6, "sonnet", "anthropic", Cause::Serve), 312)
        };
        let second = Record {
            end: AttemptEnd::Failed {
                class: FaultClass::FirstTokenTimeout,
                message: "no content within 1000 ms".into(),
                after_content: false,
            },
            status: Some(200),
            usage_origin: UsageOrigin::Estimated { error_percent: 12 },
            decision: "premium: the same model again after 214 ms; the provider asked for no wait".into(),
            ..record(intent(2, 532, "sonnet", "anthropic", Cause::Retry), 1_004)
        };
        let second = priced(second, &[(Meter::Input, 1_210, 3_000_000)], "anthropic/claude-sonnet-4-5@2025-09-29");
        let third = Record {
            upstream_model: "eu.anthropic.claude-sonnet-4-5".into(),
            first_token_ms: Some(198),
            decision: "premium: sonnet failed twice (upstream_first_token_timeout); next best by quality 0.92".into(),
            losses: vec![
                Loss {
                    pointer: "/messages/0/name".into(),
                    kind: LossKind::Dropped,
                    reason: "the Messages dialect has no name on a message".into(),
                },
                Loss {
                    pointer: "/response_format".into(),
                    kind: LossKind::Approximated,
                    reason: "the JSON schema was put into a tool the model must call".into(),
                },
            ],
            provider_request_id: Some("req_vrtx_011CTyQ7".into()),
            ..record(intent(3, 1_540, "sonnet-eu", "anthropic-eu", Cause::Failover), 2_846)
        };
        let meters = [
            (Meter::Input, 1_184, 3_000_000),
            (Meter::CacheRead, 5_120, 300_000),
            (Meter::Output, 187, 15_000_000),
            (Meter::Reasoning, 3, 15_000_000),
        ];
        let third = priced(third, &meters, "anthropic/claude-sonnet-4-5@2025-09-29");
        [first, second, third]
            .into_iter()
            .flat_map(|record| [Entry::Intent(record.intent.clone()), Entry::Record(Box::new(record))])
            .collect()
    }
}

fn refuse(end: &mut CallEnd, code: &str, status: u16, blame: Blame, message: &str) {
    end.status = status;
    end.failure = Some(CallFailure { code: code.to_owned(), blame, message: message.to_owned() });
    (end.lane, end.class, end.model, end.first_token_ms, end.attempts) = (None, None, None, None, 0);
    end.cost = NanoUsd::ZERO;
    end.ended_at = end.at + 2;
    end.stages = vec![note("admit", message)];
}

fn priced(mut record: Record, meters: &[(Meter, u64, i64)], row: &str) -> Record {
    let lines = meters.iter().map(|(meter, units, price)| CostLine {
        meter: *meter,
        units: *units,
        price: PicoUsd(*price),
        amount: PicoUsd(*price).times(*units),
        price_row: row.to_owned(),
    });
    let lines = lines.collect::<Vec<_>>();
    for (meter, units, _) in meters {
        record.usage.set(*meter, *units);
    }
    if record.usage_origin == UsageOrigin::None {
        record.usage_origin = UsageOrigin::Reported;
    }
    record.cost = Cost::Priced { total: lines.iter().map(|line| line.amount).sum(), lines };
    record
}

fn note(stage: &str, note: &str) -> StageNote {
    StageNote { stage: stage.to_owned().into(), note: note.to_owned() }
}

fn call_id(at: UnixMs, i: u64) -> CallId {
    CallId::mint(at, u128::from(scatter(i)) << 16 | u128::from(i))
}
