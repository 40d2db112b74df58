//! Reads `multipart/form-data` (RFC 7578) in place: where each part's value stands, with nothing copied.
//!
//! Strict where readers differ: a boundary that does not stand on a line of its own, a part with two names, a name with
//! escapes and a folded header are refused, so that no provider can read another form than we did.

use std::ops::Range;

use memchr::memmem;

/// Most parts of one form.
const MAX_PARTS: usize = 256;
/// Longest head of a part, bytes.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// Where and why a body is no form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BadForm {
    /// What is wrong, and what to write instead.
    pub what: &'static str,
    /// Byte offset.
    pub at: usize,
}

/// One part of a form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Where its name stands.
    pub name: Range<usize>,
    /// Whether it is a file.
    pub is_file: bool,
    /// Where its value stands.
    pub value: Range<usize>,
}

/// The boundary in a Content-Type, where that is `multipart/form-data` with exactly one.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (essence, mut rest) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut found = None;
    loop {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                (value, after.trim_start())
            }
            None => {
                let end = value.find([';', ' ', '\t']).unwrap_or(value.len());
                (&value[..end], value[end..].trim_start())
            }
        };
        if name.trim().eq_ignore_ascii_case("boundary") && found.replace(value).is_some() {
            return None;
        }
        match after.strip_prefix(';') {
            Some(more) if !more.trim().is_empty() => rest = more,
            _ if after.trim_start_matches(';').trim().is_empty() => break,
            _ => return None,
        }
    }
    found.filter(|boundary| is_boundary(boundary))
}

/// RFC 2046, section 5.1.1.
fn is_boundary(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=70).contains(&text.len()) && text.bytes().all(fits) && !text.ends_with(' ')
}

/// The Content-Type of a form with this boundary, written so that every reader finds the same one.
pub fn content_type(boundary: &str) -> String {
    format!("multipart/form-data; boundary=\"{boundary}\"")
}

/// Hands every part to `each`, in order.
pub(crate) fn parts(
    boundary: &str,
    body: &[u8],
    mut each: impl FnMut(&Part) -> Result<(), BadForm>,
) -> Result<(), BadForm> {
    let marker = [b"--", boundary.as_bytes()].concat();
    let mut open: Option<usize> = None;
    let mut seen = 0;
    for at in memmem::find_iter(body, &marker) {
        let bad = |what| Err(BadForm { what, at });
        let begins_line = at == 0 || body[..at].ends_with(b"\r\n");
        if !begins_line || (open.is_none() && at != 0) {
            return bad("the boundary stands where no part begins; send a form whose parts do not hold its boundary");
        }
        if let Some(start) = open {
            if at - 2 < start {
                return bad("a part has no head");
            }
            let part = part(body, start, at - 2)?;
            each(&part)?;
        }
        let after = &body[at + marker.len()..];
        if let Some(rest) = after.strip_prefix(b"--") {
            return match rest {
                b"" | b"\r\n" => Ok(()),
                _ => bad("something follows after the form's last boundary"),
            };
        }
        if !after.starts_with(b"\r\n") {
            return bad("a boundary is not followed by the end of its line");
        }
        open = Some(at + marker.len() + 2);
        seen += 1;
        if seen > MAX_PARTS {
            return bad("the form has more than 256 parts");
        }
    }
    let what = match open {
        Some(_) => "the form has no last boundary; it was cut",
        None => "the boundary of Content-Type does not stand in the body",
    };
    Err(BadForm { what, at: body.len() })
}

/// One part: its head, an empty line, its value.
fn part(body: &[u8], start: usize, end: usize) -> Result<Part, BadForm> {
    let bad = |what, at| Err(BadForm { what, at });
    let room = &body[start..end.min(start + MAX_HEAD_BYTES)];
    let Some(head_bytes) = memmem::find(room, b"\r\n\r\n") else {
        return bad("a part has no empty line after its head", start);
    };
    let mut named: Option<(Range<usize>, bool)> = None;
    let mut at = start;
    for line in split_lines(&body[start..start + head_bytes]) {
        let (from, length) = (at, line.len());
        at += length + 2;
        if line.starts_with(b" ")
            || line.starts_with(b"\t")
            || line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        {
            return bad("a part's head has a line that is no header", from);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return bad("a part's head has a line that is no header", from);
        };
        let name = &line[..colon];
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if named.is_some() {
                return bad("a part has two Content-Disposition headers", from);
            }
            named = Some(disposition(body, from + colon + 1..from + length)?);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            let value = line[colon + 1..].trim_ascii();
            if !["7bit", "8bit", "binary"].iter().any(|plain| value.eq_ignore_ascii_case(plain.as_bytes())) {
                return bad("a part is encoded; send its bytes as they are", from);
            }
        }
    }
    let Some((name, is_file)) = named else {
        return bad("a part has no Content-Disposition with a name", start);
    };
    Ok(Part { name, is_file, value: start + head_bytes + 4..end })
}

fn split_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(head);
    std::iter::from_fn(move || {
        let text = rest?;
        match memmem::find(text, b"\r\n") {
            Some(at) => {
                rest = Some(&text[at + 2..]);
                Some(&text[..at])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// `form-data; name="model"; filename="a.wav"`: where the name stands, and whether it is a file.
fn disposition(body: &[u8], span: Range<usize>) -> Result<(Range<usize>, bool), BadForm> {
    let bad = |what, at| Err(BadForm { what, at });
    let text = &body[span.clone()];
    let kind = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
    if !text[..kind].trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return bad("a part is not of the kind form-data", span.start);
    }
    let (mut name, mut is_file): (Option<Range<usize>>, bool) = (None, false);
    let mut at = kind;
    while at < text.len() {
        // Past the semicolon and the spaces after it.
        at += 1;
        at += text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if at >= text.len() {
            break;
        }
        let Some(equals) = text[at..].iter().position(|byte| *byte == b'=') else {
            return bad("a part's Content-Disposition cannot be read", span.start);
        };
        let key = text[at..at + equals].trim_ascii();
        at += equals + 1;
        let quoted = text.get(at) == Some(&b'"');
        let start = if quoted { at + 1 } else { at };
        let Some(length) = value_length(&text[start..], quoted) else {
            return bad("a part's Content-Disposition has a text that is not closed", span.start);
        };
        let value = start..start + length;
        at = value.end + usize::from(quoted);
        at += text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if at < text.len() && text[at] != b';' {
            return bad("a part's Content-Disposition cannot be read", span.start);
        }
        if key.eq_ignore_ascii_case(b"name") {
            if name.is_some() {
                return bad("a part has two names", span.start);
            }
            if text[value.clone()].contains(&b'\\') || std::str::from_utf8(&text[value.clone()]).is_err() {
                return bad("the name of a part has an escape in it; write it plainly", span.start);
            }
            name = Some(span.start + value.start..span.start + value.end);
        } else if key.eq_ignore_ascii_case(b"filename") || key.eq_ignore_ascii_case(b"filename*") {
            is_file = true;
        } else {
            return bad("a part's Content-Disposition says more than name and filename", span.start);
        }
    }
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok((name, is_file)),
        None => bad("a part has no name", span.start),
    }
}

/// Bytes up to the closing quote, or up to the next semicolon.
fn value_length(text: &[u8], quoted: bool) -> Option<usize> {
    if !quoted {
        return Some(text.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t' | b'"')).unwrap_or(text.len()));
    }
    let mut escaped = false;
    text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<(String, bool, String)>, &'static str> {
        let mut found = Vec::new();
        let text = |span: &Range<usize>| body[span.clone()].to_owned();
        let done = parts("b", body.as_bytes(), |part| {
            found.push((text(&part.name), part.is_file, text(&part.value)));
            Ok(())
        });
        done.map(|()| found).map_err(|bad| bad.what)
    }

    #[test]
    fn a_form_is_read_in_place() {
        let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nclaims\r\n--b\r\ncontent-disposition: form-data; name=file; filename=\"a\\\"b.wav\"\r\nContent-Type: audio/wav\r\n\r\nRI\r\n\r\nFF\r\n--b--\r\n";
        let expected = vec![
            ("model".to_owned(), false, "claims".to_owned()),
            ("file".to_owned(), true, "RI\r\n\r\nFF".to_owned()),
        ];
        assert_eq!(read(form), Ok(expected));
        assert_eq!(read("--b\r\ncontent-disposition: form-data; name=\"e\"\r\n\r\n\r\n--b--").unwrap()[0].2, "");
    }

    #[test]
    fn what_readers_would_take_for_different_forms_is_refused() {
        let one = |head: &str| format!("--b\r\n{head}\r\n\r\nx\r\n--b--\r\n");
        for (form, why) in [
            (String::new(), "does not stand in the body"),
            ("preamble\r\n--b\r\n".into(), "no part begins"),
            (one("content-disposition: form-data; name=\"a\"").replace("--b--", "--bx"), "end of its line"),
            ("--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b\r\n".into(), "no last boundary"),
            ("--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nx\n--b--".into(), "no part begins"),
            (one("content-disposition: form-data; name=\"a\"") + "more", "last boundary"),
            (one("content-disposition: form-data; name=\"a\"; name=\"model\""), "two names"),
            (one("content-disposition: form-data; name=\"mo\\del\""), "escape"),
            (one("content-disposition: form-data; name*=utf-8''model"), "says more"),
            (one("content-disposition: form-data;\r\n name=\"model\""), "no name"),
            (one("content-disposition: form-data; name=\"a\";\r\n name=\"model\""), "no header"),
            (one("content-disposition: attachment; name=\"a\""), "form-data"),
            (one("content-disposition: form-data"), "no name"),
            (one("content-disposition: form-data; name=\"a"), "not closed"),
            (
                one("content-disposition: form-data; name=\"a\"\r\ncontent-disposition: form-data; name=\"b\""),
                "two Content",
            ),
            (one("content-disposition: form-data; name=\"a\"\r\ncontent-transfer-encoding: base64"), "encoded"),
            (one("content-type: text/plain"), "with a name"),
            (one("nonsense"), "no header"),
            ("--b\r\nx\r\n--b--".into(), "no empty line"),
            ("--b\r\n--b--".into(), "no head"),
        ] {
            let told = read(&form).expect_err(&form);
            assert!(told.contains(why), "{form:?}: {told}");
        }
        let many = one("content-disposition: form-data; name=\"a\"").replace("--b--\r\n", "");
        assert!(read(&many.repeat(300)).unwrap_err().contains("256"));
    }

    #[test]
    fn a_boundary_is_read_from_its_header_where_it_is_the_only_one() {
        for (header, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data;boundary=abc;", Some("abc")),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"a\" x", None),
            ("multipart/form-data; boundary=\"a\r\n\"", None),
            ("multipart/mixed; boundary=a", None),
        ] {
            assert_eq!(boundary(header), expected, "{header}");
        }
        assert_eq!(boundary(&content_type("a b")), Some("a b"));
    }
}
