//! How often one call tries again, and how long it waits before it does.

/// How persistent one call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Attempts for one call in all, on whatever models.
    pub max_attempts: u16,
    /// Further attempts on the model that has just failed.
    pub retries_same: u16,
    /// Upper end of the first wait, milliseconds; it doubles with each further attempt.
    pub base_ms: u64,
    /// The longest single wait, a provider's Retry-After included, milliseconds.
    pub max_wait_ms: u64,
    /// How long a call that nobody can be asked for waits in all, milliseconds: every model is behind an open breaker or a limit.
    pub wait_out_ms: u64,
}

impl Default for RetryPolicy {
    /// Four attempts, one of them a retry on the same model, waits below 200 ms at first and 2 s at most: what a person
    /// waiting for an answer bears. Where nobody can be asked, 20 s: a breaker's first two open times and their probes. A judgement, not a measurement; `[defaults]` and workflows may set their own.
    fn default() -> Self {
        RetryPolicy { max_attempts: 4, retries_same: 1, base_ms: 200, max_wait_ms: 2_000, wait_out_ms: 20_000 }
    }
}

impl RetryPolicy {
    /// A wait drawn evenly from zero up to `base_ms · 2^made`, at most `max_wait_ms`, where `made` counts the attempts
    /// already made after the first: exponential backoff with full jitter, so that callers who failed together do not
    /// come back together.
    pub fn wait_ms(&self, retries_made: u16, chance: &mut Chance) -> u64 {
        let doubled = self.base_ms.saturating_mul(1 << u32::from(retries_made).min(20));
        chance.below(doubled.min(self.max_wait_ms).saturating_add(1))
    }
}

/// A stream of numbers from a seed: splitmix64 (Steele, Lea and Flood, 2014), enough for jitter and for nothing secret.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to but without `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The upper half of a 128-bit product: no division, and no bias that milliseconds would show.
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs for seed 1234567 as in the reference implementation by Sebastiano Vigna.
        let mut chance = Chance::new(1_234_567);
        assert_eq!(chance.draw(), 6_457_827_717_110_365_317);
        assert_eq!(chance.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn waits_grow_to_their_bound_and_never_pass_it() {
        let policy = RetryPolicy { base_ms: 100, max_wait_ms: 350, ..RetryPolicy::default() };
        let mut chance = Chance::new(7);
        let mut longest = |made| (0..2_000).map(|_| policy.wait_ms(made, &mut chance)).max().unwrap();
        assert!((90..=100).contains(&longest(0)));
        assert!((190..=200).contains(&longest(1)));
        assert!((340..=350).contains(&longest(2)));
        assert!((340..=350).contains(&longest(60_000)));
    }
}
