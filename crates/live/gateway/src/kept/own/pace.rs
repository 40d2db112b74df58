//! When is a further request of a batch begun, and when is one tried again? Batches take what calls of clients leave of their models,
//! until their time runs short.

use http::StatusCode;

/// With so much time left a batch waits for nobody, milliseconds; a twenty-fourth of its day. A judgement.
const SHORT_MS: u64 = 3_600_000;
/// The time a batch still needs is reckoned so many times over: later requests may be longer, and models slower.
const SAFETY: u64 = 2;
/// How long a workflow's requests wait after one could not be answered, milliseconds: at first, and at most.
const FIRST_WAIT_MS: u64 = 1_000;
const LONGEST_WAIT_MS: u64 = 60_000;
/// How often a request is run that comes to an error of ours or the provider's other than "not now": each run has tried again, and
/// elsewhere, by itself, and may have cost something.
pub const RUNS_AT_MOST: u32 = 3;

/// What is under way on the models of a workflow.
#[derive(Clone, Copy, Debug)]
pub struct UnderWay {
    /// Attempts of all calls.
    pub attempts: u32,
    /// Requests of batches.
    pub requests: u32,
    /// Whether capacity was bought for the models and none of it has room.
    pub bought_is_full: bool,
}

/// Whether a further request may begin.
pub fn has_room(under_way: UnderWay, at_once: u32, urgent: bool) -> bool {
    match urgent {
        true => under_way.requests < at_once,
        // A request that has begun may be on its way to a model and not be counted there yet.
        false => under_way.requests.max(under_way.attempts) < at_once && !under_way.bought_is_full,
    }
}

/// Whether a batch with so much time left, so many requests waiting of which each takes so long, can wait for idle models no longer.
pub fn is_urgent(left_ms: u64, waiting: u64, request_ms: u64, at_once: u32) -> bool {
    let needed = waiting.saturating_mul(request_ms) / u64::from(at_once.max(1));
    left_ms <= needed.saturating_mul(SAFETY).max(SHORT_MS)
}

/// How long requests of one took on the whole, as more of them end: an eighth of the way to each.
pub fn smoothed(known_ms: u64, last_ms: u64) -> u64 {
    if known_ms == 0 { last_ms } else { (known_ms.saturating_mul(7).saturating_add(last_ms)) / 8 }
}

/// What an answer means for its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// It stands among the answers.
    Answered,
    /// It stands among the errors.
    Failed,
    /// It is run again, though not without end.
    Again,
    /// Nobody can be asked now: it is run again until the batch ends.
    NotNow,
    /// It was cut off with this process, and is run again by the next.
    Cut,
}

/// What an answer of this status means, of which Freehold says whether trying again helps.
pub fn came(status: StatusCode, trying_again_helps: bool, runs: u32) -> Came {
    match status.as_u16() {
        499 => Came::Cut,
        _ if status.is_success() => Came::Answered,
        429 | 503 if trying_again_helps => Came::NotNow,
        _ if trying_again_helps && runs < RUNS_AT_MOST => Came::Again,
        _ => Came::Failed,
    }
}

/// How long a workflow's requests wait, after so many in a row could not be answered; at least as long as the answer asked for.
pub fn wait_ms(in_a_row: u32, asked_ms: Option<u64>) -> u64 {
    let doubled = FIRST_WAIT_MS.saturating_mul(1 << in_a_row.min(16));
    doubled.max(asked_ms.unwrap_or(0)).min(LONGEST_WAIT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_way(attempts: u32, requests: u32) -> UnderWay {
        UnderWay { attempts, requests, bought_is_full: false }
    }

    #[test]
    fn a_batch_takes_what_calls_of_clients_leave_until_its_time_runs_short() {
        assert!(has_room(under_way(0, 0), 4, false));
        assert!(!has_room(under_way(4, 0), 4, false), "clients have all of it");
        assert!(has_room(under_way(3, 3), 4, false));
        assert!(!has_room(under_way(0, 4), 4, false), "begun, and not at a model yet");
        assert!(has_room(under_way(40, 3), 4, true), "no more waiting");
        assert!(!has_room(under_way(40, 4), 4, true), "but not without bound");
        let full = UnderWay { bought_is_full: true, ..under_way(0, 0) };
        assert!(!has_room(full, 4, false) && has_room(full, 4, true));
    }

    #[test]
    fn time_runs_short_an_hour_before_the_end_or_earlier_where_much_is_left_to_do() {
        const HOUR: u64 = 3_600_000;
        assert!(!is_urgent(23 * HOUR, 100, 1_000, 4));
        assert!(is_urgent(HOUR, 1, 1, 4));
        // 14,400 requests of 4 s, four at once: four hours, reckoned as eight.
        assert!(!is_urgent(8 * HOUR + 1, 14_400, 4_000, 4));
        assert!(is_urgent(8 * HOUR, 14_400, 4_000, 4));
    }

    #[test]
    fn what_may_pass_is_run_again_and_what_will_not_is_an_error() {
        assert_eq!(came(StatusCode::OK, false, 1), Came::Answered);
        assert_eq!(came(StatusCode::BAD_REQUEST, false, 1), Came::Failed);
        assert_eq!(came(StatusCode::TOO_MANY_REQUESTS, true, 99), Came::NotNow);
        assert_eq!(came(StatusCode::TOO_MANY_REQUESTS, false, 1), Came::Failed, "a budget that is spent");
        assert_eq!(came(StatusCode::BAD_GATEWAY, true, 2), Came::Again);
        assert_eq!(came(StatusCode::BAD_GATEWAY, true, RUNS_AT_MOST), Came::Failed);
        assert_eq!(came(StatusCode::from_u16(499).unwrap(), false, 1), Came::Cut);
    }

    #[test]
    fn waits_grow_to_a_minute() {
        assert_eq!(wait_ms(0, None), 1_000);
        assert_eq!(wait_ms(0, Some(3_000)), 3_000);
        assert_eq!((wait_ms(5, None), wait_ms(6, None), wait_ms(u32::MAX, None)), (32_000, 60_000, 60_000));
        assert_eq!((smoothed(0, 800), smoothed(800, 1_600)), (800, 900));
    }
}
