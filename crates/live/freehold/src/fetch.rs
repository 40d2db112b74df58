//! A plain HTTP client for our own listeners: `check --against` and the demo's sample traffic.

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest answer read, bytes.
const LONGEST_ANSWER_BYTES: usize = 16 << 20;

/// A client that keeps its connections.
pub type Http = Client<HttpConnector, Full<Bytes>>;

/// A new client.
pub fn client() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

/// GET with a bearer token; an answer that is not 200 is an error with its text.
pub async fn get_json(url: &str, token: &str) -> anyhow::Result<serde_json::Value> {
    let (status, body) = send(&client(), Method::GET, url, token, String::new()).await?;
    anyhow::ensure!(status == 200, "{url} answered {status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).with_context(|| format!("{url} did not answer with JSON"))
}

/// Sends a request with a bearer token and reads the whole answer.
pub async fn send(http: &Http, method: Method, url: &str, token: &str, body: String) -> anyhow::Result<(u16, Bytes)> {
    send_with_head(http, method, url, token, body).await.map(|answer| (answer.status, answer.body))
}

/// An answer of a gateway.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The call's id.
    pub call: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// The same, with the id of the call.
pub async fn send_with_head(
    http: &Http,
    method: Method,
    url: &str,
    token: &str,
    body: String,
) -> anyhow::Result<Answer> {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .with_context(|| format!("`{url}` is no URL; write it like http://127.0.0.1:7401"))?;
    let response = http.request(request).await.with_context(|| format!("{url} cannot be reached"))?;
    let status = response.status().as_u16();
    let call = response.headers().get("freehold-call-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body = http_body_util::Limited::new(response.into_body(), LONGEST_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer of {url} broke off: {error}"))?;
    Ok(Answer { status, call, body: body.to_bytes() })
}
