//! What a request to rank documents says, and its answer, whichever grammar says it. The grammars differ in little, so what
//! they share is read here.

use std::borrow::Cow;

use domain::{Fault, Usage};
use serde_json::value::RawValue;

use super::json::{Fields, count, is_number, is_object, list, text};
use super::{Losses, PlacedRaw, malformed, refused, untranslatable};

/// A request to put documents in order.
#[derive(Clone, Debug)]
pub(crate) struct RankingRequest<'a> {
    /// What is looked for.
    pub(crate) query: Cow<'a, str>,
    /// What is put in order.
    pub(crate) documents: Vec<Cow<'a, str>>,
    /// How many of the best are wanted.
    pub(crate) top_n: Option<PlacedRaw<'a>>,
    /// How much of each document is read, in tokens.
    pub(crate) max_tokens_per_document: Option<PlacedRaw<'a>>,
    /// Whether the answer is to repeat the documents.
    pub(crate) returns_documents: bool,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct RankingAnswer<'a> {
    /// The documents in the provider's order.
    pub(crate) results: Vec<Ranked<'a>>,
    /// What was consumed, where the provider said so.
    pub(crate) usage: Option<Usage>,
}

/// One document of the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked<'a> {
    /// Which of the request's documents it is.
    pub(crate) index: usize,
    /// How well it answers, a number as the provider wrote it.
    pub(crate) score: &'a RawValue,
}

/// Takes what both grammars have of a request; `returns_documents` is left false.
pub(crate) fn take_request<'a>(fields: &mut Fields<'a>, losses: &mut Losses) -> Result<RankingRequest<'a>, Fault> {
    fields.take("model");
    let query = fields.option("query", text, "must be a text")?.ok_or_else(|| refused("/query", "is missing"))?.value;
    let documents = fields.option("documents", list, "must be a list")?;
    let documents = documents.ok_or_else(|| refused("/documents", "is missing"))?;
    if documents.value.is_empty() {
        return Err(refused(&documents.at, "must hold a document"));
    }
    let numbered = documents.value.into_iter().enumerate();
    let documents = numbered
        .map(|(index, value)| document(value, format!("{}/{index}", documents.at), losses))
        .collect::<Result<Vec<_>, _>>()?;
    let number = |value: &'a RawValue| is_number(value).then_some(value);
    let top_n = fields.option("top_n", number, "must be a number")?;
    let max_tokens_per_document = fields.option("max_tokens_per_doc", number, "must be a number")?;
    Ok(RankingRequest { query, documents, top_n, max_tokens_per_document, returns_documents: false })
}

/// A document: a text, or an object around one.
fn document<'a>(value: &'a RawValue, at: String, losses: &mut Losses) -> Result<Cow<'a, str>, Fault> {
    if let Some(text) = text(value) {
        return Ok(text);
    }
    if !is_object(value) {
        return Err(refused(&at, "must be a text, or an object with `text`"));
    }
    let Some(mut fields) = Fields::read(value.get(), &*at) else {
        return Err(refused(&at, "must be a text, or an object with `text`"));
    };
    let Some(text) = fields.take_text("text") else {
        return Err(untranslatable(format!(
            "`{at}` has no `text`, and nothing else can be ranked by a provider of another dialect"
        )));
    };
    fields.finish(losses, &[]);
    Ok(text)
}

/// Reads the results of an answer.
pub(crate) fn read_results(body: &str) -> Result<Vec<Ranked<'_>>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the ranking is no object"))?;
    let results = fields.take("results").and_then(list).ok_or_else(|| malformed("the ranking has no `results`"))?;
    results
        .into_iter()
        .map(|result| {
            let mut fields = Fields::read(result.get(), "").ok_or_else(|| malformed("a result is no object"))?;
            let index = fields.take("index").and_then(count).and_then(|index| usize::try_from(index).ok());
            let index = index.ok_or_else(|| malformed("a result has no `index`"))?;
            let score = fields.take("relevance_score").filter(|score| is_number(score));
            let score = score.ok_or_else(|| malformed("a result has no `relevance_score`"))?;
            Ok(Ranked { index, score })
        })
        .collect()
}
