//! Who Freehold is to a cloud is read from one named source, and what a catalog's address leaves open is filled in.

use config::AuthScheme;

use crate::{CREDENTIAL, fails, passes};

fn provider(lines: &str) -> String {
    format!("[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"https://p.example/v1\"\n{lines}\n")
}

#[test]
fn each_source_is_read_and_says_what_it_rests_on_without_what_it_is() {
    let cases = [
        (
            r#"identity = { from = "aws-environment", region = "eu-central-1" }"#,
            AuthScheme::AwsSigV4,
            "aws-environment (environment variable `AWS_ACCESS_KEY_ID`, environment variable `AWS_SECRET_ACCESS_KEY`)",
        ),
        (
            r#"identity = { from = "aws-profile", region = "eu-central-1" }"#,
            AuthScheme::AwsSigV4,
            "aws-profile (file `/home/f/.aws/credentials`)",
        ),
        (
            r#"identity = { from = "aws-web-identity", region = "cn-north-1", role_arn = "r", token_file = "/t" }"#,
            AuthScheme::AwsSigV4,
            "aws-web-identity (file `/t`, https://sts.cn-north-1.amazonaws.com.cn)",
        ),
        (
            r#"identity = { from = "aws-instance", region = "eu-central-1" }"#,
            AuthScheme::AwsSigV4,
            "aws-instance (http://169.254.169.254)",
        ),
        (
            r#"identity = { from = "entra-managed-identity" }"#,
            AuthScheme::Entra,
            "entra-managed-identity (http://169.254.169.254)",
        ),
        (
            r#"identity = { from = "entra-workload-identity", tenant = "t", client_id = "c", token_file = "/t" }"#,
            AuthScheme::Entra,
            "entra-workload-identity (file `/t`, https://login.microsoftonline.com)",
        ),
        (
            r#"identity = { from = "google-service-account", file = "/run/google.json" }"#,
            AuthScheme::Google,
            "google-service-account (file `/run/google.json`, https://oauth2.googleapis.com/token)",
        ),
        (
            r#"identity = { from = "google-workload-identity", file = "/run/external.json" }"#,
            AuthScheme::Google,
            "google-workload-identity (file `/run/token`, https://sts.googleapis.com/v1/token)",
        ),
    ];
    for (lines, auth, shown) in cases {
        let snapshot = passes(&provider(lines));
        let provider = &snapshot.providers[0];
        assert_eq!(provider.auth, auth, "{lines}");
        assert_eq!(provider.identity.as_ref().unwrap().to_string(), shown);
        let printed = format!("{provider:?} {:?} {}", provider.identity, config::explain(&snapshot));
        assert!(!printed.contains(CREDENTIAL), "{printed}");
    }
}

#[test]
fn what_an_identity_lacks_is_told_with_what_to_write_and_never_with_a_secret() {
    let cases = [
        ("identity = { }", "`from` is missing"),
        (r#"identity = { from = "aws" }"#, "write one of `aws-environment`"),
        (r#"identity = { from = "aws-instance" }"#, "`region` is missing"),
        (
            r#"identity = { from = "aws-web-identity", region = "eu-west-1", role_arn = "r" }"#,
            "environment variable `AWS_WEB_IDENTITY_TOKEN_FILE` is not set",
        ),
        (r#"identity = { from = "aws-container", region = "eu-west-1" }"#, "run it as an ECS task or an EKS pod"),
        (r#"identity = { from = "entra-client-secret", tenant = "t", client_id = "c" }"#, "`client_secret` is missing"),
        (
            r#"identity = { from = "entra-client-secret", tenant = "t", client_id = "c", client_secret = "sk-the-real-thing" }"#,
            "a credential must not stand in this file",
        ),
        (
            r#"identity = { from = "entra-managed-identity", endpoint = "http://login.example" }"#,
            "tokens would travel unencrypted",
        ),
        (r#"identity = { from = "google-service-account", file = "/run/broken.json" }"#, "is no JSON"),
        (
            r#"identity = { from = "google-service-account", file = "/run/external.json" }"#,
            "not of the type `service_account`",
        ),
        (
            "identity = { from = \"google-metadata\" }\napi_key = { env = \"OPENAI_API_KEY\" }",
            "`api_key` stands beside `identity`",
        ),
    ];
    for (lines, expected) in cases {
        let printed = fails(&provider(lines));
        assert!(printed.contains(expected), "{lines}\n{printed}");
        assert!(!printed.contains(CREDENTIAL), "{printed}");
    }
}

#[test]
fn the_catalogs_address_is_filled_and_its_query_and_scope_are_taken() {
    let snapshot = passes(
        "[providers.cloud]\nfill = { resource = \"own-1\" }\nidentity = { from = \"entra-managed-identity\" }\n",
    );
    let provider = &snapshot.providers[0];
    assert_eq!(provider.base_url.to_string(), "https://own-1.cloud.example/v1");
    assert_eq!(provider.query, [("api-version".to_owned(), "1".to_owned())]);
    let Some(config::Identity::Entra(entra)) = &provider.identity else { panic!("an identity of Entra's") };
    assert_eq!(entra.scope, "https://cloud.example/.default");
}

#[test]
fn what_is_not_filled_or_leads_elsewhere_is_refused() {
    for (lines, expected) in [
        ("", "`fill.resource` is missing; write `fill = { resource = \"…\" }`"),
        ("fill = { resource = \"evil.example/\" }", "cannot stand in an address"),
        ("fill = { resource = \"a\", region = \"b\" }", "leaves no place `region` open"),
        ("base_url = \"https://x.example\"\nfill = { resource = \"a\" }", "there is no place to fill"),
        ("fill = { resource = \"a\" }\nquery = { api-key = \"a b\" }", "must be escaped"),
        ("fill = { resource = \"a\" }\nquery = { key = \"secret\" }", "a credential must not stand in this file"),
        (
            "fill = { resource = \"a\" }\nidentity = { from = \"google-metadata\" }",
            "write one of `entra-client-secret`",
        ),
    ] {
        let printed = fails(&format!("[providers.cloud]\napi_key = {{ env = \"OPENAI_API_KEY\" }}\n{lines}\n"));
        assert!(printed.contains(expected), "{lines}\n{printed}");
    }
}
