//! The columns of the charges, each with the versions that have it and what it says of a charge.

use domain::UnixMs;

use super::{Charge, HOUR_MS, Version, json, measure, seconds};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text, or JSON as text.
    Text,
    /// A decimal of twelve places.
    Decimal,
    /// A time, UTC.
    Time,
}

/// What a column says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// Text.
    Text(String),
    /// A decimal, in units of ten to the minus twelve.
    Decimal(i128),
    /// A time.
    Time(UnixMs),
}

impl Value {
    fn text(text: impl Into<String>) -> Value {
        let text = text.into();
        if text.is_empty() { Value::Null } else { Value::Text(text) }
    }

    /// As CSV has it; empty for nothing.
    pub fn to_csv(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Text(text) => text.clone(),
            Value::Decimal(value) => super::decimal(*value),
            Value::Time(at) => seconds(*at),
        }
    }
}

/// A column.
pub struct Column {
    /// Its name in the specification; `x_` before one of ours.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    of: Of,
    /// What it says of a charge.
    pub value: fn(&Charge) -> Value,
}

/// Which versions have it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Both,
    V1_2,
    V1_4,
}

/// The columns of a version, in order.
pub fn columns(version: Version) -> impl Iterator<Item = &'static Column> + Clone {
    COLUMNS.iter().filter(move |column| match column.of {
        Of::Both => true,
        Of::V1_2 => version == Version::V1_2,
        Of::V1_4 => version == Version::V1_4,
    })
}

const fn text(name: &'static str, value: fn(&Charge) -> Value) -> Column {
    Column { name, kind: Kind::Text, of: Of::Both, value }
}

const fn decimal(name: &'static str, value: fn(&Charge) -> Value) -> Column {
    Column { name, kind: Kind::Decimal, of: Of::Both, value }
}

const fn time(name: &'static str, value: fn(&Charge) -> Value) -> Column {
    Column { name, kind: Kind::Time, of: Of::Both, value }
}

const fn only(of: Of, column: Column) -> Column {
    Column { of, ..column }
}

fn nothing(_: &Charge) -> Value {
    Value::Null
}

fn provider(charge: &Charge) -> Value {
    Value::text(charge.cell.provider.as_str())
}

fn usd(_: &Charge) -> Value {
    Value::text("USD")
}

fn workflow(charge: &Charge) -> Value {
    Value::text(charge.cell.workflow.as_ref().map_or("", |name| name.as_str()))
}

fn region(charge: &Charge) -> Value {
    Value::text(charge.cell.region.as_str())
}

fn billed(charge: &Charge) -> Value {
    Value::Decimal(charge.billed())
}

/// At the price the contract leaves; of an adjustment, what was billed.
fn contracted_cost(charge: &Charge) -> Value {
    Value::Decimal(if charge.is_usage() { charge.at_price(charge.cell.price.0) } else { charge.billed() })
}

fn list_cost(charge: &Charge) -> Value {
    Value::Decimal(if charge.is_usage() { charge.at_price(charge.list_pico()) } else { charge.billed() })
}

fn of_usage(charge: &Charge, value: impl FnOnce(domain::Meter) -> Value) -> Value {
    charge.priced().filter(|_| charge.is_usage()).map_or(Value::Null, value)
}

fn contracted_price(charge: &Charge) -> Value {
    of_usage(charge, |meter| Value::Decimal(charge.unit_price(meter, charge.cell.price.0)))
}

fn list_price(charge: &Charge) -> Value {
    of_usage(charge, |meter| Value::Decimal(charge.unit_price(meter, charge.list_pico())))
}

/// The capacity that served a charge, or of which it is what nobody used, and which of the two.
fn reservation(charge: &Charge) -> Option<(&str, &'static str)> {
    let row = charge.cell.price_row.as_str();
    if charge.cell.cause.as_str() == "capacity" {
        let name = row.strip_prefix(super::CAPACITY)?;
        return Some((name.split(',').next().unwrap_or(name), "Unused"));
    }
    let (_, name) = row.split_once("#capacity-")?;
    Some((name.split('#').next().unwrap_or(name), "Used"))
}

fn capacity(charge: &Charge) -> Value {
    reservation(charge).map_or(Value::Null, |(name, _)| Value::text(format!("{}{name}", super::CAPACITY)))
}

/// What a charge draws from the commitments it counts towards, as JSON; nothing where there is none.
fn applied(charge: &Charge) -> Value {
    if charge.draws_from.is_empty() {
        return Value::Null;
    }
    let cost = super::decimal(charge.billed());
    let elements = charge.draws_from.iter().map(|commitment| {
        let (id, contract) = (json(&commitment.id()), json(&commitment.contract));
        format!("{{\"ContractCommitmentId\":{id},\"ContractId\":{contract},\"ContractCommitmentAppliedCost\":{cost}}}")
    });
    Value::Text(format!("{{\"Elements\":[{}]}}", elements.collect::<Vec<_>>().join(",")))
}

const COLUMNS: &[Column] = &[
    only(Of::V1_4, text("AllocatedMethodDetails", nothing)),
    only(Of::V1_4, text("AllocatedMethodId", nothing)),
    only(Of::V1_4, text("AllocatedResourceId", nothing)),
    only(Of::V1_4, text("AllocatedResourceName", nothing)),
    only(Of::V1_4, text("AllocatedTags", nothing)),
    text("AvailabilityZone", nothing),
    decimal("BilledCost", billed),
    text("BillingAccountId", provider),
    text("BillingAccountName", provider),
    text("BillingAccountType", |_| Value::text("Provider Account")),
    text("BillingCurrency", usd),
    time("BillingPeriodEnd", |charge| Value::Time(charge.billing_period().1)),
    time("BillingPeriodStart", |charge| Value::Time(charge.billing_period().0)),
    text("CapacityReservationId", capacity),
    text("CapacityReservationStatus", |charge| match reservation(charge) {
        Some((_, status)) if charge.is_usage() => Value::text(status),
        _ => Value::Null,
    }),
    text("ChargeCategory", |charge| Value::text(if charge.is_usage() { "Usage" } else { "Adjustment" })),
    text("ChargeClass", |charge| if charge.is_correction() { Value::text("Correction") } else { Value::Null }),
    text("ChargeDescription", |charge| Value::text(charge.description())),
    text("ChargeFrequency", |charge| Value::text(if charge.is_usage() { "Usage-Based" } else { "One-Time" })),
    time("ChargePeriodEnd", |charge| Value::Time(charge.hour + HOUR_MS)),
    time("ChargePeriodStart", |charge| Value::Time(charge.hour)),
    text("CommitmentDiscountCategory", nothing),
    text("CommitmentDiscountId", nothing),
    text("CommitmentDiscountName", nothing),
    decimal("CommitmentDiscountQuantity", nothing),
    text("CommitmentDiscountStatus", nothing),
    text("CommitmentDiscountType", nothing),
    text("CommitmentDiscountUnit", nothing),
    decimal("ConsumedQuantity", |charge| {
        of_usage(charge, |meter| Value::Decimal(charge.quantity(meter) * measure(meter).per_price))
    }),
    text("ConsumedUnit", |charge| of_usage(charge, |meter| Value::text(measure(meter).consumed_unit))),
    only(Of::V1_4, text("ContractApplied", applied)),
    decimal("ContractedCost", contracted_cost),
    decimal("ContractedUnitPrice", contracted_price),
    decimal("EffectiveCost", billed),
    only(Of::V1_4, text("HostProviderName", provider)),
    only(Of::V1_4, text("InvoiceDetailId", |charge| Value::text(charge.invoice_detail()))),
    text("InvoiceId", nothing),
    text("InvoiceIssuerName", provider),
    decimal("ListCost", list_cost),
    decimal("ListUnitPrice", list_price),
    text("PricingCategory", |charge| of_usage(charge, |_| Value::text("Standard"))),
    text("PricingCurrency", usd),
    decimal("PricingCurrencyContractedUnitPrice", contracted_price),
    decimal("PricingCurrencyEffectiveCost", billed),
    decimal("PricingCurrencyListUnitPrice", list_price),
    decimal("PricingQuantity", |charge| of_usage(charge, |meter| Value::Decimal(charge.quantity(meter)))),
    text("PricingUnit", |charge| of_usage(charge, |meter| Value::text(measure(meter).pricing_unit))),
    only(Of::V1_2, text("ProviderName", provider)),
    only(Of::V1_2, text("PublisherName", provider)),
    text("RegionId", region),
    text("RegionName", region),
    text("ResourceId", |charge| Value::text(format!("{}/{}", charge.cell.provider, charge.snapshot()))),
    text("ResourceName", |charge| Value::text(charge.snapshot())),
    text("ResourceType", |_| Value::text("Model")),
    text("ServiceCategory", |_| Value::text("AI and Machine Learning")),
    text("ServiceName", |charge| Value::text(format!("{} models", charge.cell.provider))),
    only(Of::V1_4, text("ServiceProviderName", provider)),
    text("ServiceSubcategory", |_| Value::text("Generative AI")),
    text("SkuId", |charge| of_usage(charge, |meter| Value::text(charge.sku(meter)))),
    text("SkuMeter", |charge| of_usage(charge, |meter| Value::text(meter.as_str()))),
    text("SkuPriceDetails", |charge| of_usage(charge, |meter| Value::text(charge.price_details(meter)))),
    text("SkuPriceId", |charge| of_usage(charge, |meter| Value::text(format!("{}/{meter}", charge.list_row())))),
    text("SubAccountId", workflow),
    text("SubAccountName", workflow),
    text("SubAccountType", |charge| match workflow(charge) {
        Value::Null => Value::Null,
        _ => Value::text("Workflow"),
    }),
    text("Tags", |charge| Value::text(charge.tags())),
    decimal("x_Attempts", |charge| Value::Decimal(i128::from(charge.attempts) * 10i128.pow(super::SCALE))),
    text("x_Basis", |charge| Value::text(charge.cell.basis.as_str())),
    text("x_Cause", |charge| Value::text(charge.cell.cause.as_str())),
    text("x_End", |charge| Value::text(charge.cell.end)),
    text("x_PriceRow", |charge| Value::text(charge.cell.price_row.as_str())),
];
