//! A request about a kept thing while it is answered: what is known of it, whose what it names is, and what becomes of it.

use std::sync::Arc;

use bytes::Bytes;
use domain::{CallId, Entry, SessionId, UnixMs};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use tokio::time::Instant;
use wire::Dialect;
use wire::kept::{Kind, MARK};
use wire::usage::Reported;

use super::allow::{Holder, OpenedBody, Reach, family, opened_body};
use super::booking::Booking;
use super::deferred::Told;
use super::exchange::Pump;
use super::own::content::Content;
use super::seal::Opened;
use crate::call::session_named;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::endpoints::Endpoint;
use crate::keys::Key;
use crate::protect::is_everybodys;
use crate::refusal::Refusal;
use crate::target::short;
use crate::trail::Trail;

/// How a token of ours begins that a page of Anthropic's files is asked for by; the id of the last one told follows.
pub const PAGE: &str = "page_";

/// A request of a known key.
pub struct Arrival {
    /// Its identifier.
    pub id: CallId,
    /// When it came, by the wall.
    pub at: UnixMs,
    /// When, for measuring.
    pub arrived: Instant,
    /// Where it came in.
    pub endpoint: &'static Endpoint,
    /// How the client speaks.
    pub dialect: Dialect,
    /// Whose it is.
    pub key: Arc<Key>,
    /// The id in its path.
    pub name: String,
    /// The workflow its header names.
    pub workflow: Option<String>,
    /// Method, address and headers.
    pub head: Parts,
    /// The boundary of its body, where that is a form.
    pub form: Option<String>,
    /// The body; empty where there is none.
    pub body: Bytes,
}

/// What is needed to answer one.
pub struct Asking<'a> {
    /// The data plane.
    pub gateway: &'a Arc<Gateway>,
    /// The configuration it is decided by.
    pub deployed: &'a Deployed,
    /// The request.
    pub arrival: &'a Arrival,
}

/// An answer that is known but for its booking.
pub enum Done {
    /// All of it, and what became true.
    Whole(Bytes, Vec<Entry>),
    /// One that is moved piece by piece, with the headers it has.
    Piped(Box<Piped>),
    /// What is in a file that Freehold keeps.
    Content(Content),
}

/// An answer that is moved piece by piece.
pub struct Piped {
    /// What moves it.
    pub pump: Pump,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose it is.
    pub holder: Holder,
    /// What is booked of it.
    pub books: Books,
}

/// What is booked of an answer that is moved piece by piece.
pub enum Books {
    /// Nothing.
    Nothing,
    /// What of this id of the provider's was done later, an answer or a batch, is settled when all of it has come.
    Settles(String),
    /// A request of an unknown kind, and the provider's status.
    Request(Box<Booking>, u16),
}

impl Asking<'_> {
    /// Whose the id in the path is, and what it stands for.
    pub fn own(&self, kind: Kind, trail: &mut Trail) -> Result<(Holder, Opened), Refusal> {
        let Arrival { key, name, dialect, .. } = self.arrival;
        let snapshot = &self.deployed.snapshot;
        let spoken = if kind == Kind::Answer { &[Dialect::OpenAiResponses][..] } else { family(*dialect) };
        let (holder, opened) = Holder::of_id(snapshot, &self.gateway.seals, key, (kind, name), spoken)?;
        self.admitted(&holder, trail);
        Ok((holder.in_session(self.session()), opened))
    }

    /// Where something new is put, or things are listed.
    pub fn place(&self, named: Option<&str>, trail: &mut Trail) -> Result<Holder, Refusal> {
        let Arrival { key, workflow, dialect, .. } = self.arrival;
        let named = named.or(workflow.as_deref());
        let spoken = family(*dialect);
        let keeps = |provider: &config::Provider| {
            let quirks = provider.quirks;
            quirks.keeps_files && spoken.iter().all(|one| quirks.hosting.keeps(*one))
        };
        let snapshot = &self.deployed.snapshot;
        let holder = Holder::of_name(snapshot, key, named, spoken, keeps).map_err(|refusal| match refusal {
            // Some of its models may be spoken to, but are hosted where nothing is kept.
            Refusal::NoCandidate { .. } if Holder::of_name(snapshot, key, named, spoken, |_| true).is_ok() => {
                let why = "its models are where nothing is kept: on Vertex AI, behind Bedrock's invoke, or on a server of \
                           one's own without files";
                Refusal::KeepsNone { what: "file or batch", why: why.to_owned() }
            }
            refusal => refusal,
        })?;
        self.admitted(&holder, trail);
        Ok(holder.in_session(self.session()))
    }

    /// The session that the client names.
    pub fn session(&self) -> Option<SessionId> {
        session_named(&self.arrival.head.headers)
    }

    /// Notes whose it is.
    pub fn admitted(&self, holder: &Holder, trail: &mut Trail) {
        trail.asked = short(holder.asked());
        trail.workflow = holder.target().workflow().map(|workflow| workflow.name.clone());
        trail.model = Some(holder.model().name.clone());
        let (provider, key) = (&holder.model().provider.name, &self.arrival.key.grant.id);
        let note = format!("`{}` by key `{key}`; provider `{provider}` alone has it", short(holder.asked()));
        trail.note("admit", note);
    }

    /// Adds what of the client's headers goes on.
    pub fn carrying(&self, reach: Reach) -> Reach {
        let mut carried = Vec::new();
        for name in self.arrival.endpoint.carries {
            let name = HeaderName::from_static(name);
            let values = self.arrival.head.headers.get_all(&name).iter();
            carried.extend(values.map(|value| (name.clone(), value.clone())));
        }
        reach.carrying(carried)
    }

    /// The query as the provider is sent it, with its question mark; the ids of pages in it are the provider's own there.
    pub fn query(&self, kind: Kind) -> Result<String, Refusal> {
        let Some(query) = self.arrival.head.uri.query().filter(|query| !query.is_empty()) else {
            return Ok(String::new());
        };
        let pairs: Result<Vec<String>, Refusal> = query.split('&').map(|pair| self.pair(kind, pair)).collect();
        Ok(format!("?{}", pairs?.join("&")))
    }

    fn pair(&self, kind: Kind, pair: &str) -> Result<String, Refusal> {
        match pair.split_once('=') {
            Some((name @ ("after" | "after_id" | "before" | "before_id" | "page"), id)) if id.contains(MARK) => {
                let id = wire::dialect::from_path_segment(id).unwrap_or_default();
                let (name, id) = match id.strip_prefix(PAGE).filter(|_| name == "page") {
                    Some(last) => ("after_id", last.to_owned()),
                    None => (name, id.into_owned()),
                };
                let snapshot = &self.deployed.snapshot;
                let key = &self.arrival.key;
                let spoken = family(self.arrival.dialect);
                let (_, opened) = Holder::of_id(snapshot, &self.gateway.seals, key, (kind, &id), spoken)?;
                Ok(format!("{name}={}", wire::dialect::path_segment(&opened.id)))
            }
            _ => Ok(pair.to_owned()),
        }
    }

    /// Settles what a provider did later, unless that was done.
    pub fn settle(
        &self,
        holder: &Holder,
        id: &str,
        reported: &[Reported],
        tier: Option<&str>,
        finish: &str,
        trail: &mut Trail,
    ) -> Vec<Entry> {
        let gateway = self.gateway;
        let models = &self.deployed.snapshot.models;
        let told = Told { id, reported, tier, finish, model: Some(holder.model()), models };
        let books = (&gateway.budgets, &gateway.totals);
        let settled = gateway.deferred.settle(books, &gateway.metrics, &holder.model().provider.name, &told);
        let Some((record, change)) = settled else { return Vec::new() };
        trail.cost += change;
        trail.note("settle", &*record.decision);
        vec![Entry::Record(Box::new(record))]
    }

    /// Refuses what a body names by the provider's own id, where such things of that provider's are not everybody's.
    pub fn sealed(&self, holder: &Holder, dialect: Dialect, body: &[u8]) -> Result<(), Refusal> {
        let provider = &holder.model().provider;
        match wire::kept::unsealed(dialect, body).filter(|named| !is_everybodys(named.thing, provider)) {
            Some(named) => Err(Refusal::Unsealed { thing: named.thing, id: short(&named.id) }),
            None => Ok(()),
        }
    }

    /// Opens every id of ours in a body.
    pub fn opened_body(&self, body: &Bytes) -> Result<Option<OpenedBody>, Refusal> {
        let Arrival { key, dialect, .. } = self.arrival;
        opened_body(&self.deployed.snapshot, &self.gateway.seals, key, body, *dialect)
    }
}
