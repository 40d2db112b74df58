//! Google's embedContent and batchEmbedContents: one content, or a list of whole requests, each with its own settings.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::Gemini;
use super::fields::Either;
use super::parts::inline;
use crate::canonical::json::{Fields, Object, is_number, list, object, says_nothing, text};
use crate::canonical::vectors::{Input, Piece, Purpose, VectorAnswer, VectorRequest};
use crate::canonical::{Content, Cover, Losses, Placed, Source, malformed, refused, untranslatable};
use crate::dialects::Vectors;

/// Google's words for what vectors are for (`TaskType`).
const PURPOSES: [(&str, Purpose); 8] = [
    ("RETRIEVAL_QUERY", Purpose::Query),
    ("RETRIEVAL_DOCUMENT", Purpose::Document),
    ("SEMANTIC_SIMILARITY", Purpose::Similarity),
    ("CLASSIFICATION", Purpose::Classification),
    ("CLUSTERING", Purpose::Clustering),
    ("QUESTION_ANSWERING", Purpose::Question),
    ("FACT_VERIFICATION", Purpose::Fact),
    ("CODE_RETRIEVAL_QUERY", Purpose::Code),
];

impl Vectors for Gemini {
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<VectorRequest<'a>, Fault> {
        let mut outer = Either::read(body, "").ok_or_else(|| refused("", "must be an object"))?;
        let Some(requests) = outer.take("requests") else {
            let mut request = one(outer, losses)?;
            request.is_list = false;
            return Ok(request);
        };
        let items = list(requests.value).ok_or_else(|| refused(&requests.at, "must be a list"))?;
        let mut whole: Option<VectorRequest<'a>> = None;
        for (index, item) in items.into_iter().enumerate() {
            let at = format!("{}/{index}", requests.at);
            let request = one(Either::must(item, &at)?, losses)?;
            let Some(whole) = &mut whole else {
                whole = Some(request);
                continue;
            };
            let length = |request: &VectorRequest<'a>| request.dimensions.as_ref().map(|length| length.value.get());
            if whole.purpose.value != request.purpose.value || length(whole) != length(&request) {
                return Err(untranslatable(format!(
                    "`{at}` has another `taskType` or `outputDimensionality` than those before it; another dialect has \
                     one of each for all texts, so send them apart"
                )));
            }
            whole.inputs.extend(request.inputs);
        }
        outer.take("model");
        outer.finish(losses, &[]);
        whole.ok_or_else(|| refused(&requests.at, "must hold a request"))
    }

    fn write_request(&self, request: &VectorRequest<'_>, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
        if let Some(overlong) = &request.overlong {
            losses.dropped(&*overlong.at, "Google has no choice of what happens to longer texts");
        }
        let write = |body: &mut Object<'_>, input: &Input<'_>| {
            body.object("content", |content| {
                content.list("parts", |parts| {
                    input.pieces.iter().for_each(|piece| parts.object(|part| write_piece(part, piece)))
                });
            });
            let word = PURPOSES.iter().find(|(_, purpose)| Some(*purpose) == request.purpose.value);
            body.put_some("taskType", word.map(|(word, _)| word));
            body.put_some("title", input.title.as_ref().map(|title| &title.value));
            body.put_some("outputDimensionality", request.dimensions.as_ref().map(|length| length.value));
        };
        let mut out = Vec::new();
        object(&mut out, |body| match &request.inputs[..] {
            [input] => write(body, input),
            inputs => body.list("requests", |requests| {
                for input in inputs {
                    requests.object(|body| {
                        body.put("model", &format!("models/{model}"));
                        write(body, input);
                    });
                }
            }),
        });
        Ok(out)
    }

    fn read_answer<'a>(&self, body: &'a str) -> Result<Vec<&'a RawValue>, Fault> {
        let none = || malformed("the answer has no vectors");
        let values = |item: &'a RawValue| Fields::read(item.get(), "")?.take("values");
        let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no object"))?;
        if let Some(one) = fields.take("embedding") {
            return Ok(vec![values(one).ok_or_else(none)?]);
        }
        let several = fields.take("embeddings").and_then(list).ok_or_else(none)?;
        several.into_iter().map(|item| values(item).ok_or_else(none)).collect()
    }

    fn write_answer(&self, answer: &VectorAnswer<'_>, request: &VectorRequest<'_>, _cover: &Cover) -> Vec<u8> {
        let mut out = Vec::new();
        object(&mut out, |body| {
            match &answer.vectors[..] {
                [vector] if !request.is_list => body.object("embedding", |item| item.put("values", vector.json)),
                vectors => body.list("embeddings", |list| {
                    for vector in vectors {
                        list.object(|item| item.put("values", vector.json));
                    }
                }),
            }
            if let Some(usage) = &answer.usage {
                body.object("usageMetadata", |counts| {
                    counts.put("promptTokenCount", &usage.input_tokens());
                    counts.put("totalTokenCount", &usage.input_tokens());
                });
            }
        });
        out
    }

    fn asks_apart(&self, request: &VectorRequest<'_>) -> bool {
        request.inputs.len() > 1
    }
}

/// A request for one vector.
fn one<'a>(mut fields: Either<'a>, losses: &mut Losses) -> Result<VectorRequest<'a>, Fault> {
    let mut request = VectorRequest::new(&fields.at("taskType"));
    fields.take("model");
    let content = fields.take("content").ok_or_else(|| refused(&fields.at("content"), "is missing"))?;
    let mut input = pieces(Either::must(content.value, &content.at)?, losses)?;
    let mut title = None;
    // Newer models have the settings in an object of their own.
    let inner = fields.object("embedContentConfig")?;
    for mut fields in [Some(fields), inner].into_iter().flatten() {
        if let Some(task) = fields.option("taskType", text_of, "must be a text")? {
            let known = PURPOSES.iter().find(|(word, _)| *word == task.value);
            if known.is_none() && task.value != "TASK_TYPE_UNSPECIFIED" {
                losses.dropped(&*task.at, "the task type is not known to the translation");
            }
            request.purpose = Placed { at: task.at, value: known.map(|(_, purpose)| *purpose) };
        }
        title = fields.option("title", text_of, "must be a text")?.or(title);
        let length = fields.option("outputDimensionality", |v| is_number(v).then_some(v), "must be a number")?;
        request.dimensions = length.or(request.dimensions);
        fields.finish(losses, &[("autoTruncate", "what happens to longer texts cannot be said to the provider")]);
    }
    input.title = title;
    request.inputs.push(input);
    Ok(request)
}

/// A text or a picture, as a part.
fn write_piece(part: &mut Object<'_>, piece: &Piece<'_>) {
    match piece {
        Piece::Text(text) => part.put("text", text),
        Piece::Picture { media_type, data, .. } => part.object("inlineData", |blob| {
            blob.put("mimeType", media_type);
            blob.put("data", data);
        }),
    }
}

/// The texts and pictures of a content, of which nothing else can be told to another dialect.
fn pieces<'a>(mut content: Either<'a>, losses: &mut Losses) -> Result<Input<'a>, Fault> {
    content.take("role");
    let parts_at = content.at("parts");
    let mut pieces = Vec::new();
    for (at, part) in content.list("parts") {
        let mut part = Either::must(part, &at)?;
        let other = || {
            untranslatable(format!(
                "`{at}`: only vectors of texts and pictures are translated between dialects; name a gemini model"
            ))
        };
        pieces.extend(part.take_text("text").map(Piece::Text));
        if let Some(blob) = part.object("inlineData")? {
            match inline(blob, losses)? {
                Content::Image(Source::Base64 { media_type, data }) => {
                    pieces.push(Piece::Picture { at: at.clone(), media_type, data });
                }
                _ => return Err(other()),
            }
        }
        if part.members().any(|(_, value)| !says_nothing(value)) {
            return Err(other());
        }
    }
    content.finish(losses, &[]);
    if pieces.is_empty() {
        return Err(refused(&parts_at, "must hold a text or a picture"));
    }
    Ok(Input { at: parts_at, pieces, title: None })
}

fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    text(value)
}
