//! The client-facing routes: a table. A new route is one row here, in its dialect's file.

pub mod anthropic;
pub mod openai;

use http::Method;
use wire::{Dialect, Operation};

/// One route a client may call.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As pages and metrics name it: method and path.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path, without a dialect's root.
    pub path: &'static str,
    /// How the client speaks; absent where it is told by a header, as for the list of models.
    pub dialect: Option<Dialect>,
    /// What it wants.
    pub serves: Serves,
    /// Headers that go on to a provider of the same dialect.
    pub carries: &'static [&'static str],
}

/// What a route does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serves {
    /// A call that goes upstream.
    Call(Operation),
    /// The names this key may use.
    Models,
    /// "I am here", for clients that look before they speak.
    Presence,
}

/// Every route, in the order pages list them.
pub fn all() -> impl Iterator<Item = &'static Endpoint> {
    openai::ENDPOINTS.iter().chain(anthropic::ENDPOINTS)
}

/// Why no route was found.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// Nothing lives at this path.
    Path,
    /// Something does, but it takes another method.
    Method(&'static Method),
}

/// The route of a request. Anthropic's also live below `/anthropic`.
pub fn find(method: &Method, path: &str) -> Result<&'static Endpoint, NoRoute> {
    let path = path.strip_prefix("/anthropic").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let mut at_path = None;
    for endpoint in all() {
        let matches = endpoint.path == path
            || endpoint
                .path
                .strip_suffix("/{id}")
                .is_some_and(|stem| path.strip_prefix(stem).is_some_and(|id| id.len() > 1 && id.starts_with('/')));
        if matches && endpoint.method == method {
            return Ok(endpoint);
        }
        if matches {
            at_path = Some(&endpoint.method);
        }
    }
    Err(at_path.map_or(NoRoute::Path, NoRoute::Method))
}

/// The dialect an error is told in when no route was found: by what the client's SDK gives away.
pub fn guess_dialect(path: &str, headers: &http::HeaderMap) -> Dialect {
    let anthropic =
        path.starts_with("/anthropic") || path.starts_with("/v1/messages") || headers.contains_key("anthropic-version");
    if anthropic { Dialect::Anthropic } else { Dialect::OpenAiChat }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_by_method_and_path() {
        let name = |method: Method, path| find(&method, path).map(|endpoint| endpoint.name);
        assert_eq!(name(Method::POST, "/v1/chat/completions"), Ok("POST /v1/chat/completions"));
        assert_eq!(name(Method::POST, "/anthropic/v1/messages"), Ok("POST /v1/messages"));
        assert_eq!(name(Method::GET, "/v1/models/claims-triage"), Ok("GET /v1/models/{id}"));
        assert_eq!(name(Method::HEAD, "/"), Ok("HEAD /"));
        assert_eq!(name(Method::GET, "/v1/chat/completions"), Err(NoRoute::Method(&Method::POST)));
        assert_eq!(name(Method::POST, "/v1/nonsense"), Err(NoRoute::Path));
        assert_eq!(name(Method::POST, "/anthropicx/v1/messages"), Err(NoRoute::Path));
    }
}
