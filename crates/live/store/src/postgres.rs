//! The shared database: a PostgreSQL that several instances write to, its tables of facts partitioned by day.

use std::str::FromStr;
use std::time::Duration;

use domain::{CallId, UnixMs};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::open::{BUSY_TIMEOUT_MS, Database, Migrations, Store, StoreError, migrator};
use crate::prune::Upto;
use crate::rollup::{DAY_MS, start_of};
use crate::sql::{Statement, Transaction, query};

/// Connections of one instance: what it writes, what it leases, and a few pages at a time.
const CONNECTIONS: u32 = 8;
/// Connections of a store that is apart.
const CONNECTIONS_APART: u32 = 2;
/// The tables with a row for each fact.
const BY_DAY: [&str; 3] = ["attempts", "journal", "calls"];
/// The days there are, as the names of their partitions of `attempts`.
const DAYS: &str = "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
                    WHERE inhparent = to_regclass('attempts') ORDER BY child.relname";

const MIGRATIONS: Migrations = &[
    (1, "ledger", include_str!("../migrations/postgres/0001_ledger.sql")),
    (2, "access", include_str!("../migrations/postgres/0002_access.sql")),
    (20, "budgets", include_str!("../migrations/postgres/0020_budgets.sql")),
    (30, "instances", include_str!("../migrations/postgres/0030_instances.sql")),
    (40, "books", include_str!("../migrations/postgres/0040_books.sql")),
    (50, "money", include_str!("../migrations/postgres/0050_money.sql")),
    (60, "erased", include_str!("../migrations/postgres/0060_erased.sql")),
    (70, "promises", include_str!("../migrations/postgres/0070_promises.sql")),
    (73, "cache", include_str!("../migrations/postgres/0073_cache.sql")),
    (74, "drills", include_str!("../migrations/postgres/0074_drills.sql")),
    (75, "sessions", include_str!("../migrations/postgres/0075_sessions.sql")),
    (82, "lease_digests", include_str!("../migrations/postgres/0082_lease_digests.sql")),
    (85, "own_batches", include_str!("../migrations/postgres/0085_own_batches.sql")),
];

impl Store {
    /// Connects to a PostgreSQL database by its address, `postgres://…`, and brings its schema up to date.
    pub async fn connect(address: &str) -> Result<Store, StoreError> {
        Store::connect_waiting(address, BUSY_TIMEOUT_MS).await
    }

    /// As [`Store::connect`], waiting up to `busy_timeout_ms` for a connection and for locks of other instances.
    pub async fn connect_waiting(address: &str, busy_timeout_ms: u64) -> Result<Store, StoreError> {
        let options = PgConnectOptions::from_str(address)?
            .application_name("freehold")
            .options([("lock_timeout", format!("{busy_timeout_ms}ms"))]);
        let pool = pool(CONNECTIONS, busy_timeout_ms).connect_with(options).await?;
        migrator(MIGRATIONS).run(&pool).await?;
        let store = Store::of(Database::Postgres(pool));
        store.sum_what_came_before().await?;
        Ok(store)
    }

    /// The same database by connections of its own, which belong to the runtime that first uses them: what calls wait for
    /// does not wait for what runs below them. The embedded database has one writer, and stays as it is.
    #[must_use]
    pub fn apart(&self) -> Store {
        match self.postgres() {
            None => self.clone(),
            Some(shared) => {
                let options = PgConnectOptions::clone(&shared.connect_options());
                let apart = pool(CONNECTIONS_APART, BUSY_TIMEOUT_MS).connect_lazy_with(options);
                Store::of(Database::Postgres(apart)).of_instance(self.instance())
            }
        }
    }

    /// Drops the days whose every attempt was sent and whose every call ended before `before`. How many of each those were.
    pub(crate) async fn drop_days(&self, before: UnixMs, upto: Upto) -> Result<(u64, u64), StoreError> {
        let running = partition("attempts", before.0);
        let days: Vec<String> = query(DAYS).column(self.reader()).await?;
        let mut dropped = (0, 0);
        for day in days.iter().filter(|day| **day < running).filter_map(|day| day.strip_prefix("attempts_")) {
            let (attempts, calls) = self.drop_day(day, before, upto).await?;
            dropped = (dropped.0 + attempts, dropped.1 + calls);
        }
        Ok(dropped)
    }

    /// Drops a day, unless something of it is newer: an attempt of a session that began then, a call that ended later.
    async fn drop_day(&self, day: &str, before: UnixMs, upto: Upto) -> Result<(u64, u64), StoreError> {
        let mut transaction = self.begin_taking_over().await?;
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM attempts_{day}) AS attempts, (SELECT COUNT(*) FROM calls_{day}) AS calls
             WHERE NOT EXISTS (SELECT 1 FROM attempts_{day} WHERE at >= $1 OR seq > $2)
               AND NOT EXISTS (SELECT 1 FROM calls_{day} WHERE ended_at >= $1 OR seq > $3)"
        );
        let old = Statement::made(sql, vec![before.0.into(), upto.attempts.into(), upto.calls.into()])
            .fetch_optional(&mut transaction)
            .await?;
        let Some(counts) = old else { return Ok((0, 0)) };
        let link = crate::erased::begin(&mut transaction).await?;
        crate::prune::note_dropped(&mut transaction, day).await?;
        for table in BY_DAY {
            Statement::made(format!("DROP TABLE {table}_{day}"), Vec::new()).execute(&mut transaction).await?;
        }
        crate::erased::close(transaction, link).await?;
        Ok((counts.count("attempts")?, counts.count("calls")?))
    }
}

fn pool(connections: u32, busy_timeout_ms: u64) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_millis(busy_timeout_ms.max(1_000)))
}

/// Makes the partitions that rows of these calls go into. Asked each time, because another instance may have dropped one.
pub(crate) async fn make_days(
    transaction: &mut Transaction,
    calls: impl Iterator<Item = CallId>,
) -> Result<(), StoreError> {
    let mut days: Vec<i64> = calls.map(|call| start_of(call.minted_at(), DAY_MS)).collect();
    days.sort_unstable();
    days.dedup();
    for day in days {
        let there = query("SELECT to_regclass($1) IS NOT NULL").bind(partition("journal", day));
        if there.scalar(&mut *transaction).await? == Some(true) {
            continue;
        }
        // The name of the first call that could be made at a moment; attempts are named after their call.
        let bound = |at: i64| CallId::mint(UnixMs(at), 0);
        let (from, to) = (bound(day), bound(day + DAY_MS));
        for table in BY_DAY {
            let name = partition(table, day);
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{to}')"
            );
            Statement::made(sql, Vec::new()).execute(&mut *transaction).await?;
        }
    }
    Ok(())
}

/// The name of a day's partition, such as `attempts_20261121`.
fn partition(table: &str, day: i64) -> String {
    let date: String = UnixMs(day).to_string().chars().take_while(|c| *c != 'T').filter(char::is_ascii_digit).collect();
    format!("{table}_{date}")
}
