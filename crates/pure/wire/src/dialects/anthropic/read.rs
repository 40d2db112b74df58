//! Reads a messages request.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::blocks;
use crate::canonical::json::{Fields, count, flag, is_number, is_object, list, text};
use crate::canonical::{
    Effort, Format, Losses, Message, Placed, PlacedRaw, Reasoning, Request, Role, ServiceTier, Tool, ToolChoice,
    refused,
};

/// Fields of the dialect that other dialects have no counterpart for, and why.
const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("cache_control", "the provider caches by itself, without marks"),
    ("container", "containers for code exist only at their provider"),
    ("context_management", "clearing of context has no counterpart elsewhere; shorten the conversation"),
    ("inference_geo", "where it is served is the provider's; use the workflow's residency"),
    ("mcp_servers", "servers of tools are called by the provider; offer their tools as functions"),
    ("speed", "faster serving is asked for by service_tier elsewhere"),
];

pub(super) fn request<'a>(body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "the body must be a JSON object"))?;
    fields.take("model");
    let mut request = Request::default();
    let stream = fields.option("stream", flag, "must be true or false")?;
    request.stream = stream.is_some_and(|stream| stream.value);
    request.max_output = fields.option("max_tokens", count, "must be a whole number")?;
    if let Some(system) = fields.take("system") {
        request.system = blocks::read(system, "/system", losses)?;
    }
    let messages = fields.take("messages").and_then(list).ok_or_else(|| refused("/messages", "must be a list"))?;
    for (index, message) in messages.into_iter().enumerate() {
        request.messages.push(read_message(message, format!("/messages/{index}"), losses)?);
    }
    tools(&mut fields, &mut request, losses)?;
    let number = |fields: &mut Fields<'a>, name: &str| -> Result<Option<PlacedRaw<'a>>, Fault> {
        fields.option(name, |value| is_number(value).then_some(value), "must be a number")
    };
    request.temperature = number(&mut fields, "temperature")?;
    request.top_p = number(&mut fields, "top_p")?;
    request.top_k = number(&mut fields, "top_k")?;
    let texts = |value| list(value)?.into_iter().map(text).collect::<Option<Vec<_>>>();
    let stop = fields.option("stop_sequences", texts, "must be a list of texts")?;
    request.stop = stop.filter(|stop| !stop.value.is_empty());
    output(&mut fields, &mut request, losses)?;
    if let Some(metadata) = fields.take("metadata") {
        let mut metadata =
            Fields::read(metadata.get(), "/metadata").ok_or_else(|| refused("/metadata", "must be an object"))?;
        let at = metadata.at("user_id");
        request.user = metadata.take_text("user_id").map(|value| Placed { at, value });
        metadata.finish(losses, &[]);
    }
    let at = fields.at("service_tier");
    match fields.take_text("service_tier").as_deref() {
        Some("auto") => request.service_tier = Some(Placed { at, value: ServiceTier::Auto }),
        Some("standard_only") => request.service_tier = Some(Placed { at, value: ServiceTier::Standard }),
        Some(_) => losses.dropped(at, "the tier is not known to the translation"),
        None => {}
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(request)
}

fn read_message<'a>(message: &'a RawValue, at: String, losses: &mut Losses) -> Result<Message<'a>, Fault> {
    let mut fields = Fields::read(message.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let role = match fields.take_text("role").as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(refused(&fields.at("role"), "must be `user` or `assistant`")),
    };
    let content_at = fields.at("content");
    let parts = match fields.take("content") {
        Some(content) => blocks::read(content, &content_at, losses)?,
        None => return Err(refused(&content_at, "must be a text or a list of blocks")),
    };
    fields.finish(losses, &[]);
    Ok(Message { at, role, name: None, parts })
}

fn tools<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    if let Some(tools) = fields.take("tools") {
        let tools = list(tools).ok_or_else(|| refused("/tools", "must be a list"))?;
        for (index, tool) in tools.into_iter().enumerate() {
            request.tools.push(read_tool(tool, format!("/tools/{index}"), losses)?);
        }
    }
    let Some(choice) = fields.take("tool_choice") else { return Ok(()) };
    const AT: &str = "/tool_choice";
    let mut choice = Fields::read(choice.get(), AT).ok_or_else(|| refused(AT, "must be an object"))?;
    let value = match choice.take_text("type").as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Any,
        Some("none") => ToolChoice::None,
        Some("tool") => {
            ToolChoice::Named(choice.take_text("name").ok_or_else(|| refused("/tool_choice/name", "must be a text"))?)
        }
        _ => return Err(refused("/tool_choice/type", "must be one of auto, any, tool, none")),
    };
    let single = choice.option("disable_parallel_tool_use", flag, "must be true or false")?;
    request.parallel_tool_calls =
        single.filter(|single| single.value).map(|single| Placed { at: single.at, value: false });
    choice.finish(losses, &[]);
    request.tool_choice = Some(Placed { at: AT.into(), value });
    Ok(())
}

fn read_tool<'a>(tool: &'a RawValue, at: String, losses: &mut Losses) -> Result<Tool<'a>, Fault> {
    let mut fields = Fields::read(tool.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let name = fields.take_text("name");
    let kind = fields.take_text("type").filter(|kind| kind != "custom");
    if let Some(kind) = kind {
        // A tool of the provider's is told as a whole by whoever has no place for it.
        let name = name.unwrap_or_else(|| kind.clone());
        return Ok(Tool { at, cache: None, name, description: None, schema: None, strict: None, built_in: Some(kind) });
    }
    let tool = Tool {
        cache: fields.take_placed("cache_control"),
        name: name.ok_or_else(|| refused(&fields.at("name"), "must be a text"))?,
        description: fields.take_text("description"),
        schema: fields.take("input_schema").filter(|schema| is_object(schema)).map(Cow::Borrowed),
        strict: fields.take("strict").and_then(flag),
        built_in: None,
        at,
    };
    fields.finish(
        losses,
        &[
            ("eager_input_streaming", "how arguments are streamed is the provider's elsewhere"),
            ("input_examples", "examples of arguments have no place elsewhere; say them in the description"),
            ("defer_loading", "tools are all shown to the model elsewhere"),
        ],
    );
    Ok(tool)
}

/// `thinking`, `output_config`, and the `output_format` that came before it.
fn output<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    if let Some(thinking) = fields.take("thinking") {
        const AT: &str = "/thinking";
        let mut thinking = Fields::read(thinking.get(), AT).ok_or_else(|| refused(AT, "must be an object"))?;
        let value = match thinking.take_text("type").as_deref() {
            Some("disabled") => Reasoning::Off,
            Some("adaptive") => Reasoning::Adaptive,
            Some("enabled") => {
                let budget = thinking.option("budget_tokens", count, "must be a whole number")?;
                budget.map_or(Reasoning::Adaptive, |budget| Reasoning::Budget(budget.value))
            }
            _ => return Err(refused("/thinking/type", "must be one of enabled, adaptive, disabled")),
        };
        thinking.finish(losses, &[("display", "whether thoughts are shown is the provider's choice elsewhere")]);
        request.reasoning = Some(Placed { at: AT.into(), value });
    }
    let mut format = fields.take_placed("output_format");
    if let Some(config) = fields.take("output_config") {
        const AT: &str = "/output_config";
        let mut config = Fields::read(config.get(), AT).ok_or_else(|| refused(AT, "must be an object"))?;
        let at = config.at("effort");
        if let Some(word) = config.take_text("effort") {
            effort(&word, at, request, losses);
        }
        format = config.take_placed("format").or(format);
        config.finish(losses, &[("task_budget", "budgets for whole tasks have no counterpart elsewhere")]);
    }
    if let Some(format) = format {
        let mut inner =
            Fields::read(format.value.get(), &*format.at).ok_or_else(|| refused(&format.at, "must be an object"))?;
        let kind = inner.take_text("type");
        let schema = inner.take("schema").filter(|schema| is_object(schema));
        match (kind.as_deref(), schema) {
            (Some("json_schema"), Some(schema)) => {
                let schema = Cow::Borrowed(schema);
                let value = Format::JsonSchema { name: None, description: None, schema, strict: None };
                request.format = Some(Placed { at: format.at, value });
                inner.finish(losses, &[]);
            }
            _ => losses.dropped(&format.at, "the format is not known to the translation"),
        }
    }
    Ok(())
}

/// An effort says more than a budget, and nothing where there is to be no thinking.
fn effort(word: &str, at: String, request: &mut Request<'_>, losses: &mut Losses) {
    let Some(level) = Effort::from_name(word) else {
        return losses.dropped(at, "the level is not known to the translation");
    };
    match &request.reasoning {
        Some(thinking) if thinking.value == Reasoning::Off => {
            return losses.dropped(at, "effort without thinking has no counterpart elsewhere");
        }
        Some(Placed { at: budget_at, value: Reasoning::Budget(_) }) => {
            losses.approximated(budget_at, "the effort beside it is carried over, the budget is not");
        }
        _ => {}
    }
    request.reasoning = Some(Placed { at, value: Reasoning::Effort(level) });
}
