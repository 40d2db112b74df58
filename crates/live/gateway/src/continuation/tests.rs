//! Streams that break off after content, through the real server and two providers made of sockets.

use std::net::SocketAddr;

use domain::{AttemptEnd, CallEnd, Cause, FaultClass, NanoUsd, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scripted::{CUT, Provider, Served, When, frame, request, says, serve, stream_head};
use crate::trail::TRAP;

const PLENTY: NanoUsd = NanoUsd(100_000_000_000);
const PATH: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"w","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}"#;

/// A lane with model `a` at a provider of openai-chat, and `b` at one of this dialect.
fn text(dialect: &str, limit: NanoUsd, workflow: &str, lane: &str) -> impl Fn(&[SocketAddr]) -> String {
    let usd = format!("{}.{:09}", limit.0 / 1_000_000_000, limit.0 % 1_000_000_000);
    let (dialect, workflow, lane) = (dialect.to_owned(), workflow.to_owned(), lane.to_owned());
    move |at| {
        let (p, q) = (at[0], at[1]);
        format!(
            "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{p}\"\ntimeouts = {{ frame_ms = 300 }}\n\n\
             [providers.q]\ndialect = \"{dialect}\"\nbase_url = \"http://{q}\"\n\n\
             [models.a]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
             [models.b]\nprovider = \"q\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
             [lanes.l]\nclass = \"B\"\nmodels = [\"a\", \"b\"]\n{lane}\n\n\
             [criticality.c]\nlanes = [\"l\"]\n\n\
             [workflows.w]\ncriticality = \"c\"\n{workflow}\n\
             budget = {{ limit = \"{usd} USD\", per = \"total\" }}\n"
        )
    }
}

fn delta(text: &str) -> String {
    frame(&format!(r#"{{"id":"c","model":"v","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#))
}

/// The beginning of an answer that then meets this.
fn begins(then: &[String]) -> Vec<String> {
    let mut pieces = vec![stream_head(), delta("The river of Paris"), delta(" is the")];
    pieces.extend_from_slice(then);
    pieces
}

fn cut() -> Vec<String> {
    begins(&[CUT.to_owned()])
}

/// The rest, as a provider of Anthropic's dialect says it.
fn anthropic_rest() -> Vec<String> {
    let event = |name: &str, data: &str| {
        let frame = format!("event: {name}\ndata: {data}\n\n");
        format!("{:x}\r\n{frame}\r\n", frame.len())
    };
    vec![
        stream_head(),
        event(
            "message_start",
            r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"v","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}"#,
        ),
        event(
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        event(
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" Seine."}}"#,
        ),
        event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
        event(
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}"#,
        ),
        event("message_stop", r#"{"type":"message_stop"}"#),
        "0\r\n\r\n".to_owned(),
    ]
}

/// The records of the call are a broken one and one that went on, and the budget has both.
fn went_on(served: &Served, class: FaultClass) -> (Vec<Record>, CallEnd) {
    let (records, end) = served.once_over();
    assert_eq!(records.len(), 2, "{records:#?}");
    assert!(
        matches!(&records[0].end, AttemptEnd::Failed { class: met, after_content: true, .. } if *met == class),
        "{:?}",
        records[0].end
    );
    assert!(matches!(records[1].end, AttemptEnd::Served { .. }), "{:?}", records[1].end);
    assert_eq!((records[0].intent.cause, records[1].intent.cause), (Cause::Serve, Cause::Failover));
    let booked: NanoUsd = records.iter().map(|record| record.cost.booked()).sum();
    assert_eq!((served.balance(), end.cost), ((booked, NanoUsd::ZERO), booked));
    assert!(booked > records[1].cost.booked(), "what was said before is paid for too");
    assert_eq!((end.status, &end.failure, end.attempts), (200, &None, 2));
    assert_eq!(end.model, Some("b".into()));
    let reason = &records[1].losses.last().unwrap().reason;
    assert!(reason.contains("the answer begins with what a said before it broke off"), "{reason}");
    (records, end)
}

/// The text of a body, out of its chunks.
fn unchunked(answer: &str) -> String {
    let (_, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}

const CLIENTS: [(&str, &str, &str); 5] = [
    (PATH, BODY, "[DONE]"),
    ("/v1/messages", BODY, "message_stop"),
    (
        "/v1/responses",
        r#"{"model":"w","stream":true,"max_output_tokens":100,"store":false,"input":"Hello"}"#,
        "response.completed",
    ),
    (
        "/v1beta/models/w:streamGenerateContent?alt=sse",
        r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"maxOutputTokens":100}}"#,
        "finishReason",
    ),
    ("/v2/chat", BODY, "message-end"),
];

#[test]
fn every_client_gets_one_whole_stream_and_both_attempts_are_booked() {
    for (path, body, end) in CLIENTS {
        for (dialect, rest) in [("anthropic", anthropic_rest()), ("openai-chat", says(" Seine."))] {
            let (a, b) = (Provider::new(), Provider::new());
            let scripts = [(&a, When::AtOnce, cut()), (&b, When::AtOnce, rest)];
            let served = serve("goes-on", PLENTY, &scripts, text(dialect, PLENTY, "", ""));
            let answer = unchunked(&served.call(path, body));
            let at = |text: &str| answer.find(text).unwrap_or_else(|| panic!("{path}, {text}: {answer}"));
            assert!(at("The river of Paris") < at(" is the") && at(" is the") < at(" Seine."), "{path}: {answer}");
            assert!(at(" Seine.") < answer.rfind(end).unwrap(), "{path}: {answer}");
            assert!(!answer.contains("upstream_") || answer.contains(": freehold: "), "{path}: {answer}");
            // A connection that ends inside a chunked body is a reset to us.
            went_on(&served, FaultClass::Reset);
            assert!(b.last_heard().contains("The river of Paris is the"), "{}", b.last_heard());
        }
    }
}

#[test]
fn whatever_breaks_a_stream_off_it_goes_on() {
    let error = frame(r#"{"error":{"message":"the engine died","type":"server_error","code":null}}"#);
    let full = frame(r#"{"error":{"message":"slow down","type":"rate_limit_exceeded","code":"rate_limit_exceeded"}}"#);
    for (then, class) in [
        (vec![CUT.to_owned()], FaultClass::Cut),
        (vec!["0\r\n\r\n".to_owned()], FaultClass::Cut),
        (vec![error], FaultClass::ServerError),
        (vec![full], FaultClass::RateLimited),
        (vec![frame("{\"choices\":")], FaultClass::Malformed),
        (Vec::new(), FaultClass::FrameTimeout),
    ] {
        let (a, b) = (Provider::new(), Provider::new());
        let scripts = [(&a, When::AtOnce, begins(&then)), (&b, When::AtOnce, anthropic_rest())];
        let served = serve("goes-on-after", PLENTY, &scripts, text("anthropic", PLENTY, "", ""));
        let answer = unchunked(&served.call(PATH, BODY));
        assert!(answer.contains(" Seine.") && answer.ends_with("data: [DONE]\n\n"), "{class}: {answer}");
        // hyper tells a connection that ends inside a chunked body as a reset.
        let (records, _) = served.once_over();
        match &records[0].end {
            AttemptEnd::Failed { class: met, .. } => {
                assert!(*met == class || (class == FaultClass::Cut && *met == FaultClass::Reset), "{met} for {class}")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(records.len(), 2, "{class}");
    }
}

/// The stream ends with an error frame, after this many attempts.
fn ended_in_an_error(served: &Served, body: &str, attempts: usize) -> (String, Vec<Record>) {
    let answer = unchunked(&served.call(PATH, body));
    assert!(answer.contains("\"code\":\"upstream_") && !answer.contains("[DONE]"), "{answer}");
    let (records, end) = served.once_over();
    assert_eq!(records.len(), attempts, "{records:#?}");
    assert!(end.failure.is_some());
    let booked: NanoUsd = records.iter().map(|record| record.cost.booked()).sum();
    assert_eq!((served.balance(), end.cost), ((booked, NanoUsd::ZERO), booked));
    (answer, records)
}

#[test]
fn where_nothing_can_go_on_the_stream_ends_with_the_error_that_broke_it() {
    let (a, b) = (Provider::new(), Provider::new());
    let broken = vec!["HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned()];
    let scripts = [(&a, When::AtOnce, begins(&["0\r\n\r\n".to_owned()])), (&b, When::AtOnce, broken)];
    let retry = "retry = { retries_same = 0 }";
    let served = serve("goes-nowhere", PLENTY, &scripts, text("anthropic", PLENTY, retry, ""));
    let (answer, _) = ended_in_an_error(&served, BODY, 2);
    assert!(answer.contains("upstream_cut"), "{answer}");
}

#[test]
fn a_workflow_a_lane_and_a_budget_may_forbid_it() {
    let tight = NanoUsd(150_000_000);
    for (limit, workflow, lane) in [
        (PLENTY, "continuation = \"off\"", ""),
        (PLENTY, "", "continuation = \"off\""),
        (PLENTY, "on_loss = \"refuse\"", ""),
        (PLENTY, "retry = { max_attempts = 1 }", ""),
        // The first holds 0.1 USD and leaves less than the second would hold.
        (tight, "max_output_tokens = 100", ""),
    ] {
        let (a, b) = (Provider::new(), Provider::new());
        let long = "x".repeat(320);
        let mut pieces = vec![stream_head(), delta(&long)];
        pieces.push("0\r\n\r\n".to_owned());
        let scripts = [(&a, When::AtOnce, pieces), (&b, When::AtOnce, anthropic_rest())];
        let served = serve("goes-not", limit, &scripts, text("anthropic", limit, workflow, lane));
        ended_in_an_error(&served, BODY, 1);
        assert_eq!(*b.asked.borrow(), 0, "{workflow} {lane}");
    }
}

#[test]
fn tools_are_offered_again_and_half_a_call_is_not_gone_on_with() {
    let tools =
        r#""tools":[{"type":"function","function":{"name":"look_up","parameters":{"type":"object"}}}],"messages""#;
    let body = BODY.replace("\"messages\"", tools);
    let (a, b) = (Provider::new(), Provider::new());
    let scripts = [(&a, When::AtOnce, cut()), (&b, When::AtOnce, anthropic_rest())];
    let served = serve("goes-on-tools", PLENTY, &scripts, text("anthropic", PLENTY, "", ""));
    assert!(served.call(PATH, &body).contains(" Seine."));
    assert!(b.last_heard().contains("look_up"), "{}", b.last_heard());

    let call = frame(
        r#"{"id":"c","model":"v","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"look_up","arguments":"{\"a"}}]}}]}"#,
    );
    let (a, b) = (Provider::new(), Provider::new());
    let pieces = begins(&[call, "0\r\n\r\n".to_owned()]);
    let scripts = [(&a, When::AtOnce, pieces), (&b, When::AtOnce, anthropic_rest())];
    let served = serve("goes-not-tools", PLENTY, &scripts, text("anthropic", PLENTY, "", ""));
    ended_in_an_error(&served, &body, 1);
    let structured = BODY.replace("\"messages\"", r#""response_format":{"type":"json_object"},"messages""#);
    ended_in_an_error(&served_cut_at_its_end(), &structured, 1);
}

fn served_cut_at_its_end() -> Served {
    let (a, b) = (Provider::new(), Provider::new());
    let scripts = [(&a, When::AtOnce, begins(&["0\r\n\r\n".to_owned()])), (&b, When::AtOnce, anthropic_rest())];
    serve("goes-not-structured", PLENTY, &scripts, text("anthropic", PLENTY, "", ""))
}

#[test]
fn a_client_that_leaves_while_another_is_asked_is_booked_with_both() {
    let (a, b) = (Provider::new(), Provider::new());
    let scripts = [(&a, When::AtOnce, cut()), (&b, When::Never, Vec::new())];
    let served = serve("goes-on-gone", PLENTY, &scripts, text("anthropic", PLENTY, "", ""));
    let (address, mut asked, mut left) = (served.address, b.asked.subscribe(), b.left.subscribe());
    served.runtime.block_on(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request(PATH, BODY).as_bytes()).await.unwrap();
        asked.wait_for(|asked| *asked == 1).await.map(drop).unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        drop(stream);
        left.wait_for(|left| *left == 1).await.map(drop).unwrap();
    });
    let (records, end) = served.once_over();
    assert!(matches!(records[0].end, AttemptEnd::Failed { after_content: true, .. }));
    assert_eq!((&records[1].end, end.status), (&AttemptEnd::Cancelled, 499));
    assert_eq!(served.balance().1, NanoUsd::ZERO);
}

#[test]
fn a_panic_in_what_goes_on_books_the_broken_attempt_as_it_was_and_the_other_at_its_hold() {
    let (a, b) = (Provider::new(), Provider::new());
    let rest = says(std::str::from_utf8(TRAP).unwrap());
    let scripts = [(&a, When::AtOnce, cut()), (&b, When::AtOnce, rest)];
    let served = serve("goes-on-panic", PLENTY, &scripts, text("openai-chat", PLENTY, "", ""));
    let answer = served.call(PATH, BODY);
    assert!(answer.contains("The river of Paris") && answer.contains("\"code\":\"defect\""), "{answer}");
    let (records, end) = served.once_over();
    assert!(matches!(records[0].end, AttemptEnd::Failed { after_content: true, .. }));
    assert_eq!((&records[1].end, end.cost), (&AttemptEnd::Indeterminate, served.balance().0));
    assert_eq!(served.balance().1, NanoUsd::ZERO);
}
