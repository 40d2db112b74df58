//! Answers as OpenAI's API reference writes responses down: whole, or as events that name their item.

use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::Ask;
use crate::content::{Choice, Content, Finish, Pieces, Usage, signature};
use crate::frames::{Frames, Writer};

/// A response, whole or streamed.
pub fn answer(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    let choice = &content.choices[0];
    let items = items(call, choice);
    if ask.stream {
        return stream(call, ask, choice, content.usage, &items);
    }
    Frames::whole(closed(call, ask, choice, content.usage, &items).to_string().into_bytes())
}

/// What is left of a conversation that was compacted: what its user said, and the rest for this provider alone.
pub fn compacted(call: &Answering<'_>, input: &Value, content: &Content) -> Vec<u8> {
    let said = |number: usize, content: &Value| {
        json!({"id": format!("msg_{}{number}", call.id), "type": "message", "status": "completed", "role": "user",
               "content": content})
    };
    let mut output = match input {
        Value::Array(items) => items
            .iter()
            .filter(|item| item["role"] == "user")
            .enumerate()
            .map(|(number, item)| match &item["content"] {
                Value::String(text) => said(number, &json!([{"type": "input_text", "text": text}])),
                parts => said(number, parts),
            })
            .collect(),
        text => vec![said(0, &json!([{"type": "input_text", "text": text}]))],
    };
    let summary = &content.choices[0].text.text;
    output.push(json!({
        "id": format!("cmp_{}", call.id), "type": "compaction", "encrypted_content": signature(call.seed, summary)
    }));
    let mut body = json!({
        "id": format!("resp_{}", call.id), "object": "response.compaction", "created_at": call.created_unix_s,
        "output": output
    });
    body["usage"] = call.reported(content.usage).map_or(Value::Null, usage);
    body.to_string().into_bytes()
}

/// How many tokens a request would be.
pub fn count(usage: &Usage) -> Vec<u8> {
    json!({"object": "response.input_tokens", "input_tokens": usage.prompt}).to_string().into_bytes()
}

/// The output items, complete.
fn items(call: &Answering<'_>, choice: &Choice) -> Vec<Value> {
    let mut items = Vec::new();
    if !choice.thinking.is_empty() {
        let thought = &choice.thinking.text;
        items.push(json!({
            "id": format!("rs_{}", call.id), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": thought}], "encrypted_content": signature(call.seed, thought)
        }));
    }
    if choice.calls.is_empty() {
        let part = json!({"type": "output_text", "text": choice.text.text, "annotations": [], "logprobs": []});
        items.push(json!({
            "id": format!("msg_{}", call.id), "type": "message", "status": status(choice).0, "role": "assistant",
            "content": [part]
        }));
    }
    for tool in &choice.calls {
        items.push(json!({
            "id": format!("fc_{:016x}", tool.id), "type": "function_call", "status": "completed",
            "arguments": tool.arguments.text, "call_id": format!("call_{:016x}", tool.id), "name": tool.name
        }));
    }
    items
}

fn stream(call: &Answering<'_>, ask: &Ask, choice: &Choice, usage: Usage, items: &[Value]) -> Frames {
    let mut events = Events { writer: Writer::for_frames(usage.output + 16), sequence: 0, index: 0 };
    let begun = response(call, ask, "in_progress");
    events.event("response.created", json!({"response": begun}));
    events.event("response.in_progress", json!({"response": begun}));
    let together = call.script.tokens_per_frame;
    for item in items {
        let (id, mut opened) = (item["id"].as_str().unwrap_or_default(), item.clone());
        let empty = match item["type"].as_str() {
            Some("reasoning") => ("summary", json!([])),
            Some("message") => ("content", json!([])),
            _ => ("arguments", json!("")),
        };
        opened[empty.0] = empty.1;
        if item["type"] != "reasoning" {
            opened["status"] = json!("in_progress");
        }
        let at = json!({"item_id": id, "output_index": events.index});
        if item["type"] == "function_call" {
            events.writer.content_begins();
        }
        events.event("response.output_item.added", json!({"output_index": events.index, "item": opened}));
        match item["type"].as_str() {
            Some("reasoning") => {
                let at = merged(&at, json!({"summary_index": 0}));
                let (none, part) = (json!({"type": "summary_text", "text": ""}), &item["summary"][0]);
                events.event("response.reasoning_summary_part.added", merged(&at, json!({"part": none})));
                events.writer.content_begins();
                events.deltas("response.reasoning_summary_text.delta", &at, &choice.thinking, together);
                events.event("response.reasoning_summary_text.done", merged(&at, json!({"text": part["text"]})));
                events.event("response.reasoning_summary_part.done", merged(&at, json!({"part": part})));
            }
            Some("message") => {
                let at = merged(&at, json!({"content_index": 0}));
                let part = &item["content"][0];
                let none = merged(part, json!({"text": ""}));
                events.event("response.content_part.added", merged(&at, json!({"part": none})));
                events.writer.content_begins();
                let with_logprobs = merged(&at, json!({"logprobs": []}));
                events.deltas("response.output_text.delta", &with_logprobs, &choice.text, together);
                events.event("response.output_text.done", merged(&with_logprobs, json!({"text": part["text"]})));
                events.event("response.content_part.done", merged(&at, json!({"part": part})));
            }
            _ => {
                let tool = choice.calls.iter().find(|tool| id.ends_with(&format!("{:016x}", tool.id)));
                if let Some(tool) = tool {
                    events.deltas("response.function_call_arguments.delta", &at, &tool.arguments, together);
                }
                let done = json!({"arguments": item["arguments"]});
                events.event("response.function_call_arguments.done", merged(&at, done));
            }
        }
        events.event("response.output_item.done", json!({"output_index": events.index, "item": item}));
        events.index += 1;
    }
    events.writer.closing_begins();
    let closed = closed(call, ask, choice, usage, items);
    events.event(&format!("response.{}", status(choice).0), json!({"response": closed}));
    events.writer.finish()
}

struct Events {
    writer: Writer,
    sequence: u64,
    index: usize,
}

impl Events {
    fn event(&mut self, name: &str, data: Value) {
        let data = merged(&data, json!({"type": name, "sequence_number": self.sequence}));
        self.sequence += 1;
        self.writer.put("event: ");
        self.writer.put(name);
        self.writer.put("\ndata: ");
        self.writer.json(&data);
        self.writer.end_frame();
    }

    fn deltas(&mut self, name: &str, at: &Value, pieces: &Pieces, together: u32) {
        for piece in pieces.groups(together) {
            self.event(name, merged(at, json!({"delta": piece})));
        }
    }
}

/// One object with the fields of both.
fn merged(one: &Value, other: Value) -> Value {
    let mut both = one.clone();
    if let (Some(both), Value::Object(other)) = (both.as_object_mut(), other) {
        both.extend(other);
    }
    both
}

/// The status of a complete answer, and why it is incomplete.
fn status(choice: &Choice) -> (&'static str, Value) {
    match choice.finish {
        Finish::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        Finish::Stop | Finish::At(_) | Finish::Tools => ("completed", Value::Null),
    }
}

/// An answer that is over.
fn closed(call: &Answering<'_>, ask: &Ask, choice: &Choice, usage: Usage, items: &[Value]) -> Value {
    let (status, incomplete) = status(choice);
    let mut body = response(call, ask, status);
    body["incomplete_details"] = incomplete;
    body["output"] = json!(items);
    body["service_tier"] = json!(call.tier("default"));
    if let Some(reported) = call.reported(usage) {
        body["usage"] = self::usage(reported);
    }
    body
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write_5m},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output
    })
}

/// An answer as it begins.
fn response(call: &Answering<'_>, ask: &Ask, status: &str) -> Value {
    json!({
        "id": format!("resp_{}", call.id), "object": "response", "created_at": call.created_unix_s, "status": status,
        "background": false, "error": null, "incomplete_details": null, "instructions": null,
        "max_output_tokens": ask.max_output, "metadata": {}, "model": ask.model, "output": [],
        "parallel_tool_calls": ask.parallel_tools, "previous_response_id": ask.previous,
        "reasoning": {"effort": null, "summary": null}, "service_tier": "auto", "store": true, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": null, "user": null
    })
}
