//! Known mistakes of other gateways with money, as vectors: what a provider tells, a price row, and the exact cost in nano-dollars.
//!
//! A test's name has the number of the issue it comes from (`litellm_42663_…` is BerriAI/litellm#42663) or of the list of pains
//! that the project keeps (`pain_8_…`). Figures that an issue tells are used as told. The price rows stand in the vectors and not in
//! the catalog, so that a new price does not move a vector. Every cost is worked out in a comment: USD per million tokens is
//! thousands of nano-dollars per token (3 USD per million are 3000 nano-dollars a token).

mod anthropic;
mod dimensions;
mod google;
mod openai;
mod partition;
mod table;

use domain::{Cost, Meter, PicoUsd, UnixMs, Usage};
use ledger::price::{PriceRow, Prices, Served, price};
use wire::{Dialect, Seen, reply_body};

use crate::support::{plan, relay};

/// A day on which every row of these vectors is valid.
const AT: UnixMs = UnixMs(1_795_252_724_005);

/// A row with these prices in USD per million.
fn row(provider: &str, model: &str, usd_per_million: &[(Meter, &str)]) -> PriceRow {
    PriceRow::new(format!("{provider}/{model}@vector"), provider, model, prices(usd_per_million))
}

fn prices(usd_per_million: &[(Meter, &str)]) -> Prices {
    usd_per_million
        .iter()
        .fold(Prices::NONE, |prices, (meter, usd)| prices.with(*meter, PicoUsd::per_million(usd).expect("a decimal")))
}

/// What is seen of a whole answer.
fn whole(dialect: Dialect, body: &str) -> Seen {
    reply_body(&plan(dialect), body.as_bytes()).expect("an answer").1
}

/// What is seen of a stream of these events, up to where they end.
fn streamed(dialect: Dialect, events: &[&str]) -> Seen {
    let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    relay(&plan(dialect), [text.as_bytes()]).seen
}

/// What was consumed.
fn usage(seen: &Seen) -> Usage {
    seen.usage.expect("a usage was told")
}

/// What the answer costs by this row, as the gateway prices it: nano-dollars.
#[track_caller]
fn nano_usd(seen: &Seen, row: &PriceRow) -> i64 {
    let served = Served { at: AT, tier: seen.service_tier.as_deref(), region: seen.geography.as_deref() };
    match price(&usage(seen), Some(row), &served) {
        Cost::Priced { total, lines } => {
            assert_eq!(total, lines.iter().map(|line| line.amount).sum());
            assert!(lines.iter().all(|line| line.price_row.starts_with(&row.id)), "every line names its row");
            total.0
        }
        unpriced => panic!("{unpriced:?}"),
    }
}
