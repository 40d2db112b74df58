//! Whether a message repeats what a client said. Some servers answer a faulty request with the request itself (vLLM prints
//! the part that did not validate), and words that quote a prompt are told to its client but not kept.

use rustc_hash::FxHashSet;

/// From here on a run of bytes that message and request share is a quotation, if it has a space: names of fields, which a
/// message has to name, have none.
const RUN_BYTES: usize = 16;

/// From here on it is one without a space, such as a token or a text in a script without them.
const UNBROKEN_RUN_BYTES: usize = 32;

/// What is looked for first. Every run of `RUN_BYTES` holds one of these at a multiple of its length.
const PIECE_BYTES: usize = 8;

/// A message as it may be kept.
pub fn without_quotation(message: &str, request: &[u8]) -> String {
    match quotes(message.as_bytes(), request) {
        true => "its words are not kept, because they quote the request; the client was told them".to_owned(),
        false => message.to_owned(),
    }
}

/// Linear in the request, since messages are short: pieces of the message are remembered and looked up along the request.
fn quotes(message: &[u8], request: &[u8]) -> bool {
    if message.len() < RUN_BYTES || request.len() < RUN_BYTES {
        return false;
    }
    let pieces: FxHashSet<&[u8]> = message.windows(PIECE_BYTES).collect();
    let said = unescaped(request);
    let hits = said.chunks_exact(PIECE_BYTES).enumerate().filter(|(_, piece)| pieces.contains(piece));
    hits.into_iter().any(|(number, piece)| {
        let at = number * PIECE_BYTES;
        let places = message.windows(PIECE_BYTES).enumerate().filter(|(_, window)| *window == piece);
        places.into_iter().any(|(place, _)| is_quotation(shared_run(message, place, &said, at)))
    })
}

fn is_quotation(run: &[u8]) -> bool {
    run.len() >= UNBROKEN_RUN_BYTES || (run.len() >= RUN_BYTES && run.contains(&b' '))
}

/// The longest run around two equal places.
fn shared_run<'a>(one: &'a [u8], place: usize, other: &[u8], at: usize) -> &'a [u8] {
    let before = one[..place].iter().rev().zip(other[..at].iter().rev()).take_while(|(a, b)| a == b).count();
    let after = one[place..].iter().zip(&other[at..]).take_while(|(a, b)| a == b).count();
    &one[place - before..place + after]
}

/// The request with the escapes of JSON resolved, since a message need not escape alike. Control characters become spaces,
/// as they do in what is kept of a provider's words.
fn unescaped(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [b'u', hex @ ..]) => match utf16(hex) {
                Some((character, length)) => {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &hex[length..];
                }
                None => out.push(b'\\'),
            },
            (b'\\', [b'n' | b'r' | b't' | b'b' | b'f', after @ ..]) => {
                out.push(b' ');
                rest = after;
            }
            (b'\\', [literal, after @ ..]) => {
                out.push(*literal);
                rest = after;
            }
            (control, _) if control.is_ascii_control() => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
    }
    out
}

/// The character of one or two `\uXXXX`, and how many bytes that is after the first `\u`.
fn utf16(hex: &[u8]) -> Option<(char, usize)> {
    let unit = |digits: &[u8]| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let first = unit(hex.get(..4)?)?;
    if let Some(Ok(character)) = char::decode_utf16([first]).next() {
        return Some((character, 4));
    }
    let second = hex.get(4..10)?.strip_prefix(b"\\u").and_then(unit)?;
    Some((char::decode_utf16([first, second]).next()?.ok()?, 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = br#"{"model":"w","max_completion_tokens":12,"messages":[{"role":"user","content":"My number is 4711,\nsay \"yes\" f\u00fcr \ud83d\ude00 and \u65e5\u672c\u8a9e\u306e\u79d8\u5bc6\u306e\u8a71\u3067\u3059"}]}"#;

    #[test]
    fn words_that_repeat_the_prompt_are_not_kept() {
        for message in [
            "1 validation error: {'input': {'role': 'user', 'content': 'My number is 4711, …'}}",
            "cannot say \"yes\" für 😀 today",
            "unexpected 日本語の秘密の話です",
        ] {
            assert!(without_quotation(message, REQUEST).starts_with("its words are not kept"), "{message}");
        }
    }

    #[test]
    fn words_about_the_request_are_kept() {
        for message in [
            "Unsupported parameter: 'max_completion_tokens' is not supported with this model",
            "messages.0.content: the number is too large",
            "",
        ] {
            assert_eq!(without_quotation(message, REQUEST), message);
        }
    }

    #[test]
    fn a_quotation_is_found_wherever_it_stands_and_however_json_escapes_it() {
        let prompt = "Überweise 20 €\nan \"Käthe\"";
        let plain = serde_json::to_string(prompt).unwrap();
        let escape = |c: char| match c.is_ascii() {
            true => c.to_string(),
            false => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        let ascii: String = plain.chars().map(escape).collect();
        let message = format!("invalid input: {}", prompt.replace('\n', " "));
        for shift in 0..PIECE_BYTES {
            for text in [&plain, &ascii] {
                let request = format!("{{\"{}\":{text}}}", "x".repeat(shift));
                assert!(quotes(message.as_bytes(), request.as_bytes()), "{request}");
            }
        }
    }
}
