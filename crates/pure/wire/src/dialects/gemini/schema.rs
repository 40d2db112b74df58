//! Turns Google's own form of a schema, a subset of OpenAPI's, into JSON schema, which the other dialects take.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fields::is_spelled;
use crate::canonical::json::{Fields, Object, list, object, text};

/// How deep a schema is followed.
const MAX_SCHEMA_DEPTH: u32 = 100;

/// Fields of the form whose JSON schema counterpart has the same name in camel case.
const SAME: [&str; 17] = [
    "title",
    "description",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "required",
    "default",
    "additionalProperties",
    "propertyOrdering",
    "nullable",
];

/// The schema as JSON schema. One too deep to follow stays as it is.
pub(super) fn json_schema(schema: &RawValue) -> Cow<'_, RawValue> {
    let mut out = Vec::new();
    if !convert(schema, 0, &mut out) {
        return Cow::Borrowed(schema);
    }
    let text = String::from_utf8(out).expect("raw JSON is text");
    RawValue::from_string(text).map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// Appends the schema as JSON schema. False: it is too deep.
fn convert(schema: &RawValue, depth: u32, out: &mut Vec<u8>) -> bool {
    if depth > MAX_SCHEMA_DEPTH {
        return false;
    }
    let Some(fields) = Fields::read(schema.get(), "") else {
        out.extend_from_slice(schema.get().as_bytes());
        return true;
    };
    let of =
        |camel: &str| fields.members().find(|(name, _)| is_spelled(name.as_bytes(), camel)).map(|(_, value)| value);
    let nullable = of("nullable").is_some_and(|value| value.get() == "true");
    let order: Vec<_> =
        of("propertyOrdering").and_then(list).unwrap_or_default().into_iter().filter_map(text).collect();
    let mut holds = true;
    object(out, |written| {
        for (name, value) in fields.members() {
            match SAME.iter().find(|same| is_spelled(name.as_bytes(), same)) {
                Some(&"nullable" | &"propertyOrdering") => continue,
                Some(&"additionalProperties") => {
                    written.raw("additionalProperties", |out| holds &= convert(value, depth + 1, out));
                    continue;
                }
                // Numbers of 64 bits are written as strings in Google's JSON.
                Some(same) if same.starts_with("min") || same.starts_with("max") => {
                    match text(value).filter(|text| text.parse::<u64>().is_ok()) {
                        Some(number) => written.raw(same, |out| out.extend_from_slice(number.as_bytes())),
                        None => written.put(same, value),
                    }
                    continue;
                }
                Some(same) => {
                    written.put(same, value);
                    continue;
                }
                None => {}
            }
            match () {
                () if name == "type" => write_type(written, value, nullable),
                () if name == "properties" => {
                    written.raw(name, |out| holds &= properties(value, &order, depth + 1, out));
                }
                () if name == "items" => written.raw(name, |out| holds &= convert(value, depth + 1, out)),
                () if is_spelled(name.as_bytes(), "anyOf") => {
                    written.raw("anyOf", |out| holds &= each(value, depth + 1, out));
                }
                () if name == "enum" => written.raw(name, |out| choices(value, nullable, out)),
                () if name == "example" => written.raw("examples", |out| {
                    out.push(b'[');
                    out.extend_from_slice(value.get().as_bytes());
                    out.push(b']');
                }),
                () if name == "ref" => written.put("$ref", value),
                () if name == "defs" => written.raw("$defs", |out| holds &= properties(value, &[], depth + 1, out)),
                () => written.put(name, value),
            }
        }
    });
    holds
}

/// Types are named in capitals, and nothing is a type of its own.
fn write_type(written: &mut Object<'_>, value: &RawValue, nullable: bool) {
    match text(value).map(|word| word.to_ascii_lowercase()) {
        Some(word) if word == "type_unspecified" => {}
        Some(word) if nullable => written.put("type", &[word.as_str(), "null"]),
        Some(word) => written.put("type", &word),
        None => written.put("type", value),
    }
}

/// The schemas under names, in the order that was asked for; the rest follow as they stand.
fn properties(value: &RawValue, order: &[Cow<'_, str>], depth: u32, out: &mut Vec<u8>) -> bool {
    let Some(fields) = Fields::read(value.get(), "") else {
        out.extend_from_slice(value.get().as_bytes());
        return true;
    };
    let mut members: Vec<_> = fields.members().collect();
    members.sort_by_key(|(name, _)| order.iter().position(|wanted| wanted == name).unwrap_or(usize::MAX));
    let mut holds = true;
    object(out, |written| {
        for (name, schema) in members {
            written.raw(name, |out| holds &= convert(schema, depth, out));
        }
    });
    holds
}

fn each(value: &RawValue, depth: u32, out: &mut Vec<u8>) -> bool {
    let Some(items) = list(value) else { return convert(value, depth, out) };
    let mut holds = true;
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        holds &= convert(item, depth, out);
    }
    out.push(b']');
    holds
}

fn choices(value: &RawValue, nullable: bool, out: &mut Vec<u8>) {
    let json = value.get().trim_end();
    match json.strip_suffix(']').filter(|_| nullable && list(value).is_some_and(|items| !items.is_empty())) {
        Some(open) => {
            out.extend_from_slice(open.as_bytes());
            out.extend_from_slice(b",null]");
        }
        None => out.extend_from_slice(json.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(schema: &str) -> String {
        json_schema(&RawValue::from_string(schema.to_owned()).unwrap()).get().to_owned()
    }

    #[test]
    fn googles_form_becomes_json_schema() {
        for (google, json) in [
            (r#"{"type":"STRING","nullable":true}"#, r#"{"type":["string","null"]}"#),
            (r#"{"type":"STRING","enum":["a"],"nullable":true}"#, r#"{"type":["string","null"],"enum":["a",null]}"#),
            (
                r#"{"type":"ARRAY","min_items":"1","items":{"type":"INTEGER"}}"#,
                r#"{"type":"array","minItems":1,"items":{"type":"integer"}}"#,
            ),
            (
                r#"{"type":"OBJECT","properties":{"a":{"type":"NUMBER"},"type":{"any_of":[{"type":"BOOLEAN"}]}},"property_ordering":["type","a"],"required":["a"]}"#,
                r#"{"type":"object","properties":{"type":{"anyOf":[{"type":"boolean"}]},"a":{"type":"number"}},"required":["a"]}"#,
            ),
            (
                r#"{"type":"object","additionalProperties":false,"example":1}"#,
                r#"{"type":"object","additionalProperties":false,"examples":[1]}"#,
            ),
        ] {
            assert_eq!(converted(google), json);
        }
    }

    #[test]
    fn a_schema_too_deep_stays_as_it_is() {
        let deep = format!("{}{{}}{}", r#"{"items":"#.repeat(105), "}".repeat(105));
        assert_eq!(converted(&deep), deep);
    }
}
