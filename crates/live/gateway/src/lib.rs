//! The data plane. A call comes in at [`server`], is found a route in [`endpoints`], and lives its life in [`life`], which
//! [`edge`] sees to the end of whatever becomes of its task, with
//! what [`dataplane`] puts together: [`admit`], [`protect`], [`cache`], [`attempt`] (with `race` beside slow ones), [`relay`] (with [`continuation`] where one breaks off), [`settle`], which has what no provider
//! reported counted by [`tokens`], and priced with [`pricing`] and the [`totals`] of many calls. [`upstream`] sends over the connections of `pool`, within the bounds of `interim`, with what [`identity`] keeps of tokens.
//! Servers of tools have a folder of their own, [`mcp`], and so have what is said over a WebSocket, [`realtime`], and what providers
//! keep for clients, [`kept`]; [`notices`] tells a webhook what budgets reach. What is out of the ordinary is found by [`watch`], and moves calls by [`steering`]. What the gateway needs from outside is in [`ports`]; the facts it
//! makes leave by [`spool`].

pub mod ports;
pub mod server;
pub mod endpoints;
pub mod call;
pub mod dataplane;
pub mod edge;
pub mod life;
pub mod target;
pub mod admit;
pub mod protect;
pub mod cache;
pub mod attempt;
pub mod prepare;
pub mod exchange;
mod race;
pub mod skipped;
pub mod count;
pub mod bound;
pub mod units;
pub mod upstream;
mod pool;
mod portion;
mod interim;
pub mod pipe;
pub mod identity;
pub mod relay;
pub mod after;
pub mod answered;
pub mod continuation;
mod search;
pub mod settle;
pub mod pricing;
pub mod totals;
pub mod tokens;
pub mod reply;
pub mod refusal;
pub mod trail;
pub mod fingerprint;
mod quote;
pub mod open;
pub mod keys;
pub mod sigv4;
pub mod budgets;
pub mod notices;
pub mod spend;
pub mod topup;
pub mod mcp;
pub mod realtime;
pub mod kept;
pub mod deployed;
pub mod steering;
pub mod watch;
pub mod judged;
pub mod feedback;
pub mod promises;
pub mod concentration;
mod wait_out;
pub mod waiting_room;
pub mod warm;
pub mod provisioned;
pub mod spool;
pub mod metrics;
pub mod chance;
#[cfg(test)]
mod scripted;
pub mod clock;
