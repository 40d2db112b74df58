//! Names people give to things in the configuration, each kind its own type so that a lane is never passed for a model.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as written; the configuration has checked its characters already.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A business task an application asks for; what goes into the `model` field of a request.
    WorkflowName
);
name!(
    /// A pool of models with a pick rule and service levels.
    LaneName
);
name!(
    /// One `[models.*]` entry of the configuration: not the vendor's model id, but our name for it.
    ModelName
);
name!(
    /// One `[providers.*]` entry of the configuration.
    ProviderName
);
name!(
    /// A part of the organisation that workflows belong to, for its budget.
    UnitName
);
name!(
    /// What a client calls the conversation or the run that its calls belong to.
    SessionId
);
