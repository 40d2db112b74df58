//! Secrets we mint and how they are kept: shown once, stored as a keyed hash, compared in constant time.

use std::fmt;
use std::io;

use domain::CallId;
use store::{Store, StoreError};
use subtle::ConstantTimeEq;

use crate::data::{DataDirectory, write_private};
use crate::failure::ControlError;

/// Crockford's base 32 in lower case, as in identifiers: no letter is mistaken for a digit, and no underscore.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters of a public half: 50 bits, so that a million keys collide with a chance below one in two thousand, and a
/// collision is refused by the store.
const ID_LETTERS: usize = 10;
/// Letters of a secret: 52 of 5 bits carry 256 bits.
const SECRET_LETTERS: usize = 52;
/// Longest text that is looked at as a secret.
const LONGEST: usize = 200;

/// What every stored hash of this installation is keyed with: who steals the database alone can test no guess.
#[derive(Clone)]
pub struct Pepper([u8; 32]);

/// A secret that was just minted. Its text is shown once and nowhere kept.
pub struct Minted {
    /// The public half.
    pub id: String,
    /// The whole text, `fh_<id>_<secret>`.
    pub text: String,
    /// What is kept of the secret.
    pub hash: [u8; 32],
}

impl Pepper {
    /// Reads the pepper of a data folder, or makes one where there is none.
    pub fn load_or_make(data: &DataDirectory) -> Result<Pepper, ControlError> {
        let path = data.pepper();
        match write_private(&path, &random::<32>()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(ControlError::Data { path, error }),
        }
        let bytes = std::fs::read(&path).map_err(|error| ControlError::Data { path: path.clone(), error })?;
        let bytes = bytes.try_into().map_err(|bytes: Vec<u8>| {
            let error = format!("a pepper has 32 bytes, this file has {}; restore it from the backup", bytes.len());
            ControlError::Data { path, error: io::Error::new(io::ErrorKind::InvalidData, error) }
        })?;
        Ok(Pepper(bytes))
    }

    /// A pepper of these bytes.
    pub fn new(bytes: [u8; 32]) -> Pepper {
        Pepper(bytes)
    }

    /// The bytes, for the gateway's table of keys.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// What is kept of a secret.
    pub fn hash(&self, secret: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, secret.as_bytes()).as_bytes()
    }

    /// As [`Pepper::hash`], for a use that must never agree with another one's.
    pub(crate) fn hash_for(&self, purpose: &str, secret: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(purpose.as_bytes()).update(&[0]).update(secret.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The secret with which AWS SDKs sign requests of a key. It can be made again, and so is as secret as this pepper.
    pub fn aws_secret_access_key(&self, grant: &domain::KeyGrant) -> String {
        grant.aws_secret_access_key(&self.0)
    }

    /// Whether the hashes in a database that several folders share are keyed with this pepper. The first to ask decides.
    pub async fn is_that_of(&self, store: &Store) -> Result<bool, StoreError> {
        let hash = self.hash_for("the pepper of a database", "");
        let mut number = [0; 8];
        number.copy_from_slice(&hash[..8]);
        let number = i64::from_le_bytes(number);
        Ok(store.first_number("pepper", number).await? == number)
    }

    /// Mints an identifier and a secret of 256 random bits behind a prefix such as `fh`.
    pub fn mint(&self, prefix: &str) -> Minted {
        let (id, secret) = (letters::<ID_LETTERS>(), letters::<SECRET_LETTERS>());
        Minted { text: format!("{prefix}_{id}_{secret}"), hash: self.hash(&secret), id }
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// Splits `<prefix>_<id>_<secret>` into the last two.
pub fn split<'a>(prefix: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    if text.len() > LONGEST {
        return None;
    }
    text.strip_prefix(prefix)?.strip_prefix('_')?.split_once('_')
}

/// Compares without telling by its time how much agreed.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// 256 random bits as text.
pub(crate) fn random_text() -> String {
    letters::<SECRET_LETTERS>()
}

/// The hash of a call's identifier, cut: span identifiers are derived from it.
pub(crate) fn short_hash(text: &str) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
    short
}

/// A trace identifier: the call's own 128 bits.
pub(crate) fn trace_of(call: CallId) -> String {
    format!("{:032x}", call.number())
}

pub(crate) fn letters<const COUNT: usize>() -> String {
    // 256 is a multiple of 32, so each letter is as likely as any other.
    random::<COUNT>().iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

fn random<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes; without them nothing here is safe");
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_pepper_is_made_once_and_only_its_owner_reads_it() {
        let scratch = testkit::scratch_dir("pepper");
        let data = DataDirectory::open(scratch.path()).unwrap();
        let first = Pepper::load_or_make(&data).unwrap();
        assert_eq!(Pepper::load_or_make(&data).unwrap().bytes(), first.bytes());
        assert_eq!(std::fs::metadata(data.pepper()).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(data.pepper(), b"short").unwrap();
        assert!(Pepper::load_or_make(&data).is_err());
    }

    #[test]
    fn a_minted_secret_splits_into_its_parts_and_hashes_to_what_is_kept() {
        let pepper = Pepper::new([7; 32]);
        let minted = pepper.mint("fh");
        let (id, secret) = split("fh", &minted.text).unwrap();
        assert_eq!((id, id.len(), secret.len()), (&*minted.id, 10, 52));
        assert_eq!(pepper.hash(secret), minted.hash);
        assert_ne!(pepper.mint("fh").text, minted.text);
        assert_ne!(Pepper::new([8; 32]).hash(secret), minted.hash);
        for wrong in ["", "fh", "fh_", "fh_ab", "fha_ab_c", "sk-1"] {
            assert_eq!(split("fh", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_pepper_never_prints_itself() {
        assert_eq!(format!("{:?}", Pepper::new([7; 32])), "Pepper(…)");
    }
}
