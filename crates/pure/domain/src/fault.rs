//! What can go wrong with an attempt, whose fault it is, and what that means for trying again.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has to act.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The caller: its request, its key, its budget.
    Client,
    /// Freehold or its configuration, a provider credential included.
    Us,
    /// The provider or the way to it.
    Provider,
}

macro_rules! fault_classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $blame:ident, $trips:literal, $same:literal, $next:literal;)*) => {
        /// Every way an attempt fails. One row says all that follows from it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FaultClass { $($(#[$doc])* $name,)* }

        impl FaultClass {
            /// Every class, for tables generated from tests.
            pub const ALL: &'static [FaultClass] = &[$(FaultClass::$name,)*];

            /// The stable code clients and records see.
            pub const fn as_str(self) -> &'static str {
                match self { $(FaultClass::$name => $text,)* }
            }

            /// Who has to act.
            pub const fn blame(self) -> Blame {
                match self { $(FaultClass::$name => Blame::$blame,)* }
            }

            /// Whether it counts against the model's breaker. A client's fault never does.
            pub const fn trips_breaker(self) -> bool {
                match self { $(FaultClass::$name => $trips,)* }
            }

            /// Whether the same model may be tried again, before any content reached the client.
            pub const fn retry_same(self) -> bool {
                match self { $(FaultClass::$name => $same,)* }
            }

            /// Whether another model may succeed where this one failed, before any content reached the client.
            pub const fn try_next(self) -> bool {
                match self { $(FaultClass::$name => $next,)* }
            }
        }
    };
}

fault_classes! {
    // class = code, blame, trips the breaker, retry the same model, try the next model
    /// The connection could not be made: refused, DNS, TLS.
    Connect = "upstream_connect", Provider, true, true, true;
    /// The connection was not made in time.
    ConnectTimeout = "upstream_connect_timeout", Provider, true, true, true;
    /// Connected, but the first content did not come in time.
    FirstTokenTimeout = "upstream_first_token_timeout", Provider, true, false, true;
    /// The stream stood still too long.
    FrameTimeout = "upstream_frame_timeout", Provider, true, false, true;
    /// The call as a whole took too long; there is no time left to try anything else.
    TotalTimeout = "deadline_exceeded", Provider, true, false, false;
    /// The connection broke while the answer was coming.
    Reset = "upstream_reset", Provider, true, true, true;
    /// The stream ended without its closing event.
    Cut = "upstream_cut", Provider, true, true, true;
    /// What came is not what the dialect promises.
    Malformed = "upstream_malformed", Provider, true, true, true;
    /// HTTP 429 for the rate; Retry-After says when.
    RateLimited = "upstream_rate_limited", Provider, true, true, true;
    /// HTTP 429 for the quota or credit: waiting will not help.
    QuotaExhausted = "upstream_quota_exhausted", Us, true, false, true;
    /// HTTP 503 or 529.
    Overloaded = "upstream_overloaded", Provider, true, true, true;
    /// Any other 5xx.
    ServerError = "upstream_server_error", Provider, true, true, true;
    /// HTTP 401 or 403: our credential is wrong.
    Credential = "upstream_credential_refused", Us, true, false, true;
    /// No token could be had to call the provider with: whoever gives them did not answer.
    TokenUnavailable = "upstream_token_unavailable", Provider, true, false, true;
    /// HTTP 404 for the model: our configuration is wrong.
    ModelMissing = "upstream_model_missing", Us, true, false, true;
    /// The prompt is longer than this model takes; another may take it.
    ContextTooLong = "context_too_long", Client, false, false, true;
    /// The provider's policy refused the content.
    ContentPolicy = "content_policy", Client, false, false, false;
    /// Any other 4xx: the request itself is wrong.
    BadRequest = "bad_request", Client, false, false, false;
    /// The client went away.
    ClientGone = "client_gone", Client, false, false, false;
    /// This request cannot be said in the provider's dialect.
    Untranslatable = "untranslatable", Client, false, false, true;
    /// A defect or a limit of ours.
    Internal = "internal", Us, false, false, false;
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A failure as it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What kind.
    pub class: FaultClass,
    /// HTTP status of the provider, when there was one.
    pub status: Option<u16>,
    /// How long the provider asked us to wait, milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The provider's words, cut to a bound; shown to the caller for its own faults only.
    pub message: String,
}

impl Fault {
    /// A fault without a status.
    pub fn new(class: FaultClass, message: impl Into<String>) -> Fault {
        Fault { class, status: None, retry_after_ms: None, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_fault_never_trips_a_breaker() {
        for class in FaultClass::ALL {
            assert!(!(class.blame() == Blame::Client && class.trips_breaker()), "{class}");
        }
    }

    #[test]
    fn what_may_be_retried_may_also_go_elsewhere() {
        for class in FaultClass::ALL {
            assert!(!class.retry_same() || class.try_next(), "{class}");
        }
    }
}
