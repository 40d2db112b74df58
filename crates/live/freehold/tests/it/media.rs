//! OpenAI's endpoints beside chat: completions, moderations, pictures, speech and audio, on raw sockets: what the provider
//! got, what the client got, and what was booked.

use crate::harness::{Freehold, RawProvider, Site, eventually};
use crate::http::{Answer, request};

const BOUNDARY: &str = "----sdk-boundary-7d1";

/// One provider with one model and workflow `w`, at this price.
fn site(name: &str, provider: &RawProvider, price: &str, workflow: &str) -> Site {
    Site::new(
        name,
        &format!(
            "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\
             quirks = \"openai\"\n\n[models.m]\nprovider = \"p\"\nmodel = \"vendor-model\"\n{price}\n\n\
             [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
             [workflows.w]\ncriticality = \"c\"\n{workflow}\n",
            provider.address
        ),
    )
}

const BUDGET: &str = "budget = { limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }";

/// The lines of the one attempt that was booked: meter, units, amount, and where the count came from.
fn booked(freehold: &Freehold) -> Vec<[String; 4]> {
    let rows = eventually("the attempt is in the ledger", || Some(freehold.ledger()).filter(|rows| !rows.is_empty()));
    let line = |row: &serde_json::Value| {
        ["meter", "units", "amount", "basis"].map(|key| row[key].as_str().unwrap().to_owned())
    };
    rows.iter().map(line).collect()
}

fn part(head: &str, value: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
}

fn form(parts: &[String]) -> Vec<u8> {
    (parts.concat() + &format!("--{BOUNDARY}--\r\n")).into_bytes()
}

fn post_form(freehold: &Freehold, path: &str, body: &[u8]) -> Answer {
    let authorization = format!("Bearer {}", freehold.key);
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type.as_str())];
    request(freehold.gateway, "POST", path, &headers, body)
}

#[test]
fn a_completion_goes_through_as_bytes_and_is_metered_whole_and_streamed() {
    let answer = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"vendor-model","choices":[{"text":" there","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#;
    let provider = RawProvider::answering_body("application/json", answer.as_bytes());
    let site = site("media-completion", &provider, "price = { input = \"1\", output = \"2\" }", BUDGET);
    let freehold = site.start();
    let whole = freehold.post("/v1/completions", r#"{ "model":"w", "prompt":"Hello" , "max_tokens":9,"x":1e400}"#);
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert_eq!(whole.text(), answer.replace("vendor-model", "w"));
    assert_eq!(provider.last_body(), br#"{ "model":"vendor-model", "prompt":"Hello" , "max_tokens":9,"x":1e400}"#);
    assert!(String::from_utf8_lossy(&provider.received()[0]).starts_with("POST /v1/completions HTTP/1.1"));
    let lines = [["input", "4", "0.000004000", "reported"], ["output", "2", "0.000004000", "reported"]];
    assert_eq!(booked(&freehold), lines);
    drop(freehold);

    let chunk = |inner: &str| {
        format!("data: {{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"model\":\"vendor-model\",{inner}}}\n\n")
    };
    let text = chunk(r#""choices":[{"text":" there","index":0,"finish_reason":"stop"}]"#);
    let usage = chunk(r#""choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}"#);
    let stream = format!("{text}{usage}data: [DONE]\n\n");
    let provider = RawProvider::answering_body("text/event-stream", stream.as_bytes());
    let site = self::site("media-completion-stream", &provider, "price = { input = \"1\", output = \"2\" }", BUDGET);
    let freehold = site.start();
    let streamed = freehold.post("/v1/completions", r#"{"model":"w","prompt":"Hello","stream":true}"#);
    assert_eq!(streamed.text(), format!("{}data: [DONE]\n\n", text.replace("vendor-model", "w")));
    let sent = String::from_utf8(provider.last_body()).unwrap();
    // OpenAI's own cap where the request names none, since a budget has to hold.
    for asked in [r#""stream_options":{"include_usage":true}"#, r#""max_tokens":16"#] {
        assert!(sent.contains(asked), "{sent}");
    }
    assert_eq!(booked(&freehold), lines);
}

#[test]
fn a_moderation_is_free_by_a_price_that_says_so_and_refused_without_one_under_a_budget() {
    let answer = r#"{"id":"modr-1","model":"vendor-model","results":[{"flagged":false}]}"#;
    let provider = RawProvider::answering_body("application/json", answer.as_bytes());
    let free = site("media-moderation", &provider, "price = { input = \"0\", output = \"0\" }", BUDGET);
    let freehold = free.start();
    // OpenAI's SDK may leave the model out; the key can use one workflow only.
    let moderated = freehold.post("/v1/moderations", r#"{"input":"is this fine?"}"#);
    assert_eq!(moderated.text(), answer.replace("vendor-model", "w"), "{}", moderated.status);
    assert_eq!(provider.last_body(), br#"{"model":"vendor-model","input":"is this fine?"}"#);
    assert_eq!(booked(&freehold), [["input", "4", "0.000000000", "estimated"]], "nothing, by its price");
    drop(freehold);

    let unpriced = site("media-moderation-unpriced", &provider, "", "");
    let key = unpriced.key(&["--label", "poor", "--direct", "--budget", "1 USD per month"]);
    let freehold = unpriced.start_with(key);
    let refused = freehold.post("/v1/moderations", r#"{"input":"is this fine?"}"#);
    assert_eq!((refused.status, refused.header("freehold-error")), (503, Some("model_unpriced")), "{}", refused.text());
}

#[test]
fn pictures_are_booked_by_the_tokens_told_or_by_the_picture() {
    let told = r#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":50,"output_tokens":4160,"total_tokens":4210,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#;
    let provider = RawProvider::answering_body("application/json", told.as_bytes());
    let price = "price = { input = \"5\", input_image = \"10\", output_image = \"40\" }";
    let by_token = site("media-images", &provider, price, "");
    let freehold = by_token.start();
    let made = freehold.post("/v1/images/generations", r#"{"model":"w","prompt":"a cat","size":"1024x1024"}"#);
    assert_eq!((made.status, made.text()), (200, told));
    assert_eq!(provider.last_body(), br#"{"model":"vendor-model","prompt":"a cat","size":"1024x1024"}"#);
    let lines = [
        ["input", "10", "0.000050000", "reported"],
        ["input_image", "40", "0.000400000", "reported"],
        ["output_image", "4160", "0.166400000", "reported"],
    ];
    assert_eq!(booked(&freehold), lines);
    drop(freehold);

    let silent = r#"{"created":1,"data":[{"url":"https://x/1"},{"url":"https://x/2"}]}"#;
    let provider = RawProvider::answering_body("application/json", silent.as_bytes());
    let by_picture = site("media-images-apiece", &provider, "price = { output_images = \"40000\" }", BUDGET);
    let freehold = by_picture.start();
    let edit = form(&[
        part("name=\"model\"", "w"),
        part("name=\"image[]\"; filename=\"a.png\"", "PNG"),
        part("name=\"prompt\"", "bluer"),
        part("name=\"n\"", "2"),
    ]);
    let made = post_form(&freehold, "/v1/images/edits", &edit);
    assert_eq!((made.status, made.text()), (200, silent));
    assert_eq!(booked(&freehold), [["output_images", "2", "0.080000000", "estimated"]]);
    let dear = freehold.post("/v1/images/generations", r#"{"model":"w","prompt":"a cat","n":30}"#);
    assert_eq!(
        (dear.status, dear.header("freehold-error")),
        (429, Some("budget_spent")),
        "the hold counts all of them"
    );
}

#[test]
fn speech_comes_as_the_bytes_it_is_and_is_booked_by_the_character() {
    let sound: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let provider = RawProvider::answering_body("audio/mpeg", &sound);
    let site = site("media-speech", &provider, "price = { input_characters = \"15\" }", BUDGET);
    let freehold = site.start();
    let spoken = freehold.post("/v1/audio/speech", r#"{"model":"w","input":"h\u00e9llo","voice":"alloy"}"#);
    assert_eq!((spoken.status, spoken.header("content-type")), (200, Some("audio/mpeg")));
    assert!(spoken.body == sound, "{} bytes", spoken.body.len());
    assert_eq!(provider.last_body(), br#"{"model":"vendor-model","input":"h\u00e9llo","voice":"alloy"}"#);
    assert_eq!(booked(&freehold), [["input_characters", "5", "0.000075000", "estimated"]]);
}

#[test]
fn of_a_form_only_the_model_changes_and_what_is_heard_is_booked_by_time() {
    let answer = r#"{"text":"hi","usage":{"type":"duration","seconds":9}}"#;
    let provider = RawProvider::answering_body("application/json", answer.as_bytes());
    let site = site("media-transcription", &provider, "price = { input_audio_ms = \"0.1\" }", BUDGET);
    let freehold = site.start();
    let sound = &"\u{1}\r\n\r\n--not the boundary\r\nname=\"model\"\r\n".repeat(300);
    let parts = |model: &str| form(&[part("name=\"file\"; filename=\"a.mp3\"", sound), part("name=\"model\"", model)]);
    let heard = post_form(&freehold, "/v1/audio/transcriptions", &parts("w"));
    assert_eq!((heard.status, heard.text()), (200, answer));
    assert_eq!(provider.last_body(), parts("vendor-model"));
    assert_eq!(booked(&freehold), [["input_audio_ms", "9000", "0.000900000", "reported"]]);

    let refused = |body: &[u8], says: &str| {
        let answer = post_form(&freehold, "/v1/audio/transcriptions", body);
        assert_eq!((answer.status, answer.text().contains(says)), (400, true), "{}", answer.text());
    };
    refused(&form(&[part("name=\"model\"", "w"), part("name=\"model\"", "w")]), "twice");
    refused(&parts("w")[..40], "no last boundary");
    refused(b"--other--", "does not stand in the body");
    refused(&form(&[part("name=\"model\"", "w")]), "`file` is missing");
    let json = freehold.post("/v1/audio/transcriptions", r#"{"model":"w"}"#);
    assert_eq!((json.status, json.header("freehold-error")), (415, Some("body_type")));
    assert_eq!(provider.received().len(), 1, "nothing of those was sent");
}

#[test]
fn a_transcript_as_text_passes_and_is_booked_by_the_length_of_its_audio() {
    let provider = RawProvider::answering_body("text/plain; charset=utf-8", b"hello\n");
    let site = site("media-transcript", &provider, "price = { input_audio_ms = \"0.1\" }", "");
    let freehold = site.start();
    // Three seconds of 16-bit samples at 16 kHz, less the head.
    let mut sound =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0".to_vec();
    sound.resize(32_000 * 3, 0);
    let open = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n");
    let rest = form(&[part("name=\"model\"", "w"), part("name=\"response_format\"", "text")]);
    let body = [open.as_bytes(), &sound, b"\r\n", &rest].concat();
    let heard = post_form(&freehold, "/v1/audio/translations", &body);
    assert_eq!((heard.status, heard.text()), (200, "hello\n"));
    assert_eq!(heard.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(booked(&freehold), [["input_audio_ms", "3000", "0.000300000", "estimated"]]);
}
