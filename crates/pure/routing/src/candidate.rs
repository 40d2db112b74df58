//! What a call may be sent to: a model seen through one lane, with what is known of it for this very call.

use domain::{Class, LaneName, ModelName, NanoUsd, Pick};

/// Place of a model in the configuration's snapshot.
pub type ModelIndex = usize;
/// Place of a lane in the configuration's snapshot.
pub type LaneIndex = usize;

/// Whether capacity was bought for a model, and has room for this call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bought {
    /// It has room: what it serves is paid for already.
    Room,
    /// There is none, or the provider bills by the token what flows over.
    Nothing,
    /// It is full, and serves nothing beyond.
    Full,
}

/// One model of one lane, offered to one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which model.
    pub model: ModelIndex,
    /// Its name.
    pub name: ModelName,
    /// Through which lane.
    pub lane: LaneIndex,
    /// The lane's name.
    pub lane_name: LaneName,
    /// The lane's class.
    pub class: Class,
    /// How the lane ranks its models.
    pub pick: Pick,
    /// What this call should cost here; absent where no price is known.
    pub expected_cost: Option<NanoUsd>,
    /// Quality in thousandths, 930 being 0.93; absent where none is declared.
    pub quality_milli: Option<u32>,
    /// Milliseconds to the first token as measured lately, see [`ModelHealth::first_token_ms`](crate::ModelHealth);
    /// absent where nothing has been measured.
    pub first_token_ms: Option<u64>,
    /// Attempts under way at the model, over all lanes and calls of this instance.
    pub in_flight: u32,
    /// Share of its last attempts that failed, see [`ModelHealth::failed_percent`](crate::ModelHealth::failed_percent).
    pub failed_percent: u8,
    /// Tokens of the prompt that its provider should still have in its cache; the expected cost reckons with them.
    pub cached_tokens: u64,
    /// Whether capacity was bought for it.
    pub bought: Bought,
}
