//! Reads a responses request.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::input;
use crate::canonical::json::{Fields, count, flag, is_number, is_object, list, says_nothing, short, text};
use crate::canonical::openai;
use crate::canonical::{
    Effort, Format, Losses, Placed, PlacedRaw, Reasoning, Request, Tool, ToolChoice, refused, untranslatable,
};

/// Fields of the dialect that other dialects have no counterpart for, and why.
const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("client_metadata", "what a client notes of itself has no counterpart elsewhere"),
    ("context_management", "compaction by the provider has no counterpart elsewhere; shorten the conversation"),
    ("include", "what is to be included of an answer exists only at its provider"),
    ("max_tool_calls", "the provider's own tools have no counterpart elsewhere"),
    ("metadata", "labels of the provider's store have no counterpart elsewhere"),
    ("moderation", "the provider's own moderation has no counterpart elsewhere"),
    ("prompt_cache_key", "caches are keyed by the provider elsewhere"),
    ("prompt_cache_options", "caches are kept by the provider elsewhere"),
    ("prompt_cache_retention", "the lifetime of cached prompts is said by cache_control elsewhere"),
    ("store", "the provider's store of answers has no counterpart elsewhere; nothing is kept"),
    ("top_logprobs", "token probabilities have no place in a translated answer"),
    ("truncation", "other providers refuse a prompt that is too long; shorten the conversation"),
];

/// Fields that mean something only at the provider that keeps what they name, and what to do instead.
const KEPT_BY_THE_PROVIDER: &[(&str, &str)] = &[
    ("previous_response_id", "send the earlier items in `input`"),
    ("conversation", "send the conversation in `input`"),
    ("prompt", "write the template's text in `instructions` and `input`"),
];

pub(super) fn request<'a>(body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "the body must be a JSON object"))?;
    fields.take("model");
    for (name, instead) in KEPT_BY_THE_PROVIDER {
        if fields.take(name).is_some_and(|value| !says_nothing(value)) {
            return Err(untranslatable(format!(
                "`{name}` names something that only the provider which keeps it has; {instead}, or name one model of an \
                 openai-responses provider"
            )));
        }
    }
    if fields.option("background", flag, "must be true or false")?.is_some_and(|background| background.value) {
        let why = "`background` exists only at an openai-responses provider; leave it out, or name a model there";
        return Err(untranslatable(why));
    }
    let mut request = Request {
        stream: fields.option("stream", flag, "must be true or false")?.is_some_and(|stream| stream.value),
        ..Request::default()
    };
    if let Some(mut options) = fields.take("stream_options").and_then(|o| Fields::read(o.get(), "/stream_options")) {
        if options.take("include_obfuscation").is_some_and(|wanted| wanted.get() == "true") {
            losses.dropped(options.at("include_obfuscation"), "translated streams are not padded");
        }
        options.finish(losses, &[]);
    }
    if let Some(instructions) = fields.take("instructions") {
        input::instructions(instructions, &mut request, losses)?;
    }
    let input = fields.take("input").ok_or_else(|| refused("/input", "must be a text or a list of items"))?;
    input::read(input, &mut request, losses)?;
    tools(&mut fields, &mut request, losses)?;
    request.max_output = fields.option("max_output_tokens", count, "must be a whole number")?;
    let mut number = |name: &str| -> Result<Option<PlacedRaw<'a>>, Fault> {
        fields.option(name, |value| is_number(value).then_some(value), "must be a number")
    };
    request.temperature = number("temperature")?;
    request.top_p = number("top_p")?;
    if let Some(settings) = fields.take("text") {
        request.format = text_settings(settings, losses)?;
    }
    if let Some(reasoning) = fields.take("reasoning") {
        request.reasoning = read_reasoning(reasoning, losses)?;
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
    // Not keeping an answer is what happens anyway, and refusing a prompt that is too long as well.
    for (name, usual) in [("store", "false"), ("truncation", "\"disabled\""), ("top_logprobs", "0")] {
        if fields.peek(name).is_some_and(|value| value.get() == usual) {
            fields.take(name);
        }
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(request)
}

fn tools<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    if let Some(tools) = fields.take("tools") {
        let tools = list(tools).ok_or_else(|| refused("/tools", "must be a list"))?;
        for (index, tool) in tools.into_iter().enumerate() {
            request.tools.push(read_tool(tool, format!("/tools/{index}"), losses)?);
        }
    }
    request.parallel_tool_calls = fields.option("parallel_tool_calls", flag, "must be true or false")?;
    if let Some(choice) = fields.take_placed("tool_choice") {
        let value = read_tool_choice(choice.value, losses)?;
        request.tool_choice = Some(Placed { at: choice.at, value });
    }
    Ok(())
}

fn read_tool<'a>(tool: &'a RawValue, at: String, losses: &mut Losses) -> Result<Tool<'a>, Fault> {
    let mut fields = Fields::read(tool.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let kind = fields.take_text("type").unwrap_or(Cow::Borrowed("function"));
    let name = fields.take_text("name");
    if kind != "function" {
        // A tool of the provider's, or one without a schema, is told as a whole by whoever has no place for it.
        let name = name.unwrap_or_else(|| kind.clone());
        return Ok(Tool { at, cache: None, name, description: None, schema: None, strict: None, built_in: Some(kind) });
    }
    let tool = Tool {
        cache: None,
        name: name.ok_or_else(|| refused(&fields.at("name"), "must be a text"))?,
        description: fields.take_text("description"),
        schema: fields.take("parameters").filter(|schema| is_object(schema)).map(Cow::Borrowed),
        strict: fields.take("strict").and_then(flag),
        built_in: None,
        at,
    };
    fields.finish(
        losses,
        &[
            ("output_schema", "what a tool gives is not described elsewhere"),
            ("allowed_callers", "tools are called by the model elsewhere"),
            ("defer_loading", "tools are all shown to the model elsewhere"),
        ],
    );
    Ok(tool)
}

fn read_tool_choice<'a>(choice: &'a RawValue, losses: &mut Losses) -> Result<ToolChoice<'a>, Fault> {
    const AT: &str = "/tool_choice";
    if let Some(word) = text(choice) {
        return match word.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Any),
            "none" => Ok(ToolChoice::None),
            _ => Err(refused(AT, "must be `auto`, `none`, `required` or a tool")),
        };
    }
    let mut fields = Fields::read(choice.get(), AT).ok_or_else(|| refused(AT, "must be a text or an object"))?;
    let kind = fields.take_text("type").ok_or_else(|| refused("/tool_choice/type", "must be a text"))?;
    if kind == "allowed_tools" {
        losses.approximated(AT, "every tool stays allowed; offer only those that may be called");
        let required = fields.take_text("mode").is_some_and(|mode| mode == "required");
        return Ok(if required { ToolChoice::Any } else { ToolChoice::Auto });
    }
    // A tool of the provider's is chosen by its kind, and stands under that name where it has no other.
    Ok(ToolChoice::Named(fields.take_text("name").unwrap_or(kind)))
}

/// `text`: the shape of the answer, and how wordy it is to be.
fn text_settings<'a>(settings: &'a RawValue, losses: &mut Losses) -> Result<Option<Placed<Format<'a>>>, Fault> {
    let mut settings = Fields::read(settings.get(), "/text").ok_or_else(|| refused("/text", "must be an object"))?;
    let format = settings.take_placed("format");
    if settings.peek("verbosity").and_then(text).is_some_and(|verbosity| verbosity == "medium") {
        settings.take("verbosity");
    }
    settings.finish(losses, &[("verbosity", "verbosity has no counterpart elsewhere; say it in the prompt")]);
    let Some(Placed { at, value: format }) = format else { return Ok(None) };
    let mut fields = Fields::read(format.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let value = match fields.take_text("type").as_deref() {
        Some("text") | None => None,
        Some("json_object") => Some(Format::JsonObject),
        Some("json_schema") => {
            let schema = fields.take("schema").filter(|schema| is_object(schema));
            let schema = schema.ok_or_else(|| refused(&fields.at("schema"), "must be an object"))?;
            let mut label = |name: &str| {
                let at = fields.at(name);
                fields.take_text(name).map(|value| Placed { at, value })
            };
            let (name, description) = (label("name"), label("description"));
            let strict = fields.option("strict", flag, "must be true or false")?;
            Some(Format::JsonSchema { name, description, schema: Cow::Borrowed(schema), strict })
        }
        Some(other) => {
            losses.dropped(fields.at("type"), format!("the format `{}` is not known to the translation", short(other)));
            return Ok(None);
        }
    };
    fields.finish(losses, &[]);
    Ok(value.map(|value| Placed { at, value }))
}

fn read_reasoning(reasoning: &RawValue, losses: &mut Losses) -> Result<Option<Placed<Reasoning>>, Fault> {
    const AT: &str = "/reasoning";
    let mut fields = Fields::read(reasoning.get(), AT).ok_or_else(|| refused(AT, "must be an object"))?;
    let at = fields.at("effort");
    let effort = fields.take_text("effort");
    let value = match effort.as_deref() {
        None => None,
        Some("none") => Some(Reasoning::Off),
        Some(name) => {
            let level = Effort::from_name(name).map(Reasoning::Effort);
            if level.is_none() {
                losses.dropped(&*at, "the level is not known to the translation");
            }
            level
        }
    };
    const SHOWN: &str = "whether thoughts are shown is the provider's choice elsewhere";
    fields.finish(losses, &[("summary", SHOWN), ("generate_summary", SHOWN)]);
    Ok(value.map(|value| Placed { at, value }))
}
