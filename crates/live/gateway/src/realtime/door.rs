//! What a client that wants a WebSocket says at the door: by which header or subprotocol it shows its key, and what it is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Fault, FaultClass};
use http::header::{
    HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use wire::dialect::from_path_segment;

use crate::refusal::Refusal;
use crate::reply::Upgrading;

/// How browsers, which can send no header, show their key (OpenAI's guide, Realtime with WebSockets).
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";
/// The same of the header `openai-beta`: `openai-beta.realtime-v1`.
const BETA_PROTOCOL: &str = "openai-beta.";
/// The protocol that is spoken.
const PROTOCOL: &str = "realtime";
/// What selects a beta of OpenAI's API.
const OPENAI_BETA: HeaderName = HeaderName::from_static("openai-beta");

/// What was asked at the door.
pub struct Asked {
    /// The way to the socket, once it is answered.
    pub upgrading: Upgrading,
    /// The key among the subprotocols.
    pub credential: Option<String>,
    /// Headers that go on, which stood among the subprotocols.
    pub carried: Vec<(HeaderName, HeaderValue)>,
}

/// Reads the head of a request for a socket.
pub fn asked(headers: &HeaderMap, on: Option<OnUpgrade>) -> Result<Asked, Refusal> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let wants = text(&UPGRADE).is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"));
    let key = text(&SEC_WEBSOCKET_KEY).filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let (Some(on), Some(key), true, Some("13")) = (on, key, wants, text(&SEC_WEBSOCKET_VERSION)) else {
        return Err(Refusal::NoSocket);
    };
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| Refusal::NoSocket)?;
    let (mut credential, mut carried, mut protocol) = (None::<String>, Vec::new(), None);
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    for offered in offered.flat_map(|list| list.split(',')).map(str::trim) {
        if let Some(key) = offered.strip_prefix(KEY_PROTOCOL) {
            if credential.as_deref().is_some_and(|other| other != key) {
                return Err(Refusal::CredentialsConflict);
            }
            credential = Some(key.to_owned());
        } else if let Some(beta) = offered.strip_prefix(BETA_PROTOCOL) {
            // `realtime-v1` stands for `realtime=v1`, which no subprotocol may say.
            carried.extend(HeaderValue::try_from(beta.replacen('-', "=", 1)).map(|value| (OPENAI_BETA, value)));
        } else if offered == PROTOCOL {
            protocol = Some(HeaderValue::from_static(PROTOCOL));
        }
    }
    Ok(Asked { upgrading: Upgrading { on, accept, protocol }, credential, carried })
}

/// The socket that a provider's answer to `challenge` makes of its connection.
pub fn switched(mut response: Response<Incoming>, challenge: &str) -> Result<OnUpgrade, Fault> {
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| {
        response.status() == StatusCode::SWITCHING_PROTOCOLS && *accept == derive_accept_key(challenge.as_bytes())
    });
    match accepted {
        true => Ok(hyper::upgrade::on(&mut response)),
        false => Err(Fault::new(FaultClass::Malformed, "the provider does not speak WebSocket at this address")),
    }
}

/// The model that the query names. A session that only writes down what it hears has its own way to name one, which is not
/// understood.
pub fn model(query: Option<&str>) -> Result<String, Refusal> {
    let bad = |message: &str, param: &str| Refusal::Body { message: message.into(), param: Some(param.into()) };
    let mut model = None;
    for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        let value = from_path_segment(value).ok_or_else(|| bad("the query is not percent-encoded UTF-8", name))?;
        match name {
            "model" if model.is_some() => return Err(bad("`model` stands twice in the query; write it once", "model")),
            "model" => model = Some(value.into_owned()),
            "intent" => {
                let message = "sessions with an `intent` are not served; send audio to /v1/audio/transcriptions, or turn \
                               transcription on in a session with a `model`";
                return Err(bad(message, "intent"));
            }
            "call_id" => return Err(bad("calls that came in by SIP or WebRTC are not known here", "call_id")),
            _ => {}
        }
    }
    Ok(model.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let socket = [
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            // The example of RFC 6455, 1.3.
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let all = socket.iter().map(|(name, value)| (*name, *value)).chain(pairs.iter().copied());
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// The way of a request that no connection carries; nothing ever comes of it.
    fn way() -> Option<OnUpgrade> {
        Some(hyper::upgrade::on(http::Request::new(())))
    }

    #[test]
    fn a_browser_shows_its_key_as_a_subprotocol_and_is_answered_with_the_one_it_speaks() {
        let offered = "realtime, openai-insecure-api-key.fh_a_b, openai-beta.realtime-v1";
        let asked = asked(&door(&[("sec-websocket-protocol", offered)]), way()).unwrap();
        assert_eq!(asked.credential.as_deref(), Some("fh_a_b"));
        assert_eq!(asked.carried, [(OPENAI_BETA, HeaderValue::from_static("realtime=v1"))]);
        assert_eq!(asked.upgrading.protocol, Some(HeaderValue::from_static("realtime")));
        assert_eq!(asked.upgrading.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_request_for_a_socket_is_refused() {
        assert!(matches!(asked(&HeaderMap::new(), None), Err(Refusal::NoSocket)));
        assert!(matches!(asked(&door(&[]), None), Err(Refusal::NoSocket)));
        assert!(matches!(asked(&door(&[("sec-websocket-key", "short")]), way()), Err(Refusal::NoSocket)));
        let two = "openai-insecure-api-key.a, openai-insecure-api-key.b";
        let two = asked(&door(&[("sec-websocket-protocol", two)]), way());
        assert!(matches!(two, Err(Refusal::CredentialsConflict)));
    }

    #[test]
    fn the_query_names_one_model() {
        assert_eq!(model(Some("model=claims%2Dtriage&x=1")).unwrap(), "claims-triage");
        assert_eq!(model(None).unwrap(), "");
        for refused in ["model=a&model=b", "intent=transcription", "call_id=rtc_1", "model=%ff"] {
            assert!(matches!(model(Some(refused)), Err(Refusal::Body { .. })), "{refused}");
        }
    }
}
