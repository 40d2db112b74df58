//! Reads one line of what came of a batch: which model answered, and what that consumed.

use std::ops::Range;

use domain::{Fault, FaultClass, Usage};

use crate::cursor::{Bad, Cursor};
use crate::dialect::Dialect;
use crate::usage::{Reported, anthropic_usage, openai_usage};

/// What a line tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResultLine {
    /// Where the answer's `model` stands, quotes included.
    pub model: Option<Range<usize>>,
    /// What was consumed; nothing of a request that came to nothing, which nobody bills.
    pub usage: Option<Usage>,
}

/// Reads a line: OpenAI's answer stands in `response.body`, Anthropic's in `result.message`.
pub fn result_line(dialect: Dialect, line: &[u8]) -> Result<ResultLine, Fault> {
    let path: [&[u8]; 2] = match dialect {
        Dialect::Anthropic => [b"result", b"message"],
        _ => [b"response", b"body"],
    };
    let mut found = Found::default();
    let mut cursor = Cursor::new(line);
    let read = inside(&mut cursor, &path, &mut found).and_then(|()| cursor.finish());
    read.map_err(|bad| Fault::new(FaultClass::Malformed, format!("a line of results is no JSON: {}", bad.what)))?;
    let usage = found.usage.and_then(|usage| {
        let usage = &line[usage];
        let read = if dialect == Dialect::Anthropic { anthropic_usage(usage) } else { openai_usage(usage) };
        read.map(|Reported { usage, .. }| usage)
    });
    Ok(ResultLine { model: found.model, usage })
}

#[derive(Default)]
struct Found {
    model: Option<Range<usize>>,
    usage: Option<Range<usize>>,
}

fn inside(cursor: &mut Cursor<'_>, path: &[&[u8]], found: &mut Found) -> Result<(), Bad> {
    cursor.object(|cursor, member| {
        let name = member.key.name(cursor.bytes());
        match path {
            [step, rest @ ..] if *step == &*name && cursor.peek() == Some(b'{') => inside(cursor, rest, found),
            [] if &*name == b"model" => {
                found.model = cursor.string_or_skip()?.map(|text| text.quoted());
                Ok(())
            }
            [] if &*name == b"usage" => {
                found.usage = Some(cursor.value()?);
                Ok(())
            }
            _ => cursor.skip(),
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Meter;

    #[test]
    fn both_shapes_of_results_tell_model_and_usage() {
        let openai = br#"{"id":"b","custom_id":"a","response":{"status_code":200,"body":{"id":"c","model":"v","usage":{"prompt_tokens":3,"completion_tokens":4}}},"error":null}"#;
        let read = result_line(Dialect::OpenAiChat, openai).unwrap();
        assert_eq!(&openai[read.model.unwrap()], b"\"v\"");
        assert_eq!(read.usage, Some(Usage::ZERO.with(Meter::Input, 3).with(Meter::Output, 4)));

        let anthropic = br#"{"custom_id":"a","result":{"type":"succeeded","message":{"model":"c","usage":{"input_tokens":5,"output_tokens":6}}}}"#;
        let read = result_line(Dialect::Anthropic, anthropic).unwrap();
        assert_eq!(read.usage, Some(Usage::ZERO.with(Meter::Input, 5).with(Meter::Output, 6)));

        let errored = br#"{"custom_id":"a","result":{"type":"errored","error":{"type":"error"}}}"#;
        assert_eq!(result_line(Dialect::Anthropic, errored).unwrap(), ResultLine::default());
        assert_eq!(result_line(Dialect::Anthropic, b"x").unwrap_err().class, FaultClass::Malformed);
    }
}
