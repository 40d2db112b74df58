//! One request to whoever gives tokens, its answer in whole, and what a refusal said without what we had sent.

use std::sync::Arc;

use bytes::Bytes;
use config::BaseUrl;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use serde_json::Value;

use crate::pool::Pool;

/// Within which a connection must be made, milliseconds: metadata services answer at once or are not there.
const CONNECT_MS: u64 = 2_000;
/// Longest answer read, bytes.
const ANSWER_BYTES: usize = 256 << 10;
/// Longest file read that holds a token or keys, bytes.
const FILE_BYTES: u64 = 1 << 20;
/// Most that is repeated of why a token was refused, characters.
const REASON_CHARS: usize = 200;

/// Why there is no token.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody answered, or not with a token: it may be there the next time.
    Unavailable(String),
    /// Whoever gives tokens does not give us one.
    Refused(String),
}

/// The way to those who give tokens.
pub(super) struct Fetch {
    /// To metadata services and agents on the same machine or network, which no proxy stands before.
    near: Pool,
    /// To everyone else.
    far: Pool,
    /// What signs assertions.
    pub crypto: Arc<CryptoProvider>,
}

/// What is asked.
pub(super) struct Ask<'a> {
    /// How.
    pub method: Method,
    /// Where, up to the path.
    pub base: &'a BaseUrl,
    /// The rest of the address.
    pub rest: &'a str,
    /// Headers; values are marked sensitive.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body with its type; absent for none.
    pub body: Option<(&'static str, String)>,
    /// What must not be repeated should the answer do so.
    pub secrets: &'a [&'a str],
}

impl Fetch {
    pub fn new(tls: &ClientConfig, proxy: Option<&Uri>) -> Fetch {
        let crypto = tls.crypto_provider().clone();
        Fetch { near: Pool::new(tls, None, CONNECT_MS), far: Pool::new(tls, proxy, CONNECT_MS), crypto }
    }

    /// Sends a request and reads the whole of an answer that is a success.
    pub async fn send(&self, ask: Ask<'_>) -> Result<Bytes, Trouble> {
        let url = format!("{}{}", ask.base, ask.rest);
        let (request, pool) = self.request(&ask, &url)?;
        self.answered(&ask, pool, request).await
    }

    /// Sends a request that was made ready elsewhere.
    pub async fn send_ready(&self, ask: Ask<'_>, request: Request<Full<Bytes>>) -> Result<Bytes, Trouble> {
        let pool = self.pool(ask.base);
        self.answered(&ask, pool, request).await
    }

    fn pool(&self, base: &BaseUrl) -> &Pool {
        let near = base.is_private() || base.host == "metadata.google.internal";
        if near { &self.near } else { &self.far }
    }

    fn request(&self, ask: &Ask<'_>, url: &str) -> Result<(Request<Full<Bytes>>, &Pool), Trouble> {
        let ours = |_| Trouble::Unavailable(format!("the address at {} cannot be asked", ask.base.host));
        let uri: Uri = url.parse().map_err(|_| ours(()))?;
        let (content_type, body) = ask.body.clone().unzip();
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let mut request = Request::builder().method(ask.method.clone()).uri(uri).body(body).map_err(|_| ours(()))?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("freehold/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in ask.headers {
            let name = HeaderName::try_from(*name).map_err(|_| ours(()))?;
            let mut value = HeaderValue::try_from(*value).map_err(|_| ours(()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok((request, self.pool(ask.base)))
    }

    async fn answered(&self, ask: &Ask<'_>, pool: &Pool, request: Request<Full<Bytes>>) -> Result<Bytes, Trouble> {
        let host = &ask.base.host;
        let answer = pool.send(request).await;
        let answer =
            answer.map_err(|fault| Trouble::Unavailable(format!("{host} cannot be reached: {}", fault.message)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| Trouble::Unavailable(format!("the answer of {host} broke off")))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let why = format!("{host} answered {}{}", status.as_u16(), reason(&body, ask.secrets));
        // Too many requests and timeouts pass; everything else of the kind is about what was sent.
        let passes = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Err(match status.is_client_error() && !passes {
            true => Trouble::Refused(why),
            false => Trouble::Unavailable(why),
        })
    }
}

/// The answer as JSON.
pub(super) fn json(body: &[u8], whose: &str) -> Result<Value, Trouble> {
    serde_json::from_slice(body).map_err(|_| Trouble::Unavailable(format!("{whose} did not answer with JSON")))
}

/// A text of the answer that must be there.
pub(super) fn text<'v>(answer: &'v Value, name: &str, whose: &str) -> Result<&'v str, Trouble> {
    let text = answer[name].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| Trouble::Unavailable(format!("the answer of {whose} has no `{name}`")))
}

/// Seconds until a token expires, as a number or as a text of digits.
pub(super) fn seconds(answer: &Value, name: &str, whose: &str) -> Result<u64, Trouble> {
    let value = &answer[name];
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    seconds.ok_or_else(|| Trouble::Unavailable(format!("the answer of {whose} has no `{name}`")))
}

/// A form's fields, percent-encoded.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", wire::dialect::path_segment(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A file that something else may renew at any time, read off the calls' threads.
pub(super) async fn file(path: &str) -> Result<String, Trouble> {
    let unreadable = |why: String| Trouble::Unavailable(format!("file `{path}` cannot be read: {why}"));
    let length = tokio::fs::metadata(path).await.map_err(|error| unreadable(error.to_string()))?.len();
    if length > FILE_BYTES {
        return Err(unreadable(format!("it has {length} bytes")));
    }
    tokio::fs::read_to_string(path).await.map_err(|error| unreadable(error.to_string()))
}

/// The same for a file that holds a token and nothing else.
pub(super) async fn token_file(path: &str) -> Result<String, Trouble> {
    let text = file(path).await?.trim().to_owned();
    match text.is_empty() {
        true => Err(Trouble::Unavailable(format!("file `{path}` is empty"))),
        false => Ok(text),
    }
}

/// What an error answer says, on one line: `error` and `error_description` of OAuth, `message` of others, `Code` and `Message`
/// of AWS. An answer that repeats what it was sent is not believed a word of it.
fn reason(body: &[u8], secrets: &[&str]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(answer) => {
            let error = &answer["error"];
            let parts =
                [error, &answer["error_description"], &error["message"], &answer["message"], &answer["Message"]];
            parts.iter().filter_map(|part| part.as_str()).collect::<Vec<_>>().join(": ")
        }
        Err(_) => ["Code", "Message"].iter().filter_map(|tag| xml(&text, tag)).collect::<Vec<_>>().join(": "),
    };
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS).collect();
    // A part of a secret would be as bad as all of it, so its first characters are looked for.
    let repeats = secrets.iter().filter_map(|secret| secret.get(..12)).any(|start| said.contains(start));
    if said.is_empty() || repeats { String::new() } else { format!(" ({said})") }
}

/// The text of the first element of this name; what AWS's Query protocol answers with needs no more.
pub(super) fn xml<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let (_, after) = text.split_once(&format!("<{tag}>"))?;
    let (inside, _) = after.split_once(&format!("</{tag}>"))?;
    Some(inside.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_whoever_refused_and_never_with_what_was_sent() {
        let entra =
            br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.\r\nTrace"}"#;
        assert_eq!(reason(entra, &[]), " (invalid_client: AADSTS7000215: Invalid client secret.  Trace)");
        let sts = b"<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>Token expired</Message></Error></ErrorResponse>";
        assert_eq!(reason(sts, &[]), " (ExpiredTokenException: Token expired)");
        let google = br#"{"error":{"code":403,"message":"Permission denied"}}"#;
        assert_eq!(reason(google, &[]), " (Permission denied)");
        let echo = br#"{"error":"you sent s3cret-of-the-application"}"#;
        assert_eq!(reason(echo, &["s3cret-of-the-application"]), "");
        assert_eq!(reason(b"<html>", &[]), "");
    }

    #[test]
    fn a_form_escapes_what_would_end_a_field() {
        assert_eq!(form(&[("a", "x&y=z"), ("b", "https://a/.default")]), "a=x%26y%3Dz&b=https%3A%2F%2Fa%2F.default");
    }
}
