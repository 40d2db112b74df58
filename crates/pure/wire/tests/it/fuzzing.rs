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
