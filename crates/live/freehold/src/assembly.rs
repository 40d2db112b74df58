//! Puts the parts together: data directory, recovery, gateway, jobs, console; and takes them apart again in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use config::{Catalog, Problem, Severity, Snapshot, SpoolMode};
use control::keys::KeyWatch;
use control::leases::{ASKING_AT_ONCE, Lessor};
use control::otlp::Exporter;
use control::ports::Running;
use control::sessions_spent::SessionKeeper;
use control::{Control, DataDirectory, DataLock, Ingest, Pepper};
use domain::KeyGrant;
use gateway::clock;
use gateway::dataplane::Gateway;
use gateway::ports::{Keys, Policy};
use gateway::spool::{Durability, Spool};
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::background::Background;
use crate::limits::limits;
use crate::own_batches::StoredBatches;
use crate::policy;
use crate::promises;
use crate::running::RunningGateway;
use crate::slices::{GatewaySessions, GatewaySlices};
use crate::starting::Starting;
use crate::vectors;
use crate::watching;

/// How often the configuration file is looked at, milliseconds.
const LOOK_EVERY_MS: u64 = 500;
/// How long jobs may take to end, milliseconds.
const JOBS_END_MS: u64 = 10_000;

/// Where the configuration comes from.
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// The price and model data.
    pub catalog: Catalog,
    /// What environment variables mean.
    pub environment: fn(&str) -> Option<String>,
}

impl Source {
    /// Reads and checks the file as it is now.
    pub fn read(&self) -> Result<Arc<Snapshot>, Vec<String>> {
        let text = policy::read(&self.file).map_err(|error| vec![format!("{error:#}")])?;
        self.check(&text).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn check(&self, text: &str) -> Result<Arc<Snapshot>, Vec<Problem>> {
        let name = self.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        policy::check_with(&name, text, &self.catalog, clock::now(), &self.environment)
    }
}

/// A running instance.
pub struct Instance {
    /// Where calls go.
    pub gateway_address: SocketAddr,
    /// Where the console is.
    pub console_address: SocketAddr,
    gateway: Arc<Gateway>,
    listener: TcpListener,
    stop: watch::Sender<bool>,
    jobs: Vec<JoinHandle<()>>,
    store: Store,
    _background: Background,
    _lock: DataLock,
}

impl Instance {
    /// Recovers what an earlier process left, and starts everything but the acceptance of calls.
    pub async fn start(
        source: Source,
        snapshot: Arc<Snapshot>,
        data: &DataDirectory,
        database: Option<String>,
    ) -> anyhow::Result<Instance> {
        let lock = data.lock()?;
        let background = Background::start()?;
        let console_listener = background.done(bind(snapshot.server.console_listen, "console_listen")).await??;
        let starting = Arc::new(Starting::listen(console_listener, &background).await?);
        let console_address = starting.address()?;
        let (folder, waiting) = (data.clone(), starting.clone());
        let store = background.done(async move { waiting.store(&folder, database.as_deref()).await }).await??;
        let pepper = Pepper::load_or_make(data)?;
        let who = control::leases::begin(&store, data, &lock).await?;
        let store = store.of_instance(&who.instance);
        let recovered = control::recover(&store, data, &lock, clock::now()).await?;
        if recovered.pass.fresh > 0 || recovered.indeterminate > 0 {
            tracing::info!(
                facts = recovered.pass.fresh,
                indeterminate = recovered.indeterminate,
                "took over what the process before had left in the spool"
            );
        }
        let (watch_keys, mut keys) = KeyWatch::start(store.clone()).await?;
        let grants = keys.borrow_and_update().clone();
        let server = &snapshot.server;
        let open_keys = grants.iter().filter(|key| key.revoked_at.is_none()).count();
        anyhow::ensure!(
            open_keys > 0 || (server.listen.ip().is_loopback() && server.console_listen.ip().is_loopback()),
            "listening on {} is refused while there is no key; make one with `freehold key create --data {}`",
            server.listen,
            data.root().display()
        );

        let durability = match server.spool {
            SpoolMode::Batched => Durability::Batched,
            SpoolMode::Exact => Durability::Exact,
        };
        let spool = Spool::open(&data.spool(), durability).context("the spool cannot be opened")?;
        let limits = limits(&store, &snapshot, &grants, None).await?;
        let policy = Policy { snapshot: snapshot.clone(), limits };
        let keys_now = Keys { grants, limits: Vec::new() };
        let gateway = Arc::new(Gateway::new(policy, keys_now, pepper.bytes(), spool)?);

        if snapshot.server.embedder.is_some() {
            let embedder = vectors::embedder(&snapshot).await;
            if let Err(why) = &embedder {
                tracing::warn!(why, "a cache's `near` is off; requests that say the same are answered all the same");
            }
            gateway.cache.near.embed_with(embedder);
        }
        gateway.own_batches.keep_with(Arc::new(StoredBatches(store.clone())));
        remember(&gateway, &store).await?;
        remember_totals(&gateway, &store, &snapshot).await?;
        watching::restore(&gateway, &data.anomalies());
        promises::remember(&gateway.deployed.load_full(), &store, clock::now()).await?;
        let sessions = Arc::new(GatewaySessions(gateway.clone(), who.instance.clone()));
        let sessions = SessionKeeper::begin(store.clone(), sessions, Arc::new(clock::now)).await?;
        let lessor = match store.is_shared() {
            false => None,
            true => {
                let (ask, wanted) = mpsc::channel(ASKING_AT_ONCE);
                gateway.budgets.ask_for_slices(ask);
                let slices = Arc::new(GatewaySlices(gateway.clone()));
                let mut lessor = Lessor::new(store.apart(), who.clone(), slices, wanted);
                lessor.begin().await?;
                Some(lessor)
            }
        };

        let listener = bind(server.listen, "listen").await?;
        let gateway_address = listener.local_addr()?;

        let (stop, stopping) = watch::channel(false);
        let (exporter, tap) = match &server.otlp_endpoint {
            None => (None, None),
            Some(endpoint) => {
                let made =
                    Exporter::new(endpoint).map_err(|reason| anyhow::anyhow!("[server] otlp_endpoint: {reason}"))?;
                (Some(made.0), Some(made.1))
            }
        };
        let ingest = Ingest::new(store.clone(), &data.spool(), tap);
        let reload = Arc::new(Notify::new());
        let running =
            Arc::new(RunningGateway { gateway: gateway.clone(), progress: ingest.progress(), reload: reload.clone() });
        let control = Control::new(store.clone(), pepper, running.clone());
        control.record_revision(&snapshot).await?;

        let mut jobs = vec![
            background.spawn(ingest.run(stopping.clone(), Arc::new(clock::now))),
            background.spawn(watch_keys.run(stopping.clone())),
            background.spawn(control::retention::run(control.clone(), stopping.clone())),
            background.spawn(control::capacity::run(control.clone(), stopping.clone())),
            background.spawn(watching::run(gateway.clone(), data.anomalies(), stopping.clone())),
            background.spawn(control::promises::run(control.clone(), stopping.clone())),
            background.spawn(sessions.run(stopping.clone())),
        ];
        let (teller, told) = mpsc::channel(gateway::notices::WAITING_AT_MOST);
        gateway.budgets.tell_others(teller);
        let (teller, found) = mpsc::channel(gateway::notices::WAITING_AT_MOST);
        gateway.watch.tell_others(teller);
        jobs.push(background.spawn(gateway::notices::run(gateway.clone(), told, found, stopping.clone())));
        // Its calls use the same connections as all others, which live where calls do.
        jobs.push(tokio::spawn(gateway::kept::own::runner::run(gateway.clone(), stopping.clone())));
        if let Some(lessor) = lessor {
            // Not below the calls: one whose slice is empty waits for it.
            jobs.push(tokio::spawn(lessor.run(stopping.clone())));
        }
        if let Some(exporter) = exporter {
            jobs.push(background.spawn(exporter.run(stopping.clone())));
        }
        let keeper = PolicyKeeper { source, gateway: gateway.clone(), control: control.clone(), store: store.clone() };
        jobs.push(background.spawn(keeper.run(keys, reload, stopping.clone())));
        let pages = router(control.clone(), running);
        let starting = Arc::into_inner(starting).context("the wait for the database is over")?;
        let console_listener = starting.done(&background).await?;
        jobs.push(background.spawn(serve_pages(console_listener, pages, stopping)));
        Ok(Instance {
            gateway_address,
            console_address,
            gateway,
            listener,
            stop,
            jobs,
            store,
            _background: background,
            _lock: lock,
        })
    }

    /// Takes calls until `stop` resolves; then lets calls end, has the store take over the spool, and ends.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        gateway::server::serve(self.gateway.clone(), self.listener, stop).await;
        self.stop.send_replace(true);
        for job in self.jobs {
            if tokio::time::timeout(Duration::from_millis(JOBS_END_MS), job).await.is_err() {
                tracing::warn!("a job did not end in time; what it had not done is done at the next start");
            }
        }
        self.store.close().await;
    }
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "[server] {setting} = \"{address}\" cannot be listened on; is another process there? choose another port"
        )
    })
}

/// How far back it is looked for what providers keep or have not told the cost of: longer than any of them keeps results.
const KEPT_DAYS: u64 = 40;
/// How much of it the gateway remembers.
const KEPT_MOST: u32 = 65_536;

/// Tells a gateway what the ones before it left with providers.
async fn remember(gateway: &Gateway, store: &Store) -> anyhow::Result<()> {
    let since = clock::now() - KEPT_DAYS * 86_400_000;
    store.owed(since, KEPT_MOST).await?.iter().for_each(|record| gateway.deferred.wait_for(record, 0));
    store.kept(since, KEPT_MOST).await?.iter().for_each(|record| gateway.owners.recall(record));
    Ok(())
}

/// Tells a gateway what its prices depend on and it does not know yet.
async fn remember_totals(gateway: &Gateway, store: &Store, snapshot: &Snapshot) -> anyhow::Result<()> {
    let now = clock::now();
    let rows = snapshot.models.iter().filter_map(|model| model.price_at(now));
    for running in rows.flat_map(|row| &row.running) {
        if !gateway.totals.knows(&running.name) {
            let total = store.counted_since(&running.name, running.period_start(now)).await?;
            gateway.totals.restore(running, total, now);
        }
    }
    Ok(())
}

/// Keeps the gateway's policy what the file and the keys say.
struct PolicyKeeper {
    source: Source,
    gateway: Arc<Gateway>,
    control: Control,
    store: Store,
}

impl PolicyKeeper {
    async fn run(self, mut keys: watch::Receiver<Vec<KeyGrant>>, reload: Arc<Notify>, mut stop: watch::Receiver<bool>) {
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
        let mut look = tokio::time::interval(Duration::from_millis(LOOK_EVERY_MS));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen = self.gateway.deployed.load().snapshot.text.to_string();
        let mut pending: Option<String> = None;
        loop {
            let told = tokio::select! {
                () = stopped(&mut stop) => return,
                changed = keys.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.take_keys(&mut keys).await;
                    continue;
                }
                () = reload.notified() => true,
                () = received(&mut hangup) => true,
                _ = look.tick() => false,
            };
            match policy::read(&self.source.file) {
                // A file that is being written is seen in halves: a change is taken when two looks agree on it.
                Ok(text) if told || (text != seen && pending.as_ref() == Some(&text)) => {
                    pending = None;
                    if self.take_configuration(&text, &keys).await {
                        seen = text;
                    }
                }
                Ok(text) => pending = (text != seen).then_some(text),
                // A file that is being replaced may be away for a moment; told to read it, its absence is a problem.
                Err(error) if told => self.refuse(vec![format!("{error:#}")]),
                Err(_) => {}
            }
        }
    }

    /// Whether that was the last word about this text: taken over or refused, as opposed to a store that is away.
    async fn take_configuration(&self, text: &str, keys: &watch::Receiver<Vec<KeyGrant>>) -> bool {
        let snapshot = match self.source.check(text) {
            Ok(snapshot) => snapshot,
            Err(problems) => {
                // What is only a warning is not why.
                let problems = problems.iter().filter(|problem| problem.severity == Severity::Error);
                self.refuse(problems.map(ToString::to_string).collect());
                return true;
            }
        };
        let grants = keys.borrow().clone();
        let limits = match limits(&self.store, &snapshot, &grants, Some(&self.gateway)).await {
            Ok(limits) => limits,
            Err(error) => {
                self.refuse(vec![format!(
                    "what is booked in its budgets cannot be read, and is tried again: {error:#}"
                )]);
                return false;
            }
        };
        if let Err(error) = remember_totals(&self.gateway, &self.store, &snapshot).await {
            self.refuse(vec![format!("what its prices depend on cannot be read, and is tried again: {error:#}")]);
            return false;
        }
        let before = self.gateway.deployed.load().snapshot.clone();
        if let Err(error) = self.gateway.deploy(Policy { snapshot: snapshot.clone(), limits }) {
            self.refuse(vec![error.to_string()]);
            return true;
        }
        tracing::info!(revision = snapshot.revision, "a new configuration runs");
        for change in config::waits_for_start(&before, &snapshot) {
            tracing::warn!("{change}");
        }
        if let Err(error) = self.control.record_revision(&snapshot).await {
            tracing::error!(%error, "the new configuration runs, but its history could not be written");
        }
        true
    }

    async fn take_keys(&self, keys: &mut watch::Receiver<Vec<KeyGrant>>) {
        let grants = keys.borrow_and_update().clone();
        let snapshot = self.gateway.deployed.load().snapshot.clone();
        match limits(&self.store, &snapshot, &grants, Some(&self.gateway)).await {
            Ok(limits) => self.gateway.publish_keys(Keys { grants, limits }),
            Err(error) => {
                tracing::error!(%error, "the keys changed, but their budgets cannot be read; revocations hold already");
                // Who is refused needs no budget; the rest is tried again.
                self.gateway.revoke(&grants);
                tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
                keys.mark_changed();
            }
        }
    }

    fn refuse(&self, problems: Vec<String>) {
        for problem in &problems {
            tracing::error!("configuration not taken over, the one before still runs: {problem}");
        }
        self.gateway.reject(problems);
    }
}

async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Resolves when the instance ends. The value is not kept: it would hold a lock across whatever comes next.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The console, the admin API and what monitors look at.
fn router(control: Control, running: Arc<RunningGateway>) -> Router {
    let ready = running.clone();
    let monitored = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                match ready.ready() {
                    Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                    Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
                }
            }),
        )
        .route(
            "/metrics",
            get(move || async move {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(axum::http::header::CONTENT_TYPE, kind)], running.metrics())
            }),
        );
    console::router(control.clone()).merge(control::api::api(control)).merge(monitored)
}

async fn serve_pages(listener: TcpListener, pages: Router, mut stop: watch::Receiver<bool>) {
    let service = pages.into_make_service_with_connect_info::<SocketAddr>();
    let until = async move { stopped(&mut stop).await };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(until).await {
        tracing::error!(%error, "the console ended");
    }
}

/// The signals that end the process. Made before anybody is told that it runs, so that none comes too early.
pub struct StopSignals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
}

impl StopSignals {
    /// Listens from now on.
    pub fn listen() -> StopSignals {
        use tokio::signal::unix::{SignalKind, signal};
        StopSignals {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hangup: None,
        }
    }

    /// The same for something that ends with the terminal it was started on, where a server takes SIGHUP for another wish.
    pub fn listen_on_a_terminal() -> StopSignals {
        use tokio::signal::unix::{SignalKind, signal};
        StopSignals { hangup: signal(SignalKind::hangup()).ok(), ..StopSignals::listen() }
    }

    /// Resolves when the process is told to end.
    pub async fn told(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
            () = received(&mut self.hangup) => {}
        }
    }
}
