//! Two attempts of one call at a time: beside one that says nothing for longer than the lane usually takes, a second is started.
//! The first to bring content wins; the other is cancelled, and booked like any other attempt.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::time::Duration;

use domain::Entry;
use parking_lot::Mutex;
use routing::Hedging;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::answered::Answer;
use crate::clock;
use crate::exchange::{Exchanged, Failure, exchange};
use crate::reply::Leaves;
use crate::search::{Laid, Search};
use crate::settle::{Attempt, Ending, settle};
use crate::trail::Trail;

/// What one attempt came to.
type Outcome = Result<Exchanged, Failure>;

/// Called off by whoever waits for both.
struct CalledOff<'a>(&'a Notify);

impl Leaves for CalledOff<'_> {
    async fn gone(&mut self) {
        self.0.notified().await;
    }

    fn is_gone(&self) -> bool {
        false
    }
}

/// Waits for an attempt, and where it is slow for a second one beside it. Returns the one that won, or that failed last, which
/// is then the one under way in the trail; the other is booked.
pub(crate) async fn race(
    search: &mut Search<'_>,
    first: Laid,
    (hedging, after_ms): (&Mutex<Hedging>, u64),
    client: &mut impl Leaves,
    trail: &mut Trail,
) -> (Laid, Outcome) {
    let (off_first, off_second) = (Notify::new(), Notify::new());
    let mut one = Runner::new(search, first, &off_first);
    let due = one.sent + Duration::from_millis(after_ms);
    tokio::select! {
        biased;
        done = &mut one.run => return done,
        () = client.gone() => {
            off_first.notify_one();
            return one.run.await;
        }
        () = sleep_until(due) => {}
    }
    match search.lay_second(hedging, after_ms, trail).await {
        None => one.alone(client, &off_first).await,
        Some(second) => {
            let two = Runner::new(search, second, &off_second);
            both(search, (one, two), (&off_first, &off_second), hedging, client, trail).await
        }
    }
}

/// An attempt under way.
struct Runner<'a> {
    sent: Instant,
    run: Pin<Box<dyn Future<Output = (Laid, Outcome)> + Send + 'a>>,
}

impl<'a> Runner<'a> {
    fn new(search: &Search<'a>, mut laid: Laid, off: &'a Notify) -> Runner<'a> {
        let (gateway, deployed, call, deadline) = (search.gateway, search.deployed, search.call, search.deadline);
        let sent = laid.attempt.sent;
        let run = Box::pin(async move {
            let outgoing = std::mem::take(&mut laid.outgoing);
            let (model, timeouts, attempt) = (&laid.model, &laid.timeouts, &mut laid.attempt);
            let mut off = CalledOff(off);
            let outcome =
                exchange(gateway, deployed, call, model, outgoing, timeouts, deadline, &mut off, attempt).await;
            (laid, outcome)
        });
        Runner { sent, run }
    }

    /// Waits for it, as nothing runs beside it any more.
    async fn alone(mut self, client: &mut impl Leaves, off: &Notify) -> (Laid, Outcome) {
        tokio::select! {
            biased;
            done = &mut self.run => return done,
            () = client.gone() => {}
        }
        off.notify_one();
        self.run.await
    }
}

async fn both(
    search: &mut Search<'_>,
    (mut one, mut two): (Runner<'_>, Runner<'_>),
    (off_first, off_second): (&Notify, &Notify),
    hedging: &Mutex<Hedging>,
    client: &mut impl Leaves,
    trail: &mut Trail,
) -> (Laid, Outcome) {
    let (first_is_done, done) = tokio::select! {
        biased;
        done = &mut one.run => (true, Some(done)),
        done = &mut two.run => (false, Some(done)),
        () = client.gone() => (true, None),
    };
    let Some((laid, outcome)) = done else {
        // Nobody is left to answer: both are cancelled, and the first is the caller's to book.
        off_first.notify_one();
        off_second.notify_one();
        let (second, outcome) = two.run.await;
        trail.turn();
        cancelled(search, second.attempt, outcome, trail).await;
        return one.run.await;
    };
    let (other, off_other) = if first_is_done { (two, off_second) } else { (one, off_first) };
    match outcome {
        Ok(exchanged) => {
            off_other.notify_one();
            let (lost, lost_outcome) = other.run.await;
            note(&laid, &lost, first_is_done, trail);
            // It would have taken longer than this.
            let waited_ms = u64::try_from(lost.attempt.sent.elapsed().as_millis()).unwrap_or(u64::MAX);
            hedging.lock().measured(waited_ms, clock::now());
            if first_is_done {
                trail.turn();
            }
            cancelled(search, lost.attempt, lost_outcome, trail).await;
            (laid, Ok(exchanged))
        }
        Err(failure) => {
            if !first_is_done {
                trail.turn();
            }
            let model = laid.attempt.candidate.model;
            if let Some(fault) = search.book_failure(laid.attempt, failure, trail).await {
                search.route.lost(model, &fault, clock::now());
            }
            other.alone(client, off_other).await
        }
    }
}

/// Books the attempt that lost, which is the one under way in the trail: cancelled, or as it failed in the same moment.
async fn cancelled(search: &Search<'_>, attempt: Box<Attempt>, outcome: Outcome, trail: &mut Trail) {
    let (fault, seen) = match outcome {
        Ok(Exchanged { answer: Answer::Stream { relay, .. }, .. }) => (None, Some(Box::new(relay.seen().clone()))),
        Ok(Exchanged { answer: Answer::Whole { seen, .. }, .. }) => (None, Some(seen)),
        Err(Failure::Gone(seen)) => (None, seen),
        Err(Failure::Fault(fault, seen)) => (Some(fault), seen),
    };
    let ending = match &fault {
        None => Ending::Cancelled(seen.as_deref()),
        Some(fault) => Ending::Failed { fault, seen: seen.as_deref(), after_content: false },
    };
    let record = settle(&search.gateway.books(), search.call, attempt, trail, &ending).await;
    trail.tokens_used += record.usage.input_tokens() + record.usage.output_tokens();
    let kept = search.gateway.spool.keep(&[Entry::Record(Box::new(record))]);
    trail.closed();
    search.gateway.spool.confirm(kept).await;
}

fn note(won: &Laid, lost: &Laid, first_won: bool, trail: &mut Trail) {
    let (first, second) = if first_won { (won, lost) } else { (lost, won) };
    let (first, second, won) = (&first.model.name, &second.model.name, &won.model.name);
    trail.note("attempt", format!("{first} was slow, so {second} was asked beside it; {won} was first to answer"));
}
