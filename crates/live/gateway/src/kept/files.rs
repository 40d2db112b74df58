//! Files: uploaded to the provider of a workflow, described, read and deleted there. The input of a batch is read on its way, so that
//! its requests name the provider's model and what they can cost is known.

use domain::{AttemptEnd, AttemptId, Cause, Cost, Entry, Intent, Record, Usage, UsageOrigin};
use http::Method;
use wire::Dialect;
use wire::kept::{Kind, purpose, renamed, strings};

use super::allow::Holder;
use super::asking::{Asking, Books, Done, Piped};
use super::batches::Results;
use super::booking::chosen;
use super::exchange::{Pump, Through, fault, raw_headers, read, send};
use super::rewrite::{self, Rewritten};
use super::seal::{Most, Note};
use crate::clock;
use crate::refusal::Refusal;
use crate::reply::Waiting;
use crate::trail::Trail;

/// Has the provider of a workflow keep a file.
pub async fn upload(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let arrival = asking.arrival;
    let boundary = arrival.form.as_deref().expect("the route takes forms only");
    let (purpose, file) = purpose(boundary, &arrival.body)
        .map_err(|bad| Refusal::Body { message: bad.to_string(), param: bad.param.map(str::to_owned) })?;
    let is_input = arrival.dialect != Dialect::Anthropic && purpose.as_deref() == Some("batch");
    let (holder, body, note) = match is_input {
        true => {
            let Rewritten { holder, text, bound } = rewrite::lines(asking, &arrival.body, file, trail)?;
            (holder, text, Note::Input(bound))
        }
        false => (asking.place(None, trail)?, arrival.body.clone(), Note::None),
    };
    let reach = holder.asks(Method::POST, "/files".to_owned()).with_body(&wire::form::content_type(boundary), body);
    let reach = asking.carrying(reach);
    let sent = clock::now();
    let heard = send(asking.deployed, &reach, Kind::File.as_str(), client).await?;
    let told = read(&reach, heard, client).await?;
    let [id] = strings(&told, ["id"]).map_err(|found| fault(&reach, found))?;
    let id = id.unwrap_or_default();
    let named = |field: &str, text: &str| match field {
        "id" if text == id => holder.name(&asking.gateway.seals, Kind::File, text, note.clone()),
        _ => None,
    };
    let body = renamed(&told, named).map_err(|found| fault(&reach, found))?;
    let record = record(asking, &holder, &id, &note, sent);
    asking.gateway.owners.recall(&record);
    asking.gateway.metrics.attempt(&record);
    trail.attempts = 1;
    Ok(Done::Whole(body.into(), vec![Entry::Record(Box::new(record))]))
}

/// That a file lies at a provider now. Keeping it costs nothing; of a batch's input it says what a batch of it is held with.
fn record(asking: &Asking<'_>, holder: &Holder, id: &str, note: &Note, sent: domain::UnixMs) -> Record {
    let model = holder.model();
    let most = match note {
        Note::Input(most) => *most,
        Note::None | Note::Output(_) => Most::default(),
    };
    let now = clock::now();
    let intent = Intent {
        attempt: AttemptId { call: asking.arrival.id, ordinal: 1 },
        at: sent,
        key: holder.key().grant.id.clone(),
        workflow: holder.target().workflow().map(|workflow| workflow.name.clone()),
        lane: holder.lane(),
        model: model.name.clone(),
        provider: model.provider.name.clone(),
        cause: Cause::Keep,
        hold: most.usd,
        hold_tokens: most.tokens,
    };
    Record {
        ended_at: now,
        end: AttemptEnd::Served { finish: Some("kept".into()) },
        status: Some(200),
        upstream_model: model.upstream.clone(),
        region: model.region.as_ref().map(ToString::to_string),
        usage: Usage::ZERO,
        usage_origin: UsageOrigin::None,
        cost: Cost::NOTHING,
        usage_residue: 0,
        provider_cost: None,
        latency_ms: now.since(sent),
        first_token_ms: None,
        decision: chosen(holder),
        losses: Vec::new(),
        provider_request_id: Some(id.to_owned()).filter(|id| !id.is_empty()),
        served: domain::ServedAs::default(),
        corrects: None,
        counted: Vec::new(),
        intent,
    }
}

/// What is known of a file.
pub async fn describe(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    about(asking, Method::GET, client, trail).await
}

/// Has the provider forget a file.
pub async fn delete(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    about(asking, Method::DELETE, client, trail).await
}

async fn about(asking: &Asking<'_>, method: Method, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::File, trail)?;
    let query = asking.query(Kind::File)?;
    let reach = asking.carrying(holder.asks(method, format!("{}{query}", path(&opened.id))));
    let heard = send(asking.deployed, &reach, Kind::File.as_str(), client).await?;
    let told = read(&reach, heard, client).await?;
    let own = |field: &str, text: &str| (field == "id" && text == opened.id).then(|| asking.arrival.name.clone());
    let body = renamed(&told, own).map_err(|found| fault(&reach, found))?;
    Ok(Done::Whole(body.into(), Vec::new()))
}

/// What is in a file. Where that is what came of a batch, the batch is settled by it.
pub async fn content(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::File, trail)?;
    let query = asking.query(Kind::File)?;
    let reach = asking.carrying(holder.asks(Method::GET, format!("{}/content{query}", path(&opened.id))));
    let heard = send(asking.deployed, &reach, Kind::File.as_str(), client).await?;
    let (status, headers) = (heard.response.status(), raw_headers(&heard.response));
    let (through, books) = match opened.note {
        Note::Output(batch) => (Through::Lines(Box::new(Results::new(asking, &holder))), Books::Settles(batch)),
        Note::None | Note::Input(_) => (Through::Raw, Books::Nothing),
    };
    let pump = Pump::new(heard, through);
    Ok(Done::Piped(Box::new(Piped { pump, status, headers, holder, books })))
}

fn path(id: &str) -> String {
    format!("/files/{}", wire::dialect::path_segment(id))
}
