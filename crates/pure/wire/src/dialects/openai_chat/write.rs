//! Writes a chat completion request.

use domain::Fault;

use super::messages;
use crate::canonical::json::{Object, object, short};
use crate::canonical::openai;
use crate::canonical::schema::can_be_strict;
use crate::canonical::{
    Content, Format, Losses, Placed, PlacedRaw, Reasoning, Request, Source, Target, Tool, ToolChoice, untranslatable,
};
use crate::quirks::{Prefill, StreamUsage};

pub(super) fn request(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    refuse_what_cannot_be_said(request, to)?;
    let mut out = Vec::new();
    object(&mut out, |body| {
        body.put("model", to.model);
        body.list("messages", |list| messages::write(list, request, to, losses));
        tools(body, request, to, losses);
        let cap = request.max_output.as_ref().map(|cap| cap.value).or(to.insert_max_output);
        body.put_some(to.quirks.cap_field(), cap);
        sampling(body, request, to, losses);
        if let Some(format) = &request.format {
            write_format(body, format, to, losses);
        }
        if let Some(reasoning) = &request.reasoning {
            write_reasoning(body, reasoning, to, losses);
        }
        openai::write_user_and_tier(body, request, to, losses);
        if to.starts && to.quirks.prefill == Prefill::ContinueFinalMessage {
            body.put("continue_final_message", &true);
            body.put("add_generation_prompt", &false);
        }
        if request.stream {
            body.put("stream", &true);
            if to.quirks.stream_usage != StreamUsage::None {
                body.object("stream_options", |options| {
                    options.put("include_usage", &true);
                    if to.quirks.stream_usage == StreamUsage::Continuous {
                        options.put("continuous_usage_stats", &true);
                    }
                });
            }
        }
    });
    Ok(out)
}

/// What would change the question if it were left out.
fn refuse_what_cannot_be_said(request: &Request<'_>, to: &Target<'_>) -> Result<(), Fault> {
    if let Some(n) = request.n.as_ref().filter(|n| n.value > 1 && !to.quirks.n) {
        return Err(untranslatable(format!("{} answers with one choice; `n` is {}", to.quirks.name, n.value)));
    }
    let is_function = |tool: &&Tool<'_>| tool.built_in.is_none();
    if let Some(tool) = request.tools.iter().find(|tool| tool.built_in.is_some()) {
        let named =
            matches!(&request.tool_choice, Some(choice) if choice.value == ToolChoice::Named(tool.name.clone()));
        if named || !request.tools.iter().any(|tool| is_function(&tool)) {
            let kind = short(tool.built_in.as_deref().unwrap_or_default());
            return Err(untranslatable(format!(
                "the tool `{kind}` ({}) exists only at its provider; offer a function instead",
                tool.at
            )));
        }
    }
    for message in &request.messages {
        for part in &message.parts {
            let inside = match &part.content {
                Content::ToolResult { parts, .. } => parts.as_slice(),
                _ => std::slice::from_ref(part),
            };
            for part in inside {
                match &part.content {
                    Content::Image(Source::File(_)) | Content::Document { source: Source::File(_), .. } => {
                        let why = "is in another provider's file store; send the bytes instead";
                        return Err(untranslatable(format!("`{}` {why}", part.at)));
                    }
                    Content::Document { source: Source::Url(_), .. } => {
                        let why = "is a document at an address, which openai-chat cannot fetch; send the bytes instead";
                        return Err(untranslatable(format!("`{}` {why}", part.at)));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn tools(body: &mut Object<'_>, request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) {
    let functions = request.functions(losses);
    if functions.is_empty() {
        return;
    }
    body.list("tools", |list| {
        for tool in functions {
            list.object(|item| {
                item.put("type", "function");
                item.object("function", |function| {
                    function.put("name", &tool.name);
                    function.put_some("description", tool.description.as_ref());
                    function.put_some("parameters", tool.schema.as_deref());
                    function.put_some("strict", tool.strict.filter(|strict| *strict));
                });
                messages::cache_mark(item, tool.cache.as_ref(), to, losses);
            });
        }
    });
    match request.tool_choice.as_ref().map(|choice| &choice.value) {
        Some(ToolChoice::Auto) => body.put("tool_choice", "auto"),
        Some(ToolChoice::Any) => body.put("tool_choice", "required"),
        Some(ToolChoice::None) => body.put("tool_choice", "none"),
        Some(ToolChoice::Named(name)) => body.object("tool_choice", |choice| {
            choice.put("type", "function");
            choice.object("function", |function| function.put("name", name));
        }),
        None => {}
    }
    if let Some(parallel) = &request.parallel_tool_calls {
        if to.quirks.parallel_tool_calls {
            body.put("parallel_tool_calls", &parallel.value);
        } else if !parallel.value {
            losses.dropped(&parallel.at, openai::server_does_not_know("parallel_tool_calls", to));
        }
    }
}

fn sampling(body: &mut Object<'_>, request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) {
    let quirks = to.quirks;
    let mut number = |name: &str, value: &Option<PlacedRaw<'_>>, known: bool| match value {
        Some(number) if known => body.put(name, number.value),
        Some(number) => losses.dropped(&number.at, openai::server_does_not_know(name, to)),
        None => {}
    };
    number("temperature", &request.temperature, true);
    number("top_p", &request.top_p, true);
    number("top_k", &request.top_k, quirks.top_k);
    number("frequency_penalty", &request.frequency_penalty, true);
    number("presence_penalty", &request.presence_penalty, true);
    number("logit_bias", &request.logit_bias, true);
    number("seed", &request.seed, quirks.seed);
    number("logprobs", &request.logprobs, quirks.logprobs);
    number("top_logprobs", &request.top_logprobs, quirks.logprobs);
    body.put_some("n", request.n.as_ref().map(|n| n.value).filter(|n| *n > 1));
    if let Some(stop) = &request.stop {
        let taken = &stop.value[..stop.value.len().min(quirks.max_stop)];
        if taken.len() < stop.value.len() {
            let why = format!("{} takes {} stop texts; the first ones were sent", quirks.name, quirks.max_stop);
            losses.approximated(&stop.at, why);
        }
        body.put("stop", taken);
    }
}

fn write_format(body: &mut Object<'_>, format: &Placed<Format<'_>>, to: &Target<'_>, losses: &mut Losses) {
    match &format.value {
        Format::JsonSchema { name, description, schema, strict } if to.quirks.json_schema => {
            let enforced = strict.as_ref().is_none_or(|strict| strict.value);
            let strict = enforced && can_be_strict(schema);
            if enforced && !strict {
                let why = "the schema has optional or open properties, which openai-chat cannot enforce; it was sent as guidance";
                losses.approximated(&format.at, why);
            }
            body.object("response_format", |written| {
                written.put("type", "json_schema");
                written.object("json_schema", |inner| {
                    // The dialect requires a name.
                    inner.put("name", name.as_ref().map_or("answer", |name| &name.value));
                    inner.put_some("description", description.as_ref().map(|text| &text.value));
                    inner.put("schema", &**schema);
                    inner.put("strict", &strict);
                });
            });
        }
        other => {
            if matches!(other, Format::JsonSchema { .. }) {
                let why = format!("{} knows JSON but no schema; describe the shape in the prompt", to.quirks.name);
                losses.approximated(&format.at, why);
            }
            body.object("response_format", |written| written.put("type", "json_object"));
        }
    }
}

fn write_reasoning(body: &mut Object<'_>, reasoning: &Placed<Reasoning>, to: &Target<'_>, losses: &mut Losses) {
    let Some(effort) = openai::effort(reasoning, ("reasoning_effort", "reasoning_effort"), to, losses) else { return };
    body.put("reasoning_effort", effort.as_str());
}
