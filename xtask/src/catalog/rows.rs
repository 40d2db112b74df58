//! Rows of catalog/models.toml and catalog/prices.toml: made, written, and read back for the next import.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::figures::{Banded, Figures, METERS, Prices};

/// A row of prices.toml.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceRow {
    /// Unique.
    pub id: String,
    /// In providers.toml.
    pub provider: String,
    /// The vendor's id.
    pub model: String,
    /// First day, where a list names it.
    pub from: Option<String>,
    /// First day after.
    pub to: Option<String>,
    /// The prices.
    pub figures: Figures,
    /// Package and version.
    pub sources: Vec<String>,
    /// The day of the package.
    pub as_of: String,
    /// Both figures where the lists differ.
    pub disputed: Option<String>,
}

/// A row of models.toml.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelRow {
    /// In providers.toml.
    pub provider: String,
    /// The vendor's id.
    pub id: String,
    /// What it does: `chat`, `embedding`, `image_generation`.
    pub mode: String,
    /// Most input tokens.
    pub context_tokens: Option<u64>,
    /// Most output tokens.
    pub max_output_tokens: Option<u64>,
    /// The public tokenizer that counts for it.
    pub tokenizer: Option<String>,
    /// The day it is or was retired.
    pub retired: Option<String>,
    /// Package and version.
    pub sources: Vec<String>,
    /// The day of the package.
    pub as_of: String,
}

impl PriceRow {
    /// Writes the row as TOML.
    pub fn write(&self, out: &mut String) {
        out.push_str("\n[[price]]\n");
        pair(out, "id", &self.id);
        pair(out, "provider", &self.provider);
        pair(out, "model", &self.model);
        optional(out, "from", self.from.as_deref());
        optional(out, "to", self.to.as_deref());
        for (meter, price) in in_order(&self.figures.standard.prices) {
            pair(out, meter, price);
        }
        list(out, "band", &bands(&self.figures.standard));
        let tiers = self.figures.tiers.iter().map(|(name, tier)| {
            let bands = bands(tier);
            let bands = if bands.is_empty() { String::new() } else { format!(", band = [{}]", bands.join(", ")) };
            format!("{{ tier = {}{}{bands} }}", quoted(name), inline(&tier.prices))
        });
        list(out, "tier", &tiers.collect::<Vec<_>>());
        let regions = self.figures.regions.iter();
        let regions =
            regions.map(|(name, times)| format!("{{ region = {}, multiplier = {} }}", quoted(name), quoted(times)));
        list(out, "region", &regions.collect::<Vec<_>>());
        sources(out, &self.sources);
        pair(out, "as_of", &self.as_of);
        optional(out, "disputed", self.disputed.as_deref());
    }

    /// Reads a row of the file.
    pub fn read(table: &Table) -> Result<PriceRow> {
        let id = text(table, "id")?;
        let read = || -> Result<PriceRow> {
            let tiers = tables(table, "tier")?.into_iter();
            let regions = tables(table, "region")?.into_iter();
            Ok(PriceRow {
                id: id.clone(),
                provider: text(table, "provider")?,
                model: text(table, "model")?,
                from: optional_text(table, "from")?,
                to: optional_text(table, "to")?,
                figures: Figures {
                    standard: read_banded(table, ROW_KEYS)?,
                    tiers: tiers
                        .map(|tier| Ok((text(tier, "tier")?, read_banded(tier, &["tier", "band"])?)))
                        .collect::<Result<_>>()?,
                    regions: regions
                        .map(|region| Ok((text(region, "region")?, text(region, "multiplier")?)))
                        .collect::<Result<_>>()?,
                },
                sources: texts(table, "sources")?,
                as_of: text(table, "as_of")?,
                disputed: optional_text(table, "disputed")?,
            })
        };
        read().with_context(|| format!("price row `{id}`"))
    }
}

const ROW_KEYS: &[&str] =
    &["id", "provider", "model", "from", "to", "band", "tier", "region", "sources", "as_of", "disputed"];

impl ModelRow {
    /// Writes the row as TOML.
    pub fn write(&self, out: &mut String) {
        out.push_str("\n[[model]]\n");
        pair(out, "provider", &self.provider);
        pair(out, "id", &self.id);
        pair(out, "mode", &self.mode);
        for (key, count) in [("context_tokens", self.context_tokens), ("max_output_tokens", self.max_output_tokens)] {
            if let Some(count) = count {
                writeln!(out, "{key} = {count}").expect("a string takes everything");
            }
        }
        optional(out, "tokenizer", self.tokenizer.as_deref());
        optional(out, "retired", self.retired.as_deref());
        sources(out, &self.sources);
        pair(out, "as_of", &self.as_of);
    }

    /// Reads a row of the file.
    pub fn read(table: &Table) -> Result<ModelRow> {
        let known = [
            "provider",
            "id",
            "mode",
            "context_tokens",
            "max_output_tokens",
            "tokenizer",
            "retired",
            "sources",
            "as_of",
        ];
        if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
            bail!("models.toml: unknown key `{key}`");
        }
        let count = |key: &str| table.get(key).and_then(Value::as_integer).and_then(|count| u64::try_from(count).ok());
        Ok(ModelRow {
            provider: text(table, "provider")?,
            id: text(table, "id")?,
            mode: text(table, "mode")?,
            context_tokens: count("context_tokens"),
            max_output_tokens: count("max_output_tokens"),
            tokenizer: optional_text(table, "tokenizer")?,
            retired: optional_text(table, "retired")?,
            sources: texts(table, "sources")?,
            as_of: text(table, "as_of")?,
        })
    }
}

/// The tables of one `[[name]]` of a file.
pub fn tables<'t>(table: &'t Table, name: &str) -> Result<Vec<&'t Table>> {
    let Some(value) = table.get(name) else { return Ok(Vec::new()) };
    let list = value.as_array().with_context(|| format!("`{name}` is no list"))?;
    list.iter()
        .map(|row| row.as_table().with_context(|| format!("`{name}` holds something that is no table")))
        .collect()
}

/// A text a row must have.
pub fn text(table: &Table, key: &str) -> Result<String> {
    optional_text(table, key)?.with_context(|| format!("`{key}` is missing"))
}

/// A text a row may have.
pub fn optional_text(table: &Table, key: &str) -> Result<Option<String>> {
    let Some(value) = table.get(key) else { return Ok(None) };
    let text = value.as_str().with_context(|| format!("`{key}` is no text"))?;
    if text.is_empty() {
        bail!("`{key}` is empty");
    }
    Ok(Some(text.to_owned()))
}

fn texts(table: &Table, key: &str) -> Result<Vec<String>> {
    let list = table.get(key).and_then(Value::as_array).with_context(|| format!("`{key}` is missing"))?;
    list.iter().map(|one| one.as_str().map(str::to_owned).with_context(|| format!("`{key}` holds no text"))).collect()
}

fn read_banded(table: &Table, other_keys: &[&str]) -> Result<Banded> {
    let mut bands = BTreeMap::new();
    for band in tables(table, "band")? {
        let above = band.get("above_input_tokens").and_then(Value::as_integer).context("a band without a threshold")?;
        bands.insert(u64::try_from(above)?, read_prices(band, &["above_input_tokens"])?);
    }
    Ok(Banded { prices: read_prices(table, other_keys)?, bands })
}

fn read_prices(table: &Table, other_keys: &[&str]) -> Result<Prices> {
    let mut prices = Prices::new();
    for key in table.keys().filter(|key| !other_keys.contains(&key.as_str())) {
        let meter = METERS.iter().find(|meter| *meter == key).with_context(|| format!("unknown key `{key}`"))?;
        let price = text(table, key)?;
        if !super::decimal::is_price(&price) {
            bail!("`{key}` = `{price}` is no price per million with at most six decimals");
        }
        prices.insert(meter, price);
    }
    Ok(prices)
}

fn in_order(prices: &Prices) -> impl Iterator<Item = (&'static str, &String)> {
    METERS.iter().filter_map(|meter| prices.get(meter).map(|price| (*meter, price)))
}

fn inline(prices: &Prices) -> String {
    in_order(prices).map(|(meter, price)| format!(", {meter} = {}", quoted(price))).collect()
}

fn bands(banded: &Banded) -> Vec<String> {
    let bands = banded.bands.iter();
    bands.map(|(above, prices)| format!("{{ above_input_tokens = {above}{} }}", inline(prices))).collect()
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn pair(out: &mut String, key: &str, value: &str) {
    writeln!(out, "{key} = {}", quoted(value)).expect("a string takes everything");
}

fn optional(out: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        pair(out, key, value);
    }
}

fn list(out: &mut String, key: &str, rows: &[String]) {
    if !rows.is_empty() {
        writeln!(out, "{key} = [").expect("a string takes everything");
        rows.iter().for_each(|row| writeln!(out, "  {row},").expect("a string takes everything"));
        out.push_str("]\n");
    }
}

fn sources(out: &mut String, sources: &[String]) {
    let quoted: Vec<String> = sources.iter().map(|source| quoted(source)).collect();
    writeln!(out, "sources = [{}]", quoted.join(", ")).expect("a string takes everything");
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A row with everything in it.
    pub fn row() -> PriceRow {
        let prices = |price: &str| Prices::from([("input", price.to_owned()), ("output", "15".to_owned())]);
        let banded = |price: &str| Banded { prices: prices(price), bands: BTreeMap::from([(200_000, prices("6"))]) };
        PriceRow {
            id: "p/m@2026-11-12".into(),
            provider: "p".into(),
            model: "m".into(),
            from: None,
            to: Some("2027-01-01".into()),
            figures: Figures {
                standard: banded("2.5"),
                tiers: BTreeMap::from([("flex".into(), banded("1.25"))]),
                regions: BTreeMap::from([("eu".into(), "1.1".into())]),
            },
            sources: vec!["list 1".into()],
            as_of: "2026-11-12".into(),
            disputed: Some("input: \"a\" 1".into()),
        }
    }

    #[test]
    fn a_row_reads_back_what_was_written() {
        let mut text = String::new();
        row().write(&mut text);
        let file: Table = text.parse().unwrap();
        assert_eq!(PriceRow::read(tables(&file, "price").unwrap()[0]).unwrap(), row());
    }

    #[test]
    fn an_unknown_meter_or_a_bare_number_is_refused() {
        for line in ["inptu = \"1\"", "input = 1", "input = \"0.0000001\""] {
            let file: Table =
                format!("id = \"x\"\nprovider = \"p\"\nmodel = \"m\"\nsources = []\nas_of = \"x\"\n{line}")
                    .parse()
                    .unwrap();
            assert!(PriceRow::read(&file).is_err(), "{line}");
        }
    }
}
