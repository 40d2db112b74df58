//! What monitors see of a process that is not there yet, and the wait for a shared database that is away: an orchestrator that
//! restarts a process whose database is away only makes both come back later.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use control::DataDirectory;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::background::Background;
use crate::storage;

/// How long after the first failure the database is tried again, milliseconds; twice as long after each further one.
const FIRST_PAUSE_MS: u64 = 250;
/// The longest pause between two tries, milliseconds: so long after the database is back calls may still have to wait.
const LONGEST_PAUSE_MS: u64 = 8_000;

/// The listener of the console before there is a console.
pub struct Starting {
    listener: StdListener,
    /// Whether a shared database is waited for.
    waiting: Arc<AtomicBool>,
    end: oneshot::Sender<()>,
    pages: JoinHandle<()>,
}

impl Starting {
    /// Answers monitors from now on: alive, and why no calls are taken.
    pub async fn listen(listener: TcpListener, background: &Background) -> anyhow::Result<Starting> {
        let listener = listener.into_std()?;
        let same = listener.try_clone()?;
        let waiting = Arc::new(AtomicBool::new(false));
        let (end, ended) = oneshot::channel::<()>();
        let pages = router(waiting.clone());
        let pages = background.spawn(async move {
            let served = match TcpListener::from_std(same) {
                Ok(listener) => {
                    axum::serve(listener, pages).with_graceful_shutdown(async move { drop(ended.await) }).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::error!(%error, "monitors get no answer before the start is done");
            }
        });
        Ok(Starting { listener, waiting, end, pages })
    }

    /// Where that is.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Opens the database. One that is shared and away is waited for, as long as it takes; what no waiting mends is an error.
    pub async fn store(&self, data: &DataDirectory, database: Option<&str>) -> anyhow::Result<Store> {
        let mut pause_ms = FIRST_PAUSE_MS;
        loop {
            let error = match storage::open(data, database).await {
                Ok(store) => {
                    if self.waiting.swap(false, Ordering::Relaxed) {
                        tracing::info!("the database is there; the start goes on");
                    }
                    return Ok(store);
                }
                Err(error) => error,
            };
            let away = error.downcast_ref::<store::StoreError>().is_some_and(store::StoreError::is_away);
            if database.is_none() || !away {
                return Err(error);
            }
            if !self.waiting.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    "no calls are taken: {error:#}; it holds the keys, and is tried again until it is there (at most {} s apart)",
                    LONGEST_PAUSE_MS / 1_000
                );
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
        }
    }

    /// Ends these pages and gives the listener to those that follow; who connects meanwhile waits in its queue.
    pub async fn done(self, background: &Background) -> anyhow::Result<TcpListener> {
        let Starting { listener, end, pages, .. } = self;
        let _ = end.send(());
        pages.await.context("what answers monitors during the start ended early")?;
        background.done(async move { TcpListener::from_std(listener) }).await?.context("the console cannot listen")
    }
}

/// Says of every page but `/healthz` that it is not there yet. Not more: an error may name hosts, and nobody is asked who they are.
fn router(waiting: Arc<AtomicBool>) -> Router {
    let not_ready = get(move || async move {
        let why = match waiting.load(Ordering::Relaxed) {
            true => "waiting: the PostgreSQL database, which holds the keys, cannot be reached; see the log\n",
            false => "starting: reading what is booked\n",
        };
        (StatusCode::SERVICE_UNAVAILABLE, why)
    });
    Router::new().route("/healthz", get(|| async { "ok\n" })).fallback_service(not_ready)
}
