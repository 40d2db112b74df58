//! What the dialects' readers tell of a frame or a body, and how the changes to it are written.

use std::ops::Range;

use domain::{Fault, FaultClass};
use smallvec::SmallVec;

use super::plan::{ReplyPlan, Seen};
use crate::cursor::{Bad, Text};
use crate::maker::Maker;
use crate::spoken::Speech;

/// What a whole body told beside what went into [`Seen`].
#[derive(Default)]
pub(super) struct Body {
    pub model: Option<Range<usize>>,
    /// Where the maker's tag goes.
    pub tags: Tags,
    /// Ids that the client knows by another name, each with that name as JSON.
    pub ids: Vec<(Range<usize>, Vec<u8>)>,
    pub error: bool,
}

/// Where something begins that only its maker can read or check.
pub(super) type Tags = SmallVec<[usize; 1]>;

/// Output received: whether there was any, its bytes, and where its texts stand.
#[derive(Default)]
pub(super) struct Output {
    pub any: bool,
    pub bytes: u64,
    stand: SmallVec<[(Speech, Text); 2]>,
    /// What kind of words a block opens with, be it empty.
    pub opens: Option<Speech>,
}

impl Output {
    /// A text that nobody can go on from; an empty one is no output.
    pub fn text(&mut self, text: Text) {
        self.say(Speech::Other, text);
    }

    /// Words of a kind.
    pub fn say(&mut self, speech: Speech, text: Text) {
        self.length(text.decoded_len as u64);
        self.opens = Some(speech);
        if text.decoded_len > 0 {
            self.stand.push((speech, text));
        }
    }

    /// Says of all words so far that they are thoughts.
    pub fn were_thoughts(&mut self) {
        self.stand.iter_mut().for_each(|(speech, _)| *speech = Speech::Thinking);
    }

    /// Texts, in their order.
    pub fn texts(&mut self, texts: impl IntoIterator<Item = Text>) {
        texts.into_iter().for_each(|text| self.text(text));
    }

    /// Text of this length that stands in more than one string.
    pub fn length(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.any |= bytes > 0;
    }

    /// Adds what another part held.
    pub fn add(&mut self, other: Output) {
        self.bytes += other.bytes;
        self.any |= other.any;
        self.stand.extend(other.stand);
        self.opens = other.opens.or(self.opens);
    }

    /// Puts down what was received in `data`.
    pub fn tell(&self, data: &[u8], seen: &mut Seen) {
        seen.output_bytes += self.bytes;
        seen.content_started |= self.any;
        if seen.kept.is_open() {
            self.stand.iter().for_each(|(_, text)| text.each_part(data, |part| seen.kept.push(part)));
        }
        let Some(said) = &mut seen.said else { return };
        let stood: usize = self.stand.iter().map(|(_, text)| text.decoded_len).sum();
        if self.any && (self.stand.is_empty() || stood as u64 != self.bytes) {
            said.stick();
        }
        for (speech, text) in &self.stand {
            text.each_part(data, |part| said.push(*speech, part));
        }
    }
}

/// What is to become of a frame.
pub(super) enum Verdict {
    /// It passes, with these spans of its data changed.
    Pass(Changes),
    /// The client did not ask for it.
    Drop,
    /// It is an error.
    Fault(Fault),
}

/// Spans to change in one body or frame.
#[derive(Default)]
pub(super) struct Changes {
    /// The value of `model`, quotes included.
    pub model: Option<Range<usize>>,
    /// What is to be left out.
    pub cut: Option<Range<usize>>,
    /// What a server left out and SDKs need, and where it goes; none inside another span.
    pub insert: Vec<(usize, String)>,
    /// Where the maker's tag goes.
    pub tags: Tags,
    /// Ids that the client knows by another name, each with that name as JSON.
    pub ids: Vec<(Range<usize>, Vec<u8>)>,
}

/// What is ours in an answer.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    /// The name the client asked for, as JSON.
    pub asked_model: Vec<u8>,
    /// Whose tag is given.
    pub maker: Maker,
}

impl Ours {
    /// What is ours in the answer of this plan.
    pub fn of(plan: &ReplyPlan) -> Ours {
        Ours { asked_model: quoted(&plan.asked_model), maker: plan.maker }
    }
}

impl Changes {
    /// Writes `original` with the changes. `place` says where in it a position of the spans stands.
    pub fn write(self, original: &[u8], ours: &Ours, place: impl Fn(usize) -> usize, out: &mut Vec<u8>) {
        let model = self.model.map(|span| (span, &ours.asked_model[..]));
        let cut = self.cut.map(|span| (span, &b""[..]));
        let inserted = self.insert.iter().map(|(at, text)| (*at..*at, text.as_bytes()));
        let tags = self.tags.iter().map(|at| (*at..*at, ours.maker.tag()));
        let ids = self.ids.iter().map(|(span, id)| (span.clone(), &id[..]));
        let mut spans: SmallVec<[(Range<usize>, &[u8]); 4]> =
            inserted.chain(tags).chain(model).chain(cut).chain(ids).collect();
        spans.sort_by_key(|(span, _)| span.start);
        let mut from = 0;
        for (span, with) in spans {
            let (start, end) = (place(span.start), place(span.end));
            out.extend_from_slice(&original[from..start]);
            out.extend_from_slice(with);
            from = end;
        }
        out.extend_from_slice(&original[from..]);
    }
}

pub(super) fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string has a JSON form")
}

pub(super) fn malformed(message: &str) -> Fault {
    Fault::new(FaultClass::Malformed, message)
}

pub(super) fn not_json(bad: Bad) -> Fault {
    malformed(&format!("the answer is not the JSON its dialect promises: {} (at byte {})", bad.what, bad.at))
}

pub(super) fn unexplained() -> Fault {
    Fault::new(FaultClass::ServerError, "the provider sent an error that could not be read")
}
