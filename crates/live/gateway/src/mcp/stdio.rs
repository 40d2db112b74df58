//! Servers of tools that are processes of ours: one per session, started by `initialize`, ended by the client, by idleness, by
//! a change of the configuration, or with Freehold. Nothing but the configuration says what is started.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use config::McpServer;
use domain::{Fault, FaultClass};
use http::StatusCode;
use wire::mcp::version::has_sessions;
use wire::mcp::{Kind, Message};

use super::allow::{Passed, What};
use super::events::{Body, Events, Reply};
use super::process::Process;
use super::refusal::Refusal;
use crate::dataplane::Gateway;

/// How often a process is looked at for idleness and for a changed configuration, milliseconds.
const LOOK_MS: u64 = 500;

/// Hands what may pass to the process of its session.
pub async fn send(
    gateway: &Arc<Gateway>,
    command: &[String],
    environment: &[String],
    passed: &Passed,
) -> Result<Reply, Refusal> {
    let caller = passed.caller();
    if let Some(version) = caller.version().filter(|version| !has_sessions(version)) {
        return Err(Refusal::Version(version.to_owned()));
    }
    let processes = &gateway.mcp.processes;
    let plain = |status| Ok(Reply { status, session: None, body: Body::Nothing });
    let begins = matches!(
        passed.what(),
        What::Message(_, Message { kind: Kind::Request { method, .. } }) if method == "initialize"
    );
    let (process, session) = match caller.session() {
        Some(session) => (processes.get(caller.server(), session).ok_or(Refusal::NoSession)?, None),
        None if begins => {
            let (process, session) = start(gateway, command, environment, passed)?;
            (process, Some(session))
        }
        None => return Err(Refusal::SessionMissing),
    };
    match passed.what() {
        What::End => {
            processes.forget(&process);
            process.end();
            plain(StatusCode::NO_CONTENT)
        }
        What::Listen => {
            let body = Body::Events(Events::Unasked(process.listen()));
            Ok(Reply { status: StatusCode::OK, session: None, body })
        }
        What::Message(body, Message { kind: Kind::Request { id, progress, .. } }) => {
            let asked = process.ask(id, progress.clone()).ok_or(Refusal::IdInUse)?;
            tell(&process, body, caller.server()).await?;
            Ok(Reply { status: StatusCode::OK, session, body: Body::Events(Events::Asked(asked)) })
        }
        What::Message(body, message) => {
            tell(&process, body, caller.server()).await?;
            if let Kind::Notification { cancels: Some(id), .. } = &message.kind {
                process.give_up(id);
            }
            plain(StatusCode::ACCEPTED)
        }
    }
}

async fn tell(process: &Process, body: &Bytes, server: &McpServer) -> Result<(), Refusal> {
    process.tell(body).await.ok_or_else(|| failed(server, "its process has ended; begin a new session"))
}

fn failed(server: &McpServer, message: &str) -> Refusal {
    let fault = Fault::new(FaultClass::Connect, message);
    Refusal::Server { server: server.name.to_string(), fault, billed: false }
}

/// Starts a process for a new session, and has somebody see it to its end.
fn start(
    gateway: &Arc<Gateway>,
    command: &[String],
    environment: &[String],
    passed: &Passed,
) -> Result<(Arc<Process>, String), Refusal> {
    let server = passed.caller().server().clone();
    let processes = gateway.mcp.processes.clone();
    let session = format!("{:032x}", gateway.chance.draw());
    let begun = processes.begin(&session, &server, || {
        let log_as = server.log_stderr.then_some(&*server.name);
        Process::start(command, environment, log_as)
    });
    let (process, started) = begun.map_err(|error| match error {
        None => Refusal::Sessions { server: server.name.to_string(), limit: server.max_sessions },
        Some(error) => {
            tracing::error!(server = &*server.name, %error, "a server of tools cannot be started; see `command` under [mcp]");
            failed(&server, &format!("its process cannot be started ({error})"))
        }
    })?;
    let (looked_at, gateway, begun) = (process.clone(), gateway.clone(), session.clone());
    let running = process.clone();
    tokio::spawn(async move {
        let unwanted = async {
            let idle = Duration::from_millis(server.session_idle_ms);
            loop {
                tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
                let wanted = gateway.deployed.load().snapshot.mcp.contains(&server);
                if !wanted || looked_at.idle() > idle {
                    return;
                }
            }
        };
        started.run(running.clone(), unwanted).await;
        gateway.metrics.mcp_dropped.inc_by(running.dropped.load(Ordering::Relaxed));
        processes.ended(&begun);
    });
    Ok((process, session))
}
