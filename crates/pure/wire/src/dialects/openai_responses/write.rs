//! Writes a responses request.

use domain::Fault;

use super::items;
use crate::canonical::json::{Object, object, short};
use crate::canonical::openai;
use crate::canonical::schema::can_be_strict;
use crate::canonical::{
    Content, Format, Losses, Placed, Reasoning, Request, Source, Target, ToolChoice, untranslatable,
};

pub(super) fn request(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    refuse_what_cannot_be_said(request)?;
    let mut out = Vec::new();
    object(&mut out, |body| {
        body.put("model", to.model);
        items::write_conversation(body, request, losses);
        tools(body, request, losses);
        let cap = request.max_output.as_ref().map(|cap| cap.value).or(to.insert_max_output);
        body.put_some("max_output_tokens", cap);
        sampling(body, request, losses);
        if let Some(format) = &request.format {
            write_format(body, format, losses);
        }
        if let Some(reasoning) = &request.reasoning {
            write_reasoning(body, reasoning, to, losses);
        }
        openai::write_user_and_tier(body, request, to, losses);
        // Left unsaid, OpenAI keeps the answer for thirty days; nobody who asked in another dialect asked for that.
        body.put("store", &false);
        if request.stream {
            body.put("stream", &true);
        }
    });
    Ok(out)
}

/// What would change the question if it were left out.
fn refuse_what_cannot_be_said(request: &Request<'_>) -> Result<(), Fault> {
    if let Some(n) = request.n.as_ref().filter(|n| n.value > 1) {
        return Err(untranslatable(format!("openai-responses answers with one choice; `n` is {}", n.value)));
    }
    if let Some(tool) = request.tools.iter().find(|tool| tool.built_in.is_some()) {
        let named =
            matches!(&request.tool_choice, Some(choice) if choice.value == ToolChoice::Named(tool.name.clone()));
        if named || request.tools.iter().all(|tool| tool.built_in.is_some()) {
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
                if let Content::Image(Source::File(_)) | Content::Document { source: Source::File(_), .. } =
                    &part.content
                {
                    let why = "is in another provider's file store; send the bytes instead";
                    return Err(untranslatable(format!("`{}` {why}", part.at)));
                }
            }
        }
    }
    Ok(())
}

fn tools(body: &mut Object<'_>, request: &Request<'_>, losses: &mut Losses) {
    let functions = request.functions(losses);
    if functions.is_empty() {
        return;
    }
    body.list("tools", |list| {
        for tool in functions {
            losses.cache(tool.cache.as_ref(), "the provider caches by itself, without marks");
            list.object(|item| {
                item.put("type", "function");
                item.put("name", &tool.name);
                item.put_some("description", tool.description.as_ref());
                match tool.schema.as_deref() {
                    Some(schema) => item.put("parameters", schema),
                    None => item.object("parameters", |schema| {
                        schema.put("type", "object");
                        schema.object("properties", |_| {});
                    }),
                }
                // Left unsaid, arguments are held to the schema here, which refuses schemas that others take.
                item.put("strict", &tool.strict.unwrap_or(false));
            });
        }
    });
    match request.tool_choice.as_ref().map(|choice| &choice.value) {
        Some(ToolChoice::Auto) => body.put("tool_choice", "auto"),
        Some(ToolChoice::Any) => body.put("tool_choice", "required"),
        Some(ToolChoice::None) => body.put("tool_choice", "none"),
        Some(ToolChoice::Named(name)) => body.object("tool_choice", |choice| {
            choice.put("type", "function");
            choice.put("name", name);
        }),
        None => {}
    }
    body.put_some("parallel_tool_calls", request.parallel_tool_calls.as_ref().map(|parallel| parallel.value));
}

fn sampling(body: &mut Object<'_>, request: &Request<'_>, losses: &mut Losses) {
    body.put_some("temperature", request.temperature.as_ref().map(|number| number.value));
    body.put_some("top_p", request.top_p.as_ref().map(|number| number.value));
    for (name, number) in [
        ("top_k", &request.top_k),
        ("frequency_penalty", &request.frequency_penalty),
        ("presence_penalty", &request.presence_penalty),
        ("logit_bias", &request.logit_bias),
        ("seed", &request.seed),
    ] {
        if let Some(number) = number {
            losses.dropped(&number.at, format!("openai-responses has no `{name}`"));
        }
    }
    for number in [&request.logprobs, &request.top_logprobs].into_iter().flatten() {
        losses.dropped(&number.at, "token probabilities have no place in a translated answer");
    }
    if let Some(stop) = &request.stop {
        losses.dropped(&stop.at, "openai-responses has no stop texts; cut the answer yourself");
    }
}

fn write_format(body: &mut Object<'_>, format: &Placed<Format<'_>>, losses: &mut Losses) {
    body.object("text", |text| {
        text.object("format", |written| match &format.value {
            Format::JsonObject => written.put("type", "json_object"),
            Format::JsonSchema { name, description, schema, strict } => {
                let enforced = strict.as_ref().is_none_or(|strict| strict.value);
                let strict = enforced && can_be_strict(schema);
                if enforced && !strict {
                    let why = "the schema has optional or open properties, which openai-responses cannot enforce; it was sent as guidance";
                    losses.approximated(&format.at, why);
                }
                written.put("type", "json_schema");
                // The dialect requires a name.
                written.put("name", name.as_ref().map_or("answer", |name| &name.value));
                written.put_some("description", description.as_ref().map(|text| &text.value));
                written.put("schema", &**schema);
                written.put("strict", &strict);
            }
        });
    });
}

fn write_reasoning(body: &mut Object<'_>, reasoning: &Placed<Reasoning>, to: &Target<'_>, losses: &mut Losses) {
    let Some(effort) = openai::effort(reasoning, ("reasoning", "effort"), to, losses) else { return };
    body.object("reasoning", |written| written.put("effort", effort.as_str()));
}
