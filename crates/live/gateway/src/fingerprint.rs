//! What is kept of words that are not kept: how many bytes, and a hash that only this installation can make.

use std::hash::Hasher;

use bytes::Bytes;
use domain::record::BodyPrint;
use siphasher::sip::SipHasher13;
use twox_hash::XxHash3_128;

/// What is at least so long is made short by XXH3 before it is hashed with the key, which a prompt of 100 KB would spend a quarter of
/// its call's time on.
const LONG_BYTES: usize = 1 << 10;

/// Fingerprints are keyed: a plain hash of a short text could be guessed back.
#[derive(Clone)]
pub struct PrintKeys {
    key: [u8; 16],
    /// What XXH3 begins with. It alone would keep no secret; its outcome is seen by nobody.
    seed: u64,
}

impl PrintKeys {
    /// Made once from the secret of the installation.
    pub fn of(pepper: &[u8; 32]) -> PrintKeys {
        let derived = blake3::keyed_hash(pepper, b"pieces of an answer");
        let (key, rest): (&[u8; 16], &[u8]) = derived.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        let (seed, _): (&[u8; 8], &[u8]) = rest.split_first_chunk().expect("a hash has 32 bytes");
        PrintKeys { key: *key, seed: u64::from_le_bytes(*seed) }
    }

    /// The fingerprint of a whole text.
    pub fn print(&self, body: &[u8]) -> BodyPrint {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        if body.len() < LONG_BYTES {
            hasher.write(body);
        } else {
            hasher.write(&XxHash3_128::oneshot_with_seed(self.seed, body).to_le_bytes());
        }
        print_of(body.len() as u64, &hasher)
    }
}

/// What is known of the bytes a client got.
pub enum Fingerprint {
    /// None yet.
    Nothing,
    /// They came all at once, so that no state has to be kept from one piece to the next.
    Whole(Bytes),
    /// They come piece by piece, of a few words each.
    Pieces {
        /// Over all of them.
        hasher: SipHasher13,
        /// How many so far.
        bytes: u64,
    },
}

impl Fingerprint {
    /// Takes a piece.
    pub fn take(&mut self, bytes: &[u8], keys: &PrintKeys) {
        if let Fingerprint::Nothing | Fingerprint::Whole(_) = self {
            let began = Fingerprint::Pieces { hasher: SipHasher13::new_with_key(&keys.key), bytes: 0 };
            if let Fingerprint::Whole(before) = std::mem::replace(self, began) {
                self.take(&before, keys);
            }
        }
        if let Fingerprint::Pieces { hasher, bytes: so_far } = self {
            hasher.write(bytes);
            *so_far += bytes.len() as u64;
        }
    }

    /// What it has come to.
    pub fn print(&self, keys: &PrintKeys) -> BodyPrint {
        match self {
            Fingerprint::Pieces { hasher, bytes } if *bytes > 0 => print_of(*bytes, hasher),
            Fingerprint::Whole(body) if !body.is_empty() => keys.print(body),
            _ => BodyPrint::default(),
        }
    }
}

fn print_of(bytes: u64, hasher: &SipHasher13) -> BodyPrint {
    BodyPrint { bytes, hash: format!("{:016x}", hasher.finish()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_words_have_one_fingerprint_however_they_come() {
        let keys = PrintKeys::of(&[7; 32]);
        let mut pieces = Fingerprint::Nothing;
        pieces.take(b"Good ", &keys);
        pieces.take(b"morning", &keys);
        let whole = Fingerprint::Whole(Bytes::from_static(b"Good morning"));
        assert_eq!(pieces.print(&keys), whole.print(&keys));
        assert_eq!(whole.print(&keys).bytes, 12);
        assert_eq!(whole.print(&keys).hash.len(), 16);
    }

    #[test]
    fn another_installation_makes_another_fingerprint_of_any_length() {
        let (one, other) = (PrintKeys::of(&[7; 32]), PrintKeys::of(&[8; 32]));
        for length in [0, 1, 100, LONG_BYTES - 1, LONG_BYTES, 10 * LONG_BYTES] {
            let body = vec![b'a'; length];
            let print = one.print(&body);
            assert_eq!(print, one.print(&body));
            assert_ne!(print.hash, other.print(&body).hash, "{length} bytes");
            assert_eq!((print.bytes, print.hash.len()), (length as u64, 16));
        }
    }

    #[test]
    fn one_changed_byte_changes_it() {
        let keys = PrintKeys::of(&[7; 32]);
        for length in [1, 100, 10 * LONG_BYTES] {
            let mut body = vec![b'a'; length];
            let before = keys.print(&body);
            body[length / 2] = b'b';
            assert_ne!(keys.print(&body).hash, before.hash);
        }
    }
}
