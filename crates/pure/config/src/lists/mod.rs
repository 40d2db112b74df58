//! What do public price lists say, in the catalog's form? LiteLLM's map, models.dev and OpenRouter's models are read into price
//! rows. What a list prices and our rows cannot say is named, and so is what was left out and why.
//!
//! [`litellm`], [`models_dev`] and [`openrouter`] read one list each; `digits` reads a number exactly, [`text`] writes rows as
//! catalog/prices.toml has them, and [`disagreement`] compares them with the catalog.

mod digits;
pub mod disagreement;
pub mod litellm;
pub mod models_dev;
pub mod openrouter;
pub mod text;

use std::collections::BTreeMap;

use domain::{Meter, PicoUsd};
use ledger::{PriceRow, Prices};
use serde_json::value::RawValue;

pub use disagreement::{Disagreement, disagreements};

/// A list in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// LiteLLM's `model_prices_and_context_window.json`: an object of models.
    LiteLlm,
    /// models.dev's `api.json`: an object of providers, each with its models.
    ModelsDev,
    /// OpenRouter's `GET /api/v1/models`: a list of models.
    OpenRouter,
}

/// A format, its name on the command line, and what reads it.
struct Reader {
    format: Format,
    name: &'static str,
    /// Whether a text is of this format.
    is: fn(&str) -> bool,
    read: fn(&str, &mut Import) -> Result<(), String>,
}

const READERS: &[Reader] = &[
    Reader { format: Format::OpenRouter, name: "openrouter", is: openrouter::is, read: openrouter::read },
    Reader { format: Format::ModelsDev, name: "models-dev", is: models_dev::is, read: models_dev::read },
    Reader { format: Format::LiteLlm, name: "litellm", is: litellm::is, read: litellm::read },
];

impl Format {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        READERS.iter().find(|reader| reader.format == self).map_or("", |reader| reader.name)
    }

    /// The format of this name.
    pub fn from_name(name: &str) -> Option<Format> {
        READERS.iter().find(|reader| reader.name == name).map(|reader| reader.format)
    }

    /// The names there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        READERS.iter().map(|reader| reader.name)
    }

    /// The format a text is of, by its shape.
    pub fn recognised(text: &str) -> Option<Format> {
        READERS.iter().find(|reader| (reader.is)(text)).map(|reader| reader.format)
    }
}

/// What was read.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Import {
    /// Rows for every time, by the catalog's name of the provider where it has one, else the list's.
    pub rows: Vec<PriceRow>,
    /// What the list prices and a row cannot say: how many models have it, and one of them.
    pub unknown: BTreeMap<String, Named>,
    /// Models of which no row was made, by the reason.
    pub left_out: BTreeMap<String, Named>,
    /// Prices finer than a millionth of a dollar per million, which were rounded half to even.
    pub rounded: u64,
    source: String,
    as_of: String,
}

/// How many, and one of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Named {
    /// How many models.
    pub models: u64,
    /// The first of them.
    pub example: String,
}

/// Reads a list. `source` and `as_of` stand in every row; the error says what is wrong with the text.
pub fn import(format: Format, text: &str, source: &str, as_of: &str) -> Result<Import, String> {
    let mut import = Import { source: source.to_owned(), as_of: as_of.to_owned(), ..Import::default() };
    let reader = READERS.iter().find(|reader| reader.format == format).expect("every format has a reader");
    (reader.read)(text, &mut import)?;
    if import.rows.is_empty() {
        let why = import.left_out.iter().map(|(why, named)| format!("{} {why}", named.models)).collect::<Vec<_>>();
        let why = if why.is_empty() { "no model in it".to_owned() } else { why.join("; ") };
        return Err(format!("the list has no price that can be read as {}: {why}", reader.name));
    }
    import.rows.sort_by(|one, other| one.id.cmp(&other.id));
    import.rows.dedup_by(|later, first| later.id == first.id);
    Ok(import)
}

/// An object one level deep: values stay text, so that numbers stay exact.
pub(crate) type Object<'a> = BTreeMap<String, &'a RawValue>;

/// The object a text is; nothing where it is none.
pub(crate) fn object(text: &str) -> Option<Object<'_>> {
    serde_json::from_str(text).ok()
}

/// A text within an object.
pub(crate) fn word(object: &Object<'_>, name: &str) -> Option<String> {
    serde_json::from_str(object.get(name)?.get()).ok()
}

impl Import {
    fn unknown(&mut self, dimension: &str, model: &str) {
        count(&mut self.unknown, dimension, model);
    }

    fn left_out(&mut self, why: &str, model: &str) {
        count(&mut self.left_out, why, model);
    }

    /// A model whose prices cannot be read: it gets no row, rather than one with a part of them.
    fn unreadable(&mut self, error: &str, model: &str) {
        self.left_out(&format!("cannot be read ({error})"), model);
    }

    /// A price: `places` is by how many the point moves right from the list's unit to pico-dollars for one of ours. A price of
    /// nothing says nothing in these lists, where it stands for what is not known or not billed apart.
    fn price(&mut self, raw: &str, places: i32) -> Result<Option<PicoUsd>, String> {
        let digits = raw.trim_matches('"');
        let (value, rounded) = digits::pico(digits, places)?;
        self.rounded += u64::from(rounded);
        Ok(Some(PicoUsd(value)).filter(|price| *price != PicoUsd(0)))
    }

    /// Adds a model's row, unless it prices nothing.
    fn add(&mut self, provider: &str, model: &str, build: impl FnOnce(PriceRow) -> PriceRow) {
        let id = format!("{provider}/{model}@{}", self.as_of);
        let row = PriceRow {
            source: self.source.clone(),
            as_of: self.as_of.clone(),
            ..PriceRow::new(id, provider, model, Prices::NONE)
        };
        let mut row = build(row);
        if row.prices.iter().all(|(_, price)| price == PicoUsd(0)) {
            return self.left_out("are free, or of a price that is not known", &format!("{provider}/{model}"));
        }
        // Where a list says that what is sent costs something, and what comes back nothing, it means so: an embedding.
        if row.prices.get(Meter::Input).is_some() && row.prices.get(Meter::Output).is_none() {
            row.prices.set(Meter::Output, PicoUsd(0));
        }
        self.rows.push(row);
    }
}

fn count(counts: &mut BTreeMap<String, Named>, what: &str, model: &str) {
    let named = counts.entry(what.to_owned()).or_insert_with(|| Named { models: 0, example: model.to_owned() });
    named.models += 1;
}
