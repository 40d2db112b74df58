//! Who may see a page and who may post to one: the session cookie, the origin, the token in every form, and the headers
//! that tell a browser to trust nothing else.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Form, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use control::sessions::COOKIE;

use crate::desk::{Desk, Visitor};
use crate::pages::error;
use crate::show;

/// The fields of a form that came from one of our own pages, sent by somebody with a good session.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Who sent it.
    pub visitor: Visitor,
    /// What was filled in.
    pub fields: Fields,
}

/// The fields of the login form: from our own page, but without a session yet.
#[derive(Clone, Debug)]
pub struct Knock {
    /// What was filled in.
    pub fields: Fields,
    /// Whether the browser reached us by TLS, so that the cookie may be kept to it.
    pub by_tls: bool,
    /// The address of whoever knocks, so that guessing can be slowed down; empty where the server does not tell.
    pub from: String,
}

/// Names and values of a form, repeated names included.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Fields from pairs.
    pub fn new(pairs: Vec<(String, String)>) -> Fields {
        Fields(pairs)
    }

    /// The first value of that name, trimmed; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    /// Every value of that name, trimmed.
    pub fn every<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.trim())
    }
}

impl FromRequestParts<Desk> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Response> {
        if let Some(cookie) = cookie(&parts.headers)
            && let Some(session) = desk.source.session(cookie).await.map_err(|trouble| error::trouble(&trouble))?
        {
            return Ok(Visitor { session, cookie: cookie.to_owned(), menu: desk.menu.clone() });
        }
        // A form cannot be taken up again after the login; a page can.
        let next = if parts.method == Method::GET { parts.uri.path_and_query() } else { None };
        Err(Redirect::to(&login_address(next.map_or("/", |path| path.as_str()))).into_response())
    }
}

impl FromRequest<Desk> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, desk: &Desk) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        from_our_page(&parts.headers).map_err(error::forbidden)?;
        let visitor = Visitor::from_request_parts(&mut parts, desk).await?;
        let fields = fields(Request::from_parts(parts, body), desk).await?;
        if !visitor.session.csrf_matches(fields.text("csrf")) {
            return Err(error::forbidden(
                "The form carries no valid token of your session. Load the page again and repeat.",
            ));
        }
        Ok(Posted { visitor, fields })
    }
}

impl FromRequest<Desk> for Knock {
    type Rejection = Response;

    async fn from_request(request: Request, desk: &Desk) -> Result<Self, Response> {
        from_our_page(request.headers()).map_err(error::forbidden)?;
        let by_tls =
            request.headers().get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
        let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
        Ok(Knock { fields: fields(request, desk).await?, by_tls, from: from.unwrap_or_default() })
    }
}

async fn fields(request: Request, desk: &Desk) -> Result<Fields, Response> {
    match Form::<Vec<(String, String)>>::from_request(request, desk).await {
        Ok(Form(pairs)) => Ok(Fields(pairs)),
        Err(rejection) => Err(rejection.into_response()),
    }
}

/// The value of our cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// Whether a browser says that the form stood on one of our own pages. A form without such a word is refused: every
/// browser of the last years sends `Origin` with a POST.
fn from_our_page(headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return if site == "same-origin" { Ok(()) } else { Err("The form came from another site.") };
    }
    let Some(origin) = text(header::ORIGIN) else {
        return Err("The request names no Origin, so it cannot be told from one made by another site.");
    };
    let authority = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(|a| a.as_str().to_owned()));
    match (authority, text(header::HOST)) {
        (Some(from), Some(host)) if from.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err("The form came from another origin. Behind a proxy, keep the Host header as the browser sent it."),
    }
}

/// The login page that leads back to where somebody wanted to go.
fn login_address(next: &str) -> String {
    if next == "/" { "/login".to_owned() } else { format!("/login?next={}", show::in_query(next)) }
}

/// A path on this console to go to after the login, or `/` where the wish leads elsewhere.
pub fn local_path(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if plain && next.starts_with('/') && !next.starts_with("//") && !next.starts_with("/login") { next } else { "/" }
}

/// Headers on every answer. `Referrer-Policy` is `same-origin`, not `no-referrer`: with the latter browsers send
/// `Origin: null` with our own forms, and they could not be told from another site's.
pub async fn secure(mut response: Response) -> Response {
    const HEADERS: &[(&str, &str)] = &[
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn only_forms_of_our_own_pages_are_taken() {
        let good: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[("origin", "http://127.0.0.1:7401"), ("host", "127.0.0.1:7401")],
            &[("origin", "https://Console.example"), ("host", "console.example")],
        ];
        let bad: &[&[(&str, &str)]] = &[
            &[("host", "127.0.0.1:7401")],
            &[("origin", "null"), ("host", "127.0.0.1:7401")],
            &[("origin", "http://evil.example"), ("host", "127.0.0.1:7401")],
            &[("origin", "http://127.0.0.1:7402"), ("host", "127.0.0.1:7401")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:7401"), ("host", "127.0.0.1:7401")],
            &[("sec-fetch-site", "same-site")],
        ];
        for pairs in good {
            assert!(from_our_page(&headers(pairs)).is_ok(), "{pairs:?}");
        }
        for pairs in bad {
            assert!(from_our_page(&headers(pairs)).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; b=2")]);
        assert_eq!(cookie(&headers), None);
        let mine = format!("a=1; {COOKIE}=xyz; b=2");
        let headers = [(header::COOKIE, HeaderValue::from_str(&mine).unwrap())].into_iter().collect();
        assert_eq!(cookie(&headers), Some("xyz"));
    }

    #[test]
    fn after_the_login_one_stays_here() {
        for (wish, path) in [
            ("/calls?workflow=a", "/calls?workflow=a"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/calls\r\nx: y", "/"),
            ("/login", "/"),
            ("", "/"),
        ] {
            assert_eq!(local_path(wish), path, "{wish}");
        }
    }
}
