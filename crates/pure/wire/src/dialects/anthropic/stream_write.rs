//! Writes the events of a streamed message: one block open at a time, numbered without gaps.

use domain::{Fault, Usage};

use super::answer::{made_tool_id, stop_word, tier_word, write_usage};
use crate::canonical::json::{Object, object};
use crate::canonical::{Cover, Event, Finish, Losses, malformed};
use crate::dialects::WriteStream;

/// What must be remembered between events.
pub(super) struct Writer {
    cover: Cover,
    started: bool,
    open: Option<Block>,
    /// The index of the block that is open, or will be next.
    index: u32,
    calls: bool,
    refused: bool,
    finish: Option<Finish<'static>>,
    usage: Option<Usage>,
    service_tier: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Call(u32),
}

impl Writer {
    pub(super) fn new(cover: Cover) -> Writer {
        Writer {
            cover,
            started: false,
            open: None,
            index: 0,
            calls: false,
            refused: false,
            finish: None,
            usage: None,
            service_tier: None,
        }
    }

    /// Writes `message_start`, once something follows it: until then the usage of the prompt may still come, which stands
    /// here where it is known.
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        frame(out, "message_start", |event| {
            event.object("message", |message| {
                message.put("id", &self.cover.id);
                message.put("type", "message");
                message.put("role", "assistant");
                message.put("model", &self.cover.model);
                message.list("content", |_| {});
                message.put("stop_reason", &());
                message.put("stop_sequence", &());
                message.object("usage", |usage| self.write_usage(usage));
            });
        });
    }

    fn write_usage(&self, written: &mut Object<'_>) {
        write_usage(written, &self.usage.unwrap_or(Usage::ZERO), self.service_tier);
    }

    /// Opens a block, unless it is the one that is open.
    fn open(&mut self, block: Block, out: &mut Vec<u8>, content: impl FnOnce(&mut Object<'_>)) {
        self.start(out);
        if self.open == Some(block) {
            return;
        }
        self.close(out);
        self.open = Some(block);
        frame(out, "content_block_start", |event| {
            event.put("index", &self.index);
            event.object("content_block", content);
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            frame(out, "content_block_stop", |event| event.put("index", &self.index));
            self.index += 1;
        }
    }

    fn delta(&self, out: &mut Vec<u8>, kind: &str, name: &str, text: &str) {
        frame(out, "content_block_delta", |event| {
            event.put("index", &self.index);
            event.object("delta", |delta| {
                delta.put("type", kind);
                delta.put(name, text);
            });
        });
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Fault> {
        match event {
            Event::Start { id, .. } => self.cover.take_id(id.as_ref()),
            Event::Text(text) | Event::Refusal(text) => {
                self.refused |= matches!(event, Event::Refusal(_));
                self.open(Block::Text, out, |block| {
                    block.put("type", "text");
                    block.put("text", "");
                });
                self.delta(out, "text_delta", "text", text);
            }
            Event::Thinking(text) => {
                self.open(Block::Thinking, out, |block| {
                    block.put("type", "thinking");
                    block.put("thinking", "");
                    // SDKs require one; there is none from a provider that does not sign.
                    block.put("signature", "");
                });
                self.delta(out, "thinking_delta", "thinking", text);
            }
            Event::Signature(text) if self.open == Some(Block::Thinking) => {
                self.delta(out, "signature_delta", "signature", &self.cover.maker.tagged(text));
            }
            Event::Signature(_) => losses.dropped("/signature", "a signature is of use to its provider only"),
            Event::RedactedThinking(_) => {
                losses.dropped("/redacted", "a redacted thought is of use to its provider only")
            }
            Event::ToolStart { ordinal, id, name } => {
                let made = made_tool_id(&self.cover.id, *ordinal);
                self.calls = true;
                self.open(Block::Call(*ordinal), out, |block| {
                    block.put("type", "tool_use");
                    block.put("id", id.as_deref().unwrap_or(&made));
                    block.put("name", name);
                    block.object("input", |_| {});
                });
            }
            Event::ToolArguments { ordinal, json } => {
                if self.open == Some(Block::Call(*ordinal)) {
                    self.delta(out, "input_json_delta", "partial_json", json);
                } else if !json.trim().is_empty() {
                    // A block that was closed cannot be opened again, and nothing may be held back for it.
                    return Err(malformed("the arguments of a tool call came after the next one had begun"));
                }
            }
            Event::Elsewhere { .. } => {}
            Event::BlockEnd => self.close(out),
            Event::Finish(finish) => self.finish = Some(finish.to_kept()),
            Event::Usage(reported) => self.usage = Some(reported.usage),
            Event::ServiceTier(tier) => self.service_tier = tier_word(tier),
            Event::Ping => {
                self.start(out);
                frame(out, "ping", |_| {});
            }
            Event::End => {
                self.start(out);
                self.close(out);
                if self.usage.is_none() {
                    losses.approximated("/usage", "the provider reported no usage; SDKs require one, so it says zero");
                }
                frame(out, "message_delta", |event| {
                    event.object("delta", |delta| {
                        delta.put("stop_reason", stop_word(self.finish.as_ref(), self.calls, self.refused));
                        let stop_sequence = self.finish.as_ref().and_then(|finish| finish.stop_sequence.as_deref());
                        delta.put("stop_sequence", &stop_sequence);
                    });
                    event.object("usage", |usage| self.write_usage(usage));
                });
                frame(out, "message_stop", |_| {});
            }
        }
        Ok(())
    }
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
