//! What OpenAI's SDK says over a Realtime connection reaches the provider as it was, but for the name of the model.

use serde_json::{Value, json};
use wire::realtime::for_provider;

use crate::mutate::Chance;
use crate::support::files;

#[test]
fn what_the_sdk_says_reaches_the_provider_but_for_the_model() {
    for (path, event) in files("captures/realtime-sdk", ".request.json") {
        let event = std::str::from_utf8(&event).unwrap();
        let (sent, said) = for_provider(event, "gpt-realtime");
        let mut expected: Value = serde_json::from_str(event).unwrap();
        let names = expected["session"].get("model").is_some();
        if names {
            expected["session"]["model"] = json!("gpt-realtime");
        }
        assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), expected, "{path}");
        assert_eq!(sent == event, !names, "{path}");
        assert_eq!(said.transcribes_with.as_deref(), names.then_some("whisper-1"), "{path}");
        assert_eq!(said.audio_bytes, if path.contains("audio-append") { 120 } else { 0 }, "{path}");
    }
}

#[test]
fn mutated_events_keep_the_invariants() {
    let corpus = files("captures/realtime-sdk", ".request.json");
    let mut chance = Chance(12);
    for _ in 0..20_000 {
        let (_, original) = &corpus[chance.below(corpus.len())];
        wire::fuzz::realtime(&chance.mutate(original));
    }
}
