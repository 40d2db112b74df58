//! When is a quota empty? From what a provider says is left, when it is filled again, and how fast it is used.

use domain::UnixMs;

/// What a provider's headers said of one of its limits: requests or tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// What is left.
    pub left: u64,
    /// When that was said.
    pub told_at: UnixMs,
    /// When it is filled again.
    pub filled_at: UnixMs,
}

impl Quota {
    /// When it is empty at this rate, if that is before it is filled again.
    pub fn empty_at(&self, used_per_minute: u64) -> Option<UnixMs> {
        if self.left == 0 {
            return (self.told_at < self.filled_at).then_some(self.told_at);
        }
        let lasts_ms = self.left.saturating_mul(60_000).checked_div(used_per_minute)?;
        let empty_at = UnixMs(self.told_at.0.saturating_add(i64::try_from(lasts_ms).unwrap_or(i64::MAX)));
        (empty_at < self.filled_at).then_some(empty_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_short_where_it_is_used_faster_than_it_is_filled() {
        let quota = Quota { left: 100, told_at: UnixMs(0), filled_at: UnixMs(60_000) };
        assert_eq!(quota.empty_at(0), None);
        assert_eq!(quota.empty_at(100), None);
        assert_eq!(quota.empty_at(200), Some(UnixMs(30_000)));
        assert_eq!(Quota { left: 0, ..quota }.empty_at(0), Some(UnixMs(0)));
    }
}
