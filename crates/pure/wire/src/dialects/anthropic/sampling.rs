//! Writes how a model is to think and sample: what one generation of models requires, another refuses.

use super::generations::{Abilities, Sampling, ThinkingForm};
use crate::canonical::json::Object;
use crate::canonical::{Content, Effort, Losses, PlacedRaw, Reasoning, Request, Role, ToolChoice};

/// The least a thinking budget may be, tokens (Anthropic's extended thinking page).
const LEAST_BUDGET_TOKENS: u64 = 1_024;

/// How the model will be asked to think.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Thinking {
    /// Not at all.
    Unasked,
    /// Up to so many tokens.
    Budget(u64),
    /// As it sees fit.
    Adaptive,
}

/// What is to be written of the request's reasoning: the thinking, and the effort beside it.
pub(super) fn thinking(
    request: &Request<'_>,
    abilities: Abilities,
    cap: u64,
    losses: &mut Losses,
) -> (Thinking, Option<&'static str>) {
    let nothing = (Thinking::Unasked, None);
    let Some(reasoning) = request.reasoning.as_ref().filter(|reasoning| reasoning.value != Reasoning::Off) else {
        return nothing;
    };
    let at = &reasoning.at;
    let forced = matches!(&request.tool_choice, Some(choice) if matches!(choice.value, ToolChoice::Any | ToolChoice::Named(_)))
        && !request.tools.is_empty();
    match abilities.thinking {
        ThinkingForm::None => {
            losses.dropped(at, "this model does not think before it answers");
            nothing
        }
        _ if forced => {
            losses.dropped(at, "a call that must be made leaves no room for thinking");
            nothing
        }
        ThinkingForm::Adaptive => {
            losses.approximated(at, "sent as adaptive thinking with an effort");
            (Thinking::Adaptive, effort(reasoning.value))
        }
        ThinkingForm::Budget if in_the_midst_of_tools(request) => {
            losses.dropped(at, "thinking cannot begin between a tool call and its result");
            nothing
        }
        ThinkingForm::Budget if cap <= LEAST_BUDGET_TOKENS => {
            losses.dropped(at, format!("thinking takes at least {LEAST_BUDGET_TOKENS} tokens; the cap is {cap}"));
            nothing
        }
        ThinkingForm::Budget => {
            let wanted = budget(reasoning.value);
            // Half of the cap is kept for the answer, where half is enough to think with.
            let tokens = wanted.clamp(LEAST_BUDGET_TOKENS, (cap / 2).max(LEAST_BUDGET_TOKENS));
            losses.approximated(at, format!("sent as a thinking budget of {tokens} tokens"));
            (Thinking::Budget(tokens), None)
        }
    }
}

/// Thinking budgets by level, tokens. Ours: the dialects publish no scale.
fn budget(reasoning: Reasoning) -> u64 {
    match reasoning {
        Reasoning::Budget(tokens) => tokens,
        Reasoning::Off | Reasoning::Effort(Effort::Minimal) => LEAST_BUDGET_TOKENS,
        Reasoning::Effort(Effort::Low) => 2_048,
        Reasoning::Adaptive | Reasoning::Effort(Effort::Medium) => 8_192,
        Reasoning::Effort(Effort::High) => 16_384,
        Reasoning::Effort(Effort::ExtraHigh | Effort::Max) => 32_768,
    }
}

/// The word for a level. The levels above `high` exist for some models only, the one below `low` for none.
fn effort(reasoning: Reasoning) -> Option<&'static str> {
    let level = match reasoning {
        Reasoning::Effort(level) => level,
        Reasoning::Budget(..=4_096) => Effort::Low,
        Reasoning::Budget(..=16_384) => Effort::Medium,
        Reasoning::Budget(_) => Effort::High,
        Reasoning::Off | Reasoning::Adaptive => return None,
    };
    Some(level.clamp(Effort::Low, Effort::High).as_str())
}

/// Whether the conversation ends with results of calls that were made without thinking. A turn that begins without it must
/// end so (Anthropic's extended thinking page, "toggling thinking modes").
fn in_the_midst_of_tools(request: &Request<'_>) -> bool {
    let is_result = |content: &Content<'_>| matches!(content, Content::ToolResult { .. });
    let last_user = request.messages.iter().rev().take_while(|message| message.role != Role::Assistant);
    last_user.into_iter().any(|message| message.parts.iter().any(|part| is_result(&part.content)))
}

/// Writes the sampling parameters that the model takes.
pub(super) fn write(
    body: &mut Object<'_>,
    request: &Request<'_>,
    abilities: Abilities,
    thinks: bool,
    losses: &mut Losses,
) {
    let usual = |number: &PlacedRaw<'_>| number.value.get().parse::<f64>() == Ok(1.0);
    let mut temperature = request.temperature.as_ref().filter(|number| !usual(number));
    let mut top_p = request.top_p.as_ref().filter(|number| !usual(number));
    let mut top_k = request.top_k.as_ref();
    let mut none_of = |why: &str, numbers: [&mut Option<&PlacedRaw<'_>>; 3]| {
        for number in numbers.into_iter().filter_map(Option::take) {
            losses.dropped(&number.at, why);
        }
    };
    if abilities.sampling == Sampling::None {
        none_of("this model takes no sampling parameters", [&mut temperature, &mut top_p, &mut top_k]);
    } else if thinks {
        none_of("a model that thinks takes no sampling parameters", [&mut temperature, &mut top_p, &mut top_k]);
    } else if abilities.sampling == Sampling::Either && temperature.is_some() {
        none_of("this model takes `temperature` or `top_p`, not both", [&mut None, &mut top_p, &mut None]);
    }
    if let Some(number) = temperature {
        if number.value.get().parse::<f64>().is_ok_and(|value| value > 1.0) {
            losses.approximated(&number.at, "sent as 1, the highest temperature there is");
            body.put("temperature", &1);
        } else {
            body.put("temperature", number.value);
        }
    }
    body.put_some("top_p", top_p.map(|number| number.value));
    body.put_some("top_k", top_k.map(|number| number.value));
    for (name, number) in [
        ("frequency_penalty", &request.frequency_penalty),
        ("presence_penalty", &request.presence_penalty),
        ("logit_bias", &request.logit_bias),
        ("seed", &request.seed),
        ("logprobs", &request.logprobs),
        ("top_logprobs", &request.top_logprobs),
    ] {
        if let Some(number) = number {
            losses.dropped(&number.at, format!("anthropic has no `{name}`"));
        }
    }
}
