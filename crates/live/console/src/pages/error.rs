//! Pages for what did not work: each says what happened and what to do next.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::frame::{Frame, draw};
use crate::source::Trouble;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    heading: String,
    sentence: String,
    back_href: &'static str,
    back_label: &'static str,
}

fn page(status: StatusCode, heading: &str, sentence: &str, back: (&'static str, &'static str)) -> Response {
    let page = ErrorPage {
        frame: Frame::outside(heading),
        heading: heading.to_owned(),
        sentence: sentence.to_owned(),
        back_href: back.0,
        back_label: back.1,
    };
    (status, draw(&page)).into_response()
}

/// No page of that address.
pub async fn not_found() -> Response {
    missing("No page has this address.", ("/", "To the overview"))
}

/// What was asked for is not there.
pub fn missing(sentence: &str, back: (&'static str, &'static str)) -> Response {
    page(StatusCode::NOT_FOUND, "Not found", sentence, back)
}

/// A form that may have come from elsewhere.
pub fn forbidden(sentence: &str) -> Response {
    page(StatusCode::FORBIDDEN, "Refused", sentence, ("/", "To the overview"))
}

/// What the source could not do.
pub fn trouble(trouble: &Trouble) -> Response {
    match trouble {
        Trouble::NotFound(sentence) => page(StatusCode::NOT_FOUND, "Not found", sentence, ("/", "To the overview")),
        Trouble::Refused(sentence) => page(StatusCode::BAD_REQUEST, "Not done", sentence, ("/", "To the overview")),
        Trouble::Unavailable(cause) => {
            tracing::error!(%cause, "the console could not read the store");
            let sentence = "The store cannot be read at the moment. Calls go on without it and their records are kept in \
                            the spool until it is back; the log of Freehold says what is wrong with it.";
            page(StatusCode::SERVICE_UNAVAILABLE, "The store is not answering", sentence, ("/", "Try the overview"))
        }
    }
}
