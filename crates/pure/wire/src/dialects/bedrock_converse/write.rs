//! Writes a Converse request.

use domain::Fault;

use super::turns::{self, Conversation};
use crate::canonical::json::{Object, object, short};
use crate::canonical::{
    Content, Effort, Format, Losses, Placed, Reasoning, Request, ServiceTier, Target, ToolChoice, untranslatable,
};

/// The least a thinking budget of Claude may be, tokens (Anthropic's extended thinking page).
const LEAST_BUDGET_TOKENS: u64 = 1_024;

pub(super) fn request(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Fault> {
    if let Some(n) = request.n.as_ref().filter(|n| n.value > 1) {
        return Err(untranslatable(format!("bedrock-converse answers with one choice; `n` is {}", n.value)));
    }
    refuse_tools_of_others(request)?;
    turns::refuse_what_cannot_be_said(request)?;
    let conversation = Conversation::of(request, to, losses)?;
    let cap = request.max_output.as_ref().map(|cap| cap.value).or(to.insert_max_output);
    let thinking = request.reasoning.as_ref().and_then(|reasoning| thinking(reasoning, cap, to, losses));
    let thinks = thinking.is_some();
    let mut out = Vec::new();
    object(&mut out, |body| {
        conversation.write(body, losses);
        inference(body, request, cap, thinks, losses);
        tools(body, request, to, losses);
        if let Some(Placed { value: Format::JsonObject, at }) = &request.format {
            losses.dropped(at, "bedrock-converse has no mode for JSON without a schema; the prompt must ask for it");
        }
        if let Some(Placed { value: Format::JsonSchema { name, description, schema, strict }, .. }) = &request.format {
            if let Some(loose) = strict.as_ref().filter(|strict| !strict.value) {
                losses.approximated(&loose.at, "a schema is always enforced");
            }
            body.object("outputConfig", |config| {
                config.object("textFormat", |format| {
                    format.put("type", "json_schema");
                    format.object("structure", |structure| {
                        structure.object("jsonSchema", |written| {
                            written.put("schema", schema.get());
                            written.put_some("name", name.as_ref().map(|name| &name.value));
                            written.put_some("description", description.as_ref().map(|text| &text.value));
                        });
                    });
                });
            });
        }
        if thinks || request.top_k.is_some() {
            body.object("additionalModelRequestFields", |more| {
                more.put_some("top_k", request.top_k.as_ref().map(|top_k| top_k.value));
                if let Some(fill) = &thinking {
                    fill.write(more);
                }
            });
        }
        if let Some(tier) = &request.service_tier {
            let word = match tier.value {
                ServiceTier::Auto | ServiceTier::Standard => None,
                ServiceTier::Priority => Some("priority"),
                ServiceTier::Flex => Some("flex"),
            };
            if let Some(word) = word {
                body.object("serviceTier", |tier| tier.put("type", word));
            }
        }
    });
    for (name, number) in [
        ("frequency_penalty", &request.frequency_penalty),
        ("presence_penalty", &request.presence_penalty),
        ("logit_bias", &request.logit_bias),
        ("seed", &request.seed),
        ("logprobs", &request.logprobs),
        ("top_logprobs", &request.top_logprobs),
    ] {
        if let Some(number) = number {
            losses.dropped(&number.at, format!("bedrock-converse has no `{name}`"));
        }
    }
    if let Some(user) = &request.user {
        losses.dropped(&user.at, "bedrock-converse is not told who the user is");
    }
    Ok(out)
}

fn refuse_tools_of_others(request: &Request<'_>) -> Result<(), Fault> {
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

fn inference(body: &mut Object<'_>, request: &Request<'_>, cap: Option<u64>, thinks: bool, losses: &mut Losses) {
    let mut numbers =
        [("temperature", &request.temperature), ("topP", &request.top_p)].map(|(name, number)| (name, number.as_ref()));
    for (name, number) in &mut numbers {
        let usual = number.is_some_and(|number| number.value.get().parse::<f64>() == Ok(1.0));
        if thinks
            && !usual
            && let Some(number) = *number
        {
            losses.dropped(&number.at, format!("a model that thinks takes no `{name}`"));
        }
        if thinks || usual {
            *number = None;
        }
    }
    let stop = request.stop.as_ref();
    if cap.is_none() && stop.is_none() && numbers.iter().all(|(_, number)| number.is_none()) {
        return;
    }
    body.object("inferenceConfig", |config| {
        config.put_some("maxTokens", cap);
        for (name, number) in numbers {
            let Some(number) = number else { continue };
            if number.value.get().parse::<f64>().is_ok_and(|value| value > 1.0) {
                losses.approximated(&number.at, "sent as 1, the highest there is");
                config.put(name, &1);
            } else {
                config.put(name, number.value);
            }
        }
        config.put_some("stopSequences", stop.map(|stop| &stop.value));
    });
}

fn tools(body: &mut Object<'_>, request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) {
    let functions = request.functions(losses);
    let choice = request.tool_choice.as_ref();
    if functions.is_empty() {
        return;
    }
    if let Some(none) = choice.filter(|choice| choice.value == ToolChoice::None) {
        // The dialect cannot forbid calls; it can offer none, but not where calls were made before.
        let of_tools = |content: &Content<'_>| matches!(content, Content::ToolUse { .. } | Content::ToolResult { .. });
        let called = request.messages.iter().flat_map(|message| &message.parts).any(|part| of_tools(&part.content));
        if !called {
            losses.approximated(&none.at, "calls cannot be forbidden here, so no tools are offered");
            return;
        }
        losses.approximated(&none.at, "calls cannot be forbidden here; the model may still call a tool");
    }
    if let Some(parallel) = request.parallel_tool_calls.as_ref().filter(|parallel| !parallel.value) {
        losses.dropped(&parallel.at, "the model may call several tools at once");
    }
    body.object("toolConfig", |config| {
        config.list("tools", |list| {
            for tool in &functions {
                list.object(|item| {
                    item.object("toolSpec", |spec| {
                        spec.put("name", &tool.name);
                        let description = tool.description.as_ref().filter(|text| !text.is_empty());
                        spec.put_some("description", description);
                        spec.object("inputSchema", |schema| match tool.schema.as_deref() {
                            Some(json) => schema.put("json", json),
                            None => schema.object("json", |schema| {
                                schema.put("type", "object");
                                schema.object("properties", |_| {});
                            }),
                        });
                        spec.put_some("strict", tool.strict.filter(|strict| *strict));
                    });
                });
                match &tool.cache {
                    Some(mark) if turns::takes_cache_points(to.model) => turns::cache_point(list, mark.value.get()),
                    mark => losses.cache(mark.as_ref(), turns::NO_MARKS),
                }
            }
        });
        match choice.map(|choice| &choice.value) {
            Some(ToolChoice::Any) => config.object("toolChoice", |choice| choice.object("any", |_| {})),
            Some(ToolChoice::Named(name)) => {
                config.object("toolChoice", |choice| choice.object("tool", |tool| tool.put("name", name)));
            }
            Some(ToolChoice::Auto | ToolChoice::None) | None => {}
        }
    });
}

/// How a family of models is asked to think.
enum Thinking {
    /// Claude: so many tokens.
    Budget(u64),
    /// gpt-oss: a level.
    Effort(&'static str),
    /// Nova: a level, in an object of its own.
    Nova(&'static str),
}

impl Thinking {
    fn write(&self, more: &mut Object<'_>) {
        match self {
            Thinking::Budget(tokens) => more.object("thinking", |thinking| {
                thinking.put("type", "enabled");
                thinking.put("budget_tokens", tokens);
            }),
            Thinking::Effort(level) => more.put("reasoning_effort", level),
            Thinking::Nova(level) => more.object("reasoningConfig", |config| {
                config.put("type", "enabled");
                config.put("maxReasoningEffort", level);
            }),
        }
    }
}

fn thinking(reasoning: &Placed<Reasoning>, cap: Option<u64>, to: &Target<'_>, losses: &mut Losses) -> Option<Thinking> {
    if reasoning.value == Reasoning::Off {
        return None;
    }
    let at = &reasoning.at;
    let level = match reasoning.value {
        Reasoning::Effort(Effort::Minimal | Effort::Low) | Reasoning::Budget(..=4_096) => "low",
        Reasoning::Effort(Effort::Medium) | Reasoning::Budget(..=16_384) | Reasoning::Adaptive | Reasoning::Off => {
            "medium"
        }
        Reasoning::Effort(_) | Reasoning::Budget(_) => "high",
    };
    if to.model.contains("anthropic.claude") {
        let cap = cap.unwrap_or(to.default_max_output);
        if cap <= LEAST_BUDGET_TOKENS {
            losses.dropped(at, format!("thinking takes at least {LEAST_BUDGET_TOKENS} tokens; the cap is {cap}"));
            return None;
        }
        let wanted = match (reasoning.value, level) {
            (Reasoning::Budget(tokens), _) => tokens,
            (_, "low") => 2_048,
            (_, "medium") => 8_192,
            _ => 16_384,
        };
        // Half of the cap is kept for the answer, where half is enough to think with.
        let tokens = wanted.clamp(LEAST_BUDGET_TOKENS, (cap / 2).max(LEAST_BUDGET_TOKENS));
        losses.approximated(at, format!("sent as a thinking budget of {tokens} tokens"));
        return Some(Thinking::Budget(tokens));
    }
    if to.model.contains("gpt-oss") || to.model.contains("nova-2") {
        losses.approximated(at, format!("sent as the level `{level}`"));
        let nova = to.model.contains("nova-2");
        return Some(if nova { Thinking::Nova(level) } else { Thinking::Effort(level) });
    }
    losses.dropped(at, "it is not known how this model is asked to think");
    None
}
