//! A request about a kept thing, from the listening end to its last byte. It runs in a task of its own, as calls do, and ends as a
//! call's does: what became true is in the spool before the last bytes go out.

use std::sync::Arc;

use domain::Entry;
use http::{Response, StatusCode};
use wire::errors::error_frame;
use wire::kept::Kind;
use wire::{Dialect, Framing};

use super::allow::Holder;
use super::asking::{Arrival, Asking, Books, Done, Piped};
use super::exchange::{Ended, Pump, Through};
use super::other::{Passed, outcome};
use super::{Ask, answers, batches, files, lists, other, own};
use crate::admit::take_request;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::edge;
use crate::life::{FREEHOLD_MODEL, error_response, finish, head, refuse};
use crate::refusal::Refusal;
use crate::reply::{self, ReplyBody, Waiting};
use crate::trail::Trail;

/// Answers a request. Whatever `counted` counts is counted until the end of the answer.
pub async fn handle(
    gateway: Arc<Gateway>,
    ask: Ask,
    arrival: Arrival,
    counted: impl Send + 'static,
) -> Response<ReplyBody> {
    let deployed = gateway.deployed.load_full();
    let (id, dialect) = (arrival.id, arrival.dialect);
    let revision = &deployed.snapshot.revision;
    let trail = Trail::new(id, arrival.at, arrival.arrived, arrival.endpoint.name, revision, gateway.prints.clone());
    let (waiting, answer) = reply::pair(gateway.cut.subscribe());
    let task = tokio::spawn(async move {
        let (lived_in, under) = (gateway.clone(), deployed.clone());
        let spoken = (dialect, Framing::ServerSentEvents);
        let untold = edge::run_other(gateway, deployed, trail, id, spoken, move |trail| {
            Box::pin(live(lived_in, under, ask, arrival, waiting, trail))
        });
        let untold = untold.await;
        drop(counted);
        untold
    });
    match answer.await {
        Ok(response) => response,
        // The client is told when it is booked, not before.
        Err(_) => {
            let defect = || Refusal::Defect("the request's task ended without an answer".into());
            let told = task.await.ok().flatten();
            error_response(dialect, &told.unwrap_or_else(|| defect().client_error(&id.to_string(), dialect)))
        }
    }
}

async fn live(
    gateway: Arc<Gateway>,
    deployed: Arc<Deployed>,
    ask: Ask,
    arrival: Arrival,
    mut client: Waiting,
    trail: &mut Trail,
) {
    let (id, dialect) = (arrival.id, arrival.dialect);
    trail.key = Some(arrival.key.grant.id.clone());
    trail.request(&arrival.body, None);
    let asking = Asking { gateway: &gateway, deployed: &deployed, arrival: &arrival };
    let done = match take_request(&gateway.budgets, &arrival.key).await {
        Ok(()) => asking.answered(ask, &mut client, trail).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Err(refusal) => {
            trail.note("kept", refusal.to_string());
            refuse(&gateway, trail, client, id, dialect, refusal).await;
        }
        Ok(Done::Whole(body, facts)) => {
            trail.answer(&body);
            let head = asking.head(trail, "application/json");
            finish(&gateway, trail, facts, 200, None).await;
            let _ = client.send(head.body(ReplyBody::whole(body)).expect("status and headers are ours and valid"));
        }
        Ok(Done::Piped(piped)) => asking.pipe(*piped, client, trail).await,
        Ok(Done::Content(content)) => own::about::send(&asking, content, client, trail).await,
    }
}

impl Asking<'_> {
    async fn answered(&self, ask: Ask, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
        // Boxed: asked for seldom.
        if let Some(done) = Box::pin(own::about::answered(self, ask, trail)).await? {
            return Ok(done);
        }
        match ask {
            Ask::Answer => answers::fetch(self, client, trail).await,
            Ask::AnswerDeleted => answers::delete(self, client, trail).await,
            Ask::AnswerCancelled => answers::cancel(self, client, trail).await,
            Ask::AnswerInput => answers::input(self, client, trail).await,
            Ask::FileUpload => files::upload(self, client, trail).await,
            Ask::Files => lists::list(self, Kind::File, client, trail).await,
            Ask::File => files::describe(self, client, trail).await,
            Ask::FileContent => files::content(self, client, trail).await,
            Ask::FileDeleted => files::delete(self, client, trail).await,
            Ask::BatchCreated => batches::create(self, client, trail).await,
            Ask::Batches => lists::list(self, Kind::Batch, client, trail).await,
            Ask::Batch => batches::describe(self, client, trail).await,
            Ask::BatchCancelled => batches::cancel(self, client, trail).await,
            Ask::BatchDeleted => batches::delete(self, client, trail).await,
            Ask::BatchResults => batches::results(self, client, trail).await,
            Ask::Other => other::pass(self, client, trail).await,
        }
    }

    /// The head of an answer.
    pub fn head(&self, trail: &Trail, content_type: &'static str) -> http::response::Builder {
        let head = head(&self.arrival.id.to_string(), StatusCode::OK, content_type);
        match &trail.model {
            Some(model) => head.header(FREEHOLD_MODEL, model.as_str()),
            None => head,
        }
    }

    /// Moves an answer, and settles by it what it tells the end of.
    async fn pipe(&self, piped: Piped, client: Waiting, trail: &mut Trail) {
        let Piped { mut pump, status, headers, holder, books } = piped;
        let Arrival { id, dialect, .. } = self.arrival;
        let events = matches!(pump.through(), Through::Events(_));
        trail.stream = events;
        let mut head = self.head(trail, "application/octet-stream").status(status);
        if let Some(all) = head.headers_mut() {
            headers.into_iter().for_each(|(name, value)| drop(all.insert(name, value)));
        }
        if events {
            head = head.header("cache-control", "no-cache").header("x-accel-buffering", "no");
        }
        let gone = async |books: Books, trail: &mut Trail| {
            let facts = self.booked(books, &Passed::Gone, trail);
            let error = Refusal::ClientGone.client_error(&id.to_string(), *dialect);
            finish(self.gateway, trail, facts, 499, Some(error)).await;
        };
        let Ok(mut client) = client.stream(head) else { return gone(books, trail).await };
        trail.stream_out = Some(client.last_word());
        match pump.run(&mut client, trail).await {
            Ended::Gone => {
                trail.stream_out = None;
                gone(books, trail).await;
            }
            Ended::Broken(fault) => {
                let facts = self.booked(books, &Passed::Broken(fault.clone()), trail);
                let why = "after the answer had begun".to_owned();
                let refusal = Refusal::Upstream { fault, why, retry_after_ms: None, billed: false };
                let error = refusal.client_error(&id.to_string(), *dialect);
                finish(self.gateway, trail, facts, status.as_u16(), Some(error.clone())).await;
                // Bytes that are no events have no place for an error: they end broken off, and cannot pass for the whole.
                if events {
                    let frame = error_frame(Dialect::OpenAiResponses, Framing::ServerSentEvents, &error);
                    if client.send(frame.into()).await.is_ok() {
                        client.end().await;
                    }
                }
            }
            Ended::Whole(last) => {
                let facts = match books {
                    Books::Settles(what) => self.settled_by(&pump, &holder, &what, trail),
                    books => self.booked(books, &Passed::Whole, trail),
                };
                finish(self.gateway, trail, facts, status.as_u16(), None).await;
                if last.is_empty() || client.send(last.into()).await.is_ok() {
                    client.end().await;
                }
            }
        }
    }

    /// What is booked of a request that was passed on.
    fn booked(&self, books: Books, passed: &Passed, trail: &mut Trail) -> Vec<Entry> {
        let Books::Request(booking, status) = books else { return Vec::new() };
        let outcome = outcome(&booking, status, passed);
        vec![Entry::Record(Box::new(booking.close(self.gateway, outcome, trail)))]
    }

    fn settled_by(&self, pump: &Pump, holder: &Holder, what: &str, trail: &mut Trail) -> Vec<Entry> {
        match pump.through() {
            Through::Raw => Vec::new(),
            Through::Events(relay) => {
                let seen = relay.seen();
                let finish = seen.finish.clone().unwrap_or_default();
                let Some(reported) = seen.reported() else { return Vec::new() };
                self.settle(holder, what, &[reported], seen.service_tier.as_deref(), &finish, trail)
            }
            Through::Lines(lines) => match lines.usages() {
                Some(usages) => self.settle(holder, what, usages, Some(super::rewrite::TIER), "results", trail),
                None => Vec::new(),
            },
        }
    }
}
