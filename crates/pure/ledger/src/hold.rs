//! May this much still be spent? The arithmetic of one budget: hold before sending, top up, settle or release after.
//!
//! The promise: what is settled plus what is held never exceeds the limit through anything admitted here. Two things
//! can: a provider that bills above the hold, counted as `overrun`; and a limit lowered below what is spent, after
//! which every hold is refused until the window turns. The caller locks; an account is plain data.

use domain::{NanoUsd, UnixMs};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::window::Window;

/// One budget: a limit over a calendar window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    limit: NanoUsd,
    window: Window,
    window_start: UnixMs,
    resets_at: Option<UnixMs>,
    settled: NanoUsd,
    held: NanoUsd,
    overrun: NanoUsd,
}

/// An account as pages and metrics show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountView {
    /// At most this much in the window.
    pub limit: NanoUsd,
    /// Which window.
    pub window: Window,
    /// Its first millisecond.
    pub window_start: UnixMs,
    /// The first after it; absent for `total`.
    pub resets_at: Option<UnixMs>,
    /// Booked in the window, overrun included.
    pub settled: NanoUsd,
    /// Reserved for calls under way, also those admitted in an earlier window.
    pub held: NanoUsd,
    /// The part of `settled` that providers billed above the hold.
    pub overrun: NanoUsd,
    /// What may still be held; zero when more is spent than the limit.
    pub left: NanoUsd,
}

/// Why a hold was refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("spent {settled} and held {held} of {limit} USD per {window}, so {asked} more is not available")]
pub struct Short {
    /// What was asked for.
    pub asked: NanoUsd,
    /// The limit.
    pub limit: NanoUsd,
    /// Booked in the window.
    pub settled: NanoUsd,
    /// Reserved for other calls under way.
    pub held: NanoUsd,
    /// Which window.
    pub window: Window,
    /// When it turns; `None` for `total`.
    pub resets_at: Option<UnixMs>,
}

/// What settling did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// What was booked in the current window; zero when the settlement was late.
    pub booked: NanoUsd,
    /// By how much the actual cost exceeded the hold; zero when it did not.
    pub overrun: NanoUsd,
    /// The call was admitted in a window that has turned since: the hold was released, and the cost belongs to that
    /// window's books, not to this one's.
    pub late: bool,
}

impl Account {
    /// An account with what was already booked in the window that `window_start` lies in; zero for a fresh one.
    pub fn new(limit: NanoUsd, window: Window, settled: NanoUsd, window_start: UnixMs) -> Account {
        let (window_start, resets_at) = window.bounds(window_start);
        let settled = settled.max(NanoUsd::ZERO);
        Account { limit, window, window_start, resets_at, settled, held: NanoUsd::ZERO, overrun: NanoUsd::ZERO }
    }

    /// Reserves an amount, or says why not. A negative amount reserves nothing.
    pub fn hold(&mut self, amount: NanoUsd, now: UnixMs) -> Result<(), Short> {
        self.can_hold(amount, now)?;
        self.held = self.held.saturating_add(amount.max(NanoUsd::ZERO));
        Ok(())
    }

    /// Reserves more for a call that already holds something: before a further attempt, or while it streams. When it is
    /// refused the call keeps what it holds.
    pub fn top_up(&mut self, more: NanoUsd, now: UnixMs) -> Result<(), Short> {
        self.hold(more, now)
    }

    /// Ends a call: gives back its whole hold and books what it cost, if the window it was admitted in is still open.
    pub fn settle(&mut self, held: NanoUsd, actual: NanoUsd, admitted_at: UnixMs, now: UnixMs) -> Settled {
        self.turn(now);
        self.release(held);
        let actual = actual.max(NanoUsd::ZERO);
        let overrun = NanoUsd(actual.0.saturating_sub(held.0.max(0)).max(0));
        if admitted_at < self.window_start {
            return Settled { booked: NanoUsd::ZERO, overrun, late: true };
        }
        self.settled = self.settled.saturating_add(actual);
        self.overrun = self.overrun.saturating_add(overrun);
        Settled { booked: actual, overrun, late: false }
    }

    /// Gives back a hold of which nothing was spent. More than is held gives back what is held.
    pub fn release(&mut self, held: NanoUsd) {
        self.held = NanoUsd(self.held.0 - held.0.clamp(0, self.held.0));
    }

    /// The account now; a window that has ended shows as turned.
    pub fn view(&self, now: UnixMs) -> AccountView {
        let mut account = self.clone();
        account.turn(now);
        AccountView {
            limit: account.limit,
            window: account.window,
            window_start: account.window_start,
            resets_at: account.resets_at,
            settled: account.settled,
            held: account.held,
            overrun: account.overrun,
            left: account.left().max(NanoUsd::ZERO),
        }
    }

    /// Changes the limit; what is settled and held stays.
    pub fn set_limit(&mut self, limit: NanoUsd) {
        self.limit = limit;
    }

    /// Counts over another window from now on, with what is booked in it already. Holds stay: the calls they belong to are
    /// under way and will settle here.
    pub fn rewindow(&mut self, limit: NanoUsd, window: Window, settled: NanoUsd, now: UnixMs) {
        let held = self.held;
        *self = Account { held, ..Account::new(limit, window, settled, window.bounds(now).0) };
    }

    /// Books what a call cost that was admitted before this account existed, and so holds nothing here.
    pub fn book(&mut self, actual: NanoUsd, admitted_at: UnixMs, now: UnixMs) {
        self.turn(now);
        if admitted_at >= self.window_start {
            self.settled = self.settled.saturating_add(actual.max(NanoUsd::ZERO));
        }
    }

    /// Replaces the upper bound that a call was booked with by what it cost, once that is known.
    pub fn correct(&mut self, bound: NanoUsd, actual: NanoUsd, admitted_at: UnixMs, now: UnixMs) {
        self.turn(now);
        if admitted_at >= self.window_start {
            let left = NanoUsd(self.settled.0.saturating_sub(bound.0)).max(NanoUsd::ZERO);
            self.settled = left.saturating_add(actual.max(NanoUsd::ZERO));
        }
    }

    /// The window it counts over.
    pub fn window(&self) -> Window {
        self.window
    }

    fn can_hold(&mut self, amount: NanoUsd, now: UnixMs) -> Result<(), Short> {
        self.turn(now);
        // What costs nothing fits always, after an overrun or below a lowered limit too.
        if amount <= NanoUsd::ZERO || amount <= self.left() {
            return Ok(());
        }
        Err(Short {
            asked: amount,
            limit: self.limit,
            settled: self.settled,
            held: self.held,
            window: self.window,
            resets_at: self.resets_at,
        })
    }

    /// What may still be held; negative after an overrun or a lowered limit.
    fn left(&self) -> NanoUsd {
        NanoUsd(self.limit.0.saturating_sub(self.settled.0).saturating_sub(self.held.0))
    }

    /// Begins the window `now` lies in, once the current one has ended. Holds stay: their calls are still under way and
    /// release themselves. A clock that ran backwards turns nothing, so that no window is spent twice.
    fn turn(&mut self, now: UnixMs) {
        if self.resets_at.is_some_and(|resets_at| now >= resets_at) {
            (self.window_start, self.resets_at) = self.window.bounds(now);
            self.settled = NanoUsd::ZERO;
            self.overrun = NanoUsd::ZERO;
        }
    }
}

/// Holds the amount on every account or on none; the error names the first that is short, by its place in the list.
/// The caller locks accounts in one fixed order.
pub fn hold_all(accounts: &mut [&mut Account], amount: NanoUsd, now: UnixMs) -> Result<(), (usize, Short)> {
    for (place, account) in accounts.iter_mut().enumerate() {
        account.can_hold(amount, now).map_err(|short| (place, short))?;
    }
    for account in accounts.iter_mut() {
        account.held = account.held.saturating_add(amount.max(NanoUsd::ZERO));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: UnixMs = UnixMs(1_795_262_400_000); // 2026-11-21T12:00:00Z
    const DAY_MS: u64 = 86_400_000;

    fn account(limit: i64) -> Account {
        Account::new(NanoUsd(limit), Window::Day, NanoUsd::ZERO, NOON)
    }

    #[test]
    fn another_window_keeps_what_calls_under_way_hold() {
        let now = UnixMs(1_795_252_724_005);
        let mut account = Account::new(NanoUsd(100), Window::Day, NanoUsd(0), Window::Day.bounds(now).0);
        account.hold(NanoUsd(50), now).unwrap();
        account.rewindow(NanoUsd(100), Window::Month, NanoUsd(20), now);
        assert!(account.hold(NanoUsd(31), now).is_err(), "20 booked, 50 held");
        account.settle(NanoUsd(50), NanoUsd(40), now, now);
        account.book(NanoUsd(5), now, now);
        assert_eq!((account.view(now).settled, account.view(now).held), (NanoUsd(65), NanoUsd(0)));
    }

    #[test]
    fn what_costs_nothing_fits_below_a_lowered_limit() {
        let now = UnixMs(1_795_252_724_005);
        let mut account = Account::new(NanoUsd(10), Window::Total, NanoUsd(20), now);
        assert!(account.hold(NanoUsd(0), now).is_ok() && account.hold(NanoUsd(1), now).is_err());
    }

    #[test]
    fn a_budget_worth_two_calls_admits_two() {
        let mut account = account(10);
        assert_eq!(account.hold(NanoUsd(5), NOON), Ok(()));
        assert_eq!(account.hold(NanoUsd(5), NOON), Ok(()));
        let short = account.hold(NanoUsd(1), NOON).unwrap_err();
        assert_eq!((short.held, short.limit, short.resets_at), (NanoUsd(10), NanoUsd(10), account.resets_at));
        assert_eq!(account.settle(NanoUsd(5), NanoUsd(3), NOON, NOON).booked, NanoUsd(3));
        assert_eq!(account.view(NOON).left, NanoUsd(2));
    }

    #[test]
    fn a_refused_top_up_leaves_the_hold() {
        let mut account = account(10);
        account.hold(NanoUsd(8), NOON).unwrap();
        assert!(account.top_up(NanoUsd(3), NOON).is_err());
        assert_eq!(account.view(NOON).held, NanoUsd(8));
        assert!(account.top_up(NanoUsd(2), NOON).is_ok());
    }

    #[test]
    fn what_a_provider_bills_above_the_hold_is_booked_and_counted_as_overrun() {
        let mut account = account(10);
        account.hold(NanoUsd(10), NOON).unwrap();
        let settled = account.settle(NanoUsd(10), NanoUsd(14), NOON, NOON);
        assert_eq!(settled, Settled { booked: NanoUsd(14), overrun: NanoUsd(4), late: false });
        let view = account.view(NOON);
        assert_eq!(
            (view.settled, view.overrun, view.held, view.left),
            (NanoUsd(14), NanoUsd(4), NanoUsd(0), NanoUsd(0))
        );
        assert!(account.hold(NanoUsd(1), NOON).is_err());
    }

    #[test]
    fn a_late_settlement_only_releases_and_says_so() {
        let mut account = account(10);
        account.hold(NanoUsd(6), NOON).unwrap();
        let tomorrow = NOON + DAY_MS;
        assert!(account.hold(NanoUsd(6), tomorrow).is_err(), "the hold of yesterday still counts");
        assert!(account.settle(NanoUsd(6), NanoUsd(5), NOON, tomorrow).late);
        let view = account.view(tomorrow);
        assert_eq!((view.settled, view.held), (NanoUsd::ZERO, NanoUsd::ZERO));
    }

    #[test]
    fn an_upper_bound_is_replaced_in_the_window_it_was_booked_in_only() {
        let mut account = account(100);
        account.hold(NanoUsd(60), NOON).unwrap();
        account.settle(NanoUsd(60), NanoUsd(60), NOON, NOON);
        account.correct(NanoUsd(60), NanoUsd(7), NOON, NOON + 1);
        assert_eq!(account.view(NOON + 1).settled, NanoUsd(7));
        let tomorrow = NOON + DAY_MS;
        account.book(NanoUsd(3), tomorrow, tomorrow);
        account.correct(NanoUsd(60), NanoUsd(7), NOON, tomorrow);
        assert_eq!(account.view(tomorrow).settled, NanoUsd(3));
    }

    #[test]
    fn a_total_never_resets() {
        let mut account = Account::new(NanoUsd(10), Window::Total, NanoUsd(9), NOON);
        assert!(account.hold(NanoUsd(2), NOON + 4000 * DAY_MS).is_err());
        assert_eq!(account.hold(NanoUsd(1), NOON).ok(), Some(()));
        assert_eq!(account.view(NOON).resets_at, None);
    }

    #[test]
    fn a_limit_lowered_below_what_is_spent_refuses_and_breaks_nothing() {
        let mut account = Account::new(NanoUsd(10), Window::Day, NanoUsd(8), NOON);
        account.hold(NanoUsd(2), NOON).unwrap();
        account.set_limit(NanoUsd(5));
        assert!(account.hold(NanoUsd(1), NOON).is_err());
        assert_eq!(account.view(NOON).left, NanoUsd::ZERO);
        assert!(!account.settle(NanoUsd(2), NanoUsd(2), NOON, NOON).late);
        account.set_limit(NanoUsd(11));
        assert!(account.hold(NanoUsd(1), NOON).is_ok());
    }

    #[test]
    fn a_clock_that_runs_backwards_opens_no_second_budget() {
        let mut account = account(10);
        account.hold(NanoUsd(10), NOON).unwrap();
        account.settle(NanoUsd(10), NanoUsd(10), NOON, NOON);
        assert!(account.hold(NanoUsd(1), NOON - 2 * DAY_MS).is_err());
    }

    #[test]
    fn all_accounts_hold_or_none_does() {
        let (mut wide, mut narrow) = (account(10), account(3));
        let (place, _) = hold_all(&mut [&mut wide, &mut narrow], NanoUsd(4), NOON).unwrap_err();
        assert_eq!((place, wide.view(NOON).held), (1, NanoUsd::ZERO));
        assert!(hold_all(&mut [&mut wide, &mut narrow], NanoUsd(3), NOON).is_ok());
        assert_eq!((wide.view(NOON).held, narrow.view(NOON).held), (NanoUsd(3), NanoUsd(3)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Hold(i64),
        TopUp(usize, i64),
        Settle(usize, i64),
        Release(usize),
        Wait(u64),
        SetLimit(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0i64..400).prop_map(Step::Hold),
            2 => (any::<usize>(), 0i64..200).prop_map(|(call, more)| Step::TopUp(call, more)),
            4 => (any::<usize>(), 0i64..700).prop_map(|(call, actual)| Step::Settle(call, actual)),
            2 => any::<usize>().prop_map(Step::Release),
            1 => (0u64..DAY_MS).prop_map(Step::Wait),
            1 => (0i64..2000).prop_map(Step::SetLimit),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn no_interleaving_admits_above_the_limit_or_leaks_a_hold(
            limit in 0i64..2000, steps in proptest::collection::vec(step(), 0..80),
        ) {
            let mut account = account(limit);
            let mut now = NOON;
            let mut calls: Vec<(i64, UnixMs)> = Vec::new();
            // The window's own books, kept the plain way: what was settled from calls admitted in it.
            let (mut booked, mut overrun, mut window) = (0, 0, Window::Day.bounds(NOON).0);
            let mut limit = limit;
            for step in steps {
                if Window::Day.bounds(now).0 > window {
                    (booked, overrun, window) = (0, 0, Window::Day.bounds(now).0);
                }
                let spent_and_held = booked + calls.iter().map(|call| call.0).sum::<i64>();
                let pick = |call: usize, calls: &[(i64, UnixMs)]| (!calls.is_empty()).then(|| call % calls.len());
                match step {
                    Step::Hold(amount) => {
                        let admitted = account.hold(NanoUsd(amount), now).is_ok();
                        prop_assert_eq!(admitted, amount == 0 || spent_and_held + amount <= limit);
                        if admitted {
                            calls.push((amount, now));
                        }
                    }
                    Step::TopUp(call, more) => {
                        if let Some(call) = pick(call, &calls) {
                            let admitted = account.top_up(NanoUsd(more), now).is_ok();
                            prop_assert_eq!(admitted, more == 0 || spent_and_held + more <= limit);
                            calls[call].0 += if admitted { more } else { 0 };
                        }
                    }
                    Step::Settle(call, actual) => {
                        if let Some(call) = pick(call, &calls) {
                            let (held, admitted_at) = calls.swap_remove(call);
                            let settled = account.settle(NanoUsd(held), NanoUsd(actual), admitted_at, now);
                            prop_assert_eq!(settled.late, admitted_at < window);
                            prop_assert_eq!(settled.overrun, NanoUsd((actual - held).max(0)));
                            if !settled.late {
                                booked += actual;
                                overrun += (actual - held).max(0);
                            }
                        }
                    }
                    Step::Release(call) => {
                        if let Some(call) = pick(call, &calls) {
                            account.release(NanoUsd(calls.swap_remove(call).0));
                        }
                    }
                    Step::Wait(ms) => now = now + ms,
                    Step::SetLimit(to) => {
                        limit = to;
                        account.set_limit(NanoUsd(to));
                    }
                }
                if Window::Day.bounds(now).0 > window {
                    (booked, overrun, window) = (0, 0, Window::Day.bounds(now).0);
                }
                let view = account.view(now);
                prop_assert_eq!(view.settled, NanoUsd(booked));
                prop_assert_eq!(view.overrun, NanoUsd(overrun));
                prop_assert_eq!(view.held.0, calls.iter().map(|call| call.0).sum::<i64>());
            }
            for (held, _) in calls {
                account.release(NanoUsd(held));
            }
            prop_assert_eq!(account.view(now).held, NanoUsd::ZERO);
        }

        #[test]
        fn with_a_fixed_limit_settled_and_held_stay_within_it_except_for_overrun(
            steps in proptest::collection::vec(step(), 0..80),
        ) {
            let mut account = account(1000);
            let mut calls: Vec<i64> = Vec::new();
            for step in steps {
                match step {
                    Step::Hold(amount) if account.hold(NanoUsd(amount), NOON).is_ok() => calls.push(amount),
                    Step::Settle(call, actual) if !calls.is_empty() => {
                        let held = calls.swap_remove(call % calls.len());
                        account.settle(NanoUsd(held), NanoUsd(actual), NOON, NOON);
                    }
                    Step::Release(call) if !calls.is_empty() => {
                        account.release(NanoUsd(calls.swap_remove(call % calls.len())));
                    }
                    _ => {}
                }
                let view = account.view(NOON);
                prop_assert!(view.settled + view.held <= view.limit + view.overrun);
            }
        }
    }
}
