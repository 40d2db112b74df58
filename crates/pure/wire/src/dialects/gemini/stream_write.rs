//! Writes the partial answers of a stream. A call can only be said whole, so its arguments are held until they are.

use domain::Fault;

use super::answer::{REDACTED, finish_word, write_usage};
use super::parts::SIGNATURE;
use super::turns::write_arguments;
use crate::canonical::json::{List, Object, object};
use crate::canonical::{Cover, Event, Finish, Losses, MAX_KEPT_BYTES, malformed};
use crate::dialects::WriteStream;
use crate::sse::MAX_FRAME_BYTES;
use crate::usage::Reported;

/// What must be remembered between events.
pub(super) struct Writer {
    cover: Cover,
    /// Calls whose arguments are not whole yet, in order.
    calls: Vec<Call>,
    /// Calls told so far: arguments that come late for one of them cannot be said any more.
    told: u32,
    refused: bool,
    finish: Option<Finish<'static>>,
    usage: Option<Reported>,
}

struct Call {
    ordinal: u32,
    id: Option<String>,
    name: String,
    arguments: String,
}

impl Writer {
    pub(super) fn new(cover: Cover) -> Writer {
        Writer { cover, calls: Vec::new(), told: 0, refused: false, finish: None, usage: None }
    }

    fn chunk(&self, out: &mut Vec<u8>, finish: Option<&str>, parts: impl FnOnce(&mut List<'_>)) {
        out.extend_from_slice(b"data: ");
        object(out, |chunk| {
            chunk.list("candidates", |list| {
                list.object(|candidate| {
                    candidate.object("content", |content| {
                        content.list("parts", parts);
                        content.put("role", "model");
                    });
                    candidate.put_some("finishReason", finish);
                    candidate.put("index", &0);
                });
            });
            if let Some(reported) = self.usage.as_ref().filter(|_| finish.is_some()) {
                write_usage(chunk, &reported.usage);
            }
            chunk.put("modelVersion", &self.cover.model);
            chunk.put("responseId", &self.cover.id);
        });
        out.extend_from_slice(b"\n\n");
    }

    fn text(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        self.chunk(out, None, |list| list.object(fill));
    }

    /// Says the calls that are held.
    fn tell_calls(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        for call in std::mem::take(&mut self.calls) {
            self.told = self.told.max(call.ordinal + 1);
            self.text(out, |part| {
                part.object("functionCall", |written| {
                    written.put_some("id", call.id.as_ref());
                    written.put("name", &call.name);
                    write_arguments(written, &call.arguments, "/functionCall", losses);
                });
            });
        }
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Fault> {
        match event {
            Event::Start { id, .. } => self.cover.take_id(id.as_ref()),
            Event::Text(text) | Event::Refusal(text) => {
                self.refused |= matches!(event, Event::Refusal(_));
                if !text.is_empty() {
                    self.tell_calls(losses, out);
                    self.text(out, |part| part.put("text", text));
                }
            }
            Event::Thinking(text) => {
                if !text.is_empty() {
                    self.tell_calls(losses, out);
                    self.text(out, |part| {
                        part.put("text", text);
                        part.put("thought", &true);
                    });
                }
            }
            Event::Signature(_) => losses.dropped("/signature", SIGNATURE),
            Event::RedactedThinking(_) => losses.dropped("/redacted", REDACTED),
            Event::ToolStart { ordinal, id, name } => {
                let id = id.as_ref().filter(|id| id.len() <= MAX_KEPT_BYTES).map(|id| id.to_string());
                self.calls.push(Call {
                    ordinal: *ordinal,
                    id,
                    name: name.chars().take(MAX_KEPT_BYTES).collect(),
                    arguments: String::new(),
                });
            }
            Event::ToolArguments { ordinal, json } => {
                let held = self.held_bytes();
                match self.calls.iter_mut().find(|call| call.ordinal == *ordinal) {
                    Some(_) if held + json.len() > MAX_FRAME_BYTES => {
                        return Err(malformed("the arguments of the answer's tool calls are too long"));
                    }
                    Some(call) => call.arguments.push_str(json),
                    None if json.trim().is_empty() => {}
                    None => {
                        return Err(malformed("the arguments of a tool call came after the call had been told"));
                    }
                }
            }
            Event::BlockEnd => self.tell_calls(losses, out),
            Event::Finish(finish) => self.finish = Some(finish.to_kept()),
            Event::Usage(reported) => self.usage = Some(reported.clone()),
            Event::ServiceTier(_) | Event::Ping | Event::Elsewhere { .. } => {}
            Event::End => {
                self.tell_calls(losses, out);
                let word = finish_word(self.finish.as_ref(), self.refused, losses);
                self.chunk(out, Some(word), |list| list.object(|part| part.put("text", "")));
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.calls.iter().map(|call| call.arguments.len() + call.name.len()).sum()
    }
}
