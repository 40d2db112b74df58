//! The admin API, route by route.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use control::{api, sessions};
use serde_json::{Value, json};
use testkit::facts::Sample;
use tower_service::Service;

use crate::support::{Desk, House, NOON};

async fn answer(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = router.clone().call(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn request(method: Method, path: &str, token: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    request.header("authorization", format!("Bearer {token}")).body(Body::from(body.to_owned())).unwrap()
}

async fn token(house: &House) -> String {
    sessions::create_admin_token(&house.store, &house.pepper(), "first", "test", NOON).await.unwrap().1
}

#[tokio::test]
async fn every_route_answers_an_admin_and_nobody_else() {
    let house = House::new().await;
    let sample = Sample::new(1, NOON - 1_000);
    house.store.record(sample.entries()).await.unwrap();
    let router = api::api(house.control(&Desk::at(NOON)));
    let token = token(&house).await;
    let call = format!("/calls/{}", sample.call());
    let routes = [
        (Method::GET, "/overview", 200),
        (Method::GET, "/workflows", 200),
        (Method::GET, "/workflows/claims-triage", 200),
        (Method::GET, "/workflows/no-such", 404),
        (Method::GET, "/lanes", 200),
        (Method::GET, "/lanes/premium", 200),
        (Method::GET, "/calls?workflow=claims-triage&limit=3", 200),
        (Method::GET, "/calls?order=1", 400),
        (Method::GET, "/calls?before=x", 400),
        (Method::GET, "/calls/after?cursor=0", 200),
        (Method::GET, &call, 200),
        (Method::GET, "/calls/nonsense", 400),
        (Method::GET, "/configuration", 200),
        (Method::GET, "/keys", 200),
        (Method::POST, "/keys", 400),
        (Method::DELETE, "/keys/none", 404),
        (Method::POST, "/reload", 202),
        (Method::GET, "/reload", 405),
        (Method::GET, "/ledger", 200),
        (Method::GET, "/ledger?format=xml", 400),
        (Method::GET, "/no-such-route", 404),
    ];
    for (method, path, status) in &routes {
        let (got, body) = answer(&router, request(method.clone(), path, &token, "")).await;
        assert_eq!(got.as_u16(), *status, "{method} {path}: {body}");
        if *status >= 400 {
            let body: Value = serde_json::from_str(&body).unwrap();
            assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{path}");
        }
        for wrong in ["", "fha_ab_cd", &token[..token.len() - 1], &token.replace("fha_", "fh_")] {
            let (got, _) = answer(&router, request(method.clone(), path, wrong, "")).await;
            assert_eq!(got, StatusCode::UNAUTHORIZED, "{method} {path} with `{wrong}`");
        }
    }
}

#[tokio::test]
async fn missing_and_doubled_credentials_and_cookies_are_no_credentials() {
    let house = House::new().await;
    let control = house.control(&Desk::at(NOON));
    let token = token(&house).await;
    let login = control.login(&token, "").await.unwrap();
    let router = api::api(control);
    let bare = Request::builder().uri("/api/v1/overview");
    let with_cookie =
        Request::builder().uri("/api/v1/overview").header("cookie", format!("{}={}", sessions::COOKIE, login.cookie));
    for request in [bare, with_cookie] {
        assert_eq!(answer(&router, request.body(Body::empty()).unwrap()).await.0, StatusCode::UNAUTHORIZED);
    }
    let mut doubled = request(Method::GET, "/overview", &token, "");
    doubled.headers_mut().append("authorization", "Bearer other".parse().unwrap());
    assert_eq!(answer(&router, doubled).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_revoked() {
    let house = House::new().await;
    let desk = Desk::at(NOON);
    let router = api::api(house.control(&desk));
    let token = token(&house).await;
    for wrong in [
        json!({ "label": "x", "role": "admin" }),
        json!({ "label": "x", "budget": { "limit_usd": "5", "per": "day", "soft": true } }),
        json!({ "label": "x", "budget": { "limit_usd": "5.0000000001", "per": "day" } }),
        json!({ "label": "x", "workflows": ["no-such"] }),
    ] {
        let (status, _) = answer(&router, request(Method::POST, "/keys", &token, &wrong.to_string())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let wish =
        json!({ "label": "robot", "workflows": ["claims-triage"], "budget": { "limit_usd": "5.00", "per": "day" } });
    let (status, made) = answer(&router, request(Method::POST, "/keys", &token, &wish.to_string())).await;
    assert_eq!(status, StatusCode::CREATED);
    let made: Value = serde_json::from_str(&made).unwrap();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with(&format!("fh_{id}_")));

    let (_, list) = answer(&router, request(Method::GET, "/keys", &token, "")).await;
    assert!(list.contains(id) && !list.contains("hash") && !list.contains(key.rsplit('_').next().unwrap()));
    let (status, _) = answer(&router, request(Method::DELETE, &format!("/keys/{id}"), &token, "")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(house.store.keys().await.unwrap()[0].revoked_at.is_some());
    answer(&router, request(Method::POST, "/reload", &token, "")).await;
    assert_eq!(desk.reloads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_ledger_streams_in_every_form() {
    let house = House::new().await;
    house.store.record((0..3).flat_map(|number| Sample::new(number, NOON).entries()).collect()).await.unwrap();
    let router = api::api(house.control(&Desk::at(NOON)));
    let token = token(&house).await;
    let lines = async |path: &str| answer(&router, request(Method::GET, path, &token, "")).await.1.lines().count();
    assert_eq!(lines("/ledger").await, 4);
    assert_eq!(lines("/ledger?format=json").await, 3);
    assert_eq!(lines(&format!("/ledger?format=json&from={}", NOON.0 + 1)).await, 0);
    assert_eq!(lines("/ledger?format=table").await, 4);
}
