//! OpenAI's chat completions: one flat list of messages, tool arguments as strings, a stream of deltas.

mod answer;
mod content;
mod messages;
mod ranking;
mod read;
mod stream_read;
mod stream_write;
mod vectors;
mod write;

use domain::Fault;

use super::{Grammar, ReadStream, WriteStream};
use crate::canonical::{Answer, Cover, Losses, Request, Target};

/// The grammar.
pub(crate) struct OpenAiChat;

impl Grammar for OpenAiChat {
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<Request<'a>, Fault> {
        read::request(body, losses)
    }

    fn write_request(&self, request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
        write::request(request, to, losses)
    }

    fn read_answer<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault> {
        answer::read(body, losses)
    }

    fn write_answer(&self, answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8> {
        answer::write(answer, cover, losses)
    }

    fn stream_reader(&self) -> Box<dyn ReadStream> {
        Box::new(stream_read::Reader::default())
    }

    fn stream_writer(&self, cover: Cover) -> Box<dyn WriteStream> {
        Box::new(stream_write::Writer::new(cover))
    }
}
