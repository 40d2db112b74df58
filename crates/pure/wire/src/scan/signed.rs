//! Finds what of a conversation only its maker can read or check: signed thoughts, encrypted ones, references to kept ones.

use std::ops::Range;

use smallvec::SmallVec;

use super::spans::{Alone, MadeBy, Piece, Place, Signed, Whole};
use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::items::TRANSLATED_THOUGHT;
use crate::maker::Maker;
use crate::splice::{ElementSpan, MemberSpan};

/// Where what is signed stands.
type Texts = SmallVec<[Range<usize>; 1]>;

/// Where the walk through a conversation stands, and what it found.
#[derive(Default)]
pub(super) struct Tracker {
    /// The dialect, while it walks through the conversation itself.
    dialect: Option<Dialect>,
    /// The place in each list that is open.
    path: SmallVec<[u32; 4]>,
    /// What the block that was just passed holds: its maker, what is signed, and whether the request says nothing without.
    found: Option<(MadeBy, Texts, bool)>,
    /// How many elements the list had that was closed last.
    closed: u32,
    /// Whether the message that was just passed holds results of tools.
    has_result: bool,
    signed: Signed,
}

/// What a block was seen to hold.
#[derive(Default)]
pub(super) struct Found {
    /// Its id.
    pub id: Option<Text>,
    /// The member of it.
    pub id_at: Option<Place>,
    /// Its signature, or what is encrypted in it.
    pub secret: Option<Text>,
    /// Whether it is a thought of Bedrock's that is signed or encrypted.
    pub is_reasoning: bool,
    /// Whether it is what a tool gave.
    pub is_result: bool,
}

impl Found {
    /// Bedrock's thoughts: `reasoningText` with its `signature`, or `redactedContent`.
    pub fn reasoning_of_bedrock(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"redactedContent" | b"signature" => {
                self.secret = cursor.string_or_skip()?;
                self.is_reasoning |= self.secret.is_some();
                Ok(())
            }
            b"reasoningText" if cursor.peek() == Some(b'{') => self.reasoning_of_bedrock(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }
}

impl Tracker {
    /// The conversation begins.
    pub fn open(&mut self, dialect: Dialect) {
        self.dialect = Some(dialect);
    }

    /// The conversation ends.
    pub fn close(&mut self) {
        self.dialect = None;
    }

    /// What was found, once all has been passed.
    pub fn into_signed(self) -> Signed {
        self.signed
    }

    /// A list begins.
    pub fn enter(&mut self) {
        self.path.push(0);
    }

    /// How much had been found before an element.
    pub fn before(&mut self) -> (usize, usize) {
        if self.path.len() == 1 {
            self.has_result = false;
        }
        (self.signed.pieces.len(), self.signed.messages.len())
    }

    /// An element was passed.
    pub fn passed(&mut self, element: ElementSpan, (pieces, messages): (usize, usize)) {
        if self.found.is_some()
            && let Some((made_by, texts, is_needed)) = self.found.take()
        {
            // What stands inside goes with it.
            self.signed.pieces.truncate(pieces);
            self.signed.messages.truncate(messages);
            let whole = if is_needed { Whole::Request } else { Whole::Element(element) };
            self.push(made_by, texts, "", whole);
        } else if self.path.len() == 1 && self.dialect.is_some() {
            let found = self.signed.pieces.len() - pieces;
            if found > 0 && self.holds_blocks() && found == self.closed as usize {
                self.signed.messages.push(Alone { pieces: pieces..self.signed.pieces.len(), message: element });
            }
            self.signed.called = self.path[0].checked_sub(1).filter(|_| self.has_result);
        }
        if let Some(index) = self.path.last_mut() {
            *index += 1;
        }
    }

    /// A list of so many elements ends.
    pub fn leave(&mut self, count: u32) {
        self.path.pop();
        self.closed = count;
    }

    /// Whether an item of Responses is being passed, not something inside one.
    pub fn is_at_an_item(&self) -> bool {
        self.dialect.is_some() && self.path.len() == 1
    }

    /// A block was passed, of this kind.
    pub fn block(&mut self, bytes: &[u8], kind: &[u8], found: &mut Found) {
        let Some(dialect) = self.dialect else { return };
        self.has_result |= found.is_result || kind == b"tool_result";
        let depth = if self.holds_blocks() { 2 } else { 1 };
        let holds = found.secret.is_some() || found.id.is_some() || matches!(kind, b"thinking" | b"redacted_thinking");
        if self.path.len() != depth || !holds {
            return;
        }
        let found = std::mem::take(found);
        let texts = |texts: [Option<Text>; 2]| texts.into_iter().flatten().map(|text| text.span).collect();
        self.found = match (dialect, kind) {
            (Dialect::Anthropic, b"thinking" | b"redacted_thinking") => {
                let made_by = made_by(bytes, found.secret.as_ref());
                Some((made_by, texts([found.secret, None]), false))
            }
            (Dialect::BedrockConverse, _) if found.is_reasoning => {
                let made_by = made_by(bytes, found.secret.as_ref());
                Some((made_by, texts([found.secret, None]), false))
            }
            (Dialect::OpenAiResponses, b"reasoning" | b"compaction" | b"item_reference")
                if found.secret.is_some() || found.id.is_some() =>
            {
                let ours = |id: &Text| bytes[id.span.clone()].starts_with(TRANSLATED_THOUGHT.as_bytes());
                let made_by = match found.id.as_ref().is_some_and(ours) {
                    true => MadeBy::Nobody,
                    false => made_by(bytes, found.secret.as_ref().or(found.id.as_ref())),
                };
                // A conversation without what was compacted of it, or without an item, is another one.
                Some((made_by, texts([found.id, found.secret]), kind != b"reasoning"))
            }
            _ => None,
        };
    }

    /// OpenRouter's `reasoning_details`: thoughts as their makers gave them, signed or encrypted.
    pub fn details(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let (list, mut index) = (cursor.position(), 0);
        cursor.array(|cursor| {
            if cursor.peek() != Some(b'{') {
                index += 1;
                return cursor.skip();
            }
            let (start, mut secret) = (cursor.position(), None);
            cursor.object(|cursor, member| {
                if matches!(&*member.key.name(cursor.bytes()), b"signature" | b"data") {
                    secret = cursor.string_or_skip()?.or(secret.take());
                    return Ok(());
                }
                cursor.skip()
            })?;
            if let Some(secret) = secret.filter(|secret| secret.decoded_len > 0 && self.dialect.is_some()) {
                let element = ElementSpan { list, index, value: start..cursor.position() };
                let made_by = made_by(cursor.bytes(), Some(&secret));
                let at = format!("/reasoning_details/{index}");
                self.push(made_by, SmallVec::from_iter([secret.span]), &at, Whole::Element(element));
            }
            index += 1;
            Ok(())
        })?;
        Ok(())
    }

    /// A call of a tool in OpenAI's chat, which Google signs beside it.
    pub fn call(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"extra_content" => self.beside(cursor, true),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// What Google's models say beside a message or a call of OpenAI's dialect: `google.thought_signature`.
    pub fn beside(&mut self, cursor: &mut Cursor<'_>, in_call: bool) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            if &*member.key.name(cursor.bytes()) != b"google" || cursor.peek() != Some(b'{') {
                return cursor.skip();
            }
            let object = cursor.position();
            cursor.object(|cursor, member| {
                if &*member.key.name(cursor.bytes()) != b"thought_signature" || cursor.peek() != Some(b'"') {
                    return cursor.skip();
                }
                let text = cursor.string()?;
                if self.dialect.is_some() {
                    let place = Place { object, member: MemberSpan::new(member, text.quoted()) };
                    let made_by = made_by(cursor.bytes(), Some(&text));
                    self.push(made_by, SmallVec::from_iter([text.span]), "", Whole::Member { place, in_call });
                }
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    }

    /// Anthropic's `container`, in which its own tools left files: by its id, or as an object with one.
    pub fn container(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let mut id = None;
        if cursor.peek() == Some(b'{') {
            cursor.object(|cursor, member| {
                if &*member.key.name(cursor.bytes()) != b"id" {
                    return cursor.skip();
                }
                id = cursor.string_or_skip()?;
                Ok(())
            })?;
        } else {
            id = cursor.string_or_skip()?;
        }
        if let Some(id) = id.filter(|id| id.decoded_len > 0) {
            self.signed.pieces.push(Piece {
                made_by: made_by(cursor.bytes(), Some(&id)),
                texts: SmallVec::from_iter([id.span]),
                at: "/container".to_owned(),
                message: None,
                whole: Whole::Request,
            });
        }
        Ok(())
    }

    /// Whether messages hold blocks, of which one is a thought; elsewhere a thought is an item of its own.
    fn holds_blocks(&self) -> bool {
        matches!(self.dialect, Some(Dialect::Anthropic | Dialect::BedrockConverse))
    }

    fn push(&mut self, made_by: MadeBy, texts: Texts, more: &str, whole: Whole) {
        let mut at = String::from(if self.dialect == Some(Dialect::OpenAiResponses) { "/input" } else { "/messages" });
        for (depth, index) in self.path.iter().enumerate() {
            at.push_str(if depth == 0 { "" } else { "/content" });
            at.push_str(&format!("/{index}"));
        }
        at.push_str(more);
        self.signed.pieces.push(Piece { made_by, texts, at, message: self.path.first().copied(), whole });
    }
}

/// Who made what carries this signature. One that is empty or absent is nobody's: translated answers and many servers give
/// such, and who signs refuses them.
pub(super) fn made_by(bytes: &[u8], secret: Option<&Text>) -> MadeBy {
    let text = secret.map_or(&b""[..], |text| &bytes[text.span.clone()]);
    match Maker::named_in(text) {
        Some(maker) => MadeBy::Known(maker),
        None if text.is_empty() => MadeBy::Nobody,
        None => MadeBy::Unknown,
    }
}
