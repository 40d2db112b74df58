//! History priced anew: what the books would say by another price list, at the prices of each attempt's own day, and the
//! corrections that make them say so. What was booked before stays as it is.

use std::collections::{BTreeMap, HashMap};

use config::{Catalog, Snapshot};
use domain::{AttemptId, CallId, CostLine, Entry, NanoUsd, Record, UnixMs};
use ledger::reprice::{Books, Change, Repriced, Why, correction, reprice};
use ledger::{PriceBook, PriceRow};
use serde::Serialize;
use store::{AuditLine, Store, StoreError};

use crate::ledger_export::Pages;

/// Corrections booked in one transaction.
const AT_ONCE: usize = 500;

/// Where prices are found: a catalog, and the configuration that says which model is which and what its contract leaves.
pub struct ListBooks {
    catalog: Catalog,
    configured: Option<Snapshot>,
    /// Rows by their ids, however old and whether or not they were known then.
    rows: HashMap<String, PriceRow>,
}

impl ListBooks {
    /// The books of a catalog. `every` are rows by which history may have been priced.
    pub fn new<'r>(
        catalog: Catalog,
        configured: Option<Snapshot>,
        every: impl IntoIterator<Item = &'r PriceRow>,
    ) -> ListBooks {
        let rows = every.into_iter().map(|row| (row.id.clone(), row.clone())).collect();
        ListBooks { catalog, configured, rows }
    }

    /// The configured model at a provider with a vendor's id.
    fn at_provider(&self, record: &Record, upstream: &str) -> Option<&PriceBook> {
        let models = &self.configured.as_ref()?.models;
        let here = models.iter().find(|one| one.provider.name == record.intent.provider && one.upstream == upstream);
        here?.prices.as_ref()
    }

    fn of_id(&self, record: &Record, id: &str) -> Option<&PriceBook> {
        let (provider, model) = id.split_once('/')?;
        let model = model.rsplit_once('@').map_or(model, |(model, _)| model);
        if provider == "freehold.toml" {
            let models = &self.configured.as_ref()?.models;
            return models.iter().find(|one| one.name.as_str() == model)?.prices.as_ref();
        }
        self.at_provider(record, model).or_else(|| self.catalog.model(provider, model)?.prices.as_ref())
    }
}

impl Books for ListBooks {
    fn of_record(&self, record: &Record) -> Option<&PriceBook> {
        let models = self.configured.iter().flat_map(|snapshot| &snapshot.models);
        let named =
            models.into_iter().find(|one| one.name == record.intent.model && one.upstream == record.upstream_model);
        if let Some(named) = named {
            return named.prices.as_ref();
        }
        let (domain::Cost::Priced { lines, .. } | domain::Cost::Unpriced { lines, .. }) = &record.cost else {
            return None;
        };
        // What a contract leaves of a price only the configuration knows.
        if lines.iter().any(|line| line.price_row.contains("#contract-")) {
            return None;
        }
        let by_line = lines.first().and_then(|line| self.of_id(record, ledger::reprice::row_id(&line.price_row)));
        by_line.or_else(|| self.catalog.model(record.intent.provider.as_str(), &record.upstream_model)?.prices.as_ref())
    }

    fn of_line(&self, record: &Record, row: &str) -> Option<&PriceBook> {
        self.of_id(record, row)
    }

    fn row(&self, id: &str) -> Option<&PriceRow> {
        self.rows.get(id)
    }
}

/// What priced anew differs from what is booked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// By workflow, model and price row: what lines of the row were booked, and what they would be now. A row that another takes the
    /// place of has nothing left.
    pub differences: Vec<RowDifference>,
    /// Attempts looked at.
    pub attempts: u64,
    /// Attempts that cost something else now.
    pub changed: u64,
    /// What the changed ones were booked, corrections made before included.
    #[serde(rename = "booked_nano_usd")]
    pub booked: NanoUsd,
    /// What they cost by the list.
    #[serde(rename = "repriced_nano_usd")]
    pub repriced: NanoUsd,
    /// Attempts that could not be priced anew, by the reason.
    pub left: BTreeMap<&'static str, u64>,
    /// Corrections that were booked.
    pub corrections: u64,
}

/// One row of the report.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct RowDifference {
    /// The workflow; empty for direct calls.
    pub workflow: String,
    /// The model.
    pub model: String,
    /// The price row, with what moved its price.
    pub price_row: String,
    /// What its lines were booked.
    #[serde(rename = "booked_nano_usd")]
    pub booked: NanoUsd,
    /// What they cost by the list.
    #[serde(rename = "repriced_nano_usd")]
    pub repriced: NanoUsd,
}

impl RowDifference {
    /// By how much it changes.
    pub fn change(&self) -> NanoUsd {
        self.repriced - self.booked
    }
}

/// Prices the attempts sent in `from..to` anew. With `book`, which says why in a sentence, every difference is booked as a
/// correction; doing so twice books nothing twice.
pub async fn run(
    store: &Store,
    books: &ListBooks,
    (from, to): (UnixMs, UnixMs),
    book: Option<&str>,
    now: UnixMs,
) -> Result<Report, StoreError> {
    let mut corrected: HashMap<AttemptId, Vec<Record>> = HashMap::new();
    for record in store.corrections(from, to).await? {
        if let Some(of) = record.corrects {
            corrected.entry(of).or_default().push(record);
        }
    }
    let mut report = Report::default();
    let mut groups: BTreeMap<(String, String, String), RowDifference> = BTreeMap::new();
    let mut waiting: Vec<(Record, Vec<CostLine>)> = Vec::new();
    let mut pages = Pages::new(store, from, to);
    while let Some(records) = pages.next().await? {
        for record in records {
            if record.corrects.is_some() {
                continue;
            }
            report.attempts += 1;
            let before = corrected.get(&record.intent.attempt).map_or(&[][..], Vec::as_slice);
            match reprice(&record, before, books) {
                Repriced::Same => {}
                // Most calls of tools cost what their server's configuration says; that is no news.
                Repriced::Left(Why::NotPriced) => {}
                Repriced::Left(why) => *report.left.entry(why.as_str()).or_default() += 1,
                Repriced::Changed(change) => {
                    report.add(&record, &change, &mut groups);
                    if book.is_some() {
                        waiting.push((record, change.lines));
                    }
                }
            }
        }
        if let Some(why) = book.filter(|_| waiting.len() >= AT_ONCE) {
            report.corrections += book_all(store, std::mem::take(&mut waiting), why, now).await?;
        }
    }
    if let Some(why) = book {
        report.corrections += book_all(store, waiting, why, now).await?;
        if report.corrections > 0 {
            let detail = format!("{} corrections: {why}", report.corrections);
            let line = AuditLine { at: now, who: "command line".into(), what: "ledger.reprice".into(), detail };
            store.audit(&line).await?;
        }
    }
    report.differences = groups.into_values().collect();
    report.differences.sort_by_key(|row| std::cmp::Reverse(row.change().0.saturating_abs()));
    Ok(report)
}

impl Report {
    fn add(
        &mut self,
        record: &Record,
        change: &Change,
        groups: &mut BTreeMap<(String, String, String), RowDifference>,
    ) {
        self.changed += 1;
        let workflow = record.intent.workflow.as_ref().map(ToString::to_string).unwrap_or_default();
        let model = record.intent.model.to_string();
        let mut group = |row: &str, booked: NanoUsd, repriced: NanoUsd| {
            let key = (workflow.clone(), model.clone(), row.to_owned());
            let group = groups.entry(key).or_insert_with(|| RowDifference {
                workflow: workflow.clone(),
                model: model.clone(),
                price_row: row.to_owned(),
                ..RowDifference::default()
            });
            group.booked += booked;
            group.repriced += repriced;
        };
        for line in &change.booked {
            group(&line.price_row, line.amount, NanoUsd::ZERO);
            self.booked += line.amount;
        }
        for line in &change.now {
            group(&line.price_row, NanoUsd::ZERO, line.amount);
            self.repriced += line.amount;
        }
    }
}

/// Books corrections under the next free names of their calls.
async fn book_all(
    store: &Store,
    changes: Vec<(Record, Vec<CostLine>)>,
    why: &str,
    now: UnixMs,
) -> Result<u64, StoreError> {
    let mut next: HashMap<CallId, u16> = HashMap::new();
    let mut entries = Vec::with_capacity(changes.len());
    for (record, lines) in changes {
        let call = record.intent.attempt.call;
        let number = match next.get(&call) {
            Some(number) => *number,
            None => made(store, call, now).await?,
        };
        next.insert(call, number.saturating_add(1));
        entries.push(Entry::Record(Box::new(correction(&record, number, lines, why, now))));
    }
    if entries.is_empty() {
        return Ok(0);
    }
    // What another process has booked meanwhile has the same name, and is passed over.
    Ok(store.record(entries).await?.fresh.len() as u64)
}

/// How many corrections of a call there are.
async fn made(store: &Store, call: CallId, now: UnixMs) -> Result<u16, StoreError> {
    let known = store.call(call, now).await?;
    let entries = known.iter().flat_map(|known| &known.entries);
    let made = entries.filter(|entry| matches!(entry, Entry::Record(record) if record.corrects.is_some())).count();
    Ok(u16::try_from(made).unwrap_or(u16::MAX))
}
