//! The nouns every other crate speaks: identifiers, money, tokens by meter, time, lanes, regions, faults and the facts a
//! call leaves behind. It imports nothing of ours and decides nothing.
//!
//! Reading order: [`ids`] and [`names`] say which thing, [`time`] when, [`money`] and [`usage`] how much, [`lane`] and
//! [`region`] where, [`cause`] why it was spent, [`fault`] what went wrong and whose fault it was, [`loss`] what a
//! translation gave up, [`quota`] what a provider says is left, [`batch`] what a batch of our own is, and [`record`] puts them together into the facts the spool keeps.

pub mod batch;
pub mod cause;
pub mod fault;
pub mod ids;
pub mod key;
pub mod lane;
pub mod loss;
pub mod money;
pub mod names;
pub mod quota;
pub mod record;
mod record_form;
pub mod region;
pub mod time;
pub mod usage;

pub use batch::{BatchFile, BatchLine, BatchStatus, OwnBatch};
pub use cause::Cause;
pub use fault::{Blame, Fault, FaultClass};
pub use ids::{AttemptId, CallId, KeyId};
pub use key::KeyGrant;
pub use lane::{Class, Pick};
pub use loss::{Loss, LossKind};
pub use money::{NanoUsd, PicoUsd};
pub use names::{LaneName, ModelName, ProviderName, SessionId, UnitName, WorkflowName};
pub use quota::{QuotaClaim, QuotaUnit, QuotaWindow};
pub use record::{AttemptEnd, CacheUse, CallEnd, Cost, CostLine, Counted, Entry, Intent, Likeness, Record, ServedAs};
pub use region::Region;
pub use time::UnixMs;
pub use usage::{Meter, Usage, UsageOrigin};
