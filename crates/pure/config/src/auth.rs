//! How a credential is sent, and which headers nobody may set.

use std::fmt;

/// How a credential is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthScheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `x-api-key: …`.
    XApiKey,
    /// In a header of this name, lower case.
    Header(String),
    /// Not at all.
    None,
}

impl fmt::Display for AuthScheme {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthScheme::Bearer => f.write_str("bearer"),
            AuthScheme::XApiKey => f.write_str("x-api-key"),
            AuthScheme::Header(name) => write!(f, "header:{name}"),
            AuthScheme::None => f.write_str("none"),
        }
    }
}

impl AuthScheme {
    /// Reads `bearer`, `x-api-key`, `none` or `header:NAME`.
    pub(crate) fn from_name(text: &str) -> Option<AuthScheme> {
        match text {
            "bearer" => Some(AuthScheme::Bearer),
            "x-api-key" => Some(AuthScheme::XApiKey),
            "none" => Some(AuthScheme::None),
            other => {
                let name = other.strip_prefix("header:")?.to_ascii_lowercase();
                (is_header_name(&name) && !OUR_HEADERS.contains(&name.as_str())).then_some(AuthScheme::Header(name))
            }
        }
    }
}

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
