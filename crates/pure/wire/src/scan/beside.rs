//! Reads the heads of OpenAI's requests beside conversations: completions, moderations, pictures, speech and audio, as JSON
//! or, where files are sent, as a form.

use std::ops::Range;

use super::content::Content;
use super::{BadBody, Cap, Features, Head, NOT_ONCE, Spans, TEMPLATE_UPPER_TOKENS, flag, stream_options, whole_number};
use crate::audio;
use crate::cursor::{Bad, Cursor, Member};
use crate::dialect::{Dialect, Operation};
use crate::form::{self, BadForm};
use crate::scan::IMAGE_UPPER_TOKENS;

/// Output tokens allowed for one picture. OpenAI's image guide ("Calculating costs") lists 6 240 for the dearest picture of
/// GPT Image 1 to 1.5; the largest that its calculator takes for gpt-image-2 (8 294 400 pixels, square, high quality) comes to
/// 23 719.
const PICTURE_UPPER_TOKENS: u64 = 25_000;
/// Output tokens allowed for a character spoken. OpenAI's price of a minute (gpt-4o-mini-tts: about $0.015, at $12 a million)
/// makes 21 tokens a second, as does its one token for 50 ms of what a model says (realtime guide, "Managing costs"); at the
/// slowest `speed` (0.25, of 15 characters a second) that is under 6 a character. Four times that.
const SPOKEN_UPPER_TOKENS: u64 = 24;
/// Audio tokens of a second (OpenAI's realtime guide, "Managing costs": one for 100 ms of what a user says).
const HEARD_TOKENS_PER_SECOND: u64 = 10;
/// Text tokens that a second of audio is written down in at most. Ours: nobody speaks twenty words a second.
const WRITTEN_UPPER_TOKENS_PER_SECOND: u64 = 20;
/// Tokens allowed beside those.
const MORE_UPPER_TOKENS: u64 = 256;

/// Fields that are read, and so may stand only once.
const FIELDS: [&str; 12] = [
    "model",
    "stream",
    "stream_format",
    "stream_options",
    "max_tokens",
    "n",
    "best_of",
    "prompt",
    "input",
    "instructions",
    "suffix",
    "images",
];

/// Reads a JSON body.
pub(super) fn scan(operation: Operation, mut cursor: Cursor<'_>) -> Result<Head, BadBody> {
    let mut reader = Reader::new(operation, cursor.position() + 1);
    let bytes = cursor.bytes().len();
    let read = cursor.object(|cursor, member| reader.member(cursor, member)).and_then(|_| {
        reader.at_field = None;
        cursor.finish()
    });
    match read {
        Ok(()) => reader.head(bytes),
        Err(bad) => {
            let message = match reader.at_field {
                Some(field) if !bad.what.starts_with('`') => format!("`{field}`: {}", bad.what),
                _ => bad.what.to_owned(),
            };
            Err(BadBody { message, offset: bad.at, param: reader.at_field })
        }
    }
}

/// Reads a form (`multipart/form-data`) with this boundary. Nothing of it is copied but what its fields say.
pub fn scan_form(operation: Operation, boundary: &str, body: &[u8]) -> Result<Head, BadBody> {
    let mut reader = Reader::new(operation, 0);
    reader.spans.form = Some(boundary.to_owned());
    let mut param = None;
    let read = form::parts(boundary, body, |part| {
        let name = &body[part.name.clone()];
        param = FIELDS.iter().copied().chain(["file"]).find(|field| field.as_bytes() == name);
        reader.part(name, part.is_file, body, part.value.clone())
    });
    match read {
        Ok(()) => reader.head(body.len()),
        Err(bad) => Err(BadBody { message: bad.what.to_owned(), offset: bad.at, param }),
    }
}

struct Reader {
    operation: Operation,
    head: Head,
    spans: Spans,
    content: Content,
    best_of: u32,
    prompts: u32,
    /// Bytes of files in a form.
    file_bytes: u64,
    /// One bit for each of [`FIELDS`] met.
    met: u32,
    at_field: Option<&'static str>,
}

impl Reader {
    fn new(operation: Operation, open: usize) -> Reader {
        Reader {
            operation,
            head: Head { n: 1, include_usage: operation != Operation::Completions, ..Head::default() },
            spans: Spans { open, ..Spans::default() },
            content: Content::new(Dialect::OpenAiChat),
            best_of: 1,
            prompts: 1,
            file_bytes: 0,
            met: 0,
            at_field: None,
        }
    }

    fn meets(&mut self, name: &[u8]) -> bool {
        let Some(index) = FIELDS.iter().position(|field| field.as_bytes() == name) else { return true };
        self.at_field = Some(FIELDS[index]);
        let again = self.met >> index & 1 == 1;
        self.met |= 1 << index;
        !again
    }

    fn member(&mut self, cursor: &mut Cursor<'_>, member: &Member) -> Result<(), Bad> {
        let name = member.key.name(cursor.bytes());
        self.at_field = None;
        if !self.meets(&name) {
            return Err(Bad { what: NOT_ONCE, at: member.key.span.start });
        }
        let before = cursor.text_bytes;
        let (completes, pictures) = (self.operation == Operation::Completions, self.operation.makes_pictures());
        match &*name {
            b"model" => return self.model(cursor),
            b"stream" if completes || pictures => {
                self.head.stream = flag(cursor, "`stream` must be true or false")?;
                return Ok(());
            }
            b"stream_options" if completes => {
                let (include, continuous) = (&mut self.head.include_usage, &mut self.head.continuous_usage);
                self.spans.stream_options = Some(stream_options(cursor, include, continuous)?);
                return Ok(());
            }
            b"max_tokens" if completes => {
                let (cap, value) = whole_number(cursor, "the cap on output tokens must be a whole number")?;
                self.head.max_output = cap;
                self.spans.max_tokens = Some(Cap { key: member.key.quoted(), value });
                return Ok(());
            }
            b"n" => {
                self.head.n = count(cursor, "`n` must be a whole number of at least 1")?;
                return Ok(());
            }
            b"best_of" => {
                self.best_of = count(cursor, "`best_of` must be a whole number of at least 1")?;
                return Ok(());
            }
            b"prompt" if completes => self.prompts(cursor)?,
            b"input" if self.operation == Operation::Speech => {
                let text = cursor.string().map_err(|bad| Bad { what: "`input` must be a text", ..bad })?;
                let text = text.decode(cursor.bytes()).unwrap_or_default();
                self.head.units.characters = text.chars().count() as u64;
            }
            b"input" => self.content.walk(cursor)?,
            b"images" if pictures => {
                let sent = self.content.binary_tokens;
                self.content.pictures(cursor)?;
                let sent = (self.content.binary_tokens - sent) / IMAGE_UPPER_TOKENS;
                self.head.units.pictures_sent = u32::try_from(sent).unwrap_or(u32::MAX);
            }
            b"prompt" | b"instructions" | b"suffix" => cursor.skip()?,
            _ => return cursor.skip(),
        }
        self.head.prompt_bytes += cursor.text_bytes - before;
        Ok(())
    }

    fn model(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        const WHAT: &str = "`model` must be a string that names a workflow";
        if cursor.peek() != Some(b'"') {
            return Err(cursor.bad(WHAT));
        }
        let text = cursor.string()?;
        self.spans.model = Some(text.quoted());
        self.head.model = text.decode(cursor.bytes()).map(|model| model.into_owned()).filter(|model| !model.is_empty());
        self.head.model.is_some().then_some(()).ok_or(Bad { what: WHAT, at: text.span.start })
    }

    /// One text, several, one list of tokens, or several of those.
    fn prompts(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'[') {
            return cursor.skip();
        }
        let mut single = false;
        let prompts = cursor.array(|cursor| {
            single |= !matches!(cursor.peek(), Some(b'"' | b'['));
            cursor.skip()
        })?;
        self.prompts = if single { 1 } else { prompts.max(1) };
        Ok(())
    }

    /// One part of a form.
    fn part(&mut self, name: &[u8], is_file: bool, body: &[u8], value: Range<usize>) -> Result<(), BadForm> {
        let bad = |what| Err(BadForm { what, at: value.start });
        if is_file || name == b"file" || name.starts_with(b"image") || name == b"mask" {
            if matches!(name, b"model" | b"stream" | b"n") {
                return bad("`model`, `stream` and `n` are texts, not files");
            }
            self.file_bytes += value.len() as u64;
            if self.operation.hears() {
                if self.head.units.audio.upper_ms > 0 {
                    return bad("`file` stands twice; send one");
                }
                self.head.units.audio = audio::length(&body[value]);
            } else {
                self.head.units.pictures_sent += 1;
                self.content.images = true;
            }
            return Ok(());
        }
        if !self.meets(name) {
            return bad("a field of the form stands twice; write it once");
        }
        let Ok(text) = std::str::from_utf8(&body[value.clone()]) else {
            return bad("a field of the form is not UTF-8");
        };
        match name {
            b"model" if text.is_empty() || text.chars().any(char::is_control) => {
                return bad("`model` must be a text that names a workflow");
            }
            b"model" => {
                self.head.model = Some(text.to_owned());
                self.spans.model = Some(value);
            }
            b"stream" => match text {
                "true" | "True" | "1" => self.head.stream = true,
                "false" | "False" | "0" | "" => {}
                _ => return bad("`stream` must be true or false"),
            },
            b"n" => match text.parse() {
                Ok(count) => self.head.n = u32::max(1, count),
                Err(_) => return bad("`n` must be a whole number of at least 1"),
            },
            _ => self.head.prompt_bytes += text.len() as u64,
        }
        Ok(())
    }

    fn head(self, body_bytes: usize) -> Result<Head, BadBody> {
        let Reader { operation, mut head, spans, content, best_of, prompts, file_bytes, met, .. } = self;
        let missing = |param: &'static str| {
            Err(BadBody { message: format!("`{param}` is missing"), offset: body_bytes, param: Some(param) })
        };
        let is_form = spans.form.is_some();
        let has =
            |field: &str| FIELDS.iter().position(|name| *name == field).is_some_and(|index| met >> index & 1 == 1);
        match operation {
            Operation::Completions if !has("prompt") => return missing("prompt"),
            Operation::Moderations | Operation::Speech if !has("input") => return missing("input"),
            Operation::ImageGeneration | Operation::ImageEdit if !has("prompt") => return missing("prompt"),
            Operation::ImageEdit if is_form && head.units.pictures_sent == 0 => return missing("image"),
            Operation::Transcription | Operation::AudioTranslation if file_bytes == 0 => return missing("file"),
            _ => {}
        }
        if head.model.is_none() && !operation.has_a_model_of_its_own() {
            return Err(BadBody {
                message: "`model` is missing; it names the workflow".into(),
                offset: body_bytes,
                param: Some("model"),
            });
        }
        let seconds = head.units.audio.upper_ms.div_ceil(1_000);
        let text_bytes = (body_bytes as u64).saturating_sub(content.binary_bytes + file_bytes);
        let sent = u64::from(head.units.pictures_sent) * if is_form { IMAGE_UPPER_TOKENS } else { 0 };
        head.input_upper_tokens =
            text_bytes + content.binary_tokens + TEMPLATE_UPPER_TOKENS + sent + seconds * HEARD_TOKENS_PER_SECOND;
        match operation {
            // What is thrown away of the best of several is billed too.
            Operation::Completions => head.n = head.n.max(best_of).saturating_mul(prompts),
            Operation::ImageGeneration | Operation::ImageEdit => {
                head.units.pictures = head.n;
                head.max_output = Some(PICTURE_UPPER_TOKENS);
            }
            Operation::Speech => {
                // Sound comes as it is made, whether as bytes or as events.
                head.stream = true;
                head.n = 1;
                head.max_output = Some(head.units.characters * SPOKEN_UPPER_TOKENS + MORE_UPPER_TOKENS);
            }
            Operation::Transcription | Operation::AudioTranslation => {
                head.n = 1;
                head.max_output = Some(seconds * WRITTEN_UPPER_TOKENS_PER_SECOND + MORE_UPPER_TOKENS);
            }
            _ => head.n = 1,
        }
        head.features = Features { images: content.images, audio: operation.hears(), ..Features::default() };
        head.stream &= operation.may_stream();
        head.spans = spans;
        Ok(head)
    }
}

fn count(cursor: &mut Cursor<'_>, what: &'static str) -> Result<u32, Bad> {
    let (count, _) = whole_number(cursor, what)?;
    Ok(count.map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;

    fn read(operation: Operation, body: &str) -> Result<Head, BadBody> {
        scan(Dialect::OpenAiChat, operation, None, body.as_bytes())
    }

    #[test]
    fn a_completion_is_held_for_every_answer_it_may_be_billed() {
        let head = |more: &str| read(Operation::Completions, &format!(r#"{{"model":"m","max_tokens":5{more}}}"#));
        assert_eq!(head(r#","prompt":"abc""#).unwrap().prompt_bytes, 3);
        assert_eq!(head(r#","prompt":["a","b"],"n":2,"best_of":3"#).unwrap().n, 6);
        assert_eq!(head(r#","prompt":[1,2,3]"#).unwrap().n, 1);
        assert_eq!(head(r#","prompt":[[1,2],[3]]"#).unwrap().n, 2);
        assert_eq!(head("").unwrap_err().param, Some("prompt"));
        assert!(head(r#","prompt":"a","n":-1"#).is_err() && head(r#","prompt":"a","prompt":"b""#).is_err());
        let streamed = head(r#","prompt":"a","stream":true"#).unwrap();
        assert!(streamed.stream && !streamed.include_usage);
    }

    #[test]
    fn pictures_and_speech_are_counted_in_their_units() {
        let four = read(Operation::ImageGeneration, r#"{"prompt":"a cat","n":4}"#).unwrap();
        assert_eq!((four.model, four.units.pictures), (None, 4));
        let said = read(Operation::Speech, r#"{"model":"m","input":"h\u00e9llo","voice":"alloy"}"#).unwrap();
        assert_eq!((said.units.characters, said.stream), (5, true));
        assert_eq!(read(Operation::Speech, r#"{"input":"x"}"#).unwrap_err().param, Some("model"));
        assert!(read(Operation::Speech, r#"{"model":"m","input":["x"]}"#).is_err());
        assert_eq!(read(Operation::Moderations, r#"{"input":"x"}"#).unwrap().model, None);
        assert!(read(Operation::Moderations, "{}").is_err());
    }

    fn form(parts: &[(&str, &str)]) -> String {
        let part =
            |(head, value): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
        parts.iter().map(part).collect::<String>() + "--b--\r\n"
    }

    #[test]
    fn a_form_names_its_model_once() {
        let read = |parts: &[(&str, &str)]| scan_form(Operation::Transcription, "b", form(parts).as_bytes());
        let (model, file) = (("name=\"model\"", "w"), ("name=\"file\"; filename=\"a.mp3\"", "12345678"));
        let head = read(&[model, ("name=\"stream\"", "true"), file]).unwrap();
        assert_eq!((head.model.as_deref(), head.stream, head.units.audio.upper_ms), (Some("w"), true, 11));
        assert_eq!(read(&[model, model, file]).unwrap_err().param, Some("model"));
        assert!(read(&[model, file, file]).unwrap_err().message.contains("`file`"));
        assert_eq!(read(&[model]).unwrap_err().param, Some("file"));
        assert_eq!(read(&[file]).unwrap_err().param, Some("model"));
        assert!(read(&[("name=\"model\"; filename=\"m\"", "w"), file]).is_err());
        assert!(read(&[("name=\"model\"", "a\nb"), file]).is_err());
    }
}
