//! Answers of Bedrock's `invoke` as its API reference and user guide write them down: a vendor's own body, whole or in chunks
//! that carry it in base64; and what Titan's embeddings and Meta's Llama answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::{Ask, Wrong, blank, text_chars};
use crate::bedrock::event;
use crate::chance::fingerprint;
use crate::content::{self, Usage};
use crate::faults::put;
use crate::frames::{Frames, Writer};
use crate::media::Made;
use crate::openai::direction;

/// Server-sent events as chunks; the last tells what was counted.
pub fn wrapped(frames: &Frames, reported: Option<Usage>) -> Frames {
    let mut writer = Writer::for_frames(frames.ends.len() as u64);
    let mut start = 0;
    for (index, end) in frames.ends.iter().enumerate() {
        if index == frames.lead {
            writer.content_begins();
        }
        if index == frames.tail {
            writer.closing_begins();
        }
        let text = String::from_utf8_lossy(&frames.bytes[start..*end]);
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
        let mut event: Value = serde_json::from_str(data).unwrap_or_default();
        if let Some(usage) = reported.filter(|_| index + 1 == frames.ends.len()) {
            event["amazon-bedrock-invocationMetrics"] = metrics(&usage);
        }
        writer.frame(&chunk(&event));
        start = *end;
    }
    writer.finish()
}

fn chunk(inside: &Value) -> Vec<u8> {
    event("chunk", &json!({"bytes": STANDARD.encode(inside.to_string()), "p": "abcdefgh"}))
}

fn metrics(usage: &Usage) -> Value {
    let stored = usage.cache_write_5m + usage.cache_write_1h;
    json!({
        "inputTokenCount": usage.prompt - usage.cached - stored, "outputTokenCount": usage.output,
        "invocationLatency": 7, "firstByteLatency": 3, "cacheReadInputTokenCount": usage.cached,
        "cacheWriteInputTokenCount": stored
    })
}

/// The head of a whole answer counts; that of a stream says what is inside.
pub fn count(headers: &mut HeaderMap, usage: Option<Usage>, stream: bool) {
    if stream {
        return put(headers, "x-amzn-bedrock-content-type", "application/json");
    }
    if let Some(usage) = usage {
        let stored = usage.cache_write_5m + usage.cache_write_1h;
        for (name, count) in [
            ("input-token-count", usage.prompt - usage.cached - stored),
            ("output-token-count", usage.output),
            ("cache-read-input-token-count", usage.cached),
            ("cache-write-input-token-count", stored),
        ] {
            put(headers, &format!("x-amzn-bedrock-{name}"), &count.to_string());
        }
    }
}

/// Titan Text Embeddings by `inputText`, Llama by `prompt`.
pub fn other(call: &Answering<'_>, body: &Value) -> Result<Made, Wrong> {
    if let Some(text) = body["inputText"].as_str() {
        let tokens = text_chars(&body["inputText"], &mut |_| ()).div_ceil(4).max(1);
        let wanted = body["dimensions"].as_u64().and_then(|wanted| usize::try_from(wanted).ok());
        let vector = direction(call.seed, text, wanted.unwrap_or(call.script.embedding_dimensions).clamp(1, 8_192));
        let answer = json!({"embedding": vector, "inputTextTokenCount": tokens});
        return Ok(Made::whole(answer.to_string().into_bytes(), Usage { prompt: tokens, ..Usage::default() }));
    }
    let Some(prompt) = body["prompt"].as_str() else {
        return Err(("body", "Malformed input request: required key [prompt] not found".to_owned()));
    };
    let ask = Ask {
        max_output: body["max_gen_len"].as_u64().or(Some(512)),
        prompt_chars: prompt.chars().count() as u64,
        fingerprint: fingerprint(prompt.as_bytes()),
        ..blank(body["model"].as_str().unwrap_or_default(), body["stream"] == true)
    };
    let content = content::content(call.seed, call.script, &ask);
    let (choice, usage) = (&content.choices[0], content.usage);
    if body["stream"] != true {
        let answer = json!({
            "generation": choice.text.text, "prompt_token_count": usage.prompt, "generation_token_count": usage.output,
            "stop_reason": "stop"
        });
        return Ok(Made::whole(answer.to_string().into_bytes(), usage));
    }
    let mut writer = Writer::for_frames(usage.output + 1);
    writer.content_begins();
    for piece in choice.text.groups(call.script.tokens_per_frame) {
        writer.frame(&chunk(&json!({"generation": piece, "prompt_token_count": null, "stop_reason": null})));
    }
    writer.closing_begins();
    let mut last = json!({"generation": "", "generation_token_count": usage.output, "stop_reason": "stop"});
    if let Some(reported) = call.reported(usage) {
        last["amazon-bedrock-invocationMetrics"] = metrics(&reported);
    }
    writer.frame(&chunk(&last));
    Ok(Made { stream: true, ..Made::stream(writer.finish(), usage) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_counts_and_every_chunk_is_an_event() {
        let mut writer = Writer::default();
        for text in ["data: {\"type\":\"a\"}", "data: {\"type\":\"b\"}"] {
            writer.put(text);
            writer.end_frame();
        }
        let usage = Usage { prompt: 5, cached: 2, output: 3, ..Usage::default() };
        let chunks = wrapped(&writer.finish(), Some(usage));
        assert_eq!(chunks.ends.len(), 2);
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&chunks.bytes[range]).into_owned();
        let inside = |frame: String| {
            let start = frame.find("{\"bytes\":\"").unwrap() + 10;
            let end = frame[start..].find('"').unwrap() + start;
            String::from_utf8(STANDARD.decode(&frame[start..end]).unwrap()).unwrap()
        };
        assert_eq!(inside(text(0..chunks.ends[0])), r#"{"type":"a"}"#);
        let last: Value = serde_json::from_str(&inside(text(chunks.ends[0]..chunks.ends[1]))).unwrap();
        assert_eq!(last["amazon-bedrock-invocationMetrics"]["inputTokenCount"], 3);
    }
}
