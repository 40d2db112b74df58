//! A credential while it is good, which no debug output prints.

use std::fmt;

use domain::UnixMs;
use http::HeaderValue;

use super::fetch::Trouble;
use crate::sigv4;

/// How long before its end a token is renewed at most, milliseconds. Azure and AWS give another one well before that.
const RENEW_BEFORE_MS: u64 = 10 * 60 * 1000;
/// What a request is authorized with.
pub(crate) enum Credential {
    /// The value of `Authorization`, marked sensitive.
    Bearer(HeaderValue),
    /// Keys to sign with.
    Aws(aws_credential_types::Credentials),
}

/// A credential while it is good.
pub(crate) struct Token {
    credential: Credential,
    fetched_at: UnixMs,
    /// Absent where it does not expire.
    expires_at: Option<UnixMs>,
}

impl fmt::Debug for Token {
    /// How long it is good, not what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("fetched_at", &self.fetched_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// A token with its end; `None` where it does not expire.
    pub(super) fn new(credential: Credential, now: UnixMs, expires_at: Option<UnixMs>) -> Token {
        Token { credential, fetched_at: now, expires_at }
    }

    /// A bearer token that is good for so many seconds.
    pub(super) fn bearer(text: &str, now: UnixMs, expires_in_s: u64) -> Result<Token, Trouble> {
        let unusable = || Trouble::Unavailable("what came holds characters that no header can carry".into());
        let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(Token::new(Credential::Bearer(value), now, Some(now + expires_in_s.saturating_mul(1000))))
    }

    /// What a request is authorized with.
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whether it may still be used.
    pub(super) fn is_good(&self, now: UnixMs) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// From when on another one is fetched: in the last quarter of its life, and no earlier than ten minutes before its end.
    pub(super) fn renew_at(&self) -> Option<UnixMs> {
        self.expires_at.map(|end| end - (end.since(self.fetched_at) / 4).min(RENEW_BEFORE_MS))
    }

    /// When it was fetched.
    pub(super) fn fetched_at(&self) -> UnixMs {
        self.fetched_at
    }

    /// When it ends; absent where it does not.
    pub(super) fn expires_at(&self) -> Option<UnixMs> {
        self.expires_at
    }
}

/// The instant of `2026-11-25T12:00:00Z`, fractions of a second left out.
pub(super) fn instant(text: &str, whose: &str) -> Result<UnixMs, Trouble> {
    let whole = text.split_once('.').map_or_else(|| text.to_owned(), |(whole, _)| format!("{whole}Z"));
    let compact: String = whole.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let instant = sigv4::time(&compact);
    instant.ok_or_else(|| Trouble::Unavailable(format!("{whose} says no time at which its answer expires")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(fetched_at: i64, expires_at: i64) -> Token {
        Token::new(
            Credential::Bearer(HeaderValue::from_static("Bearer x")),
            UnixMs(fetched_at),
            Some(UnixMs(expires_at)),
        )
    }

    #[test]
    fn a_token_is_renewed_in_its_last_quarter_and_no_earlier_than_ten_minutes_before_its_end() {
        assert_eq!(token(0, 4_000).renew_at(), Some(UnixMs(3_000)));
        let day = 24 * 3_600_000;
        assert_eq!(token(0, day).renew_at(), Some(UnixMs(day - 600_000)));
        assert!(token(0, 4_000).is_good(UnixMs(3_999)) && !token(0, 4_000).is_good(UnixMs(4_000)));
    }

    #[test]
    fn a_token_never_prints() {
        let secret = Token::bearer("s3cret", UnixMs(0), 1).unwrap();
        let printed = format!(
            "{secret:?} {:?}",
            match secret.credential() {
                Credential::Bearer(value) => value,
                Credential::Aws(_) => unreachable!(),
            }
        );
        assert!(!printed.contains("s3cret"), "{printed}");
    }

    #[test]
    fn the_time_of_an_expiration_is_read_with_and_without_fractions() {
        let read = |text| instant(text, "x").ok();
        assert_eq!(read("2026-11-25T04:09:20Z"), Some(UnixMs(1_795_579_760_000)));
        assert_eq!(read("2026-11-25T04:09:20.123456Z"), Some(UnixMs(1_795_579_760_000)));
        assert_eq!(read("tomorrow"), None);
    }
}
