//! Rows on their way into a table, many in one statement: a statement for each row costs a round trip to the connection's
//! thread or to the server, and JSON that SQLite unpacks costs more than all the rest.

use crate::open::StoreError;
use crate::sql::{Dialect, Statement, Transaction, Value};

/// Most rows in one statement. What is left goes in statements of half as many rows each, down to one, so that a handful
/// of statements per table is prepared, once each, whatever the sizes of batches.
const ROWS_AT_ONCE: usize = 64;

/// A table that takes rows.
pub(crate) struct Table {
    /// Its name and columns, as `INSERT INTO` wants them.
    pub into: &'static str,
    /// How many columns those are.
    pub columns: usize,
    /// The columns of which no two rows have the same.
    pub key: &'static str,
    /// What becomes of a second such row.
    pub again: Again,
}

/// What becomes of a row whose key is there already.
pub(crate) enum Again {
    /// It is passed over.
    Nothing,
    /// It changes the row that is there: what `DO UPDATE SET` says. No two rows of one insertion have the same key then.
    Update(&'static str),
}

/// Values row by row.
#[derive(Default)]
pub(crate) struct Rows(Vec<Value>);

impl Rows {
    /// The next value.
    pub fn text(&mut self, text: String) {
        self.0.push(Value::Text(Some(text)));
    }

    /// The next value: a word of ours.
    pub fn word(&mut self, word: &'static str) {
        self.0.push(Value::Word(word));
    }

    /// The next value.
    pub fn whole(&mut self, number: i64) {
        self.0.push(Value::Whole(Some(number)));
    }
}

impl Table {
    /// Inserts the rows, which are used up. Whether all of them were new.
    pub async fn insert(&self, transaction: &mut Transaction, rows: &mut Rows) -> Result<bool, StoreError> {
        let mut values = std::mem::take(&mut rows.0).into_iter();
        let mut left = values.len() / self.columns;
        let mut all_new = true;
        let mut at_once = ROWS_AT_ONCE;
        while left > 0 {
            while at_once > left {
                at_once /= 2;
            }
            let values = values.by_ref().take(at_once * self.columns).collect();
            let statement = Statement::made(self.sql(transaction.dialect(), at_once), values);
            all_new &= statement.execute(&mut *transaction).await? == at_once as u64;
            left -= at_once;
        }
        Ok(all_new)
    }

    /// The statement for so many rows; made of constants and placeholders alone. SQLite looks a named place up by walking
    /// over all of them, so it gets places without a name.
    fn sql(&self, dialect: Dialect, rows: usize) -> String {
        let mut sql = format!("INSERT INTO {} VALUES ", self.into);
        for place in 0..rows * self.columns {
            let (first, last) = (place % self.columns == 0, (place + 1) % self.columns == 0);
            sql.push_str(match (place, first) {
                (0, _) => "(",
                (_, true) => ",(",
                (_, false) => ",",
            });
            match dialect {
                Dialect::Sqlite => sql.push('?'),
                Dialect::Postgres => sql.push_str(&format!("${}", place + 1)),
            }
            if last {
                sql.push(')');
            }
        }
        sql.push_str(&format!(" ON CONFLICT ({}) DO ", self.key));
        match self.again {
            Again::Nothing => sql.push_str("NOTHING"),
            Again::Update(set) => sql.push_str(&format!("UPDATE SET {set}")),
        }
        sql
    }
}
