//! The way to the providers: one pool of connections per provider, deadlines on every wait, and no way to send
//! anything that did not pass `protect`.

use std::sync::Arc;

use bytes::Bytes;
use config::{AuthScheme, Identity, McpServer, Provider, Server};
use domain::{AttemptId, Fault, FaultClass, ProviderName};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use rustc_hash::FxHashMap;

use crate::clock;
use crate::identity::{Credential, Keeper, Token};
use crate::kept::allow::Reach;
use crate::pipe::{Connector, Dial};
pub use crate::pool::UpstreamError;
use crate::pool::{Pool, Way};
use crate::protect::Protected;
use crate::sigv4;

const X_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Headers a request usually has at most, with what hyper adds.
const HEADERS: usize = 12;

/// Connections to every provider of a snapshot.
pub struct Upstreams {
    pools: FxHashMap<ProviderName, Arc<Pool>>,
    /// What keeps the tokens of those that take no lasting key.
    keepers: FxHashMap<ProviderName, Arc<Keeper>>,
    way: Way,
}

/// What is put on the wire for one attempt.
pub struct Sending<'a> {
    /// To whom.
    pub provider: &'a Provider,
    /// Which attempt; told to the provider, so that its support and its transcript can be matched with our ledger.
    pub attempt: AttemptId,
    /// Path below the provider's base URL, with its query.
    pub path: &'a str,
    /// The body.
    pub body: Bytes,
    /// The boundary of the body, where it is a form; JSON otherwise.
    pub form: Option<&'a str>,
    /// Headers of the client that the provider's dialect knows, such as `anthropic-beta`.
    pub carried: &'a [(HeaderName, HeaderValue)],
    /// What the answer may be.
    pub accept: &'static str,
    /// The challenge of a WebSocket, where the connection is to become one.
    pub challenge: Option<&'a str>,
}

impl Upstreams {
    /// Pools for these providers. Connections of `before` go on where nothing about them changed.
    pub fn new(
        server: &Server,
        providers: &[Arc<Provider>],
        before: Option<&Upstreams>,
    ) -> Result<Upstreams, UpstreamError> {
        let way = Way::new(server)?;
        let before = before.filter(|before| before.way.is_like(&way));
        let tls = way.tls();
        let pool = |provider: &Arc<Provider>| {
            let connect_ms = provider.timeouts.connect_ms;
            let kept = before.and_then(|before| before.pools.get(provider.name.as_str()));
            let kept = kept.filter(|pool| pool.connect_ms == connect_ms);
            kept.cloned().unwrap_or_else(|| Arc::new(Pool::new(&tls, way.proxy.as_ref(), connect_ms)))
        };
        let pools = providers.iter().map(|provider| (provider.name.clone(), pool(provider))).collect();
        let keeper = |provider: &Arc<Provider>| {
            let identity = provider.identity.as_ref()?;
            let kept = before.and_then(|before| before.keepers.get(provider.name.as_str()));
            let kept = kept.filter(|keeper| keeper.identity() == identity);
            let keeper =
                kept.cloned().unwrap_or_else(|| Keeper::start(&provider.name, identity, &tls, way.proxy.as_ref()));
            Some((provider.name.clone(), keeper))
        };
        let keepers = providers.iter().filter_map(keeper).collect();
        Ok(Upstreams { pools, keepers, way })
    }

    /// The same with other connections to every provider: those of drills.
    pub fn piped(self, connector: &Connector, providers: &[Arc<Provider>]) -> Upstreams {
        let pool = |provider: &Arc<Provider>| {
            let dial = Dial { connector: connector.clone(), provider: provider.name.clone() };
            (provider.name.clone(), Arc::new(Pool::piped(dial, provider.timeouts.connect_ms)))
        };
        Upstreams { pools: providers.iter().map(pool).collect(), keepers: FxHashMap::default(), way: self.way }
    }

    /// Adds pools for servers of tools. A provider's name has no colon, so the two never meet.
    pub fn with_tools(mut self, servers: &[Arc<McpServer>], before: Option<&Upstreams>) -> Upstreams {
        let before = before.filter(|before| before.way.is_like(&self.way));
        let tls = self.way.tls();
        for server in servers.iter().filter(|server| matches!(server.reach, config::Reach::Url(_))) {
            let (name, connect_ms) = (tools_pool(&server.name), server.timeouts.connect_ms);
            let kept = before.and_then(|before| before.pools.get(name.as_str()));
            let kept = kept.filter(|pool| pool.connect_ms == connect_ms).cloned();
            let pool = kept.unwrap_or_else(|| Arc::new(Pool::new(&tls, self.way.proxy.as_ref(), connect_ms)));
            self.pools.insert(name, pool);
        }
        self
    }

    /// A pool for what is no call: a webhook that is told something now and then.
    pub(crate) fn pool_of_its_own(&self, connect_ms: u64) -> Pool {
        Pool::new(&self.way.tls(), self.way.proxy.as_ref(), connect_ms)
    }

    /// Sends a request to a server of tools; `mcp::web` makes it of what may pass.
    pub(crate) async fn send_tool(
        &self,
        server: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Fault> {
        let pool = self.pools.get(tools_pool(server).as_str());
        let pool = pool.ok_or_else(|| Fault::new(FaultClass::Internal, "the server is not in this snapshot"))?;
        pool.send(request).await
    }

    /// Sends one attempt of a protected call and waits for the head of the answer.
    pub fn send<'a>(
        &'a self,
        _call: &Protected,
        sending: Sending<'a>,
    ) -> impl Future<Output = Result<Response<Incoming>, Fault>> + Send + use<'a> {
        self.sent(sending.provider, |token| request(sending, token))
    }

    /// Sends a request about something a provider keeps, and waits for the head of the answer.
    pub(crate) async fn send_kept(&self, reach: &Reach) -> Result<Response<Incoming>, Fault> {
        self.sent(reach.provider(), |token| about(reach, token)).await
    }

    async fn sent(
        &self,
        provider: &Provider,
        make: impl FnOnce(Option<&Token>) -> Result<Request<Full<Bytes>>, Fault>,
    ) -> Result<Response<Incoming>, Fault> {
        let pool = self.pools.get(provider.name.as_str());
        let pool = pool.ok_or_else(|| Fault::new(FaultClass::Internal, "the provider is not in this snapshot"))?;
        let Some(keeper) = self.keepers.get(provider.name.as_str()) else {
            let answer = make(None).map(|request| pool.send(request))?;
            return answer.await;
        };
        let token = keeper.token().await?;
        let answer = make(Some(&token)).map(|request| pool.send(request))?;
        let answer = answer.await?;
        if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            keeper.refused(&token);
        }
        Ok(answer)
    }

    /// What keeps the tokens of a provider, where it takes tokens.
    pub fn keeper(&self, provider: &str) -> Option<&Arc<Keeper>> {
        self.keepers.get(provider)
    }
}

/// Whether an answer came packed though none was asked for packed, and how.
pub(crate) fn packed(headers: &HeaderMap) -> Option<Fault> {
    let how = headers.get(CONTENT_ENCODING).filter(|how| !how.as_bytes().eq_ignore_ascii_case(b"identity"))?;
    let how: String = how.to_str().unwrap_or("?").chars().take(40).collect();
    let sentence = format!(
        "the provider packed its answer (`content-encoding: {how}`) though `accept-encoding: identity` was sent; turn \
         compression off there, or in the proxy before it"
    );
    Some(Fault::new(FaultClass::Malformed, sentence))
}

fn tools_pool(server: &str) -> ProviderName {
    ProviderName::new(format!("mcp:{server}"))
}

fn request(sending: Sending<'_>, token: Option<&Token>) -> Result<Request<Full<Bytes>>, Fault> {
    let Sending { provider, attempt, path, body, form, carried, accept, challenge } = sending;
    let ours =
        |what: &str| Fault::new(FaultClass::Internal, format!("{what} of provider `{}` is invalid", provider.name));
    let uri: Uri = address(provider, path).parse().map_err(|_| ours("the URL"))?;
    let request = match challenge {
        None => Request::post(uri).body(Full::new(body.clone())),
        Some(_) => Request::get(uri).body(Full::default()),
    };
    let mut request = request.map_err(|_| ours("the request"))?;
    let headers = request.headers_mut();
    headers.reserve(HEADERS);
    let content_type = match form {
        None => HeaderValue::from_static("application/json"),
        Some(boundary) => {
            HeaderValue::try_from(wire::form::content_type(boundary)).map_err(|_| ours("the boundary of a form"))?
        }
    };
    match challenge {
        None => {
            headers.insert(CONTENT_TYPE, content_type);
        }
        Some(challenge) => {
            let challenge = HeaderValue::try_from(challenge).map_err(|_| ours("the challenge"))?;
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(SEC_WEBSOCKET_KEY, challenge);
        }
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("freehold/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    let attempt = HeaderValue::try_from(attempt.to_string()).map_err(|_| ours("the attempt id"))?;
    headers.insert(X_CLIENT_REQUEST_ID, attempt);
    signed(request, &body, provider, carried, token)
}

/// A request about something a provider keeps.
fn about(reach: &Reach, token: Option<&Token>) -> Result<Request<Full<Bytes>>, Fault> {
    let provider = reach.provider();
    let ours =
        |what: &str| Fault::new(FaultClass::Internal, format!("{what} of provider `{}` is invalid", provider.name));
    let uri: Uri = address(provider, reach.path()).parse().map_err(|_| ours("the URL"))?;
    let request = Request::builder().method(reach.method().clone()).uri(uri);
    let mut request = request.body(Full::new(reach.body().clone())).map_err(|_| ours("the request"))?;
    let headers = request.headers_mut();
    headers.reserve(HEADERS);
    if let Some(content_type) = reach.content_type() {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    signed(request, reach.body(), provider, reach.carried(), token)
}

/// The request with the client's headers, the provider's, and the credential.
fn signed(
    mut request: Request<Full<Bytes>>,
    body: &Bytes,
    provider: &Provider,
    carried: &[(HeaderName, HeaderValue)],
    token: Option<&Token>,
) -> Result<Request<Full<Bytes>>, Fault> {
    let ours =
        |what: &str| Fault::new(FaultClass::Internal, format!("{what} of provider `{}` is invalid", provider.name));
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("freehold/", env!("CARGO_PKG_VERSION"))));
    // Without it a server may pack what it likes (RFC 9110, 12.5.3); an answer is read in place, so nothing here unpacks one.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in carried {
        headers.append(name.clone(), value.clone());
    }
    for (name, value) in &provider.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| ours("a header name"))?;
        headers.insert(name, HeaderValue::try_from(value.as_str()).map_err(|_| ours("a header value"))?);
    }
    match (token.map(Token::credential), &provider.identity) {
        (None, _) => authorize(headers, provider).map_err(|()| ours("the credential"))?,
        (Some(Credential::Bearer(value)), _) => {
            headers.insert(AUTHORIZATION, value.clone());
        }
        (Some(Credential::Aws(keys)), Some(Identity::Aws(aws))) => {
            let scope = sigv4::Scope { region: &aws.region, service: &aws.service, at: clock::now() };
            sigv4::sign_request(&mut request, body, keys, &scope).ok_or_else(|| ours("what is to be signed"))?;
        }
        (Some(Credential::Aws(_)), _) => return Err(ours("the identity")),
    }
    Ok(request)
}

/// The address of a request: the base URL, the path of the operation, and the queries of both.
fn address(provider: &Provider, path: &str) -> String {
    let mut address = format!("{}{path}", provider.base_url);
    for (name, value) in &provider.query {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.extend([name, "=", value]);
    }
    address
}

fn authorize(headers: &mut HeaderMap, provider: &Provider) -> Result<(), ()> {
    let Some(secret) = &provider.credential else { return Ok(()) };
    let (name, text) = match &provider.auth {
        // Without an identity there is nothing to sign or to fetch with.
        AuthScheme::None | AuthScheme::AwsSigV4 | AuthScheme::Entra | AuthScheme::Google => return Ok(()),
        AuthScheme::Bearer => (AUTHORIZATION, format!("Bearer {}", secret.expose())),
        AuthScheme::XApiKey => (X_API_KEY, secret.expose().to_owned()),
        AuthScheme::Header(name) => (HeaderName::try_from(name.as_str()).map_err(|_| ())?, secret.expose().to_owned()),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| ())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(server: &Server, providers: &str, before: Option<&Upstreams>) -> Upstreams {
        let snapshot = crate::deployed::tests::snapshot(providers);
        Upstreams::new(server, &snapshot.providers, before).unwrap()
    }

    fn is_kept(before: &Upstreams, after: &Upstreams) -> bool {
        Arc::ptr_eq(&before.pools["p"], &after.pools["p"])
    }

    #[test]
    fn connections_outlive_a_reload_that_changes_nothing_about_the_way_to_the_provider() {
        let server = Server::default();
        let first = upstreams(&server, "base_url = \"http://127.0.0.1:1\"", None);
        let moved = upstreams(&server, "base_url = \"http://127.0.0.1:2\"", Some(&first));
        assert!(is_kept(&first, &moved), "a base URL does not matter");
        let patient = "base_url = \"http://127.0.0.1:2\"\ntimeouts = { connect_ms = 9000 }";
        assert!(!is_kept(&moved, &upstreams(&server, patient, Some(&moved))), "a deadline does");
        let proxied = Server { upstream_proxy: Some("http://127.0.0.1:3".into()), ..server };
        assert!(!is_kept(&moved, &upstreams(&proxied, "base_url = \"http://127.0.0.1:2\"", Some(&moved))));
    }
}
