//! What applications say of answers, through the real gateway: verdicts burn a lane's budget of quality, and calls move on.

use crate::harness::{Freehold, RawProvider, Site, eventually};
use crate::http::Answer;

const BODY: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#;

/// Two lanes with one model each, of which the first promises something.
fn configuration(one: &RawProvider, other: &RawProvider, slo: &str) -> String {
    let model = |name: &str, server: &RawProvider| {
        format!(
            "[providers.{name}]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n",
            server.address
        )
    };
    [
        model("careless", one).as_str(),
        &model("careful", other),
        &format!("[lanes.premium]\nclass = \"A\"\nmodels = [\"careless\"]\nslo = {{ {slo} }}\n\n"),
        "[lanes.own]\nclass = \"C\"\nmodels = [\"careful\"]\n\n",
        "[criticality.routine]\nlanes = [\"premium\", \"own\"]\n\n[workflows.digest]\ncriticality = \"routine\"\n",
    ]
    .concat()
}

/// One call, and what its answer is known by.
fn asked(freehold: &Freehold) -> String {
    let answer = freehold.chat("digest", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("freehold-call-id").unwrap().to_owned()
}

fn judge(freehold: &Freehold, call: &str, good: bool) -> Answer {
    freehold.post("/v1/feedback", &format!(r#"{{"call":"{call}","good":{good}}}"#))
}

fn events(freehold: &Freehold) -> String {
    freehold.admin("/api/v1/lanes")[0]["standing"]["promises"][0]["reading"]["events"].to_string()
}

#[test]
fn answers_that_are_judged_bad_burn_the_lanes_quality_and_calls_move_to_the_next_lane() {
    let answering = || RawProvider::answering_body("application/json", BODY.as_bytes());
    let (one, other) = (answering(), answering());
    let site = Site::new("feedback-burn", &configuration(&one, &other, "judged_good = \"95%\""));
    let freehold = site.start();
    let calls: Vec<String> = (0..40).map(|_| asked(&freehold)).collect();
    assert_eq!(events(&freehold), r#"{"bad":0,"good":0}"#, "what nobody judged is neither");
    for call in &calls {
        let judged = judge(&freehold, call, false);
        assert_eq!((judged.status, judged.json()["lane"].as_str()), (200, Some("premium")), "{}", judged.text());
    }
    // Said again it is counted once, and a later verdict replaces the first.
    assert_eq!(judge(&freehold, &calls[0], false).status, 200);
    assert_eq!(judge(&freehold, &calls[1], true).status, 200);
    assert_eq!(events(&freehold), r#"{"bad":39,"good":1}"#);

    let moved = eventually("a call is moved", || {
        let view = freehold.call(&asked(&freehold));
        let decision = view["entries"].as_array().unwrap().iter().rev().find_map(|entry| entry["decision"].as_str());
        decision.filter(|decision| decision.contains("moved away")).map(str::to_owned)
    });
    assert!(
        moved.starts_with("own: moved away from premium (quality burns 19.5 times its budget of errors over 1 h"),
        "{moved}"
    );
    let metrics = freehold.metrics();
    for line in [
        "freehold_lane_events{lane=\"premium\",indicator=\"quality\",verdict=\"bad\"} 39",
        "freehold_lane_level{lane=\"premium\"} 4",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }

    // The counts outlive the process; its answers can be judged no more, and it says so.
    assert_eq!(freehold.stop(), Some(0));
    let freehold = site.start();
    assert_eq!(events(&freehold), r#"{"bad":39,"good":1}"#);
    let late = judge(&freehold, &calls[2], true);
    assert_eq!(late.status, 404);
    assert!(late.text().contains("call_not_judged"), "{}", late.text());
}

#[test]
fn verdicts_that_count_nothing_are_refused_with_the_reason() {
    let answering = || RawProvider::answering_body("application/json", BODY.as_bytes());
    let (one, other) = (answering(), answering());
    let site = Site::new("feedback-refused", &configuration(&one, &other, "judged_good = \"95%\""));
    let strangers_key = site.key(&["--label", "stranger", "--direct"]);
    let freehold = site.start();
    let call = asked(&freehold);
    let verdict = format!(r#"{{"call":"{call}","good":false}}"#);
    let stranger = freehold.post_as(&strangers_key, "/v1/feedback", &verdict);
    let unknown = judge(&freehold, "call_00000000000000000000000000", false);
    let scored = freehold.post("/v1/feedback", &format!(r#"{{"call":"{call}","good":true,"score":0.5}}"#));
    let nameless = judge(&freehold, "nothing", true);
    let keyless = freehold.post_as("fh_no_such", "/v1/feedback", &verdict);
    let statuses = [&stranger, &unknown, &scored, &nameless, &keyless].map(|answer| answer.status);
    assert_eq!(statuses, [404, 404, 400, 400, 401]);
    assert!(stranger.text().contains("is no answer that this key may judge"), "{}", stranger.text());
    assert!(scored.text().contains("unknown field `score`"), "{}", scored.text());
    assert_eq!(events(&freehold), r#"{"bad":0,"good":0}"#);
    assert_eq!(freehold.stop(), Some(0));

    let site = Site::new("feedback-off", &configuration(&one, &other, "success = \"99%\""));
    let freehold = site.start();
    let off = judge(&freehold, &asked(&freehold), false);
    assert_eq!(off.status, 404);
    assert!(off.text().contains("no lane counts judged answers"), "{}", off.text());
}
