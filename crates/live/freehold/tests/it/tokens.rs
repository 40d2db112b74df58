//! What no provider reported is counted with the model's public tokenizer, and said to be an estimate with its error.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::{Freehold, RawProvider, Simulator, Site, eventually};
use crate::http::{Answer, Connection, request};

/// 9 tokens of o200k_base, which OpenAI bills as 10 (gateway/src/tokens/examples.rs).
const GREETING: &str = "Hello! How can I assist you today?";
/// The prompt of [`Freehold::chat`] as OpenAI's cookbook counts it: three for the message, `user`, `Hello`, three for the
/// prompt.
const PROMPT_TOKENS: u64 = 8;

fn configuration(address: SocketAddr, base: &str, tokenizer: &str) -> String {
    format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}{base}\"\n\
         api_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"3.00\", output = \"15.00\" }}\n{tokenizer}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"cheapest\"\n\n\
         [criticality.w]\nlanes = [\"l\"]\n\n[workflows.w]\ncriticality = \"w\"\n"
    )
}

const O200K: &str = "tokenizer = \"o200k_base\"";

/// The last record of a call.
pub fn record(freehold: &Freehold, call: &str) -> Value {
    eventually("the call reaches the store", || {
        let authorization = format!("Bearer {}", freehold.admin_token);
        let path = format!("/api/v1/calls/{call}");
        let answer = request(freehold.console, "GET", &path, &[("authorization", &authorization)], b"");
        let view = (answer.status == 200).then(|| answer.json()).filter(|view| !view["end"].is_null())?;
        view["entries"].as_array().unwrap().iter().rfind(|entry| entry["kind"] == "record").cloned()
    })
}

/// The call's id.
pub fn call_of(answer: &Answer) -> String {
    answer.header("freehold-call-id").unwrap().to_owned()
}

/// Input, output and the declared error of an estimate.
fn estimate(record: &Value) -> (u64, u64, u64) {
    let error = record["usage_origin"]["estimated"]["error_percent"].as_u64();
    let tokens = |meter: &str| record["usage"][meter].as_u64().unwrap_or(0);
    (tokens("input"), tokens("output"), error.unwrap_or_else(|| panic!("an estimate says so: {record}")))
}

fn frame(content: &str) -> String {
    let chunk = serde_json::json!({"id": "c", "model": "v", "choices": [{"index": 0, "delta": {"content": content}}]});
    format!("data: {chunk}\n\n")
}

fn within(estimate: u64, truth: u64, error_percent: u64) -> bool {
    estimate.abs_diff(truth) * 100 <= estimate * error_percent
}

#[test]
fn a_provider_that_never_reports_usage_is_booked_by_its_models_tokenizer() {
    let site = Site::new("tokens-missing", "");
    let scenario = "seed = 7\n\n[providers.quiet]\ndialect = \"openai-chat\"\noutput_tokens = 400\n\n\
                    [[providers.quiet.faults]]\nkind = \"usage_missing\"\n";
    let simulator = Simulator::start(site.scratch.path(), scenario);
    site.configure(&configuration(simulator.address, "/quiet/v1", O200K));
    let freehold = site.start();
    let tokenizer = tiktoken_rs::o200k_base().unwrap();

    let whole = freehold.chat("w", "");
    let text = whole.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let streamed = freehold.chat("w", r#","stream":true"#);
    let events =
        streamed.text().lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let streamed_text: String = events
        .filter_map(|data| {
            let chunk: Value = serde_json::from_str(data).unwrap();
            Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
        })
        .collect();
    for (answer, text) in [(whole, text), (streamed, streamed_text)] {
        assert!(text.len() > 500, "{text}");
        let (input, output, error) = estimate(&record(&freehold, &call_of(&answer)));
        let truth = tokenizer.count_ordinary(&text) as u64;
        assert_eq!(input, PROMPT_TOKENS);
        assert!(within(input + output, PROMPT_TOKENS + truth, error), "{output} for {truth} ± {error} %");
        assert!(error <= 2, "a text that was seen whole is counted almost exactly: {error} %");
    }
}

#[test]
fn a_stream_that_is_cut_is_booked_by_what_came_of_it() {
    let text = "half an answer, with a line\nbreak, \"quotes\" and é";
    let frames: String = [&text[..20], &text[20..]].iter().map(|part| frame(part)).collect();
    let cut = RawProvider::answering_body("text/event-stream", frames.as_bytes());
    let site = Site::new("tokens-cut", &configuration(cut.address, "/v1", O200K));
    let freehold = site.start();
    let answer = freehold.chat("w", r#","stream":true"#);
    assert!(answer.text().contains("upstream_cut"), "{}", answer.text());
    let record = record(&freehold, &call_of(&answer));
    let (input, output, error) = estimate(&record);
    let truth = tiktoken_rs::o200k_base().unwrap().count_ordinary(text) as u64;
    assert_eq!(input, PROMPT_TOKENS);
    assert!(within(input + output, PROMPT_TOKENS + truth, error) && error <= 15, "{output} for {truth} ± {error} %");
}

#[test]
fn a_response_that_is_cut_is_booked_by_what_came_of_it() {
    let text = "half an answer, with a line\nbreak, \"quotes\" and é";
    let frames: String = [&text[..20], &text[20..]]
        .iter()
        .map(|part| {
            let event = serde_json::json!({"type": "response.output_text.delta", "output_index": 0, "delta": part});
            format!("event: response.output_text.delta\ndata: {event}\n\n")
        })
        .collect();
    let cut = RawProvider::answering_body("text/event-stream", frames.as_bytes());
    let configuration = configuration(cut.address, "/v1", O200K).replace("openai-chat", "openai-responses");
    let site = Site::new("tokens-response-cut", &configuration);
    let freehold = site.start();
    let answer = freehold.post("/v1/responses", r#"{"model":"w","input":"Hello","stream":true}"#);
    assert!(answer.text().contains("upstream_cut"), "{}", answer.text());
    let record = record(&freehold, &call_of(&answer));
    let (input, output, error) = estimate(&record);
    let truth = tiktoken_rs::o200k_base().unwrap().count_ordinary(text) as u64;
    assert_eq!(input, PROMPT_TOKENS);
    assert!(within(input + output, PROMPT_TOKENS + truth, error) && error <= 15, "{output} for {truth} ± {error} %");
}

#[test]
fn a_call_whose_client_went_away_is_booked_by_what_it_was_sent() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 65536];
        let _ = stream.read(&mut buffer).unwrap();
        let frame = frame(GREETING);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        write!(stream, "{:x}\r\n{frame}\r\n", frame.len()).unwrap();
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let site = Site::new("tokens-gone", &configuration(address, "/v1", O200K));
    let freehold = site.start();
    let authorization = format!("Bearer {}", freehold.key);
    let mut connection = Connection::open(freehold.gateway).unwrap();
    let body = br#"{"model":"w","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    connection.send("POST", "/v1/chat/completions", &[("authorization", &authorization)], body).unwrap();
    let head = connection.head().unwrap();
    let call = head.headers.iter().find(|(name, _)| name == "freehold-call-id").unwrap().1.clone();
    assert!(String::from_utf8(connection.chunk().unwrap().unwrap()).unwrap().contains("Hello!"));
    drop(connection);
    let record = record(&freehold, &call);
    assert_eq!(record["end"], "cancelled", "{record}");
    let (input, output, error) = estimate(&record);
    assert_eq!((input, output), (PROMPT_TOKENS, 10));
    assert!((1..=20).contains(&error), "{error} %");
}

#[test]
fn a_count_that_no_provider_gives_is_made_with_the_models_tokenizer_and_says_its_error() {
    let provider = RawProvider::answering_body("application/json", b"{}");
    let text =
        "How many tokens has this sentence, with numbers (12,345) and a German word, Versicherungsfall?".repeat(20);
    let tokenizer = tiktoken_rs::o200k_base().unwrap();
    // Three for the message and three for the prompt (OpenAI's cookbook), and its role.
    let truth = tokenizer.count_ordinary(&text) as u64 + 7;
    let messages = format!(r#"{{"model":"w","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let contents = format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"{text}"}}]}}]}}"#);
    let request = format!(r#"{{"generateContentRequest":{contents}}}"#);
    let asked = [
        ("/v1/messages/count_tokens", &messages, "input_tokens"),
        ("/v1beta/models/w:countTokens", &contents, "totalTokens"),
        ("/v1beta/models/w:countTokens", &request, "totalTokens"),
    ];
    for (tokenizer, exact) in [(O200K, true), ("", false)] {
        let site = Site::new("tokens-asked", &configuration(provider.address, "/v1", tokenizer));
        let freehold = site.start();
        for (path, body, field) in asked {
            let answer = freehold.post(path, body);
            assert_eq!(answer.header("freehold-estimated"), Some("input_tokens"), "{path}: {}", answer.text());
            let error: u64 = answer.header("freehold-estimated-error-percent").unwrap().parse().unwrap();
            let count = answer.json()[field].as_u64().unwrap();
            match exact {
                true => assert!(count == truth && error == 1, "{path}: {count} ± {error} % for {truth}"),
                false => {
                    assert!(count != truth && error == 300, "{path}: nothing was learned yet: {count} ± {error} %")
                }
            }
        }
    }
    assert!(provider.received().is_empty(), "nothing is sent to have it counted");
}

#[test]
fn a_model_without_a_tokenizer_is_estimated_by_bytes() {
    let body = format!(
        r#"{{"id":"x","object":"chat.completion","model":"v","choices":[{{"index":0,"message":{{"role":"assistant","content":"{GREETING}"}},"finish_reason":"stop"}}]}}"#
    );
    let quiet = RawProvider::answering_body("application/json", body.as_bytes());
    let site = Site::new("tokens-none", &configuration(quiet.address, "/v1", ""));
    let freehold = site.start();
    let (_, output, error) = estimate(&record(&freehold, &call_of(&freehold.chat("w", ""))));
    assert_eq!((output, error), ((GREETING.len() as u64).div_ceil(4), 300), "nothing was learned yet");
}
