//! The append-only local segments: an intent is in the file before its attempt is sent, a record before the answer's
//! last byte is handed over. A process that is killed loses nothing it had promised; the store catches up later.
//!
//! An append waits for a `write` to the operating system, which survives the death of this process; calls that come to
//! it in the same turn of the event loop share one. Power loss is another matter: a background thread syncs every
//! [`SYNC_EVERY_MS`] milliseconds, so that at most so much is at risk; in [`Durability::Exact`] mode a call waits for that
//! sync.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Entry;
use ledger::segment;
use parking_lot::{Condvar, Mutex};
use smallvec::SmallVec;
use tokio::sync::watch;

/// Longest time an append stays unsynced, milliseconds.
pub const SYNC_EVERY_MS: u64 = 5;
/// Longest time an append in [`Durability::Exact`] mode waits for the disk, milliseconds. A disk that takes longer is
/// treated as one that fails.
pub const SYNC_WITHIN_MS: u64 = 5_000;
/// A segment is closed when it has grown to this many bytes, so that the store can delete what it has taken over.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Or when it is this old and holds anything, milliseconds, so that captured bodies do not outlive their retention here.
pub const SEGMENT_MS: u64 = 3_600_000;
/// Records that could not be written (disk full) wait in memory up to this many bytes, while new calls are refused.
const BACKLOG_BYTES: usize = 64 << 20;
/// The ends of calls wait there only while less than this is waiting: clients that retry make a line of each refusal,
/// and those must not take the room of records, which are money.
const BACKLOG_BYTES_FOR_CALLS: usize = BACKLOG_BYTES / 2;
/// Lines that come this soon after others wait a turn of the event loop for more. A call that is alone does not: for it
/// that turn is only a system call more.
const COMPANY_WITHIN: Duration = Duration::from_micros(100);
/// Memory for lines that share a write is used again up to this many bytes.
const SPARE_BYTES: usize = 1 << 20;
/// So is the memory of each thread that lines are made in.
const LINES_BYTES: usize = 64 << 10;
/// A disk that fails is tried again after [`SYNC_EVERY_MS`], then after twice as long each time, up to this many
/// milliseconds.
const RETRY_MS: u64 = 1_000;
/// So many turns of [`SYNC_EVERY_MS`] without anything to sync, and the syncing thread waits to be woken: at ten calls a
/// second and more, no call pays for waking it.
const TURNS_BEFORE_REST: u32 = 20;
/// Bytes written, and cut off again, to learn whether a disk that was full takes more. One block of common file systems.
const PROBE: [u8; 4096] = [0; 4096];

thread_local! {
    /// Where lines are made before the lock is taken.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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
    /// Who is told instead of a disk.
    told: Option<Told>,
    durability: Durability,
    confirm_within: Duration,
}

struct Shared {
    directory: PathBuf,
    open: OpenSegment,
    segment: Mutex<Segment>,
    /// What the next write takes along. Never locked before `segment` by whoever takes both.
    gathering: Mutex<Batch>,
    /// Wakes the syncing thread.
    dirty: Condvar,
    confirmed: watch::Sender<Confirmed>,
    /// Held during a sync, so that the late end of one is not taken for that of the next.
    syncing: Mutex<()>,
    /// Whether `segment.trouble` is set, for readers that must not wait for the lock.
    failing: AtomicBool,
    closing: AtomicBool,
    dropped: AtomicU64,
}

/// How a segment is made; tests give disks that fail.
type OpenSegment = Box<dyn Fn(&Path) -> io::Result<File> + Send + Sync>;

/// Who is told every entry, at once and instead of a disk.
pub type Told = Box<dyn Fn(&Entry) + Send + Sync>;

/// Lines that share one write.
struct Batch {
    lines: Vec<u8>,
    /// What each line is, and where it ends.
    parts: Vec<(Kind, usize)>,
    fate: Arc<Fate>,
    /// When lines were last added, to this or to an earlier one.
    last_joined: Instant,
}

/// What became of a batch: the position after it, or why no file took it.
type Fate = OnceLock<Result<u64, String>>;

/// Lines on their way to the file: the fate of their batch, and whether more may join it.
#[derive(Default)]
#[must_use]
pub struct Kept(Option<(Arc<Fate>, bool)>);

/// What a line is worth when the disk does not take it.
#[derive(Clone, Copy)]
enum Kind {
    /// Its attempt is not sent, so it says nothing.
    Intent,
    /// Money.
    Record,
    /// The end of a call.
    Call,
}

struct Segment {
    file: File,
    bytes: u64,
    opened: Instant,
    /// The file ends in half a line, or a sync of it failed, after which a later sync may report success for pages that
    /// the kernel has given up. The next write goes to a new file.
    spoiled: bool,
    /// Facts that no file has taken yet, in order, to be written before anything else.
    backlog: Vec<u8>,
    /// An empty batch, whose memory the next one uses again.
    spare: Option<Batch>,
    /// Bytes that files have taken since the start. An append is known by this count after it.
    appended: u64,
    unsynced: bool,
    /// Why the disk is not trusted at the moment. While it is set only the syncing thread tries it, at growing distances.
    trouble: Option<String>,
}

/// What is known of the disk, in counts of [`Segment::appended`].
#[derive(Clone, Copy, Default)]
struct Confirmed {
    /// The disk has everything up to here, but for what was lost.
    synced: u64,
    /// Up to here something was in a file whose sync failed.
    lost: u64,
}

impl Spool {
    /// Opens a new segment in `directory`, which is made when missing, and starts the syncing thread.
    pub fn open(directory: &Path, durability: Durability) -> io::Result<Spool> {
        Spool::open_with(directory, durability, Box::new(new_segment))
    }

    /// A spool that keeps nothing and tells everything: for drills, whose facts are summed and thrown away. Nothing is written, no
    /// thread is started, and so nothing depends on how fast a disk is.
    pub fn telling(told: Told) -> io::Result<Spool> {
        let nowhere: OpenSegment = Box::new(|_| OpenOptions::new().append(true).open("/dev/null"));
        let shared = Spool::shared(Path::new(""), nowhere)?;
        let confirm_within = Duration::from_millis(SYNC_WITHIN_MS);
        Ok(Spool { shared, told: Some(told), durability: Durability::Batched, confirm_within })
    }

    fn open_with(directory: &Path, durability: Durability, open: OpenSegment) -> io::Result<Spool> {
        std::fs::create_dir_all(directory)?;
        let shared = Spool::shared(directory, open)?;
        let thread = shared.clone();
        std::thread::Builder::new().name("spool-sync".into()).spawn(move || sync_until_closed(&thread, durability))?;
        Ok(Spool { shared, told: None, durability, confirm_within: Duration::from_millis(SYNC_WITHIN_MS) })
    }

    fn shared(directory: &Path, open: OpenSegment) -> io::Result<Arc<Shared>> {
        let file = open(directory)?;
        Ok(Arc::new(Shared {
            directory: directory.to_owned(),
            open,
            segment: Mutex::new(Segment {
                file,
                bytes: 0,
                opened: Instant::now(),
                spoiled: false,
                backlog: Vec::new(),
                spare: None,
                appended: 0,
                unsynced: false,
                trouble: None,
            }),
            gathering: Mutex::new(Batch::new(Instant::now())),
            dirty: Condvar::new(),
            confirmed: watch::Sender::default(),
            syncing: Mutex::new(()),
            failing: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        }))
    }

    /// Writes an intent; the attempt may be sent only when this returned `Ok`. In [`Durability::Exact`] mode an error
    /// may come after the line was written: the call is then refused, and the store counts the attempt as one in flight.
    pub async fn intent(&self, entry: &Entry) -> io::Result<()> {
        let position = self.written(self.keep(std::slice::from_ref(entry))).await?;
        self.settled(position).await
    }

    /// Writes what is already true. It cannot be refused: what the disk does not take now waits in memory, and new
    /// calls are refused meanwhile ([`Spool::failing`]).
    pub async fn facts(&self, entries: &[Entry]) {
        self.confirm(self.keep(entries)).await;
    }

    /// The same without waiting; what to hand to [`Spool::confirm`]. They are written without that too, within
    /// [`SYNC_EVERY_MS`] or when the spool is closed.
    pub fn keep(&self, entries: &[Entry]) -> Kept {
        if entries.is_empty() {
            return Kept::default();
        }
        if let Some(told) = &self.told {
            entries.iter().for_each(told);
            return Kept::default();
        }
        LINES.with_borrow_mut(|lines| {
            lines.clear();
            let mut parts = SmallVec::<[_; 4]>::new();
            for entry in entries {
                segment::encode(entry, lines);
                parts.push((Kind::of(entry), lines.len()));
            }
            let kept = Kept(Some(self.shared.gather(lines, &parts)));
            lines.shrink_to(LINES_BYTES);
            kept
        })
    }

    /// Writes what was kept at once, where there is nobody to wait.
    pub fn write(&self, kept: Kept) {
        if kept.0.is_some_and(|(fate, _)| fate.get().is_none()) {
            self.shared.write_gathered(&mut self.shared.segment.lock());
        }
    }

    /// Waits until what was kept is written, and for the disk where that is asked for.
    pub async fn confirm(&self, kept: Kept) {
        if let Ok(position) = self.written(kept).await {
            // They are true whether the disk confirms them or not, and that it does not was logged when it began.
            let _ = self.settled(position).await;
        }
    }

    /// The position after what was kept, once a file has it.
    async fn written(&self, kept: Kept) -> io::Result<u64> {
        let Some((fate, in_company)) = kept.0 else { return Ok(0) };
        if in_company {
            // Whoever else is ready to run in this turn of the loop comes along; the first to come back writes for all.
            tokio::task::yield_now().await;
        }
        if fate.get().is_none() {
            self.shared.write_gathered(&mut self.shared.segment.lock());
        }
        match fate.get().expect("whoever takes a batch tells its fate before letting go of the segment") {
            Ok(position) => Ok(*position),
            Err(error) => Err(io::Error::other(error.clone())),
        }
    }

    /// Whether the disk refuses writes or syncs at the moment.
    pub fn failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// Bytes of facts that found neither disk nor room in memory. Anything but zero is an alarm.
    pub fn dropped_bytes(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until the disk has confirmed what was appended up to `position`, where that is asked for.
    async fn settled(&self, position: u64) -> io::Result<()> {
        if self.durability == Durability::Batched {
            return Ok(());
        }
        let mut confirmed = self.shared.confirmed.subscribe();
        let known = confirmed.wait_for(|known| known.synced.max(known.lost) >= position);
        match tokio::time::timeout(self.confirm_within, known).await {
            // A waiter that sees both late cannot tell which came first, and takes the worse.
            Ok(Ok(known)) if known.lost < position => Ok(()),
            Ok(_) => Err(io::Error::other("the disk could not sync the spool")),
            Err(_) => {
                let late = format!("the disk has not confirmed a sync of the spool within {:?}", self.confirm_within);
                let late = io::Error::new(io::ErrorKind::TimedOut, late);
                self.shared.fail(&mut self.shared.segment.lock(), &late);
                Err(late)
            }
        }
    }
}

impl Drop for Spool {
    /// Whoever closes the spool does not wait for the next try of a disk that failed, so this is the last one.
    fn drop(&mut self) {
        let mut segment = self.shared.segment.lock();
        self.shared.write_gathered(&mut segment);
        if !segment.backlog.is_empty()
            && let Err(error) = self.shared.write(&mut segment, &[])
        {
            let bytes = segment.backlog.len();
            tracing::error!(%error, bytes, "the spool was closed before the disk took all of it; records are lost");
        }
        drop(segment);
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.dirty.notify_one();
    }
}

impl Shared {
    /// Adds lines to those that the next write takes along. Whether more may be on their way.
    fn gather(&self, lines: &[u8], parts: &[(Kind, usize)]) -> (Arc<Fate>, bool) {
        let now = Instant::now();
        let mut batch = self.gathering.lock();
        let in_company = now.duration_since(batch.last_joined) < COMPANY_WITHIN;
        batch.last_joined = now;
        let before = batch.lines.len();
        batch.lines.extend_from_slice(lines);
        batch.parts.extend(parts.iter().map(|(kind, end)| (*kind, before + end)));
        // Should nobody wait for them.
        self.dirty.notify_one();
        (batch.fate.clone(), in_company)
    }

    /// Writes what was gathered. What is true waits in memory where the file does not take it.
    fn write_gathered(&self, segment: &mut Segment) {
        let mut batch = {
            let mut gathering = self.gathering.lock();
            if gathering.parts.is_empty() {
                return;
            }
            let last_joined = gathering.last_joined;
            let next = segment.spare.take().unwrap_or_else(|| Batch::new(last_joined));
            std::mem::replace(&mut *gathering, Batch { last_joined, ..next })
        };
        let written = self.append(segment, &batch.lines);
        if written.is_err() {
            self.keep(segment, &batch);
        }
        let told = batch.fate.set(written.map_err(|error| error.to_string()));
        debug_assert!(told.is_ok(), "a batch is taken once");
        if batch.lines.capacity() <= SPARE_BYTES {
            batch.lines.clear();
            batch.parts.clear();
            segment.spare = Some(Batch { fate: Arc::default(), ..batch });
        }
    }

    /// The position after `lines`, once a file has them.
    fn append(&self, segment: &mut Segment, lines: &[u8]) -> io::Result<u64> {
        if let Some(trouble) = &segment.trouble {
            return Err(io::Error::other(format!("the spool has been failing: {trouble}")));
        }
        self.write(segment, lines).inspect_err(|error| self.fail(segment, error))?;
        segment.unsynced = true;
        self.dirty.notify_one();
        Ok(segment.appended)
    }

    /// Keeps in memory, for later, what no file took and is true all the same.
    fn keep(&self, segment: &mut Segment, batch: &Batch) {
        let mut begin = 0;
        for (kind, end) in &batch.parts {
            let line = &batch.lines[begin..*end];
            begin = *end;
            match kind.backlog_bytes() {
                None => {}
                Some(room) if segment.backlog.len() + line.len() <= room => segment.backlog.extend_from_slice(line),
                Some(_) => {
                    self.dropped.fetch_add(line.len() as u64, Ordering::Relaxed);
                }
            }
        }
    }

    /// Writes the backlog and then `lines`, or leaves the file as it was.
    fn write(&self, segment: &mut Segment, lines: &[u8]) -> io::Result<()> {
        if segment.is_over() {
            self.turn(segment)?;
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

    /// Goes on in a new file.
    fn turn(&self, segment: &mut Segment) -> io::Result<()> {
        if let Err(error) = segment.file.sync_data() {
            let was_known = segment.spoiled;
            self.spoil(segment, &error);
            if !was_known {
                return Err(error);
            }
        }
        segment.file = (self.open)(&self.directory)?;
        segment.bytes = 0;
        segment.opened = Instant::now();
        segment.spoiled = false;
        Ok(())
    }

    /// Writes what waits and syncs: one turn of the syncing thread, and the only way out of trouble.
    fn sync(&self) -> io::Result<()> {
        let _alone = self.syncing.lock();
        let (file, position, troubled) = {
            let mut segment = self.segment.lock();
            let troubled = segment.trouble.is_some();
            // Usually nothing: those who wait write it themselves, unless they were dropped meanwhile.
            self.write_gathered(&mut segment);
            self.catch_up(&mut segment).inspect_err(|error| self.fail(&mut segment, error))?;
            segment.unsynced = false;
            (segment.file.try_clone(), segment.appended, troubled)
        };
        // Without the lock: appends go on meanwhile.
        let synced = file.and_then(|file| file.sync_data());
        let mut segment = self.segment.lock();
        match synced {
            Ok(()) => {
                self.confirmed.send_modify(|known| known.synced = known.synced.max(position));
                // Trouble that began during this sync is for the next one to end.
                if troubled {
                    self.recovered(&mut segment);
                }
                Ok(())
            }
            Err(error) => {
                self.spoil(&mut segment, &error);
                Err(error)
            }
        }
    }

    /// Brings the file up to date, and a disk that failed to the proof that it takes bytes again.
    fn catch_up(&self, segment: &mut Segment) -> io::Result<()> {
        let proven = segment.trouble.is_none() || !segment.backlog.is_empty();
        self.write(segment, &[])?;
        if proven { Ok(()) } else { probe(segment) }
    }

    /// What the file took since its last sync may never reach the disk, and whoever waits for that is told.
    fn spoil(&self, segment: &mut Segment, error: &io::Error) {
        // First, so that whoever is told finds the spool failing.
        self.fail(segment, error);
        segment.spoiled = true;
        segment.unsynced = true;
        self.confirmed.send_modify(|known| known.lost = known.lost.max(segment.appended));
    }

    fn fail(&self, segment: &mut Segment, error: &io::Error) {
        if segment.trouble.replace(error.to_string()).is_none() {
            tracing::error!(
                %error,
                "the spool cannot be written or synced; new calls are refused until it can be, and a power loss now \
                 would lose records"
            );
        }
        self.failing.store(true, Ordering::Relaxed);
        self.dirty.notify_one();
    }

    fn recovered(&self, segment: &mut Segment) {
        if segment.trouble.take().is_some() {
            tracing::info!(dropped_bytes = self.dropped.load(Ordering::Relaxed), "the spool can be written again");
        }
        self.failing.store(false, Ordering::Relaxed);
    }

    /// Waits until there is something for the syncing thread to do. Whether it is the last time.
    fn wait(&self) -> bool {
        let mut segment = self.segment.lock();
        while !segment.has_work() && self.gathering.lock().parts.is_empty() && !self.is_closing() {
            self.dirty.wait_for(&mut segment, Duration::from_millis(SEGMENT_MS / 60));
        }
        self.is_closing()
    }

    fn has_work(&self) -> bool {
        self.segment.lock().has_work() || !self.gathering.lock().parts.is_empty()
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

impl Segment {
    /// Whether there is anything to write, sync, find out or close.
    fn has_work(&self) -> bool {
        self.unsynced || !self.backlog.is_empty() || self.trouble.is_some() || self.is_over()
    }

    fn is_over(&self) -> bool {
        let old = || self.opened.elapsed() >= Duration::from_millis(SEGMENT_MS);
        self.spoiled || self.bytes >= SEGMENT_BYTES || (self.bytes > 0 && old())
    }

    /// Takes back what was written behind the last whole line.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes).inspect_err(|_| self.spoiled = true)
    }
}

impl Batch {
    fn new(last_joined: Instant) -> Batch {
        Batch { lines: Vec::new(), parts: Vec::new(), fate: Arc::default(), last_joined }
    }
}

impl Kind {
    fn of(entry: &Entry) -> Kind {
        match entry {
            Entry::Intent(_) => Kind::Intent,
            Entry::Record(_) => Kind::Record,
            Entry::Call(_) => Kind::Call,
        }
    }

    /// How full the backlog may get with such a line; none where it is not kept.
    fn backlog_bytes(self) -> Option<usize> {
        match self {
            Kind::Intent => None,
            Kind::Record => Some(BACKLOG_BYTES),
            Kind::Call => Some(BACKLOG_BYTES_FOR_CALLS),
        }
    }
}

/// Writes all or, by cutting the file back, nothing: a half line would hide the next one from the reader.
fn write_whole(segment: &mut Segment, lines: &[u8]) -> io::Result<()> {
    if let Err(error) = segment.file.write_all(lines) {
        // Where even that fails the file is spoiled, and the first error says more than the second.
        let _ = segment.cut();
        return Err(error);
    }
    segment.bytes += lines.len() as u64;
    segment.appended += lines.len() as u64;
    Ok(())
}

/// Whether the file takes more. A reader that comes in between sees a torn tail, and reads it again the next time.
fn probe(segment: &mut Segment) -> io::Result<()> {
    let written = segment.file.write_all(&PROBE);
    segment.cut().and(written)
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
                // The name itself must survive a power loss too. One that may not is not left to pile up.
                File::open(directory).and_then(|directory| directory.sync_all()).inspect_err(|_| {
                    let _ = std::fs::remove_file(&path);
                })?;
                return Ok(file);
            }
        }
    }
    Err(io::Error::other("a thousand segments were opened within one millisecond"))
}

/// What the syncing thread does. Batched, it pauses before each sync: whatever comes meanwhile shares it, and it does not
/// come between a call's intent and its sending. A call that waits for the disk is not kept waiting for company: what
/// comes during one sync shares the next.
fn sync_until_closed(shared: &Shared, durability: Durability) {
    let batched = durability == Durability::Batched;
    let mut pause_ms = SYNC_EVERY_MS;
    let mut troubled = false;
    // How often in a row there was nothing to do; to begin with, nothing is expected.
    let mut idle_turns = TURNS_BEFORE_REST;
    loop {
        let closing = if batched && idle_turns < TURNS_BEFORE_REST { shared.is_closing() } else { shared.wait() };
        if (batched || troubled) && !closing {
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
        if shared.has_work() {
            idle_turns = 0;
            // What fails is logged where trouble begins.
            troubled = shared.sync().is_err();
            pause_ms = if troubled { (pause_ms * 2).min(RETRY_MS) } else { SYNC_EVERY_MS };
        } else {
            idle_turns += 1;
        }
        if closing {
            return;
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
            hold_tokens: None,
        })
    }

    fn record(number: u64) -> Entry {
        Entry::Record(Box::new(testkit::facts::Sample::new(number, UnixMs(1)).record()))
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
    async fn calls_of_one_turn_of_the_loop_share_a_write_and_each_learns_its_fate() {
        let scratch = testkit::scratch_dir("spool-group");
        let (spool, full) = failing_disk("/dev/full", Durability::Batched, scratch.path());
        let (first, second, facts) = (intent(1), intent(2), [record(3)]);
        let refused = tokio::join!(spool.intent(&first), spool.intent(&second), spool.facts(&facts));
        assert!(refused.0.is_err() && refused.1.is_err());
        full.store(false, Ordering::Relaxed);
        spool.shared.sync().unwrap();
        let (one, other) = (spool.keep(std::slice::from_ref(&first)), spool.keep(&facts));
        let taken = tokio::join!(spool.written(one), spool.written(other));
        // One write: each knows the position after both.
        let whole = lines(&[record(3), first, record(3)]);
        assert_eq!((taken.0.unwrap(), taken.1.unwrap()), (whole.len() as u64, whole.len() as u64));
        assert_eq!(read_back(scratch.path()), whole);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_written_with_the_next_sync_or_when_the_spool_is_closed() {
        let scratch = testkit::scratch_dir("spool-dropped");
        let spool = Spool::open(scratch.path(), Durability::Batched).unwrap();
        let facts = [record(1), record(2)];
        drop(spool.keep(&facts[..1]));
        spool.shared.sync().unwrap();
        assert_eq!(read_back(scratch.path()), lines(&facts[..1]));
        drop(spool.keep(&facts[1..]));
        drop(spool);
        assert_eq!(read_back(scratch.path()), lines(&facts));
    }

    /// A disk whose files are `/dev/full`, which answers every write with ENOSPC and cannot be synced or cut, while
    /// `fails` is set. The first segment is made then too.
    fn failing_disk(file: &'static str, durability: Durability, scratch: &Path) -> (Spool, Arc<AtomicBool>) {
        let fails = Arc::new(AtomicBool::new(true));
        let asked = fails.clone();
        let open = move |directory: &Path| match asked.load(Ordering::Relaxed) {
            true => OpenOptions::new().append(true).open(file),
            false => new_segment(directory),
        };
        (Spool::open_with(scratch, durability, Box::new(open)).unwrap(), fails)
    }

    fn lines(entries: &[Entry]) -> Vec<u8> {
        let mut lines = Vec::new();
        for entry in entries {
            segment::encode(entry, &mut lines);
        }
        lines
    }

    #[tokio::test]
    async fn a_full_disk_refuses_intents_and_keeps_facts_in_order_for_later() {
        let scratch = testkit::scratch_dir("spool-full");
        let (spool, full) = failing_disk("/dev/full", Durability::Batched, scratch.path());
        assert!(spool.intent(&intent(1)).await.is_err());
        spool.facts(&[record(2)]).await;
        assert!(spool.failing());
        let refused = spool.intent(&intent(1)).await.unwrap_err();
        assert!(refused.to_string().starts_with("the spool has been failing: "), "{refused}");
        full.store(false, Ordering::Relaxed);
        spool.shared.sync().unwrap();
        assert!(!spool.failing());
        spool.intent(&intent(3)).await.unwrap();
        assert_eq!(spool.dropped_bytes(), 0);
        assert_eq!(read_back(scratch.path()), lines(&[record(2), intent(3)]));
    }

    #[tokio::test]
    async fn a_disk_that_refused_only_an_intent_recovers_without_another_call() {
        let scratch = testkit::scratch_dir("spool-idle");
        let (spool, full) = failing_disk("/dev/full", Durability::Batched, scratch.path());
        assert!(spool.intent(&intent(1)).await.is_err());
        assert!(spool.shared.sync().is_err(), "nothing waits, but the disk is still full");
        assert!(spool.failing());
        full.store(false, Ordering::Relaxed);
        spool.shared.sync().unwrap();
        assert!(!spool.failing());
        assert_eq!(read_back(scratch.path()), b"", "the probe is cut off again");
    }

    #[tokio::test]
    async fn while_the_disk_is_full_ends_of_calls_are_dropped_before_records() {
        let scratch = testkit::scratch_dir("spool-room");
        let (spool, _full) = failing_disk("/dev/full", Durability::Batched, scratch.path());
        let sample = testkit::facts::Sample::new(1, UnixMs(1));
        let (record, end) = (Entry::Record(Box::new(sample.record())), Entry::Call(Box::new(sample.end())));
        let [record_bytes, end_bytes] = [&record, &end].map(|entry| lines(std::slice::from_ref(entry)).len());
        spool.facts(&[record.clone(), end.clone()]).await;
        assert_eq!(spool.shared.segment.lock().backlog, lines(&[record.clone(), end.clone()]));

        spool.shared.segment.lock().backlog = vec![b'x'; BACKLOG_BYTES_FOR_CALLS];
        spool.facts(&[end.clone(), record.clone()]).await;
        assert_eq!(spool.shared.segment.lock().backlog.len(), BACKLOG_BYTES_FOR_CALLS + record_bytes);
        assert_eq!(spool.dropped_bytes(), end_bytes as u64);

        spool.shared.segment.lock().backlog = vec![b'x'; BACKLOG_BYTES - record_bytes + 1];
        spool.facts(&[record]).await;
        assert_eq!(spool.dropped_bytes(), (end_bytes + record_bytes) as u64);
        // What is no line must not outlive the test in a log about lost records.
        spool.shared.segment.lock().backlog.clear();
    }

    #[tokio::test]
    async fn a_failed_sync_refuses_the_intent_that_waits_for_it_and_later_lines_go_to_a_new_file() {
        let scratch = testkit::scratch_dir("spool-sync");
        // /dev/null takes every write and cannot be synced.
        let (spool, fails) = failing_disk("/dev/null", Durability::Exact, scratch.path());
        assert!(spool.intent(&intent(1)).await.is_err());
        assert!(spool.failing());
        spool.facts(&[record(2)]).await;
        fails.store(false, Ordering::Relaxed);
        spool.shared.sync().unwrap();
        assert!(!spool.failing());
        spool.intent(&intent(3)).await.unwrap();
        assert_eq!(read_back(scratch.path()), lines(&[record(2), intent(3)]));
    }

    #[tokio::test]
    async fn a_disk_that_never_confirms_holds_a_call_no_longer_than_the_bound() {
        let scratch = testkit::scratch_dir("spool-hang");
        let mut spool = Spool::open(scratch.path(), Durability::Exact).unwrap();
        spool.confirm_within = Duration::from_millis(10);
        // No append reaches this position, so no sync confirms it.
        let error = spool.settled(u64::MAX).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
