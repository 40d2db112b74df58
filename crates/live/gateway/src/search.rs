//! One call's search for an answer: which candidate next, whether it can be sent the request and paid for, and the intent that
//! is written down before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use config::{Model, OnLoss, Timeouts, Workflow};
use domain::{AttemptId, Cause, Entry, Fault, Intent, Loss, NanoUsd, ProviderName};
use ledger::budget::Spend;
use parking_lot::Mutex;
use routing::{Candidate, CriticalityIndex, Hedging, LaneIndex, ModelIndex, Next, Route};
use tokio::time::Instant;
use wire::{Operation, Outgoing};

use crate::after::After;
use crate::bound::Bound;
use crate::budgets::{Held, Pick};
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::{Deployed, Size};
use crate::exchange::Failure;
use crate::open::Open;
use crate::portion;
use crate::prepare::{begin, candidates, hold, lane_name, longest_ms, print_of, size, taken_room, timeouts, translate};
use crate::protect::Protected;
use crate::refusal::{Lossy, Refusal};
use crate::reply::Leaves;
use crate::settle::{Attempt, Ending, settle};
use crate::skipped::Skipped;
use crate::trail::Trail;
use crate::wait_out::{Stranded, wait_out};
use crate::warm::PromptPrint;

/// One call's search for an answer.
pub(crate) struct Search<'a> {
    pub gateway: &'a Gateway,
    pub deployed: &'a Deployed,
    pub call: &'a Protected,
    pub route: Route,
    /// When the answer must have ended.
    pub deadline: Instant,
    workflow: Option<Arc<Workflow>>,
    criticality: Option<CriticalityIndex>,
    cheapest: Option<NanoUsd>,
    usual_cost: Option<NanoUsd>,
    size: Size,
    print: Option<PromptPrint>,
    seed: u64,
    /// How long it waited because nobody could be asked, milliseconds.
    waited_out_ms: u64,
    /// How many times that was.
    waits: u32,
    pub last: Option<Fault>,
    /// Who is taken for the maker of what the request carries that only its maker can read.
    maker: Option<ProviderName>,
    skipped: Skipped,
    /// What it goes on from, where an attempt broke off after content.
    pub after: Option<Arc<After>>,
    /// Whether another may go on where one breaks off after content.
    may_go_on: bool,
    /// Whether slow attempts may get a second one beside them.
    pub may_hedge: bool,
    /// The lane whose share the call has earned a part of.
    earned: Option<LaneIndex>,
}

/// An attempt that is written down and not sent yet.
pub(crate) struct Laid {
    pub attempt: Box<Attempt>,
    pub model: Arc<Model>,
    pub outgoing: Outgoing,
    pub timeouts: Timeouts,
}

/// What a candidate would be sent.
struct Ready {
    model: Arc<Model>,
    bound: Bound,
    outgoing: Outgoing,
}

/// Why a candidate cannot be sent the request.
enum Unready {
    /// Its dialect cannot say it.
    Unsaid(Fault),
    /// It would be told less than the client said.
    Lossy(Vec<Loss>),
}

impl<'a> Search<'a> {
    /// A call that has tried nothing yet.
    pub fn new(gateway: &'a Gateway, deployed: &'a Deployed, call: &'a Protected) -> Box<Search<'a>> {
        let admitted = call.call();
        let workflow = admitted.target.workflow().cloned();
        let policy = workflow.as_ref().map_or(deployed.snapshot.defaults.retry, |workflow| workflow.retry);
        let total_ms = longest_ms(deployed, call);
        // 64 of the 128 bits are enough for jitter.
        let seed = gateway.chance.draw() as u64;
        let size = size(deployed, call);
        let print = print_of(gateway, call);
        let candidates = candidates(deployed, call, workflow.as_deref(), &size, print);
        let cheapest = candidates.iter().filter_map(|candidate| candidate.expected_cost).min();
        Box::new(Search {
            gateway,
            deployed,
            call,
            route: Route::new(candidates, policy, seed, admitted.call.at + total_ms),
            deadline: admitted.call.arrived + Duration::from_millis(total_ms),
            criticality: workflow.as_ref().map(|workflow| workflow.criticality_index),
            cheapest,
            usual_cost: None,
            size,
            print,
            seed,
            waited_out_ms: 0,
            waits: 0,
            last: None,
            maker: None,
            skipped: Skipped::default(),
            after: None,
            may_go_on: may_be_gone_on_with(call, workflow.as_deref()),
            may_hedge: workflow.as_ref().is_none_or(|workflow| workflow.hedges) && may_be_done_twice(call),
            earned: None,
            workflow,
        })
    }

    /// Says that the call came, and moves it where calls are moved.
    pub(crate) fn begin(&mut self) {
        begin(self.gateway, self.deployed, self.call, &mut self.route, self.seed);
        self.usual_cost = self.route.usual_cost();
    }

    /// A call whose answer broke off at this model, after so many attempts in all.
    pub fn after(
        gateway: &'a Gateway,
        deployed: &'a Deployed,
        call: &'a Protected,
        after: Arc<After>,
        broken: ModelIndex,
        attempts_made: u16,
    ) -> Box<Search<'a>> {
        let mut search = Search::new(gateway, deployed, call);
        search.route.go_on_after(attempts_made);
        search.route.already_failed(broken, after.class);
        for lane in deployed.snapshot.lanes.iter().filter(|lane| !lane.continues) {
            search.route.skip_lane(lane.index, "its lane goes on with no answer that another began");
        }
        search.maker = Some(deployed.model(broken).provider.name.clone());
        search.may_hedge = false;
        search.after = Some(after);
        search
    }

    /// The next attempt, written down and not sent; nothing where a candidate was passed over.
    pub(crate) async fn next(&mut self, client: &mut impl Leaves, trail: &mut Trail) -> Result<Option<Laid>, Refusal> {
        let admitted = self.call.call();
        let (gateway, deployed) = (self.gateway, self.deployed);
        let now = clock::now();
        let size = &self.size;
        let mut permits = |index: usize, need| deployed.permit(index, now, need, size);
        let next = self.route.next(self.last.as_ref(), &mut permits, now);
        let (candidate, wait_ms, cause, probe, decision) = match next {
            Next::Try { candidate, wait_ms, cause, probe, decision } => (candidate, wait_ms, cause, probe, decision),
            Next::GiveUp { why, retry_after_ms, all_open, passes } => {
                // Not in the middle of an answer: its client sees how long nothing comes.
                if let (true, true, Some(until_ms)) = (passes, self.after.is_none(), retry_after_ms) {
                    let waited = Box::pin(wait_out(gateway, self.stranded(), until_ms, client, trail)).await?;
                    if let Some(waited_ms) = waited {
                        self.waited_out_ms += waited_ms;
                        self.waits += 1;
                        self.route.waited_out();
                        return Ok(None);
                    }
                }
                trail.note("attempt", &*why);
                // What went on was answered by the lane that began.
                if self.after.is_none() {
                    deployed.promises.missed(self.route.missed(None), now);
                }
                let (skipped, last) = (std::mem::take(&mut self.skipped), self.last.take());
                return Err(skipped.give_up(last, why, retry_after_ms, all_open, trail.cost > NanoUsd::ZERO));
            }
        };
        let decision = match (&self.after, &admitted.bound_to) {
            (Some(after), _) => format!("{decision}; goes on with what {} began", after.model),
            (None, None) => decision,
            (None, Some(bound)) => {
                format!("{decision}; provider {} alone has the {} it names", bound.provider, bound.what)
            }
        };
        let slot = &deployed.slots[candidate.model];
        if wait_ms > 0 {
            let waited = tokio::select! {
                biased;
                () = client.gone() => false,
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => true,
            };
            if !waited {
                slot.health.lock().abandoned(probe);
                return Err(Refusal::ClientGone);
            }
        }
        let ready = match self.ready(&candidate) {
            Ok(ready) => ready,
            Err(unready) => {
                slot.health.lock().abandoned(probe);
                let model = deployed.model(candidate.model).name.clone();
                match unready {
                    Unready::Lossy(losses) => {
                        let what = format!("{} of what the client said would be lost (`on_loss`)", losses.len());
                        trail.note("attempt", format!("{model}: {what}"));
                        self.route.skip(candidate.model, &what);
                        self.skipped.lossy(Lossy { model, client: admitted.dialect, losses });
                    }
                    Unready::Unsaid(fault) => {
                        trail.note("attempt", format!("{model}: {}", fault.message));
                        self.route.skip(candidate.model, &fault.message);
                        self.skipped.unsaid = Some(fault);
                    }
                }
                return Ok(None);
            }
        };
        let pick = self.pick(&candidate);
        let is_last = !self.route.has_another();
        let held = tokio::select! {
            biased;
            held = hold(gateway, self.call, &ready.bound, &ready.model, pick, is_last) => held,
            () = client.gone() => Err(Refusal::ClientGone),
        };
        let held = match held {
            Ok(held) => held,
            Err(refusal) => {
                slot.health.lock().abandoned(probe);
                match refusal {
                    Refusal::Budget(spent) if spent.is_of_model() => {
                        let why = format!("its own limit of {} is reached", spent.limit_in_words());
                        trail.note("hold", format!("{}: {why}", ready.model.name));
                        gateway.metrics.limited(&ready.model.name);
                        self.route.skip(candidate.model, &why);
                        self.skipped.limited.get_or_insert(spent);
                        return Ok(None);
                    }
                    Refusal::Budget(spent) if spent.downgrades => {
                        trail.note("hold", format!("{}: {}", ready.model.name, Refusal::Budget(spent.clone())));
                        self.route.skip(candidate.model, "its budget does not cover it");
                        self.skipped.money = Some(spent);
                        return Ok(None);
                    }
                    Refusal::Unpriced { .. } => {
                        trail.note("hold", refusal.to_string());
                        self.route.skip(candidate.model, "it has no price and a budget applies");
                        self.skipped.unpriced = Some(refusal);
                        return Ok(None);
                    }
                    refusal => return Err(refusal),
                }
            }
        };
        if client.is_gone() {
            slot.health.lock().abandoned(probe);
            gateway.budgets.release(held);
            return Err(Refusal::ClientGone);
        }
        let cause = match (admitted.operation, cause) {
            (Operation::Embeddings, Cause::Serve) => Cause::Embed,
            // The cache had an answer; this one is asked for to compare.
            (_, Cause::Serve) if trail.compares() => Cause::Shadow,
            (_, cause) => cause,
        };
        self.maker.get_or_insert_with(|| ready.model.provider.name.clone());
        self.lay(candidate, (cause, probe, decision), ready, held, trail).await.map(Some)
    }

    /// A second attempt beside the one under way, written down and not sent; nothing where there is no candidate for one, or no
    /// money. No call fails or waits for want of one.
    pub async fn lay_second(&mut self, hedging: &Mutex<Hedging>, waited_ms: u64, trail: &mut Trail) -> Option<Laid> {
        if !hedging.lock().take() {
            return None;
        }
        let laid = self.try_second(waited_ms, trail).await;
        if laid.is_none() {
            hedging.lock().give_back();
            self.route.not_seconded();
        }
        laid
    }

    async fn try_second(&mut self, waited_ms: u64, trail: &mut Trail) -> Option<Laid> {
        let (deployed, now) = (self.deployed, clock::now());
        if wire::has_tools_of_the_provider(self.call.call().dialect, &self.call.call().call.body) {
            return None;
        }
        let size = &self.size;
        let mut permits = |index: usize, need| deployed.permit(index, now, need, size);
        let Some(Next::Try { candidate, cause, probe, decision, .. }) = self.route.second(&mut permits, now, waited_ms)
        else {
            return None;
        };
        let slot = &deployed.slots[candidate.model];
        let Ok(ready) = self.ready(&candidate) else {
            slot.health.lock().abandoned(probe);
            return None;
        };
        let Some(held) = hold_now(self.gateway, self.call, &ready, self.pick(&candidate)) else {
            slot.health.lock().abandoned(probe);
            self.gateway.metrics.hedges_without_money.inc();
            trail.note(
                "hold",
                format!("no second attempt beside the slow one at {}: no money for it", ready.model.name),
            );
            return None;
        };
        self.lay(candidate, (cause, probe, decision), ready, held, trail).await.ok()
    }

    /// What the candidate would be sent.
    fn ready(&self, candidate: &Candidate) -> Result<Ready, Unready> {
        let model = self.deployed.model(candidate.model).clone();
        let slot = &self.deployed.slots[candidate.model];
        let workflow = self.workflow.as_deref();
        let after = self.after.as_deref();
        let longer = after.map_or(0, |after| after.going_on.prompt_bytes());
        let bound = Bound::of(self.call, &model, slot, workflow, self.gateway, longer);
        let foreign = self.maker.as_ref().is_some_and(|maker| *maker != model.provider.name);
        let outgoing = translate(self.call, &model, &bound, slot.maker, foreign, after).map_err(Unready::Unsaid)?;
        if !outgoing.losses.is_empty() && workflow.is_some_and(|workflow| workflow.on_loss == OnLoss::Refuse) {
            return Err(Unready::Lossy(outgoing.losses));
        }
        Ok(Ready { model, bound, outgoing })
    }

    fn stranded(&self) -> Stranded {
        Stranded {
            policy: self.workflow.as_ref().map_or(self.deployed.snapshot.defaults.retry, |workflow| workflow.retry),
            deadline: self.deadline,
            is_most_critical: self.criticality == Some(0),
            waited_ms: self.waited_out_ms,
            waits: self.waits,
            seed: self.seed,
        }
    }

    fn pick(&self, candidate: &Candidate) -> Pick {
        match (candidate.expected_cost, self.cheapest) {
            (Some(cost), Some(cheapest)) if cost > cheapest => Pick::Dearer,
            _ => Pick::Cheapest,
        }
    }

    /// Writes an attempt down. From here on whatever becomes of the call's task finds it in the trail: as the one under way, or
    /// as the one beside it.
    async fn lay(
        &self,
        candidate: Candidate,
        (cause, probe, decision): (Cause, bool, String),
        ready: Ready,
        held: Held,
        trail: &mut Trail,
    ) -> Result<Laid, Refusal> {
        let Ready { model, bound, outgoing } = ready;
        let admitted = self.call.call();
        let slot = self.deployed.slots[candidate.model].clone();
        trail.attempts += 1;
        let intent = Intent {
            attempt: AttemptId { call: admitted.call.id, ordinal: trail.attempts },
            at: clock::now(),
            key: admitted.call.key.grant.id.clone(),
            workflow: self.workflow.as_ref().map(|workflow| workflow.name.clone()),
            lane: lane_name(&candidate),
            model: model.name.clone(),
            provider: model.provider.name.clone(),
            cause,
            hold: bound.cost,
            hold_tokens: None,
        };
        let open = Open::new(intent.clone(), held, probe);
        let beside = trail.open.is_some();
        match beside {
            false => trail.open = Some(open),
            true => trail.beside = Some(Box::new(open)),
        }
        if let Err(error) = self.gateway.spool.intent(&Entry::Intent(intent.clone())).await {
            slot.health.lock().abandoned(probe);
            trail.attempts -= 1;
            let open = if beside { trail.beside.take().map(|open| *open) } else { trail.open.take() };
            if let Some(mut open) = open {
                open.settle(&self.gateway.budgets, Spend::ZERO);
            }
            return Err(Refusal::Spool(error.to_string()));
        }
        let mut timeouts = timeouts(&model, self.workflow.as_deref());
        if portion::is_whole(admitted.operation, outgoing.stream) {
            timeouts = portion::of_whole(self.deployed, &self.route, &candidate, timeouts, self.deadline);
        }
        let mut losses = outgoing.losses.clone();
        if let Some(after) = &self.after {
            let upstream = model.provider.dialect_for(admitted.dialect);
            losses.push(after.loss(after.going_on.way(upstream, &model.upstream, model.provider.quirks)));
        }
        let may_be_gone_on_from =
            self.may_go_on && lane_continues(self.deployed, &candidate) && self.route.has_another();
        self.deployed.traffic.sent(self.criticality, candidate.model);
        // What goes on with an answer has no first token to be prompt with, and another prompt than the client's.
        let is_first = self.after.is_none();
        let promised = lane_name(&candidate).and_then(|_| self.deployed.promises.of(candidate.lane));
        let print = self.print.filter(|_| is_first);
        let attempt = Box::new(Attempt {
            entered: trail.entered(candidate.lane),
            promised: promised.filter(|_| is_first).cloned(),
            taken: taken_room(self.deployed, self.call, candidate.model, &slot, &self.size),
            prompt: print.map(|print| (self.deployed.warm.clone(), print)),
            usual_cost: self.usual_cost,
            intent,
            sent: Instant::now(),
            candidate,
            probe,
            decision,
            losses,
            first_token_ms: None,
            status: None,
            our_cap: bound.insert_max_output,
            part: bound.part,
            slot,
            after: self.after.clone(),
            may_be_gone_on_from,
        });
        Ok(Laid { attempt, model, outgoing, timeouts })
    }

    /// Books an attempt that came to nothing, which is the one under way in the trail. The fault, unless the client went away.
    pub async fn book_failure(&self, attempt: Box<Attempt>, failure: Failure, trail: &mut Trail) -> Option<Fault> {
        let (ending, fault) = match &failure {
            Failure::Fault(fault, seen) => {
                (Ending::Failed { fault, seen: seen.as_deref(), after_content: false }, Some(fault.clone()))
            }
            Failure::Gone(seen) => (Ending::Cancelled(seen.as_deref()), None),
        };
        let record = settle(&self.gateway.books(), self.call, attempt, trail, &ending).await;
        trail.tokens_used += record.usage.input_tokens() + record.usage.output_tokens();
        let kept = self.gateway.spool.keep(&[Entry::Record(Box::new(record))]);
        trail.closed();
        self.gateway.spool.confirm(kept).await;
        fault
    }

    /// What the lane of this candidate knows for second attempts, and after how long one is due.
    pub(crate) fn hedging(&mut self, candidate: &Candidate) -> Option<(&'a Mutex<Hedging>, u64)> {
        let hedging = lane_hedging(self.deployed, candidate).filter(|_| self.may_hedge)?;
        if self.earned.replace(candidate.lane) == Some(candidate.lane) {
            return None;
        }
        let after_ms = hedging.lock().begin(clock::now())?;
        Some((hedging, after_ms))
    }
}

pub(crate) fn lane_hedging<'a>(deployed: &'a Deployed, candidate: &Candidate) -> Option<&'a Mutex<Hedging>> {
    lane_name(candidate)?;
    deployed.hedging.get(candidate.lane)?.as_deref()
}

fn lane_continues(deployed: &Deployed, candidate: &Candidate) -> bool {
    lane_name(candidate).is_some() && deployed.snapshot.lanes.get(candidate.lane).is_some_and(|lane| lane.continues)
}

/// Whether another model could go on with what one has said of the answer: one streamed text, of a conversation that no provider
/// keeps a part of. A document that must follow a schema is not one, since what goes on with half of it is not held to it.
fn may_be_gone_on_with(call: &Protected, workflow: Option<&Workflow>) -> bool {
    let head = &call.call().head;
    may_be_done_twice(call)
        && workflow.is_none_or(|workflow| workflow.continues && workflow.on_loss == OnLoss::Report)
        && head.n <= 1
        && !head.features.structured
        && !head.features.logprobs
}

/// Whether asking twice does nothing twice but cost: a streamed conversation of which no provider keeps anything that it goes
/// on from, and nothing is answered later.
fn may_be_done_twice(call: &Protected) -> bool {
    let admitted = call.call();
    let bound = &admitted.head.bound;
    admitted.operation == Operation::Chat
        && admitted.head.stream
        && !bound.is_tied()
        && bound.previous.is_none()
        && !bound.background
        && admitted.bound_to.is_none()
}

/// Holds without waiting: a second attempt is not worth it.
fn hold_now(gateway: &Gateway, call: &Protected, ready: &Ready, pick: Pick) -> Option<Held> {
    let Ready { model, bound, .. } = ready;
    let scopes = crate::bound::scopes_at(call, model, bound.likely_tokens);
    if !bound.under.any {
        return Some(gateway.budgets.note(scopes));
    }
    if bound.cost.is_none() && bound.under.hard_money {
        return None;
    }
    gateway.budgets.hold_now(scopes, bound.spend(model, call.call().call.at), pick).ok()
}
