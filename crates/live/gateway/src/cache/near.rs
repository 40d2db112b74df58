//! Which requests are near each other? Everything but the last words of the user must say the
//! same; of these the vectors are compared. A sample of the hits is asked of a model all the same, so that how often the answers
//! differ is a number, and the threshold moves by it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use config::{NearRule, Workflow};
use domain::{UnixMs, WorkflowName};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use super::agree::cosine_milli;
use super::name::Name;
use super::shelf::Kept;
use super::threshold::Threshold;
use crate::ports::Embedder;

/// Most texts whose vectors are kept for one context; the oldest goes first. So many are compared in a few milliseconds.
const MOST_OF_A_CONTEXT: usize = 50_000;
/// Memory that vectors may take beside the answers, bytes.
const MOST_BYTES: usize = 64 << 20;

/// What knows which requests are near each other.
pub struct Near {
    embedder: RwLock<Result<Arc<dyn Embedder>, String>>,
    index: Arc<RwLock<Index>>,
    thresholds: Mutex<BTreeMap<WorkflowName, Threshold>>,
}

/// The last words of a request, as it may be found again.
#[derive(Clone)]
pub struct Words {
    /// The name of all that was said beside them.
    pub context: Name,
    /// Their vector.
    pub vector: Arc<[f32]>,
}

/// A hit that a model is asked about all the same.
pub struct Comparing {
    /// The answer that was kept.
    pub kept: Arc<Kept>,
    /// How near its request is.
    pub cosine_milli: u16,
}

/// Texts of one context, each as its vector with the name of its answer, the oldest first.
type Texts = VecDeque<(Arc<[f32]>, Name)>;

/// Vectors by context.
#[derive(Default)]
struct Index {
    contexts: FxHashMap<Name, Texts>,
    bytes: usize,
    /// Contexts in the order of their first words, for making room.
    order: VecDeque<Name>,
}

impl Near {
    /// Knows nothing, and has nothing to make vectors with.
    pub fn new() -> Near {
        Near {
            embedder: RwLock::new(Err("no `[server] embedder` is named".to_owned())),
            index: Arc::default(),
            thresholds: Mutex::default(),
        }
    }

    /// Takes what makes vectors, or why there is nothing to.
    pub fn embed_with(&self, embedder: Result<Arc<dyn Embedder>, String>) {
        *self.embedder.write() = embedder;
    }

    /// Why there is nothing to make vectors with, where that is so.
    pub fn off(&self) -> Option<String> {
        self.embedder.read().as_ref().err().cloned()
    }

    /// The threshold of each workflow.
    pub fn thresholds(&self) -> BTreeMap<WorkflowName, Threshold> {
        self.thresholds.lock().clone()
    }

    /// Forgets the vectors of answers that are not kept any more.
    pub fn forget(&self, is_kept: impl Fn(&Name) -> bool) {
        self.index.write().retain(is_kept);
    }

    /// What makes vectors, or why there is nothing to.
    pub fn embedder(&self) -> Result<Arc<dyn Embedder>, String> {
        self.embedder.read().clone()
    }

    /// The nearest texts of a context, the nearest first. Looked for beside the event loop.
    pub async fn nearest(&self, words: Words) -> Vec<(Name, u16)> {
        let index = self.index.clone();
        let found = tokio::task::spawn_blocking(move || index.read().nearest(&words.context, &words.vector)).await;
        found.unwrap_or_default()
    }

    /// Notes the words by which an answer is found again.
    pub async fn remember(&self, words: Words, name: Name) {
        let index = self.index.clone();
        // Nobody waits for it but this: where it fails, the answer is found only by who says the same.
        let _ = tokio::task::spawn_blocking(move || index.write().add(words.context, words.vector, name)).await;
    }

    /// Asks the threshold of a workflow, which starts anew with a new rule.
    pub fn threshold<T>(
        &self,
        workflow: &Workflow,
        rule: NearRule,
        now: UnixMs,
        ask: impl FnOnce(&mut Threshold) -> T,
    ) -> T {
        let mut thresholds = self.thresholds.lock();
        let threshold = thresholds.entry(workflow.name.clone()).or_insert_with(|| Threshold::new(rule, now));
        if threshold.rule() != rule {
            *threshold = Threshold::new(rule, now);
        }
        ask(threshold)
    }
}

impl Default for Near {
    fn default() -> Near {
        Near::new()
    }
}

/// Nearest ones that are handed out: of the first ones the answers may be gone already.
const HANDED_OUT: usize = 4;

impl Index {
    /// The nearest texts of a context, the nearest first.
    fn nearest(&self, context: &Name, vector: &[f32]) -> Vec<(Name, u16)> {
        let texts = self.contexts.get(context).into_iter().flatten();
        let mut nearest: Vec<(Name, u16)> = Vec::with_capacity(HANDED_OUT + 1);
        for (other, name) in texts {
            let cosine = cosine_milli(vector, other);
            if nearest.len() < HANDED_OUT || nearest.last().is_some_and(|(_, least)| cosine > *least) {
                let at = nearest.partition_point(|(_, nearer)| *nearer >= cosine);
                nearest.insert(at, (*name, cosine));
                nearest.truncate(HANDED_OUT);
            }
        }
        nearest
    }

    fn add(&mut self, context: Name, vector: Arc<[f32]>, name: Name) {
        if !self.contexts.contains_key(&context) {
            self.order.push_back(context);
        }
        self.bytes += bytes(&vector);
        let texts = self.contexts.entry(context).or_default();
        if let Some(at) = texts.iter().position(|(_, known)| *known == name) {
            let (old, _) = texts.remove(at).expect("it was just found there");
            self.bytes -= bytes(&old);
        }
        texts.push_back((vector, name));
        if texts.len() > MOST_OF_A_CONTEXT
            && let Some((old, _)) = texts.pop_front()
        {
            self.bytes -= bytes(&old);
        }
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.contexts.remove(&oldest).unwrap_or_default();
            self.bytes -= gone.iter().map(|(vector, _)| bytes(vector)).sum::<usize>();
        }
    }

    fn retain(&mut self, is_kept: impl Fn(&Name) -> bool) {
        self.contexts.values_mut().for_each(|texts| texts.retain(|(_, name)| is_kept(name)));
        self.contexts.retain(|_, texts| !texts.is_empty());
        self.order.retain(|context| self.contexts.contains_key(context));
        self.bytes = self.contexts.values().flatten().map(|(vector, _)| bytes(vector)).sum();
    }
}

/// What a text takes in the index, bytes.
fn bytes(vector: &[f32]) -> usize {
    size_of_val(vector) + 128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> Name {
        Name([number; 32])
    }

    #[test]
    fn the_nearest_of_its_own_context_come_first() {
        let mut index = Index::default();
        index.add(name(1), Arc::new([1.0, 0.0]), name(10));
        index.add(name(1), Arc::new([0.6, 0.8]), name(11));
        index.add(name(2), Arc::new([0.0, 1.0]), name(12));
        assert_eq!(index.nearest(&name(1), &[0.0, 1.0]), [(name(11), 800), (name(10), 0)]);
        assert_eq!(index.nearest(&name(3), &[0.0, 1.0]), []);
        index.retain(|kept| *kept != name(11));
        assert_eq!(index.nearest(&name(1), &[0.0, 1.0]), [(name(10), 0)]);
        assert_eq!(index.bytes, 2 * bytes(&[0.0, 0.0]));
    }

    #[test]
    fn vectors_take_no_more_than_they_may_and_the_oldest_context_goes_first() {
        let mut index = Index::default();
        let large: Arc<[f32]> = vec![0.0; MOST_BYTES / 12].into();
        for number in 0..4 {
            index.add(name(number), large.clone(), name(number));
            index.add(name(number), large.clone(), name(number));
        }
        assert!(index.bytes <= MOST_BYTES);
        assert_eq!(index.contexts.len(), 2, "the same words again take their own place");
        assert!(index.contexts.contains_key(&name(3)));
    }
}
