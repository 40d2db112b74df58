//! What a provider keeps for a client, stored answers, files and batches: where their ids stand in what is asked and answered,
//! so that a client never holds an id that it could use elsewhere, or that another could use here.
//!
//! [`Ids`] says what the client calls them, [`references`] finds them in a request, [`unsealed`] those that are not ours, [`objects`] renames them in what a provider
//! tells, [`answers`] reads a stored answer, [`requests`] reads what a batch asks for and [`results`] what came of it.

pub mod answers;
pub mod objects;
pub mod references;
pub mod requests;
pub mod results;
pub mod unsealed;

use std::fmt;
use std::sync::Arc;

pub use crate::reply::{Names, ResultLine};
pub use answers::{StoredAnswer, stored_answer, stored_input};
pub use objects::{Item, items, renamed, strings, with_top};
pub use references::{Reference, references, with_names};
pub use requests::{Asked, batch_line, batch_requests, purpose, with_bodies};
pub use results::result_line;
pub use unsealed::{Thing, Unsealed, unsealed};

/// What kind of thing an id names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// An answer that can be fetched or gone on from.
    Answer,
    /// A file.
    File,
    /// Many requests made at once.
    Batch,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Answer => "answer",
            Kind::File => "file",
            Kind::Batch => "batch",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What stands in every id a client is given, behind a prefix such as `resp_`: a cheap way to know that there is none.
pub const MARK: &str = "fh1_";

/// What the client calls what a provider keeps; as the provider does where nothing else is said.
#[derive(Clone, Default)]
pub struct Ids(Option<Arc<Name>>);

type Name = dyn Fn(Kind, &str) -> Option<String> + Send + Sync;

impl Ids {
    /// Names by this function; an id it gives no name for stays as it is.
    pub fn named(name: impl Fn(Kind, &str) -> Option<String> + Send + Sync + 'static) -> Ids {
        Ids(Some(Arc::new(name)))
    }

    /// What the client calls it, where that is something else.
    pub fn name(&self, kind: Kind, id: &str) -> Option<String> {
        self.0.as_ref()?(kind, id)
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Ids(named)" } else { "Ids(as they are)" })
    }
}
