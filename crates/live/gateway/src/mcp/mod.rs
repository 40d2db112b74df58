//! Servers of tools: `/mcp/NAME` speaks the Model Context Protocol's streamable HTTP to applications and passes on what they
//! may say to a configured server, over HTTP or as a process of ours. [`serve`] takes a request, [`allow`] decides whether it
//! may pass, [`call`] lives a tool call to its booking and [`exchange`] moves one request and its answer; [`listen`] relays
//! what a server says by itself. The two ways to a server are [`web`] and [`stdio`], behind [`reach`].

pub mod serve;
pub mod allow;
pub mod call;
pub mod booking;
pub mod exchange;
pub mod listen;
pub mod reach;
pub mod events;
pub mod web;
mod stderr;
pub mod stdio;
pub mod process;
pub mod processes;
pub mod session;
pub mod refusal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use wire::mcp::Id;

use processes::Processes;

/// Names of tools remembered per server: more would be a server gone wrong, and each is a label of the metrics.
const TOOLS_REMEMBERED: usize = 1_000;

/// What outlives a request.
#[derive(Default)]
pub struct Mcp {
    /// Servers that are processes of ours.
    pub processes: Arc<Processes>,
    seen: Mutex<FxHashMap<Arc<str>, FxHashSet<String>>>,
    running: Arc<Mutex<FxHashMap<Running, Arc<AtomicBool>>>>,
}

/// A tool call under way: whose and in which session, and its identifier there.
type Running = (String, Id);

/// A tool call that may be told to have been cancelled by its client; forgotten when it is dropped.
pub struct Cancellable {
    running: Arc<Mutex<FxHashMap<Running, Arc<AtomicBool>>>>,
    which: Running,
    cancelled: Arc<AtomicBool>,
}

impl Mcp {
    /// Remembers that a server has a tool of this name.
    pub fn saw(&self, server: &Arc<str>, tool: &str) {
        let mut seen = self.seen.lock();
        let tools = seen.entry(server.clone()).or_default();
        if tools.len() < TOOLS_REMEMBERED && !tools.contains(tool) {
            tools.insert(tool.to_owned());
        }
    }

    /// Whether a server is known to have a tool of this name.
    pub fn has_seen(&self, server: &str, tool: &str) -> bool {
        self.seen.lock().get(server).is_some_and(|tools| tools.contains(tool))
    }

    /// Notes a tool call, so that its client can cancel it.
    pub fn running(&self, whose: String, id: Id) -> Cancellable {
        let (which, cancelled) = ((whose, id), Arc::new(AtomicBool::new(false)));
        self.running.lock().insert(which.clone(), cancelled.clone());
        Cancellable { running: self.running.clone(), which, cancelled }
    }

    /// Notes that a client has cancelled a tool call.
    pub fn cancel(&self, whose: String, id: Id) {
        if let Some(cancelled) = self.running.lock().get(&(whose, id)) {
            cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl Cancellable {
    /// Whether its client has cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        // A client that uses an identifier twice has replaced the entry.
        if running.get(&self.which).is_some_and(|current| Arc::ptr_eq(current, &self.cancelled)) {
            running.remove(&self.which);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_cancelled_by_its_own_client_only_and_forgotten_at_its_end() {
        let mcp = Mcp::default();
        let call = mcp.running("a".into(), Id::Number(1));
        mcp.cancel("b".into(), Id::Number(1));
        mcp.cancel("a".into(), Id::Text("1".into()));
        assert!(!call.is_cancelled());
        mcp.cancel("a".into(), Id::Number(1));
        assert!(call.is_cancelled());
        drop(call);
        assert!(mcp.running.lock().is_empty());
    }

    #[test]
    fn a_server_that_names_ever_new_tools_is_remembered_in_part() {
        let (mcp, server) = (Mcp::default(), Arc::from("s"));
        (0..2 * TOOLS_REMEMBERED).for_each(|n| mcp.saw(&server, &n.to_string()));
        assert!(mcp.has_seen("s", "0") && !mcp.has_seen("s", &(2 * TOOLS_REMEMBERED - 1).to_string()));
    }
}
