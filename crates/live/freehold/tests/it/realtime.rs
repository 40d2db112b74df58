//! OpenAI's Realtime over sockets: what is said passes both ways under the names each side knows, every response is booked as it ends,
//! the hold is taken anew for each, and whoever leaves, the other side is left too.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept, client};

use crate::harness::{Freehold, Simulator, Site, eventually, run, text};
use crate::http::request;

const SCENARIO: &str = "[providers.sim]\noutput_tokens = 10\n\n[providers.slow]\noutput_tokens = 4000\ntokens_per_second = 20\n\n\
                        [[providers.cut.faults]]\nkind = \"cut\"\nafter_frames = 2\n\n\
                        [[providers.down.faults]]\nkind = \"overloaded\"\n\n[transcript]\nbodies = true\n";
/// A response may cost a thousand tokens in and a hundred out: 0.048 USD is held for each.
const MODEL: &str = "model = \"gpt-realtime\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
                     price = { input = \"4\", cache_read = \"0.4\", input_audio = \"40\", cache_read_audio = \"0.4\", output = \"16\", output_audio = \"80\" }";

fn row(name: &str, dialect: &str, base_url: &str, models: &[&str], budget: &str) -> String {
    format!(
        "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.{name}]\nprovider = \"{name}\"\n{MODEL}\n\n\
         [lanes.{name}]\nclass = \"B\"\nmodels = {models:?}\npick = \"best\"\n\n[criticality.{name}]\nlanes = [\"{name}\"]\n\n\
         [workflows.{name}]\ncriticality = \"{name}\"\n{budget}\n\n"
    )
}

fn site(name: &str, server: &str, budget: &str) -> (Site, Simulator) {
    let site = Site::new(name, "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    let at = |provider: &str| format!("http://{}/{provider}/v1", simulator.address);
    let text = [
        row("sim", "openai-chat", &at("sim"), &["sim"], budget),
        row("slow", "openai-chat", &at("slow"), &["slow"], budget),
        row("cut", "openai-chat", &at("cut"), &["cut"], budget),
        // Its second model is reached, since its first provider is overloaded before the session begins.
        row("down", "openai-chat", &at("down"), &["down", "sim"], budget),
        row("other", "anthropic", &at("sim"), &["other"], budget),
    ]
    .concat();
    site.configure(&text);
    if !server.is_empty() {
        let file = std::fs::read_to_string(site.file()).unwrap();
        std::fs::write(site.file(), file.replacen("[server]\n", &format!("[server]\n{server}\n"), 1)).unwrap();
    }
    (site, simulator)
}

/// A session, and the id of its call.
pub struct Session(WebSocket<TcpStream>, pub String);

/// Connects; what is answered instead of a socket is the error.
pub fn connect(freehold: &Freehold, query: &str, headers: &[(&'static str, &str)]) -> Result<Session, (u16, Value)> {
    let mut asked = format!("ws://{}/v1/realtime{query}", freehold.gateway).into_client_request().unwrap();
    for (name, value) in headers {
        asked.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(freehold.gateway).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    match client(asked, stream) {
        Ok((socket, answer)) => {
            let call = answer.headers()["freehold-call-id"].to_str().unwrap().to_owned();
            Ok(Session(socket, call))
        }
        Err(HandshakeError::Failure(Error::Http(answer))) => {
            let status = answer.status().as_u16();
            Err((status, serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default()))
        }
        Err(error) => panic!("{error}"),
    }
}

fn session(freehold: &Freehold, workflow: &str) -> Session {
    let authorization = format!("Bearer {}", freehold.key);
    let mut session =
        connect(freehold, &format!("?model={workflow}"), &[("authorization", &authorization)]).expect("a socket");
    let created = session.next();
    assert_eq!((&created["type"], &created["session"]["model"]), (&json!("session.created"), &json!(workflow)));
    session
}

impl Session {
    pub fn say(&mut self, event: Value) {
        self.0.send(Message::text(event.to_string())).unwrap();
    }

    fn next(&mut self) -> Value {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("an event was expected: {other:?}"),
            }
        }
    }

    pub fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next();
            assert!(event["type"] != "error" || kind == "error", "{event}");
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Says something and waits for the whole answer.
    pub fn ask(&mut self, text: &str) -> Value {
        let content = json!([{"type": "input_text", "text": text}]);
        self.say(json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}));
        self.say(json!({"type": "response.create"}));
        self.until("response.done")
    }

    fn closed(&mut self) -> CloseCode {
        match self.0.read().unwrap() {
            Message::Close(Some(frame)) => frame.code,
            other => panic!("a goodbye was expected: {other:?}"),
        }
    }

    pub fn close(mut self) {
        self.0.close(None).unwrap();
        while self.0.read().is_ok() {}
    }
}

/// How an attempt ended, and its tokens by meter.
type Booked = (String, Vec<(String, u64)>);

/// Every booked attempt.
fn booked(freehold: &Freehold, attempts: usize) -> Vec<Booked> {
    eventually("every attempt is booked", || {
        let mut records: Vec<(String, Booked)> = Vec::new();
        for line in freehold.ledger() {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            if records.last().is_none_or(|(attempt, _)| *attempt != text("attempt")) {
                records.push((text("attempt"), (text("end"), Vec::new())));
            }
            if let Ok(units @ 1..) = text("units").parse() {
                records.last_mut().unwrap().1.1.push((text("meter"), units));
            }
        }
        let ends: Vec<Booked> = records.into_iter().map(|(_, booked)| booked).collect();
        (ends.len() == attempts).then_some(ends)
    })
}

const BUDGET: &str = "budget = { limit = \"10 USD\", per = \"total\", at_limit = \"refuse\" }";

#[test]
fn a_session_passes_and_every_response_of_it_is_booked_by_what_was_heard_spoken_and_cached() {
    let (site, simulator) = site("realtime", "", BUDGET);
    let freehold = site.start();
    let mut session = session(&freehold, "sim");
    session.say(json!({"type": "session.update", "session": {"type": "realtime", "model": "sim", "output_modalities": ["audio"]}}));
    let updated = session.until("session.updated");
    assert_eq!(updated["session"]["model"], "sim");
    // A second of silence, 24 kHz, 16 bits.
    let second = "AAAA".repeat(48_000 / 3);
    session.say(json!({"type": "input_audio_buffer.append", "audio": second}));
    session.say(json!({"type": "input_audio_buffer.commit"}));
    session.until("input_audio_buffer.committed");
    let first = session.ask("Is water covered?");
    assert_eq!(first["response"]["usage"]["input_token_details"]["audio_tokens"], 10, "{first}");
    session.ask("And fire?");
    session.0.send(Message::text("no JSON")).unwrap();
    assert_eq!(session.until("error")["error"]["type"], "invalid_request_error");
    session.close();

    let attempts = booked(&freehold, 3);
    let of = |attempt: usize, meter: &str| {
        attempts[attempt].1.iter().find(|(name, _)| name == meter).map_or(0, |(_, units)| *units)
    };
    assert_eq!((of(0, "input_audio"), of(0, "cache_read_audio"), of(0, "output_audio")), (10, 0, 10), "{attempts:?}");
    assert_eq!((of(1, "input_audio"), of(1, "cache_read_audio"), of(1, "output_audio")), (0, 20, 10), "{attempts:?}");
    assert!(of(0, "input") > 0 && of(0, "output") > 0 && of(1, "cache_read") > 0, "{attempts:?}");
    assert!(attempts[2].1.is_empty(), "what was only reserved costs nothing: {attempts:?}");
    let calls = freehold.admin("/api/v1/calls").to_string();
    assert!(calls.contains("GET /v1/realtime"), "{calls}");

    let exchanges = simulator.transcript();
    assert_eq!(exchanges[0]["path"], "/sim/v1/realtime?model=gpt-realtime");
    assert!(!exchanges[0]["headers"].to_string().contains(&freehold.key));
    let update = exchanges.iter().find(|exchange| exchange["body"].to_string().contains("session.update")).unwrap();
    assert!(update["body"].as_str().unwrap().contains(r#""model":"gpt-realtime""#), "{update}");
}

#[test]
fn a_session_whose_budget_cannot_be_topped_up_ends_after_the_response_that_used_it() {
    // 0.048 USD are held for one response; what one costs does not fit beside the hold of the next.
    let (site, _simulator) =
        site("realtime-budget", "", "budget = { limit = \"0.0481 USD\", per = \"total\", at_limit = \"refuse\" }");
    let freehold = site.start();
    let mut session = session(&freehold, "sim");
    assert_eq!(session.ask("Is water covered?")["response"]["status"], "completed");
    let error = session.until("error");
    assert_eq!(error["error"]["code"], "budget_spent", "{error}");
    assert_eq!(error["error"]["freehold"]["billed"], false, "{error}");
    assert_eq!(session.closed(), CloseCode::Policy);
    assert_eq!(booked(&freehold, 1)[0].0, "served");
    let authorization = format!("Bearer {}", freehold.key);
    let (status, body) = connect(&freehold, "?model=sim", &[("authorization", &authorization)]).err().unwrap();
    assert_eq!((status, &body["error"]["code"]), (429, &json!("budget_spent")));
}

#[test]
fn whoever_leaves_the_other_side_is_left_too() {
    let (site, simulator) = site("realtime-leave", "", BUDGET);
    let freehold = site.start();
    let mut session_left = session(&freehold, "slow");
    session_left.say(json!({"type": "response.create"}));
    session_left.until("response.output_text.delta");
    // Without a goodbye.
    drop(session_left);
    eventually("the provider is left", || {
        let open = simulator.transcript().into_iter().find(|exchange| exchange["method"] == "GET")?;
        (!open["ended_at"].is_null()).then_some(())
    });
    let cancelled = booked(&freehold, 1);
    assert_eq!(cancelled[0].0, "cancelled");
    assert!(cancelled[0].1.iter().any(|(meter, _)| meter == "output"), "what came is guessed at: {cancelled:?}");

    let mut broken = session(&freehold, "cut");
    broken.say(json!({"type": "response.create"}));
    let error = broken.until("error");
    assert_eq!(error["error"]["code"], "upstream_reset", "{error}");
    assert_eq!(broken.closed(), CloseCode::Error);
    booked(&freehold, 2);
    assert_eq!(session(&freehold, "down").ask("Hello")["response"]["status"], "completed", "it failed over");
}

#[test]
fn a_session_in_flight_is_indeterminate_after_sigkill_with_its_hold_as_the_most_it_can_have_cost() {
    let (site, _simulator) = site("realtime-kill", "", BUDGET);
    let freehold = site.start();
    let key = freehold.key.clone();
    let mut session = session(&freehold, "slow");
    session.say(json!({"type": "response.create"}));
    session.until("response.output_text.delta");
    freehold.kill();
    let freehold = site.start_with(key);
    assert_eq!(booked(&freehold, 1)[0].0, "indeterminate");
}

#[test]
fn a_session_in_which_nobody_says_anything_is_ended() {
    let (site, _simulator) = site("realtime-idle", "realtime_idle_ms = 1000", BUDGET);
    let freehold = site.start();
    let mut session = session(&freehold, "sim");
    assert_eq!(session.until("error")["error"]["code"], "session_idle");
    assert_eq!(session.closed(), CloseCode::Policy);
}

#[test]
fn what_cannot_be_a_session_is_refused_in_the_dialect() {
    let (site, _simulator) = site("realtime-refused", "", BUDGET);
    let freehold = site.start();
    let authorization = format!("Bearer {}", freehold.key);
    let refused = |query: &str, headers: &[(&'static str, &str)]| {
        let (status, body) = connect(&freehold, query, headers).err().expect("no socket");
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let known = [("authorization", authorization.as_str())];
    assert_eq!(refused("?model=sim", &[]), (401, "key_missing".into()));
    assert_eq!(refused("?model=sim", &[("authorization", "Bearer fh_x_y")]), (401, "key_unknown".into()));
    assert_eq!(refused("?model=nobody", &known), (404, "model_not_found".into()));
    assert_eq!(refused("?model=other", &known), (400, "untranslatable".into()));
    assert_eq!(refused("?intent=transcription", &known), (400, "bad_request".into()));
    let browser = format!("realtime, openai-insecure-api-key.{}, openai-beta.realtime-v1", freehold.key);
    assert!(connect(&freehold, "?model=sim", &[("sec-websocket-protocol", &browser)]).is_ok());

    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let plain = request(freehold.gateway, "GET", "/v1/realtime?model=sim", &headers, b"");
    assert_eq!((plain.status, plain.header("freehold-error")), (426, Some("no_socket")));
    let secret = request(freehold.gateway, "POST", "/v1/realtime/client_secrets", &headers, b"{}");
    assert_eq!((secret.status, secret.header("freehold-error")), (403, Some("no_ephemeral_keys")));
    assert!(secret.text().contains("openai-insecure-api-key"), "{}", secret.text());
}

#[test]
fn speech_is_written_down_under_a_budget_only_by_a_model_with_a_price() {
    let (site, _simulator) = site("realtime-transcripts", "", BUDGET);
    let file = std::fs::read_to_string(site.file()).unwrap();
    let writer = "[models.writer]\nprovider = \"sim\"\nmodel = \"gpt-4o-transcribe\"\n\
                  price = { input = \"2.5\", input_audio = \"6\", output = \"10\" }\n";
    std::fs::write(site.file(), file + writer).unwrap();
    let freehold = site.start();
    let mut session = session(&freehold, "sim");
    let update = |model: &str| json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"transcription": {"model": model}}}}});
    session.say(update("whisper-1"));
    let error = session.until("error");
    assert_eq!(error["error"]["code"], "model_unpriced", "{error}");
    session.say(update("gpt-4o-transcribe"));
    session.until("session.updated");
    session.say(json!({"type": "input_audio_buffer.append", "audio": "AAAA".repeat(16_000)}));
    session.say(json!({"type": "input_audio_buffer.commit"}));
    session.until("conversation.item.input_audio_transcription.completed");
    session.close();
    let attempts = booked(&freehold, 2);
    let written = attempts.iter().find(|(_, meters)| !meters.is_empty()).expect("the transcript is booked");
    assert!(
        written.1.contains(&("input_audio".into(), 10)) && written.1.contains(&("output".into(), 4)),
        "{written:?}"
    );
}

/// A provider made of a socket: it says what it hears once more, and goodbye with a code of its own when it is told to.
fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut socket = accept(stream).unwrap();
                while let Ok(message) = socket.read() {
                    let said = match message {
                        Message::Text(text) if text.contains("goodbye") => {
                            let frame = CloseFrame { code: CloseCode::Library(4000), reason: "enough".into() };
                            socket.close(Some(frame)).unwrap();
                            continue;
                        }
                        Message::Text(_) | Message::Binary(_) => message,
                        _ => continue,
                    };
                    socket.send(said).unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn what_is_no_event_passes_as_it_is_and_so_do_the_codes_of_a_goodbye() {
    let address = echo();
    let site =
        Site::new("realtime-echo", &row("echo", "openai-chat", &format!("http://{address}/v1"), &["echo"], BUDGET));
    let freehold = site.start();
    let authorization = format!("Bearer {}", freehold.key);
    let mut session = connect(&freehold, "?model=echo", &[("authorization", &authorization)]).unwrap();
    for said in
        [Message::text("no JSON {"), Message::text(r#"{ "type" : "x", "a":1e999}"#), Message::binary(vec![0, 159, 1])]
    {
        session.0.send(said.clone()).unwrap();
        assert_eq!(session.0.read().unwrap(), said);
    }
    // An event is read whatever frame it comes in.
    session.0.send(Message::binary(br#" {"type":"x"}"#.to_vec())).unwrap();
    assert_eq!(session.0.read().unwrap(), Message::text(r#" {"type":"x"}"#));
    session.0.send(Message::Ping(vec![7].into())).unwrap();
    assert_eq!(session.0.read().unwrap(), Message::Pong(vec![7].into()));
    session.0.send(Message::text("goodbye")).unwrap();
    assert_eq!(session.closed(), CloseCode::Library(4000));
    let mut session = connect(&freehold, "?model=echo", &[("authorization", &authorization)]).unwrap();
    // More than an event may be; the frame says so before it comes.
    session.0.send(Message::binary(vec![0; (16 << 20) + 1])).ok();
    assert_eq!(session.until("error")["error"]["code"], "session_event");
    assert_eq!(session.closed(), CloseCode::Size);
    booked(&freehold, 2);
}

#[test]
fn a_session_ends_with_the_key_that_opened_it_and_with_freehold() {
    let (site, _simulator) = site("realtime-revoked", "drain_ms = 100", BUDGET);
    let freehold = site.start();
    let made = site.made_key(&["--label", "short", "--workflow", "sim"]);
    let authorization = format!("Bearer {}", made["key"].as_str().unwrap());
    let mut short =
        eventually("the key is known", || connect(&freehold, "?model=sim", &[("authorization", &authorization)]).ok());
    short.ask("Hello");
    let id = made["id"].as_str().unwrap();
    let (code, out) = run(&["key", "revoke", id, "--data", &text(&site.data())]);
    assert_eq!(code, 0, "{out}");
    eventually("the key is known to be revoked", || {
        let headers = [("authorization", authorization.as_str())];
        (request(freehold.gateway, "GET", "/v1/models", &headers, b"").status == 401).then_some(())
    });
    // Paid for before the key was revoked; the next one is not.
    short.ask("Hello");
    assert_eq!(short.until("error")["error"]["code"], "key_revoked");
    assert_eq!(short.closed(), CloseCode::Policy);

    let mut long = session(&freehold, "slow");
    long.say(json!({"type": "response.create"}));
    long.until("response.output_text.delta");
    let told = std::thread::spawn(move || (long.until("error")["error"]["code"].clone(), long.closed()));
    assert_eq!(freehold.stop(), Some(0));
    assert_eq!(told.join().unwrap(), (json!("draining"), CloseCode::Away));
}
