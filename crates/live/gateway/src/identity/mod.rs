//! Tokens for providers that take no lasting key: fetched from the one source the configuration names, renewed in the
//! background before they expire, by one fetch at a time however many calls wait. What is fetched is never shown: not in a log,
//! a page, an error or debug output.

mod aws;
mod entra;
mod fetch;
mod google;
mod profile;
mod token;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};
use std::time::Duration;

use config::Identity;
use domain::{Fault, FaultClass, ProviderName, UnixMs};
use http::Uri;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::clock;
use fetch::{Fetch, Trouble};
pub(crate) use token::{Credential, Token};

/// Longest a fetch may take, all its requests together, milliseconds.
const FETCH_MS: u64 = 10_000;
/// Waits after a fetch that failed: the first, and the longest, milliseconds.
const FIRST_WAIT_MS: u64 = 1_000;
const LONGEST_WAIT_MS: u64 = 30_000;
/// A token younger than this that a provider refuses is not at fault: the permission is missing. Milliseconds.
const TRUSTED_MS: u64 = 30_000;
/// How often it is looked whether anything is due, at most and at least, milliseconds.
const LOOK_EVERY_MS: u64 = 30_000;
const LOOK_AT_LEAST_MS: u64 = 100;

/// Keeps the token of one provider.
pub struct Keeper {
    provider: ProviderName,
    identity: Identity,
    fetch: Fetch,
    state: Mutex<State>,
    /// Counts fetches that ended.
    done: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    failure: Option<Failure>,
    fetching: bool,
}

struct Failure {
    fault: Fault,
    at: UnixMs,
    /// Until when no other fetch is tried.
    until: UnixMs,
    in_a_row: u32,
}

/// How a provider's identity stands, for pages and metrics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Where it comes from, never what it is.
    pub identity: String,
    /// Whether there is a token that is good.
    pub good: bool,
    /// Until when; absent where there is none or it does not expire.
    pub good_until: Option<UnixMs>,
    /// Why the last fetch came to nothing, and when; absent when it did not.
    pub failure: Option<(UnixMs, String)>,
}

impl Keeper {
    /// Starts to keep a token; the first one is fetched at once where there is a runtime to do so.
    pub(crate) fn start(
        provider: &ProviderName,
        identity: &Identity,
        tls: &ClientConfig,
        proxy: Option<&Uri>,
    ) -> Arc<Keeper> {
        let keeper = Arc::new(Keeper {
            provider: provider.clone(),
            identity: identity.clone(),
            fetch: Fetch::new(tls, proxy),
            state: Mutex::default(),
            done: watch::Sender::new(0),
        });
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(keep(Arc::downgrade(&keeper)));
        }
        keeper
    }

    /// Whose token it keeps.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The token. Waits only where there is none that is good; the fault says why there is none.
    pub(crate) async fn token(self: &Arc<Keeper>) -> Result<Arc<Token>, Fault> {
        let mut done = self.done.subscribe();
        loop {
            let now = clock::now();
            {
                let mut state = self.state.lock();
                self.begin(&mut state, now);
                if let Some(token) = state.token.as_ref().filter(|token| token.is_good(now)) {
                    return Ok(token.clone());
                }
                if let Some(failure) = state.failure.as_ref().filter(|_| !state.fetching) {
                    return Err(failure.fault.clone());
                }
            }
            if done.changed().await.is_err() {
                return Err(Fault::new(FaultClass::Internal, "the keeper of a token ended"));
            }
        }
    }

    /// A provider refused this token: another one is fetched, unless it is so new that another would be refused as well.
    pub(crate) fn refused(self: &Arc<Keeper>, token: &Arc<Token>) {
        let now = clock::now();
        let mut state = self.state.lock();
        let is_kept = state.token.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, token));
        if is_kept && now.since(token.fetched_at()) > TRUSTED_MS {
            state.token = None;
            self.begin(&mut state, now);
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let now = clock::now();
        let state = self.state.lock();
        let good = state.token.as_ref().filter(|token| token.is_good(now));
        Standing {
            identity: self.identity.to_string(),
            good: good.is_some(),
            good_until: good.and_then(|token| token.expires_at()),
            failure: state.failure.as_ref().map(|failure| (failure.at, failure.fault.message.clone())),
        }
    }

    /// Begins a fetch where one is due and none is under way.
    fn begin(self: &Arc<Keeper>, state: &mut State, now: UnixMs) {
        let due = state.token.as_ref().is_none_or(|token| token.renew_at().is_some_and(|at| at <= now));
        let waits = state.failure.as_ref().is_some_and(|failure| now < failure.until);
        if !due || waits || state.fetching {
            return;
        }
        state.fetching = true;
        let ending = Ending { keeper: self.clone(), result: None };
        tokio::spawn(async move {
            let mut ending = ending;
            let fetched = tokio::time::timeout(Duration::from_millis(FETCH_MS), ending.keeper.fetched()).await;
            let late = || Trouble::Unavailable(format!("nothing came within {FETCH_MS} ms"));
            ending.result = Some(fetched.unwrap_or_else(|_| Err(late())));
        });
    }

    async fn fetched(&self) -> Result<Token, Trouble> {
        let token = match &self.identity {
            Identity::Aws(aws) => aws::keys(&self.fetch, aws).await,
            Identity::Entra(entra) => entra::token(&self.fetch, entra).await,
            Identity::Google(google) => google::token(&self.fetch, google).await,
        }?;
        match token.is_good(clock::now()) {
            true => Ok(token),
            false => Err(Trouble::Unavailable("what came has expired already; is the clock right?".into())),
        }
    }

    fn end(&self, result: Result<Token, Trouble>) {
        let now = clock::now();
        let mut state = self.state.lock();
        state.fetching = false;
        match result {
            Ok(token) => {
                if state.failure.take().is_some() {
                    tracing::info!(provider = %self.provider, "the provider's token is there again");
                }
                state.token = Some(Arc::new(token));
            }
            Err(trouble) => {
                let before = state.failure.take();
                let in_a_row = before.as_ref().map_or(1, |failure| failure.in_a_row.saturating_add(1));
                let wait_ms = (FIRST_WAIT_MS << in_a_row.saturating_sub(1).min(10)).min(LONGEST_WAIT_MS);
                let fault = self.fault(trouble);
                // Logged once, not with each try of the same.
                if before.is_none_or(|before| before.fault.message != fault.message) {
                    tracing::error!(provider = %self.provider, "{}", fault.message);
                }
                state.failure = Some(Failure { fault, at: now, until: now + wait_ms, in_a_row });
            }
        }
        drop(state);
        self.done.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn fault(&self, trouble: Trouble) -> Fault {
        let (provider, from) = (&self.provider, self.identity.source_word());
        match trouble {
            Trouble::Unavailable(why) => Fault::new(
                FaultClass::TokenUnavailable,
                format!("provider `{provider}` could not be called: no token from {from}: {why}"),
            ),
            Trouble::Refused(why) => Fault::new(
                FaultClass::Credential,
                format!(
                    "provider `{provider}` could not be called: {from} was refused a token: {why}; mend its `identity`"
                ),
            ),
        }
    }

    /// How long nothing is due, milliseconds.
    fn idle_ms(&self, now: UnixMs) -> u64 {
        let state = self.state.lock();
        let next = match (&state.failure, &state.token) {
            (Some(failure), _) => Some(failure.until),
            (None, Some(token)) => token.renew_at(),
            (None, None) => Some(now),
        };
        next.map_or(LOOK_EVERY_MS, |next| next.since(now).clamp(LOOK_AT_LEAST_MS, LOOK_EVERY_MS))
    }
}

/// Renews the token for as long as somebody has its keeper.
async fn keep(keeper: Weak<Keeper>) {
    loop {
        let idle_ms = {
            let Some(keeper) = keeper.upgrade() else { return };
            let now = clock::now();
            keeper.begin(&mut keeper.state.lock(), now);
            keeper.idle_ms(now)
        };
        tokio::time::sleep(Duration::from_millis(idle_ms)).await;
    }
}

/// Ends a fetch whatever becomes of its task, so that the next one can begin.
struct Ending {
    keeper: Arc<Keeper>,
    result: Option<Result<Token, Trouble>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let broken = || Err(Trouble::Unavailable("the fetch broke off; report it as a defect".into()));
        let result = self.result.take().unwrap_or_else(broken);
        self.keeper.end(result);
    }
}
