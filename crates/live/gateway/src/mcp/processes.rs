//! Which servers of tools run as processes of ours, by the name of their session.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use config::McpServer;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::process::{Process, Started};

/// How long all of them may take to end with Freehold, milliseconds.
const END_ALL_MS: u64 = 6_000;

/// The running ones.
#[derive(Default)]
pub struct Processes {
    sessions: Mutex<FxHashMap<String, Running>>,
    /// Also those that are ending.
    alive: AtomicUsize,
}

struct Running {
    server: Arc<McpServer>,
    process: Arc<Process>,
}

impl Processes {
    /// The process of a session with this server.
    pub fn get(&self, server: &McpServer, session: &str) -> Option<Arc<Process>> {
        let sessions = self.sessions.lock();
        sessions.get(session).filter(|known| known.server.name == server.name).map(|known| known.process.clone())
    }

    /// Starts one for a session. Without an error it has as many as it may.
    pub fn begin(
        &self,
        session: &str,
        server: &Arc<McpServer>,
        start: impl FnOnce() -> io::Result<(Arc<Process>, Started)>,
    ) -> Result<(Arc<Process>, Started), Option<io::Error>> {
        let mut sessions = self.sessions.lock();
        if sessions.values().filter(|known| known.server.name == server.name).count() >= server.max_sessions {
            return Err(None);
        }
        let (process, started) = start().map_err(Some)?;
        sessions.insert(session.to_owned(), Running { server: server.clone(), process: process.clone() });
        self.alive.fetch_add(1, Ordering::Relaxed);
        Ok((process, started))
    }

    /// Ends a session: whoever names it from now on is told that there is none.
    pub fn forget(&self, process: &Arc<Process>) {
        self.sessions.lock().retain(|_, known| !Arc::ptr_eq(&known.process, process));
    }

    /// Notes that the process of a session is gone.
    pub fn ended(&self, session: &str) {
        self.sessions.lock().remove(session);
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends them all.
    pub async fn end_all(&self) {
        self.sessions.lock().values().for_each(|known| known.process.end());
        let all = async {
            while self.alive.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(END_ALL_MS), all).await;
    }
}
