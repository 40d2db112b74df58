//! What does freehold.toml mean? Text, catalog, environment and secret files go in as values; out comes one immutable
//! [`Snapshot`], or every problem at once with its place, its reason and what to do about it.
//!
//! Reading order: [`problem`] is what people see, `raw` reads the file as written and [`key`] describes each key; then
//! one file per section, in the order in which they build on each other: [`server`], [`defaults`], [`providers`],
//! [`models`], [`lanes`] (with [`anomalies`] and [`hedge`]), [`criticality`], [`budgets`], [`workflows`] with their [`cache`] and [`batches`], [`aliases`], [`mcp`], [`notify`]. [`secret`] keeps credentials from being printed,
//! [`identity`] says who Freehold is where there is none to keep, [`auth`] how they
//! are sent, [`url`], [`endpoint`], `fill`, `query` and `numbers` read small texts, `names` finds what a misspelt name meant, `prices` reads prices,
//! [`contracts`] what was agreed on them and [`capacity`] what was bought by the hour, [`tokenizers`] lists the public ones, [`catalog`] reads
//! the data files, and [`lists`] the public price lists. [`check`] puts the sections together
//! into a [`snapshot`]; [`explain`] says what it comes to, [`diff`] what would change, and [`reference`] prints the
//! documentation of every key.

pub mod aliases;
pub mod anomalies;
pub mod auth;
pub mod batches;
pub mod budgets;
pub mod cache;
pub mod capacity;
pub mod catalog;
pub mod check;
pub mod concentration;
pub mod contracts;
pub mod criticality;
pub mod defaults;
mod dialects;
pub mod diff;
pub mod endpoint;
pub mod explain;
mod fill;
pub mod hedge;
pub mod identity;
pub mod key;
pub mod lanes;
pub mod lists;
pub mod mcp;
pub mod models;
mod names;
pub mod notify;
mod numbers;
mod prices;
pub mod problem;
pub mod providers;
mod query;
mod raw;
pub mod reference;
pub mod secret;
pub mod server;
pub mod snapshot;
pub mod tokenizers;
pub mod url;
pub mod workflows;

pub use anomalies::{LaneAnomalies, OnAnomaly};
pub use auth::AuthScheme;
pub use batches::{BatchRunner, Batches};
pub use budgets::{Act, AtLimit, BadBudget, Budget, Organisation, Per, Threshold, Unit};
pub use cache::{CacheRule, NearRule};
pub use capacity::BoughtCapacity;
pub use catalog::{Catalog, Mode, price_rows};
pub use check::{Input, check, check_elsewhere};
pub use concentration::ConcentrationRule;
pub use contracts::Contract;
pub use criticality::Criticality;
pub use defaults::{Defaults, TimeoutOverrides, Timeouts};
pub use diff::{diff, waits_for_start};
pub use endpoint::Endpoint;
pub use explain::explain;
pub use identity::{Cloud, Identity, Need};
pub use lanes::{Lane, Slo};
pub use mcp::{McpServer, Reach};
pub use models::Model;
pub use notify::Notify;
pub use problem::{Problem, Severity};
pub use providers::{Provider, Terms};
pub use reference::reference;
pub use secret::{CredentialSource, Secret};
pub use server::{Server, SpoolMode};
pub use snapshot::{Resolved, Snapshot};
pub use tokenizers::{Tokenizer, Vocabulary};
pub use url::BaseUrl;
pub use workflows::{CaptureRule, Excluded, LaneHops, OnLoss, Workflow};
