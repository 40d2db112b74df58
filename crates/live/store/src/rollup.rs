//! What is summed while facts are taken over, so that a page adds up days and minutes instead of calls.

use std::collections::BTreeMap;

use domain::{AttemptEnd, Blame, CallEnd, Cost, KeyId, LaneName, ModelName, Record, UnixMs, WorkflowName};
use rustc_hash::FxHashMap;

/// Milliseconds of a minute, an hour, a day: the widths sums are kept in.
pub const MINUTE_MS: i64 = 60_000;
/// See [`MINUTE_MS`].
pub const HOUR_MS: i64 = 3_600_000;
/// See [`MINUTE_MS`]. UTC days; Unix time has no leap seconds, so every one has this length.
pub const DAY_MS: i64 = 86_400_000;

/// The most one attempt adds to a sum, in tokens or nano-dollars (9 million USD). A provider that reports more is
/// wrong, and an overflowing sum would stop everything behind it; the record and the journal keep the figure as it
/// came.
pub const LARGEST_SUMMAND: i64 = 9_000_000_000_000_000;

/// Whose sum it is: width, start, workflow, lane, model, key. Empty text where there is none.
pub(crate) type SumKey = (i64, i64, String, String, String, String);
/// As [`SumKey`], with the bucket of the first-token time in place of the key.
pub(crate) type BucketKey = (i64, i64, String, String, String, u32);

#[derive(Default, Clone, Copy)]
pub(crate) struct SpendSum {
    pub attempts: i64,
    pub cost_nano: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub unpriced: i64,
    pub indeterminate: i64,
}

#[derive(Default, Clone, Copy)]
pub(crate) struct TrafficSum {
    pub calls: i64,
    pub errors: i64,
    pub cost_nano: i64,
}

/// The sums of one batch, in the narrowest width of each; [`Sums::spend`] and its like widen them.
#[derive(Default)]
pub(crate) struct Sums {
    /// By hour.
    spend: FxHashMap<Whose, SpendSum>,
    /// By minute.
    traffic: FxHashMap<Whose, TrafficSum>,
    /// By minute, and by bucket of the first-token time.
    first_tokens: FxHashMap<(Whose, u32), i64>,
    last_used: FxHashMap<KeyId, i64>,
}

/// Start, workflow, lane, model, key: names as the facts share them, so that finding a sum copies no text.
type Whose = (i64, Option<WorkflowName>, Option<LaneName>, Option<ModelName>, Option<KeyId>);

impl Sums {
    pub fn add_record(&mut self, record: &Record) {
        let intent = &record.intent;
        let whose = (
            start_of(intent.at, HOUR_MS),
            intent.workflow.clone(),
            intent.lane.clone(),
            Some(intent.model.clone()),
            Some(intent.key.clone()),
        );
        let sum = self.spend.entry(whose).or_default();
        sum.attempts += 1;
        add(&mut sum.cost_nano, record.cost.booked().0);
        add(&mut sum.input_tokens, crate::open::signed(record.usage.input_tokens()));
        add(&mut sum.output_tokens, crate::open::signed(record.usage.output_tokens()));
        sum.unpriced += i64::from(is_unpriced(&record.cost));
        sum.indeterminate += i64::from(record.end == AttemptEnd::Indeterminate);
        self.used(&intent.key, record.ended_at);
    }

    pub fn add_call(&mut self, call: &CallEnd) {
        let start = start_of(call.ended_at, MINUTE_MS);
        let whose = (start, call.workflow.clone(), call.lane.clone(), call.model.clone(), call.key.clone());
        // A whole answer has no first token to wait for: what is noted of it is when all of it came.
        if let Some(ms) = call.first_token_ms.filter(|_| call.stream) {
            // Pages do not ask for them by key.
            let whose = (start, call.workflow.clone(), call.lane.clone(), call.model.clone(), None);
            *self.first_tokens.entry((whose, bucket(ms))).or_default() += 1;
        }
        let sum = self.traffic.entry(whose).or_default();
        sum.calls += 1;
        sum.errors += i64::from(is_error(call));
        add(&mut sum.cost_nano, call.cost.0);
        if let Some(key) = &call.key {
            self.used(key, call.ended_at);
        }
    }

    fn used(&mut self, key: &KeyId, at: UnixMs) {
        match self.last_used.get_mut(key) {
            Some(last) => *last = at.0.max(*last),
            None => drop(self.last_used.insert(key.clone(), at.0)),
        }
    }

    /// Money by hour and day.
    pub fn spend(&self) -> BTreeMap<SumKey, SpendSum> {
        let mut wide: BTreeMap<SumKey, SpendSum> = BTreeMap::new();
        for (whose, narrow) in &self.spend {
            for width in [HOUR_MS, DAY_MS] {
                let sum = wide.entry(sum_key(whose, width)).or_default();
                sum.attempts += narrow.attempts;
                sum.unpriced += narrow.unpriced;
                sum.indeterminate += narrow.indeterminate;
                sum.cost_nano = sum.cost_nano.saturating_add(narrow.cost_nano);
                sum.input_tokens = sum.input_tokens.saturating_add(narrow.input_tokens);
                sum.output_tokens = sum.output_tokens.saturating_add(narrow.output_tokens);
            }
        }
        wide
    }

    /// Calls by minute, hour and day.
    pub fn traffic(&self) -> BTreeMap<SumKey, TrafficSum> {
        let mut wide: BTreeMap<SumKey, TrafficSum> = BTreeMap::new();
        for (whose, narrow) in &self.traffic {
            for width in [MINUTE_MS, HOUR_MS, DAY_MS] {
                let sum = wide.entry(sum_key(whose, width)).or_default();
                sum.calls += narrow.calls;
                sum.errors += narrow.errors;
                sum.cost_nano = sum.cost_nano.saturating_add(narrow.cost_nano);
            }
        }
        wide
    }

    /// First-token times by minute, hour and day.
    pub fn first_tokens(&self) -> BTreeMap<BucketKey, i64> {
        let mut wide = BTreeMap::new();
        for ((whose, bucket), calls) in &self.first_tokens {
            for width in [MINUTE_MS, HOUR_MS, DAY_MS] {
                let (width, start, workflow, lane, model, _) = sum_key(whose, width);
                *wide.entry((width, start, workflow, lane, model, *bucket)).or_default() += calls;
            }
        }
        wide
    }

    /// When each key was last used.
    pub fn last_used(&self) -> Vec<(String, i64)> {
        self.last_used.iter().map(|(key, at)| (key.to_string(), *at)).collect()
    }
}

fn sum_key((start, workflow, lane, model, key): &Whose, width: i64) -> SumKey {
    let start = start_of(UnixMs(*start), width);
    (width, start, text(workflow.as_ref()), text(lane.as_ref()), text(model.as_ref()), text(key.as_ref()))
}

/// Whether a call failed by anybody's fault but the client's.
pub fn is_error(call: &CallEnd) -> bool {
    call.failure.as_ref().is_some_and(|failure| failure.blame != Blame::Client)
}

/// Whether an attempt consumed something nobody could price.
pub fn is_unpriced(cost: &Cost) -> bool {
    matches!(cost, Cost::Unpriced { .. } | Cost::AtMost(None))
}

/// When the minute, hour or day of this time begins.
pub fn start_of(at: UnixMs, width_ms: i64) -> i64 {
    at.0.div_euclid(width_ms) * width_ms
}

/// The bucket of a time: eight to every doubling, so a bucket is at most an eighth as wide as what is in it.
pub fn bucket(ms: u64) -> u32 {
    if ms < 8 {
        return ms as u32;
    }
    let doubling = 63 - ms.leading_zeros();
    (doubling - 2) * 8 + ((ms >> (doubling - 3)) & 7) as u32
}

/// The middle of a bucket, milliseconds: off by at most a sixteenth.
pub fn bucket_middle_ms(bucket: u32) -> u64 {
    if bucket < 16 {
        return u64::from(bucket);
    }
    let width = 1u64 << (bucket / 8 - 1).min(60);
    (8 + u64::from(bucket % 8)) * width + width / 2
}

/// The time that `percent` of the counted ones do not exceed, from counts in the order of their buckets.
pub fn percentile_ms(counts: &[(u32, u64)], percent: u64) -> Option<u64> {
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let wanted = (total * percent).div_ceil(100).max(1);
    let mut seen = 0;
    counts.iter().find_map(|(bucket, count)| {
        seen += count;
        (seen >= wanted).then(|| bucket_middle_ms(*bucket))
    })
}

fn add(sum: &mut i64, summand: i64) {
    *sum = sum.saturating_add(summand.clamp(-LARGEST_SUMMAND, LARGEST_SUMMAND));
}

pub(crate) fn text(name: Option<&impl std::fmt::Display>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_come_from_the_counts() {
        assert_eq!(percentile_ms(&[], 50), None);
        assert_eq!(percentile_ms(&[(3, 1)], 95), Some(3));
        assert_eq!(percentile_ms(&[(1, 50), (7, 45), (12, 5)], 50), Some(1));
        assert_eq!(percentile_ms(&[(1, 50), (7, 45), (12, 5)], 95), Some(7));
        assert_eq!(percentile_ms(&[(1, 50), (7, 45), (12, 5)], 96), Some(12));
    }

    proptest! {
        #[test]
        fn a_bucket_is_near_what_is_in_it_and_buckets_keep_the_order(ms in 0u64..100_000_000, more in 0u64..1000) {
            let middle = bucket_middle_ms(bucket(ms));
            prop_assert!(middle.abs_diff(ms) <= ms / 16 + 1, "{ms} became {middle}");
            prop_assert!(bucket(ms) <= bucket(ms + more));
        }
    }
}
