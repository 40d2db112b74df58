//! Bedrock's `invoke`: Anthropic's bodies are answered by a provider of any dialect and streamed back in chunks; other vendors'
//! reach Bedrock as they are and are metered by what its head counts; and Anthropic's models hosted at Bedrock are reached so.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Freehold, RawProvider, Simulator, Site, eventually};
use crate::http::{Answer, request};

const SCENARIO: &str = "[providers.sim]\noutput_tokens = 12\n\n[[providers.busy.faults]]\nkind = \"overloaded\"\n";
const ASKED: &str =
    r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":40,"messages":[{"role":"user","content":"Hello"}]}"#;

fn row(name: &str, dialect: &str, base_url: &str, more: &str) -> String {
    format!(
        "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\napi_key = {{ env = \"SIM_KEY\" }}\n{more}\n\n\
         [models.{name}]\nprovider = \"{name}\"\nmodel = \"meta.llama:0/x\"\nprice = {{ input = \"1\", output = \"5\" }}\n\n\
         [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n[criticality.{name}]\nlanes = [\"{name}\"]\n\n\
         [workflows.{name}]\ncriticality = \"{name}\"\nbudget = {{ limit = \"10 USD\", per = \"total\", at_limit = \"refuse\" }}\n\n"
    )
}

fn invoke(freehold: &Freehold, workflow: &str, method: &str, body: &str) -> Answer {
    freehold.post(&format!("/model/{workflow}/{method}"), body)
}

/// What stands inside the chunks of a stream.
fn chunks(mut bytes: &[u8]) -> Vec<Value> {
    let mut inside = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (length, headers) = (word(0), word(4));
        let head = String::from_utf8_lossy(&bytes[12..12 + headers]).into_owned();
        let payload: Value = serde_json::from_slice(&bytes[12 + headers..length - 4]).unwrap();
        assert!(head.contains("chunk"), "{head} {payload}");
        let decoded = STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap();
        inside.push(serde_json::from_slice(&decoded).unwrap());
        bytes = &bytes[length..];
    }
    inside
}

#[test]
fn an_anthropic_body_is_answered_by_any_provider_whole_and_in_chunks() {
    let site = Site::new("invoke", "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    let at = |below: &str| format!("http://{}/{below}", simulator.address);
    site.configure(
        &[
            row("openai", "openai-chat", &at("sim/v1"), ""),
            row("anthropic", "anthropic", &at("sim/v1"), ""),
            row("converse", "bedrock-converse", &at("sim"), ""),
            row("hosted", "anthropic", &at("sim"), "quirks = \"bedrock-invoke\""),
            row("busy", "openai-chat", &at("busy/v1"), ""),
        ]
        .concat(),
    );
    let freehold = site.start();
    for workflow in ["openai", "anthropic", "converse", "hosted"] {
        let whole = invoke(&freehold, workflow, "invoke", ASKED);
        assert_eq!(whole.status, 200, "{workflow}: {}", whole.text());
        let message = whole.json();
        assert_eq!((&message["type"], &message["model"]), (&json!("message"), &json!(workflow)));
        let counted = |name: &str| whole.header(name).unwrap().parse::<u64>().unwrap();
        assert_eq!(counted("x-amzn-bedrock-input-token-count"), message["usage"]["input_tokens"].as_u64().unwrap());
        assert_eq!(counted("x-amzn-bedrock-output-token-count"), message["usage"]["output_tokens"].as_u64().unwrap());
        assert_eq!(whole.header("x-amzn-requestid"), whole.header("freehold-call-id"));

        let streamed = invoke(&freehold, workflow, "invoke-with-response-stream", ASKED);
        assert_eq!(streamed.header("content-type"), Some("application/vnd.amazon.eventstream"));
        let events = chunks(&streamed.body);
        let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
        assert_eq!(message["content"][0]["text"], text, "{workflow}");
        let last = events.last().unwrap();
        assert_eq!(last["type"], "message_stop", "{workflow}");
        let metrics = &last["amazon-bedrock-invocationMetrics"];
        assert_eq!(metrics["outputTokenCount"], message["usage"]["output_tokens"], "{workflow}: {metrics}");
    }
    // Each with a line for what was sent and one for what was received.
    let lines = eventually("every call is booked", || Some(freehold.ledger()).filter(|all| all.len() == 16));
    assert!(lines.iter().all(|line| line["basis"] == "reported"), "{lines:?}");

    let busy = invoke(&freehold, "busy", "invoke", ASKED);
    assert_eq!((busy.status, busy.header("freehold-error")), (503, Some("upstream_overloaded")));
    assert!(busy.header("x-amzn-errortype").unwrap().starts_with("ServiceUnavailableException"));
    let unknown = invoke(&freehold, "nobody", "invoke", ASKED);
    assert!(unknown.header("x-amzn-errortype").unwrap().starts_with("ResourceNotFoundException"), "{}", unknown.text());
    let twice = ASKED.replacen('{', r#"{"model":"x","#, 1);
    let twice = invoke(&freehold, "openai", "invoke", &twice);
    assert_eq!(twice.status, 400);
    assert!(twice.json()["message"].as_str().unwrap().contains("the address names the model"), "{}", twice.text());
    let other = invoke(&freehold, "openai", "invoke", r#"{"prompt":"Hello","max_gen_len":9}"#);
    assert_eq!((other.status, other.header("freehold-error")), (400, Some("untranslatable")));
    assert!(other.json()["message"].as_str().unwrap().contains("`anthropic_version`"), "{}", other.text());
}

#[test]
fn another_vendors_body_reaches_bedrock_as_it_is_and_is_metered_by_what_its_head_counts() {
    let answer = r#"{"generation":"Hello.","stop_reason":"stop" }"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
         x-amzn-bedrock-input-token-count: 11\r\nx-amzn-bedrock-output-token-count: 7\r\n\r\n",
        answer.len()
    );
    let bedrock = RawProvider::answering([head.as_bytes(), answer.as_bytes()].concat());
    let site = Site::new("invoke-raw", &row("llama", "bedrock-converse", &format!("http://{}", bedrock.address), ""));
    let freehold = site.start();
    let body = "{ \"prompt\" : \"Hello\", \"max_gen_len\":30,\"x\":1e999}";
    let got = invoke(&freehold, "llama", "invoke", body);
    assert_eq!((got.status, got.text()), (200, answer));
    assert_eq!(got.header("x-amzn-bedrock-input-token-count"), Some("11"));
    assert_eq!(bedrock.last_body(), body.as_bytes());
    let sent = String::from_utf8_lossy(&bedrock.received()[0]).into_owned();
    assert!(sent.starts_with("POST /model/meta.llama%3A0%2Fx/invoke HTTP/1.1\r\n"), "{sent}");
    let lines = eventually("the call is booked", || Some(freehold.ledger()).filter(|lines| lines.len() == 2));
    let units = |meter: &str| lines.iter().find(|line| line["meter"] == meter).map(|line| line["units"].clone());
    assert_eq!((units("input"), units("output")), (Some(json!("11")), Some(json!("7"))), "{lines:?}");
    assert!(lines.iter().all(|line| line["basis"] == "reported"), "{lines:?}");
}

#[test]
fn a_guardrail_of_bedrocks_is_left_out_for_no_provider() {
    let answer = r#"{"id":"msg_1","type":"message","content":[],"usage":{"input_tokens":3,"output_tokens":1}}"#;
    let bedrock = RawProvider::answering_body("application/json", answer.as_bytes());
    let address = format!("http://{}", bedrock.address);
    let rows =
        [row("bedrock", "bedrock-converse", &address, ""), row("elsewhere", "openai-chat", &address, "")].concat();
    let site = Site::new("invoke-guarded", &rows);
    let freehold = site.start();
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("x-amzn-bedrock-guardrailidentifier", "gr-1"),
        ("x-amzn-bedrock-service-tier", "flex"),
    ];
    let ask = |workflow: &str| {
        request(freehold.gateway, "POST", &format!("/model/{workflow}/invoke"), &headers, ASKED.as_bytes())
    };
    let guarded = ask("bedrock");
    assert_eq!((guarded.status, guarded.text()), (200, answer));
    assert_eq!(bedrock.last_body(), ASKED.as_bytes());
    let sent = String::from_utf8_lossy(&bedrock.received()[0]).to_ascii_lowercase();
    assert!(sent.contains("x-amzn-bedrock-guardrailidentifier: gr-1\r\n"), "{sent}");
    assert!(sent.contains("x-amzn-bedrock-service-tier: flex\r\n"), "{sent}");
    let refused = ask("elsewhere");
    assert_eq!((refused.status, refused.header("freehold-error")), (400, Some("untranslatable")));
    assert!(refused.json()["message"].as_str().unwrap().contains("guardrail"), "{}", refused.text());
    assert_eq!(bedrock.received().len(), 1);
}

#[test]
fn a_model_of_anthropics_at_bedrock_is_sent_its_version_and_betas_in_the_body_and_the_rest_as_it_came() {
    let bedrock = RawProvider::answering_body(
        "application/json",
        br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}"#,
    );
    let address = format!("http://{}", bedrock.address);
    let site = Site::new("invoke-hosted", &row("hosted", "anthropic", &address, "quirks = \"bedrock-invoke\""));
    let freehold = site.start();
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "one-1, two-2"),
    ];
    let body = br#"{"model":"hosted","max_tokens":4,"stream":false,"messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = request(freehold.gateway, "POST", "/v1/messages?beta=true", &headers, body);
    assert_eq!((answer.status, &answer.json()["model"]), (200, &json!("hosted")), "{}", answer.text());
    assert_eq!(
        String::from_utf8(bedrock.last_body()).unwrap(),
        r#"{"anthropic_beta":["one-1","two-2"],"anthropic_version":"bedrock-2023-05-31","max_tokens":4,"messages":[{"role":"user","content":"Hi"}]}"#
    );
    let sent = String::from_utf8_lossy(&bedrock.received()[0]).to_ascii_lowercase();
    assert!(sent.starts_with("post /model/meta.llama%3a0%2fx/invoke http/1.1\r\n"), "{sent}");
    assert!(!sent.contains("anthropic-beta:") && !sent.contains("anthropic-version:"), "{sent}");
}
