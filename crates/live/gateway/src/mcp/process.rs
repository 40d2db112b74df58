//! A server of tools that is a process of ours: its pipes, who waits for what it says, and its end. No argument and no
//! result of a tool is logged; what it writes to its standard error is thrown away, since both may stand in it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc};
use wire::mcp::{Id, Said, frame, said};

/// The longest message or event taken, bytes.
pub const EVENT_BYTES: usize = 8 << 20;
/// Lines on their way to a process; more wait.
const LINES_WAITING: usize = 16;
/// Messages of a process that wait for one client; the process waits then.
const MESSAGES_WAITING: usize = 64;
/// Messages nobody asked for that are kept while nobody listens; of more the oldest are dropped.
const UNASKED_KEPT: usize = 64;
/// How long a process may take to end by itself once its input is closed, and after SIGTERM, milliseconds.
const END_MS: u64 = 2_000;
const TERM_MS: u64 = 1_000;
/// How often it is looked at meanwhile, milliseconds.
const LOOK_MS: u64 = 20;
/// Variables a process needs to find its way about.
const GIVEN: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// A running process, as those see it who talk to it.
pub struct Process {
    lines: Mutex<Option<mpsc::Sender<Bytes>>>,
    waiting: Mutex<FxHashMap<Id, Waiting>>,
    unasked: Mutex<Unasked>,
    asked: AtomicU64,
    used: Mutex<Instant>,
    end: Notify,
    /// Messages that nobody took.
    pub dropped: AtomicU64,
}

struct Waiting {
    /// Which of those that had the identifier.
    number: u64,
    answer: mpsc::Sender<Bytes>,
    progress: Option<Id>,
}

#[derive(Default)]
struct Unasked {
    kept: VecDeque<Bytes>,
    listener: Option<mpsc::Sender<Bytes>>,
}

/// What a process says to one request; it is no longer waited for when this is dropped.
pub struct Asked {
    process: Arc<Process>,
    id: Id,
    number: u64,
    messages: mpsc::Receiver<Bytes>,
}

/// The process itself, for whom it is to end.
pub struct Started {
    child: Child,
    out: ChildStdout,
}

impl Process {
    /// Starts one. Of our environment it is given little, so that no credential of Freehold's is in it.
    /// What it writes to its standard error goes to our log under the name `log_as`, or nowhere.
    pub fn start(
        command: &[String],
        environment: &[String],
        log_as: Option<&str>,
    ) -> std::io::Result<(Arc<Process>, Started)> {
        let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let given = GIVEN.into_iter().chain(environment.iter().map(String::as_str));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(given.filter_map(|name| Some((name, std::env::var_os(name)?))))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if log_as.is_some() { Stdio::piped() } else { Stdio::null() })
            // A group of its own, so that what it starts ends with it, and no signal of a terminal reaches it first.
            .process_group(0)
            .spawn()?;
        let (input, out) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(out)) = (input, out) else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        let (lines, waiting_lines) = mpsc::channel(LINES_WAITING);
        let process = Arc::new(Process {
            lines: Mutex::new(Some(lines)),
            waiting: Mutex::default(),
            unasked: Mutex::default(),
            asked: AtomicU64::new(0),
            used: Mutex::new(Instant::now()),
            end: Notify::new(),
            dropped: AtomicU64::new(0),
        });
        let input = pipe::Sender::from_owned_fd(OwnedFd::from(input))?;
        tokio::spawn(write(input, waiting_lines));
        if let (Some(server), Some(errors)) = (log_as, child.stderr.take()) {
            let errors = pipe::Receiver::from_owned_fd(OwnedFd::from(errors))?;
            let server = server.to_owned();
            tokio::spawn(super::stderr::log(errors, move |line| {
                tracing::info!(server, "a server of tools wrote to its standard error: {line}");
            }));
        }
        Ok((process, Started { child, out }))
    }

    /// Sends one message, which is put on one line. Nothing where the process is ending.
    pub async fn tell(&self, message: &Bytes) -> Option<()> {
        *self.used.lock() = Instant::now();
        let lines = self.lines.lock().clone()?;
        lines.send(on_one_line(message)).await.ok()
    }

    /// Sends a request and returns what is said to it; nothing where its identifier is in use already.
    pub fn ask(self: &Arc<Self>, id: &Id, progress: Option<Id>) -> Option<Asked> {
        let (answer, messages) = mpsc::channel(MESSAGES_WAITING);
        let mut waiting = self.waiting.lock();
        if waiting.contains_key(id) {
            return None;
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        waiting.insert(id.clone(), Waiting { number, answer, progress });
        Some(Asked { process: self.clone(), id: id.clone(), number, messages })
    }

    /// Waits for no more of what is said to a request: its client has cancelled it, and no answer need come.
    pub fn give_up(&self, id: &Id) {
        self.waiting.lock().remove(id);
    }

    /// What it says by itself from now on, and what was kept of that. Whoever listened before listens no longer.
    pub fn listen(&self) -> mpsc::Receiver<Bytes> {
        let (listener, messages) = mpsc::channel(MESSAGES_WAITING + UNASKED_KEPT);
        let mut unasked = self.unasked.lock();
        for message in unasked.kept.drain(..) {
            let _ = listener.try_send(message);
        }
        unasked.listener = Some(listener);
        messages
    }

    /// Has it end.
    pub fn end(&self) {
        self.end.notify_one();
    }

    /// How long nobody has wanted anything of it.
    pub fn idle(&self) -> Duration {
        let listened = self.unasked.lock().listener.as_ref().is_some_and(|listener| !listener.is_closed());
        if listened || !self.waiting.lock().is_empty() { Duration::ZERO } else { self.used.lock().elapsed() }
    }

    /// Hands one message to whom it belongs.
    async fn hand_out(&self, line: &[u8]) {
        let message = Bytes::from(frame(line));
        let to = match said(line) {
            Said::Answer { id: Some(id), .. } => {
                *self.used.lock() = Instant::now();
                let answer = self.waiting.lock().get(&id).map(|waiting| waiting.answer.clone());
                match answer {
                    Some(answer) => answer,
                    // Its client has left: what nobody waits for belongs to nobody.
                    None => return self.drop_one(),
                }
            }
            Said::Progress(token) => {
                let waiting = self.waiting.lock();
                let asked = waiting.values().find(|waiting| waiting.progress.as_ref() == Some(&token));
                match asked.map(|waiting| waiting.answer.clone()) {
                    Some(answer) => answer,
                    None => return self.drop_one(),
                }
            }
            Said::Answer { id: None, .. } | Said::Other => return self.keep_unasked(message),
        };
        if to.send(message).await.is_err() {
            self.drop_one();
        }
    }

    fn keep_unasked(&self, message: Bytes) {
        let mut unasked = self.unasked.lock();
        let message = match unasked.listener.as_ref().map(|listener| listener.try_send(message.clone())) {
            Some(Ok(())) => return,
            Some(Err(mpsc::error::TrySendError::Full(_))) => {
                drop(unasked);
                return self.drop_one();
            }
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => message,
        };
        unasked.listener = None;
        unasked.kept.push_back(message);
        if unasked.kept.len() > UNASKED_KEPT {
            unasked.kept.pop_front();
            drop(unasked);
            self.drop_one();
        }
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells everybody who waits that nothing more comes.
    fn leave(&self) {
        self.lines.lock().take();
        self.waiting.lock().clear();
        self.unasked.lock().listener = None;
    }
}

impl Asked {
    /// The next message to this request; nothing where the process has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.messages.recv().await
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut waiting = self.process.waiting.lock();
        // Given up, and the identifier used again meanwhile.
        if waiting.get(&self.id).is_some_and(|current| current.number == self.number) {
            waiting.remove(&self.id);
        }
    }
}

impl Started {
    /// Serves the process until it ends, is told to, or `unwanted` says so; then ends it and all it has started.
    pub async fn run(self, process: Arc<Process>, unwanted: impl Future<Output = ()>) {
        let Started { mut child, out } = self;
        let group = Pid::from_child(&child);
        match pipe::Receiver::from_owned_fd(OwnedFd::from(out)) {
            Ok(out) => tokio::select! {
                () = read(out, &process) => {}
                () = process.end.notified() => {}
                () = unwanted => {}
            },
            Err(error) => tracing::error!(%error, "the output of a server of tools cannot be read"),
        }
        process.leave();
        for (patience_ms, signal) in [(END_MS, Signal::TERM), (TERM_MS, Signal::KILL)] {
            if gone(&mut child, patience_ms).await {
                break;
            }
            let _ = kill_process_group(group, signal);
        }
        gone(&mut child, END_MS).await;
        // What it has started and left behind.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Whether a process has ended within a time.
async fn gone(child: &mut Child, within_ms: u64) -> bool {
    let until = Instant::now() + Duration::from_millis(within_ms);
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(LOOK_MS)).await,
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

async fn write(mut input: pipe::Sender, mut lines: mpsc::Receiver<Bytes>) {
    // Whole lines only, whatever becomes of who sent them. A process that reads no more is noticed by its silence.
    while let Some(line) = lines.recv().await {
        if input.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Reads messages, one a line, until there are no more.
async fn read(mut out: pipe::Receiver, process: &Process) {
    let mut pending = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match out.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let mut rest = &buffer[..read];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            pending.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = pending.trim_ascii();
            if !line.is_empty() {
                process.hand_out(line).await;
            }
            pending.clear();
            pending.shrink_to(64 << 10);
        }
        if pending.len() + rest.len() > EVENT_BYTES {
            tracing::warn!(limit = EVENT_BYTES, "a server of tools wrote a line longer than it may; it is ended");
            return;
        }
        pending.extend_from_slice(rest);
    }
}

/// JSON on one line: a line feed can only stand between its words.
fn on_one_line(message: &[u8]) -> Bytes {
    let mut line: Vec<u8> =
        message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    line.push(b'\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Arc<Process>, tokio::task::JoinHandle<()>) {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let (process, started) = Process::start(&command, &[], None).unwrap();
        let running = tokio::spawn(started.run(process.clone(), std::future::pending()));
        (process, running)
    }

    #[tokio::test]
    async fn what_it_says_reaches_who_asked_and_the_rest_who_listens() {
        let script = r#"read line; echo '{"method":"notifications/message"}'; echo '{"method":"notifications/progress","params":{"progressToken":7}}'; echo '{"id":1,"result":{}}'; read end"#;
        let (process, running) = shell(script);
        let mut asked = process.ask(&Id::Number(1), Some(Id::Number(7))).unwrap();
        assert!(process.ask(&Id::Number(1), None).is_none(), "an identifier is used once at a time");
        process.tell(&Bytes::from_static(b"{\n\"id\": 1}")).await.unwrap();
        assert!(asked.next().await.unwrap().starts_with(b"event: message\ndata: {\"method\":\"notifications/progress"));
        assert!(asked.next().await.unwrap().starts_with(b"event: message\ndata: {\"id\":1"));
        assert!(process.listen().recv().await.unwrap().ends_with(b"{\"method\":\"notifications/message\"}\n\n"));
        process.give_up(&Id::Number(1));
        let again = process.ask(&Id::Number(1), None).unwrap();
        assert!(asked.next().await.is_none());
        drop(asked);
        assert!(process.ask(&Id::Number(1), None).is_none(), "whoever asked again still waits");
        drop(again);
        assert!(process.ask(&Id::Number(1), None).is_some());
        process.end();
        running.await.unwrap();
        assert!(process.tell(&Bytes::new()).await.is_none());
    }

    #[tokio::test]
    async fn a_process_that_ends_leaves_nobody_waiting() {
        let (process, running) = shell("exit 3");
        let mut asked = process.ask(&Id::Number(1), None);
        running.await.unwrap();
        if let Some(asked) = &mut asked {
            assert!(asked.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_process_that_ignores_its_end_is_killed_with_all_it_started() {
        let (process, running) = shell("trap '' TERM; sleep 1000 & while :; do sleep 1000; done");
        process.end();
        running.await.unwrap();
    }
}
