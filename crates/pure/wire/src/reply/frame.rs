//! What the dialects' readers tell of a frame or a body, and how the changes to it are written.

use std::ops::Range;

use domain::{Fault, FaultClass};
use smallvec::SmallVec;

use super::plan::Seen;
use crate::cursor::{Bad, Text};

/// What a whole body told beside what went into [`Seen`].
#[derive(Default)]
pub(super) struct Body {
    pub model: Option<Range<usize>>,
    /// Ids that the client knows by another name, each with that name as JSON.
    pub ids: Vec<(Range<usize>, Vec<u8>)>,
    pub error: bool,
}

/// Output received: whether there was any, its bytes, and where its texts stand.
#[derive(Default)]
pub(super) struct Output {
    pub any: bool,
    pub bytes: u64,
    stand: SmallVec<[Text; 2]>,
}

impl Output {
    /// A text; an empty one is no output.
    pub fn text(&mut self, text: Text) {
        self.length(text.decoded_len as u64);
        if text.decoded_len > 0 {
            self.stand.push(text);
        }
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
    }

    /// Puts down what was received in `data`.
    pub fn tell(&self, data: &[u8], seen: &mut Seen) {
        seen.output_bytes += self.bytes;
        seen.content_started |= self.any;
        if seen.kept.is_open() {
            self.stand.iter().for_each(|text| text.each_part(data, |part| seen.kept.push(part)));
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
    /// What a server left out and SDKs need, and where it goes; in order of place, none inside another span.
    pub insert: Vec<(usize, String)>,
    /// Ids that the client knows by another name, each with that name as JSON.
    pub ids: Vec<(Range<usize>, Vec<u8>)>,
}

impl Changes {
    /// Writes `original` with the changes. `place` says where in it a position of the spans stands.
    pub fn write(self, original: &[u8], asked_model: &[u8], place: impl Fn(usize) -> usize, out: &mut Vec<u8>) {
        if !self.ids.is_empty() {
            return self.write_in_order(original, asked_model, place, out);
        }
        let model = self.model.map(|span| (span, asked_model));
        let cut = self.cut.map(|span| (span, &b""[..]));
        let (first, second) = match (&model, &cut) {
            (Some((model_span, _)), Some((cut_span, _))) if cut_span.start < model_span.start => (cut, model),
            _ => (model, cut),
        };
        // What is inserted stands at the opening of an object, and so before what changes inside it.
        let mut spans = [first, second].into_iter().flatten().peekable();
        let mut inserted = self.insert.iter().map(|(at, text)| (*at..*at, text.as_bytes())).peekable();
        let in_order = std::iter::from_fn(|| match (inserted.peek(), spans.peek()) {
            (Some((at, _)), Some((span, _))) if span.start < at.start => spans.next(),
            (Some(_), _) => inserted.next(),
            (None, _) => spans.next(),
        });
        let mut from = 0;
        for (span, with) in in_order {
            let (start, end) = (place(span.start), place(span.end));
            out.extend_from_slice(&original[from..start]);
            out.extend_from_slice(with);
            from = end;
        }
        out.extend_from_slice(&original[from..]);
    }

    /// The same for the few events that name an answer.
    fn write_in_order(&self, original: &[u8], asked_model: &[u8], place: impl Fn(usize) -> usize, out: &mut Vec<u8>) {
        let mut spans: Vec<(Range<usize>, &[u8])> = Vec::with_capacity(8);
        spans.extend(self.insert.iter().map(|(at, text)| (*at..*at, text.as_bytes())));
        spans.extend(self.model.iter().map(|span| (span.clone(), asked_model)));
        spans.extend(self.cut.iter().map(|span| (span.clone(), &b""[..])));
        spans.extend(self.ids.iter().map(|(span, name)| (span.clone(), &name[..])));
        spans.sort_by_key(|(span, _)| (span.start, span.end));
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
