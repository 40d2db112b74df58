//! Ends a streamed answer before its provider does, as if the model had reached its cap: the closing events of the provider's
//! dialect are made here and go the way of all others, so that every client gets the end its own dialect has.

use serde_json::{Value, json};

use super::plan::Seen;
use super::stream::StreamRelay;
use crate::dialect::{Dialect, Framing, Operation};
use crate::eventstream::Message;
use crate::sse::Piece;

/// The word of each dialect for an answer that was cut at a cap.
const fn word(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "length",
        Dialect::OpenAiResponses => "max_output_tokens",
        Dialect::Anthropic | Dialect::BedrockConverse => "max_tokens",
        Dialect::Gemini | Dialect::Cohere => "MAX_TOKENS",
    }
}

impl StreamRelay {
    /// Ends the answer now, with the finish reason of an answer cut at a cap. `why` is told in a comment where the client's
    /// stream has comments. False, and nothing written, where the answer has no such end: pictures, sound, grammars that are
    /// not read.
    pub fn stop_short(&mut self, why: &str, out: &mut Vec<u8>) -> bool {
        let plan = self.plan();
        let tells = matches!(plan.operation, Operation::Chat | Operation::Completions) && !plan.raw;
        if !tells || self.seen().ended {
            return false;
        }
        let (upstream, framing) = (plan.upstream, plan.framing);
        let frames =
            closing(upstream, plan.operation, &plan.asked_model, &plan.answer_id, self.open_block(), self.seen());
        self.comment(why, out);
        self.forget_partial_frame();
        let mut written = Vec::new();
        let wrapped = plan_is_wrapped(self);
        for (kind, payload) in frames {
            let done = match upstream {
                Dialect::BedrockConverse if !wrapped => {
                    let mut raw = Vec::new();
                    Message { is_exception: false, kind, payload: payload.as_bytes() }.write(&mut raw);
                    self.take_message(&raw, &mut written)
                }
                Dialect::Anthropic | Dialect::OpenAiResponses => {
                    let frame = format!("event: {kind}\ndata: {payload}\n\n");
                    self.take_piece(Piece::Frame(frame.as_bytes()), &mut written)
                }
                _ => {
                    let frame = format!("data: {payload}\n\n");
                    self.take_piece(Piece::Frame(frame.as_bytes()), &mut written)
                }
            };
            if done.is_err() {
                return false;
            }
        }
        // What a translation keeps for the end comes now; that the provider's own end is missing is what was wanted.
        let _ = self.close(&mut written);
        match framing {
            Framing::JsonArray => self.write_elements(&written, out),
            _ => out.extend_from_slice(&written),
        }
        true
    }
}

fn plan_is_wrapped(relay: &StreamRelay) -> bool {
    let plan = relay.plan();
    plan.quirks.hosting.is_wrapped(plan.upstream)
}

/// The last events of a stream of this dialect: each with its name, where the dialect has names.
fn closing(
    upstream: Dialect,
    operation: Operation,
    model: &str,
    answer_id: &str,
    open_block: Option<u64>,
    seen: &Seen,
) -> Vec<(&'static str, String)> {
    let word = word(upstream);
    let id = seen.provider_request_id.as_deref().unwrap_or(answer_id);
    let one = |kind: &'static str, event: Value| (kind, event.to_string());
    match upstream {
        Dialect::OpenAiChat => {
            let (object, choice) = match operation {
                Operation::Completions => ("text_completion", json!({"index": 0, "text": "", "finish_reason": word})),
                _ => ("chat.completion.chunk", json!({"index": 0, "delta": {}, "finish_reason": word})),
            };
            let chunk = json!({"id": id, "object": object, "created": 0, "model": model, "choices": [choice]});
            vec![one("", chunk), ("", "[DONE]".to_owned())]
        }
        Dialect::OpenAiResponses => {
            let response = json!({
                "id": id, "object": "response", "created_at": 0, "status": "incomplete", "error": null, "model": model,
                "incomplete_details": {"reason": word}, "output": [], "usage": null,
                "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
            });
            // Its number is filled in as where a server leaves it out.
            let event = json!({"type": "response.incomplete", "response": response});
            vec![one("response.incomplete", event)]
        }
        Dialect::Anthropic => {
            let block = open_block
                .map(|index| one("content_block_stop", json!({"type": "content_block_stop", "index": index})));
            let output = seen.usage.map_or(0, |usage| usage.output_tokens());
            let delta = json!({
                "type": "message_delta",
                "delta": {"stop_reason": word, "stop_sequence": null},
                "usage": {"output_tokens": output},
            });
            let stop = one("message_stop", json!({"type": "message_stop"}));
            block.into_iter().chain([one("message_delta", delta), stop]).collect()
        }
        Dialect::Gemini => {
            let candidate = json!({"content": {"role": "model", "parts": []}, "finishReason": word, "index": 0});
            vec![one("", json!({"candidates": [candidate], "modelVersion": model}))]
        }
        Dialect::BedrockConverse => {
            let usage =
                json!({"usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}, "metrics": {"latencyMs": 0}});
            vec![one("messageStop", json!({"stopReason": word})), one("metadata", usage)]
        }
        Dialect::Cohere => {
            vec![one("", json!({"type": "message-end", "id": id, "delta": {"finish_reason": word}}))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::Ids;
    use crate::maker::Maker;
    use crate::quirks::Quirks;
    use crate::reply::ReplyPlan;

    fn plan(client: Dialect, upstream: Dialect) -> ReplyPlan {
        ReplyPlan {
            raw: false,
            client,
            upstream,
            operation: Operation::Chat,
            asked_model: "claims".into(),
            include_usage: false,
            continuous_usage: false,
            quirks: &Quirks::GENERIC,
            maker: Maker::of("p"),
            answer_id: "call_1".into(),
            created_unix_s: 1,
            keep_bytes: 0,
            framing: client.framing(),
            request: bytes::Bytes::new(),
            ids: Ids::default(),
        }
    }

    /// An answer begun in each dialect.
    fn begun(upstream: Dialect) -> Vec<u8> {
        let text = match upstream {
            Dialect::OpenAiChat => {
                "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n".to_owned()
            }
            Dialect::OpenAiResponses => concat!(
                "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"status\":\"in_progress\",\"model\":\"m\",\"output\":[]}}\n\n",
                "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"i\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n",
                "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\",\"sequence_number\":2,\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}\n\n",
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":3,\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hel\"}\n\n",
            )
            .to_owned(),
            Dialect::Anthropic => concat!(
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
                "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n",
            )
            .to_owned(),
            Dialect::Gemini => {
                "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"Hel\"}]},\"index\":0}],\"modelVersion\":\"m\"}\n\n".to_owned()
            }
            Dialect::Cohere => concat!(
                "data: {\"type\":\"message-start\",\"id\":\"c\",\"delta\":{\"message\":{\"role\":\"assistant\"}}}\n\n",
                "data: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n",
                "data: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"Hel\"}}}}\n\n",
            )
            .to_owned(),
            Dialect::BedrockConverse => {
                let mut raw = Vec::new();
                for (kind, payload) in [
                    ("messageStart", "{\"role\":\"assistant\"}"),
                    ("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hel\"}}"),
                ] {
                    Message { is_exception: false, kind, payload: payload.as_bytes() }.write(&mut raw);
                }
                return raw;
            }
        };
        text.into_bytes()
    }

    /// Whether the events of a Responses stream are numbered from zero on without a gap.
    fn is_numbered(text: &str) -> bool {
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let numbers = events.map(|event| serde_json::from_str::<Value>(event).unwrap()["sequence_number"].as_u64());
        numbers.enumerate().all(|(place, number)| number == Some(place as u64))
    }

    #[test]
    fn our_error_in_a_responses_stream_is_numbered_on_whatever_the_provider_speaks() {
        let error = crate::errors::ClientError {
            status: 502,
            code: "upstream_cut".into(),
            message: "the provider hung up".into(),
            blame: domain::Blame::Provider,
            retry: crate::errors::Retry::No,
            billed: true,
            call: "call_1".into(),
            param: None,
        };
        for upstream in Dialect::ALL.iter().copied() {
            let mut relay = StreamRelay::new(plan(Dialect::OpenAiResponses, upstream));
            let mut out = Vec::new();
            relay.feed(&begun(upstream), &mut out).unwrap();
            out.extend(relay.error_frame(&error));
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains("event: response.failed") && is_numbered(&text), "{upstream}: {text}");
        }
    }

    #[test]
    fn every_dialect_ends_with_its_word_for_a_cap_whatever_the_provider_speaks() {
        for upstream in Dialect::ALL.iter().copied() {
            for client in Dialect::ALL.iter().copied() {
                let mut relay = StreamRelay::new(plan(client, upstream));
                let mut out = Vec::new();
                relay.feed(&begun(upstream), &mut out).unwrap();
                // In the middle of a frame.
                if !upstream.streams_messages() {
                    relay.feed(b"data: {\"cho", &mut out).unwrap();
                }
                assert!(relay.stop_short("the budget of workflow `w` is spent", &mut out), "{upstream} to {client}");
                let text = String::from_utf8_lossy(&out).into_owned();
                assert!(text.contains(word(client)), "{upstream} to {client}: {text}");
                assert!(text.contains("Hel"), "{upstream} to {client}: {text}");
                let ends = match client {
                    Dialect::OpenAiChat => text.ends_with("data: [DONE]\n\n"),
                    Dialect::Anthropic => text.contains("content_block_stop") && text.contains("\"message_stop\""),
                    Dialect::OpenAiResponses => text.contains("response.incomplete") && is_numbered(&text),
                    _ => true,
                };
                assert!(ends, "{upstream} to {client}: {text}");
                assert!(client.streams_messages() || text.contains(": freehold: the budget"), "{text}");
                assert!(relay.seen().ended);
            }
        }
    }
}
