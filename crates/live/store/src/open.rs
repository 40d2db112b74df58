//! The database, embedded or shared, and what can go wrong with it: opening it is in `sqlite.rs` and `postgres.rs`.

use std::path::Path;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{Row, SqlSafeStr};
use thiserror::Error;

use crate::cells::Cells;
use crate::sql::{Dialect, On, Transaction, query};

/// How long a statement waits for another process's lock, milliseconds.
pub const BUSY_TIMEOUT_MS: u64 = 5_000;
/// Whoever takes facts over holds PostgreSQL's advisory lock of this number ("freehold" in ASCII) till the transaction
/// ends, so that rows get their numbers in the order in which they are seen, and no two writers wait for each other.
const WRITERS_LOCK: i64 = 0x6672_6565_686f_6c64;

/// The store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    cells: Cells,
    /// Whose facts it takes over; empty for commands and tests.
    instance: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// A file of this process.
    Sqlite {
        /// One connection, so that writers of this process queue here and never meet `SQLITE_BUSY` among themselves.
        write: SqlitePool,
        read: SqlitePool,
    },
    /// A server shared by instances.
    Postgres(PgPool),
}

/// Numbered migrations, in order. One that was released is never edited; a change is a new file.
pub(crate) type Migrations = &'static [(i64, &'static str, &'static str)];

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
    /// It took longer than there was time; trying again helps.
    #[error("the store is busy; it will be tried again")]
    Busy,
    /// The copy could not be made.
    #[error("cannot back up to {0}: the file exists already; name one that does not")]
    BackupExists(String),
    /// Another process has this instance's name.
    #[error("{0}")]
    Elsewhere(String),
    /// What was asked is for the embedded database only.
    #[error("{0}")]
    OtherTool(&'static str),
}

impl StoreError {
    /// Whether the database is away, starting, stopping or full of connections, so that trying again may help without anybody's
    /// doing: as opposed to a wrong password, a wrong name, a schema that is newer.
    pub fn is_away(&self) -> bool {
        let error = match self {
            StoreError::Unavailable(error) | StoreError::Schema(MigrateError::Execute(error)) => error,
            StoreError::Schema(MigrateError::ExecuteMigration(error, _)) => error,
            StoreError::Busy => return true,
            _ => return false,
        };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
            // Connection exceptions, insufficient resources, operator intervention: classes of PostgreSQL's own table.
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| ["08", "53", "57"].iter().any(|class| code.starts_with(class)))
            }
            _ => false,
        }
    }

    /// Whether another process's lock stood in the way (`SQLITE_BUSY`, `SQLITE_LOCKED`, plain or extended).
    pub(crate) fn is_locked(&self) -> bool {
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
    pub(crate) fn of(database: Database) -> Store {
        Store { database, cells: Cells::default(), instance: Arc::from("") }
    }

    /// The same store as this instance sees it: what it takes over is noted as this instance's, and of what was in flight it
    /// sees its own.
    #[must_use]
    pub fn of_instance(&self, instance: &str) -> Store {
        Store { instance: Arc::from(instance), ..self.clone() }
    }

    /// Whose facts it takes over; empty where nobody said.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// How the books name a segment of this instance: two instances may have segments of one name.
    pub fn name_in_books(&self, segment: &str) -> String {
        match self.instance() {
            "" => segment.to_owned(),
            instance => format!("{instance}/{segment}"),
        }
    }

    /// Whether several instances may write to it.
    pub fn is_shared(&self) -> bool {
        self.dialect() == Dialect::Postgres
    }

    /// Closes every connection; what was committed is on its way to the disk.
    pub async fn close(&self) {
        match &self.database {
            Database::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Database::Postgres(pool) => pool.close().await,
        }
    }

    /// The same store as it is at this moment, however much is written meanwhile; [`Store::let_go`] of it soon, for until then
    /// nothing that is erased or written anew leaves the disk.
    pub async fn frozen(&self) -> Result<Store, StoreError> {
        // The moment is that of the first reading in the one connection's one transaction.
        const FIRST: &str = "SELECT seq FROM books";
        let database = match &self.database {
            Database::Sqlite { write, read } => {
                let options = (*read.connect_options()).clone();
                let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
                let pool = pool.after_connect(|connection, _| {
                    Box::pin(async move {
                        sqlx::query("BEGIN").execute(&mut *connection).await?;
                        sqlx::query(FIRST).fetch_one(connection).await.map(drop)
                    })
                });
                Database::Sqlite { write: write.clone(), read: pool.connect_with(options).await? }
            }
            Database::Postgres(pool) => {
                let options = (*pool.connect_options()).clone();
                let pool = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
                let pool = pool.after_connect(|connection, _| {
                    Box::pin(async move {
                        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                            .execute(&mut *connection)
                            .await?;
                        sqlx::query(FIRST).fetch_one(connection).await.map(drop)
                    })
                });
                Database::Postgres(pool.connect_with(options).await?)
            }
        };
        Ok(Store { database, cells: self.cells.clone(), instance: self.instance.clone() })
    }

    /// Ends a frozen view.
    pub async fn let_go(self) {
        match self.database {
            Database::Sqlite { read, .. } => read.close().await,
            Database::Postgres(pool) => pool.close().await,
        }
    }

    /// Forces everything committed onto the disk. False where a reader stood in the way; try again later. PostgreSQL did
    /// so when it committed.
    pub async fn make_durable(&self) -> Result<bool, StoreError> {
        let Database::Sqlite { write, .. } = &self.database else { return Ok(true) };
        let row = sqlx::query("PRAGMA wal_checkpoint(FULL)").fetch_one(write).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }

    /// As [`Store::make_durable`], and empties SQLite's log, so that what was erased is not found there either.
    pub(crate) async fn empty_log(&self) -> Result<(), StoreError> {
        if let Database::Sqlite { write, .. } = &self.database {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(write).await?;
        }
        Ok(())
    }

    /// Writes a consistent copy of the embedded database while it is in use.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let Database::Sqlite { write, .. } = &self.database else {
            return Err(StoreError::OtherTool(
                "a PostgreSQL database is backed up with its own tools, such as `pg_dump`",
            ));
        };
        if to.exists() {
            return Err(StoreError::BackupExists(to.display().to_string()));
        }
        sqlx::query("VACUUM INTO ?1").bind(to.to_string_lossy().into_owned()).execute(write).await?;
        Ok(())
    }

    /// What SQLite finds wrong with the file; empty when it is sound, and for PostgreSQL, which looks after its own.
    pub async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let Database::Sqlite { read, .. } = &self.database else { return Ok(Vec::new()) };
        let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(read).await?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// Holds the write lock until the value is dropped: for trying out what happens when another process has it.
    pub async fn hold_write_lock(&self) -> Result<impl Sized + use<>, StoreError> {
        self.begin_taking_over().await
    }

    /// A transaction. SQLite's takes the write lock at once, so that it cannot fail half way for want of it.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match &self.database {
            Database::Sqlite { write, .. } => Transaction::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Database::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }

    /// A transaction beside which nobody takes facts over.
    pub(crate) async fn begin_taking_over(&self) -> Result<Transaction, StoreError> {
        let mut transaction = self.begin().await?;
        if self.dialect() == Dialect::Postgres {
            let lock = query("SELECT pg_advisory_xact_lock($1)").bind(WRITERS_LOCK);
            lock.execute(&mut transaction).await?;
        }
        Ok(transaction)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.database {
            Database::Sqlite { .. } => Dialect::Sqlite,
            Database::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) fn cells(&self) -> &Cells {
        &self.cells
    }

    pub(crate) fn postgres(&self) -> Option<&PgPool> {
        match &self.database {
            Database::Sqlite { .. } => None,
            Database::Postgres(pool) => Some(pool),
        }
    }

    pub(crate) fn reader(&self) -> On<'_> {
        match &self.database {
            Database::Sqlite { read, .. } => On::SqlitePool(read),
            Database::Postgres(pool) => On::PostgresPool(pool),
        }
    }

    pub(crate) fn writer(&self) -> On<'_> {
        match &self.database {
            Database::Sqlite { write, .. } => On::SqlitePool(write),
            Database::Postgres(pool) => On::PostgresPool(pool),
        }
    }
}

pub(crate) fn migrator(migrations: Migrations) -> Migrator {
    let migrations = migrations.iter().map(|(version, name, sql)| {
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

/// A database's integers are signed; a count beyond them is as good as endless.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
