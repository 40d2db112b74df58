//! Budgets of tokens over what providers do later: a batch takes the most it can use until its results tell how many it used, and
//! what nobody can bound is refused.

use serde_json::{Value, json};

use crate::harness::eventually;
use crate::http::Answer;
use crate::kept::{OPENAI, Stage, TIER, code, id, lines, stage, upload};

fn limited(name: &str, tokens: u32) -> Stage {
    stage(
        name,
        OPENAI,
        &format!("budget = {{ limit = \"{tokens} tokens\", per = \"total\", at_limit = \"refuse\" }}"),
        TIER,
    )
}

fn batch(stage: &Stage) -> Answer {
    let file = id(&upload(&stage.freehold, &stage.freehold.key, &[], Some("batch"), &lines("w")));
    let ask = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    stage.freehold.post("/v1/batches", &ask.to_string())
}

/// What counts on the workflow's budget.
fn counted(stage: &Stage) -> u64 {
    let gauge = "freehold_budget_settled_tokens{scope=\"workflow w\",per=\"total\"} ";
    let metrics = stage.freehold.metrics();
    metrics.lines().find_map(|line| line.strip_prefix(gauge)).unwrap().parse().unwrap()
}

#[test]
fn a_batch_takes_the_most_tokens_it_can_use_until_its_results_tell_how_many_it_used() {
    let stage = limited("kept-tokens", 1_000);
    let made = batch(&stage);
    let most = counted(&stage);
    // Two requests of at most 20 tokens each, and their prompts.
    assert!((42..=1_000).contains(&most), "{most}: {}", made.text());
    let second = batch(&stage);
    assert_eq!(code(&second), (429, Some("budget_spent")), "{}", second.text());
    let path = format!("/v1/batches/{}", id(&made));
    let done = eventually("it is completed", || {
        Some(stage.freehold.ask("GET", &path).json()).filter(|told| told["status"] == "completed")
    });
    let results = stage.freehold.ask("GET", &format!("/v1/files/{}/content", done["output_file_id"].as_str().unwrap()));
    let used = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["response"]["body"]["usage"]["total_tokens"].as_u64().unwrap()
    };
    let used: u64 = results.text().lines().map(used).sum();
    assert!(used < most, "{used} {most}");
    assert_eq!(counted(&stage), used);
}

#[test]
fn a_batch_for_which_there_are_not_enough_tokens_is_not_sent() {
    let stage = limited("kept-tokens-few", 30);
    let refused = batch(&stage);
    assert_eq!(code(&refused), (429, Some("budget_spent")), "{}", refused.text());
    assert_eq!(stage.received().len(), 1, "nothing was sent but the file");
    assert_eq!(counted(&stage), 0);
}

#[test]
fn what_uses_nobody_knows_how_many_tokens_is_refused_where_a_budget_of_tokens_refuses() {
    let stage = limited("kept-tokens-pass", 1_000);
    let text = std::fs::read_to_string(stage.site.file()).unwrap();
    let passing = text.replace("[models.one]", "passthrough = true\n\n[models.one]");
    let passing = passing.replace("price = { input", "price = { requests = \"1000\", input");
    std::fs::write(stage.site.file(), passing).unwrap();
    stage.freehold.reload();
    let refused = eventually("it is passed on", || {
        let body = r#"{"model":"w","text":"Hello"}"#;
        Some(stage.freehold.post("/v1/unheard/of", body)).filter(|answer| answer.status != 404)
    });
    assert_eq!(code(&refused), (400, Some("tokens_uncounted")), "{}", refused.text());
    assert!(refused.text().contains("workflow `w`"), "{}", refused.text());
    assert!(stage.received().is_empty(), "{:?}", stage.received());
}
