//! Credentials are found where the file says, and seen nowhere.

use crate::{CREDENTIAL, fails, passes};

fn provider(api_key: &str) -> String {
    format!("[providers.openai]\napi_key = {api_key}\n")
}

#[test]
fn a_credential_is_read_from_the_environment_or_a_file() {
    for (api_key, source) in [
        ("{ env = \"OPENAI_API_KEY\" }", "environment variable `OPENAI_API_KEY`"),
        ("{ file = \"/run/secrets/mirror\" }", "file `/run/secrets/mirror`"),
    ] {
        let provider = &passes(&provider(api_key)).providers[0];
        assert_eq!(provider.credential.as_ref().unwrap().expose(), CREDENTIAL);
        assert_eq!(provider.credential_source.as_ref().unwrap().to_string(), source);
    }
}

#[test]
fn a_credential_that_cannot_be_used_is_reported_without_its_value() {
    let cases = [
        "{ env = \"UNSET\" }",
        "{ env = \"EMPTY\" }",
        "{ env = \"TWO_LINES\" }",
        "{ file = \"/nowhere\" }",
        "{ file = \"/run/secrets/empty\" }",
        "{ env = \"sk-the-real-thing\" }",
        "\"sk-the-real-thing\"",
        "{ env = \"OPENAI_API_KEY\", file = \"/run/secrets/mirror\" }",
        "{ }",
        "[\"sk-the-real-thing\"]",
        "{ value = \"sk-the-real-thing\" }",
        "{ env = \"0123456789abcdef0123456789abcdef\" }",
        "{ file = \"sk-0123456789abcdef0123456789abcdef\" }",
    ];
    let errors =
        |case: &&str| fails(&provider(case)).lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
    let printed: String = cases.iter().map(errors).collect();
    assert!(!printed.contains(CREDENTIAL) && !printed.contains("0123456789abcdef"), "{printed}");
    insta::assert_snapshot!(printed);
}

#[test]
fn a_missing_credential_names_the_usual_variable() {
    let printed = fails("[providers.openai]\n");
    assert!(printed.contains("`api_key` is missing; write `api_key = { env = \"OPENAI_API_KEY\" }`"), "{printed}");
}

#[test]
fn nothing_that_is_shown_holds_a_credential() {
    let snapshot = passes(include_str!("fixtures/everything.toml"));
    let shown = format!(
        "{snapshot:?} {:?} {:?} {:?} {} {:?}",
        snapshot.providers,
        snapshot.models,
        snapshot.workflows,
        config::explain(&snapshot),
        config::diff(&passes(""), &snapshot),
    );
    assert!(!shown.contains(CREDENTIAL) && shown.contains("/run/secrets/mirror"), "{shown}");
}
