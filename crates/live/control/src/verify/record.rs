//! One record against itself, its columns and its journal.

use std::collections::HashMap;

use domain::{Cost, Meter, NanoUsd, PicoUsd, Record};
use ledger::cells::end_word;
use store::RawAttempt;

use super::Findings;

/// Prices met, by row and meter.
pub(crate) type Prices = HashMap<(String, Meter), PicoUsd>;

/// The record of a row, where it reads back, compared with everything that says the same.
pub(crate) fn of_row(
    row: &RawAttempt,
    journal: &[(i64, String, i64)],
    prices: &mut Prices,
    findings: &mut Findings,
) -> Option<Record> {
    let record: Record = match serde_json::from_str(&row.record) {
        Ok(record) => record,
        Err(error) => {
            findings.add("record_unreadable", format!("{}: {error}", row.attempt));
            return None;
        }
    };
    columns(row, &record, findings);
    cost(&record, prices, findings);
    times(&record, findings);
    journal_of(&record, journal, findings);
    Some(record)
}

fn columns(row: &RawAttempt, record: &Record, findings: &mut Findings) {
    let intent = &record.intent;
    let name = |name: Option<&dyn std::fmt::Display>| name.map(ToString::to_string).unwrap_or_default();
    let cost_kind = match &record.cost {
        Cost::Priced { .. } => "priced",
        Cost::Unpriced { .. } => "unpriced",
        Cost::AtMost(_) => "at_most",
    };
    let words = [
        name(intent.workflow.as_ref().map(|name| name as _)),
        name(intent.lane.as_ref().map(|name| name as _)),
        intent.model.to_string(),
        intent.provider.to_string(),
        intent.key.to_string(),
        intent.cause.to_string(),
        end_word(&record.end).to_owned(),
        cost_kind.to_owned(),
    ];
    let mut differs = |column: &str, held: &str, said: &str| {
        let example = format!("{}: `{column}` is {held}, the record says {said}", row.attempt);
        findings.add("record_unlike_columns", example);
    };
    for ((column, held), said) in RawAttempt::WORDS.iter().zip(&row.words).zip(&words) {
        if held != said {
            differs(column, &format!("`{held}`"), &format!("`{said}`"));
        }
    }
    if row.attempt != intent.attempt.to_string() {
        differs("attempt", &row.attempt, &intent.attempt.to_string());
    }
    if row.at != intent.at.0 {
        differs("at", &row.at.to_string(), &intent.at.0.to_string());
    }
    if row.cost_nano != record.cost.booked().0 {
        differs("cost_nano", &row.cost_nano.to_string(), &record.cost.booked().0.to_string());
    }
    let usage = serde_json::from_str::<domain::Usage>(&row.usage);
    if usage.as_ref().ok() != Some(&record.usage) {
        differs("usage", &row.usage, &serde_json::to_string(&record.usage).unwrap_or_default());
    }
}

/// The record priced anew by its own lines: units at the price each line names, and the units its usage counts.
fn cost(record: &Record, prices: &mut Prices, findings: &mut Findings) {
    let name = record.intent.attempt;
    let (lines, missing) = match &record.cost {
        Cost::Priced { lines, .. } => (lines, &[][..]),
        Cost::Unpriced { lines, missing } => (lines, &missing[..]),
        Cost::AtMost(_) => return,
    };
    if let Cost::Priced { total, lines } = &record.cost {
        let sum = lines.iter().fold(NanoUsd::ZERO, |sum, line| sum.saturating_add(line.amount));
        if sum != *total {
            findings.add("record_total", format!("{name}: total {total}, lines {sum}"));
        }
    }
    let mut units: HashMap<Meter, u64> = HashMap::new();
    for line in lines {
        let is_back = line.amount < NanoUsd::ZERO;
        if line.price.times(line.units) != line.amount || (line.price.0 < 0 && !is_back) {
            let example = format!(
                "{name}: {} × {} at {} USD per million is {}, not {}",
                line.meter,
                line.units,
                line.price.as_usd_per_million(),
                line.price.times(line.units),
                line.amount
            );
            findings.add("line_unlike_price", example);
        }
        if line.price_row.is_empty() {
            findings.add("line_without_price_row", format!("{name}: {}", line.meter));
        }
        if is_back {
            continue;
        }
        let sum = units.entry(line.meter).or_default();
        *sum = sum.saturating_add(line.units);
        match prices.get(&(line.price_row.clone(), line.meter)) {
            Some(known) if *known != line.price => {
                let (met, now) = (known.as_usd_per_million(), line.price.as_usd_per_million());
                findings.add("price_differs", format!("{name}: {} by `{}`: {met}, {now}", line.meter, line.price_row));
            }
            Some(_) => {}
            None => drop(prices.insert((line.price_row.clone(), line.meter), line.price)),
        }
    }
    // What puts an earlier cost right, and capacity that was paid for and not used, consumed nothing themselves.
    if matches!(record.intent.cause.as_str(), "correction" | "capacity") {
        return;
    }
    for meter in Meter::ALL {
        let (used, charged) = (record.usage.get(*meter), units.get(meter).copied());
        let is_missing = missing.contains(meter) && charged.is_none();
        if !is_missing && charged.unwrap_or(0) != used {
            let example = format!("{name}: {meter} used {used}, charged {}", charged.unwrap_or(0));
            findings.add("line_unlike_usage", example);
        }
    }
}

fn times(record: &Record, findings: &mut Findings) {
    let intent = &record.intent;
    if record.ended_at < intent.at {
        findings.add("record_times", format!("{}: sent {}, ended {}", intent.attempt, intent.at, record.ended_at));
    }
    if intent.at < intent.attempt.call.minted_at() {
        let came = intent.attempt.call.minted_at();
        findings.add("record_times", format!("{}: sent {}, came in {came}", intent.attempt, intent.at));
    }
}

fn journal_of(record: &Record, held: &[(i64, String, i64)], findings: &mut Findings) {
    let name = record.intent.attempt;
    let sum: i128 = held.iter().map(|(_, _, amount)| i128::from(*amount)).sum();
    if sum != 0 {
        findings.add("journal_unbalanced", format!("{name}: its lines sum to {sum} nano-dollars"));
    }
    let expected = ledger::journal::entries(record);
    let same = held.len() == expected.len()
        && (0i64..).zip(held).zip(&expected).all(|((place, (line, account, amount)), entry)| {
            *line == place && *account == entry.account && *amount == entry.amount.0
        });
    if !same {
        let say = |account: &str, amount: i64| format!("{account} {amount}");
        let held: Vec<String> = held.iter().map(|(_, account, amount)| say(account, *amount)).collect();
        let wanted: Vec<String> = expected.iter().map(|entry| say(&entry.account, entry.amount.0)).collect();
        let example = format!("{name}: has [{}], its record makes [{}]", held.join(", "), wanted.join(", "));
        findings.add("journal_unlike_record", example);
    }
}
