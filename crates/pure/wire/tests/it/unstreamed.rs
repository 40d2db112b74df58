//! A body in one piece where a stream was asked for: an error under 200, or a whole answer.

use domain::FaultClass;
use wire::Dialect;

use crate::support::{plan, relay};

const OVERLOADED: &[(Dialect, &str)] = &[
    (Dialect::OpenAiChat, r#"{"error":{"message":"busy","type":"server_error","code":"overloaded"}}"#),
    (Dialect::OpenAiResponses, r#"{"error":{"message":"busy","type":"server_error","code":"overloaded"}}"#),
    (Dialect::Anthropic, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
    (
        Dialect::Gemini,
        "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n",
    ),
];

#[test]
fn an_error_in_the_place_of_a_stream_is_the_error_it_would_be_in_the_place_of_an_answer() {
    for (dialect, body) in OVERLOADED {
        let whole = wire::reply_body(&plan(*dialect), body.as_bytes()).unwrap_err();
        let streamed = relay(&plan(*dialect), body.as_bytes().chunks(7));
        assert_eq!(streamed.end.unwrap_err(), whole, "{dialect}");
        assert!(whole.class == FaultClass::Overloaded || *dialect == Dialect::Gemini, "{whole:?}");
        assert!(streamed.out.is_empty(), "{dialect}: nothing of it is an event");
    }
}

#[test]
fn a_whole_answer_in_the_place_of_a_stream_is_no_stream_and_is_billed_as_it_says() {
    let body = r#"{"id":"c","object":"chat.completion","model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let streamed = relay(&plan(Dialect::OpenAiChat), body.as_bytes().chunks(50));
    assert_eq!(streamed.end.unwrap_err().class, FaultClass::Malformed);
    let usage = streamed.seen.usage.unwrap();
    assert_eq!((usage.input_tokens(), usage.output_tokens()), (3, 2));
}

#[test]
fn an_error_in_the_place_of_amazons_messages_is_the_error_it_says() {
    let throttled = r#"{"__type":"ThrottlingException","message":"Too many requests, please wait"}"#;
    let hosted = wire::ReplyPlan { quirks: wire::Quirks::named("bedrock-invoke").unwrap(), ..plan(Dialect::Anthropic) };
    for plan in [plan(Dialect::BedrockConverse), hosted] {
        let streamed = relay(&plan, throttled.as_bytes().chunks(7));
        let fault = streamed.end.unwrap_err();
        assert_eq!((fault.class, &*fault.message), (FaultClass::RateLimited, "Too many requests, please wait"));
        assert!(streamed.out.is_empty() && streamed.seen.usage.is_none());
    }
    let whole = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#;
    let streamed = relay(&plan(Dialect::BedrockConverse), whole.as_bytes().chunks(50));
    assert_eq!(streamed.end.unwrap_err().class, FaultClass::Malformed);
    assert_eq!(streamed.seen.usage.unwrap().output_tokens(), 2, "it is billed as it says");
    // A body without end is not kept without end.
    let endless = std::iter::once(&b"{\"a\":\""[..]).chain(std::iter::repeat_n(&[b'a'; 1 << 20][..], 64));
    assert_eq!(relay(&plan(Dialect::BedrockConverse), endless).end.unwrap_err().class, FaultClass::Malformed);
}
