//! Cohere's embed, version 2: texts, pictures or both in, vectors by type of number out.

use domain::Fault;
use serde_json::value::RawValue;

use super::Cohere;
use crate::canonical::json::{Fields, Object, is_number, list, object, text};
use crate::canonical::vectors::{Forms, Input, Overlong, Piece, Purpose, VectorAnswer, VectorRequest};
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
            // It says what the inputs are, as they do themselves.
            Some("image") => {
                fields.take("input_type");
                None
            }
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

    fn write_request(&self, request: &VectorRequest<'_>, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
        let at = &*request.purpose.at;
        let is_picture = |input: &Input<'_>| matches!(input.pieces[..], [Piece::Picture { .. }]);
        let (texts, pictures): (Option<Vec<&str>>, bool) =
            (request.inputs.iter().map(Input::as_text).collect(), request.inputs.iter().all(is_picture));
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
            None if pictures => "image",
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
            match texts {
                Some(texts) => body.put("texts", &texts),
                None => body.list("inputs", |inputs| {
                    request.inputs.iter().for_each(|input| inputs.object(|body| write_pieces(body, &input.pieces)));
                }),
            }
            body.put("embedding_types", &["float"]);
            body.put_some("output_dimension", request.dimensions.as_ref().map(|dimensions| dimensions.value));
            let word = overlong.and_then(|overlong| OVERLONG.iter().find(|(_, value)| *value == overlong));
            body.put_some("truncate", word.map(|(word, _)| word));
        });
        Ok(out)
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
            if let Some(texts) = request.inputs.iter().map(Input::as_text).collect::<Option<Vec<_>>>() {
                body.put("texts", &texts);
            }
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

/// One input of several pieces.
fn write_pieces(body: &mut Object<'_>, pieces: &[Piece<'_>]) {
    body.list("content", |content| {
        for piece in pieces {
            content.object(|part| match piece {
                Piece::Text(text) => {
                    part.put("type", "text");
                    part.put("text", text);
                }
                Piece::Picture { media_type, data, .. } => {
                    part.put("type", "image_url");
                    part.object("image_url", |image| image.put("url", &format!("data:{media_type};base64,{data}")));
                }
            });
        }
    });
}

/// The inputs, in whichever of the three fields that may hold them.
fn inputs<'a>(fields: &mut Fields<'a>, losses: &mut Losses) -> Result<Vec<Input<'a>>, Fault> {
    let mut given = Vec::new();
    for name in ["texts", "images", "inputs"] {
        let list = fields.option(name, list, "must be a list")?;
        given.extend(list.filter(|list| !list.value.is_empty()).map(|list| (name, list)));
    }
    let (name, items) = match given.pop() {
        Some((name, _)) if !given.is_empty() => {
            return Err(refused(&format!("/{name}"), "must not stand beside another field of inputs"));
        }
        Some(one) => one,
        None => return Err(refused("/texts", "must hold a text")),
    };
    let mut inputs = Vec::with_capacity(items.value.len());
    for (index, value) in items.value.into_iter().enumerate() {
        let at = format!("{}/{index}", items.at);
        let word = || text(value).ok_or_else(|| refused(&at, "must be a text"));
        inputs.push(match name {
            "texts" => Input::text(&at, word()?),
            "images" => Input { pieces: vec![Piece::picture_at(word()?, &at)?], at, title: None },
            _ => content(value, &at, losses)?,
        });
    }
    Ok(inputs)
}

/// One input of several pieces.
fn content<'a>(value: &'a RawValue, at: &str, losses: &mut Losses) -> Result<Input<'a>, Fault> {
    let mut input = Fields::read(value.get(), at).ok_or_else(|| refused(at, "must be an object"))?;
    let parts = input.option("content", list, "must be a list")?.ok_or_else(|| refused(at, "must have `content`"))?;
    let mut pieces = Vec::new();
    for (index, part) in parts.value.into_iter().enumerate() {
        let at = format!("{}/{index}", parts.at);
        let mut part = Fields::read(part.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
        pieces.push(match part.take_text("type").as_deref() {
            None | Some("text") => Piece::Text(part.take_text("text").ok_or_else(|| refused(&at, "must have `text`"))?),
            Some("image_url") => {
                let at = part.at("image_url");
                let must = || refused(&at, "must have `url`");
                let mut image =
                    part.take("image_url").and_then(|image| Fields::read(image.get(), &*at)).ok_or_else(must)?;
                let url = image.take_text("url").ok_or_else(must)?;
                image.finish(losses, &[("detail", "how finely a picture is looked at is the provider's elsewhere")]);
                Piece::picture_at(url, &at)?
            }
            Some(_) => {
                return Err(untranslatable(format!(
                    "`{at}`: only texts and pictures are told to providers of another dialect; name a cohere model"
                )));
            }
        });
        part.finish(losses, &[]);
    }
    input.finish(losses, &[]);
    if pieces.is_empty() {
        return Err(refused(&parts.at, "must hold a text or a picture"));
    }
    Ok(Input { at: parts.at, pieces, title: None })
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
