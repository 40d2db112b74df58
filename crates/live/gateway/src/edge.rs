//! The edge of a call's task. A task may end in the middle: by a panic, which is a defect of ours, or dropped with the
//! runtime. Then its open attempt is booked as indeterminate with its hold as upper bound, the call's end is written down
//! as a failure of ours, and a client that is still there is told.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use domain::record::CallFailure;
use domain::{CallId, Entry, NanoUsd};
use ledger::budget::Spend;
use wire::errors::{ClientError, error_frame};
use wire::{Dialect, Framing, Operation};

use crate::call::Call;
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::life::{live, write_end};
use crate::open::Open;
use crate::refusal::Refusal;
use crate::reply::Waiting;
use crate::spool::Kept;
use crate::trail::Trail;

/// Lives one call to its end. Where its task panicked before the client had a head, returns what the client is to be told.
pub async fn run(
    gateway: Arc<Gateway>,
    call: Call,
    dialect: Dialect,
    operation: Operation,
    client: Waiting,
) -> Option<ClientError> {
    let deployed = gateway.deployed.load_full();
    let revision = &deployed.snapshot.revision;
    let trail = Trail::new(call.id, call.at, call.arrived, call.endpoint.name, revision, gateway.prints.clone());
    let (id, framing) = (call.id, call.framing);
    let errors = framing.errors_of(dialect);
    let mut edge = Edge { gateway: gateway.clone(), deployed: deployed.clone(), trail, id, dialect: errors, framing };
    let lived = {
        let life = pin!(live(gateway, deployed, call, dialect, operation, client, &mut edge.trail));
        lived(life).await
    };
    // Boxed: seldom, and larger than all the rest here.
    if lived { None } else { Box::pin(edge.panicked()).await }
}

/// A life of another kind, which grows a trail as a call's does.
type Life<'t> = Pin<Box<dyn Future<Output = ()> + Send + 't>>;

/// Lives something else to its end in the same way: what is open in its trail is booked whatever becomes of it.
pub async fn run_other(
    gateway: Arc<Gateway>,
    deployed: Arc<Deployed>,
    trail: Trail,
    id: CallId,
    (dialect, framing): (Dialect, Framing),
    life: impl for<'t> FnOnce(&'t mut Trail) -> Life<'t>,
) -> Option<ClientError> {
    let mut edge = Edge { gateway, deployed, trail, id, dialect, framing };
    let lived = lived(life(&mut edge.trail).as_mut()).await;
    if lived { None } else { Box::pin(edge.panicked()).await }
}

/// Whether a life came to its end. What a panic leaves behind is the trail, of which every part is true by itself. It is
/// borrowed: taken by value, a life would be moved once more and its place be kept.
async fn lived(mut life: Pin<&mut (impl Future<Output = ()> + ?Sized)>) -> bool {
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(true),
        Err(_) => Poll::Ready(false),
    })
    .await
}

const PANICKED: &str = "the call's task panicked";

/// What outlives a call's task for the time it takes to book it.
struct Edge {
    gateway: Arc<Gateway>,
    deployed: Arc<Deployed>,
    trail: Trail,
    id: CallId,
    dialect: Dialect,
    framing: Framing,
}

impl Edge {
    async fn panicked(mut self) -> Option<ClientError> {
        tracing::error!(
            call = %self.id,
            "a call's task panicked, which is a defect in Freehold; its attempt is booked as indeterminate, its client told"
        );
        self.gateway.metrics.panics.inc();
        let (error, kept) = self.conclude(&Refusal::Defect(PANICKED.into()), PANICKED);
        self.gateway.spool.confirm(kept).await;
        let Some(stream) = self.trail.stream_out.take() else { return Some(error) };
        stream.say(error_frame(self.dialect, self.framing, &error)).await;
        None
    }

    /// Books what is open and writes the call's end down, unless that was done. What to wait for is returned.
    fn conclude(&mut self, refusal: &Refusal, why: &str) -> (ClientError, Kept) {
        let was_written = self.trail.is_written();
        let under_way = [self.trail.open.take(), self.trail.beside.take().map(|beside| *beside)];
        let records: Vec<Entry> = under_way.into_iter().flatten().map(|open| self.book(open, why)).collect();
        let error = refusal.client_error(&self.id.to_string(), self.dialect);
        let error = ClientError { billed: self.trail.cost > NanoUsd::ZERO, ..error };
        if was_written {
            return (error, Kept::default());
        }
        let failure = CallFailure { code: error.code.clone(), blame: error.blame, message: error.message.clone() };
        let status = if self.trail.stream_out.is_some() { 200 } else { error.status };
        let kept = write_end(&self.gateway, &mut self.trail, records, status, Some(failure));
        (error, kept)
    }

    /// Books an attempt that was under way at the most it can have cost.
    fn book(&mut self, mut open: Open, why: &str) -> Entry {
        let model = self.deployed.snapshot.models.iter().find(|model| model.name == open.intent().model);
        if let Some(model) = model {
            self.deployed.slots[model.index].health.lock().abandoned(open.probe());
        }
        if !open.is_booked() {
            let bound = open.intent().hold.unwrap_or(NanoUsd::ZERO);
            let held = open.held();
            open.settle(&self.gateway.budgets, Spend { usd: bound, tokens: held.tokens });
            self.trail.cost += bound;
        }
        let record = open.indeterminate(model.map(|model| &**model), why, clock::now());
        self.gateway.metrics.attempt(&record);
        Entry::Record(Box::new(record))
    }
}

impl Drop for Edge {
    /// The task was dropped with the runtime before its end: nobody is left to wait for, and what is open is booked all the
    /// same.
    fn drop(&mut self) {
        if !self.trail.is_written() {
            let (_, kept) = self.conclude(&Refusal::Draining, "Freehold was stopped while it was in flight");
            self.gateway.spool.write(kept);
        }
    }
}
