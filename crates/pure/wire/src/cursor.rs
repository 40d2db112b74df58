//! Walks JSON text in place: validates the grammar (RFC 8259), yields byte spans, builds nothing.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// How deep objects and arrays may nest. The recursion of any reader behind us is bounded by the same number.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Where and why a text is no JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bad {
    /// What is wrong.
    pub what: &'static str,
    /// Byte offset.
    pub at: usize,
}

/// A string literal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text {
    /// Between the quotes.
    pub span: Range<usize>,
    /// Bytes it has once its escapes are resolved.
    pub decoded_len: usize,
    /// Whether it has escapes.
    pub escaped: bool,
}

impl Text {
    /// With the quotes.
    pub fn quoted(&self) -> Range<usize> {
        self.span.start - 1..self.span.end + 1
    }

    /// The characters, escapes resolved. `None`: half a surrogate pair, or no UTF-8.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        if self.escaped {
            serde_json::from_slice::<String>(&bytes[self.quoted()]).ok().map(Cow::Owned)
        } else {
            std::str::from_utf8(&bytes[self.span.clone()]).ok().map(Cow::Borrowed)
        }
    }

    /// The characters from left to right, escapes resolved one by one: for a hot path, which nothing is allocated on. Half
    /// a surrogate pair is U+FFFD.
    pub fn each_part(&self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let Ok(mut rest) = std::str::from_utf8(&bytes[self.span.clone()]) else { return };
        while let Some((plain, escape)) = rest.split_once('\\') {
            each(plain);
            let (character, length) = match escape.as_bytes().first() {
                Some(b'b') => ('\u{8}', 1),
                Some(b'f') => ('\u{c}', 1),
                Some(b'n') => ('\n', 1),
                Some(b'r') => ('\r', 1),
                Some(b't') => ('\t', 1),
                Some(b'u') => utf16(escape),
                Some(plain) => (char::from(*plain), 1),
                None => return,
            };
            each(character.encode_utf8(&mut [0; 4]));
            rest = &escape[length..];
        }
        each(rest);
    }

    /// The bytes, escapes resolved, for comparing keys: `"mod\u0065l"` is `model` to every reader behind us.
    pub fn name<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(&bytes[self.span.clone()]);
        }
        match self.decode(bytes) {
            Some(text) => Cow::Owned(text.into_owned().into_bytes()),
            None => Cow::Borrowed(&bytes[self.span.clone()]),
        }
    }
}

/// The character of a `u` escape, with the second half of a surrogate pair where that follows; and its length.
fn utf16(escape: &str) -> (char, usize) {
    let unit = |at: usize| u32::from_str_radix(escape.get(at..at + 4)?, 16).ok();
    let second = escape.get(5..7).filter(|mark| *mark == "\\u").and_then(|_| unit(7));
    match (unit(1), second) {
        (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
        }
        (code, _) => (code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER), escape.len().min(5)),
    }
}

/// One member of an object, its value still ahead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// How many stood before it.
    pub index: u32,
    /// Where the comma before it stands.
    pub comma: Option<usize>,
    /// Its key.
    pub key: Text,
}

/// A position in JSON text.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    /// Bytes of strings (escapes resolved), keys and numbers passed so far.
    pub text_bytes: u64,
}

/// How many bytes of a string are looked at word by word before the wide search is worth its start.
const NEAR: usize = 32;

/// The high bits of those bytes of a word, the first one lowest, that end a run of plain characters: the quote, the
/// backslash and what must be escaped. Only the lowest is sure, since the subtractions borrow from the bytes above. (S. E.
/// Anderson, Bit Twiddling Hacks: a zero byte, and a byte less than n, in a word.)
fn special(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    const HIGH: u64 = EACH << 7;
    let less = |word: u64, n: u8| word.wrapping_sub(EACH * u64::from(n)) & !word & HIGH;
    let is = |byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
    less(word, 0x20) | is(b'"') | is(b'\\')
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0, depth: 0, text_bytes: 0 }
    }

    /// Where it stands.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The whole text.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next byte that is no space; the cursor stands on it. `None` at the end.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Only spaces are left.
    pub fn finish(&mut self) -> Result<(), Bad> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.bad("more follows after the JSON value")),
        }
    }

    /// Passes one value of any kind and returns its span.
    pub fn value(&mut self) -> Result<Range<usize>, Bad> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(start..self.at)
    }

    /// Passes one value of any kind. Nesting is kept in one bit a level, so depth costs neither stack nor memory.
    pub fn skip(&mut self) -> Result<(), Bad> {
        let (mut objects, mut open) = (0u128, 0u32);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(opening @ (b'{' | b'[')) => {
                    let is_object = opening == b'{';
                    self.at += 1;
                    if self.peek() == Some(if is_object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        open += 1;
                        if self.depth + open > MAX_DEPTH {
                            return Err(self.bad("nested deeper than 128 levels"));
                        }
                        objects = objects << 1 | u128::from(is_object);
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            loop {
                if open == 0 {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    Some(_) => return Err(self.bad("a comma or a closing bracket was expected")),
                    None => return Err(self.bad("the JSON ends too early")),
                }
                self.at += 1;
                objects >>= 1;
                open -= 1;
            }
        }
    }

    /// Walks an object; `each` must pass the member's value. Returns how many members there were.
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, &Member) -> Result<(), Bad>) -> Result<u32, Bad> {
        if self.peek() != Some(b'{') {
            return Err(self.bad("an object was expected"));
        }
        self.enter()?;
        let mut member = Member { index: 0, comma: None, key: Text { span: 0..0, decoded_len: 0, escaped: false } };
        if self.peek() == Some(b'}') {
            self.leave();
            return Ok(0);
        }
        loop {
            member.key = self.key()?;
            each(self, &member)?;
            member.index += 1;
            match self.peek() {
                Some(b',') => {
                    member.comma = Some(self.at);
                    self.at += 1;
                }
                Some(b'}') => {
                    self.leave();
                    return Ok(member.index);
                }
                Some(_) => return Err(self.bad("a comma or `}` was expected")),
                None => return Err(self.bad("the JSON ends too early")),
            }
        }
    }

    /// Walks an array; `each` must pass the element. Returns how many elements there were.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), Bad>) -> Result<u32, Bad> {
        if self.peek() != Some(b'[') {
            return Err(self.bad("an array was expected"));
        }
        self.enter()?;
        if self.peek() == Some(b']') {
            self.leave();
            return Ok(0);
        }
        let mut count = 0;
        loop {
            each(self)?;
            count += 1;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.leave();
                    return Ok(count);
                }
                Some(_) => return Err(self.bad("a comma or `]` was expected")),
                None => return Err(self.bad("the JSON ends too early")),
            }
        }
    }

    /// Passes a string.
    pub fn string(&mut self) -> Result<Text, Bad> {
        if self.peek() != Some(b'"') {
            return Err(self.bad("a string was expected"));
        }
        let start = self.at + 1;
        let (mut at, mut saved) = (start, 0);
        loop {
            at = self.plain_run(at)?;
            match self.bytes[at] {
                b'"' => break,
                b'\\' => {
                    let (length, decoded) = self.escape(at)?;
                    at += length;
                    saved += length - decoded;
                }
                _ => return Err(Bad { what: "a control character stands unescaped in a string", at }),
            }
        }
        self.at = at + 1;
        let decoded_len = at - start - saved;
        self.text_bytes += decoded_len as u64;
        Ok(Text { span: start..at, decoded_len, escaped: saved > 0 })
    }

    /// A string, or `None` after passing anything else.
    pub fn string_or_skip(&mut self) -> Result<Option<Text>, Bad> {
        if self.peek() == Some(b'"') { self.string().map(Some) } else { self.skip().map(|()| None) }
    }

    /// A whole number of at least zero, or `None` after passing anything else. `12.0` is 12.
    pub fn count_or_skip(&mut self) -> Result<Option<u64>, Bad> {
        let span = self.value()?;
        Ok(std::str::from_utf8(&self.bytes[span]).ok().and_then(|text| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            if fraction.bytes().all(|digit| digit == b'0') { whole.parse().ok() } else { None }
        }))
    }

    /// The first byte from `at` on that is not plain. Looks at a few words singly, then searches widely.
    fn plain_run(&self, at: usize) -> Result<usize, Bad> {
        let mut from = at;
        while from < at + NEAR
            && let Some(word) = self.bytes[from..].first_chunk()
        {
            let found = special(u64::from_le_bytes(*word));
            if found != 0 {
                return Ok(from + found.trailing_zeros() as usize / 8);
            }
            from += word.len();
        }
        let far = &self.bytes[from..];
        let Some(length) = memchr2(b'"', b'\\', far) else {
            return Err(Bad { what: "a string is not closed", at: self.bytes.len() });
        };
        // One fold without an early exit, which the compiler turns into wide compares.
        if far[..length].iter().fold(false, |found, byte| found | (*byte < 0x20)) {
            let control = far.iter().position(|byte| *byte < 0x20).unwrap_or(length);
            return Ok(from + control);
        }
        Ok(from + length)
    }

    /// Length of the escape at `at`, and of what it stands for in UTF-8.
    fn escape(&self, at: usize) -> Result<(usize, usize), Bad> {
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok((2, 1)),
            Some(b'u') => {
                let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
                let code = (digits.len() == 4)
                    .then(|| {
                        digits.iter().try_fold(0, |code, digit| Some(code << 4 | (char::from(*digit)).to_digit(16)?))
                    })
                    .flatten();
                match code {
                    Some(0..=0x7f) => Ok((6, 1)),
                    // Either half of a surrogate pair: four bytes for the two of them.
                    Some(0x80..=0x7ff | 0xd800..=0xdfff) => Ok((6, 2)),
                    Some(_) => Ok((6, 3)),
                    None => Err(Bad { what: "`\\u` needs four hexadecimal digits", at }),
                }
            }
            _ => Err(Bad { what: "an unknown escape stands in a string", at }),
        }
    }

    fn key(&mut self) -> Result<Text, Bad> {
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.bad("a colon was expected after a key"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Passes `true`, `false`, `null` or a number.
    fn scalar(&mut self) -> Result<(), Bad> {
        let rest = &self.bytes[self.at..];
        let length = match rest.first() {
            Some(b't') if rest.starts_with(b"true") => 4,
            Some(b'f') if rest.starts_with(b"false") => 5,
            Some(b'n') if rest.starts_with(b"null") => 4,
            Some(b'-' | b'0'..=b'9') => match number_length(rest) {
                Some(length) => length,
                None => return Err(self.bad("this is no number JSON knows")),
            },
            Some(_) => return Err(self.bad("a value was expected")),
            None => return Err(self.bad("the JSON ends too early")),
        };
        self.at += length;
        self.text_bytes += length as u64;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Bad> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.bad("nested deeper than 128 levels"));
        }
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// A complaint about where the cursor stands.
    pub fn bad(&self, what: &'static str) -> Bad {
        Bad { what, at: self.at }
    }
}

/// Length of the number `text` starts with.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && text[at] == b'0') {
        return None;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn accepts(text: &[u8]) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().and_then(|()| cursor.finish()).is_ok()
    }

    proptest! {
        #[test]
        fn a_run_ends_where_its_first_special_byte_is(bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(0x1f_u8), Just(0x20), Just(0x21), Just(0x23), Just(0x5b), Just(0x80), Just(0xa2), any::<u8>()],
            8,
        )) {
            let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            let found = special(u64::from_le_bytes(bytes[..].try_into().unwrap()));
            prop_assert_eq!((found != 0).then(|| found.trailing_zeros() as usize / 8), expected);
        }
    }

    #[test]
    fn the_grammar_is_the_rfcs() {
        for text in [
            "null",
            " true ",
            "-0",
            "0.5e-3",
            "1E+9",
            "[]",
            "[ ]",
            "{}",
            "[1, [2], {\"a\" : []}]",
            r#""\u00e9\ud83d\n""#,
        ] {
            assert!(accepts(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "nul",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":1,}",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "[1}",
            "{\"a\":1]",
            "1 2",
            "{1:2}",
            "'a'",
        ] {
            assert!(!accepts(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_control_character_is_found_however_far_in() {
        for length in 0..70 {
            let text = format!("\"{}\u{1}{}\"", "a".repeat(length), "b".repeat(70 - length));
            assert!(!accepts(text.as_bytes()), "{length}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(nested(129).replace("[]", "1").as_bytes()));
        assert!(!accepts(nested(130).replace("[]", "1").as_bytes()));
        assert!(!accepts("[".repeat(100_000).as_bytes()));
    }

    #[test]
    fn a_strings_length_is_that_of_its_characters() {
        for text in [r#""plain""#, r#""a\nb""#, r#""\u00e9\u4e2d\u0041""#, r#""\ud83d\ude00!""#] {
            let read = Cursor::new(text.as_bytes()).string().unwrap();
            assert_eq!(read.decoded_len, read.decode(text.as_bytes()).unwrap().len(), "{text}");
        }
    }

    /// A string in which every character is an escape of UTF-16 units, as some servers write all but ASCII.
    fn escaped(text: &str) -> String {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{units}\"")
    }

    #[test]
    fn each_escape_is_the_character_it_stands_for() {
        let json = r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83dz""#;
        let (text, mut parts) = (Cursor::new(json.as_bytes()).string().unwrap(), String::new());
        text.each_part(json.as_bytes(), |part| parts.push_str(part));
        assert_eq!(parts, "a\"\\/\u{8}\u{c}\n\r\té😀\u{fffd}z");
    }

    proptest! {
        #[test]
        fn accepts_exactly_what_serde_json_accepts(text in r#"[\[\]{}:, 0-9eE.+\-"\\/a-fnrtu]{0,24}"#) {
            prop_assert_eq!(accepts(text.as_bytes()), serde_json::from_str::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn any_string_reads_back(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let read = Cursor::new(json.as_bytes()).string().unwrap();
            prop_assert_eq!(read.decoded_len, text.len());
            prop_assert_eq!(read.decode(json.as_bytes()).unwrap(), text.as_str());
            let (ascii, parts) = (escaped(&text), std::cell::RefCell::new(String::new()));
            let read = Cursor::new(ascii.as_bytes()).string().unwrap();
            read.each_part(ascii.as_bytes(), |part| parts.borrow_mut().push_str(part));
            prop_assert_eq!(parts.into_inner(), text);
        }
    }
}
