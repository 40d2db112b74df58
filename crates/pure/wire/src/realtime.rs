//! The events of OpenAI's Realtime, one JSON text each, over a connection that is passed through: which name the model in them,
//! what they tell of what is consumed, and how an error is said among them.

use std::borrow::Cow;
use std::ops::Range;

use domain::Usage;
use serde_json::value::RawValue;

use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::errors::{ClientError, error_body};
use crate::splice::Splice;
use crate::usage::{Reported, audio_usage, openai_usage};

/// Audio tokens of a second that is heard, and of one that is spoken (OpenAI's guide, managing realtime costs: one for 100 ms of
/// what a user says, one for 50 ms of what the model says).
const HEARD_TOKENS_PER_SECOND: u64 = 10;
const SPOKEN_TOKENS_PER_SECOND: u64 = 20;
/// Bytes of a second of sound as it comes by default: 24 kHz, 16 bits, one channel. Other formats are shorter, and then guessed
/// too low.
const BYTES_PER_SECOND: u64 = 48_000;

/// What a client said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// Bytes of text in it.
    pub text_bytes: u64,
    /// Bytes of sound in it.
    pub audio_bytes: u64,
    /// The model that is to write down what is heard, where the event turns that on; it is billed beside the conversation.
    pub transcribes_with: Option<String>,
}

/// What a provider told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// Nothing that is booked.
    Other,
    /// A response begins.
    Begun,
    /// A piece of one.
    Piece {
        /// Bytes of text.
        text_bytes: u64,
        /// Bytes of sound.
        audio_bytes: u64,
    },
    /// A response is over.
    Done {
        /// The provider's id of it.
        id: Option<String>,
        /// How it ended, in the provider's word.
        status: Option<String>,
        /// What it consumed.
        usage: Option<Reported>,
    },
    /// What was heard is written down, by another model.
    Transcribed {
        /// What that consumed.
        usage: Option<Reported>,
    },
}

/// An event on its way to the provider: the name of the model in it becomes the provider's. What is no JSON object passes as it is;
/// the provider says what it thinks of it.
pub fn for_provider<'t>(event: &'t str, upstream_model: &str) -> (Cow<'t, str>, Said) {
    let Ok(read) = Event::read(event) else { return (Cow::Borrowed(event), Said::default()) };
    let kind = read.kind(event);
    let mut said = Said::default();
    match kind.as_deref() {
        Some("input_audio_buffer.append") => said.audio_bytes = sound(&read.audio),
        Some("conversation.item.create" | "response.create") => said.text_bytes = read.text_bytes,
        Some("session.update" | "transcription_session.update") => {
            said.text_bytes = read.text_bytes;
            said.transcribes_with = read.transcription.as_ref().and_then(|span| transcriber(&event[span.clone()]));
        }
        _ => {}
    }
    (with_model(event, &read, upstream_model), said)
}

/// An event on its way to the client: the name of the model in it becomes the one that was asked for.
pub fn for_client<'t>(event: &'t str, asked_model: &str) -> (Cow<'t, str>, Told) {
    let Ok(read) = Event::read(event) else { return (Cow::Borrowed(event), Told::Other) };
    let text = |text: &Option<Text>| text.as_ref()?.decode(event.as_bytes()).map(|text| text.into_owned());
    let told = match read.kind(event).as_deref() {
        Some("response.created") => Told::Begun,
        Some("response.done") => Told::Done {
            id: text(&read.response.id),
            status: text(&read.response.status),
            usage: read.response.usage.clone().and_then(|span| openai_usage(&event.as_bytes()[span])),
        },
        Some("conversation.item.input_audio_transcription.completed") => {
            let usage = read.usage.clone().and_then(|span| audio_usage(&event.as_bytes()[span]));
            Told::Transcribed { usage }
        }
        Some(kind) if kind.starts_with("response.") && kind.ends_with(".delta") => match kind.contains("audio.delta") {
            true => Told::Piece { text_bytes: 0, audio_bytes: sound(&read.delta) },
            // What is spoken comes as text beside the sound, and is billed as sound.
            false if kind.contains("audio_transcript") => Told::Piece { text_bytes: 0, audio_bytes: 0 },
            false => Told::Piece {
                text_bytes: read.delta.as_ref().map_or(0, |delta| delta.decoded_len as u64),
                audio_bytes: 0,
            },
        },
        _ => Told::Other,
    };
    let event = match read.kind(event).as_deref() {
        Some("session.created" | "session.updated") => with_model(event, &read, asked_model),
        _ => Cow::Borrowed(event),
    };
    (event, told)
}

/// What a response that was cut off has probably consumed so far of what it says, and of what was said to it since the last.
pub fn guessed(said: &Said, text_bytes: u64, audio_bytes: u64) -> Usage {
    let tokens = |bytes: u64, per_second: u64| bytes.saturating_mul(per_second).div_ceil(BYTES_PER_SECOND);
    Usage::ZERO
        .with(domain::Meter::Input, said.text_bytes.div_ceil(4))
        .with(domain::Meter::InputAudio, tokens(said.audio_bytes, HEARD_TOKENS_PER_SECOND))
        .with(domain::Meter::Output, text_bytes.div_ceil(4))
        .with(domain::Meter::OutputAudio, tokens(audio_bytes, SPOKEN_TOKENS_PER_SECOND))
}

/// An error as an event of the provider's own making would be.
pub fn error_event(error: &ClientError) -> String {
    let body = error_body(Dialect::OpenAiChat, error);
    let body: Error<'_> = serde_json::from_slice(&body).expect("it was just written");
    format!(r#"{{"type":"error","event_id":"event_{}","error":{}}}"#, error.call, body.error.get())
}

#[derive(serde::Deserialize)]
struct Error<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
}

fn with_model<'t>(event: &'t str, read: &Event, model: &str) -> Cow<'t, str> {
    let Some(span) = &read.model else { return Cow::Borrowed(event) };
    let mut splice = Splice::new(event.as_bytes());
    splice.replace("model", span.clone(), serde_json::to_vec(model).expect("a string has a JSON form"));
    match splice.apply() {
        Some((changed, _)) => Cow::Owned(String::from_utf8(changed).expect("text in text")),
        None => Cow::Borrowed(event),
    }
}

/// Bytes of sound in base64.
fn sound(base64: &Option<Text>) -> u64 {
    base64.as_ref().map_or(0, |text| text.decoded_len as u64 / 4 * 3)
}

/// The `model` of an object.
fn transcriber(json: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Transcription {
        #[serde(default)]
        model: String,
    }
    serde_json::from_str::<Transcription>(json).ok().map(|read| read.model)
}

/// The members of an event that are looked at.
#[derive(Default)]
struct Event {
    kind: Option<Text>,
    /// The value of `session.model`.
    model: Option<Range<usize>>,
    /// The value of `session.audio.input.transcription`, or of `session.input_audio_transcription` before it.
    transcription: Option<Range<usize>>,
    audio: Option<Text>,
    delta: Option<Text>,
    usage: Option<Range<usize>>,
    response: Response,
    text_bytes: u64,
}

#[derive(Default)]
struct Response {
    id: Option<Text>,
    status: Option<Text>,
    usage: Option<Range<usize>>,
}

impl Event {
    fn read(event: &str) -> Result<Event, Bad> {
        let mut read = Event::default();
        let bytes = event.as_bytes();
        let mut cursor = Cursor::new(bytes);
        if cursor.peek() != Some(b'{') {
            return Err(cursor.bad("an event is a JSON object"));
        }
        cursor.object(|cursor, member| {
            match &*member.key.name(bytes) {
                b"type" => read.kind = cursor.string_or_skip()?,
                b"session" => read.session(cursor)?,
                b"response" if cursor.peek() == Some(b'{') => read.response.read(cursor)?,
                b"audio" => read.audio = cursor.string_or_skip()?,
                b"delta" => read.delta = cursor.string_or_skip()?,
                b"usage" => read.usage = Some(cursor.value()?),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        cursor.finish()?;
        read.text_bytes = cursor.text_bytes;
        Ok(read)
    }

    fn kind<'t>(&self, event: &'t str) -> Option<Cow<'t, str>> {
        self.kind.as_ref()?.decode(event.as_bytes())
    }

    fn session(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        within(cursor, &mut |cursor, name| {
            match name {
                b"model" => self.model = cursor.string_or_skip()?.map(|text| text.quoted()),
                b"input_audio_transcription" => self.transcription(cursor)?,
                b"audio" => within(cursor, &mut |cursor, name| match name {
                    b"input" => within(cursor, &mut |cursor, name| match name {
                        b"transcription" => self.transcription(cursor),
                        _ => cursor.skip(),
                    }),
                    _ => cursor.skip(),
                })?,
                _ => cursor.skip()?,
            }
            Ok(())
        })
    }

    fn transcription(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let value = cursor.value()?;
        self.transcription = Some(value);
        Ok(())
    }
}

impl Response {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        within(cursor, &mut |cursor, name| {
            match name {
                b"id" => self.id = cursor.string_or_skip()?,
                b"status" => self.status = cursor.string_or_skip()?,
                b"usage" => self.usage = Some(cursor.value()?),
                _ => cursor.skip()?,
            }
            Ok(())
        })
    }
}

/// Reads one member of an object, whose name it is told; the value is still ahead.
type Each<'e, 'b> = &'e mut dyn FnMut(&mut Cursor<'b>, &[u8]) -> Result<(), Bad>;

/// Every member of an object, by name; another value is passed over.
fn within<'b>(cursor: &mut Cursor<'b>, each: Each<'_, 'b>) -> Result<(), Bad> {
    if cursor.peek() != Some(b'{') {
        return cursor.skip();
    }
    cursor.object(|cursor, member| {
        let name = member.key.name(cursor.bytes());
        each(cursor, &name)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Blame, Meter};

    #[test]
    fn the_model_of_a_session_has_the_name_that_its_reader_knows() {
        let update =
            r#"{ "type":"session.update","session":{"type":"realtime", "model" : "claims", "tools":[{"model":"x"}]}}"#;
        let (sent, said) = for_provider(update, "gpt-realtime");
        assert_eq!(sent, update.replace("\"claims\"", "\"gpt-realtime\""));
        assert_eq!(said.transcribes_with, None);
        let created = r#"{"type":"session.created","session":{"model":"gpt-realtime-2026"}}"#;
        assert_eq!(for_client(created, "claims"), (created.replace("gpt-realtime-2026", "claims").into(), Told::Other));
        let item = r#"{"type":"conversation.item.create","item":{"model":"x","content":[{"text":"Hello"}]}}"#;
        let (sent, said) = for_provider(item, "gpt-realtime");
        assert!(matches!(sent, Cow::Borrowed(_)) && said.text_bytes > 5);
        for odd in ["", "[]", "no JSON", r#"{"type":"session.update","session":{"model":"x"}"#] {
            assert_eq!(for_provider(odd, "y"), (odd.into(), Said::default()));
            assert_eq!(for_client(odd, "y"), (odd.into(), Told::Other));
        }
    }

    #[test]
    fn turning_transcripts_on_names_who_writes_them() {
        let with = |session: &str| {
            for_provider(&format!(r#"{{"type":"session.update","session":{session}}}"#), "m").1.transcribes_with
        };
        assert_eq!(
            with(r#"{"audio":{"input":{"transcription":{"model":"whisper-1"}}}}"#).as_deref(),
            Some("whisper-1")
        );
        assert_eq!(with(r#"{"input_audio_transcription":{"model":"w"}}"#).as_deref(), Some("w"));
        assert_eq!(with(r#"{"audio":{"input":{"transcription":{}}}}"#).as_deref(), Some(""));
        assert_eq!(with(r#"{"audio":{"input":{"transcription":null}}}"#), None);
        assert_eq!(with(r#"{"audio":{"output":{"voice":"x"}}}"#), None);
    }

    #[test]
    fn a_response_tells_its_usage_split_by_what_was_heard_and_cached() {
        // The shape of OpenAI's reference, `response.done`.
        let done = r#"{"type":"response.done","event_id":"e","response":{"id":"resp_1","status":"completed","usage":{
            "total_tokens":253,"input_tokens":132,"output_tokens":121,
            "input_token_details":{"text_tokens":119,"audio_tokens":13,"image_tokens":0,"cached_tokens":64,
                "cached_tokens_details":{"text_tokens":60,"audio_tokens":4,"image_tokens":0}},
            "output_token_details":{"text_tokens":30,"audio_tokens":91}}}}"#;
        let Told::Done { id, status, usage } = for_client(done, "m").1 else { panic!("a response is done") };
        assert_eq!((id.as_deref(), status.as_deref()), (Some("resp_1"), Some("completed")));
        let expected = Usage::ZERO
            .with(Meter::Input, 59)
            .with(Meter::CacheRead, 60)
            .with(Meter::InputAudio, 9)
            .with(Meter::CacheReadAudio, 4)
            .with(Meter::Output, 30)
            .with(Meter::OutputAudio, 91);
        assert_eq!(usage, Some(Reported::of(expected)));
        let none = r#"{"type":"response.done","response":{"status":"failed","usage":null}}"#;
        assert_eq!(for_client(none, "m").1, Told::Done { id: None, status: Some("failed".into()), usage: None });
    }

    #[test]
    fn pieces_and_transcripts_are_counted() {
        let told = |event: &str| for_client(event, "m").1;
        assert_eq!(told(r#"{"type":"response.created","response":{}}"#), Told::Begun);
        let piece = |text_bytes, audio_bytes| Told::Piece { text_bytes, audio_bytes };
        assert_eq!(told(r#"{"type":"response.output_text.delta","delta":"h\u00e9"}"#), piece(3, 0));
        assert_eq!(told(r#"{"type":"response.output_audio.delta","delta":"AAAA"}"#), piece(0, 3));
        assert_eq!(told(r#"{"type":"response.audio.delta","delta":"AAAA"}"#), piece(0, 3));
        assert_eq!(told(r#"{"type":"response.output_audio_transcript.delta","delta":"Hello"}"#), piece(0, 0));
        let written = |usage: &str| {
            told(&format!(r#"{{"type":"conversation.item.input_audio_transcription.completed","usage":{usage}}}"#))
        };
        let by_length = Usage::ZERO.with(Meter::InputAudioMs, 2_500);
        assert_eq!(
            written(r#"{"type":"duration","seconds":2.5}"#),
            Told::Transcribed { usage: Some(Reported::of(by_length)) }
        );
        assert_eq!(written("null"), Told::Transcribed { usage: None });
        let second = Said { audio_bytes: 48_000, text_bytes: 8, transcribes_with: None };
        let guess = Usage::ZERO
            .with(Meter::Input, 2)
            .with(Meter::InputAudio, 10)
            .with(Meter::Output, 1)
            .with(Meter::OutputAudio, 20);
        assert_eq!(guessed(&second, 4, 48_000), guess);
    }

    #[test]
    fn an_error_is_an_event_of_the_dialect() {
        let error = ClientError {
            status: 429,
            code: "budget_spent".into(),
            message: "spent".into(),
            blame: Blame::Client,
            retry: crate::errors::Retry::No,
            billed: true,
            call: "call_1".into(),
            param: None,
        };
        let event: serde_json::Value = serde_json::from_str(&error_event(&error)).unwrap();
        assert_eq!((&event["type"], &event["error"]["code"]), (&"error".into(), &"budget_spent".into()));
        assert_eq!(event["error"]["freehold"]["billed"], true);
    }
}
