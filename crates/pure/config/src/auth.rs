//! How a credential is sent, and which headers nobody may set.

use std::fmt;

use wire::Dialect;

use crate::identity::{Cloud, Identity};

/// How a credential is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthScheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `x-api-key: …`.
    XApiKey,
    /// In a header of this name, lower case.
    Header(String),
    /// Not sent but used: the request is signed (AWS Signature Version 4).
    AwsSigV4,
    /// `Authorization: Bearer …` with a token of Microsoft Entra, fetched and renewed.
    Entra,
    /// `Authorization: Bearer …` with a token of Google's, fetched and renewed.
    Google,
    /// Not at all.
    None,
}

impl fmt::Display for AuthScheme {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthScheme::Bearer => f.write_str("bearer"),
            AuthScheme::XApiKey => f.write_str("x-api-key"),
            AuthScheme::Header(name) if PLAIN.contains(&name.as_str()) => f.write_str(name),
            AuthScheme::Header(name) => write!(f, "header:{name}"),
            AuthScheme::AwsSigV4 => f.write_str("aws-sigv4"),
            AuthScheme::Entra => f.write_str("entra"),
            AuthScheme::Google => f.write_str("google"),
            AuthScheme::None => f.write_str("none"),
        }
    }
}

impl AuthScheme {
    /// How a dialect's own API takes a credential.
    pub(crate) fn of(dialect: Dialect) -> AuthScheme {
        let named = dialect.key_header().and_then(AuthScheme::from_name);
        named.unwrap_or(AuthScheme::Bearer)
    }

    /// How an identity is shown.
    pub(crate) fn of_identity(identity: &Identity) -> AuthScheme {
        match identity.cloud() {
            Cloud::Aws => AuthScheme::AwsSigV4,
            Cloud::Entra => AuthScheme::Entra,
            Cloud::Google => AuthScheme::Google,
        }
    }

    /// Whether what is sent is a key that stands in the configuration's environment or files.
    pub(crate) fn takes_key(&self) -> bool {
        matches!(self, AuthScheme::Bearer | AuthScheme::XApiKey | AuthScheme::Header(_))
    }

    /// Reads `bearer`, `x-api-key`, `api-key`, `x-goog-api-key`, `none` or `header:NAME`.
    pub(crate) fn from_name(text: &str) -> Option<AuthScheme> {
        match text {
            "bearer" => Some(AuthScheme::Bearer),
            "x-api-key" => Some(AuthScheme::XApiKey),
            name if PLAIN.contains(&name) => Some(AuthScheme::Header(name.to_owned())),
            "none" => Some(AuthScheme::None),
            other => {
                let name = other.strip_prefix("header:")?.to_ascii_lowercase();
                (is_header_name(&name) && !OUR_HEADERS.contains(&name.as_str())).then_some(AuthScheme::Header(name))
            }
        }
    }
}

/// Headers of API keys that are named without `header:`: Google's and Azure's.
const PLAIN: [&str; 2] = ["x-goog-api-key", "api-key"];

/// Headers Freehold sets itself, or that frame the request.
pub(crate) const OUR_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept",
    "accept-encoding",
    "keep-alive",
    "user-agent",
    "x-client-request-id",
];

/// Headers that carry credentials.
pub(crate) const CREDENTIAL_HEADERS: &[&str] =
    &["authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "x-goog-api-key"];

/// Whether a text can name a header (RFC 9110, section 5.1).
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
