//! What a client of MCP sends: one JSON-RPC message, of which a proxy needs the method, the identifier and the tool.

use std::fmt;

use serde_json::value::RawValue;
use thiserror::Error;

use super::members::Members;

/// Longest identifier, method and name of a tool looked at, bytes.
const LONGEST_NAME: usize = 256;

/// One message of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What kind, with what it says.
    pub kind: Kind,
}

/// The kinds of messages a client sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It wants an answer.
    Request {
        /// By which the answer is known.
        id: Id,
        /// What it wants.
        method: String,
        /// The tool, of `tools/call`.
        tool: Option<String>,
        /// By which notifications of progress are known, where it wants any.
        progress: Option<Id>,
    },
    /// It wants none.
    Notification {
        /// What it says.
        method: String,
        /// The request that `notifications/cancelled` is about.
        cancels: Option<Id>,
    },
    /// The answer to a request of the server's.
    Answer,
}

/// The identifier of a request, or a token of progress: a text or a whole number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Id {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// Why a body is no message.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BadMessage {
    /// Not JSON, or no UTF-8.
    #[error("the body is no JSON; send one JSON-RPC 2.0 message")]
    NoJson,
    /// A list of messages.
    #[error("the body is a batch, which MCP has given up since 2025-06-18; send each message in a request of its own")]
    Batch,
    /// Another value.
    #[error("the body is no JSON-RPC message; send an object with `jsonrpc`, `method` and, for a request, `id`")]
    NoMessage,
    /// Not version 2.0.
    #[error("`jsonrpc` must be \"2.0\"")]
    Version,
    /// One member said twice, or in two spellings that some parsers take for the same.
    #[error(
        "`{0}` is ambiguous: it is written twice or in other letters than JSON-RPC's; write each member once, as specified"
    )]
    Ambiguous(String),
    /// A member of the wrong kind.
    #[error("`{0}` is missing or of the wrong kind; {1}")]
    Member(&'static str, &'static str),
}

impl fmt::Display for Id {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => write!(f, "{number}"),
            Id::Text(text) => f.write_str(&serde_json::Value::from(text.as_str()).to_string()),
        }
    }
}

impl Id {
    /// Reads one of a bounded length.
    pub(super) fn of(value: &RawValue) -> Option<Id> {
        let text = value.get();
        if text.len() > LONGEST_NAME {
            return None;
        }
        match text.as_bytes().first()? {
            b'"' => serde_json::from_str(text).ok().map(Id::Text),
            _ => serde_json::from_str(text).ok().map(Id::Number),
        }
    }
}

/// Members of a message that decide what it is.
const OUTER: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
/// Members of `params` that decide what is done with it.
const INNER: [&str; 3] = ["name", "arguments", "_meta"];

/// Reads one message. What a proxy and the server behind it could understand differently is refused.
pub fn read(body: &[u8]) -> Result<Message, BadMessage> {
    let text = std::str::from_utf8(body).map_err(|_| BadMessage::NoJson)?.trim();
    let Some(members) = Members::of(text) else {
        let value: Option<&RawValue> = serde_json::from_str(text).ok();
        return Err(match (value, text.as_bytes().first()) {
            (None, _) => BadMessage::NoJson,
            (Some(_), Some(b'[')) => BadMessage::Batch,
            (Some(_), _) => BadMessage::NoMessage,
        });
    };
    if let Some(name) = members.ambiguous(&OUTER) {
        return Err(BadMessage::Ambiguous(name.chars().take(40).collect()));
    }
    if members.text("jsonrpc").as_deref() != Some("2.0") {
        return Err(BadMessage::Version);
    }
    let id = match members.get("id") {
        None => None,
        Some(value) => Some(Id::of(value).ok_or(BadMessage::Member("id", "write a text or a whole number"))?),
    };
    if members.get("method").is_none() {
        let answers = members.get("result").is_some() != members.get("error").is_some();
        return if answers && id.is_some() { Ok(Message { kind: Kind::Answer }) } else { Err(BadMessage::NoMessage) };
    }
    let method = members.text("method").filter(|method| (1..=LONGEST_NAME).contains(&method.len()));
    let method = method.ok_or(BadMessage::Member("method", "write the name of a method of MCP"))?;
    let params = match members.get("params") {
        None => Members(Vec::new()),
        Some(value) => Members::of(value.get()).ok_or(BadMessage::Member("params", "write an object"))?,
    };
    if let Some(name) = params.ambiguous(&INNER) {
        return Err(BadMessage::Ambiguous(format!("params.{}", name.chars().take(40).collect::<String>())));
    }
    let Some(id) = id else {
        let cancels = params.get("requestId").and_then(Id::of).filter(|_| method == "notifications/cancelled");
        return Ok(Message { kind: Kind::Notification { method, cancels } });
    };
    let tool = match method.as_str() {
        "tools/call" => Some(tool(&params)?),
        _ => None,
    };
    let meta = params.get("_meta").and_then(|meta| Members::of(meta.get()));
    let progress = meta.and_then(|meta| meta.get("progressToken").and_then(Id::of));
    Ok(Message { kind: Kind::Request { id, method, tool, progress } })
}

fn tool(params: &Members) -> Result<String, BadMessage> {
    let name = params.text("name").filter(|name| (1..=LONGEST_NAME).contains(&name.len()));
    let name = name.filter(|name| !name.chars().any(char::is_control));
    name.ok_or(BadMessage::Member("params.name", "write the name of a tool as `tools/list` gives it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        read(text.as_bytes()).unwrap().kind
    }

    fn error(text: &str) -> BadMessage {
        read(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_call_says_its_tool_its_identifier_and_its_token() {
        let text = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"n\u0061me","arguments":{"name":"x"},"_meta":{"progressToken":7}}}"#;
        let (id, method, tool) = (Id::Text("a".into()), "tools/call".to_owned(), Some("name".to_owned()));
        assert_eq!(kind(text), Kind::Request { id, method, tool, progress: Some(Id::Number(7)) });
    }

    #[test]
    fn what_wants_no_answer_is_told_from_what_does() {
        let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#;
        let method = "notifications/cancelled".to_owned();
        assert_eq!(kind(cancelled), Kind::Notification { method, cancels: Some(Id::Number(3)) });
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Kind::Answer);
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#), Kind::Answer);
    }

    #[test]
    fn a_tool_that_two_parsers_would_name_differently_is_refused() {
        for params in [
            r#"{"name":"allowed","name":"forbidden"}"#,
            r#"{"name":"allowed","Name":"forbidden"}"#,
            r#"{"name":"allowed","NAME":"forbidden"}"#,
            r#"{"name":"allowed","n\u0061me":"forbidden"}"#,
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            assert!(matches!(error(&text), BadMessage::Ambiguous(_)), "{params}");
        }
        for twice in
            [r#""method":"ping","#, r#""Method":"ping","#, r#""paramſ":{"name":"forbidden"},"#, r#""params":{},"#]
        {
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":1,{twice}"method":"tools/call","params":{{"name":"allowed"}}}}"#);
            assert!(matches!(error(&text), BadMessage::Ambiguous(_)), "{twice}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused_by_what_it_is() {
        assert_eq!(error(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#), BadMessage::Batch);
        assert_eq!(error("[]"), BadMessage::Batch);
        assert_eq!(error("{"), BadMessage::NoJson);
        assert_eq!(read(b"\xff").unwrap_err(), BadMessage::NoJson);
        assert_eq!(error("\"x\""), BadMessage::NoMessage);
        assert_eq!(error(r#"{"id":1,"method":"ping"}"#), BadMessage::Version);
        assert_eq!(error(r#"{"jsonrpc":"2.0"}"#), BadMessage::NoMessage);
        for text in [
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\u0000"}}"#,
        ] {
            assert!(matches!(error(text), BadMessage::Member(..)), "{text}");
        }
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{deep}}}}}"#);
        assert!(read(text.as_bytes()).is_ok());
    }
}
