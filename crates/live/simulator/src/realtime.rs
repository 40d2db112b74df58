//! A realtime provider as OpenAI's reference writes it down: a session over a WebSocket, text and sound in and out, usage with every
//! response. Every event of the client's is an exchange in the transcript, of the method `WS`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::ask::{Ask, blank, text_chars};
use crate::chance::{Chance, fingerprint};
use crate::clock::now;
use crate::content::{self, Usage};
use crate::hall::Hall;
use crate::provider::Running;
use crate::scenario::Kind;
use crate::transcript::{Entry, Received, State};

/// Bytes of a second of sound, 24 kHz and 16 bits; tokens of one that is heard, and of one that is spoken.
const BYTES_PER_SECOND: u64 = 48_000;
const HEARD_PER_SECOND: u64 = 10;
/// Bytes of sound for a token that is spoken: 50 ms.
const BYTES_PER_SPOKEN: usize = 2_400;

/// A session that was promised with the answer to its request.
pub struct Session {
    pub hall: Arc<Hall>,
    pub running: Arc<Running>,
    pub provider: String,
    pub path: String,
    pub model: String,
    pub headers: HeaderMap,
    /// The connection itself. Whatever drops it before its goodbye says that the client has gone.
    pub entry: Entry,
}

/// What a request for a socket is answered with; nothing where it is none.
pub fn accepted(headers: &HeaderMap) -> Option<HeaderMap> {
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    let mut answer = HeaderMap::new();
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()?);
    Some(answer)
}

/// What stands of a conversation.
#[derive(Default)]
struct Said {
    text_chars: u64,
    audio_bytes: u64,
    /// Tokens of what the last response was told and said, which a cache serves.
    cached_text: u64,
    cached_audio: u64,
    fingerprint: u64,
    /// Sound that no item was made of yet.
    buffered: u64,
    transcribes: bool,
    speaks: bool,
    count: u64,
    goodbye: bool,
    /// Events sent, and their bytes.
    frames: usize,
    bytes: usize,
}

/// Speaks until the client goes, or the script breaks it off.
pub async fn speak<S: AsyncRead + AsyncWrite + Unpin>(mut session: Session, io: S, read_already: Bytes) {
    let mut socket = WebSocketStream::from_partially_read(io, read_already.to_vec(), Role::Server, None).await;
    let (mut said, mut chance) = (Said::default(), Chance::new(&[fingerprint(session.model.as_bytes())]));
    let mut settings = json!({
        "type": "realtime", "object": "realtime.session", "id": "sess_1", "model": session.model,
        "output_modalities": ["audio"], "audio": {"input": {"transcription": null}}
    });
    let opened = json!({"type": "session.created", "event_id": "event_0", "session": settings});
    if socket.send(Message::text(opened.to_string())).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => {
                said.goodbye = true;
                break;
            }
            _ => continue,
        };
        let parsed: Result<Value, _> = serde_json::from_str(&text);
        let mut entry = session.hall.book.receive(
            Received {
                provider: session.provider.clone(),
                method: "WS".into(),
                path: session.path.clone(),
                headers: session.headers.clone(),
                body: Bytes::copy_from_slice(text.as_bytes()),
                model: Some(session.model.clone()),
                stream: true,
            },
            now(),
        );
        said.count += 1;
        let (events, usage, broken) = match &parsed {
            Ok(event) => answer(&session, &mut settings, &mut said, event),
            Err(_) => (vec![wrong("The event is not valid JSON.")], None, None),
        };
        entry.answering(200, broken, usage, events.len());
        let pace = session.running.script.tokens_per_second;
        let mut sent = 0;
        for event in &events {
            if let Some(pace) = pace.filter(|_| event["type"].as_str().is_some_and(|kind| kind.ends_with(".delta"))) {
                tokio::time::sleep(Duration::from_secs_f64(1.0 / chance.spread(pace).max(0.001))).await;
            }
            let text = event.to_string();
            if socket.send(Message::text(&*text)).await.is_err() {
                return;
            }
            sent += text.len();
        }
        if broken.is_some() {
            entry.ended(State::Broken, events.len(), sent);
            // Without a goodbye.
            return session.entry.ended(State::Broken, said.frames, said.bytes);
        }
        entry.ended(State::Served, events.len(), sent);
        said.frames += events.len();
        said.bytes += sent;
    }
    if said.goodbye {
        session.entry.ended(State::Served, said.frames, said.bytes);
    }
    let _ = socket.close(None).await;
}

type Answered = (Vec<Value>, Option<Usage>, Option<Kind>);

fn answer(session: &Session, settings: &mut Value, said: &mut Said, event: &Value) -> Answered {
    let plain = |event: Value| (vec![event], None, None);
    let id = format!("event_{}", said.count);
    match event["type"].as_str().unwrap_or_default() {
        "session.update" => {
            let wanted = &event["session"];
            if let Some(model) = wanted["model"].as_str().filter(|model| *model != session.model) {
                return plain(wrong(&format!("Model cannot be changed to {model} in a session of {}.", session.model)));
            }
            if let (Value::Object(settings), Value::Object(wanted)) = (&mut *settings, wanted) {
                settings.extend(wanted.clone());
            }
            said.transcribes = settings["audio"]["input"]["transcription"]["model"].is_string();
            said.speaks = settings["output_modalities"][0] == "audio" && wanted["output_modalities"].is_array();
            plain(json!({"type": "session.updated", "event_id": id, "session": settings}))
        }
        "conversation.item.create" => {
            let mut text =
                |text: &str| said.fingerprint = said.fingerprint.rotate_left(5) ^ fingerprint(text.as_bytes());
            said.text_chars += text_chars(&event["item"]["content"], &mut text);
            let mut item = event["item"].clone();
            item["id"] = json!(format!("item_{}", said.count));
            item["object"] = json!("realtime.item");
            (
                vec![
                    json!({"type": "conversation.item.added", "event_id": id, "previous_item_id": null, "item": item}),
                    json!({"type": "conversation.item.done", "event_id": id, "previous_item_id": null, "item": item}),
                ],
                None,
                None,
            )
        }
        "input_audio_buffer.append" => {
            let Some(sound) = event["audio"].as_str().and_then(|audio| STANDARD.decode(audio).ok()) else {
                return plain(wrong("Invalid value: 'audio' must be base64."));
            };
            said.buffered += sound.len() as u64;
            (Vec::new(), None, None)
        }
        "input_audio_buffer.commit" => {
            let item = format!("item_{}", said.count);
            let heard = std::mem::take(&mut said.buffered);
            said.audio_bytes += heard;
            let mut events = vec![
                json!({"type": "input_audio_buffer.committed", "event_id": id, "previous_item_id": null, "item_id": item}),
            ];
            if said.transcribes {
                let tokens = (heard * HEARD_PER_SECOND).div_ceil(BYTES_PER_SECOND);
                events.push(json!({
                    "type": "conversation.item.input_audio_transcription.completed", "event_id": id, "item_id": item,
                    "content_index": 0, "transcript": "Is water covered?", "usage": {
                        "type": "tokens", "total_tokens": tokens + 4, "input_tokens": tokens, "output_tokens": 4,
                        "input_token_details": {"text_tokens": 0, "audio_tokens": tokens}
                    }
                }));
            }
            (events, None, None)
        }
        "response.create" => respond(session, said, event),
        kind => plain(wrong(&format!("Invalid value: '{kind}'. Supported values are: 'session.update' and others."))),
    }
}

/// One response: what was said before comes from the cache, what is new does not.
fn respond(session: &Session, said: &mut Said, event: &Value) -> Answered {
    let script = &session.running.script;
    let ask = Ask {
        max_output: event["response"]["max_output_tokens"].as_u64(),
        prompt_chars: said.text_chars,
        fingerprint: said.fingerprint ^ said.count,
        ..blank(&session.model, true)
    };
    let content = content::content(fingerprint(session.model.as_bytes()), script, &ask);
    let choice = &content.choices[0];
    let (text_in, audio_in) =
        (said.text_chars.div_ceil(4).max(1), (said.audio_bytes * HEARD_PER_SECOND).div_ceil(BYTES_PER_SECOND));
    let output = content.usage.output;
    let (text_out, audio_out) = if said.speaks { (output.div_ceil(4), output) } else { (output, 0) };
    let (fresh_text, fresh_audio) = (text_in, audio_in);
    let (cached_text, cached_audio) = (said.cached_text, said.cached_audio);
    let input = fresh_text + fresh_audio + cached_text + cached_audio;
    let usage = json!({
        "total_tokens": input + text_out + audio_out, "input_tokens": input, "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": fresh_text + cached_text, "audio_tokens": fresh_audio + cached_audio, "image_tokens": 0,
            "cached_tokens": cached_text + cached_audio,
            "cached_tokens_details": {"text_tokens": cached_text, "audio_tokens": cached_audio, "image_tokens": 0}
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out}
    });
    said.cached_text += fresh_text + text_out;
    said.cached_audio += fresh_audio + audio_out;
    (said.text_chars, said.audio_bytes) = (0, 0);
    let id = format!("resp_{}", said.count);
    let response = |status: &str, usage: &Value| json!({"object": "realtime.response", "id": id, "status": status, "status_details": null, "output": [], "usage": usage});
    let place =
        json!({"event_id": "event_r", "response_id": id, "item_id": "item_r", "output_index": 0, "content_index": 0});
    let at = |kind: &str, more: Value| {
        let mut event = place.clone();
        event["type"] = json!(kind);
        if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
            event.extend(more);
        }
        event
    };
    let mut events = vec![
        json!({"type": "response.created", "event_id": "event_r", "response": response("in_progress", &Value::Null)}),
    ];
    for piece in choice.text.groups(script.tokens_per_frame) {
        match said.speaks {
            false => events.push(at("response.output_text.delta", json!({"delta": piece}))),
            true => {
                let sound = STANDARD.encode(vec![0; BYTES_PER_SPOKEN]);
                events.push(at("response.output_audio.delta", json!({"delta": sound})));
                events.push(at("response.output_audio_transcript.delta", json!({"delta": piece})));
            }
        }
    }
    let faults = &script.faults;
    let broken = faults.iter().find(|fault| matches!(fault.kind, Kind::Cut | Kind::ResetMidway));
    if let Some(fault) = broken {
        events.truncate(1 + fault.after_frames);
        return (events, None, Some(fault.kind));
    }
    let kind = if said.speaks { "response.output_audio.done" } else { "response.output_text.done" };
    events.push(at(kind, if said.speaks { json!({}) } else { json!({"text": choice.text.text}) }));
    events.push(json!({"type": "response.done", "event_id": "event_r", "response": response("completed", &usage)}));
    let told =
        Usage { prompt: input, cached: cached_text + cached_audio, output: text_out + audio_out, ..Usage::default() };
    (events, Some(told), None)
}

fn wrong(message: &str) -> Value {
    json!({"type": "error", "event_id": "event_e", "error": {
        "type": "invalid_request_error", "code": "invalid_value", "message": message, "param": null, "event_id": null}})
}
