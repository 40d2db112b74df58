//! Requests below `/v1/` that Freehold has no route for, passed on as they are to a provider whose entry allows it: under the same
//! admission, limits and budgets, and booked as one request each. Which provider, the workflow says; of the path and the headers
//! goes on only what cannot mean another place.

use bytes::Bytes;
use domain::{AttemptEnd, Cause, Cost, FaultClass, Meter, Usage, UsageOrigin};
use http::Method;
use http::header::CONTENT_TYPE;
use ledger::price::{Served, price, upper_bound_of_units};
use wire::Dialect;
use wire::dialect::from_path_segment;
use wire::kept::{strings, with_top};

use super::allow::Holder;
use super::asking::{Asking, Books, Done, Piped};
use super::booking::{Booking, Outcome, Unknown};
use super::exchange::{Pump, Through, raw_headers, send};
use super::seal::Most;
use crate::refusal::Refusal;
use crate::reply::Waiting;
use crate::target::short;
use crate::trail::Trail;

/// Below what such requests are passed on.
const ROOT: &str = "/v1/";
/// What a provider's account is run with, and what gives out keys of its own, which would lead past every budget, limit and record:
/// no path with such a segment is passed on, in whatever case and with `-` for `_`.
const NEVER: &[&str] = &[
    // OpenAI's and xAI's Realtime: ephemeral keys, calls by WebRTC and SIP. The conversation has a route of its own.
    "realtime",
    // ChatKit's sessions tell a `client_secret` (OpenAI's API reference).
    "chatkit",
    "client_secrets",
    // Administration: OpenAI's, Anthropic's, and OpenRouter's `keys` (their API references).
    "organization",
    "organizations",
    "admin",
    "admin_api_keys",
    "api_keys",
    "keys",
    "service_accounts",
    // Short-lived tokens of speech providers (Deepgram, ElevenLabs, Cartesia).
    "auth",
    "access_token",
    "single_use_token",
];
/// What asks for something; a TRACE would be told the provider's key (RFC 9110, 9.3.8).
const METHODS: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// How far off a count of one is that nobody reported, percent.
const UNCERTAIN_PERCENT: u16 = 100;

/// Passes it on.
pub async fn pass(asking: &Asking<'_>, client: &mut Waiting, trail: &mut Trail) -> Result<Done, Refusal> {
    let arrival = asking.arrival;
    let path = arrival.head.uri.path();
    let below = below(path).ok_or_else(|| Refusal::PathUnclear(short(path)))?;
    if is_never_passed(below) || !METHODS.contains(&arrival.head.method) {
        return Err(Refusal::NeverPassed { method: arrival.head.method.to_string(), path: short(path) });
    }
    let content_type = arrival.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
    let in_body = match is_json && !arrival.body.is_empty() {
        true => {
            let read = strings(&arrival.body, ["model"]);
            let [model] = read.map_err(|fault| Refusal::Body { message: fault.message, param: None })?;
            model
        }
        false => None,
    };
    let named = arrival.workflow.as_deref().or(in_body.as_deref());
    let takes = |provider: &config::Provider| provider.passthrough;
    let found = Holder::of_name(&asking.deployed.snapshot, &arrival.key, named, Dialect::ALL, takes);
    let holder = found.map_err(|refusal| match refusal {
        Refusal::NoCandidate { .. } => {
            Refusal::NoPassthrough { method: arrival.head.method.to_string(), path: short(path) }
        }
        refusal => refusal,
    })?;
    asking.admitted(&holder, trail);
    let holder = holder.in_session(asking.session());
    // What the body calls the model is a name of ours where it says which workflow is meant.
    let ours = in_body.as_deref().filter(|_| arrival.workflow.is_none());
    let body = with_its_own_ids(asking, &holder, is_json)?;
    let body = match ours {
        Some(_) => with_top(&body, "model", &holder.model().upstream).into(),
        None => body,
    };
    if arrival.head.uri.query().is_some_and(holds_credential) {
        return Err(Refusal::CredentialsConflict);
    }
    let query = arrival.head.uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut reach = holder.asks(arrival.head.method.clone(), format!("/{below}{query}"));
    if let Some(content_type) = content_type.filter(|_| !body.is_empty()) {
        reach = reach.with_body(content_type, body);
    }
    let reach = asking.carrying(reach);

    let once = Usage::ZERO.with(Meter::Requests, 1);
    let bound = holder.model().price_at(arrival.at).and_then(|row| upper_bound_of_units(row, &once));
    let unknown = Unknown {
        price: |model, scope| Refusal::UnpricedRequest { model, scope },
        tokens: "a route that Freehold does not know",
    };
    let most = Most { usd: bound, tokens: None };
    let booking =
        Booking::open((asking.gateway, asking.arrival.id), &holder, (Cause::Pass, most), unknown, trail).await?;
    match send(asking.deployed, &reach, "route or thing", client).await {
        Err(refusal) => {
            booking.fail(asking.gateway, &refusal, Cost::AtMost(bound), trail).await;
            Err(refusal)
        }
        Ok(heard) => {
            let headers = raw_headers(&heard.response);
            let status = heard.response.status();
            let pump = Pump::new(heard, Through::Raw);
            let books = Books::Request(Box::new(booking), status.as_u16());
            Ok(Done::Piped(Box::new(Piped { pump, status, headers, holder, books })))
        }
    }
}

/// The body with the ids that its provider knows, where it names what that provider keeps: files for a vector store, say.
fn with_its_own_ids(asking: &Asking<'_>, holder: &Holder, is_json: bool) -> Result<Bytes, Refusal> {
    let body = &asking.arrival.body;
    // Whatever its type says, a server may read it as JSON; and the dialect is a guess from headers that the client chose.
    asking.sealed(holder, Dialect::OpenAiChat, body)?;
    let Some(opened) = is_json.then(|| asking.opened_body(body)).transpose()?.flatten() else {
        return Ok(body.clone());
    };
    let (lies_at, goes_to) = (&opened.holder.model().provider.name, &holder.model().provider.name);
    match lies_at == goes_to {
        true => Ok(opened.body),
        false => {
            let (provider, asked) = (lies_at.to_string(), holder.asked().to_owned());
            Err(Refusal::KeptElsewhere { kind: opened.kind, provider, asked })
        }
    }
}

/// The part of a path below the root, where it is one that every server reads alike: no empty segment, no step up, nothing encoded.
fn below(path: &str) -> Option<&str> {
    let below = path.strip_prefix(ROOT)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~:.".contains(&byte);
    let is_one =
        |segment: &str| !segment.is_empty() && segment.bytes().all(plain) && !segment.bytes().all(|byte| byte == b'.');
    below.split('/').all(is_one).then_some(below)
}

/// Whether a path leads to what is for the provider's own customer alone.
fn is_never_passed(below: &str) -> bool {
    let plain = |segment: &str| segment.to_ascii_lowercase().replace('-', "_");
    below.split('/').any(|segment| NEVER.contains(&&*plain(segment)))
}

/// Whether a query names a credential: of ours it is not the provider's to read, and one of the provider's would be another account.
fn holds_credential(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = from_path_segment(name).unwrap_or_default().to_ascii_lowercase().replace('-', "_");
        matches!(&*name, "key" | "api_key" | "apikey" | "access_token")
    })
}

/// How a passed request ended.
pub enum Passed {
    /// All of the answer came.
    Whole,
    /// The provider broke it off.
    Broken(domain::Fault),
    /// The client went away.
    Gone,
}

/// What is booked of one: the request, whatever it was for.
pub fn outcome(booking: &Booking, status: u16, passed: &Passed) -> Outcome {
    let usage = Usage::ZERO.with(Meter::Requests, 1);
    let row = booking.model().price_at(booking.at());
    let cost = price(&usage, row, &Served::standard(booking.at()));
    let uncertain = UsageOrigin::Estimated { error_percent: UNCERTAIN_PERCENT };
    let (end, origin) = match passed {
        Passed::Whole => (AttemptEnd::Served { finish: Some("passed".into()) }, UsageOrigin::Reported),
        Passed::Gone => (AttemptEnd::Cancelled, uncertain),
        Passed::Broken(fault) => {
            let (class, message): (FaultClass, String) = (fault.class, fault.message.chars().take(500).collect());
            (AttemptEnd::Failed { class, message, after_content: true }, uncertain)
        }
    };
    Outcome { end, status: Some(status), usage: (usage, origin), cost, id: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_be_read_in_two_ways_goes_nowhere() {
        assert_eq!(below("/v1/videos/video_1/content"), Some("videos/video_1/content"));
        assert_eq!(below("/v1/a:b.c~d-e"), Some("a:b.c~d-e"));
        for unclear in [
            "/v1/",
            "/v1//x",
            "/v1/x/",
            "/v1/../x",
            "/v1/x/..",
            "/v1/./x",
            "/v1/%2e%2e/x",
            "/v1/a%2fb",
            "/v1/a\\b",
            "/v1/a;b",
            "/v1/a@b",
            "/v1/...",
            "/v2/x",
            "v1/x",
        ] {
            assert_eq!(below(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn what_gives_out_keys_is_never_passed_however_it_is_written() {
        for never in [
            "realtime/client_secrets",
            "Realtime/calls/rtc_1/hangup",
            "realtime/translations",
            "chatkit/sessions",
            "organization/admin_api_keys",
            "organizations/api_keys",
            "ORGANIZATION/projects/p/service_accounts",
            "keys",
            "auth/keys",
            "x/api-keys",
            "single-use-token/realtime_scribe",
        ] {
            assert!(is_never_passed(never), "{never}");
        }
        for passed in ["videos", "containers/c/files", "vector_stores", "fine_tuning/jobs", "keyspace", "realtimes"] {
            assert!(!is_never_passed(passed), "{passed}");
        }
    }

    #[test]
    fn the_reference_of_the_configuration_says_what_is_never_passed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/configuration.md");
        let reference = std::fs::read_to_string(path).unwrap();
        let row = reference.lines().find(|line| line.starts_with("| `passthrough` |")).unwrap();
        let methods = METHODS.iter().map(Method::as_str);
        let headers = crate::endpoints::openai::OTHER.carries.iter().copied();
        for said in NEVER.iter().copied().chain(methods).chain(headers) {
            assert!(row.contains(said), "`{said}` is missing: {row}");
        }
    }

    #[test]
    fn a_query_may_name_no_credential() {
        for held in ["key=fh_a_b", "x=1&%6bey=1", "API-Key=1", "access_token"] {
            assert!(holds_credential(held), "{held}");
        }
        assert!(!holds_credential("after=x&keys=1&page_token=2"));
    }
}
