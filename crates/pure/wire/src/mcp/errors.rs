//! Errors as JSON-RPC 2.0 says them, with what Freehold says of every error beside.

use super::message::Id;

/// The body is no JSON (JSON-RPC 2.0, section 5.1).
pub const PARSE_ERROR: i64 = -32700;
/// It is no valid message.
pub const INVALID_REQUEST: i64 = -32600;
/// What it asks for is not there, or not for this key.
pub const INVALID_PARAMS: i64 = -32602;
/// Anything else.
pub const INTERNAL_ERROR: i64 = -32603;
/// Headers say another thing than the body (MCP 2026-07-28).
pub const HEADER_MISMATCH: i64 = -32020;
/// The revision is not spoken here (MCP 2026-07-28); `data.supported` says which are.
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;

/// An error as a message. Without an identifier it is `null`, as where a request could not be read.
pub fn error_message(id: Option<&Id>, code: i64, message: &str, data: &serde_json::Value) -> Vec<u8> {
    let id = id.map_or_else(|| "null".to_owned(), Id::to_string);
    let message = serde_json::Value::from(message);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message},"data":{data}}}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_message() {
        let data = serde_json::json!({"code": "x"});
        let message = error_message(Some(&Id::Text("a\"".into())), INVALID_PARAMS, "no \"such\" tool", &data);
        let read: serde_json::Value = serde_json::from_slice(&message).unwrap();
        assert_eq!((&read["id"], &read["error"]["data"]), (&"a\"".into(), &data));
    }
}
