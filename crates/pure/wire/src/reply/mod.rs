//! Relays what a provider answers to the client, and reads on the way what the ledger has to know.
//!
//! [`ReplyPlan`] says what the answer is to look like and [`Seen`] what was seen of it; [`StreamRelay`] relays a stream,
//! [`reply_body`] a whole answer, `batch` what came of one request of a batch; [`Kept`] is the beginning of its text. `openai`, `responses`, `anthropic`, `gemini`,
//! `bedrock` and `cohere` read their dialect in place; `stop` ends an answer before its provider does.

mod anthropic;
mod batch;
mod bedrock;
mod body;
mod cohere;
mod frame;
mod gemini;
mod kept;
mod media;
mod openai;
mod plan;
mod responses;
mod stop;
mod stream;

pub(crate) use batch::result_body;
pub use batch::{Names, ResultLine};
pub use body::reply_body;
pub use kept::Kept;
pub use plan::{ReplyPlan, Seen};
pub(crate) use responses::{stored as stored_answer, stored_input};
pub use stream::StreamRelay;
