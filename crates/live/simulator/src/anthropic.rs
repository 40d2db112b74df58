//! Answers as Anthropic's API reference writes them down: messages, their events, token counts, models.

use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::Ask;
use crate::content::{Choice, Content, Finish, Usage, signature};
use crate::frames::{Frames, Writer};

/// A message, whole or streamed.
pub fn answer(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    let choice = &content.choices[0];
    if ask.stream {
        stream(call, ask, choice, content.usage)
    } else {
        Frames::whole(whole(call, ask, choice, content.usage))
    }
}

fn whole(call: &Answering<'_>, ask: &Ask, choice: &Choice, usage: Usage) -> Vec<u8> {
    let mut blocks = Vec::new();
    if !choice.thinking.is_empty() {
        let thought = &choice.thinking.text;
        blocks.push(json!({"type": "thinking", "thinking": thought, "signature": signature(call.seed, thought)}));
    }
    if !choice.text.is_empty() {
        blocks.push(json!({"type": "text", "text": choice.text.text}));
    }
    for tool in &choice.calls {
        let input: Value = serde_json::from_str(&tool.arguments.text).unwrap_or_default();
        blocks.push(json!({"type": "tool_use", "id": tool_id(tool.id), "name": tool.name, "input": input}));
    }
    let (reason, sequence) = stop(choice);
    let mut body = json!({
        "id": id(call), "type": "message", "role": "assistant", "model": ask.model, "content": blocks,
        "stop_reason": reason, "stop_sequence": sequence
    });
    if let Some(usage) = call.reported(usage) {
        body["usage"] = usage_json(call, &usage, usage.output);
    }
    body.to_string().into_bytes()
}

fn stream(call: &Answering<'_>, ask: &Ask, choice: &Choice, usage: Usage) -> Frames {
    let reported = call.reported(usage);
    let together = call.script.tokens_per_frame;
    let mut events = Events { writer: Writer::for_frames(usage.output + 8), block: 0 };
    let mut message = json!({
        "id": id(call), "type": "message", "role": "assistant", "model": ask.model, "content": [],
        "stop_reason": null, "stop_sequence": null
    });
    if let Some(usage) = reported {
        message["usage"] = usage_json(call, &usage, usage.output.min(1));
    }
    events.event("message_start", &json!({"type": "message_start", "message": message}));
    if !choice.thinking.is_empty() {
        events.start(&json!({"type": "thinking", "thinking": "", "signature": ""}));
        events.ping();
        events.writer.content_begins();
        for piece in choice.thinking.groups(together) {
            events.delta("thinking_delta", "thinking", piece);
        }
        events.delta("signature_delta", "signature", &signature(call.seed, &choice.thinking.text));
        events.stop();
    }
    if choice.calls.is_empty() {
        events.start(&json!({"type": "text", "text": ""}));
        events.ping();
        events.writer.content_begins();
        for piece in choice.text.groups(together) {
            events.delta("text_delta", "text", piece);
        }
        events.stop();
    }
    for tool in &choice.calls {
        events.start(&json!({"type": "tool_use", "id": tool_id(tool.id), "name": tool.name, "input": {}}));
        events.writer.content_begins();
        events.delta("input_json_delta", "partial_json", "");
        for piece in tool.arguments.groups(together) {
            events.delta("input_json_delta", "partial_json", piece);
        }
        events.stop();
    }
    events.writer.closing_begins();
    let (reason, sequence) = stop(choice);
    let mut last = json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": sequence}});
    if let Some(usage) = reported {
        last["usage"] = json!({
            "input_tokens": uncached(&usage), "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "cache_read_input_tokens": usage.cached, "output_tokens": usage.output
        });
    }
    events.event("message_delta", &last);
    events.event("message_stop", &json!({"type": "message_stop"}));
    events.writer.finish()
}

struct Events {
    writer: Writer,
    block: usize,
}

impl Events {
    fn event(&mut self, name: &str, data: &Value) {
        self.writer.put("event: ");
        self.writer.put(name);
        self.writer.put("\ndata: ");
        self.writer.json(data);
        self.writer.end_frame();
    }

    fn ping(&mut self) {
        self.writer.put("event: ping\ndata: {\"type\": \"ping\"}");
        self.writer.end_frame();
    }

    fn start(&mut self, block: &Value) {
        let data = json!({"type": "content_block_start", "index": self.block, "content_block": block});
        self.event("content_block_start", &data);
    }

    fn delta(&mut self, kind: &str, field: &str, piece: &str) {
        self.writer.put("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
        self.writer.json(&self.block);
        self.writer.put(",\"delta\":{\"type\":\"");
        self.writer.put(kind);
        self.writer.put("\",\"");
        self.writer.put(field);
        self.writer.put("\":");
        self.writer.json(piece);
        self.writer.put("}}");
        self.writer.end_frame();
    }

    fn stop(&mut self) {
        self.event("content_block_stop", &json!({"type": "content_block_stop", "index": self.block}));
        self.block += 1;
    }
}

fn usage_json(call: &Answering<'_>, usage: &Usage, output: u64) -> Value {
    let mut json = json!({
        "input_tokens": uncached(usage),
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m, "ephemeral_1h_input_tokens": usage.cache_write_1h
        },
        "output_tokens": output,
        "service_tier": call.tier("standard")
    });
    if usage.reasoning > 0 && output == usage.output {
        json["output_tokens_details"] = json!({"thinking_tokens": usage.reasoning});
    }
    json
}

/// `input_tokens` leaves out what a cache served or stored.
fn uncached(usage: &Usage) -> u64 {
    usage.prompt - usage.cached - usage.cache_write_5m - usage.cache_write_1h
}

fn stop(choice: &Choice) -> (&'static str, Option<&str>) {
    match &choice.finish {
        Finish::Stop => ("end_turn", None),
        Finish::At(sequence) => ("stop_sequence", Some(sequence)),
        Finish::Length => ("max_tokens", None),
        Finish::Tools => ("tool_use", None),
    }
}

fn id(call: &Answering<'_>) -> String {
    format!("msg_{}", call.id)
}

fn tool_id(id: u64) -> String {
    format!("toolu_{id:016x}{:08x}", id as u32 ^ 0x5eed)
}

/// The count of a prompt's tokens.
pub fn count(usage: &Usage) -> Vec<u8> {
    json!({"input_tokens": usage.prompt}).to_string().into_bytes()
}

/// The list of models.
pub fn models(names: &[String]) -> Vec<u8> {
    let model = |name: &String| json!({"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"});
    json!({
        "data": names.iter().map(model).collect::<Value>(), "has_more": false,
        "first_id": names.first(), "last_id": names.last()
    })
    .to_string()
    .into_bytes()
}
