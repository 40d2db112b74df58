//! FOCUS 1.4's commitments: what was promised to a provider to be spent, and which charges draw from it.

use domain::{NanoUsd, ProviderName, UnixMs};

use super::Charge;
use super::columns::Value;

/// A promise to spend so much at a provider between two days.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commitment {
    /// The contract's name.
    pub contract: String,
    /// With whom.
    pub provider: ProviderName,
    /// The first day, UTC.
    pub from: UnixMs,
    /// The day before which it ends; absent while it lasts.
    pub until: Option<UnixMs>,
    /// What was promised.
    pub amount: NanoUsd,
}

impl Commitment {
    /// Its name within the contract.
    pub(super) fn id(&self) -> String {
        format!("{}/commitment", self.contract)
    }

    /// Whether it lasts for any part of `from..to`.
    pub fn touches(&self, from: UnixMs, to: UnixMs) -> bool {
        self.from < to && self.until.is_none_or(|until| from < until)
    }

    /// Whether a charge draws from it: priced usage at its provider while it lasts, as calls drew from it when they were booked.
    pub fn is_drawn_by(&self, charge: &Charge) -> bool {
        let lasts = self.from <= charge.hour && self.until.is_none_or(|until| charge.hour < until);
        lasts && charge.cell.provider == self.provider && charge.is_usage() && charge.cell.price.0 > 0
    }

    /// Its row, in the order of [`super::invoices::COMMITMENT_COLUMNS`].
    pub fn row(&self) -> Vec<Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        let until = self.until.map_or(Value::Null, Value::Time);
        let description = format!("{} USD to be spent at {}", self.amount, self.provider);
        vec![
            text("USD"),
            text("Spend"),
            Value::Decimal(i128::from(self.amount.0) * 1_000),
            text(&description),
            text(&self.id()),
            until.clone(),
            Value::Time(self.from),
            Value::Null,
            text("Spend Commitment"),
            Value::Null,
            text(&self.contract),
            until,
            Value::Time(self.from),
        ]
    }
}
