//! Puts a client's request into the words of another dialect.

use domain::{Fault, FaultClass};

use super::{Translated, beside};
use crate::canonical::{Losses, Target, untranslatable};
use crate::dialect::{Dialect, Operation};
use crate::dialects::grammar;
use crate::request::Ask;

/// The body for a provider that speaks `upstream`, from one in `client`, and what it does not say any more.
///
/// The fault is [`FaultClass::Untranslatable`] where leaving something out would ask another question (several answers, files
/// in another provider's store, a tool only its provider has), and [`FaultClass::BadRequest`] where the body is not what
/// its own dialect says. `stream` is what the head says of it: some dialects say it in the address.
pub fn request(
    client: Dialect,
    upstream: Dialect,
    operation: Operation,
    stream: bool,
    body: &[u8],
    ask: &Ask<'_>,
) -> Result<Translated, Fault> {
    match operation {
        Operation::Chat => {}
        Operation::Realtime => {
            return Err(untranslatable(format!(
                "{upstream} has no realtime conversations; name a model of a provider that speaks {client} and has them"
            )));
        }
        Operation::Compact => {
            return Err(untranslatable(format!(
                "{upstream} compacts no conversations; name a model of a provider that speaks {client}"
            )));
        }
        Operation::Invoke => {
            return Err(untranslatable(format!(
                "the body of this `invoke`, or the guardrail it names, is for Bedrock alone, and {upstream} is spoken here; \
                 understood is Anthropic's Messages with `anthropic_version`, and any model by `converse`"
            )));
        }
        Operation::Completions
        | Operation::Moderations
        | Operation::ImageGeneration
        | Operation::ImageEdit
        | Operation::Speech
        | Operation::Transcription
        | Operation::AudioTranslation => {
            return Err(untranslatable(format!(
                "{operation} is not translated between dialects; name a model of a provider that speaks {client}"
            )));
        }
        Operation::Rerank if !operation.is_in(upstream) => {
            return Err(untranslatable(format!(
                "{upstream} ranks no documents; name a model of a cohere or an openai-chat provider"
            )));
        }
        Operation::Embeddings if !operation.is_in(upstream) => {
            return Err(untranslatable(format!(
                "{upstream} makes no embeddings of a request in {client}; name a model of a provider that speaks {client}"
            )));
        }
        Operation::Embeddings | Operation::Rerank => {}
        Operation::CountTokens => {
            return Err(untranslatable(format!(
                "{upstream} counts no tokens of a request in {client}; estimate them, or name a model of a provider that speaks it"
            )));
        }
    }
    let body = std::str::from_utf8(body).map_err(|_| Fault::new(FaultClass::BadRequest, "the body is not UTF-8"))?;
    match operation {
        Operation::Embeddings => return beside::vectors_request(client, upstream, body, ask),
        Operation::Rerank => return beside::ranking_request(client, upstream, body, ask),
        _ => {}
    }
    let mut losses = Losses::default();
    let mut request = grammar(client).read_request(body, &mut losses)?;
    request.stream = stream;
    let target = Target {
        model: ask.upstream_model,
        quirks: ask.quirks,
        insert_max_output: ask.insert_max_output,
        default_max_output: ask.default_max_output,
        maker: ask.maker,
        starts: false,
    };
    let out = grammar(upstream).write_request(&request, &target, &mut losses)?;
    Ok(Translated { body: out, losses: losses.into_list(), batch: false })
}

/// Whether a conversation offers tools that the provider runs itself: asked twice, they may do twice what they do. True as well
/// of a body that cannot be read.
pub fn has_tools_of_the_provider(client: Dialect, body: &[u8]) -> bool {
    let read = std::str::from_utf8(body).ok().map(|body| grammar(client).read_request(body, &mut Losses::default()));
    !matches!(read, Some(Ok(request)) if request.tools.iter().all(|tool| tool.built_in.is_none()))
}
