//! A stream's frames, written down before the first is sent: pacing then only slices.

use bytes::Bytes;
use serde::Serialize;

/// All frames of a stream, or the one of a whole answer.
#[derive(Clone, Debug)]
pub struct Frames {
    /// All of them, one after the other.
    pub bytes: Bytes,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// How many come before the first content.
    pub lead: usize,
    /// How many come before the first that closes.
    pub tail: usize,
}

/// Writes frames.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    lead: Option<usize>,
    tail: Option<usize>,
}

impl Writer {
    /// Room for so many frames of a usual size.
    pub fn for_frames(count: u64) -> Writer {
        let count = usize::try_from(count).unwrap_or(0).min(100_000);
        Writer { bytes: Vec::with_capacity(count * 256), ends: Vec::with_capacity(count), ..Writer::default() }
    }

    /// Adds text to the frame.
    pub fn put(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Adds a value as JSON.
    pub fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.bytes, value)
            .expect("a vector takes all that is written, and our values are JSON");
    }

    /// A whole frame of bytes.
    pub fn frame(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    /// Ends the frame.
    pub fn end_frame(&mut self) {
        self.end_frame_with("\n\n");
    }

    /// Ends the frame with the line ends of this provider.
    pub fn end_frame_with(&mut self, ends: &str) {
        self.bytes.extend_from_slice(ends.as_bytes());
        self.ends.push(self.bytes.len());
    }

    /// The next frame is the first with content; said again, it changes nothing.
    pub fn content_begins(&mut self) {
        self.lead.get_or_insert(self.ends.len());
    }

    /// The next frame is the first that closes the answer.
    pub fn closing_begins(&mut self) {
        self.tail.get_or_insert(self.ends.len());
    }

    /// All that was written.
    pub fn finish(self) -> Frames {
        let tail = self.tail.unwrap_or(self.ends.len());
        Frames { bytes: self.bytes.into(), lead: self.lead.unwrap_or(tail), tail, ends: self.ends }
    }
}

impl Frames {
    /// A whole answer.
    pub fn whole(body: Vec<u8>) -> Frames {
        Frames { ends: vec![body.len()], bytes: body.into(), lead: 0, tail: 1 }
    }

    /// Leaves only the frames before the `after`-th one with content, and appends `last`, where it is not empty.
    pub fn cut(&mut self, after: usize, last: &[u8]) {
        let count = (self.lead + after).min(self.tail);
        let end = if count == 0 { 0 } else { self.ends[count - 1] };
        self.ends.truncate(count);
        if last.is_empty() {
            self.bytes = self.bytes.slice(..end);
        } else {
            let mut bytes = self.bytes[..end].to_vec();
            bytes.extend_from_slice(last);
            self.ends.push(bytes.len());
            self.bytes = bytes.into();
        }
        self.lead = self.lead.min(self.ends.len());
        self.tail = self.ends.len();
    }

    /// Puts a frame in after the `after`-th one with content.
    pub fn insert(&mut self, after: usize, frame: &[u8]) {
        let at = (self.lead + after).min(self.tail);
        let place = if at == 0 { 0 } else { self.ends[at - 1] };
        let bytes = [&self.bytes[..place], frame, &self.bytes[place..]].concat();
        self.ends.iter_mut().skip(at).for_each(|end| *end += frame.len());
        self.ends.insert(at, place + frame.len());
        self.tail += 1;
        self.bytes = bytes.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Frames {
        let mut writer = Writer::default();
        for (index, text) in ["lead", "one", "two", "close"].into_iter().enumerate() {
            if index == 1 {
                writer.content_begins();
            }
            if index == 3 {
                writer.closing_begins();
            }
            writer.put(text);
            writer.end_frame();
        }
        writer.finish()
    }

    #[test]
    fn a_stream_is_cut_and_added_to_between_frames() {
        let mut cut = frames();
        cut.cut(1, b"error\n\n");
        assert_eq!(&cut.bytes[..], b"lead\n\none\n\nerror\n\n");
        assert_eq!(cut.ends, [6, 11, 18]);
        let mut longer = frames();
        longer.insert(99, b"odd\n\n");
        assert_eq!(&longer.bytes[..], b"lead\n\none\n\ntwo\n\nodd\n\nclose\n\n");
        assert_eq!(longer.ends, [6, 11, 16, 21, 28]);
        let mut empty = frames();
        empty.cut(0, b"");
        assert_eq!(&empty.bytes[..], b"lead\n\n");
    }
}
