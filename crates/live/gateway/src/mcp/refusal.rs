//! Why a request for a server of tools is refused or fails, and how it is told: as JSON-RPC, with what Freehold says of every
//! error in `data`. A request that could be read is answered with status 200, because clients of MCP take another status
//! for the end of their connection; the few that the protocol names keep theirs.

use domain::record::CallFailure;
use domain::{Blame, CallId, Fault};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;
use thiserror::Error;
use wire::Dialect;
use wire::errors::{ClientError, Retry};
use wire::mcp::errors::{
    HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, UNSUPPORTED_PROTOCOL_VERSION,
};
use wire::mcp::version::WITH_SESSIONS;
use wire::mcp::{BadMessage, Id, error_message};

use crate::refusal::Refusal as CallRefusal;
use crate::reply::ReplyBody;

/// Why.
#[derive(Debug, Error)]
pub enum Refusal {
    /// As for every call.
    #[error(transparent)]
    Call(#[from] CallRefusal),
    /// No such server, or none for this key.
    #[error("there is no server of tools `{asked}`; {hint}")]
    UnknownServer {
        /// What was asked for.
        asked: String,
        /// What there is.
        hint: String,
    },
    /// A web page that is not known.
    #[error("requests of the origin `{0}` are not taken; list it in `origins` under [mcp.{1}], or send no Origin")]
    Origin(String, String),
    /// The client takes no answer that may come.
    #[error("the answer may be JSON or a stream; send `Accept: application/json, text/event-stream`")]
    Accept,
    /// A header that decides something came twice.
    #[error("the header `{0}` was sent more than once; send it once")]
    HeaderTwice(&'static str),
    /// Headers and body differ.
    #[error("the header `{0}` says another thing than the body; send the same, or leave the header out")]
    HeaderMismatch(&'static str),
    /// The body is no message.
    #[error(transparent)]
    Message(#[from] BadMessage),
    /// The session is not known, or another key's.
    #[error("there is no such session of this key; begin a new one with `initialize`")]
    NoSession,
    /// The server wants a session.
    #[error("this server is reached in sessions; begin one with `initialize` and send its `Mcp-Session-Id`")]
    SessionMissing,
    /// A revision that is not spoken with this server.
    #[error(
        "revision `{0}` is not spoken with this server, which is a process of Freehold's; use one with sessions, such as 2025-11-25"
    )]
    Version(String),
    /// A tool outside the lists.
    #[error(
        "tool `{tool}` of server `{server}` is not allowed for key `{key}`{scope}; call one that `tools/list` names, or have it added to `tools` under [mcp.{server}]"
    )]
    ToolNotAllowed {
        /// Which tool.
        tool: String,
        /// Of which server.
        server: String,
        /// For whom.
        key: String,
        /// ` and workflow …`, where one is named.
        scope: String,
    },
    /// A key of several workflows that named none.
    #[error("this key belongs to several workflows; say which one with the header `freehold-workflow`: {0}")]
    WorkflowNeeded(String),
    /// A workflow that does not exist.
    #[error("`{0}` in the header `freehold-workflow` names no workflow here; {1}")]
    UnknownWorkflow(String, String),
    /// The workflow's data must not go there.
    #[error(
        "workflow `{workflow}` allows {allowed} only, and server `{server}` {place}; say where it processes with `region` under [mcp.{server}]"
    )]
    Residency {
        /// Whose data.
        workflow: String,
        /// Where it may go.
        allowed: String,
        /// Which server.
        server: String,
        /// Where that is.
        place: String,
    },
    /// A budget applies, and the tool has no price.
    #[error(
        "tool `{tool}` of server `{server}` has no price and {scope} has a budget; give `price_per_call` under [mcp.{server}], \"0\" where it costs nothing"
    )]
    Unpriced {
        /// Which tool.
        tool: String,
        /// Of which server.
        server: String,
        /// Whose budget.
        scope: String,
    },
    /// An identifier that is in use.
    #[error("a request with this `id` is under way in this session; use each `id` once")]
    IdInUse,
    /// As many processes as may be.
    #[error(
        "server `{server}` has {limit} sessions, the most it may have; end one, or raise `max_sessions` under [mcp.{server}]"
    )]
    Sessions {
        /// Which server.
        server: String,
        /// The limit.
        limit: usize,
    },
    /// The server, or the way to it.
    #[error("server `{server}` did not answer: {}", .fault.message)]
    Server {
        /// Which server.
        server: String,
        /// What went wrong.
        fault: Fault,
        /// Whether it is booked all the same.
        billed: bool,
    },
    /// The client cancelled it.
    #[error("the client cancelled this request")]
    Cancelled,
}

/// What follows from a refusal.
struct Meaning {
    status: u16,
    code: String,
    blame: Blame,
    retry: Retry,
    rpc: i64,
    billed: bool,
}

impl Refusal {
    fn meaning(&self, call: &str) -> Meaning {
        let plain = |status, code: &str, rpc| Meaning {
            status,
            code: code.to_owned(),
            blame: Blame::Client,
            retry: Retry::No,
            rpc,
            billed: false,
        };
        match self {
            Refusal::Call(refusal) => {
                let ClientError { status, code, blame, retry, billed, .. } =
                    refusal.client_error(call, Dialect::OpenAiChat);
                Meaning { status, code, blame, retry, rpc: INTERNAL_ERROR, billed }
            }
            Refusal::UnknownServer { .. } => plain(404, "no_such_server", INVALID_REQUEST),
            Refusal::Origin(..) => plain(403, "origin_not_allowed", INVALID_REQUEST),
            Refusal::Accept => plain(406, "not_acceptable", INVALID_REQUEST),
            Refusal::HeaderTwice(_) => plain(400, "header_twice", HEADER_MISMATCH),
            Refusal::HeaderMismatch(_) => plain(400, "header_mismatch", HEADER_MISMATCH),
            Refusal::Message(BadMessage::NoJson) => plain(400, "no_json", PARSE_ERROR),
            Refusal::Message(BadMessage::Batch) => plain(400, "batch", INVALID_REQUEST),
            Refusal::Message(BadMessage::Member("params.name", _)) => plain(400, "bad_request", INVALID_PARAMS),
            Refusal::Message(_) => plain(400, "bad_request", INVALID_REQUEST),
            Refusal::NoSession => plain(404, "no_such_session", INVALID_REQUEST),
            Refusal::SessionMissing => plain(400, "session_missing", INVALID_REQUEST),
            Refusal::Version(_) => plain(400, "version_not_spoken", UNSUPPORTED_PROTOCOL_VERSION),
            Refusal::ToolNotAllowed { .. } => plain(403, "tool_not_allowed", INVALID_PARAMS),
            Refusal::WorkflowNeeded(_) => plain(403, "workflow_needed", INVALID_REQUEST),
            Refusal::UnknownWorkflow(..) => plain(404, "workflow_not_found", INVALID_REQUEST),
            Refusal::Residency { .. } => plain(403, "residency", INVALID_REQUEST),
            Refusal::Unpriced { .. } => Meaning { blame: Blame::Us, ..plain(503, "tool_unpriced", INTERNAL_ERROR) },
            Refusal::IdInUse => plain(400, "id_in_use", INVALID_REQUEST),
            Refusal::Sessions { .. } => {
                Meaning { blame: Blame::Us, retry: Retry::After(1_000), ..plain(503, "busy", INTERNAL_ERROR) }
            }
            Refusal::Server { fault, billed, .. } => Meaning {
                blame: fault.class.blame(),
                // Whether a tool may be called twice, only its caller knows.
                retry: if *billed { Retry::No } else { Retry::Now },
                billed: *billed,
                ..plain(502, fault.class.as_str(), INTERNAL_ERROR)
            },
            Refusal::Cancelled => plain(499, "client_cancelled", INTERNAL_ERROR),
        }
    }

    /// As the record of a call keeps it.
    pub fn failure(&self, call: CallId) -> CallFailure {
        let Meaning { code, blame, .. } = self.meaning(&call.to_string());
        CallFailure { code, blame, message: self.to_string() }
    }

    /// The error as a message.
    pub fn message(&self, call: CallId, id: Option<&Id>) -> Vec<u8> {
        let call = call.to_string();
        let Meaning { code, blame, retry, rpc, billed, .. } = self.meaning(&call);
        let mut data = json!({
            "code": code,
            "blame": blame,
            "retry": match retry {
                Retry::No => "no",
                Retry::Now => "now",
                Retry::After(_) => "after",
            },
            "billed": billed,
            "call_id": call,
        });
        if let Retry::After(ms) = retry {
            data["retry_after_ms"] = ms.into();
        }
        if let Refusal::Version(requested) = self {
            data["supported"] = json!(WITH_SESSIONS);
            data["requested"] = requested.as_str().into();
        }
        error_message(id, rpc, &self.to_string(), &data)
    }

    /// The error as an answer: with status 200 where it answers a request, with its own where the protocol says so or no
    /// request could be read.
    pub fn response(&self, call: CallId, id: Option<&Id>) -> Response<ReplyBody> {
        let Meaning { status, code, retry, .. } = self.meaning(&call.to_string());
        let of_the_transport = matches!(
            self,
            Refusal::NoSession
                | Refusal::SessionMissing
                | Refusal::Version(_)
                | Refusal::Message(_)
                | Refusal::HeaderTwice(_)
                | Refusal::HeaderMismatch(_)
        );
        let status = if id.is_some() && !of_the_transport {
            StatusCode::OK
        } else {
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        };
        let mut head = head(call, status).header("freehold-error", &code);
        if status == StatusCode::UNAUTHORIZED {
            head = head.header("www-authenticate", "Bearer");
        }
        if let Retry::After(ms) = retry {
            head = head.header("retry-after-ms", ms).header("retry-after", ms.div_ceil(1000).max(1));
        }
        head.header("content-type", "application/json")
            .body(ReplyBody::whole(self.message(call, id)))
            .expect("status and headers are ours and valid")
    }
}

/// The head every answer has.
pub fn head(call: CallId, status: StatusCode) -> http::response::Builder {
    let call = HeaderValue::from_str(&call.to_string()).expect("an identifier of ours is letters and digits");
    Response::builder().status(status).header("freehold-call-id", call.clone()).header("x-request-id", call)
}
