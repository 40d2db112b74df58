//! Keys are shown once, kept as hashes, and revoked at once; the console's door stays shut without a session.

use crate::harness::{RawProvider, Site, eventually, files, run, text};
use crate::http::request;

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

fn configuration(address: std::net::SocketAddr) -> String {
    format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n"
    )
}

#[test]
fn a_revoked_key_is_refused_and_an_unrevoked_one_goes_on() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("revoke", &configuration(provider.address));
    let freehold = site.start();
    let other = site.key(&["--label", "other"]);
    let body = r#"{"model":"w","messages":[{"role":"user","content":"Hello"}]}"#;
    eventually("a key made beside the server works", || {
        (freehold.post_as(&other, "/v1/chat/completions", body).status == 200).then_some(())
    });
    let id = other.split('_').nth(1).unwrap();
    let (code, out) = run(&["key", "revoke", id, "--data", &text(&site.data())]);
    assert_eq!(code, 0, "{out}");
    let revoked = std::time::Instant::now();
    eventually("a revoked key is refused", || {
        (freehold.post_as(&other, "/v1/chat/completions", body).header("freehold-error") == Some("key_revoked"))
            .then_some(())
    });
    println!("refused {} ms after it was revoked", revoked.elapsed().as_millis());
    assert_eq!(freehold.chat("w", "").status, 200);
}

#[test]
fn no_secret_is_found_in_the_data_the_pages_or_the_list() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("secrets", &configuration(provider.address));
    let freehold = site.start();
    assert_eq!(freehold.chat("w", "").status, 200);
    let (_, listed) = run(&["key", "list", "--data", &text(&site.data()), "--output", "json"]);
    let configuration = freehold.admin("/api/v1/configuration").to_string();
    let (key_secret, token_secret) = (
        freehold.key.rsplit('_').next().unwrap().to_owned(),
        freehold.admin_token.rsplit('_').next().unwrap().to_owned(),
    );
    assert_eq!(freehold.stop(), Some(0));
    let mut everything = vec![listed.into_bytes(), configuration.into_bytes()];
    everything.extend(files(&site.data()).into_iter().map(|(_, bytes)| bytes));
    assert!(everything.len() >= 4);
    for secret in [key_secret.as_str(), token_secret.as_str(), "sim-secret"] {
        let found =
            everything.iter().any(|bytes| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        assert!(!found, "a secret lies in the open");
    }
}

#[test]
fn the_admin_api_and_the_pages_need_a_token() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("door", &configuration(provider.address));
    let freehold = site.start();
    for path in ["overview", "workflows", "lanes", "calls", "configuration", "keys"] {
        let path = format!("/api/v1/{path}");
        for headers in [vec![], vec![("authorization", "Bearer fha_nobody_x")], vec![("authorization", "Bearer")]] {
            assert_eq!(request(freehold.console, "GET", &path, &headers, b"").status, 401, "{path}");
        }
        freehold.admin(&path);
    }
    for path in ["/", "/workflows", "/lanes", "/calls", "/configuration", "/keys"] {
        let answer = request(freehold.console, "GET", path, &[], b"");
        assert_eq!(
            (answer.status, answer.header("location").map(|to| to.starts_with("/login"))),
            (303, Some(true)),
            "{path}"
        );
    }
    // An application's key opens no admin door.
    let authorization = format!("Bearer {}", freehold.key);
    assert_eq!(request(freehold.console, "GET", "/api/v1/keys", &[("authorization", &authorization)], b"").status, 401);
    assert_eq!(request(freehold.console, "GET", "/healthz", &[], b"").status, 200);
    assert_eq!(request(freehold.console, "GET", "/readyz", &[], b"").status, 200);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("lock", &configuration(provider.address));
    let _freehold = site.start();
    let (code, out) = run(&["serve", "--config", &text(&site.file()), "--data", &text(&site.data())]);
    assert_eq!(code, 1);
    assert!(out.contains("another freehold serves"), "{out}");
}

#[test]
fn a_backup_made_while_serving_restores_to_the_same_books_and_keys() {
    let provider = RawProvider::answering_body("application/json", ANSWER.as_bytes());
    let site = Site::new("backup", &configuration(provider.address));
    let freehold = site.start();
    (0..5).for_each(|_| assert_eq!(freehold.chat("w", "").status, 200));
    let (copy, restored) = (site.scratch.path().join("copy"), site.scratch.path().join("restored"));
    let (code, out) = run(&["backup", "--data", &text(&site.data()), "--to", &text(&copy)]);
    assert_eq!(code, 0, "{out}");
    let key = freehold.key.clone();
    assert_eq!(freehold.stop(), Some(0));
    let (code, out) = run(&["restore", "--from", &text(&copy), "--data", &text(&restored)]);
    assert_eq!(code, 0, "{out}");
    std::fs::remove_dir_all(site.data()).unwrap();
    std::fs::rename(&restored, site.data()).unwrap();
    let freehold = site.start_with(key);
    assert_eq!(freehold.chat("w", "").status, 200, "the old key still opens");
    assert_eq!(freehold.stop(), Some(0));
    let attempts: std::collections::BTreeSet<String> =
        crate::harness::ledger(&site.data()).iter().map(|row| row["attempt"].to_string()).collect();
    assert_eq!(attempts.len(), 6);
}

#[test]
fn half_or_damaged_backups_are_refused_and_leave_nothing_in_the_way() {
    let site = Site::new("damaged", "");
    site.key(&["--label", "any"]);
    let (copy, restored) = (site.scratch.path().join("copy"), site.scratch.path().join("restored"));
    let restore = || run(&["restore", "--from", &text(&copy), "--data", &text(&restored)]);
    assert_eq!(run(&["backup", "--data", &text(&site.data()), "--to", &text(&copy)]).0, 0);
    std::fs::write(copy.join("freehold.db"), [7; 20_000]).unwrap();
    let (code, out) = restore();
    assert!(code == 1 && out.contains("damaged") && out.contains("take another backup"), "{out}");
    std::fs::remove_file(copy.join("pepper")).unwrap();
    let (code, out) = restore();
    assert!(code == 1 && out.contains("holds no pepper"), "{out}");
    assert!(!restored.exists());
}
