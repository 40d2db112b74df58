//! What stands beside the calls: takes over what the spool holds, keeps keys and sessions, answers the pages and the
//! admin API, exports. A call never waits for any of it.
//!
//! Reading order: [`data`] is the folder a process owns and [`failure`] what can go wrong; [`secrets`], [`keys`] and
//! [`sessions`] say who may do what; [`ingest`] takes the spool over and [`recover`] does so after a death, before the
//! gateway serves; [`control`] answers questions, with [`overview`], [`budgets`], [`anomalies`], `alarms`, `tools` and [`pages`]; [`api`] puts them on HTTP,
//! [`views`] is what they look like and [`ports`] what is asked of the running gateway; [`ledger_export`] prints the
//! books, [`reprice`] prices them anew, [`capacity`] books what was bought and not used, [`contracts`] says how far what was agreed is,
//! [`focus_export`] hands them out as FOCUS charges ([`parquet_file`] writes such files), [`hidden_costs`] and [`cache`] report, [`capture`] compares
//! with what providers say, [`verify`] proves them, [`otlp`] sends spans, [`retention`] forgets what [`archive`] has kept. [`leases`] shares
//! budgets out among instances, [`sessions_spent`] keeps what sessions have spent, [`instances`] shows them.

mod alarms;
pub mod anomalies;
pub mod api;
pub mod archive;
pub mod budgets;
pub mod cache;
pub mod capacity;
pub mod capture;
pub mod contracts;
pub mod control;
pub mod data;
pub mod failure;
pub mod focus_export;
pub mod hidden_costs;
pub mod concentration;
pub mod drills;
pub mod identity;
pub mod ingest;
pub mod instances;
pub mod keys;
pub mod leases;
pub mod ledger_export;
pub mod otlp;
pub mod overview;
pub mod pages;
pub mod parquet_file;
pub mod ports;
pub mod promises;
pub mod recover;
pub mod reprice;
pub mod retention;
pub mod secrets;
pub mod sessions;
pub mod sessions_spent;
mod tools;
pub mod verify;
pub mod views;

pub use control::{Clock, Control};
pub use data::{DataDirectory, DataLock};
pub use failure::ControlError;
pub use ingest::{Ingest, Progress};
pub use keys::{KeyWatch, NewKey};
pub use recover::{Balances, recover};
pub use secrets::Pepper;
