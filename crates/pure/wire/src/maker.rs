//! Who made what only its maker can read: signatures of thoughts and encrypted ones. A client brings them back a turn later,
//! when the call may land elsewhere, so each is handed to the client with a tag of its maker before it, which is taken off
//! again on the way back.

use std::ops::Range;

/// Characters of a tag. Twelve bytes of base64: clients that decode what is base64 and encode it again get the same tag.
const TAG_BYTES: usize = 16;

/// How every tag begins. What providers sign and encrypt begins otherwise: with the version of a format.
const MARK: &[u8] = b"FHmk";

/// What the rest of a tag is written in: letters and digits, which are the same in every alphabet of base64.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A provider, as the tag of what it made says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Maker([u8; TAG_BYTES]);

impl Maker {
    /// The provider of this name in the configuration.
    pub fn of(provider: &str) -> Maker {
        let hash =
            blake3::derive_key("freehold 2026-11 maker of signatures and encrypted thoughts", provider.as_bytes());
        let mut tag = [0; TAG_BYTES];
        let (mark, name) = tag.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        for (character, byte) in name.iter_mut().zip(hash) {
            *character = ALPHABET[usize::from(byte & 31)];
        }
        Maker(tag)
    }

    /// What stands before everything that the provider made.
    pub fn tag(&self) -> &[u8] {
        &self.0
    }

    /// Who made a text that came from a client, where it says so.
    pub(crate) fn named_in(text: &[u8]) -> Option<Maker> {
        let tag: [u8; TAG_BYTES] = text.get(..TAG_BYTES)?.try_into().ok()?;
        let name = tag.strip_prefix(MARK)?;
        name.iter().all(|character| ALPHABET.contains(character)).then_some(Maker(tag))
    }

    /// What this provider made, as a client gets it: with its tag. Nothing stays nothing.
    pub(crate) fn tagged(&self, text: &str) -> String {
        let tag = if text.is_empty() { &[][..] } else { self.tag() };
        [&String::from_utf8_lossy(tag), text].concat()
    }

    /// What a client brings back that this provider made, as it was made; nothing where another one did, or nobody says.
    pub(crate) fn own(&self, text: &str) -> Option<String> {
        let tag = std::str::from_utf8(self.tag()).ok()?;
        (Maker::named_in(text.as_bytes()) == Some(*self)).then(|| text.replace(tag, ""))
    }

    /// Where the provider's tag stands in a text, from left to right: more than once where the text came in pieces.
    pub(crate) fn tags_in<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = Range<usize>> + use<'t> {
        let (tag, mut from) = (self.0, 0);
        std::iter::from_fn(move || {
            let at = from + memchr::memmem::find(text.get(from..)?, &tag)?;
            from = at + TAG_BYTES;
            Some(at..from)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    #[test]
    fn a_tag_names_its_maker_and_no_other() {
        let (one, other) = (Maker::of("anthropic"), Maker::of("anthropic-eu"));
        assert_ne!(one, other);
        let tagged = [one.tag(), b"EqQBCgIYAhIM"].concat();
        assert_eq!(Maker::named_in(&tagged), Some(one));
        assert_eq!((one.tags_in(&tagged).next(), one.tags_in(&tagged).count()), (Some(0..16), 1));
        assert_eq!(other.tags_in(&tagged).count(), 0);
        for foreign in ["", "EqQBCgIYAhIM", "gAAAAABl-and-so-on-and-on", "FHmk", "FHmk-and-nothing-of-ours"] {
            assert_eq!(Maker::named_in(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn a_text_that_came_in_pieces_has_a_tag_before_each() {
        let maker = Maker::of("bedrock");
        let pieces = [maker.tag(), b"abc", maker.tag(), b"def"].concat();
        assert_eq!(maker.tags_in(&pieces).collect::<Vec<_>>(), [0..16, 19..35]);
    }

    #[test]
    fn a_client_that_decodes_base64_brings_the_tag_back() {
        let maker = Maker::of("gemini");
        let tagged = String::from_utf8([maker.tag(), b"CiQ+/w=="].concat()).unwrap();
        let again = URL_SAFE.encode(STANDARD.decode(&tagged).unwrap());
        assert_eq!(Maker::named_in(again.as_bytes()), Some(maker));
        assert_eq!(&again[TAG_BYTES..], "CiQ-_w==");
    }
}
