//! How much of a call's time one attempt may take whose answer comes as a whole: nothing is heard of such an answer until its end, so a
//! stall looks like work, and only what is left for another model tells how long it may be believed.

/// The longest that an attempt may take while another model is left, milliseconds: half of what the call has left. A model that takes
/// longer for whole answers gets up to twice the longest it took lately, and never more than three quarters: what is left is then
/// still a third of what it had.
///
/// Halves, because then the last of four models that are asked still has an eighth of the call's time, and a call with ten minutes
/// lets its first work for five. A judgement, not a measurement.
pub fn portion_ms(left_ms: u64, slowest_ms: Option<u64>) -> u64 {
    let half = left_ms / 2;
    let most = left_ms - left_ms / 4;
    slowest_ms.map_or(half, |slowest_ms| slowest_ms.saturating_mul(2).clamp(half, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_kept_for_others_and_a_slow_model_gets_more() {
        assert_eq!(portion_ms(60_000, None), 30_000);
        assert_eq!(portion_ms(60_000, Some(2_000)), 30_000, "a model that is usually quick is not cut before");
        assert_eq!(portion_ms(60_000, Some(20_000)), 40_000);
        assert_eq!(portion_ms(60_000, Some(u64::MAX)), 45_000, "a quarter is always left");
        assert_eq!(portion_ms(0, Some(5_000)), 0);
        assert_eq!(portion_ms(1, None), 0);
    }
}
