//! Reads the head of a request in Google's dialect, which spells every field in either of two ways and nests what counts.

use std::ops::Range;

use smallvec::SmallVec;

use super::content::IMAGE_UPPER_TOKENS;
use super::signed::made_by;
use super::{
    BadBody, Bound, Cap, Container, Features, Head, NOT_ONCE, Piece, Place, Spans, TEMPLATE_UPPER_TOKENS,
    TOOLS_UPPER_TOKENS, Whole,
};
use crate::cursor::{Bad, Cursor, Member, Text};
use crate::dialect::{Address, Operation};
use crate::dialects::gemini::{is_kept_by_google, is_spelled};
use crate::splice::MemberSpan;

/// Input tokens allowed for what we cannot see the length of (videos, documents, cached prompts): the context of Google's
/// largest models (Gemini API, models page: 1,048,576 input tokens).
const UNSEEN_UPPER_TOKENS: u64 = 1_048_576;

/// Base64 bytes of audio that cannot carry more than one token: Google counts 32 tokens a second (Gemini API, audio
/// understanding), and speech is not coded below 6 kbit/s, which is 1,000 base64 bytes a second.
const AUDIO_BYTES_PER_TOKEN: u64 = 30;

/// Fields at the top that are read, and so may stand only once, in one spelling.
const FIELDS: [&str; 11] = [
    "contents",
    "content",
    "requests",
    "generateContentRequest",
    "systemInstruction",
    "tools",
    "generationConfig",
    "cachedContent",
    "model",
    "toolConfig",
    "safetySettings",
];

/// Reads the head; the cursor stands before the opening brace.
pub(super) fn scan(operation: Operation, address: Option<&Address>, mut cursor: Cursor<'_>) -> Result<Head, BadBody> {
    let body_bytes = cursor.bytes().len();
    let mut scanner = Scanner { chat: operation == Operation::Chat, ..Scanner::default() };
    scanner.spans.open = cursor.position() + 1;
    let read = scanner.request(&mut cursor).and_then(|()| {
        scanner.at_field = None;
        cursor.finish()
    });
    if let Err(bad) = read {
        let message = match scanner.at_field {
            Some(field) if bad.what == NOT_ONCE => format!("`{field}`: {NOT_ONCE}"),
            Some(field) if !bad.what.starts_with('`') => format!("`{field}`: {}", bad.what),
            _ => bad.what.to_owned(),
        };
        return Err(BadBody { message, offset: bad.at, param: scanner.at_field });
    }
    let missing = |param: &'static str, message: &str| {
        Err(BadBody { message: message.to_owned(), offset: body_bytes, param: Some(param) })
    };
    let Some(address) = address.filter(|address| !address.model.is_empty()) else {
        return missing("model", "the model is missing in the path; it names the workflow");
    };
    match operation {
        Operation::Chat | Operation::CountTokens if !scanner.has_contents => {
            return missing("contents", "`contents` is missing");
        }
        Operation::Embeddings if !scanner.has_contents => return missing("content", "`content` is missing"),
        _ => {}
    }
    let tools = if scanner.features.tools { TOOLS_UPPER_TOKENS } else { 0 };
    Ok(Head {
        model: Some(address.model.clone()),
        stream: address.stream,
        include_usage: true,
        continuous_usage: true,
        max_output: scanner.max_output,
        n: scanner.n.max(1),
        batch: scanner.batch,
        prompt_bytes: scanner.prompt_bytes,
        input_upper_tokens: (body_bytes as u64 - scanner.binary_bytes)
            .saturating_add(scanner.binary_tokens)
            .saturating_add(TEMPLATE_UPPER_TOKENS + tools),
        search_units_upper: 0,
        units: super::Units::default(),
        features: scanner.features,
        bound: scanner.bound,
        spans: scanner.spans,
    })
}

#[derive(Default)]
struct Scanner {
    /// Whether an answer is asked for: then a request inside the request is a field that no one knows.
    chat: bool,
    spans: Spans,
    max_output: Option<u64>,
    n: u32,
    prompt_bytes: u64,
    features: Features,
    bound: Bound,
    binary_bytes: u64,
    binary_tokens: u64,
    has_contents: bool,
    batch: bool,
    /// The field being read.
    at_field: Option<&'static str>,
}

impl Scanner {
    /// A request, or one that stands in another.
    fn request(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let mut met = 0u32;
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            let Some(index) = FIELDS.iter().position(|field| is_spelled(&name, field)) else {
                self.at_field = None;
                return cursor.skip();
            };
            let field = FIELDS[index];
            self.at_field = Some(field);
            if met >> index & 1 == 1 {
                return Err(Bad { what: NOT_ONCE, at: member.key.span.start });
            }
            met |= 1 << index;
            let before = cursor.text_bytes;
            match field {
                "contents" | "content" | "systemInstruction" => {
                    self.has_contents |= field != "systemInstruction";
                    self.contents(cursor)?;
                }
                "tools" => {
                    if cursor.peek() == Some(b'[') {
                        self.features.tools |= cursor.array(|cursor| cursor.skip())? > 0;
                    } else {
                        cursor.skip()?;
                    }
                }
                "generationConfig" => self.generation_config(cursor)?,
                "requests" | "generateContentRequest" if !self.chat => {
                    self.batch |= field == "requests";
                    // Each counts its own prompt.
                    return self.inner(cursor);
                }
                "cachedContent" => {
                    let value = cursor.value()?;
                    if cursor.bytes()[value.clone()].starts_with(b"\"") {
                        self.binary_tokens = self.binary_tokens.saturating_add(UNSEEN_UPPER_TOKENS);
                        self.bound.hidden_prompt |= cursor.bytes()[value] != *b"\"\"";
                    }
                    return Ok(());
                }
                "model" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        self.spans.resources.push(text.quoted());
                    }
                    return Ok(());
                }
                _ => return cursor.skip(),
            }
            self.prompt_bytes += cursor.text_bytes - before;
            Ok(())
        })?;
        Ok(())
    }

    fn inner(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'{') => self.request(cursor),
            Some(b'[') => {
                self.has_contents = true;
                cursor.array(|cursor| match cursor.peek() {
                    Some(b'{') => self.request(cursor),
                    _ => cursor.skip(),
                })?;
                Ok(())
            }
            _ => cursor.skip(),
        }
    }

    /// Contents, their parts, and whatever stands inside a tool's answer.
    fn contents(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.contents(cursor)).map(drop),
            Some(b'{') => self.content(cursor),
            _ => cursor.skip(),
        }
    }

    /// One content, or one part of it.
    fn content(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let (mut signatures, mut in_call) = (SmallVec::<[(MemberSpan, Option<Text>); 1]>::new(), false);
        let object = cursor.position();
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            match () {
                () if &*name == b"parts" || is_spelled(&name, "functionResponse") => self.contents(cursor)?,
                () if is_spelled(&name, "inlineData") => self.inline(cursor)?,
                () if is_spelled(&name, "fileData") => self.file(cursor)?,
                () if is_spelled(&name, "thoughtSignature") => {
                    cursor.peek();
                    let start = cursor.position();
                    let text = cursor.string_or_skip()?;
                    signatures.push((MemberSpan::new(member, start..cursor.position()), text));
                }
                () => {
                    in_call |= is_spelled(&name, "functionCall");
                    cursor.skip()?;
                }
            }
            Ok(())
        })?;
        for (member, text) in signatures {
            let Some(text) = text.filter(|text| text.decoded_len > 0) else { continue };
            self.spans.signed.pieces.push(Piece {
                made_by: made_by(cursor.bytes(), Some(&text)),
                texts: SmallVec::from_iter([text.span]),
                at: "/contents".to_owned(),
                message: None,
                whole: Whole::Member { place: Place { object, member }, in_call },
            });
        }
        Ok(())
    }

    fn inline(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        let (mut kind, mut bytes) = (0..0, 0);
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            if is_spelled(&name, "mimeType") {
                kind = text_span(cursor)?;
                return Ok(());
            }
            if let (Some(text), b"data") = (cursor.string_or_skip()?, &*name) {
                bytes = text.span.len() as u64;
                self.binary_bytes += bytes;
                cursor.text_bytes -= text.decoded_len as u64;
            }
            Ok(())
        })?;
        let kind = Kind::of(&cursor.bytes()[kind]);
        self.note(kind);
        let tokens = match kind {
            Kind::Image => IMAGE_UPPER_TOKENS,
            Kind::Audio => bytes / AUDIO_BYTES_PER_TOKEN + 1,
            // Base64 is longer than the text it stands for.
            Kind::Text => bytes,
            Kind::Other => UNSEEN_UPPER_TOKENS,
        };
        self.binary_tokens = self.binary_tokens.saturating_add(tokens);
        Ok(())
    }

    fn file(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        let mut kind = 0..0;
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            match () {
                () if is_spelled(&name, "mimeType") => kind = text_span(cursor)?,
                () if is_spelled(&name, "fileUri") => {
                    // Escapes are resolved, or an address could hide behind them.
                    let value = cursor.value()?;
                    let uri = serde_json::from_slice::<String>(&cursor.bytes()[value]).unwrap_or_default();
                    self.bound.opaque |= is_kept_by_google(&uri);
                }
                () => cursor.skip()?,
            }
            Ok(())
        })?;
        let kind = Kind::of(&cursor.bytes()[kind]);
        self.note(kind);
        let tokens = if kind == Kind::Image { IMAGE_UPPER_TOKENS } else { UNSEEN_UPPER_TOKENS };
        self.binary_tokens = self.binary_tokens.saturating_add(tokens);
        Ok(())
    }

    fn note(&mut self, kind: Kind) {
        self.features.images |= kind == Kind::Image;
        self.features.audio |= kind == Kind::Audio;
        self.features.documents |= matches!(kind, Kind::Text | Kind::Other);
    }

    fn generation_config(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let mut config = Container::default();
        match cursor.peek() {
            Some(b'{') => {
                let start = cursor.position();
                let mut met = [false; 2];
                let count = cursor.object(|cursor, member| self.setting(cursor, member, &mut met))?;
                config = Container { value: start..cursor.position(), is_object: true, has_members: count > 0 };
            }
            Some(b'n') => config.value = cursor.value()?,
            _ => return Err(cursor.bad("`generationConfig` must be an object")),
        }
        self.spans.generation_config = Some(config);
        Ok(())
    }

    fn setting(&mut self, cursor: &mut Cursor<'_>, member: &Member, met: &mut [bool; 2]) -> Result<(), Bad> {
        let name = member.key.name(cursor.bytes());
        let mut once = |index: usize| match std::mem::replace(&mut met[index], true) {
            true => Err(Bad { what: NOT_ONCE, at: member.key.span.start }),
            false => Ok(()),
        };
        match () {
            () if is_spelled(&name, "maxOutputTokens") => {
                once(0)?;
                let (cap, value) = number(cursor, "`maxOutputTokens` must be a whole number")?;
                self.max_output = cap;
                self.spans.max_tokens = Some(Cap { key: member.key.quoted(), value });
            }
            () if is_spelled(&name, "candidateCount") => {
                once(1)?;
                let (count, _) = number(cursor, "`candidateCount` must be a whole number")?;
                self.n = count.map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX));
            }
            () if is_spelled(&name, "responseMimeType") => {
                let kind = text_span(cursor)?;
                self.features.structured |= !matches!(&cursor.bytes()[kind], b"" | b"text/plain");
            }
            () if is_spelled(&name, "responseLogprobs") => {
                let value = cursor.value()?;
                self.features.logprobs |= &cursor.bytes()[value] == b"true";
            }
            () if is_spelled(&name, "thinkingConfig") => self.thinking(cursor)?,
            () => cursor.skip()?,
        }
        Ok(())
    }

    /// A budget of nothing asks for no reasoning.
    fn thinking(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        let mut wanted = false;
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            let (budget, level) = (is_spelled(&name, "thinkingBudget"), is_spelled(&name, "thinkingLevel"));
            let value = cursor.value()?;
            let text = &cursor.bytes()[value];
            wanted |= text != b"null" && ((budget && text != b"0") || level);
            Ok(())
        })?;
        self.features.reasoning |= wanted;
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Audio,
    Text,
    Other,
}

impl Kind {
    fn of(media_type: &[u8]) -> Kind {
        let starts = |with: &[u8]| media_type.len() > with.len() && media_type[..with.len()].eq_ignore_ascii_case(with);
        match () {
            () if starts(b"image/") => Kind::Image,
            () if starts(b"audio/") => Kind::Audio,
            () if starts(b"text/") => Kind::Text,
            () => Kind::Other,
        }
    }
}

/// Where a string stands, quotes left out; nowhere when it is none.
fn text_span(cursor: &mut Cursor<'_>) -> Result<Range<usize>, Bad> {
    Ok(cursor.string_or_skip()?.map_or(0..0, |text| text.span))
}

/// A whole number, also one written as a string, as the JSON form of Google's 64-bit numbers is; `None` for null.
fn number(cursor: &mut Cursor<'_>, what: &'static str) -> Result<(Option<u64>, Range<usize>), Bad> {
    let span = cursor.value()?;
    let text = &cursor.bytes()[span.clone()];
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    let text = text.strip_suffix(b".0").unwrap_or(text);
    match text {
        b"null" => Ok((None, span)),
        text => match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
            Some(number) => Ok((Some(number), span)),
            None => Err(Bad { what, at: span.start }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;
    use crate::dialect::Dialect;

    fn head(body: &str) -> Result<Head, BadBody> {
        let address = Address { model: "claims-triage".into(), stream: true };
        scan(Dialect::Gemini, Operation::Chat, Some(&address), body.as_bytes())
    }

    #[test]
    fn the_address_names_the_model_and_the_body_the_rest_in_either_spelling() {
        for body in [
            r#"{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"maxOutputTokens":7,"candidateCount":2}}"#,
            r#"{"contents":[{"parts":[{"text":"Hi"}]}],"generation_config":{"max_output_tokens":"7","candidate_count":2.0}}"#,
        ] {
            let head = head(body).unwrap();
            assert_eq!((head.model.as_deref(), head.stream), (Some("claims-triage"), true));
            assert_eq!((head.max_output, head.n), (Some(7), 2), "{body}");
            assert!(head.prompt_bytes >= 11);
        }
        let nameless = scan(Dialect::Gemini, Operation::Chat, None, br#"{"contents":[]}"#).unwrap_err();
        assert_eq!(nameless.param, Some("model"));
    }

    #[test]
    fn a_field_in_both_spellings_is_refused() {
        for body in [
            r#"{"contents":[],"generationConfig":{},"generation_config":{"maxOutputTokens":9}}"#,
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9000}}"#,
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":1,"max\u004futputTokens":9000}}"#,
        ] {
            assert_eq!(head(body).unwrap_err().param, Some("generationConfig"), "{body}");
        }
    }

    #[test]
    fn what_is_no_text_counts_by_its_allowance() {
        let inline = |kind: &str, length: usize| {
            let data = "A".repeat(length);
            head(&format!(
                r#"{{"contents":[{{"parts":[{{"inline_data":{{"data":"{data}","mime_type":"{kind}"}}}}]}}]}}"#
            ))
            .unwrap()
        };
        let (small, large) = (inline("image/png", 4), inline("image/png", 100_000));
        assert_eq!((small.prompt_bytes, small.input_upper_tokens), (large.prompt_bytes, large.input_upper_tokens));
        assert!(small.features.images && small.input_upper_tokens > IMAGE_UPPER_TOKENS);
        assert!(inline("application/pdf", 4).input_upper_tokens > UNSEEN_UPPER_TOKENS);
        assert!(inline("audio/wav", 3_000).input_upper_tokens < 1_000);
        let cached = head(r#"{"contents":[],"cachedContent":"cachedContents/x"}"#).unwrap();
        assert!(cached.input_upper_tokens > UNSEEN_UPPER_TOKENS);
    }

    #[test]
    fn lists_of_texts_and_counts_name_the_model_again() {
        let address = Address { model: "claims-triage".into(), stream: false };
        let body = br#"{"requests":[{"model":"models/a","content":{"parts":[{"text":"x"}]}}]}"#;
        let head = scan(Dialect::Gemini, Operation::Embeddings, Some(&address), body).unwrap();
        assert!(head.batch && head.spans.resources.len() == 1);
        let body = br#"{"generateContentRequest":{"model":"models/a","contents":[]}}"#;
        assert!(scan(Dialect::Gemini, Operation::CountTokens, Some(&address), body).is_ok());
        assert_eq!(
            scan(Dialect::Gemini, Operation::Embeddings, Some(&address), b"{}").unwrap_err().param,
            Some("content")
        );
    }

    #[test]
    fn a_file_in_googles_store_ties_the_request_to_its_provider_and_one_on_the_web_does_not() {
        let with = |uri: &str| {
            let file = format!(r#"{{"mimeType":"application/pdf","fileUri":"{uri}"}}"#);
            head(&format!(r#"{{"contents":[{{"parts":[{{"fileData":{file}}}]}}]}}"#)).unwrap().bound.is_tied()
        };
        assert!(with("https://generativelanguage.googleapis.com/v1beta/files/abc") && with("gs://maps/north.pdf"));
        assert!(with("https:\\/\\/generativelanguage.googleapis.com\\/v1beta\\/files\\/abc"), "escapes hide nothing");
        assert!(!with("https://example.com/north.pdf"));
    }

    #[test]
    fn features_are_found() {
        let head = head(r#"{"contents":[],"tools":[{"google_search":{}}],"generationConfig":{"thinkingConfig":{"thinkingBudget":9},"responseMimeType":"application/json","responseLogprobs":true}}"#).unwrap();
        assert!(head.features.tools && head.features.reasoning && head.features.structured && head.features.logprobs);
    }
}
