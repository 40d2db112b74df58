//! `[criticality.*]`: policy classes. Teams declare one for a workflow; the policy says which lanes it means, and who is moved
//! away last when a lane does not keep its promise.

use std::sync::Arc;

use routing::{CriticalityIndex, LaneIndex};

use crate::key::{Key, Section};
use crate::lanes::Lane;
use crate::names::{Declared, find_all};
use crate::raw::{Named, Table};

/// A policy class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Criticality {
    /// Its name.
    pub name: String,
    /// Its place among those of a snapshot, the most critical first.
    pub index: CriticalityIndex,
    /// The lanes to try, in this order.
    pub lanes: Vec<LaneIndex>,
}

/// Keys of `[criticality.NAME]`.
pub const SECTION: Section = Section {
    path: "criticality.NAME",
    about: "Policy classes: teams declare one for a workflow, the policy says which lanes it means.",
    keys: &[
        Key {
            name: "lanes",
            takes: "list of names of `[lanes.*]` entries",
            default: "required",
            meaning: "The lanes to try, in this order.",
            example: "[\"premium\", \"own\"]",
        },
        Key {
            name: "rank",
            takes: "count, 1 to 1000",
            default: "the order in the file",
            meaning: "How critical it is: 1 is the most critical, and is moved away from a lane last. Give one to every class or to none; without any, the class written first is the most critical.",
            example: "1",
        },
    ],
    meters: false,
};

/// Reads `[criticality.*]`, in the order written; each knows its place among them.
pub(crate) fn read<'d>(root: &Table<'d>, lanes: &[Declared<Arc<Lane>>]) -> Vec<Declared<'d, Arc<Criticality>>> {
    let named = root.named("criticality", &SECTION);
    let ranks = ranks(&named);
    let one = |(named, index): (&Named<'d>, CriticalityIndex)| {
        let table = &named.table;
        if !table.has("lanes") && !table.is_spoiled() {
            table.missing("lanes", "name at least one `[lanes.*]` entry");
        }
        let lanes = find_all("lane", table.texts("lanes"), lanes, table.problems());
        let value = lanes.map(|lanes| Arc::new(Criticality { name: named.name.to_owned(), index, lanes }));
        Declared { name: named.name, place: named.table.place.clone(), value }
    };
    named.iter().zip(ranks).map(one).collect()
}

/// The place of each among all, the most critical first: by rank where they have ranks, else as written.
fn ranks(named: &[Named]) -> Vec<CriticalityIndex> {
    let written: Vec<Option<u64>> = named.iter().map(|one| one.table.count("rank", 1..=1000)).collect();
    let ranked = named.iter().filter(|one| one.table.has("rank")).count();
    let lacks = named.iter().find(|one| !one.table.has("rank")).filter(|_| ranked > 0);
    if let Some(lacks) = lacks {
        let reason = "has no `rank`, but another class has one, so nobody can tell which is more critical";
        let problems = lacks.table.problems();
        problems.error(&lacks.table.place, reason, "give every class of `[criticality.*]` a rank, or none");
    }
    for (at, one) in named.iter().enumerate() {
        let twin = written[..at].iter().position(|rank| rank.is_some() && *rank == written[at]);
        if let Some(twin) = twin {
            let reason = format!("is the rank of `{}` too", named[twin].name);
            one.table.problems().error(&one.table.place_of("rank"), reason, "give each class a rank of its own");
        }
    }
    let order = |at: usize| (written[at].unwrap_or(0), at);
    (0..named.len()).map(|at| (0..named.len()).filter(|other| order(*other) < order(at)).count()).collect()
}
