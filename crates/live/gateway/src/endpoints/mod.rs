//! The client-facing routes: a table. A new route is one row here, in its dialect's file.

pub mod anthropic;
pub mod bedrock;
pub mod cohere;
pub mod google;
pub mod mcp;
pub mod openai;

use http::Method;
use wire::dialect::from_path_segment;
use wire::{Dialect, Framing, Operation};

use crate::kept;

/// One route a client may call.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As pages and metrics name it: method and path.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path, without a dialect's root. `{model}` stands for the name of a workflow and may span several segments, `{server}`
    /// for that of a server of tools, `{id}` for that of a kept thing, any other word in braces for one segment that says nothing
    /// to us.
    pub path: &'static str,
    /// How the client speaks; absent where it is told by a header, as for the list of models.
    pub dialect: Option<Dialect>,
    /// What it wants.
    pub serves: Serves,
    /// Headers that go on to a provider of the same dialect.
    pub carries: &'static [&'static str],
    /// What becomes of the query.
    pub query: Query,
    /// How its body may be written.
    pub takes: Takes,
    /// Whether coming here asks for a stream, where the address says so and not the body ([`Dialect::is_addressed`]).
    pub streams: bool,
}

/// The row of a route: its method and path, written once, and what it serves; then how the client speaks, where the path says.
macro_rules! endpoint {
    ($method:ident $path:literal, $serves:expr) => {
        $crate::endpoints::Endpoint {
            name: concat!(stringify!($method), " ", $path),
            method: http::Method::$method,
            path: $path,
            dialect: None,
            serves: $serves,
            carries: &[],
            query: $crate::endpoints::Query::Carried,
            takes: $crate::endpoints::Takes::Json,
            streams: false,
        }
    };
    ($method:ident $path:literal, $serves:expr, $dialect:expr) => {
        $crate::endpoints::endpoint!($method $path, $serves).spoken_in($dialect)
    };
}
use endpoint;

impl Endpoint {
    const fn spoken_in(mut self, dialect: Dialect) -> Endpoint {
        self.dialect = Some(dialect);
        self
    }

    const fn carrying(mut self, headers: &'static [&'static str]) -> Endpoint {
        self.carries = headers;
        self
    }

    const fn with_query_for_us(mut self) -> Endpoint {
        self.query = Query::Ours;
        self
    }

    const fn taking(mut self, takes: Takes) -> Endpoint {
        self.takes = takes;
        self
    }

    const fn streaming(mut self) -> Endpoint {
        self.streams = true;
        self
    }
}

/// What becomes of a route's query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Query {
    /// It goes on to a provider of the same dialect.
    Carried,
    /// It is for us, and may hold the key (`?key=`): nothing of it goes on, and nothing of it is logged.
    Ours,
}

/// How the body of a request may be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// As JSON.
    Json,
    /// As a form, which may hold files.
    Form,
    /// As either.
    JsonOrForm,
    /// As anything.
    Anything,
    /// There is none; one that comes all the same is not looked at.
    Nothing,
}

/// A route, and what the path said on the way to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The row.
    pub endpoint: &'static Endpoint,
    /// What stood in the place of `{model}`, `{server}` or `{id}`, percent-decoded.
    pub model: Option<String>,
}

/// What a route does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serves {
    /// A call that goes upstream.
    Call(Operation),
    /// A call in the grammar of the model's own vendor, which its body tells.
    Invocation,
    /// A conversation over a WebSocket.
    Conversation,
    /// A key of the provider's own, or a call past us, which is not given out.
    EphemeralKey,
    /// What is said to a server of tools.
    ToolServer,
    /// What is asked of a provider about something it keeps.
    Kept(kept::Ask),
    /// What an application says of an answer it was given.
    Feedback,
    /// The names this key may use.
    Models,
    /// "I am here", for clients that look before they speak.
    Presence,
}

/// Every route, in the order pages list them.
pub fn all() -> impl Iterator<Item = &'static Endpoint> {
    openai::ENDPOINTS
        .iter()
        .chain(anthropic::ENDPOINTS)
        .chain(google::ENDPOINTS)
        .chain(bedrock::ENDPOINTS)
        .chain(cohere::ENDPOINTS)
        .chain(mcp::ENDPOINTS)
}

/// Why no route was found.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// Nothing lives at this path.
    Path,
    /// Something does, but it takes other methods.
    Method(Vec<&'static Method>),
}

/// Roots below which every route lives too, for SDKs that are given one address per vendor.
const ROOTS: &[&str] = &["/anthropic", "/gemini", "/bedrock"];

/// The route of a request.
pub fn find(method: &Method, path: &str) -> Result<Route, NoRoute> {
    let below = |root: &&str| path.strip_prefix(*root).filter(|rest| rest.starts_with('/'));
    let path = ROOTS.iter().find_map(below).unwrap_or(path);
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let mut at_path = Vec::new();
    for endpoint in all() {
        let Some(model) = matched(endpoint.path, path) else { continue };
        if endpoint.method == method {
            let model = match model {
                Some(segment) => Some(from_path_segment(segment).ok_or(NoRoute::Path)?.into_owned()),
                None => None,
            };
            return Ok(Route { endpoint, model });
        }
        if !at_path.contains(&&endpoint.method) {
            at_path.push(&endpoint.method);
        }
    }
    Err(if at_path.is_empty() { NoRoute::Path } else { NoRoute::Method(at_path) })
}

/// Whether a path is of this pattern, and what stands in the place of `{model}`.
fn matched<'p>(pattern: &str, path: &'p str) -> Option<Option<&'p str>> {
    let Some((before, rest)) = pattern.split_once('{') else { return (pattern == path).then_some(None) };
    let path = path.strip_prefix(before)?;
    let (name, after) = rest.split_once('}')?;
    if name == "model" || name == "server" {
        // The rest is literal. A workflow's name may hold colons and slashes, so the end is looked for at the end.
        let model = path.strip_suffix(after).filter(|model| !model.is_empty())?;
        return Some(Some(model));
    }
    if name == "id" {
        let id = path.strip_suffix(after).filter(|id| !id.is_empty() && !id.contains('/'))?;
        return Some(Some(id));
    }
    let end = path.find('/').filter(|end| *end > 0)?;
    matched(after, &path[end..])
}

/// The dialect an error is told in when no route was found: by what the client's SDK gives away.
pub fn guess_dialect(path: &str, headers: &http::HeaderMap) -> Dialect {
    let begins = |roots: &[&str]| roots.iter().any(|root| path.starts_with(root));
    let sends = |names: &[&str]| names.iter().any(|name| headers.contains_key(*name));
    if begins(&["/anthropic", "/v1/messages"]) || sends(&["anthropic-version"]) {
        Dialect::Anthropic
    } else if begins(&["/gemini", "/v1beta", "/v1/projects"]) || sends(&["x-goog-api-key", "x-goog-api-client"]) {
        Dialect::Gemini
    } else if begins(&["/model/", "/bedrock/"]) {
        Dialect::BedrockConverse
    } else if begins(&["/v2/"]) || headers.get("x-fern-sdk-name").is_some_and(|name| name == "cohere") {
        Dialect::Cohere
    } else {
        Dialect::OpenAiChat
    }
}

/// How the events of a streamed answer follow one another: Google's clients ask for server-sent events by `alt=sse`, and get
/// one JSON array without.
pub fn framing(endpoint: &Endpoint, query: Option<&str>) -> Framing {
    let asks = |pair: &str| matches!(pair, "alt=sse" | "$alt=sse" | "%24alt=sse");
    match endpoint.streams && endpoint.query == Query::Ours && !query.is_some_and(|query| query.split('&').any(asks)) {
        true => Framing::JsonArray,
        false => endpoint.dialect.map_or(Framing::ServerSentEvents, Dialect::framing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_by_method_and_path() {
        let name = |method: Method, path| find(&method, path).map(|route| route.endpoint.name);
        assert_eq!(name(Method::POST, "/v1/chat/completions"), Ok("POST /v1/chat/completions"));
        assert_eq!(name(Method::POST, "/anthropic/v1/messages"), Ok("POST /v1/messages"));
        assert_eq!(name(Method::GET, "/v1/models/claims-triage"), Ok("GET /v1/models/{model}"));
        assert_eq!(name(Method::HEAD, "/"), Ok("HEAD /"));
        assert_eq!(name(Method::GET, "/v1/chat/completions"), Err(NoRoute::Method(vec![&Method::POST])));
        let both = NoRoute::Method(vec![&Method::GET, &Method::DELETE]);
        assert_eq!(name(Method::POST, "/v1/responses/resp_1"), Err(both));
        assert_eq!(name(Method::POST, "/v1/nonsense"), Err(NoRoute::Path));
        assert_eq!(name(Method::DELETE, "/mcp/crm"), Ok("DELETE /mcp/{server}"));
        assert_eq!(name(Method::POST, "/mcp/"), Err(NoRoute::Path));
        assert_eq!(name(Method::POST, "/anthropicx/v1/messages"), Err(NoRoute::Path));
    }

    #[test]
    fn google_sdks_find_their_routes_whatever_version_they_speak() {
        let route =
            |path| find(&Method::POST, path).map(|route| (route.endpoint.name, route.model.unwrap_or_default()));
        const GENERATE: &str = "POST /{version}/models/{model}:generateContent";
        const STREAM: &str = "POST /{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:streamGenerateContent";
        assert_eq!(route("/v1/models/claims:generateContent"), Ok((GENERATE, "claims".into())));
        assert_eq!(route("/v1beta/models/lane:a:generateContent"), Ok((GENERATE, "lane:a".into())));
        assert_eq!(route("/gemini/v1beta/models/claims:generateContent"), Ok((GENERATE, "claims".into())));
        let vertex = "/v1beta1/projects/p/locations/l/publishers/google/models/claims:streamGenerateContent";
        assert_eq!(route(vertex), Ok((STREAM, "claims".into())));
        assert_eq!(route("/v1beta/models/claims:predict"), Err(NoRoute::Method(vec![&Method::GET])));
        let stream = find(&Method::POST, vertex).unwrap().endpoint;
        assert_eq!(framing(stream, Some("key=x&alt=sse")), Framing::ServerSentEvents);
        assert_eq!(framing(stream, Some("alt=json")), Framing::JsonArray);
        assert_eq!(framing(find(&Method::POST, "/v1/messages").unwrap().endpoint, None), Framing::ServerSentEvents);
    }

    #[test]
    fn a_name_in_the_path_is_read_from_its_place() {
        let model = |path| find(&Method::GET, path).map(|route| route.model);
        assert_eq!(model("/v1/models/lane%3Apremium"), Ok(Some("lane:premium".into())));
        assert_eq!(model("/v1/models/vendor/model"), Ok(Some("vendor/model".into())));
        assert_eq!(model("/v1/models/%ff"), Err(NoRoute::Path));
        assert_eq!(model("/v1/models/"), Ok(None));
        for (pattern, path, expected) in [
            ("/m/{model}/converse", "/m/a%2Fb/converse", Some(Some("a%2Fb"))),
            ("/m/{model}/converse", "/m//converse", None),
            ("/m/{model}:count", "/m/lane:a:count", Some(Some("lane:a"))),
            ("/m/{model}:count", "/m/:count", None),
            ("/p/{project}/m/{model}:count", "/p/x/m/y:count", Some(Some("y"))),
            ("/p/{project}/m/{model}:count", "/p//m/y:count", None),
            ("/p/{project}/m/{model}:count", "/p/x/n/y:count", None),
            ("/r/{id}", "/r/a_1", Some(Some("a_1"))),
            ("/r/{id}", "/r/a_1/items", None),
            ("/r/{id}/items", "/r/a_1/items", Some(Some("a_1"))),
            ("/r/{id}/items", "/r//items", None),
            ("/p", "/p", Some(None)),
        ] {
            assert_eq!(matched(pattern, path), expected, "{pattern} {path}");
        }
    }
}
