//! The output items of one Responses stream, as far as they must be told apart: by index, or by id where a server leaves the
//! index out.

use std::hash::{DefaultHasher, Hasher};

/// How the ids of thoughts begin that were translated into a response. OpenAI looks the ids of thoughts up, and would not find
/// these: a conversation that comes back with one is written anew without it.
pub(crate) const TRANSLATED_THOUGHT: &str = "rs_fh";

/// How many items of one answer are kept track of.
const MAX_ITEMS: usize = 1_024;

/// The items so far.
#[derive(Default)]
pub(crate) struct Items(Vec<Item>);

/// One item.
pub(crate) struct Item {
    /// A hash of its id; ids have any length.
    id: Option<u64>,
    /// Its place in the answer.
    pub index: u64,
    /// Its place among the answer's calls of functions, where it is one.
    pub ordinal: Option<u32>,
    /// Whether arguments of it came.
    pub told: bool,
}

impl Items {
    /// The item of this index, or id, or else the last one.
    pub(crate) fn find(&mut self, index: Option<u64>, id: Option<&[u8]>) -> Option<&mut Item> {
        let at = match (index, id.map(hash)) {
            (Some(index), _) => self.0.iter().rposition(|item| item.index == index),
            (None, Some(id)) => self.0.iter().rposition(|item| item.id == Some(id)),
            (None, None) => self.0.len().checked_sub(1),
        };
        at.map(|at| &mut self.0[at])
    }

    /// Puts down an item that begins. `None`: there are too many.
    pub(crate) fn begin(&mut self, index: Option<u64>, id: Option<&[u8]>, is_call: bool) -> Option<&mut Item> {
        if self.0.len() == MAX_ITEMS {
            return None;
        }
        let calls = self.0.iter().filter(|item| item.ordinal.is_some()).count();
        let next = self.0.last().map_or(0, |last| last.index.saturating_add(1));
        self.0.push(Item {
            id: id.map(hash),
            index: index.unwrap_or(next),
            ordinal: is_call.then(|| u32::try_from(calls).expect("no more than MAX_ITEMS are kept")),
            told: false,
        });
        self.0.last_mut()
    }
}

fn hash(id: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id);
    hasher.finish()
}
