//! What must hold of translations whatever they are fed. Each function panics when its invariant is broken; the crate's
//! tests feed them mutated fixtures for a moment, `cargo xtask prove` for minutes.

use bytes::Bytes;
use domain::FaultClass;
use serde::de::IgnoredAny;

use crate::canonical::Losses;
use crate::dialect::{Address, Dialect, Operation};
use crate::dialects::grammar;
use crate::eventstream::{self, Message};
use crate::fuzz::relayed;
use crate::quirks::{QUIRKS, Quirks};
use crate::reply::{ReplyPlan, Seen};
use crate::request::Ask;
use crate::scan::scan;
use crate::sse::{Event, Joined, Piece, Splitter};

/// Models of every generation that the dialects tell apart.
const MODELS: [&str; 4] = ["claude-3-5-haiku-latest", "claude-sonnet-4-5", "claude-opus-4-7", "other"];

/// A request is refused as the client's fault, or what is sent instead is one of the other dialect, for the right model.
pub fn request(data: &[u8]) {
    let asked = Address { model: "claims-triage".into(), stream: true };
    for (client, upstream) in pairs() {
        for (index, quirks) in QUIRKS.iter().enumerate() {
            let ask = Ask {
                upstream_model: MODELS[index % MODELS.len()],
                quirks,
                insert_max_output: None,
                default_max_output: 4096,
                foreign: index % 2 == 0,
            };
            // The gateway scans a body before it translates it.
            let Ok(head) = scan(client, Operation::Chat, Some(&asked), data) else { return };
            match super::request(client, upstream, Operation::Chat, head.stream, data, &ask) {
                Ok(super::Translated { body: out, losses, .. }) => {
                    let address = Address { model: ask.upstream_model.into(), stream: head.stream };
                    let sent = scan(upstream, Operation::Chat, Some(&address), &out).expect("what is sent can be read");
                    assert_eq!(sent.model.as_deref(), Some(ask.upstream_model));
                    assert_eq!(sent.stream, head.stream);
                    assert!(losses.iter().all(|loss| loss.pointer.is_empty() || loss.pointer.starts_with('/')));
                    let again = std::str::from_utf8(&out).expect("JSON is text");
                    let read = grammar(upstream).read_request(again, &mut Losses::default());
                    assert!(read.is_ok(), "what is sent can be read by its own dialect: {read:?}");
                }
                Err(fault) => {
                    assert!(matches!(fault.class, FaultClass::BadRequest | FaultClass::Untranslatable), "{fault:?}");
                }
            }
        }
    }
}

/// A whole answer is malformed, or the client gets one of its own dialect.
pub fn body(data: &[u8]) {
    for (client, upstream) in pairs() {
        let mut seen = Seen::default();
        match super::body(&plan(client, upstream), data, &mut seen) {
            Ok(out) => {
                assert!(serde_json::from_slice::<IgnoredAny>(&out).is_ok(), "the client gets JSON");
                let out = std::str::from_utf8(&out).expect("JSON is text");
                let read = grammar(client).read_answer(out, &mut Losses::default());
                assert!(read.is_ok(), "the client can read its answer: {:?}", read.err());
                assert!(seen.ended);
            }
            Err(fault) => assert_eq!(fault.class, FaultClass::Malformed),
        }
    }
}

/// A stream gives the same wherever it is cut, and what the client gets is a stream of its own dialect.
pub fn stream(data: &[u8]) {
    for (client, upstream) in pairs() {
        let plan = plan(client, upstream);
        let whole = relayed(&plan, data, data.len().max(1));
        for cut in [1, 5, data.len() / 2 + 1] {
            assert!(whole == relayed(&plan, data, cut), "{client} from {upstream}, cut every {cut} bytes");
        }
        readable(client, &whole.0);
    }
}

/// Reads a stream as its client would.
fn readable(client: Dialect, out: &[u8]) {
    if client.streams_messages() {
        let (mut reader, mut losses) = (grammar(client).stream_reader(), Losses::default());
        let mut splitter = eventstream::Splitter::default();
        let split = splitter.feed(out, |raw| {
            let message = Message::read(raw)?;
            assert!(!message.is_exception, "no error is made up");
            let event = Event { name: message.kind, data: message.payload };
            reader.read(&event, &mut losses, &mut |_, _| Ok(())).map(drop)
        });
        assert_eq!((split, splitter.take_rest()), (Ok(()), Vec::new()), "messages are whole");
        return;
    }
    let (mut splitter, mut joined) = (Splitter::default(), Joined::default());
    let (mut reader, mut losses) = (grammar(client).stream_reader(), Losses::default());
    let split = splitter.feed(out, |piece| {
        let Piece::Frame(frame) = piece else { return Ok(()) };
        let frame = joined.read(frame);
        let Some(data) = frame.data else { return Ok(()) };
        let read = reader.read(&Event { name: frame.name, data }, &mut losses, &mut |_, _| Ok(()))?;
        assert!(read.is_ok(), "no error is made up");
        Ok(())
    });
    assert_eq!(split, Ok(()), "{:?}", String::from_utf8_lossy(out));
    assert!(splitter.take_rest().is_empty(), "frames are whole");
}

fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    let all = || Dialect::ALL.iter().copied();
    all()
        .flat_map(move |client| all().map(move |upstream| (client, upstream)))
        .filter(|(client, upstream)| client != upstream)
}

fn plan(client: Dialect, upstream: Dialect) -> ReplyPlan {
    ReplyPlan {
        client,
        upstream,
        operation: Operation::Chat,
        asked_model: "claims-triage".into(),
        include_usage: true,
        continuous_usage: false,
        quirks: &Quirks::GENERIC,
        answer_id: "answer_1".into(),
        created_unix_s: 1,
        keep_bytes: 0,
        framing: client.framing(),
        raw: false,
        request: Bytes::new(),
        ids: crate::Ids::default(),
    }
}
