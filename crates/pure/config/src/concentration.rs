//! `[concentration.*]`: how much of a criticality's traffic one vendor may have.

use std::sync::Arc;

use routing::concentration::LEAST_ATTEMPTS;
use routing::{ConcentrationLimit, CriticalityIndex, Permille};

use crate::criticality::Criticality;
use crate::key::{Key, Section};
use crate::lanes::Lane;
use crate::models::Model;
use crate::names::{Declared, did_you_mean};
use crate::numbers;
use crate::providers::Provider;
use crate::raw::{Named, Table};

/// Attempts that count where nothing is said.
const ATTEMPTS: usize = 200;

/// What one vendor may have of one criticality's traffic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConcentrationRule {
    /// Whose traffic.
    pub criticality: CriticalityIndex,
    /// How much of it.
    pub limit: ConcentrationLimit,
}

/// Keys of `[concentration.NAME]`.
pub const SECTION: Section = Section {
    path: "concentration.NAME",
    about: "How much of the traffic of criticality NAME one vendor may have. Above it, calls begin with another vendor's model where one may serve them; nothing is refused. Providers with the same catalog row are one vendor.",
    keys: &[
        Key {
            name: "share",
            takes: "percent text, above 0% up to but without 100%, in tenths",
            default: "required",
            meaning: "The most that one vendor may have of the attempts that count.",
            example: "\"60%\"",
        },
        Key {
            name: "attempts",
            takes: "count, 10 to 10000",
            default: "200",
            meaning: "Which attempts count: the last so many of this criticality, on this instance. Until ten were made, the share is taken of ten.",
            example: "200",
        },
    ],
    meters: false,
};

impl Provider {
    /// Whom it belongs to: its catalog row's name, or its own where it has none.
    pub fn vendor(&self) -> &str {
        self.catalog.as_deref().unwrap_or(self.name.as_str())
    }
}

/// What a rule is checked against.
pub(crate) struct Around<'p, 'd> {
    pub criticality: &'p [Declared<'d, Arc<Criticality>>],
    pub lanes: &'p [Declared<'d, Arc<Lane>>],
    pub models: &'p [Declared<'d, Arc<Model>>],
}

/// Reads `[concentration.*]`.
pub(crate) fn read(root: &Table, around: &Around) -> Vec<ConcentrationRule> {
    root.named("concentration", &SECTION).iter().filter_map(|named| one(named, around)).collect()
}

fn one(named: &Named, around: &Around) -> Option<ConcentrationRule> {
    let table = &named.table;
    if !table.has("share") && !table.is_spoiled() {
        table.missing("share", "write the most that one vendor may have, such as share = \"60%\"");
    }
    let known = around.criticality.iter().find(|one| one.name == named.name);
    if known.is_none() {
        let remedy = did_you_mean(named.name, around.criticality.iter().map(|one| one.name));
        table.problems().error(&table.place, format!("there is no criticality `{}`", named.name), remedy);
    }
    let share = share(table);
    let least = LEAST_ATTEMPTS as u64;
    let attempts = table.count("attempts", least..=10_000).and_then(|count| usize::try_from(count).ok());
    let criticality = known?.value.as_deref()?;
    if let Some(vendor) = only_vendor(criticality, around) {
        let reason = format!("every model of its lanes is at vendor `{vendor}`, so no call can be steered elsewhere");
        table.problems().warn(&table.place, reason, "add a model of another vendor to its lanes");
    }
    let limit = ConcentrationLimit { share: share?, attempts: attempts.unwrap_or(ATTEMPTS) };
    Some(ConcentrationRule { criticality: criticality.index, limit })
}

fn share(table: &Table) -> Option<Permille> {
    let text = table.decimal_text("share", "\"60%\"")?;
    let millipercent = numbers::millipercent(text.value).filter(|share| (1..100_000).contains(share));
    let permille = millipercent.filter(|share| share % 100 == 0).and_then(|share| u16::try_from(share / 100).ok());
    if permille.is_none() {
        let reason = format!("`{}` is no share", text.value);
        let remedy = "write a percentage above 0% and below 100% in tenths, such as \"60%\"";
        table.problems().error(&text.place, reason, remedy);
    }
    permille.map(Permille::new)
}

/// The one vendor of all models of its lanes, if it is one.
fn only_vendor<'p>(criticality: &Criticality, around: &'p Around) -> Option<&'p str> {
    let lanes = criticality.lanes.iter().filter_map(|lane| around.lanes[*lane].value.as_deref());
    let models = lanes.flat_map(|lane| &lane.models).filter_map(|model| around.models[*model].value.as_deref());
    let mut vendors = models.map(|model| model.provider.vendor());
    let first = vendors.next()?;
    vendors.all(|vendor| vendor == first).then_some(first)
}
