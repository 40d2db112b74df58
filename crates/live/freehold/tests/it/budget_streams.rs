//! A streamed answer holds a part of what it can cost, takes more while it comes, and where a hard budget has no more it ends with
//! the word of the client's dialect for a cap.

use crate::harness::{Simulator, Site};

fn configuration(simulator: &Simulator) -> String {
    let workflows: String = [("w", "0.53", "refuse"), ("small", "0.06", "refuse"), ("soft", "0.06", "notify")]
        .iter()
        .map(|(name, limit, at_limit)| {
            format!(
                "\n[workflows.{name}]\ncriticality = \"only\"\n\
                 budget = {{ limit = \"{limit} USD\", per = \"total\", at_limit = \"{at_limit}\" }}\n"
            )
        })
        .collect();
    format!(
        r#"
[providers.sim]
dialect = "openai-chat"
base_url = "http://{}/sim/v1"

[models.sim]
provider = "sim"
model = "sim-1"
max_output_tokens = 100000
price = {{ input = "0", output = "100" }}

[lanes.sim]
class = "A"
models = ["sim"]
pick = "cheapest"

[criticality.only]
lanes = ["sim"]
{workflows}
[workflows.capped]
criticality = "only"
max_output_tokens = 20
"#,
        simulator.address
    )
}

/// 2,000 tokens at 0.0001 USD: 0.20 USD an answer.
const SCENARIO: &str = "[providers.sim]\noutput_tokens = 2000\ntokens_per_second = 20000\n";

const DIALECTS: [(&str, &str, &str); 4] = [
    (
        "/v1/chat/completions",
        r#"{"model":"WORKFLOW","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#,
        "\"finish_reason\":\"length\"",
    ),
    (
        "/v1/messages",
        r#"{"model":"WORKFLOW","stream":true,"max_tokens":50000,"messages":[{"role":"user","content":"Hello"}]}"#,
        "\"stop_reason\":\"max_tokens\"",
    ),
    (
        "/v1/responses",
        r#"{"model":"WORKFLOW","stream":true,"store":false,"input":"Hello"}"#,
        "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}",
    ),
    (
        "/gemini/v1beta/models/WORKFLOW:streamGenerateContent?alt=sse",
        r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
        "\"finishReason\":\"MAX_TOKENS\"",
    ),
];

#[test]
fn a_stream_takes_more_while_it_comes_and_ends_in_its_dialects_word_when_there_is_no_more() {
    let scratch = testkit::scratch_dir("budget-streams");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    for (number, (path, body, word)) in DIALECTS.iter().enumerate() {
        let site = Site::new(&format!("budget-streams-{number}"), &configuration(&simulator));
        let freehold = site.start();
        let ask = |workflow: &str| {
            let (path, body) = (path.replace("WORKFLOW", workflow), body.replace("WORKFLOW", workflow));
            freehold.post(&path, &body)
        };
        // A soft budget goes on, and what it overshoots by is booked. Two answers tell how many bytes a token of this model has.
        for times in [1, 2] {
            let soft = ask("soft");
            assert!(soft.status == 200 && !soft.text().contains(word), "{path}");
            let settled = "freehold_budget_settled_nano_usd{scope=\"workflow soft\",per=\"total\"}";
            assert!(
                freehold.metrics().contains(&format!("{settled} {}", times * 200_000_000)),
                "{}",
                freehold.metrics()
            );
        }
        // 1,024 tokens are held at first, 2,000 come.
        let whole = ask("w");
        assert_eq!(whole.status, 200, "{path}: {}", whole.text());
        assert!(!whole.text().contains(word), "{path}: the whole answer came");
        // 0.06 USD are 600 tokens: less than is held of an answer nobody knows the length of.
        assert_eq!(ask("small").status, 429, "{path}");

        let workflows = ["w", "w"];
        let cut = workflows.iter().map(|workflow| ask(workflow)).find(|answer| answer.text().contains(word));
        let cut = cut.or_else(|| Some(ask("w")).filter(|answer| answer.text().contains(word)));
        let cut = cut.unwrap_or_else(|| panic!("{path}: no answer was cut: {}", freehold.metrics()));
        assert_eq!(cut.status, 200);
        assert!(
            cut.text().contains(": freehold: the answer was ended here because the budget of workflow `w`"),
            "{path}"
        );
        let view = freehold.call(cut.header("freehold-call-id").unwrap());
        assert_eq!(view["end"]["failure"]["code"], "budget_cut", "{view}");
        let metrics = freehold.metrics();
        let settled = metrics.lines().find_map(|line| {
            line.strip_prefix("freehold_budget_settled_nano_usd{scope=\"workflow w\",per=\"total\"} ")
        });
        let settled: i64 = settled.unwrap().parse().unwrap();
        // What a budget still has is used.
        assert!((410_000_000..=530_000_000).contains(&settled), "{path}: {settled}");
        assert!(metrics.contains("freehold_budget_held_nano_usd{scope=\"workflow w\",per=\"total\"} 0"), "{metrics}");
        assert!(freehold.metrics().contains("freehold_overrun_nano_usd_total 0"), "{}", freehold.metrics());
    }
}

#[test]
fn an_answer_that_our_cap_cut_says_so() {
    let scratch = testkit::scratch_dir("budget-cap");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("budget-cap", &configuration(&simulator));
    let freehold = site.start();
    let cut = freehold.chat("capped", "");
    assert_eq!((cut.status, cut.header("freehold-output-cap")), (200, Some("20")), "{}", cut.text());
    let losses = cut.header("freehold-loss").unwrap();
    assert!(losses.contains("a cap that Freehold set") && losses.contains("/max_tokens"), "{losses}");
    let own = freehold.chat("capped", r#","max_tokens":20"#);
    assert_eq!((own.header("freehold-output-cap"), own.header("freehold-loss")), (None, None), "the client's own cap");
    let view = freehold.call(cut.header("freehold-call-id").unwrap());
    assert!(view.to_string().contains("a cap that Freehold set"), "{view}");
}
