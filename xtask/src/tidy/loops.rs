//! No files of one crate import each other in a circle.
//!
//! A heuristic on text, exact enough to be trusted on code that `rustfmt` has been over:
//! - a file is a module; `tests` modules and `#[cfg(test)]` items are left out, as are comments and strings;
//! - an edge is a path that begins with `crate::`, `self::`, `super::` or the name of a child module, in a `use` or in code,
//!   cut to the longest module it names;
//! - a `pub use` in a file is its table of contents: the line itself makes no edge, and a name imported from that file is
//!   followed to the file it really comes from;
//! - names brought in by `*` and by macros are not followed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{Finding, Tree};

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for package in tree.workspace.ours.values() {
        let Ok(folder) = package.folder.strip_prefix(&tree.workspace.root) else { continue };
        let source = folder.join("src");
        let mut modules = Modules::default();
        for file in tree.ending("rs") {
            let Ok(inside) = file.strip_prefix(&source) else { continue };
            // A file that was deleted and not committed yet has no text.
            let Some(text) = tree.text(file) else { continue };
            modules.add(&inside.display().to_string(), &text);
        }
        for circle in modules.circles() {
            let what = format!("files import each other in a circle: {}", circle.join(" -> "));
            found.push(Finding::new(source.display().to_string(), what));
        }
    }
    Ok(found)
}

/// Path of a module in its crate: `[]` is `lib.rs`, `["relay", "stream"]` is `relay/stream.rs`.
type ModulePath = Vec<String>;

/// The files of one crate.
#[derive(Default)]
struct Modules {
    files: BTreeMap<ModulePath, File>,
}

struct File {
    name: String,
    /// Paths it imports or names, as absolute paths in the crate.
    paths: BTreeSet<Vec<String>>,
    /// What it re-exports: the name it gives, and the absolute path behind it.
    exports: BTreeMap<String, Vec<String>>,
}

impl Modules {
    fn add(&mut self, name: &str, text: &str) {
        let path = module_path(name);
        let code = without_tests(&without_comments(text));
        let mut file = File { name: name.to_owned(), paths: BTreeSet::new(), exports: BTreeMap::new() };
        let children = children(&code);
        let (uses, rest) = split_uses(&code);
        for (public, tree) in uses {
            for (segments, name) in expand(&tree) {
                let Some(absolute) = absolute(&path, &children, &segments) else { continue };
                if public {
                    file.exports.insert(name, absolute);
                } else {
                    file.paths.insert(absolute);
                }
            }
        }
        file.paths.extend(inline_paths(&rest).iter().filter_map(|segments| absolute(&path, &children, segments)));
        self.files.insert(path, file);
    }

    /// The files that each file imports.
    fn edges(&self) -> BTreeMap<&ModulePath, BTreeSet<&ModulePath>> {
        self.files
            .iter()
            .map(|(path, file)| {
                let targets =
                    file.paths.iter().filter_map(|named| self.file_of(named, 0)).filter(|target| *target != path);
                (path, targets.collect())
            })
            .collect()
    }

    /// The file in which the thing at an absolute path is really written.
    fn file_of(&self, named: &[String], depth: usize) -> Option<&ModulePath> {
        let length = (0..=named.len()).rev().find(|length| self.files.contains_key(&named[..*length]))?;
        let (path, file) = self.files.get_key_value(&named[..length])?;
        // Re-exports of re-exports end somewhere; the bound keeps a circle of them from running for ever.
        if let Some(behind) = named.get(length).and_then(|name| file.exports.get(name)).filter(|_| depth < 8) {
            let whole: Vec<String> = behind.iter().chain(&named[length + 1..]).cloned().collect();
            return self.file_of(&whole, depth + 1);
        }
        Some(path)
    }

    /// One circle for each knot of files: names in order, the first again at the end.
    fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let mut found = Vec::new();
        let mut told: BTreeSet<&ModulePath> = BTreeSet::new();
        for start in edges.keys() {
            if told.contains(*start) {
                continue;
            }
            if let Some(circle) = shortest_circle(start, &edges) {
                told.extend(circle.iter().copied());
                let names = circle.iter().chain(std::iter::once(start));
                found.push(names.map(|path| self.files[*path].name.clone()).collect());
            }
        }
        found
    }
}

/// The shortest way from `start` back to it, breadth first.
fn shortest_circle<'a>(
    start: &'a ModulePath,
    edges: &BTreeMap<&'a ModulePath, BTreeSet<&'a ModulePath>>,
) -> Option<Vec<&'a ModulePath>> {
    let mut came_from: BTreeMap<&ModulePath, &'a ModulePath> = BTreeMap::new();
    let mut waiting = std::collections::VecDeque::from([start]);
    while let Some(here) = waiting.pop_front() {
        for next in edges.get(here).into_iter().flatten() {
            if *next == start {
                let mut circle = vec![here];
                while circle[circle.len() - 1] != start {
                    circle.push(came_from[circle[circle.len() - 1]]);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, here);
                waiting.push_back(next);
            }
        }
    }
    None
}

fn module_path(file: &str) -> ModulePath {
    let stem = file.trim_end_matches(".rs");
    let mut path: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") || (path.len() == 1 && matches!(path[0].as_str(), "lib" | "main"))
    {
        path.pop();
    }
    path
}

/// Turns a path as written into one from the crate's root; `None` when it leads out of the crate.
fn absolute(here: &[String], children: &BTreeSet<String>, segments: &[String]) -> Option<Vec<String>> {
    let (first, rest) = segments.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([here, rest].concat()),
        "super" => {
            let above = &here[..here.len().checked_sub(1)?];
            match rest.first().map(String::as_str) {
                Some("super") => absolute(above, &BTreeSet::new(), rest),
                _ => Some([above, rest].concat()),
            }
        }
        name if children.contains(name) => Some([here, segments].concat()),
        _ => None,
    }
}

/// Modules the file declares with `mod name;`.
fn children(code: &str) -> BTreeSet<String> {
    code.split(';')
        .filter_map(|statement| {
            let words: Vec<&str> = statement.split_whitespace().rev().take(2).collect();
            (words.len() == 2 && words[1] == "mod").then(|| words[0].to_owned())
        })
        .collect()
}

/// The `use` statements, each with whether it is a re-export, and the code without them.
fn split_uses(code: &str) -> (Vec<(bool, String)>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut remaining = code;
    while let Some(at) = find_word(remaining, "use") {
        let before = &remaining[..at];
        let Some(end) = remaining[at..].find(';') else { break };
        let public = before.trim_end().ends_with("pub") || before.trim_end().ends_with(')') && ends_with_pub_in(before);
        uses.push((public, remaining[at + 3..at + end].trim().to_owned()));
        rest.push_str(before);
        remaining = &remaining[at + end + 1..];
    }
    rest.push_str(remaining);
    (uses, rest)
}

/// `pub(crate)` and `pub(super)` re-export too.
fn ends_with_pub_in(before: &str) -> bool {
    before.rfind('(').is_some_and(|open| before[..open].trim_end().ends_with("pub"))
}

/// Where `word` stands by itself.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        !text[..*at].chars().next_back().is_some_and(is_part)
            && !text[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// The paths of a use tree, and the name each brings in: `a::{b, c as d}` is `a::b` as `b` and `a::c` as `d`.
fn expand(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix: Vec<String> = segments(&tree[..open]);
        let inner = tree[open + 1..].trim_end().trim_end_matches('}');
        return split_top(inner)
            .into_iter()
            .flat_map(expand)
            .map(|(path, name)| {
                // `a::{self}` is `a`.
                let path: Vec<String> = if path == ["self"] { Vec::new() } else { path };
                (
                    [prefix.as_slice(), &path].concat(),
                    if name == "self" { prefix.last().cloned().unwrap_or_default() } else { name },
                )
            })
            .collect();
    }
    let (path, renamed) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path = segments(path);
    let Some(last) = path.last().cloned() else { return Vec::new() };
    let name = if renamed.is_empty() { last } else { renamed.trim().to_owned() };
    vec![(path, name)]
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|segment| segment.trim().to_owned()).filter(|segment| !segment.is_empty()).collect()
}

/// Splits at the commas that lie in no braces.
fn split_top(inner: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Paths in code that begin at the crate, the module above, or here.
fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    ["crate", "super", "self"]
        .iter()
        .flat_map(|word| {
            let beginning = format!("{word}::");
            code.match_indices(&beginning)
                .filter(|(at, _)| !code[..*at].chars().next_back().is_some_and(|c| is_part(c) || c == ':' || c == '$'))
                .map(|(at, _)| {
                    let whole: String = code[at..].chars().take_while(|c| is_part(*c) || *c == ':').collect();
                    segments(&whole)
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The code without the items behind `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut remaining = code;
    while let Some(at) = remaining.find("#[cfg(test)]") {
        kept.push_str(&remaining[..at]);
        let item = &remaining[at..];
        let (brace, semicolon) = (item.find('{'), item.find(';'));
        let end = match (brace, semicolon) {
            (Some(brace), semicolon) if semicolon.is_none_or(|semicolon| brace < semicolon) => {
                brace + closing(&item[brace..])
            }
            (_, Some(semicolon)) => semicolon + 1,
            _ => item.len(),
        };
        remaining = &item[end..];
    }
    kept.push_str(remaining);
    kept
}

/// Length of the block that opens at the beginning of `text`.
fn closing(text: &str) -> usize {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// The code with comments and the contents of literals left out.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest, kept.chars().next_back()) {
            length
        } else if c == '"' {
            string(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped > 0 {
            rest = &rest[skipped..];
            kept.push(' ');
        } else {
            kept.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    kept
}

/// Length of the string literal that begins here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string that begins here, if one does.
fn raw_string(text: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_') {
        return None;
    }
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    let inner = hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    Some(2 + count + inner.find(&end).map_or(inner.len(), |at| at + end.len()))
}

/// Length of the character literal that begins here, 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text[2..].find('\'').map_or(0, |at| {
            // `'\''` closes at the second quote after the backslash.
            if at == 0 { 2 + text[3..].find('\'').map_or(0, |next| next + 2) } else { at + 3 }
        }),
        Some(_) => characters.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut modules = Modules::default();
        for (name, text) in files {
            modules.add(name, text);
        }
        modules.circles()
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "fn f() -> crate::a::A { todo!() } pub struct B;"),
        ]);
        assert_eq!(found, [["a.rs", "b.rs", "a.rs"]]);
    }

    #[test]
    fn a_chain_is_no_circle() {
        let found = circles(&[
            ("lib.rs", "pub mod a; pub mod b; pub use a::A;"),
            ("a.rs", "use crate::b::{self, B}; pub struct A;"),
            ("b.rs", "pub struct B;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_name_is_followed_through_the_table_of_contents() {
        // `b` asks the root for A, which lies in `a`: a circle of a and b, and none with the root.
        let found = circles(&[
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("a.rs", "use crate::B; pub struct A;"),
            ("b.rs", "use super::A; pub struct B;"),
        ]);
        assert_eq!(found, [["a.rs", "b.rs", "a.rs"]]);
    }

    #[test]
    fn a_parent_that_uses_its_child_and_is_used_by_it_is_a_circle() {
        let found = circles(&[
            ("lib.rs", "mod relay;"),
            ("relay/mod.rs", "mod stream; use stream::Stream; pub struct Plan;"),
            ("relay/stream.rs", "use super::Plan; pub struct Stream;"),
        ]);
        assert_eq!(found, [["relay/mod.rs", "relay/stream.rs", "relay/mod.rs"]]);
    }

    #[test]
    fn a_parent_that_only_shows_its_children_is_none() {
        let found = circles(&[
            ("lib.rs", "mod relay;"),
            (
                "relay/mod.rs",
                "mod stream; pub(crate) use stream::Stream; pub use self::stream::{One as Two};\npub struct Plan;",
            ),
            ("relay/stream.rs", "use super::Plan; pub struct Stream; pub struct One;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn tests_comments_and_strings_import_nothing() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;"),
            (
                "b.rs",
                "// crate::a::A\n/* use crate::a::A; */ const S: &str = \"use crate::a::A;\"; const R: &str = r#\"crate::a::A\"#;\n\
                 const C: [char; 3] = ['\"', '\\'', '\\\\'];\n#[cfg(test)]\nmod tests { use crate::a::A; fn f() { { } } }\npub struct B;",
            ),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn nested_trees_name_every_path() {
        let paths = expand("crate::{a::{B, c::*}, d::{self, e as f}}");
        let written: Vec<String> = paths.iter().map(|(path, name)| format!("{} as {name}", path.join("::"))).collect();
        assert_eq!(written, ["crate::a::B as B", "crate::a::c::* as *", "crate::d as d", "crate::d::e as f"]);
    }
}
