//! The FinOps Foundation's FOCUS: what was booked as charges, one for each hour and cell, in the columns of a version of the
//! specification. Exact: a charge's billed cost is what the ledger booked, its other costs are quantities times unit prices.
//!
//! Decimals have twelve places in every column, so that nothing is rounded: a pico-dollar is the smallest price there is. A charge
//! that has no price (an upper bound, a meter nobody can price) is an adjustment: FOCUS wants a price of every usage.

pub mod columns;
pub mod commitments;
pub mod invoices;

use std::sync::Arc;

use domain::usage::Direction;
use domain::{Cause, Meter, NanoUsd, UnixMs};

use crate::cells::{self, Basis, Cell};

pub use columns::{Column, Kind, Value, columns};
pub use commitments::Commitment;

/// Places of every decimal.
pub const SCALE: u32 = 12;
/// What a price row begins with that is no price of a usage: what was promised to be spent and was not.
pub const SHORTFALL: &str = "commitment/";
/// What the price row of capacity that nobody used begins with.
pub const CAPACITY: &str = "capacity/";
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// A version of the specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// 1.2, of which the official validator carries the rules.
    V1_2,
    /// 1.4: service and host provider in place of provider and publisher, commitments and invoice details in tables of their own.
    V1_4,
}

/// A charge: what one cell came to in one hour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// When the hour began.
    pub hour: UnixMs,
    /// What it is of.
    pub cell: Cell,
    /// Attempts that began in it.
    pub attempts: u64,
    /// Units of the meter.
    pub units: u64,
    /// What was booked.
    pub amount: NanoUsd,
    /// The commitments it draws from, where contracts are known.
    pub draws_from: Vec<Arc<Commitment>>,
}

/// In what a meter is priced and counted.
struct Measure {
    /// What one price is for.
    pricing_unit: &'static str,
    /// What is counted.
    consumed_unit: &'static str,
    /// How many counted make one priced.
    per_price: i128,
    /// How many of the meter's units make one counted.
    per_count: i128,
}

fn measure(meter: Meter) -> Measure {
    let apiece = |unit| Measure { pricing_unit: unit, consumed_unit: unit, per_price: 1, per_count: 1 };
    match (meter.direction(), meter.as_str()) {
        (Direction::Input | Direction::Output, _) => {
            Measure { pricing_unit: "1000000 Tokens", consumed_unit: "Tokens", per_price: 1_000_000, per_count: 1 }
        }
        (Direction::Apiece, name) if name.ends_with("_ms") => {
            Measure { pricing_unit: "Seconds", consumed_unit: "Seconds", per_price: 1, per_count: 1_000 }
        }
        (Direction::Apiece, "web_searches" | "file_searches" | "map_queries") => apiece("Searches"),
        (Direction::Apiece, "search_units") => apiece("Search Units"),
        (Direction::Apiece, "input_images" | "output_images") => apiece("Images"),
        (Direction::Apiece, "input_characters") => apiece("Characters"),
        (Direction::Apiece, "pages") => apiece("Pages"),
        (Direction::Apiece, "code_sessions") => apiece("Sessions"),
        (Direction::Apiece, "storage_mb_days") => apiece("MB-Days"),
        (Direction::Apiece, "guard_text_units") => apiece("Text Units"),
        (Direction::Apiece, "capacity_minutes") => apiece("Unit-Minutes"),
        (Direction::Apiece, _) => apiece("Requests"),
    }
}

impl Charge {
    /// Whether there is anything to say: a bound that was taken back leaves a charge of nothing.
    pub fn says_something(&self) -> bool {
        self.units > 0 || self.amount != NanoUsd::ZERO
    }

    /// The meter, where units of it were priced; a charge without one is an adjustment.
    fn priced(&self) -> Option<Meter> {
        let is_usage = !self.cell.price_row.is_empty() && !self.cell.price_row.starts_with(SHORTFALL);
        self.cell.meter.filter(|_| is_usage)
    }

    fn is_usage(&self) -> bool {
        self.priced().is_some() && self.amount >= NanoUsd::ZERO && self.units > 0 && !self.is_correction()
    }

    fn is_correction(&self) -> bool {
        self.cell.cause.as_str() == "correction"
    }

    /// Priced quantity, in units of ten to the minus twelve.
    fn quantity(&self, meter: Meter) -> i128 {
        let measure = measure(meter);
        i128::from(self.units) * 10i128.pow(SCALE) / (measure.per_price * measure.per_count)
    }

    /// Pico-dollars per priced unit.
    fn unit_price(&self, meter: Meter, pico: i64) -> i128 {
        let measure = measure(meter);
        i128::from(pico) * measure.per_price * measure.per_count
    }

    /// Pico-dollars at a price: exact, where the ledger rounded each of its lines to a nano-dollar.
    fn at_price(&self, pico: i64) -> i128 {
        i128::from(pico) * i128::from(self.units)
    }

    fn list_pico(&self) -> i64 {
        cells::list_price(&self.cell.price_row, self.cell.price).0
    }

    /// Pico-dollars booked.
    fn billed(&self) -> i128 {
        i128::from(self.amount.0) * 1_000
    }

    /// The provider's month, UTC, and its end.
    fn billing_period(&self) -> (UnixMs, UnixMs) {
        let (start, end) = crate::Window::utc(crate::Period::Month).bounds(self.hour);
        (start, end.expect("a month ends"))
    }

    /// The price row without what the contract took off: the provider's own.
    fn list_row(&self) -> &str {
        self.cell.price_row.split("#contract-").next().unwrap_or_default()
    }

    /// Provider and model of the price row, before its date and conditions.
    fn sku(&self, meter: Meter) -> String {
        let row = self.cell.price_row.split(['@', '#']).next().unwrap_or_default();
        format!("{row}/{meter}")
    }

    fn snapshot(&self) -> &str {
        match self.cell.upstream_model.as_str() {
            "" => self.cell.model.as_str(),
            upstream => upstream,
        }
    }

    /// The line of its provider's invoice it belongs to: month, model and meter.
    fn invoice_detail(&self) -> String {
        let month = seconds(self.billing_period().0);
        let (cell, kind) = (&self.cell, if self.is_usage() { "usage" } else { "adjustment" });
        let meter = cell.meter.map_or("none", Meter::as_str);
        format!("{}/{}/{}/{meter}/{kind}", cell.provider, &month[..7], self.snapshot())
    }

    /// One sentence that needs no other column.
    fn description(&self) -> String {
        let cell = &self.cell;
        let why = match cell.cause {
            Cause::Serve => String::new(),
            cause => format!(", {cause}"),
        };
        let what = match (cell.basis, cell.meter) {
            _ if cell.price_row.starts_with(SHORTFALL) => format!("not spent of {}", cell.price_row),
            (Basis::UpperBound, _) => "upper bound of what is not known yet".to_owned(),
            (Basis::Unexplained, _) => "booked without a line".to_owned(),
            (Basis::Unpriced, Some(meter)) => format!("{} units of {meter} without a price", self.units),
            (_, Some(meter)) => format!("{meter}, {} counted", self.units),
            (_, None) => "nothing consumed".to_owned(),
        };
        format!("{}: {what}{why}", self.snapshot())
    }

    /// What the price depends on, as FOCUS keeps it until there are columns: keys of ours begin with `x_`.
    fn price_details(&self, meter: Meter) -> String {
        let cell = &self.cell;
        let mut pairs = vec![format!("\"x_ModelId\":{}", json(self.snapshot()))];
        let mut say = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                pairs.push(format!("\"{key}\":{}", json(value)));
            }
        };
        say("x_ServiceTier", Some(cells::part(&cell.price_row, "tier").unwrap_or("standard")));
        say("x_ContextAboveTokens", cells::part(&cell.price_row, "above"));
        say("x_BilledRegion", cells::part(&cell.price_row, "region"));
        let direction = match meter.direction() {
            Direction::Input => Some("Input"),
            Direction::Output => Some("Output"),
            Direction::Apiece => None,
        };
        say("x_TokenDirection", direction);
        let name = meter.as_str();
        let cache = match () {
            () if name.starts_with("cache_read") => "Read",
            () if name.starts_with("cache_write") => "Write",
            () => "Uncached",
        };
        say("x_TokenCacheAction", direction.filter(|direction| *direction == "Input").map(|_| cache));
        let modality = ["audio", "image", "video"].into_iter().find(|modality| name.contains(modality));
        say("x_Modality", direction.map(|_| modality.unwrap_or("text")));
        format!("{{{}}}", pairs.join(","))
    }

    fn tags(&self) -> String {
        let cell = &self.cell;
        let workflow = cell.workflow.as_ref().map(|name| format!("\"workflow\":{},", json(name.as_str())));
        format!(
            "{{{}\"cause\":{},\"model\":{}}}",
            workflow.unwrap_or_default(),
            json(cell.cause.as_str()),
            json(cell.model.as_str())
        )
    }
}

/// RFC 3339 without a fraction.
fn seconds(at: UnixMs) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text,
    }
}

/// A text as JSON.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A decimal with twelve places.
pub fn decimal(value: i128) -> String {
    let unit = 10u128.pow(SCALE);
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    format!("{sign}{}.{:012}", value / unit, value % unit)
}

#[cfg(test)]
#[path = "focus/tests.rs"]
mod tests;
