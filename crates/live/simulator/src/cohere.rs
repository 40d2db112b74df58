//! Answers as Cohere's API reference writes them down: chat, its events, embeddings, rankings, models.

use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::{self, Ask};
use crate::chance::{Chance, fingerprint};
use crate::content::{Choice, Content, Finish, Usage};
use crate::frames::{Frames, Writer};
use crate::openai;

/// A chat answer, whole or streamed.
pub fn answer(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    let choice = &content.choices[0];
    if ask.stream { stream(call, choice, content.usage) } else { Frames::whole(whole(call, choice, content.usage)) }
}

fn whole(call: &Answering<'_>, choice: &Choice, usage: Usage) -> Vec<u8> {
    let mut content = Vec::new();
    if !choice.thinking.is_empty() {
        content.push(json!({"type": "thinking", "thinking": choice.thinking.text}));
    }
    if !choice.text.is_empty() {
        content.push(json!({"type": "text", "text": choice.text.text}));
    }
    let mut message = json!({"role": "assistant", "content": content});
    if !choice.calls.is_empty() {
        message["tool_plan"] = json!(PLAN);
        message["tool_calls"] = choice
            .calls
            .iter()
            .map(|tool| {
                json!({"id": call_id(&tool.name, tool.id), "type": "function",
                       "function": {"name": tool.name, "arguments": tool.arguments.text}})
            })
            .collect();
    }
    let mut body = json!({"id": id(call), "message": message, "finish_reason": finish(choice)});
    if let Some(usage) = call.reported(usage) {
        body["usage"] = usage_json(&usage);
    }
    body.to_string().into_bytes()
}

/// What is said before tools are called.
const PLAN: &str = "I will use the tools.";

fn stream(call: &Answering<'_>, choice: &Choice, usage: Usage) -> Frames {
    let reported = call.reported(usage);
    let together = call.script.tokens_per_frame;
    let mut events = Events { writer: Writer::for_frames(usage.output + 8), block: 0 };
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    events.event("message-start", &json!({"id": id(call), "type": "message-start", "delta": {"message": message}}));
    for (kind, pieces) in [("thinking", &choice.thinking), ("text", &choice.text)] {
        if pieces.is_empty() {
            continue;
        }
        let mut opening = json!({"type": kind});
        opening[kind] = json!("");
        let message = json!({"content": opening});
        let index = events.block;
        events.event("content-start", &json!({"type": "content-start", "index": index, "delta": {"message": message}}));
        events.writer.content_begins();
        for piece in pieces.groups(together) {
            events.delta(kind, piece);
        }
        events.event("content-end", &json!({"type": "content-end", "index": index}));
        events.block += 1;
    }
    if !choice.calls.is_empty() {
        events.writer.content_begins();
        let plan = json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": PLAN}}});
        events.event("tool-plan-delta", &plan);
    }
    for (index, tool) in choice.calls.iter().enumerate() {
        let head = json!({"id": call_id(&tool.name, tool.id), "type": "function",
                          "function": {"name": tool.name, "arguments": ""}});
        let start = json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": head}}});
        events.event("tool-call-start", &start);
        for piece in tool.arguments.groups(together) {
            let part = json!({"function": {"arguments": piece}});
            let delta = json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": part}}});
            events.event("tool-call-delta", &delta);
        }
        events.event("tool-call-end", &json!({"type": "tool-call-end", "index": index}));
    }
    events.writer.closing_begins();
    let mut delta = json!({"finish_reason": finish(choice)});
    if let Some(usage) = reported {
        delta["usage"] = usage_json(&usage);
    }
    events.event("message-end", &json!({"type": "message-end", "id": id(call), "delta": delta}));
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

    fn delta(&mut self, kind: &str, piece: &str) {
        self.writer.put("event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":");
        self.writer.json(&self.block);
        self.writer.put(",\"delta\":{\"message\":{\"content\":{\"");
        self.writer.put(kind);
        self.writer.put("\":");
        self.writer.json(piece);
        self.writer.put("}}}}");
        self.writer.end_frame();
    }
}

/// What is counted holds more than what is billed: the provider's own template.
const TEMPLATE_TOKENS: u64 = 66;

fn usage_json(usage: &Usage) -> Value {
    json!({
        "billed_units": {"input_tokens": usage.prompt as f64, "output_tokens": usage.output as f64},
        "tokens": {"input_tokens": (usage.prompt + TEMPLATE_TOKENS) as f64, "output_tokens": usage.output as f64},
        "cached_tokens": usage.cached as f64
    })
}

fn finish(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::Stop => "COMPLETE",
        Finish::At(_) => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::Tools => "TOOL_CALL",
    }
}

fn id(call: &Answering<'_>) -> String {
    format!("co-{}", call.id)
}

fn call_id(name: &str, id: u64) -> String {
    format!("{name}_{id:012x}")
}

/// Embeddings of texts, in the first type that is asked for.
pub fn embeddings(call: &Answering<'_>, body: &Value) -> Result<(Vec<u8>, Usage), ask::Wrong> {
    body["model"].as_str().ok_or(("model", "a model parameter is required for this endpoint.".to_owned()))?;
    body["input_type"]
        .as_str()
        .ok_or(("input_type", "valid input_type must be provided with the provided model".to_owned()))?;
    let texts = ask::array(&body["texts"]);
    let (images, inputs) = (ask::array(&body["images"]), ask::array(&body["inputs"]));
    if texts.is_empty() && images.is_empty() && inputs.is_empty() {
        return Err(("texts", "invalid request: one of texts, images or inputs must be given".to_owned()));
    }
    let wanted = body["output_dimension"].as_u64().and_then(|wanted| usize::try_from(wanted).ok());
    let dimensions = wanted.unwrap_or(call.script.embedding_dimensions).clamp(1, 8_192);
    let vectors: Vec<Vec<f32>> = texts
        .iter()
        .chain(images)
        .chain(inputs)
        .map(|input| openai::direction(call.seed, &input.to_string(), dimensions))
        .collect();
    let mut types: Vec<&str> = ask::array(&body["embedding_types"]).iter().filter_map(Value::as_str).collect();
    if types.is_empty() {
        types.push("float");
    }
    let mut embeddings = json!({});
    for kind in types {
        embeddings[kind] = match kind {
            "base64" => vectors.iter().map(|vector| openai::packed(vector)).collect(),
            _ => json!(vectors),
        };
    }
    let tokens: u64 = texts.iter().map(|text| ask::text_chars(text, &mut |_| ()).div_ceil(4).max(1)).sum();
    let usage = Usage { prompt: call.script.usage.prompt_tokens.unwrap_or(tokens), ..Usage::default() };
    let mut answer = json!({
        "id": id(call), "embeddings": embeddings, "texts": texts, "response_type": "embeddings_by_type",
        "meta": {"api_version": {"version": "2"}}
    });
    if let Some(usage) = call.reported(usage) {
        answer["meta"]["billed_units"] = match images.len() {
            0 => json!({"input_tokens": usage.prompt}),
            images => json!({"images": images}),
        };
    }
    Ok((answer.to_string().into_bytes(), usage))
}

/// How many documents one search unit covers.
const DOCUMENTS_PER_UNIT: usize = 100;

/// A ranking: a score made up for each document, the best first. In Cohere's own shape, or in the one that others share.
pub fn rerank(call: &Answering<'_>, body: &Value, common: bool) -> Result<(Vec<u8>, Usage), ask::Wrong> {
    let model = body["model"].as_str().ok_or(("model", "a model is needed".to_owned()))?;
    let query = body["query"].as_str().filter(|query| !query.trim().is_empty());
    let query = query.ok_or(("query", "invalid request: query must not be empty or be only whitespace".to_owned()))?;
    let documents = ask::array(&body["documents"]);
    if documents.is_empty() {
        return Err(("documents", "invalid request: list of documents must not be empty".to_owned()));
    }
    let mut results: Vec<(usize, f64)> = documents
        .iter()
        .enumerate()
        .map(|(index, document)| {
            let texts = [fingerprint(query.as_bytes()), fingerprint(document.to_string().as_bytes())];
            (index, (Chance::new(&[call.seed, texts[0], texts[1]]).unit() * 1e6).round() / 1e6)
        })
        .collect();
    results.sort_by(|one, other| other.1.total_cmp(&one.1));
    let most = body["top_n"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let with_documents = common && body["return_documents"] != false;
    let results: Value = results
        .into_iter()
        .take(most)
        .map(|(index, score)| {
            let mut result = json!({"index": index, "relevance_score": score});
            if with_documents {
                let text = documents[index].as_str().or(documents[index]["text"].as_str()).unwrap_or_default();
                result["document"] = json!({"text": text});
            }
            result
        })
        .collect();
    let chars: u64 = ask::text_chars(&body["documents"], &mut |_| ()) + query.chars().count() as u64;
    let usage = Usage { prompt: chars.div_ceil(4), ..Usage::default() };
    let mut answer = match common {
        true => json!({"model": model, "results": results}),
        false => json!({"id": id(call), "results": results, "meta": {"api_version": {"version": "2"}}}),
    };
    match call.reported(usage) {
        Some(usage) if common => answer["usage"] = json!({"total_tokens": usage.prompt}),
        Some(_) => {
            answer["meta"]["billed_units"] = json!({"search_units": documents.len().div_ceil(DOCUMENTS_PER_UNIT)});
        }
        None => {}
    }
    Ok((answer.to_string().into_bytes(), usage))
}

/// The list of models.
pub fn models(names: &[String]) -> Vec<u8> {
    let model = |name: &String| json!({"name": name, "endpoints": ["chat", "embed", "rerank"], "finetuned": false});
    json!({"models": names.iter().map(model).collect::<Value>()}).to_string().into_bytes()
}
