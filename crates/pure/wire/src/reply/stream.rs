//! Relays one streamed answer frame by frame, holding no more of it than the frame that has not ended.

use domain::{Fault, FaultClass};

use super::body::reply_body;
use super::frame::{Changes, Ours, Verdict, malformed, not_json, unexplained};
use super::plan::{ReplyPlan, Seen};
use super::{anthropic, bedrock, cohere, gemini, media, openai, responses};
use crate::dialect::{Dialect, Framing, Operation};
use crate::errors::{ClientError, embedded_fault, error_frame_after, exception_fault};
use crate::eventstream::{self, Message};
use crate::going_on::{GoingOn, Way};
use crate::invoke;
use crate::kept::Kind;
use crate::sse::{Event, Joined, MAX_WHOLE_ANSWER_FRAME_BYTES, Piece, Splitter};
use crate::translate::StreamTranslator;

/// Relays one streamed answer.
///
/// Same dialect: frames pass byte for byte, except the value of `model`, usage the client did not ask for, an opening event
/// that an Anthropic stream lost, and fields that SDKs need and a Responses stream left out. Other dialect: each event is
/// translated. Comments pass either way; they keep idle connections open.
///
/// A frame without content (the role, `message_start`, a ping) does not set [`Seen::content_started`]: what `feed` wrote
/// until then may be withheld and the call tried elsewhere. An answer may be empty, so what is withheld is due at
/// [`Seen::ended`] too.
pub struct StreamRelay {
    cutter: Cutter,
    relay: Relay,
    /// The id of an answer that another provider began.
    known_as: Option<String>,
}

/// What cuts the provider's stream into frames.
enum Cutter {
    /// Server-sent events.
    Events(Splitter),
    /// Amazon's, of which nothing has come yet.
    Unopened,
    /// Amazon's binary messages.
    Messages(eventstream::Splitter),
    /// Nothing, where one JSON text has come in the place of Amazon's messages: it is kept to be read at its end.
    Body(Vec<u8>),
    /// Nothing: what comes passes as it is.
    Nothing,
}

impl Cutter {
    fn feed(&mut self, bytes: &[u8], relay: &mut Relay, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Cutter::Events(splitter) => splitter.feed(bytes, |piece| relay.counting(|relay| relay.piece(piece, out))),
            // No message is so long that its length would begin with a brace.
            Cutter::Unopened if bytes.is_empty() => Ok(()),
            Cutter::Unopened => {
                *self = match bytes[0] {
                    b'{' => Cutter::Body(Vec::new()),
                    _ => Cutter::Messages(eventstream::Splitter::default()),
                };
                self.feed(bytes, relay, out)
            }
            Cutter::Messages(splitter) => splitter.feed(bytes, |raw| relay.counting(|relay| relay.message(raw, out))),
            Cutter::Body(body) => {
                if body.len() + bytes.len() > eventstream::MAX_MESSAGE_BYTES {
                    return Err(malformed("the answer came whole where a stream was asked for"));
                }
                body.extend_from_slice(bytes);
                Ok(())
            }
            Cutter::Nothing => {
                relay.seen.output_bytes += bytes.len() as u64;
                relay.seen.content_started |= !bytes.is_empty();
                // Where the connection ends, the answer does; a length that was told and not kept is the connection's fault.
                relay.finished = true;
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn buffered_bytes(&self) -> usize {
        match self {
            Cutter::Events(splitter) => splitter.buffered_bytes(),
            Cutter::Messages(splitter) => splitter.buffered_bytes(),
            Cutter::Body(body) => body.capacity(),
            Cutter::Unopened | Cutter::Nothing => 0,
        }
    }
}

impl StreamRelay {
    /// A relay for one answer.
    pub fn new(plan: ReplyPlan) -> StreamRelay {
        let translator = (plan.client != plan.upstream).then(|| StreamTranslator::new(&plan));
        StreamRelay {
            cutter: match plan.upstream {
                _ if plan.raw => Cutter::Nothing,
                _ if plan.quirks.hosting.is_wrapped(plan.upstream) => Cutter::Unopened,
                // One event holds a whole picture.
                _ if plan.operation.is_media() => Cutter::Events(Splitter::of_at_most(MAX_WHOLE_ANSWER_FRAME_BYTES)),
                Dialect::BedrockConverse => Cutter::Unopened,
                Dialect::OpenAiResponses => Cutter::Events(Splitter::of_at_most(MAX_WHOLE_ANSWER_FRAME_BYTES)),
                Dialect::OpenAiChat | Dialect::Anthropic | Dialect::Gemini | Dialect::Cohere => {
                    Cutter::Events(Splitter::default())
                }
            },
            relay: Relay {
                ours: Ours::of(&plan),
                seen: Seen::nothing(&plan),
                plan,
                events: anthropic::Stream::default(),
                finished: false,
                elements: Elements::default(),
                items: responses::Stream::default(),
                joined: Joined::default(),
                last_passed: true,
                translator,
            },
            known_as: None,
        }
    }

    /// A relay for the rest of an answer that another provider began: the client's one stream goes on. `why` is told in a comment
    /// where the client's stream has comments.
    pub fn going_on(
        plan: ReplyPlan,
        going_on: &GoingOn,
        way: Way,
        why: &str,
        out: &mut Vec<u8>,
    ) -> Result<StreamRelay, Fault> {
        let translator = StreamTranslator::going_on(&plan, going_on, way)?;
        let mut relay = StreamRelay::new(plan);
        relay.relay.translator = Some(translator);
        relay.relay.seen.said = Some(Box::new(going_on.said.clone()));
        relay.relay.elements.opened = true;
        relay.known_as = Some(going_on.id.clone());
        relay.comment(why, out);
        Ok(relay)
    }

    /// Keeps what is said, so that another model can go on from it.
    pub fn keep_said(&mut self) {
        self.relay.seen.said.get_or_insert_default();
    }

    /// Lets go of what was said: nobody will go on from it.
    pub fn forget_said(&mut self) {
        self.relay.seen.said = None;
    }

    /// What was said, with the id the client knows the answer by, if another model can go on from it.
    pub fn broken_off(&mut self) -> Option<GoingOn> {
        let said = self.relay.seen.said.take()?;
        let (plan, seen) = (&self.relay.plan, &self.relay.seen);
        // A message that was opened and says nothing yet cannot be opened again.
        let half_open = plan.client == Dialect::OpenAiResponses
            && said.pieces().last().is_some_and(|piece| piece.text.is_empty() && !piece.closed);
        if !said.can_be_gone_on_from() || half_open || seen.finish.is_some() || plan.raw {
            return None;
        }
        let id = match (&self.known_as, &seen.provider_request_id) {
            (Some(id), _) => id.clone(),
            (None, Some(id)) if plan.client == Dialect::OpenAiResponses && self.relay.translator.is_none() => {
                plan.ids.name(Kind::Answer, id).unwrap_or_else(|| id.clone())
            }
            (None, Some(id)) => id.clone(),
            (None, None) => plan.answer_id.clone(),
        };
        let mut said = *said;
        if let Some(translator) = &self.relay.translator {
            said.events = translator.events();
        }
        Some(GoingOn { said, id })
    }

    /// A line for whoever reads the stream itself; clients pass over it.
    pub(super) fn comment(&self, text: &str, out: &mut Vec<u8>) {
        let plan = &self.relay.plan;
        if !plan.client.streams_messages() && plan.framing == Framing::ServerSentEvents {
            let line: String = text.chars().filter(|letter| !letter.is_control()).collect();
            out.extend_from_slice(format!(": freehold: {line}\n\n").as_bytes());
        }
    }

    /// Takes bytes as they arrive and appends to `out` what the client is to be sent.
    ///
    /// The fault is [`FaultClass::Malformed`]: a frame that is not what the dialect promises, or longer than
    /// [`crate::sse::MAX_FRAME_BYTES`] ([`MAX_WHOLE_ANSWER_FRAME_BYTES`] in a Responses stream). An error the provider sends
    /// as an event is no fault of this call; it stands in [`Seen::fault`], and nothing that follows it is passed on.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let StreamRelay { cutter, relay, .. } = self;
        if relay.plan.framing != Framing::JsonArray {
            return cutter.feed(bytes, relay, out);
        }
        let mut frames = Vec::new();
        let fed = cutter.feed(bytes, relay, &mut frames);
        relay.elements.write(&frames, out);
        // Nothing is read after the closing event, so this is the last that the client gets.
        if fed.is_ok() && relay.seen.ended {
            relay.elements.end(out);
        }
        fed
    }

    /// The provider closed the stream. [`FaultClass::Cut`] when no closing event came, or the error that did come.
    ///
    /// A frame that was not ended by an empty line is not dispatched, as the standard has it, unless it is the closing one:
    /// some servers hang up without the last line feed.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.relay.plan.framing != Framing::JsonArray {
            return self.end_frames(out);
        }
        let mut frames = Vec::new();
        let ended = self.end_frames(&mut frames);
        self.relay.elements.write(&frames, out);
        if ended.is_ok() {
            self.relay.elements.end(out);
        }
        ended
    }

    fn end_frames(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let rest = match &mut self.cutter {
            Cutter::Events(splitter) => splitter.take_rest(),
            // A message says its length: what is left is cut, and says nothing.
            Cutter::Messages(splitter) => {
                splitter.take_rest();
                Vec::new()
            }
            Cutter::Body(body) => std::mem::take(body),
            Cutter::Unopened | Cutter::Nothing => Vec::new(),
        };
        let relay = &mut self.relay;
        if relay.is_untouched() && rest.trim_ascii_start().starts_with(b"{") {
            return Err(relay.not_streamed(&rest));
        }
        if !rest.is_empty() {
            let mut last = Vec::new();
            let read = relay.piece(Piece::Frame(&rest), &mut last);
            if read.is_ok() && (relay.seen.ended || relay.finished) {
                out.append(&mut last);
            }
        }
        if let Some(fault) = &relay.seen.fault {
            return Err(fault.clone());
        }
        relay.framed(out, |relay, out| match &mut relay.translator {
            Some(translator) => translator.end(out, &mut relay.seen),
            None => Ok(()),
        })?;
        // Where only what would have told the usage did not come, the answer is complete.
        relay.seen.ended |= relay.finished || (relay.plan.upstream.streams_messages() && relay.seen.finish.is_some());
        if !relay.seen.ended {
            return Err(Fault::new(FaultClass::Cut, "the stream ended without its closing event"));
        }
        Ok(())
    }

    /// What has been seen so far.
    pub fn seen(&self) -> &Seen {
        &self.relay.seen
    }

    /// An error of ours behind what the client has got of this stream, numbered on where the dialect numbers events.
    pub fn error_frame(&self, error: &ClientError) -> Vec<u8> {
        error_frame_after(self.relay.plan.client, self.relay.plan.framing, error, self.next_sequence())
    }

    /// The number of the event that comes next in a stream of the client's whose events are numbered.
    fn next_sequence(&self) -> u64 {
        match &self.relay.translator {
            Some(translator) => translator.events(),
            None => self.relay.items.events,
        }
    }

    pub(super) fn plan(&self) -> &ReplyPlan {
        &self.relay.plan
    }

    /// The content block of an Anthropic stream that was opened and not closed.
    pub(super) fn open_block(&self) -> Option<u64> {
        self.relay.events.open_block
    }

    /// A frame of the provider's that has not ended never will.
    pub(super) fn forget_partial_frame(&mut self) {
        match &mut self.cutter {
            Cutter::Events(splitter) => drop(splitter.take_rest()),
            Cutter::Messages(splitter) => drop(splitter.take_rest()),
            Cutter::Body(body) => body.clear(),
            Cutter::Unopened | Cutter::Nothing => {}
        }
    }

    /// Takes a frame as if it had come from the provider.
    pub(super) fn take_piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.relay.piece(piece, out)
    }

    /// Takes one of Amazon's messages as if it had come from the provider.
    pub(super) fn take_message(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.relay.message(raw, out)
    }

    /// What is to be written at the end of the stream.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.end_frames(out)
    }

    /// Frames as the last elements of the client's array.
    pub(super) fn write_elements(&mut self, frames: &[u8], out: &mut Vec<u8>) {
        self.relay.elements.write(frames, out);
        self.relay.elements.end(out);
    }

    /// Bytes of memory held: the longest frame that has not ended, at most 64 KiB more, and what a client's dialect can only
    /// say whole or says once more at the end: the arguments of tool calls, or the answer so far.
    pub fn buffered_bytes(&self) -> usize {
        let held = self.relay.translator.as_ref().map_or(0, StreamTranslator::held_bytes);
        self.cutter.buffered_bytes() + self.relay.joined.buffered_bytes() + held
    }
}

/// Everything but the splitter, so that both can be borrowed at once.
struct Relay {
    plan: ReplyPlan,
    ours: Ours,
    seen: Seen,
    /// What an Anthropic stream told so far.
    events: anthropic::Stream,
    /// Whether the last partial answer of a Gemini stream, or of pictures and audio, has come, which only the end of the
    /// connection follows.
    finished: bool,
    /// The array that a client gets who asked for no events.
    elements: Elements,
    /// What a Responses stream told so far.
    items: responses::Stream,
    joined: Joined,
    /// Whether the frame before was passed on: a late line feed shares its fate.
    last_passed: bool,
    translator: Option<StreamTranslator>,
}

impl Relay {
    /// Has `write` write frames for the client, each of which goes into a message of Amazon's where the client is to get them so.
    fn framed(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Relay, &mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.plan.framing != Framing::Chunks {
            return write(self, out);
        }
        let mut frames = Vec::new();
        let written = write(self, &mut frames);
        invoke::wrap_events(&frames, &self.seen, out);
        written
    }

    /// Has `read` read a frame, and counts it where it brought output.
    fn counting<T>(&mut self, read: impl FnOnce(&mut Relay) -> T) -> T {
        let before = self.seen.output_bytes;
        let done = read(self);
        self.seen.output_frames += u64::from(self.seen.output_bytes > before);
        done
    }

    /// Whether nothing of an answer has come yet.
    fn is_untouched(&self) -> bool {
        !self.finished && !self.seen.content_started && self.seen.usage.is_none() && self.seen.fault.is_none()
    }

    /// What one JSON text in the place of a stream means. No field of an event begins with a brace, so it is a body, whatever
    /// its type says: an error under 200 is that error, and a whole answer is billed as it says.
    fn not_streamed(&mut self, body: &[u8]) -> Fault {
        // Before its first message Amazon speaks for itself, whoever's model it hosts.
        let is_amazon =
            self.plan.upstream.streams_messages() || self.plan.quirks.hosting.is_wrapped(self.plan.upstream);
        if let Some(fault) = is_amazon.then(|| embedded_fault(Dialect::BedrockConverse, body)).flatten() {
            return fault;
        }
        match reply_body(&self.plan, body) {
            Err(fault) => fault,
            Ok((_, seen)) => {
                self.seen = seen;
                let told = self.seen.fault.clone();
                told.unwrap_or_else(|| malformed("the answer came whole where a stream was asked for"))
            }
        }
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.seen.fault.is_some() {
            return Ok(());
        }
        match piece {
            Piece::Frame(frame) => {
                let written = out.len();
                let done = self.framed(out, |relay, out| match relay.translator {
                    Some(_) => relay.translate(frame, out),
                    None => relay.pass(frame, out),
                });
                self.last_passed = self.translator.is_none() && out.len() > written;
                self.joined.release();
                done
            }
            Piece::LateLineFeed => {
                if self.last_passed && self.plan.framing != Framing::Chunks {
                    out.push(b'\n');
                }
                Ok(())
            }
        }
    }

    /// One of Amazon's messages.
    fn message(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.seen.fault.is_some() {
            return Ok(());
        }
        let message = Message::read(raw)?;
        if message.is_exception {
            self.seen.fault = Some(exception_fault(message.kind, message.payload));
            return Ok(());
        }
        if std::str::from_utf8(message.payload).is_err() {
            return Err(malformed("an event of the stream is not UTF-8"));
        }
        if self.plan.quirks.hosting.is_wrapped(self.plan.upstream) {
            let Some(data) = invoke::unwrap(&message)? else { return Ok(()) };
            return self.piece(Piece::Frame(&invoke::as_server_sent(&data)?), out);
        }
        if self.plan.operation == Operation::Invoke {
            if let Some(data) = invoke::unwrap(&message)? {
                invoke::read_chunk(&data, &mut self.seen);
                // Where nothing is counted, the end of the connection is the end of the answer.
                self.finished = true;
            }
            out.extend_from_slice(raw);
            return Ok(());
        }
        match &self.translator {
            Some(_) => self.framed(out, |relay, out| {
                let event = Event { name: message.kind, data: message.payload };
                relay.translator.as_mut().map_or(Ok(()), |translator| translator.event(&event, out, &mut relay.seen))
            }),
            None => {
                let tags = bedrock::event(message.kind, message.payload, &mut self.seen).map_err(not_json)?;
                if tags.is_empty() {
                    out.extend_from_slice(raw);
                } else {
                    let mut payload = Vec::with_capacity(message.payload.len() + 16);
                    Changes { tags, ..Changes::default() }.write(message.payload, &self.ours, |at| at, &mut payload);
                    Message::rewrite(raw, &payload, out);
                }
                Ok(())
            }
        }
    }

    /// Same dialect: the frame as it is, but for the spans that are ours.
    fn pass(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let frame = self.joined.read(raw);
        if let Some(fault) = error_line(self.plan.upstream, frame.error) {
            self.seen.fault = Some(fault);
            return Ok(());
        }
        let Some(data) = frame.data.filter(|data| !data.trim_ascii().is_empty()) else {
            out.extend_from_slice(raw);
            return Ok(());
        };
        let verdict = match self.plan.upstream {
            dialect if dialect.may_say_done() && data.trim_ascii() == b"[DONE]" => {
                // Elsewhere the event that closes the stream has come before.
                self.seen.ended |= dialect == Dialect::OpenAiChat;
                out.extend_from_slice(raw);
                return Ok(());
            }
            _ if std::str::from_utf8(data).is_err() => return Err(malformed("an event of the stream is not UTF-8")),
            Dialect::OpenAiChat if frame.name == "error" => Verdict::Fault(named_error(data)),
            Dialect::OpenAiChat if self.plan.operation.is_media() => {
                media::event(self.plan.operation, data, &mut self.seen, &mut self.finished).map_err(not_json)?
            }
            Dialect::OpenAiChat => openai::chunk(data, &self.plan, &mut self.seen).map_err(not_json)?,
            Dialect::OpenAiResponses => {
                responses::event(data, &self.plan, &self.ours.asked_model, &mut self.seen, &mut self.items)
                    .map_err(not_json)?
            }
            Dialect::Anthropic => anthropic::event(data, &mut self.seen, &mut self.events).map_err(not_json)?,
            Dialect::Gemini => gemini::chunk(data, &mut self.seen, &mut self.finished).map_err(not_json)?,
            Dialect::BedrockConverse => return Err(malformed("a stream of messages has no frames")),
            Dialect::Cohere => cohere::event(data, &mut self.seen).map_err(not_json)?,
        };
        match verdict {
            Verdict::Pass(changes) => {
                if std::mem::take(&mut self.events.lacks_opening) {
                    out.extend(anthropic::opening(&self.plan.answer_id, &self.plan.asked_model));
                }
                changes.write(raw, &self.ours, |position| self.joined.in_frame(position), out);
            }
            Verdict::Drop => {}
            Verdict::Fault(fault) => self.seen.fault = Some(fault),
        }
        Ok(())
    }

    /// Other dialect: the event goes through the translator; a comment stays one.
    fn translate(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(translator) = &mut self.translator else { return Ok(()) };
        let frame = self.joined.read(raw);
        if let Some(fault) = error_line(self.plan.upstream, frame.error) {
            self.seen.fault = Some(fault);
            return Ok(());
        }
        let Some(data) = frame.data.filter(|data| !data.trim_ascii().is_empty()) else {
            if raw.starts_with(b":") && !self.plan.client.streams_messages() {
                out.extend_from_slice(b":\n\n");
            }
            return Ok(());
        };
        if std::str::from_utf8(data).is_err() {
            return Err(malformed("an event of the stream is not UTF-8"));
        }
        if self.plan.upstream == Dialect::OpenAiChat && frame.name == "error" {
            self.seen.fault = Some(named_error(data));
            return Ok(());
        }
        translator.event(&Event { name: frame.name, data }, out, &mut self.seen)
    }
}

/// Frames as the elements of one JSON array.
#[derive(Default)]
struct Elements {
    opened: bool,
    ended: bool,
}

impl Elements {
    /// Writes the data of whole frames, each as an element. Comments have no place in JSON; what keeps a connection open is
    /// then the space between elements.
    fn write(&mut self, frames: &[u8], out: &mut Vec<u8>) {
        let mut joined = Joined::default();
        let done = Splitter::default().feed(frames, |piece| {
            let Piece::Frame(frame) = piece else { return Ok(()) };
            match joined.read(frame).data.map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) {
                Some(data) => {
                    out.extend_from_slice(if std::mem::replace(&mut self.opened, true) { b",\n" } else { b"[" });
                    out.extend_from_slice(data);
                }
                None if self.opened && frame.starts_with(b":") => out.push(b'\n'),
                None => {}
            }
            Ok(())
        });
        debug_assert_eq!(done, Ok(()), "frames of ours are whole");
    }

    /// Closes the array, once.
    fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        out.extend_from_slice(if self.opened { b"\n]" } else { b"[]" });
    }
}

/// Older llama.cpp servers put an error under a field `error:` of its own.
fn error_line(upstream: Dialect, error: Option<&[u8]>) -> Option<Fault> {
    let error = error.filter(|_| upstream == Dialect::OpenAiChat)?;
    Some(wrapped_error(error))
}

/// An event of the name `error`: the error stands in its data, wrapped or bare.
fn named_error(data: &[u8]) -> Fault {
    embedded_fault(Dialect::OpenAiChat, data).unwrap_or_else(|| wrapped_error(data))
}

fn wrapped_error(error: &[u8]) -> Fault {
    embedded_fault(Dialect::OpenAiChat, &[b"{\"error\":", error, b"}"].concat()).unwrap_or_else(unexplained)
}
