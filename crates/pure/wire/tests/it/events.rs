//! Every type of event that OpenAI's SDK knows of a streamed response: each passes to a client of the same dialect as it came,
//! and none is a stranger to the translation.

use domain::Loss;
use wire::{Dialect, Maker, ReplyPlan, StreamRelay};

use crate::support::{files, plan, relay};

/// The types, one a line of the fixture.
fn kinds() -> Vec<String> {
    let (_, bytes) = files("events", "openai-responses.txt").remove(0);
    let kinds: Vec<String> = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
    assert!(kinds.len() > 50, "{kinds:?}");
    kinds
}

fn event(kind: &str) -> String {
    let item = match kind.starts_with("response.output_item.") {
        true => r#""item":{"type":"message","id":"it_1"},"#,
        false => "",
    };
    format!(
        "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":3,\"output_index\":0,{item}\"content_index\":0,\"summary_index\":0,\
         \"item_id\":\"it_1\",\"logprobs\":[],\"partial_image_b64\":\"aGk=\",\"unheard_of\":[1, 2]}}\n\n"
    )
}

#[test]
fn every_type_of_event_passes_to_a_client_of_the_same_dialect_as_it_came() {
    let plan = plan(Dialect::OpenAiResponses);
    let tag = String::from_utf8_lossy(Maker::of("provider").tag()).into_owned();
    for kind in kinds() {
        let sent = event(&kind);
        let relayed = relay(&plan, [sent.as_bytes()]);
        if matches!(kind.as_str(), "error" | "response.failed") {
            assert!(relayed.seen.fault.is_some(), "{kind}: the gateway says it in its own words");
            continue;
        }
        // The ids of thoughts have their maker's tag before them.
        assert_eq!(relayed.out.replace(&tag, ""), sent, "{kind}");
        assert_eq!(relayed.seen.ended, matches!(kind.as_str(), "response.completed" | "response.incomplete"), "{kind}");
    }
}

#[test]
fn no_type_of_event_is_unknown_to_the_translation() {
    for client in Dialect::ALL.iter().filter(|client| **client != Dialect::OpenAiResponses) {
        let plan = ReplyPlan { client: *client, ..plan(Dialect::OpenAiResponses) };
        for kind in kinds() {
            let losses = losses(&plan, &kind);
            let unknown = losses.iter().find(|loss| loss.reason.contains("not known to the translation"));
            assert_eq!(unknown, None, "{kind} for {client}");
        }
        let losses = losses(&plan, "response.of_tomorrow");
        let told = losses.iter().any(|loss| loss.reason.contains("`response.of_tomorrow` are not known"));
        assert!(told, "a newer one is named: {losses:?}");
    }
}

/// What a translation of a stream with this event gives up.
fn losses(plan: &ReplyPlan, kind: &str) -> Vec<Loss> {
    let (mut relay, mut out) = (StreamRelay::new(plan.clone()), Vec::new());
    for event in [event("response.created"), event(kind)] {
        relay.feed(event.as_bytes(), &mut out).unwrap();
    }
    relay.seen().losses.clone()
}
