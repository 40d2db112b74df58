//! Anomalies through the real gateway: found on the first answer that shows them, the next call goes elsewhere, and calls
//! come back when it is over.

use crate::harness::{Freehold, Simulator, Site};
use crate::http::request;

const SCENARIO: &str = "[providers.dear]\noutput_tokens = 10\nusage = { price = { input_nano_usd = 3000, output_nano_usd = 15000 } }\n\
     [providers.cheap]\noutput_tokens = 10\nusage = { service_tier = \"flex\" }\n";

/// A lane with a dear model whose provider says what it bills, and one with a cheap model.
fn start(name: &str, on_anomaly: &str) -> (Site, Simulator, Freehold) {
    let site = Site::new(name, "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    let provider = |name: &str| {
        format!(
            "[providers.{name}]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/{name}/v1\"\n\n",
            simulator.address
        )
    };
    site.configure(&format!(
        "{}{}[models.sonnet]\nprovider = \"dear\"\nmodel = \"v\"\nprice = {{ input = \"3\", output = \"15\" }}\n\n\
         [models.small]\nprovider = \"cheap\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"2\" }}\n\n\
         [lanes.premium]\nclass = \"A\"\nmodels = [\"sonnet\"]\n{on_anomaly}\n[lanes.standard]\nclass = \"B\"\nmodels = [\"small\"]\n\n\
         [criticality.high]\nlanes = [\"premium\", \"standard\"]\n\n[workflows.w]\ncriticality = \"high\"\n",
        provider("dear"),
        provider("cheap"),
    ));
    let freehold = site.start();
    (site, simulator, freehold)
}

fn script(simulator: &Simulator, provider: &str, script: &str) {
    let answer = request(simulator.address, "POST", &format!("/_script?provider={provider}"), &[], script.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Which model answers, and the identifier of the call.
fn answered(freehold: &Freehold, more: &str) -> (String, String) {
    let answer = freehold.chat("w", more);
    assert_eq!(answer.status, 200, "{}", answer.text());
    (answer.header("freehold-model").unwrap().to_owned(), answer.header("freehold-call-id").unwrap().to_owned())
}

fn decision(freehold: &Freehold, call: &str) -> String {
    let view = freehold.call(call);
    let mut entries = view["entries"].as_array().expect("entries are a list").iter();
    let record = entries.find(|entry| entry["kind"] == "record").expect("the call made an attempt");
    record["decision"].as_str().expect("every record has one").to_owned()
}

#[test]
fn a_doubled_price_moves_the_next_call_and_when_it_is_over_calls_come_back() {
    let (_site, simulator, freehold) = start("anomaly-price", "on_anomaly = { price = \"change_lane\" }\n");
    assert_eq!(answered(&freehold, "").0, "sonnet");
    let priced = |times: u64| {
        format!(
            "output_tokens = 10\nusage = {{ price = {{ input_nano_usd = {}, output_nano_usd = {} }} }}\n",
            3000 * times,
            15000 * times
        )
    };
    script(&simulator, "dear", &priced(2));
    assert_eq!(answered(&freehold, "").0, "sonnet", "the first affected answer shows it");

    // One in twenty goes on to find out whether it is over, and says so; all others have left with the very next call.
    let calls: Vec<(String, String)> = (0..60).map(|_| answered(&freehold, "")).collect();
    let (left, stayed): (Vec<_>, Vec<_>) = calls.iter().partition(|(model, _)| model == "small");
    assert!(stayed.len() <= 20, "{} of 60 stayed", stayed.len());
    let why = "realised price 2.0 × the catalogue's";
    for (_, call) in left.iter().take(3) {
        let said = decision(&freehold, call);
        assert!(said.starts_with("standard: premium: sonnet left alone since ") && said.contains(why), "{said}");
    }
    for (_, call) in &stayed {
        let said = decision(&freehold, call);
        assert!(said.ends_with(&format!("finds out whether it is over: {why}")), "{said}");
    }
    let view = freehold.admin("/api/v1/anomalies");
    assert_eq!(view["anomalies"][0]["subject"], "model sonnet");
    assert_eq!(
        (&view["anomalies"][0]["moves"], &view["anomalies"][0]["until"]),
        (&true.into(), &serde_json::Value::Null)
    );
    assert!(freehold.metrics().contains("freehold_anomaly{kind=\"price\",subject=\"model sonnet\"} 1"));
    let alarms = freehold.admin("/api/v1/overview")["alarms"].to_string();
    assert!(alarms.contains("its calls go elsewhere until it is over"), "{alarms}");

    script(&simulator, "dear", &priced(1));
    let mut calls = 0;
    while freehold.admin("/api/v1/anomalies")["anomalies"][0]["until"].is_null() {
        answered(&freehold, "");
        calls += 1;
        assert!(calls < 2_000, "calls never came back");
    }
    let back: Vec<(String, String)> = (0..5).map(|_| answered(&freehold, "")).collect();
    assert!(back.iter().all(|(model, _)| model == "sonnet"), "{back:?}");
    assert_eq!(decision(&freehold, &back[0].1), "premium: first of 1 as declared");
}

#[test]
fn a_lower_tier_than_was_asked_for_moves_calls_where_the_lane_says_so_and_is_told_where_not() {
    for (name, on_anomaly, moves) in
        [("anomaly-tier", "on_anomaly = { tier = \"change_lane\" }\n", true), ("anomaly-told", "", false)]
    {
        let (_site, _simulator, freehold) = start(name, on_anomaly);
        let flex = ",\"service_tier\":\"flex\"";
        assert_eq!(answered(&freehold, flex).0, "sonnet");
        let models: Vec<String> = (0..40).map(|_| answered(&freehold, flex).0).collect();
        let left = models.iter().filter(|model| *model == "small").count();
        assert_eq!(left >= 25, moves, "{left} of 40 left");
        assert_eq!(left == 0, !moves);
        let found = &freehold.admin("/api/v1/anomalies")["anomalies"][0];
        assert_eq!((&found["kind"], &found["moves"]), (&"tier".into(), &moves.into()));
        assert_eq!(found["sentence"], "served as `default` where `flex` was asked for, at 1.0 × the price");
    }
}
