//! Same dialect: bytes go through. Compared on raw sockets: what the provider received and what the client got differ
//! from the original only in the named spans. The corpus is what the official SDKs really sent, what llama.cpp really
//! answered, and bodies made to be awkward.

use std::path::PathBuf;

use crate::harness::{RawProvider, Site};

/// A provider of each dialect at the same socket, and workflows that go to one of them.
fn configuration(address: std::net::SocketAddr) -> String {
    format!(
        r#"
[providers.chat]
dialect = "openai-chat"
base_url = "http://{address}/v1"
api_key = {{ env = "SIM_KEY" }}
quirks = "generic"

[providers.messages]
dialect = "anthropic"
base_url = "http://{address}/v1"
api_key = {{ env = "SIM_KEY" }}

[models.chat]
provider = "chat"
model = "vendor-model-1"
price = {{ input = "1.00", output = "2.00" }}

[models.messages]
provider = "messages"
model = "vendor-model-1"
price = {{ input = "1.00", output = "2.00" }}

[lanes.chat]
class = "B"
models = ["chat"]
pick = "cheapest"

[lanes.messages]
class = "B"
models = ["messages"]
pick = "cheapest"

[criticality.chat]
lanes = ["chat"]

[criticality.messages]
lanes = ["messages"]

[workflows.w-chat]
criticality = "chat"

[workflows.w-messages]
criticality = "messages"
"#
    )
}

const CHAT_ANSWER: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"vendor-model-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
const MESSAGES_ANSWER: &str = r#"{"id":"m","type":"message","role":"assistant","model":"vendor-model-1","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;

const RESPONSES_ANSWER: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","error":null, "model" : "vendor-model-1","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"\u0068i","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2},"x_unknown":1e400}"#;

fn captures(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pure/wire/fixtures/captures").join(folder);
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(&root)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|text| text.ends_with(ending)))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 3, "{folder} holds captures ending in {ending}");
    found
}

/// The value of the top-level `model` of a body, as the bytes between its quotes, and where they are.
fn model_span(body: &[u8]) -> std::ops::Range<usize> {
    let text = std::str::from_utf8(body).unwrap();
    // Independent of `wire` on purpose: a small walk that knows strings and depth.
    let (mut depth, mut place, bytes) = (0, 0, text.as_bytes());
    let mut key: Option<&str> = None;
    while place < bytes.len() {
        match bytes[place] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => key = None,
            b'"' => {
                let start = place + 1;
                place = start;
                while bytes[place] != b'"' {
                    place += if bytes[place] == b'\\' { 2 } else { 1 };
                }
                if depth == 1 {
                    match key {
                        None => key = Some(&text[start..place]),
                        Some("model") => return start..place,
                        Some(_) => {}
                    }
                }
            }
            _ => {}
        }
        place += 1;
    }
    panic!("no model in {text}");
}

fn with_model(body: &[u8], model: &str) -> Vec<u8> {
    let span = model_span(body);
    [&body[..span.start], model.as_bytes(), &body[span.end..]].concat()
}

/// Bodies made to be awkward: unknown fields, odd whitespace, big integers, escapes, keys that look like ours inside strings.
fn awkward_chat() -> Vec<(String, Vec<u8>)> {
    [
        ("whitespace", "\n\t { \"messages\" : [ {\"role\" :\"user\",\"content\": \"a\" } ] ,\r\n \"model\"\t:\t\"M\" }  \n"),
        ("big-integers", r#"{"model":"M","messages":[{"role":"user","content":"a"}],"seed":123456789012345678901234567890,"x":1e400,"y":-0.0}"#),
        ("escapes", r#"{"model":"M","messages":[{"role":"user","content":"\u00e9\ud83d\ude00\/\\\"model\": \"x\""}]}"#),
        ("unknown-fields", r#"{"zz":{"model":"inner","stream":true},"model":"M","messages":[{"role":"user","content":"a","q":[[[]]]}],"":null}"#),
        ("unicode", "{\"model\":\"M\",\"messages\":[{\"role\":\"user\",\"content\":\"\u{1F9EA} \u{00A0}\u{2028} ö\"}]}"),
        ("duplicate-inner-keys", r#"{"messages":[{"role":"user","content":"a","content":"b"}],"model":"M"}"#),
    ]
    .map(|(name, body)| (name.to_owned(), body.as_bytes().to_vec()))
    .into()
}

#[test]
fn what_the_provider_receives_differs_from_what_the_client_sent_only_in_the_named_spans() {
    let chat = RawProvider::answering_body("application/json", CHAT_ANSWER.as_bytes());
    let site = Site::new("bytes-chat", &configuration(chat.address));
    let freehold = site.start();
    let mut bodies = captures("openai-sdk", ".request.json");
    bodies.extend(captures("openai-sdk-previous", ".request.json"));
    bodies.extend(awkward_chat());
    let mut compared = 0;
    for (name, body) in bodies {
        let text = String::from_utf8_lossy(&body).into_owned();
        if name.contains("embedding") || !text.contains("\"messages\"") {
            continue;
        }
        let sent = with_model(&body, "w-chat");
        freehold.post("/v1/chat/completions", &String::from_utf8(sent.clone()).unwrap());
        let got = chat.last_body();
        let expected = with_model(&body, "vendor-model-1");
        let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if parsed["stream"] == true {
            // A stream must report its usage: `stream_options.include_usage` is the second named span.
            let value: serde_json::Value = serde_json::from_slice(&got).unwrap();
            assert_eq!(value["stream_options"]["include_usage"], true, "{name}");
            let mut without: serde_json::Value = serde_json::from_slice(&expected).unwrap();
            without["stream_options"]["include_usage"] = true.into();
            assert_eq!(value, without, "{name}");
        } else {
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&expected), "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 12, "only {compared} bodies were compared");

    let messages = RawProvider::answering_body("application/json", MESSAGES_ANSWER.as_bytes());
    site.configure(&configuration(messages.address));
    freehold.reload();
    let mut bodies = captures("anthropic-sdk", ".request.json");
    bodies.extend(captures("anthropic-sdk-previous", ".request.json"));
    let mut compared = 0;
    crate::harness::eventually("the new address is taken over", || {
        freehold.post(
            "/v1/messages",
            r#"{"model":"w-messages","max_tokens":1,"messages":[{"role":"user","content":"a"}]}"#,
        );
        (!messages.received().is_empty()).then_some(())
    });
    for (name, body) in bodies {
        let path = if name.contains("count") { "/v1/messages/count_tokens" } else { "/v1/messages?beta=true" };
        let sent = with_model(&body, "w-messages");
        freehold.post(path, &String::from_utf8(sent).unwrap());
        let expected = with_model(&body, "vendor-model-1");
        assert_eq!(String::from_utf8_lossy(&messages.last_body()), String::from_utf8_lossy(&expected), "{name}");
        let head = String::from_utf8_lossy(&messages.received().pop().unwrap()).into_owned();
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1")), "{name}: {head}");
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} bodies were compared");
}

#[test]
fn what_the_client_gets_differs_from_what_the_provider_sent_only_in_the_models_name() {
    let mut answers: Vec<(String, Vec<u8>)> = captures("llama-cpp", ".response.json")
        .into_iter()
        .filter(|(_, body)| String::from_utf8_lossy(body).contains("\"chat.completion\""))
        .collect();
    answers.push(("small".into(), CHAT_ANSWER.into()));
    answers.push((
        "awkward".into(),
        "{ \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"q\":12345678901234567890123},\r\n\
         \"choices\":[{\"message\":{\"content\":\"\\u00e9 \\\"model\\\":\\\"no\\\"\",\"role\":\"assistant\"},\"index\":0,\
         \"finish_reason\":\"stop\"}],\t\"model\" : \"vendor-model-1\",\"object\":\"chat.completion\",\"id\":\"\",\"created\":0}"
            .into(),
    ));
    for (name, answer) in answers {
        let provider = RawProvider::answering_body("application/json", &answer);
        let site = Site::new("bytes-answer", &configuration(provider.address));
        let freehold = site.start();
        let got = freehold.chat("w-chat", "");
        assert_eq!(got.status, 200, "{name}: {}", got.text());
        assert_eq!(got.text(), String::from_utf8(with_model(&answer, "w-chat")).unwrap(), "{name}");
    }
}

#[test]
fn a_stream_differs_only_in_the_models_name_and_the_usage_chunk_nobody_asked_for() {
    let stream = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"vendor-model-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n\
         : keep-alive\n\n\
         data: { \"x_unknown\":[1, 2],\"id\":\"c\",\"model\" :\"vendor-model-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u00e9\"}}]}\n\n\
         data: {\"id\":\"c\",\"model\":\"vendor-model-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"id\":\"c\",\"model\":\"vendor-model-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
    let done = "data: [DONE]\n\n";
    let provider = RawProvider::answering_body("text/event-stream", [stream, usage, done].concat().as_bytes());
    let site = Site::new("bytes-stream", &configuration(provider.address));
    let freehold = site.start();
    let without = freehold.chat("w-chat", r#","stream":true"#);
    assert_eq!(without.text(), [stream, done].concat().replace("vendor-model-1", "w-chat"));
    let with = freehold.chat("w-chat", r#","stream":true,"stream_options":{"include_usage":true}"#);
    assert_eq!(with.text(), [stream, usage, done].concat().replace("vendor-model-1", "w-chat"));
    assert_eq!(freehold.stop(), Some(0));
    let rows = crate::harness::ledger(&site.data());
    let input: u64 = rows
        .iter()
        .filter(|row| row["meter"] == "input")
        .map(|row| row["units"].as_str().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(input, 6, "both were metered, asked for or not: {rows:?}");
}

/// Chat and Responses at one address, as at OpenAI: each client is passed through in its own dialect.
#[test]
fn responses_go_through_a_provider_that_speaks_them_beside_chat() {
    let both = |address| {
        configuration(address).replacen(
            "dialect = \"openai-chat\"",
            "dialects = [\"openai-chat\", \"openai-responses\"]",
            1,
        )
    };
    let provider = RawProvider::answering_body("application/json", RESPONSES_ANSWER.as_bytes());
    let site = Site::new("bytes-responses", &both(provider.address));
    let freehold = site.start();
    let bodies: Vec<_> = captures("openai-responses-sdk", ".request.json")
        .into_iter()
        // What goes on from an answer or a conversation that was not made here is refused.
        .filter(|(_, body)| {
            let body = String::from_utf8_lossy(body);
            !body.contains("previous_response_id") && !body.contains("\"conversation\"")
        })
        .collect();
    // Of an answer only its model and its id differ, which stands for this provider and this key.
    let renamed = |expected: String, id: &str, answer: &str| {
        let own = answer.split('"').find(|text| text.starts_with("resp_fh1_")).unwrap_or_else(|| panic!("{answer}"));
        expected.replace(&format!("\"{id}\""), &format!("\"{own}\""))
    };
    let is_stream = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap()["stream"] == true;
    let mut compared = 0;
    for (name, body) in bodies.iter().filter(|(_, body)| !is_stream(body)) {
        let sent = String::from_utf8(with_model(body, "w-chat")).unwrap();
        let answer = freehold.post("/v1/responses", &sent);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let expected = RESPONSES_ANSWER.replace("vendor-model-1", "w-chat");
        assert_eq!(answer.text(), renamed(expected, "resp_1", answer.text()), "{name}");
        let got = provider.received().pop().unwrap();
        assert!(got.starts_with(b"POST /v1/responses HTTP/1.1"), "{name}");
        let expected = with_model(body, "vendor-model-1");
        assert_eq!(String::from_utf8_lossy(&provider.last_body()), String::from_utf8_lossy(&expected), "{name}");
        compared += 1;
    }
    assert!(compared >= 13, "only {compared} bodies were compared");

    let (_, stream) = streams().into_iter().find(|(name, _)| name == "text.sse").unwrap();
    let stream_text = String::from_utf8(stream.clone()).unwrap();
    let stream_id = stream_text.split('"').find(|text| text.starts_with("resp_")).expect("its events name the answer");
    let provider = RawProvider::answering_body("text/event-stream", &stream);
    let site = Site::new("bytes-responses-stream", &both(provider.address));
    let freehold = site.start();
    for (name, body) in bodies.iter().filter(|(_, body)| is_stream(body)) {
        let answer = freehold.post("/v1/responses", &String::from_utf8(with_model(body, "w-chat")).unwrap());
        let expected = String::from_utf8(stream.clone()).unwrap().replace("\"up-model\"", "\"w-chat\"");
        assert_eq!(answer.text(), renamed(expected, stream_id, answer.text()), "{name}");
        let expected = with_model(body, "vendor-model-1");
        assert_eq!(String::from_utf8_lossy(&provider.last_body()), String::from_utf8_lossy(&expected), "{name}");
        compared += 1;
    }
    assert!(compared >= 17, "only {compared} bodies were compared");
    assert_eq!(freehold.stop(), Some(0));
    let output: u64 = crate::harness::ledger(&site.data())
        .iter()
        .filter(|row| row["meter"] == "output")
        .map(|row| row["units"].as_str().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(output, 3 * 4, "four streams of three tokens each were metered");
}

fn streams() -> Vec<(String, Vec<u8>)> {
    captures("../streams/openai-responses", ".sse")
}
