//! How sure is a share that was counted? The interval it lies in.

/// Standard deviations that 95 of 100 counts lie within.
const DEVIATIONS_OF_95_PERCENT: f64 = 1.959_963_985;

/// The interval of 95 percent for the share of which `met` of `all` were seen: Wilson's, which stays between 0 and 1 and holds for few
/// and for rare ones (E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927). Of nothing seen it is
/// everything.
pub fn interval(met: u64, all: u64) -> (f64, f64) {
    if all == 0 {
        return (0.0, 1.0);
    }
    // Exact up to 2^53, which nobody counts to.
    let (met, all) = (met.min(all) as f64, all as f64);
    let (share, squared) = (met / all, DEVIATIONS_OF_95_PERCENT * DEVIATIONS_OF_95_PERCENT);
    let middle = share + squared / (2.0 * all);
    let half = DEVIATIONS_OF_95_PERCENT * (share * (1.0 - share) / all + squared / (4.0 * all * all)).sqrt();
    let whole = 1.0 + squared / all;
    (((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148 and 0 of 20.
        for ((met, all), (low, high)) in
            [((81, 263), (0.2553, 0.3662)), ((15, 148), (0.0624, 0.1605)), ((0, 20), (0.0, 0.1611))]
        {
            let (found_low, found_high) = interval(met, all);
            assert!((found_low - low).abs() < 5e-5 && (found_high - high).abs() < 5e-5, "{met} of {all}");
        }
        assert_eq!(interval(0, 0), (0.0, 1.0));
        assert_eq!(interval(9, 9).1, 1.0);
    }

    #[test]
    fn more_of_the_same_is_surer() {
        let width = |all| interval(all / 10, all).1 - interval(all / 10, all).0;
        assert!([10, 100, 1_000, 10_000].windows(2).all(|pair| width(pair[1]) < width(pair[0])));
    }
}
