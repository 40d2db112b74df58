//! What is kept, for how long, and at what pace it is given again.

use bytes::Bytes;
use config::cache::{Replay, Share};
use domain::{CallId, KeyId, UnixMs, Usage};
use http::HeaderMap;
use testkit::facts::Sample;
use wire::Seen;

use super::answers::Cache;
use super::keeping::Keeping;
use super::name::Name;
use super::replay::{LONGEST_REPLAY_MS, pace};
use super::shelf::{Kept, PieceEnd, Shelf};

const NOW: UnixMs = UnixMs(1_795_252_724_000);
const MINUTE_MS: u64 = 60_000;

fn rule() -> config::CacheRule {
    config::CacheRule { ttl_ms: MINUTE_MS, share: Share::Key, sampled: false, replay: Replay::Shape, near: None }
}

fn sample() -> Sample {
    Sample::new(1, NOW)
}

fn name(number: u8) -> Name {
    Name([number; 32])
}

fn kept(workflow: &str, key: &str, body_bytes: usize) -> Kept {
    Kept {
        of: CallId::mint(NOW, 1),
        key: KeyId(key.into()),
        workflow: workflow.into(),
        lane: None,
        model: "m".into(),
        at: NOW,
        until: NOW + MINUTE_MS,
        head: HeaderMap::new(),
        body: Bytes::from(vec![b'x'; body_bytes]),
        text: String::new(),
        pieces: Vec::new(),
        usage: Usage::ZERO,
        tier: None,
        region: None,
    }
}

#[test]
fn an_answer_is_found_until_its_time_is_up() {
    let mut shelf = Shelf::new(1 << 20);
    shelf.put(name(1), kept("w", "k", 10), NOW);
    assert!(shelf.find(&name(1), NOW + (MINUTE_MS - 1)).is_some());
    assert!(shelf.find(&name(2), NOW).is_none());
    assert!(shelf.find(&name(1), NOW + MINUTE_MS).is_none());
    let totals = shelf.totals(NOW + MINUTE_MS);
    assert_eq!((totals.expired, totals.bytes, totals.entries.len()), (1, 0, 0), "nothing of it is left");
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let entry = kept("w", "k", 100_000).bytes();
    let mut shelf = Shelf::new(entry * 9);
    for number in 0..9 {
        shelf.put(name(number), kept("w", "k", 100_000), NOW);
    }
    assert!(shelf.find(&name(0), NOW).is_some());
    shelf.put(name(9), kept("w", "k", 100_000), NOW);
    assert!(shelf.find(&name(0), NOW).is_some(), "it was used since");
    assert!(shelf.find(&name(1), NOW).is_none());
    assert_eq!(shelf.totals(NOW).evicted, 1);
    shelf.resize(entry * 2);
    assert_eq!(shelf.totals(NOW).entries.values().sum::<u64>(), 2);
}

#[test]
fn one_answer_takes_no_more_than_an_eighth() {
    let mut shelf = Shelf::new(1 << 20);
    shelf.put(name(1), kept("w", "k", 1 << 18), NOW);
    assert!(shelf.find(&name(1), NOW).is_none());
    assert_eq!(shelf.totals(NOW).too_large, 1);
}

#[test]
fn bytes_are_what_the_entries_take_whatever_happened() {
    let mut shelf = Shelf::new(100_000);
    for step in 0..2_000u64 {
        // A fixed scatter: sizes, names and times that collide, expire and are evicted.
        let scattered = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let now = NOW + step * 500;
        let at = Kept { until: now + scattered % 20_000, ..kept("w", "k", (scattered % 9_000) as usize) };
        shelf.put(name((scattered % 50) as u8), at, now);
        shelf.find(&name((scattered % 47) as u8), now);
        let totals = shelf.totals(now);
        assert!(totals.bytes <= totals.most_bytes);
    }
    shelf.throw_away(|_| true);
    assert_eq!(shelf.totals(NOW).bytes, 0);
}

#[test]
fn a_workflows_answers_and_a_revoked_keys_are_thrown_away_and_no_others() {
    let cache = Cache::new([7; 32], &crate::deployed::tests::snapshot("base_url = \"http://127.0.0.1:1\""));
    let put = |number, workflow, key| cache.put(name(number), kept(workflow, key, 10), NOW);
    put(1, "a", "one");
    put(2, "a", "two");
    put(3, "b", "one");
    cache.forget_keys(|key| *key.0 == *"two");
    assert_eq!(cache.totals(NOW).entries.into_iter().collect::<Vec<_>>(), [("a".into(), 1), ("b".into(), 1)]);
    assert_eq!(cache.purge(Some(&"a".into())), 1);
    assert_eq!(cache.totals(NOW).entries.into_iter().collect::<Vec<_>>(), [("b".into(), 1)]);
    assert_eq!(cache.purge(None), 1);
}

fn kept_of(body: &[u8], seen: Seen) -> Option<Kept> {
    let mut keeping = Keeping::new(name(1), "w".into(), &rule());
    keeping.take(body, false);
    let record = sample().record();
    keeping.into_kept(&record, &seen, record.intent.attempt.call, None, NOW).map(|(_, kept)| kept)
}

#[test]
fn only_an_answer_that_came_to_its_own_end_is_kept() {
    let ended = |finish: Option<&str>| Seen { ended: true, finish: finish.map(str::to_owned), ..Seen::default() };
    for finish in [Some("stop"), Some("end_turn"), Some("STOP"), Some("COMPLETE"), Some("completed"), None] {
        let kept = kept_of(b"{}", ended(finish)).unwrap();
        assert_eq!((kept.until, &kept.body[..]), (NOW + MINUTE_MS, &b"{}"[..]), "{finish:?}");
    }
    for finish in ["length", "max_tokens", "tool_calls", "content_filter", "refusal", "SAFETY", "pause_turn", "new"] {
        assert!(kept_of(b"{}", ended(Some(finish))).is_none(), "{finish}");
    }
    assert!(kept_of(b"{}", Seen::default()).is_none(), "it was cut");
    assert!(kept_of(br#"{"message":{"refusal":"I will not"}}"#, ended(Some("stop"))).is_none());
    assert!(kept_of(br#"{"content":"say \"refusal\":\"no\""}"#, ended(Some("stop"))).is_some());
}

#[test]
fn an_answer_longer_than_may_be_kept_is_not() {
    let mut keeping = Keeping::new(name(1), "w".into(), &rule());
    for _ in 0..5 {
        keeping.take(&vec![b'x'; 1 << 20], true);
    }
    let record = sample().record();
    let seen = Seen { ended: true, ..Seen::default() };
    assert!(keeping.into_kept(&record, &seen, record.intent.attempt.call, None, NOW).is_none());
}

#[test]
fn a_stream_keeps_its_shape_and_a_long_one_is_made_shorter_in_proportion() {
    let pieces = |times: &[u32]| -> Vec<PieceEnd> {
        times.iter().zip(1..).map(|(after_ms, end)| PieceEnd { end, after_ms: *after_ms }).collect()
    };
    let due = |times: &[u32], replay| pace(&pieces(times), replay).collect::<Vec<_>>();
    assert_eq!(due(&[0, 20, 500, 510], Replay::Shape), [0, 20, 500, 510]);
    assert_eq!(due(&[0, 20, 500, 510], Replay::AtOnce), [0, 0, 0, 0]);
    let long = due(&[0, 10_000, 40_000], Replay::Shape);
    assert_eq!(long, [0, LONGEST_REPLAY_MS / 4, LONGEST_REPLAY_MS]);
    assert_eq!(due(&[0], Replay::Shape), [0]);
}

#[test]
fn pieces_are_noted_with_when_they_came() {
    let mut keeping = Keeping::new(name(1), "w".into(), &rule());
    let first = tokio::time::Instant::now();
    keeping.take_at(b"one", true, first);
    keeping.take_at(b"two", true, first + std::time::Duration::from_millis(40));
    keeping.take_at(b"three", true, first + std::time::Duration::from_millis(40));
    let record = sample().record();
    let seen = Seen { ended: true, ..Seen::default() };
    let (_, kept) = keeping.into_kept(&record, &seen, record.intent.attempt.call, None, NOW).unwrap();
    assert_eq!(kept.pieces, [PieceEnd { end: 3, after_ms: 0 }, PieceEnd { end: 11, after_ms: 40 }]);
}
