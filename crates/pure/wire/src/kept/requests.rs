//! Reads what a batch asks for: the lines of OpenAI's input files, and the requests of an Anthropic batch.

use std::ops::Range;

use crate::cursor::{Bad, Cursor};
use crate::dialect::{Dialect, Operation};
use crate::form;
use crate::scan::BadBody;
use crate::splice::Splice;

/// One request of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// How it is spoken.
    pub dialect: Dialect,
    /// What it asks for.
    pub operation: Operation,
    /// Where its body stands.
    pub body: Range<usize>,
}

/// Most requests of one batch: Anthropic's own bound, which is above OpenAI's 50,000.
const MOST_REQUESTS: usize = 100_000;

/// What a line of a batch's input file asks for. Endpoints whose cost nobody can bound beforehand are refused.
pub fn batch_line(line: &[u8]) -> Result<Asked, BadBody> {
    let mut cursor = Cursor::new(line);
    let (mut url, mut body) = (None, None);
    let read = cursor.object(|cursor, member| {
        let once = |known: bool| match known {
            true => Err(Bad { what: "a field of the line stands twice; write it once", at: member.key.span.start }),
            false => Ok(()),
        };
        match &*member.key.name(line) {
            b"url" => {
                once(url.is_some())?;
                url = Some(cursor.string()?.name(line).into_owned());
            }
            b"body" => {
                once(body.is_some())?;
                if cursor.peek() != Some(b'{') {
                    return Err(cursor.bad("`body` must be an object"));
                }
                body = Some(cursor.value()?);
            }
            _ => cursor.skip()?,
        }
        Ok(())
    });
    read.and_then(|_| cursor.finish()).map_err(bad)?;
    let missing = |param: &'static str, what: &str| BadBody {
        message: format!("`{param}` {what}"),
        offset: line.len(),
        param: Some(param),
    };
    let url = url.ok_or_else(|| missing("url", "is missing; it names the endpoint"))?;
    let body = body.ok_or_else(|| missing("body", "is missing; it is the request"))?;
    let (dialect, operation) = match &*url {
        b"/v1/chat/completions" => (Dialect::OpenAiChat, Operation::Chat),
        b"/v1/responses" => (Dialect::OpenAiResponses, Operation::Chat),
        b"/v1/embeddings" => (Dialect::OpenAiChat, Operation::Embeddings),
        b"/v1/completions" => (Dialect::OpenAiChat, Operation::Completions),
        _ => {
            let known = "/v1/chat/completions, /v1/responses, /v1/embeddings or /v1/completions";
            return Err(missing("url", &format!("must be {known}; other endpoints are not taken in batches")));
        }
    };
    Ok(Asked { dialect, operation, body })
}

/// The requests of an Anthropic batch.
pub fn batch_requests(body: &[u8]) -> Result<Vec<Asked>, BadBody> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(BadBody { message: "the body is not UTF-8".into(), offset: error.valid_up_to(), param: None });
    }
    let mut found: Option<Vec<Asked>> = None;
    let mut cursor = Cursor::new(body);
    if cursor.peek() != Some(b'{') {
        return Err(bad(cursor.bad("the body must be a JSON object")));
    }
    let read = cursor.object(|cursor, member| {
        if &*member.key.name(body) != b"requests" {
            return cursor.skip();
        }
        if found.is_some() {
            return Err(Bad { what: "`requests`: the field stands twice; write it once", at: member.key.span.start });
        }
        if cursor.peek() != Some(b'[') {
            return Err(cursor.bad("`requests` must be an array"));
        }
        let requests = found.insert(Vec::new());
        cursor.array(|cursor| {
            let mut params = None;
            cursor.object(|cursor, member| {
                if &*member.key.name(body) != b"params" {
                    return cursor.skip();
                }
                if params.is_some() || cursor.peek() != Some(b'{') {
                    return Err(cursor.bad("`params` must be one object"));
                }
                params = Some(cursor.value()?);
                Ok(())
            })?;
            let Some(body) = params else { return Err(cursor.bad("a request of the batch has no `params`")) };
            if requests.len() == MOST_REQUESTS {
                return Err(cursor.bad("a batch has at most 100000 requests"));
            }
            requests.push(Asked { dialect: Dialect::Anthropic, operation: Operation::Chat, body });
            Ok(())
        })?;
        Ok(())
    });
    read.and_then(|_| cursor.finish()).map_err(bad)?;
    match found.filter(|found| !found.is_empty()) {
        Some(found) => Ok(found),
        None => {
            let message = "`requests` is missing or empty; a batch asks for something".to_owned();
            Err(BadBody { message, offset: body.len(), param: Some("requests") })
        }
    }
}

/// The text with other bodies for its requests, one for each, in order of place.
pub fn with_bodies(text: &[u8], asked: &[Range<usize>], bodies: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut splice = Splice::new(text);
    for (place, body) in asked.iter().zip(bodies) {
        splice.replace("body", place.clone(), body.as_ref());
    }
    splice.apply().map_or_else(|| text.to_vec(), |(text, _)| text)
}

/// What an upload says its file is for, and where the file's bytes stand, in a form of this boundary. OpenAI asks for a purpose,
/// Anthropic for none.
pub fn purpose(boundary: &str, body: &[u8]) -> Result<(Option<String>, Range<usize>), BadBody> {
    let (mut purpose, mut file) = (None, None);
    let read = form::parts(boundary, body, |part| {
        let twice = |what| Err(form::BadForm { what, at: part.name.start });
        match (&body[part.name.clone()], part.is_file) {
            (b"purpose", false) if purpose.is_some() => return twice("`purpose` stands twice; write it once"),
            (b"purpose", false) => {
                purpose = Some(String::from_utf8_lossy(&body[part.value.clone()]).into_owned());
            }
            (b"file", _) if file.is_some() => return twice("a request uploads one file; send one part `file`"),
            (b"file", _) => file = Some(part.value.clone()),
            _ => {}
        }
        Ok(())
    });
    read.map_err(|bad| BadBody { message: bad.what.to_owned(), offset: bad.at, param: None })?;
    let missing = || BadBody { message: "`file` is missing".into(), offset: body.len(), param: Some("file") };
    Ok((purpose, file.ok_or_else(missing)?))
}

fn bad(bad: Bad) -> BadBody {
    BadBody { message: bad.what.to_owned(), offset: bad.at, param: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_endpoint_and_holds_the_request() {
        let line = br#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"w"} }"#;
        let asked = batch_line(line).unwrap();
        assert_eq!((asked.dialect, asked.operation), (Dialect::OpenAiChat, Operation::Chat));
        assert_eq!(&line[asked.body.clone()], br#"{"model":"w"}"#);
        let changed = with_bodies(line, &[asked.body], &[br#"{"model":"up"}"#]);
        assert_eq!(changed, String::from_utf8_lossy(line).replace("\"w\"", "\"up\"").as_bytes());
        for (line, why) in [
            (&br#"{"url":"/v1/chat/completions"}"#[..], "`body` is missing"),
            (br#"{"body":{}}"#, "`url` is missing"),
            (br#"{"url":"/v1/images/generations","body":{}}"#, "not taken in batches"),
            (br#"{"url":"/v1/responses","body":{},"body":{}}"#, "stands twice"),
            (br#"{"url":"/v1/responses","body":7}"#, "must be an object"),
            (b"nonsense", "object was expected"),
        ] {
            let told = batch_line(line).unwrap_err().message;
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn requests_of_a_batch_are_found_in_place() {
        let body = br#"{"requests":[{"custom_id":"a","params":{"model":"w","x":1}},{"params":{"model":"w"}}]}"#;
        let asked = batch_requests(body).unwrap();
        assert_eq!(asked.len(), 2);
        assert_eq!(&body[asked[1].body.clone()], br#"{"model":"w"}"#);
        for (body, why) in [
            (&br#"{"requests":[]}"#[..], "missing or empty"),
            (br#"{}"#, "missing or empty"),
            (br#"{"requests":[{"custom_id":"a"}]}"#, "no `params`"),
            (br#"{"requests":7}"#, "must be an array"),
            (br#"[]"#, "JSON object"),
        ] {
            let told = batch_requests(body).unwrap_err().message;
            assert!(told.contains(why), "{told}");
        }
    }
}
