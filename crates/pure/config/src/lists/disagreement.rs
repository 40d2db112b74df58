//! Where does a list say another price than the catalog? Figure by figure, in percent.

use domain::{PicoUsd, UnixMs};
use ledger::PriceRow;
use ledger::price_diff::figures;

use crate::catalog::Catalog;

/// A figure of which the two say different things.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disagreement {
    /// The catalog's provider.
    pub provider: String,
    /// The vendor's model id.
    pub model: String,
    /// What is priced: `input`, `above 200000: output`, `tier flex: input`, `region us`.
    pub figure: String,
    /// What the catalog says, USD per million or a multiplier; absent where it says nothing.
    pub catalog: Option<String>,
    /// What the list says.
    pub list: Option<String>,
}

impl Disagreement {
    /// By how much of the catalog's figure the list is off, percent with two decimals, as `+4.20`; nothing where only one of them
    /// says anything, or the catalog says it is free.
    pub fn percent(&self) -> Option<String> {
        let value = |text: &Option<String>| PicoUsd::per_million(text.as_deref()?.trim_start_matches("times ")).ok();
        let (catalog, list) = (i128::from(value(&self.catalog)?.0), i128::from(value(&self.list)?.0));
        let hundredths = (list - catalog).checked_mul(10_000)?.checked_div(catalog)?;
        let sign = if hundredths < 0 { '-' } else { '+' };
        Some(format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100))
    }
}

/// Every figure in which rows of a list differ from the catalog as it was at `at`, by model. Models that the catalog has no price of
/// are not compared; [`new_models`] tells them.
pub fn disagreements(rows: &[PriceRow], catalog: &Catalog, at: UnixMs) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for row in rows {
        let Some(known) = known(row, catalog, at) else { continue };
        let (ours, theirs) = (figures(known), figures(row));
        let names: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        for name in names.into_iter().filter(|name| *name != "to" && ours.get(*name) != theirs.get(*name)) {
            found.push(Disagreement {
                provider: row.provider.clone(),
                model: row.model.clone(),
                figure: name.clone(),
                catalog: ours.get(name).cloned(),
                list: theirs.get(name).cloned(),
            });
        }
    }
    found
}

/// Rows of models that the catalog has no price of.
pub fn new_models<'r>(rows: &'r [PriceRow], catalog: &Catalog, at: UnixMs) -> Vec<&'r PriceRow> {
    rows.iter().filter(|row| known(row, catalog, at).is_none()).collect()
}

fn known<'c>(row: &PriceRow, catalog: &'c Catalog, at: UnixMs) -> Option<&'c PriceRow> {
    catalog.model(&row.provider, &row.model)?.prices.as_ref()?.row(at)
}
