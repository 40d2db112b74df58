//! Why candidates of a call were passed over without an attempt, and what the client is told when none was made.

use domain::{Fault, FaultClass};

use crate::budgets::Spent;
use crate::refusal::{Lossy, Refusal};

/// Why candidates were passed over without an attempt; told only when no attempt was made, so that a fault which may be
/// over in a moment is not hidden behind one that will not.
#[derive(Default)]
pub struct Skipped {
    /// It has no room by its own limits.
    pub limited: Option<Box<Spent>>,
    /// A budget did not cover it.
    pub money: Option<Box<Spent>>,
    /// It has no price, and a budget applies.
    pub unpriced: Option<Refusal>,
    /// It would have been told less than the client said.
    pub lossy: Option<Box<Lossy>>,
    /// Its dialect cannot say the request.
    pub unsaid: Option<Fault>,
}

impl Skipped {
    /// Notes a model that would lose something. The one that would lose least is told.
    pub fn lossy(&mut self, lossy: Lossy) {
        if self.lossy.as_ref().is_none_or(|known| lossy.losses.len() < known.losses.len()) {
            self.lossy = Some(Box::new(lossy));
        }
    }

    /// What the client is told when nothing more can be tried.
    pub fn give_up(
        self,
        last: Option<Fault>,
        why: String,
        retry_after_ms: Option<u64>,
        all_open: bool,
        billed: bool,
    ) -> Refusal {
        let upstream = |fault: Fault, why: String| Refusal::Upstream { fault, why, retry_after_ms, billed };
        match (last, self) {
            (Some(fault), _) => upstream(fault, why),
            (None, Skipped { money: None, limited: Some(spent), .. }) => Refusal::Budget(spent),
            (None, _) if all_open => upstream(Fault::new(FaultClass::Overloaded, "no model can be tried now"), why),
            (None, Skipped { money: Some(spent), .. }) => Refusal::Budget(spent),
            (None, Skipped { unpriced: Some(refusal), .. }) => refusal,
            (None, Skipped { lossy: Some(lossy), .. }) => Refusal::Lossy(lossy),
            (None, Skipped { unsaid: Some(fault), .. }) => upstream(fault, why),
            (None, _) => upstream(Fault::new(FaultClass::Overloaded, "no model can be tried now"), why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Loss, LossKind};
    use wire::Dialect;

    fn lossy(model: &str, losses: usize) -> Lossy {
        let loss = |at| Loss { pointer: format!("/{at}"), kind: LossKind::Dropped, reason: "no place".into() };
        Lossy { model: model.into(), client: Dialect::OpenAiChat, losses: (0..losses).map(loss).collect() }
    }

    #[test]
    fn the_model_that_would_lose_least_is_told_and_a_long_list_is_counted() {
        let mut skipped = Skipped::default();
        [("a", 30), ("b", 25), ("c", 25)].into_iter().for_each(|(model, losses)| skipped.lossy(lossy(model, losses)));
        let sentence = skipped.give_up(None, "nothing is left".into(), None, false, false).to_string();
        assert!(sentence.contains("`b`") && sentence.contains("/19 dropped: no place; and 5 more)"), "{sentence}");
    }

    #[test]
    fn what_may_be_over_in_a_moment_is_told_before_a_loss() {
        let told = |last: Option<Fault>, all_open| {
            let skipped = Skipped { lossy: Some(Box::new(lossy("a", 1))), ..Skipped::default() };
            skipped
                .give_up(last, "nothing is left".into(), None, all_open, false)
                .client_error("c", Dialect::OpenAiChat)
                .code
        };
        assert_eq!(told(Some(Fault::new(FaultClass::RateLimited, "")), false), "upstream_rate_limited");
        assert_eq!(told(None, true), "upstream_overloaded");
        assert_eq!(told(None, false), "translation_loss");
    }
}
