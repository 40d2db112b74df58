//! How much of a provider's quota is left for one model, so that calls go elsewhere before the provider refuses them. What
//! answers claim corrects it; between them what was sent is taken off. Claims are a provider's word: they keep a model out for
//! [`LONGEST_RATE_LIMIT_MS`] at most before it is asked again, and say nothing where they cannot be read.

use domain::{QuotaClaim, QuotaUnit, QuotaWindow, UnixMs};
use serde::{Deserialize, Serialize};

/// The longest a provider's Retry-After keeps a model out, milliseconds: ten minutes, then it is asked again.
pub const LONGEST_RATE_LIMIT_MS: u64 = 600_000;

/// When to ask again where nobody says when there will be more, milliseconds.
const ASK_AGAIN_MS: u64 = 1_000;
/// How long a window is taken to be where nobody says, milliseconds: a minute, as most are.
const USUAL_WINDOW_MS: u64 = 60_000;
/// Over which time the pace is measured, milliseconds; what is older counts half.
const PACE_MS: u64 = 60_000;
/// Most gauges of one model; a provider that claims more is not followed further.
const MOST_GAUGES: usize = 8;

/// What one attempt uses of a quota, as far as is known when it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// Tokens of its prompt.
    pub input_tokens: u64,
    /// Tokens of its answer.
    pub output_tokens: u64,
    /// Share of the limit that it leaves to calls that matter more, percent.
    pub leaves_percent: u8,
}

/// How far the count of what was sent was when an attempt was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark([u64; QuotaUnit::ALL.len()]);

/// What is left of one model's quota.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    /// What was granted since the beginning, by unit.
    sent: [u64; QuotaUnit::ALL.len()],
    gauges: Vec<Gauge>,
    full_since: Option<UnixMs>,
    /// Headers that looked like limits and could not be read.
    unread: u64,
}

/// A quota as pages and metrics show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuotaView {
    /// What is counted.
    pub unit: QuotaUnit,
    /// Over which time, where the provider's words say so.
    pub window: QuotaWindow,
    /// The most there can be of it.
    pub limit: Option<u64>,
    /// What is left. Absent after a window has turned whose limit nobody told.
    pub left: Option<u64>,
    /// When there is all of it again.
    pub full_at: Option<UnixMs>,
    /// When nothing of it is left at the present pace, where that is before it is full again.
    pub spent_at: Option<UnixMs>,
    /// Whether nobody told it, and it was learned from when the provider refused.
    #[serde(default)]
    pub is_learned: bool,
}

/// What is left of one thing that is counted.
#[derive(Clone, Debug)]
struct Gauge {
    unit: QuotaUnit,
    window: QuotaWindow,
    limit: Option<u64>,
    /// What is left at `at`; below zero where more was granted for later. Absent where a window of an unknown limit has begun.
    left: Option<i64>,
    at: UnixMs,
    /// So much comes back in so many milliseconds, where it comes back bit by bit.
    refill: Option<(u64, u64)>,
    /// When the window turns, where it comes back all at once.
    turns_at: Option<UnixMs>,
    /// Whether `turns_at` is only when we ask again, because the provider named a time that is too far off to be believed.
    only_asks: bool,
    /// Whether one attempt may ask now.
    may_ask: bool,
    /// Granted for after the turn.
    promised: u64,
    /// How far the count was when the attempt was sent whose answer told this.
    mark: u64,
    /// What was used since, for the pace.
    used: u64,
    used_since: UnixMs,
}

impl Amount {
    fn of(&self, unit: QuotaUnit) -> u64 {
        match unit {
            QuotaUnit::Requests => 1,
            QuotaUnit::Tokens => self.input_tokens.saturating_add(self.output_tokens),
            QuotaUnit::InputTokens => self.input_tokens,
            QuotaUnit::OutputTokens => self.output_tokens,
        }
    }
}

impl Quota {
    /// How far the count is now: what an attempt takes along when it is sent.
    pub fn mark(&self) -> Mark {
        Mark(self.sent)
    }

    /// Since when and until when there is no room for this; nothing where there is.
    pub fn full(&mut self, amount: &Amount, now: UnixMs) -> Option<(UnixMs, UnixMs)> {
        let until = self.gauges.iter_mut().filter_map(|gauge| gauge.full_until(amount, now)).max();
        let Some(until) = until else {
            self.full_since = None;
            return None;
        };
        let since = *self.full_since.get_or_insert(now);
        Some((since.min(now), until))
    }

    /// Takes off what an attempt uses that is sent now.
    pub fn grant(&mut self, amount: &Amount, now: UnixMs) {
        self.count(amount);
        self.gauges.iter_mut().for_each(|gauge| gauge.take(amount.of(gauge.unit), now));
    }

    /// Whether an attempt may wait until there is room: not where what comes next is promised already.
    pub fn may_wait(&mut self, amount: &Amount, now: UnixMs) -> bool {
        self.gauges.iter_mut().all(|gauge| gauge.may_promise(amount, now))
    }

    /// Takes off what an attempt uses that waits until there is room. False, and nothing is taken, where it may not.
    pub fn grant_later(&mut self, amount: &Amount, now: UnixMs) -> bool {
        if !self.may_wait(amount, now) {
            return false;
        }
        self.count(amount);
        for gauge in &mut self.gauges {
            let used = amount.of(gauge.unit);
            match gauge.full_until(amount, now) {
                Some(_) if gauge.refill.is_none() => gauge.promised = gauge.promised.saturating_add(used),
                _ => gauge.take(used, now),
            }
        }
        true
    }

    /// Takes over what an answer told. An answer to an older attempt than the one that told last says nothing new.
    pub fn told(&mut self, claims: &[QuotaClaim], unread: u32, mark: Mark, now: UnixMs) {
        self.unread = self.unread.saturating_add(u64::from(unread));
        for claim in claims {
            let place = self.gauges.iter().position(|one| one.unit == claim.unit && one.window == claim.window);
            let then = mark.0[claim.unit.index()];
            let sent_since = self.sent[claim.unit.index()].saturating_sub(then);
            match place {
                Some(place) if self.gauges[place].mark > then => {}
                Some(place) => self.gauges[place].correct(claim, then, sent_since, now),
                None if self.gauges.len() >= MOST_GAUGES => self.unread = self.unread.saturating_add(1),
                None => {
                    let mut gauge = Gauge::new(claim, now);
                    gauge.correct(claim, then, sent_since, now);
                    self.gauges.push(gauge);
                }
            }
        }
    }

    /// Whether the provider tells how many requests it takes.
    pub fn tells_requests(&self) -> bool {
        self.gauges.iter().any(|gauge| gauge.unit == QuotaUnit::Requests)
    }

    /// Headers that looked like limits and could not be read.
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// What pages and metrics show.
    pub fn view(&mut self, now: UnixMs) -> Vec<QuotaView> {
        self.gauges.iter_mut().map(|gauge| gauge.view(now)).collect()
    }

    fn count(&mut self, amount: &Amount) {
        for unit in QuotaUnit::ALL {
            let sent = &mut self.sent[unit.index()];
            *sent = sent.saturating_add(amount.of(unit));
        }
    }
}

impl Gauge {
    fn new(claim: &QuotaClaim, now: UnixMs) -> Gauge {
        Gauge {
            unit: claim.unit,
            window: claim.window,
            limit: claim.limit,
            left: None,
            at: now,
            refill: None,
            turns_at: None,
            only_asks: false,
            may_ask: false,
            promised: 0,
            mark: 0,
            used: 0,
            used_since: now,
        }
    }

    fn correct(&mut self, claim: &QuotaClaim, mark: u64, sent_since: u64, now: UnixMs) {
        self.pass_time(now);
        self.limit = claim.limit.or(self.limit);
        let left = claim.left.min(self.limit.unwrap_or(u64::MAX));
        self.left = Some(signed(left).saturating_sub(signed(sent_since)));
        (self.at, self.mark, self.may_ask) = (now, mark, false);
        let gap = self.limit.map(|limit| limit.saturating_sub(left)).filter(|gap| *gap > 0);
        if claim.refills {
            // A bucket that is full tells no pace; the one before goes on.
            if let (Some(gap), Some(ms)) = (gap, claim.full_in_ms) {
                self.refill = Some((gap, ms.max(1)));
            }
        } else {
            self.refill = None;
        }
        if self.refill.is_some() {
            (self.turns_at, self.only_asks) = (None, false);
            return;
        }
        let standing = self.turns_at.filter(|at| *at > now).map(|at| at.since(now));
        let in_ms = claim.full_in_ms.or(claim.window.ms()).or(standing).unwrap_or(USUAL_WINDOW_MS);
        self.only_asks = in_ms > LONGEST_RATE_LIMIT_MS;
        self.turns_at = Some(now + in_ms.min(LONGEST_RATE_LIMIT_MS));
    }

    /// Brings it up to date.
    fn pass_time(&mut self, now: UnixMs) {
        if now < self.at {
            // The clock stepped back: no time is waited for twice.
            let back = self.at.since(now);
            self.turns_at = self.turns_at.map(|at| at - back);
            (self.at, self.used_since) = (now, self.used_since.min(now));
        }
        let elapsed_ms = now.since(self.used_since);
        if elapsed_ms >= PACE_MS {
            self.used /= 2;
            self.used_since = self.used_since + elapsed_ms / 2;
        }
        if let (Some((amount, ms)), Some(limit), Some(left)) = (self.refill, self.limit, self.left) {
            let came = share(amount, now.since(self.at), ms);
            if came == 0 {
                return;
            }
            let all = left.saturating_add(signed(came));
            if all >= signed(limit) {
                (self.left, self.at) = (Some(signed(limit)), now);
            } else {
                // What is not a whole one yet goes on coming.
                (self.left, self.at) = (Some(all), self.at + share(came, ms, amount).min(now.since(self.at)));
            }
        } else if self.turns_at.is_some_and(|at| now >= at) {
            let turned_at = self.turns_at.take().unwrap_or(now);
            if std::mem::take(&mut self.only_asks) {
                // Whether there is more only an answer can tell.
                (self.may_ask, self.left) = (true, Some(0));
            } else {
                self.left = self.limit.map(|limit| signed(limit).saturating_sub(signed(self.promised)));
            }
            (self.promised, self.used, self.used_since, self.at) = (0, 0, turned_at, now);
        }
    }

    /// Until when there is no room for so much, and what it leaves to others. More than there can ever be is as good as all.
    fn full_until(&mut self, amount: &Amount, now: UnixMs) -> Option<UnixMs> {
        self.pass_time(now);
        let left = self.left.filter(|_| !self.may_ask)?;
        let wanted = amount.of(self.unit).saturating_add(self.left_to_others(amount));
        let wanted = signed(wanted.min(self.limit.unwrap_or(u64::MAX)));
        if left >= wanted {
            return None;
        }
        let lacks = wanted.saturating_sub(left).unsigned_abs();
        let until = match (self.refill, self.turns_at) {
            (Some((amount, ms)), _) => self.at + share(lacks, ms, amount).saturating_add(1),
            (None, Some(turns_at)) => turns_at,
            (None, None) => now + ASK_AGAIN_MS,
        };
        Some(until.min(now + LONGEST_RATE_LIMIT_MS).max(now + 1))
    }

    fn take(&mut self, amount: u64, now: UnixMs) {
        self.pass_time(now);
        self.used = self.used.saturating_add(amount);
        if std::mem::take(&mut self.may_ask) {
            // One asks; the others wait for its answer.
            (self.turns_at, self.only_asks) = (Some(now + LONGEST_RATE_LIMIT_MS), true);
        }
        self.left = self.left.map(|left| left.saturating_sub(signed(amount)));
    }

    /// Whether so much may be promised of what comes next.
    fn may_promise(&mut self, amount: &Amount, now: UnixMs) -> bool {
        let waits = self.full_until(amount, now).is_some() && self.refill.is_none();
        let all = self.promised.saturating_add(amount.of(self.unit)).saturating_add(self.left_to_others(amount));
        !waits || !self.only_asks && self.limit.is_none_or(|limit| all <= limit)
    }

    /// What calls that matter more are to find of it.
    fn left_to_others(&self, amount: &Amount) -> u64 {
        self.limit.map_or(0, |limit| share(limit, u64::from(amount.leaves_percent), 100))
    }

    fn view(&mut self, now: UnixMs) -> QuotaView {
        self.pass_time(now);
        let left = self.left.map(|left| u64::try_from(left).unwrap_or(0));
        let full_at = match (self.refill, self.limit, self.left) {
            (Some((amount, ms)), Some(limit), Some(left)) => {
                Some(self.at + share(signed(limit).saturating_sub(left).max(0).unsigned_abs(), ms, amount))
            }
            _ => self.turns_at,
        };
        let elapsed_ms = now.since(self.used_since);
        let spent_at = left.and_then(|left| {
            // What comes back meanwhile slows it down.
            let back = self.refill.map_or(0, |(amount, ms)| share(amount, elapsed_ms, ms));
            let pace = self.used.saturating_sub(back);
            let in_ms = if pace == 0 { return None } else { share(left, elapsed_ms, pace) };
            let at = now + in_ms;
            (elapsed_ms > 0 && (self.refill.is_some() || full_at.is_none_or(|full_at| at < full_at))).then_some(at)
        });
        QuotaView {
            unit: self.unit,
            window: self.window,
            limit: self.limit,
            left,
            full_at,
            spent_at,
            is_learned: false,
        }
    }
}

/// `amount × times ÷ of`, rounded down, without running over.
pub(crate) fn share(amount: u64, times: u64, of: u64) -> u64 {
    u64::try_from(u128::from(amount) * u128::from(times) / u128::from(of.max(1))).unwrap_or(u64::MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: Amount = Amount { input_tokens: 100, output_tokens: 50, leaves_percent: 0 };

    fn at(ms: i64) -> UnixMs {
        UnixMs(ms)
    }

    fn requests(limit: u64, left: u64, full_in_ms: u64, refills: bool) -> QuotaClaim {
        QuotaClaim {
            unit: QuotaUnit::Requests,
            window: QuotaWindow::Unsaid,
            limit: Some(limit),
            left,
            full_in_ms: Some(full_in_ms),
            refills,
        }
    }

    /// Asks for one attempt and takes it where there is room.
    fn go(quota: &mut Quota, now: UnixMs) -> bool {
        let has_room = quota.full(&ONE, now).is_none();
        if has_room {
            quota.grant(&ONE, now);
        }
        has_room
    }

    #[test]
    fn what_is_not_known_keeps_nothing_back() {
        let mut quota = Quota::default();
        assert!((0..10_000).all(|ms| go(&mut quota, at(ms))));
        assert!(quota.view(at(10_000)).is_empty());
    }

    #[test]
    fn the_last_of_a_quota_is_left_to_calls_that_matter_more() {
        let mut quota = Quota::default();
        quota.told(&[requests(100, 100, 60_000, false)], 0, quota.mark(), at(0));
        let routine = Amount { leaves_percent: 20, ..ONE };
        let mut go = |amount: &Amount| {
            let has_room = quota.full(amount, at(10)).is_none();
            if has_room {
                quota.grant(amount, at(10));
            }
            has_room
        };
        assert_eq!((0..200).filter(|_| go(&routine)).count(), 80);
        assert_eq!((0..200).filter(|_| go(&ONE)).count(), 20);
    }

    #[test]
    fn a_window_has_room_for_what_is_left_and_again_when_it_turns() {
        let mut quota = Quota::default();
        assert!(go(&mut quota, at(0)));
        quota.told(&[requests(5, 4, 1_000, false)], 0, quota.mark(), at(10));
        assert_eq!((0..10).filter(|_| go(&mut quota, at(20))).count(), 4);
        assert_eq!(quota.full(&ONE, at(30)), Some((at(20), at(1_010))));
        assert_eq!((0..10).filter(|_| go(&mut quota, at(1_010))).count(), 5);
        assert!(!go(&mut quota, at(1_500)), "until an answer tells when the next window ends");
        assert_eq!(quota.full(&ONE, at(1_500)).unwrap().1, at(2_500));
    }

    #[test]
    fn what_was_sent_after_the_attempt_that_tells_is_taken_off() {
        let mut quota = Quota::default();
        quota.grant(&ONE, at(0));
        let first = quota.mark();
        quota.grant(&ONE, at(1));
        quota.grant(&ONE, at(2));
        let last = quota.mark();
        quota.told(&[requests(10, 7, 1_000, false)], 0, last, at(5));
        assert_eq!(quota.view(at(5))[0].left, Some(7));
        quota.told(&[requests(10, 9, 1_000, false)], 0, first, at(6));
        assert_eq!(quota.view(at(6))[0].left, Some(7), "the older attempt tells nothing new");
        quota.grant(&ONE, at(7));
        quota.told(&[requests(10, 7, 1_000, false)], 0, last, at(8));
        assert_eq!(quota.view(at(8))[0].left, Some(6), "one was sent since");
    }

    #[test]
    fn a_bucket_refills_bit_by_bit() {
        let mut quota = Quota::default();
        // 10 missing come back in 1000 ms: one in 100 ms.
        quota.told(&[requests(10, 0, 1_000, true)], 0, quota.mark(), at(0));
        assert_eq!(quota.full(&ONE, at(0)), Some((at(0), at(101))));
        assert!(!go(&mut quota, at(99)) && go(&mut quota, at(101)) && !go(&mut quota, at(102)));
        let sent = (102..=2_000).filter(|ms| go(&mut quota, at(*ms))).count();
        assert_eq!(sent, 19, "what comes back, and no more");
        assert_eq!((0..20).filter(|_| go(&mut quota, at(100_000))).count(), 10, "never more than the limit");
    }

    #[test]
    fn those_who_wait_are_promised_what_comes_next_and_no_more() {
        let mut window = Quota::default();
        window.told(&[requests(3, 0, 1_000, false)], 0, window.mark(), at(0));
        assert_eq!((0..10).filter(|_| window.grant_later(&ONE, at(1))).count(), 3);
        assert!(!go(&mut window, at(1_000)), "the next window is theirs");
        let mut bucket = Quota::default();
        bucket.told(&[requests(3, 0, 300, true)], 0, bucket.mark(), at(0));
        assert!(bucket.grant_later(&ONE, at(0)) && bucket.grant_later(&ONE, at(0)));
        assert_eq!(bucket.full(&ONE, at(0)).unwrap().1, at(301), "the third waits for the third");
    }

    #[test]
    fn tokens_count_by_what_an_attempt_is_expected_to_use() {
        let mut quota = Quota::default();
        let claim = |unit, left| QuotaClaim { unit, limit: Some(1_000), left, ..requests(0, 0, 60_000, false) };
        quota.told(
            &[claim(QuotaUnit::InputTokens, 250), claim(QuotaUnit::OutputTokens, 1_000)],
            0,
            quota.mark(),
            at(0),
        );
        assert_eq!((0..10).filter(|_| go(&mut quota, at(1))).count(), 2);
        let short = Amount { input_tokens: 50, output_tokens: 10, leaves_percent: 0 };
        assert!(quota.full(&short, at(2)).is_none(), "a shorter one still fits");
        let view = quota.view(at(2));
        assert_eq!((view[0].left, view[1].left), (Some(50), Some(900)));
        let huge = Amount { input_tokens: 5_000, ..Amount::default() };
        assert!(quota.full(&huge, at(60_000)).is_none(), "what never fits is left to the provider once all is there");
    }

    #[test]
    fn a_reset_too_far_off_is_asked_about_every_ten_minutes_by_one_attempt() {
        let mut quota = Quota::default();
        let day = 86_400_000;
        quota.told(&[requests(100, 0, day, false)], 0, quota.mark(), at(0));
        let asked: Vec<i64> = (0..3_600).map(|second| second * 1_000).filter(|ms| go(&mut quota, at(*ms))).collect();
        assert_eq!(asked, [600_000, 1_200_000, 1_800_000, 2_400_000, 3_000_000]);
        quota.told(&[requests(100, 90, day, false)], 0, quota.mark(), at(3_600_000));
        assert!(go(&mut quota, at(3_600_001)), "and believed when it says that there is more");
    }

    #[test]
    fn the_pace_tells_when_nothing_is_left() {
        let mut quota = Quota::default();
        quota.told(&[requests(100, 100, 60_000, false)], 0, quota.mark(), at(0));
        for second in 1..=10 {
            quota.grant(&ONE, at(second * 1_000));
            quota.grant(&ONE, at(second * 1_000));
        }
        assert_eq!(quota.view(at(10_000))[0].spent_at, Some(at(50_000)), "80 are left, two go in a second");
        assert_eq!(quota.view(at(10_000))[0].full_at, Some(at(60_000)));
        let mut slow = Quota::default();
        slow.told(&[requests(100, 100, 60_000, false)], 0, slow.mark(), at(0));
        slow.grant(&ONE, at(1_000));
        assert_eq!(slow.view(at(2_000))[0].spent_at, None, "it is full again before");
    }

    /// A provider with a window, asked by an open loop at twice its quota; answers come after `latency_ms`. Returns how many it
    /// refused and served.
    fn open_loop(steered: bool, limit: u64, window_ms: i64, latency_ms: i64) -> (u64, u64) {
        let (mut quota, mut due) = (Quota::default(), std::collections::VecDeque::<(i64, _, _)>::new());
        let (mut used, mut window, mut refused, mut served) = (0, 0, 0, 0);
        let every_ms = window_ms / (2 * i64::try_from(limit).unwrap());
        for ms in (0..10 * window_ms).step_by(usize::try_from(every_ms.max(1)).unwrap()) {
            while due.front().is_some_and(|(at, ..)| *at <= ms) {
                let (_, claim, mark) = due.pop_front().unwrap();
                quota.told(&[claim], 0, mark, at(ms));
            }
            if steered && quota.full(&ONE, at(ms)).is_some() {
                continue;
            }
            quota.grant(&ONE, at(ms));
            let mark = quota.mark();
            if ms / window_ms != window {
                (window, used) = (ms / window_ms, 0);
            }
            let is_served = used < limit;
            used += u64::from(is_served);
            *(if is_served { &mut served } else { &mut refused }) += 1;
            let left_ms = u64::try_from(window_ms - ms % window_ms).unwrap();
            due.push_back((ms + latency_ms, requests(limit, limit - used, left_ms, false), mark));
        }
        (refused, served)
    }

    #[test]
    fn at_twice_the_quota_nothing_is_refused_and_nearly_all_of_it_is_used() {
        let (refused, served) = open_loop(false, 100, 1_000, 20);
        assert_eq!((refused, served), (1_000, 1_000), "what happens without");
        let (refused, served) = open_loop(true, 100, 1_000, 20);
        assert!(refused <= 20, "{refused} were refused");
        assert!(served >= 900, "{served} of 1000 were served");
    }

    proptest! {
        #[test]
        fn no_claim_keeps_a_model_out_for_longer_than_is_believed(
            told in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>(), 0_i64..10_000_000), 1..20),
        ) {
            let mut quota = Quota::default();
            for (limit, left, full_in_ms, refills, ms) in told {
                let mark = quota.mark();
                quota.told(&[requests(limit, left, full_in_ms, refills)], 1, mark, at(ms));
                if let Some((since, until)) = quota.full(&ONE, at(ms)) {
                    prop_assert!(since <= at(ms) && until > at(ms) && until <= at(ms) + LONGEST_RATE_LIMIT_MS);
                }
                quota.grant(&ONE, at(ms));
                let _ = (quota.grant_later(&ONE, at(ms)), quota.view(at(ms)));
            }
        }
    }
}
