//! Renames the ids in what a provider tells of the things it keeps: an object, or a list of them.

use std::ops::Range;

use domain::{Fault, FaultClass};

use crate::cursor::{Bad, Cursor};
use crate::splice::Splice;

/// One object of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its `id`.
    pub id: String,
    /// Where it stands in the list's body.
    pub span: Range<usize>,
}

/// The body with other texts where `rename` gives one for the text of a field, at whatever depth it stands.
pub fn renamed(body: &[u8], mut rename: impl FnMut(&str, &str) -> Option<String>) -> Result<Vec<u8>, Fault> {
    let mut splice = Splice::new(body);
    let mut each = |field: &str, text: &str, span: Range<usize>| {
        if let Some(name) = rename(field, text) {
            splice.replace("id", span, serde_json::to_vec(&name).expect("a string has a JSON form"));
        }
    };
    read(body, &mut each)?;
    Ok(splice.apply().map_or_else(|| body.to_vec(), |(body, _)| body))
}

/// The texts that stand under these names at the top of an object, in the order of the names.
pub fn strings<const N: usize>(body: &[u8], names: [&str; N]) -> Result<[Option<String>; N], Fault> {
    let mut found = [const { None }; N];
    let mut cursor = Cursor::new(body);
    let read = cursor.object(|cursor, member| {
        let name = member.key.name(cursor.bytes());
        match names.iter().position(|known| known.as_bytes() == &*name) {
            None => cursor.skip(),
            Some(place) => {
                let text = cursor.string_or_skip()?;
                found[place] = text.and_then(|text| text.decode(cursor.bytes()).map(|text| text.into_owned()));
                Ok(())
            }
        }
    });
    read.and_then(|_| cursor.finish()).map_err(not_json)?;
    Ok(found)
}

/// An object with another text under this name at its top, where one stands there.
pub fn with_top(body: &[u8], name: &str, text: &str) -> Vec<u8> {
    let mut splice = Splice::new(body);
    let mut cursor = Cursor::new(body);
    // What is no JSON was refused before.
    let _ = cursor.object(|cursor, member| {
        let here = *member.key.name(cursor.bytes()) == *name.as_bytes();
        if let (true, Some(found)) = (here, cursor.string_or_skip()?) {
            splice.replace("model", found.quoted(), serde_json::to_vec(text).expect("a string has a JSON form"));
        }
        Ok(())
    });
    splice.apply().map_or_else(|| body.to_vec(), |(body, _)| body)
}

/// The objects of a list, and whether the provider has more.
pub fn items(body: &[u8]) -> Result<(Vec<Item>, bool), Fault> {
    let mut found = Vec::new();
    let mut more = false;
    let mut cursor = Cursor::new(body);
    let read = cursor.object(|cursor, member| {
        match &*member.key.name(body) {
            b"has_more" => more = &body[cursor.value()?] == b"true",
            b"data" if cursor.peek() == Some(b'[') => {
                cursor.array(|cursor| {
                    cursor.peek();
                    let start = cursor.position();
                    let mut id = None;
                    if cursor.peek() != Some(b'{') {
                        return cursor.skip();
                    }
                    cursor.object(|cursor, member| {
                        if &*member.key.name(body) != b"id" {
                            return cursor.skip();
                        }
                        id = cursor.string_or_skip()?.and_then(|text| text.decode(body).map(|text| text.into_owned()));
                        Ok(())
                    })?;
                    found.extend(id.map(|id| Item { id, span: start..cursor.position() }));
                    Ok(())
                })?;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    });
    read.and_then(|_| cursor.finish()).map_err(not_json)?;
    Ok((found, more))
}

fn read(body: &[u8], each: &mut dyn FnMut(&str, &str, Range<usize>)) -> Result<(), Fault> {
    std::str::from_utf8(body).map_err(|_| Fault::new(FaultClass::Malformed, "the answer is not UTF-8"))?;
    let mut cursor = Cursor::new(body);
    walk(&mut cursor, "", each).and_then(|()| cursor.finish()).map_err(not_json)
}

fn walk(cursor: &mut Cursor<'_>, field: &str, each: &mut dyn FnMut(&str, &str, Range<usize>)) -> Result<(), Bad> {
    match cursor.peek() {
        Some(b'{') => {
            cursor.object(|cursor, member| {
                let field = member.key.name(cursor.bytes());
                walk(cursor, std::str::from_utf8(&field).unwrap_or_default(), each)
            })?;
        }
        Some(b'[') => {
            cursor.array(|cursor| walk(cursor, field, each))?;
        }
        Some(b'"') => {
            let text = cursor.string()?;
            if let Some(said) = text.decode(cursor.bytes()) {
                each(field, &said, text.quoted());
            }
        }
        _ => cursor.skip()?,
    }
    Ok(())
}

fn not_json(bad: Bad) -> Fault {
    let what = format!("the answer is not the JSON its dialect promises: {} (at byte {})", bad.what, bad.at);
    Fault::new(FaultClass::Malformed, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_renamed_changes() {
        let list =
            r#"{ "data":[ {"id":"file-1", "bytes":7},{"id" : "file-2"} ], "first_id":"file-1","has_more" : true}"#;
        let told = renamed(list.as_bytes(), |field, text| (field == "id").then(|| format!("{text}!"))).unwrap();
        let expected = list.replacen("file-1", "file-1!", 1).replace("file-2", "file-2!");
        assert_eq!(String::from_utf8(told).unwrap(), expected);
        let (found, more) = items(list.as_bytes()).unwrap();
        assert!(more);
        assert_eq!(found.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["file-1", "file-2"]);
        assert_eq!(&list[found[1].span.clone()], r#"{"id" : "file-2"}"#);
        assert_eq!(strings(list.as_bytes(), ["first_id", "last_id"]).unwrap(), [Some("file-1".into()), None::<String>]);
    }

    #[test]
    fn what_is_no_json_is_a_fault_of_the_providers() {
        for broken in [&b"<html>"[..], b"{\"id\":", b"{} x", b"\xff"] {
            assert_eq!(renamed(broken, |_, _| None).unwrap_err().class, FaultClass::Malformed);
        }
    }
}
