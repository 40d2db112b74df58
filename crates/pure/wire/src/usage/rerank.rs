//! Reads what a ranking consumed, wherever the server says it: search units (Cohere) or tokens (Jina, vLLM and others).

use domain::{Meter, Usage};

use super::{Reported, cohere_usage, openai_usage};
use crate::cursor::Cursor;

/// The usage of a whole answer (its JSON text). `None` when it says nothing of it.
pub fn rerank_usage(body: &[u8]) -> Option<Reported> {
    let (mut meta, mut usage) = (None, None);
    let mut cursor = Cursor::new(body);
    cursor
        .object(|cursor, member| {
            let value = cursor.value()?;
            match &*member.key.name(body) {
                b"meta" => meta = Some(value),
                b"usage" => usage = Some(value),
                _ => {}
            }
            Ok(())
        })
        .ok()?;
    let billed = meta.and_then(|meta| cohere_usage(&body[meta]));
    billed.or_else(|| {
        // Some servers give nothing but a total, which says no direction; nothing is written here, so all of it was sent.
        let Reported { usage, .. } = openai_usage(&body[usage?])?;
        let sent = usage.input_tokens().saturating_add(usage.output_tokens());
        Some(Reported::of(Usage::ZERO.with(Meter::Input, sent)))
    })
}
