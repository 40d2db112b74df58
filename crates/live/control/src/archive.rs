//! Records as Parquet before they leave the store: each row with its columns and the whole fact as JSON, so that nothing is lost.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use domain::UnixMs;
use ledger::focus::{Kind, Value};
use parquet::errors::ParquetError;
use store::{RawAttempt, RawCall, Store, StoreError, Upto};
use thiserror::Error;

use crate::parquet_file::ParquetFile;

/// Rows read at once, and in one group of a file.
const PAGE_ROWS: u32 = 5_000;

/// Why records could not be put away; they stay in the store then.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file could not be written as Parquet.
    #[error("the archive cannot be written as Parquet: {0}")]
    Parquet(#[from] ParquetError),
}

/// Writes every attempt sent and every call ended before `before` into files of `folder`, and says up to which rows that was.
/// Where there is nothing to write, there is no file.
pub async fn archive(store: &Store, folder: &Path, before: UnixMs) -> Result<Upto, ArchiveError> {
    let books = store.books().await?;
    let upto = Upto {
        attempts: books.attempts_upto.max(books.attempts_before),
        calls: books.calls_upto.max(books.calls_before),
    };
    fs::create_dir_all(folder).map_err(|error| ArchiveError::Write { path: folder.to_owned(), error })?;
    let mut attempts = Pile::new(folder, "attempts", before, &ATTEMPTS);
    let mut cursor = (i64::MIN, 0);
    loop {
        let page = store.old_attempts_after(cursor, before, upto.attempts, PAGE_ROWS).await?;
        let Some(last) = page.last() else { break };
        cursor = (last.at, last.seq);
        attempts.write(page.into_iter().map(attempt_row).collect())?;
    }
    attempts.close()?;
    let mut calls = Pile::new(folder, "calls", before, &CALLS);
    let mut cursor = (i64::MIN, 0);
    loop {
        let page = store.old_calls_after(cursor, before, upto.calls, PAGE_ROWS).await?;
        let Some(last) = page.last() else { break };
        cursor = (last.ended_at, last.seq);
        calls.write(page.into_iter().map(call_row).collect())?;
    }
    calls.close()?;
    Ok(upto)
}

const ATTEMPTS: [(&str, Kind); 13] = [
    ("attempt", Kind::Text),
    ("at", Kind::Time),
    ("workflow", Kind::Text),
    ("lane", Kind::Text),
    ("model", Kind::Text),
    ("provider", Kind::Text),
    ("key", Kind::Text),
    ("cause", Kind::Text),
    ("end_kind", Kind::Text),
    ("cost_kind", Kind::Text),
    ("cost_usd", Kind::Decimal),
    ("usage", Kind::Text),
    ("record", Kind::Text),
];

const CALLS: [(&str, Kind); 9] = [
    ("call", Kind::Text),
    ("ended_at", Kind::Time),
    ("workflow", Kind::Text),
    ("lane", Kind::Text),
    ("model", Kind::Text),
    ("key", Kind::Text),
    ("failed", Kind::Decimal),
    ("cost_usd", Kind::Decimal),
    ("call_end", Kind::Text),
];

/// Nano-dollars as a decimal of twelve places.
fn usd(nano: i64) -> Value {
    Value::Decimal(i128::from(nano) * 1_000)
}

fn attempt_row(row: RawAttempt) -> Vec<Value> {
    let mut values = vec![Value::Text(row.attempt), Value::Time(UnixMs(row.at))];
    values.extend(row.words.into_iter().map(Value::Text));
    values.extend([usd(row.cost_nano), Value::Text(row.usage), Value::Text(row.record)]);
    values
}

fn call_row(row: RawCall) -> Vec<Value> {
    let mut values = vec![Value::Text(row.call), Value::Time(UnixMs(row.ended_at))];
    values.extend(row.words.into_iter().map(Value::Text));
    values.extend([
        Value::Decimal(i128::from(row.failed) * 1_000_000_000_000),
        usd(row.cost_nano),
        Value::Text(row.call_end),
    ]);
    values
}

/// A file on its way: named when it is whole, so that a name stands for a whole file.
struct Pile<'a> {
    folder: &'a Path,
    name: String,
    columns: &'static [(&'static str, Kind)],
    open: Option<(PathBuf, ParquetFile<BufWriter<File>>)>,
}

impl<'a> Pile<'a> {
    fn new(folder: &'a Path, what: &str, before: UnixMs, columns: &'static [(&'static str, Kind)]) -> Pile<'a> {
        let name = format!("{what}-before-{}", &before.to_string()[..10]);
        Pile { folder, name, columns, open: None }
    }

    fn write(&mut self, rows: Vec<Vec<Value>>) -> Result<(), ArchiveError> {
        if self.open.is_none() {
            let path = self.folder.join(format!("{}.part", self.name));
            let file = File::create(&path).map_err(|error| ArchiveError::Write { path: path.clone(), error })?;
            self.open = Some((path, ParquetFile::begin(BufWriter::new(file), self.columns)?));
        }
        let (_, file) = self.open.as_mut().expect("it was just opened");
        Ok(file.write(&rows)?)
    }

    /// On the disk before anything is erased. A name that is taken is of a run that was killed while it erased: both are kept.
    fn close(self) -> Result<(), ArchiveError> {
        let Some((part, file)) = self.open else { return Ok(()) };
        file.end()?;
        let failed = |error| ArchiveError::Write { path: part.clone(), error };
        File::open(&part).and_then(|file| file.sync_all()).map_err(failed)?;
        let names = std::iter::once(format!("{}.parquet", self.name))
            .chain((2..).map(|number| format!("{}-{number}.parquet", self.name)));
        let name = names.into_iter().find(|name| !self.folder.join(name).exists()).expect("numbers do not end");
        fs::rename(&part, self.folder.join(name)).map_err(failed)?;
        File::open(self.folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}
