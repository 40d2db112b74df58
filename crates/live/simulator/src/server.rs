//! Sockets and routes: one task for each connection, one provider for each path.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::admin::with_status;
use crate::clock::now;
use crate::faults::Refusal;
use crate::hall::Hall;
use crate::pace::{End, Paced, Reset};
use crate::provider::{Operation, Plan, Running, Violence};
use crate::realtime::Session;
use crate::scenario::{Dialect, Scenario, Script};
use crate::transcript::{Entry, Exchange, Received, State, Stats};
use crate::{admin, anthropic, bedrock, cohere, form, gemini, kept, openai, realtime};

/// Longest request body taken, bytes.
const BODY_BYTES: usize = 64 << 20;

/// A running simulator. Dropping it stops it too.
pub struct Simulator {
    /// Where it listens.
    pub address: SocketAddr,
    hall: Arc<Hall>,
    accepting: JoinHandle<()>,
}

/// The same providers without a socket: whoever has a pipe hands one end over.
#[derive(Clone)]
pub struct Inside {
    hall: Arc<Hall>,
}

impl Inside {
    /// Needs a Tokio runtime when it is connected to, and takes its time from there.
    pub fn new(scenario: Scenario) -> Inside {
        Inside { hall: Arc::new(Hall::new(scenario)) }
    }

    /// Serves what is said at the other end of `pipe`, until it is closed or what is returned breaks it off.
    pub fn connect(&self, pipe: DuplexStream) -> AbortHandle {
        self.hall.book.connected();
        tokio::spawn(connection(pipe, self.hall.clone())).abort_handle()
    }

    /// Changes or adds a provider; its calls count from 1 again.
    pub fn set_script(&self, provider: &str, script: Script) {
        self.hall.set_script(provider, script);
    }

    /// Takes the oldest exchanges that have ended out of the transcript, up to the first that has not.
    pub fn take_ended(&self) -> Vec<Exchange> {
        self.hall.book.take_ended()
    }

    /// Sums over everything since the start.
    pub fn stats(&self) -> Stats {
        self.hall.book.stats()
    }
}

/// Serves the scenario at `listen`; port 0 takes any free one. Needs a Tokio runtime.
pub async fn serve(scenario: Scenario, listen: SocketAddr) -> io::Result<Simulator> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let hall = Arc::new(Hall::new(scenario));
    let accepting = tokio::spawn(accept(listener, hall.clone()));
    Ok(Simulator { address, hall, accepting })
}

impl Simulator {
    /// Everything received so far that the transcript still has, oldest first.
    pub fn transcript(&self) -> Vec<Exchange> {
        self.hall.book.exchanges(0, usize::MAX)
    }

    /// Sums over everything since the start.
    pub fn stats(&self) -> Stats {
        self.hall.book.stats()
    }

    /// Changes or adds a provider; its calls count from 1 again.
    pub fn set_script(&self, provider: &str, script: Script) {
        self.hall.set_script(provider, script);
    }

    /// Stops listening and breaks off what is under way.
    pub async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, hall: Arc<Hall>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    hall.book.connected();
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(stream, hall.clone()));
                }
                // Out of file descriptors, most likely: those who leave give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What a connection can be made of.
trait Line: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes closing it a reset.
    fn reset_at_close(&self);
}

impl Line for TcpStream {
    fn reset_at_close(&self) {
        // Closing a socket that lingers for no time sends RST instead of FIN.
        let _ = self.set_zero_linger();
    }
}

impl Line for DuplexStream {
    /// A pipe that is closed in the middle of an answer is as good as reset: its reader finds an end where there is none.
    fn reset_at_close(&self) {}
}

async fn connection(stream: impl Line, hall: Arc<Hall>) {
    let reset = Arc::new(AtomicBool::new(false));
    let promised: Promised = Arc::default();
    let service = {
        let (reset, promised) = (reset.clone(), promised.clone());
        service_fn(move |request| respond(hall.clone(), request, reset.clone(), promised.clone()))
    };
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    let session = promised.lock().take();
    if let Some(session) = session {
        return realtime::speak(session, stream, parts.read_buf).await;
    }
    if ended.is_err() && reset.load(Ordering::Relaxed) {
        stream.reset_at_close();
    }
}

/// A session that follows the answer on the same connection.
type Promised = Arc<Mutex<Option<Session>>>;
type Answer = Result<Response<Paced>, Reset>;

/// A future with a name, as the connection has to be `Unpin`.
fn respond(
    hall: Arc<Hall>,
    request: Request<Incoming>,
    reset: Arc<AtomicBool>,
    promised: Promised,
) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if path == "/" || path.starts_with("/_") {
            let body = collect(body).await.unwrap_or_default();
            return Ok(admin::respond(&hall, &head.method, &head.uri, &body));
        }
        let Some((provider, route)) = hall.provider(path) else {
            return Ok(not_found(Dialect::OpenAiChat, &head.method, path));
        };
        let running = provider.running();
        if (&head.method, route) == (&Method::GET, "/v1/realtime") {
            return socket(&hall, provider.name(), running, &head, &promised, &reset).await;
        }
        if let Some(about) = kept::about(&head.method, route, &head.headers) {
            let Ok(body) = collect(body).await else {
                return Ok(with_status(StatusCode::PAYLOAD_TOO_LARGE, b"the body is too long".to_vec()));
            };
            let entry = hall.book.receive(received(provider.name(), &head, &body, None, false), now());
            let plan = hall.kept(provider.name()).respond(&about, &running, &head, &body);
            return carry_out(plan, entry, &reset).await;
        }
        let Some((dialect, operation)) = operation(&head.method, route, &head.headers, &running.script) else {
            let dialect = running.script.dialect.unwrap_or(Dialect::OpenAiChat);
            return Ok(not_found(dialect, &head.method, path));
        };
        if operation == Operation::Models {
            return Ok(models(dialect, &running));
        }
        let Ok(body) = collect(body).await else {
            return Ok(with_status(StatusCode::PAYLOAD_TOO_LARGE, b"the body is too long or did not come".to_vec()));
        };
        let content_type = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut parsed = match form::boundary(content_type) {
            Some(boundary) => form::read(boundary, &body),
            None => serde_json::from_slice(&body).map_err(|error| format!("The body is not JSON: {error}")),
        };
        if operation == Operation::Invoke
            && let Ok(body) = &parsed
            && let Some(name) = ["model", "stream"].into_iter().find(|name| !body[*name].is_null())
        {
            parsed = Err(format!("Malformed input request: extraneous key [{name}] is not permitted"));
        }
        if let (Some((model, stream)), Ok(serde_json::Value::Object(fields))) = (address(dialect, route), &mut parsed) {
            // Where the address names the model and asks for a stream, it is as if the body had.
            fields.insert("model".into(), model.into());
            fields.insert("stream".into(), stream.into());
        }
        let model = parsed.as_ref().ok().and_then(|body| body["model"].as_str());
        let stream = parsed.as_ref().is_ok_and(|body| body["stream"] == true);
        let received = received(provider.name(), &head, &body, model, stream);
        // Written down before anything is answered.
        let entry = hall.book.receive(received, now());
        let kept = dialect == Dialect::OpenAiResponses && operation == Operation::Chat;
        let unknown = parsed.as_ref().ok().filter(|asked| kept && !hall.kept(provider.name()).knows(asked));
        if let Some(previous) = unknown.and_then(|asked| asked["previous_response_id"].as_str()).map(str::to_owned) {
            parsed = Err(format!("Previous response with id '{previous}' not found."));
        }
        let mut plan = match &parsed {
            Ok(body) => running.answer(dialect, operation, &head.headers, Ok(body)),
            Err(error) => running.answer(dialect, operation, &head.headers, Err(error)),
        };
        if let Some(asked) = parsed.as_ref().ok().filter(|_| kept) {
            hall.kept(provider.name()).answer(asked, &mut plan);
        }
        carry_out(plan, entry, &reset).await
    })
}

/// Answers a request for a socket, and promises the session.
async fn socket(
    hall: &Arc<Hall>,
    provider: &str,
    running: Arc<Running>,
    head: &http::request::Parts,
    promised: &Promised,
    reset: &AtomicBool,
) -> Answer {
    let model = head.uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("model="));
    let model = model.and_then(bedrock::decoded).unwrap_or_default();
    let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let received = Received {
        provider: provider.to_owned(),
        method: head.method.to_string(),
        path: path.clone(),
        model: Some(model.clone()),
        stream: true,
        body: Bytes::new(),
        headers: head.headers.clone(),
    };
    let entry = hall.book.receive(received, now());
    if let Some(plan) = running.refusal_of_socket(&head.headers, &model) {
        return carry_out(plan, entry, reset).await;
    }
    let Some(headers) = realtime::accepted(&head.headers) else {
        return Ok(with_status(StatusCode::UPGRADE_REQUIRED, b"this address speaks WebSocket".to_vec()));
    };
    let mut response = with_status(StatusCode::SWITCHING_PROTOCOLS, Vec::new());
    *response.headers_mut() = headers;
    entry.answering(101, None, None, 0);
    let (hall, provider, headers) = (hall.clone(), provider.to_owned(), head.headers.clone());
    *promised.lock() = Some(Session { hall, running, provider, path, model, headers, entry });
    Ok(response)
}

fn received(provider: &str, head: &http::request::Parts, body: &Bytes, model: Option<&str>, stream: bool) -> Received {
    Received {
        provider: provider.to_owned(),
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), ToString::to_string),
        model: model.map(str::to_owned),
        stream,
        body: body.clone(),
        headers: head.headers.clone(),
    }
}

/// Sends what is planned, in its time and in its manner.
async fn carry_out(plan: Plan, mut entry: Entry, reset: &AtomicBool) -> Answer {
    if let Some(hold) = plan.hold {
        tokio::time::sleep(hold).await;
    }
    entry.answering(plan.status, plan.fault, plan.usage, plan.frames.ends.len());
    let end = match plan.violence {
        None if plan.status < 400 => End::Proper(State::Served),
        None => End::Proper(State::Refused),
        Some(Violence::EndedEarly) => End::Proper(State::Broken),
        Some(Violence::AfterFrames | Violence::BeforeHeaders) => {
            reset.store(true, Ordering::Relaxed);
            End::Reset
        }
    };
    if plan.violence == Some(Violence::BeforeHeaders) {
        entry.ended(State::Broken, 0, 0);
        return Err(Reset);
    }
    let body = match plan.stream {
        true => Paced::stream(plan.frames, plan.pace, end, entry),
        // A reset may leave out a part of the length that was told.
        false => Paced::whole(plan.frames, plan.length, end, entry),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(plan.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = plan.headers;
    Ok(response)
}

fn operation(method: &Method, route: &str, headers: &HeaderMap, script: &Script) -> Option<(Dialect, Operation)> {
    let (dialect, operation) = match (method, route) {
        (&Method::POST, "/v1/chat/completions") => (Dialect::OpenAiChat, Operation::Chat),
        (&Method::POST, "/v1/responses") => (Dialect::OpenAiResponses, Operation::Chat),
        (&Method::POST, "/v1/responses/compact") => (Dialect::OpenAiResponses, Operation::Compact),
        (&Method::POST, "/v1/responses/input_tokens") => (Dialect::OpenAiResponses, Operation::CountTokens),
        (&Method::POST, "/v1/embeddings") => (Dialect::OpenAiChat, Operation::Embeddings),
        (&Method::POST, "/v1/completions") => (Dialect::OpenAiChat, Operation::Completions),
        (&Method::POST, "/v1/moderations") => (Dialect::OpenAiChat, Operation::Moderations),
        (&Method::POST, "/v1/images/generations") => (Dialect::OpenAiChat, Operation::Pictures),
        (&Method::POST, "/v1/images/edits") => (Dialect::OpenAiChat, Operation::PictureEdits),
        (&Method::POST, "/v1/audio/speech") => (Dialect::OpenAiChat, Operation::Speech),
        (&Method::POST, "/v1/audio/transcriptions") => (Dialect::OpenAiChat, Operation::Transcripts),
        (&Method::POST, "/v1/audio/translations") => (Dialect::OpenAiChat, Operation::Translations),
        (&Method::POST, "/v1/messages") => (Dialect::Anthropic, Operation::Chat),
        (&Method::POST, "/v1/messages/count_tokens") => (Dialect::Anthropic, Operation::CountTokens),
        (&Method::POST, "/v1/rerank") => (Dialect::OpenAiChat, Operation::Rerank),
        (&Method::POST, "/v2/chat") => (Dialect::Cohere, Operation::Chat),
        (&Method::POST, "/v2/embed") => (Dialect::Cohere, Operation::Embeddings),
        (&Method::POST, "/v2/rerank") => (Dialect::Cohere, Operation::Rerank),
        (&Method::POST, route) if bedrock::address(route).is_some() => {
            let operation = if bedrock::is_invoke(route) { Operation::Invoke } else { Operation::Chat };
            (Dialect::BedrockConverse, operation)
        }
        (&Method::GET, "/v1/models") => {
            let asked =
                if headers.contains_key("anthropic-version") { Dialect::Anthropic } else { Dialect::OpenAiChat };
            (script.dialect.unwrap_or(asked), Operation::Models)
        }
        (&Method::GET, "/v1beta/models") => (Dialect::Gemini, Operation::Models),
        (&Method::POST, route) => {
            let operation = match google_path(route)?.1 {
                "generateContent" | "streamGenerateContent" => Operation::Chat,
                "countTokens" => Operation::CountTokens,
                "embedContent" | "batchEmbedContents" => Operation::Embeddings,
                _ => return None,
            };
            (Dialect::Gemini, operation)
        }
        _ => return None,
    };
    script.dialect.is_none_or(|only| only == dialect).then_some((dialect, operation))
}

/// Model, and whether a stream is asked for, where the address says so.
fn address(dialect: Dialect, route: &str) -> Option<(String, bool)> {
    match dialect {
        Dialect::Gemini => {
            let (model, method) = google_path(route).unwrap_or_default();
            Some((model.to_owned(), method == "streamGenerateContent"))
        }
        _ => bedrock::address(route),
    }
}

/// Model and method of `/v1beta/models/MODEL:METHOD`, and of the longer paths of Vertex AI.
fn google_path(route: &str) -> Option<(&str, &str)> {
    let (_, named) = route.split_once("/models/")?;
    named.rsplit_once(':').filter(|(model, _)| !model.is_empty())
}

fn models(dialect: Dialect, running: &Running) -> Response<Paced> {
    let any = ["any-model".to_owned()];
    let names = if running.script.models.is_empty() { &any[..] } else { &running.script.models };
    with_status(
        StatusCode::OK,
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiResponses => openai::models(names),
            Dialect::Anthropic => anthropic::models(names),
            Dialect::Gemini => gemini::models(names),
            Dialect::BedrockConverse => bedrock::models(names),
            Dialect::Cohere => cohere::models(names),
        },
    )
}

fn not_found(dialect: Dialect, method: &Method, path: &str) -> Response<Paced> {
    let refusal = Refusal::no_route(dialect, method.as_str(), path);
    with_status(StatusCode::NOT_FOUND, refusal.body(dialect, "req_none"))
}

async fn collect(body: Incoming) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(body, BODY_BYTES).collect().await?.to_bytes())
}
