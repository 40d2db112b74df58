//! Runs the batches this instance has claimed: begins requests while their models have room, notes what came of them, ends batches that
//! have none left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::{BatchStatus, OwnBatch, UnixMs};
use routing::Bought;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::keeper::Keeper;
use super::line::{self, Outcome};
use super::lines::{self, Line};
use super::pace::{Came, UnderWay, has_room, is_urgent, smoothed, wait_ms};
use super::told;
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::kept::allow::target;
use crate::keys::Key;
use crate::metrics::BatchLabels;
use crate::target::Target;

/// How often it is looked whether models have room, milliseconds, while requests wait.
const LOOK_EVERY_MS: u64 = 200;
/// How often a claim is renewed and it is looked for batches that nobody runs, milliseconds.
const CLAIM_EVERY_MS: u64 = 5_000;
/// How long a claim lasts, milliseconds: whoever takes over a dead instance's batches waits so long.
const CLAIM_MS: u64 = 60_000;
/// How long before the end of its claim an instance begins nothing more, milliseconds.
const CLAIM_MARGIN_MS: u64 = 10_000;
/// Batches that are run at one time; each has its requests in memory.
const AT_A_TIME: u64 = 4;
/// How long what ended is kept, milliseconds: thirty days, as OpenAI keeps the output of batches.
const KEPT_MS: u64 = 30 * 86_400_000;
/// How often it is looked for what is older, milliseconds.
const FORGET_EVERY_MS: u64 = 3_600_000;
/// Bytes of text for a token, by rule of thumb, and the answer that is expected, for the room in bought capacity.
const BYTES_PER_TOKEN: usize = 4;
const EXPECTED_OUTPUT_TOKENS: u64 = 256;

/// A batch that is run.
struct Job {
    batch: OwnBatch,
    id: Arc<str>,
    /// Its requests that wait, by what they name.
    queues: Vec<Queue>,
    under_way: u32,
    /// How long its requests take.
    request_ms: u64,
    /// Until when nobody else runs it.
    until: Instant,
}

/// Requests of one name.
struct Queue {
    asked: Arc<str>,
    waiting: VecDeque<(Arc<Line>, u32)>,
    /// Until when none is begun, after some that could not be answered.
    not_before: Instant,
    in_a_row: u32,
}

/// A request that has ended.
struct Ended {
    batch: Arc<str>,
    asked: Arc<str>,
    line: Arc<Line>,
    runs: u32,
    outcome: Outcome,
}

struct Runner {
    gateway: Arc<Gateway>,
    keeper: Arc<dyn Keeper>,
    jobs: Vec<Job>,
    under_way: JoinSet<Ended>,
    /// How many requests are under way, by what they name.
    by_name: FxHashMap<Arc<str>, u32>,
}

/// Runs batches until `stop` turns true; what is under way then is waited for.
pub async fn run(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let Ok(keeper) = gateway.own_batches.keeper().cloned() else { return };
    let mut runner = Runner {
        gateway: gateway.clone(),
        keeper,
        jobs: Vec::new(),
        under_way: JoinSet::new(),
        by_name: FxHashMap::default(),
    };
    let mut claim_at = Instant::now();
    let mut forget_at = Instant::now();
    loop {
        if Instant::now() >= claim_at {
            runner.claim().await;
            claim_at = Instant::now() + Duration::from_millis(CLAIM_EVERY_MS);
        }
        if Instant::now() >= forget_at {
            if let Err(why) = runner.keeper.forget_old(clock::now() - KEPT_MS).await {
                tracing::warn!(why, "old files and batches are forgotten later");
            }
            forget_at = Instant::now() + Duration::from_millis(FORGET_EVERY_MS);
        }
        runner.begin();
        runner.end_what_is_over().await;
        let waiting: usize = runner.jobs.iter().map(Job::waiting).sum();
        gateway.metrics.batch_requests_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let look = match runner.jobs.is_empty() {
            true => claim_at,
            false => claim_at.min(Instant::now() + Duration::from_millis(LOOK_EVERY_MS)),
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = runner.under_way.join_next() => runner.ended(ended),
            () = gateway.own_batches.changed.notified() => claim_at = Instant::now(),
            () = tokio::time::sleep_until(look) => {}
        }
    }
    while let Some(ended) = runner.under_way.join_next().await {
        runner.ended(ended);
    }
}

impl Runner {
    /// Claims what nobody else runs, and learns what became of what it runs.
    async fn claim(&mut self) {
        let until = Instant::now() + Duration::from_millis(CLAIM_MS - CLAIM_MARGIN_MS);
        let now = clock::now();
        let claimed = match self.keeper.claim(now, UnixMs(now.0 + CLAIM_MS as i64), AT_A_TIME).await {
            Ok(claimed) => claimed,
            Err(why) => {
                tracing::warn!(why, "batches cannot be claimed; those this instance runs go on for a while");
                return;
            }
        };
        let still: FxHashSet<&str> = claimed.iter().map(|batch| &*batch.id).collect();
        self.jobs.retain(|job| still.contains(&*job.id));
        for batch in claimed {
            match self.jobs.iter_mut().find(|job| *job.id == *batch.id) {
                Some(job) => (job.batch, job.until) = (batch, until),
                None => match self.job(batch, until).await {
                    Ok(job) => self.jobs.extend(job),
                    Err(why) => tracing::warn!(why, "a batch cannot be taken up yet; trying again"),
                },
            }
        }
        self.jobs.sort_by_key(|job| (job.batch.expires, job.id.clone()));
    }

    /// A batch with the requests that are not done with. One whose requests cannot be read any more, though they could when it was made,
    /// has failed.
    async fn job(&self, batch: OwnBatch, until: Instant) -> Result<Option<Job>, String> {
        let done: FxHashSet<u64> = self.keeper.done(batch.id.clone()).await?.into_iter().collect();
        let body = self.keeper.file_body(batch.input.clone()).await?;
        let id: Arc<str> = batch.id.as_str().into();
        let Some(lines) = body.and_then(|body| lines::read(lines::found(&body).ok()?, |_| Ok(())).ok()) else {
            tracing::error!(batch = %id, "the requests of a batch cannot be read any more; it has failed");
            self.keeper.end(batch.id, BatchStatus::Failed, clock::now()).await?;
            return Ok(None);
        };
        let mut queues: Vec<Queue> = Vec::new();
        for line in lines.into_iter().filter(|line| !done.contains(&line.number)) {
            let place = queues.iter().position(|queue| *queue.asked == *line.asked);
            let queue = match place {
                Some(place) => &mut queues[place],
                None => {
                    queues.push(Queue {
                        asked: line.asked.as_str().into(),
                        waiting: VecDeque::new(),
                        not_before: Instant::now(),
                        in_a_row: 0,
                    });
                    queues.last_mut().expect("it was pushed")
                }
            };
            queue.waiting.push_back((Arc::new(line), 0));
        }
        Ok(Some(Job { batch, id, queues, under_way: 0, request_ms: 0, until }))
    }

    /// Begins requests for which there is room, those of the batch that ends first before others.
    fn begin(&mut self) {
        let deployed = self.gateway.deployed.load_full();
        let keys = self.gateway.keys.load_full();
        let (now, at) = (Instant::now(), clock::now());
        let in_flight = &self.gateway.metrics.in_flight;
        let most = i64::try_from(deployed.snapshot.server.max_calls_in_flight).unwrap_or(i64::MAX);
        for job in &mut self.jobs {
            if self.gateway.is_draining() || !job.goes_on(at) || now >= job.until {
                continue;
            }
            let waiting = job.waiting() as u64;
            let left_ms = job.batch.expires.since(at);
            let key = keys.get(&job.batch.key);
            for queue in job.queues.iter_mut().filter(|queue| queue.not_before <= now) {
                let models = key.and_then(|key| models(&deployed, key, &queue.asked));
                // What may not be asked any more comes to an error, one request after the other.
                let (indexes, at_once) = models.unwrap_or((Vec::new(), config::Batches::USUAL.at_once));
                let urgent = is_urgent(left_ms, waiting, job.request_ms, at_once);
                while let Some((line, _)) = queue.waiting.front() {
                    let requests = self.by_name.get(&queue.asked).copied().unwrap_or(0);
                    let under_way = under_way(&deployed, &indexes, requests, line.body.len(), at);
                    if !has_room(under_way, at_once, urgent) || in_flight.get() >= most {
                        break;
                    }
                    let Some((line, runs)) = queue.waiting.pop_front() else { break };
                    in_flight.inc();
                    job.under_way += 1;
                    *self.by_name.entry(queue.asked.clone()).or_default() += 1;
                    let (gateway, batch, asked) = (self.gateway.clone(), job.id.clone(), queue.asked.clone());
                    let (key, runs) = (job.batch.key.clone(), runs + 1);
                    self.under_way.spawn(async move {
                        let _counted = InFlight(gateway.clone());
                        let running = Box::pin(line::run(gateway, (batch.clone(), key), line.clone(), runs));
                        let outcome = running.await;
                        Ended { batch, asked, line, runs, outcome }
                    });
                }
            }
        }
    }

    /// Notes what came of a request.
    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        // The edge of a call catches panics; what else ends a task is the end of the runtime.
        let Ok(Ended { batch, asked, line, runs, outcome }) = ended else { return };
        if let Some(requests) = self.by_name.get_mut(&asked) {
            *requests = requests.saturating_sub(1);
        }
        let came = match outcome.came {
            Came::Answered => "answered",
            Came::Failed => "failed",
            Came::Again | Came::NotNow | Came::Cut => "again",
        };
        self.gateway.metrics.batch_requests.get_or_create(&BatchLabels { came }).inc();
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == batch) else { return };
        job.under_way = job.under_way.saturating_sub(1);
        let Some(queue) = job.queues.iter_mut().find(|queue| queue.asked == asked) else { return };
        match outcome.came {
            Came::Answered | Came::Failed => {
                queue.in_a_row = 0;
                job.request_ms = smoothed(job.request_ms, outcome.took_ms);
            }
            Came::Again | Came::NotNow => {
                let wait = Duration::from_millis(wait_ms(queue.in_a_row, outcome.wait_ms));
                queue.not_before = queue.not_before.max(Instant::now() + wait);
                queue.in_a_row = queue.in_a_row.saturating_add(1);
                queue.waiting.push_front((line, runs));
            }
            Came::Cut => queue.waiting.push_front((line, runs)),
        }
    }

    /// Ends batches of which nothing is under way and nothing more is begun.
    async fn end_what_is_over(&mut self) {
        let at = clock::now();
        let over = |job: &Job| job.under_way == 0 && (job.waiting() == 0 || !job.goes_on(at));
        let mut ended = Vec::new();
        for job in self.jobs.iter().filter(|job| over(job)) {
            match end(&self.gateway, &*self.keeper, job, at).await {
                Ok(()) => ended.push(job.id.clone()),
                Err(why) => tracing::warn!(batch = %job.id, why, "a batch cannot be ended yet; trying again"),
            }
        }
        self.jobs.retain(|job| !ended.contains(&job.id));
        if !ended.is_empty() {
            // Another may be taken up in its place.
            self.gateway.own_batches.changed.notify_one();
        }
    }
}

/// Ends a batch: of what was not begun in time stands so among its errors.
async fn end(gateway: &Gateway, keeper: &dyn Keeper, job: &Job, at: UnixMs) -> Result<(), String> {
    let status = match (job.batch.status, job.waiting()) {
        (BatchStatus::Cancelling, _) => BatchStatus::Cancelled,
        (_, 0) => BatchStatus::Completed,
        _ => BatchStatus::Expired,
    };
    if status == BatchStatus::Expired {
        let why = "the batch's completion window was over before this request could be answered";
        for (line, _) in job.queues.iter().flat_map(|queue| &queue.waiting) {
            keeper.keep_line(job.batch.id.clone(), told::unasked(&job.id, line, "batch_expired", why)).await?;
            gateway.metrics.batch_requests.get_or_create(&BatchLabels { came: "expired" }).inc();
        }
    }
    keeper.end(job.batch.id.clone(), status, at).await?;
    tracing::info!(batch = %job.id, status = status.as_str(), "a batch is over");
    Ok(())
}

impl Job {
    fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting.len()).sum()
    }

    /// Whether further requests of it are begun.
    fn goes_on(&self, now: UnixMs) -> bool {
        self.batch.status == BatchStatus::InProgress && now < self.batch.expires
    }
}

/// Counts a request as a call that is being answered until it is dropped; it was counted in before.
struct InFlight(Arc<Gateway>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

/// The models that a name stands for, and how many calls at once leave no room on them.
fn models(deployed: &Deployed, key: &Key, asked: &str) -> Option<(Vec<usize>, u32)> {
    Some(match target(&deployed.snapshot, key, asked).ok()? {
        Target::Workflow(workflow) => {
            let models = workflow.lanes.iter().flat_map(|hops| hops.models.iter().copied()).collect();
            (models, workflow.batches.at_once)
        }
        Target::Lane(lane) => (lane.models.clone(), config::Batches::USUAL.at_once),
        Target::Model(model) => (vec![model.index], config::Batches::USUAL.at_once),
    })
}

/// What is under way on these models.
fn under_way(deployed: &Deployed, models: &[usize], requests: u32, body_bytes: usize, at: UnixMs) -> UnderWay {
    let mut models: Vec<usize> = models.to_vec();
    models.sort_unstable();
    models.dedup();
    let attempts = models.iter().map(|model| deployed.slots[*model].health.lock().in_flight()).sum();
    let tokens = ((body_bytes / BYTES_PER_TOKEN) as u64, EXPECTED_OUTPUT_TOKENS);
    let mut bought = models.iter().filter(|model| deployed.provisioned.serves(**model)).peekable();
    let bought_is_full = bought.peek().is_some()
        && !bought.any(|model| matches!(deployed.provisioned.bought(*model, tokens, at), Bought::Room));
    UnderWay { attempts, requests, bought_is_full }
}
