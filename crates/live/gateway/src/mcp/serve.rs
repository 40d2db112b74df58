//! A request for a server of tools as the listening end hands it over: who it is from is known, its body is read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{CallId, UnixMs};
use http::request::Parts;
use http::{Method, Response};
use tokio::time::Instant;
use wire::errors::ClientError;
use wire::mcp::{Id, Kind, Message, read};
use wire::{Dialect, Framing};

use super::allow::{Caller, Passed, accepts};
use super::call::{ToolCall, live};
use super::exchange::{Request, exchange};
use super::refusal::Refusal;
use super::{listen, reach};
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::edge;
use crate::keys::Key;
use crate::refusal::Refusal as CallRefusal;
use crate::reply::{self, ReplyBody, Waiting};
use crate::trail::Trail;

/// How an error is framed that no task of a request is left to tell in JSON-RPC.
const SPOKEN: (Dialect, Framing) = (Dialect::OpenAiChat, Framing::ServerSentEvents);

/// A request of a known key.
pub struct Arrival {
    /// Its identifier.
    pub id: CallId,
    /// When it came, by the wall.
    pub at: UnixMs,
    /// When, for measuring.
    pub arrived: Instant,
    /// How pages call the route.
    pub endpoint: &'static str,
    /// Which server it is for.
    pub server: String,
    /// Whose it is.
    pub key: Arc<Key>,
    /// Method and headers.
    pub head: Parts,
    /// The body; empty where there is none.
    pub body: Bytes,
}

/// Answers it. Whatever `counted` counts is counted until the end of the answer.
pub async fn handle(gateway: Arc<Gateway>, arrival: Arrival, counted: impl Send + 'static) -> Response<ReplyBody> {
    let deployed = gateway.deployed.load_full();
    let (id, headers) = (arrival.id, &arrival.head.headers);
    let caller = Caller::of(&deployed.snapshot, &gateway.pepper(), &arrival.server, arrival.key.clone(), headers);
    match arrival.head.method {
        Method::GET => match caller {
            Ok(_) if !accepts(headers, &["text/event-stream"]) => Refusal::Accept.response(id, None),
            Ok(caller) => listen::listen(gateway, deployed, caller.listen(), id, counted).await,
            Err(refusal) => refusal.response(id, None),
        },
        Method::DELETE => match caller {
            Ok(caller) if caller.session().is_none() => Refusal::SessionMissing.response(id, None),
            Ok(caller) => tell(&gateway, &deployed, &caller.end(), id).await,
            Err(refusal) => refusal.response(id, None),
        },
        _ => {
            let message = match read(&arrival.body) {
                Ok(message) => message,
                Err(bad) => return Refusal::Message(bad).response(id, None),
            };
            let rpc = match &message.kind {
                Kind::Request { id, .. } => Some(id.clone()),
                _ => None,
            };
            match caller {
                Ok(_) if !accepts(headers, &["application/json", "text/event-stream"]) => {
                    Refusal::Accept.response(id, rpc.as_ref())
                }
                Ok(caller) => post(gateway, deployed, arrival, caller, message, counted).await,
                Err(refusal) => refusal.response(id, rpc.as_ref()),
            }
        }
    }
}

async fn post(
    gateway: Arc<Gateway>,
    deployed: Arc<Deployed>,
    arrival: Arrival,
    caller: Caller,
    message: Message,
    counted: impl Send + 'static,
) -> Response<ReplyBody> {
    let Arrival { id, at, arrived, endpoint, head, body, .. } = arrival;
    let headers = head.headers;
    let (rpc, tool) = match &message.kind {
        Kind::Request { id, tool, .. } => (id.clone(), tool.clone()),
        kind => {
            if let Kind::Notification { cancels: Some(rpc), .. } = kind {
                gateway.mcp.cancel(caller.whose(), rpc.clone());
            }
            return match caller.message(body, message, &headers) {
                Ok(passed) => tell(&gateway, &deployed, &passed, id).await,
                Err(refusal) => refusal.response(id, None),
            };
        }
    };
    let (waiting, answer) = reply::pair(gateway.cut.subscribe());
    let told = rpc.clone();
    let task = match tool {
        Some(tool) => {
            let revision = &deployed.snapshot.revision;
            let trail = Trail::new(id, at, arrived, endpoint, revision, gateway.prints.clone());
            let call = ToolCall { id, caller, body, message, rpc, tool, headers };
            tokio::spawn(async move {
                let (lived_in, under) = (gateway.clone(), deployed.clone());
                let untold = edge::run_other(gateway, deployed, trail, id, SPOKEN, move |trail| {
                    Box::pin(live(lived_in, under, call, waiting, trail))
                });
                let untold = untold.await;
                drop(counted);
                untold
            })
        }
        None => {
            let taken = caller.take_request(&gateway.budgets).await;
            let passed = taken.and_then(|()| caller.message(body, message, &headers));
            let passed = match passed {
                Ok(passed) => passed,
                Err(refusal) => return refusal.response(id, Some(&told)),
            };
            tokio::spawn(async move {
                ask(&gateway, &deployed, &passed, (id, &rpc), waiting).await;
                drop(counted);
                None
            })
        }
    };
    match answer.await {
        Ok(response) => response,
        // The client is told when the call is booked, not before.
        Err(_) => {
            let _: Option<ClientError> = task.await.ok().flatten();
            let defect = CallRefusal::Defect("the request's task ended without an answer".into());
            Refusal::Call(defect).response(id, Some(&told))
        }
    }
}

/// A request that is no tool call: relayed, and not booked.
async fn ask(
    gateway: &Arc<Gateway>,
    deployed: &Deployed,
    passed: &Passed,
    (call, rpc): (CallId, &Id),
    client: Waiting,
) {
    let request = Request { call, attempt: None, passed, id: rpc, cancellable: None };
    exchange(gateway, deployed, request, client, &mut |_| {}).await.parting.deliver().await;
}

/// Something that has no answer but its status.
async fn tell(gateway: &Arc<Gateway>, deployed: &Deployed, passed: &Passed, id: CallId) -> Response<ReplyBody> {
    let within = Duration::from_millis(passed.caller().server().timeouts.first_token_ms);
    match tokio::time::timeout(within, reach::send(gateway, deployed, passed, None)).await {
        Ok(Ok(reply)) => listen::answer(id, reply.status, reply.body),
        Ok(Err(refusal)) => refusal.response(id, None),
        Err(_) => listen::late(passed.caller()).response(id, None),
    }
}

/// How a refusal that comes before all this is told.
pub fn refused(id: CallId, refusal: CallRefusal) -> Response<ReplyBody> {
    Refusal::Call(refusal).response(id, None)
}
