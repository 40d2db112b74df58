//! Which processes serve from this database, and what each may spend of the budgets they share.

use domain::UnixMs;
use serde::Serialize;
use store::{InstanceRow, LeaseRow};

use crate::control::Control;
use crate::failure::ControlError;

/// An instance with its leases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InstanceView {
    /// Its name.
    pub instance: String,
    /// `serving`, `ended`, or `gone` for one whose lease ended without a word from it.
    pub state: InstanceState,
    /// When its latest process began.
    pub started_at: UnixMs,
    /// Until when that may spend; when it ended, for one that has.
    pub lease_ends: UnixMs,
    /// Host and folder.
    pub place: String,
    /// Its part in each budget.
    pub leases: Vec<LeaseView>,
}

/// Whether an instance serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It renews its lease.
    Serving,
    /// It ended in order and gave everything back.
    Ended,
    /// Its lease ended; what it leased counts until its spool is read.
    Gone,
}

/// An instance's part in a budget, in words and figures with their unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LeaseView {
    /// Whose budget, over which window.
    pub budget: String,
    /// When the window began; absent where it has no beginning.
    pub window_start: Option<UnixMs>,
    /// Booked.
    pub booked: String,
    /// Held for calls under way.
    pub held: String,
    /// Leased beside that, and not used.
    pub leased: String,
    /// What may have been spent by a process whose lease ended before its spool was read.
    pub indeterminate: String,
}

impl Control {
    /// Every instance that ever served from this database, by name.
    pub async fn instances(&self) -> Result<Vec<InstanceView>, ControlError> {
        let leases = self.store().leases().await?;
        let instances = self.store().instances().await?;
        let mut views: Vec<InstanceView> = instances.iter().map(|instance| view(instance, &leases)).collect();
        // The embedded database has one instance, which renews no lease: whoever is asked is it.
        for view in views.iter_mut().filter(|view| !self.store().is_shared() && view.state == InstanceState::Gone) {
            view.state = InstanceState::Serving;
        }
        Ok(views)
    }
}

impl InstanceState {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            InstanceState::Serving => "serving",
            InstanceState::Ended => "ended",
            InstanceState::Gone => "gone",
        }
    }
}

/// An instance and those of these leases that are its own.
pub fn view(instance: &InstanceRow, leases: &[LeaseRow]) -> InstanceView {
    InstanceView {
        instance: instance.instance.clone(),
        state: match instance.ended_at {
            Some(_) => InstanceState::Ended,
            None if instance.is_live() => InstanceState::Serving,
            None => InstanceState::Gone,
        },
        started_at: instance.started_at,
        lease_ends: instance.lease_ends,
        place: instance.place.clone(),
        leases: leases.iter().filter(|lease| lease.instance == instance.instance).map(lease_view).collect(),
    }
}

fn lease_view(lease: &LeaseRow) -> LeaseView {
    let shown = |amount| lease.budget.measure.shown(amount);
    // Of what is not known, nothing is free.
    let free = lease.ceiling.minus(lease.settled).minus(lease.held).minus(lease.indeterminate).or_zero();
    LeaseView {
        budget: format!("{} per {}", lease.budget.scope.plain(), lease.budget.window),
        window_start: (lease.window_start != UnixMs(0)).then_some(lease.window_start),
        booked: shown(lease.settled),
        held: shown(lease.held),
        leased: shown(free),
        indeterminate: shown(lease.indeterminate),
    }
}
