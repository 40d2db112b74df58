//! Numbers of cells, remembered: a batch names its sums by them without asking the database.

use std::sync::{Arc, Mutex, PoisonError};

use ledger::cells::Cell;
use rustc_hash::FxHashMap;

/// Cells remembered. Far more than a configuration has; beyond it the memory starts afresh.
const CELLS_KEPT: usize = 100_000;

/// Numbers of cells that are known; they never change.
#[derive(Clone, Default, Debug)]
pub(crate) struct Cells(Arc<Mutex<FxHashMap<Cell, i64>>>);

impl Cells {
    /// The number of one, if it is known.
    pub fn get(&self, cell: &Cell) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cell).copied()
    }

    /// That this is its number.
    pub fn keep(&self, cell: Cell, number: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CELLS_KEPT {
            known.clear();
        }
        known.insert(cell, number);
    }
}
