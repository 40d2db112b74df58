//! Batches: many requests handed over at once, answered within a day, at a price of their own. The most one can cost is reserved
//! when it is made and stays booked until its results are read; then what they tell takes its place, once.

use bytes::Bytes;
use domain::{AttemptEnd, Cause, Cost, Entry, Fault, FaultClass, Record, Usage, UsageOrigin};
use http::Method;
use wire::kept::{Kind, Names, renamed, result_line, strings};
use wire::usage::Reported;
use wire::{Dialect, Maker};

use super::allow::{Holder, OpenedBody, Reach};
use super::asking::{Asking, Books, Done, Piped};
use super::booking::{Booking, Outcome, Unknown};
use super::exchange::{Lines, Pump, Through, fault, raw_headers, read, send};
use super::rewrite::{self, Rewritten};
use super::seal::{Most, Note};
use crate::refusal::Refusal;
use crate::reply::Waiting;
use crate::trail::Trail;

/// Hands a batch over: OpenAI's by the file of its requests, Anthropic's with them.
pub async fn create(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, body, bound) = match asking.arrival.dialect {
        Dialect::Anthropic => {
            let Rewritten { holder, text, bound } = rewrite::requests(asking, &asking.arrival.body, trail)?;
            (holder, text, bound)
        }
        _ => by_file(asking, trail)?,
    };
    let path = root(holder.spoken()).to_owned();
    let reach = asking.carrying(holder.asks(Method::POST, path).with_body("application/json", body));
    let (told, record) = handed_over(asking, &holder, &reach, bound, client, trail).await?;
    let id = record.provider_request_id.clone().unwrap_or_default();
    let body = renamed(&told, names(asking, &holder, &id, bound)).map_err(|found| fault(&reach, found))?;
    Ok(Done::Whole(body.into(), vec![Entry::Record(Box::new(record))]))
}

/// A batch of OpenAI's names the file that was uploaded for it, and what that can cost stands in the file's id.
fn by_file(asking: &Asking<'_>, trail: &mut Trail) -> Result<(Holder, Bytes, Most), Refusal> {
    let wrong = |message: String| Refusal::Body { message, param: Some("input_file_id".into()) };
    let body = &asking.arrival.body;
    let [named] = strings(body, ["input_file_id"]).map_err(|found| wrong(found.message))?;
    let named = named.ok_or_else(|| wrong("`input_file_id` is missing; upload a file with `purpose` batch".into()))?;
    let Some(OpenedBody { holder, opened, body, .. }) = asking.opened_body(body)? else {
        return Err(Refusal::NotKept { kind: Kind::File, id: crate::target::short(&named) });
    };
    asking.admitted(&holder, trail);
    match opened.note {
        Note::Input(bound) => Ok((holder, body, bound)),
        Note::None | Note::Output(_) => {
            Err(wrong("`input_file_id` names a file that was not uploaded with `purpose` batch; upload it so".into()))
        }
    }
}

/// Holds the most it can cost, writes it down, sends it, and books it at that until its results are read.
async fn handed_over(
    asking: &Asking<'_>,
    holder: &Holder,
    reach: &Reach,
    bound: Most,
    client: &mut Waiting,
    trail: &mut Trail,
) -> Result<(Bytes, Record), Refusal> {
    let gateway = asking.gateway;
    let unknown = Unknown {
        price: |model, scope| Refusal::UnpricedBatch { model, scope },
        tokens: "a batch of a file uploaded before they were counted: upload it again",
    };
    let booking =
        Booking::open((asking.gateway, asking.arrival.id), holder, (Cause::Batch, bound), unknown, trail).await?;
    let answer = match send(asking.deployed, reach, Kind::Batch.as_str(), client).await {
        Ok(heard) => read(reach, heard, client).await,
        Err(refusal) => Err(refusal),
    };
    let answer = answer.and_then(|told| {
        let [id, status] = strings(&told, ["id", status_field(holder)]).map_err(|found| fault(reach, found))?;
        let missing = || fault(reach, Fault::new(FaultClass::Malformed, "the batch has no id"));
        Ok((told, id.ok_or_else(missing)?, status))
    });
    match answer {
        Ok((told, id, finish)) => {
            let outcome = Outcome {
                end: AttemptEnd::Served { finish },
                status: Some(200),
                usage: (Usage::ZERO, UsageOrigin::None),
                cost: Cost::AtMost(bound.usd),
                id: Some(id),
            };
            let record = booking.close_taking(gateway, outcome, bound.tokens, trail);
            gateway.deferred.wait_for(&record, bound.tokens.unwrap_or(0));
            gateway.owners.recall(&record);
            Ok((told, record))
        }
        Err(refusal) => {
            booking.fail(gateway, &refusal, Cost::AtMost(bound.usd), trail).await;
            Err(refusal)
        }
    }
}

/// How far a batch is. One that is over and has no results at all costs nothing: what failed, expired or was stopped before it began
/// is not billed.
pub async fn describe(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    about(asking, Method::GET, "", client, trail).await
}

/// Stops a batch.
pub async fn cancel(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    about(asking, Method::POST, "/cancel", client, trail).await
}

/// Has the provider forget a batch that is over. One whose results were never read stays booked at the most it can have cost.
pub async fn delete(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    about(asking, Method::DELETE, "", client, trail).await
}

async fn about(
    asking: &Asking<'_>,
    method: Method,
    what: &str,
    client: &mut Waiting,
    trail: &mut Trail,
) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::Batch, trail)?;
    let reach = asking.carrying(holder.asks(method, format!("{}{what}", path(holder.spoken(), &opened.id))));
    let heard = send(asking.deployed, &reach, Kind::Batch.as_str(), client).await?;
    let told = read(&reach, heard, client).await?;
    let bound = match opened.note {
        Note::Input(bound) => bound,
        Note::None | Note::Output(_) => Most::default(),
    };
    let body = renamed(&told, names(asking, &holder, &opened.id, bound)).map_err(|found| fault(&reach, found))?;
    let [status, output] = strings(&told, ["status", "output_file_id"]).map_err(|found| fault(&reach, found))?;
    let is_over = matches!(status.as_deref(), Some("completed" | "failed" | "expired" | "cancelled"));
    let facts = match (holder.spoken(), is_over, output) {
        (Dialect::OpenAiChat | Dialect::OpenAiResponses, true, None) => {
            asking.settle(&holder, &opened.id, &[], None, status.as_deref().unwrap_or_default(), trail)
        }
        _ => Vec::new(),
    };
    Ok(Done::Whole(body.into(), facts))
}

/// What came of an Anthropic batch; it is settled by it.
pub async fn results(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::Batch, trail)?;
    let reach = asking.carrying(holder.asks(Method::GET, format!("{}/results", path(holder.spoken(), &opened.id))));
    let heard = send(asking.deployed, &reach, Kind::Batch.as_str(), client).await?;
    let (status, headers) = (heard.response.status(), raw_headers(&heard.response));
    let lines = Results::new(asking, &holder);
    let pump = Pump::new(heard, Through::Lines(Box::new(lines)));
    Ok(Done::Piped(Box::new(Piped { pump, status, headers, holder, books: Books::Settles(opened.id) })))
}

/// Reads results line by line: each answer is told as a live one is, and what it consumed is noted.
pub struct Results {
    dialect: Dialect,
    names: Names,
    usages: Vec<Reported>,
    /// Whether an answer did not tell what it consumed.
    untold: bool,
}

impl Results {
    /// None read yet.
    pub fn new(asking: &Asking<'_>, holder: &Holder) -> Results {
        let maker = Maker::of(holder.model().provider.name.as_str());
        let names = Names { asked_model: holder.asked().to_owned(), maker, ids: holder.ids(&asking.gateway.seals) };
        Results { dialect: holder.spoken(), names, usages: Vec::new(), untold: false }
    }
}

impl Lines for Results {
    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        if line.trim_ascii().is_empty() {
            out.extend_from_slice(line);
            return Ok(());
        }
        let read = result_line(self.dialect, &self.names, line, out)?;
        self.untold |= read.answered && read.usage.is_none();
        self.usages.extend(read.usage);
        Ok(())
    }

    fn usages(&self) -> Option<&[Reported]> {
        (!self.untold).then_some(&self.usages)
    }
}

/// What the client calls a batch, its files and where its results are.
pub fn names<'a>(
    asking: &'a Asking<'_>,
    holder: &'a Holder,
    id: &'a str,
    bound: Most,
) -> impl FnMut(&str, &str) -> Option<String> + 'a {
    let seals = &asking.gateway.seals;
    let own = move || holder.name(seals, Kind::Batch, id, Note::Input(bound));
    move |field: &str, text: &str| match field {
        "id" if text == id => own(),
        "input_file_id" => holder.name(seals, Kind::File, text, Note::Input(bound)),
        "output_file_id" => holder.name(seals, Kind::File, text, Note::Output(id.to_owned())),
        // What failed tells no usage: reading it settles nothing.
        "error_file_id" => holder.name(seals, Kind::File, text, Note::None),
        // Relative, so that SDKs ask where they asked before, whatever address Freehold is known by.
        "results_url" => Some(format!("/v1/messages/batches/{}/results", own()?)),
        "model" => Some(holder.asked().to_owned()),
        _ => None,
    }
}

/// Below which path a provider keeps batches.
pub fn root(spoken: Dialect) -> &'static str {
    if spoken == Dialect::Anthropic { "/messages/batches" } else { "/batches" }
}

fn status_field(holder: &Holder) -> &'static str {
    if holder.spoken() == Dialect::Anthropic { "processing_status" } else { "status" }
}

fn path(spoken: Dialect, id: &str) -> String {
    format!("{}/{}", root(spoken), wire::dialect::path_segment(id))
}
