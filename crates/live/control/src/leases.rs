//! Shares budgets out among instances: asks the store for larger slices when calls need them, renews the lease, lets go of
//! what is not used. No call waits for this but one whose slice is empty, and that one only for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::UnixMs;
use ledger::hold::Slice;
use ledger::lease::{LEASE_MS, MARGIN_MS, RENEW_EVERY_MS, Use, Wanted};
use ledger::{Amount, BudgetId, Measure, Scope};
use store::{Counted, Incarnation, Renewal, Renewed, Store, StoreError, Whose};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::data::{DataDirectory, DataLock};
use crate::failure::ControlError;
use crate::identity;
use crate::secrets::random_text;

/// Calls that may ask at the same time; who does not fit asks again.
pub const ASKING_AT_ONCE: usize = 256;
/// How often it is looked whether another instance needs what this one does not use, milliseconds. A call waits 200 ms.
const LOOK_EVERY_MS: u64 = 50;

/// The slices of the running gateway, named here and answered by the binary.
pub trait Slices: Send + Sync {
    /// How every slice is used now.
    fn uses(&self) -> Vec<Use>;
    /// Lets go of what a slice has beyond what is used and `spare`. How it is used then.
    fn let_go(&self, budget: &BudgetId, spare: Amount) -> Option<Use>;
    /// The slice this instance has from now on, if its window is still the one meant.
    fn set(&self, budget: &BudgetId, window_start: UnixMs, slice: Slice) -> bool;
}

/// The job of one process.
pub struct Lessor {
    store: Store,
    who: Incarnation,
    slices: Arc<dyn Slices>,
    wanted: mpsc::Receiver<Wanted>,
    /// Until when this process may spend, by its own clock.
    spends_until: Instant,
    /// What the store was told last.
    told: BTreeMap<BudgetId, Use>,
    failing: bool,
    /// Whether nothing is spent any more.
    suspended: bool,
    /// Whether the slices of the process before are settled.
    settled: bool,
    /// What calls wait for, and until when.
    pending: BTreeMap<BudgetId, Need>,
    /// Up to which question of another instance this one has answered.
    answered: i64,
}

/// What calls wait for in one budget.
#[derive(Clone, Copy)]
struct Need {
    /// The least of them.
    least: Amount,
    /// All together.
    sum: Amount,
    /// When the last of them gives up.
    until: Instant,
    /// When the store said that there is not so much.
    refused_at: Option<Instant>,
}

/// Begins a process of the instance that serves from a data folder: its name, and the name of the process.
pub async fn begin(store: &Store, data: &DataDirectory, _lock: &DataLock) -> Result<Incarnation, ControlError> {
    let who = Incarnation { instance: identity::instance(data)?, incarnation: random_text() };
    store.begin_instance(&who, &identity::place(data)?, LEASE_MS).await?;
    Ok(who)
}

/// Settles what a dead process of this instance had leased by what its books say, now that its spool has been read. Of units
/// only the configuration says who belongs to them: what it might have spent there counts until a process that knows it
/// starts. How many leases there were.
pub async fn settle_from_books(store: &Store, who: &Incarnation, now: UnixMs) -> Result<usize, StoreError> {
    let own = store.leases().await?.into_iter().filter(|lease| lease.instance == who.instance);
    let mut settled = Vec::new();
    for lease in own {
        let whose = match &lease.budget.scope {
            Scope::Organisation => Whose::Everybodys,
            Scope::Workflow(name) => Whose::Workflows(vec![name.clone()]),
            Scope::Key(id) => Whose::Key(id.clone()),
            Scope::Unit(_) | Scope::Session { .. } | Scope::Model(_) => continue,
        };
        // What was taken of a rate stops to count a minute after its instance.
        if lease.budget.is_rate() {
            continue;
        }
        let (window_start, window_end) = lease.budget.window.bounds(now);
        if lease.window_start != window_start && window_end.is_some() {
            continue;
        }
        let booked = match lease.budget.measure {
            Measure::Usd => store.booked_since(&whose, Counted::Cost, window_start).await?,
            Measure::Tokens => store.booked_since(&whose, Counted::Tokens, window_start).await?,
            Measure::Requests => store.booked_since(&whose, Counted::Requests, window_start).await?,
            // No call of a dead process is under way.
            Measure::Calls => Vec::new(),
        };
        let spent = Amount(booked.iter().map(|(_, amount)| amount).sum());
        let (held, most) = (Amount::ZERO, None);
        settled.push(Use {
            budget: lease.budget,
            window_start,
            window_end,
            most,
            ceiling: spent,
            settled: spent,
            held,
        });
    }
    store.settle_leases(who, &settled).await?;
    Ok(settled.len())
}

impl Lessor {
    /// The job of this process; until it has renewed once, nothing is spent of budgets that refuse.
    pub fn new(store: Store, who: Incarnation, slices: Arc<dyn Slices>, wanted: mpsc::Receiver<Wanted>) -> Lessor {
        Lessor {
            store,
            who,
            slices,
            wanted,
            spends_until: Instant::now(),
            told: BTreeMap::new(),
            failing: false,
            suspended: true,
            settled: false,
            pending: BTreeMap::new(),
            answered: 0,
        }
    }

    /// Settles what the process before had leased, and leases for the first time.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        self.store.settle_leases(&self.who, &self.slices.uses()).await?;
        self.settled = true;
        self.renew(true).await
    }

    /// Answers and renews until `stop` says so, and gives everything back then.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut renewing = tokio::time::interval(Duration::from_millis(RENEW_EVERY_MS));
        let mut looking = tokio::time::interval(Duration::from_millis(LOOK_EVERY_MS));
        renewing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ends = tokio::time::Instant::from_std(self.spends_until);
            let asking = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep_until(ends), if !self.suspended => {
                    self.suspend();
                    continue;
                }
                _ = renewing.tick() => Asking::Time,
                _ = looking.tick() => Asking::Others,
                Some(wanted) = self.wanted.recv() => Asking::Calls(wanted),
            };
            // The end of the lease is not slept through in a transaction that hangs.
            let patience = if self.suspended { PATIENCE } else { PATIENCE.min(self.spends_until - Instant::now()) };
            let done = tokio::time::timeout(patience, self.work(asking)).await;
            self.note(done.unwrap_or(Err(StoreError::Busy)));
        }
        self.end().await;
    }

    async fn work(&mut self, asking: Asking) -> Result<(), StoreError> {
        match asking {
            Asking::Time if !self.settled => self.begin().await,
            Asking::Time => self.renew(true).await,
            Asking::Calls(first) => {
                if self.note_needs(first) && self.settled {
                    self.renew(false).await?;
                }
                Ok(())
            }
            Asking::Others => {
                let now = Instant::now();
                self.pending.retain(|_, need| now < need.until);
                if self.told.values().any(|told| told.most.is_some() && told.spare() > Amount::ZERO) {
                    self.make_room().await?;
                }
                if !self.pending.is_empty() && self.settled { self.renew(false).await } else { Ok(()) }
            }
        }
    }

    /// Notes what waits in the channel. Whether it is worth asking for now: where there was not so much a moment ago, the
    /// next look is early enough.
    fn note_needs(&mut self, first: Wanted) -> bool {
        let now = Instant::now();
        let until = now + Duration::from_millis(CALLS_WAIT_MS);
        let mut worth = false;
        let mut next = Some(first);
        while let Some(Wanted { budget, more, .. }) = next {
            let fresh = Need { least: more, sum: Amount::ZERO, until, refused_at: None };
            let need = self.pending.entry(budget).or_insert(fresh);
            *need = Need { least: need.least.min(more), sum: need.sum.plus(more), until, ..*need };
            let lately = |at: Instant| now - at < Duration::from_millis(LOOK_EVERY_MS);
            worth |= !need.refused_at.is_some_and(lately);
            next = self.wanted.try_recv().ok();
        }
        worth
    }

    /// Asks for what calls need. With `all` it also tells the store how slices are used, and asks for its share of what nobody
    /// has used.
    async fn renew(&mut self, all: bool) -> Result<(), StoreError> {
        let began = Instant::now();
        let mut renewals = Vec::new();
        for used in self.slices.uses() {
            let told = self.told.get(&used.budget).filter(|told| told.window_start == used.window_start);
            match self.pending.get(&used.budget) {
                // A slice for the calls that wait, and for as many more.
                Some(Need { least, sum, .. }) => {
                    renewals.push(Renewal { used, needed: *least, desired: sum.plus(*sum) });
                }
                // Its share of what nobody has used, so that calls to come find it there.
                None if all && told != Some(&used) => {
                    renewals.push(Renewal { used, needed: Amount::ZERO, desired: Amount::MAX });
                }
                None => {}
            }
        }
        let uses: Vec<Use> = renewals.iter().map(|renewal| renewal.used.clone()).collect();
        let renewed = self.store.renew(&self.who, LEASE_MS, renewals).await?;
        // Counted from before the store began to count.
        self.spends_until = began + Duration::from_millis(LEASE_MS - MARGIN_MS);
        self.suspended = false;
        let short: Vec<&Renewed> = renewed.iter().filter(|one| one.short).collect();
        for one in &renewed {
            let Some(used) = uses.iter().find(|used| used.budget == one.budget) else { continue };
            let slice = Slice { ceiling: one.ceiling, elsewhere: one.elsewhere };
            self.slices.set(&one.budget, one.window_start, slice);
            self.told.insert(one.budget.clone(), Use { ceiling: one.ceiling, ..used.clone() });
            match self.pending.get_mut(&one.budget) {
                Some(need) if one.short => need.refused_at = Some(began),
                _ => drop(self.pending.remove(&one.budget)),
            }
        }
        if !short.is_empty() {
            self.store.ask_others(&short).await?;
        }
        Ok(())
    }

    /// Lets go of what is not used where another instance needs it.
    async fn make_room(&mut self) -> Result<(), StoreError> {
        let (counter, budgets) = self.store.asked_for(self.answered).await?;
        let mut renewals = Vec::new();
        for budget in budgets.into_iter().filter(|budget| !self.pending.contains_key(budget)) {
            let Some(before) = self.told.get(&budget).map(|told| told.ceiling) else { continue };
            let Some(used) = self.slices.let_go(&budget, Amount::ZERO) else { continue };
            if used.most.is_some() && used.ceiling < before {
                renewals.push(Renewal { used, needed: Amount::ZERO, desired: Amount::ZERO });
            }
        }
        if !renewals.is_empty() {
            for renewed in self.store.renew(&self.who, LEASE_MS, renewals.clone()).await? {
                let let_go = renewals.iter().find(|renewal| renewal.used.budget == renewed.budget);
                let used = let_go.expect("it answers what it was asked").used.clone();
                self.told.insert(renewed.budget, used);
            }
        }
        self.answered = counter;
        Ok(())
    }

    fn note(&mut self, done: Result<(), StoreError>) {
        match done {
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(%error, "leases of budgets cannot be renewed; what is leased is spent until the lease ends");
            }
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("leases of budgets are renewed again");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// The lease ends: nothing more is held. Calls under way go on with what they hold.
    fn suspend(&mut self) {
        self.suspended = true;
        for used in self.slices.uses() {
            self.slices.let_go(&used.budget, Amount::ZERO);
        }
        tracing::error!(
            "the lease of this instance ends; budgets that refuse are refused until the database is there again"
        );
    }

    /// Gives everything back. Calls have ended by now.
    async fn end(&mut self) {
        let uses = self.slices.uses().into_iter();
        let uses: Vec<Use> = uses.filter_map(|used| self.slices.let_go(&used.budget, Amount::ZERO)).collect();
        let renewal = |used| Renewal { used, needed: Amount::ZERO, desired: Amount::ZERO };
        let given_back = async {
            self.store.renew(&self.who, LEASE_MS, uses.into_iter().map(renewal).collect()).await?;
            self.store.end_instance(&self.who).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, given_back).await {
            tracing::warn!(%error, "what was leased could not be given back; the next start does so");
        }
    }
}

/// How long a call waits for a larger slice, milliseconds; as in the gateway.
const CALLS_WAIT_MS: u64 = 200;

/// Why the store is asked.
enum Asking {
    Calls(Wanted),
    Time,
    Others,
}

/// How long a transaction may take, at least.
const PATIENCE: Duration = Duration::from_millis(5_000);
