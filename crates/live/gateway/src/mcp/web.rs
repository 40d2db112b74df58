//! The way to a server of tools over HTTP: headers that go on, the credential, and no redirect followed.

use bytes::{Bytes, BytesMut};
use config::{AuthScheme, McpServer};
use domain::{AttemptId, Fault, FaultClass};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::allow::{MCP_SESSION_ID, Passed, What};
use super::events::{Body, Events, Reply};
use crate::pool::sentence;
use crate::upstream::Upstreams;

/// Longest answer that is no stream, bytes.
const ANSWER_BYTES: usize = 16 << 20;
const X_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// Sends what may pass and waits for the answer, of a stream for its head.
pub async fn send(
    upstreams: &Upstreams,
    url: &str,
    passed: &Passed,
    attempt: Option<AttemptId>,
) -> Result<Reply, Fault> {
    let request = request(url, passed, attempt)?;
    let response = upstreams.send_tool(&passed.caller().server().name, request).await?;
    let (head, incoming) = response.into_parts();
    let session = head.headers.get(MCP_SESSION_ID).and_then(|session| session.to_str().ok()).map(str::to_owned);
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let status = head.status;
    if status.is_redirection() {
        let message = format!("it answered {status}; write the address it leads to as `url`");
        return Err(Fault { status: Some(status.as_u16()), ..Fault::new(FaultClass::Malformed, message) });
    }
    let body = match kind.as_str() {
        "text/event-stream" if status.is_success() => Body::Events(Events::of(incoming)),
        _ => match whole(Response::from_parts(head, incoming)).await? {
            bytes if bytes.is_empty() => Body::Nothing,
            bytes => Body::Whole(bytes, kind == "application/json"),
        },
    };
    Ok(Reply { status, session, body })
}

fn request(url: &str, passed: &Passed, attempt: Option<AttemptId>) -> Result<Request<Full<Bytes>>, Fault> {
    let caller = passed.caller();
    let ours = |what: &str| {
        Fault::new(FaultClass::Internal, format!("{what} of server `{}` is invalid", caller.server().name))
    };
    let (method, body, accept) = match passed.what() {
        What::Message(body, _) => (Method::POST, body.clone(), "application/json, text/event-stream"),
        What::Listen => (Method::GET, Bytes::new(), "text/event-stream"),
        What::End => (Method::DELETE, Bytes::new(), "application/json"),
    };
    let mut request =
        Request::builder().method(method).uri(url).body(Full::new(body)).map_err(|_| ours("the address"))?;
    let headers = request.headers_mut();
    if matches!(passed.what(), What::Message(..)) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("freehold/", env!("CARGO_PKG_VERSION"))));
    if let Some(attempt) = attempt {
        let attempt = HeaderValue::try_from(attempt.to_string()).map_err(|_| ours("the attempt id"))?;
        headers.insert(X_CLIENT_REQUEST_ID, attempt);
    }
    for (name, value) in caller.carried() {
        headers.append(name.clone(), value.clone());
    }
    if let Some(session) = caller.session() {
        headers.insert(MCP_SESSION_ID, HeaderValue::try_from(session).map_err(|_| ours("the session"))?);
    }
    authorize(headers, caller.server()).map_err(|()| ours("the credential"))?;
    Ok(request)
}

fn authorize(headers: &mut HeaderMap, server: &McpServer) -> Result<(), ()> {
    let Some(secret) = &server.credential else { return Ok(()) };
    let (name, text) = match &server.auth {
        AuthScheme::Bearer => (AUTHORIZATION, format!("Bearer {}", secret.expose())),
        AuthScheme::XApiKey => (HeaderName::from_static("x-api-key"), secret.expose().to_owned()),
        AuthScheme::Header(name) => (HeaderName::try_from(name.as_str()).map_err(|_| ())?, secret.expose().to_owned()),
        // No other way of sending a credential can be configured for a server of tools.
        _ => return Err(()),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| ())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, Fault> {
    let mut incoming = response.into_body();
    let mut all = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| Fault::new(FaultClass::Reset, sentence(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + data.len() > ANSWER_BYTES {
            let message = format!("its answer is longer than {ANSWER_BYTES} bytes");
            return Err(Fault::new(FaultClass::Malformed, message));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}
