//! The beginning of an answer's text, kept within a bound, so that its tokens can be counted should the provider not say.

/// The beginning of an answer's text, reasoning and tool calls, in the order they came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    text: String,
    most_bytes: usize,
}

impl Kept {
    /// Keeps so many bytes at most. [`Kept::default`] keeps nothing.
    pub fn up_to(most_bytes: usize) -> Kept {
        Kept { text: String::new(), most_bytes }
    }

    /// What was kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether more is wanted.
    pub(crate) fn is_open(&self) -> bool {
        self.text.len() < self.most_bytes
    }

    /// Takes what follows; what does not fit ends it.
    pub(crate) fn push(&mut self, text: &str) {
        if !self.is_open() {
            return;
        }
        let room = self.most_bytes - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
            return;
        }
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        self.most_bytes = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_a_beginning_within_its_bound() {
        let mut kept = Kept::up_to(8);
        ["abc", "dé", "fé", "g"].iter().for_each(|text| kept.push(text));
        assert_eq!((kept.text(), kept.is_open()), ("abcdéf", false), "no half character, and nothing after a gap");
        let mut nothing = Kept::default();
        nothing.push("a");
        assert_eq!(nothing.text(), "");
    }
}
