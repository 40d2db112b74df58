//! What must hold of what is read so that a call goes on well: streams that break off, requests that a cache compares, limits that
//! providers tell.

use bytes::Bytes;
use domain::UnixMs;

use super::{ask, pairs, plan};
use crate::dialect::Dialect;
use crate::limits::limits;
use crate::reply::StreamRelay;
use crate::said::said;

/// A stream that breaks off in the middle can be gone on with or not; where it can, the next provider is asked with JSON, and what
/// it says joins what was said in the same way wherever it is cut.
pub fn going_on(data: &[u8]) {
    let (said, rest) = data.split_at(data.len() / 2);
    for (client, upstream) in pairs() {
        let mut relay = StreamRelay::new(plan(client, upstream, "generic"));
        relay.keep_said();
        let mut out = Vec::new();
        if relay.feed(said, &mut out).is_err() {
            continue;
        }
        let Some(broken) = relay.broken_off() else { continue };
        for next in Dialect::ALL {
            let plan = plan(client, *next, "generic");
            let ask = ask(plan.quirks);
            if let Ok(outgoing) = broken.outgoing(client, &request(client), *next, &ask, 3) {
                assert!(
                    serde_json::from_slice::<serde::de::IgnoredAny>(&outgoing.body).is_ok(),
                    "what is sent is JSON"
                );
            }
            let way = broken.way(*next, "up", plan.quirks);
            let joined = |cut: usize| {
                let mut out = Vec::new();
                let mut relay = StreamRelay::going_on(plan.clone(), &broken, way, "it broke", &mut out).ok()?;
                let fed = rest.chunks(cut).all(|chunk| relay.feed(chunk, &mut out).is_ok());
                let ended = fed.then(|| relay.end(&mut out).is_ok());
                Some((out, ended, relay.seen().finish.clone()))
            };
            let whole = joined(rest.len().max(1));
            for cut in [1, 7] {
                assert!(whole == joined(cut), "{client} from {upstream}, then {next}, cut every {cut} bytes");
            }
        }
    }
}

/// A conversation of one turn.
fn request(client: Dialect) -> Bytes {
    Bytes::from_static(match client {
        Dialect::OpenAiChat | Dialect::Cohere => {
            br#"{"model":"claims-triage","stream":true,"messages":[{"role":"user","content":"hi"}]}"#
        }
        Dialect::OpenAiResponses => br#"{"model":"claims-triage","stream":true,"input":"hi"}"#,
        Dialect::Anthropic => {
            br#"{"model":"claims-triage","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#
        }
        Dialect::Gemini => br#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
        Dialect::BedrockConverse => br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
    })
}

/// A request says nothing that can be compared, or its canonical text is JSON that says the same.
pub fn same_request(data: &[u8]) {
    let Some(read) = said(data) else { return };
    let canonical = read.canonical();
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(&canonical).is_ok(), "the canonical text is JSON");
    let again = said(canonical.as_bytes()).expect("it is a request that can be compared");
    assert!(again == read && again.canonical() == canonical, "and says the same");
    for dialect in Dialect::ALL {
        let mut rest = read.clone();
        if rest.take_last_words(*dialect).is_some() {
            assert!(rest != read, "the last words are no longer in it");
        }
        let _ = (read.asks_for_variety(*dialect), read.asks_to_be_kept());
    }
}

/// Headers, one to a line, tell of limits or do not: no more than were sent, and of no time beyond the longest month.
pub fn told_limits(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
    });
    let headers: Vec<_> = lines.collect();
    let now = UnixMs(1_795_252_724_000);
    let told = limits(headers.iter().copied(), now);
    assert!(told.unread as usize + told.claims.len() <= headers.len(), "each claim was told by a header of its own");
    assert!(told.claims.iter().all(|claim| claim.full_in_ms.is_none_or(|ms| ms <= 31 * 86_400_000)));
    assert!(told == limits(headers.iter().copied(), now));
}
