//! One run: the gateway as it is in production, from its accept loop's connections to the records it hands to the spool, with
//! simulated providers at the other ends of pipes instead of sockets, on one thread whose clock jumps to whatever is due next.
//!
//! Nothing here depends on how fast the machine is, on other threads, or on chance that the seed does not decide, so the same
//! plan gives the same run, byte for byte.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::{Entry, KeyGrant, KeyId, ProviderName, UnixMs};
use gateway::budgets::Limit;
use gateway::chance::Chance;
use gateway::dataplane::Gateway;
use gateway::pipe::{Connecting, Connector, Dial};
use gateway::ports::{Keys, Policy};
use gateway::spool::Spool;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use simulator::transcript::{Exchange, State};
use simulator::{Inside, Scenario};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::books::Books;
use crate::load::{Caller, Heard, ask_all};
use crate::plan::Plan;

/// When every drill begins by its own clock: 2026-12-01, 08:00 UTC, a Tuesday.
pub const BEGINS: UnixMs = UnixMs(1_796_112_000_000);
/// Bytes that may be on their way in each direction of a pipe.
const PIPE_BYTES: usize = 64 << 10;
/// Kept by nobody, so it hides nothing.
const PEPPER: [u8; 32] = [7; 32];
const SECRET: &str = "rehearsal";

/// What one run came to.
pub struct Ran {
    /// What the calls heard, in the order in which they ended.
    pub heard: Vec<Heard>,
    /// What was booked.
    pub books: Books,
    /// What the simulated providers received, where somebody asked to audit it.
    pub received: Vec<Received>,
}

/// A request as the simulated provider has it in its transcript.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Whose attempt it was.
    pub attempt: Option<String>,
    /// How far it came.
    pub state: State,
    /// Tokens in and out that it said it counts; absent where it said nothing.
    pub tokens: Option<(u64, u64)>,
}

/// How a run is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// Whether every record and everything the providers received is kept, to hold them against each other.
    pub audits: bool,
    /// At most so many calls for each workflow.
    pub most_calls: Option<u64>,
}

/// Makes one run. It has its own thread while it lasts: a clock is paused for a thread as a whole.
pub fn simulate(plan: &Plan, watch: Watch) -> io::Result<Ran> {
    let plan = plan.clone();
    let thread = std::thread::Builder::new().name("drill".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(run(&plan, watch))
    })?;
    thread.join().map_err(|_| io::Error::other("a drill's run panicked, which is a defect in Freehold"))?
}

async fn run(plan: &Plan, watch: Watch) -> io::Result<Ran> {
    let _virtual = gateway::clock::begin_at(BEGINS);
    simulator::clock::begin_at(BEGINS);
    let began = Instant::now();
    let providers = Arc::new(Providers::new(plan, began, watch.audits));
    let books = Arc::new(Mutex::new(Books::new(BEGINS, watch.audits)));
    let gateway = open(plan, &providers, &books)?;
    let closing = watch::Sender::new(false);
    let caller = Arc::new(caller(&gateway, &closing));

    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = {
        let heard = heard.clone();
        Arc::new(Mutex::new(move |one: Heard| heard.lock().push(one)))
    };
    let events = tokio::spawn(happen(plan.clone(), gateway.clone(), providers.clone(), began));
    let reading = watch.audits.then(|| tokio::spawn(read_transcript(providers.clone())));
    let mut asking = tokio::task::JoinSet::new();
    for (place, one) in plan.load.iter().enumerate() {
        let terms = (plan.seed, plan.lasts_ms, watch.most_calls);
        asking.spawn(ask_all(caller.clone(), (place, one.clone()), terms, told.clone()));
    }
    while let Some(asked) = asking.join_next().await {
        asked.map_err(|error| io::Error::other(format!("a caller of the drill failed: {error}")))?;
    }
    // What a client has in full may still be on its way into the books.
    while gateway.metrics.in_flight.get() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    events.abort();
    if let Some(reading) = reading {
        reading.abort();
    }
    providers.take_ended();
    let heard = std::mem::take(&mut *heard.lock());
    let books = std::mem::take(&mut *books.lock());
    let received = std::mem::take(&mut *providers.received.lock());
    Ok(Ran { heard, books, received })
}

/// The gateway, with everything of it that is not the drill's.
fn open(plan: &Plan, providers: &Arc<Providers>, books: &Arc<Mutex<Books>>) -> io::Result<Arc<Gateway>> {
    let books = books.clone();
    let spool = Spool::telling(Box::new(move |entry: &Entry| books.lock().take(entry)))?;
    let grants = vec![grant()];
    let limits = Limit::declared(&plan.snapshot, &grants);
    let policy = Policy { snapshot: plan.snapshot.clone(), limits };
    let mut gateway =
        Gateway::new(policy, Keys { grants, limits: Vec::new() }, PEPPER, spool).map_err(io::Error::other)?;
    gateway.chance = Chance::seeded(plan.seed);
    let connector = connector(providers.clone());
    gateway.pipe(&connector);
    Ok(Arc::new(gateway))
}

fn grant() -> KeyGrant {
    KeyGrant {
        id: KeyId("drill".into()),
        hash: *blake3::keyed_hash(&PEPPER, SECRET.as_bytes()).as_bytes(),
        label: "drill".into(),
        workflows: None,
        direct: false,
        budgets: Vec::new(),
        requests_per_minute: None,
        tokens_per_minute: None,
        created_at: BEGINS,
        expires_at: None,
        revoked_at: None,
    }
}

/// Clients that reach the gateway over pipes.
fn caller(gateway: &Arc<Gateway>, closing: &watch::Sender<bool>) -> Caller<Dial> {
    let (gateway, closing) = (gateway.clone(), closing.clone());
    let connector: Connector = Arc::new(move |_: &ProviderName| {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        gateway::server::take(&gateway, far, &closing);
        Box::pin(std::future::ready(Ok(near)))
    });
    let dial = Dial { connector, provider: ProviderName::new("gateway") };
    Caller {
        way: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(dial),
        address: "http://gateway/v1/chat/completions".into(),
        authorization: format!("Bearer fh_drill_{SECRET}"),
    }
}

/// The simulated providers, and which connections to them stand.
struct Providers {
    inside: Inside,
    began: Instant,
    gone: Vec<(String, u64, u64)>,
    standing: Mutex<BTreeMap<String, Vec<AbortHandle>>>,
    received: Mutex<Vec<Received>>,
}

impl Providers {
    fn new(plan: &Plan, began: Instant, audits: bool) -> Providers {
        // Without an audit nobody reads it.
        let limit = if audits { usize::MAX } else { 1 };
        let transcript = simulator::scenario::Keep { bodies: false, limit };
        let scenario = Scenario { seed: plan.seed, transcript, providers: plan.scripts.clone() };
        Providers {
            inside: Inside::new(scenario),
            began,
            gone: plan.gone.clone(),
            standing: Mutex::default(),
            received: Mutex::default(),
        }
    }

    fn is_gone(&self, provider: &str) -> bool {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.gone.iter().any(|(name, from, to)| name == provider && (*from..*to).contains(&now))
    }

    fn connect(&self, provider: &str) -> io::Result<tokio::io::DuplexStream> {
        if self.is_gone(provider) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there"));
        }
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let handle = self.inside.connect(far);
        let mut standing = self.standing.lock();
        let own = standing.entry(provider.to_owned()).or_default();
        own.retain(|handle| !handle.is_finished());
        own.push(handle);
        Ok(near)
    }

    /// Breaks off every connection to a provider.
    fn cut(&self, provider: &str) {
        let standing = self.standing.lock().remove(provider);
        standing.into_iter().flatten().for_each(|handle| handle.abort());
    }

    fn take_ended(&self) {
        let ended = self.inside.take_ended().into_iter();
        self.received.lock().extend(ended.map(|Exchange { attempt, state, usage, .. }| Received {
            attempt,
            state,
            tokens: usage.map(|usage| (usage.prompt, usage.output)),
        }));
    }
}

fn connector(providers: Arc<Providers>) -> Connector {
    Arc::new(move |provider: &ProviderName| -> Connecting {
        let connected = providers.connect(provider.as_str());
        Box::pin(std::future::ready(connected))
    })
}

/// Lets happen what the plan has besides the providers' own scripts, in its order.
async fn happen(plan: Plan, gateway: Arc<Gateway>, providers: Arc<Providers>, began: Instant) {
    enum Event {
        Cut(String),
        Deploy(usize),
    }
    let cuts = plan.gone.iter().map(|(provider, from, _)| (*from, Event::Cut(provider.clone())));
    let deploys = plan.changes.iter().enumerate().map(|(index, (at, _))| (*at, Event::Deploy(index)));
    let mut events: Vec<(u64, Event)> = cuts.chain(deploys).collect();
    events.sort_by_key(|(at, _)| *at);
    for (at, event) in events {
        tokio::time::sleep_until(began + Duration::from_millis(at)).await;
        match event {
            Event::Cut(provider) => providers.cut(&provider),
            Event::Deploy(index) => {
                let snapshot = plan.changes[index].1.clone();
                let limits = Limit::declared(&snapshot, &[grant()]);
                gateway.deploy(Policy { snapshot, limits }).expect("the ways to its providers are the ones it had");
            }
        }
    }
}

/// Reads what has ended off the transcript once a minute, so that it stays short.
async fn read_transcript(providers: Arc<Providers>) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        providers.take_ended();
    }
}
