//! OpenAI's embeddings: a text or a list of texts in, vectors with an index out.

use domain::Fault;
use serde_json::value::RawValue;

use super::OpenAiChat;
use crate::canonical::json::{Fields, count, is_number, list, object, text};
use crate::canonical::vectors::{Forms, Input, Purpose, VectorAnswer, VectorRequest};
use crate::canonical::{Cover, Losses, malformed, refused, untranslatable};
use crate::dialects::Vectors;

/// Words for what vectors are for. No part of OpenAI's own API; OpenRouter and others take `input_type` beside it.
const PURPOSES: [(&str, Purpose); 7] = [
    ("search_query", Purpose::Query),
    ("search_document", Purpose::Document),
    ("query", Purpose::Query),
    ("document", Purpose::Document),
    ("passage", Purpose::Document),
    ("classification", Purpose::Classification),
    ("clustering", Purpose::Clustering),
];

impl Vectors for OpenAiChat {
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<VectorRequest<'a>, Fault> {
        let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "must be an object"))?;
        let mut request = VectorRequest::new("/input_type");
        // "The input must not exceed the max input tokens for the model" (API reference, embeddings).
        request.refuses_overlong = true;
        fields.take("model");
        let input = fields.take_placed("input").ok_or_else(|| refused("/input", "is missing"))?;
        request.inputs = texts(input.value, &input.at)?;
        request.dimensions =
            fields.option("dimensions", |value| is_number(value).then_some(value), "must be a number")?;
        let form = fields.option("encoding_format", text, "must be a text")?;
        request.forms = match form.as_ref().map(|form| form.value.as_ref()) {
            None | Some("float") => Forms { float: true, base64: false },
            Some("base64") => Forms { float: false, base64: true },
            Some(_) => return Err(refused("/encoding_format", "must be `float` or `base64`")),
        };
        let word = fields.peek("input_type").and_then(text);
        if let Some((_, purpose)) = PURPOSES.iter().find(|(name, _)| Some(*name) == word.as_deref()) {
            fields.take("input_type");
            request.purpose.value = Some(*purpose);
        }
        fields.finish(losses, &[("user", "the provider is not told who asks")]);
        Ok(request)
    }

    fn write_request(&self, request: &VectorRequest<'_>, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
        if request.purpose.value.is_some() {
            losses.dropped(&*request.purpose.at, "OpenAI's dialect does not say what vectors are for");
        }
        if let Some(overlong) = &request.overlong {
            losses.dropped(&*overlong.at, "OpenAI's dialect has no choice of what happens to longer texts");
        }
        for title in request.inputs.iter().filter_map(|input| input.title.as_ref()) {
            losses.dropped(&*title.at, "OpenAI's dialect has no titles of texts");
        }
        let words = request.inputs.iter().map(|input| input.words("a provider of OpenAI's dialect", losses));
        let texts = words.collect::<Result<Vec<_>, _>>()?;
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("model", model);
            body.put("input", &texts);
            body.put_some("dimensions", request.dimensions.as_ref().map(|dimensions| dimensions.value));
        });
        Ok(out)
    }

    fn read_answer<'a>(&self, body: &'a str) -> Result<Vec<&'a RawValue>, Fault> {
        let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no object"))?;
        let data = fields.take("data").and_then(list).ok_or_else(|| malformed("the answer has no `data`"))?;
        let mut places: Vec<Option<&RawValue>> = vec![None; data.len()];
        for (position, item) in data.into_iter().enumerate() {
            let mut fields = Fields::read(item.get(), "").ok_or_else(|| malformed("an embedding is no object"))?;
            let vector = fields.take("embedding").ok_or_else(|| malformed("an embedding has no vector"))?;
            let index = match fields.take("index") {
                Some(index) => count(index).and_then(|index| usize::try_from(index).ok()),
                None => Some(position),
            };
            let place = index.and_then(|index| places.get_mut(index)).filter(|place| place.is_none());
            *place.ok_or_else(|| malformed("the indices of the embeddings are not those of the texts"))? = Some(vector);
        }
        Ok(places.into_iter().flatten().collect())
    }

    fn write_answer(&self, answer: &VectorAnswer<'_>, request: &VectorRequest<'_>, cover: &Cover) -> Vec<u8> {
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("object", "list");
            body.list("data", |data| {
                for (index, vector) in answer.vectors.iter().enumerate() {
                    data.object(|item| {
                        item.put("object", "embedding");
                        item.put("index", &index);
                        match (&vector.packed, request.forms.base64) {
                            (Some(packed), true) => item.put("embedding", packed),
                            _ => item.put("embedding", vector.json),
                        }
                    });
                }
            });
            body.put("model", &cover.model);
            if let Some(usage) = &answer.usage {
                let tokens = usage.input_tokens();
                body.object("usage", |counts| {
                    counts.put("prompt_tokens", &tokens);
                    counts.put("total_tokens", &tokens);
                });
            }
        });
        out
    }
}

/// A text, or a list of texts.
fn texts<'a>(value: &'a RawValue, at: &str) -> Result<Vec<Input<'a>>, Fault> {
    if let Some(text) = text(value) {
        return Ok(vec![Input::text(at, text)]);
    }
    let items = list(value).ok_or_else(|| refused(at, "must be a text or a list of texts"))?;
    if items.is_empty() {
        return Err(refused(at, "must hold a text"));
    }
    let numbered = items.into_iter().enumerate();
    numbered
        .map(|(index, item)| match text(item) {
            Some(text) => Ok(Input::text(format!("{at}/{index}"), text)),
            None if is_number(item) || item.get().starts_with('[') => Err(untranslatable(format!(
                "`{at}` holds tokens of one provider's tokenizer, which mean nothing to another; send texts"
            ))),
            None => Err(refused(&format!("{at}/{index}"), "must be a text")),
        })
        .collect()
}
