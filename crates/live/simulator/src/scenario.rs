//! What a script can say: providers, how fast they are, what they count, and what goes wrong when.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// Simulated providers, as written in a TOML file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// From this come all texts, latencies and chances; the same seed gives the same.
    #[serde(default)]
    pub seed: u64,
    /// What the transcript keeps.
    #[serde(default)]
    pub transcript: Keep,
    /// By name; each is reached at `/<name>/v1/…`, and the first one (or the one called `default`) at `/v1/…` too.
    pub providers: BTreeMap<String, Script>,
}

/// What the transcript keeps.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Whether request bodies are kept, or only their length.
    #[serde(default)]
    pub bodies: bool,
    /// How many exchanges are kept; older ones are dropped and counted.
    #[serde(default = "hundred_thousand")]
    pub limit: usize,
}

/// How one provider behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Which dialect it speaks; every one where absent.
    pub dialect: Option<Dialect>,
    /// The keys it takes; any where empty.
    pub keys: Vec<String>,
    /// The models it has; any where empty.
    pub models: Vec<String>,
    /// Prompts longer than this are refused, tokens.
    pub context_tokens: Option<u64>,
    /// From the request to the first token, milliseconds.
    pub first_token_ms: Spread,
    /// Tokens a second after the first; as fast as can be where absent.
    pub tokens_per_second: Option<Spread>,
    /// How long answers are, tokens; never longer than the request's own cap.
    pub output_tokens: Length,
    /// Tokens in one frame of a stream.
    pub tokens_per_frame: u32,
    /// Tokens spent thinking, where the request asks for it.
    pub reasoning_tokens: u64,
    /// When given tools are called.
    pub tools: Tools,
    /// What usage says.
    pub usage: UsageScript,
    /// Whether a thinking block that comes back must carry the signature it was given.
    pub check_signatures: bool,
    /// Length of embeddings where the request does not say.
    pub embedding_dimensions: usize,
    /// What the rate limit headers tell; absent means no such headers.
    pub limits: Option<Limits>,
    /// A number of requests in a fixed window; the rest are refused.
    pub quota: Option<Quota>,
    /// What goes wrong. The first fault whose conditions hold happens.
    pub faults: Vec<Fault>,
}

/// The grammar a provider speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// OpenAI's chat completions, embeddings and models.
    #[serde(rename = "openai-chat")]
    OpenAiChat,
    /// OpenAI's responses.
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    /// Anthropic's messages, token counting and models.
    Anthropic,
    /// Google's generateContent, token counting, embeddings and models.
    Gemini,
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// Cohere's chat, embed and rerank, version 2.
    Cohere,
}

/// A number, or how a number is drawn for each call.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number, { from = …, to = … } or { median = …, sigma = … }")]
pub enum Spread {
    /// Always this.
    Fixed(f64),
    /// Evenly between both.
    Range(Range),
    /// Log-normal: half of all are below the median, and `sigma` is the standard deviation of the logarithm.
    LogNormal(LogNormal),
}

/// Both ends of a range.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Least.
    pub from: f64,
    /// Most.
    pub to: f64,
}

/// A log-normal distribution.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNormal {
    /// Half of all are below.
    pub median: f64,
    /// Standard deviation of the natural logarithm; 0.3 is mild, 1 is wild.
    pub sigma: f64,
}

/// How long an answer is.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of tokens, { from = …, to = … } or \"max\"")]
pub enum Length {
    /// Always this many tokens.
    Fixed(u64),
    /// Evenly between both.
    Range(Range),
    /// As long as the request allows.
    Word(AsAllowed),
}

/// The word for "as long as the request allows".
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsAllowed {
    /// `"max"`
    Max,
}

/// When given tools are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tools {
    /// All of them, whenever the last message is the user's (the first only where parallel calls are off).
    #[default]
    Always,
    /// The same, but only where the prompt says `call tool`; or where the request forces it.
    Marked,
    /// Never, unless the request forces it.
    Forced,
}

/// What usage says. Absent numbers are counted: a prompt token is four characters begun.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsageScript {
    /// All tokens sent, cached or not.
    pub prompt_tokens: Option<u64>,
    /// Of these, served by the prompt cache; never more than there are.
    pub cached_tokens: u64,
    /// Of these, written to the cache for five minutes.
    pub cache_write_tokens: u64,
    /// Of these, written to the cache for an hour (Anthropic only).
    pub cache_write_1h_tokens: u64,
    /// What `service_tier` says; each dialect's standard where absent.
    pub service_tier: Option<String>,
    /// What a token costs; told as `usage.cost` by openai-chat, as OpenRouter does, and by nobody where absent.
    pub price: Option<TokenPrice>,
}

/// What a token costs, nano-dollars: 3000 is 3 USD per million.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPrice {
    /// One that was sent, cached or not.
    pub input_nano_usd: u64,
    /// One that was received.
    pub output_nano_usd: u64,
}

/// What rate limit headers tell. Remaining values count down inside each minute.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a minute.
    pub requests: u64,
    /// Tokens a minute.
    pub tokens: u64,
}

/// A number of requests in a fixed window.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests served in each window.
    pub requests: u64,
    /// Length of the window, milliseconds, counted from when the script began.
    pub window_ms: u64,
    /// Only within this time since the script began, milliseconds.
    pub time_ms: Option<Window>,
    /// How the rest are refused: `rate_limited` with the time to the window's end, or `quota_exhausted`.
    #[serde(default = "rate_limited")]
    pub refusal: Kind,
    /// Whether every answer tells in its headers what is left, as `x-ratelimit-limit`, `-remaining` and `-reset`, in seconds.
    #[serde(default)]
    pub tells: bool,
}

/// Something that goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// To what share of the calls that meet the other conditions, percent.
    #[serde(default = "all")]
    pub percent: f64,
    /// Only to calls of these numbers; the first call of a script is 1.
    pub calls: Option<Window>,
    /// Only within this time since the script began, milliseconds.
    pub time_ms: Option<Window>,
    /// Only to calls for this model.
    pub model: Option<String>,
    /// Only to streamed calls, or only to others.
    pub stream: Option<bool>,
    /// What Retry-After tells, milliseconds; no such header where absent.
    pub retry_after_ms: Option<u64>,
    /// After how many frames with content the stream breaks.
    #[serde(default)]
    pub after_frames: usize,
    /// How long the delay is, milliseconds; a stall without it lasts for ever.
    pub delay_ms: Option<u64>,
}

/// From a number to a number, both included; open-ended where `to` is absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first.
    #[serde(default)]
    pub from: u64,
    /// The last.
    pub to: Option<u64>,
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 429 for the rate.
    RateLimited,
    /// Spent quota: 429 `insufficient_quota` (OpenAI), 400 about the credit balance (Anthropic).
    QuotaExhausted,
    /// 402: the bill is not paid.
    PaymentRequired,
    /// 401, whatever the key.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404 for the model.
    ModelMissing,
    /// 400: the prompt is too long.
    ContextTooLong,
    /// 400: refused for its content.
    ContentPolicy,
    /// 400 for no good reason.
    BadRequest,
    /// 500.
    ServerError,
    /// 502 with a page of a proxy instead of JSON.
    BadGateway,
    /// 503.
    Unavailable,
    /// 529 (Anthropic's overloaded; OpenAI answers 503).
    Overloaded,
    /// The connection is reset before anything is answered.
    ResetBeforeHeaders,
    /// The connection is reset after status and headers.
    ResetAfterHeaders,
    /// The connection is reset after some frames; a whole answer after half of its bytes.
    ResetMidway,
    /// The stream ends properly, but without its closing event; a whole answer is half a JSON text.
    Cut,
    /// A frame that is not JSON; a whole answer that is not.
    Malformed,
    /// The first token comes late, by `delay_ms`.
    SlowFirstToken,
    /// Status and headers come late, by `delay_ms`.
    SlowHeaders,
    /// Every frame comes `delay_ms` later after the one before; a whole answer by so much for each of its frames.
    SlowFrames,
    /// Nothing comes after some frames, for `delay_ms` or for ever.
    Stall,
    /// An error event in the stream after some frames; then it ends.
    ErrorEvent,
    /// Status 200 with an error as its body.
    ErrorInOk,
    /// No usage is reported.
    UsageMissing,
    /// Usage is reported, but as zero everywhere.
    UsageZero,
    /// Usage is reported ten times too high.
    UsageWrong,
}

/// Why a text is no scenario.
#[derive(Debug, Error)]
pub enum BadScenario {
    /// Not TOML, or not of this shape; the message names line and column.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// Well-formed, but without meaning.
    #[error("providers.{provider}: {reason}")]
    Meaning {
        /// Which provider.
        provider: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// There is no provider.
    #[error("there is no provider; write at least `[providers.NAME]`")]
    Empty,
}

impl Scenario {
    /// Reads a TOML text.
    pub fn parse(text: &str) -> Result<Scenario, BadScenario> {
        let scenario: Scenario = toml::from_str(text)?;
        if scenario.providers.is_empty() {
            return Err(BadScenario::Empty);
        }
        for (name, script) in &scenario.providers {
            let bad = |reason: String| BadScenario::Meaning { provider: name.clone(), reason };
            if name.is_empty()
                || name.starts_with('_')
                || ["v1", "v2", "model"].contains(&name.as_str())
                || name.contains('/')
            {
                return Err(bad(
                    "a name must not be empty, `v1`, `v2`, `model`, begin with `_` or contain `/`: it is a part of the path"
                        .into(),
                ));
            }
            script.check().map_err(bad)?;
        }
        Ok(scenario)
    }

    /// One provider called `default` without any faults, as fast as can be.
    pub fn plain() -> Scenario {
        Scenario { providers: BTreeMap::from([("default".to_owned(), Script::default())]), ..Scenario::default() }
    }
}

impl Script {
    /// Reads the table of one provider.
    pub fn parse(text: &str) -> Result<Script, BadScenario> {
        let script: Script = toml::from_str(text)?;
        script.check().map_err(|reason| BadScenario::Meaning { provider: "(script)".into(), reason })?;
        Ok(script)
    }

    fn check(&self) -> Result<(), String> {
        let spreads = [("first_token_ms", Some(self.first_token_ms)), ("tokens_per_second", self.tokens_per_second)];
        for (key, spread) in spreads {
            if let Some(reason) = spread.and_then(Spread::wrong) {
                return Err(format!("{key}: {reason}"));
            }
        }
        if let Length::Range(range) = self.output_tokens
            && let Some(reason) = Spread::Range(range).wrong()
        {
            return Err(format!("output_tokens: {reason}"));
        }
        if self.tokens_per_frame == 0 {
            return Err("tokens_per_frame: a frame without a token would never end; write 1 or more".into());
        }
        if self.embedding_dimensions == 0 || self.embedding_dimensions > 8_192 {
            return Err("embedding_dimensions: must lie within 1 and 8192".into());
        }
        if let Some(quota) = self.quota
            && (quota.window_ms == 0 || !matches!(quota.refusal, Kind::RateLimited | Kind::QuotaExhausted))
        {
            return Err("quota: window_ms must be above 0, and refusal `rate_limited` or `quota_exhausted`".into());
        }
        for (index, fault) in self.faults.iter().enumerate() {
            let needs_delay = matches!(fault.kind, Kind::SlowFirstToken | Kind::SlowHeaders | Kind::SlowFrames);
            if !(0.0..=100.0).contains(&fault.percent) {
                return Err(format!("faults[{index}].percent: {} lies outside 0 and 100", fault.percent));
            }
            if needs_delay && fault.delay_ms.is_none() {
                return Err(format!("faults[{index}]: how slow? write delay_ms"));
            }
            for window in [fault.calls, fault.time_ms].into_iter().flatten() {
                if window.to.is_some_and(|to| to < window.from) {
                    return Err(format!("faults[{index}]: a window ends before it begins"));
                }
            }
        }
        Ok(())
    }
}

impl Spread {
    /// What is wrong with it.
    fn wrong(self) -> Option<String> {
        let (least, most) = match self {
            Spread::Fixed(value) => (value, value),
            Spread::Range(range) => (range.from, range.to),
            Spread::LogNormal(LogNormal { median, sigma }) if median > 0.0 && (0.0..=5.0).contains(&sigma) => {
                return None;
            }
            Spread::LogNormal(_) => return Some("median must be above 0, and sigma within 0 and 5".into()),
        };
        let fine = least >= 0.0 && most >= least && most.is_finite();
        (!fine).then(|| "must not be negative, nor end before it begins".into())
    }
}

impl Window {
    /// Whether a number lies in it.
    pub fn contains(self, number: u64) -> bool {
        number >= self.from && self.to.is_none_or(|to| number <= to)
    }
}

impl Default for Script {
    fn default() -> Self {
        Script {
            dialect: None,
            keys: Vec::new(),
            models: Vec::new(),
            context_tokens: None,
            first_token_ms: Spread::Fixed(0.0),
            tokens_per_second: None,
            output_tokens: Length::Fixed(24),
            tokens_per_frame: 1,
            reasoning_tokens: 12,
            tools: Tools::Always,
            usage: UsageScript::default(),
            check_signatures: true,
            embedding_dimensions: 64,
            limits: None,
            quota: None,
            faults: Vec::new(),
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Keep { bodies: false, limit: hundred_thousand() }
    }
}

fn hundred_thousand() -> usize {
    100_000
}

fn rate_limited() -> Kind {
    Kind::RateLimited
}

fn all() -> f64 {
    100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        Scenario::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_scenario_reads_as_it_is_written() {
        let text = r#"
            seed = 7
            [transcript]
            bodies = true
            [providers.quick]
            dialect = "openai-chat"
            first_token_ms = { median = 200, sigma = 0.3 }
            tokens_per_second = { from = 50, to = 80.5 }
            output_tokens = "max"
            limits = { requests = 500, tokens = 30_000 }
            quota = { requests = 3, window_ms = 1000 }
            [[providers.quick.faults]]
            kind = "overloaded"
            percent = 2.5
            calls = { from = 10, to = 19 }
            retry_after_ms = 1500
            [providers.other]
        "#;
        let scenario = Scenario::parse(text).unwrap();
        let quick = &scenario.providers["quick"];
        assert_eq!(quick.first_token_ms, Spread::LogNormal(LogNormal { median: 200.0, sigma: 0.3 }));
        assert_eq!(quick.output_tokens, Length::Word(AsAllowed::Max));
        assert_eq!(quick.faults[0].kind, Kind::Overloaded);
        assert!(quick.faults[0].calls.unwrap().contains(19) && !quick.faults[0].calls.unwrap().contains(20));
        assert_eq!(scenario.providers["other"].output_tokens, Length::Fixed(24));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert!(complaint("[providers.a]\nspeed = 3\n").contains("line 2"));
        assert!(complaint("[providers.a]\nspeed = 3\n").contains("unknown field `speed`"));
        assert!(complaint("[providers.a]\nfirst_token_ms = \"fast\"\n").contains("expected a number"));
        assert!(complaint("[providers]\n").contains("there is no provider"));
        assert!(complaint("[providers._a]\n").contains("begin with `_`"));
        assert!(
            complaint("[providers.a]\nfirst_token_ms = { from = 5, to = 1 }\n").contains("providers.a: first_token_ms")
        );
        assert!(complaint("[providers.a]\nfaults = [{ kind = \"slow_headers\" }]\n").contains("delay_ms"));
        assert!(complaint("[providers.a]\nfaults = [{ kind = \"slow\" }]\n").contains("unknown variant `slow`"));
    }
}
