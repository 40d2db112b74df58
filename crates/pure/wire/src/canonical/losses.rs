//! The list of what a translation gave up, as it is gathered.

use domain::{Loss, LossKind};

/// The longest list kept for one translation: a body can have a million unknown fields. It ends with how many more there were.
const MAX_LOSSES: usize = 100;

/// What was given up on the way.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    list: Vec<Loss>,
    beyond: u64,
}

impl Losses {
    /// Notes a field that had no place.
    pub(crate) fn dropped(&mut self, pointer: impl Into<String>, reason: impl Into<String>) {
        self.note(LossKind::Dropped, pointer.into(), reason.into());
    }

    /// Notes a field that was put as something near.
    pub(crate) fn approximated(&mut self, pointer: impl Into<String>, reason: impl Into<String>) {
        self.note(LossKind::Approximated, pointer.into(), reason.into());
    }

    /// How many were noted.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The list so far.
    pub(crate) fn list(&self) -> &[Loss] {
        &self.list
    }

    /// The list.
    pub fn into_list(mut self) -> Vec<Loss> {
        if self.beyond > 0 {
            let reason = format!("{} more fields were not carried over", self.beyond);
            self.list.push(Loss { pointer: String::new(), kind: LossKind::Dropped, reason });
        }
        self.list
    }

    fn note(&mut self, kind: LossKind, pointer: String, reason: String) {
        let loss = Loss { pointer, kind, reason };
        // A stream says the same thing in every event.
        if self.list.contains(&loss) {
            return;
        }
        if self.list.len() < MAX_LOSSES {
            self.list.push(loss);
        } else {
            self.beyond += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_beyond_its_bound_ends_with_how_much_is_missing() {
        let mut losses = Losses::default();
        for index in 0..MAX_LOSSES + 3 {
            losses.dropped(format!("/{index}"), "x");
        }
        let list = losses.into_list();
        assert_eq!(list.len(), MAX_LOSSES + 1);
        assert_eq!(list[MAX_LOSSES].reason, "3 more fields were not carried over");
    }
}
