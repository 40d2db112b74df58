//! What is looked at, and what is found.

use domain::{NanoUsd, Record};
use ledger::PriceRow;
use routing::anomaly::{Kind, Turn};
use wire::AskedTier;

/// An attempt that ended, with what its record does not say.
pub struct Ended<'a> {
    /// Its record.
    pub record: &'a Record,
    /// The price it was booked by.
    pub row: Option<&'a PriceRow>,
    /// The tier the client asked for; absent where that cannot be told.
    pub asked: Option<AskedTier>,
    /// Whether it was streamed: the first token of a whole answer is its last.
    pub streamed: bool,
    /// What the call should have cost here.
    pub expected_cost: Option<NanoUsd>,
    /// What it should have cost where it would have begun if nothing were moved.
    pub usual_cost: Option<NanoUsd>,
}

/// Something begins, changes or ends.
pub(super) struct Found {
    pub kind: Kind,
    pub subject: String,
    pub turn: Turn,
    pub factor_milli: u64,
    pub reason: String,
}
