//! JSON as dialects are read and written here: members in order, values kept as the text they were, nothing re-made that
//! need not be.

use std::borrow::Cow;
use std::fmt;

use domain::Fault;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::losses::Losses;
use super::{Placed, malformed, refused};

/// The longest name of a field that is told by its name: what is kept of a stream has a bound.
const MAX_NAME_BYTES: usize = 128;

/// The members of one JSON object that no one has read yet, and where in the body it stands.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    at: String,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// The members of `json`, which stands at the pointer `at`. `None` when it is no object.
    pub(crate) fn read(json: &'a str, at: impl Into<String>) -> Option<Fields<'a>> {
        let members = serde_json::from_str::<Members<'a>>(json).ok()?;
        Some(Fields { at: at.into(), members: members.0 })
    }

    /// The members of what one event of a stream says.
    pub(crate) fn of_event(data: &'a [u8]) -> Result<Fields<'a>, Fault> {
        let text = std::str::from_utf8(data).map_err(|_| malformed("an event of the stream is not UTF-8"))?;
        Fields::read(text, "").ok_or_else(|| malformed("an event of the stream is no JSON object"))
    }

    /// The pointer of a member.
    pub(crate) fn at(&self, name: &str) -> String {
        member_pointer(&self.at, name)
    }

    /// Takes a member out. `null` is no value. Of a member that stands twice the last counts, as most readers have it.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let mut taken = None;
        self.members.retain(|(key, value)| {
            let is_it = key == name;
            if is_it {
                taken = Some(*value);
            }
            !is_it
        });
        taken.filter(|value| value.get() != "null")
    }

    /// Takes a member that is a string. Another kind of value stays, and so will be told as not understood.
    pub(crate) fn take_text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let value = text(self.peek(name)?)?;
        self.take(name);
        Some(value)
    }

    /// Takes a member out together with its pointer.
    pub(crate) fn take_placed(&mut self, name: &str) -> Option<Placed<&'a RawValue>> {
        self.take(name).map(|value| Placed { at: self.at(name), value })
    }

    /// A member that is read by `read`, and refused where it is something else.
    pub(crate) fn option<T>(
        &mut self,
        name: &str,
        read: impl Fn(&'a RawValue) -> Option<T>,
        must: &str,
    ) -> Result<Option<Placed<T>>, Fault> {
        let Some(placed) = self.take_placed(name) else { return Ok(None) };
        match read(placed.value) {
            Some(value) => Ok(Some(Placed { at: placed.at, value })),
            None => Err(refused(&placed.at, must)),
        }
    }

    /// The last member of this name, left where it is.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The members not taken, in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Tells every member that was not taken and says something. `reasons` knows why for the dialect's own fields.
    pub(crate) fn finish(self, losses: &mut Losses, reasons: &[(&str, &str)]) {
        for (name, value) in &self.members {
            if says_nothing(value) {
                continue;
            }
            if name.len() > MAX_NAME_BYTES {
                losses.dropped(&*self.at, "a field with an overlong name is not known to the translation");
                continue;
            }
            let reason = reasons.iter().find(|(known, _)| known == name).map(|(_, reason)| *reason);
            losses.dropped(member_pointer(&self.at, name), reason.unwrap_or("not known to the translation"));
        }
    }
}

/// A pointer one step deeper (RFC 6901).
pub(crate) fn member_pointer(at: &str, name: &str) -> String {
    let escaped: Cow<'_, str> = match name.contains(['~', '/']) {
        true => name.replace('~', "~0").replace('/', "~1").into(),
        false => name.into(),
    };
    format!("{at}/{escaped}")
}

/// A word of someone else's, cut so that a sentence with it stays one.
pub(crate) fn short(word: &str) -> String {
    word.chars().take(40).collect()
}

/// Whether leaving a value out loses nothing.
pub(crate) fn says_nothing(value: &RawValue) -> bool {
    let text = value.get();
    if text == "null" || text == "\"\"" {
        return true;
    }
    let inside = match text.as_bytes() {
        [b'[', inside @ .., b']'] | [b'{', inside @ .., b'}'] => inside,
        _ => return false,
    };
    inside.iter().all(u8::is_ascii_whitespace)
}

/// A JSON string's text; half surrogates become U+FFFD. `None` when the value is no string.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = value.get();
    let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    match serde_json::from_str::<String>(quoted) {
        Ok(text) => Some(Cow::Owned(text)),
        Err(_) => serde_json::from_str::<String>(&without_half_surrogates(quoted)).ok().map(Cow::Owned),
    }
}

/// The same JSON string with every escaped half of a surrogate pair replaced. What is left reads as a string.
fn without_half_surrogates(quoted: &str) -> String {
    let unit = |at: usize| {
        let escape = quoted.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(escape, 16).ok()
    };
    let (mut whole, mut at) = (String::with_capacity(quoted.len()), 0);
    while at < quoted.len() {
        let step = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str("\\ufffd");
                at += 6;
                continue;
            }
            (Some(_), _) => 6,
            // Another escape is taken whole, or its backslash could be read as the start of one.
            (None, _) if quoted[at..].starts_with('\\') => {
                1 + quoted[at + 1..].chars().next().map_or(0, char::len_utf8)
            }
            (None, _) => quoted[at..].chars().next().map_or(1, char::len_utf8),
        };
        whole.push_str(&quoted[at..at + step]);
        at += step;
    }
    whole
}

/// The values of a JSON array. `None` when the value is no array.
pub(crate) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A whole number that is not negative; one written as `64.0` too.
pub(crate) fn count(value: &RawValue) -> Option<u64> {
    let text = value.get();
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        // Below 2^53 the float is exact, and so is the cast.
        ((0.0..=9_007_199_254_740_992.0).contains(&float) && float.fract() == 0.0).then_some(float as u64)
    })
}

/// `true` or `false`.
pub(crate) fn flag(value: &RawValue) -> Option<bool> {
    match value.get() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether the value is a number.
pub(crate) fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Whether the value is an object.
pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key_seed(Name)? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Reads a key without copying it where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Writes one object: `fill` puts its members, in the order it likes.
pub(crate) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, first: true });
    out.push(b'}');
}

/// An object being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    /// Writes a member.
    pub(crate) fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        write(self.out, value);
    }

    /// Writes a member where there is a value.
    pub(crate) fn put_some<T: Serialize>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(name, &value);
        }
    }

    /// Writes a member whose JSON `fill` appends.
    pub(crate) fn raw(&mut self, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        fill(self.out);
    }

    /// Writes a member that is an object.
    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.out, fill);
    }

    /// Writes a member that is an array.
    pub(crate) fn list(&mut self, name: &str, fill: impl FnOnce(&mut List<'_>)) {
        self.name(name);
        self.out.push(b'[');
        fill(&mut List { out: self.out, first: true });
        self.out.push(b']');
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write(self.out, name);
        self.out.push(b':');
    }
}

/// An array being written.
pub(crate) struct List<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl List<'_> {
    /// Writes an element that is an object.
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        self.comma();
        object(self.out, fill);
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }
}

fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("strings, numbers and raw JSON have a JSON form");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn what_no_one_took_is_told_with_its_pointer() {
        let mut losses = Losses::default();
        let mut fields = Fields::read(r#"{"a":1,"b/~":2,"c":null,"d":[ ],"a":3,"e":false}"#, "/x").unwrap();
        assert_eq!(fields.take("a").map(RawValue::get), Some("3"));
        fields.finish(&mut losses, &[("e", "because")]);
        let list = losses.into_list();
        let told: Vec<_> = list.iter().map(|loss| (loss.pointer.as_str(), loss.reason.as_str())).collect();
        assert_eq!(told, [("/x/b~1~0", "not known to the translation"), ("/x/e", "because")]);
    }

    #[test]
    fn half_surrogates_become_replacement_characters() {
        for (json, expected) in [
            (r#""plain""#, "plain"),
            (r#""\ud83d\udc4b""#, "👋"),
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\udc4b\ud83d\n\\ud83d""#, "\u{fffd}\u{fffd}\n\\ud83d"),
        ] {
            assert_eq!(text(&raw(json)).unwrap(), expected, "{json}");
        }
        assert_eq!(text(&raw("7")), None);
    }

    #[test]
    fn whole_numbers_are_counts_however_written() {
        for (json, expected) in [("64", Some(64)), ("64.0", Some(64)), ("1e3", Some(1000)), ("-1", None), ("0.5", None)]
        {
            assert_eq!(count(&raw(json)), expected, "{json}");
        }
    }
}
