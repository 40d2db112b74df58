//! Writes the events of a streamed Converse answer: one block open at a time, numbered without gaps.

use domain::{Fault, Usage};

use super::answer::{SIGNATURE, stop_word, tier, write_usage};
use crate::canonical::json::{Object, object};
use crate::canonical::{Cover, Event, Finish, Losses, MAX_KEPT_BYTES, malformed};
use crate::dialects::WriteStream;
use crate::eventstream::Message;
use crate::maker::Maker;

/// What must be remembered between events.
#[derive(Default)]
pub(super) struct Writer {
    /// What the ids of calls begin with, where the provider gave none. Calls are told apart by them in later turns.
    id: String,
    /// Whose tag stands before what was signed.
    maker: Option<Maker>,
    started: bool,
    open: Option<Block>,
    /// The index of the block that is open, or will be next.
    index: u32,
    calls: bool,
    refused: bool,
    finish: Option<Finish<'static>>,
    usage: Option<Usage>,
    service_tier: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    /// A call, and whether it has arguments yet.
    Call(u32, bool),
}

impl Writer {
    /// A writer of the answer of this id.
    pub(super) fn new(cover: Cover) -> Writer {
        Writer { id: cover.id, maker: Some(cover.maker), ..Writer::default() }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            frame(out, "messageStart", |event| event.put("role", "assistant"));
        }
    }

    /// More of a text or a thought. Only calls are announced; these begin with their first change.
    fn say(&mut self, block: Block, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.start(out);
        if self.open != Some(block) {
            self.close(out);
            self.open = Some(block);
        }
        self.delta(out, |delta| match block {
            Block::Thinking => delta.object("reasoningContent", |thought| thought.put("text", text)),
            _ => delta.put("text", text),
        });
    }

    fn arguments(&self, json: &str, out: &mut Vec<u8>) {
        self.delta(out, |delta| delta.object("toolUse", |call| call.put("input", json)));
    }

    fn delta(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        frame(out, "contentBlockDelta", |event| {
            event.put("contentBlockIndex", &self.index);
            event.object("delta", fill);
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(block) = self.open.take() else { return };
        // A call without arguments has the empty object; clients parse what they were sent.
        if matches!(block, Block::Call(_, false)) {
            self.arguments("{}", out);
        }
        frame(out, "contentBlockStop", |event| event.put("contentBlockIndex", &self.index));
        self.index += 1;
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Fault> {
        match event {
            Event::Start { .. } => self.start(out),
            Event::Text(text) => self.say(Block::Text, text, out),
            Event::Refusal(text) => {
                self.refused = true;
                self.say(Block::Text, text, out);
            }
            Event::Thinking(text) => self.say(Block::Thinking, text, out),
            Event::Signature(text) if self.open == Some(Block::Thinking) => {
                let signature = self.maker.map_or_else(String::new, |maker| maker.tagged(text));
                self.delta(out, |delta| {
                    delta.object("reasoningContent", |thought| thought.put("signature", &signature))
                });
            }
            Event::Signature(_) => losses.dropped("/signature", SIGNATURE),
            Event::RedactedThinking(_) => {
                losses.dropped("/redacted", "a redacted thought is of use to its provider only");
            }
            Event::ToolStart { ordinal, id, name } => {
                self.start(out);
                self.close(out);
                (self.open, self.calls) = (Some(Block::Call(*ordinal, false)), true);
                let made = format!("{}_{ordinal}", self.id);
                frame(out, "contentBlockStart", |event| {
                    event.put("contentBlockIndex", &self.index);
                    event.object("start", |start| {
                        start.object("toolUse", |call| {
                            call.put("toolUseId", id.as_deref().unwrap_or(&made));
                            call.put("name", name);
                        });
                    });
                });
            }
            Event::ToolArguments { ordinal, json } => match self.open {
                _ if json.is_empty() => {}
                Some(Block::Call(open, _)) if open == *ordinal => {
                    self.open = Some(Block::Call(open, true));
                    self.arguments(json, out);
                }
                // A block that was closed cannot be opened again, and nothing may be held back for it.
                _ if !json.trim().is_empty() => {
                    return Err(malformed("the arguments of a tool call came after the next one had begun"));
                }
                _ => {}
            },
            Event::BlockEnd => self.close(out),
            Event::Finish(finish) => self.finish = Some(finish.to_kept()),
            Event::Usage(reported) => self.usage = Some(reported.usage),
            Event::ServiceTier(name) => {
                self.service_tier = (name.len() <= MAX_KEPT_BYTES).then(|| name.to_string());
            }
            Event::Ping | Event::Elsewhere { .. } => {}
            Event::End => {
                self.start(out);
                self.close(out);
                let word = stop_word(self.finish.as_ref(), self.calls, self.refused, losses);
                frame(out, "messageStop", |event| event.put("stopReason", word));
                if self.usage.is_none() {
                    losses.approximated("/usage", "the provider reported no usage; SDKs require one, so it says zero");
                }
                frame(out, "metadata", |event| {
                    event.object("usage", |usage| write_usage(usage, &self.usage.unwrap_or(Usage::ZERO), losses));
                    // SDKs require the member; the gateway's own time is in its records.
                    event.object("metrics", |metrics| metrics.put("latencyMs", &0));
                    tier(event, self.service_tier.as_deref());
                });
            }
        }
        Ok(())
    }
}

fn frame(out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Object<'_>)) {
    let mut payload = Vec::new();
    object(&mut payload, fill);
    Message { is_exception: false, kind, payload: &payload }.write(out);
}
