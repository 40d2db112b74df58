//! Writes price rows as catalog/prices.toml has them; what [`crate::price_rows`] reads is the same rows.

use std::fmt::Write;

use ledger::hours::{DAY_MINUTES, Hours};
use ledger::price::{BEGINNING, Band, OffPeak, PriceRow, Prices, RegionPrices, Slice, TierPrices};
use ledger::running::{Counts, Running};

use crate::numbers::day_text;

/// The rows as TOML, under a comment that says where they are from.
pub fn written(rows: &[PriceRow], comment: &str) -> String {
    let mut text = format!("# {}\n", comment.replace('\n', " "));
    rows.iter().for_each(|row| one(row, &mut text));
    text
}

fn one(row: &PriceRow, text: &mut String) {
    let _ = writeln!(text, "\n[[price]]\nid = {}", quoted(&row.id));
    let _ = writeln!(text, "provider = {}\nmodel = {}", quoted(&row.provider), quoted(&row.model));
    if row.from != BEGINNING {
        let _ = writeln!(text, "from = \"{}\"", day_text(row.from));
    }
    if let Some(to) = row.to {
        let _ = writeln!(text, "to = \"{}\"", day_text(to));
    }
    for member in members(&row.prices) {
        let _ = writeln!(text, "{member}");
    }
    list("band", row.bands.iter().map(band), text);
    list("tier", row.tiers.iter().map(tier), text);
    list("region", row.regions.iter().map(region), text);
    list("slice", row.slices.iter().map(slice), text);
    list("off_peak", row.off_peak.iter().flat_map(off_peak), text);
    list("allowance", row.running.iter().filter_map(allowance), text);
    let _ = writeln!(text, "source = {}\nas_of = {}", quoted(&row.source), quoted(&row.as_of));
}

/// A TOML basic string is a JSON string, but for characters that no name has.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn members(prices: &Prices) -> impl Iterator<Item = String> + '_ {
    prices.iter().map(|(meter, price)| format!("{meter} = \"{}\"", price.as_usd_per_million()))
}

fn table(members: impl IntoIterator<Item = String>) -> String {
    format!("{{ {} }}", members.into_iter().collect::<Vec<_>>().join(", "))
}

fn list(name: &str, tables: impl Iterator<Item = String>, text: &mut String) {
    let tables: Vec<String> = tables.map(|table| format!("  {table},\n")).collect();
    if !tables.is_empty() {
        let _ = writeln!(text, "{name} = [\n{}]", tables.concat());
    }
}

fn band(band: &Band) -> String {
    let above = format!("above_input_tokens = {}", band.above_input_tokens);
    table(std::iter::once(above).chain(members(&band.prices)))
}

fn tier(tier: &TierPrices) -> String {
    let name = format!("tier = {}", quoted(&tier.tier));
    let bands: Vec<String> = tier.bands.iter().map(band).collect();
    let bands = (!bands.is_empty()).then(|| format!("band = [{}]", bands.join(", ")));
    table(std::iter::once(name).chain(members(&tier.prices)).chain(bands))
}

fn region(region: &RegionPrices) -> String {
    let multiplier = domain::PicoUsd(i64::from(region.multiplier_millionths)).as_usd_per_million();
    table([format!("region = {}", quoted(&region.region)), format!("multiplier = \"{multiplier}\"")])
}

fn slice(slice: &Slice) -> String {
    table(std::iter::once(format!("above_units = {}", slice.above_units)).chain(members(&slice.prices)))
}

/// A table for each stretch: those of the same prices are the same hours.
fn off_peak(off_peak: &OffPeak) -> impl Iterator<Item = String> + '_ {
    off_peak.hours.iter().map(move |hours| {
        let name = format!("name = {}", quoted(&off_peak.tier.tier));
        table([name, days(hours), stretch(hours)].into_iter().chain(members(&off_peak.tier.prices)))
    })
}

fn days(hours: &Hours) -> String {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().enumerate();
    let days: Vec<String> =
        names.filter(|(place, _)| hours.days & (1 << place) != 0).map(|(_, name)| format!("\"{name}\"")).collect();
    format!("days = [{}]", days.join(", "))
}

fn stretch(hours: &Hours) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute % DAY_MINUTES / 60, minute % 60);
    format!("hours = [\"{}-{}\"]", clock(hours.from_minute), clock(hours.to_minute))
}

/// An allowance; other totals are a contract's, and stand in no list.
fn allowance(running: &Running) -> Option<String> {
    let Counts::Units(meter) = running.counts else { return None };
    let free = running.steps.iter().map(|step| step.above).max()?;
    let name = format!("name = {}", quoted(&running.name));
    Some(table([name, format!("meter = \"{meter}\""), format!("free = {free}"), format!("per = \"{}\"", running.per)]))
}
