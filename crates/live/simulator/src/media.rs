//! Answers of OpenAI's endpoints beside chat, as its API reference writes them down: completions, moderations, pictures,
//! speech, transcripts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answering::Answering;
use crate::ask::{self, Wrong};
use crate::chance::{Chance, fingerprint};
use crate::content::{self, Pieces, Usage};
use crate::frames::{Frames, Writer};
use crate::{form, openai};

/// What is answered.
pub struct Made {
    /// The body.
    pub frames: Frames,
    /// What it counts.
    pub usage: Usage,
    /// Whether it comes in pieces.
    pub stream: bool,
    /// What it is, where it is neither JSON nor server-sent events.
    pub content_type: Option<&'static str>,
    /// Whether all its pieces take the same part of the time, as those of pictures and sound do, whose tokens are not words.
    pub evenly: bool,
}

/// Tokens of a completion that names no cap (API reference, Completions: `max_tokens`).
const COMPLETION_TOKENS: u64 = 16;
/// What a moderation looks for (API reference, Moderations).
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];
/// A picture of one transparent point.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// Tokens that a picture sent along counts here; OpenAI goes by its size.
const SENT_PICTURE_TOKENS: u64 = 194;

/// A completion, whole or streamed.
pub fn completion(call: &Answering<'_>, body: &Value) -> Result<Made, Wrong> {
    let prompts = match &body["prompt"] {
        Value::Null => return Err(("prompt", "you must provide a prompt".into())),
        Value::Array(items) if items.iter().all(|item| item.is_string() || item.is_array()) => items.len(),
        _ => 1,
    };
    let mut ask = ask::common(body, std::slice::from_ref(&body["prompt"]))?;
    ask.max_output = Some(body["max_tokens"].as_u64().unwrap_or(COMPLETION_TOKENS));
    ask.choices = (body["n"].as_u64().unwrap_or(1).clamp(1, 128) as u32) * u32::try_from(prompts).unwrap_or(1);
    ask.stop = ask::strings(&body["stop"]);
    ask.include_usage = body["stream_options"]["include_usage"] == true;
    let content = content::content(call.seed, call.script, &ask);
    let usage = call.reported(content.usage);
    let head = |choices: Value| {
        json!({
            "id": format!("cmpl-{}", call.id), "object": "text_completion", "created": call.created_unix_s,
            "model": ask.model, "choices": choices
        })
    };
    let choice = |index: usize, text: &str, finish: Option<&str>| json!([{"text": text, "index": index, "logprobs": null, "finish_reason": finish}]);
    if !ask.stream {
        let choices = content.choices.iter().enumerate();
        let mut whole = head(
            choices.map(|(index, said)| choice(index, &said.text.text, Some(openai::finish(said)))[0].take()).collect(),
        );
        if let Some(usage) = usage {
            whole["usage"] = openai::usage_json(&usage);
        }
        return Ok(Made::json(&whole, content.usage));
    }
    let mut writer = Writer::for_frames(content.usage.output + 4);
    let chunk = |writer: &mut Writer, choices: Value, usage: Value| {
        let mut chunk = head(choices);
        if ask.include_usage {
            chunk["usage"] = usage;
        }
        data(writer, &chunk);
    };
    writer.content_begins();
    for (index, said) in content.choices.iter().enumerate() {
        for piece in said.text.groups(call.script.tokens_per_frame) {
            chunk(&mut writer, choice(index, piece, None), Value::Null);
        }
    }
    writer.closing_begins();
    for (index, said) in content.choices.iter().enumerate() {
        chunk(&mut writer, choice(index, "", Some(openai::finish(said))), Value::Null);
    }
    if let (true, Some(usage)) = (ask.include_usage, usage) {
        chunk(&mut writer, json!([]), openai::usage_json(&usage));
    }
    writer.put("data: [DONE]");
    writer.end_frame();
    Ok(Made::stream(writer.finish(), content.usage))
}

/// A moderation: whoever wants to hurt is flagged. OpenAI reports no usage of it.
pub fn moderation(call: &Answering<'_>, body: &Value) -> Result<Made, Wrong> {
    let inputs: Vec<&Value> = match &body["input"] {
        Value::Null => return Err(("input", "Missing required parameter: 'input'.".into())),
        Value::Array(items) if items.iter().all(Value::is_string) => items.iter().collect(),
        input => vec![input],
    };
    let result = |input: &&Value| {
        let mut violent = false;
        ask::text_chars(input, &mut |text| violent |= text.contains("hurt"));
        let of_each = |value: &dyn Fn(bool) -> Value| -> Value {
            CATEGORIES.iter().map(|name| ((*name).to_owned(), value(violent && *name == "violence"))).collect()
        };
        json!({
            "flagged": violent,
            "categories": of_each(&|is| is.into()),
            "category_scores": of_each(&|is| if is { 0.97 } else { 0.000_01 }.into()),
            "category_applied_input_types": of_each(&|_| json!(["text"]))
        })
    };
    let model = body["model"].as_str().unwrap_or("omni-moderation-latest");
    let results: Value = inputs.iter().map(result).collect();
    Ok(Made::json(&json!({"id": format!("modr-{}", call.id), "model": model, "results": results}), Usage::default()))
}

/// Pictures made, or made of others. `dall-e` gives addresses and no usage, as it did.
pub fn pictures(call: &Answering<'_>, body: &Value, edit: bool) -> Result<Made, Wrong> {
    let model = body["model"].as_str().unwrap_or("dall-e-2");
    let prompt = body["prompt"].as_str().ok_or(("prompt", "Missing required parameter: 'prompt'.".to_owned()))?;
    let sent = match (&body["image"], &body["images"]) {
        (Value::Array(items), _) | (Value::Null, Value::Array(items)) => items.len() as u64,
        (Value::Object(_), _) => 1,
        _ if edit => return Err(("image", "Missing required parameter: 'image'.".into())),
        _ => 0,
    };
    let count = body["n"].as_u64().unwrap_or(1).clamp(1, 10);
    if model.starts_with("dall-e") {
        let data: Value = (0..count).map(|index| json!({"url": format!("https://pictures.example/{index}")})).collect();
        return Ok(Made::json(&json!({"created": call.created_unix_s, "data": data}), Usage::default()));
    }
    let size = body["size"].as_str().filter(|size| *size != "auto").unwrap_or("1024x1024");
    let quality = body["quality"].as_str().filter(|quality| *quality != "auto").unwrap_or("high");
    // Tokens of a picture by size and quality (OpenAI's guide to image generation).
    let each = match (size, quality) {
        ("1024x1536", "low") => 408,
        ("1024x1536", "medium") => 1_584,
        ("1024x1536", _) => 6_240,
        ("1536x1024", "low") => 400,
        ("1536x1024", "medium") => 1_568,
        ("1536x1024", _) => 6_208,
        (_, "low") => 272,
        (_, "medium") => 1_056,
        _ => 4_160,
    };
    let text = content::prompt_usage(call.script, prompt.chars().count() as u64).prompt;
    let usage = Usage { prompt: text + sent * SENT_PICTURE_TOKENS, output: each * count, ..Usage::default() };
    let told = call.reported(usage).map(|usage| {
        json!({
            "total_tokens": usage.prompt + usage.output, "input_tokens": usage.prompt, "output_tokens": usage.output,
            "input_tokens_details": {"text_tokens": text.min(usage.prompt), "image_tokens": usage.prompt.saturating_sub(text)}
        })
    });
    let look = json!({
        "background": body["background"].as_str().unwrap_or("opaque"), "quality": quality, "size": size,
        "output_format": body["output_format"].as_str().unwrap_or("png")
    });
    if body["stream"] != true {
        let data: Value = (0..count).map(|_| json!({"b64_json": PIXEL})).collect();
        let mut whole = look;
        whole["created"] = call.created_unix_s.into();
        whole["data"] = data;
        if let Some(told) = told {
            whole["usage"] = told;
        }
        return Ok(Made::json(&whole, usage));
    }
    let kind = if edit { "image_edit" } else { "image_generation" };
    let mut writer = Writer::for_frames(4);
    let frame = |writer: &mut Writer, name: &str, more: (&str, Value)| {
        let mut shown = look.clone();
        shown["type"] = format!("{kind}.{name}").into();
        shown["created_at"] = call.created_unix_s.into();
        shown["b64_json"] = PIXEL.into();
        shown[more.0] = more.1;
        event(writer, &shown);
    };
    writer.content_begins();
    for index in 0..body["partial_images"].as_u64().unwrap_or(0).min(3) {
        frame(&mut writer, "partial_image", ("partial_image_index", index.into()));
    }
    writer.closing_begins();
    frame(&mut writer, "completed", ("usage", told.unwrap_or(Value::Null)));
    Ok(Made { evenly: true, ..Made::stream(writer.finish(), usage) })
}

/// A text spoken: bytes as they are made, or events with them, the last of which tells the usage.
pub fn speech(call: &Answering<'_>, body: &Value) -> Result<Made, Wrong> {
    let needed = |name: &'static str| {
        let text = body[name].as_str().filter(|text| !text.is_empty());
        text.ok_or((name, format!("Missing required parameter: '{name}'.")))
    };
    let (_, input) = (needed("model")?, needed("input")?);
    if body["voice"].is_null() {
        needed("voice")?;
    }
    let format = body["response_format"].as_str().unwrap_or("mp3");
    let content_type = match format {
        "mp3" => "audio/mpeg",
        "opus" => "audio/opus",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "pcm" => "audio/pcm",
        other => return Err(("response_format", format!("Invalid value: '{other}'."))),
    };
    let characters = input.chars().count() as u64;
    let prompt = content::prompt_usage(call.script, characters).prompt;
    // Some 15 characters are said in a second, which is 20 tokens.
    let usage = Usage { prompt, output: (characters * 20).div_ceil(15), ..Usage::default() };
    let sound = sound(format, input);
    let mut writer = Writer::for_frames(characters);
    writer.content_begins();
    if body["stream_format"] != "sse" {
        sound.chunks(1_024).for_each(|piece| writer.frame(piece));
        return Ok(Made { content_type: Some(content_type), evenly: true, ..Made::stream(writer.finish(), usage) });
    }
    for piece in sound.chunks(1_024) {
        data(&mut writer, &json!({"type": "speech.audio.delta", "audio": STANDARD.encode(piece)}));
    }
    writer.closing_begins();
    let mut done = json!({"type": "speech.audio.done"});
    if let Some(usage) = call.reported(usage) {
        done["usage"] = json!({
            "input_tokens": usage.prompt, "output_tokens": usage.output, "total_tokens": usage.prompt + usage.output
        });
    }
    data(&mut writer, &done);
    Ok(Made { evenly: true, ..Made::stream(writer.finish(), usage) })
}

/// What was said in a file; `translate` where it is to be English. Whisper counts seconds, later models count tokens, and a
/// translation counts nothing.
pub fn transcript(call: &Answering<'_>, body: &Value, translate: bool) -> Result<Made, Wrong> {
    let file = form::file(&body["file"]).ok_or(("file", "Missing required parameter: 'file'.".to_owned()))?;
    let mut ask = ask::common(body, std::slice::from_ref(&body["prompt"]))?;
    ask.fingerprint ^= fingerprint(&file);
    let whisper = ask.model.starts_with("whisper") || translate;
    let content = content::content(call.seed, call.script, &ask);
    let said = &content.choices[0].text;
    let seconds = seconds(&file);
    let audio = (seconds * 10.0).ceil() as u64;
    let text_tokens = if body["prompt"].is_string() { content.usage.prompt } else { 0 };
    let usage = Usage { prompt: audio + text_tokens, ..content.usage };
    let told = call.reported(usage).map(|usage| match whisper {
        true => json!({"type": "duration", "seconds": seconds.ceil() as u64}),
        false => json!({
            "type": "tokens", "input_tokens": usage.prompt, "output_tokens": usage.output,
            "total_tokens": usage.prompt + usage.output,
            "input_token_details": {"text_tokens": text_tokens.min(usage.prompt), "audio_tokens": usage.prompt.saturating_sub(text_tokens)}
        }),
    });
    let told = told.filter(|_| !translate);
    let with_usage = |mut answer: Value| {
        if let Some(told) = &told {
            answer["usage"] = told.clone();
        }
        answer
    };
    // Whisper takes `stream` and does not heed it (API reference, Create transcription).
    if ask.stream && !whisper {
        return Ok(Made::stream(spoken(call, said, with_usage), usage));
    }
    let segment = json!({
        "id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": said.text, "tokens": [50364], "temperature": 0.0,
        "avg_logprob": -0.2, "compression_ratio": 1.2, "no_speech_prob": 0.01
    });
    let as_text = |text: String| {
        let content_type = Some("text/plain; charset=utf-8");
        Made { content_type, ..Made::whole(text.into_bytes(), usage) }
    };
    Ok(match body["response_format"].as_str().unwrap_or("json") {
        "json" => Made::json(&with_usage(json!({"text": said.text})), usage),
        "verbose_json" => {
            let task = if translate { "translate" } else { "transcribe" };
            let verbose = json!({
                "task": task, "language": "english", "duration": seconds, "text": said.text, "segments": [segment]
            });
            Made::json(&with_usage(verbose), usage)
        }
        "text" => as_text(format!("{}\n", said.text)),
        "srt" => as_text(format!("1\n00:00:00,000 --> {}\n{}\n\n", clock(seconds, ','), said.text)),
        "vtt" => as_text(format!("WEBVTT\n\n00:00:00.000 --> {}\n{}\n\n", clock(seconds, '.'), said.text)),
        other => return Err(("response_format", format!("Invalid value: '{other}'."))),
    })
}

fn spoken(call: &Answering<'_>, said: &Pieces, with_usage: impl Fn(Value) -> Value) -> Frames {
    let mut writer = Writer::for_frames(said.count() + 1);
    writer.content_begins();
    for piece in said.groups(call.script.tokens_per_frame) {
        data(&mut writer, &json!({"type": "transcript.text.delta", "delta": piece}));
    }
    writer.closing_begins();
    data(&mut writer, &with_usage(json!({"type": "transcript.text.done", "text": said.text})));
    writer.finish()
}

impl Made {
    /// An answer in one piece.
    pub fn whole(body: Vec<u8>, usage: Usage) -> Made {
        Made { stream: false, ..Made::stream(Frames::whole(body), usage) }
    }

    /// An answer in pieces.
    pub fn stream(frames: Frames, usage: Usage) -> Made {
        Made { frames, usage, stream: true, content_type: None, evenly: false }
    }

    fn json(body: &Value, usage: Usage) -> Made {
        Made::whole(body.to_string().into_bytes(), usage)
    }
}

fn data(writer: &mut Writer, value: &Value) {
    writer.put("data: ");
    writer.json(value);
    writer.end_frame();
}

fn event(writer: &mut Writer, value: &Value) {
    writer.put(&format!("event: {}\n", value["type"].as_str().unwrap_or_default()));
    data(writer, value);
}

/// Noise that a text always gets, some 15 characters a second; of WAV the head is right.
fn sound(format: &str, text: &str) -> Vec<u8> {
    let mut chance = Chance::new(&[fingerprint(text.as_bytes())]);
    let bytes = text.chars().count() * 48_000 / 15;
    let noise: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| chance.draw().to_le_bytes()).collect();
    if format != "wav" {
        return noise;
    }
    let length = u32::try_from(noise.len()).unwrap_or(u32::MAX - 36);
    // One channel of 16-bit samples, 24,000 a second.
    let mut wave = [b"RIFF".as_slice(), &(length + 36).to_le_bytes(), b"WAVEfmt \x10\0\0\0\x01\0\x01\0"].concat();
    wave.extend([24_000_u32.to_le_bytes(), 48_000_u32.to_le_bytes()].concat());
    wave.extend(b"\x02\0\x10\0data");
    wave.extend(length.to_le_bytes());
    wave.extend(noise);
    wave
}

/// How long a file sounds: WAV by its head, all else as if it had 32 kbit/s.
fn seconds(file: &[u8]) -> f64 {
    let rate = file.get(28..32).filter(|_| file.starts_with(b"RIFF"));
    match rate.and_then(|rate| rate.try_into().ok()).map(u32::from_le_bytes) {
        Some(rate) if rate > 0 => file.len().saturating_sub(44) as f64 / f64::from(rate),
        _ => file.len() as f64 / 4_000.0,
    }
}

fn clock(seconds: f64, point: char) -> String {
    let ms = (seconds * 1_000.0) as u64;
    format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Script;

    fn call(script: &Script) -> Answering<'_> {
        Answering { script, seed: 7, id: "1".into(), created_unix_s: 1, fault: None }
    }

    fn told(made: &Made) -> Value {
        serde_json::from_slice(&made.frames.bytes).unwrap()
    }

    #[test]
    fn a_completion_has_a_choice_for_each_prompt_and_ends_at_its_cap() {
        let script = Script::default();
        let body = json!({"model": "m", "prompt": ["One", "Two"]});
        let whole = told(&completion(&call(&script), &body).unwrap());
        assert_eq!(
            (&whole["choices"][1]["index"], &whole["choices"][1]["finish_reason"]),
            (&json!(1), &json!("length"))
        );
        assert_eq!(whole["usage"]["completion_tokens"], 32);
        assert_eq!(completion(&call(&script), &json!({"model": "m"})).err().unwrap().0, "prompt");
        let streamed = json!({"model": "m", "prompt": "x", "stream": true, "stream_options": {"include_usage": true}});
        let text = String::from_utf8(completion(&call(&script), &streamed).unwrap().frames.bytes.to_vec()).unwrap();
        assert!(text.contains(r#""choices":[]"#) && text.ends_with("data: [DONE]\n\n"), "{text}");
    }

    #[test]
    fn what_is_spoken_can_be_heard_for_as_long() {
        let script = Script::default();
        let body = json!({"model": "m", "input": "a".repeat(30), "voice": "v", "response_format": "wav"});
        let spoken = speech(&call(&script), &body).unwrap();
        assert_eq!((seconds(&spoken.frames.bytes), spoken.content_type), (2.0, Some("audio/wav")));
        let file = json!({"type": "file", "content": STANDARD.encode(&spoken.frames.bytes)});
        let heard = |model: &str, translate| {
            told(&transcript(&call(&script), &json!({"model": model, "file": file}), translate).unwrap())
        };
        assert_eq!(heard("whisper-1", false)["usage"], json!({"type": "duration", "seconds": 2}));
        assert_eq!(
            heard("later", false)["usage"]["input_token_details"],
            json!({"text_tokens": 0, "audio_tokens": 20})
        );
        assert_eq!(heard("whisper-1", true)["usage"], Value::Null);
        assert_eq!(clock(3_723.5, ','), "01:02:03,500");
    }

    #[test]
    fn pictures_are_as_many_and_as_dear_as_asked() {
        let script = Script::default();
        let body = json!({"model": "m", "prompt": "a cat", "n": 2, "quality": "low", "image": [{}, {}]});
        let made = told(&pictures(&call(&script), &body, true).unwrap());
        assert_eq!((made["data"].as_array().unwrap().len(), &made["usage"]["output_tokens"]), (2, &json!(544)));
        assert_eq!(made["usage"]["input_tokens_details"], json!({"text_tokens": 2, "image_tokens": 388}));
        assert_eq!(pictures(&call(&script), &json!({"prompt": "x"}), true).err().unwrap().0, "image");
    }

    #[test]
    fn who_wants_to_hurt_is_flagged() {
        let script = Script::default();
        let judged = told(&moderation(&call(&script), &json!({"input": ["I hurt you", "hello"]})).unwrap());
        let flags: Vec<&Value> = judged["results"].as_array().unwrap().iter().map(|one| &one["flagged"]).collect();
        assert_eq!(flags, [true, false]);
        assert_eq!(judged["results"][0]["categories"]["violence"], true);
    }
}
