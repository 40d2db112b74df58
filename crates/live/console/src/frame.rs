//! What every page shares: its title, the menu, the token of its forms, and whether it renews itself.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::assets::Addresses;
use crate::desk::Visitor;

/// The frame of a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What the browser's tab says.
    pub title: String,
    /// The menu; empty where nobody is logged in.
    pub menu: Vec<MenuItem>,
    /// The token every form sends back.
    pub csrf: String,
    /// Whether parts of the page renew themselves.
    pub live: Option<Live>,
    /// Where style, script and icon are.
    pub assets: Addresses,
}

/// One entry of the menu.
#[derive(Clone, Debug)]
pub struct MenuItem {
    /// Where it leads.
    pub path: &'static str,
    /// What it says.
    pub label: &'static str,
    /// Whether the page belongs to it.
    pub current: bool,
}

/// How a page renews itself; what is on or off stands in its address.
#[derive(Clone, Debug)]
pub struct Live {
    /// Whether it does now.
    pub on: bool,
    /// How often, milliseconds.
    pub period_ms: u32,
    /// The same page with the other choice.
    pub toggle_href: String,
    /// What the link to it says.
    pub toggle_label: &'static str,
    /// The same page again.
    pub reload_href: String,
}

impl Live {
    /// Renewal every five seconds, unless the address says that somebody paused it.
    pub fn unless_paused(live: Option<u8>, path: &str) -> Live {
        let on = live != Some(0);
        let paused = format!("{path}?live=0");
        Live {
            on,
            period_ms: 5_000,
            toggle_href: if on { paused.clone() } else { path.to_owned() },
            toggle_label: if on { "Pause" } else { "Renew by itself" },
            reload_href: if on { path.to_owned() } else { paused },
        }
    }
}

impl Frame {
    /// The frame of a page for somebody who has logged in; `menu_path` is the entry of the menu it belongs to.
    pub fn new(visitor: &Visitor, title: impl Into<String>, menu_path: &str) -> Frame {
        let item = |(path, label): &(&'static str, &'static str)| MenuItem { path, label, current: *path == menu_path };
        let menu = visitor.menu.iter().map(item).collect();
        Frame { title: title.into(), menu, csrf: visitor.session.csrf.clone(), live: None, assets: Addresses::new() }
    }

    /// The frame of a page anybody may see.
    pub fn outside(title: impl Into<String>) -> Frame {
        Frame { title: title.into(), menu: Vec::new(), csrf: String::new(), live: None, assets: Addresses::new() }
    }

    /// The same frame around a page that renews itself.
    #[must_use]
    pub fn living(mut self, live: Live) -> Frame {
        self.live = Some(live);
        self
    }
}

/// A template as an answer.
pub fn draw(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(problem) => {
            tracing::error!(%problem, "a page of the console could not be drawn");
            let sentence = "This page could not be drawn; the log of Freehold says why.\n";
            (StatusCode::INTERNAL_SERVER_ERROR, sentence).into_response()
        }
    }
}
