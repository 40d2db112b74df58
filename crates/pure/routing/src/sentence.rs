//! The words of a decision: one clear sentence that says where a call went and what stood in the way of going elsewhere.
//! Written on every call, so the usual case is one string and no more.

use std::fmt::{self, Write};

use domain::{Pick, UnixMs};

use crate::candidate::{Bought, Candidate};
use crate::health::{Need, Refused};
use crate::hop::{Hop, Obstacle, Standing};
use crate::steer::{Move, Place};

/// How many obstacles a sentence names before it only counts them.
const NAMED: usize = 4;

/// Why this hop: `standard: premium/sonnet breaker open since 12:01:05; cheapest of 3 by expected 0.0021 USD`.
pub(crate) fn decision(hops: &[Hop], chosen: usize, wait_ms: u64, probe: bool, need: Need, now: UnixMs) -> String {
    let candidate = &hops[chosen].candidate;
    let mut text = String::with_capacity(96);
    let _ = write!(text, "{}: ", candidate.lane_name);
    if obstacles(&mut text, hops, Some(chosen), now) {
        text.push_str("; ");
    }
    match (need, &hops[chosen].standing) {
        (Need::LastResort, _) => text.push_str("nothing else is left, so one call finds out whether it is over"),
        (Need::Explore, _) => text.push_str("not measured lately, one call to find out"),
        (_, Standing::Again(class)) => {
            let _ = write!(text, "again after {class}");
        }
        _ => rank(&mut text, hops, candidate),
    }
    if wait_ms > 0 {
        let why = if need == Need::AfterRateLimit { " for the rate limit" } else { "" };
        let _ = write!(text, ", waiting {wait_ms} ms{why}");
    }
    if probe && need != Need::LastResort {
        text.push_str(", as a probe of its breaker");
    }
    text
}

/// Why nothing more: `4 of 4 attempts made: premium/sonnet failed (upstream_overloaded), own/qwen breaker open since …`.
pub(crate) fn give_up(hops: &[Hop], what: fmt::Arguments<'_>, now: UnixMs) -> String {
    let mut text = String::with_capacity(96);
    let _ = text.write_fmt(what);
    text.push_str(": ");
    if hops.is_empty() {
        text.push_str("there is no candidate");
    } else if !obstacles(&mut text, hops, None, now) {
        text.truncate(text.len() - 2);
    }
    text
}

/// Adds that the call would have been moved, had there been anywhere to go.
pub(crate) fn stuck(text: &mut String, moved: &Move) {
    let _ = write!(text, "; not moved away although {}, since nothing else may serve it", moved.reason);
}

/// Adds that the call stays in order to find out whether what moves others is over.
pub(crate) fn finds_out(text: &mut String, moved: &Move) {
    let _ = write!(text, "; finds out whether it is over: {}", moved.reason);
}

/// Lists what stood in the way of the others; says whether there was anything.
fn obstacles(text: &mut String, hops: &[Hop], chosen: Option<usize>, now: UnixMs) -> bool {
    let lane = chosen.map(|index| hops[index].candidate.lane);
    let mut count = 0;
    for (index, hop) in hops.iter().enumerate() {
        let untouched = hop.standing == Standing::Fresh && hop.refused.is_none();
        let moved = hop.moved.as_deref().filter(|_| untouched);
        let full = untouched && moved.is_none() && hop.candidate.bought == Bought::Full;
        let passed = full && chosen.is_some_and(|chosen| chosen < index && lane == Some(hop.candidate.lane));
        if chosen == Some(index) || (untouched && moved.is_none() && !passed) || told_before(hops, index, chosen, moved)
        {
            continue;
        }
        count += 1;
        if count > NAMED {
            continue;
        }
        if count > 1 {
            text.push_str(", ");
        }
        if let Some(moved) = moved {
            let _ = match moved.from {
                Place::Lane(_) => write!(text, "moved away from {} ({})", hop.candidate.lane_name, moved.reason),
                Place::Model(_) => write!(text, "moved away from {} ({})", hop.candidate.name, moved.reason),
                Place::ModelOf(..) => {
                    let (lane, model) = (&hop.candidate.lane_name, &hop.candidate.name);
                    write!(text, "{lane}: {model} left alone since {}, {}", Clock(moved.since, now), moved.reason)
                }
            };
            continue;
        }
        if lane != Some(hop.candidate.lane) {
            let _ = write!(text, "{}/", hop.candidate.lane_name);
        }
        if passed {
            let _ = write!(text, "bought capacity of {} is full", hop.candidate.name);
            continue;
        }
        let _ = write!(text, "{} ", hop.candidate.name);
        obstacle(text, hop, now);
    }
    if count > NAMED {
        let _ = write!(text, " and {} more", count - NAMED);
    }
    count > 0
}

/// Whether an earlier hop of the same lane has told already why the call is moved away from it.
fn told_before(hops: &[Hop], index: usize, chosen: Option<usize>, moved: Option<&Move>) -> bool {
    let of_lane = moved.filter(|moved| matches!(moved.from, Place::Lane(_)));
    of_lane.is_some_and(|moved| {
        let untouched = |hop: &Hop| hop.standing == Standing::Fresh && hop.refused.is_none();
        let mut before = hops[..index].iter().enumerate().filter(|(at, hop)| Some(*at) != chosen && untouched(hop));
        before.any(|(_, hop)| hop.moved.as_deref() == Some(moved))
    })
}

fn obstacle(text: &mut String, hop: &Hop, now: UnixMs) {
    let _ = match (&hop.standing, &hop.refused) {
        (Standing::Skipped(why), _) => write!(text, "skipped ({why})"),
        (Standing::Failed(class), _) | (Standing::Again(class), None) => write!(text, "failed ({class})"),
        (_, Some(Obstacle { why, since, until })) => match why {
            Refused::BreakerOpen => write!(text, "breaker open since {}", Clock(*since, now)),
            Refused::ProbeUnderWay => write!(text, "breaker half-open since {}, probe under way", Clock(*since, now)),
            Refused::RateLimited => write!(text, "rate limited until {}", Clock(*until, now)),
            Refused::Explored => text.write_str("explored a moment ago"),
        },
        (Standing::Fresh, None) => Ok(()),
    };
}

/// Why this one of its lane.
fn rank(text: &mut String, hops: &[Hop], candidate: &Candidate) {
    let mut lane = 0;
    let mut left = 0;
    for hop in hops.iter().filter(|hop| hop.candidate.lane == candidate.lane) {
        lane += 1;
        let free = hop.standing == Standing::Fresh && hop.refused.is_none() && hop.moved.is_none();
        left += usize::from(free);
    }
    let of = Of { lane, left };
    if candidate.bought == Bought::Room {
        let _ = write!(text, "first of {of}, since capacity that was bought for it has room");
        return;
    }
    if candidate.pick == Pick::Balanced {
        let (under_way, failed) = (candidate.in_flight, candidate.failed_percent);
        let _ = write!(text, "balanced over {of}: {under_way} under way, {failed} % failed lately");
        if let Some(cost) = candidate.expected_cost {
            let _ = write!(text, ", expected {cost} USD");
        }
        return cached(text, candidate);
    }
    let _ = match (candidate.pick, candidate.expected_cost, candidate.first_token_ms, candidate.quality_milli) {
        (Pick::Cheapest, Some(cost), ..) => write!(text, "cheapest of {of} by expected {cost} USD"),
        (Pick::Cheapest, None, ..) => write!(text, "first of {of} without a price"),
        (Pick::Fastest, _, Some(ms), _) => write!(text, "fastest of {of} by measured first token {ms} ms"),
        (Pick::Fastest, _, None, _) => write!(text, "first of {of} not measured yet"),
        (Pick::Best | Pick::Balanced, .., Some(milli)) => write!(text, "best of {of} by quality {}", Quality(milli)),
        (Pick::Best | Pick::Balanced, .., None) => write!(text, "first of {of} as declared"),
    };
    if candidate.pick == Pick::Cheapest {
        cached(text, candidate);
    }
}

/// That a part of the prompt should be cached there.
fn cached(text: &mut String, candidate: &Candidate) {
    if candidate.cached_tokens > 0 {
        let _ = write!(text, ", with {} tokens of the prompt cached there", candidate.cached_tokens);
    }
}

/// `3`, or `2 left`.
struct Of {
    lane: usize,
    left: usize,
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left == self.lane { write!(f, "{}", self.lane) } else { write!(f, "{} left", self.left) }
    }
}

/// Thousandths as a decimal: 930 is `0.93`.
struct Quality(u32);

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, milli) = (self.0 / 1000, self.0 % 1000);
        if milli % 10 == 0 { write!(f, "{whole}.{:02}", milli / 10) } else { write!(f, "{whole}.{milli:03}") }
    }
}

/// A time of day (UTC), with the date where it is not within half a day of now.
struct Clock(UnixMs, UnixMs);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clock(at, now) = *self;
        if at.0.abs_diff(now.0) > 12 * 3_600_000 {
            return write!(f, "{at}");
        }
        let second = at.0.div_euclid(1000).rem_euclid(86_400);
        write!(f, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}
