//! Keys: listed, made (the secret is shown once), revoked after a question.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use control::keys::NewKey;
use control::views::KeyView;
use domain::{KeyId, NanoUsd, UnixMs, WorkflowName};
use ledger::Measure;

use crate::budget::BudgetShown;
use crate::desk::{Desk, Visitor};
use crate::door::{Fields, Posted};
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{self, Column, Mark, Money, When};
use crate::source::Trouble;

/// The windows a budget may have, as the configuration names them.
const WINDOWS: &[&str] = &["hour", "day", "week", "month", "year", "total"];

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    problem: Option<String>,
    rows: Vec<Row>,
    form: FormShown,
}

struct Row {
    id: String,
    label: String,
    created: When,
    state: Mark,
    state_word: &'static str,
    state_at: Option<When>,
    workflows: String,
    budget: Option<BudgetShown>,
    budget_note: String,
    limits: String,
    month: Money,
    last_used: Option<When>,
    revocable: bool,
}

/// The form as it was filled in, so that a mistake costs nobody the rest.
struct FormShown {
    label: String,
    expires: String,
    listed: bool,
    direct: bool,
    workflows: Vec<Choice>,
    limit: String,
    windows: Vec<Choice>,
    requests_per_minute: String,
    tokens_per_minute: String,
}

struct Choice {
    value: String,
    text: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "key_made.html")]
struct KeyMadePage {
    frame: Frame,
    label: String,
    secret: String,
    gateway: String,
    workflow: String,
}

#[derive(Template)]
#[template(path = "key_revoke.html")]
struct KeyRevokePage {
    frame: Frame,
    id: String,
    label: String,
}

/// The list and the form.
pub async fn show(visitor: Visitor, State(desk): State<Desk>) -> Response {
    list(&desk, &visitor, None, &Fields::default()).await
}

/// Makes a key and shows its secret, this once.
pub async fn make(State(desk): State<Desk>, posted: Posted) -> Response {
    let wish = match wish(&posted.fields, desk.source.now()) {
        Ok(wish) => wish,
        Err(problem) => return list(&desk, &posted.visitor, Some(problem), &posted.fields).await,
    };
    let label = wish.label.clone();
    let first = wish.workflows.as_ref().and_then(|names| names.first()).map(ToString::to_string);
    match desk.source.create_key(wish, &posted.visitor.session.who).await {
        Ok(secret) => {
            let known = desk.source.names().await.ok().and_then(|names| names.workflows.into_iter().next());
            draw(&KeyMadePage {
                frame: Frame::new(&posted.visitor, "Key made", "/keys"),
                label,
                secret,
                gateway: desk.source.gateway_address(),
                workflow: first.or(known).unwrap_or_else(|| "WORKFLOW".to_owned()),
            })
        }
        Err(Trouble::Refused(problem)) => list(&desk, &posted.visitor, Some(problem), &posted.fields).await,
        Err(trouble) => error::trouble(&trouble),
    }
}

/// Asks before a key is revoked.
pub async fn ask_to_revoke(visitor: Visitor, State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    let keys = match desk.source.keys().await {
        Ok(keys) => keys,
        Err(trouble) => return error::trouble(&trouble),
    };
    match keys.into_iter().find(|key| *key.grant.id.0 == *id && key.grant.revoked_at.is_none()) {
        Some(key) => {
            draw(&KeyRevokePage { frame: Frame::new(&visitor, "Revoke a key", "/keys"), id, label: key.grant.label })
        }
        None => error::missing("There is no such key, or it is revoked already.", ("/keys", "All keys")),
    }
}

/// Revokes a key.
pub async fn revoke(State(desk): State<Desk>, Path(id): Path<String>, posted: Posted) -> Response {
    match desk.source.revoke_key(&KeyId(id.into()), &posted.visitor.session.who).await {
        Ok(()) => Redirect::to("/keys").into_response(),
        Err(trouble) => error::trouble(&trouble),
    }
}

async fn list(desk: &Desk, visitor: &Visitor, problem: Option<String>, fields: &Fields) -> Response {
    let (keys, names) = match (desk.source.keys().await, desk.source.names().await) {
        (Ok(keys), Ok(names)) => (keys, names),
        (Err(trouble), _) | (_, Err(trouble)) => return error::trouble(&trouble),
    };
    let month = Column::of(keys.iter().map(|key| key.month));
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let page = KeysPage {
        frame: Frame::new(visitor, "Keys", "/keys"),
        problem,
        rows: keys.iter().map(|key| row(key, month, desk.source.now())).collect(),
        form: form(fields, &names.workflows),
    };
    (status, draw(&page)).into_response()
}

fn row(key: &KeyView, month: Column, now: UnixMs) -> Row {
    let grant = &key.grant;
    let (state, state_word, state_at) = state(grant.revoked_at, grant.expires_at, now);
    let used = |measure: Measure| {
        let rate = key.rates.iter().find(|rate| rate.measure == measure);
        rate.map_or_else(String::new, |rate| format!("{} of ", show::count(rate.settled.0.unsigned_abs())))
    };
    let mut limits = Vec::new();
    let requests = grant.requests_per_minute.map(|limit| show::counted(limit.into(), "request"));
    limits.extend(requests.map(|limit| used(Measure::Requests) + &limit));
    let tokens = grant.tokens_per_minute.map(|limit| show::counted(limit, "token"));
    limits.extend(tokens.map(|limit| used(Measure::Tokens) + &limit));
    let limits =
        if limits.is_empty() { "no limits a minute".to_owned() } else { format!("{} a minute", limits.join(" and ")) };
    let workflows = grant.workflows.as_ref().map_or_else(
        || "all workflows".to_owned(),
        |names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    );
    Row {
        id: grant.id.to_string(),
        label: grant.label.clone(),
        created: When::at(grant.created_at),
        state,
        state_word,
        state_at: state_at.map(When::at),
        workflows: if grant.direct { format!("{workflows}; lanes and models directly") } else { workflows },
        budget: key.budget.as_ref().map(BudgetShown::new),
        budget_note: grant.budgets.first().map_or_else(|| "no budget".to_owned(), |_| grant.budgets.join("; ")),
        limits,
        month: month.money(key.month),
        last_used: key.last_used.map(|at| When::near(at, now)),
        revocable: grant.revoked_at.is_none(),
    }
}

fn state(revoked_at: Option<UnixMs>, expires_at: Option<UnixMs>, now: UnixMs) -> (Mark, &'static str, Option<UnixMs>) {
    match (revoked_at, expires_at) {
        (Some(at), _) => (Mark::new("bad", "revoked"), "at", Some(at)),
        (None, Some(at)) if at <= now => (Mark::new("warn", "expired"), "at", Some(at)),
        (None, Some(at)) => (Mark::new("good", "valid"), "until", Some(at)),
        (None, None) => (Mark::new("good", "valid"), "", None),
    }
}

fn form(fields: &Fields, workflows: &[String]) -> FormShown {
    let text = |name: &str| fields.text(name).to_owned();
    let per = if fields.text("per").is_empty() { "month" } else { fields.text("per") };
    let choice = |value: &str, chosen: bool| Choice { value: value.to_owned(), text: value.to_owned(), chosen };
    FormShown {
        label: text("label"),
        expires: text("expires"),
        listed: fields.text("scope") == "listed",
        direct: fields.text("direct") == "yes",
        workflows: workflows.iter().map(|name| choice(name, fields.every("workflow").any(|w| w == name))).collect(),
        limit: text("limit"),
        windows: WINDOWS.iter().map(|window| choice(window, *window == per)).collect(),
        requests_per_minute: text("requests_per_minute"),
        tokens_per_minute: text("tokens_per_minute"),
    }
}

/// Reads the form; the first mistake is told in a sentence.
fn wish(fields: &Fields, now: UnixMs) -> Result<NewKey, String> {
    let label = fields.text("label");
    if label.is_empty() || label.chars().count() > 100 {
        return Err("Give the key a label of 1 to 100 letters, so that others know whose it is.".to_owned());
    }
    let workflows = match fields.text("scope") {
        "listed" => Some(fields.every("workflow").map(WorkflowName::from).collect::<Vec<_>>()),
        _ => None,
    };
    let direct = fields.text("direct") == "yes";
    if workflows.as_ref().is_some_and(Vec::is_empty) && !direct {
        return Err(
            "Choose at least one workflow, or all of them: a key that may name nothing is of no use.".to_owned()
        );
    }
    let expires_at = expiry(fields.text("expires"))?;
    if expires_at.is_some_and(|at| at <= now) {
        return Err("That day has begun already; choose a later one, or leave it empty.".to_owned());
    }
    Ok(NewKey {
        label: label.to_owned(),
        workflows,
        direct,
        budgets: budget(fields.text("limit"), fields.text("per"))?.into_iter().collect(),
        requests_per_minute: number(fields.text("requests_per_minute"), "Requests a minute")?,
        tokens_per_minute: number(fields.text("tokens_per_minute"), "Tokens a minute")?,
        expires_at,
    })
}

fn budget(limit: &str, per: &str) -> Result<Option<String>, String> {
    if limit.is_empty() {
        return Ok(None);
    }
    let limit = limit.parse::<NanoUsd>().map_err(|problem| format!("Budget: {problem}."))?;
    if limit <= NanoUsd::ZERO {
        return Err("Budget: write an amount above zero, or leave it empty for none.".to_owned());
    }
    if !WINDOWS.contains(&per) {
        return Err(format!("Budget: choose one of {}.", WINDOWS.join(", ")));
    }
    Ok(Some(format!("{limit} USD per {per}")))
}

fn number<N: std::str::FromStr + PartialEq + Default>(text: &str, what: &str) -> Result<Option<N>, String> {
    match text.parse::<N>() {
        _ if text.is_empty() => Ok(None),
        Ok(number) if number != N::default() => Ok(Some(number)),
        _ => Err(format!("{what}: write a whole number above zero, or leave it empty for unlimited.")),
    }
}

/// The end, in UTC, of a day written as `2027-03-01`: the key works all through it, as with `freehold key create --expires`.
fn expiry(text: &str) -> Result<Option<UnixMs>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = text.parse::<jiff::civil::Date>().and_then(|day| day.tomorrow());
    let midnight = day.and_then(|after| after.to_zoned(jiff::tz::TimeZone::UTC));
    let midnight = midnight.map_err(|_| "Expires: write a day such as 2027-03-01, or leave it empty.".to_owned())?;
    Ok(Some(UnixMs(midnight.timestamp().as_millisecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_form_becomes_a_wish() {
        let fields = fields(&[
            ("label", " claims app "),
            ("scope", "listed"),
            ("workflow", "claims-triage"),
            ("workflow", "support-reply"),
            ("limit", "50.00"),
            ("per", "month"),
            ("requests_per_minute", "600"),
            ("expires", "2027-03-01"),
        ]);
        let wish = wish(&fields, UnixMs(0)).unwrap();
        assert_eq!(wish.label, "claims app");
        assert_eq!(wish.workflows, Some(vec!["claims-triage".into(), "support-reply".into()]));
        assert_eq!(wish.budgets, ["50.00 USD per month"]);
        assert_eq!((wish.requests_per_minute, wish.tokens_per_minute), (Some(600), None));
        assert_eq!(wish.expires_at.unwrap().to_string(), "2027-03-02T00:00:00.000Z");
    }

    #[test]
    fn a_mistake_in_the_form_is_told() {
        for (mistake, word) in [
            (vec![("label", "")], "label"),
            (vec![("label", "a"), ("scope", "listed")], "at least one workflow"),
            (vec![("label", "a"), ("limit", "1,50"), ("per", "month")], "1,50"),
            (vec![("label", "a"), ("limit", "0"), ("per", "month")], "above zero"),
            (vec![("label", "a"), ("limit", "5"), ("per", "fortnight")], "choose one of"),
            (vec![("label", "a"), ("requests_per_minute", "many")], "Requests a minute"),
            (vec![("label", "a"), ("tokens_per_minute", "0")], "Tokens a minute"),
            (vec![("label", "a"), ("expires", "soon")], "2027-03-01"),
            (vec![("label", "a"), ("expires", "1969-01-01")], "begun already"),
        ] {
            let problem = wish(&fields(&mistake), UnixMs(0)).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
