//! The embedded database: one SQLite file in WAL mode, one connection that writes, a few that read.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::open::{BUSY_TIMEOUT_MS, Database, Migrations, Store, StoreError, migrator};

/// How long opening pauses before it tries again while another process has the file locked.
const OPEN_AGAIN: Duration = Duration::from_millis(20);
/// Connections that only read. Pages are few and quick; more would only compete with the calls for two cores.
const READERS: u32 = 4;

const MIGRATIONS: Migrations = &[
    (1, "ledger", include_str!("../migrations/sqlite/0001_ledger.sql")),
    (2, "access", include_str!("../migrations/sqlite/0002_access.sql")),
    (3, "kept", include_str!("../migrations/sqlite/0003_kept.sql")),
    (20, "budgets", include_str!("../migrations/sqlite/0020_budgets.sql")),
    (30, "instances", include_str!("../migrations/sqlite/0030_instances.sql")),
    (40, "books", include_str!("../migrations/sqlite/0040_books.sql")),
    (50, "money", include_str!("../migrations/sqlite/0050_money.sql")),
    (60, "erased", include_str!("../migrations/sqlite/0060_erased.sql")),
    (70, "promises", include_str!("../migrations/sqlite/0070_promises.sql")),
    (73, "cache", include_str!("../migrations/sqlite/0073_cache.sql")),
    (74, "drills", include_str!("../migrations/sqlite/0074_drills.sql")),
    (75, "sessions", include_str!("../migrations/sqlite/0075_sessions.sql")),
    (82, "lease_digests", include_str!("../migrations/sqlite/0082_lease_digests.sql")),
    (85, "own_batches", include_str!("../migrations/sqlite/0085_own_batches.sql")),
];

impl Store {
    /// Opens the database file, makes it when it is missing, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        Store::open_waiting(path, BUSY_TIMEOUT_MS).await
    }

    /// As [`Store::open`], waiting up to `busy_timeout_ms` for locks of other processes.
    ///
    /// SQLite's own waiting does not cover all of it: changing a new file to WAL, and a transaction that began by reading,
    /// fail at once where another process writes. So the whole of it is tried again.
    pub async fn open_waiting(path: &Path, busy_timeout_ms: u64) -> Result<Store, StoreError> {
        let give_up = Instant::now() + Duration::from_millis(busy_timeout_ms);
        loop {
            match try_open(path, busy_timeout_ms).await {
                Err(error) if error.is_locked() && Instant::now() < give_up => tokio::time::sleep(OPEN_AGAIN).await,
                done => return done,
            }
        }
    }
}

/// An empty database in memory, as migrations make it now.
pub(crate) async fn fresh() -> Result<SqlitePool, StoreError> {
    let fresh = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    migrate(&fresh).await?;
    Ok(fresh)
}

async fn try_open(path: &Path, busy_timeout_ms: u64) -> Result<Store, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit survives SIGKILL. Power loss may undo the last ones: `Store::make_durable` comes before anything
        // that was taken from the spool is deleted there.
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        // What is erased is overwritten, so that a pruned body is not found in the file.
        .pragma("secure_delete", "ON")
        // What a statement of many rows would undo stays in memory; in a file it is every page a second time.
        .pragma("temp_store", "MEMORY")
        .busy_timeout(Duration::from_millis(busy_timeout_ms));
    let pool = |connections: u32| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_millis(busy_timeout_ms.max(1_000)))
    };
    let write = pool(1).connect_with(options.clone()).await?;
    migrate(&write).await?;
    let read = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    let store = Store::of(Database::Sqlite { write, read });
    store.sum_what_came_before().await?;
    Ok(store)
}

/// Two processes that make the same file at the same moment meet here: the second finds the tables there when it gets
/// the lock, fails, and finds the migration noted when it looks again.
async fn migrate(write: &SqlitePool) -> Result<(), MigrateError> {
    let migrator = migrator(MIGRATIONS);
    let mut done = migrator.run(write).await;
    for _ in 0..MIGRATIONS.len() {
        if done.is_ok() {
            break;
        }
        done = migrator.run(write).await;
    }
    done
}
