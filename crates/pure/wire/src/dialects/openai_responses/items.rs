//! Writes the conversation of a responses request: instructions apart, one item for each thing said.

use crate::canonical::json::{List, Object};
use crate::canonical::{Content, Losses, Message, Part, Request, Role, Source};

/// Why a mark goes no further.
const NO_MARKS: &str = "the provider caches by itself, without marks";

/// Writes `instructions` and `input`.
pub(super) fn write_conversation(body: &mut Object<'_>, request: &Request<'_>, losses: &mut Losses) {
    let instructions = texts(&request.system, losses).join("\n\n");
    let alone = request.messages.is_empty();
    if !instructions.is_empty() && !alone {
        body.put("instructions", &instructions);
    }
    body.list("input", |list| {
        // The dialect requires an item; instructions without a conversation are one.
        if alone {
            said(list, "system", &instructions);
        }
        for message in &request.messages {
            if let Some(name) = &message.name {
                losses.dropped(&name.at, "speakers have no names here; say who speaks in the text");
            }
            match message.role {
                Role::System => {
                    let texts = texts(&message.parts, losses);
                    said(list, "system", &texts.join("\n\n"));
                }
                Role::User => user(list, message, losses),
                Role::Assistant => assistant(list, message, losses),
            }
        }
    });
}

fn said(list: &mut List<'_>, role: &str, text: &str) {
    list.object(|item| {
        item.put("type", "message");
        item.put("role", role);
        item.put("content", text);
    });
}

fn texts<'p>(parts: &'p [Part<'_>], losses: &mut Losses) -> Vec<&'p str> {
    parts
        .iter()
        .filter_map(|part| {
            losses.cache(part.cache.as_ref(), NO_MARKS);
            losses.only_text(part)
        })
        .collect()
}

fn user(list: &mut List<'_>, message: &Message<'_>, losses: &mut Losses) {
    let (results, rest): (Vec<_>, Vec<_>) =
        message.parts.iter().partition(|part| matches!(part.content, Content::ToolResult { .. }));
    for part in results {
        let Content::ToolResult { id, parts, is_error } = &part.content else { continue };
        losses.cache(part.cache.as_ref(), NO_MARKS);
        if *is_error {
            losses.dropped(&part.at, "the dialect does not mark failed tools; the text stays");
        }
        list.object(|item| {
            item.put("type", "function_call_output");
            item.put("call_id", id);
            let parts: Vec<_> = parts.iter().collect();
            content(item, "output", &parts, losses);
        });
    }
    if rest.is_empty() && !message.parts.is_empty() {
        return;
    }
    list.object(|item| {
        item.put("type", "message");
        item.put("role", "user");
        content(item, "content", &rest, losses);
    });
}

/// Writes parts as a text where they are one, as a list where they are more.
fn content(item: &mut Object<'_>, name: &str, parts: &[&Part<'_>], losses: &mut Losses) {
    match parts {
        [] => item.put(name, ""),
        [one] if one.text().is_some() => {
            losses.cache(one.cache.as_ref(), NO_MARKS);
            item.put(name, one.text().unwrap_or_default());
        }
        parts => item.list(name, |list| parts.iter().for_each(|part| write_part(list, part, losses))),
    }
}

fn write_part(list: &mut List<'_>, part: &Part<'_>, losses: &mut Losses) {
    losses.cache(part.cache.as_ref(), NO_MARKS);
    match &part.content {
        Content::Image(source) if source.address().is_some() => list.object(|written| {
            written.put("type", "input_image");
            written.put("image_url", &source.address());
            written.put("detail", "auto");
        }),
        Content::Document { source: Source::Url(url), title } => {
            if title.is_some() {
                losses.dropped(&part.at, "a file at an address has no name beside it here");
            }
            list.object(|written| {
                written.put("type", "input_file");
                written.put("file_url", url);
            });
        }
        Content::Document { source, title } if source.address().is_some() => list.object(|written| {
            written.put("type", "input_file");
            // The dialect requires a name beside the bytes.
            written.put("filename", title.as_deref().unwrap_or("document.pdf"));
            written.put("file_data", &source.address());
        }),
        _ => {
            if let Some(text) = losses.only_text(part) {
                list.object(|written| {
                    written.put("type", "input_text");
                    written.put("text", text);
                });
            }
        }
    }
}

/// The model's turn: what it said between its calls, and the calls, in their order.
fn assistant(list: &mut List<'_>, message: &Message<'_>, losses: &mut Losses) {
    let mut texts = String::new();
    for part in &message.parts {
        losses.cache(part.cache.as_ref(), "an earlier answer has no marks here");
        let Content::ToolUse { id, name, arguments } = &part.content else {
            texts.push_str(losses.only_text(part).unwrap_or_default());
            continue;
        };
        if !texts.is_empty() {
            said(list, "assistant", &std::mem::take(&mut texts));
        }
        list.object(|item| {
            item.put("type", "function_call");
            item.put("call_id", id);
            item.put("name", name);
            item.put("arguments", if arguments.is_empty() { "{}" } else { arguments });
        });
    }
    if !texts.is_empty() {
        said(list, "assistant", &texts);
    }
}
