//! Files that grew beyond what one reads in a sitting.

use anyhow::Result;

use super::{Finding, Tree};

/// Lines of Rust in one file. The house aims at 600; beyond this a missing type or a missing file is hiding.
const MOST_LINES: usize = 800;

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for file in tree.ending("rs") {
        let lines = tree.text(file).map_or(0, |text| text.lines().count());
        if lines > MOST_LINES {
            found.push(Finding::new(
                file.display().to_string(),
                format!("has {lines} lines, more than {MOST_LINES}; split it by idea"),
            ));
        }
    }
    Ok(found)
}
