//! What somebody keeps where nobody who writes to the database can reach: with it, a later run finds that the newest facts were cut
//! off, that an older copy was put in place, or that the whole past was written anew.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How its text begins; the number is that of the form.
const FORM: &str = "freehold-anchor-1";

/// Where the books stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// The hash of the newest batch, hexadecimal.
    pub head: String,
    /// What else it holds; absent where only a head is known.
    pub stand: Option<Stand>,
}

/// What was booked by then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stand {
    /// The number of the newest batch.
    pub batch: i64,
    /// The highest row of `attempts`.
    pub attempts: i64,
    /// The highest row of `calls`.
    pub calls: i64,
    /// The hash of all sums that are kept for ever, hexadecimal.
    pub sums: String,
}

/// A text that is no anchor.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is no anchor; give the line that `freehold ledger verify` printed last, beginning with `freehold-anchor-1`, or a file with it"
)]
pub struct BadAnchor(String);

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(stand) = &self.stand else { return f.write_str(&self.head) };
        let Stand { batch, attempts, calls, sums } = stand;
        write!(f, "{FORM} batch={batch} attempts={attempts} calls={calls} head={} sums={sums}", self.head)
    }
}

impl FromStr for Anchor {
    type Err = BadAnchor;

    fn from_str(text: &str) -> Result<Anchor, BadAnchor> {
        let bad = || BadAnchor(text.chars().take(100).collect());
        let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|letter| letter.is_ascii_hexdigit());
        let text = text.trim();
        if is_hash(text) {
            return Ok(Anchor { head: text.to_ascii_lowercase(), stand: None });
        }
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some(FORM) {
            return Err(bad());
        }
        let mut value = |name: &str| words.next().and_then(|word| word.strip_prefix(name)).ok_or_else(bad);
        let number = |text: &str| text.parse::<i64>().map_err(|_| bad());
        let (batch, attempts, calls) =
            (number(value("batch=")?)?, number(value("attempts=")?)?, number(value("calls=")?)?);
        let (head, sums) = (value("head=")?.to_owned(), value("sums=")?.to_owned());
        match is_hash(&head) && is_hash(&sums) {
            true => Ok(Anchor { head, stand: Some(Stand { batch, attempts, calls, sums }) }),
            false => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_reads_back_and_other_texts_are_refused() {
        let stand = Stand { batch: 7, attempts: 12, calls: 9, sums: "0b".repeat(32) };
        let anchor = Anchor { head: "a0".repeat(32), stand: Some(stand) };
        assert_eq!(anchor.to_string().parse(), Ok(anchor.clone()));
        assert_eq!(format!(" {}\n", anchor.head).parse(), Ok(Anchor { stand: None, ..anchor.clone() }));
        for text in ["", "freehold-anchor-1", &anchor.to_string()[..90], &anchor.to_string().replace("a0", "zz")] {
            assert!(text.parse::<Anchor>().is_err(), "{text}");
        }
    }
}
