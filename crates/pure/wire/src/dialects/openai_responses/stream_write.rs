//! Writes the events of a streamed response: each item opens, grows and is said once more when it is complete; the last event
//! says all of them once more.

use domain::{Fault, Usage};

use super::answer::{
    End, Head, REDACTED, SIGNATURE, item_id, tier_word, write_call, write_message, write_reasoning, write_refusal,
    write_summary, write_text, write_usage,
};
use crate::canonical::json::{Object, object};
use crate::canonical::{Cover, Event, Finish, Losses, malformed};
use crate::dialects::WriteStream;
use crate::items::TRANSLATED_THOUGHT;

/// The longest answer put into this dialect, bytes: it is held until its end, which says all of it.
const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;

/// What must be remembered between events.
pub(super) struct Writer {
    cover: Cover,
    started: bool,
    sequence: u64,
    /// How many items have begun.
    begun: usize,
    /// The text or thought that is being told.
    open: Option<Open>,
    /// Calls whose arguments may still come.
    calls: Vec<Call>,
    /// Items that are complete, by their place.
    done: Vec<(usize, Vec<u8>)>,
    held: usize,
    finish: Option<Finish<'static>>,
    usage: Option<Usage>,
    service_tier: Option<&'static str>,
}

/// A text, refusal or thought under way.
struct Open {
    kind: Kind,
    index: usize,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thinking,
}

/// A call under way.
struct Call {
    ordinal: u32,
    index: usize,
    call: String,
    name: String,
    arguments: String,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Kind::Text | Kind::Refusal => "msg",
            Kind::Thinking => TRANSLATED_THOUGHT,
        }
    }

    fn delta(self) -> &'static str {
        match self {
            Kind::Text => "response.output_text.delta",
            Kind::Refusal => "response.refusal.delta",
            Kind::Thinking => "response.reasoning_summary_text.delta",
        }
    }

    /// Writes the part with this text in it.
    fn write_part(self, part: &mut Object<'_>, text: &str) {
        match self {
            Kind::Text => write_text(part, text),
            Kind::Refusal => write_refusal(part, text),
            Kind::Thinking => write_summary(part, text),
        }
    }
}

impl Writer {
    pub(super) fn new(cover: Cover) -> Writer {
        Writer {
            cover,
            started: false,
            sequence: 0,
            begun: 0,
            open: None,
            calls: Vec::new(),
            done: Vec::new(),
            held: 0,
            finish: None,
            usage: None,
            service_tier: None,
        }
    }

    fn frame(&mut self, out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&Writer, &mut Object<'_>)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        object(out, |event| {
            event.put("type", name);
            event.put("sequence_number", &self.sequence);
            fill(self, event);
        });
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    fn head(&self) -> Head<'_> {
        Head { id: &self.cover.id, created_unix_s: self.cover.created_unix_s, model: &self.cover.model }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        for name in ["response.created", "response.in_progress"] {
            self.frame(out, name, |writer, event| {
                event.object("response", |response| {
                    writer.head().write(response, "in_progress", None);
                    response.list("output", |_| {});
                    response.put("usage", &());
                });
            });
        }
    }

    /// Tells more of a text, in an item of its own kind.
    fn say(&mut self, kind: Kind, text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        if text.is_empty() {
            return Ok(());
        }
        self.hold(text.len())?;
        self.start(out);
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.close(out);
            let index = self.begun;
            self.begun += 1;
            self.frame(out, "response.output_item.added", |writer, event| {
                event.put("output_index", &index);
                event.object("item", |item| match kind {
                    Kind::Thinking => {
                        item.put("id", &item_id(TRANSLATED_THOUGHT, &writer.cover.id, index));
                        item.put("type", "reasoning");
                        item.list("summary", |_| {});
                    }
                    _ => write_message(item, &item_id("msg", &writer.cover.id, index), "in_progress", |_| {}),
                });
            });
            self.open = Some(Open { kind, index, text: String::new() });
            let name = match kind {
                Kind::Thinking => "response.reasoning_summary_part.added",
                _ => "response.content_part.added",
            };
            self.about_part(out, name, |event| event.object("part", |part| kind.write_part(part, "")));
        }
        self.about_part(out, kind.delta(), |event| {
            event.put("delta", text);
            if kind == Kind::Text {
                event.list("logprobs", |_| {});
            }
        });
        if let Some(open) = &mut self.open {
            open.text.push_str(text);
        }
        Ok(())
    }

    /// An event about the part that is open.
    fn about_part(&mut self, out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let Some(Open { kind, index, .. }) = self.open else { return };
        self.frame(out, name, |writer, event| {
            event.put("item_id", &item_id(kind.prefix(), &writer.cover.id, index));
            event.put("output_index", &index);
            event.put(if kind == Kind::Thinking { "summary_index" } else { "content_index" }, &0);
            fill(event);
        });
    }

    /// Completes the text or thought that is open.
    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(Open { kind, .. }) = self.open else { return };
        let text = self.open.as_mut().map(|open| std::mem::take(&mut open.text)).unwrap_or_default();
        let (said, part) = match kind {
            Kind::Text => ("response.output_text.done", "response.content_part.done"),
            Kind::Refusal => ("response.refusal.done", "response.content_part.done"),
            Kind::Thinking => ("response.reasoning_summary_text.done", "response.reasoning_summary_part.done"),
        };
        self.about_part(out, said, |event| {
            event.put(if kind == Kind::Refusal { "refusal" } else { "text" }, &text);
            if kind == Kind::Text {
                event.list("logprobs", |_| {});
            }
        });
        self.about_part(out, part, |event| event.object("part", |part| kind.write_part(part, &text)));
        let Some(Open { index, .. }) = self.open.take() else { return };
        let id = item_id(kind.prefix(), &self.cover.id, index);
        self.complete(out, index, |item| match kind {
            Kind::Thinking => write_reasoning(item, &id, &text),
            _ => write_message(item, &id, "completed", |content| content.object(|part| kind.write_part(part, &text))),
        });
    }

    /// Says an item once more, and keeps it for the last event.
    fn complete(&mut self, out: &mut Vec<u8>, index: usize, item: impl FnOnce(&mut Object<'_>)) {
        let mut json = Vec::new();
        object(&mut json, item);
        self.frame(out, "response.output_item.done", |_, event| {
            event.put("output_index", &index);
            event.raw("item", |out| out.extend_from_slice(&json));
        });
        self.done.push((index, json));
    }

    fn begin_call(&mut self, ordinal: u32, id: Option<&str>, name: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.hold(name.len() + id.map_or(0, str::len))?;
        self.start(out);
        self.close(out);
        let index = self.begun;
        self.begun += 1;
        let made = item_id("call", &self.cover.id, index);
        let call = Call {
            ordinal,
            index,
            call: id.unwrap_or(&made).to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
        };
        self.frame(out, "response.output_item.added", |writer, event| {
            event.put("output_index", &index);
            event.object("item", |item| {
                let id = item_id("fc", &writer.cover.id, index);
                write_call(item, &id, &call.call, &call.name, "", "in_progress");
            });
        });
        self.calls.push(call);
        Ok(())
    }

    fn arguments(&mut self, ordinal: u32, json: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        if json.is_empty() {
            return Ok(());
        }
        self.hold(json.len())?;
        let Some(at) = self.calls.iter().position(|call| call.ordinal == ordinal) else {
            return Err(malformed("the arguments of a tool call came after it was complete"));
        };
        let index = self.calls[at].index;
        self.frame(out, "response.function_call_arguments.delta", |writer, event| {
            event.put("item_id", &item_id("fc", &writer.cover.id, index));
            event.put("output_index", &index);
            event.put("delta", json);
        });
        self.calls[at].arguments.push_str(json);
        Ok(())
    }

    fn end_call(&mut self, mut call: Call, out: &mut Vec<u8>) {
        let id = item_id("fc", &self.cover.id, call.index);
        if call.arguments.is_empty() {
            // A call without arguments has the empty object; clients parse what they were sent.
            call.arguments.push_str("{}");
        }
        self.frame(out, "response.function_call_arguments.done", |_, event| {
            event.put("item_id", &id);
            event.put("output_index", &call.index);
            event.put("arguments", &call.arguments);
        });
        self.complete(out, call.index, |item| {
            write_call(item, &id, &call.call, &call.name, &call.arguments, "completed");
        });
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Fault> {
        self.held += bytes;
        if self.held > MAX_HELD_BYTES {
            return Err(malformed("the answer is longer than the 8 MiB that openai-responses can be translated to"));
        }
        Ok(())
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Fault> {
        match event {
            Event::Start { id, created_unix_s } => {
                if !self.started {
                    self.cover.take_id(id.as_ref());
                }
                self.cover.created_unix_s = created_unix_s.unwrap_or(self.cover.created_unix_s);
                self.start(out);
            }
            Event::Text(text) => self.say(Kind::Text, text, out)?,
            Event::Refusal(text) => self.say(Kind::Refusal, text, out)?,
            Event::Thinking(text) => self.say(Kind::Thinking, text, out)?,
            Event::Signature(_) => losses.dropped("/signature", SIGNATURE),
            Event::RedactedThinking(_) => losses.dropped("/redacted", REDACTED),
            Event::ToolStart { ordinal, id, name } => self.begin_call(*ordinal, id.as_deref(), name, out)?,
            Event::ToolArguments { ordinal, json } => self.arguments(*ordinal, json, out)?,
            Event::Elsewhere { .. } | Event::Ping => {}
            Event::BlockEnd => match self.open {
                Some(_) => self.close(out),
                None => {
                    if let Some(call) = self.calls.pop() {
                        self.end_call(call, out);
                    }
                }
            },
            Event::Finish(finish) => self.finish = Some(finish.to_kept()),
            Event::Usage(reported) => self.usage = Some(reported.usage),
            Event::ServiceTier(tier) => self.service_tier = tier_word(tier),
            Event::End => {
                self.start(out);
                self.close(out);
                for call in std::mem::take(&mut self.calls) {
                    self.end_call(call, out);
                }
                let end = End::of(self.finish.as_ref(), losses);
                let mut items = std::mem::take(&mut self.done);
                items.sort_by_key(|(index, _)| *index);
                let name = if end.incomplete.is_some() { "response.incomplete" } else { "response.completed" };
                self.frame(out, name, |writer, event| {
                    event.object("response", |response| {
                        writer.head().write(response, end.status, end.incomplete);
                        response.raw("output", |out| {
                            out.push(b'[');
                            for (place, (_, item)) in items.iter().enumerate() {
                                if place > 0 {
                                    out.push(b',');
                                }
                                out.extend_from_slice(item);
                            }
                            out.push(b']');
                        });
                        match &writer.usage {
                            Some(usage) => response.object("usage", |written| write_usage(written, usage)),
                            None => response.put("usage", &()),
                        }
                        response.put_some("service_tier", writer.service_tier);
                    });
                });
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        let items: usize = self.done.iter().map(|(_, item)| item.len()).sum();
        let calls: usize = self.calls.iter().map(|call| call.arguments.len() + call.name.len() + call.call.len()).sum();
        items + calls + self.open.as_ref().map_or(0, |open| open.text.len())
    }

    fn next_sequence(&self) -> u64 {
        self.sequence
    }
}
