//! Whose budget, over which time, in what: the name of an account, and amounts of what it counts.

use std::fmt;

use domain::{KeyId, ModelName, NanoUsd, SessionId, UnitName, UnixMs, WorkflowName};
use serde::{Deserialize, Serialize};

use crate::window::Window;

/// Whose budget. The order is the one in which accounts are locked: from the widest to the narrowest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything this installation spends.
    Organisation,
    /// What the workflows of a unit spend.
    Unit(UnitName),
    /// What a workflow spends.
    Workflow(WorkflowName),
    /// What a key spends.
    Key(KeyId),
    /// What one session of a key spends: under the budget its workflow declares for each session, or the key itself.
    Session {
        /// The workflow that declares it; absent where the key does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow: Option<WorkflowName>,
        /// Whose session: what one client calls a session means nothing to another.
        key: KeyId,
        /// As the client calls it.
        session: SessionId,
    },
    /// What is sent to one entry of `[models.*]`.
    Model(ModelName),
}

impl Scope {
    /// In plain words without quotation marks, as pages, metrics and commands name it: `workflow claims-triage`.
    pub fn plain(&self) -> String {
        match self {
            Scope::Organisation => "organisation".to_owned(),
            _ => self.to_string().replace('`', ""),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Organisation => f.write_str("the organisation"),
            Scope::Unit(name) => write!(f, "unit `{name}`"),
            Scope::Workflow(name) => write!(f, "workflow `{name}`"),
            Scope::Key(id) => write!(f, "key `{id}`"),
            Scope::Session { workflow: Some(workflow), key, session } => {
                write!(f, "session `{session}` of key `{key}` in workflow `{workflow}`")
            }
            Scope::Session { workflow: None, key, session } => write!(f, "session `{session}` of key `{key}`"),
            Scope::Model(name) => write!(f, "model `{name}`"),
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Nano-dollars.
    Usd,
    /// Tokens sent and received, whatever their price.
    Tokens,
    /// Attempts that a provider answered or worked for.
    Requests,
    /// Attempts under way at the same time.
    Calls,
}

impl Measure {
    /// The stable name, as it stands behind an amount.
    pub const fn as_str(self) -> &'static str {
        match self {
            Measure::Usd => "USD",
            Measure::Tokens => "tokens",
            Measure::Requests => "requests",
            Measure::Calls => "calls at once",
        }
    }

    /// The measure of this stable name.
    pub fn from_name(name: &str) -> Option<Measure> {
        [Measure::Usd, Measure::Tokens, Measure::Requests, Measure::Calls].into_iter().find(|one| one.as_str() == name)
    }

    /// Whether what a call uses is told by its bounds and its usage; a limit on anything else asks nothing of either.
    pub const fn is_of_usage(self) -> bool {
        matches!(self, Measure::Usd | Measure::Tokens)
    }

    /// An amount of it, with its unit: `412.00 USD`, `1200 tokens`.
    pub fn shown(self, amount: Amount) -> String {
        format!("{} {}", self.figure(amount), self.as_str())
    }

    /// The same without its unit.
    pub fn figure(self, amount: Amount) -> String {
        match self {
            Measure::Usd => NanoUsd(amount.0).to_string(),
            Measure::Tokens | Measure::Requests | Measure::Calls => amount.0.to_string(),
        }
    }
}

/// How much: nano-dollars or tokens, as the [`Measure`] of the account says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// More than is ever counted.
    pub const MAX: Amount = Amount(i64::MAX);

    /// The sum, at most [`Amount::MAX`].
    #[must_use]
    pub fn plus(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }

    /// The difference, which may be below zero.
    #[must_use]
    pub fn minus(self, other: Amount) -> Amount {
        Amount(self.0.saturating_sub(other.0))
    }

    /// Nothing where it is below zero.
    #[must_use]
    pub fn or_zero(self) -> Amount {
        self.max(Amount::ZERO)
    }
}

impl From<NanoUsd> for Amount {
    fn from(usd: NanoUsd) -> Amount {
        Amount(usd.0)
    }
}

/// What an attempt may use, or used, in every measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spend {
    /// Money.
    pub usd: NanoUsd,
    /// Tokens sent and received.
    pub tokens: u64,
}

impl Spend {
    /// Nothing.
    pub const ZERO: Spend = Spend { usd: NanoUsd::ZERO, tokens: 0 };

    /// Money, and no tokens.
    pub const fn usd(usd: NanoUsd) -> Spend {
        Spend { usd, tokens: 0 }
    }

    /// How much of it an account of this measure counts; nothing below zero. Of requests and calls it says nothing.
    pub fn of(self, measure: Measure) -> Amount {
        match measure {
            Measure::Usd => Amount(self.usd.0.max(0)),
            Measure::Tokens => Amount(i64::try_from(self.tokens).unwrap_or(i64::MAX)),
            Measure::Requests | Measure::Calls => Amount::ZERO,
        }
    }

    /// What an attempt that may use so much holds: it is one request and one call itself.
    pub fn held(self, measure: Measure) -> Amount {
        if measure.is_of_usage() { self.of(measure) } else { Amount(1) }
    }

    /// What an attempt that used so much is booked with: one that used nothing was no request, and one that ended is no call any more.
    pub fn booked(self, measure: Measure) -> Amount {
        match measure {
            Measure::Usd | Measure::Tokens => self.of(measure),
            Measure::Requests => Amount(i64::from(self != Spend::ZERO)),
            Measure::Calls => Amount::ZERO,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Spend) -> Spend {
        Spend { usd: self.usd.saturating_add(other.usd), tokens: self.tokens.saturating_add(other.tokens) }
    }

    /// How much more this is than `other`, nothing below zero.
    #[must_use]
    pub fn beyond(self, other: Spend) -> Spend {
        Spend {
            usd: NanoUsd(self.usd.0.saturating_sub(other.usd.0).max(0)),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}

/// Which budget. A scope may have several: a month's money, a day's tokens. The order is the one in which they are locked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct BudgetId {
    /// Whose.
    pub scope: Scope,
    /// Over which time.
    pub window: Window,
    /// In what.
    pub measure: Measure,
}

impl BudgetId {
    /// Whether it is a rate: what is taken of it is booked at once, and corrected once what was used is known. Its minute is that
    /// of the sending, however long an answer takes.
    pub fn is_rate(&self) -> bool {
        self.window == Window::MINUTE
    }
}

impl fmt::Display for BudgetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} per {}", self.scope, self.measure.as_str(), self.window)
    }
}

/// How much may be spent, and from where on what happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// The limit people wrote down.
    pub limit: Amount,
    /// Nothing is held beyond this; absent for a soft budget.
    pub refuse_at: Option<Amount>,
    /// Nothing is held beyond this without an approval.
    pub approval_at: Option<Amount>,
}

impl Terms {
    /// A hard limit and nothing else.
    pub const fn hard(limit: Amount) -> Terms {
        Terms { limit, refuse_at: Some(limit), approval_at: None }
    }

    /// A limit that is only counted.
    pub const fn soft(limit: Amount) -> Terms {
        Terms { limit, refuse_at: None, approval_at: None }
    }

    /// Whether anything is ever refused.
    pub fn is_hard(&self) -> bool {
        self.refuse_at.is_some() || self.approval_at.is_some()
    }
}

/// What somebody allowed beyond [`Terms::approval_at`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// How much more; absent where it is whatever is left below the limit that refuses.
    pub more: Option<Amount>,
    /// When it ends; absent where its window does not.
    pub until: Option<UnixMs>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_one_request_unless_it_used_nothing_and_one_call_while_it_lasts() {
        let used = Spend { usd: NanoUsd(5), tokens: 7 };
        let all = [Measure::Usd, Measure::Tokens, Measure::Requests, Measure::Calls];
        assert_eq!(all.map(|measure| used.held(measure).0), [5, 7, 1, 1]);
        assert_eq!(all.map(|measure| used.booked(measure).0), [5, 7, 1, 0]);
        assert_eq!(all.map(|measure| Spend::ZERO.booked(measure).0), [0, 0, 0, 0]);
        assert_eq!(all.map(|measure| Measure::from_name(measure.as_str())), all.map(Some));
    }
}
