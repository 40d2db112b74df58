//! Bad input over raw sockets, from clients and from providers: an error in the client's dialect, nothing smuggled, nothing
//! held, memory bounded. The listener speaks HTTP/1.1 alone, so that there is no HTTP/2 to be turned into it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::harness::{Freehold, RawProvider, Site, eventually};
use crate::http::{Answer, request};

pub const GOOD: &str = r#"{"id":"c","object":"chat.completion","model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// What may be held more than at rest while nothing large is under way, bytes.
pub const SPARE_BYTES: u64 = 96 << 20;

pub fn configuration(address: SocketAddr) -> String {
    format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\nbudget = {{ limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }}\n\
         max_output_tokens = 100\n"
    )
}

/// Everything that comes back for these bytes, until the server closes or says nothing for a while.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    // A server that has refused may have closed before all was written.
    let _ = stream.write_all(bytes);
    let (mut got, mut buffer) = (Vec::new(), [0; 16384]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => got.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&got).into_owned()
}

pub fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[test]
fn no_framing_makes_two_requests_of_one() {
    let provider = RawProvider::answering_body("application/json", GOOD.as_bytes());
    let site = Site::new("smuggling", &configuration(provider.address));
    let freehold = site.start();
    let key = &freehold.key;
    let body = r#"{"model":"w","messages":[{"role":"user","content":"Hello"}]}"#;
    let (length, chunk) = (body.len(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n");
    let hidden_body = body.replace("Hello", "SMUGGLED");
    let hidden = format!("{head}content-length: {}\r\n\r\n{hidden_body}", hidden_body.len());
    let with = |headers: &str, body: &str| format!("{head}{headers}\r\n{body}{hidden}");

    // What ends in two places for two readers is refused, or the connection ends behind it.
    let two_ends = [
        (
            "CL.TE",
            with(&format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", chunk.len() + hidden.len()), &chunk),
        ),
        ("TE.CL", with("transfer-encoding: chunked\r\ncontent-length: 4\r\n", &chunk)),
        ("identity, chunked", with("transfer-encoding: identity, chunked\r\n", &chunk)),
        ("two encodings", with("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", &chunk)),
        ("chunked twice", with("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", &chunk)),
        ("a near miss", with("transfer-encoding: xchunked\r\n", &chunk)),
        ("tab before the word", with("transfer-encoding:\tchunked\r\n", &chunk)),
        ("chunked, not last", with("transfer-encoding: chunked, identity\r\n", &chunk)),
        ("lengths that differ", with(&format!("content-length: {length}\r\ncontent-length: 0\r\n"), body)),
        ("a list of lengths", with(&format!("content-length: {length}, 0\r\n"), body)),
        ("a signed length", with(&format!("content-length: +{length}\r\n"), body)),
        ("a length in hexadecimal", with("content-length: 0x10\r\n", body)),
        ("a space before the colon", with(&format!("content-length : {length}\r\n"), body)),
        ("obs-fold", with(&format!("x: a\r\n content-length: 0\r\ncontent-length: {length}\r\n"), body)),
        (
            "a bare carriage return",
            with(&format!("x: a\rtransfer-encoding: chunked\r\ncontent-length: {length}\r\n"), body),
        ),
        ("a zero byte", with(&format!("x: a\0b\r\ncontent-length: {length}\r\n"), body)),
        ("a chunk's size that is none", with("transfer-encoding: chunked\r\n", &format!("zz\r\n{body}\r\n0\r\n\r\n"))),
        ("a chunk's size below zero", with("transfer-encoding: chunked\r\n", &format!("-1\r\n{body}\r\n0\r\n\r\n"))),
        (
            "a chunk's size beyond 64 bits",
            with("transfer-encoding: chunked\r\n", &format!("fffffffffffffffff\r\n{body}\r\n")),
        ),
        (
            "a chunk that is longer than it says",
            with("transfer-encoding: chunked\r\n", &format!("1\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "an extension of a chunk",
            with("transfer-encoding: chunked\r\n", &format!("{length:x};a=b\r\n{body}\r\n0\r\n\r\n")),
        ),
        ("a bare line feed in chunks", with("transfer-encoding: chunked\r\n", &format!("{length:x}\n{body}\n0\n\n"))),
    ];
    for (name, bytes) in two_ends {
        let got = exchange(freehold.gateway, bytes.as_bytes());
        assert!(answers(&got) <= 1, "{name}: {got}");
        let smuggled = provider.received().iter().any(|one| String::from_utf8_lossy(one).contains("SMUGGLED"));
        assert!(!smuggled, "{name}: what stood behind a request was taken for one: {got}");
        // 408 would have SDKs send the same bytes again.
        assert!(!got.contains("HTTP/1.1 5") && !got.contains("HTTP/1.1 408"), "{name}: {got}");
    }
    // Lengths that agree, line feeds alone and addresses in full are one request, for the configured provider.
    let plain = format!("content-length: {length}\r\n");
    let once = [
        ("one length twice", format!("{head}{plain}{plain}connection: close\r\n\r\n{body}")),
        ("line feeds alone", format!("{head}{plain}connection: close\r\n\r\n").replace("\r\n", "\n") + body),
        (
            "a whole address",
            format!("{head}{plain}connection: close\r\n\r\n{body}").replace("POST /", "POST http://127.0.0.1:1/"),
        ),
    ];
    for (name, bytes) in once {
        let before = provider.received().len();
        let got = exchange(freehold.gateway, bytes.as_bytes());
        assert!(
            answers(&got) == 1 && (got.starts_with("HTTP/1.1 200") || got.starts_with("HTTP/1.1 400")),
            "{name}: {got}"
        );
        assert_eq!(provider.received().len() - before, usize::from(got.starts_with("HTTP/1.1 200")), "{name}");
    }

    // Two requests in one packet are two, answered in order.
    let before = provider.received().len();
    let got = exchange(
        freehold.gateway,
        format!("{head}{plain}\r\n{body}{head}{plain}connection: close\r\n\r\n{body}").as_bytes(),
    );
    assert_eq!((answers(&got), got.matches("HTTP/1.1 200").count()), (2, 2), "{got}");
    assert_eq!(provider.received().len() - before, 2);

    // HTTP/2 is not spoken, and its preface is no request.
    let preface = exchange(freehold.gateway, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(preface, "", "the connection ends");
    // A head without an end is not kept.
    let huge = format!("{head}x: {}\r\n\r\n", "a".repeat(2 << 20));
    let got = exchange(freehold.gateway, huge.as_bytes());
    assert!(got.is_empty() || got.starts_with("HTTP/1.1 431"), "{got}");
    assert!(freehold.chat("w", "").status == 200 && freehold.metrics().contains("freehold_panics_total 0"));
}

/// Routes of every dialect, and where each says what went wrong.
pub const ROUTES: &[(&str, &str)] = &[
    ("/v1/chat/completions", "/error/message"),
    ("/v1/responses", "/error/message"),
    ("/v1/messages", "/error/message"),
    ("/v1beta/models/w:generateContent", "/error/message"),
    ("/model/w/converse", "/message"),
    ("/v2/chat", "/message"),
];

pub fn told(answer: &Answer, place: &str) -> bool {
    answer.json().pointer(place).and_then(|message| message.as_str()).is_some_and(|message| message.len() > 10)
}

#[test]
fn bad_bodies_are_refused_in_the_dialect_of_the_client_and_reach_no_provider() {
    let provider = RawProvider::answering_body("application/json", GOOD.as_bytes());
    let site = Site::new("bad-bodies", &configuration(provider.address));
    let freehold = site.start();
    let bearer = format!("Bearer {}", freehold.key);
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        request(freehold.gateway, "POST", path, &all, body)
    };
    let at_rest = freehold.resident_bytes();
    let nested = format!(r#"{{"model":"w","messages":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let twice =
        r#"{"model":"w","model":"x","messages":[],"messages":[],"contents":[],"contents":[],"input":"","input":""}"#;
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("an open brace", b"{".to_vec()),
        ("a list", b"[]".to_vec()),
        ("half a word", b"nul".to_vec()),
        ("something behind it", br#"{"model":"w","messages":[],"contents":[],"input":""}x"#.to_vec()),
        ("no UTF-8", b"{\"model\":\"w\",\"messages\":\"\xff\xfe\"}".to_vec()),
        ("half a surrogate in a name", br#"{"model":"\ud800"#.to_vec()),
        ("depth", nested.into_bytes()),
        ("fields twice", twice.as_bytes().to_vec()),
        ("no conversation", br#"{"model":"w"}"#.to_vec()),
    ];
    for (path, place) in ROUTES {
        for (name, body) in &bad {
            let answer = post(path, &[("content-type", "application/json")], body);
            assert!(
                answer.status == 400 && told(&answer, place),
                "{name} at {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
        for (headers, status) in [
            (&[("content-type", "text/plain")][..], 415),
            (&[("content-encoding", "gzip")], 415),
            (&[("x-api-key", "fh_other_key")], 400),
            (&[("x-goog-api-key", "fh_other_key")], 400),
            (&[("authorization", "Bearer fh_other_key")], 400),
        ] {
            let answer = post(path, headers, br#"{"model":"w"}"#);
            assert!(
                answer.status == status && told(&answer, place),
                "{headers:?} at {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    let large = format!(r#"{{"model":"w","messages":[{{"role":"user","content":"{}"}}]}}"#, "a".repeat(33 << 20));
    let answer = exchange(
        freehold.gateway,
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\ncontent-length: {}\r\n\r\n",
            large.len()
        )
        .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(provider.received().is_empty(), "nothing of this is sent to anyone");

    // Absurd but well formed: refused or sent, never more.
    let tools: Vec<String> =
        (0..10_000).map(|n| format!(r#"{{"type":"function","function":{{"name":"t{n}"}}}}"#)).collect();
    let picture =
        format!(r#"[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]"#, "A".repeat(8 << 20));
    let chat = |content: &str, more: &str| {
        format!(r#"{{"model":"w","messages":[{{"role":"user","content":{content}}}]{more}}}"#)
    };
    for (name, body) in [
        ("a cap below zero", chat("\"Hi\"", r#","max_tokens":-1"#)),
        ("a cap beyond counting", chat("\"Hi\"", r#","max_tokens":1e308"#)),
        ("answers beyond counting", chat("\"Hi\"", r#","n":4000000000"#)),
        ("a number beyond floats", chat("\"Hi\"", r#","temperature":1e999999"#)),
        ("ten thousand tools", chat("\"Hi\"", &format!(r#","tools":[{}]"#, tools.join(",")))),
        ("eight megabytes of picture", chat(&picture, "")),
    ] {
        let answer = freehold.post("/v1/chat/completions", &body);
        assert!([200, 400, 429].contains(&answer.status), "{name}: {} {}", answer.status, answer.text());
    }
    let grown = freehold.resident_bytes().saturating_sub(at_rest);
    assert!(grown < SPARE_BYTES, "{} MiB more than at rest", grown >> 20);
    assert!(freehold.metrics().contains("freehold_panics_total 0"));
}

/// A provider that begins with `head` and then says `again` for ever.
pub fn endless(head: &'static str, again: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 65536]);
                let block = again.repeat((64 << 10) / again.len() + 1);
                let mut said = stream.write_all(head.as_bytes());
                while said.is_ok() {
                    said = stream.write_all(&block);
                }
            });
        }
    });
    address
}

/// Every attempt has its record, and the budget holds nothing.
fn nothing_is_held(freehold: &Freehold, name: &str) {
    let nothing = "freehold_budget_held_nano_usd{scope=\"workflow w\",per=\"total\"} 0";
    eventually(&format!("{name}: the budget holds nothing"), || freehold.metrics().contains(nothing).then_some(()));
    assert!(freehold.metrics().contains("freehold_panics_total 0"), "{name}");
}

#[test]
fn lies_of_a_provider_are_an_error_for_the_client_and_cost_bounded_memory() {
    let answer = |head: &str, body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{head}\r\n").as_bytes(), body].concat()
    };
    let json = "content-type: application/json\r\n";
    let length = |bytes: usize| format!("{json}content-length: {bytes}\r\n");
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0][..], &[0; 4096]].concat();
    let error = br#"{"error":{"message":"the model is overloaded","type":"server_error","code":"overloaded"}}"#;
    let raw = |bytes: Vec<u8>| RawProvider::answering(bytes).address;
    let lies: Vec<(&str, SocketAddr)> = vec![
        ("an error under 200", raw(answer(&length(error.len()), error))),
        ("a length too long", raw(answer(&length(GOOD.len() + 50), GOOD.as_bytes()))),
        ("a length too short", raw(answer(&length(GOOD.len() - 50), GOOD.as_bytes()))),
        ("two lengths", raw(answer(&format!("{}content-length: 7\r\n", length(GOOD.len())), GOOD.as_bytes()))),
        ("a page", raw(answer("content-type: text/html\r\n", b"<html>502 Bad Gateway</html>"))),
        ("packed", raw(answer(&format!("{json}content-encoding: gzip\r\n"), &gzip))),
        ("nothing", raw(answer(&length(0), b""))),
        ("no HTTP", raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
        (
            "another protocol",
            raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec()),
        ),
        ("bad chunks", raw(answer(&format!("{json}transfer-encoding: chunked\r\n"), b"zz\r\n{}\r\n0\r\n\r\n"))),
        ("a head without end", endless("HTTP/1.1 200 OK\r\n", b"x-more: 1234567890\r\n")),
        (
            "an answer without end",
            endless("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"id\":\"", b"aaaaaaaaaaaaaaaa"),
        ),
    ];
    for (name, address) in lies {
        let site = Site::new("lies", &configuration(address));
        let freehold = site.start();
        let at_rest = freehold.resident_bytes();
        for (path, body) in [
            ("/v1/chat/completions", r#"{"model":"w","messages":[{"role":"user","content":"Hi"}]}"#),
            ("/v1/chat/completions", r#"{"model":"w","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#),
            ("/v1/messages", r#"{"model":"w","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#),
        ] {
            let answer = freehold.post(path, body);
            assert!((500..600).contains(&answer.status), "{name} at {path}: {} {}", answer.status, answer.text());
            assert!(told(&answer, "/error/message"), "{name} at {path}: {}", answer.text());
        }
        // Of an answer in one piece 64 MiB are taken, and its buffer doubles on the way.
        let grown = freehold.resident_bytes().saturating_sub(at_rest);
        assert!(grown < SPARE_BYTES + (192 << 20), "{name}: {} MiB more than at rest", grown >> 20);
        nothing_is_held(&freehold, name);
    }
}

#[test]
fn a_stream_without_end_is_ended_and_costs_bounded_memory() {
    const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for (name, address) in [
        ("a line without end", endless(SSE, b"data: aaaaaaaaaaaaaaaa")),
        ("an event without end", endless(SSE, b"data: aaaaaaaaaaaaaaaa\n")),
        ("no stream", endless("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n", b"<p>north</p>")),
    ] {
        let site = Site::new("endless", &configuration(address));
        let freehold = site.start();
        let at_rest = freehold.resident_bytes();
        let answer = freehold.chat("w", r#","stream":true"#);
        assert!((500..600).contains(&answer.status) || answer.text().contains("error"), "{name}: {}", answer.status);
        let grown = freehold.resident_bytes().saturating_sub(at_rest);
        assert!(grown < SPARE_BYTES, "{name}: {} MiB more than at rest", grown >> 20);
        nothing_is_held(&freehold, name);
    }
}
