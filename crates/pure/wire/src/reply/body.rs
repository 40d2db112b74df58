//! Relays a whole answer.

use domain::{Fault, Usage};

use super::frame::{Changes, Ours, malformed, not_json, unexplained};
use super::plan::{ReplyPlan, Seen};
use super::{anthropic, bedrock, cohere, gemini, media, openai, responses};
use crate::dialect::{Dialect, Operation};
use crate::errors::embedded_fault;
use crate::translate;
use crate::usage::rerank_usage;

/// Relays a whole answer: the bytes for the client, and what was seen. An error dressed as a 200 is a fault.
pub fn reply_body(plan: &ReplyPlan, body: &[u8]) -> Result<(Vec<u8>, Seen), Fault> {
    if plan.raw || plan.operation == Operation::Invoke {
        let mut seen =
            Seen { output_bytes: body.len() as u64, content_started: true, ended: true, ..Seen::nothing(plan) };
        if let Ok(text) = std::str::from_utf8(body) {
            seen.kept.push(text);
        }
        return Ok((body.to_vec(), seen));
    }
    if let Err(error) = std::str::from_utf8(body) {
        return Err(malformed(&format!("the answer is not UTF-8 at byte {}", error.valid_up_to())));
    }
    let mut seen = Seen::nothing(plan);
    let read = match plan.upstream {
        Dialect::OpenAiChat if plan.operation.is_media() => media::body(plan.operation, body, &mut seen),
        Dialect::OpenAiChat => openai::body(body, &mut seen),
        Dialect::OpenAiResponses => responses::body(body, plan, &mut seen),
        Dialect::Anthropic => anthropic::body(body, &mut seen),
        Dialect::Gemini => gemini::body(body, &mut seen),
        Dialect::BedrockConverse => bedrock::body(body, &mut seen),
        Dialect::Cohere => cohere::body(body, &mut seen),
    };
    let read = read.map_err(not_json)?;
    if read.error {
        return Err(embedded_fault(plan.upstream, body).unwrap_or_else(unexplained));
    }
    if plan.operation == Operation::CountTokens {
        // Counting is not billed: what it answers are not tokens consumed.
        seen.usage = Some(Usage::ZERO);
    }
    if plan.operation == Operation::Rerank {
        // Whatever shape the answer has, what a ranking consumes is sent, not received.
        match rerank_usage(body) {
            Some(reported) => seen.report(reported),
            None => seen.usage = None,
        }
    }
    if plan.client != plan.upstream {
        // The translation of a conversation reads everything again, by its own measure.
        if plan.operation == Operation::Chat {
            seen = Seen::nothing(plan);
        }
        let out = translate::body(plan, body, &mut seen)?;
        seen.ended = true;
        return Ok((out, seen));
    }
    seen.ended = true;
    let mut out = Vec::with_capacity(body.len() + plan.asked_model.len());
    let changes = Changes { model: read.model, tags: read.tags, ids: read.ids, ..Changes::default() };
    changes.write(body, &Ours::of(plan), |position| position, &mut out);
    Ok((out, seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maker::Maker;
    use crate::quirks::Quirks;
    use domain::{FaultClass, Meter};

    fn plan(dialect: Dialect, operation: Operation) -> ReplyPlan {
        ReplyPlan {
            client: dialect,
            upstream: dialect,
            operation,
            asked_model: "claims-triage".into(),
            include_usage: true,
            continuous_usage: false,
            quirks: &Quirks::GENERIC,
            answer_id: String::new(),
            created_unix_s: 0,
            keep_bytes: 64,
            framing: crate::dialect::Framing::ServerSentEvents,
            maker: Maker::of("provider"),
            raw: false,
            request: bytes::Bytes::new(),
            ids: crate::kept::Ids::default(),
        }
    }

    fn relayed(dialect: Dialect, operation: Operation, body: &str) -> Result<(String, Seen), Fault> {
        let (out, seen) = reply_body(&plan(dialect, operation), body.as_bytes())?;
        Ok((String::from_utf8(out).unwrap(), seen))
    }

    #[test]
    fn a_whole_answer_passes_but_for_the_model() {
        let body = "{ \"id\":\"chatcmpl-1\", \"model\" : \"gpt-4o-2024\",\n\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"h\\u00e9\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2},\"service_tier\":\"default\",\"x\":1e999}";
        let (out, seen) = relayed(Dialect::OpenAiChat, Operation::Chat, body).unwrap();
        assert_eq!(out, body.replace("gpt-4o-2024", "claims-triage"));
        assert_eq!(seen.usage, Some(Usage::ZERO.with(Meter::Input, 9).with(Meter::Output, 2)));
        assert_eq!((seen.output_bytes, seen.finish.as_deref(), seen.ended), (6, Some("stop"), true));
        assert_eq!(seen.kept.text(), "héf{}");
        assert_eq!(seen.provider_request_id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(seen.service_tier.as_deref(), Some("default"));
    }

    #[test]
    fn an_anthropic_answer_passes_but_for_the_model() {
        let body = r#"{"id":"msg_1","type":"message","model":"claude-x","content":[{"type":"thinking","thinking":"abc","signature":"s"},{"type":"text","text":"hey"},{"type":"tool_use","name":"f","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4,"service_tier":"standard"}}"#;
        let (out, seen) = relayed(Dialect::Anthropic, Operation::Chat, body).unwrap();
        let tagged = format!("\"signature\":\"{}s", String::from_utf8_lossy(Maker::of("provider").tag()));
        assert_eq!(out, body.replace("claude-x", "claims-triage").replace("\"signature\":\"s", &tagged));
        assert_eq!((seen.finish.as_deref(), seen.service_tier.as_deref()), (Some("tool_use"), Some("standard")));
        assert_eq!(seen.usage, Some(Usage::ZERO.with(Meter::Input, 3).with(Meter::Output, 4)));
        assert!(seen.output_bytes >= 7 && seen.content_started);
        assert_eq!(seen.kept.text(), "abcheyf");
    }

    #[test]
    fn embeddings_cost_their_prompt() {
        let body = r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
        let (out, seen) = relayed(Dialect::OpenAiChat, Operation::Embeddings, body).unwrap();
        assert_eq!(out, body.replace("\"e\"", "\"claims-triage\""));
        assert_eq!(seen.usage, Some(Usage::ZERO.with(Meter::Input, 8)));
    }

    #[test]
    fn a_ranking_costs_search_units_or_the_tokens_sent() {
        let ranked = |dialect, body: &str| {
            let (out, seen) = relayed(dialect, Operation::Rerank, body).unwrap();
            (out == body.replace("\"jina\"", "\"claims-triage\""), seen.usage)
        };
        let cohere =
            r#"{"id":"1","results":[{"index":3,"relevance_score":0.99}],"meta":{"billed_units":{"search_units":1}}}"#;
        assert_eq!(ranked(Dialect::Cohere, cohere), (true, Some(Usage::ZERO.with(Meter::SearchUnits, 1))));
        assert_eq!(ranked(Dialect::OpenAiChat, cohere), (true, Some(Usage::ZERO.with(Meter::SearchUnits, 1))));
        let jina = r#"{"model":"jina","usage":{"total_tokens":38},"results":[{"index":0,"relevance_score":0.9}]}"#;
        assert_eq!(ranked(Dialect::OpenAiChat, jina), (true, Some(Usage::ZERO.with(Meter::Input, 38))));
        assert_eq!(ranked(Dialect::OpenAiChat, r#"{"results":[]}"#), (true, None));
    }

    #[test]
    fn counting_tokens_costs_nothing() {
        let (out, seen) = relayed(Dialect::Anthropic, Operation::CountTokens, r#"{"input_tokens":2095}"#).unwrap();
        assert_eq!((out.as_str(), seen.usage), (r#"{"input_tokens":2095}"#, Some(Usage::ZERO)));
    }

    #[test]
    fn an_error_dressed_as_success_is_a_fault() {
        let class = |dialect, body| relayed(dialect, Operation::Chat, body).unwrap_err().class;
        assert_eq!(class(Dialect::OpenAiChat, r#"{"error":{"message":"x","code":429}}"#), FaultClass::RateLimited);
        assert_eq!(
            class(Dialect::OpenAiChat, r#"{"object":"error","message":"x","code":400}"#),
            FaultClass::BadRequest
        );
        let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#;
        assert_eq!(class(Dialect::Anthropic, overloaded), FaultClass::Overloaded);
        for body in ["", "<html>", "[]", r#"{"choices":["#] {
            assert_eq!(class(Dialect::OpenAiChat, body), FaultClass::Malformed, "{body}");
        }
        assert!(relayed(Dialect::OpenAiChat, Operation::Chat, r#"{"error":null,"choices":[]}"#).is_ok());
    }
}
