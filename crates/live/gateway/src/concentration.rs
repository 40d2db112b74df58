//! How much of each criticality's traffic one vendor serves, and the moves that keep it below its limit. Costs a call whose
//! criticality has no limit nothing.

use std::sync::Arc;

use config::Snapshot;
use domain::UnixMs;
use parking_lot::Mutex;
use routing::concentration::VendorIndex;
use routing::{Concentration, CriticalityIndex, Kept, ModelIndex, Move, Mover, Permille, Place};

/// Traffic by vendor of the criticalities that have a limit.
#[derive(Default)]
pub struct Traffic {
    /// The vendor of each model.
    vendor_of: Vec<VendorIndex>,
    vendors: Vec<String>,
    by_criticality: Vec<Option<Mutex<Counted>>>,
}

struct Counted {
    attempts: Concentration,
    /// Since when a vendor has its share.
    full_since: Vec<Option<UnixMs>>,
}

impl Traffic {
    /// Nothing counted yet: after a change of the configuration the count begins anew.
    pub fn new(snapshot: &Snapshot) -> Traffic {
        let mut vendors: Vec<String> = Vec::new();
        let vendor_of = snapshot.models.iter().map(|model| {
            let name = model.provider.vendor();
            vendors.iter().position(|known| known == name).unwrap_or_else(|| {
                vendors.push(name.to_owned());
                vendors.len() - 1
            })
        });
        let vendor_of = vendor_of.collect();
        let limited = |index: CriticalityIndex| {
            let rule = snapshot.concentration.iter().find(|rule| rule.criticality == index)?;
            let attempts = Concentration::new(rule.limit, vendors.len());
            Some(Mutex::new(Counted { attempts, full_since: vec![None; vendors.len()] }))
        };
        let by_criticality = (0..snapshot.criticality.len()).map(limited).collect();
        Traffic { vendor_of, vendors, by_criticality }
    }

    fn of(&self, criticality: Option<CriticalityIndex>) -> Option<&Mutex<Counted>> {
        self.by_criticality.get(criticality?)?.as_ref()
    }

    /// Counts an attempt that is sent.
    pub fn sent(&self, criticality: Option<CriticalityIndex>, model: ModelIndex) {
        if let Some(counted) = self.of(criticality) {
            counted.lock().attempts.sent(self.vendor_of[model]);
        }
    }

    /// The moves of one call: away from each of these models whose vendor has its share already.
    pub fn moves(
        &self,
        criticality: Option<CriticalityIndex>,
        models: impl Iterator<Item = ModelIndex>,
        now: UnixMs,
    ) -> Vec<Arc<Move>> {
        let Some(counted) = self.of(criticality) else { return Vec::new() };
        let mut counted = counted.lock();
        let mut moves: Vec<Arc<Move>> = Vec::new();
        for model in models {
            let vendor = self.vendor_of[model];
            let Some(full) = counted.attempts.full(vendor) else {
                counted.full_since[vendor] = None;
                continue;
            };
            let since = *counted.full_since[vendor].get_or_insert(now);
            let reason = format!(
                "vendor {} has {} of the last {} attempts of its criticality, and no more than {} are to be",
                self.vendors[vendor], full.served, full.of, full.share
            );
            let kept = Kept::OfAll(Permille::NONE);
            let from = Place::Model(model);
            moves.push(Arc::new(Move { by: Mover::Concentration, from, kept, reason: reason.into(), since }));
        }
        moves
    }

    /// What each vendor has of each criticality that has a limit: criticality, vendor, attempts.
    pub fn shares(&self, snapshot: &Snapshot) -> Vec<(String, String, usize)> {
        let limited = self.by_criticality.iter().enumerate().filter_map(|(index, one)| Some((index, one.as_ref()?)));
        let shares = limited.flat_map(|(index, counted)| {
            let counts = counted.lock().attempts.counts().to_vec();
            let class = snapshot.criticality[index].name.clone();
            let each = self.vendors.clone().into_iter().zip(counts);
            each.map(move |(vendor, count)| (class.clone(), vendor, count))
        });
        shares.collect()
    }
}
