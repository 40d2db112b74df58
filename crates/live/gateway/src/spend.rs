//! What an attempt takes from budgets: of its output at first, and in all once it is known.

use config::Model;
use domain::{Cost, NanoUsd, UnixMs, Usage};
use ledger::budget::Spend;

/// What is held at least of a streamed answer's output, tokens (the floor of the learned quantile).
pub const LEAST_OUTPUT_HELD: u64 = 64;

/// How much of a streamed answer is held: as much as nearly all of its like have needed. More is taken while it streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The most the input can be, tokens.
    pub input: u64,
    /// Output that is held, tokens, of all answers together.
    pub output: u64,
    /// The most the output can be, tokens, of all answers together.
    pub cap: u64,
}

impl Part {
    /// What holding it takes.
    pub fn spend(&self, model: &Model, at: UnixMs) -> Spend {
        let row = model.prices.as_ref().and_then(|book| book.row(at));
        let usd = row.map_or(NanoUsd::ZERO, |row| ledger::price::upper_bound(row, self.input, self.output, 1, at));
        Spend { usd, tokens: self.input.saturating_add(self.output) }
    }
}

/// What an attempt takes from budgets of money and of tokens.
pub fn spent(cost: &Cost, usage: &Usage) -> Spend {
    Spend { usd: cost.booked(), tokens: tokens(usage) }
}

/// Tokens sent and received.
pub fn tokens(usage: &Usage) -> u64 {
    usage.input_tokens().saturating_add(usage.output_tokens())
}
