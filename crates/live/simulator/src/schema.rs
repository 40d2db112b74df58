//! The smallest value that fits a JSON Schema: what a model answers that was told to keep to one, and how it calls tools.

use serde_json::{Map, Value, json};

/// How deep references are followed before the value is left empty.
const DEEPEST: usize = 16;

/// The smallest instance of `schema`: required properties only, the first of every choice.
pub fn instance(schema: &Value) -> Value {
    build(schema, schema, 0)
}

fn build(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(target) =
        schema.get("$ref").and_then(Value::as_str).and_then(|pointer| root.pointer(pointer.strip_prefix('#')?))
    {
        return build(target, root, depth + 1);
    }
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|choices| choices.first()) {
        return first.clone();
    }
    for choices in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(choices).and_then(Value::as_array).and_then(|choices| choices.first()) {
            return build(first, root, depth + 1);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    };
    let least = |key: &str| schema.get(key).and_then(Value::as_u64).unwrap_or(0);
    match kind {
        "object" => object(schema, root, depth),
        "array" => {
            let item = schema.get("items").map_or(Value::Null, |items| build(items, root, depth + 1));
            Value::Array(vec![item; usize::try_from(least("minItems").min(64)).unwrap_or(0)])
        }
        "integer" => schema.get("minimum").filter(|value| value.is_i64()).cloned().unwrap_or(json!(12)),
        "number" => schema.get("minimum").cloned().unwrap_or(json!(12.5)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(text(schema, usize::try_from(least("minLength")).unwrap_or(0).min(4_096))),
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required: Vec<&str> = match schema.get("required").and_then(Value::as_array) {
        Some(required) => required.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let wanted = properties.iter().filter(|(name, _)| required.contains(&name.as_str()));
    Value::Object(wanted.map(|(name, property)| (name.clone(), build(property, root, depth + 1))).collect())
}

fn text(schema: &Value, least: usize) -> String {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-07-01",
        Some("date-time") => "2026-07-01T12:00:00Z",
        Some("email") => "someone@example.com",
        Some("uri") => "https://example.com",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => "Ulm",
    };
    format!("{text}{}", "m".repeat(least.saturating_sub(text.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_instance_has_what_is_required_and_no_more() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Graz", "Ulm"]},
                "days": {"type": "array", "items": {"$ref": "#/$defs/Day"}, "minItems": 1},
                "note": {"type": ["string", "null"]},
                "left_out": {"type": "string"},
                "either": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}
            },
            "required": ["city", "days", "note", "either"],
            "$defs": {"Day": {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]}}
        });
        let expected = json!({"city": "Graz", "days": [{"celsius": 12.5}], "note": "Ulm", "either": 3});
        assert_eq!(instance(&schema), expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert!(instance(&schema).is_object());
    }
}
