//! The answer on its way out, piece by piece, while its usage is watched. What has reached the client cannot be taken back: after
//! a fault another model goes on with it (`continuation`), or the stream ends with an error frame in the client's dialect.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Fault, FaultClass};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use routing::truth::goes_on;
use tokio::time::{Instant, sleep_until, timeout_at};
use wire::{Dialect, Seen, StreamRelay};

use crate::answered::{Answer, Answered, Broken, Resumed};
use crate::budgets::{Budgets, Spent};
use crate::open::Open;
use crate::pool::sentence;
use crate::refusal::Refusal;
use crate::reply::{Behind, Gone, ReplyBody, Shown, Streaming, Waiting};
use crate::settle::Attempt;
use crate::topup::TopUp;
use crate::trail::Trail;

/// How long the rest of an upstream answer is read after its closing event, so that the connection can be used again.
const DRAIN_MS: u64 = 1_000;

/// Pieces of a stream are cut from a stretch of memory of this many bytes, which is used again once they are sent.
const STRETCH_BYTES: usize = 2 << 10;

/// A client that kept us from reading this long in all may have broken the stream itself.
const HELD_UP: Duration = Duration::from_secs(1);

/// An answer that is over but for its last bytes, which wait until it is booked.
pub struct Relayed {
    /// The attempt, to be settled now; absent where that was done.
    pub attempt: Option<Box<Attempt>>,
    /// What was seen.
    pub seen: Box<Seen>,
    /// How it ended.
    pub end: RelayEnd,
    /// What the client is still to get.
    pub parting: Parting,
}

/// What became of an answer.
pub enum Passed {
    /// It is over.
    Over(Box<Relayed>),
    /// It broke off after content, and another may go on with it.
    Broken(Box<Broken>),
}

/// How the answer ended.
pub enum RelayEnd {
    /// In full.
    Served,
    /// By a fault after content had reached the client; the refusal is what the error frame says.
    Failed(Fault, Refusal),
    /// By us: a budget had no more for it.
    Spent(Refusal),
    /// The client went away.
    Gone,
}

/// The last bytes.
pub enum Parting {
    /// A whole answer.
    Whole(Waiting, Response<ReplyBody>),
    /// The end of a stream, and the upstream to drain after it.
    Stream(Streaming, Vec<u8>, Box<Option<Incoming>>),
    /// Nobody is there any more.
    Nobody,
}

/// Relays an answer up to its last bytes. What it holds of `budgets` grows with it.
pub async fn relay(
    (budgets, top_up): (&Budgets, Option<TopUp>),
    answered: Answered,
    client: Waiting,
    head: http::response::Builder,
    spoken: Dialect,
    call: &str,
    trail: &mut Trail,
) -> Passed {
    let Answered { attempt, answer, deadline, frame_ms, .. } = answered;
    match answer {
        Answer::Whole { body, seen } => {
            trail.whole_answer(&body);
            trail.first_token_ms = Some(trail.elapsed_ms());
            let response = head.body(ReplyBody::whole(body)).expect("status and headers are ours and valid");
            let (attempt, parting) = (Some(attempt), Parting::Whole(client, response));
            Passed::Over(Box::new(Relayed { attempt, seen, end: RelayEnd::Served, parting }))
        }
        Answer::Stream { incoming, relay, first } => {
            trail.first_token_ms = Some(trail.elapsed_ms());
            let Ok(client) = client.stream(head) else {
                let seen = Box::new(relay.seen().clone());
                let (attempt, parting) = (Some(attempt), Parting::Nobody);
                return Passed::Over(Box::new(Relayed { attempt, seen, end: RelayEnd::Gone, parting }));
            };
            trail.stream_out = Some(client.last_word());
            let stream =
                Stream { incoming, relay, client, deadline, frame_ms, held_up: Duration::ZERO, budgets, top_up };
            // Boxed: a whole answer needs no room for this.
            Box::pin(stream.run(attempt, first, spoken, call, trail)).await
        }
    }
}

/// Relays the rest of an answer that another provider began.
pub async fn relay_on(
    (budgets, top_up): (&Budgets, Option<TopUp>),
    resumed: Resumed,
    spoken: Dialect,
    call: &str,
    trail: &mut Trail,
) -> Passed {
    let Resumed { answered, client, mut out } = resumed;
    let Answered { attempt, answer, deadline, frame_ms, .. } = answered;
    match answer {
        // Only streams are gone on with, and only as streams.
        Answer::Whole { seen, .. } => {
            let parting = Parting::Stream(client, out, Box::new(None));
            Passed::Over(Box::new(Relayed { attempt: Some(attempt), seen, end: RelayEnd::Served, parting }))
        }
        Answer::Stream { incoming, relay, first } => {
            out.extend_from_slice(&first);
            let held_up = Duration::ZERO;
            let stream = Stream { incoming, relay, client, deadline, frame_ms, held_up, budgets, top_up };
            Box::pin(stream.run(attempt, out, spoken, call, trail)).await
        }
    }
}

struct Stream<'a> {
    incoming: Incoming,
    relay: Box<StreamRelay>,
    client: Streaming,
    deadline: Instant,
    frame_ms: u64,
    /// How long the client has kept us from reading.
    held_up: Duration,
    budgets: &'a Budgets,
    /// Takes more for what is only held in part.
    top_up: Option<TopUp>,
}

/// Why the pump stopped.
enum Stop {
    Ended,
    Fault(Fault),
    Gone,
    /// A budget has no more, and what is held is used.
    Spent(Box<Spent>),
}

impl Stream<'_> {
    async fn run(
        mut self,
        attempt: Box<Attempt>,
        first: Vec<u8>,
        dialect: Dialect,
        call: &str,
        trail: &mut Trail,
    ) -> Passed {
        let mut out = first;
        let stop = match self.pump(&mut out, trail).await {
            // A provider that we did not read because the client did not is not to blame, nor is its breaker.
            Stop::Fault(fault) if self.held_up >= HELD_UP && at_a_distance(fault.class) => Stop::Gone,
            stop => stop,
        };
        trail.held_up = self.held_up;
        if matches!(stop, Stop::Gone) {
            self.drain().await;
        }
        let stop = match stop {
            Stop::Fault(fault) if attempt.may_be_gone_on_from && goes_on(fault.class) => {
                match self.relay.broken_off() {
                    Some(going_on) => {
                        let (seen, client) = (Box::new(self.relay.seen().clone()), self.client);
                        return Passed::Broken(Box::new(Broken { attempt, seen, fault, going_on, client, out }));
                    }
                    None => Stop::Fault(fault),
                }
            }
            stop => stop,
        };
        self.relay.forget_said();
        let attempt = Some(attempt);
        let seen = Box::new(self.relay.seen().clone());
        let (end, rest) = match stop {
            Stop::Spent(spent) => {
                let refusal = Refusal::BudgetCut(spent);
                if !self.relay.stop_short(&refusal.to_string(), &mut out) {
                    let error = refusal.client_error(call, dialect);
                    out.extend_from_slice(&self.relay.error_frame(&error));
                }
                (RelayEnd::Spent(refusal), None)
            }
            Stop::Gone => {
                trail.stream_out = None;
                let parting = Parting::Nobody;
                return Passed::Over(Box::new(Relayed { attempt, seen, end: RelayEnd::Gone, parting }));
            }
            Stop::Ended => (RelayEnd::Served, Some(self.incoming)),
            Stop::Fault(fault) => {
                let refusal = Refusal::Upstream {
                    fault: fault.clone(),
                    why: "after the answer had begun, so nothing else could be tried".into(),
                    retry_after_ms: None,
                    billed: true,
                };
                let error = refusal.client_error(call, dialect);
                out.extend_from_slice(&self.relay.error_frame(&error));
                (RelayEnd::Failed(fault, refusal), None)
            }
        };
        trail.answer(&out);
        let parting = Parting::Stream(self.client, out, Box::new(rest));
        Passed::Over(Box::new(Relayed { attempt, seen, end, parting }))
    }

    /// Reads on for a client that is gone where all of the answer has come and only its usage has not: that costs nothing, and
    /// spares an estimate. Anything longer would be made, and billed, for nobody.
    async fn drain(&mut self) {
        let until = Instant::now() + Duration::from_millis(DRAIN_MS);
        let mut nobody = Vec::new();
        while self.relay.seen().finish.is_some() && !self.relay.seen().ended && self.relay.seen().fault.is_none() {
            let Ok(Some(Ok(frame))) = timeout_at(until, self.incoming.frame()).await else { return };
            let Some(data) = frame.data_ref() else { continue };
            if self.relay.feed(data, &mut nobody).is_err() {
                return;
            }
            nobody.clear();
        }
    }

    /// Moves frames until the stream is over; what was not handed over yet is left in `out`.
    async fn pump(&mut self, out: &mut Vec<u8>, trail: &mut Trail) -> Stop {
        let Stream { incoming, relay, client, deadline, frame_ms, held_up, budgets, top_up } = self;
        let patience = Duration::from_millis(*frame_ms);
        let (pieces, gone) = client.apart();
        let mut gone = pin!(gone);
        // One alarm for the whole stream, which is moved only when it goes off: most frames come long before.
        let mut heard = Instant::now();
        let mut alarm = pin!(sleep_until((heard + patience).min(*deadline)));
        let mut stretch = BytesMut::with_capacity(STRETCH_BYTES);
        loop {
            let seen = relay.seen();
            if let Some(fault) = &seen.fault {
                return Stop::Fault(fault.clone());
            }
            if seen.ended {
                return Stop::Ended;
            }
            if let Some(top_up) = top_up.as_mut()
                && top_up.is_due(seen)
                && let Some(held) = trail.open.as_mut().and_then(Open::hold)
                && let Err(spent) = top_up.take(seen, budgets, held)
            {
                return Stop::Spent(spent);
            }
            if !out.is_empty() {
                trail.answer(out);
                stretch.extend_from_slice(out);
                out.clear();
                match pieces.hand_over(stretch.split().freeze()) {
                    Ok(()) => {}
                    Err(Behind::Gone) => return Stop::Gone,
                    Err(Behind::Slow(bytes)) => {
                        let asked = Instant::now();
                        // A client that takes nothing for the rest of the call's time is as good as gone.
                        match timeout_at(*deadline, pieces.send(bytes)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(Gone)) | Err(_) => return Stop::Gone,
                        }
                        heard = Instant::now();
                        *held_up += heard - asked;
                    }
                }
            }
            let next = loop {
                tokio::select! {
                    biased;
                    frame = incoming.frame() => break Next::Frame(frame),
                    () = &mut gone => return Stop::Gone,
                    () = &mut alarm => {
                        let due = (heard + patience).min(*deadline);
                        if Instant::now() >= due {
                            break Next::Late { over: due == *deadline };
                        }
                        alarm.as_mut().reset(due);
                    }
                }
            };
            let fed = match next {
                Next::Late { over: true } => {
                    return Stop::Fault(Fault::new(FaultClass::TotalTimeout, "the call's time is over"));
                }
                Next::Late { over: false } => {
                    return Stop::Fault(Fault::new(FaultClass::FrameTimeout, "the provider's stream stood still"));
                }
                Next::Frame(Some(Err(error))) => return Stop::Fault(Fault::new(FaultClass::Reset, sentence(&error))),
                Next::Frame(None) => match relay.end(out) {
                    Ok(()) => return Stop::Ended,
                    Err(fault) => Err(fault),
                },
                Next::Frame(Some(Ok(frame))) => {
                    heard = Instant::now();
                    match frame.data_ref() {
                        Some(data) => relay.feed(data, out),
                        None => Ok(()),
                    }
                }
            };
            if let Err(fault) = fed {
                return Stop::Fault(fault);
            }
        }
    }
}

/// What the provider's end of a stream did.
enum Next {
    /// A frame came, or the stream's end.
    Frame(Option<Result<Frame<Bytes>, hyper::Error>>),
    /// Nothing came in time: within what is allowed between frames, or before the call's time was over.
    Late { over: bool },
}

/// Faults that a reader who does not read brings about.
fn at_a_distance(class: FaultClass) -> bool {
    matches!(class, FaultClass::TotalTimeout | FaultClass::Reset | FaultClass::Cut)
}

impl Parting {
    /// Shows a whole answer to whom must have it before the call's end is written down, if anybody.
    pub fn show(&mut self) -> Option<Shown> {
        match self {
            Parting::Whole(client, response) => client.show(response),
            Parting::Stream(..) | Parting::Nobody => None,
        }
    }

    /// Hands the last bytes over. Booking is done; nothing that happens here changes what the call cost.
    pub async fn deliver(self) {
        match self {
            Parting::Whole(client, response) => {
                let _ = client.send(response);
            }
            Parting::Stream(client, bytes, rest) => {
                if !bytes.is_empty() {
                    let _ = client.send(bytes.into()).await;
                }
                client.end().await;
                if let Some(mut rest) = *rest {
                    let until = Instant::now() + Duration::from_millis(DRAIN_MS);
                    while let Ok(Some(Ok(_))) = timeout_at(until, rest.frame()).await {}
                }
            }
            Parting::Nobody => {}
        }
    }
}
