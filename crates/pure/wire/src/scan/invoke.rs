//! Reads what there is to know of a body in another vendor's grammar: how long it is, and which cap on the answer it names.

use super::{BadBody, Head, Spans, TEMPLATE_UPPER_TOKENS, whole_number};
use crate::cursor::{Bad, Cursor};
use crate::dialect::Address;

/// What the vendors at Bedrock call the cap on output tokens (Amazon Bedrock user guide, inference request parameters): Mistral
/// and Cohere, Meta, Anthropic before Messages, Amazon Nova, AI21.
const CAPS: [&[u8]; 6] =
    [b"max_tokens", b"max_gen_len", b"max_tokens_to_sample", b"maxTokens", b"max_new_tokens", b"maxTokenCount"];
/// Objects in which it stands at Amazon's own models.
const CONTAINERS: [&[u8]; 2] = [b"textGenerationConfig", b"inferenceConfig"];

pub(super) fn scan(address: Option<&Address>, mut cursor: Cursor<'_>) -> Result<Head, BadBody> {
    let mut max_output = None;
    let open = cursor.position() + 1;
    let length = cursor.bytes().len() as u64;
    let read = caps(&mut cursor, true, &mut max_output).and_then(|()| cursor.finish());
    read.map_err(|bad| BadBody { message: bad.what.to_owned(), offset: bad.at, param: None })?;
    Ok(Head {
        model: address.map(|address| address.model.clone()).filter(|model| !model.is_empty()),
        stream: address.is_some_and(|address| address.stream),
        include_usage: true,
        max_output,
        n: 1,
        prompt_bytes: cursor.text_bytes,
        input_upper_tokens: length + TEMPLATE_UPPER_TOKENS,
        spans: Spans { open, ..Spans::default() },
        ..Head::default()
    })
}

/// The caps of an object; where several stand, the largest counts.
fn caps(cursor: &mut Cursor<'_>, outer: bool, max_output: &mut Option<u64>) -> Result<(), Bad> {
    cursor.object(|cursor, member| {
        let name = member.key.name(cursor.bytes());
        if CAPS.iter().any(|cap| **cap == *name) {
            let (cap, _) = whole_number(cursor, "the cap on output tokens must be a whole number")?;
            *max_output = (*max_output).max(cap);
            return Ok(());
        }
        if outer && CONTAINERS.iter().any(|container| **container == *name) && cursor.peek() == Some(b'{') {
            return caps(cursor, false, max_output);
        }
        cursor.skip()
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialect::{Address, Dialect, Operation};
    use crate::scan::scan;

    #[test]
    fn the_cap_is_found_under_every_vendors_name() {
        let address = Address { model: "m".into(), stream: true };
        let head = |body: &str| scan(Dialect::BedrockConverse, Operation::Invoke, Some(&address), body.as_bytes());
        for (body, cap) in [
            (r#"{"prompt":"abc","max_gen_len":7}"#, Some(7)),
            (r#"{"inputText":"abc","textGenerationConfig":{"maxTokenCount":9,"temperature":0}}"#, Some(9)),
            (r#"{"inferenceConfig":{"max_new_tokens":5},"messages":[]}"#, Some(5)),
            (r#"{"inputText":"abc"}"#, None),
        ] {
            let read = head(body).unwrap();
            assert_eq!((read.max_output, read.stream, read.model.as_deref()), (cap, true, Some("m")), "{body}");
            assert!(read.prompt_bytes >= 8 && read.input_upper_tokens > body.len() as u64);
        }
        assert!(head(r#"{"max_gen_len":"7"}"#).is_err() && head(r#"{"a":1"#).is_err());
    }
}
