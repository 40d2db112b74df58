//! Where the things stand in a request that may have to change before it is sent on.

use std::ops::Range;

use smallvec::SmallVec;

use crate::maker::Maker;
use crate::splice::{ElementSpan, MemberSpan};

/// Where the things stand that may have to change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spans {
    /// Just past the opening brace.
    pub open: usize,
    /// The boundary, where the body is a form.
    pub form: Option<String>,
    /// The value of `model`, quotes included; absent where the address names the model.
    pub model: Option<Range<usize>>,
    /// The value of `stream_options`.
    pub stream_options: Option<StreamOptions>,
    /// The caps on output tokens, by name.
    pub max_tokens: Option<Cap>,
    pub max_completion_tokens: Option<Cap>,
    pub max_output_tokens: Option<Cap>,
    /// The value of Bedrock's `inferenceConfig`.
    pub inference_config: Option<Container>,
    /// Members that some servers do not know, in order of place.
    pub optional: Vec<(&'static str, MemberSpan)>,
    /// Values `"developer"` of a message's `role`.
    pub developer_roles: Vec<Range<usize>>,
    /// The value of Google's `generationConfig`.
    pub generation_config: Option<Container>,
    /// Values that name the model as Google's resource, `"models/x"`.
    pub resources: Vec<Range<usize>>,
    /// The value of Anthropic's `thinking`, and of Bedrock's, where a model is to think up to a budget.
    pub thinking: Option<Range<usize>>,
    /// Members `id` of items that a provider may look up, in order of place.
    pub item_ids: Vec<Place>,
    /// What only its maker can read or check.
    pub signed: Signed,
}

/// A member and the object it is one of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Where the object begins.
    pub object: usize,
    /// The member.
    pub member: MemberSpan,
}

/// What of a conversation only its maker can read or check, in order of place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Signed {
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// Messages that are made of such pieces alone.
    pub messages: Vec<Alone>,
    /// The message whose calls of tools are answered by the last one.
    pub called: Option<u32>,
}

/// A message made of signed pieces alone: without them it would be empty, which no provider takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Alone {
    /// Which pieces.
    pub pieces: Range<usize>,
    /// The message.
    pub message: ElementSpan,
}

/// Something that only its maker can read or check: a signed thought, an encrypted one, a reference to a kept one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// Who made it.
    pub made_by: MadeBy,
    /// Where the maker's tag may stand: what was signed, between the quotes.
    pub texts: SmallVec<[Range<usize>; 1]>,
    /// JSON pointer of it, for the list of losses.
    pub at: String,
    /// The message it stands in.
    pub message: Option<u32>,
    /// What goes where another provider is asked.
    pub whole: Whole,
}

/// Who made something that is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MadeBy {
    /// The provider whose tag it carries.
    Known(Maker),
    /// Somebody: it came to the client before Freehold stood between.
    Unknown,
    /// No provider: the signature is empty, or the id is one of ours. Nobody takes it.
    Nobody,
}

/// What goes with a signature that does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Whole {
    /// An element of a list: the thought.
    Element(ElementSpan),
    /// The signature alone, which stands beside what it is for; `in_call`: a call of a tool.
    Member {
        /// The signature.
        place: Place,
        /// Whether it is a call that is signed.
        in_call: bool,
    },
    /// All of it: the request says nothing without.
    Request,
}

/// An object in which something may have to stand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Container {
    /// The value, braces included.
    pub value: Range<usize>,
    /// Whether it is an object; `null` otherwise.
    pub is_object: bool,
    /// Whether it has members.
    pub has_members: bool,
}

/// A cap on output tokens, which may be null.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cap {
    /// The key, quotes included.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// The value of `stream_options`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct StreamOptions {
    /// The value, braces included.
    pub value: Range<usize>,
    /// Whether it is an object; `null` otherwise.
    pub is_object: bool,
    /// Whether it has members.
    pub has_members: bool,
    /// The values of its two members.
    pub include_usage: Option<Range<usize>>,
    pub continuous_usage: Option<Range<usize>>,
}
