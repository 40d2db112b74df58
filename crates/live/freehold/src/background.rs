//! Where everything runs that no call waits for: the store, taking the spool over, the jobs, the console. One thread of
//! its own with a lower priority, so that on a busy machine calls come first.

use std::future::Future;

use anyhow::Context;
use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How much nicer than the calls' threads these are: a tenth of the processor's time where both want all of it
/// (sched(7): each step is a factor of about 1.25). Threads they start, such as the database's, are as nice.
const NICER_BY: i32 = 10;

/// The lowest priority there is.
const LEAST: i32 = 19;

/// The runtime. Dropping it ends what still runs on it.
pub struct Background(Option<Runtime>);

impl Background {
    /// Starts the thread.
    pub fn start() -> anyhow::Result<Background> {
        // Not a step on each thread: those that a thread here starts have its priority to begin with.
        let nice = getpriority_process(None).unwrap_or(0).saturating_add(NICER_BY).min(LEAST);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("background")
            .enable_all()
            .on_thread_start(move || {
                // On Linux this is about the calling thread. Where the system does not let us be nice, calls have to share.
                let _ = setpriority_process(None, nice);
            })
            .build();
        Ok(Background(Some(runtime.context("the background thread could not be started")?)))
    }

    /// Runs a job there.
    pub fn spawn<T: Send + 'static>(&self, job: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let runtime = self.0.as_ref().expect("it is there until it is dropped");
        runtime.spawn(job)
    }

    /// Runs something there that has to be done before going on.
    pub async fn done<T: Send + 'static>(&self, job: impl Future<Output = T> + Send + 'static) -> anyhow::Result<T> {
        self.spawn(job).await.context("a job of the start ended early")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // An ordinary drop waits for the thread, which an async caller must not.
            runtime.shutdown_background();
        }
    }
}
