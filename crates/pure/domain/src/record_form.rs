//! A record as JSON: the fields of its intent beside its own, what is absent left out. One form for both directions, since
//! the derived `flatten` collects every field in a map first, which cost as much as the rest of taking a record over.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cause::Cause;
use crate::ids::{AttemptId, KeyId};
use crate::loss::Loss;
use crate::money::NanoUsd;
use crate::names::{LaneName, ModelName, ProviderName, WorkflowName};
use crate::record::{AttemptEnd, Cost, Counted, Intent, Record, ServedAs};
use crate::time::UnixMs;
use crate::usage::{Usage, UsageOrigin};

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    attempt: AttemptId,
    at: UnixMs,
    key: Cow<'a, KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow: Option<Cow<'a, WorkflowName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lane: Option<Cow<'a, LaneName>>,
    model: Cow<'a, ModelName>,
    provider: Cow<'a, ProviderName>,
    cause: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold_tokens: Option<u64>,
    ended_at: UnixMs,
    end: Cow<'a, AttemptEnd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    upstream_model: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<Cow<'a, str>>,
    usage: Usage,
    #[serde(default, skip_serializing_if = "is_zero")]
    usage_residue: u64,
    usage_origin: UsageOrigin,
    cost: Cow<'a, Cost>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_cost: Option<NanoUsd>,
    latency_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
    decision: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "<[Loss]>::is_empty")]
    losses: Cow<'a, [Loss]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_request_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served_tier: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served_region: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    corrects: Option<AttemptId>,
    #[serde(default, skip_serializing_if = "<[Counted]>::is_empty")]
    counted: Cow<'a, [Counted]>,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let intent = &self.intent;
        let form = Form {
            attempt: intent.attempt,
            at: intent.at,
            key: Cow::Borrowed(&intent.key),
            workflow: intent.workflow.as_ref().map(Cow::Borrowed),
            lane: intent.lane.as_ref().map(Cow::Borrowed),
            model: Cow::Borrowed(&intent.model),
            provider: Cow::Borrowed(&intent.provider),
            cause: intent.cause,
            hold: intent.hold,
            hold_tokens: intent.hold_tokens,
            ended_at: self.ended_at,
            end: Cow::Borrowed(&self.end),
            status: self.status,
            upstream_model: Cow::Borrowed(&self.upstream_model),
            region: self.region.as_deref().map(Cow::Borrowed),
            usage: self.usage,
            usage_residue: self.usage_residue,
            usage_origin: self.usage_origin,
            cost: Cow::Borrowed(&self.cost),
            provider_cost: self.provider_cost,
            latency_ms: self.latency_ms,
            first_token_ms: self.first_token_ms,
            decision: Cow::Borrowed(&self.decision),
            losses: Cow::Borrowed(&self.losses),
            provider_request_id: self.provider_request_id.as_deref().map(Cow::Borrowed),
            served_tier: self.served.tier.as_deref().map(Cow::Borrowed),
            served_region: self.served.region.as_deref().map(Cow::Borrowed),
            corrects: self.corrects,
            counted: Cow::Borrowed(&self.counted),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Record, D::Error> {
        let form = Form::deserialize(deserializer)?;
        Ok(Record {
            intent: Intent {
                attempt: form.attempt,
                at: form.at,
                key: form.key.into_owned(),
                workflow: form.workflow.map(Cow::into_owned),
                lane: form.lane.map(Cow::into_owned),
                model: form.model.into_owned(),
                provider: form.provider.into_owned(),
                cause: form.cause,
                hold: form.hold,
                hold_tokens: form.hold_tokens,
            },
            ended_at: form.ended_at,
            end: form.end.into_owned(),
            status: form.status,
            upstream_model: form.upstream_model.into_owned(),
            region: form.region.map(Cow::into_owned),
            usage: form.usage,
            usage_residue: form.usage_residue,
            usage_origin: form.usage_origin,
            cost: form.cost.into_owned(),
            provider_cost: form.provider_cost,
            latency_ms: form.latency_ms,
            first_token_ms: form.first_token_ms,
            decision: form.decision.into_owned(),
            losses: form.losses.into_owned(),
            provider_request_id: form.provider_request_id.map(Cow::into_owned),
            served: ServedAs {
                tier: form.served_tier.map(Cow::into_owned),
                region: form.served_region.map(Cow::into_owned),
            },
            corrects: form.corrects,
            counted: form.counted.into_owned(),
        })
    }
}

/// Most usages add up, and say nothing of a residue.
fn is_zero(count: &u64) -> bool {
    *count == 0
}
