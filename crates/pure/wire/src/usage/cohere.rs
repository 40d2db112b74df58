//! Reads Cohere's usage, which tells apart what was counted and what is billed: what is billed is booked.

use domain::{Meter, Usage};

use super::Reported;
use crate::cursor::{Bad, Cursor};

/// Splits a Cohere `usage` or `meta` object (its JSON text). `None` when it is no object or counts nothing we know.
///
/// `cached_tokens` are not taken apart: the billed units say what they cost already.
pub fn cohere_usage(json: &[u8]) -> Option<Reported> {
    let (mut billed, mut counted) = (Counts::default(), Counts::default());
    let mut cursor = Cursor::new(json);
    cursor
        .object(|cursor, member| {
            let is_object = cursor.peek() == Some(b'{');
            match &*member.key.name(cursor.bytes()) {
                b"billed_units" if is_object => billed.read(cursor),
                b"tokens" if is_object => counted.read(cursor),
                _ => cursor.skip(),
            }
        })
        .ok()?;
    let counts = if billed.says_something() { billed } else { counted };
    counts.says_something().then(|| Reported::of(counts.usage()))
}

/// The figures of one of the two objects.
#[derive(Default)]
struct Counts {
    input: Option<u64>,
    text: Option<u64>,
    output: Option<u64>,
    image_tokens: Option<u64>,
    images: Option<u64>,
    search_units: Option<u64>,
}

impl Counts {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| {
            let slot = match &*member.key.name(cursor.bytes()) {
                b"input_tokens" => &mut self.input,
                b"text_tokens" => &mut self.text,
                b"output_tokens" => &mut self.output,
                b"image_tokens" => &mut self.image_tokens,
                b"images" => &mut self.images,
                b"search_units" => &mut self.search_units,
                _ => return cursor.skip(),
            };
            let span = cursor.value()?;
            *slot = count(&cursor.bytes()[span]);
            Ok(())
        })?;
        Ok(())
    }

    fn says_something(&self) -> bool {
        let all = [self.input, self.text, self.output, self.image_tokens, self.images, self.search_units];
        all.iter().any(Option::is_some)
    }

    fn usage(&self) -> Usage {
        let image_tokens = self.image_tokens.unwrap_or(0);
        // Where both stand, the input is the whole, text and images together.
        let input = self.input.map(|input| input.max(self.text.unwrap_or(0)));
        let input = input.map_or(self.text.unwrap_or(0), |input| match self.text {
            Some(text) if text.saturating_add(image_tokens) == input => text,
            _ => input,
        });
        Usage::ZERO
            .with(Meter::Input, input)
            .with(Meter::InputImage, image_tokens)
            .with(Meter::InputImages, self.images.unwrap_or(0))
            .with(Meter::Output, self.output.unwrap_or(0))
            .with(Meter::SearchUnits, self.search_units.unwrap_or(0))
    }
}

/// A count, which the API gives as a number that may be written `12.0`; a part of a unit is billed as one.
fn count(json: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(json).ok()?;
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        // Below 2^53 the float is exact, and so is the cast.
        (0.0..=9_007_199_254_740_992.0).contains(&float).then_some(float.ceil() as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(json: &str) -> Usage {
        cohere_usage(json.as_bytes()).unwrap().usage
    }

    #[test]
    fn what_is_billed_counts_and_not_what_the_template_added() {
        let usage = split(
            r#"{"billed_units":{"input_tokens":5.0,"output_tokens":418},"tokens":{"input_tokens":71,"output_tokens":418},"cached_tokens":64}"#,
        );
        assert_eq!(usage, Usage::ZERO.with(Meter::Input, 5).with(Meter::Output, 418));
    }

    #[test]
    fn where_nothing_is_said_of_the_bill_the_tokens_count() {
        assert_eq!(split(r#"{"tokens":{"input_tokens":71,"output_tokens":4}}"#).input_tokens(), 71);
    }

    #[test]
    fn a_search_is_billed_by_the_unit_and_a_part_of_one_is_one() {
        let usage = split(r#"{"api_version":{"version":"2"},"billed_units":{"search_units":1.5}}"#);
        assert_eq!(usage, Usage::ZERO.with(Meter::SearchUnits, 2));
    }

    #[test]
    fn pictures_are_counted_apart_by_token_or_apiece() {
        let by_token = split(r#"{"billed_units":{"input_tokens":110,"text_tokens":10,"image_tokens":100}}"#);
        assert_eq!(by_token, Usage::ZERO.with(Meter::Input, 10).with(Meter::InputImage, 100));
        assert_eq!(split(r#"{"billed_units":{"images":3}}"#), Usage::ZERO.with(Meter::InputImages, 3));
    }

    #[test]
    fn what_counts_nothing_is_no_usage() {
        for nothing in ["{}", "null", r#"{"billed_units":{}}"#, r#"{"tokens":null}"#, r#"{"cached_tokens":3}"#] {
            assert_eq!(cohere_usage(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
