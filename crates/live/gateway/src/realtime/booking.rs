//! What a realtime session costs: every response is an attempt of its own, with the hold it was reserved under, an intent before it
//! may begin and a record when it is over, so that a session of an hour owes no more than one response at any time.

use std::sync::Arc;

use config::Model;
use domain::{
    AttemptEnd, AttemptId, Cost, Entry, Fault, FaultClass, Intent, Meter, ModelName, Record, Usage, UsageOrigin,
};
use ledger::budget::Spend;
use ledger::price::Served;
use routing::Candidate;
use tokio::time::Instant;
use wire::Seen;
use wire::realtime::{Said, Told, guessed};
use wire::usage::Reported;

use crate::bound::{Bound, scopes};
use crate::budgets::Pick;
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::Slot;
use crate::open::Open;
use crate::prepare::hold;
use crate::protect::Protected;
use crate::refusal::Refusal;
use crate::settle::{Attempt, Ending, settle};
use crate::spend::spent;
use crate::trail::Trail;

/// The status of a connection that became a socket.
const SWITCHED: u16 = 101;

/// The books of one session.
pub struct Booking<'a> {
    gateway: &'a Gateway,
    call: &'a Protected,
    model: Arc<Model>,
    /// The attempt that pays for the next response, or for the one under way.
    attempt: Option<Box<Attempt>>,
    /// What opened the session: every attempt is like it.
    first: Intent,
    candidate: Candidate,
    slot: Arc<Slot>,
    /// Responses that have begun and are not over. They are asked for one at a time; a client may ask for one beside.
    under_way: u32,
    text_bytes: u64,
    audio_bytes: u64,
    /// What was said before the response under way, as far as its tokens were told.
    context: Usage,
}

/// Decides whether what is heard may be written down, which the provider bills by another model's price.
pub struct Rule<'a> {
    gateway: &'a Gateway,
    call: &'a Protected,
    model: Arc<Model>,
}

impl Rule<'_> {
    /// Under a budget only a model with a price may do it.
    pub fn forbids(&self, upstream: &str) -> Option<Refusal> {
        let scope = self.gateway.budgets.hard_money(&scopes(self.call))?;
        let priced = transcriber(self.call, &self.model, upstream).is_some_and(|model| model.prices.is_some());
        (!priced).then(|| Refusal::Unpriced { model: ModelName::new(upstream), scope: scope.to_string() })
    }
}

impl<'a> Booking<'a> {
    /// Begins with the attempt that opened the session: it pays for the first response.
    pub fn new(gateway: &'a Gateway, call: &'a Protected, attempt: Box<Attempt>) -> Booking<'a> {
        let model = call.snapshot().models[attempt.candidate.model].clone();
        Booking {
            gateway,
            call,
            model,
            first: attempt.intent.clone(),
            candidate: attempt.candidate.clone(),
            slot: attempt.slot.clone(),
            attempt: Some(attempt),
            under_way: 0,
            text_bytes: 0,
            audio_bytes: 0,
            context: Usage::ZERO,
        }
    }

    /// The provider's id of the model.
    pub fn model(&self) -> String {
        self.model.upstream.clone()
    }

    /// Whether a response is under way.
    pub fn is_speaking(&self) -> bool {
        self.under_way > 0
    }

    /// What decides whether speech may be written down.
    pub fn rule(&self) -> Rule<'a> {
        Rule { gateway: self.gateway, call: self.call, model: self.model.clone() }
    }

    /// Books what an event tells. After a response the next one is reserved; what stands in its way ends the session. `said` takes
    /// what the client has said since it was last asked, `transcriber` who writes down what is heard.
    pub async fn told(
        &mut self,
        told: Told,
        said: impl FnOnce() -> Said,
        transcriber: impl FnOnce() -> Option<String>,
        trail: &mut Trail,
    ) -> Result<(), Refusal> {
        match told {
            Told::Other => Ok(()),
            Told::Begun => {
                self.under_way += 1;
                if let (1, Some(attempt)) = (self.under_way, &mut self.attempt) {
                    attempt.sent = Instant::now();
                    attempt.first_token_ms = None;
                    (self.text_bytes, self.audio_bytes) = (0, 0);
                }
                Ok(())
            }
            Told::Piece { text_bytes, audio_bytes } => {
                self.text_bytes += text_bytes;
                self.audio_bytes += audio_bytes;
                if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.first_token_ms.is_none()) {
                    let ms = u64::try_from(attempt.sent.elapsed().as_millis()).unwrap_or(u64::MAX);
                    attempt.first_token_ms = Some(ms);
                    trail.first_token_ms = trail.first_token_ms.or(Some(trail.elapsed_ms()));
                }
                Ok(())
            }
            Told::Done { id, status, usage } => {
                self.under_way = self.under_way.saturating_sub(1);
                self.done(id, status, usage, said(), trail).await?;
                self.reserve(trail).await
            }
            Told::Transcribed { usage } => {
                self.transcribed(usage, transcriber(), trail).await;
                Ok(())
            }
        }
    }

    /// The end of the session: what is still open is settled. A response that was cut off is guessed at, one that was only reserved
    /// costs nothing.
    pub async fn close(mut self, said: Said, trail: &mut Trail) -> Option<Record> {
        let attempt = self.attempt.take()?;
        let usage = match self.under_way {
            0 => Usage::ZERO,
            _ => both(&self.context, &guessed(&said, self.text_bytes, self.audio_bytes)),
        };
        let seen = Seen { usage: Some(usage), output_bytes: self.text_bytes, ..Seen::default() };
        let record = settle(&self.gateway.books(), self.call, attempt, trail, &Ending::Cancelled(Some(&seen))).await;
        self.charge(&record.usage);
        Some(record)
    }

    async fn done(
        &mut self,
        id: Option<String>,
        status: Option<String>,
        reported: Option<Reported>,
        said: Said,
        trail: &mut Trail,
    ) -> Result<(), Refusal> {
        let Some(attempt) = self.attempt.take() else { return Ok(()) };
        let failed = status.as_deref() == Some("failed");
        let fault = Fault::new(FaultClass::ServerError, "the provider's response failed");
        let told = reported.is_some();
        let residue = reported.as_ref().map_or(0, |reported| reported.residue);
        let provider_cost = reported.as_ref().and_then(|reported| reported.cost);
        // Where nothing is told of a response that said something, it is guessed at.
        let usage =
            reported.map(|reported| reported.usage).unwrap_or_else(|| match self.text_bytes + self.audio_bytes {
                0 => Usage::ZERO,
                _ => both(&self.context, &guessed(&said, self.text_bytes, self.audio_bytes)),
            });
        let seen = Seen {
            usage: Some(usage),
            usage_residue: residue,
            provider_cost,
            output_bytes: self.text_bytes,
            content_started: true,
            ended: true,
            finish: status,
            provider_request_id: id,
            ..Seen::default()
        };
        let ending = match (failed, told) {
            (true, _) => Ending::Failed { fault: &fault, seen: Some(&seen), after_content: true },
            (false, true) => Ending::Served(&seen),
            (false, false) => Ending::Cancelled(Some(&seen)),
        };
        let record = settle(&self.gateway.books(), self.call, attempt, trail, &ending).await;
        self.charge(&record.usage);
        self.context = spoken_so_far(&record.usage);
        let kept = self.gateway.spool.keep(&[Entry::Record(Box::new(record))]);
        trail.open = None;
        self.gateway.spool.confirm(kept).await;
        Ok(())
    }

    /// Takes the hold of the next response and says so in the spool, before it may begin.
    async fn reserve(&mut self, trail: &mut Trail) -> Result<(), Refusal> {
        let admitted = self.call.call();
        let key = &admitted.call.key.grant.id;
        // A key that was revoked in the middle of a session gets no further response.
        self.gateway.keys.load().claimed(&key.0, clock::now()).map_err(Refusal::Key)?;
        let workflow = admitted.target.workflow();
        let bound =
            Bound::of(self.call, &self.model, &self.slot, workflow.map(|workflow| &**workflow), self.gateway, 0);
        let held = hold(self.gateway, self.call, &bound, &self.model, Pick::Cheapest, true).await?;
        let intent = Intent { hold: bound.cost, ..self.intent(trail) };
        let open = trail.open.insert(Open::new(intent.clone(), held, false));
        if let Err(error) = self.gateway.spool.intent(&Entry::Intent(intent.clone())).await {
            open.settle(&self.gateway.budgets, Spend::ZERO);
            trail.open = None;
            return Err(Refusal::Spool(error.to_string()));
        }
        self.attempt = Some(Box::new(Attempt {
            intent,
            sent: Instant::now(),
            candidate: self.candidate.clone(),
            probe: false,
            decision: "the next response of the session".into(),
            losses: Vec::new(),
            first_token_ms: None,
            status: Some(SWITCHED),
            our_cap: None,
            part: None,
            usual_cost: None,
            slot: self.slot.clone(),
            after: None,
            may_be_gone_on_from: false,
            entered: Instant::now(),
            // A session's responses are asked for by whoever speaks; no lane promised them.
            promised: None,
            prompt: None,
            taken: None,
        }));
        Ok(())
    }

    /// The intent of one attempt more.
    fn intent(&self, trail: &mut Trail) -> Intent {
        trail.attempts = trail.attempts.saturating_add(1);
        let attempt = AttemptId { call: self.first.attempt.call, ordinal: trail.attempts };
        Intent { attempt, at: clock::now(), cause: domain::Cause::Serve, hold: None, ..self.first.clone() }
    }

    /// What writes down what is heard is another model, billed by its own price: that of the configured model of this provider which
    /// has its id.
    async fn transcribed(&self, reported: Option<Reported>, upstream: Option<String>, trail: &mut Trail) {
        let upstream = upstream.unwrap_or_default();
        let model = transcriber(self.call, &self.model, &upstream);
        let name = model.map_or_else(|| ModelName::new(&*upstream), |model| model.name.clone());
        let intent = Intent { model: name, ..self.intent(trail) };
        let row = model.and_then(|model| model.prices.as_ref()?.row(intent.at));
        let residue = reported.as_ref().map_or(0, |reported| reported.residue);
        let (usage, usage_origin) = match reported {
            Some(reported) => (reported.usage, UsageOrigin::Reported),
            None => (Usage::ZERO, UsageOrigin::None),
        };
        let cost = match usage_origin {
            UsageOrigin::Reported => ledger::price::price(&usage, row, &Served::standard(intent.at)),
            _ => Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::InputAudio] },
        };
        let (cost, counted) = self.gateway.totals.priced(cost, row, intent.at);
        let held = self.gateway.budgets.note(scopes(self.call));
        self.gateway.budgets.settle(held, spent(&cost, &usage));
        trail.cost += cost.booked();
        let record = Record {
            ended_at: clock::now(),
            end: AttemptEnd::Served { finish: Some("transcribed".into()) },
            status: Some(SWITCHED),
            upstream_model: upstream,
            region: self.model.region.as_ref().map(ToString::to_string),
            usage,
            usage_origin,
            cost,
            usage_residue: residue,
            provider_cost: None,
            latency_ms: 0,
            first_token_ms: None,
            decision: "what was heard in the session, written down by the provider".into(),
            losses: Vec::new(),
            provider_request_id: None,
            served: domain::ServedAs::default(),
            corrects: None,
            counted,
            intent: intent.clone(),
        };
        self.gateway.metrics.attempt(&record);
        self.charge(&usage);
        let kept = self.gateway.spool.keep(&[Entry::Intent(intent), Entry::Record(Box::new(record))]);
        self.gateway.spool.confirm(kept).await;
    }

    /// Takes what was used from the key's tokens a minute. A session that is open is not broken off for it; the next call waits.
    fn charge(&self, usage: &Usage) {
        let tokens = usage.input_tokens() + usage.output_tokens();
        let grant = &self.call.call().call.key.grant;
        if grant.tokens_per_minute.is_some() {
            self.gateway.budgets.correct_minute(&grant.id, 0, tokens, clock::now());
        }
    }
}

/// The configured model of the same provider that has this id there.
fn transcriber<'c>(call: &'c Protected, beside: &Model, upstream: &str) -> Option<&'c Arc<Model>> {
    let here = |model: &&Arc<Model>| model.provider.name == beside.provider.name && model.upstream == upstream;
    call.snapshot().models.iter().find(here)
}

/// All that was said so far is sent again with the next response; what of it a cache will serve is not known.
fn spoken_so_far(usage: &Usage) -> Usage {
    let sum = |meters: &[Meter]| meters.iter().map(|meter| usage.get(*meter)).fold(0, u64::saturating_add);
    Usage::ZERO
        .with(Meter::Input, sum(&[Meter::Input, Meter::CacheRead, Meter::Output]))
        .with(Meter::InputAudio, sum(&[Meter::InputAudio, Meter::CacheReadAudio, Meter::OutputAudio]))
        .with(Meter::InputImage, sum(&[Meter::InputImage, Meter::CacheReadImage]))
}

/// Two usages together.
fn both(one: &Usage, other: &Usage) -> Usage {
    let mut usage = *one;
    other.counts().for_each(|(meter, count)| usage.add(meter, count));
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_and_heard_is_sent_again_with_the_next_response() {
        let last = Usage::ZERO
            .with(Meter::Input, 3)
            .with(Meter::CacheRead, 5)
            .with(Meter::Output, 2)
            .with(Meter::InputAudio, 10)
            .with(Meter::OutputAudio, 30);
        let context = spoken_so_far(&last);
        assert_eq!(context, Usage::ZERO.with(Meter::Input, 10).with(Meter::InputAudio, 40));
        let more = both(&context, &Usage::ZERO.with(Meter::Input, 1).with(Meter::Output, 7));
        assert_eq!(more.get(Meter::Input), 11);
        assert_eq!((more.input_tokens(), more.output_tokens()), (51, 7));
    }
}
