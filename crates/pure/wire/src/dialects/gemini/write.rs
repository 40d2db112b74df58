//! Writes a request.

use domain::Fault;

use super::generations::Generation;
use super::turns::Conversation;
use crate::canonical::json::{Object, object, short};
use crate::canonical::{
    Effort, Format, Losses, Placed, PlacedRaw, Reasoning, Request, ServiceTier, Target, ToolChoice, untranslatable,
};

/// Thinking budgets by level, tokens, as Google's own OpenAI compatibility maps them (Gemini API, OpenAI compatibility page);
/// what lies above `high` there is no scale for.
const BUDGETS: [(Effort, u64); 6] = [
    (Effort::Minimal, 1_024),
    (Effort::Low, 1_024),
    (Effort::Medium, 8_192),
    (Effort::High, 24_576),
    (Effort::ExtraHigh, 24_576),
    (Effort::Max, 24_576),
];

/// Thinking budgets up to which a level is called low and medium, tokens. Ours: the dialects publish no scale.
const LOW_LEVEL_TOKENS: u64 = 4_096;
const MEDIUM_LEVEL_TOKENS: u64 = 16_384;

/// The least budget of a model that cannot go without thinking, tokens (Gemini API, thinking page: Gemini 2.5 Pro).
const LEAST_PRO_BUDGET_TOKENS: u64 = 128;

pub(super) fn request(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    refuse_what_cannot_be_said(request)?;
    let generation = Generation::of(to.model);
    let conversation = Conversation::of(request, generation, losses)?;
    let mut out = Vec::new();
    object(&mut out, |body| {
        conversation.write(body, losses);
        tools(body, request, losses);
        let mut config = Vec::new();
        object(&mut config, |config| {
            let cap = request.max_output.as_ref().map(|cap| cap.value).or(to.insert_max_output);
            config.put_some("maxOutputTokens", cap);
            sampling(config, request, losses);
            if let Some(format) = &request.format {
                write_format(config, format, losses);
            }
            if let Some(reasoning) = &request.reasoning {
                thinking(config, reasoning, generation, losses);
            }
        });
        if config != b"{}" {
            body.raw("generationConfig", |out| out.append(&mut config));
        }
        match request.service_tier.as_ref().map(|tier| tier.value) {
            Some(ServiceTier::Priority) => body.put("serviceTier", "priority"),
            Some(ServiceTier::Flex) => body.put("serviceTier", "flex"),
            Some(ServiceTier::Standard) => body.put("serviceTier", "standard"),
            Some(ServiceTier::Auto) | None => {}
        }
    });
    if let Some(user) = &request.user {
        losses.dropped(&user.at, "who the user is has no place here");
    }
    Ok(out)
}

/// What would change the question if it were left out.
fn refuse_what_cannot_be_said(request: &Request<'_>) -> Result<(), Fault> {
    if let Some(n) = request.n.as_ref().filter(|n| n.value > 1) {
        return Err(untranslatable(format!(
            "several answers of a gemini provider are not translated; `n` is {}",
            n.value
        )));
    }
    let Some(tool) = request.tools.iter().find(|tool| tool.built_in.is_some()) else { return Ok(()) };
    let named = matches!(&request.tool_choice, Some(choice) if choice.value == ToolChoice::Named(tool.name.clone()));
    if named || request.tools.iter().all(|tool| tool.built_in.is_some()) {
        let kind = short(tool.built_in.as_deref().unwrap_or_default());
        return Err(untranslatable(format!(
            "the tool `{kind}` ({}) exists only at its provider; offer a function instead",
            tool.at
        )));
    }
    Ok(())
}

fn tools(body: &mut Object<'_>, request: &Request<'_>, losses: &mut Losses) {
    let functions = request.functions(losses);
    if functions.is_empty() {
        return;
    }
    body.list("tools", |list| {
        list.object(|tool| {
            tool.list("functionDeclarations", |list| {
                for function in functions {
                    list.object(|item| {
                        item.put("name", &function.name);
                        item.put_some("description", function.description.as_ref());
                        item.put_some("parametersJsonSchema", function.schema.as_deref());
                    });
                    losses.cache(function.cache.as_ref(), "Google caches by itself, without marks");
                    if function.strict == Some(true) {
                        losses.approximated(&function.at, "arguments are not held to the schema; check them");
                    }
                }
            });
        });
    });
    if let Some(choice) = &request.tool_choice {
        body.object("toolConfig", |config| {
            config.object("functionCallingConfig", |calling| match &choice.value {
                ToolChoice::Auto => calling.put("mode", "AUTO"),
                ToolChoice::Any => calling.put("mode", "ANY"),
                ToolChoice::None => calling.put("mode", "NONE"),
                ToolChoice::Named(name) => {
                    calling.put("mode", "ANY");
                    calling.put("allowedFunctionNames", &[name]);
                }
            });
        });
    }
    if let Some(single) = request.parallel_tool_calls.as_ref().filter(|parallel| !parallel.value) {
        losses.dropped(&single.at, "gemini cannot be held to one call at a time");
    }
}

fn sampling(config: &mut Object<'_>, request: &Request<'_>, losses: &mut Losses) {
    let mut number = |name: &str, value: &Option<PlacedRaw<'_>>| {
        config.put_some(name, value.as_ref().map(|number| number.value));
    };
    number("temperature", &request.temperature);
    number("topP", &request.top_p);
    number("topK", &request.top_k);
    number("presencePenalty", &request.presence_penalty);
    number("frequencyPenalty", &request.frequency_penalty);
    number("seed", &request.seed);
    for (name, value) in
        [("logit_bias", &request.logit_bias), ("logprobs", &request.logprobs), ("top_logprobs", &request.top_logprobs)]
    {
        if let Some(value) = value {
            losses.dropped(&value.at, format!("`{name}` of a gemini provider is not translated"));
        }
    }
    config.put_some("stopSequences", request.stop.as_ref().map(|stop| &stop.value));
}

fn write_format(config: &mut Object<'_>, format: &Placed<Format<'_>>, losses: &mut Losses) {
    config.put("responseMimeType", "application/json");
    let Format::JsonSchema { name, description, schema, strict } = &format.value else { return };
    for label in [name, description].into_iter().flatten() {
        losses.dropped(&label.at, "a schema has no label here; say it in the prompt");
    }
    if let Some(loose) = strict.as_ref().filter(|strict| !strict.value) {
        losses.approximated(&loose.at, "a schema is always enforced");
    }
    config.put("responseJsonSchema", &**schema);
}

fn thinking(config: &mut Object<'_>, reasoning: &Placed<Reasoning>, generation: Generation, losses: &mut Losses) {
    let (at, off) = (&reasoning.at, reasoning.value == Reasoning::Off);
    let mut budget = None;
    let mut level = None;
    match (generation, reasoning.value) {
        (Generation::Unthinking, Reasoning::Off) => return,
        (Generation::Unthinking, _) => return losses.dropped(at, "this model does not think before it answers"),
        (Generation::Budget { always: true }, Reasoning::Off) => {
            losses.approximated(at, "this model always thinks; it was sent the least budget");
            budget = Some(LEAST_PRO_BUDGET_TOKENS as i64);
        }
        (Generation::Budget { .. }, Reasoning::Off) => budget = Some(0),
        (Generation::Budget { .. }, Reasoning::Adaptive) => budget = Some(-1),
        (Generation::Budget { .. }, Reasoning::Budget(tokens)) => budget = Some(i64::try_from(tokens).unwrap_or(-1)),
        (Generation::Budget { .. }, Reasoning::Effort(effort)) => {
            let (_, tokens) = BUDGETS.iter().find(|(known, _)| *known == effort).unwrap_or(&BUDGETS[2]);
            losses.approximated(at, format!("sent as a thinking budget of {tokens} tokens"));
            budget = Some(*tokens as i64);
        }
        (Generation::Level, Reasoning::Off) => {
            losses.approximated(at, "this model always thinks; it was sent the least level");
            level = Some(Effort::Minimal);
        }
        (Generation::Level, Reasoning::Adaptive) => {}
        (Generation::Level, Reasoning::Effort(effort)) => {
            if effort > Effort::High {
                losses.approximated(at, "sent as `high`: few models know a higher level");
            }
            level = Some(effort.min(Effort::High));
        }
        (Generation::Level, Reasoning::Budget(tokens)) => {
            losses.approximated(at, "a budget of tokens is sent as a level near it");
            level = Some(match tokens {
                few if few <= LOW_LEVEL_TOKENS => Effort::Low,
                some if some <= MEDIUM_LEVEL_TOKENS => Effort::Medium,
                _ => Effort::High,
            });
        }
    }
    config.object("thinkingConfig", |thinking| {
        // Thoughts are shown where they were asked for; the other dialects show theirs.
        if !off {
            thinking.put("includeThoughts", &true);
        }
        thinking.put_some("thinkingBudget", budget);
        thinking.put_some("thinkingLevel", level.map(Effort::as_str));
    });
}
