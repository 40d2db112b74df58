//! `on_anomaly`: what becomes of calls when something is out of the ordinary, in a lane by kind, and in a workflow when it spends
//! more than it usually does.

use routing::anomaly::Kind;

use crate::key::{Key, Section};
use crate::raw::Table;

/// What an anomaly leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnAnomaly {
    /// It is told: log, metric, page.
    #[default]
    Notify,
    /// And calls go elsewhere while it lasts.
    ChangeLane,
}

/// What anomalies of the models of a lane lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaneAnomalies {
    /// A provider bills more than the price says.
    pub price: OnAnomaly,
    /// A call was served in another tier than was asked for.
    pub tier: OnAnomaly,
    /// First tokens come later than they usually do.
    pub latency: OnAnomaly,
}

impl LaneAnomalies {
    /// What an anomaly of this kind leads to; spend is no matter of a lane.
    pub const fn of(&self, kind: Kind) -> OnAnomaly {
        match kind {
            Kind::Price => self.price,
            Kind::Tier => self.tier,
            Kind::Latency => self.latency,
            Kind::Spend => OnAnomaly::Notify,
        }
    }
}

/// The key of a lane that opens [`LANE`].
pub const LANE_KEY: Key = Key {
    name: "on_anomaly",
    takes: "table",
    default: "each kind is told",
    meaning: "What becomes of calls while one of its models bills another price, serves another tier or answers later than it should.",
    example: "{ price = \"change_lane\", latency = \"change_lane\" }",
};

/// Keys of a lane's `on_anomaly = { … }`.
pub const LANE: Section = Section {
    path: "lanes.NAME.on_anomaly",
    about: "What anomalies of the models of a lane lead to, by kind. `notify`: log, metric, console. `change_lane`: the next call already begins with another model of the lane or with the next lane; one in twenty still goes there and finds out when it is over.",
    keys: &[
        Key {
            name: "price",
            takes: "`notify` or `change_lane`",
            default: "`notify`",
            meaning: "The provider says that an answer cost more than our price of its tokens, by more than 0.5 %. Calls leave only for what costs less than the price that is really billed.",
            example: "\"change_lane\"",
        },
        Key {
            name: "tier",
            takes: "`notify` or `change_lane`",
            default: "`notify`",
            meaning: "The provider says that it served another `service_tier` than was asked for, or a dearer one that nobody asked for.",
            example: "\"change_lane\"",
        },
        Key {
            name: "latency",
            takes: "`notify` or `change_lane`",
            default: "`notify`",
            meaning: "First tokens of streams come later than they usually do at this time of the week.",
            example: "\"change_lane\"",
        },
    ],
    meters: false,
};

/// The key of a workflow that opens [`WORKFLOW`].
pub const WORKFLOW_KEY: Key = Key {
    name: "on_anomaly",
    takes: "table",
    default: "it is told",
    meaning: "What becomes of its calls while it spends more than it usually does.",
    example: "{ spend = \"change_lane\" }",
};

/// Keys of a workflow's `on_anomaly = { … }`.
pub const WORKFLOW: Section = Section {
    path: "workflows.NAME.on_anomaly",
    about: "What an anomaly of a workflow's spend leads to.",
    keys: &[Key {
        name: "spend",
        takes: "`notify` or `change_lane`",
        default: "`notify`",
        meaning: "It spends more than it usually does at this time of the week. With `change_lane` its calls go to its cheapest model until what they would have cost is as usual again.",
        example: "\"change_lane\"",
    }],
    meters: false,
};

const WORDS: [(&str, OnAnomaly); 2] = [("notify", OnAnomaly::Notify), ("change_lane", OnAnomaly::ChangeLane)];

/// Reads a lane's.
pub(crate) fn of_lane(table: &Table) -> LaneAnomalies {
    let Some(table) = table.table("on_anomaly", &LANE) else { return LaneAnomalies::default() };
    let word = |name| table.choice(name, &WORDS).unwrap_or_default();
    LaneAnomalies { price: word("price"), tier: word("tier"), latency: word("latency") }
}

/// Reads a workflow's.
pub(crate) fn of_workflow(table: &Table) -> OnAnomaly {
    let Some(table) = table.table("on_anomaly", &WORKFLOW) else { return OnAnomaly::default() };
    table.choice("spend", &WORDS).unwrap_or_default()
}
