//! Connections: one pool per provider, made within a deadline, through the proxy and with the certificates that `[server]`
//! names.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use config::Server;
use domain::{Fault, FaultClass};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Builder, Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tower_service::Service;

use crate::interim::Interim;
use crate::pipe::Dial;

/// How long an unused connection is kept. Below the 60 s after which common load balancers close theirs.
const IDLE_SECONDS: u64 = 50;
/// Unused connections kept per provider.
const IDLE_CONNECTIONS: usize = 256;

/// Longest head of an answer, and most that is read of one at once, bytes. What is read at once is parsed in one go, interim
/// answers (1xx) too.
const HEAD_BYTES: usize = 64 << 10;

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

/// What the connections to all providers have in common.
pub(crate) struct Way {
    pub proxy: Option<Uri>,
    /// Whose certificates are trusted: compared, not only the name of their file, which may hold others by now.
    pub roots: Arc<RootCertStore>,
}

/// Connections to one provider. Inside they are kept by scheme, host and port, so a new base URL needs no new pool.
pub(crate) struct Pool {
    /// Within which a connection must be made, milliseconds.
    pub connect_ms: u64,
    client: PoolClient,
}

enum PoolClient {
    Direct(Client<Within<HttpsConnector<HttpConnector>>, Full<Bytes>>),
    Proxied(Client<Within<HttpsConnector<Tunnel<HttpConnector>>>, Full<Bytes>>),
    Piped(Client<Within<Dial>, Full<Bytes>>),
}

impl Way {
    /// As `[server]` says.
    pub fn new(server: &Server) -> Result<Way, UpstreamError> {
        Ok(Way { proxy: proxy(server)?, roots: Arc::new(roots(server)?) })
    }

    /// Whether connections of one are good for the other.
    pub fn is_like(&self, other: &Way) -> bool {
        self.proxy == other.proxy && self.roots.roots == other.roots.roots
    }

    /// How TLS is spoken.
    pub fn tls(&self) -> ClientConfig {
        ClientConfig::builder().with_root_certificates(self.roots.clone()).with_no_client_auth()
    }
}

impl Pool {
    /// No connection yet.
    pub fn new(tls: &ClientConfig, proxy: Option<&Uri>, connect_ms: u64) -> Pool {
        let limit = Duration::from_millis(connect_ms);
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        // Divided among the addresses of a name, so that one that is silent leaves time for the next.
        http.set_connect_timeout(Some(limit));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let builder = builder();
        let client = match proxy {
            None => PoolClient::Direct(builder.build(Within { connector: https.wrap_connector(http), limit })),
            Some(proxy) => {
                let connector = https.wrap_connector(Tunnel::new(proxy.clone(), http));
                PoolClient::Proxied(builder.build(Within { connector, limit }))
            }
        };
        Pool { connect_ms, client }
    }

    /// The same over what `dial` connects.
    pub fn piped(dial: Dial, connect_ms: u64) -> Pool {
        let within = Within { connector: dial, limit: Duration::from_millis(connect_ms) };
        Pool { connect_ms, client: PoolClient::Piped(builder().build(within)) }
    }

    /// Sends a request and waits for the head of the answer. No redirect is followed.
    pub fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Incoming>, Fault>> + Send + use<> {
        let interim = Interim::of(&mut request);
        let answered = match &self.client {
            PoolClient::Direct(client) => client.request(request),
            PoolClient::Proxied(client) => client.request(request),
            PoolClient::Piped(client) => client.request(request),
        };
        // Not an async function: that would have room for the request as well, twice.
        async move {
            tokio::select! {
                biased;
                answered = answered => answered.map_err(|error| fault(&error)),
                fault = interim.too_many() => Err(fault),
            }
        }
    }
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(HEAD_BYTES)
        .pool_timer(TokioTimer::new());
    builder
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
}
