//! The long proof: mutated fixtures through every parser for as long as `FREEHOLD_PROVE_SECONDS` says (default 600). Run by
//! `cargo xtask prove fuzz`; the seed is printed, and `FREEHOLD_PROVE_SEED` replays it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a proof that runs by the clock asks what time it is"
)]

use std::time::{Duration, Instant};

use wire::fuzz;

#[path = "it/mutate.rs"]
mod mutate;
#[path = "it/support.rs"]
#[allow(dead_code, reason = "of what tests share, a proof needs the fixtures")]
mod support;

fn prove(name: &str, corpus: &[(&str, &str)], check: fn(&[u8])) {
    let number = |key: &str, default: u64| {
        std::env::var(key).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{key} is a whole number")))
    };
    let (seconds, seed) = (number("FREEHOLD_PROVE_SECONDS", 600), number("FREEHOLD_PROVE_SEED", 0x9e37_79b9_7f4a_7c15));
    let corpus: Vec<_> = corpus.iter().flat_map(|(folder, ending)| support::files(folder, ending)).collect();
    let mut chance = mutate::Chance(seed.max(1));
    let (started, mut inputs, mut bytes) = (Instant::now(), 0u64, 0u64);
    while started.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..50 {
            let (path, original) = &corpus[chance.below(corpus.len())];
            let input = chance.mutate(original);
            (inputs, bytes) = (inputs + 1, bytes + input.len() as u64);
            if std::panic::catch_unwind(|| check(&input)).is_err() {
                panic!("{name}: input {inputs} of seed {seed}, from {path}: {:?}", String::from_utf8_lossy(&input));
            }
        }
    }
    println!("{name}: {inputs} inputs, {bytes} bytes in {seconds} s, seed {seed}: no invariant broken");
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_scan() {
    prove("scan", &[("captures", ".request.json")], fuzz::scan);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_invoke() {
    prove("invoke", &[("captures/invoke-sdk", ".request.json")], fuzz::invoke);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_sse() {
    prove("sse", &[("streams", ".sse"), ("captures", ".sse")], fuzz::sse);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_eventstream() {
    prove("eventstream", &[("streams", ".eventstream")], fuzz::eventstream);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_reply_stream() {
    let corpus = [("streams", ".sse"), ("streams", ".eventstream"), ("captures", ".sse")];
    prove("reply_stream", &corpus, fuzz::reply_stream);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_reply_body() {
    prove("reply_body", &[("captures", ".response.json")], fuzz::reply_body);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_upstream_fault() {
    prove("upstream_fault", &[("captures", ".response.json")], fuzz::upstream_fault);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_mcp() {
    prove("mcp", &[("mcp", ".json")], fuzz::mcp);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_mcp_frames() {
    prove("mcp_frames", &[("streams", ".sse"), ("mcp", ".json")], fuzz::mcp_frames);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_form() {
    prove("form", &[("beside", ".form")], fuzz::form);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_audio() {
    prove("audio", &[("beside", ".wav")], fuzz::audio);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_media_request() {
    prove("media_request", &[("beside", ".media.json")], fuzz::media_request);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_media_reply() {
    prove("media_reply", &[("beside", ".media-answer.json"), ("beside", ".media.sse")], fuzz::media_reply);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_vectors_and_rankings() {
    let corpus = [("beside", ".vectors.json"), ("beside", ".ranking.json")];
    prove("vectors_and_rankings", &corpus, fuzz::vectors_and_rankings);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_vectors_and_rankings_answer() {
    let corpus = [("beside", ".vectors-answer.json"), ("beside", ".ranking-answer.json")];
    prove("vectors_and_rankings_answer", &corpus, fuzz::vectors_and_rankings_answer);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_signatures() {
    prove("signatures", &[("beside", ".signed.json")], fuzz::signatures);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_kept() {
    prove("kept", &[("captures", ".json")], fuzz::kept);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_translate_request() {
    prove(
        "translate_request",
        &[("captures", ".request.json"), ("translate", "request.json")],
        wire::translate::fuzz::request,
    );
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_translate_body() {
    prove(
        "translate_body",
        &[("captures", ".response.json"), ("translate", "answer.json")],
        wire::translate::fuzz::body,
    );
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_translate_stream() {
    let corpus = [("streams", ".sse"), ("streams", ".eventstream"), ("captures", ".sse"), ("translate", "stream.sse")];
    prove("translate_stream", &corpus, wire::translate::fuzz::stream);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_going_on() {
    let corpus = [("streams", ".sse"), ("streams", ".eventstream"), ("captures", ".sse")];
    prove("going_on", &corpus, fuzz::going_on);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_same_request() {
    prove("same_request", &[("captures", ".request.json"), ("translate", "request.json")], fuzz::same_request);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_told_limits() {
    prove("told_limits", &[("beside", ".headers")], fuzz::told_limits);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_chunks() {
    prove("chunks", &[("streams", ".eventstream"), ("streams", ".sse")], fuzz::chunks);
}

#[test]
#[ignore = "runs for minutes: cargo xtask prove fuzz"]
fn prove_fuzz_realtime() {
    prove("realtime", &[("captures/realtime-sdk", ".request.json")], fuzz::realtime);
}
