//! What providers keep for a client: stored answers, files and batches. Each is one provider's: a request about it is passed to
//! that provider alone, with no translation and no failover, and costs nothing by itself.
//!
//! [`serve`] takes a request and lives it to its end, as [`asking`] while it is answered; [`allow`] decides whether and where it may go, by the ids that [`seal`] seals;
//! [`exchange`] moves it and its answer; [`answers`], [`files`] and [`batches`] are what can be asked, [`lists`] what is shared by
//! them. [`rewrite`] names the provider's model in what a batch asks for, and bounds what it can cost; [`deferred`] settles what
//! providers do later, and [`owners`] knows whose what is, for lists. [`booking`] books what costs something; [`other`] passes on what
//! Freehold has no route for. [`own`] are batches that no provider runs.

pub mod serve;
pub mod asking;
pub mod allow;
pub mod seal;
pub mod exchange;
pub mod answers;
pub mod files;
pub mod batches;
pub mod lists;
pub mod rewrite;
pub mod deferred;
pub mod owners;
pub mod booking;
pub mod other;
pub mod own;

/// What is asked of a provider about a thing it keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// A stored answer, whole or as the events it was made of.
    Answer,
    /// That it be forgotten.
    AnswerDeleted,
    /// That its making be stopped.
    AnswerCancelled,
    /// What it was asked with.
    AnswerInput,
    /// That a file be kept.
    FileUpload,
    /// Which files there are.
    Files,
    /// What is known of a file.
    File,
    /// What is in it.
    FileContent,
    /// That it be forgotten.
    FileDeleted,
    /// That many requests be answered later.
    BatchCreated,
    /// Which batches there are.
    Batches,
    /// How far a batch is.
    Batch,
    /// That it be stopped.
    BatchCancelled,
    /// That it be forgotten.
    BatchDeleted,
    /// What came of it.
    BatchResults,
    /// Anything else below `/v1/`.
    Other,
}
