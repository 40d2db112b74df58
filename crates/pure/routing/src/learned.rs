//! The limit of a provider that does not tell it: learned from when it refuses. A provider that names a long time to stay away
//! speaks of a window that is spent, so what was sent in that window is its limit; in the next ones calls that leave a share
//! to others stop before it. It is a guess: it keeps no call away that has nothing to leave, and is forgotten after a while.

use domain::UnixMs;

use crate::quota::{QuotaView, share};

/// A refusal that names less than this speaks of a moment, not of a window that is spent, milliseconds.
const LEAST_WAIT_MS: u64 = 10_000;
/// How long a window is, milliseconds: a minute, as limits of requests are.
const WINDOW_MS: u64 = 60_000;
/// After so long what was learned is forgotten, and what the provider takes is tried again, milliseconds. Where that was too
/// soon, the next time is twice as long, up to [`LONGEST_HOLD_MS`].
const HOLD_MS: u64 = 120_000;
/// The longest, milliseconds.
const LONGEST_HOLD_MS: u64 = 3_600_000;

/// Seconds in a window.
const SECONDS: usize = 60;

/// What was sent lately to one model, and what was learned from its refusals.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Attempts sent in each of the last seconds, the present one at `second` modulo their number.
    sent: [u32; SECONDS],
    second: u64,
    limit: Option<Limit>,
    /// How long the next limit is believed, and since when nothing is.
    hold_ms: u64,
    forgotten_at: UnixMs,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    requests: u64,
    used: u64,
    turns_at: UnixMs,
    learned_at: UnixMs,
}

impl Default for Learned {
    fn default() -> Learned {
        Learned { sent: [0; SECONDS], second: 0, limit: None, hold_ms: HOLD_MS, forgotten_at: UnixMs(0) }
    }
}

impl Learned {
    /// Whether anything was learned that calls have to leave a share of.
    pub fn is_known(&self) -> bool {
        self.limit.is_some()
    }

    /// Counts an attempt that is sent now.
    pub fn sent(&mut self, now: UnixMs) {
        self.pass_time(now);
        let sent = &mut self.sent[place(self.second)];
        *sent = sent.saturating_add(1);
        if let Some(limit) = &mut self.limit {
            limit.used = limit.used.saturating_add(1);
        }
    }

    /// Takes a refusal: what it refused does not count as used. `is_confirmed` where others have said the same within its time;
    /// one alone may be a stray.
    pub fn refused(&mut self, wait_ms: u64, is_confirmed: bool, now: UnixMs) {
        self.pass_time(now);
        let mut backwards = (0..SECONDS as u64).map(|back| place(self.second.saturating_sub(back)));
        if let Some(latest) = backwards.find(|place| self.sent[*place] > 0) {
            self.sent[latest] -= 1;
        }
        if !is_confirmed || !(LEAST_WAIT_MS..=WINDOW_MS).contains(&wait_ms) {
            return;
        }
        let turns_at = now + wait_ms;
        let began = seconds(turns_at).saturating_sub(WINDOW_MS / 1_000);
        let requests = (began..=self.second).map(|second| u64::from(self.sent[place(second)])).sum();
        if self.limit.is_none() {
            let is_soon = now.since(self.forgotten_at) < self.hold_ms;
            self.hold_ms = if is_soon { (self.hold_ms * 2).min(LONGEST_HOLD_MS) } else { HOLD_MS };
        }
        self.limit = Some(Limit { requests, used: requests, turns_at, learned_at: now });
    }

    /// Since when and until when a call stays away that leaves this share of the limit to others, percent; nothing where there is
    /// room, or where it has nothing to leave.
    pub fn full(&mut self, leaves_percent: u8, now: UnixMs) -> Option<(UnixMs, UnixMs)> {
        self.pass_time(now);
        let limit = self.limit.filter(|_| leaves_percent > 0)?;
        let left_to_others = share(limit.requests, u64::from(leaves_percent), 100);
        let room = limit.used.saturating_add(left_to_others) < limit.requests;
        (!room).then_some((limit.learned_at.min(now), limit.turns_at))
    }

    /// What pages and metrics show, where something is known.
    pub fn view(&mut self, now: UnixMs) -> Option<QuotaView> {
        self.pass_time(now);
        self.limit.map(|limit| QuotaView {
            unit: domain::QuotaUnit::Requests,
            window: domain::QuotaWindow::Minute,
            limit: Some(limit.requests),
            left: Some(limit.requests.saturating_sub(limit.used)),
            full_at: Some(limit.turns_at),
            spent_at: None,
            is_learned: true,
        })
    }

    fn pass_time(&mut self, now: UnixMs) {
        let second = seconds(now);
        // A clock that stepped back counts on where it stood, until it is there again or a minute behind.
        if second > self.second || self.second - second > SECONDS as u64 {
            let passed = second.abs_diff(self.second).min(SECONDS as u64);
            (0..passed).for_each(|back| self.sent[place(second.saturating_sub(back))] = 0);
            self.second = second;
        }
        let Some(limit) = &mut self.limit else { return };
        if now.since(limit.learned_at) >= self.hold_ms {
            (self.limit, self.forgotten_at) = (None, now);
        } else if now >= limit.turns_at {
            let turns = now.since(limit.turns_at) / WINDOW_MS + 1;
            (limit.turns_at, limit.used) = (limit.turns_at + turns * WINDOW_MS, 0);
        }
    }
}

fn seconds(at: UnixMs) -> u64 {
    at.since(UnixMs(0)) / 1_000
}

fn place(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).expect("below the number of seconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_CRITICAL: u8 = 0;
    const ROUTINE: u8 = 20;

    fn at(seconds: u64) -> UnixMs {
        UnixMs(1_000_000_000) + seconds * 1_000
    }

    /// Ten a second from `from` on; the provider takes 600 in the minute that ends at `until`.
    fn spent(learned: &mut Learned, from: u64, until: u64) {
        for sent in 0..603 {
            learned.sent(at(from + sent / 10));
        }
        let now = from + 60;
        for refusal in 0..3 {
            learned.refused((until - now) * 1_000, refusal > 0, at(now));
        }
    }

    #[test]
    fn what_was_sent_in_a_window_until_it_was_spent_is_its_limit() {
        let mut learned = Learned::default();
        (0..50).for_each(|second| learned.sent(at(second)));
        // All 600 between 50 and 62, in a window that began at 50.
        for sent in 0..602 {
            learned.sent(at(50 + sent / 50));
        }
        learned.refused(48_000, false, at(62));
        assert!(!learned.is_known(), "one alone may be a stray");
        learned.refused(48_000, true, at(62));
        assert_eq!(learned.view(at(62)).and_then(|view| view.limit), Some(600));
        assert_eq!(learned.full(ROUTINE, at(70)), Some((at(62), at(110))));
    }

    #[test]
    fn calls_that_matter_less_stop_before_it_in_the_next_window_and_others_do_not() {
        let mut learned = Learned::default();
        spent(&mut learned, 0, 100);
        let limit = learned.view(at(60)).and_then(|view| view.limit).expect("it was learned");
        let taken = (0..10_000)
            .take_while(|_| learned.full(ROUTINE, at(101)).is_none().then(|| learned.sent(at(101))).is_some());
        let taken = u64::try_from(taken.count()).expect("small");
        assert_eq!(taken, limit - limit / 5);
        assert_eq!(learned.full(MOST_CRITICAL, at(101)), None, "a guess keeps nobody away who has nothing to leave");
        assert_eq!(learned.full(ROUTINE, at(161)), None, "the window has turned");
    }

    #[test]
    fn refusals_that_name_a_moment_teach_nothing() {
        let mut learned = Learned::default();
        (0..100).for_each(|_| learned.sent(at(0)));
        for wait_ms in [0, 1_000, LEAST_WAIT_MS - 1, WINDOW_MS + 1, u64::MAX] {
            learned.refused(wait_ms, true, at(1));
            assert!(!learned.is_known(), "{wait_ms}");
        }
    }

    #[test]
    fn it_is_forgotten_in_time_and_later_where_that_was_too_soon() {
        let mut learned = Learned::default();
        spent(&mut learned, 0, 100);
        learned.full(ROUTINE, at(60 + 119));
        assert!(learned.is_known());
        learned.full(ROUTINE, at(60 + 120));
        assert!(!learned.is_known());
        // It was too soon: the provider still takes no more.
        spent(&mut learned, 200, 300);
        learned.full(ROUTINE, at(260 + 239));
        assert!(learned.is_known());
        learned.full(ROUTINE, at(260 + 240));
        assert!(!learned.is_known());
        // It was not, for long.
        spent(&mut learned, 10_000, 10_100);
        learned.full(ROUTINE, at(10_060 + 120));
        assert!(!learned.is_known());
    }

    #[test]
    fn a_clock_that_steps_back_breaks_nothing() {
        let mut learned = Learned::default();
        spent(&mut learned, 1_000, 1_100);
        for second in [1_050, 900, 0, 5_000] {
            learned.sent(at(second));
            learned.refused(30_000, true, at(second));
            learned.full(ROUTINE, at(second));
            learned.view(at(second));
        }
    }
}
