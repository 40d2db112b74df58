//! What an answer is to look like, and what has been seen of it.

use bytes::Bytes;
use domain::{Fault, Loss, NanoUsd, Usage};

use super::kept::Kept;
use crate::dialect::{Dialect, Framing, Operation};
use crate::kept::Ids;
use crate::maker::Maker;
use crate::quirks::Quirks;
use crate::spoken::Spoken;
use crate::usage::{Beside, Reported};

/// What the answer is to look like, settled before the first byte of it comes.
#[derive(Clone, Debug)]
pub struct ReplyPlan {
    /// What the client speaks.
    pub client: Dialect,
    /// What the provider speaks.
    pub upstream: Dialect,
    /// What was asked for.
    pub operation: Operation,
    /// The name the client asked for; it stands in the answer's `model`.
    pub asked_model: String,
    /// Whether the client wants the usage chunk ([`crate::Head::include_usage`]).
    pub include_usage: bool,
    /// Whether the client wants usage in every chunk ([`crate::Head::continuous_usage`]).
    pub continuous_usage: bool,
    /// How the provider's server departs from its dialect.
    pub quirks: &'static Quirks,
    /// Whose tag stands before what the provider signed or encrypted.
    pub maker: Maker,
    /// The id of a translated answer whose provider gave none.
    pub answer_id: String,
    /// The time of a translated answer whose provider gave none, seconds since 1970.
    pub created_unix_s: i64,
    /// How many bytes of the answer's text to keep in [`Seen::kept`].
    pub keep_bytes: usize,
    /// How the events of a stream follow one another for the client.
    pub framing: Framing,
    /// Whether the answer is neither JSON nor events (speech, a transcript as text): it passes as it is.
    pub raw: bool,
    /// What the client asked, where a translated answer has its shape: vectors and rankings. Empty elsewhere.
    pub request: Bytes,
    /// What the client calls an answer that the provider keeps.
    pub ids: Ids,
}

/// What has been seen of an answer so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// What was consumed, as last reported; a complete partition.
    pub usage: Option<Usage>,
    /// Tokens in `usage` that the provider's details did not explain; they stand on the base meter.
    pub usage_residue: u64,
    /// Whether content came: until then the call may still fail over.
    pub content_started: bool,
    /// Whether the dialect's closing event came, or the whole body did.
    pub ended: bool,
    /// Whether the provider only took the request down, and answers later (`background`).
    pub deferred: bool,
    /// Why the model stopped, in the provider's word.
    pub finish: Option<String>,
    /// Bytes of text, reasoning and tool arguments received, for estimates.
    pub output_bytes: u64,
    /// Frames of a stream that brought any of it. A model makes at least one token for each.
    pub output_frames: u64,
    /// The beginning of that text, as far as the plan keeps it.
    pub kept: Kept,
    /// What was said, where another model may have to go on from it. Absent where nobody will, which costs nothing.
    pub said: Option<Box<Spoken>>,
    /// An error that came inside a stream. Its frame is not passed on: the gateway says it in its own words.
    pub fault: Option<Fault>,
    /// What the provider says the call cost.
    pub provider_cost: Option<NanoUsd>,
    /// The service tier that served, in the provider's word.
    pub service_tier: Option<String>,
    /// Where the provider says it was processed, as far as its bill depends on it.
    pub geography: Option<String>,
    /// What calls of models within the answer consumed beside `usage`, as last reported.
    pub beside: Vec<Beside>,
    /// Pictures in the answer.
    pub pictures: u32,
    /// The provider's id of the answer.
    pub provider_request_id: Option<String>,
    /// What the translation of the answer gave up.
    pub losses: Vec<Loss>,
}

impl Seen {
    /// Nothing yet, of an answer to be relayed by this plan.
    pub(crate) fn nothing(plan: &ReplyPlan) -> Seen {
        Seen { kept: Kept::up_to(plan.keep_bytes), ..Seen::default() }
    }

    /// The usage as it was reported last.
    pub fn reported(&self) -> Option<Reported> {
        Some(Reported {
            usage: self.usage?,
            residue: self.usage_residue,
            cost: self.provider_cost,
            geography: self.geography.clone(),
            beside: self.beside.clone(),
        })
    }

    /// Takes a usage as reported; it replaces the one before.
    pub(crate) fn report(&mut self, reported: Reported) {
        self.usage = Some(reported.usage);
        self.usage_residue = reported.residue;
        self.provider_cost = reported.cost.or(self.provider_cost);
        self.beside = reported.beside;
        self.geography = reported.geography.or(self.geography.take());
    }
}
