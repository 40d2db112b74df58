//! Writes a database as this revision leaves it, for `tests/written`: run it before a migration is added, and keep its dump there.
//!
//! `written sqlite FILE` and `sqlite3 FILE .dump`, or `written postgres://…` and `pg_dump --inserts --no-owner`.

use domain::record::Capture;
use domain::{Counted, Entry, KeyGrant, KeyId, NanoUsd, UnixMs};
use ledger::budget::{Amount, BudgetId, Measure, Scope};
use ledger::lease::{LEASE_MS, Use};
use ledger::window::Window;
use store::budgets::StoredApproval;
use store::{AdminToken, AuditLine, Batch, Incarnation, Renewal, Revision, Store, StoredSession, Told};
use testkit::facts::Sample;

/// A Saturday, 12:00 UTC, as in `tests/it/upgrade.rs`.
const NOON: UnixMs = UnixMs(1_795_262_400_000);
const DAY_MS: u64 = 86_400_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["sqlite", file] => Store::open(std::path::Path::new(file)).await,
            [address] => Store::connect(address).await,
            _ => panic!("written sqlite FILE, or written postgres://…"),
        };
        let store = store.expect("the database opens");
        facts(&store).await;
        access(&store).await;
        leases(&store).await;
        store.close().await;
    });
}

async fn facts(store: &Store) {
    // A call of a day that retention has erased, three of today, and an attempt under way.
    let old = Sample::new(20, NOON - 3 * DAY_MS).entries();
    let mut today: Vec<Entry> = (1..=3).flat_map(|number| Sample::new(number, NOON + number).entries()).collect();
    for entry in &mut today {
        match entry {
            Entry::Call(end) if end.call == Sample::new(1, NOON + 1).call() => {
                let until = NOON + 30 * DAY_MS;
                end.capture = Some(Capture { request: "6 × 7?".into(), answer: "42".into(), until });
            }
            Entry::Record(record) if record.intent.attempt == Sample::new(2, NOON + 2).attempt() => {
                record.provider_cost = Some(NanoUsd(4_200_000));
                record.counted = vec![Counted { name: "deal-commitment".into(), amount: 2_100_000 }];
            }
            _ => {}
        }
    }
    today.push(Entry::Intent(Sample::new(9, NOON).intent()));
    for (upto_offset, entries) in [(100, old), (300, today)] {
        let batch = Batch { segment: "1.seg".into(), upto_offset, entries, ..Batch::default() };
        store.ingest(batch).await.expect("facts are taken over");
    }
    store.prune(NOON - DAY_MS, NOON).await.expect("the old day is erased");
    let told = Told {
        start: UnixMs(NOON.0 - 43_200_000),
        requests: Some(3),
        cost: Some(NanoUsd(6_300_000)),
        ..Told::default()
    };
    store.keep_told("provider", &[told]).await.expect("a provider's word is kept");
}

async fn access(store: &Store) {
    let grant = KeyGrant {
        id: KeyId("ab".into()),
        hash: [3; 32],
        label: "app".into(),
        workflows: None,
        direct: false,
        budgets: vec!["5 USD per day".into()],
        requests_per_minute: Some(60),
        tokens_per_minute: None,
        created_at: NOON,
        expires_at: None,
        revoked_at: None,
    };
    store.insert_key(&grant).await.expect("a key is kept");
    let token =
        AdminToken { id: "t1".into(), hash: [1; 32], label: "first".into(), created_at: NOON, revoked_at: None };
    store.insert_admin_token(&token).await.expect("a token is kept");
    let session = StoredSession { hash: [2; 32], token: "t1".into(), created_at: NOON, expires_at: NOON + 10 };
    store.insert_session(&session).await.expect("a session is kept");
    let revision = Revision { revision: "a".into(), taken_at: NOON, text: "# a".into() };
    store.record_revision(&revision).await.expect("a revision is kept");
    let line = AuditLine { at: NOON, who: "t1".into(), what: "key.create".into(), detail: "ab".into() };
    store.audit(&line).await.expect("an audit line is kept");
    let approval = StoredApproval {
        scope: "workflow claims-triage".into(),
        per: "month".into(),
        measure: "USD".into(),
        more: Some(5_000_000_000),
        until: None,
        at: NOON,
        who: "t1".into(),
    };
    store.insert_approval(&approval).await.expect("an approval is kept");
}

async fn leases(store: &Store) {
    let who = Incarnation { instance: "i_one".into(), incarnation: "first".into() };
    store.begin_instance(&who, "host 1:2", LEASE_MS).await.expect("an instance begins");
    let budget =
        BudgetId { scope: Scope::Workflow("claims-triage".into()), window: Window::TOTAL, measure: Measure::Usd };
    let used = Use {
        budget,
        window_start: UnixMs(0),
        window_end: None,
        most: Some(Amount(100_000_000)),
        ceiling: Amount::ZERO,
        settled: Amount(8_400_000),
        held: Amount::ZERO,
    };
    let renewal = Renewal { used, needed: Amount(1_000_000), desired: Amount(2_000_000) };
    store.renew(&who, LEASE_MS, vec![renewal]).await.expect("a slice is leased");
}
