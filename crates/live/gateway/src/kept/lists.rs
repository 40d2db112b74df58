//! Lists of files and batches: of what a provider lists, what this key owns. A provider lists those of all keys together, so its
//! pages are read until the client's is full.

use std::borrow::Cow;

use http::Method;
use wire::Dialect;
use wire::dialect::{from_path_segment, path_segment};
use wire::kept::{Kind, items, renamed, strings};

use super::asking::{Asking, Done, PAGE};
use super::batches;
use super::exchange::{fault, read, send};
use super::seal::Note;
use crate::refusal::Refusal;
use crate::reply::Waiting;
use crate::trail::Trail;

/// Items of a page where the client does not say.
const USUAL: usize = 20;
/// Most items of a page, and what a provider is asked for at once.
const MOST: usize = 100;
/// Most pages of a provider's that are read for one of ours.
const PAGES: usize = 20;

/// Those of its files, or batches, that this key owns.
pub async fn list(asking: &Asking<'_>, kind: Kind, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let holder = asking.place(None, trail)?;
    let provider = &holder.model().provider.name;
    let (root, after) = match (kind, holder.spoken()) {
        (Kind::Batch, spoken) => (batches::root(spoken), after(spoken)),
        (_, spoken) => ("/files", after(spoken)),
    };
    // Anthropic's files are paged by tokens of its own, which say nothing of where one of ours would begin.
    let by_token = kind == Kind::File && holder.spoken() == Dialect::Anthropic;
    let query = asking.query(kind)?;
    let Query { limit, cursor, others } = Query::read(&query, after)?;
    let mut skip_to = cursor.as_deref().filter(|_| by_token).and_then(from_path_segment);
    let mut next = cursor.as_deref().filter(|_| !by_token).map(|cursor| format!("{after}={cursor}"));
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut ends: Option<(String, String)> = None;
    let mut more = false;
    for _ in 0..PAGES {
        let mut path = format!("{root}?limit={MOST}");
        path.extend(others.iter().copied().chain(next.as_deref()).flat_map(|pair| ["&", pair]));
        let reach = asking.carrying(holder.asks(Method::GET, path));
        let heard = send(asking.deployed, &reach, kind.as_str(), client).await?;
        let body = read(&reach, heard, client).await?;
        let (page, has_more) = items(&body).map_err(|found| fault(&reach, found))?;
        let [token] = strings(&body, ["next_page"]).map_err(|found| fault(&reach, found))?;
        let last = page.last().filter(|_| has_more).map(|item| format!("{after}={}", path_segment(&item.id)));
        next = token.map(|token| format!("page={}", path_segment(&token))).or(last);
        more = next.is_some();
        for item in &page {
            if let Some(last_told) = &skip_to {
                if *last_told == item.id {
                    skip_to = None;
                }
                continue;
            }
            let owner = asking.gateway.owners.of(kind, provider, &item.id);
            let Some(owner) = owner.filter(|owner| owner.key == asking.arrival.key.grant.id) else { continue };
            let Some(holder) = holder.of_owner(&asking.deployed.snapshot, &owner) else { continue };
            if found.len() == limit {
                more = true;
                break;
            }
            let bytes = &body[item.span.clone()];
            let seals = &asking.gateway.seals;
            let name = holder.name(seals, kind, &item.id, owner.note.clone()).unwrap_or_default();
            let told = match (kind, &owner.note) {
                (Kind::Batch, Note::Input(bound)) => renamed(bytes, batches::names(asking, &holder, &item.id, *bound)),
                _ => renamed(bytes, |field, text| (field == "id" && text == item.id).then(|| name.clone())),
            };
            found.push(told.map_err(|found| fault(&reach, found))?);
            ends = Some((ends.map_or_else(|| name.clone(), |(first, _)| first), name));
        }
        if found.len() == limit || next.is_none() {
            break;
        }
    }
    Ok(Done::Whole(page(holder.spoken(), &found, ends.as_ref(), more).into(), Vec::new()))
}

fn after(spoken: Dialect) -> &'static str {
    if spoken == Dialect::Anthropic { "after_id" } else { "after" }
}

/// What a query asks of a list.
struct Query<'q> {
    limit: usize,
    cursor: Option<String>,
    others: Vec<&'q str>,
}

impl<'q> Query<'q> {
    fn read(query: &'q str, after: &str) -> Result<Query<'q>, Refusal> {
        let mut read = Query { limit: USUAL, cursor: None, others: Vec::new() };
        for pair in query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("limit", limit)) => {
                    let limit = limit.parse().ok().filter(|limit| *limit > 0);
                    let message = "`limit` must be a whole number of at least 1".to_owned();
                    let wrong = || Refusal::Body { message, param: Some("limit".into()) };
                    read.limit = limit.map(|limit: usize| limit.min(MOST)).ok_or_else(wrong)?;
                }
                Some((name, id)) if name == after => read.cursor = Some(id.to_owned()),
                Some((name @ ("ids" | "ids[]" | "ids%5B%5D"), _)) => {
                    let message = format!("`{name}` is not taken; ask for each by its id");
                    return Err(Refusal::Body { message, param: Some(name.to_owned()) });
                }
                Some((name @ ("before" | "before_id"), _)) => {
                    let message = format!("`{name}` is not taken: lists are read forwards; use `{after}`");
                    return Err(Refusal::Body { message, param: Some(name.to_owned()) });
                }
                _ => read.others.push(pair),
            }
        }
        Ok(read)
    }
}

fn page(spoken: Dialect, found: &[Vec<u8>], ends: Option<&(String, String)>, more: bool) -> Vec<u8> {
    let text = |id: Option<&String>| match id {
        Some(id) => Cow::Owned(serde_json::to_string(id).expect("a string has a JSON form")),
        None => Cow::Borrowed("null"),
    };
    let object = if spoken == Dialect::Anthropic { "" } else { "\"object\":\"list\"," };
    let token = match ends.filter(|_| more && spoken == Dialect::Anthropic) {
        Some((_, last)) => format!(",\"next_page\":\"{PAGE}{last}\""),
        None => String::new(),
    };
    let (first, last) = (text(ends.map(|(first, _)| first)), text(ends.map(|(_, last)| last)));
    let tail = format!("],\"first_id\":{first},\"last_id\":{last},\"has_more\":{more}{token}}}");
    [format!("{{{object}\"data\":[").into_bytes(), found.join(&b","[..]), tail.into_bytes()].concat()
}
