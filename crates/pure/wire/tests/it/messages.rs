//! Every stream of Amazon's binary messages: what is read from it, that it reads the same wherever it is cut, that its bytes
//! pass, and that what is broken is seen.

use domain::{Fault, FaultClass, Meter};
use wire::eventstream::MAX_MESSAGE_BYTES;
use wire::{Dialect, ReplyPlan, Seen, StreamRelay, fuzz};

use crate::mutate::Chance;
use crate::support::{files, plan};

const ENDING: &str = ".eventstream";

fn relay<'a>(plan: &ReplyPlan, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Seen, Result<(), Fault>) {
    let (mut relay, mut out) = (StreamRelay::new(plan.clone()), Vec::new());
    let fed = chunks.into_iter().try_for_each(|chunk| relay.feed(chunk, &mut out));
    let end = fed.and_then(|()| relay.end(&mut out));
    (out, relay.seen().clone(), end)
}

fn relayed(name: &str) -> (Vec<u8>, Seen, Result<(), Fault>) {
    relay(&plan(Dialect::BedrockConverse), [&stream(name)[..]])
}

fn stream(name: &str) -> Vec<u8> {
    let (_, bytes) = files("streams", ENDING).into_iter().find(|(path, _)| path.ends_with(name)).unwrap();
    bytes
}

#[test]
fn every_stream_of_messages_reads_the_same_split_at_every_byte_for_every_client() {
    for (path, bytes) in files("streams", ENDING) {
        for client in Dialect::ALL {
            let plan = ReplyPlan { client: *client, ..plan(Dialect::BedrockConverse) };
            let whole = relay(&plan, [&bytes[..]]);
            assert_eq!(relay(&plan, bytes.chunks(1)), whole, "{path} for {client}, byte by byte");
            for at in 0..bytes.len() {
                assert_eq!(relay(&plan, [&bytes[..at], &bytes[at..]]), whole, "{path} for {client}, split at {at}");
            }
        }
    }
}

#[test]
fn a_stream_of_messages_passes_byte_for_byte_and_tells_what_it_holds() {
    for (name, tokens, finish, output_bytes) in [
        ("text", Some([12, 0, 0, 3]), "end_turn", 10),
        ("cached", Some([5, 90, 40, 3]), "end_turn", 10),
        ("reasoning", Some([12, 0, 0, 9]), "max_tokens", 11 + 4),
        ("parallel-tool-calls", Some([37, 0, 0, 23]), "tool_use", 6 + 1 + 15 + 1 + 2),
        ("no-metadata", None, "end_turn", 10),
    ] {
        let name = format!("{name}{ENDING}");
        let (out, seen, end) = relayed(&name);
        let meters = [Meter::Input, Meter::CacheRead, Meter::CacheWrite1h, Meter::Output];
        assert_eq!(seen.usage.map(|usage| meters.map(|meter| usage.get(meter))), tokens, "{name}");
        assert_eq!((seen.finish.as_deref(), seen.output_bytes, end), (Some(finish), output_bytes, Ok(())), "{name}");
        assert!(seen.ended && seen.content_started, "{name}");
        // A signature has its maker's tag before it; tests/it/signatures.rs says where.
        assert!(out == stream(&name) || name.starts_with("reasoning"), "{name}");
    }
    assert_eq!(relayed("cached.eventstream").1.service_tier.as_deref(), Some("default"));
}

#[test]
fn an_exception_in_a_stream_is_told_and_not_passed_on() {
    for (name, class, content) in [
        ("exception-midway.eventstream", FaultClass::ServerError, true),
        ("exception-first.eventstream", FaultClass::RateLimited, false),
    ] {
        let (out, seen, end) = relayed(name);
        assert_eq!((end.unwrap_err().class, seen.fault.unwrap().class), (class, class), "{name}");
        assert_eq!((seen.content_started, seen.ended), (content, false), "{name}");
        assert!(stream(name).starts_with(&out) && out.len() < stream(name).len(), "{name}");
    }
}

#[test]
fn what_opens_a_stream_of_messages_is_no_content_yet_and_what_is_cut_says_so() {
    let text = stream("text.eventstream");
    let first = u32::from_be_bytes(text[..4].try_into().unwrap()) as usize;
    let (out, seen, _) = relay(&plan(Dialect::BedrockConverse), [&text[..first]]);
    assert!(!seen.content_started && out == text[..first]);
    let (out, _, end) = relayed("cut.eventstream");
    assert_eq!(end.unwrap_err().class, FaultClass::Cut);
    assert!(stream("cut.eventstream").starts_with(&out), "no broken message is passed");
}

#[test]
fn a_flipped_bit_ends_the_stream_before_it_reaches_the_client() {
    let original = stream("text.eventstream");
    for at in (0..original.len()).step_by(7) {
        let mut flipped = original.clone();
        flipped[at] ^= 0x10;
        let (out, _, end) = relay(&plan(Dialect::BedrockConverse), [&flipped[..]]);
        assert_eq!(end.unwrap_err().class, FaultClass::Malformed, "{at}");
        assert!(original.starts_with(&out), "{at}");
    }
}

#[test]
fn memory_stays_within_the_longest_message_and_64_kib() {
    let message = |length: usize| {
        let payload = format!("{{\"delta\":{{\"text\":\"{}\"}}}}", "x".repeat(length));
        let mut out = Vec::new();
        let kind = "contentBlockDelta";
        wire::eventstream::Message { is_exception: false, kind, payload: payload.as_bytes() }.write(&mut out);
        out
    };
    let (mut relay, mut out) = (StreamRelay::new(plan(Dialect::BedrockConverse)), Vec::new());
    let mut longest = 0;
    for message in [message(10), message(500_000), message(1000), message(MAX_MESSAGE_BYTES - 1000)] {
        longest = message.len().max(longest);
        for chunk in message.chunks(1500) {
            relay.feed(chunk, &mut out).unwrap();
            out.clear();
            assert!(relay.buffered_bytes() <= longest + 64 * 1024);
        }
        assert!(relay.buffered_bytes() <= 64 * 1024, "nothing is kept of a message that passed");
    }
    assert_eq!(relay.feed(&message(MAX_MESSAGE_BYTES), &mut out).unwrap_err().class, FaultClass::Malformed);
}

#[test]
fn mutated_messages_keep_the_invariants() {
    let (corpus, mut chance) = (files("streams", ENDING), Chance(6));
    for _ in 0..1500 {
        let (_, original) = &corpus[chance.below(corpus.len())];
        let mutated = chance.mutate(original);
        fuzz::eventstream(&mutated);
        fuzz::reply_stream(&mutated);
        wire::translate::fuzz::stream(&mutated);
    }
}
