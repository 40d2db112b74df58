//! What is wrong is told all at once, each with its place and a remedy.

use proptest::prelude::*;

use crate::{check, design, fails};

#[test]
fn every_mistake_of_a_file_is_listed_at_once() {
    let printed = fails(include_str!("fixtures/mistakes.toml"));
    assert!(!printed.contains("sk-"), "a credential was printed:\n{printed}");
    assert!(!printed.contains("pass@"), "a password was printed:\n{printed}");
    insta::assert_snapshot!(printed);
}

#[test]
fn broken_syntax_is_one_problem_at_its_place() {
    let printed = fails("[server]\nlisten = \n[models.x\n");
    insta::assert_snapshot!(printed);
}

#[test]
fn a_key_written_twice_is_told_beside_the_other_problems() {
    let printed = fails("[aliases]\n\"gpt-4o\" = \"a\"\n\"gpt-4o\" = \"b\"\n[lanes.x]\n[lanes.x]\nclass = \"D\"\n");
    insta::assert_snapshot!(printed);
}

#[test]
fn an_unknown_tokenizer_is_told_with_those_that_are_known() {
    let with =
        |name: &str| design().replace("model = \"qwen3-32b\"\n", &format!("model = \"q\"\ntokenizer = \"{name}\"\n"));
    let printed = fails(&with("o200k"));
    let reason = "`o200k` is none of its values; did you mean `o200k_base`? write one of `o200k_base`, `cl100k_base`, `o200k_harmony`";
    assert!(printed.contains("models.qwen-own.tokenizer") && printed.contains(reason), "{printed}");
    let snapshot = check(&with("o200k_harmony")).unwrap();
    let own = snapshot.models.iter().find(|model| model.name.as_str() == "qwen-own").unwrap();
    assert_eq!(own.tokenizer.map(|tokenizer| tokenizer.name), Some("o200k_harmony"));
}

#[test]
fn a_budget_over_a_model_without_price_is_an_error_and_without_budget_a_warning() {
    let budgeted = design().replace("price = { gpu_hour_usd", "# price = { gpu_hour_usd");
    let printed = fails(&budgeted);
    assert!(printed.contains("model `qwen-own` has no price, so the budget would refuse every call"), "{printed}");
    let free = budgeted.replace("budget =", "# budget =");
    let warnings = crate::printed(&check(&free).unwrap().warnings);
    assert!(
        warnings.contains("warning: models.qwen-own: has no price: calls to it are booked as unpriced"),
        "{warnings}"
    );
}

#[test]
fn a_residency_that_leaves_nothing_is_an_error() {
    let printed = fails(&design().replace("region = \"eu-de\"", "region = \"us-east-1\""));
    let reason =
        "residency: leaves no model in any lane (`sonnet`: its region is unknown, `qwen-own`: its region is us-east-1)";
    assert!(printed.contains(reason), "{printed}");
}

#[test]
fn a_downgrade_with_nothing_cheaper_is_warned_about() {
    let says = |text: &str| {
        crate::printed(&check(text).unwrap().warnings).contains("no lane of this workflow has a cheaper model")
    };
    let anywhere = design().replace("residency =", "# residency =");
    assert!(!says(&anywhere), "the own model is cheaper");
    assert!(says(&anywhere.replace("[\"premium\", \"own\"]", "[\"premium\"]")));
    assert!(
        says(&anywhere.replace("[\"premium\", \"own\"]", "[\"own\", \"premium\"]")),
        "cheapest first leaves nothing"
    );
}

#[test]
fn a_discount_is_a_share_of_a_price_of_the_catalog() {
    let with = |percent: &str, more: &str| {
        let text = "[providers.openai]\napi_key = { env = \"OPENAI_API_KEY\" }\n[models.m]\nprovider = \"openai\"\n";
        check(&format!("{text}model = \"gpt-small\"\ndiscount_percent = \"{percent}\"\n{more}"))
    };
    let says = |found: Result<_, Vec<_>>| crate::printed(&found.expect_err("the discount is a mistake"));
    assert_eq!(with("15", "").unwrap().models[0].price_at(crate::NOW).unwrap().contract_millionths, Some(850_000));
    for percent in ["0", "100", "120", "-5", "0.00001", "much"] {
        assert!(says(with(percent, "").map(drop)).contains("write what the contract takes off"), "{percent}");
    }
    let own = with("15", "price = { input = \"1\", output = \"2\" }\n");
    assert!(says(own.map(drop)).contains("write the price as you pay it"));
    let unknown = says(with("15", "").map(drop).and_then(|()| {
        check("[providers.openai]\napi_key = { env = \"OPENAI_API_KEY\" }\n[models.m]\nprovider = \"openai\"\nmodel = \"none\"\ndiscount_percent = \"15\"\n").map(drop)
    }));
    assert!(unknown.contains("there is no price in the catalog to take it off"), "{unknown}");
}

#[test]
fn a_region_without_its_multiplier_is_no_price() {
    let text = design().replace(
        "price = { gpu_hour_usd = \"2.10\", tokens_per_second = 5200 }",
        "price = { input = \"1\", output = \"2\", region = [{ region = \"us\" }] }",
    );
    let printed = crate::printed(&check(&text).unwrap_err());
    assert!(printed.contains("write it as { region = \"us\", multiplier = \"1.1\" }"), "{printed}");
}

#[test]
fn what_has_ended_is_warned_about() {
    let text = design().replace("2027-03-01", "2026-03-01").replace("claude-sonnet-4-5", "claude-old");
    let warnings = crate::printed(&check(&text).unwrap().warnings);
    assert!(warnings.contains("these terms expired on 2026-03-01; renew"), "{warnings}");
    assert!(warnings.contains("announced to serve `claude-old` until 2026-06-30 only"), "{warnings}");
}

#[test]
fn a_credential_in_the_clear_across_the_open_network_is_warned_about() {
    let text = "[providers.x]\ndialect = \"openai-chat\"\nbase_url = \"http://x.example/v1\"\napi_key = { env = \"OPENAI_API_KEY\" }\n";
    assert!(crate::printed(&check(text).unwrap().warnings).contains("unencrypted"));
    assert!(!crate::printed(&check(&text.replace("x.example", "10.0.0.5")).unwrap().warnings).contains("unencrypted"));
}

#[test]
fn a_collector_that_spans_cannot_reach_is_an_error() {
    let problems = check("[server]\notlp_endpoint = \"https://collector.example:4318\"\n").unwrap_err();
    assert!(crate::printed(&problems).contains("run a collector beside Freehold"), "{problems:?}");
}

#[test]
fn a_name_with_a_dot_and_without_quotation_marks_is_understood_as_what_it_is() {
    let text = design().replace("[models.sonnet]", "[models.sonnet-4.5]");
    let problems = crate::printed(&check(&text).unwrap_err());
    assert!(problems.contains("a name with a dot stands in quotation marks: `\"sonnet-4.5\"`"), "{problems}");
}

#[test]
fn a_rule_of_what_is_near_says_what_it_lacks_and_is_off_without_a_model() {
    let with = |near: &str| {
        let cache = format!("criticality = \"high\"\ncache = {{ ttl_s = 60, near = {{ {near} }} }}\n");
        design().replacen("criticality = \"high\"\n", &cache, 1)
    };
    let printed = fails(&with("threshold = \"0.4\", compare = \"0.5%\""));
    for part in ["`max_differing` is missing", "near.threshold: is out of range", "0.5% is too small a share"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let good = with("threshold = \"0.95\", max_differing = \"2%\"");
    let warnings = crate::printed(&check(&good).unwrap().warnings);
    assert!(warnings.contains("`near` is off: there is nothing to make vectors with"), "{warnings}");
    let with_model = check(&(good + "[server]\nembedder = \"/m\"\n")).unwrap();
    assert!(!crate::printed(&with_model.warnings).contains("`near` is off"));
}

#[test]
fn an_empty_file_may_run_but_is_told_so() {
    let snapshot = check("").unwrap();
    assert_eq!(snapshot.warnings.len(), 1);
    assert_eq!(snapshot.server, config::Server::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_file_makes_the_check_panic(
        start in 0usize..3000, length in 0usize..40, inserted in "[\\[\\]{}=\"'a-z0-9.,\\n ü_-]{0,12}", everything: bool,
    ) {
        let text = if everything { include_str!("fixtures/everything.toml").to_owned() } else { design() };
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (start, end) = (floor(start), floor(start + length));
        let mangled = format!("{}{inserted}{}", &text[..start], &text[end.max(start)..]);
        if let Err(problems) = check(&mangled) {
            let lines = mangled.lines().count().max(1) + 1;
            for problem in &problems {
                prop_assert!(problem.line >= 1 && problem.line <= lines && problem.column >= 1, "{problem}");
                prop_assert!(!problem.reason.is_empty() && !problem.remedy.is_empty());
            }
            prop_assert!(problems.iter().any(|problem| problem.severity == config::Severity::Error));
        }
    }
}
