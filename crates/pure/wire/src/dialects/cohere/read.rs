//! Reads a chat request.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::messages;
use crate::canonical::json::{Fields, count, flag, is_number, is_object, list, short, text};
use crate::canonical::{
    Content, Format, Losses, Part, Placed, PlacedRaw, Reasoning, Request, Tool, ToolChoice, refused,
};

/// Fields of the dialect that other dialects have no counterpart for, and why.
const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("citation_options", "citations exist only in this dialect"),
    ("safety_mode", "safety modes exist only in this dialect; say it in the prompt"),
    ("priority", "the order in which requests are served is the provider's elsewhere"),
    ("raw_prompting", "prompts without a template exist only in this dialect"),
];

pub(super) fn request<'a>(body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "the body must be a JSON object"))?;
    fields.take("model");
    let mut request = Request::default();
    let stream = fields.option("stream", flag, "must be true or false")?;
    request.stream = stream.is_some_and(|stream| stream.value);
    request.max_output = fields.option("max_tokens", count, "must be a whole number")?;
    if let Some(documents) = fields.take("documents") {
        read_documents(documents, &mut request, losses)?;
    }
    let list_of = fields.take("messages").and_then(list).ok_or_else(|| refused("/messages", "must be a list"))?;
    for (index, message) in list_of.into_iter().enumerate() {
        messages::read(message, format!("/messages/{index}"), &mut request, losses)?;
    }
    tools(&mut fields, &mut request, losses)?;
    sampling(&mut fields, &mut request)?;
    let texts = |value| list(value)?.into_iter().map(text).collect::<Option<Vec<_>>>();
    let stop = fields.option("stop_sequences", texts, "must be a list of texts")?;
    request.stop = stop.filter(|stop| !stop.value.is_empty());
    if let Some(format) = fields.take("response_format") {
        request.format = read_format(format, losses)?;
    }
    if let Some(thinking) = fields.take("thinking") {
        request.reasoning = Some(read_thinking(thinking, losses)?);
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(request)
}

/// Documents the answer is to rest on. Elsewhere they are said before the conversation: left out, they would make another
/// question of it.
fn read_documents<'a>(documents: &'a RawValue, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let documents = list(documents).ok_or_else(|| refused("/documents", "must be a list"))?;
    if documents.is_empty() {
        return Ok(());
    }
    losses.approximated("/documents", "documents are said before the conversation, and nothing is cited");
    for (index, document) in documents.into_iter().enumerate() {
        let at = format!("/documents/{index}");
        let said = match text(document) {
            Some(text) => text,
            None => {
                let mut fields =
                    Fields::read(document.get(), &*at).ok_or_else(|| refused(&at, "must be a text or an object"))?;
                let id = fields.take_text("id");
                let data = fields.take("data").ok_or_else(|| refused(&fields.at("data"), "must be an object"))?;
                fields.finish(losses, &[]);
                match id {
                    Some(id) => Cow::Owned(format!("Document {id}: {}", data.get())),
                    None => Cow::Borrowed(data.get()),
                }
            }
        };
        request.system.push(Part::new(at, Content::Text(said)));
    }
    Ok(())
}

fn tools<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let strict = fields.option("strict_tools", flag, "must be true or false")?.map(|strict| strict.value);
    if let Some(tools) = fields.take("tools") {
        let tools = list(tools).ok_or_else(|| refused("/tools", "must be a list"))?;
        for (index, tool) in tools.into_iter().enumerate() {
            let at = format!("/tools/{index}");
            let mut tool = Fields::read(tool.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
            tool.take("type");
            let function = tool.take("function").and_then(|inner| Fields::read(inner.get(), tool.at("function")));
            let mut function = function.ok_or_else(|| refused(&tool.at("function"), "must be an object"))?;
            request.tools.push(Tool {
                at,
                cache: None,
                name: function.take_text("name").ok_or_else(|| refused(&function.at("name"), "must be a text"))?,
                description: function.take_text("description"),
                schema: function.take("parameters").filter(|schema| is_object(schema)).map(Cow::Borrowed),
                strict,
                built_in: None,
            });
            function.finish(losses, &[]);
            tool.finish(losses, &[]);
        }
    }
    let Some(choice) = fields.take("tool_choice") else { return Ok(()) };
    const AT: &str = "/tool_choice";
    let value = match text(choice).as_deref() {
        Some("REQUIRED") => ToolChoice::Any,
        Some("NONE") => ToolChoice::None,
        _ => return Err(refused(AT, "must be `REQUIRED` or `NONE`")),
    };
    request.tool_choice = Some(Placed { at: AT.into(), value });
    Ok(())
}

fn sampling<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), Fault> {
    let mut number = |name: &str| -> Result<Option<PlacedRaw<'a>>, Fault> {
        fields.option(name, |value| is_number(value).then_some(value), "must be a number")
    };
    request.temperature = number("temperature")?;
    request.top_p = number("p")?;
    // The dialect's default is zero, which turns it off.
    request.top_k = number("k")?.filter(|k| k.value.get() != "0");
    request.frequency_penalty = number("frequency_penalty")?;
    request.presence_penalty = number("presence_penalty")?;
    request.seed = number("seed")?;
    let logprobs = fields.option("logprobs", |value| flag(value).map(|_| value), "must be true or false")?;
    request.logprobs = logprobs.filter(|wanted| wanted.value.get() == "true");
    Ok(())
}

fn read_format<'a>(format: &'a RawValue, losses: &mut Losses) -> Result<Option<Placed<Format<'a>>>, Fault> {
    const AT: &str = "/response_format";
    let mut fields = Fields::read(format.get(), AT).ok_or_else(|| refused(AT, "must be an object"))?;
    let value = match fields.take_text("type").as_deref() {
        Some("text") | None => None,
        Some("json_object") => {
            // The field was once called `schema`.
            let schema =
                fields.take("json_schema").or_else(|| fields.take("schema")).filter(|schema| is_object(schema));
            Some(match schema {
                Some(schema) => {
                    let schema = Cow::Borrowed(schema);
                    Format::JsonSchema { name: None, description: None, schema, strict: None }
                }
                None => Format::JsonObject,
            })
        }
        Some(other) => {
            losses.dropped(fields.at("type"), format!("the format `{}` is not known to the translation", short(other)));
            return Ok(None);
        }
    };
    fields.finish(losses, &[]);
    Ok(value.map(|value| Placed { at: AT.into(), value }))
}

fn read_thinking(thinking: &RawValue, losses: &mut Losses) -> Result<Placed<Reasoning>, Fault> {
    const AT: &str = "/thinking";
    let mut fields = Fields::read(thinking.get(), AT).ok_or_else(|| refused(AT, "must be an object"))?;
    let budget = fields.option("token_budget", count, "must be a whole number")?;
    let value = match (fields.take_text("type").as_deref(), budget) {
        (Some("disabled"), _) => Reasoning::Off,
        (Some("enabled"), Some(budget)) => Reasoning::Budget(budget.value),
        (Some("enabled"), None) => Reasoning::Adaptive,
        _ => return Err(refused("/thinking/type", "must be `enabled` or `disabled`")),
    };
    fields.finish(losses, &[]);
    Ok(Placed { at: AT.into(), value })
}
