//! What may be asked of a provider about the things it keeps: the only place that makes a [`Reach`], and so the only door to
//! [`Upstreams::send_kept`](crate::upstream::Upstreams). Here are the seal of an id, the key's right to its workflow, and that
//! workflow's residency.

use std::sync::Arc;

use bytes::Bytes;
use config::{Model, Provider, Resolved, Snapshot};
use domain::{LaneName, SessionId};
use http::Method;
use http::header::{HeaderName, HeaderValue};
use wire::Dialect;
use wire::kept::{Ids, Kind, Reference, references, with_names};

use super::owners::Owner;
use super::seal::{Note, Opened, Seals};
use crate::budgets::Scopes;
use crate::keys::Key;
use crate::refusal::Refusal;
use crate::target::{Target, hint, may_use, short, unnamed, within};

/// A key with a right to what one model's provider keeps for it.
#[derive(Clone)]
pub struct Holder {
    key: Arc<Key>,
    asked: String,
    target: Target,
    model: Arc<Model>,
    spoken: Dialect,
    /// The session its client names.
    session: Option<SessionId>,
}

/// A request that may go to a provider. Its fields are private: nothing else makes one.
pub struct Reach {
    provider: Arc<Provider>,
    spoken: Dialect,
    method: Method,
    path: String,
    body: Bytes,
    content_type: Option<HeaderValue>,
    carried: Vec<(HeaderName, HeaderValue)>,
}

impl Holder {
    /// Whose an id is, where this key may have it, and what it stands for.
    pub fn of_id(
        snapshot: &Snapshot,
        seals: &Seals,
        key: &Arc<Key>,
        (kind, id): (Kind, &str),
        spoken: &[Dialect],
    ) -> Result<(Holder, Opened), Refusal> {
        let model_of = |name: &str| snapshot.models.iter().find(|model| model.name.as_str() == name);
        let provider_of = |name: &str| model_of(name).map(|model| &model.provider.name);
        let none = || Refusal::NotKept { kind, id: short(id) };
        let opened = seals.open(kind, &key.grant.id, id, provider_of).ok_or_else(none)?;
        let model = model_of(&opened.model).ok_or_else(none)?;
        let target = target(snapshot, key, &opened.asked)?;
        let spoken = speaks(&model.provider, spoken).ok_or_else(none)?;
        let (asked, model) = (opened.asked.clone(), model.clone());
        let holder = Holder { key: key.clone(), asked, target, model: model.clone(), spoken, session: None };
        if !holder.may_go_to(&model) {
            return Err(none());
        }
        Ok((holder, opened))
    }

    /// The same key with a right to something else that it owns at the same provider.
    pub fn of_owner(&self, snapshot: &Snapshot, owner: &Owner) -> Option<Holder> {
        let target = target(snapshot, &self.key, &owner.asked).ok()?;
        let model = snapshot.models.iter().find(|model| model.name == owner.model)?.clone();
        let same = owner.key == self.key.grant.id && model.provider.name == self.model.provider.name;
        same.then(|| Holder { asked: owner.asked.clone(), target, model, ..self.clone() })
    }

    /// Where a new thing is put, or where things are listed: the first model of a workflow, in the order of its lanes and inside
    /// its residency, whose provider speaks the dialect. `named` is what the request says; without it the key's only workflow is
    /// meant.
    pub fn of_name(
        snapshot: &Snapshot,
        key: &Arc<Key>,
        named: Option<&str>,
        spoken: &[Dialect],
        takes: impl Fn(&Provider) -> bool,
    ) -> Result<Holder, Refusal> {
        let asked = match named {
            Some(name) => name.to_owned(),
            None => unnamed(None, key, snapshot)?,
        };
        let target = target(snapshot, key, &asked)?;
        let indexes: Vec<usize> = match &target {
            Target::Workflow(workflow) => workflow.lanes.iter().flat_map(|hops| hops.models.iter().copied()).collect(),
            Target::Lane(lane) => lane.models.clone(),
            Target::Model(model) => vec![model.index],
        };
        // One thing has one id, whatever alias it was made by.
        let asked = target.workflow().map_or(asked, |workflow| workflow.name.to_string());
        for index in indexes {
            let model = &snapshot.models[index];
            let Some(spoken) = speaks(&model.provider, spoken) else { continue };
            let (key, asked, target) = (key.clone(), asked.clone(), target.clone());
            let holder = Holder { key, asked, target, model: model.clone(), spoken, session: None };
            if holder.may_go_to(model) && takes(&model.provider) {
                return Ok(holder);
            }
        }
        let dialects = spoken.iter().map(|dialect| dialect.as_str()).collect::<Vec<_>>().join(" or ");
        let why = format!("no model of `{}` inside its residency has a provider that speaks {dialects}", short(&asked));
        Err(Refusal::NoCandidate { why })
    }

    /// The same in the session that the client names.
    #[must_use]
    pub fn in_session(self, session: Option<SessionId>) -> Holder {
        Holder { session, ..self }
    }

    fn may_go_to(&self, model: &Model) -> bool {
        let residency = self.target.workflow().map_or(&[][..], |workflow| &workflow.residency);
        within(model.region.as_ref(), residency)
    }

    /// A request that may go to its provider.
    pub fn asks(&self, method: Method, path: String) -> Reach {
        Reach {
            provider: self.model.provider.clone(),
            spoken: self.spoken,
            method,
            path,
            body: Bytes::new(),
            content_type: None,
            carried: Vec::new(),
        }
    }

    /// Whose key.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// What was asked for: a workflow, an alias, `lane:NAME` or `model:NAME`.
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// What that means.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Through which model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// How its provider is spoken to.
    pub fn spoken(&self) -> Dialect {
        self.spoken
    }

    /// The lane, where one was named directly.
    pub fn lane(&self) -> Option<LaneName> {
        match &self.target {
            Target::Lane(lane) => Some(lane.name.clone()),
            Target::Workflow(_) | Target::Model(_) => None,
        }
    }

    /// The budgets that may apply.
    pub fn scopes(&self) -> Scopes {
        let workflow = self.target.workflow().map(|workflow| workflow.name.clone());
        Scopes { workflow, key: self.key.grant.id.clone(), session: self.session.clone(), model: None }
    }

    /// What this key's client calls something of its provider's.
    pub fn name(&self, seals: &Seals, kind: Kind, id: &str, note: Note) -> Option<String> {
        let what = Opened { id: id.to_owned(), model: self.model.name.to_string(), asked: self.asked.clone(), note };
        seals.seal(kind, &self.key.grant.id, &self.model.provider.name, &what)
    }

    /// The same for what is remembered as its own.
    pub fn as_owner(&self, note: Note) -> Owner {
        let (model, asked) = (self.model.name.clone(), self.asked.clone());
        Owner { key: self.key.grant.id.clone(), model, asked, note }
    }

    /// What its client calls the answers its provider keeps.
    pub fn ids(&self, seals: &Arc<Seals>) -> Ids {
        let (seals, holder) = (seals.clone(), self.clone());
        Ids::named(move |kind, id| holder.name(&seals, kind, id, Note::None))
    }
}

impl Reach {
    /// With a body of this type.
    pub fn with_body(mut self, content_type: &str, body: Bytes) -> Reach {
        self.content_type = HeaderValue::from_str(content_type).ok();
        self.body = body;
        self
    }

    /// With headers of the client's that its dialect knows.
    pub fn carrying(mut self, carried: Vec<(HeaderName, HeaderValue)>) -> Reach {
        self.carried = carried;
        if let Some((name, version)) = self.spoken.version_header()
            && !self.carried.iter().any(|(carried, _)| carried == name)
        {
            self.carried.push((HeaderName::from_static(name), HeaderValue::from_static(version)));
        }
        self
    }

    /// To whom.
    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// How it is spoken to.
    pub fn spoken(&self) -> Dialect {
        self.spoken
    }

    /// With which method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path below the provider's base URL, with its query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The body; empty where there is none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What the body is.
    pub fn content_type(&self) -> Option<&HeaderValue> {
        self.content_type.as_ref()
    }

    /// Headers of the client's.
    pub fn carried(&self) -> &[(HeaderName, HeaderValue)] {
        &self.carried
    }
}

/// A body with the provider's own ids in it.
pub struct OpenedBody {
    /// Who holds the first of them.
    pub holder: Holder,
    /// What kind that one is.
    pub kind: Kind,
    /// What it stands for.
    pub opened: Opened,
    /// The body.
    pub body: Bytes,
}

/// Opens every id of ours in a body, and puts the provider's own in their place; nothing where there is none. All must lie at one
/// provider.
pub fn opened_body(
    snapshot: &Snapshot,
    seals: &Seals,
    key: &Arc<Key>,
    body: &Bytes,
    dialect: Dialect,
) -> Result<Option<OpenedBody>, Refusal> {
    let found = references(body);
    let mut first: Option<(Holder, Kind, Opened)> = None;
    let mut names = Vec::with_capacity(found.len());
    for Reference { kind, id, .. } in &found {
        let spoken = if *kind == Kind::Answer { &[Dialect::OpenAiResponses][..] } else { family(dialect) };
        let (holder, opened) = Holder::of_id(snapshot, seals, key, (*kind, id), spoken)?;
        names.push(opened.id.clone());
        match &first {
            Some((known, ..)) if known.model.provider.name != holder.model.provider.name => {
                return Err(Refusal::Scattered);
            }
            Some(_) => {}
            None => first = Some((holder, *kind, opened)),
        }
    }
    let with_names = |(holder, kind, opened)| {
        let body = with_names(body, &found, &names).into();
        OpenedBody { holder, kind, opened, body }
    };
    Ok(first.map(with_names))
}

/// Dialects in which the same files and batches are meant: to OpenAI's two they are one.
pub fn family(dialect: Dialect) -> &'static [Dialect] {
    match dialect {
        Dialect::Anthropic => &[Dialect::Anthropic],
        _ => &[Dialect::OpenAiChat, Dialect::OpenAiResponses],
    }
}

/// The first of these that a provider speaks.
fn speaks(provider: &Provider, spoken: &[Dialect]) -> Option<Dialect> {
    spoken.iter().copied().find(|dialect| provider.dialects.contains(dialect))
}

/// What a name means, where this key may use it.
pub fn target(snapshot: &Snapshot, key: &Key, asked: &str) -> Result<Target, Refusal> {
    let target = match snapshot.resolve(asked) {
        Some(Resolved::Workflow(workflow)) => Target::Workflow(workflow),
        Some(Resolved::Lane(lane)) => Target::Lane(lane),
        Some(Resolved::Model(model)) => Target::Model(model),
        None => return Err(Refusal::UnknownModel { hint: hint(key, snapshot), asked: short(asked) }),
    };
    match may_use(key, &target) {
        true => Ok(target),
        false => Err(Refusal::NotAllowed { key: key.grant.id.to_string(), asked: short(asked) }),
    }
}
