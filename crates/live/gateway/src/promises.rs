//! What lanes promise, whether they keep it, and which calls begin elsewhere because one does not: counted call by call, looked
//! at every few seconds by whichever call comes then. A lane that promises nothing costs a call nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use config::Snapshot;
use domain::{CallId, KeyId, Meter, UnixMs, Usage};
use parking_lot::Mutex;
use routing::slo::lane::{Counted, LOOK_EVERY_MS};
use routing::slo::{Indicator, LaneBudgets, LaneStanding};
use routing::{CriticalityIndex, LaneIndex, Move, Mover};
use tokio::time::Instant;

use crate::judged::{Answers, Unjudgeable};
use crate::steering::Steering;

/// The budgets of errors of each lane that promises something.
#[derive(Default)]
pub struct Promises {
    lanes: Vec<Option<Arc<Promised>>>,
    /// When it is to be looked at again, Unix milliseconds.
    due: AtomicI64,
}

/// What one lane promises. Outlives the snapshot as long as the lane keeps its name.
pub struct Promised {
    budgets: Mutex<LaneBudgets>,
    /// The answers that may be judged; absent where no share of them is promised to be good.
    answers: Option<Arc<Mutex<Answers>>>,
}

impl Promises {
    /// Those of a snapshot. What was counted under the one before counts on where a promise is still of the same thing.
    pub fn new(snapshot: &Snapshot, before: Option<(&Promises, &Snapshot)>) -> Promises {
        let classes = snapshot.criticality.len();
        let lanes = snapshot.lanes.iter().map(|lane| {
            let targets = lane.slo.targets();
            if targets.is_empty() {
                return None;
            }
            let judged = targets.iter().any(|target| target.indicator == Indicator::Quality);
            let known = before.and_then(|(before, old)| {
                let index = old.lanes.iter().position(|other| other.name == lane.name)?;
                before.lanes[index].clone()
            });
            let Some(known) = known else {
                let answers = judged.then(Arc::default);
                return Some(Arc::new(Promised { budgets: Mutex::new(LaneBudgets::new(&targets, classes)), answers }));
            };
            let same = known.budgets.lock().is_of(&targets, classes);
            if same {
                return Some(known);
            }
            let budgets = Mutex::new(known.budgets.lock().renewed(&targets, classes));
            let answers = judged.then(|| known.answers.clone().unwrap_or_default());
            Some(Arc::new(Promised { budgets, answers }))
        });
        Promises { lanes: lanes.collect(), due: AtomicI64::new(0) }
    }

    /// What a lane promises; nothing where it promises nothing.
    pub fn of(&self, lane: LaneIndex) -> Option<&Arc<Promised>> {
        self.lanes.get(lane)?.as_ref()
    }

    /// Counts a call by the lane that is its first choice.
    pub fn came(&self, lane: Option<LaneIndex>, criticality: Option<CriticalityIndex>) {
        if let Some(promised) = lane.and_then(|lane| self.of(lane)) {
            promised.budgets.lock().came(criticality);
        }
    }

    /// Counts the lanes that were asked to answer a call and did not.
    pub fn missed(&self, lanes: impl Iterator<Item = LaneIndex>, now: UnixMs) {
        lanes.filter_map(|lane| self.of(lane)).for_each(|promised| promised.budgets.lock().answered(false, now));
    }

    /// Looks at the budgets when it is time to, and tells what is moved.
    pub fn look(&self, steering: &Steering, now: UnixMs) {
        let due = self.due.load(Ordering::Relaxed);
        // A clock that stepped back is no reason to wait.
        let waits = now.0 < due && due - now.0 <= i64::try_from(LOOK_EVERY_MS).unwrap_or(i64::MAX);
        if waits || self.lanes.iter().all(Option::is_none) {
            return;
        }
        let next = (now + LOOK_EVERY_MS).0;
        if self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let mut moves: Vec<Move> = Vec::new();
        for (lane, promised) in self.lanes.iter().enumerate() {
            let Some(promised) = promised else { continue };
            let mut budgets = promised.budgets.lock();
            budgets.look(now);
            moves.extend(budgets.moved(lane));
        }
        if !steering.now().iter().filter(|one| one.by == Mover::Burn).map(|one| &**one).eq(moves.iter()) {
            steering.set(Mover::Burn, moves);
        }
    }

    /// Counts what an application said of an answer of its own; the later verdict counts.
    pub fn judge(&self, call: CallId, key: &KeyId, good: bool, now: UnixMs) -> Result<LaneIndex, Unjudgeable> {
        let lanes = self.lanes.iter().enumerate().filter_map(|(lane, one)| {
            let promised = one.as_ref()?;
            Some((lane, promised, promised.answers.as_ref()?))
        });
        let mut why = Unjudgeable::NothingPromised;
        for (lane, promised, answers) in lanes {
            why = Unjudgeable::NotKnown;
            let mut answers = answers.lock();
            if let Some(answer) = answers.of(call, key, now) {
                let at = promised.budgets.lock().judged(good, answer.verdict, now);
                answer.verdict = Some((at, good));
                return Ok(lane);
            }
        }
        Err(why)
    }

    /// What was counted since `from`, by lane.
    pub fn counted(&self, from: UnixMs) -> Vec<(LaneIndex, Counted)> {
        let lanes = self.lanes.iter().enumerate().filter_map(|(lane, one)| Some((lane, one.as_ref()?)));
        lanes
            .flat_map(|(lane, one)| one.budgets.lock().counted(from).into_iter().map(move |each| (lane, each)))
            .collect()
    }

    /// Takes over what an instance before this one counted of a lane.
    pub fn restore(&self, lane: LaneIndex, counted: &Counted, now: UnixMs) {
        if let Some(promised) = self.of(lane) {
            promised.budgets.lock().restore(counted, now);
        }
    }

    /// How a lane stands.
    pub fn standing(&self, lane: LaneIndex, now: UnixMs) -> Option<LaneStanding> {
        self.of(lane).map(|promised| promised.budgets.lock().standing(now))
    }
}

/// How an answer of a lane came to its client.
pub struct Answering {
    /// When the call entered the lane.
    pub entered: Instant,
    /// When the first content came; absent where it was not streamed.
    pub first_content: Option<Instant>,
    /// How long the client kept us from reading, which is not the lane's time.
    pub held_up: Duration,
}

impl Promised {
    /// Counts an answer that broke off in the middle.
    pub fn broke_off(&self, now: UnixMs) {
        self.budgets.lock().answered(false, now);
    }

    /// Counts an answer that has come to its end just now.
    pub fn answered(&self, how: &Answering, usage: &Usage, (call, key): (CallId, &KeyId), now: UnixMs) {
        if let Some(answers) = &self.answers {
            answers.lock().came(call, key.clone(), now);
        }
        let ended = Instant::now();
        let ms = |from: Instant, to: Instant| {
            let taken = to.saturating_duration_since(from);
            u64::try_from(taken.as_millis()).unwrap_or(u64::MAX)
        };
        let held_up_ms = u64::try_from(how.held_up.as_millis()).unwrap_or(u64::MAX);
        let mut budgets = self.budgets.lock();
        budgets.answered(true, now);
        budgets.took(Indicator::Total, ms(how.entered, ended).saturating_sub(held_up_ms), now);
        let Some(first) = how.first_content else { return };
        budgets.took(Indicator::FirstToken, ms(how.entered, first), now);
        // What was thought before the first content was not waited for between two tokens; what was shown of it was.
        let shown = match usage.get(Meter::Reasoning) {
            0 => usage.get(Meter::Output),
            _ => usage.output_tokens(),
        };
        if shown > 1 {
            budgets.took_for_tokens(ms(first, ended).saturating_sub(held_up_ms), shown - 1, now);
        }
    }
}
