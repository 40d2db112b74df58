//! What goes wrong when a script says so, as it looks on the wire.

use serde_json::json;
use simulator::transcript::State;

use crate::client::{CHAT, MESSAGES, ask, ask_with, chat, message, simulator};

async fn with_fault(fault: &str) -> simulator::Simulator {
    simulator(&format!("[providers.p]\n[[providers.p.faults]]\n{fault}\n")).await
}

fn streamed() -> serde_json::Value {
    json!({"stream": true})
}

#[tokio::test]
async fn a_rate_limit_comes_with_the_headers_of_its_dialect() {
    let limits = "[providers.p]\nlimits = { requests = 500, tokens = 30000 }\n[[providers.p.faults]]\nkind = \"rate_limited\"\nretry_after_ms = 1500\n";
    let simulator = simulator(limits).await;
    let openai = ask(&simulator, CHAT, chat(json!({}))).await;
    assert_eq!((openai.status, openai.header("retry-after"), openai.header("retry-after-ms")), (429, "2", "1500"));
    assert_eq!(
        (openai.header("x-ratelimit-limit-requests"), openai.header("x-ratelimit-remaining-requests")),
        ("500", "0")
    );
    assert_eq!(openai.json()["error"]["code"], "rate_limit_exceeded");
    assert!(openai.has_header("x-request-id"));
    let anthropic = ask(&simulator, MESSAGES, message(json!({}))).await;
    assert_eq!((anthropic.status, anthropic.header("retry-after")), (429, "2"));
    assert_eq!(anthropic.header("anthropic-ratelimit-tokens-limit"), "30000");
    assert_eq!(anthropic.json()["error"]["type"], "rate_limit_error");
    assert_eq!(anthropic.json()["request_id"], anthropic.header("request-id"));
}

#[tokio::test]
async fn every_refusal_has_its_status_in_each_dialect() {
    let rows = [
        ("quota_exhausted", 429, 400),
        ("payment_required", 402, 402),
        ("unauthorized", 401, 401),
        ("forbidden", 403, 403),
        ("model_missing", 404, 404),
        ("context_too_long", 400, 400),
        ("content_policy", 400, 400),
        ("bad_request", 400, 400),
        ("server_error", 500, 500),
        ("bad_gateway", 502, 502),
        ("unavailable", 503, 503),
        ("overloaded", 503, 529),
    ];
    for (kind, openai, anthropic) in rows {
        let simulator = with_fault(&format!("kind = \"{kind}\"")).await;
        let got = ask(&simulator, CHAT, chat(streamed())).await;
        assert_eq!((got.status, got.complete), (openai, true), "{kind}");
        assert!(kind == "bad_gateway" || got.json()["error"]["message"].is_string(), "{kind}");
        let got = ask(&simulator, MESSAGES, message(json!({}))).await;
        assert_eq!(got.status, anthropic, "{kind}");
        assert!(kind == "bad_gateway" || got.json()["error"]["type"].is_string(), "{kind}");
        let states: Vec<State> = simulator.transcript().iter().map(|exchange| exchange.state).collect();
        assert_eq!(states, [State::Refused, State::Refused], "{kind}");
    }
}

#[tokio::test]
async fn what_a_request_gets_wrong_is_refused_without_a_fault() {
    let simulator = simulator("[providers.p]\nkeys = [\"sk-right\"]\nmodels = [\"m\"]\ncontext_tokens = 10").await;
    assert_eq!(ask(&simulator, CHAT, chat(json!({}))).await.status, 401);
    let right = "authorization: Bearer sk-right\r\n";
    assert_eq!(ask_with(&simulator, CHAT, right, chat(json!({}))).await.status, 200);
    assert_eq!(ask_with(&simulator, MESSAGES, "x-api-key: sk-right\r\n", message(json!({}))).await.status, 200);
    let unknown = ask_with(&simulator, CHAT, right, chat(json!({"model": "x"}))).await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("model_not_found")));
    let long = json!({"messages": [{"role": "user", "content": "long ".repeat(100)}]});
    let long = ask_with(&simulator, MESSAGES, right, message(long)).await;
    assert!(long.status == 400 && long.body.contains("prompt is too long: 125 tokens > 10 maximum"), "{long:?}");
    let empty = ask_with(&simulator, CHAT, right, json!({"model": "m"})).await;
    assert_eq!((empty.status, &empty.json()["error"]["param"]), (400, &json!("messages")));
}

#[tokio::test]
async fn a_reset_before_headers_leaves_nothing() {
    let simulator = with_fault("kind = \"reset_before_headers\"").await;
    let answer = ask(&simulator, CHAT, chat(json!({}))).await;
    assert!(answer.status == 0 && answer.reset, "{answer:?}");
    assert_eq!(simulator.transcript()[0].state, State::Broken);
}

#[tokio::test]
async fn a_reset_after_headers_leaves_a_head_and_no_end() {
    let simulator = with_fault("kind = \"reset_after_headers\"").await;
    for body in [json!({}), streamed()] {
        let answer = ask(&simulator, CHAT, chat(body)).await;
        assert!(answer.status == 200 && answer.reset && !answer.complete && answer.body.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_reset_midway_lets_the_frames_before_it_through() {
    let simulator = with_fault("kind = \"reset_midway\"\nafter_frames = 3").await;
    let answer = ask(&simulator, CHAT, chat(streamed())).await;
    assert!(answer.reset && !answer.complete, "{answer:?}");
    assert_eq!(answer.events().len(), 4, "the role and three with content");
    let whole = ask(&simulator, CHAT, chat(json!({}))).await;
    assert!(whole.reset && !whole.complete && !whole.body.is_empty(), "{whole:?}");
}

#[tokio::test]
async fn a_cut_stream_ends_properly_without_its_closing_event() {
    let simulator = with_fault("kind = \"cut\"\nafter_frames = 2").await;
    let answer = ask(&simulator, CHAT, chat(streamed())).await;
    assert!(answer.complete && !answer.reset && !answer.body.contains("[DONE]"), "{answer:?}");
    assert_eq!(answer.events().len(), 3);
    let answer = ask(&simulator, MESSAGES, message(streamed())).await;
    assert!(answer.complete && !answer.body.contains("message_stop"));
    let whole = ask(&simulator, CHAT, chat(json!({}))).await;
    assert!(whole.complete && serde_json::from_str::<serde_json::Value>(&whole.body).is_err());
    assert!(simulator.transcript().iter().all(|exchange| exchange.state == State::Broken));
}

#[tokio::test]
async fn errors_come_inside_a_stream_and_inside_a_200() {
    let simulator = with_fault("kind = \"error_event\"\nafter_frames = 1").await;
    let answer = ask(&simulator, MESSAGES, message(streamed())).await;
    assert_eq!((answer.status, &answer.events().last().unwrap()["error"]["type"]), (200, &json!("overloaded_error")));
    assert!(answer.body.contains("event: error\n"));
    let answer = ask(&simulator, CHAT, chat(streamed())).await;
    assert!(answer.events().last().unwrap()["error"]["message"].is_string());
    let simulator = with_fault("kind = \"error_in_ok\"").await;
    let answer = ask(&simulator, CHAT, chat(json!({}))).await;
    assert!(answer.status == 200 && answer.json()["error"]["message"].is_string());
}

#[tokio::test]
async fn a_malformed_frame_stands_where_the_script_says() {
    let simulator = with_fault("kind = \"malformed\"\nafter_frames = 1").await;
    let answer = ask(&simulator, CHAT, chat(streamed())).await;
    let lines: Vec<&str> = answer.body.lines().filter(|line| line.starts_with("data: {")).collect();
    let broken = lines.iter().position(|line| serde_json::from_str::<serde_json::Value>(&line[6..]).is_err());
    assert_eq!(broken, Some(2));
}

#[tokio::test]
async fn usage_is_missing_zero_or_wrong_on_demand() {
    let simulator = with_fault("kind = \"usage_missing\"").await;
    assert!(ask(&simulator, CHAT, chat(json!({}))).await.json().get("usage").is_none());
    assert!(!ask(&simulator, MESSAGES, message(streamed())).await.body.contains("usage"));
    assert_eq!(simulator.transcript()[0].usage, None);
    let simulator = with_fault("kind = \"usage_zero\"").await;
    assert_eq!(ask(&simulator, CHAT, chat(json!({}))).await.json()["usage"]["total_tokens"], 0);
    let simulator = with_fault("kind = \"usage_wrong\"").await;
    assert_eq!(ask(&simulator, CHAT, chat(json!({}))).await.json()["usage"]["completion_tokens"], 240);
    assert_eq!(simulator.transcript()[0].usage.unwrap().output, 240);
}

#[tokio::test]
async fn faults_keep_to_their_calls_their_share_and_their_model() {
    let simulator = simulator(
        "[providers.p]
        [[providers.p.faults]]
        kind = \"server_error\"
        calls = { from = 2, to = 3 }
        [[providers.p.faults]]
        kind = \"overloaded\"
        model = \"other\"
        [[providers.p.faults]]
        kind = \"unavailable\"
        calls = { from = 100 }
        percent = 30",
    )
    .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(&simulator, MESSAGES, message(json!({}))).await.status);
    }
    assert_eq!(statuses, [200, 500, 500, 200]);
    assert_eq!(ask(&simulator, MESSAGES, message(json!({"model": "other"}))).await.status, 529);
    let mut unavailable = 0;
    for _ in 5..300 {
        unavailable += u32::from(ask(&simulator, CHAT, chat(json!({"max_tokens": 1}))).await.status == 503);
    }
    // 200 calls are in the window; the seed decides which 30 % of them, so this is no matter of luck.
    assert!((40..=80).contains(&unavailable), "{unavailable}");
}

#[tokio::test]
async fn a_quota_serves_so_many_in_its_window() {
    let simulator = simulator("[providers.p]\nquota = { requests = 2, window_ms = 3600000 }").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(&simulator, CHAT, chat(json!({}))).await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn slowness_is_as_slow_as_scripted() {
    let simulator = with_fault("kind = \"slow_first_token\"\ndelay_ms = 60").await;
    let started = std::time::Instant::now();
    assert_eq!(ask(&simulator, CHAT, chat(streamed())).await.status, 200);
    assert!(started.elapsed().as_millis() >= 60);
    let simulator =
        crate::client::simulator("[providers.p]\nfirst_token_ms = 20\ntokens_per_second = 500\noutput_tokens = 26")
            .await;
    for body in [json!({}), streamed()] {
        let started = std::time::Instant::now();
        assert!(ask(&simulator, CHAT, chat(body)).await.complete);
        assert!(started.elapsed().as_millis() >= 70, "20 ms, then 25 tokens of 2 ms: {:?}", started.elapsed());
    }
}
