//! `[providers.*]`: who is called, where, in which dialect and with which credential.

use std::fmt;
use std::sync::Arc;

use domain::{ProviderName, Region, UnixMs};
use wire::{Dialect, Quirks};

use crate::auth::{AuthScheme, CREDENTIAL_HEADERS, OUR_HEADERS, is_header_name};
use crate::catalog::{Catalog, CatalogProvider};
use crate::defaults::{self, TIMEOUTS_KEY, Timeouts};
use crate::dialects::dialects;
use crate::fill;
use crate::identity::{self, Around, Identity};
use crate::key::{Key, Section};
use crate::names::{Declared, did_you_mean, nearest};
use crate::numbers;
use crate::query;
use crate::raw::{Named, Table, Value};
use crate::secret::{self, CredentialSource, Secret, Vault};
use crate::url::BaseUrl;

/// An endpoint with its credential, dialect and terms.
#[derive(Clone, PartialEq, Eq)]
pub struct Provider {
    /// Our name for it.
    pub name: ProviderName,
    /// The catalog's name for it, under which its models and prices stand there.
    pub catalog: Option<String>,
    /// What it is spoken to by clients of a dialect that it does not speak: the first of `dialects`.
    pub dialect: Dialect,
    /// Everything it speaks at its address.
    pub dialects: Vec<Dialect>,
    /// Where it answers.
    pub base_url: BaseUrl,
    /// What stands in the query of every request.
    pub query: Vec<(String, String)>,
    /// What it knows us by.
    pub credential: Option<Secret>,
    /// Where the credential was found.
    pub credential_source: Option<CredentialSource>,
    /// Who we are to it, where no lasting key says so.
    pub identity: Option<Identity>,
    /// How the credential is sent.
    pub auth: AuthScheme,
    /// Where it processes, as far as it is known.
    pub region: Option<Region>,
    /// The region whose price it bills because it is asked at that region's address, where it bills regions apart.
    pub billed_region: Option<Region>,
    /// How it departs from its dialect.
    pub quirks: &'static Quirks,
    /// Its deadlines, the defaults filled in.
    pub timeouts: Timeouts,
    /// What it promised about data.
    pub terms: Option<Terms>,
    /// Sent with every attempt.
    pub headers: Vec<(String, String)>,
    /// Whether requests of routes that Freehold does not know are passed on to it.
    pub passthrough: bool,
    /// Whether files may be named by its own ids, which any key may know.
    pub shared_files: bool,
    /// Whether what its answers tell of its limits keeps calls from it.
    pub quota_steering: bool,
}

/// What a provider promised about the data it is sent, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// Whether it trains on what it is sent.
    pub trains_on_data: Option<bool>,
    /// How long it keeps what it is sent, days.
    pub retention_days: Option<u32>,
    /// Where that is written.
    pub evidence: Option<String>,
    /// From when on it holds no longer.
    pub expires: Option<UnixMs>,
}

impl Provider {
    /// The dialect in which a client of `client` reaches it: the client's own where it speaks that, so that bytes go through.
    pub fn dialect_for(&self, client: Dialect) -> Dialect {
        if self.dialects.contains(&client) { client } else { self.dialect }
    }

    /// What it speaks, as text.
    pub(crate) fn dialects_text(&self) -> String {
        self.dialects.iter().map(|dialect| dialect.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Provider {
    /// Without the values of extra headers, which may be credentials too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("dialects", &self.dialects)
            .field("base_url", &self.base_url.to_string())
            .field("query", &self.query)
            .field("credential_source", &self.credential_source)
            .field("identity", &self.identity.as_ref().map(Identity::to_string))
            .field("auth", &self.auth)
            .field("region", &self.region)
            .field("billed_region", &self.billed_region)
            .field("quirks", &self.quirks.name)
            .field("timeouts", &self.timeouts)
            .field("terms", &self.terms)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// Keys of `[providers.NAME]`.
pub const SECTION: Section = Section {
    path: "providers.NAME",
    about: "Who is called. A provider named like a row of catalog/providers.toml takes from there whatever it does not say itself.",
    keys: &[
        Key {
            name: "catalog",
            takes: "text, name of a catalog row",
            default: "NAME, where the catalog has it",
            meaning: "The catalog row that endpoint, dialect, credential header, region, quirks, model limits and prices come from.",
            example: "\"openai\"",
        },
        Key {
            name: "dialect",
            takes: "`openai-chat`, `openai-responses`, `anthropic`, `gemini`, `bedrock-converse` or `cohere`",
            default: "from the catalog, else required",
            meaning: "What the provider speaks.",
            example: "\"openai-chat\"",
        },
        Key {
            name: "dialects",
            takes: "list of dialects",
            default: "from the catalog, of which only the first where `base_url` is given; else the one `dialect`",
            meaning: "Instead of `dialect`, for a provider that speaks several at the same address: a client of one of them is passed through in it, any other is translated to the first.",
            example: "[\"openai-chat\", \"openai-responses\"]",
        },
        Key {
            name: "base_url",
            takes: "text, `http` or `https` URL",
            default: "from the catalog, else required",
            meaning: "Where it answers, up to the path that `/chat/completions`, `/responses`, `/messages` or `/models/…:generateContent` is appended to. No user, query or fragment.",
            example: "\"http://10.0.0.5:8000/v1\"",
        },
        Key {
            name: "fill",
            takes: "table of texts",
            default: "required where the catalog's address leaves places open",
            meaning: "What is one's own in the catalog's address, such as a region, a resource or a project; `freehold provider list` shows which places each row leaves open, and which regions it is known to have. A row with regional addresses beside its own, such as `openai`, takes `region` too.",
            example: "{ region = \"eu-central-1\" }",
        },
        Key {
            name: "query",
            takes: "table of texts",
            default: "from the catalog, else none",
            meaning: "What stands in the query of every request.",
            example: "{ api-version = \"2024-10-21\" }",
        },
        Key {
            name: "api_key",
            takes: "table",
            default: "required where the catalog says so and there is no `identity`, else none",
            meaning: "Where the credential is found; never the credential itself.",
            example: "{ env = \"OPENAI_API_KEY\" }",
        },
        Key {
            name: "identity",
            takes: "table",
            default: "none",
            meaning: "Instead of `api_key`: who Freehold is to a cloud.",
            example: "{ from = \"aws-web-identity\" }",
        },
        Key {
            name: "auth",
            takes: "`bearer`, `x-api-key`, `api-key`, `x-goog-api-key`, `none`, or text `header:NAME`",
            default: "from the catalog, else `x-api-key` (anthropic), `x-goog-api-key` (gemini) or `bearer` (all others)",
            meaning: "How the credential is sent.",
            example: "\"bearer\"",
        },
        Key {
            name: "region",
            takes: "text, such as `eu` or `eu-de`",
            default: "from the catalog, unless `base_url` is given; else unknown",
            meaning: "Where it processes. Workflows with a `residency` use only models whose region is known and inside.",
            example: "\"eu-de\"",
        },
        Key {
            name: "billed_region",
            takes: "text, such as `eu`",
            default: "from the catalog, unless `base_url` is given; else none",
            meaning: "The region whose price it bills because it is asked at that region's address, as OpenAI's in the EU and the US cost a tenth more. Where an answer says where it was processed, that counts.",
            example: "\"eu\"",
        },
        Key {
            name: "quirks",
            takes: "`openai`, `vllm`, `sglang`, `llama-cpp`, `ollama`, `groq`, `together`, `mistral`, `deepseek`, `openrouter`, `cohere-compatibility`, `tgi`, `azure-deployments`, `vertex-anthropic`, `bedrock-invoke` or `generic`",
            default: "from the catalog, else `generic`",
            meaning: "How the server departs from its dialect.",
            example: "\"vllm\"",
        },
        TIMEOUTS_KEY,
        Key {
            name: "terms",
            takes: "table",
            default: "none",
            meaning: "What the provider promised about data.",
            example: "{ trains_on_data = false, retention_days = 30, evidence = \"DPA 2026-03\", expires = 2027-03-01 }",
        },
        Key {
            name: "headers",
            takes: "table of texts",
            default: "none",
            meaning: "Sent with every attempt. No credentials: those belong into `api_key`.",
            example: "{ x-team = \"claims\" }",
        },
        Key {
            name: "passthrough",
            takes: "`true` or `false`",
            default: "`false`",
            meaning: "Whether requests below `/v1/` that Freehold has no route for are passed on to it as they are, for the workflow that the header `freehold-workflow` names. Each is booked as one request, at the model's price of `requests`. Never passed on, whatever this says: a path with a segment that gives out keys or runs the provider's account (`realtime`, `chatkit`, `client_secrets`, `organization`, `organizations`, `admin`, `admin_api_keys`, `api_keys`, `keys`, `service_accounts`, `auth`, `access_token`, `single_use_token`), a path with an empty, dotted or encoded segment, a query that names a credential, any method but GET, HEAD, POST, PUT, PATCH and DELETE, the client's credentials, and of its headers all but `content-type`, `openai-beta`, `anthropic-version` and `anthropic-beta`.",
            example: "true",
        },
        Key {
            name: "shared_files",
            takes: "`true` or `false`",
            default: "`false`",
            meaning: "Whether requests may name a file, a conversation, a vector store or a container of its account by the provider's own id. Freehold seals the ids of files for the key that uploaded them; a raw id is nobody's, and refused with `unsealed_file` or `unsealed_id`. Say `true` where the account has such things that every key may read. With `passthrough` all but files may be named too: only by it are they made.",
            example: "true",
        },
        Key {
            name: "quota_steering",
            takes: "`true` or `false`",
            default: "`true`",
            meaning: "Whether the limits that its answers tell of in their headers (`x-ratelimit-…`, `anthropic-ratelimit-…`, `ratelimit-…`) keep calls from a model that has no room left, before the provider refuses them. See docs/quotas.md.",
            example: "false",
        },
    ],
    meters: false,
};

/// Keys of `terms = { … }`.
pub const TERMS: Section = Section {
    path: "providers.NAME.terms",
    about: "What the provider promised about data, so that the promise is found when somebody asks, and noticed when it ends.",
    keys: &[
        Key {
            name: "trains_on_data",
            takes: "`true` or `false`",
            default: "unknown",
            meaning: "Whether it trains on what it is sent.",
            example: "false",
        },
        Key {
            name: "retention_days",
            takes: "days, 0 to 36500",
            default: "unknown",
            meaning: "How long it keeps what it is sent.",
            example: "30",
        },
        Key {
            name: "evidence",
            takes: "text",
            default: "none",
            meaning: "Where the promise is written.",
            example: "\"DPA 2026-03\"",
        },
        Key {
            name: "expires",
            takes: "day",
            default: "never",
            meaning: "From this day on (UTC) the promise is not relied on: `check` and the console warn.",
            example: "2027-03-01",
        },
    ],
    meters: false,
};

/// Reads `[providers.*]`.
pub(crate) fn read<'d>(
    root: &Table<'d>,
    catalog: &Catalog,
    defaults: Timeouts,
    vault: Vault,
    now: UnixMs,
) -> Vec<Declared<'d, Arc<Provider>>> {
    root.named("providers", &SECTION)
        .into_iter()
        .map(|named| Declared {
            name: named.name,
            place: named.table.place.clone(),
            value: one(&named, catalog, defaults, vault, now).map(Arc::new),
        })
        .collect()
}

fn one(named: &Named, catalog: &Catalog, defaults: Timeouts, vault: Vault, now: UnixMs) -> Option<Provider> {
    let table = &named.table;
    let row = catalog_row(named, catalog)?;
    // Everything is read before anything is given up, so that all problems of a provider show at once.
    let given_dialects = dialects(table);
    let given_url = base_url(table);
    let auth = auth(table);
    let quirks = quirks(table);
    let credential = secret::read(table, vault);
    let (known, filled) = fill::read(table, row);
    let own_query = table.has("query").then(|| query::read(table));
    let around = Around {
        region: filled.get("region").copied(),
        scope: row.and_then(|row| row.scope.as_deref()),
        service: row.and_then(|row| row.service.as_deref()),
        cloud: row.filter(|_| !table.has("base_url")).and_then(|row| row.identity),
    };
    let identity = identity::read(table, vault, around);
    let headers = headers(table);
    let terms = terms(table, now);
    let passthrough = table.flag("passthrough").unwrap_or(false);
    let shared_files = table.flag("shared_files").unwrap_or(false);
    let quota_steering = table.flag("quota_steering").unwrap_or(true);
    let region = table.region("region");
    let billed_region = table.region("billed_region");
    let timeouts = defaults::timeouts(table).over(defaults);

    // A place that is not filled has been reported.
    let base_url = given_url.or_else(|| known?.fill(&filled).ok());
    let names_dialect = table.has("dialect") || table.has("dialects");
    // Of another address than the catalog's nobody knows whether it speaks the rest too.
    let most = if table.has("base_url") { 1 } else { usize::MAX };
    let from_catalog = || Some(row.filter(|_| !names_dialect)?.dialects.iter().copied().take(most).collect());
    let dialects: Option<Vec<Dialect>> = given_dialects.or_else(from_catalog);
    let dialects = dialects.filter(|dialects| !dialects.is_empty());
    missing(table, row, catalog, named.name, base_url.is_none() && known.is_none(), dialects.is_none());
    let (base_url, dialects) = (base_url?, dialects?);
    let dialect = dialects[0];
    let scheme = auth.or_else(|| row.map(|row| row.auth.clone())).unwrap_or_else(|| AuthScheme::of(dialect));
    credential_fits(table, row, &scheme, &base_url);
    let scheme = match &identity {
        Some(identity) => AuthScheme::of_identity(identity),
        None if credential.is_some() => scheme,
        None => AuthScheme::None,
    };
    let region = region.or_else(|| row.filter(|_| !table.has("base_url") && !table.has("region"))?.region.clone());
    let billed_region = billed_region.or_else(|| row.filter(|_| !table.has("base_url"))?.billed_region.clone());
    let (credential, credential_source) = credential.unzip();
    Some(Provider {
        name: ProviderName::from(named.name),
        catalog: row.map(|row| row.name.clone()),
        dialect,
        dialects,
        base_url,
        query: own_query.or_else(|| row.map(|row| row.query.clone())).unwrap_or_default(),
        auth: scheme,
        credential,
        credential_source,
        identity,
        region,
        billed_region,
        quirks: quirks.or_else(|| row.map(|row| row.quirks)).unwrap_or(&Quirks::GENERIC),
        timeouts,
        terms,
        headers,
        passthrough,
        shared_files,
        quota_steering,
    })
}

/// The catalog row it builds on. `None` where one was named that does not exist, `Some(None)` where it needs none.
fn catalog_row<'c>(named: &Named, catalog: &'c Catalog) -> Option<Option<&'c CatalogProvider>> {
    let Some(asked) = named.table.text("catalog") else { return Some(catalog.provider(named.name)) };
    let row = catalog.provider(asked.value);
    if row.is_none() {
        let remedy = did_you_mean(asked.value, catalog.providers().map(|row| row.name.as_str()));
        named.table.problems().error(&asked.place, format!("the catalog has no provider `{}`", asked.value), remedy);
    }
    row.map(Some)
}

fn missing(
    table: &Table,
    row: Option<&CatalogProvider>,
    catalog: &Catalog,
    name: &str,
    no_url: bool,
    no_dialect: bool,
) {
    let named_dialect = table.has("dialect") || table.has("dialects");
    let gap = match (no_url && !table.has("base_url"), no_dialect && !named_dialect) {
        (true, true) => "`base_url` and `dialect` are",
        (true, false) => "`base_url` is",
        (false, true) => "`dialect` is",
        (false, false) => return,
    };
    let reason = match row {
        None => format!("{gap} missing, and the catalog has no provider `{name}`"),
        Some(row) => {
            format!("{gap} missing; the catalog knows prices of `{}` but not how to speak to it yet", row.name)
        }
    };
    let nearest = nearest(name, catalog.providers().map(|row| row.name.as_str()));
    let remedy = match nearest.filter(|_| row.is_none()) {
        Some(nearest) => format!("did you mean `{nearest}`? Rename the provider, or write `catalog = \"{nearest}\"`"),
        None => "give `dialect` and `base_url`, or name a row of the catalog with `catalog`".to_owned(),
    };
    table.problems().error(&table.place, reason, remedy);
}

fn quirks(table: &Table) -> Option<&'static Quirks> {
    let choices: Vec<(&str, &'static Quirks)> =
        wire::quirks::QUIRKS.iter().map(|quirks| (quirks.name, quirks)).collect();
    table.choice("quirks", &choices)
}

fn base_url(table: &Table) -> Option<BaseUrl> {
    let text = table.text("base_url")?;
    let url = match BaseUrl::parse(text.value) {
        Ok(url) => url,
        Err(reason) => {
            let remedy = "write a URL such as `https://api.example.com/v1`";
            table.problems().error(&text.place, reason, remedy);
            return None;
        }
    };
    if let Some(operation) =
        ["/chat/completions", "/responses", "/messages", "/embeddings", "/v2/chat", "/embed", "/rerank"]
            .into_iter()
            .find(|end| url.path.ends_with(end))
    {
        let reason = format!("ends in `{operation}`, which Freehold appends itself");
        table.problems().error(&text.place, reason, format!("leave `{operation}` out"));
    }
    Some(url)
}

fn auth(table: &Table) -> Option<AuthScheme> {
    let text = table.text("auth")?;
    if let Some(scheme) = AuthScheme::from_name(text.value) {
        return Some(scheme);
    }
    let reason = format!("`{}` is no way to send a credential", text.value);
    table.problems().error(
        &text.place,
        reason,
        "write `bearer`, `x-api-key`, `api-key`, `x-goog-api-key`, `none`, or `header:NAME`",
    );
    None
}

/// Reports a credential that would not be sent, is missing, or would travel in the clear.
fn credential_fits(table: &Table, row: Option<&CatalogProvider>, scheme: &AuthScheme, base_url: &BaseUrl) {
    let problems = table.problems();
    if table.has("identity") {
        for beside in ["api_key", "auth"].into_iter().filter(|key| table.has(key)) {
            let reason = format!("`{beside}` stands beside `identity`, which is sent in its own way");
            problems.error(&table.place_of(beside), reason, "leave one of the two out");
        }
        return;
    }
    match (table.has("api_key"), scheme) {
        (true, AuthScheme::None) => problems.error(
            &table.place_of("auth"),
            "`auth` is `none`, so `api_key` would never be sent",
            "leave one of the two out, or write `auth = \"bearer\"`",
        ),
        (false, scheme) if scheme.takes_key() && table.has("auth") => {
            table.missing("api_key", "say where the credential is found: `api_key = { env = \"NAME\" }`");
        }
        // The catalog's own endpoint is known to demand a key; another one, such as a gateway of one's own, may not.
        (false, scheme) if scheme.takes_key() && row.is_some() && !table.has("base_url") => {
            let usual = row.and_then(|row| row.env.as_deref()).unwrap_or("NAME_OF_VARIABLE");
            let identity = row.and_then(|row| row.identity).map_or_else(String::new, |cloud| {
                let first = Identity::sources(cloud).next().unwrap_or_default();
                format!(", or `identity = {{ from = \"{first}\" }}`")
            });
            table.missing("api_key", format!("write `api_key = {{ env = \"{usual}\" }}`{identity}"));
        }
        // A row without a key to name takes an identity only.
        (false, AuthScheme::None) if !table.has("base_url") && row.is_some_and(|row| row.identity.is_some()) => {
            let cloud = row.and_then(|row| row.identity);
            let first = cloud.and_then(|cloud| Identity::sources(cloud).next()).unwrap_or_default();
            table.missing("identity", format!("write `identity = {{ from = \"{first}\" }}`"));
        }
        (true, _) if !base_url.https && !base_url.is_private() => problems.warn(
            &table.place_of("base_url"),
            "the credential would travel unencrypted through a network that is not your own",
            "use `https`",
        ),
        _ => {}
    }
}

fn terms(table: &Table, now: UnixMs) -> Option<Terms> {
    let table = table.table("terms", &TERMS)?;
    let expires = table.day("expires");
    if let Some(expires) = expires.as_ref().filter(|expires| expires.value <= now) {
        let reason = format!("these terms expired on {}", numbers::day_text(expires.value));
        table.problems().warn(&expires.place, reason, "renew them with the provider and write the new day");
    }
    Some(Terms {
        trains_on_data: table.flag("trains_on_data"),
        retention_days: table.count("retention_days", 0..=36_500).and_then(|days| u32::try_from(days).ok()),
        evidence: table.text("evidence").map(|text| text.value.to_owned()),
        expires: expires.map(|expires| expires.value),
    })
}

fn headers(table: &Table) -> Vec<(String, String)> {
    let Some(inner) = table.free_table("headers") else { return Vec::new() };
    let mut headers = Vec::new();
    for entry in inner.entries() {
        let name = entry.name.to_ascii_lowercase();
        let problem = |reason: &str, remedy: &str| inner.problems().error(&entry.place, reason, remedy);
        let Value::String(value) = entry.value else {
            problem("is no text", "put the value in quotation marks");
            continue;
        };
        if !is_header_name(&name) {
            problem("is no header name", "use letters, digits and `-`");
        } else if CREDENTIAL_HEADERS.contains(&name.as_str()) {
            problem(
                "a credential must not stand in this file",
                "use `api_key`, with `auth = \"header:NAME\"` where needed",
            );
        } else if OUR_HEADERS.contains(&name.as_str()) {
            problem("Freehold sets this header itself", "leave it out");
        } else if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            problem("the value holds characters that no header can carry", "use plain ASCII on one line");
        } else {
            headers.push((name, value.to_string()));
        }
    }
    headers
}
