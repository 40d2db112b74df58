//! Makes the body a provider is sent: by splicing named spans where it speaks the client's dialect, by translating where
//! it does not.

use std::borrow::Cow;

use bytes::Bytes;
use domain::{Fault, FaultClass, Loss, LossKind};

pub use crate::ask::Ask;
use crate::dialect::{Dialect, Operation};
use crate::hosting;
use crate::quirks::{MaxTokensField, Quirks, StreamUsage};
use crate::scan::{Container, Head};
use crate::signatures::give_back;
pub use crate::splice::Edit;
use crate::splice::Splice;
use crate::translate;

/// What is to be sent.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Appended to the provider's base URL.
    pub path: Cow<'static, str>,
    /// The body.
    pub body: Bytes,
    /// Same dialect: every span of the client's body that was changed, in order. Empty for a translation.
    pub edits: Vec<Edit>,
    /// What the provider will not be told.
    pub losses: Vec<Loss>,
    /// Whether the answer will be a stream.
    pub stream: bool,
}

/// Makes the body for a provider that speaks `upstream` from a body in `client`, whose head is `head`.
///
/// The fault is [`FaultClass::Untranslatable`] when the provider's dialect cannot say it; another model may.
pub fn outgoing(
    client: Dialect,
    operation: Operation,
    body: &Bytes,
    head: &Head,
    upstream: Dialect,
    ask: &Ask<'_>,
) -> Result<Outgoing, Fault> {
    let stream = head.stream && operation.may_stream();
    let path = |batch| {
        let own = operation
            .path(upstream, ask.upstream_model, stream, batch)
            .filter(|_| ask.quirks.hosting.has(upstream, operation))
            .ok_or_else(|| Fault::new(FaultClass::Untranslatable, format!("{upstream} has no {operation}")))?;
        Ok::<_, Fault>(ask.quirks.hosting.path(upstream, operation, ask.upstream_model, stream, own))
    };
    // What another provider keeps is looked for as a translation would, which says what cannot be had.
    let anew = ask.foreign && head.bound.is_tied();
    if client == upstream && !anew {
        let path = path(head.batch)?;
        let (body, edits, losses) = spliced(client, operation, body, head, ask)?;
        return Ok(Outgoing { path, body, edits, losses, stream });
    }
    let translated = translate::request(client, upstream, operation, stream, body, ask)?;
    let (path, losses, body) = (path(translated.batch)?, translated.losses, translated.body);
    let body = match ask.quirks.hosting.version_for_model(upstream, operation) {
        Some(version) => hosting::body_with_version_for_model(body, ask.quirks.hosting, version),
        None => Bytes::from(body),
    };
    Ok(Outgoing { path, body, edits: Vec::new(), losses, stream })
}

type Spliced = (Bytes, Vec<Edit>, Vec<Loss>);

/// The client's own bytes, with the named spans changed.
fn spliced(dialect: Dialect, operation: Operation, body: &Bytes, head: &Head, ask: &Ask<'_>) -> Result<Spliced, Fault> {
    let mut splice = Splice::new(body);
    let mut losses = Vec::new();
    let (named, upstream) = (head.model.as_deref() == Some(ask.upstream_model), ask.upstream_model);
    if let Some(version) = ask.quirks.hosting.version_for_model(dialect, operation) {
        hosting::with_version_for_model(&mut splice, body, ask.quirks.hosting, version);
    } else {
        match (&head.spans.model, &head.spans.form) {
            (Some(_), _) if named => {}
            (Some(model), None) => splice.replace("model", model.clone(), json_string(upstream)),
            (Some(model), Some(_)) => splice.replace("model", model.clone(), form_text(upstream)?),
            // Where the client left it out, the provider would take its own.
            (None, None) if operation.is_beside_chat() || dialect == Dialect::OpenAiResponses => {
                let at = head.spans.open;
                splice.replace("model", at..at, [&br#""model":"#[..], &json_string(upstream), b","].concat());
            }
            (None, Some(boundary)) => {
                let part = [&b"--"[..], boundary.as_bytes(), FORM_MODEL, &form_text(upstream)?, &b"\r\n"[..]].concat();
                splice.replace("model", 0..0, part);
            }
            (None, None) => {}
        }
    }
    // Google's lists of texts, and its counts, name the model in the body once more.
    for resource in &head.spans.resources {
        splice.replace("model", resource.clone(), json_string(&format!("models/{}", ask.upstream_model)));
    }
    if operation == Operation::Completions {
        with_stream_usage(&mut splice, head, ask.quirks);
        with_completion_cap(&mut splice, head, ask);
    }
    if operation == Operation::Chat {
        if dialect == Dialect::OpenAiChat {
            if head.n > 1 && !ask.quirks.n {
                let message = format!("{} answers with one choice; `n` is {}", ask.quirks.name, head.n);
                return Err(Fault::new(FaultClass::Untranslatable, message));
            }
            without_unknown_fields(&mut splice, &mut losses, body, head, ask.quirks);
            with_known_roles(&mut splice, head, ask.quirks);
            with_stream_usage(&mut splice, head, ask.quirks);
        }
        with_cap(&mut splice, dialect, head, ask);
    }
    if matches!(operation, Operation::Chat | Operation::Compact | Operation::CountTokens) {
        give_back(&mut splice, &mut losses, body, head, ask)?;
    }
    match splice.apply() {
        Some((changed, edits)) => Ok((Bytes::from(changed), edits, losses)),
        None => Ok((body.clone(), Vec::new(), losses)),
    }
}

/// Cuts fields the server would refuse, and says so.
fn without_unknown_fields(splice: &mut Splice<'_>, losses: &mut Vec<Loss>, body: &[u8], head: &Head, quirks: &Quirks) {
    let mut cut = 0;
    for (name, span) in &head.spans.optional {
        let known = match *name {
            "seed" => quirks.seed,
            "parallel_tool_calls" => quirks.parallel_tool_calls,
            _ => quirks.logprobs,
        };
        if known {
            continue;
        }
        splice.replace(name, span.removal(body, cut), &b""[..]);
        cut += 1;
        // Leaving out what says nothing loses nothing.
        if !matches!(&body[span.value.clone()], b"null" | b"false") {
            losses.push(Loss {
                pointer: format!("/{name}"),
                kind: LossKind::Dropped,
                reason: format!("servers of the kind {} do not know `{name}`", quirks.name),
            });
        }
    }
}

/// `developer` is `system` to servers that came before it.
fn with_known_roles(splice: &mut Splice<'_>, head: &Head, quirks: &Quirks) {
    if !quirks.developer_role {
        for role in &head.spans.developer_roles {
            splice.replace("role", role.clone(), &b"\"system\""[..]);
        }
    }
}

/// Makes a stream report its usage, whatever the client asked: the ledger needs it.
fn with_stream_usage(splice: &mut Splice<'_>, head: &Head, quirks: &Quirks) {
    const NAME: &str = "stream_options";
    let whole: &[u8] = match quirks.stream_usage {
        _ if !head.stream => return,
        StreamUsage::None => return,
        StreamUsage::IncludeUsage => br#"{"include_usage":true}"#,
        StreamUsage::Continuous => br#"{"include_usage":true,"continuous_usage_stats":true}"#,
    };
    let options = match &head.spans.stream_options {
        Some(options) if options.is_object && options.has_members => options,
        Some(options) => return splice.replace(NAME, options.value.clone(), whole),
        None => {
            let at = head.spans.open;
            return splice.replace(NAME, at..at, [&br#""stream_options":"#[..], whole, b","].concat());
        }
    };
    let inside = options.value.start + 1;
    let wanted = [
        (&options.include_usage, &br#""include_usage":true,"#[..], true),
        (
            &options.continuous_usage,
            br#""continuous_usage_stats":true,"#,
            quirks.stream_usage == StreamUsage::Continuous,
        ),
    ];
    for (written, inserted, _) in wanted.into_iter().filter(|(_, _, needed)| *needed) {
        match written {
            Some(value) => splice.replace(NAME, value.clone(), &b"true"[..]),
            None => splice.replace(NAME, inside..inside, inserted),
        }
    }
}

/// Puts the cap on output tokens under the name the server knows, and one of ours where the client named none.
fn with_cap(splice: &mut Splice<'_>, dialect: Dialect, head: &Head, ask: &Ask<'_>) {
    let spans = &head.spans;
    let field = match dialect {
        Dialect::OpenAiChat => ask.quirks.cap_field(),
        Dialect::OpenAiResponses => "max_output_tokens",
        Dialect::Anthropic | Dialect::Cohere => "max_tokens",
        Dialect::Gemini => {
            return with_cap_inside(
                splice,
                head,
                ask,
                ("generationConfig", "maxOutputTokens"),
                &spans.generation_config,
            );
        }
        Dialect::BedrockConverse => {
            return with_cap_inside(splice, head, ask, ("inferenceConfig", "maxTokens"), &spans.inference_config);
        }
    };
    let (older, newer) = match dialect {
        Dialect::OpenAiResponses => (&None, &spans.max_output_tokens),
        _ => (&spans.max_tokens, &spans.max_completion_tokens),
    };
    if dialect == Dialect::OpenAiChat {
        // Where both stand, renaming one would write a field twice: the server has to say what it thinks of them.
        match (ask.quirks.max_tokens_field, older, newer) {
            (MaxTokensField::MaxCompletionTokens, Some(cap), None) => {
                splice.replace("max_tokens", cap.key.clone(), &br#""max_completion_tokens""#[..]);
            }
            (MaxTokensField::MaxTokens, None, Some(cap)) => {
                splice.replace("max_completion_tokens", cap.key.clone(), &br#""max_tokens""#[..]);
            }
            _ => {}
        }
    }
    if head.max_output.is_some() {
        return;
    }
    let required = (dialect == Dialect::Anthropic).then_some(ask.default_max_output);
    let Some(cap) = ask.insert_max_output.or(required) else { return };
    // A cap of null is none: ours takes its place, or the field would stand twice.
    let written =
        if field == "max_tokens" { older.as_ref().or(newer.as_ref()) } else { newer.as_ref().or(older.as_ref()) };
    match written {
        Some(null) => splice.replace(field, null.value.clone(), cap.to_string().into_bytes()),
        None => splice.replace(field, spans.open..spans.open, format!("\"{field}\":{cap},").into_bytes()),
    }
}

/// Completions know one name for the cap.
fn with_completion_cap(splice: &mut Splice<'_>, head: &Head, ask: &Ask<'_>) {
    let (None, Some(cap)) = (head.max_output, ask.insert_max_output) else { return };
    match &head.spans.max_tokens {
        Some(null) => splice.replace("max_tokens", null.value.clone(), cap.to_string().into_bytes()),
        None => {
            let at = head.spans.open;
            splice.replace("max_tokens", at..at, format!("\"max_tokens\":{cap},").into_bytes());
        }
    }
}

/// The head of a part that names the model, after its boundary.
const FORM_MODEL: &[u8] = b"\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";

/// A text as the value of a part; one with line ends could pass for more than that.
fn form_text(text: &str) -> Result<Vec<u8>, Fault> {
    match text.chars().any(char::is_control) {
        true => Err(Fault::new(FaultClass::Internal, "the model's id holds control characters")),
        false => Ok(text.as_bytes().to_vec()),
    }
}

/// Google's cap stands inside `generationConfig`, Bedrock's inside `inferenceConfig`.
fn with_cap_inside(
    splice: &mut Splice<'_>,
    head: &Head,
    ask: &Ask<'_>,
    (outer, name): (&str, &'static str),
    config: &Option<Container>,
) {
    let (None, Some(cap)) = (head.max_output, ask.insert_max_output) else { return };
    if let Some(null) = &head.spans.max_tokens {
        return splice.replace(name, null.value.clone(), cap.to_string().into_bytes());
    }
    match config {
        Some(config) if config.is_object => {
            let (at, comma) = (config.value.start + 1, if config.has_members { "," } else { "" });
            splice.replace(name, at..at, format!("\"{name}\":{cap}{comma}").into_bytes());
        }
        Some(null) => splice.replace(name, null.value.clone(), format!("{{\"{name}\":{cap}}}").into_bytes()),
        None => {
            let at = head.spans.open;
            splice.replace(name, at..at, format!("\"{outer}\":{{\"{name}\":{cap}}},").into_bytes());
        }
    }
}

fn json_string(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Address;
    use crate::maker::Maker;
    use crate::scan::scan;

    fn maker() -> Maker {
        Maker::of("provider")
    }

    fn sent(dialect: Dialect, quirks: &str, cap: Option<u64>, body: &str) -> Result<(String, Outgoing), Fault> {
        let head = scan(dialect, Operation::Chat, None, body.as_bytes()).unwrap();
        let ask = Ask {
            upstream_model: "up",
            quirks: Quirks::named(quirks).unwrap(),
            insert_max_output: cap,
            default_max_output: 4096,
            maker: maker(),
            foreign: false,
        };
        let out = outgoing(dialect, Operation::Chat, &Bytes::copy_from_slice(body.as_bytes()), &head, dialect, &ask)?;
        Ok((String::from_utf8(out.body.to_vec()).unwrap(), out))
    }

    fn openai(quirks: &str, body: &str) -> String {
        sent(Dialect::OpenAiChat, quirks, None, body).unwrap().0
    }

    #[test]
    fn only_the_model_changes_in_a_plain_request() {
        let (body, out) =
            sent(Dialect::OpenAiChat, "generic", None, "{ \"model\" : \"a\",\n\"x\":1e400, \"messages\":[]}").unwrap();
        assert_eq!(body, "{ \"model\" : \"up\",\n\"x\":1e400, \"messages\":[]}");
        assert_eq!(out.edits, [Edit { name: "model", range: 12..15, written: 4 }]);
        assert_eq!(out.path, "/chat/completions");
    }

    #[test]
    fn a_stream_is_made_to_report_its_usage() {
        let whole = openai("generic", r#"{"model":"a","messages":[],"stream":true}"#);
        assert_eq!(whole, r#"{"stream_options":{"include_usage":true},"model":"up","messages":[],"stream":true}"#);
        let body =
            |options: &str| format!(r#"{{"model":"up","messages":[],"stream":true,"stream_options":{options}}}"#);
        for (options, generic, vllm) in [
            ("null", r#"{"include_usage":true}"#, r#"{"include_usage":true,"continuous_usage_stats":true}"#),
            ("{ }", r#"{"include_usage":true}"#, r#"{"include_usage":true,"continuous_usage_stats":true}"#),
            (
                r#"{"include_usage":false}"#,
                r#"{"include_usage":true}"#,
                r#"{"continuous_usage_stats":true,"include_usage":true}"#,
            ),
            (
                r#"{ "x":1}"#,
                r#"{"include_usage":true, "x":1}"#,
                r#"{"include_usage":true,"continuous_usage_stats":true, "x":1}"#,
            ),
        ] {
            assert_eq!(openai("generic", &body(options)), body(generic));
            assert_eq!(openai("vllm", &body(options)), body(vllm));
            assert_eq!(openai("mistral", &body(options)), body(options));
        }
    }

    #[test]
    fn the_cap_goes_where_the_server_looks_for_it() {
        let old = r#"{"model":"up","messages":[],"max_tokens":5}"#;
        let new = r#"{"model":"up","messages":[],"max_completion_tokens":5}"#;
        assert_eq!((openai("openai", old).as_str(), openai("openai", new).as_str()), (new, new));
        assert_eq!((openai("ollama", old).as_str(), openai("ollama", new).as_str()), (old, old));
        assert_eq!((openai("vllm", old).as_str(), openai("vllm", new).as_str()), (old, new));
    }

    #[test]
    fn a_cap_of_ours_is_written_only_where_the_client_named_none() {
        let capped = |quirks, body| sent(Dialect::OpenAiChat, quirks, Some(9), body).unwrap().0;
        assert_eq!(capped("vllm", r#"{"model":"up","messages":[]}"#), r#"{"max_tokens":9,"model":"up","messages":[]}"#);
        assert_eq!(
            capped("openai", r#"{"model":"up","messages":[],"max_tokens":null}"#),
            r#"{"model":"up","messages":[],"max_completion_tokens":9}"#
        );
        assert_eq!(
            capped("vllm", r#"{"model":"up","messages":[],"max_tokens":2}"#),
            r#"{"model":"up","messages":[],"max_tokens":2}"#
        );
    }

    #[test]
    fn anthropic_gets_the_cap_it_requires() {
        let (body, out) = sent(Dialect::Anthropic, "generic", None, r#"{"model":"up","messages":[]}"#).unwrap();
        assert_eq!(body, r#"{"max_tokens":4096,"model":"up","messages":[]}"#);
        assert_eq!((&*out.path, out.edits[0].name), ("/messages", "max_tokens"));
    }

    #[test]
    fn responses_are_capped_under_their_own_name() {
        let capped = |body| sent(Dialect::OpenAiResponses, "openai", Some(9), body).unwrap().0;
        assert_eq!(capped(r#"{"model":"up","input":"x"}"#), r#"{"max_output_tokens":9,"model":"up","input":"x"}"#);
        // A cap of another dialect caps nothing here.
        assert_eq!(
            capped(r#"{"model":"up","input":"x","max_output_tokens":null,"max_tokens":3}"#),
            r#"{"model":"up","input":"x","max_output_tokens":9,"max_tokens":3}"#
        );
        let body = r#"{"model":"up","input":"x","stream":true,"max_output_tokens":20}"#;
        assert_eq!(capped(body), body);
    }

    #[test]
    fn what_one_provider_keeps_is_asked_of_no_other() {
        let ask = |body: &'static str, foreign| {
            let head = scan(Dialect::OpenAiResponses, Operation::Chat, None, body.as_bytes()).unwrap();
            let ask = Ask {
                upstream_model: "up",
                quirks: &Quirks::GENERIC,
                insert_max_output: None,
                default_max_output: 1,
                maker: maker(),
                foreign,
            };
            let body = Bytes::from_static(body.as_bytes());
            outgoing(Dialect::OpenAiResponses, Operation::Chat, &body, &head, Dialect::OpenAiResponses, &ask)
        };
        let goes_on = r#"{"model":"up","input":"x","previous_response_id":"resp_1"}"#;
        assert_eq!(ask(goes_on, false).unwrap().body, goes_on);
        let fault = ask(goes_on, true).unwrap_err();
        assert_eq!(fault.class, FaultClass::Untranslatable);
        assert!(fault.message.contains("previous_response_id"), "{}", fault.message);

        let thinks = r#"{"model":"up","input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAA"},{"role":"user","content":"x"}]}"#;
        assert_eq!(ask(thinks, false).unwrap().body, thinks);
        let elsewhere = ask(thinks, true).unwrap();
        assert!(!String::from_utf8_lossy(&elsewhere.body).contains("gAAAA"), "{:?}", elsewhere.body);
        assert_eq!(elsewhere.losses[0].pointer, "/input/0");

        let ours = r#"{"model":"up","input":[{"type":"reasoning","id":"rs_fh_msg_1_0","summary":[]},{"role":"user","content":"x"}]}"#;
        assert!(!String::from_utf8_lossy(&ask(ours, false).unwrap().body).contains("rs_fh"));

        assert!(ask(r#"{"model":"up","input":"x","background":true}"#, false).is_ok(), "it is fetched later");
    }

    #[test]
    fn signatures_of_one_google_provider_are_sent_to_no_other() {
        let ask = |body: &'static str, upstream_model, foreign| {
            let address = Address { model: "asked".into(), stream: false };
            let head = scan(Dialect::Gemini, Operation::Chat, Some(&address), body.as_bytes()).unwrap();
            let quirks = &Quirks::GENERIC;
            let ask =
                Ask { upstream_model, quirks, insert_max_output: None, default_max_output: 1, maker: maker(), foreign };
            let body = Bytes::from_static(body.as_bytes());
            outgoing(Dialect::Gemini, Operation::Chat, &body, &head, Dialect::Gemini, &ask)
        };
        let signed = r#"{"contents":[{"role":"model","parts":[{"thoughtSignature":"QUE=","text":"x"},{"functionCall":{"name":"f"}, "thought_signature" : "QkI=","thoughtSignature":"QkI="}]}],"safetySettings":[{"a":1}]}"#;
        let own = ask(signed, "gemini-3-pro", false).unwrap();
        assert_eq!((&own.body[..], own.losses.len()), (signed.as_bytes(), 0));
        let newest = ask(signed, "gemini-3-pro", true).unwrap();
        assert_eq!(
            newest.body,
            r#"{"contents":[{"role":"model","parts":[{"text":"x"},{"functionCall":{"name":"f"}, "thought_signature" : "skip_thought_signature_validator","thoughtSignature":"skip_thought_signature_validator"}]}],"safetySettings":[{"a":1}]}"#
        );
        assert_eq!((newest.losses[0].pointer.as_str(), newest.losses.len()), ("/contents", 1));
        let older = ask(signed, "gemini-2.5-flash", true).unwrap();
        assert_eq!(
            older.body,
            r#"{"contents":[{"role":"model","parts":[{"text":"x"},{"functionCall":{"name":"f"}}]}],"safetySettings":[{"a":1}]}"#
        );
        let cached = r#"{"contents":[{"parts":[{"text":"x"}]}],"cachedContent":"cachedContents/a"}"#;
        assert_eq!(ask(cached, "gemini-3-pro", false).unwrap().body, cached);
        let elsewhere = ask(cached, "gemini-3-pro", true).unwrap_err();
        assert!(elsewhere.message.contains("`/cachedContent`"), "{}", elsewhere.message);
    }

    #[test]
    fn fields_a_server_does_not_know_are_left_out_and_told() {
        let (body, out) = sent(
            Dialect::OpenAiChat,
            "deepseek",
            None,
            r#"{"seed":7,"parallel_tool_calls":false,"model":"up","messages":[{"role":"developer","content":"x"}]}"#,
        )
        .unwrap();
        assert_eq!(body, r#"{"model":"up","messages":[{"role":"system","content":"x"}]}"#);
        assert_eq!(out.losses.iter().map(|loss| loss.pointer.as_str()).collect::<Vec<_>>(), ["/seed"]);
        assert_eq!(out.edits.iter().map(|edit| edit.name).collect::<Vec<_>>(), ["seed", "parallel_tool_calls", "role"]);
    }

    #[test]
    fn more_choices_than_the_server_gives_must_go_elsewhere() {
        let fault = sent(Dialect::OpenAiChat, "groq", None, r#"{"model":"up","messages":[],"n":2}"#).unwrap_err();
        assert_eq!(fault.class, FaultClass::Untranslatable);
    }

    #[test]
    fn an_operation_the_dialect_lacks_must_go_elsewhere() {
        let body = Bytes::from_static(br#"{"model":"a","input":"x"}"#);
        let head = scan(Dialect::OpenAiChat, Operation::Embeddings, None, &body).unwrap();
        let ask = Ask {
            upstream_model: "up",
            quirks: &Quirks::GENERIC,
            insert_max_output: None,
            default_max_output: 1,
            maker: maker(),
            foreign: false,
        };
        let fault =
            outgoing(Dialect::OpenAiChat, Operation::Embeddings, &body, &head, Dialect::Anthropic, &ask).unwrap_err();
        assert_eq!(fault.class, FaultClass::Untranslatable);
    }

    #[test]
    fn a_request_that_needs_no_change_is_the_same_buffer() {
        let body = Bytes::from_static(br#"{"model":"up","messages":[]}"#);
        let head = scan(Dialect::OpenAiChat, Operation::Chat, None, &body).unwrap();
        let ask = Ask {
            upstream_model: "up",
            quirks: &Quirks::GENERIC,
            insert_max_output: None,
            default_max_output: 1,
            maker: maker(),
            foreign: false,
        };
        let out = outgoing(Dialect::OpenAiChat, Operation::Chat, &body, &head, Dialect::OpenAiChat, &ask).unwrap();
        assert_eq!(out.body.as_ptr(), body.as_ptr());
    }
}
