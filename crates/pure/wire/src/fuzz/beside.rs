//! What must hold beside conversations: forms, pictures and audio, vectors and rankings, what is signed, frames of tool servers.

use bytes::Bytes;

use super::{ask, plan, relayed};
use crate::audio;
use crate::dialect::{Address, Dialect, Operation};
use crate::dialects::{rankings, vectors};
use crate::form;
use crate::maker::Maker;
use crate::quirks::{QUIRKS, Quirks};
use crate::reply::{ReplyPlan, reply_body};
use crate::request::outgoing;
use crate::scan::{MadeBy, scan, scan_form};

/// A form is refused, or only the value of its `model` differs in what is sent; a boundary that is read is written so that it
/// is read again.
pub fn form(data: &[u8]) {
    if let Some(boundary) = std::str::from_utf8(data).ok().and_then(form::boundary) {
        assert_eq!(form::boundary(&form::content_type(boundary)), Some(boundary));
    }
    let line = data.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let Some(boundary) = line.strip_prefix(b"--").and_then(|text| std::str::from_utf8(text).ok()) else { return };
    let parts = |body: &[u8]| {
        let mut read = Vec::new();
        let whole = form::parts(boundary, body, |part| {
            let name = body[part.name.clone()].to_vec();
            read.push((name, part.is_file, body[part.value.clone()].to_vec()));
            Ok(())
        });
        whole.map(|()| read)
    };
    for operation in [Operation::ImageEdit, Operation::Transcription, Operation::AudioTranslation] {
        let Ok(head) = scan_form(operation, boundary, data) else { continue };
        assert!(head.units.upper().counts().all(|(meter, count)| count >= head.units.likely().get(meter)));
        let body = Bytes::copy_from_slice(data);
        let ask = ask(&Quirks::GENERIC);
        let Ok(out) = outgoing(Dialect::OpenAiChat, operation, &body, &head, Dialect::OpenAiChat, &ask) else {
            continue;
        };
        let sent = scan_form(operation, boundary, &out.body).expect("what is sent can be read");
        assert_eq!(sent.model.as_deref(), Some("up"));
        let others = |parts: Vec<(Vec<u8>, bool, Vec<u8>)>| {
            parts.into_iter().filter(|(name, ..)| name != b"model").collect::<Vec<_>>()
        };
        let (before, after) =
            (parts(data).expect("the scan read it"), parts(&out.body).expect("what is sent is a form"));
        assert_eq!(others(before), others(after), "only the model is changed");
    }
}

/// Audio is no longer than its bound, whatever its header says.
pub fn audio(data: &[u8]) {
    let length = audio::length(data);
    assert!(length.likely_ms <= length.upper_ms);
}

/// A request for pictures, speech, completions or judgements is refused, or what is sent is one for the right model that asks
/// for as much.
pub fn media_request(data: &[u8]) {
    for operation in Operation::ALL.iter().copied().filter(|operation| operation.is_beside_chat()) {
        let Ok(head) = scan(Dialect::OpenAiChat, operation, None, data) else { continue };
        let body = Bytes::copy_from_slice(data);
        for quirks in QUIRKS {
            let Ok(out) = outgoing(Dialect::OpenAiChat, operation, &body, &head, Dialect::OpenAiChat, &ask(quirks))
            else {
                continue;
            };
            let sent = scan(Dialect::OpenAiChat, operation, None, &out.body).expect("what is sent can be read");
            assert_eq!(sent.model.as_deref(), Some("up"));
            assert_eq!((sent.units, sent.stream, sent.n), (head.units, head.stream, head.n));
        }
    }
}

/// An answer of pictures or audio is refused, or passes but for what is ours; a stream of one gives the same wherever it is cut.
pub fn media_reply(data: &[u8]) {
    for operation in Operation::ALL.iter().copied().filter(|operation| operation.is_media()) {
        let plan = ReplyPlan { operation, ..plan(Dialect::OpenAiChat, Dialect::OpenAiChat, "generic") };
        if let Ok((out, seen)) = reply_body(&plan, data) {
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok() && seen.ended);
        }
        let whole = relayed(&plan, data, data.len().max(1));
        for cut in [1, 7, data.len() / 2].into_iter().filter(|cut| *cut > 0) {
            assert!(whole == relayed(&plan, data, cut), "{operation}, cut every {cut} bytes");
        }
    }
}

/// A request for vectors or a ranking is refused, or what is sent is one of the other dialect that its own reader takes.
pub fn vectors_and_rankings(data: &[u8]) {
    let address = Address { model: "claims-triage".into(), stream: false };
    for operation in [Operation::Embeddings, Operation::Rerank] {
        let speaks = |dialect: &&Dialect| operation.is_in(**dialect);
        for client in Dialect::ALL.iter().filter(speaks) {
            let Ok(head) = scan(*client, operation, Some(&address), data) else { continue };
            let body = Bytes::copy_from_slice(data);
            for upstream in Dialect::ALL.iter().filter(speaks) {
                let Ok(out) = outgoing(*client, operation, &body, &head, *upstream, &ask(&Quirks::GENERIC)) else {
                    continue;
                };
                let sent = Address { model: "up".into(), stream: false };
                let again = scan(*upstream, operation, Some(&sent), &out.body).expect("what is sent can be read");
                assert_eq!(again.model.as_deref(), Some("up"));
                if client == upstream {
                    continue;
                }
                let text = std::str::from_utf8(&out.body).expect("JSON is text");
                let mut losses = crate::canonical::Losses::default();
                let read = match operation {
                    Operation::Rerank => {
                        rankings(*upstream).map(|reader| reader.read_request(text, &mut losses).map(drop))
                    }
                    _ => vectors(*upstream).map(|reader| reader.read_request(text, &mut losses).map(drop)),
                };
                assert_eq!(read, Some(Ok(())), "what {client} says is put into {upstream} as it takes it");
            }
        }
    }
}

/// An answer of vectors or of a ranking is malformed, or the client gets JSON.
pub fn vectors_and_rankings_answer(data: &[u8]) {
    const ASKED: [(Operation, Dialect, &str); 5] = [
        (Operation::Embeddings, Dialect::OpenAiChat, r#"{"model":"a","input":["a","b"],"encoding_format":"base64"}"#),
        (
            Operation::Embeddings,
            Dialect::Gemini,
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
        ),
        (Operation::Embeddings, Dialect::Cohere, r#"{"model":"a","texts":["a","b"],"input_type":"search_query"}"#),
        (Operation::Rerank, Dialect::OpenAiChat, r#"{"model":"a","query":"q","documents":["a","b"]}"#),
        (Operation::Rerank, Dialect::Cohere, r#"{"model":"a","query":"q","documents":["a","b"]}"#),
    ];
    for (operation, client, asked) in ASKED {
        for upstream in Dialect::ALL.iter().copied().filter(|dialect| operation.is_in(*dialect)) {
            let request = Bytes::from_static(asked.as_bytes());
            let plan = ReplyPlan { operation, request, ..plan(client, upstream, "generic") };
            if let Ok((out, seen)) = reply_body(&plan, data) {
                assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok() && seen.ended);
            }
        }
    }
}

/// What is signed goes to its maker without its tag, and of what others made nothing is sent. `@` stands for the tag of one
/// provider, `%` for that of another.
pub fn signatures(data: &[u8]) {
    // A tag behind a tag is what another Freehold, asked as a provider, gave: it goes back there as it came.
    if data.windows(2).any(|pair| matches!(pair, [b'@' | b'%', b'@' | b'%'])) {
        return;
    }
    let (one, another) = (Maker::of("provider"), Maker::of("another"));
    let tagged: Vec<u8> = data
        .iter()
        .flat_map(|byte| match byte {
            b'@' => one.tag(),
            b'%' => another.tag(),
            byte => std::slice::from_ref(byte),
        })
        .copied()
        .collect();
    let data = &tagged[..];
    let address = Address { model: "claims-triage".into(), stream: false };
    for dialect in Dialect::ALL {
        for operation in [Operation::Chat, Operation::CountTokens] {
            let Ok(head) = scan(*dialect, operation, Some(&address), data) else { continue };
            let body = Bytes::copy_from_slice(data);
            for (maker, foreign) in [("provider", false), ("provider", true), ("third", true)] {
                let ask = crate::request::Ask { maker: Maker::of(maker), foreign, ..ask(&Quirks::GENERIC) };
                let Ok(out) = outgoing(*dialect, operation, &body, &head, *dialect, &ask) else { continue };
                let sent = Address { model: "up".into(), stream: false };
                let again = scan(*dialect, operation, Some(&sent), &out.body).expect("what is sent can be read");
                for piece in &again.spans.signed.pieces {
                    assert!(!matches!(piece.made_by, MadeBy::Known(_)), "no tag of ours is sent: {}", piece.at);
                    assert!(
                        maker != "third" || is_stand_in(&out.body, piece),
                        "nothing of another's is sent: {}",
                        piece.at
                    );
                }
            }
        }
    }
}

/// Whether a signature is what Google takes in the place of one.
fn is_stand_in(body: &[u8], piece: &crate::scan::Piece) -> bool {
    let stand_in = crate::dialects::gemini::stand_in_signature("up");
    piece.texts.iter().all(|text| Some(&body[text.clone()]) == stand_in.map(str::as_bytes))
}

/// Frames of tool servers are read without a panic, and one that is written with other data is read with it.
pub fn mcp_frames(data: &[u8]) {
    use crate::mcp::{said_in_frame, with_data};
    let _ = said_in_frame(data);
    let (_, read, _) = said_in_frame(&with_data(data, b"{\"a\":1}"));
    assert_eq!(read.as_deref(), Some(&b"{\"a\":1}"[..]));
}
