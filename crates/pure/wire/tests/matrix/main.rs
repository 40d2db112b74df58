//! The matrix of translations: each client's dialect to each provider's, feature by feature, found by running the translation
//! on the bodies of fixtures/matrix and looking at what the provider, or the client, got of it. `docs/matrix.md` is written
//! from what is found; what is neither there nor named as lost fails.
#![allow(clippy::disallowed_methods, reason = "tests read their fixtures and one variable")]

mod answers;
mod bodies;
mod features;
mod page;
mod pains;
mod pattern;
mod requests;

use wire::Dialect;

/// What becomes of one feature from one dialect to another.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Cell {
    /// All of it is there, and nothing was reported.
    Exact,
    /// Something like it is there; why.
    Approximated(Vec<String>),
    /// It is not there, and the call is served without it; why.
    LeftOut(Vec<String>),
    /// The call is not sent; why.
    Refused(String),
    /// Who would have to say it cannot.
    Unsayable,
    /// It is not there, and nobody was told; what was looked for, and what was there instead.
    Silent(String),
}

/// One row of the page: a feature, and its cells by client, then provider.
struct Row {
    feature: &'static features::Feature,
    cells: Vec<Vec<Cell>>,
}

impl Row {
    /// Every cell with its two dialects, the client's first.
    fn all(&self) -> impl Iterator<Item = (Dialect, Dialect, &Cell)> {
        Dialect::ALL.iter().zip(&self.cells).flat_map(|(client, cells)| {
            Dialect::ALL.iter().zip(cells).map(|(provider, cell)| (*client, *provider, cell))
        })
    }
}

/// What was not there, of all rows.
fn silent(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        for (client, provider, cell) in row.all() {
            if let Cell::Silent(what) = cell {
                found.push(format!("{} of {client} clients at {provider} providers: {what}", row.feature.name));
            }
        }
    }
    found
}

#[test]
fn what_a_provider_is_not_told_of_a_request_is_named() {
    let found = silent(&requests::rows());
    assert!(found.is_empty(), "{} losses nobody was told of\n{}", found.len(), found.join("\n"));
}

#[test]
fn what_a_client_is_not_told_of_an_answer_is_named() {
    let found = silent(&answers::whole());
    assert!(found.is_empty(), "{} losses nobody was told of\n{}", found.len(), found.join("\n"));
}

#[test]
fn what_a_client_is_not_told_of_a_stream_is_named() {
    let found = silent(&answers::streamed());
    assert!(found.is_empty(), "{} losses nobody was told of\n{}", found.len(), found.join("\n"));
}

#[test]
fn what_passes_through_in_its_own_dialect_is_exact() {
    for row in requests::rows().iter().chain(&answers::whole()).chain(&answers::streamed()) {
        for (client, provider, cell) in row.all().filter(|(client, provider, _)| client == provider) {
            assert!(
                matches!(cell, Cell::Exact | Cell::Unsayable),
                "{}: {client} at {provider}: {cell:?}",
                row.feature.name
            );
        }
    }
}

#[test]
fn plain_text_instructions_and_tools_are_exact_between_all_dialects() {
    let requests = requests::rows();
    let rows = requests.iter().filter(|row| ["text", "system", "turns", "stream", "tools"].contains(&row.feature.name));
    for row in rows {
        for (client, provider, cell) in row.all() {
            assert_eq!(*cell, Cell::Exact, "{}: {client} at {provider}", row.feature.name);
        }
    }
}

#[test]
fn the_page_says_what_the_translation_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/matrix.md");
    let page = page::page(&requests::rows(), &answers::whole(), &answers::streamed());
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/matrix.md is not what the translation does; UPDATE_DOCS=1 cargo test -p freehold-wire --test matrix writes it anew"
    );
}
