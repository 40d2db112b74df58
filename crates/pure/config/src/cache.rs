//! `cache = { … }` of a workflow: whether an answer given once may be given again, to whom, and for how long.

use crate::key::{Key, Section};
use crate::raw::Table;

/// An answer given once may be given again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheRule {
    /// For how long, milliseconds.
    pub ttl_ms: u64,
    /// To whom.
    pub share: Share,
    /// Whether also to a request that asks for answers that differ, by a temperature above zero.
    pub sampled: bool,
    /// At what pace a stream is given again.
    pub replay: Replay,
}

/// To whom an answer may be given again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// To the key it was given to.
    Key,
    /// To every key that may name the workflow.
    Workflow,
}

/// At what pace a stream is given again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// With the pauses it had between its frames; the wait for the first is left out.
    Shape,
    /// As fast as the client takes it.
    AtOnce,
}

/// Keys of `cache = { … }`.
pub const SECTION: Section = Section {
    path: "workflows.NAME.cache",
    about: "Answer a request that says the same as one before with the answer of then, kept in the memory of the instance: without a \
            provider, without a hold. docs/cache.md says what is the same, and what is never kept.",
    keys: &[
        Key {
            name: "ttl_s",
            takes: "seconds, 1 to 2592000",
            default: "required",
            meaning: "For how long an answer may be given again, from when it was given first.",
            example: "3600",
        },
        Key {
            name: "share",
            takes: "`key` or `workflow`",
            default: "`key`",
            meaning: "To whom: only to the key it was given to, or to every key that may name the workflow. What one asked shows in what another is answered, and how fast: share only between those who may see each other's answers.",
            example: "\"workflow\"",
        },
        Key {
            name: "sampled",
            takes: "`true` or `false`",
            default: "`false`",
            meaning: "Whether also requests with a temperature above zero are answered with what was kept. A request that names no temperature is answered in either case.",
            example: "true",
        },
        Key {
            name: "replay",
            takes: "`shape` or `at_once`",
            default: "`shape`",
            meaning: "At what pace a stream is given again: with the pauses it had, made shorter in proportion where they come to more than ten seconds, or as fast as the client takes it.",
            example: "\"at_once\"",
        },
    ],
    meters: false,
};

/// Reads `cache` of a workflow.
pub(crate) fn read(workflow: &Table) -> Option<CacheRule> {
    let table = workflow.table("cache", &SECTION)?;
    if !table.has("ttl_s") && !table.is_spoiled() {
        table.missing("ttl_s", "say for how many seconds an answer may be given again");
    }
    let share = table.choice("share", &[("key", Share::Key), ("workflow", Share::Workflow)]);
    let sampled = table.flag("sampled");
    let replay = table.choice("replay", &[("shape", Replay::Shape), ("at_once", Replay::AtOnce)]);
    Some(CacheRule {
        ttl_ms: table.count("ttl_s", 1..=30 * 86_400)? * 1_000,
        share: share.unwrap_or(Share::Key),
        sampled: sampled.unwrap_or(false),
        replay: replay.unwrap_or(Replay::Shape),
    })
}

impl CacheRule {
    /// The rule in words: `for 3600 s, to the same key`.
    pub fn text(&self) -> String {
        let to = match self.share {
            Share::Key => "to the same key",
            Share::Workflow => "to every key of the workflow",
        };
        let sampled = if self.sampled { ", whatever the temperature" } else { "" };
        let pace = match self.replay {
            Replay::Shape => "",
            Replay::AtOnce => ", streams at once",
        };
        format!("for {} s, {to}{sampled}{pace}", self.ttl_ms / 1_000)
    }
}
