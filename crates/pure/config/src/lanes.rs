//! `[lanes.*]`: pools of models with a rule to pick by and service levels to keep.

use std::sync::Arc;

use domain::{Class, LaneName, Pick};
use routing::slo::{Allowed, Indicator, Target};
use routing::{HedgeTerms, LaneIndex, ModelIndex};

use crate::anomalies::{self, LaneAnomalies};
use crate::hedge::{self, CONTINUATION_KEY, HEDGE_KEY};
use crate::key::{Key, Section};
use crate::models::Model;
use crate::names::{Declared, find_all};
use crate::numbers::{self, milli_text};
use crate::raw::{Named, Table};

/// A pool of models.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Its name.
    pub name: LaneName,
    /// Its place among the lanes of a snapshot.
    pub index: LaneIndex,
    /// What it is for.
    pub class: Class,
    /// Its models in declared order, at least one.
    pub models: Vec<ModelIndex>,
    /// How it chooses among them.
    pub pick: Pick,
    /// What it is meant to keep.
    pub slo: Slo,
    /// How slow calls get a second attempt; absent where they get none.
    pub hedge: Option<HedgeTerms>,
    /// Whether answers that break off go on elsewhere, and answers of others go on here.
    pub continues: bool,
    /// What anomalies of its models lead to.
    pub on_anomaly: LaneAnomalies,
}

/// Service levels a lane promises. Each but the declared quality has a budget of errors over thirty days; where it burns, calls are
/// moved away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slo {
    /// 95 of 100 first tokens come within this, milliseconds.
    pub first_token_p95_ms: Option<u64>,
    /// 95 of 100 streamed answers take no longer than this for each token after the first content, milliseconds.
    pub inter_token_p95_ms: Option<u64>,
    /// 95 of 100 answers are over within this, milliseconds.
    pub total_p95_ms: Option<u64>,
    /// Share of calls that succeed, thousandths of a percent: 99.9% is 99 900.
    pub success_millipercent: Option<u32>,
    /// Share of judged answers that are good, thousandths of a percent.
    pub judged_good_millipercent: Option<u32>,
    /// Quality its models reach, thousandths.
    pub quality_milli: Option<u32>,
}

impl Slo {
    /// What of it is counted, and how much of that may be bad. The declared quality is not: it is compared with what models declare.
    pub fn targets(&self) -> Vec<Target> {
        let within =
            |indicator, ms: Option<u64>| ms.map(|ms| Target { indicator, within_ms: Some(ms), allowed: Allowed::P95 });
        let success = self.success_millipercent.and_then(Allowed::beside_success);
        let judged = self.judged_good_millipercent.and_then(Allowed::beside_success);
        let targets = [
            within(Indicator::FirstToken, self.first_token_p95_ms),
            within(Indicator::InterToken, self.inter_token_p95_ms),
            within(Indicator::Total, self.total_p95_ms),
            success.map(|allowed| Target { indicator: Indicator::Success, within_ms: None, allowed }),
            judged.map(|allowed| Target { indicator: Indicator::Quality, within_ms: None, allowed }),
        ];
        targets.into_iter().flatten().collect()
    }
}

/// Keys of `[lanes.NAME]`.
pub const SECTION: Section = Section {
    path: "lanes.NAME",
    about: "Pools of models. Within a lane the pick rule decides who comes first; the others follow when it fails.",
    keys: &[
        Key {
            name: "class",
            takes: "`A`, `B` or `C`",
            default: "required",
            meaning: "Premium (A), standard (B), failover and open models (C).",
            example: "\"A\"",
        },
        Key {
            name: "models",
            takes: "list of names of `[models.*]` entries",
            default: "required",
            meaning: "Its models. Their order decides ties.",
            example: "[\"sonnet\"]",
        },
        Key {
            name: "pick",
            takes: "`best`, `fastest`, `cheapest` or `balanced`",
            default: "`best`",
            meaning: "By declared quality, by measured time to the first token, by the expected cost of this very call, or the better of two drawn by expected cost, attempts under way and failures of late (power of two choices).",
            example: "\"best\"",
        },
        Key {
            name: "slo",
            takes: "table",
            default: "none",
            meaning: "What it promises: each level has a budget of errors over 30 days, and where it burns too fast, calls begin in the next lane of their criticality, the least critical first. See docs/lanes.md.",
            example: "{ first_token_p95_ms = 2500, success = \"99.9%\", quality = \"0.92\" }",
        },
        HEDGE_KEY,
        CONTINUATION_KEY,
        anomalies::LANE_KEY,
    ],
    meters: false,
};

/// Keys of `slo = { … }`.
pub const SLO: Section = Section {
    path: "lanes.NAME.slo",
    about: "Service levels of a lane, as this instance counts them from entering the lane on. See docs/lanes.md.",
    keys: &[
        Key {
            name: "first_token_p95_ms",
            takes: "milliseconds, 1 to 3600000",
            default: "none",
            meaning: "95 of 100 first tokens come within this.",
            example: "2_500",
        },
        Key {
            name: "inter_token_p95_ms",
            takes: "milliseconds, 1 to 3600000",
            default: "none",
            meaning: "95 of 100 streamed answers take no longer than this for each token after the first content.",
            example: "60",
        },
        Key {
            name: "total_p95_ms",
            takes: "milliseconds, 1 to 86400000",
            default: "none",
            meaning: "95 of 100 answers are over within this.",
            example: "30_000",
        },
        Key {
            name: "success",
            takes: "percent text, 0% up to but without 100%, in thousandths",
            default: "none",
            meaning: "Share of the calls that come to the lane which it answers. A call that goes on to another lane, because models here failed or were held back by breakers and rate limits, was not; faults of clients do not count.",
            example: "\"99.9%\"",
        },
        Key {
            name: "judged_good",
            takes: "percent text, 0% up to but without 100%, in thousandths",
            default: "none",
            meaning: "Share of the lane's judged answers that are good. Applications judge them by `POST /v1/feedback`; what nobody judges counts as neither.",
            example: "\"95%\"",
        },
        Key {
            name: "quality",
            takes: "decimal text, 0 to 1 in thousandths",
            default: "none",
            meaning: "Quality its models reach; one that declares less is warned about. It is compared with what models declare and has no budget of errors; `judged_good` has one.",
            example: "\"0.92\"",
        },
    ],
    meters: false,
};

/// Reads `[lanes.*]`.
pub(crate) fn read<'d>(root: &Table<'d>, models: &[Declared<Arc<Model>>]) -> Vec<Declared<'d, Arc<Lane>>> {
    let named = root.named("lanes", &SECTION);
    let read = |(index, named): (usize, &Named<'d>)| Declared {
        name: named.name,
        place: named.table.place.clone(),
        value: one(named, index, models).map(Arc::new),
    };
    named.iter().enumerate().map(read).collect()
}

fn one(named: &Named, index: LaneIndex, models: &[Declared<Arc<Model>>]) -> Option<Lane> {
    let table = &named.table;
    let problems = table.problems();
    let class = table.choice("class", &[("A", Class::A), ("B", Class::B), ("C", Class::C)]);
    if !table.has("class") && !table.is_spoiled() {
        table.missing(
            "class",
            "write `class = \"A\"` (premium), `\"B\"` (standard) or `\"C\"` (failover and open models)",
        );
    }
    if !table.has("models") && !table.is_spoiled() {
        table.missing("models", "name at least one `[models.*]` entry");
    }
    let found = find_all("model", table.texts("models"), models, problems);
    let pick = table
        .choice(
            "pick",
            &[
                ("best", Pick::Best),
                ("fastest", Pick::Fastest),
                ("cheapest", Pick::Cheapest),
                ("balanced", Pick::Balanced),
            ],
        )
        .unwrap_or(Pick::Best);
    let slo = slo(table);
    let hedge = hedge::read(table);
    let continues = hedge::is_on(table, "continuation");
    let on_anomaly = anomalies::of_lane(table);

    let found = found?;
    let known = || found.iter().filter_map(|index| models[*index].value.as_deref());
    if pick == Pick::Best && found.len() > 1 {
        for model in known().filter(|model| model.quality_milli.is_none()) {
            let reason = format!("picks the best, but model `{}` declares no quality and so comes last", model.name);
            problems.warn(&table.place_of("models"), reason, "give it a `quality`, or pick by another rule");
        }
    }
    if let Some(wanted) = slo.quality_milli {
        for model in known().filter(|model| model.quality_milli.is_some_and(|quality| quality < wanted)) {
            let quality = milli_text(model.quality_milli.unwrap_or_default());
            let wanted = milli_text(wanted);
            let reason =
                format!("model `{}` declares quality {quality}, less than the {wanted} of this lane", model.name);
            problems.warn(&table.place_of("slo"), reason, "move the model to another lane, or lower the level");
        }
    }
    let name = LaneName::from(named.name);
    Some(Lane { name, index, class: class?, models: found, pick, slo, on_anomaly, hedge, continues })
}

fn slo(table: &Table) -> Slo {
    let Some(table) = table.table("slo", &SLO) else { return Slo::default() };
    Slo {
        first_token_p95_ms: table.count("first_token_p95_ms", 1..=3_600_000),
        inter_token_p95_ms: table.count("inter_token_p95_ms", 1..=3_600_000),
        total_p95_ms: table.count("total_p95_ms", 1..=86_400_000),
        success_millipercent: share(&table, "success"),
        judged_good_millipercent: share(&table, "judged_good"),
        quality_milli: table.milli("quality").map(|quality| quality.value),
    }
}

/// A share that is promised: less than all, or the first failure would use up more than the whole budget of errors.
fn share(table: &Table, key: &'static str) -> Option<u32> {
    let text = table.decimal_text(key, "\"99.9%\"")?;
    let share = numbers::millipercent(text.value);
    if share.is_none() {
        let reason = format!("`{}` is no percentage", text.value);
        table.problems().error(&text.place, reason, "write a percentage from 0% to 100%, such as \"99.9%\"");
    }
    if share == Some(100_000) {
        let reason = "leaves no budget of errors, so the first failure would use up more than all of it";
        table.problems().error(&table.place_of(key), reason, "write less than 100%, such as \"99.99%\"");
    }
    share
}
