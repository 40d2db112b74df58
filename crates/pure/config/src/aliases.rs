//! `[aliases]`: other names for workflows, for code that cannot change.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::WorkflowName;

use crate::key::{Key, Section};
use crate::names::{Declared, find};
use crate::problem::At;
use crate::raw::{Table, Value};
use crate::workflows::Workflow;

/// Longest alias, bytes.
const LONGEST: usize = 128;

/// Keys of `[aliases]`.
pub const SECTION: Section = Section {
    path: "aliases",
    about: "Other names for workflows, for code that cannot change.",
    keys: &[Key {
        name: "ALIAS",
        takes: "text, name of a `[workflows.*]` entry",
        default: "none",
        meaning: "A call whose `model` is ALIAS belongs to this workflow. 1 to 128 printable ASCII characters without spaces; neither a workflow's name nor beginning with `lane:` or `model:`.",
        example: "\"claims-triage\"",
    }],
    meters: false,
};

/// Reads `[aliases]`.
pub(crate) fn read(root: &Table, workflows: &[Declared<Arc<Workflow>>]) -> BTreeMap<String, WorkflowName> {
    let mut aliases = BTreeMap::new();
    let Some(table) = root.free_table("aliases") else { return aliases };
    let problems = table.problems();
    for entry in table.entries() {
        let alias = entry.name;
        let problem = |reason: String, remedy: &str| problems.error(&entry.place, reason, remedy);
        if !(1..=LONGEST).contains(&alias.len()) || !alias.bytes().all(|byte| byte.is_ascii_graphic()) {
            problem("is no alias".to_owned(), "use 1 to 128 printable ASCII characters without spaces");
        } else if workflows.iter().any(|workflow| workflow.name == alias) {
            problem(format!("`{alias}` is a workflow already"), "remove the alias, or rename the workflow");
        } else if alias.starts_with("lane:") || alias.starts_with("model:") {
            problem(format!("`{alias}` would hide a lane or model"), "choose an alias without `lane:` or `model:`");
        }
        match entry.value {
            Value::String(target) => {
                let asked = At { value: &**target, place: entry.place.clone() };
                if table.has(target) && !workflows.iter().any(|workflow| workflow.name == target) {
                    problem(format!("`{target}` is an alias itself"), "name the workflow directly");
                } else if find("workflow", &asked, workflows, problems).is_some() {
                    aliases.insert(alias.to_owned(), WorkflowName::from(&**target));
                }
            }
            _ => problem("is no text".to_owned(), "write the name of a workflow in quotation marks"),
        }
    }
    aliases
}
