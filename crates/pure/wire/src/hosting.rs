//! Who hosts a model of another vendor speaks that vendor's dialect with the model at another place: in the path instead of the
//! body. A column of [`crate::quirks`], so that a provider of this kind is a row of data.

use std::borrow::Cow;

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::dialect::{Dialect, Operation, path_segment};
use crate::splice::{MemberSpan, Splice};

/// Where the model's id stands, and what else is said for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hosting {
    /// As the dialect itself has it.
    Vendor,
    /// `/deployments/{model}` before the dialect's own path: Azure OpenAI's API with a dated `api-version`.
    Deployments,
    /// `/models/{model}:rawPredict` in the place of the dialect's path, and this `anthropic_version` in the body in the place of
    /// the model: Anthropic's models on Vertex AI.
    RawPredict {
        /// The version of Anthropic's API as the host calls it.
        anthropic_version: &'static str,
    },
}

impl Hosting {
    /// The path of an operation at this host, from the path that the dialect has for it.
    pub(crate) fn path(
        self,
        dialect: Dialect,
        operation: Operation,
        model: &str,
        stream: bool,
        own: Cow<'static, str>,
    ) -> Cow<'static, str> {
        match self {
            Hosting::Deployments if dialect == Dialect::OpenAiChat => {
                format!("/deployments/{}{own}", path_segment(model)).into()
            }
            Hosting::RawPredict { .. } if dialect == Dialect::Anthropic && operation == Operation::CountTokens => {
                // Counting has a model of its own; the body names the one that is meant.
                Cow::Borrowed("/models/count-tokens:rawPredict")
            }
            Hosting::RawPredict { .. } if dialect == Dialect::Anthropic => {
                let method = if stream { "streamRawPredict" } else { "rawPredict" };
                format!("/models/{}:{method}", path_segment(model)).into()
            }
            _ => own,
        }
    }

    /// The version that stands in the body for the model, where this host has it so.
    pub fn version_for_model(self, dialect: Dialect, operation: Operation) -> Option<&'static str> {
        match self {
            Hosting::RawPredict { anthropic_version }
                if dialect == Dialect::Anthropic && operation == Operation::Chat =>
            {
                Some(anthropic_version)
            }
            _ => None,
        }
    }
}

/// Puts `version` in the place of the top-level member `model`; a version that stands there already is the client's own.
pub(crate) fn with_version_for_model(splice: &mut Splice<'_>, body: &[u8], version: &str) {
    let mut model = None;
    let mut has_version = false;
    let mut cursor = Cursor::new(body);
    let walked = cursor.object(|cursor, member| {
        let value = cursor.value()?;
        match &*member.key.name(body) {
            b"model" if model.is_none() => model = Some(MemberSpan::new(member, value)),
            b"anthropic_version" => has_version = true,
            _ => {}
        }
        Ok(())
    });
    debug_assert!(walked.is_ok(), "the body was scanned before");
    let Some(model) = model else { return };
    if has_version {
        return splice.replace("model", model.removal(body, 0), &b""[..]);
    }
    let member = format!("\"anthropic_version\":\"{version}\"");
    splice.replace("model", model.member(), member.into_bytes());
}

/// The same for a body of our own making.
pub(crate) fn body_with_version_for_model(body: Vec<u8>, version: &str) -> Bytes {
    let mut splice = Splice::new(&body);
    with_version_for_model(&mut splice, &body, version);
    match splice.apply() {
        Some((changed, _)) => changed.into(),
        None => body.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERTEX: Hosting = Hosting::RawPredict { anthropic_version: "vertex-2023-10-16" };

    fn path(hosting: Hosting, dialect: Dialect, operation: Operation, stream: bool) -> String {
        let own = operation.path(dialect, "m@1/x", stream, false).unwrap();
        hosting.path(dialect, operation, "m@1/x", stream, own).into_owned()
    }

    #[test]
    fn the_model_stands_in_the_path_where_its_host_wants_it_as_one_segment() {
        for (hosting, dialect, operation, stream, expected) in [
            (Hosting::Vendor, Dialect::Anthropic, Operation::Chat, true, "/messages"),
            (VERTEX, Dialect::Anthropic, Operation::Chat, false, "/models/m%401%2Fx:rawPredict"),
            (VERTEX, Dialect::Anthropic, Operation::Chat, true, "/models/m%401%2Fx:streamRawPredict"),
            (VERTEX, Dialect::Anthropic, Operation::CountTokens, false, "/models/count-tokens:rawPredict"),
            (VERTEX, Dialect::OpenAiChat, Operation::Chat, false, "/chat/completions"),
            (
                Hosting::Deployments,
                Dialect::OpenAiChat,
                Operation::Chat,
                true,
                "/deployments/m%401%2Fx/chat/completions",
            ),
            (
                Hosting::Deployments,
                Dialect::OpenAiChat,
                Operation::Embeddings,
                false,
                "/deployments/m%401%2Fx/embeddings",
            ),
        ] {
            assert_eq!(path(hosting, dialect, operation, stream), expected);
        }
    }

    #[test]
    fn the_version_takes_the_models_place_wherever_that_stands() {
        for (body, expected) in [
            (r#"{"model":"w","max_tokens":1}"#, r#"{"anthropic_version":"v","max_tokens":1}"#),
            (r#"{"max_tokens":1 , "model" : "w" }"#, r#"{"max_tokens":1 , "anthropic_version":"v" }"#),
            (r#"{"anthropic_version":"mine","model":"w"}"#, r#"{"anthropic_version":"mine"}"#),
            (r#"{"model":"w","anthropic_version":"mine"}"#, r#"{"anthropic_version":"mine"}"#),
            (r#"{"messages":[{"model":"inner"}]}"#, r#"{"messages":[{"model":"inner"}]}"#),
        ] {
            let made = body_with_version_for_model(body.as_bytes().to_vec(), "v");
            assert_eq!(std::str::from_utf8(&made).unwrap(), expected);
        }
    }
}
