//! Numbers from a seed: the same scenario gives the same texts, latencies and faults.

use crate::scenario::Spread;

/// A stream of numbers, by splitmix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Mixes what distinguishes this stream from others into one seed.
    pub fn new(parts: &[u64]) -> Chance {
        let mut chance = Chance(0);
        for part in parts {
            chance.0 ^= *part;
            chance.0 = chance.draw();
        }
        chance
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number from 0 up to but without `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.draw()) * end as u128) >> 64) as usize
    }

    /// A number from 0 up to but without 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number as the script spreads it.
    pub fn spread(&mut self, spread: Spread) -> f64 {
        match spread {
            Spread::Fixed(value) => value,
            Spread::Range(range) => range.from + (range.to - range.from) * self.unit(),
            Spread::LogNormal(normal) => {
                // Box and Muller, 1958; one of the two values is enough here.
                let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
                let deviate = radius * (std::f64::consts::TAU * self.unit()).cos();
                normal.median * (normal.sigma * deviate).exp()
            }
        }
    }
}

/// A number that stands for a text: FNV-1a, 64 bits.
pub fn fingerprint(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{LogNormal, Range};

    #[test]
    fn spreads_lie_where_they_should() {
        let mut chance = Chance::new(&[1, 2]);
        let mut draws = |spread| -> Vec<f64> { (0..4_000).map(|_| chance.spread(spread)).collect() };
        assert!(draws(Spread::Range(Range { from: 5.0, to: 7.0 })).iter().all(|value| (5.0..7.0).contains(value)));
        let mut log_normal = draws(Spread::LogNormal(LogNormal { median: 100.0, sigma: 0.5 }));
        log_normal.sort_by(f64::total_cmp);
        assert!((95.0..105.0).contains(&log_normal[2_000]), "median {}", log_normal[2_000]);
        // One standard deviation above the median: 100·e^0.5 = 165.
        assert!((150.0..180.0).contains(&log_normal[3_365]), "{}", log_normal[3_365]);
    }

    #[test]
    fn the_same_parts_give_the_same_numbers_and_their_order_counts() {
        assert_eq!(Chance::new(&[1, 2]).draw(), Chance::new(&[1, 2]).draw());
        assert_ne!(Chance::new(&[1, 2]).draw(), Chance::new(&[2, 1]).draw());
    }
}
