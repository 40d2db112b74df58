//! What is read from a head, and what is refused.

use super::*;

fn chat(body: &str) -> Result<Head, BadBody> {
    scan(Dialect::OpenAiChat, Operation::Chat, None, body.as_bytes())
}

fn message(body: &str) -> Result<Head, BadBody> {
    scan(Dialect::Anthropic, Operation::Chat, None, body.as_bytes())
}

#[test]
fn a_plain_request_shows_its_head() {
    let head =
        chat(r#"{"model":"claims-triage","messages":[{"role":"user","content":"Hi"}],"max_tokens":7,"n":2}"#).unwrap();
    assert_eq!(head.model.as_deref(), Some("claims-triage"));
    assert_eq!((head.stream, head.max_output, head.n), (false, Some(7), 2));
    // role, user, content, Hi
    assert_eq!(head.prompt_bytes, 17);
    assert_eq!(head.features, Features::default());
}

#[test]
fn streams_say_whether_usage_is_wanted() {
    let head = chat(r#"{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#).unwrap();
    assert!(head.stream && head.include_usage && !head.continuous_usage);
    let head = chat(r#"{"model":"a","messages":[],"stream":true,"stream_options":null}"#).unwrap();
    assert!(head.stream && !head.include_usage);
    assert!(message(r#"{"model":"a","messages":[],"stream":true}"#).unwrap().include_usage);
}

#[test]
fn a_field_that_stands_twice_is_refused_even_when_escaped() {
    let bad = chat(r#"{"model":"cheap","messages":[],"mod\u0065l":"dear"}"#).unwrap_err();
    assert_eq!((bad.param, bad.offset), (Some("model"), 32));
    assert_eq!(bad.message, "`model`: the field stands twice; write it once");
    assert!(chat(r#"{"model":"a","max_tokens":1,"messages":[],"max_tokens":9000}"#).is_err());
}

#[test]
fn what_is_missing_or_of_the_wrong_kind_is_named() {
    for (body, param) in [
        (r#"{"messages":[]}"#, Some("model")),
        (r#"{"model":7,"messages":[]}"#, Some("model")),
        (r#"{"model":"","messages":[]}"#, Some("model")),
        (r#"{"model":"a"}"#, Some("messages")),
        (r#"{"model":"a","messages":{}}"#, Some("messages")),
        (r#"{"model":"a","messages":[],"max_tokens":-1}"#, Some("max_tokens")),
        (r#"{"model":"a","messages":[],"max_tokens":"9"}"#, Some("max_tokens")),
        (r#"{"model":"a","messages":[],"stream":1}"#, Some("stream")),
        (r#"{"model":"a","messages":[]} x"#, None),
        ("[]", None),
        ("", None),
    ] {
        let bad = chat(body).unwrap_err();
        if param.is_some() {
            assert_eq!(bad.param, param, "{body}: {bad}");
        }
    }
    let bad = chat(r#"{"model":"a","messages":[]} x"#).unwrap_err();
    assert_eq!((bad.param, bad.message.as_str()), (None, "more follows after the JSON value"));
    let bad = scan(Dialect::OpenAiChat, Operation::Chat, None, b"{\"model\":\"\xff\"}").unwrap_err();
    assert_eq!(bad.to_string(), "the body is not UTF-8 (at byte 10 of the body)");
    assert_eq!(
        scan(Dialect::OpenAiChat, Operation::Embeddings, None, br#"{"model":"a"}"#).unwrap_err().param,
        Some("input")
    );
}

#[test]
fn an_image_counts_by_its_allowance_not_by_its_bytes() {
    let body = |data: &str| {
        format!(
            r#"{{"model":"a","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{data}"}}}}]}}]}}"#
        )
    };
    let small = chat(&body("data:image/png;base64,AAAA")).unwrap();
    let large = chat(&body(&format!("data:image/png;base64,{}", "A".repeat(100_000)))).unwrap();
    assert!(small.features.images);
    assert_eq!((small.prompt_bytes, small.input_upper_tokens), (large.prompt_bytes, large.input_upper_tokens));
    assert!(small.input_upper_tokens > IMAGE_UPPER_TOKENS);
}

#[test]
fn an_anthropic_source_is_text_only_where_the_model_reads_it_as_text() {
    let body = |kind: &str, source: &str, data: &str| {
        format!(
            r#"{{"model":"a","messages":[{{"role":"user","content":[{{"source":{{"data":"{data}","type":"{source}"}},"type":"{kind}"}}]}}]}}"#
        )
    };
    let long = "x".repeat(10_000);
    let image = message(&body("image", "base64", &long)).unwrap();
    assert!(image.features.images && image.prompt_bytes < 200);
    let text = message(&body("document", "text", &long)).unwrap();
    assert!(text.features.documents && text.prompt_bytes > 10_000 && text.input_upper_tokens < DOCUMENT_UPPER_TOKENS);
    let pdf = message(&body("document", "base64", &long)).unwrap();
    assert!(pdf.prompt_bytes < 200 && pdf.input_upper_tokens > DOCUMENT_UPPER_TOKENS);
}

#[test]
fn what_a_tool_was_called_with_is_text_whatever_it_looks_like() {
    let long = "x".repeat(10_000);
    let head = message(&format!(
        r#"{{"model":"a","messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"1","name":"f","input":{{"source":{{"type":"base64","data":"{long}"}}}}}}]}}]}}"#
    ))
    .unwrap();
    assert!(head.prompt_bytes > 10_000 && !head.features.images);
}

#[test]
fn a_responses_request_shows_its_head_and_what_ties_it_to_a_provider() {
    let read = |body: &str| scan(Dialect::OpenAiResponses, Operation::Chat, None, body.as_bytes());
    let head = read(
        r#"{"model":"a","instructions":"Terse.","input":"Hi","max_output_tokens":7,"max_tokens":9,"stream":true,
            "text":{"format":{"type":"json_schema"},"verbosity":"low"},"reasoning":{"effort":"low"},"tools":[{}]}"#,
    )
    .unwrap();
    assert_eq!((head.max_output, head.stream, head.include_usage), (Some(7), true, true));
    let expected = Features { tools: true, structured: true, reasoning: true, ..Features::default() };
    assert_eq!((head.features, head.bound.is_tied()), (expected, false));
    assert!(!read(r#"{"model":"a","input":"Hi","text":{"format":{"type":"text"}}}"#).unwrap().features.structured);

    let tied = |more: &str| read(&format!(r#"{{"model":"a","input":"Hi",{more}}}"#)).unwrap();
    let head = tied(r#""previous_response_id":"resp_1""#);
    assert_eq!((head.bound.previous.as_deref(), head.bound.hidden_prompt), (Some("resp_1"), true));
    assert!(head.input_upper_tokens > HIDDEN_PROMPT_UPPER_TOKENS);
    assert!(tied(r#""conversation":{"id":"conv_1"}"#).bound.hidden_prompt);
    assert!(!tied(r#""previous_response_id":null,"conversation":null,"prompt":null"#).bound.is_tied());
    assert!(tied(r#""background":true"#).bound.background);
    let items = |items: &str| read(&format!(r#"{{"model":"a","input":[{items}]}}"#)).unwrap();
    let signed = |item: &str| items(item).spans.signed.pieces.first().map(|piece| piece.made_by);
    assert_eq!(signed(r#"{"id":"msg_1","type":"item_reference"}"#), Some(MadeBy::Unknown));
    assert_eq!(signed(r#"{"type":"reasoning","summary":[],"encrypted_content":"g"}"#), Some(MadeBy::Unknown));
    assert_eq!(signed(r#"{"type":"reasoning","summary":[],"encrypted_content":null}"#), None);
    assert_eq!(signed(r#"{"type":"reasoning","id":"rs_fh_x_0","summary":[]}"#), Some(MadeBy::Nobody));
    let long = "x".repeat(10_000);
    let picture = items(&format!(
        r#"{{"type":"function_call_output","call_id":"c","output":[{{"type":"input_image","image_url":"data:image/png;base64,{long}"}}]}}"#
    ));
    assert!(picture.features.images && picture.prompt_bytes < 200);
    let file = items(&format!(r#"{{"role":"user","content":[{{"type":"input_file","file_data":"{long}"}}]}}"#));
    assert!(file.features.documents && file.prompt_bytes < 200 && file.input_upper_tokens > DOCUMENT_UPPER_TOKENS);
    for (body, param) in [
        (r#"{"model":"a"}"#, "input"),
        (r#"{"model":"a","input":7}"#, "input"),
        (r#"{"model":"a","input":"x","max_output_tokens":"9"}"#, "max_output_tokens"),
        (r#"{"model":"a","input":"x","background":1}"#, "background"),
        (r#"{"model":"a","input":"x","input":"y"}"#, "input"),
    ] {
        assert_eq!(read(body).unwrap_err().param, Some(param), "{body}");
    }
    assert!(read(r#"{"model":"a","prompt":{"id":"pmpt_1"}}"#).is_ok());
}

#[test]
fn features_are_found() {
    let head = chat(
        r#"{"model":"a","messages":[],"tools":[{}],"response_format":{"type":"json_schema"},"reasoning_effort":"low","logprobs":true}"#,
    )
    .unwrap();
    let expected = Features { tools: true, structured: true, reasoning: true, logprobs: true, ..Features::default() };
    assert_eq!(head.features, expected);
    let none = chat(
        r#"{"model":"a","messages":[],"tools":[],"response_format":{"type":"text"},"reasoning_effort":null,"logprobs":false}"#,
    );
    assert_eq!(none.unwrap().features, Features::default());
    assert!(
        message(r#"{"model":"a","messages":[],"thinking":{"type":"enabled","budget_tokens":9}}"#)
            .unwrap()
            .features
            .reasoning
    );
    assert!(!message(r#"{"model":"a","messages":[],"thinking":{"type":"disabled"}}"#).unwrap().features.reasoning);
}

#[test]
fn escaped_text_counts_as_the_characters_it_stands_for() {
    let plain = chat(r#"{"model":"a","messages":[{"content":"é中"}]}"#).unwrap();
    let escaped = chat(r#"{"model":"a","messages":[{"content":"\u00e9\u4e2d"}]}"#).unwrap();
    assert_eq!(plain.prompt_bytes, escaped.prompt_bytes);
}
