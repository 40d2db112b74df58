//! A seeded moment of what `cargo xtask prove` does for minutes: mutated fixtures through every parser's invariants.

use wire::fuzz;

use crate::mutate::Chance;
use crate::support::files;

fn run(seed: u64, times: usize, corpus: &[(String, Vec<u8>)], check: fn(&[u8])) {
    let mut chance = Chance(seed);
    for _ in 0..times {
        let (_, original) = &corpus[chance.below(corpus.len())];
        check(&chance.mutate(original));
    }
}

fn small(mut corpus: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    corpus.retain(|(_, bytes)| bytes.len() < 6_000);
    corpus
}

#[test]
fn mutated_requests_keep_the_invariants() {
    run(1, 3000, &small(files("captures", ".request.json")), fuzz::scan);
}

#[test]
fn mutated_invocations_keep_the_invariants() {
    run(10, 20_000, &files("captures/invoke-sdk", ".request.json"), fuzz::invoke);
}

#[test]
fn mutated_streams_keep_the_invariants() {
    let corpus = small(files("streams", ".sse"));
    run(2, 3000, &corpus, fuzz::sse);
    run(3, 2000, &corpus, fuzz::reply_stream);
}

#[test]
fn mutated_answers_keep_the_invariants() {
    let corpus = small(files("captures", ".response.json"));
    run(4, 3000, &corpus, fuzz::reply_body);
    run(5, 3000, &corpus, fuzz::upstream_fault);
}

#[test]
fn mutated_messages_of_tool_servers_keep_the_invariants() {
    run(9, 20_000, &files("mcp", ".json"), fuzz::mcp);
}

#[test]
fn mutated_bodies_beside_conversations_keep_the_invariants() {
    for (seed, ending, check) in [
        (10, ".form", fuzz::form as fn(&[u8])),
        (11, ".wav", fuzz::audio),
        (12, ".media.json", fuzz::media_request),
        (13, ".media-answer.json", fuzz::media_reply),
        (14, ".media.sse", fuzz::media_reply),
        (15, ".vectors.json", fuzz::vectors_and_rankings),
        (16, ".ranking.json", fuzz::vectors_and_rankings),
        (17, "-answer.json", fuzz::vectors_and_rankings_answer),
        (18, ".signed.json", fuzz::signatures),
    ] {
        run(seed, 400, &files("beside", ending), check);
    }
    run(19, 1_000, &small(files("streams", ".sse")), fuzz::mcp_frames);
}

#[test]
fn mutated_things_that_providers_keep_keep_the_invariants() {
    let id = |body: &str| body.replacen("\"model\"", "\"file_id\":\"file-fh1_a\",\"model\"", 1);
    let mut corpus = small(files("captures", ".json"));
    let batches: Vec<_> =
        corpus.iter().map(|(name, body)| (name.clone(), String::from_utf8_lossy(body).into_owned())).collect();
    for (name, body) in batches {
        let line = format!("{{\"url\":\"/v1/responses\",\"body\":{body}}}").replace('\n', " ");
        let requests = format!("{{\"requests\":[{{\"custom_id\":\"a\",\"params\":{body}}}],\"data\":[{body}]}}");
        let results =
            format!("{{\"response\":{{\"body\":{body}}},\"result\":{{\"message\":{body}}}}}").replace('\n', " ");
        corpus.extend([line, requests, results, id(&body)].map(|text| (name.clone(), text.into_bytes())));
    }
    run(10, 6_000, &corpus, fuzz::kept);
}

#[test]
fn mutated_streams_that_break_off_requests_that_are_compared_and_limits_that_are_told_keep_the_invariants() {
    let mut streams = small(files("streams", ".sse"));
    streams.extend(small(files("streams", ".eventstream")));
    run(20, 150, &streams, fuzz::going_on);
    run(21, 2_000, &small(files("captures", ".request.json")), fuzz::same_request);
    run(22, 5_000, &files("beside", ".headers"), fuzz::told_limits);
}
