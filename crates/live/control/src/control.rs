//! The one handle pages, the admin API and commands ask: a store, a pepper and the running gateway. Cheap to clone.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use config::Snapshot;
use domain::{KeyGrant, KeyId, UnixMs};
use store::{Revision, Store};

use crate::failure::ControlError;
use crate::keys::{self, NewKey};
use crate::ports::Running;
use crate::secrets::Pepper;
use crate::sessions::{self, Failures, Login, Session};

/// Where the time comes from; tests bring their own.
pub type Clock = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// Answers questions about what is kept and what runs.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    pepper: Pepper,
    running: Arc<dyn Running>,
    clock: Clock,
    failures: Failures,
}

impl Control {
    /// Control over a store and a running gateway.
    pub fn new(store: Store, pepper: Pepper, running: Arc<dyn Running>) -> Control {
        Control::with_clock(store, pepper, running, Arc::new(system_time))
    }

    /// As [`Control::new`], told the time by `clock`.
    pub fn with_clock(store: Store, pepper: Pepper, running: Arc<dyn Running>, clock: Clock) -> Control {
        Control { inner: Arc::new(Inner { store, pepper, running, clock, failures: Failures::default() }) }
    }

    /// The time.
    pub fn now(&self) -> UnixMs {
        (self.inner.clock)()
    }

    /// What is kept.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// What runs.
    pub fn running(&self) -> &dyn Running {
        &*self.inner.running
    }

    /// Makes a key for `by`. The text is shown once; the grant that comes back carries no hash.
    pub async fn create_key(&self, wish: NewKey, by: &str) -> Result<(KeyGrant, String), ControlError> {
        let (snapshot, _) = self.running().snapshot();
        if let Some(unknown) = wish.workflows.iter().flatten().find(|name| !snapshot.workflows.contains_key(*name)) {
            return Err(ControlError::Refused(format!(
                "there is no workflow `{unknown}` in the running configuration"
            )));
        }
        let (grant, text) = keys::create(self.store(), &self.inner.pepper, wish, by, self.now()).await?;
        Ok((KeyGrant { hash: [0; 32], ..grant }, text))
    }

    /// Revokes a key for `by`. The gateway refuses it as soon as the watch has seen it.
    pub async fn revoke_key(&self, id: &KeyId, by: &str) -> Result<(), ControlError> {
        keys::revoke(self.store(), id, by, self.now()).await
    }

    /// Opens a console session with an admin token; `from` is the client's address.
    pub async fn login(&self, token: &str, from: &str) -> Result<Login, ControlError> {
        sessions::login(self.store(), &self.inner.pepper, &self.inner.failures, token, from, self.now()).await
    }

    /// The session a cookie's value stands for, while it lasts and its token is not revoked.
    pub async fn session(&self, cookie: &str) -> Result<Option<Session>, ControlError> {
        sessions::session(self.store(), &self.inner.pepper, cookie, self.now()).await
    }

    /// Ends a session.
    pub async fn logout(&self, cookie: &str) -> Result<(), ControlError> {
        sessions::logout(self.store(), &self.inner.pepper, cookie).await
    }

    /// The public half of an admin token, if its text is right and it is not revoked.
    pub async fn admin(&self, token: &str) -> Result<Option<String>, ControlError> {
        sessions::verify_admin_token(self.store(), &self.inner.pepper, token).await
    }

    /// Notes a configuration that was just taken over.
    pub async fn record_revision(&self, snapshot: &Snapshot) -> Result<(), ControlError> {
        let revision =
            Revision { revision: snapshot.revision.clone(), taken_at: self.now(), text: snapshot.text.to_string() };
        Ok(self.store().record_revision(&revision).await?)
    }

    /// Asks the running server to read its configuration again.
    pub fn reload(&self) {
        self.running().reload();
    }
}

fn system_time() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
