//! Reads a chat completion request.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::content;
use crate::canonical::json::{Fields, count, flag, is_number, is_object, list, short, text};
use crate::canonical::openai;
use crate::canonical::{
    Effort, Format, Losses, Placed, PlacedRaw, Reasoning, Request, Tool, ToolChoice, refused, untranslatable,
};

/// Fields of the dialect that other dialects have no counterpart for, and why.
const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("store", "the provider's store of answers has no counterpart elsewhere"),
    ("metadata", "labels of the provider's store have no counterpart elsewhere"),
    ("prediction", "predicted output has no counterpart elsewhere"),
    ("prompt_cache_key", "caches are keyed by the provider elsewhere"),
    ("prompt_cache_retention", "the lifetime of cached prompts is said by cache_control elsewhere"),
    ("verbosity", "verbosity has no counterpart elsewhere; say it in the prompt"),
    ("web_search_options", "the provider's own web search has no counterpart; offer a tool"),
    ("moderation", "the provider's own moderation has no counterpart elsewhere"),
];

pub(super) fn request<'a>(body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "the body must be a JSON object"))?;
    fields.take("model");
    let mut request = Request {
        stream: fields.option("stream", flag, "must be true or false")?.is_some_and(|stream| stream.value),
        ..Request::default()
    };
    // Usage is asked of the provider whatever the client wants; whether the client gets it is the reply's business.
    if let Some(options) =
        fields.take("stream_options").and_then(|options| Fields::read(options.get(), "/stream_options"))
    {
        stream_options(options, losses);
    }
    no_audio(&mut fields)?;

    let messages = fields.take("messages").and_then(list).ok_or_else(|| refused("/messages", "must be a list"))?;
    for (index, message) in messages.into_iter().enumerate() {
        content::message(message, format!("/messages/{index}"), &mut request, losses)?;
    }
    tools(&mut fields, &mut request, losses)?;
    limits(&mut fields, &mut request, losses)?;
    sampling(&mut fields, &mut request)?;
    if let Some(format) = fields.take("response_format") {
        request.format = read_format(format, losses)?;
    }
    if let Some(effort) = fields.take("reasoning_effort") {
        request.reasoning = read_effort(effort, losses);
    }
    for name in ["safety_identifier", "user"] {
        let at = fields.at(name);
        let Some(user) = fields.take_text(name).filter(|user| !user.is_empty()) else { continue };
        if let Some(other) = request.user.replace(Placed { at, value: user }) {
            losses.dropped(other.at, "one name of the user is carried over, and `user` is there too");
        }
    }
    if let Some(tier) = fields.take_text("service_tier") {
        request.service_tier = openai::tier(&tier, losses);
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(request)
}

fn stream_options(mut options: Fields<'_>, losses: &mut Losses) {
    options.take("include_usage");
    options.take("continuous_usage_stats");
    // Padding against the guessing of texts from the sizes of packets.
    if options.take("include_obfuscation").is_some_and(|wanted| wanted.get() == "true") {
        losses.dropped(options.at("include_obfuscation"), "translated streams are not padded");
    }
    options.finish(losses, &[]);
}

fn no_audio(fields: &mut Fields<'_>) -> Result<(), Fault> {
    let modalities = fields.take("modalities").and_then(list).unwrap_or_default();
    let speaks = modalities.into_iter().filter_map(text).any(|modality| modality == "audio");
    if speaks || fields.take("audio").is_some() {
        return Err(untranslatable("an answer in audio can only be asked of an OpenAI-compatible model"));
    }
    Ok(())
}

fn limits<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let older = fields.option("max_tokens", count, "must be a whole number")?;
    let newer = fields.option("max_completion_tokens", count, "must be a whole number")?;
    let differ = |older: &&Placed<u64>| newer.as_ref().is_some_and(|newer| newer.value != older.value);
    if let Some(older) = older.as_ref().filter(differ) {
        losses.dropped(&older.at, "`max_completion_tokens` is there too, and newer");
    }
    request.max_output = newer.or(older);
    request.n = fields.option("n", count, "must be a whole number")?;
    request.stop =
        fields.option("stop", texts, "must be a text or a list of texts")?.filter(|stop| !stop.value.is_empty());
    Ok(())
}

fn texts(value: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    match text(value) {
        Some(one) => Some(vec![one]),
        None => list(value)?.into_iter().map(text).collect(),
    }
}

fn sampling<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), Fault> {
    let mut number = |name: &str| -> Result<Option<PlacedRaw<'a>>, Fault> {
        fields.option(name, |value| is_number(value).then_some(value), "must be a number")
    };
    request.temperature = number("temperature")?;
    request.top_p = number("top_p")?;
    request.top_k = number("top_k")?;
    request.frequency_penalty = number("frequency_penalty")?;
    request.presence_penalty = number("presence_penalty")?;
    request.seed = number("seed")?;
    request.top_logprobs = number("top_logprobs")?;
    request.logit_bias = fields.option("logit_bias", |value| is_object(value).then_some(value), "must be an object")?;
    let logprobs = fields.option("logprobs", |value| flag(value).map(|_| value), "must be true or false")?;
    request.logprobs = logprobs.filter(|wanted| wanted.value.get() == "true");
    Ok(())
}

fn read_format<'a>(format: &'a RawValue, losses: &mut Losses) -> Result<Option<Placed<Format<'a>>>, Fault> {
    const AT: &str = "/response_format";
    let mut fields = Fields::read(format.get(), AT).ok_or_else(|| refused(AT, "must be an object"))?;
    let format = match fields.take_text("type").as_deref() {
        Some("text") | None => None,
        Some("json_object") => Some(Format::JsonObject),
        Some("json_schema") => {
            let inner =
                fields.take("json_schema").and_then(|inner| Fields::read(inner.get(), fields.at("json_schema")));
            let mut inner = inner.ok_or_else(|| refused("/response_format/json_schema", "must be an object"))?;
            let schema = inner.take("schema").filter(|schema| is_object(schema));
            let mut label = |name: &str| {
                let at = inner.at(name);
                inner.take_text(name).map(|value| Placed { at, value })
            };
            let (name, description) = (label("name"), label("description"));
            let strict = inner.option("strict", flag, "must be true or false")?;
            inner.finish(losses, &[]);
            // Without a schema any JSON will do.
            match schema {
                Some(schema) => Some(Format::JsonSchema { name, description, schema: Cow::Borrowed(schema), strict }),
                None => Some(Format::JsonObject),
            }
        }
        Some(other) => {
            losses.dropped(fields.at("type"), format!("the format `{}` is not known to the translation", short(other)));
            return Ok(None);
        }
    };
    fields.finish(losses, &[]);
    Ok(format.map(|value| Placed { at: AT.into(), value }))
}

fn read_effort(effort: &RawValue, losses: &mut Losses) -> Option<Placed<Reasoning>> {
    const AT: &str = "/reasoning_effort";
    let name = text(effort).unwrap_or_default();
    let value = match name.as_ref() {
        "none" => Some(Reasoning::Off),
        name => Effort::from_name(name).map(Reasoning::Effort),
    };
    if value.is_none() {
        losses.dropped(AT, "the level is not known to the translation");
    }
    value.map(|value| Placed { at: AT.into(), value })
}

/// `tools` and `tool_choice`, and the `functions` that came before them.
fn tools<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    if let Some(tools) = fields.take("tools") {
        let tools = list(tools).ok_or_else(|| refused("/tools", "must be a list"))?;
        for (index, tool) in tools.into_iter().enumerate() {
            request.tools.push(read_tool(tool, format!("/tools/{index}"), losses)?);
        }
    }
    if let Some(functions) = fields.take("functions") {
        let functions = list(functions).ok_or_else(|| refused("/functions", "must be a list"))?;
        for (index, function) in functions.into_iter().enumerate() {
            let at = format!("/functions/{index}");
            let function = Fields::read(function.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
            request.tools.push(read_function(function, at, losses)?);
        }
        if !request.tools.is_empty() {
            losses.approximated("/functions", "calls come back as `tool_calls`; offer `tools` instead");
        }
    }
    request.parallel_tool_calls = fields.option("parallel_tool_calls", flag, "must be true or false")?;
    for name in ["function_call", "tool_choice"] {
        if let Some(choice) = fields.take(name) {
            let at = fields.at(name);
            request.tool_choice = read_tool_choice(choice, &at, losses)?.map(|value| Placed { at, value });
        }
    }
    Ok(())
}

fn read_tool<'a>(tool: &'a RawValue, at: String, losses: &mut Losses) -> Result<Tool<'a>, Fault> {
    let mut fields = Fields::read(tool.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let kind = fields.take_text("type").unwrap_or(Cow::Borrowed("function"));
    // OpenRouter and other servers understand the mark beside the dialect.
    let cache = fields.take_placed("cache_control");
    let mut tool = if kind == "function" {
        let function = fields.take("function").and_then(|function| Fields::read(function.get(), fields.at("function")));
        let function = function.ok_or_else(|| refused(&fields.at("function"), "must be an object"))?;
        let tool = read_function(function, at, losses)?;
        fields.finish(losses, &[]);
        tool
    } else {
        // A tool of another kind is told as a whole by whoever has no place for it.
        let name = fields.take(&kind).and_then(|inner| Fields::read(inner.get(), "")?.take_text("name"));
        let name = name.unwrap_or_else(|| kind.clone());
        Tool { at, cache: None, name, description: None, schema: None, strict: None, built_in: Some(kind) }
    };
    tool.cache = cache;
    Ok(tool)
}

fn read_function<'a>(mut function: Fields<'a>, at: String, losses: &mut Losses) -> Result<Tool<'a>, Fault> {
    let name = function.take_text("name").ok_or_else(|| refused(&function.at("name"), "must be a text"))?;
    let tool = Tool {
        at,
        cache: None,
        name,
        description: function.take_text("description"),
        schema: function.take("parameters").filter(|schema| is_object(schema)).map(Cow::Borrowed),
        strict: function.take("strict").and_then(flag),
        built_in: None,
    };
    function.finish(losses, &[]);
    Ok(tool)
}

fn read_tool_choice<'a>(choice: &'a RawValue, at: &str, losses: &mut Losses) -> Result<Option<ToolChoice<'a>>, Fault> {
    if let Some(word) = text(choice) {
        return match word.as_ref() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "required" | "any" => Ok(Some(ToolChoice::Any)),
            "none" => Ok(Some(ToolChoice::None)),
            _ => Err(refused(at, "must be `auto`, `none`, `required` or a tool")),
        };
    }
    let mut fields = Fields::read(choice.get(), at).ok_or_else(|| refused(at, "must be a text or an object"))?;
    let kind = fields.take_text("type");
    if kind.as_deref() == Some("allowed_tools") {
        let allowed = fields.take("allowed_tools").and_then(|inner| Fields::read(inner.get(), at));
        let mode = allowed.and_then(|mut allowed| allowed.take_text("mode"));
        losses.approximated(at, "every tool stays allowed; offer only those that may be called");
        return Ok(Some(if mode.as_deref() == Some("required") { ToolChoice::Any } else { ToolChoice::Auto }));
    }
    // `{"type":"function","function":{"name":…}}`, and `{"name":…}` of the older field.
    let inner = fields.take(kind.as_deref().unwrap_or("function"));
    let name = match inner.and_then(|inner| Fields::read(inner.get(), at)) {
        Some(mut inner) => inner.take_text("name"),
        None => fields.take_text("name"),
    };
    name.map(|name| Some(ToolChoice::Named(name))).ok_or_else(|| refused(at, "must name a tool"))
}
