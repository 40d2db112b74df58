//! What only its maker can read: tagged on the way to the client, given back to the maker as made, kept from others.

use bytes::Bytes;
use domain::Fault;
use wire::eventstream::Message;
use wire::{Address, Ask, Dialect, Maker, Operation, Outgoing, Quirks, ReplyPlan, outgoing, reply_body, scan};

use crate::support::{plan, relay};

const DIALECTS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::BedrockConverse];

fn tag(provider: &str) -> String {
    String::from_utf8(Maker::of(provider).tag().to_vec()).unwrap()
}

fn mine(body: &str) -> String {
    body.replace('@', &tag("provider"))
}

/// `@` stands for the tag of `provider`, which answers.
fn passes_as(dialect: Dialect, made: &str) {
    let plan = plan(dialect);
    let (whole, _) = reply_body(&plan, made.replace('@', "").as_bytes()).unwrap();
    assert_eq!(String::from_utf8(whole).unwrap(), mine(made), "{dialect}");
}

fn streams_as(dialect: Dialect, made: &str) {
    let given = made.replace('@', "");
    for cut in [1, 7, given.len()] {
        let got = relay(&plan(dialect), given.as_bytes().chunks(cut));
        assert_eq!(got.out, mine(made), "{dialect}");
    }
}

#[test]
fn what_is_signed_reaches_the_client_with_its_makers_tag() {
    passes_as(
        Dialect::Anthropic,
        r#"{"id":"m","type":"message","model":"up-model","content":[{"type":"thinking","thinking":"x","signature":"@Eq"},{"type":"thinking","thinking":"y","signature":"@"},{"type":"redacted_thinking","data":"@En"},{"type":"tool_use","id":"t","name":"f","input":{"signature":"mine","data":"mine"}}],"stop_reason":"tool_use"}"#,
    );
    passes_as(
        Dialect::OpenAiResponses,
        r#"{"id":"resp_1","object":"response","status":"completed","model":"up-model","output":[{"type":"reasoning","id":"@rs_1","summary":[],"encrypted_content":"@gAAA"},{"type":"message","id":"msg_1","content":[{"type":"output_text","text":"hi"}]}]}"#,
    );
    passes_as(
        Dialect::Gemini,
        r#"{"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":"@QUE="},{"functionCall":{"name":"f","args":{"thoughtSignature":"mine"}},"thought_signature":"@QkI="}]}}]}"#,
    );
    passes_as(
        Dialect::BedrockConverse,
        r#"{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"x","signature":"@Eq"}}},{"reasoningContent":{"redactedContent":"@QUE="}},{"text":"hi"}]}},"stopReason":"end_turn"}"#,
    );
    passes_as(
        Dialect::OpenAiChat,
        r#"{"id":"c","model":"up-model","choices":[{"index":0,"message":{"role":"assistant","content":"hi","reasoning_details":[{"type":"reasoning.text","text":"x","signature":"@Eq"},{"type":"reasoning.encrypted","data":"@gA"},{"type":"reasoning.text","text":"y","signature":""}],"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"@QUE="}}}]},"finish_reason":"stop"}]}"#,
    );
}

#[test]
fn what_is_signed_in_a_stream_has_its_makers_tag_wherever_it_is_cut() {
    streams_as(
        Dialect::Anthropic,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"model\":\"up-model\",\"content\":[]}}\n\n\
         data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n\
         data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"@EqQ\"}}\n\n\
         data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"@En\"}}\n\n\
         data: {\"type\":\"message_stop\"}\n\n",
    );
    streams_as(
        Dialect::OpenAiResponses,
        "data: {\"type\":\"response.output_item.added\",\"sequence_number\":0,\"output_index\":0,\"item\":{\"id\":\"@rs_1\",\"type\":\"reasoning\",\"encrypted_content\":\"@gA\",\"summary\":[]}}\n\n\
         data: {\"type\":\"response.reasoning_summary_text.delta\",\"sequence_number\":1,\"item_id\":\"@rs_1\",\"output_index\":0,\"summary_index\":0,\"delta\":\"x\"}\n\n\
         data: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":1,\"content_index\":0,\"logprobs\":[],\"delta\":\"x\"}\n\n\
         data: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"id\":\"r\",\"created_at\":1,\"status\":\"completed\",\"model\":\"up-model\",\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],\"output\":[{\"id\":\"@rs_1\",\"type\":\"reasoning\",\"encrypted_content\":\"@gB\",\"summary\":[]}]}}\n\n",
    );
    streams_as(
        Dialect::Gemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\",\"thoughtSignature\":\"@QUE=\"}]},\"finishReason\":\"STOP\"}],\"modelVersion\":\"up-model\"}\n\n",
    );
    streams_as(
        Dialect::OpenAiChat,
        "data: {\"model\":\"up-model\",\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"@gA\"}]}}]}\n\ndata: [DONE]\n\n",
    );
}

#[test]
fn a_container_of_anthropics_is_asked_of_its_maker_only() {
    passes_as(
        Dialect::Anthropic,
        r#"{"id":"m","type":"message","model":"up-model","content":[],"container":{"id":"@container_1","expires_at":"x"}}"#,
    );
    streams_as(
        Dialect::Anthropic,
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"model\":\"up-model\",\"container\":{\"id\":\"@container_1\"}}}\n\n\
         data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"container\":{\"id\":\"@container_1\"}}}\n\n\
         data: {\"type\":\"message_stop\"}\n\n",
    );
    for body in [
        r#"{"model":"up","max_tokens":9,"messages":[],"container":"@container_1"}"#,
        r#"{"model":"up","max_tokens":9,"messages":[],"container":{"id":"@container_1","skills":[]}}"#,
    ] {
        assert_eq!(sent(Dialect::Anthropic, "provider", true, body).unwrap().0, body.replace('@', ""));
        let fault = sent(Dialect::Anthropic, "another", false, body).unwrap_err();
        assert!(fault.message.contains("`/container`"), "{}", fault.message);
    }
}

#[test]
fn a_message_of_amazons_keeps_its_headers_and_gets_new_checksums() {
    let mut raw = Vec::new();
    let signed = br#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"EqQ"}},"p":"abc"}"#;
    Message { is_exception: false, kind: "contentBlockDelta", payload: signed }.write(&mut raw);
    let plain = br#"{"stopReason":"end_turn"}"#;
    Message { is_exception: false, kind: "messageStop", payload: plain }.write(&mut raw);
    let (mut relay, mut out) = (wire::StreamRelay::new(plan(Dialect::BedrockConverse)), Vec::new());
    relay.feed(&raw, &mut out).unwrap();
    let mut messages = Vec::new();
    wire::eventstream::Splitter::default()
        .feed(&out, |raw| {
            let message = Message::read(raw)?;
            messages.push((message.kind.to_owned(), String::from_utf8(message.payload.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
    let tagged = mine(r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"@EqQ"}},"p":"abc"}"#);
    assert_eq!(
        messages,
        [("contentBlockDelta".into(), tagged), ("messageStop".into(), r#"{"stopReason":"end_turn"}"#.into())]
    );
}

/// Sends a request, in which `@` is the tag of `provider` and `%` that of another, to `to`.
fn sent(dialect: Dialect, to: &str, foreign: bool, body: &str) -> Result<(String, Outgoing), Fault> {
    let body = Bytes::from(mine(body).replace('%', &tag("another")));
    let address = Address { model: "up".into(), stream: false };
    let head = scan(dialect, Operation::Chat, Some(&address), &body).unwrap();
    let (quirks, maker) = (&Quirks::GENERIC, Maker::of(to));
    let ask = Ask { upstream_model: "up", quirks, insert_max_output: None, default_max_output: 9, maker, foreign };
    let out = outgoing(dialect, Operation::Chat, &body, &head, dialect, &ask)?;
    assert!(serde_json::from_slice::<serde_json::Value>(&out.body).is_ok(), "{:?}", out.body);
    Ok((String::from_utf8(out.body.to_vec()).unwrap(), out))
}

fn lost(out: &Outgoing) -> Vec<&str> {
    out.losses.iter().map(|loss| loss.pointer.as_str()).collect()
}

#[test]
fn the_maker_gets_what_it_made_byte_for_byte() {
    for (dialect, body) in [
        (
            Dialect::Anthropic,
            r#"{"model":"up","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"@Eq\/"}, {"type":"redacted_thinking","data":"@En"},{"type":"text","text":"@"}]}]}"#,
        ),
        (
            Dialect::OpenAiResponses,
            r#"{"model":"up","input":[{"type":"reasoning","id":"@rs_1","summary":[],"encrypted_content":"@gA"},{"type":"message","id":"msg_1","role":"assistant","content":"x"},{"type":"item_reference","id":"@rs_2"}]}"#,
        ),
        (
            Dialect::Gemini,
            r#"{"contents":[{"role":"model","parts":[{"text":"x","thoughtSignature":"@QUE="},{"functionCall":{"name":"f"},"thought_signature":"@QkI="}]}]}"#,
        ),
        (
            Dialect::BedrockConverse,
            r#"{"messages":[{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"x","signature":"@ab@cd"}}},{"reasoningContent":{"redactedContent":"@QUE="}},{"text":"x"}]}]}"#,
        ),
        (
            Dialect::OpenAiChat,
            r#"{"model":"up","messages":[{"role":"assistant","reasoning_details":[{"type":"reasoning.encrypted","data":"@gA"}],"content":"x","tool_calls":[{"id":"1","function":{"name":"f"},"extra_content":{"google":{"thought_signature":"@QUE="}}}]}]}"#,
        ),
    ] {
        for foreign in [false, true] {
            let (given, out) = sent(dialect, "provider", foreign, body).unwrap();
            // What the model said is its word, whatever it looks like.
            let made = body.replace(r#""text":"@""#, "\u{1}").replace('@', "").replace('\u{1}', &mine(r#""text":"@""#));
            assert_eq!((given, lost(&out).len()), (made, 0), "{dialect}");
        }
    }
}

#[test]
fn what_another_made_is_left_out_and_named() {
    let others = r#"{"model":"up","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[ {"type":"thinking","thinking":"x","signature":"%Eq"} , {"type":"thinking","thinking":"y","signature":"@Eq"},{"type":"redacted_thinking","data":"%En"},{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"%Eq"}]},{"role":"user","content":"c"}]}"#;
    let (given, out) = sent(Dialect::Anthropic, "provider", false, others).unwrap();
    assert_eq!(
        given,
        r#"{"model":"up","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[ {"type":"thinking","thinking":"y","signature":"Eq"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]}"#
    );
    assert_eq!(lost(&out), ["/messages/1/content/0", "/messages/1/content/2", "/messages/2/content/0"]);
    assert!(out.losses[0].reason.contains("spend tokens"), "{}", out.losses[0].reason);

    let responses = r#"{"model":"up","input":[{"type":"reasoning","id":"%rs_1","summary":[],"encrypted_content":"%gA"},{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"x"}],"tools":[{"type":"web_search"}]}"#;
    let (given, out) = sent(Dialect::OpenAiResponses, "provider", false, responses).unwrap();
    assert_eq!(
        given,
        r#"{"model":"up","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"x"}],"tools":[{"type":"web_search"}]}"#
    );
    assert_eq!(lost(&out), ["/input/0"]);

    let chat = r#"{"model":"up","messages":[{"role":"assistant","content":"x","reasoning_details":[{"type":"reasoning.encrypted","data":"%gA"}],"tool_calls":[{"id":"1","function":{"name":"f"},"extra_content":{"google":{"thought_signature":"%QUE="}}}]}]}"#;
    let (given, out) = sent(Dialect::OpenAiChat, "provider", false, chat).unwrap();
    assert!(!given.contains("gA") && !given.contains("QUE="), "{given}");
    assert_eq!(lost(&out), ["/messages/0/reasoning_details/0", "/messages/0"]);

    let kept = r#"{"model":"up","input":[{"type":"item_reference","id":"%rs_1"}]}"#;
    let fault = sent(Dialect::OpenAiResponses, "provider", false, kept).unwrap_err();
    assert!(fault.message.contains("/input/0"), "{}", fault.message);
}

#[test]
fn what_nobody_tagged_goes_to_the_first_provider_only_and_what_is_not_signed_to_none() {
    for dialect in DIALECTS {
        let body = match dialect {
            Dialect::Anthropic => {
                r#"{"model":"up","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"Eq"},{"type":"text","text":"b"}]}]}"#
            }
            Dialect::BedrockConverse => {
                r#"{"messages":[{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"x","signature":"Eq"}}},{"text":"b"}]}]}"#
            }
            Dialect::OpenAiResponses => {
                r#"{"model":"up","input":[{"type":"reasoning","summary":[],"encrypted_content":"Eq"},{"role":"user","content":"x"}]}"#
            }
            Dialect::Gemini => r#"{"contents":[{"role":"model","parts":[{"text":"x","thoughtSignature":"Eq"}]}]}"#,
            _ => {
                r#"{"model":"up","messages":[{"role":"assistant","content":"x","reasoning_details":[{"type":"reasoning.text","signature":"Eq"}]}]}"#
            }
        };
        assert_eq!(sent(dialect, "provider", false, body).unwrap().0, body);
        let (given, out) = sent(dialect, "provider", true, body).unwrap();
        assert!(!given.contains("Eq") && out.losses.len() == 1, "{dialect}: {given}");
    }
    let unsigned = r#"{"model":"up","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":""},{"type":"text","text":"b"}]}]}"#;
    let (given, out) = sent(Dialect::Anthropic, "provider", false, unsigned).unwrap();
    assert_eq!(
        given,
        r#"{"model":"up","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"text","text":"b"}]}]}"#
    );
    assert!(out.losses[0].reason.contains("no signature"), "{}", out.losses[0].reason);
}

#[test]
fn a_server_that_signs_with_nothing_gets_its_thoughts_back() {
    let made = r#"{"id":"m","type":"message","model":"up-model","content":[{"type":"thinking","thinking":"x","signature":"@"}]}"#;
    passes_as(Dialect::Anthropic, made);
    let back = r#"{"model":"up","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"@"},{"type":"text","text":"b"}]}]}"#;
    assert_eq!(sent(Dialect::Anthropic, "provider", false, back).unwrap().0, back.replace('@', ""));
    assert!(!sent(Dialect::Anthropic, "another", false, back).unwrap().0.contains("thinking"));
}

#[test]
fn a_model_that_may_not_think_on_between_call_and_result_is_not_asked_to() {
    let body = |dialect, thinking: &str, signed: &str| match dialect {
        Dialect::Anthropic => format!(
            r#"{{"model":"up","max_tokens":9,"thinking":{thinking},"messages":[{{"role":"user","content":"a"}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"x","signature":"{signed}"}},{{"type":"tool_use","id":"t","name":"f","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":"r"}}]}}]}}"#
        ),
        _ => format!(
            r#"{{"additionalModelRequestFields":{{"thinking":{thinking}}},"messages":[{{"role":"user","content":[{{"text":"a"}}]}},{{"role":"assistant","content":[{{"reasoningContent":{{"reasoningText":{{"text":"x","signature":"{signed}"}}}}}},{{"toolUse":{{"toolUseId":"t","name":"f","input":{{}}}}}}]}},{{"role":"user","content":[{{"toolResult":{{"toolUseId":"t","content":[{{"text":"r"}}]}}}}]}}]}}"#
        ),
    };
    let enabled = r#"{"type":"enabled","budget_tokens":1024}"#;
    for dialect in [Dialect::Anthropic, Dialect::BedrockConverse] {
        let (own, _) = sent(dialect, "provider", false, &body(dialect, enabled, "@Eq")).unwrap();
        assert!(own.contains("enabled") && own.contains("Eq"), "{own}");
        let (others, out) = sent(dialect, "provider", false, &body(dialect, enabled, "%Eq")).unwrap();
        assert!(others.contains(r#""thinking":{"type":"disabled"}"#) && !others.contains("Eq"), "{others}");
        assert_eq!(lost(&out), ["/messages/1/content/0", "/thinking"]);
        let (adaptive, _) = sent(dialect, "provider", false, &body(dialect, r#"{"type":"adaptive"}"#, "%Eq")).unwrap();
        assert!(adaptive.contains("adaptive"), "{adaptive}");
    }
}

#[test]
fn a_tag_is_part_of_no_other_answer() {
    let plan = ReplyPlan { client: Dialect::OpenAiChat, ..plan(Dialect::Anthropic) };
    let body = br#"{"id":"m","type":"message","role":"assistant","model":"up-model","content":[{"type":"thinking","thinking":"x","signature":"Eq"},{"type":"text","text":"b"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let (out, _) = reply_body(&plan, body).unwrap();
    assert!(!String::from_utf8(out).unwrap().contains("FHmk"));
}
