//! Budgets of organisation, units, workflows, keys and sessions, in money and tokens: each holds, says why it refuses, tells when a
//! share is reached, and goes on once somebody approves.

use crate::harness::{Freehold, Simulator, Site, eventually, run};
use crate::http::Answer;

/// Every answer has ten tokens at 0.001 USD each; the prompt is free.
fn configuration(simulator: &Simulator, budgets: &str) -> String {
    format!(
        r#"
[providers.sim]
dialect = "openai-chat"
base_url = "http://{}/sim/v1"

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
pick = "cheapest"

[lanes.cheap]
class = "C"
models = ["cheap"]
pick = "cheapest"

[criticality.only]
lanes = ["sim"]

[criticality.both]
lanes = ["sim", "cheap"]
{budgets}
"#,
        simulator.address
    )
}

const SCENARIO: &str = "[providers.sim]\noutput_tokens = 10\n";
const TEN: &str = r#","max_tokens":10"#;

fn started(name: &str, budgets: &str) -> (Simulator, Site, Freehold, testkit::ScratchDir) {
    let scratch = testkit::scratch_dir(name);
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new(name, &configuration(&simulator, budgets));
    let freehold = site.start();
    (simulator, site, freehold, scratch)
}

fn refused(answer: &Answer) -> (u16, String, String) {
    let code = answer.header("freehold-error").unwrap_or("none").to_owned();
    (answer.status, code, answer.text().to_owned())
}

/// Attempts that the store has.
fn attempts(freehold: &Freehold) -> usize {
    let rows = freehold.ledger();
    rows.iter().map(|row| row["attempt"].to_string()).collect::<std::collections::BTreeSet<_>>().len()
}

fn metric(freehold: &Freehold, line: &str) -> bool {
    freehold.metrics().lines().any(|other| other == line)
}

#[test]
fn each_scope_holds_for_all_below_it_and_the_refusal_names_it() {
    let budgets = r#"
[organisation]
budgets = [{ limit = "0.05 USD", per = "rolling 24h" }]

[units.claims]
budgets = [{ limit = "0.03 USD", per = "month", zone = "Europe/Berlin" }]

[workflows.triage]
criticality = "only"
unit = "claims"
budgets = [{ limit = "0.02 USD", per = "total" }]

[workflows.letters]
criticality = "only"
unit = "claims"

[workflows.other]
criticality = "only"
"#;
    let (_simulator, site, freehold, _scratch) = started("budget-scopes", budgets);
    let ask = |workflow: &str| freehold.chat(workflow, TEN);
    assert_eq!([ask("triage").status, ask("triage").status], [200, 200]);
    let (status, code, said) = refused(&ask("triage"));
    assert_eq!((status, code.as_str()), (429, "budget_spent"), "{said}");
    for part in ["workflow `triage` per total", "0.02 of 0.02 USD booked", "0.00 USD held", "up to 0.01 USD", "never"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(ask("letters").status, 200);
    let (_, code, said) = refused(&ask("letters"));
    assert!(code == "budget_spent" && said.contains("unit `claims` per month Europe/Berlin"), "{said}");
    assert!(said.contains("starts anew on "), "{said}");
    assert_eq!([ask("other").status, ask("other").status], [200, 200]);
    let (_, code, said) = refused(&ask("other"));
    assert!(code == "budget_spent" && said.contains("the organisation per rolling 24h"), "{said}");
    assert!(said.contains("until enough has left the window, on "), "{said}");
    assert!(metric(&freehold, "freehold_budget_held_nano_usd{scope=\"organisation\",per=\"rolling 24h\"} 0"));
    // After a restart all of it is known again, once the store has it.
    eventually("the store has every attempt", || (attempts(&freehold) == 5).then_some(()));
    assert_eq!(freehold.stop(), Some(0));
    let freehold = site.start();
    let settled = |scope: &str, per: &str, nano: u64| {
        let line = format!("freehold_budget_settled_nano_usd{{scope=\"{scope}\",per=\"{per}\"}} {nano}");
        assert!(metric(&freehold, &line), "{line}: {}", freehold.metrics());
    };
    settled("organisation", "rolling 24h", 50_000_000);
    settled("unit claims", "month Europe/Berlin", 30_000_000);
    settled("workflow triage", "total", 20_000_000);
    assert_eq!(freehold.chat("triage", TEN).status, 429);
}

#[test]
fn tokens_are_counted_beside_money_and_each_session_has_its_own() {
    let budgets = r#"
[workflows.w]
criticality = "only"
budgets = [{ limit = "9 USD", per = "day" }, { limit = "0.02 USD", per = "session" }]
"#;
    let (_simulator, site, freehold, _scratch) = started("budget-tokens", budgets);
    let key = site.key(&["--label", "few", "--budget", "2k tokens per day", "--budget", "5 USD per month"]);
    let body = r#"{"model":"w","max_tokens":10,"messages":[{"role":"user","content":"Hello"}]}"#;
    eventually("the key is known", || {
        (freehold.post_as(&key, "/v1/chat/completions", "{").header("freehold-error") == Some("bad_request"))
            .then_some(())
    });
    let mut served = 0;
    let last = loop {
        let answer = freehold.post_as(&key, "/v1/chat/completions", body);
        if answer.status != 200 {
            break answer;
        }
        served += 1;
        assert!(served < 200, "2,000 tokens are not two hundred calls");
    };
    let (_, code, said) = refused(&last);
    assert!(served >= 50 && code == "budget_spent" && said.contains("of 2000 tokens booked"), "{served}: {said}");

    let in_session = |session: &str| {
        let headers = [("authorization", format!("Bearer {}", freehold.key)), ("freehold-session", session.to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        crate::http::request(freehold.gateway, "POST", "/v1/chat/completions", &headers, body.as_bytes())
    };
    assert_eq!([in_session("a").status, in_session("a").status, in_session("b").status], [200, 200, 200]);
    let (status, _, said) = refused(&in_session("a"));
    assert!(status == 429 && said.contains("session `a` of key") && said.contains("in workflow `w`"), "{said}");
    assert_eq!(in_session("b").status, 200);
    assert_eq!(freehold.chat("w", TEN).status, 200, "a call without a session falls under none");
}

#[test]
fn a_share_is_told_once_then_goes_to_the_cheapest_and_waits_for_an_approval() {
    let budgets = r#"
[workflows.w]
criticality = "both"
[workflows.w.budget]
limit = "0.10 USD"
per = "month"
at = [
    { share = "10%", do = "notify" },
    { share = "25%", do = "downgrade" },
]

[workflows.asks]
criticality = "only"
budget = { limit = "0.02 USD", per = "month", at_limit = "require_approval" }

[workflows.soft]
criticality = "only"
budget = { limit = "0.01 USD", per = "month", at_limit = "notify" }
"#;
    let (_simulator, _site, freehold, _scratch) = started("budget-shares", budgets);
    let models: Vec<String> = (0..4)
        .map(|_| {
            let answer = freehold.chat("w", TEN);
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.header("freehold-model").unwrap().to_owned()
        })
        .collect();
    assert_eq!(models, ["sim", "sim", "cheap", "cheap"]);
    let reached = |scope: &str, per: &str, count: u32| {
        let name = "freehold_budget_thresholds_reached_total";
        metric(&freehold, &format!("{name}{{scope=\"{scope}\",per=\"{per}\",measure=\"USD\"}} {count}"))
    };
    assert!(reached("workflow w", "month", 1), "{}", freehold.metrics());

    // Soft: it goes on, and the overshoot is booked.
    assert_eq!([freehold.chat("soft", TEN).status, freehold.chat("soft", TEN).status], [200, 200]);
    assert!(metric(&freehold, "freehold_budget_settled_nano_usd{scope=\"workflow soft\",per=\"month\"} 20000000"));

    assert_eq!([freehold.chat("asks", TEN).status, freehold.chat("asks", TEN).status], [200, 200]);
    let (status, code, said) = refused(&freehold.chat("asks", TEN));
    assert_eq!((status, code.as_str()), (429, "budget_needs_approval"), "{said}");
    assert!(said.contains("freehold budget approve") && said.contains("workflow asks"), "{said}");
    let console = format!("http://{}", freehold.console);
    let cli = |arguments: &[&str]| {
        let common = ["budget", "--console", &console, "--admin-token", &freehold.admin_token];
        run(&[&common[..], arguments].concat())
    };
    let (status, listed) = cli(&["list"]);
    assert!(status == 0 && listed.contains("workflow asks") && listed.contains("needed from 0.02"), "{listed}");
    assert_eq!(cli(&["approve", "workflow w"]).0, 1, "nothing there waits for an approval");
    assert_eq!(cli(&["approve", "workflow asks", "--amount", "1 EUR"]).0, 1);
    let (status, said) = cli(&["approve", "workflow asks", "--amount", "0.01 USD"]);
    assert!(status == 0 && said.contains("0.01 USD more for workflow asks per month"), "{said}");
    eventually("the approval is seen", || (freehold.chat("asks", TEN).status == 200).then_some(()));
    assert_eq!(refused(&freehold.chat("asks", TEN)).1, "budget_needs_approval");
    assert_eq!(cli(&["approve", "workflow asks"]).0, 0);
    eventually("all that is left is approved", || (freehold.chat("asks", TEN).status == 200).then_some(()));
    let view = freehold.admin("/api/v1/budgets");
    let told = view["reached"].as_array().unwrap();
    assert!(told.iter().any(|one| one["scope"] == "workflow w" && one["share_percent"] == 10), "{view}");
}
