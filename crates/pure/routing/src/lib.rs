//! Which model next: given a call's candidates, how each model has been doing, and what the last attempt came to.
//!
//! Reading order: [`candidate`] is what may be tried, [`order`] how a lane ranks it; [`breaker`] says when a model is left
//! alone and [`health`] adds rate limits and measured speed to it, [`quota`] what is left of a provider's; [`route`] walks one call from hop to hop, with the
//! waits of [`backoff`] and the words of `sentence`; [`hedge`] says when a second attempt runs beside the first, [`portion`] how long one attempt may take of the call's time, [`steer`] says which calls begin elsewhere, [`slo`] when a lane's
//! promises have it so, [`concentration`] when one vendor has its share, [`anomaly`] when what was out of the ordinary is over;
//! [`truth`] is the table of what follows which fault, from which
//! `docs/failure.md` is generated.
//!
//! Nothing here knows the time or draws a random number: both are handed in, so a decision replays from its inputs.

pub mod backoff;
pub mod breaker;
pub mod candidate;
pub mod concentration;
pub mod health;
pub mod hedge;
mod learned;
mod hop;
pub mod order;
pub mod portion;
pub mod quota;
pub mod route;
mod sentence;
pub mod share;
pub mod slo;
pub mod steer;
pub mod anomaly;
pub mod truth;

pub use backoff::RetryPolicy;
pub use breaker::{BreakerSettings, State};
pub use candidate::{Bought, Candidate, LaneIndex, ModelIndex};
pub use concentration::{Concentration, ConcentrationLimit, VendorIndex};
pub use health::{HealthView, LastFault, ModelHealth, Need, Permit, Refused};
pub use hedge::{HedgeTerms, Hedging};
pub use portion::portion_ms;
pub use quota::{Amount, Mark, Quota, QuotaView};
pub use route::{Next, Route};
pub use steer::{CriticalityIndex, Kept, Move, Mover, Permille, Place};
