//! Answers as Amazon Bedrock's API reference writes them down: Converse, whole and as binary messages, and its errors.

use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::{self, Ask, Tool, ToolChoice, Wrong, array};
use crate::content::{Choice, Content, Finish, Usage, signature};
use crate::frames::{Frames, Writer};

/// Whether an address is of `invoke`, which takes the vendor's own body.
pub fn is_invoke(route: &str) -> bool {
    route.ends_with("/invoke") || route.ends_with("/invoke-with-response-stream")
}

/// What an address says: the model, percent-decoded, and whether a stream is asked for.
pub fn address(route: &str) -> Option<(String, bool)> {
    const ENDS: [(&str, bool); 4] =
        [("/converse", false), ("/converse-stream", true), ("/invoke", false), ("/invoke-with-response-stream", true)];
    let rest = route.strip_prefix("/model/")?;
    let (model, stream) = ENDS.iter().find_map(|(end, stream)| Some((rest.strip_suffix(end)?, *stream)))?;
    decoded(model).map(|model| (model, stream))
}

/// A percent-encoded text.
pub fn decoded(model: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(model.len());
    let mut rest = model.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = after;
            }
            (first, _) => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads a Converse request, into which the address has been written.
pub fn ask(body: &Value) -> Result<Ask, Wrong> {
    let mut ask = ask::common(body, ask::messages(body)?)?;
    let config = &body["inferenceConfig"];
    ask.max_output = config["maxTokens"].as_u64();
    ask.stop = ask::strings(&config["stopSequences"]);
    let tools = &body["toolConfig"];
    for tool in array(&tools["tools"]) {
        let spec = &tool["toolSpec"];
        if let Some(name) = spec["name"].as_str() {
            ask.tools.push(Tool { name: name.to_owned(), schema: spec["inputSchema"]["json"].clone() });
        } else if tool["cachePoint"].is_null() {
            return Err(("toolConfig", "every tool needs toolSpec.name".to_owned()));
        }
    }
    let choice = &tools["toolChoice"];
    ask.tool_choice = match choice["tool"]["name"].as_str() {
        Some(name) => ToolChoice::This(name.to_owned()),
        None if choice["any"].is_object() => ToolChoice::Any,
        None => ToolChoice::Auto,
    };
    let mut last = "";
    for message in array(&body["messages"]) {
        let role = message["role"].as_str().unwrap_or_default();
        if role == last {
            return Err(("messages", "A conversation must alternate between user and assistant roles.".to_owned()));
        }
        last = role;
        for block in array(&message["content"]) {
            if block["text"].as_str().is_some_and(|text| text.trim().is_empty()) {
                return Err(("messages", "The text field in the ContentBlock object is blank.".to_owned()));
            }
            let thought = &block["reasoningContent"]["reasoningText"];
            if let (Some(text), Some(signature)) = (thought["text"].as_str(), thought["signature"].as_str()) {
                ask.thoughts.push((text.to_owned(), signature.to_owned()));
            }
        }
    }
    ask.users_turn = last == "user"
        && array(&body["messages"])
            .last()
            .is_some_and(|message| array(&message["content"]).iter().all(|block| block["toolResult"].is_null()));
    let format = &body["outputConfig"]["textFormat"];
    if format["type"] == "json_schema" {
        let schema = format["structure"]["jsonSchema"]["schema"].as_str().unwrap_or_default();
        let schema = serde_json::from_str(schema);
        ask.schema = Some(schema.map_err(|_| ("outputConfig", "The schema is not valid JSON.".to_owned()))?);
    }
    let more = &body["additionalModelRequestFields"];
    ask.thinking = more["thinking"]["type"] == "enabled"
        || more["reasoning_effort"].is_string()
        || more["reasoningConfig"]["type"] == "enabled";
    Ok(ask)
}

/// A Converse answer, whole or streamed.
pub fn answer(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    let choice = &content.choices[0];
    if ask.stream { stream(call, choice, content.usage) } else { Frames::whole(whole(call, choice, content.usage)) }
}

fn whole(call: &Answering<'_>, choice: &Choice, usage: Usage) -> Vec<u8> {
    let mut blocks = Vec::new();
    if !choice.thinking.is_empty() {
        let thought = &choice.thinking.text;
        let text = json!({"text": thought, "signature": signature(call.seed, thought)});
        blocks.push(json!({"reasoningContent": {"reasoningText": text}}));
    }
    if !choice.text.is_empty() {
        blocks.push(json!({"text": choice.text.text}));
    }
    for tool in &choice.calls {
        let input: Value = serde_json::from_str(&tool.arguments.text).unwrap_or_default();
        blocks.push(json!({"toolUse": {"toolUseId": call_id(tool.id), "name": tool.name, "input": input}}));
    }
    let mut body = json!({
        "output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": stop(choice),
        "metrics": {"latencyMs": 7}
    });
    if let Some(usage) = call.reported(usage) {
        body["usage"] = usage_json(&usage);
        body["serviceTier"] = json!({"type": call.tier("default")});
    }
    body.to_string().into_bytes()
}

fn stream(call: &Answering<'_>, choice: &Choice, usage: Usage) -> Frames {
    let reported = call.reported(usage);
    let together = call.script.tokens_per_frame;
    let mut writer = Writer::for_frames(usage.output + 8);
    let mut block = 0;
    writer.frame(&event("messageStart", &json!({"role": "assistant", "p": "abcdefghij"})));
    let delta = |block: usize, delta: Value| {
        event("contentBlockDelta", &json!({"contentBlockIndex": block, "delta": delta, "p": "abcdef"}))
    };
    let stopped = |block: usize| event("contentBlockStop", &json!({"contentBlockIndex": block, "p": "abc"}));
    writer.content_begins();
    if !choice.thinking.is_empty() {
        for piece in choice.thinking.groups(together) {
            writer.frame(&delta(block, json!({"reasoningContent": {"text": piece}})));
        }
        let signature = signature(call.seed, &choice.thinking.text);
        writer.frame(&delta(block, json!({"reasoningContent": {"signature": signature}})));
        writer.frame(&stopped(block));
        block += 1;
    }
    if !choice.text.is_empty() {
        for piece in choice.text.groups(together) {
            writer.frame(&delta(block, json!({"text": piece})));
        }
        writer.frame(&stopped(block));
        block += 1;
    }
    for tool in &choice.calls {
        let start = json!({"toolUse": {"toolUseId": call_id(tool.id), "name": tool.name}});
        writer.frame(&event("contentBlockStart", &json!({"contentBlockIndex": block, "start": start, "p": "ab"})));
        for piece in tool.arguments.groups(together) {
            writer.frame(&delta(block, json!({"toolUse": {"input": piece}})));
        }
        writer.frame(&stopped(block));
        block += 1;
    }
    writer.closing_begins();
    writer.frame(&event("messageStop", &json!({"stopReason": stop(choice), "p": "abcd"})));
    let mut metadata = json!({"metrics": {"latencyMs": 7}, "p": "abcde"});
    if let Some(usage) = reported {
        metadata["usage"] = usage_json(&usage);
        metadata["serviceTier"] = json!({"type": call.tier("default")});
    }
    writer.frame(&event("metadata", &metadata));
    writer.finish()
}

/// `inputTokens` leaves out what a cache served or stored.
fn usage_json(usage: &Usage) -> Value {
    let stored = usage.cache_write_5m + usage.cache_write_1h;
    let mut json = json!({
        "inputTokens": usage.prompt - usage.cached - stored, "outputTokens": usage.output,
        "totalTokens": usage.prompt + usage.output, "cacheReadInputTokens": usage.cached, "cacheWriteInputTokens": stored
    });
    if usage.cache_write_1h > 0 {
        json["cacheDetails"] = json!([
            {"ttl": "1h", "inputTokens": usage.cache_write_1h}, {"ttl": "5m", "inputTokens": usage.cache_write_5m}
        ]);
    }
    json
}

fn stop(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::Stop => "end_turn",
        Finish::At(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Tools => "tool_use",
    }
}

fn call_id(id: u64) -> String {
    format!("tooluse_{id:016x}")
}

/// The name of an error with this status.
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        402 => "ServiceQuotaExceededException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        400..=499 => "ValidationException",
        503 => "ServiceUnavailableException",
        _ => "InternalServerException",
    }
}

/// An error within a stream.
pub fn exception(status: u16, body: &Value) -> Vec<u8> {
    let kind = match status {
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        400..=499 => "validationException",
        _ => "internalServerException",
    };
    message("exception", ":exception-type", kind, body)
}

pub fn event(kind: &str, payload: &Value) -> Vec<u8> {
    message("event", ":event-type", kind, payload)
}

/// One message: lengths and their checksum, headers of text (type 7), payload, checksum.
fn message(message_type: &str, name: &str, kind: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(name, kind), (":content-type", "application/json"), (":message-type", message_type)] {
        headers.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let payload = payload.to_string().into_bytes();
    let mut frame = Vec::with_capacity(16 + headers.len() + payload.len());
    for length in [16 + headers.len() + payload.len(), headers.len()] {
        frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(&payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

/// The list of models.
pub fn models(names: &[String]) -> Vec<u8> {
    let model = |name: &String| json!({"modelId": name, "modelName": name});
    json!({"modelSummaries": names.iter().map(model).collect::<Value>()}).to_string().into_bytes()
}
