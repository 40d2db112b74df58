//! Fields that stand in either of two spellings: Google's API takes `maxOutputTokens` and `max_output_tokens` alike (the JSON
//! mapping of protocol buffers), and its own SDK mixes them.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, list, text};
use crate::canonical::{Placed, PlacedRaw, refused};

/// Whether `name` is the field called `camel` in camel case, in one of its two spellings.
pub(crate) fn is_spelled(name: &[u8], camel: &str) -> bool {
    if name == camel.as_bytes() {
        return true;
    }
    let mut rest = name.iter();
    for byte in camel.bytes() {
        if byte.is_ascii_uppercase() && rest.next() != Some(&b'_') {
            return false;
        }
        if rest.next() != Some(&byte.to_ascii_lowercase()) {
            return false;
        }
    }
    rest.next().is_none()
}

/// The members of an object whose names are read in both spellings.
pub(super) struct Either<'a> {
    fields: Fields<'a>,
    at: String,
}

impl<'a> Either<'a> {
    /// The members of `json`, which stands at `at`. `None` when it is no object.
    pub(super) fn read(json: &'a str, at: impl Into<String>) -> Option<Either<'a>> {
        let at = at.into();
        Fields::read(json, &*at).map(|fields| Either { fields, at })
    }

    /// The members of a whole body.
    pub(super) fn over(fields: Fields<'a>) -> Either<'a> {
        Either { fields, at: String::new() }
    }

    /// The same for a value; a fault when it is no object.
    pub(super) fn must(value: &'a RawValue, at: &str) -> Result<Either<'a>, Fault> {
        Either::read(value.get(), at).ok_or_else(|| refused(at, "must be an object"))
    }

    /// Where the object stands.
    pub(super) fn place(&self) -> &str {
        &self.at
    }

    /// The spelling under which a field stands, where it does.
    fn spelling(&self, camel: &str) -> Option<String> {
        self.fields.members().map(|(name, _)| name).find(|name| is_spelled(name.as_bytes(), camel)).map(str::to_owned)
    }

    /// The pointer of a field, in the spelling it stands in.
    pub(super) fn at(&self, camel: &str) -> String {
        self.fields.at(self.spelling(camel).as_deref().unwrap_or(camel))
    }

    /// Takes a field out together with its pointer.
    pub(super) fn take(&mut self, camel: &str) -> Option<PlacedRaw<'a>> {
        let name = self.spelling(camel)?;
        self.fields.take_placed(&name)
    }

    /// Takes a field that is a text. Another kind of value stays, and so will be told as not understood.
    pub(super) fn take_text(&mut self, camel: &str) -> Option<Cow<'a, str>> {
        let name = self.spelling(camel)?;
        self.fields.take_text(&name)
    }

    /// Takes a field that `read` understands, and refuses one that is something else.
    pub(super) fn option<T>(
        &mut self,
        camel: &str,
        read: impl Fn(&'a RawValue) -> Option<T>,
        must: &str,
    ) -> Result<Option<Placed<T>>, Fault> {
        let Some(placed) = self.take(camel) else { return Ok(None) };
        match read(placed.value) {
            Some(value) => Ok(Some(Placed { at: placed.at, value })),
            None => Err(refused(&placed.at, must)),
        }
    }

    /// Takes a field that is an object.
    pub(super) fn object(&mut self, camel: &str) -> Result<Option<Either<'a>>, Fault> {
        match self.take(camel) {
            Some(placed) => Either::must(placed.value, &placed.at).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a field that is a list, or one element that stands for a list of itself, as Google takes it.
    pub(super) fn list(&mut self, camel: &str) -> Vec<(String, &'a RawValue)> {
        let Some(placed) = self.take(camel) else { return Vec::new() };
        match list(placed.value) {
            Some(items) => {
                items.into_iter().enumerate().map(|(n, item)| (format!("{}/{n}", placed.at), item)).collect()
            }
            None => vec![(placed.at, placed.value)],
        }
    }

    /// The members not taken, in order.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.members()
    }

    /// Tells every member that was not taken and says something. `reasons` knows why, by names in camel case.
    pub(super) fn finish(self, losses: &mut crate::canonical::Losses, reasons: &[(&str, &str)]) {
        let known: Vec<(String, &str)> = (self.fields.members())
            .filter_map(|(name, _)| {
                let (_, reason) = reasons.iter().find(|(camel, _)| is_spelled(name.as_bytes(), camel))?;
                Some((name.to_owned(), *reason))
            })
            .collect();
        let reasons: Vec<(&str, &str)> = known.iter().map(|(name, reason)| (name.as_str(), *reason)).collect();
        self.fields.finish(losses, &reasons);
    }
}

/// A list of texts.
pub(super) fn texts(value: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    list(value)?.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_two_spellings_and_no_third() {
        for (name, camel, is) in [
            ("maxOutputTokens", "maxOutputTokens", true),
            ("max_output_tokens", "maxOutputTokens", true),
            ("max_outputTokens", "maxOutputTokens", false),
            ("max_output_token", "maxOutputTokens", false),
            ("max_output_tokens_", "maxOutputTokens", false),
            ("parts", "parts", true),
        ] {
            assert_eq!(is_spelled(name.as_bytes(), camel), is, "{name}");
        }
    }
}
