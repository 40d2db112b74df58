//! One exchange with a provider: a request is sent, and its answer awaited until it is whole or its first content has come.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use config::{Model, Timeouts};
use domain::{Fault, FaultClass};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use wire::{Ids, Operation, Outgoing, ReplyPlan, Seen, StreamRelay};

use crate::admit::Admitted;
use crate::answered::Answer;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::kept::seal::{Note, Opened};
use crate::pool::sentence;
use crate::protect::Protected;
use crate::realtime::door;
use crate::reply::Leaves;
use crate::settle::Attempt;
#[cfg(test)]
use crate::trail::TRAP;
use crate::upstream::{Sending, packed};

/// Longest answer taken in whole, bytes.
const WHOLE_ANSWER_BYTES: usize = 64 << 20;
/// Most that is withheld from the client while no content has come, bytes.
const WITHHELD_BYTES: usize = 256 << 10;
/// Longest error body read, bytes.
const ERROR_BODY_BYTES: usize = 64 << 10;
/// How long an error body may take, milliseconds.
const ERROR_BODY_MS: u64 = 5_000;

/// What an exchange came to.
pub(crate) struct Exchanged {
    /// The answer.
    pub answer: Answer,
    /// What the provider calls it, where it is neither JSON nor events.
    pub content_type: Option<HeaderValue>,
    /// The connection, where it has become a socket.
    pub socket: Option<Upgraded>,
}

impl Exchanged {
    fn answer(answer: Answer, content_type: Option<HeaderValue>) -> Exchanged {
        Exchanged { answer, content_type, socket: None }
    }
}

/// Why one attempt came to nothing.
pub(crate) enum Failure {
    /// A fault; what had been seen, where an answer had begun.
    Fault(Fault, Option<Box<Seen>>),
    /// The client went away.
    Gone(Option<Box<Seen>>),
}

/// Sends one attempt and waits until its answer is whole, or its first content has come.
#[expect(clippy::too_many_arguments, reason = "each is a different thing, and all are needed once")]
pub(crate) async fn exchange(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    model: &Model,
    outgoing: Outgoing,
    timeouts: &Timeouts,
    total: Instant,
    client: &mut impl Leaves,
    attempt: &mut Attempt,
) -> Result<Exchanged, Failure> {
    let admitted = call.call();
    let spoken = model.provider.dialect_for(admitted.dialect);
    let same_dialect = admitted.dialect == spoken;
    let hosting = model.provider.quirks.hosting;
    let wrapped = hosting.is_wrapped(spoken);
    let mut path = outgoing.path;
    if same_dialect && !wrapped && !admitted.call.query.is_empty() {
        path.to_mut().push_str(&admitted.call.query);
    }
    let mut carried = if same_dialect { admitted.call.carried.clone() } else { Vec::new() };
    let mut body = outgoing.body;
    if wrapped {
        // This host takes in the body what the dialect says in headers.
        let betas: Vec<&str> = carried
            .iter()
            .filter(|(name, _)| name == "anthropic-beta")
            .flat_map(|(_, value)| value.to_str().unwrap_or_default().split(','))
            .map(str::trim)
            .filter(|beta| !beta.is_empty())
            .collect();
        body = wire::hosting::with_betas(body, &betas);
    }
    if spoken == wire::Dialect::Anthropic {
        // What only Amazon knows goes to Amazon alone, and what is Anthropic's own not there.
        carried.retain(|(name, _)| name.as_str().starts_with("x-amzn-") == wrapped);
    }
    if !wrapped
        && let Some((name, version)) = spoken.version_header()
        && !carried.iter().any(|(carried, _)| carried == name)
    {
        carried.push((http::HeaderName::from_static(name), http::HeaderValue::from_static(version)));
    }
    let stream = outgoing.stream;
    let challenge = (admitted.operation == Operation::Realtime).then(generate_key);
    let sending = Sending {
        challenge: challenge.as_deref(),
        provider: &model.provider,
        attempt: attempt.intent.attempt,
        path: &path,
        body,
        form: admitted.call.form.as_deref(),
        carried: &carried,
        accept: match (admitted.operation.is_media(), stream) {
            (true, _) => "*/*",
            (false, true) if wrapped => "application/json",
            (false, true) => spoken.framing().media_type(),
            (false, false) => "application/json",
        },
    };
    let first = attempt.sent + Duration::from_millis(timeouts.first_token_ms);
    let (wait_until, late) = match first < total {
        true => (first, FaultClass::FirstTokenTimeout),
        false => (total, FaultClass::TotalTimeout),
    };
    let patience = Patience { until: wait_until, late };

    let mark = attempt.slot.health.lock().mark();
    let response = {
        // Waited for where it lies: a wait that took it would have room for it twice.
        let sent = pin!(deployed.upstreams.send(call, sending));
        patience.wait(client, sent).await.map_err(|end| end.failure(None))?
    };
    let response = response.map_err(|fault| Failure::Fault(fault, None))?;
    attempt.status = Some(response.status().as_u16());
    if model.provider.quota_steering {
        attempt.slot.told(response.headers(), mark);
    }
    if let Some(challenge) =
        challenge.filter(|_| !response.status().is_client_error() && !response.status().is_server_error())
    {
        let socket = door::switched(response, &challenge).map_err(|fault| Failure::Fault(fault, None))?;
        let socket = patience.wait(client, socket).await.map_err(|end| end.failure(None))?;
        let socket = socket.map_err(|error| Failure::Fault(Fault::new(FaultClass::Reset, sentence(&error)), None))?;
        let answer = Answer::Whole { body: Bytes::new(), seen: Box::default() };
        return Ok(Exchanged { answer, content_type: None, socket: Some(socket) });
    }
    if !response.status().is_success() {
        let errors = if wrapped { wire::Dialect::BedrockConverse } else { spoken };
        return Err(refused(errors, response, client).await);
    }
    if let Some(fault) = packed(response.headers()) {
        // It was answered and will be billed, though nobody can read it: booked as an estimate.
        return Err(Failure::Fault(fault, Some(Box::default())));
    }
    let content_type = response.headers().get(CONTENT_TYPE).cloned().filter(|_| admitted.operation.is_media());
    let content_type = content_type.filter(is_raw);
    let plan = ReplyPlan {
        raw: content_type.is_some(),
        client: admitted.dialect,
        upstream: spoken,
        operation: admitted.operation,
        asked_model: admitted.asked.clone(),
        include_usage: admitted.head.include_usage,
        continuous_usage: admitted.head.continuous_usage,
        quirks: model.provider.quirks,
        maker: attempt.slot.maker,
        answer_id: admitted.call.id.to_string(),
        created_unix_s: admitted.call.at.0 / 1000,
        keep_bytes: match model.tokenizer.is_some() || crate::cache::request::near_rule(call).is_some() {
            true => crate::tokens::KEPT_BYTES,
            false => 0,
        },
        framing: admitted.call.framing,
        request: match (same_dialect, admitted.operation) {
            (false, Operation::Embeddings | Operation::Rerank) => admitted.call.body.clone(),
            _ => Bytes::new(),
        },
        ids: ids(gateway, admitted, model),
    };
    let count = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
    let invoked = admitted.operation == Operation::Invoke;
    let counted = invoked.then(|| wire::invoke::counted_in_head(count)).flatten();
    let mut incoming = response.into_body();
    if !stream {
        let body = whole(&mut incoming, client, &patience).await?;
        let read =
            wire::reply_body(&plan, &body).map(|(body, seen)| (body, Seen { usage: seen.usage.or(counted), ..seen }));
        return match read {
            Ok((body, seen)) => match seen.fault.clone() {
                Some(fault) => Err(Failure::Fault(fault, Some(Box::new(seen)))),
                None => {
                    let answer = Answer::Whole { body: body.into(), seen: Box::new(seen) };
                    Ok(Exchanged::answer(answer, content_type))
                }
            },
            // It was answered and will be billed, though nobody can read it: booked as an estimate.
            Err(fault) => Err(Failure::Fault(fault, Some(Box::default()))),
        };
    }
    let mut out = Vec::with_capacity(1024);
    let mut relay = match &attempt.after {
        None => Box::new(StreamRelay::new(plan)),
        Some(after) => {
            let way = after.going_on.way(spoken, &model.upstream, model.provider.quirks);
            let relay = StreamRelay::going_on(plan, &after.going_on, way, &after.line(), &mut out);
            Box::new(relay.map_err(|fault| Failure::Fault(fault, Some(Box::default())))?)
        }
    };
    if attempt.may_be_gone_on_from {
        relay.keep_said();
    }
    loop {
        let frame = match patience.wait(client, incoming.frame()).await {
            Ok(frame) => frame,
            Err(end) => return Err(end.failure(Some(relay.seen().clone()))),
        };
        let fed = match frame {
            None => relay.end(&mut out).map(|()| true),
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => relay.feed(data, &mut out).map(|()| false),
                None => Ok(false),
            },
            Some(Err(error)) => Err(Fault::new(FaultClass::Reset, sentence(&error))),
        };
        let seen = relay.seen();
        #[cfg(test)]
        assert!(
            seen.content_started || !out.windows(TRAP.len()).any(|window| window == TRAP),
            "this panic was planted by a test"
        );
        let fault = fed.as_ref().err().or(seen.fault.as_ref());
        if let Some(fault) = fault {
            // An error in the place of an answer is billed no more than one with a status.
            let began = seen.usage.is_some() || seen.output_bytes > 0 || seen.content_started;
            return Err(Failure::Fault(fault.clone(), began.then(|| Box::new(seen.clone()))));
        }
        if seen.content_started && attempt.first_token_ms.is_none() {
            attempt.first_token_ms = Some(u64::try_from(attempt.sent.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
        // A provider that says much without content is not waited for with ever more memory.
        if seen.content_started || seen.ended || fed.is_ok_and(|over| over) || out.len() > WITHHELD_BYTES {
            return Ok(Exchanged::answer(Answer::Stream { incoming, relay, first: out }, content_type));
        }
    }
}

/// What the client calls an answer that this model's provider keeps: no other provider and no other key can do anything with it.
fn ids(gateway: &Gateway, admitted: &Admitted, model: &Model) -> Ids {
    let kept = admitted.dialect.answers_are_gone_on_from() && model.provider.dialects.contains(&admitted.dialect);
    if !kept {
        return Ids::default();
    }
    let (seals, key) = (gateway.seals.clone(), admitted.call.key.clone());
    let (provider, name, asked) = (model.provider.name.clone(), model.name.to_string(), admitted.asked.clone());
    Ids::named(move |kind, id| {
        let what = Opened { id: id.to_owned(), model: name.clone(), asked: asked.clone(), note: Note::None };
        seals.seal(kind, &key.grant.id, &provider, &what)
    })
}

/// Whether an answer is neither JSON nor events, and so has nothing that we read.
fn is_raw(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    !["application/json", "text/event-stream"].iter().any(|read| essence.eq_ignore_ascii_case(read))
}

/// How long an attempt may be waited for, and what it means when it is not done by then.
pub(crate) struct Patience {
    /// Until when.
    pub until: Instant,
    /// What it means then.
    pub late: FaultClass,
}

/// A wait that ended without what was waited for.
pub(crate) enum Interrupted {
    Late(FaultClass),
    Gone,
}

impl Patience {
    /// Waits for something.
    pub async fn wait<T>(&self, client: &mut impl Leaves, what: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            done = timeout_at(self.until, what) => done.map_err(|_| Interrupted::Late(self.late)),
            () = client.gone() => Err(Interrupted::Gone),
        }
    }
}

impl Interrupted {
    /// The failure of an attempt of which this much was seen.
    pub fn failure(self, seen: Option<Seen>) -> Failure {
        match self {
            Interrupted::Late(class) => {
                Failure::Fault(Fault::new(class, "the provider took too long"), seen.map(Box::new))
            }
            Interrupted::Gone => Failure::Gone(seen.map(Box::new)),
        }
    }
}

/// An answer that is an error: its body says which.
pub(crate) async fn refused(
    spoken: wire::Dialect,
    response: http::Response<Incoming>,
    client: &mut impl Leaves,
) -> Failure {
    let status = response.status();
    let (head, mut body) = response.into_parts();
    let patience =
        Patience { until: Instant::now() + Duration::from_millis(ERROR_BODY_MS), late: FaultClass::ServerError };
    let mut bytes = Vec::new();
    // Of a packed error its status says what there is to know.
    let readable = packed(&head.headers).is_none();
    while readable && bytes.len() < ERROR_BODY_BYTES {
        match patience.wait(client, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                bytes.extend_from_slice(&data[..data.len().min(ERROR_BODY_BYTES - bytes.len())]);
            }
            Err(Interrupted::Gone) => return Failure::Gone(None),
            Ok(None | Some(Err(_))) | Err(Interrupted::Late(_)) => break,
        }
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let fault = match status {
        // We follow no redirects: a provider that moved is a setting to mend, not a place to send a prompt.
        status if status.is_redirection() => Fault {
            status: Some(status.as_u16()),
            ..Fault::new(FaultClass::ModelMissing, "the provider answers with a redirect; mend its base_url")
        },
        StatusCode::SWITCHING_PROTOCOLS => Fault::new(FaultClass::Malformed, "the provider switched protocols"),
        status => wire::errors::upstream_fault(spoken, status.as_u16(), &header, &bytes),
    };
    Failure::Fault(fault, None)
}

/// Reads a whole answer within its bound.
pub(crate) async fn whole(
    incoming: &mut Incoming,
    client: &mut impl Leaves,
    patience: &Patience,
) -> Result<Bytes, Failure> {
    let mut first: Option<Bytes> = None;
    let mut all: Vec<u8> = Vec::new();
    loop {
        match patience.wait(client, incoming.frame()).await {
            Err(end) => return Err(end.failure(Some(Seen::default()))),
            Ok(Some(Err(error))) => {
                let fault = Fault::new(FaultClass::Reset, sentence(&error));
                return Err(Failure::Fault(fault, Some(Box::default())));
            }
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if first.is_none() && all.is_empty() {
                    first = Some(data);
                    continue;
                }
                if let Some(first) = first.take() {
                    all.extend_from_slice(&first);
                }
                let needed = all.len() + data.len();
                if needed > WHOLE_ANSWER_BYTES {
                    let fault = Fault::new(FaultClass::Malformed, "the answer is longer than 64 MiB");
                    return Err(Failure::Fault(fault, Some(Box::default())));
                }
                if needed > all.capacity() {
                    // Doubled as usual, but no room is made for more than is taken.
                    all.reserve_exact((needed * 2).min(WHOLE_ANSWER_BYTES) - all.len());
                }
                all.extend_from_slice(&data);
            }
            Ok(None) => return Ok(first.unwrap_or_else(|| all.into())),
        }
    }
}
