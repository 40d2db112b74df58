//! What a request asks for, read from any dialect's JSON.

use serde_json::Value;

use crate::chance::fingerprint;

/// A request for an answer.
#[derive(Debug)]
pub struct Ask {
    /// The model it names.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream is to end with a usage chunk (OpenAI).
    pub include_usage: bool,
    /// Whether every chunk is to carry usage (servers such as vLLM).
    pub continuous_usage: bool,
    /// The stored answer it goes on from (OpenAI responses).
    pub previous: Option<String>,
    /// Its cap on the answer, tokens.
    pub max_output: Option<u64>,
    /// How many answers (OpenAI).
    pub choices: u32,
    /// Where the answer is to stop.
    pub stop: Vec<String>,
    /// Characters of text in it.
    pub prompt_chars: u64,
    /// Stands for its text; what is streamed and what is not are the same question.
    pub fingerprint: u64,
    /// The tools that may be called, in order.
    pub tools: Vec<Tool>,
    /// What it says about calling them.
    pub tool_choice: ToolChoice,
    /// Whether several may be called at once.
    pub parallel_tools: bool,
    /// Whether the last message is the user's, and no tool result.
    pub users_turn: bool,
    /// Whether its text says `call tool`.
    pub marked: bool,
    /// The schema the answer must fit; an empty one where any JSON object will do.
    pub schema: Option<Value>,
    /// Whether it wants thinking.
    pub thinking: bool,
    /// How many alternatives with log probabilities for each token; absent where none are wanted.
    pub logprobs: Option<u64>,
    /// Thinking blocks that came back: text and signature.
    pub thoughts: Vec<(String, String)>,
}

/// A tool that may be called.
#[derive(Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What its arguments must fit.
    pub schema: Value,
}

/// What a request says about calling tools.
#[derive(PartialEq, Eq, Debug)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// Not at all.
    None,
    /// At least one.
    Any,
    /// This one.
    This(String),
}

/// What is wrong with a request: the field and a sentence.
pub type Wrong = (&'static str, String);

/// Reads an OpenAI chat completion request.
pub fn openai(body: &Value) -> Result<Ask, Wrong> {
    let messages = messages(body)?;
    let mut ask = common(body, messages)?;
    ask.include_usage = at(body, &["stream_options", "include_usage"]).as_bool().unwrap_or(false);
    ask.continuous_usage = at(body, &["stream_options", "continuous_usage_stats"]).as_bool().unwrap_or(false);
    ask.max_output = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64());
    ask.choices = body["n"].as_u64().unwrap_or(1).clamp(1, 128) as u32;
    ask.stop = strings(&body["stop"]);
    for tool in array(&body["tools"]) {
        let function = &tool["function"];
        let name = function["name"].as_str().ok_or(("tools", "every tool needs function.name".to_owned()))?;
        ask.tools.push(Tool { name: name.to_owned(), schema: function["parameters"].clone() });
    }
    ask.tool_choice = match &body["tool_choice"] {
        Value::String(choice) if choice == "none" => ToolChoice::None,
        Value::String(choice) if choice == "required" => ToolChoice::Any,
        choice => match choice["function"]["name"].as_str() {
            Some(name) => ToolChoice::This(name.to_owned()),
            None => ToolChoice::Auto,
        },
    };
    ask.parallel_tools = body["parallel_tool_calls"].as_bool().unwrap_or(true);
    ask.users_turn = messages.last().is_some_and(|message| message["role"] == "user");
    ask.schema = match body["response_format"]["type"].as_str() {
        Some("json_schema") => Some(at(body, &["response_format", "json_schema", "schema"]).clone()),
        Some("json_object") => Some(serde_json::json!({"type": "object"})),
        _ => None,
    };
    ask.thinking = body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none");
    ask.logprobs = (body["logprobs"] == true).then(|| body["top_logprobs"].as_u64().unwrap_or(0));
    Ok(ask)
}

/// Reads an OpenAI responses request.
pub fn responses(body: &Value) -> Result<Ask, Wrong> {
    let alone = [Value::Null];
    let items: &[Value] = match &body["input"] {
        Value::String(_) => &alone,
        Value::Array(items) if !items.is_empty() => items,
        Value::Null => return Err(("input", "Missing required parameter: 'input'.".to_owned())),
        _ => return Err(("input", "'input' must be a text or a list of items.".to_owned())),
    };
    let mut ask = common(body, std::slice::from_ref(&body["input"]))?;
    ask.prompt_chars += text_chars(&body["instructions"], &mut |_| ());
    ask.max_output = body["max_output_tokens"].as_u64();
    ask.previous = body["previous_response_id"].as_str().map(str::to_owned);
    for tool in array(&body["tools"]).iter().filter(|tool| tool["type"] == "function") {
        let name = tool["name"].as_str().ok_or(("tools", "Missing required parameter: 'tools[0].name'.".to_owned()))?;
        ask.tools.push(Tool { name: name.to_owned(), schema: tool["parameters"].clone() });
    }
    ask.tool_choice = match &body["tool_choice"] {
        Value::String(choice) if choice == "none" => ToolChoice::None,
        Value::String(choice) if choice == "required" => ToolChoice::Any,
        choice => match (choice["type"].as_str(), choice["name"].as_str()) {
            (Some("function"), Some(name)) => ToolChoice::This(name.to_owned()),
            _ => ToolChoice::Auto,
        },
    };
    ask.parallel_tools = body["parallel_tool_calls"].as_bool().unwrap_or(true);
    ask.users_turn = items.last().is_some_and(|last| last.is_null() || last["role"] == "user");
    ask.schema = match at(body, &["text", "format", "type"]).as_str() {
        Some("json_schema") => Some(at(body, &["text", "format", "schema"]).clone()),
        Some("json_object") => Some(serde_json::json!({"type": "object"})),
        _ => None,
    };
    ask.thinking = at(body, &["reasoning", "effort"]).as_str().is_some_and(|effort| effort != "none");
    for item in items.iter().filter(|item| item["type"] == "reasoning") {
        let thought = at(&item["summary"][0], &["text"]).as_str().unwrap_or_default();
        if let Some(encrypted) = item["encrypted_content"].as_str() {
            ask.thoughts.push((thought.to_owned(), encrypted.to_owned()));
        }
    }
    Ok(ask)
}

/// Reads an Anthropic messages request; `counting` where only its tokens are to be counted.
pub fn anthropic(body: &Value, counting: bool) -> Result<Ask, Wrong> {
    let messages = messages(body)?;
    let mut ask = common(body, messages)?;
    ask.max_output = body["max_tokens"].as_u64();
    if ask.max_output.is_none() && !counting {
        return Err(("max_tokens", "max_tokens: Field required".to_owned()));
    }
    ask.stop = strings(&body["stop_sequences"]);
    for tool in array(&body["tools"]) {
        let name = tool["name"].as_str().ok_or(("tools", "tools: every tool needs a name".to_owned()))?;
        ask.tools.push(Tool { name: name.to_owned(), schema: tool["input_schema"].clone() });
    }
    let choice = &body["tool_choice"];
    ask.tool_choice = match (choice["type"].as_str(), choice["name"].as_str()) {
        (Some("tool"), Some(name)) => ToolChoice::This(name.to_owned()),
        (Some("any"), _) => ToolChoice::Any,
        (Some("none"), _) => ToolChoice::None,
        _ => ToolChoice::Auto,
    };
    ask.parallel_tools = choice["disable_parallel_tool_use"] != true;
    ask.users_turn = messages.last().is_some_and(|message| {
        let results = array(&message["content"]).iter().any(|block| block["type"] == "tool_result");
        message["role"] == "user" && !results
    });
    let formats = [at(body, &["output_config", "format"]), &body["output_format"]];
    ask.schema =
        formats.into_iter().find(|format| format["type"] == "json_schema").map(|format| format["schema"].clone());
    ask.thinking = matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive"));
    for block in messages.iter().flat_map(|message| array(&message["content"])) {
        if block["type"] == "thinking" {
            let field = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
            ask.thoughts.push((field("thinking"), field("signature")));
        }
    }
    Ok(ask)
}

/// Reads a Cohere chat request.
pub fn cohere(body: &Value) -> Result<Ask, Wrong> {
    let messages = messages(body)?;
    let mut ask = common(body, messages)?;
    let documents: u64 = array(&body["documents"]).iter().map(|document| text_chars(document, &mut |_| ())).sum();
    ask.prompt_chars += documents;
    ask.max_output = body["max_tokens"].as_u64();
    ask.stop = strings(&body["stop_sequences"]);
    if body["temperature"].as_f64().is_some_and(|temperature| temperature > 1.0) {
        let message = "invalid request: temperature must be between 0 and 1.0 inclusive.";
        return Err(("temperature", message.to_owned()));
    }
    for tool in array(&body["tools"]) {
        let function = &tool["function"];
        let name = function["name"].as_str().ok_or(("tools", "every tool needs function.name".to_owned()))?;
        ask.tools.push(Tool { name: name.to_owned(), schema: function["parameters"].clone() });
    }
    ask.tool_choice = match body["tool_choice"].as_str() {
        Some("REQUIRED") => ToolChoice::Any,
        Some("NONE") => ToolChoice::None,
        _ => ToolChoice::Auto,
    };
    ask.users_turn = messages.last().is_some_and(|message| message["role"] == "user");
    let format = &body["response_format"];
    if format["type"] == "json_object" {
        let schema = &format["json_schema"];
        ask.schema = Some(if schema.is_object() { schema.clone() } else { serde_json::json!({"type": "object"}) });
    }
    ask.thinking = body["thinking"]["type"] == "enabled";
    Ok(ask)
}

/// Characters of text in a value, the bytes of images and documents left out; an image counts as 340, 85 tokens.
pub fn text_chars(value: &Value, text: &mut impl FnMut(&str)) -> u64 {
    match value {
        Value::String(string) => {
            text(string);
            string.chars().count() as u64
        }
        Value::Array(items) => items.iter().map(|item| text_chars(item, text)).sum(),
        Value::Object(fields) => {
            let binary = |kind: &str| fields.get("type").is_some_and(|is| is == kind);
            // Bedrock names the kind by the member.
            let media = |name: &str| fields.get(name).is_some_and(|media| media.get("source").is_some());
            if media("image") || media("document") {
                return 340;
            }
            if binary("image")
                || binary("image_url")
                || binary("document")
                || binary("file")
                || binary("input_audio")
                || binary("input_image")
                || binary("input_file")
            {
                return 340;
            }
            let shown = |name: &str| {
                !matches!(
                    name,
                    "role"
                        | "type"
                        | "id"
                        | "call_id"
                        | "status"
                        | "tool_call_id"
                        | "tool_use_id"
                        | "toolUseId"
                        | "signature"
                        | "encrypted_content"
                        | "cache_control"
                        | "cachePoint"
                )
            };
            fields.iter().filter(|(name, _)| shown(name)).map(|(_, value)| text_chars(value, text)).sum()
        }
        _ => 0,
    }
}

/// What every dialect says in the same words.
pub fn common(body: &Value, messages: &[Value]) -> Result<Ask, Wrong> {
    let model = body["model"].as_str().ok_or(("model", "model: a name is needed".to_owned()))?;
    let (mut hash, mut marked) = (fingerprint(model.as_bytes()), false);
    let mut text = |text: &str| {
        hash = hash.rotate_left(5) ^ fingerprint(text.as_bytes());
        marked |= text.contains("call tool");
    };
    let mut prompt_chars = text_chars(&body["system"], &mut text);
    prompt_chars += messages.iter().map(|message| text_chars(message, &mut text)).sum::<u64>();
    prompt_chars += text_chars(&body["tools"], &mut |_| ());
    Ok(Ask { prompt_chars, fingerprint: hash, marked, ..blank(model, body["stream"] == true) })
}

/// A request that says nothing yet.
pub fn blank(model: &str, stream: bool) -> Ask {
    Ask {
        model: model.to_owned(),
        stream,
        include_usage: false,
        continuous_usage: false,
        previous: None,
        max_output: None,
        choices: 1,
        stop: Vec::new(),
        prompt_chars: 0,
        fingerprint: 0,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        parallel_tools: true,
        users_turn: true,
        marked: false,
        schema: None,
        thinking: false,
        logprobs: None,
        thoughts: Vec::new(),
    }
}

/// The messages of a request; at least one.
pub fn messages(body: &Value) -> Result<&[Value], Wrong> {
    match body["messages"].as_array() {
        Some(messages) if !messages.is_empty() => Ok(messages),
        Some(_) => Err(("messages", "messages: at least one message is needed".to_owned())),
        None => Err(("messages", "messages: Field required".to_owned())),
    }
}

fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| &value[*key])
}

/// A field that stands in either of two spellings.
pub fn either<'a>(value: &'a Value, camel: &str, snake: &str) -> &'a Value {
    match &value[camel] {
        Value::Null => &value[snake],
        found => found,
    }
}

/// The items of a list; none where it is none.
pub fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Texts: one, or a list of them.
pub fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        value => array(value).iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
    .into_iter()
    .filter(|stop: &String| !stop.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_dialects_say_the_same_question() {
        let openai = openai(&json!({
            "model": "m", "stream": true, "n": 2, "stop": "END", "max_completion_tokens": 9, "logprobs": true, "top_logprobs": 2,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Weather?"}, {"type": "image_url", "image_url": {"url": "data:x"}}]}],
            "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}}, "parallel_tool_calls": false
        })).unwrap();
        assert_eq!((openai.stream, openai.choices, openai.max_output, openai.logprobs), (true, 2, Some(9), Some(2)));
        assert_eq!((openai.stop.as_slice(), openai.parallel_tools), (&["END".to_owned()][..], false));
        assert_eq!(openai.tool_choice, ToolChoice::This("get_weather".into()));
        assert_eq!(openai.prompt_chars, 8 + 340 + "get_weather".len() as u64);

        let anthropic = anthropic(&json!({
            "model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "Terse.", "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12"}]}],
            "thinking": {"type": "enabled", "budget_tokens": 1024}
        }), false).unwrap();
        assert!(anthropic.thinking && !anthropic.users_turn);
        assert_eq!(anthropic.prompt_chars, 8);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(openai(&json!({"model": "m"})).unwrap_err().0, "messages");
        assert_eq!(openai(&json!({"messages": [{"role": "user", "content": "x"}]})).unwrap_err().0, "model");
        let no_cap = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(anthropic(&no_cap, false).unwrap_err().0, "max_tokens");
        assert!(anthropic(&no_cap, true).is_ok());
    }
}
