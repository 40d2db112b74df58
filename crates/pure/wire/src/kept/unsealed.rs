//! Finds files in a request that are named by the provider's own id: nobody here can tell whose they are.

use memchr::memmem;

use super::MARK;
use super::references::kind_under;
use crate::cursor::{Bad, Cursor};
use crate::dialect::Dialect;

/// What stands under these names is no wish but data: what was said before, what a tool is called with, what a schema says.
const DATA: [&[u8]; 12] = [
    b"annotations",
    b"citations",
    b"results",
    b"outputs",
    b"arguments",
    b"args",
    b"parameters",
    b"input_schema",
    b"schema",
    b"json_schema",
    b"properties",
    b"metadata",
];

/// Blocks that tell of a file that a provider's own tool made, or that was cited; the model is given nothing by them.
const TELLING: [&[u8]; 5] = [
    b"code_execution_output",
    b"bash_code_execution_output",
    b"file_citation",
    b"container_file_citation",
    b"file_path",
];

/// The first file that a body asks for by an id that is none of ours. The body was scanned before; what is no JSON asks for nothing.
pub fn unsealed_file(dialect: Dialect, body: &[u8]) -> Option<String> {
    let has_files = matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Anthropic);
    // A name may be written with escapes, so that looking for it as it is would not find it.
    let may_name = || ["file", "\\u00"].iter().any(|part| memmem::find(body, part.as_bytes()).is_some());
    if !has_files || !may_name() {
        return None;
    }
    let mut found = None;
    let _ = walk(&mut Cursor::new(body), false, &mut found);
    found
}

fn walk(cursor: &mut Cursor<'_>, names_file: bool, found: &mut Option<String>) -> Result<(), Bad> {
    match cursor.peek() {
        Some(b'{') => object(cursor, found),
        Some(b'[') => cursor.array(|cursor| walk(cursor, names_file, found)).map(drop),
        Some(b'"') if names_file => {
            let text = cursor.string()?;
            let id = text.decode(cursor.bytes());
            // What carries the mark was opened, or refused, by its seal.
            if let Some(id) = id.filter(|id| !id.is_empty() && !id.contains(MARK)) {
                found.get_or_insert(id.into_owned());
            }
            Ok(())
        }
        _ => cursor.skip(),
    }
}

fn object(cursor: &mut Cursor<'_>, found: &mut Option<String>) -> Result<(), Bad> {
    let (mut own, mut types, mut telling) = (None, 0, 0);
    cursor.object(|cursor, member| {
        let name = member.key.name(cursor.bytes());
        // In the arguments of a tool a field may be called as it likes; Responses' own `input` is a list or a text.
        let is_arguments = &*name == b"input" && cursor.peek() == Some(b'{');
        if DATA.contains(&&*name) || is_arguments {
            return cursor.skip();
        }
        if &*name == b"type" && cursor.peek() == Some(b'"') {
            let kind = cursor.string()?;
            types += 1;
            telling += usize::from(TELLING.contains(&&*kind.name(cursor.bytes())));
            return Ok(());
        }
        match kind_under(&name).is_some_and(|kind| kind == super::Kind::File) {
            true => walk(cursor, true, &mut own),
            false => walk(cursor, false, found),
        }
    })?;
    // One that stands twice might be read either way.
    let only_tells = types > 0 && telling == types;
    if let Some(own) = own.filter(|_| !only_tells) {
        found.get_or_insert(own);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_asked_for_by_a_raw_id_is_found_wherever_a_provider_would_read_it() {
        let chat = |part: &str| {
            let body = format!(r#"{{"model":"w","messages":[{{"role":"user","content":[{part}]}}]}}"#);
            unsealed_file(Dialect::OpenAiChat, body.as_bytes())
        };
        let responses = |more: &str| {
            let body = format!(r#"{{"model":"w",{more}}}"#);
            unsealed_file(Dialect::OpenAiResponses, body.as_bytes())
        };
        let messages = |block: &str| {
            let body = format!(r#"{{"model":"w","messages":[{{"role":"user","content":[{block}]}}]}}"#);
            unsealed_file(Dialect::Anthropic, body.as_bytes())
        };
        for found in [
            chat(r#"{"type":"file","file":{"file_id":"raw"}}"#),
            chat(r#"{"type":"file","file":{"file\u005fid":"raw"}}"#),
            responses(r#""input":[{"role":"user","content":[{"type":"input_file","file_id":"raw"}]}]"#),
            responses(r#""input":[{"role":"user","content":[{"file_id":"raw","type":"input_image"}]}]"#),
            responses(
                r#""input":[{"type":"computer_call_output","output":{"type":"computer_screenshot","file_id":"raw"}}]"#,
            ),
            responses(r#""input":"x","prompt":{"id":"p","variables":{"a":{"type":"input_file","file_id":"raw"}}}"#),
            responses(
                r#""input":"x","tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-fh1_x","raw"]}}]"#,
            ),
            responses(r#""input":[{"content":[{"type":"input_file","file_id":"raw","type":"file_citation"}]}]"#),
            messages(r#"{"type":"document","source":{"type":"file","file_id":"raw"}}"#),
            messages(r#"{"type":"container_upload","file_id":"raw"}"#),
        ] {
            assert_eq!(found.as_deref(), Some("raw"));
        }
    }

    #[test]
    fn what_only_tells_of_a_file_or_is_called_so_passes() {
        for (dialect, body) in [
            (Dialect::OpenAiChat, r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"file-fh1_x"}}]}]}"#),
            (Dialect::OpenAiChat, r#"{"messages":[{"content":"what is a file_id?"}],"metadata":{"file_id":"mine"}}"#),
            (
                Dialect::OpenAiChat,
                r#"{"tools":[{"function":{"parameters":{"properties":{"file_id":{"example":"a"}},"example":{"file_id":"a"}}}}]}"#,
            ),
            (
                Dialect::OpenAiResponses,
                r#"{"input":[{"content":[{"type":"output_text","annotations":[{"type":"file_citation","file_id":"f"}]}]}]}"#,
            ),
            (Dialect::OpenAiResponses, r#"{"input":[{"type":"file_search_call","results":[{"file_id":"f"}]}]}"#),
            (
                Dialect::Anthropic,
                r#"{"messages":[{"content":[{"type":"tool_use","name":"read","input":{"file_id":"mine"}}]}]}"#,
            ),
            (
                Dialect::Anthropic,
                r#"{"messages":[{"content":[{"type":"bash_code_execution_tool_result","content":{"content":[{"type":"bash_code_execution_output","file_id":"f"}]}}]}]}"#,
            ),
            (Dialect::Gemini, r#"{"contents":[{"parts":[{"functionCall":{"args":{"file_id":"mine"}}}]}]}"#),
        ] {
            assert_eq!(unsealed_file(dialect, body.as_bytes()), None, "{body}");
        }
    }
}
