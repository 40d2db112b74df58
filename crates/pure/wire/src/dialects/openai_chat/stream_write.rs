//! Writes the chunks of a streamed chat completion.

use domain::Fault;

use super::answer::{REDACTED, SIGNATURE, finish_word, write_usage};
use crate::canonical::json::{Object, object};
use crate::canonical::{Cover, Event, Finish, Losses};
use crate::dialects::WriteStream;
use crate::usage::Reported;

/// What must be remembered between chunks.
pub(super) struct Writer {
    cover: Cover,
    started: bool,
    /// The call that is being told, and whether it has arguments yet.
    call: Option<(u32, bool)>,
    calls: bool,
    finish: Option<Finish<'static>>,
    usage: Option<Reported>,
}

impl Writer {
    pub(super) fn new(cover: Cover) -> Writer {
        Writer { cover, started: false, call: None, calls: false, finish: None, usage: None }
    }

    /// Writes one chunk. `choice`: what stands in its only choice; without, the chunk has none.
    fn chunk(&self, out: &mut Vec<u8>, choice: Option<&dyn Fn(&mut Object<'_>)>, with_usage: bool) {
        out.extend_from_slice(b"data: ");
        object(out, |chunk| {
            chunk.put("id", &self.cover.id);
            chunk.put("object", "chat.completion.chunk");
            chunk.put("created", &self.cover.created_unix_s);
            chunk.put("model", &self.cover.model);
            chunk.list("choices", |list| {
                if let Some(fill) = choice {
                    list.object(|choice| {
                        choice.put("index", &0);
                        fill(choice);
                    });
                }
            });
            match &self.usage {
                Some(reported) if with_usage || self.cover.continuous_usage => write_usage(chunk, &reported.usage),
                _ if self.cover.include_usage => chunk.put("usage", &()),
                _ => {}
            }
        });
        out.extend_from_slice(b"\n\n");
    }

    /// Writes a chunk with this delta.
    fn delta(&self, out: &mut Vec<u8>, delta: &dyn Fn(&mut Object<'_>)) {
        let choice = |choice: &mut Object<'_>| {
            choice.object("delta", delta);
            choice.put("logprobs", &());
            choice.put("finish_reason", &());
        };
        self.chunk(out, Some(&choice), false);
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            self.delta(out, &|delta| {
                delta.put("role", "assistant");
                delta.put("content", "");
                delta.put("refusal", &());
            });
        }
    }

    fn arguments(&self, out: &mut Vec<u8>, ordinal: u32, json: &str) {
        self.delta(out, &|delta| {
            delta.list("tool_calls", |list| {
                list.object(|call| {
                    call.put("index", &ordinal);
                    call.object("function", |function| function.put("arguments", json));
                });
            });
        });
    }

    /// A call without arguments has the empty object; clients parse what they were sent.
    fn end_call(&mut self, out: &mut Vec<u8>) {
        if let Some((ordinal, false)) = self.call.take() {
            self.arguments(out, ordinal, "{}");
        }
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Fault> {
        match event {
            Event::Start { id, created_unix_s } => {
                self.cover.take_id(id.as_ref());
                self.cover.created_unix_s = created_unix_s.unwrap_or(self.cover.created_unix_s);
                self.start(out);
            }
            Event::Text(text) | Event::Thinking(text) | Event::Refusal(text) => {
                if text.is_empty() {
                    return Ok(());
                }
                let name = match event {
                    Event::Thinking(_) => "reasoning_content",
                    Event::Refusal(_) => "refusal",
                    _ => "content",
                };
                self.start(out);
                self.delta(out, &|delta| delta.put(name, text));
            }
            Event::Signature(_) => losses.dropped("/delta/signature", SIGNATURE),
            Event::RedactedThinking(_) => losses.dropped("/content_block", REDACTED),
            Event::ToolStart { ordinal, id, name } => {
                self.start(out);
                self.end_call(out);
                (self.call, self.calls) = (Some((*ordinal, false)), true);
                let made = format!("{}_{ordinal}", self.cover.id);
                self.delta(out, &|delta| {
                    delta.list("tool_calls", |list| {
                        list.object(|call| {
                            call.put("index", ordinal);
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
            Event::ToolArguments { ordinal, json } => {
                if json.is_empty() {
                    return Ok(());
                }
                self.start(out);
                if let Some((open, told)) = &mut self.call {
                    *told |= open == ordinal;
                }
                self.arguments(out, *ordinal, json);
            }
            Event::BlockEnd => self.end_call(out),
            Event::Finish(finish) => self.finish = Some(finish.to_kept()),
            Event::Usage(reported) => self.usage = Some(reported.clone()),
            Event::ServiceTier(_) | Event::Ping | Event::Elsewhere { .. } => {}
            Event::End => {
                self.start(out);
                self.end_call(out);
                let word = finish_word(self.finish.as_ref(), self.calls, losses);
                let choice = |choice: &mut Object<'_>| {
                    choice.object("delta", |_| {});
                    choice.put("logprobs", &());
                    choice.put("finish_reason", word);
                };
                self.chunk(out, Some(&choice), false);
                if self.cover.include_usage && self.usage.is_some() {
                    self.chunk(out, None, true);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
        Ok(())
    }
}
