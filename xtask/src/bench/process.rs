//! Processes under measurement: started on their own processor, and read through /proc.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The processor of whatever is measured, and the one of everything that measures.
#[derive(Clone, Copy)]
pub enum Place {
    /// The gateway's own.
    Measured,
    /// Upstream and load.
    Around,
}

/// A process of the bench; ended when dropped.
pub struct Process {
    child: Child,
    name: String,
}

/// A command pinned to its processor where there are two, and raised in priority where this is root, so that other work on
/// the machine takes little from it.
pub fn pinned(place: Place, program: &Path) -> Command {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut words: Vec<String> = Vec::new();
    if crate::setup::is_root() {
        words.extend(["nice", "-n", "-15"].map(String::from));
    }
    if processors > 1 {
        let list = match place {
            Place::Measured => "1".to_owned(),
            // With more than two, load and upstream share the rest.
            Place::Around if processors > 2 => format!("0,2-{}", processors - 1),
            Place::Around => "0".to_owned(),
        };
        words.extend(["taskset".to_owned(), "--cpu-list".to_owned(), list]);
    }
    words.push(program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

impl Process {
    /// Starts it; what it prints goes to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let output = fs::File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Process { child, name: name.to_owned() })
    }

    /// Waits until `ready` says so.
    pub fn wait_until(&mut self, log: &Path, mut ready: impl FnMut() -> bool) -> Result<Duration> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            if ready() {
                return Ok(started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, fs::read_to_string(log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("{} is not ready after 30 s; see {}", self.name, log.display())
    }

    /// Processor time it has used, with its children, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.tree().iter().map(|process| cpu_ns_of(*process)).sum()
    }

    /// Memory it holds, shared pages counted by share, KiB.
    pub fn memory_kib(&self) -> u64 {
        self.tree().iter().map(|process| memory_kib_of(*process)).sum()
    }

    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while at < tree.len() {
            let process = tree[at];
            let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
            tree.extend(listed.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            at += 1;
        }
        tree
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let asked = Instant::now();
        while ended.is_ok() && asked.elapsed() < Duration::from_secs(5) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // It had its time; the bench's directory is thrown away anyway.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sum over threads of the first figure of schedstat: time on a processor, nanoseconds. Threads that ended are not in it;
/// none of the measured programs ends threads while it serves.
fn cpu_ns_of(process: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

fn memory_kib_of(process: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Busy and stolen time of the whole machine since it started, in ticks of 10 ms.
pub fn machine_ticks() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let at = |index: usize| fields.get(index).copied().unwrap_or(0);
    (at(0) + at(1) + at(2) + at(5) + at(6), at(7))
}
