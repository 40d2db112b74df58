//! An attempt that a request about kept things, or one of an unknown kind, is booked as: held and written down before it is sent, and
//! its record made when it is over.

use std::sync::Arc;

use config::Model;
use domain::{
    AttemptEnd, AttemptId, CallId, Cause, Cost, Entry, FaultClass, Intent, ModelName, NanoUsd, Record, Usage,
    UsageOrigin,
};
use ledger::budget::{Measure, Spend};
use tokio::time::Instant;

use super::allow::Holder;
use super::seal::Most;
use crate::budgets::Pick;
use crate::clock;
use crate::dataplane::Gateway;
use crate::open::Open;
use crate::refusal::Refusal;
use crate::spend::spent;
use crate::trail::Trail;

/// An attempt that was written down.
pub struct Booking {
    intent: Intent,
    sent: Instant,
    model: Arc<Model>,
    decision: String,
}

/// What is said of what nobody knows beforehand, under a budget that needs it.
pub struct Unknown<P: FnOnce(ModelName, String) -> Refusal> {
    /// Of a price.
    pub price: P,
    /// What it is whose tokens nobody knows.
    pub tokens: &'static str,
}

/// How one ended.
pub struct Outcome {
    /// How.
    pub end: AttemptEnd,
    /// Status of the provider; absent where none came.
    pub status: Option<u16>,
    /// What was consumed.
    pub usage: (Usage, UsageOrigin),
    /// What it cost.
    pub cost: Cost,
    /// The provider's id of what was made.
    pub id: Option<String>,
}

impl Booking {
    /// Holds the most it can take and writes down that it is about to be sent. `unknown` is what is told under a budget where nobody
    /// knows the most.
    pub async fn open(
        (gateway, call): (&Arc<Gateway>, CallId),
        holder: &Holder,
        (cause, most): (Cause, Most),
        unknown: Unknown<impl FnOnce(ModelName, String) -> Refusal>,
        trail: &mut Trail,
    ) -> Result<Booking, Refusal> {
        let (scopes, model) = (holder.scopes(), holder.model());
        let under = gateway.budgets.under(&scopes);
        if let (None, true) = (most.tokens, under.hard)
            && let Some(limited) = gateway.budgets.hard_in(&scopes, Measure::Tokens)
        {
            return Err(Refusal::UncountedTokens { what: unknown.tokens, scope: limited.to_string() });
        }
        let held = match (gateway.budgets.hard_money(&scopes).filter(|_| under.hard_money), most.usd) {
            (Some(limited), None) => return Err((unknown.price)(model.name.clone(), limited.to_string())),
            _ if !under.any => gateway.budgets.note(scopes),
            (_, usd) => {
                let spend = Spend { usd: usd.unwrap_or(NanoUsd::ZERO), tokens: most.tokens.unwrap_or(0) };
                gateway.budgets.hold(scopes, spend, Pick::Cheapest).await.map_err(|spent| {
                    gateway.metrics.budget_refusals.inc();
                    Refusal::Budget(spent)
                })?
            }
        };
        trail.attempts = 1;
        let intent = Intent {
            attempt: AttemptId { call, ordinal: 1 },
            at: clock::now(),
            key: holder.key().grant.id.clone(),
            workflow: holder.target().workflow().map(|workflow| workflow.name.clone()),
            lane: holder.lane(),
            model: model.name.clone(),
            provider: model.provider.name.clone(),
            cause,
            hold: most.usd,
            hold_tokens: most.tokens,
        };
        // From here on whatever becomes of this task finds the attempt in the trail.
        let open = trail.open.insert(Open::new(intent.clone(), held, false));
        if let Err(error) = gateway.spool.intent(&Entry::Intent(intent.clone())).await {
            open.settle(&gateway.budgets, Spend::ZERO);
            trail.open = None;
            return Err(Refusal::Spool(error.to_string()));
        }
        let decision = chosen(holder);
        Ok(Booking { intent, sent: Instant::now(), model: model.clone(), decision })
    }

    /// The model it was sent to.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// When it was sent.
    pub fn at(&self) -> domain::UnixMs {
        self.intent.at
    }

    /// Settles it. The record is returned for the spool; everything else is done.
    pub fn close(self, gateway: &Gateway, outcome: Outcome, trail: &mut Trail) -> Record {
        self.close_taking(gateway, outcome, None, trail)
    }

    /// The same; where it is told later how many tokens it used, so many count meanwhile.
    pub fn close_taking(self, gateway: &Gateway, outcome: Outcome, tokens: Option<u64>, trail: &mut Trail) -> Record {
        let Outcome { end, status, usage: (usage, usage_origin), cost, id } = outcome;
        let record = Record {
            ended_at: clock::now(),
            end,
            status,
            upstream_model: self.model.upstream.clone(),
            region: self.model.region.as_ref().map(ToString::to_string),
            usage,
            usage_origin,
            cost,
            usage_residue: 0,
            provider_cost: None,
            latency_ms: u64::try_from(self.sent.elapsed().as_millis()).unwrap_or(u64::MAX),
            first_token_ms: None,
            decision: self.decision,
            losses: Vec::new(),
            provider_request_id: id,
            served: domain::ServedAs::default(),
            corrects: None,
            counted: Vec::new(),
            intent: self.intent,
        };
        let used = spent(&record.cost, &record.usage);
        trail.settle(&gateway.budgets, Spend { tokens: tokens.unwrap_or(used.tokens), ..used });
        gateway.metrics.attempt(&record);
        record
    }

    /// Settles one that was refused or failed, and writes it down: where the provider may have done what was asked without our
    /// knowing, at `most`.
    pub async fn fail(self, gateway: &Gateway, refusal: &Refusal, most: Cost, trail: &mut Trail) {
        let outcome = failed(refusal, most);
        let record = self.close(gateway, outcome, trail);
        let kept = gateway.spool.keep(&[Entry::Record(Box::new(record))]);
        trail.open = None;
        gateway.spool.confirm(kept).await;
    }
}

/// Why it went there.
pub fn chosen(holder: &Holder) -> String {
    format!("the first model of `{}` whose provider speaks {}", holder.asked(), holder.spoken())
}

fn failed(refusal: &Refusal, most: Cost) -> Outcome {
    let usage = (Usage::ZERO, UsageOrigin::None);
    let message = |text: &str| text.chars().take(500).collect();
    let (end, cost, status) = match refusal {
        Refusal::Upstream { fault, .. } => match fault.class {
            FaultClass::TotalTimeout | FaultClass::Reset | FaultClass::Cut | FaultClass::Malformed => {
                (AttemptEnd::Indeterminate, most, fault.status)
            }
            class => {
                let end = AttemptEnd::Failed { class, message: message(&fault.message), after_content: false };
                (end, Cost::NOTHING, fault.status)
            }
        },
        Refusal::ClientGone => (AttemptEnd::Indeterminate, most, None),
        other => {
            let class = FaultClass::BadRequest;
            let end = AttemptEnd::Failed { class, message: message(&other.to_string()), after_content: false };
            (end, Cost::NOTHING, Some(404))
        }
    };
    Outcome { end, status, usage, cost, id: None }
}
