//! `query = { … }`: what stands in the query of every request to a provider, such as Azure's `api-version`.

use crate::raw::{Table, Value};

/// Reads it. Names and values are of characters that need no escaping, so that nothing can be added by them.
pub(crate) fn read(table: &Table) -> Vec<(String, String)> {
    let Some(inner) = table.free_table("query") else { return Vec::new() };
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let mut query = Vec::new();
    for entry in inner.entries() {
        let problem = |reason: &str, remedy: &str| inner.problems().error(&entry.place, reason, remedy);
        let Value::String(value) = entry.value else {
            problem("is no text", "put the value in quotation marks");
            continue;
        };
        let credential = ["key", "code", "sig", "token", "access_token", "api_key", "apikey"];
        if credential.contains(&entry.name.to_ascii_lowercase().as_str()) {
            problem("a credential must not stand in this file, nor in an address, which is logged", "use `api_key`");
        } else if !plain(entry.name) || !plain(value) {
            problem("holds characters that must be escaped", "use letters, digits, `-`, `.`, `_` and `~`");
        } else {
            query.push((entry.name.to_owned(), value.to_string()));
        }
    }
    query
}
