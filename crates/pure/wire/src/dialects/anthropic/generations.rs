//! What generations of Claude models take, told from their names: the dialect changed with them, and refuses what it left
//! behind.

/// What a model behind the dialect takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Abilities {
    /// How it is asked to think.
    pub thinking: ThinkingForm,
    /// Which sampling parameters it takes.
    pub sampling: Sampling,
    /// Whether schemas are enforced, on answers and on tools.
    pub schemas: bool,
    /// Whether a conversation may end with the beginning of the answer.
    pub started_answers: bool,
}

/// How a model is asked to think.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ThinkingForm {
    /// It cannot.
    None,
    /// `thinking.budget_tokens`.
    Budget,
    /// `thinking.type: adaptive`, and `output_config.effort`.
    Adaptive,
}

/// Which sampling parameters a model takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sampling {
    /// All.
    Free,
    /// `temperature` or `top_p`, not both.
    Either,
    /// None.
    None,
}

impl Abilities {
    /// What the model of this id takes. A server that is not Claude speaks the dialect as it was when servers learned it.
    ///
    /// From third parties' accounts of Anthropic's pages on adaptive thinking, effort and structured outputs, and of its
    /// migration guides to Claude 4.5, 4.6 and 4.7, read in November 2026; none of it was tried against the API. A name
    /// without a number is taken for the newest.
    pub(super) fn of(model: &str) -> Abilities {
        let Some((_, rest)) = model.rsplit_once("claude-") else {
            return Abilities {
                thinking: ThinkingForm::Budget,
                sampling: Sampling::Free,
                schemas: true,
                started_answers: true,
            };
        };
        // A name without a number is newer than the numbers.
        let version = version(rest).unwrap_or((u32::MAX, 0));
        Abilities {
            thinking: match version {
                old if old < (3, 7) => ThinkingForm::None,
                old if old < (4, 6) => ThinkingForm::Budget,
                _ => ThinkingForm::Adaptive,
            },
            sampling: match version {
                old if old < (4, 1) => Sampling::Free,
                old if old < (4, 7) => Sampling::Either,
                _ => Sampling::None,
            },
            schemas: version >= (4, 5),
            started_answers: version < (4, 6),
        }
    }
}

/// The version in `sonnet-4-5-20250929`, `3-7-sonnet-latest`, `opus-4@20250514`, `2.1`. A date is no version.
fn version(name: &str) -> Option<(u32, u32)> {
    let mut numbers = name
        .split(['-', '.', '@', ':'])
        .skip_while(|word| word.parse::<u32>().is_err())
        .map_while(|word| if word.len() <= 2 { word.parse::<u32>().ok() } else { None });
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_every_way_of_naming() {
        for (name, expected) in [
            ("sonnet-4-5-20250929", Some((4, 5))),
            ("3-7-sonnet-latest", Some((3, 7))),
            ("opus-4@20250514", Some((4, 0))),
            ("sonnet-4-20250514-v1:0", Some((4, 0))),
            ("2.1", Some((2, 1))),
            ("fable-5", Some((5, 0))),
            ("instant", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    #[test]
    fn each_generation_takes_what_its_guide_says() {
        let of = |model| {
            let abilities = Abilities::of(model);
            (abilities.thinking, abilities.sampling, abilities.schemas, abilities.started_answers)
        };
        assert_eq!(of("claude-3-5-haiku-latest"), (ThinkingForm::None, Sampling::Free, false, true));
        assert_eq!(of("eu.anthropic.claude-sonnet-4-5"), (ThinkingForm::Budget, Sampling::Either, true, true));
        assert_eq!(of("claude-opus-4-6"), (ThinkingForm::Adaptive, Sampling::Either, true, false));
        assert_eq!(of("claude-opus-4-7"), (ThinkingForm::Adaptive, Sampling::None, true, false));
        assert_eq!(of("claude-mythos-preview"), (ThinkingForm::Adaptive, Sampling::None, true, false));
        assert_eq!(of("smollm2-135m"), (ThinkingForm::Budget, Sampling::Free, true, true));
    }
}
