//! Requests of routes that Freehold does not know: passed on where the provider's entry allows it, booked, and never to another place
//! than the workflow says.

use std::net::{SocketAddr, TcpListener};

use crate::harness::{Freehold, RawProvider, Site, eventually};
use crate::http::{Answer, Connection, request};
use crate::kept::upload;

const ANSWER: &str = r#"{"id":"video_1","object":"video"}"#;

fn site(name: &str, address: SocketAddr, passthrough: &str, price: &str) -> Site {
    site_of("openai-chat", name, address, passthrough, price)
}

fn site_of(dialect: &str, name: &str, address: SocketAddr, passthrough: &str, price: &str) -> Site {
    let budget = "budget = { limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }";
    Site::new(
        name,
        &format!(
            "[providers.p]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n{passthrough}\n\n\
             [models.m]\nprovider = \"p\"\nmodel = \"vendor-model\"\nprice = {{ input = \"1\", output = \"1\"{price} }}\n\n\
             [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
             [workflows.w]\ncriticality = \"c\"\n{budget}\n\n[workflows.v]\ncriticality = \"c\"\n"
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
    let site = site("passed", provider.address, "passthrough = true", ", requests = \"1000\"");
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
    let site = site("passed-tricks", provider.address, "passthrough = true", ", requests = \"1000\"");
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
fn pain_11_bifrost_2873_an_unknown_route_is_refused_where_no_provider_is_passed_it_or_nobody_knows_what_it_costs() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let closed = site("passed-closed", provider.address, "", ", requests = \"1000\"");
    let answer = ask(&closed.start(), "GET", "/v1/videos", &[W], "");
    assert_eq!((answer.status, answer.header("freehold-error")), (404, Some("no_such_route")));
    assert!(answer.text().contains("passthrough = true"), "{}", answer.text());

    let unpriced = site("passed-unpriced", provider.address, "passthrough = true", "");
    let freehold = unpriced.start();
    let answer = ask(&freehold, "GET", "/v1/videos", &[W], "");
    assert_eq!((answer.status, answer.header("freehold-error")), (503, Some("model_unpriced")), "{}", answer.text());
    assert!(provider.received().is_empty());
    // Without a budget it is booked as unpriced.
    assert_eq!(ask(&freehold, "GET", "/v1/videos", &[("freehold-workflow", "v")], "").status, 200);
    let rows = eventually("it is in the ledger", || Some(freehold.ledger()).filter(|rows| !rows.is_empty()));
    assert_eq!((rows[0]["basis"].as_str(), rows[0]["meter"].as_str()), (Some("unpriced"), Some("requests")));
}

#[test]
fn what_gives_out_keys_or_runs_the_account_is_passed_to_nobody() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = site("passed-never", provider.address, "passthrough = true", ", requests = \"1000\"");
    let freehold = site.start();
    for path in [
        "/v1/realtime/calls/rtc_1/hangup",
        "/v1/realtime/calls/a/b/accept",
        "/v1/Realtime/client_secrets",
        "/v1/realtime/translations",
        "/v1/chatkit/sessions",
        "/v1/organization/admin_api_keys",
        "/v1/organization/projects/p/service_accounts",
        "/v1/organizations/api_keys",
        "/v1/keys",
        "/v1/auth/keys",
    ] {
        let answer = ask(&freehold, "POST", path, &[JSON, W], "{}");
        assert_eq!((answer.status, answer.header("freehold-error")), (403, Some("never_passed")), "{path}");
    }
    for path in ["/v1/realtime/client_secrets", "/v1/realtime/sessions/", "/v1/realtime/calls"] {
        let answer = ask(&freehold, "POST", path, &[JSON, W], "{}");
        assert_eq!((answer.status, answer.header("freehold-error")), (403, Some("no_ephemeral_keys")), "{path}");
    }
    for method in ["TRACE", "OPTIONS", "PROPFIND"] {
        let answer = ask(&freehold, method, "/v1/videos", &[W], "");
        assert_eq!((answer.status, answer.header("freehold-error")), (403, Some("never_passed")), "{method}");
    }
    assert!(provider.received().is_empty());
    let two = ask(&freehold, "GET", "/v1/videos?key=theirs", &[W], "");
    assert_eq!((two.status, two.header("freehold-error")), (400, Some("credentials_conflict")));
    assert!(provider.received().is_empty());
    // An address of another host in the request line chooses none.
    let answer = ask(&freehold, "GET", "http://evil.example/v1/videos", &[W], "");
    assert_eq!((answer.status, answer.text(), provider.received().len()), (200, ANSWER, 1));
}

#[test]
fn a_file_of_this_key_is_named_to_its_provider_in_what_is_passed_on() {
    let provider = RawProvider::answering_body("application/json", br#"{"id":"file-1","object":"file"}"#);
    let site = site("passed-files", provider.address, "passthrough = true", ", requests = \"1000\"");
    let freehold = site.start();
    let made = upload(&freehold, &freehold.key, &[W], Some("assistants"), "text").json();
    let file = made["id"].as_str().unwrap();
    assert!(file.starts_with("file-fh1_"), "{made}");
    let body = format!(r#"{{"name":"{file}","file_ids":["{file}"],"training_file":"{file}"}}"#);
    assert_eq!(ask(&freehold, "POST", "/v1/vector_stores", &[JSON, W], &body).status, 200);
    let sent = String::from_utf8(provider.last_body()).unwrap();
    assert_eq!(sent, format!(r#"{{"name":"{file}","file_ids":["file-1"],"training_file":"file-1"}}"#));
    for (kind, raw) in [("application/json", "file-1"), ("text/plain", "file-of-another")] {
        let raw = body.replace(file, raw);
        let answer = ask(&freehold, "POST", "/v1/vector_stores", &[("content-type", kind), W], &raw);
        assert_eq!((answer.status, answer.header("freehold-error")), (400, Some("unsealed_file")), "{raw}");
    }
    let made_up = body.replace(file, &format!("{file}A"));
    let answer = ask(&freehold, "POST", "/v1/vector_stores", &[JSON, W], &made_up);
    assert_eq!((answer.status, answer.header("freehold-error")), (404, Some("not_kept")));
}

#[test]
fn what_a_kill_or_a_leaving_client_cuts_off_is_booked_at_the_most_it_can_have_cost_and_nothing_stays_held() {
    // Connections are taken by the system, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let batch = r#"{"requests":[{"custom_id":"a","params":{"model":"w","max_tokens":20,"messages":[{"role":"user","content":"Hello"}]}}]}"#;
    let tier = ", requests = \"1000\", tier = [{ tier = \"batch\", input = \"0.5\", output = \"1\" }]";
    for (dialect, path, body) in [("openai-chat", "/v1/videos", "{}"), ("anthropic", "/v1/messages/batches", batch)] {
        let name = format!("passed-killed-{dialect}");
        let site = site_of(dialect, &name, address, "passthrough = true", tier);
        let freehold = site.start();
        let authorization = format!("Bearer {}", freehold.key);
        let headers = [("authorization", &*authorization), JSON, W];
        let mut connection = Connection::open(freehold.gateway).unwrap();
        connection.send("POST", path, &headers, body.as_bytes()).unwrap();
        let gauge = |freehold: &Freehold, what: &str| {
            let name = format!("freehold_budget_{what}_nano_usd{{scope=\"workflow w\",per=\"total\"}} ");
            let found = freehold.metrics().lines().find_map(|line| line.strip_prefix(&name)?.parse::<i64>().ok());
            found.unwrap_or_default()
        };
        let held =
            eventually("the most it can cost is held", || Some(gauge(&freehold, "held")).filter(|held| *held > 0));
        let key = freehold.key.clone();
        freehold.kill();
        let freehold = site.start_with(key);
        let rows = eventually("it is booked", || Some(freehold.ledger()).filter(|rows| !rows.is_empty()));
        assert_eq!((rows.len(), rows[0]["basis"].as_str()), (1, Some("upper_bound")), "{dialect}: {rows:?}");
        assert_eq!((gauge(&freehold, "held"), gauge(&freehold, "settled")), (0, held), "{dialect}");

        // So is what a client leaves before there is an answer.
        let mut connection = Connection::open(freehold.gateway).unwrap();
        connection.send("POST", path, &headers, body.as_bytes()).unwrap();
        eventually("it is held again", || (gauge(&freehold, "held") == held).then_some(()));
        drop(connection);
        let settled = || ["held", "settled"].map(|what| gauge(&freehold, what));
        eventually("it is booked again", || (settled() == [0, 2 * held]).then_some(()));
    }
}

/// What is booked of requests that are passed on, for docs/metering.md.
pub fn metered() -> String {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let priced = site("passed-metered", provider.address, "passthrough = true", ", requests = \"1000\"");
    let bare = site("passed-metered-bare", provider.address, "passthrough = true", "");
    let closed = site("passed-metered-closed", provider.address, "", ", requests = \"1000\"");
    let word = |site: &Site| {
        let freehold = site.start();
        let answer = ask(&freehold, "GET", "/v1/videos", &[W], "");
        match answer.header("freehold-error") {
            Some(code) => format!("refused: `{code}`"),
            None => {
                let rows = eventually("it is booked", || Some(freehold.ledger()).filter(|rows| rows.len() == 1));
                assert_eq!(
                    (rows[0]["meter"].as_str(), rows[0]["basis"].as_str()),
                    (Some("requests"), Some("reported"))
                );
                "priced: one of `requests`".to_owned()
            }
        }
    };
    let rows: String = [("passed on", &priced), ("no price of requests", &bare), ("`passthrough` is not set", &closed)]
        .map(|(how, site)| format!("| anything else below `/v1/` | {how} | {} |\n", word(site)))
        .concat();
    format!("\n| request | how | any dialect |\n|---|---|---|\n{rows}")
}
