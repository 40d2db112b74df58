//! Nothing in the tree names this machine: no folder of it, no host of its package registries.

use anyhow::Result;

use super::{Finding, Tree};
use crate::shell;

/// Hosts that every machine has.
const PUBLIC: &[&str] = &[
    "crates.io",
    "files.pythonhosted.org",
    "github.com",
    "index.crates.io",
    "pypi.org",
    "registry.npmjs.org",
    "static.crates.io",
];

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let private = private_words(tree);
    let mut found = Vec::new();
    for file in &tree.files {
        let Some(text) = tree.text(file) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in private.iter().filter(|word| line.contains(word.as_str())) {
                found.push(Finding::new(
                    format!("{}:{}", file.display(), number + 1),
                    format!("names `{word}` of this machine"),
                ));
            }
        }
        if file.ends_with("package-lock.json") {
            found.extend(foreign_hosts(&text).map(|host| {
                let what =
                    format!("resolves from `{host}`; make it with `npm install --omit-lockfile-registry-resolved`");
                Finding::new(file.display().to_string(), what)
            }));
        }
        if file.ends_with("Cargo.lock")
            && text.lines().any(|line| line.starts_with("source = ") && !line.contains("crates.io-index"))
        {
            found.push(Finding::new(file.display().to_string(), "has a source that is not crates.io"));
        }
    }
    Ok(found)
}

/// The folders and hosts of the machine this runs on, as its own settings tell them.
fn private_words(tree: &Tree) -> Vec<String> {
    let mut words = vec![format!("{}/", tree.workspace.root.display())];
    words.extend(std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| format!("{home}/")));
    let npm = shell::answer(shell::command("npm", &["config", "get", "registry"]));
    let pip = shell::answer(shell::command("python3", &["-m", "pip", "config", "list"]));
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let cargo = home.ok().and_then(|home| std::fs::read_to_string(format!("{home}/config.toml")).ok());
    for setting in [npm, pip, cargo].into_iter().flatten() {
        words.extend(hosts(&setting).filter(|host| !PUBLIC.contains(&host.as_str())));
    }
    words.sort();
    words.dedup();
    words
}

/// Hosts of the addresses in a text, loopback left out.
fn hosts(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("://")
        .skip(1)
        .map(|rest| {
            let authority: String = rest.chars().take_while(|c| c.is_alphanumeric() || ".-_@:".contains(*c)).collect();
            let host = authority.rsplit('@').next().unwrap_or_default();
            host.split(':').next().unwrap_or_default().to_owned()
        })
        .filter(|host| !host.is_empty() && host != "localhost" && !host.starts_with("127."))
}

fn foreign_hosts(lock: &str) -> impl Iterator<Item = String> + '_ {
    lock.lines()
        .filter(|line| line.trim_start().starts_with("\"resolved\""))
        .flat_map(hosts)
        .filter(|host| !PUBLIC.contains(&host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_without_port_user_and_path() {
        let text = "global.index-url='https://user@mirror.example:8443/simple'\nregistry = \"sparse+https://a.example/x/\" http://127.0.0.1:1/";
        assert_eq!(hosts(text).collect::<Vec<_>>(), ["mirror.example", "a.example"]);
    }

    #[test]
    fn a_lock_file_from_a_mirror_is_told() {
        let lock =
            "\"resolved\": \"https://mirror.example/x.tgz\",\n\"resolved\": \"https://registry.npmjs.org/y.tgz\",\n";
        assert_eq!(foreign_hosts(lock).collect::<Vec<_>>(), ["mirror.example"]);
    }
}
