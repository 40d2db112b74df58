//! Rows as a Parquet file: texts, times and decimals, so that a column adds up in whatever reads it.

use std::io::Write;
use std::sync::Arc;

use ledger::focus::{Kind, SCALE, Value};
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

/// Digits of a decimal: as many as sixteen bytes hold.
const PRECISION: i32 = 38;
/// Bytes of a decimal.
const DECIMAL_BYTES: i32 = 16;

/// A file that is being written.
pub struct ParquetFile<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    kinds: Vec<Kind>,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file of these columns.
    pub fn begin(out: W, columns: &[(&str, Kind)]) -> Result<ParquetFile<W>, ParquetError> {
        let fields = columns.iter().map(|(name, kind)| field(name, *kind).map(Arc::new)).collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(WriterProperties::builder().build()))?;
        Ok(ParquetFile { writer, kinds: columns.iter().map(|(_, kind)| *kind).collect() })
    }

    /// Writes rows, as a group of their own: thousands at once keep the file small.
    pub fn write(&mut self, rows: &[Vec<Value>]) -> Result<(), ParquetError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (place, kind) in self.kinds.iter().enumerate() {
            let mut column = group.next_column()?.expect("there are as many columns as kinds");
            let values = rows.iter().map(|row| &row[place]);
            let present: Vec<i16> = values.clone().map(|value| i16::from(*value != Value::Null)).collect();
            match kind {
                Kind::Text => {
                    let texts = values.filter_map(|value| match value {
                        Value::Text(text) => Some(ByteArray::from(text.as_str())),
                        _ => None,
                    });
                    column.typed::<ByteArrayType>().write_batch(&texts.collect::<Vec<_>>(), Some(&present), None)?;
                }
                Kind::Decimal => {
                    let numbers = values.filter_map(|value| match value {
                        Value::Decimal(number) => Some(FixedLenByteArray::from(number.to_be_bytes().to_vec())),
                        _ => None,
                    });
                    let numbers: Vec<_> = numbers.collect();
                    column.typed::<FixedLenByteArrayType>().write_batch(&numbers, Some(&present), None)?;
                }
                Kind::Time => {
                    let times = values.filter_map(|value| match value {
                        Value::Time(at) => Some(at.0),
                        _ => None,
                    });
                    column.typed::<Int64Type>().write_batch(&times.collect::<Vec<_>>(), Some(&present), None)?;
                }
            }
            column.close()?;
        }
        group.close().map(drop)
    }

    /// Ends the file.
    pub fn end(self) -> Result<(), ParquetError> {
        self.writer.close().map(drop)
    }
}

fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let builder = |physical| Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    match kind {
        Kind::Text => builder(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String)).build(),
        Kind::Decimal => builder(Physical::FIXED_LEN_BYTE_ARRAY)
            .with_length(DECIMAL_BYTES)
            .with_precision(PRECISION)
            .with_scale(SCALE as i32)
            .with_logical_type(Some(LogicalType::decimal(SCALE as i32, PRECISION)))
            .build(),
        Kind::Time => {
            let time = LogicalType::timestamp(true, TimeUnit::MILLIS);
            builder(Physical::INT64).with_logical_type(Some(time)).build()
        }
    }
}
