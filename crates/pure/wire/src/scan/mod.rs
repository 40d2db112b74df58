//! Reads the head of a request in one validating pass over borrowed bytes: which model, streamed or not, how large.

mod beside;
mod content;
mod gemini;
mod invoke;
mod head;
mod prompt;
mod signed;
mod spans;

pub use beside::scan_form;
pub use content::{DOCUMENT_UPPER_TOKENS, IMAGE_UPPER_TOKENS};
pub use head::{AskedTier, BadBody, Bound, Features, Head, Units};
pub use prompt::{Prompt, prompt_texts};
pub(crate) use spans::{Cap, Container, MadeBy, Piece, Place, Signed, Spans, StreamOptions, Whole};

use std::ops::Range;

use self::content::Content;
use crate::cursor::{Bad, Cursor, Member};
use crate::dialect::{Address, Dialect, Operation};
use crate::splice::MemberSpan;

/// Input tokens allowed for what a server's own template adds around any prompt. Ours, generous.
const TEMPLATE_UPPER_TOKENS: u64 = 256;

/// Input tokens allowed for the instructions a provider adds when tools are offered. Ours, several times what Anthropic
/// publishes ("Tool use system prompt token count": under 600).
const TOOLS_UPPER_TOKENS: u64 = 2_048;

/// Input tokens allowed for a prompt that the provider keeps and we do not see: the largest context of common models. Where
/// the model's own context is known, that is the bound instead.
const HIDDEN_PROMPT_UPPER_TOKENS: u64 = 1_000_000;

/// Documents, or pieces of longer ones, that are ranked for one search unit (Cohere's pricing page: a query with up to 100
/// documents; one longer than 500 tokens with its query is cut into pieces that count as documents).
const RANKED_PIECES_PER_UNIT: u64 = 100;

/// Bytes of a document that no piece is shorter than: half of 500 tokens at a byte each, which leaves the query the other half.
const RANKED_PIECE_BYTES: u64 = 250;

/// Reads the head of `body`, and checks on the way that all of it is JSON: no provider is sent what it would read otherwise
/// than we did. `address` is what the client's address said; it is heard where the dialect is one that says it there
/// ([`Dialect::is_addressed`]).
pub fn scan(dialect: Dialect, operation: Operation, address: Option<&Address>, body: &[u8]) -> Result<Head, BadBody> {
    if operation == Operation::Realtime {
        // There is no body: what is said comes over the connection.
        let model = address.map(|address| address.model.clone()).filter(|model| !model.is_empty());
        return Ok(Head { model, stream: true, include_usage: true, n: 1, ..Head::default() });
    }
    if let Err(error) = std::str::from_utf8(body) {
        return Err(BadBody { message: "the body is not UTF-8".into(), offset: error.valid_up_to(), param: None });
    }
    let mut cursor = Cursor::new(body);
    if cursor.peek() != Some(b'{') {
        return Err(BadBody {
            message: "the body must be a JSON object".into(),
            offset: cursor.position(),
            param: None,
        });
    }
    if operation.is_beside_chat() {
        return beside::scan(operation, cursor);
    }
    if operation == Operation::Invoke {
        return invoke::scan(address, cursor);
    }
    if dialect == Dialect::Gemini {
        return gemini::scan(operation, address, cursor);
    }
    let mut scanner = Scanner::new(dialect, cursor.position() + 1);
    // OpenAI's own API knows such a request without a model, or with `null` for it.
    scanner.may_name_none =
        dialect == Dialect::OpenAiResponses && matches!(operation, Operation::Compact | Operation::CountTokens);
    if dialect.is_addressed() {
        scanner.addressed(address);
    }
    let read = cursor.object(|cursor, member| scanner.member(cursor, member)).and_then(|_| {
        scanner.at_field = None;
        cursor.finish()
    });
    if let Err(bad) = read {
        return Err(BadBody { message: scanner.complaint(bad), offset: bad.at, param: scanner.at_field });
    }
    scanner.head(operation, body.len())
}

/// Fields that are read, and so may stand only once: of two, we and the provider might each believe another.
const FIELDS: [&str; 35] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "messages",
    "input",
    "system",
    "tools",
    "functions",
    "response_format",
    "output_config",
    "output_format",
    "reasoning_effort",
    "reasoning",
    "thinking",
    "logprobs",
    "audio",
    "max_output_tokens",
    "instructions",
    "text",
    "prompt",
    "previous_response_id",
    "conversation",
    "background",
    "documents",
    "query",
    "texts",
    "images",
    "inputs",
    "inferenceConfig",
    "toolConfig",
    "additionalModelRequestFields",
    "container",
];

/// Fields that some servers do not know and that may then be left out.
const OPTIONAL: [&str; 4] = ["seed", "logprobs", "top_logprobs", "parallel_tool_calls"];

const NOT_ONCE: &str = "the field stands twice; write it once";

struct Scanner {
    dialect: Dialect,
    spans: Spans,
    model: Option<String>,
    /// Whether the model may be left out.
    may_name_none: bool,
    stream: bool,
    include_usage: bool,
    continuous_usage: bool,
    max_output: Option<u64>,
    n: u32,
    prompt_bytes: u64,
    features: Features,
    bound: Bound,
    content: Content,
    ranked_pieces: u64,
    /// One bit for each of [`FIELDS`] met.
    met: u64,
    /// The field being read.
    at_field: Option<&'static str>,
}

impl Scanner {
    fn new(dialect: Dialect, open: usize) -> Scanner {
        Scanner {
            dialect,
            spans: Spans { open, ..Spans::default() },
            model: None,
            may_name_none: false,
            stream: false,
            include_usage: dialect.streams_usage_unasked(),
            continuous_usage: false,
            max_output: None,
            n: 1,
            prompt_bytes: 0,
            features: Features::default(),
            bound: Bound::default(),
            content: Content::new(dialect),
            ranked_pieces: 0,
            met: 0,
            at_field: None,
        }
    }

    /// What the address said.
    fn addressed(&mut self, address: Option<&Address>) {
        self.model = address.map(|address| address.model.clone()).filter(|model| !model.is_empty());
        self.stream = address.is_some_and(|address| address.stream);
    }

    /// One top-level member.
    fn member(&mut self, cursor: &mut Cursor<'_>, member: &Member) -> Result<(), Bad> {
        let name = member.key.name(cursor.bytes());
        self.at_field = None;
        if let Some(index) = FIELDS.iter().position(|field| field.as_bytes() == &*name) {
            self.at_field = Some(FIELDS[index]);
            if self.met >> index & 1 == 1 {
                return Err(Bad { what: NOT_ONCE, at: member.key.span.start });
            }
            self.met |= 1 << index;
        }
        let before = cursor.text_bytes;
        let responses = self.dialect == Dialect::OpenAiResponses;
        match &*name {
            // A field of one dialect is none of another: a cap the provider does not look at caps nothing.
            b"max_tokens" | b"max_completion_tokens" if responses => cursor.skip()?,
            b"max_output_tokens" if responses => self.spans.max_output_tokens = Some(self.cap(cursor, member)?),
            b"input" if responses => {
                if !matches!(cursor.peek(), Some(b'[' | b'"')) {
                    return Err(cursor.bad("`input` must be a text or an array"));
                }
                self.content.conversation(cursor)?;
            }
            b"instructions" if responses => self.content.walk(cursor)?,
            b"text" if responses => self.text_settings(cursor)?,
            b"previous_response_id" if responses => {
                if let Some(id) = cursor.string_or_skip()? {
                    self.bound.previous = id.decode(cursor.bytes()).map(|id| id.into_owned());
                    self.bound.hidden_prompt = true;
                }
            }
            b"conversation" | b"prompt" if responses => self.bound.hidden_prompt |= is_set(cursor, b"")?,
            b"background" if responses => self.bound.background = flag(cursor, "`background` must be true or false")?,
            b"model" if !self.dialect.is_addressed() => self.model(cursor)?,
            b"stream" if !self.dialect.is_addressed() => self.stream = flag(cursor, "`stream` must be true or false")?,
            b"stream_options" => self.stream_options(cursor)?,
            b"max_tokens" => self.spans.max_tokens = Some(self.cap(cursor, member)?),
            b"max_completion_tokens" => self.spans.max_completion_tokens = Some(self.cap(cursor, member)?),
            b"n" => {
                let (count, _) = whole_number(cursor, "`n` must be a whole number of at least 1")?;
                self.n = count.map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX)).max(1);
            }
            b"messages" => {
                if cursor.peek() != Some(b'[') {
                    return Err(cursor.bad("`messages` must be an array"));
                }
                self.content.conversation(cursor)?;
            }
            b"system" | b"inputs" => self.content.walk(cursor)?,
            b"documents" => self.documents(cursor)?,
            b"images" => self.content.pictures(cursor)?,
            b"tools" | b"functions" => self.features.tools |= any_of(cursor)?,
            b"response_format" | b"output_format" => {
                self.features.structured |= names_type_other_than(cursor, b"text")?
            }
            b"output_config" => {
                if cursor.peek() == Some(b'{') {
                    cursor.object(|cursor, member| {
                        self.features.structured |= &*member.key.name(cursor.bytes()) == b"format";
                        cursor.skip()
                    })?;
                } else {
                    cursor.skip()?;
                }
            }
            b"reasoning_effort" => self.features.reasoning |= is_set(cursor, b"\"none\"")?,
            b"reasoning" => self.features.reasoning |= is_set(cursor, b"false")?,
            b"thinking" => self.thinking(cursor)?,
            b"logprobs" => {
                let value = cursor.value()?;
                self.features.logprobs |= &cursor.bytes()[value.clone()] == b"true";
                self.spans.optional.push(("logprobs", MemberSpan::new(member, value)));
            }
            b"inferenceConfig" if self.dialect == Dialect::BedrockConverse => self.inference_config(cursor)?,
            b"toolConfig" if self.dialect == Dialect::BedrockConverse && cursor.peek() == Some(b'{') => {
                cursor.object(|cursor, member| {
                    if &*member.key.name(cursor.bytes()) != b"tools" {
                        return cursor.skip();
                    }
                    self.features.tools |= any_of(cursor)?;
                    Ok(())
                })?;
            }
            b"additionalModelRequestFields"
                if self.dialect == Dialect::BedrockConverse && cursor.peek() == Some(b'{') =>
            {
                cursor.object(|cursor, member| {
                    let name = member.key.name(cursor.bytes());
                    self.features.reasoning |= matches!(&*name, b"thinking" | b"reasoning_effort" | b"reasoningConfig");
                    if &*name == b"thinking" { self.thinking(cursor) } else { cursor.skip() }
                })?;
            }
            b"outputConfig" if self.dialect == Dialect::BedrockConverse && cursor.peek() == Some(b'{') => {
                cursor.object(|cursor, member| {
                    self.features.structured |= &*member.key.name(cursor.bytes()) == b"textFormat";
                    cursor.skip()
                })?;
            }
            b"container" if self.dialect == Dialect::Anthropic => self.content.signed.container(cursor)?,
            b"audio" => self.features.audio |= is_set(cursor, b"false")?,
            b"service_tier" => self.features.tier = asked_tier(cursor)?,
            other => {
                let value = cursor.value()?;
                if let Some(optional) = OPTIONAL.iter().find(|optional| optional.as_bytes() == other) {
                    self.spans.optional.push((optional, MemberSpan::new(member, value)));
                }
            }
        }
        if is_prompt(&name) {
            self.prompt_bytes += cursor.text_bytes - before;
        }
        Ok(())
    }

    fn model(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        const WHAT: &str = "`model` must be a string that names a workflow";
        let start = cursor.position();
        match cursor.peek() {
            Some(b'"') => {}
            Some(b'n') if self.may_name_none => {
                self.spans.model = Some(cursor.value()?);
                return Ok(());
            }
            _ => return Err(cursor.bad(WHAT)),
        }
        let text = cursor.string()?;
        self.spans.model = Some(text.quoted());
        match text.decode(cursor.bytes()) {
            Some(model) if !model.is_empty() => self.model = Some(model.into_owned()),
            _ => return Err(Bad { what: WHAT, at: start }),
        }
        Ok(())
    }

    /// Whether and how the model is to think first, as Anthropic's models are asked.
    fn thinking(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.peek();
        let start = cursor.position();
        let mut other = cursor.clone();
        self.features.reasoning |= names_type_other_than(cursor, b"disabled")?;
        let is_object = cursor.bytes()[start] == b'{';
        if is_object && !names_type_other_than(&mut other, b"enabled")? {
            self.spans.thinking = Some(start..cursor.position());
        }
        Ok(())
    }

    fn stream_options(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let options = stream_options(cursor, &mut self.include_usage, &mut self.continuous_usage)?;
        self.spans.stream_options = Some(options);
        Ok(())
    }

    fn cap(&mut self, cursor: &mut Cursor<'_>, member: &Member) -> Result<Cap, Bad> {
        let (cap, value) = whole_number(cursor, "the cap on output tokens must be a whole number")?;
        self.max_output = self.max_output.max(cap);
        Ok(Cap { key: member.key.quoted(), value })
    }

    /// `text` of Responses: the shape of the answer and how wordy it is.
    fn text_settings(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            if &*member.key.name(cursor.bytes()) != b"format" {
                return cursor.skip();
            }
            self.features.structured |= names_type_other_than(cursor, b"text")?;
            Ok(())
        })?;
        Ok(())
    }

    /// Bedrock's cap stands inside this object.
    fn inference_config(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let is_object = cursor.peek() == Some(b'{');
        let start = cursor.position();
        let mut members = 0;
        if is_object {
            members = cursor.object(|cursor, member| {
                if &*member.key.name(cursor.bytes()) != b"maxTokens" {
                    return cursor.skip();
                }
                if self.spans.max_tokens.is_some() {
                    return Err(Bad { what: NOT_ONCE, at: member.key.span.start });
                }
                self.spans.max_tokens = Some(self.cap(cursor, member)?);
                Ok(())
            })?;
        } else if cursor.peek() == Some(b'n') {
            cursor.skip()?;
        } else {
            return Err(cursor.bad("`inferenceConfig` must be an object"));
        }
        let value = start..cursor.position();
        self.spans.inference_config = Some(Container { value, is_object, has_members: members > 0 });
        Ok(())
    }

    /// Documents an answer is to rest on, or that are to be ranked.
    fn documents(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'[') {
            return self.content.walk(cursor);
        }
        let mut pieces = 0;
        cursor.array(|cursor| {
            let before = cursor.text_bytes;
            self.content.walk(cursor)?;
            pieces += 1 + (cursor.text_bytes - before) / RANKED_PIECE_BYTES;
            Ok(())
        })?;
        self.ranked_pieces = pieces;
        Ok(())
    }

    fn head(self, operation: Operation, body_bytes: usize) -> Result<Head, BadBody> {
        let missing = |param: &'static str, message: &str| {
            Err(BadBody { message: message.to_owned(), offset: body_bytes, param: Some(param) })
        };
        if self.model.is_none() && !self.may_name_none {
            return missing("model", "`model` is missing; it names the workflow");
        }
        let responses = self.dialect == Dialect::OpenAiResponses;
        match operation {
            Operation::Chat | Operation::Compact if responses && !self.has("input") && !self.bound.hidden_prompt => {
                return missing("input", "`input` is missing");
            }
            Operation::Chat | Operation::CountTokens if !responses && !self.has("messages") => {
                return missing("messages", "`messages` is missing");
            }
            Operation::Embeddings if !self.has_input() => {
                let (param, message) = match self.dialect {
                    Dialect::Cohere => ("texts", "`texts` is missing, and so are `images` and `inputs`"),
                    _ => ("input", "`input` is missing"),
                };
                return missing(param, message);
            }
            Operation::Rerank if !self.has("query") => return missing("query", "`query` is missing"),
            Operation::Rerank if !self.has("documents") => return missing("documents", "`documents` is missing"),
            _ => {}
        }
        let content = self.content;
        let tools = if self.features.tools { TOOLS_UPPER_TOKENS } else { 0 };
        let hidden = if self.bound.hidden_prompt { HIDDEN_PROMPT_UPPER_TOKENS } else { 0 };
        Ok(Head {
            model: self.model,
            stream: self.stream && operation.may_stream(),
            include_usage: self.include_usage,
            continuous_usage: self.continuous_usage,
            max_output: self.max_output,
            n: self.n,
            batch: false,
            prompt_bytes: self.prompt_bytes,
            input_upper_tokens: body_bytes as u64 - content.binary_bytes
                + content.binary_tokens
                + TEMPLATE_UPPER_TOKENS
                + tools
                + hidden,
            search_units_upper: self.ranked_pieces.div_ceil(RANKED_PIECES_PER_UNIT),
            units: Units::default(),
            features: Features {
                images: content.images,
                documents: content.documents,
                audio: self.features.audio || content.audio,
                ..self.features
            },
            bound: self.bound,
            spans: Spans {
                developer_roles: content.developer_roles,
                item_ids: content.item_ids,
                signed: content.signed.into_signed(),
                ..self.spans
            },
        })
    }

    /// Whether there is something to make vectors of.
    fn has_input(&self) -> bool {
        match self.dialect {
            Dialect::Cohere => ["texts", "images", "inputs"].into_iter().any(|field| self.has(field)),
            _ => self.has("input"),
        }
    }

    fn has(&self, field: &str) -> bool {
        FIELDS.iter().position(|name| *name == field).is_some_and(|index| self.met >> index & 1 == 1)
    }

    fn complaint(&self, bad: Bad) -> String {
        match self.at_field {
            Some(field) if bad.what == NOT_ONCE => format!("`{field}`: {NOT_ONCE}"),
            Some(field) if !bad.what.starts_with('`') => format!("`{field}`: {}", bad.what),
            _ => bad.what.to_owned(),
        }
    }
}

/// What the client wants to be told of usage in a stream.
fn stream_options(
    cursor: &mut Cursor<'_>,
    include_usage: &mut bool,
    continuous_usage: &mut bool,
) -> Result<StreamOptions, Bad> {
    let mut options = StreamOptions::default();
    match cursor.peek() {
        Some(b'{') => {
            let start = cursor.position();
            options.is_object = true;
            let count = cursor.object(|cursor, member| {
                let (slot, asked) = match &*member.key.name(cursor.bytes()) {
                    b"include_usage" => (&mut options.include_usage, &mut *include_usage),
                    b"continuous_usage_stats" => (&mut options.continuous_usage, &mut *continuous_usage),
                    _ => return cursor.skip(),
                };
                if slot.is_some() {
                    return Err(Bad { what: NOT_ONCE, at: member.key.span.start });
                }
                cursor.peek();
                let value_start = cursor.position();
                *asked = flag(cursor, "`include_usage` and `continuous_usage_stats` must be true or false")?;
                *slot = Some(value_start..cursor.position());
                Ok(())
            })?;
            options.has_members = count > 0;
            options.value = start..cursor.position();
        }
        Some(b'n') => options.value = cursor.value()?,
        _ => return Err(cursor.bad("`stream_options` must be an object")),
    }
    Ok(options)
}

/// `service_tier`: both `priority` and `fast` are dearer and faster; `auto` leaves it to the provider.
fn asked_tier(cursor: &mut Cursor<'_>) -> Result<AskedTier, Bad> {
    let Some(text) = cursor.string_or_skip()? else { return Ok(AskedTier::Usual) };
    Ok(match &*text.name(cursor.bytes()) {
        b"auto" | b"default" | b"standard" | b"standard_only" | b"on_demand" => AskedTier::Usual,
        b"priority" | b"fast" => AskedTier::Priority,
        b"flex" => AskedTier::Flex,
        _ => AskedTier::Other,
    })
}

/// An array with anything in it.
fn any_of(cursor: &mut Cursor<'_>) -> Result<bool, Bad> {
    if cursor.peek() != Some(b'[') {
        return cursor.skip().map(|()| false);
    }
    Ok(cursor.array(|cursor| cursor.skip())? > 0)
}

/// Fields whose text becomes prompt.
fn is_prompt(name: &[u8]) -> bool {
    matches!(
        name,
        b"messages"
            | b"system"
            | b"tools"
            | b"functions"
            | b"input"
            | b"documents"
            | b"query"
            | b"texts"
            | b"inputs"
            | b"toolConfig"
            | b"outputConfig"
            | b"response_format"
            | b"output_config"
            | b"output_format"
            | b"instructions"
            | b"text"
    )
}

/// `true`, `false`, or `null` for false.
fn flag(cursor: &mut Cursor<'_>, what: &'static str) -> Result<bool, Bad> {
    let span = cursor.value()?;
    match &cursor.bytes()[span.clone()] {
        b"true" => Ok(true),
        b"false" | b"null" => Ok(false),
        _ => Err(Bad { what, at: span.start }),
    }
}

/// A whole number, or `None` for null, and where it stands. Anything else is refused: money is held for it.
fn whole_number(cursor: &mut Cursor<'_>, what: &'static str) -> Result<(Option<u64>, Range<usize>), Bad> {
    let span = cursor.value()?;
    match &cursor.bytes()[span.clone()] {
        b"null" => Ok((None, span)),
        text => match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
            Some(number) => Ok((Some(number), span)),
            None => Err(Bad { what, at: span.start }),
        },
    }
}

/// Whether a value is neither null nor `off`.
fn is_set(cursor: &mut Cursor<'_>, off: &[u8]) -> Result<bool, Bad> {
    let span = cursor.value()?;
    let text = &cursor.bytes()[span];
    Ok(text != b"null" && text != off)
}

/// Whether a value is an object whose `type` is other than `plain`.
fn names_type_other_than(cursor: &mut Cursor<'_>, plain: &[u8]) -> Result<bool, Bad> {
    if cursor.peek() != Some(b'{') {
        return cursor.skip().map(|()| false);
    }
    let mut other = true;
    cursor.object(|cursor, member| {
        if &*member.key.name(cursor.bytes()) != b"type" {
            return cursor.skip();
        }
        if let Some(text) = cursor.string_or_skip()? {
            other = &*text.name(cursor.bytes()) != plain;
        }
        Ok(())
    })?;
    Ok(other)
}

#[cfg(test)]
mod tests;
