//! Answers that a client goes on from: what of them belongs to the provider that made them is asked of no other.

use std::net::SocketAddr;

use crate::harness::{RawProvider, Site};

fn answer(id: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","object":"response","created_at":1,"status":"completed","error":null,"model":"v","output":[{{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{{"type":"output_text","text":"hi","annotations":[]}}]}}],"usage":{{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}}"#
    )
    .into_bytes()
}

/// Two providers in one lane, the first one cheaper, and so tried first.
fn configuration(dialect: &str, first: SocketAddr, second: SocketAddr) -> String {
    let provider = |name: &str, address: SocketAddr, price: &str| {
        format!(
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/v1\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\n\
             price = {{ input = \"{price}\", output = \"{price}\" }}\n\n"
        )
    };
    [
        provider("first", first, "1.00"),
        provider("second", second, "2.00"),
        "[lanes.both]\nclass = \"B\"\nmodels = [\"first\", \"second\"]\npick = \"cheapest\"\n\n".to_owned(),
        "[criticality.both]\nlanes = [\"both\"]\n\n[workflows.w]\ncriticality = \"both\"\n".to_owned(),
    ]
    .concat()
}

fn failing() -> RawProvider {
    let body = r#"{"error":{"message":"boom","type":"server_error"}}"#;
    let head = format!("HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    RawProvider::answering([head.as_bytes(), body.as_bytes()].concat())
}

#[test]
fn an_earlier_answer_is_gone_on_from_where_it_was_made() {
    let first = RawProvider::answering_body("application/json", &answer("resp_first"));
    let second = RawProvider::answering_body("application/json", &answer("resp_second"));
    let site = Site::new("responses-makers", &configuration("openai-responses", first.address, second.address));
    let freehold = site.start();
    let ask = |model: &str, more: &str| {
        let answer = freehold.post("/v1/responses", &format!(r#"{{"model":"{model}","input":"x"{more}}}"#));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let from = |id: &str| format!(r#","previous_response_id":"{id}""#);
    let (one, other) = (ask("w", ""), ask("model:second", ""));
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    ask("w", &from(&other));
    ask("w", &from(&one));
    assert_eq!((first.received().len(), second.received().len()), (2, 2));
    for (provider, id) in [(&first, "resp_first"), (&second, "resp_second")] {
        let sent = provider.received().iter().map(|got| String::from_utf8_lossy(got).into_owned()).collect::<String>();
        assert!(sent.contains(&format!("\"previous_response_id\":\"{id}\"")), "each gets its own id: {sent}");
    }
}

#[test]
fn what_one_provider_keeps_or_encrypted_does_not_fail_over_to_another() {
    let second = RawProvider::answering_body("application/json", &answer("resp_second"));
    let first = failing();
    let site = Site::new("responses-failover", &configuration("openai-responses", first.address, second.address));
    let freehold = site.start();
    let refused =
        freehold.post("/v1/responses", r#"{"model":"w","input":"x","previous_response_id":"resp_of_long_ago"}"#);
    assert_eq!((refused.status, first.received().len(), second.received().len()), (400, 0, 0), "{}", refused.text());

    let thinks = r#"{"model":"w","input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAA"},{"role":"user","content":"x"}]}"#;
    let answered = freehold.post("/v1/responses", thinks);
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert!(answered.header("freehold-loss").unwrap().contains("/input/0"), "{:?}", answered.header("freehold-loss"));
    assert!(!String::from_utf8_lossy(&second.last_body()).contains("gAAAA"));
    assert!(first.received().iter().any(|got| String::from_utf8_lossy(got).contains("gAAAA")));
}

#[test]
fn signatures_of_thoughts_do_not_fail_over_to_another_google() {
    let content = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2},"modelVersion":"v","responseId":"r"}"#;
    let (first, second) = (failing(), RawProvider::answering_body("application/json", content.as_bytes()));
    let site = Site::new("google-failover", &configuration("gemini", first.address, second.address));
    let freehold = site.start();
    let cached = r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}],"cachedContent":"cachedContents/a"}"#;
    let refused = freehold.post("/v1beta/models/w:generateContent", cached);
    assert_eq!((refused.status, second.received().len()), (502, 0), "{}", refused.text());

    let kept = r#"{"contents":[{"role":"user","parts":[{"text":"x"},{"fileData":{"mimeType":"application/pdf","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/a"}}]}]}"#;
    let refused = freehold.post("/v1beta/models/w:generateContent", kept);
    assert_eq!((refused.status, second.received().len()), (502, 0), "a file in Google's store: {}", refused.text());

    let signed = r#"{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2lnbmVk"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}"#;
    let answered = freehold.post("/v1beta/models/w:generateContent", signed);
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert!(answered.header("freehold-loss").unwrap().contains("/contents"), "{:?}", answered.header("freehold-loss"));
    let sent = signed.replace("c2lnbmVk", "skip_thought_signature_validator");
    assert_eq!(String::from_utf8_lossy(&second.last_body()), sent);
    assert!(first.received().iter().any(|got| String::from_utf8_lossy(got).contains("c2lnbmVk")));
}
