//! `cache = { … }` of a workflow: whether an answer given once may be given again, to whom, and for how long.

use crate::key::{Key, Section};
use crate::numbers;
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
    /// Whether also a request that is only near may be answered.
    pub near: Option<NearRule>,
}

/// A request may be answered with the answer to another, where all but their last words say the same and the vectors of these are
/// near each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NearRule {
    /// How near at least: their cosine, thousandths. What comparing shows may raise it.
    pub threshold_milli: u16,
    /// Of so many hits one is asked of a model all the same, to compare: the share, thousandths of a percent.
    pub compare_millipercent: u32,
    /// The share of hits whose answers may differ, thousandths of a percent.
    pub max_differing_millipercent: u32,
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
        Key {
            name: "near",
            takes: "table",
            default: "none: only requests that say the same are answered",
            meaning: "Answer also a request whose last words are only near those of one before. Needs `[server] embedder`.",
            example: "{ threshold = \"0.95\", max_differing = \"2%\" }",
        },
    ],
    meters: false,
};

/// Keys of `near = { … }`.
pub const NEAR: Section = Section {
    path: "workflows.NAME.cache.near",
    about: "Answer a request with the answer to another where everything but the last words of the user says the same, and the vectors \
            of these are near each other. A share of such hits is asked of a model all the same and compared; where too many answers \
            differ, requests must be nearer.",
    keys: &[
        Key {
            name: "threshold",
            takes: "decimal text, 0.5 to 0.999",
            default: "required",
            meaning: "How near the last words must be at least: the cosine of their vectors. Comparing may raise it, and lets it sink back to this.",
            example: "\"0.95\"",
        },
        Key {
            name: "max_differing",
            takes: "percent text",
            default: "required",
            meaning: "The share of hits whose answers may differ from what a model says. Where the upper end of the interval of 95 percent lies above it, the threshold rises.",
            example: "\"2%\"",
        },
        Key {
            name: "compare",
            takes: "percent text, 1% to 100%",
            default: "`5%`",
            meaning: "The share of hits that are asked of a model all the same. The client is given the model's answer then, and pays for it.",
            example: "\"10%\"",
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
        near: if table.has("near") { Some(near(&table)?) } else { None },
    })
}

fn near(cache: &Table) -> Option<NearRule> {
    let table = cache.table("near", &NEAR)?;
    for (name, remedy) in [
        ("threshold", "say how near two texts must be, such as \"0.95\""),
        ("max_differing", "say which share of answers may differ, such as \"2%\""),
    ] {
        if !table.has(name) && !table.is_spoiled() {
            table.missing(name, remedy);
        }
    }
    let threshold = table.milli("threshold");
    if let Some(wrong) = threshold.as_ref().filter(|threshold| !(500..=999).contains(&threshold.value)) {
        let remedy = "write a cosine from 0.5 (much the same subject) to 0.999 (nearly the same words)";
        table.problems().error(&wrong.place, "is out of range", remedy);
    }
    let max_differing = percent(&table, "max_differing");
    let compare = match table.has("compare") {
        true => percent(&table, "compare"),
        false => Some(COMPARE_MILLIPERCENT),
    };
    if let Some(wrong) = compare.filter(|share| *share < 1_000) {
        let reason = format!("{}% is too small a share to tell anything by", numbers::milli_text(wrong));
        table.problems().error(&table.place_of("compare"), reason, "write at least \"1%\"");
    }
    let threshold_milli = threshold.map(|threshold| threshold.value).filter(|milli| (500..=999).contains(milli))?;
    Some(NearRule {
        threshold_milli: u16::try_from(threshold_milli).ok()?,
        compare_millipercent: compare?,
        max_differing_millipercent: max_differing?,
    })
}

fn percent(table: &Table, name: &str) -> Option<u32> {
    let text = table.text(name)?;
    let share = numbers::millipercent(text.value);
    if share.is_none() {
        let reason = format!("`{}` is no share", text.value);
        table.problems().error(&text.place, reason, "write percent from 0 to 100, such as \"2%\"");
    }
    share
}

/// What is compared where the rule does not say, thousandths of a percent.
const COMPARE_MILLIPERCENT: u32 = 5_000;

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
        let near = self.near.map_or_else(String::new, |near| {
            let percent = |share| numbers::milli_text(share);
            format!(
                "; also where the last words are near (cosine {}), of which {}% are compared and {}% may differ",
                percent(near.threshold_milli.into()),
                percent(near.compare_millipercent),
                percent(near.max_differing_millipercent)
            )
        });
        format!("for {} s, {to}{sampled}{pace}{near}", self.ttl_ms / 1_000)
    }
}
