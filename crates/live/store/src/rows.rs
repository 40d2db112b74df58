//! Rows on their way into a table, many in one statement: a statement for each row costs a round trip to the connection's
//! thread, and JSON that SQLite unpacks costs more than all the rest.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use crate::open::StoreError;

/// Most rows in one statement. What is left goes in statements of half as many rows each, down to one, so that a handful
/// of statements per table is prepared, once each, whatever the sizes of batches.
const ROWS_AT_ONCE: usize = 64;

/// A table that takes rows.
pub(crate) struct Table {
    /// Its name and columns, as `INSERT INTO` wants them.
    pub into: &'static str,
    /// How many columns those are.
    pub columns: usize,
    /// The columns of which no two rows have the same; a second such row is passed over.
    pub key: &'static str,
}

/// Values row by row.
#[derive(Default)]
pub(crate) struct Rows(Vec<Value>);

enum Value {
    Text(String),
    Word(&'static str),
    Whole(i64),
}

impl Rows {
    /// The next value.
    pub fn text(&mut self, text: String) {
        self.0.push(Value::Text(text));
    }

    /// The next value: a word of ours.
    pub fn word(&mut self, word: &'static str) {
        self.0.push(Value::Word(word));
    }

    /// The next value.
    pub fn whole(&mut self, number: i64) {
        self.0.push(Value::Whole(number));
    }
}

impl Table {
    /// Inserts the rows, which are used up. Whether all of them were new.
    pub async fn insert(&self, connection: &mut SqliteConnection, rows: &mut Rows) -> Result<bool, StoreError> {
        let mut values = std::mem::take(&mut rows.0).into_iter();
        let mut left = values.len() / self.columns;
        let mut all_new = true;
        let mut at_once = ROWS_AT_ONCE;
        while left > 0 {
            while at_once > left {
                at_once /= 2;
            }
            let mut query = sqlx::query(AssertSqlSafe(self.sql(at_once)));
            for value in values.by_ref().take(at_once * self.columns) {
                query = bind(query, value);
            }
            all_new &= query.execute(&mut *connection).await?.rows_affected() == at_once as u64;
            left -= at_once;
        }
        Ok(all_new)
    }

    /// The statement for so many rows; made of constants and question marks alone.
    fn sql(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        let rows = vec![row.as_str(); rows].join(",");
        format!("INSERT INTO {} VALUES {rows} ON CONFLICT ({}) DO NOTHING", self.into, self.key)
    }
}

fn bind(query: Query<'_, Sqlite, SqliteArguments>, value: Value) -> Query<'_, Sqlite, SqliteArguments> {
    match value {
        Value::Text(text) => query.bind(text),
        Value::Word(word) => query.bind(word),
        Value::Whole(number) => query.bind(number),
    }
}
