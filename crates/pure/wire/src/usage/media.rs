//! Reads what pictures and audio consumed: tokens, whose usage names fewer details than a conversation's, or a length.

use domain::{Meter, Usage};

use super::openai::openai_usage;
use super::{Reported, decimal};
use crate::cursor::Cursor;

/// The usage of an answer that makes pictures. What is received is picture, unless the details say that some is text
/// (OpenAI API reference, Images: `output_tokens` are image tokens).
pub fn image_usage(json: &[u8]) -> Option<Reported> {
    let mut reported = openai_usage(json)?;
    received_as(&mut reported.usage, Meter::OutputImage);
    Some(reported)
}

/// The usage of an answer that speaks: what is received is audio.
pub fn speech_usage(json: &[u8]) -> Option<Reported> {
    let mut reported = openai_usage(json)?;
    received_as(&mut reported.usage, Meter::OutputAudio);
    Some(reported)
}

/// The usage of a transcript: tokens, or `{"type":"duration","seconds":12}`. What is sent is audio, unless the details say
/// that some is text.
pub fn audio_usage(json: &[u8]) -> Option<Reported> {
    let mut seconds = None;
    let mut cursor = Cursor::new(json);
    cursor
        .object(|cursor, member| {
            let value = cursor.value()?;
            if &*member.key.name(json) == b"seconds" {
                seconds = Some(value);
            }
            Ok(())
        })
        .ok()?;
    if let Some(ms) = seconds.and_then(|value| duration_ms(&json[value])) {
        return Some(Reported::of(Usage::ZERO.with(Meter::InputAudioMs, ms)));
    }
    let mut reported = openai_usage(json)?;
    if reported.usage.get(Meter::InputAudio) == 0 {
        let sent = reported.usage.get(Meter::Input);
        reported.usage.set(Meter::Input, 0);
        reported.usage.set(Meter::InputAudio, sent);
    }
    Some(reported)
}

/// Seconds as JSON writes them, in milliseconds, rounded to the nearest; absent where they are none.
pub fn duration_ms(json: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(json).ok()?.trim_matches('"');
    let nano = decimal::nano_usd(text)?.0;
    u64::try_from(nano).ok().map(|nano| nano.saturating_add(500_000) / 1_000_000)
}

fn received_as(usage: &mut Usage, meter: Meter) {
    if usage.get(meter) == 0 {
        let received = usage.get(Meter::Output);
        usage.set(Meter::Output, 0);
        usage.set(meter, received);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pictures_consume_is_told_apart_from_text() {
        let read = image_usage(
            br#"{"input_tokens":50,"output_tokens":4160,"total_tokens":4210,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}"#,
        );
        let expected = Usage::ZERO.with(Meter::Input, 10).with(Meter::InputImage, 40).with(Meter::OutputImage, 4160);
        assert_eq!(read.unwrap().usage, expected);
        let both = image_usage(
            br#"{"input_tokens":5,"output_tokens":30,"output_tokens_details":{"text_tokens":10,"image_tokens":20}}"#,
        );
        assert_eq!(both.unwrap().usage.get(Meter::Output), 10);
    }

    #[test]
    fn a_transcript_counts_tokens_or_time() {
        let tokens = audio_usage(
            br#"{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":101,"total_tokens":115}"#,
        );
        let expected = Usage::ZERO.with(Meter::Input, 4).with(Meter::InputAudio, 10).with(Meter::Output, 101);
        assert_eq!(tokens.unwrap().usage, expected);
        let timed = audio_usage(br#"{"type":"duration","seconds":9}"#).unwrap().usage;
        assert_eq!(timed, Usage::ZERO.with(Meter::InputAudioMs, 9_000));
        assert_eq!(
            (duration_ms(b"8.4700000286"), duration_ms(b"\"2.5\""), duration_ms(b"null")),
            (Some(8_470), Some(2_500), None)
        );
        assert_eq!(audio_usage(b"{}"), None);
    }

    #[test]
    fn speech_is_received_as_audio() {
        let read = speech_usage(br#"{"input_tokens":14,"output_tokens":101,"total_tokens":115}"#).unwrap();
        assert_eq!(read.usage, Usage::ZERO.with(Meter::Input, 14).with(Meter::OutputAudio, 101));
    }
}
