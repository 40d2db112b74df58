//! What a request for vectors of texts and pictures says, and its answer, whichever grammar says it.

use std::borrow::Cow;

use base64::Engine;
use domain::{Fault, Usage};
use serde_json::value::RawValue;

use super::{Losses, Placed, PlacedRaw, Source, malformed, refused, untranslatable};

/// A request for one vector of each input.
#[derive(Clone, Debug)]
pub(crate) struct VectorRequest<'a> {
    /// The inputs.
    pub(crate) inputs: Vec<Input<'a>>,
    /// Whether a list was asked about, where one text alone has another answer.
    pub(crate) is_list: bool,
    /// How long the vectors are to be.
    pub(crate) dimensions: Option<PlacedRaw<'a>>,
    /// What the vectors are for; where it was not said, where it would stand.
    pub(crate) purpose: Placed<Option<Purpose>>,
    /// What is to happen to a text that is longer than the model reads.
    pub(crate) overlong: Option<Placed<Overlong>>,
    /// Whether the client's own API refuses such a text unasked.
    pub(crate) refuses_overlong: bool,
    /// How the client wants its numbers.
    pub(crate) forms: Forms,
}

/// What one vector is made of.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    /// Where its pieces stand.
    pub(crate) at: String,
    /// Texts and pictures, at least one.
    pub(crate) pieces: Vec<Piece<'a>>,
    /// Its title.
    pub(crate) title: Option<Placed<Cow<'a, str>>>,
}

/// A piece of an input.
#[derive(Clone, Debug)]
pub(crate) enum Piece<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A picture, in the body.
    Picture {
        /// Where it stands.
        at: String,
        /// `image/png`.
        media_type: Cow<'a, str>,
        /// The bytes in base64.
        data: Cow<'a, str>,
    },
}

impl<'a> Input<'a> {
    /// A text.
    pub(crate) fn text(at: impl Into<String>, text: Cow<'a, str>) -> Input<'a> {
        Input { at: at.into(), pieces: vec![Piece::Text(text)], title: None }
    }

    /// The text it is, where it is one text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.pieces[..] {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// All of it as one text. The fault names a picture, of which `whose` provider makes no vectors.
    pub(crate) fn words(&self, whose: &str, losses: &mut Losses) -> Result<Cow<'_, str>, Fault> {
        if let Some(text) = self.as_text() {
            return Ok(Cow::Borrowed(text));
        }
        let mut texts = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => texts.push(&**text),
                Piece::Picture { at, .. } => {
                    return Err(untranslatable(format!(
                        "`{at}`: {whose} makes no vectors of pictures; name a cohere or a gemini model"
                    )));
                }
            }
        }
        losses.approximated(&*self.at, "several texts of one input were joined by line ends");
        Ok(Cow::Owned(texts.join("\n")))
    }
}

impl<'a> Piece<'a> {
    /// A picture whose address holds it.
    pub(crate) fn picture_at(address: Cow<'a, str>, at: &str) -> Result<Piece<'a>, Fault> {
        match Source::at_address(address, at)? {
            Source::Base64 { media_type, data } if media_type.starts_with("image/") => {
                Ok(Piece::Picture { at: at.to_owned(), media_type, data })
            }
            Source::Base64 { .. } => Err(refused(at, "must be a picture")),
            _ => Err(untranslatable(format!(
                "`{at}`: a picture that lies elsewhere is not fetched to be put into another dialect; send it in the body"
            ))),
        }
    }
}

/// What vectors are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// The text asks.
    Query,
    /// The text is to be found.
    Document,
    /// Texts are compared.
    Similarity,
    /// Texts are put into classes.
    Classification,
    /// Texts are put together.
    Clustering,
    /// The text asks a question.
    Question,
    /// The text is a statement to be checked.
    Fact,
    /// The text asks for code.
    Code,
}

/// What happens to a text that is too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overlong {
    /// It is refused.
    Refused,
    /// Its beginning is left out.
    CutAtStart,
    /// Its end is left out.
    CutAtEnd,
}

/// The forms in which numbers are wanted; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forms {
    /// As JSON numbers.
    pub(crate) float: bool,
    /// As base64 of 32-bit floats, the lowest byte first.
    pub(crate) base64: bool,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct VectorAnswer<'a> {
    /// A vector for each input, in order.
    pub(crate) vectors: Vec<Vector<'a>>,
    /// What was consumed, where the provider said so.
    pub(crate) usage: Option<Usage>,
}

/// One vector.
#[derive(Clone, Debug)]
pub(crate) struct Vector<'a> {
    /// The list of numbers as the provider wrote it.
    pub(crate) json: &'a RawValue,
    /// The same in base64, where that is wanted.
    pub(crate) packed: Option<String>,
}

impl<'a> VectorRequest<'a> {
    /// A request that says nothing yet; `purpose_at` is where its purpose would stand.
    pub(crate) fn new(purpose_at: &str) -> VectorRequest<'a> {
        VectorRequest {
            inputs: Vec::new(),
            is_list: true,
            dimensions: None,
            purpose: Placed { at: purpose_at.into(), value: None },
            overlong: None,
            refuses_overlong: false,
            forms: Forms { float: true, base64: false },
        }
    }
}

impl<'a> Vector<'a> {
    /// Reads a list of numbers; `packs` says that its base64 is wanted too.
    pub(crate) fn read(json: &'a RawValue, packs: bool) -> Result<Vector<'a>, Fault> {
        let wrong = || malformed("a vector is no list of numbers");
        let inside = json.get().strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or_else(wrong)?;
        // It is valid JSON already: with nothing but these between the brackets it is a flat list of numbers.
        let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE, \t\r\n".contains(&byte);
        if inside.trim_ascii().is_empty() || !inside.bytes().all(is_number) {
            return Err(wrong());
        }
        let packed = packs.then(|| pack(inside)).transpose()?;
        Ok(Vector { json, packed })
    }
}

/// OpenAI's and Cohere's base64 of a list of numbers.
fn pack(numbers: &str) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    for number in numbers.split(',') {
        let float = number.trim_ascii().parse::<f32>().ok().filter(|float| float.is_finite());
        let float = float.ok_or_else(|| malformed("a number of a vector is beyond 32 bits"))?;
        bytes.extend_from_slice(&float.to_le_bytes());
    }
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, packs: bool) -> Result<(String, Option<String>), Fault> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        Vector::read(&raw, packs).map(|vector| (vector.json.get().to_owned(), vector.packed))
    }

    #[test]
    fn digits_stay_as_they_were_and_base64_is_of_32_bit_floats() {
        let digits = "[ 0.10000000000000000555, -2e-3,1 ]";
        assert_eq!(read(digits, false), Ok((digits.to_owned(), None)));
        // 1.0, -2.0, 0.5 are 0000803f, 000000c0, 0000003f.
        assert_eq!(read("[1,-2.0, 5e-1]", true).unwrap().1.as_deref(), Some("AACAPwAAAMAAAAA/"));
    }

    #[test]
    fn what_is_no_list_of_finite_numbers_is_malformed() {
        for json in ["[]", "[ ]", "[[1]]", "[null]", "[1,\"2\"]", "{}", "\"AACAPw==\"", "1", "[true]"] {
            assert!(read(json, false).is_err(), "{json}");
        }
        assert!(read("[1e39]", true).is_err());
        assert!(read("[1e39]", false).is_ok());
    }
}
