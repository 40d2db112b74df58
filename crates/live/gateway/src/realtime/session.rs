//! A session from the first event to the last: what either side says is passed on as it comes, each way by itself, so that one that
//! does not listen stops nothing of what it says. It ends with whichever side ends it, or with a limit; the provider is left at once,
//! the client is told when all is booked.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{Fault, FaultClass, Record};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use wire::Dialect;
use wire::realtime::{Said, Told, error_event, for_client, for_provider};

use super::booking::{Booking, Rule};
use crate::dataplane::Gateway;
use crate::protect::Protected;
use crate::refusal::Refusal;
use crate::reply::Waiting;
use crate::settle::Attempt;
use crate::trail::Trail;

/// Longest event taken of either side, bytes: OpenAI takes 15 MiB of sound in one (API reference, `input_audio_buffer.append`).
const MESSAGE_BYTES: usize = 16 << 20;
/// What is read at once, and kept for it, bytes.
const READ_BYTES: usize = 16 << 10;
/// How long the connection of a client may take to become a socket once it was told so, milliseconds.
const SWITCH_MS: u64 = 5_000;
/// How long a side may take to be told goodbye, milliseconds: the provider before the client's going is booked, the client after.
const GOODBYE_PROVIDER_MS: u64 = 50;
const GOODBYE_CLIENT_MS: u64 = 1_000;
/// Events of ours that may wait for a client.
const OWN_EVENTS: usize = 8;

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Sink = SplitSink<Socket, Message>;

/// A session that is over but for what the client is still to be told.
pub struct Over {
    /// Of the attempt that was still open.
    pub record: Option<Record>,
    /// Why it ended, where it was not one of the two sides that ended it.
    pub failure: Option<Refusal>,
    /// The client's end.
    pub parting: Parting,
}

/// The client's end of a session, where it is still there.
pub struct Parting(Option<Farewell>);

struct Farewell {
    to_client: Sink,
    from_client: SplitStream<Socket>,
    /// An error event of ours.
    own: Option<String>,
    frame: CloseFrame,
}

/// How a session ended.
enum End {
    /// The client said goodbye.
    ClientClosed(Option<CloseFrame>),
    /// The client's connection broke off.
    ClientGone,
    /// The provider said goodbye.
    ProviderClosed(Option<CloseFrame>),
    /// The provider's connection broke off.
    ProviderGone(String),
    /// Neither: a limit, a budget, an end of ours.
    Ours(Refusal),
}

/// What the two ways of a session know of one another.
struct Shared {
    heard: Mutex<Instant>,
    text_bytes: AtomicU64,
    audio_bytes: AtomicU64,
    transcriber: Mutex<Option<String>>,
}

/// How long a session may be silent, and how long it may last.
#[derive(Clone, Copy)]
struct Limits {
    idle_ms: u64,
    total_ms: u64,
}

/// Lives a session that `attempt` opened at the provider. `head` is what the client is answered.
#[expect(clippy::too_many_arguments, reason = "each is a different thing, and all are needed once")]
pub async fn converse(
    gateway: &Gateway,
    call: &Protected,
    attempt: Box<Attempt>,
    provider: Upgraded,
    client: Waiting,
    head: http::response::Builder,
    id: &str,
    trail: &mut Trail,
) -> Over {
    let mut booking = Booking::new(gateway, call, attempt);
    let server = &call.snapshot().server;
    let limits = Limits { idle_ms: server.realtime_idle_ms, total_ms: server.realtime_total_ms };
    let client = match client.switch(head) {
        Ok((client, cut)) => match timeout(Duration::from_millis(SWITCH_MS), client).await {
            Ok(Ok(client)) => Some((client, cut)),
            _ => None,
        },
        Err(_) => None,
    };
    let Some((client, cut)) = client else {
        let record = booking.close(Said::default(), trail).await;
        return Over { record, failure: Some(Refusal::ClientGone), parting: Parting(None) };
    };
    let (mut to_client, mut from_client) = socket(client, Role::Server).await.split();
    let (mut to_provider, mut from_provider) = socket(provider, Role::Client).await.split();
    let shared = Shared::new();
    let asked = call.call().asked.clone();
    let end = {
        let (ours, mut own) = mpsc::channel(OWN_EVENTS);
        let ears = Ears { shared: &shared, ours, model: booking.model(), rule: booking.rule(), id };
        let (mut heard, mut late, mut cut) =
            (pin!(ears.listen(&mut from_client, &mut to_provider)), pin!(shared.late(limits)), pin!(cut_off(cut)));
        loop {
            let told = tokio::select! {
                biased;
                () = &mut cut => break End::Ours(Refusal::Draining),
                end = &mut heard => break end,
                refusal = &mut late => break End::Ours(refusal),
                told = tell(&mut from_provider, &mut own, &mut to_client, &asked) => told,
            };
            shared.hear();
            let told = match told {
                Ok(Some((event, told))) => {
                    trail.answer(event.as_bytes());
                    told
                }
                Ok(None) => continue,
                Err(end) => break end,
            };
            // Not raced against the client's going: what is begun here is finished.
            let booked = booking.told(told, || shared.take(), || shared.transcriber.lock().clone(), trail).await;
            if let Err(refusal) = booked {
                break End::Ours(refusal);
            }
        }
    };
    let (failure, to_them, to_us) = end.said(booking.is_speaking());
    // The provider first, and without waiting for its answer: what it goes on to say nobody hears.
    let _ = timeout(Duration::from_millis(GOODBYE_PROVIDER_MS), goodbye(&mut to_provider, to_us)).await;
    drop((to_provider, from_provider));
    let record = booking.close(shared.take(), trail).await;
    let parting = match to_them {
        None => None,
        Some(frame) => {
            let own = failure.as_ref().map(|refusal| error_event(&refusal.client_error(id, Dialect::OpenAiChat)));
            Some(Farewell { to_client, from_client, own, frame })
        }
    };
    Over { record, failure, parting: Parting(parting) }
}

impl End {
    /// Why it failed, where it did; what the client is still told, where it is there; and what the provider is.
    fn said(self, speaking: bool) -> (Option<Refusal>, Option<CloseFrame>, CloseFrame) {
        let frame = |code: CloseCode, reason: &str| CloseFrame { code, reason: reason.to_owned().into() };
        let leaving = || frame(CloseCode::Normal, "");
        match self {
            End::ClientClosed(theirs) => (None, Some(passed(theirs.clone())), passed(theirs)),
            // A session is over when its client goes; what it breaks off is a response that was under way.
            End::ClientGone => (speaking.then_some(Refusal::ClientGone), None, leaving()),
            End::ProviderClosed(theirs) => (None, Some(passed(theirs)), leaving()),
            End::ProviderGone(why) => {
                let refusal = Refusal::Upstream {
                    fault: Fault::new(FaultClass::Reset, why),
                    why: "in the middle of a session".into(),
                    retry_after_ms: None,
                    billed: true,
                };
                (Some(refusal), Some(frame(CloseCode::Error, "the provider went away")), leaving())
            }
            End::Ours(refusal) => {
                let (code, reason) = match &refusal {
                    Refusal::Draining => (CloseCode::Away, "shutting down"),
                    Refusal::SessionEvent { .. } => (CloseCode::Size, "an event was not taken"),
                    Refusal::Spool(_) | Refusal::Defect(_) => (CloseCode::Error, "not booked"),
                    _ => (CloseCode::Policy, "see the error event"),
                };
                (Some(refusal), Some(frame(code, reason)), leaving())
            }
        }
    }
}

/// A goodbye as the other side gets it. Some codes say that there was none, and may not be said.
fn passed(frame: Option<CloseFrame>) -> CloseFrame {
    let frame = frame.unwrap_or(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() });
    match frame.code.is_allowed() {
        true => frame,
        false => CloseFrame { code: CloseCode::Normal, ..frame },
    }
}

/// Says goodbye. Who has heard one of the other side answers it by flushing.
async fn goodbye(sink: &mut Sink, frame: CloseFrame) {
    let _ = sink.send(Message::Close(Some(frame))).await;
    let _ = sink.flush().await;
}

impl Parting {
    /// Tells the client what it is still to be told, in bounded time.
    pub async fn deliver(self) {
        let Some(Farewell { mut to_client, mut from_client, own, frame }) = self.0 else { return };
        let told = async {
            if let Some(own) = own {
                let _ = to_client.send(Message::text(own)).await;
            }
            goodbye(&mut to_client, frame).await;
            // Until it has said goodbye too, or its connection is closed: a reset could overtake what was just said.
            while from_client.next().await.is_some_and(|said| said.is_ok()) {}
        };
        let _ = timeout(Duration::from_millis(GOODBYE_CLIENT_MS), told).await;
    }
}

/// The way from the client to the provider.
struct Ears<'a> {
    shared: &'a Shared,
    /// Where events of ours go to the client.
    ours: mpsc::Sender<String>,
    /// What the provider calls the model.
    model: String,
    rule: Rule<'a>,
    id: &'a str,
}

impl Ears<'_> {
    /// Passes on what the client says, until it says no more or the provider takes no more.
    async fn listen(&self, from_client: &mut SplitStream<Socket>, to_provider: &mut Sink) -> End {
        loop {
            let message = match from_client.next().await {
                None => return End::ClientGone,
                Some(Err(Error::Capacity(error))) => {
                    return End::Ours(Refusal::SessionEvent { why: error.to_string() });
                }
                Some(Err(Error::Utf8(error))) => return End::Ours(Refusal::SessionEvent { why: error.to_string() }),
                Some(Err(_)) => return End::ClientGone,
                Some(Ok(message)) => as_event(message),
            };
            self.shared.hear();
            let passed = match message {
                Message::Close(frame) => return End::ClientClosed(frame),
                // Answered by the socket itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                Message::Binary(bytes) => Message::Binary(bytes),
                Message::Text(text) => {
                    let (event, said) = for_provider(&text, &self.model);
                    if let Some(refusal) = said.transcribes_with.as_deref().and_then(|model| self.rule.forbids(model)) {
                        let error = error_event(&refusal.client_error(self.id, Dialect::OpenAiChat));
                        // A client that reads nothing of all this is told nothing more.
                        let _ = self.ours.try_send(error);
                        continue;
                    }
                    self.shared.say(said);
                    match event {
                        Cow::Borrowed(_) => Message::Text(text),
                        Cow::Owned(changed) => Message::text(changed),
                    }
                }
            };
            if let Err(error) = to_provider.send(passed).await {
                return End::ProviderGone(error.to_string());
            }
        }
    }
}

/// An event that came as bytes is one all the same: nobody gets past what events are read for by the kind of frame.
fn as_event(message: Message) -> Message {
    match message {
        Message::Binary(bytes) if bytes.trim_ascii_start().starts_with(b"{") => {
            Utf8Bytes::try_from(bytes.clone()).map_or(Message::Binary(bytes), Message::Text)
        }
        other => other,
    }
}

/// Passes on one event of the provider's, or one of ours, and says what it tells.
async fn tell(
    from_provider: &mut SplitStream<Socket>,
    own: &mut mpsc::Receiver<String>,
    to_client: &mut Sink,
    asked: &str,
) -> Result<Option<(Utf8Bytes, Told)>, End> {
    let message = tokio::select! {
        biased;
        Some(event) = own.recv() => {
            to_client.send(Message::text(event)).await.map_err(|_| End::ClientGone)?;
            return Ok(None);
        }
        message = from_provider.next() => message.map(|said| said.map(as_event)),
    };
    let (passed, told) = match message {
        None => return Err(End::ProviderGone("its connection ended without a goodbye".into())),
        Some(Err(error)) => return Err(End::ProviderGone(error.to_string())),
        Some(Ok(Message::Close(frame))) => return Err(End::ProviderClosed(frame)),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(None),
        Some(Ok(Message::Binary(bytes))) => (Message::Binary(bytes), None),
        Some(Ok(Message::Text(text))) => {
            let (event, told) = for_client(&text, asked);
            let event = match event {
                Cow::Borrowed(_) => text,
                Cow::Owned(changed) => Utf8Bytes::from(changed),
            };
            (Message::Text(event.clone()), Some((event, told)))
        }
    };
    to_client.send(passed).await.map_err(|_| End::ClientGone)?;
    Ok(told)
}

impl Shared {
    fn new() -> Shared {
        Shared {
            heard: Mutex::new(Instant::now()),
            text_bytes: AtomicU64::new(0),
            audio_bytes: AtomicU64::new(0),
            transcriber: Mutex::default(),
        }
    }

    /// Somebody said something.
    fn hear(&self) {
        *self.heard.lock() = Instant::now();
    }

    fn say(&self, said: Said) {
        self.text_bytes.fetch_add(said.text_bytes, Ordering::Relaxed);
        self.audio_bytes.fetch_add(said.audio_bytes, Ordering::Relaxed);
        if said.transcribes_with.is_some() {
            *self.transcriber.lock() = said.transcribes_with;
        }
    }

    /// What the client has said since this was last asked.
    fn take(&self) -> Said {
        Said {
            text_bytes: self.text_bytes.swap(0, Ordering::Relaxed),
            audio_bytes: self.audio_bytes.swap(0, Ordering::Relaxed),
            transcribes_with: None,
        }
    }

    /// Resolves when a limit is reached.
    async fn late(&self, limits: Limits) -> Refusal {
        let Limits { idle_ms, total_ms } = limits;
        let until = Instant::now() + Duration::from_millis(total_ms);
        loop {
            let silent = *self.heard.lock() + Duration::from_millis(idle_ms);
            if Instant::now() >= until {
                return Refusal::SessionTooLong { limit_ms: total_ms };
            }
            if Instant::now() >= silent {
                return Refusal::SessionIdle { limit_ms: idle_ms };
            }
            sleep_until(silent.min(until)).await;
        }
    }
}

async fn socket(upgraded: Upgraded, role: Role) -> Socket {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES))
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE_BYTES);
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, Some(config)).await
}

async fn cut_off(mut cut: watch::Receiver<bool>) {
    if cut.wait_for(|cut| *cut).await.is_err() {
        // Nobody is left who could cut.
        std::future::pending().await
    }
}
