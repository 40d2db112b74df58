//! What clients ask about files and batches that Freehold keeps: made, described, listed, read, stopped and deleted, without any provider.

use domain::{BatchFile, BatchStatus, OwnBatch, UnixMs};
use http::StatusCode;
use serde_json::{Value, json};
use wire::Dialect;
use wire::kept::{Kind, purpose};

use super::chosen::{lists_own, own_requests};
use super::content::Content;
use super::keeper::Keeper;
use super::lines::{Line, found, read};
use super::{BATCH, FILE, is_own, told};
use crate::clock;
use crate::kept::Ask;
use crate::kept::allow::target;
use crate::kept::asking::{Asking, Done};
use crate::life::{finish, head};
use crate::refusal::Refusal;
use crate::reply::{ReplyBody, Waiting};
use crate::target::short;
use crate::trail::Trail;

/// Most bytes of files that are kept for one key.
const MOST_KEPT_BYTES: u64 = 1 << 30;
/// How long a batch may take, milliseconds: the one completion window there is.
const WINDOW_MS: i64 = 86_400_000;
/// Items of a page where the client does not say, and at most.
const USUAL_ITEMS: u64 = 20;
const MOST_ITEMS: u64 = 100;
/// Lines of an output file that are read from the store at a time; a client that reads slowly holds no more of them.
const LINES_AT_A_TIME: u64 = 32;
/// Longest name of a file that is kept, characters; and how far before its content it is looked for, bytes.
const LONGEST_NAME: usize = 255;
const NAME_WITHIN_BYTES: usize = 8 << 10;
/// Most pairs of a batch's metadata, as OpenAI has it.
const MOST_PAIRS: usize = 16;

/// Answers what is asked about files and batches of Freehold's own. Nothing where a provider is meant.
pub async fn answered(asking: &Asking<'_>, ask: Ask, trail: &mut Trail) -> Result<Option<Done>, Refusal> {
    let name = &asking.arrival.name;
    let done = match ask {
        Ask::FileUpload => return upload(asking, trail).await,
        Ask::BatchCreated => return create(asking, trail).await,
        Ask::Files | Ask::Batches if lists_own(asking) => list(asking, ask).await?,
        Ask::File if is_own(name) => file(asking).await?,
        Ask::FileContent if is_own(name) => Done::Content(content(asking).await?),
        Ask::FileDeleted if is_own(name) => delete(asking).await?,
        Ask::Batch if is_own(name) => json_of(&told::batch(&batch(asking, name).await?)),
        Ask::BatchCancelled if is_own(name) => cancel(asking).await?,
        _ => return Ok(None),
    };
    Ok(Some(done))
}

/// Keeps a file of requests that Freehold is to run.
async fn upload(asking: &Asking<'_>, trail: &mut Trail) -> Result<Option<Done>, Refusal> {
    let arrival = asking.arrival;
    let Some(boundary) = arrival.form.as_deref().filter(|_| arrival.dialect != Dialect::Anthropic) else {
        return Ok(None);
    };
    // What is no form, or for something else, is told or taken by whoever passes it on.
    let Ok((purpose, place)) = purpose(boundary, &arrival.body) else { return Ok(None) };
    if purpose.as_deref() != Some("batch") {
        return Ok(None);
    }
    let text = arrival.body.slice(place.clone());
    let Some(requests) = own_requests(asking, &text)? else { return Ok(None) };
    let lines = lines(asking, requests)?;
    trail.asked = short(&lines[0].asked);
    let file = BatchFile {
        id: format!("{FILE}{:032x}", asking.gateway.chance.draw()),
        key: arrival.key.grant.id.clone(),
        name: file_name(&arrival.body[..place.start]),
        bytes: text.len() as u64,
        created: clock::now(),
    };
    let keeper = asking.gateway.own_batches.keeper()?;
    if !keeper.keep_file(file.clone(), text, MOST_KEPT_BYTES).await.map_err(Refusal::BatchesAway)? {
        return Err(Refusal::TooMuchKept { key: file.key.to_string(), most_bytes: MOST_KEPT_BYTES });
    }
    trail.note("kept", format!("{} requests, which Freehold runs itself", lines.len()));
    Ok(Some(json_of(&told::file(&file))))
}

/// Begins a batch of a file that Freehold keeps.
async fn create(asking: &Asking<'_>, trail: &mut Trail) -> Result<Option<Done>, Refusal> {
    if asking.arrival.dialect == Dialect::Anthropic {
        return Ok(None);
    }
    // What is no JSON is told by whoever passes it on.
    let Ok(Value::Object(asked)) = serde_json::from_slice::<Value>(&asking.arrival.body) else { return Ok(None) };
    let text = |name: &str| asked.get(name).and_then(Value::as_str);
    let Some(input) = text("input_file_id").filter(|id| id.starts_with(FILE)) else { return Ok(None) };
    let wrong = |param: &str, message: String| Refusal::Body { message, param: Some(param.to_owned()) };
    let known = ["input_file_id", "endpoint", "completion_window", "metadata"];
    if let Some(other) = asked.keys().find(|name| !known.contains(&&***name)) {
        return Err(wrong(other, format!("`{}` is not taken for batches that Freehold runs itself", short(other))));
    }
    if text("completion_window") != Some("24h") {
        return Err(wrong("completion_window", "`completion_window` must be `24h`".to_owned()));
    }
    let endpoint = text("endpoint").ok_or_else(|| wrong("endpoint", "`endpoint` is missing".to_owned()))?;
    let metadata = metadata(asked.get("metadata"))?;

    let keeper = asking.gateway.own_batches.keeper()?;
    let key = &asking.arrival.key.grant.id;
    let none = || Refusal::NotKept { kind: Kind::File, id: short(input) };
    let kept = keeper.file(key.clone(), input.to_owned()).await.map_err(Refusal::BatchesAway)?;
    kept.ok_or_else(none)?;
    let body = keeper.file_body(input.to_owned()).await.map_err(Refusal::BatchesAway)?.ok_or_else(none)?;
    let lines = lines(asking, found(&body)?)?;
    if let Some(other) = lines.iter().find(|line| line.endpoint.path != endpoint) {
        let message = format!(
            "`endpoint` is `{}`, and request `{}` is for `{}`: a batch is for one endpoint",
            short(endpoint),
            short(&other.custom_id),
            other.endpoint.path
        );
        return Err(wrong("endpoint", message));
    }
    let now = clock::now();
    let batch = OwnBatch {
        id: format!("{BATCH}{:032x}", asking.gateway.chance.draw()),
        key: key.clone(),
        input: input.to_owned(),
        endpoint: endpoint.to_owned(),
        metadata,
        created: now,
        expires: UnixMs(now.0.saturating_add(WINDOW_MS)),
        lines: lines.len() as u64,
        answered: 0,
        failed: 0,
        status: BatchStatus::InProgress,
        cancelling: None,
        ended: None,
    };
    keeper.begin(batch.clone()).await.map_err(Refusal::BatchesAway)?;
    asking.gateway.own_batches.changed.notify_one();
    trail.asked = short(&lines[0].asked);
    trail.note("kept", format!("{} of {} requests, which Freehold runs itself", batch.id, batch.lines));
    Ok(Some(json_of(&told::batch(&batch))))
}

/// The requests of a file, of which each is sound and for something the key may use.
fn lines(asking: &Asking<'_>, found: Vec<super::lines::Found>) -> Result<Vec<Line>, Refusal> {
    let (snapshot, key) = (&asking.deployed.snapshot, &asking.arrival.key);
    read(found, |name| target(snapshot, key, name).map(drop))
}

/// What a client notes of a batch: texts by name.
fn metadata(value: Option<&Value>) -> Result<Option<String>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(pairs)) if pairs.len() <= MOST_PAIRS && pairs.values().all(Value::is_string) => {
            Ok(Some(Value::Object(pairs.clone()).to_string()))
        }
        Some(_) => {
            let message = format!("`metadata` must be an object of at most {MOST_PAIRS} texts");
            Err(Refusal::Body { message, param: Some("metadata".into()) })
        }
    }
}

/// A batch of this key.
async fn batch(asking: &Asking<'_>, id: &str) -> Result<OwnBatch, Refusal> {
    let keeper = asking.gateway.own_batches.keeper()?;
    let key = asking.arrival.key.grant.id.clone();
    let batch = keeper.batch(key, id.to_owned()).await.map_err(Refusal::BatchesAway)?;
    batch.ok_or_else(|| Refusal::NotKept { kind: Kind::Batch, id: short(id) })
}

async fn cancel(asking: &Asking<'_>) -> Result<Done, Refusal> {
    let id = &asking.arrival.name;
    batch(asking, id).await?;
    let keeper = asking.gateway.own_batches.keeper()?;
    let key = asking.arrival.key.grant.id.clone();
    keeper.cancel(key, id.clone(), clock::now()).await.map_err(Refusal::BatchesAway)?;
    asking.gateway.own_batches.changed.notify_one();
    Ok(json_of(&told::batch(&batch(asking, id).await?)))
}

/// A file that a client names: one it uploaded, or what came of a batch.
enum Named {
    Uploaded(BatchFile),
    Output(OwnBatch, bool),
}

async fn named(asking: &Asking<'_>) -> Result<Named, Refusal> {
    let id = &asking.arrival.name;
    let none = || Refusal::NotKept { kind: Kind::File, id: short(id) };
    if let Some((of, failed)) = told::output_of(id) {
        let batch = batch(asking, &of).await.map_err(|refusal| match refusal {
            Refusal::NotKept { .. } => none(),
            away => away,
        })?;
        let count = if failed { batch.failed } else { batch.answered };
        // Until a batch is over it has no files.
        return if batch.status.is_over() && count > 0 { Ok(Named::Output(batch, failed)) } else { Err(none()) };
    }
    let keeper = asking.gateway.own_batches.keeper()?;
    let key = asking.arrival.key.grant.id.clone();
    let file = keeper.file(key, id.clone()).await.map_err(Refusal::BatchesAway)?;
    file.map(Named::Uploaded).ok_or_else(none)
}

async fn file(asking: &Asking<'_>) -> Result<Done, Refusal> {
    let told = match named(asking).await? {
        Named::Uploaded(file) => told::file(&file),
        Named::Output(batch, failed) => {
            let (mut bytes, mut pages) = (0, Pages::of(asking, batch.id.clone(), failed)?);
            while let Some(page) = pages.next().await? {
                bytes += page.len() as u64;
            }
            told::output(&batch, failed, bytes)
        }
    };
    Ok(json_of(&told))
}

async fn content(asking: &Asking<'_>) -> Result<Content, Refusal> {
    match named(asking).await? {
        Named::Output(batch, failed) => Ok(Content::Lines { batch: batch.id, failed }),
        Named::Uploaded(file) => {
            let keeper = asking.gateway.own_batches.keeper()?;
            let body = keeper.file_body(file.id.clone()).await.map_err(Refusal::BatchesAway)?;
            body.map(Content::Whole).ok_or_else(|| Refusal::NotKept { kind: Kind::File, id: short(&file.id) })
        }
    }
}

async fn delete(asking: &Asking<'_>) -> Result<Done, Refusal> {
    let keeper = asking.gateway.own_batches.keeper()?;
    match named(asking).await? {
        Named::Output(batch, failed) => {
            keeper.forget_lines(batch.id, failed).await.map_err(Refusal::BatchesAway)?;
        }
        Named::Uploaded(file) => {
            if !keeper.forget_file(file.key, file.id).await.map_err(Refusal::BatchesAway)? {
                let message = "a batch of this file is under way; cancel it first, or wait for its end".to_owned();
                return Err(Refusal::Body { message, param: None });
            }
        }
    }
    Ok(json_of(&json!({ "id": asking.arrival.name, "object": "file", "deleted": true })))
}

/// A page of the files or batches of a key, the newest first.
async fn list(asking: &Asking<'_>, ask: Ask) -> Result<Done, Refusal> {
    let (mut limit, mut after, mut others) = (USUAL_ITEMS, None, false);
    for (name, value) in pairs(asking.arrival.head.uri.query().unwrap_or_default()) {
        let wrong = |message: String| Refusal::Body { message, param: Some(name.to_owned()) };
        match name {
            "limit" => {
                let asked = value.parse().ok().filter(|limit| *limit > 0);
                let asked: u64 = asked.ok_or_else(|| wrong("`limit` must be a whole number of at least 1".into()))?;
                limit = asked.min(MOST_ITEMS);
            }
            "after" => after = Some(value.to_owned()),
            "purpose" => others = value != "batch",
            "order" if value == "desc" => {}
            _ => return Err(wrong(format!("`{}={}` is not taken for what Freehold keeps", short(name), short(value)))),
        }
    }
    let keeper = asking.gateway.own_batches.keeper()?;
    let key = asking.arrival.key.grant.id.clone();
    // One more than the page has, to know whether there is another.
    let mut items: Vec<Value> = match ask {
        Ask::Files if others => Vec::new(),
        Ask::Files => {
            let files = keeper.files(key, after, limit + 1).await.map_err(Refusal::BatchesAway)?;
            files.iter().map(told::file).collect()
        }
        _ => {
            let batches = keeper.batches(key, after, limit + 1).await.map_err(Refusal::BatchesAway)?;
            batches.iter().map(told::batch).collect()
        }
    };
    let has_more = items.len() as u64 > limit;
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(json_of(&told::page(&items, has_more)))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Hands what is in a file over, and writes the request's end down before its last bytes.
pub async fn send(asking: &Asking<'_>, content: Content, client: Waiting, trail: &mut Trail) {
    let head = head(&asking.arrival.id.to_string(), StatusCode::OK, "application/octet-stream");
    let (batch, failed) = match content {
        Content::Whole(body) => {
            finish(asking.gateway, trail, Vec::new(), 200, None).await;
            let _ = client.send(head.body(ReplyBody::whole(body)).expect("status and headers are ours and valid"));
            return;
        }
        Content::Lines { batch, failed } => (batch, failed),
    };
    let ended = async |trail: &mut Trail, status: u16, refusal: Refusal| {
        let error = refusal.client_error(&asking.arrival.id.to_string(), asking.arrival.dialect);
        finish(asking.gateway, trail, Vec::new(), status, Some(error)).await;
    };
    let Ok(client) = client.stream(head) else { return ended(trail, 499, Refusal::ClientGone).await };
    let mut pages = match Pages::of(asking, batch, failed) {
        Ok(pages) => pages,
        Err(away) => return ended(trail, 200, away).await,
    };
    loop {
        match pages.next().await {
            Ok(Some(page)) => {
                if client.send(page.into()).await.is_err() {
                    return ended(trail, 499, Refusal::ClientGone).await;
                }
            }
            Ok(None) => break,
            // Its end is missing, so the client sees that it is not all.
            Err(away) => return ended(trail, 200, away).await,
        }
    }
    finish(asking.gateway, trail, Vec::new(), 200, None).await;
    client.end().await;
}

/// What came of a batch, some lines at a time.
struct Pages<'a> {
    keeper: &'a dyn Keeper,
    batch: String,
    failed: bool,
    from: u64,
}

impl<'a> Pages<'a> {
    fn of(asking: &'a Asking<'_>, batch: String, failed: bool) -> Result<Pages<'a>, Refusal> {
        Ok(Pages { keeper: &**asking.gateway.own_batches.keeper()?, batch, failed, from: 0 })
    }

    /// The next lines; nothing after the last.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let page = self.keeper.lines(self.batch.clone(), self.failed, self.from, LINES_AT_A_TIME).await;
        let page = page.map_err(Refusal::BatchesAway)?;
        let Some(last) = page.last() else { return Ok(None) };
        self.from = last.number + 1;
        let mut text = Vec::with_capacity(page.iter().map(|line| line.text.len() + 1).sum());
        for line in &page {
            text.extend_from_slice(&line.text);
            text.push(b'\n');
        }
        Ok(Some(text))
    }
}

/// What a form calls the file whose content begins where this ends.
fn file_name(before: &[u8]) -> String {
    let head = String::from_utf8_lossy(&before[before.len().saturating_sub(NAME_WITHIN_BYTES)..]).into_owned();
    let name = head.rsplit_once("filename=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
    let name = name.filter(|name| !name.is_empty()).unwrap_or("batch.jsonl");
    name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect()
}

fn json_of(value: &Value) -> Done {
    Done::Whole(value.to_string().into(), Vec::new())
}
