//! A streamed answer that holds only a part of what it can cost takes more while it comes, and ends where a budget has no more.

use std::sync::Arc;

use config::Model;
use domain::UnixMs;
use wire::Seen;

use crate::budgets::{Budgets, Held, Spent};
use crate::deployed::Slot;
use crate::spend::{LEAST_OUTPUT_HELD, Part};

/// Share of the hold at which more is taken, percent.
const TOP_UP_AT_PERCENT: u64 = 80;

/// What a stream still holds, and when to look again.
pub struct TopUp {
    part: Part,
    model: Arc<Model>,
    slot: Arc<Slot>,
    at: UnixMs,
    /// Whether nothing more was to be had when last asked.
    exhausted: bool,
    /// Output bytes at which to look again.
    next_bytes: u64,
    /// Output bytes when last asked.
    last_bytes: u64,
    /// The most output bytes that came at once: as many may come next, and cannot be sent back.
    most_at_once: u64,
}

impl TopUp {
    /// A stream that holds this part of what it can cost.
    pub fn new(part: Part, model: Arc<Model>, slot: Arc<Slot>, at: UnixMs) -> TopUp {
        let mut top_up =
            TopUp { part, model, slot, at, exhausted: false, next_bytes: 0, last_bytes: 0, most_at_once: 0 };
        top_up.look_again();
        top_up
    }

    /// Whether to look now: one comparison for each frame.
    pub fn is_due(&mut self, seen: &Seen) -> bool {
        let came = seen.output_bytes.saturating_sub(self.last_bytes);
        self.last_bytes = seen.output_bytes;
        self.most_at_once = self.most_at_once.max(came);
        seen.output_bytes.saturating_add(self.most_at_once) >= self.next_bytes
    }

    /// Takes more where what has come nears what is held. The error says that a budget has no more and what is held is used.
    pub fn take(&mut self, seen: &Seen, budgets: &Budgets, held: &mut Held) -> Result<(), Box<Spent>> {
        let emitted = self.emitted(seen).saturating_add(self.slot.upper_tokens(self.most_at_once));
        if emitted * 100 < self.part.output * self.due_percent() {
            // The provider itself tells of fewer tokens than the bytes might have been.
            self.look_again_from(seen);
            return Ok(());
        }
        let left = self.part.cap - self.part.output.min(self.part.cap);
        // Half as much again; where that is too much, ever less: what a budget still has is used.
        let mut more = (self.part.output / 2).max(LEAST_OUTPUT_HELD).min(left);
        while more > 0 {
            let topped = Part { output: self.part.output + more, ..self.part };
            let needed = topped.spend(&self.model, self.at).beyond(self.part.spend(&self.model, self.at));
            match budgets.top_up(held, needed) {
                Ok(()) => {
                    self.part = topped;
                    self.exhausted = false;
                    self.look_again();
                    return Ok(());
                }
                Err(spent) if more <= LEAST_OUTPUT_HELD / 4 => return self.refused(spent),
                Err(_) => more /= 2,
            }
        }
        // All it can ever be is held.
        self.next_bytes = u64::MAX;
        Ok(())
    }

    /// What is left of the hold may still be used; once it is, the answer ends.
    fn refused(&mut self, spent: Box<Spent>) -> Result<(), Box<Spent>> {
        if self.exhausted {
            return Err(spent);
        }
        self.exhausted = true;
        self.look_again();
        Ok(())
    }

    fn due_percent(&self) -> u64 {
        if self.exhausted { 100 } else { TOP_UP_AT_PERCENT }
    }

    fn look_again(&mut self) {
        self.next_bytes = match self.part.output >= self.part.cap {
            true => u64::MAX,
            false => self.slot.bytes_of_tokens(self.part.output * self.due_percent() / 100),
        };
    }

    /// Looks again a little later than now.
    fn look_again_from(&mut self, seen: &Seen) {
        self.next_bytes = seen.output_bytes + self.most_at_once + self.slot.bytes_of_tokens(LEAST_OUTPUT_HELD / 4);
    }

    /// The most tokens that may have come: as told, where the provider tells with each piece, or else by their bytes.
    fn emitted(&self, seen: &Seen) -> u64 {
        match seen.usage.map(|usage| usage.output_tokens()).filter(|_| self.tells_as_it_goes()) {
            Some(tokens) => tokens,
            None => self.slot.upper_tokens(seen.output_bytes),
        }
    }

    fn tells_as_it_goes(&self) -> bool {
        self.model.provider.quirks.stream_usage == wire::quirks::StreamUsage::Continuous
    }
}
