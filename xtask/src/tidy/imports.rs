//! Which crate may import which: the table of ARCHITECTURE.md, held against what the manifests ask for.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Finding, Tree};

/// What a crate may import of ours.
enum May {
    /// These.
    Only(&'static [&'static str]),
    /// Every pure crate, and these.
    PureAnd(&'static [&'static str]),
    /// Anything.
    All,
}

/// Crates that compute and touch nothing.
const PURE: &[&str] =
    &["domain", "wire", "routing", "guard", "ledger", "economics", "registry", "evals", "estate", "config"];

/// The table. Direct dependencies are meant, those of tests left out.
const TABLE: &[(&str, May)] = &[
    ("domain", May::Only(&[])),
    ("wire", May::Only(&["domain"])),
    ("routing", May::Only(&["domain"])),
    ("ledger", May::Only(&["domain"])),
    ("estate", May::Only(&["domain"])),
    ("economics", May::Only(&["domain", "ledger"])),
    ("guard", May::Only(&["domain", "wire"])),
    ("registry", May::Only(&["domain", "wire"])),
    ("evals", May::Only(&["domain", "wire"])),
    ("config", May::PureAnd(&[])),
    ("store", May::PureAnd(&[])),
    ("gateway", May::Only(&["domain", "wire", "routing", "guard", "ledger", "economics", "registry", "config"])),
    ("operator", May::Only(&["estate", "domain", "store"])),
    ("control", May::PureAnd(&["store"])),
    ("console", May::PureAnd(&["control"])),
    ("simulator", May::Only(&["domain"])),
    ("drill", May::PureAnd(&["gateway", "simulator", "control"])),
    ("embedder", May::Only(&["domain"])),
    ("testkit", May::PureAnd(&[])),
    ("xtask", May::Only(&[])),
    ("freehold", May::All),
];

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let names: BTreeSet<&str> = tree.workspace.ours.keys().map(|name| bare(name)).collect();
    let mut found = Vec::new();
    for package in tree.workspace.ours.values() {
        let imports: BTreeSet<&str> = package
            .asks_for
            .iter()
            .filter(|name| tree.workspace.ours.contains_key(*name))
            .map(|name| bare(name))
            .collect();
        found.extend(judge(bare(&package.name), &imports, &names));
    }
    Ok(found)
}

fn judge(name: &str, imports: &BTreeSet<&str>, ours: &BTreeSet<&str>) -> Vec<Finding> {
    let Some((_, may)) = TABLE.iter().find(|(row, _)| *row == name) else {
        return vec![Finding::new(name, "has no row in the import table; add it there and in ARCHITECTURE.md")];
    };
    imports
        .iter()
        .filter(|import| ours.contains(**import) && !allows(name, may, import))
        .map(|import| Finding::new(name, format!("imports `{import}`, which the import table does not allow")))
        .collect()
}

fn allows(name: &str, may: &May, import: &str) -> bool {
    // `config` speaks of every pure crate, so none of them may speak of it.
    let pure = PURE.contains(&import) && !(PURE.contains(&name) && import == "config");
    match may {
        May::Only(list) => list.contains(&import),
        May::PureAnd(list) => pure || list.contains(&import),
        May::All => true,
    }
}

/// Packages are named `freehold-wire`; the table says `wire`.
fn bare(name: &str) -> &str {
    name.strip_prefix("freehold-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, imports: &[&str]) -> usize {
        let ours = TABLE.iter().map(|(name, _)| *name).collect();
        judge(name, &imports.iter().copied().collect(), &ours).len()
    }

    #[test]
    fn facts_go_up_and_nothing_comes_down() {
        assert_eq!(judged("gateway", &["domain", "wire", "config"]), 0);
        assert_eq!(judged("gateway", &["store", "control"]), 2);
        assert_eq!(judged("simulator", &["domain", "wire"]), 1);
        assert_eq!(judged("console", &["control", "ledger"]), 0);
        assert_eq!(judged("console", &["store"]), 1);
    }

    #[test]
    fn no_pure_crate_imports_config() {
        assert_eq!(judged("config", &["wire", "ledger"]), 0);
        assert_eq!(judged("wire", &["config"]), 1);
        assert_eq!(judged("store", &["config"]), 0);
    }

    #[test]
    fn a_crate_without_a_row_is_told() {
        assert_eq!(judged("utils", &[]), 1);
    }
}
