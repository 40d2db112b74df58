//! Google's dialect on both sides: bytes go through, compared on raw sockets. What the official SDK really sent reaches the
//! provider as it was, under the provider's name for the model in the path; what the provider answers reaches the client but
//! for that name.

use std::path::PathBuf;

use crate::harness::{RawProvider, Site};
use crate::http::{Answer, request};

const MODEL: &str = "vendor-model-1";

fn configuration(address: std::net::SocketAddr) -> String {
    format!(
        r#"
[providers.google]
catalog = "gemini"
base_url = "http://{address}/v1beta"
api_key = {{ env = "SIM_KEY" }}

[models.google]
provider = "google"
model = "{MODEL}"
price = {{ input = "1.00", output = "2.00" }}

[lanes.google]
class = "B"
models = ["google"]
pick = "cheapest"

[criticality.google]
lanes = ["google"]

[workflows.claims-triage]
criticality = "google"
"#
    )
}

fn captures() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pure/wire/fixtures/captures/google-sdk");
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|text| text.ends_with(".request.json")))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let head = std::fs::read_to_string(path.with_extension("").with_extension("headers.txt")).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            (format!("{name} {target}"), std::fs::read(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn post(freehold: &crate::harness::Freehold, path: &str, body: &[u8]) -> Answer {
    let headers = [("x-goog-api-key", freehold.key.as_str()), ("content-type", "application/json")];
    request(freehold.gateway, "POST", path, &headers, body)
}

const ANSWER: &str = "{ \"modelVersion\" : \"vendor-model-1\",\r\n \"candidates\":[{\"content\":{\"parts\":[{\"text\":\"h\\u00e9\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"x\":1e400}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2,\"totalTokenCount\":5},\"y\":12345678901234567890123}";

#[test]
fn what_the_sdk_sent_reaches_the_provider_as_it_was() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("bytes-google", &configuration(provider.address));
    let freehold = site.start();
    let mut compared = 0;
    for (name, body) in captures() {
        let target = name.split(' ').nth(1).unwrap().to_owned();
        if target.contains(":stream") {
            continue;
        }
        post(&freehold, &target, &body);
        let expected = String::from_utf8(body).unwrap().replace("models/claims-triage", &format!("models/{MODEL}"));
        assert_eq!(String::from_utf8_lossy(&provider.last_body()), expected, "{name}");
        let head = String::from_utf8(provider.received().pop().unwrap()).unwrap();
        let method = target.rsplit(':').next().unwrap();
        assert!(head.starts_with(&format!("POST /v1beta/models/{MODEL}:{method} HTTP/1.1")), "{name}: {head}");
        assert!(head.contains("x-goog-api-key: sim-secret\r\n"), "{name}: {head}");
        assert!(!head.contains(&freehold.key), "{name}: {head}");
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} bodies were compared");
}

#[test]
fn a_key_in_the_query_goes_no_further() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("bytes-google-key", &configuration(provider.address));
    let freehold = site.start();
    let path = format!("/v1beta/models/claims-triage:generateContent?key={}&fields=candidates", freehold.key);
    let body = br#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
    let answer = request(freehold.gateway, "POST", &path, &[("content-type", "application/json")], body);
    assert_eq!((answer.status, answer.text()), (200, &*ANSWER.replace(MODEL, "claims-triage")));
    let sent = String::from_utf8(provider.received().pop().unwrap()).unwrap();
    assert!(sent.starts_with(&format!("POST /v1beta/models/{MODEL}:generateContent HTTP/1.1")), "{sent}");
    assert!(!sent.contains(&freehold.key), "{sent}");
}

#[test]
fn a_stream_differs_only_in_the_models_name_and_is_an_array_where_no_events_were_asked_for() {
    let first = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"h\\u00e9\"}]}}], \"modelVersion\":\"vendor-model-1\",\"x\":[1, 2]}\r\n\r\n";
    let last = "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2,\"totalTokenCount\":5}}\r\n\r\n";
    let provider = RawProvider::answering_body("text/event-stream", [first, last].concat().as_bytes());
    let site = Site::new("bytes-google-stream", &configuration(provider.address));
    let freehold = site.start();
    let body = br#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
    let path = "/gemini/v1beta/models/claims-triage:streamGenerateContent";
    let events = post(&freehold, &format!("{path}?alt=sse"), body);
    assert_eq!(events.text(), [first, last].concat().replace(MODEL, "claims-triage"));
    let head = String::from_utf8(provider.received().pop().unwrap()).unwrap();
    assert!(head.starts_with(&format!("POST /v1beta/models/{MODEL}:streamGenerateContent?alt=sse HTTP/1.1")), "{head}");
    let array: serde_json::Value = serde_json::from_str(post(&freehold, path, body).text()).unwrap();
    assert_eq!((array.as_array().unwrap().len(), &array[0]["modelVersion"]), (2, &"claims-triage".into()));
    assert_eq!(freehold.stop(), Some(0));
    let rows = crate::harness::ledger(&site.data());
    let input: u64 = rows
        .iter()
        .filter(|row| row["meter"] == "input")
        .map(|row| row["units"].as_str().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(input, 6, "both were metered: {rows:?}");
}
