//! The way in, by the admin token, and out again.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::desk::Desk;
use crate::door::{self, Knock, Posted};
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::source::Trouble;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    problem: Option<String>,
    next: String,
}

/// Where to go after the login.
#[derive(Debug, Deserialize)]
pub struct Wish {
    #[serde(default)]
    next: String,
}

/// The form.
pub async fn show(Query(wish): Query<Wish>) -> Response {
    draw(&LoginPage { frame: Frame::outside("Log in"), problem: None, next: door::local_path(&wish.next).to_owned() })
}

/// The token, tried.
pub async fn enter(State(desk): State<Desk>, knock: Knock) -> Response {
    let next = door::local_path(knock.fields.text("next")).to_owned();
    match desk.source.login(knock.fields.text("token"), &knock.from).await {
        Ok(login) => {
            let cookie = control::sessions::set_cookie(&login, knock.by_tls);
            ([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response()
        }
        Err(Trouble::Refused(sentence)) => {
            let page = LoginPage { frame: Frame::outside("Log in"), problem: Some(sentence), next };
            (StatusCode::UNAUTHORIZED, draw(&page)).into_response()
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

/// The way out.
pub async fn leave(State(desk): State<Desk>, posted: Posted) -> Response {
    match desk.source.logout(&posted.visitor.cookie).await {
        Ok(()) => ([(header::SET_COOKIE, control::sessions::clear_cookie())], Redirect::to("/login")).into_response(),
        Err(trouble) => error::trouble(&trouble),
    }
}
