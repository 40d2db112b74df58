//! An answer under way, as it is handed from stage to stage: found, broken off, gone on with.

use bytes::Bytes;
use domain::Fault;
use http::header::HeaderValue;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use tokio::time::Instant;
use wire::{GoingOn, Seen, StreamRelay};

use crate::reply::Streaming;
use crate::settle::Attempt;

/// A call with an answer under way.
pub struct Answered {
    /// The attempt that answers, not yet settled.
    pub attempt: Box<Attempt>,
    /// The answer.
    pub answer: Answer,
    /// When the answer must have ended.
    pub deadline: Instant,
    /// Longest silence between frames.
    pub frame_ms: u64,
    /// What the provider calls it, where it is neither JSON nor events.
    pub content_type: Option<HeaderValue>,
    /// The connection, where it has become a socket; the answer is empty then.
    pub socket: Option<Upgraded>,
}

/// An answer under way.
pub enum Answer {
    /// All of it.
    Whole {
        /// What the client gets.
        body: Bytes,
        /// What was seen in it.
        seen: Box<Seen>,
    },
    /// A stream whose first content has come.
    Stream {
        /// The rest.
        incoming: Incoming,
        /// What turns it into what the client gets.
        relay: Box<StreamRelay>,
        /// What the client gets first.
        first: Vec<u8>,
    },
}

/// A stream that broke off and may go on.
pub struct Broken {
    /// The attempt, to be settled now.
    pub attempt: Box<Attempt>,
    /// What was seen of it.
    pub seen: Box<Seen>,
    /// How it broke.
    pub fault: Fault,
    /// What it said.
    pub going_on: GoingOn,
    /// Where the stream goes.
    pub client: Streaming,
    /// What the client is still to get of it.
    pub out: Vec<u8>,
}

/// A stream that goes on.
pub struct Resumed {
    /// With this attempt.
    pub answered: Answered,
    /// To this client.
    pub client: Streaming,
    /// What the client is still to get of what broke off.
    pub out: Vec<u8>,
}
