//! A model whose provider says that nothing is left is passed over before it has to refuse.

use std::fmt::Write;

use crate::harness::{Simulator, Site};

const SCENARIO: &str = "seed = 1\n\
    [providers.told]\nquota = { requests = 3, window_ms = 600, tells = true }\noutput_tokens = 2\n\
    [providers.untold]\nquota = { requests = 3, window_ms = 600, tells = true }\noutput_tokens = 2\n\
    [providers.spare]\noutput_tokens = 2\n";

#[test]
fn a_load_beyond_the_quota_goes_elsewhere_before_it_is_refused() {
    let site = Site::new("quotas", "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    let mut text = String::new();
    for (provider, more) in [("told", ""), ("untold", "quota_steering = false\n"), ("spare", "")] {
        let address = simulator.address;
        write!(
            text,
            "[providers.{provider}]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/{provider}/v1\"\n{more}\
             api_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.{provider}]\nprovider = \"{provider}\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n"
        )
        .unwrap();
    }
    for first in ["told", "untold"] {
        write!(
            text,
            "[lanes.{first}]\nclass = \"B\"\nmodels = [\"{first}\", \"spare\"]\npick = \"best\"\n\n\
             [criticality.{first}]\nlanes = [\"{first}\"]\n\n[workflows.{first}]\ncriticality = \"{first}\"\n\n"
        )
        .unwrap();
    }
    site.configure(&text);
    let freehold = site.start();
    let count = |provider: &str, status: u16| {
        let is_one = |one: &&serde_json::Value| one["provider"] == provider && one["status"] == status;
        simulator.transcript().iter().filter(is_one).count()
    };
    // The same load for both, far beyond five calls a second, until the one that is steered has used eight windows.
    while count("told", 200) < 24 {
        for workflow in ["told", "untold"] {
            for _ in 0..4 {
                assert_eq!(freehold.chat(workflow, "").status, 200);
            }
        }
    }
    let (steered, unsteered) = (count("told", 429), count("untold", 429));
    println!("429s that reached an attempt: {steered} steered, {unsteered} not, in {} windows", count("told", 200) / 3);
    assert!(steered <= 1 && unsteered >= 4, "{steered} steered, {unsteered} not");

    // What is left is there for whoever watches.
    let metrics = freehold.metrics();
    let gauge = "freehold_quota_limit{model=\"told\",unit=\"requests\",window=\"\"} 3";
    assert!(metrics.contains(gauge) && metrics.contains("freehold_quota_left{model=\"told\""), "{metrics}");
    assert!(!metrics.contains("freehold_quota_limit{model=\"untold\""), "nothing is read where it is switched off");
    let lanes = freehold.admin("/api/v1/lanes").to_string();
    assert!(lanes.contains("\"unit\":\"requests\",\"window\":\"unsaid\"") && lanes.contains("\"limit\":3"), "{lanes}");
}
