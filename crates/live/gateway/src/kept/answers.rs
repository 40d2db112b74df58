//! Stored answers of openai-responses: fetched whole or as events, deleted, cancelled, and what they were asked with. An answer that
//! is made in the background is settled when it is fetched and over.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use wire::kept::{Kind, renamed, stored_answer, stored_input};
use wire::{Dialect, Framing, Maker, Operation, ReplyPlan, StreamRelay};

use super::allow::{Holder, Reach};
use super::asking::{Asking, Books, Done, Piped};
use super::exchange::{Pump, Through, fault, raw_headers, read, send};
use super::seal::Note;
use crate::refusal::Refusal;
use crate::reply::Waiting;
use crate::trail::Trail;

/// A stored answer, whole or, by `stream=true`, as events from `starting_after` on.
pub async fn fetch(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::Answer, trail)?;
    let query = asking.query(Kind::Answer)?;
    let reach = asking.carrying(holder.asks(Method::GET, format!("{}{query}", path(&opened.id))));
    let heard = send(asking.deployed, &reach, Kind::Answer.as_str(), client).await?;
    let is_stream = |value: &HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
    if !heard.response.headers().get(CONTENT_TYPE).is_some_and(is_stream) {
        let body = read(&reach, heard, client).await?;
        return told(asking, (&holder, &reach), &opened.id, &body, trail);
    }
    let (status, headers) = (heard.response.status(), raw_headers(&heard.response));
    let relay = StreamRelay::new(plan(asking, &holder));
    let pump = Pump::new(heard, Through::Events(Box::new(relay)));
    Ok(Done::Piped(Box::new(Piped { pump, status, headers, holder, books: Books::Settles(opened.id) })))
}

/// Stops an answer that is being made.
pub async fn cancel(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::Answer, trail)?;
    let reach = asking.carrying(holder.asks(Method::POST, format!("{}/cancel", path(&opened.id))));
    let heard = send(asking.deployed, &reach, Kind::Answer.as_str(), client).await?;
    let body = read(&reach, heard, client).await?;
    told(asking, (&holder, &reach), &opened.id, &body, trail)
}

/// Has the provider forget an answer. One that was never fetched finished stays booked at the most it can have cost.
pub async fn delete(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::Answer, trail)?;
    let reach = asking.carrying(holder.asks(Method::DELETE, path(&opened.id)));
    let heard = send(asking.deployed, &reach, Kind::Answer.as_str(), client).await?;
    let body = read(&reach, heard, client).await?;
    let own = |field: &str, text: &str| (field == "id" && text == opened.id).then(|| asking.arrival.name.clone());
    let told = renamed(&body, own).map_err(|found| fault(&reach, found))?;
    Ok(Done::Whole(told.into(), Vec::new()))
}

/// What an answer was asked with.
pub async fn input(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let (holder, opened) = asking.own(Kind::Answer, trail)?;
    let maker = maker(&holder);
    // A page may be asked for by the id of a thought, as it was told.
    let query = untagged(asking.query(Kind::Answer)?, maker);
    let reach = asking.carrying(holder.asks(Method::GET, format!("{}/input_items{query}", path(&opened.id))));
    let heard = send(asking.deployed, &reach, Kind::Answer.as_str(), client).await?;
    let body = read(&reach, heard, client).await?;
    let seals = &asking.gateway.seals;
    let file = |field: &str, text: &str| match field {
        "file_id" => holder.name(seals, Kind::File, text, Note::None),
        _ => None,
    };
    let told =
        stored_input(maker, &body).and_then(|told| renamed(&told, file)).map_err(|found| fault(&reach, found))?;
    Ok(Done::Whole(told.into(), Vec::new()))
}

/// A query without the maker's tags.
fn untagged(query: String, maker: Maker) -> String {
    match std::str::from_utf8(maker.tag()) {
        Ok(tag) if query.contains(tag) => query.replace(tag, ""),
        _ => query,
    }
}

fn path(id: &str) -> String {
    format!("/responses/{}", wire::dialect::path_segment(id))
}

/// An answer as the client gets it; settled where it is over.
fn told(
    asking: &Asking<'_>,
    (holder, reach): (&Holder, &Reach),
    id: &str,
    body: &[u8],
    trail: &mut Trail,
) -> Result<Done, Refusal> {
    let ids = holder.ids(&asking.gateway.seals);
    let (told, stored) =
        stored_answer(&ids, holder.asked(), maker(holder), body).map_err(|found| fault(reach, found))?;
    let facts = match stored.owed() {
        None => Vec::new(),
        Some(reported) => asking.settle(holder, id, &[reported], stored.service_tier.as_deref(), &stored.status, trail),
    };
    Ok(Done::Whole(told.into(), facts))
}

/// Whose tag what only its maker can read is given.
fn maker(holder: &Holder) -> Maker {
    Maker::of(holder.model().provider.name.as_str())
}

fn plan(asking: &Asking<'_>, holder: &Holder) -> ReplyPlan {
    ReplyPlan {
        client: Dialect::OpenAiResponses,
        upstream: Dialect::OpenAiResponses,
        operation: Operation::Chat,
        asked_model: holder.asked().to_owned(),
        include_usage: true,
        continuous_usage: false,
        quirks: holder.model().provider.quirks,
        maker: maker(holder),
        answer_id: asking.arrival.id.to_string(),
        created_unix_s: asking.arrival.at.0 / 1000,
        keep_bytes: 0,
        framing: Framing::ServerSentEvents,
        raw: false,
        request: bytes::Bytes::new(),
        ids: holder.ids(&asking.gateway.seals),
    }
}
