//! What goes wrong for users of gateways, by the numbers of the list of pains that the project keeps: the cases of translation,
//! streaming and usage that can be shown without a socket.

use domain::{Meter, Usage};
use wire::{ReplyPlan, StreamRelay, reply_body};

use crate::bodies::{Bodies, framed, plan};
use crate::features::ANSWERED;
use crate::{Cell, requests};

fn streamed(plan: ReplyPlan, stream: &[u8]) -> Option<Usage> {
    let (mut relay, mut out) = (StreamRelay::new(plan), Vec::new());
    relay.feed(stream, &mut out).unwrap();
    relay.end(&mut out).unwrap();
    relay.seen().usage
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/streams/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn of<'b>(bodies: &'b [Bodies], dialect: &str) -> &'b Bodies {
    bodies.iter().find(|bodies| bodies.dialect.as_str() == dialect).unwrap()
}

#[test]
fn pain_1_and_10_a_stream_is_metered_as_the_whole_answer_whoever_the_client_is() {
    let (bodies, mut compared) = (Bodies::all(), 0);
    for provider in &bodies {
        for feature in ANSWERED {
            let (Some(whole), Some(stream)) = (provider.answer(feature.name), provider.stream(feature.name)) else {
                continue;
            };
            let stream = framed(provider.dialect, &stream);
            for client in &bodies {
                let whole = reply_body(&plan(client, provider), whole.as_bytes()).unwrap().1.usage;
                assert!(whole.is_some_and(|usage| usage.input_tokens() > 0 && usage.output_tokens() > 0));
                assert_eq!(
                    streamed(plan(client, provider), &stream),
                    whole,
                    "{} of {}",
                    feature.name,
                    provider.dialect
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 250, "{compared}");
}

#[test]
fn pain_2_usage_beside_content_is_read() {
    let bodies = Bodies::all();
    let chat = of(&bodies, "openai-chat");
    let usage = streamed(plan(chat, chat), &fixture("openai-chat/usage-beside-content.sse"));
    assert!(usage.is_some_and(|usage| usage.output_tokens() > 0), "{usage:?}");
}

#[test]
fn pain_3_and_6_a_cache_write_that_outgrows_its_first_split_is_counted_whole() {
    let bodies = Bodies::all();
    let claude = of(&bodies, "anthropic");
    let usage = streamed(plan(claude, claude), &fixture("anthropic/cache-outgrows-split.sse")).unwrap();
    let stored = usage.get(Meter::CacheWrite5m) + usage.get(Meter::CacheWrite1h);
    let text = String::from_utf8(fixture("anthropic/cache-outgrows-split.sse")).unwrap();
    let last = text.rsplit("\"cache_creation_input_tokens\":").next().unwrap();
    let told: String = last.trim_start().chars().take_while(char::is_ascii_digit).collect();
    assert_eq!(stored.to_string(), told, "{usage:?}");
}

#[test]
fn pain_4_tokens_that_are_cached_and_of_a_modality_are_counted_once() {
    let bodies = Bodies::all();
    let chat = of(&bodies, "openai-chat");
    let body = r#"{"id":"c","object":"chat.completion","model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":9,"total_tokens":109,"prompt_tokens_details":{"cached_tokens":60,"audio_tokens":50}}}"#;
    let usage = reply_body(&plan(chat, chat), body.as_bytes()).unwrap().1.usage.unwrap();
    assert_eq!((usage.input_tokens(), usage.output_tokens()), (100, 9), "{usage:?}");
}

#[test]
fn pain_7_what_gemini_cached_unasked_is_a_meter_of_its_own() {
    let bodies = Bodies::all();
    let gemini = of(&bodies, "gemini");
    let usage =
        reply_body(&plan(gemini, gemini), gemini.answer("usage-cached").unwrap().as_bytes()).unwrap().1.usage.unwrap();
    assert_eq!((usage.get(Meter::CacheRead), usage.input_tokens()), (60, 100), "{usage:?}");
}

/// A row of the matrix of requests.
fn row(feature: &str) -> crate::Row {
    requests::rows().into_iter().find(|row| row.feature.name == feature).unwrap()
}

#[test]
fn pain_36_signatures_of_thoughts_cross_to_no_other_dialect() {
    for (client, provider, cell) in row("signed-thoughts").all().filter(|(client, provider, _)| client != provider) {
        assert!(matches!(cell, Cell::LeftOut(_) | Cell::Unsayable), "{client} at {provider}: {cell:?}");
    }
}

#[test]
fn pain_43_tools_their_results_and_pictures_are_told_everywhere() {
    for feature in ["tools", "tool-results", "tool-any", "image"] {
        for (client, provider, cell) in row(feature).all() {
            assert!(matches!(cell, Cell::Exact | Cell::Unsayable), "{feature}: {client} at {provider}: {cell:?}");
        }
    }
}

#[test]
fn pain_44_marks_of_what_to_cache_reach_every_provider_that_has_them_and_are_named_elsewhere() {
    for (client, provider, cell) in row("cache-marks").all() {
        let both = [client, provider].iter().all(|one| ["anthropic", "bedrock-converse"].contains(&one.as_str()));
        match cell {
            Cell::Unsayable => assert!(!both, "{client} at {provider}"),
            cell => assert_eq!(*cell == Cell::Exact, both, "{client} at {provider}: {cell:?}"),
        }
    }
}
