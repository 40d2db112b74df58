//! What the transcript says while and after things happen, and changing a script while it plays.

use std::time::Duration;

use serde_json::json;
use simulator::transcript::State;
use simulator::{Exchange, Simulator};
use tokio::io::AsyncReadExt;

use crate::client::{CHAT, MESSAGES, ask, ask_with, chat, get, message, read, send, simulator};

/// Looks until the first exchange is in this state; what is never so fails by the deadline.
async fn until(simulator: &Simulator, state: State) -> Exchange {
    let looking = async {
        loop {
            if let Some(exchange) = simulator.transcript().into_iter().next().filter(|exchange| exchange.state == state)
            {
                return exchange;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking)
        .await
        .unwrap_or_else(|_| panic!("{:?}", simulator.transcript()))
}

#[tokio::test]
async fn the_transcript_tells_who_asked_what_and_what_was_counted() {
    let simulator = simulator("[transcript]\nbodies = true\n[providers.p]").await;
    let headers = "x-client-request-id: call_0.1\r\nauthorization: Bearer secret\r\nx-odd: kept\r\n";
    let answer = ask_with(&simulator, "/p/v1/messages?beta=true", headers, message(json!({"stream": true}))).await;
    assert!(answer.complete);
    let told = get(&simulator, "/_transcript").await;
    let exchange = &told["exchanges"][0];
    assert_eq!(
        (&exchange["attempt"], &exchange["state"], &exchange["status"]),
        (&json!("call_0.1"), &json!("served"), &json!(200))
    );
    assert_eq!((&exchange["path"], &exchange["model"]), (&json!("/p/v1/messages?beta=true"), &json!("m")));
    assert_eq!(exchange["usage"]["output"], 24);
    assert_eq!(exchange["frames_sent"], exchange["frames"]);
    assert_eq!(exchange["bytes_sent"], answer.body.len());
    assert!(exchange["body"].as_str().unwrap().contains("water damage"));
    let headers = exchange["headers"].to_string();
    assert!(headers.contains("kept") && !headers.contains("secret"));
    assert_eq!((&told["next"], &told["dropped"]), (&json!(1), &json!(0)));
    assert_eq!(get(&simulator, "/_transcript?since=1").await["exchanges"], json!([]));
    let stats = get(&simulator, "/_stats").await;
    assert_eq!(stats["providers"]["p"]["ended"]["served"], 1);
    assert_eq!(stats["providers"]["p"]["in_flight"], 0);
}

#[tokio::test]
async fn a_request_is_in_the_transcript_before_anything_is_answered() {
    let simulator =
        simulator("[providers.p]\n[[providers.p.faults]]\nkind = \"slow_headers\"\ndelay_ms = 3600000").await;
    let client = send(simulator.address, "POST", CHAT, "", &chat(json!({})).to_string()).await;
    let exchange = until(&simulator, State::Received).await;
    assert_eq!((exchange.status, exchange.ended_at), (None, None));
    drop(client);
    assert!(until(&simulator, State::ClientGone).await.ended_at.is_some());
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_stream_is_noticed() {
    let simulator = simulator("[providers.p]\n[[providers.p.faults]]\nkind = \"stall\"\nafter_frames = 2").await;
    let mut client = send(simulator.address, "POST", MESSAGES, "", &message(json!({"stream": true})).to_string()).await;
    let mut seen = Vec::new();
    while seen.windows(10).filter(|ten| ten == b"text_delta").count() < 2 {
        client.read_buf(&mut seen).await.unwrap();
    }
    assert_eq!(until(&simulator, State::Answering).await.status, Some(200));
    drop(client);
    let exchange = until(&simulator, State::ClientGone).await;
    assert_eq!((exchange.frames_sent, exchange.frames), (5, 30), "message_start, block start, ping and two of text");
}

#[tokio::test]
async fn a_script_is_changed_while_it_plays() {
    let simulator = simulator("[providers.p]").await;
    assert_eq!(ask(&simulator, CHAT, chat(json!({}))).await.status, 200);
    let change = |script: &'static str| send(simulator.address, "POST", "/_script?provider=p", "", script);
    let changed = read(change("faults = [{ kind = \"overloaded\", calls = { to = 1 } }]").await).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(ask(&simulator, CHAT, chat(json!({}))).await.status, 503);
    assert_eq!(ask(&simulator, CHAT, chat(json!({}))).await.status, 200);
    let wrong = read(change("faults = 3").await).await;
    assert!(wrong.status == 400 && wrong.body.contains("line 1"), "{wrong:?}");
    simulator.set_script("new", simulator::Script::default());
    assert_eq!(ask(&simulator, "/new/v1/chat/completions", chat(json!({}))).await.status, 200);
}

#[tokio::test]
async fn the_same_seed_answers_the_same_and_another_differently() {
    let mut said = Vec::new();
    for seed in [1, 1, 2] {
        let simulator = simulator(&format!("seed = {seed}\n[providers.p]")).await;
        said.push(ask(&simulator, CHAT, chat(json!({}))).await.json()["choices"][0]["message"]["content"].clone());
    }
    assert!(said[0] == said[1] && said[1] != said[2]);
}

#[tokio::test]
async fn stopping_frees_the_address_and_breaks_off_what_is_under_way() {
    let simulator = simulator("[providers.p]\nfirst_token_ms = 3600000").await;
    let address = simulator.address;
    let client = send(address, "POST", CHAT, "", &chat(json!({"stream": true})).to_string()).await;
    until(&simulator, State::Answering).await;
    simulator.stop().await;
    assert!(!read(client).await.complete);
    tokio::net::TcpListener::bind(address).await.unwrap();
}

#[test]
fn the_scenarios_that_come_along_are_right() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        simulator::Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
