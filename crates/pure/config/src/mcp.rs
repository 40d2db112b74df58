//! `[mcp.*]`: servers of tools that applications reach through Freehold, which tools of them, and what a call costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use domain::{NanoUsd, Region, WorkflowName};

use crate::auth::AuthScheme;
use crate::defaults::{self, TIMEOUTS_KEY, Timeouts};
use crate::key::{Key, Section};
use crate::names::{Declared, did_you_mean};
use crate::raw::{Named, Table, Value};
use crate::secret::{self, CredentialSource, Secret, Vault};
use crate::url::BaseUrl;
use crate::workflows::Workflow;

/// Longest name of a tool, bytes.
const LONGEST_TOOL: usize = 256;
/// Stands for every tool that has no price of its own.
const OTHERS: &str = "*";
/// Google's list of models takes any version in its first segment, this one too.
const TAKEN: &str = "models";
/// Processes of one server at once, where nothing is said.
const SESSIONS: usize = 16;
/// How long a process waits for its client, where nothing is said, milliseconds.
const IDLE_MS: u64 = 900_000;

/// A server of tools.
#[derive(Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Our name for it, as it stands in `/mcp/NAME`.
    pub name: Arc<str>,
    /// How it is reached.
    pub reach: Reach,
    /// What it knows us by.
    pub credential: Option<Secret>,
    /// Where the credential was found.
    pub credential_source: Option<CredentialSource>,
    /// How the credential is sent.
    pub auth: AuthScheme,
    /// Where it processes, as far as it is known.
    pub region: Option<Region>,
    /// The tools anybody may use; absent where all are.
    pub tools: Option<BTreeSet<String>>,
    /// Of these, the ones a key may use, by its public half; a key that is not here may use all of them.
    pub tools_by_key: BTreeMap<String, BTreeSet<String>>,
    /// Of these, the ones calls for a workflow may use.
    pub tools_by_workflow: BTreeMap<WorkflowName, BTreeSet<String>>,
    /// What a call costs, by tool.
    pub prices: BTreeMap<String, NanoUsd>,
    /// What a call of every other tool costs.
    pub price_of_others: Option<NanoUsd>,
    /// Origins of web pages that may call it.
    pub origins: Vec<String>,
    /// Processes of it at once, where it is a command.
    pub max_sessions: usize,
    /// How long one of them waits for its client, milliseconds.
    pub session_idle_ms: u64,
    /// Whether what a process writes to its standard error goes to our log.
    pub log_stderr: bool,
    /// Its deadlines, the defaults filled in.
    pub timeouts: Timeouts,
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Over streamable HTTP, at this address.
    Url(String),
    /// As a process of ours that speaks on its standard input and output.
    Command(Vec<String>, Vec<String>),
}

impl McpServer {
    /// Whether a key may use a tool, for a workflow where one is named.
    pub fn allows(&self, tool: &str, key: &str, workflow: Option<&WorkflowName>) -> bool {
        let by_workflow = workflow.and_then(|workflow| self.tools_by_workflow.get(workflow));
        let lists = [self.tools.as_ref(), self.tools_by_key.get(key), by_workflow];
        lists.into_iter().flatten().all(|list| list.contains(tool))
    }

    /// What a call of a tool costs; nothing where no price is known.
    pub fn price_of(&self, tool: &str) -> Option<NanoUsd> {
        self.prices.get(tool).copied().or(self.price_of_others)
    }

    /// Whether the configuration names the tool.
    pub fn names(&self, tool: &str) -> bool {
        let lists = self.tools.iter().chain(self.tools_by_key.values()).chain(self.tools_by_workflow.values());
        self.prices.contains_key(tool) || lists.into_iter().any(|list| list.contains(tool))
    }
}

impl fmt::Debug for McpServer {
    /// Without its command's arguments, in which people put what they should not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpServer")
            .field("name", &self.name)
            .field("reach", &self.reach.to_string())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Reach {
    /// The address, or the program without its arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Url(url) => f.write_str(url),
            Reach::Command(command, _) => write!(f, "command `{}`", command.first().map_or("", String::as_str)),
        }
    }
}

/// Keys of `[mcp.NAME]`.
pub const SECTION: Section = Section {
    path: "mcp.NAME",
    about: "Servers of the Model Context Protocol: applications reach them at `/mcp/NAME` with a Freehold key. See docs/mcp.md.",
    keys: &[
        Key {
            name: "url",
            takes: "text, `http` or `https` URL",
            default: "none; this or `command` is required",
            meaning: "Where a server of the streamable HTTP transport answers. No user, query or fragment.",
            example: "\"https://crm.example/mcp\"",
        },
        Key {
            name: "command",
            takes: "list of texts: program and arguments",
            default: "none; this or `url` is required",
            meaning: "A server that speaks on its standard input and output: Freehold starts one process per session and ends it. No shell is involved.",
            example: "[\"/usr/bin/files-server\", \"--read-only\"]",
        },
        Key {
            name: "environment",
            takes: "list of names of environment variables",
            default: "none",
            meaning: "Variables of Freehold's own that the process of `command` is given, beside `PATH`, `HOME`, `LANG` and `TMPDIR`. No other is.",
            example: "[\"FILES_ROOT\"]",
        },
        Key {
            name: "api_key",
            takes: "table",
            default: "none",
            meaning: "Where the credential for `url` is found; never the credential itself.",
            example: "{ env = \"CRM_TOKEN\" }",
        },
        Key {
            name: "auth",
            takes: "`bearer`, `x-api-key`, `x-goog-api-key`, `none`, or text `header:NAME`",
            default: "`bearer`",
            meaning: "How the credential is sent.",
            example: "\"bearer\"",
        },
        Key {
            name: "region",
            takes: "text, such as `eu` or `eu-de`",
            default: "unknown",
            meaning: "Where it processes. Calls for a workflow with a `residency` reach only servers whose region is known and inside.",
            example: "\"eu-de\"",
        },
        Key {
            name: "tools",
            takes: "list of names of tools",
            default: "every tool",
            meaning: "The tools anybody may see and call. Names are compared letter by letter.",
            example: "[\"search\", \"read_claim\"]",
        },
        Key {
            name: "tools_by_key",
            takes: "table: public half of a key to list of names of tools",
            default: "none",
            meaning: "Of `tools`, the ones a key may use; a key that is not listed may use all of them.",
            example: "{ k7x2 = [\"search\"] }",
        },
        Key {
            name: "tools_by_workflow",
            takes: "table: name of a `[workflows.*]` entry to list of names of tools",
            default: "none",
            meaning: "Of `tools`, the ones that calls for a workflow may use; a workflow that is not listed may use all of them.",
            example: "{ claims-triage = [\"read_claim\"] }",
        },
        Key {
            name: "price_per_call",
            takes: "decimal text in USD, or table: name of a tool, or `\"*\"` for all others, to decimal text in USD",
            default: "unpriced: an alarm, and refused under a budget",
            meaning: "What one call of a tool costs. `\"0\"` says that calls cost nothing.",
            example: "{ search = \"0.005\", \"*\" = \"0\" }",
        },
        Key {
            name: "origins",
            takes: "list of texts, such as `https://app.example`",
            default: "none",
            meaning: "Origins of web pages that may call it. A request with any other `Origin` is refused; programs send none.",
            example: "[\"https://app.example\"]",
        },
        Key {
            name: "max_sessions",
            takes: "count, 1 to 1000",
            default: "16",
            meaning: "Processes of `command` at once.",
            example: "16",
        },
        Key {
            name: "session_idle_ms",
            takes: "milliseconds, 1000 to 86400000",
            default: "900000",
            meaning: "How long a process of `command` waits for its client before it is ended.",
            example: "900_000",
        },
        Key {
            name: "log_stderr",
            takes: "`true` or `false`",
            default: "`false`",
            meaning: "Whether what a `command` writes to its standard error goes to the log, line by line. It may hold what callers sent.",
            example: "true",
        },
        TIMEOUTS_KEY,
    ],
    meters: false,
};

/// Reads `[mcp.*]`.
pub(crate) fn read<'d>(
    root: &Table<'d>,
    workflows: &[Declared<Arc<Workflow>>],
    defaults: Timeouts,
    vault: Vault,
) -> Vec<Declared<'d, Arc<McpServer>>> {
    root.named("mcp", &SECTION)
        .into_iter()
        .map(|named| Declared {
            name: named.name,
            place: named.table.place.clone(),
            value: one(&named, workflows, defaults, vault).map(Arc::new),
        })
        .collect()
}

fn one(named: &Named, workflows: &[Declared<Arc<Workflow>>], defaults: Timeouts, vault: Vault) -> Option<McpServer> {
    let table = &named.table;
    // Everything is read before anything is given up, so that all problems of a server show at once.
    let reach = reach(table);
    let credential = secret::read(table, vault);
    let auth = auth(table);
    let region = table.region("region");
    let tools =
        table.texts("tools").map(|list| tool_names(table, list.value.iter().map(|tool| (tool.value, &tool.place))));
    let tools_by_key = lists(table, "tools_by_key", |_, _| true);
    let known = |name: &str| workflows.iter().any(|workflow| workflow.name == name);
    let names = workflows.iter().map(|workflow| workflow.name);
    let tools_by_workflow = lists(table, "tools_by_workflow", |name, place| {
        if !known(name) {
            let reason = format!("there is no workflow `{name}`");
            table.problems().error(place, reason, did_you_mean(name, names.clone()));
        }
        known(name)
    });
    let (prices, price_of_others) = prices(table);
    let origins = origins(table);
    let max_sessions = table.count("max_sessions", 1..=1000).and_then(|count| usize::try_from(count).ok());
    let session_idle_ms = table.count("session_idle_ms", 1_000..=86_400_000);
    let log_stderr = table.flag("log_stderr").unwrap_or(false);
    let timeouts = defaults::timeouts(table).over(defaults);
    unpriced(table);
    if named.name == TAKEN {
        let reason = format!("`/mcp/{TAKEN}` is a route of another kind already");
        table.problems().error(&table.place, reason, "choose another name");
    }
    let reach = reach?;
    let (credential, credential_source) = credential.unzip();
    Some(McpServer {
        name: named.name.into(),
        reach,
        auth: if credential.is_some() { auth.unwrap_or(AuthScheme::Bearer) } else { AuthScheme::None },
        credential,
        credential_source,
        region,
        tools,
        tools_by_key,
        tools_by_workflow: tools_by_workflow.into_iter().map(|(name, tools)| (name.as_str().into(), tools)).collect(),
        prices,
        price_of_others,
        origins,
        max_sessions: max_sessions.unwrap_or(SESSIONS),
        session_idle_ms: session_idle_ms.unwrap_or(IDLE_MS),
        log_stderr,
        timeouts,
    })
}

/// Where it is, of which there must be exactly one.
fn reach(table: &Table) -> Option<Reach> {
    let problems = table.problems();
    if table.has("url") == table.has("command") {
        if !table.is_spoiled() {
            let remedy = "give the `url` of a streamable HTTP server, or the `command` of one that speaks on its standard input and output";
            problems.error(&table.place, "needs exactly one of `url` and `command`", remedy);
        }
        return None;
    }
    if let Some(text) = table.text("url") {
        for key in
            ["environment", "max_sessions", "session_idle_ms", "log_stderr"].into_iter().filter(|key| table.has(key))
        {
            problems.error(&table.place_of(key), "is for a server that is a `command`", "leave it out");
        }
        return match BaseUrl::parse(text.value) {
            Ok(url) => {
                if table.has("api_key") && !url.https && !url.is_private() {
                    let reason = "the credential would travel unencrypted through a network that is not your own";
                    problems.warn(&text.place, reason, "use `https`");
                }
                // To some servers `/mcp` and `/mcp/` are two places.
                let slash = if text.value.ends_with('/') { "/" } else { "" };
                Some(Reach::Url(format!("{url}{slash}")))
            }
            Err(reason) => {
                problems.error(&text.place, reason, "write a URL such as `https://crm.example/mcp`");
                None
            }
        };
    }
    let command = table.texts("command")?;
    for key in ["api_key", "auth"].into_iter().filter(|key| table.has(key)) {
        let remedy = "give the process a variable of Freehold's own with `environment`";
        problems.error(&table.place_of(key), "is for a server with a `url`", remedy);
    }
    let parts: Vec<String> = command.value.iter().map(|part| part.value.to_owned()).collect();
    if parts.first().is_none_or(String::is_empty) || parts.iter().any(|part| part.contains('\0')) {
        problems.error(
            &command.place,
            "names no program",
            "write the program and its arguments, each a text of its own",
        );
        return None;
    }
    let environment = table.texts("environment").map(|names| names.value).unwrap_or_default();
    for name in &environment {
        let fits =
            !name.value.is_empty() && name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !fits {
            let reason = "this is no name of an environment variable (letters, digits and `_`)";
            problems.error(&name.place, reason, "write the variable's name here, not its value");
            return None;
        }
    }
    Some(Reach::Command(parts, environment.iter().map(|name| name.value.to_owned()).collect()))
}

fn auth(table: &Table) -> Option<AuthScheme> {
    let text = table.text("auth")?;
    if !table.has("api_key") {
        table.missing("api_key", "say where the credential is found: `api_key = { env = \"NAME\" }`");
    }
    let scheme = AuthScheme::from_name(text.value);
    if scheme.is_none() || scheme == Some(AuthScheme::None) {
        let reason = format!("`{}` is no way to send a credential", text.value);
        table.problems().error(&text.place, reason, "write `bearer`, `x-api-key`, or `header:NAME`");
    }
    scheme
}

fn tool_names<'n>(
    table: &Table,
    names: impl Iterator<Item = (&'n str, &'n crate::problem::Place)>,
) -> BTreeSet<String> {
    let mut tools = BTreeSet::new();
    for (name, place) in names {
        if name.is_empty() || name.len() > LONGEST_TOOL || name.chars().any(char::is_control) {
            let remedy = format!("write it as the server's list of tools has it, 1 to {LONGEST_TOOL} bytes");
            table.problems().error(place, "is no name of a tool", remedy);
        } else if name == OTHERS {
            table.problems().error(place, "`*` stands for no tool here", "leave the list out to allow every tool");
        } else if !tools.insert(name.to_owned()) {
            table.problems().error(place, format!("tool `{name}` is listed twice"), "list it once");
        }
    }
    tools
}

/// A table of lists of tools, of the names that `known` accepts.
fn lists(
    table: &Table,
    key: &str,
    known: impl Fn(&str, &crate::problem::Place) -> bool,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    let Some(inner) = table.free_table(key) else { return all };
    for entry in inner.entries() {
        if !known(entry.name, &entry.place) {
            continue;
        }
        let Value::Array(list) = entry.value else {
            inner.problems().error(
                &entry.place,
                "is no list",
                "write a list of names of tools, such as `[\"search\"]`",
            );
            continue;
        };
        let texts = list.iter().filter_map(|item| match item.get_ref() {
            Value::String(text) => Some((&**text, &entry.place)),
            _ => {
                inner.problems().error(
                    &entry.place,
                    "holds something that is no text",
                    "put every name in quotation marks",
                );
                None
            }
        });
        all.insert(entry.name.to_owned(), tool_names(&inner, texts));
    }
    all
}

/// What a call costs, by tool and for all others.
fn prices(table: &Table) -> (BTreeMap<String, NanoUsd>, Option<NanoUsd>) {
    let (mut prices, mut others) = (BTreeMap::new(), None);
    let Some(entry) = table.value("price_per_call") else { return (prices, others) };
    let amount = |text: &str, place: &crate::problem::Place| match text.parse::<NanoUsd>() {
        Ok(amount) if amount >= NanoUsd::ZERO => Some(amount),
        Ok(_) => {
            table.problems().error(place, "a price is never below zero", "write USD per call, such as \"0.005\"");
            None
        }
        Err(error) => {
            table.problems().error(place, error.to_string(), "write USD per call, such as \"0.005\"");
            None
        }
    };
    if !matches!(entry.value, Value::Table(_)) {
        others = table.decimal_text("price_per_call", "\"0.005\"").and_then(|text| amount(text.value, &text.place));
        return (prices, others);
    }
    for entry in table.free_table("price_per_call").iter().flat_map(|inner| inner.entries()) {
        let Value::String(text) = entry.value else {
            let remedy = "put it in quotation marks, such as \"0.005\": a bare number cannot be kept exactly";
            table.problems().error(&entry.place, "is no decimal text", remedy);
            continue;
        };
        let Some(amount) = amount(text, &entry.place) else { continue };
        match entry.name {
            OTHERS => others = Some(amount),
            tool => {
                prices.insert(tool.to_owned(), amount);
            }
        }
    }
    (prices, others)
}

fn unpriced(table: &Table) {
    if !table.has("price_per_call") {
        let reason = "has no `price_per_call`: calls to its tools are booked as unpriced and raise an alarm";
        table.problems().warn(&table.place, reason, "write `price_per_call = \"0\"` where they cost nothing");
    }
}

fn origins(table: &Table) -> Vec<String> {
    let Some(list) = table.texts("origins") else { return Vec::new() };
    for origin in &list.value {
        // RFC 6454: scheme, host and port, without a slash at the end.
        let is_one = BaseUrl::parse(origin.value).is_ok_and(|url| url.path.is_empty()) && !origin.value.ends_with('/');
        if !is_one {
            let reason = format!("`{}` is no origin", origin.value);
            table.problems().error(&origin.place, reason, "write scheme, host and port, such as `https://app.example`");
        }
    }
    list.value.iter().map(|origin| origin.value.to_ascii_lowercase()).collect()
}

/// `https://crm.example/mcp, 2 tools, credential from environment variable `X``.
pub(crate) fn line(server: &McpServer) -> String {
    let mut line = format!("{}: {}", server.name, server.reach);
    match &server.tools {
        Some(tools) => line.push_str(&format!(", tools {}", listed(tools))),
        None => line.push_str(", every tool"),
    }
    for (key, tools) in &server.tools_by_key {
        line.push_str(&format!("; for key {key} {}", listed(tools)));
    }
    for (workflow, tools) in &server.tools_by_workflow {
        line.push_str(&format!("; for workflow {workflow} {}", listed(tools)));
    }
    line.push_str(&format!("; {}", price_text(server)));
    if let Some(source) = &server.credential_source {
        line.push_str(&format!("; credential from {source}"));
    }
    if let Some(region) = &server.region {
        line.push_str(&format!("; region {region}"));
    }
    line
}

pub(crate) fn listed(tools: &BTreeSet<String>) -> String {
    if tools.is_empty() { "none".to_owned() } else { tools.iter().cloned().collect::<Vec<_>>().join(", ") }
}

/// `search 0.005 USD, others 0 USD a call`.
pub(crate) fn price_text(server: &McpServer) -> String {
    let mut said: Vec<String> = server.prices.iter().map(|(tool, price)| format!("{tool} {price} USD")).collect();
    match server.price_of_others {
        Some(price) if said.is_empty() => return format!("{price} USD a call"),
        Some(price) => said.push(format!("others {price} USD")),
        None if said.is_empty() => return "no price".to_owned(),
        None => said.push("others no price".to_owned()),
    }
    format!("{} a call", said.join(", "))
}
