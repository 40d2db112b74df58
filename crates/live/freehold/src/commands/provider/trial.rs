//! `freehold provider test`: a few cheap calls to one provider through a gateway in this process, booked like any others.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use config::Snapshot;
use control::{DataDirectory, Pepper, secrets};
use domain::{AttemptEnd, Cost, Entry, FaultClass, KeyGrant, KeyId, Record};
use gateway::clock;
use gateway::dataplane::Gateway;
use gateway::ports::{Keys, Policy};
use gateway::spool::{Durability, Spool};
use hyper::Method;
use ledger::segment::Decoder;
use tokio::net::TcpListener;
use wire::Dialect;

use crate::storage::{self, Storage};
use crate::{exit, fetch, policy};

/// The key its calls are booked under.
const KEY: &str = "provider-test";
/// The model it makes up where a vendor's id was named that no model of the configuration has.
const MADE_UP: &str = "provider-test";

/// One call.
struct Trial {
    what: &'static str,
    path: &'static str,
    body: serde_json::Value,
    /// What must stand in the answer.
    needs: &'static str,
    /// Whether the provider is at fault when it fails; not every model has tools.
    required: bool,
}

/// What came of it.
struct Outcome {
    what: &'static str,
    required: bool,
    works: bool,
    status: u16,
    why: String,
    record: Option<Record>,
}

/// Tests. Exit code 1 when something that should work does not.
pub async fn run(
    file: &Path,
    name: &str,
    model: Option<&str>,
    storage: &Storage,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (snapshot, model) = match chosen(file, name, model)? {
        Ok(chosen) => chosen,
        Err(problems) => {
            policy::print_problems(&problems);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let provider =
        snapshot.models.iter().find(|known| known.name.as_str() == model).map(|known| known.provider.clone());
    let provider = provider.context("the model has no provider")?;
    let data = DataDirectory::open(&storage.data)?;
    // The spool of a running server is its own: this one lies beside it until its facts are in the store.
    let folder = data.root().join(format!("{KEY}-{}", std::process::id()));
    let outcomes = calls(&data, &folder, snapshot, &model, &trials(&model, &provider.dialects)).await;
    let booked = book(&data, storage, &folder).await;
    let mut outcomes = outcomes?;
    let booked = booked.context("what the calls cost could not be booked; the provider may bill it all the same")?;
    for outcome in &mut outcomes {
        outcome.1.record = booked.iter().find(|record| record.intent.attempt.call.to_string() == outcome.0).cloned();
    }
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    match json {
        true => outcomes.iter().for_each(|outcome| println!("{}", as_json(name, &model, outcome))),
        false => print(name, &model, &outcomes),
    }
    let failed = outcomes.iter().any(|outcome| outcome.required && !outcome.works);
    Ok(if failed { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

type Problems = Vec<config::Problem>;

/// The snapshot to test with and the model's name in it.
fn chosen(file: &Path, name: &str, model: Option<&str>) -> anyhow::Result<Result<(Snapshot, String), Problems>> {
    let catalog = policy::catalog().map_err(|problems| anyhow::anyhow!("the catalog is broken: {}", problems[0]))?;
    let mut text = policy::read(file)?;
    let shown = file.display().to_string();
    let first = match policy::check(&shown, &text, &catalog, clock::now()) {
        Ok(snapshot) => snapshot,
        Err(problems) => return Ok(Err(problems)),
    };
    anyhow::ensure!(
        first.providers.iter().any(|provider| provider.name.as_str() == name),
        "{shown} has no provider `{name}`; `freehold provider list` shows what there is"
    );
    let mut of_provider = first.models.iter().filter(|known| known.provider.name.as_str() == name);
    let known = match model {
        None => of_provider.next().map(|known| known.name.to_string()),
        Some(asked) => of_provider
            .find(|known| known.name.as_str() == asked || known.upstream == asked)
            .map(|known| known.name.to_string()),
    };
    let (snapshot, model) = match (known, model) {
        (Some(known), _) => (first, known),
        (None, None) => anyhow::bail!("no model of {shown} is served by `{name}`; name one with --model"),
        (None, Some(asked)) => {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            text.push_str(&format!("\n\n[models.{MADE_UP}]\nprovider = {}\nmodel = {}\n", quoted(name), quoted(asked)));
            match policy::check(&shown, &text, &catalog, clock::now()) {
                Ok(snapshot) => (snapshot, MADE_UP.to_owned()),
                Err(problems) => return Ok(Err(problems)),
            }
        }
    };
    let mut snapshot = Arc::unwrap_or_clone(snapshot);
    // One attempt a call: what fails is to be seen, not made good.
    snapshot.defaults.retry.max_attempts = 1;
    snapshot.defaults.retry.retries_same = 0;
    Ok(Ok((snapshot, model)))
}

/// The calls: chat as it is spoken everywhere, and each further dialect that the provider speaks itself.
fn trials(model: &str, dialects: &[Dialect]) -> Vec<Trial> {
    let model = format!("model:{model}");
    let messages = serde_json::json!([{ "role": "user", "content": "Reply with the word yes." }]);
    let tool = serde_json::json!({ "type": "function", "function": {
        "name": "answer", "description": "Takes the answer.",
        "parameters": { "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"] }
    } });
    let chat = |more: serde_json::Value| {
        let mut body = serde_json::json!({ "model": model, "messages": messages, "max_tokens": 16 });
        body.as_object_mut().into_iter().for_each(|body| body.extend(more.as_object().cloned().unwrap_or_default()));
        body
    };
    let trial = |what, path, body, needs, required| Trial { what, path, body, needs, required };
    const CHAT: &str = "/v1/chat/completions";
    let forced = serde_json::json!({ "type": "function", "function": { "name": "answer" } });
    let mut trials = vec![
        trial("plain", CHAT, chat(serde_json::json!({})), "\"choices\"", true),
        trial("streamed", CHAT, chat(serde_json::json!({ "stream": true })), "data: [DONE]", true),
        trial(
            "tool",
            CHAT,
            chat(serde_json::json!({ "tools": [tool], "tool_choice": forced, "max_tokens": 64 })),
            "\"tool_calls\"",
            false,
        ),
    ];
    for dialect in dialects.iter().skip(usize::from(dialects.first() == Some(&Dialect::OpenAiChat))) {
        match dialect {
            Dialect::OpenAiResponses => {
                let body =
                    serde_json::json!({ "model": model, "input": "Reply with the word yes.", "max_output_tokens": 16 });
                trials.push(trial("openai-responses", "/v1/responses", body, "\"output\"", true));
            }
            Dialect::Anthropic => {
                let body = serde_json::json!({ "model": model, "messages": messages, "max_tokens": 16 });
                trials.push(trial("anthropic", "/v1/messages", body, "\"content\"", true));
            }
            // Chat reaches these by translation, which is the call that was made above.
            _ => {}
        }
    }
    trials
}

/// Makes the calls through a gateway of its own, each with the id it was given.
async fn calls(
    data: &DataDirectory,
    folder: &Path,
    snapshot: Snapshot,
    model: &str,
    trials: &[Trial],
) -> anyhow::Result<Vec<(String, Outcome)>> {
    let pepper = Pepper::load_or_make(data)?;
    let minted = pepper.mint("fh");
    let (_, secret) = secrets::split("fh", &minted.text).context("a key that was just made has no secret")?;
    let key = format!("fh_{KEY}_{secret}");
    let grant = KeyGrant {
        id: KeyId(KEY.into()),
        hash: minted.hash,
        label: format!("freehold provider test, {model}"),
        workflows: None,
        direct: true,
        budgets: Vec::new(),
        requests_per_minute: None,
        tokens_per_minute: None,
        created_at: clock::now(),
        expires_at: None,
        revoked_at: None,
    };
    let spool = Spool::open(folder, Durability::Batched).context("the spool of the test cannot be opened")?;
    let policy = Policy { snapshot: Arc::new(snapshot), limits: Vec::new() };
    let gateway =
        Arc::new(Gateway::new(policy, Keys { grants: vec![grant], limits: Vec::new() }, pepper.bytes(), spool)?);
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port on loopback is free")?;
    let address = listener.local_addr()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        gateway::server::serve(gateway, listener, async { drop(stopped.await) }).await;
    });
    let http = fetch::client();
    let mut outcomes = Vec::new();
    for trial in trials {
        let url = format!("http://{address}{}", trial.path);
        let answer = fetch::send_with_head(&http, Method::POST, &url, &key, trial.body.to_string()).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let works = answer.status == 200 && text.contains(trial.needs);
        let why = if works { String::new() } else { why(answer.status, &text, trial) };
        let outcome =
            Outcome { what: trial.what, required: trial.required, works, status: answer.status, why, record: None };
        outcomes.push((answer.call.unwrap_or_default(), outcome));
    }
    let _ = stop.send(());
    serving.await.context("the gateway of the test broke off")?;
    Ok(outcomes)
}

fn why(status: u16, text: &str, trial: &Trial) -> String {
    let said = serde_json::from_str::<serde_json::Value>(text).ok();
    let message = said.as_ref().and_then(|said| said["error"]["message"].as_str().or(said["message"].as_str()));
    match message {
        Some(message) => message.to_owned(),
        None if status == 200 => format!("the answer has no {}", trial.needs),
        None => format!("answered with {status}"),
    }
}

/// Puts what the calls left into the store and removes the folder; the records, in order.
async fn book(data: &DataDirectory, storage: &Storage, folder: &Path) -> anyhow::Result<Vec<Record>> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(file?.path())?;
        entries.extend(Decoder::new(&bytes).filter_map(|line| line.ok().map(|(_, entry)| entry)));
    }
    let records = entries.iter().filter_map(|entry| match entry {
        Entry::Record(record) => Some((**record).clone()),
        _ => None,
    });
    let records: Vec<Record> = records.collect();
    let store = storage::open(data, storage.database.as_deref()).await?;
    store.record(entries).await?;
    store.close().await;
    std::fs::remove_dir_all(folder)?;
    Ok(records)
}

/// Total, or what is known of it.
fn cost(record: &Record) -> String {
    match &record.cost {
        Cost::Priced { total, .. } => format!("{total} USD"),
        Cost::Unpriced { .. } => "unpriced".to_owned(),
        Cost::AtMost(Some(most)) => format!("at most {most} USD"),
        Cost::AtMost(None) => "unknown".to_owned(),
    }
}

/// Whether the provider failed at something else than the request, so that nothing is known of what it has.
fn is_unanswered(outcome: &Outcome) -> bool {
    match outcome.record.as_ref().map(|record| &record.end) {
        Some(AttemptEnd::Failed { class, .. }) => !matches!(class, FaultClass::BadRequest | FaultClass::ModelMissing),
        _ => false,
    }
}

/// The provider's fault as it was booked, else what the client was told.
fn reason(outcome: &Outcome) -> String {
    match outcome.record.as_ref().map(|record| &record.end) {
        Some(AttemptEnd::Failed { class, message, .. }) => format!("{class}: {message}"),
        _ => outcome.why.clone(),
    }
}

fn as_json(provider: &str, model: &str, outcome: &Outcome) -> serde_json::Value {
    let record = outcome.record.as_ref();
    serde_json::json!({
        "provider": provider,
        "model": model,
        "call": outcome.what,
        "works": outcome.works,
        "required": outcome.required,
        "status": record.and_then(|record| record.status),
        "answered": outcome.status,
        "latency_ms": record.map(|record| record.latency_ms),
        "first_token_ms": record.and_then(|record| record.first_token_ms),
        "input_tokens": record.map(|record| record.usage.input_tokens()),
        "output_tokens": record.map(|record| record.usage.output_tokens()),
        "usage": record.map(|record| record.usage_origin),
        "cost": record.map(cost),
        "why": if outcome.works { None } else { Some(reason(outcome)) },
    })
}

fn print(provider: &str, model: &str, outcomes: &[Outcome]) {
    println!("provider {provider}, model {model}");
    for outcome in outcomes {
        let word = match (outcome.works, outcome.required) {
            (true, _) => "works",
            (false, true) => "FAILED",
            (false, false) if is_unanswered(outcome) => "not known",
            (false, false) => "not there",
        };
        let mut line = format!("  {:17} {word}", outcome.what);
        if let Some(record) = &outcome.record {
            let status = record.status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
            line.push_str(&format!(", {status}, {} ms", record.latency_ms));
            if outcome.works {
                let (input, output) = (record.usage.input_tokens(), record.usage.output_tokens());
                line.push_str(&format!(", {input} tokens in and {output} out, {}", cost(record)));
            }
        }
        println!("{line}");
        if !outcome.works {
            println!("    {}", reason(outcome));
        }
    }
    println!("booked under the key `{KEY}`");
}
