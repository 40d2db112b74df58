//! What a configuration comes to, read from whole files: every problem, every key, and what people are shown.

mod catalog;
mod examples;
mod identities;
mod lists;
mod prices;
mod problems;
mod reference;
mod secrets;
mod shown;

use config::{Catalog, Input, Problem, Snapshot};
use domain::UnixMs;

/// 21 November 2026, 09:18:44 UTC.
const NOW: UnixMs = UnixMs(1_795_252_724_005);

/// The credential every secret of the tests holds; it must never be seen anywhere.
const CREDENTIAL: &str = "sk-the-real-thing";

fn made_up_catalog() -> Catalog {
    Catalog::parse(
        include_str!("fixtures/providers.toml"),
        include_str!("fixtures/models.toml"),
        include_str!("fixtures/prices.toml"),
    )
    .expect("the tests' catalog has no problem")
}

/// Checks a text as the binary would, with a small made-up environment and disk.
fn check(text: &str) -> Result<Snapshot, Vec<Problem>> {
    let environment = |name: &str| match name {
        "ANTHROPIC_API_KEY" | "OPENAI_API_KEY" => Some(CREDENTIAL.to_owned()),
        "EMPTY" => Some(" ".to_owned()),
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(CREDENTIAL.to_owned()),
        "HOME" => Some("/home/f".to_owned()),
        "TWO_LINES" => Some(format!("{CREDENTIAL}\n{CREDENTIAL}")),
        _ => None,
    };
    let read_secret_file = |path: &str| {
        match path {
        "/run/secrets/mirror" => Ok(format!("{CREDENTIAL}\n")),
        "/run/secrets/empty" => Ok(String::new()),
        "/run/google.json" => Ok(format!(
            r#"{{"type":"service_account","client_email":"f@p.iam","private_key_id":"k1",
                "private_key":"-----BEGIN PRIVATE KEY-----\\n{CREDENTIAL}\\n-----END PRIVATE KEY-----\\n"}}"#
        )),
        "/run/external.json" => Ok(r#"{"type":"external_account","audience":"//iam/a","subject_token_type":"jwt",
            "credential_source":{"file":"/run/token","format":{"type":"json","subject_token_field_name":"t"}},
            "service_account_impersonation_url":"https://iam.example/v1/projects/-/serviceAccounts/f@p:generateAccessToken"}"#
            .to_owned()),
        "/run/broken.json" => Ok(format!("{{{CREDENTIAL}")),
        "/etc/freehold/ca.pem" => Ok("-----BEGIN CERTIFICATE-----".to_owned()),
        _ => Err("no such file".to_owned()),
    }
    };
    config::check(&Input {
        file_name: "freehold.toml",
        text,
        catalog: &made_up_catalog(),
        environment: &environment,
        read_secret_file: &read_secret_file,
        now: NOW,
    })
}

/// The design's example without the settings whose stage is not built.
fn design() -> String {
    let lines = include_str!("fixtures/design.toml").lines();
    let kept = lines.filter(|line| !line.starts_with("redact") && !line.starts_with("prompt"));
    kept.map(|line| format!("{line}\n")).collect()
}

fn passes(text: &str) -> Snapshot {
    check(text).unwrap_or_else(|problems| panic!("{}", printed(&problems)))
}

/// What `check` prints of a text that does not pass.
fn fails(text: &str) -> String {
    printed(&check(text).expect_err("the text has a problem"))
}

fn printed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}
