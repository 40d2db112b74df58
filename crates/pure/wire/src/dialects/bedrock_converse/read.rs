//! Reads a Converse request. The model, and whether the answer is streamed, stand in the address.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::blocks;
use crate::canonical::json::{Fields, count, flag, is_number, is_object, list, text};
use crate::canonical::{
    Effort, Format, Losses, Message, Placed, PlacedRaw, Reasoning, Request, Role, ServiceTier, Tool, ToolChoice,
    refused, untranslatable,
};

/// Fields of the dialect that other dialects have no counterpart for, and why.
const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("guardrailConfig", "guardrails exist only at their provider"),
    ("additionalModelResponseFieldPaths", "answers of other providers have no fields of their own"),
    ("requestMetadata", "labels of the provider's log have no counterpart elsewhere"),
    ("performanceConfig", "faster serving is asked for by service tier elsewhere"),
    ("projectIdentifier", "projects exist only at their provider"),
    ("modelId", "the model is named by the address"),
];

pub(super) fn request<'a>(body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "the body must be a JSON object"))?;
    let mut request = Request::default();
    if fields.take("promptVariables").is_some() {
        return Err(untranslatable(
            "a prompt of the provider's own store exists only there; send its messages instead",
        ));
    }
    if let Some(system) = fields.take("system") {
        request.system = blocks::read(system, "/system", losses)?;
    }
    let messages = fields.take("messages").and_then(list).ok_or_else(|| refused("/messages", "must be a list"))?;
    for (index, message) in messages.into_iter().enumerate() {
        request.messages.push(read_message(message, format!("/messages/{index}"), losses)?);
    }
    if let Some(mut config) = section(&mut fields, "inferenceConfig")? {
        request.max_output = config.option("maxTokens", count, "must be a whole number")?;
        request.temperature = number(&mut config, "temperature")?;
        request.top_p = number(&mut config, "topP")?;
        let texts = |value| list(value)?.into_iter().map(text).collect::<Option<Vec<_>>>();
        let stop = config.option("stopSequences", texts, "must be a list of texts")?;
        request.stop = stop.filter(|stop| !stop.value.is_empty());
        config.finish(losses, &[]);
    }
    if let Some(config) = section(&mut fields, "toolConfig")? {
        tools(config, &mut request, losses)?;
    }
    if let Some(more) = section(&mut fields, "additionalModelRequestFields")? {
        fields_of_models(more, &mut request, losses)?;
    }
    if let Some(config) = section(&mut fields, "outputConfig")? {
        output(config, &mut request, losses)?;
    }
    if let Some(mut tier) = section(&mut fields, "serviceTier")? {
        let at = tier.at("type");
        let value = match tier.take_text("type").as_deref() {
            Some("default") => Some(ServiceTier::Standard),
            Some("priority" | "reserved") => Some(ServiceTier::Priority),
            Some("flex") => Some(ServiceTier::Flex),
            _ => None,
        };
        match value {
            Some(value) => request.service_tier = Some(Placed { at, value }),
            None => losses.dropped(at, "the tier is not known to the translation"),
        }
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(request)
}

/// A member that is an object.
fn section<'a>(fields: &mut Fields<'a>, name: &str) -> Result<Option<Fields<'a>>, Fault> {
    let at = fields.at(name);
    let Some(value) = fields.take(name) else { return Ok(None) };
    Fields::read(value.get(), &*at).map(Some).ok_or_else(|| refused(&at, "must be an object"))
}

fn number<'a>(fields: &mut Fields<'a>, name: &str) -> Result<Option<PlacedRaw<'a>>, Fault> {
    fields.option(name, |value| is_number(value).then_some(value), "must be a number")
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
    let content = fields.take("content").ok_or_else(|| refused(&content_at, "must be a list of blocks"))?;
    let parts = blocks::read(content, &content_at, losses)?;
    fields.finish(losses, &[]);
    Ok(Message { at, role, name: None, parts })
}

fn tools<'a>(mut config: Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let at = config.at("tools");
    let tools = config.take("tools").and_then(list).ok_or_else(|| refused(&at, "must be a list"))?;
    for (index, tool) in tools.into_iter().enumerate() {
        let at = format!("{at}/{index}");
        if let Some(mark) = blocks::cache_point(tool, &at) {
            match request.tools.last_mut() {
                Some(last) if last.cache.is_none() => last.cache = Some(mark),
                _ => losses.dropped(at, "a cache point without a tool before it marks nothing"),
            }
            continue;
        }
        request.tools.push(read_tool(tool, at, losses)?);
    }
    if let Some(mut choice) = section(&mut config, "toolChoice")? {
        let at = "/toolConfig/toolChoice".to_owned();
        let value = if choice.take("any").is_some() {
            ToolChoice::Any
        } else if let Some(mut tool) = section(&mut choice, "tool")? {
            let name = tool.take_text("name");
            ToolChoice::Named(name.ok_or_else(|| refused(&tool.at("name"), "must be a text"))?)
        } else {
            choice.take("auto");
            ToolChoice::Auto
        };
        choice.finish(losses, &[]);
        request.tool_choice = Some(Placed { at, value });
    }
    config.finish(losses, &[]);
    Ok(())
}

fn read_tool<'a>(tool: &'a RawValue, at: String, losses: &mut Losses) -> Result<Tool<'a>, Fault> {
    let mut fields = Fields::read(tool.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    if let Some(mut system) = section(&mut fields, "systemTool")? {
        let name = system.take_text("name").unwrap_or_default();
        let built_in = Some(name.clone());
        return Ok(Tool { at, cache: None, name, description: None, schema: None, strict: None, built_in });
    }
    let mut spec = section(&mut fields, "toolSpec")?.ok_or_else(|| refused(&at, "must have a `toolSpec`"))?;
    let schema = section(&mut spec, "inputSchema")?.and_then(|mut schema| schema.take("json"));
    let tool = Tool {
        cache: None,
        name: spec.take_text("name").ok_or_else(|| refused(&spec.at("name"), "must be a text"))?,
        description: spec.take_text("description"),
        schema: schema.filter(|schema| is_object(schema)).map(Cow::Borrowed),
        strict: spec.take("strict").and_then(flag),
        built_in: None,
        at,
    };
    spec.finish(losses, &[]);
    fields.finish(losses, &[]);
    Ok(tool)
}

/// Fields that belong to the model rather than to the dialect: those of Claude, of Nova and of gpt-oss that say the same
/// elsewhere.
fn fields_of_models<'a>(mut more: Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    request.top_k = number(&mut more, "top_k")?;
    let at = more.at("thinking");
    if let Some(mut thinking) = section(&mut more, "thinking")? {
        let budget = thinking.option("budget_tokens", count, "must be a whole number")?;
        let value = match (thinking.take_text("type").as_deref(), budget) {
            (Some("disabled"), _) => Reasoning::Off,
            (_, Some(budget)) => Reasoning::Budget(budget.value),
            _ => Reasoning::Adaptive,
        };
        request.reasoning = Some(Placed { at, value });
    }
    let at = more.at("reasoning_effort");
    if let Some(word) = more.take_text("reasoning_effort") {
        effort(&word, at, request, losses);
    }
    let at = more.at("reasoningConfig");
    if let Some(mut config) = section(&mut more, "reasoningConfig")? {
        match (config.take_text("type").as_deref(), config.take_text("maxReasoningEffort")) {
            (Some("disabled"), _) => request.reasoning = Some(Placed { at, value: Reasoning::Off }),
            (_, Some(word)) => effort(&word, at, request, losses),
            _ => request.reasoning = Some(Placed { at, value: Reasoning::Adaptive }),
        }
    }
    more.finish(losses, &[("anthropic_beta", "beta features exist only at their provider")]);
    Ok(())
}

fn effort(word: &str, at: String, request: &mut Request<'_>, losses: &mut Losses) {
    match Effort::from_name(word) {
        Some(level) => request.reasoning = Some(Placed { at, value: Reasoning::Effort(level) }),
        None => losses.dropped(at, "the level is not known to the translation"),
    }
}

fn output<'a>(mut config: Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let at = config.at("effort");
    if let Some(word) = config.take_text("effort") {
        effort(&word, at, request, losses);
    }
    if let Some(mut format) = section(&mut config, "textFormat")? {
        format.take("type");
        let at = "/outputConfig/textFormat".to_owned();
        let structure = section(&mut format, "structure")?;
        let schema = structure.and_then(|mut structure| section(&mut structure, "jsonSchema").ok().flatten());
        let mut schema = schema.ok_or_else(|| refused(&at, "must have a `jsonSchema`"))?;
        let mut label = |name: &str| {
            let at = schema.at(name);
            schema.take_text(name).map(|value| Placed { at, value })
        };
        let (name, description) = (label("name"), label("description"));
        // The schema is JSON within a text.
        let json = schema.take("schema").and_then(text).and_then(|json| RawValue::from_string(json.into_owned()).ok());
        let json = json
            .filter(|json| is_object(json))
            .ok_or_else(|| refused(&schema.at("schema"), "must be JSON in a text"))?;
        let value = Format::JsonSchema { name, description, schema: Cow::Owned(json), strict: None };
        request.format = Some(Placed { at, value });
    }
    config.finish(losses, &[]);
    Ok(())
}
