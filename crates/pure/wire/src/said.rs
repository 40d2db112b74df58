//! What a request says, without what JSON leaves open: whether two requests are the same, and the last words of the user in one.
//!
//! Two requests are the same where their canonical texts are: members stand in the order of their names, there is no space
//! between them, and each string is escaped in one way. A number stays as it was written, since `0.20` and `0.2` may be told
//! apart by whoever reads them, and a field we do not know counts like any other.

use std::collections::BTreeMap;

use crate::cursor::{Bad, Cursor};
use crate::dialect::Dialect;

/// What a request says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said(Json);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Json {
    /// `null`, `true`, `false` or a number, as written.
    Scalar(String),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// Reads a request. `None`: it is no JSON, names a member twice, or has a string that is no text, so that two readers might
/// understand it differently.
pub fn said(body: &[u8]) -> Option<Said> {
    let mut cursor = Cursor::new(body);
    let json = value(&mut cursor).ok()?;
    cursor.finish().ok()?;
    Some(Said(json))
}

/// Depth is bounded by the cursor's own bound.
fn value(cursor: &mut Cursor<'_>) -> Result<Json, Bad> {
    const TWICE: &str = "a name stands twice in an object";
    const NO_TEXT: &str = "a string is no text";
    let at = cursor.position();
    match cursor.peek() {
        Some(b'{') => {
            let mut members = BTreeMap::new();
            cursor.object(|cursor, member| {
                let name = member.key.decode(cursor.bytes()).ok_or(Bad { what: NO_TEXT, at })?.into_owned();
                let said = value(cursor)?;
                match members.insert(name, said) {
                    None => Ok(()),
                    Some(_) => Err(Bad { what: TWICE, at }),
                }
            })?;
            Ok(Json::Object(members))
        }
        Some(b'[') => {
            let mut elements = Vec::new();
            cursor.array(|cursor| {
                elements.push(value(cursor)?);
                Ok(())
            })?;
            Ok(Json::List(elements))
        }
        Some(b'"') => {
            let text = cursor.string()?;
            let text = text.decode(cursor.bytes()).ok_or(Bad { what: NO_TEXT, at })?;
            Ok(Json::Text(text.into_owned()))
        }
        _ => {
            let span = cursor.value()?;
            Ok(Json::Scalar(String::from_utf8_lossy(&cursor.bytes()[span]).into_owned()))
        }
    }
}

impl Said {
    /// The one text of all requests that say the same.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.0.write(&mut out);
        out
    }

    /// Whether answers that differ from call to call are asked for: a temperature above zero. Who names none leaves it to the
    /// provider, and is taken to have no wish.
    pub fn asks_for_variety(&self, dialect: Dialect) -> bool {
        let settings = match dialect {
            Dialect::Gemini => self.0.member("generationConfig").or_else(|| self.0.member("generation_config")),
            Dialect::BedrockConverse => self.0.member("inferenceConfig"),
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Cohere => Some(&self.0),
        };
        match settings.and_then(|settings| settings.member("temperature")) {
            None => false,
            Some(Json::Scalar(number)) if number == "null" => false,
            Some(Json::Scalar(number)) => number.parse::<f64>().map_or(true, |temperature| temperature > 0.0),
            Some(_) => true,
        }
    }

    /// Whether the provider is asked by name to keep the answer.
    pub fn asks_to_be_kept(&self) -> bool {
        matches!(self.0.member("store"), Some(Json::Scalar(flag)) if flag == "true")
    }

    /// Takes the last words of the user out, where the request ends with them. What is left is their context: everything else that
    /// the request says.
    pub fn take_last_words(&mut self, dialect: Dialect) -> Option<String> {
        let (turns, content) = match dialect {
            Dialect::OpenAiResponses => ("input", "content"),
            Dialect::Gemini => ("contents", "parts"),
            Dialect::OpenAiChat | Dialect::Anthropic | Dialect::BedrockConverse | Dialect::Cohere => {
                ("messages", "content")
            }
        };
        let turns = self.0.member_mut(turns)?;
        if let Json::Text(_) = turns {
            return turns.take_text();
        }
        let Json::List(turns) = turns else { return None };
        let last = turns.last_mut()?;
        match last.member("role") {
            Some(Json::Text(role)) if role == "user" => {}
            // Google's dialect may leave the user's role out.
            None if dialect == Dialect::Gemini => {}
            _ => return None,
        }
        match last.member_mut(content)? {
            text @ Json::Text(_) => text.take_text(),
            Json::List(parts) => parts.iter_mut().rev().find_map(|part| part.member_mut("text")?.take_text()),
            _ => None,
        }
    }
}

impl Json {
    fn member(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.get(name),
            _ => None,
        }
    }

    fn member_mut(&mut self, name: &str) -> Option<&mut Json> {
        match self {
            Json::Object(members) => members.get_mut(name),
            _ => None,
        }
    }

    /// Leaves in its place what no text can be.
    fn take_text(&mut self) -> Option<String> {
        let Json::Text(text) = self else { return None };
        let text = std::mem::take(text);
        *self = Json::Scalar(String::new());
        Some(text)
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Scalar(written) => out.push_str(written),
            Json::Text(text) => quoted(text, out),
            Json::List(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    quoted(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a text can be written as JSON"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(body: &str) -> Option<String> {
        said(body.as_bytes()).map(|said| said.canonical())
    }

    #[test]
    fn spaces_order_and_escapes_say_nothing() {
        let one = r#"{"model":"w","messages":[{"role":"user","content":"h\u00e9 \/"}],"seed":1}"#;
        let other =
            "{ \"seed\" : 1,\n\"messages\": [ {\"content\":\"hé /\", \"role\":\"us\\u0065r\"} ], \"model\":\"w\" }";
        assert_eq!(canonical(one), canonical(other));
        assert!(canonical(one).is_some());
    }

    #[test]
    fn what_a_reader_could_tell_apart_is_not_the_same() {
        let bodies = [
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":18446744073709551617}"#,
            r#"{"a":null}"#,
            r#"{}"#,
        ];
        for (index, one) in bodies.iter().enumerate() {
            for other in &bodies[index + 1..] {
                assert_ne!(canonical(one), canonical(other));
            }
        }
    }

    #[test]
    fn what_two_readers_may_understand_differently_has_no_canonical_text() {
        for body in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"a":"\ud800"}"#, r#"{"a":"#, "{} {}"] {
            assert_eq!(canonical(body), None, "{body}");
        }
    }

    #[test]
    fn a_temperature_above_zero_asks_for_variety_wherever_a_dialect_has_it() {
        let asks = |dialect, body: &str| said(body.as_bytes()).unwrap().asks_for_variety(dialect);
        for dialect in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Cohere] {
            assert!(asks(dialect, r#"{"temperature":0.2}"#));
            assert!(asks(dialect, r#"{"temperature":"hot"}"#));
            for calm in [r#"{"temperature":0}"#, r#"{"temperature":0.0}"#, r#"{"temperature":null}"#, "{}"] {
                assert!(!asks(dialect, calm), "{dialect} {calm}");
            }
        }
        assert!(asks(Dialect::Gemini, r#"{"generationConfig":{"temperature":1}}"#));
        assert!(asks(Dialect::Gemini, r#"{"generation_config":{"temperature":1}}"#));
        assert!(!asks(Dialect::Gemini, r#"{"temperature":1}"#));
        assert!(asks(Dialect::BedrockConverse, r#"{"inferenceConfig":{"temperature":1}}"#));
    }

    #[test]
    fn the_last_words_of_the_user_are_taken_out_of_each_dialect() {
        let take = |dialect, body: &str| {
            let mut said = said(body.as_bytes()).unwrap();
            let words = said.take_last_words(dialect);
            (words, said.canonical())
        };
        let chat = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}]}"#;
        assert_eq!(take(Dialect::OpenAiChat, chat).0.as_deref(), Some("hi"));
        assert_eq!(take(Dialect::OpenAiChat, chat).1, take(Dialect::OpenAiChat, &chat.replace("hi", "ho")).1);
        assert_ne!(take(Dialect::OpenAiChat, chat).1, take(Dialect::OpenAiChat, &chat.replace("\"s\"", "\"t\"")).1);
        let parts = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}]}"#;
        assert_eq!(take(Dialect::Anthropic, parts).0.as_deref(), Some("b"));
        assert_eq!(take(Dialect::Cohere, parts).0.as_deref(), Some("b"));
        let converse = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
        assert_eq!(take(Dialect::BedrockConverse, converse).0.as_deref(), Some("hi"));
        let gemini = r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#;
        assert_eq!(take(Dialect::Gemini, gemini).0.as_deref(), Some("hi"));
        assert_eq!(take(Dialect::OpenAiResponses, r#"{"input":"hi"}"#).0.as_deref(), Some("hi"));
        let items = r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#;
        assert_eq!(take(Dialect::OpenAiResponses, items).0.as_deref(), Some("hi"));
        let answered = r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"I"}]}"#;
        assert_eq!(take(Dialect::OpenAiChat, answered).0, None, "the model goes on from its own words");
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".{0,6}", inner, 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_text_says_what_was_said_and_is_its_own(json in json()) {
            let spaced = serde_json::to_string_pretty(&json).unwrap();
            let text = canonical(&spaced).unwrap();
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&text).unwrap(), &json);
            prop_assert_eq!(canonical(&text).unwrap(), text);
        }
    }
}
