//! Writes an entry as JSON. By hand, and to the same bytes as the entry's own serde form: each call writes three, and
//! escaping the name of every field again was the largest single piece of its work.

use domain::record::{BodyPrint, CallFailure, StageNote};
use domain::{AttemptId, CallEnd, CallId, Cost, CostLine, Entry, Intent, NanoUsd, Record};
use serde::Serialize;

/// Appends the JSON of one entry.
pub(super) fn json(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Intent(entry) => {
            out.extend_from_slice(super::INTENT.as_bytes());
            intent(entry, out);
        }
        Entry::Record(entry) => {
            out.extend_from_slice(super::RECORD.as_bytes());
            record(entry, out);
        }
        Entry::Call(entry) => {
            out.extend_from_slice(super::CALL.as_bytes());
            call_end(entry, out);
        }
    }
    out.push(b'}');
}

fn intent(intent: &Intent, out: &mut Vec<u8>) {
    let Intent { attempt, at, key, workflow, lane, model, provider, cause, hold, hold_tokens } = intent;
    out.extend_from_slice(br#""attempt":"#);
    attempt_id(*attempt, out);
    whole(r#","at":"#, at.0, out);
    text(r#","key":"#, &key.0, out);
    maybe_text(r#","workflow":"#, workflow.as_ref().map(|name| name.as_str()), out);
    maybe_text(r#","lane":"#, lane.as_ref().map(|name| name.as_str()), out);
    text(r#","model":"#, model.as_str(), out);
    text(r#","provider":"#, provider.as_str(), out);
    text(r#","cause":"#, cause.as_str(), out);
    maybe_whole(r#","hold":"#, hold.map(|hold| hold.0), out);
    maybe_whole(r#","hold_tokens":"#, *hold_tokens, out);
}

fn record(record: &Record, out: &mut Vec<u8>) {
    let Record { intent: sent, ended_at, end, status, upstream_model, region, usage, usage_origin, cost, .. } = record;
    let Record {
        usage_residue,
        provider_cost,
        latency_ms,
        first_token_ms,
        decision,
        losses,
        provider_request_id,
        served,
        corrects,
        counted,
        ..
    } = record;
    intent(sent, out);
    whole(r#","ended_at":"#, ended_at.0, out);
    other(r#","end":"#, end, out);
    maybe_whole(r#","status":"#, *status, out);
    text(r#","upstream_model":"#, upstream_model, out);
    maybe_text(r#","region":"#, region.as_deref(), out);
    let mut before = r#","usage":{"#;
    for (meter, count) in usage.counts() {
        text(before, meter.as_str(), out);
        whole(":", count, out);
        before = ",";
    }
    out.extend_from_slice(if before == "," { b"}" } else { br#","usage":{}"# });
    maybe_whole(r#","usage_residue":"#, (*usage_residue > 0).then_some(*usage_residue), out);
    other(r#","usage_origin":"#, usage_origin, out);
    out.extend_from_slice(br#","cost":"#);
    costs(cost, out);
    maybe_whole(r#","provider_cost":"#, provider_cost.map(|cost| cost.0), out);
    whole(r#","latency_ms":"#, *latency_ms, out);
    maybe_whole(r#","first_token_ms":"#, *first_token_ms, out);
    text(r#","decision":"#, decision, out);
    if !losses.is_empty() {
        other(r#","losses":"#, losses, out);
    }
    maybe_text(r#","provider_request_id":"#, provider_request_id.as_deref(), out);
    maybe_text(r#","served_tier":"#, served.tier.as_deref(), out);
    maybe_text(r#","served_region":"#, served.region.as_deref(), out);
    if let Some(corrects) = corrects {
        out.extend_from_slice(br#","corrects":"#);
        attempt_id(*corrects, out);
    }
    if !counted.is_empty() {
        other(r#","counted":"#, counted, out);
    }
}

fn costs(cost: &Cost, out: &mut Vec<u8>) {
    let Cost::Priced { total, lines } = cost else { return other("", cost, out) };
    whole(r#"{"priced":{"total":"#, total.0, out);
    let mut before: &[u8] = br#","lines":["#;
    for CostLine { meter, units, price, amount: NanoUsd(amount), price_row } in lines {
        out.extend_from_slice(before);
        text(r#"{"meter":"#, meter.as_str(), out);
        whole(r#","units":"#, *units, out);
        whole(r#","price":"#, price.0, out);
        whole(r#","amount":"#, *amount, out);
        text(r#","price_row":"#, price_row, out);
        out.push(b'}');
        before = b",";
    }
    out.extend_from_slice(if lines.is_empty() { br#","lines":[]}}"# } else { b"]}}" });
}

fn call_end(end: &CallEnd, out: &mut Vec<u8>) {
    let CallEnd { call, at, ended_at, key, asked, workflow, lane, class, model, endpoint, stream, status, .. } = end;
    let CallEnd { failure, attempts, first_token_ms, cost, cache, stages, request, answer, capture, revision, .. } =
        end;
    out.extend_from_slice(br#""call":"#);
    call_id(*call, out);
    whole(r#","at":"#, at.0, out);
    whole(r#","ended_at":"#, ended_at.0, out);
    maybe_text(r#","key":"#, key.as_ref().map(|key| &*key.0), out);
    text(r#","asked":"#, asked, out);
    maybe_text(r#","workflow":"#, workflow.as_ref().map(|name| name.as_str()), out);
    maybe_text(r#","lane":"#, lane.as_ref().map(|name| name.as_str()), out);
    if let Some(class) = class {
        other(r#","class":"#, class, out);
    }
    maybe_text(r#","model":"#, model.as_ref().map(|name| name.as_str()), out);
    text(r#","endpoint":"#, endpoint, out);
    out.extend_from_slice(if *stream { br#","stream":true"# } else { br#","stream":false"# });
    whole(r#","status":"#, *status, out);
    if let Some(CallFailure { code, blame, message }) = failure {
        text(r#","failure":{"code":"#, code, out);
        other(r#","blame":"#, blame, out);
        text(r#","message":"#, message, out);
        out.push(b'}');
    }
    whole(r#","attempts":"#, *attempts, out);
    maybe_whole(r#","first_token_ms":"#, *first_token_ms, out);
    whole(r#","cost":"#, cost.0, out);
    if let Some(cache) = cache {
        other(r#","cache":"#, cache, out);
    }
    let mut before = r#","stages":[{"stage":"#;
    for StageNote { stage, note } in stages {
        text(before, stage, out);
        text(r#","note":"#, note, out);
        out.push(b'}');
        before = r#",{"stage":"#;
    }
    out.extend_from_slice(if stages.is_empty() { br#","stages":[]"# } else { b"]" });
    for (name, BodyPrint { bytes, hash }) in [(r#","request":{"bytes":"#, request), (r#","answer":{"bytes":"#, answer)]
    {
        whole(name, *bytes, out);
        text(r#","hash":"#, hash, out);
        out.push(b'}');
    }
    if let Some(capture) = capture {
        other(r#","capture":"#, capture, out);
    }
    text(r#","revision":"#, revision, out);
}

fn attempt_id(attempt: AttemptId, out: &mut Vec<u8>) {
    call_id(attempt.call, out);
    *out.last_mut().expect("a quote was written") = b'.';
    whole("", attempt.ordinal, out);
    out.push(b'"');
}

fn call_id(call: CallId, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(&call.text());
    out.push(b'"');
}

/// A field with a text. `name` is what stands before it, quotes and colon included.
fn text(name: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    // One fold without an early exit, which the compiler turns into wide compares.
    if text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        return other("", text, out);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn maybe_text(name: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        text(name, value, out);
    }
}

fn whole(name: &str, number: impl Serialize, out: &mut Vec<u8>) {
    other(name, &number, out);
}

fn maybe_whole(name: &str, number: Option<impl Serialize>, out: &mut Vec<u8>) {
    if let Some(number) = number {
        other(name, &number, out);
    }
}

/// A field with anything, as serde writes it.
fn other(name: &str, value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    serde_json::to_writer(out, value).expect("facts have only text keys and a vector takes every byte");
}
