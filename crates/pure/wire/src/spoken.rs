//! What an answer has said so far, kept so that another model can go on from it should the provider's stream break off.

/// Longest answer that is kept to be gone on from, bytes of text.
pub const MOST_SPOKEN_BYTES: usize = 256 << 10;

/// What kind of words they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    /// The answer's text.
    Text,
    /// A thought.
    Thinking,
    /// Anything of which half is worth nothing, or that only its provider can go on with: a tool call, a refusal, a picture.
    Other,
}

/// Words in the order they came, by blocks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spoken {
    pieces: Vec<Piece>,
    bytes: usize,
    stuck: bool,
    /// What the client knows the item by that is being told, where its dialect names items.
    pub(crate) item: Option<String>,
    /// Events of the stream so far, where its dialect counts them.
    pub events: u64,
}

/// A block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub speech: Speech,
    pub text: String,
    pub closed: bool,
}

impl Spoken {
    /// Whether another model can go on from it.
    pub fn can_be_gone_on_from(&self) -> bool {
        !self.stuck && self.pieces.iter().any(|piece| !piece.text.is_empty())
    }

    /// The text of the answer, without thoughts.
    pub fn text(&self) -> String {
        let texts = self.pieces.iter().filter(|piece| piece.speech == Speech::Text);
        texts.map(|piece| piece.text.as_str()).collect()
    }

    /// The blocks.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// More words. They belong to the open block, if that is of their kind.
    pub(crate) fn push(&mut self, speech: Speech, text: &str) {
        if self.stuck {
            return;
        }
        self.bytes += text.len();
        if speech == Speech::Other || self.bytes > MOST_SPOKEN_BYTES {
            return self.stick();
        }
        match self.pieces.last_mut() {
            Some(piece) if piece.speech == speech && !piece.closed => piece.text.push_str(text),
            _ => self.begin(speech, text),
        }
    }

    /// A block begins.
    pub(crate) fn begin(&mut self, speech: Speech, text: &str) {
        if self.stuck {
            return;
        }
        self.end();
        self.pieces.push(Piece { speech, text: text.to_owned(), closed: false });
    }

    /// The open block is complete.
    pub(crate) fn end(&mut self) {
        if let Some(piece) = self.pieces.last_mut() {
            piece.closed = true;
        }
    }

    /// Nothing can go on from here. What was kept is let go.
    pub(crate) fn stick(&mut self) {
        *self = Spoken { stuck: true, ..Spoken::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_kind_are_a_block_and_thoughts_are_no_text() {
        let mut said = Spoken::default();
        said.push(Speech::Thinking, "hm");
        said.push(Speech::Text, "Hel");
        said.push(Speech::Text, "lo");
        said.end();
        said.push(Speech::Text, " there");
        assert_eq!((said.text().as_str(), said.pieces().len()), ("Hello there", 3));
        assert!(said.can_be_gone_on_from());
    }

    #[test]
    fn half_a_tool_call_and_too_long_an_answer_cannot_be_gone_on_from() {
        let mut said = Spoken::default();
        said.push(Speech::Text, "I shall look it up.");
        said.push(Speech::Other, "{\"city\":");
        assert_eq!((said.can_be_gone_on_from(), said.text()), (false, String::new()));
        let mut said = Spoken::default();
        said.push(Speech::Text, &"a".repeat(MOST_SPOKEN_BYTES));
        assert!(said.can_be_gone_on_from());
        said.push(Speech::Text, "a");
        assert!(!said.can_be_gone_on_from());
        assert!(!Spoken::default().can_be_gone_on_from(), "where nothing was said there is nothing to go on from");
    }
}
