//! The middle of a set of numbers and how far they lie from it, where a few of them may be anything.

/// What turns a median absolute deviation into the standard deviation of a normal distribution: 1/Φ⁻¹(3/4), in
/// ten-thousandths (Iglewicz and Hoaglin 1993).
pub const NORMAL: i64 = 14_826;

/// The median; of an even count the lower of the two in the middle. The order of `values` is not kept.
pub fn median(values: &mut [i32]) -> Option<i32> {
    let last = values.len().checked_sub(1)?;
    Some(*values.select_nth_unstable(last / 2).1)
}

/// The mean of the middle half: of values that are nearly normal it is nearer to their middle than the median is, and a
/// quarter of nonsense at either end does not reach it. Of two it is the mean. The order of `values` is not kept.
pub fn middle_mean(values: &mut [i32]) -> Option<i32> {
    values.sort_unstable();
    let cut = (values.len() + 1) / 4;
    let half = &values[cut..values.len() - cut];
    let sum: i64 = half.iter().map(|value| i64::from(*value)).sum();
    i32::try_from(sum.checked_div(half.len() as i64)?).ok()
}

/// The spread around `center` as the standard deviation that a normal distribution of the same quartiles has. `values`
/// become their distances.
pub fn spread(values: &mut [i32], center: i32) -> Option<i32> {
    values.iter_mut().for_each(|value| *value = value.saturating_sub(center).saturating_abs());
    let middle = median(values)?;
    Some(i32::try_from(i64::from(middle) * NORMAL / 10_000).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_nonsense_moves_neither_the_middle_nor_the_spread_far() {
        let mut values = [10, 11, 9, 10, 12, 8, 1_000_000, -5, 900_000];
        assert_eq!(median(&mut values), Some(10));
        assert_eq!(spread(&mut values, 10), Some(2));
    }

    #[test]
    fn the_mean_of_the_middle_half_leaves_out_what_is_far() {
        assert_eq!(middle_mean(&mut [10, 20]), Some(15));
        assert_eq!(middle_mean(&mut [10, 1_000_000, 20]), Some(20));
        assert_eq!(middle_mean(&mut [-900, 10, 11, 12, 13, 14, 1_000_000]), Some(12));
        assert_eq!(middle_mean(&mut []), None);
    }

    #[test]
    fn nothing_has_no_middle() {
        assert_eq!((median(&mut []), spread(&mut [], 0)), (None, None));
    }
}
