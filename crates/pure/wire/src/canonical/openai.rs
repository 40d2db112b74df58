//! What OpenAI's two dialects say in the same words.

use super::json::Object;
use super::{Effort, Losses, Placed, Reasoning, Request, ServiceTier, Target};

/// Words for service tiers; of two for one tier the first is written.
const TIERS: [(&str, ServiceTier); 6] = [
    ("auto", ServiceTier::Auto),
    ("default", ServiceTier::Standard),
    ("priority", ServiceTier::Priority),
    ("fast", ServiceTier::Priority),
    ("scale", ServiceTier::Priority),
    ("flex", ServiceTier::Flex),
];

/// What a name of a service tier means.
pub(crate) fn tier(word: &str, losses: &mut Losses) -> Option<Placed<ServiceTier>> {
    const AT: &str = "/service_tier";
    let known = TIERS.iter().find(|(known, _)| *known == word);
    if known.is_none() {
        losses.dropped(AT, "the tier is not known to the translation");
    }
    known.map(|(_, tier)| Placed { at: AT.into(), value: *tier })
}

/// Writes who the user is and the service tier asked for, where the server knows such fields.
pub(crate) fn write_user_and_tier(body: &mut Object<'_>, request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) {
    match &request.user {
        Some(user) if to.quirks.user => body.put("user", &user.value),
        Some(user) => losses.dropped(&user.at, server_does_not_know("user", to)),
        None => {}
    }
    let Some(tier) = &request.service_tier else { return };
    match (to.quirks.service_tier, tier.value) {
        (true, asked) => {
            body.put_some("service_tier", TIERS.iter().find(|(_, tier)| *tier == asked).map(|(word, _)| word))
        }
        // Where there is one tier, asking for the usual one loses nothing.
        (false, ServiceTier::Auto | ServiceTier::Standard) => {}
        (false, _) => losses.dropped(&tier.at, server_does_not_know("service_tier", to)),
    }
}

/// The effort that OpenAI's models are asked for, by the names of the field and of the level in it. `None`: it is left out.
pub(crate) fn effort(
    reasoning: &Placed<Reasoning>,
    (field, level): (&str, &str),
    to: &Target<'_>,
    losses: &mut Losses,
) -> Option<Effort> {
    let at = &reasoning.at;
    if !to.quirks.reasoning_effort {
        if reasoning.value != Reasoning::Off {
            losses.dropped(at, server_does_not_know(field, to));
        }
        return None;
    }
    match reasoning.value {
        Reasoning::Effort(effort @ (Effort::Minimal | Effort::Low | Effort::Medium | Effort::High)) => Some(effort),
        Reasoning::Effort(_) => {
            losses.approximated(at, format!("sent as `high`: few models know a higher {level}"));
            Some(Effort::High)
        }
        Reasoning::Budget(tokens) => {
            let article = if level.starts_with('e') { "an" } else { "a" };
            losses.approximated(at, format!("a budget of tokens is sent as {article} {level} near it"));
            Some(Effort::near(tokens))
        }
        Reasoning::Adaptive | Reasoning::Off => {
            // `none` and `adaptive` are words few servers know; a model that cannot think would refuse any.
            losses.approximated(at, "the model's own default applies");
            None
        }
    }
}

/// Why a field is left out that the dialect has and a server of it has not.
pub(crate) fn server_does_not_know(field: &str, to: &Target<'_>) -> String {
    format!("servers of the kind {} do not know `{field}`", to.quirks.name)
}
