//! Units and money by hour and by day, as reports and exports want them: by workflow, model, provider, region, cause, meter and
//! price row. A sum is a few integers; what it is of stands in `cells`, once.

use std::collections::BTreeMap;

use domain::{Cause, Meter, NanoUsd, PicoUsd, Record, UnixMs};
use ledger::cells::{Basis, Cell, summands};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;

use crate::open::{Store, StoreError, signed};
use crate::rollup::{DAY_MS, HOUR_MS, LARGEST_SUMMAND, start_of, text};
use crate::rows::{Again, Rows, Table};
use crate::sql::{Row, Transaction, query};

/// One sum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterSum {
    /// When its hour or day begins; of a sum over several, the start of the first asked for.
    pub start: UnixMs,
    /// What it is of.
    pub cell: Cell,
    /// Attempts whose first line it holds; sums of these count attempts.
    pub attempts: u64,
    /// Units of the meter.
    pub units: u64,
    /// What was booked.
    pub amount: NanoUsd,
}

/// Attempts, units, nano-dollars.
pub(crate) type Counts = (i64, i64, i64);

/// The sums of one batch, by hour.
#[derive(Default)]
pub(crate) struct MeterSums(FxHashMap<(i64, Cell), Counts>);

impl MeterSums {
    pub fn add_record(&mut self, record: &Record) {
        let hour = start_of(record.intent.at, HOUR_MS);
        for summand in summands(record) {
            let (attempts, units, amount) = self.0.entry((hour, summand.cell)).or_default();
            *attempts += i64::from(summand.attempts);
            *units = units.saturating_add(signed(summand.units).min(LARGEST_SUMMAND));
            *amount = amount.saturating_add(summand.amount.0.clamp(-LARGEST_SUMMAND, LARGEST_SUMMAND));
        }
    }

    /// By width, start and cell, once by the hour and once by the day.
    pub fn wide(&self) -> impl Iterator<Item = (i64, i64, &Cell, Counts)> {
        [HOUR_MS, DAY_MS].into_iter().flat_map(move |width| {
            let start = move |hour: i64| start_of(UnixMs(hour), width);
            self.0.iter().map(move |((hour, cell), counts)| (width, start(*hour), cell, *counts))
        })
    }
}

/// A row of `meters` on its way: width, start, cell, attempts, units, nano-dollars.
pub(crate) type Numbered = (i64, i64, i64, i64, i64, i64);

impl Store {
    /// The sums with the numbers of their cells. New cells are written at once, in a transaction of their own: one that nothing
    /// refers to after all does no harm.
    pub(crate) async fn numbered(&self, sums: &MeterSums) -> Result<Vec<Numbered>, StoreError> {
        let mut rows: BTreeMap<(i64, i64, i64), Counts> = BTreeMap::new();
        for (width, start, cell, counts) in sums.wide() {
            let number = match self.cells().get(cell) {
                Some(number) => number,
                None => self.number_of(cell).await?,
            };
            let row = rows.entry((width, start, number)).or_default();
            row.0 += counts.0;
            row.1 = row.1.saturating_add(counts.1);
            row.2 = row.2.saturating_add(counts.2);
        }
        Ok(rows.into_iter().map(|((width, start, cell), sum)| (width, start, cell, sum.0, sum.1, sum.2)).collect())
    }

    async fn number_of(&self, cell: &Cell) -> Result<i64, StoreError> {
        const INSERT: &str = "
            INSERT INTO cells (workflow, model, upstream_model, provider, region, cause, end_kind, meter, price_row,
                               price_pico, basis)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
        const FIND: &str = "
            SELECT cell FROM cells WHERE workflow = $1 AND model = $2 AND upstream_model = $3 AND provider = $4
                AND region = $5 AND cause = $6 AND end_kind = $7 AND meter = $8 AND price_row = $9 AND price_pico = $10
                AND basis = $11";
        for sql in [INSERT, FIND] {
            let row = query(sql)
                .bind(text(cell.workflow.as_ref()))
                .bind(cell.model.to_string())
                .bind(&cell.upstream_model)
                .bind(cell.provider.to_string())
                .bind(&cell.region)
                .bind(cell.cause.as_str())
                .bind(cell.end)
                .bind(cell.meter.map_or("", Meter::as_str))
                .bind(&cell.price_row)
                .bind(cell.price.0)
                .bind(cell.basis.as_str())
                .fetch_optional(self.writer())
                .await?;
            if let Some(row) = row {
                let number = row.get("cell")?;
                self.cells().keep(cell.clone(), number);
                return Ok(number);
            }
        }
        let reason = "it was written and is not there".to_owned();
        Err(StoreError::Unreadable { what: "a cell of the sums".to_owned(), reason })
    }

    /// Sums of everything sent in `from..to`, one per cell. Both are starts of a day, or of an hour; days are read from fewer rows.
    pub async fn meter_totals(&self, from: UnixMs, to: UnixMs) -> Result<Vec<MeterSum>, StoreError> {
        let whole_days = [from, to].iter().all(|at| at.0 == i64::MAX || at.0.rem_euclid(DAY_MS) == 0);
        let rows = query(
            "SELECT cells.*, sums.attempts, sums.units, sums.amount, CAST($2 AS BIGINT) AS start
             FROM (SELECT cell, CAST(SUM(attempts) AS BIGINT) AS attempts, CAST(SUM(units) AS BIGINT) AS units,
                          CAST(SUM(amount_nano) AS BIGINT) AS amount
                   FROM meters WHERE width_ms = $1 AND start >= $2 AND start < $3 GROUP BY cell) AS sums
             JOIN cells ON cells.cell = sums.cell",
        )
        .bind(if whole_days { DAY_MS } else { HOUR_MS })
        .bind(from.0)
        .bind(to.0)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(meter_sum).collect()
    }

    /// Sums by the hour of what was sent in `from..to`, in the order of hours and cells, after the row at `cursor`, each with its
    /// cursor. Asked again with the last cursor until nothing comes, it gives them all without holding them.
    pub async fn meter_hours_after(
        &self,
        cursor: (i64, i64),
        from: UnixMs,
        to: UnixMs,
        limit: u32,
    ) -> Result<Vec<((i64, i64), MeterSum)>, StoreError> {
        let rows = query(
            "SELECT cells.*, meters.attempts, meters.units, meters.amount_nano AS amount, meters.start
             FROM meters JOIN cells ON cells.cell = meters.cell
             WHERE meters.width_ms = $1 AND meters.start >= $2 AND meters.start < $3
               AND (meters.start > $4 OR (meters.start = $4 AND meters.cell > $5))
             ORDER BY meters.start, meters.cell LIMIT $6",
        )
        .bind(HOUR_MS)
        .bind(from.0.max(cursor.0))
        .bind(to.0)
        .bind(cursor.0)
        .bind(cursor.1)
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(|row| Ok(((row.get("start")?, row.get("cell")?), meter_sum(row)?))).collect()
    }
}

/// A sum stays at 9e18 instead of overflowing.
const METERS: Table = Table {
    into: "meters (width_ms, start, cell, attempts, units, amount_nano)",
    columns: 6,
    key: "width_ms, start, cell",
    again: Again::Update(
        "attempts = meters.attempts + excluded.attempts,
         units = CASE WHEN meters.units > 9000000000000000000 - excluded.units THEN 9000000000000000000
                      ELSE meters.units + excluded.units END,
         amount_nano = CASE WHEN excluded.amount_nano > 0
                             AND meters.amount_nano > 9000000000000000000 - excluded.amount_nano
                            THEN 9000000000000000000 ELSE meters.amount_nano + excluded.amount_nano END",
    ),
};

/// Adds rows to the sums there are.
pub(crate) async fn add(transaction: &mut Transaction, sums: &[Numbered]) -> Result<(), StoreError> {
    let mut rows = Rows::default();
    for (width, start, cell, attempts, units, amount) in sums {
        [width, start, cell, attempts, units, amount].into_iter().for_each(|number| rows.whole(*number));
    }
    METERS.insert(transaction, &mut rows).await.map(drop)
}

fn meter_sum(row: &Row) -> Result<MeterSum, StoreError> {
    let name = |column: &str| row.get::<String>(column);
    let (workflow, cause, end, meter, basis) =
        (name("workflow")?, name("cause")?, name("end_kind")?, name("meter")?, name("basis")?);
    let known = |what: &str, word: &str| StoreError::Unreadable {
        what: "a cell of the sums".to_owned(),
        reason: format!("`{word}` is no {what}"),
    };
    let count = |column: &str| Ok::<u64, sqlx::Error>(row.get::<i64>(column)?.max(0).unsigned_abs());
    let cell = Cell {
        workflow: (!workflow.is_empty()).then(|| workflow.as_str().into()),
        model: name("model")?.as_str().into(),
        upstream_model: name("upstream_model")?,
        provider: name("provider")?.as_str().into(),
        region: name("region")?,
        cause: cause_named(&cause).ok_or_else(|| known("cause", &cause))?,
        end: ["served", "failed", "cancelled", "indeterminate", ""]
            .into_iter()
            .find(|word| *word == end)
            .ok_or_else(|| known("end of an attempt", &end))?,
        meter: match meter.as_str() {
            "" => None,
            named => Some(Meter::from_name(named).ok_or_else(|| known("meter", &meter))?),
        },
        price_row: name("price_row")?,
        price: PicoUsd(row.get("price_pico")?),
        basis: Basis::ALL
            .into_iter()
            .find(|known| known.as_str() == basis)
            .ok_or_else(|| known("basis of an amount", &basis))?,
    };
    Ok(MeterSum {
        start: UnixMs(row.get("start")?),
        cell,
        attempts: count("attempts")?,
        units: count("units")?,
        amount: NanoUsd(row.get("amount")?),
    })
}

fn cause_named(name: &str) -> Option<Cause> {
    let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
    Cause::deserialize(name).ok()
}
