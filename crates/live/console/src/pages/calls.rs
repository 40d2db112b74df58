//! Calls that ended: filtered, paged, followed live.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use control::views::CallFilter;
use domain::{CallEnd, UnixMs};
use serde::Deserialize;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, Live, draw};
use crate::pages::error;
use crate::show::{self, Column, Mark, Money, When};
use crate::source::Names;

/// Calls on one page.
const PAGE_CALLS: u32 = 50;
/// How often a followed list is renewed, milliseconds.
const FOLLOW_MS: u32 = 2_000;
/// Letters of a client's own text that a table shows; the call's page shows all.
const ASKED_LETTERS: usize = 60;

#[derive(Template)]
#[template(path = "calls.html")]
struct CallsPage {
    frame: Frame,
    choices: Vec<Choice>,
    filtered: bool,
    gateway: String,
    rows: Vec<Row>,
    newest_href: Option<String>,
    older_href: Option<String>,
}

struct Choice {
    name: &'static str,
    label: &'static str,
    options: Vec<ChoiceOption>,
}

struct ChoiceOption {
    value: String,
    text: String,
    chosen: bool,
}

struct Row {
    id: String,
    ended: When,
    workflow: String,
    asked: Option<String>,
    outcome: Mark,
    notes: Vec<String>,
    model: String,
    lane: Option<String>,
    first_token: String,
    took: String,
    cost: Money,
    key: String,
}

/// What the address asks for; an empty value is as good as none, for that is what an untouched form sends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    workflow: String,
    lane: String,
    model: String,
    key: String,
    outcome: String,
    before: String,
    live: String,
}

impl Wish {
    fn filter(&self) -> CallFilter {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        CallFilter {
            workflow: some(&self.workflow),
            lane: some(&self.lane),
            model: some(&self.model),
            key: some(&self.key),
            outcome: some(&self.outcome),
            before: some(&self.before),
            // One more than is shown tells whether there is an older page.
            limit: Some(PAGE_CALLS + 1),
        }
    }

    fn filtered(&self) -> bool {
        [&self.workflow, &self.lane, &self.model, &self.key, &self.outcome].iter().any(|text| !text.is_empty())
    }

    fn follows(&self) -> bool {
        self.live == "1" && self.before.is_empty()
    }

    /// The address of this list, from a call on backwards or followed live.
    fn href(&self, before: &str, live: bool) -> String {
        let live = if live { "1" } else { "" };
        let pairs = [
            ("workflow", self.workflow.as_str()),
            ("lane", &self.lane),
            ("model", &self.model),
            ("key", &self.key),
            ("outcome", &self.outcome),
            ("before", before),
            ("live", live),
        ];
        let given = pairs.iter().filter(|(_, value)| !value.is_empty());
        let query = given.map(|(name, value)| format!("{name}={}", show::in_query(value))).collect::<Vec<_>>();
        if query.is_empty() { "/calls".to_owned() } else { format!("/calls?{}", query.join("&")) }
    }
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Query(wish): Query<Wish>) -> Response {
    let calls = match desk.source.calls(wish.filter()).await {
        Ok(calls) => calls,
        Err(trouble) => return error::trouble(&trouble),
    };
    let names = match desk.source.names().await {
        Ok(names) => names,
        Err(trouble) => return error::trouble(&trouble),
    };
    let live = Live {
        on: wish.follows(),
        period_ms: FOLLOW_MS,
        toggle_href: wish.href("", !wish.follows()),
        toggle_label: if wish.follows() { "Stop following" } else { "Follow live" },
        reload_href: wish.href(&wish.before, wish.follows()),
    };
    let frame = Frame::new(&visitor, "Calls", "/calls").living(live);
    draw(&page(frame, &wish, &calls, &names, desk.source.now(), desk.source.gateway_address()))
}

fn page(frame: Frame, wish: &Wish, calls: &[CallEnd], names: &Names, now: UnixMs, gateway: String) -> CallsPage {
    let shown = &calls[..calls.len().min(PAGE_CALLS as usize)];
    let older = if calls.len() > shown.len() { shown.last() } else { None };
    let cost = Column::of(shown.iter().map(|call| call.cost));
    CallsPage {
        frame,
        choices: choices(wish, names),
        filtered: wish.filtered(),
        gateway,
        rows: shown.iter().map(|call| row(call, now, cost, names)).collect(),
        newest_href: (!wish.before.is_empty()).then(|| wish.href("", false)),
        older_href: older.map(|call| wish.href(&call.call.to_string(), false)),
    }
}

fn choices(wish: &Wish, names: &Names) -> Vec<Choice> {
    let plain = |names: &[String]| names.iter().map(|name| (name.clone(), name.clone())).collect::<Vec<_>>();
    let outcomes = vec![("served".to_owned(), "served".to_owned()), ("failed".to_owned(), "failed".to_owned())];
    let keys = names.keys.iter().map(|(id, label)| (id.clone(), format!("{label} ({id})"))).collect();
    vec![
        choice("workflow", "Workflow", plain(&names.workflows), &wish.workflow),
        choice("lane", "Lane", plain(&names.lanes), &wish.lane),
        choice("model", "Model", plain(&names.models), &wish.model),
        choice("key", "Key", keys, &wish.key),
        choice("outcome", "Outcome", outcomes, &wish.outcome),
    ]
}

/// The options of one choice; what was chosen stays choosable, also when the configuration has dropped it since.
fn choice(name: &'static str, label: &'static str, mut options: Vec<(String, String)>, chosen: &str) -> Choice {
    if !chosen.is_empty() && options.iter().all(|(value, _)| value != chosen) {
        options.push((chosen.to_owned(), chosen.to_owned()));
    }
    let option = |(value, text): (String, String)| ChoiceOption { chosen: value == chosen, value, text };
    Choice { name, label, options: options.into_iter().map(option).collect() }
}

fn row(call: &CallEnd, now: UnixMs, cost: Column, names: &Names) -> Row {
    let workflow = call.workflow.as_ref().map(|name| name.to_string());
    let asked = (workflow.as_deref() != Some(call.asked.as_str())).then(|| shortened(&call.asked, ASKED_LETTERS));
    let label = |id: &str| names.keys.iter().find(|(known, _)| known == id).map_or(id, |(_, label)| label).to_owned();
    Row {
        id: call.call.to_string(),
        ended: When::near(call.ended_at, now),
        workflow: workflow.unwrap_or_else(|| if call.model.is_some() { "(direct)" } else { "(none)" }.to_owned()),
        asked,
        outcome: outcome(call),
        notes: notes(call),
        model: call.model.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
        lane: call.lane.as_ref().map(|lane| lane_text(call, lane.as_str())),
        first_token: show::duration_or_dash(call.first_token_ms.filter(|_| call.stream)),
        took: show::duration(call.ended_at.since(call.at)),
        cost: cost.money(call.cost),
        key: call.key.as_ref().map_or_else(|| "(none recognised)".to_owned(), |id| label(&id.0)),
    }
}

/// The lane and its class.
pub(super) fn lane_text(call: &CallEnd, lane: &str) -> String {
    call.class.map_or_else(|| lane.to_owned(), |class| format!("{lane} ({class})"))
}

/// What became of a call.
pub(super) fn outcome(call: &CallEnd) -> Mark {
    match &call.failure {
        None => Mark::new("good", format!("served {}", call.status)),
        Some(failure) => {
            let kind = if failure.blame == domain::Blame::Client { "warn" } else { "bad" };
            Mark::new(kind, format!("failed {}", call.status))
        }
    }
}

/// The failure's code, and how often it was tried where that was more than once.
fn notes(call: &CallEnd) -> Vec<String> {
    let code = call.failure.as_ref().map(|failure| failure.code.clone());
    let attempts = (call.attempts > 1).then(|| show::counted(call.attempts.into(), "attempt"));
    code.into_iter().chain(attempts).collect()
}

/// The first letters of a text somebody else wrote.
fn shortened(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untouched_form_filters_nothing() {
        let wish = Wish::default();
        assert!(!wish.filtered());
        assert_eq!(wish.filter(), CallFilter { limit: Some(51), ..CallFilter::default() });
        assert_eq!(wish.href("", false), "/calls");
    }

    #[test]
    fn addresses_keep_the_filter_and_quote_it() {
        let wish = Wish { workflow: "a&b".into(), live: "1".into(), ..Wish::default() };
        assert_eq!(wish.href("call_1", false), "/calls?workflow=a%26b&before=call_1");
        assert!(wish.follows());
        assert!(!Wish { before: "call_1".into(), ..wish }.follows());
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äö", 2), "äö");
    }

    #[test]
    fn a_chosen_name_that_is_gone_stays_choosable() {
        let choice = choice("lane", "Lane", vec![("a".into(), "a".into())], "old");
        assert_eq!(choice.options.len(), 2);
        assert!(choice.options[1].chosen);
    }
}
