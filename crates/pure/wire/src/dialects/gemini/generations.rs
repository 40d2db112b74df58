//! What generations of Gemini models take, told from their names: how they are asked to think changed with them.

/// What Google takes in the place of a signature for a call that its model did not make (Gemini API, thought signatures
/// page); without any, models from Gemini 3 on refuse a call in the history.
pub(super) const NOT_SIGNED: &str = "skip_thought_signature_validator";

/// What stands in the place of the signature of a call that another model made, where this one must see any.
pub(crate) fn stand_in_signature(model: &str) -> Option<&'static str> {
    Generation::of(model).signs_calls().then_some(NOT_SIGNED)
}

/// What a generation of models takes, told from the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Generation {
    /// It does not think.
    Unthinking,
    /// It thinks up to a budget of tokens; `always`: it cannot go without.
    Budget {
        /// Whether it cannot go without.
        always: bool,
    },
    /// It thinks by level, and signs its calls.
    Level,
}

impl Generation {
    /// What the model of this id takes. From Google's pages on thinking and thought signatures, as third parties and the SDK
    /// give them in November 2026; none of it was tried against the API. A name without a number is taken for the newest.
    pub(super) fn of(model: &str) -> Generation {
        let Some((_, rest)) = model.rsplit_once("gemini-") else { return Generation::Level };
        let mut numbers = rest.split(['-', '.']).map_while(|word| word.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(0));
        match version {
            old if old < (2, 5) => Generation::Unthinking,
            old if old < (3, 0) => Generation::Budget { always: rest.contains("pro") },
            _ => Generation::Level,
        }
    }

    /// Whether a call in the history must carry a signature.
    pub(super) fn signs_calls(self) -> bool {
        self == Generation::Level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_told_from_names() {
        for (model, expected) in [
            ("gemini-1.5-pro-002", Generation::Unthinking),
            ("gemini-2.0-flash", Generation::Unthinking),
            ("gemini-2.5-flash-lite", Generation::Budget { always: false }),
            ("publishers/google/models/gemini-2.5-pro", Generation::Budget { always: true }),
            ("gemini-3-pro-preview", Generation::Level),
            ("gemini-3.5-flash", Generation::Level),
            ("gemini-flash-latest", Generation::Level),
            ("test-model", Generation::Level),
        ] {
            assert_eq!(Generation::of(model), expected, "{model}");
        }
    }
}
