//! Finds the ids of kept things in a request, by the names of the fields they stand in.

use std::ops::Range;

use memchr::memmem;

use super::{Kind, MARK};
use crate::cursor::{Bad, Cursor};
use crate::splice::Splice;

/// An id of ours in a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// What it names, by the field it stands in.
    pub kind: Kind,
    /// As the client wrote it, escapes resolved.
    pub id: String,
    span: Range<usize>,
}

/// Every id of ours in a body that was scanned, in order of place. Only what stands under a name that takes one counts: a text
/// that looks like an id stays a text.
pub fn references(body: &[u8]) -> Vec<Reference> {
    let mut found = Vec::new();
    if memmem::find(body, MARK.as_bytes()).is_some() {
        // What is no JSON was refused before.
        let _ = walk(&mut Cursor::new(body), None, &mut found);
    }
    found
}

/// The body with other names for its references, one for each.
pub fn with_names(body: &[u8], references: &[Reference], names: &[String]) -> Vec<u8> {
    let mut splice = Splice::new(body);
    for (reference, name) in references.iter().zip(names) {
        let name = serde_json::to_vec(name).expect("a string has a JSON form");
        splice.replace("id", reference.span.clone(), name);
    }
    splice.apply().map_or_else(|| body.to_vec(), |(body, _)| body)
}

/// What a field's text names.
pub(super) fn kind_under(field: &[u8]) -> Option<Kind> {
    match field {
        b"previous_response_id" => Some(Kind::Answer),
        b"file_id" | b"file_ids" | b"input_file_id" => Some(Kind::File),
        // What a model is made from, in jobs of fine-tuning that are passed on.
        b"training_file" | b"validation_file" => Some(Kind::File),
        _ => None,
    }
}

fn walk(cursor: &mut Cursor<'_>, kind: Option<Kind>, found: &mut Vec<Reference>) -> Result<(), Bad> {
    match cursor.peek() {
        Some(b'{') => {
            cursor.object(|cursor, member| {
                let kind = kind_under(&member.key.name(cursor.bytes()));
                walk(cursor, kind, found)
            })?;
        }
        Some(b'[') => {
            cursor.array(|cursor| walk(cursor, kind, found))?;
        }
        Some(b'"') => {
            let text = cursor.string()?;
            if let Some(kind) = kind
                && let Some(id) = text.decode(cursor.bytes()).filter(|id| id.contains(MARK))
            {
                found.push(Reference { kind, id: id.into_owned(), span: text.quoted() });
            }
        }
        _ => cursor.skip()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_where_ids_stand_and_nowhere_else() {
        let body = r#"{"previous_response_id" : "resp_fh1_a","input":[{"role":"user","content":[{"type":"input_file","file_id":"file-fh1_b"},{"type":"input_text","text":"file-fh1_c"}]}],"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-fh1_d","file-raw"]}}]}"#;
        let found = references(body.as_bytes());
        let named: Vec<_> = found.iter().map(|found| (found.kind, found.id.as_str())).collect();
        let expected = [(Kind::Answer, "resp_fh1_a"), (Kind::File, "file-fh1_b"), (Kind::File, "file-fh1_d")];
        assert_eq!(named, expected);
        let names: Vec<String> = ["resp_1", "file-2", "file-4"].map(str::to_owned).to_vec();
        let expected = body
            .replace("resp_fh1_a", "resp_1")
            .replace("\"file_id\":\"file-fh1_b\"", "\"file_id\":\"file-2\"")
            .replace("file-fh1_d", "file-4");
        assert_eq!(with_names(body.as_bytes(), &found, &names), expected.as_bytes());
        assert!(references(br#"{"previous_response_id":"resp_1"}"#).is_empty());
    }
}
