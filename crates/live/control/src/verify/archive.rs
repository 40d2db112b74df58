//! What retention put into Parquet files before it erased it, against what it noted of each erased day.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use domain::{CallEnd, Record, UnixMs};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use store::rollup::{DAY_MS, start_of};
use store::{Digest, Store, StoreError};

use super::{Findings, Read};

/// Rows looked up at once.
const AT_ONCE: usize = 500;

/// A row of the archive: its name, when it was sent or ended, and the fact.
struct Row {
    name: String,
    at: i64,
    fact: String,
}

/// By day: attempts, calls, and what they digest to.
type Days = BTreeMap<i64, (i64, i64, Digest)>;

pub(crate) async fn compare(
    store: &Store,
    folder: &Path,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<(), StoreError> {
    let (mut days, mut met) = (Days::new(), HashSet::new());
    for (path, is_call) in files(folder) {
        let rows = match rows(&path, is_call) {
            Ok(rows) => rows,
            Err(error) => {
                findings.add("archive_unreadable", format!("{}: {error}", path.display()));
                continue;
            }
        };
        for rows in rows.chunks(AT_ONCE) {
            let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
            // What is in the store still was written by a run that was killed before it erased it.
            let there = if is_call { store.ends_of(&names).await? } else { store.records_of(&names).await? };
            for row in rows.iter().filter(|row| !there.contains_key(&row.name)) {
                read.archived += 1;
                if met.insert(row.name.clone()) {
                    add(days.entry(start_of(UnixMs(row.at), DAY_MS)).or_default(), row, is_call);
                }
            }
        }
    }
    for day in store.erased_days().await? {
        let (attempts, calls, digest) = days.remove(&day.start.0).unwrap_or_default();
        if (attempts, calls, digest) != (day.attempts, day.calls, day.digest) {
            let example = format!(
                "{}: {} attempts and {} calls were erased, the archive has {attempts} and {calls}",
                day.start, day.attempts, day.calls
            );
            findings.add("archive_unlike_erased", example);
        }
    }
    for (start, (attempts, calls, _)) in days {
        let example =
            format!("{}: nothing was erased, the archive has {attempts} attempts and {calls} calls", UnixMs(start));
        findings.add("archive_unlike_erased", example);
    }
    Ok(())
}

fn add((attempts, calls, digest): &mut (i64, i64, Digest), row: &Row, is_call: bool) {
    if is_call {
        *calls += 1;
        digest.add_call(&row.fact);
    } else {
        *attempts += 1;
        digest.add_attempt(&row.fact);
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, bool)> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<(PathBuf, bool)> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "parquet"))
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let is_call = name.starts_with("calls-before-");
            (is_call || name.starts_with("attempts-before-")).then_some((path, is_call))
        })
        .collect();
    files.sort();
    files
}

fn rows(path: &Path, is_call: bool) -> Result<Vec<Row>, ParquetError> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let columns = if is_call { ["call", "ended_at", "call_end"] } else { ["attempt", "at", "record"] };
    let lacks = || ParquetError::General(format!("a row lacks one of {columns:?}"));
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None)? {
        let row = row?;
        let (mut name, mut at, mut fact, mut pico) = (None, None, None, None);
        for (column, field) in row.get_column_iter() {
            match field {
                Field::Str(text) if column == columns[0] => name = Some(text.clone()),
                Field::Str(text) if column == columns[2] => fact = Some(text.clone()),
                Field::TimestampMillis(ms) if column == columns[1] => at = Some(*ms),
                Field::Decimal(usd) if column == "cost_usd" => pico = wide(usd.data()),
                _ => {}
            }
        }
        match (name, at, fact) {
            (Some(name), Some(at), Some(fact)) if pico == booked_pico(&fact, is_call) => {
                rows.push(Row { name, at, fact })
            }
            (Some(name), Some(_), Some(_)) => {
                return Err(ParquetError::General(format!("the cost of {name} is not the one in its fact")));
            }
            _ => return Err(lacks()),
        }
    }
    Ok(rows)
}

/// What a fact booked, pico-dollars.
fn booked_pico(fact: &str, is_call: bool) -> Option<i128> {
    let booked = if is_call {
        serde_json::from_str::<CallEnd>(fact).ok()?.cost
    } else {
        serde_json::from_str::<Record>(fact).ok()?.cost.booked()
    };
    Some(i128::from(booked.0) * 1_000)
}

/// A number of at most sixteen bytes, the highest first.
fn wide(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let mut whole = if first >= 0x80 { [0xff; 16] } else { [0; 16] };
    whole[16usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}
