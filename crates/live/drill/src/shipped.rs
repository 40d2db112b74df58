//! The drills that come with Freehold, and the configuration they run on where none is given.

/// A drill that comes with Freehold.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// What `freehold drill run` knows it by.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The configuration where none is given.
pub const SAMPLE: &str = include_str!("../sample/freehold.toml");

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Every one of them.
        pub const SHIPPED: &[Shipped] =
            &[$(Shipped { name: $name, text: include_str!(concat!("../scenarios/", $name, ".toml")) }),*];
    };
}

shipped!(
    "premium_outage",
    "quota_cliff",
    "slow_morning",
    "price_doubling",
    "region_gone",
    "correlated_bursts",
    "malformed_answers",
    "slow_streams",
    "silent_streams",
    "cut_streams",
    "credential_revoked",
    "everything_flaky",
);

/// The drill of this name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.name == name)
}
