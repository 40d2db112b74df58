//! Writes `docs/matrix.md`.

use std::fmt::Write;

use wire::Dialect;

use crate::{Cell, Row};

pub fn page(asked: &[Row], whole: &[Row], streamed: &[Row]) -> String {
    let mut page = String::from(PREFACE);
    page.push_str("\n## Overview\n\nHow many of the pairs of different dialects, of those whose client or provider can say it at all.\n");
    for (title, rows) in [("of a request", asked), ("of a whole answer", whole), ("of a streamed answer", streamed)] {
        overview(&mut page, title, rows);
    }
    section(&mut page, "Requests", "Rows are clients, columns providers.", asked);
    section(&mut page, "Whole answers", "Rows are clients, columns providers.", whole);
    section(
        &mut page,
        "Streamed answers",
        "Rows are clients, columns providers. The client asked for usage.",
        streamed,
    );
    page
}

fn overview(page: &mut String, title: &str, rows: &[Row]) {
    let _ = write!(page, "\n| {title} | exact | approximated | left out | refused |\n|---|---|---|---|---|\n");
    for row in rows {
        let count =
            |is: fn(&Cell) -> bool| match row.all().filter(|(one, other, cell)| one != other && is(cell)).count() {
                0 => String::new(),
                some => some.to_string(),
            };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            row.feature.title,
            count(|cell| *cell == Cell::Exact),
            count(|cell| matches!(cell, Cell::Approximated(_))),
            count(|cell| matches!(cell, Cell::LeftOut(_))),
            count(|cell| matches!(cell, Cell::Refused(_))),
        );
    }
}

fn section(page: &mut String, title: &str, how: &str, rows: &[Row]) {
    let _ = write!(page, "\n## {title}\n\n{how}\n");
    for row in rows {
        let mut notes: Vec<String> = Vec::new();
        let names = Dialect::ALL.iter().map(|dialect| dialect.as_str()).collect::<Vec<_>>().join(" | ");
        let _ = write!(
            page,
            "\n### {title}: {}\n\n| | {names} |\n|---|{}\n",
            row.feature.title,
            "---|".repeat(Dialect::ALL.len())
        );
        for (client, cells) in Dialect::ALL.iter().zip(&row.cells) {
            let cells: Vec<String> = cells.iter().map(|cell| shown(cell, &mut notes)).collect();
            let _ = writeln!(page, "| {client} | {} |", cells.join(" | "));
        }
        if !notes.is_empty() {
            page.push('\n');
        }
        for (index, note) in notes.iter().enumerate() {
            let _ = writeln!(page, "{}. {note}", index + 1);
        }
    }
}

/// A cell, and where it needs a reason the number of its note.
fn shown(cell: &Cell, notes: &mut Vec<String>) -> String {
    let (word, why) = match cell {
        Cell::Exact => return "exact".into(),
        Cell::Unsayable => return "–".into(),
        Cell::Approximated(why) => ("approximated", why.join("; ")),
        Cell::LeftOut(why) => ("left out", why.join("; ")),
        Cell::Refused(why) => ("refused", why.clone()),
        Cell::Silent(_) => ("SILENT", "nobody is told".into()),
    };
    let number = notes.iter().position(|note| *note == why).unwrap_or_else(|| {
        notes.push(why);
        notes.len() - 1
    });
    format!("{word} ({})", number + 1)
}

const PREFACE: &str = "\
# What every dialect can be told of every other

<!-- Written from what crates/pure/wire/tests/matrix finds when it translates the bodies of crates/pure/wire/fixtures/matrix;
     a test fails when the two differ. To write it anew: UPDATE_DOCS=1 cargo test -p freehold-wire --test matrix -->

Each cell was found by running the translation on a body that says one thing, and looking for that thing where the other
dialect has its place for it.

- **exact**: it is there, and nothing was reported as lost. In the diagonal the client's own bytes go through.
- **approximated**: something like it is there; the note says what.
- **left out**: the call is served without it. The client is told in `freehold-loss`, with a JSON pointer and the reason in the
  note; a workflow with `on_loss = \"refuse\"` is not sent there.
- **refused**: leaving it out would ask another question, so this provider is not asked; another model of the workflow may be.
- **–**: who would have to say it has no words for it.

Models differ within a dialect. These cells go for `gpt-5.1`, `claude-sonnet-4-5` (on Bedrock too), `gemini-2.5-flash` and
`command-a-reasoning-08-2025`; a model of another generation may be told less, and `freehold-loss` then says so. Servers that
speak openai-chat with oddities (`quirks`) likewise.
";
