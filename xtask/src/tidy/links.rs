//! Relative links of Markdown files lead to files that exist, and to headings that exist in them.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::{Finding, Tree};

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for file in tree.ending("md") {
        let Some(text) = tree.text(file) else { continue };
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let linked = if path.is_empty() { file.clone() } else { beside(file, path) };
            if !tree.workspace.root.join(&linked).exists() {
                found
                    .push(Finding::new(file.display().to_string(), format!("links to `{target}`, which is not there")));
            } else if !heading.is_empty()
                && linked.extension().is_some_and(|ending| ending == "md")
                && !headings(&tree.text(&linked).unwrap_or_default()).any(|known| known == heading)
            {
                found.push(Finding::new(
                    file.display().to_string(),
                    format!("links to `{target}`, a heading that is not there"),
                ));
            }
        }
    }
    Ok(found)
}

/// The targets of `[text](target)` and `![text](target)` outside code.
fn targets(markdown: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second part lies between back-ticks.
        let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for part in outside.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                targets.push(target.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
    }
    targets
}

/// Headings as the forges name them: lower case, spaces to dashes, other signs left out.
fn headings(markdown: &str) -> impl Iterator<Item = String> {
    markdown.lines().filter(|line| line.starts_with('#')).map(|line| {
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                c if c.is_alphanumeric() => Some(c),
                _ => None,
            })
            .collect()
    })
}

/// `path` as written in `file`, relative to the root.
fn beside(file: &Path, path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in file.parent().unwrap_or(Path::new("")).join(path).components() {
        match part {
            Component::ParentDir if whole.pop() => {}
            Component::CurDir => {}
            part => whole.push(part),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_are_no_links() {
        let text = "[a](b.md) and `[c](d.md)`\n```\n[e](f.md)\n```\n![g](h.png \"title\")";
        assert_eq!(targets(text), ["b.md", "h.png"]);
    }

    #[test]
    fn a_link_is_read_from_where_it_stands() {
        assert_eq!(beside(Path::new("docs/a.md"), "../README.md"), Path::new("README.md"));
        assert_eq!(beside(Path::new("docs/a.md"), "./b/c.md"), Path::new("docs/b/c.md"));
    }

    #[test]
    fn headings_are_named_as_the_forges_do() {
        assert_eq!(
            headings("# A call's life: on one screen\ntext\n## `init`").collect::<Vec<_>>(),
            ["a-calls-life-on-one-screen", "init"]
        );
    }
}
