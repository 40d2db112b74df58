//! How providers say no: statuses, bodies and headers of each dialect, as their references and users' reports give them.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::bedrock;
use crate::scenario::{Dialect, Kind, Limits};

/// An answer that is an error.
#[derive(Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code` (OpenAI).
    pub code: Option<&'static str>,
    /// `error.param` (OpenAI).
    pub param: Option<&'static str>,
    /// `error.message`.
    pub message: String,
}

/// The refusal a fault makes; none where the fault is no refusal. `model` and `limits` are told in some messages.
pub fn refusal(dialect: Dialect, kind: Kind, model: &str) -> Option<Refusal> {
    if let Some(refusal) = google(dialect, kind) {
        return Some(refusal);
    }
    // status, OpenAI's type and code, Anthropic's type; and what a person reads.
    let (status, openai, code, anthropic, message) = match kind {
        Kind::RateLimited => {
            (429, "requests", Some("rate_limit_exceeded"), "rate_limit_error", "Rate limit reached, try again later.")
        }
        Kind::QuotaExhausted if dialect == Dialect::Anthropic => {
            // Seen with this status and type; the words are what clients tell it by.
            (400, "", None, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.")
        }
        Kind::QuotaExhausted => (
            429,
            "insufficient_quota",
            Some("insufficient_quota"),
            "",
            "You exceeded your current quota, check plan and billing.",
        ),
        Kind::PaymentRequired => {
            (402, "billing_error", Some("billing_not_active"), "billing_error", "The account is not active.")
        }
        Kind::Unauthorized => {
            (401, "invalid_request_error", Some("invalid_api_key"), "authentication_error", "The API key is not valid.")
        }
        Kind::Forbidden => {
            (403, "invalid_request_error", Some("forbidden"), "permission_error", "The API key may not use this.")
        }
        Kind::ModelMissing => {
            let message = match dialect {
                Dialect::OpenAiChat | Dialect::OpenAiResponses => {
                    format!("The model `{model}` does not exist or you do not have access to it.")
                }
                Dialect::Anthropic => format!("model: {model}"),
                Dialect::Gemini => format!(
                    "models/{model} is not found for API version v1beta, or is not supported for generateContent."
                ),
                Dialect::BedrockConverse => "The provided model identifier is invalid.".to_owned(),
                Dialect::Cohere => format!("model '{model}' not found, make sure the correct model ID was used"),
            };
            return Some(Refusal::new(
                dialect,
                404,
                ("invalid_request_error", Some("model_not_found")),
                "not_found_error",
                message,
            ));
        }
        Kind::ContextTooLong => return Some(too_long(dialect, 0, 0)),
        Kind::ContentPolicy => (
            400,
            "invalid_request_error",
            Some("content_policy_violation"),
            "invalid_request_error",
            "Output blocked by content filtering policy",
        ),
        Kind::BadRequest => (400, "invalid_request_error", None, "invalid_request_error", "The request is not valid."),
        Kind::ServerError => (500, "server_error", None, "api_error", "The server had an error."),
        Kind::Unavailable => {
            (503, "server_error", Some("service_unavailable"), "api_error", "The service is not available.")
        }
        Kind::Overloaded if dialect != Dialect::Anthropic => {
            (503, "server_error", Some("server_is_overloaded"), "", "The engine is overloaded, try again later.")
        }
        Kind::Overloaded => (529, "", None, "overloaded_error", "Overloaded"),
        _ => return None,
    };
    Some(Refusal::new(dialect, status, (openai, code), anthropic, message.to_owned()))
}

/// The refusal of a prompt of so many tokens where so many are allowed.
pub fn too_long(dialect: Dialect, tokens: u64, allowed: u64) -> Refusal {
    let message = match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            format!("This model's maximum context length is {allowed} tokens, the messages have {tokens}.")
        }
        Dialect::Anthropic => format!("prompt is too long: {tokens} tokens > {allowed} maximum"),
        Dialect::Gemini => {
            format!("The input token count ({tokens}) exceeds the maximum number of tokens allowed ({allowed}).")
        }
        Dialect::BedrockConverse => "Input is too long for requested model.".to_owned(),
        Dialect::Cohere => format!(
            "too many tokens: total number of tokens in the prompt cannot exceed {allowed} - received {tokens}."
        ),
    };
    let openai = ("invalid_request_error", Some("context_length_exceeded"));
    Refusal { param: Some("messages"), ..Refusal::new(dialect, 400, openai, "invalid_request_error", message) }
}

/// The refusal of a request that is not what the API takes.
pub fn wrong(dialect: Dialect, (param, message): (&'static str, String)) -> Refusal {
    Refusal {
        param: Some(param),
        ..Refusal::new(dialect, 400, ("invalid_request_error", None), "invalid_request_error", message)
    }
}

impl Refusal {
    fn new(
        dialect: Dialect,
        status: u16,
        openai: (&'static str, Option<&'static str>),
        anthropic: &'static str,
        message: String,
    ) -> Refusal {
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiResponses => {
                Refusal { status, kind: openai.0, code: openai.1, param: None, message }
            }
            Dialect::Anthropic => Refusal { status, kind: anthropic, code: None, param: None, message },
            Dialect::Gemini => Refusal { status, kind: google_word(status), code: None, param: None, message },
            Dialect::BedrockConverse => {
                Refusal { status, kind: bedrock::error_type(status), code: None, param: None, message }
            }
            Dialect::Cohere => Refusal { status, kind: "", code: None, param: None, message },
        }
    }

    /// What Anthropic would have refused, as Bedrock refuses it.
    pub fn in_words_of_amazon(self) -> Refusal {
        Refusal { kind: bedrock::error_type(self.status), code: None, ..self }
    }

    /// A route or method that does not exist.
    pub fn no_route(dialect: Dialect, method: &str, path: &str) -> Refusal {
        let message = format!("Unknown request URL: {method} {path}");
        Refusal::new(dialect, 404, ("invalid_request_error", Some("unknown_url")), "not_found_error", message)
    }

    /// The body in a dialect.
    pub fn body(&self, dialect: Dialect, request_id: &str) -> Vec<u8> {
        self.json(dialect, request_id).to_string().into_bytes()
    }

    /// The same, with how long to wait where the dialect says that in the body.
    pub fn body_with_wait(&self, dialect: Dialect, request_id: &str, retry_after_ms: Option<u64>) -> Vec<u8> {
        let mut json = self.json(dialect, request_id);
        if let (Dialect::Gemini, Some(ms)) = (dialect, retry_after_ms) {
            let delay = format!("{}s", ms.div_ceil(1000));
            json["error"]["details"] =
                json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]);
        }
        json.to_string().into_bytes()
    }

    /// The same as an event of a stream.
    pub fn event(&self, dialect: Dialect, request_id: &str) -> Vec<u8> {
        let json = self.json(dialect, request_id);
        match dialect {
            Dialect::BedrockConverse => return bedrock::exception(self.status, &json),
            Dialect::OpenAiChat | Dialect::Gemini => format!("data: {json}\n\n"),
            Dialect::OpenAiResponses => {
                let event = json!({"type": "error", "sequence_number": 9, "error": json["error"]});
                format!("event: error\ndata: {event}\n\n")
            }
            Dialect::Anthropic => format!("event: error\ndata: {json}\n\n"),
            Dialect::Cohere => {
                let delta = json!({"finish_reason": "ERROR", "error": self.message});
                format!("event: message-end\ndata: {}\n\n", json!({"type": "message-end", "delta": delta}))
            }
        }
        .into_bytes()
    }

    fn json(&self, dialect: Dialect, request_id: &str) -> Value {
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiResponses => {
                json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
            }
            Dialect::Anthropic => {
                json!({"type": "error", "error": {"type": self.kind, "message": self.message}, "request_id": request_id})
            }
            Dialect::Gemini => {
                json!({"error": {"code": self.status, "message": self.message, "status": self.kind}})
            }
            Dialect::BedrockConverse => json!({"message": self.message}),
            Dialect::Cohere => json!({"id": request_id, "message": self.message}),
        }
    }
}

/// What Google says otherwise than the status alone would have it.
fn google(dialect: Dialect, kind: Kind) -> Option<Refusal> {
    let (status, message) = match kind {
        _ if dialect != Dialect::Gemini => return None,
        Kind::RateLimited => (429, "Resource has been exhausted (e.g. check quota)."),
        Kind::QuotaExhausted => (429, "You exceeded your current quota, please check your plan and billing details."),
        Kind::Unauthorized => (400, "API key not valid. Please pass a valid API key."),
        Kind::Overloaded => (503, "The model is overloaded. Please try again later."),
        _ => return None,
    };
    Some(Refusal::new(dialect, status, ("", None), "", message.to_owned()))
}

/// Google's word for a status.
fn google_word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

/// How much of the minute's limits is left.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Requests.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
    /// Until the minute is over, milliseconds.
    pub reset_ms: u64,
    /// When that is, RFC 3339.
    pub reset_at: domain::UnixMs,
}

/// The headers that tell of rate limits.
pub fn limit_headers(headers: &mut HeaderMap, dialect: Dialect, limits: Limits, left: &Left) {
    let reset = match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::BedrockConverse | Dialect::Cohere => {
            duration(left.reset_ms)
        }
        Dialect::Anthropic => left.reset_at.to_string(),
        // Google tells of its limits only when they are reached.
        Dialect::Gemini => return,
    };
    let rows = [("requests", limits.requests, left.requests), ("tokens", limits.tokens, left.tokens)];
    for (what, limit, remaining) in rows {
        for (part, value) in
            [("limit", limit.to_string()), ("remaining", remaining.to_string()), ("reset", reset.clone())]
        {
            let name = match dialect {
                Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::BedrockConverse | Dialect::Cohere => {
                    format!("x-ratelimit-{part}-{what}")
                }
                Dialect::Anthropic => format!("anthropic-ratelimit-{what}-{part}"),
                Dialect::Gemini => continue,
            };
            put(headers, &name, &value);
        }
    }
}

/// Retry-After, in whole seconds rounded up; OpenAI adds the milliseconds, and Google says it in the body.
pub fn retry_after(headers: &mut HeaderMap, dialect: Dialect, retry_after_ms: u64) {
    if dialect == Dialect::Gemini {
        return;
    }
    put(headers, "retry-after", &retry_after_ms.div_ceil(1000).to_string());
    if dialect != Dialect::Anthropic {
        put(headers, "retry-after-ms", &retry_after_ms.to_string());
    }
}

/// A duration as OpenAI writes it: `250ms`, `1s`, `6m0s`.
fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}s", ms.div_ceil(1_000)),
        _ => format!("{}m{}s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// Sets a header whose name and value are ours.
pub fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(dialect: Dialect, kind: Kind) -> (u16, String) {
        let refusal = refusal(dialect, kind, "m").unwrap();
        (refusal.status, String::from_utf8(refusal.body(dialect, "req_1")).unwrap())
    }

    #[test]
    fn each_dialect_says_no_in_its_own_way() {
        let (status, body) = told(Dialect::OpenAiChat, Kind::QuotaExhausted);
        assert!(status == 429 && body.contains(r#""code":"insufficient_quota""#), "{body}");
        let (status, body) = told(Dialect::Anthropic, Kind::QuotaExhausted);
        assert!(status == 400 && body.contains("credit balance is too low"), "{body}");
        let (status, body) = told(Dialect::Anthropic, Kind::Overloaded);
        assert_eq!(status, 529);
        assert_eq!(
            body,
            r#"{"error":{"message":"Overloaded","type":"overloaded_error"},"request_id":"req_1","type":"error"}"#
        );
        assert_eq!(told(Dialect::OpenAiChat, Kind::Overloaded).0, 503);
        let (status, body) = told(Dialect::Gemini, Kind::Unauthorized);
        assert!(status == 400 && body.contains("API key not valid") && body.contains("INVALID_ARGUMENT"), "{body}");
        let limited = refusal(Dialect::Gemini, Kind::RateLimited, "m").unwrap();
        let body = String::from_utf8(limited.body_with_wait(Dialect::Gemini, "", Some(1_500))).unwrap();
        assert!(body.contains("RESOURCE_EXHAUSTED") && body.contains(r#""retryDelay":"2s""#), "{body}");
    }

    #[test]
    fn durations_read_as_openai_writes_them() {
        assert_eq!([duration(250), duration(1_000), duration(360_000)], ["250ms", "1s", "6m0s"]);
    }

    #[test]
    fn limits_are_told_in_each_dialects_headers() {
        let left = Left { requests: 4, tokens: 90, reset_ms: 1_500, reset_at: domain::UnixMs(0) };
        let mut headers = HeaderMap::new();
        let limits = Limits { requests: 5, tokens: 100 };
        limit_headers(&mut headers, Dialect::OpenAiChat, limits, &left);
        limit_headers(&mut headers, Dialect::Anthropic, limits, &left);
        assert_eq!(headers["x-ratelimit-remaining-requests"], "4");
        assert_eq!(headers["x-ratelimit-reset-tokens"], "2s");
        assert_eq!(headers["anthropic-ratelimit-tokens-limit"], "100");
        assert_eq!(headers["anthropic-ratelimit-requests-reset"], "1970-01-01T00:00:00.000Z");
    }
}
