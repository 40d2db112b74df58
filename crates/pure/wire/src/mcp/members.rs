//! The members of a JSON object, one level deep, and no way to say one thing to us and another to the server behind us.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Name and value of each member, in order.
pub(super) struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'a> Members<'a> {
    /// Reads an object; nothing where the text is another value.
    pub fn of(text: &'a str) -> Option<Members<'a>> {
        serde_json::from_str(text).ok()
    }

    /// The value of this name, the first where there are several.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The text of this name, unescaped.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The first member that parsers understand differently: one of `names` written twice, or so that a parser which ignores
    /// case (Go's does, Unicode's `ſ` and Kelvin sign included) takes it for one of them.
    pub fn ambiguous(&self, names: &[&str]) -> Option<&str> {
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in &self.0 {
            let folded = folded(name);
            if !names.contains(&folded.as_str()) {
                continue;
            }
            if folded != *name || seen.contains(&name.as_str()) {
                return Some(name);
            }
            seen.push(name);
        }
        None
    }
}

/// A name as a parser that ignores case sees it. Of letters outside ASCII only two fold into it.
fn folded(name: &str) -> String {
    let fold = |letter: char| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    // The names compared with have capital letters in one place only, which their own folding takes care of.
    name.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_parsers_read_differently_is_found() {
        let found = |text| Members::of(text).unwrap().ambiguous(&["name", "params"]).map(str::to_owned);
        assert_eq!(found(r#"{"name":1,"other":2,"Other":3}"#), None);
        assert_eq!(found(r#"{"name":1,"name":2}"#).as_deref(), Some("name"));
        assert_eq!(found(r#"{"name":1,"n\u0061me":2}"#).as_deref(), Some("name"));
        assert_eq!(found(r#"{"Name":1}"#).as_deref(), Some("Name"));
        assert_eq!(found(r#"{"paramſ":1}"#).as_deref(), Some("paramſ"));
    }

    #[test]
    fn only_an_object_has_members() {
        for text in ["[]", "1", "{", "", "{} {}", "null"] {
            assert!(Members::of(text).is_none(), "{text}");
        }
    }
}
