//! Calls whose task panics or is dropped in the middle, through the real server and a provider made of a socket.

use std::net::SocketAddr;
use std::time::Duration;

use domain::{AttemptEnd, Blame, CallEnd, Cost, Entry, NanoUsd, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scripted::{Served, deploy};
use crate::spool::Durability;
use crate::trail::TRAP;

/// The budget of the workflow, and what 100 tokens of output cost: the hold, since input costs nothing.
const LIMIT: NanoUsd = NanoUsd(1_000_000_000);
const HOLD: NanoUsd = NanoUsd(100_000_000);

/// Serves calls to workflow `w`, which one provider answers with these pieces, a connection each call; a provider without
/// a last piece says nothing more and stays.
fn serve(name: &str, durability: Durability, pieces: &[String]) -> Served {
    let scratch = testkit::scratch_dir(name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let provider = runtime.block_on(provider(pieces.to_vec()));
    let text = format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{provider}\"\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\nbudget = {{ limit = \"1 USD\", per = \"total\" }}\n"
    );
    deploy(scratch, runtime, durability, LIMIT, &text)
}

async fn provider(pieces: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let pieces = pieces.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 65536];
                let _ = stream.read(&mut buffer).await;
                for piece in &pieces {
                    let _ = stream.write_all(piece.as_bytes()).await;
                    // Apart, so that each is a frame of its own to the gateway.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    address
}

impl Served {
    /// The one intent, the one record and the one end that a call with one attempt leaves, in this order.
    fn only_attempt(&self) -> (Record, CallEnd) {
        match &self.entries()[..] {
            [Entry::Intent(intent), Entry::Record(record), Entry::Call(end)] => {
                assert_eq!((&record.intent, end.call), (intent, intent.attempt.call));
                ((**record).clone(), (**end).clone())
            }
            other => panic!("{other:#?}"),
        }
    }
}

const OPENAI: &str = "/v1/chat/completions";
const OPENAI_BODY: &str = r#"{"model":"w","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}"#;

fn streamed(body: &str) -> String {
    body.replacen('{', r#"{"stream":true,"#, 1)
}

fn trap() -> &'static str {
    std::str::from_utf8(TRAP).unwrap()
}

/// A whole answer that says this.
fn whole(text: &str) -> String {
    let body = format!(
        r#"{{"id":"x","object":"chat.completion","model":"v","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":10,"total_tokens":13}}}}"#
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The head of a stream, then a chunk for each text.
fn chunks(texts: &[&str]) -> Vec<String> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let chunk = |text: &&str| {
        let event = format!(r#"{{"id":"c","model":"v","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
        let frame = format!("data: {event}\n\n");
        format!("{:x}\r\n{frame}\r\n", frame.len())
    };
    std::iter::once(head).chain(texts.iter().map(chunk)).collect()
}

#[test]
fn a_panic_before_the_head_is_a_500_whose_attempt_is_booked_at_its_hold() {
    for durability in [Durability::Batched, Durability::Exact] {
        let served = serve("edge-whole", durability, &[whole(trap())]);
        let answer = served.call(OPENAI, OPENAI_BODY);
        // What the client can read now, the books say already.
        assert_eq!(served.balance(), (HOLD, NanoUsd::ZERO));
        let (record, end) = served.only_attempt();
        assert_eq!((&record.end, &record.cost), (&AttemptEnd::Indeterminate, &Cost::AtMost(Some(HOLD))));
        assert_eq!(record.upstream_model, "v");
        let failure = end.failure.as_ref().unwrap();
        assert_eq!((end.status, &*failure.code, failure.blame), (500, "defect", Blame::Us));
        assert_eq!((end.cost, end.attempts, end.workflow), (HOLD, 1, Some("w".into())));

        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let call = format!(r#""call_id":"{}""#, end.call);
        for part in [&call, r#""code":"defect""#, r#""blame":"us""#, r#""billed":true"#, r#""type":"server_error""#] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        let metrics = served.gateway.metrics.text();
        for line in [
            "freehold_panics_total 1",
            r#"freehold_calls_total{workflow="w",endpoint="POST /v1/chat/completions",status="500"} 1"#,
            r#"freehold_attempts_total{model="m",cause="serve",end="indeterminate"} 1"#,
            "freehold_calls_in_flight 0",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
    }
}

#[test]
fn a_panic_in_a_stream_ends_it_with_an_error_in_every_dialect() {
    let anthropic = streamed(OPENAI_BODY);
    let gemini =
        r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"maxOutputTokens":100}}"#;
    for (path, body, frame) in [
        (OPENAI, &*streamed(OPENAI_BODY), "data: {\"error\":{"),
        ("/v1/messages", &*anthropic, "event: error\ndata: {\"type\":\"error\""),
        ("/v1beta/models/w:streamGenerateContent?alt=sse", gemini, "data: {\"error\":{"),
        ("/v1beta/models/w:streamGenerateContent", gemini, ",\n{\"error\":{"),
    ] {
        let served = serve("edge-stream", Durability::Batched, &chunks(&["Hello", trap()]));
        let answer = served.call(path, body);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("Hello"), "{path}: {answer}");
        assert!(!answer.contains(trap()), "{path}: {answer}");
        let (_, error) = answer.split_once(frame).unwrap_or_else(|| panic!("{path}: {answer}"));
        for part in [r#""code":"defect""#, r#""blame":"us""#, r#""billed":true"#] {
            assert!(error.contains(part), "{path}, {part}: {answer}");
        }
        for closing in ["[DONE]", "message_stop", "finishReason"] {
            assert!(!answer.contains(closing), "{path}: {answer}");
        }
        assert_eq!(served.balance(), (HOLD, NanoUsd::ZERO), "{path}");
        let (record, end) = served.only_attempt();
        assert_eq!(record.end, AttemptEnd::Indeterminate);
        assert_eq!((end.status, &*end.failure.unwrap().code), (200, "defect"), "{path}");
    }
}

#[test]
fn a_panic_right_after_the_head_of_a_stream_is_told_in_the_stream() {
    let served = serve("edge-first", Durability::Batched, &chunks(&[trap()]));
    let answer = served.call(OPENAI, &streamed(OPENAI_BODY));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"code\":\"defect\""), "{answer}");
    assert_eq!(served.balance(), (HOLD, NanoUsd::ZERO));
}

#[test]
fn the_process_goes_on_serving_after_a_panic_and_the_budget_holds() {
    let served = serve("edge-goes-on", Durability::Batched, &[whole(trap())]);
    let statuses: Vec<String> = (0..11).map(|_| served.call(OPENAI, OPENAI_BODY)[9..12].to_owned()).collect();
    // Ten holds fill the budget to the last nano-dollar; what is booked at most is spent.
    assert_eq!(statuses, [["500"; 10].as_slice(), &["429"]].concat());
    assert_eq!(served.balance(), (LIMIT, NanoUsd::ZERO));
    let records = served.entries().iter().filter(|entry| matches!(entry, Entry::Record(_))).count();
    assert_eq!(records, 10);
}

#[test]
fn an_answer_without_a_trap_is_booked_as_before() {
    let served = serve("edge-well", Durability::Batched, &[whole("Hello")]);
    let answer = served.call(OPENAI, OPENAI_BODY);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (record, end) = served.only_attempt();
    assert_eq!((record.cost.booked(), end.cost, end.failure), (NanoUsd(10_000_000), NanoUsd(10_000_000), None));
    assert_eq!(served.balance(), (NanoUsd(10_000_000), NanoUsd::ZERO));
}

#[test]
fn a_call_dropped_with_its_runtime_is_booked_at_its_hold_once() {
    let served = serve("edge-dropped", Durability::Batched, &chunks(&["Hello"]));
    let body = streamed(OPENAI_BODY);
    let head = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer fh_ab_secret\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(served.address).unwrap();
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    let mut seen = Vec::new();
    while !seen.windows(5).any(|window| window == b"Hello") {
        let mut buffer = [0; 4096];
        let read = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    assert_eq!(served.balance(), (NanoUsd::ZERO, HOLD));

    let Served { gateway, address, scratch, runtime } = served;
    runtime.shutdown_timeout(Duration::from_secs(10));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let served = Served { gateway, address, scratch, runtime };
    assert_eq!(served.balance(), (HOLD, NanoUsd::ZERO));
    let (record, end) = served.only_attempt();
    assert_eq!((record.end, record.cost), (AttemptEnd::Indeterminate, Cost::AtMost(Some(HOLD))));
    assert_eq!((end.status, &*end.failure.unwrap().code), (200, "draining"));
}
