//! Rows of tables have fixtures, and fixtures say where they come from.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::{Finding, Tree};

/// A folder whose files are the rows of a table, and where the fixture of each row lies.
struct Table {
    /// Rows: the `.rs` files and folders in here, `mod.rs` left out.
    rows: &'static str,
    /// A file of this name, or a folder of this name with files in it, must be there; `*` is the row, its underscores as dashes.
    fixture: &'static str,
    /// Files in the folder that are no rows.
    not_rows: &'static [&'static str],
}

/// The tables of the house. A table whose folder is not there yet has no rows.
const TABLES: &[Table] =
    &[Table { rows: "crates/pure/wire/src/dialects", fixture: "crates/pure/wire/fixtures/translate/*", not_rows: &[] }];

/// Folders below which every fixture folder names its origin.
const WITH_ORIGIN: &[&str] = &["crates/pure/wire/fixtures"];

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let files: BTreeSet<String> = tree.files.iter().map(|file| file.display().to_string()).collect();
    let mut found = Vec::new();
    for table in TABLES {
        for row in rows(table, &files) {
            let fixture = table.fixture.replace('*', &row.replace('_', "-"));
            if !files.contains(&fixture) && !files.iter().any(|file| file.starts_with(&format!("{fixture}/"))) {
                found.push(Finding::new(
                    format!("{}/{row}", table.rows),
                    format!("is a row without its fixture `{fixture}`"),
                ));
            }
        }
    }
    for folder in WITH_ORIGIN {
        found.extend(folders_without_origin(folder, &files));
    }
    Ok(found)
}

fn rows(table: &Table, files: &BTreeSet<String>) -> BTreeSet<String> {
    files
        .iter()
        .filter_map(|file| file.strip_prefix(table.rows)?.strip_prefix('/'))
        .map(|rest| rest.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned())
        .filter(|row| row != "mod" && !table.not_rows.contains(&row.as_str()))
        .collect()
}

/// Folders that hold files, and neither an `origin.toml` in themselves or above, nor an `origin` line in each TOML file.
fn folders_without_origin(below: &str, files: &BTreeSet<String>) -> Vec<Finding> {
    let folders: BTreeSet<&Path> = files
        .iter()
        .filter(|file| file.starts_with(&format!("{below}/")))
        .filter_map(|file| Path::new(file).parent())
        .collect();
    folders
        .into_iter()
        .filter(|folder| {
            !folder.ancestors().any(|above| files.contains(&above.join("origin.toml").display().to_string()))
        })
        .map(|folder| {
            Finding::new(folder.display().to_string(), "says nowhere where its fixtures come from; add origin.toml")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn files_and_folders_are_rows() {
        let table = Table { rows: "src/dialects", fixture: "fixtures/*", not_rows: &["table"] };
        let files = files(&[
            "src/dialects/mod.rs",
            "src/dialects/table.rs",
            "src/dialects/gemini.rs",
            "src/dialects/anthropic/read.rs",
        ]);
        assert_eq!(rows(&table, &files), ["anthropic", "gemini"].map(String::from).into());
    }

    #[test]
    fn an_origin_above_covers_what_lies_below() {
        let files = files(&["f/a/origin.toml", "f/a/b/one.json", "f/c/two.json"]);
        let found = folders_without_origin("f", &files);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "f/c");
    }
}
