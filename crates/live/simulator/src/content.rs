//! What an answer says: made up from the seed and the question, so that the same question gets the same answer, streamed
//! or whole.

use serde_json::Value;

use crate::ask::{Ask, ToolChoice};
use crate::chance::{Chance, fingerprint};
use crate::scenario::{Length, Script, Tools};
use crate::schema;

/// Longest answer ever made up, tokens: a cap for scripts that answer as long as they are allowed.
const LONGEST_TOKENS: u64 = 200_000;

/// Everything an answer has to say.
#[derive(Debug)]
pub struct Content {
    /// One for each asked choice.
    pub choices: Vec<Choice>,
    /// What it counts.
    pub usage: Usage,
}

/// One choice.
#[derive(Debug)]
pub struct Choice {
    /// Thought before answering; empty where none was asked for.
    pub thinking: Pieces,
    /// Said; empty where tools are called.
    pub text: Pieces,
    /// Tools called.
    pub calls: Vec<Call>,
    /// Why it ended.
    pub finish: Finish,
}

/// A tool that is called.
#[derive(Debug)]
pub struct Call {
    /// Which.
    pub name: String,
    /// Distinguishes it from others, 16 hex digits.
    pub id: u64,
    /// A JSON object.
    pub arguments: Pieces,
}

/// A text in the pieces it is streamed in.
#[derive(Debug, Default)]
pub struct Pieces {
    /// All of it.
    pub text: String,
    /// Where each piece ends, bytes.
    ends: Vec<usize>,
}

/// Why an answer ended.
#[derive(PartialEq, Eq, Debug)]
pub enum Finish {
    /// It was done.
    Stop,
    /// At a stop sequence.
    At(String),
    /// At the cap.
    Length,
    /// To call tools.
    Tools,
}

/// What an answer counts, as the script has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// All tokens sent.
    pub prompt: u64,
    /// Of these, served by the cache.
    pub cached: u64,
    /// Of these, written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Of these, written for an hour.
    pub cache_write_1h: u64,
    /// All tokens received, thinking included.
    pub output: u64,
    /// Of these, thinking.
    pub reasoning: u64,
}

/// Makes the answer up.
pub fn content(seed: u64, script: &Script, ask: &Ask) -> Content {
    let mut usage = prompt_usage(script, ask.prompt_chars);
    let mut choices = Vec::with_capacity(ask.choices as usize);
    for index in 0..ask.choices {
        let mut chance = Chance::new(&[seed, ask.fingerprint, u64::from(index)]);
        let (choice, output, reasoning) = choice(script, ask, &mut chance);
        usage.output += output;
        usage.reasoning += reasoning;
        choices.push(choice);
    }
    Content { choices, usage }
}

/// What a prompt counts.
pub fn prompt_usage(script: &Script, prompt_chars: u64) -> Usage {
    let counts = &script.usage;
    let prompt = counts.prompt_tokens.unwrap_or(prompt_chars.div_ceil(4).max(1));
    let cached = counts.cached_tokens.min(prompt);
    let cache_write_5m = counts.cache_write_tokens.min(prompt - cached);
    let cache_write_1h = counts.cache_write_1h_tokens.min(prompt - cached - cache_write_5m);
    Usage { prompt, cached, cache_write_5m, cache_write_1h, output: 0, reasoning: 0 }
}

fn choice(script: &Script, ask: &Ask, chance: &mut Chance) -> (Choice, u64, u64) {
    let cap = ask.max_output.unwrap_or(u64::MAX).min(LONGEST_TOKENS);
    // Something is always left to say after thinking.
    let reasoning = if ask.thinking { script.reasoning_tokens.min(cap / 2) } else { 0 };
    let thinking = prose(reasoning, chance);
    let left = cap - reasoning;

    let called = called(script, ask);
    if !called.is_empty() {
        let call = |tool: &crate::ask::Tool| {
            let arguments = schema::instance(&tool.schema);
            let arguments = if arguments.is_object() { arguments } else { Value::Object(Default::default()) };
            Call { name: tool.name.clone(), id: chance.draw(), arguments: Pieces::of_four(arguments.to_string()) }
        };
        let calls: Vec<Call> = called.into_iter().map(call).collect();
        let output: u64 = calls.iter().map(|call| 4 + call.arguments.count()).sum();
        let choice = Choice { thinking, text: Pieces::default(), calls, finish: Finish::Tools };
        return (choice, reasoning + output, reasoning);
    }
    let (mut text, mut finish) = match &ask.schema {
        Some(schema) => (Pieces::of_four(schema::instance(schema).to_string()), Finish::Stop),
        None => {
            let length = match script.output_tokens {
                Length::Fixed(tokens) => tokens,
                Length::Range(range) => chance.spread(crate::scenario::Spread::Range(range)).round() as u64,
                Length::Word(_) => left.min(ask.max_output.map_or(256, |_| u64::MAX)),
            };
            let finish = if length > left { Finish::Length } else { Finish::Stop };
            (prose(length.clamp(1, left.max(1)), chance), finish)
        }
    };
    if text.count() > left.max(1) {
        text.truncate_pieces(left.max(1));
        finish = Finish::Length;
    }
    if let Some((at, stop)) = ask.stop.iter().filter_map(|stop| Some((text.text.find(stop.as_str())?, stop))).min() {
        text.truncate_bytes(at);
        finish = Finish::At(stop.clone());
    }
    let output = reasoning + text.count().max(1);
    (Choice { thinking, text, calls: Vec::new(), finish }, output, reasoning)
}

fn called<'a>(script: &Script, ask: &'a Ask) -> Vec<&'a crate::ask::Tool> {
    let free = match script.tools {
        Tools::Always => ask.users_turn,
        Tools::Marked => ask.users_turn && ask.marked,
        Tools::Forced => false,
    };
    let wanted = |tool: &&crate::ask::Tool| match &ask.tool_choice {
        ToolChoice::None => false,
        ToolChoice::Any => true,
        ToolChoice::This(name) => tool.name == *name,
        ToolChoice::Auto => free,
    };
    ask.tools.iter().filter(wanted).take(if ask.parallel_tools { usize::MAX } else { 1 }).collect()
}

/// The signature of a thought. Whoever brings the thought back must bring it along unchanged.
pub fn signature(seed: u64, thought: &str) -> String {
    use base64::Engine;
    let mut chance = Chance::new(&[seed, fingerprint(thought.as_bytes())]);
    let bytes: Vec<u8> = (0..12).flat_map(|_| chance.draw().to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Prose of so many tokens; each piece is one.
fn prose(tokens: u64, chance: &mut Chance) -> Pieces {
    let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
    let mut pieces = Pieces { text: String::with_capacity(tokens * 6), ends: Vec::with_capacity(tokens) };
    let mut in_sentence = 0;
    for _ in 0..tokens {
        if in_sentence > 5 && chance.below(4) == 0 {
            pieces.text.push('.');
            in_sentence = 0;
        } else {
            if !pieces.text.is_empty() {
                pieces.text.push(' ');
            }
            pieces.text.push_str(WORDS[chance.below(WORDS.len())]);
            in_sentence += 1;
        }
        pieces.ends.push(pieces.text.len());
    }
    pieces
}

/// Words of an insurer's day, some not ASCII; none needs an escape in JSON.
const WORDS: [&str; 64] = [
    "the",
    "claim",
    "was",
    "filed",
    "after",
    "water",
    "damage",
    "in",
    "a",
    "kitchen",
    "and",
    "policy",
    "covers",
    "burst",
    "pipes",
    "but",
    "not",
    "slow",
    "leaks",
    "so",
    "we",
    "ask",
    "for",
    "photos",
    "of",
    "floor",
    "Zürich",
    "café",
    "naïve",
    "Größe",
    "日本",
    "🙂",
    "an",
    "adjuster",
    "visits",
    "on",
    "Monday",
    "with",
    "form",
    "number",
    "seven",
    "storm",
    "roof",
    "tiles",
    "were",
    "found",
    "beside",
    "garage",
    "insured",
    "sum",
    "is",
    "higher",
    "than",
    "repair",
    "cost",
    "therefore",
    "payment",
    "follows",
    "within",
    "ten",
    "days",
    "by",
    "bank",
    "transfer",
];

impl Pieces {
    /// A text in pieces of four characters, each of them counted as a token.
    fn of_four(text: String) -> Pieces {
        let starts = text.char_indices().map(|(at, _)| at).step_by(4).skip(1);
        let mut ends: Vec<usize> = starts.collect();
        if !text.is_empty() {
            ends.push(text.len());
        }
        Pieces { text, ends }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The pieces, `together` in each.
    pub fn groups(&self, together: u32) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.chunks(together.max(1) as usize).map(move |group| {
            let end = *group.last().expect("chunks are never empty");
            let piece = &self.text[start..end];
            start = end;
            piece
        })
    }

    fn truncate_pieces(&mut self, count: u64) {
        self.ends.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }

    fn truncate_bytes(&mut self, length: usize) {
        self.text.truncate(length);
        self.ends.retain(|end| *end < length);
        if length > 0 {
            self.ends.push(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(extra: Value) -> Ask {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Is water covered?"}]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        crate::ask::openai(&body).unwrap()
    }

    fn answer(extra: Value) -> Content {
        content(7, &Script::default(), &ask(extra))
    }

    #[test]
    fn the_same_question_is_answered_alike_streamed_or_not() {
        let (whole, streamed) = (answer(json!({})), answer(json!({"stream": true})));
        assert_eq!(whole.choices[0].text.text, streamed.choices[0].text.text);
        assert_eq!(whole.usage, streamed.usage);
        assert_eq!(whole.usage, Usage { prompt: 5, output: 24, ..Usage::default() });
        assert_eq!(whole.choices[0].text.groups(1).count(), 24);
        assert_eq!(whole.choices[0].text.groups(5).collect::<String>(), whole.choices[0].text.text);
    }

    #[test]
    fn caps_and_stop_sequences_end_an_answer() {
        let capped = answer(json!({"max_tokens": 4}));
        assert_eq!((capped.usage.output, &capped.choices[0].finish), (4, &Finish::Length));
        let whole = answer(json!({}));
        let word = whole.choices[0].text.text.split(' ').nth(3).unwrap().to_owned();
        let stopped = answer(json!({"stop": ["never said", word]}));
        assert_eq!(stopped.choices[0].finish, Finish::At(word.clone()));
        assert!(!stopped.choices[0].text.text.contains(&word));
    }

    #[test]
    fn tools_are_called_in_order_when_it_is_the_users_turn() {
        let tools = json!([
            {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Ulm"]}}, "required": ["city"]}}},
            {"type": "function", "function": {"name": "get_time"}}
        ]);
        let called = answer(json!({"tools": tools}));
        let names: Vec<&str> = called.choices[0].calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["get_weather", "get_time"]);
        assert_eq!(called.choices[0].calls[0].arguments.text, r#"{"city":"Ulm"}"#);
        assert_eq!(called.choices[0].calls[1].arguments.text, "{}");
        assert_eq!(answer(json!({"tools": tools, "parallel_tool_calls": false})).choices[0].calls.len(), 1);
        assert!(answer(json!({"tools": tools, "tool_choice": "none"})).choices[0].calls.is_empty());
        let marked = Script { tools: Tools::Marked, ..Script::default() };
        assert!(content(7, &marked, &ask(json!({"tools": tools}))).choices[0].calls.is_empty());
        assert_eq!(
            content(7, &marked, &ask(json!({"tools": tools, "tool_choice": "required"}))).choices[0].calls.len(),
            2
        );
    }

    #[test]
    fn parts_of_a_prompt_never_exceed_it() {
        let counts = crate::scenario::UsageScript {
            prompt_tokens: Some(10),
            cached_tokens: 8,
            cache_write_tokens: 8,
            cache_write_1h_tokens: 8,
            service_tier: None,
            price: None,
        };
        let usage = prompt_usage(&Script { usage: counts, ..Script::default() }, 4_000);
        assert_eq!((usage.prompt, usage.cached, usage.cache_write_5m, usage.cache_write_1h), (10, 8, 2, 0));
    }
}
