//! Puts a whole answer into the words of another dialect.

use domain::{Fault, FaultClass};

use super::beside;
use super::stream::cover;
use crate::canonical::{Answer, Content, Losses, malformed};
use crate::dialect::Operation;
use crate::dialects::grammar;
use crate::reply::{ReplyPlan, Seen};

/// The answer for the client, and into `seen` what the ledger has to know; of vectors and rankings `seen` tells their usage
/// already.
pub fn body(plan: &ReplyPlan, body: &[u8], seen: &mut Seen) -> Result<Vec<u8>, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("the answer is not UTF-8"))?;
    match plan.operation {
        Operation::Chat => {}
        Operation::Embeddings => return beside::vectors_answer(plan, text, seen),
        Operation::Rerank => return beside::ranking_answer(plan, text, seen),
        _ => {
            let what = format!("an answer to {} is not translated", plan.operation);
            return Err(Fault::new(FaultClass::Internal, what));
        }
    }
    let mut losses = Losses::default();
    let answer = grammar(plan.upstream).read_answer(text, &mut losses)?;
    note(&answer, seen);
    let out = grammar(plan.client).write_answer(&answer, &cover(plan), &mut losses);
    seen.losses = losses.into_list();
    Ok(out)
}

fn note(answer: &Answer<'_>, seen: &mut Seen) {
    for part in &answer.parts {
        let bytes = match &part.content {
            Content::Text(text) | Content::Refusal(text) | Content::Thinking { text, .. } => {
                seen.kept.push(text);
                text.len()
            }
            Content::RedactedThinking(data) => data.len(),
            Content::ToolUse { name, arguments, .. } => {
                seen.content_started = true;
                seen.kept.push(name);
                seen.kept.push(arguments);
                name.len() + arguments.len()
            }
            _ => 0,
        };
        seen.output_bytes += bytes as u64;
        seen.content_started |= bytes > 0;
    }
    if let Some(reported) = &answer.usage {
        seen.report(reported.clone());
    }
    seen.finish = answer.finish.as_ref().map(|finish| finish.word.to_string());
    seen.service_tier = answer.service_tier.as_ref().map(|tier| tier.to_string());
    seen.provider_request_id = answer.id.as_ref().map(|id| id.to_string());
    seen.ended = true;
}
