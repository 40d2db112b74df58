//! The way back to the client: a head once, then bytes, and the news that the client went away. The call runs in a
//! task of its own, so a client that hangs up stops nothing that must still be booked.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

/// Chunks that may wait for a slow client before the upstream is read no further.
const CHUNKS_WAITING: usize = 16;

/// The body of every answer.
pub enum ReplyBody {
    /// Known in full.
    Whole(Option<Bytes>),
    /// Comes piece by piece from the call's task.
    Stream(mpsc::Receiver<Bytes>),
}

impl ReplyBody {
    /// A body known in full.
    pub fn whole(bytes: impl Into<Bytes>) -> ReplyBody {
        ReplyBody::Whole(Some(bytes.into()))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            ReplyBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ReplyBody::Stream(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, ReplyBody::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            ReplyBody::Stream(_) => SizeHint::default(),
        }
    }
}

/// The client's end, as the call's task sees it before the head is sent.
pub struct Waiting {
    head: oneshot::Sender<Response<ReplyBody>>,
}

/// The client's end while a stream runs.
pub struct Streaming {
    pieces: mpsc::Sender<Bytes>,
}

/// The client went away.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

/// A pair: what the call's task writes to, and what the server waits for.
pub fn pair() -> (Waiting, oneshot::Receiver<Response<ReplyBody>>) {
    let (head, answer) = oneshot::channel();
    (Waiting { head }, answer)
}

impl Waiting {
    /// Resolves when the client has gone away.
    pub async fn gone(&mut self) {
        self.head.closed().await;
    }

    /// Sends a whole answer.
    pub fn send(self, response: Response<ReplyBody>) -> Result<(), Gone> {
        self.head.send(response).map_err(|_| Gone)
    }

    /// Sends the head of a stream.
    pub fn stream(self, head: http::response::Builder) -> Result<Streaming, Gone> {
        let (pieces, body) = mpsc::channel(CHUNKS_WAITING);
        let response = head.body(ReplyBody::Stream(body)).expect("status and headers are ours and valid");
        self.head.send(response).map_err(|_| Gone)?;
        Ok(Streaming { pieces })
    }
}

impl Streaming {
    /// Resolves when the client has gone away.
    pub async fn gone(&self) {
        self.pieces.closed().await;
    }

    /// Hands bytes over, waiting while the client is slow.
    pub async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.pieces.send(bytes).await.map_err(|_| Gone)
    }
}
