//! May this much still be spent? The arithmetic of one budget: hold before sending, top up, settle or release after.
//!
//! The promise: what is settled plus what is held never exceeds what refuses through anything admitted here. Two things
//! can: a provider that bills above the hold, counted as `overrun`; and a limit lowered below what is spent, after
//! which every hold is refused until the window turns. The caller locks; an account is plain data.
//!
//! Where several instances share a budget, each holds within its **slice**, which the caller obtains and sets; all slices
//! together stay below the limit. The limit stays what is explained.

use std::ops::DerefMut;

use domain::UnixMs;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use thiserror::Error;

use crate::booked::Booked;
use crate::budget::{Amount, Approval, Measure, Terms};
use crate::window::Window;

/// One budget: a limit over a window, in one measure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    measure: Measure,
    terms: Terms,
    approval: Option<Approval>,
    slice: Option<Slice>,
    booked: Booked,
    held: Amount,
    /// Amounts whose reaching is told, lowest first, and how many were told in this window.
    marks: SmallVec<[Amount; 2]>,
    told: usize,
}

/// What one instance may settle and hold of a budget that several share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slice {
    /// So much, settled and held together, in the current window.
    pub ceiling: Amount,
    /// What others have booked and hold, as far as known; only explained with.
    pub elsewhere: Amount,
}

/// An account as pages and metrics show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountView {
    /// What amounts are.
    pub measure: Measure,
    /// At most this much in the window.
    pub limit: Amount,
    /// Whether anything is ever refused.
    pub hard: bool,
    /// Beyond which amount somebody must approve, and has not.
    pub approval_at: Option<Amount>,
    /// What was approved beyond it.
    pub approval: Option<Approval>,
    /// Which window.
    pub window: Window,
    /// Its first millisecond.
    pub window_start: UnixMs,
    /// The first after it; absent for `total` and for rolling windows.
    pub resets_at: Option<UnixMs>,
    /// Booked in the window, overrun included, here and elsewhere.
    pub settled: Amount,
    /// Reserved for calls under way, also those admitted in an earlier window.
    pub held: Amount,
    /// The part of `settled` that providers billed above the hold.
    pub overrun: Amount,
    /// What may still be held; zero when more is spent than the limit.
    pub left: Amount,
}

/// Why a hold was refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "spent {} and held {} of {} per {window}, so {} more is not available",
    .measure.shown(*.settled), .measure.shown(*.held), .measure.shown(*.limit), .measure.shown(*.asked)
)]
pub struct Short {
    /// What amounts are.
    pub measure: Measure,
    /// What was asked for.
    pub asked: Amount,
    /// The limit.
    pub limit: Amount,
    /// Booked in the window.
    pub settled: Amount,
    /// Reserved for other calls under way.
    pub held: Amount,
    /// Which window.
    pub window: Window,
    /// When it turns, or, for a rolling window, when enough has left it; `None` where it never does by itself.
    pub resets_at: Option<UnixMs>,
    /// What stood in the way.
    pub gate: Gate,
    /// Whether it would fit if everything reserved were given back.
    pub only_reserved: bool,
}

/// What stands in the way of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// The amount from which the budget refuses.
    Limit,
    /// The amount from which somebody must approve.
    Approval,
    /// This instance's slice; the budget itself has more.
    Slice,
}

/// What settling did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// What was booked in the current window; zero when the settlement was late.
    pub booked: Amount,
    /// By how much the actual cost exceeded the hold; zero when it did not.
    pub overrun: Amount,
    /// The call was admitted in a window that has turned since: the hold was released, and the cost belongs to that
    /// window's books, not to this one's.
    pub late: bool,
}

impl Account {
    /// An account in which nothing is booked in the window that `now` lies in.
    pub fn new(measure: Measure, terms: Terms, window: Window, now: UnixMs) -> Account {
        let booked = Booked::new(window, now);
        let marks = SmallVec::new();
        Account { measure, terms, approval: None, slice: None, booked, held: Amount::ZERO, marks, told: 0 }
    }

    /// Reserves an amount, or says why not. A negative amount reserves nothing.
    pub fn hold(&mut self, amount: Amount, now: UnixMs) -> Result<(), Short> {
        self.can_hold(amount, now)?;
        self.take(amount);
        Ok(())
    }

    /// Reserves more for a call that already holds something: before a further attempt, or while it streams. When it is
    /// refused the call keeps what it holds.
    pub fn top_up(&mut self, more: Amount, now: UnixMs) -> Result<(), Short> {
        self.hold(more, now)
    }

    /// Takes an amount of a rate: it counts at once, whatever becomes of the call.
    pub fn spend(&mut self, amount: Amount, now: UnixMs) -> Result<(), Short> {
        self.can_hold(amount, now)?;
        self.booked.add(amount.or_zero(), Amount::ZERO, now);
        Ok(())
    }

    /// Corrects what was taken of a rate at `at` to what was used: what is too much is given back there, what is missing counts now.
    pub fn correct_rate(&mut self, taken: Amount, used: Amount, at: UnixMs, now: UnixMs) {
        self.turn(now);
        let more = used.or_zero().minus(taken.or_zero());
        match more >= Amount::ZERO {
            true => drop(self.booked.add(more, more, now)),
            false => self.booked.take_back(Amount::ZERO.minus(more), at),
        }
    }

    /// Ends a call: gives back its whole hold and books what it cost, if the window it was admitted in is still open.
    pub fn settle(&mut self, held: Amount, actual: Amount, admitted_at: UnixMs, now: UnixMs) -> Settled {
        self.turn(now);
        self.release(held);
        let actual = actual.or_zero();
        let overrun = actual.minus(held.or_zero()).or_zero();
        let late = !self.booked.add(actual, overrun, admitted_at);
        Settled { booked: if late { Amount::ZERO } else { actual }, overrun, late }
    }

    /// Gives back a hold of which nothing was spent. More than is held gives back what is held.
    pub fn release(&mut self, held: Amount) {
        self.held = Amount(self.held.0 - held.0.clamp(0, self.held.0));
    }

    /// The account now; a window that has ended shows as turned.
    pub fn view(&self, now: UnixMs) -> AccountView {
        let mut account = self.clone();
        account.turn(now);
        let (window_start, resets_at) = account.booked.bounds(now);
        let elsewhere = account.slice.map_or(Amount::ZERO, |slice| slice.elsewhere);
        let (gate, _) = account.lowest();
        let left = gate.map_or(account.terms.limit, |gate| gate).minus(account.booked.sum()).minus(account.held);
        AccountView {
            measure: account.measure,
            limit: account.terms.limit,
            hard: account.terms.is_hard(),
            approval_at: account.terms.approval_at,
            approval: account.approval,
            window: account.booked.window().clone(),
            window_start,
            resets_at,
            settled: account.booked.sum().plus(elsewhere),
            held: account.held,
            overrun: account.booked.overrun(),
            left: left.or_zero(),
        }
    }

    /// Changes the limit and what happens near it; what is settled and held stays.
    pub fn set_terms(&mut self, terms: Terms) {
        let before = self.gate().0;
        self.terms = terms;
        let lowered = self.gate().0.is_some_and(|most| before.is_none_or(|before| most < before));
        let used = self.booked.sum().plus(self.held);
        if let Some(slice) = self.slice.as_mut().filter(|_| lowered) {
            // Slices were shared out below the old limit: every instance lets go of what it has not used, and asks anew.
            slice.ceiling = slice.ceiling.min(used);
        }
    }

    /// The limit and what happens near it.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// Takes over what was approved; `None` where nothing is.
    pub fn approve(&mut self, approval: Option<Approval>) {
        self.approval = approval;
    }

    /// Amounts whose reaching is told once a window, lowest first.
    pub fn set_marks(&mut self, marks: impl IntoIterator<Item = Amount>) {
        let used = self.used_everywhere();
        self.marks = marks.into_iter().collect();
        // What was passed before anybody asked is not news.
        self.told = self.marks.iter().filter(|mark| used >= **mark).count().min(self.told);
    }

    /// The place of the highest mark that what is settled and held has newly reached.
    pub fn newly_reached(&mut self) -> Option<usize> {
        let next = self.marks.get(self.told)?;
        let used = self.used_everywhere();
        if used < *next {
            return None;
        }
        self.told += self.marks[self.told..].iter().take_while(|mark| used >= **mark).count();
        Some(self.told - 1)
    }

    /// From now on this instance holds within its slice; `None` where it has the budget to itself.
    pub fn set_slice(&mut self, slice: Option<Slice>) {
        self.slice = slice;
    }

    /// Its slice, where it holds within one.
    pub fn slice(&self) -> Option<Slice> {
        self.slice
    }

    /// Nothing is held beyond this by all instances together; absent for a soft budget.
    pub fn most(&self) -> Option<Amount> {
        self.gate().0
    }

    /// Counts over another window from now on, in which nothing is booked yet. Holds stay: the calls they belong to are under
    /// way and will settle here.
    pub fn rewindow(&mut self, terms: Terms, window: Window, now: UnixMs) {
        let held = self.held;
        let marks = std::mem::take(&mut self.marks);
        *self = Account { held, marks, ..Account::new(self.measure, terms, window, now) };
    }

    /// Books what a call cost that was admitted before this account existed, and so holds nothing here.
    pub fn book(&mut self, actual: Amount, admitted_at: UnixMs, now: UnixMs) {
        self.turn(now);
        self.booked.add(actual.or_zero(), Amount::ZERO, admitted_at);
    }

    /// Replaces the upper bound that a call was booked with by what it cost, once that is known.
    pub fn correct(&mut self, bound: Amount, actual: Amount, admitted_at: UnixMs, now: UnixMs) {
        self.turn(now);
        if self.booked.add(actual.or_zero(), Amount::ZERO, admitted_at) {
            self.booked.take_back(bound, admitted_at);
        }
    }

    /// The window it counts over.
    pub fn window(&self) -> &Window {
        self.booked.window()
    }

    /// What its amounts are.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// Booked in the window by this instance, and reserved by it for calls under way.
    pub fn used(&mut self, now: UnixMs) -> (Amount, Amount) {
        self.turn(now);
        (self.booked.sum(), self.held)
    }

    /// The first millisecond of the window it counts in now.
    pub fn window_start(&mut self, now: UnixMs) -> UnixMs {
        self.turn(now);
        self.booked.bounds(now).0
    }

    /// Whether the amount could be held now.
    pub fn can_hold(&mut self, amount: Amount, now: UnixMs) -> Result<(), Short> {
        self.turn(now);
        // What costs nothing fits always, after an overrun or below a lowered limit too.
        let (Some(most), gate) = self.lowest() else { return Ok(()) };
        if amount <= Amount::ZERO || amount <= most.minus(self.booked.sum()).minus(self.held) {
            return Ok(());
        }
        Err(Short { gate, ..self.short_of(amount, most, now) })
    }

    /// What to say of an amount for which there is no room below `most`.
    pub fn short_of(&self, amount: Amount, most: Amount, now: UnixMs) -> Short {
        let elsewhere = self.slice.map_or(Amount::ZERO, |slice| slice.elsewhere);
        let room_needed = self.booked.sum().plus(amount).minus(most);
        Short {
            measure: self.measure,
            asked: amount,
            limit: self.terms.limit,
            settled: self.booked.sum().plus(elsewhere),
            held: self.held,
            window: self.booked.window().clone(),
            resets_at: self.booked.frees_at(room_needed, now),
            gate: Gate::Limit,
            only_reserved: room_needed <= Amount::ZERO,
        }
    }

    fn used_everywhere(&self) -> Amount {
        let elsewhere = self.slice.map_or(Amount::ZERO, |slice| slice.elsewhere);
        self.booked.sum().plus(self.held).plus(elsewhere)
    }

    /// Reserves what [`Account::can_hold`] has allowed.
    fn take(&mut self, amount: Amount) {
        self.held = self.held.plus(amount.or_zero());
    }

    /// The lowest amount beyond which nothing is held, and which it is; nothing for a soft budget. A slice binds only what
    /// something refuses: soft budgets go on without one.
    fn lowest(&self) -> (Option<Amount>, Gate) {
        let (most, gate) = self.gate();
        match (self.slice, most) {
            (Some(slice), Some(most)) if slice.ceiling < most => (Some(slice.ceiling), Gate::Slice),
            _ => (most, gate),
        }
    }

    /// The same for all instances together.
    fn gate(&self) -> (Option<Amount>, Gate) {
        let Terms { refuse_at, approval_at, .. } = self.terms;
        let approved = match (approval_at, self.approval) {
            (Some(at), None) => Some(at),
            (Some(at), Some(Approval { more: Some(more), .. })) => Some(at.plus(more)),
            (Some(_), Some(Approval { more: None, .. })) | (None, _) => None,
        };
        match (refuse_at, approved) {
            (Some(refuse), Some(approved)) if approved < refuse => (Some(approved), Gate::Approval),
            (Some(refuse), _) => (Some(refuse), Gate::Limit),
            (None, Some(approved)) => (Some(approved), Gate::Approval),
            (None, None) => (None, Gate::Limit),
        }
    }

    /// Begins the window `now` lies in, once the current one has ended. Holds stay: their calls are still under way and
    /// release themselves; nothing of a slice is left in the new window, and no approval. A clock that ran backwards turns
    /// nothing, so that no window is spent twice.
    fn turn(&mut self, now: UnixMs) {
        if self.booked.turn(now) {
            self.told = 0;
            if let Some(slice) = &mut self.slice {
                *slice = Slice::default();
            }
        }
        if self.told > 0 && self.booked.is_rolling() {
            // A tenth below, so that what goes to and fro around a mark is not told again and again.
            let used = self.used_everywhere();
            let still = self.marks.iter().take(self.told).filter(|mark| used.0 >= mark.0 - mark.0 / 10).count();
            self.told = still;
        }
        if self.approval.is_some_and(|approval| approval.until.is_some_and(|until| now >= until)) {
            self.approval = None;
        }
    }
}

/// Holds its amount on every account or on none; the error names the first that is short, by its place in the list.
/// The caller has locked the accounts, in the order of their [`crate::budget::BudgetId`].
pub fn hold_all<A: DerefMut<Target = Account>>(
    accounts: &mut [(A, Amount)],
    now: UnixMs,
) -> Result<(), (usize, Short)> {
    for (place, (account, amount)) in accounts.iter_mut().enumerate() {
        account.can_hold(*amount, now).map_err(|short| (place, short))?;
    }
    for (account, amount) in accounts.iter_mut() {
        account.take(*amount);
    }
    Ok(())
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
