//! A hard budget holds however many calls race for it, and nothing stays reserved afterwards.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::{Simulator, Site, eventually};
use crate::http::Connection;

/// Every answer has exactly ten tokens and only output is priced, so a call's bound is what it costs: 0.01 USD.
fn configuration(address: std::net::SocketAddr, budget: &str) -> String {
    format!(
        r#"
[providers.sim]
dialect = "openai-chat"
base_url = "http://{address}/sim/v1"
api_key = {{ env = "SIM_KEY" }}

[models.sim]
provider = "sim"
model = "sim-1"
price = {{ input = "0", output = "1000" }}

[models.cheap]
provider = "sim"
model = "sim-cheap"
price = {{ input = "0", output = "1" }}

[lanes.sim]
class = "A"
models = ["sim"]
pick = "best"

[lanes.cheap]
class = "C"
models = ["cheap"]
pick = "cheapest"

[criticality.only]
lanes = ["sim"]

[criticality.both]
lanes = ["sim", "cheap"]

[workflows.w]
criticality = "only"
budget = {{ limit = "{budget} USD", per = "total", at_limit = "refuse" }}

[workflows.down]
criticality = "both"
budget = {{ limit = "0.015 USD", per = "total", at_limit = "downgrade" }}

[workflows.free]
criticality = "only"
"#
    )
}

const SCENARIO: &str = "[providers.sim]\noutput_tokens = 10\nfirst_token_ms = { from = 5, to = 60 }\n";

#[test]
fn a_thousand_calls_on_a_budget_worth_a_hundred_are_served_exactly_a_hundred_times() {
    let scratch = testkit::scratch_dir("budget-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("budget", &configuration(simulator.address, "1.00"));
    let freehold = site.start();
    let served = AtomicU32::new(0);
    let refused = AtomicU32::new(0);
    let authorization = format!("Bearer {}", freehold.key);
    std::thread::scope(|scope| {
        for thread in 0..1000 {
            let (served, refused, authorization, gateway) = (&served, &refused, &authorization, freehold.gateway);
            let started = std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, move || {
                let stream = if thread % 2 == 0 { "true" } else { "false" };
                let body = format!(
                    r#"{{"model":"w","max_tokens":10,"stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#
                );
                let headers = [("authorization", authorization.as_str())];
                let answer = Connection::open(gateway)
                    .unwrap()
                    .exchange("POST", "/v1/chat/completions", &headers, body.as_bytes())
                    .unwrap();
                match answer.status {
                    200 => served.fetch_add(1, Ordering::Relaxed),
                    429 => {
                        let code = answer.header("freehold-error").unwrap();
                        assert!(matches!(code, "budget_spent" | "budget_reserved"), "{}", answer.text());
                        refused.fetch_add(1, Ordering::Relaxed)
                    }
                    other => panic!("{other}: {}", answer.text()),
                };
            });
            started.unwrap();
        }
    });
    assert_eq!((served.into_inner(), refused.into_inner()), (100, 900));
    let metrics = freehold.metrics();
    assert!(
        metrics.contains("freehold_budget_settled_nano_usd{scope=\"workflow w\",per=\"total\"} 1000000000"),
        "{metrics}"
    );
    assert!(metrics.contains("freehold_budget_held_nano_usd{scope=\"workflow w\",per=\"total\"} 0"), "{metrics}");
    assert_eq!(freehold.stop(), Some(0));
    let rows = crate::harness::ledger(&site.data());
    let attempts: std::collections::BTreeSet<_> = rows.iter().map(|row| row["attempt"].to_string()).collect();
    assert_eq!(attempts.len(), 100);
    // The budget is still spent after a restart.
    let freehold = site.start();
    assert_eq!(freehold.chat("w", r#","max_tokens":10"#).status, 429);
}

#[test]
fn a_spent_budget_downgrades_to_a_cheaper_lane_and_says_so() {
    let scratch = testkit::scratch_dir("downgrade-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("downgrade", &configuration(simulator.address, "1.00"));
    let freehold = site.start();
    let models: Vec<String> = (0..4)
        .map(|_| {
            let answer = freehold.chat("down", r#","max_tokens":10"#);
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.header("freehold-model").unwrap().to_owned()
        })
        .collect();
    assert_eq!(models, ["sim", "cheap", "cheap", "cheap"]);
}

#[test]
fn a_keys_budget_holds_beside_the_workflows_and_its_limits_refuse_with_the_wait() {
    let scratch = testkit::scratch_dir("key-budget-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("key-budget", &configuration(simulator.address, "1.00"));
    let freehold = site.start();
    let poor = site.key(&["--label", "poor", "--budget", "0.02 USD per day"]);
    let slow = site.key(&["--label", "slow", "--requests-per-minute", "2"]);
    let body = r#"{"model":"free","max_tokens":10,"messages":[{"role":"user","content":"Hello"}]}"#;
    eventually("the keys are known", || {
        (freehold.post_as(&slow, "/v1/chat/completions", "{").header("freehold-error") == Some("bad_request"))
            .then_some(())
    });
    let statuses: Vec<u16> = (0..3).map(|_| freehold.post_as(&poor, "/v1/chat/completions", body).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let refused = freehold.post_as(&poor, "/v1/chat/completions", body);
    assert!(
        refused.text().contains("the budget of key") && refused.text().contains("0.02 of 0.02 USD"),
        "{}",
        refused.text()
    );
    let answers: Vec<_> = (0..3).map(|_| freehold.post_as(&slow, "/v1/chat/completions", body)).collect();
    let last = answers.last().unwrap();
    assert_eq!((last.status, last.header("freehold-error")), (429, Some("key_limit")));
    assert!(last.header("retry-after-ms").unwrap().parse::<u64>().unwrap() > 10_000);
}
