//! Our errors in the client's dialect: status, type, and what Freehold adds to them.

use domain::{Blame, Fault, FaultClass, Loss};
use serde::Serialize;

use super::{ClientError, Retry};
use crate::dialect::{Dialect, Framing};
use crate::eventstream::Message;

/// The longest `freehold-loss` header, bytes: proxies commonly take 8 KiB for all headers together.
const LOSS_HEADER_BYTES: usize = 4096;

/// How a fault is told to a client of `client`.
///
/// The provider's own words reach the client only for its own faults: what a provider says of our credential, our quota or
/// itself is for our log.
pub fn client_error(client: Dialect, fault: &Fault, call: &str, billed: bool) -> ClientError {
    let class = fault.class;
    let message = match class {
        class if class.blame() == Blame::Client => fault.message.clone(),
        FaultClass::Credential => "the provider refused Freehold's credential; ask whoever runs it".into(),
        FaultClass::ModelMissing => {
            "the provider does not know the configured model, or has no such route; ask whoever runs Freehold".into()
        }
        FaultClass::QuotaExhausted => {
            "the provider account behind Freehold is out of quota; ask whoever runs it".into()
        }
        FaultClass::RateLimited => "the provider is limiting the rate; try again after the time named".into(),
        FaultClass::Overloaded => "the provider is overloaded; try again shortly".into(),
        FaultClass::TotalTimeout => {
            "the call took longer than its workflow allows; ask for less output or raise the deadline".into()
        }
        FaultClass::Internal => format!("Freehold failed; report call {call} to whoever runs it"),
        class => format!("no provider could answer ({}); try again", class.as_str()),
    };
    let retry = match (fault.retry_after_ms, class) {
        (Some(ms), class) if class.retry_same() => Retry::After(ms),
        (None, FaultClass::RateLimited | FaultClass::Overloaded) => Retry::After(1000),
        (_, class) if class.blame() == Blame::Provider => Retry::Now,
        _ => Retry::No,
    };
    ClientError {
        status: status_of(client, fault),
        code: class.as_str().to_owned(),
        message,
        blame: class.blame(),
        retry,
        billed,
        call: call.to_owned(),
        param: None,
    }
}

/// The status that makes the client's SDK raise the exception whose advice is right: 4xx where the caller has to change
/// something, 429 and 5xx (which SDKs retry by themselves) where it has not.
fn status_of(client: Dialect, fault: &Fault) -> u16 {
    match fault.class {
        FaultClass::ContextTooLong | FaultClass::ContentPolicy | FaultClass::Untranslatable => 400,
        FaultClass::BadRequest => fault.status.filter(|status| matches!(status, 409 | 422)).unwrap_or(400),
        FaultClass::RateLimited => 429,
        FaultClass::Overloaded => match client {
            Dialect::Anthropic => 529,
            Dialect::OpenAiChat
            | Dialect::OpenAiResponses
            | Dialect::Gemini
            | Dialect::BedrockConverse
            | Dialect::Cohere => 503,
        },
        FaultClass::QuotaExhausted => 503,
        FaultClass::ConnectTimeout
        | FaultClass::FirstTokenTimeout
        | FaultClass::FrameTimeout
        | FaultClass::TotalTimeout => 504,
        // nginx's number for a client that closed the connection; nobody is left to read it.
        FaultClass::ClientGone => 499,
        FaultClass::Internal => 500,
        FaultClass::Connect
        | FaultClass::Reset
        | FaultClass::Cut
        | FaultClass::Malformed
        | FaultClass::ServerError
        | FaultClass::Credential
        | FaultClass::TokenUnavailable
        | FaultClass::ModelMissing => 502,
    }
}

/// The body of an error answer.
pub fn error_body(client: Dialect, error: &ClientError) -> Vec<u8> {
    let freehold = Freehold::of(error);
    let (message, param) = (&*error.message, error.param.as_deref());
    let body = match client {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => serde_json::to_vec(&OpenAiBody {
            error: OpenAiError { message, kind: openai_type(error.status), param, code: &error.code, freehold },
        }),
        Dialect::Anthropic => serde_json::to_vec(&AnthropicBody {
            kind: "error",
            error: AnthropicError { kind: anthropic_type(error.status), message, param, freehold },
            request_id: &error.call,
        }),
        Dialect::Gemini => serde_json::to_vec(&GeminiBody { error: gemini_error(error, freehold) }),
        Dialect::BedrockConverse => {
            serde_json::to_vec(&BedrockBody { message, kind: bedrock_type(error), param, freehold })
        }
        Dialect::Cohere => serde_json::to_vec(&CohereBody { id: &error.call, message, param, freehold }),
    };
    body.expect("strings and numbers have a JSON form")
}

/// The same inside a stream that has begun.
pub fn error_frame(client: Dialect, framing: Framing, error: &ClientError) -> Vec<u8> {
    error_frame_after(client, framing, error, 0)
}

/// The same behind this many events of a stream whose dialect numbers them.
pub fn error_frame_after(client: Dialect, framing: Framing, error: &ClientError, events: u64) -> Vec<u8> {
    let body = || error_body(client, error);
    let (start, body, end): (&[u8], _, &[u8]) = match (framing, client) {
        (Framing::Messages | Framing::Chunks, _) => return bedrock_exception(error),
        (Framing::JsonArray, _) => (b",\n", body(), b"\n]"),
        (Framing::ServerSentEvents, Dialect::OpenAiResponses) => return failed_response(error, events),
        (Framing::ServerSentEvents, Dialect::Anthropic) => (b"event: error\ndata: ", body(), b"\n\n"),
        // The dialect has no event for errors: the closing one says it.
        (Framing::ServerSentEvents, Dialect::Cohere) => (b"event: message-end\ndata: ", cohere_end(error), b"\n\n"),
        (Framing::ServerSentEvents, _) => (b"data: ", body(), b"\n\n"),
    };
    [start, &body, end].concat()
}

/// The name of the error in a header of its own, for dialects whose SDKs look there: `x-amzn-errortype`.
pub fn error_type(client: Dialect, error: &ClientError) -> Option<(&'static str, &'static str)> {
    (client == Dialect::BedrockConverse).then(|| ("x-amzn-errortype", bedrock_type(error)))
}

/// The exceptions a Converse stream may carry are fewer than the errors before one.
fn bedrock_exception(error: &ClientError) -> Vec<u8> {
    let kind = match error.status {
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        400..=499 => "validationException",
        _ => "modelStreamErrorException",
    };
    let mut frame = Vec::new();
    Message { is_exception: true, kind, payload: &error_body(Dialect::BedrockConverse, error) }.write(&mut frame);
    frame
}

fn bedrock_type(error: &ClientError) -> &'static str {
    match error.status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        // SDKs retry throttling by themselves; what will not pass by waiting has another name.
        429 if error.retry == Retry::No => "ServiceQuotaExceededException",
        429 => "ThrottlingException",
        400..=499 => "ValidationException",
        502 => "ModelErrorException",
        503 => "ServiceUnavailableException",
        _ => "InternalServerException",
    }
}

fn cohere_end(error: &ClientError) -> Vec<u8> {
    let delta = CohereDelta { finish_reason: "ERROR", error: &error.message };
    let event = CohereEnd { kind: "message-end", id: &error.call, delta, freehold: Freehold::of(error) };
    serde_json::to_vec(&event).expect("strings and numbers have a JSON form")
}

/// Two events: `error`, on which OpenAI's SDKs raise, and `response.failed`, which closes the stream for those that wait
/// for a closing event, as Codex does.
fn failed_response(error: &ClientError, events: u64) -> Vec<u8> {
    let body = error_body(Dialect::OpenAiResponses, error);
    let told: serde_json::Value = serde_json::from_slice(&body).expect("it was just written");
    let event = serde_json::json!({
        "type": "error",
        "sequence_number": events,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "error": told["error"],
    });
    // The codes an answer may fail with are a closed list in OpenAI's reference.
    let code = if error.status == 429 { "rate_limit_exceeded" } else { "server_error" };
    let failed = serde_json::json!({
        "type": "response.failed",
        "sequence_number": events.saturating_add(1),
        "response": {
            "id": format!("resp_{}", error.call),
            "object": "response",
            "created_at": 0,
            "status": "failed",
            "error": { "code": code, "message": error.message },
            "incomplete_details": null,
            "output": [],
            "usage": null,
        },
    });
    format!("event: error\ndata: {event}\n\nevent: response.failed\ndata: {failed}\n\n").into_bytes()
}

/// The `freehold-loss` header: compact JSON, ASCII, at most 4 KiB, ending in `{"more":N}` when cut. `None` without losses.
pub fn loss_header(losses: &[Loss]) -> Option<String> {
    if losses.is_empty() {
        return None;
    }
    let mut header = String::from("[");
    for (index, loss) in losses.iter().enumerate() {
        let entry = ascii_json(loss);
        let comma = usize::from(index > 0);
        // Room is kept for the words that say how many were left out.
        if header.len() + comma + entry.len() + "{\"more\":18446744073709551615},]".len() > LOSS_HEADER_BYTES {
            header.push_str(&format!("{}{{\"more\":{}}}", ",".repeat(comma), losses.len() - index));
            break;
        }
        header.push_str(&",".repeat(comma));
        header.push_str(&entry);
    }
    header.push(']');
    Some(header)
}

/// JSON in which every character a header may not carry is escaped.
fn ascii_json(loss: &Loss) -> String {
    let json = serde_json::to_string(loss).expect("strings have a JSON form");
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: &'a str,
    freehold: Freehold<'a>,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    freehold: Freehold<'a>,
}

#[derive(Serialize)]
struct GeminiBody<'a> {
    error: GeminiError<'a>,
}

#[derive(Serialize)]
struct GeminiError<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    details: Vec<GeminiDetail<'a>>,
    freehold: Freehold<'a>,
}

/// What Google's clients look for in `details` (google.rpc, error_details.proto).
#[derive(Serialize)]
#[serde(tag = "@type")]
enum GeminiDetail<'a> {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo { reason: &'a str, domain: &'static str },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo")]
    RetryInfo {
        #[serde(rename = "retryDelay")]
        retry_delay: String,
    },
}

fn gemini_error<'a>(error: &'a ClientError, freehold: Freehold<'a>) -> GeminiError<'a> {
    let mut details = vec![GeminiDetail::ErrorInfo { reason: &error.code, domain: "freehold" }];
    if let Retry::After(ms) = error.retry {
        let retry_delay = match ms % 1000 {
            0 => format!("{}s", ms / 1000),
            rest => format!("{}.{rest:03}s", ms / 1000),
        };
        details.push(GeminiDetail::RetryInfo { retry_delay });
    }
    GeminiError { code: error.status, message: &error.message, status: gemini_status(error.status), details, freehold }
}

#[derive(Serialize)]
struct BedrockBody<'a> {
    message: &'a str,
    #[serde(rename = "__type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    freehold: Freehold<'a>,
}

#[derive(Serialize)]
struct CohereBody<'a> {
    id: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    freehold: Freehold<'a>,
}

#[derive(Serialize)]
struct CohereEnd<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    delta: CohereDelta<'a>,
    freehold: Freehold<'a>,
}

#[derive(Serialize)]
struct CohereDelta<'a> {
    finish_reason: &'static str,
    error: &'a str,
}

/// What no dialect has a place for.
#[derive(Serialize)]
struct Freehold<'a> {
    code: &'a str,
    blame: Blame,
    retry: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    billed: bool,
    call_id: &'a str,
}

impl<'a> Freehold<'a> {
    fn of(error: &'a ClientError) -> Freehold<'a> {
        Freehold {
            code: &error.code,
            blame: error.blame,
            retry: match error.retry {
                Retry::No => "no",
                Retry::After(_) => "after",
                Retry::Now => "now",
            },
            retry_after_ms: match error.retry {
                Retry::After(ms) => Some(ms),
                Retry::No | Retry::Now => None,
            },
            billed: error.billed,
            call_id: &error.call,
        }
    }
}

fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// Google's word for a status (google.rpc, code.proto).
fn gemini_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        400..=499 => "INVALID_ARGUMENT",
        502 | 503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::LossKind;
    use serde_json::Value;

    fn error() -> ClientError {
        ClientError {
            status: 429,
            code: "budget_spent".into(),
            message: "budget \"x\" is spent".into(),
            blame: Blame::Client,
            retry: Retry::After(1500),
            billed: false,
            call: "call_1".into(),
            param: None,
        }
    }

    #[test]
    fn an_error_reads_the_same_in_every_dialect() {
        let openai = String::from_utf8(error_body(Dialect::OpenAiChat, &error())).unwrap();
        assert_eq!(
            openai,
            r#"{"error":{"message":"budget \"x\" is spent","type":"rate_limit_error","param":null,"code":"budget_spent","freehold":{"code":"budget_spent","blame":"client","retry":"after","retry_after_ms":1500,"billed":false,"call_id":"call_1"}}}"#
        );
        let anthropic: Value = serde_json::from_slice(&error_body(Dialect::Anthropic, &error())).unwrap();
        assert_eq!((&anthropic["type"], &anthropic["error"]["type"]), (&"error".into(), &"rate_limit_error".into()));
        assert_eq!(anthropic["request_id"], "call_1");
        let gemini: Value = serde_json::from_slice(&error_body(Dialect::Gemini, &error())).unwrap();
        assert_eq!((&gemini["error"]["code"], &gemini["error"]["status"]), (&429.into(), &"RESOURCE_EXHAUSTED".into()));
        assert_eq!(gemini["error"]["details"][0]["reason"], "budget_spent");
        assert_eq!(gemini["error"]["details"][1]["retryDelay"], "1.500s");
        assert_eq!(gemini["error"]["freehold"]["call_id"], "call_1");
    }

    #[test]
    fn an_error_in_a_stream_is_told_in_whole_frames() {
        let frame = String::from_utf8(error_frame(Dialect::Anthropic, Framing::ServerSentEvents, &error())).unwrap();
        assert!(frame.starts_with("event: error\ndata: {") && frame.ends_with("}\n\n"));
        assert_eq!(frame.matches('\n').count(), 3);
        let element = String::from_utf8(error_frame(Dialect::Gemini, Framing::JsonArray, &error())).unwrap();
        assert!(serde_json::from_str::<Vec<Value>>(&format!("[{{}}{element}")).unwrap()[1]["error"].is_object());
        let frames = error_frame(Dialect::OpenAiResponses, Framing::ServerSentEvents, &error());
        let frames = String::from_utf8(frames).unwrap();
        assert!(frames.starts_with("event: error\ndata: {") && frames.contains("\n\nevent: response.failed\ndata: {"));
        assert_eq!(frames.matches('\n').count(), 6);
    }

    #[test]
    fn every_fault_has_a_status_its_blame_agrees_with() {
        for class in FaultClass::ALL {
            for client in Dialect::ALL {
                let error = client_error(*client, &Fault::new(*class, "secret words"), "call_1", false);
                assert_eq!(error.status < 500, class.blame() == Blame::Client || error.status == 429, "{class}");
                assert_eq!(error.message.contains("secret"), class.blame() == Blame::Client, "{class}");
                assert!(error.blame != Blame::Client || error.retry == Retry::No, "{class}");
            }
        }
    }

    #[test]
    fn the_wait_a_provider_asked_for_is_passed_on() {
        let fault = Fault { retry_after_ms: Some(7000), ..Fault::new(FaultClass::RateLimited, "") };
        assert_eq!(client_error(Dialect::OpenAiChat, &fault, "c", false).retry, Retry::After(7000));
    }

    #[test]
    fn the_loss_header_is_ascii_and_bounded() {
        let loss =
            Loss { pointer: "/messages/0/näme".into(), kind: LossKind::Dropped, reason: "😀 no place\u{7f}".into() };
        let one = loss_header(std::slice::from_ref(&loss)).unwrap();
        assert_eq!(
            one,
            r#"[{"pointer":"/messages/0/n\u00e4me","kind":"dropped","reason":"\ud83d\ude00 no place\u007f"}]"#
        );
        let many = loss_header(&vec![loss; 500]).unwrap();
        assert!(many.len() <= 4096 && many.is_ascii());
        let read: Vec<Value> = serde_json::from_str(&many).unwrap();
        assert_eq!(read.last().unwrap()["more"].as_u64().unwrap() as usize + read.len() - 1, 500);
        assert_eq!(loss_header(&[]), None);
    }

    #[test]
    fn one_loss_too_long_for_a_header_is_counted() {
        let loss = Loss { pointer: "/a".into(), kind: LossKind::Dropped, reason: "x".repeat(5000) };
        assert_eq!(loss_header(&[loss]).unwrap(), r#"[{"more":1}]"#);
    }
}
