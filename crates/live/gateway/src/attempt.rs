//! One attempt engine for every endpoint: choose, hold, write down, send, and go elsewhere while nothing of an answer
//! has reached the client. What may follow which fault is `routing`'s truth table.

use std::time::Duration;

use bytes::Bytes;
use config::{Model, OnLoss, Timeouts, Workflow};
use domain::{AttemptId, Cause, Entry, Fault, FaultClass, Intent, LaneName, NanoUsd, ProviderName};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use ledger::budget::Spend;
use routing::{Bought, Candidate, LaneIndex, ModelIndex, Next, Route};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use wire::{Ask, Ids, Maker, Operation, Outgoing, ReplyPlan, Seen, StreamRelay};

use crate::admit::Admitted;
use crate::bound::{Bound, scopes};
use crate::budgets::{Held, Pick};
use crate::call::Call;
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::{Deployed, Size, Slot};
use crate::kept::seal::{Note, Opened};
use crate::open::Open;
use crate::pool::sentence;
use crate::protect::Protected;
use crate::provisioned::Taken;
use crate::realtime::door;
use crate::refusal::{Lossy, Refusal};
use crate::reply::Waiting;
use crate::settle::{Attempt, Ending, settle};
use crate::skipped::Skipped;
use crate::trail::Trail;
use crate::upstream::{Sending, packed};
use crate::warm::PromptPrint;

/// What a dialect that demands a cap is given when the client named none, tokens.
pub const OUTPUT_CAP_WHERE_ONE_IS_DEMANDED: u64 = 4_096;
/// Longest answer taken in whole, bytes.
const WHOLE_ANSWER_BYTES: usize = 64 << 20;
/// Most that is withheld from the client while no content has come, bytes.
const WITHHELD_BYTES: usize = 256 << 10;
/// Longest error body read, bytes.
const ERROR_BODY_BYTES: usize = 64 << 10;
/// How long an error body may take, milliseconds.
const ERROR_BODY_MS: u64 = 5_000;

/// A call with an answer under way.
pub struct Answered {
    /// The attempt that answers, not yet settled.
    pub attempt: Attempt,
    /// The answer.
    pub answer: Answer,
    /// When the answer must have ended.
    pub deadline: Instant,
    /// Longest silence between frames.
    pub frame_ms: u64,
    /// What the provider calls it, where it is neither JSON nor events.
    pub content_type: Option<HeaderValue>,
    /// The connection, where it has become a socket; the answer is empty then.
    pub socket: Option<Upgraded>,
}

/// An answer under way.
pub enum Answer {
    /// All of it.
    Whole {
        /// What the client gets.
        body: Bytes,
        /// What was seen in it.
        seen: Box<Seen>,
    },
    /// A stream whose first content has come.
    Stream {
        /// The rest.
        incoming: Incoming,
        /// What turns it into what the client gets.
        relay: Box<StreamRelay>,
        /// What the client gets first.
        first: Vec<u8>,
    },
}

/// What an exchange came to.
struct Exchanged {
    answer: Answer,
    content_type: Option<HeaderValue>,
    socket: Option<Upgraded>,
}

impl Exchanged {
    fn answer(answer: Answer, content_type: Option<HeaderValue>) -> Exchanged {
        Exchanged { answer, content_type, socket: None }
    }
}

/// Why one attempt came to nothing.
pub(crate) enum Failure {
    /// A fault; what had been seen, where an answer had begun.
    Fault(Fault, Option<Box<Seen>>),
    /// The client went away.
    Gone(Option<Box<Seen>>),
}

/// Tries until something answers, or nothing more can be tried.
pub async fn attempt(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    client: &mut Waiting,
    trail: &mut Trail,
) -> Result<Answered, Refusal> {
    let admitted = call.call();
    let workflow = admitted.target.workflow().cloned();
    let policy = workflow.as_ref().map_or(deployed.snapshot.defaults.retry, |workflow| workflow.retry);
    let criticality = workflow.as_ref().map(|workflow| workflow.criticality_index);
    let total_ms = longest_ms(deployed, call);
    let deadline = admitted.call.arrived + Duration::from_millis(total_ms);
    // 64 of the 128 bits are enough for jitter.
    let seed = gateway.chance.draw() as u64;
    let size = size(deployed, call);
    let print = print_of(gateway, call);
    let candidates = candidates(deployed, call, workflow.as_deref(), &size, print);
    let cheapest = candidates.iter().filter_map(|candidate| candidate.expected_cost).min();
    let mut route = Route::new(candidates, policy, seed, admitted.call.at + total_ms);
    begin(gateway, deployed, call, &mut route, seed);
    let usual_cost = route.usual_cost();
    let mut last: Option<Fault> = None;
    // Who is taken for the maker of what the request carries that only its maker can read.
    let mut maker: Option<ProviderName> = None;
    let mut skipped = Skipped::default();
    let refuses_losses = workflow.as_ref().is_some_and(|workflow| workflow.on_loss == OnLoss::Refuse);
    loop {
        let now = clock::now();
        let next = route.next(last.as_ref(), &mut |index, need| deployed.slots[index].permit(now, need, &size), now);
        let (candidate, wait_ms, cause, probe, decision) = match next {
            Next::Try { candidate, wait_ms, cause, probe, decision } => (candidate, wait_ms, cause, probe, decision),
            Next::GiveUp { why, retry_after_ms, all_open } => {
                trail.note("attempt", &*why);
                deployed.promises.missed(route.missed(None), now);
                return Err(skipped.give_up(last, why, retry_after_ms, all_open, trail.cost > NanoUsd::ZERO));
            }
        };
        let decision = match &admitted.bound_to {
            None => decision,
            Some(bound) => format!("{decision}; provider {} alone has the {} it names", bound.provider, bound.what),
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
        let model = deployed.model(candidate.model).clone();
        let bound = Bound::of(call, &model, slot, workflow.as_deref(), gateway);
        let foreign = maker.as_ref().is_some_and(|maker| *maker != model.provider.name);
        let outgoing = match translate(call, &model, &bound, slot.maker, foreign) {
            Ok(outgoing) if outgoing.losses.is_empty() || !refuses_losses => outgoing,
            Ok(Outgoing { losses, .. }) => {
                slot.health.lock().abandoned(probe);
                let what = format!("{} of what the client said would be lost (`on_loss`)", losses.len());
                trail.note("attempt", format!("{}: {what}", model.name));
                route.skip(candidate.model, &what);
                skipped.lossy(Lossy { model: model.name.clone(), client: admitted.dialect, losses });
                continue;
            }
            Err(fault) => {
                slot.health.lock().abandoned(probe);
                trail.note("attempt", format!("{}: {}", model.name, fault.message));
                route.skip(candidate.model, &fault.message);
                skipped.unsaid = Some(fault);
                continue;
            }
        };
        let pick = match (candidate.expected_cost, cheapest) {
            (Some(cost), Some(cheapest)) if cost > cheapest => Pick::Dearer,
            _ => Pick::Cheapest,
        };
        let held = tokio::select! {
            biased;
            held = hold(gateway, call, &bound, &model, pick) => held,
            () = client.gone() => Err(Refusal::ClientGone),
        };
        let held = match held {
            Ok(held) => held,
            Err(refusal) => {
                slot.health.lock().abandoned(probe);
                match refusal {
                    Refusal::Budget(spent) if spent.downgrades => {
                        trail.note("hold", format!("{}: {}", model.name, Refusal::Budget(spent.clone())));
                        route.skip(candidate.model, "its budget does not cover it");
                        skipped.money = Some(spent);
                        continue;
                    }
                    Refusal::Unpriced { .. } => {
                        trail.note("hold", refusal.to_string());
                        route.skip(candidate.model, "it has no price and a budget applies");
                        skipped.unpriced = Some(refusal);
                        continue;
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
        trail.attempts += 1;
        maker.get_or_insert_with(|| model.provider.name.clone());
        let intent = Intent {
            attempt: AttemptId { call: admitted.call.id, ordinal: trail.attempts },
            at: clock::now(),
            key: admitted.call.key.grant.id.clone(),
            workflow: workflow.as_ref().map(|workflow| workflow.name.clone()),
            lane: lane_name(&candidate),
            model: model.name.clone(),
            provider: model.provider.name.clone(),
            cause: match cause {
                Cause::Serve if admitted.operation == Operation::Embeddings => Cause::Embed,
                // The cache had an answer; this one is asked for to compare.
                Cause::Serve if trail.compares() => Cause::Shadow,
                cause => cause,
            },
            hold: bound.cost,
        };
        // From here on whatever becomes of this task finds the attempt in the trail.
        let open = trail.open.insert(Open::new(intent.clone(), held, probe));
        if let Err(error) = gateway.spool.intent(&Entry::Intent(intent.clone())).await {
            slot.health.lock().abandoned(probe);
            open.settle(&gateway.budgets, Spend::ZERO);
            trail.open = None;
            return Err(Refusal::Spool(error.to_string()));
        }
        deployed.traffic.sent(criticality, candidate.model);
        let promised = lane_name(&candidate).and_then(|_| deployed.promises.of(candidate.lane)).cloned();
        let (candidate_lane, candidate_model) = (candidate.lane, candidate.model);
        let mut attempt = Attempt {
            intent,
            sent: Instant::now(),
            candidate,
            probe,
            decision,
            losses: outgoing.losses.clone(),
            first_token_ms: None,
            status: None,
            our_cap: bound.insert_max_output,
            part: bound.part,
            usual_cost,
            slot: slot.clone(),
            entered: trail.entered(candidate_lane),
            promised,
            taken: taken_room(deployed, call, candidate_model, slot),
            prompt: print.map(|print| (deployed.warm.clone(), print)),
        };
        let timeouts = timeouts(&model, workflow.as_deref());
        match exchange(gateway, deployed, call, &model, outgoing, &timeouts, deadline, client, &mut attempt).await {
            Ok(Exchanged { answer, content_type, socket }) => {
                // Between two pictures a model may be silent for as long as it takes to make one.
                deployed.promises.missed(route.missed(Some(attempt.candidate.lane)), clock::now());
                let patient = admitted.operation.makes_pictures();
                let frame_ms = if patient { timeouts.total_ms } else { timeouts.frame_ms };
                return Ok(Answered { attempt, answer, deadline, frame_ms, content_type, socket });
            }
            Err(failure) => {
                let (ending, fault) = match &failure {
                    Failure::Fault(fault, seen) => {
                        (Ending::Failed { fault, seen: seen.as_deref(), after_content: false }, Some(fault.clone()))
                    }
                    Failure::Gone(seen) => (Ending::Cancelled(seen.as_deref()), None),
                };
                let record = settle(&gateway.books(), call, attempt, trail, &ending).await;
                trail.tokens_used += record.usage.input_tokens() + record.usage.output_tokens();
                let kept = gateway.spool.keep(&[Entry::Record(Box::new(record))]);
                trail.open = None;
                gateway.spool.confirm(kept).await;
                match fault {
                    Some(fault) => last = Some(fault),
                    None => return Err(Refusal::ClientGone),
                }
            }
        }
    }
}

/// What is to be known of a call before its first hop: what moves it, and that it came.
fn begin(gateway: &Gateway, deployed: &Deployed, call: &Protected, route: &mut Route, seed: u64) {
    let criticality = call.call().target.workflow().map(|workflow| workflow.criticality_index);
    deployed.promises.came(call.lanes().first().and_then(|(lane, _)| *lane), criticality);
    deployed.promises.look(&deployed.steering, call.call().call.at);
    let models = || call.lanes().iter().flat_map(|(_, models)| models).copied();
    let full = deployed.traffic.moves(criticality, models(), call.call().call.at);
    let dear = gateway.watch.moves_of(call.call().target.workflow().map(|workflow| &**workflow), models());
    match full.is_empty() && dear.is_empty() {
        true => route.steer(&deployed.steering.now(), criticality, seed),
        false => {
            let all: Vec<_> = deployed.steering.now().iter().cloned().chain(full).chain(dear).collect();
            route.steer(&all, criticality, seed);
        }
    }
    if let Some(moved) = route.moved() {
        gateway.metrics.moved(moved.by);
    }
}

/// What a prompt is known by whose cost depends on where it was sent last: only where a lane picks by cost.
fn print_of(gateway: &Gateway, call: &Protected) -> Option<PromptPrint> {
    let by_cost = |(lane, models): &(Option<LaneIndex>, Vec<ModelIndex>)| {
        let pick = lane.map(|lane| call.snapshot().lanes[lane].pick);
        models.len() > 1 && matches!(pick, Some(domain::Pick::Cheapest | domain::Pick::Balanced))
    };
    if call.call().operation != Operation::Chat || !call.lanes().iter().any(by_cost) {
        return None;
    }
    let Call { session, key, body, .. } = &call.call().call;
    let session = session.as_ref().map_or("", |session| session.as_str());
    let workflow = call.call().target.workflow().map(|workflow| workflow.name.as_str());
    PromptPrint::of(&gateway.pepper(), [&*key.grant.id.0, session, workflow.unwrap_or_default()], body)
}

/// The room that an attempt should need in what was bought for its model.
fn taken_room(deployed: &Deployed, call: &Protected, model: ModelIndex, slot: &Slot) -> Option<Taken> {
    if !deployed.provisioned.serves(model) {
        return None;
    }
    let size = size(deployed, call);
    let workflow = call.call().target.workflow().map(|workflow| &workflow.name);
    deployed.provisioned.take(model, slot.expected_tokens(workflow, &size), clock::now())
}

/// How large the call is.
fn size(deployed: &Deployed, call: &Protected) -> Size {
    let head = &call.call().head;
    let name = call.call().target.workflow().map(|workflow| &workflow.name);
    let mut models = call.lanes().iter().flat_map(|(_, models)| models);
    let typical_output = models.find_map(|index| deployed.slots[*index].output_mean(name));
    Size { prompt_bytes: head.prompt_bytes, max_output: head.max_output, typical_output, units: head.units }
}

/// The candidates in lane order, each with what it should cost.
fn candidates(
    deployed: &Deployed,
    call: &Protected,
    workflow: Option<&Workflow>,
    size: &Size,
    print: Option<PromptPrint>,
) -> Vec<Candidate> {
    let snapshot = call.snapshot();
    let now = call.call().call.at;
    let name = workflow.map(|workflow| &workflow.name);
    let warm = print.and_then(|print| deployed.warm.of(print, now));
    let mut candidates = Vec::with_capacity(4);
    for (lane, models) in call.lanes() {
        let lane = lane.map(|index| &snapshot.lanes[index]);
        for index in models {
            let model = &snapshot.models[*index];
            let slot = &deployed.slots[*index];
            let (first_token_ms, in_flight, failed_percent) = {
                let health = slot.health.lock();
                (health.first_token_ms(now), health.in_flight(), health.failed_percent())
            };
            let cached_tokens = warm.filter(|(model, _)| model == index).map_or(0, |(_, tokens)| tokens);
            candidates.push(Candidate {
                model: *index,
                name: model.name.clone(),
                lane: lane.map_or(0, |lane| lane.index),
                lane_name: lane.map_or_else(|| LaneName::from(DIRECT), |lane| lane.name.clone()),
                class: lane.map_or(domain::Class::C, |lane| lane.class),
                pick: lane.map_or(domain::Pick::Best, |lane| lane.pick),
                expected_cost: slot.expected_cost(model, name, size, cached_tokens, now),
                quality_milli: model.quality_milli,
                first_token_ms,
                in_flight,
                failed_percent,
                cached_tokens,
                bought: match deployed.provisioned.serves(*index) {
                    true => deployed.provisioned.bought(*index, slot.expected_tokens(name, size), now),
                    false => Bought::Nothing,
                },
            });
        }
    }
    candidates
}

/// The lane of a call that named a model directly.
const DIRECT: &str = "(direct)";

fn lane_name(candidate: &Candidate) -> Option<LaneName> {
    (candidate.lane_name.as_str() != DIRECT).then(|| candidate.lane_name.clone())
}

/// How long the call may take as a whole: the longest any of its models allows, unless the workflow says.
fn longest_ms(deployed: &Deployed, call: &Protected) -> u64 {
    let workflow = call.call().target.workflow();
    let models = call.lanes().iter().flat_map(|(_, models)| models);
    let longest = models.map(|index| timeouts(deployed.model(*index), workflow.map(|w| &**w)).total_ms).max();
    longest.unwrap_or(600_000)
}

/// The deadlines of one attempt: the workflow's where it sets any, else the provider's.
fn timeouts(model: &Model, workflow: Option<&Workflow>) -> Timeouts {
    let provider = model.provider.timeouts;
    workflow.map_or(provider, |workflow| workflow.deadlines.over(provider))
}

/// Reserves the bound on every budget that applies.
pub(crate) async fn hold(
    gateway: &Gateway,
    call: &Protected,
    bound: &Bound,
    model: &Model,
    pick: Pick,
) -> Result<Held, Refusal> {
    let scopes = scopes(call);
    if !bound.under.any {
        return Ok(gateway.budgets.note(scopes));
    }
    if bound.cost.is_none() && bound.under.hard_money {
        let scope = gateway.budgets.hard_money(&scopes);
        let scope = scope.map_or_else(|| "a scope".to_owned(), |scope| scope.to_string());
        return Err(Refusal::Unpriced { model: model.name.clone(), scope });
    }
    gateway.budgets.hold(scopes, bound.spend(model, call.call().call.at), pick).await.map_err(|spent| {
        gateway.metrics.budget_refusals.inc();
        Refusal::Budget(spent)
    })
}

fn translate(call: &Protected, model: &Model, bound: &Bound, maker: Maker, foreign: bool) -> Result<Outgoing, Fault> {
    let admitted = call.call();
    let ask = Ask {
        upstream_model: &model.upstream,
        quirks: model.provider.quirks,
        insert_max_output: bound.insert_max_output,
        default_max_output: bound
            .insert_max_output
            .or(model.max_output_tokens.map(|most| most.min(OUTPUT_CAP_WHERE_ONE_IS_DEMANDED)))
            .unwrap_or(OUTPUT_CAP_WHERE_ONE_IS_DEMANDED),
        maker,
        foreign,
    };
    wire::outgoing(
        admitted.dialect,
        admitted.operation,
        &admitted.call.body,
        &admitted.head,
        model.provider.dialect_for(admitted.dialect),
        &ask,
    )
}

/// Sends one attempt and waits until its answer is whole, or its first content has come.
#[expect(clippy::too_many_arguments, reason = "each is a different thing, and all are needed once")]
async fn exchange(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    model: &Model,
    outgoing: Outgoing,
    timeouts: &Timeouts,
    total: Instant,
    client: &mut Waiting,
    attempt: &mut Attempt,
) -> Result<Exchanged, Failure> {
    let admitted = call.call();
    let spoken = model.provider.dialect_for(admitted.dialect);
    let same_dialect = admitted.dialect == spoken;
    let hosting = model.provider.quirks.hosting;
    let wrapped = hosting.is_wrapped(spoken);
    let path = match same_dialect && !wrapped {
        true => format!("{}{}", outgoing.path, admitted.call.query),
        false => outgoing.path.into_owned(),
    };
    let mut carried = if same_dialect { admitted.call.carried.clone() } else { Vec::new() };
    let mut body = outgoing.body;
    if wrapped {
        // This host takes in the body what the dialect says in headers.
        let betas: Vec<&str> = carried
            .iter()
            .filter(|(name, _)| name == "anthropic-beta")
            .flat_map(|(_, value)| value.to_str().unwrap_or_default().split(','))
            .map(str::trim)
            .filter(|beta| !beta.is_empty())
            .collect();
        body = wire::hosting::with_betas(body, &betas);
    }
    if spoken == wire::Dialect::Anthropic {
        // What only Amazon knows goes to Amazon alone, and what is Anthropic's own not there.
        carried.retain(|(name, _)| name.as_str().starts_with("x-amzn-") == wrapped);
    }
    if !wrapped
        && let Some((name, version)) = spoken.version_header()
        && !carried.iter().any(|(carried, _)| carried == name)
    {
        carried.push((http::HeaderName::from_static(name), http::HeaderValue::from_static(version)));
    }
    let stream = outgoing.stream;
    let challenge = (admitted.operation == Operation::Realtime).then(generate_key);
    let sending = Sending {
        challenge: challenge.as_deref(),
        provider: &model.provider,
        attempt: attempt.intent.attempt,
        path: &path,
        body,
        form: admitted.call.form.as_deref(),
        carried: &carried,
        accept: match (admitted.operation.is_media(), stream) {
            (true, _) => "*/*",
            (false, true) if wrapped => "application/json",
            (false, true) => spoken.framing().media_type(),
            (false, false) => "application/json",
        },
    };
    // A whole answer has no first token to wait for, only an end.
    let first = attempt.sent + Duration::from_millis(timeouts.first_token_ms);
    let waits_for_first = (stream && !admitted.operation.makes_pictures()) || challenge.is_some();
    let (wait_until, late) = match waits_for_first && first < total {
        true => (first, FaultClass::FirstTokenTimeout),
        false => (total, FaultClass::TotalTimeout),
    };
    let patience = Patience { until: wait_until, late };

    let mark = attempt.slot.health.lock().mark();
    let sent = deployed.upstreams.send(call, sending);
    let response = patience.wait(client, sent).await.map_err(|end| end.failure(None))?;
    let response = response.map_err(|fault| Failure::Fault(fault, None))?;
    attempt.status = Some(response.status().as_u16());
    if model.provider.quota_steering {
        attempt.slot.told(response.headers(), mark);
    }
    if let Some(challenge) =
        challenge.filter(|_| !response.status().is_client_error() && !response.status().is_server_error())
    {
        let socket = door::switched(response, &challenge).map_err(|fault| Failure::Fault(fault, None))?;
        let socket = patience.wait(client, socket).await.map_err(|end| end.failure(None))?;
        let socket = socket.map_err(|error| Failure::Fault(Fault::new(FaultClass::Reset, sentence(&error)), None))?;
        let answer = Answer::Whole { body: Bytes::new(), seen: Box::default() };
        return Ok(Exchanged { answer, content_type: None, socket: Some(socket) });
    }
    if !response.status().is_success() {
        let errors = if wrapped { wire::Dialect::BedrockConverse } else { spoken };
        return Err(refused(errors, response, client).await);
    }
    if let Some(fault) = packed(response.headers()) {
        // It was answered and will be billed, though nobody can read it: booked as an estimate.
        return Err(Failure::Fault(fault, Some(Box::default())));
    }
    let content_type = response.headers().get(CONTENT_TYPE).cloned().filter(|_| admitted.operation.is_media());
    let content_type = content_type.filter(is_raw);
    let plan = ReplyPlan {
        raw: content_type.is_some(),
        client: admitted.dialect,
        upstream: spoken,
        operation: admitted.operation,
        asked_model: admitted.asked.clone(),
        include_usage: admitted.head.include_usage,
        continuous_usage: admitted.head.continuous_usage,
        quirks: model.provider.quirks,
        maker: attempt.slot.maker,
        answer_id: admitted.call.id.to_string(),
        created_unix_s: admitted.call.at.0 / 1000,
        keep_bytes: match model.tokenizer.is_some() || crate::cache::request::near_rule(call).is_some() {
            true => crate::tokens::KEPT_BYTES,
            false => 0,
        },
        framing: admitted.call.framing,
        request: match (same_dialect, admitted.operation) {
            (false, Operation::Embeddings | Operation::Rerank) => admitted.call.body.clone(),
            _ => Bytes::new(),
        },
        ids: ids(gateway, admitted, model),
    };
    let count = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
    let invoked = admitted.operation == Operation::Invoke;
    let counted = invoked.then(|| wire::invoke::counted_in_head(count)).flatten();
    let mut incoming = response.into_body();
    if !stream {
        let body = whole(&mut incoming, client, &patience).await?;
        let read =
            wire::reply_body(&plan, &body).map(|(body, seen)| (body, Seen { usage: seen.usage.or(counted), ..seen }));
        return match read {
            Ok((body, seen)) => match seen.fault.clone() {
                Some(fault) => Err(Failure::Fault(fault, Some(Box::new(seen)))),
                None => {
                    let answer = Answer::Whole { body: body.into(), seen: Box::new(seen) };
                    Ok(Exchanged::answer(answer, content_type))
                }
            },
            // It was answered and will be billed, though nobody can read it: booked as an estimate.
            Err(fault) => Err(Failure::Fault(fault, Some(Box::default()))),
        };
    }
    let mut relay = Box::new(StreamRelay::new(plan));
    let mut out = Vec::with_capacity(1024);
    loop {
        let frame = match patience.wait(client, incoming.frame()).await {
            Ok(frame) => frame,
            Err(end) => return Err(end.failure(Some(relay.seen().clone()))),
        };
        let fed = match frame {
            None => relay.end(&mut out).map(|()| true),
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => relay.feed(data, &mut out).map(|()| false),
                None => Ok(false),
            },
            Some(Err(error)) => Err(Fault::new(FaultClass::Reset, sentence(&error))),
        };
        let seen = relay.seen();
        let fault = fed.as_ref().err().or(seen.fault.as_ref());
        if let Some(fault) = fault {
            // An error in the place of an answer is billed no more than one with a status.
            let began = seen.usage.is_some() || seen.output_bytes > 0 || seen.content_started;
            return Err(Failure::Fault(fault.clone(), began.then(|| Box::new(seen.clone()))));
        }
        if seen.content_started && attempt.first_token_ms.is_none() {
            attempt.first_token_ms = Some(u64::try_from(attempt.sent.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
        // A provider that says much without content is not waited for with ever more memory.
        if seen.content_started || seen.ended || fed.is_ok_and(|over| over) || out.len() > WITHHELD_BYTES {
            return Ok(Exchanged::answer(Answer::Stream { incoming, relay, first: out }, content_type));
        }
    }
}

/// What the client calls an answer that this model's provider keeps: no other provider and no other key can do anything with it.
fn ids(gateway: &Gateway, admitted: &Admitted, model: &Model) -> Ids {
    let kept = admitted.dialect.answers_are_gone_on_from() && model.provider.dialects.contains(&admitted.dialect);
    if !kept {
        return Ids::default();
    }
    let (seals, key) = (gateway.seals.clone(), admitted.call.key.clone());
    let (provider, name, asked) = (model.provider.name.clone(), model.name.to_string(), admitted.asked.clone());
    Ids::named(move |kind, id| {
        let what = Opened { id: id.to_owned(), model: name.clone(), asked: asked.clone(), note: Note::None };
        seals.seal(kind, &key.grant.id, &provider, &what)
    })
}

/// Whether an answer is neither JSON nor events, and so has nothing that we read.
fn is_raw(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    !["application/json", "text/event-stream"].iter().any(|read| essence.eq_ignore_ascii_case(read))
}

/// How long an attempt may be waited for, and what it means when it is not done by then.
pub(crate) struct Patience {
    /// Until when.
    pub until: Instant,
    /// What it means then.
    pub late: FaultClass,
}

/// A wait that ended without what was waited for.
pub(crate) enum Interrupted {
    Late(FaultClass),
    Gone,
}

impl Patience {
    /// Waits for something.
    pub async fn wait<T>(&self, client: &mut Waiting, what: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            done = timeout_at(self.until, what) => done.map_err(|_| Interrupted::Late(self.late)),
            () = client.gone() => Err(Interrupted::Gone),
        }
    }
}

impl Interrupted {
    /// The failure of an attempt of which this much was seen.
    pub fn failure(self, seen: Option<Seen>) -> Failure {
        match self {
            Interrupted::Late(class) => {
                Failure::Fault(Fault::new(class, "the provider took too long"), seen.map(Box::new))
            }
            Interrupted::Gone => Failure::Gone(seen.map(Box::new)),
        }
    }
}

/// An answer that is an error: its body says which.
pub(crate) async fn refused(
    spoken: wire::Dialect,
    response: http::Response<Incoming>,
    client: &mut Waiting,
) -> Failure {
    let status = response.status();
    let (head, mut body) = response.into_parts();
    let patience =
        Patience { until: Instant::now() + Duration::from_millis(ERROR_BODY_MS), late: FaultClass::ServerError };
    let mut bytes = Vec::new();
    // Of a packed error its status says what there is to know.
    let readable = packed(&head.headers).is_none();
    while readable && bytes.len() < ERROR_BODY_BYTES {
        match patience.wait(client, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                bytes.extend_from_slice(&data[..data.len().min(ERROR_BODY_BYTES - bytes.len())]);
            }
            Err(Interrupted::Gone) => return Failure::Gone(None),
            Ok(None | Some(Err(_))) | Err(Interrupted::Late(_)) => break,
        }
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let fault = match status {
        // We follow no redirects: a provider that moved is a setting to mend, not a place to send a prompt.
        status if status.is_redirection() => Fault {
            status: Some(status.as_u16()),
            ..Fault::new(FaultClass::ModelMissing, "the provider answers with a redirect; mend its base_url")
        },
        StatusCode::SWITCHING_PROTOCOLS => Fault::new(FaultClass::Malformed, "the provider switched protocols"),
        status => wire::errors::upstream_fault(spoken, status.as_u16(), &header, &bytes),
    };
    Failure::Fault(fault, None)
}

/// Reads a whole answer within its bound.
pub(crate) async fn whole(
    incoming: &mut Incoming,
    client: &mut Waiting,
    patience: &Patience,
) -> Result<Bytes, Failure> {
    let mut first: Option<Bytes> = None;
    let mut all: Vec<u8> = Vec::new();
    loop {
        match patience.wait(client, incoming.frame()).await {
            Err(end) => return Err(end.failure(Some(Seen::default()))),
            Ok(Some(Err(error))) => {
                let fault = Fault::new(FaultClass::Reset, sentence(&error));
                return Err(Failure::Fault(fault, Some(Box::default())));
            }
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if first.is_none() && all.is_empty() {
                    first = Some(data);
                    continue;
                }
                if let Some(first) = first.take() {
                    all.extend_from_slice(&first);
                }
                let needed = all.len() + data.len();
                if needed > WHOLE_ANSWER_BYTES {
                    let fault = Fault::new(FaultClass::Malformed, "the answer is longer than 64 MiB");
                    return Err(Failure::Fault(fault, Some(Box::default())));
                }
                if needed > all.capacity() {
                    // Doubled as usual, but no room is made for more than is taken.
                    all.reserve_exact((needed * 2).min(WHOLE_ANSWER_BYTES) - all.len());
                }
                all.extend_from_slice(&data);
            }
            Ok(None) => return Ok(first.unwrap_or_else(|| all.into())),
        }
    }
}
