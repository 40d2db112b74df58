//! Bedrock's `invoke`: the body of the model's own vendor, with the model and whether to stream in the address, and streams whose
//! events stand in base64 inside Amazon's messages. Anthropic's bodies are opened here and are that dialect from then on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Fault, FaultClass, Meter, Usage};
use serde::Deserialize;

use crate::cursor::{Bad, Cursor};
use crate::dialect::Address;
use crate::eventstream::Message;
use crate::reply::Seen;
use crate::scan::BadBody;
use crate::splice::{MemberSpan, Splice};
use crate::sse::{Joined, Piece, Splitter};

/// The kind of the messages that carry a vendor's events.
const CHUNK: &str = "chunk";

/// The counts that Bedrock tells in the head of a whole answer.
pub const INPUT_COUNT: &str = "x-amzn-bedrock-input-token-count";
/// The same of what was received.
pub const OUTPUT_COUNT: &str = "x-amzn-bedrock-output-token-count";
/// The same of what a cache served.
const CACHE_READ_COUNT: &str = "x-amzn-bedrock-cache-read-input-token-count";
/// The same of what was stored in a cache.
const CACHE_WRITE_COUNT: &str = "x-amzn-bedrock-cache-write-input-token-count";

/// What a client's body turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invocation {
    /// A request in Anthropic's dialect, as its own API would be sent it.
    Messages {
        /// The body, which names the model and says whether to stream.
        body: Bytes,
        /// What stands in the header `anthropic-beta` elsewhere.
        betas: Vec<String>,
    },
    /// A grammar that is not read here.
    Other,
}

/// Opens a body. Only what tells Anthropic's from others is looked at; the dialect's own scan reads the rest.
pub fn open(address: &Address, body: &Bytes) -> Result<Invocation, BadBody> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(BadBody { message: "the body is not UTF-8".into(), offset: error.valid_up_to(), param: None });
    }
    let mut cursor = Cursor::new(body);
    if cursor.peek() != Some(b'{') {
        let offset = cursor.position();
        return Err(BadBody { message: "the body must be a JSON object".into(), offset, param: None });
    }
    let (mut version, mut betas, mut written) = (None, None, None);
    let mut names = Vec::new();
    let walked = cursor.object(|cursor, member| {
        match &*member.key.name(body) {
            b"anthropic_version" if version.is_none() => version = Some(MemberSpan::new(member, cursor.value()?)),
            b"anthropic_beta" if betas.is_none() => {
                names = texts(cursor)?;
                betas = Some(MemberSpan::new(member, 0..cursor.position()));
            }
            b"anthropic_version" | b"anthropic_beta" => {
                return Err(Bad { what: "the field stands twice; write it once", at: member.key.span.start });
            }
            b"model" | b"stream" => {
                written.get_or_insert(member.key.span.start);
                cursor.skip()?;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    });
    walked.and_then(|_| cursor.finish()).map_err(|bad| BadBody {
        message: bad.what.to_owned(),
        offset: bad.at,
        param: None,
    })?;
    let Some(version) = version else { return Ok(Invocation::Other) };
    if let Some(offset) = written {
        let message =
            "the address names the model and says whether to stream; leave `model` and `stream` out of the body";
        return Err(BadBody { message: message.into(), offset, param: Some("model") });
    }
    let model = serde_json::to_string(&address.model).expect("a string has a JSON form");
    let stream = if address.stream { ",\"stream\":true" } else { "" };
    let mut splice = Splice::new(body);
    splice.replace("model", version.member(), format!("\"model\":{model}{stream}").into_bytes());
    if let Some(betas) = betas {
        splice.replace("anthropic_beta", betas.removal(body, 0), &b""[..]);
    }
    let body = splice.apply().map_or_else(|| body.clone(), |(body, _)| body.into());
    Ok(Invocation::Messages { body, betas: names })
}

/// A list of texts.
fn texts(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Bad> {
    const WHAT: &str = "`anthropic_beta` must be a list of texts";
    if cursor.peek() != Some(b'[') {
        return Err(cursor.bad(WHAT));
    }
    let mut texts = Vec::new();
    cursor.array(|cursor| {
        if cursor.peek() != Some(b'"') {
            return Err(cursor.bad(WHAT));
        }
        let text = cursor.string()?;
        let plain =
            text.decode(cursor.bytes()).filter(|text| !text.contains(|c: char| c.is_control() || !c.is_ascii()));
        texts.push(plain.ok_or_else(|| cursor.bad(WHAT))?.into_owned());
        Ok(())
    })?;
    Ok(texts)
}

/// Puts whole server-sent events of Anthropic's into messages as Bedrock streams them. Comments have no place there. The last
/// one tells the metrics of the invocation, as far as they are known.
pub(crate) fn wrap_events(frames: &[u8], seen: &Seen, out: &mut Vec<u8>) {
    let mut joined = Joined::default();
    let split = Splitter::default().feed(frames, |piece| {
        let Piece::Frame(frame) = piece else { return Ok(()) };
        if let Some(data) = joined.read(frame).data.map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) {
            match with_metrics(data, seen) {
                Some(data) => wrap(&data, out),
                None => wrap(data, out),
            }
        }
        Ok(())
    });
    debug_assert_eq!(split, Ok(()), "frames of ours are whole");
}

fn wrap(data: &[u8], out: &mut Vec<u8>) {
    let payload = format!("{{\"bytes\":\"{}\"}}", STANDARD.encode(data));
    Message { is_exception: false, kind: CHUNK, payload: payload.as_bytes() }.write(out);
}

/// The closing event with the counts that Bedrock adds to it; `None` where it is another, or has them.
fn with_metrics(data: &[u8], seen: &Seen) -> Option<Vec<u8>> {
    let kind = serde_json::from_slice::<Kind<'_>>(data).ok()?;
    let usage = seen.usage.filter(|_| kind.kind == "message_stop" && kind.metrics.is_none())?;
    let before_brace = data.strip_suffix(b"}")?.trim_ascii_end();
    let metrics = format!(
        ",\"amazon-bedrock-invocationMetrics\":{{\"inputTokenCount\":{},\"outputTokenCount\":{},\"cacheReadInputTokenCount\":{},\"cacheWriteInputTokenCount\":{}}}}}",
        usage.get(Meter::Input),
        usage.output_tokens(),
        usage.get(Meter::CacheRead),
        usage.get(Meter::CacheWrite5m).saturating_add(usage.get(Meter::CacheWrite1h)),
    );
    Some([before_brace, metrics.as_bytes()].concat())
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(rename = "amazon-bedrock-invocationMetrics", default)]
    metrics: Option<Metrics>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Metrics {
    input_token_count: Option<u64>,
    output_token_count: u64,
    cache_read_input_token_count: u64,
    cache_write_input_token_count: u64,
}

impl Metrics {
    fn usage(&self) -> Option<Usage> {
        let usage = Usage::ZERO
            .with(Meter::Input, self.input_token_count?)
            .with(Meter::Output, self.output_token_count)
            .with(Meter::CacheRead, self.cache_read_input_token_count)
            .with(Meter::CacheWrite5m, self.cache_write_input_token_count);
        Some(usage)
    }
}

/// What the head of a whole answer counts. `header` gives a header's text by its name in small letters.
pub fn counted_in_head(header: impl Fn(&str) -> Option<u64>) -> Option<Usage> {
    let metrics = Metrics {
        input_token_count: header(INPUT_COUNT),
        output_token_count: header(OUTPUT_COUNT).unwrap_or(0),
        cache_read_input_token_count: header(CACHE_READ_COUNT).unwrap_or(0),
        cache_write_input_token_count: header(CACHE_WRITE_COUNT).unwrap_or(0),
    };
    metrics.usage()
}

/// What stands inside a message of a stream; `None` where it is no chunk.
pub(crate) fn unwrap(message: &Message<'_>) -> Result<Option<Vec<u8>>, Fault> {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        bytes: std::borrow::Cow<'a, str>,
    }
    if message.kind != CHUNK {
        return Ok(None);
    }
    let malformed = |what: &str| Fault::new(FaultClass::Malformed, what);
    let chunk: Chunk<'_> =
        serde_json::from_slice(message.payload).map_err(|_| malformed("a chunk of the stream has no `bytes`"))?;
    STANDARD.decode(&*chunk.bytes).map(Some).map_err(|_| malformed("a chunk of the stream is not base64"))
}

/// A vendor's event as a server-sent one, named by its own type.
pub(crate) fn as_server_sent(data: &[u8]) -> Result<Vec<u8>, Fault> {
    let kind = serde_json::from_slice::<Kind<'_>>(data)
        .map_err(|_| Fault::new(FaultClass::Malformed, "a chunk of the stream is not the JSON its dialect promises"))?;
    let name = kind.kind.replace(['\r', '\n'], "");
    // An event is one line; JSON may stand on several.
    let data = String::from_utf8_lossy(data).replace(['\r', '\n'], " ");
    Ok(format!("event: {name}\ndata: {data}\n\n").into_bytes())
}

/// Reads a chunk in a grammar that is not ours: that something came, and what was counted, where it says so.
pub(crate) fn read_chunk(data: &[u8], seen: &mut Seen) {
    seen.output_bytes += data.len() as u64;
    seen.content_started = true;
    let told = serde_json::from_slice::<Kind<'_>>(data).ok().and_then(|kind| kind.metrics);
    if let Some(usage) = told.as_ref().and_then(Metrics::usage) {
        seen.usage = Some(usage);
        // Bedrock counts in the last chunk.
        seen.ended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(stream: bool, body: &'static str) -> Result<Invocation, BadBody> {
        open(&Address { model: "claims:a".into(), stream }, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn an_anthropic_body_becomes_one_of_that_dialect() {
        let open = |stream, body| match opened(stream, body).unwrap() {
            Invocation::Messages { body, betas } => (String::from_utf8(body.to_vec()).unwrap(), betas),
            Invocation::Other => panic!("{body} is Anthropic's"),
        };
        let plain = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[]}"#;
        assert_eq!(open(false, plain).0, r#"{"model":"claims:a","max_tokens":1,"messages":[]}"#);
        assert_eq!(open(true, plain).0, r#"{"model":"claims:a","stream":true,"max_tokens":1,"messages":[]}"#);
        let beta = r#"{ "anthropic_beta" : ["a-1","b"] , "messages":[], "anthropic_version" : "x" }"#;
        let (body, betas) = open(false, beta);
        assert_eq!(body, r#"{ "messages":[], "model":"claims:a" }"#);
        assert_eq!(betas, ["a-1", "b"]);
    }

    #[test]
    fn other_grammars_are_told_apart_and_what_the_address_says_is_not_said_twice() {
        assert_eq!(opened(false, r#"{"inputText":"x"}"#), Ok(Invocation::Other));
        assert_eq!(opened(false, r#"{"model":"x","prompt":"y"}"#), Ok(Invocation::Other));
        let twice = opened(false, r#"{"anthropic_version":"v","model":"x"}"#).unwrap_err();
        assert_eq!(twice.param, Some("model"));
        assert!(opened(false, r#"{"anthropic_version":"v","anthropic_beta":"x"}"#).is_err());
        assert!(opened(false, r#"{"anthropic_version":"v","anthropic_version":"v"}"#).is_err());
        assert!(opened(false, "[]").is_err() && opened(false, r#"{"a":}"#).is_err());
    }

    #[test]
    fn the_last_chunk_tells_the_counts_and_a_chunk_reads_as_it_was_written() {
        let usage = Usage::ZERO.with(Meter::Input, 9).with(Meter::Output, 4).with(Meter::CacheRead, 2);
        let seen = Seen { usage: Some(usage), ..Seen::default() };
        let mut out = Vec::new();
        let frames = b"event: ping\ndata: {\"type\": \"ping\"}\n\n:\n\nevent: message_stop\ndata: {\"type\":\"message_stop\" }\n\n";
        wrap_events(frames, &seen, &mut out);
        let mut events = Vec::new();
        let mut splitter = crate::eventstream::Splitter::default();
        splitter
            .feed(&out, |raw| {
                events.push(String::from_utf8(unwrap(&Message::read(raw)?)?.unwrap()).unwrap());
                Ok(())
            })
            .unwrap();
        assert_eq!(events[0], r#"{"type": "ping"}"#);
        assert_eq!(
            events[1],
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":4,"cacheReadInputTokenCount":2,"cacheWriteInputTokenCount":0}}"#
        );
        let mut read = Seen::default();
        read_chunk(events[1].as_bytes(), &mut read);
        assert_eq!((read.usage, read.ended), (Some(usage), true));
        assert_eq!(as_server_sent(b"{\"type\":\n\"ping\"}").unwrap(), b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
    }
}
