//! What is kept: records, calls, sums, keys, sessions, configurations. The only crate that knows SQL.
//!
//! Reading order: [`open`] is the database and what can go wrong with it; [`ingest`] takes over what the spool holds,
//! once, `rows` puts it into tables; [`rollup`] says what is summed; [`calls`] and [`spend`] answer what pages ask; [`access`] keeps keys, admin
//! tokens and sessions; [`history`] configurations and the audit lines; [`kept`] what providers keep and owe; [`money`] corrections and what else prices rest on; [`prune`] forgets what is old.
//!
//! Every value reaches SQL as a bound parameter and every statement is made of literals; there is no `LIKE`.

pub mod access;
pub mod calls;
pub mod history;
pub mod ingest;
pub mod kept;
pub mod money;
pub mod open;
pub mod prune;
pub mod rollup;
mod rows;
pub mod spend;

pub use access::{AdminToken, StoredSession};
pub use calls::{CallQuery, StoredCall};
pub use history::{AuditLine, Revision};
pub use ingest::{Batch, Ingested, SegmentState};
pub use money::{CostDifference, DifferenceSum};
pub use open::{Store, StoreError};
pub use prune::Pruned;
pub use spend::{Dimension, Scope, SpendRow, TrafficPoint, TrafficScope};
