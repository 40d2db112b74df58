//! What is wrong with a configuration, where, why, and what to do about it. Problems are collected, so that one run shows
//! all of them.

use std::cell::RefCell;
use std::fmt;

/// How much a problem matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The configuration cannot be meant like this; nothing of it is taken over.
    Error,
    /// It can be taken over, but probably does something else than its author expects.
    Warning,
}

/// One problem of a configuration or catalog file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// The file's name as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Path of the key, such as `workflows.claims.budget.limit`; empty where the file is no TOML.
    pub key: String,
    /// What is wrong, one clause.
    pub reason: String,
    /// What to do, one clause.
    pub remedy: String,
}

impl fmt::Display for Problem {
    /// `freehold.toml:12:9: workflows.claims.budget.limit: reason; remedy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

/// Where in a file something stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Bytes from the file's start.
    pub offset: usize,
    /// Path of the key.
    pub key: String,
}

/// A value with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct At<T> {
    pub value: T,
    pub place: Place,
}

impl<T> At<T> {
    /// The same place with what `read` makes of the value.
    pub fn map<U>(self, read: impl FnOnce(T) -> U) -> At<U> {
        At { value: read(self.value), place: self.place }
    }
}

/// Every problem found so far in one file. Readers share it, so finding one does not stop the next.
pub(crate) struct Problems<'t> {
    file: &'t str,
    text: &'t str,
    found: RefCell<Vec<(usize, Problem)>>,
}

impl<'t> Problems<'t> {
    pub fn new(file: &'t str, text: &'t str) -> Problems<'t> {
        Problems { file, text, found: RefCell::default() }
    }

    pub fn error(&self, place: &Place, reason: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Error, place, reason.into(), remedy.into());
    }

    pub fn warn(&self, place: &Place, reason: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Warning, place, reason.into(), remedy.into());
    }

    fn add(&self, severity: Severity, place: &Place, reason: String, remedy: String) {
        let (line, column) = self.line_and_column(place.offset);
        let (file, key) = (self.file.to_owned(), place.key.clone());
        self.found.borrow_mut().push((place.offset, Problem { severity, file, line, column, key, reason, remedy }));
    }

    /// `freehold.toml:12`, for price rows that say where they come from.
    pub fn file_and_line(&self, place: &Place) -> String {
        format!("{}:{}", self.file, self.line_and_column(place.offset).0)
    }

    pub fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|(_, problem)| problem.severity == Severity::Error)
    }

    /// All of them in the order of the file.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(offset, _)| *offset);
        found.into_iter().map(|(_, problem)| problem).collect()
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_stands_at_its_line_and_character() {
        let text = "# ü\nü = 1\n";
        let problems = Problems::new("f.toml", text);
        let at = |offset| Place { offset, key: "k".to_owned() };
        problems.warn(&at(text.find('1').unwrap()), "reason", "remedy");
        problems.error(&at(0), "first", "remedy");
        assert!(problems.has_errors());
        let shown: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["f.toml:1:1: k: first; remedy", "f.toml:2:5: warning: k: reason; remedy"]);
    }
}
