//! Routes for those who run the simulator: the transcript, the sums, and changing a script while it plays.

use http::{Method, Response, StatusCode, Uri};
use serde_json::json;

use crate::hall::Hall;
use crate::pace::Paced;
use crate::scenario::Script;

/// What can be asked for; also the answer to `GET /`.
const ROUTES: &str = r#"{"simulator":"freehold","routes":["GET /_transcript?since=NUMBER&limit=COUNT","DELETE /_transcript","GET /_stats","POST /_script?provider=NAME (the provider's table as TOML)","POST /NAME/v1/chat/completions","POST /NAME/v1/embeddings","POST /NAME/v1/messages","POST /NAME/v1/messages/count_tokens","GET /NAME/v1/models"]}"#;

/// Answers a route that is no provider's.
pub(crate) fn respond(hall: &Hall, method: &Method, uri: &Uri, body: &[u8]) -> Response<Paced> {
    match (method, uri.path()) {
        (&Method::GET | &Method::HEAD, "/") => with_status(StatusCode::OK, ROUTES.into()),
        (&Method::GET, "/_transcript") => {
            let number = |name| query(uri, name).and_then(|text| text.parse::<u64>().ok());
            let since = number("since").unwrap_or(0);
            let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
            let exchanges = hall.book.exchanges(since, limit);
            let next = exchanges.last().map_or(since, |exchange| exchange.number);
            let dropped = hall.book.stats().dropped;
            json(StatusCode::OK, &json!({"next": next, "dropped": dropped, "exchanges": exchanges}))
        }
        (&Method::DELETE, "/_transcript") => {
            hall.book.clear();
            json(StatusCode::OK, &json!({"cleared": true}))
        }
        (&Method::GET, "/_stats") => json(StatusCode::OK, &json!(hall.book.stats())),
        (&Method::POST, "/_script") => script(hall, uri, body),
        _ => json(
            StatusCode::NOT_FOUND,
            &json!({"error": format!("no such route: {method} {}; GET / lists them", uri.path())}),
        ),
    }
}

fn script(hall: &Hall, uri: &Uri, body: &[u8]) -> Response<Paced> {
    let refuse = |reason: String| json(StatusCode::BAD_REQUEST, &json!({"error": reason}));
    let Some(name) = query(uri, "provider").filter(|name| !name.is_empty() && !name.starts_with('_') && *name != "v1")
    else {
        return refuse("which provider? POST /_script?provider=NAME".into());
    };
    let Ok(text) = std::str::from_utf8(body) else { return refuse("a script is TOML, in UTF-8".into()) };
    match Script::parse(text) {
        Ok(script) => {
            hall.set_script(name, script);
            json(StatusCode::OK, &json!({"provider": name, "changed": true}))
        }
        Err(error) => refuse(error.to_string()),
    }
}

fn query<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Paced> {
    with_status(status, body.to_string().into_bytes())
}

/// A JSON answer that the transcript does not follow.
pub(crate) fn with_status(status: StatusCode, body: Vec<u8>) -> Response<Paced> {
    let mut response = Response::new(Paced::plain(body));
    *response.status_mut() = status;
    crate::faults::put(response.headers_mut(), "content-type", "application/json");
    response
}
