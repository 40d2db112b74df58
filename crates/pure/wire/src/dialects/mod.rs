//! One folder per dialect: how it is read into the canonical form and written from it.
//!
//! A dialect is a [`Grammar`] and a row in [`grammar`]. No dialect knows another.

/// The grammar of a dialect whose folder has these files, each with its part of it.
macro_rules! grammar_of {
    ($name:ident) => {
        impl crate::dialects::Grammar for $name {
            fn read_request<'a>(
                &self,
                body: &'a str,
                losses: &mut crate::canonical::Losses,
            ) -> Result<crate::canonical::Request<'a>, domain::Fault> {
                read::request(body, losses)
            }

            fn write_request(
                &self,
                request: &crate::canonical::Request<'_>,
                to: &crate::canonical::Target<'_>,
                losses: &mut crate::canonical::Losses,
            ) -> Result<Vec<u8>, domain::Fault> {
                write::request(request, to, losses)
            }

            fn read_answer<'a>(
                &self,
                body: &'a str,
                losses: &mut crate::canonical::Losses,
            ) -> Result<crate::canonical::Answer<'a>, domain::Fault> {
                answer::read(body, losses)
            }

            fn write_answer(
                &self,
                answer: &crate::canonical::Answer<'_>,
                cover: &crate::canonical::Cover,
                losses: &mut crate::canonical::Losses,
            ) -> Vec<u8> {
                answer::write(answer, cover, losses)
            }

            fn stream_reader(&self) -> Box<dyn crate::dialects::ReadStream> {
                Box::new(stream_read::Reader::default())
            }

            fn stream_writer(&self, cover: crate::canonical::Cover) -> Box<dyn crate::dialects::WriteStream> {
                Box::new(stream_write::Writer::new(cover))
            }
        }
    };
}

pub mod anthropic;
pub mod bedrock_converse;
pub mod cohere;
pub mod gemini;
pub mod openai_chat;
pub mod openai_responses;

use domain::Fault;
use serde_json::value::RawValue;

use crate::canonical::ranking::{RankingAnswer, RankingRequest};
use crate::canonical::vectors::{VectorAnswer, VectorRequest};
use crate::canonical::{Answer, Cover, Event, Losses, Request, Target};
use crate::dialect::Dialect;
use crate::sse;

/// How a dialect is read and written.
pub(crate) trait Grammar: Sync {
    /// Reads a request for an answer.
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault>;
    /// Writes one for a provider.
    fn write_request(&self, request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault>;
    /// Reads a whole answer.
    fn read_answer<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault>;
    /// Writes one for a client.
    fn write_answer(&self, answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8>;
    /// Reads a stream.
    fn stream_reader(&self) -> Box<dyn ReadStream>;
    /// Writes one for a client.
    fn stream_writer(&self, cover: Cover) -> Box<dyn WriteStream>;
}

/// How a dialect asks for vectors of texts and pictures and gives them.
pub(crate) trait Vectors: Sync {
    /// Reads a request.
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<VectorRequest<'a>, Fault>;
    /// Writes one for a provider.
    fn write_request(&self, request: &VectorRequest<'_>, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Fault>;
    /// Reads the vectors of an answer, in the order of the inputs; that they are lists of numbers is checked elsewhere.
    fn read_answer<'a>(&self, body: &'a str) -> Result<Vec<&'a RawValue>, Fault>;
    /// Writes an answer to this request for a client.
    fn write_answer(&self, answer: &VectorAnswer<'_>, request: &VectorRequest<'_>, cover: &Cover) -> Vec<u8>;
    /// Whether this request goes to the address for a list, where the dialect has another for one text.
    fn asks_apart(&self, _request: &VectorRequest<'_>) -> bool {
        false
    }
}

/// How a dialect asks for a ranking and gives it. All give the same members of a result.
pub(crate) trait Rankings: Sync {
    /// Reads a request.
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<RankingRequest<'a>, Fault>;
    /// Writes one for a provider.
    fn write_request(&self, request: &RankingRequest<'_>, model: &str, losses: &mut Losses) -> Vec<u8>;
    /// Writes an answer to this request for a client.
    fn write_answer(&self, answer: &RankingAnswer<'_>, request: &RankingRequest<'_>, cover: &Cover) -> Vec<u8>;
}

/// How many tool calls of one answer are counted.
pub(crate) const MAX_CALLS: u32 = 1_024;

/// Who is handed what an event says.
pub(crate) type Each<'e> = dyn FnMut(Event<'_>, &mut Losses) -> Result<(), Fault> + 'e;

/// Reads the events of one stream.
pub(crate) trait ReadStream: Send {
    /// Reads one event and hands what it says to `each`, in order. An error event is the inner `Err`.
    fn read(
        &mut self,
        event: &sse::Event<'_>,
        losses: &mut Losses,
        each: &mut dyn FnMut(Event<'_>, &mut Losses) -> Result<(), Fault>,
    ) -> Result<Result<(), Fault>, Fault>;

    /// The provider closed the stream: what that says, in a dialect that has no event for the end.
    fn end(
        &mut self,
        _losses: &mut Losses,
        _each: &mut dyn FnMut(Event<'_>, &mut Losses) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        Ok(())
    }
}

/// Writes the frames of one stream.
pub(crate) trait WriteStream: Send {
    /// Writes what one event comes to, if anything yet.
    fn write(&mut self, event: &Event<'_>, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Fault>;

    /// Bytes held back: what the dialect can only say whole, or says once more at the end.
    fn held_bytes(&self) -> usize {
        0
    }

    /// The number of the next event, where the dialect numbers them.
    fn next_sequence(&self) -> u64 {
        0
    }
}

/// The grammar of a dialect.
pub(crate) fn grammar(dialect: Dialect) -> &'static dyn Grammar {
    match dialect {
        Dialect::OpenAiChat => &openai_chat::OpenAiChat,
        Dialect::OpenAiResponses => &openai_responses::OpenAiResponses,
        Dialect::Anthropic => &anthropic::Anthropic,
        Dialect::Gemini => &gemini::Gemini,
        Dialect::BedrockConverse => &bedrock_converse::BedrockConverse,
        Dialect::Cohere => &cohere::Cohere,
    }
}

/// How a dialect speaks of vectors. `None`: it has none.
pub(crate) fn vectors(dialect: Dialect) -> Option<&'static dyn Vectors> {
    match dialect {
        Dialect::OpenAiChat => Some(&openai_chat::OpenAiChat),
        Dialect::Gemini => Some(&gemini::Gemini),
        Dialect::Cohere => Some(&cohere::Cohere),
        Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::BedrockConverse => None,
    }
}

/// How a dialect speaks of rankings. `None`: it has none.
pub(crate) fn rankings(dialect: Dialect) -> Option<&'static dyn Rankings> {
    match dialect {
        Dialect::OpenAiChat => Some(&openai_chat::OpenAiChat),
        Dialect::Cohere => Some(&cohere::Cohere),
        Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Gemini | Dialect::BedrockConverse => None,
    }
}
