//! Names of requests: keyed hashes of everything that is to be told apart.

use blake3::Hasher;

/// The name of all requests that are the same: a keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name(pub(super) [u8; 32]);

/// Parts of a name. Each has its kind and its length before it, so that no two lists of parts run into the same bytes.
pub struct Parts(Hasher);

impl Parts {
    /// None yet of a name keyed by `pepper`.
    pub fn new(pepper: &[u8; 32]) -> Parts {
        Parts(Hasher::new_keyed(pepper))
    }

    /// Adds a part.
    pub fn bytes(&mut self, kind: &'static str, bytes: &[u8]) {
        self.0.update(kind.as_bytes()).update(&[0]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }

    /// Adds a text.
    pub fn text(&mut self, kind: &'static str, text: &str) {
        self.bytes(kind, text.as_bytes());
    }

    /// Adds a number.
    pub fn number(&mut self, kind: &'static str, number: u64) {
        self.bytes(kind, &number.to_le_bytes());
    }

    /// The name they make.
    pub fn name(self) -> Name {
        Name(*self.0.finalize().as_bytes())
    }
}
