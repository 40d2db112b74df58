//! Every way a call can fail on its way through, and what the client is told: status, stable code, who is to blame,
//! whether trying again helps, whether it was billed, and what to do next.

use domain::{Blame, CallId, Fault, Loss, LossKind, ModelName};
use ledger::{Gate, Measure, Period};
use thiserror::Error;
use wire::Dialect;
use wire::errors::{ClientError, Retry};
use wire::kept::{Kind, Thing};

use crate::budgets::Spent;
use crate::judged::Unjudgeable;
use crate::keys::KeyRefusal;

/// Losses an error names one by one; of more it says how many.
const LOSSES_NAMED: usize = 20;

/// Why a call was refused or failed.
#[derive(Debug, Error)]
pub enum Refusal {
    /// No such route.
    #[error("there is no route {method} {path}; see docs/endpoints.md for what this gateway speaks")]
    NoRoute {
        /// The method asked.
        method: String,
        /// The path asked.
        path: String,
    },
    /// The route takes another method.
    #[error("{path} takes {takes}, not {method}")]
    WrongMethod {
        /// The method asked.
        method: String,
        /// The path asked.
        path: String,
        /// What it takes.
        takes: String,
    },
    /// The key was not accepted.
    #[error("{}", key_sentence(*.0))]
    Key(KeyRefusal),
    /// The credential header is no text, or of another scheme.
    #[error("the credential could not be read; send `Authorization: Bearer fh_…` or `x-api-key: fh_…`")]
    CredentialUnreadable,
    /// Two credentials that differ.
    #[error("two different credentials were sent; send one of `Authorization`, `x-api-key` and `x-goog-api-key`")]
    CredentialsConflict,
    /// The request line and headers are too long.
    #[error(
        "the request's head is longer than {limit} bytes; send shorter headers, or raise `[server] max_header_bytes`"
    )]
    HeadTooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// An HTTP/1.1 request that does not say for which host it is, or says it in more than one way (RFC 9112, 3.2).
    #[error("the request has {0}; send exactly one `Host` header that names this gateway")]
    Host(&'static str),
    /// It expects what no server here does (RFC 9110, 10.1.1).
    #[error("`Expect: {0}` cannot be met; send `100-continue`, or no such header")]
    Expectation(String),
    /// The body is too large.
    #[error("the body is larger than {limit} bytes; raise `max_body_bytes` under [server] or send less")]
    BodyTooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// The body came too slowly or broke off.
    #[error("the body did not arrive: {0}")]
    BodyLost(String),
    /// Chunks that are none: sent again, the same bytes would be refused again.
    #[error("the body is cut into chunks that HTTP does not know: {0}")]
    BodyBroken(String),
    /// A compressed body.
    #[error("the body is encoded as `{0}`; send it without Content-Encoding")]
    BodyEncoded(String),
    /// Not JSON.
    #[error("the body is of type `{0}`; send `Content-Type: application/json`")]
    BodyType(String),
    /// No form where one is needed.
    #[error("the body is of type `{0}`; send `Content-Type: multipart/form-data` with one boundary")]
    NoForm(String),
    /// Neither the body nor a header names a workflow, and the key may use several.
    #[error(
        "the request names no model; write a workflow into `model` or send it as the header `freehold-workflow`; {0}"
    )]
    Unnamed(String),
    /// An answer that cannot be judged.
    #[error("{}", unjudged_sentence(*.call, *.why))]
    NotJudged {
        /// The call it answered.
        call: CallId,
        /// Why.
        why: Unjudgeable,
    },
    /// The body is not what the dialect asks for.
    #[error("{message}")]
    Body {
        /// What is wrong, where, and what to do.
        message: String,
        /// The field, where one is to blame.
        param: Option<String>,
    },
    /// `model` names nothing.
    #[error("`{asked}` names no workflow, alias, lane:NAME or model:NAME here; {hint}")]
    UnknownModel {
        /// What was asked for.
        asked: String,
        /// What the key may name.
        hint: String,
    },
    /// The key may not use it.
    #[error("key `{key}` may not use `{asked}`; ask for a key that lists it, or create one with `freehold key create`")]
    NotAllowed {
        /// The key's public half.
        key: String,
        /// What was asked for.
        asked: String,
    },
    /// A limit of the key.
    #[error(
        "key `{key}` is over its limit of {limit} {unit} a minute: {used} used in the last minute on all instances together; \
         try again in {wait_ms} ms"
    )]
    Limit {
        /// The key's public half.
        key: String,
        /// The limit.
        limit: u64,
        /// Requests or tokens.
        unit: &'static str,
        /// How many were used in the last minute, as far as this instance knows.
        used: u64,
        /// When there is room again, milliseconds.
        wait_ms: u64,
    },
    /// A budget is spent.
    #[error("{}", budget_sentence(.0))]
    Budget(Box<Spent>),
    /// A hard budget applies, and the model has no price.
    #[error(
        "model `{model}` has no price and {scope} has a budget; give `price` under [models.{model}] or run without budget"
    )]
    Unpriced {
        /// The model.
        model: ModelName,
        /// Whose budget.
        scope: String,
    },
    /// Every model would be told less than the client said, and the workflow refuses this.
    #[error("{}", lossy_sentence(.0))]
    Lossy(Box<Lossy>),
    /// An id that names nothing this key may have.
    #[error(
        "`{id}` is no {kind} that this key can use: it was made by another key, through a model or provider that is no longer \
         configured, or not here, or it is kept nowhere (as answers that were translated are); an earlier answer can also be sent \
         as items of `input`"
    )]
    NotKept {
        /// What was meant.
        kind: Kind,
        /// As it was written.
        id: String,
    },
    /// The provider has it no more.
    #[error("provider `{provider}` has no such {what} (any more): {said}")]
    Gone {
        /// What was meant.
        what: &'static str,
        /// Whose it was.
        provider: String,
        /// What the provider says.
        said: String,
    },
    /// A call names something of a provider that its workflow does not use.
    #[error(
        "the {kind} it names lies at provider `{provider}`, which no model of `{asked}` inside its residency uses; ask for what it \
         was made with, or make it anew for `{asked}`"
    )]
    KeptElsewhere {
        /// What it names.
        kind: Kind,
        /// Where that lies.
        provider: String,
        /// What was asked for.
        asked: String,
    },
    /// The provider, or whoever hosts its model, keeps nothing of the kind.
    #[error(
        "no {what} can be kept for this workflow: {why}; name another one by the header `freehold-workflow`, or send what the {what} \
         holds in the request"
    )]
    KeepsNone {
        /// What was to be kept.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// A request names something a provider keeps by an id that Freehold did not give out.
    #[error(
        "`{id}` is the provider's own id of a {thing}, so nobody can tell whose it is: upload files at POST /v1/files, or send the \
         content in the request; what lies in the provider's account and all may name passes where its entry says \
         `shared_files = true`"
    )]
    Unsealed {
        /// What it names.
        thing: Thing,
        /// As it was written.
        id: String,
    },
    /// The store that keeps Freehold's own batches is away.
    #[error("the store that keeps Freehold's own files and batches is away, and nothing was changed: {0}; try again")]
    BatchesAway(String),
    /// A key has too much kept.
    #[error(
        "key `{key}` would have more than {most_bytes} bytes of files kept; delete some at DELETE /v1/files/{{id}}"
    )]
    TooMuchKept {
        /// The key's public half.
        key: String,
        /// How much it may have.
        most_bytes: u64,
    },
    /// A request names things of several providers.
    #[error(
        "the request names things that lie at different providers, and no one provider has them all; upload them to one"
    )]
    Scattered,
    /// A hard budget applies, and the model has no price of batches.
    #[error(
        "model `{model}` has no price of batches and {scope} has a budget; give `price` with a `tier` batch under [models.{model}], or \
         run without budget"
    )]
    UnpricedBatch {
        /// The model.
        model: ModelName,
        /// Whose budget.
        scope: String,
    },
    /// A hard budget of tokens applies, and nobody knows beforehand how many this uses.
    #[error(
        "nobody knows beforehand how many tokens this uses ({what}), and {scope} has a budget of tokens that refuses; have that budget \
         only told of (`notify`), or use a key or workflow without one"
    )]
    UncountedTokens {
        /// What it is.
        what: &'static str,
        /// Whose budget.
        scope: String,
    },
    /// A hard budget applies, and the model has no price of requests.
    #[error(
        "model `{model}` has no price of requests and {scope} has a budget; give `price` with `requests` under [models.{model}], or run \
         without budget"
    )]
    UnpricedRequest {
        /// The model.
        model: ModelName,
        /// Whose budget.
        scope: String,
    },
    /// A path that Freehold has no route for, and that might be read in two ways.
    #[error(
        "there is no route {0}, and it cannot be passed on: send a path of plain segments, without `%`, `//`, `.`, `..` or a slash at \
         the end"
    )]
    PathUnclear(String),
    /// A path that Freehold has no route for, and no provider is passed such requests.
    #[error(
        "there is no route {method} {path}; see docs/endpoints.md for what this gateway speaks. Where `passthrough = true` stands under \
         the [providers.NAME] of a workflow's model, requests of other routes below /v1/ are passed on to it"
    )]
    NoPassthrough {
        /// The method asked.
        method: String,
        /// The path asked.
        path: String,
    },
    /// A path or method that is passed to no provider, whatever its entry says.
    #[error(
        "{method} {path} is passed to no provider: what gives out keys or runs the provider's account would lead past Freehold; ask the \
         provider itself, with a key of yours"
    )]
    NeverPassed {
        /// The method asked.
        method: String,
        /// The path asked.
        path: String,
    },
    /// A budget had no more for an answer that was under way.
    #[error("the answer was ended here because {}", budget_sentence(.0))]
    BudgetCut(Box<Spent>),
    /// No model may take it.
    #[error("no model may take this call: {why}")]
    NoCandidate {
        /// Why.
        why: String,
    },
    /// A GET of an address that is a WebSocket.
    #[error(
        "this address speaks WebSocket (RFC 6455, version 13); send `Upgrade: websocket`, `Sec-WebSocket-Version: 13` and \
         `Sec-WebSocket-Key`"
    )]
    NoSocket,
    /// A key of the provider's was asked for.
    #[error(
        "Freehold gives out no key of a provider and passes no WebRTC or SIP call on, since what is said there goes past budgets, limits \
         and records; connect \
         to /v1/realtime with a Freehold key, in `Authorization` or, from a browser, in the subprotocol \
         `openai-insecure-api-key.KEY`"
    )]
    EphemeralKey,
    /// A session in which nothing was said for too long.
    #[error("nothing was said for {limit_ms} ms; connect again, or raise `[server] realtime_idle_ms`")]
    SessionIdle {
        /// How long a session may be silent, milliseconds.
        limit_ms: u64,
    },
    /// A session that lasted too long.
    #[error("the session has lasted {limit_ms} ms; connect again, or raise `[server] realtime_total_ms`")]
    SessionTooLong {
        /// How long a session may last, milliseconds.
        limit_ms: u64,
    },
    /// An event that could not be taken.
    #[error("an event of the session was not taken: {why}; send text or sound of at most 16 MiB in one event")]
    SessionEvent {
        /// What is wrong with it.
        why: String,
    },
    /// Every way was tried.
    #[error("{}", exhausted_sentence(.fault, .why))]
    Upstream {
        /// The last fault.
        fault: Fault,
        /// What was tried.
        why: String,
        /// When trying again may help, milliseconds.
        retry_after_ms: Option<u64>,
        /// Whether any attempt was billed.
        billed: bool,
    },
    /// The client went away.
    #[error("the client went away")]
    ClientGone,
    /// Too many calls at once.
    #[error(
        "{limit} calls are in flight, the most this instance takes; try again shortly or raise `max_calls_in_flight`"
    )]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// Shutting down.
    #[error("this instance is shutting down; send the call to another one")]
    Draining,
    /// The spool cannot be written: what is not written down is not sent.
    #[error("the spool cannot be written ({0}); calls are refused until the disk takes writes again")]
    Spool(String),
    /// A defect of ours.
    #[error("a defect in Freehold: {0}; please report it with this call's id")]
    Defect(String),
}

/// A model that would have been told less than the client said, under a workflow that refuses this.
#[derive(Clone, Debug)]
pub struct Lossy {
    /// Which model.
    pub model: ModelName,
    /// What the client speaks.
    pub client: Dialect,
    /// What would have been lost, at least one thing.
    pub losses: Vec<Loss>,
}

fn unjudged_sentence(call: CallId, why: Unjudgeable) -> String {
    match why {
        Unjudgeable::NothingPromised => {
            "no lane counts judged answers; give one `slo = { judged_good = \"95%\" }` in freehold.toml".to_owned()
        }
        Unjudgeable::NotKnown => format!(
            "{call} is no answer that this key may judge: judge whole answers of lanes with `judged_good`, with the key that \
             asked, within a day, at the instance that answered and while that runs"
        ),
    }
}

fn key_sentence(refusal: KeyRefusal) -> String {
    match refusal {
        KeyRefusal::Missing => "no key was sent; send `Authorization: Bearer fh_…` or `x-api-key: fh_…`".into(),
        KeyRefusal::Conflicting => "two different credentials were sent; send one".into(),
        KeyRefusal::Unknown => "this key is not known here; create one with `freehold key create`".into(),
        KeyRefusal::Stale => {
            "the request was not signed within 15 minutes of this server's clock; set the clock".into()
        }
        KeyRefusal::Expired(at) => format!("this key expired on {at}; create a new one with `freehold key create`"),
        KeyRefusal::Revoked(at) => format!("this key was revoked on {at}; create a new one with `freehold key create`"),
    }
}

/// Which budget, how it stands, and what to do: whoever reads it need not look anything up.
fn budget_sentence(spent: &Spent) -> String {
    let Spent { budget, short, .. } = spent;
    if !short.measure.is_of_usage() || spent.is_of_model() {
        return limit_sentence(spent);
    }
    let shown = |amount| short.measure.shown(amount);
    let (scope, per) = (&budget.scope, &budget.window);
    let stands = format!(
        "{} of {} booked, {} held for calls in flight, this call may take up to {}",
        short.measure.figure(short.settled),
        shown(short.limit),
        shown(short.held),
        shown(short.asked)
    );
    let state = match short.gate {
        Gate::Approval => "needs an approval to go on",
        Gate::Slice => "has no more for this instance at the moment",
        Gate::Limit if short.only_reserved => "is reserved by calls in flight",
        Gate::Limit => "is spent",
    };
    let remedy = match short.gate {
        Gate::Approval => {
            let (whose, measure) = (budget.scope.plain(), budget.measure.as_str());
            format!("approve more with `freehold budget approve \"{whose}\" --per \"{per}\" --measure {measure}`")
        }
        Gate::Slice => "try again in a moment".to_owned(),
        Gate::Limit if short.only_reserved => "try again in a moment".to_owned(),
        Gate::Limit => "raise the limit, or ask for fewer output tokens".to_owned(),
    };
    let resets = match (short.resets_at, per.period()) {
        (Some(at), Period::Rolling(_) | Period::Minute) => format!("or wait until enough has left the window, on {at}"),
        (Some(at), _) => format!("or wait until it starts anew on {at}"),
        (None, _) => "it never starts anew by itself".to_owned(),
    };
    format!("the budget of {scope} per {per} {state}: {stands}; {remedy}; {resets}")
}

/// The same of a limit on requests, or on calls at once.
fn limit_sentence(spent: &Spent) -> String {
    let Spent { budget, short, .. } = spent;
    let (scope, per, limit) = (&budget.scope, &budget.window, short.measure.shown(short.limit));
    let per = if short.measure == Measure::Calls { String::new() } else { format!(" per {per}") };
    let stands = match short.measure {
        Measure::Calls => format!("{} under way", short.held.0),
        _ => format!("{} counted, {} under way", short.settled.0, short.held.0),
    };
    let resets = match short.resets_at.filter(|_| !spent.may_pass_soon()) {
        Some(at) => format!("wait until {at}, or raise the limit"),
        None => "try again in a moment, or raise the limit".to_owned(),
    };
    let state = if short.gate == Gate::Slice { "has no more for this instance at the moment" } else { "is reached" };
    format!("the limit of {limit}{per} of {scope} {state}: {stands}; {resets}")
}

fn lossy_sentence(lossy: &Lossy) -> String {
    let Lossy { model, client, losses } = lossy;
    let mut said: Vec<String> = losses
        .iter()
        .take(LOSSES_NAMED)
        .map(|Loss { pointer, kind, reason }| {
            let what = match kind {
                LossKind::Dropped => "dropped",
                LossKind::Approximated => "approximated",
            };
            format!("{pointer} {what}: {reason}")
        })
        .collect();
    if losses.len() > LOSSES_NAMED {
        said.push(format!("and {} more", losses.len() - LOSSES_NAMED));
    }
    format!(
        "no model of this workflow can be told all of this request, and its `on_loss` is `refuse`; of them `{model}` would lose \
         least ({}); leave this out, add a model whose provider speaks {client}, or set `on_loss = \"report\"`",
        said.join("; ")
    )
}

fn exhausted_sentence(fault: &Fault, why: &str) -> String {
    let said = if fault.message.is_empty() { fault.class.to_string() } else { fault.message.clone() };
    match fault.class.blame() {
        Blame::Client => said,
        Blame::Us | Blame::Provider => format!("no provider answered: {said} ({why})"),
    }
}

/// What follows from a refusal: status, code, blame, retry.
struct Meaning {
    status: u16,
    code: String,
    blame: Blame,
    retry: Retry,
    param: Option<String>,
}

impl Refusal {
    /// What the client is told, in no dialect yet.
    pub fn client_error(&self, call: &str, dialect: Dialect) -> ClientError {
        if let Refusal::Upstream { fault, retry_after_ms, billed, .. } = self {
            let error = wire::errors::client_error(dialect, fault, call, *billed);
            // When another model is free again is for us to know; the fault knows only its own.
            let retry = match (error.retry, retry_after_ms) {
                (Retry::Now | Retry::After(_), Some(ms)) => Retry::After(*ms),
                (retry, _) => retry,
            };
            return ClientError { retry, ..error };
        }
        let Meaning { status, code, blame, retry, param } = self.meaning();
        let message = self.to_string();
        // An answer that was under way has used tokens.
        let billed = matches!(self, Refusal::BudgetCut(_));
        ClientError { status, code, message, blame, retry, billed, call: call.to_owned(), param }
    }

    fn meaning(&self) -> Meaning {
        let plain = |status: u16, code: &str, blame: Blame, retry: Retry| Meaning {
            status,
            code: code.to_owned(),
            blame,
            retry,
            param: None,
        };
        match self {
            Refusal::NoRoute { .. } => plain(404, "no_such_route", Blame::Client, Retry::No),
            Refusal::WrongMethod { .. } => plain(405, "wrong_method", Blame::Client, Retry::No),
            Refusal::Key(KeyRefusal::Missing) => plain(401, "key_missing", Blame::Client, Retry::No),
            Refusal::Key(KeyRefusal::Conflicting) => plain(400, "credentials_conflict", Blame::Client, Retry::No),
            Refusal::Key(KeyRefusal::Unknown) => plain(401, "key_unknown", Blame::Client, Retry::No),
            Refusal::Key(KeyRefusal::Stale) => plain(401, "signature_stale", Blame::Client, Retry::No),
            Refusal::Key(KeyRefusal::Expired(_)) => plain(401, "key_expired", Blame::Client, Retry::No),
            Refusal::Key(KeyRefusal::Revoked(_)) => plain(401, "key_revoked", Blame::Client, Retry::No),
            Refusal::CredentialUnreadable => plain(401, "credential_unreadable", Blame::Client, Retry::No),
            Refusal::CredentialsConflict => plain(400, "credentials_conflict", Blame::Client, Retry::No),
            Refusal::HeadTooLarge { .. } => plain(431, "head_too_large", Blame::Client, Retry::No),
            Refusal::Host(_) => plain(400, "host_unclear", Blame::Client, Retry::No),
            Refusal::Expectation(_) => plain(417, "expectation_unmet", Blame::Client, Retry::No),
            Refusal::BodyTooLarge { .. } => plain(413, "body_too_large", Blame::Client, Retry::No),
            Refusal::BodyLost(_) => plain(408, "body_lost", Blame::Client, Retry::Now),
            Refusal::BodyBroken(_) => plain(400, "body_broken", Blame::Client, Retry::No),
            Refusal::BodyEncoded(_) => plain(415, "body_encoded", Blame::Client, Retry::No),
            Refusal::NoForm(_) => plain(415, "body_type", Blame::Client, Retry::No),
            Refusal::Unnamed(_) => {
                Meaning { param: Some("model".into()), ..plain(400, "bad_request", Blame::Client, Retry::No) }
            }
            Refusal::BodyType(_) => plain(415, "body_type", Blame::Client, Retry::No),
            Refusal::Body { param, .. } => {
                Meaning { param: param.clone(), ..plain(400, "bad_request", Blame::Client, Retry::No) }
            }
            Refusal::NotJudged { .. } => plain(404, "call_not_judged", Blame::Client, Retry::No),
            Refusal::UnknownModel { .. } => {
                Meaning { param: Some("model".into()), ..plain(404, "model_not_found", Blame::Client, Retry::No) }
            }
            Refusal::NotAllowed { .. } => plain(403, "not_allowed", Blame::Client, Retry::No),
            Refusal::Limit { wait_ms, .. } => plain(429, "key_limit", Blame::Client, Retry::After(*wait_ms)),
            Refusal::Budget(spent) if spent.short.gate == Gate::Approval => {
                plain(429, "budget_needs_approval", Blame::Client, Retry::No)
            }
            // A limit on requests or calls passes by itself: it asks for patience, not for money.
            Refusal::Budget(spent) if !spent.short.measure.is_of_usage() || spent.is_of_model() => {
                let resets_at = spent.short.resets_at.filter(|_| !spent.may_pass_soon());
                let wait_ms = resets_at.map_or(1_000, |at| at.since(crate::clock::now()).max(1_000));
                plain(429, "limit_reached", Blame::Client, Retry::After(wait_ms))
            }
            // What is only reserved by calls in flight may be free again in a moment.
            Refusal::Budget(spent) if spent.may_pass_soon() => {
                plain(429, "budget_reserved", Blame::Client, Retry::After(1_000))
            }
            Refusal::Budget(_) => plain(429, "budget_spent", Blame::Client, Retry::No),
            Refusal::BudgetCut(_) => plain(429, "budget_cut", Blame::Client, Retry::No),
            Refusal::NotKept { .. } => plain(404, "not_kept", Blame::Client, Retry::No),
            Refusal::Gone { .. } => plain(404, "gone", Blame::Client, Retry::No),
            Refusal::KeptElsewhere { .. } => plain(400, "kept_elsewhere", Blame::Client, Retry::No),
            Refusal::KeepsNone { .. } => plain(400, "keeps_none", Blame::Client, Retry::No),
            Refusal::Unsealed { thing: Thing::File, .. } => {
                Meaning { param: Some("file_id".into()), ..plain(400, "unsealed_file", Blame::Client, Retry::No) }
            }
            Refusal::Unsealed { .. } => plain(400, "unsealed_id", Blame::Client, Retry::No),
            Refusal::Scattered => plain(400, "kept_elsewhere", Blame::Client, Retry::No),
            Refusal::PathUnclear(_) => plain(404, "no_such_route", Blame::Client, Retry::No),
            Refusal::NoPassthrough { .. } => plain(404, "no_such_route", Blame::Client, Retry::No),
            Refusal::NeverPassed { .. } => plain(403, "never_passed", Blame::Client, Retry::No),
            Refusal::UnpricedBatch { .. } | Refusal::UnpricedRequest { .. } => {
                plain(503, "model_unpriced", Blame::Us, Retry::No)
            }
            Refusal::UncountedTokens { .. } => plain(400, "tokens_uncounted", Blame::Client, Retry::No),
            Refusal::Unpriced { .. } => plain(503, "model_unpriced", Blame::Us, Retry::No),
            Refusal::Lossy(lossy) => Meaning {
                param: lossy.losses.first().map(|loss| loss.pointer.clone()),
                ..plain(400, "translation_loss", Blame::Client, Retry::No)
            },
            Refusal::NoSocket => plain(426, "no_socket", Blame::Client, Retry::No),
            Refusal::EphemeralKey => plain(403, "no_ephemeral_keys", Blame::Client, Retry::No),
            Refusal::SessionIdle { .. } => plain(408, "session_idle", Blame::Client, Retry::Now),
            Refusal::SessionTooLong { .. } => plain(408, "session_expired", Blame::Client, Retry::Now),
            Refusal::SessionEvent { .. } => plain(413, "session_event", Blame::Client, Retry::No),
            Refusal::BatchesAway(_) => plain(503, "store_away", Blame::Us, Retry::After(1_000)),
            Refusal::TooMuchKept { .. } => plain(413, "too_much_kept", Blame::Client, Retry::No),
            Refusal::NoCandidate { .. } => plain(503, "no_candidate", Blame::Us, Retry::No),
            Refusal::Upstream { .. } => plain(502, "upstream", Blame::Provider, Retry::Now),
            Refusal::ClientGone => plain(499, "client_gone", Blame::Client, Retry::No),
            Refusal::Busy { .. } => plain(503, "busy", Blame::Us, Retry::After(1_000)),
            Refusal::Draining => plain(503, "draining", Blame::Us, Retry::Now),
            Refusal::Spool(_) => plain(503, "spool_unwritable", Blame::Us, Retry::After(5_000)),
            Refusal::Defect(_) => plain(500, "defect", Blame::Us, Retry::No),
        }
    }
}
