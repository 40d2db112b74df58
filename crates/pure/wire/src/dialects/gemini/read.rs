//! Reads a request.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::fields::{Either, texts};
use super::parts::{self, Calls};
use super::schema::json_schema;
use crate::canonical::json::{count, flag, is_number, is_object, member_pointer, text};
use crate::canonical::{
    Content, Effort, Format, Losses, Message, Part, Placed, PlacedRaw, Reasoning, Request, Role, ServiceTier, Tool,
    ToolChoice, refused, untranslatable,
};

/// Fields of the dialect that other dialects have no counterpart for, and why.
const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("safetySettings", "thresholds of safety exist only in this dialect"),
    ("labels", "labels of the provider's bill have no counterpart elsewhere"),
    ("modelArmorConfig", "the provider's own moderation has no counterpart elsewhere"),
    ("store", "the provider's store of answers has no counterpart elsewhere"),
];

/// Settings of the generation that other dialects have no counterpart for, and why.
const SETTINGS_WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("mediaResolution", "the resolution of media is the provider's elsewhere"),
    ("speechConfig", "voices have no counterpart elsewhere"),
    ("audioTimestamp", "time marks in audio have no counterpart elsewhere"),
    ("routingConfig", "which model answers is decided by the workflow"),
    ("modelSelectionConfig", "which model answers is decided by the workflow"),
    ("enableAffectiveDialog", "affective dialog has no counterpart elsewhere"),
];

pub(super) fn request<'a>(body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault> {
    let mut fields = Either::read(body, "").ok_or_else(|| refused("", "the body must be a JSON object"))?;
    fields.take("model");
    let mut request = Request::default();
    let mut calls = Calls::of_a_conversation();
    if let Some(cached) = fields.take("cachedContent").filter(|cached| cached.value.get() != "\"\"") {
        return Err(untranslatable(format!("`{}` lies in Google's store; send the content instead", cached.at)));
    }
    if let Some(system) = fields.take("systemInstruction") {
        request.system = match text(system.value) {
            Some(text) => vec![Part::new(system.at, Content::Text(text))],
            None => content(Either::must(system.value, &system.at)?, &mut calls, losses)?.parts,
        };
    }
    let contents_at = fields.at("contents");
    let contents = fields.list("contents");
    if contents.is_empty() {
        return Err(refused(&contents_at, "must be a list with something in it"));
    }
    for (at, item) in contents {
        let message = content(Either::must(item, &at)?, &mut calls, losses)?;
        request.messages.push(message);
    }
    tools(&mut fields, &mut request, losses)?;
    if let Some(config) = fields.object("generationConfig")? {
        generation(config, &mut request, losses)?;
    }
    let at = fields.at("serviceTier");
    if let Some(word) = fields.take_text("serviceTier") {
        request.service_tier = tier(&word, at, losses);
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(request)
}

/// One content: who speaks, and what.
fn content<'a>(mut fields: Either<'a>, calls: &mut Calls, losses: &mut Losses) -> Result<Message<'a>, Fault> {
    let at = fields.place().to_owned();
    let role = match fields.take_text("role").as_deref() {
        // `function` came before results were the user's.
        None | Some("" | "user" | "function" | "tool") => Role::User,
        Some("model") => Role::Assistant,
        Some("system") => Role::System,
        Some(_) => return Err(refused(&fields.at("role"), "must be `user` or `model`")),
    };
    let mut said = Vec::new();
    for (at, part) in fields.list("parts") {
        said.extend(parts::read(part, at, calls, losses)?);
    }
    fields.finish(losses, &[]);
    Ok(Message { at, role, name: None, parts: said })
}

fn tools<'a>(fields: &mut Either<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    for (at, tool) in fields.list("tools") {
        let mut tool = Either::must(tool, &at)?;
        for (at, function) in tool.list("functionDeclarations") {
            request.tools.push(function_of(Either::must(function, &at)?, at, losses)?);
        }
        // Whatever else is in it is a tool of the provider's, told as a whole by whoever has no place for it.
        for (name, _) in tool.members().filter(|(_, value)| value.get() != "null") {
            let (at, name) = (member_pointer(&at, name), name.to_owned());
            request.tools.push(Tool {
                at,
                cache: None,
                name: Cow::Owned(name.clone()),
                description: None,
                schema: None,
                strict: None,
                built_in: Some(Cow::Owned(name)),
            });
        }
    }
    let Some(mut config) = fields.object("toolConfig")? else { return Ok(()) };
    if let Some(mut calling) = config.object("functionCallingConfig")? {
        let at = calling.at("mode");
        let mode = calling.take_text("mode").map(|mode| mode.to_ascii_uppercase());
        let names = calling.option("allowedFunctionNames", texts, "must be a list of texts")?;
        let names = names.filter(|names| !names.value.is_empty());
        let value = match (mode.as_deref(), &names) {
            (Some("ANY"), Some(names)) if names.value.len() == 1 => Some(ToolChoice::Named(names.value[0].clone())),
            (Some("ANY"), _) => Some(ToolChoice::Any),
            (Some("NONE"), _) => Some(ToolChoice::None),
            (Some("VALIDATED"), _) => {
                losses.approximated(&*at, "calls are not held to their schemas unless the tool says so");
                Some(ToolChoice::Auto)
            }
            (Some("AUTO"), _) => Some(ToolChoice::Auto),
            (None | Some("MODE_UNSPECIFIED" | ""), _) => None,
            (Some(_), _) => return Err(refused(&at, "must be one of AUTO, ANY, NONE, VALIDATED")),
        };
        if let Some(names) = names.filter(|_| !matches!(value, Some(ToolChoice::Named(_)))) {
            losses.approximated(names.at, "every tool stays allowed; offer only those that may be called");
        }
        request.tool_choice = value.map(|value| Placed { at, value });
        calling.finish(losses, &[("streamFunctionCallArguments", "arguments are streamed as the provider likes")]);
    }
    config.finish(losses, &[("retrievalConfig", "where the user is has no place elsewhere; say it in the prompt")]);
    Ok(())
}

fn function_of<'a>(mut function: Either<'a>, at: String, losses: &mut Losses) -> Result<Tool<'a>, Fault> {
    let name = function.take_text("name").ok_or_else(|| refused(&function.at("name"), "must be a text"))?;
    let description = function.take_text("description");
    let googles = function.take("parameters").filter(|schema| is_object(schema.value));
    let schema = match function.take("parametersJsonSchema").filter(|schema| is_object(schema.value)) {
        Some(schema) => Some(Cow::Borrowed(schema.value)),
        None => googles.map(|schema| json_schema(schema.value)),
    };
    function.finish(
        losses,
        &[
            ("response", "what a function gives back has no place elsewhere; say it in the description"),
            ("responseJsonSchema", "what a function gives back has no place elsewhere; say it in the description"),
            ("behavior", "calls are always waited for elsewhere"),
        ],
    );
    Ok(Tool { at, cache: None, name, description, schema, strict: None, built_in: None })
}

fn generation<'a>(mut config: Either<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let spoken = config.option("responseModalities", texts, "must be a list of texts")?;
    if spoken.is_some_and(|modes| modes.value.iter().any(|mode| !mode.eq_ignore_ascii_case("text"))) {
        return Err(untranslatable("an answer in pictures or sound can only be asked of a gemini provider"));
    }
    request.max_output = config.option("maxOutputTokens", whole, "must be a whole number")?;
    let n = config.option("candidateCount", whole, "must be a whole number")?;
    if let Some(n) = n.filter(|n| n.value > 1) {
        return Err(untranslatable(format!("`{}` asks for several answers, and one is translated", n.at)));
    }
    let stop = config.option("stopSequences", texts, "must be a list of texts")?;
    request.stop = stop.filter(|stop| !stop.value.is_empty());
    let mut number = |name: &str| -> Result<Option<PlacedRaw<'a>>, Fault> {
        config.option(name, |value| is_number(value).then_some(value), "must be a number")
    };
    request.temperature = number("temperature")?;
    request.top_p = number("topP")?;
    request.top_k = number("topK")?.map(|placed| Placed { value: without_fraction(placed.value), ..placed });
    request.presence_penalty = number("presencePenalty")?;
    request.frequency_penalty = number("frequencyPenalty")?;
    request.seed = number("seed")?;
    request.top_logprobs = number("logprobs")?;
    let logprobs = config.option("responseLogprobs", |value| flag(value).map(|_| value), "must be true or false")?;
    request.logprobs = logprobs.filter(|wanted| wanted.value.get() == "true");
    format(&mut config, request, losses)?;
    if let Some(thinking) = config.object("thinkingConfig")? {
        reasoning(thinking, request, losses)?;
    }
    config.finish(losses, SETTINGS_WITHOUT_COUNTERPART);
    Ok(())
}

fn format<'a>(config: &mut Either<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let kind_at = config.at("responseMimeType");
    let kind = config.take_text("responseMimeType").filter(|kind| !kind.is_empty());
    let googles = config.take("responseSchema").filter(|schema| is_object(schema.value));
    let json = config.take("responseJsonSchema").filter(|schema| is_object(schema.value));
    let schema = match (json, googles) {
        (Some(schema), _) => Some((schema.at, Cow::Borrowed(schema.value))),
        (None, Some(schema)) => Some((schema.at, json_schema(schema.value))),
        (None, None) => None,
    };
    request.format = match (kind.as_deref(), schema) {
        (Some("text/plain"), None) | (None, None) => None,
        (Some("application/json"), None) => Some(Placed { at: kind_at, value: Format::JsonObject }),
        (kind, Some((at, schema))) => {
            if kind.is_some_and(|kind| kind != "application/json") {
                losses.approximated(kind_at, "an answer that follows a schema is JSON elsewhere");
            }
            Some(Placed { at, value: Format::JsonSchema { name: None, description: None, schema, strict: None } })
        }
        (Some(_), None) => {
            losses.dropped(kind_at, "the format is not known to the translation");
            None
        }
    };
    Ok(())
}

fn reasoning<'a>(mut thinking: Either<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let at = thinking.place().to_owned();
    let shown = thinking.option("includeThoughts", flag, "must be true or false")?;
    let level_at = thinking.at("thinkingLevel");
    let level = thinking.take_text("thinkingLevel").filter(|level| level != "THINKING_LEVEL_UNSPECIFIED");
    let budget = thinking.take("thinkingBudget");
    let value = match (&level, &budget) {
        (Some(word), _) => match Effort::from_name(&word.to_ascii_lowercase()) {
            Some(effort) => Some(Placed { at: level_at, value: Reasoning::Effort(effort) }),
            None => {
                losses.dropped(level_at, "the level is not known to the translation");
                None
            }
        },
        (None, Some(budget)) => {
            let value = match budget.value.get() {
                "-1" => Reasoning::Adaptive,
                _ => match whole(budget.value) {
                    Some(0) => Reasoning::Off,
                    Some(tokens) => Reasoning::Budget(tokens),
                    None => return Err(refused(&budget.at, "must be a whole number")),
                },
            };
            Some(Placed { at: budget.at.clone(), value })
        }
        // Thoughts that are to be shown have to be thought.
        (None, None) if shown.is_some_and(|shown| shown.value) => Some(Placed { at, value: Reasoning::Adaptive }),
        (None, None) => None,
    };
    if let (Some(_), Some(budget)) = (level, budget) {
        losses.dropped(budget.at, "the level beside it is carried over, the budget is not");
    }
    request.reasoning = value;
    thinking.finish(losses, &[]);
    Ok(())
}

fn tier(word: &str, at: String, losses: &mut Losses) -> Option<Placed<ServiceTier>> {
    let word = word.to_ascii_lowercase();
    let value = match word.strip_prefix("service_tier_").unwrap_or(&word) {
        "unspecified" => return None,
        "standard" => ServiceTier::Standard,
        "priority" => ServiceTier::Priority,
        "flex" => ServiceTier::Flex,
        _ => {
            losses.dropped(at, "the tier is not known to the translation");
            return None;
        }
    };
    Some(Placed { at, value })
}

/// A whole number; one of 64 bits may be written as a string.
fn whole(value: &RawValue) -> Option<u64> {
    count(value).or_else(|| text(value)?.parse().ok())
}

/// `40.0` as `40`: the SDK writes it so, and others take whole numbers only.
fn without_fraction(number: &RawValue) -> &RawValue {
    let whole = number.get().strip_suffix(".0").filter(|whole| whole.bytes().all(|byte| byte.is_ascii_digit()));
    whole.and_then(|whole| serde_json::from_str(whole).ok()).unwrap_or(number)
}
