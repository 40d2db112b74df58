//! The form in which facts lie in the spool: one line each, with a checksum, readable by eye and safe to cut anywhere.
//!
//! A line is eight hex digits of the JSON's CRC-32, a space, the JSON, a line feed. JSON escapes line feeds, so a line
//! feed always ends a line: after damage the decoder finds its footing at the next one.

mod encode;

use std::io::Write;

use domain::Entry;
use thiserror::Error;

/// Bytes before the JSON: the checksum and a space.
const HEAD_BYTES: usize = 9;

/// How the JSON of each kind of entry begins, as `Entry`'s own form has it. It is looked for by hand: a tag that may stand
/// anywhere costs a reader a copy of every field.
const INTENT: &str = r#"{"kind":"intent","#;
const RECORD: &str = r#"{"kind":"record","#;
const CALL: &str = r#"{"kind":"call","#;

/// Appends one entry as a line.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"00000000 ");
    encode::json(entry, out);
    let checksum = crc32fast::hash(&out[start + HEAD_BYTES..]);
    write!(&mut out[start..start + HEAD_BYTES], "{checksum:08x} ").expect("nine bytes are there");
    out.push(b'\n');
}

/// A line that is not what was written: it was damaged after it was written whole.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("spool line at byte {offset}, {length} bytes long: {reason}")]
pub struct Corrupt {
    /// Where the line begins.
    pub offset: u64,
    /// Its length with the line feed.
    pub length: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads the lines of a segment, or of a stretch of one. Yields each entry with the offset after it, which is where to
/// go on another time; what the line says of it stands in [`Decoder::json`]. A damaged line is an error, and reading goes on behind it. It stops at a torn tail, a last line
/// without its line feed: see [`Decoder::torn_bytes`].
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    offset: u64,
    json: &'a str,
}

impl<'a> Decoder<'a> {
    /// Reads a segment from its beginning.
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder::at(0, bytes)
    }

    /// Reads bytes that begin at an offset of the segment, where a line begins.
    pub fn at(offset: u64, bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes, offset, json: "" }
    }

    /// The offset after the last line read, whole or damaged.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The JSON of the line read last, as it was written; empty where the line was damaged.
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// Once nothing more comes: how many bytes are left of a line that was not written whole. Whoever wrote the segment
    /// cuts them off before writing on; a reader of a segment being written waits for more.
    pub fn torn_bytes(&self) -> u64 {
        self.rest.len() as u64
    }
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<(u64, Entry), Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at(end + 1);
        let offset = self.offset;
        self.rest = rest;
        self.offset += line.len() as u64;
        let line: &'a [u8] = line;
        self.json = "";
        let read = intact(&line[..end]).and_then(|json| Ok((json, decode(json)?)));
        Some(match read {
            Ok((json, entry)) => {
                self.json = json;
                Ok((self.offset, entry))
            }
            Err(reason) => Err(Corrupt { offset, length: line.len() as u64, reason }),
        })
    }
}

/// The JSON of a line without its line feed, if it is what was written.
fn intact(line: &[u8]) -> Result<&str, String> {
    let (head, json) = line.split_at_checked(HEAD_BYTES).ok_or("shorter than its checksum")?;
    let digits = head.strip_suffix(b" ").and_then(|digits| std::str::from_utf8(digits).ok());
    let digits = digits.filter(|digits| digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
    let written =
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or("no checksum at its beginning")?;
    let found = crc32fast::hash(json);
    if written != found {
        return Err(format!("checksum is {found:08x}, was written as {written:08x}"));
    }
    // Looked at once, so that no reader of a field looks again.
    std::str::from_utf8(json).map_err(|error| format!("whole, yet no text: {error}"))
}

fn decode(json: &str) -> Result<Entry, String> {
    // The kind is an unknown field to the readers of the three, which pass over it.
    let read = if json.starts_with(INTENT) {
        serde_json::from_str(json).map(Entry::Intent)
    } else if json.starts_with(RECORD) {
        serde_json::from_str(json).map(|record| Entry::Record(Box::new(record)))
    } else if json.starts_with(CALL) {
        serde_json::from_str(json).map(|call| Entry::Call(Box::new(call)))
    } else {
        serde_json::from_str(json)
    };
    read.map_err(|error| format!("whole, yet no entry this version knows: {error}"))
}

#[cfg(test)]
pub(crate) mod examples;

#[cfg(test)]
mod tests {
    use super::*;
    use domain::UnixMs;
    use domain::record::{Capture, StageNote};
    use proptest::prelude::*;

    fn lines(entries: &[Entry]) -> Vec<u8> {
        let mut out = Vec::new();
        entries.iter().for_each(|entry| encode(entry, &mut out));
        out
    }

    fn three() -> Vec<Entry> {
        vec![
            Entry::Intent(examples::record().intent),
            Entry::Record(Box::new(examples::record())),
            Entry::Call(Box::new(examples::call_end())),
        ]
    }

    #[test]
    fn a_line_is_a_checksum_and_json() {
        let text = String::from_utf8(lines(&three()[..1])).unwrap();
        let (checksum, json) = text.trim_end().split_once(' ').unwrap();
        assert_eq!(checksum, format!("{:08x}", crc32fast::hash(json.as_bytes())));
        assert!(json.starts_with(r#"{"kind":"intent","attempt":"call_"#), "{json}");
    }

    proptest! {
        #[test]
        fn records_and_ends_are_written_as_serde_would_write_them(
            record in examples::any_record(),
            bare in any::<bool>(),
            streamed in any::<bool>(),
            text in any::<String>(),
        ) {
            let mut end = examples::call_end();
            end.stream = streamed;
            end.asked = text.clone();
            end.stages.push(StageNote { stage: "route".into(), note: text.clone() });
            if bare {
                (end.failure, end.class, end.model, end.key, end.first_token_ms) = (None, None, None, None, None);
                end.stages.clear();
                end.capture = Some(Capture { request: text.clone(), answer: text, until: UnixMs(7) });
            }
            for entry in [Entry::Intent(record.intent.clone()), Entry::Record(Box::new(record)), Entry::Call(Box::new(end))] {
                let mut json = Vec::new();
                encode::json(&entry, &mut json);
                prop_assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&entry).unwrap());
            }
        }
    }

    #[test]
    fn a_line_holds_what_the_entry_itself_is_as_json_and_either_way_of_reading_gives_it_back() {
        for entry in three() {
            let line = lines(std::slice::from_ref(&entry));
            let json = &line[HEAD_BYTES..line.len() - 1];
            assert_eq!(std::str::from_utf8(json).unwrap(), serde_json::to_string(&entry).unwrap());
            assert_eq!(serde_json::from_slice::<Entry>(json).unwrap(), entry);
            let mut decoder = Decoder::new(&line);
            assert!(decoder.next().is_some());
            assert_eq!(decoder.json().as_bytes(), json);
        }
    }

    #[test]
    fn a_line_of_a_version_that_wrote_absent_fields_as_null_reads_back() {
        let mut entry = three().swap_remove(1);
        let Entry::Record(record) = &mut entry else { unreachable!("the second is the record") };
        (record.region, record.intent.hold) = (None, None);
        let json = serde_json::to_string(&entry).unwrap().replacen('{', r#"{"region":null,"hold":null,"#, 1);
        let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        assert_eq!(Decoder::new(line.as_bytes()).next().unwrap().unwrap().1, entry);
    }

    #[test]
    fn a_tail_torn_at_any_byte_loses_only_its_own_entry() {
        let entries = three();
        let bytes = lines(&entries);
        let whole_before = lines(&entries[..2]).len();
        for cut in whole_before..bytes.len() {
            let mut decoder = Decoder::new(&bytes[..cut]);
            let read: Vec<_> = decoder.by_ref().map(|item| item.unwrap().1).collect();
            assert_eq!(read, entries[..2], "cut at {cut}");
            assert_eq!(decoder.torn_bytes(), (cut - whole_before) as u64);
            assert_eq!(decoder.offset(), whole_before as u64);
        }
    }

    #[test]
    fn every_flipped_bit_is_found_and_the_other_entries_survive() {
        let entries = three();
        let bytes = lines(&entries);
        let (start, end) = (lines(&entries[..1]).len(), lines(&entries[..2]).len());
        for place in start..end - 1 {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                let items: Vec<_> = Decoder::new(&damaged).collect();
                assert_eq!(items[0].as_ref().unwrap().1, entries[0]);
                assert!(items[1].is_err(), "byte {place}, bit {bit}");
                assert_eq!(items.last().unwrap().as_ref().unwrap().1, entries[2]);
            }
        }
    }

    #[test]
    fn a_lost_line_feed_is_found_too() {
        let entries = three();
        let mut bytes = lines(&entries);
        bytes[lines(&entries[..1]).len() - 1] = b' ';
        let items: Vec<_> = Decoder::new(&bytes).collect();
        assert_eq!(items[0].as_ref().unwrap_err().offset, 0);
        assert_eq!(items[1].as_ref().unwrap().1, entries[2]);
    }

    #[test]
    fn reading_goes_on_from_an_offset() {
        let entries = three();
        let bytes = lines(&entries);
        let (offset, _) = Decoder::new(&bytes).next().unwrap().unwrap();
        let read: Vec<_> = Decoder::at(offset, &bytes[offset as usize..]).map(|item| item.unwrap()).collect();
        assert_eq!(read.last().unwrap().0, bytes.len() as u64);
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn a_whole_line_of_an_unknown_kind_is_an_error_not_a_panic() {
        let json = r#"{"kind":"dream"}"#;
        let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        let error = Decoder::new(line.as_bytes()).next().unwrap().unwrap_err();
        assert!(error.reason.contains("no entry this version knows"), "{error}");
    }

    proptest! {
        #[test]
        fn entries_read_back_what_was_written(records in proptest::collection::vec(examples::any_record(), 0..4)) {
            let entries: Vec<_> = records.into_iter().map(|record| Entry::Record(Box::new(record))).collect();
            let bytes = lines(&entries);
            let mut decoder = Decoder::new(&bytes);
            let read: Vec<_> = decoder.by_ref().map(|item| item.unwrap().1).collect();
            prop_assert_eq!(read, entries);
            prop_assert_eq!(decoder.torn_bytes(), 0);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Decoder::new(&bytes).for_each(|_| ());
        }
    }
}
