//! How many tokens were these texts? Counted with a model's public tokenizer, where its provider did not report them.
//!
//! A vocabulary takes tens of megabytes and a third of a second to load, so nothing is loaded before a count is needed.
//! Counting is done by one thread of its own, which ends, and gives the memory back, when nobody has asked for a while. What
//! it cannot take on in time is estimated as for a model without a tokenizer: no call waits long, and none for ever.

#[cfg(test)]
mod examples;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use config::{Tokenizer, Vocabulary};
use ledger::learn::BytesPerToken;
use parking_lot::Mutex;
use tiktoken_rs::CoreBPE;
use tokio::sync::oneshot;
use wire::{Dialect, Prompt};

/// How much of an answer's text is kept for counting, bytes; the rest is taken to be like it.
pub const KEPT_BYTES: usize = 32 << 10;
/// How much of a prompt is counted, bytes; the rest is taken to be like it.
const PROMPT_BYTES: usize = 256 << 10;
/// Longest piece counted at once: the split rules look back over a run of spaces, which takes time and stack by its length.
const PIECE_BYTES: usize = 8 << 10;
/// Most counts that wait; more are not taken on.
const WAITING: usize = 64;
/// How long a call waits for a count. Loading a vocabulary and counting the longest prompt take under a second on an
/// idle machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the thread keeps its vocabularies when nobody asks.
const IDLE: Duration = Duration::from_secs(600);

/// By how many percent text that was not counted may be off, when it is taken to be like the text that was. The texts of
/// tokens/examples.rs (prose, code, tables, Japanese), each taken for each other, are off by up to 76 %.
const REST_ERROR_PERCENT: u64 = 100;
/// By how many percent the tokens of tools and schemas may be off: they are counted as JSON, and a provider shows them to
/// its model in another form. OpenAI's published example of one function was billed 66 where its
/// JSON has 77 (tokens/examples.rs); others may differ more.
const SCHEMA_ERROR_PERCENT: u64 = 50;
/// By how many tokens one call of a tool may be off: the marks around it are not published. Two published examples have four
/// more than their texts (tokens/examples.rs); twice that.
const CALL_ERROR: u64 = 8;
/// What stands for an error that nothing bounds: pictures and sound among the texts, reasoning that is billed and not shown.
const UNBOUNDED_ERROR_PERCENT: u16 = BytesPerToken::UNLEARNED_ERROR_PERCENT;

/// What is to be counted.
pub struct Texts {
    /// With what.
    pub tokenizer: &'static Tokenizer,
    /// Whether it is a conversation, which has tokens besides its texts.
    pub chat: bool,
    /// The request's body, in the client's words.
    pub body: Bytes,
    /// What dialect those are.
    pub dialect: Dialect,
    /// Bytes of prompt in it ([`wire::Head::prompt_bytes`]).
    pub prompt_bytes: u64,
    /// Whether the prompt holds more than text that we see: pictures, or what only its provider has.
    pub beyond_text: bool,
    /// The beginning of the answer's text.
    pub answer: String,
    /// Bytes of text in the whole answer.
    pub answer_bytes: u64,
    /// Answers in it.
    pub answers: u64,
    /// Whether it may hold calls of tools.
    pub may_call: bool,
    /// Whether the model may have reasoned without showing it.
    pub reasons_unseen: bool,
}

/// Tokens, and by how many they may be off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// How many.
    pub tokens: u64,
    /// More or fewer than that by so many.
    pub error: u64,
    /// Whether there may be more of it than anything we saw tells.
    pub unbounded: bool,
}

/// What was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// The prompt.
    pub input: Count,
    /// The answer.
    pub output: Count,
}

impl Counted {
    /// By how many percent both together may be off, at least 1.
    pub fn error_percent(&self) -> u16 {
        let (input, output) = (&self.input, &self.output);
        let both = Count {
            tokens: input.tokens + output.tokens,
            error: input.error + output.error,
            unbounded: input.unbounded || output.unbounded,
        };
        both.error_percent()
    }
}

impl Count {
    /// By how many percent it may be off, at least 1.
    pub fn error_percent(&self) -> u16 {
        let percent = self.error.saturating_mul(100).div_ceil(self.tokens.max(1));
        let least = if self.unbounded { UNBOUNDED_ERROR_PERCENT } else { 1 };
        u16::try_from(percent).unwrap_or(u16::MAX).max(least)
    }
}

/// Where counts are asked for.
#[derive(Default)]
pub struct TokenCounter {
    jobs: Mutex<Option<SyncSender<Job>>>,
}

struct Job {
    texts: Texts,
    reply: oneshot::Sender<Counted>,
}

impl TokenCounter {
    /// Counts; `None` where that cannot be had in time.
    pub async fn count(&self, texts: Texts) -> Option<Counted> {
        let (reply, counted) = oneshot::channel();
        self.ask(Job { texts, reply })?;
        tokio::time::timeout(PATIENCE, counted).await.ok()?.ok()
    }

    /// Hands a count to the thread, which is started where there is none.
    fn ask(&self, job: Job) -> Option<()> {
        let mut jobs = self.jobs.lock();
        let job = match jobs.as_ref() {
            None => job,
            Some(thread) => match thread.try_send(job) {
                Ok(()) => return Some(()),
                Err(TrySendError::Full(_)) => return None,
                // It ended when nobody asked. (What was handed over in that very moment is lost, and so estimated by bytes.)
                Err(TrySendError::Disconnected(job)) => job,
            },
        };
        let (thread, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("tokens".into()).spawn(move || work(&waiting)).ok()?;
        thread.try_send(job).ok()?;
        *jobs = Some(thread);
        Some(())
    }
}

/// Counts what it is handed, until nobody has asked for a while.
fn work(jobs: &Receiver<Job>) {
    let mut vocabularies = Vocabularies::default();
    while let Ok(Job { texts, reply }) = jobs.recv_timeout(IDLE) {
        // Nobody waits any more.
        if reply.is_closed() {
            continue;
        }
        let counted = catch_unwind(AssertUnwindSafe(|| {
            let bpe = vocabularies.get(texts.tokenizer.vocabulary);
            count(&texts, &|text| pieces(text).map(|piece| bpe.count_ordinary(piece) as u64).sum())
        }));
        match counted {
            Ok(counted) => _ = reply.send(counted),
            Err(_) => {
                tracing::error!(tokenizer = texts.tokenizer.name, "tokens could not be counted; they are estimated");
            }
        }
    }
}

/// What has been loaded.
#[derive(Default)]
struct Vocabularies(Vec<(Vocabulary, CoreBPE)>);

impl Vocabularies {
    fn get(&mut self, vocabulary: Vocabulary) -> &CoreBPE {
        let place = self.0.iter().position(|(known, _)| *known == vocabulary).unwrap_or_else(|| {
            let loaded = match vocabulary {
                Vocabulary::O200kBase => tiktoken_rs::o200k_base(),
                Vocabulary::Cl100kBase => tiktoken_rs::cl100k_base(),
            };
            self.0.push((vocabulary, loaded.expect("a vocabulary that is part of the program can be read")));
            self.0.len() - 1
        });
        &self.0[place].1
    }
}

/// Cuts a text where a cut changes few tokens: before a space, which begins one.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let most = rest.floor_char_boundary(PIECE_BYTES);
        let cut = if most == rest.len() { most } else { rest[..most].rfind(' ').filter(|at| *at > 0).unwrap_or(most) };
        let (piece, after) = rest.split_at(cut);
        rest = after;
        Some(piece)
    })
}

fn count(texts: &Texts, tokens_of: &dyn Fn(&str) -> u64) -> Counted {
    Counted { input: prompt(texts, tokens_of), output: answer(texts, tokens_of) }
}

fn prompt(texts: &Texts, tokens_of: &dyn Fn(&str) -> u64) -> Count {
    let mut read = 0;
    let Prompt { messages, names, calls, text_bytes, schema_bytes, whole } =
        wire::prompt_texts(texts.dialect, &texts.body, PROMPT_BYTES, &mut |text| read += tokens_of(text));
    // Where it is not whole, keys and marks are among the bytes of the rest: a little too much rather than too little.
    let rest = if whole { 0 } else { alike(read, text_bytes, texts.prompt_bytes.saturating_sub(text_bytes)) };
    let mut error = rest * REST_ERROR_PERCENT / 100;
    error += alike(read, text_bytes, schema_bytes) * SCHEMA_ERROR_PERCENT / 100;
    let mut tokens = read + rest;
    if texts.chat {
        let chat = &texts.tokenizer.chat;
        tokens += chat.prompt + chat.message * messages + chat.name * names;
        error += chat.prompt_error + CALL_ERROR * calls;
    }
    Count { tokens, error, unbounded: texts.beyond_text }
}

fn answer(texts: &Texts, tokens_of: &dyn Fn(&str) -> u64) -> Count {
    if texts.answer_bytes == 0 {
        return Count { unbounded: texts.reasons_unseen, ..Count::default() };
    }
    let kept_bytes = texts.answer.len() as u64;
    let (read, rest_bytes) = (tokens_of(&texts.answer), texts.answer_bytes.saturating_sub(kept_bytes));
    let rest = alike(read, kept_bytes, rest_bytes);
    let chat = &texts.tokenizer.chat;
    let tokens = read + rest + chat.answer * texts.answers;
    let mut error = rest * REST_ERROR_PERCENT / 100 + chat.answer_error * texts.answers;
    if texts.may_call {
        error += CALL_ERROR;
    }
    Count { tokens, error, unbounded: texts.reasons_unseen }
}

/// The tokens of so many bytes that are like those counted; by the rule of thumb where none were.
fn alike(tokens: u64, of_bytes: u64, bytes: u64) -> u64 {
    match of_bytes {
        0 => BytesPerToken::default().estimate(bytes).0,
        _ => (u128::from(tokens) * u128::from(bytes)).div_ceil(u128::from(of_bytes)) as u64,
    }
}
