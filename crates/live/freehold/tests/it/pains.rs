//! What goes wrong for users of gateways, by the numbers of the list of pains that the project keeps: the cases that need
//! sockets. The others of translation, streaming and usage are in `crates/pure/wire/tests/matrix/pains.rs`. Of 13 what can be
//! shown is that a client's own labels and each attempt's id reach the provider's bill; Freehold puts no labels of its own there.
//! Those with a file of their own: 11 in `passed.rs` and `metering.rs`, 30 and 31 in `calls.rs` and `deadlines.rs`, 33 in
//! `metering.rs` ("cancelled"), 36 in `signatures.rs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use crate::harness::{RawProvider, Simulator, Site, eventually, run, text};
use crate::http::Connection;
use crate::tokens::{call_of, record};

/// One provider, its model and a workflow `w` of it.
fn configuration(dialect: &str, base_url: &str, workflow: &str) -> String {
    format!(
        "[providers.p]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"3.00\", output = \"15.00\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n{workflow}\n"
    )
}

#[test]
fn pain_9_litellm_27588_what_the_provider_says_it_cost_is_kept_beside_what_is_booked() {
    let answer = r#"{"id":"gen-1","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010,"cost":0.00275}}"#;
    let provider = RawProvider::answering_body("application/json", answer.as_bytes());
    let site = Site::new("pain-9", &configuration("openai-chat", &format!("http://{}/v1", provider.address), ""));
    let freehold = site.start();
    let record = record(&freehold, &call_of(&freehold.chat("w", "")));
    // 1,000 at 3 USD and 10 at 15 USD a million; the provider billed less. Both in nano-dollars.
    assert_eq!(
        (&record["provider_cost"], &record["cost"]["priced"]["total"]),
        (&2_750_000.into(), &3_150_000.into()),
        "{record}"
    );
    // 0.0004 of 0.00275 USD are more than half a percent: it is counted, told on the first page, and listed.
    assert!(
        freehold.metrics().contains("freehold_provider_cost_differences_total{model=\"m\"} 1"),
        "{}",
        freehold.metrics()
    );
    let listed = || {
        let (code, out) = run(&["ledger", "export", "--differing", "--output", "json", "--data", &text(&site.data())]);
        assert_eq!(code, 0, "{out}");
        out.lines().count()
    };
    assert_eq!(eventually("the difference is listed", || Some(listed()).filter(|lines| *lines > 0)), 2);
    let overview = freehold.admin("/api/v1/overview").to_string();
    assert!(
        overview.contains("\"provider_cost\"") && overview.contains("their provider says 0.00275 USD"),
        "{overview}"
    );
}

#[test]
fn pain_5_litellm_15740_a_response_of_a_translated_provider_is_booked_once() {
    let answer = r#"{"id":"m","type":"message","role":"assistant","model":"v","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":2}}"#;
    let provider = RawProvider::answering_body("application/json", answer.as_bytes());
    let site = Site::new("pain-5", &configuration("anthropic", &format!("http://{}/v1", provider.address), ""));
    let freehold = site.start();
    assert_eq!(freehold.post("/v1/responses", r#"{"model":"w","input":"Hello"}"#).status, 200);
    assert_eq!(freehold.stop(), Some(0));
    let rows = crate::harness::ledger(&site.data());
    let attempts: std::collections::BTreeSet<_> = rows.iter().map(|row| row["attempt"].to_string()).collect();
    assert_eq!((attempts.len(), provider.received().len()), (1, 1));
    // 10 × 3000 + 2 × 15000, each meter once.
    let amounts: Vec<_> = rows.iter().map(|row| row["amount"].as_str().unwrap()).collect();
    assert_eq!(amounts, ["0.000030000", "0.000030000"]);
}

#[test]
fn dimension_9_an_advisor_within_an_answer_is_booked_at_its_own_models_price() {
    let answer = r#"{"id":"m","type":"message","role":"assistant","model":"v","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":20,"inference_geo":"us","iterations":[{"type":"message","input_tokens":10,"output_tokens":20},{"type":"advisor_message","model":"ADVISOR","input_tokens":800,"output_tokens":500}]}}"#;
    let priced = "[models.advisor]\nprovider = \"p\"\nmodel = \"big\"\nprice = { input = \"5\", output = \"25\", region = [{ region = \"us\", multiplier = \"1.1\" }] }\n";
    // 10 × 3000 + 20 × 15000, and 800 × 5000 + 500 × 25000 a tenth dearer in the US; one that is not configured stands at the
    // price of the model asked, which has no region of its own: 810 × 3000 + 520 × 15000.
    for (advisor, kind, nano_usd) in [("big", "priced", 330_000 + 18_150_000), ("other", "unpriced", 10_230_000)] {
        let provider = RawProvider::answering_body("application/json", answer.replace("ADVISOR", advisor).as_bytes());
        let base = format!("http://{}/v1", provider.address);
        let site = Site::new("dimension-9", &configuration("anthropic", &base, priced));
        let freehold = site.start();
        let record = record(&freehold, &call_of(&freehold.chat("w", "")));
        let lines = record["cost"][kind]["lines"].as_array().unwrap_or_else(|| panic!("{record}"));
        let booked: i64 = lines.iter().map(|line| line["amount"].as_i64().unwrap()).sum();
        assert_eq!((booked, &record["usage"]["output"]), (nano_usd, &520.into()), "{record}");
    }
}

#[test]
fn pain_13_what_a_client_writes_on_the_providers_bill_reaches_it_and_each_attempt_is_named_to_it() {
    let converse = r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}"#;
    let content = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}"#;
    for (dialect, version, answer, path, body, label) in [
        (
            "bedrock-converse",
            "",
            converse,
            "/model/w/converse",
            r#"{"messages":[{"role":"user","content":[{"text":"x"}]}],"requestMetadata":{"team":"claims"}}"#,
            r#""requestMetadata":{"team":"claims"}"#,
        ),
        (
            "gemini",
            "/v1beta",
            content,
            "/v1beta/models/w:generateContent",
            r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}],"labels":{"team":"claims"}}"#,
            r#""labels":{"team":"claims"}"#,
        ),
    ] {
        let provider = RawProvider::answering_body("application/json", answer.as_bytes());
        let base_url = format!("http://{}{version}", provider.address);
        let site = Site::new(&format!("pain-13-{dialect}"), &configuration(dialect, &base_url, ""));
        let freehold = site.start();
        let answered = freehold.post(path, body);
        assert_eq!((answered.status, answered.header("freehold-loss")), (200, None), "{dialect}: {}", answered.text());
        let sent = String::from_utf8(provider.received().pop().unwrap()).unwrap();
        assert!(sent.contains(label), "{dialect}: {sent}");
        let call = call_of(&answered);
        let named = sent.lines().find(|line| line.to_ascii_lowercase().starts_with("x-client-request-id:"));
        assert!(named.is_some_and(|line| line.contains(&call)), "{dialect}: {named:?} for {call}");
    }
}

/// A provider that begins a stream and then waits: what it sends, and when, a test says.
struct Slow {
    address: SocketAddr,
    say: mpsc::Sender<&'static str>,
}

impl Slow {
    fn start() -> Slow {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (say, said) = mpsc::channel::<&'static str>();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&mut stream);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            for text in said {
                let _ = stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
                let _ = stream.flush();
            }
            let _ = stream.write_all(b"0\r\n\r\n");
        });
        Slow { address, say }
    }
}

fn read_request(stream: &mut TcpStream) {
    let (mut got, mut buffer) = (Vec::new(), [0; 4096]);
    // The body of these requests ends with its only last brace.
    while !got.ends_with(b"}]}") && !got.ends_with(b"true}") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the request is whole");
        got.extend_from_slice(&buffer[..read]);
    }
}

const STREAMED: &str = r#"{"model":"w","messages":[{"role":"user","content":"x"}],"stream":true}"#;

#[test]
fn pain_32_a_model_that_does_not_begin_in_time_is_left_for_the_next() {
    // It takes the request and says nothing, for as long as it is asked.
    let silent = Slow::start();
    let chat = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let ready = RawProvider::answering_body("text/event-stream", chat.as_bytes());
    let row = |name: &str, address: SocketAddr| {
        format!(
            "[providers.{name}]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\n\
             price = {{ input = \"3.00\", output = \"15.00\" }}\n\n[lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\n\
             pick = \"best\"\n\n"
        )
    };
    let workflow = "[criticality.c]\nlanes = [\"silent\", \"ready\"]\n\n[workflows.w]\ncriticality = \"c\"\n\
                    timeouts = { first_token_ms = 300 }\n";
    let site = Site::new("pain-32", &(row("silent", silent.address) + &row("ready", ready.address) + workflow));
    let freehold = site.start();
    let answer = freehold.post("/v1/chat/completions", STREAMED);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("\"content\":\"hi\""), "{}", answer.text());
    let call = call_of(&answer);
    assert_eq!(record(&freehold, &call)["model"], "ready");
    let shown = freehold.admin(&format!("/api/v1/calls/{call}")).to_string();
    assert!(shown.contains("first_token_timeout"), "{shown}");
    drop(silent.say);
}

#[test]
fn pain_37_each_frame_reaches_the_client_before_the_provider_sends_the_next() {
    let slow = Slow::start();
    let site = Site::new("pain-37", &configuration("openai-chat", &format!("http://{}/v1", slow.address), ""));
    let freehold = site.start();
    let mut connection = Connection::open(freehold.gateway).unwrap();
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    connection.send("POST", "/v1/chat/completions", &headers, STREAMED.as_bytes()).unwrap();
    let frames = [
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n",
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"two\"}}]}\n\n",
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"three\"},\"finish_reason\":\"stop\"}]}\n\n",
    ];
    for (frame, word) in frames.into_iter().zip(["one", "two", "three"]) {
        slow.say.send(frame).unwrap();
        if word == "one" {
            assert_eq!(connection.head().unwrap().status, 200);
        }
        // Were it held back, this would wait for a frame that is sent only afterwards.
        let chunk = connection.chunk().unwrap().unwrap();
        let text = String::from_utf8(chunk).unwrap();
        assert!(text.contains(&format!("\"content\":\"{word}\"")), "{text}");
    }
    slow.say.send("data: [DONE]\n\n").unwrap();
    drop(slow.say);
    let last = connection.chunk().unwrap().unwrap();
    assert!(String::from_utf8(last).unwrap().contains("[DONE]"));
}

/// Simulated providers of one dialect each, a workflow `w` over the lanes named.
fn simulated(simulator: &Simulator, rows: &[(&str, &str, &str)]) -> String {
    let row = |(name, dialect, version): &(&str, &str, &str)| {
        format!(
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{}/{name}{version}\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\n\
             price = {{ input = \"3.00\", output = \"15.00\" }}\n\n[lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\n\
             pick = \"best\"\n\n",
            simulator.address
        )
    };
    let lanes: Vec<String> = rows.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    let workflow = format!("[criticality.c]\nlanes = [{}]\n\n[workflows.w]\ncriticality = \"c\"\n", lanes.join(", "));
    rows.iter().map(row).collect::<String>() + &workflow
}

#[test]
fn pain_5_a_response_of_a_translated_provider_is_booked_once() {
    let scratch = testkit::scratch_dir("pain-5");
    let simulator = Simulator::start(scratch.path(), "[providers.claude]\n");
    let site = Site::new("pain-5-site", &simulated(&simulator, &[("claude", "anthropic", "/v1")]));
    let freehold = site.start();
    for body in [r#"{"model":"w","input":"x"}"#, r#"{"model":"w","input":"x","stream":true}"#] {
        let call = call_of(&freehold.post("/v1/responses", body));
        let rows = eventually("it is in the ledger", || {
            let of_call = |row: &serde_json::Value| row["attempt"].as_str().is_some_and(|id| id.starts_with(&call));
            Some(freehold.ledger().into_iter().filter(of_call).collect::<Vec<_>>()).filter(|rows| !rows.is_empty())
        });
        let mut meters: Vec<&str> = rows.iter().map(|row| row["meter"].as_str().unwrap()).collect();
        meters.sort_unstable();
        assert_eq!(meters, ["input", "output"], "one line a meter: {rows:?}");
    }
    assert_eq!(simulator.transcript().len(), 2);
}

#[test]
fn pain_12_and_34_what_a_503_and_a_429_left_behind_stands_under_who_asked_and_what_was_asked() {
    let scratch = testkit::scratch_dir("pain-12");
    let scenario = "[[providers.full.faults]]\nkind = \"overloaded\"\n\n[[providers.busy.faults]]\nkind = \"rate_limited\"\n\
                    retry_after_ms = 60000\n\n[providers.good]\n";
    let simulator = Simulator::start(scratch.path(), scenario);
    let rows = [("full", "openai-chat", "/v1"), ("busy", "anthropic", "/v1"), ("good", "gemini", "/v1beta")];
    let site = Site::new("pain-12-site", &simulated(&simulator, &rows));
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("good")), "{}", answer.text());
    let call = call_of(&answer);
    record(&freehold, &call);
    let view = freehold.admin(&format!("/api/v1/calls/{call}"));
    let records: Vec<_> = view["entries"].as_array().unwrap().iter().filter(|one| one["kind"] == "record").collect();
    for (model, status) in [("full", 503), ("busy", 429), ("good", 200)] {
        let own: Vec<_> = records.iter().filter(|record| record["model"] == model).collect();
        assert!(!own.is_empty(), "{model}: {view}");
        for record in own {
            let (workflow, told) = (record["workflow"].as_str(), record["status"].as_u64());
            assert_eq!((workflow, told), (Some("w"), Some(status)), "{record}");
            assert!(record["key"].as_str().is_some_and(|key| !key.is_empty()), "{record}");
        }
    }
}

#[test]
fn pain_50_an_anthropic_client_counts_tokens_at_bedrock() {
    let scratch = testkit::scratch_dir("pain-50");
    let simulator = Simulator::start(scratch.path(), "[providers.bedrock]\n");
    let site = Site::new("pain-50-site", &simulated(&simulator, &[("bedrock", "bedrock-converse", "")]));
    let freehold = site.start();
    let body = r#"{"model":"w","messages":[{"role":"user","content":"A storm in May broke the roof."}]}"#;
    let counted = freehold.post("/v1/messages/count_tokens", body);
    assert!(counted.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{}", counted.text());
    assert_eq!(counted.header("freehold-estimated"), Some("input_tokens"));
}
