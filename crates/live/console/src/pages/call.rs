//! One call: every stage, every attempt with the decision that sent it, every cost line, and the journal.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use control::views::CallView;
use domain::record::{Capture, StageNote};
use domain::usage::Direction;
use domain::{
    AttemptEnd, CacheUse, CallEnd, CallId, Cost, CostLine, Entry, Intent, Likeness, Loss, LossKind, NanoUsd, PicoUsd,
    Record, UnixMs, UsageOrigin,
};

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, draw};
use crate::pages::{calls, error};
use crate::show::{self, Column, Fact, Mark, Money, When};
use crate::svg::{self, Bar};

/// The stages a call goes through, in order, and what each is for.
const STAGES: &[(&str, &str)] = &[
    ("endpoint", "reads the request in the client's dialect"),
    ("admit", "checks the key, its limits and what it may name"),
    ("render", "turns a prompt's release into messages"),
    ("protect", "applies residency and redaction before anything leaves"),
    ("cache", "looks for an answer that is there already"),
    ("attempt", "picks a model, holds money, sends, fails over"),
    ("relay", "hands the answer on and watches its usage"),
    ("settle", "meters, prices, settles the hold and writes the record"),
];

#[derive(Template)]
#[template(path = "call.html")]
struct CallPage {
    frame: Frame,
    id: String,
    sentence: String,
    failure: Option<FailureShown>,
    outcome: Mark,
    cost: (String, String),
    cost_note: Option<&'static str>,
    first_token: String,
    took: String,
    attempt_count: String,
    facts: Vec<Fact>,
    stages: Vec<StageShown>,
    attempts: Vec<AttemptShown>,
    timeline_span: String,
    journal: Vec<JournalLine>,
    journal_sum: Money,
    capture: Option<CaptureShown>,
    prints: Vec<Fact>,
}

struct FailureShown {
    code: String,
    message: String,
    blame: &'static str,
}

struct StageShown {
    name: String,
    what: &'static str,
    notes: Vec<String>,
}

struct AttemptShown {
    ordinal: u16,
    model: String,
    cause: String,
    end: Mark,
    decision: Option<String>,
    message: Option<String>,
    facts: Vec<Fact>,
    lines: Vec<LineShown>,
    booked: Money,
    missing: Option<String>,
    losses: Vec<LossShown>,
    timeline: Bar,
}

struct LineShown {
    meter: &'static str,
    units: String,
    price: String,
    amount: Money,
    price_row: String,
}

struct LossShown {
    pointer: String,
    kind: &'static str,
    reason: String,
}

struct JournalLine {
    account: String,
    amount: Money,
}

struct CaptureShown {
    request: String,
    answer: String,
    until: When,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Path(text): Path<String>) -> Response {
    let Ok(id) = text.parse::<CallId>() else {
        return error::missing(
            "This is no call's identifier; it begins with call_ and has 26 letters after that.",
            BACK,
        );
    };
    match desk.source.call(id).await {
        Ok(Some(view)) => {
            draw(&page(Frame::new(&visitor, format!("Call {id}"), "/calls"), id, &view, desk.source.now()))
        }
        Ok(None) => error::missing("Nothing is known of this call. It may be older than records are kept.", BACK),
        Err(trouble) => error::trouble(&trouble),
    }
}

const BACK: (&str, &str) = ("/calls", "All calls");

fn page(frame: Frame, id: CallId, view: &CallView, now: UnixMs) -> CallPage {
    let end = view.end.as_ref();
    let began = end.map_or_else(|| id.minted_at(), |end| end.at);
    let ended = end.map_or(now, |end| end.ended_at);
    let span_ms = ended.since(began);
    let attempts = attempts(&view.entries, began, ended);
    let cost = end.map_or_else(|| booked(&view.entries), |end| end.cost);
    let amounts = Column::of(view.journal.iter().map(|(_, amount)| *amount));
    let sum = view.journal.iter().map(|(_, amount)| *amount).sum::<NanoUsd>();
    CallPage {
        frame,
        id: id.to_string(),
        sentence: sentence(end, began),
        failure: end.and_then(|end| end.failure.as_ref()).map(|failure| FailureShown {
            code: failure.code.clone(),
            message: failure.message.clone(),
            blame: show::blame(failure.blame),
        }),
        outcome: end.map_or_else(|| Mark::new("", "in flight"), calls::outcome),
        cost: show::split(cost),
        cost_note: cost_note(&view.entries),
        first_token: show::duration_or_dash(end.filter(|end| end.stream).and_then(|end| end.first_token_ms)),
        took: end.map_or_else(|| "–".to_owned(), |_| show::duration(span_ms)),
        attempt_count: attempts.len().to_string(),
        facts: end.map_or_else(Vec::new, facts),
        stages: stages(end.map_or(&[], |end| &end.stages)),
        timeline_span: format!(
            "0 to {} after the call was admitted; the paler part is waiting for the first token",
            show::duration(span_ms)
        ),
        attempts,
        journal: view
            .journal
            .iter()
            .map(|(account, amount)| JournalLine { account: account.clone(), amount: amounts.money(*amount) })
            .collect(),
        journal_sum: amounts.money(sum),
        capture: end.and_then(|end| end.capture.as_ref()).map(captured),
        prints: end.map_or_else(Vec::new, prints),
    }
}

fn sentence(end: Option<&CallEnd>, began: UnixMs) -> String {
    let began = When::at(began).text;
    match end {
        None => format!("Admitted {began} UTC and still in flight; load the page again to see how it ended."),
        Some(end) => {
            format!("Admitted {began} UTC at {}, ended {} UTC.", end.endpoint, When::near(end.ended_at, end.at).text)
        }
    }
}

fn facts(end: &CallEnd) -> Vec<Fact> {
    let list = |name: &'static str, value: &str| format!("/calls?{name}={}", show::in_query(value));
    let none = || "–".to_owned();
    let mut facts = vec![
        Fact::new("Asked for", end.asked.as_str()),
        match &end.workflow {
            Some(name) => {
                Fact::linked("Workflow", name.as_str(), format!("/workflows/{}", show::in_query(name.as_str())))
            }
            None => Fact::new("Workflow", "none; a lane or model was named directly, or nothing was resolved"),
        },
        match &end.lane {
            Some(lane) => Fact::linked(
                "Lane",
                calls::lane_text(end, lane.as_str()),
                format!("/lanes#{}", show::anchor("lane", lane.as_str())),
            ),
            None => Fact::new("Lane", none()),
        },
        match &end.model {
            Some(model) => Fact::linked("Answered by", model.as_str(), list("model", model.as_str())),
            None => Fact::new("Answered by", "no model"),
        },
        match &end.key {
            Some(key) => Fact::linked("Key", key.to_string(), list("key", &key.0)),
            None => Fact::new("Key", "none recognised"),
        },
        Fact::new("Endpoint", end.endpoint.as_str()),
        Fact::new("Streamed", if end.stream { "yes" } else { "no" }),
        Fact::linked("Configuration", end.revision.as_str(), "/configuration".to_owned()),
    ];
    if let Some(found) = &end.cache {
        facts.push(Fact::linked("Cache", cache_text(found), format!("/calls/{}", found.of)));
    }
    facts
}

/// What the cache had for a call.
fn cache_text(found: &CacheUse) -> String {
    let age = show::duration(found.age_ms);
    let what = match found.likeness {
        Likeness::Exact => "the same request".to_owned(),
        Likeness::Near { cosine_milli } => {
            format!("a request near this one (cosine {})", show::milli(cosine_milli.into()))
        }
    };
    match found.agrees {
        None => format!("the answer to {what}, {age} old; {} USD saved", found.saved),
        Some(true) => format!("compared with the answer to {what}, {age} old: they say the same"),
        Some(false) => format!("compared with the answer to {what}, {age} old: they differ"),
    }
}

/// All stages in order, each with what it noted; a stage this console does not know comes last rather than not at all.
fn stages(notes: &[StageNote]) -> Vec<StageShown> {
    let of = |name: &str| notes.iter().filter(|n| n.stage == name).map(|n| n.note.clone()).collect::<Vec<_>>();
    let mut shown = STAGES
        .iter()
        .map(|(name, what)| StageShown { name: (*name).to_owned(), what, notes: of(name) })
        .collect::<Vec<_>>();
    for note in notes {
        if shown.iter().all(|stage| stage.name != note.stage) {
            shown.push(StageShown { name: note.stage.to_string(), what: "", notes: of(&note.stage) });
        }
    }
    shown
}

fn prints(end: &CallEnd) -> Vec<Fact> {
    let print = |body: &domain::record::BodyPrint| match body.hash.as_str() {
        "" => show::counted(body.bytes, "byte"),
        hash => format!("{}, blake3 {hash}…", show::counted(body.bytes, "byte")),
    };
    vec![Fact::new("Request", print(&end.request)), Fact::new("Answer", print(&end.answer))]
}

fn captured(capture: &Capture) -> CaptureShown {
    CaptureShown { request: capture.request.clone(), answer: capture.answer.clone(), until: When::at(capture.until) }
}

fn booked(entries: &[Entry]) -> NanoUsd {
    entries
        .iter()
        .map(|entry| if let Entry::Record(record) = entry { record.cost.booked() } else { NanoUsd::ZERO })
        .sum()
}

/// What has to be known about the sum beside it.
fn cost_note(entries: &[Entry]) -> Option<&'static str> {
    let costs =
        || entries.iter().filter_map(|entry| if let Entry::Record(record) = entry { Some(record) } else { None });
    if costs().any(|record| matches!(record.cost, Cost::Unpriced { .. })) {
        return Some("not all of it has a price");
    }
    let settled = |record: &Record| costs().any(|other| other.intent.attempt == record.intent.attempt.settlement());
    let at_most = || costs().filter(|record| matches!(record.cost, Cost::AtMost(_)) && !settled(record));
    if at_most().any(|record| record.end == AttemptEnd::Indeterminate) {
        return Some("at most; an attempt is indeterminate");
    }
    if at_most().next().is_some() {
        return Some("at most; what it cost is told when it is fetched");
    }
    costs().any(|record| matches!(record.usage_origin, UsageOrigin::Estimated { .. })).then_some("from estimated usage")
}

/// The attempts in order: a record where there is one, else the intent alone.
fn attempts(entries: &[Entry], began: UnixMs, ended: UnixMs) -> Vec<AttemptShown> {
    let mut shown = Vec::new();
    let done =
        |intent: &Intent| entries.iter().any(|e| matches!(e, Entry::Record(r) if r.intent.attempt == intent.attempt));
    for entry in entries {
        match entry {
            Entry::Record(record) => shown.push(finished(record, began, ended)),
            Entry::Intent(intent) if !done(intent) => shown.push(unfinished(intent, began, ended)),
            Entry::Intent(_) | Entry::Call(_) => {}
        }
    }
    shown.sort_by_key(|attempt| attempt.ordinal);
    shown
}

fn unfinished(intent: &Intent, began: UnixMs, ended: UnixMs) -> AttemptShown {
    let begin_ms = intent.at.since(began);
    let span_ms = ended.since(began);
    let label = format!("attempt {} at {}: no record yet", intent.attempt.ordinal, intent.model);
    AttemptShown {
        ordinal: intent.attempt.ordinal,
        model: intent.model.to_string(),
        cause: intent.cause.to_string(),
        end: Mark::new("", "in flight"),
        decision: None,
        message: Some("It was sent and has left no record yet.".to_owned()),
        facts: sent(intent),
        lines: Vec::new(),
        booked: Money::default(),
        missing: None,
        losses: Vec::new(),
        timeline: svg::timeline_bar(label, begin_ms, None, span_ms.saturating_sub(begin_ms), span_ms, false),
    }
}

fn finished(record: &Record, began: UnixMs, ended: UnixMs) -> AttemptShown {
    let intent = &record.intent;
    let (mark, message) = how_it_ended(record);
    let (lines, missing): (&[CostLine], _) = match &record.cost {
        Cost::Priced { lines, .. } => (lines, None),
        Cost::Unpriced { lines, missing } => {
            (lines, Some(missing.iter().map(|meter| meter.as_str()).collect::<Vec<_>>().join(", ")))
        }
        Cost::AtMost(_) => (&[], None),
    };
    let booked = record.cost.booked();
    let amounts = Column::of(lines.iter().map(|line| line.amount).chain([booked]));
    let label = format!(
        "attempt {} at {}: {}, began {} into the call, took {}",
        intent.attempt.ordinal,
        intent.model,
        mark.text,
        show::duration(intent.at.since(began)),
        show::duration(record.latency_ms)
    );
    let failed = !matches!(record.end, AttemptEnd::Served { .. });
    AttemptShown {
        ordinal: intent.attempt.ordinal,
        model: intent.model.to_string(),
        cause: intent.cause.to_string(),
        end: mark,
        decision: (!record.decision.is_empty()).then(|| record.decision.clone()),
        message,
        facts: outcome_facts(record),
        lines: lines.iter().map(|line| shown_line(line, amounts)).collect(),
        booked: amounts.money(booked),
        missing,
        losses: record.losses.iter().map(shown_loss).collect(),
        timeline: svg::timeline_bar(
            label,
            intent.at.since(began),
            record.first_token_ms,
            record.latency_ms,
            ended.since(began),
            failed,
        ),
    }
}

fn how_it_ended(record: &Record) -> (Mark, Option<String>) {
    match &record.end {
        AttemptEnd::Served { finish } => {
            (Mark::new("good", "served"), finish.as_ref().map(|word| format!("The provider's finish reason: {word}.")))
        }
        AttemptEnd::Failed { class, message, after_content } => {
            let place = if *after_content { " (after content had reached the client)" } else { "" };
            (Mark::new("bad", class.as_str()), Some(format!("{message}{place}")))
        }
        AttemptEnd::Cancelled => {
            (Mark::new("warn", "cancelled"), Some("The client went away and the attempt was stopped.".to_owned()))
        }
        AttemptEnd::Indeterminate => {
            let sentence = "Freehold was stopped, or failed, while this was in flight; what was held for it is the most it can have cost.";
            (Mark::new("warn", "indeterminate"), Some(sentence.to_owned()))
        }
    }
}

fn sent(intent: &Intent) -> Vec<Fact> {
    let held = intent.hold.map_or_else(|| "nothing; no price is known".to_owned(), |hold| format!("{hold} USD"));
    let lane = intent.lane.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
    vec![
        Fact::new("Provider", intent.provider.to_string()),
        Fact::new("Lane", lane),
        Fact::new("Sent (UTC)", When::at(intent.at).text),
        Fact::new("Held before sending", held),
    ]
}

fn outcome_facts(record: &Record) -> Vec<Fact> {
    let mut facts = sent(&record.intent);
    facts.push(Fact::new("Vendor's model", record.upstream_model.as_str()));
    facts.push(Fact::new("Region", record.region.as_deref().unwrap_or("not declared")));
    facts.push(Fact::new("Provider's status", record.status.map_or_else(|| "none came".to_owned(), |s| s.to_string())));
    facts.push(Fact::new("First token", show::duration_or_dash(record.first_token_ms)));
    facts.push(Fact::new("Took", show::duration(record.latency_ms)));
    facts.push(Fact::new("Usage", usage(record)));
    if let Cost::AtMost(bound) = &record.cost {
        facts.push(Fact::new(
            "Cost",
            bound.map_or_else(|| "unknown".to_owned(), |bound| format!("at most {bound} USD")),
        ));
    }
    if let Some(cost) = record.provider_cost {
        facts.push(Fact::new("Cost as the provider says", format!("{cost} USD")));
    }
    if let Some(id) = &record.provider_request_id {
        facts.push(Fact::new("Provider's request id", id.as_str()));
    }
    facts
}

fn usage(record: &Record) -> String {
    let tokens = || {
        let (sent, received) = (record.usage.input_tokens(), record.usage.output_tokens());
        format!("{} in, {} out", show::counted(sent, "token"), show::count(received))
    };
    match record.usage_origin {
        UsageOrigin::Reported if record.usage_residue > 0 => {
            let residue = show::counted(record.usage_residue, "token");
            format!("{}; reported by the provider, whose details leave {residue} unexplained", tokens())
        }
        UsageOrigin::Reported => format!("{}; reported by the provider", tokens()),
        UsageOrigin::Estimated { error_percent } => format!("{}; estimated, ± {error_percent} %", tokens()),
        UsageOrigin::None => "nothing was consumed".to_owned(),
    }
}

fn shown_line(line: &CostLine, amounts: Column) -> LineShown {
    LineShown {
        meter: line.meter.as_str(),
        units: show::count(line.units),
        price: price(line.price, line.meter.direction()),
        amount: amounts.money(line.amount),
        price_row: line.price_row.clone(),
    }
}

/// Tokens are priced by the million, all else apiece.
fn price(price: PicoUsd, direction: Direction) -> String {
    match direction {
        Direction::Input | Direction::Output => format!("{} per million", price.as_usd_per_million()),
        Direction::Apiece if price.0 % 1000 == 0 => format!("{} each", price.times(1)),
        Direction::Apiece => format!("{} per million", price.as_usd_per_million()),
    }
}

fn shown_loss(loss: &Loss) -> LossShown {
    let kind = match loss.kind {
        LossKind::Dropped => "dropped",
        LossKind::Approximated => "approximated",
    };
    LossShown { pointer: loss.pointer.clone(), kind, reason: loss.reason.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_shown_in_order_and_an_unknown_one_is_not_lost() {
        let note = |stage: &str, note: &str| StageNote { stage: stage.to_owned().into(), note: note.into() };
        let shown = stages(&[note("settle", "b"), note("new-stage", "c"), note("admit", "a"), note("settle", "d")]);
        let names = shown.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>();
        assert_eq!(
            names,
            ["endpoint", "admit", "render", "protect", "cache", "attempt", "relay", "settle", "new-stage"]
        );
        assert_eq!(shown[7].notes, ["b", "d"]);
        assert_eq!(shown[8].notes, ["c"]);
    }

    #[test]
    fn prices_name_what_they_are_for() {
        assert_eq!(price(PicoUsd(3_000_000), Direction::Input), "3 per million");
        assert_eq!(price(PicoUsd(10_000_000_000), Direction::Apiece), "0.01 each");
    }
}
