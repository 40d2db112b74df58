//! What a provider speaks: one dialect, or several at the same address.

use wire::Dialect;

use crate::names::did_you_mean;
use crate::raw::Table;

/// `dialects`, or the one `dialect`.
pub(crate) fn dialects(table: &Table) -> Option<Vec<Dialect>> {
    let choices: Vec<(&str, Dialect)> = Dialect::ALL.iter().map(|dialect| (dialect.as_str(), *dialect)).collect();
    if !table.has("dialects") {
        return table.choice("dialect", &choices).map(|dialect| vec![dialect]);
    }
    if table.has("dialect") {
        let remedy = "leave `dialect` out, and put first in `dialects` what other clients are to be translated to";
        table.problems().error(&table.place_of("dialect"), "stands beside `dialects`", remedy);
    }
    let list = table.texts("dialects")?;
    if list.value.is_empty() {
        table.problems().error(&list.place, "names no dialect", "write a list such as `[\"openai-chat\"]`");
    }
    let mut dialects = Vec::new();
    for text in &list.value {
        match Dialect::from_name(text.value) {
            Some(dialect) if dialects.contains(&dialect) => {
                table.problems().error(&text.place, format!("`{dialect}` is there twice"), "leave one out");
            }
            Some(dialect) => dialects.push(dialect),
            None => {
                let remedy = did_you_mean(text.value, choices.iter().map(|(name, _)| *name));
                table.problems().error(&text.place, format!("`{}` is no dialect", text.value), remedy);
            }
        }
    }
    Some(dialects).filter(|dialects| !dialects.is_empty())
}
