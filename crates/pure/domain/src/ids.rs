//! Identifiers we mint: a call, an attempt on its behalf, a key. Text forms are stable and appear in headers and pages.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::time::UnixMs;

/// Crockford's base 32, lower case: no i, l, o or u, so an identifier survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// One client request, from admission to settlement. 48 bits of Unix milliseconds, then 80 random bits, so that
/// identifiers sort by time and are never guessed. Text form: `call_` and 26 letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(u128);

impl CallId {
    /// Mints an identifier from the time and 80 random bits (the lower ones of `chance`).
    pub fn mint(now: UnixMs, chance: u128) -> Self {
        let ms = u128::from(now.0.max(0).unsigned_abs() & 0xffff_ffff_ffff);
        Self((ms << 80) | (chance & ((1 << 80) - 1)))
    }

    /// All 128 bits, for identifiers of others that are derived from it, such as a trace's.
    pub fn number(self) -> u128 {
        self.0
    }

    /// When the call was minted.
    pub fn minted_at(self) -> UnixMs {
        UnixMs((self.0 >> 80) as i64)
    }
}

/// One try upstream on behalf of a call; the unit of cost. Text form: the call's identifier, a dot, the ordinal from 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    /// The call it was made for.
    pub call: CallId,
    /// First attempt is 1.
    pub ordinal: u16,
}

impl AttemptId {
    /// Set in the ordinal of what settles an attempt that was answered later than its call. No call has as many attempts.
    const SETTLES: u16 = 0x8000;

    /// From this ordinal on stand corrections of a call's attempts, in the order in which they were made. No call has as many
    /// attempts.
    pub const CORRECTIONS: u16 = 0x4000;

    /// What settles this attempt, where its provider told later what it cost. There is one of this name, so that whoever
    /// books it twice books it once.
    pub fn settlement(self) -> AttemptId {
        AttemptId { ordinal: self.ordinal | AttemptId::SETTLES, ..self }
    }

    /// Whether this is the name of a correction.
    pub fn is_correction(self) -> bool {
        (AttemptId::CORRECTIONS..AttemptId::SETTLES).contains(&self.ordinal)
    }
}

/// The public half of a key: `<id>` in `fh_<id>_<secret>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Arc<str>);

/// Why a text is no identifier.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no identifier; expected `call_` and 26 letters or digits, for an attempt followed by `.1`")]
pub struct BadId(pub String);

impl CallId {
    /// Its text: ASCII.
    pub fn text(self) -> [u8; 31] {
        let mut text = *b"call_00000000000000000000000000";
        let mut rest = self.0;
        for letter in text[5..].iter_mut().rev() {
            *letter = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        text
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.text()).expect("the alphabet is ASCII"))
    }
}

impl FromStr for CallId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId(text.chars().take(64).collect());
        let letters = text.strip_prefix("call_").filter(|t| t.len() == 26).ok_or_else(bad)?;
        let mut value: u128 = 0;
        for (place, letter) in letters.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|a| *a == letter).ok_or_else(bad)?;
            if place == 0 && digit > 7 {
                return Err(bad());
            }
            value = (value << 5) | digit as u128;
        }
        Ok(Self(value))
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.call, self.ordinal)
    }
}

impl FromStr for AttemptId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId(text.chars().take(64).collect());
        let (call, ordinal) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self { call: call.parse()?, ordinal: ordinal.parse().map_err(|_| bad())? })
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
text_form!(CallId);
text_form!(AttemptId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_read_back_and_sort_by_time() {
        let early = CallId::mint(UnixMs(1_700_000_000_000), u128::MAX);
        let late = CallId::mint(UnixMs(1_700_000_000_001), 0);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(early.minted_at(), UnixMs(1_700_000_000_000));
        let attempt = AttemptId { call: late, ordinal: 3 };
        assert_eq!(attempt.to_string().parse(), Ok(attempt));
    }

    #[test]
    fn a_wrong_text_is_no_identifier() {
        for text in ["", "call_", "call_0000000000000000000000000u", "call_z0000000000000000000000000", "x"] {
            assert!(text.parse::<CallId>().is_err(), "{text}");
        }
    }
}
