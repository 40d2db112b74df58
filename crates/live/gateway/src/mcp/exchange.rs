//! One request to a server of tools and its answer, at once or event by event. What ends it is kept back until the caller has
//! booked it; lists of tools lose on the way what the caller may not use.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{AttemptId, CallId, Fault, FaultClass};
use http::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use wire::mcp::said::Outcome;
use wire::mcp::{Id, Said, filtered, frame, said, said_in_frame, with_data};

use super::Cancellable;
use super::allow::{Caller, MCP_SESSION_ID, Passed};
use super::events::{Body, Events, Reply};
use super::reach;
use super::refusal::{Refusal, head};
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::reply::{Gone, Leaves, ReplyBody, Streaming, Waiting};

/// A request that may pass, and its way to an answer.
pub struct Request<'a> {
    /// Which call it is.
    pub call: CallId,
    /// Which attempt, where it is booked as one.
    pub attempt: Option<AttemptId>,
    /// What may pass.
    pub passed: &'a Passed,
    /// Its identifier.
    pub id: &'a Id,
    /// Whether its client has cancelled it.
    pub cancellable: Option<&'a Cancellable>,
}

/// A request that is over but for its last bytes.
pub struct Exchanged {
    /// How it ended.
    pub end: End,
    /// What the client is still to get.
    pub parting: Parting,
    /// Status of the server, where one came.
    pub status: Option<u16>,
    /// Milliseconds to the first event or the answer.
    pub first_ms: Option<u64>,
    /// Whether the client got a stream.
    pub streamed: bool,
}

/// How a request ended.
pub enum End {
    /// The server answered.
    Answered(Outcome),
    /// It ended the stream before its answer, which it keeps for the client to fetch.
    Deferred,
    /// The client told the server to stop.
    Cancelled,
    /// The client went away.
    Gone,
    /// It failed, or did not pass.
    Failed(Refusal),
}

/// The last bytes.
pub enum Parting {
    /// A whole answer.
    Whole(Waiting, Response<ReplyBody>),
    /// The end of a stream.
    Stream(Streaming, Bytes),
    /// Nobody is there any more.
    Nobody,
}

impl Parting {
    /// Hands them over.
    pub async fn deliver(self) {
        match self {
            Parting::Whole(client, response) => drop(client.send(response)),
            Parting::Stream(client, last) => {
                // A client that is gone needs no end.
                if last.is_empty() || client.send(last).await.is_ok() {
                    client.end().await;
                }
            }
            Parting::Nobody => {}
        }
    }
}

/// Moves a request and its answer. Bytes on their way to the client are shown to `print`.
pub async fn exchange(
    gateway: &Arc<Gateway>,
    deployed: &Deployed,
    request: Request<'_>,
    mut client: Waiting,
    print: &mut (dyn FnMut(&[u8]) + Send),
) -> Exchanged {
    let timeouts = request.passed.caller().server().timeouts;
    let sent = Instant::now();
    let deadline = sent + Duration::from_millis(timeouts.total_ms);
    let until = deadline.min(sent + Duration::from_millis(timeouts.first_token_ms));
    let mut exchanged =
        Exchanged { end: End::Gone, parting: Parting::Nobody, status: None, first_ms: None, streamed: false };
    let reply = tokio::select! {
        biased;
        reply = timeout_at(until, reach::send(gateway, deployed, request.passed, request.attempt)) => reply,
        () = client.gone() => return exchanged,
    };
    let reply = match reply {
        Ok(Ok(reply)) => reply,
        Ok(Err(refusal)) => return exchanged.refused(&request, client, refusal, print),
        Err(_) => {
            let late = request.failed(FaultClass::FirstTokenTimeout, "its answer did not begin in time");
            return exchanged.refused(&request, client, late, print);
        }
    };
    let session = reach::sealed_session(gateway, request.passed, &reply);
    let Reply { status, body, .. } = reply;
    exchanged.status = Some(status.as_u16());
    match body {
        Body::Events(events) => {
            let pump = Pump { gateway, request, events, deadline, frame_ms: timeouts.frame_ms, session, sent };
            pump.run(exchanged, client, print).await
        }
        Body::Whole(body, true) => {
            exchanged.first_ms = Some(elapsed_ms(sent));
            let said = said(&body);
            let Said::Answer { outcome, .. } = said else {
                let bad =
                    request.failed(FaultClass::Malformed, &format!("it answered {status} and no JSON-RPC answer"));
                return exchanged.refused(&request, client, bad, print);
            };
            let body = kept(gateway, request.passed.caller(), &body).map_or(body, Bytes::from);
            exchanged.whole(&request, client, status, session, body, outcome, print)
        }
        Body::Whole(..) | Body::Nothing
            if status == StatusCode::NOT_FOUND && request.passed.caller().session().is_some() =>
        {
            exchanged.refused(&request, client, Refusal::NoSession, print)
        }
        Body::Whole(..) | Body::Nothing => {
            let class = if status.is_success() { FaultClass::Malformed } else { FaultClass::BadRequest };
            let bad = request.failed(class, &format!("it answered {status} without JSON-RPC"));
            exchanged.refused(&request, client, bad, print)
        }
    }
}

impl Request<'_> {
    fn failed(&self, class: FaultClass, message: &str) -> Refusal {
        let server = self.passed.caller().server().name.to_string();
        Refusal::Server { server, fault: Fault::new(class, message), billed: false }
    }
}

impl Exchanged {
    #[expect(clippy::too_many_arguments, reason = "each is a different thing, and all are needed once")]
    fn whole(
        mut self,
        request: &Request<'_>,
        client: Waiting,
        status: StatusCode,
        session: Option<String>,
        body: Bytes,
        outcome: Outcome,
        print: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Exchanged {
        print(&body);
        let mut head = head(request.call, status).header("content-type", "application/json");
        if let Some(session) = session {
            head = head.header(MCP_SESSION_ID, session);
        }
        let response = head.body(ReplyBody::whole(body)).expect("status and headers are ours and valid");
        (self.end, self.parting) = (End::Answered(outcome), Parting::Whole(client, response));
        self
    }

    fn refused(
        mut self,
        request: &Request<'_>,
        client: Waiting,
        refusal: Refusal,
        print: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Exchanged {
        if let Refusal::Server { fault, .. } = &refusal {
            self.status = self.status.or(fault.status);
        }
        let response = refusal.response(request.call, Some(request.id));
        if let ReplyBody::Whole(Some(body)) = response.body() {
            print(body);
        }
        (self.end, self.parting) = (End::Failed(refusal), Parting::Whole(client, response));
        self
    }
}

/// What moves events until the answer has come.
struct Pump<'a> {
    gateway: &'a Arc<Gateway>,
    request: Request<'a>,
    events: Events,
    deadline: Instant,
    frame_ms: u64,
    session: Option<String>,
    sent: Instant,
}

/// What came next.
enum Next {
    Frame(Bytes),
    Over,
    Gone,
    Fault(Fault),
}

impl Pump<'_> {
    async fn run(
        mut self,
        mut exchanged: Exchanged,
        mut client: Waiting,
        print: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Exchanged {
        let first = tokio::select! {
            biased;
            next = self.next() => next,
            () = client.gone() => Next::Gone,
        };
        exchanged.first_ms = matches!(first, Next::Frame(_)).then(|| elapsed_ms(self.sent));
        match &first {
            Next::Gone => return exchanged,
            Next::Frame(frame) if self.events.may_be_whole() => {
                if let (Said::Answer { outcome, .. }, Some(data), _) = said_in_frame(frame) {
                    let data = kept(self.gateway, self.request.passed.caller(), &data).unwrap_or(data);
                    let session = self.session.take();
                    return exchanged.whole(
                        &self.request,
                        client,
                        StatusCode::OK,
                        session,
                        data.into(),
                        outcome,
                        print,
                    );
                }
            }
            Next::Frame(_) => {}
            // A stream without an answer is how a cancelled request ends.
            Next::Over if self.is_cancelled() => {}
            Next::Over => {
                let cut = self.cut();
                return exchanged.refused(&self.request, client, cut, print);
            }
            Next::Fault(fault) => {
                let refusal = self.request.failed(fault.class, &fault.message);
                return exchanged.refused(&self.request, client, refusal, print);
            }
        }
        let mut head = head(self.request.call, StatusCode::OK)
            .header("content-type", "text/event-stream")
            .header("cache-control", "no-cache")
            .header("x-accel-buffering", "no");
        if let Some(session) = self.session.take() {
            head = head.header(MCP_SESSION_ID, session);
        }
        exchanged.streamed = true;
        let Ok(mut client) = client.stream(head) else { return exchanged };
        let (end, last) = self.pump(first, &mut client, print).await;
        exchanged.end = end;
        if !matches!(exchanged.end, End::Gone) {
            print(&last);
            exchanged.parting = Parting::Stream(client, last);
        }
        exchanged
    }

    /// Moves events; returns how it ended, and the last event.
    async fn pump(
        &mut self,
        first: Next,
        client: &mut Streaming,
        print: &mut (dyn FnMut(&[u8]) + Send),
    ) -> (End, Bytes) {
        let mut next = first;
        let mut can_be_resumed = false;
        let (pieces, gone) = client.apart();
        let mut gone = pin!(gone);
        loop {
            let event = match next {
                Next::Frame(event) => event,
                Next::Gone => return (End::Gone, Bytes::new()),
                Next::Over if self.is_cancelled() => {
                    return (End::Cancelled, Bytes::new());
                }
                Next::Over if can_be_resumed => return (End::Deferred, Bytes::new()),
                Next::Over => return self.failed(self.cut()),
                Next::Fault(fault) => return self.failed(self.request.failed(fault.class, &fault.message)),
            };
            let (said, data, has_id) = said_in_frame(&event);
            can_be_resumed |= has_id;
            let event = match data.and_then(|data| kept(self.gateway, self.request.passed.caller(), &data)) {
                Some(data) => with_data(&event, &data).into(),
                None => event,
            };
            match said {
                // An answer without an identifier is to what could not be read, which is this.
                Said::Answer { id, outcome } if id.as_ref().is_none_or(|id| id == self.request.id) => {
                    return (End::Answered(outcome), event);
                }
                _ => {}
            }
            print(&event);
            match timeout_at(self.deadline, pieces.send(event)).await {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) | Err(_) => return (End::Gone, Bytes::new()),
            }
            next = tokio::select! {
                biased;
                next = self.next() => next,
                () = &mut gone => Next::Gone,
            };
        }
    }

    async fn next(&mut self) -> Next {
        let until = self.deadline.min(Instant::now() + Duration::from_millis(self.frame_ms));
        match timeout_at(until, self.events.next()).await {
            Ok(Some(Ok(event))) => Next::Frame(event),
            Ok(Some(Err(fault))) => Next::Fault(fault),
            Ok(None) => Next::Over,
            Err(_) if until == self.deadline => {
                Next::Fault(Fault::new(FaultClass::TotalTimeout, "the request's time is over"))
            }
            Err(_) => Next::Fault(Fault::new(FaultClass::FrameTimeout, "its stream stood still")),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.request.cancellable.is_some_and(Cancellable::is_cancelled)
    }

    fn cut(&self) -> Refusal {
        self.request.failed(FaultClass::Cut, "it ended without an answer")
    }

    fn failed(&self, refusal: Refusal) -> (End, Bytes) {
        let last = frame(&refusal.message(self.request.call, Some(self.request.id)));
        (End::Failed(refusal), last.into())
    }
}

/// A message without the tools its reader may not use; nothing where that leaves it as it is.
pub fn kept(gateway: &Gateway, caller: &Caller, message: &[u8]) -> Option<Vec<u8>> {
    filtered(message, |tool| {
        let allowed = caller.allows(tool);
        if allowed {
            gateway.mcp.saw(&caller.server().name, tool);
        }
        allowed
    })
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
