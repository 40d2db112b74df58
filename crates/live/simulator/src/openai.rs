//! Answers as OpenAI's API reference writes them down: chat completions, chunks, embeddings, models.

use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::{self, Ask};
use crate::chance::{Chance, fingerprint};
use crate::content::{Choice, Content, Finish, Pieces, Usage};
use crate::frames::{Frames, Writer};
use crate::scenario::TokenPrice;

/// What changes when the model does; ours never does.
const FINGERPRINT: &str = "fp_simulated";

/// A chat completion, whole or streamed.
pub fn answer(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    if ask.stream { stream(call, ask, content) } else { Frames::whole(whole(call, ask, content)) }
}

fn whole(call: &Answering<'_>, ask: &Ask, content: &Content) -> Vec<u8> {
    let choices: Vec<Value> = content.choices.iter().enumerate().map(|(index, choice)| {
        let mut message = json!({"role": "assistant", "content": choice.text.text, "refusal": null, "annotations": []});
        if !choice.calls.is_empty() {
            message["content"] = Value::Null;
            message["tool_calls"] = choice.calls.iter().map(|tool| json!({
                "id": call_id(tool.id), "type": "function",
                "function": {"name": tool.name, "arguments": tool.arguments.text}
            })).collect();
        }
        if !choice.thinking.is_empty() {
            message["reasoning_content"] = json!(choice.thinking.text);
        }
        let logprobs = ask.logprobs.map_or(Value::Null, |top| {
            json!({"content": choice.text.groups(1).map(|token| logprob(token, top)).collect::<Value>(), "refusal": null})
        });
        json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish(choice)})
    }).collect();
    let mut body = json!({
        "id": id(call), "object": "chat.completion", "created": call.created_unix_s, "model": ask.model, "choices": choices,
        "service_tier": call.tier("default"), "system_fingerprint": FINGERPRINT
    });
    if let Some(usage) = call.reported(content.usage) {
        body["usage"] = priced_json(&usage, call.script.usage.price);
    }
    body.to_string().into_bytes()
}

fn stream(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    let mut chunks = Chunks::new(call, ask, content);
    for (index, choice) in content.choices.iter().enumerate() {
        let role = if choice.calls.is_empty() {
            r#"{"role":"assistant","content":"","refusal":null}"#
        } else {
            r#"{"role":"assistant","content":null,"refusal":null}"#
        };
        chunks.delta(index, None, None, |writer| writer.put(role));
    }
    chunks.writer.content_begins();
    let together = call.script.tokens_per_frame;
    for (index, choice) in content.choices.iter().enumerate() {
        chunks.texts(index, "reasoning_content", &choice.thinking, together, None);
        chunks.texts(index, "content", &choice.text, together, ask.logprobs);
        for (place, tool) in choice.calls.iter().enumerate() {
            let head = json!({"tool_calls": [{
                "index": place, "id": call_id(tool.id), "type": "function", "function": {"name": tool.name, "arguments": ""}
            }]});
            chunks.delta(index, None, None, |writer| writer.json(&head));
            for piece in tool.arguments.groups(together) {
                chunks.sent += 1;
                let part = json!({"tool_calls": [{"index": place, "function": {"arguments": piece}}]});
                chunks.delta(index, None, None, |writer| writer.json(&part));
            }
        }
    }
    chunks.writer.closing_begins();
    for (index, choice) in content.choices.iter().enumerate() {
        chunks.delta(index, None, Some(finish(choice)), |writer| writer.put("{}"));
    }
    chunks.close()
}

/// Writes the chunks of one stream; what all have in common is written once and copied.
struct Chunks {
    writer: Writer,
    head: String,
    rest: Rest,
    usage: Option<Usage>,
    price: Option<TokenPrice>,
    sent: u64,
}

/// What follows the choices of a chunk.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    Nothing,
    NullUsage,
    UsageSoFar,
}

impl Chunks {
    fn new(call: &Answering<'_>, ask: &Ask, content: &Content) -> Chunks {
        let usage = call.reported(content.usage);
        let rest = match (ask.include_usage && usage.is_some(), ask.continuous_usage) {
            (true, true) => Rest::UsageSoFar,
            (true, false) => Rest::NullUsage,
            (false, _) => Rest::Nothing,
        };
        let model = Value::String(ask.model.clone());
        let tier = Value::String(call.tier("default").to_owned());
        let head = format!(
            r#"data: {{"id":"{}","object":"chat.completion.chunk","created":{},"model":{model},"service_tier":{tier},"system_fingerprint":"{FINGERPRINT}","choices":["#,
            id(call),
            call.created_unix_s
        );
        let writer = Writer::for_frames(content.usage.output + 4);
        let (usage, price) = (usage.filter(|_| ask.include_usage), call.script.usage.price);
        Chunks { writer, head, rest, usage, price, sent: 0 }
    }

    fn texts(&mut self, index: usize, field: &str, pieces: &Pieces, together: u32, logprobs: Option<u64>) {
        let field = format!(r#"{{"{field}":"#);
        for piece in pieces.groups(together) {
            self.sent += u64::from(together);
            let logprobs = logprobs.map(|top| logprob(piece, top));
            self.delta(index, logprobs, None, |writer| {
                writer.put(&field);
                writer.json(piece);
                writer.put("}");
            });
        }
    }

    fn delta(&mut self, index: usize, logprobs: Option<Value>, finish: Option<&str>, delta: impl FnOnce(&mut Writer)) {
        self.writer.put(&self.head);
        self.writer.put(r#"{"index":"#);
        self.writer.json(&index);
        self.writer.put(r#","delta":"#);
        delta(&mut self.writer);
        self.writer.put(r#","logprobs":"#);
        match logprobs {
            Some(token) => self.writer.json(&json!({"content": [token], "refusal": null})),
            None => self.writer.put("null"),
        }
        self.writer.put(r#","finish_reason":"#);
        self.writer.json(&finish);
        self.writer.put("}]");
        self.rest();
    }

    fn rest(&mut self) {
        match (self.rest, self.usage) {
            (Rest::Nothing, _) | (_, None) => self.writer.put("}"),
            (Rest::NullUsage, _) => self.writer.put(r#","usage":null}"#),
            (Rest::UsageSoFar, Some(usage)) => {
                let so_far =
                    Usage { output: self.sent.min(usage.output), reasoning: self.sent.min(usage.reasoning), ..usage };
                self.writer.put(r#","usage":"#);
                self.writer.json(&priced_json(&so_far, self.price));
                self.writer.put("}");
            }
        }
        self.writer.end_frame();
    }

    fn close(mut self) -> Frames {
        if let Some(usage) = self.usage {
            self.writer.put(&self.head);
            self.writer.put(r#"],"usage":"#);
            self.writer.json(&priced_json(&usage, self.price));
            self.writer.put("}");
            self.writer.end_frame();
        }
        self.writer.put("data: [DONE]");
        self.writer.end_frame();
        self.writer.finish()
    }
}

/// A usage with what it cost, where the script has a price.
fn priced_json(usage: &Usage, price: Option<TokenPrice>) -> Value {
    let mut told = usage_json(usage);
    if let Some(price) = price {
        let nano_usd = usage.prompt * price.input_nano_usd + usage.output * price.output_nano_usd;
        // Exact as written: no more than fifteen digits below a million dollars.
        told["cost"] = json!(nano_usd as f64 / 1e9);
    }
    told
}

/// A usage as its answers tell it.
pub fn usage_json(usage: &Usage) -> Value {
    let mut prompt_details = json!({"cached_tokens": usage.cached, "audio_tokens": 0});
    if usage.cache_write_5m > 0 {
        prompt_details["cache_write_tokens"] = json!(usage.cache_write_5m);
    }
    json!({
        "prompt_tokens": usage.prompt, "completion_tokens": usage.output, "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
        }
    })
}

/// Why a choice ended, in its word.
pub fn finish(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::Stop | Finish::At(_) => "stop",
        Finish::Length => "length",
        Finish::Tools => "tool_calls",
    }
}

fn logprob(token: &str, top: u64) -> Value {
    let mut chance = Chance::new(&[fingerprint(token.as_bytes())]);
    let mut entry = |token: &str| json!({"token": token, "logprob": -(chance.unit() * 4_000.0).round() / 1_000.0, "bytes": token.as_bytes()});
    let mut first = entry(token);
    let others: Vec<Value> =
        (0..top).map(|rank| if rank == 0 { first.clone() } else { entry(&format!(" other{rank}")) }).collect();
    first["top_logprobs"] = Value::Array(others);
    first
}

fn id(call: &Answering<'_>) -> String {
    format!("chatcmpl-{}", call.id)
}

fn call_id(id: u64) -> String {
    format!("call_{id:016x}{:08x}", id as u32 ^ 0x5eed)
}

/// Embeddings: a direction made up from each text, of length one.
pub fn embeddings(call: &Answering<'_>, body: &Value) -> Result<(Vec<u8>, Usage), ask::Wrong> {
    let model = body["model"].as_str().ok_or(("model", "a model is needed".to_owned()))?;
    let inputs: Vec<&Value> = match &body["input"] {
        Value::Array(items) if items.iter().all(Value::is_number) && !items.is_empty() => vec![&body["input"]],
        Value::Array(items) if !items.is_empty() => items.iter().collect(),
        text @ Value::String(_) => vec![text],
        _ => return Err(("input", "input must be a text, tokens, or a list of either".to_owned())),
    };
    let wanted = body["dimensions"].as_u64().and_then(|wanted| usize::try_from(wanted).ok());
    let dimensions = wanted.unwrap_or(call.script.embedding_dimensions).clamp(1, 8_192);
    let base64 = body["encoding_format"] == "base64";
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = direction(call.seed, &input.to_string(), dimensions);
            let embedding = if base64 { json!(packed(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = inputs
        .iter()
        .map(|input| match input {
            Value::Array(tokens) => tokens.len() as u64,
            text => ask::text_chars(text, &mut |_| ()).div_ceil(4).max(1),
        })
        .sum();
    let usage = Usage { prompt: call.script.usage.prompt_tokens.unwrap_or(tokens), ..Usage::default() };
    let mut answer = json!({"object": "list", "data": data, "model": model});
    if let Some(usage) = call.reported(usage) {
        answer["usage"] = json!({"prompt_tokens": usage.prompt, "total_tokens": usage.prompt});
    }
    Ok((answer.to_string().into_bytes(), usage))
}

/// A vector of length one that a text always gets.
pub fn direction(seed: u64, text: &str, dimensions: usize) -> Vec<f32> {
    let mut chance = Chance::new(&[seed, fingerprint(text.as_bytes())]);
    let raw: Vec<f64> = (0..dimensions).map(|_| chance.unit() * 2.0 - 1.0).collect();
    let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-9);
    raw.iter().map(|value| (value / length) as f32).collect()
}

/// Little-endian 32-bit floats in base64, as the SDKs ask for by default.
pub fn packed(vector: &[f32]) -> String {
    use base64::Engine;
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The list of models.
pub fn models(names: &[String]) -> Vec<u8> {
    let model =
        |name: &String| json!({"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "simulator"});
    json!({"object": "list", "data": names.iter().map(model).collect::<Value>()}).to_string().into_bytes()
}
