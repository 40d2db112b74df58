//! What the SDKs send to Bedrock's `invoke`: Anthropic's bodies are that dialect once opened, and hosted at Bedrock they are again
//! what the SDK wrote; other vendors' pass as they are.

use bytes::Bytes;
use serde_json::{Value, json};
use wire::hosting::with_betas;
use wire::invoke::{Invocation, open};
use wire::{Address, Ask, Dialect, Framing, Operation, Quirks, ReplyPlan, StreamRelay, outgoing, scan};

use crate::mutate::Chance;
use crate::support::{files, plan, relay};

#[test]
fn anthropics_bodies_are_opened_and_hosted_again_and_others_pass() {
    let (mut messages, mut others) = (0, 0);
    let quirks = Quirks::named("bedrock-invoke").unwrap();
    for (path, body) in files("captures/invoke-sdk", ".request.json") {
        let address = Address { model: "claims-triage".into(), stream: path.contains("stream") };
        let ask = Ask {
            upstream_model: "claims-triage",
            quirks,
            insert_max_output: None,
            default_max_output: 9,
            foreign: false,
            maker: wire::Maker::of("bedrock"),
        };
        let original = Bytes::from(body);
        match open(&address, &original).unwrap() {
            Invocation::Messages { body, betas } => {
                let head = scan(Dialect::Anthropic, Operation::Chat, None, &body).unwrap();
                assert_eq!((head.model.as_deref(), head.stream), (Some("claims-triage"), address.stream), "{path}");
                let out =
                    outgoing(Dialect::Anthropic, Operation::Chat, &body, &head, Dialect::Anthropic, &ask).unwrap();
                let method = if address.stream { "invoke-with-response-stream" } else { "invoke" };
                assert_eq!(out.path, format!("/model/claims-triage/{method}"));
                let betas: Vec<&str> = betas.iter().map(String::as_str).collect();
                let mut again: Value = serde_json::from_slice(&with_betas(out.body, &betas)).unwrap();
                let mut first: Value = serde_json::from_slice(&original).unwrap();
                assert_eq!(again["anthropic_version"], "bedrock-2023-05-31");
                // Anthropic's SDK sends a version of its own.
                again["anthropic_version"] = json!(null);
                first["anthropic_version"] = json!(null);
                assert_eq!(again, first, "{path}");
                messages += 1;
            }
            Invocation::Other => {
                let bedrock = Dialect::BedrockConverse;
                let head = scan(bedrock, Operation::Invoke, Some(&address), &original).unwrap();
                let out = outgoing(bedrock, Operation::Invoke, &original, &head, bedrock, &ask).unwrap();
                assert_eq!((out.body, &*out.path), (original, "/model/claims-triage/invoke"), "{path}");
                others += 1;
            }
        }
    }
    assert_eq!((messages, others), (5, 2));
}

/// The stream as Bedrock would send it: each event a chunk.
fn in_chunks(stream: &[u8]) -> Vec<u8> {
    let mut plan = plan(Dialect::Anthropic);
    plan.framing = Framing::Chunks;
    plan.asked_model = "up-model".into();
    let (mut relay, mut out) = (StreamRelay::new(plan), Vec::new());
    // What a stream that is cut short has told until then will do.
    let _ = relay.feed(stream, &mut out).and_then(|()| relay.end(&mut out));
    out
}

#[test]
fn a_stream_in_chunks_is_told_as_the_same_stream_without_them_wherever_it_is_cut() {
    let mut seen = 0;
    for (path, stream) in files("streams/anthropic", ".sse") {
        let plain = relay(&plan(Dialect::Anthropic), [&stream[..]]);
        // What is put back on the way into chunks stands in them.
        if plain.end.is_err() || path.contains("no-message-start") {
            continue;
        }
        // What is put into chunks here has our tag before what is signed; the stream it is held against has it too.
        let told = relay(&ReplyPlan { asked_model: "up-model".into(), ..plan(Dialect::Anthropic) }, [&stream[..]]).out;
        let plain = relay(&plan(Dialect::Anthropic), [told.as_bytes()]);
        let chunks = in_chunks(&stream);
        let mut hosted = plan(Dialect::Anthropic);
        hosted.quirks = Quirks::named("bedrock-invoke").unwrap();
        for cut in [1, 9, 1000] {
            let unwrapped = relay(&hosted, chunks.chunks(cut));
            assert_eq!((&unwrapped.seen, &unwrapped.end), (&plain.seen, &plain.end), "{path} cut every {cut} bytes");
            let data = |stream: &str| -> Vec<Value> {
                let lines = stream.lines().filter_map(|line| line.strip_prefix("data:"));
                lines.filter_map(|data| serde_json::from_str(data).ok()).collect()
            };
            let (mut expected, mut got) = (data(&plain.out), data(&unwrapped.out));
            let without_metrics = |events: &mut Vec<Value>| {
                events.iter_mut().filter_map(Value::as_object_mut).for_each(|event| {
                    event.remove("amazon-bedrock-invocationMetrics");
                });
            };
            without_metrics(&mut expected);
            without_metrics(&mut got);
            assert_eq!(got, expected, "{path} cut every {cut} bytes");
        }
        seen += 1;
    }
    assert!(seen > 2, "{seen} streams");
}

#[test]
fn mutated_chunks_keep_the_invariants() {
    let streams = files("streams/anthropic", ".sse");
    let corpus: Vec<Vec<u8>> =
        streams.iter().filter(|(_, bytes)| bytes.len() < 6_000).map(|(_, bytes)| in_chunks(bytes)).collect();
    let mut chance = Chance(11);
    for _ in 0..2_000 {
        let original = &corpus[chance.below(corpus.len())];
        wire::fuzz::chunks(&chance.mutate(original));
    }
}
