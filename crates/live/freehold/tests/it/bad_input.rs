//! What a client or a provider does wrong on purpose, in each of the six dialects: absurd but well-formed requests, requests
//! in a request, heads and bodies that never end, answers that begin a thousand times and never come.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;

use crate::harness::{RawProvider, Site, eventually};
use crate::hostile::{GOOD, ROUTES, SPARE_BYTES, answers, configuration, endless, exchange, told};
use crate::http::request;

/// How each dialect says the things that are made absurd here; `MORE` and `CONTENT` are filled in.
struct Words {
    path: &'static str,
    body: &'static str,
    text: &'static str,
    /// The cap on its output, with `CAP` for its value.
    cap: &'static str,
    temperature: &'static str,
    tool: &'static str,
    tools: &'static str,
    /// Content with a picture, with `DATA` for its base64.
    picture: &'static str,
}

const WORDS: [Words; 6] = [
    Words {
        path: ROUTES[0].0,
        body: r#"{"model":"w","messages":[{"role":"user","content":CONTENT}]MORE}"#,
        text: r#""Hi""#,
        cap: r#","max_tokens":CAP"#,
        temperature: r#","temperature":CAP"#,
        tool: r#"{"type":"function","function":{"name":"NAME","parameters":{"type":"object"}}}"#,
        tools: r#","tools":[TOOLS]"#,
        picture: r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,DATA"}}]"#,
    },
    Words {
        path: ROUTES[1].0,
        body: r#"{"model":"w","input":[{"role":"user","content":CONTENT}]MORE}"#,
        text: r#"[{"type":"input_text","text":"Hi"}]"#,
        cap: r#","max_output_tokens":CAP"#,
        temperature: r#","temperature":CAP"#,
        tool: r#"{"type":"function","name":"NAME","parameters":{"type":"object"}}"#,
        tools: r#","tools":[TOOLS]"#,
        picture: r#"[{"type":"input_image","image_url":"data:image/png;base64,DATA"}]"#,
    },
    Words {
        path: ROUTES[2].0,
        body: r#"{"model":"w","messages":[{"role":"user","content":CONTENT}]MORE}"#,
        text: r#""Hi""#,
        cap: r#","max_tokens":CAP"#,
        temperature: r#","max_tokens":9,"temperature":CAP"#,
        tool: r#"{"name":"NAME","input_schema":{"type":"object"}}"#,
        tools: r#","max_tokens":9,"tools":[TOOLS]"#,
        picture: r#"[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"DATA"}}]"#,
    },
    Words {
        path: ROUTES[3].0,
        body: r#"{"contents":[{"role":"user","parts":CONTENT}]MORE}"#,
        text: r#"[{"text":"Hi"}]"#,
        cap: r#","generationConfig":{"maxOutputTokens":CAP}"#,
        temperature: r#","generationConfig":{"temperature":CAP}"#,
        tool: r#"{"name":"NAME","parameters":{"type":"OBJECT"}}"#,
        tools: r#","tools":[{"functionDeclarations":[TOOLS]}]"#,
        picture: r#"[{"inlineData":{"mimeType":"image/png","data":"DATA"}}]"#,
    },
    Words {
        path: ROUTES[4].0,
        body: r#"{"messages":[{"role":"user","content":CONTENT}]MORE}"#,
        text: r#"[{"text":"Hi"}]"#,
        cap: r#","inferenceConfig":{"maxTokens":CAP}"#,
        temperature: r#","inferenceConfig":{"temperature":CAP}"#,
        tool: r#"{"toolSpec":{"name":"NAME","inputSchema":{"json":{"type":"object"}}}}"#,
        tools: r#","toolConfig":{"tools":[TOOLS]}"#,
        picture: r#"[{"image":{"format":"png","source":{"bytes":"DATA"}}}]"#,
    },
    Words {
        path: ROUTES[5].0,
        body: r#"{"model":"w","messages":[{"role":"user","content":CONTENT}]MORE}"#,
        text: r#""Hi""#,
        cap: r#","max_tokens":CAP"#,
        temperature: r#","temperature":CAP"#,
        tool: r#"{"type":"function","function":{"name":"NAME","parameters":{"type":"object"}}}"#,
        tools: r#","tools":[TOOLS]"#,
        picture: r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,DATA"}}]"#,
    },
];

impl Words {
    fn asking(&self, more: &str) -> String {
        self.body.replace("CONTENT", self.text).replace("MORE", more)
    }

    fn about(&self, data: &str) -> String {
        let capped = self.cap.replace("CAP", "9");
        self.body.replace("CONTENT", &self.picture.replace("DATA", data)).replace("MORE", &capped)
    }
}

#[test]
fn what_is_absurd_and_well_formed_is_refused_in_its_dialect_or_answered_within_bounds() {
    let provider = RawProvider::answering_body("application/json", GOOD.as_bytes());
    let site = Site::new("absurd", &configuration(provider.address));
    let freehold = site.start();
    let at_rest = freehold.resident_bytes();
    let bearer = format!("Bearer {}", freehold.key);
    for (words, (_, place)) in WORDS.iter().zip(ROUTES) {
        let capped = words.cap.replace("CAP", "9");
        let tools: Vec<String> = (0..10_000).map(|n| words.tool.replace("NAME", &format!("t{n}"))).collect();
        let deep = format!(r#"{capped},"x_deep":{}1{}"#, "[".repeat(60), "]".repeat(60));
        // The status that each must have; where none is given, either is right.
        let cases = [
            ("a call like others", words.asking(&capped), Some(200)),
            ("a field nobody knows", words.asking(&format!(r#"{capped},"x_unknown":{{"a":[1,null]}}"#)), Some(200)),
            ("a cap below zero", words.asking(&words.cap.replace("CAP", "-1")), Some(400)),
            ("a cap that is a text", words.asking(&words.cap.replace("CAP", r#""many""#)), Some(400)),
            ("a cap that is a list", words.asking(&words.cap.replace("CAP", "[]")), Some(400)),
            ("a cap with a fraction", words.asking(&words.cap.replace("CAP", "1.5")), Some(400)),
            ("a cap beyond 64 bits", words.asking(&words.cap.replace("CAP", "18446744073709551616")), Some(400)),
            ("a cap beyond counting", words.asking(&words.cap.replace("CAP", "1e308")), Some(400)),
            ("a number beyond floats", words.asking(&words.temperature.replace("CAP", "1e999999")), None),
            ("a number that is an object", words.asking(&words.temperature.replace("CAP", "{}")), None),
            ("fields sixty deep", words.asking(&deep), None),
            ("ten thousand tools", words.asking(&words.tools.replace("TOOLS", &tools.join(","))), None),
            ("tools that are none", words.asking(&words.tools.replace("TOOLS", "1,[],\"x\"")), None),
            ("eight megabytes of picture", words.about(&"A".repeat(8 << 20)), None),
            ("a picture that is no base64", words.about(&"!".repeat(1 << 20)), None),
            ("a picture that is nothing", words.about(""), None),
        ];
        for (name, body, expected) in cases {
            let headers = [("authorization", &*bearer), ("content-type", "application/json")];
            let answer = request(freehold.gateway, "POST", words.path, &headers, body.as_bytes());
            let shown: String = body.chars().take(200).collect();
            let may = expected.map_or(vec![200, 400], |status| vec![status]);
            // A budget that does not cover what is asked for is as good an answer.
            let is_right = may.contains(&answer.status) || (expected.is_none() && answer.status == 429);
            assert!(is_right, "{name} at {}: {} {} for {shown}", words.path, answer.status, answer.text());
            assert!(answer.status == 200 || told(&answer, place), "{name} at {}: {}", words.path, answer.text());
        }
        let length = format!("authorization: {bearer}\r\ncontent-length: {}\r\n", 33 << 20);
        let large =
            exchange(freehold.gateway, format!("POST {} HTTP/1.1\r\nhost: x\r\n{length}\r\n", words.path).as_bytes());
        assert!(large.starts_with("HTTP/1.1 413") && large.contains("essage\":\""), "{}: {large}", words.path);
    }
    let grown = freehold.resident_bytes().saturating_sub(at_rest);
    assert!(grown < SPARE_BYTES, "{} MiB more than at rest", grown >> 20);
    assert!(freehold.metrics().contains("freehold_panics_total 0"));
}

#[test]
fn no_route_takes_a_request_out_of_another_ones_body() {
    let provider = RawProvider::answering_body("application/json", GOOD.as_bytes());
    let site = Site::new("smuggled", &configuration(provider.address));
    let freehold = site.start();
    let paths =
        ROUTES.iter().map(|(path, _)| *path).chain(["/v1/embeddings", "/model/w/invoke", "/v1/files", "/mcp/x"]);
    for path in paths {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", freehold.key);
        let body = WORDS.iter().find(|words| words.path == path).unwrap_or(&WORDS[0]).asking("");
        let hidden_body = body.replace("Hi", "SMUGGLED");
        let hidden = format!("{head}content-length: {}\r\n\r\n{hidden_body}", hidden_body.len());
        let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let length = body.len();
        for (name, headers, body) in [
            (
                "CL.TE",
                format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", chunk.len() + hidden.len()),
                &chunk,
            ),
            ("TE.CL", "transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(), &chunk),
            ("a near miss", "transfer-encoding: xchunked\r\n".to_owned(), &chunk),
            ("lengths that differ", format!("content-length: {length}\r\ncontent-length: 0\r\n"), &body),
            ("obs-fold", format!("x: a\r\n content-length: 0\r\ncontent-length: {length}\r\n"), &body),
        ] {
            let got = exchange(freehold.gateway, format!("{head}{headers}\r\n{body}{hidden}").as_bytes());
            assert!(answers(&got) <= 1, "{name} at {path}: {got}");
            let smuggled = provider.received().iter().any(|one| String::from_utf8_lossy(one).contains("SMUGGLED"));
            assert!(!smuggled, "{name} at {path}: what stood behind a request was taken for one: {got}");
            assert!(!got.contains("HTTP/1.1 5") && !got.contains("HTTP/1.1 408"), "{name} at {path}: {got}");
        }
    }
}

#[test]
fn a_request_says_once_for_whom_it_is_and_expects_what_can_be_done() {
    let provider = RawProvider::answering_body("application/json", GOOD.as_bytes());
    let site = Site::new("whom", &configuration(provider.address));
    let freehold = site.start();
    for words in &WORDS {
        let body = words.asking(&words.cap.replace("CAP", "9"));
        let ask = |version: &str, headers: &str| {
            let (path, key, length) = (words.path, &freehold.key, body.len());
            let rest =
                format!("authorization: Bearer {key}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            exchange(freehold.gateway, format!("POST {path} HTTP/{version}\r\n{headers}{rest}").as_bytes())
        };
        for (headers, status, code) in [
            ("", "400", "host_unclear"),
            ("host: a\r\nhost: a\r\n", "400", "host_unclear"),
            ("host: a\r\nhost: b\r\n", "400", "host_unclear"),
            ("host: a b\r\n", "400", "host_unclear"),
            ("host: someone@else\r\n", "400", "host_unclear"),
            ("host: x\r\nexpect: 200-ok\r\n", "417", "expectation_unmet"),
            ("host: x\r\nexpect: 100-continue, 200-ok\r\n", "417", "expectation_unmet"),
        ] {
            let got = ask("1.1", headers);
            assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{headers:?} at {}: {got}", words.path);
            assert!(got.contains(code) && got.contains("essage\":\""), "{headers:?} at {}: {got}", words.path);
        }
        for (version, headers) in [
            ("1.1", "host: x\r\n"),
            ("1.1", "host:\r\n"),
            ("1.1", "host: [::1]:7400\r\nexpect: 100-Continue\r\n"),
            ("1.0", ""),
        ] {
            let got = ask(version, headers);
            assert!(got.contains(" 200 OK\r\n"), "{headers:?} at {}: {got}", words.path);
        }
    }
}

#[test]
fn heads_and_bodies_that_trickle_keep_nothing_from_other_calls() {
    let provider = RawProvider::answering_body("application/json", GOOD.as_bytes());
    let site = Site::new("trickle", &configuration(provider.address));
    let freehold = site.start();
    let at_rest = freehold.resident_bytes();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", freehold.key);
    let mut slow = Vec::new();
    for (name, begun) in [
        ("a head that goes on", head.clone()),
        ("a line that goes on", "POST /v1/chat/comp".to_owned()),
        ("a body announced", format!("{head}content-length: 30000000\r\n\r\n{{\"model\":")),
        ("chunks that go on", format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n")),
    ] {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(freehold.gateway).unwrap();
            stream.write_all(begun.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            slow.push((name, stream));
        }
    }
    for turn in 0..20 {
        for (name, stream) in &mut slow {
            let more: &[u8] = match *name {
                "a head that goes on" => b"x: a\r\n",
                "chunks that go on" => b"1\r\n \r\n",
                _ => b" ",
            };
            stream.write_all(more).unwrap_or_else(|error| panic!("{name}, turn {turn}: {error}"));
        }
        assert_eq!(freehold.chat("w", "").status, 200, "turn {turn}");
    }
    let grown = freehold.resident_bytes().saturating_sub(at_rest);
    assert!(grown < SPARE_BYTES, "{} MiB more than at rest", grown >> 20);
}

#[test]
fn a_flood_of_interim_answers_ends_its_own_attempt_and_no_other_ones() {
    let flood = endless("HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n");
    let good = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{GOOD}",
        GOOD.len()
    );
    let good = RawProvider::answering(good.into_bytes());
    let more = format!(
        "[providers.flood]\ndialect = \"openai-chat\"\nbase_url = \"http://{flood}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.flood]\nprovider = \"flood\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.f]\nclass = \"B\"\nmodels = [\"flood\"]\npick = \"best\"\n\n[criticality.f]\nlanes = [\"f\"]\n\n\
         [workflows.flood]\ncriticality = \"f\"\nretry = {{ max_attempts = 1 }}\n"
    );
    let site = Site::new("flood", &format!("{}\n{more}", configuration(good.address)));
    let freehold = site.start();
    let at_rest = freehold.resident_bytes();
    std::thread::scope(|scope| {
        let (told, flooded) = channel();
        for _ in 0..8 {
            let (freehold, told) = (&freehold, told.clone());
            scope.spawn(move || told.send(freehold.chat("flood", "")).unwrap());
        }
        let mut ended = Vec::new();
        while ended.len() < 8 {
            assert_eq!(freehold.chat("w", "").status, 200, "two interim answers are none too many");
            ended.extend(flooded.try_iter());
        }
        // Before anybody's time was over.
        let first = freehold.call(ended[0].header("freehold-call-id").unwrap()).to_string();
        assert!(first.contains("more than 32 interim answers"), "{first}");
        let statuses: Vec<u16> = ended.iter().map(|answer| answer.status).collect();
        assert!(statuses.iter().all(|status| (500..600).contains(status)), "{statuses:?}");
    });
    let grown = freehold.resident_bytes().saturating_sub(at_rest);
    assert!(grown < SPARE_BYTES, "{} MiB more than at rest", grown >> 20);
}

#[test]
fn a_packed_answer_is_named_as_what_it_is_and_none_is_asked_for() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 8\r\nconnection: close\r\n\r\n";
    let provider = RawProvider::answering([head.as_bytes(), &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]].concat());
    let site = Site::new("packed", &configuration(provider.address));
    let freehold = site.start();
    for more in ["", r#","stream":true"#] {
        let answer = freehold.chat("w", more);
        assert_eq!(answer.status, 502, "{}", answer.text());
        let call = freehold.call(answer.header("freehold-call-id").unwrap()).to_string();
        assert!(call.contains("content-encoding: gzip") && call.contains("turn compression off"), "{call}");
    }
    let asked = provider
        .received()
        .iter()
        .all(|one| String::from_utf8_lossy(one).to_ascii_lowercase().contains("\r\naccept-encoding: identity\r\n"));
    assert!(asked);
}

#[test]
fn a_stream_that_is_cut_is_booked_with_a_token_for_each_frame_at_least() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 65536]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
            // One letter a frame, as a model says numbers or Chinese; then nothing more, until the other side has gone.
            for _ in 0..8 {
                let frame = r#"{"id":"c","object":"chat.completion.chunk","model":"v","choices":[{"index":0,"delta":{"content":"7"},"finish_reason":null}]}"#;
                let _ = stream.write_all(format!("data: {frame}\n\n").as_bytes());
            }
            let _ = stream.read(&mut [0; 1]);
        }
    });
    let site = Site::new("cut-stream", &configuration(address));
    let freehold = site.start();
    let mut client = freehold.stream("w");
    let mut text = String::new();
    while text.matches("\"7\"").count() < 8 {
        text.push_str(&String::from_utf8(client.chunk().unwrap().expect("eight frames")).unwrap());
    }
    drop(client);
    let row = eventually("the attempt is booked", || {
        freehold.ledger().into_iter().find(|row| row["end"] == "cancelled" && row["meter"] == "output")
    });
    assert_eq!((row["units"].as_str(), row["basis"].as_str()), (Some("8"), Some("estimated")), "{row}");
}

#[test]
fn what_a_provider_keeps_under_its_own_id_is_nobodys_until_its_entry_says_so() {
    let answer = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"v","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}"#;
    let provider = RawProvider::answering_body("application/json", answer.as_bytes());
    let text = configuration(provider.address).replace("\"openai-chat\"", "\"openai-responses\"");
    // How long a conversation is only its provider knows, so it is held for by the context.
    let text = text.replace("model = \"v\"", "model = \"v\"\ncontext_tokens = 1000\nmax_output_tokens = 100");
    let site = Site::new("unsealed", &text);
    let freehold = site.start();
    let asks = [
        r#""conversation":"conv_1""#,
        r#""conversation":{"id":"conv_1"}"#,
        r#""tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]"#,
        r#""tools":[{"type":"code_interpreter","container":"cntr_1"}]"#,
    ];
    let body = |more: &str| format!(r#"{{"model":"w","input":"Hi","max_output_tokens":9,{more}}}"#);
    for more in asks {
        let refused = freehold.post("/v1/responses", &body(more));
        assert_eq!(
            (refused.status, refused.header("freehold-error")),
            (400, Some("unsealed_id")),
            "{more}: {}",
            refused.text()
        );
    }
    assert!(provider.received().is_empty());
    for allowed in ["shared_files = true", "passthrough = true"] {
        site.configure(&text.replacen("[providers.p]\n", &format!("[providers.p]\n{allowed}\n"), 1));
        freehold.reload();
        for more in asks {
            eventually(&format!("{allowed}: {more}"), || {
                (freehold.post("/v1/responses", &body(more)).status == 200).then_some(())
            });
        }
        site.configure(&text);
        freehold.reload();
        eventually("nothing is shared again", || {
            (freehold.post("/v1/responses", &body(asks[0])).status == 400).then_some(())
        });
    }
}
