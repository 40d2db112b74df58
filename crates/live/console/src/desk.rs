//! What every handler is given, and who stands before it.

use std::sync::Arc;

use control::sessions::Session;

use crate::source::Pages;

/// What every handler is given.
#[derive(Clone)]
pub struct Desk {
    /// Where the values come from.
    pub source: Arc<dyn Pages>,
    /// The entries of the menu: path and label.
    pub menu: Arc<[(&'static str, &'static str)]>,
}

/// Somebody with a good session. A page can be drawn only for one: [`crate::frame::Frame`] wants it.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The session.
    pub session: Session,
    /// What the cookie carries.
    pub cookie: String,
    /// The entries of the menu: path and label.
    pub menu: Arc<[(&'static str, &'static str)]>,
}
