//! Facts as a gateway would leave them, with just enough said to tell one from another.

use domain::{
    AttemptEnd, AttemptId, Blame, CallEnd, CallId, Cause, Cost, CostLine, Entry, Intent, KeyId, Meter, NanoUsd,
    PicoUsd, Record, UnixMs, Usage, UsageOrigin,
};

/// What a sample call looked like; change what the test is about.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Tells its call from others.
    pub number: u64,
    /// When it was admitted and sent; it took 100 ms.
    pub at: UnixMs,
    /// The workflow; empty for a direct call.
    pub workflow: &'static str,
    /// The lane.
    pub lane: &'static str,
    /// The model.
    pub model: &'static str,
    /// The key's public half.
    pub key: &'static str,
    /// What its one attempt booked, nano-dollars; also what was held.
    pub cost_nano: i64,
    /// Whose fault it failed by; `None` was served.
    pub failed_by: Option<Blame>,
}

impl Sample {
    /// A served call of `claims-triage` at this time, for 2 100 000 nano-dollars.
    pub fn new(number: u64, at: UnixMs) -> Sample {
        Sample {
            number,
            at,
            workflow: "claims-triage",
            lane: "premium",
            model: "sonnet",
            key: "k1",
            cost_nano: 2_100_000,
            failed_by: None,
        }
    }

    /// The call's identifier.
    pub fn call(&self) -> CallId {
        CallId::mint(self.at, u128::from(self.number))
    }

    /// Its first attempt's identifier.
    pub fn attempt(&self) -> AttemptId {
        AttemptId { call: self.call(), ordinal: 1 }
    }

    /// What is written before it is sent.
    pub fn intent(&self) -> Intent {
        Intent {
            attempt: self.attempt(),
            at: self.at,
            key: KeyId(self.key.into()),
            workflow: (!self.workflow.is_empty()).then(|| self.workflow.into()),
            lane: Some(self.lane.into()),
            model: self.model.into(),
            provider: "provider".into(),
            cause: Cause::Serve,
            hold: Some(NanoUsd(self.cost_nano)),
            hold_tokens: None,
        }
    }

    /// What is written after it ended: one line of 700 input tokens carries the whole cost.
    pub fn record(&self) -> Record {
        let amount = NanoUsd(self.cost_nano);
        let line = CostLine {
            meter: Meter::Input,
            units: 700,
            price: PicoUsd(self.cost_nano * 1000 / 700),
            amount,
            price_row: "provider/sonnet@2026-01-01".into(),
        };
        Record {
            intent: self.intent(),
            ended_at: self.at + 100,
            end: match self.failed_by {
                None => AttemptEnd::Served { finish: Some("stop".into()) },
                Some(_) => AttemptEnd::Failed {
                    class: domain::FaultClass::Overloaded,
                    message: "overloaded".into(),
                    after_content: false,
                },
            },
            status: Some(200),
            upstream_model: "claude-sonnet".into(),
            region: Some("eu".into()),
            usage: Usage::ZERO.with(Meter::Input, 700),
            usage_origin: UsageOrigin::Reported,
            cost: Cost::Priced { total: amount, lines: vec![line] },
            usage_residue: 0,
            provider_cost: None,
            latency_ms: 100,
            first_token_ms: Some(40),
            decision: "premium: only model".into(),
            losses: Vec::new(),
            provider_request_id: None,
            served: domain::ServedAs::default(),
            corrects: None,
            counted: Vec::new(),
        }
    }

    /// The end of the call.
    pub fn end(&self) -> CallEnd {
        CallEnd {
            call: self.call(),
            at: self.at,
            ended_at: self.at + 100,
            key: Some(KeyId(self.key.into())),
            asked: self.workflow.into(),
            workflow: (!self.workflow.is_empty()).then(|| self.workflow.into()),
            lane: Some(self.lane.into()),
            class: None,
            model: Some(self.model.into()),
            endpoint: "POST /v1/chat/completions".into(),
            stream: true,
            status: if self.failed_by.is_some() { 503 } else { 200 },
            failure: self.failed_by.map(|blame| domain::record::CallFailure {
                code: "upstream_overloaded".into(),
                blame,
                message: "overloaded".into(),
            }),
            attempts: 1,
            first_token_ms: self.failed_by.is_none().then_some(40),
            cost: NanoUsd(self.cost_nano),
            cache: None,
            stages: Vec::new(),
            request: domain::record::BodyPrint::default(),
            answer: domain::record::BodyPrint::default(),
            capture: None,
            revision: "0123456789ab".into(),
        }
    }

    /// All three, in the order a spool has them.
    pub fn entries(&self) -> Vec<Entry> {
        vec![Entry::Intent(self.intent()), Entry::Record(Box::new(self.record())), Entry::Call(Box::new(self.end()))]
    }
}
