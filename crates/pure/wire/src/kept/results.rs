//! Reads one line of what came of a batch: what the client is told in it, and what the answer in it consumed.

use std::ops::Range;

use domain::{Fault, FaultClass};

use super::strings;
use crate::cursor::{Bad, Cursor};
use crate::dialect::Dialect;
use crate::reply::{Names, ResultLine, result_body};

/// Relays a line into `out`: OpenAI's answer stands in `response.body`, Anthropic's in `result.message`.
pub fn result_line(dialect: Dialect, names: &Names, line: &[u8], out: &mut Vec<u8>) -> Result<ResultLine, Fault> {
    std::str::from_utf8(line).map_err(|_| Fault::new(FaultClass::Malformed, "a line of results is not UTF-8"))?;
    let path: [&[u8]; 2] = match dialect {
        Dialect::Anthropic => [b"result", b"message"],
        _ => [b"response", b"body"],
    };
    let mut found = None;
    let mut cursor = Cursor::new(line);
    let read = inside(&mut cursor, &path, &mut found).and_then(|()| cursor.finish());
    read.map_err(|bad| Fault::new(FaultClass::Malformed, format!("a line of results is no JSON: {}", bad.what)))?;
    let Some(place) = found else {
        out.extend_from_slice(line);
        return Ok(ResultLine::default());
    };
    let body = &line[place.clone()];
    let spoken = match dialect {
        Dialect::Anthropic => dialect,
        _ => spoken_by_openai(body)?,
    };
    out.extend_from_slice(&line[..place.start]);
    let read = result_body(spoken, names, body, out)?;
    out.extend_from_slice(&line[place.end..]);
    Ok(read)
}

/// Which of OpenAI's dialects an answer is in: it says what it is.
fn spoken_by_openai(body: &[u8]) -> Result<Dialect, Fault> {
    let [object] = strings(body, ["object"])?;
    Ok(if object.as_deref() == Some("response") { Dialect::OpenAiResponses } else { Dialect::OpenAiChat })
}

/// Where the object at the end of a path stands.
fn inside(cursor: &mut Cursor<'_>, path: &[&[u8]], found: &mut Option<Range<usize>>) -> Result<(), Bad> {
    cursor.object(|cursor, member| {
        let name = member.key.name(cursor.bytes());
        match path {
            [step] if *step == &*name && cursor.peek() == Some(b'{') => {
                *found = Some(cursor.value()?);
                Ok(())
            }
            [step, rest @ ..] if *step == &*name && cursor.peek() == Some(b'{') => inside(cursor, rest, found),
            _ => cursor.skip(),
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::{Ids, Kind};
    use crate::maker::Maker;
    use crate::usage::Reported;
    use domain::{Meter, Usage};

    fn relayed(dialect: Dialect, line: &str) -> (String, ResultLine) {
        let ids = Ids::named(|kind, id| (kind == Kind::Answer).then(|| format!("{id}!")));
        let names = Names { asked_model: "claims".into(), maker: Maker::of("p"), ids };
        let mut out = Vec::new();
        let read = result_line(dialect, &names, line.as_bytes(), &mut out).unwrap();
        (String::from_utf8(out).unwrap(), read)
    }

    #[test]
    fn every_shape_of_results_tells_its_usage_under_the_clients_names_and_the_makers_tags() {
        let tag = String::from_utf8(Maker::of("p").tag().to_vec()).unwrap();
        let usage = Usage::ZERO.with(Meter::Input, 3).with(Meter::Output, 4);
        let answered = ResultLine { answered: true, usage: Some(Reported::of(usage)) };
        let chat = r#"{"id":"b", "custom_id":"a","response":{"status_code":200,"body":{"id":"c","object":"chat.completion","model" : "v","choices":[{"message":{"content":"x","reasoning_details":[{"type":"reasoning.encrypted","data":"abc"}]}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}},"error":null}"#;
        let expected = chat.replace("\"v\"", "\"claims\"").replace("abc", &format!("{tag}abc"));
        assert_eq!(relayed(Dialect::OpenAiChat, chat), (expected, answered.clone()));

        let response = r#"{"custom_id":"a","response":{"body":{"object":"response","id":"resp_1","status":"completed","error":null,"model":"v","output":[{"type":"reasoning","id":"rs_1","encrypted_content":"abc","summary":[]}],"usage":{"input_tokens":3,"output_tokens":4}}}}"#;
        let expected = response.replace("\"v\"", "\"claims\"").replace("resp_1", "resp_1!");
        let expected = expected.replace("abc", &format!("{tag}abc")).replace("rs_1", &format!("{tag}rs_1"));
        assert_eq!(relayed(Dialect::OpenAiChat, response), (expected, answered.clone()));

        let message = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"model":"v","content":[{"type":"thinking","thinking":"t","signature":"abc"}],"usage":{"input_tokens":3,"output_tokens":4}}}}"#;
        let expected = message.replace("\"v\"", "\"claims\"").replace("abc", &format!("{tag}abc"));
        assert_eq!(relayed(Dialect::Anthropic, message), (expected, answered));
    }

    #[test]
    fn what_came_to_nothing_passes_and_what_told_no_usage_is_known() {
        let nothing = ResultLine::default();
        let errored = r#"{"custom_id":"a","result":{"type":"errored","error":{"type":"error"}}}"#;
        assert_eq!(relayed(Dialect::Anthropic, errored), (errored.to_owned(), nothing.clone()));
        let refused = r#"{"response":{"status_code":400,"body":{"error":{"message":"x"}}},"error":null}"#;
        assert_eq!(relayed(Dialect::OpenAiChat, refused), (refused.to_owned(), nothing));
        let untold = r#"{"response":{"body":{"object":"chat.completion","choices":[]}}}"#;
        assert_eq!(relayed(Dialect::OpenAiChat, untold).1, ResultLine { answered: true, usage: None });
        let names = Names { asked_model: "w".into(), maker: Maker::of("p"), ids: Ids::default() };
        for broken in [&b"x"[..], b"{\"result\":", b"{\"result\":\"\xff\"}"] {
            let fault = result_line(Dialect::Anthropic, &names, broken, &mut Vec::new()).unwrap_err();
            assert_eq!(fault.class, FaultClass::Malformed);
        }
    }
}
