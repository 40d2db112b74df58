//! Cuts a stream of server-sent events into whole frames without changing a byte, however the bytes arrive.

use domain::{Fault, FaultClass};
use memchr::{memchr, memchr2};

/// The longest frame taken, bytes. A single event of an answer is a few hundred; a megabyte is a server gone wrong.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// The same where one event says all of an answer, pictures included, as the last one of a Responses stream does.
pub const MAX_WHOLE_ANSWER_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// Steps in which the buffer grows, and what of it is kept between frames, bytes.
const BUFFER_STEP_BYTES: usize = 32 * 1024;

/// One dispatched event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// The `event:` field; empty when there was none.
    pub name: &'a str,
    /// The `data:` lines joined by line feeds.
    pub data: &'a [u8],
}

/// What a [`Splitter`] yields. The pieces put together are the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// The lines of one frame and the empty line that ends it.
    Frame(&'a [u8]),
    /// The second half of a CRLF that ended the frame before: that frame was handed out when its CR came, since no one
    /// could know whether a line feed would follow.
    LateLineFeed,
}

/// Cuts bytes into frames. Holds at most the frame that has not ended.
#[derive(Debug)]
pub struct Splitter {
    /// The longest frame taken, bytes.
    most: usize,
    pending: Vec<u8>,
    line: Line,
    late_line_feed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Line {
    /// Nothing of the line has come.
    #[default]
    Start,
    /// Some of it has.
    Within,
    /// It ended with a carriage return; a line feed would still belong to it.
    AfterReturn,
}

impl Default for Splitter {
    /// Takes frames of up to [`MAX_FRAME_BYTES`].
    fn default() -> Splitter {
        Splitter::of_at_most(MAX_FRAME_BYTES)
    }
}

impl Splitter {
    /// Takes frames of up to so many bytes.
    pub fn of_at_most(most: usize) -> Splitter {
        Splitter { most, pending: Vec::new(), line: Line::Start, late_line_feed: false }
    }

    /// Takes bytes and hands every frame that is now whole to `each`, in order. A frame that lies wholly in `bytes` is not
    /// copied.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Piece<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut rest = bytes;
        if self.late_line_feed && !rest.is_empty() {
            self.late_line_feed = false;
            if rest[0] == b'\n' {
                rest = &rest[1..];
                each(Piece::LateLineFeed)?;
            }
        }
        while let Some(end) = self.frame_end(rest) {
            if self.pending.len() + end > self.most {
                return Err(too_long(self.most));
            }
            if self.pending.is_empty() {
                each(Piece::Frame(&rest[..end]))?;
            } else {
                self.keep(&rest[..end]);
                let done = each(Piece::Frame(&self.pending));
                self.pending.clear();
                self.pending.shrink_to(BUFFER_STEP_BYTES);
                done?;
            }
            rest = &rest[end..];
        }
        if self.pending.len() + rest.len() > self.most {
            return Err(too_long(self.most));
        }
        self.keep(rest);
        Ok(())
    }

    /// What came after the last whole frame. The splitter is empty afterwards.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.line = Line::Start;
        std::mem::take(&mut self.pending)
    }

    /// Bytes of memory held.
    pub fn buffered_bytes(&self) -> usize {
        self.pending.capacity()
    }

    /// Grows in even steps: doubling would hold up to twice the longest frame.
    fn keep(&mut self, bytes: &[u8]) {
        let needed = self.pending.len() + bytes.len();
        if needed > self.pending.capacity() {
            self.pending.reserve_exact(needed.next_multiple_of(BUFFER_STEP_BYTES) - self.pending.len());
        }
        self.pending.extend_from_slice(bytes);
    }

    /// Where in `bytes`, which follow what is pending, the frame ends: after its first empty line. Every byte is looked at
    /// once, however it arrives.
    fn frame_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match (self.line, byte) {
                (Line::Start, b'\n') => return Some(at + 1),
                (Line::Start, b'\r') => {
                    self.late_line_feed = at + 1 == bytes.len();
                    return Some(at + 1 + usize::from(bytes.get(at + 1) == Some(&b'\n')));
                }
                (Line::AfterReturn, byte) => {
                    at += usize::from(byte == b'\n');
                    self.line = Line::Start;
                }
                (Line::Start | Line::Within, _) => {
                    self.line = Line::Within;
                    let end = at + memchr2(b'\n', b'\r', &bytes[at..])?;
                    self.line = if bytes[end] == b'\n' { Line::Start } else { Line::AfterReturn };
                    at = end + 1;
                }
            }
        }
        None
    }
}

fn too_long(most: usize) -> Fault {
    Fault::new(FaultClass::Malformed, format!("an event of the stream is longer than {most} bytes"))
}

/// The fields of one frame, in order: name and value. Comments are left out.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(frame: &'a [u8]) -> Fields<'a> {
        Fields { rest: frame.strip_prefix(b"\xef\xbb\xbf").unwrap_or(frame) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = memchr2(b'\n', b'\r', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            let ended_by = if self.rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
            self.rest = &self.rest[(end + ended_by).min(self.rest.len())..];
            let (name, value) = match memchr(b':', line) {
                Some(colon) => (&line[..colon], &line[colon + 1..]),
                None => (line, &line[line.len()..]),
            };
            if !name.is_empty() {
                return Some((name, value.strip_prefix(b" ").unwrap_or(value)));
            }
        }
        None
    }
}

/// One frame, read. Its data is borrowed from it unless it stands on several lines.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// The `event:` field.
    pub name: &'a str,
    /// The joined data; `None` when there is no data line, so nothing is dispatched.
    pub data: Option<&'a [u8]>,
    /// The value of an `error:` line, as older llama.cpp servers send it.
    pub error: Option<&'a [u8]>,
}

/// Memory for the data of frames that stand on several lines.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    bytes: Vec<u8>,
    /// Where each line starts: in `bytes`, and in the frame.
    lines: Vec<(usize, usize)>,
}

impl Joined {
    /// Reads a frame.
    pub fn read<'a>(&'a mut self, frame: &'a [u8]) -> Frame<'a> {
        let (mut name, mut error, mut only, mut count) = ("", None, None, 0);
        for (field, value) in Fields::of(frame) {
            match field {
                b"data" => {
                    count += 1;
                    only = Some(value);
                }
                b"event" => name = std::str::from_utf8(value).unwrap_or_default(),
                b"error" => error = Some(value),
                _ => {}
            }
        }
        self.bytes.clear();
        self.lines.clear();
        if count < 2 {
            if let Some(value) = only {
                self.lines.push((0, offset_in(frame, value)));
            }
            return Frame { name, data: only, error };
        }
        for (_, value) in Fields::of(frame).filter(|(field, _)| *field == b"data") {
            if !self.lines.is_empty() {
                self.bytes.push(b'\n');
            }
            self.lines.push((self.bytes.len(), offset_in(frame, value)));
            self.bytes.extend_from_slice(value);
        }
        Frame { name, data: Some(&self.bytes), error }
    }

    /// Where in the frame last read a position in its data stands.
    pub fn in_frame(&self, position: usize) -> usize {
        let line = self.lines.iter().rev().find(|(start, _)| *start <= position);
        line.map_or(position, |(start, in_frame)| in_frame + position - start)
    }

    /// Gives back what an unusually long frame took.
    pub fn release(&mut self) {
        if self.bytes.capacity() > BUFFER_STEP_BYTES {
            *self = Joined::default();
        }
    }

    /// Bytes of memory held.
    pub fn buffered_bytes(&self) -> usize {
        self.bytes.capacity() + self.lines.capacity() * size_of::<(usize, usize)>()
    }
}

/// Where `part`, borrowed from `whole`, starts in it.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        for chunk in chunks {
            splitter
                .feed(chunk, |piece| {
                    pieces.push(match piece {
                        Piece::Frame(frame) => String::from_utf8_lossy(frame).into_owned(),
                        Piece::LateLineFeed => "late".into(),
                    });
                    Ok(())
                })
                .unwrap();
        }
        pieces
    }

    fn read(frame: &str) -> (String, Option<String>) {
        let mut joined = Joined::default();
        let frame = joined.read(frame.as_bytes());
        (frame.name.into(), frame.data.map(|data| String::from_utf8(data.into()).unwrap()))
    }

    #[test]
    fn every_kind_of_line_end_ends_a_frame() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = format!("data: 1{end}{end}: hi{end}data: 2{end}{end}");
            let frames = pieces(&[stream.as_bytes()]);
            assert_eq!(frames, [format!("data: 1{end}{end}"), format!(": hi{end}data: 2{end}{end}")]);
        }
    }

    #[test]
    fn a_line_feed_that_comes_late_belongs_to_the_frame_before() {
        assert_eq!(pieces(&[b"data: 1\r\n\r", b"\ndata: 2\n\n"]), ["data: 1\r\n\r", "late", "data: 2\n\n"]);
        assert_eq!(pieces(&[b"data: 1\r\r", b"data: 2\r\r"]), ["data: 1\r\r", "data: 2\r\r"]);
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        assert_eq!(read("event: a\ndata:x\n\n"), ("a".into(), Some("x".into())));
        assert_eq!(read("data:  x\ndata\ndata: y\n\n"), (String::new(), Some(" x\n\ny".into())));
        assert_eq!(read("\u{feff}data: x\r\n\r\n"), (String::new(), Some("x".into())));
        assert_eq!(read(": keep-alive\n\n"), (String::new(), None));
        assert_eq!(read("id: 7\nretry: 5\nodd\n\n"), (String::new(), None));
    }

    #[test]
    fn a_position_in_joined_data_is_found_in_the_frame() {
        let frame = b"data: {\ndata:\"a\"}\n\n";
        let mut joined = Joined::default();
        assert_eq!(joined.read(frame).data, Some(&b"{\n\"a\"}"[..]));
        assert_eq!((joined.in_frame(0), joined.in_frame(2), joined.in_frame(5)), (6, 13, 16));
    }

    #[test]
    fn a_frame_without_end_is_refused_at_the_bound() {
        let mut splitter = Splitter::default();
        let mut feed = |bytes: &[u8]| splitter.feed(bytes, |_| Ok(()));
        assert!(feed(&vec![b'a'; MAX_FRAME_BYTES]).is_ok());
        assert_eq!(feed(b"a").unwrap_err().class, FaultClass::Malformed);
    }

    #[test]
    fn memory_is_that_of_the_frame_that_has_not_ended() {
        let mut splitter = Splitter::default();
        for length in [1000, 100_000, 700_000] {
            for chunk in vec![b'a'; length].chunks(1000) {
                splitter.feed(chunk, |_| Ok(())).unwrap();
            }
            assert!(splitter.buffered_bytes() <= length + BUFFER_STEP_BYTES, "{length}");
            splitter.feed(b"\n\n", |_| Ok(())).unwrap();
            assert!(splitter.buffered_bytes() <= 2 * BUFFER_STEP_BYTES);
        }
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_stream_however_it_is_cut(stream in "[ad:\n\r]{0,40}", cuts in prop::collection::vec(0usize..40, 0..6)) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let (mut splitter, mut whole, mut from) = (Splitter::default(), Vec::new(), 0);
            for to in cuts.into_iter().chain([bytes.len()]) {
                splitter.feed(&bytes[from..to], |piece| {
                    whole.extend_from_slice(match piece { Piece::Frame(frame) => frame, Piece::LateLineFeed => b"\n" });
                    Ok(())
                }).unwrap();
                from = to;
            }
            whole.extend(splitter.take_rest());
            prop_assert_eq!(String::from_utf8(whole).unwrap(), stream);
        }
    }
}
