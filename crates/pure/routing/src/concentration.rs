//! How much of a criticality's traffic one vendor serves: counted over the last so many attempts, and steered away from a
//! vendor that would have more than its share. A limit steers and never refuses.

use std::collections::VecDeque;

use crate::steer::Permille;

/// Place of a vendor among those of a configuration: providers that count as one.
pub type VendorIndex = usize;

/// Until as many attempts were counted, the share is taken of so many: the first of all has to go somewhere, and is then all
/// of the traffic.
pub const LEAST_ATTEMPTS: usize = 10;

/// The share that one vendor may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConcentrationLimit {
    /// Of the attempts, thousandths, above 0.
    pub share: Permille,
    /// The attempts it is a share of: the last so many, at least [`LEAST_ATTEMPTS`].
    pub attempts: usize,
}

/// The last attempts of one criticality, by vendor.
///
/// What it guarantees, for attempts that are made one after the other and could each have gone to a vendor with room: among
/// any `attempts` in a row no vendor has more than its share, rounded up, and of the first `n` no more than the share of
/// `n` or of [`LEAST_ATTEMPTS`], whichever is larger. Calls that are decided at the same moment see the same counts, so as many
/// more may go to one vendor as are decided between a decision and its attempt.
#[derive(Clone, Debug)]
pub struct Concentration {
    limit: ConcentrationLimit,
    last: VecDeque<u16>,
    counts: Vec<usize>,
}

/// A vendor that has its share already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full {
    /// Its attempts among those that count.
    pub served: usize,
    /// How many count.
    pub of: usize,
    /// The share it may have.
    pub share: Permille,
}

impl Concentration {
    /// Nothing counted yet.
    pub fn new(limit: ConcentrationLimit, vendors: usize) -> Concentration {
        Concentration { limit, last: VecDeque::with_capacity(limit.attempts), counts: vec![0; vendors] }
    }

    /// The limit.
    pub fn limit(&self) -> ConcentrationLimit {
        self.limit
    }

    /// Counts an attempt that is sent to a vendor.
    pub fn sent(&mut self, vendor: VendorIndex) {
        let Ok(short) = u16::try_from(vendor) else { return };
        if self.last.len() >= self.limit.attempts
            && let Some(oldest) = self.last.pop_front()
        {
            self.counts[usize::from(oldest)] -= 1;
        }
        self.last.push_back(short);
        self.counts[vendor] += 1;
    }

    /// Whether one more attempt would give a vendor more than its share.
    pub fn full(&self, vendor: VendorIndex) -> Option<Full> {
        // The next attempt pushes the oldest out.
        let leaves = self.last.front().filter(|_| self.last.len() >= self.limit.attempts);
        let served = self.counts[vendor] - usize::from(leaves.is_some_and(|oldest| usize::from(*oldest) == vendor));
        let of = (self.last.len() + 1).clamp(LEAST_ATTEMPTS, self.limit.attempts.max(LEAST_ATTEMPTS));
        let may = (of * usize::from(self.limit.share.get())).div_ceil(1000);
        (served + 1 > may).then_some(Full { served, of, share: self.limit.share })
    }

    /// How many of the attempts that count went to each vendor.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(share: u16, attempts: usize) -> Concentration {
        Concentration::new(ConcentrationLimit { share: Permille::new(share), attempts }, 2)
    }

    #[test]
    fn the_preferred_vendor_has_its_share_and_no_more() {
        let mut traffic = limited(600, 20);
        let way: String = (0..40)
            .map(|_| {
                let vendor = usize::from(traffic.full(0).is_some());
                traffic.sent(vendor);
                if vendor == 0 { 'a' } else { 'b' }
            })
            .collect();
        // Six of the first ten, twelve of the first twenty, and then of every twenty in a row.
        assert_eq!(&way[..10], "aaaaaabbbb".replace("bbbb", &way[6..10]).as_str());
        for start in 0..=20 {
            assert!(way[start..start + 20].matches('a').count() <= 12, "{way}");
        }
        assert_eq!(way[20..].matches('a').count(), 12, "the share is also used: {way}");
    }

    #[test]
    fn the_first_calls_go_where_they_would_have_gone() {
        let mut traffic = limited(500, 100);
        for _ in 0..5 {
            assert_eq!(traffic.full(0), None);
            traffic.sent(0);
        }
        assert_eq!(traffic.full(0), Some(Full { served: 5, of: 10, share: Permille::new(500) }));
        assert_eq!(traffic.full(1), None);
    }

    #[test]
    fn what_went_to_a_full_vendor_all_the_same_is_counted() {
        let mut traffic = limited(500, 10);
        (0..10).for_each(|_| traffic.sent(0));
        assert_eq!((traffic.counts(), traffic.full(0).map(|full| full.served)), (&[10, 0][..], Some(9)));
        (0..10).for_each(|_| traffic.sent(1));
        assert_eq!(traffic.counts(), [0, 10]);
    }
}
