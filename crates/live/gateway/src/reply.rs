//! The way back to the client: a head once, then bytes, and the news that the client went away. The call runs in a
//! task of its own, so a client that hangs up stops nothing that must still be booked.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use tokio::sync::{mpsc, oneshot, watch};

/// Chunks that may wait for a slow client before the upstream is read no further.
const CHUNKS_WAITING: usize = 16;
/// How long a client may take to take a last word, milliseconds.
const LAST_WORD_MS: u64 = 1_000;

/// The body of every answer.
pub enum ReplyBody {
    /// Known in full.
    Whole(Option<Bytes>),
    /// Comes piece by piece from the call's task.
    Stream(mpsc::Receiver<Piece>),
    /// A stream that came to its end.
    Over,
}

/// A piece of a stream.
pub enum Piece {
    /// Bytes.
    Bytes(Bytes),
    /// Nothing more comes. A stream that stops without it was broken off, and the client must be able to tell.
    End,
}

impl ReplyBody {
    /// A body known in full.
    pub fn whole(bytes: impl Into<Bytes>) -> ReplyBody {
        ReplyBody::Whole(Some(bytes.into()))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let body = self.get_mut();
        let piece = match body {
            ReplyBody::Over => return Poll::Ready(None),
            ReplyBody::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ReplyBody::Stream(pieces) => std::task::ready!(pieces.poll_recv(context)),
        };
        Poll::Ready(match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => {
                *body = ReplyBody::Over;
                None
            }
            // hyper closes the connection without the last chunk, so that no client takes a part for the whole.
            None => Some(Err(io::Error::other("the answer was broken off"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, ReplyBody::Whole(None) | ReplyBody::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            ReplyBody::Stream(_) | ReplyBody::Over => SizeHint::default(),
        }
    }
}

/// How the connection of a request becomes a socket.
pub struct Upgrading {
    /// The way to it, once it was answered.
    pub on: OnUpgrade,
    /// What the answer says of the client's challenge (`Sec-WebSocket-Accept`).
    pub accept: HeaderValue,
    /// The subprotocol that was chosen.
    pub protocol: Option<HeaderValue>,
}

/// Is shown a whole answer before the call's end is written down: status, headers and body.
pub type First = Box<dyn FnOnce(StatusCode, HeaderMap, Bytes) -> Shown + Send + Sync>;

/// Resolves when whoever was shown an answer has taken note of it.
pub type Shown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The client's end, as the call's task sees it before the head is sent.
pub struct Waiting {
    head: oneshot::Sender<Response<ReplyBody>>,
    cut: watch::Receiver<bool>,
    /// Apart, since few clients want one.
    upgrading: Option<Box<Upgrading>>,
    first: Option<First>,
}

/// The client's end while a stream runs.
pub struct Streaming {
    pieces: mpsc::Sender<Piece>,
    cut: watch::Receiver<bool>,
}

/// A way to say one thing more on a stream whose task is no longer there to say it.
pub struct LastWord(mpsc::Sender<Piece>);

/// The client went away.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

/// Whoever may go away while something is waited for.
pub trait Leaves: Send {
    /// Resolves when it has gone away.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether it has gone away.
    fn is_gone(&self) -> bool;
}

impl Leaves for Waiting {
    async fn gone(&mut self) {
        tokio::select! {
            () = self.head.closed() => {}
            () = cut(&mut self.cut) => {}
        }
    }

    fn is_gone(&self) -> bool {
        self.head.is_closed() || *self.cut.borrow()
    }
}

impl Leaves for Streaming {
    async fn gone(&mut self) {
        self.apart().1.await;
    }

    fn is_gone(&self) -> bool {
        self.pieces.is_closed() || *self.cut.borrow()
    }
}

/// A pair: what the call's task writes to, and what the server waits for. When `cut` turns true, the client counts as gone:
/// the process ends, and what was spent is booked rather than left for recovery.
pub fn pair(cut: watch::Receiver<bool>) -> (Waiting, oneshot::Receiver<Response<ReplyBody>>) {
    let (head, answer) = oneshot::channel();
    (Waiting { head, cut, upgrading: None, first: None }, answer)
}

impl Waiting {
    /// The same of a client that wants a socket.
    pub fn upgrading(self, upgrading: Option<Upgrading>) -> Waiting {
        Waiting { upgrading: upgrading.map(Box::new), ..self }
    }

    /// The same of one that keeps an answer by itself, and must have it before anybody takes it for given.
    pub fn shown_to(self, first: First) -> Waiting {
        Waiting { first: Some(first), ..self }
    }

    /// Shows an answer to whom must have it first, if anybody.
    pub fn show(&mut self, response: &Response<ReplyBody>) -> Option<Shown> {
        let ReplyBody::Whole(Some(body)) = response.body() else { return None };
        let first = self.first.take()?;
        Some(first(response.status(), response.headers().clone(), body.clone()))
    }

    /// Says that the connection is a socket from here on; returns the way to it, and what ends it with the process.
    pub fn switch(self, head: http::response::Builder) -> Result<(OnUpgrade, watch::Receiver<bool>), Gone> {
        let Upgrading { on, accept, protocol } = *self.upgrading.ok_or(Gone)?;
        let mut head = head
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(headers) = head.headers_mut() {
            headers.remove(CONTENT_TYPE);
        }
        if let Some(protocol) = protocol {
            head = head.header(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let response = head.body(ReplyBody::Whole(None)).expect("status and headers are ours and valid");
        self.head.send(response).map_err(|_| Gone)?;
        Ok((on, self.cut))
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
        Ok(Streaming { pieces, cut: self.cut })
    }
}

impl Streaming {
    /// The way out, and beside it what resolves when the client has gone away: to be waited for all along, not anew
    /// with every piece.
    pub fn apart(&mut self) -> (Pieces<'_>, impl Future<Output = ()> + '_) {
        let Streaming { pieces, cut: cut_off } = self;
        let pieces: &mpsc::Sender<Piece> = pieces;
        let gone = async move {
            tokio::select! {
                biased;
                () = pieces.closed() => {}
                () = cut(cut_off) => {}
            }
        };
        (Pieces(pieces), gone)
    }

    /// Hands bytes over, waiting while the client is slow.
    pub async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.pieces.send(Piece::Bytes(bytes)).await.map_err(|_| Gone)
    }

    /// A way to say one thing more, should the call's task not get to its end.
    pub fn last_word(&self) -> LastWord {
        LastWord(self.pieces.clone())
    }

    /// Says that nothing more comes.
    pub async fn end(self) {
        // A client that is gone needs no end.
        let _ = self.pieces.send(Piece::End).await;
    }
}

/// The way out of a stream's pieces.
pub struct Pieces<'a>(&'a mpsc::Sender<Piece>);

impl Pieces<'_> {
    /// Hands bytes over where the client is not behind; otherwise gives them back.
    pub fn hand_over(&self, bytes: Bytes) -> Result<(), Behind> {
        self.0.try_send(Piece::Bytes(bytes)).map_err(|kept| match kept {
            mpsc::error::TrySendError::Full(Piece::Bytes(bytes)) => Behind::Slow(bytes),
            mpsc::error::TrySendError::Full(Piece::End) | mpsc::error::TrySendError::Closed(_) => Behind::Gone,
        })
    }

    /// Hands bytes over, waiting while the client is slow.
    pub async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.0.send(Piece::Bytes(bytes)).await.map_err(|_| Gone)
    }
}

/// Why a piece was not taken at once.
pub enum Behind {
    /// The client has not taken what came before.
    Slow(Bytes),
    /// It went away.
    Gone,
}

impl LastWord {
    /// Says it and ends the stream. A client that does not take it in time finds the stream broken off.
    pub async fn say(self, frame: Vec<u8>) {
        let said = async {
            self.0.send(Piece::Bytes(frame.into())).await?;
            self.0.send(Piece::End).await
        };
        let _ = tokio::time::timeout(Duration::from_millis(LAST_WORD_MS), said).await;
    }
}

async fn cut(cut: &mut watch::Receiver<bool>) {
    if cut.wait_for(|cut| *cut).await.is_err() {
        // Nobody is left who could cut.
        std::future::pending().await
    }
}
