//! Measures whether pages and reports stay quick however many records there are: `cargo xtask bench rollups`.
//!
//! Records of ninety days are made here and written through the store's own taking-over, so that sums, journal and chain are
//! what a server leaves. Beyond a million they are copied within the database, which takes minutes where taking over takes an
//! hour. Then every page's and report's question is asked; what counts is the slowest of several askings.

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
/// Records that are written one by one at most; what is asked for beyond is a multiple of what is there then.
const WRITTEN_AT_MOST: u64 = 1_000_000;
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
        let address = match database.as_str() {
            "sqlite" => None,
            "postgres" => Some(testkit::postgres::Postgres::shared().database()),
            address => Some(address.to_owned()),
        };
        let store = match &address {
            None => Store::open(&data.database()).await.expect("the database opens"),
            Some(address) => Store::connect(address).await.expect("the database opens"),
        };
        let now = UnixMs(1_795_867_200_000);
        let pepper = Pepper::load_or_make(&data).expect("a pepper");
        let running = Arc::new(Nobody(Arc::new(snapshot())));
        let control = Control::with_clock(store.clone(), pepper, running, Arc::new(move || now));
        // What an earlier run has written stays, so that questions can be asked again when the machine is quiet.
        let mut written = store.newest_call().await.expect("the store answers");
        for count in counts.iter().map(|count| count.parse::<u64>().expect("a count of records")) {
            if count > written {
                let (started, before) = (Instant::now(), written);
                if count > WRITTEN_AT_MOST {
                    assert!(written > 0 && count % written == 0, "{count} records are no multiple of {written}");
                    multiply(&data, address.as_deref(), written, count / written).await;
                } else {
                    write(&store, written, count, now).await;
                }
                written = count;
                let rate = (count - before) as f64 / started.elapsed().as_secs_f64();
                println!("{{\"records\": {count}, \"records_per_second\": {rate:.0}}}");
            }
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

/// Makes `times` as many of the records there are, up to row `upto`: attempts, calls and sums by the minute are copied under names
/// of their own, and sums by the hour and the day are multiplied. Lines of the journal, which no page reads, are not.
async fn multiply(data: &DataDirectory, address: Option<&str>, upto: u64, times: u64) {
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
    let mut statements = vec![
        "CREATE TEMPORARY TABLE minutes AS SELECT * FROM traffic WHERE width_ms = 60000".to_owned(),
        "CREATE TEMPORARY TABLE first_minutes AS SELECT * FROM first_tokens WHERE width_ms = 60000".to_owned(),
    ];
    for copy in 1..times {
        // The first letter of chance behind the letters of time: the order of names stays.
        let named = |column: &str| format!("substr({column}, 1, 15) || '{copy}' || substr({column}, 17)");
        // Another minute of the same hour.
        let start = format!("start - start % 3600000 + (start + {copy} * 360000) % 3600000");
        statements.push(format!(
            "INSERT INTO attempts (attempt, at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage, record)
             SELECT {}, at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage, record
             FROM attempts WHERE seq <= {upto} ORDER BY seq",
            named("attempt")
        ));
        statements.push(format!(
            "INSERT INTO calls (call, ended_at, workflow, lane, model, key, failed, cost_nano, call_end)
             SELECT {0}, ended_at, workflow, lane, model, key, failed, cost_nano, replace(call_end, call, {0})
             FROM calls WHERE seq <= {upto} ORDER BY seq",
            named("call")
        ));
        statements.push(format!(
            "INSERT INTO traffic SELECT width_ms, {start}, workflow, lane, model, key, calls, errors, cost_nano FROM minutes WHERE 1 = 1
             ON CONFLICT (width_ms, start, workflow, lane, model, key) DO UPDATE SET calls = traffic.calls + excluded.calls,
             errors = traffic.errors + excluded.errors, cost_nano = traffic.cost_nano + excluded.cost_nano"
        ));
        statements.push(format!(
            "INSERT INTO first_tokens SELECT width_ms, {start}, workflow, lane, model, bucket, calls FROM first_minutes WHERE 1 = 1
             ON CONFLICT (width_ms, start, workflow, lane, model, bucket) DO UPDATE SET calls = first_tokens.calls + excluded.calls"
        ));
    }
    for (table, figures) in [
        ("traffic", &["calls", "errors", "cost_nano"][..]),
        ("first_tokens", &["calls"]),
        ("spend", &["attempts", "cost_nano", "input_tokens", "output_tokens"]),
        ("meters", &["attempts", "units", "amount_nano"]),
        ("instance_spend", &["cost_nano", "tokens"]),
    ] {
        let figures: Vec<String> = figures.iter().map(|figure| format!("{figure} = {figure} * {times}")).collect();
        statements.push(format!("UPDATE {table} SET {} WHERE width_ms > 60000", figures.join(", ")));
    }
    match address {
        None => {
            let options =
                sqlx::sqlite::SqliteConnectOptions::new().filename(data.database()).pragma("cache_size", "-1000000");
            let mut connection = options.connect().await.expect("the database opens");
            for sql in statements {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("it is copied");
            }
            connection.close().await.expect("the database closes");
        }
        Some(address) => {
            let mut connection = sqlx::PgConnection::connect(address).await.expect("the database opens");
            // What the server does by itself some minutes later.
            for sql in statements.into_iter().chain(["VACUUM ANALYZE".to_owned()]) {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("it is copied");
            }
            connection.close().await.expect("the database closes");
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
