//! A configuration is checked as a whole, explained, and taken over while calls run; a bad one changes nothing.

use crate::harness::{RawProvider, Site, eventually, run, text};

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"NAME"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

fn provider(name: &str) -> RawProvider {
    RawProvider::answering_body("application/json", ANSWER.replace("NAME", name).as_bytes())
}

fn configuration(address: std::net::SocketAddr) -> String {
    format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n"
    )
}

#[test]
fn every_problem_is_listed_with_its_line_and_the_exit_code_is_one() {
    let site = Site::new(
        "problems",
        "[models.m]\nprovider = \"nobody\"\nmodel = \"v\"\ntypo = 1\n\n[workflows.w]\ncriticality = \"gone\"\nredact = \"standard\"\nprompt = \"p\"\n",
    );
    let (code, out) = run(&["check", &text(&site.file())]);
    assert_eq!(code, 1);
    for expected in ["freehold.toml:6", "nobody", "typo", "gone", "redact", "prompt"] {
        assert!(out.contains(expected), "{expected} in {out}");
    }
    let (code, serve) = run(&["serve", "--config", &text(&site.file()), "--data", &text(&site.data())]);
    assert_eq!(code, 1);
    assert!(serve.contains("nobody"), "{serve}");
}

#[test]
fn a_good_file_is_explained_without_its_secrets_and_compared_with_what_runs() {
    let provider = provider("one");
    let site = Site::new("explain", &configuration(provider.address));
    let freehold = site.start();
    let (code, out) = run(&["check", &text(&site.file())]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("w") && out.contains("v") && !out.contains("sim-secret"), "{out}");
    let console = format!("http://{}", freehold.console);
    let other = site.scratch.path().join("other.toml");
    std::fs::write(&other, std::fs::read_to_string(site.file()).unwrap().replace("output = \"1\"", "output = \"2\""))
        .unwrap();
    let compared = ["check", &text(&other), "--against", &console, "--admin-token", &freehold.admin_token];
    let (code, out) = run(&compared);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("Against what runs") && !out.contains("nothing would change"), "{out}");
}

#[test]
fn a_new_file_is_taken_over_and_a_bad_one_keeps_the_last_good_and_says_so() {
    let (one, two) = (provider("one"), provider("two"));
    let site = Site::new("reload", &configuration(one.address));
    let freehold = site.start();
    let says = |freehold: &crate::harness::Freehold| {
        freehold.chat("w", "").json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(says(&freehold), "one");
    site.configure(&configuration(two.address));
    eventually("the new file is taken over by itself", || (says(&freehold) == "two").then_some(()));
    site.configure("[workflows.w]\ncriticality = \"gone\"\n");
    freehold.reload();
    eventually("the metric tells", || freehold.metrics().contains("freehold_configuration_rejected 1").then_some(()));
    let rejected = freehold.admin("/api/v1/configuration")["rejected"].to_string();
    assert!(rejected.contains("gone"), "{rejected}");
    assert_eq!(says(&freehold), "two", "the last good one still runs");
    site.configure(&configuration(one.address));
    eventually("a mended file is taken over", || (says(&freehold) == "one").then_some(()));
    assert!(freehold.metrics().contains("freehold_configuration_rejected 0"));
}
