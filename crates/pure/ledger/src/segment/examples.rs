//! Entries for tests: one of each kind, and a strategy for any record.

use domain::fault::Blame;
use domain::record::{BodyPrint, CallFailure, StageNote};
use domain::*;
use proptest::option;
use proptest::prelude::*;

/// A served attempt of 4.5 milli-dollars.
pub(crate) fn record() -> Record {
    let call = CallId::mint(UnixMs(1_795_252_724_005), 7);
    let intent = Intent {
        attempt: AttemptId { call, ordinal: 1 },
        at: UnixMs(1_795_252_724_010),
        key: KeyId("k1".into()),
        workflow: Some("claims-triage".into()),
        lane: Some("premium".into()),
        model: "sonnet".into(),
        provider: "anthropic".into(),
        cause: Cause::Serve,
        hold: Some(NanoUsd(9_000_000)),
        hold_tokens: None,
    };
    let line = CostLine {
        meter: Meter::Input,
        units: 1500,
        price: PicoUsd(3_000_000),
        amount: NanoUsd(4_500_000),
        price_row: "anthropic/m@2026-11-12".into(),
    };
    Record {
        intent,
        ended_at: UnixMs(1_795_252_725_000),
        end: AttemptEnd::Served { finish: Some("end_turn".into()) },
        status: Some(200),
        upstream_model: "m".into(),
        region: None,
        usage: Usage::ZERO.with(Meter::Input, 1500),
        usage_origin: UsageOrigin::Reported,
        cost: Cost::Priced { total: NanoUsd(4_500_000), lines: vec![line] },
        usage_residue: 0,
        provider_cost: None,
        latency_ms: 990,
        first_token_ms: Some(120),
        decision: "premium: only model".into(),
        losses: Vec::new(),
        provider_request_id: None,
        served: ServedAs::default(),
        corrects: None,
        counted: Vec::new(),
    }
}

/// The end of its call.
pub(crate) fn call_end() -> CallEnd {
    let record = record();
    CallEnd {
        call: record.intent.attempt.call,
        at: UnixMs(1_795_252_724_005),
        ended_at: record.ended_at,
        key: Some(record.intent.key),
        asked: "claims-triage".into(),
        workflow: record.intent.workflow,
        lane: record.intent.lane,
        class: Some(Class::A),
        model: Some(record.intent.model),
        endpoint: "POST /v1/messages".into(),
        stream: true,
        status: 200,
        failure: Some(CallFailure { code: "x".into(), blame: Blame::Us, message: "a\nb".into() }),
        attempts: 1,
        first_token_ms: Some(125),
        cost: NanoUsd(4_500_000),
        cache: None,
        stages: vec![StageNote { stage: "admit".into(), note: "ok".into() }],
        request: BodyPrint { bytes: 10, hash: "00".into() },
        answer: BodyPrint::default(),
        capture: None,
        revision: "r".into(),
    }
}

/// Any record, with texts that want escaping.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let numbers = (any::<u128>(), any::<u16>(), 0i64..4_000_000_000_000, any::<u64>());
    let options = (option::of(any::<i64>()), option::of(any::<u16>()), option::of(any::<String>()), any::<bool>());
    (numbers, options, any_end(), any_usage(), any_cost(), any::<String>()).prop_map(
        |((chance, ordinal, at, latency_ms), (hold, status, text, estimated), end, usage, cost, decision)| {
            let mut record = record();
            record.intent.attempt = AttemptId { call: CallId::mint(UnixMs(at), chance), ordinal };
            record.intent.at = UnixMs(at);
            record.intent.workflow = text.as_deref().map(WorkflowName::from);
            record.intent.hold = hold.map(NanoUsd);
            record.intent.hold_tokens = hold.map(i64::unsigned_abs);
            record.end = end;
            record.status = status;
            record.usage = usage;
            record.usage_residue = latency_ms % 3;
            record.usage_origin =
                if estimated { UsageOrigin::Estimated { error_percent: ordinal } } else { UsageOrigin::Reported };
            record.cost = cost;
            record.provider_cost = hold.map(NanoUsd);
            record.latency_ms = latency_ms;
            record.first_token_ms = status.map(u64::from);
            record.losses = text
                .iter()
                .map(|text| Loss { pointer: text.clone(), kind: LossKind::Dropped, reason: decision.clone() })
                .collect();
            record.decision = decision;
            record.served = ServedAs { tier: text.clone(), region: status.map(|status| status.to_string()) };
            record.corrects = status.map(|ordinal| AttemptId { ordinal, ..record.intent.attempt });
            record.counted = text.iter().map(|name| Counted { name: name.clone(), amount: latency_ms }).collect();
            record.provider_request_id = text;
            record
        },
    )
}

fn any_end() -> impl Strategy<Value = AttemptEnd> {
    let class = proptest::sample::select(FaultClass::ALL);
    prop_oneof![
        option::of(any::<String>()).prop_map(|finish| AttemptEnd::Served { finish }),
        (class, any::<String>(), any::<bool>()).prop_map(|(class, message, after_content)| AttemptEnd::Failed {
            class,
            message,
            after_content
        }),
        Just(AttemptEnd::Cancelled),
        Just(AttemptEnd::Indeterminate),
    ]
}

fn any_usage() -> impl Strategy<Value = Usage> {
    proptest::collection::vec((proptest::sample::select(Meter::ALL), any::<u64>()), 0..4).prop_map(|counts| {
        let mut usage = Usage::ZERO;
        counts.into_iter().for_each(|(meter, count)| usage.set(meter, count));
        usage
    })
}

fn any_cost() -> impl Strategy<Value = Cost> {
    let meter = proptest::sample::select(Meter::ALL);
    let line = (meter.clone(), any::<u64>(), any::<i64>(), -1_000_000_000_000i64..1_000_000_000_000, any::<String>())
        .prop_map(|(meter, units, price, amount, price_row)| CostLine {
            meter,
            units,
            price: PicoUsd(price),
            amount: NanoUsd(amount),
            price_row,
        });
    let lines = proptest::collection::vec(line, 0..4);
    prop_oneof![
        lines.clone().prop_map(|lines| Cost::Priced { total: lines.iter().map(|line| line.amount).sum(), lines }),
        (lines, proptest::collection::vec(meter, 0..3)).prop_map(|(lines, missing)| Cost::Unpriced { lines, missing }),
        option::of(0i64..i64::MAX).prop_map(|bound| Cost::AtMost(bound.map(NanoUsd))),
    ]
}
