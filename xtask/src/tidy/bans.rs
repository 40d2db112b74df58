//! Crates that must not come in, not even through others, and the one TLS provider.

use anyhow::Result;

use super::{Finding, Tree};

/// Crate and reason. Read or tried when the stack was chosen.
const BANNED: &[(&str, &str)] = &[
    ("aide", "unkept; utoipa does it"),
    ("backoff", "unkept; routing does it"),
    ("divan", "unkept; criterion does it"),
    ("eventsource-stream", "unkept and drops bytes; wire's own codec does it"),
    ("figment", "unkept; serde and toml do it"),
    ("fred", "unkept"),
    ("instant-distance", "unkept"),
    ("maud", "unkept; askama does it"),
    ("miette", "unkept"),
    ("native-tls", "a second TLS; rustls is the one"),
    ("openssl", "a second TLS; rustls is the one"),
    ("openssl-sys", "a second TLS; rustls is the one"),
    ("plotters", "unkept; the pages draw their SVG"),
    ("prometheus", "unkept; prometheus-client does it"),
    ("reqwest-eventsource", "unkept"),
    ("rustls-pemfile", "unkept; rustls-pki-types does it"),
    ("serde_yaml", "unkept; the configuration is TOML"),
    ("serde_yaml_ng", "unkept; the configuration is TOML"),
    ("serde_yml", "unsound"),
    ("tower_governor", "unkept; ledger's limits do it"),
    ("wiremock", "our simulator does it"),
];

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for package in &tree.workspace.theirs {
        if let Some((name, reason)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            found.push(Finding::new(format!("{name} {}", package.version), format!("is banned: {reason}")));
        }
    }
    for package in tree.workspace.theirs.iter().filter(|package| package.name == "rustls") {
        if package.features.contains("ring") && package.features.contains("aws_lc_rs") {
            let what = "has two providers, ring and aws-lc-rs; find who asks for the second with `cargo tree -e features -i rustls`";
            found.push(Finding::new(format!("rustls {}", package.version), what));
        }
    }
    Ok(found)
}
