//! Replays every folder of fixtures/translate: what a provider is sent, what a client gets, what was given up.
//!
//! A case is a folder under the client's dialect, with `origin.toml` and any of `request.json`, `answer.json`, `stream.sse`;
//! what ours makes of each lies beside it. `upstream` under `[ask]` names the provider's dialect where it is not the usual one. `FREEHOLD_BLESS=1` writes those anew: read the difference before it is kept.
#![allow(clippy::disallowed_methods, reason = "tests read their fixtures and one variable")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use domain::{Fault, Loss};
use serde_json::Value;
use wire::{Address, Ask, Dialect, Operation, Quirks, ReplyPlan, Seen, StreamRelay, reply_body, scan, translate};

#[path = "it/mutate.rs"]
mod mutate;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/translate")
}

/// One folder.
struct Case {
    folder: PathBuf,
    client: Dialect,
    upstream: Dialect,
    origin: toml::Table,
}

impl Case {
    /// Every folder, of every client's dialect.
    fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for client in Dialect::ALL.iter().copied() {
            for entry in std::fs::read_dir(fixtures().join(client.as_str())).unwrap() {
                let folder = entry.unwrap().path();
                let origin = std::fs::read_to_string(folder.join("origin.toml"))
                    .unwrap_or_else(|error| panic!("{}/origin.toml: {error}", folder.display()));
                let origin: toml::Table =
                    origin.parse().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
                // What the provider speaks, where the case does not say.
                let usual = match client {
                    Dialect::OpenAiChat | Dialect::OpenAiResponses => Dialect::Anthropic,
                    _ => Dialect::OpenAiChat,
                };
                let named = origin.get("ask").and_then(|ask| ask.get("upstream")).map(|name| name.as_str().unwrap());
                let upstream = named.map_or(usual, |name| Dialect::from_name(name).unwrap());
                cases.push(Case { folder, client, upstream, origin });
            }
        }
        cases.sort_by(|one, other| one.folder.cmp(&other.folder));
        cases
    }

    fn name(&self) -> String {
        self.folder.strip_prefix(fixtures()).unwrap().display().to_string()
    }

    /// The bytes of an input, here or where `origin.toml` says they lie.
    fn input(&self, kind: &str, ending: &str) -> Option<Vec<u8>> {
        let section = self.origin.get(kind)?;
        let file = section.get("file").and_then(|file| file.as_str()).map(str::to_owned);
        let path = self.folder.join(file.unwrap_or(format!("{kind}.{ending}")));
        assert!(section.get("origin").is_some(), "{}: {kind} says nothing of where it comes from", self.name());
        Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn setting(&self, name: &str) -> Option<&toml::Value> {
        self.origin.get("ask")?.get(name)
    }

    fn quirks(&self) -> &'static Quirks {
        let name = self.setting("quirks").map_or("generic", |name| name.as_str().unwrap());
        Quirks::named(name).unwrap_or_else(|| panic!("{}: no quirks `{name}`", self.name()))
    }

    fn plan(&self) -> ReplyPlan {
        let flag = |name| self.setting(name).is_some_and(|value| value.as_bool().unwrap());
        ReplyPlan {
            client: self.client,
            upstream: self.upstream,
            operation: Operation::Chat,
            asked_model: "claims-triage".into(),
            include_usage: flag("include_usage"),
            continuous_usage: flag("continuous_usage"),
            quirks: self.quirks(),
            answer_id: "answer_1".into(),
            created_unix_s: 1_795_000_000,
            keep_bytes: 0,
            framing: self.client.framing(),
            raw: false,
            request: bytes::Bytes::new(),
            ids: wire::Ids::default(),
        }
    }

    fn request(&self, body: &[u8]) -> Result<(Vec<u8>, Vec<Loss>), Fault> {
        let model = self.setting("model").map_or("up-model", |model| model.as_str().unwrap());
        let ask = Ask {
            upstream_model: model,
            quirks: self.quirks(),
            insert_max_output: None,
            default_max_output: 4096,
            foreign: false,
        };
        let address = Address { model: "claims-triage".into(), stream: self.setting("stream").is_some() };
        let stream = match scan(self.client, Operation::Chat, Some(&address), body) {
            Ok(head) => head.stream,
            Err(_) => false,
        };
        let translated = translate::request(self.client, self.upstream, Operation::Chat, stream, body, &ask)?;
        Ok((translated.body, translated.losses))
    }

    /// Compares with the file of this name, or writes it. Nothing expected means no file.
    fn expect(&self, file: &str, made: Option<String>, wrong: &mut Vec<String>) {
        let path = self.folder.join(file);
        if std::env::var_os("FREEHOLD_BLESS").is_some() {
            match made {
                Some(made) => std::fs::write(&path, made).unwrap(),
                None => drop(std::fs::remove_file(&path)),
            }
            return;
        }
        let kept = std::fs::read_to_string(&path).ok();
        if kept != made {
            let show = |text: &Option<String>| text.clone().unwrap_or("no file".into());
            wrong.push(format!("{}/{file}\n--- kept\n{}\n--- made\n{}", self.name(), show(&kept), show(&made)));
        }
    }

    fn expect_losses(&self, kind: &str, losses: &[Loss], wrong: &mut Vec<String>) {
        let lines: Vec<_> = losses.iter().map(|loss| serde_json::to_string(loss).unwrap()).collect();
        let text = (!lines.is_empty()).then(|| lines.join("\n") + "\n");
        self.expect(&format!("{kind}.losses.jsonl"), text, wrong);
    }
}

/// JSON on several lines, its tokens untouched.
fn indented(json: &[u8]) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0usize, false, false);
    let text = std::str::from_utf8(json).unwrap();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if quoted {
            out.push(c);
            (quoted, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                if characters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(characters.next());
                } else {
                    depth += 1;
                    out.push_str(&format!("\n{}", "  ".repeat(depth)));
                }
            }
            '}' | ']' => {
                depth -= 1;
                out.push_str(&format!("\n{}{c}", "  ".repeat(depth)));
            }
            ',' => out.push_str(&format!(",\n{}", "  ".repeat(depth))),
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out.push('\n');
    out
}

/// A stream as text: of Amazon's messages the types and payloads, a line each.
fn shown(client: Dialect, out: &[u8]) -> String {
    if client != Dialect::BedrockConverse {
        return String::from_utf8(out.to_vec()).unwrap();
    }
    let mut lines = String::new();
    let (mut splitter, mut add) = (wire::eventstream::Splitter::default(), |raw: &[u8]| {
        let message = wire::eventstream::Message::read(raw)?;
        lines.push_str(&format!("{}: {}\n", message.kind, std::str::from_utf8(message.payload).unwrap()));
        Ok(())
    });
    splitter.feed(out, &mut add).unwrap();
    assert!(splitter.take_rest().is_empty());
    lines
}

fn fault_text(fault: &Fault) -> String {
    format!("{}: {}\n", fault.class, fault.message)
}

fn relayed(plan: &ReplyPlan, chunks: &[&[u8]]) -> (Vec<u8>, Seen, Result<(), Fault>) {
    let (mut relay, mut out) = (StreamRelay::new(plan.clone()), Vec::new());
    for chunk in chunks {
        if let Err(fault) = relay.feed(chunk, &mut out) {
            return (out, relay.seen().clone(), Err(fault));
        }
    }
    let ended = relay.end(&mut out);
    (out, relay.seen().clone(), ended)
}

#[test]
fn every_case_is_translated_as_it_was() {
    let (cases, mut wrong) = (Case::all(), Vec::new());
    assert!(cases.len() >= 25);
    for case in &cases {
        if let Some(body) = case.input("request", "json") {
            let (out, fault, losses) = match case.request(&body) {
                Ok((out, losses)) => (Some(indented(&out)), None, losses),
                Err(fault) => (None, Some(fault_text(&fault)), Vec::new()),
            };
            case.expect("request.out.json", out, &mut wrong);
            case.expect("request.fault.txt", fault, &mut wrong);
            case.expect_losses("request", &losses, &mut wrong);
        }
        if let Some(body) = case.input("answer", "json") {
            let (out, fault, losses) = match reply_body(&case.plan(), &body) {
                Ok((out, seen)) => (Some(indented(&out)), None, seen.losses),
                Err(fault) => (None, Some(fault_text(&fault)), Vec::new()),
            };
            case.expect("answer.out.json", out, &mut wrong);
            case.expect("answer.fault.txt", fault, &mut wrong);
            case.expect_losses("answer", &losses, &mut wrong);
        }
        if let Some(stream) = case.input("stream", "sse") {
            let (out, seen, end) = relayed(&case.plan(), &[&stream]);
            case.expect("stream.out.sse", Some(shown(case.client, &out)), &mut wrong);
            case.expect("stream.fault.txt", end.err().map(|fault| fault_text(&fault)), &mut wrong);
            case.expect_losses("stream", &seen.losses, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn every_stream_reads_the_same_split_at_every_byte() {
    for case in Case::all() {
        let Some(stream) = case.input("stream", "sse") else { continue };
        let plan = case.plan();
        let whole = relayed(&plan, &[&stream]);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert!(relayed(&plan, &bytes) == whole, "{}, one byte at a time", case.name());
        // A stream of a thousand frames is cut at some of its bytes only, and byte by byte above.
        let step = (stream.len() / 1_500).max(1);
        for at in (1..stream.len()).step_by(step) {
            let (head, tail) = stream.split_at(at);
            assert!(relayed(&plan, &[head, tail]) == whole, "{}, split at byte {at}", case.name());
        }
    }
}

/// What the ledger is told must not depend on what the client speaks.
#[test]
fn a_translated_answer_is_seen_as_one_that_passes_through() {
    let told = |seen: &Seen| Seen { losses: Vec::new(), ..seen.clone() };
    for case in Case::all() {
        let plan = case.plan();
        let through = ReplyPlan { client: case.upstream, ..plan.clone() };
        if let Some(stream) = case.input("stream", "sse") {
            let ((_, ours, end), (_, theirs, their_end)) = (relayed(&plan, &[&stream]), relayed(&through, &[&stream]));
            // Of an input that comes whole, one reading counts the JSON, the other its texts.
            let whole_input = case.name().ends_with("tool-input-at-once");
            let told =
                |seen: &Seen| Seen { output_bytes: if whole_input { 0 } else { seen.output_bytes }, ..told(seen) };
            assert_eq!(told(&ours), told(&theirs), "{}/stream", case.name());
            // What cannot be put in order for one client can still pass through to another.
            if !case.name().ends_with("tools-interleaved") {
                assert_eq!(end, their_end, "{}/stream", case.name());
            }
        }
        if let Some(body) = case.input("answer", "json") {
            let (ours, theirs) = (reply_body(&plan, &body).unwrap().1, reply_body(&through, &body).unwrap().1);
            // Of a whole answer one reading counts the JSON of arguments, the other their texts.
            let told = |seen: &Seen| Seen { output_bytes: 0, ..told(seen) };
            assert_eq!(told(&ours), told(&theirs), "{}/answer", case.name());
            assert_eq!(ours.output_bytes > 0, theirs.output_bytes > 0, "{}/answer", case.name());
        }
    }
    let pairs = Dialect::ALL.iter().flat_map(|upstream| Dialect::ALL.iter().map(|client| (*upstream, *client)));
    for (upstream, client) in pairs.filter(|(upstream, client)| upstream != client) {
        for entry in std::fs::read_dir(fixtures().join("../streams").join(upstream.as_str())).unwrap() {
            let path = entry.unwrap().path();
            let stream = std::fs::read(&path).unwrap();
            let plan = ReplyPlan { client, upstream, quirks: &Quirks::GENERIC, ..Case::all()[0].plan() };
            let through = ReplyPlan { client: upstream, ..plan.clone() };
            let ((out, ours, end), (_, theirs, their_end)) =
                (relayed(&plan, &[&stream]), relayed(&through, &[&stream]));
            assert_eq!((told(&ours), end), (told(&theirs), their_end), "{}", path.display());
            assert!(!out.is_empty() || ours.fault.is_some(), "{}", path.display());
        }
    }
}

#[test]
fn every_loss_of_a_request_points_at_something_that_is_there() {
    for case in Case::all() {
        let Some(body) = case.input("request", "json") else { continue };
        let Ok((_, losses)) = case.request(&body) else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        let mut met = BTreeSet::new();
        for loss in losses {
            // The one field whose absence is told.
            let there = loss.pointer == "/max_tokens" || value.pointer(&loss.pointer).is_some();
            assert!(there, "{}: {} is not in the body", case.name(), loss.pointer);
            assert!(loss.reason.len() > 10 && loss.reason.len() < 200, "{}: {}", case.name(), loss.reason);
            assert!(met.insert((loss.pointer.clone(), loss.reason.clone())), "{}: told twice", case.name());
        }
    }
}

/// Nothing the client wrote is left out in silence: every member of the request that was known or unknown is either found in
/// what was sent (its texts, numbers and names) or told.
#[test]
fn no_text_of_a_message_is_lost_in_silence() {
    for case in Case::all() {
        let Some(body) = case.input("request", "json") else { continue };
        let Ok((out, losses)) = case.request(&body) else { continue };
        let sent =
            texts(&serde_json::from_slice(&out).unwrap(), "").into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        // A tool's answer that is JSON may be sent as what it is.
        let sent = sent.join("\n") + &String::from_utf8(out).unwrap();
        let value: Value = serde_json::from_slice(&body).unwrap();
        for (pointer, text) in ["messages", "system", "input", "instructions", "contents", "systemInstruction"]
            .into_iter()
            .flat_map(|name| texts(&value[name], &format!("/{name}")))
        {
            let told = losses.iter().any(|loss| pointer.starts_with(&loss.pointer) && !loss.pointer.is_empty());
            let structure = [
                "/type",
                "/role",
                "/media_type",
                "/mimeType",
                "/mime_type",
                "/id",
                "/tool_call_id",
                "/tool_use_id",
                "/call_id",
                "/status",
                "/arguments",
                "/format",
                "/toolUseId",
                "/status",
            ];
            let is_structure = structure.iter().any(|end| pointer.ends_with(end));
            // A data address is taken apart or put together; its last bytes stay.
            let tail = text.rsplit(',').next().unwrap_or_default().trim();
            let decoded = text.starts_with("data:text/plain") || pointer.ends_with("/source/bytes");
            // Google's SDK sends base64 in the alphabet of addresses, which only Google takes.
            let standard = tail.replace('-', "+").replace('_', "/");
            assert!(
                told || is_structure || decoded || sent.contains(tail) || sent.contains(&standard) || text == "auto",
                "{}: {pointer} = {text:?} is neither sent nor told",
                case.name()
            );
        }
    }
}

/// Every text in a value, with its pointer.
fn texts(value: &Value, at: &str) -> Vec<(String, String)> {
    match value {
        Value::String(text) => vec![(at.to_owned(), text.clone())],
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| texts(item, &format!("{at}/{index}"))).collect()
        }
        Value::Object(members) => {
            members.iter().flat_map(|(name, member)| texts(member, &format!("{at}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn what_has_no_counterpart_says_where_to_go() {
    let ask = Ask {
        upstream_model: "m",
        quirks: &Quirks::GENERIC,
        insert_max_output: None,
        default_max_output: 1,
        foreign: false,
    };
    let fault = |client, upstream, operation| {
        fault_text(&translate::request(client, upstream, operation, false, b"{}", &ask).unwrap_err())
    };
    assert_eq!(
        fault(Dialect::Anthropic, Dialect::OpenAiChat, Operation::CountTokens),
        "untranslatable: openai-chat counts no tokens of a request in anthropic; estimate them, or name a model of a provider that speaks it\n"
    );
    assert_eq!(
        fault(Dialect::OpenAiChat, Dialect::Anthropic, Operation::Embeddings),
        "untranslatable: anthropic makes no embeddings of a request in openai-chat; name a model of a provider that speaks openai-chat\n"
    );
}

#[test]
fn mutated_fixtures_break_no_invariant() {
    let mut chance = mutate::Chance(0x5eed);
    for case in Case::all() {
        type Input = (Option<Vec<u8>>, fn(&[u8]), usize);
        let inputs: [Input; 3] = [
            (case.input("request", "json"), translate::fuzz::request, 20),
            (case.input("answer", "json"), translate::fuzz::body, 40),
            (case.input("stream", "sse"), translate::fuzz::stream, 15),
        ];
        for (input, check, times) in inputs {
            let Some(input) = input else { continue };
            check(&input);
            for _ in 0..times {
                let mutated = chance.mutate(&input);
                if std::panic::catch_unwind(|| check(&mutated)).is_err() {
                    panic!("{}: {:?}", case.name(), String::from_utf8_lossy(&mutated));
                }
            }
        }
    }
}

#[test]
fn whatever_was_captured_can_be_translated() {
    let mut requests = 0;
    for folder in std::fs::read_dir(fixtures().join("../captures")).unwrap() {
        for entry in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).unwrap();
            match () {
                () if name.ends_with(".request.json") => {
                    translate::fuzz::request(&bytes);
                    requests += 1;
                }
                () if name.ends_with(".response.json") => translate::fuzz::body(&bytes),
                () if name.ends_with(".sse") => translate::fuzz::stream(&bytes),
                () => {}
            }
        }
    }
    assert!(requests > 50, "the captures are there");
}
