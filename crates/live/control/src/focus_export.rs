//! The books as FOCUS charges, a page at a time, as CSV or Parquet; and the check that what was handed out is what was booked.

use std::io::{self, Write};
use std::sync::Arc;

use config::Snapshot;
use domain::{NanoUsd, UnixMs};
use ledger::focus::invoices::{COMMITMENT_COLUMNS, INVOICE_COLUMNS, Invoices};
use ledger::focus::{Charge, Commitment, Kind, Value, Version, columns};
use parquet::errors::ParquetError;
use store::{Store, StoreError};
use thiserror::Error;

use crate::ledger_export::csv_line;
use crate::parquet_file::ParquetFile;

/// Charges read at once, and in one group of a Parquet file.
const PAGE_CHARGES: u32 = 10_000;

/// Which table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dataset {
    /// The charges, by hour and meter.
    CostAndUsage,
    /// What the invoices of each provider and month should say.
    InvoiceDetails,
    /// Commitments to providers.
    ContractCommitments,
}

/// In which form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// RFC 4180 with decimals of a fixed scale.
    Csv,
    /// Parquet with decimals of 38 digits, twelve of them behind the point.
    Parquet,
}

/// Why an export stopped.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The file could not be written as Parquet.
    #[error("the export cannot be written as Parquet: {0}")]
    Parquet(#[from] ParquetError),
}

/// What was handed out, against what was booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Handed {
    /// Rows.
    pub rows: u64,
    /// The sum of their billed costs, pico-dollars.
    pub pico_usd: i128,
    /// What the ledger booked in the same time.
    pub booked: NanoUsd,
}

impl Handed {
    /// Whether both are the same, to the nano-dollar.
    pub fn agrees(&self) -> bool {
        self.pico_usd == i128::from(self.booked.0) * 1_000
    }
}

/// What a configuration promises to spend, as charges draw from it.
pub fn commitments(snapshot: &Snapshot) -> Vec<Arc<Commitment>> {
    let promised = snapshot.contracts.iter().filter_map(|contract| {
        let (amount, provider) = (contract.commitment?, contract.provider.clone());
        let (contract, from, until) = (contract.name.clone(), contract.from, contract.until);
        Some(Arc::new(Commitment { contract, provider, from, until, amount }))
    });
    promised.collect()
}

/// Writes the charges of what was sent in `from..to`, both starts of a day. Each names those of `commitments` that it draws from.
pub async fn export<W: Write + Send>(
    store: &Store,
    (from, to): (UnixMs, UnixMs),
    version: Version,
    dataset: Dataset,
    commitments: &[Arc<Commitment>],
    form: Form,
    out: W,
) -> Result<Handed, ExportError> {
    let names: Vec<(&str, Kind)> = match dataset {
        Dataset::CostAndUsage => columns(version).map(|column| (column.name, column.kind)).collect(),
        Dataset::InvoiceDetails => INVOICE_COLUMNS.iter().map(|name| (*name, kind_of(name))).collect(),
        Dataset::ContractCommitments => COMMITMENT_COLUMNS.iter().map(|name| (*name, kind_of(name))).collect(),
    };
    let mut sheet = Sheet::begin(out, form, &names)?;
    let mut handed = Handed { booked: store.booked_between(from, to).await?, ..Handed::default() };
    let mut invoices = Invoices::default();
    let mut cursor = (i64::MIN, 0);
    loop {
        let page = store.meter_hours_after(cursor, from, to, PAGE_CHARGES).await?;
        let Some((last, _)) = page.last() else { break };
        cursor = *last;
        let charges = page.into_iter().map(|(_, sum)| Charge {
            hour: sum.start,
            cell: sum.cell,
            attempts: sum.attempts,
            units: sum.units,
            amount: sum.amount,
            draws_from: Vec::new(),
        });
        let mut rows = Vec::new();
        for mut charge in charges.filter(Charge::says_something) {
            let drawn = commitments.iter().filter(|commitment| commitment.is_drawn_by(&charge)).cloned();
            charge.draws_from = drawn.collect();
            handed.pico_usd += i128::from(charge.amount.0) * 1_000;
            match dataset {
                Dataset::CostAndUsage => rows.push(columns(version).map(|column| (column.value)(&charge)).collect()),
                Dataset::InvoiceDetails => invoices.add(&charge),
                Dataset::ContractCommitments => {}
            }
        }
        handed.rows += rows.len() as u64;
        sheet.write(&rows)?;
    }
    if dataset == Dataset::InvoiceDetails {
        let rows: Vec<Vec<Value>> = invoices.rows().collect();
        handed.rows = rows.len() as u64;
        sheet.write(&rows)?;
    }
    if dataset == Dataset::ContractCommitments {
        let rows: Vec<_> = commitments.iter().filter(|one| one.touches(from, to)).map(|one| one.row()).collect();
        handed.rows = rows.len() as u64;
        sheet.write(&rows)?;
    }
    sheet.end()?;
    Ok(handed)
}

/// What a column of the smaller tables holds, by its name.
fn kind_of(name: &str) -> Kind {
    match name {
        _ if name.ends_with("Cost") || name.ends_with("Quantity") => Kind::Decimal,
        _ if ["Start", "End", "Created", "Updated", "Date"].iter().any(|ending| name.ends_with(ending)) => Kind::Time,
        _ => Kind::Text,
    }
}

enum Sheet<W: Write + Send> {
    Csv(W),
    Parquet(Box<ParquetFile<W>>),
}

impl<W: Write + Send> Sheet<W> {
    fn begin(mut out: W, form: Form, columns: &[(&str, Kind)]) -> Result<Sheet<W>, ExportError> {
        match form {
            Form::Csv => {
                out.write_all(csv_line(columns.iter().map(|(name, _)| *name)).as_bytes())?;
                Ok(Sheet::Csv(out))
            }
            Form::Parquet => Ok(Sheet::Parquet(Box::new(ParquetFile::begin(out, columns)?))),
        }
    }

    fn write(&mut self, rows: &[Vec<Value>]) -> Result<(), ExportError> {
        match self {
            Sheet::Csv(out) => {
                for row in rows {
                    let fields: Vec<String> = row.iter().map(Value::to_csv).collect();
                    out.write_all(csv_line(fields.iter().map(String::as_str)).as_bytes())?;
                }
                Ok(())
            }
            Sheet::Parquet(file) => Ok(file.write(rows)?),
        }
    }

    fn end(self) -> Result<(), ExportError> {
        match self {
            Sheet::Csv(mut out) => Ok(out.flush()?),
            Sheet::Parquet(file) => Ok(file.end()?),
        }
    }
}
