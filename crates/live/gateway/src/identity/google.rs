//! Tokens of Google's: an assertion signed with a service account's key, the metadata service, or a token of another platform
//! that is exchanged.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::identity::{Google, GoogleSource, SubjectFormat};
use config::{BaseUrl, Secret};
use domain::UnixMs;
use http::Method;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::fetch::{self, Ask, Fetch, Trouble};
use super::token::{Token, instant};
use crate::clock;

/// Assertions of a service account, and exchanges of tokens (RFC 7523, section 2.1; RFC 8693, section 2.1).
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The longest an assertion may be good for, seconds (Google Identity, OAuth 2.0 for server to server applications).
const ASSERTION_S: i64 = 3_600;
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn token(fetch: &Fetch, google: &Google) -> Result<Token, Trouble> {
    match &google.source {
        GoogleSource::ServiceAccount { email, key_id, private_key, token_url, .. } => {
            let claims = Claims { email, scope: &google.scope, audience: &token_url.to_string() };
            let assertion = assertion(&fetch.crypto, &claims, key_id.as_deref(), private_key, clock::now())?;
            let body = fetch::form(&[("grant_type", JWT_BEARER), ("assertion", &assertion)]);
            let ask = Ask {
                method: Method::POST,
                base: token_url,
                rest: "",
                headers: &[],
                body: Some((FORM, body)),
                secrets: &[&assertion],
            };
            read(&fetch.send(ask).await?, "Google")
        }
        GoogleSource::Metadata { url, account } => {
            let ask = Ask {
                method: Method::GET,
                base: url,
                rest: &format!("/computeMetadata/v1/instance/service-accounts/{account}/token"),
                headers: &[("metadata-flavor", "Google")],
                body: None,
                secrets: &[],
            };
            read(&fetch.send(ask).await?, "the metadata service")
        }
        GoogleSource::WorkloadIdentity { .. } => exchanged(fetch, google).await,
    }
}

async fn exchanged(fetch: &Fetch, google: &Google) -> Result<Token, Trouble> {
    let GoogleSource::WorkloadIdentity {
        audience,
        subject_token_type,
        subject_token_file,
        format,
        token_url,
        impersonation,
    } = &google.source
    else {
        return Err(Trouble::Unavailable("there is no token to exchange".into()));
    };
    let text = fetch::token_file(subject_token_file).await?;
    let subject = match format {
        SubjectFormat::Text => text,
        SubjectFormat::Json(member) => {
            let whose = format!("file `{subject_token_file}`");
            fetch::text(&fetch::json(text.as_bytes(), &whose)?, member, &whose)?.to_owned()
        }
    };
    let body = fetch::form(&[
        ("grant_type", EXCHANGE),
        ("audience", audience),
        ("scope", if impersonation.is_some() { CLOUD_PLATFORM } else { &google.scope }),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token", &subject),
        ("subject_token_type", subject_token_type),
    ]);
    let ask = Ask {
        method: Method::POST,
        base: token_url,
        rest: "",
        headers: &[],
        body: Some((FORM, body)),
        secrets: &[&subject],
    };
    let answer = fetch.send(ask).await?;
    match impersonation {
        None => read(&answer, "Google"),
        Some(url) => impersonated(fetch, url, &answer, &google.scope).await,
    }
}

/// What taking a service account on needs.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

async fn impersonated(fetch: &Fetch, url: &BaseUrl, answer: &[u8], scope: &str) -> Result<Token, Trouble> {
    let whose = "Google";
    let first = fetch::json(answer, whose)?;
    let first = fetch::text(&first, "access_token", whose)?;
    let ask = Ask {
        method: Method::POST,
        base: url,
        rest: "",
        headers: &[("authorization", &format!("Bearer {first}"))],
        body: Some(("application/json", json!({ "scope": [scope] }).to_string())),
        secrets: &[first],
    };
    let answer = fetch::json(&fetch.send(ask).await?, whose)?;
    let end = instant(fetch::text(&answer, "expireTime", whose)?, whose)?;
    let now = clock::now();
    Token::bearer(fetch::text(&answer, "accessToken", whose)?, now, end.since(now) / 1000)
}

fn read(body: &[u8], whose: &str) -> Result<Token, Trouble> {
    let answer = fetch::json(body, whose)?;
    let expires_in = fetch::seconds(&answer, "expires_in", whose)?;
    // The metadata service pads what it gives with dots.
    let token = fetch::text(&answer, "access_token", whose)?;
    Token::bearer(token, clock::now(), expires_in)
}

/// What an assertion says.
struct Claims<'a> {
    email: &'a str,
    scope: &'a str,
    audience: &'a str,
}

/// A signed assertion (RFC 7523 with RS256 of RFC 7518, section 3.3). TLS's own library signs it.
fn assertion(
    crypto: &CryptoProvider,
    claims: &Claims<'_>,
    key_id: Option<&str>,
    private_key: &Secret,
    now: UnixMs,
) -> Result<String, Trouble> {
    let unusable = || Trouble::Refused("the service account's key is no RSA key in PEM".into());
    let key = PrivateKeyDer::from_pem_slice(private_key.expose().as_bytes()).map_err(|_| unusable())?;
    let key = crypto.key_provider.load_private_key(key).map_err(|_| unusable())?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(unusable)?;
    let mut header = json!({ "alg": "RS256", "typ": "JWT" });
    if let Some(key_id) = key_id {
        header["kid"] = key_id.into();
    }
    let issued = now.0 / 1000;
    let claims = json!({
        "iss": claims.email, "scope": claims.scope, "aud": claims.audience,
        "iat": issued, "exp": issued + ASSERTION_S
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = signer.sign(signed.as_bytes()).map_err(|_| unusable())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
