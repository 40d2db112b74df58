//! What a server of MCP says: an answer to one of the client's requests, or something it says by itself.

use serde_json::value::RawValue;

use super::members::Members;
use super::message::Id;
use crate::sse::Fields;

/// One message of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// The answer to a request.
    Answer {
        /// Of this identifier; absent where the server could not read it.
        id: Option<Id>,
        /// How the request ended.
        outcome: Outcome,
    },
    /// News of a request's progress.
    Progress(Id),
    /// Anything else, or nothing that can be read.
    Other,
}

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With a result.
    Result {
        /// Whether the result says that the tool failed.
        is_error: bool,
    },
    /// With an error of the protocol: nothing was done.
    Error {
        /// JSON-RPC's code.
        code: i64,
    },
}

/// Reads one message of a server.
pub fn said(text: &[u8]) -> Said {
    let Some(members) = std::str::from_utf8(text).ok().and_then(|text| Members::of(text.trim())) else {
        return Said::Other;
    };
    let inner = |value: &'_ RawValue| Members::of(value.get()).map(|members| members.0.len());
    let id = members.get("id").and_then(Id::of);
    if let Some(error) = members.get("error").filter(|error| inner(error).is_some()) {
        let code = Members::of(error.get()).and_then(|error| serde_json::from_str(error.get("code")?.get()).ok());
        return Said::Answer { id, outcome: Outcome::Error { code: code.unwrap_or(0) } };
    }
    if let Some(result) = members.get("result") {
        let flag = Members::of(result.get()).and_then(|result| Some(result.get("isError")?.get() == "true"));
        return Said::Answer { id, outcome: Outcome::Result { is_error: flag.unwrap_or(false) } };
    }
    match members.text("method").as_deref() {
        Some("notifications/progress") => {
            let params = members.get("params").and_then(|params| Members::of(params.get()));
            params.and_then(|params| Id::of(params.get("progressToken")?)).map_or(Said::Other, Said::Progress)
        }
        _ => Said::Other,
    }
}

/// Reads the message in one frame of server-sent events, and says where its data begins and ends where that is one line.
pub fn said_in_frame(frame: &[u8]) -> (Said, Option<Vec<u8>>, bool) {
    let (mut data, mut has_id) = (None::<Vec<u8>>, false);
    for (name, value) in Fields::of(frame) {
        match name {
            b"data" => match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => data = Some(value.to_vec()),
            },
            b"id" => has_id = true,
            _ => {}
        }
    }
    let said = data.as_deref().map_or(Said::Other, said);
    (said, data, has_id)
}

/// A frame of server-sent events with this message, which must not have line feeds.
pub fn frame(message: &[u8]) -> Vec<u8> {
    [b"event: message\ndata: ", message, b"\n\n"].concat()
}

/// The frame with other data in the place of its own, its other fields kept.
pub fn with_data(frame: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 64);
    // A name behind a byte order mark is none that a client knows, and at the beginning of what is written it would lose the mark.
    let others = Fields::of(frame).filter(|(name, _)| *name != b"data" && !name.starts_with(b"\xef\xbb\xbf"));
    for (name, value) in others {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_behind_a_byte_order_mark_does_not_become_data() {
        let frame = "event: message\ndata: a\n\u{feff}data: b\nid: 1\n\n";
        let written = with_data(frame.as_bytes(), b"{}");
        assert_eq!(String::from_utf8(written).unwrap(), "event: message\nid: 1\ndata: {}\n\n");
    }

    #[test]
    fn answers_are_told_from_news() {
        let result = |is_error| Outcome::Result { is_error };
        let id = Some(Id::Number(1));
        let answer = |outcome| Said::Answer { id: id.clone(), outcome };
        assert_eq!(said(br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#), answer(result(false)));
        assert_eq!(said(br#"{"id":1,"result":{"isError":true}}"#), answer(result(true)));
        assert_eq!(said(br#"{"id":1,"error":{"code":-32602,"message":"x"}}"#), answer(Outcome::Error { code: -32602 }));
        let progress = br#"{"method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;
        assert_eq!(said(progress), Said::Progress(Id::Text("t".into())));
        assert_eq!(said(br#"{"id":1,"method":"sampling/createMessage"}"#), Said::Other);
        assert_eq!(said(b"nonsense"), Said::Other);
    }

    #[test]
    fn a_frame_keeps_its_identifier_when_its_data_changes() {
        let frame = b"id: 7\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n";
        let (_, data, has_id) = said_in_frame(frame);
        assert_eq!((data.as_deref(), has_id), (Some(&b"{\"a\":\n1}"[..]), true));
        assert_eq!(with_data(frame, b"{}"), b"id: 7\nevent: message\ndata: {}\n\n");
    }
}
