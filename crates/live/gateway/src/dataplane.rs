//! What every call needs, put together once: the running configuration, keys, budgets, spool and counters, and how new
//! policy is taken over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use domain::{KeyGrant, KeyId};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::budgets::Budgets;
use crate::cache::answers::Cache;
use crate::chance::Chance;
use crate::clock;
use crate::deployed::Deployed;
use crate::fingerprint::PrintKeys;
use crate::kept::deferred::Deferred;
use crate::kept::own::OwnBatches;
use crate::kept::owners::Owners;
use crate::kept::seal::Seals;
use crate::keys::KeyTable;
use crate::mcp::Mcp;
use crate::metrics::{Metrics, RevisionLabels};
use crate::pipe::Connector;
use crate::ports::{Keys, Policy};
use crate::settle::Books;
use crate::spool::Spool;
use crate::tokens::TokenCounter;
use crate::totals::Totals;
use crate::upstream::UpstreamError;
use crate::waiting_room::WaitingRoom;
use crate::watch::Watch;

/// The data plane: what every call needs, put together once.
pub struct Gateway {
    /// The configuration that runs.
    pub deployed: ArcSwap<Deployed>,
    /// The keys.
    pub keys: ArcSwap<KeyTable>,
    /// Holds and limits.
    pub budgets: Budgets,
    /// Intents and facts.
    pub spool: Spool,
    /// Counters.
    pub metrics: Metrics,
    /// What counts tokens that were not reported.
    pub tokens: TokenCounter,
    /// What is out of the ordinary.
    pub watch: Watch,
    /// What is known of servers of tools.
    pub mcp: Mcp,
    /// What seals the ids of what providers keep.
    pub seals: Arc<Seals>,
    /// What providers do later, booked at the most it can cost.
    pub deferred: Deferred,
    /// What many calls consumed together, where prices depend on it.
    pub totals: Totals,
    /// Answers that may be given again.
    pub cache: Cache,
    /// Whose files and batches are, for lists.
    pub owners: Owners,
    /// Batches that Freehold runs itself.
    pub own_batches: OwnBatches,
    /// Room for calls that wait until somebody can be asked.
    pub waiting_room: WaitingRoom,
    /// Identifiers and seeds.
    pub chance: Chance,
    /// Why the configuration on disk is not the one that runs.
    pub rejected: Mutex<Vec<String>>,
    /// Whether new calls are turned away.
    pub draining: AtomicBool,
    /// Turned true when calls under way must end now.
    pub cut: watch::Sender<bool>,
    /// What keys the fingerprints of what goes through.
    pub prints: PrintKeys,
    pepper: [u8; 32],
}

impl Gateway {
    /// Puts the parts together. `pepper` keys the hashes of secrets and fingerprints.
    pub fn new(policy: Policy, keys: Keys, pepper: [u8; 32], spool: Spool) -> Result<Gateway, UpstreamError> {
        let now = clock::now();
        let cache = Cache::new(pepper, &policy.snapshot);
        let deployed = Deployed::new(policy.snapshot, now, None)?;
        let gateway = Gateway {
            deployed: ArcSwap::from_pointee(deployed),
            keys: ArcSwap::from_pointee(KeyTable::new(pepper, keys.grants)),
            budgets: Budgets::default(),
            spool,
            metrics: Metrics::new(),
            tokens: TokenCounter::default(),
            watch: Watch::default(),
            mcp: Mcp::default(),
            seals: Arc::new(Seals::new(&pepper)),
            deferred: Deferred::default(),
            totals: Totals::default(),
            cache,
            owners: Owners::default(),
            own_batches: OwnBatches::default(),
            waiting_room: WaitingRoom::default(),
            chance: Chance::new(),
            rejected: Mutex::default(),
            draining: AtomicBool::new(false),
            cut: watch::Sender::new(false),
            prints: PrintKeys::of(&pepper),
            pepper,
        };
        gateway.budgets.set(policy.limits, now);
        gateway.announce();
        Ok(gateway)
    }

    /// Connects with all providers over what `connector` gives, from now on and before anything was sent: how drills begin.
    pub fn pipe(&mut self, connector: &Connector) {
        let deployed = Deployed::new(self.deployed.load().snapshot.clone(), clock::now(), None);
        let piped = deployed.map(|deployed| {
            let upstreams = deployed.upstreams.piped(connector, &deployed.snapshot.providers);
            Deployed { upstreams, ..deployed }
        });
        let piped = piped.expect("the snapshot was deployed before");
        self.deployed.store(Arc::new(piped));
    }

    /// Takes over a configuration. Calls under way keep the one they started with.
    pub fn deploy(&self, policy: Policy) -> Result<(), UpstreamError> {
        let now = clock::now();
        let deployed = Deployed::new(policy.snapshot, now, Some(&self.deployed.load()))?;
        // Budgets first: no call is decided by a policy whose limits are not there yet.
        self.budgets.set(policy.limits, now);
        self.cache.deploy(&deployed.snapshot);
        self.deployed.store(Arc::new(deployed));
        self.watch.redeployed(&self.deployed.load(), &self.metrics);
        self.rejected.lock().clear();
        self.announce();
        Ok(())
    }

    /// Takes over the keys; effective for the next call.
    pub fn publish_keys(&self, keys: Keys) {
        let table = KeyTable::new(self.pepper, keys.grants);
        self.budgets.set(keys.limits, clock::now());
        self.cache.forget_keys(|key| !table.may_ask(key));
        self.keys.store(Arc::new(table));
    }

    /// Takes over only what was revoked, of keys whose budgets are not known yet.
    pub fn revoke(&self, grants: &[KeyGrant]) {
        let known = self.keys.load();
        let revoked = |id: &KeyId| grants.iter().find(|grant| grant.id == *id).and_then(|grant| grant.revoked_at);
        let mut kept: Vec<KeyGrant> = known.iter().map(|key| key.grant.clone()).collect();
        kept.iter_mut().for_each(|grant| grant.revoked_at = grant.revoked_at.or_else(|| revoked(&grant.id)));
        let table = KeyTable::new(self.pepper, kept);
        self.cache.forget_keys(|key| !table.may_ask(key));
        self.keys.store(Arc::new(table));
    }

    /// Says that the configuration on disk is not taken over, and why.
    pub fn reject(&self, problems: Vec<String>) {
        self.metrics.configuration_rejected.set(1);
        *self.rejected.lock() = problems;
    }

    fn announce(&self) {
        let revision = self.deployed.load().snapshot.revision.clone();
        self.metrics.configuration_rejected.set(0);
        self.metrics.configuration_loads.inc();
        self.metrics.configuration_revision.clear();
        self.metrics.configuration_revision.get_or_create(&RevisionLabels { revision }).set(1);
    }

    /// What keys the hashes of secrets and fingerprints.
    pub fn pepper(&self) -> [u8; 32] {
        self.pepper
    }

    /// The books attempts are settled in.
    pub fn books(&self) -> Books<'_> {
        Books {
            budgets: &self.budgets,
            metrics: &self.metrics,
            tokens: &self.tokens,
            deferred: &self.deferred,
            totals: &self.totals,
            watch: &self.watch,
            deployed: &self.deployed,
            cut: &self.cut,
        }
    }

    /// Whether new calls are turned away.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
