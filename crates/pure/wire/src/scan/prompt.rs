//! Hands out the texts of a prompt one by one, for a tokenizer, up to a bound.

use std::ops::Range;

use crate::cursor::{Bad, Cursor};
use crate::dialect::Dialect;

/// What a prompt is made of, so far as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prompt {
    /// Messages; a system prompt beside them is one.
    pub messages: u64,
    /// Messages that carry a name.
    pub names: u64,
    /// Calls of tools in them.
    pub calls: u64,
    /// Bytes of text handed out.
    pub text_bytes: u64,
    /// How many of those are tools and schemas, written as JSON: a provider shows them to its model in another form.
    pub schema_bytes: u64,
    /// Whether that was all of it.
    pub whole: bool,
}

/// Hands the texts of a request's body to `each`, escapes resolved, until `most_bytes` of them have been; the last one may
/// be cut. What is no text (images, documents, audio), and identifiers a model is not shown, are left out.
pub fn prompt_texts(dialect: Dialect, body: &[u8], most_bytes: usize, each: &mut dyn FnMut(&str)) -> Prompt {
    let mut reader = Reader { prompt: Prompt { whole: true, ..Prompt::default() }, room: most_bytes, each };
    let mut cursor = Cursor::new(body);
    let mut inner = None;
    let responses = dialect == Dialect::OpenAiResponses;
    // A body that was admitted is JSON; the only way to end early is the bound.
    let read = cursor.object(|cursor, member| match &*member.key.name(body) {
        b"messages" if cursor.peek() == Some(b'[') => cursor.array(|cursor| reader.message(cursor)).map(drop),
        b"system" => {
            reader.prompt.messages += 1;
            reader.text("system")?;
            reader.content(cursor)
        }
        b"instructions" if responses => reader.items("system", cursor),
        b"input" if responses => reader.items("user", cursor),
        b"text" if responses && cursor.peek() == Some(b'{') => {
            cursor.object(|cursor, member| match &*member.key.name(body) {
                b"format" => reader.schema(cursor),
                _ => cursor.skip(),
            })?;
            Ok(())
        }
        b"input" | b"query" => reader.content(cursor),
        // What is to be embedded, ranked or rested on: texts, or objects with texts in them.
        b"prompt" if dialect == Dialect::OpenAiChat => reader.documents(cursor),
        b"texts" | b"inputs" | b"documents" => reader.documents(cursor),
        b"toolConfig" if cursor.peek() == Some(b'{') => cursor
            .object(|cursor, member| match &*member.key.name(body) {
                b"tools" => reader.written_schema(cursor),
                _ => cursor.skip(),
            })
            .map(drop),
        b"outputConfig" => reader.inside(cursor, &[b"textFormat", b"structure", b"jsonSchema", b"schema"]),
        b"contents" => reader.contents(cursor),
        b"systemInstruction" | b"system_instruction" => {
            reader.text("system")?;
            reader.contents(cursor)
        }
        b"generationConfig" | b"generation_config" if cursor.peek() == Some(b'{') => {
            cursor.object(|cursor, member| match &*member.key.name(body) {
                b"responseSchema" | b"response_schema" | b"responseJsonSchema" | b"response_json_schema" => {
                    reader.written_schema(cursor)
                }
                _ => cursor.skip(),
            })?;
            Ok(())
        }
        // What Google counts the tokens of may be a whole request.
        b"generateContentRequest" | b"generate_content_request" => {
            inner = Some(cursor.value()?);
            Ok(())
        }
        b"tools" | b"functions" | b"response_format" | b"output_config" | b"output_format" => reader.schema(cursor),
        _ => cursor.skip(),
    });
    reader.prompt.whole &= read.is_ok();
    let Reader { prompt, room, each } = reader;
    inner.map_or(prompt, |inner| prompt.and(prompt_texts(dialect, &body[inner], room, each)))
}

impl Prompt {
    fn and(self, other: Prompt) -> Prompt {
        Prompt {
            messages: self.messages + other.messages,
            names: self.names + other.names,
            calls: self.calls + other.calls,
            text_bytes: self.text_bytes + other.text_bytes,
            schema_bytes: self.schema_bytes + other.schema_bytes,
            whole: self.whole && other.whole,
        }
    }
}

struct Reader<'e> {
    prompt: Prompt,
    room: usize,
    each: &'e mut dyn FnMut(&str),
}

/// Ends the walk; told to nobody.
const ENOUGH: Bad = Bad { what: "enough was read", at: 0 };

impl Reader<'_> {
    fn text(&mut self, text: &str) -> Result<(), Bad> {
        let taken = &text[..text.floor_char_boundary(self.room.min(text.len()))];
        (self.each)(taken);
        self.prompt.text_bytes += taken.len() as u64;
        self.room -= taken.len();
        if taken.len() < text.len() { Err(ENOUGH) } else { Ok(()) }
    }

    fn string(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.string_or_skip()?.and_then(|text| text.decode(cursor.bytes())) {
            Some(text) => self.text(&text),
            None => Ok(()),
        }
    }

    /// A value as it is written.
    fn json(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let span: Range<usize> = cursor.value()?;
        std::str::from_utf8(&cursor.bytes()[span]).map_or(Ok(()), |json| self.text(json))
    }

    /// Tools, or the form an answer is to have. A form without a schema is one the model is not told of.
    fn schema(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() == Some(b'{') {
            let (before, mut has_schema) = (cursor.clone(), false);
            cursor.object(|cursor, member| {
                has_schema |= matches!(&*member.key.name(cursor.bytes()), b"schema" | b"json_schema" | b"format");
                cursor.skip()
            })?;
            if !has_schema {
                return Ok(());
            }
            *cursor = before;
        }
        self.written_schema(cursor)
    }

    /// A schema as it is written.
    fn written_schema(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let before = self.prompt.text_bytes;
        let read = self.json(cursor);
        self.prompt.schema_bytes += self.prompt.text_bytes - before;
        read
    }

    fn message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        self.prompt.messages += 1;
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"role" | b"reasoning_content" | b"refusal" | b"tool_plan" => self.string(cursor),
            b"name" => {
                self.prompt.names += 1;
                self.string(cursor)
            }
            b"content" => self.content(cursor),
            b"tool_calls" if cursor.peek() == Some(b'[') => {
                self.prompt.calls += u64::from(cursor.array(|cursor| self.holder(cursor))?);
                Ok(())
            }
            b"function_call" => self.holder(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// A text, or parts with texts in them.
    fn content(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'"') => self.string(cursor),
            Some(b'[') => cursor.array(|cursor| self.content(cursor)).map(drop),
            Some(b'{') => self.part(cursor),
            _ => cursor.skip(),
        }
    }

    fn part(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            // A text of Bedrock's for a guardrail stands one deeper, and so does a document's text of Cohere's.
            b"text" => self.content(cursor),
            b"thinking" | b"refusal" | b"name" => self.string(cursor),
            b"content" => self.content(cursor),
            b"input" => {
                self.prompt.calls += 1;
                self.json(cursor)
            }
            // Bedrock's blocks: what they are stands in the name of the member they are in.
            b"toolUse" | b"toolResult" | b"reasoningContent" | b"reasoningText" | b"guardContent" => {
                self.content(cursor)
            }
            b"json" => self.json(cursor),
            // Cohere's documents among the blocks of a message.
            b"document" => self.inside(cursor, &[b"data"]),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// A text of `role`, or items of a responses request.
    fn items(&mut self, role: &str, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'"') => {
                self.prompt.messages += 1;
                self.text(role)?;
                self.string(cursor)
            }
            Some(b'[') => cursor.array(|cursor| self.item(cursor)).map(drop),
            _ => cursor.skip(),
        }
    }

    /// A message, a call or its result. What was thought before is shown to the model in a form we do not know, or not at all.
    fn item(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        let (bytes, before, mut kind) = (cursor.bytes(), cursor.clone(), None);
        cursor.object(|cursor, member| match &*member.key.name(bytes) {
            b"type" => {
                kind = cursor.string_or_skip()?;
                Ok(())
            }
            _ => cursor.skip(),
        })?;
        let speaker = match kind.as_ref().map(|kind| &bytes[kind.span.clone()]) {
            // A message says itself who speaks.
            None | Some(b"message") => None,
            Some(b"function_call" | b"custom_tool_call") => Some("assistant"),
            Some(b"function_call_output" | b"custom_tool_call_output") => Some("tool"),
            Some(_) => return Ok(()),
        };
        self.prompt.messages += 1;
        self.prompt.calls += u64::from(speaker == Some("assistant"));
        speaker.map_or(Ok(()), |speaker| self.text(speaker))?;
        *cursor = before;
        cursor.object(|cursor, member| match &*member.key.name(bytes) {
            b"role" | b"name" | b"arguments" | b"input" => self.string(cursor),
            b"content" | b"output" => self.content(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// Texts and objects of Cohere's: of an object what is shown of it is its data, or its text, or all of it.
    fn documents(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.documents(cursor)).map(drop),
            Some(b'"') => self.string(cursor),
            Some(b'{') => cursor
                .object(|cursor, member| match (&*member.key.name(cursor.bytes()), cursor.peek()) {
                    (b"data", Some(b'{')) => self.json(cursor),
                    (b"id", _) => cursor.skip(),
                    (b"content", _) => self.content(cursor),
                    (_, Some(b'"')) => self.string(cursor),
                    _ => cursor.skip(),
                })
                .map(drop),
            _ => cursor.skip(),
        }
    }

    /// What stands inside objects, each within the member of the one before that is named: a text, or JSON as it is written.
    fn inside(&mut self, cursor: &mut Cursor<'_>, path: &[&[u8]]) -> Result<(), Bad> {
        let Some((name, rest)) = path.split_first() else {
            return match cursor.peek() {
                Some(b'"') => self.string(cursor),
                _ => self.json(cursor),
            };
        };
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| match *member.key.name(cursor.bytes()) == **name {
            true => self.inside(cursor, rest),
            false => cursor.skip(),
        })?;
        Ok(())
    }

    /// Google's contents: who speaks, and parts. Calls and results are objects in parts.
    fn contents(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'[') => return cursor.array(|cursor| self.contents(cursor)).map(drop),
            Some(b'{') => {}
            _ => return cursor.skip(),
        }
        self.prompt.messages += 1;
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"role" => self.string(cursor),
            b"parts" => self.googles_part(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    fn googles_part(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'[') => return cursor.array(|cursor| self.googles_part(cursor)).map(drop),
            Some(b'{') => {}
            _ => return cursor.skip(),
        }
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"text" | b"name" => self.string(cursor),
            b"functionCall" | b"function_call" => {
                self.prompt.calls += 1;
                self.googles_part(cursor)
            }
            b"functionResponse" | b"function_response" => self.googles_part(cursor),
            b"args" | b"response" => self.json(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// A call of a tool: what it is called, and with what.
    fn holder(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"name" | b"arguments" | b"input" => self.string(cursor),
            b"function" | b"custom" => self.holder(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, most_bytes: usize) -> (Prompt, Vec<String>) {
        read_as(Dialect::OpenAiChat, body, most_bytes)
    }

    fn read_as(dialect: Dialect, body: &str, most_bytes: usize) -> (Prompt, Vec<String>) {
        let mut texts = Vec::new();
        let prompt = prompt_texts(dialect, body.as_bytes(), most_bytes, &mut |text| texts.push(text.to_owned()));
        (prompt, texts)
    }

    #[test]
    fn the_texts_of_a_chat_are_handed_out_and_nothing_else() {
        let body = r#"{"model":"w","messages":[{"role":"system","content":"Be\nkind"},{"role":"user","name":"ann","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"call_1","content":"a cat"}],"user":"u-1","temperature":1}"#;
        let (prompt, texts) = read(body, 1 << 20);
        let expected =
            ["system", "Be\nkind", "user", "ann", "What is this?", "assistant", "look", "{\"x\":1}", "tool", "a cat"];
        assert_eq!(texts, expected);
        assert_eq!(
            (prompt.messages, prompt.names, prompt.calls, prompt.schema_bytes, prompt.whole),
            (4, 1, 1, 0, true)
        );
        assert_eq!(prompt.text_bytes, expected.concat().len() as u64);
    }

    #[test]
    fn a_system_prompt_beside_the_messages_is_one_of_them_and_a_tools_schema_is_told_apart() {
        let body = r#"{"model":"w","system":[{"type":"text","text":"Be kind","cache_control":{"type":"ephemeral"}}],"output_format":{"type":"text"},"tools":[{"name":"f"}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"a cat"},{"type":"document","source":{"type":"base64","data":"AAAA"}}]}]}"#;
        let (prompt, texts) = read(body, 1 << 20);
        assert_eq!(texts, ["system", "Be kind", r#"[{"name":"f"}]"#, "user", "a cat"]);
        assert_eq!((prompt.messages, prompt.schema_bytes), (2, 14));
    }

    #[test]
    fn googles_contents_are_read_in_either_spelling() {
        let body = r#"{"system_instruction":{"parts":[{"text":"Be kind"}]},"contents":[{"role":"user","parts":[{"text":"What?"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},{"role":"model","parts":[{"functionCall":{"name":"look","args":{"x":1}},"thoughtSignature":"AAAA"}]},{"role":"user","parts":[{"functionResponse":{"name":"look","response":{"y":2}}}]}],"generationConfig":{"maxOutputTokens":9,"responseSchema":{"type":"STRING"}}}"#;
        let (prompt, texts) = read(body, 1 << 20);
        let expected =
            ["system", "Be kind", "user", "What?", "model", "look", r#"{"x":1}"#, "user", "look", r#"{"y":2}"#];
        assert_eq!(texts[..10], expected);
        assert_eq!((prompt.messages, prompt.calls, prompt.schema_bytes), (4, 1, 17));
    }

    #[test]
    fn a_whole_request_that_google_is_to_count_is_read_like_one() {
        let body = r#"{"generateContentRequest":{"model":"models/w","contents":[{"role":"user","parts":[{"text":"What?"}]}],"tools":[{"x":1}]}}"#;
        let (prompt, texts) = read(body, 1 << 20);
        assert_eq!(texts, ["user", "What?", r#"[{"x":1}]"#]);
        assert_eq!((prompt.messages, prompt.schema_bytes, prompt.whole), (1, 9, true));
        let (prompt, texts) = read(body, 6);
        assert_eq!((texts.concat().as_str(), prompt.whole), ("userWh", false));
    }

    #[test]
    fn the_items_of_a_response_are_read_like_the_messages_of_a_chat() {
        let body = r#"{"model":"w","instructions":"Be kind","input":[{"role":"user","content":[{"type":"input_text","text":"What is this?"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"AAAA"},{"type":"function_call","id":"fc_1","call_id":"call_1","name":"look","arguments":"{\"x\":1}"},{"type":"function_call_output","call_id":"call_1","output":"a cat"},{"type":"item_reference","id":"msg_1"}],"text":{"format":{"type":"json_schema","name":"n","schema":{}},"verbosity":"low"},"prompt_cache_key":"k"}"#;
        let (prompt, texts) = read_as(Dialect::OpenAiResponses, body, 1 << 20);
        let expected =
            ["system", "Be kind", "user", "What is this?", "assistant", "look", "{\"x\":1}", "tool", "a cat"];
        assert_eq!(texts[..9], expected);
        assert_eq!((prompt.messages, prompt.calls, prompt.whole), (4, 1, true));
        assert_eq!(texts[9], r#"{"type":"json_schema","name":"n","schema":{}}"#);
        assert_eq!(prompt.schema_bytes as usize, texts[9].len());
        let plain = r#"{"input":"Hello","text":{"format":{"type":"text"}}}"#;
        let (prompt, texts) = read_as(Dialect::OpenAiResponses, plain, 1 << 20);
        assert_eq!((prompt.messages, texts), (1, vec!["user".to_owned(), "Hello".to_owned()]));
    }

    #[test]
    fn a_conversation_of_bedrocks_is_read_by_the_names_of_its_blocks() {
        let body = r#"{"system":[{"text":"Be kind"}],"messages":[{"role":"user","content":[{"text":"What?"},{"image":{"format":"png","source":{"bytes":"AAAA"}}},{"guardContent":{"text":{"text":"guarded"}}}]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"look","input":{"x":1}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"t","content":[{"json":{"y":2}},{"text":"a cat"}],"status":"success"}}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"look"}}],"toolChoice":{"auto":{}}}}"#;
        let (prompt, texts) = read(body, 1 << 20);
        let expected = [
            "system",
            "Be kind",
            "user",
            "What?",
            "guarded",
            "assistant",
            "look",
            r#"{"x":1}"#,
            "user",
            r#"{"y":2}"#,
            "a cat",
            r#"[{"toolSpec":{"name":"look"}}]"#,
        ];
        assert_eq!(texts, expected);
        assert_eq!((prompt.messages, prompt.calls, prompt.schema_bytes), (4, 1, 30));
    }

    #[test]
    fn what_cohere_ranks_embeds_and_rests_answers_on_is_read() {
        let texts = |body: &str| read(body, 1 << 20).1;
        assert_eq!(texts(r#"{"query":"q","documents":["a",{"text":"b"}],"top_n":1}"#), ["q", "a", "b"]);
        assert_eq!(texts(r#"{"texts":["a","b"],"input_type":"search_query"}"#), ["a", "b"]);
        assert_eq!(texts(r#"{"inputs":[{"content":[{"type":"text","text":"a"}]}]}"#), ["a"]);
        let chat = r#"{"messages":[{"role":"assistant","tool_plan":"look","tool_calls":[]},{"role":"tool","tool_call_id":"t","content":[{"type":"document","document":{"id":"1","data":{"x":1}}}]}],"documents":[{"id":"d","data":{"text":"c"}}]}"#;
        assert_eq!(texts(chat), ["assistant", "look", "tool", r#"{"x":1}"#, r#"{"text":"c"}"#]);
    }

    #[test]
    fn reading_stops_at_the_bound() {
        let body = r#"{"messages":[{"role":"user","content":"aé中b"},{"role":"user","content":"more"}],"input":"c"}"#;
        let (prompt, texts) = read(body, 8);
        assert_eq!((texts.concat().as_str(), prompt.messages, prompt.whole), ("useraé", 1, false));
        assert_eq!(
            read(r#"{"input":["ab","cd"]}"#, 4),
            (Prompt { text_bytes: 4, whole: true, ..Prompt::default() }, vec!["ab".to_owned(), "cd".to_owned()])
        );
    }
}
