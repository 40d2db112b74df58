//! The house's rules, held against the tree: each check is one file and one row.

mod bans;
mod fixtures;
mod imports;
mod length;
mod licences;
mod links;
mod loops;
mod paths;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: a file relative to the root, or a crate's name.
    pub place: String,
    /// What is wrong there, and what to do.
    pub what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// What a check is given: the packages, and the files git tracks or would track.
pub struct Tree {
    workspace: Workspace,
    files: Vec<PathBuf>,
}

impl Tree {
    fn read() -> Result<Tree> {
        let workspace = Workspace::read()?;
        let files = workspace.files()?;
        Ok(Tree { workspace, files })
    }

    /// The text of a file; `None` where it is no UTF-8.
    fn text(&self, file: &std::path::Path) -> Option<String> {
        std::fs::read_to_string(self.workspace.root.join(file)).ok()
    }

    /// Files whose name ends in `.ending`.
    fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a PathBuf> {
        self.files.iter().filter(move |file| file.extension().is_some_and(|found| found == ending))
    }
}

/// One rule.
struct Check {
    name: &'static str,
    holds: &'static str,
    run: fn(&Tree) -> Result<Vec<Finding>>,
}

/// Every rule.
const CHECKS: &[Check] = &[
    Check { name: "imports", holds: "crates import only what the table allows", run: imports::check },
    Check { name: "loops", holds: "no files of one crate import each other in a circle", run: loops::check },
    Check { name: "licences", holds: "every dependency's licence is one we may ship", run: licences::check },
    Check { name: "bans", holds: "no unkept or unsound crate, one TLS provider", run: bans::check },
    Check { name: "links", holds: "links in documents lead somewhere", run: links::check },
    Check {
        name: "fixtures",
        holds: "every row of a table has its fixture, every fixture its origin",
        run: fixtures::check,
    },
    Check { name: "paths", holds: "no file names this machine or its registries", run: paths::check },
    Check { name: "length", holds: "files stay short enough to read", run: length::check },
];

/// `tidy [CHECK…]`: all of them, or the ones named.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = arguments.iter().find(|name| CHECKS.iter().all(|check| check.name != name.as_str())) {
        eprintln!("there is no check `{unknown}`; there are:");
        for check in CHECKS {
            eprintln!("  {:9} {}", check.name, check.holds);
        }
        return Ok(ExitCode::from(2));
    }
    let found = findings(|check| arguments.is_empty() || arguments.iter().any(|name| name == check.name))?;
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All of them, as one step of `cargo xtask test`.
pub fn check_all() -> Result<()> {
    match findings(|_| true)? {
        0 => Ok(()),
        found => bail!("tidy found {found} things to mend"),
    }
}

fn findings(wanted: impl Fn(&Check) -> bool) -> Result<usize> {
    let tree = Tree::read()?;
    let mut found = 0;
    for check in CHECKS.iter().filter(|check| wanted(check)) {
        let here = (check.run)(&tree)?;
        println!("{:9} {}", check.name, if here.is_empty() { "ok".into() } else { format!("{} found", here.len()) });
        for finding in &here {
            println!("  {finding}");
        }
        found += here.len();
    }
    Ok(found)
}
