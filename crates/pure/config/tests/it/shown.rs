//! What people are shown: what a configuration resolves to, and what another one would change.

use crate::{design, passes};

#[test]
fn a_configuration_is_explained_workflow_by_workflow() {
    let text = include_str!("fixtures/everything.toml");
    let explained = config::explain(&passes(&design())) + "\n---\n" + &config::explain(&passes(text));
    // The revision follows every word of the fixtures; that it is stable is tested elsewhere.
    let lines = explained.lines().map(|line| if line.starts_with("revision ") { "revision …" } else { line });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_same_configuration_changes_nothing() {
    assert_eq!(
        config::diff(&passes(&design()), &passes(&format!("# moved down\n\n{}", design()))),
        Vec::<String>::new()
    );
}

#[test]
fn a_change_is_told_in_sentences() {
    let changed = design()
        .replace("500 USD", "400 USD")
        .replace("residency = [\"eu\"]\n", "max_output_tokens = 500\n")
        .replace("2.10", "3.10")
        .replace("\"gpt-4o\" =", "\"gpt-5\" =")
        .replace("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
        .replace("class = \"A\"", "class = \"B\"")
        + "[server]\nlisten = \"127.0.0.1:8000\"\n[models.spare]\nprovider = \"gpu-hall\"\nmodel = \"spare\"\n\
           [workflows.digest]\ncriticality = \"high\"\n";
    insta::assert_snapshot!(config::diff(&passes(&design()), &passes(&changed)).join("\n"));
}

#[test]
fn what_a_running_server_does_not_follow_is_told_apart() {
    let changed = design() + "[server]\nlisten = \"127.0.0.1:8000\"\ndrain_ms = 1\n";
    let waits = config::waits_for_start(&passes(&design()), &passes(&changed));
    assert_eq!(waits, ["server: listen (at the next start) changes from 127.0.0.1:7400 to 127.0.0.1:8000"]);
}

#[test]
fn contracts_capacity_and_whom_it_tells_are_compared_as_well() {
    let bought = |commitment: &str, units: u32, host: &str| {
        design()
            + &format!(
                "\n[contracts.deal]\nprovider = \"anthropic\"\nfrom = 2026-07-01\nuntil = 2027-07-01\ncommitment = \"{commitment}\"\n\
                 volume = [{{ above = \"10000 USD\", discount_percent = \"5\" }}]\n\
                 [capacity.east]\nmodels = [\"sonnet\"]\nunits = {units}\nunit_hour = \"3 USD\"\ntokens_per_minute = 1000\nfrom = 2026-11-21\n\
                 [notify]\nurl = \"https://{host}/hook\"\nsecret = {{ env = \"ANTHROPIC_API_KEY\" }}\n"
            )
    };
    let (before, after) = (passes(&bought("100 USD", 2, "a.example")), passes(&bought("200 USD", 3, "b.example")));
    assert_eq!(
        config::diff(&before, &after),
        [
            "contract `deal`: commitment changes from 100.00 USD to 200.00 USD",
            "capacity `east`: units changes from 2 to 3",
            "the `notices`: address changes from https://a.example/hook to https://b.example/hook",
        ]
    );
    let added = config::diff(&passes(&design()), &before);
    let contract = added.iter().find(|sentence| sentence.starts_with("contract `deal` is added: provider anthropic"));
    let contract = contract.unwrap_or_else(|| panic!("{added:?}"));
    assert!(contract.contains("until 2027-07-01; volume 5 % off above 10000.00 USD"), "{contract}");
}

#[test]
fn what_is_gone_is_told_too() {
    let kept = "[server]\nlisten = \"127.0.0.1:7400\"\n";
    insta::assert_snapshot!(config::diff(&passes(&design()), &passes(kept)).join("\n"));
}

#[test]
fn a_configuration_of_another_machine_is_compared_without_its_secrets() {
    let here = passes(include_str!("fixtures/everything.toml"));
    let text = here.text.replace("/run/secrets/mirror", "/elsewhere").replace("/etc/freehold/ca.pem", "/elsewhere.pem");
    let there = config::check_elsewhere("running", &text, &crate::made_up_catalog(), crate::NOW).unwrap();
    let changes = config::diff(&there, &here);
    assert_eq!(
        changes,
        [
            "server: ca_file changes from /elsewhere.pem to /etc/freehold/ca.pem",
            "provider `azure`: identity changes from entra-client-secret (file `/elsewhere`, https://login.microsoftonline.us) to entra-client-secret (file `/run/secrets/mirror`, https://login.microsoftonline.us)",
            "provider `mirror`: credential changes from file `/elsewhere` to file `/run/secrets/mirror`",
        ]
    );
}
