//! An answer given once is given again: the same bytes in every dialect, to whom it may be, without a provider and without money.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use crate::harness::{Freehold, Simulator, Site, eventually, text};
use crate::http::{Answer, request};

/// Ten tokens an answer, of which only output is priced: 0.01 USD a call.
const SCENARIO: &str = "[providers.sim]\noutput_tokens = 10\ntokens_per_frame = 1\n\n\
                        [[providers.down.faults]]\nkind = \"server_error\"\n";

/// A provider of each dialect, and the path below its simulator's name.
const PROVIDERS: [(&str, &str); 6] = [
    ("openai-chat", "/v1"),
    ("openai-responses", "/v1"),
    ("anthropic", "/v1"),
    ("gemini", "/v1beta"),
    ("bedrock-converse", ""),
    ("cohere", "/v2"),
];

/// A route of each dialect with its body, whole and streamed; `W` stands for the workflow.
const ROUTES: [(&str, &str); 14] = [
    ("/v1/chat/completions", r#"{"model":"W","messages":[{"role":"user","content":"Hello"}]}"#),
    ("/v1/chat/completions", r#"{"model":"W","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#),
    ("/v1/responses", r#"{"model":"W","input":"Hello"}"#),
    ("/v1/responses", r#"{"model":"W","stream":true,"input":"Hello"}"#),
    ("/v1/messages", r#"{"model":"W","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"#),
    ("/v1/messages", r#"{"model":"W","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"#),
    ("/v1beta/models/W:generateContent", r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#),
    ("/v1beta/models/W:streamGenerateContent?alt=sse", r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#),
    ("/model/W/converse", r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#),
    ("/model/W/converse-stream", r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#),
    (
        "/model/W/invoke",
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"#,
    ),
    (
        "/model/W/invoke-with-response-stream",
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"#,
    ),
    ("/v2/chat", r#"{"model":"W","messages":[{"role":"user","content":"Hello"}]}"#),
    ("/v2/chat", r#"{"model":"W","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#),
];

/// A workflow of each dialect's name whose one model speaks it, and `more`.
fn configuration(address: SocketAddr, more: &str) -> String {
    let mut text = String::new();
    for (dialect, path) in PROVIDERS {
        write!(
            text,
            "[providers.{dialect}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/sim{path}\"\napi_key = {{ env = \"SIM_KEY\" }}\n\
             [models.{dialect}]\nprovider = \"{dialect}\"\nmodel = \"sim-1\"\nregion = \"eu-de\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\
             [lanes.{dialect}]\nclass = \"A\"\nmodels = [\"{dialect}\"]\npick = \"best\"\n\
             [criticality.{dialect}]\nlanes = [\"{dialect}\"]\n\
             [workflows.{dialect}]\ncriticality = \"{dialect}\"\ncache = {{ ttl_s = 3600, replay = \"at_once\" }}\n\n"
        )
        .unwrap();
    }
    text + more
}

fn started(name: &str, more: &str) -> (Simulator, Site, Freehold) {
    let scratch = testkit::scratch_dir(&format!("{name}-scenario"));
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new(name, &configuration(simulator.address, more));
    let freehold = site.start();
    (simulator, site, freehold)
}

/// How many attempts the lines of a ledger are of.
fn attempts(ledger: &[serde_json::Value]) -> usize {
    ledger.iter().map(|line| line["attempt"].as_str().unwrap()).collect::<BTreeSet<_>>().len()
}

fn had(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("freehold-cache").unwrap_or("nothing said")
}

#[test]
fn a_request_said_again_is_answered_with_the_same_bytes_in_every_dialect() {
    let (simulator, site, freehold) = started("cache-dialects", "");
    let mut asked = 0;
    for (workflow, _) in PROVIDERS {
        for (path, body) in ROUTES {
            let (path, body) = (path.replace('W', workflow), body.replace('W', workflow));
            let first = freehold.post(&path, &body);
            // Not so of a provider that has no such route: it is not asked a second time for the same refusal.
            assert_eq!((first.status, had(&first)), (200, "miss"), "{workflow} {path}");
            asked += 1;
            // The same in other words: a space here, an escape there.
            let again = freehold.post(&path, &body.replacen('{', "{ ", 1).replace("Hello", "H\\u0065llo"));
            assert_eq!(had(&again), "hit", "{workflow} {path} {body}");
            assert_eq!(again.body, first.body, "{workflow} {path}");
            assert_eq!(again.header("content-type"), first.header("content-type"));
            assert_eq!(again.header("freehold-model"), first.header("freehold-model"));
            assert_ne!(again.header("freehold-call-id"), first.header("freehold-call-id"));
            assert!(again.header("age").is_some());
        }
    }
    assert_eq!(simulator.transcript().len(), asked, "no hit reached a provider");
    let metrics = freehold.metrics();
    assert!(metrics.contains(r#"freehold_cache_lookups_total{workflow="gemini",outcome="hit"} 14"#), "{metrics}");
    assert_eq!(freehold.stop(), Some(0));
    assert_eq!(attempts(&site.ledger()), asked, "a hit is no attempt, and the books verify");
}

const MORE: &str = r#"
[workflows.budgeted]
criticality = "openai-chat"
budget = { limit = "0.01 USD", per = "total", at_limit = "refuse" }
cache = { ttl_s = 3600 }

[workflows.shared]
criticality = "openai-chat"
cache = { ttl_s = 3600, share = "workflow" }

[workflows.warm]
criticality = "openai-chat"
cache = { ttl_s = 3600, sampled = true }

[workflows.plain]
criticality = "openai-chat"

[providers.down]
dialect = "openai-chat"
base_url = "http://ADDRESS/down/v1"
api_key = { env = "SIM_KEY" }

[models.down]
provider = "down"
model = "sim-1"
price = { input = "1", output = "1" }

[lanes.down]
class = "A"
models = ["down"]
pick = "best"

[criticality.down]
lanes = ["down"]

[workflows.down]
criticality = "down"
cache = { ttl_s = 3600 }
retry = { max_attempts = 1, retries_same = 0 }
"#;

#[test]
fn a_hit_costs_nothing_and_its_call_says_what_it_saved() {
    let (_simulator, site, freehold) = started("cache-money", &MORE.replace("ADDRESS", "127.0.0.1:1"));
    let first = freehold.chat("budgeted", r#","max_tokens":10"#);
    assert_eq!(had(&first), "miss");
    let again = freehold.chat("budgeted", r#","max_tokens":10"#);
    assert_eq!(had(&again), "hit", "the budget is spent, and this costs nothing");
    let other = freehold.chat("budgeted", r#","max_tokens":9"#);
    assert_eq!(other.status, 429, "{}", other.text());
    let first = freehold.call(first.header("freehold-call-id").unwrap());
    let again = freehold.call(again.header("freehold-call-id").unwrap());
    assert_eq!(again["end"]["cost"], 0);
    assert_eq!(again["end"]["attempts"], 0);
    assert_eq!(again["end"]["cache"]["saved"], first["end"]["cost"]);
    assert_eq!(first["end"]["cost"], 10_000_000);
    assert_eq!(again["end"]["cache"]["of"], first["end"]["call"]);
    assert_eq!(again["end"]["cache"]["likeness"], "exact");
    assert_eq!(attempts(&freehold.ledger()), 1);
    let report = crate::harness::run(&["report", "cache", "--output", "json", "--data", &text(&site.data())]).1;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report[0]["exact"]["hits"], &report[0]["exact"]["saved_nano_usd"]), (&1.into(), &10_000_000.into()));
    let shown = freehold.admin("/api/v1/cache");
    let workflows = shown["workflows"].as_array().unwrap();
    let budgeted = workflows.iter().find(|workflow| workflow["workflow"] == "budgeted").unwrap();
    assert_eq!((&budgeted["exact"]["hits"], &budgeted["entries"]), (&1.into(), &1.into()));
}

#[test]
fn an_answer_is_given_to_nobody_else_unless_the_workflow_shares() {
    let (_simulator, site, freehold) = started("cache-tenants", &MORE.replace("ADDRESS", "127.0.0.1:1"));
    let other = site.key(&["--label", "other"]);
    let body = |model: &str| format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
    let ask = |key: &str, model: &str| freehold.post_as(key, "/v1/chat/completions", &body(model));
    eventually("the new key is known", || (ask(&other, "plain").status == 200).then_some(()));
    assert_eq!(had(&ask(&freehold.key, "openai-chat")), "miss");
    assert_eq!(had(&ask(&other, "openai-chat")), "miss");
    assert_eq!(had(&ask(&other, "openai-chat")), "hit");
    assert_eq!(had(&ask(&freehold.key, "shared")), "miss");
    assert_eq!(had(&ask(&other, "shared")), "hit");
    assert_eq!(had(&ask(&other, "plain")), "nothing said");
    // The id of a Responses answer is its key's alone, and so is the answer.
    let respond = |key: &str| freehold.post_as(key, "/v1/responses", r#"{"model":"shared","input":"Hello"}"#);
    assert_eq!(had(&respond(&freehold.key)), "miss");
    assert_eq!(had(&respond(&other)), "miss");
}

#[test]
fn another_residency_model_or_id_is_another_answer_and_what_is_kept_for_nothing_goes() {
    let (simulator, site, freehold) = started("cache-reload", "");
    let text = configuration(simulator.address, "");
    let ask = || freehold.chat("openai-chat", "");
    assert_eq!((had(&ask()), had(&ask())), ("miss", "hit"));
    let workflow = "[workflows.openai-chat]\ncriticality = \"openai-chat\"\n";
    let changes = [
        (workflow.to_owned(), format!("{workflow}residency = [\"eu\"]\n")),
        ("model = \"sim-1\"".to_owned(), "model = \"sim-2\"".to_owned()),
        (workflow.to_owned(), format!("{workflow}max_output_tokens = 99\n")),
    ];
    for (number, (from, to)) in (2..).zip(changes) {
        assert!(text.contains(&from));
        site.configure(&text.replace(&from, &to));
        freehold.reload();
        let loads = format!("freehold_configuration_loads_total {number}");
        eventually("the configuration is taken over", || freehold.metrics().contains(&loads).then_some(()));
        assert_eq!((had(&ask()), had(&ask())), ("miss", "hit"), "{to}");
    }
    site.configure(&text.replace("cache =", "# cache ="));
    freehold.reload();
    eventually("nothing is kept any more", || freehold.metrics().contains("freehold_cache_bytes 0\n").then_some(()));
    assert_eq!(had(&ask()), "nothing said");
}

#[test]
fn what_is_not_to_be_given_again_is_asked_of_a_model_each_time() {
    let scratch = testkit::scratch_dir("cache-passed-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let address = simulator.address.to_string();
    let site = Site::new("cache-passed", &configuration(simulator.address, &MORE.replace("ADDRESS", &address)));
    let freehold = site.start();
    let tools = r#","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#;
    for more in [r#","temperature":0.7"#, r#","n":2"#, tools, r#","store":true"#] {
        for _ in 0..2 {
            assert_eq!(had(&freehold.chat("openai-chat", more)), "pass", "{more}");
        }
    }
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [("authorization", authorization.as_str()), ("cache-control", "no-store")];
    let body = br#"{"model":"openai-chat","messages":[{"role":"user","content":"Hello"}]}"#;
    assert_eq!(had(&request(freehold.gateway, "POST", "/v1/chat/completions", &headers, body)), "pass");
    assert_eq!(had(&freehold.chat("openai-chat", r#","temperature":0"#)), "miss");
    let warm = r#","temperature":0.7"#;
    assert_eq!((had(&freehold.chat("warm", warm)), had(&freehold.chat("warm", warm))), ("miss", "hit"));
    let cut = r#","max_tokens":3"#;
    assert_eq!((had(&freehold.chat("openai-chat", cut)), had(&freehold.chat("openai-chat", cut))), ("miss", "miss"));
    let before = simulator.transcript().len();
    for _ in 0..2 {
        assert_eq!(freehold.chat("down", "").status, 502);
    }
    assert_eq!(simulator.transcript().len(), before + 2, "an error is not given again");
}

#[test]
fn a_revoked_keys_answers_are_thrown_away() {
    let (_simulator, site, freehold) = started("cache-revoked", &MORE.replace("ADDRESS", "127.0.0.1:1"));
    let other = site.key(&["--label", "other"]);
    let body = r#"{"model":"shared","messages":[{"role":"user","content":"Hello"}]}"#;
    eventually("the new key is known", || {
        (freehold.post_as(&other, "/v1/chat/completions", body).status == 200).then_some(())
    });
    assert!(freehold.metrics().contains(r#"freehold_cache_entries{workflow="shared"} 1"#));
    let id = other.split('_').nth(1).unwrap();
    let data = text(&site.data());
    assert_eq!(crate::harness::run(&["key", "revoke", id, "--data", &data]).0, 0);
    eventually("its answers are gone", || {
        (!freehold.metrics().contains(r#"freehold_cache_entries{workflow="shared"}"#)).then_some(())
    });
}
