//! An answer of one provider that breaks off and is gone on with by another, for every client, provider and next provider.

use serde_json::Value;

use super::*;
use crate::canonical::{Cover, Finish, FinishReason};
use crate::dialect::Framing;
use crate::kept::Ids;
use crate::maker::Maker;
use crate::reply::{ReplyPlan, StreamRelay};
use crate::usage::Reported;

const DIALECTS: [Dialect; 6] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::Cohere,
];

fn plan(client: Dialect, upstream: Dialect) -> ReplyPlan {
    ReplyPlan {
        client,
        upstream,
        operation: Operation::Chat,
        asked_model: "claims-triage".into(),
        include_usage: true,
        continuous_usage: false,
        quirks: &Quirks::GENERIC,
        maker: Maker::of("provider"),
        answer_id: "call".into(),
        created_unix_s: 1,
        keep_bytes: 0,
        framing: client.framing(),
        raw: false,
        request: Bytes::new(),
        ids: Ids::default(),
    }
}

/// What a provider sends that says these things.
fn sent(upstream: Dialect, id: &str, events: &[Event<'_>]) -> Vec<u8> {
    let cover = Cover {
        model: "v".into(),
        id: id.into(),
        created_unix_s: 1,
        include_usage: true,
        continuous_usage: false,
        maker: Maker::of("provider"),
    };
    let mut writer = grammar(upstream).stream_writer(cover);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut Losses::default(), &mut out).unwrap();
    }
    out
}

fn begins() -> Event<'static> {
    Event::Start { id: None, created_unix_s: None }
}

fn ends() -> [Event<'static>; 4] {
    let finish = Finish { reason: FinishReason::Stop, word: "stop".into(), stop_sequence: None };
    let usage = domain::Usage::ZERO.with(domain::Meter::Input, 30).with(domain::Meter::Output, 5);
    [Event::BlockEnd, Event::Finish(finish), Event::Usage(Reported::of(usage)), Event::End]
}

const FIRST: &str = "The capital of France is Paris";
const THEN: &str = ", and its river is the";
const WHOLE: &str = "The capital of France is Paris, and its river is the Seine.";

/// What the client gets of an answer that breaks off at one provider and is gone on with at the next.
fn joined(client: Dialect, first: Dialect, next: Dialect, way: Way) -> Vec<u8> {
    let mut out = Vec::new();
    let mut relay = StreamRelay::new(plan(client, first));
    relay.keep_said();
    relay
        .feed(&sent(first, "one", &[begins(), Event::Text(FIRST.into()), Event::Text(THEN.into())]), &mut out)
        .unwrap();
    let going_on = relay.broken_off().expect("only text was said");
    assert_eq!(going_on.said.text(), [FIRST, THEN].concat(), "{client} from {first}");

    let why = "the answer goes on";
    let mut relay = StreamRelay::going_on(plan(client, next), &going_on, way, why, &mut out).unwrap();
    let mut events = vec![begins(), Event::Thinking("hm".into()), Event::BlockEnd];
    match way {
        Way::Told => events.extend([Event::Text("its river ".into()), Event::Text("is the Seine.".into())]),
        Way::Started | Way::Anew => events.push(Event::Text(" Seine.".into())),
    }
    events.extend(ends());
    relay.feed(&sent(next, "two", &events), &mut out).unwrap();
    relay.end(&mut out).unwrap();
    assert!(relay.seen().ended && relay.seen().usage.is_some(), "{client} from {first} and {next}");
    out
}

/// The events of a stream of frames, as JSON; `[DONE]` is none.
fn json(out: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(out.to_vec()).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn every_client_reads_one_whole_answer_whoever_began_it_and_whoever_goes_on() {
    for client in DIALECTS {
        for first in DIALECTS {
            for next in DIALECTS {
                for way in [Way::Told, Way::Started] {
                    let out = joined(client, first, next, way);
                    let mut reader = StreamRelay::new(plan(Dialect::OpenAiChat, client));
                    reader.keep_said();
                    let mut read = Vec::new();
                    reader.feed(&out, &mut read).unwrap();
                    reader.end(&mut read).unwrap();
                    let seen = reader.seen();
                    let said = seen.said.as_ref().map(|said| said.text());
                    assert_eq!(said.as_deref(), Some(WHOLE), "{client} from {first} and {next}, {way:?}");
                    assert!(seen.ended && seen.fault.is_none() && seen.finish.is_some());
                }
            }
        }
    }
}

#[test]
fn a_chat_completion_has_one_id_and_one_role() {
    for first in [Dialect::OpenAiChat, Dialect::Anthropic] {
        let out = joined(Dialect::OpenAiChat, first, Dialect::Gemini, Way::Told);
        let chunks = json(&out);
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk["id"].as_str().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string()).count();
        let finishes = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"].is_string()).count();
        assert_eq!((roles, finishes), (1, 1));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("[DONE]").count(), 1);
        assert!(text.contains(": freehold: the answer goes on\n\n"));
    }
}

#[test]
fn a_message_is_opened_once_and_its_one_block_goes_on() {
    for first in [Dialect::Anthropic, Dialect::OpenAiChat] {
        let events = json(&joined(Dialect::Anthropic, first, Dialect::OpenAiChat, Way::Started));
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let count = |kind| kinds.iter().filter(|known| **known == kind).count();
        assert_eq!(
            (count("message_start"), count("content_block_start"), count("content_block_stop"), count("message_stop")),
            (1, 1, 1, 1),
            "{kinds:?}"
        );
        assert!(events.iter().filter_map(|event| event["index"].as_u64()).all(|index| index == 0));
    }
}

#[test]
fn a_response_counts_on_and_says_the_whole_item_at_its_end() {
    for first in [Dialect::OpenAiResponses, Dialect::Anthropic] {
        let events = json(&joined(Dialect::OpenAiResponses, first, Dialect::Anthropic, Way::Told));
        let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
        let items: Vec<_> = events.iter().filter_map(|event| event["item_id"].as_str()).collect();
        assert!(items.iter().all(|id| *id == items[0]), "{items:?}");
        let last = &events.last().unwrap()["response"];
        assert_eq!(last["id"], events[0]["response"]["id"]);
        assert_eq!(last["output"][0]["content"][0]["text"], WHOLE);
        assert_eq!(last["output"][0]["id"], items[0]);
    }
}

#[test]
fn thoughts_and_their_signatures_stay_behind_and_text_goes_on_in_the_next_block() {
    let mut out = Vec::new();
    let mut relay = StreamRelay::new(plan(Dialect::Anthropic, Dialect::Anthropic));
    relay.keep_said();
    let events = [
        begins(),
        Event::Thinking("hm".into()),
        Event::Signature("c2lnbmVk".into()),
        Event::BlockEnd,
        Event::Text(FIRST.into()),
    ];
    relay.feed(&sent(Dialect::Anthropic, "one", &events), &mut out).unwrap();
    let going_on = relay.broken_off().unwrap();
    let next = plan(Dialect::Anthropic, Dialect::OpenAiChat);
    let mut relay = StreamRelay::going_on(next, &going_on, Way::Started, "", &mut out).unwrap();
    let rest: Vec<_> = [begins(), Event::Text(".".into())].into_iter().chain(ends()).collect();
    relay.feed(&sent(Dialect::OpenAiChat, "two", &rest), &mut out).unwrap();
    let events = json(&out);
    let starts: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "content_block_start")
        .map(|event| (event["index"].as_u64().unwrap(), event["content_block"]["type"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(starts, [(0, "thinking".to_owned()), (1, "text".to_owned())]);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, format!("{FIRST}."));
}

#[test]
fn a_tool_call_may_follow_in_the_rest() {
    for client in DIALECTS {
        let mut out = Vec::new();
        let mut relay = StreamRelay::new(plan(client, Dialect::OpenAiChat));
        relay.keep_said();
        relay.feed(&sent(Dialect::OpenAiChat, "one", &[begins(), Event::Text(FIRST.into())]), &mut out).unwrap();
        let going_on = relay.broken_off().unwrap();
        let next = plan(client, Dialect::Anthropic);
        let mut relay = StreamRelay::going_on(next, &going_on, Way::Told, "", &mut out).unwrap();
        let call = [
            begins(),
            Event::ToolStart { ordinal: 0, id: Some("toolu_1".into()), name: "look_up".into() },
            Event::ToolArguments { ordinal: 0, json: "{\"city\":\"Paris\"}".into() },
        ];
        let rest: Vec<_> = call.into_iter().chain(ends()).collect();
        relay.feed(&sent(Dialect::Anthropic, "two", &rest), &mut out).unwrap();
        relay.end(&mut out).unwrap();
        let mut read = Vec::new();
        let mut reader = StreamRelay::new(plan(Dialect::OpenAiChat, client));
        reader.feed(&out, &mut read).unwrap();
        reader.end(&mut read).unwrap_or_else(|fault| panic!("{client}: {fault:?}"));
        let read = String::from_utf8(read).unwrap();
        let joined: String = json(read.as_bytes())
            .iter()
            .filter_map(|chunk| {
                let call = &chunk["choices"].get(0)?["delta"]["tool_calls"].get(0)?["function"];
                Some(call["arguments"].as_str()?.to_owned())
            })
            .collect();
        assert_eq!(joined.replace(' ', ""), "{\"city\":\"Paris\"}", "{client}: {read}");
    }
}

#[test]
fn a_tool_call_under_way_is_not_gone_on_with() {
    for upstream in DIALECTS {
        for client in DIALECTS {
            let mut relay = StreamRelay::new(plan(client, upstream));
            relay.keep_said();
            let events = [
                begins(),
                Event::Text(FIRST.into()),
                Event::BlockEnd,
                Event::ToolStart { ordinal: 0, id: Some("call_1".into()), name: "look_up".into() },
                Event::ToolArguments { ordinal: 0, json: "{\"city\":".into() },
                Event::ToolArguments { ordinal: 0, json: "\"Paris\"}".into() },
                Event::BlockEnd,
            ];
            relay.feed(&sent(upstream, "one", &events), &mut Vec::new()).unwrap();
            assert!(relay.broken_off().is_none(), "{client} from {upstream}");
        }
    }
}

#[test]
fn the_next_model_is_asked_as_it_goes_on_best() {
    let mut said = Spoken::default();
    said.push(Speech::Text, "One, ");
    let going_on = GoingOn { said, id: "x".into() };
    let body =
        Bytes::from(r#"{"model":"w","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"Count."}]}"#);
    let asked = |upstream, model, quirks: &'static Quirks| {
        let ask = Ask {
            upstream_model: model,
            quirks,
            insert_max_output: None,
            default_max_output: 9,
            maker: Maker::of("p"),
            foreign: false,
        };
        let out = going_on.outgoing(Dialect::OpenAiChat, &body, upstream, &ask, 40).unwrap();
        let body: Value = serde_json::from_slice(&out.body).unwrap();
        (going_on.way(upstream, model, quirks), body)
    };
    let (way, body) = asked(Dialect::Anthropic, "claude-sonnet-4-5", &Quirks::GENERIC);
    assert_eq!((way, &body["max_tokens"]), (Way::Started, &60.into()));
    assert_eq!(body["messages"][1]["content"], "One,", "white space at the end is refused there");
    let (way, body) = asked(Dialect::Anthropic, "claude-opus-4-7", &Quirks::GENERIC);
    assert_eq!((way, body["messages"].as_array().unwrap().len()), (Way::Told, 3));

    let named = |name| Quirks::named(name).unwrap();
    let (way, body) = asked(Dialect::OpenAiChat, "m", named("vllm"));
    assert_eq!((way, &body["continue_final_message"]), (Way::Started, &true.into()));
    assert_eq!(body["add_generation_prompt"], false);
    let (_, body) = asked(Dialect::OpenAiChat, "m", named("mistral"));
    assert_eq!((&body["messages"][1]["prefix"], &body["messages"][1]["content"]), (&true.into(), &"One,".into()));
    let (way, body) = asked(Dialect::OpenAiChat, "m", named("openai"));
    assert_eq!((way, &body["messages"][1]["content"]), (Way::Told, &"One, ".into()));
    assert!(body["messages"][2]["content"].as_str().unwrap().contains("exactly where it stops"));
    for upstream in [Dialect::Gemini, Dialect::Cohere, Dialect::BedrockConverse, Dialect::OpenAiResponses] {
        assert_eq!(asked(upstream, "m", &Quirks::GENERIC).0, Way::Told, "{upstream}");
    }
}

#[test]
fn a_json_array_goes_on_as_one_array() {
    let array = |upstream| ReplyPlan { framing: Framing::JsonArray, ..plan(Dialect::Gemini, upstream) };
    let mut out = Vec::new();
    let mut relay = StreamRelay::new(array(Dialect::OpenAiChat));
    relay.keep_said();
    relay.feed(&sent(Dialect::OpenAiChat, "one", &[begins(), Event::Text(FIRST.into())]), &mut out).unwrap();
    let going_on = relay.broken_off().unwrap();
    let mut relay = StreamRelay::going_on(array(Dialect::Anthropic), &going_on, Way::Started, "", &mut out).unwrap();
    let rest: Vec<_> = [begins(), Event::Text(".".into())].into_iter().chain(ends()).collect();
    relay.feed(&sent(Dialect::Anthropic, "two", &rest), &mut out).unwrap();
    relay.end(&mut out).unwrap();
    let array: Vec<Value> = serde_json::from_slice(&out).unwrap();
    let parts = array.iter().filter_map(|one| one["candidates"][0]["content"]["parts"][0]["text"].as_str());
    assert_eq!(parts.collect::<String>(), format!("{FIRST}."));
}
