//! A workflow that refuses what a translation would lose: the call goes where nothing is lost, or nowhere.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::{Simulator, Site};
use crate::http::Answer;

const SCENARIO: &str = "[transcript]\nbodies = true\n\n[providers.claude]\ndialect = \"anthropic\"\noutput_tokens = 10\n\n\
                        [providers.gpt]\ndialect = \"openai-chat\"\noutput_tokens = 10\n\n\
                        [providers.gemini]\ndialect = \"gemini\"\noutput_tokens = 10\n";

/// A workflow per set of lanes, each of one model; all refuse losses but `reports`.
fn configuration(address: SocketAddr) -> String {
    let provider = |name: &str, dialect: &str, version: &str| {
        format!(
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/{name}/{version}\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\nprice = {{ input = \"3.00\", output = \"15.00\" }}\n\n\
             [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"cheapest\"\n\n"
        )
    };
    let workflow = |name: &str, lanes: &str, more: &str| {
        format!(
            "[criticality.{name}]\nlanes = [{lanes}]\n\n[workflows.{name}]\ncriticality = \"{name}\"\n\
             {more}\n\n"
        )
    };
    let refuse = "on_loss = \"refuse\"";
    [
        provider("claude", "anthropic", "v1"),
        provider("gpt", "openai-chat", "v1"),
        provider("gemini", "gemini", "v1beta"),
        workflow("reports", r#""claude""#, ""),
        workflow(
            "strict",
            r#""claude", "gemini""#,
            &format!("{refuse}\nbudget = {{ limit = \"10 USD\", per = \"total\" }}"),
        ),
        workflow("uncapped", r#""claude""#, refuse),
        workflow("elsewhere", r#""claude", "gpt""#, refuse),
        workflow("capped", r#""claude""#, "on_loss = \"refuse\"\nmax_output_tokens = 100"),
    ]
    .concat()
}

/// What only a provider of the client's dialect can be told all of.
const LOSSY: &str = r#","max_tokens":50,"logit_bias":{"1":2},"user":"ann""#;

fn code(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("freehold-error"))
}

#[test]
fn a_workflow_that_refuses_losses_sends_a_call_where_nothing_is_lost_or_nowhere() {
    let scratch = testkit::scratch_dir("losses-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("on-loss", &configuration(simulator.address));
    let freehold = site.start();
    let metrics = |line: &str| freehold.metrics().contains(line);

    for stream in ["", r#","stream":true"#] {
        let refused = freehold.chat("strict", &format!("{LOSSY}{stream}"));
        assert_eq!(code(&refused), (400, Some("translation_loss")), "{}", refused.text());
        let error = &refused.json()["error"];
        let message = error["message"].as_str().unwrap();
        for part in ["`claude`", "/logit_bias dropped: ", "openai-chat", r#"`on_loss = "report"`"#] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!((&error["type"], &error["param"]), (&"invalid_request_error".into(), &"/logit_bias".into()));
        let freehold = &error["freehold"];
        assert_eq!((&freehold["blame"], &freehold["retry"]), (&"client".into(), &"no".into()), "{error}");
        assert_eq!(freehold["billed"], false);
        assert_eq!(refused.header("x-should-retry"), Some("false"));
    }
    assert!(simulator.transcript().is_empty(), "what is refused is sent to nobody");
    assert!(metrics("freehold_budget_held_nano_usd{scope=\"workflow strict\",per=\"total\"} 0"));
    assert!(metrics("freehold_budget_settled_nano_usd{scope=\"workflow strict\",per=\"total\"} 0"));

    // The same call where the second lane can be told all of it.
    let elsewhere = freehold.chat("elsewhere", LOSSY);
    assert_eq!((elsewhere.status, elsewhere.header("freehold-model")), (200, Some("gpt")), "{}", elsewhere.text());
    assert_eq!(elsewhere.header("freehold-loss"), None);
    let sent = simulator.transcript();
    assert!(sent.len() == 1 && sent[0].to_string().contains("logit_bias"), "{sent:?}");

    // Nothing is lost of a plain call, so the first lane has it.
    let plain = freehold.chat("elsewhere", r#","max_tokens":50"#);
    assert_eq!((plain.status, plain.header("freehold-model")), (200, Some("claude")), "{}", plain.text());
    // Who does not refuse is told.
    let reported = freehold.chat("reports", LOSSY);
    assert_eq!((reported.status, reported.header("freehold-model")), (200, Some("claude")));
    assert!(reported.header("freehold-loss").unwrap().contains("/logit_bias"));
}

#[test]
fn a_refused_loss_is_an_error_of_each_clients_dialect_and_the_record_of_the_call_says_why() {
    let scratch = testkit::scratch_dir("losses-dialects-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("on-loss-dialects", &configuration(simulator.address));
    let freehold = site.start();

    // `top_k` is known to Anthropic and not to OpenAI.
    let body = r#"{"model":"elsewhere","max_tokens":5,"top_k":3,"messages":[{"role":"user","content":"Hello"}]}"#;
    assert_eq!(freehold.post("/v1/messages", body).header("freehold-model"), Some("claude"));

    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}],"generationConfig":{"maxOutputTokens":9}}"#;
    let refused = freehold.post("/v1beta/models/elsewhere:generateContent", gemini);
    assert_eq!(code(&refused), (400, Some("translation_loss")), "{}", refused.text());
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["status"], &error["details"][0]["reason"]),
        (&"INVALID_ARGUMENT".into(), &"translation_loss".into())
    );
    assert!(error["message"].as_str().unwrap().contains("/safetySettings"), "{error}");
    let kept = freehold.post("/v1beta/models/strict:generateContent", gemini);
    assert_eq!((kept.status, kept.header("freehold-model")), (200, Some("gemini")), "{}", kept.text());

    // Anthropic wants a cap on the output. One that nobody named is a loss; the workflow's own is none.
    let uncapped = freehold.chat("uncapped", "");
    assert_eq!(code(&uncapped), (400, Some("translation_loss")));
    assert!(uncapped.text().contains("/max_tokens approximated: "), "{}", uncapped.text());
    assert_eq!(freehold.chat("capped", "").status, 200);

    let call = refused.header("freehold-call-id").unwrap();
    let view = crate::harness::eventually("the call reaches the store", || {
        let authorization = format!("Bearer {}", freehold.admin_token);
        let path = format!("/api/v1/calls/{call}");
        let headers = [("authorization", authorization.as_str())];
        let answer = crate::http::request(freehold.console, "GET", &path, &headers, b"");
        (answer.status == 200).then(|| answer.json()).filter(|view| !view["end"].is_null())
    });
    let stages = view["end"]["stages"].to_string();
    assert!(stages.contains("claude: ") && stages.contains("`on_loss`"), "{stages}");
    assert_eq!((&view["end"]["attempts"], &view["end"]["cost"]), (&Value::from(0), &Value::from(0)), "{view}");
    let workflow = freehold.admin("/api/v1/workflows");
    assert!(workflow.to_string().contains(r#""on_loss":"refuse""#), "{workflow}");
}
