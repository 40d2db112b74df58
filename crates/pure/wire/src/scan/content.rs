//! Walks messages: tells text from images, documents and audio, whose bytes say nothing of the tokens they cost.

use std::ops::Range;

use super::signed::{Found, Tracker};
use super::spans::Place;
use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::splice::{ElementSpan, MemberSpan};

/// Input tokens allowed for one image, whatever its size. OpenAI's image page (vision guide, "Calculating costs") charges
/// gpt-4o-mini 2 833 tokens and 5 667 more for each of up to eight tiles, the largest published; that is 48 169.
pub const IMAGE_UPPER_TOKENS: u64 = 50_000;

/// Input tokens allowed for one document or video whose text we cannot see: the context of today's common models. Ours.
pub const DOCUMENT_UPPER_TOKENS: u64 = 200_000;

/// Base64 bytes of audio that cannot carry more than one token: ten tokens a second at 8 kbit/s are 100 bytes each.
const AUDIO_BYTES_PER_TOKEN: u64 = 100;

/// What messages hold, so far as it matters before they are sent.
pub(super) struct Content {
    dialect: Dialect,
    /// An image stands in them.
    pub images: bool,
    /// A document or a video does.
    pub documents: bool,
    /// Audio does.
    pub audio: bool,
    /// Bytes of the body that are no text.
    pub binary_bytes: u64,
    /// Tokens allowed for them.
    pub binary_tokens: u64,
    /// Values `"developer"` of a message's `role`.
    pub developer_roles: Vec<Range<usize>>,
    /// Members `id` of items that a provider may look up.
    pub item_ids: Vec<Place>,
    /// What only its maker can read or check.
    pub signed: Tracker,
}

impl Content {
    /// Nothing walked yet.
    pub fn new(dialect: Dialect) -> Content {
        Content {
            dialect,
            images: false,
            documents: false,
            audio: false,
            binary_bytes: 0,
            binary_tokens: 0,
            developer_roles: Vec::new(),
            item_ids: Vec::new(),
            signed: Tracker::default(),
        }
    }

    /// The messages, with what stands in them that is signed.
    pub fn conversation(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        self.signed.open(self.dialect);
        let walked = self.walk(cursor);
        self.signed.close();
        walked
    }

    /// Messages, or what stands in a message's `content`: text, or blocks that may hold images and documents.
    pub fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'[') => self.list(cursor),
            Some(b'{') => self.block(cursor),
            _ => cursor.skip(),
        }
    }

    fn list(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let (list, mut index) = (cursor.position(), 0);
        self.signed.enter();
        cursor.array(|cursor| {
            cursor.peek();
            let (start, before) = (cursor.position(), self.signed.before());
            self.walk(cursor)?;
            self.signed.passed(ElementSpan { list, index, value: start..cursor.position() }, before);
            index += 1;
            Ok(())
        })?;
        self.signed.leave(index);
        Ok(())
    }

    /// A list of pictures, each an address or the bytes in one.
    pub fn pictures(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'[') {
            return cursor.skip();
        }
        cursor.array(|cursor| {
            self.binary(cursor, b"url")?;
            self.images = true;
            self.binary_tokens += IMAGE_UPPER_TOKENS;
            Ok(())
        })?;
        Ok(())
    }

    /// A message or a block of one. Only `content` is looked into further: what a tool is called with is text to the model,
    /// whatever it looks like.
    fn block(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let (mut kind, mut source, mut found) = (0..0, None, Found::default());
        let responses = self.dialect == Dialect::OpenAiResponses;
        let object = cursor.position();
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                // What a tool gave, as text or parts; screenshots too.
                b"output" if responses => return self.walk(cursor),
                b"id" if responses => {
                    cursor.peek();
                    let start = cursor.position();
                    found.id = cursor.string_or_skip()?;
                    let id = MemberSpan::new(member, start..cursor.position());
                    found.id_at = Some(Place { object, member: id });
                }
                b"encrypted_content" if responses => found.secret = cursor.string_or_skip()?,
                b"signature" | b"data" if self.dialect == Dialect::Anthropic => {
                    found.secret = cursor.string_or_skip()?;
                }
                b"reasoningContent" if self.dialect == Dialect::BedrockConverse && cursor.peek() == Some(b'{') => {
                    return found.reasoning_of_bedrock(cursor);
                }
                b"reasoning_details" if self.dialect == Dialect::OpenAiChat && cursor.peek() == Some(b'[') => {
                    return self.signed.details(cursor);
                }
                b"tool_calls" if self.dialect == Dialect::OpenAiChat && cursor.peek() == Some(b'[') => {
                    return cursor.array(|cursor| self.signed.call(cursor)).map(drop);
                }
                b"extra_content" if self.dialect == Dialect::OpenAiChat => return self.signed.beside(cursor, false),
                name @ (b"file_data" | b"file_url" | b"file_id") if responses => {
                    let holds_it = name == b"file_data";
                    if let Some(text) = cursor.string_or_skip()? {
                        if holds_it {
                            self.not_text(cursor, &text, false);
                        }
                        self.documents = true;
                        self.binary_tokens += DOCUMENT_UPPER_TOKENS;
                    }
                }
                b"content" => return self.walk(cursor),
                b"type" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        kind = text.span;
                    }
                }
                b"role" if self.dialect == Dialect::OpenAiChat => {
                    if let Some(role) = cursor.string_or_skip()?
                        && &*role.name(cursor.bytes()) == b"developer"
                    {
                        self.developer_roles.push(role.quoted());
                    }
                }
                b"image_url" => {
                    self.binary(cursor, b"url")?;
                    self.images = true;
                    self.binary_tokens += IMAGE_UPPER_TOKENS;
                }
                b"file" | b"video_url" => {
                    self.binary(cursor, b"file_data")?;
                    self.documents = true;
                    self.binary_tokens += DOCUMENT_UPPER_TOKENS;
                }
                b"input_audio" | b"audio_url" => {
                    let before = self.binary_bytes;
                    self.binary(cursor, b"data")?;
                    self.audio = true;
                    let bytes = self.binary_bytes - before;
                    // Audio named by an address may be of any length.
                    self.binary_tokens +=
                        if bytes > 0 { bytes / AUDIO_BYTES_PER_TOKEN + 1 } else { DOCUMENT_UPPER_TOKENS };
                }
                b"image" | b"document" | b"video" | b"audio"
                    if self.dialect == Dialect::BedrockConverse && cursor.peek() == Some(b'{') =>
                {
                    let is_image = &*member.key.name(cursor.bytes()) == b"image";
                    self.bedrock_media(cursor, is_image)?;
                }
                name @ (b"toolResult" | b"guardContent")
                    if self.dialect == Dialect::BedrockConverse && cursor.peek() == Some(b'{') =>
                {
                    let is_result = name == b"toolResult";
                    self.block(cursor)?;
                    found.is_result |= is_result;
                }
                b"source" if cursor.peek() == Some(b'{') => source = Some(self.source(cursor)?),
                _ => return cursor.skip(),
            }
            Ok(())
        })?;
        let bytes = cursor.bytes();
        if responses && matches!(&bytes[kind.clone()], b"message" | b"function_call") {
            self.item_ids.extend(found.id_at.take().filter(|_| self.signed.is_at_an_item()));
        }
        self.signed.block(bytes, &bytes[kind.clone()], &mut found);
        match source {
            None => {}
            Some(_) if &cursor.bytes()[kind.clone()] == b"image" => {
                self.images = true;
                self.binary_tokens += IMAGE_UPPER_TOKENS;
            }
            Some(visible) => {
                self.documents = true;
                if !visible {
                    self.binary_tokens += DOCUMENT_UPPER_TOKENS;
                }
            }
        }
        Ok(())
    }

    /// An OpenAI part: a data URL, alone or under one of the keys that hold one, is not text.
    fn binary(&mut self, cursor: &mut Cursor<'_>, holder: &[u8]) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            if let Some(text) = cursor.string_or_skip()? {
                self.not_text(cursor, &text, true);
            }
            return Ok(());
        }
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            let holds = *name == *holder || &*name == b"url";
            if let (Some(text), true) = (cursor.string_or_skip()?, holds) {
                self.not_text(cursor, &text, &*name == b"url");
            }
            Ok(())
        })?;
        Ok(())
    }

    /// A picture, document, film or sound of Bedrock's: its bytes are no text, what a document says as text is.
    fn bedrock_media(&mut self, cursor: &mut Cursor<'_>, is_image: bool) -> Result<(), Bad> {
        let mut visible = false;
        cursor.object(|cursor, member| {
            if &*member.key.name(cursor.bytes()) != b"source" || cursor.peek() != Some(b'{') {
                return cursor.skip();
            }
            cursor.object(|cursor, member| {
                let name = member.key.name(cursor.bytes());
                visible |= matches!(&*name, b"text" | b"content");
                match (&*name, cursor.peek()) {
                    (b"bytes", Some(b'"')) => {
                        let text = cursor.string()?;
                        self.not_text(cursor, &text, false);
                        Ok(())
                    }
                    _ => cursor.skip(),
                }
            })?;
            Ok(())
        })?;
        self.images |= is_image;
        self.documents |= !is_image;
        if is_image {
            self.binary_tokens += IMAGE_UPPER_TOKENS;
        } else if !visible {
            self.binary_tokens += DOCUMENT_UPPER_TOKENS;
        }
        Ok(())
    }

    /// An Anthropic source. Returns whether all of it is visible text.
    fn source(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Bad> {
        let (mut kind, mut data) = (0..0, None);
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"type" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        kind = text.span;
                    }
                }
                b"data" => data = cursor.string_or_skip()?,
                b"content" => return self.walk(cursor),
                _ => return cursor.skip(),
            }
            Ok(())
        })?;
        let bytes = cursor.bytes();
        if let (b"base64", Some(text)) = (&bytes[kind.clone()], &data) {
            self.not_text(cursor, text, false);
        }
        Ok(matches!(&bytes[kind], b"text" | b"content"))
    }

    /// Takes a string out of what counts as text; with `only_data_url`, only when it carries its content in itself.
    fn not_text(&mut self, cursor: &mut Cursor<'_>, text: &Text, only_data_url: bool) {
        let raw = &cursor.bytes()[text.span.clone()];
        if !only_data_url || raw.starts_with(b"data:") {
            self.binary_bytes += raw.len() as u64;
            cursor.text_bytes -= text.decoded_len as u64;
        }
    }
}
