//! Answers as Google's Gemini API reference writes them down: partial and whole answers, counts, vectors, models.

use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::{Ask, Tool, ToolChoice, Wrong, array, blank, either, strings, text_chars};
use crate::chance::fingerprint;
use crate::content::{Choice, Content, Finish, Usage, signature};
use crate::frames::{Frames, Writer};
use crate::openai::direction;

/// Reads a request whose path named `model` and, in `stream`, whether it streams. Both spellings of a field are taken, as
/// Google takes them.
pub fn ask(body: &Value, counting: bool) -> Result<Ask, Wrong> {
    let model = body["model"].as_str().unwrap_or_default();
    let inner = either(body, "generateContentRequest", "generate_content_request");
    let body = if counting && inner.is_object() { inner } else { body };
    let contents = array(&body["contents"]);
    if contents.is_empty() {
        return Err(("contents", "GenerateContentRequest.contents: contents is not specified".to_owned()));
    }
    let (mut hash, mut marked) = (fingerprint(model.as_bytes()), false);
    let mut text = |text: &str| {
        hash = hash.rotate_left(5) ^ fingerprint(text.as_bytes());
        marked |= text.contains("call tool");
    };
    let system = either(body, "systemInstruction", "system_instruction");
    let mut prompt_chars = parts_chars(system, &mut text);
    prompt_chars += contents.iter().map(|content| parts_chars(content, &mut text)).sum::<u64>();
    prompt_chars += text_chars(&body["tools"], &mut |_| ());
    let mut ask = Ask { prompt_chars, fingerprint: hash, marked, ..blank(model, body["stream"] == true) };
    let config = either(body, "generationConfig", "generation_config");
    ask.max_output = either(config, "maxOutputTokens", "max_output_tokens").as_u64();
    ask.choices = either(config, "candidateCount", "candidate_count").as_u64().unwrap_or(1).clamp(1, 8) as u32;
    ask.stop = strings(either(config, "stopSequences", "stop_sequences"));
    for tool in array(&body["tools"]) {
        for function in array(either(tool, "functionDeclarations", "function_declarations")) {
            let name = function["name"].as_str().ok_or(("tools", "every function needs a name".to_owned()))?;
            let schema = either(function, "parametersJsonSchema", "parameters_json_schema");
            let schema = if schema.is_object() { schema.clone() } else { json_schema(&function["parameters"]) };
            ask.tools.push(Tool { name: name.to_owned(), schema });
        }
    }
    let calling = either(body, "toolConfig", "tool_config");
    let calling = either(calling, "functionCallingConfig", "function_calling_config");
    let allowed = strings(either(calling, "allowedFunctionNames", "allowed_function_names"));
    ask.tool_choice = match (calling["mode"].as_str(), allowed.as_slice()) {
        (Some("ANY"), [one]) => ToolChoice::This(one.clone()),
        (Some("ANY"), _) => ToolChoice::Any,
        (Some("NONE"), _) => ToolChoice::None,
        _ => ToolChoice::Auto,
    };
    ask.users_turn = contents.last().is_some_and(|content| {
        let result = |part: &Value| either(part, "functionResponse", "function_response").is_object();
        content["role"] != "model" && !array(&content["parts"]).iter().any(result)
    });
    let schemas = [
        either(config, "responseJsonSchema", "response_json_schema").clone(),
        json_schema(either(config, "responseSchema", "response_schema")),
    ];
    let is_json = either(config, "responseMimeType", "response_mime_type") == "application/json";
    ask.schema = schemas.into_iter().find(Value::is_object).or(is_json.then(|| json!({"type": "object"})));
    let thinking = either(config, "thinkingConfig", "thinking_config");
    let budget = either(thinking, "thinkingBudget", "thinking_budget").as_i64();
    ask.thinking = thinking.is_object() && budget != Some(0);
    Ok(ask)
}

/// Characters of a content's parts; a picture or document counts as 340, as elsewhere.
fn parts_chars(content: &Value, text: &mut impl FnMut(&str)) -> u64 {
    let one = |part: &Value, text: &mut dyn FnMut(&str)| match part["text"].as_str() {
        Some(said) => {
            text(said);
            said.chars().count() as u64
        }
        None if either(part, "inlineData", "inline_data").is_object() => 340,
        None if either(part, "fileData", "file_data").is_object() => 340,
        None => text_chars(part, &mut |said| text(said)),
    };
    match &content["parts"] {
        Value::Array(parts) => parts.iter().map(|part| one(part, text)).sum(),
        Value::Object(_) => one(&content["parts"], text),
        _ => 0,
    }
}

/// Google's own form of a schema with its types in small letters, as far as an instance of it needs them.
fn json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("type", Some(kind)) => (name.clone(), json!(kind.to_ascii_lowercase())),
                _ => (name.clone(), json_schema(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(json_schema).collect(),
        other => other.clone(),
    }
}

/// An answer, whole or streamed.
pub fn answer(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    if ask.stream { stream(call, ask, content) } else { Frames::whole(whole(call, ask, content)) }
}

fn whole(call: &Answering<'_>, ask: &Ask, content: &Content) -> Vec<u8> {
    let candidates: Value = content
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let mut parts = Vec::new();
            if !choice.thinking.is_empty() {
                parts.push(json!({"text": choice.thinking.text, "thought": true}));
            }
            if !choice.text.is_empty() {
                parts.push(json!({"text": choice.text.text}));
            }
            parts.extend(choice.calls.iter().map(call_part));
            sign(call, choice, parts.last_mut());
            json!({"content": {"parts": parts, "role": "model"}, "finishReason": finish(choice), "index": index})
        })
        .collect();
    let mut body = json!({"candidates": candidates, "modelVersion": ask.model, "responseId": call.id});
    if let Some(usage) = call.reported(content.usage) {
        body["usageMetadata"] = usage_json(call, &usage, usage.output - usage.reasoning);
    }
    body.to_string().into_bytes()
}

fn stream(call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    let usage = call.reported(content.usage);
    let together = call.script.tokens_per_frame;
    let mut chunks = Chunks { writer: Writer::for_frames(content.usage.output + 4), call, ask, usage, told: 0 };
    chunks.writer.content_begins();
    for (index, choice) in content.choices.iter().enumerate() {
        for piece in choice.thinking.groups(together) {
            chunks.part(index, &json!({"text": piece, "thought": true}), None);
        }
        for piece in choice.text.groups(together) {
            chunks.told += u64::from(together);
            chunks.part(index, &json!({"text": piece}), None);
        }
        // A call comes whole, whatever its length.
        for tool in &choice.calls {
            let mut part = call_part(tool);
            sign(call, choice, Some(&mut part));
            chunks.part(index, &part, None);
        }
    }
    chunks.writer.closing_begins();
    for (index, choice) in content.choices.iter().enumerate() {
        let mut part = json!({"text": ""});
        if choice.calls.is_empty() {
            sign(call, choice, Some(&mut part));
        }
        chunks.told = usage.map_or(0, |usage| usage.output - usage.reasoning);
        chunks.part(index, &part, Some(finish(choice)));
    }
    chunks.writer.finish()
}

struct Chunks<'c> {
    writer: Writer,
    call: &'c Answering<'c>,
    ask: &'c Ask,
    usage: Option<Usage>,
    /// Tokens of the candidates so far.
    told: u64,
}

impl Chunks<'_> {
    fn part(&mut self, index: usize, part: &Value, finish: Option<&str>) {
        let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": index});
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        let mut chunk = json!({"candidates": [candidate], "modelVersion": self.ask.model, "responseId": self.call.id});
        if let Some(usage) = self.usage {
            chunk["usageMetadata"] = usage_json(self.call, &usage, self.told.min(usage.output - usage.reasoning));
        }
        self.writer.put("data: ");
        self.writer.json(&chunk);
        // Google ends its lines with CRLF.
        self.writer.end_frame_with("\r\n\r\n");
    }
}

fn call_part(tool: &crate::content::Call) -> Value {
    let args: Value = serde_json::from_str(&tool.arguments.text).unwrap_or_default();
    json!({"functionCall": {"name": tool.name, "args": args}})
}

/// A thought's signature comes on the part that follows it.
fn sign(call: &Answering<'_>, choice: &Choice, part: Option<&mut Value>) {
    if let (false, Some(part)) = (choice.thinking.is_empty(), part) {
        part["thoughtSignature"] = json!(signature(call.seed, &choice.thinking.text));
    }
}

fn usage_json(call: &Answering<'_>, usage: &Usage, candidates: u64) -> Value {
    let mut json = json!({
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": usage.prompt + candidates + usage.reasoning,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}]
    });
    if usage.cached > 0 {
        json["cachedContentTokenCount"] = json!(usage.cached);
        json["cacheTokensDetails"] = json!([{"modality": "TEXT", "tokenCount": usage.cached}]);
    }
    if usage.reasoning > 0 {
        json["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    if let Some(tier) = &call.script.usage.service_tier {
        json["serviceTier"] = json!(tier);
    }
    json
}

fn finish(choice: &Choice) -> &'static str {
    match &choice.finish {
        Finish::Length => "MAX_TOKENS",
        Finish::Stop | Finish::At(_) | Finish::Tools => "STOP",
    }
}

/// The count of a prompt's tokens.
pub fn count(usage: &Usage) -> Vec<u8> {
    json!({
        "totalTokens": usage.prompt,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}]
    })
    .to_string()
    .into_bytes()
}

/// Vectors, for one content or for a list of requests.
pub fn embeddings(call: &Answering<'_>, body: &Value) -> Result<(Vec<u8>, Usage), Wrong> {
    let mut tokens = 0;
    let mut vector = |request: &Value| {
        let content = &request["content"];
        if !content.is_object() {
            return Err(("content", "EmbedContentRequest.content: content is not specified".to_owned()));
        }
        tokens += parts_chars(content, &mut |_| ()).div_ceil(4).max(1);
        let wanted = either(request, "outputDimensionality", "output_dimensionality").as_u64();
        let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok());
        let dimensions = wanted.unwrap_or(call.script.embedding_dimensions).clamp(1, 8_192);
        Ok(json!({"values": direction(call.seed, &content.to_string(), dimensions)}))
    };
    let answer = match body["requests"].as_array() {
        Some(requests) => {
            let vectors = requests.iter().map(&mut vector).collect::<Result<Vec<_>, _>>()?;
            json!({"embeddings": vectors})
        }
        None => json!({"embedding": vector(body)?}),
    };
    let usage = Usage { prompt: call.script.usage.prompt_tokens.unwrap_or(tokens), ..Usage::default() };
    let mut answer = answer;
    if let Some(usage) = call.reported(usage) {
        answer["usageMetadata"] = json!({"promptTokenCount": usage.prompt, "totalTokenCount": usage.prompt});
    }
    Ok((answer.to_string().into_bytes(), usage))
}

/// The list of models.
pub fn models(names: &[String]) -> Vec<u8> {
    let model = |name: &String| json!({"name": format!("models/{name}"), "displayName": name, "supportedGenerationMethods": ["generateContent"]});
    json!({"models": names.iter().map(model).collect::<Value>()}).to_string().into_bytes()
}
