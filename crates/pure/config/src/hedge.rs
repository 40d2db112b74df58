//! `hedge = { … }` of a lane, and `continuation` of a lane or a workflow: what is done about an answer that is slow to begin,
//! or that breaks off.

use routing::HedgeTerms;

use crate::key::{Key, Section};
use crate::numbers;
use crate::raw::Table;

/// The shortest wait before a second attempt where none is set, milliseconds.
const LEAST_MS: u64 = 200;
/// Largest share that may be hedged, hundredths of a percent: where more than half of the calls are slow, the lane is.
const LARGEST_SHARE: u64 = 5_000;

/// The key `hedge` of a lane.
pub(crate) const HEDGE_KEY: Key = Key {
    name: "hedge",
    takes: "table",
    default: "off",
    meaning: "A streamed call without content after the lane's 95th percentile of first tokens gets a second attempt on the next candidate; the first to bring content wins, the other is cancelled. Both are paid for. docs/failure.md says what is never hedged.",
    example: "{ share = \"5%\" }",
};

/// The key `hedge` of a workflow.
pub(crate) const WORKFLOW_HEDGE_KEY: Key = Key {
    name: "hedge",
    takes: "`on` or `off`",
    default: "`on`",
    meaning: "Whether its calls may be hedged where their lane hedges.",
    example: "\"off\"",
};

/// The key `continuation` of a lane.
pub(crate) const CONTINUATION_KEY: Key = Key {
    name: "continuation",
    takes: "`on` or `off`",
    default: "`on`",
    meaning: "Whether an answer that breaks off here goes on elsewhere with what was said, and one of another lane goes on here. docs/failure.md says when.",
    example: "\"off\"",
};

/// The key `continuation` of a workflow.
pub(crate) const WORKFLOW_CONTINUATION_KEY: Key = Key {
    name: "continuation",
    takes: "`on` or `off`",
    default: "`on`",
    meaning: "Whether a streamed answer that breaks off after its first words goes on with another model of its lanes, instead of ending with an error. docs/failure.md says when.",
    example: "\"off\"",
};

/// The keys of `hedge = { … }`.
pub const HEDGE: Section = Section {
    path: "lanes.NAME.hedge",
    about: "Second attempts beside slow ones.",
    keys: &[
        Key {
            name: "share",
            takes: "percent text, 0.01% to 50% in hundredths",
            default: "required",
            meaning: "Of the lane's streamed calls at most so many are hedged, and at most ten more in a run of calls than that run earned.",
            example: "\"5%\"",
        },
        Key {
            name: "least_ms",
            takes: "milliseconds, 1 to 3600000",
            default: "200",
            meaning: "The shortest wait before a second attempt, however fast the lane is.",
            example: "500",
        },
    ],
    meters: false,
};

/// Reads `hedge` of a lane.
pub(crate) fn read(table: &Table) -> Option<HedgeTerms> {
    let table = table.table("hedge", &HEDGE)?;
    if !table.has("share") && !table.is_spoiled() {
        table.missing("share", "write the share of calls that may cost twice, such as \"5%\"");
    }
    let share = table.decimal_text("share", "\"5%\"");
    let hundredths = share.as_ref().and_then(|text| numbers::millipercent(text.value)).map(u64::from);
    let hundredths = hundredths.filter(|milli| milli % 10 == 0).map(|milli| milli / 10);
    let hundredths = hundredths.filter(|share| (1..=LARGEST_SHARE).contains(share));
    if let Some(share) = share.filter(|_| hundredths.is_none()) {
        let reason = format!("`{}` is no share from 0.01% to 50%", share.value);
        table.problems().error(&share.place, reason, "write a percentage such as \"5%\"");
    }
    let least_ms = table.count("least_ms", 1..=3_600_000).unwrap_or(LEAST_MS);
    Some(HedgeTerms { share: hundredths?, least_ms })
}

/// A switch that is on unless it says `off`.
pub(crate) fn is_on(table: &Table, name: &str) -> bool {
    table.choice(name, &[("on", true), ("off", false)]).unwrap_or(true)
}

/// The terms in words.
pub(crate) fn text(terms: &HedgeTerms) -> String {
    let (whole, hundredths) = (terms.share / 100, terms.share % 100);
    let share = format!("{whole}.{hundredths:02}");
    let share = share.trim_end_matches('0').trim_end_matches('.');
    format!("at most {share}% of calls, after {} ms at the earliest", terms.least_ms)
}
