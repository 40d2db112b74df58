//! Cohere's rerank, version 2: results by index, documents never repeated.

use domain::{Fault, Meter};

use super::Cohere;
use crate::canonical::json::{Fields, object};
use crate::canonical::ranking::{RankingAnswer, RankingRequest, take_request};
use crate::canonical::{Cover, Losses, refused};
use crate::dialects::Rankings;

impl Rankings for Cohere {
    fn read_request<'a>(&self, body: &'a str, losses: &mut Losses) -> Result<RankingRequest<'a>, Fault> {
        let mut fields = Fields::read(body, "").ok_or_else(|| refused("", "must be an object"))?;
        let request = take_request(&mut fields, losses)?;
        fields.finish(losses, &[("priority", "the provider has no priorities of calls")]);
        Ok(request)
    }

    fn write_request(&self, request: &RankingRequest<'_>, model: &str, _losses: &mut Losses) -> Vec<u8> {
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("model", model);
            body.put("query", &request.query);
            body.put("documents", &request.documents);
            body.put_some("top_n", request.top_n.as_ref().map(|most| most.value));
            body.put_some("max_tokens_per_doc", request.max_tokens_per_document.as_ref().map(|most| most.value));
        });
        out
    }

    fn write_answer(&self, answer: &RankingAnswer<'_>, _request: &RankingRequest<'_>, cover: &Cover) -> Vec<u8> {
        let mut out = Vec::new();
        object(&mut out, |body| {
            body.put("id", &cover.id);
            body.list("results", |results| {
                for ranked in &answer.results {
                    results.object(|result| {
                        result.put("index", &ranked.index);
                        result.put("relevance_score", ranked.score);
                    });
                }
            });
            body.object("meta", |meta| {
                meta.object("api_version", |version| version.put("version", "2"));
                let Some(usage) = &answer.usage else { return };
                match usage.get(Meter::SearchUnits) {
                    0 => meta.object("tokens", |tokens| tokens.put("input_tokens", &usage.input_tokens())),
                    units => meta.object("billed_units", |billed| billed.put("search_units", &units)),
                }
            });
        });
        out
    }
}
