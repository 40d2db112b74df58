//! Finds what a request names by the provider's own id, files, conversations, vector stores and containers: nobody here can tell
//! whose they are.

use std::fmt;

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

/// Something that a provider keeps, named by the provider's own id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsealed {
    /// What it is.
    pub thing: Thing,
    /// What the provider calls it.
    pub id: String,
}

/// What such an id may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thing {
    /// A file.
    File,
    /// What was said before, kept under one id.
    Conversation,
    /// Files made ready to be searched.
    VectorStore,
    /// Where a provider's tools run code and leave files.
    Container,
}

impl Thing {
    /// The words for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Thing::File => "file",
            Thing::Conversation => "conversation",
            Thing::VectorStore => "vector store",
            Thing::Container => "container",
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The first thing that a body asks for by an id that is none of ours. The body was scanned before; what is no JSON asks for nothing.
pub fn unsealed(dialect: Dialect, body: &[u8]) -> Option<Unsealed> {
    let file = unsealed_file(dialect, body).map(|id| Unsealed { thing: Thing::File, id });
    file.or_else(|| unsealed_place(dialect, body))
}

/// The first conversation, vector store or container of OpenAI's that a body asks for. Anthropic's containers carry the tag of
/// their maker instead ([`crate::maker`]).
fn unsealed_place(dialect: Dialect, body: &[u8]) -> Option<Unsealed> {
    let names = |part: &str| memmem::find(body, part.as_bytes()).is_some();
    let may_name = || ["\"conversation\"", "vector_store_ids", "\"container", "\\u00"].into_iter().any(names);
    if dialect != Dialect::OpenAiResponses || !may_name() {
        return None;
    }
    let mut found = None;
    let _ = Cursor::new(body).object(|cursor, member| match (&*member.key.name(cursor.bytes()), cursor.peek()) {
        (b"conversation", Some(b'{')) => {
            members(cursor, |cursor, name| id_under(cursor, name == b"id", Thing::Conversation, &mut found))
        }
        (b"conversation", _) => id_under(cursor, true, Thing::Conversation, &mut found),
        (b"tools", Some(b'[')) => cursor.array(|cursor| tool(cursor, &mut found)).map(drop),
        _ => cursor.skip(),
    });
    found
}

/// What a tool of the provider's is to look into.
fn tool(cursor: &mut Cursor<'_>, found: &mut Option<Unsealed>) -> Result<(), Bad> {
    if cursor.peek() != Some(b'{') {
        return cursor.skip();
    }
    members(cursor, |cursor, name| match (name, cursor.peek()) {
        (b"vector_store_ids", Some(b'[')) => {
            cursor.array(|cursor| id_under(cursor, true, Thing::VectorStore, found)).map(drop)
        }
        // Where the shell runs.
        (b"environment", Some(b'{')) => {
            members(cursor, |cursor, name| id_under(cursor, name == b"container_id", Thing::Container, found))
        }
        (name, _) => id_under(cursor, matches!(name, b"container" | b"container_id"), Thing::Container, found),
    })
}

fn members(
    cursor: &mut Cursor<'_>,
    mut each: impl FnMut(&mut Cursor<'_>, &[u8]) -> Result<(), Bad>,
) -> Result<(), Bad> {
    cursor.object(|cursor, member| {
        let name = member.key.name(cursor.bytes()).into_owned();
        each(cursor, &name)
    })?;
    Ok(())
}

fn id_under(cursor: &mut Cursor<'_>, is_id: bool, thing: Thing, found: &mut Option<Unsealed>) -> Result<(), Bad> {
    if !is_id || cursor.peek() != Some(b'"') {
        return cursor.skip();
    }
    let text = cursor.string()?;
    let id = text.decode(cursor.bytes()).filter(|id| !id.is_empty()).map(|id| id.into_owned());
    if let (None, Some(id)) = (&found, id) {
        *found = Some(Unsealed { thing, id });
    }
    Ok(())
}

/// The first file.
fn unsealed_file(dialect: Dialect, body: &[u8]) -> Option<String> {
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
    fn a_conversation_a_vector_store_and_a_container_are_found_where_they_are_asked_for() {
        let asked = |more: &str| unsealed(Dialect::OpenAiResponses, format!(r#"{{"model":"w",{more}}}"#).as_bytes());
        let named = |thing| Some(Unsealed { thing, id: "raw".into() });
        assert_eq!(asked(r#""conversation":"raw""#), named(Thing::Conversation));
        assert_eq!(asked(r#""conversation":{"id":"raw"}"#), named(Thing::Conversation));
        assert_eq!(asked(r#""convers\u0061tion":"raw""#), named(Thing::Conversation));
        assert_eq!(asked(r#""tools":[{"type":"file_search","vector_store_ids":["raw"]}]"#), named(Thing::VectorStore));
        assert_eq!(asked(r#""tools":[{"type":"code_interpreter","container":"raw"}]"#), named(Thing::Container));
        let shell = r#""tools":[{"type":"shell","environment":{"type":"container_reference","container_id":"raw"}}]"#;
        assert_eq!(asked(shell), named(Thing::Container));
        for none in [
            r#""conversation":null,"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#,
            r#""input":[{"type":"code_interpreter_call","container_id":"raw","code":"1"}]"#,
            r#""tools":[{"type":"function","parameters":{"properties":{"container":{"const":"raw"}}}}]"#,
            r#""input":"in which \"container\" is my conversation?""#,
        ] {
            assert_eq!(asked(none), None, "{none}");
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
