//! Places for calls that wait until somebody can be asked: a bound on how many do at one time.

use std::sync::atomic::{AtomicU32, Ordering};

/// Calls that may wait so at one time in one process: each keeps its request in memory meanwhile. Only calls of the most critical kind
/// take the second half of the places.
const PLACES: u32 = 1_000;

/// Places for calls that wait until somebody can be asked: how many are taken.
#[derive(Debug, Default)]
pub struct WaitingRoom(AtomicU32);

/// One of them, given back when it is dropped.
pub(crate) struct Place<'a>(&'a WaitingRoom);

impl WaitingRoom {
    /// A place, where one is left for a call of this kind.
    pub(crate) fn enter(&self, is_most_critical: bool) -> Option<Place<'_>> {
        let most = if is_most_critical { PLACES } else { PLACES / 2 };
        let one_more = |waiting| (waiting < most).then_some(waiting + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_places_are_for_the_most_critical_calls_and_each_is_given_back() {
        let room = WaitingRoom::default();
        let usual: Vec<_> = std::iter::from_fn(|| room.enter(false)).collect();
        let critical: Vec<_> = std::iter::from_fn(|| room.enter(true)).collect();
        assert_eq!((usual.len(), critical.len()), (500, 500));
        drop((usual, critical));
        assert!(room.enter(false).is_some());
    }
}
