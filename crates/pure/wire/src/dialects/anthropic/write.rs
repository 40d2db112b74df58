//! Writes a messages request.

use domain::Fault;
use serde_json::value::RawValue;

use super::generations::Abilities;
use super::sampling::{self, Thinking};
use super::turns::{Conversation, plain_text};
use crate::canonical::json::{Fields, Object, flag, list, object, short, text};
use crate::canonical::{
    Content, Format, Losses, Placed, Request, ServiceTier, Source, Target, Tool, ToolChoice, untranslatable,
};

/// How deep a schema is followed.
const MAX_SCHEMA_DEPTH: u32 = 100;

pub(super) fn request(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    refuse_what_cannot_be_said(request)?;
    let abilities = Abilities::of(to.model);
    let conversation = Conversation::of(request, abilities.started_answers, to.maker, losses)?;
    let named_cap = request.max_output.as_ref().map(|cap| cap.value).or(to.insert_max_output);
    let cap = named_cap.unwrap_or(to.default_max_output);
    if named_cap.is_none() {
        losses.approximated("/max_tokens", format!("anthropic requires a cap; {cap} was sent"));
    }
    let (thinking, effort) = sampling::thinking(request, abilities, cap, losses);
    let format = request.format.as_ref().and_then(|format| schema_of(format, abilities, losses));

    let mut out = Vec::new();
    object(&mut out, |body| {
        body.put("model", to.model);
        body.put("max_tokens", &cap);
        conversation.write(body, losses);
        tools(body, request, abilities, losses);
        match thinking {
            Thinking::Unasked => {}
            Thinking::Adaptive => body.object("thinking", |thinking| thinking.put("type", "adaptive")),
            Thinking::Budget(tokens) => body.object("thinking", |thinking| {
                thinking.put("type", "enabled");
                thinking.put("budget_tokens", &tokens);
            }),
        }
        if effort.is_some() || format.is_some() {
            body.object("output_config", |config| {
                config.put_some("effort", effort);
                if let Some(schema) = &format {
                    config.object("format", |format| {
                        format.put("type", "json_schema");
                        format.put("schema", &**schema);
                    });
                }
            });
        }
        sampling::write(body, request, abilities, thinking != Thinking::Unasked, losses);
        body.put_some("stop_sequences", request.stop.as_ref().map(|stop| &stop.value));
        if let Some(user) = &request.user {
            body.object("metadata", |metadata| metadata.put("user_id", &user.value));
        }
        if let Some(tier) = &request.service_tier {
            write_tier(body, tier, losses);
        }
        if request.stream {
            body.put("stream", &true);
        }
    });
    Ok(out)
}

/// What would change the question if it were left out.
fn refuse_what_cannot_be_said(request: &Request<'_>) -> Result<(), Fault> {
    if let Some(n) = request.n.as_ref().filter(|n| n.value > 1) {
        return Err(untranslatable(format!("anthropic answers with one choice; `n` is {}", n.value)));
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
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        let why = match &part.content {
            Content::Image(Source::File(_)) | Content::Document { source: Source::File(_), .. } => {
                "is in another provider's file store; send the bytes instead"
            }
            Content::Document { source: Source::Base64 { media_type, data }, .. }
                if media_type != "application/pdf" && plain_text(media_type, data).is_none() =>
            {
                "is neither a PDF nor plain text, which is all that anthropic reads"
            }
            _ => continue,
        };
        return Err(untranslatable(format!("`{}` {why}", part.at)));
    }
    Ok(())
}

fn tools(body: &mut Object<'_>, request: &Request<'_>, abilities: Abilities, losses: &mut Losses) {
    let functions = request.functions(losses);
    if functions.is_empty() {
        return;
    }
    body.list("tools", |list| {
        for tool in functions {
            list.object(|item| write_tool(item, tool, abilities, losses));
        }
    });
    let single = request.parallel_tool_calls.as_ref().is_some_and(|parallel| !parallel.value);
    let choice = request.tool_choice.as_ref().map(|choice| &choice.value);
    if choice.is_none() && !single {
        return;
    }
    body.object("tool_choice", |written| {
        match choice.unwrap_or(&ToolChoice::Auto) {
            ToolChoice::Auto => written.put("type", "auto"),
            ToolChoice::Any => written.put("type", "any"),
            // Without calls there is nothing to be parallel.
            ToolChoice::None => return written.put("type", "none"),
            ToolChoice::Named(name) => {
                written.put("type", "tool");
                written.put("name", name);
            }
        }
        written.put_some("disable_parallel_tool_use", single.then_some(true));
    });
}

fn write_tool(item: &mut Object<'_>, tool: &Tool<'_>, abilities: Abilities, losses: &mut Losses) {
    item.put("name", &tool.name);
    item.put_some("description", tool.description.as_ref());
    let schema = tool.schema.as_deref();
    let closed = schema.map(closed);
    match (&closed, schema) {
        (Some(Closed::Made(schema)), _) if tool.strict == Some(true) && abilities.schemas => {
            item.put("input_schema", &**schema)
        }
        (_, Some(schema)) => item.put("input_schema", schema),
        (_, None) => item.object("input_schema", |schema| {
            schema.put("type", "object");
            schema.object("properties", |_| {});
        }),
    }
    if tool.strict == Some(true) {
        if abilities.schemas && !matches!(closed, Some(Closed::Never)) {
            item.put("strict", &true);
        } else {
            losses.approximated(&tool.at, "this model is not held to the schema; check the arguments");
        }
    }
    item.put_some("cache_control", tool.cache.as_ref().map(|mark| mark.value));
}

/// The schema that will be enforced, where one can be.
fn schema_of(format: &Placed<Format<'_>>, abilities: Abilities, losses: &mut Losses) -> Option<Box<RawValue>> {
    let Format::JsonSchema { name, description, schema, strict } = &format.value else {
        losses.dropped(&format.at, "anthropic has no mode for JSON without a schema; the prompt must ask for it");
        return None;
    };
    if !abilities.schemas {
        losses.dropped(&format.at, "this model knows no schemas; describe the shape in the prompt");
        return None;
    }
    for label in [name, description].into_iter().flatten() {
        losses.dropped(&label.at, "a schema has no label here; say it in the prompt");
    }
    if let Some(loose) = strict.as_ref().filter(|strict| !strict.value) {
        losses.approximated(&loose.at, "a schema is always enforced");
    }
    match closed(schema) {
        Closed::AsIs => Some((**schema).to_owned()),
        Closed::Made(closed) => {
            losses.approximated(
                &format.at,
                "anthropic takes closed objects only; `additionalProperties: false` was added",
            );
            Some(closed)
        }
        Closed::Never => {
            losses
                .dropped(&format.at, "anthropic takes closed objects only, and the schema leaves some open on purpose");
            None
        }
    }
}

/// A schema whose objects are all closed, as enforcing requires (Anthropic's structured outputs page, "JSON schema
/// limitations").
enum Closed {
    /// It is so already.
    AsIs,
    /// It is so after closing those that said nothing of it.
    Made(Box<RawValue>),
    /// It leaves an object open on purpose, or is too deep to tell.
    Never,
}

fn closed(schema: &RawValue) -> Closed {
    let (mut out, mut changed) = (Vec::new(), false);
    if !close(schema, 0, &mut out, &mut changed) {
        return Closed::Never;
    }
    if !changed {
        return Closed::AsIs;
    }
    let text = String::from_utf8(out).expect("raw JSON is text");
    RawValue::from_string(text).map_or(Closed::Never, Closed::Made)
}

/// Copies `schema` to `out` with its objects closed. False: one is open on purpose.
fn close(schema: &RawValue, depth: u32, out: &mut Vec<u8>, changed: &mut bool) -> bool {
    if depth > MAX_SCHEMA_DEPTH {
        return false;
    }
    if let Some(items) = list(schema) {
        out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            if !close(item, depth + 1, out, changed) {
                return false;
            }
        }
        out.push(b']');
        return true;
    }
    let Some(fields) = Fields::read(schema.get(), "") else {
        out.extend_from_slice(schema.get().as_bytes());
        return true;
    };
    let is_object = fields.peek("type").and_then(text).is_some_and(|kind| kind == "object");
    let open = fields.peek("additionalProperties");
    if is_object && open.is_some_and(|open| flag(open) != Some(false)) {
        return false;
    }
    let add = is_object && open.is_none();
    *changed |= add;
    let mut holds = true;
    object(out, |written| {
        for (name, value) in fields.members() {
            // What stands under these is data, not schema.
            if matches!(name, "enum" | "const" | "default" | "examples" | "required") {
                written.put(name, value);
            } else {
                written.raw(name, |out| holds = holds && close(value, depth + 1, out, changed));
            }
        }
        if add {
            written.put("additionalProperties", &false);
        }
    });
    holds
}

fn write_tier(body: &mut Object<'_>, tier: &Placed<ServiceTier>, losses: &mut Losses) {
    match tier.value {
        ServiceTier::Auto => body.put("service_tier", "auto"),
        ServiceTier::Standard => body.put("service_tier", "standard_only"),
        ServiceTier::Priority => {
            losses.approximated(&tier.at, "priority is used where the account has bought it");
            body.put("service_tier", "auto");
        }
        ServiceTier::Flex => losses.dropped(&tier.at, "anthropic has no cheaper, slower tier"),
    }
}
