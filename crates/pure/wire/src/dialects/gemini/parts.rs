//! Reads the parts that contents, instructions and tools' answers are made of.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::fields::Either;
use crate::canonical::json::{Fields, is_object, text};
use crate::canonical::{Content, Losses, Part, Source, is_media_type, refused};

/// Why parts of this kind are left out of a history that crosses.
const OF_THE_PROVIDER: &str = "what the provider's own tools did is not shown to another";
/// Why a signature goes no further.
pub(crate) const SIGNATURE: &str = "a thought's signature is of use to its provider only";

/// Calls met so far: a result without an id belongs to the first call of its name that has none yet.
#[derive(Default)]
pub(super) struct Calls {
    met: Vec<Met>,
    /// Whether calls without an id get one.
    named: bool,
}

struct Met {
    id: String,
    name: String,
    answered: bool,
}

impl Calls {
    /// For a conversation, in which results refer to calls. In an answer a call without an id stays without: whoever writes
    /// it makes one that no other answer has.
    pub(super) fn of_a_conversation() -> Calls {
        Calls { named: true, ..Calls::default() }
    }

    /// The id of a call: its own, or one that is made, which no provider or client would think of.
    pub(super) fn call<'a>(&mut self, id: Option<Cow<'a, str>>, name: &str) -> Cow<'a, str> {
        let made = || if self.named { Cow::Owned(format!("call_fh_{}", self.met.len())) } else { Cow::Borrowed("") };
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(made);
        self.met.push(Met { id: id.to_string(), name: name.to_owned(), answered: false });
        id
    }

    /// The id of the call that a result answers.
    fn result<'a>(&mut self, id: Option<Cow<'a, str>>, name: &str) -> Cow<'a, str> {
        let id = id.filter(|id| !id.is_empty());
        let is_it = |met: &&mut Met| match &id {
            Some(id) => met.id == *id,
            None => met.name == name && !met.answered,
        };
        let met = self.met.iter_mut().find(is_it).map(|met| {
            met.answered = true;
            met.id.clone()
        });
        id.or(met.map(Cow::Owned)).unwrap_or_else(|| Cow::Owned(name.to_owned()))
    }
}

/// Reads one part that stands at `at`. Of a history, parts that no one else knows are left out and told.
pub(super) fn read<'a>(
    part: &'a RawValue,
    at: String,
    calls: &mut Calls,
    losses: &mut Losses,
) -> Result<Option<Part<'a>>, Fault> {
    let mut fields = Either::must(part, &at)?;
    let thought = fields.take("thought").is_some_and(|thought| thought.value.get() == "true");
    let signature_at = fields.at("thoughtSignature");
    let signature = fields.take_text("thoughtSignature").filter(|signature| !signature.is_empty());
    let signed = signature.is_some();
    let unsigned = |losses: &mut Losses| {
        if signed {
            losses.dropped(&*signature_at, SIGNATURE);
        }
    };
    let content = if let Some(said) = fields.take_text("text") {
        if thought {
            Some(Content::Thinking { text: said, signature })
        } else {
            unsigned(losses);
            Some(Content::Text(said))
        }
    } else if let Some(blob) = fields.object("inlineData")? {
        unsigned(losses);
        Some(inline(blob, losses)?)
    } else if let Some(file) = fields.object("fileData")? {
        unsigned(losses);
        Some(linked(file, losses)?)
    } else if let Some(mut call) = fields.object("functionCall")? {
        unsigned(losses);
        let id = call.take_text("id");
        let name = call.take_text("name").ok_or_else(|| refused(&call.at("name"), "must be a text"))?;
        let arguments = call.take("args").map(|args| args.value).filter(|args| is_object(args));
        let id = calls.call(id, &name);
        call.finish(losses, &[]);
        Some(Content::ToolUse { id, name, arguments: Cow::Borrowed(arguments.map_or("{}", RawValue::get)) })
    } else if let Some(result) = fields.object("functionResponse")? {
        unsigned(losses);
        Some(tool_result(result, calls, losses)?)
    } else {
        None
    };
    let Some(content) = content else {
        unsigned(losses);
        let own = ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];
        fields.finish(losses, &own.map(|name| (name, OF_THE_PROVIDER)));
        return Ok(None);
    };
    fields.finish(
        losses,
        &[
            ("videoMetadata", "which part of a video is meant has no place elsewhere"),
            ("mediaResolution", "the resolution of media is the provider's elsewhere"),
            ("partMetadata", "labels of parts have no place elsewhere"),
        ],
    );
    Ok(Some(Part::new(at, content)))
}

/// Bytes in the body: a picture, or anything else as a document.
pub(super) fn inline<'a>(mut blob: Either<'a>, losses: &mut Losses) -> Result<Content<'a>, Fault> {
    let (type_at, data_at) = (blob.at("mimeType"), blob.at("data"));
    let media_type = blob.take_text("mimeType").ok_or_else(|| refused(&type_at, "must be a text"))?;
    if !is_media_type(&media_type) {
        return Err(refused(&type_at, "must be a media type such as image/png"));
    }
    let data = standard_base64(blob.take_text("data").ok_or_else(|| refused(&data_at, "must be a text"))?);
    let title = blob.take_text("displayName");
    blob.finish(losses, &[]);
    let is_image = media_type.starts_with("image/");
    let source = Source::Base64 { media_type, data };
    Ok(if is_image { Content::Image(source) } else { Content::Document { source, title } })
}

/// Whether what lies at an address is in a store of Google's, to which another provider has no key: the Gemini API's files, or
/// a bucket.
pub(crate) fn is_kept_by_google(uri: &str) -> bool {
    let on_the_web = uri.starts_with("https://") || uri.starts_with("http://");
    !on_the_web || uri.contains("generativelanguage.googleapis.com/")
}

/// What lies at an address: Google's own stores are closed to others.
fn linked<'a>(mut file: Either<'a>, losses: &mut Losses) -> Result<Content<'a>, Fault> {
    let uri_at = file.at("fileUri");
    let uri = file.take_text("fileUri").ok_or_else(|| refused(&uri_at, "must be a text"))?;
    let is_image = file.take_text("mimeType").is_some_and(|kind| kind.starts_with("image/"));
    let title = file.take_text("displayName");
    file.finish(losses, &[]);
    let source = match !is_kept_by_google(&uri) {
        true => Source::Url(uri),
        false => Source::File(uri),
    };
    Ok(if is_image { Content::Image(source) } else { Content::Document { source, title } })
}

fn tool_result<'a>(mut result: Either<'a>, calls: &mut Calls, losses: &mut Losses) -> Result<Content<'a>, Fault> {
    let id = result.take_text("id");
    let name = result.take_text("name").ok_or_else(|| refused(&result.at("name"), "must be a text"))?;
    let id = calls.result(id, &name);
    let (mut parts, mut is_error) = (Vec::new(), false);
    if let Some(response) = result.take("response") {
        let (content, failed) = response_text(response.value);
        is_error = failed;
        parts.push(Part::new(response.at, Content::Text(content)));
    }
    for (at, part) in result.list("parts") {
        let mut fields = Either::must(part, &at)?;
        let content = match (fields.object("inlineData")?, fields.object("fileData")?) {
            (Some(blob), _) => inline(blob, losses)?,
            (None, Some(file)) => linked(file, losses)?,
            (None, None) => {
                losses.dropped(at, "a part of a tool's answer that is no media is not known to the translation");
                continue;
            }
        };
        fields.finish(losses, &[]);
        parts.push(Part::new(at, content));
    }
    result.finish(
        losses,
        &[
            ("willContinue", "an answer in several pieces has no counterpart elsewhere"),
            ("scheduling", "when an answer is heard has no counterpart elsewhere"),
        ],
    );
    Ok(Content::ToolResult { id, parts, is_error })
}

/// What a tool gave, as text, and whether it failed: Google's convention puts the one under `output`, the other under
/// `error`, and takes any other object for the output itself. Its SDK says `result`.
fn response_text(response: &RawValue) -> (Cow<'_, str>, bool) {
    let whole = Cow::Borrowed(response.get());
    let Some(fields) = Fields::read(response.get(), "") else {
        return (text(response).unwrap_or(whole), false);
    };
    let mut members = fields.members();
    match (members.next(), members.next()) {
        (Some(("error", value)), None) => (text(value).unwrap_or(Cow::Borrowed(value.get())), true),
        (Some(("output" | "result", value)), None) => match text(value) {
            Some(text) => (text, false),
            None => (whole, false),
        },
        _ => (whole, false),
    }
}

/// Base64 in the common alphabet. Google takes that of addresses too, and its SDK sends it.
fn standard_base64(data: Cow<'_, str>) -> Cow<'_, str> {
    let missing = (4 - data.len() % 4) % 4;
    if missing == 0 && !data.contains(['-', '_']) {
        return data;
    }
    let mut standard = data.replace('-', "+").replace('_', "/");
    standard.extend(std::iter::repeat_n('=', missing));
    Cow::Owned(standard)
}
