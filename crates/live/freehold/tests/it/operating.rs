//! What an operator does and sets: the demo from its start to its end, a stop under load, a proxy and certificates of one's
//! own on the way to providers, limits, and logs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc;

use crate::harness::{Lines, RawProvider, Site, eventually, freehold, openssl, run, signal, text};
use crate::http::request;

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":60,"completion_tokens":40,"total_tokens":100}}"#;

/// One workflow `w` that one provider answers.
fn configuration(base_url: &str) -> String {
    format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"{base_url}\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n"
    )
}

#[test]
fn the_demo_answers_and_leaves_nothing_behind_by_ctrl_c_or_with_its_terminal() {
    for end in ["INT", "HUP", "TERM"] {
        let scratch = testkit::scratch_dir("demo");
        let mut process = freehold(&["demo", "--listen", "127.0.0.1:0", "--no-traffic"])
            .env("TMPDIR", scratch.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Lines::of(process.stdout.take().unwrap());
        let (gateway, console) = (lines.address("gateway"), lines.address("console"));
        let authorization = format!("Bearer {}", lines.rest_of("Key:"));
        lines.ignore_rest();
        let body = br#"{"model":"claims-triage","messages":[{"role":"user","content":"Hello"}]}"#;
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer = request(gateway, "POST", "/v1/chat/completions", &headers, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(request(console, "GET", "/login", &[], b"").status, 200);
        signal(process.id(), end);
        assert_eq!(process.wait().unwrap().code(), Some(0), "{end}");
        let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{end}: {left:?}");
        assert!(TcpStream::connect(gateway).is_err() && TcpStream::connect(console).is_err(), "{end}");
    }
}

#[test]
fn a_stream_under_way_ends_before_the_process_that_was_told_to_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go_on, told) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 65536]).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let chunk =
            |rest: &str| format!("data: {{\"id\":\"c\",\"model\":\"v\",\"choices\":[{{\"index\":0,{rest}}}]}}\n\n");
        write!(stream, "{head}{}", chunk(r#""delta":{"content":"first"}"#)).unwrap();
        told.recv().unwrap();
        write!(stream, "{}data: [DONE]\n\n", chunk(r#""delta":{"content":"last"},"finish_reason":"stop""#)).unwrap();
    });
    let site = Site::new("drain", &configuration(&format!("http://{address}/v1")));
    let freehold = site.start();
    let mut connection = freehold.stream("w");
    assert!(String::from_utf8(connection.chunk().unwrap().unwrap()).unwrap().contains("first"));
    freehold.terminate();
    eventually("it says that it drains", || {
        let ready = request(freehold.console, "GET", "/readyz", &[], b"");
        (ready.status == 503 && ready.text().contains("draining")).then_some(())
    });
    eventually("nobody else is let in", || TcpStream::connect(freehold.gateway).is_err().then_some(()));
    go_on.send(()).unwrap();
    let mut rest = Vec::new();
    while let Some(chunk) = connection.chunk().unwrap() {
        rest.extend(chunk);
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("last") && rest.contains("[DONE]"), "{rest}");
    assert_eq!(freehold.ended(), Some(0));
    let rows = crate::harness::ledger(&site.data());
    assert!(!rows.is_empty() && rows.iter().all(|row| row["end"] == "served"), "{rows:?}");
}

/// A proxy that opens a tunnel to `to` whatever host is asked for, and tells which was.
fn proxy(to: SocketAddr) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, asks) = mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            asked.send(first.trim().to_owned()).unwrap();
            let provider = TcpStream::connect(to).unwrap();
            (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let (mut up, mut down) = (provider.try_clone().unwrap(), provider);
            std::thread::spawn(move || std::io::copy(&mut reader, &mut up));
            std::thread::spawn(move || std::io::copy(&mut down, &mut &client));
        }
    });
    (address, asks)
}

#[test]
fn providers_are_reached_through_the_proxy_that_the_configuration_names() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let (proxy, asks) = proxy(provider.address);
    // A name that no resolver knows (RFC 2606): without the proxy there is no way.
    let policy = configuration("http://provider.invalid:8000/v1");
    let site = Site::new("proxy", &format!("upstream_proxy = \"http://{proxy}\"\n\n{policy}"));
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(asks.recv().unwrap(), "CONNECT provider.invalid:8000 HTTP/1.1");
    assert!(provider.received()[0].starts_with(b"POST /v1/chat/completions HTTP/1.1\r\n"));
    site.configure(&policy);
    eventually("without the proxy it is not reached", || (freehold.chat("w", "").status == 502).then_some(()));
}

/// A provider that speaks TLS, made of `openssl s_server`: it says the same to whoever comes.
struct TlsProvider {
    process: Child,
    address: SocketAddr,
}

impl TlsProvider {
    fn start(certificate: &str, key: &str) -> TlsProvider {
        let mut process = std::process::Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-naccept", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT ") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "s_server ended");
        }
        let address = line.trim_start_matches("ACCEPT ").trim().parse().unwrap();
        let mut input = process.stdin.take().unwrap();
        // It answers when the request has come: what is typed before there is a connection is lost.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if line.starts_with("POST ") {
                    let length = ANSWER.len();
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                    write!(input, "{head}\r\ncontent-length: {length}\r\n\r\n{ANSWER}").unwrap();
                    input.flush().unwrap();
                }
            }
        });
        TlsProvider { process, address }
    }
}

impl Drop for TlsProvider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_certificate_of_ones_own_authority_is_taken_where_ca_file_names_it_and_only_there() {
    let site = Site::new("ca", "");
    let path = |name: &str| text(&site.scratch.path().join(name));
    let (authority, authority_key) = (path("ca.pem"), path("ca-key.pem"));
    let new_key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
    let own = ["req", "-x509", "-subj", "/CN=Our authority", "-keyout", &authority_key, "-out", &authority];
    openssl(&[&own[..], &new_key[..]].concat());
    let (certificate, key) = (path("provider.pem"), path("provider-key.pem"));
    let signed = ["req", "-x509", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext"];
    let by = ["basicConstraints=critical,CA:FALSE", "-CA", &authority, "-CAkey", &authority_key];
    openssl(&[&signed[..], &by[..], &["-keyout", &key, "-out", &certificate], &new_key[..]].concat());

    let provider = TlsProvider::start(&certificate, &key);
    let policy = configuration(&format!("https://localhost:{}/v1", provider.address.port()));
    site.configure(&format!("ca_file = \"{authority}\"\n\n{policy}"));
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!(answer.status, 200, "{}", answer.text());

    let provider = TlsProvider::start(&certificate, &key);
    site.configure(&configuration(&format!("https://localhost:{}/v1", provider.address.port())));
    let refused = eventually("without `ca_file` it is a stranger", || {
        let answer = freehold.chat("w", "");
        (answer.status == 502).then_some(answer)
    });
    assert_eq!(refused.header("freehold-error"), Some("upstream_connect"), "{}", refused.text());
}

#[test]
fn bodies_and_tokens_have_the_limits_that_were_set() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let policy = configuration(&format!("http://{}/v1", provider.address));
    let site = Site::new("limits", &format!("max_body_bytes = 1024\n\n{policy}"));
    let freehold = site.start();
    let refused = freehold.chat("w", &format!(r#","user":"{}""#, "x".repeat(1_024)));
    assert_eq!((refused.status, refused.header("freehold-error")), (413, Some("body_too_large")));
    assert!(refused.text().contains("max_body_bytes") && provider.received().is_empty(), "{}", refused.text());

    // An answer has a hundred tokens, however few the request allows: known only afterwards, they delay the next call.
    let slow = site.key(&["--label", "slow", "--tokens-per-minute", "60"]);
    let body = r#"{"model":"w","max_tokens":10,"messages":[{"role":"user","content":"Hello"}]}"#;
    let first = eventually("the key is known", || {
        let answer = freehold.post_as(&slow, "/v1/chat/completions", body);
        (answer.status != 401).then_some(answer)
    });
    assert_eq!(first.status, 200, "{}", first.text());
    let second = freehold.post_as(&slow, "/v1/chat/completions", body);
    assert_eq!((second.status, second.header("freehold-error")), (429, Some("key_limit")), "{}", second.text());
    assert!(second.header("retry-after").unwrap().parse::<u64>().unwrap() > 30, "a hundred of sixty were used");
}

#[test]
fn every_line_of_a_json_log_is_an_object_and_a_text_log_in_a_file_has_no_colours() {
    let site = Site::new("logs", "");
    for format in ["json", "text"] {
        let arguments =
            ["--log-format", format, "serve", "--config", &text(&site.file()), "--data", &text(&site.data())];
        let mut process = freehold(&arguments)
            .env("FREEHOLD_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Lines::of(process.stdout.take().unwrap());
        lines.address("console");
        lines.ignore_rest();
        site.configure("[workflows.w]\ncriticality = \"gone\"\n");
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut seen = vec![log.next().unwrap()];
        while !seen.iter().any(|line| line.contains("gone")) {
            seen.push(log.next().expect("the bad file is told"));
        }
        signal(process.id(), "TERM");
        assert_eq!(process.wait().unwrap().code(), Some(0));
        site.configure("");
        for line in seen.into_iter().chain(log) {
            if format == "json" {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
                for field in ["timestamp", "level", "message"] {
                    assert!(event[field].is_string(), "{line}");
                }
            }
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
}

#[test]
fn commands_in_a_directory_without_data_say_so_and_make_none() {
    let scratch = testkit::scratch_dir("no-data");
    let nowhere = text(&scratch.path().join("nowhere"));
    for command in [&["key", "list"][..], &["key", "revoke", "x"], &["ledger", "show"], &["backup", "--to", "copy"]] {
        let (code, out) = run(&[command, &["--data", &nowhere]].concat());
        assert!(code == 1 && out.contains("there is no Freehold data in"), "{command:?}: {out}");
    }
    assert!(!scratch.path().join("nowhere").exists());
    let (code, out) = run(&["simulate", "--scenario", &nowhere]);
    assert!(code == 1 && !out.contains("freehold init"), "{out}");
}
