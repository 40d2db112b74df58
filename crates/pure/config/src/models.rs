//! `[models.*]`: which model at which provider, what it costs and how good it is said to be.

use std::sync::Arc;

use domain::{Meter, ModelName, Region, UnixMs};
use ledger::price::{BEGINNING, PriceBook, PriceRow, Prices, gpu_price, multiplier_millionths};
use routing::ModelIndex;

use crate::capacity::BoughtCapacity;
use crate::catalog::{Catalog, CatalogModel};
use crate::contracts::Contract;
use crate::key::{Key, Section};
use crate::names::{Declared, find, nearest};
use crate::numbers;
use crate::prices;
use crate::problem::At;
use crate::providers::Provider;
use crate::raw::{Named, Table};
use crate::tokenizers::Tokenizer;

/// A model at a provider, under the name lanes use.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// Our name for it.
    pub name: ModelName,
    /// Its place among the models of a snapshot.
    pub index: ModelIndex,
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// The vendor's id, as sent.
    pub upstream: String,
    /// What it costs over time; absent where nobody knows.
    pub prices: Option<PriceBook>,
    /// Declared quality in thousandths, 0 to 1000.
    pub quality_milli: Option<u32>,
    /// Where it runs: its own region, else its provider's.
    pub region: Option<Region>,
    /// Longest input and output together, tokens.
    pub context_tokens: Option<u64>,
    /// Longest output, tokens.
    pub max_output_tokens: Option<u64>,
    /// How much is sent to it at most, by all instances together.
    pub limits: ModelLimits,
    /// What counts its tokens where its provider does not report them; absent where none is public.
    pub tokenizer: Option<&'static Tokenizer>,
}

/// How much is sent to a model at most; what does not fit goes elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ModelLimits {
    /// Attempts in any sixty seconds.
    pub requests_per_minute: Option<u64>,
    /// Tokens sent and received in any sixty seconds.
    pub tokens_per_minute: Option<u64>,
    /// Attempts under way at the same time.
    pub calls_at_once: Option<u64>,
}

impl ModelLimits {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        *self != ModelLimits::default()
    }
}

impl Model {
    /// The price row that holds at this moment.
    pub fn price_at(&self, at: UnixMs) -> Option<&PriceRow> {
        self.prices.as_ref()?.row(at)
    }
}

/// Keys of `[models.NAME]`.
pub const SECTION: Section = Section {
    path: "models.NAME",
    about: "Which model at which provider. Limits and prices come from catalog/models.toml and catalog/prices.toml where they are not given.",
    keys: &[
        Key {
            name: "provider",
            takes: "text, name of a `[providers.*]` entry",
            default: "required",
            meaning: "Who serves it.",
            example: "\"anthropic\"",
        },
        Key {
            name: "model",
            takes: "text",
            default: "required",
            meaning: "The vendor's model id, as it is sent.",
            example: "\"claude-sonnet-4-5\"",
        },
        Key {
            name: "price",
            takes: "table, or a list of them, one for each stretch of time",
            default: "from the catalog, else unpriced",
            meaning: "What it costs; replaces the catalog's price as a whole. In a list each has its `from` or `until`; a call is priced by the one of its own day. Without a price, calls are booked as unpriced and raise an alarm, and a workflow with a budget cannot use it.",
            example: "{ input = \"3.00\", output = \"15.00\" }",
        },
        Key {
            name: "discount_percent",
            takes: "decimal text, above 0 and below 100, four decimals at most",
            default: "none",
            meaning: "What your contract takes off the catalog's prices of this model, every meter, tier and region. Cost lines name it beside the price row, as `#contract-0.85`. Goes not with `price`, which is yours already.",
            example: "\"15\"",
        },
        Key {
            name: "quality",
            takes: "decimal text, 0 to 1 in thousandths",
            default: "none",
            meaning: "Declared quality, which `pick = \"best\"` goes by.",
            example: "\"0.93\"",
        },
        Key {
            name: "region",
            takes: "text, such as `eu` or `eu-de`",
            default: "the provider's",
            meaning: "Where this model runs, if not where its provider does.",
            example: "\"eu-de\"",
        },
        Key {
            name: "context_tokens",
            takes: "tokens, 1 to 1000000000",
            default: "from the catalog, else unknown",
            meaning: "Longest input and output together.",
            example: "200_000",
        },
        Key {
            name: "max_output_tokens",
            takes: "tokens, 1 to 1000000000",
            default: "from the catalog, else unknown",
            meaning: "Longest output; bounds what a call can cost.",
            example: "64_000",
        },
        Key {
            name: "requests_per_minute",
            takes: "requests, 1 to 1000000000",
            default: "none",
            meaning: "At most so many attempts are sent to it in any sixty seconds, by all instances together. A call that does not fit goes to the next model of its lanes, and is refused with 429 `limit_reached` only where none is left.",
            example: "600",
        },
        Key {
            name: "tokens_per_minute",
            takes: "tokens, 1 to 1000000000000",
            default: "none",
            meaning: "The same of tokens, sent and received. Taken beforehand is what the prompt should be and what all but one in a hundred answers were; what an answer was beyond that counts when it has ended.",
            example: "2_000_000",
        },
        Key {
            name: "calls_at_once",
            takes: "calls, 1 to 1000000000",
            default: "none",
            meaning: "The same of attempts under way at one moment.",
            example: "40",
        },
        Key {
            name: "tokenizer",
            takes: "`o200k_base`, `cl100k_base` or `o200k_harmony`",
            default: "from the catalog, else none",
            meaning: "Public tokenizer that counts what a provider did not report; without one, tokens are estimated by the bytes per token of the model's reported usage. OpenAI's models have one, and gpt-oss at any provider; other vendors publish none that could be built in.",
            example: "\"o200k_harmony\"",
        },
    ],
    meters: false,
};

/// Keys of `price = { … }`.
pub const PRICE: Section = Section {
    path: "models.NAME.price",
    about: "Either USD per million for each meter, or what the own GPUs cost and serve.",
    keys: &[
        Key {
            name: "from",
            takes: "day",
            default: "since ever",
            meaning: "The first day on which it holds (UTC).",
            example: "2026-07-01",
        },
        Key {
            name: "until",
            takes: "day, after `from`",
            default: "for ever",
            meaning: "The day before which it ends (UTC): where the next begins.",
            example: "2027-01-01",
        },
        Key {
            name: "gpu_hour_usd",
            takes: "decimal text, USD per hour",
            default: "none",
            meaning: "What an hour of the GPUs that serve the model costs. Goes with `tokens_per_second`, not with meters.",
            example: "\"2.10\"",
        },
        Key {
            name: "tokens_per_second",
            takes: "tokens per second, 1 to 4294967295",
            default: "none",
            meaning: "How many tokens, sent and received together, those GPUs serve at the load they usually have.",
            example: "5_200",
        },
        Key {
            name: "band",
            takes: "list of tables",
            default: "none",
            meaning: "Other prices for long requests; goes with meters.",
            example: "[{ above_input_tokens = 200_000, input = \"6.00\" }]",
        },
        Key {
            name: "tier",
            takes: "list of tables",
            default: "none",
            meaning: "Other prices in a provider's service tiers; goes with meters. Under a budget, batches need the tier `batch`.",
            example: "[{ tier = \"batch\", input = \"1.50\", output = \"7.50\" }]",
        },
        Key {
            name: "region",
            takes: "list of tables",
            default: "none",
            meaning: "What prices are multiplied by where the provider bills a region apart; goes with meters.",
            example: "[{ region = \"us\", multiplier = \"1.1\" }]",
        },
        Key {
            name: "slice",
            takes: "list of tables",
            default: "none",
            meaning: "Other prices for the units of a request above a count; goes with meters.",
            example: "[{ above_units = 32_000, output = \"10.00\" }]",
        },
        Key {
            name: "off_peak",
            takes: "list of tables",
            default: "none",
            meaning: "Other prices in certain hours; goes with meters.",
            example: "[{ hours = [\"16:30-00:30\"], input = \"1.50\" }]",
        },
        Key {
            name: "allowance",
            takes: "list of tables",
            default: "none",
            meaning: "Units that cost nothing, up to a count in each period; goes with meters.",
            example: "[{ name = \"google-search\", meter = \"web_searches\", free = 1_500, per = \"day\" }]",
        },
        Key {
            name: "currency",
            takes: "table",
            default: "USD",
            meaning: "What the prices are written in, and at which rate they are booked; goes with meters.",
            example: "{ code = \"EUR\", usd = \"1.0853\", source = \"ECB reference rate\", as_of = 2026-11-02 }",
        },
    ],
    meters: true,
};

/// What changes the prices of models.
pub(crate) struct Agreed<'a> {
    pub contracts: &'a [Contract],
    pub capacities: &'a [(BoughtCapacity, Vec<At<&'a str>>)],
}

impl Agreed<'_> {
    /// The prices of a model as they are billed.
    fn on(&self, name: &str, provider: &Provider, listed: Option<PriceBook>, is_own: bool) -> Option<PriceBook> {
        let contracts = self.contracts.iter().filter(|contract| contract.provider == provider.name);
        let under = listed.map(|book| contracts.fold(book, |book, contract| contract.under(&book, is_own)));
        let serving = self.capacities.iter().map(|(bought, _)| bought);
        let serving = serving.filter(|bought| bought.models.iter().any(|model| model.as_str() == name));
        serving.fold(under, |book, bought| bought.serving(name, book))
    }
}

/// Reads `[models.*]`.
pub(crate) fn read<'d>(
    root: &Table<'d>,
    catalog: &Catalog,
    providers: &[Declared<Arc<Provider>>],
    agreed: &Agreed,
    now: UnixMs,
) -> Vec<Declared<'d, Arc<Model>>> {
    let named = root.named("models", &SECTION);
    let read = |(index, named): (usize, &Named<'d>)| Declared {
        name: named.name,
        place: named.table.place.clone(),
        value: one(named, index, catalog, providers, agreed, now).map(Arc::new),
    };
    named.iter().enumerate().map(read).collect()
}

fn one(
    named: &Named,
    index: ModelIndex,
    catalog: &Catalog,
    providers: &[Declared<Arc<Provider>>],
    agreed: &Agreed,
    now: UnixMs,
) -> Option<Model> {
    let table = &named.table;
    let provider = table.text("provider");
    if provider.is_none() && !table.has("provider") && !table.is_spoiled() {
        table.missing("provider", "name the `[providers.*]` entry that serves it");
    }
    let upstream = table.text("model");
    if upstream.is_none() && !table.has("model") && !table.is_spoiled() {
        table.missing("model", "write the vendor's model id");
    }
    let own_price = table.has("price").then(|| price(named));
    let quality_milli = table.milli("quality").map(|quality| quality.value);
    let region = table.region("region");
    let context_tokens = table.count("context_tokens", 1..=1_000_000_000);
    let max_output_tokens = table.count("max_output_tokens", 1..=1_000_000_000);
    let limits = ModelLimits {
        requests_per_minute: table.count("requests_per_minute", 1..=1_000_000_000),
        tokens_per_minute: table.count("tokens_per_minute", 1..=1_000_000_000_000),
        calls_at_once: table.count("calls_at_once", 1..=1_000_000_000),
    };
    let tokenizer = table.choice("tokenizer", &Tokenizer::choices());

    let provider = provider.and_then(|asked| find("provider", &asked, providers, table.problems()))?;
    let provider = providers[provider].value.clone()?;
    let upstream = upstream?;
    let known = provider.catalog.as_deref().and_then(|row| catalog.model(row, upstream.value));
    if let Some(row) = provider.catalog.as_deref() {
        check_against_catalog(table, catalog, row, &upstream, known, now);
    }
    let listed = known.cloned().unwrap_or_default();
    let is_own = own_price.is_some();
    let prices = match own_price {
        // A price that could not be read has been reported; that the model then has none is no further problem.
        Some(own) => {
            if table.has("discount_percent") {
                let reason = "takes something off a price that is yours already";
                table.problems().error(&table.place_of("discount_percent"), reason, "write the price as you pay it");
            }
            Some(own?)
        }
        None => discounted(table, listed.prices),
    };
    let prices = agreed.on(named.name, &provider, prices, is_own);
    Some(Model {
        name: ModelName::from(named.name),
        index,
        upstream: upstream.value.to_owned(),
        prices,
        quality_milli,
        region: region.or_else(|| provider.region.clone()),
        context_tokens: context_tokens.or(listed.context_tokens),
        max_output_tokens: max_output_tokens.or(listed.max_output_tokens),
        limits,
        tokenizer: tokenizer.or(listed.tokenizer),
        provider,
    })
}

fn check_against_catalog(
    table: &Table,
    catalog: &Catalog,
    row: &str,
    upstream: &At<&str>,
    known: Option<&CatalogModel>,
    now: UnixMs,
) {
    let problems = table.problems();
    if let Some(retired) = known.and_then(|model| model.retired).filter(|retired| *retired <= now) {
        let reason =
            format!("`{row}` announced to serve `{}` until {} only", upstream.value, numbers::day_text(retired));
        problems.warn(&upstream.place, reason, "move to a current model");
    }
    // A vendor id the catalog does not know is not wrong: models are newer than catalogs. A near miss without a price of
    // its own is worth a word.
    if known.is_none()
        && !table.has("price")
        && let Some(nearest) = nearest(upstream.value, catalog.models(row).map(|(id, _)| id))
    {
        let reason = format!("the catalog knows no model `{}` of `{row}`", upstream.value);
        problems.warn(&upstream.place, reason, format!("did you mean `{nearest}`?"));
    }
}

/// Meters that may stand without a price for tokens: what a model is billed by instead.
const BY_THE_UNIT: [Meter; 6] = [
    Meter::SearchUnits,
    Meter::OutputImages,
    Meter::InputAudioMs,
    Meter::InputCharacters,
    Meter::Requests,
    Meter::Pages,
];

/// The model's own prices, a row for each stretch of time. Their ids stay the same over revisions; the record of a call keeps the
/// price itself.
fn price(named: &Named) -> Option<PriceBook> {
    let tables = named.table.one_or_more("price", &PRICE);
    let rows: Vec<Option<PriceRow>> = tables.iter().map(|table| price_row(named.name, table)).collect();
    let rows: Vec<PriceRow> = rows.into_iter().collect::<Option<_>>()?;
    if rows.is_empty() {
        return None;
    }
    let problems = named.table.problems();
    let place = named.table.place_of("price");
    PriceBook::new(rows).map_err(|error| problems.error(&place, error.to_string(), "mend the price")).ok()
}

fn price_row(name: &str, table: &Table) -> Option<PriceRow> {
    let problems = table.problems();
    let by_meter = prices::read(table);
    let has_meter =
        ["band", "tier", "region", "slice", "off_peak", "allowance", "currency"].iter().any(|key| table.has(key))
            || Meter::ALL.iter().any(|meter| table.has(meter.as_str()));
    let has_gpu = table.has("gpu_hour_usd") || table.has("tokens_per_second");
    let prices = match (has_gpu, has_meter) {
        (true, true) => {
            problems.error(&table.place, "mixes prices by meter with GPU hours", "keep one of the two");
            return None;
        }
        (true, false) => gpu(table)?,
        (false, true) => {
            let makes_other = ["output_image", "output_audio"].iter().any(|meter| table.has(meter));
            if table.has("input") && !table.has("output") && !makes_other {
                let reason = "`output` has no price, so an answer would be booked as unpriced";
                problems.warn(&table.place, reason, "give `output`, unless the model only makes embeddings");
            } else if !table.has("input") && !BY_THE_UNIT.iter().any(|meter| table.has(meter.as_str())) {
                table.missing("input", "give USD per million tokens, such as input = \"3.00\"");
            }
            by_meter
        }
        (false, false) => {
            if !table.is_spoiled() {
                problems.error(
                    &table.place,
                    "is empty",
                    "write { input = \"3.00\", output = \"15.00\" } or { gpu_hour_usd = \"2.10\", tokens_per_second = 5200 }",
                );
            }
            return None;
        }
    };
    let from = table.day("from").map(|day| day.value);
    let id = match from {
        Some(from) => format!("freehold.toml/{name}@{}", numbers::day_text(from)),
        None => format!("freehold.toml/{name}"),
    };
    let row = PriceRow {
        from: from.unwrap_or(BEGINNING),
        to: table.day("until").map(|day| day.value),
        source: problems.file_and_line(&table.place),
        ..PriceRow::new(id, "freehold.toml", name, prices)
    };
    let row = prices::dimensions(table, row);
    Some(if has_gpu { row } else { prices::in_usd(table, row) })
}

/// The catalog's rows with what a contract leaves of their prices.
fn discounted(table: &Table, listed: Option<PriceBook>) -> Option<PriceBook> {
    const REMEDY: &str = "write what the contract takes off, such as \"15\" or \"12.5\"";
    let Some(percent) = table.decimal_text("discount_percent", "\"15\"") else { return listed };
    let problems = table.problems();
    let Some(listed) = listed else {
        let reason = "there is no price in the catalog to take it off";
        problems.error(&percent.place, reason, "give the model a `price`, as you pay it");
        return None;
    };
    // Millionths of a percent, of which a hundred are a millionth of the whole.
    let taken = multiplier_millionths(percent.value).ok().filter(|taken| taken % 100 == 0).map(|taken| taken / 100);
    let left = taken.and_then(|taken| 1_000_000_u32.checked_sub(taken));
    let Some(left) = left.filter(|left| (1..1_000_000).contains(left)) else {
        problems.error(&percent.place, "is no discount above 0 and below 100 percent", REMEDY);
        return Some(listed);
    };
    let rows = listed.rows().iter().cloned().map(|row| PriceRow { contract_millionths: Some(left), ..row });
    PriceBook::new(rows.collect()).map_err(|error| problems.error(&percent.place, error.to_string(), REMEDY)).ok()
}

/// The price of a token on own GPUs, sent or received.
fn gpu(table: &Table) -> Option<Prices> {
    for name in ["gpu_hour_usd", "tokens_per_second"] {
        if !table.has(name) {
            table.missing(name, "GPU prices need both `gpu_hour_usd` and `tokens_per_second`");
        }
    }
    let hour = table.decimal_text("gpu_hour_usd", "\"2.10\"");
    let tokens_per_second = table.count("tokens_per_second", 1..=u64::from(u32::MAX));
    let (hour, tokens_per_second) = (hour?, u32::try_from(tokens_per_second?).ok()?);
    match gpu_price(hour.value, tokens_per_second) {
        Ok(price) if price.0 >= 0 => Some(Prices::NONE.with(Meter::Input, price).with(Meter::Output, price)),
        Ok(_) => {
            table.problems().error(&hour.place, "a price is never below zero", "write USD per hour, such as \"2.10\"");
            None
        }
        Err(error) => {
            table.problems().error(&hour.place, error.to_string(), "write USD per hour, such as \"2.10\"");
            None
        }
    }
}
