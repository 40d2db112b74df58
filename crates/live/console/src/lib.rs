//! The console: pages drawn on the server that show what runs, what it spends and why each call went where it went.
//!
//! Reading order: [`source`] says what pages need to know and from whom, [`pages`] is the table of pages with one file
//! and one template each, [`desk`] is what every page is given, [`door`] decides who may see and post them, [`frame`] is
//! what all pages share, [`show`] how values are written, [`svg`] and [`budget`] how charts and bars are drawn,
//! [`assets`] the style, the script and the icon.
//!
//! A page is one file, one template and one row in [`pages::PAGES`]. Nothing is ever marked safe for HTML: every text
//! is escaped where it is written, also what a client put into `model`.

pub mod assets;
pub mod budget;
pub mod desk;
pub mod door;
pub mod frame;
pub mod pages;
pub mod show;
pub mod source;
pub mod svg;

use std::sync::Arc;

use axum::Router;
use control::Control;

use crate::desk::Desk;
use crate::pages::PAGES;
pub use source::{Answer, Names, Pages, Trouble};

/// The console of a running installation. Serve it with connection info (`ConnectInfo<SocketAddr>`), or every login
/// counts as coming from one address.
pub fn router(control: Control) -> Router {
    router_over(Arc::new(control))
}

/// The console over anything that can answer for its pages; tests and samples bring their own.
pub fn router_over(source: Arc<dyn Pages>) -> Router {
    let menu = PAGES.iter().filter_map(|page| page.menu.map(|label| (page.path, label))).collect();
    let mut router = Router::new();
    for page in PAGES {
        router = router.route(page.path, (page.route)());
    }
    for asset in assets::ALL {
        router = router.route(asset.path, axum::routing::get(move || async move { assets::answer(asset) }));
    }
    router
        .fallback(pages::error::not_found)
        .layer(axum::middleware::map_response(door::secure))
        .with_state(Desk { source, menu })
}
