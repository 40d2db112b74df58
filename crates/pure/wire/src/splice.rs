//! Splices replacements into a body: the bytes between the named spans are copied, never written anew.

use std::borrow::Cow;
use std::ops::Range;

use crate::cursor::Member;

/// One span that differs from the client's bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// The field it belongs to.
    pub name: &'static str,
    /// Where it stood in the client's body; empty for an insertion.
    pub range: Range<usize>,
    /// How many bytes stand in the provider's body instead.
    pub written: usize,
}

/// Changes to one body, collected in any order.
pub(crate) struct Splice<'a> {
    original: &'a [u8],
    changes: Vec<(Edit, Cow<'a, [u8]>)>,
}

impl<'a> Splice<'a> {
    /// No changes yet.
    pub fn new(original: &'a [u8]) -> Splice<'a> {
        Splice { original, changes: Vec::new() }
    }

    /// Puts `with` where `range` stands, unless it stands there already.
    pub fn replace(&mut self, name: &'static str, range: Range<usize>, with: impl Into<Cow<'a, [u8]>>) {
        let with = with.into();
        if self.original[range.clone()] != *with {
            self.changes.push((Edit { name, range, written: with.len() }, with));
        }
    }

    /// The changed body and what was changed, in order of place. `None` when nothing was.
    pub fn apply(mut self) -> Option<(Vec<u8>, Vec<Edit>)> {
        if self.changes.is_empty() {
            return None;
        }
        // What is inserted stands before what is cut at the same place.
        self.changes.sort_by_key(|(edit, _)| (edit.range.start, edit.range.end));
        let added: usize = self.changes.iter().map(|(_, with)| with.len()).sum();
        let mut body = Vec::with_capacity(self.original.len() + added);
        let mut from = 0;
        for (edit, with) in &self.changes {
            debug_assert!(from <= edit.range.start, "two changes overlap at {}", edit.range.start);
            body.extend_from_slice(&self.original[from..edit.range.start]);
            body.extend_from_slice(with);
            from = edit.range.end;
        }
        body.extend_from_slice(&self.original[from..]);
        Some((body, self.changes.into_iter().map(|(edit, _)| edit).collect()))
    }
}

/// Where a member of an object stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MemberSpan {
    index: u32,
    comma: Option<usize>,
    key_start: usize,
    /// Its value.
    pub value: Range<usize>,
}

impl MemberSpan {
    /// The span of `member` with `value`.
    pub fn new(member: &Member, value: Range<usize>) -> MemberSpan {
        MemberSpan { index: member.index, comma: member.comma, key_start: member.key.span.start - 1, value }
    }

    /// All of it, key and value, without a comma.
    pub fn member(&self) -> Range<usize> {
        self.key_start..self.value.end
    }

    /// What to cut so that the object stays one, when `cut_before` of the members before it are cut too.
    ///
    /// A member takes the comma before it along. Where all before it go as well there is no such comma left, and it takes
    /// the one that follows.
    pub fn removal(&self, original: &[u8], cut_before: u32) -> Range<usize> {
        match self.comma {
            Some(comma) if cut_before < self.index => comma..self.value.end,
            _ => self.key_start..after_comma(original, self.value.end),
        }
    }
}

/// Where an element of a list stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ElementSpan {
    /// Where the list begins.
    pub list: usize,
    /// How many elements stand before it.
    pub index: u32,
    /// The element.
    pub value: Range<usize>,
}

impl ElementSpan {
    /// What to cut so that the list stays one, when `cut_before` of the elements before it are cut too; as of a member.
    pub fn removal(&self, original: &[u8], cut_before: u32) -> Range<usize> {
        if cut_before == self.index {
            return self.value.start..after_comma(original, self.value.end);
        }
        let spaces = original[..self.value.start].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.value.start - spaces - 1..self.value.end
    }
}

/// Past the comma and the spaces that follow a value, or where the value ends when it is the last.
fn after_comma(original: &[u8], value_end: usize) -> usize {
    let spaces = |from: usize| original[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let comma = value_end + spaces(value_end);
    if original.get(comma) == Some(&b',') { comma + 1 + spaces(comma + 1) } else { value_end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Cursor;

    fn without(object: &str, keys: &[&str]) -> String {
        let bytes = object.as_bytes();
        let mut cursor = Cursor::new(bytes);
        let mut splice = Splice::new(bytes);
        let mut cut = 0;
        cursor
            .object(|cursor, member| {
                let value = cursor.value()?;
                if keys.iter().any(|key| key.as_bytes() == &*member.key.name(bytes)) {
                    splice.replace("", MemberSpan::new(member, value).removal(bytes, cut), &b""[..]);
                    cut += 1;
                }
                Ok(())
            })
            .unwrap();
        splice.apply().map_or(object.to_owned(), |(body, _)| String::from_utf8(body).unwrap())
    }

    #[test]
    fn any_member_can_be_cut_and_the_rest_stays_as_it_was() {
        let object = r#"{ "a": 1 , "b":[2] ,"c" : "x"  }"#;
        assert_eq!(without(object, &["a"]), r#"{ "b":[2] ,"c" : "x"  }"#);
        assert_eq!(without(object, &["b"]), r#"{ "a": 1  ,"c" : "x"  }"#);
        assert_eq!(without(object, &["c"]), r#"{ "a": 1 , "b":[2]   }"#);
        assert_eq!(without(object, &["a", "b"]), r#"{ "c" : "x"  }"#);
        assert_eq!(without(object, &["a", "c"]), r#"{ "b":[2]   }"#);
        assert_eq!(without(object, &["b", "c"]), r#"{ "a": 1    }"#);
        assert_eq!(without(object, &["a", "b", "c"]), r#"{   }"#);
    }

    #[test]
    fn a_replacement_by_the_same_is_no_change() {
        let mut splice = Splice::new(b"abc");
        splice.replace("b", 1..2, &b"b"[..]);
        assert!(splice.apply().is_none());
    }

    #[test]
    fn insertions_at_one_place_keep_their_order() {
        let mut splice = Splice::new(b"{}");
        splice.replace("first", 1..1, &b"1"[..]);
        splice.replace("second", 1..1, &b"2"[..]);
        assert_eq!(splice.apply().unwrap().0, b"{12}");
    }
}
