//! What must hold of every parser whatever it is fed. `cargo xtask prove` feeds these functions mutated fixtures for
//! minutes; the crate's tests do it for a moment. Each panics when its invariant is broken.

mod beside;
mod going_on;

pub use beside::{
    audio, form, mcp_frames, media_reply, media_request, signatures, vectors_and_rankings, vectors_and_rankings_answer,
};

pub use going_on::{going_on, same_request, told_limits};

use bytes::Bytes;
use domain::Fault;

use crate::dialect::{Address, Dialect, Framing, Operation};
use crate::errors;
use crate::eventstream::{self, Message};
use crate::maker::Maker;
use crate::quirks::{QUIRKS, Quirks};
use crate::reply::{self, ReplyPlan, Seen, StreamRelay};
use crate::request::{Ask, outgoing};
use crate::scan::scan as read_head;
use crate::sse::{Joined, MAX_FRAME_BYTES, Piece, Splitter};

/// A request is refused, or it is JSON, and what is sent instead is JSON too and names the right model.
pub fn scan(data: &[u8]) {
    let address = |model: &str, stream| Address { model: model.into(), stream };
    for dialect in Dialect::ALL {
        let asked = address("claims-triage", data.len().is_multiple_of(2));
        let Ok(head) = read_head(*dialect, Operation::Chat, Some(&asked), data) else { continue };
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok(), "what the scan takes is JSON");
        let body = Bytes::copy_from_slice(data);
        for quirks in QUIRKS {
            let ask = ask(quirks);
            let Ok(out) = outgoing(*dialect, Operation::Chat, &body, &head, *dialect, &ask) else { continue };
            if let Some(version) = quirks.hosting.version_for_model(*dialect, Operation::Chat) {
                // A number may be beyond what this reader holds: then it is so in both, for it passes as it is.
                let own = serde_json::from_slice::<serde_json::Value>(data);
                let sent: serde_json::Value = match serde_json::from_slice(&out.body) {
                    Ok(sent) => sent,
                    Err(error) => {
                        assert!(own.is_err(), "what is sent can be read: {error}");
                        continue;
                    }
                };
                assert!(
                    sent.get("model").is_none() && (out.path.contains("/up:") || out.path.contains("/up/")),
                    "the model is named in the path alone"
                );
                let own = own.expect("what is sent is what was asked but for its named spans");
                assert!(own.get("anthropic_version").is_some() || sent["anthropic_version"] == version);
                continue;
            }
            let sent = address("up", out.stream);
            let sent = read_head(*dialect, Operation::Chat, Some(&sent), &out.body).expect("what is sent can be read");
            assert_eq!(sent.model.as_deref(), Some("up"));
            assert_eq!(sent.max_output, head.max_output.or(Some(9)));
            assert_eq!(sent.stream, head.stream);
            let kept: usize = data.len() - out.edits.iter().map(|edit| edit.range.len()).sum::<usize>();
            assert!(kept <= out.body.len(), "only what is named was changed");
        }
    }
}

/// A body of Bedrock's `invoke` is refused, or it is JSON that names the model of its address, where it is Anthropic's.
pub fn invoke(data: &[u8]) {
    use crate::invoke::{Invocation, open};
    let address = Address { model: "claims-triage".into(), stream: data.len().is_multiple_of(2) };
    let opened = open(&address, &Bytes::copy_from_slice(data));
    let Ok(Invocation::Messages { body, .. }) = opened else { return };
    let Ok(plain) = serde_json::from_slice::<serde_json::Value>(&body) else {
        assert!(serde_json::from_slice::<serde_json::Value>(data).is_err(), "what was JSON stays JSON");
        return;
    };
    assert_eq!(plain["model"], "claims-triage");
    assert_eq!(plain["stream"] == true, address.stream);
    assert!(plain.get("anthropic_version").is_none() && plain.get("anthropic_beta").is_none());
}

/// What is read of kept things is refused, or what it is made into is as much JSON as it was.
pub fn kept(data: &[u8]) {
    use crate::kept::{
        Ids, Names, batch_line, batch_requests, items, purpose, references, renamed, result_line, stored_answer,
        stored_input, with_names,
    };
    let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    for dialect in Dialect::ALL {
        if let Some(named) = crate::kept::unsealed(*dialect, data) {
            assert!(!named.id.is_empty(), "something is named");
        }
    }
    let found = references(data);
    let names: Vec<String> = found.iter().map(|reference| format!("\"{}", reference.id.len())).collect();
    let named = with_names(data, &found, &names);
    assert!(is_json(&named) || !is_json(data), "other ids leave it JSON");
    if let Ok(told) = renamed(data, |_, text| Some(format!("{text}\\"))) {
        assert!(is_json(&told), "other ids leave it JSON");
    }
    if let Ok((items, _)) = items(data) {
        assert!(items.iter().all(|item| is_json(&data[item.span.clone()])), "an item of a list is JSON");
    }
    let ids = Ids::named(|_, id| Some(format!("{id}!")));
    if let Ok((told, _)) = stored_answer(&ids, "claims-triage", Maker::of("p"), data) {
        assert!(is_json(&told), "a stored answer stays JSON");
    }
    if let Ok(told) = stored_input(Maker::of("p"), data) {
        assert!(is_json(&told), "what an answer was asked with stays JSON");
    }
    let theirs = Names { asked_model: "claims-triage".into(), maker: Maker::of("p"), ids };
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(asked) = batch_line(line) {
            assert!(is_json(&line[asked.body]), "a request of a batch is JSON");
        }
        for dialect in [Dialect::OpenAiChat, Dialect::Anthropic] {
            let mut told = Vec::new();
            if result_line(dialect, &theirs, line, &mut told).is_ok() {
                assert!(is_json(&told) || !is_json(line), "a line of results stays JSON");
            }
        }
    }
    if let Ok(asked) = batch_requests(data) {
        assert!(asked.into_iter().all(|asked| is_json(&data[asked.body])), "a request of a batch is JSON");
    }
    if let Ok((_, file)) = purpose("b", data) {
        assert!(file.end <= data.len());
    }
}

/// A message of a client is refused, or names the tool that a plain parser finds too; what is left of a list of tools is JSON,
/// has no tool but the wanted ones, and loses nothing more when it is looked at again.
pub fn mcp(data: &[u8]) {
    use crate::mcp::{Kind, filtered, read, said, said_in_frame, with_data};
    let plain = |data: &[u8]| serde_json::from_slice::<serde_json::Value>(data).ok();
    if let Ok(message) = read(data)
        && let (Kind::Request { tool: Some(tool), .. }, Some(plain)) = (message.kind, plain(data))
    {
        assert_eq!(plain["params"]["name"], tool.as_str(), "two parsers name the same tool");
    }
    if let Some(kept) = filtered(data, |name| name == "search") {
        if let (Some(_), Some(kept)) = (plain(data), plain(&kept)) {
            let names = kept["result"]["tools"].as_array().into_iter().flatten().map(|tool| &tool["name"]);
            names.for_each(|name| assert_eq!(name, "search"));
        }
        assert!(filtered(&kept, |name| name == "search").is_none(), "all was left out at once");
        let frame = crate::mcp::frame(&kept);
        let (_, read_again, _) = said_in_frame(&with_data(&frame, b"{}"));
        assert_eq!(read_again.as_deref(), Some(&b"{}"[..]));
    }
    let _ = said(data);
}

/// The pieces of a stream are the stream, wherever it is cut.
pub fn sse(data: &[u8]) {
    let cuts = [data.len(), data.len() / 2, data.len() / 3, 1];
    for cut in cuts.into_iter().filter(|cut| *cut > 0) {
        let (mut splitter, mut whole, mut joined) = (Splitter::default(), Vec::new(), Joined::default());
        for chunk in data.chunks(cut) {
            let fed = splitter.feed(chunk, |piece| {
                match piece {
                    Piece::Frame(frame) => {
                        whole.extend_from_slice(frame);
                        let _ = joined.read(frame).data;
                    }
                    Piece::LateLineFeed => whole.push(b'\n'),
                }
                Ok(())
            });
            if fed.is_err() {
                assert!(data.len() > MAX_FRAME_BYTES);
                return;
            }
        }
        whole.extend(splitter.take_rest());
        assert!(whole == data, "the pieces are the stream, cut every {cut} bytes");
    }
}

/// The messages of a stream are the stream, wherever it is cut, in bounded memory; one that reads is written as it reads.
pub fn eventstream(data: &[u8]) {
    let mut told = None;
    for cut in [data.len(), data.len() / 2, data.len() / 3, 13, 1].into_iter().filter(|cut| *cut > 0) {
        let (mut splitter, mut whole, mut failed) = (eventstream::Splitter::default(), Vec::new(), false);
        for chunk in data.chunks(cut) {
            let fed = splitter.feed(chunk, |raw| {
                whole.extend_from_slice(raw);
                if let Ok(message) = Message::read(raw) {
                    let mut again = Vec::new();
                    message.write(&mut again);
                    let again = Message::read(&again).expect("what is written can be read");
                    assert_eq!((again.kind, again.payload), (message.kind, message.payload));
                }
                Ok(())
            });
            assert!(splitter.buffered_bytes() <= data.len() + 64 * 1024, "memory is bounded");
            if fed.is_err() {
                failed = true;
                break;
            }
        }
        if !failed {
            assert!(data.starts_with(&whole));
            whole.extend(splitter.take_rest());
            assert!(whole == data, "the messages are the stream, cut every {cut} bytes");
        }
        assert!(*told.get_or_insert(failed) == failed, "cut every {cut} bytes it is another stream");
    }
}

/// A stream gives the same answer, the same fault and the same figures wherever it is cut, in bounded memory.
pub fn reply_stream(data: &[u8]) {
    for (client, upstream) in pairs() {
        for quirks in ["generic", "vllm"] {
            let plan = plan(client, upstream, quirks);
            let whole = relayed(&plan, data, data.len().max(1));
            for cut in [1, 7, data.len() / 2] {
                if cut > 0 {
                    let cut_up = relayed(&plan, data, cut);
                    assert!(whole == cut_up, "{client} from {upstream}, cut every {cut} bytes");
                }
            }
        }
    }
}

/// The same of a stream that Bedrock hosts: in chunks, of Anthropic's and of a grammar that is not read.
pub fn chunks(data: &[u8]) {
    let anthropic =
        ReplyPlan { framing: Framing::Chunks, ..plan(Dialect::Anthropic, Dialect::Anthropic, "bedrock-invoke") };
    let translated = plan(Dialect::OpenAiChat, Dialect::Anthropic, "bedrock-invoke");
    let bedrock = plan(Dialect::BedrockConverse, Dialect::BedrockConverse, "generic");
    let other = ReplyPlan { operation: Operation::Invoke, ..bedrock };
    for plan in [anthropic, translated, other] {
        let whole = relayed(&plan, data, data.len().max(1));
        for cut in [1, 7, data.len() / 2].into_iter().filter(|cut| *cut > 0) {
            assert!(
                whole == relayed(&plan, data, cut),
                "{} of {}, cut every {cut} bytes",
                plan.operation,
                plan.upstream
            );
        }
        if plan.operation == Operation::Invoke {
            assert!(data.starts_with(&whole.0), "what is not read passes as it came");
        }
    }
}

/// An event of a realtime session passes as it is, or as one that differs in the name of its model; what was JSON stays JSON, and
/// what has the right name already is not changed again.
pub fn realtime(data: &[u8]) {
    use crate::realtime::{for_client, for_provider};
    let Ok(event) = std::str::from_utf8(data) else { return };
    let plain = |event: &str| serde_json::from_str::<serde_json::Value>(event).ok();
    for changed in [for_provider(event, "up").0, for_client(event, "claims").0] {
        match (plain(event), plain(&changed)) {
            (Some(mut before), Some(after)) if before != after => {
                before["session"]["model"] = after["session"]["model"].clone();
                assert_eq!(before, after, "nothing but the model of the session was changed");
            }
            (before, after) => assert!(before == after || changed == event, "what was JSON stays JSON"),
        }
    }
    let sent = for_provider(event, "up").0;
    assert_eq!(for_provider(&sent, "up").0, sent);
}

/// A whole answer is refused, or its figures add up; the same dialect gives JSON for JSON.
pub fn reply_body(data: &[u8]) {
    for (client, upstream) in pairs() {
        let Ok((out, seen)) = reply::reply_body(&plan(client, upstream, "generic"), data) else { continue };
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok(), "the client gets JSON");
        assert!(seen.ended);
    }
}

/// Any error answer is some fault with a bounded message, and any fault some answer.
pub fn upstream_fault(data: &[u8]) {
    for dialect in Dialect::ALL {
        for status in [200, 302, 400, 401, 404, 413, 429, 500, 529] {
            let header = |_: &str| std::str::from_utf8(data).ok().map(str::to_owned);
            let fault = errors::upstream_fault(*dialect, status, &header, data);
            assert!(fault.message.chars().count() <= 500 && !fault.message.contains('\n'));
            let error = errors::client_error(*dialect, &fault, "call", false);
            assert!((400..600).contains(&error.status));
            let frame = errors::error_frame(*dialect, dialect.framing(), &error);
            let line_feeds = frame.iter().filter(|byte| **byte == b'\n').count();
            match dialect {
                Dialect::OpenAiChat | Dialect::Gemini => assert_eq!(line_feeds, 2),
                Dialect::OpenAiResponses => assert_eq!(line_feeds, 6),
                Dialect::BedrockConverse => assert!(Message::read(&frame).is_ok_and(|message| message.is_exception)),
                Dialect::Anthropic | Dialect::Cohere => assert_eq!(line_feeds, 3),
            }
        }
        let _ = errors::embedded_fault(*dialect, data);
    }
}

fn ask(quirks: &Quirks) -> Ask<'_> {
    let (insert_max_output, maker) = (Some(9), Maker::of("provider"));
    Ask { upstream_model: "up", quirks, insert_max_output, default_max_output: 9, maker, foreign: false }
}

fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    Dialect::ALL.iter().flat_map(|client| Dialect::ALL.iter().map(|upstream| (*client, *upstream)))
}

fn plan(client: Dialect, upstream: Dialect, quirks: &str) -> ReplyPlan {
    ReplyPlan {
        client,
        upstream,
        operation: Operation::Chat,
        asked_model: "claims-triage".into(),
        include_usage: quirks == "generic",
        continuous_usage: false,
        quirks: Quirks::named(quirks).expect("a row of the table"),
        maker: Maker::of("provider"),
        answer_id: "answer_1".into(),
        created_unix_s: 1,
        keep_bytes: 0,
        framing: client.framing(),
        raw: false,
        request: bytes::Bytes::new(),
        ids: crate::Ids::default(),
    }
}

/// Relays `data` in chunks of `cut` bytes. After a fault nothing more is fed, as the gateway does.
pub(crate) fn relayed(plan: &ReplyPlan, data: &[u8], cut: usize) -> (Vec<u8>, Seen, Result<(), Fault>) {
    let (mut relay, mut out) = (StreamRelay::new(plan.clone()), Vec::new());
    for chunk in data.chunks(cut) {
        if let Err(fault) = relay.feed(chunk, &mut out) {
            return (out, relay.seen().clone(), Err(fault));
        }
        assert!(relay.buffered_bytes() <= data.len() + 64 * 1024, "memory is bounded");
    }
    let ended = relay.end(&mut out);
    (out, relay.seen().clone(), ended)
}
