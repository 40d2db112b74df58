//! Four rules that say when a series is no longer what it usually is, upwards; each with its statistic as whole numbers.
//!
//! `mean + 3σ` is what most tools do, and is here to be beaten. The others look at how many spreads a bucket lies above
//! what [`Season`](crate::Season) expects. Settings were chosen on the seeds 1 to 60 of `tests/detectors.rs` and are
//! reported on others; see `docs/proofs/detectors.md`.

use serde::{Deserialize, Serialize};

/// A bucket as detectors see it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    /// What was counted.
    pub amount: i64,
    /// Mean and standard deviation of the plain amounts so far.
    pub plain: (f64, f64),
    /// How many spreads the logarithm lies above what is expected, thousandths; absent in an empty bucket.
    pub z_milli: Option<i32>,
}

/// Whether what is counted is more than usual.
pub trait Detector {
    /// Takes the next bucket and says whether the alarm stands.
    fn judge(&mut self, bucket: &Bucket) -> bool;
}

/// More than three standard deviations above the mean of all hours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MeanSigma;

impl Detector for MeanSigma {
    fn judge(&mut self, bucket: &Bucket) -> bool {
        let (mean, deviation) = bucket.plain;
        bucket.amount as f64 > mean + 3.0 * deviation
    }
}

/// One bucket above 4.5 spreads (Iglewicz and Hoaglin's modified z, by the season).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RobustZ;

impl RobustZ {
    /// Thousandths of a spread above which a bucket is an alarm.
    pub const ALARM_MILLI: i32 = 4_500;
}

impl Detector for RobustZ {
    fn judge(&mut self, bucket: &Bucket) -> bool {
        bucket.z_milli.is_some_and(|z| z > RobustZ::ALARM_MILLI)
    }
}

/// An exponentially weighted mean of residuals above four of its own standard deviations (Roberts 1959).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ewma {
    mean_milli: i32,
}

impl Ewma {
    /// Weight of the newest bucket, percent.
    pub const WEIGHT_PERCENT: i64 = 20;
    /// Alarm above this mean, thousandths: 4·√(λ/(2−λ)) with λ = 0.2 is 4/3.
    pub const ALARM_MILLI: i32 = 1_333;
}

impl Detector for Ewma {
    fn judge(&mut self, bucket: &Bucket) -> bool {
        let z = bucket.z_milli.unwrap_or(0).clamp(-10_000, 10_000);
        let step = (i64::from(z) - i64::from(self.mean_milli)) * Ewma::WEIGHT_PERCENT / 100;
        self.mean_milli += step as i32;
        self.mean_milli > Ewma::ALARM_MILLI
    }
}

/// A cumulative sum of clipped residuals (Page 1954), with a fast path for what no noise explains.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Cusum {
    sum_milli: i32,
    /// Buckets in a row far above all.
    far: u8,
    /// Buckets in a row as usual.
    calm: u8,
    stands: bool,
}

/// How a cumulative sum is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CusumSettings {
    /// What is taken off each residual, thousandths of a spread: shifts of less than this are never found.
    pub slack_milli: i32,
    /// The sum at which the alarm begins, thousandths.
    pub alarm_milli: i32,
    /// Residuals count at most this far in either direction, thousandths: what bounds the harm of one outlier.
    pub clip_milli: i32,
    /// The alarm ends with so many buckets in a row below one spread, if the sum has not come down to nothing before.
    pub calm_to_end: u8,
}

impl CusumSettings {
    /// For buckets of five minutes: a doubling is found at once, and two outliers near each other are no alarm.
    pub const FIVE_MINUTES: CusumSettings =
        CusumSettings { slack_milli: 1_000, alarm_milli: 5_500, clip_milli: 3_000, calm_to_end: 6 };
    /// For buckets of an hour, which find what five minutes cannot: where calls are few, and what grows slowly. An outlier of
    /// five minutes is one of its hour too, so several of them within a day are no alarm.
    pub const HOUR: CusumSettings =
        CusumSettings { slack_milli: 1_000, alarm_milli: 10_000, clip_milli: 3_000, calm_to_end: 2 };
    /// As in the published comparison of buckets of an hour, for reference.
    pub const PUBLISHED: CusumSettings =
        CusumSettings { slack_milli: 750, alarm_milli: 8_000, clip_milli: 5_000, calm_to_end: u8::MAX };
}

impl Cusum {
    /// Residuals above this, thousandths, twice in a row, are an alarm at once. Once would be every outlier.
    pub const FAR_MILLI: i32 = 6_000;
    /// How many in a row.
    pub const FAR_TIMES: u8 = 2;

    /// Residuals up to this are as usual, thousandths.
    pub const CALM_MILLI: i32 = 1_000;

    /// Takes the next bucket and says whether the alarm stands. It ends after a few buckets as usual, never at one lucky bucket.
    pub fn step(&mut self, z_milli: Option<i32>, settings: &CusumSettings) -> bool {
        let z = z_milli.unwrap_or(0);
        self.calm = if z < Cusum::CALM_MILLI { self.calm.saturating_add(1) } else { 0 };
        self.far = if z > Cusum::FAR_MILLI { self.far.saturating_add(1) } else { 0 };
        let clipped = z.clamp(-settings.clip_milli, settings.clip_milli);
        let sum = self.sum_milli + clipped - settings.slack_milli;
        self.sum_milli = sum.clamp(0, 2 * settings.alarm_milli);
        if self.far >= Cusum::FAR_TIMES {
            self.sum_milli = self.sum_milli.max(settings.alarm_milli + 1);
        }
        if self.stands && self.calm >= settings.calm_to_end {
            self.sum_milli = 0;
        }
        self.stands = if self.stands { self.sum_milli > 0 } else { self.sum_milli > settings.alarm_milli };
        self.stands
    }

    /// Whether the alarm stands.
    pub fn stands(&self) -> bool {
        self.stands
    }
}

/// The cumulative sum with its settings, as a detector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetCusum(pub Cusum, pub CusumSettings);

impl Detector for SetCusum {
    fn judge(&mut self, bucket: &Bucket) -> bool {
        self.0.step(bucket.z_milli, &self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(detector: &mut dyn Detector, z: &[i32]) -> Vec<bool> {
        let bucket = |z: &i32| Bucket { amount: 0, plain: (0.0, 0.0), z_milli: Some(*z) };
        z.iter().map(|z| detector.judge(&bucket(z))).collect()
    }

    fn cusum() -> SetCusum {
        SetCusum(Cusum::default(), CusumSettings::FIVE_MINUTES)
    }

    #[test]
    fn one_outlier_is_no_alarm_but_of_the_plain_rules() {
        assert_eq!(run(&mut cusum(), &[0, 50_000, 0, 0]), [false; 4]);
        assert_eq!(run(&mut RobustZ, &[0, 50_000, 0]), [false, true, false]);
        assert!(MeanSigma.judge(&Bucket { amount: 14, plain: (10.0, 1.0), z_milli: None }));
    }

    #[test]
    fn a_shift_of_almost_three_spreads_is_an_alarm_at_the_fourth_bucket() {
        assert_eq!(run(&mut cusum(), &[2_770; 5]), [false, false, false, true, true]);
    }

    #[test]
    fn what_no_noise_explains_is_an_alarm_at_the_second_bucket() {
        assert_eq!(run(&mut cusum(), &[20_000, 20_000]), [false, true]);
    }

    #[test]
    fn the_alarm_ends_after_several_usual_buckets_and_not_after_one() {
        let mut detector = cusum();
        run(&mut detector, &[2_770; 20]);
        let after = run(&mut detector, &[0; 12]);
        assert_eq!(after.iter().filter(|stands| **stands).count(), 5);
        assert!(!after[11]);
    }

    #[test]
    fn an_empty_bucket_calms_and_does_not_clear() {
        let mut detector = cusum();
        run(&mut detector, &[3_000, 3_000]);
        detector.judge(&Bucket { amount: 0, plain: (0.0, 0.0), z_milli: None });
        assert_eq!(detector.0.sum_milli, 2 * 2_000 - 1_000);
    }
}
