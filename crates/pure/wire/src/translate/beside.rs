//! Puts requests for vectors and for rankings into the words of another dialect, and their answers back.

use domain::{Fault, FaultClass};

use super::Translated;
use super::stream::cover;
use crate::canonical::ranking::{RankingAnswer, read_results};
use crate::canonical::vectors::{Vector, VectorAnswer};
use crate::canonical::{Losses, malformed, untranslatable};
use crate::dialect::Dialect;
use crate::dialects::{Rankings, Vectors, rankings, vectors};
use crate::reply::{ReplyPlan, Seen};
use crate::request::Ask;

/// A request for vectors.
pub(super) fn vectors_request(
    client: Dialect,
    upstream: Dialect,
    body: &str,
    ask: &Ask<'_>,
) -> Result<Translated, Fault> {
    let (reader, writer) = (vectors_of(client)?, vectors_of(upstream)?);
    let mut losses = Losses::default();
    let request = reader.read_request(body, &mut losses)?;
    let body = writer.write_request(&request, ask.upstream_model, &mut losses)?;
    Ok(Translated { body, losses: losses.into_list(), batch: writer.asks_apart(&request) })
}

/// A request for a ranking.
pub(super) fn ranking_request(
    client: Dialect,
    upstream: Dialect,
    body: &str,
    ask: &Ask<'_>,
) -> Result<Translated, Fault> {
    let (reader, writer) = (rankings_of(client)?, rankings_of(upstream)?);
    let mut losses = Losses::default();
    let request = reader.read_request(body, &mut losses)?;
    let body = writer.write_request(&request, ask.upstream_model, &mut losses);
    Ok(Translated { body, losses: losses.into_list(), batch: false })
}

/// The vectors for the client. `seen` holds already what they cost.
pub(super) fn vectors_answer(plan: &ReplyPlan, body: &str, seen: &Seen) -> Result<Vec<u8>, Fault> {
    let (reader, writer) = (vectors_of(plan.upstream)?, vectors_of(plan.client)?);
    let request = writer.read_request(asked(plan)?, &mut Losses::default())?;
    let read = reader.read_answer(body)?;
    if read.len() != request.inputs.len() {
        return Err(malformed(&format!("{} vectors came for {} inputs", read.len(), request.inputs.len())));
    }
    let vectors = read.into_iter().map(|json| Vector::read(json, request.forms.base64)).collect::<Result<_, _>>()?;
    let answer = VectorAnswer { vectors, usage: seen.usage };
    Ok(writer.write_answer(&answer, &request, &cover(plan)))
}

/// The ranking for the client. `seen` holds already what it cost.
pub(super) fn ranking_answer(plan: &ReplyPlan, body: &str, seen: &Seen) -> Result<Vec<u8>, Fault> {
    let writer = rankings_of(plan.client)?;
    let request = writer.read_request(asked(plan)?, &mut Losses::default())?;
    let results = read_results(body)?;
    let mut met = vec![false; request.documents.len()];
    for ranked in &results {
        match met.get_mut(ranked.index) {
            Some(met) if !*met => *met = true,
            _ => return Err(malformed("the ranking names a document that was not sent, or one of them twice")),
        }
    }
    let answer = RankingAnswer { results, usage: seen.usage };
    Ok(writer.write_answer(&answer, &request, &cover(plan)))
}

/// What the client asked, which its answer has the shape of.
fn asked(plan: &ReplyPlan) -> Result<&str, Fault> {
    std::str::from_utf8(&plan.request).map_err(|_| Fault::new(FaultClass::Internal, "the request was no text"))
}

fn vectors_of(dialect: Dialect) -> Result<&'static dyn Vectors, Fault> {
    vectors(dialect).ok_or_else(|| untranslatable(format!("{dialect} makes no embeddings")))
}

fn rankings_of(dialect: Dialect) -> Result<&'static dyn Rankings, Fault> {
    rankings(dialect).ok_or_else(|| untranslatable(format!("{dialect} ranks no documents")))
}
