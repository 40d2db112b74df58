//! What a server answers: at once, or in a stream, one event at a time, each within a bound.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::{Fault, FaultClass};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use wire::sse::{Piece, Splitter};

use super::process::{Asked, EVENT_BYTES};
use crate::pool::sentence;

/// What a server answered.
pub struct Reply {
    /// With which status.
    pub status: StatusCode,
    /// Its own name of a session that began.
    pub session: Option<String>,
    /// What it says.
    pub body: Body,
}

/// What an answer says.
pub enum Body {
    /// Nothing.
    Nothing,
    /// All at once, and whether that is JSON.
    Whole(Bytes, bool),
    /// Event by event.
    Events(Events),
}

/// A stream of events.
pub enum Events {
    /// As it comes over HTTP.
    Http(Box<Http>),
    /// What a process of ours says to one request.
    Asked(Asked),
    /// What it says by itself.
    Unasked(mpsc::Receiver<Bytes>),
}

/// A stream that comes over HTTP.
pub struct Http {
    incoming: Incoming,
    splitter: Splitter,
    ready: VecDeque<Bytes>,
}

impl Events {
    /// The events of a body.
    pub fn of(incoming: Incoming) -> Events {
        let splitter = Splitter::of_at_most(EVENT_BYTES);
        Events::Http(Box::new(Http { incoming, splitter, ready: VecDeque::new() }))
    }

    /// The next event, as a whole frame of server-sent events; nothing where the stream is over.
    pub async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        match self {
            Events::Http(http) => http.next().await,
            Events::Asked(asked) => asked.next().await.map(Ok),
            Events::Unasked(receiver) => receiver.recv().await.map(Ok),
        }
    }

    /// Whether an answer that comes first may be told as it is, without a stream.
    pub fn may_be_whole(&self) -> bool {
        matches!(self, Events::Asked(_))
    }
}

impl Http {
    async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(Ok(frame));
            }
            let data = match self.incoming.frame().await? {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => return Some(Err(Fault::new(FaultClass::Reset, sentence(&error)))),
            };
            let ready = &mut self.ready;
            let fed = self.splitter.feed(&data, |piece| {
                // Without the line feed that comes after the frame it ended, the stream means the same.
                if let Piece::Frame(frame) = piece {
                    ready.push_back(Bytes::copy_from_slice(frame));
                }
                Ok(())
            });
            if let Err(fault) = fed {
                return Some(Err(fault));
            }
        }
    }
}
