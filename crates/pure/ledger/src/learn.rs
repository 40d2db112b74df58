//! How many tokens were these bytes, and how long will an answer be? Learned from what providers report, in integers.

use domain::NanoUsd;

/// Bytes of text per token of one model, learned from the usage it reports.
///
/// An average in which each observation weighs 1/n until n is [`BytesPerToken::MEMORY`], and that much ever after.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BytesPerToken {
    milli_bytes_per_token: u64,
    /// Mean absolute error of the estimate made before each observation, thousandths of the true count.
    error_permille: u64,
    observations: u64,
}

impl BytesPerToken {
    /// How many observations the average remembers.
    pub const MEMORY: u64 = 64;

    /// Before anything was observed: the English rule of thumb in OpenAI's tokenizer documentation, four characters a
    /// token.
    pub const UNLEARNED_MILLI_BYTES: u64 = 4000;

    /// Before anything was observed: a byte-level tokenizer makes at most one token of a byte, so no more than four times
    /// the estimate, 300 % above it.
    pub const UNLEARNED_ERROR_PERCENT: u16 = 300;

    /// Learns from a usage the provider reported; nothing from an empty one.
    pub fn observe(&mut self, bytes: u64, tokens: u64) {
        if bytes == 0 || tokens == 0 {
            return;
        }
        if self.observations > 0 {
            let off = self.estimate(bytes).0.abs_diff(tokens);
            let off_permille = clamp(u128::from(off) * 1000 / u128::from(tokens));
            self.error_permille = average(self.error_permille, off_permille, self.observations);
        }
        let milli_bytes = clamp(u128::from(bytes) * 1000 / u128::from(tokens)).max(1);
        self.observations = (self.observations + 1).min(Self::MEMORY);
        self.milli_bytes_per_token = average(self.milli_bytes_per_token, milli_bytes, self.observations);
    }

    /// The tokens of so many bytes, rounded up, and by how many percent that may be off: the mean error so far.
    pub fn estimate(&self, bytes: u64) -> (u64, u16) {
        let milli_bytes = if self.observations == 0 { Self::UNLEARNED_MILLI_BYTES } else { self.milli_bytes_per_token };
        let tokens = clamp((u128::from(bytes) * 1000).div_ceil(u128::from(milli_bytes.max(1))));
        // The error is known from the second observation on.
        let error_percent = match self.observations {
            0 | 1 => Self::UNLEARNED_ERROR_PERCENT,
            _ => u16::try_from(self.error_permille.div_ceil(10)).unwrap_or(u16::MAX),
        };
        (tokens, error_percent)
    }
}

impl BytesPerToken {
    /// The bytes at which the upper end of the estimate reaches so many tokens, at least one.
    pub fn bytes_of(&self, tokens: u64) -> u64 {
        const SAMPLE_BYTES: u64 = 1_000_000;
        let upper = self.upper(SAMPLE_BYTES);
        clamp(u128::from(tokens) * u128::from(SAMPLE_BYTES) / u128::from(upper.max(1))).max(1)
    }

    /// Whether anything was observed.
    pub fn is_learned(&self) -> bool {
        self.observations > 0
    }

    /// The most tokens that so many bytes of a stream are taken for: the upper end of the estimate, but no more than twice
    /// it. Before anything is learned that is two bytes a token, which covers Chinese and Japanese (three bytes a character,
    /// seldom more than one and a half tokens each); a byte for each token would end answers that fit four times over.
    pub fn upper(&self, bytes: u64) -> u64 {
        let (estimate, error_percent) = self.estimate(bytes);
        clamp(u128::from(estimate) * (100 + u128::from(error_percent.min(100))) / 100)
    }
}

/// Moves an average towards `new` by 1/n, rounding to the nearest.
fn average(old: u64, new: u64, n: u64) -> u64 {
    let n = u128::from(n.max(1));
    clamp((u128::from(old) * (n - 1) + u128::from(new) + n / 2) / n)
}

fn clamp(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// How long the answers of one workflow at one model are, in tokens: a histogram of fixed logarithmic buckets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputLength {
    counts: Vec<u32>,
    observations: u64,
    sum_tokens: u128,
}

impl OutputLength {
    /// Buckets per doubling: a bucket's upper edge is at most 1/8 above its lower one.
    const PER_OCTAVE: u64 = 8;
    /// Observations at which all counts are halved, so that the histogram follows a workflow that changes.
    pub const MEMORY: u64 = 4096;
    /// From 99 observations on the 99th percentile of the next one lies within what was seen: the conformal rank
    /// ⌈0.99 × (n + 1)⌉ is then at most n.
    pub const LEAST_FOR_Q99: u64 = 99;

    /// Nothing observed.
    pub fn new() -> OutputLength {
        OutputLength { counts: Vec::new(), observations: 0, sum_tokens: 0 }
    }

    /// Learns from one answer.
    pub fn observe(&mut self, tokens: u64) {
        if self.observations >= Self::MEMORY {
            self.forget_half();
        }
        let place = bucket_of(tokens);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.observations += 1;
        self.sum_tokens += u128::from(tokens);
    }

    /// The mean length; `None` before anything was observed.
    pub fn mean(&self) -> Option<u64> {
        let n = u128::from(self.observations);
        (n > 0).then(|| clamp((self.sum_tokens + n / 2) / n))
    }

    /// A length that at most one answer in a hundred exceeds: the upper edge of the bucket, so never too little for what
    /// was seen. `None` below [`OutputLength::LEAST_FOR_Q99`] observations.
    pub fn q99(&self) -> Option<u64> {
        if self.observations < Self::LEAST_FOR_Q99 {
            return None;
        }
        let rank = ((self.observations + 1) * 99).div_ceil(100);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        place.map(upper_edge)
    }

    /// Halves every count, the odd ones up, and the sum in the same proportion.
    fn forget_half(&mut self) {
        let before = self.observations;
        self.counts.iter_mut().for_each(|count| *count = count.div_ceil(2));
        self.observations = self.counts.iter().map(|count| u64::from(*count)).sum();
        self.sum_tokens = self.sum_tokens * u128::from(self.observations) / u128::from(before.max(1));
    }
}

impl Default for OutputLength {
    fn default() -> Self {
        Self::new()
    }
}

/// Below 8 a bucket a value; above, 8 buckets a doubling.
fn bucket_of(tokens: u64) -> usize {
    let buckets = OutputLength::PER_OCTAVE;
    if tokens < buckets {
        return tokens as usize;
    }
    let octave = u64::from(tokens.ilog2() - buckets.ilog2());
    (octave * buckets + (tokens >> octave)) as usize
}

/// The largest value of a bucket.
fn upper_edge(place: usize) -> u64 {
    let (place, buckets) = (place as u64, OutputLength::PER_OCTAVE);
    if place < 2 * buckets {
        return place;
    }
    let octave = place / buckets - 1;
    let first = u128::from(place - octave * buckets) << octave;
    clamp(first + (1 << octave) - 1)
}

/// An amount of money for an estimate that may be off by so many percent: its upper end.
pub fn upper_end(amount: NanoUsd, error_percent: u16) -> NanoUsd {
    let more = i128::from(amount.0) * (100 + i128::from(error_percent));
    NanoUsd(i64::try_from((more + 99).div_euclid(100)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn before_anything_is_learned_the_rule_of_thumb_holds_with_a_wide_error() {
        assert_eq!(BytesPerToken::default().estimate(401), (101, 300));
    }

    #[test]
    fn so_many_bytes_may_be_so_many_tokens() {
        let mut learned = BytesPerToken::default();
        assert_eq!((learned.bytes_of(100), learned.upper(200)), (200, 100), "before anything is learned");
        (1..=5).for_each(|n| learned.observe(n * 300, n * 100));
        assert_eq!(learned.bytes_of(100), 299);
    }

    #[test]
    fn a_constant_ratio_is_learned_without_error() {
        let mut learned = BytesPerToken::default();
        (1..=5).for_each(|n| learned.observe(n * 300, n * 100));
        assert_eq!(learned.estimate(3000), (1000, 0));
        learned.observe(0, 5);
        learned.observe(5, 0);
        assert_eq!(learned.estimate(3000), (1000, 0), "an empty usage teaches nothing");
    }

    #[test]
    fn the_error_says_how_far_estimates_were_off() {
        let mut learned = BytesPerToken::default();
        (0..400).for_each(|n| learned.observe(1000, if n % 2 == 0 { 200 } else { 300 }));
        let (tokens, error_percent) = learned.estimate(1000);
        assert!((230..=250).contains(&tokens), "{tokens}");
        assert!((17..=25).contains(&error_percent), "{error_percent}");
    }

    #[test]
    fn a_length_is_known_from_99_answers_on() {
        let mut lengths = OutputLength::new();
        assert_eq!((lengths.mean(), lengths.q99()), (None, None));
        (1..=98).for_each(|_| lengths.observe(7));
        assert_eq!((lengths.mean(), lengths.q99()), (Some(7), None));
        lengths.observe(7);
        assert_eq!(lengths.q99(), Some(7));
    }

    #[test]
    fn lengths_follow_a_workflow_that_changes() {
        let mut lengths = OutputLength::new();
        (0..5000).for_each(|_| lengths.observe(4000));
        (0..50_000).for_each(|_| lengths.observe(10));
        assert!(lengths.mean().unwrap() < 20, "{:?}", lengths.mean());
        assert_eq!(lengths.q99(), Some(10));
    }

    #[test]
    fn an_estimate_has_an_upper_end() {
        assert_eq!(upper_end(NanoUsd(101), 10), NanoUsd(112));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_and_is_narrow(tokens in any::<u64>()) {
            let edge = upper_edge(bucket_of(tokens));
            prop_assert!(edge >= tokens && edge - tokens <= tokens / 8);
            prop_assert_eq!(bucket_of(edge), bucket_of(tokens));
        }

        #[test]
        fn at_most_one_in_a_hundred_exceeds_q99(lengths in proptest::collection::vec(0u64..100_000, 99..1500)) {
            let mut learned = OutputLength::new();
            lengths.iter().for_each(|tokens| learned.observe(*tokens));
            let q99 = learned.q99().unwrap();
            let above = lengths.iter().filter(|tokens| **tokens > q99).count();
            prop_assert!(above * 100 <= lengths.len(), "{} of {} above {}", above, lengths.len(), q99);
        }
    }
}
