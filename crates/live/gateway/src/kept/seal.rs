//! The ids clients hold of what providers keep: the provider's own id with what it belongs to, sealed for one key. So nothing has
//! to be remembered, nothing grows, and an id that was made up, changed, or is another key's opens nothing.
//!
//! A seal is a keyed hash over all that it vouches for, and what it covers is hidden by a stream of bytes that follows from it
//! (the construction of SIV, RFC 5297, with BLAKE3 as both functions): the same thing has one id, and nobody reads from it what
//! the provider calls it, which could be used elsewhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{KeyId, NanoUsd, ProviderName};
use subtle::ConstantTimeEq;
use wire::kept::{Kind, MARK};

/// Longest id of a provider's that is sealed, bytes.
const LONGEST: usize = 512;
/// Longest sealed id looked at, bytes.
const LONGEST_SEALED: usize = 2_048;
/// Bytes of a seal.
const SEAL: usize = 16;

/// What an id stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// What the provider calls it.
    pub id: String,
    /// Which model entry it was made through.
    pub model: String,
    /// What `model` said: a workflow, an alias, `lane:NAME` or `model:NAME`.
    pub asked: String,
    /// What else belongs to it.
    pub note: Note,
}

/// What else belongs to a kept thing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Note {
    /// Nothing.
    #[default]
    None,
    /// It is the input of a batch, or a batch of it, which takes at most this much.
    Input(Most),
    /// It is what came of the batch of this id of the provider's.
    Output(String),
}

/// The most that a batch can take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Most {
    /// What it can cost; absent where no price is known.
    pub usd: Option<NanoUsd>,
    /// What it can use; absent in ids of before this was counted.
    pub tokens: Option<u64>,
}

/// What seals and opens.
pub struct Seals {
    mark: [u8; 32],
    stream: [u8; 32],
}

impl Seals {
    /// Keyed by the installation's pepper.
    pub fn new(pepper: &[u8; 32]) -> Seals {
        Seals {
            mark: blake3::derive_key("freehold 2026 ids of kept things: mark", pepper),
            stream: blake3::derive_key("freehold 2026 ids of kept things: stream", pepper),
        }
    }

    /// The id as this key's client gets it. Nothing where the provider's own is none that could be sent back.
    pub fn seal(&self, kind: Kind, key: &KeyId, provider: &ProviderName, what: &Opened) -> Option<String> {
        let is_one = (1..=LONGEST).contains(&what.id.len()) && what.id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_one {
            return None;
        }
        let note = what.note.text();
        let mut hidden = [&*what.id, &what.model, &what.asked, &note].join("\n").into_bytes();
        let seal = self.seal_of(kind, key, provider, &hidden);
        self.hide(&seal, &mut hidden);
        let sealed = URL_SAFE_NO_PAD.encode([&seal[..], &hidden].concat());
        Some(format!("{}{MARK}{sealed}", prefix(&what.id)))
    }

    /// What an id stands for, where it was sealed for this kind, key and the provider that its model has now.
    pub fn open<'p>(
        &self,
        kind: Kind,
        key: &KeyId,
        sealed: &str,
        provider_of: impl Fn(&str) -> Option<&'p ProviderName>,
    ) -> Option<Opened> {
        let (before, text) = sealed.split_once(MARK).filter(|_| sealed.len() <= LONGEST_SEALED)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (seal, hidden) = bytes.split_first_chunk::<SEAL>()?;
        let mut plain = hidden.to_vec();
        self.hide(seal, &mut plain);
        // What does not open reads as noise, and mostly not even as that.
        let text = std::str::from_utf8(&plain).ok()?;
        let mut parts = text.split('\n');
        let (id, model, asked, note) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let expected = self.seal_of(kind, key, provider_of(model)?, &plain);
        if !bool::from(expected.ct_eq(seal)) || prefix(id) != before {
            return None;
        }
        let note = Note::read(note)?;
        Some(Opened { id: id.to_owned(), model: model.to_owned(), asked: asked.to_owned(), note })
    }

    fn seal_of(&self, kind: Kind, key: &KeyId, provider: &ProviderName, plain: &[u8]) -> [u8; SEAL] {
        let mut hasher = blake3::Hasher::new_keyed(&self.mark);
        // The lengths keep one part from running into the next.
        for part in [kind.as_str().as_bytes(), key.0.as_bytes(), provider.as_str().as_bytes(), plain] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
    }

    fn hide(&self, seal: &[u8; SEAL], bytes: &mut [u8]) {
        let mut stream = vec![0; bytes.len()];
        blake3::Hasher::new_keyed(&self.stream).update(seal).finalize_xof().fill(&mut stream);
        bytes.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
    }
}

impl Note {
    fn text(&self) -> String {
        match self {
            Note::None => String::new(),
            Note::Input(Most { usd, tokens }) => {
                let usd = usd.map_or_else(String::new, |usd| usd.0.to_string());
                let tokens = tokens.map_or_else(String::new, |tokens| format!(",{tokens}"));
                format!("i{usd}{tokens}")
            }
            Note::Output(batch) => format!("o{batch}"),
        }
    }

    fn read(text: &str) -> Option<Note> {
        Some(match text.split_at_checked(1) {
            None => Note::None,
            Some(("i", most)) => {
                let (usd, tokens) = most.split_once(',').map_or((most, None), |(usd, tokens)| (usd, Some(tokens)));
                let usd = if usd.is_empty() { None } else { Some(NanoUsd(usd.parse().ok()?)) };
                let tokens = tokens.map(str::parse).transpose().ok()?;
                Note::Input(Most { usd, tokens })
            }
            Some(("o", batch)) => Note::Output(batch.to_owned()),
            Some(_) => return None,
        })
    }
}

/// How the provider's id begins, such as `resp_` or `file-`, which some clients look at.
fn prefix(id: &str) -> &str {
    let end = id.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(0);
    match id.as_bytes().get(end) {
        Some(b'_' | b'-') if end > 0 => &id[..=end],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(id: &str, note: Note) -> Opened {
        Opened { id: id.into(), model: "gpt".into(), asked: "claims".into(), note }
    }

    #[test]
    fn an_id_opens_for_its_key_kind_and_provider_only() {
        let (seals, key, openai) = (Seals::new(&[7; 32]), KeyId("k".into()), ProviderName::from("openai"));
        let provider_of = |model: &str| (model == "gpt").then_some(&openai);
        let most = |usd: Option<i64>, tokens| Note::Input(Most { usd: usd.map(NanoUsd), tokens });
        let notes = [Note::None, most(None, None), most(Some(12), None), most(None, Some(7)), most(Some(12), Some(7))];
        for note in notes.into_iter().chain([Note::Output("batch_1".into())]) {
            let what = what("file-abc", note);
            let sealed = seals.seal(Kind::File, &key, &openai, &what).unwrap();
            assert!(sealed.starts_with("file-fh1_") && !sealed.contains("abc"), "{sealed}");
            assert_eq!(sealed, seals.seal(Kind::File, &key, &openai, &what).unwrap(), "one thing has one id");
            assert_eq!(seals.open(Kind::File, &key, &sealed, provider_of), Some(what));
            assert_eq!(seals.open(Kind::Answer, &key, &sealed, provider_of), None);
            assert_eq!(seals.open(Kind::File, &KeyId("other".into()), &sealed, provider_of), None);
            let moved = ProviderName::from("azure");
            assert_eq!(seals.open(Kind::File, &key, &sealed, |_| Some(&moved)), None, "the model moved elsewhere");
            assert_eq!(seals.open(Kind::File, &key, &sealed, |_| None), None);
            assert_eq!(Seals::new(&[8; 32]).open(Kind::File, &key, &sealed, provider_of), None);
            for place in 0..sealed.len() {
                let mut changed = sealed.clone().into_bytes();
                changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(seals.open(Kind::File, &key, &changed, provider_of), None, "{changed}");
            }
        }
        for none in ["", "with space", "\n", &"x".repeat(LONGEST + 1)] {
            assert_eq!(seals.seal(Kind::File, &key, &openai, &what(none, Note::None)), None);
        }
    }

    #[test]
    fn the_prefix_of_an_id_stays_where_clients_look() {
        for (id, expected) in [
            ("resp_1", "resp_"),
            ("file-abc", "file-"),
            ("msgbatch_01", "msgbatch_"),
            ("a1", ""),
            ("_x", ""),
            ("x", ""),
        ] {
            assert_eq!(prefix(id), expected, "{id}");
        }
    }
}
