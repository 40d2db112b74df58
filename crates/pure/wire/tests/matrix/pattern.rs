//! Where a thing is looked for in JSON: `/a/*/b = 1`, with ` | ` between pointers that may hold it and ` || ` between whole
//! alternatives; `~` for a part of a text, `?` for anything.

use serde_json::Value;

/// Whether what `pattern` looks for is in any of `values`. Texts of several values count together, as those of a stream do.
pub fn is_in(pattern: &str, values: &[Value]) -> bool {
    pattern.split(" || ").any(|alternative| holds(alternative, values))
}

fn holds(alternative: &str, values: &[Value]) -> bool {
    let (pointers, test, wanted) = match alternative.strip_suffix(" ?") {
        Some(pointers) => (pointers, '?', Value::Null),
        None => {
            let at = alternative.find(" = ").or_else(|| alternative.find(" ~ "));
            let at = at.unwrap_or_else(|| panic!("`{alternative}` says not what is looked for"));
            let test = if alternative[at..].starts_with(" = ") { '=' } else { '~' };
            let wanted =
                serde_json::from_str(&alternative[at + 3..]).unwrap_or_else(|error| panic!("{alternative}: {error}"));
            (&alternative[..at], test, wanted)
        }
    };
    pointers.split(" | ").any(|pointer| {
        let mut found = Vec::new();
        for value in values {
            at(value, &pointer.split('/').skip(1).collect::<Vec<_>>(), &mut found);
        }
        let together: String = found.iter().filter_map(|value| value.as_str()).collect();
        match (test, &wanted) {
            ('?', _) => found.iter().any(|value| !value.is_null()),
            ('=', Value::String(text)) => together == *text || found.contains(&&wanted),
            ('=', _) => found.iter().any(|value| same(value, &wanted)),
            (_, Value::String(text)) => !found.is_empty() && together.contains(text.as_str()),
            _ => panic!("`{alternative}`: only of a text a part can be looked for"),
        }
    })
}

/// Numbers are the same however they are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn at<'v>(value: &'v Value, steps: &[&str], found: &mut Vec<&'v Value>) {
    let Some((step, rest)) = steps.split_first() else { return found.push(value) };
    match value {
        Value::Array(items) if *step == "*" => items.iter().for_each(|item| at(item, rest, found)),
        Value::Array(items) => {
            if let Some(item) = step.parse::<usize>().ok().and_then(|index| items.get(index)) {
                at(item, rest, found);
            }
        }
        Value::Object(members) => {
            if let Some(member) = members.get(*step) {
                at(member, rest, found);
            }
        }
        _ => {}
    }
}

#[test]
fn a_pattern_finds_what_is_there_and_nothing_else() {
    let value = serde_json::json!({"a": [{"b": "no"}, {"b": "rth"}], "n": 2.0});
    let is = |pattern| is_in(pattern, std::slice::from_ref(&value));
    assert!(
        is(r#"/a/1/b = "rth""#) && is(r#"/a/*/b = "north""#) && is(r#"/a/*/b ~ "ort""#) && is("/n = 2") && is("/n ?")
    );
    assert!(is(r#"/x | /a/0/b = "no""#) && is(r#"/x ? || /n = 2"#));
    assert!(!is(r#"/a/1/b = "no""#) && !is("/x ?") && !is("/n = 3") && !is(r#"/x ~ """#));
}
