//! Writes a chat request.

use domain::Fault;

use super::messages;
use crate::canonical::json::{Object, object, short};
use crate::canonical::{
    Effort, Format, Losses, Placed, PlacedRaw, Reasoning, Request, ServiceTier, Target, ToolChoice, untranslatable,
};

/// Models that came before thinking, by how their ids begin (Cohere's models page). Newer ones take the parameter.
const WITHOUT_THINKING: &[&str] = &[
    "command-r",
    "command-light",
    "command-nightly",
    "command-a-03",
    "command-a-vision",
    "command-a-translate",
    "c4ai-",
];

/// How many stop texts are taken (Cohere's chat reference, `stop_sequences`).
const MAX_STOP: usize = 5;

pub(super) fn request(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    if let Some(n) = request.n.as_ref().filter(|n| n.value > 1) {
        return Err(untranslatable(format!("cohere answers with one choice; `n` is {}", n.value)));
    }
    refuse_tools_of_others(request)?;
    messages::refuse_what_cannot_be_said(request)?;
    let mut out = Vec::new();
    object(&mut out, |body| {
        body.put("model", to.model);
        body.list("messages", |list| messages::write(list, request, losses));
        let offers_tools = tools(body, request, losses);
        body.put_some("max_tokens", request.max_output.as_ref().map(|cap| cap.value).or(to.insert_max_output));
        sampling(body, request, losses);
        if let Some(format) = &request.format {
            write_format(body, format, offers_tools, losses);
        }
        if let Some(reasoning) = &request.reasoning {
            write_thinking(body, reasoning, to, losses);
        }
        if let Some(user) = &request.user {
            losses.dropped(&user.at, "cohere is not told who the user is");
        }
        if let Some(tier) = request.service_tier.as_ref() {
            // Where there is one tier, asking for the usual one loses nothing.
            if !matches!(tier.value, ServiceTier::Auto | ServiceTier::Standard) {
                losses.dropped(&tier.at, "cohere has one service tier");
            }
        }
        body.put("stream", &request.stream);
    });
    Ok(out)
}

fn refuse_tools_of_others(request: &Request<'_>) -> Result<(), Fault> {
    let Some(tool) = request.tools.iter().find(|tool| tool.built_in.is_some()) else { return Ok(()) };
    let named = matches!(&request.tool_choice, Some(choice) if choice.value == ToolChoice::Named(tool.name.clone()));
    if named || request.tools.iter().all(|tool| tool.built_in.is_some()) {
        let kind = short(tool.built_in.as_deref().unwrap_or_default());
        return Err(untranslatable(format!(
            "the tool `{kind}` ({}) exists only at its provider; offer a function instead",
            tool.at
        )));
    }
    Ok(())
}

/// Writes tools and choice. Whether any are offered.
fn tools(body: &mut Object<'_>, request: &Request<'_>, losses: &mut Losses) -> bool {
    let mut functions = request.functions(losses);
    let choice = request.tool_choice.as_ref();
    if functions.is_empty() {
        return false;
    }
    if let Some(Placed { at, value: ToolChoice::Named(name) }) = choice
        && functions.iter().any(|tool| tool.name == *name)
    {
        // The dialect names no tool; the one that is left must be called.
        if functions.len() > 1 {
            losses.approximated(at, "only the tool that must be called is offered");
        }
        functions.retain(|tool| tool.name == *name);
    }
    let strict = functions.iter().filter(|tool| tool.strict == Some(true)).count();
    if strict > 0 && strict < functions.len() {
        for tool in functions.iter().filter(|tool| tool.strict == Some(true)) {
            losses.approximated(&tool.at, "cohere holds all tools to their schemas or none; check the arguments");
        }
    }
    body.list("tools", |list| {
        for tool in &functions {
            losses.cache(tool.cache.as_ref(), "the provider caches by itself, without marks");
            list.object(|item| {
                item.put("type", "function");
                item.object("function", |function| {
                    function.put("name", &tool.name);
                    function.put_some("description", tool.description.as_ref());
                    match tool.schema.as_deref() {
                        Some(schema) => function.put("parameters", schema),
                        // The dialect requires one.
                        None => function.object("parameters", |schema| {
                            schema.put("type", "object");
                            schema.object("properties", |_| {});
                        }),
                    }
                });
            });
        }
    });
    if strict == functions.len() {
        body.put("strict_tools", &true);
    }
    match choice.map(|choice| &choice.value) {
        Some(ToolChoice::Any | ToolChoice::Named(_)) => body.put("tool_choice", "REQUIRED"),
        Some(ToolChoice::None) => body.put("tool_choice", "NONE"),
        Some(ToolChoice::Auto) | None => {}
    }
    if let Some(parallel) = request.parallel_tool_calls.as_ref().filter(|parallel| !parallel.value) {
        losses.dropped(&parallel.at, "cohere may call several tools at once");
    }
    true
}

fn sampling(body: &mut Object<'_>, request: &Request<'_>, losses: &mut Losses) {
    let value = |number: &PlacedRaw<'_>| number.value.get().parse::<f64>().unwrap_or(0.0);
    within(body, "temperature", request.temperature.as_ref(), 1.0, losses);
    if let Some(p) = request.top_p.as_ref().filter(|p| value(p) < 1.0) {
        body.put("p", p.value);
    }
    body.put_some("k", request.top_k.as_ref().map(|k| k.value));
    body.put_some("seed", request.seed.as_ref().map(|seed| seed.value));
    let frequency = request.frequency_penalty.as_ref().filter(|penalty| value(penalty) != 0.0);
    let presence = request.presence_penalty.as_ref().filter(|penalty| value(penalty) != 0.0);
    within(body, "frequency_penalty", frequency, 1.0, losses);
    match (frequency, presence) {
        (Some(_), Some(presence)) => losses.dropped(&presence.at, "cohere takes one penalty, not both"),
        (_, presence) => within(body, "presence_penalty", presence, 1.0, losses),
    }
    if let Some(stop) = &request.stop {
        let taken = &stop.value[..stop.value.len().min(MAX_STOP)];
        if taken.len() < stop.value.len() {
            losses.approximated(&stop.at, format!("cohere takes {MAX_STOP} stop texts; the first ones were sent"));
        }
        body.put("stop_sequences", taken);
    }
    for (name, number) in
        [("logit_bias", &request.logit_bias), ("logprobs", &request.logprobs), ("top_logprobs", &request.top_logprobs)]
    {
        if let Some(number) = number {
            losses.dropped(&number.at, format!("cohere's answers carry no `{name}` that could be handed on"));
        }
    }
}

/// Writes a number that the dialect takes from zero to `most`.
fn within(body: &mut Object<'_>, name: &str, number: Option<&PlacedRaw<'_>>, most: f64, losses: &mut Losses) {
    let Some(number) = number else { return };
    match number.value.get().parse::<f64>() {
        Ok(value) if value > most => {
            losses.approximated(&number.at, format!("sent as {most}, the highest `{name}` there is"));
            body.put(name, &most);
        }
        Ok(value) if value < 0.0 => losses.dropped(&number.at, format!("cohere takes no `{name}` below zero")),
        _ => body.put(name, number.value),
    }
}

fn write_format(body: &mut Object<'_>, format: &Placed<Format<'_>>, offers_tools: bool, losses: &mut Losses) {
    if offers_tools {
        losses.dropped(&format.at, "cohere holds an answer to a shape only where no tools are offered");
        return;
    }
    body.object("response_format", |written| {
        written.put("type", "json_object");
        let Format::JsonSchema { name, description, schema, strict } = &format.value else { return };
        for label in [name, description].into_iter().flatten() {
            losses.dropped(&label.at, "a schema has no label here; say it in the prompt");
        }
        if let Some(loose) = strict.as_ref().filter(|strict| !strict.value) {
            losses.approximated(&loose.at, "a schema is always enforced");
        }
        written.put("json_schema", &**schema);
    });
}

fn write_thinking(body: &mut Object<'_>, reasoning: &Placed<Reasoning>, to: &Target<'_>, losses: &mut Losses) {
    if WITHOUT_THINKING.iter().any(|name| to.model.starts_with(name)) || to.model == "command" {
        if reasoning.value != Reasoning::Off {
            losses.dropped(&reasoning.at, "this model does not think before it answers");
        }
        return;
    }
    let budget = match reasoning.value {
        Reasoning::Off => return body.object("thinking", |thinking| thinking.put("type", "disabled")),
        Reasoning::Adaptive => None,
        Reasoning::Budget(tokens) => Some(tokens.max(1)),
        Reasoning::Effort(effort) => {
            let tokens = budget(effort);
            losses.approximated(&reasoning.at, format!("sent as a thinking budget of {tokens} tokens"));
            Some(tokens)
        }
    };
    body.object("thinking", |thinking| {
        thinking.put("type", "enabled");
        thinking.put_some("token_budget", budget);
    });
}

/// Thinking budgets by level, tokens. Ours: the dialects publish no scale.
fn budget(effort: Effort) -> u64 {
    match effort {
        Effort::Minimal => 1_024,
        Effort::Low => 2_048,
        Effort::Medium => 8_192,
        Effort::High => 16_384,
        Effort::ExtraHigh | Effort::Max => 32_768,
    }
}
