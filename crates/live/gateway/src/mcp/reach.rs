//! One way to every server of tools, whichever way it is reached.

use std::sync::Arc;

use config::Reach;
use domain::{AttemptId, Fault, FaultClass};

use super::allow::Passed;
use super::events::Reply;
use super::refusal::Refusal;
use super::{session, stdio, web};
use crate::dataplane::Gateway;
use crate::deployed::Deployed;

/// Sends what may pass. An answer that is a fault of the server, or ours, is a refusal; any other is the client's.
pub async fn send(
    gateway: &Arc<Gateway>,
    deployed: &Deployed,
    passed: &Passed,
    attempt: Option<AttemptId>,
) -> Result<Reply, Refusal> {
    let server = passed.caller().server();
    let failed = |fault| Refusal::Server { server: server.name.to_string(), fault, billed: false };
    let reply = match &server.reach {
        Reach::Url(url) => web::send(&deployed.upstreams, url, passed, attempt).await.map_err(failed)?,
        Reach::Command(command, environment) => stdio::send(gateway, command, environment, passed).await?,
    };
    let class = match reply.status.as_u16() {
        401 | 403 => FaultClass::Credential,
        429 => FaultClass::RateLimited,
        503 | 529 => FaultClass::Overloaded,
        500.. => FaultClass::ServerError,
        _ => return Ok(reply),
    };
    let message = format!("it answered {}", reply.status);
    Err(failed(Fault { status: Some(reply.status.as_u16()), ..Fault::new(class, message) }))
}

/// The session of an answer as its client gets it.
pub fn sealed_session(gateway: &Gateway, passed: &Passed, reply: &Reply) -> Option<String> {
    let caller = passed.caller();
    session::seal(&gateway.pepper(), &caller.server().name, &caller.key().grant.id, reply.session.as_deref()?)
}
