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
    /// `/model/{model}/invoke` in the place of the dialect's path, `invoke-with-response-stream` for a stream, this
    /// `anthropic_version` in the body in the place of the model, and streams inside Amazon's messages: Anthropic's models on
    /// Amazon Bedrock.
    Invoke {
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
            // Azure OpenAI's reference, Realtime: the deployment in the query.
            Hosting::Deployments if dialect == Dialect::OpenAiChat && operation == Operation::Realtime => {
                format!("/realtime?deployment={}", path_segment(model)).into()
            }
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
            Hosting::Invoke { .. } if dialect == Dialect::Anthropic => {
                let method = if stream { "invoke-with-response-stream" } else { "invoke" };
                format!("/model/{}/{method}", path_segment(model)).into()
            }
            _ => own,
        }
    }

    /// Whether what comes back stands inside Amazon's messages, where it is a stream, and errors are Amazon's.
    pub fn is_wrapped(self, dialect: Dialect) -> bool {
        matches!(self, Hosting::Invoke { .. }) && dialect == Dialect::Anthropic
    }

    /// Whether this host has an operation that the dialect has.
    pub(crate) fn has(self, dialect: Dialect, operation: Operation) -> bool {
        !self.is_wrapped(dialect) || operation == Operation::Chat
    }

    /// Whether files and batches have a place at this host: where the model stands in every path, they have none (Anthropic's Python
    /// SDK 2.11.0, lib/vertex and lib/bedrock: "The Batch API is not supported").
    pub fn keeps(self, dialect: Dialect) -> bool {
        !(matches!(self, Hosting::RawPredict { .. } | Hosting::Invoke { .. }) && dialect == Dialect::Anthropic)
    }

    /// The version that stands in the body for the model, where this host has it so.
    pub fn version_for_model(self, dialect: Dialect, operation: Operation) -> Option<&'static str> {
        match self {
            Hosting::RawPredict { anthropic_version } | Hosting::Invoke { anthropic_version }
                if dialect == Dialect::Anthropic && operation == Operation::Chat =>
            {
                Some(anthropic_version)
            }
            _ => None,
        }
    }
}

/// Puts `version` in the place of the top-level member `model`; a version that stands there already is the client's own. A host
/// that says in the path whether to stream is not told so in the body.
pub(crate) fn with_version_for_model(splice: &mut Splice<'_>, body: &[u8], hosting: Hosting, version: &str) {
    let streams_by_path = matches!(hosting, Hosting::Invoke { .. });
    let mut named: Vec<(&'static str, MemberSpan)> = Vec::new();
    let mut has_version = false;
    let mut cursor = Cursor::new(body);
    let walked = cursor.object(|cursor, member| {
        let value = cursor.value()?;
        let name = match &*member.key.name(body) {
            b"model" if named.iter().all(|(name, _)| *name != "model") => "model",
            b"stream" if streams_by_path => "stream",
            b"anthropic_version" => {
                has_version = true;
                return Ok(());
            }
            _ => return Ok(()),
        };
        named.push((name, MemberSpan::new(member, value)));
        Ok(())
    });
    debug_assert!(walked.is_ok(), "the body was scanned before");
    let mut cut = 0;
    for (name, span) in named {
        if name == "model" && !has_version {
            let member = format!("\"anthropic_version\":\"{version}\"");
            splice.replace(name, span.member(), member.into_bytes());
            continue;
        }
        splice.replace(name, span.removal(body, cut), &b""[..]);
        cut += 1;
    }
}

/// The same for a body of our own making.
pub(crate) fn body_with_version_for_model(body: Vec<u8>, hosting: Hosting, version: &str) -> Bytes {
    let mut splice = Splice::new(&body);
    with_version_for_model(&mut splice, &body, hosting, version);
    match splice.apply() {
        Some((changed, _)) => changed.into(),
        None => body.into(),
    }
}

/// The body with beta features named in it, which the dialect names in a header; what stands there already is the client's own.
pub fn with_betas(body: Bytes, betas: &[&str]) -> Bytes {
    let mut has_betas = betas.is_empty();
    let mut cursor = Cursor::new(&body);
    let walked = cursor.object(|cursor, member| {
        has_betas |= &*member.key.name(&body) == b"anthropic_beta";
        cursor.skip()
    });
    debug_assert!(walked.is_ok(), "the body was scanned before");
    let Some(open) = body.iter().position(|byte| *byte == b'{').filter(|_| !has_betas) else { return body };
    let betas = serde_json::to_string(betas).expect("strings have a JSON form");
    [&body[..=open], format!("\"anthropic_beta\":{betas},").as_bytes(), &body[open + 1..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERTEX: Hosting = Hosting::RawPredict { anthropic_version: "vertex-2023-10-16" };
    const BEDROCK: Hosting = Hosting::Invoke { anthropic_version: "bedrock-2023-05-31" };

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
            (BEDROCK, Dialect::Anthropic, Operation::Chat, false, "/model/m%401%2Fx/invoke"),
            (BEDROCK, Dialect::Anthropic, Operation::Chat, true, "/model/m%401%2Fx/invoke-with-response-stream"),
            (
                Hosting::Deployments,
                Dialect::OpenAiChat,
                Operation::Chat,
                true,
                "/deployments/m%401%2Fx/chat/completions",
            ),
            (Hosting::Vendor, Dialect::OpenAiChat, Operation::Realtime, false, "/realtime?model=m%401%2Fx"),
            (Hosting::Deployments, Dialect::OpenAiChat, Operation::Realtime, false, "/realtime?deployment=m%401%2Fx"),
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
            let made = body_with_version_for_model(body.as_bytes().to_vec(), VERTEX, "v");
            assert_eq!(std::str::from_utf8(&made).unwrap(), expected);
        }
    }

    #[test]
    fn a_host_that_streams_by_its_path_is_not_told_so_in_the_body() {
        for (body, expected) in [
            (r#"{"model":"w","stream":true,"max_tokens":1}"#, r#"{"anthropic_version":"v","max_tokens":1}"#),
            (r#"{"stream":true,"model":"w"}"#, r#"{"anthropic_version":"v"}"#),
            (r#"{"stream":true,"model":"w","anthropic_version":"mine"}"#, r#"{"anthropic_version":"mine"}"#),
            (r#"{"anthropic_version":"mine","model":"w","stream":false}"#, r#"{"anthropic_version":"mine"}"#),
        ] {
            let made = body_with_version_for_model(body.as_bytes().to_vec(), BEDROCK, "v");
            assert_eq!(std::str::from_utf8(&made).unwrap(), expected);
        }
        let body = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert_eq!(with_betas(body(r#"{"a":1}"#), &["x"]), r#"{"anthropic_beta":["x"],"a":1}"#);
        assert_eq!(with_betas(body(r#"{"anthropic_beta":[]}"#), &["x"]), r#"{"anthropic_beta":[]}"#);
    }
}
