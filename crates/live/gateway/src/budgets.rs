//! Budgets on one instance: what is held and settled per account, and the bounded wait when money is only reserved, or this
//! instance's slice of a shared budget is used up. The arithmetic is `ledger::hold`; here are the locks and the waiting.

mod entry;
mod limit;
mod rates;
mod sessions;
mod slices;
mod table;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::{NanoUsd, UnixMs};
use ledger::budget::{Amount, BudgetId, Measure, Scope, Spend};
use ledger::hold::{Account, AccountView, Gate, Short, Slice, hold_all};
use ledger::lease::Wanted;
use parking_lot::{Mutex, MutexGuard, RwLock};
use smallvec::SmallVec;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use self::entry::Entry;
pub use self::limit::{Limit, Notice, Rule, Scopes, ToModel};
use self::table::Table;
use crate::clock;

/// How long a call waits for money that others have only reserved, or for a larger slice, milliseconds.
pub const HOLD_WAIT_MS: u64 = 200;

/// Accounts that a call usually falls under: kept without allocating.
const FEW: usize = 4;

/// A budget that has reached a share of its limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// When.
    pub at: UnixMs,
    /// Which.
    pub budget: BudgetId,
    /// Which share, and what happens from there on.
    pub notice: Notice,
    /// The limit.
    pub limit: Amount,
}

/// Every budget account.
#[derive(Default)]
pub struct Budgets {
    table: RwLock<Table>,
    freed: Notify,
    lessor: OnceLock<mpsc::Sender<Wanted>>,
    reached: Mutex<VecDeque<Reached>>,
    /// Who tells others of it.
    teller: OnceLock<mpsc::Sender<Reached>>,
    /// What nobody could be told.
    pub untold: AtomicU64,
}

/// How many budgets that reached a share are remembered, for the console.
const REACHED_KEPT: usize = 200;

/// What is reserved for an attempt, and whose. It must be settled or released; dropping it would leave it held for ever, so
/// nothing here does that silently: both ways out consume it, and it cannot be cloned.
#[must_use]
pub struct Held {
    spend: Spend,
    at: UnixMs,
    scopes: Scopes,
    generation: u64,
    /// The very accounts it was taken from.
    taken: Taken,
    /// Tokens that were taken of its model's rate.
    rate_tokens: Amount,
}

/// Accounts something was taken from, in the order of their names.
type Taken = SmallVec<[Entry; FEW]>;

/// What was taken, and when.
struct Got {
    taken: Taken,
    generation: u64,
    at: UnixMs,
    rate_tokens: Amount,
}

/// Which of the models that may take a call is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// The cheapest, or the only one.
    Cheapest,
    /// One that is dearer than another.
    Dearer,
}

/// A budget that refused.
#[derive(Clone, Debug)]
pub struct Spent {
    /// Which.
    pub budget: BudgetId,
    /// What stood in the way.
    pub short: Short,
    /// Whether something cheaper is to be tried before the call is refused.
    pub downgrades: bool,
}

/// Under what kinds of budgets a call falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Under {
    /// Any at all.
    pub any: bool,
    /// One that refuses.
    pub hard: bool,
    /// One that refuses by money, so that what has no price cannot pass.
    pub hard_money: bool,
    /// One of its model's own, on tokens.
    pub model_tokens: bool,
}

impl Held {
    /// What is reserved.
    pub fn spend(&self) -> Spend {
        self.spend
    }
}

impl Budgets {
    /// Makes the accounts match these limits. Known accounts keep what calls under way hold.
    pub fn set(&self, limits: Vec<Limit>, now: UnixMs) {
        let mut table = self.table.write();
        table.follow(limits, now);
        if self.lessor.get().is_some() {
            table.all().for_each(Entry::shared);
        }
        drop(table);
        self.freed.notify_waiters();
    }

    /// Whoever shares budgets out among instances hears of every slice that is used up. The channel is bounded; what does not
    /// fit is asked again by the next call. Set once.
    pub fn ask_for_slices(&self, lessor: mpsc::Sender<Wanted>) {
        // A second one would take nothing from the first.
        let _ = self.lessor.set(lessor);
        self.table.read().all().for_each(Entry::shared);
    }

    /// Whoever tells others hears of every share that is reached. The channel is bounded; what does not fit is counted. Set once.
    pub fn tell_others(&self, teller: mpsc::Sender<Reached>) {
        let _ = self.teller.set(teller);
    }

    /// The slice this instance has of a budget from now on, if that is still in the window meant. Whether it was taken over.
    pub fn set_slice(&self, budget: &BudgetId, window_start: UnixMs, slice: Slice) -> bool {
        let now = clock::now();
        let Some(entry) = self.table.read().find(budget) else { return false };
        let mut account = entry.account.lock();
        let meant = account.window_start(now) == window_start || budget.window.bounds(now).1.is_none();
        if meant {
            account.set_slice(Some(slice));
        }
        drop(account);
        self.freed.notify_waiters();
        meant
    }

    /// Under what kinds of budgets a call falls.
    pub fn under(&self, scopes: &Scopes) -> Under {
        let table = self.table.read();
        let sessions = table.sessions.of(scopes, clock::now());
        let mut under = Under::default();
        for entry in table.entries_of(scopes, &sessions) {
            under.any = true;
            if let Scope::Model(_) = entry.meta.budget.scope {
                // It moves a call elsewhere: no answer is capped for it.
                under.model_tokens |= entry.meta.budget.measure == Measure::Tokens;
                continue;
            }
            let hard = entry.account.lock().terms().is_hard() && entry.meta.budget.measure.is_of_usage();
            under.hard |= hard;
            under.hard_money |= hard && entry.meta.budget.measure == Measure::Usd;
        }
        under
    }

    /// The widest scope whose budget of money refuses.
    pub fn hard_money(&self, scopes: &Scopes) -> Option<Scope> {
        self.hard_in(scopes, Measure::Usd)
    }

    /// The widest scope whose budget in this measure refuses.
    pub fn hard_in(&self, scopes: &Scopes, measure: Measure) -> Option<Scope> {
        let table = self.table.read();
        let sessions = table.sessions.of(scopes, clock::now());
        let mut hard = table
            .entries_of(scopes, &sessions)
            .filter(|entry| entry.meta.budget.measure == measure && entry.account.lock().terms().is_hard());
        hard.next().map(|entry| entry.meta.budget.scope.clone())
    }

    /// Whether this budget has an account.
    pub fn has(&self, budget: &BudgetId) -> bool {
        self.table.read().find(budget).is_some()
    }

    /// Reserves `spend` on every budget it falls under, or on none. Where it is not spent but only reserved by others, or where
    /// only this instance's slice is used up, waits up to [`HOLD_WAIT_MS`] for it.
    pub fn hold(
        &self,
        scopes: Scopes,
        spend: Spend,
        pick: Pick,
    ) -> impl Future<Output = Result<Held, Box<Spent>>> + Send + '_ {
        self.hold_patiently(scopes, spend, pick, true)
    }

    /// The same; where another model is left, nothing is waited for that this one's own limits have no room for.
    pub async fn hold_patiently(
        &self,
        scopes: Scopes,
        spend: Spend,
        pick: Pick,
        is_last: bool,
    ) -> Result<Held, Box<Spent>> {
        let waits = |spent: &Spent| spent.may_pass_soon() && (is_last || !spent.is_of_model());
        match self.try_hold(&scopes, spend, pick) {
            Ok(got) => Ok(got.held(scopes, spend)),
            Err(spent) if !waits(&spent) => Err(spent),
            // Boxed: few calls wait, and all of them would carry the room for it.
            Err(_) => {
                let got = Box::pin(self.wait_for(|| self.try_hold(&scopes, spend, pick), waits)).await?;
                Ok(got.held(scopes, spend))
            }
        }
    }

    /// Tries, and again while what is missing may come in a moment, for [`HOLD_WAIT_MS`] at most.
    async fn wait_for<T>(
        &self,
        attempt: impl Fn() -> Result<T, Box<Spent>>,
        waits: impl Fn(&Spent) -> bool,
    ) -> Result<T, Box<Spent>> {
        let mut until: Option<Instant> = None;
        let mut last_try = false;
        loop {
            // Enabled before the try, so that money freed in between is not missed; the first try goes without.
            let freed = until.map(|_| self.freed.notified());
            let mut freed = std::pin::pin!(freed);
            if let Some(freed) = freed.as_mut().as_pin_mut() {
                freed.enable();
            }
            match attempt() {
                Ok(got) => return Ok(got),
                Err(spent) if waits(&spent) && !last_try => match (until, freed.as_pin_mut()) {
                    (Some(until), Some(freed)) => last_try = tokio::time::timeout_at(until, freed).await.is_err(),
                    _ => until = Some(Instant::now() + Duration::from_millis(HOLD_WAIT_MS)),
                },
                Err(spent) => return Err(spent),
            }
        }
    }

    /// The same without waiting.
    pub fn hold_now(&self, scopes: Scopes, spend: Spend, pick: Pick) -> Result<Held, Box<Spent>> {
        let got = self.try_hold(&scopes, spend, pick)?;
        Ok(got.held(scopes, spend))
    }

    /// Notes whose money an attempt will cost that no budget limits now, so that a budget which appears meanwhile has it.
    pub fn note(&self, scopes: Scopes) -> Held {
        let generation = self.table.read().generation;
        // What no account was asked for is looked up again when it is settled.
        Held {
            spend: Spend::ZERO,
            at: clock::now(),
            scopes,
            generation: generation.wrapping_sub(1),
            taken: SmallVec::new(),
            rate_tokens: Amount::ZERO,
        }
    }

    /// Reserves more for an attempt that holds something, on every account it holds on or on none. It keeps what it holds
    /// where that is refused. Waits for nothing.
    pub fn top_up(&self, held: &mut Held, more: Spend) -> Result<(), Box<Spent>> {
        let now = clock::now();
        let mut open: SmallVec<[(MutexGuard<'_, Account>, Amount); FEW]> = SmallVec::new();
        for entry in &held.taken {
            // No answer is broken off for a limit of its model, which only moves calls elsewhere.
            let more = if entry.is_of_model() { Amount::ZERO } else { more.of(entry.meta.budget.measure) };
            open.push((entry.account.lock(), more));
        }
        let topped = hold_all(&mut open, now);
        let reached = reached_by(&mut open);
        drop(open);
        match topped {
            Ok(()) => {
                held.spend = held.spend.plus(more);
                for (place, mark) in reached {
                    self.tell(&held.taken[place], mark, now);
                }
                Ok(())
            }
            Err((place, short)) => Err(self.spent(&held.taken[place], short, now)),
        }
    }

    fn try_hold(&self, scopes: &Scopes, spend: Spend, pick: Pick) -> Result<Got, Box<Spent>> {
        let now = clock::now();
        let table = self.table.read();
        let sessions = table.sessions.of(scopes, now);
        let mut taken = Taken::new();
        table.entries_of(scopes, &sessions).for_each(|entry| taken.push(entry.clone()));
        let generation = table.generation;
        drop(table);
        // Every call locks its accounts in the order of their names, so that no two wait for each other.
        let mut open: SmallVec<[(MutexGuard<'_, Account>, Amount); FEW]> = SmallVec::new();
        let mut rate_tokens = Amount::ZERO;
        for entry in &taken {
            let account = entry.account.lock();
            let amount = match (&scopes.model, entry.meta.budget.measure) {
                (Some(model), Measure::Tokens) if entry.meta.is_rate => {
                    // What is more than a minute's worth passes in a minute of its own, or it could never be sent.
                    let tokens = Amount(i64::try_from(model.tokens).unwrap_or(i64::MAX));
                    rate_tokens = tokens.min(account.terms().limit);
                    rate_tokens
                }
                (_, measure) => spend.held(measure),
            };
            open.push((account, amount));
        }
        if pick == Pick::Dearer {
            for (place, (account, amount)) in open.iter_mut().enumerate() {
                let Some(at) = taken[place].meta.rule.downgrade_at else { continue };
                let (settled, held) = account.used(now);
                if settled.plus(held).plus(*amount) > at {
                    let short = account.short_of(*amount, at, now);
                    drop(open);
                    return Err(Box::new(Spent { downgrades: true, ..*self.spent(&taken[place], short, now) }));
                }
            }
        }
        let held = hold_all(&mut open, now);
        if held.is_ok() && scopes.model.is_some() {
            let rates = open.iter_mut().zip(&taken).filter(|(_, entry)| entry.meta.is_rate);
            for ((account, amount), _) in rates {
                account.settle(*amount, *amount, now, now);
            }
        }
        let reached = reached_by(&mut open);
        drop(open);
        for (place, mark) in reached {
            self.tell(&taken[place], mark, now);
        }
        match held {
            Ok(()) => Ok(Got { taken, generation, at: now, rate_tokens }),
            Err((place, short)) => Err(self.spent(&taken[place], short, now)),
        }
    }

    /// What a call is told of the account that refused it; an instance whose slice is used up asks for more.
    fn spent(&self, entry: &Entry, short: Short, now: UnixMs) -> Box<Spent> {
        let budget = entry.meta.budget.clone();
        if let (Gate::Slice, Some(lessor)) = (short.gate, self.lessor.get()) {
            let window_start = entry.account.lock().window_start(now);
            let _ = lessor.try_send(Wanted { budget: budget.clone(), window_start, more: short.asked });
        }
        Box::new(Spent { budget, short, downgrades: entry.meta.rule.downgrades })
    }

    /// Says once a window that a budget has reached a share of its limit.
    fn tell(&self, entry: &Entry, mark: usize, at: UnixMs) {
        let Some(notice) = entry.meta.rule.notices.get(mark).cloned() else { return };
        entry.meta.reached.fetch_add(1, Ordering::Relaxed);
        let (budget, limit) = (entry.meta.budget.clone(), entry.account.lock().terms().limit);
        tracing::warn!(
            scope = budget.scope.plain(),
            per = %budget.window,
            share_percent = notice.share_percent,
            act = notice.act,
            "a budget of {} has reached {} % of its limit",
            budget.measure.shown(limit),
            notice.share_percent
        );
        let told = Reached { at, budget, notice, limit };
        if let Some(teller) = self.teller.get()
            && teller.try_send(told.clone()).is_err()
        {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        let mut reached = self.reached.lock();
        if reached.len() >= REACHED_KEPT {
            reached.pop_front();
        }
        reached.push_back(told);
    }

    /// Budgets that have reached a share of their limit, newest first.
    pub fn reached(&self) -> Vec<Reached> {
        self.reached.lock().iter().rev().cloned().collect()
    }

    /// Books what it cost and frees the rest. Returns the money billed beyond what had been held.
    pub fn settle(&self, held: Held, actual: Spend) -> NanoUsd {
        self.end(held, actual, true)
    }

    fn end(&self, held: Held, actual: Spend, sent: bool) -> NanoUsd {
        let now = clock::now();
        let Held { spend, at, scopes, generation, taken, rate_tokens } = held;
        let mut overrun = NanoUsd::ZERO;
        for entry in &taken {
            let measure = entry.meta.budget.measure;
            let mut account = entry.account.lock();
            if entry.meta.is_rate {
                match measure {
                    Measure::Tokens => account.correct_rate(rate_tokens, actual.of(measure), at, now),
                    // Whatever became of it, it was sent.
                    _ if sent => {}
                    _ => account.correct_rate(Amount(1), Amount::ZERO, at, now),
                }
                continue;
            }
            let settled = account.settle(spend.held(measure), actual.booked(measure), at, now);
            let mark = account.newly_reached();
            drop(account);
            if let Some(mark) = mark {
                self.tell(entry, mark, now);
            }
            if measure == Measure::Usd {
                overrun = overrun.max(NanoUsd(settled.overrun.0));
            }
        }
        let table = self.table.read();
        if table.generation != generation {
            // A budget that appeared, or was made anew, while the attempt was under way.
            let sessions = table.sessions.of(&scopes, now);
            for entry in table.entries_of(&scopes, &sessions) {
                if !entry.is_of_model() && !taken.iter().any(|taken| Arc::ptr_eq(&taken.account, &entry.account)) {
                    entry.account.lock().book(actual.booked(entry.meta.budget.measure), at, now);
                }
            }
        }
        drop(table);
        self.freed.notify_waiters();
        overrun
    }

    /// Frees all of it: nothing was spent.
    pub fn release(&self, held: Held) {
        self.end(held, Spend::ZERO, false);
    }

    /// Replaces the upper bound that an attempt of these scopes was booked with at `at` by what it cost.
    pub fn correct(&self, scopes: &Scopes, bound: Spend, actual: Spend, at: UnixMs) {
        let now = clock::now();
        let table = self.table.read();
        let sessions = table.sessions.of(scopes, now);
        for entry in table.entries_of(scopes, &sessions) {
            let measure = entry.meta.budget.measure;
            entry.account.lock().correct(bound.of(measure), actual.of(measure), at, now);
        }
        drop(table);
        self.freed.notify_waiters();
    }

    /// Every account as it stands, from the widest scope to the narrowest.
    pub fn view(&self) -> Vec<BudgetView> {
        let now = clock::now();
        let table = self.table.read();
        let view = |entry: &Entry| BudgetView {
            budget: entry.meta.budget.clone(),
            account: entry.account.lock().view(now),
            reached: entry.meta.reached.load(Ordering::Relaxed),
        };
        let mut views: Vec<BudgetView> = table.all().map(view).chain(table.sessions.all().iter().map(view)).collect();
        drop(table);
        views.sort_by(|one, other| one.budget.cmp(&other.budget));
        views
    }
}

/// An account as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetView {
    /// Which.
    pub budget: BudgetId,
    /// What is booked, held and left.
    pub account: AccountView,
    /// How often it has reached a share of its limit that is told, since it was made.
    pub reached: u64,
}

/// The places of accounts that have newly reached a mark, and which.
fn reached_by(open: &mut [(MutexGuard<'_, Account>, Amount)]) -> SmallVec<[(usize, usize); 1]> {
    let reached = open.iter_mut().enumerate();
    reached.filter_map(|(place, (account, _))| Some((place, account.newly_reached()?))).collect()
}

impl Got {
    fn held(self, scopes: Scopes, spend: Spend) -> Held {
        let Got { taken, generation, at, rate_tokens } = self;
        Held { spend, at, scopes, generation, taken, rate_tokens }
    }
}

impl Spent {
    /// Which limit: `600 requests per minute`, `20 calls at once`.
    pub fn limit_in_words(&self) -> String {
        let limit = self.short.measure.shown(self.short.limit);
        match self.short.measure {
            Measure::Calls => limit,
            _ => format!("{limit} per {}", self.budget.window),
        }
    }

    /// Whether a model's own limit refused: another model may have room.
    pub fn is_of_model(&self) -> bool {
        matches!(self.budget.scope, Scope::Model(_))
    }

    /// Whether it may pass in a moment: when calls in flight give back what they reserved, or a larger slice comes.
    pub fn may_pass_soon(&self) -> bool {
        self.short.only_reserved || self.short.gate == Gate::Slice
    }
}
