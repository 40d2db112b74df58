//! What the tests stand on: a data folder, a clock that stands still, a gateway that says what it is told to.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use config::Snapshot;
use control::ports::Running;
use control::views::BudgetNow;
use control::{Control, DataDirectory, Pepper};
use domain::{Entry, ModelName, NanoUsd, UnixMs};
use routing::HealthView;
use store::Store;
use testkit::ScratchDir;

/// A Saturday, 12:00 UTC.
pub const NOON: UnixMs = UnixMs(1_795_262_400_000);
/// Its midnight.
pub const MIDNIGHT: UnixMs = UnixMs(1_795_219_200_000);

pub struct House {
    pub data: DataDirectory,
    pub store: Store,
    pub _scratch: ScratchDir,
}

impl House {
    pub async fn new() -> House {
        let scratch = testkit::scratch_dir("control");
        let data = DataDirectory::open(&scratch.path().join("data")).unwrap();
        let store = Store::open(&data.database()).await.unwrap();
        House { data, store, _scratch: scratch }
    }

    pub fn pepper(&self) -> Pepper {
        Pepper::load_or_make(&self.data).unwrap()
    }

    pub fn control(&self, desk: &Arc<Desk>) -> Control {
        let clock = desk.clone();
        let clock = Arc::new(move || UnixMs(clock.now.load(Ordering::Relaxed)));
        Control::with_clock(self.store.clone(), self.pepper(), desk.clone(), clock)
    }

    /// Appends lines to a segment as a gateway would.
    pub fn append(&self, segment: &str, entries: &[Entry]) {
        let mut lines = Vec::new();
        entries.iter().for_each(|entry| ledger::segment::encode(entry, &mut lines));
        self.append_bytes(segment, &lines);
    }

    pub fn append_bytes(&self, segment: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.data.spool()).unwrap();
        let path = self.data.spool().join(segment);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    pub fn segments(&self) -> Vec<String> {
        names(&self.data.spool())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A gateway that is not there.
pub struct Desk {
    pub now: AtomicI64,
    pub snapshot: Arc<Snapshot>,
    pub reloads: AtomicU64,
}

impl Desk {
    pub fn at(now: UnixMs) -> Arc<Desk> {
        Arc::new(Desk { now: AtomicI64::new(now.0), snapshot: Arc::new(snapshot()), reloads: AtomicU64::new(0) })
    }
}

impl Running for Desk {
    fn snapshot(&self) -> (Arc<Snapshot>, UnixMs) {
        (self.snapshot.clone(), MIDNIGHT)
    }
    fn health(&self, _: &ModelName) -> Option<HealthView> {
        None
    }
    fn budgets(&self) -> Vec<BudgetNow> {
        vec![BudgetNow {
            scope: "workflow claims-triage".into(),
            per: "month".into(),
            measure: ledger::Measure::Usd,
            limit: NanoUsd::usd(500).into(),
            hard: true,
            settled: NanoUsd::usd(1).into(),
            held: ledger::Amount::ZERO,
            overrun: ledger::Amount(3),
            left: NanoUsd::usd(499).into(),
            approval_at: None,
            approval: None,
            resets_at: None,
        }]
    }
    fn in_flight(&self) -> u64 {
        2
    }
    fn rejected(&self) -> Vec<String> {
        Vec::new()
    }
    fn spool_behind(&self) -> (u64, u64) {
        (100, 12_000)
    }
    fn metrics(&self) -> String {
        String::new()
    }
    fn reload(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }
}

/// The smallest configuration with a workflow, a lane, a model and an alias.
const CONFIGURATION: &str = r#"
[providers.provider]
dialect = "openai-chat"
base_url = "http://127.0.0.1:9/v1"
region = "eu"

[models.sonnet]
provider = "provider"
model = "claude-sonnet"
price = { input = "3.00", output = "15.00" }
quality = "0.93"

[lanes.premium]
class = "A"
models = ["sonnet"]
pick = "best"
slo = { first_token_p95_ms = 2500, success = "99.9%" }

[criticality.high]
lanes = ["premium"]

[workflows.claims-triage]
criticality = "high"

[aliases]
"gpt-4o" = "claims-triage"
"#;

fn snapshot() -> Snapshot {
    let catalog = config::Catalog::parse("", "", "").unwrap();
    let input = config::Input {
        file_name: "freehold.toml",
        text: CONFIGURATION,
        catalog: &catalog,
        environment: &|_| None,
        read_secret_file: &|_| Err("there are none".into()),
        now: MIDNIGHT,
    };
    config::check(&input).unwrap_or_else(|problems| panic!("{problems:#?}"))
}
