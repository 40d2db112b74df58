//! What may pass to a server of tools: the only place that makes a [`Passed`], and so the only door to [`super::reach`].
//! Here are the origin, the workflow, its residency, the session's key and the lists of tools.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use config::{McpServer, Resolved, Snapshot, Workflow};
use domain::SessionId;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use wire::mcp::{Id, Kind, Message};

use super::refusal::Refusal;
use super::session;
use crate::admit::take_request;
use crate::budgets::Budgets;
use crate::budgets::Scopes;
use crate::call::session_named;
use crate::keys::Key;
use crate::refusal::Refusal as CallRefusal;
use crate::target::{short, within};

/// Names listed in a refusal.
const NAMES_IN_HINT: usize = 12;

/// Where a session is named.
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Where the revision of the protocol is named.
pub const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Where the workflow of a request is named.
pub const FREEHOLD_WORKFLOW: HeaderName = HeaderName::from_static("freehold-workflow");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How a header says an argument (revision 2026-07-28).
const MCP_PARAM: &str = "mcp-param-";

/// Headers that decide something, of which there must not be two.
const ONCE: [&str; 7] = [
    "mcp-session-id",
    "mcp-protocol-version",
    "freehold-workflow",
    "mcp-method",
    "mcp-name",
    "last-event-id",
    "origin",
];

/// A caller who may speak to a server.
#[derive(Clone)]
pub struct Caller {
    server: Arc<McpServer>,
    key: Arc<Key>,
    workflow: Option<Arc<Workflow>>,
    session: Option<String>,
    /// The session of budgets that its client names, which is another.
    spends_in: Option<SessionId>,
    version: Option<String>,
    carried: Vec<(HeaderName, HeaderValue)>,
}

/// Something that may go to a server. Its fields are private: nothing else makes one.
pub struct Passed {
    caller: Caller,
    what: What,
}

/// What may go.
pub enum What {
    /// A message.
    Message(Bytes, Message),
    /// The wish to hear what the server says by itself.
    Listen,
    /// The end of the session.
    End,
}

impl Caller {
    /// Who may speak to which server, for which workflow and in which session.
    pub fn of(
        snapshot: &Snapshot,
        pepper: &[u8; 32],
        server: &str,
        key: Arc<Key>,
        headers: &HeaderMap,
    ) -> Result<Caller, Refusal> {
        if let Some(name) = ONCE.iter().find(|name| headers.get_all(**name).iter().nth(1).is_some()) {
            return Err(Refusal::HeaderTwice(name));
        }
        let Some(server) = snapshot.mcp.iter().find(|known| *known.name == *server) else {
            let names: Vec<&str> = snapshot.mcp.iter().map(|server| &*server.name).take(NAMES_IN_HINT).collect();
            let hint = match names.is_empty() {
                true => "declare one under [mcp.NAME] in freehold.toml".to_owned(),
                false => format!("there is {}", names.join(", ")),
            };
            return Err(Refusal::UnknownServer { asked: short(server), hint });
        };
        if let Some(origin) = headers.get(ORIGIN) {
            let origin = origin.to_str().unwrap_or("?").to_ascii_lowercase();
            if !server.origins.contains(&origin) {
                return Err(Refusal::Origin(short(&origin), server.name.to_string()));
            }
        }
        let workflow = workflow(snapshot, &key, headers)?;
        if let Some(workflow) =
            workflow.as_ref().filter(|workflow| !within(server.region.as_ref(), &workflow.residency))
        {
            let allowed = workflow.residency.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ");
            let place = match &server.region {
                Some(region) => format!("is in {region}"),
                None => "is nobody knows where".to_owned(),
            };
            let (workflow, server) = (workflow.name.to_string(), server.name.to_string());
            return Err(Refusal::Residency { workflow, allowed, server, place });
        }
        let session = match headers.get(MCP_SESSION_ID) {
            None => None,
            Some(sealed) => {
                let opened =
                    sealed.to_str().ok().and_then(|sealed| session::open(pepper, &server.name, &key.grant.id, sealed));
                Some(opened.ok_or(Refusal::NoSession)?.to_owned())
            }
        };
        let version = headers.get(MCP_PROTOCOL_VERSION).map(|version| short(version.to_str().unwrap_or("?")));
        let carries = |name: &HeaderName| {
            [MCP_PROTOCOL_VERSION, MCP_METHOD, MCP_NAME, LAST_EVENT_ID].contains(name)
                || name.as_str().starts_with(MCP_PARAM)
        };
        let carried =
            headers.iter().filter(|(name, _)| carries(name)).map(|(name, value)| (name.clone(), value.clone()));
        let spends_in = session_named(headers);
        Ok(Caller { server: server.clone(), key, workflow, session, spends_in, version, carried: carried.collect() })
    }

    /// Takes one request from the key's limits.
    pub async fn take_request(&self, budgets: &Budgets) -> Result<(), Refusal> {
        Ok(take_request(budgets, &self.key).await?)
    }

    /// Lets a message pass: a call of a tool only where every list that applies has it.
    pub fn message(self, body: Bytes, message: Message, headers: &HeaderMap) -> Result<Passed, Refusal> {
        if let Kind::Request { method, tool, .. } = &message.kind {
            if headers.get(MCP_METHOD).is_some_and(|said| said != method.as_str()) {
                return Err(Refusal::HeaderMismatch("mcp-method"));
            }
            if let Some(tool) = tool {
                if headers.get(MCP_NAME).is_some_and(|said| name_said(said).as_ref() != Some(tool)) {
                    return Err(Refusal::HeaderMismatch("mcp-name"));
                }
                if !self.allows(tool) {
                    let scope = self.workflow.as_ref().map(|workflow| format!(" and workflow `{}`", workflow.name));
                    return Err(Refusal::ToolNotAllowed {
                        tool: short(tool),
                        server: self.server.name.to_string(),
                        key: self.key.grant.id.to_string(),
                        scope: scope.unwrap_or_default(),
                    });
                }
            }
        }
        Ok(Passed { caller: self, what: What::Message(body, message) })
    }

    /// Lets it hear what the server says by itself.
    pub fn listen(self) -> Passed {
        Passed { caller: self, what: What::Listen }
    }

    /// Lets it end its session.
    pub fn end(self) -> Passed {
        Passed { caller: self, what: What::End }
    }

    /// Whether a tool is on every list that applies.
    pub fn allows(&self, tool: &str) -> bool {
        self.server.allows(tool, &self.key.grant.id.0, self.workflow.as_ref().map(|workflow| &workflow.name))
    }

    /// Which server.
    pub fn server(&self) -> &Arc<McpServer> {
        &self.server
    }

    /// Whose key.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// For which workflow, where there is one.
    pub fn workflow(&self) -> Option<&Arc<Workflow>> {
        self.workflow.as_ref()
    }

    /// The server's own name of the session.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The revision the client says it speaks.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Headers that go on.
    pub fn carried(&self) -> &[(HeaderName, HeaderValue)] {
        &self.carried
    }

    /// The budgets that may apply.
    pub fn scopes(&self) -> Scopes {
        let workflow = self.workflow.as_ref().map(|workflow| workflow.name.clone());
        Scopes { workflow, key: self.key.grant.id.clone(), session: self.spends_in.clone(), model: None }
    }

    /// Whose requests these are: identifiers are only unique within one session of one key.
    pub fn whose(&self) -> String {
        format!("{}\0{}\0{}", self.server.name, self.key.grant.id, self.session.as_deref().unwrap_or_default())
    }
}

impl Passed {
    /// Whose it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What it is.
    pub fn what(&self) -> &What {
        &self.what
    }

    /// The identifier of a request.
    pub fn id(&self) -> Option<&Id> {
        match &self.what {
            What::Message(_, Message { kind: Kind::Request { id, .. } }) => Some(id),
            _ => None,
        }
    }
}

/// Whether an `Accept` header takes both forms an answer may have; none takes anything.
pub fn accepts(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let mut said = headers.get_all(ACCEPT).iter().peekable();
    let all: Vec<String> = if said.peek().is_none() {
        return true;
    } else {
        said.flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .collect()
    };
    let takes = |kind: &str| {
        let family = format!("{}/*", kind.split('/').next().unwrap_or_default());
        all.iter().any(|said| said == kind || said == "*/*" || *said == family)
    };
    kinds.iter().all(|kind| takes(kind))
}

/// The name in a header, which says in base 64 what a header cannot hold (revision 2026-07-28).
fn name_said(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    match text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

/// The workflow a request is for: the one its header names, else the only one its key belongs to.
fn workflow(snapshot: &Snapshot, key: &Key, headers: &HeaderMap) -> Result<Option<Arc<Workflow>>, Refusal> {
    let allowed = key.grant.workflows.as_deref();
    let list = |names: &[domain::WorkflowName]| {
        names.iter().take(NAMES_IN_HINT).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let asked = match (headers.get(FREEHOLD_WORKFLOW), allowed) {
        (Some(asked), _) => asked.to_str().unwrap_or("?").to_owned(),
        (None, None) => return Ok(None),
        (None, Some([only])) => only.to_string(),
        (None, Some(several)) => return Err(Refusal::WorkflowNeeded(list(several))),
    };
    let Some(Resolved::Workflow(workflow)) = snapshot.resolve(&asked) else {
        let hint = allowed.map_or_else(
            || "see [workflows] in freehold.toml".to_owned(),
            |names| format!("this key may name {}", list(names)),
        );
        return Err(Refusal::UnknownWorkflow(short(&asked), hint));
    };
    if allowed.is_some_and(|allowed| !allowed.contains(&workflow.name)) {
        return Err(CallRefusal::NotAllowed { key: key.grant.id.to_string(), asked: short(&asked) }.into());
    }
    Ok(Some(workflow))
}
