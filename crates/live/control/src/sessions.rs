//! Who may look after the installation: admin tokens, and console sessions opened with one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::UnixMs;
use store::{AdminToken, AuditLine, Store, StoredSession};

use crate::failure::ControlError;
use crate::secrets::{Pepper, random_text, same, split};

/// Name of the session cookie.
pub const COOKIE: &str = "freehold_session";
/// How long a session lasts, milliseconds: a working day.
pub const SESSION_MS: u64 = 12 * 3_600_000;
/// Failed logins one address may make within [`FAILURES_COUNT_MS`] before it has to wait.
const FAILURES_ALLOWED: u32 = 5;
/// How long failed logins count, milliseconds.
const FAILURES_COUNT_MS: u64 = 60_000;
/// Addresses remembered; all further ones share one count.
const ADDRESSES: usize = 1_024;
/// Longest cookie value looked at.
const LONGEST_COOKIE: usize = 128;

/// A session that was just opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The cookie's value; kept nowhere else.
    pub cookie: String,
    /// What every form of the session carries.
    pub csrf: String,
    /// When it ends.
    pub expires_at: UnixMs,
}

/// A session as its pages need it.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// What every form of the session carries.
    pub csrf: String,
    /// The public half of the admin token it was opened with.
    pub who: String,
    /// When it ends.
    pub expires_at: UnixMs,
}

impl Session {
    /// Whether a form came from a page of this session; compared in constant time.
    pub fn csrf_matches(&self, given: &str) -> bool {
        same(self.csrf.as_bytes(), given.as_bytes())
    }
}

// Neither prints its secret.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login until {}", self.expires_at)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session of {} until {}", self.who, self.expires_at)
    }
}

/// The `Set-Cookie` value of a login; `secure` keeps the cookie to TLS.
pub fn set_cookie(login: &Login, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}", login.cookie, SESSION_MS / 1000)
}

/// The `Set-Cookie` value that makes a browser forget the session.
pub fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

/// Makes an admin token `fha_<id>_<secret>` and returns its text, the only place its secret will ever be.
pub async fn create_admin_token(
    store: &Store,
    pepper: &Pepper,
    label: &str,
    by: &str,
    now: UnixMs,
) -> Result<(AdminToken, String), ControlError> {
    let minted = pepper.mint("fha");
    let token =
        AdminToken { id: minted.id, hash: minted.hash, label: label.to_owned(), created_at: now, revoked_at: None };
    store.insert_admin_token(&token).await?;
    let detail = format!("admin token {} ({label})", token.id);
    store.audit(&AuditLine { at: now, who: by.to_owned(), what: "admin_token.create".into(), detail }).await?;
    Ok((token, minted.text))
}

/// The public half of an admin token, if its text is right and it is not revoked.
pub async fn verify_admin_token(store: &Store, pepper: &Pepper, text: &str) -> Result<Option<String>, ControlError> {
    let Some((id, secret)) = split("fha", text) else { return Ok(None) };
    let known = store.admin_token(id).await?;
    // An unknown identifier costs the same hash and comparison as a known one.
    let expected = known.as_ref().map_or([0; 32], |token| token.hash);
    let right = same(&pepper.hash(secret), &expected);
    Ok(known.filter(|token| right && token.revoked_at.is_none()).map(|token| token.id))
}

/// Opens a session with an admin token. `from` is the address of whoever asks, so that guessing is slowed down.
pub(crate) async fn login(
    store: &Store,
    pepper: &Pepper,
    failures: &Failures,
    text: &str,
    from: &str,
    now: UnixMs,
) -> Result<Login, ControlError> {
    failures.check(from, now)?;
    let Some(token) = verify_admin_token(store, pepper, text.trim()).await? else {
        failures.count(from, now);
        tracing::warn!(from, "a login to the console failed");
        return Err(ControlError::WrongToken);
    };
    let cookie = random_text();
    let session = StoredSession {
        hash: cookie_hash(pepper, &cookie),
        token: token.clone(),
        created_at: now,
        expires_at: now + SESSION_MS,
    };
    store.insert_session(&session).await?;
    let line = AuditLine { at: now, who: token, what: "session.open".into(), detail: format!("from {from}") };
    store.audit(&line).await?;
    Ok(Login { csrf: csrf_of(pepper, &cookie), cookie, expires_at: session.expires_at })
}

/// The session a cookie's value stands for, while it lasts.
pub(crate) async fn session(
    store: &Store,
    pepper: &Pepper,
    cookie: &str,
    now: UnixMs,
) -> Result<Option<Session>, ControlError> {
    if cookie.is_empty() || cookie.len() > LONGEST_COOKIE {
        return Ok(None);
    }
    let found = store.session(&cookie_hash(pepper, cookie), now).await?;
    Ok(found.map(|found| Session { csrf: csrf_of(pepper, cookie), who: found.token, expires_at: found.expires_at }))
}

/// Ends the session of a cookie's value.
pub(crate) async fn logout(store: &Store, pepper: &Pepper, cookie: &str) -> Result<(), ControlError> {
    Ok(store.delete_session(&cookie_hash(pepper, cookie)).await?)
}

fn cookie_hash(pepper: &Pepper, cookie: &str) -> [u8; 32] {
    pepper.hash_for("session", cookie)
}

fn csrf_of(pepper: &Pepper, cookie: &str) -> String {
    blake3::Hash::from(pepper.hash_for("csrf", cookie)).to_hex().to_string()
}

/// Failed logins by address.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<String, (u32, UnixMs)>>);

impl Failures {
    fn check(&self, from: &str, now: UnixMs) -> Result<(), ControlError> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((count, since)) = table.get(from).or_else(|| table.get("").filter(|_| table.len() > ADDRESSES)) else {
            return Ok(());
        };
        let passed = now.since(*since);
        if *count >= FAILURES_ALLOWED && passed < FAILURES_COUNT_MS {
            return Err(ControlError::TooManyLogins { retry_after_ms: FAILURES_COUNT_MS - passed });
        }
        Ok(())
    }

    fn count(&self, from: &str, now: UnixMs) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= ADDRESSES {
            table.retain(|_, (_, since)| now.since(*since) < FAILURES_COUNT_MS);
        }
        let who = if table.len() < ADDRESSES || table.contains_key(from) { from } else { "" };
        let (count, since) = table.entry(who.to_owned()).or_insert((0, now));
        if now.since(*since) >= FAILURES_COUNT_MS {
            (*count, *since) = (0, now);
        }
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_guess_of_an_address_waits_and_another_address_does_not() {
        let failures = Failures::default();
        for _ in 0..5 {
            failures.check("10.0.0.1", UnixMs(0)).unwrap();
            failures.count("10.0.0.1", UnixMs(0));
        }
        let refused = failures.check("10.0.0.1", UnixMs(10_000));
        assert!(matches!(refused, Err(ControlError::TooManyLogins { retry_after_ms: 50_000 })));
        assert!(failures.check("10.0.0.2", UnixMs(10_000)).is_ok());
        assert!(failures.check("10.0.0.1", UnixMs(60_000)).is_ok());
    }

    #[test]
    fn many_addresses_take_bounded_memory_and_still_wait() {
        let failures = Failures::default();
        for number in 0..5_000 {
            failures.count(&format!("10.0.{}.{}", number / 256, number % 256), UnixMs(0));
        }
        assert!(failures.0.lock().unwrap().len() <= ADDRESSES + 1);
        assert!(failures.check("192.0.2.1", UnixMs(1)).is_err());
    }

    #[test]
    fn the_cookie_is_kept_from_scripts_and_other_sites() {
        let login = Login { cookie: "abc".into(), csrf: String::new(), expires_at: UnixMs(0) };
        let plain = "freehold_session=abc; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict";
        assert_eq!(set_cookie(&login, false), plain);
        assert_eq!(set_cookie(&login, true), format!("{plain}; Secure"));
        assert!(!format!("{login:?}").contains("abc"));
    }
}
