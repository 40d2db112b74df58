//! What a provider's error means, whatever shape its server gives it.

use domain::{Fault, FaultClass};
use serde_json::Value;

use crate::dialect::Dialect;

/// The longest message kept of a provider's words, characters.
const MESSAGE_CHARS: usize = 500;

/// The longest wait a provider can ask for, milliseconds: a day. More is a quota, not a pause.
const RETRY_AFTER_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// What an error answer of a provider means. `headers` looks a header up by its lower-case name.
///
/// A `Retry-After` that is a date is not read: a pure function has no clock to measure it against.
pub fn upstream_fault(dialect: Dialect, status: u16, headers: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
    let mut said = Said::read(body);
    // AWS names the error in a header, with an address behind a colon.
    if let Some(kind) = headers("x-amzn-errortype") {
        said.words.push(' ');
        said.words.push_str(&kind.split(':').next().unwrap_or_default().to_ascii_lowercase());
    }
    let milliseconds = |name: &str, unit_ms: u64| headers(name).and_then(|text| scaled(text.trim(), unit_ms));
    let retry_after_ms =
        milliseconds("retry-after-ms", 1).or_else(|| milliseconds("retry-after", 1000)).or(said.retry_after_ms);
    let class = classify(status, &said, retry_after_ms.is_some());
    let message = match said.message.is_empty() {
        false => said.message,
        true => format!("the {dialect} provider answered HTTP {status} without saying why"),
    };
    Fault { class, status: Some(status), retry_after_ms, message }
}

/// What an error inside a stream or in a 200 means; `json` is the whole event or body. `None` when it is no error.
pub fn embedded_fault(dialect: Dialect, json: &[u8]) -> Option<Fault> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    // `response.failed` carries the whole answer, and that its error.
    let failed = dialect == Dialect::OpenAiResponses && value["type"] == "response.failed";
    if failed && value["response"].is_object() {
        value = value["response"].take();
    }
    let is_error = match dialect {
        Dialect::Anthropic => value["type"] == "error" || (value["error"].is_object() && value["type"].is_null()),
        Dialect::Gemini => value["error"].is_object() || value[0]["error"].is_object(),
        // Some servers send `"error": null` with every chunk; Responses have it in every answer.
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            failed
                || value["status"] == "failed"
                || value["error"].is_object()
                || value["error"].is_string()
                || value["object"] == "error"
                || value["type"] == "error"
        }
        Dialect::BedrockConverse => {
            value["output"].is_null() && (value["message"].is_string() || value["__type"].is_string())
        }
        Dialect::Cohere => return cohere_fault(&value),
    };
    is_error.then(|| fault_of(&value))
}

/// What an exception in one of Amazon's streams means.
pub(crate) fn exception_fault(kind: &str, payload: &[u8]) -> Fault {
    let mut said = Said::read(payload);
    said.words = kind.to_ascii_lowercase();
    let class = classify(said.status(), &said, false);
    let message = match said.message.is_empty() {
        false => said.message,
        true => "the provider sent an exception without saying why".to_owned(),
    };
    Fault { class, status: None, retry_after_ms: None, message }
}

/// Cohere says `{"message":"…"}` where an answer would be, and closes an answer that failed with the word `ERROR`.
fn cohere_fault(value: &Value) -> Option<Fault> {
    let failed = |word: &Value| matches!(word.as_str(), Some("ERROR" | "TIMEOUT"));
    let delta = &value["delta"];
    if value["message"].is_string() && value["type"].is_null() {
        return Some(fault_of(value));
    }
    if !(delta["error"].is_string() || failed(&delta["finish_reason"]) || failed(&value["finish_reason"])) {
        return None;
    }
    Some(fault_of(&serde_json::json!({ "message": delta["error"] })))
}

fn fault_of(value: &Value) -> Fault {
    let said = Said::of(value);
    let class = classify(said.status(), &said, said.retry_after_ms.is_some());
    let message = match said.message.is_empty() {
        false => said.message,
        true => "the provider sent an error without saying why".to_owned(),
    };
    Fault { class, status: None, retry_after_ms: said.retry_after_ms, message }
}

/// What an error body says, whichever keys it says it under.
#[derive(Default)]
struct Said {
    message: String,
    /// `type` and `code` in lower case, separated by a space.
    words: String,
    /// A `code` that is an HTTP status.
    code_status: Option<u16>,
    /// The wait in Google's `RetryInfo`, milliseconds.
    retry_after_ms: Option<u64>,
}

impl Said {
    fn read(body: &[u8]) -> Said {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Said::of(&value),
            Err(_) => {
                let text = String::from_utf8_lossy(&body[..body.len().min(8 * MESSAGE_CHARS)]);
                let is_page = text.trim_start().starts_with('<');
                Said { message: if is_page { String::new() } else { tidy(&text) }, ..Said::default() }
            }
        }
    }

    /// OpenAI, llama.cpp and Anthropic put an object under `error`; vLLM and Mistral put its fields at the top; Ollama and
    /// TGI put a string there; FastAPI servers say `detail`. Google wraps it in an array where a stream was asked for.
    fn of(value: &Value) -> Said {
        let value = value.get(0).unwrap_or(value);
        let inner = match &value["error"] {
            object @ Value::Object(_) => object,
            Value::String(message) => {
                return Said { message: tidy(message), words: words(value, value), ..Said::default() };
            }
            _ => value,
        };
        let message = [&inner["message"], &inner["detail"], &inner["msg"], &inner["metadata"]["raw"]]
            .into_iter()
            .find_map(text_of)
            .unwrap_or_default();
        let code_status = [&inner["code"], &inner["status"], &value["code"]]
            .into_iter()
            .find_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (400..600).contains(code));
        Said { message: tidy(&message), words: words(inner, value), code_status, retry_after_ms: retry_info(inner) }
    }

    /// The status this would have come with, had it come before the stream began.
    fn status(&self) -> u16 {
        if let Some(status) = self.code_status {
            return status;
        }
        let table = [
            ("invalid_request", 400),
            ("invalid_prompt", 400),
            ("invalid_image", 400),
            ("authentication", 401),
            ("billing", 402),
            ("permission", 403),
            ("not_found", 404),
            ("request_too_large", 413),
            ("rate_limit", 429),
            ("insufficient_quota", 429),
            ("overloaded", 529),
            ("timeout", 504),
            // Google's words (google.rpc, code.proto).
            ("invalid_argument", 400),
            ("failed_precondition", 400),
            ("unauthenticated", 401),
            ("resource_exhausted", 429),
            ("unavailable", 503),
            ("deadline_exceeded", 504),
            // Amazon's.
            ("throttling", 429),
            ("validationexception", 400),
            ("accessdenied", 403),
            ("modelnotready", 503),
        ];
        table.into_iter().find(|(word, _)| self.words.contains(word)).map_or(500, |(_, status)| status)
    }

    fn names(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.words.contains(word))
    }

    fn mentions(&self, phrases: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }
}

/// A string, or the first message in a list of them.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => list.first().and_then(|first| text_of(&first["msg"]).or_else(|| text_of(first))),
        Value::Object(map) => map.get("detail").or_else(|| map.get("message")).and_then(text_of),
        _ => None,
    }
}

/// The wait that Google's `details` ask for: `{"@type": "…/google.rpc.RetryInfo", "retryDelay": "37.5s"}`.
fn retry_info(error: &Value) -> Option<u64> {
    let details = error["details"].as_array()?;
    let info =
        details.iter().find(|detail| detail["@type"].as_str().is_some_and(|kind| kind.ends_with(".RetryInfo")))?;
    scaled(info["retryDelay"].as_str()?.strip_suffix('s')?, 1000)
}

fn words(inner: &Value, outer: &Value) -> String {
    let parts =
        [&inner["type"], &inner["code"], &inner["status"], &inner["param"], &outer["error_type"], &outer["__type"]];
    let parts: Vec<_> = parts.into_iter().filter_map(Value::as_str).collect();
    parts.join(" ").to_ascii_lowercase()
}

/// One line of a bounded length, fit for a log.
fn tidy(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS).collect();
    line
}

/// What context overflow is called: OpenAI, llama.cpp, Anthropic, vLLM, SGLang, Mistral, TGI and Groq in turn.
const TOO_LONG_WORDS: &[&str] =
    &["context_length_exceeded", "exceed_context_size", "request_too_large", "context_window_exceeded"];
const TOO_LONG_PHRASES: &[&str] = &[
    "maximum context length",
    "context length",
    "context size",
    "context window",
    "context limit",
    "prompt is too long",
    "prompt too long",
    "too many tokens",
    "too large for model",
    "maximum prompt length",
    "request too large",
    "longer than the model",
    "inputs tokens + ",
    "`inputs` tokens",
    "input is too long",
    "reduce the length of",
    // Google's words.
    "exceeds the maximum number of tokens",
];

const POLICY_WORDS: &[&str] =
    &["content_filter", "content_policy", "responsibleaipolicyviolation", "moderation", "safety_violation"];
const POLICY_PHRASES: &[&str] = &[
    "content management policy",
    "content policy",
    "usage policy",
    "usage policies",
    "was flagged",
    "content filter",
    "safety system",
];

const QUOTA_WORDS: &[&str] = &[
    "insufficient_quota",
    "billing",
    "insufficient_balance",
    "insufficient_credits",
    "credits_exhausted",
    "servicequotaexceeded",
];
const QUOTA_PHRASES: &[&str] = &[
    "credit balance",
    "insufficient balance",
    "insufficient credits",
    "check your plan and billing",
    "out of credits",
];

const MODEL_WORDS: &[&str] = &["model_not_found", "invalid_model", "unknown_model", "model_not_exist"];

fn classify(status: u16, said: &Said, told_to_wait: bool) -> FaultClass {
    let client_error = (400..500).contains(&status);
    if said.names(TOO_LONG_WORDS) || (matches!(status, 400 | 413 | 422) && said.mentions(TOO_LONG_PHRASES)) {
        return FaultClass::ContextTooLong;
    }
    if said.names(QUOTA_WORDS) || (client_error && !told_to_wait && said.mentions(QUOTA_PHRASES)) {
        return FaultClass::QuotaExhausted;
    }
    if said.names(MODEL_WORDS) || (status == 400 && unknown_model(said)) {
        return FaultClass::ModelMissing;
    }
    if client_error && status != 429 && (said.names(POLICY_WORDS) || said.mentions(POLICY_PHRASES)) {
        return FaultClass::ContentPolicy;
    }
    if said.names(&["overloaded", "modelnotready"]) {
        return FaultClass::Overloaded;
    }
    // Bedrock's words for a model that failed come with a status of the client's.
    if said.names(&["modelerror", "modelstreamerror"]) {
        return FaultClass::ServerError;
    }
    match status {
        400 if said.names(&["invalid_api_key", "api_key_invalid"]) || said.mentions(&["api key not valid"]) => {
            FaultClass::Credential
        }
        // Google's words where an account may not be used from where we are.
        400 if said.mentions(&["user location is not supported"]) => FaultClass::Credential,
        // Google's "the operation was cancelled", which was not our doing.
        499 => FaultClass::ServerError,
        401 | 403 | 407 => FaultClass::Credential,
        402 => FaultClass::QuotaExhausted,
        404 => FaultClass::ModelMissing,
        // A gateway in front of the model gave up waiting; 524 is Cloudflare's.
        408 | 504 | 524 => FaultClass::FirstTokenTimeout,
        413 => FaultClass::ContextTooLong,
        429 => FaultClass::RateLimited,
        // 498 is Groq's word for flex capacity that is taken, 529 Anthropic's for overload.
        498 | 503 | 529 => FaultClass::Overloaded,
        400..=499 => FaultClass::BadRequest,
        500..=599 => FaultClass::ServerError,
        _ => FaultClass::Malformed,
    }
}

/// "Model Not Exist" (DeepSeek), "Invalid model: x" (Mistral), "The model `x` does not exist" (vLLM).
fn unknown_model(said: &Said) -> bool {
    said.mentions(&["model not exist", "invalid model", "model not found", "unknown model"])
        || said.mentions(&["model identifier is invalid", "on-demand throughput isn"])
        || (said.mentions(&["model"]) && said.mentions(&["does not exist", "is not a valid model"]))
}

/// A decimal number of units in milliseconds, rounded up.
fn scaled(text: &str, unit_ms: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.get(..fraction.len().min(3))?;
    if whole.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let thousandths: u64 = format!("{digits:0<3}").parse().ok()?;
    let ms = whole.parse::<u64>().ok()?.checked_mul(unit_ms)?.checked_add((thousandths * unit_ms).div_ceil(1000))?;
    Some(ms.min(RETRY_AFTER_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use FaultClass::*;

    fn fault(status: u16, body: &str) -> Fault {
        upstream_fault(Dialect::OpenAiChat, status, &|_| None, body.as_bytes())
    }

    #[test]
    fn each_servers_error_is_understood() {
        // Shapes as the servers' documentation and sources give them; the wording is shortened.
        for (status, body, class) in [
            (
                401,
                r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error","code":"invalid_api_key"}}"#,
                Credential,
            ),
            (403, r#"{"type":"error","error":{"type":"permission_error","message":"no"}}"#, Credential),
            (404, r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#, ModelMissing),
            (
                404,
                r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
                ModelMissing,
            ),
            (400, r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error"}}"#, ModelMissing),
            (
                429,
                r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#,
                RateLimited,
            ),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota"}}"#,
                QuotaExhausted,
            ),
            (429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#, RateLimited),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
                QuotaExhausted,
            ),
            (402, r#"{"error":{"message":"Insufficient Balance"}}"#, QuotaExhausted),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens","code":"context_length_exceeded"}}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","code":400}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens"}}"#,
                ContextTooLong,
            ),
            (413, r#"{"type":"error","error":{"type":"request_too_large","message":"x"}}"#, ContextTooLong),
            (
                422,
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096","error_type":"validation"}"#,
                ContextTooLong,
            ),
            (400, r#"{"error":{"message":"x","code":"content_filter","type":null}}"#, ContentPolicy),
            (400, r#"{"error":{"message":"flagged","code":"content_policy_violation"}}"#, ContentPolicy),
            (422, r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, BadRequest),
            (400, r#"{"error":"bad"}"#, BadRequest),
            (500, r#"{"error":{"message":"x","type":"server_error"}}"#, ServerError),
            (502, "<html>Bad Gateway</html>", ServerError),
            (503, "no healthy upstream", Overloaded),
            (529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Overloaded),
            (504, "", FirstTokenTimeout),
            (302, "", Malformed),
        ] {
            assert_eq!(fault(status, body).class, class, "{status} {body}");
        }
    }

    #[test]
    fn the_message_is_one_bounded_line() {
        assert_eq!(fault(400, r#"{"detail":[{"msg":"field\nrequired"}]}"#).message, "field required");
        assert_eq!(fault(400, &"é".repeat(5000)).message.chars().count(), MESSAGE_CHARS);
        assert_eq!(fault(502, "<html>").message, "the openai-chat provider answered HTTP 502 without saying why");
    }

    #[test]
    fn the_wait_asked_for_is_read_in_either_unit() {
        let wait = |name: &'static str, value: &'static str| {
            let headers = move |asked: &str| (asked == name).then(|| value.to_owned());
            upstream_fault(Dialect::Anthropic, 429, &headers, b"").retry_after_ms
        };
        assert_eq!(wait("retry-after", "7"), Some(7000));
        assert_eq!(wait("retry-after", "0.25"), Some(250));
        assert_eq!(wait("retry-after-ms", "120.5"), Some(121));
        assert_eq!(wait("retry-after", "999999999"), Some(RETRY_AFTER_MAX_MS));
        assert_eq!(wait("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(wait("retry-after", "-1"), None);
    }

    #[test]
    fn an_error_inside_a_stream_means_what_it_would_have_meant_before() {
        let class = |dialect, json: &str| embedded_fault(dialect, json.as_bytes()).map(|fault| fault.class);
        let anthropic = |json| class(Dialect::Anthropic, json);
        let openai = |json| class(Dialect::OpenAiChat, json);
        assert_eq!(
            anthropic(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#),
            Some(Overloaded)
        );
        assert_eq!(anthropic(r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#), Some(ServerError));
        assert_eq!(anthropic(r#"{"type":"ping"}"#), None);
        assert_eq!(openai(r#"{"error":{"message":"x","code":429}}"#), Some(RateLimited));
        assert_eq!(openai(r#"{"error":{"message":"x","code":"server_error"},"choices":[{}]}"#), Some(ServerError));
        assert_eq!(openai(r#"{"object":"error","message":"bad","code":400}"#), Some(BadRequest));
        assert_eq!(openai(r#"{"error":null,"choices":[]}"#), None);
        let responses = |json| class(Dialect::OpenAiResponses, json);
        let failed = |error: &str| {
            let json = format!(r#"{{"type":"response.failed","response":{{"status":"failed","error":{error}}}}}"#);
            embedded_fault(Dialect::OpenAiResponses, json.as_bytes()).map(|fault| fault.class)
        };
        assert_eq!(failed(r#"{"code":"rate_limit_exceeded","message":"x"}"#), Some(RateLimited));
        assert_eq!(failed(r#"{"code":"server_error","message":"x"}"#), Some(ServerError));
        assert_eq!(failed(r#"{"code":"context_length_exceeded","message":"x"}"#), Some(ContextTooLong));
        assert_eq!(failed("null"), Some(ServerError));
        assert_eq!(
            responses(r#"{"type":"error","code":"server_error","message":"x","sequence_number":3}"#),
            Some(ServerError)
        );
        assert_eq!(responses(r#"{"object":"response","status":"completed","error":null}"#), None);
    }
}
