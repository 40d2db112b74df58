//! What is kept: records, calls, sums, keys, sessions, configurations. The only crate that knows SQL.
//!
//! Reading order: [`open`] is the database and what can go wrong with it, `sqlite` the
//! embedded one, `postgres` the shared one, `sql` a statement for both; [`ingest`] takes over what the spool holds,
//! once, `rows` puts it into tables and [`chain`] seals each batch; [`rollup`] and [`meters`] say what is summed, [`books`] reads all of it back
//! to be verified; [`calls`] and [`spend`] answer what pages ask; [`access`] keeps keys, admin
//! tokens and sessions; [`history`] configurations and the audit lines; [`kept`] what providers keep and owe, [`told`] what they say they billed;
//! [`money`] corrections and what else prices rest on; [`cache`] what was given again; [`instances`] are the processes that serve from it, [`leases`] what each may spend, [`sessions`] what sessions with a budget have spent;
//! [`own_batches`] are batches that Freehold runs itself; [`promises`] are what lanes kept of theirs; [`drills`] are reports that are kept; [`prune`] forgets what is old, [`erased`] notes and seals what that was; `schema` looks whether the tables are as they were made.
//!
//! Every value reaches SQL as a bound parameter and every statement is made of literals; there is no `LIKE`.

pub mod access;
pub mod books;
pub mod budgets;
pub mod cache;
pub mod calls;
mod cells;
pub mod chain;
pub mod drills;
pub mod erased;
pub mod history;
pub mod ingest;
pub mod instances;
pub mod kept;
pub mod leases;
pub mod meters;
pub mod money;
pub mod open;
pub mod own_batches;
mod postgres;
pub mod promises;
pub mod prune;
pub mod rollup;
mod rows;
mod schema;
pub mod sessions;
pub mod spend;
mod sql;
mod sqlite;
pub mod told;

pub use access::{AdminToken, StoredSession};
pub use books::{Books, Expected, RawAttempt, RawCall, SumRow, SumTable};
pub use budgets::{Counted, StoredApproval, Whose};
pub use cache::CacheSum;
pub use calls::{CallQuery, StoredCall};
pub use chain::{BatchRow, Digest};
pub use drills::KeptDrill;
pub use erased::{ErasedDay, LastingSums};
pub use history::{AuditLine, Revision};
pub use ingest::{Batch, Ingested, SegmentState};
pub use instances::{Incarnation, InstanceRow};
pub use leases::{LeaseRow, Renewal, Renewed};
pub use meters::MeterSum;
pub use money::{CostDifference, DifferenceSum};
pub use open::{Store, StoreError};
pub use promises::LaneEvents;
pub use prune::{Pruned, Upto};
pub use spend::{Dimension, Scope, SpendRow, TrafficPoint, TrafficScope};
pub use told::Told;
