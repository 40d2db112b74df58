//! An attempt under way, as the edge of its call's task sees it: enough to book it when the task ends in the middle.

use config::Model;
use domain::{AttemptEnd, Cost, Intent, NanoUsd, Record, UnixMs, Usage, UsageOrigin};
use ledger::budget::Spend;

use crate::budgets::{Budgets, Held};

/// An attempt from its intent until its record is written down. It keeps what is held for it, so that nothing which ends
/// a call's task takes the hold along.
#[must_use]
pub struct Open {
    intent: Intent,
    held: Option<Held>,
    /// What it was settled with; its record is not written down yet.
    booked: Option<NanoUsd>,
    probe: bool,
}

impl Open {
    /// An attempt that is about to be sent.
    pub fn new(intent: Intent, held: Held, probe: bool) -> Open {
        Open { intent, held: Some(held), booked: None, probe }
    }

    /// What was said before it was sent.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Whether it probes a half-open breaker.
    pub fn probe(&self) -> bool {
        self.probe
    }

    /// Whether the budgets know already what it cost.
    pub fn is_booked(&self) -> bool {
        self.booked.is_some()
    }

    /// The hold itself, to be topped up while the attempt is under way.
    pub fn hold(&mut self) -> Option<&mut Held> {
        self.held.as_mut()
    }

    /// What is held for it; nothing once it is settled.
    pub fn held(&self) -> Spend {
        self.held.as_ref().map_or(Spend::ZERO, Held::spend)
    }

    /// Books what it cost and frees the rest of the hold. Returns what was billed beyond it.
    pub fn settle(&mut self, budgets: &Budgets, actual: Spend) -> NanoUsd {
        let overrun = self.held.take().map_or(NanoUsd::ZERO, |held| budgets.settle(held, actual));
        self.booked = Some(actual.usd);
        overrun
    }

    /// The record of an attempt whose end nobody saw. What it was settled with, or else its hold, is the most it can have
    /// cost; `model` is the one it was sent to.
    pub fn indeterminate(self, model: Option<&Model>, why: &str, now: UnixMs) -> Record {
        let intent = self.intent;
        Record {
            ended_at: now,
            end: AttemptEnd::Indeterminate,
            status: None,
            upstream_model: model.map(|model| model.upstream.clone()).unwrap_or_default(),
            region: model.and_then(|model| model.region.as_ref()).map(ToString::to_string),
            usage: Usage::ZERO,
            usage_origin: UsageOrigin::None,
            cost: Cost::AtMost(self.booked.or(intent.hold)),
            usage_residue: 0,
            provider_cost: None,
            latency_ms: now.since(intent.at),
            first_token_ms: None,
            decision: format!("{why}; its hold is the most it can have cost"),
            losses: Vec::new(),
            provider_request_id: None,
            served: domain::ServedAs::default(),
            corrects: None,
            counted: Vec::new(),
            intent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::{Limit, Pick, Scopes};
    use ledger::{Amount, Scope, Window};

    #[tokio::test]
    async fn an_attempt_that_was_settled_and_not_written_down_is_booked_at_what_it_was_settled_with() {
        let budgets = Budgets::default();
        let limit = Limit::hard(Scope::Workflow("w".into()), NanoUsd(100), Window::TOTAL);
        budgets.set(vec![limit], UnixMs(1));
        let scopes = Scopes { workflow: Some("w".into()), key: domain::KeyId("k".into()), session: None, model: None };
        let held = budgets.hold(scopes, Spend::usd(NanoUsd(60)), Pick::Cheapest).await.unwrap();
        let intent = Intent { hold: Some(NanoUsd(60)), ..testkit::facts::Sample::new(1, UnixMs(1)).intent() };
        let mut open = Open::new(intent, held, false);
        assert_eq!(open.settle(&budgets, Spend::usd(NanoUsd(75))), NanoUsd(15));
        let view = budgets.view();
        assert_eq!((view[0].account.settled, view[0].account.held), (Amount(75), Amount::ZERO));
        let record = open.indeterminate(None, "it failed", UnixMs(5));
        assert_eq!((record.cost.booked(), record.end), (NanoUsd(75), AttemptEnd::Indeterminate));
    }
}
