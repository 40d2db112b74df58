//! What vector does a text have? A sentence model run on this machine, by one thread of its own, so that no call's thread computes.
//!
//! The model is a folder that somebody put there: `model.onnx` and `tokenizer.json` of a BERT-like sentence encoder, such as
//! all-MiniLM-L6-v2. Nothing is fetched. Without the feature `runtime` there is nothing to run it with, and [`Embedder::open`] says so.

#[cfg(feature = "runtime")]
mod model;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

/// Most texts that wait for the thread; more are not taken on.
const WAITING: usize = 64;
/// How long a text is waited for. One takes a few milliseconds; a full queue of long ones half a second.
const PATIENCE: Duration = Duration::from_secs(1);
/// The model of a folder.
const MODEL: &str = "model.onnx";
/// How its texts become tokens.
const TOKENIZER: &str = "tokenizer.json";

/// Makes vectors of texts.
pub struct Embedder {
    jobs: SyncSender<Job>,
}

/// Why there is nothing to make vectors with.
#[derive(Debug, Error)]
pub enum Unavailable {
    /// The build has no runtime.
    #[error("this build runs no models; build with `--features embedder`")]
    NotBuilt,
    /// A file is not there.
    #[error("`{}` is missing; put `model.onnx` and `tokenizer.json` of a sentence model there", .0.display())]
    Missing(PathBuf),
    /// The folder's files are not what they should be.
    #[error("the model in `{}` cannot be used: {reason}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A text that wants a vector.
struct Job {
    text: String,
    /// Whether a text that is longer than the model reads may be cut.
    cut: bool,
    answer: oneshot::Sender<Option<Vec<f32>>>,
}

/// Looks whether a folder has what it takes, without loading it.
pub fn look(folder: &Path) -> Result<(), Unavailable> {
    if cfg!(not(feature = "runtime")) {
        return Err(Unavailable::NotBuilt);
    }
    let missing = [MODEL, TOKENIZER].iter().map(|file| folder.join(file)).find(|file| !file.is_file());
    missing.map_or(Ok(()), |file| Err(Unavailable::Missing(file)))
}

impl Embedder {
    /// Loads the model of a folder, which takes a part of a second, on the thread that runs it.
    pub fn open(folder: &Path) -> Result<Embedder, Unavailable> {
        look(folder)?;
        let unusable = |reason: String| Unavailable::Unusable { folder: folder.to_owned(), reason };
        let (jobs, wanted) = sync_channel(WAITING);
        let (tell, opened) = sync_channel(1);
        let place = folder.to_owned();
        let thread = std::thread::Builder::new().name("embedder".to_owned());
        let started = thread.spawn(move || {
            // Opened here, since what reads texts may not change threads.
            let (run, told) = match open_model(&place) {
                Ok(run) => (Some(run), Ok(())),
                Err(why) => (None, Err(why)),
            };
            let is_wanted = tell.send(told).is_ok();
            if let Some(run) = run.filter(|_| is_wanted) {
                work(&wanted, &*run);
            }
        });
        started.map_err(|error| unusable(error.to_string()))?;
        opened.recv().unwrap_or_else(|_| Err(unusable("its thread ended while it was read".to_owned())))?;
        Ok(Embedder { jobs })
    }

    /// The vector of a text, of length 1. `None` where too many texts wait, the text is longer than the model reads and may not be
    /// `cut`, or the model failed.
    pub async fn embed(&self, text: String, cut: bool) -> Option<Vec<f32>> {
        let (answer, vector) = oneshot::channel();
        self.jobs.try_send(Job { text, cut, answer }).ok()?;
        tokio::time::timeout(PATIENCE, vector).await.ok()?.ok()?
    }
}

type Run = dyn Fn(&str, bool) -> Option<Vec<f32>>;

#[cfg(feature = "runtime")]
fn open_model(folder: &Path) -> Result<Box<Run>, Unavailable> {
    let unusable = |reason| Unavailable::Unusable { folder: folder.to_owned(), reason };
    let model = model::Model::open(&folder.join(MODEL), &folder.join(TOKENIZER)).map_err(unusable)?;
    Ok(Box::new(move |text, cut| model.vector(text, cut)))
}

#[cfg(not(feature = "runtime"))]
fn open_model(_: &Path) -> Result<Box<Run>, Unavailable> {
    Err(Unavailable::NotBuilt)
}

/// Works until nobody can ask any more.
fn work(wanted: &Receiver<Job>, run: &Run) {
    for Job { text, cut, answer } in wanted {
        // Whoever asked may have gone on without it.
        if !answer.is_closed() {
            let _ = answer.send(run(&text, cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_model_it_says_what_to_do() {
        let why = Embedder::open(Path::new("/nowhere")).err().unwrap().to_string();
        let said = if cfg!(feature = "runtime") { "`/nowhere/model.onnx` is missing" } else { "--features embedder" };
        assert!(why.contains(said), "{why}");
    }

    #[tokio::test]
    async fn texts_are_worked_off_one_after_the_other_and_a_full_queue_takes_none() {
        let (jobs, wanted) = sync_channel(1);
        let embedder = Embedder { jobs };
        let (answer, first) = oneshot::channel();
        embedder.jobs.try_send(Job { text: "one".to_owned(), cut: true, answer }).unwrap();
        assert_eq!(embedder.embed("two".to_owned(), true).await, None, "the queue is full");
        let thread = std::thread::spawn(move || work(&wanted, &|text, _| Some(vec![text.len() as f32])));
        assert_eq!(first.await.unwrap(), Some(vec![3.0]));
        assert_eq!(embedder.embed("three".to_owned(), true).await, Some(vec![5.0]));
        drop(embedder);
        thread.join().unwrap();
    }
}
