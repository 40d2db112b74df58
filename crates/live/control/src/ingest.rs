//! Takes over what the gateway writes into the spool: tails the segments, hands batches to the store, deletes what the
//! store has for good. Whatever happens to the store or to this process, nothing is lost and nothing counts twice.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::{Entry, UnixMs};
use ledger::segment::Decoder;
use store::{Batch, Ingested, SegmentState, Store, StoreError};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

/// How often the spool is looked at, milliseconds.
pub const LOOK_EVERY_MS: u64 = 200;
/// Seldomer where a look takes long: what comes meanwhile shares a transaction, whose cost is mostly its own. The pause is
/// this many times what the last look took with its rests, up to [`LOOK_AFTER_MS`].
const PAUSE_FACTOR: u32 = 10;
/// Longest pause between two looks of a store that works, milliseconds. So old may be what the console shows.
const LOOK_AFTER_MS: u64 = 1_000;
/// Most entries in one transaction.
pub const BATCH_ENTRIES: usize = 1_000;
/// Bytes read at once; more only for a line that is longer.
const CHUNK_BYTES: u64 = 1 << 20;
/// Beside calls the job rests, so many times as long as it worked, while less than so many bytes wait: a twentieth of one
/// core is all it takes from them, the spool keeps what waits. The disk is finite too: with more it takes a tenth, and
/// beyond the last row it rests no more.
const RESTS: [(u64, u32); 2] = [(512 << 20, 19), (1 << 30, 9)];
/// A line longer than this is no entry.
const LONGEST_LINE_BYTES: u64 = 256 << 20;
/// Longest wait after the store failed, milliseconds.
const LONGEST_WAIT_MS: u64 = 5_000;
/// Ending of a segment that is written or waits to be taken over, and of one that held lines that were no entries.
const SEGMENT: &str = "seg";
const DAMAGED: &str = "bad";

/// Why a pass over the spool stopped.
#[derive(Debug, Error)]
pub enum IngestError {
    /// The store did not take a batch.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment could not be read, renamed or deleted.
    #[error("{}: {error}", path.display())]
    Spool {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// How far behind the store is; read without waiting.
#[derive(Debug, Default)]
pub struct Progress {
    bytes_behind: AtomicU64,
    /// Since when something has been waiting; zero when nothing is.
    behind_since: AtomicI64,
    dropped_from_tap: AtomicU64,
}

impl Progress {
    /// Bytes that wait, and for how long the oldest has, milliseconds.
    pub fn behind(&self, now: UnixMs) -> (u64, u64) {
        let since = self.behind_since.load(Ordering::Relaxed);
        let age_ms = if since == 0 { 0 } else { now.since(UnixMs(since)) };
        (self.bytes_behind.load(Ordering::Relaxed), age_ms)
    }

    /// Facts that whoever listens (spans) was too slow to take. The store has them all.
    pub fn dropped_from_tap(&self) -> u64 {
        self.dropped_from_tap.load(Ordering::Relaxed)
    }

    fn set(&self, bytes: u64, now: UnixMs) {
        self.bytes_behind.store(bytes, Ordering::Relaxed);
        if bytes == 0 {
            self.behind_since.store(0, Ordering::Relaxed);
        } else {
            let _ = self.behind_since.compare_exchange(0, now.0.max(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// The job. There is one per data folder.
pub struct Ingest {
    store: Store,
    spool: PathBuf,
    progress: Arc<Progress>,
    /// Gets what the store just took for the first time; what does not fit is dropped and counted.
    tap: Option<mpsc::Sender<Entry>>,
    /// How far each segment was taken over; absent until the store was asked.
    offsets: Option<BTreeMap<String, SegmentState>>,
    /// Set while calls are served beside it.
    beside_calls: Option<crate::control::Clock>,
}

/// What one pass did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pass {
    /// Records and calls taken for the first time.
    pub fresh: u64,
    /// Lines that were no entries.
    pub corrupt_lines: u64,
    /// Segments that are done and deleted.
    pub deleted: u64,
}

impl Ingest {
    /// The job for a spool folder, which need not exist yet.
    pub fn new(store: Store, spool: &Path, tap: Option<mpsc::Sender<Entry>>) -> Ingest {
        Ingest { store, spool: spool.to_owned(), progress: Arc::default(), tap, offsets: None, beside_calls: None }
    }

    /// How far behind it is.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Takes over everything that is there. The newest segment may still be written to, unless `all_finished`.
    /// After an error the next pass goes on where the store stands.
    pub async fn pass(&mut self, all_finished: bool, now: UnixMs) -> Result<Pass, IngestError> {
        let done = self.pass_over(all_finished).await;
        if done.is_err() {
            // Whether the last batch was committed is not known; the store is.
            self.offsets = None;
        }
        self.measure(now);
        done
    }

    /// Passes every [`LOOK_EVERY_MS`] to [`LOOK_AFTER_MS`] until `stop` says so, and once more then.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, clock: crate::control::Clock) {
        let mut wait_ms = LOOK_EVERY_MS;
        let mut failing = false;
        self.beside_calls = Some(clock.clone());
        loop {
            let stopping = tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if stopping {
                self.beside_calls = None;
            }
            let started = Instant::now();
            match self.pass(false, clock()).await {
                Ok(_) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the store takes records again");
                    }
                    let pause_ms = u64::try_from((started.elapsed() * PAUSE_FACTOR).as_millis()).unwrap_or(u64::MAX);
                    wait_ms = pause_ms.clamp(LOOK_EVERY_MS, LOOK_AFTER_MS);
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "the store takes no records; they wait in the spool and calls go on");
                    }
                    wait_ms = (wait_ms * 2).min(LONGEST_WAIT_MS);
                }
            }
            if stopping {
                return;
            }
        }
    }

    async fn pass_over(&mut self, all_finished: bool) -> Result<Pass, IngestError> {
        // Listed before anything is read: when a newer segment is there, the writer has left the older ones for good.
        let names = self.list(SEGMENT)?;
        if self.offsets.is_none() {
            let known = self.store.segments().await?;
            self.offsets = Some(known.into_iter().map(|segment| (segment.name.clone(), segment)).collect());
        }
        let mut pass = Pass::default();
        for (place, name) in names.iter().enumerate() {
            self.take_over(name, &mut pass).await?;
            if all_finished || place + 1 < names.len() {
                pass.deleted += u64::from(self.put_away(name).await?);
            }
        }
        self.forget_missing(&names).await?;
        Ok(pass)
    }

    /// Reads a segment from where the store stands to where it ends now.
    async fn take_over(&mut self, name: &str, pass: &mut Pass) -> Result<(), IngestError> {
        let path = self.spool.join(name);
        let mut chunk_bytes = CHUNK_BYTES;
        loop {
            let started = Instant::now();
            let known = self.known(name);
            let (path, from) = (path.clone(), known.upto_offset);
            let failed = {
                let path = path.clone();
                move |error| IngestError::Spool { path, error }
            };
            let lines = tokio::task::spawn_blocking(move || read_lines(&path, from, chunk_bytes))
                .await
                .expect("reading lines does not panic")
                .map_err(failed)?;
            if lines.upto == from {
                if lines.torn && lines.filled && chunk_bytes < LONGEST_LINE_BYTES {
                    chunk_bytes *= 4;
                    continue;
                }
                return Ok(());
            }
            chunk_bytes = CHUNK_BYTES;
            if lines.corrupt_lines > 0 {
                tracing::error!(
                    segment = name,
                    offset = lines.corrupt_at,
                    lines = lines.corrupt_lines,
                    "the spool holds lines that cannot be read; the rest goes on, and the segment is kept as .bad"
                );
            }
            pass.corrupt_lines += lines.corrupt_lines;
            let batch = Batch {
                segment: name.to_owned(),
                upto_offset: lines.upto,
                entries: lines.entries,
                written: lines.written,
                corrupt_lines: lines.corrupt_lines,
                corrupt_offset: lines.corrupt_at,
            };
            let reached = SegmentState {
                name: name.to_owned(),
                upto_offset: batch.upto_offset,
                corrupt_lines: known.corrupt_lines + batch.corrupt_lines,
                corrupt_offset: known.corrupt_offset.or(batch.corrupt_offset),
            };
            let Ingested { fresh, .. } = self.store.ingest(batch).await?;
            self.offsets.get_or_insert_default().insert(name.to_owned(), reached);
            pass.fresh += fresh.len() as u64;
            self.tell(fresh);
            self.rest(started.elapsed()).await;
        }
    }

    /// Leaves the machine to the calls for a while.
    async fn rest(&mut self, worked: Duration) {
        let Some(clock) = self.beside_calls.clone() else { return };
        self.measure(clock());
        let waiting = self.progress.behind(clock()).0;
        if let Some((_, factor)) = RESTS.iter().find(|(below, _)| waiting < *below) {
            tokio::time::sleep(worked * *factor).await;
        }
    }

    /// Deletes a finished segment once the store has it on disk; keeps a damaged one under another name. False where a
    /// writer holds it still: names sort by a clock, and a clock may be set back.
    async fn put_away(&mut self, name: &str) -> Result<bool, IngestError> {
        if self.is_written(name)? {
            return Ok(false);
        }
        // A reader, such as whoever verifies the books, may take long; the segment is put away another time.
        if !self.store.make_durable().await? {
            return Ok(false);
        }
        let path = self.spool.join(name);
        let known = self.known(name);
        let torn_bytes = std::fs::metadata(&path).map_or(0, |file| file.len()).saturating_sub(known.upto_offset);
        if torn_bytes > 0 {
            tracing::warn!(
                segment = name,
                torn_bytes,
                "a segment ends in the middle of a line: its writer was killed there"
            );
        }
        let damaged = known.corrupt_lines > 0;
        let done =
            if damaged { std::fs::rename(&path, path.with_extension(DAMAGED)) } else { std::fs::remove_file(&path) };
        done.map_err(|error| IngestError::Spool { path, error })?;
        if !damaged {
            // The file first: the other way round, a kill in between would offer the whole segment again.
            self.store.forget_segment(name).await?;
            self.offsets.get_or_insert_default().remove(name);
        }
        Ok(true)
    }

    /// Whether the gateway holds the lock of a segment it appends to.
    fn is_written(&self, name: &str) -> Result<bool, IngestError> {
        let path = self.spool.join(name);
        let locked = File::open(&path).map(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
        locked.map_err(|error| IngestError::Spool { path, error })
    }

    /// Forgets segments whose files are gone: a kill between deleting and forgetting, or a damaged one looked after.
    async fn forget_missing(&mut self, names: &[String]) -> Result<(), IngestError> {
        let there: HashSet<&str> = names.iter().map(String::as_str).collect();
        let known: Vec<String> = self.offsets.iter().flatten().map(|(name, _)| name.clone()).collect();
        for name in known.iter().filter(|name| !there.contains(name.as_str())) {
            if !self.spool.join(name).with_extension(DAMAGED).exists() {
                self.store.forget_segment(name).await?;
                self.offsets.get_or_insert_default().remove(name);
            }
        }
        Ok(())
    }

    fn tell(&self, fresh: Vec<Entry>) {
        let Some(tap) = &self.tap else { return };
        let mut dropped = 0;
        for entry in fresh {
            dropped += u64::from(tap.try_send(entry).is_err());
        }
        self.progress.dropped_from_tap.fetch_add(dropped, Ordering::Relaxed);
    }

    fn known(&self, name: &str) -> SegmentState {
        self.offsets.as_ref().and_then(|offsets| offsets.get(name)).cloned().unwrap_or_default()
    }

    /// Where the store cannot be asked, everything counts as waiting.
    fn measure(&self, now: UnixMs) {
        let names = self.list(SEGMENT).unwrap_or_default();
        let waiting = names.iter().map(|name| {
            let bytes = std::fs::metadata(self.spool.join(name)).map_or(0, |file| file.len());
            bytes.saturating_sub(self.known(name).upto_offset)
        });
        self.progress.set(waiting.sum(), now);
    }

    fn list(&self, ending: &str) -> Result<Vec<String>, IngestError> {
        let failed = |error| IngestError::Spool { path: self.spool.clone(), error };
        let folder = match std::fs::read_dir(&self.spool) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in folder {
            let name = entry.map_err(failed)?.file_name();
            if let Some(name) = name.to_str().filter(|name| Path::new(name).extension().is_some_and(|e| e == ending)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Lines of a segment, read up to a bound.
#[derive(Default)]
struct Lines {
    entries: Vec<Entry>,
    /// What each line says of its entry.
    written: Vec<String>,
    /// Offset in the segment behind the last whole line.
    upto: u64,
    corrupt_lines: u64,
    corrupt_at: Option<u64>,
    /// Whether there is the beginning of a line behind.
    torn: bool,
    /// Whether there may be more to read.
    filled: bool,
}

fn read_lines(path: &Path, from: u64, chunk_bytes: u64) -> io::Result<Lines> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(chunk_bytes).read_to_end(&mut bytes)?;
    let mut lines = Lines { filled: bytes.len() as u64 == chunk_bytes, ..Lines::default() };
    let mut decoder = Decoder::at(from, &bytes);
    while let Some(line) = decoder.next() {
        match line {
            Ok((_, entry)) => {
                lines.entries.push(entry);
                lines.written.push(decoder.json().to_owned());
            }
            Err(corrupt) => {
                lines.corrupt_lines += 1;
                lines.corrupt_at.get_or_insert(corrupt.offset);
            }
        }
        if lines.entries.len() == BATCH_ENTRIES {
            break;
        }
    }
    lines.upto = decoder.offset();
    lines.torn = decoder.torn_bytes() > 0;
    Ok(lines)
}
