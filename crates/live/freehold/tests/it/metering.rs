//! What of every endpoint is metered at every provider: each cell of docs/metering.md is a call that was made under a hard
//! budget, and what was booked of it.

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::{Freehold, Simulator, Site, eventually};
use crate::http::{Connection, request};
use crate::realtime;

/// Slow enough to be left while it speaks.
const SCENARIO: &str = "[providers.sim]\noutput_tokens = 40\ntokens_per_frame = 1\n\n\
                        [providers.slow]\noutput_tokens = 4000\ntokens_per_frame = 1\ntokens_per_second = 40\n";

/// A provider of each dialect, and the path below its simulator's name.
const PROVIDERS: &[(&str, &str)] = &[
    ("openai-chat", "/v1"),
    ("openai-responses", "/v1"),
    ("anthropic", "/v1"),
    ("gemini", "/v1beta"),
    ("bedrock-converse", ""),
    ("cohere", "/v2"),
];

/// A route, its body, and the body or route that streams. `W` stands for the workflow; a body that begins with a boundary is a form.
struct Row {
    path: &'static str,
    /// What tells it from another row of the same path.
    what: &'static str,
    /// The one dialect that has it, where the others are refused.
    only: Option<&'static str>,
    body: &'static str,
    streamed: Option<(&'static str, &'static str)>,
}

/// A form with the workflow as its model, and these parts.
macro_rules! form {
    ($($name:literal, $value:literal),*) => {
        concat!(
            "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nW\r\n",
            $("--b\r\nContent-Disposition: form-data; name=\"", $name, "\"\r\n\r\n", $value, "\r\n",)*
            "--b--\r\n"
        )
    };
}

/// A row like most others.
const PLAIN: Row = Row { path: "", what: "", only: None, body: "", streamed: None };

const ROWS: &[Row] = &[
    Row {
        path: "/v1/chat/completions",
        body: r#"{"model":"W","messages":[{"role":"user","content":"Hello"}]}"#,
        streamed: Some((
            "/v1/chat/completions",
            r#"{"model":"W","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#,
        )),
        ..PLAIN
    },
    Row {
        path: "/v1/responses",
        body: r#"{"model":"W","input":"Hello"}"#,
        streamed: Some(("/v1/responses", r#"{"model":"W","stream":true,"input":"Hello"}"#)),
        ..PLAIN
    },
    Row {
        path: "/v1/messages",
        body: r#"{"model":"W","max_tokens":5000,"messages":[{"role":"user","content":"Hello"}]}"#,
        streamed: Some((
            "/v1/messages",
            r#"{"model":"W","stream":true,"max_tokens":5000,"messages":[{"role":"user","content":"Hello"}]}"#,
        )),
        ..PLAIN
    },
    Row {
        path: "/v1beta/models/W:generateContent",
        body: r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
        streamed: Some((
            "/v1beta/models/W:streamGenerateContent?alt=sse",
            r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
        )),
        ..PLAIN
    },
    Row {
        path: "/model/W/converse",
        body: r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#,
        streamed: Some(("/model/W/converse-stream", r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#)),
        ..PLAIN
    },
    Row {
        path: "/model/W/invoke",
        what: "Anthropic's, ",
        body: r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":5000,"messages":[{"role":"user","content":"Hello"}]}"#,
        streamed: Some((
            "/model/W/invoke-with-response-stream",
            r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":5000,"messages":[{"role":"user","content":"Hello"}]}"#,
        )),
        ..PLAIN
    },
    Row {
        path: "/model/W/invoke",
        what: "Llama's, ",
        only: Some("bedrock-converse"),
        body: r#"{"prompt":"Hello","max_gen_len":5000}"#,
        streamed: Some(("/model/W/invoke-with-response-stream", r#"{"prompt":"Hello","max_gen_len":5000}"#)),
    },
    Row {
        path: "/model/W/invoke",
        what: "Titan's embedding, ",
        only: Some("bedrock-converse"),
        body: r#"{"inputText":"Hello"}"#,
        ..PLAIN
    },
    Row {
        path: "/v2/chat",
        body: r#"{"model":"W","messages":[{"role":"user","content":"Hello"}]}"#,
        streamed: Some(("/v2/chat", r#"{"model":"W","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#)),
        ..PLAIN
    },
    Row { path: "/v1/embeddings", body: r#"{"model":"W","input":"Hello"}"#, ..PLAIN },
    Row {
        path: "/v1/completions",
        body: r#"{"model":"W","prompt":"Hello"}"#,
        streamed: Some(("/v1/completions", r#"{"model":"W","stream":true,"max_tokens":5000,"prompt":"Hello"}"#)),
        ..PLAIN
    },
    Row { path: "/v1/moderations", body: r#"{"model":"W","input":"Hello"}"#, ..PLAIN },
    Row {
        path: "/v1/images/generations",
        body: r#"{"model":"W","prompt":"A roof"}"#,
        streamed: Some((
            "/v1/images/generations",
            r#"{"model":"W","stream":true,"partial_images":2,"prompt":"A roof"}"#,
        )),
        ..PLAIN
    },
    Row {
        path: "/v1/images/edits",
        body: form!("image\"; filename=\"a.png", "PNG", "prompt", "Bluer"),
        streamed: Some((
            "/v1/images/edits",
            form!("image\"; filename=\"a.png", "PNG", "prompt", "Bluer", "stream", "true", "partial_images", "2"),
        )),
        ..PLAIN
    },
    Row {
        path: "/v1/audio/speech",
        body: r#"{"model":"W","voice":"v","input":"Hello"}"#,
        streamed: Some((
            "/v1/audio/speech",
            r#"{"model":"W","voice":"v","stream_format":"sse","input":"Hello, we have paid your claim about the storm in May; the money comes to your account within ten days."}"#,
        )),
        ..PLAIN
    },
    Row {
        path: "/v1/audio/transcriptions",
        body: form!("file\"; filename=\"a.mp3", "sound"),
        streamed: Some(("/v1/audio/transcriptions", form!("file\"; filename=\"a.mp3", "sound", "stream", "true"))),
        ..PLAIN
    },
    Row { path: "/v1/audio/translations", body: form!("file\"; filename=\"a.mp3", "sound"), ..PLAIN },
    Row { path: "/v1beta/models/W:embedContent", body: r#"{"content":{"parts":[{"text":"Hello"}]}}"#, ..PLAIN },
    Row {
        path: "/v2/embed",
        body: r#"{"model":"W","texts":["Hello"],"input_type":"search_query","embedding_types":["float"]}"#,
        ..PLAIN
    },
    Row { path: "/v1/rerank", body: r#"{"model":"W","query":"north","documents":["a","b"]}"#, ..PLAIN },
    Row { path: "/v2/rerank", body: r#"{"model":"W","query":"north","documents":["a","b"]}"#, ..PLAIN },
    Row {
        path: "/v1/messages/count_tokens",
        body: r#"{"model":"W","messages":[{"role":"user","content":"Hello"}]}"#,
        ..PLAIN
    },
    Row { path: "/v1/responses/compact", body: r#"{"model":"W","input":"Hello"}"#, ..PLAIN },
    Row { path: "/v1/responses/input_tokens", body: r#"{"model":"W","input":"Hello"}"#, ..PLAIN },
    Row {
        path: "/v1beta/models/W:countTokens",
        body: r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
        ..PLAIN
    },
];

fn configuration(address: SocketAddr) -> String {
    let mut text = String::new();
    for (dialect, below) in PROVIDERS {
        for script in ["sim", "slow"] {
            let name = format!("{script}-{dialect}");
            let _ = write!(
                text,
                "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/{script}{below}\"\n\
                 api_key = {{ env = \"SIM_KEY\" }}\n\n\
                 [models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\nmax_output_tokens = 5000\n\
                 price = {{ input = \"3.00\", output = \"15.00\", search_units = \"2.00\" }}\n\n\
                 [models.bare-{name}]\nprovider = \"{name}\"\nmodel = \"unknown\"\n\n\
                 [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n\
                 [lanes.bare-{name}]\nclass = \"B\"\nmodels = [\"bare-{name}\"]\npick = \"best\"\n\n\
                 [criticality.{name}]\nlanes = [\"{name}\"]\n\n[criticality.bare-{name}]\nlanes = [\"bare-{name}\"]\n\n\
                 [workflows.{name}]\ncriticality = \"{name}\"\nbudget = {{ limit = \"100 USD\", per = \"total\", at_limit = \"refuse\" }}\n\n\
                 [workflows.bare-{name}]\ncriticality = \"bare-{name}\"\n\n"
            );
        }
    }
    text
}

/// What was booked of a call, in a word.
fn booked(freehold: &Freehold, call: &str) -> String {
    booked_of(freehold, call, false)
}

/// The same of its first attempt, or of its last.
fn booked_of(freehold: &Freehold, call: &str, first: bool) -> String {
    let record = eventually("the call reaches the store", || {
        let authorization = format!("Bearer {}", freehold.admin_token);
        let path = format!("/api/v1/calls/{call}");
        let answer = request(freehold.console, "GET", &path, &[("authorization", &authorization)], b"");
        let view = (answer.status == 200).then(|| answer.json()).filter(|view| !view["end"].is_null())?;
        let mut records = view["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "record");
        Some(if first { records.next() } else { records.next_back() }.cloned())
    });
    let Some(record) = record else { return "free".into() };
    let total = record["cost"].pointer("/priced/total").or(record["cost"].get("total")).and_then(Value::as_i64);
    match (total, record["usage_origin"].as_str()) {
        (Some(total), Some("reported")) if total > 0 => "priced".into(),
        (Some(total), _) if total > 0 => "priced by an estimate".into(),
        (Some(0), Some("none")) => "free".into(),
        _ => panic!("neither priced nor free: {record}"),
    }
}

fn told(freehold: &Freehold, key: &str, (path, body): (&str, &str), workflow: &str) -> String {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type(body))];
    let (path, body) = (path.replace('W', workflow), body.replace('W', workflow));
    let answer = request(freehold.gateway, "POST", &path, &headers, body.as_bytes());
    match answer.header("freehold-error") {
        Some(code) => format!("refused: `{code}`"),
        None => {
            assert_eq!(answer.status, 200, "{path} {workflow}: {}", answer.text());
            booked(freehold, answer.header("freehold-call-id").unwrap())
        }
    }
}

fn content_type(body: &str) -> &'static str {
    if body.starts_with("--") { "multipart/form-data; boundary=b" } else { "application/json" }
}

/// A call whose client leaves after the first bytes.
fn left(freehold: &Freehold, (path, body): (&str, &str), workflow: &str) -> String {
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type(body))];
    let mut connection = Connection::open(freehold.gateway).unwrap();
    let (path, body) = (path.replace('W', workflow), body.replace('W', workflow));
    connection.send("POST", &path, &headers, body.as_bytes()).unwrap();
    let head = connection.head().unwrap();
    let header = |name: &str| head.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    if let Some(code) = header("freehold-error") {
        return format!("refused: `{code}`");
    }
    assert!(connection.chunk().unwrap().is_some());
    let call = header("freehold-call-id").unwrap();
    drop(connection);
    booked(freehold, &call)
}

/// A realtime session: one response of it, or one that is left in its midst.
fn conversed(freehold: &Freehold, key: &str, workflow: &str, leaves: bool) -> String {
    let authorization = format!("Bearer {key}");
    let asked = realtime::connect(freehold, &format!("?model={workflow}"), &[("authorization", &authorization)]);
    let mut session = match asked {
        Ok(session) => session,
        Err((_, refused)) => return format!("refused: `{}`", refused["error"]["code"].as_str().unwrap()),
    };
    let call = session.1.clone();
    if leaves {
        session.say(serde_json::json!({"type": "response.create"}));
        session.until("response.output_text.delta");
        drop(session);
    } else {
        session.ask("Hello");
        session.close();
    }
    booked_of(freehold, &call, true)
}

#[test]
fn every_endpoint_is_metered_at_every_provider_or_refused_under_a_hard_budget() {
    let site = Site::new("metering", "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    site.configure(&configuration(simulator.address));
    // Under a workflow's own budget a model without a price is a mistake of the configuration; a key's budget meets it later.
    let budgeted = site.key(&["--label", "budgeted", "--budget", "100 USD per month"]);
    let freehold = site.start();
    let mut page = String::from(PREFACE);
    let names = PROVIDERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | ");
    let _ = write!(page, "| endpoint | how | {names} |\n|---|---|{}\n", "---|".repeat(PROVIDERS.len()));
    let mut line = |row: &Row, how: &str, cell: &dyn Fn(&str) -> String| {
        let (path, what) = (row.path, row.what);
        let cells: Vec<String> = PROVIDERS.iter().map(|(dialect, _)| cell(dialect)).collect();
        let _ = writeln!(page, "| `{}` | {what}{how} | {} |", path.replace('W', "{model}"), cells.join(" | "));
        cells
    };
    for row in ROWS {
        let whole = (row.path, row.body);
        let cells = line(row, "whole", &|dialect| told(&freehold, &freehold.key, whole, &format!("sim-{dialect}")));
        if let Some(streamed) = row.streamed {
            // What is not translated is refused, and of speech as bytes nothing is reported.
            let alone = cells[1..].iter().all(|cell| cell == UNTRANSLATABLE);
            let column = row.only.and_then(|only| PROVIDERS.iter().position(|(dialect, _)| *dialect == only));
            let translated = match (column, alone) {
                (Some(column), _) => column..column + 1,
                (None, true) => 0..1,
                (None, false) => 0..cells.len(),
            };
            let whole_is = if row.path == "/v1/audio/speech" { "priced by an estimate" } else { "priced" };
            assert!(cells[translated.clone()].iter().all(|cell| cell == whole_is), "{}: {cells:?}", row.path);
            let cells =
                line(row, "streamed", &|dialect| told(&freehold, &freehold.key, streamed, &format!("sim-{dialect}")));
            assert!(cells[translated.clone()].iter().all(|cell| cell == "priced"), "{} streamed: {cells:?}", row.path);
            let cells = line(row, "cancelled", &|dialect| left(&freehold, streamed, &format!("slow-{dialect}")));
            assert!(
                cells[translated].iter().all(|cell| cell.starts_with("priced")),
                "{} cancelled: {cells:?}",
                row.path
            );
        }
        let cells = line(row, "no price", &|dialect| told(&freehold, &budgeted, whole, &format!("bare-sim-{dialect}")));
        assert!(cells.iter().all(|cell| !cell.starts_with("priced")), "{} unpriced: {cells:?}", row.path);
    }
    let session = Row { path: "/v1/realtime", ..PLAIN };
    let cells =
        line(&session, "a response", &|dialect| conversed(&freehold, &freehold.key, &format!("sim-{dialect}"), false));
    assert_eq!(cells[0], "priced");
    let cells =
        line(&session, "cancelled", &|dialect| conversed(&freehold, &freehold.key, &format!("slow-{dialect}"), true));
    assert_eq!(cells[0], "priced by an estimate");
    line(&session, "no price", &|dialect| conversed(&freehold, &budgeted, &format!("bare-sim-{dialect}"), false));
    page.push_str(&crate::kept::metered());
    page.push_str(&crate::passed::metered());
    page.push_str(NOTES);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/metering.md");
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/metering.md is not what was booked; UPDATE_DOCS=1 cargo test -p freehold --test it metering writes it anew:\n{page}"
    );
}

const UNTRANSLATABLE: &str = "refused: `untranslatable`";

const PREFACE: &str = "\
# What is metered

<!-- Written from what crates/live/freehold/tests/it/metering.rs books; a test fails when the two differ. To write it anew:
     UPDATE_DOCS=1 cargo test -p freehold --test it metering -->

Each cell was a call under a hard budget: to a simulated provider of the column's dialect, through the row's endpoint, and
what was booked of it.

";

const NOTES: &str = "
- **priced**: by the usage that the provider reported.
- **priced by an estimate**: the provider told no usage, or the client left before it had; what came, or what was asked for where
  that is billed, is counted, and marked so.
- **free**: a count of tokens, or a request about something that is kept, which no provider bills.
- **at most**: what it will cost is told later; until then the most it can cost is booked. **settled**: what it cost has taken that
  one's place.
- **refused**: nothing was sent. `untranslatable`: the dialects do not share the operation. `model_unpriced`: the model has no
  price, and a budget applies.
- **cancelled**: the client left after the first bytes of a stream.
";
