//! The way to the providers: one pool of connections per provider, deadlines on every wait, and no way to send
//! anything that did not pass `protect`.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use config::{AuthScheme, Provider, Server};
use domain::{AttemptId, Fault, FaultClass, ProviderName};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustc_hash::FxHashMap;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tower_service::Service;

use crate::protect::Protected;

const X_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Headers a request usually has at most, with what hyper adds.
const HEADERS: usize = 12;

/// How long an unused connection is kept. Below the 60 s after which common load balancers close theirs.
const IDLE_SECONDS: u64 = 50;
/// Unused connections kept per provider.
const IDLE_CONNECTIONS: usize = 256;

/// Connections to every provider of a snapshot.
pub struct Upstreams {
    pools: FxHashMap<ProviderName, Arc<Pool>>,
    way: Way,
}

/// What the connections to all providers have in common.
struct Way {
    proxy: Option<Uri>,
    /// Whose certificates are trusted: compared, not only the name of their file, which may hold others by now.
    roots: Arc<RootCertStore>,
}

/// Connections to one provider. Inside they are kept by scheme, host and port, so a new base URL needs no new pool.
struct Pool {
    connect_ms: u64,
    client: PoolClient,
}

enum PoolClient {
    Direct(Client<Within<HttpsConnector<HttpConnector>>, Full<Bytes>>),
    Proxied(Client<Within<HttpsConnector<Tunnel<HttpConnector>>>, Full<Bytes>>),
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
}

/// Why no connection can ever be made with this configuration.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The file of `[server] ca_file`.
    #[error("[server] ca_file `{file}` cannot be used: {reason}; give a PEM file with at least one certificate")]
    CaFile {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address of `[server] upstream_proxy`.
    #[error("[server] upstream_proxy `{0}` is no http:// URL such as http://proxy.example:3128")]
    Proxy(String),
}

impl Upstreams {
    /// Pools for these providers. Connections of `before` go on where nothing about them changed.
    pub fn new(
        server: &Server,
        providers: &[Arc<Provider>],
        before: Option<&Upstreams>,
    ) -> Result<Upstreams, UpstreamError> {
        let way = Way { proxy: proxy(server)?, roots: Arc::new(roots(server)?) };
        let before = before.filter(|before| before.way.is_like(&way));
        let tls = way.tls();
        let pool = |provider: &Arc<Provider>| {
            let connect_ms = provider.timeouts.connect_ms;
            let kept = before.and_then(|before| before.pools.get(provider.name.as_str()));
            let kept = kept.filter(|pool| pool.connect_ms == connect_ms);
            kept.cloned().unwrap_or_else(|| Arc::new(Pool::new(&tls, way.proxy.as_ref(), connect_ms)))
        };
        let pools = providers.iter().map(|provider| (provider.name.clone(), pool(provider))).collect();
        Ok(Upstreams { pools, way })
    }

    /// Sends one attempt of a protected call and waits for the head of the answer.
    pub async fn send(&self, _call: &Protected, sending: Sending<'_>) -> Result<Response<Incoming>, Fault> {
        let pool = self.pools.get(sending.provider.name.as_str());
        let pool = pool.ok_or_else(|| Fault::new(FaultClass::Internal, "the provider is not in this snapshot"))?;
        pool.send(request(sending)?).await
    }
}

impl Way {
    fn is_like(&self, other: &Way) -> bool {
        self.proxy == other.proxy && self.roots.roots == other.roots.roots
    }

    fn tls(&self) -> ClientConfig {
        ClientConfig::builder().with_root_certificates(self.roots.clone()).with_no_client_auth()
    }
}

impl Pool {
    fn new(tls: &ClientConfig, proxy: Option<&Uri>, connect_ms: u64) -> Pool {
        let limit = Duration::from_millis(connect_ms);
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        // Divided among the addresses of a name, so that one that is silent leaves time for the next.
        http.set_connect_timeout(Some(limit));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new());
        let client = match proxy {
            None => PoolClient::Direct(builder.build(Within { connector: https.wrap_connector(http), limit })),
            Some(proxy) => {
                let connector = https.wrap_connector(Tunnel::new(proxy.clone(), http));
                PoolClient::Proxied(builder.build(Within { connector, limit }))
            }
        };
        Pool { connect_ms, client }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Fault> {
        let answered = match &self.client {
            PoolClient::Direct(client) => client.request(request).await,
            PoolClient::Proxied(client) => client.request(request).await,
        };
        answered.map_err(|error| fault(&error))
    }
}

/// A connector that must be done within `limit`: name lookup, TCP, the proxy's consent and TLS together.
#[derive(Clone)]
struct Within<C> {
    connector: C,
    limit: Duration,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        let connected = tokio::time::timeout(limit, self.connector.call(uri));
        Box::pin(async move {
            connected.await.unwrap_or_else(|_| {
                let late = format!("no connection within {} ms, TLS included", limit.as_millis());
                Err(io::Error::new(io::ErrorKind::TimedOut, late).into())
            })
        })
    }
}

fn proxy(server: &Server) -> Result<Option<Uri>, UpstreamError> {
    let Some(text) = &server.upstream_proxy else { return Ok(None) };
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    uri.map(Some).ok_or_else(|| UpstreamError::Proxy(text.clone()))
}

fn roots(server: &Server) -> Result<RootCertStore, UpstreamError> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates can still reach providers over plain HTTP or with its own `ca_file`.
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if let Some(file) = &server.ca_file {
        let bad = |reason: String| UpstreamError::CaFile { file: file.clone(), reason };
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
        let mut added = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            added += 1;
        }
        if added == 0 {
            return Err(bad("it holds no certificate".into()));
        }
    }
    Ok(roots)
}

fn request(sending: Sending<'_>) -> Result<Request<Full<Bytes>>, Fault> {
    let Sending { provider, attempt, path, body, form, carried, accept } = sending;
    let ours =
        |what: &str| Fault::new(FaultClass::Internal, format!("{what} of provider `{}` is invalid", provider.name));
    let uri: Uri = format!("{}{path}", provider.base_url).parse().map_err(|_| ours("the URL"))?;
    let mut request = Request::post(uri).body(Full::new(body)).map_err(|_| ours("the request"))?;
    let headers = request.headers_mut();
    headers.reserve(HEADERS);
    let content_type = match form {
        None => HeaderValue::from_static("application/json"),
        Some(boundary) => {
            HeaderValue::try_from(wire::form::content_type(boundary)).map_err(|_| ours("the boundary of a form"))?
        }
    };
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("freehold/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    let attempt = HeaderValue::try_from(attempt.to_string()).map_err(|_| ours("the attempt id"))?;
    headers.insert(X_CLIENT_REQUEST_ID, attempt);
    for (name, value) in carried {
        headers.append(name.clone(), value.clone());
    }
    for (name, value) in &provider.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| ours("a header name"))?;
        headers.insert(name, HeaderValue::try_from(value.as_str()).map_err(|_| ours("a header value"))?);
    }
    authorize(headers, provider).map_err(|()| ours("the credential"))?;
    Ok(request)
}

fn authorize(headers: &mut HeaderMap, provider: &Provider) -> Result<(), ()> {
    let Some(secret) = &provider.credential else { return Ok(()) };
    let (name, text) = match &provider.auth {
        AuthScheme::None => return Ok(()),
        AuthScheme::Bearer => (AUTHORIZATION, format!("Bearer {}", secret.expose())),
        AuthScheme::XApiKey => (X_API_KEY, secret.expose().to_owned()),
        AuthScheme::Header(name) => (HeaderName::try_from(name.as_str()).map_err(|_| ())?, secret.expose().to_owned()),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| ())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// What a failed exchange means. Nothing of the answer had come when this is called.
fn fault(error: &ClientError) -> Fault {
    let sentence = sentence(error);
    if error.is_connect() {
        let class = if timed_out(error) { FaultClass::ConnectTimeout } else { FaultClass::Connect };
        return Fault::new(class, sentence);
    }
    Fault::new(FaultClass::Reset, sentence)
}

/// The error with its causes on one line, cut to a bound.
pub(crate) fn sentence(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.chars().take(300).collect()
}

fn timed_out(error: &ClientError) -> bool {
    let mut source: Option<&dyn StdError> = Some(error);
    while let Some(cause) = source {
        if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn post(uri: String) -> Request<Full<Bytes>> {
        Request::post(uri).body(Full::default()).unwrap()
    }

    fn upstreams(server: &Server, providers: &str, before: Option<&Upstreams>) -> Upstreams {
        let snapshot = crate::deployed::tests::snapshot(providers);
        Upstreams::new(server, &snapshot.providers, before).unwrap()
    }

    fn is_kept(before: &Upstreams, after: &Upstreams) -> bool {
        Arc::ptr_eq(&before.pools["p"], &after.pools["p"])
    }

    #[tokio::test]
    async fn a_peer_that_takes_the_connection_and_never_answers_is_a_connect_timeout_directly_and_through_a_proxy() {
        // The system takes connections for a listener that nobody serves.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let tls = Way { proxy: None, roots: Arc::new(RootCertStore::empty()) }.tls();
        let proxy: Uri = format!("http://{address}").parse().unwrap();
        for proxy in [None, Some(&proxy)] {
            let fault = Pool::new(&tls, proxy, 50).send(post(format!("https://{address}/v1"))).await.unwrap_err();
            assert_eq!(fault.class, FaultClass::ConnectTimeout, "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_a_failure_to_connect() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let tls = Way { proxy: None, roots: Arc::new(RootCertStore::empty()) }.tls();
        let fault = Pool::new(&tls, None, 5_000).send(post(format!("https://{address}/v1"))).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Connect, "{fault:?}");
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
