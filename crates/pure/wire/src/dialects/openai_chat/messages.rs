//! Writes the messages of a chat completion request.

use std::borrow::Cow;

use crate::canonical::json::{List, Object};
use crate::canonical::{Content, Losses, Message, Part, PlacedRaw, Request, Role, Source, Target};
use crate::quirks::Prefill;

/// Writes the instructions and the conversation.
pub(super) fn write(list: &mut List<'_>, request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) {
    if !request.system.is_empty() {
        system(list, &request.system, to, losses);
    }
    for (index, message) in request.messages.iter().enumerate() {
        match message.role {
            Role::System => system(list, &message.parts, to, losses),
            Role::User => user(list, message, to, losses),
            Role::Assistant => {
                if index + 1 == request.messages.len() && !to.starts {
                    let why = "a started answer is not continued here; the model begins a new one";
                    losses.approximated(&message.at, why);
                }
                let starts = to.starts && index + 1 == request.messages.len();
                let says_so = starts && to.quirks.prefill == Prefill::PrefixField;
                assistant(list, message, says_so, to, losses);
            }
        }
    }
}

/// Writes a cache mark where the server understands it.
pub(super) fn cache_mark(item: &mut Object<'_>, mark: Option<&PlacedRaw<'_>>, to: &Target<'_>, losses: &mut Losses) {
    match mark {
        Some(mark) if to.quirks.cache_control => item.put("cache_control", mark.value),
        mark => losses.cache(mark, "the provider caches by itself, without marks"),
    }
}

/// Instructions: one text, since many servers' templates take nothing else; parts only where marks must stand on them.
fn system(list: &mut List<'_>, parts: &[Part<'_>], to: &Target<'_>, losses: &mut Losses) {
    list.object(|message| {
        message.put("role", "system");
        if to.quirks.cache_control && parts.iter().any(|part| part.cache.is_some()) {
            message.list("content", |list| parts.iter().for_each(|part| write_part(list, part, to, losses)));
            return;
        }
        for part in parts {
            losses.cache(part.cache.as_ref(), "the provider caches by itself, without marks");
        }
        let texts: Vec<_> = parts.iter().filter_map(|part| say(part, losses)).collect();
        message.put("content", &texts.join("\n\n"));
    });
}

/// The text of a part that can be nothing else here.
fn say<'p>(part: &'p Part<'_>, losses: &mut Losses) -> Option<&'p str> {
    match &part.content {
        Content::Text(text) => Some(text),
        Content::Refusal(text) => {
            losses.approximated(&part.at, "a refusal is put as text here");
            Some(text)
        }
        Content::Thinking { .. } | Content::RedactedThinking(_) => {
            losses.thinking(part);
            None
        }
        Content::Document { source: Source::Text(text), .. } => {
            losses.approximated(&part.at, "a plain text document is put as text");
            Some(text)
        }
        _ => {
            losses.dropped(&part.at, "only text can stand here");
            None
        }
    }
}

/// Results of tools as messages of their own, then the rest.
fn user(list: &mut List<'_>, message: &Message<'_>, to: &Target<'_>, losses: &mut Losses) {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in &message.parts {
        let Content::ToolResult { id, parts, is_error } = &part.content else { continue };
        if *is_error {
            losses.dropped(&part.at, "the dialect does not mark failed tools; the text stays");
        }
        let (mut texts, moved_before) = (Vec::new(), rest.len());
        for inside in parts {
            match &inside.content {
                Content::Image(_) => {}
                Content::Document { source, .. } if !matches!(source, Source::Text(_)) => {}
                _ => {
                    losses.cache(inside.cache.as_ref(), "the provider caches by itself, without marks");
                    texts.extend(say(inside, losses));
                    continue;
                }
            }
            losses.approximated(&inside.at, "a tool's result is text here; this follows in a message of the user");
            rest.push(inside);
        }
        if texts.is_empty() && rest.len() > moved_before {
            texts.push("The result follows in the next message of the user.");
        }
        list.object(|message| {
            message.put("role", "tool");
            message.put("tool_call_id", &tool_id(id, to));
            message.put("content", &texts.join("\n"));
            cache_mark(message, part.cache.as_ref(), to, losses);
        });
    }
    rest.extend(message.parts.iter().filter(|part| !matches!(part.content, Content::ToolResult { .. })));
    let only_results = rest.is_empty() && !message.parts.is_empty();
    if only_results {
        return;
    }
    list.object(|written| {
        written.put("role", "user");
        written.put_some("name", message.name.as_ref().map(|name| &name.value));
        match rest.as_slice() {
            [] => written.put("content", ""),
            [one] if one.text().is_some() && (one.cache.is_none() || !to.quirks.cache_control) => {
                losses.cache(one.cache.as_ref(), "the provider caches by itself, without marks");
                written.put("content", one.text().unwrap_or_default());
            }
            parts => {
                written.list("content", |list| parts.iter().for_each(|part| write_part(list, part, to, losses)));
            }
        }
    });
}

fn write_part(list: &mut List<'_>, part: &Part<'_>, to: &Target<'_>, losses: &mut Losses) {
    let url = match &part.content {
        Content::Image(source) | Content::Document { source, .. } => source.address(),
        _ => None,
    };
    match (&part.content, url) {
        (Content::Image(_), Some(url)) => list.object(|item| {
            item.put("type", "image_url");
            item.object("image_url", |image| image.put("url", &url));
            cache_mark(item, part.cache.as_ref(), to, losses);
        }),
        (Content::Document { title, .. }, Some(url)) => list.object(|item| {
            item.put("type", "file");
            item.object("file", |file| {
                // The dialect requires a name beside the bytes.
                file.put("filename", title.as_deref().unwrap_or("document.pdf"));
                file.put("file_data", &url);
            });
            cache_mark(item, part.cache.as_ref(), to, losses);
        }),
        _ => {
            if let Some(text) = say(part, losses) {
                list.object(|item| {
                    item.put("type", "text");
                    item.put("text", text);
                    cache_mark(item, part.cache.as_ref(), to, losses);
                });
            }
        }
    }
}

fn assistant(list: &mut List<'_>, message: &Message<'_>, starts: bool, to: &Target<'_>, losses: &mut Losses) {
    let (mut texts, mut refusals, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for part in &message.parts {
        match &part.content {
            Content::ToolUse { id, name, arguments } => calls.push((id, name, arguments)),
            Content::Refusal(text) => refusals.push(text.as_ref()),
            _ => texts.extend(say(part, losses)),
        }
        losses.cache(part.cache.as_ref(), "an earlier answer has no marks here");
    }
    if texts.is_empty() && refusals.is_empty() && calls.is_empty() {
        return;
    }
    list.object(|written| {
        written.put("role", "assistant");
        written.put_some("prefix", starts.then_some(true));
        written.put_some("name", message.name.as_ref().map(|name| &name.value));
        written.put("content", &(!texts.is_empty()).then(|| texts.concat()));
        written.put_some("refusal", (!refusals.is_empty()).then(|| refusals.concat()));
        if !calls.is_empty() {
            written.list("tool_calls", |list| {
                for (id, name, arguments) in &calls {
                    list.object(|call| {
                        call.put("id", &tool_id(id, to));
                        call.put("type", "function");
                        call.object("function", |function| {
                            function.put("name", name);
                            function.put("arguments", if arguments.is_empty() { "{}" } else { arguments });
                        });
                    });
                }
            });
        }
    });
}

/// The id of a call as the server takes it. The same id becomes the same one everywhere, so results find their calls.
fn tool_id<'i>(id: &'i str, to: &Target<'_>) -> Cow<'i, str> {
    let fits = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !to.quirks.nine_character_tool_ids || fits {
        return Cow::Borrowed(id);
    }
    // FNV-1a, 64 bits, written in base 36: nine digits hold 46 of them.
    let hash =
        id.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let digits = (0..9).scan(hash, |left, _| {
        let digit = u32::try_from(*left % 36).ok()?;
        *left /= 36;
        char::from_digit(digit, 36)
    });
    Cow::Owned(digits.collect())
}
