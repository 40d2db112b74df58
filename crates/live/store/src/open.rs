//! The database: one SQLite file in WAL mode, one connection that writes, a few that read, and what can go wrong.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlSafeStr, Sqlite, Transaction};
use thiserror::Error;

/// How long a statement waits for another process's lock, milliseconds.
pub const BUSY_TIMEOUT_MS: u64 = 5_000;
/// How long opening pauses before it tries again while another process has the file locked.
const OPEN_AGAIN: Duration = Duration::from_millis(20);
/// Connections that only read. Pages are few and quick; more would only compete with the calls for two cores.
const READERS: u32 = 4;

/// The numbered migrations, in order. One that was released is never edited; a change is a new file.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "ledger", include_str!("../migrations/0001_ledger.sql")),
    (2, "access", include_str!("../migrations/0002_access.sql")),
    (3, "kept", include_str!("../migrations/0003_kept.sql")),
    (10, "money", include_str!("../migrations/0010_money.sql")),
];

/// The store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// One connection, so that writers of this process queue here and never meet `SQLITE_BUSY` among themselves.
    write: SqlitePool,
    read: SqlitePool,
}

/// Why the store could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is locked, missing, full or broken; the source says which. Trying again may help.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[from] sqlx::Error),
    /// The schema could not be brought up to date, or is newer than this program.
    #[error("the store's schema cannot be brought up to date: {0}; was it written by a newer version of Freehold?")]
    Schema(#[from] MigrateError),
    /// A row does not read back: written by a newer version, or damaged.
    #[error("{what} in the store cannot be read: {reason}; was it written by a newer version of Freehold?")]
    Unreadable {
        /// Which row.
        what: String,
        /// Why.
        reason: String,
    },
    /// Readers stood in the way of writing everything to the disk; trying again helps.
    #[error("the store is busy; it will be tried again")]
    Busy,
    /// The copy could not be made.
    #[error("cannot back up to {0}: the file exists already; name one that does not")]
    BackupExists(String),
}

impl StoreError {
    /// Whether another process's lock stood in the way (`SQLITE_BUSY`, `SQLITE_LOCKED`, plain or extended).
    fn is_locked(&self) -> bool {
        let database = match self {
            StoreError::Unavailable(error) | StoreError::Schema(MigrateError::Execute(error)) => {
                error.as_database_error()
            }
            StoreError::Schema(MigrateError::ExecuteMigration(error, _)) => error.as_database_error(),
            _ => None,
        };
        let code = database.and_then(|error| error.code()?.parse::<u32>().ok());
        code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
    }
}

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
            match Store::try_open(path, busy_timeout_ms).await {
                Err(error) if error.is_locked() && Instant::now() < give_up => tokio::time::sleep(OPEN_AGAIN).await,
                done => return done,
            }
        }
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
        Ok(Store { write, read })
    }

    /// Closes every connection; what was committed is on its way to the disk.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Forces everything committed onto the disk. False where a reader stood in the way; try again later.
    pub async fn make_durable(&self) -> Result<bool, StoreError> {
        let row = sqlx::query("PRAGMA wal_checkpoint(FULL)").fetch_one(&self.write).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }

    /// As [`Store::make_durable`], and empties the log, so that what was erased is not found there either.
    pub(crate) async fn empty_log(&self) -> Result<(), StoreError> {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.write).await?;
        Ok(())
    }

    /// Writes a consistent copy while the store is in use.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        if to.exists() {
            return Err(StoreError::BackupExists(to.display().to_string()));
        }
        sqlx::query("VACUUM INTO ?1").bind(to.to_string_lossy().into_owned()).execute(&self.write).await?;
        Ok(())
    }

    /// What SQLite finds wrong with the file; empty when it is sound.
    pub async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&self.read).await?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// Holds the write lock until the value is dropped: for trying out what happens when another process has it.
    pub async fn hold_write_lock(&self) -> Result<impl Sized + use<>, StoreError> {
        self.begin().await
    }

    /// A transaction that takes the write lock at once, so that it cannot fail half way for want of it.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.read
    }

    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.write
    }
}

/// Two processes that make the same file at the same moment meet here: the second finds the tables there when it gets
/// the lock, fails, and finds the migration noted when it looks again.
async fn migrate(write: &SqlitePool) -> Result<(), MigrateError> {
    let migrator = migrator();
    let mut done = migrator.run(write).await;
    for _ in 0..MIGRATIONS.len() {
        if done.is_ok() {
            break;
        }
        done = migrator.run(write).await;
    }
    done
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Reads a JSON column, naming the row when it does not read back.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { what: what.to_owned(), reason: error.to_string() })
}

/// Writes a JSON column.
pub(crate) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("facts are plain data with text keys")
}

/// SQLite's integers are signed; a count beyond them is as good as endless.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
