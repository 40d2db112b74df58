//! What has to be ready before an attempt is sent: the candidates, their deadlines, the request in the provider's words, and the hold.

use config::{Model, Timeouts, Workflow};
use domain::{Fault, LaneName};
use routing::{Bought, Candidate, LaneIndex, ModelIndex, Route};
use wire::{Ask, Maker, Operation, Outgoing};

use crate::after::After;
use crate::bound::{Bound, scopes_at};
use crate::budgets::{Held, Pick};
use crate::call::Call;
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::{Deployed, Size, Slot};
use crate::protect::Protected;
use crate::provisioned::Taken;
use crate::refusal::Refusal;
use crate::warm::PromptPrint;

/// What a dialect that demands a cap is given when the client named none, tokens.
pub const OUTPUT_CAP_WHERE_ONE_IS_DEMANDED: u64 = 4_096;

/// What is left of a provider's quota to each class of calls that is more critical, percent of its limit.
const LEFT_TO_EACH_CLASS_PERCENT: usize = 10;
/// The most that the least critical leave, percent.
const MOST_LEFT_PERCENT: u8 = 20;

/// What is to be known of a call before its first hop: what moves it, and that it came.
pub(crate) fn begin(gateway: &Gateway, deployed: &Deployed, call: &Protected, route: &mut Route, seed: u64) {
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
pub(crate) fn print_of(gateway: &Gateway, call: &Protected) -> Option<PromptPrint> {
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
pub(crate) fn taken_room(
    deployed: &Deployed,
    call: &Protected,
    model: ModelIndex,
    slot: &Slot,
    size: &Size,
) -> Option<Taken> {
    if !deployed.provisioned.serves(model) {
        return None;
    }
    let workflow = call.call().target.workflow().map(|workflow| &workflow.name);
    deployed.provisioned.take(model, slot.expected_tokens(workflow, size), clock::now())
}

/// How large the call is.
pub(crate) fn size(deployed: &Deployed, call: &Protected) -> Size {
    let head = &call.call().head;
    let name = call.call().target.workflow().map(|workflow| &workflow.name);
    let mut models = call.lanes().iter().flat_map(|(_, models)| models);
    let typical_output = models.find_map(|index| deployed.slots[*index].output_mean(name));
    let leaves_percent = leaves_percent(call);
    let (prompt_bytes, max_output, units) = (head.prompt_bytes, head.max_output, head.units);
    Size { prompt_bytes, max_output, typical_output, units, leaves_percent }
}

/// What a call leaves of a quota to those that matter more: a tenth of the limit for each class that is more critical. A call that
/// named a lane or a model belongs to no class, and comes last.
fn leaves_percent(call: &Protected) -> u8 {
    let classes = call.snapshot().criticality.len();
    let workflow = call.call().target.workflow();
    let before = workflow.map_or(classes.saturating_sub(1), |workflow| workflow.criticality_index);
    u8::try_from(before * LEFT_TO_EACH_CLASS_PERCENT).unwrap_or(u8::MAX).min(MOST_LEFT_PERCENT)
}

/// The candidates in lane order, each with what it should cost.
pub(crate) fn candidates(
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

/// The lane, unless the call named a model directly.
pub(crate) fn lane_name(candidate: &Candidate) -> Option<LaneName> {
    (candidate.lane_name.as_str() != DIRECT).then(|| candidate.lane_name.clone())
}

/// How long the call may take as a whole: the longest any of its models allows, unless the workflow says.
pub(crate) fn longest_ms(deployed: &Deployed, call: &Protected) -> u64 {
    let workflow = call.call().target.workflow();
    let models = call.lanes().iter().flat_map(|(_, models)| models);
    let longest = models.map(|index| timeouts(deployed.model(*index), workflow.map(|w| &**w)).total_ms).max();
    longest.unwrap_or(600_000)
}

/// The deadlines of one attempt: the workflow's where it sets any, else the provider's.
pub(crate) fn timeouts(model: &Model, workflow: Option<&Workflow>) -> Timeouts {
    let provider = model.provider.timeouts;
    workflow.map_or(provider, |workflow| workflow.deadlines.over(provider))
}

/// Reserves the bound on every budget that applies, and room at the model. Where another model is left, a call does not wait for that.
pub(crate) async fn hold(
    gateway: &Gateway,
    call: &Protected,
    bound: &Bound,
    model: &Model,
    pick: Pick,
    is_last: bool,
) -> Result<Held, Refusal> {
    let scopes = scopes_at(call, model, bound.likely_tokens);
    if !bound.under.any {
        return Ok(gateway.budgets.note(scopes));
    }
    if bound.cost.is_none() && bound.under.hard_money {
        let scope = gateway.budgets.hard_money(&scopes);
        let scope = scope.map_or_else(|| "a scope".to_owned(), |scope| scope.to_string());
        return Err(Refusal::Unpriced { model: model.name.clone(), scope });
    }
    let spend = bound.spend(model, call.call().call.at);
    gateway.budgets.hold_patiently(scopes, spend, pick, is_last).await.map_err(|spent| {
        if !spent.is_of_model() {
            gateway.metrics.budget_refusals.inc();
        }
        Refusal::Budget(spent)
    })
}

/// The request in the words of the model's provider.
pub(crate) fn translate(
    call: &Protected,
    model: &Model,
    bound: &Bound,
    maker: Maker,
    foreign: bool,
    after: Option<&After>,
) -> Result<Outgoing, Fault> {
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
    let upstream = model.provider.dialect_for(admitted.dialect);
    if let Some(After { going_on, said_tokens, .. }) = after {
        return going_on.outgoing(admitted.dialect, &admitted.call.body, upstream, &ask, *said_tokens);
    }
    wire::outgoing(admitted.dialect, admitted.operation, &admitted.call.body, &admitted.head, upstream, &ask)
}
