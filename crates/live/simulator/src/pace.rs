//! A body that sends its frames when they are due, and tells the transcript how it ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::frames::Frames;
use crate::transcript::{Entry, State};

/// Most bytes handed over at once: what is due together leaves in few writes.
const BATCH_BYTES: usize = 64 << 10;
/// How long what was written may take to leave before a scripted reset.
const FLUSH: Duration = Duration::from_millis(20);

/// When the frames of an answer are due.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// From the beginning to the first frame with content.
    pub first: Duration,
    /// From one frame with content to the next.
    pub gap: Duration,
    /// After so many frames with content nothing comes for so long; for ever where absent.
    pub stall: Option<(usize, Option<Duration>)>,
}

/// How a body ends once all frames are out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Properly; the transcript then has this state.
    Proper(State),
    /// By resetting the connection.
    Reset,
}

/// The body.
pub struct Paced {
    frames: Frames,
    pace: Pace,
    end: End,
    began: Instant,
    next: usize,
    sent: usize,
    sleep: Option<Pin<Box<Sleep>>>,
    reset_at: Option<Instant>,
    /// What Content-Length says, where it is to be said.
    length: Option<u64>,
    entry: Option<Entry>,
    ended: bool,
}

/// The script wants the connection reset.
#[derive(Debug)]
pub struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reset by the script")
    }
}

impl std::error::Error for Reset {}

impl Paced {
    /// A streamed answer.
    pub fn stream(frames: Frames, pace: Pace, end: End, entry: Entry) -> Paced {
        Paced::new(frames, pace, end, None, Some(entry))
    }

    /// A whole answer, of which `length` is told beforehand.
    pub fn whole(frames: Frames, length: usize, end: End, entry: Entry) -> Paced {
        Paced::new(frames, Pace::default(), end, Some(length as u64), Some(entry))
    }

    /// An answer that the transcript does not follow.
    pub fn plain(body: Vec<u8>) -> Paced {
        let length = body.len() as u64;
        Paced::new(Frames::whole(body), Pace::default(), End::Proper(State::Served), Some(length), None)
    }

    fn new(frames: Frames, pace: Pace, end: End, length: Option<u64>, entry: Option<Entry>) -> Paced {
        Paced {
            frames,
            pace,
            end,
            began: Instant::now(),
            next: 0,
            sent: 0,
            sleep: None,
            reset_at: None,
            length,
            entry,
            ended: false,
        }
    }

    /// When a frame is due; never, where absent.
    fn due(&self, frame: usize) -> Option<Instant> {
        let Some(content) = frame.checked_sub(self.frames.lead) else { return Some(self.began) };
        let tokens = u32::try_from(content).unwrap_or(u32::MAX);
        let mut due = self.began + self.pace.first + self.pace.gap * tokens;
        if let Some((after, stall)) = self.pace.stall
            && content >= after
        {
            due += stall?;
        }
        Some(due)
    }

    /// All frames that are due by now, at most a batch of them.
    fn batch(&mut self) -> Option<Bytes> {
        let unpaced = self.pace.first.is_zero() && self.pace.gap.is_zero() && self.pace.stall.is_none();
        let now = if unpaced { self.began } else { Instant::now() };
        let start = self.sent;
        while let Some(end) = self.frames.ends.get(self.next).copied() {
            if end - start > BATCH_BYTES && self.sent > start {
                break;
            }
            if !unpaced && self.due(self.next).is_none_or(|due| due > now) {
                break;
            }
            self.sent = end;
            self.next += 1;
        }
        (self.sent > start).then(|| self.frames.bytes.slice(start..self.sent))
    }

    fn finish(&mut self) {
        self.ended = true;
        let state = match self.end {
            End::Proper(state) => state,
            End::Reset => State::Broken,
        };
        if let Some(entry) = &mut self.entry {
            entry.ended(state, self.next, self.sent);
        }
    }

    fn wait(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(context)
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        let body = &mut *self;
        loop {
            if body.ended {
                return Poll::Ready(None);
            }
            if let Some(bytes) = body.batch() {
                let all = body.next == body.frames.ends.len();
                if all && body.end != End::Reset {
                    body.finish();
                }
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if body.next == body.frames.ends.len() {
                if body.end != End::Reset {
                    body.finish();
                    return Poll::Ready(None);
                }
                // What was written before must leave first: an error here makes hyper drop what it still holds.
                let until = *body.reset_at.get_or_insert_with(|| Instant::now() + FLUSH);
                std::task::ready!(body.wait(until, context));
                body.finish();
                return Poll::Ready(Some(Err(Reset)));
            }
            match body.due(body.next) {
                None => return Poll::Pending,
                Some(due) => std::task::ready!(body.wait(due, context)),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.sent as u64)),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        if !self.ended
            && let Some(entry) = &mut self.entry
        {
            entry.ended(State::ClientGone, self.next, self.sent);
        }
    }
}
