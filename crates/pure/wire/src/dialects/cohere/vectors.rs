//! Cohere's embed, version 2: texts, pictures or both in, vectors by type of number out.

use domain::Fault;
use serde_json::value::RawValue;

use super::Cohere;
use crate::canonical::json::{Fields, is_number, list, object, text};
use crate::canonical::vectors::{Forms, Input, Overlong, Purpose, VectorAnswer, VectorRequest};
use crate::canonical::{Cover, Losses, Placed, malformed, refused, untranslatable};
use crate::dialects::Vectors;

/// Words for what is to happen to longer texts.
const OVERLONG: [(&str, Overlong); 3] =
    [("NONE", Overlong::Refused), ("START", Overlong::CutAtStart), ("END", Overlong::CutAtEnd)];

impl Vectors for Cohere {
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<VectorRequest<'a>, Fault> {
        let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "must be an object"))?;
        let mut request = VectorRequest::new("/input_type");
        fields.take("model");
        request.inputs = inputs(&mut fields, losses)?;
        request.purpose.value = match fields.peek("input_type").and_then(text).as_deref() {
            Some("search_query") => Some(Purpose::Query),
            Some("search_document") => Some(Purpose::Document),
            Some("classification") => Some(Purpose::Classification),
            Some("clustering") => Some(Purpose::Clustering),
            // Left where it stands, and so told as not carried over.
            _ => None,
        };
        if request.purpose.value.is_some() {
            fields.take("input_type");
        }
        if let Some(types) = fields.option("embedding_types", list, "must be a list")? {
            request.forms = forms(&types)?;
        }
        request.dimensions =
            fields.option("output_dimension", |value| is_number(value).then_some(value), "must be a number")?;
        let word = fields.option("truncate", text, "must be a text")?;
        request.overlong = word
            .map(|word| {
                let known = OVERLONG.iter().find(|(name, _)| *name == word.value);
                let (_, overlong) = known.ok_or_else(|| refused(&word.at, "must be `NONE`, `START` or `END`"))?;
                Ok(Placed { at: word.at, value: *overlong })
            })
            .transpose()?;
        fields.finish(
            losses,
            &[
                ("max_tokens", "how much of a text is read cannot be said to the provider"),
                ("priority", "the provider has no priorities of calls"),
                ("input_type", "the provider is not told what the vectors are for"),
            ],
        );
        Ok(request)
    }

    fn write_request(&self, request: &VectorRequest<'_>, model: &str, losses: &mut Losses) -> Vec<u8> {
        let at = &*request.purpose.at;
        let purpose = match request.purpose.value {
            Some(Purpose::Query) => "search_query",
            Some(Purpose::Document) => "search_document",
            Some(Purpose::Classification) => "classification",
            Some(Purpose::Clustering) => "clustering",
            Some(Purpose::Question | Purpose::Fact | Purpose::Code) => {
                losses.approximated(at, "put as `search_query`, the nearest that Cohere has");
                "search_query"
            }
            Some(Purpose::Similarity) => {
                losses.approximated(at, "put as `clustering`, the nearest that Cohere has");
                "clustering"
            }
            None => {
                losses.approximated(at, "Cohere wants to be told what vectors are for; `search_document` was put");
                "search_document"
            }
        };
        for title in request.inputs.iter().filter_map(|input| input.title.as_ref()) {
            losses.dropped(&*title.at, "Cohere has no titles of texts");
        }
        let overlong = request.overlong.as_ref().map(|overlong| overlong.value);
        let overlong = overlong.or(request.refuses_overlong.then_some(Overlong::Refused));
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("model", model);
            body.put("input_type", purpose);
            body.put("texts", &request.inputs.iter().map(|input| &input.text).collect::<Vec<_>>());
            body.put("embedding_types", &["float"]);
            body.put_some("output_dimension", request.dimensions.as_ref().map(|dimensions| dimensions.value));
            let word = overlong.and_then(|overlong| OVERLONG.iter().find(|(_, value)| *value == overlong));
            body.put_some("truncate", word.map(|(word, _)| word));
        });
        out
    }

    fn read_answer<'a>(&self, body: &'a str) -> Result<Vec<&'a RawValue>, Fault> {
        let none = || malformed("the answer has no vectors of floats");
        let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no object"))?;
        let embeddings = fields.take("embeddings").ok_or_else(none)?;
        // By type of number, or a bare list of floats where no type was named.
        match Fields::read(embeddings.get(), "") {
            Some(mut by_type) => by_type.take("float").and_then(list).ok_or_else(none),
            None => list(embeddings).ok_or_else(none),
        }
    }

    fn write_answer(&self, answer: &VectorAnswer<'_>, request: &VectorRequest<'_>, cover: &Cover) -> Vec<u8> {
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("id", &cover.id);
            body.object("embeddings", |by_type| {
                if request.forms.float {
                    by_type.put("float", &answer.vectors.iter().map(|vector| vector.json).collect::<Vec<_>>());
                }
                if request.forms.base64 {
                    by_type.put("base64", &answer.vectors.iter().map(|vector| &vector.packed).collect::<Vec<_>>());
                }
            });
            body.put("texts", &request.inputs.iter().map(|input| &input.text).collect::<Vec<_>>());
            body.put("response_type", "embeddings_by_type");
            body.object("meta", |meta| {
                meta.object("api_version", |version| version.put("version", "2"));
                if let Some(usage) = &answer.usage {
                    meta.object("billed_units", |billed| billed.put("input_tokens", &usage.input_tokens()));
                }
            });
        });
        out
    }
}

/// The texts, in either of the two fields that may hold them.
fn inputs<'a>(fields: &mut Fields<'a>, losses: &mut Losses) -> Result<Vec<Input<'a>>, Fault> {
    if fields.take("images").and_then(list).is_some_and(|images| !images.is_empty()) {
        return Err(no_pictures("/images"));
    }
    let texts = fields.option("texts", list, "must be a list of texts")?;
    let mixed = fields.option("inputs", list, "must be a list of inputs")?;
    let mixed = mixed.filter(|mixed| !mixed.value.is_empty());
    let inputs = match (texts.filter(|texts| !texts.value.is_empty()), mixed) {
        (Some(_), Some(_)) => return Err(refused("/inputs", "must not stand beside `texts`")),
        (None, None) => return Err(refused("/texts", "must hold a text")),
        (Some(texts), None) => {
            let numbered = texts.value.into_iter().enumerate();
            let read =
                |(index, value)| text(value).ok_or_else(|| refused(&format!("{}/{index}", texts.at), "must be a text"));
            numbered.map(read).collect::<Result<Vec<_>, _>>()?
        }
        (None, Some(mixed)) => {
            let numbered = mixed.value.into_iter().enumerate();
            let read = |(index, value)| content(value, &format!("{}/{index}", mixed.at), losses);
            numbered.map(read).collect::<Result<Vec<_>, _>>()?
        }
    };
    Ok(inputs.into_iter().map(|text| Input { text, title: None }).collect())
}

/// One input of several parts, of which all must be texts.
fn content<'a>(value: &'a RawValue, at: &str, losses: &mut Losses) -> Result<std::borrow::Cow<'a, str>, Fault> {
    let mut input = Fields::read(value.get(), at).ok_or_else(|| refused(at, "must be an object"))?;
    let parts = input.option("content", list, "must be a list")?.ok_or_else(|| refused(at, "must have `content`"))?;
    let mut texts = Vec::new();
    for (index, part) in parts.value.into_iter().enumerate() {
        let at = format!("{}/{index}", parts.at);
        let mut part = Fields::read(part.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
        if part.take_text("type").is_some_and(|kind| kind != "text") {
            return Err(no_pictures(&at));
        }
        texts.push(part.take_text("text").ok_or_else(|| refused(&at, "must have `text`"))?);
        part.finish(losses, &[]);
    }
    input.finish(losses, &[]);
    if texts.len() > 1 {
        losses.approximated(&*parts.at, "several texts of one input were joined by line ends");
        return Ok(texts.join("\n").into());
    }
    texts.pop().ok_or_else(|| refused(&parts.at, "must hold a text"))
}

fn no_pictures(at: &str) -> Fault {
    untranslatable(format!("`{at}`: vectors of pictures are not translated between dialects; name a cohere model"))
}

/// The types of number that are wanted.
fn forms(types: &Placed<Vec<&RawValue>>) -> Result<Forms, Fault> {
    let mut forms = Forms { float: types.value.is_empty(), base64: false };
    for (index, kind) in types.value.iter().enumerate() {
        let at = format!("{}/{index}", types.at);
        match text(kind).as_deref() {
            Some("float") => forms.float = true,
            Some("base64") => forms.base64 = true,
            Some("int8" | "uint8" | "binary" | "ubinary") => {
                return Err(untranslatable(format!(
                    "`{at}`: only Cohere makes vectors of whole numbers or bits; ask for `float`, or name a cohere model"
                )));
            }
            _ => return Err(refused(&at, "must be a type of number, such as `float`")),
        }
    }
    Ok(forms)
}
