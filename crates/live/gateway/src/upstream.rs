//! The way to the providers: one pool of connections per provider, deadlines on every wait, and no way to send
//! anything that did not pass `protect`.

use std::sync::Arc;
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
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

use crate::protect::Protected;

/// How long an unused connection is kept. Below the 60 s after which common load balancers close theirs.
const IDLE_SECONDS: u64 = 50;
/// Unused connections kept per provider.
const IDLE_CONNECTIONS: usize = 256;

/// Connections to every provider of a snapshot.
pub struct Upstreams {
    pools: FxHashMap<ProviderName, Pool>,
}

/// Connections to one provider.
enum Pool {
    Direct(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    Proxied(Client<HttpsConnector<Tunnel<HttpConnector>>, Full<Bytes>>),
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
    /// Headers of the client that the provider's dialect knows, such as `anthropic-beta`.
    pub carried: &'a [(HeaderName, HeaderValue)],
    /// Whether a stream is expected.
    pub stream: bool,
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
    pub fn new(server: &Server, providers: &[Arc<Provider>]) -> Result<Upstreams, UpstreamError> {
        let tls = tls(server)?;
        let proxy = match &server.upstream_proxy {
            None => None,
            Some(text) => Some(
                text.parse::<Uri>()
                    .ok()
                    .filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
                    .ok_or_else(|| UpstreamError::Proxy(text.clone()))?,
            ),
        };
        let pools = providers.iter().map(|provider| {
            (provider.name.clone(), Pool::new(tls.clone(), proxy.as_ref(), provider.timeouts.connect_ms))
        });
        Ok(Upstreams { pools: pools.collect() })
    }

    /// Sends one attempt of a protected call and waits for the head of the answer.
    pub async fn send(&self, _call: &Protected, sending: Sending<'_>) -> Result<Response<Incoming>, Fault> {
        let pool = self.pools.get(sending.provider.name.as_str());
        let pool = pool.ok_or_else(|| Fault::new(FaultClass::Internal, "the provider is not in this snapshot"))?;
        let request = request(sending)?;
        let answered = match pool {
            Pool::Direct(client) => client.request(request).await,
            Pool::Proxied(client) => client.request(request).await,
        };
        answered.map_err(|error| fault(&error))
    }
}

impl Pool {
    fn new(tls: ClientConfig, proxy: Option<&Uri>, connect_ms: u64) -> Pool {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(Duration::from_millis(connect_ms)));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new());
        match proxy {
            None => Pool::Direct(builder.build(https.wrap_connector(http))),
            Some(proxy) => Pool::Proxied(builder.build(https.wrap_connector(Tunnel::new(proxy.clone(), http)))),
        }
    }
}

fn tls(server: &Server) -> Result<ClientConfig, UpstreamError> {
    let mut roots = rustls::RootCertStore::empty();
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
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn request(sending: Sending<'_>) -> Result<Request<Full<Bytes>>, Fault> {
    let Sending { provider, attempt, path, body, carried, stream } = sending;
    let ours =
        |what: &str| Fault::new(FaultClass::Internal, format!("{what} of provider `{}` is invalid", provider.name));
    let uri: Uri = format!("{}{path}", provider.base_url).parse().map_err(|_| ours("the URL"))?;
    let mut request = Request::post(uri).body(Full::new(body)).map_err(|_| ours("the request"))?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("freehold/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, HeaderValue::from_static(if stream { "text/event-stream" } else { "application/json" }));
    let attempt = HeaderValue::try_from(attempt.to_string()).map_err(|_| ours("the attempt id"))?;
    headers.insert(HeaderName::from_static("x-client-request-id"), attempt);
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
        AuthScheme::XApiKey => (HeaderName::from_static("x-api-key"), secret.expose().to_owned()),
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
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
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
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        if cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return true;
        }
        source = cause.source();
    }
    false
}
