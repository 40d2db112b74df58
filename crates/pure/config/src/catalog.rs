//! The data files catalog/*.toml: providers we know how to speak to, their models and what those cost.

use std::collections::BTreeMap;

use domain::{Region, UnixMs};
use ledger::price::{BEGINNING, PriceBook, PriceRow};
use wire::{Dialect, Quirks};

use crate::auth::AuthScheme;
use crate::dialects::dialects;
use crate::endpoint::{Endpoint, REGIONAL};
use crate::identity::Cloud;
use crate::key::{Key, Section};
use crate::numbers;
use crate::prices;
use crate::problem::{Place, Problem, Problems};
use crate::query;
use crate::raw::{self, Table};
use crate::tokenizers::Tokenizer;

/// What Freehold knows of providers, models and prices without being told.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    providers: BTreeMap<String, CatalogProvider>,
    models: BTreeMap<String, BTreeMap<String, CatalogModel>>,
    digest: [u8; 32],
}

/// A provider of the catalog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogProvider {
    /// Its name there.
    pub name: String,
    /// What it speaks, first what clients of other dialects are translated to; none where only its prices are known.
    pub dialects: Vec<Dialect>,
    /// Where it answers, with what is one's own left open; absent where only its prices are known.
    pub endpoint: Option<Endpoint>,
    /// What stands in the query of every request.
    pub query: Vec<(String, String)>,
    /// Whose identities it takes beside or instead of a key.
    pub identity: Option<Cloud>,
    /// What tokens of an identity are to be good for.
    pub scope: Option<String>,
    /// What requests are signed for.
    pub service: Option<String>,
    /// How its credential is sent.
    pub auth: AuthScheme,
    /// The variable its credential is usually found in.
    pub env: Option<String>,
    /// The row whose models and prices are this one's too: the same vendor, spoken to in another dialect.
    pub prices_of: Option<String>,
    /// Where its default endpoint processes, if it promises that.
    pub region: Option<Region>,
    /// Where it can be reached: the values known for the place `region` or `location` of its address. Empty where it has one
    /// address for all, or where nobody published them.
    pub regions: Vec<String>,
    /// Where it answers in one of them, if not at the same form of address.
    pub regional: Option<Endpoint>,
    /// The region whose price it bills at this address.
    pub billed_region: Option<Region>,
    /// How it departs from its dialect.
    pub quirks: &'static Quirks,
    /// What else is worth knowing.
    pub note: Option<String>,
    /// What the row rests on.
    pub source: String,
    /// Of which day that is.
    pub as_of: String,
}

/// What a model of the catalog does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Answers conversations.
    #[default]
    Chat,
    /// Answers conversations, through OpenAI's Responses alone.
    Responses,
    /// Goes on from a text.
    Completion,
    /// Makes vectors.
    Embedding,
    /// Ranks documents.
    Rerank,
    /// Judges texts and pictures.
    Moderation,
    /// Makes pictures.
    ImageGeneration,
    /// Speaks.
    AudioSpeech,
    /// Writes down what it hears.
    AudioTranscription,
    /// Hears and speaks in sessions.
    Realtime,
}

/// The words for them.
const MODES: [(&str, Mode); 10] = [
    ("chat", Mode::Chat),
    ("responses", Mode::Responses),
    ("completion", Mode::Completion),
    ("embedding", Mode::Embedding),
    ("rerank", Mode::Rerank),
    ("moderation", Mode::Moderation),
    ("image_generation", Mode::ImageGeneration),
    ("audio_speech", Mode::AudioSpeech),
    ("audio_transcription", Mode::AudioTranscription),
    ("realtime", Mode::Realtime),
];

/// A model of the catalog.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CatalogModel {
    /// Longest input and output together, tokens.
    pub context_tokens: Option<u64>,
    /// Longest output, tokens.
    pub max_output_tokens: Option<u64>,
    /// What counts its tokens, where that is public.
    pub tokenizer: Option<&'static Tokenizer>,
    /// The day from which on the provider announced to serve it no longer.
    pub retired: Option<UnixMs>,
    /// What it does.
    pub mode: Mode,
    /// What it costs over time.
    pub prices: Option<PriceBook>,
}

impl Catalog {
    /// Reads the texts of providers.toml, models.toml and prices.toml; every problem at once.
    pub fn parse(providers: &str, models: &str, prices: &str) -> Result<Catalog, Vec<Problem>> {
        let mut catalog = Catalog::default();
        let mut found = Vec::new();
        for (file, text, read) in [
            ("catalog/providers.toml", providers, read_providers as fn(&mut Catalog, &Table)),
            ("catalog/models.toml", models, read_models),
            ("catalog/prices.toml", prices, read_prices),
        ] {
            let problems = Problems::new(file, text);
            if let Some(root) = raw::parse(text, &problems) {
                read(&mut catalog, &Table::root(&root, &ROOT, &problems));
            }
            found.extend(problems.into_sorted());
        }
        let mut hasher = blake3::Hasher::new();
        for text in [providers, models, prices] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        catalog.digest = *hasher.finalize().as_bytes();
        if found.is_empty() { Ok(catalog) } else { Err(found) }
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&CatalogProvider> {
        self.providers.get(name)
    }

    /// Every provider, by name.
    pub fn providers(&self) -> impl Iterator<Item = &CatalogProvider> + Clone {
        self.providers.values()
    }

    /// The model with this vendor id at a provider.
    pub fn model(&self, provider: &str, id: &str) -> Option<&CatalogModel> {
        self.models.get(self.priced_as(provider))?.get(id)
    }

    /// The models of a provider, by vendor id.
    pub fn models(&self, provider: &str) -> impl Iterator<Item = (&str, &CatalogModel)> + Clone {
        self.models.get(self.priced_as(provider)).into_iter().flatten().map(|(id, model)| (id.as_str(), model))
    }

    /// The row under which a provider's models and prices stand.
    fn priced_as<'n>(&'n self, provider: &'n str) -> &'n str {
        self.providers.get(provider).and_then(|row| row.prices_of.as_deref()).unwrap_or(provider)
    }

    /// What was known on a day: rows whose source is of a later day are left out, and what such a row had ended goes on.
    #[must_use]
    pub fn known_on(mut self, day: &str) -> Catalog {
        for model in self.models.values_mut().flat_map(BTreeMap::values_mut) {
            let Some(book) = model.prices.take() else { continue };
            let (known, later): (Vec<PriceRow>, Vec<PriceRow>) =
                book.rows().iter().cloned().partition(|row| row.as_of.as_str() <= day);
            let ended_by_later = |row: &PriceRow| row.to.is_some_and(|to| later.iter().any(|later| later.from == to));
            let known = known.into_iter().map(|row| match ended_by_later(&row) {
                true => PriceRow { to: None, ..row },
                false => row,
            });
            model.prices = PriceBook::new(known.collect()).ok().filter(|book| !book.rows().is_empty());
        }
        self
    }

    /// Every price row, by provider and model.
    pub fn price_rows(&self) -> impl Iterator<Item = &PriceRow> {
        let books = self.models.values().flat_map(BTreeMap::values).filter_map(|model| model.prices.as_ref());
        books.flat_map(PriceBook::rows)
    }

    /// A hash of the three texts: what revisions of a configuration rest on besides its own text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

const fn key(name: &'static str) -> Key {
    Key { name, takes: "", default: "", meaning: "", example: "" }
}

const ROOT: Section =
    Section { path: "", about: "", keys: &[key("provider"), key("model"), key("price")], meters: false };

const PROVIDER: Section = Section {
    path: "provider",
    about: "",
    keys: &[
        key("name"),
        key("dialect"),
        key("dialects"),
        key("base_url"),
        key("query"),
        key("auth"),
        key("env"),
        key("identity"),
        key("scope"),
        key("service"),
        key("prices_of"),
        key("region"),
        key("regions"),
        key("regional_base_url"),
        key("billed_region"),
        key("quirks"),
        key("source"),
        key("sources"),
        key("as_of"),
        key("note"),
    ],
    meters: false,
};

const MODEL: Section = Section {
    path: "model",
    about: "",
    keys: &[
        key("provider"),
        key("id"),
        key("mode"),
        key("context_tokens"),
        key("max_output_tokens"),
        key("tokenizer"),
        key("retired"),
        key("source"),
        key("sources"),
        key("as_of"),
        key("disputed"),
    ],
    meters: false,
};

const PRICE: Section = Section {
    path: "price",
    about: "",
    keys: &[
        key("id"),
        key("provider"),
        key("model"),
        key("from"),
        key("to"),
        key("band"),
        key("tier"),
        key("region"),
        key("slice"),
        key("off_peak"),
        key("allowance"),
        key("source"),
        key("sources"),
        key("as_of"),
        key("disputed"),
    ],
    meters: true,
};

fn read_providers(catalog: &mut Catalog, root: &Table) {
    for table in root.list("provider", &PROVIDER) {
        let Some(name) = required(&table, "name") else { continue };
        provenance(&table);
        let quirks: Vec<(&str, &'static Quirks)> =
            wire::quirks::QUIRKS.iter().map(|quirks| (quirks.name, quirks)).collect();
        let auth = table.text("auth").map(|text| AuthScheme::from_name(text.value));
        if let Some(None) = auth {
            table.problems().error(
                &table.place_of("auth"),
                "is no way to send a credential",
                "write bearer, x-api-key, api-key, x-goog-api-key or none",
            );
        }
        let text = |key| table.text(key).map(|text| text.value.to_owned());
        let provider = CatalogProvider {
            name: name.to_owned(),
            dialects: dialects(&table).unwrap_or_default(),
            endpoint: endpoint(&table, "base_url"),
            query: query::read(&table),
            identity: table.choice("identity", &Cloud::ALL),
            scope: text("scope"),
            service: text("service"),
            auth: auth.flatten().unwrap_or(AuthScheme::None),
            env: text("env"),
            prices_of: text("prices_of"),
            region: table.region("region"),
            regions: regions(&table),
            regional: endpoint(&table, "regional_base_url"),
            billed_region: table.region("billed_region"),
            quirks: table.choice("quirks", &quirks).unwrap_or(&Quirks::GENERIC),
            note: text("note"),
            source: sources(&table),
            as_of: text("as_of").unwrap_or_default(),
        };
        if catalog.providers.insert(name.to_owned(), provider).is_some() {
            twice(&table, &format!("provider `{name}`"));
        }
    }
}

fn read_models(catalog: &mut Catalog, root: &Table) {
    for table in root.list("model", &MODEL) {
        let (Some(provider), Some(id)) = (required(&table, "provider"), required(&table, "id")) else { continue };
        provenance(&table);
        known_provider(catalog, &table, provider);
        let model = CatalogModel {
            context_tokens: table.count("context_tokens", 1..=u64::MAX),
            max_output_tokens: table.count("max_output_tokens", 1..=u64::MAX),
            tokenizer: table.choice("tokenizer", &Tokenizer::choices()),
            retired: table.day("retired").map(|day| day.value),
            mode: table.choice("mode", &MODES).unwrap_or_default(),
            prices: None,
        };
        if catalog.models.entry(provider.to_owned()).or_default().insert(id.to_owned(), model).is_some() {
            twice(&table, &format!("model `{provider}/{id}`"));
        }
    }
}

fn read_prices(catalog: &mut Catalog, root: &Table) {
    let mut rows: BTreeMap<(&str, &str), (Place, Vec<PriceRow>)> = BTreeMap::new();
    let mut ids = std::collections::BTreeSet::new();
    for table in root.list("price", &PRICE) {
        let Some([id, provider, model]) = named(&table) else { continue };
        known_provider(catalog, &table, provider);
        if !ids.insert(id) {
            twice(&table, &format!("price row `{id}`"));
        }
        // Of most models there is one row, of nearly a kilobyte, and there are nearly two thousand models.
        let first = || (table.place.clone(), Vec::with_capacity(1));
        let (_, list) = rows.entry((provider, model)).or_insert_with(first);
        list.push(price_row(&table, id, provider, model));
    }
    for ((provider, model), (place, rows)) in rows {
        match PriceBook::new(rows) {
            Ok(book) => {
                // A model without limits may stand in prices.toml alone.
                let models = catalog.models.entry(provider.to_owned()).or_default();
                models.entry(model.to_owned()).or_default().prices = Some(book);
            }
            Err(error) => root.problems().error(&place, error.to_string(), "mend the rows of this model"),
        }
    }
}

/// The rows of a prices.toml by itself, for looking at: whether their providers are known and their times fit together is not
/// asked. Every problem at once.
pub fn price_rows(file_name: &str, text: &str) -> Result<Vec<PriceRow>, Vec<Problem>> {
    let problems = Problems::new(file_name, text);
    let mut rows = Vec::new();
    if let Some(root) = raw::parse(text, &problems) {
        for table in Table::root(&root, &ROOT, &problems).list("price", &PRICE) {
            rows.extend(named(&table).map(|[id, provider, model]| price_row(&table, id, provider, model)));
        }
    }
    let problems = problems.into_sorted();
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

/// A row's id, provider and model.
fn named<'d>(table: &Table<'d>) -> Option<[&'d str; 3]> {
    let [id, provider, model] = ["id", "provider", "model"].map(|name| required(table, name));
    let named = [id?, provider?, model?];
    provenance(table);
    Some(named)
}

fn price_row(table: &Table, id: &str, provider: &str, model: &str) -> PriceRow {
    let text = |name| table.text(name).map(|text| text.value.to_owned());
    let row = PriceRow {
        from: table.day("from").map_or(BEGINNING, |day| day.value),
        to: table.day("to").map(|day| day.value),
        source: sources(table),
        as_of: text("as_of").unwrap_or_default(),
        disputed: text("disputed"),
        ..PriceRow::new(id, provider, model, prices::read(table))
    };
    prices::dimensions(table, row)
}

/// The regions of a row, which have a place in one of its addresses.
fn regions(table: &Table) -> Vec<String> {
    let Some(listed) = table.texts("regions") else { return Vec::new() };
    let has_place = ["base_url", "regional_base_url"]
        .into_iter()
        .filter_map(|key| endpoint(table, key))
        .any(|endpoint| REGIONAL.into_iter().any(|place| endpoint.places().iter().any(|open| open == place)));
    if !has_place {
        let remedy = "write `{region}` or `{location}` into `base_url`, or give `regional_base_url`";
        table.problems().error(&listed.place, "no address of the row has a place for a region", remedy);
    }
    listed.value.iter().map(|one| one.value.to_owned()).collect()
}

fn endpoint(table: &Table, key: &'static str) -> Option<Endpoint> {
    let text = table.text(key)?;
    Endpoint::parse(text.value)
        .map_err(|reason| table.problems().error(&text.place, reason, "write a URL such as https://api.example.com/v1"))
        .ok()
}

fn required<'d>(table: &Table<'d>, name: &str) -> Option<&'d str> {
    let text = table.text(name).map(|text| text.value);
    if text.is_none() && !table.has(name) {
        table.missing(name, "every row needs it");
    }
    text
}

/// Every row says where its figures come from and when that was.
fn provenance(table: &Table) {
    if sources(table).is_empty() {
        table.missing("sources", "say where the row comes from");
    }
    match table.text("as_of") {
        Some(day) if numbers::day(day.value).is_some() => {}
        Some(day) => table.problems().error(&day.place, "is no day", "write it as \"2026-11-12\""),
        None => table.missing("as_of", "say of which day the source is"),
    }
}

fn sources(table: &Table) -> String {
    let list = table.has("sources").then(|| table.texts("sources")).flatten();
    let list = list.map(|list| list.value.iter().map(|one| one.value).collect::<Vec<_>>().join(", "));
    list.or_else(|| table.text("source").map(|text| text.value.to_owned())).unwrap_or_default()
}

fn known_provider(catalog: &Catalog, table: &Table, provider: &str) {
    if catalog.provider(provider).is_none() {
        let reason = format!("there is no provider `{provider}` in catalog/providers.toml");
        table.problems().error(&table.place_of("provider"), reason, "add its row there");
    }
}

fn twice(table: &Table, what: &str) {
    table.problems().error(&table.place, format!("{what} is there twice"), "keep one row");
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Meter, PicoUsd};

    const PROVIDERS: &str = "[[provider]]\nname = \"p\"\ndialect = \"anthropic\"\nbase_url = \"https://p.example/v1\"\n\
         auth = \"x-api-key\"\nenv = \"P_KEY\"\nquirks = \"generic\"\nsource = \"docs\"\nas_of = \"2026-11-21\"\n";
    const MODELS: &str = "[[model]]\nprovider = \"p\"\nid = \"m\"\nmode = \"chat\"\ncontext_tokens = 200000\n\
         max_output_tokens = 64000\nsources = [\"list 1\"]\nas_of = \"2026-11-12\"\n";
    const PRICES: &str = "[[price]]\nid = \"p/m@1\"\nprovider = \"p\"\nmodel = \"m\"\nto = \"2026-01-01\"\ninput = \"3\"\n\
         output = \"15\"\nband = [{ above_input_tokens = 200000, input = \"6\" }]\n\
         tier = [{ tier = \"batch\", output = \"7.5\", band = [{ above_input_tokens = 5, output = \"8\" }] }]\n\
         region = [{ region = \"eu\", multiplier = \"1.1\" }]\nsources = [\"list 1\", \"list 2\"]\nas_of = \"2026-11-12\"\n\
         disputed = \"input: 3, 4\"\n\
         [[price]]\nid = \"p/m@2\"\nprovider = \"p\"\nmodel = \"m\"\nfrom = \"2026-01-01\"\ninput = \"2\"\noutput = \"10\"\n\
         sources = [\"list 1\"]\nas_of = \"2026-11-12\"\n";

    #[test]
    fn rows_are_found_by_provider_and_vendor_id() {
        let catalog = Catalog::parse(PROVIDERS, MODELS, PRICES).unwrap();
        assert_eq!(catalog.provider("p").unwrap().endpoint.as_ref().unwrap().form(), "https://p.example/v1");
        let model = catalog.model("p", "m").unwrap();
        assert_eq!((model.context_tokens, model.max_output_tokens), (Some(200_000), Some(64_000)));
        let rows = model.prices.as_ref().unwrap().rows();
        assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["p/m@1", "p/m@2"]);
        let first = &rows[0];
        assert_eq!((first.from, first.to), (BEGINNING, numbers::day("2026-01-01")));
        assert_eq!(first.prices.get(Meter::Input), Some(PicoUsd(3_000_000)));
        assert_eq!(first.bands[0].prices.get(Meter::Input), Some(PicoUsd(6_000_000)));
        assert_eq!((first.tiers[0].tier.as_str(), first.tiers[0].bands.len()), ("batch", 1));
        assert_eq!(first.regions[0].multiplier_millionths, 1_100_000);
        assert_eq!((first.source.as_str(), first.disputed.as_deref()), ("list 1, list 2", Some("input: 3, 4")));
        assert!(catalog.model("p", "n").is_none() && catalog.model("q", "m").is_none());
    }

    #[test]
    fn a_price_list_is_read_by_itself_and_its_mistakes_are_told() {
        let rows = price_rows("new.toml", &PRICES.replace("provider = \"p\"", "provider = \"unknown\"")).unwrap();
        assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["p/m@1", "p/m@2"]);
        let problems = price_rows("new.toml", &PRICES.replace("input = \"3\"", "input = 3.0")).unwrap_err();
        assert!(problems[0].to_string().starts_with("new.toml:"), "{}", problems[0]);
    }

    #[test]
    fn every_mistake_of_a_catalog_is_reported() {
        let prices = PRICES.replace("provider = \"p\"", "provider = \"q\"").replace("input = \"3\"", "inptu = \"3\"");
        let prices = prices.replace("output = \"10\"", "output = 10.0").replace("id = \"p/m@2\"", "id = \"p/m@1\"");
        let models = format!("{MODELS}{MODELS}");
        let problems = Catalog::parse(PROVIDERS, &models, &prices).unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
