//! One simulated provider: its script, what it has counted, and what it answers to a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::time::Instant;

use crate::answering::Answering;
use crate::ask::{self, Ask};
use crate::chance::{Chance, fingerprint};
use crate::clock::now;
use crate::content::{self, Content, Usage};
use crate::faults::{self, Left, Refusal};
use crate::frames::Frames;
use crate::media::Made;
use crate::pace::Pace;
use crate::scenario::{Dialect, Fault, Kind, Quota, Script};
use crate::{anthropic, bedrock, cohere, gemini, invoke, media, openai, responses};

/// A first token that is longer in coming does not come, milliseconds: a day.
const LONGEST_WAIT_MS: f64 = 86_400_000.0;

/// A provider; its script can be changed while it runs.
pub struct Provider {
    name: String,
    seed: u64,
    running: RwLock<Arc<Running>>,
}

/// A script, and what has happened since it began.
pub struct Running {
    pub script: Script,
    seed: u64,
    began: Instant,
    calls: AtomicU64,
    quota: Mutex<Counter>,
    minute: Mutex<Counter>,
}

/// What was used in the current window.
#[derive(Default)]
struct Counter {
    window: u64,
    requests: u64,
    tokens: u64,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Chat,
    Compact,
    Embeddings,
    CountTokens,
    Rerank,
    Models,
    Completions,
    Moderations,
    Pictures,
    PictureEdits,
    Speech,
    Transcripts,
    Translations,
    Invoke,
}

/// What is to be sent, and how.
pub struct Plan {
    pub status: u16,
    pub headers: HeaderMap,
    pub frames: Frames,
    /// Length of the body, as told beforehand where it is not a stream.
    pub length: usize,
    pub stream: bool,
    pub pace: Pace,
    /// How long status and headers are held back.
    pub hold: Option<Duration>,
    /// How the connection is treated badly.
    pub violence: Option<Violence>,
    pub fault: Option<Kind>,
    pub usage: Option<Usage>,
}

/// How a connection is treated badly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violence {
    /// Reset before anything is answered.
    BeforeHeaders,
    /// Reset after what there is to send.
    AfterFrames,
    /// Ended properly, but too early.
    EndedEarly,
}

impl Provider {
    /// A provider at the beginning of its script.
    pub fn new(name: &str, seed: u64, script: Script) -> Provider {
        let seed = Chance::new(&[seed, fingerprint(name.as_bytes())]).draw();
        Provider { name: name.to_owned(), seed, running: RwLock::new(Arc::new(Running::new(seed, script))) }
    }

    /// Begins another script; its calls count from 1 again.
    pub fn set(&self, script: Script) {
        *self.running.write() = Arc::new(Running::new(self.seed, script));
    }

    /// The script that runs.
    pub fn running(&self) -> Arc<Running> {
        self.running.read().clone()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A request counted in the window of a quota.
#[derive(Clone, Copy)]
struct InWindow {
    quota: Quota,
    /// Requests that are left after it.
    left: u64,
    /// Until the window ends, milliseconds.
    left_ms: u64,
    /// How it is refused, and what it is told to wait, where nothing was left for it.
    refusal: Option<(Kind, Option<u64>)>,
}

impl InWindow {
    /// The plan, with what is left in its headers where the quota tells.
    fn told(self, mut plan: Plan) -> Plan {
        if self.quota.tells {
            let reset = format!("{}.{:03}", self.left_ms / 1_000, self.left_ms % 1_000);
            faults::put(&mut plan.headers, "x-ratelimit-limit", &self.quota.requests.to_string());
            faults::put(&mut plan.headers, "x-ratelimit-remaining", &self.left.to_string());
            faults::put(&mut plan.headers, "x-ratelimit-reset", &reset);
        }
        plan
    }
}

impl Running {
    fn new(seed: u64, script: Script) -> Running {
        Running {
            script,
            seed,
            began: Instant::now(),
            calls: AtomicU64::new(0),
            quota: Mutex::default(),
            minute: Mutex::default(),
        }
    }

    /// What a request for a socket gets, where it gets none.
    pub fn refusal_of_socket(&self, headers: &HeaderMap, model: &str) -> Option<Plan> {
        let dialect = Dialect::OpenAiChat;
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let fault = self.fault(number, elapsed_ms, model, true).cloned();
        let kind = match fault {
            _ if !self.admits(headers) => Kind::Unauthorized,
            Some(fault) => fault.kind,
            None => return None,
        };
        let refusal = faults::refusal(dialect, kind, model)?;
        Some(self.refuse(dialect, &refusal, &format!("req_{number}"), Some(kind), None))
    }

    /// What a request gets.
    pub fn answer(
        &self,
        dialect: Dialect,
        operation: Operation,
        headers: &HeaderMap,
        body: Result<&Value, &str>,
    ) -> Plan {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let mut chance = Chance::new(&[self.seed, number]);
        let request_id = format!("req_{:016x}", chance.draw());
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if !self.admits(headers) {
            let refusal = faults::refusal(dialect, Kind::Unauthorized, "").expect("401 is a refusal");
            return self.refuse(dialect, &refusal, &request_id, None, None);
        }
        let body = match body {
            Ok(body) => body,
            Err(reason) => {
                return self.refuse(
                    dialect,
                    &faults::wrong(dialect, ("body", reason.to_owned())),
                    &request_id,
                    None,
                    None,
                );
            }
        };
        let model = body["model"].as_str().unwrap_or_default();
        let quota = self.script.quota.filter(|quota| quota.time_ms.is_none_or(|window| window.contains(elapsed_ms)));
        let counted = quota.map(|quota| self.count_in(quota, elapsed_ms));
        if let Some((kind, retry_after_ms)) = counted.and_then(|counted| counted.refusal) {
            let refusal = faults::refusal(dialect, kind, model).expect("quotas refuse with a status");
            let plan = self.refuse(dialect, &refusal, &request_id, Some(kind), retry_after_ms);
            return match counted {
                Some(counted) => counted.told(plan),
                None => plan,
            };
        }
        let fault = self.fault(number, elapsed_ms, model, body["stream"] == true).cloned();
        if let Some(fault) = &fault
            && let Some(mut refusal) = faults::refusal(dialect, fault.kind, model)
        {
            if fault.kind == Kind::ContextTooLong {
                let said = if dialect == Dialect::Gemini { &body["contents"] } else { &body["messages"] };
                let tokens = ask::text_chars(said, &mut |_| ()).div_ceil(4);
                refusal = faults::too_long(dialect, tokens, self.script.context_tokens.unwrap_or(tokens / 2));
            }
            return self.refuse(dialect, &refusal, &request_id, Some(fault.kind), fault.retry_after_ms);
        }
        if !self.script.models.is_empty() && !self.script.models.iter().any(|known| known == model) {
            let refusal = faults::refusal(dialect, Kind::ModelMissing, model).expect("404 is a refusal");
            return self.refuse(dialect, &refusal, &request_id, None, None);
        }
        let call = Answering {
            script: &self.script,
            seed: self.seed,
            id: format!("{:016x}{:08x}", chance.draw(), number as u32),
            created_unix_s: now().0 / 1000,
            fault: fault.as_ref().map(|fault| fault.kind),
        };
        let made = match operation {
            Operation::Embeddings => embeddings(dialect, &call, body)
                .map(|(body, usage)| Made::whole(body, usage))
                .map_err(|wrong| faults::wrong(dialect, wrong)),
            Operation::Rerank => cohere::rerank(&call, body, dialect != Dialect::Cohere)
                .map(|(body, usage)| Made::whole(body, usage))
                .map_err(|wrong| faults::wrong(dialect, wrong)),
            Operation::CountTokens => self.count(dialect, body).map(|(body, usage)| Made::whole(body, usage)),
            Operation::Compact => self.compact(dialect, &call, body),
            Operation::Chat | Operation::Models => self.chat(dialect, &call, body),
            Operation::Invoke => self.invoke(&call, body),
            beside => beside_chat(beside, &call, body).map_err(|wrong| faults::wrong(dialect, wrong)),
        };
        match made {
            Ok(made) => {
                let usage = made.usage;
                let mut plan = self.plan(dialect, made, &request_id, &mut chance);
                plan.usage = call.reported(usage);
                if operation == Operation::Invoke {
                    invoke::count(&mut plan.headers, plan.usage, body["stream"] == true);
                }
                if let Some(fault) = &fault {
                    play(fault, dialect, &request_id, &mut plan);
                }
                match counted {
                    Some(counted) => counted.told(plan),
                    None => plan,
                }
            }
            Err(refusal) => self.refuse(dialect, &refusal, &request_id, None, None),
        }
    }

    fn chat(&self, dialect: Dialect, call: &Answering<'_>, body: &Value) -> Result<Made, Refusal> {
        let ask = match dialect {
            Dialect::OpenAiChat => ask::openai(body),
            Dialect::OpenAiResponses => ask::responses(body),
            Dialect::Anthropic => ask::anthropic(body, false),
            Dialect::Gemini => gemini::ask(body, false),
            Dialect::BedrockConverse => bedrock::ask(body),
            Dialect::Cohere => ask::cohere(body),
        }
        .map_err(|wrong| faults::wrong(dialect, wrong))?;
        let prompt = content::prompt_usage(&self.script, ask.prompt_chars).prompt;
        if let Some(allowed) = self.script.context_tokens.filter(|allowed| prompt > *allowed) {
            return Err(faults::too_long(dialect, prompt, allowed));
        }
        self.check_signatures(dialect, &ask)?;
        let content = content::content(self.seed, &self.script, &ask);
        let frames = write(dialect, call, &ask, &content);
        Ok(Made { stream: ask.stream, ..Made::stream(frames, content.usage) })
    }

    fn compact(&self, dialect: Dialect, call: &Answering<'_>, body: &Value) -> Result<Made, Refusal> {
        let ask = ask::responses(body).map_err(|wrong| faults::wrong(dialect, wrong))?;
        let content = content::content(self.seed, &self.script, &ask);
        let body = responses::compacted(call, &body["input"], &content);
        Ok(Made::whole(body, content.usage))
    }

    /// What Anthropic's body gets is Anthropic's answer, in Amazon's clothes; other vendors' come from `invoke`.
    fn invoke(&self, call: &Answering<'_>, body: &Value) -> Result<Made, Refusal> {
        let stream = body["stream"] == true;
        let wrong = |wrong| faults::wrong(Dialect::BedrockConverse, wrong);
        let Some(version) = body["anthropic_version"].as_str() else {
            return invoke::other(call, body).map_err(wrong);
        };
        // The one of Amazon's user guide, and the one that Anthropic's SDK 2.11 sends.
        if !matches!(version, "bedrock-2023-05-31" | "2026-10-21") {
            return Err(wrong(("anthropic_version", format!("anthropic_version: {version} is not supported"))));
        }
        let made = self.chat(Dialect::Anthropic, call, body).map_err(|refusal| refusal.in_words_of_amazon())?;
        let frames = if stream { invoke::wrapped(&made.frames, call.reported(made.usage)) } else { made.frames };
        Ok(Made { frames, ..made })
    }

    /// A thought that comes back must carry the signature that it was given.
    fn check_signatures(&self, dialect: Dialect, ask: &Ask) -> Result<(), Refusal> {
        let forged = |(thought, signature): &(String, String)| content::signature(self.seed, thought) != *signature;
        match self.script.check_signatures && ask.thoughts.iter().any(forged) {
            true => {
                Err(faults::wrong(dialect, ("messages", "messages: Invalid `signature` in `thinking` block".into())))
            }
            false => Ok(()),
        }
    }

    fn count(&self, dialect: Dialect, body: &Value) -> Result<(Vec<u8>, Usage), Refusal> {
        let ask = match dialect {
            Dialect::Gemini => gemini::ask(body, true),
            Dialect::OpenAiResponses => ask::responses(body),
            _ => ask::anthropic(body, true),
        };
        let ask = ask.map_err(|wrong| faults::wrong(dialect, wrong))?;
        let usage = content::prompt_usage(&self.script, ask.prompt_chars);
        let told = match dialect {
            Dialect::Gemini => gemini::count(&usage),
            Dialect::OpenAiResponses => responses::count(&usage),
            _ => anthropic::count(&usage),
        };
        Ok((told, usage))
    }

    /// Whether a request shows a key that the script knows.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let given = [bearer, text("x-api-key"), text("api-key"), text("x-goog-api-key")];
        self.script.keys.is_empty()
            || given.into_iter().flatten().any(|given| self.script.keys.iter().any(|key| key == given))
    }

    /// Counts a request in the window of its quota.
    fn count_in(&self, quota: Quota, elapsed_ms: u64) -> InWindow {
        let mut counter = self.quota.lock();
        counter.turn(elapsed_ms / quota.window_ms);
        let is_over = counter.requests >= quota.requests;
        counter.requests += u64::from(!is_over);
        let left_ms = quota.window_ms - elapsed_ms % quota.window_ms;
        let wait_ms = (quota.refusal == Kind::RateLimited).then_some(left_ms);
        let refusal = is_over.then_some((quota.refusal, wait_ms));
        InWindow { quota, left: quota.requests - counter.requests, left_ms, refusal }
    }

    /// The first fault whose conditions hold. Each rolls its own dice, so that adding one does not move the others.
    fn fault(&self, number: u64, elapsed_ms: u64, model: &str, stream: bool) -> Option<&Fault> {
        self.script.faults.iter().enumerate().find_map(|(index, fault)| {
            let meets = fault.calls.is_none_or(|window| window.contains(number))
                && fault.time_ms.is_none_or(|window| window.contains(elapsed_ms))
                && fault.model.as_ref().is_none_or(|only| only == model)
                && fault.stream.is_none_or(|only| only == stream)
                && Chance::new(&[self.seed, number, index as u64 + 1]).unit() * 100.0 < fault.percent;
            meets.then_some(fault)
        })
    }

    fn plan(&self, dialect: Dialect, made: Made, request_id: &str, chance: &mut Chance) -> Plan {
        let Made { frames, usage, stream, content_type, evenly } = made;
        let first =
            Duration::from_secs_f64(chance.spread(self.script.first_token_ms).clamp(0.0, LONGEST_WAIT_MS) / 1_000.0);
        let rate = self.script.tokens_per_second.map(|spread| chance.spread(spread).max(0.001));
        let token = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        let rest = token * u32::try_from(usage.output.saturating_sub(1)).unwrap_or(u32::MAX);
        let of_each = u32::try_from(usage.output / frames.ends.len().max(1) as u64).unwrap_or(u32::MAX);
        let gap = token * if evenly { of_each } else { self.script.tokens_per_frame };
        let pace = Pace { first, gap, stall: None };
        let mut headers = self.headers(dialect, request_id, stream, usage.prompt + usage.output);
        if let Some(content_type) = content_type {
            faults::put(&mut headers, "content-type", content_type);
        }
        let whole = first + rest;
        Plan {
            status: 200,
            headers,
            length: frames.bytes.len(),
            frames,
            stream,
            pace: if stream { pace } else { Pace::default() },
            hold: (!stream && !whole.is_zero()).then_some(whole),
            violence: None,
            fault: None,
            usage: None,
        }
    }

    fn refuse(
        &self,
        dialect: Dialect,
        refusal: &Refusal,
        request_id: &str,
        fault: Option<Kind>,
        retry_after_ms: Option<u64>,
    ) -> Plan {
        let mut headers = self.headers(dialect, request_id, false, 0);
        if dialect == Dialect::BedrockConverse {
            let kind = format!("{}:http://internal.amazon.com/coral/com.amazon.bedrock/", refusal.kind);
            faults::put(&mut headers, "x-amzn-errortype", &kind);
        }
        if let Some(retry_after_ms) = retry_after_ms {
            faults::retry_after(&mut headers, dialect, retry_after_ms);
        }
        if fault == Some(Kind::RateLimited) {
            // A provider that limits by rate says so in all its headers.
            for name in ["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"] {
                if headers.contains_key(name) {
                    faults::put(&mut headers, name, "0");
                }
            }
        }
        let body = refusal.body_with_wait(dialect, request_id, retry_after_ms);
        Plan { fault, ..Plan::plain(refusal.status, headers, body) }
    }

    /// Headers as the dialect's own provider sends them.
    fn headers(&self, dialect: Dialect, request_id: &str, stream: bool, tokens: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let content_type = match (stream, dialect) {
            (true, Dialect::Gemini) => "text/event-stream",
            (true, Dialect::BedrockConverse) => "application/vnd.amazon.eventstream",
            (true, _) => "text/event-stream; charset=utf-8",
            (false, Dialect::Gemini) => "application/json; charset=UTF-8",
            (false, _) => "application/json",
        };
        faults::put(&mut headers, "content-type", content_type);
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiResponses => {
                faults::put(&mut headers, "x-request-id", request_id);
                faults::put(&mut headers, "openai-version", "2020-10-01");
                faults::put(&mut headers, "openai-processing-ms", "1");
            }
            Dialect::Anthropic => {
                faults::put(&mut headers, "request-id", request_id);
                faults::put(&mut headers, "anthropic-organization-id", "00000000-0000-4000-8000-000000000000");
            }
            Dialect::Gemini => faults::put(&mut headers, "server", "scaffolding on HTTPServer2"),
            Dialect::BedrockConverse => faults::put(&mut headers, "x-amzn-requestid", request_id),
            Dialect::Cohere => faults::put(&mut headers, "x-debug-trace-id", request_id),
        }
        if stream {
            faults::put(&mut headers, "cache-control", "no-cache");
        }
        if let Some(limits) = self.script.limits {
            let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut minute = self.minute.lock();
            minute.turn(elapsed_ms / 60_000);
            minute.requests += 1;
            minute.tokens += tokens;
            let reset_ms = 60_000 - elapsed_ms % 60_000;
            let left = Left {
                requests: limits.requests.saturating_sub(minute.requests),
                tokens: limits.tokens.saturating_sub(minute.tokens),
                reset_ms,
                reset_at: now() + reset_ms,
            };
            faults::limit_headers(&mut headers, dialect, limits, &left);
        }
        headers
    }
}

impl Plan {
    /// A body that is sent at once.
    pub fn plain(status: u16, headers: HeaderMap, body: Vec<u8>) -> Plan {
        let frames = Frames::whole(body);
        Plan {
            status,
            headers,
            length: frames.bytes.len(),
            frames,
            stream: false,
            pace: Pace::default(),
            hold: None,
            violence: None,
            fault: None,
            usage: None,
        }
    }
}

impl Counter {
    fn turn(&mut self, window: u64) {
        if self.window != window {
            *self = Counter { window, ..Counter::default() };
        }
    }
}

fn write(dialect: Dialect, call: &Answering<'_>, ask: &Ask, content: &Content) -> Frames {
    match dialect {
        Dialect::OpenAiChat => openai::answer(call, ask, content),
        Dialect::OpenAiResponses => responses::answer(call, ask, content),
        Dialect::Anthropic => anthropic::answer(call, ask, content),
        Dialect::Gemini => gemini::answer(call, ask, content),
        Dialect::BedrockConverse => bedrock::answer(call, ask, content),
        Dialect::Cohere => cohere::answer(call, ask, content),
    }
}

fn embeddings(dialect: Dialect, call: &Answering<'_>, body: &Value) -> Result<(Vec<u8>, Usage), ask::Wrong> {
    match dialect {
        Dialect::Gemini => gemini::embeddings(call, body),
        Dialect::Cohere => cohere::embeddings(call, body),
        _ => openai::embeddings(call, body),
    }
}

fn beside_chat(operation: Operation, call: &Answering<'_>, body: &Value) -> Result<Made, ask::Wrong> {
    match operation {
        Operation::Moderations => media::moderation(call, body),
        Operation::Pictures => media::pictures(call, body, false),
        Operation::PictureEdits => media::pictures(call, body, true),
        Operation::Speech => media::speech(call, body),
        Operation::Transcripts => media::transcript(call, body, false),
        Operation::Translations => media::transcript(call, body, true),
        _ => media::completion(call, body),
    }
}

/// Plays a fault on an answer that was good.
fn play(fault: &Fault, dialect: Dialect, request_id: &str, plan: &mut Plan) {
    plan.fault = Some(fault.kind);
    let delay = fault.delay_ms.map(Duration::from_millis);
    let broken = |kind: Kind| faults::refusal(dialect, kind, "").expect("these kinds have a status and a body");
    let half = plan.frames.bytes.len() / 2;
    match fault.kind {
        Kind::ResetBeforeHeaders => plan.violence = Some(Violence::BeforeHeaders),
        Kind::ResetAfterHeaders => {
            plan.frames = Frames { ends: Vec::new(), bytes: bytes::Bytes::new(), lead: 0, tail: 0 };
            plan.violence = Some(Violence::AfterFrames);
        }
        Kind::ResetMidway | Kind::Cut if plan.stream => {
            plan.frames.cut(fault.after_frames, b"");
            let reset = fault.kind == Kind::ResetMidway;
            plan.violence = Some(if reset { Violence::AfterFrames } else { Violence::EndedEarly });
        }
        Kind::ResetMidway => {
            plan.frames.ends = vec![half];
            plan.violence = Some(Violence::AfterFrames);
        }
        Kind::Cut => {
            plan.frames = Frames::whole(plan.frames.bytes[..half].to_vec());
            plan.violence = Some(Violence::EndedEarly);
        }
        Kind::Malformed if plan.stream => {
            let odd: &[u8] = match dialect {
                Dialect::BedrockConverse => b"no message of Amazon's",
                _ => b"data: {\"choices\": [{\"delta\": {\"content\": \"unfin\n\n",
            };
            plan.frames.insert(fault.after_frames, odd);
            plan.violence = Some(Violence::EndedEarly);
        }
        Kind::Malformed => {
            plan.frames = Frames::whole(b"{\"choices\": [{\"message\": unfinished".to_vec());
            plan.violence = Some(Violence::EndedEarly);
        }
        Kind::ErrorEvent if plan.stream => {
            plan.frames.cut(fault.after_frames, &broken(Kind::Overloaded).event(dialect, request_id));
            plan.violence = Some(Violence::EndedEarly);
        }
        Kind::ErrorInOk | Kind::ErrorEvent => {
            plan.frames = Frames::whole(broken(Kind::ServerError).body(dialect, request_id));
            faults::put(&mut plan.headers, "content-type", "application/json");
            plan.stream = false;
            plan.violence = Some(Violence::EndedEarly);
        }
        Kind::BadGateway => {
            plan.status = 502;
            plan.frames = Frames::whole(b"<html><head><title>502 Bad Gateway</title></head></html>\n".to_vec());
            faults::put(&mut plan.headers, "content-type", "text/html");
            plan.stream = false;
        }
        Kind::SlowFirstToken if plan.stream => plan.pace.first += delay.unwrap_or_default(),
        Kind::SlowHeaders | Kind::SlowFirstToken => {
            plan.hold = Some(plan.hold.unwrap_or_default() + delay.unwrap_or_default())
        }
        Kind::SlowFrames if plan.stream => plan.pace.gap += delay.unwrap_or_default(),
        Kind::SlowFrames => {
            let frames = u32::try_from(plan.frames.ends.len()).unwrap_or(u32::MAX);
            plan.hold = Some(plan.hold.unwrap_or_default() + delay.unwrap_or_default() * frames);
        }
        Kind::Stall if plan.stream => plan.pace.stall = Some((fault.after_frames, delay)),
        // For ever is a day for an answer that is not streamed.
        Kind::Stall => plan.hold = Some(delay.unwrap_or(Duration::from_secs(86_400))),
        _ => {}
    }
    if !matches!(plan.violence, Some(Violence::BeforeHeaders | Violence::AfterFrames)) {
        plan.length = plan.frames.bytes.len();
    }
    if plan.violence.is_some() || plan.status != 200 {
        // Whatever the frames said before they were broken off, the client has not been told a usage it can rely on.
        plan.usage = plan.usage.filter(|_| fault.kind == Kind::Malformed && plan.stream);
    }
}
