//! Every stream fixture: what is read from it, and that it reads the same wherever the network cuts it.

use domain::{FaultClass, Meter, NanoUsd, Usage};
use wire::{Dialect, Framing, Quirks, ReplyPlan};

use crate::support::{Relayed, dialect_of, files, plan, relay};

fn stream(name: &str) -> (Dialect, Vec<u8>) {
    let dialect = dialect_of(name);
    let (_, bytes) = files("streams", ".sse").into_iter().find(|(path, _)| path.ends_with(name)).unwrap();
    (dialect, bytes)
}

fn relayed(name: &str) -> Relayed {
    let (dialect, bytes) = stream(name);
    relay(&plan(dialect), [&bytes[..]])
}

fn text(name: &str) -> String {
    String::from_utf8(stream(name).1).unwrap()
}

/// Input, cache read, output, reasoning.
fn tokens(usage: Option<Usage>) -> Option<[u64; 4]> {
    usage.map(|usage| [Meter::Input, Meter::CacheRead, Meter::Output, Meter::Reasoning].map(|meter| usage.get(meter)))
}

#[test]
fn every_stream_reads_the_same_split_at_every_byte() {
    let vllm = Quirks::named("vllm").unwrap();
    let mut splits = 0;
    for (path, bytes) in files("streams", ".sse").into_iter().chain(files("captures", ".response.sse")) {
        let dialect = dialect_of(&path);
        let asked = ReplyPlan { asked_model: "claims-triage".into(), ..plan(dialect) };
        let unasked = ReplyPlan { include_usage: false, continuous_usage: false, quirks: vllm, ..asked.clone() };
        let (whole_asked, whole_unasked) = (relay(&asked, [&bytes[..]]), relay(&unasked, [&bytes[..]]));
        // The square of a long capture takes minutes in a debug build: of those, both ends; the middle repeats itself.
        let long = bytes.len() > 4_500;
        let positions = (0..=bytes.len()).filter(|at| !long || *at < 1_500 || bytes.len() - *at < 1_500);
        for at in positions {
            for (plan, whole) in [(&asked, &whole_asked), (&unasked, &whole_unasked)] {
                if long && at % 2 == usize::from(plan.include_usage) {
                    continue;
                }
                assert_eq!(&relay(plan, [&bytes[..at], &bytes[at..]]), whole, "{path} split at {at}");
                splits += 1;
            }
        }
        assert_eq!(relay(&asked, bytes.chunks(1)), whole_asked, "{path} byte by byte");
        assert_eq!(relay(&unasked, bytes.chunks(1)), whole_unasked, "{path} byte by byte");
    }
    assert!(splits > 100_000, "{splits} splits");
}

#[test]
fn a_stream_that_needs_no_change_passes_byte_for_byte() {
    for (path, bytes) in files("streams", ".sse") {
        let whole = ["error", "cut", "no-message-start", "blocked"].iter().all(|word| !path.contains(word));
        if whole {
            let dialect = dialect_of(&path);
            let relayed = relay(&plan(dialect), [&bytes[..]]);
            // Azure's first chunk names no model; the answer's is always the one asked for.
            let expected = String::from_utf8(bytes).unwrap().replace("\"model\":\"\"", "\"model\":\"up-model\"");
            // What only its maker can read has the maker's tag before it; tests/it/signatures.rs says where.
            let tag = String::from_utf8(plan(dialect).maker.tag().to_vec()).unwrap();
            assert_eq!((relayed.out.replace(&tag, ""), relayed.end), (expected, Ok(())), "{path}");
            assert!(relayed.seen.ended && relayed.seen.content_started, "{path}");
        }
    }
}

#[test]
fn the_model_is_the_one_asked_for_and_nothing_else_changes() {
    for name in [
        "openai-chat/text-with-usage.sse",
        "openai-chat/odd-lines.sse",
        "openai-responses/text.sse",
        "anthropic/text.sse",
        "anthropic/unknown-event.sse",
    ] {
        let (dialect, bytes) = stream(name);
        let plan = ReplyPlan { asked_model: "claims-\"triage\"".into(), ..plan(dialect) };
        let expected = text(name).replace("\"up-model\"", "\"claims-\\\"triage\\\"\"");
        assert_eq!(relay(&plan, [&bytes[..]]).out, expected, "{name}");
    }
}

#[test]
fn usage_the_client_did_not_ask_for_is_left_out() {
    let (dialect, bytes) = stream("openai-chat/text-with-usage.sse");
    let quiet = ReplyPlan { include_usage: false, ..plan(dialect) };
    let Relayed { out, seen, end } = relay(&quiet, [&bytes[..]]);
    assert!(!out.contains("usage") && !out.contains("\"choices\":[]"), "{out}");
    assert_eq!((out.matches("data: ").count(), end), (5, Ok(())));
    assert_eq!(tokens(seen.usage), Some([4, 8, 3, 0]));
    for line in out.lines().filter(|line| line.starts_with("data: {")) {
        serde_json::from_str::<serde_json::Value>(&line[6..]).unwrap();
    }
}

#[test]
fn usage_a_server_sends_unasked_stays_where_nothing_was_asked_of_it() {
    let (dialect, bytes) = stream("openai-chat/usage-beside-content.sse");
    let mistral = ReplyPlan { include_usage: false, quirks: Quirks::named("mistral").unwrap(), ..plan(dialect) };
    assert_eq!(relay(&mistral, [&bytes[..]]).out.as_bytes(), bytes);
    let openai = ReplyPlan { include_usage: false, ..plan(dialect) };
    assert!(!relay(&openai, [&bytes[..]]).out.contains("usage"));
}

#[test]
fn continuous_usage_serves_the_ledger_and_stays_hidden() {
    let (dialect, bytes) = stream("openai-chat/continuous-usage.sse");
    let vllm = ReplyPlan { quirks: Quirks::named("vllm").unwrap(), continuous_usage: false, ..plan(dialect) };
    let out = relay(&vllm, [&bytes[..]]).out;
    assert_eq!(out.matches("usage").count(), 1, "only the last chunk, as without our asking: {out}");
    let quiet = ReplyPlan { include_usage: false, ..vllm };
    assert_eq!(relay(&quiet, [&bytes[..]]).out.matches("usage").count(), 0);
    // Cut after the first token, what was used until then is known.
    let until = text("openai-chat/continuous-usage.sse").find("\"content\":\"b\"").unwrap();
    let cut = relay(&quiet, [&bytes[..until]]);
    assert_eq!((tokens(cut.seen.usage), cut.end.unwrap_err().class), (Some([9, 0, 1, 0]), FaultClass::Cut));
}

#[test]
fn each_openai_stream_tells_what_it_holds() {
    for (name, usage, finish, output_bytes) in [
        ("text-with-usage", Some([4, 8, 3, 0]), "stop", 5),
        ("parallel-tool-calls", Some([4, 8, 3, 0]), "tool_calls", 7 + 14 + 4 + 2),
        ("reasoning", Some([2, 5, 2, 18]), "stop", 5),
        ("continuous-usage", Some([9, 0, 2, 0]), "stop", 2),
        ("usage-beside-content", Some([4, 0, 2, 0]), "stop", 2),
        ("openrouter", Some([5, 0, 1, 0]), "stop", 2),
        ("odd-lines", None, "stop", 15),
        ("carriage-returns", Some([4, 8, 3, 0]), "stop", 1),
        ("no-last-line-feed", Some([4, 8, 3, 0]), "stop", 1),
        ("azure-filter-first", Some([4, 8, 3, 0]), "stop", 2),
        ("two-choices", Some([4, 8, 3, 0]), "length", 2),
        ("groq-usage", Some([6, 0, 1, 0]), "stop", 1),
    ] {
        let Relayed { seen, end, .. } = relayed(&format!("openai-chat/{name}.sse"));
        assert_eq!(tokens(seen.usage), usage, "{name}");
        assert_eq!((seen.finish.as_deref(), seen.output_bytes, end), (Some(finish), output_bytes, Ok(())), "{name}");
    }
    assert_eq!(relayed("openai-chat/openrouter.sse").seen.provider_cost, Some(NanoUsd(1_250)));
}

#[test]
fn each_anthropic_stream_tells_what_it_holds() {
    for (name, usage, finish, output_bytes) in [
        ("text", Some([25, 0, 15, 0]), "end_turn", 6),
        ("parallel-tool-calls", Some([25, 0, 89, 0]), "tool_use", 5 + 7 + 15 + 4 + 2),
        ("thinking", Some([25, 0, 10, 50]), "end_turn", 10 + 8 + 1),
        ("cache-outgrows-split", Some([5, 90, 7, 0]), "end_turn", 2),
        ("unknown-event", Some([25, 0, 2, 0]), "refusal", 1),
        ("no-message-start", None, "end_turn", 1),
    ] {
        let Relayed { seen, end, .. } = relayed(&format!("anthropic/{name}.sse"));
        assert_eq!(tokens(seen.usage), usage, "{name}");
        assert_eq!((seen.finish.as_deref(), seen.output_bytes, end), (Some(finish), output_bytes, Ok(())), "{name}");
    }
}

#[test]
fn the_text_kept_for_counting_is_all_there_was_whichever_way_it_went() {
    let mut texts = 0;
    for (path, bytes) in files("streams", ".sse").into_iter().chain(files("captures", ".response.sse")) {
        let dialect = dialect_of(&path);
        let client = if dialect == Dialect::Anthropic { Dialect::OpenAiChat } else { Dialect::Anthropic };
        let passed = relay(&plan(dialect), [&bytes[..]]);
        if passed.end.is_err() || passed.seen.kept.text().is_empty() {
            continue;
        }
        let translated = relay(&ReplyPlan { client, ..plan(dialect) }, [&bytes[..]]);
        // What stands in more than one string, or in none that is shown, is counted in bytes alone.
        let whole = |seen: &wire::Seen| seen.kept.text().len() as u64 == seen.output_bytes;
        if translated.end.is_ok() && whole(&passed.seen) && whole(&translated.seen) {
            assert_eq!(passed.seen.kept.text(), translated.seen.kept.text(), "{path}");
            texts += 1;
        }
        let little = relay(&ReplyPlan { keep_bytes: 3, ..plan(dialect) }, [&bytes[..]]).seen;
        assert!(passed.seen.kept.text().starts_with(little.kept.text()) && little.kept.text().len() <= 3, "{path}");
        let none = relay(&ReplyPlan { keep_bytes: 0, ..plan(dialect) }, [&bytes[..]]).seen;
        assert_eq!(none.kept.text(), "", "{path}");
    }
    assert!(texts >= 15, "{texts} streams");
}

#[test]
fn each_gemini_stream_tells_what_it_holds() {
    for (name, usage, finish, output_bytes) in [
        ("text", Some([25, 0, 3, 0]), "STOP", 5),
        ("thinking", Some([5, 20, 3, 50]), "STOP", 12 + 3),
        ("parallel-tool-calls", Some([25, 0, 3, 0]), "STOP", 11 + 15 + 8 + 2),
        ("blocked", Some([25, 0, 0, 0]), "PROHIBITED_CONTENT", 0),
        ("safety-midway", Some([25, 0, 0, 0]), "SAFETY", 3),
        ("usage-after-finish", Some([25, 0, 3, 0]), "MAX_TOKENS", 2),
        ("two-candidates", Some([25, 0, 3, 0]), "STOP", 4),
        ("code-execution", Some([25, 0, 3, 0]), "STOP", 4),
    ] {
        let Relayed { seen, end, .. } = relayed(&format!("gemini/{name}.sse"));
        assert_eq!(tokens(seen.usage), usage, "{name}");
        assert_eq!((seen.finish.as_deref(), seen.output_bytes, end), (Some(finish), output_bytes, Ok(())), "{name}");
        assert!(seen.ended && seen.content_started == (name != "blocked"), "{name}");
    }
    assert_eq!(relayed("gemini/usage-after-finish.sse").seen.usage.unwrap().get(Meter::ToolPrompt), 7);
    assert_eq!(relayed("gemini/thinking.sse").seen.service_tier.as_deref(), Some("ON_DEMAND"));
}

#[test]
fn a_gemini_client_that_asked_for_no_events_gets_one_array_however_the_bytes_come() {
    for (path, bytes) in files("streams", ".sse") {
        if !["error", "cut"].iter().any(|word| path.contains(word)) {
            let events = ReplyPlan { client: Dialect::Gemini, upstream: dialect_of(&path), ..plan(Dialect::Gemini) };
            let array = ReplyPlan { framing: Framing::JsonArray, ..events.clone() };
            let (events, whole) = (relay(&events, [&bytes[..]]), relay(&array, [&bytes[..]]));
            assert_eq!((&whole.end, &whole.seen), (&events.end, &events.seen), "{path}");
            assert_eq!(relay(&array, bytes.chunks(1)), whole, "{path}");
            // What the gateway does: it reads no further than the closing event.
            let (mut early, mut out) = (wire::StreamRelay::new(array.clone()), Vec::new());
            let fed = bytes.chunks(1).try_for_each(|byte| match early.seen().ended {
                true => Ok(()),
                false => early.feed(byte, &mut out),
            });
            if fed.is_ok() && early.seen().ended {
                assert_eq!(String::from_utf8(out).unwrap(), whole.out, "{path}");
            }
            if whole.end.is_ok() {
                let elements: Vec<serde_json::Value> = serde_json::from_str(&whole.out).unwrap();
                let told = events.out.lines().filter_map(|line| line.strip_prefix("data: "));
                let told: Vec<serde_json::Value> = told.map(|data| serde_json::from_str(data).unwrap()).collect();
                assert_eq!(elements, told, "{path}");
            }
        }
    }
    let nothing = ReplyPlan { framing: Framing::JsonArray, ..plan(Dialect::Gemini) };
    assert_eq!(relay(&nothing, [&b": nothing\n\n"[..]]).end.unwrap_err().class, FaultClass::Cut);
}

#[test]
fn each_responses_stream_tells_what_it_holds() {
    for (name, usage, finish, output_bytes) in [
        ("text", Some([5, 32, 3, 0]), "completed", 5),
        ("reasoning", Some([37, 0, 4, 64]), "completed", 12 + 8 + 2),
        ("parallel-tool-calls", Some([61, 0, 40, 0]), "completed", 11 + 14 + 8 + 2),
        ("refusal", Some([12, 0, 9, 0]), "completed", 7),
        ("incomplete", Some([12, 0, 16, 0]), "max_output_tokens", 3),
        ("hosted-tool", Some([300, 0, 21, 0]), "completed", 2),
    ] {
        let Relayed { seen, end, .. } = relayed(&format!("openai-responses/{name}.sse"));
        assert_eq!(tokens(seen.usage), usage, "{name}");
        assert_eq!((seen.finish.as_deref(), seen.output_bytes, end), (Some(finish), output_bytes, Ok(())), "{name}");
        assert_eq!(seen.provider_request_id.as_deref(), Some("resp_67c9fdcecf48"), "{name}");
    }
    let searched = relayed("openai-responses/hosted-tool.sse").seen.usage.unwrap();
    assert_eq!(searched.get(Meter::WebSearches), 1);
    assert_eq!(
        relayed("openai-responses/text.sse").seen.service_tier.as_deref(),
        Some("default"),
        "the one that served"
    );
}

/// What OpenAI's Python SDK reads of each event, or it raises; llama.cpp leaves most of it out.
#[test]
fn what_a_responses_server_left_out_is_put_in_and_nothing_else_changes() {
    for (path, bytes) in files("captures/llama-cpp-responses", ".response.sse") {
        let plan = ReplyPlan { asked_model: "claims-triage".into(), ..plan(Dialect::OpenAiResponses) };
        let Relayed { out, seen, end } = relay(&plan, [&bytes[..]]);
        assert_eq!(end, Ok(()), "{path}");
        assert!(seen.usage.is_some() && seen.content_started && seen.finish.is_some(), "{path}");
        let datas = |text: &str| -> Vec<serde_json::Value> {
            text.lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .map(|data| serde_json::from_str(data).unwrap())
                .collect()
        };
        let (came, went) = (datas(std::str::from_utf8(&bytes).unwrap()), datas(&out));
        assert_eq!(came.len(), went.len(), "{path}");
        for (at, (came, went)) in came.iter().zip(&went).enumerate() {
            assert_eq!(went["sequence_number"], at, "{path}");
            let kind = went["type"].as_str().unwrap();
            let about_an_item = ["item", "part", "text", "arguments"].iter().any(|word| kind.contains(word));
            assert_eq!(went["output_index"].is_u64(), about_an_item, "{path}: {kind}");
            let about_a_part = ["part", "text"].iter().any(|word| kind.contains(word));
            assert_eq!(went["content_index"].is_u64(), about_a_part, "{path}: {kind}");
            assert_eq!(went["logprobs"].is_array(), kind.contains("output_text."), "{path}: {kind}");
            if let Some(response) = went["response"].as_object() {
                assert_eq!(response["model"], "claims-triage", "{path}");
                assert!(response["output"].is_array() && response["created_at"].is_i64(), "{path}");
            }
            // Every member that came is there as it was.
            for (name, value) in came.as_object().unwrap().iter().filter(|(name, _)| *name != "response") {
                assert_eq!(&went[name], value, "{path}: {kind}");
            }
        }
    }
}

#[test]
fn each_cohere_stream_tells_what_it_holds() {
    for (name, usage, finish, output_bytes) in [
        ("text", Some([4, 0, 3, 0]), "COMPLETE", 10),
        ("done-mark", Some([4, 0, 3, 0]), "COMPLETE", 10),
        ("thinking", Some([4, 0, 9, 0]), "COMPLETE", 11 + 4),
        ("parallel-tool-calls", Some([37, 0, 23, 0]), "TOOL_CALL", 11 + 1 + 15 + 1 + 2),
        ("citations", Some([4, 0, 3, 0]), "MAX_TOKENS", 5),
    ] {
        let Relayed { seen, end, .. } = relayed(&format!("cohere/{name}.sse"));
        assert_eq!(tokens(seen.usage), usage, "{name}");
        assert_eq!((seen.finish.as_deref(), seen.output_bytes, end), (Some(finish), output_bytes, Ok(())), "{name}");
    }
}

#[test]
fn stored_tokens_that_outgrow_their_split_are_counted_and_told() {
    let seen = relayed("anthropic/cache-outgrows-split.sse").seen;
    let usage = seen.usage.unwrap();
    assert_eq!((usage.get(Meter::CacheWrite5m), usage.get(Meter::CacheWrite1h), seen.usage_residue), (90, 40, 30));
    assert_eq!(usage.get(Meter::WebSearches), 1);
}

#[test]
fn what_opens_a_stream_is_no_content_yet() {
    for (name, mark) in [
        ("openai-chat/text-with-usage.sse", "\"content\":\"Hel\""),
        ("openai-responses/text.sse", "event: response.output_text.delta"),
        ("anthropic/text.sse", "text_delta"),
        ("cohere/text.sse", "content-delta"),
    ] {
        let (dialect, bytes) = stream(name);
        let before = text(name).find(mark).unwrap();
        let opening = relay(&plan(dialect), [&bytes[..before]]);
        assert!(!opening.seen.content_started && !opening.out.is_empty(), "{name}");
    }
    for name in ["openai-chat/parallel-tool-calls.sse", "anthropic/parallel-tool-calls.sse", "anthropic/thinking.sse"] {
        assert!(relayed(name).seen.content_started, "{name}");
    }
}

#[test]
fn an_error_in_a_stream_is_told_and_not_passed_on() {
    for (name, class, content) in [
        ("gemini/error-midway.sse", FaultClass::Overloaded, true),
        ("openai-chat/error-midway.sse", FaultClass::ServerError, true),
        ("openai-chat/error-line.sse", FaultClass::ServerError, false),
        ("openai-responses/error-failed.sse", FaultClass::ServerError, true),
        ("openai-responses/error-event.sse", FaultClass::ContextTooLong, false),
        ("anthropic/error-midway.sse", FaultClass::Overloaded, true),
        ("anthropic/error-first.sse", FaultClass::RateLimited, false),
        ("cohere/error-end.sse", FaultClass::ServerError, true),
        ("cohere/error-first.sse", FaultClass::ServerError, false),
    ] {
        let Relayed { out, seen, end } = relayed(name);
        assert_eq!(end.unwrap_err().class, class, "{name}");
        assert_eq!((seen.fault.unwrap().class, seen.content_started), (class, content), "{name}");
        // Every answer of Responses says that it has no error.
        let out = out.replace("\"error\":null", "");
        assert!(!out.contains("error") && !out.contains("[DONE]"), "{name}: {out}");
    }
}

#[test]
fn a_stream_cut_short_says_so_and_passes_no_broken_frame() {
    for name in
        ["openai-chat/cut.sse", "openai-responses/cut.sse", "anthropic/cut.sse", "gemini/cut.sse", "cohere/cut.sse"]
    {
        let Relayed { out, end, .. } = relayed(name);
        assert_eq!(end.unwrap_err().class, FaultClass::Cut, "{name}");
        assert!((out.ends_with("\n\n") || out.ends_with("\r\n\r\n")) && text(name).starts_with(&out), "{name}");
    }
}

#[test]
fn what_is_no_frame_of_the_dialect_is_a_fault() {
    for broken in ["data: {\"choices\":[\n\n", "data: 7\n\n", "data: <html>\n\n"] {
        let class = relay(&plan(Dialect::OpenAiChat), [broken.as_bytes()]).end.unwrap_err().class;
        assert_eq!(class, FaultClass::Malformed, "{broken}");
    }
    let half = b"data: {\"choices\":[{\"delta\":{\"content\":\"\xc3\"}}]}\n\n";
    assert_eq!(relay(&plan(Dialect::OpenAiChat), [&half[..]]).end.unwrap_err().class, FaultClass::Malformed);
}

#[test]
fn a_lost_opening_is_put_back() {
    let Relayed { out, .. } = relayed("anthropic/no-message-start.sse");
    let (opening, rest) = out.split_once("\n\n").unwrap();
    assert!(opening.starts_with("event: message_start\ndata: {") && opening.contains("\"msg_ours\""), "{opening}");
    assert_eq!(rest, text("anthropic/no-message-start.sse"));
}

#[test]
fn what_llama_cpp_streams_is_read_to_the_end() {
    for (path, bytes) in files("captures/llama-cpp", ".response.sse") {
        let dialect = dialect_of(&path);
        let plan = ReplyPlan { asked_model: "smollm2-135m".into(), ..plan(dialect) };
        let Relayed { out, seen, end } = relay(&plan, [&bytes[..]]);
        assert_eq!(end, Ok(()), "{path}");
        // Once llama.cpp lost the opening event of a Messages stream; then it is put back.
        let lost = dialect == Dialect::Anthropic && !bytes.starts_with(b"event: message_start");
        assert!(out.as_bytes().ends_with(&bytes) && (lost || out.len() == bytes.len()), "{path} passes byte for byte");
        assert!(seen.content_started && seen.finish.is_some() && seen.output_bytes > 0, "{path}");
        if dialect == Dialect::Anthropic {
            assert_eq!(seen.usage.is_none(), lost, "{path}");
        }
    }
}

#[test]
fn memory_stays_within_the_longest_frame_and_64_kib() {
    let frame =
        |length: usize| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(length));
    let lines = "data: {\"choices\":[\ndata: ]}\n\n".to_owned();
    let mut relay = wire::StreamRelay::new(plan(Dialect::OpenAiChat));
    let (mut out, mut longest) = (Vec::new(), 0);
    for frame in [frame(10), frame(500_000), lines, frame(1000), frame(900_000), frame(10)] {
        longest = frame.len().max(longest);
        for chunk in frame.as_bytes().chunks(1500) {
            relay.feed(chunk, &mut out).unwrap();
            out.clear();
            assert!(relay.buffered_bytes() <= longest + 64 * 1024, "{} of {longest}", relay.buffered_bytes());
        }
        assert!(relay.buffered_bytes() <= 64 * 1024, "nothing is kept of a frame that passed");
    }
    // One event of a Responses stream says all of the answer, and pictures are long.
    let picture = format!(
        "data: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"resp_1\",\"output\":[{{\"result\":\"{}\"}}]}}}}\n\n",
        "A".repeat(3_000_000)
    );
    let whole = crate::support::relay(&plan(Dialect::OpenAiResponses), picture.as_bytes().chunks(64_000));
    assert!(whole.end.is_ok() && whole.out.len() > 3_000_000);
    let endless = vec![b'x'; 2 * wire::sse::MAX_FRAME_BYTES];
    assert_eq!(relay.feed(&endless, &mut out).unwrap_err().class, FaultClass::Malformed);
}
