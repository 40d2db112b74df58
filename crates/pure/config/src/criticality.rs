//! `[criticality.*]`: policy classes. Teams declare one for a workflow; the policy says which lanes it means.

use std::sync::Arc;

use routing::LaneIndex;

use crate::key::{Key, Section};
use crate::lanes::Lane;
use crate::names::{Declared, find_all};
use crate::raw::Table;

/// Keys of `[criticality.NAME]`.
pub const SECTION: Section = Section {
    path: "criticality.NAME",
    about: "Policy classes: teams declare one for a workflow, the policy says which lanes it means.",
    keys: &[Key {
        name: "lanes",
        takes: "list of names of `[lanes.*]` entries",
        default: "required",
        meaning: "The lanes to try, in this order.",
        example: "[\"premium\", \"own\"]",
    }],
    meters: false,
};

/// Reads `[criticality.*]`: the lanes of each, in order.
pub(crate) fn read<'d>(root: &Table<'d>, lanes: &[Declared<Arc<Lane>>]) -> Vec<Declared<'d, Vec<LaneIndex>>> {
    let one = |table: &Table| {
        if !table.has("lanes") && !table.is_spoiled() {
            table.missing("lanes", "name at least one `[lanes.*]` entry");
        }
        find_all("lane", table.texts("lanes"), lanes, table.problems())
    };
    let named = root.named("criticality", &SECTION);
    named
        .iter()
        .map(|named| Declared { name: named.name, place: named.table.place.clone(), value: one(&named.table) })
        .collect()
}
