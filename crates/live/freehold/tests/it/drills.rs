//! `freehold drill` as a user has it: a script, a configuration, a report, an exit code.

use crate::harness::{Site, run, text};

const CONFIGURATION: &str = "[providers.first]\ndialect = \"openai-chat\"\nbase_url = \"https://first.example/v1\"\n\
     api_key = { env = \"A_KEY_THAT_IS_NOT_SET\" }\n\n[providers.second]\ndialect = \"anthropic\"\n\
     base_url = \"https://second.example/v1\"\napi_key = { file = \"/nowhere/key\" }\n\n\
     [models.a]\nprovider = \"first\"\nmodel = \"v\"\nprice = { input = \"1\", output = \"1\" }\n\n\
     [models.b]\nprovider = \"second\"\nmodel = \"w\"\nprice = { input = \"2\", output = \"2\" }\n\n\
     [lanes.one]\nclass = \"A\"\nmodels = [\"a\"]\npick = \"best\"\n\n[lanes.two]\nclass = \"B\"\nmodels = [\"b\"]\npick = \"best\"\n\n\
     [criticality.both]\nlanes = [\"one\", \"two\"]\n\n[criticality.alone]\nlanes = [\"one\"]\n\n\
     [workflows.safe]\ncriticality = \"both\"\n\n[workflows.bound]\ncriticality = \"alone\"\n";

fn script(workflow: &str) -> String {
    format!(
        "title = \"First is gone\"\nasks = \"Who goes on?\"\nlasts = \"4m\"\n[[load]]\nworkflow = \"{workflow}\"\nper_minute = 10\n\
         [[shock]]\nkind = \"gone\"\nprovider = \"first\"\nat = \"1m\"\nlasts = \"2m\"\n[expect.\"*\"]\nsuccess = \"100%\"\n"
    )
}

#[test]
fn a_drill_on_ones_own_configuration_says_what_held_and_its_exit_code_says_so_too() {
    let site = Site::new("drill", CONFIGURATION);
    let drill = |workflow: &str, more: &[&str]| {
        let file = site.scratch.path().join("drill.toml");
        std::fs::write(&file, script(workflow)).unwrap();
        run(&[&["drill", "run", &*text(&file), "--config", &*text(&site.file())], more].concat())
    };
    let (code, safe) = drill("safe", &["--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&safe).unwrap_or_else(|error| panic!("{error}: {safe}"));
    assert_eq!((code, &report["held"]), (0, &true.into()), "{safe}");
    let models: Vec<&str> =
        report["workflows"][0]["served"].as_array().unwrap().iter().map(|by| by["model"].as_str().unwrap()).collect();
    assert!(models.contains(&"a") && models.contains(&"b"), "{models:?}");
    assert_eq!(drill("safe", &["--output", "json"]), (0, safe), "twice the same bytes");
    let (code, bound) = drill("bound", &[]);
    assert_eq!(code, 1, "{bound}");
    assert!(bound.contains("BROKEN") && bound.contains("upstream_connect before content"), "{bound}");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_line_and_what_to_do() {
    let site = Site::new("drill-bad", CONFIGURATION);
    let file = site.scratch.path().join("drill.toml");
    std::fs::write(&file, script("nobody")).unwrap();
    let (code, out) = run(&["drill", "run", &text(&file), "--config", &text(&site.file())]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("line 4: the configuration has no workflow `nobody`; it has bound, safe"), "{out}");
    let (code, out) = run(&["drill", "run", "no_such_drill"]);
    assert!(code == 2 && out.contains("freehold drill list"), "{code}: {out}");
    let (code, out) = run(&["drill", "run", "quota_cliff", "--live"]);
    assert!(code == 2 && out.contains("not built"), "{code}: {out}");
}
