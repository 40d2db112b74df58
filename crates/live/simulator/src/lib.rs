//! Model providers that behave as scripted: both dialects, seeded answers, faults on demand, and a transcript of all they
//! received. Written from the providers' documentation and without our own `wire`, so that it cannot repeat its mistakes.
//!
//! Reading order: [`scenario`] is what a script can say; `server` takes requests, `admin` answers the routes that begin with
//! an underscore; `ask` reads a request, `faults` decides whether it goes wrong, `content` makes the answer up, `openai`
//! and `anthropic` write it down, `pace` sends it in time; [`transcript`] remembers.

mod admin;
mod anthropic;
mod ask;
mod chance;
mod content;
mod faults;
mod frames;
mod openai;
mod pace;
mod provider;
pub mod scenario;
mod schema;
mod server;
pub mod transcript;

pub use scenario::{BadScenario, Scenario, Script};
pub use server::{Simulator, serve};
pub use transcript::{Exchange, Stats};
