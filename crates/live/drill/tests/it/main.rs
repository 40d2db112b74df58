//! Drills as a whole: every one that is shipped, twice; and the long proof of resilience in its everyday size.

mod resilience;
mod shipped;
