//! Cuts Amazon's binary event stream into messages, reads them and writes them; checksums are verified, bytes preserved.
//!
//! A message is its whole length and the length of its headers (big-endian, four bytes each), a CRC-32 of those eight bytes,
//! the headers, the payload, and a CRC-32 of all before (Amazon Transcribe developer guide, "Event stream encoding").

use crc32fast::hash;
use domain::{Fault, FaultClass};

/// The longest message taken, bytes; as for a frame of server-sent events.
pub const MAX_MESSAGE_BYTES: usize = crate::sse::MAX_FRAME_BYTES;

/// What stands around headers and payload: two lengths, their checksum, and the checksum of the whole.
const PRELUDE_BYTES: usize = 12;
const FRAMING_BYTES: usize = PRELUDE_BYTES + 4;

/// Steps in which the buffer grows, and what of it is kept between messages, bytes.
const BUFFER_STEP_BYTES: usize = 32 * 1024;

/// The type of a header that is text. The others are passed over.
const TEXT: u8 = 7;

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Whether it says that the answer failed.
    pub is_exception: bool,
    /// Its type: `contentBlockDelta`, `throttlingException`.
    pub kind: &'a str,
    /// Its payload, JSON.
    pub payload: &'a [u8],
}

/// Cuts bytes into messages. Holds at most the one that has not ended.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    /// Takes bytes and hands every message that is now whole to `each`, in order. One that lies wholly in `bytes` is not
    /// copied.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.pending.is_empty() {
                let Some(length) = length(rest)?.filter(|length| *length <= rest.len()) else { break };
                each(&rest[..length])?;
                rest = &rest[length..];
                continue;
            }
            // The lengths first: only then is it known how much more belongs to the message.
            let wanted = length(&self.pending)?.unwrap_or(PRELUDE_BYTES);
            let taken = (wanted - self.pending.len()).min(rest.len());
            self.keep(&rest[..taken]);
            rest = &rest[taken..];
            if length(&self.pending)? == Some(self.pending.len()) {
                let done = each(&self.pending);
                self.pending.clear();
                self.pending.shrink_to(BUFFER_STEP_BYTES);
                done?;
            }
        }
        self.keep(rest);
        Ok(())
    }

    /// What came after the last whole message. The splitter is empty afterwards.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    /// Bytes of memory held.
    pub fn buffered_bytes(&self) -> usize {
        self.pending.capacity()
    }

    /// Grows in even steps: doubling would hold up to twice the longest message.
    fn keep(&mut self, bytes: &[u8]) {
        let needed = self.pending.len() + bytes.len();
        if needed > self.pending.capacity() {
            self.pending.reserve_exact(needed.next_multiple_of(BUFFER_STEP_BYTES) - self.pending.len());
        }
        self.pending.extend_from_slice(bytes);
    }
}

/// The length of the message that begins here, once enough of it is there to say.
fn length(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(prelude) = bytes.get(..PRELUDE_BYTES) else { return Ok(None) };
    if hash(&prelude[..8]) != word(prelude, 8) {
        return Err(malformed("the lengths of a message do not agree with their checksum"));
    }
    let length = word(prelude, 0) as usize;
    if length < FRAMING_BYTES + word(prelude, 4) as usize {
        return Err(malformed("a message is shorter than its headers"));
    }
    if length > MAX_MESSAGE_BYTES {
        return Err(malformed("a message of the stream is too long"));
    }
    Ok(Some(length))
}

impl<'a> Message<'a> {
    /// Reads one whole message.
    pub fn read(raw: &'a [u8]) -> Result<Message<'a>, Fault> {
        let length = length(raw)?.filter(|length| *length == raw.len());
        let length = length.ok_or_else(|| malformed("a message of the stream is cut"))?;
        if hash(&raw[..length - 4]) != word(raw, length - 4) {
            return Err(malformed("a message of the stream does not agree with its checksum"));
        }
        let headers_end = PRELUDE_BYTES + word(raw, 4) as usize;
        let mut headers = Headers(&raw[PRELUDE_BYTES..headers_end]);
        let (mut message_kind, mut kind) = ("", "");
        while let Some((name, value)) = headers.next()? {
            match name {
                b":message-type" => message_kind = value,
                b":event-type" | b":exception-type" | b":error-code" => kind = value,
                _ => {}
            }
        }
        let is_exception = matches!(message_kind, "exception" | "error");
        Ok(Message { is_exception, kind, payload: &raw[headers_end..length - 4] })
    }

    /// Appends a whole message that was read to `out`, with another payload: its headers stay.
    pub(crate) fn rewrite(raw: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let headers_end = PRELUDE_BYTES + word(raw, 4) as usize;
        out.extend_from_slice(&raw[..headers_end]);
        out.extend_from_slice(payload);
        let length = (out.len() - start + 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        seal(out, start);
    }

    /// Appends it to `out` as it stands on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; PRELUDE_BYTES]);
        let (kind_name, message_kind) = match self.is_exception {
            true => (":exception-type", "exception"),
            false => (":event-type", "event"),
        };
        for (name, value) in
            [(kind_name, self.kind), (":content-type", "application/json"), (":message-type", message_kind)]
        {
            // Names and kinds are ours, and short.
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            out.push(TEXT);
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
            out.extend_from_slice(value.as_bytes());
        }
        let headers = (out.len() - start - PRELUDE_BYTES) as u32;
        out.extend_from_slice(self.payload);
        let length = (out.len() - start + 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        out[start + 4..start + 8].copy_from_slice(&headers.to_be_bytes());
        seal(out, start);
    }
}

/// Writes the checksums of the message that begins at `start` and is whole but for them.
fn seal(out: &mut Vec<u8>, start: usize) {
    let prelude = hash(&out[start..start + 8]);
    out[start + 8..start + 12].copy_from_slice(&prelude.to_be_bytes());
    let whole = hash(&out[start..]);
    out.extend_from_slice(&whole.to_be_bytes());
}

/// The headers of a message that have not been read.
struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// The next header; the value of one that is no text is empty.
    fn next(&mut self) -> Result<Option<(&'a [u8], &'a str)>, Fault> {
        let Some(name_length) = self.0.first().copied() else { return Ok(None) };
        self.take(1)?;
        let name = self.take(usize::from(name_length))?;
        let kind = self.take(1)?[0];
        let value = match kind {
            0 | 1 => &[][..],
            2 => self.take(1)?,
            3 => self.take(2)?,
            4 => self.take(4)?,
            5 | 8 => self.take(8)?,
            6 | TEXT => {
                let length = self.take(2)?;
                self.take(usize::from(u16::from_be_bytes([length[0], length[1]])))?
            }
            9 => self.take(16)?,
            _ => return Err(malformed("a header of a message is of no known type")),
        };
        let text = if kind == TEXT { std::str::from_utf8(value).ok() } else { Some("") };
        Ok(Some((name, text.ok_or_else(|| malformed("a header of a message is not UTF-8"))?)))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| malformed("the headers of a message are cut"))?;
        self.0 = rest;
        Ok(taken)
    }
}

/// The four bytes at `at` as a number.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn malformed(what: &str) -> Fault {
    Fault::new(FaultClass::Malformed, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Message { is_exception: false, kind, payload }.write(&mut out);
        out
    }

    #[test]
    fn a_message_reads_as_it_was_written_however_it_arrives() {
        let stream = [written("messageStart", b"{}"), written("contentBlockDelta", &[b'x'; 900])].concat();
        for cut in 1..stream.len() {
            let (mut splitter, mut read, mut whole) = (Splitter::default(), Vec::new(), Vec::new());
            for chunk in stream.chunks(cut) {
                let fed = splitter.feed(chunk, |raw| {
                    let message = Message::read(raw)?;
                    read.push((message.kind.to_owned(), message.payload.len()));
                    whole.extend_from_slice(raw);
                    Ok(())
                });
                fed.unwrap();
            }
            assert_eq!(read, [("messageStart".to_owned(), 2), ("contentBlockDelta".to_owned(), 900)], "{cut}");
            assert_eq!((whole, splitter.take_rest()), (stream.clone(), Vec::new()));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_seen() {
        let original = written("metadata", b"{\"usage\":1}");
        for bit in 0..original.len() * 8 {
            let mut flipped = original.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Message::read(&flipped).unwrap_err().class, FaultClass::Malformed, "bit {bit}");
        }
    }

    #[test]
    fn a_message_of_amazons_documentation_reads() {
        // The example of the Amazon Transcribe guide's test data, with an integer header and a payload: smithy's
        // `valid/int32_header` vector.
        let vector = [
            0, 0, 0, 45, 0, 0, 0, 16, 65, 196, 36, 184, 10, 101, 118, 101, 110, 116, 45, 116, 121, 112, 101, 4, 0, 0,
            160, 12, 123, 39, 102, 111, 111, 39, 58, 39, 98, 97, 114, 39, 125, 54, 244, 128, 160,
        ];
        let message = Message::read(&vector).unwrap();
        assert_eq!((message.kind, message.payload, message.is_exception), ("", &b"{'foo':'bar'}"[..], false));
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_at_its_prelude() {
        let mut prelude = [(MAX_MESSAGE_BYTES as u32 + 1).to_be_bytes(), 0u32.to_be_bytes()].concat();
        prelude.extend(hash(&prelude).to_be_bytes());
        assert_eq!(Splitter::default().feed(&prelude, |_| Ok(())).unwrap_err().class, FaultClass::Malformed);
    }
}
