//! Measures whether pages and reports stay quick however many records there are: `cargo xtask bench rollups`.
//!
//! Records of ninety days are made here and written through the store's own taking-over, so that sums, journal and chain are
//! what a server leaves. Then every page's and report's question is asked; what counts is the slowest of several askings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control::ports::Running;
use control::views::{BudgetNow, CallFilter};
use control::{Control, DataDirectory, Pepper, hidden_costs};
use domain::{
    AttemptEnd, AttemptId, CallEnd, CallId, Cause, Cost, CostLine, Entry, FaultClass, Intent, KeyId, Meter, ModelName,
    NanoUsd, PicoUsd, UnixMs, Usage,
};
use store::{Batch, Store};
use testkit::facts::Sample;

/// Days the records are spread over, up to now.
const DAYS: u64 = 90;
const DAY: u64 = 86_400_000;
/// Entries of one batch, as many as a server takes over at once.
const BATCH: usize = 1_000;
/// Times each question is asked.
const ASKED: usize = 5;
const WORKFLOWS: [&str; 20] = [
    "w00", "w01", "w02", "w03", "w04", "w05", "w06", "w07", "w08", "w09", "w10", "w11", "w12", "w13", "w14", "w15",
    "w16", "w17", "w18", "w19",
];
const MODELS: [(&str, &str, &str); 6] = [
    ("sonnet", "claude-sonnet-4-5", "anthropic"),
    ("haiku", "claude-haiku-4-5", "anthropic"),
    ("gpt", "gpt-5.4", "openai"),
    ("gpt-mini", "gpt-5.4-mini", "openai"),
    ("gemini", "gemini-3-pro", "google"),
    ("qwen-own", "qwen3-32b", "gpu-hall"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, directory, counts @ ..] = &arguments[..] else {
        panic!(
            "rollups sqlite|postgres|postgres://… DIRECTORY RECORDS …: an empty database, a scratch folder, ascending counts"
        );
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let data = DataDirectory::open(std::path::Path::new(directory)).expect("the scratch folder is ours");
        let store = match database.as_str() {
            "sqlite" => Store::open(&data.database()).await.expect("the database opens"),
            "postgres" => {
                Store::connect(&testkit::postgres::Postgres::shared().database()).await.expect("the database opens")
            }
            address => Store::connect(address).await.expect("the database opens"),
        };
        let now = UnixMs(1_795_867_200_000);
        let pepper = Pepper::load_or_make(&data).expect("a pepper");
        let running = Arc::new(Nobody(Arc::new(snapshot())));
        let control = Control::with_clock(store.clone(), pepper, running, Arc::new(move || now));
        let mut written = 0;
        for count in counts.iter().map(|count| count.parse::<u64>().expect("a count of records")) {
            let started = Instant::now();
            write(&store, written, count, now).await;
            let rate = (count - written) as f64 / started.elapsed().as_secs_f64();
            written = count;
            println!("{{\"records\": {count}, \"records_per_second\": {rate:.0}}}");
            ask(&control, &store, now, count).await;
        }
        store.close().await;
    });
}

/// Writes records from one number up to another, oldest first; each call of this fills the ninety days.
async fn write(store: &Store, from: u64, to: u64, now: UnixMs) {
    let mut entries = Vec::with_capacity(BATCH);
    let mut offset = from;
    for number in from..to {
        entries.extend(call(number, now - DAYS * DAY + (number - from) * (DAYS * DAY) / (to - from)));
        if entries.len() + 2 > BATCH || number + 1 == to {
            offset += 1;
            let entries = std::mem::replace(&mut entries, Vec::with_capacity(BATCH));
            let batch = Batch { segment: "bench.seg".into(), upto_offset: offset, entries, ..Batch::default() };
            store.ingest(batch).await.expect("the store takes a batch");
        }
    }
}

fn call(number: u64, at: UnixMs) -> [Entry; 2] {
    let chance = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let (model, upstream, provider) = MODELS[(chance % 6) as usize];
    let workflow = WORKFLOWS[(chance >> 8) as usize % WORKFLOWS.len()];
    let failed = (chance >> 16).is_multiple_of(50);
    let usage = Usage::ZERO
        .with(Meter::Input, 200 + chance % 3_000)
        .with(Meter::CacheRead, (chance >> 4) % 2_000)
        .with(Meter::Output, if failed { 0 } else { 20 + (chance >> 12) % 800 });
    let lines = usage.counts().map(|(meter, units)| {
        let price = PicoUsd(if meter == Meter::Output { 15_000_000 } else { 3_000_000 });
        let price_row = format!("{provider}/{upstream}@2026-01-01");
        CostLine { meter, units, price, amount: price.times(units), price_row }
    });
    let lines: Vec<CostLine> = lines.collect();
    let total: NanoUsd = lines.iter().map(|line| line.amount).sum();
    let sample = Sample { workflow, model, cost_nano: total.0, ..Sample::new(number, at) };
    let id = CallId::mint(at, u128::from(number));
    let key = KeyId(format!("key{:02}", (chance >> 24) % 12).into());
    let (mut record, mut end): (_, CallEnd) = (sample.record(), sample.end());
    record.intent = Intent {
        attempt: AttemptId { call: id, ordinal: 1 },
        key: key.clone(),
        provider: provider.into(),
        cause: if (chance >> 20).is_multiple_of(40) { Cause::Failover } else { Cause::Serve },
        ..record.intent
    };
    record.upstream_model = upstream.into();
    (record.usage, record.cost) = (usage, Cost::Priced { total, lines });
    if failed {
        let message = "overloaded".to_owned();
        record.end = AttemptEnd::Failed { class: FaultClass::Overloaded, message, after_content: false };
    }
    (end.call, end.key, end.first_token_ms) = (id, Some(key), Some(300 + chance % 400));
    [Entry::Record(Box::new(record)), Entry::Call(Box::new(end))]
}

/// Asks what every page and report asks, and prints the slowest answer to each.
async fn ask(control: &Control, store: &Store, now: UnixMs, records: u64) {
    macro_rules! timed {
        ($name:literal, $question:expr) => {{
            let mut slowest = Duration::ZERO;
            for _ in 0..ASKED {
                let started = Instant::now();
                let _ = $question.await.expect("the store answers");
                slowest = slowest.max(started.elapsed());
            }
            let ms = slowest.as_secs_f64() * 1e3;
            println!("{{\"records\": {records}, \"question\": \"{}\", \"slowest_ms\": {ms:.1}}}", $name);
        }};
    }
    let of_one = CallFilter { workflow: Some("w07".into()), ..CallFilter::default() };
    timed!("page Overview", control.overview());
    timed!("page Workflows", control.workflows());
    timed!("page Workflow", control.workflow("w00"));
    timed!("page Lanes", control.lanes());
    timed!("page Tools", control.tool_servers());
    timed!("page Calls", control.calls(&CallFilter::default()));
    timed!("page Calls, of one workflow", control.calls(&of_one));
    timed!("page Keys", control.keys());
    timed!("page Costs, a day", control.hidden_costs(1));
    timed!("page Costs, 30 days", control.hidden_costs(30));
    timed!("page Costs, a year", control.hidden_costs(365));
    timed!("report hidden-costs, all time", hidden_costs::of(store, UnixMs(0), UnixMs(i64::MAX)));
    timed!("report capture, 35 days", control::capture::compare(store, "anthropic", now - 35 * DAY));
}

/// A gateway that is not there.
struct Nobody(Arc<config::Snapshot>);

impl Running for Nobody {
    fn snapshot(&self) -> (Arc<config::Snapshot>, UnixMs) {
        (self.0.clone(), UnixMs(0))
    }
    fn health(&self, _: &ModelName) -> Option<routing::HealthView> {
        None
    }
    fn budgets(&self) -> Vec<BudgetNow> {
        Vec::new()
    }
    fn in_flight(&self) -> u64 {
        0
    }
    fn rejected(&self) -> Vec<String> {
        Vec::new()
    }
    fn spool_behind(&self) -> (u64, u64) {
        (0, 0)
    }
    fn metrics(&self) -> String {
        String::new()
    }
    fn reload(&self) {}
}

fn snapshot() -> config::Snapshot {
    let mut text = String::new();
    for provider in ["anthropic", "openai", "google", "gpu-hall"] {
        let address = "dialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:9/v1\"\nregion = \"eu\"";
        text.push_str(&format!("[providers.{provider}]\n{address}\n"));
    }
    for (model, upstream, provider) in MODELS {
        let rest = "price = { input = \"3.00\", output = \"15.00\" }\nquality = \"0.9\"";
        text.push_str(&format!("[models.{model}]\nprovider = \"{provider}\"\nmodel = \"{upstream}\"\n{rest}\n"));
    }
    let names: Vec<String> = MODELS.iter().map(|(model, _, _)| format!("\"{model}\"")).collect();
    text.push_str(&format!("[lanes.premium]\nclass = \"A\"\nmodels = [{}]\npick = \"best\"\n", names.join(", ")));
    text.push_str("[criticality.high]\nlanes = [\"premium\"]\n");
    for workflow in WORKFLOWS {
        text.push_str(&format!("[workflows.{workflow}]\ncriticality = \"high\"\n"));
    }
    let catalog = config::Catalog::parse("", "", "").expect("an empty catalog");
    let input = config::Input {
        file_name: "freehold.toml",
        text: &text,
        catalog: &catalog,
        environment: &|_| None,
        read_secret_file: &|_| Err("there are none".into()),
        now: UnixMs(0),
    };
    config::check(&input).unwrap_or_else(|problems| panic!("{problems:#?}"))
}
