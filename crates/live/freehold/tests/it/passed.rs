//! Requests of routes that Freehold does not know: passed on where the provider's entry allows it, booked, and never to another place
//! than the workflow says.

use crate::harness::{Freehold, RawProvider, Site, eventually};
use crate::http::{Answer, request};

const ANSWER: &str = r#"{"id":"video_1","object":"video"}"#;

fn site(name: &str, provider: &RawProvider, passthrough: &str, price: &str) -> Site {
    let budget = "budget = { limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }";
    Site::new(
        name,
        &format!(
            "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n{passthrough}\n\n\
             [models.m]\nprovider = \"p\"\nmodel = \"vendor-model\"\nprice = {{ input = \"1\", output = \"1\"{price} }}\n\n\
             [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
             [workflows.w]\ncriticality = \"c\"\n{budget}\n\n[workflows.v]\ncriticality = \"c\"\n",
            provider.address
        ),
    )
}

fn ask(freehold: &Freehold, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let authorization = format!("Bearer {}", freehold.key);
    let mut all = vec![("authorization", &*authorization)];
    all.extend(headers);
    request(freehold.gateway, method, path, &all, body.as_bytes())
}

const JSON: (&str, &str) = ("content-type", "application/json");
const W: (&str, &str) = ("freehold-workflow", "w");

#[test]
fn an_unknown_route_is_passed_on_booked_and_told_as_it_came() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = site("passed", &provider, "passthrough = true", ", requests = \"1000\"");
    let freehold = site.start();
    let headers = [JSON, ("cookie", "a=b"), ("x-forwarded-host", "evil"), ("openai-beta", "video=1")];
    let answer = ask(&freehold, "POST", "/v1/videos?x=1", &headers, r#"{"model" : "w","prompt":"a \u0063at"}"#);
    assert_eq!((answer.status, answer.text()), (200, ANSWER));
    assert_eq!(provider.last_body(), br#"{"model" : "vendor-model","prompt":"a \u0063at"}"#);
    let got = String::from_utf8(provider.received().pop().unwrap()).unwrap();
    assert!(got.starts_with("POST /v1/videos?x=1 HTTP/1.1\r\n"), "{got}");
    assert!(got.contains("authorization: Bearer sim-secret") && got.contains("openai-beta: video=1"), "{got}");
    assert!(!got.contains("cookie") && !got.contains("evil") && !got.contains("fh_"), "{got}");
    let fetched = ask(&freehold, "GET", "/v1/videos/video_1/content", &[W], "");
    assert_eq!(fetched.header("freehold-model"), Some("m"), "{}", fetched.text());
    let rows = eventually("both are in the ledger", || Some(freehold.ledger()).filter(|rows| rows.len() == 2));
    for row in rows {
        let line = ["cause", "meter", "units", "amount", "basis"].map(|key| row[key].as_str().unwrap().to_owned());
        assert_eq!(line, ["pass", "requests", "1", "0.001000000", "reported"]);
    }
    let unnamed = ask(&freehold, "GET", "/v1/videos", &[], "");
    assert_eq!((unnamed.status, unnamed.header("freehold-error")), (400, Some("bad_request")), "{}", unnamed.text());
    let broken = ask(&freehold, "POST", "/v1/videos", &[JSON, W], "{");
    assert_eq!(broken.status, 400, "{}", broken.text());
    assert_eq!(provider.received().len(), 2);
}

#[test]
fn a_path_with_tricks_reaches_no_provider() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = site("passed-tricks", &provider, "passthrough = true", ", requests = \"1000\"");
    let freehold = site.start();
    for path in [
        "/v1/../admin",
        "/v1/videos/../../admin",
        "/v1/videos/%2e%2e/x",
        "/v1/videos%2f..%2fx",
        "/v1//videos",
        "/v1/videos/",
        "/v1/./videos",
        "/v1/videos;a=b",
        "/v1/@evil/x",
        "/v2/videos",
        "/admin",
    ] {
        let answer = ask(&freehold, "GET", path, &[W], "");
        assert_eq!((answer.status, answer.header("freehold-error")), (404, Some("no_such_route")), "{path}");
    }
    let stranger = request(freehold.gateway, "GET", "/v1/videos", &[W], b"");
    assert_eq!(stranger.status, 401);
    assert!(provider.received().is_empty());
}

#[test]
fn an_unknown_route_is_refused_where_no_provider_is_passed_it_or_nobody_knows_what_it_costs() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let closed = site("passed-closed", &provider, "", ", requests = \"1000\"");
    let answer = ask(&closed.start(), "GET", "/v1/videos", &[W], "");
    assert_eq!((answer.status, answer.header("freehold-error")), (404, Some("no_such_route")));
    assert!(answer.text().contains("passthrough = true"), "{}", answer.text());

    let unpriced = site("passed-unpriced", &provider, "passthrough = true", "");
    let freehold = unpriced.start();
    let answer = ask(&freehold, "GET", "/v1/videos", &[W], "");
    assert_eq!((answer.status, answer.header("freehold-error")), (503, Some("model_unpriced")), "{}", answer.text());
    assert!(provider.received().is_empty());
    // Without a budget it is booked as unpriced.
    assert_eq!(ask(&freehold, "GET", "/v1/videos", &[("freehold-workflow", "v")], "").status, 200);
    let rows = eventually("it is in the ledger", || Some(freehold.ledger()).filter(|rows| !rows.is_empty()));
    assert_eq!((rows[0]["basis"].as_str(), rows[0]["meter"].as_str()), (Some("unpriced"), Some("requests")));
}
