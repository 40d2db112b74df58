//! `fill = { … }` of a provider: what is one's own in the address that the catalog has for it, and which of its addresses that is.

use std::collections::BTreeMap;

use crate::catalog::CatalogProvider;
use crate::endpoint::{self, Endpoint, REGIONAL};
use crate::names::did_you_mean;
use crate::raw::{Entry, Table, Value};

/// The catalog's address that is meant, where it is one of the catalog's: that of a region, where one is named and the row has such
/// beside its own. And what fills its open places; every place that is not filled, and every value for none, is reported.
pub(crate) fn read<'d, 'c>(
    table: &Table<'d>,
    row: Option<&'c CatalogProvider>,
) -> (Option<&'c Endpoint>, BTreeMap<&'d str, &'d str>) {
    let given = table.free_table("fill");
    let names_region = given.iter().flat_map(Table::entries).any(|entry| REGIONAL.contains(&entry.name));
    let row = row.filter(|_| !table.has("base_url"));
    let form = row.and_then(|row| row.regional.as_ref().filter(|_| names_region).or(row.endpoint.as_ref()));
    let places: &[String] = form.map_or(&[], Endpoint::places);
    let mut filled = BTreeMap::new();
    for entry in given.iter().flat_map(Table::entries) {
        let problem = |reason: String, remedy: String| table.problems().error(&entry.place, reason, remedy);
        match entry.value {
            _ if places.is_empty() => problem(
                "there is no place to fill: no catalog row's address is used that leaves one open".to_owned(),
                "leave `fill` out, or leave `base_url` out".to_owned(),
            ),
            _ if !places.iter().any(|place| place == entry.name) => problem(
                format!("the address leaves no place `{}` open", entry.name),
                did_you_mean(entry.name, places.iter().map(String::as_str)),
            ),
            Value::String(value) if endpoint::fills(value) => {
                filled.insert(entry.name, &**value);
                known_region(table, row, entry, value);
            }
            Value::String(_) => problem(
                "cannot stand in an address".to_owned(),
                "write letters, digits, `-`, `_` and `.` only".to_owned(),
            ),
            _ => problem("is no text".to_owned(), "put the value in quotation marks".to_owned()),
        }
    }
    for place in places {
        if given.as_ref().is_none_or(|given| given.entries().iter().all(|entry| entry.name != place)) {
            let form = form.map_or("", Endpoint::form);
            table.missing(
                &format!("fill.{place}"),
                format!("write `fill = {{ {place} = \"…\" }}`; the address is {form}"),
            );
        }
    }
    (form, filled)
}

/// Warns of a region that the catalog has not heard of: a slip leads to no host, and a new one is there before a list has it.
fn known_region(table: &Table, row: Option<&CatalogProvider>, entry: &Entry, value: &str) {
    let Some(row) = row.filter(|row| !row.regions.is_empty() && REGIONAL.contains(&entry.name)) else { return };
    if row.regions.iter().any(|known| known == value) {
        return;
    }
    let reason = format!("the catalog knows no {} `{value}` of `{}` (as of {})", entry.name, row.name, row.as_of);
    let remedy = did_you_mean(value, row.regions.iter().map(String::as_str));
    table.problems().warn(&entry.place, reason, format!("{remedy}; a newer one works all the same"));
}
