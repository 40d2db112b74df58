//! Bounds the interim answers (1xx) that may come before an answer: hyper reads them on within one turn of its loop, so that a
//! provider that sends nothing else would keep a thread from every other call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use domain::{Fault, FaultClass};
use http::Request;
use tokio::sync::Notify;
use tokio::task::coop::poll_proceed;

/// Most interim answers to one request. One (`100 Continue`) or two (`103 Early Hints`) are what servers send.
const MOST: u32 = 32;

/// How many interim answers have come.
#[derive(Default)]
pub struct Interim {
    came: AtomicU32,
    too_many: Notify,
}

impl Interim {
    /// Counts those to this request.
    pub fn of<B>(request: &mut Request<B>) -> Arc<Interim> {
        let interim = Arc::new(Interim::default());
        let counts = interim.clone();
        hyper::ext::on_informational(request, move |_| counts.one());
        interim
    }

    /// Resolves once there are too many.
    pub async fn too_many(&self) -> Fault {
        self.too_many.notified().await;
        Fault::new(FaultClass::Malformed, format!("the provider sent more than {MOST} interim answers (1xx)"))
    }

    fn one(&self) {
        // Each takes from what the connection's task may do before it has to let others have their turn.
        if let Poll::Ready(turn) = poll_proceed(&mut Context::from_waker(Waker::noop())) {
            turn.made_progress();
        }
        if self.came.fetch_add(1, Ordering::Relaxed) == MOST {
            self.too_many.notify_one();
        }
    }
}
