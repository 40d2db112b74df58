//! Providers that go silent: each deadline ends an attempt by its own name, and what may follow it follows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use crate::harness::{RawProvider, Site};

const FRAME: &str =
    "data: {\"id\":\"c\",\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half an ans\"}}]}\n\n";

/// A provider that sends this to whoever asks, and then nothing until it is left.
fn silent_after(answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 65536];
                let _ = stream.read(&mut buffer);
                let _ = stream.write_all(answer.as_bytes());
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

fn provider(name: &str, address: SocketAddr) -> String {
    format!(
        "[providers.{name}]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n\
         [criticality.{name}]\nlanes = [\"{name}\", \"good\"]\n\n"
    )
}

#[test]
fn each_deadline_ends_an_attempt_by_its_own_name() {
    let silent = silent_after(String::new());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let halting = silent_after(format!("{head}{FRAME}"));
    let whole = format!("{FRAME}data: [DONE]\n\n");
    let good = RawProvider::answering_body("text/event-stream", whole.as_bytes());
    let said = r#"{"id":"c","model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"ready"},"finish_reason":"stop"}]}"#;
    let finished = RawProvider::answering_body("application/json", said.as_bytes());
    let configuration = [
        provider("silent", silent).as_str(),
        &provider("halting", halting),
        &provider("good", good.address).replace("[\"good\", \"good\"]", "[\"good\"]"),
        "[workflows.first]\ncriticality = \"silent\"\ntimeouts = { first_token_ms = 200 }\n\n",
        "[workflows.frame]\ncriticality = \"halting\"\ncontinuation = \"off\"\ntimeouts = { frame_ms = 200 }\n\n",
        &provider("finished", finished.address),
        "[criticality.whole]\nlanes = [\"silent\", \"finished\"]\n\n",
        "[lanes.alone]\nclass = \"B\"\nmodels = [\"silent\"]\npick = \"best\"\n\n[criticality.alone]\nlanes = [\"alone\"]\n\n",
        "[workflows.whole]\ncriticality = \"whole\"\ntimeouts = { total_ms = 4_000 }\n\n",
        "[workflows.total]\ncriticality = \"alone\"\ntimeouts = { total_ms = 200 }\n",
    ]
    .concat();
    let site = Site::new("deadlines", &configuration);
    let freehold = site.start();

    let answer = freehold.chat("first", r#","stream":true"#);
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("good")), "{}", answer.text());
    let view = freehold.call(answer.header("freehold-call-id").unwrap());
    assert!(view.to_string().contains("upstream_first_token_timeout"), "{view}");

    // Content has reached the client, and the workflow wants no other model to go on.
    let answer = freehold.chat("frame", r#","stream":true"#);
    assert!(answer.status == 200 && answer.text().contains("upstream_frame_timeout"), "{}", answer.text());

    // A whole answer says nothing before its end: half of the call's time is kept for the next model.
    let answer = freehold.chat("whole", "");
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("finished")), "{}", answer.text());
    let view = freehold.call(answer.header("freehold-call-id").unwrap());
    assert!(view.to_string().contains("upstream_first_token_timeout"), "{view}");

    // Where there is nobody else, it has all of the call's time.
    let answer = freehold.chat("total", "");
    assert_eq!((answer.status, answer.header("freehold-error")), (504, Some("deadline_exceeded")), "{}", answer.text());
}
