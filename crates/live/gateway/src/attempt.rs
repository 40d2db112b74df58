//! One attempt engine for every endpoint: choose, hold, write down, send, and go elsewhere while nothing of an answer
//! has reached the client. What may follow which fault is `routing`'s truth table.

#[cfg(test)]
mod tests;

use crate::answered::Answered;
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::exchange::{Exchanged, exchange};
use crate::protect::Protected;
use crate::race::race;
use crate::refusal::Refusal;
use crate::reply::{Leaves, Waiting};
use crate::search::{Laid, Search, lane_hedging};
use crate::trail::Trail;

/// Tries until something answers, or nothing more can be tried.
pub async fn attempt(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    client: &mut Waiting,
    trail: &mut Trail,
) -> Result<Answered, Refusal> {
    let mut search = Search::new(gateway, deployed, call);
    search.begin();
    search.answer(client, trail).await
}

impl Search<'_> {
    /// Tries until something answers, or nothing more can be tried.
    pub async fn answer(mut self: Box<Self>, client: &mut impl Leaves, trail: &mut Trail) -> Result<Answered, Refusal> {
        loop {
            let mut laid = match self.next(client, trail).await {
                Ok(Some(laid)) => laid,
                Ok(None) => continue,
                Err(refusal) => return Err(refusal),
            };
            let outcome = match self.hedging(&laid.attempt.candidate) {
                Some((hedging, after_ms)) => {
                    let hedged = Box::pin(race(&mut self, laid, (hedging, after_ms), client, trail)).await;
                    let (raced, outcome) = hedged;
                    laid = raced;
                    outcome
                }
                None => {
                    let (call, model, timeouts) = (self.call, &laid.model, &laid.timeouts);
                    let attempt = &mut laid.attempt;
                    let outgoing = std::mem::take(&mut laid.outgoing);
                    exchange(
                        self.gateway,
                        self.deployed,
                        call,
                        model,
                        outgoing,
                        timeouts,
                        self.deadline,
                        client,
                        attempt,
                    )
                    .await
                }
            };
            match outcome {
                Ok(exchanged) => return Ok(self.answered(laid, exchanged)),
                Err(failure) => match self.book_failure(laid.attempt, failure, trail).await {
                    Some(fault) => self.last = Some(fault),
                    None => return Err(Refusal::ClientGone),
                },
            }
        }
    }

    fn answered(&self, laid: Laid, exchanged: Exchanged) -> Answered {
        let Exchanged { answer, content_type, socket } = exchanged;
        let Laid { attempt, timeouts, .. } = laid;
        // Between two pictures a model may be silent for as long as it takes to make one.
        let patient = self.call.call().operation.makes_pictures();
        let frame_ms = if patient { timeouts.total_ms } else { timeouts.frame_ms };
        if self.after.is_none() {
            self.deployed.promises.missed(self.route.missed(Some(attempt.candidate.lane)), clock::now());
        }
        if let (true, Some(ms), Some(hedging)) =
            (self.may_hedge, attempt.first_token_ms, lane_hedging(self.deployed, &attempt.candidate))
        {
            hedging.lock().measured(ms, clock::now());
        }
        Answered { attempt, answer, deadline: self.deadline, frame_ms, content_type, socket }
    }
}
