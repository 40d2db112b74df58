//! Servers of tools: what passes, what does not, whose session it is, what a call costs, and what a kill leaves.

use crate::harness::{Freehold, RawProvider, Site, eventually, ledger};
use crate::http::{Answer, Connection, request};

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"the customer's words"}]}}"#;
const LIST: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"search"},{"name":"delete","x":1.0},{"name":"read"}]}}"#;

/// Two servers of tools: one over HTTP, and one that is a process.
fn configuration(url: std::net::SocketAddr, script: &str) -> String {
    format!(
        r#"
[mcp.crm]
url = "http://{url}/mcp"
api_key = {{ env = "SIM_KEY" }}
tools = ["search", "read"]
price_per_call = {{ search = "0.01", "*" = "0" }}
origins = ["https://app.example"]

[mcp.local]
command = ["/bin/sh", "-c", '''{script}''']
price_per_call = "0.25"
max_sessions = 1
"#
    )
}

fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"q":"private words"}}}}}}"#
    )
}

fn post(freehold: &Freehold, server: &str, more: &[(&str, &str)], body: &str) -> Answer {
    let authorization = format!("Bearer {}", freehold.key);
    let mut headers = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
    headers.extend(more);
    request(freehold.gateway, "POST", &format!("/mcp/{server}"), &headers, body.as_bytes())
}

fn code(answer: &Answer) -> String {
    answer.json()["error"]["data"]["code"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

#[test]
fn a_call_of_an_allowed_tool_is_passed_on_and_booked_at_its_price() {
    let crm = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("mcp-call", &configuration(crm.address, "cat"));
    let freehold = site.start();
    let answer = post(&freehold, "crm", &[("mcp-protocol-version", "2025-06-18")], &call("search"));
    assert_eq!((answer.status, answer.text()), (200, ANSWER));
    let sent = String::from_utf8(crm.received().pop().unwrap()).unwrap().to_ascii_lowercase();
    assert!(
        sent.contains("authorization: bearer sim-secret") && sent.contains("mcp-protocol-version: 2025-06-18"),
        "{sent}"
    );
    assert!(!sent.contains(&freehold.key.to_ascii_lowercase()), "the caller's key stays here: {sent}");
    assert_eq!(crm.last_body(), call("search").as_bytes());
    let id = answer.header("freehold-call-id").unwrap().to_owned();
    let known = eventually("the call is in the store", || {
        let calls = freehold.admin("/api/v1/calls").to_string();
        calls.contains(&id).then_some(calls)
    });
    assert!(known.contains("mcp:crm/search") && known.contains("/mcp/{server}"), "{known}");
    let page = freehold.admin(&format!("/api/v1/calls/{id}")).to_string();
    assert!(!page.contains("private words") && !page.contains("customer's words"), "{page}");
    assert_eq!(freehold.stop(), Some(0));
    let [row] = &ledger(&site.data())[..] else { panic!("one line") };
    let said = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (said("cause").as_str(), said("meter").as_str(), said("provider").as_str()),
        ("tool", "requests", "mcp:crm")
    );
    assert_eq!((said("model").as_str(), said("end").as_str()), ("mcp:crm/search", "served"));
    assert!(row.to_string().contains("freehold.toml/mcp.crm.search"), "{row}");
}

#[test]
fn a_tool_outside_the_list_is_refused_whatever_it_is_spelt_like_and_never_sent() {
    let crm = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("mcp-refused", &configuration(crm.address, "cat"));
    let freehold = site.start();
    for tool in ["delete", "Search", "search ", "sear\\u0000ch", "mcp:crm/search", "*"] {
        let answer = post(&freehold, "crm", &[], &call(tool));
        let expected = if tool.contains("u0000") { "bad_request" } else { "tool_not_allowed" };
        assert_eq!(code(&answer), expected, "{tool}");
    }
    for params in [r#"{"name":"search","name":"delete"}"#, r#"{"name":"search","Name":"delete"}"#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        assert_eq!(post(&freehold, "crm", &[], &body).status, 400, "{params}");
    }
    let mismatch = post(&freehold, "crm", &[("mcp-name", "delete")], &call("search"));
    assert_eq!(code(&mismatch), "header_mismatch");
    assert!(crm.received().is_empty());
    eventually("the refusals are in the store", || {
        (freehold.admin("/api/v1/calls").to_string().matches("tool_not_allowed").count() == 5).then_some(())
    });
    assert_eq!(freehold.stop(), Some(0));
    assert_eq!(ledger(&site.data()).len(), 0);
}

#[test]
fn a_list_of_tools_loses_what_may_not_be_called_and_nothing_else() {
    let event = format!(": hello\n\nid: 4\nevent: message\ndata: {LIST}\n\n");
    for (kind, body) in [("application/json", LIST), ("text/event-stream", event.as_str())] {
        let crm = RawProvider::answering_body(kind, body.as_bytes());
        let site = Site::new("mcp-list", &configuration(crm.address, "cat"));
        let freehold = site.start();
        let answer = post(&freehold, "crm", &[], r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.text(), body.replace(r#"{"name":"delete","x":1.0},"#, ""));
    }
}

#[test]
fn what_is_no_message_or_not_for_here_is_refused_clearly() {
    let crm = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("mcp-bad", &configuration(crm.address, "cat"));
    let freehold = site.start();
    let refused = |status: u16, expected: &str, server: &str, more: &[(&str, &str)], body: &str| {
        let answer = post(&freehold, server, more, body);
        assert_eq!((answer.status, code(&answer).as_str()), (status, expected), "{body} {more:?}");
        assert_eq!(answer.json()["jsonrpc"], "2.0");
    };
    refused(400, "no_json", "crm", &[], "{");
    refused(400, "batch", "crm", &[], &format!("[{}]", call("search")));
    refused(400, "bad_request", "crm", &[], r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#);
    refused(200, "no_such_server", "elsewhere", &[], &call("search"));
    refused(200, "origin_not_allowed", "crm", &[("origin", "http://evil.example")], &call("search"));
    refused(200, "not_acceptable", "crm", &[("accept", "text/html")], &call("search"));
    refused(400, "header_twice", "crm", &[("mcp-session-id", "a"), ("mcp-session-id", "b")], &call("search"));
    refused(
        404,
        "no_such_session",
        "crm",
        &[("mcp-session-id", "made-up.00000000000000000000000000000000")],
        &call("search"),
    );
    refused(400, "session_missing", "local", &[], &call("search"));
    refused(400, "version_not_spoken", "local", &[("mcp-protocol-version", "2026-07-28")], &call("search"));
    refused(200, "workflow_not_found", "crm", &[("freehold-workflow", "none")], &call("search"));
    assert!(crm.received().is_empty());
    let page = post(&freehold, "crm", &[("origin", "https://app.example")], &call("search"));
    assert_eq!(page.text(), ANSWER);
    let strange = request(freehold.gateway, "POST", "/mcp/crm", &[("content-type", "application/json")], b"{}");
    assert_eq!(
        (strange.status, code(&strange).as_str(), strange.header("www-authenticate")),
        (401, "key_missing", Some("Bearer"))
    );
    let put = request(freehold.gateway, "PUT", "/mcp/crm", &[], b"");
    assert_eq!(put.status, 405);
}

#[test]
fn a_budget_covers_calls_of_tools_and_a_limit_counts_them() {
    let crm = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("mcp-budget", &configuration(crm.address, "cat"));
    let freehold = site.start();
    let poor = site.key(&["--label", "poor", "--budget", "0.02 USD per day"]);
    let slow = site.key(&["--label", "slow", "--requests-per-minute", "1"]);
    let ask = |key: &str, tool: &str| freehold.post_as(key, "/mcp/crm", &call(tool));
    eventually("the keys are known", || (freehold.post_as(&slow, "/mcp/crm", "{").status == 400).then_some(()));
    let answers: Vec<Answer> = (0..3).map(|_| ask(&poor, "search")).collect();
    assert_eq!((answers[0].text(), answers[1].text()), (ANSWER, ANSWER));
    assert_eq!(code(&answers[2]), "budget_spent");
    assert!(answers[2].text().contains("0.02 of 0.02 USD"), "{}", answers[2].text());
    assert_eq!(ask(&poor, "read").text(), ANSWER, "what costs nothing is still covered");
    assert_eq!(ask(&slow, "read").text(), ANSWER);
    let second = ask(&slow, "read");
    assert_eq!(
        (code(&second).as_str(), second.json()["error"]["data"]["retry"].as_str()),
        ("key_limit", Some("after"))
    );
}

/// Answers `initialize`, and then reads on without a word.
const SILENT: &str = r#"read a; echo "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}"; while read b; do :; done"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;

#[test]
fn a_tool_call_that_a_kill_cut_off_is_booked_once_at_its_price() {
    let site = Site::new("mcp-kill", &configuration("127.0.0.1:1".parse().unwrap(), SILENT));
    let freehold = site.start();
    let begun = post(&freehold, "local", &[], INITIALIZE);
    assert_eq!(begun.text(), r#"{"jsonrpc":"2.0","id":0,"result":{}}"#);
    let session = begun.header("mcp-session-id").unwrap().to_owned();
    let mut connection = Connection::open(freehold.gateway).unwrap();
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [("authorization", authorization.as_str()), ("mcp-session-id", &session)];
    connection.send("POST", "/mcp/local", &headers, call("slow").as_bytes()).unwrap();
    eventually("it is under way", || {
        let intents = std::fs::read_dir(site.data().join("spool")).unwrap().flatten();
        intents
            .into_iter()
            .any(|file| std::fs::read_to_string(file.path()).unwrap().contains("mcp:local"))
            .then_some(())
    });
    let key = freehold.key.clone();
    freehold.kill();
    let freehold = site.start_with(key);
    // The process went with its session.
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(post(&freehold, "local", &[("mcp-session-id", &session)], list).status, 404);
    assert_eq!(freehold.stop(), Some(0));
    let rows = ledger(&site.data());
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row["end"].as_str(), row["cause"].as_str()), (Some("indeterminate"), Some("tool")));
    assert!(row.to_string().contains("0.25"), "{row}");
}

#[test]
fn processes_are_bounded_and_end_with_their_session_and_with_freehold() {
    let site = Site::new("mcp-process", &configuration("127.0.0.1:1".parse().unwrap(), SILENT));
    let freehold = site.start();
    let begun = post(&freehold, "local", &[], INITIALIZE);
    let session = begun.header("mcp-session-id").unwrap().to_owned();
    assert_eq!(code(&post(&freehold, "local", &[], INITIALIZE)), "busy");
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [("authorization", authorization.as_str()), ("mcp-session-id", &session)];
    assert_eq!(request(freehold.gateway, "DELETE", "/mcp/local", &headers, b"").status, 204);
    let again = post(&freehold, "local", &[], INITIALIZE);
    assert!(again.header("mcp-session-id").is_some_and(|other| other != session), "{}", again.text());
    let started = std::time::Instant::now();
    assert_eq!(freehold.stop(), Some(0));
    assert!(started.elapsed().as_secs() < 10);
}

/// A workflow that may go to the European Union only, and a server of tools there and one elsewhere.
fn with_a_workflow(url: std::net::SocketAddr) -> String {
    let more = "\n[workflows.w]\ncriticality = \"c\"\nresidency = [\"eu\"]\nbudget = { limit = \"0.015 USD\", per = \"total\", at_limit = \"refuse\" }\n\
                [workflows.v]\ncriticality = \"c\"\n[criticality.c]\nlanes = [\"l\"]\n[lanes.l]\nclass = \"A\"\nmodels = [\"m\"]\npick = \"best\"\n\
                [models.m]\nprovider = \"p\"\nmodel = \"m\"\nregion = \"eu\"\nprice = { input = \"1\", output = \"1\" }\n\
                [providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";
    let narrowed = "region = \"eu-de\"\ntools_by_workflow = { v = [\"read\"] }\norigins";
    configuration(url, "cat").replace("origins", narrowed) + more
}

#[test]
fn a_call_for_a_workflow_has_its_budget_its_residency_and_its_tools() {
    let crm = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("mcp-workflow", &with_a_workflow(crm.address));
    let freehold = site.start();
    let of = |workflow: &str, server: &str, tool: &str| {
        post(&freehold, server, &[("freehold-workflow", workflow)], &call(tool))
    };
    assert_eq!(of("w", "crm", "search").text(), ANSWER);
    assert_eq!(code(&of("w", "crm", "search")), "budget_spent", "0.01 of 0.015 USD is spent");
    assert_eq!(code(&of("w", "local", "search")), "residency");
    assert_eq!(code(&of("v", "crm", "search")), "tool_not_allowed");
    assert_eq!(of("v", "crm", "read").text(), ANSWER);
    let one = site.key(&["--label", "one", "--workflow", "v"]);
    let two = site.key(&["--label", "two", "--workflow", "v", "--workflow", "w"]);
    let as_key = |key: &str, tool: &str| freehold.post_as(key, "/mcp/crm", &call(tool));
    eventually("the keys are known", || (freehold.post_as(&two, "/mcp/crm", "{").status == 400).then_some(()));
    assert_eq!(code(&as_key(&one, "search")), "tool_not_allowed", "its only workflow is meant");
    assert_eq!(as_key(&one, "read").text(), ANSWER);
    assert_eq!(code(&as_key(&two, "read")), "workflow_needed");
    let authorization = format!("Bearer {one}");
    let headers = [("authorization", authorization.as_str()), ("freehold-workflow", "w")];
    let other = request(freehold.gateway, "POST", "/mcp/crm", &headers, call("search").as_bytes());
    assert_eq!(code(&other), "not_allowed");
}

#[test]
fn a_client_that_leaves_or_cancels_is_booked_as_such_and_one_that_listens_holds_nothing_up() {
    let site = Site::new("mcp-leaves", &configuration("127.0.0.1:1".parse().unwrap(), SILENT));
    let freehold = site.start();
    let session = post(&freehold, "local", &[], INITIALIZE).header("mcp-session-id").unwrap().to_owned();
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [("authorization", authorization.as_str()), ("mcp-session-id", &session)];
    let under_way = |count: usize| {
        eventually("it is under way", || {
            let files = std::fs::read_dir(site.data().join("spool")).unwrap().flatten();
            let text: String = files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
            (text.matches("\"kind\":\"intent\"").count() == count).then_some(())
        });
    };
    let mut left = Connection::open(freehold.gateway).unwrap();
    left.send("POST", "/mcp/local", &headers, call("slow").as_bytes()).unwrap();
    under_way(1);
    drop(left);
    eventually("the call that was left is over", || {
        freehold.admin("/api/v1/calls").to_string().contains("client_gone").then_some(())
    });
    let mut cancelled = Connection::open(freehold.gateway).unwrap();
    cancelled.send("POST", "/mcp/local", &headers, call("slow").as_bytes()).unwrap();
    under_way(2);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(post(&freehold, "local", &[("mcp-session-id", &session)], cancel).status, 202);
    let head = cancelled.head().unwrap();
    assert_eq!((head.status, cancelled.body(&head).unwrap()), (200, Vec::new()));
    let mut listening = Connection::open(freehold.gateway).unwrap();
    listening.send("GET", "/mcp/local", &headers, b"").unwrap();
    assert_eq!(listening.head().unwrap().status, 200);
    let started = std::time::Instant::now();
    assert_eq!(freehold.stop(), Some(0));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    let rows = ledger(&site.data());
    let ends: Vec<&str> = rows.iter().filter_map(|row| row["end"].as_str()).collect();
    assert_eq!(ends, ["cancelled", "cancelled"], "{rows:?}");
}
