//! The listening end: HTTP in, a task per call, and a graceful way out.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use wire::invoke::Invocation;
use wire::models::ListedModel;
use wire::{Address, Dialect, Framing, Operation};

use crate::admit::authenticate;
use crate::call::{self, Call, credential};
use crate::clock;
use crate::dataplane::Gateway;
use crate::edge;
use crate::endpoints::{self, NoRoute, Query, Route, Serves, Takes};
use crate::kept;
use crate::keys::Key;
use crate::life::error_response;
use crate::mcp::serve::{Arrival, refused};
use crate::metrics::{CallLabels, Label};
use crate::realtime::door;
use crate::refusal::Refusal;
use crate::reply::{self, ReplyBody, Upgrading};
use crate::sigv4::Claim;
use crate::target::{names, short};

/// Where Anthropic's own API is told of beta features.
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// Names the workflow of a request that may leave the model out.
const WORKFLOW: &str = "freehold-workflow";

/// How long a client may take to send the head of a request, milliseconds.
const HEAD_MS: u64 = 30_000;
/// What is read at once at most, bytes: a long prompt that comes in one piece need not be put together. Heads are held to
/// their own limit.
const READ_BYTES: usize = 256 << 10;
/// How long a client may take to send a body, milliseconds.
const BODY_MS: u64 = 60_000;
/// A body up to this size is copied out of its connection's buffer, bytes.
const SMALL_BODY_BYTES: usize = 4 << 10;
/// How much of a body has to be there before room is made for as much as was announced: one part in so many.
const BELIEVED_FROM: usize = 8;
/// Most that is read of a stranger's body, bytes and milliseconds.
const DISCARD_BYTES: usize = 64 << 10;
const DISCARD_MS: u64 = 1_000;
/// How long calls that are cut off at the end of the drain may take to be booked, milliseconds.
const CUT_MS: u64 = 2_000;
/// How long to wait before accepting again when the system has no file descriptors left, milliseconds.
const ACCEPT_PAUSE_MS: u64 = 50;

/// Serves until `stop` resolves, then lets what is under way end, for at most `drain_ms` of the configuration.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, stop: impl Future<Output = ()>) {
    // Turned true when connections are to end once nothing is under way on them. hyper-util has the same, but not for connections
    // that may become sockets.
    let closing = watch::Sender::new(false);
    let server = gateway.deployed.load().snapshot.server.clone();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Without it Nagle's algorithm holds small stream frames back.
                let _ = stream.set_nodelay(true);
                connection(&gateway, stream, server.max_header_bytes, &closing);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
    gateway.draining.store(true, Ordering::Relaxed);
    drop(listener);
    // A call whose client hung up still has to be booked.
    let booked = async || {
        while gateway.metrics.in_flight.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let drained = async {
        closing.send_replace(true);
        closing.closed().await;
        booked().await;
    };
    if tokio::time::timeout(Duration::from_millis(server.drain_ms), drained).await.is_err() {
        let calls = gateway.metrics.in_flight.get();
        tracing::warn!(calls, "the drain time is over; what is under way is cut off and booked as cancelled");
        gateway.cut.send_replace(true);
        let _ = tokio::time::timeout(Duration::from_millis(CUT_MS), booked()).await;
    }
    gateway.mcp.processes.end_all().await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection that no listener took: how calls come in where nothing passes a socket. When `closing` turns true it ends
/// once nothing is under way on it.
pub fn take(gateway: &Arc<Gateway>, stream: impl Connection, closing: &watch::Sender<bool>) {
    let max_header_bytes = gateway.deployed.load().snapshot.server.max_header_bytes;
    connection(gateway, stream, max_header_bytes, closing);
}

/// Both ends of what a client says and hears.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection for S {}

fn connection(gateway: &Arc<Gateway>, stream: impl Connection, max_header_bytes: usize, closing: &watch::Sender<bool>) {
    let gateway = gateway.clone();
    let service = service_fn(move |request| framed(gateway.clone(), request).map(Ok::<_, Infallible>));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_MS))
        .max_buf_size(max_header_bytes.max(READ_BYTES))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut closing = closing.subscribe();
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        // What goes wrong on a client's connection is the client's to notice; calls book themselves.
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            _ = closing.wait_for(|closing| *closing) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    });
}

/// Serves one request, and nothing behind it where it came in chunks. Of a length beside chunks the chunks count and the length is
/// not shown to us (RFC 9112, 6.3); a proxy that counts otherwise would take our next request for a part of this one.
///
/// Neither this nor [`handle`] is an async function: each would have room for the request once more, and hyper moves what they return
/// for every request.
fn framed(gateway: Arc<Gateway>, request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send {
    let chunked = request.headers().contains_key(TRANSFER_ENCODING);
    handle(gateway, request).map(move |mut response| {
        if chunked {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    })
}

fn handle(gateway: Arc<Gateway>, mut request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send {
    let (arrived, at) = (Instant::now(), clock::now());
    let id = gateway.chance.call_id(at);
    let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    async move {
        let path = head.uri.path();
        let guessed = endpoints::guess_dialect(path, &head.headers);
        let refuse =
            |dialect, refusal: &Refusal| error_response(dialect, &refusal.client_error(&id.to_string(), dialect));

        let limit = gateway.deployed.load().snapshot.server.max_header_bytes;
        if head_bytes(&head) > limit {
            return refuse(guessed, &Refusal::HeadTooLarge { limit });
        }
        if let Err(refusal) = whom_and_what(&head) {
            return refuse(guessed, &refusal);
        }
        let route = match endpoints::find(&head.method, path) {
            Ok(route) => route,
            Err(NoRoute::Path) if path.starts_with("/v1/") && passes_on(&gateway) => {
                static OTHER: endpoints::Endpoint = endpoints::openai::OTHER;
                let route = Route { endpoint: &OTHER, model: None };
                let times = (id, at, arrived);
                return match Box::pin(kept_thing(gateway, kept::Ask::Other, route, guessed, head, body, times)).await {
                    Ok(response) => response,
                    Err(refusal) => refuse(guessed, &refusal),
                };
            }
            Err(NoRoute::Path) => {
                let (method, path) = (head.method.to_string(), short(path));
                let refusal = match path.starts_with("/v1/") {
                    true => Refusal::NoPassthrough { method, path },
                    false => Refusal::NoRoute { method, path },
                };
                return refuse(guessed, &refusal);
            }
            Err(NoRoute::Method(takes)) => {
                let takes = takes.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", ");
                // RFC 9110, 15.5.6: who refuses a method says which are taken.
                let allow = HeaderValue::from_str(&takes).ok();
                let refusal = Refusal::WrongMethod { method: head.method.to_string(), path: short(path), takes };
                let mut response = refuse(guessed, &refusal);
                response.headers_mut().extend(allow.map(|allow| (http::header::ALLOW, allow)));
                return response;
            }
        };
        let endpoint = route.endpoint;
        let dialect = endpoint.dialect.unwrap_or(guessed);
        match endpoint.serves {
            Serves::Presence => presence(id),
            Serves::Models => match models(&gateway, &head, &route, dialect, id) {
                Ok(response) => response,
                Err(refusal) => refuse(dialect, &refusal),
            },
            // Boxed, like the other seldom ones: every connection has room for the largest thing its requests may wait for.
            Serves::ToolServer => Box::pin(tool_server(gateway, route, head, body, (id, at, arrived)))
                .await
                .unwrap_or_else(|refusal| refused(id, refusal)),
            Serves::EphemeralKey => {
                discard(body).await;
                refuse(dialect, &Refusal::EphemeralKey)
            }
            Serves::Conversation => Box::pin(conversation(gateway, route, head, upgrade, (id, at, arrived)))
                .await
                .unwrap_or_else(|refusal| refuse(dialect, &refusal)),
            Serves::Feedback => Box::pin(feedback(gateway, route, head, body, id, at))
                .await
                .unwrap_or_else(|refusal| refuse(dialect, &refusal)),
            Serves::Kept(ask) => {
                match Box::pin(kept_thing(gateway, ask, route, dialect, head, body, (id, at, arrived))).await {
                    Ok(response) => response,
                    Err(refusal) => refuse(dialect, &refusal),
                }
            }
            Serves::Call(_) | Serves::Invocation => {
                let limits = gateway.deployed.load().snapshot.server.clone();
                if gateway.is_draining() {
                    return refuse(dialect, &Refusal::Draining);
                }
                let keys = gateway.keys.load_full();
                let known =
                    Claim::read(&head.headers, query_for_us(&route, &head), at).and_then(|claim| match &claim {
                        // The signature covers the body, which is not here yet.
                        Some(signed) => Ok((keys.claimed(&signed.access_key_id, at).map_err(Refusal::Key)?, claim)),
                        None => {
                            let credential = credential(&head.headers, query_for_us(&route, &head))?;
                            Ok((authenticate(&keys, credential.as_deref(), at)?, None))
                        }
                    });
                let (key, claim) = match known {
                    Ok(known) => known,
                    Err(refusal) => {
                        // Strangers leave a count, not a record, and their bodies are not kept: they must be able to fill
                        // neither the disk nor the memory.
                        discard(body).await;
                        let error = refusal.client_error(&id.to_string(), dialect);
                        let labels = CallLabels {
                            workflow: Label("(none)".into()),
                            endpoint: endpoint.name,
                            status: error.status,
                        };
                        gateway.metrics.calls.get_or_create(&labels).inc();
                        return error_response(dialect, &error);
                    }
                };
                let Some(counted) = Counted::new(gateway.clone(), limits.max_calls_in_flight) else {
                    return refuse(dialect, &Refusal::Busy { limit: limits.max_calls_in_flight });
                };
                let (form, body) = match read_body(&head, body, limits.max_body_bytes, endpoint.takes).await {
                    Ok(read) => read,
                    Err(refusal) => return refuse(dialect, &refusal),
                };
                if let Some(refusal) =
                    claim.and_then(|claim| claim.verify(&head, &body, &keys.aws_secret_access_key(&key)).err())
                {
                    return refuse(dialect, &refusal);
                }
                let serves = endpoint.serves;
                let mut call = call(id, at, arrived, route, key, &head, form, body);
                let spoken = match serves {
                    Serves::Call(operation) => Ok((dialect, operation)),
                    _ => opened(&mut call),
                };
                let (dialect, operation) = match spoken {
                    Ok(spoken) => spoken,
                    Err(refusal) => return refuse(dialect, &refusal),
                };
                let errors = call.framing.errors_of(dialect);
                match run(gateway, call, (dialect, operation), None, counted).await {
                    Some(response) => response,
                    None => refuse(errors, &Refusal::Defect("the call's task ended without an answer".into())),
                }
            }
        }
    }
}

/// Refuses a request that does not say once which host it is for, or that expects what no server here does. hyper leaves both
/// to its service.
fn whom_and_what(head: &http::request::Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version < Version::HTTP_11 => {}
        (None, _) => return Err(Refusal::Host("no `Host` header")),
        (Some(_), Some(_)) => return Err(Refusal::Host("several `Host` headers")),
        (Some(host), None) => {
            let is_one =
                host.is_empty() || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'));
            if !is_one {
                return Err(Refusal::Host("a `Host` header that names no host"));
            }
        }
    }
    let met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    match head.headers.get_all(EXPECT).iter().find(|value| !met(value)) {
        Some(expected) => Err(Refusal::Expectation(short(expected.to_str().unwrap_or("?")))),
        None => Ok(()),
    }
}

/// How long a request's head is on the wire.
fn head_bytes(head: &http::request::Parts) -> usize {
    let target = head.uri.path_and_query().map_or(1, |target| target.as_str().len());
    let first = head.method.as_str().len() + target + " HTTP/1.1\r\n".len() + 1;
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    first + fields.sum::<usize>() + "\r\n".len()
}

/// A request whose key is known and whose body is here.
struct Known {
    key: Arc<Key>,
    counted: Counted,
    form: Option<String>,
    body: Bytes,
}

/// Finds out whose a request is, and reads its body.
async fn known(
    gateway: &Arc<Gateway>,
    route: &Route,
    takes: Takes,
    head: &http::request::Parts,
    body: Incoming,
    at: domain::UnixMs,
) -> Result<Known, Refusal> {
    let limits = gateway.deployed.load().snapshot.server.clone();
    if gateway.is_draining() {
        return Err(Refusal::Draining);
    }
    let keys = gateway.keys.load_full();
    let key = credential(&head.headers, None).and_then(|known| authenticate(&keys, known.as_deref(), at));
    let key = match key {
        Ok(key) => key,
        Err(refusal) => {
            discard(body).await;
            let labels = CallLabels { workflow: Label("(none)".into()), endpoint: route.endpoint.name, status: 401 };
            gateway.metrics.calls.get_or_create(&labels).inc();
            return Err(refusal);
        }
    };
    let most = limits.max_calls_in_flight;
    let counted = Counted::new(gateway.clone(), most).ok_or(Refusal::Busy { limit: most })?;
    let (form, body) = match takes {
        Takes::Anything => (None, read_any(head, body, limits.max_body_bytes).await?),
        Takes::Nothing => {
            discard(body).await;
            (None, Bytes::new())
        }
        takes => read_body(head, body, limits.max_body_bytes, takes).await?,
    };
    Ok(Known { key, counted, form, body })
}

/// Hands a request about something a provider keeps over, once it is known whose it is.
async fn kept_thing(
    gateway: Arc<Gateway>,
    ask: kept::Ask,
    route: Route,
    dialect: Dialect,
    head: http::request::Parts,
    body: Incoming,
    (id, at, arrived): (domain::CallId, domain::UnixMs, Instant),
) -> Result<Response<ReplyBody>, Refusal> {
    let Known { key, counted, form, body } = known(&gateway, &route, route.endpoint.takes, &head, body, at).await?;
    let workflow = workflow_named(&head);
    let (endpoint, name) = (route.endpoint, route.model.unwrap_or_default());
    let arrival = kept::asking::Arrival { id, at, arrived, endpoint, dialect, key, name, workflow, head, form, body };
    Ok(kept::serve::handle(gateway, ask, arrival, counted).await)
}

/// Takes what an application says of an answer, once it is known whose it is.
async fn feedback(
    gateway: Arc<Gateway>,
    route: Route,
    head: http::request::Parts,
    body: Incoming,
    id: domain::CallId,
    at: domain::UnixMs,
) -> Result<Response<ReplyBody>, Refusal> {
    let Known { key, counted: _counted, body, .. } = known(&gateway, &route, Takes::Json, &head, body, at).await?;
    crate::feedback::judge(&gateway, id, &key, &body, clock::now())
}

/// Whether any provider is passed requests of routes that Freehold does not know.
fn passes_on(gateway: &Gateway) -> bool {
    gateway.deployed.load().snapshot.providers.iter().any(|provider| provider.passthrough)
}

/// The workflow that a header names.
fn workflow_named(head: &http::request::Parts) -> Option<String> {
    head.headers.get(WORKFLOW).and_then(|name| name.to_str().ok()).map(str::to_owned)
}

/// Hands a request for a server of tools over, once it is known whose it is.
async fn tool_server(
    gateway: Arc<Gateway>,
    route: Route,
    head: http::request::Parts,
    body: Incoming,
    (id, at, arrived): (domain::CallId, domain::UnixMs, Instant),
) -> Result<Response<ReplyBody>, Refusal> {
    let takes = if head.method == http::Method::POST { Takes::Json } else { Takes::Nothing };
    let Known { key, counted, body, .. } = known(&gateway, &route, takes, &head, body, at).await?;
    let (endpoint, server) = (route.endpoint.name, route.model.unwrap_or_default());
    let arrival = Arrival { id, at, arrived, endpoint, server, key, head, body };
    Ok(crate::mcp::serve::handle(gateway, arrival, counted).await)
}

/// Begins a conversation over a socket, once it is known whose it is: one call from here to its end.
async fn conversation(
    gateway: Arc<Gateway>,
    route: Route,
    head: http::request::Parts,
    upgrade: Option<OnUpgrade>,
    (id, at, arrived): (domain::CallId, domain::UnixMs, Instant),
) -> Result<Response<ReplyBody>, Refusal> {
    if gateway.is_draining() {
        return Err(Refusal::Draining);
    }
    let dialect = Dialect::OpenAiChat;
    let asked = door::asked(&head.headers, upgrade)?;
    let known = credential(&head.headers, None).and_then(|named| match (named, asked.credential) {
        (Some(one), Some(other)) if one != other => Err(Refusal::CredentialsConflict),
        (one, other) => Ok(one.or(other)),
    });
    let key = known.and_then(|known| authenticate(&gateway.keys.load(), known.as_deref(), at));
    let key = key.inspect_err(|_| {
        let labels = CallLabels { workflow: Label("(none)".into()), endpoint: route.endpoint.name, status: 401 };
        gateway.metrics.calls.get_or_create(&labels).inc();
    })?;
    let model = door::model(head.uri.query())?;
    let most = gateway.deployed.load().snapshot.server.max_calls_in_flight;
    let counted = Counted::new(gateway.clone(), most).ok_or(Refusal::Busy { limit: most })?;
    let route = Route { model: Some(model), ..route };
    let mut call = call(id, at, arrived, route, key, &head, None, Bytes::new());
    // The query named the model; what else stands in it is not the provider's to read.
    call.query.clear();
    call.carried.extend(asked.carried);
    let spoken = (dialect, Operation::Realtime);
    let answer = run(gateway, call, spoken, Some(asked.upgrading), counted).await;
    answer.ok_or_else(|| Refusal::Defect("the call's task ended without an answer".into()))
}

/// Runs a call in a task of its own and waits for its answer. Dropping this future (the client hung up) tells the task.
async fn run(
    gateway: Arc<Gateway>,
    call: Call,
    (dialect, operation): (Dialect, Operation),
    upgrading: Option<Upgrading>,
    counted: Counted,
) -> Option<Response<ReplyBody>> {
    let (waiting, answer) = reply::pair(gateway.cut.subscribe());
    let waiting = waiting.upgrading(upgrading);
    let errors = call.framing.errors_of(dialect);
    // Boxed here: on its way into a task a future is moved several times, and this one is ten kilobytes.
    let task = tokio::spawn(Box::pin(async move {
        let untold = edge::run(gateway, call, dialect, operation, waiting).await;
        drop(counted);
        untold
    }));
    match answer.await {
        Ok(response) => Some(response),
        // The client is told when the call is booked, not before.
        Err(_) => task.await.ok().flatten().map(|error| error_response(errors, &error)),
    }
}

/// A call counted as in flight, also if its task panics.
struct Counted(Arc<Gateway>);

impl Counted {
    /// Counts one in, unless that would be more than `most`.
    fn new(gateway: Arc<Gateway>, most: usize) -> Option<Counted> {
        let before = gateway.metrics.in_flight.inc();
        let counted = Counted(gateway);
        (before < i64::try_from(most).unwrap_or(i64::MAX)).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

fn presence(id: domain::CallId) -> Response<ReplyBody> {
    Response::builder()
        .status(StatusCode::OK)
        .header("freehold-call-id", id.to_string())
        .body(ReplyBody::whole(Bytes::new()))
        .expect("status and headers are ours and valid")
}

/// The names this key may use, as a list or one of them.
fn models(
    gateway: &Gateway,
    head: &http::request::Parts,
    route: &Route,
    dialect: Dialect,
    id: domain::CallId,
) -> Result<Response<ReplyBody>, Refusal> {
    let credential = credential(&head.headers, query_for_us(route, head))?;
    let key = authenticate(&gateway.keys.load(), credential.as_deref(), clock::now())?;
    let deployed = gateway.deployed.load();
    let listed: Vec<ListedModel> = names(&key, &deployed.snapshot)
        .into_iter()
        .map(|id| ListedModel { id, created_unix_s: deployed.since.0 / 1000, owned_by: "freehold".into() })
        .collect();
    let body = match &route.model {
        None => wire::models::models_body(dialect, &listed),
        Some(wanted) => {
            let one = listed.iter().find(|model| model.id == *wanted).ok_or_else(|| Refusal::UnknownModel {
                asked: short(wanted),
                hint: "GET /v1/models lists what this key may name".into(),
            })?;
            wire::models::model_body(dialect, one)
        }
    };
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("freehold-call-id", id.to_string())
        .body(ReplyBody::whole(body))
        .expect("status and headers are ours and valid");
    Ok(response)
}

#[expect(clippy::too_many_arguments, reason = "each is a different thing, and all are needed once")]
fn call(
    id: domain::CallId,
    at: domain::UnixMs,
    arrived: Instant,
    route: Route,
    key: Arc<Key>,
    head: &http::request::Parts,
    form: Option<String>,
    body: Bytes,
) -> Call {
    let Route { endpoint, model } = route;
    let address = model.map(|model| Address { model, stream: endpoint.streams });
    let mut carried = Vec::new();
    for name in endpoint.carries {
        let name = HeaderName::from_static(name);
        carried.extend(head.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
    }
    let query = head.uri.query().filter(|_| endpoint.query == Query::Carried);
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let framing = endpoints::framing(endpoint, head.uri.query());
    let workflow = workflow_named(head);
    let session = call::session_named(&head.headers);
    let no_store = call::wants_no_cache(&head.headers);
    Call { id, endpoint, address, at, arrived, key, carried, form, session, workflow, framing, query, no_store, body }
}

/// Opens the body of an invocation: what it speaks, and what it wants. Anthropic's bodies are that dialect's from here on; others
/// pass to a model of their own vendor only, and so does whatever a guardrail of Bedrock's is to look at.
fn opened(call: &mut Call) -> Result<(Dialect, Operation), Refusal> {
    let address = call.address.as_ref().ok_or_else(|| Refusal::Defect("an invocation without a model".into()))?;
    let bad = |bad: wire::BadBody| Refusal::Body { message: bad.to_string(), param: bad.param.map(str::to_owned) };
    let opened = wire::invoke::open(address, &call.body).map_err(bad)?;
    let guarded = call.carried.iter().any(|(name, _)| name == endpoints::bedrock::GUARDRAIL);
    match opened {
        Invocation::Messages { body, betas } if !guarded => {
            (call.body, call.address, call.framing) = (body, None, Framing::Chunks);
            let named = |beta: String| Some((ANTHROPIC_BETA, HeaderValue::try_from(beta).ok()?));
            call.carried.extend(betas.into_iter().filter_map(named));
            Ok((Dialect::Anthropic, Operation::Chat))
        }
        Invocation::Messages { .. } | Invocation::Other => Ok((Dialect::BedrockConverse, Operation::Invoke)),
    }
}

/// The query of a route whose query may hold the key.
fn query_for_us<'h>(route: &Route, head: &'h http::request::Parts) -> Option<&'h str> {
    head.uri.query().filter(|_| route.endpoint.query == Query::Ours)
}

/// Reads a body of the right kind, within its bounds of size and time. Returns the boundary of a form with it.
async fn read_body(
    head: &http::request::Parts,
    body: Incoming,
    limit: usize,
    takes: Takes,
) -> Result<(Option<String>, Bytes), Refusal> {
    let kind = head.headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or("?"));
    let essence = kind.map(|text| text.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
    let is_json = essence.as_ref().is_none_or(|kind| kind == "application/json" || kind.ends_with("+json"));
    let form = kind
        .filter(|_| matches!(takes, Takes::Form | Takes::JsonOrForm))
        .and_then(wire::form::boundary)
        .map(str::to_owned);
    match takes {
        Takes::Form if form.is_none() => return Err(Refusal::NoForm(short(kind.unwrap_or("none")))),
        Takes::JsonOrForm if form.is_none() && !is_json => return Err(Refusal::NoForm(short(kind.unwrap_or("none")))),
        Takes::Json if !is_json => return Err(Refusal::BodyType(short(kind.unwrap_or("?")))),
        Takes::Json | Takes::Form | Takes::JsonOrForm | Takes::Nothing | Takes::Anything => {}
    }
    Ok((form, read_any(head, body, limit).await?))
}

/// Reads a body of any kind, within its bounds of size and time.
async fn read_any(head: &http::request::Parts, body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    if let Some(encoding) = head.headers.get(CONTENT_ENCODING).filter(|value| *value != "identity") {
        return Err(Refusal::BodyEncoded(short(encoding.to_str().unwrap_or("?"))));
    }
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(Refusal::BodyTooLarge { limit });
    }
    let all = collect(body, announced, limit);
    let in_time = tokio::time::timeout(Duration::from_millis(BODY_MS), all).await;
    in_time.map_err(|_| Refusal::BodyLost(format!("it took longer than {BODY_MS} ms")))?
}

/// Why a body ended before its end: broken off, or cut into what are no chunks, which hyper says by the kind of its source.
fn lost(error: &hyper::Error) -> Refusal {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Refusal::BodyBroken(crate::pool::sentence(error))
        }
        _ => Refusal::BodyLost(crate::pool::sentence(error)),
    }
}

async fn collect(mut body: Incoming, announced: Option<usize>, limit: usize) -> Result<Bytes, Refusal> {
    let mut all = BytesMut::new();
    let mut only: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| lost(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if only.is_none() && all.is_empty() {
            if data.len() > limit {
                return Err(Refusal::BodyTooLarge { limit });
            }
            only = Some(data);
            continue;
        }
        if let Some(first) = only.take() {
            all.extend_from_slice(&first);
        }
        let needed = all.len() + data.len();
        if needed > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        if needed > all.capacity() {
            // Room costs memory also where nothing comes to fill it.
            let believed = announced.filter(|announced| needed >= announced / BELIEVED_FROM);
            all.reserve(believed.unwrap_or(needed).max(needed) - all.len());
        }
        all.extend_from_slice(&data);
    }
    Ok(match only {
        // A slice of the connection's buffer keeps all of it for as long as the call lasts.
        Some(small) if small.len() <= SMALL_BODY_BYTES => Bytes::copy_from_slice(&small),
        Some(data) => data,
        None => all.freeze(),
    })
}

/// Reads a small body away, so that closing the connection does not swallow the answer; a large one is left unread.
async fn discard(mut body: Incoming) {
    let mut read = 0;
    let until = Instant::now() + Duration::from_millis(DISCARD_MS);
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(until, body.frame()).await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > DISCARD_BYTES {
            return;
        }
    }
}
