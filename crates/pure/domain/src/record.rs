//! The facts a call leaves: an intent before each attempt is sent, a record after it ended, and one end for the call.
//! These are what the spool writes, the store keeps and the pages show.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::fault::{Blame, FaultClass};
use crate::ids::{AttemptId, CallId, KeyId};
use crate::lane::Class;
use crate::loss::Loss;
use crate::money::{NanoUsd, PicoUsd};
use crate::names::{LaneName, ModelName, ProviderName, WorkflowName};
use crate::time::UnixMs;
use crate::usage::{Meter, Usage, UsageOrigin};

/// One line of the spool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// About to send.
    Intent(Intent),
    /// An attempt ended.
    Record(Box<Record>),
    /// A call ended, served or refused.
    Call(Box<CallEnd>),
}

/// Written before an attempt is sent, so that no crash hides what a provider may bill.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// Which attempt.
    pub attempt: AttemptId,
    /// When it was about to be sent.
    pub at: UnixMs,
    /// Whose key.
    pub key: KeyId,
    /// For which workflow; absent where a key addressed a lane or model directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowName>,
    /// Through which lane; absent where a key addressed a model directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<LaneName>,
    /// To which model.
    pub model: ModelName,
    /// At which provider.
    pub provider: ProviderName,
    /// Why.
    pub cause: Cause,
    /// What is held for it: the most it can cost; absent where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<NanoUsd>,
    /// The most tokens it can use, of what is told later only, which nobody can count meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_tokens: Option<u64>,
}

/// The fact a finished attempt leaves. Its JSON has the intent's fields beside its own: see `record_form`.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// What was said before it was sent.
    pub intent: Intent,
    /// When it ended.
    pub ended_at: UnixMs,
    /// How it ended.
    pub end: AttemptEnd,
    /// HTTP status of the provider; absent where none came.
    pub status: Option<u16>,
    /// The vendor's model id that was asked for.
    pub upstream_model: String,
    /// Where it was processed, as the configuration declares.
    pub region: Option<String>,
    /// Counts by meter.
    pub usage: Usage,
    /// Tokens in `usage` that the provider's own details did not explain. They stand on the base meter of their direction, and
    /// are priced there.
    pub usage_residue: u64,
    /// Whether the provider reported them.
    pub usage_origin: UsageOrigin,
    /// What it cost.
    pub cost: Cost,
    /// What the provider itself said it cost, where it says so.
    pub provider_cost: Option<NanoUsd>,
    /// From sending to the end, milliseconds.
    pub latency_ms: u64,
    /// From sending to the first content, milliseconds; absent where none came.
    pub first_token_ms: Option<u64>,
    /// Why it went there, in one sentence.
    pub decision: String,
    /// What translating the request and the answer gave up.
    pub losses: Vec<Loss>,
    /// The provider's own id of the answer or request, for talking to its support.
    pub provider_request_id: Option<String>,
    /// How the provider says it served it, as far as its price depends on that.
    pub served: ServedAs,
    /// Which attempt's cost this puts right; absent but in records of cause `correction`, which consumed nothing themselves.
    pub corrects: Option<AttemptId>,
    /// What it adds to totals that prices depend on: free allowances, steps of volume, credits, commitments.
    pub counted: Vec<Counted>,
}

/// What an attempt adds to a total that prices depend on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// The total's name in the price row or contract.
    pub name: String,
    /// Units of its meter, or nano-dollars where it counts money.
    pub amount: u64,
}

/// How a provider says it served an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServedAs {
    /// The service tier, in the provider's own word; absent where it named none.
    pub tier: Option<String>,
    /// The region it bills apart; absent where it named none.
    pub region: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// The whole answer came.
    Served {
        /// The provider's finish reason, in its own word.
        finish: Option<String>,
    },
    /// It failed; content may have reached the client before that.
    Failed {
        /// What kind of failure.
        class: FaultClass,
        /// The provider's words or ours, without prompt text.
        message: String,
        /// Whether content had reached the client.
        after_content: bool,
    },
    /// The client went away, and we stopped it.
    Cancelled,
    /// We were killed, or failed, while it was in flight; its hold is the upper bound of what it cost.
    Indeterminate,
}

/// What an attempt cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Every meter had a price.
    Priced {
        /// The sum of the lines.
        total: NanoUsd,
        /// One line per meter.
        lines: Vec<CostLine>,
    },
    /// A meter in use had no price: an alarm, never zero.
    Unpriced {
        /// The lines that could be priced.
        lines: Vec<CostLine>,
        /// The meters that could not.
        missing: Vec<Meter>,
    },
    /// In flight when we were killed or failed, or answered later than its call; at most this much, absent where no price is
    /// known.
    AtMost(Option<NanoUsd>),
}

impl CostLine {
    /// Takes back what an attempt was booked with at most.
    pub fn taking_back(bound: NanoUsd, attempt: AttemptId) -> CostLine {
        CostLine {
            meter: Meter::Requests,
            units: 1,
            price: PicoUsd(bound.0.saturating_mul(-1_000)),
            amount: NanoUsd(bound.0.saturating_neg()),
            price_row: format!("upper bound of {attempt}, taken back"),
        }
    }
}

impl Cost {
    /// Nothing was consumed, so nothing is owed.
    pub const NOTHING: Cost = Cost::Priced { total: NanoUsd::ZERO, lines: Vec::new() };

    /// What counts against a budget: the total, the priced lines, or the upper bound.
    pub fn booked(&self) -> NanoUsd {
        match self {
            Cost::Priced { total, .. } => *total,
            Cost::Unpriced { lines, .. } => lines.iter().map(|line| line.amount).sum(),
            Cost::AtMost(bound) => bound.unwrap_or(NanoUsd::ZERO),
        }
    }
}

/// One meter of one attempt, priced; or, with an amount below zero, an upper bound booked before that is taken back now that the
/// cost is known. No price is below zero, so the two cannot be confused.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CostLine {
    /// What was counted.
    pub meter: Meter,
    /// How many.
    pub units: u64,
    /// At what price each.
    pub price: PicoUsd,
    /// Rounded once.
    pub amount: NanoUsd,
    /// Which row of the price book said so.
    pub price_row: String,
}

/// The end of a call, whether served or refused.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CallEnd {
    /// Which call.
    pub call: CallId,
    /// When it was admitted.
    pub at: UnixMs,
    /// When the last byte was handed over, or the refusal sent.
    pub ended_at: UnixMs,
    /// Whose key; absent where none was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// What the client wrote into `model`.
    pub asked: String,
    /// Which workflow that meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowName>,
    /// The lane that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<LaneName>,
    /// Its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// Client-facing route, such as `POST /v1/chat/completions`.
    pub endpoint: String,
    /// Whether it was streamed.
    pub stream: bool,
    /// HTTP status the client got.
    pub status: u16,
    /// Absent when all went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<CallFailure>,
    /// How many attempts were made.
    pub attempts: u16,
    /// From the first byte in to the first content out, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// Sum of what its attempts booked.
    pub cost: NanoUsd,
    /// What the cache had for it; absent where it had nothing, or was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Box<CacheUse>>,
    /// What each stage found worth saying, in order: stage and sentence.
    pub stages: Vec<StageNote>,
    /// Size and BLAKE3 hash of the request body; the body itself only in `capture`.
    pub request: BodyPrint,
    /// Size and hash of what the client was sent.
    pub answer: BodyPrint,
    /// Bodies, only where the workflow asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// Configuration revision that decided.
    pub revision: String,
}

/// What the cache had for a call. A memo: no money moves where nothing was asked of a provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CacheUse {
    /// How like the request was to the one answered before.
    pub likeness: Likeness,
    /// The call whose answer it is.
    pub of: CallId,
    /// How old that was, milliseconds.
    pub age_ms: u64,
    /// What the attempt of then would cost now, by the meters of then; zero where the answer was not given to the client, or has
    /// no price.
    pub saved: NanoUsd,
    /// Whether a model was asked all the same, to compare: whether its answer says what the cached one does. The client was given
    /// the model's. Absent where the client was given the cached one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agrees: Option<bool>,
}

/// How like two requests are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// They say the same.
    Exact,
    /// All but their last words say the same, and the vectors of these are near each other.
    Near {
        /// Cosine of the two vectors, thousandths.
        cosine_milli: u16,
    },
}

/// Why a call failed, as the client was told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CallFailure {
    /// Stable code.
    pub code: String,
    /// Who has to act.
    pub blame: Blame,
    /// The sentence.
    pub message: String,
}

/// What a stage of the call found worth saying.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageNote {
    /// `admit`, `protect`, `attempt`, …
    pub stage: Cow<'static, str>,
    /// One sentence.
    pub note: String,
}

/// A body without its content.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct BodyPrint {
    /// Length.
    pub bytes: u64,
    /// 16 hex digits of a keyed hash: BLAKE3, or SipHash-2-4 of what was streamed. Empty when there was no body.
    pub hash: String,
}

/// Bodies kept because the workflow's `capture` setting says so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Capture {
    /// What the client sent, cut to the bound.
    pub request: String,
    /// What it got, cut to the bound.
    pub answer: String,
    /// When it is to be erased.
    pub until: UnixMs,
}
