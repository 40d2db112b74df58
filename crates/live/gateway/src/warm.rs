//! Which prompts a provider should still have in its cache: remembered by where the last call with the same beginning went, so
//! that the expected cost of going there again is what it will be. Bounded, and empty after a change of the configuration.
//!
//! What is remembered: key, session, workflow and the first bytes of the body, as one keyed hash; the model; how much of the
//! prompt its provider said it read from or wrote to its cache; and when. A provider that caches without being asked says
//! nothing of what it wrote; of a model that was seen to read what it never said it wrote, all of the prompt counts.

use domain::{Meter, UnixMs, Usage};
use parking_lot::Mutex;
use routing::ModelIndex;

/// Bodies below this have too short a prompt to be cached, bytes: vendors cache from 1024 tokens on (OpenAI and Anthropic,
/// "Prompt caching"), and a token has some four bytes.
pub const LEAST_BODY_BYTES: usize = 4 << 10;

/// How much of a body must be the same, bytes: the system prompt and the first words of a conversation.
const SAME_BYTES: usize = 2 << 10;

/// How long a cache stays warm after it was last used, milliseconds: Anthropic's shorter promise, and the lower end of what
/// OpenAI names.
pub const WARM_MS: u64 = 300_000;

/// Prompts remembered; a newer one takes the place of another.
const PLACES: usize = 16_384;

/// The table. Half a megabyte, once a prompt is remembered.
#[derive(Default)]
pub struct Warm(Mutex<Vec<Place>>);

/// What one prompt's beginning is known by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PromptPrint(u64);

#[derive(Clone, Copy)]
struct Place {
    print: u64,
    at: UnixMs,
    model: u32,
    cached_tokens: u32,
}

impl PromptPrint {
    /// Of a call whose prompt may be cached at all; `whose` is its key, session and workflow.
    pub fn of(pepper: &[u8; 32], whose: [&str; 3], body: &[u8]) -> Option<PromptPrint> {
        if body.len() < LEAST_BODY_BYTES {
            return None;
        }
        let mut hasher = blake3::Hasher::new_keyed(pepper);
        for part in whose {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(&body[..SAME_BYTES]);
        let hash = hasher.finalize();
        let (bits, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
        Some(PromptPrint(u64::from_le_bytes(*bits)))
    }

    fn place(self) -> usize {
        usize::try_from(self.0 % PLACES as u64).expect("below the number of places")
    }
}

impl Warm {
    /// Where the prompt was sent last, and how many of its tokens should still be cached there.
    pub fn of(&self, print: PromptPrint, now: UnixMs) -> Option<(ModelIndex, u64)> {
        let places = self.0.lock();
        let place = places.get(print.place())?;
        let is_warm = place.print == print.0 && now >= place.at && now.since(place.at) < WARM_MS;
        is_warm.then_some((place.model as ModelIndex, u64::from(place.cached_tokens)))
    }

    /// Remembers where a prompt went and how much of it is cached there; forgets it where nothing is.
    pub fn sent(&self, print: PromptPrint, model: ModelIndex, cached_tokens: u64, now: UnixMs) {
        let mut places = self.0.lock();
        if places.is_empty() {
            if cached_tokens == 0 {
                return;
            }
            places.resize(PLACES, Place { print: 0, at: UnixMs(0), model: 0, cached_tokens: 0 });
        }
        let place = &mut places[print.place()];
        if cached_tokens == 0 && place.print != print.0 {
            return;
        }
        let model = u32::try_from(model).unwrap_or(u32::MAX);
        let cached_tokens = u32::try_from(cached_tokens).unwrap_or(u32::MAX);
        *place = Place { print: print.0, at: now, model, cached_tokens };
    }
}

/// How many tokens of a prompt are cached after an answer with this usage. `by_itself` is whether the model was seen to read
/// what it never said it wrote.
pub fn cached_after(usage: &Usage, by_itself: bool) -> u64 {
    let written = [Meter::CacheWrite5m, Meter::CacheWrite1h, Meter::CacheWrite12h].map(|meter| usage.get(meter));
    let said = written.iter().sum::<u64>().saturating_add(usage.get(Meter::CacheRead));
    if by_itself { said.saturating_add(usage.get(Meter::Input)) } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEPPER: [u8; 32] = [7; 32];

    fn print(whose: &str, body: &[u8]) -> Option<PromptPrint> {
        PromptPrint::of(&PEPPER, [whose, "", "claims"], body)
    }

    #[test]
    fn a_prompt_is_known_by_whose_it_is_and_how_it_begins() {
        let (mut longer, body) = (vec![b'a'; 9_000], vec![b'a'; 5_000]);
        longer[8_000] = b'b';
        assert_eq!(print("k1", &body), print("k1", &longer), "a conversation that went on");
        assert_ne!(print("k1", &body), print("k2", &body), "another key has another cache, as far as anybody knows");
        longer[100] = b'b';
        assert_ne!(print("k1", &body), print("k1", &longer));
        assert_eq!(print("k1", &body[..4_000]), None, "too short to be cached");
    }

    #[test]
    fn what_was_cached_is_warm_for_five_minutes_after_its_last_use() {
        let (warm, print) = (Warm::default(), print("k1", &[b'a'; 5_000]).unwrap());
        assert_eq!(warm.of(print, UnixMs(0)), None);
        warm.sent(print, 3, 1_500, UnixMs(1_000));
        assert_eq!(warm.of(print, UnixMs(300_999)), Some((3, 1_500)));
        assert_eq!(warm.of(print, UnixMs(301_000)), None);
        warm.sent(print, 1, 0, UnixMs(2_000));
        assert_eq!(warm.of(print, UnixMs(3_000)), Some((1, 0)), "it went elsewhere, where nothing of it is cached");
    }

    #[test]
    fn what_a_provider_says_it_wrote_is_cached_and_all_of_it_where_it_caches_by_itself() {
        let usage = Usage::ZERO.with(Meter::Input, 100).with(Meter::CacheRead, 2_000).with(Meter::CacheWrite5m, 500);
        assert_eq!((cached_after(&usage, false), cached_after(&usage, true)), (2_500, 2_600));
    }
}
