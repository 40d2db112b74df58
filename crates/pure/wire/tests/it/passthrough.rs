//! Same dialect in and out: what the provider gets and what the client gets differ from the original only in named spans.

use bytes::Bytes;
use proptest::prelude::*;
use wire::quirks::QUIRKS;
use wire::{Address, Ask, Dialect, Maker, Operation, Outgoing, outgoing, reply_body, scan};

use crate::support::{dialect_of, files, plan};

fn send(dialect: Dialect, operation: Operation, body: &[u8], quirks: &wire::Quirks) -> Outgoing {
    let head = scan(dialect, operation, Some(&asked()), body).unwrap();
    let ask = Ask {
        upstream_model: "up-model",
        quirks,
        insert_max_output: None,
        default_max_output: 4096,
        maker: Maker::of("provider"),
        foreign: false,
    };
    outgoing(dialect, operation, &Bytes::copy_from_slice(body), &head, dialect, &ask).unwrap()
}

/// What a client's address says, where its dialect says it there.
fn asked() -> Address {
    Address { model: "claims-triage".into(), stream: false }
}

/// What was sent is the client's body, but for what the edits name.
fn assert_only_named_spans_differ(body: &[u8], out: &Outgoing) {
    let (mut from, mut at) = (0, 0);
    for edit in &out.edits {
        let kept = &body[from..edit.range.start];
        assert_eq!(&out.body[at..at + kept.len()], kept, "before {}", edit.name);
        at += kept.len() + edit.written;
        from = edit.range.end;
    }
    assert_eq!(&out.body[at..], &body[from..], "after the last edit");
}

fn operation_of(dialect: Dialect, body: &serde_json::Value) -> Operation {
    let has = |names: &[&str]| names.iter().any(|name| body.get(name).is_some());
    match dialect {
        Dialect::OpenAiChat if has(&["input"]) => Operation::Embeddings,
        Dialect::Gemini if has(&["requests"]) => Operation::Embeddings,
        Dialect::Cohere if has(&["query"]) => Operation::Rerank,
        Dialect::Cohere if has(&["texts", "images", "inputs"]) => Operation::Embeddings,
        _ => Operation::Chat,
    }
}

#[test]
fn what_the_sdks_send_reaches_the_provider_but_for_the_named_spans() {
    let mut seen = 0;
    let folders = [
        "openai-sdk",
        "openai-sdk-previous",
        "openai-responses-sdk",
        "anthropic-sdk",
        "anthropic-sdk-previous",
        "google-sdk",
        "boto3-sdk",
        "cohere-sdk",
    ];
    for folder in folders {
        let dialect = dialect_of(folder);
        for (path, body) in files(&format!("captures/{folder}"), ".request.json") {
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            // An answer that is to be fetched later is refused.
            if (json.get("model").is_none() && !dialect.is_addressed()) || json["background"] == true {
                continue;
            }
            let operation =
                if path.contains("count-tokens") { Operation::CountTokens } else { operation_of(dialect, &json) };
            for quirks in QUIRKS {
                let head =
                    scan(dialect, operation, Some(&asked()), &body).unwrap_or_else(|bad| panic!("{path}: {bad}"));
                if head.n > 1 && !quirks.n && !dialect.is_addressed() {
                    continue;
                }
                // This host counts no tokens.
                if operation == Operation::CountTokens && quirks.hosting.is_wrapped(dialect) {
                    continue;
                }
                let out = send(dialect, operation, &body, quirks);
                assert_only_named_spans_differ(&body, &out);
                let sent: serde_json::Value = serde_json::from_slice(&out.body).unwrap();
                if let Some(version) = quirks.hosting.version_for_model(dialect, operation) {
                    let named = json.get("anthropic_version").map_or(version, |own| own.as_str().unwrap());
                    assert_eq!((sent.get("model"), &sent["anthropic_version"]), (None, &named.into()), "{path}");
                    assert!(out.path.contains("/up-model:") || out.path.contains("/up-model/"), "{path}: {}", out.path);
                } else if dialect.is_addressed() {
                    assert!(out.path.contains("/up-model:") || out.path.contains("/up-model/"), "{path}: {}", out.path);
                } else {
                    assert_eq!(sent["model"], "up-model", "{path}");
                }
                if dialect == Dialect::BedrockConverse {
                    assert_eq!(sent, json, "{path}");
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 58, "{seen} captures");
}

#[test]
fn what_llama_cpp_answers_reaches_the_client_but_for_the_model() {
    let captures = files("captures/llama-cpp", ".response.json");
    for (path, body) in captures.into_iter().chain(files("captures/llama-cpp-responses", ".response.json")) {
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let operation = match &json {
            json if ["choices", "content", "output"].iter().any(|name| json.get(name).is_some()) => Operation::Chat,
            json if json.get("embedding").is_some() || json["data"][0].get("embedding").is_some() => {
                Operation::Embeddings
            }
            _ => continue,
        };
        let dialect = dialect_of(&path);
        let mut plan = plan(dialect);
        plan.operation = operation;
        plan.asked_model = "claims-triage".into();
        let (out, seen) = reply_body(&plan, &body).unwrap_or_else(|fault| panic!("{path}: {fault:?}"));
        let model = format!("\"model\":{}", json["model"]);
        let expected = String::from_utf8(body).unwrap().replacen(&model, "\"model\":\"claims-triage\"", 1);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{path}");
        assert!(seen.usage.is_some_and(|usage| usage.input_tokens() > 0), "{path}");
    }
}

#[test]
fn what_llama_cpp_refuses_is_understood() {
    for (path, body) in files("captures/llama-cpp", ".response.json") {
        let name = path.rsplit('/').next().unwrap();
        let expected = match name {
            "error-context-too-long.response.json" | "error-messages-context-too-long.response.json" => {
                domain::FaultClass::ContextTooLong
            }
            "error-no-messages.response.json" | "error-bad-type.response.json" => domain::FaultClass::BadRequest,
            _ => continue,
        };
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let status = json["error"]["code"].as_u64().unwrap().try_into().unwrap();
        let fault = wire::upstream_fault(Dialect::OpenAiChat, status, &|_| None, &body);
        // llama.cpp answers some of the client's mistakes with 500.
        if status < 500 {
            assert_eq!(fault.class, expected, "{path}");
        }
    }
}

/// JSON text as no encoder of ours would write it: odd spaces, big numbers, escapes, keys we do not know.
fn odd_json(depth: u32) -> BoxedStrategy<String> {
    let space = "[ \n\t\r]{0,2}";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        Just("-0.10E+400".to_owned()),
        Just("\"\\u00e9\\ud83d\\ude00\\/\\n\"".to_owned()),
        Just("\"é😀\"".to_owned()),
        "[a-zA-Z ,:{}\\[\\]]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(depth, 24, 4, move |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), space)
                .prop_map(|(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},")))),
            (prop::collection::vec(("[a-z\u{e9}]{1,6}", inner), 0..4), space).prop_map(|(members, space)| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("{space}\"{key}\"{space}:{value}")).collect();
                format!("{{{}{space}}}", members.join(","))
            }),
        ]
    })
    .boxed()
}

/// An object with these members among others, in any order.
fn object_with(known: Vec<String>) -> impl Strategy<Value = String> {
    let unknown = prop::collection::vec(("x_[a-z]{1,6}", odd_json(3)), 0..5);
    (unknown, "[ \n\t]{0,2}", any::<prop::sample::Index>(), any::<bool>()).prop_map(
        move |(unknown, space, at, turn)| {
            let mut members: Vec<_> =
                unknown.iter().map(|(key, value)| format!("\"{key}\"{space}:{space}{value}")).collect();
            let at = at.index(members.len() + 1);
            members.splice(at..at, known.iter().cloned());
            if turn {
                members.reverse();
            }
            format!("{space}{{{space}{}{space}}}{space}", members.join(&format!("{space},{space}")))
        },
    )
}

fn request() -> impl Strategy<Value = String> {
    let optional = prop::sample::subsequence(
        vec![
            "\"stream\":true",
            "\"stream_options\":{ \"include_usage\" : false ,\"x\":1}",
            "\"max_tokens\" : 12",
            "\"seed\":7",
            "\"logprobs\":true",
            "\"top_logprobs\": 2",
            "\"parallel_tool_calls\":true",
            "\"temperature\":1.0",
        ],
        0..8,
    );
    (optional, odd_json(2)).prop_flat_map(|(optional, content)| {
        let mut known = vec![
            "\"model\" : \"\\u0063laims\"".to_owned(),
            "\"input\" : \"x\"".to_owned(),
            format!("\"messages\":[{{\"role\":\"developer\",\"content\":{content}}}]"),
            format!("\"contents\":[{{\"role\":\"user\",\"parts\":[{{\"text\":{content}}}]}}]"),
        ];
        known.extend(optional.into_iter().map(str::to_owned));
        object_with(known)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_request_differs_only_in_the_named_spans(body in request(), row in 0..QUIRKS.len()) {
        for dialect in Dialect::ALL {
            let out = send(*dialect, Operation::Chat, body.as_bytes(), &QUIRKS[row]);
            assert_only_named_spans_differ(body.as_bytes(), &out);
            prop_assert!(dialect.is_addressed() || out.edits.iter().any(|edit| edit.name == "model"));
            let sent = Address { model: "up-model".into(), stream: false };
            if let Some(version) = QUIRKS[row].hosting.version_for_model(*dialect, Operation::Chat) {
                let sent = String::from_utf8(out.body.to_vec()).unwrap();
                prop_assert!(sent.contains(version) && !sent.contains("\\u0063laims"), "{}", sent);
                continue;
            }
            let again = scan(*dialect, Operation::Chat, Some(&sent), &out.body).unwrap();
            prop_assert_eq!(again.model.as_deref(), Some("up-model"));
        }
    }

    #[test]
    fn any_answer_differs_only_in_its_model(
        body in object_with(vec!["\"model\" : \"up-\\u006dodel\"".into(), "\"choices\":[{\"message\":{\"content\":\"x\"}}]".into()])
    ) {
        let mut plan = plan(Dialect::OpenAiChat);
        plan.asked_model = "claims".into();
        let (out, _) = reply_body(&plan, body.as_bytes()).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), body.replace("\"up-\\u006dodel\"", "\"claims\""));
    }

    #[test]
    fn any_frame_differs_only_in_its_model_and_usage(
        chunk in object_with(vec!["\"model\":\"up-model\"".into(), "\"usage\" : null".into(), "\"choices\":[{}]".into()])
    ) {
        let frame = format!("data: {}\n\ndata: [DONE]\n\n", chunk.replace(['\n', '\r'], " "));
        let mut plan = plan(Dialect::OpenAiChat);
        prop_assert_eq!(&crate::support::relay(&plan, [frame.as_bytes()]).out, &frame);
        plan.include_usage = false;
        let out = crate::support::relay(&plan, [frame.as_bytes()]).out;
        let read = |frame: &str| -> serde_json::Value {
            // Numbers that no double holds are not this test's matter.
            serde_json::from_str(frame.lines().next().unwrap()[6..].replace("E+400", "").as_str()).unwrap()
        };
        let mut expected = read(&frame);
        expected.as_object_mut().unwrap().remove("usage");
        prop_assert_eq!(read(&out), expected);
        prop_assert!(out.len() < frame.len());
    }
}
