//! What changed between two price lists? Rows added, gone and changed, with each figure before and after.

use std::collections::BTreeMap;

use domain::{PicoUsd, UnixMs};

use crate::price::{BEGINNING, Band, PriceRow, Prices};

/// Which row: provider, model, and the first moment it is valid.
type Key<'r> = (&'r str, &'r str, UnixMs);

/// A row that is not the same in both lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change<'r> {
    /// The row in the old list; absent where it was added.
    pub old: Option<&'r PriceRow>,
    /// The row in the new list; absent where it is gone.
    pub new: Option<&'r PriceRow>,
    /// The figures that differ, by their names.
    pub figures: Vec<FigureChange>,
}

/// A figure that is not the same in both lists. At least one side is there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FigureChange {
    /// What it prices: `input`, `above 200000: output`, `tier flex: input`, `region us`, `to`.
    pub name: String,
    /// USD per million units, a multiplier for a region, a day for `to`.
    pub old: Option<String>,
    /// The same in the new list.
    pub new: Option<String>,
}

/// What differs, by provider, model and time. A row is the same row where provider, model and first day are the same: its id
/// names the day of an import, and sources and notes are no price.
pub fn diff<'r>(old: &'r [PriceRow], new: &'r [PriceRow]) -> Vec<Change<'r>> {
    let mut rows: BTreeMap<Key<'r>, [Option<&'r PriceRow>; 2]> = BTreeMap::new();
    for (side, list) in [old, new].into_iter().enumerate() {
        for row in list {
            rows.entry((&row.provider, &row.model, row.from)).or_default()[side] = Some(row);
        }
    }
    let changes = rows.into_values().map(|[old, new]| Change { old, new, figures: changed_figures(old, new) });
    changes.filter(|change| change.old.is_none() || change.new.is_none() || !change.figures.is_empty()).collect()
}

impl<'r> Change<'r> {
    /// The row, as the newer list that has it says.
    pub fn row(&self) -> &'r PriceRow {
        self.new.or(self.old).expect("a change is of a row that one of the lists has")
    }

    /// `added`, `gone` or `changed`.
    pub fn kind(&self) -> &'static str {
        match (self.old, self.new) {
            (None, _) => "added",
            (_, None) => "gone",
            _ => "changed",
        }
    }

    /// The first day on which the row is valid; absent where it holds since ever.
    pub fn from_day(&self) -> Option<String> {
        Some(self.row().from).filter(|from| *from != BEGINNING).map(day)
    }
}

fn changed_figures(old: Option<&PriceRow>, new: Option<&PriceRow>) -> Vec<FigureChange> {
    let [old, new] = [old, new].map(|row| row.map(figures).unwrap_or_default());
    let mut changes: Vec<FigureChange> = new
        .iter()
        .filter(|(name, figure)| old.get(*name) != Some(figure))
        .map(|(name, figure)| FigureChange {
            name: name.clone(),
            old: old.get(name).cloned(),
            new: Some(figure.clone()),
        })
        .collect();
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
    changes.extend(gone.map(|(name, figure)| FigureChange {
        name: name.clone(),
        old: Some(figure.clone()),
        new: None,
    }));
    changes.sort();
    changes
}

/// Every figure of a row by a name that tells where it applies.
pub fn figures(row: &PriceRow) -> BTreeMap<String, String> {
    let mut figures = BTreeMap::new();
    add(&mut figures, "", &row.prices, &row.bands);
    for tier in &row.tiers {
        add(&mut figures, &format!("tier {}: ", tier.tier), &tier.prices, &tier.bands);
    }
    for region in &row.regions {
        // Millionths print as a price per million does.
        let multiplier = PicoUsd(i64::from(region.multiplier_millionths)).as_usd_per_million();
        figures.insert(format!("region {}", region.region), format!("times {multiplier}"));
    }
    for slice in &row.slices {
        add(&mut figures, &format!("above unit {}: ", slice.above_units), &slice.prices, &[]);
    }
    for off_peak in &row.off_peak {
        add(&mut figures, &format!("hours {}: ", off_peak.tier.tier), &off_peak.tier.prices, &off_peak.tier.bands);
        figures.insert(format!("hours {}", off_peak.tier.tier), hours(&off_peak.hours));
    }
    for total in &row.running {
        figures.insert(
            format!("total {}", total.name),
            format!("{:?} per {}, {:?}", total.counts, total.per, total.steps),
        );
    }
    figures.extend(row.to.map(|to| ("to".to_owned(), day(to))));
    figures
}

/// Days and minutes, as they stand in the row.
fn hours(hours: &[crate::hours::Hours]) -> String {
    let told = hours.iter().map(|one| format!("days {:07b} minutes {}-{}", one.days, one.from_minute, one.to_minute));
    told.collect::<Vec<_>>().join(", ")
}

fn add(figures: &mut BTreeMap<String, String>, place: &str, prices: &Prices, bands: &[Band]) {
    let named = |place: &str, prices: &Prices| -> Vec<(String, String)> {
        prices.iter().map(|(meter, price)| (format!("{place}{meter}"), price.as_usd_per_million())).collect()
    };
    figures.extend(named(place, prices));
    for band in bands {
        figures.extend(named(&format!("{place}above {}: ", band.above_input_tokens), &band.prices));
    }
}

fn day(at: UnixMs) -> String {
    at.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{RegionPrices, TierPrices};
    use domain::Meter;

    /// 2026-12-01.
    const DECEMBER: UnixMs = UnixMs(1_796_083_200_000);

    fn row(id: &str, model: &str, input: i64) -> PriceRow {
        PriceRow::new(id, "p", model, Prices::NONE.with(Meter::Input, PicoUsd(input)))
    }

    fn told(old: &[PriceRow], new: &[PriceRow]) -> Vec<String> {
        let told = |change: Change| {
            let figures =
                change.figures.iter().map(|figure| format!("{} {:?} {:?}", figure.name, figure.old, figure.new));
            format!("{} {} {}", change.kind(), change.row().model, figures.collect::<Vec<_>>().join("; "))
        };
        diff(old, new).into_iter().map(told).collect()
    }

    #[test]
    fn lists_with_the_same_figures_are_the_same_whenever_they_were_imported() {
        let new = PriceRow { source: "another".into(), as_of: "2026-12-01".into(), ..row("p/m@b", "m", 1_000_000) };
        assert_eq!(diff(&[row("p/m@a", "m", 1_000_000)], &[new]), []);
    }

    #[test]
    fn rows_added_gone_and_changed_are_told_with_their_figures() {
        let old = [row("a", "dearer", 1_000_000), row("b", "gone", 2_000_000)];
        let new = [row("c", "added", 3_500_000), row("d", "dearer", 1_250_000)];
        assert_eq!(
            told(&old, &new),
            [
                r#"added added input None Some("3.5")"#,
                r#"changed dearer input Some("1") Some("1.25")"#,
                r#"gone gone input Some("2") None"#,
            ]
        );
    }

    #[test]
    fn a_price_that_ends_is_changed_and_the_one_that_follows_added() {
        let old = row("a", "m", 1_000_000);
        let ended = PriceRow { to: Some(DECEMBER), ..old.clone() };
        let next = PriceRow { from: DECEMBER, ..row("b", "m", 2_000_000) };
        let new = [ended, next];
        assert_eq!(told(&[old], &new), [r#"changed m to None Some("2026-12-01")"#, r#"added m input None Some("2")"#]);
        assert_eq!(diff(&[], &new)[1].from_day().as_deref(), Some("2026-12-01"));
    }

    #[test]
    fn bands_tiers_and_regions_are_compared_too() {
        let band = |input| Band { above_input_tokens: 10, prices: Prices::NONE.with(Meter::Input, PicoUsd(input)) };
        let with = |input, multiplier_millionths| PriceRow {
            bands: vec![band(input)],
            tiers: vec![TierPrices { tier: "flex".into(), prices: Prices::NONE, bands: vec![band(input)] }],
            regions: vec![RegionPrices { region: "us".into(), multiplier_millionths }],
            ..row("a", "m", 1)
        };
        assert_eq!(
            told(&[with(1_000_000, 1_100_000)], &[with(2_000_000, 1_200_000)]),
            [concat!(
                r#"changed m above 10: input Some("1") Some("2"); region us Some("times 1.1") Some("times 1.2"); "#,
                r#"tier flex: above 10: input Some("1") Some("2")"#
            )]
        );
    }
}
