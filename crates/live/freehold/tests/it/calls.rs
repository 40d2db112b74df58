//! A call from the client's side: answers in every dialect from every kind of provider, errors that say what to do,
//! failover, and what is booked.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{RawProvider, Site, eventually, files};
use crate::http::request;

const CHAT: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","error":null,"model":"v","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"usage":{"input_tokens":1000,"output_tokens":10,"total_tokens":1010}}"#;
const MESSAGE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"v","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1000,"output_tokens":10}}"#;
const CONTENT: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":10,"totalTokenCount":1010},"modelVersion":"v","responseId":"r"}"#;

fn provider(name: &str, dialect: &str, address: SocketAddr, region: &str) -> String {
    format!(
        "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/v1\"\n\
         api_key = {{ env = \"SIM_KEY\" }}\nregion = \"{region}\"\n\n\
         [models.{name}]\nprovider = \"{name}\"\nmodel = \"v-{name}\"\nprice = {{ input = \"3.00\", output = \"15.00\" }}\n\n\
         [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"cheapest\"\n\n"
    )
}

fn workflow(name: &str, lanes: &[&str], more: &str) -> String {
    let lanes = lanes.iter().map(|lane| format!("\"{lane}\"")).collect::<Vec<_>>().join(", ");
    format!("[criticality.{name}]\nlanes = [{lanes}]\n\n[workflows.{name}]\ncriticality = \"{name}\"\n{more}\n\n")
}

fn failing(status: &str, headers: &str, body: &str) -> RawProvider {
    let length = body.len();
    RawProvider::answering(
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .into_bytes(),
    )
}

#[test]
fn every_client_dialect_is_answered_by_every_provider_dialect_and_booked_alike() {
    let chat = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let responses = RawProvider::answering_body("application/json", RESPONSE.as_bytes());
    let messages = RawProvider::answering_body("application/json", MESSAGE.as_bytes());
    let contents = RawProvider::answering_body("application/json", CONTENT.as_bytes());
    let configuration = [
        provider("chat", "openai-chat", chat.address, "eu"),
        provider("responses", "openai-responses", responses.address, "eu"),
        provider("messages", "anthropic", messages.address, "eu"),
        provider("contents", "gemini", contents.address, "eu"),
        workflow("to-chat", &["chat"], ""),
        workflow("to-responses", &["responses"], ""),
        workflow("to-messages", &["messages"], ""),
        workflow("to-contents", &["contents"], ""),
    ]
    .concat();
    let site = Site::new("pairs", &configuration);
    let freehold = site.start();
    for workflow in ["to-chat", "to-responses", "to-messages", "to-contents"] {
        let answer = freehold.chat(workflow, r#","max_tokens":50"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["choices"][0]["message"]["content"], "hi");
        assert_eq!(body["model"], workflow);
        assert_eq!(body["usage"]["prompt_tokens"], 1000);
        assert!(answer.header("freehold-call-id").unwrap().starts_with("call_"));

        let body = format!(r#"{{"model":"{workflow}","max_output_tokens":50,"input":"Hello"}}"#);
        let answer = freehold.post("/v1/responses", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["output"][0]["content"][0]["text"], "hi");
        assert_eq!((&body["model"], &body["status"]), (&json!(workflow), &json!("completed")));
        assert_eq!(body["usage"]["input_tokens"], 1000);

        let body =
            format!(r#"{{"model":"{workflow}","max_tokens":50,"messages":[{{"role":"user","content":"Hello"}}]}}"#);
        let answer = freehold.post("/v1/messages", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["content"][0]["text"], "hi");
        assert_eq!(body["model"], workflow);
        assert_eq!(body["usage"]["input_tokens"], 1000);

        let body = r#"{"contents":[{"parts":[{"text":"Hello"}]}],"generationConfig":{"maxOutputTokens":50}}"#;
        let answer = freehold.post(&format!("/v1beta/models/{workflow}:generateContent"), body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["candidates"][0]["content"]["parts"][0]["text"], "hi");
        assert_eq!(body["modelVersion"], workflow);
        assert_eq!(body["usageMetadata"]["promptTokenCount"], 1000);
    }
    let sent = String::from_utf8(chat.received().pop().unwrap()).unwrap();
    assert!(sent.contains("authorization: Bearer sim-secret"), "{sent}");
    assert!(!sent.contains("fh_"), "our key never leaves: {sent}");
    let sent = String::from_utf8(messages.received().pop().unwrap()).unwrap();
    assert!(sent.contains("x-api-key: sim-secret") && sent.contains("anthropic-version: "), "{sent}");
    let sent = String::from_utf8(contents.received().pop().unwrap()).unwrap();
    assert!(sent.contains("x-goog-api-key: sim-secret") && sent.contains("/models/v-contents:generate"), "{sent}");
    assert_eq!(freehold.stop(), Some(0));

    let rows = crate::harness::ledger(&site.data());
    // 1000 input at 3 USD and 10 output at 15 USD per million are 0.00315 USD, whoever asked and whoever answered.
    let mut by_attempt = std::collections::BTreeMap::<String, i64>::new();
    for row in &rows {
        let amount: domain::NanoUsd = row["amount"].as_str().unwrap().parse().unwrap();
        *by_attempt.entry(row["attempt"].as_str().unwrap().to_owned()).or_default() += amount.0;
    }
    assert_eq!(by_attempt.values().copied().collect::<Vec<_>>(), [3_150_000; 16], "{rows:?}");
}

#[test]
fn a_translation_says_what_it_lost() {
    let messages = RawProvider::answering_body("application/json", MESSAGE.as_bytes());
    let configuration =
        [provider("messages", "anthropic", messages.address, "eu"), workflow("w", &["messages"], "")].concat();
    let site = Site::new("losses", &configuration);
    let freehold = site.start();
    let answer = freehold.chat("w", r#","max_tokens":50,"seed":7,"logit_bias":{"1":2}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let losses: Value = serde_json::from_str(answer.header("freehold-loss").expect("a loss is never silent")).unwrap();
    let pointers: Vec<_> = losses.as_array().unwrap().iter().map(|loss| loss["pointer"].as_str().unwrap()).collect();
    assert!(pointers.contains(&"/seed") && pointers.contains(&"/logit_bias"), "{losses}");
    let same =
        freehold.post("/v1/messages", r#"{"model":"w","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}"#);
    assert_eq!(same.header("freehold-loss"), None, "the same dialect loses nothing");
}

#[test]
fn pain_12_conductai_1562_a_failing_provider_is_survived_and_both_attempts_are_booked() {
    let broken = failing("500 Internal Server Error", "", r#"{"error":{"message":"boom"}}"#);
    let good = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let configuration = [
        provider("broken", "openai-chat", broken.address, "eu"),
        provider("good", "openai-chat", good.address, "eu"),
        workflow("w", &["broken", "good"], ""),
    ]
    .concat();
    let site = Site::new("failover", &configuration);
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("freehold-model"), Some("good"));
    let view = freehold.call(answer.header("freehold-call-id").unwrap());
    let records: Vec<&Value> =
        view["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "record").collect();
    let models: Vec<_> = records.iter().map(|record| record["model"].as_str().unwrap()).collect();
    assert_eq!(models.last(), Some(&"good"));
    assert!(models[..models.len() - 1].iter().all(|model| *model == "broken") && models.len() >= 2, "{models:?}");
    assert_eq!(records.last().unwrap()["cause"], "failover");
    assert!(records.last().unwrap()["decision"].as_str().unwrap().contains("broken"), "{records:?}");
    let balance: i64 = view["journal"].as_array().unwrap().iter().map(|line| line[1].as_i64().unwrap()).sum();
    assert_eq!(balance, 0, "the journal is balanced");
}

#[test]
fn a_clients_fault_is_told_to_the_client_and_goes_nowhere_else() {
    let strict = failing(
        "400 Bad Request",
        "",
        r#"{"error":{"message":"temperature must be below 2","type":"invalid_request_error","param":"temperature"}}"#,
    );
    let other = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let configuration = [
        provider("strict", "openai-chat", strict.address, "eu"),
        provider("other", "openai-chat", other.address, "eu"),
        workflow("w", &["strict", "other"], ""),
    ]
    .concat();
    let site = Site::new("client-fault", &configuration);
    let freehold = site.start();
    let answer = freehold.chat("w", r#","temperature":9"#);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("temperature must be below 2"), "{}", answer.text());
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!((strict.received().len(), other.received().len()), (1, 0));
}

#[test]
fn a_provider_that_quotes_the_prompt_in_its_error_is_heard_by_the_client_and_quoted_nowhere_else() {
    // What vLLM does with a request that does not validate.
    let body = br#"{"object":"error","message":"1 validation error: {'loc': ('body', 'messages', 0), 'input': {'role': 'user', 'content': 'The safe opens with 4711'}}","type":"BadRequestError","code":400}"#;
    let echoing = failing("400 Bad Request", "", std::str::from_utf8(body).unwrap());
    let configuration =
        [provider("echoing", "openai-chat", echoing.address, "eu"), workflow("w", &["echoing"], "")].concat();
    let site = Site::new("quoting", &configuration);
    let freehold = site.start();
    let asked = r#"{"model":"w","messages":[{"role":"user","content":"The safe opens with 4711"}]}"#;
    let answer = freehold.post("/v1/chat/completions", asked);
    assert!(answer.status == 400 && answer.text().contains("The safe opens with 4711"), "{}", answer.text());
    let view = freehold.call(answer.header("freehold-call-id").unwrap());
    assert!(view.to_string().contains("they quote the request"), "{view}");
    assert_eq!(freehold.stop(), Some(0));
    for (path, bytes) in files(&site.data()) {
        assert!(!bytes.windows(12).any(|piece| piece == b"opens with 4"), "{}", path.display());
    }
}

#[test]
fn every_refusal_names_a_code_somebody_to_blame_and_the_call() {
    let chat = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let configuration = [
        provider("chat", "openai-chat", chat.address, "us"),
        workflow("w", &["chat"], ""),
        workflow("nothing-yet", &["chat"], ""),
    ]
    .concat();
    let site = Site::new("refusals", &configuration);
    let freehold = site.start();
    let narrow = site.key(&["--label", "narrow", "--workflow", "nothing-yet"]);
    let body = r#"{"model":"w","messages":[{"role":"user","content":"Hello"}]}"#;
    let post = |key: &str, path: &str, body: &str| freehold.post_as(key, path, body);
    let key = freehold.key.clone();
    eventually("the new key is known", || (post(&narrow, "/v1/chat/completions", body).status != 401).then_some(()));
    let cases = [
        (post("fh_nobody_x", "/v1/chat/completions", body), 401, "key_unknown"),
        (post("sk-other", "/v1/chat/completions", body), 401, "key_unknown"),
        (post(&narrow, "/v1/chat/completions", body), 403, "not_allowed"),
        (post(&key, "/v1/chat/completions", &body.replace("\"w\"", "\"nowhere\"")), 404, "model_not_found"),
        (post(&key, "/v1/chat/completions", "{\"model\":"), 400, "bad_request"),
        (post(&key, "/v1/chat/completions", "{}"), 400, "bad_request"),
        (post(&key, "/v1/nothing", body), 404, "no_such_route"),
    ];
    for (answer, status, code) in cases {
        assert_eq!((answer.status, answer.header("freehold-error")), (status, Some(code)), "{}", answer.text());
        let error = answer.json()["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().len() > 10, "{error}");
        assert!(answer.header("freehold-call-id").unwrap().starts_with("call_"));
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    // The same in Anthropic's dialect, with the type its SDK maps to an exception.
    let answer = post("fh_nobody_x", "/v1/messages", body);
    let error = answer.json();
    assert_eq!(
        (error["type"].as_str(), error["error"]["type"].as_str()),
        (Some("error"), Some("authentication_error"))
    );
    // No credential, two credentials, a body that is no JSON by its own word, a method that does not fit.
    let send = |method: &str, headers: &[(&str, &str)]| {
        request(freehold.gateway, method, "/v1/chat/completions", headers, body.as_bytes())
    };
    assert_eq!(send("POST", &[]).header("freehold-error"), Some("key_missing"));
    let two = [("authorization", "Bearer fh_a_b"), ("x-api-key", "fh_c_d")];
    assert_eq!(send("POST", &two).header("freehold-error"), Some("credentials_conflict"));
    let authorization = format!("Bearer {key}");
    let plain = [("authorization", authorization.as_str()), ("content-type", "text/plain")];
    assert_eq!(send("POST", &plain).header("freehold-error"), Some("body_type"));
    let wrong = send("PUT", &[]);
    assert_eq!((wrong.header("freehold-error"), wrong.header("allow")), (Some("wrong_method"), Some("POST")));
    assert!(chat.received().is_empty(), "nothing refused is ever sent");
}

#[test]
fn what_clients_look_for_before_they_speak_is_answered() {
    let chat = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let configuration = [
        provider("chat", "openai-chat", chat.address, "us"),
        workflow("w", &["chat"], ""),
        "[aliases]\n\"gpt-4o\" = \"w\"\n".to_owned(),
    ]
    .concat();
    let site = Site::new("presence", &configuration);
    let freehold = site.start();
    assert_eq!(request(freehold.gateway, "HEAD", "/", &[], b"").status, 200);
    let authorization = format!("Bearer {}", freehold.key);
    let list = request(freehold.gateway, "GET", "/v1/models", &[("authorization", &authorization)], b"").json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["w", "gpt-4o", "lane:chat", "model:chat"]);
    let headers = [("x-api-key", freehold.key.as_str()), ("anthropic-version", "2023-06-01")];
    let list = request(freehold.gateway, "GET", "/v1/models", &headers, b"").json();
    assert_eq!((list["data"][0]["type"].as_str(), list["has_more"].as_bool()), (Some("model"), Some(false)));
    // An alias is answered under the name that was asked for.
    assert_eq!(freehold.chat("gpt-4o", "").json()["model"], "gpt-4o");
    // A provider that cannot count tokens is helped out, and it is said so.
    let counted = freehold
        .post("/v1/messages/count_tokens", r#"{"model":"w","messages":[{"role":"user","content":"Hello there"}]}"#);
    assert_eq!(counted.header("freehold-estimated"), Some("input_tokens"), "{}", counted.text());
    assert!(counted.json()["input_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn a_head_beyond_the_limit_is_refused_in_the_clients_dialect_and_one_within_it_is_served() {
    let chat = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let configuration = [
        "max_header_bytes = 8192\n".to_owned(),
        provider("chat", "openai-chat", chat.address, "us"),
        workflow("w", &["chat"], ""),
    ]
    .concat();
    let site = Site::new("long-head", &configuration);
    let freehold = site.start();
    let body = br#"{"model":"w","messages":[{"role":"user","content":"x"}]}"#;
    let ask = |padding: usize| {
        let padding = "x".repeat(padding);
        let headers = [("x-api-key", freehold.key.as_str()), ("content-type", "application/json"), ("x-pad", &padding)];
        request(freehold.gateway, "POST", "/v1/chat/completions", &headers, body)
    };
    assert_eq!(ask(7_800).status, 200);
    for padding in [8_192, 100_000] {
        let refused = ask(padding);
        assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (431, Some("head_too_large")));
        assert!(refused.text().contains("8192"), "{}", refused.text());
    }
    assert_eq!(chat.received().len(), 1);
}

#[test]
fn residency_holds_on_the_first_choice_and_on_failover() {
    let inside = failing("503 Service Unavailable", "", "{}");
    let outside = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let configuration = [
        provider("inside", "openai-chat", inside.address, "eu-de"),
        provider("outside", "openai-chat", outside.address, "us"),
        workflow("w", &["inside", "outside"], "residency = [\"eu\"]\n"),
    ]
    .concat();
    let site = Site::new("residency", &configuration);
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!inside.received().is_empty());
    assert!(outside.received().is_empty(), "a call must not leave its residency, whatever fails");
}

#[test]
fn a_client_that_goes_away_cancels_the_upstream_and_is_booked() {
    // A provider that sends one chunk of content and then nothing, noticing when its connection is closed.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, noticed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 65536];
        let _ = stream.read(&mut buffer).unwrap();
        let frame = "data: {\"id\":\"c\",\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello world\"}}]}\n\n";
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        write!(stream, "{:x}\r\n{frame}\r\n", frame.len()).unwrap();
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        closed.send(std::time::Instant::now()).unwrap();
    });
    let configuration = [provider("slow", "openai-chat", address, "eu"), workflow("w", &["slow"], "")].concat();
    let site = Site::new("gone", &configuration);
    let freehold = site.start();
    let mut connection = freehold.stream("w");
    assert!(String::from_utf8(connection.chunk().unwrap().unwrap()).unwrap().contains("hello world"));
    drop(connection);
    let left = std::time::Instant::now();
    let noticed = noticed.recv_timeout(std::time::Duration::from_secs(10)).expect("the upstream is cancelled");
    println!("upstream cancelled {} ms after the client left", noticed.saturating_duration_since(left).as_millis());
    let rows = eventually("what was spent is booked", || {
        let rows = freehold.ledger();
        (!rows.is_empty()).then_some(rows)
    });
    assert!(rows.iter().all(|row| row["end"] == "cancelled"), "{rows:?}");
    let meters: Vec<_> = rows.iter().map(|row| row["meter"].as_str().unwrap()).collect();
    assert_eq!(meters, ["input", "output"], "estimated from what was seen: {}", json!(rows));
}

#[test]
fn after_content_a_broken_response_ends_with_the_events_that_clients_wait_for() {
    let frame = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\
                 \"output_index\":0,\"content_index\":0,\"delta\":\"half an ans\",\"logprobs\":[],\"sequence_number\":4}\n\n";
    let cut = RawProvider::answering_body("text/event-stream", frame.as_bytes());
    let configuration = [provider("cut", "openai-responses", cut.address, "eu"), workflow("w", &["cut"], "")].concat();
    let site = Site::new("cut-response", &configuration);
    let freehold = site.start();
    let answer = freehold.post("/v1/responses", r#"{"model":"w","input":"x","stream":true}"#);
    assert_eq!(answer.status, 200);
    let rest = answer.text().strip_prefix(frame).unwrap_or_else(|| panic!("{}", answer.text()));
    let names: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["error", "response.failed"], "{rest}");
    assert!(rest.contains("upstream_cut"), "{rest}");
}

#[test]
fn after_content_a_broken_stream_that_may_not_go_on_ends_with_an_error_frame_and_is_booked() {
    let frame =
        "data: {\"id\":\"c\",\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half an ans\"}}]}\n\n";
    let cut = RawProvider::answering_body("text/event-stream", frame.as_bytes());
    let other = RawProvider::answering_body("application/json", CHAT.as_bytes());
    let configuration = [
        provider("cut", "openai-chat", cut.address, "eu"),
        provider("other", "openai-chat", other.address, "eu"),
        workflow("w", &["cut", "other"], "continuation = \"off\""),
    ]
    .concat();
    let site = Site::new("cut", &configuration);
    let freehold = site.start();
    let answer = freehold.chat("w", r#","stream":true"#);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("half an ans") && answer.text().contains("upstream_cut"), "{}", answer.text());
    assert!(other.received().is_empty(), "what the client has seen cannot be taken back");
}
