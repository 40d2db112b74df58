//! Chance: identifiers nobody guesses and seeds for jitter. One block of operating-system randomness keys a BLAKE3
//! counter stream, so that a call costs no system call.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::{CallId, UnixMs};

/// A source of unpredictable numbers, shared by all calls.
pub struct Chance {
    key: [u8; 32],
    drawn: AtomicU64,
}

impl Chance {
    /// Takes its key from the operating system.
    pub fn new() -> Chance {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system gives random bytes, or nothing here is safe");
        Chance { key, drawn: AtomicU64::new(0) }
    }

    /// The same numbers from the same seed, for drills. Whoever knows the seed knows them all.
    pub fn seeded(seed: u64) -> Chance {
        Chance { key: *blake3::hash(&seed.to_le_bytes()).as_bytes(), drawn: AtomicU64::new(0) }
    }

    /// 128 unpredictable bits.
    pub fn draw(&self) -> u128 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.key, &count.to_le_bytes());
        let (bits, _) = hash.as_bytes().split_first_chunk::<16>().expect("a hash has 32 bytes");
        u128::from_le_bytes(*bits)
    }

    /// Mints a call's identifier.
    pub fn call_id(&self, now: UnixMs) -> CallId {
        CallId::mint(now, self.draw())
    }
}

impl Default for Chance {
    fn default() -> Chance {
        Chance::new()
    }
}
