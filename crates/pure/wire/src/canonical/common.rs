//! What several dialects say in the same words.

use domain::{Meter, Usage};
use serde_json::value::RawValue;

use super::json::Object;
use super::{Content, Losses, Part, Source};
use crate::maker::Maker;

/// Arguments as an object. Models do not always finish theirs, and the dialect takes nothing but an object.
pub(crate) fn write_input(block: &mut Object<'_>, arguments: &str, at: &str, losses: &mut Losses) {
    let json = arguments.trim();
    match serde_json::from_str::<&RawValue>(json) {
        Ok(object) if json.starts_with('{') => block.put("input", object),
        _ if json.is_empty() || json == "null" => block.object("input", |_| {}),
        _ => {
            losses.approximated(at, "the arguments are no JSON object; they were put as one text named `arguments`");
            block.object("input", |input| input.put("arguments", arguments));
        }
    }
}

/// Whether a signature is of the provider that is asked: it made the thought, and can read it again.
pub(crate) fn is_own(signature: Option<&str>, own: Option<Maker>) -> bool {
    signature.zip(own).is_some_and(|(signature, own)| own.own(signature).is_some())
}

/// A signature as its maker made it.
pub(crate) fn untagged(signature: &str) -> String {
    Maker::named_in(signature.as_bytes()).and_then(|maker| maker.own(signature)).unwrap_or_else(|| signature.to_owned())
}

impl Losses {
    /// Tokens of thinking, where a usage has no place of their own for them.
    pub(crate) fn thinking_within_output(&mut self, usage: &Usage) {
        if usage.get(Meter::Reasoning) > 0 {
            self.approximated("/usage", "tokens of thinking are counted within the output here");
        }
    }

    /// The text of a part that can be nothing else where it is to stand.
    pub(crate) fn only_text<'p>(&mut self, part: &'p Part<'_>) -> Option<&'p str> {
        match &part.content {
            Content::Text(text) => Some(text),
            Content::Refusal(text) => {
                self.approximated(&part.at, "a refusal is put as text here");
                Some(text)
            }
            Content::Thinking { .. } | Content::RedactedThinking(_) => {
                self.thinking(part);
                None
            }
            Content::Document { source: Source::Text(text), .. } => {
                self.approximated(&part.at, "a plain text document is put as text");
                Some(text)
            }
            _ => {
                self.dropped(&part.at, "only text can stand here");
                None
            }
        }
    }
}
