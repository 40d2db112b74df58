//! Shares budgets out among instances: asks the store for larger slices when calls need them, renews the lease, lets go of
//! what is not used. No call waits for this but one whose slice is empty, and that one only for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::UnixMs;
use ledger::hold::Slice;
use ledger::lease::{LEASE_MS, MARGIN_MS, RENEW_EVERY_MS, Use, Wanted, keeps};
use ledger::{Amount, BudgetId};
use store::{Incarnation, Renewal, Renewed, Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

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
}

/// What calls wait for in one budget.
#[derive(Clone, Copy, Default)]
struct Need {
    /// The least of them.
    least: Amount,
    /// All together.
    sum: Amount,
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
        }
    }

    /// Settles what the process before had leased, and leases for the first time.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        self.store.settle_leases(&self.who, &self.slices.uses()).await?;
        self.settled = true;
        self.renew(&BTreeMap::new(), true).await
    }

    /// Answers and renews until `stop` says so, and gives everything back then.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut renewing = tokio::time::interval(Duration::from_millis(RENEW_EVERY_MS));
        let mut looking = tokio::time::interval(Duration::from_millis(LOOK_EVERY_MS));
        renewing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked_for = 0;
        loop {
            // A transaction under way is cut off in time, so that the end of the lease is never slept through.
            let ends = tokio::time::Instant::from_std(self.spends_until);
            let asking = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep_until(ends), if !self.suspended => {
                    self.suspend();
                    continue;
                }
                Some(wanted) = self.wanted.recv() => Asking::Calls(wanted),
                _ = renewing.tick() => Asking::Time,
                _ = looking.tick() => Asking::Others,
            };
            let work = async {
                match asking {
                    Asking::Calls(first) => {
                        let needs = self.needs(first);
                        self.renew(&needs, false).await
                    }
                    Asking::Time if !self.settled => self.begin().await,
                    Asking::Time => self.renew(&BTreeMap::new(), true).await,
                    Asking::Others => self.make_room(&mut asked_for).await,
                }
            };
            let done = tokio::time::timeout_at(ends.max(tokio::time::Instant::now() + PATIENCE), work).await;
            self.note(done.unwrap_or(Err(StoreError::Busy)));
        }
        self.end().await;
    }

    /// What waits in the channel, by budget.
    fn needs(&mut self, first: Wanted) -> BTreeMap<BudgetId, Need> {
        let mut needs: BTreeMap<BudgetId, Need> = BTreeMap::new();
        let mut next = Some(first);
        while let Some(Wanted { budget, more, .. }) = next {
            let need = needs.entry(budget).or_insert(Need { least: more, sum: Amount::ZERO });
            need.least = need.least.min(more);
            need.sum = need.sum.plus(more);
            next = self.wanted.try_recv().ok();
        }
        needs
    }

    /// Tells the store how slices are used where that has changed, and asks for what is needed. With `all`, what has not been
    /// used for a while is let go of.
    async fn renew(&mut self, needs: &BTreeMap<BudgetId, Need>, all: bool) -> Result<(), StoreError> {
        let began = Instant::now();
        let mut renewals = Vec::new();
        for mut used in self.slices.uses() {
            let need = needs.get(&used.budget).copied().unwrap_or_default();
            let told = self.told.get(&used.budget).filter(|told| told.window_start == used.window_start);
            let spent = used.used().minus(told.map_or(Amount::ZERO, Use::used)).or_zero();
            let waits = need.sum > Amount::ZERO;
            if all && told.is_some() && !waits && used.most.is_some() {
                used = self.slices.let_go(&used.budget, keeps(spent)).unwrap_or(used);
            }
            if waits || told != Some(&used) && (all || told.is_none()) {
                // A slice for the calls that wait, and for as many more.
                let desired = if waits { need.sum.plus(need.sum).plus(keeps(spent)) } else { Amount::ZERO };
                renewals.push(Renewal { used, needed: need.least, desired });
            }
        }
        let used: Vec<Use> = renewals.iter().map(|renewal| renewal.used.clone()).collect();
        let renewed = self.store.renew(&self.who, LEASE_MS, renewals).await?;
        // Counted from before the store began to count.
        self.spends_until = began + Duration::from_millis(LEASE_MS - MARGIN_MS);
        self.suspended = false;
        let by_budget: BTreeMap<&BudgetId, &Renewed> = renewed.iter().map(|one| (&one.budget, one)).collect();
        for used in used {
            let Some(one) = by_budget.get(&used.budget) else { continue };
            let slice = Slice { ceiling: one.ceiling, elsewhere: one.elsewhere };
            self.slices.set(&used.budget, used.window_start, slice);
            self.told.insert(used.budget.clone(), Use { ceiling: one.ceiling, ..used });
        }
        let short: Vec<&Renewed> = renewed.iter().filter(|one| one.short).collect();
        if !short.is_empty() {
            self.store.ask_others(&short).await?;
        }
        Ok(())
    }

    /// Lets go of what is not used where another instance needs it.
    async fn make_room(&mut self, asked_for: &mut i64) -> Result<(), StoreError> {
        let (counter, budgets) = self.store.asked_for(*asked_for).await?;
        *asked_for = counter;
        let mut renewals = Vec::new();
        for budget in budgets {
            let before = self.told.get(&budget).map(|told| told.ceiling);
            let Some(used) = self.slices.let_go(&budget, Amount::ZERO) else { continue };
            if before != Some(used.ceiling) && used.most.is_some() {
                self.told.insert(budget, used.clone());
                renewals.push(Renewal { used, needed: Amount::ZERO, desired: Amount::ZERO });
            }
        }
        if !renewals.is_empty() {
            self.store.renew(&self.who, LEASE_MS, renewals).await?;
        }
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
        tracing::error!("the lease of this instance ends; budgets that refuse are refused until the database is there again");
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

/// Why the store is asked.
enum Asking {
    Calls(Wanted),
    Time,
    Others,
}

/// How long a transaction may take, at least.
const PATIENCE: Duration = Duration::from_millis(5_000);
