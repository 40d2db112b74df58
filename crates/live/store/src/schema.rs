//! Whether the schema is as migrations make it: a key that is gone, or a trigger that was added, changes what is written unseen.

use std::collections::BTreeMap;

use crate::open::{Store, StoreError};
use crate::sql::{Dialect, On, query};

impl Store {
    /// What of the schema is not as migrations make it: a constraint, index or trigger that is gone or was added. In PostgreSQL
    /// keys and triggers are looked for by name.
    pub async fn schema_differences(&self) -> Result<Vec<String>, StoreError> {
        match self.dialect() {
            Dialect::Sqlite => sqlite(self).await,
            Dialect::Postgres => postgres(self).await,
        }
    }
}

async fn sqlite(store: &Store) -> Result<Vec<String>, StoreError> {
    let fresh = crate::sqlite::fresh().await?;
    let made = parts(On::SqlitePool(&fresh)).await?;
    fresh.close().await;
    let held = parts(store.reader()).await?;
    let mut differences = Vec::new();
    for (name, sql) in &made {
        match held.get(name) {
            None => differences.push(format!("{name} is gone")),
            Some(other) if other != sql => differences.push(format!("{name} was changed")),
            Some(_) => {}
        }
    }
    // An index of one's own is harmless; a trigger or a view is not.
    let added = held.keys().filter(|name| !made.contains_key(*name) && !name.starts_with("index "));
    differences.extend(added.map(|name| format!("{name} was added")));
    Ok(differences)
}

/// What a SQLite database is made of, by kind and name. What SQLite makes itself has no text, or is called after it; a text that was
/// written on other lines says the same.
async fn parts(on: On<'_>) -> Result<BTreeMap<String, String>, StoreError> {
    let sql = "SELECT type || ' ' || name AS name, sql FROM sqlite_master WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_'";
    let rows = query(sql).fetch_all(on).await?;
    let words = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    rows.iter().map(|row| Ok((row.get("name")?, words(row.get("sql")?)))).collect()
}

/// Tables whose primary key keeps a fact or a sum from standing there twice.
const KEYED: [&str; 13] = [
    "attempts",
    "journal",
    "calls",
    "intents",
    "captures",
    "spend",
    "traffic",
    "first_tokens",
    "segments",
    "cells",
    "meters",
    "batches",
    "erased",
];

/// Which keys and triggers are not there, and which triggers and rules there should not be.
async fn postgres(store: &Store) -> Result<Vec<String>, StoreError> {
    let keyed: Vec<String> = query(
        "SELECT c.conrelid::regclass::text FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid
         WHERE c.contype = 'p' AND i.indisvalid",
    )
    .column(store.reader())
    .await?;
    let gone = KEYED.iter().filter(|table| !keyed.iter().any(|keyed| keyed == *table));
    let mut differences: Vec<String> = gone.map(|table| format!("the primary key of {table} is gone")).collect();
    let triggers: Vec<String> = query(
        "SELECT tgrelid::regclass::text || ' ' || tgname::text FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'
         UNION SELECT ev_class::regclass::text || ' ' || rulename::text FROM pg_rewrite
         WHERE ev_class IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace)",
    )
    .column(store.reader())
    .await?;
    if !triggers.iter().any(|name| name == KEYS_TRIGGER) {
        differences.push(format!("trigger {KEYS_TRIGGER} is gone"));
    }
    let is_ours = |name: &str| {
        KEYED.iter().any(|table| {
            name == *table || ["attempts", "journal", "calls"].iter().any(|day| name.starts_with(&format!("{day}_")))
        })
    };
    let added = triggers.iter().filter(|name| name.split(' ').next().is_some_and(is_ours));
    differences.extend(added.map(|name| format!("trigger or rule {name} was added")));
    Ok(differences)
}

/// The one trigger there is: its table and name.
const KEYS_TRIGGER: &str = "keys keys_changed";
