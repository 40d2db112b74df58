//! How one call stands with each of its candidates.

use std::sync::Arc;

use domain::{FaultClass, UnixMs};

use crate::candidate::Candidate;
use crate::health::Refused;
use crate::steer::Move;

/// A candidate, and how this call stands with it.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) candidate: Candidate,
    pub(crate) attempts: u16,
    pub(crate) standing: Standing,
    /// What its model answered when it was asked for this hop.
    pub(crate) refused: Option<Obstacle>,
    /// When its provider said to come back.
    pub(crate) back_at: Option<UnixMs>,
    /// What moved this call away from it.
    pub(crate) moved: Option<Arc<Move>>,
}

/// A permit that was not given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Obstacle {
    pub(crate) why: Refused,
    pub(crate) since: UnixMs,
    pub(crate) until: UnixMs,
}

/// Whether a candidate is still in play.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Not tried.
    Fresh,
    /// Tried, failed, and may be tried again.
    Again(FaultClass),
    /// Tried and failed for good.
    Failed(FaultClass),
    /// The caller cannot use it, and says why.
    Skipped(String),
}
