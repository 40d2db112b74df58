//! The grammars spoken on the wire, without a socket: bytes of a client's request in, bytes for a provider out, and the
//! same for what comes back, with what was consumed read from it on the way.
//!
//! Same dialect on both sides: bytes pass through and only named spans change. Different dialects: `translate`, which
//! reports everything it gave up.
//!
//! Reading order: [`dialect`] and [`quirks`] name what is spoken, [`hosting`] where a host of another vendor's
//! models differs, [`invoke`] opens what is said to a vendor's model at Bedrock, [`scan`] reads a request's head in one pass, [`said`](mod@said) tells whether two say the same, [`request`]
//! makes the outgoing body, with what the provider signed itself ([`maker`]), [`sse`] and [`eventstream`] cut a stream into frames,
//! [`reply`] relays an answer, [`usage`] reads what it cost,
//! [`form`] and [`audio`] read what is no JSON, [`errors`] reads providers' errors and writes ours, [`limits`] what their headers tell of limits, [`models`] lists models,
//! `going_on` has another model go on with an answer that broke off, from what `spoken` kept of it, cut at the seam by `overlap`,
//! [`kept`] finds the ids of what providers keep, [`mcp`] reads the messages of tool servers, [`realtime`] the events of a
//! conversation over a WebSocket. [`splice`] and `cursor` are the tools
//! underneath; [`canonical`], [`dialects`] and [`translate`] cross from one dialect to the other; [`fuzz`] holds the
//! invariants of every parser.

mod ask;
pub mod audio;
pub mod canonical;
mod cursor;
pub mod dialect;
pub mod dialects;
pub mod errors;
pub mod eventstream;
pub mod form;
pub mod fuzz;
mod going_on;
pub mod hosting;
pub mod invoke;
mod items;
pub mod kept;
pub mod limits;
pub mod maker;
pub mod mcp;
pub mod models;
mod overlap;
pub mod quirks;
pub mod realtime;
pub mod reply;
pub mod request;
pub mod said;
pub mod scan;
mod signatures;
mod splice;
mod spoken;
pub mod sse;
pub mod translate;
pub mod usage;

pub use dialect::{Address, Dialect, Framing, Operation};
pub use errors::{ClientError, Retry, error_body, error_frame, loss_header, upstream_fault};
pub use going_on::{GoingOn, Way};
pub use hosting::Hosting;
pub use kept::Ids;
pub use maker::Maker;
pub use models::{ListedModel, models_body};
pub use quirks::Quirks;
pub use reply::{Kept, ReplyPlan, Seen, StreamRelay, reply_body};
pub use request::{Ask, Outgoing, outgoing};
pub use said::{Said, said};
pub use scan::{AskedTier, BadBody, Bound, Features, Head, Prompt, Units, prompt_texts, scan, scan_form};
pub use spoken::{MOST_SPOKEN_BYTES, Spoken};
pub use translate::has_tools_of_the_provider;
