//! Licences of dependencies: the SPDX expression of each package, evaluated against what we may ship.

use anyhow::Result;

use super::{Finding, Tree};

/// Licences that ask for no more than a notice. Copyleft, weak copyleft included, is not among them.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // The Mozilla root certificates of webpki-roots: a licence for data.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    // Parts of aws-lc.
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for package in &tree.workspace.theirs {
        let place = format!("{} {}", package.name, package.version);
        match package.license.as_deref() {
            None => {
                found.push(Finding::new(place, "names no licence in its manifest; read its licence file, then decide"))
            }
            Some(expression) => match evaluate(expression) {
                Some(true) => {}
                Some(false) => {
                    found.push(Finding::new(place, format!("is under `{expression}`, which is not allowed")))
                }
                None => found.push(Finding::new(place, format!("its licence `{expression}` is no SPDX expression"))),
            },
        }
    }
    for package in tree.workspace.ours.values().filter(|package| package.license.as_deref() != Some("Apache-2.0")) {
        found.push(Finding::new(&package.name, "is ours and not under Apache-2.0; write `license.workspace = true`"));
    }
    Ok(found)
}

/// Whether the expression can be met with allowed licences only; `None` where it cannot be read.
fn evaluate(expression: &str) -> Option<bool> {
    // Old manifests write `MIT/Apache-2.0` for a choice.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().collect();
    words.reverse();
    let outcome = either(&mut words)?;
    words.is_empty().then_some(outcome)
}

/// `A OR B`: binds weaker than AND. `words` is read from its end.
fn either(words: &mut Vec<&str>) -> Option<bool> {
    let mut outcome = both(words)?;
    while words.last() == Some(&"OR") {
        words.pop();
        outcome |= both(words)?;
    }
    Some(outcome)
}

fn both(words: &mut Vec<&str>) -> Option<bool> {
    let mut outcome = single(words)?;
    while words.last() == Some(&"AND") {
        words.pop();
        outcome &= single(words)?;
    }
    Some(outcome)
}

fn single(words: &mut Vec<&str>) -> Option<bool> {
    let word = words.pop()?;
    if word == "(" {
        let outcome = either(words)?;
        return (words.pop() == Some(")")).then_some(outcome);
    }
    if matches!(word, ")" | "AND" | "OR" | "WITH") {
        return None;
    }
    let mut licence = word.to_owned();
    if words.last() == Some(&"WITH") {
        words.pop();
        licence = format!("{licence} WITH {}", words.pop()?);
    }
    Some(ALLOWED.contains(&licence.as_str()))
}

#[cfg(test)]
mod tests {
    use super::evaluate;

    #[test]
    fn a_choice_needs_one_and_a_sum_needs_all() {
        assert_eq!(evaluate("MIT OR Apache-2.0"), Some(true));
        assert_eq!(evaluate("MIT/GPL-3.0"), Some(true));
        assert_eq!(evaluate("MIT AND GPL-3.0"), Some(false));
        assert_eq!(evaluate("(MIT OR GPL-3.0) AND ISC"), Some(true));
        assert_eq!(evaluate("ISC AND (GPL-3.0 OR LGPL-2.1)"), Some(false));
    }

    #[test]
    fn an_exception_is_part_of_its_licence() {
        assert_eq!(evaluate("Apache-2.0 WITH LLVM-exception OR GPL-2.0"), Some(true));
        assert_eq!(evaluate("GPL-2.0 WITH Classpath-exception-2.0"), Some(false));
    }

    #[test]
    fn and_binds_before_or() {
        assert_eq!(evaluate("GPL-3.0 AND GPL-2.0 OR MIT"), Some(true));
        assert_eq!(evaluate("MIT OR ISC AND GPL-2.0"), Some(true));
    }

    #[test]
    fn what_is_no_expression_is_told() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "AND MIT", "see LICENSE"] {
            assert_eq!(evaluate(text), None, "{text:?}");
        }
    }
}
