//! The life of a call on one screen: admit, protect, cache, attempt, relay, settle. Each stage takes what the one before made,
//! so a skipped stage does not compile.

use std::fmt::Write;
use std::sync::Arc;

use domain::record::CallFailure;
use domain::{CallId, Entry, Meter};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use wire::errors::{ClientError, Retry};
use wire::{Dialect, Framing, Operation};

use crate::admit::{admit, correct_limits, take_limits};
use crate::answered::{Answer, Answered};
use crate::attempt::attempt;
use crate::cache::replay::Given;
use crate::cache::stage as cache;
use crate::call::Call;
use crate::clock;
use crate::continuation::go_on;
use crate::count::counted_by_us;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::endpoints::Serves;
use crate::kept::own::is_own;
use crate::metrics::{CallLabels, Label};
use crate::protect::{Protected, protect};
use crate::realtime::session::converse;
use crate::refusal::Refusal;
use crate::relay::{Passed, RelayEnd, Relayed, relay, relay_on};
use crate::reply::{ReplyBody, Waiting};
use crate::settle::{Attempt, Ending, settle};
use crate::spool::Kept;
use crate::target::Target;
use crate::topup::TopUp;
use crate::trail::Trail;

/// Lives one call from its bytes to its booking. Runs to its end whatever the client does.
pub async fn live(
    gateway: Arc<Gateway>,
    deployed: Arc<Deployed>,
    call: Call,
    dialect: Dialect,
    operation: Operation,
    client: Waiting,
    trail: &mut Trail,
) {
    // Boxed, and each gone before the next: a call's future is as large as the largest thing it may wait for, finding an answer
    // needs more room than passing it on, and thousands of calls stream at a time.
    let reached = Box::pin(reach(&gateway, &deployed, call, (dialect, operation), client, trail)).await;
    let Some(reached) = reached else { return };
    match reached.answered.socket {
        Some(_) => Box::pin(hold_conversation(&gateway, reached, trail)).await,
        None => Box::pin(pass_on(&gateway, &deployed, reached, trail)).await,
    }
}

/// A call for which an answer was found.
struct Reached {
    protected: Protected,
    answered: Answered,
    client: Waiting,
    id: String,
    /// What the client is told errors in.
    errors: Dialect,
    /// How its answer begins.
    head: http::response::Builder,
}

/// Takes a call as far as an answer. A call that gets none is told so here.
async fn reach(
    gateway: &Gateway,
    deployed: &Deployed,
    call: Call,
    (dialect, operation): (Dialect, Operation),
    client: Waiting,
    trail: &mut Trail,
) -> Option<Box<Reached>> {
    let (id, framing) = (call.id, call.framing);
    let errors = framing.errors_of(dialect);
    trail.key = Some(call.key.grant.id.clone());
    let admitted = match admit(call, dialect, operation, &deployed.snapshot, &gateway.seals) {
        Ok(mut admitted) => match take_limits(&gateway.budgets, &mut admitted).await {
            Ok(()) => Ok(admitted),
            Err(refusal) => Err(Box::new((admitted.call, refusal))),
        },
        Err(refused) => Err(refused),
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refused) => {
            let (call, refusal) = *refused;
            trail.request(&call.body, None);
            trail.note("admit", "refused");
            refuse(gateway, trail, client, id, errors, refusal).await;
            return None;
        }
    };
    let workflow = admitted.target.workflow().cloned();
    trail.asked.clone_from(&admitted.asked);
    trail.workflow = workflow.as_ref().map(|workflow| workflow.name.clone());
    trail.stream = admitted.head.stream;
    trail.request(&admitted.call.body, workflow.as_ref().and_then(|workflow| workflow.capture.as_ref()));
    trail.note("admit", admission(&admitted));

    let protected = match protect(admitted, deployed.snapshot.clone()) {
        Ok(protected) => protected,
        Err((admitted, refusal)) => {
            correct_limits(&gateway.budgets, &admitted, 0);
            trail.note("protect", refusal.to_string());
            refuse(gateway, trail, client, id, errors, refusal).await;
            return None;
        }
    };
    if let Some(note) = protected.note() {
        trail.note("protect", note);
    }

    let mut client = match cache::serve(gateway, &protected, client, trail).await {
        Ok(client) => client,
        Err(given) => {
            Box::pin(give(gateway, given, (&id.to_string(), errors), trail)).await;
            return None;
        }
    };

    match attempt(gateway, deployed, &protected, &mut client, trail).await {
        Ok(answered) => {
            trail.lane = answered.attempt.intent.lane.clone().map(|lane| (lane, answered.attempt.candidate.class));
            trail.model = Some(answered.attempt.intent.model.clone());
            trail.note("attempt", &*answered.attempt.decision);
            let id = id.to_string();
            let head = answer_head(&id, &answered, errors, protected.call(), framing);
            let head = cache::tell(head, trail);
            Some(Box::new(Reached { protected, answered, client, id, errors, head }))
        }
        Err(refusal) => {
            correct_limits(&gateway.budgets, protected.call(), trail.tokens_used);
            if let Some(estimate) = counted_by_us(gateway, deployed, &protected, &refusal).await {
                trail.note("attempt", estimate.note);
                let call = id.to_string();
                let head = head(&call, StatusCode::OK, "application/json")
                    .header("freehold-estimated", "input_tokens")
                    .header("freehold-estimated-error-percent", estimate.error_percent);
                let response =
                    head.body(ReplyBody::whole(estimate.body)).expect("status and headers are ours and valid");
                finish(gateway, trail, Vec::new(), 200, None).await;
                let _ = client.send(response);
                return None;
            }
            refuse(gateway, trail, client, id, errors, refusal).await;
            None
        }
    }
}

/// Writes down a call that was answered with what was kept, and only then lets the client have its end.
async fn give(gateway: &Gateway, mut given: Given, (id, errors): (&str, Dialect), trail: &mut Trail) {
    if let Some(shown) = given.parting.show() {
        shown.await;
    }
    let status = if given.is_gone { 499 } else { 200 };
    let error = given.is_gone.then(|| Refusal::ClientGone.client_error(id, errors));
    finish(gateway, trail, Vec::new(), status, error).await;
    given.parting.deliver().await;
}

/// Lets a client and a provider talk, and books what was said.
async fn hold_conversation(gateway: &Gateway, mut reached: Box<Reached>, trail: &mut Trail) {
    let Some(socket) = reached.answered.socket.take() else { return };
    let Reached { protected, answered, client, id, errors, head } = *reached;
    let over = converse(gateway, &protected, answered.attempt, socket, client, head, &id, trail).await;
    // Tokens were taken from the key's limit response by response.
    correct_limits(&gateway.budgets, protected.call(), 0);
    let error = over.failure.as_ref().map(|refusal| refusal.client_error(&id, errors));
    let status = if matches!(over.failure, Some(Refusal::ClientGone)) { 499 } else { 101 };
    let facts = over.record.into_iter().map(|record| Entry::Record(Box::new(record))).collect();
    finish(gateway, trail, facts, status, error).await;
    over.parting.deliver().await;
}

/// Passes an answer on to the client, and books it.
async fn pass_on(gateway: &Gateway, deployed: &Deployed, reached: Box<Reached>, trail: &mut Trail) {
    let Reached { protected, answered, client, id, errors, head } = *reached;
    let top_up = |attempt: &Attempt| {
        attempt.part.map(|part| {
            let model = deployed.model(attempt.candidate.model).clone();
            TopUp::new(part, model, attempt.slot.clone(), protected.call().call.at)
        })
    };
    let framing = protected.call().call.framing;
    let more = (&gateway.budgets, top_up(&answered.attempt));
    let mut passed = relay(more, answered, client, head, errors, &id, trail).await;
    let relayed = loop {
        let broken = match passed {
            Passed::Over(relayed) => break relayed,
            Passed::Broken(broken) => broken,
        };
        // Boxed: few answers break off, and finding another model needs more room than passing an answer on.
        let spoken = (&*id, errors, framing);
        let found = Box::pin(go_on(gateway, deployed, &protected, *broken, spoken, trail)).await;
        passed = match found {
            Ok(resumed) => {
                let more = (&gateway.budgets, top_up(&resumed.answered.attempt));
                relay_on(more, resumed, errors, &id, trail).await
            }
            Err(relayed) => break relayed,
        };
    };
    book(gateway, &protected, relayed, (&id, errors), trail).await;
}

/// Books what was passed on, and only then lets the client have its end.
async fn book(
    gateway: &Gateway,
    protected: &Protected,
    relayed: Box<Relayed>,
    (id, errors): (&str, Dialect),
    trail: &mut Trail,
) {
    let Relayed { attempt, seen, end, mut parting } = *relayed;
    // Before what it cost is written down: of an answer that stands in the books nothing is asked again.
    if let Some(shown) = parting.show() {
        shown.await;
    }
    let ending = match &end {
        RelayEnd::Served => Ending::Served(&seen),
        RelayEnd::Failed(fault, _) => Ending::Failed { fault, seen: Some(&seen), after_content: true },
        RelayEnd::Gone => Ending::Cancelled(Some(&seen)),
        RelayEnd::Spent(_) => Ending::Spent(&seen),
    };
    let mut facts = Vec::with_capacity(2);
    if let Some(attempt) = attempt {
        let record = settle(&gateway.books(), protected, attempt, trail, &ending).await;
        trail.tokens_used += record.usage.input_tokens() + record.usage.output_tokens();
        if let (RelayEnd::Served, Some(keeping)) = (&end, trail.keeping.take()) {
            Box::pin(cache::keep(gateway, protected, keeping, &record, &seen, trail)).await;
        }
        facts.push(Entry::Record(Box::new(record)));
    }
    correct_limits(&gateway.budgets, protected.call(), trail.tokens_used);
    let failure = match end {
        RelayEnd::Served => None,
        RelayEnd::Failed(_, refusal) | RelayEnd::Spent(refusal) => Some(refusal),
        RelayEnd::Gone => Some(Refusal::ClientGone),
    };
    let status = if matches!(failure, Some(Refusal::ClientGone)) { 499 } else { 200 };
    let error = failure.as_ref().map(|refusal| refusal.client_error(id, errors));
    finish(gateway, trail, facts, status, error).await;
    parting.deliver().await;
}

/// Writes the end of a call down, together with what else became true.
pub async fn finish(
    gateway: &Gateway,
    trail: &mut Trail,
    facts: Vec<Entry>,
    status: u16,
    failure: Option<ClientError>,
) {
    let failure = failure.map(|error| CallFailure { code: error.code, blame: error.blame, message: error.message });
    let kept = write_end(gateway, trail, facts, status, failure);
    gateway.spool.confirm(kept).await;
}

/// Writes it without waiting for the disk; what to wait for is returned.
pub fn write_end(
    gateway: &Gateway,
    trail: &mut Trail,
    mut facts: Vec<Entry>,
    status: u16,
    failure: Option<CallFailure>,
) -> Kept {
    let workflow = Label(trail.workflow.clone().unwrap_or_else(|| "(direct)".into()));
    let seconds = trail.elapsed_seconds();
    // A whole answer has no first token to wait for.
    if let Some(ms) = trail.first_token_ms.filter(|_| trail.stream) {
        // Exact enough for a histogram.
        gateway.metrics.first_token_seconds.observe(ms as f64 / 1000.0);
    }
    let endpoint = trail.endpoint();
    let end = trail.end(status, failure, clock::now());
    gateway.metrics.call_seconds.observe(seconds);
    gateway.metrics.calls.get_or_create(&CallLabels { workflow, endpoint, status }).inc();
    facts.push(Entry::Call(Box::new(end)));
    let kept = gateway.spool.keep(&facts);
    trail.written();
    gateway.metrics.spool_dropped_bytes.set(gateway.spool.dropped_bytes());
    kept
}

/// Refuses a call of a known key: written down, then told.
pub async fn refuse(
    gateway: &Gateway,
    trail: &mut Trail,
    mut client: Waiting,
    id: CallId,
    dialect: Dialect,
    refusal: Refusal,
) {
    let error = refusal.client_error(&id.to_string(), dialect);
    let response = error_response(dialect, &error);
    if let Some(shown) = client.show(&response) {
        shown.await;
    }
    if let ReplyBody::Whole(Some(body)) = response.body() {
        trail.whole_answer(body);
    }
    finish(gateway, trail, Vec::new(), error.status, Some(error)).await;
    let _ = client.send(response);
}

/// The error as the client's dialect and SDK expect it.
pub fn error_response(dialect: Dialect, error: &ClientError) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = head(&error.call, status, "application/json");
    // Both official SDKs obey this header; without it they retry every 429 and 5xx by themselves.
    let retry = match error.retry {
        Retry::No => "false",
        Retry::Now => "true",
        Retry::After(ms) => {
            head = head.header("retry-after-ms", ms).header("retry-after", ms.div_ceil(1000).max(1));
            "true"
        }
    };
    if let Some((name, value)) = wire::errors::error_type(dialect, error) {
        head = head.header(name, value).header(X_AMZN_REQUESTID, &error.call);
    }
    head = head.header("x-should-retry", retry).header("freehold-error", &error.code);
    let body = ReplyBody::whole(wire::errors::error_body(dialect, error));
    head.body(body).expect("status and headers are ours and valid")
}

/// Names of the headers every answer has; made once, since checking a name letter by letter is work.
const CALL_ID: HeaderName = HeaderName::from_static("freehold-call-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Where AWS SDKs look for the identifier.
const X_AMZN_REQUESTID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// What answered.
pub const FREEHOLD_MODEL: HeaderName = HeaderName::from_static("freehold-model");
const FREEHOLD_LANE: HeaderName = HeaderName::from_static("freehold-lane");
/// The cap on the output that we put in, where the client named none.
const OUTPUT_CAP: HeaderName = HeaderName::from_static("freehold-output-cap");
/// What the events inside Bedrock's chunks are.
const INNER_CONTENT_TYPE: HeaderName = HeaderName::from_static("x-amzn-bedrock-content-type");
/// Headers an answer has at most, with what hyper adds.
const HEADERS: usize = 16;

/// The head of an answer, with what every one has.
pub fn head(call: &str, status: StatusCode, content_type: &'static str) -> http::response::Builder {
    let mut head = Response::builder().status(status);
    if let Some(headers) = head.headers_mut() {
        headers.reserve(HEADERS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let call = HeaderValue::from_str(call).expect("an identifier of ours is letters and digits");
        for name in [CALL_ID, X_REQUEST_ID] {
            headers.insert(name, call.clone());
        }
        headers.insert(REQUEST_ID, call);
    }
    head
}

fn answer_head(
    call: &str,
    answered: &Answered,
    errors: Dialect,
    admitted: &crate::admit::Admitted,
    framing: Framing,
) -> http::response::Builder {
    let attempt = &answered.attempt;
    let stream = admitted.head.stream.then_some(framing);
    let content_type = stream.map_or("application/json", Framing::content_type);
    let mut head = head(call, StatusCode::OK, content_type).header(FREEHOLD_MODEL, attempt.intent.model.as_str());
    if let (Some(raw), Some(headers)) = (&answered.content_type, head.headers_mut()) {
        headers.insert(CONTENT_TYPE, raw.clone());
    }
    if stream.is_some() {
        head = head.header("cache-control", "no-cache").header("x-accel-buffering", "no");
    }
    if errors == Dialect::BedrockConverse {
        head = head.header(X_AMZN_REQUESTID, call);
    }
    if let (Serves::Invocation, Answer::Whole { seen, .. }) = (admitted.call.endpoint.serves, &answered.answer)
        && let Some(usage) = seen.usage
    {
        head = head
            .header(wire::invoke::INPUT_COUNT, usage.get(Meter::Input))
            .header(wire::invoke::OUTPUT_COUNT, usage.output_tokens());
    }
    if let (Some(_), Serves::Invocation) = (stream, admitted.call.endpoint.serves) {
        head = head.header(INNER_CONTENT_TYPE, "application/json");
    }
    if let Some(lane) = &attempt.intent.lane {
        head = head.header(FREEHOLD_LANE, lane.as_str());
    }
    let seen_losses = match &answered.answer {
        Answer::Whole { seen, .. } => &seen.losses[..],
        Answer::Stream { relay, .. } => &relay.seen().losses[..],
    };
    let mut losses: Vec<_> = attempt.losses.iter().chain(seen_losses).cloned().collect();
    if let Answer::Whole { seen, .. } = &answered.answer {
        losses.extend(attempt.cut_by_us(seen));
    }
    if let Some(cap) = attempt.our_cap {
        head = head.header(OUTPUT_CAP, cap);
    }
    if let Some(losses) = wire::errors::loss_header(&losses) {
        head = head.header("freehold-loss", losses);
    }
    head
}

fn admission(admitted: &crate::admit::Admitted) -> String {
    let key = &admitted.call.key.grant.id;
    let mut note = String::with_capacity(96);
    let written = match &admitted.target {
        Target::Workflow(workflow) if workflow.name.as_str() != admitted.asked => {
            write!(note, "`{}` is an alias of workflow `{}`, by key `{key}`", admitted.asked, workflow.name)
        }
        Target::Workflow(workflow) => write!(note, "workflow `{}`, by key `{key}`", workflow.name),
        Target::Lane(lane) => write!(note, "lane `{}`, named directly, by key `{key}`", lane.name),
        Target::Model(model) => write!(note, "model `{}`, named directly, by key `{key}`", model.name),
    };
    written.expect("a string takes all that is written");
    if let Some(batch) = admitted.call.session.as_ref().filter(|session| is_own(session.as_str())) {
        note.push_str(", a request of batch ");
        note.push_str(batch.as_str());
    }
    note
}
