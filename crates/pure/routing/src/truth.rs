//! What follows which fault, as data: the route and the gateway obey it, and `docs/failure.md` is written from it.

use std::fmt::{self, Write};

use domain::{Blame, FaultClass};

/// How far the answer had come when the fault happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Nothing has been sent to the client. A whole (not streamed) answer is in this phase to its end, because it is
    /// handed over only when all of it has come.
    BeforeContent,
    /// A streamed answer whose first content has been sent to the client.
    AfterContent,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// The same model again, after a wait; then other models.
    RetryThenNext,
    /// The next model or lane.
    Next,
    /// The client is told, as an HTTP error in its dialect.
    Surface,
    /// Another model goes on with what was said, where one can; else the stream ends with an error frame.
    GoOn,
    /// The stream ends with an error frame in the client's dialect.
    EndStream,
    /// Nobody is there to be told. The upstream is cancelled.
    Stop,
}

/// How the model's health takes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counted {
    /// Not at all: it says nothing about the model.
    No,
    /// As one failure towards its breaker.
    Failure,
    /// With Retry-After, as a rate limit: the model is skipped until then. Without, as one failure.
    RateLimit,
    /// As one failure; with Retry-After the model is also skipped until then.
    FailureAndRateLimit,
    /// The breaker opens at once.
    OpensAtOnce,
}

/// What the attempt's record books.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Booked {
    /// Nothing: the provider had not begun to work, or says itself that it did not.
    Nothing,
    /// Nothing where no answer had begun; otherwise the usage the provider reported, else an estimate marked as one.
    WhatHadBegun,
    /// The usage the provider reported, else an estimate marked as one: it may have done the work.
    ReportedOrEstimated,
}

/// Whether another model may go on with an answer that broke off so, after content. A client's fault would only come again, and
/// after the call's deadline, or a defect of ours, nothing is begun.
pub fn goes_on(class: FaultClass) -> bool {
    class.try_next() && class.blame() != Blame::Client
}

/// What follows a fault. What has reached the client is not said again: it is gone on with, or it ends.
pub fn after(class: FaultClass, phase: Phase) -> Action {
    match phase {
        _ if class == FaultClass::ClientGone => Action::Stop,
        Phase::AfterContent if goes_on(class) => Action::GoOn,
        Phase::AfterContent => Action::EndStream,
        Phase::BeforeContent if class.retry_same() => Action::RetryThenNext,
        Phase::BeforeContent if class.try_next() => Action::Next,
        Phase::BeforeContent => Action::Surface,
    }
}

/// How the model's health takes a fault, in either phase.
pub fn counted(class: FaultClass) -> Counted {
    match class {
        class if !class.trips_breaker() => Counted::No,
        FaultClass::QuotaExhausted => Counted::OpensAtOnce,
        FaultClass::RateLimited => Counted::RateLimit,
        FaultClass::Overloaded => Counted::FailureAndRateLimit,
        _ => Counted::Failure,
    }
}

/// What an attempt that ended so books.
pub fn booked(class: FaultClass, phase: Phase) -> Booked {
    match (phase, class) {
        (Phase::AfterContent, _) => Booked::ReportedOrEstimated,
        // Never sent.
        (
            _,
            FaultClass::Connect
            | FaultClass::ConnectTimeout
            | FaultClass::TokenUnavailable
            | FaultClass::Untranslatable,
        ) => Booked::Nothing,
        // Left while it may have been working.
        (_, FaultClass::FirstTokenTimeout | FaultClass::TotalTimeout | FaultClass::ClientGone) => {
            Booked::ReportedOrEstimated
        }
        _ => Booked::WhatHadBegun,
    }
}

/// The page `docs/failure.md`.
pub fn page() -> String {
    let mut page = String::from(PREFACE);
    for class in FaultClass::ALL {
        let _ = writeln!(
            page,
            "| `{class}` | {} | {} | {} | {} | {} | {} |",
            Who(class.blame()),
            after(*class, Phase::BeforeContent),
            booked(*class, Phase::BeforeContent),
            after(*class, Phase::AfterContent),
            booked(*class, Phase::AfterContent),
            counted(*class),
        );
    }
    page.push_str(NOTES);
    page
}

const PREFACE: &str = "\
# What happens when something fails

<!-- Written from crates/pure/routing/src/truth.rs; a test fails when the two differ. To write it anew:
     UPDATE_DOCS=1 cargo test -p freehold-routing -->

A call is tried on one model after the other, in lane order, until one answers. What may follow a failed attempt depends
on the kind of fault and on one question: has any content reached the client?

- **Before first content**: nothing has been sent to the client, not even a status. A streamed answer is in this phase
  until its first frame with content, an answer that is not streamed until all of it has come.
- **After first content**: only a streamed answer can be here. What was said cannot be unsaid, so nothing is begun anew: another
  model goes on with it where one can (below), or the stream ends with an error frame in the client's dialect, and without the
  dialect's closing event.

| fault | who has to act | before first content | booked | after first content | booked | the model's breaker |
|---|---|---|---|---|---|---|
";

const NOTES: &str = "
## Reading the table

- **same model, then next**: once more on the same model (`retries_same`, 1 unless set otherwise) after a random wait of
  at most 200 ms that doubles with each attempt, then the other models. A provider that says it is full (429, 503, 529, or
  any fault with Retry-After) is left at once for a model that is free now; it is waited for only where there is no other
  and the wait is at most `max_wait_ms` (2 s). A longer Retry-After rules the model out for this call.
  One such answer keeps other calls from the model for a second at most; a second one within the time that it told, for as long as
  it tells.
- **next model**: the next of the lane, then the next lane. At most `max_attempts` (4) in all, none after the call's
  deadline. The last of them goes to a lane that was not tried yet, where one is free.
- **An answer that is not streamed** is silent until its end, so one that stalls cannot be told from one that takes long. While
  another model could be asked now, an attempt at one may take half of what the call has left (`total_ms`, 10 minutes): more
  where the model lately took longer, up to twice its longest time and three quarters of what is left. Then it is
  `upstream_first_token_timeout`, booked as an estimate, and the next model is asked. Where no other is left or all are held
  back by breakers and rate limits, it is waited for to the call's deadline, and is `deadline_exceeded` after it. A workflow
  whose models work for longer than half of `total_ms` should raise that.
- **HTTP error**: the client gets the fault's code in its own dialect; endpoints.md has the statuses. It is also what
  happens in the other rows when nothing is left to try.
- **continued elsewhere**: the attempt is booked as failed, and the next model of the call's lanes is asked for the rest: by a
  started answer where its dialect and generation go on with one (Claude before 4.6, llama.cpp, vLLM, SGLang, Mistral), else by
  an instruction to go on exactly where it stops. Words it repeats at the seam are cut. The client sees one answer: one id, the
  block that was open goes on, one finish reason, and the usage that the last attempt reports. What the broken one consumed is
  in its own record and in the call's cost. Thoughts do not cross: where text had come, the second model's are left out, and
  where only thoughts had come, it is asked anew. A stream of events has a comment at the seam (`: freehold: …`), which SDKs
  pass over; the record of the attempt that went on lists it as a loss, with the cause `failover`. Headers had been sent by
  then, so `freehold-model` names who began. An answer of the Responses API that was continued cannot be gone on from by its
  id; send the conversation.
  It is not done, and the error frame comes as before, where: half a tool call or a refusal had been said, or more than 256 KiB;
  the answer had its finish reason; it must follow a schema or has several choices or log probabilities; the conversation is
  tied to one provider; the workflow says `on_loss = \"refuse\"`; the workflow or a lane says `continuation = \"off\"`; no
  other model is left, no attempt (`max_attempts`), no time or no money for it. It is on unless switched off: what broke off
  has been paid for, the client has no way to go on by itself but to pay for all of it again, and the second attempt keeps to
  the same budgets, residency and deadline.
- **Second attempts beside slow ones** (`hedge` of a lane, off unless set): a streamed call without content after the lane's 95th
  percentile of first tokens (of the last 64, once 20 are known, and not below `least_ms`) gets one second attempt on the next
  candidate. The first to bring content wins; the other is cancelled and booked like any cancelled attempt, and is no fault of
  its model. The record of the second has the cause `hedge`, whoever won. Of the lane's calls at most `share` are hedged, and of
  any run of calls at most ten more than it earned. Both are held on every budget; where there is no money for the second, it is
  not made (`freehold_hedges_without_money_total`), and no call fails for it. Never hedged: answers that are not streamed,
  conversations tied to a provider, background answers, realtime, tools that the provider runs itself, servers of tools.
- **error frame**: OpenAI: `data: {\"error\": …}`; Anthropic: `event: error`. Both carry the code, who has to act, whether to
  retry, and that the part received was billed.
- **Booked** is what the attempt's record says it cost. Each attempt has its own record, so a call that failed over may
  have cost more than its answer.
  - *nothing*: it was never sent.
  - *what had begun*: nothing where the provider refused it with a status; where an answer had begun, the usage it
    reported, else an estimate, marked as one.
  - *reported or estimated*: the provider may have done the work and may bill it.
- **Breaker**: a model's breaker opens when half of its last 20 attempts failed (of at least 5), or 5 in a row. It stays
  open for 5 s, then one probe is let through; the probe's success closes it, its failure opens it for twice as long, 60 s
  at most. A model that closes and soon opens again starts where it left off. Faults of the client never count.
- **All breakers open**: one call in each open time is sent all the same, to the model that would be probed soonest. The
  others wait until a probe is due, and ask again: 20 s in all at most (`retry.wait_out_ms`, 0 to be refused at once), never
  longer than leaves a quarter of the call's time, and so do calls that only limits with a known end hold back. At most 1,000
  calls of one process wait so (`freehold_waited_out_total` counts them), the second half of them of the first criticality
  alone. Who does not wait is refused at once, with Retry-After saying when a probe is due.
- **Attempts made, and all that could answer are away for a known time** (a breaker, a limit, a fault that said when to come back): the
  call waits in the same way, within the same 20 s, each wait at least twice as long as the one before began (100 ms), and may make two attempts more
  after each. Faults that name no time are not waited for once `max_attempts` are made.
- A client that goes away is not told anything; the attempt upstream is cancelled.
- **Freehold itself fails** (a call's task panics, or is cut off with the process's end): the attempt under way, or both of two, is booked as
  indeterminate at once, its hold being the most it can have cost, and nothing stays reserved. Before first content the
  client gets a 500 with the code `defect`; after it, an error frame with that code, or, where the client takes no frame
  for a second, a stream that breaks off. `freehold_panics_total` counts it; the process goes on serving.
";

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::RetryThenNext => "same model, then next",
            Action::Next => "next model",
            Action::Surface => "HTTP error",
            Action::GoOn => "continued elsewhere, else error frame",
            Action::EndStream => "error frame",
            Action::Stop => "upstream cancelled",
        })
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counted::No => "not counted",
            Counted::Failure => "counted",
            Counted::RateLimit => "with Retry-After: skipped until then, not counted; else counted",
            Counted::FailureAndRateLimit => "counted; with Retry-After also skipped until then",
            Counted::OpensAtOnce => "opens at once",
        })
    }
}

impl fmt::Display for Booked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Booked::Nothing => "nothing",
            Booked::WhatHadBegun => "what had begun",
            Booked::ReportedOrEstimated => "reported or estimated",
        })
    }
}

/// Who has to act, for people who run Freehold.
struct Who(Blame);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Blame::Client => "client",
            Blame::Us => "us",
            Blame::Provider => "provider",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_content_nothing_is_begun_anew_and_no_clients_fault_is_gone_on_with() {
        for class in FaultClass::ALL {
            let action = after(*class, Phase::AfterContent);
            assert!(matches!(action, Action::GoOn | Action::EndStream | Action::Stop), "{class}: {action}");
            assert!(action != Action::GoOn || class.blame() != Blame::Client, "{class}");
        }
        assert_eq!(after(FaultClass::TotalTimeout, Phase::AfterContent), Action::EndStream);
        assert_eq!(after(FaultClass::Cut, Phase::AfterContent), Action::GoOn);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a golden file is read, and written where its author asks for it")]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/failure.md");
        if std::env::var("UPDATE_DOCS").is_ok() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/failure.md is not what truth.rs says; UPDATE_DOCS=1 writes it anew");
    }
}
