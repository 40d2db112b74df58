//! Do two answers say the same? The same words do; other numbers do not; of the rest their vectors tell.

/// From which cosine on two answers are taken to say the same, thousandths. Chosen, not measured: answers of one model to the same
/// question in other words lie above it, answers to different questions about one subject mostly below.
pub const SAME_ANSWER_MILLI: u16 = 900;

/// What the words alone tell; `None` where only their vectors can.
pub fn by_words(one: &str, other: &str) -> Option<bool> {
    if words(one).eq(words(other)) {
        return Some(true);
    }
    // A vector hardly moves when a date or an amount does.
    (numbers(one) != numbers(other)).then_some(false)
}

/// The numbers in a text, in their order: runs of digits with the points and commas within.
pub fn numbers(text: &str) -> Vec<&str> {
    let part = |c: char| c.is_numeric() || matches!(c, '.' | ',' | ':' | '/');
    let runs = text.split(|c: char| !part(c)).map(|run| run.trim_matches(|c: char| !c.is_numeric()));
    runs.filter(|run| !run.is_empty()).collect()
}

/// The cosine of two vectors of length 1, thousandths; 0 of two that point away from each other.
pub fn cosine_milli(one: &[f32], other: &[f32]) -> u16 {
    let cosine: f32 = one.iter().zip(other).map(|(one, other)| one * other).sum();
    // Between 0 and 1000, so nothing is cut off.
    (cosine.clamp(0.0, 1.0) * 1_000.0).round() as u16
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_capitals_change_nothing_and_numbers_do() {
        assert_eq!(by_words("Yes, you may.", "yes you MAY"), Some(true));
        assert_eq!(by_words("It costs 12.50 USD.", "It costs 21.50 USD."), Some(false));
        assert_eq!(by_words("Within 30 days.", "You have 30 days."), None);
        assert_eq!(by_words("Yes", "Of course"), None);
    }

    #[test]
    fn numbers_are_read_with_what_is_within_them() {
        assert_eq!(
            numbers("On 2026-12-01 at 10:30, 1,200.50 (order 7)."),
            ["2026", "12", "01", "10:30", "1,200.50", "7"]
        );
        assert!(numbers("none, at. all").is_empty());
    }

    #[test]
    fn a_cosine_is_one_of_the_same_and_zero_across() {
        assert_eq!(cosine_milli(&[0.6, 0.8], &[0.6, 0.8]), 1_000);
        assert_eq!((cosine_milli(&[1.0, 0.0], &[0.0, 1.0]), cosine_milli(&[1.0], &[-1.0])), (0, 0));
    }
}
