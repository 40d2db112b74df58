//! Model providers that behave as scripted: in every dialect, seeded answers, faults on demand, and a transcript of all they
//! received. Written from the providers' documentation and without our own `wire`, so that it cannot repeat its mistakes.
//!
//! Reading order: [`scenario`] is what a script can say; `server` takes requests, `hall` finds their provider, `admin`
//! answers the routes that begin with an underscore; `provider` plays the script: `ask` reads a request, `faults` says no,
//! `content` makes an answer up, `openai`, `media`, `anthropic`, `gemini`, `bedrock`, `invoke` and `cohere` write it down, `pace` sends
//! it in time, `realtime` speaks over a socket; `kept` is what providers keep; [`transcript`] remembers. Time is [`clock`]'s, chance
//! [`chance`]'s.

mod admin;
mod answering;
mod anthropic;
mod ask;
mod bedrock;
pub mod chance;
pub mod clock;
mod cohere;
mod content;
mod faults;
mod form;
mod frames;
mod gemini;
mod hall;
mod invoke;
mod kept;
mod media;
mod openai;
mod pace;
mod provider;
mod realtime;
mod responses;
pub mod scenario;
mod schema;
mod server;
pub mod transcript;

pub use scenario::{BadScenario, Scenario, Script};
pub use server::{Inside, Simulator, serve};
pub use transcript::{Exchange, Stats};
