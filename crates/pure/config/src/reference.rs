//! The reference of every key of freehold.toml: docs/configuration.md, generated from the rows the reader checks against,
//! so that no key is known and undocumented or the other way round.

use domain::Meter;

use crate::key::{Key, Section};
use crate::{
    aliases, anomalies, budgets, cache, capacity, concentration, contracts, criticality, defaults, hedge, identity,
    lanes, mcp, models, notify, prices, providers, secret, server, workflows,
};

/// Every table of freehold.toml, in the order of the reference.
pub const SECTIONS: &[&Section] = &[
    &server::SECTION,
    &defaults::SECTION,
    &defaults::RETRY,
    &defaults::TIMEOUTS,
    &providers::SECTION,
    &secret::SECTION,
    &identity::SECTION,
    &providers::TERMS,
    &models::SECTION,
    &models::PRICE,
    &prices::BAND,
    &prices::TIER,
    &prices::REGION,
    &prices::SLICE,
    &prices::OFF_PEAK,
    &prices::ALLOWANCE,
    &prices::CURRENCY,
    &capacity::SECTION,
    &contracts::SECTION,
    &contracts::VOLUME,
    &lanes::SECTION,
    &anomalies::LANE,
    &lanes::SLO,
    &hedge::HEDGE,
    &criticality::SECTION,
    &concentration::SECTION,
    &budgets::ORGANISATION,
    &budgets::UNIT,
    &workflows::SECTION,
    &anomalies::WORKFLOW,
    &budgets::BUDGET,
    &budgets::THRESHOLD,
    &workflows::CAPTURE,
    &cache::SECTION,
    &cache::NEAR,
    &aliases::SECTION,
    &mcp::SECTION,
    &notify::SECTION,
];

const HEAD: &str = include_str!("reference_head.md");

/// The whole document.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        text.push_str(&format!("\n## `{}`\n\n{}\n\n", section.path, section.about));
        text.push_str("| key | takes | default | meaning | example |\n|---|---|---|---|---|\n");
        for key in section.keys {
            text.push_str(&row(key));
        }
        if section.meters {
            let meters: Vec<String> = Meter::ALL.iter().map(|meter| format!("`{meter}`")).collect();
            text.push_str(&format!(
                "| {} | decimal text, USD per million units | not priced, or the price of the nearest meter | Price of one meter. | `\"3.00\"` |\n",
                meters.join(", ")
            ));
        }
    }
    text
}

fn row(key: &Key) -> String {
    let example = if key.example.is_empty() { String::new() } else { format!("`{} = {}`", key.name, key.example) };
    format!("| `{}` | {} | {} | {} | {} |\n", key.name, key.takes, key.default, key.meaning, example)
}
