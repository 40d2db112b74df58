//! FOCUS 1.4's other tables: what each provider's invoice of a month should say, line by line, and the contracts prices depend on.

use std::collections::BTreeMap;

use domain::UnixMs;

use super::columns::Value;
use super::{Charge, json};

/// Columns of the invoice details.
pub const INVOICE_COLUMNS: [&str; 22] = [
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "InvoiceDetailCreated",
    "InvoiceDetailDescription",
    "InvoiceDetailGrain",
    "InvoiceDetailId",
    "InvoiceDetailLastUpdated",
    "InvoiceId",
    "InvoiceIssueDate",
    "InvoiceIssueStatus",
    "InvoiceIssuerName",
    "PaymentCurrency",
    "PaymentCurrencyBilledCost",
    "PaymentCurrencyInvoiceDetailId",
    "PaymentDueDate",
    "PaymentTerms",
    "PurchaseOrderNumber",
    "ReferenceInvoiceId",
];

/// Columns of the contract commitments that 1.4 wants of everyone.
pub const COMMITMENT_COLUMNS: [&str; 13] = [
    "BillingCurrency",
    "ContractCommitmentCategory",
    "ContractCommitmentCost",
    "ContractCommitmentDescription",
    "ContractCommitmentId",
    "ContractCommitmentPeriodEnd",
    "ContractCommitmentPeriodStart",
    "ContractCommitmentQuantity",
    "ContractCommitmentType",
    "ContractCommitmentUnit",
    "ContractId",
    "ContractPeriodEnd",
    "ContractPeriodStart",
];

/// Adds charges up to the lines their providers' invoices should have.
#[derive(Default)]
pub struct Invoices {
    lines: BTreeMap<String, Line>,
}

struct Line {
    provider: String,
    model: String,
    meter: &'static str,
    category: &'static str,
    period: (UnixMs, UnixMs),
    first: UnixMs,
    last: UnixMs,
    billed: i128,
}

impl Invoices {
    /// With one charge more.
    pub fn add(&mut self, charge: &Charge) {
        let line = self.lines.entry(charge.invoice_detail()).or_insert_with(|| Line {
            provider: charge.cell.provider.to_string(),
            model: charge.snapshot().to_owned(),
            meter: charge.cell.meter.map_or("none", domain::Meter::as_str),
            category: if charge.is_usage() { "Usage" } else { "Adjustment" },
            period: charge.billing_period(),
            first: charge.hour,
            last: charge.hour,
            billed: 0,
        });
        line.billed += charge.billed();
        line.first = line.first.min(charge.hour);
        line.last = line.last.max(charge.hour);
    }

    /// The lines, in the order of [`INVOICE_COLUMNS`]. They are what should be billed: no invoice has been seen.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Value>> {
        self.lines.iter().map(|(id, line)| {
            let text = |text: &str| Value::Text(text.to_owned());
            let grain = format!(
                "{{\"ServiceName\":{},\"SkuMeter\":{},\"x_ModelId\":{}}}",
                json(&format!("{} models", line.provider)),
                json(line.meter),
                json(&line.model)
            );
            let description = format!("{} of {}", line.meter, line.model);
            vec![
                Value::Decimal(line.billed),
                text(&line.provider),
                text("USD"),
                Value::Time(line.period.1),
                Value::Time(line.period.0),
                text(line.category),
                Value::Time(line.first),
                text(&description),
                text(&grain),
                text(id),
                Value::Time(line.last + super::HOUR_MS),
                Value::Null,
                Value::Null,
                text("Open"),
                text(&line.provider),
                text("USD"),
                Value::Decimal(line.billed),
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
            ]
        })
    }
}
