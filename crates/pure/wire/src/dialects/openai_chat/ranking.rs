//! Rankings in the shape that Jina, vLLM, Cohere's first version and others share at `/rerank`.

use domain::{Fault, Meter};

use super::OpenAiChat;
use crate::canonical::json::{Fields, flag, object};
use crate::canonical::ranking::{RankingAnswer, RankingRequest, take_request};
use crate::canonical::{Cover, Losses, refused};
use crate::dialects::Rankings;

impl Rankings for OpenAiChat {
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<RankingRequest<'a>, Fault> {
        let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "must be an object"))?;
        let mut request = take_request(&mut fields, losses)?;
        let returns = fields.option("return_documents", flag, "must be true or false")?;
        // Jina and vLLM repeat the documents unasked.
        request.returns_documents = returns.is_none_or(|returns| returns.value);
        fields.finish(losses, &[]);
        Ok(request)
    }

    fn write_request(&self, request: &RankingRequest<'_>, model: &str, losses: &mut Losses) -> Vec<u8> {
        if let Some(most) = &request.max_tokens_per_document {
            losses.dropped(&*most.at, "the shared shape does not say how much of a document is read");
        }
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("model", model);
            body.put("query", &request.query);
            body.put("documents", &request.documents);
            body.put_some("top_n", request.top_n.as_ref().map(|most| most.value));
            // Whoever wants them has them from the request.
            body.put("return_documents", &false);
        });
        out
    }

    fn write_answer(&self, answer: &RankingAnswer<'_>, request: &RankingRequest<'_>, cover: &Cover) -> Vec<u8> {
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("model", &cover.model);
            body.list("results", |results| {
                for ranked in &answer.results {
                    results.object(|result| {
                        result.put("index", &ranked.index);
                        result.put("relevance_score", ranked.score);
                        if let (true, Some(text)) = (request.returns_documents, request.documents.get(ranked.index)) {
                            result.object("document", |document| document.put("text", text));
                        }
                    });
                }
            });
            let Some(usage) = &answer.usage else { return };
            match usage.get(Meter::SearchUnits) {
                0 => body.object("usage", |counts| counts.put("total_tokens", &usage.input_tokens())),
                // As Cohere's first version says it in this shape.
                units => body.object("meta", |meta| {
                    meta.object("billed_units", |billed| billed.put("search_units", &units));
                }),
            }
        });
        out
    }
}
