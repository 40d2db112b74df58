//! `[server]`: where Freehold listens, what it takes at most, and how it reaches the outside.

use std::net::{Ipv4Addr, SocketAddr};

use crate::key::{Key, Section};
use crate::problem::{At, Problems};
use crate::raw::Table;
use crate::secret::Vault;
use crate::url::BaseUrl;

/// How the process itself behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Where the gateway takes calls.
    pub listen: SocketAddr,
    /// Where the console and the admin API answer.
    pub console_listen: SocketAddr,
    /// Whether either address can be reached from other machines; refused by `serve` while no key exists.
    pub wide: bool,
    /// Largest request body taken, bytes.
    pub max_body_bytes: usize,
    /// Largest request head taken, bytes.
    pub max_header_bytes: usize,
    /// Calls answered at the same time; one more is refused.
    pub max_calls_in_flight: usize,
    /// How long calls under way may take to end once the process is asked to stop, milliseconds.
    pub drain_ms: u64,
    /// How long a realtime session may be silent, milliseconds.
    pub realtime_idle_ms: u64,
    /// How long a realtime session may last, milliseconds.
    pub realtime_total_ms: u64,
    /// Memory that answers kept for workflows with a `cache` may take, bytes.
    pub cache_max_bytes: usize,
    /// A folder with the model that makes vectors for caches that answer what is only near.
    pub embedder: Option<String>,
    /// When a call may go on after its line went to the spool.
    pub spool: SpoolMode,
    /// A proxy between Freehold and the providers: `http://host:port`.
    pub upstream_proxy: Option<String>,
    /// A PEM file of further certificates that providers may be signed by.
    pub ca_file: Option<String>,
    /// Where spans are sent as OTLP over HTTP.
    pub otlp_endpoint: Option<String>,
    /// How long records stay in the store, days.
    pub record_retention_days: u32,
    /// A folder in which records are kept as Parquet before they leave the store.
    pub record_archive: Option<String>,
}

/// When a call may go on after its line went to the spool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpoolMode {
    /// At once; the disk is synced every few milliseconds. Power loss may cost the last batch, a crash nothing.
    Batched,
    /// When the disk has confirmed it.
    Exact,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            console_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7401)),
            wide: false,
            max_body_bytes: 32 << 20,
            max_header_bytes: 64 << 10,
            max_calls_in_flight: 10_000,
            drain_ms: 30_000,
            realtime_idle_ms: 600_000,
            realtime_total_ms: 3_600_000,
            cache_max_bytes: 64 << 20,
            embedder: None,
            spool: SpoolMode::Batched,
            upstream_proxy: None,
            ca_file: None,
            otlp_endpoint: None,
            record_retention_days: 400,
            record_archive: None,
        }
    }
}

/// Keys of `[server]`.
pub const SECTION: Section = Section {
    path: "server",
    about: "Where Freehold listens, what it takes at most, and how it reaches the outside. All of it may be left out.",
    keys: &[
        Key {
            name: "listen",
            takes: "text, address and port",
            default: "`127.0.0.1:7400`",
            meaning: "Where the gateway takes calls. Wider than loopback is refused by `serve` while no key exists.",
            example: "\"127.0.0.1:7400\"",
        },
        Key {
            name: "console_listen",
            takes: "text, address and port",
            default: "`127.0.0.1:7401`",
            meaning: "Where the console, the admin API and `/metrics` answer.",
            example: "\"127.0.0.1:7401\"",
        },
        Key {
            name: "max_body_bytes",
            takes: "bytes, 1024 to 1073741824",
            default: "33554432 (32 MiB)",
            meaning: "Largest request body taken.",
            example: "33_554_432",
        },
        Key {
            name: "max_header_bytes",
            takes: "bytes, 8192 to 1048576",
            default: "65536 (64 KiB)",
            meaning: "Largest request head taken.",
            example: "65_536",
        },
        Key {
            name: "max_calls_in_flight",
            takes: "count, 1 to 1000000",
            default: "10000",
            meaning: "Calls answered at the same time; one more is refused with 503 and may be retried.",
            example: "10_000",
        },
        Key {
            name: "drain_ms",
            takes: "milliseconds, 0 to 3600000",
            default: "30000",
            meaning: "How long calls under way may take to end once the process is asked to stop.",
            example: "30_000",
        },
        Key {
            name: "realtime_idle_ms",
            takes: "milliseconds, 1000 to 86400000",
            default: "600000 (ten minutes)",
            meaning: "How long neither side of a realtime session may say anything before it is ended with an error event.",
            example: "120_000",
        },
        Key {
            name: "realtime_total_ms",
            takes: "milliseconds, 1000 to 86400000",
            default: "3600000 (an hour, as long as OpenAI's last)",
            meaning: "How long a realtime session may last before it is ended with an error event.",
            example: "1_800_000",
        },
        Key {
            name: "cache_max_bytes",
            takes: "bytes, 1048576 to 1099511627776",
            default: "67108864 (64 MiB)",
            meaning: "Memory of this instance that answers kept for workflows with a `cache` may take. What was not used for longest goes first.",
            example: "268_435_456",
        },
        Key {
            name: "embedder",
            takes: "text, path of a folder",
            default: "none: a cache's `near` is off",
            meaning: "A folder with `model.onnx` and `tokenizer.json` of a sentence model such as all-MiniLM-L6-v2, run on this machine. Takes effect at the next start, in builds with the feature `embedder` (docs/cache.md).",
            example: "\"/var/lib/freehold/minilm\"",
        },
        Key {
            name: "spool",
            takes: "`batched` or `exact`",
            default: "`batched`",
            meaning: "When a call may go on after its line went to the spool: at once, the disk being synced every few milliseconds, or when the disk has confirmed it.",
            example: "\"batched\"",
        },
        Key {
            name: "upstream_proxy",
            takes: "text, `http://host:port`",
            default: "none",
            meaning: "A proxy between Freehold and all providers.",
            example: "\"http://proxy.example:3128\"",
        },
        Key {
            name: "ca_file",
            takes: "text, path of a PEM file",
            default: "none",
            meaning: "Certificates that providers may be signed by, besides those of the system.",
            example: "\"/etc/freehold/ca.pem\"",
        },
        Key {
            name: "otlp_endpoint",
            takes: "text, `http` URL",
            default: "none",
            meaning: "Where a span per call and attempt is sent, as OTLP over plain HTTP: a collector beside Freehold.",
            example: "\"http://collector.example:4318\"",
        },
        Key {
            name: "record_retention_days",
            takes: "days, 1 to 36500",
            default: "400",
            meaning: "How long records stay in the store. Sums by the day and by meter stay for ever.",
            example: "400",
        },
        Key {
            name: "record_archive",
            takes: "text, path of a folder",
            default: "none",
            meaning: "Where records are written as Parquet before they leave the store, a file for each day's going. Without it they are erased.",
            example: "\"/var/lib/freehold/archive\"",
        },
    ],
    meters: false,
};

/// Reads `[server]`; what is missing or wrong keeps its default.
pub(crate) fn read(root: &Table, vault: Vault) -> Server {
    let defaults = Server::default();
    let Some(table) = root.table("server", &SECTION) else { return defaults };
    let size = |name, range, default: usize| {
        table.count(name, range).and_then(|count| usize::try_from(count).ok()).unwrap_or(default)
    };
    let listen = address(&table, "listen").unwrap_or(defaults.listen);
    let console_listen = address(&table, "console_listen").unwrap_or(defaults.console_listen);
    if listen == console_listen && listen.port() != 0 {
        let reason = format!("`listen` and `console_listen` are both {listen}");
        table.problems().error(&table.place_of("console_listen"), reason, "give the console a port of its own");
    }
    Server {
        listen,
        console_listen,
        wide: !(listen.ip().is_loopback() && console_listen.ip().is_loopback()),
        max_body_bytes: size("max_body_bytes", 1024..=1 << 30, defaults.max_body_bytes),
        max_header_bytes: size("max_header_bytes", 8192..=1 << 20, defaults.max_header_bytes),
        max_calls_in_flight: size("max_calls_in_flight", 1..=1_000_000, defaults.max_calls_in_flight),
        drain_ms: table.count("drain_ms", 0..=3_600_000).unwrap_or(defaults.drain_ms),
        realtime_idle_ms: table.count("realtime_idle_ms", 1_000..=86_400_000).unwrap_or(defaults.realtime_idle_ms),
        realtime_total_ms: table.count("realtime_total_ms", 1_000..=86_400_000).unwrap_or(defaults.realtime_total_ms),
        cache_max_bytes: size("cache_max_bytes", 1 << 20..=1 << 40, defaults.cache_max_bytes),
        embedder: table.text("embedder").map(|path| path.value.to_owned()),
        spool: table
            .choice("spool", &[("batched", SpoolMode::Batched), ("exact", SpoolMode::Exact)])
            .unwrap_or(defaults.spool),
        upstream_proxy: proxy(&table),
        ca_file: ca_file(&table, vault),
        otlp_endpoint: table.text("otlp_endpoint").and_then(|text| address_of(&text, table.problems())),
        record_retention_days: table
            .count("record_retention_days", 1..=36_500)
            .and_then(|days| u32::try_from(days).ok())
            .unwrap_or(defaults.record_retention_days),
        record_archive: archive(&table),
    }
}

fn archive(table: &Table) -> Option<String> {
    let path = table.text("record_archive")?;
    if path.value.trim().is_empty() {
        let remedy = "name a folder, or leave the line out";
        table.problems().error(&path.place, "`record_archive` is empty", remedy);
        return None;
    }
    Some(path.value.to_owned())
}

fn address(table: &Table, name: &str) -> Option<SocketAddr> {
    let text = table.text(name)?;
    let address = text.value.parse().ok();
    if address.is_none() {
        let reason = format!("`{}` is no address with a port", text.value);
        let remedy = "write an IP address and a port, such as `127.0.0.1:7400` or `[::1]:7400`";
        table.problems().error(&text.place, reason, remedy);
    }
    address
}

fn address_of(text: &At<&str>, problems: &Problems) -> Option<String> {
    let remedy = "run a collector beside Freehold and write its address, such as `http://127.0.0.1:4318`";
    match BaseUrl::parse(text.value) {
        Ok(url) if !url.https => Some(url.to_string()),
        Ok(_) => {
            problems.error(&text.place, "spans go over plain `http` only", remedy);
            None
        }
        Err(reason) => {
            problems.error(&text.place, reason, remedy);
            None
        }
    }
}

fn proxy(table: &Table) -> Option<String> {
    let text = table.text("upstream_proxy")?;
    let remedy = "write the proxy's URL, such as `http://proxy.example:3128`";
    match BaseUrl::parse(text.value) {
        Ok(url) if !url.https && url.path.is_empty() => Some(url.to_string()),
        Ok(_) => {
            table.problems().error(&text.place, "a proxy is spoken to over plain `http` and has no path", remedy);
            None
        }
        Err(reason) => {
            table.problems().error(&text.place, reason, remedy);
            None
        }
    }
}

fn ca_file(table: &Table, vault: Vault) -> Option<String> {
    let path = table.text("ca_file")?;
    let Vault::Open { read_file, .. } = vault else { return Some(path.value.to_owned()) };
    match read_file(path.value) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {}
        Ok(_) => {
            let reason = format!("file `{}` holds no certificate in PEM form", path.value);
            table.problems().error(&path.place, reason, "give a file with `-----BEGIN CERTIFICATE-----`");
        }
        Err(why) => {
            let reason = format!("file `{}` cannot be read: {why}", path.value);
            table.problems().error(&path.place, reason, "mend the path or its permissions");
        }
    }
    Some(path.value.to_owned())
}
