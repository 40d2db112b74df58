//! Reads answers of pictures and audio in place: what they hold, and what they cost. None of them names a model that would
//! have to change.

use std::ops::Range;

use domain::{Meter, Usage};

use super::frame::{Body, Changes, Output, Verdict, unexplained};
use super::plan::Seen;
use crate::cursor::{Bad, Cursor};
use crate::dialect::{Dialect, Operation};
use crate::errors::embedded_fault;
use crate::usage::{Reported, audio_usage, duration_ms, image_usage, speech_usage};

/// Reads a whole answer.
pub(super) fn body(operation: Operation, data: &[u8], seen: &mut Seen) -> Result<Body, Bad> {
    let answer = Answer::read(data)?;
    if !answer.error {
        answer.tell(operation, data, seen);
    }
    Ok(Body { model: answer.model, error: answer.error, ..Body::default() })
}

/// Reads one event of a stream. `finished` turns true with the event that carries the whole.
pub(super) fn event(operation: Operation, data: &[u8], seen: &mut Seen, finished: &mut bool) -> Result<Verdict, Bad> {
    let answer = Answer::read(data)?;
    let kind = answer.kind.map_or(&b""[..], |kind| &data[kind]);
    if answer.error || kind == b"error" {
        return Ok(Verdict::Fault(embedded_fault(Dialect::OpenAiChat, data).unwrap_or_else(unexplained)));
    }
    // `image_generation.completed`, `transcript.text.done`, `speech.audio.done`.
    *finished |= kind.ends_with(b".completed") || kind.ends_with(b".done");
    let answer = Answer { kind: None, ..answer };
    answer.tell(operation, data, seen);
    Ok(Verdict::Pass(Changes::default()))
}

#[derive(Default)]
struct Answer {
    kind: Option<Range<usize>>,
    model: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    /// A transcript's, seconds.
    duration: Option<Range<usize>>,
    pictures: u32,
    output: Output,
    error: bool,
}

impl Answer {
    fn read(data: &[u8]) -> Result<Answer, Bad> {
        let mut answer = Answer::default();
        let mut cursor = Cursor::new(data);
        cursor.object(|cursor, member| {
            match &*member.key.name(data) {
                b"type" => answer.kind = cursor.string_or_skip()?.map(|text| text.span),
                b"model" => answer.model = cursor.string_or_skip()?.map(|text| text.quoted()),
                b"usage" => answer.usage = Some(cursor.value()?),
                b"duration" => answer.duration = Some(cursor.value()?),
                b"data" if cursor.peek() == Some(b'[') => answer.pictures = cursor.array(|cursor| cursor.skip())?,
                b"text" | b"delta" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        answer.output.text(text);
                    }
                }
                // A picture or a piece of sound is content, and says nothing to a tokenizer.
                b"b64_json" | b"audio" => answer.output.any |= cursor.string_or_skip()?.is_some(),
                b"error" => {
                    let value = cursor.value()?;
                    answer.error |= matches!(data[value.start], b'{' | b'"');
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        cursor.finish()?;
        Ok(answer)
    }

    fn tell(&self, operation: Operation, data: &[u8], seen: &mut Seen) {
        self.output.tell(data, seen);
        seen.pictures += self.pictures;
        seen.content_started |= self.pictures > 0;
        let usage = self.usage.as_ref().map(|usage| &data[usage.clone()]);
        let reported = match operation {
            Operation::Speech => usage.and_then(speech_usage),
            Operation::Transcription | Operation::AudioTranslation => usage.and_then(audio_usage).or_else(|| {
                let ms = duration_ms(&data[self.duration.clone()?])?;
                Some(Reported::of(Usage::ZERO.with(Meter::InputAudioMs, ms)))
            }),
            _ => usage.and_then(image_usage),
        };
        if let Some(reported) = reported {
            seen.report(reported);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_and_transcripts_tell_what_they_consumed() {
        let mut seen = Seen::default();
        body(
            Operation::ImageGeneration,
            br#"{"created":1,"data":[{"b64_json":"AA=="},{"b64_json":"AA=="}]}"#,
            &mut seen,
        )
        .unwrap();
        assert_eq!((seen.pictures, seen.usage, seen.content_started), (2, None, true));
        let mut seen = Seen::default();
        let verbose = br#"{"task":"transcribe","duration":8.47,"text":"hi","segments":[{"text":"hi"}]}"#;
        body(Operation::Transcription, verbose, &mut seen).unwrap();
        assert_eq!((seen.usage.unwrap().get(Meter::InputAudioMs), seen.output_bytes), (8_470, 2));
        assert!(body(Operation::Transcription, br#"{"error":{"message":"x"}}"#, &mut seen).unwrap().error);
    }

    #[test]
    fn a_stream_is_whole_with_the_event_that_says_so() {
        let (mut seen, mut finished) = (Seen::default(), false);
        let mut feed = |data: &str| {
            let _ = event(Operation::Transcription, data.as_bytes(), &mut seen, &mut finished).unwrap();
            (seen.content_started, finished, seen.usage.is_some())
        };
        assert_eq!(feed(r#"{"type":"transcript.text.delta","delta":"Hi"}"#), (true, false, false));
        let done = r#"{"type":"transcript.text.done","text":"Hi","usage":{"type":"tokens","input_tokens":3,"output_tokens":1}}"#;
        assert_eq!(feed(done), (true, true, true));
        let failed = event(Operation::Speech, br#"{"type":"error","error":{"message":"x"}}"#, &mut seen, &mut finished);
        assert!(matches!(failed.unwrap(), Verdict::Fault(_)));
    }
}
