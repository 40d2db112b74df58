//! Which calls begin elsewhere now: the moves of whoever found a reason, put together for the calls to read.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use config::Snapshot;
use parking_lot::Mutex;
use routing::{Move, Mover, Place};

/// The moves that hold for a snapshot. Each mover replaces its own; calls read all of them without a lock.
#[derive(Default)]
pub struct Steering {
    /// Guards the order of writers only.
    writing: Mutex<()>,
    moves: ArcSwap<Vec<Arc<Move>>>,
}

impl Steering {
    /// What holds for a new snapshot of what held for the one before: places keep their moves by their names.
    pub fn carried(before: &Steering, old: &Snapshot, new: &Snapshot) -> Steering {
        let lane = |index: usize| new.lanes.iter().position(|lane| lane.name == old.lanes[index].name);
        let model = |index: usize| new.models.iter().position(|model| model.name == old.models[index].name);
        let carried = |one: &Arc<Move>| {
            let from = match one.from {
                Place::Lane(index) => Place::Lane(lane(index)?),
                Place::Model(index) => Place::Model(model(index)?),
                Place::ModelOf(of, index) => Place::ModelOf(lane(of)?, model(index)?),
            };
            Some(Arc::new(Move { from, ..Move::clone(one) }))
        };
        let moves = before.moves.load().iter().filter_map(carried).collect();
        Steering { writing: Mutex::default(), moves: ArcSwap::from_pointee(moves) }
    }

    /// Replaces the moves of one mover.
    pub fn set(&self, by: Mover, moves: Vec<Move>) {
        let _one_at_a_time = self.writing.lock();
        let mut all: Vec<Arc<Move>> = self.moves.load().iter().filter(|one| one.by != by).cloned().collect();
        all.extend(moves.into_iter().map(Arc::new));
        self.moves.store(Arc::new(all));
    }

    /// Every move that holds now.
    pub fn now(&self) -> Guard<Arc<Vec<Arc<Move>>>> {
        self.moves.load()
    }
}
