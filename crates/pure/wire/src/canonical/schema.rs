//! What can be asked of a schema before it is sent.

use serde_json::Value;
use serde_json::value::RawValue;

/// Whether OpenAI's strict mode takes the schema, in either of its dialects: every object closed, every property required
/// (structured outputs guide, "Supported schemas").
pub(crate) fn can_be_strict(schema: &RawValue) -> bool {
    fn holds(value: &Value) -> bool {
        match value {
            Value::Object(members) => {
                let is_object =
                    members.get("type").is_some_and(|kind| kind == "object") || members.contains_key("properties");
                let properties = members.get("properties").and_then(Value::as_object);
                let required = members.get("required").and_then(Value::as_array);
                let all_required = properties.is_none_or(|properties| {
                    properties.keys().all(|name| required.is_some_and(|list| list.iter().any(|item| item == name)))
                });
                let closed = members.get("additionalProperties") == Some(&Value::Bool(false));
                // A property may be called `properties`; what lies below is judged as a schema all the same.
                (!is_object || (closed && all_required)) && members.values().all(holds)
            }
            Value::Array(items) => items.iter().all(holds),
            _ => true,
        }
    }
    serde_json::from_str(schema.get()).is_ok_and(|schema: Value| holds(&schema))
}
