//! Databases for tests: the same example runs on SQLite and on PostgreSQL.

use store::Store;
use testkit::postgres::Postgres;
use testkit::{ScratchDir, scratch_dir};

/// Which database.
#[derive(Clone, Copy)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A database that nobody has used yet.
pub enum World {
    Sqlite(ScratchDir),
    Postgres(String),
}

impl World {
    pub fn new(kind: Kind) -> World {
        match kind {
            Kind::Sqlite => World::Sqlite(scratch_dir("store")),
            Kind::Postgres => World::Postgres(Postgres::shared().database()),
        }
    }

    /// Another one of the same kind.
    pub fn another(&self) -> World {
        World::new(match self {
            World::Sqlite(_) => Kind::Sqlite,
            World::Postgres(_) => Kind::Postgres,
        })
    }

    /// Opens it, as each of several processes would.
    pub async fn open(&self) -> Store {
        self.open_waiting(store::open::BUSY_TIMEOUT_MS).await
    }

    pub async fn open_waiting(&self, busy_timeout_ms: u64) -> Store {
        let opened = match self {
            World::Sqlite(scratch) => Store::open_waiting(&scratch.path().join("freehold.db"), busy_timeout_ms).await,
            World::Postgres(address) => Store::connect_waiting(address, busy_timeout_ms).await,
        };
        opened.unwrap()
    }

    /// What lies on the disk, where that is ours to keep clean.
    pub fn files(&self) -> Vec<Vec<u8>> {
        let World::Sqlite(scratch) = self else { return Vec::new() };
        let entries = std::fs::read_dir(scratch.path()).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }
}

/// Makes two tests of each named example: one on SQLite, one on PostgreSQL.
macro_rules! on_both {
    ($($example:ident,)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $example() {
                super::$example(&$crate::world::World::new($crate::world::Kind::Sqlite)).await;
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $example() {
                super::$example(&$crate::world::World::new($crate::world::Kind::Postgres)).await;
            })*
        }
    };
}
pub(crate) use on_both;
