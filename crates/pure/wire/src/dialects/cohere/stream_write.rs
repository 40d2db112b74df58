//! Writes the events of a streamed chat answer: one block or call open at a time.

use domain::Fault;

use super::answer::{REDACTED, REFUSAL, SIGNATURE, finish_word, write_usage};
use crate::canonical::json::{Object, object};
use crate::canonical::{Cover, Event, Finish, Losses, malformed};
use crate::dialects::WriteStream;
use crate::usage::Reported;

/// What must be remembered between events.
pub(super) struct Writer {
    cover: Cover,
    started: bool,
    open: Option<Block>,
    /// The index of the block of content that is open, or will be next.
    index: u32,
    calls: bool,
    finish: Option<Finish<'static>>,
    usage: Option<Reported>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    /// A call, and whether it has arguments yet.
    Call(u32, bool),
}

impl Writer {
    pub(super) fn new(cover: Cover) -> Writer {
        Writer { cover, started: false, open: None, index: 0, calls: false, finish: None, usage: None }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        frame(out, "message-start", |event| {
            event.put("id", &self.cover.id);
            message(event, |message| message.put("role", "assistant"));
        });
    }

    /// More of a text or a thought, its block opened first where it is not.
    fn say(&mut self, block: Block, kind: &str, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.start(out);
        if self.open != Some(block) {
            self.close(out);
            self.open = Some(block);
            frame(out, "content-start", |event| {
                event.put("index", &self.index);
                message(event, |message| {
                    message.object("content", |content| {
                        content.put("type", kind);
                        content.put(kind, "");
                    });
                });
            });
        }
        frame(out, "content-delta", |event| {
            event.put("index", &self.index);
            message(event, |message| message.object("content", |content| content.put(kind, text)));
        });
    }

    fn arguments(&self, ordinal: u32, json: &str, out: &mut Vec<u8>) {
        frame(out, "tool-call-delta", |event| {
            event.put("index", &ordinal);
            message(event, |message| {
                message.object("tool_calls", |call| {
                    call.object("function", |function| function.put("arguments", json));
                });
            });
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match self.open.take() {
            None => {}
            Some(Block::Text | Block::Thinking) => {
                frame(out, "content-end", |event| event.put("index", &self.index));
                self.index += 1;
            }
            Some(Block::Call(ordinal, told)) => {
                // A call without arguments has the empty object; clients parse what they were sent.
                if !told {
                    self.arguments(ordinal, "{}", out);
                }
                frame(out, "tool-call-end", |event| event.put("index", &ordinal));
            }
        }
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Fault> {
        match event {
            Event::Start { id, .. } => {
                self.cover.take_id(id.as_ref());
                self.start(out);
            }
            Event::Text(text) => self.say(Block::Text, "text", text, out),
            Event::Refusal(text) => {
                losses.approximated("/refusal", REFUSAL);
                self.say(Block::Text, "text", text, out);
            }
            Event::Thinking(text) => self.say(Block::Thinking, "thinking", text, out),
            Event::Signature(_) => losses.dropped("/delta/signature", SIGNATURE),
            Event::RedactedThinking(_) => losses.dropped("/content_block", REDACTED),
            Event::ToolStart { ordinal, id, name } => {
                self.start(out);
                self.close(out);
                (self.open, self.calls) = (Some(Block::Call(*ordinal, false)), true);
                let made = format!("{}_{ordinal}", self.cover.id);
                frame(out, "tool-call-start", |event| {
                    event.put("index", ordinal);
                    message(event, |message| {
                        message.object("tool_calls", |call| {
                            call.put("id", id.as_deref().unwrap_or(&made));
                            call.put("type", "function");
                            call.object("function", |function| {
                                function.put("name", name);
                                function.put("arguments", "");
                            });
                        });
                    });
                });
            }
            Event::ToolArguments { ordinal, json } => match self.open {
                _ if json.is_empty() => {}
                Some(Block::Call(open, _)) if open == *ordinal => {
                    self.open = Some(Block::Call(open, true));
                    self.arguments(open, json, out);
                }
                // A call that has ended cannot go on, and nothing may be held back for it.
                _ if !json.trim().is_empty() => {
                    return Err(malformed("the arguments of a tool call came after the next one had begun"));
                }
                _ => {}
            },
            Event::BlockEnd => self.close(out),
            Event::Finish(finish) => self.finish = Some(finish.to_kept()),
            Event::Usage(reported) => self.usage = Some(reported.clone()),
            Event::ServiceTier(_) | Event::Ping | Event::Elsewhere { .. } => {}
            Event::End => {
                self.start(out);
                self.close(out);
                let word = finish_word(self.finish.as_ref(), self.calls, losses);
                frame(out, "message-end", |event| {
                    event.put("id", &self.cover.id);
                    event.object("delta", |delta| {
                        delta.put("finish_reason", word);
                        if let Some(reported) = &self.usage {
                            delta.object("usage", |usage| write_usage(usage, &reported.usage, losses));
                        }
                    });
                });
            }
        }
        Ok(())
    }
}

fn message(event: &mut Object<'_>, fill: impl FnOnce(&mut Object<'_>)) {
    event.object("delta", |delta| delta.object("message", fill));
}

fn frame(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    object(out, |event| {
        event.put("type", name);
        fill(event);
    });
    out.extend_from_slice(b"\n\n");
}
