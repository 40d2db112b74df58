//! Counts against what OpenAI itself reported or published, and how far text that is not counted may be off.

use super::*;

/// A conversation with the usage that was billed for it.
struct Example {
    tokenizer: &'static str,
    /// The body of the request; empty where only the answer is known.
    body: &'static str,
    answer: &'static str,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Where it was published.
    origin: &'static str,
}

const WEATHER: &str = "On Tuesday, we can expect a chilly day with a high temperature reaching around 10°C, while the low will dip down to -2°C. The average temperature for the day stands at a cool 5°C. Additionally, anticipate a significant amount of precipitation, approximately 30mm, so it's advisable to keep an umbrella handy. Overall, a rather wet and brisk day is in store!";
const DIET: &str = "Breakfast:\n- 1 hard-boiled egg (70 calories)\n- 1 small apple (77 calories)\n- 1 cup black coffee (2 calories)\nTotal: 149 calories\n\nLunch:\n- Mixed green salad with 1 cup of lettuce, 1/2 cup cherry tomatoes, 1/4 cup cucumber, and 1 tablespoon of balsamic vinaigrette dressing (100 calories)\n- 1 small grilled chicken breast (142 calories)\nTotal: 242 calories\n\nDinner:\n- 3 oz grilled salmon fillet (155 calories)\n- 1/2 cup steamed broccoli (27 calories)\n- 1/2 cup quinoa (111 calories)\nTotal: 293 calories\n\nSnack";
const TOOLS: &str = r#"[{"type":"function","function":{"name":"get_current_weather","description":"Get the current weather in a given location","parameters":{"type":"object","properties":{"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},"unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["location"]}}}]"#;

const EXAMPLES: &[Example] = &[
    Example {
        tokenizer: "cl100k_base",
        body: r#"{"model":"gpt-4","messages":[{"role":"user","content":"Hi there"}],"stream":true}"#,
        answer: "Hello! How can I assist you today?",
        prompt_tokens: 9,
        completion_tokens: 9,
        origin: "gpt-4-0613, exchange recorded 2024-06-27, github.com/alexrudall/ai-engine-starter-kit",
    },
    Example {
        tokenizer: "cl100k_base",
        body: r#"{"model":"gpt-3.5-turbo","messages":[{"role":"user","content":"Hello!"}]}"#,
        answer: "\n\nHello there, how may I assist you today?",
        prompt_tokens: 9,
        completion_tokens: 12,
        origin: "OpenAI API reference of 2023, chat completion object",
    },
    Example {
        tokenizer: "cl100k_base",
        body: "",
        answer: DIET,
        prompt_tokens: 0,
        completion_tokens: 150,
        origin: "gpt-3.5-turbo, cut at 150 tokens; an answer kept in a public repository's test",
    },
    Example {
        tokenizer: "o200k_base",
        body: r#"{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"hello"}]},{"role":"assistant","content":[{"type":"text","text":"Hello! How can I assist you today?"}]}],"response_format":{"type":"text"}}"#,
        answer: "Hello! How can I assist you today?",
        prompt_tokens: 21,
        completion_tokens: 10,
        origin: "gpt-4o-2024-08-06, answered 2025-03-11, github.com/Bharathkumarraju/learn-ai-llm-ml-ops",
    },
    Example {
        tokenizer: "o200k_base",
        body: r#"{"model":"gpt-4.1","messages":[{"role":"developer","content":"You are a helpful assistant."},{"role":"user","content":"Hello!"}]}"#,
        answer: "Hello! How can I assist you today?",
        prompt_tokens: 19,
        completion_tokens: 10,
        origin: "OpenAI API reference of 2025, create chat completion",
    },
    Example {
        tokenizer: "o200k_base",
        body: "",
        answer: WEATHER,
        prompt_tokens: 0,
        completion_tokens: 79,
        origin: "gpt-4o-mini-2024-07-18, answered 2024-12-02, github.com/rileyeaton-ubc/SkySage",
    },
    Example {
        tokenizer: "cl100k_base",
        body: r#"{"model":"gpt-3.5-turbo","messages":[{"role":"user","content":[{"type":"text","text":"How much is 2 plus 2?"}]},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"calculator","arguments":"{\"a\":2, \"b\":2}"}}]},{"role":"tool","tool_call_id":"a","content":"4"}]}"#,
        answer: "",
        prompt_tokens: 40,
        completion_tokens: 0,
        origin: "gpt-3.5-turbo, community.openai.com/t/538914",
    },
    Example {
        tokenizer: "o200k_base",
        body: "tools",
        answer: "get_current_weather{\n\"location\": \"Boston, MA\"\n}",
        prompt_tokens: 82,
        completion_tokens: 17,
        origin: "OpenAI API reference, create chat completion, example of functions",
    },
];

fn texts(tokenizer: &str, body: &str, answer: &str) -> Texts {
    Texts {
        tokenizer: Tokenizer::named(tokenizer).unwrap(),
        chat: true,
        body: Bytes::from(body.to_owned()),
        dialect: wire::Dialect::OpenAiChat,
        prompt_bytes: body.len() as u64,
        beyond_text: false,
        answer: answer.to_owned(),
        answer_bytes: answer.len() as u64,
        answers: 1,
        may_call: body.contains("\"tools\""),
        reasons_unseen: false,
    }
}

fn with_tools() -> String {
    format!(
        r#"{{"model":"gpt-4.1","messages":[{{"role":"user","content":"What is the weather like in Boston today?"}}],"tools":{TOOLS},"tool_choice":"auto"}}"#
    )
}

/// Every vocabulary, loaded once for all tests of a process.
fn tokens_of(vocabulary: Vocabulary, text: &str) -> u64 {
    static LOADED: Mutex<Vocabularies> = Mutex::new(Vocabularies(Vec::new()));
    let mut loaded = LOADED.lock();
    let bpe = loaded.get(vocabulary);
    pieces(text).map(|piece| bpe.count_ordinary(piece) as u64).sum()
}

fn counted(texts: &Texts) -> Counted {
    count(texts, &|text| tokens_of(texts.tokenizer.vocabulary, text))
}

#[test]
fn what_openai_billed_lies_within_the_error_we_declare() {
    for example in EXAMPLES {
        let body = if example.body == "tools" { with_tools() } else { example.body.to_owned() };
        let counted = counted(&texts(example.tokenizer, &body, example.answer));
        let Counted { input, output } = counted;
        println!(
            "{}: prompt {} counted {input:?}, answer {} counted {output:?}; {} %",
            example.origin,
            example.prompt_tokens,
            example.completion_tokens,
            counted.error_percent()
        );
        if !body.is_empty() {
            assert!(input.tokens.abs_diff(example.prompt_tokens) <= input.error, "{}", example.origin);
        }
        assert!(output.tokens.abs_diff(example.completion_tokens) <= output.error, "{}", example.origin);
    }
}

#[test]
fn published_examples_have_the_tokens_published_with_them() {
    // OpenAI's cookbook, "How to count tokens with tiktoken", comparing encodings.
    for (text, cl100k, o200k) in [
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
        ("tiktoken is great!", 6, 6),
    ] {
        assert_eq!(tokens_of(Vocabulary::Cl100kBase, text), cl100k, "{text}");
        assert_eq!(tokens_of(Vocabulary::O200kBase, text), o200k, "{text}");
    }
}

#[test]
fn text_that_turns_into_another_kind_stays_within_the_error_of_the_rest() {
    let kinds = [
        ("prose", include_str!("../../../../../docs/operations.md").to_owned()),
        ("code", include_str!("../settle.rs").to_owned()),
        ("tables", include_str!("../../../../../catalog/prices.toml")[..64 << 10].to_owned()),
        (
            "Japanese",
            "この仕事は、お客様から届いた請求書を読み、金額と期日を確かめて、担当者に渡すものです。".repeat(60),
        ),
    ];
    let mut worst = 0;
    assert!(kinds.iter().all(|(_, text)| text.len() > 3_000));
    for (kept_kind, kept) in &kinds {
        for (rest_kind, rest) in &kinds {
            let of = |text: &str| tokens_of(Vocabulary::O200kBase, text);
            let estimate = alike(of(kept), kept.len() as u64, rest.len() as u64);
            let off = estimate.abs_diff(of(rest)) * 100 / estimate;
            println!("{rest_kind} taken for {kept_kind}: {off} % off");
            worst = worst.max(off);
        }
    }
    println!("worst: {worst} %");
    assert!(worst <= REST_ERROR_PERCENT, "{worst}");
}

#[test]
fn an_answer_longer_than_what_was_kept_is_extrapolated_and_says_so() {
    let whole = DIET.repeat(100);
    let mut cut = texts("cl100k_base", "", &whole[..KEPT_BYTES]);
    cut.answer_bytes = whole.len() as u64;
    let (cut, exact) = (counted(&cut).output, counted(&texts("cl100k_base", "", &whole)).output);
    assert!(cut.tokens.abs_diff(exact.tokens) <= cut.error, "{cut:?} {exact:?}");
    assert!(exact.error_percent() == 1 && cut.error_percent() > 10, "{cut:?} {exact:?}");
}

#[test]
fn a_long_prompt_is_counted_up_to_a_bound_and_taken_to_go_on_like_that() {
    let prompt = "The quick brown fox jumps over the lazy dog. ".repeat(20_000);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    let read = std::cell::Cell::new(0);
    let Counted { input, .. } = count(&texts("o200k_base", &body, ""), &|text| {
        read.set(read.get() + text.len());
        text.len() as u64 / 4
    });
    assert_eq!(read.get(), PROMPT_BYTES);
    assert!(input.tokens.abs_diff(prompt.len() as u64 / 4) < 100, "{input:?}");
    assert!(input.error_percent() > 50, "{input:?}");
}

#[test]
fn what_no_text_shows_is_declared_unbounded() {
    let plain = texts("o200k_base", EXAMPLES[4].body, "Hello!");
    let picture = Texts { beyond_text: true, ..texts("o200k_base", EXAMPLES[4].body, "Hello!") };
    let reasoning = Texts { reasons_unseen: true, ..texts("o200k_base", EXAMPLES[4].body, "Hello!") };
    assert!(counted(&plain).error_percent() < 20);
    assert!(counted(&picture).input.error_percent() >= 300);
    assert!(counted(&reasoning).output.error_percent() >= 300);
    let silent = Texts { reasons_unseen: true, ..texts("o200k_base", EXAMPLES[4].body, "") };
    assert_eq!(counted(&silent).error_percent(), 300, "it may have reasoned at length before it was left");
}

#[test]
fn nothing_received_is_nothing_billed_for_the_answer() {
    assert_eq!(counted(&texts("o200k_base", EXAMPLES[4].body, "")).output, Count::default());
}

#[test]
fn a_text_of_one_kind_of_character_is_counted_in_pieces() {
    for character in [" ", "a", "\n", "^", "中"] {
        let text = character.repeat(PROMPT_BYTES / character.len());
        assert!(pieces(&text).all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES));
        assert_eq!(pieces(&text).map(str::len).sum::<usize>(), text.len());
        assert!(tokens_of(Vocabulary::O200kBase, &text) > 0, "{character:?}");
    }
}

#[tokio::test]
async fn counts_are_made_by_a_thread_of_their_own() {
    let counter = TokenCounter::default();
    let ask = || texts("o200k_base", EXAMPLES[4].body, EXAMPLES[4].answer);
    let (one, other) = tokio::join!(counter.count(ask()), counter.count(ask()));
    assert_eq!((one, other), (Some(counted(&ask())), Some(counted(&ask()))));
}

#[tokio::test]
async fn a_thread_that_has_ended_is_started_again_and_one_that_is_busy_is_not_waited_for() {
    let ask = || texts("o200k_base", EXAMPLES[4].body, EXAMPLES[4].answer);
    let counter = TokenCounter::default();
    let (ended, _) = sync_channel(1);
    *counter.jobs.lock() = Some(ended);
    assert_eq!(counter.count(ask()).await, Some(counted(&ask())));

    let (busy, _waiting) = sync_channel(0);
    *counter.jobs.lock() = Some(busy);
    assert_eq!(counter.count(ask()).await, None);
}
