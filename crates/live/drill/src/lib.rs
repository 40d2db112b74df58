//! Scripted shocks, run through the real gateway in one process under virtual time: what breaks, for how long, what it costs.
//!
//! Reading order: [`scenario`] is what a script can say, [`written`] how it is written, [`shipped`] the scripts that come with
//! Freehold; [`plan`] makes simulated providers of a configuration and a script; [`world`] is one run: the gateway as it
//! is, its providers at the other ends of pipes, and a clock that jumps; [`load`] asks, [`books`] adds up what the gateway
//! books; [`mod@run`] runs a script twice, with its shocks and without; [`report`] says what came of it, [`page`] shows it.

pub mod books;
pub mod load;
pub mod page;
pub mod plan;
pub mod report;
pub mod run;
pub mod scenario;
pub mod shipped;
mod units;
pub mod world;
pub mod written;

pub use report::Report;
pub use run::run;
pub use scenario::{Bad, Scenario};
