//! Where data is processed, and whether that place lies inside what a workflow allows.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place: a jurisdiction, optionally narrowed by parts after hyphens, such as `eu`, `eu-de`, `us-east-1`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(Arc<str>);

impl Region {
    /// Takes the region in lower case.
    pub fn new(text: &str) -> Region {
        Region(text.to_ascii_lowercase().into())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `self` is `allowed` or a part of it: `eu-de` lies within `eu`, `eu` does not lie within `eu-de`, and
    /// `europe` does not lie within `eu`.
    pub fn within(&self, allowed: &Region) -> bool {
        self.0.strip_prefix(&*allowed.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_within_its_whole_and_not_the_other_way_round() {
        let region = Region::new;
        assert!(region("eu-de").within(&region("EU")));
        assert!(region("eu").within(&region("eu")));
        assert!(!region("eu").within(&region("eu-de")));
        assert!(!region("europe").within(&region("eu")));
    }
}
