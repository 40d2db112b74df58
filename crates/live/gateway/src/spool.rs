//! The append-only local segments: an intent is in the file before its attempt is sent, a record before the answer's
//! last byte is handed over. A process that is killed loses nothing it had promised; the store catches up later.
//!
//! Each append is one `write` to the operating system, which survives the death of this process. Power loss is another
//! matter: a background thread syncs every [`SYNC_EVERY_MS`] milliseconds, so that at most one such batch is at risk; in
//! [`Durability::Exact`] mode a call waits for that sync.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Entry;
use ledger::segment;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// Longest time an append stays unsynced, milliseconds.
pub const SYNC_EVERY_MS: u64 = 5;
/// A segment is closed when it has grown to this many bytes, so that the store can delete what it has taken over.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Or when it is this old and holds anything, milliseconds, so that captured bodies do not outlive their retention here.
pub const SEGMENT_MS: u64 = 3_600_000;
/// Records that could not be written (disk full) wait in memory up to this many bytes, while new calls are refused.
const BACKLOG_BYTES: usize = 64 << 20;

/// What an append waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// The operating system has it: survives SIGKILL. Power loss may cost one batch.
    Batched,
    /// The disk has it.
    Exact,
}

/// The writing end; cheap to share.
pub struct Spool {
    shared: Arc<Shared>,
    synced: watch::Receiver<u64>,
}

struct Shared {
    directory: PathBuf,
    durability: Durability,
    segment: Mutex<Segment>,
    /// Wakes the syncing thread.
    dirty: Condvar,
    appended: AtomicU64,
    failing: AtomicBool,
    closing: AtomicBool,
    dropped: AtomicU64,
}

struct Segment {
    file: File,
    bytes: u64,
    opened: Instant,
    /// Lines that a failed write left over, in order, to be written before anything else.
    backlog: Vec<u8>,
    unsynced: bool,
}

impl Spool {
    /// Opens a new segment in `directory`, which is made when missing, and starts the syncing thread.
    pub fn open(directory: &Path, durability: Durability) -> io::Result<Spool> {
        std::fs::create_dir_all(directory)?;
        let file = new_segment(directory)?;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            durability,
            segment: Mutex::new(Segment {
                file,
                bytes: 0,
                opened: Instant::now(),
                backlog: Vec::new(),
                unsynced: false,
            }),
            dirty: Condvar::new(),
            appended: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        });
        let (publish, synced) = watch::channel(0);
        let thread = shared.clone();
        std::thread::Builder::new().name("spool-sync".into()).spawn(move || sync_until_closed(&thread, &publish))?;
        Ok(Spool { shared, synced })
    }

    /// Writes an intent; the attempt may be sent only when this returned `Ok`.
    pub async fn intent(&self, entry: &Entry) -> io::Result<()> {
        let mut line = Vec::with_capacity(512);
        segment::encode(entry, &mut line);
        let position = self.shared.append(&line)?;
        self.settled(position).await;
        Ok(())
    }

    /// Writes what is already true. It cannot be refused: what the disk does not take now waits in memory, and new
    /// calls are refused meanwhile ([`Spool::failing`]).
    pub async fn facts(&self, entries: &[Entry]) {
        let mut lines = Vec::with_capacity(2048);
        for entry in entries {
            segment::encode(entry, &mut lines);
        }
        let position = self.shared.append_or_keep(&lines);
        self.settled(position).await;
    }

    /// Whether the disk refuses writes at the moment.
    pub fn failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// Bytes of facts that found neither disk nor room in memory. Anything but zero is an alarm.
    pub fn dropped_bytes(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    async fn settled(&self, position: u64) {
        if self.shared.durability == Durability::Exact {
            let mut synced = self.synced.clone();
            // The thread ends only when the spool is dropped, and then nobody waits here.
            let _ = synced.wait_for(|reached| *reached >= position).await;
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.dirty.notify_one();
    }
}

impl Shared {
    fn append(&self, lines: &[u8]) -> io::Result<u64> {
        let mut segment = self.segment.lock();
        let written = self.write(&mut segment, lines);
        self.failing.store(written.is_err(), Ordering::Relaxed);
        written.map(|()| self.advance(&mut segment, lines.len()))
    }

    fn append_or_keep(&self, lines: &[u8]) -> u64 {
        let mut segment = self.segment.lock();
        if let Err(error) = self.write(&mut segment, lines) {
            if !self.failing.swap(true, Ordering::Relaxed) {
                tracing::error!(%error, "the spool cannot be written; new calls are refused until it can");
            }
            if segment.backlog.len() + lines.len() <= BACKLOG_BYTES {
                segment.backlog.extend_from_slice(lines);
            } else {
                self.dropped.fetch_add(lines.len() as u64, Ordering::Relaxed);
            }
        } else {
            self.failing.store(false, Ordering::Relaxed);
        }
        self.advance(&mut segment, lines.len())
    }

    fn advance(&self, segment: &mut Segment, bytes: usize) -> u64 {
        segment.unsynced = true;
        self.dirty.notify_one();
        self.appended.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64
    }

    /// Writes the backlog and then `lines`, or leaves the file as it was.
    fn write(&self, segment: &mut Segment, lines: &[u8]) -> io::Result<()> {
        if segment.is_over() {
            segment.file.sync_data()?;
            segment.file = new_segment(&self.directory)?;
            segment.bytes = 0;
            segment.opened = Instant::now();
        }
        if !segment.backlog.is_empty() {
            let backlog = std::mem::take(&mut segment.backlog);
            let written = write_whole(segment, &backlog);
            if written.is_err() {
                segment.backlog = backlog;
            }
            written?;
        }
        write_whole(segment, lines)
    }
}

impl Segment {
    fn is_over(&self) -> bool {
        let old = || self.opened.elapsed() >= Duration::from_millis(SEGMENT_MS);
        self.bytes >= SEGMENT_BYTES || (self.bytes > 0 && old())
    }
}

/// Writes all or, by cutting the file back, nothing: a half line would hide the next one from the reader.
fn write_whole(segment: &mut Segment, lines: &[u8]) -> io::Result<()> {
    match segment.file.write_all(lines) {
        Ok(()) => {
            segment.bytes += lines.len() as u64;
            Ok(())
        }
        Err(error) => {
            let _ = segment.file.set_len(segment.bytes);
            let _ = segment.file.seek(io::SeekFrom::Start(segment.bytes));
            Err(error)
        }
    }
}

/// Names sort by time; the number behind it tells segments of one millisecond apart.
fn new_segment(directory: &Path) -> io::Result<File> {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    for number in 0..1000 {
        let path = directory.join(format!("{ms:013}-{number:03}.seg"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                // Whoever takes segments over leaves the locked one alone, whatever its name says about its age. A file
                // system without locks costs that guard and nothing else.
                let _ = file.try_lock();
                // The name itself must survive a power loss too.
                File::open(directory)?.sync_all()?;
                return Ok(file);
            }
        }
    }
    Err(io::Error::other("a thousand segments were opened within one millisecond"))
}

fn sync_until_closed(shared: &Shared, publish: &watch::Sender<u64>) {
    loop {
        let (file, position, closing) = {
            let mut segment = shared.segment.lock();
            while !segment.unsynced && !shared.closing.load(Ordering::Relaxed) {
                shared.dirty.wait_for(&mut segment, Duration::from_millis(SEGMENT_MS / 60));
                if segment.is_over() {
                    // An empty write turns the segment.
                    let _ = shared.write(&mut segment, &[]);
                }
            }
            let closing = shared.closing.load(Ordering::Relaxed);
            if !segment.backlog.is_empty() {
                let written = shared.write(&mut segment, &[]);
                shared.failing.store(written.is_err(), Ordering::Relaxed);
            }
            segment.unsynced = !segment.backlog.is_empty();
            (segment.file.try_clone(), shared.appended.load(Ordering::Relaxed), closing)
        };
        let synced = file.and_then(|file| file.sync_data());
        match synced {
            Ok(()) => {
                publish.send_replace(position);
            }
            Err(error) => tracing::error!(%error, "the spool cannot be synced; a power loss now would lose records"),
        }
        if closing {
            return;
        }
        // Where calls wait for the disk, the time it takes is what gathers the next batch.
        if shared.durability == Durability::Batched {
            std::thread::sleep(Duration::from_millis(SYNC_EVERY_MS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::*;

    fn intent(ordinal: u16) -> Entry {
        Entry::Intent(Intent {
            attempt: AttemptId { call: CallId::mint(UnixMs(1), 7), ordinal },
            at: UnixMs(1),
            key: KeyId("k".into()),
            workflow: None,
            lane: None,
            model: "m".into(),
            provider: "p".into(),
            cause: Cause::Serve,
            hold: None,
        })
    }

    fn read_back(directory: &Path) -> Vec<u8> {
        let mut names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names.iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_was_appended_is_in_the_file_when_append_returns() {
        for durability in [Durability::Batched, Durability::Exact] {
            let scratch = testkit::scratch_dir("spool");
            let spool = Spool::open(scratch.path(), durability).unwrap();
            spool.intent(&intent(1)).await.unwrap();
            spool.facts(&[intent(2), intent(3)]).await;
            let mut expected = Vec::new();
            for ordinal in 1..=3 {
                segment::encode(&intent(ordinal), &mut expected);
            }
            assert_eq!(read_back(scratch.path()), expected);
        }
    }

    #[tokio::test]
    async fn a_full_disk_refuses_intents_and_keeps_facts_in_order_for_later() {
        let scratch = testkit::scratch_dir("spool-full");
        let spool = Spool::open(scratch.path(), Durability::Batched).unwrap();
        // /dev/full answers every write with ENOSPC.
        let good = {
            let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
            std::mem::replace(&mut spool.shared.segment.lock().file, full)
        };
        assert!(spool.intent(&intent(1)).await.is_err());
        spool.facts(&[intent(2)]).await;
        assert!(spool.failing());
        spool.shared.segment.lock().file = good;
        spool.intent(&intent(3)).await.unwrap();
        assert!(!spool.failing());
        assert_eq!(spool.dropped_bytes(), 0);
        let mut expected = Vec::new();
        segment::encode(&intent(2), &mut expected);
        segment::encode(&intent(3), &mut expected);
        assert_eq!(read_back(scratch.path()), expected);
    }
}
