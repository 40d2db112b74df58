//! The revisions of the protocol: those a session is opened for, and those without sessions.

/// Revisions that begin with `initialize` (modelcontextprotocol.io, specification), oldest first.
pub const WITH_SESSIONS: &[&str] = &["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// Whether a revision begins with `initialize`.
pub fn has_sessions(version: &str) -> bool {
    WITH_SESSIONS.contains(&version)
}
