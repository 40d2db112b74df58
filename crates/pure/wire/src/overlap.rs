//! Cuts away what a model repeats of the words it was to go on from.

/// How far back a repetition is looked for, bytes.
const LONGEST_REPEATED: usize = 240;
/// The shortest that is taken for one where the model was only told to go on: two equal words may follow one another.
const SHORTEST_REPEATED: usize = 12;

/// The seam between what was said and what comes.
#[derive(Debug)]
pub(crate) struct Overlap {
    /// The last words said.
    tail: String,
    /// What came and may still turn out to repeat them.
    held: String,
    shortest: usize,
    over: bool,
}

impl Overlap {
    /// After these words, where the model was told to go on from them.
    pub fn after(said: &str) -> Overlap {
        let from = said.floor_char_boundary(said.len().saturating_sub(LONGEST_REPEATED));
        Overlap::of(&said[from..], SHORTEST_REPEATED)
    }

    /// After words that the model goes on from by itself, which were given to it without the white space at their end.
    pub fn after_white_space(said: &str) -> Overlap {
        Overlap::of(&said[said.trim_end().len()..], 1)
    }

    fn of(tail: &str, shortest: usize) -> Overlap {
        Overlap { tail: tail.to_owned(), held: String::new(), shortest, over: tail.is_empty() }
    }

    /// What the client gets of the words that came, once that is known; what is held back is at most as long as what is looked
    /// for.
    pub fn take(&mut self, text: &str) -> Option<String> {
        self.held.push_str(text);
        if self.held.is_empty() {
            return None;
        }
        let may_grow = self.tail.char_indices().any(|(at, _)| {
            let rest = &self.tail[at..];
            rest.len() > self.held.len() && rest.starts_with(&self.held)
        });
        if may_grow { None } else { self.flush() }
    }

    /// The same when no more words come.
    pub fn flush(&mut self) -> Option<String> {
        self.over = true;
        let repeated = self
            .held
            .char_indices()
            .map(|(at, letter)| at + letter.len_utf8())
            .filter(|end| *end >= self.shortest && self.tail.ends_with(&self.held[..*end]))
            .max()
            .unwrap_or(0);
        let rest = self.held.split_off(repeated);
        self.held.clear();
        (!rest.is_empty()).then_some(rest)
    }

    /// Whether all that comes from here on is new.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(mut overlap: Overlap, pieces: &[&str]) -> String {
        let mut out = String::new();
        for piece in pieces {
            match overlap.is_over() {
                true => out.push_str(piece),
                false => out.extend(overlap.take(piece)),
            }
        }
        if !overlap.is_over() {
            out.extend(overlap.flush());
        }
        out
    }

    const SAID: &str = "The capital of France is Paris, and its river is the";

    #[test]
    fn repeated_words_are_cut_whichever_way_they_are_split() {
        for pieces in [
            &["its river is the Seine."][..],
            &["its ri", "ver is the", " Seine."],
            &["i", "t", "s", " ", "river is the Seine", "."],
            &[" Seine", "."],
        ] {
            assert_eq!(joined(Overlap::after(SAID), pieces), " Seine.", "{pieces:?}");
        }
        assert_eq!(joined(Overlap::after(SAID), &["its river is the"]), "");
    }

    #[test]
    fn a_word_said_twice_is_no_repetition() {
        assert_eq!(joined(Overlap::after("It was very"), &[" very", " good"]), " very good");
        assert_eq!(joined(Overlap::after("ü"), &["ü"]), "ü");
        assert_eq!(joined(Overlap::after(SAID), &["the Seine"]), "the Seine");
    }

    #[test]
    fn white_space_that_a_started_answer_was_sent_without_comes_once() {
        assert_eq!(joined(Overlap::after_white_space("one \n"), &[" ", "\ntwo"]), "two");
        assert_eq!(joined(Overlap::after_white_space("one "), &["two"]), "two");
        assert_eq!(joined(Overlap::after_white_space("one"), &[" two"]), " two");
    }
}
