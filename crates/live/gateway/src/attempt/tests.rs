//! Calls whose first model stands still, through the real server and two providers made of sockets.

use std::net::SocketAddr;

use domain::{AttemptEnd, Cause, FaultClass, NanoUsd};

use crate::scripted::{Provider, When, serve, two_models};

const PATH: &str = "/v1/chat/completions";
const WHOLE: &str = r#"{"model":"w","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}"#;
const ANSWER: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"from b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

fn config(at: &[SocketAddr]) -> String {
    two_models(at, "", "timeouts = { total_ms = 4_000 }\nbudget = { limit = \"100 USD\", per = \"total\" }")
}

#[test]
fn a_whole_answer_that_does_not_come_leaves_the_next_model_half_of_the_calls_time() {
    let (a, b) = (Provider::new(), Provider::new());
    let said = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let scripts = [(&a, When::Never, Vec::new()), (&b, When::AtOnce, vec![said])];
    let served = serve("stands-still", NanoUsd(100_000_000_000), &scripts, config);
    let answer = served.call(PATH, WHOLE);
    assert!(answer.contains("from b") && answer.contains("freehold-model: b"), "{answer}");
    let (records, end) = served.only_call();
    let ends: Vec<_> = records.iter().map(|record| (record.intent.model.as_str(), record.intent.cause)).collect();
    assert_eq!(ends, [("a", Cause::Serve), ("b", Cause::Failover)]);
    let AttemptEnd::Failed { class, after_content, .. } = &records[0].end else { panic!("{:?}", records[0].end) };
    assert_eq!((*class, *after_content), (FaultClass::FirstTokenTimeout, false));
    // Half of what was left when it began, which on a busy machine is less than half of the whole.
    assert!((1_000..3_500).contains(&records[0].latency_ms), "half of the call's time: {} ms", records[0].latency_ms);
    assert_eq!((end.attempts, end.failure.as_ref()), (2, None));
}

#[test]
fn the_last_model_has_all_the_time_that_is_left() {
    let (a, b) = (Provider::new(), Provider::new());
    let refuses = vec!["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()];
    let scripts = [(&a, When::AtOnce, refuses), (&b, When::Never, Vec::new())];
    let served = serve("stands-still-last", NanoUsd(100_000_000_000), &scripts, config);
    assert!(served.call(PATH, WHOLE).starts_with("HTTP/1.1 504"));
    let (records, _) = served.only_call();
    let AttemptEnd::Failed { class, .. } = &records[1].end else { panic!("{:?}", records[1].end) };
    assert_eq!(*class, FaultClass::TotalTimeout);
}
