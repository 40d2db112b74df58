//! Names people choose, and what they may have meant by one that does not exist.

use crate::problem::{At, Place, Problems};

/// What a name may look like, as a remedy.
pub(crate) const RULE: &str = "use 1 to 64 of a-z, 0-9, `.`, `_` and `-`";

/// Whether a text fits [`RULE`]: it then fits into headers, URLs, metrics and file names unescaped.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
}

/// The candidate that differs least from what was written, if little enough to be a slip: one change in short words,
/// one in three letters in longer ones. A beginning of at least three letters counts too: `cheap` for `cheapest`.
pub(crate) fn nearest<'c>(written: &str, candidates: impl Iterator<Item = &'c str> + Clone) -> Option<&'c str> {
    let lowered = written.to_ascii_lowercase();
    let slip = |candidate: &'c str| {
        let length = candidate.chars().count();
        let distance = strsim::osa_distance(&lowered, &candidate.to_ascii_lowercase());
        (distance <= (length / 3).clamp(1, 4) && distance < length).then_some((distance, candidate))
    };
    let nearest = candidates.clone().filter_map(slip).min_by_key(|(distance, _)| *distance);
    let mut begun = candidates.filter(|candidate| lowered.len() >= 3 && candidate.starts_with(&lowered));
    nearest.map(|(_, candidate)| candidate).or_else(|| begun.next())
}

/// A remedy for something that does not exist: the nearest that does, or all of them.
pub(crate) fn did_you_mean<'c>(written: &str, candidates: impl Iterator<Item = &'c str> + Clone) -> String {
    /// More names than this are no help.
    const SHOWN: usize = 12;
    if let Some(nearest) = nearest(written, candidates.clone()) {
        return format!("did you mean `{nearest}`?");
    }
    let mut shown = candidates.clone().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if candidates.count() > SHOWN {
        shown.push_str(", …");
    }
    if shown.is_empty() { "declare it first; there is none yet".to_owned() } else { format!("there is {shown}") }
}

/// Something declared in the file under a name. Its value is absent where it had problems of its own, so that whoever
/// refers to it is not reported as well.
pub(crate) struct Declared<'d, T> {
    pub name: &'d str,
    pub place: Place,
    pub value: Option<T>,
}

/// The index of what a name refers to; a dangling one is reported.
pub(crate) fn find<T>(what: &str, asked: &At<&str>, declared: &[Declared<T>], problems: &Problems) -> Option<usize> {
    let found = declared.iter().position(|one| one.name == asked.value);
    if found.is_none() {
        let remedy = did_you_mean(asked.value, declared.iter().map(|one| one.name));
        problems.error(&asked.place, format!("there is no {what} `{}`", asked.value), remedy);
    }
    found
}

/// The indices of a list of names. An empty list, repetitions and dangling names are reported, and then there is no list:
/// what a shorter one would lead to is nobody's mistake.
pub(crate) fn find_all<T>(
    what: &str,
    asked: Option<At<Vec<At<&str>>>>,
    declared: &[Declared<T>],
    problems: &Problems,
) -> Option<Vec<usize>> {
    let asked = asked?;
    if asked.value.is_empty() {
        problems.error(&asked.place, "is empty", format!("name at least one {what}"));
    }
    let mut found = Vec::new();
    for one in &asked.value {
        match find(what, one, declared, problems) {
            Some(index) if found.contains(&index) => {
                problems.error(&one.place, format!("{what} `{}` is listed twice", one.value), "list it once");
            }
            Some(index) => found.push(index),
            None => {}
        }
    }
    (!found.is_empty() && found.len() == asked.value.len()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_none() {
        let words = ["premium", "own", "standard"];
        assert_eq!(nearest("premuim", words.into_iter()), Some("premium"));
        assert_eq!(nearest("Standard", words.into_iter()), Some("standard"));
        assert_eq!(nearest("stand", words.into_iter()), Some("standard"));
        assert_eq!(nearest("x", ["A", "B"].into_iter()), None);
        assert_eq!(did_you_mean("cheap", words.into_iter()), "there is `premium`, `own`, `standard`");
    }

    #[test]
    fn a_name_is_what_needs_no_escape() {
        for name in ["claims-triage", "gpt-4.1", "a", &"x".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for text in ["", "Claims", "a b", "lane:x", "ü", &"x".repeat(65)] {
            assert!(!is_name(text), "{text}");
        }
    }
}
