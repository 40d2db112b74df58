//! A call as it came in: bytes, whose it is, and the few headers a provider's dialect knows.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use domain::{CallId, SessionId, UnixMs};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use wire::dialect::from_path_segment;
use wire::{Address, Framing};

use crate::endpoints::Endpoint;
use crate::keys::Key;
use crate::refusal::Refusal;

/// One client request of a known key, not yet admitted.
pub struct Call {
    /// Its identifier, in every answer and record.
    pub id: CallId,
    /// Where it came in.
    pub endpoint: &'static Endpoint,
    /// What the address said of the request, where its dialect says it there.
    pub address: Option<Address>,
    /// When, by the wall.
    pub at: UnixMs,
    /// When, for measuring.
    pub arrived: Instant,
    /// Whose call it is.
    pub key: Arc<Key>,
    /// Headers that go on to a provider of the same dialect.
    pub carried: Vec<(HeaderName, HeaderValue)>,
    /// The boundary of its body, where that is a form.
    pub form: Option<String>,
    /// The session its client names.
    pub session: Option<SessionId>,
    /// The workflow its header names, for requests that may leave the model out.
    pub workflow: Option<String>,
    /// How the events of a streamed answer are to follow one another.
    pub framing: Framing,
    /// The query that goes on to a provider of the same dialect, with its question mark; empty when there is none.
    pub query: String,
    /// Whether its client wants neither an answer of before nor this one to be given again (`Cache-Control: no-store`).
    pub no_store: bool,
    /// The body.
    pub body: Bytes,
}

/// Whether the headers of a request keep it from any cache. `no-cache` does so too: it asks for an answer of now.
pub fn wants_no_cache(headers: &HeaderMap) -> bool {
    let said = headers.get_all(http::header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut words = said.flat_map(|value| value.split(',')).map(str::trim);
    words.any(|word| word.eq_ignore_ascii_case("no-store") || word.eq_ignore_ascii_case("no-cache"))
}

/// Headers that name the session a call belongs to, ours first: `X-Claude-Code-Session-Id` is what Claude Code sends with every
/// request (its gateway protocol reference, "Request headers").
const SESSION_HEADERS: [&str; 2] = ["freehold-session", "x-claude-code-session-id"];

/// Longest name of a session that is kept as it is, characters; a longer one goes by its hash.
const LONGEST_SESSION: usize = 64;

/// The session that the headers of a request name.
pub fn session_named(headers: &HeaderMap) -> Option<SessionId> {
    let named = SESSION_HEADERS.iter().find_map(|name| headers.get(*name))?;
    let plain = named.to_str().ok().map(str::trim);
    match plain {
        Some("") => None,
        Some(text) if text.len() <= LONGEST_SESSION && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Some(SessionId::new(text))
        }
        _ => Some(SessionId::new(&blake3::hash(named.as_bytes()).to_hex()[..32])),
    }
}

/// Headers that hold nothing but the key, as the vendors' SDKs send them.
const KEY_HEADERS: [&str; 2] = ["x-api-key", "x-goog-api-key"];

/// The credential of a request: `Authorization: Bearer`, one of [`KEY_HEADERS`], or `key` in a query that is for us,
/// whichever the SDK uses. Two that differ are refused, so that no check can look at one and another at the other.
pub fn credential(headers: &HeaderMap, query: Option<&str>) -> Result<Option<String>, Refusal> {
    let mut found: Option<Cow<'_, str>> = None;
    let bearer = headers.get_all(http::header::AUTHORIZATION).iter().map(|value| {
        let text = value.to_str().map_err(|_| Refusal::CredentialUnreadable)?;
        let (scheme, token) = text.split_once(' ').ok_or(Refusal::CredentialUnreadable)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::CredentialUnreadable);
        }
        Ok(Cow::Borrowed(token.trim()))
    });
    let plain = KEY_HEADERS
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .map(|value| value.to_str().map(|text| Cow::Borrowed(text.trim())).map_err(|_| Refusal::CredentialUnreadable));
    let pairs = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.strip_prefix("key="));
    let asked = pairs.map(|key| from_path_segment(key).ok_or(Refusal::CredentialUnreadable));
    for credential in bearer.chain(plain).chain(asked) {
        let credential = credential?;
        if found.as_ref().is_some_and(|other| *other != credential) {
            return Err(Refusal::CredentialsConflict);
        }
        found = Some(credential);
    }
    Ok(found.map(Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn both_ways_of_authenticating_are_read_and_a_conflict_is_refused() {
        let read = |pairs: &[_]| credential(&headers(pairs), None);
        assert_eq!(read(&[("authorization", "Bearer fh_a_b")]).unwrap().as_deref(), Some("fh_a_b"));
        assert_eq!(read(&[("x-api-key", "fh_a_b")]).unwrap().as_deref(), Some("fh_a_b"));
        assert_eq!(read(&[("x-api-key", "k"), ("authorization", "bearer k")]).unwrap().as_deref(), Some("k"));
        assert_eq!(read(&[]).unwrap(), None);
        assert!(matches!(
            read(&[("x-api-key", "k"), ("authorization", "Bearer l")]),
            Err(Refusal::CredentialsConflict)
        ));
        assert!(matches!(read(&[("authorization", "Basic eDp5")]), Err(Refusal::CredentialUnreadable)));
        assert_eq!(read(&[("x-goog-api-key", "fh_a_b")]).unwrap().as_deref(), Some("fh_a_b"));
    }

    #[test]
    fn a_session_is_what_the_client_calls_it_or_a_hash_of_that() {
        let named = |pairs: &[_]| session_named(&headers(pairs)).map(|session| session.as_str().to_owned());
        assert_eq!(
            named(&[("freehold-session", " run-7 "), ("x-claude-code-session-id", "c")]).as_deref(),
            Some("run-7")
        );
        assert_eq!(named(&[("x-claude-code-session-id", "c")]).as_deref(), Some("c"));
        assert_eq!((named(&[]), named(&[("freehold-session", " ")])), (None, None));
        let long = "x".repeat(65);
        assert_eq!(named(&[("freehold-session", &long)]).map(|name| name.len()), Some(32));
        assert_eq!(named(&[("freehold-session", "two words")]).map(|name| name.len()), Some(32));
    }

    #[test]
    fn a_client_may_keep_its_request_from_the_cache() {
        assert!(wants_no_cache(&headers(&[("cache-control", "max-age=0, No-Store")])));
        assert!(wants_no_cache(&headers(&[("cache-control", "no-cache")])));
        assert!(!wants_no_cache(&headers(&[("cache-control", "max-age=0")])));
        assert!(!wants_no_cache(&headers(&[])));
    }

    #[test]
    fn a_key_in_a_query_for_us_is_one_more_credential() {
        let read = |query, pairs: &[_]| credential(&headers(pairs), Some(query));
        assert_eq!(read("alt=sse&key=fh_a%5Fb", &[]).unwrap().as_deref(), Some("fh_a_b"));
        assert_eq!(read("alt=sse&monkey=x", &[]).unwrap(), None);
        assert!(matches!(read("key=a&key=b", &[]), Err(Refusal::CredentialsConflict)));
        assert!(matches!(read("key=a", &[("x-goog-api-key", "b")]), Err(Refusal::CredentialsConflict)));
        assert!(matches!(read("key=%", &[]), Err(Refusal::CredentialUnreadable)));
    }
}
