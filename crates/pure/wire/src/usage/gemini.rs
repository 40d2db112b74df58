//! Reads Google's usage, whose prompt includes what the cache served, whose candidates exclude the thoughts, and whose details
//! by modality need not add up.

use domain::{Meter, Usage};

use super::Reported;
use crate::cursor::{Bad, Cursor};
use crate::dialects::gemini::is_spelled;

/// Splits a `usageMetadata` object (its JSON text). `None` when it is no object or does not say what was sent.
pub fn gemini_usage(json: &[u8]) -> Option<Reported> {
    let mut counts = Counts::default();
    counts.read(&mut Cursor::new(json)).ok()?;
    (counts.prompt.is_some() || counts.total.is_some()).then(|| counts.reported())
}

/// The figures as they stand in the object.
#[derive(Default)]
struct Counts {
    prompt: Option<u64>,
    total: Option<u64>,
    candidates: u64,
    cached: u64,
    thoughts: u64,
    tool_prompt: u64,
    prompt_by: Modalities,
    cached_by: Modalities,
    candidates_by: Modalities,
}

/// A detail by modality. Video counts as images do, documents as text.
#[derive(Clone, Copy, Default)]
struct Modalities {
    audio: u64,
    image: u64,
}

impl Counts {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            let is = |camel: &str| is_spelled(&name, camel);
            match () {
                () if is("promptTokenCount") => self.prompt = cursor.count_or_skip()?,
                () if is("totalTokenCount") => self.total = cursor.count_or_skip()?,
                () if is("candidatesTokenCount") => self.candidates = cursor.count_or_skip()?.unwrap_or(0),
                () if is("cachedContentTokenCount") => self.cached = cursor.count_or_skip()?.unwrap_or(0),
                () if is("thoughtsTokenCount") => self.thoughts = cursor.count_or_skip()?.unwrap_or(0),
                () if is("toolUsePromptTokenCount") => self.tool_prompt = cursor.count_or_skip()?.unwrap_or(0),
                () if is("promptTokensDetails") => self.prompt_by = modalities(cursor)?,
                () if is("cacheTokensDetails") => self.cached_by = modalities(cursor)?,
                () if is("candidatesTokensDetails") => self.candidates_by = modalities(cursor)?,
                () => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn reported(&self) -> Reported {
        let mut usage = Usage::ZERO;
        let mut take = |left: &mut u64, meter: Meter, count: u64| {
            let taken = count.min(*left);
            *left -= taken;
            usage.set(meter, taken);
        };
        let prompt = self.prompt.unwrap_or(0);
        let mut input = prompt;
        let cached = self.cached.min(prompt);
        let cached_audio = self.cached_by.audio.min(cached);
        take(&mut input, Meter::CacheReadAudio, cached_audio);
        let cached_image = self.cached_by.image.min(cached - cached_audio);
        take(&mut input, Meter::CacheReadImage, cached_image);
        take(&mut input, Meter::CacheRead, cached - cached_audio - cached_image);
        take(&mut input, Meter::InputAudio, self.prompt_by.audio.saturating_sub(cached_audio));
        take(&mut input, Meter::InputImage, self.prompt_by.image.saturating_sub(self.cached_by.image));
        let mut output = self.candidates;
        take(&mut output, Meter::OutputAudio, self.candidates_by.audio);
        take(&mut output, Meter::OutputImage, self.candidates_by.image);
        // What the total has above its parts was produced by something: it is booked, and told as not explained.
        let parts = [prompt, self.candidates, self.thoughts, self.tool_prompt];
        let unnamed = self.total.unwrap_or(0).saturating_sub(parts.into_iter().fold(0, u64::saturating_add));
        usage.set(Meter::Input, input);
        usage.set(Meter::Output, output.saturating_add(unnamed));
        usage.set(Meter::Reasoning, self.thoughts);
        usage.set(Meter::ToolPrompt, self.tool_prompt);
        Reported { residue: unnamed, ..Reported::of(usage) }
    }
}

fn modalities(cursor: &mut Cursor<'_>) -> Result<Modalities, Bad> {
    let mut counts = Modalities::default();
    if cursor.peek() != Some(b'[') {
        cursor.skip()?;
        return Ok(counts);
    }
    cursor.array(|cursor| {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        let (mut kind, mut count) = (0..0, 0);
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            if &*name == b"modality" {
                kind = cursor.string_or_skip()?.map_or(0..0, |text| text.span);
            } else if is_spelled(&name, "tokenCount") {
                count = cursor.count_or_skip()?.unwrap_or(0);
            } else {
                cursor.skip()?;
            }
            Ok(())
        })?;
        match &cursor.bytes()[kind] {
            b"AUDIO" => counts.audio = counts.audio.saturating_add(count),
            b"IMAGE" | b"VIDEO" => counts.image = counts.image.saturating_add(count),
            _ => {}
        }
        Ok(())
    })?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_prompt_includes_the_cache_and_the_candidates_exclude_the_thoughts() {
        let read = gemini_usage(
            br#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":20,"thoughtsTokenCount":30,
                "toolUsePromptTokenCount":7,"totalTokenCount":157,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":80},{"modality":"AUDIO","tokenCount":20}],
                "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":5}],"trafficType":"ON_DEMAND"}"#,
        )
        .unwrap();
        let expected = Usage::ZERO
            .with(Meter::Input, 25)
            .with(Meter::CacheRead, 55)
            .with(Meter::CacheReadAudio, 5)
            .with(Meter::InputAudio, 15)
            .with(Meter::ToolPrompt, 7)
            .with(Meter::Output, 20)
            .with(Meter::Reasoning, 30);
        assert_eq!((read.usage, read.residue), (expected, 0));
    }

    #[test]
    fn details_that_do_not_add_up_never_add_tokens() {
        let read = gemini_usage(br#"{"promptTokenCount":10,"candidatesTokenCount":2,"totalTokenCount":12,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":90}]}"#).unwrap();
        assert_eq!((read.usage.input_tokens(), read.usage.output_tokens()), (10, 2));
    }

    #[test]
    fn what_only_the_total_knows_is_booked_as_a_residue() {
        let read = gemini_usage(br#"{"promptTokenCount":10,"candidatesTokenCount":2,"totalTokenCount":50}"#).unwrap();
        assert_eq!((read.usage.get(Meter::Output), read.residue), (40, 38));
    }

    #[test]
    fn what_does_not_say_what_was_sent_is_no_usage() {
        for nothing in ["{}", "null", "[]", r#"{"candidatesTokenCount":3}"#, r#"{"promptTokenCount":null}"#, "{"] {
            assert_eq!(gemini_usage(nothing.as_bytes()), None, "{nothing}");
        }
        assert_eq!(gemini_usage(br#"{"promptTokenCount":0}"#).unwrap().usage, Usage::ZERO);
    }

    proptest! {
        #[test]
        fn the_partition_sums_to_what_was_reported(p in 0u64..1000, c in 0u64..1000, t in 0u64..1000, u in 0u64..1000, cached in 0u64..2000, audio in 0u64..2000, image in 0u64..2000) {
            let json = format!(r#"{{"promptTokenCount":{p},"candidatesTokenCount":{c},"thoughtsTokenCount":{t},"toolUsePromptTokenCount":{u},"totalTokenCount":{},"cachedContentTokenCount":{cached},"promptTokensDetails":[{{"modality":"AUDIO","tokenCount":{audio}}},{{"modality":"IMAGE","tokenCount":{image}}}]}}"#, p + c + t + u);
            let read = gemini_usage(json.as_bytes()).unwrap();
            prop_assert_eq!((read.usage.input_tokens(), read.usage.output_tokens(), read.residue), (p + u, c + t, 0));
        }
    }
}
