//! The pages as a browser asks for them, over canned values: what is shown, what is escaped, who is let in.

#[path = "../examples/sample/canned/mod.rs"]
mod canned;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use canned::{Canned, HOSTILE, TOKEN};
use console::{Pages, router_over};
use domain::UnixMs;
use tower_service::Service;

const NOW: UnixMs = UnixMs(1_795_252_724_005);
const HOST: &str = "127.0.0.1:7401";
const COOKIE: &str = "freehold_session=sample-session";

struct Reply {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Reply {
    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(console: &Router, request: Request<Body>) -> Reply {
    let answer = console.clone().call(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

async fn get(console: &Router, path: &str) -> Reply {
    ask(console, Request::get(path).header("host", HOST).header("cookie", COOKIE).body(Body::empty()).unwrap()).await
}

async fn post(console: &Router, path: &str, form: &str) -> Reply {
    let request = Request::post(path)
        .header("host", HOST)
        .header("origin", format!("http://{HOST}"))
        .header("cookie", COOKIE)
        .header("content-type", "application/x-www-form-urlencoded");
    ask(console, request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn logged_in() -> Router {
    let canned = Canned::new(NOW);
    canned.login(TOKEN, "").await.unwrap();
    router_over(Arc::new(canned))
}

#[tokio::test]
async fn every_page_of_the_menu_is_drawn_and_guarded() {
    let console = logged_in().await;
    for page in console::pages::PAGES.iter().filter(|page| page.menu.is_some()) {
        let shown = get(&console, page.path).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", page.path);
        assert!(shown.text.contains("aria-current=\"page\""), "{}", page.path);
        let policy = shown.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"));
        assert_eq!(shown.headers["cache-control"], "no-store");
        assert_eq!(shown.headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn a_stranger_sees_only_the_login_and_comes_back_after_it() {
    let console = router_over(Arc::new(Canned::new(NOW)));
    for page in console::pages::PAGES.iter().filter(|page| page.path != "/login" && page.path != "/logout") {
        let path = page.path.replace("{name}", "claims-triage").replace("{id}", "call_00000000000000000000000000");
        let shown = get(&console, &path).await;
        assert_eq!(shown.status, StatusCode::SEE_OTHER, "{path}");
        assert!(shown.location().starts_with("/login"), "{path}");
    }
    assert_eq!(get(&console, "/calls?outcome=failed").await.location(), "/login?next=%2Fcalls%3Foutcome%3Dfailed");
    let entered = post(&console, "/login", "token=sample&next=%2Fcalls%3Foutcome%3Dfailed").await;
    assert_eq!((entered.status, entered.location()), (StatusCode::SEE_OTHER, "/calls?outcome=failed"));
    assert!(entered.headers["set-cookie"].to_str().unwrap().contains("HttpOnly"));
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_a_sentence() {
    let console = router_over(Arc::new(Canned::new(NOW)));
    let shown = post(&console, "/login", "token=wrong&next=https%3A%2F%2Fevil.example").await;
    assert_eq!(shown.status, StatusCode::UNAUTHORIZED);
    assert!(shown.text.contains("no admin token") && !shown.text.contains("evil.example"));
    assert!(!shown.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn forms_without_our_token_or_from_elsewhere_change_nothing() {
    let console = logged_in().await;
    let key = "label=x&scope=all";
    for form in [key.to_owned(), format!("{key}&csrf="), format!("{key}&csrf=wrong")] {
        assert_eq!(post(&console, "/keys", &form).await.status, StatusCode::FORBIDDEN, "{form}");
    }
    assert_eq!(post(&console, "/logout", "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(&console, "/keys/ab12cd/revoke", "").await.status, StatusCode::FORBIDDEN);
    let foreign = |origin: Option<&'static str>| {
        let mut request = Request::post("/keys")
            .header("host", HOST)
            .header("cookie", COOKIE)
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(Body::from(format!("{key}&csrf=sample-csrf"))).unwrap()
    };
    for origin in [None, Some("null"), Some("http://evil.example")] {
        assert_eq!(ask(&console, foreign(origin)).await.status, StatusCode::FORBIDDEN, "{origin:?}");
    }
    assert!(get(&console, "/keys").await.text.matches("fh_").count() == 4);
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_revoked_after_a_question() {
    let console = logged_in().await;
    let mistaken = post(&console, "/keys", "csrf=sample-csrf&label=mine&limit=much&per=day").await;
    assert_eq!(mistaken.status, StatusCode::BAD_REQUEST);
    assert!(mistaken.text.contains("value=\"mine\"") && mistaken.text.contains("<option value=\"day\" selected>"));
    let form = "csrf=sample-csrf&label=mine&scope=listed&workflow=support-reply&limit=5&per=day";
    let made = post(&console, "/keys", form).await;
    assert!(made.text.contains("fh_new000_5tq0x9") && made.text.contains("support-reply"));
    let listed = get(&console, "/keys").await;
    assert!(listed.text.contains("fh_new000_…") && !listed.text.contains("5tq0x9"));
    assert!(get(&console, "/keys/new000/revoke").await.text.contains("Revoke “mine”?"));
    let revoked = post(&console, "/keys/new000/revoke", "csrf=sample-csrf").await;
    assert_eq!((revoked.status, revoked.location()), (StatusCode::SEE_OTHER, "/keys"));
    assert_eq!(get(&console, "/keys/new000/revoke").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn budgets_show_how_they_stand_and_one_that_waits_is_approved() {
    let console = logged_in().await;
    let shown = get(&console, "/budgets").await.text;
    for text in
        ["workflow claims-triage", "412.03", "Calls beyond 450.00 USD need an approval", "has reached 80 %", "hard"]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let form = |scope: &str| format!("csrf=sample-csrf&scope={scope}&per=month&measure=USD&amount=50+USD");
    let approved = post(&console, "/budgets", &form("workflow+claims-triage")).await;
    assert_eq!((approved.status, approved.location()), (StatusCode::SEE_OTHER, "/budgets"));
    assert_eq!(post(&console, "/budgets", &form("nobody")).await.status, StatusCode::NOT_FOUND);
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/budgets").await.text.contains("No budgets yet"));
}

#[tokio::test]
async fn anomalies_show_what_stands_what_is_over_and_the_series_with_their_alarms() {
    let console = logged_in().await;
    let shown = get(&console, "/anomalies").await.text;
    assert!(shown.contains("realised price 2.0 × the catalogue") && shown.contains("calls go elsewhere"), "{shown}");
    assert!(shown.contains("served as <code>default</code>") && shown.contains("calls went on"));
    assert!(shown.contains("An alarm in 4 buckets of the last day.") && shown.contains("class=\"series bad\""));
    assert!(!shown.contains("<h2 class=\"minor\" id=\"series-4-title\">"), "four are drawn");
    let first = get(&console, "/anomalies?of=First+token+of+model+sonnet").await.text;
    assert!(
        first.contains("id=\"series-0-title\">First token of model sonnet"),
        "the one that was asked for comes first"
    );
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/anomalies").await.text.contains("Nothing is out of the ordinary"));
}

#[tokio::test]
async fn lanes_show_their_promises_how_fast_budgets_burn_and_who_is_moved() {
    let console = logged_in().await;
    let page = get(&console, "/lanes").await.text;
    for said in [
        "Calls are moved away from this lane.",
        "success burns",
        "Still begins there: high 100 %, routine",
        "95 of 100 within 2.500 s",
        "99.9 %",
        "1 h and 5 m:",
        "above 14.4×",
        "limit 1.0×",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert_eq!(page.matches("Calls are moved away").count(), 1);
}

#[tokio::test]
async fn tools_show_who_may_call_them_and_what_they_cost() {
    let shown = get(&logged_in().await, "/tools").await.text;
    for text in ["crm", "https://crm.example/mcp", "read_claim", "not allowed", "0.005", "unpriced", "/mcp/crm"] {
        assert!(shown.contains(text), "{text}");
    }
    assert!(shown.contains("href=\"/calls?model=mcp%3Acrm%2Fsearch\""), "{shown}");
    assert!(shown.contains("Every tool of the server may be called"));
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/tools").await.text.contains("No tool servers yet"));
}

#[tokio::test]
async fn instances_show_who_serves_and_what_a_dead_one_may_have_spent() {
    let shown = get(&logged_in().await, "/instances").await.text;
    for text in ["i_7k2m", "serving", "17.40 USD", "gone", "3.90 USD", "freehold instance recover"] {
        assert!(shown.contains(text), "{text}");
    }
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/instances").await.text.contains("No instance yet"));
}

#[tokio::test]
async fn what_a_hostile_client_wrote_is_only_text() {
    let console = logged_in().await;
    let call = Canned::new(NOW).call_end(4);
    assert_eq!(call.asked, HOSTILE);
    for path in ["/tools".to_owned(), "/calls".to_owned(), format!("/calls/{}", call.call)] {
        let shown = get(&console, &path).await.text;
        assert!(shown.contains("alert(1)"), "{path}");
        assert!(!shown.contains("<script>") && !shown.contains("<img"), "{path}");
    }
    assert!(!get(&console, "/keys").await.text.contains("<b>bench"));
    let filtered = get(&console, "/calls?workflow=%22%3E%3Cscript%3Ealert(3)%3C%2Fscript%3E").await.text;
    assert!(filtered.contains("No call matches") && !filtered.contains("<script>alert"));
}

#[test]
fn no_template_marks_anything_safe_or_carries_code_or_style() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for banned in
            ["|safe", "| safe", "escape=\"none\"", "<style", " style=", "onclick", "<script>", "http://", "https://"]
        {
            assert!(!text.contains(banned), "{}: {banned}", path.display());
        }
    }
}

#[tokio::test]
async fn a_calls_page_tells_every_stage_attempt_line_and_loss() {
    let console = logged_in().await;
    let shown = get(&console, &format!("/calls/{}", Canned::new(NOW).call_end(0).call)).await.text;
    let mut place = 0;
    for stage in ["endpoint", "admit", "render", "protect", "cache", "attempt", "relay", "settle"] {
        let found = shown[place..].find(&format!("<strong>{stage}</strong>"));
        place += found.unwrap_or_else(|| panic!("{stage} is missing or out of order"));
    }
    for text in [
        "upstream_overloaded",
        "premium: sonnet failed twice",
        "anthropic/claude-sonnet-4-5@2025-09-29",
        "/response_format",
        "estimated, ± 12 %",
        "req_vrtx_011CTyQ7",
        "payable:anthropic",
        "7d1f0c3ab2e94455",
        "Hail damage",
    ] {
        assert!(shown.contains(text), "{text}");
    }
    let uncaptured = get(&console, &format!("/calls/{}", Canned::new(NOW).call_end(1).call)).await.text;
    assert!(uncaptured.contains("sizes and hashes") && !uncaptured.contains("<h3>Request</h3>"));
}

#[tokio::test]
async fn calls_are_filtered_and_paged() {
    let console = logged_in().await;
    let first = get(&console, "/calls").await.text;
    assert_eq!(first.matches("data-row=").count(), 50);
    let older = first.split("href=\"").filter_map(|rest| rest.split('"').next()).find(|href| href.contains("before="));
    let second = get(&console, older.expect("there are older calls")).await.text;
    assert!(second.contains("Newest") && second.matches("data-row=").count() == 50);
    let failed = get(&console, "/calls?outcome=failed&workflow=&lane=").await.text;
    assert!(failed.contains("budget_spent") && !failed.contains("served 200"));
    assert!(get(&console, "/calls?live=1").await.text.contains("data-refresh-ms=\"2000\""));
    assert!(!first.contains("data-refresh-ms"));
}

#[tokio::test]
async fn an_empty_installation_says_what_to_do_next() {
    let canned = Canned::empty(NOW);
    canned.login(TOKEN, "").await.unwrap();
    let console = router_over(Arc::new(canned));
    for path in ["/", "/calls"] {
        assert!(get(&console, path).await.text.contains("curl http://127.0.0.1:7400/v1/chat/completions"), "{path}");
    }
    assert!(get(&console, "/keys").await.text.contains("Make the first one"));
    assert!(get(&console, "/configuration").await.text.contains("the first this installation has seen"));
}

#[tokio::test]
async fn what_is_not_there_is_a_page_with_a_way_back() {
    let console = logged_in().await;
    for path in [
        "/nothing",
        "/calls/nonsense",
        "/calls/call_00000000000000000000000000",
        "/workflows/none",
        "/keys/none/revoke",
    ] {
        let shown = get(&console, path).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{path}");
        assert!(shown.text.contains("<h1>Not found</h1>") && shown.text.contains("<a href=\"/"), "{path}");
    }
}

#[tokio::test]
async fn assets_are_kept_by_their_print_and_need_no_login() {
    let console = router_over(Arc::new(Canned::new(NOW)));
    let login = get(&console, "/login").await.text;
    let style =
        login.split("href=\"").filter_map(|rest| rest.split('"').next()).find(|href| href.contains("style.css?v="));
    let style = get(&console, style.expect("the page names its style")).await;
    assert_eq!(style.headers["content-type"], "text/css; charset=utf-8");
    assert!(style.headers["cache-control"].to_str().unwrap().contains("immutable"));
}

#[tokio::test]
async fn the_cache_says_what_it_saved_and_can_be_thrown_away() {
    let console = logged_in().await;
    let shown = get(&console, "/cache").await;
    assert_eq!(shown.status, 200);
    for part in [
        "35.90722 USD saved",
        "8,204",
        "1.639 % (0.29 to 8.719 %)",
        "Near is a cosine of 0.96 on this instance; 0.95 is declared.",
        "Throw away 412 answers of this instance",
        "It has no cache any more.",
    ] {
        assert!(shown.text.contains(part), "{part}: {}", shown.text);
    }
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/cache").await.text.contains("No cache yet"));
}

#[tokio::test]
async fn costs_name_the_multiplier_and_what_answered_nobody() {
    let console = logged_in().await;
    let shown = get(&console, "/costs?days=7").await;
    assert!(shown.text.contains("× 1.056") && shown.text.contains("22.0341184 USD hidden"), "{}", shown.text);
    assert!(shown.text.contains("<a href=\"/costs?days=7\" aria-current=\"true\">7 days</a>"));
    assert_eq!(shown.text.matches(">hidden<").count(), 9);
    assert!(shown.text.contains("3 attempts used something without a price"));
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/costs").await.text.contains("Nothing booked yet"));
}

#[tokio::test]
async fn concentration_names_shares_and_what_would_become_of_workflows() {
    let console = logged_in().await;
    let shown = get(&console, "/concentration").await.text;
    assert!(shown.contains("72.5 %") && shown.contains("provider anthropic"), "{shown}");
    assert!(shown.contains("-41.50") && shown.contains("nobody is left: its calls fail"), "{shown}");
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/concentration").await.text.contains("Nothing answered yet"));
}

#[tokio::test]
async fn drills_show_what_held_and_hand_out_the_page() {
    let console = logged_in().await;
    let shown = get(&console, "/drills").await.text;
    assert!(shown.contains("The premium provider is gone") && shown.contains(">held<"), "{shown}");
    let page = get(&console, "/drills/3").await;
    assert_eq!(page.headers["content-disposition"], "attachment; filename=\"drill-3.html\"");
    assert!(page.text.starts_with("<!doctype html>"));
    let empty = Canned::empty(NOW);
    empty.login(TOKEN, "").await.unwrap();
    assert!(get(&router_over(Arc::new(empty)), "/drills").await.text.contains("No report kept yet"));
}
