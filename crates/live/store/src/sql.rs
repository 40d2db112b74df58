//! One statement for two databases: text with `$1`, `$2`, … and the values for them, run on SQLite or PostgreSQL.
//!
//! Both understand nearly everything that is asked here; where one does not, [`Dialect`] decides. Whole numbers are `BIGINT` on
//! both, a truth is a whole number, and sums are cast back to whole numbers, because PostgreSQL widens them.

use std::borrow::Cow;

use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Postgres, Row as _, Sqlite, Type};

/// Which database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Where a statement runs: any free connection, or the one of a transaction.
pub(crate) enum On<'c> {
    SqlitePool(&'c SqlitePool),
    PostgresPool(&'c PgPool),
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// A transaction. Dropped without [`Transaction::commit`], it changes nothing.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// A statement with its values.
pub(crate) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

/// A value for a statement.
pub(crate) enum Value {
    Text(Option<String>),
    Word(&'static str),
    Whole(Option<i64>),
    Bytes(Vec<u8>),
    /// Any of these; see [`Statement::push_among`].
    Texts(Vec<String>),
}

/// A row that was found.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A type both databases can give.
pub(crate) trait Column:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> Column for T where T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

/// A statement without values yet; every text is a literal of ours.
pub(crate) fn query(text: &'static str) -> Statement {
    Statement { text: Cow::Borrowed(text), values: Vec::new() }
}

impl Dialect {
    /// The one or the other.
    pub fn pick<T>(self, sqlite: T, postgres: T) -> T {
        match self {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        }
    }
}

impl Statement {
    /// A statement whose text was made of our literals and placeholders alone.
    pub fn made(text: String, values: Vec<Value>) -> Statement {
        Statement { text: Cow::Owned(text), values }
    }

    /// The next value.
    pub fn bind(mut self, value: impl Into<Value>) -> Statement {
        self.values.push(value.into());
        self
    }

    /// More text.
    pub fn push(&mut self, text: &'static str) -> &mut Statement {
        self.text.to_mut().push_str(text);
        self
    }

    /// A value, and the placeholder for it.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Statement {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.text.to_mut().push_str(&place);
        self
    }

    /// ` IN (…)`: whether what stands before is any of these.
    pub fn push_among(&mut self, dialect: Dialect, texts: Vec<String>) -> &mut Statement {
        self.values.push(Value::Texts(texts));
        let place = self.values.len();
        let among = dialect.pick(format!(" IN (SELECT value FROM json_each(${place}))"), format!(" = ANY (${place})"));
        self.text.to_mut().push_str(&among);
        self
    }

    /// Every row it finds.
    pub async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match on.into() {
            On::SqlitePool(pool) => self.sqlite().fetch_all(pool).await?.into_iter().map(Row::Sqlite).collect(),
            On::Sqlite(one) => self.sqlite().fetch_all(one).await?.into_iter().map(Row::Sqlite).collect(),
            On::PostgresPool(pool) => self.postgres().fetch_all(pool).await?.into_iter().map(Row::Postgres).collect(),
            On::Postgres(one) => self.postgres().fetch_all(one).await?.into_iter().map(Row::Postgres).collect(),
        })
    }

    /// The first row it finds.
    pub async fn fetch_optional(self, on: impl Into<On<'_>>) -> Result<Option<Row>, sqlx::Error> {
        Ok(match on.into() {
            On::SqlitePool(pool) => self.sqlite().fetch_optional(pool).await?.map(Row::Sqlite),
            On::Sqlite(one) => self.sqlite().fetch_optional(one).await?.map(Row::Sqlite),
            On::PostgresPool(pool) => self.postgres().fetch_optional(pool).await?.map(Row::Postgres),
            On::Postgres(one) => self.postgres().fetch_optional(one).await?.map(Row::Postgres),
        })
    }

    /// The first column of every row it finds.
    pub async fn column<T: Column>(self, on: impl Into<On<'_>>) -> Result<Vec<T>, sqlx::Error> {
        self.fetch_all(on).await?.iter().map(Row::first).collect()
    }

    /// The first column of the first row it finds.
    pub async fn scalar<T: Column>(self, on: impl Into<On<'_>>) -> Result<Option<T>, sqlx::Error> {
        self.fetch_optional(on).await?.as_ref().map(Row::first).transpose()
    }

    /// Runs it. How many rows it touched.
    pub async fn execute(self, on: impl Into<On<'_>>) -> Result<u64, sqlx::Error> {
        Ok(match on.into() {
            On::SqlitePool(pool) => self.sqlite().execute(pool).await?.rows_affected(),
            On::Sqlite(one) => self.sqlite().execute(one).await?.rows_affected(),
            On::PostgresPool(pool) => self.postgres().execute(pool).await?.rows_affected(),
            On::Postgres(one) => self.postgres().execute(one).await?.rows_affected(),
        })
    }

    fn sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Word(word) => query.bind(word),
            Value::Whole(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Texts(texts) => query.bind(serde_json::to_string(&texts).expect("a list of texts is JSON")),
        })
    }

    fn postgres(self) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text.map(without_nul)),
            Value::Word(word) => query.bind(word),
            Value::Whole(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Texts(texts) => query.bind(texts),
        })
    }
}

/// PostgreSQL's text holds no NUL. None of our names has one; what somebody asks for may, and then finds nothing.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

impl Row {
    /// A column by its name.
    pub fn get<T: Column>(&self, column: &str) -> Result<T, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// A count by its name; what is below zero is none.
    pub fn count(&self, column: &str) -> Result<u64, sqlx::Error> {
        Ok(self.get::<i64>(column)?.max(0).unsigned_abs())
    }

    fn first<T: Column>(&self) -> Result<T, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(0),
            Row::Postgres(row) => row.try_get(0),
        }
    }
}

impl Transaction {
    /// Which database it is one of.
    pub fn dialect(&self) -> Dialect {
        match self {
            Transaction::Sqlite(_) => Dialect::Sqlite,
            Transaction::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Makes it count.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Transaction::Sqlite(transaction) => transaction.commit().await,
            Transaction::Postgres(transaction) => transaction.commit().await,
        }
    }

    /// Undoes it now.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Transaction::Sqlite(transaction) => transaction.rollback().await,
            Transaction::Postgres(transaction) => transaction.rollback().await,
        }
    }
}

impl<'c> From<&'c mut Transaction> for On<'c> {
    fn from(transaction: &'c mut Transaction) -> On<'c> {
        match transaction {
            Transaction::Sqlite(transaction) => On::Sqlite(transaction),
            Transaction::Postgres(transaction) => On::Postgres(transaction),
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::Text(Some(text.clone()))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Whole(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        Value::Whole(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Whole(Some(i64::from(truth)))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(bytes)
    }
}
