//! One request to the provider that keeps a thing, and its answer: whole, or piece by piece while it is read.

use std::time::Duration;

use bytes::Bytes;
use domain::{Fault, FaultClass};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use wire::StreamRelay;

use super::allow::Reach;
use crate::deployed::Deployed;
use crate::exchange::{Failure, Patience, refused, whole};
use crate::pool::sentence;
use crate::refusal::Refusal;
use crate::reply::{Leaves, Streaming, Waiting};
use crate::trail::Trail;
use crate::upstream::packed;

/// An answer whose head has come.
pub struct Heard {
    /// Head and body.
    pub response: Response<Incoming>,
    /// When it must have ended.
    pub deadline: Instant,
    /// Longest silence between frames.
    pub frame_ms: u64,
}

/// Where things are put and listed.
const NEW: &[&str] = &["/files", "/batches", "/messages/batches"];

/// Sends a request and waits for the head of a good answer. `what` is what it asks for.
pub async fn send(
    deployed: &Deployed,
    reach: &Reach,
    what: &'static str,
    client: &mut Waiting,
) -> Result<Heard, Refusal> {
    let timeouts = reach.provider().timeouts;
    let deadline = Instant::now() + Duration::from_millis(timeouts.total_ms);
    let patience = Patience { until: deadline, late: FaultClass::TotalTimeout };
    let sent = patience.wait(client, deployed.upstreams.send_kept(reach)).await;
    let response = sent.map_err(|end| end.failure(None)).and_then(|sent| sent.map_err(|f| Failure::Fault(f, None)));
    let response = response.map_err(|failure| told(reach, failure))?;
    if response.status().is_success() {
        if let Some(packed) = packed(response.headers()) {
            return Err(fault(reach, packed));
        }
        return Ok(Heard { response, deadline, frame_ms: timeouts.frame_ms });
    }
    let status = response.status();
    let is_missing = matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    match refused(reach.spoken(), response, client).await {
        // Where no thing was named, it is the route that is not there.
        Failure::Fault(fault, _) if is_missing && NEW.contains(&reach.path().split('?').next().unwrap_or_default()) => {
            let why = format!("provider `{}` has no route for it: {}", reach.provider().name, fault.message);
            Err(Refusal::KeepsNone { what, why })
        }
        Failure::Fault(fault, _) if status == StatusCode::NOT_FOUND => {
            Err(Refusal::Gone { what, provider: reach.provider().name.to_string(), said: fault.message })
        }
        failure => Err(told(reach, failure)),
    }
}

/// The whole body of an answer.
pub async fn read(reach: &Reach, heard: Heard, client: &mut Waiting) -> Result<Bytes, Refusal> {
    let patience = Patience { until: heard.deadline, late: FaultClass::TotalTimeout };
    let mut incoming = heard.response.into_body();
    whole(&mut incoming, client, &patience).await.map_err(|failure| told(reach, failure))
}

/// What a client is told of a fault: nobody else has what it asked for.
pub fn fault(reach: &Reach, fault: Fault) -> Refusal {
    let why = format!("provider `{}` alone has it", reach.provider().name);
    Refusal::Upstream { retry_after_ms: fault.retry_after_ms, fault, why, billed: false }
}

fn told(reach: &Reach, failure: Failure) -> Refusal {
    match failure {
        Failure::Fault(found, _) => fault(reach, found),
        Failure::Gone(_) => Refusal::ClientGone,
    }
}

/// What an answer is read by on its way to the client.
pub enum Through {
    /// Nothing: it passes as it is.
    Raw,
    /// Events of a stored answer.
    Events(Box<StreamRelay>),
    /// Lines, each by itself.
    Lines(Box<dyn Lines>),
}

/// What reads lines.
pub trait Lines: Send {
    /// The line as the client gets it, without its end.
    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Fault>;
    /// What each answer in them consumed, once all lines were read; nothing where one did not tell.
    fn usages(&self) -> Option<&[wire::usage::Reported]>;
}

/// Longest line of results, bytes: more than any model answers.
const LINE_BYTES: usize = 16 << 20;

/// What moves a body to the client.
pub struct Pump {
    incoming: Incoming,
    deadline: Instant,
    frame_ms: u64,
    through: Through,
    /// A line that has not ended.
    rest: Vec<u8>,
}

/// How a body ended.
pub enum Ended {
    /// All of it came; these bytes are still to be sent.
    Whole(Vec<u8>),
    /// The provider broke it off; what the client had asked for in events is told in one.
    Broken(Fault),
    /// The client went away.
    Gone,
}

impl Pump {
    /// Moves what was heard through this.
    pub fn new(heard: Heard, through: Through) -> Pump {
        let Heard { response, deadline, frame_ms } = heard;
        Pump { incoming: response.into_body(), deadline, frame_ms, through, rest: Vec::new() }
    }

    /// What it went through.
    pub fn through(&self) -> &Through {
        &self.through
    }

    /// Moves all but the last bytes.
    pub async fn run(&mut self, client: &mut Streaming, trail: &mut Trail) -> Ended {
        let mut out = Vec::new();
        loop {
            let until = self.deadline.min(Instant::now() + Duration::from_millis(self.frame_ms));
            let next = tokio::select! {
                biased;
                next = timeout_at(until, self.incoming.frame()) => next,
                () = client.gone() => return Ended::Gone,
            };
            let fed = match next {
                Err(_) => Err(Fault::new(FaultClass::FrameTimeout, "the provider's answer stood still")),
                Ok(Some(Err(error))) => Err(Fault::new(FaultClass::Reset, sentence(&error))),
                Ok(Some(Ok(frame))) => match frame.data_ref() {
                    Some(data) => self.feed(data, &mut out).map(|over| over.then_some(())),
                    None => Ok(None),
                },
                Ok(None) => self.end(&mut out).map(Some),
            };
            match fed {
                Err(fault) => return Ended::Broken(fault),
                Ok(Some(())) => {
                    trail.answer(&out);
                    return Ended::Whole(out);
                }
                Ok(None) if out.is_empty() => {}
                Ok(None) => {
                    trail.answer(&out);
                    let piece = Bytes::from(std::mem::take(&mut out));
                    if !matches!(timeout_at(self.deadline, client.send(piece)).await, Ok(Ok(()))) {
                        return Ended::Gone;
                    }
                }
            }
        }
    }

    /// Whether the answer is over.
    fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
        match &mut self.through {
            Through::Raw => out.extend_from_slice(data),
            Through::Events(relay) => {
                relay.feed(data, out)?;
                if let Some(fault) = &relay.seen().fault {
                    return Err(fault.clone());
                }
                return Ok(relay.seen().ended);
            }
            Through::Lines(lines) => {
                self.rest.extend_from_slice(data);
                let mut from = 0;
                while let Some(length) = self.rest[from..].iter().position(|byte| *byte == b'\n') {
                    lines.line(&self.rest[from..from + length], out)?;
                    out.push(b'\n');
                    from += length + 1;
                }
                self.rest.drain(..from);
                if self.rest.len() > LINE_BYTES {
                    return Err(Fault::new(FaultClass::Malformed, "a line of results is longer than 16 MiB"));
                }
            }
        }
        Ok(false)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match &mut self.through {
            Through::Raw => Ok(()),
            Through::Events(relay) => relay.end(out),
            Through::Lines(_) if self.rest.is_empty() => Ok(()),
            Through::Lines(lines) => lines.line(&std::mem::take(&mut self.rest), out),
        }
    }
}

/// The headers of an answer that passes as it is.
pub fn raw_headers(response: &Response<Incoming>) -> Vec<(http::HeaderName, HeaderValue)> {
    let kept = |name: http::HeaderName| response.headers().get(&name).map(|value| (name, value.clone()));
    [CONTENT_TYPE, CONTENT_DISPOSITION].into_iter().filter_map(kept).collect()
}
