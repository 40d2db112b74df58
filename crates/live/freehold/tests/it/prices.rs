//! Price lists on the command line: what a new one changes.

use crate::harness::{Simulator, Site, run, text};

const OLD: &str = "[[price]]\nid = \"p/a@1\"\nprovider = \"p\"\nmodel = \"a\"\ninput = \"3\"\noutput = \"15\"\n\
     sources = [\"s\"]\nas_of = \"2026-11-12\"\n[[price]]\nid = \"p/b@1\"\nprovider = \"p\"\nmodel = \"b\"\ninput = \"1\"\n\
     sources = [\"s\"]\nas_of = \"2026-11-12\"\n";

#[test]
fn two_price_lists_are_compared_figure_by_figure() {
    let scratch = testkit::scratch_dir("prices");
    let [old, new, broken] = ["old.toml", "new.toml", "broken.toml"].map(|name| scratch.path().join(name));
    std::fs::write(&old, OLD).unwrap();
    // The row `b` is renamed to `c`, and the input of `a` is cheaper; a later import alone is no change.
    let changed = OLD.replace("input = \"3\"", "input = \"2.5\"").replace("model = \"b\"", "model = \"c\"");
    std::fs::write(&new, changed.replace("2026-11-12", "2026-12-01").replace("@1", "@2")).unwrap();
    std::fs::write(&broken, OLD.replace("input = \"3\"", "input = 3.0")).unwrap();
    let [old, new, broken] = [old, new, broken].map(|path| text(&path));

    let (code, out) = run(&["price", "diff", &old, &new]);
    let expected = "changed p/a\n  input: 3 -> 2.5\ngone p/b\n  input: 1 -> none\nadded p/c\n  input: 1\n1 added, 1 gone, 1 changed\n";
    assert_eq!((code, out.as_str()), (1, expected));

    let (code, out) = run(&["price", "diff", &old, &new, "--json"]);
    let changes: serde_json::Value = serde_json::from_str(&out).unwrap();
    let first = serde_json::json!({
        "change": "changed", "provider": "p", "model": "a", "old_row": "p/a@1", "new_row": "p/a@2",
        "figures": [{ "name": "input", "old": "3", "new": "2.5" }]
    });
    assert_eq!((code, &changes[0]), (1, &first));

    assert_eq!(run(&["price", "diff", &old, &old]), (0, "0 added, 0 gone, 0 changed\n".to_owned()));
    assert_eq!(run(&["price", "diff", "built-in", "built-in"]).0, 0);
    let (code, out) = run(&["price", "diff", &old, &broken]);
    assert!(code == 1 && out.contains("broken.toml:5"), "{out}");
    let (code, out) = run(&["price", "diff", &old, "/nowhere/prices.toml"]);
    assert!(code == 1 && out.contains("cannot be read"), "{out}");
}

const SCENARIO: &str = "[providers.sim]\noutput_tokens = 10\n";

#[test]
fn history_is_priced_anew_by_the_prices_of_its_day_and_put_right_once() {
    let site = Site::new("reprice", "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    let configure = |price: &str| {
        site.configure(&format!(
            "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/v1\"\nregion = \"eu\"\n\n\
             [models.m]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {price}\n\n[lanes.l]\nclass = \"A\"\nmodels = [\"m\"]\n\n\
             [criticality.high]\nlanes = [\"l\"]\n\n[workflows.w]\ncriticality = \"high\"\n",
            simulator.address
        ));
    };
    configure("{ input = \"3\", output = \"15\" }");
    let freehold = site.start();
    assert_eq!(freehold.chat("w", "").status, 200);
    assert_eq!(freehold.stop(), Some(0));
    let data = text(&site.data());
    let config = text(&site.file());
    let reprice = |more: &[&str]| run(&[&["ledger", "reprice", "--data", &data, "--config", &config], more].concat());
    let booked = crate::harness::ledger(&site.data());
    let (code, out) = reprice(&[]);
    assert!(code == 0 && out.contains("0 of 1 attempts cost something else"), "{out}");

    // The price that held when the call was sent was another one; the new one holds from next century on.
    configure(
        "[{ until = 2100-01-01, input = \"2\", output = \"15\" }, { from = 2100-01-01, input = \"9\", output = \"9\" }]",
    );
    let (code, out) = reprice(&["--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let units = |meter: &str| {
        let row = booked.iter().find(|row| row["meter"] == meter).unwrap();
        row["units"].as_str().unwrap().parse::<i64>().unwrap()
    };
    // At 3 and 15 USD per million they were booked, 2 and 15 are due.
    let (before, due) = (units("input") * 3_000 + 10 * 15_000, units("input") * 2_000 + 10 * 15_000);
    assert_eq!((code, &report["booked_nano_usd"], &report["repriced_nano_usd"]), (0, &before.into(), &due.into()));
    let (code, out) = reprice(&["--book"]);
    assert!(code == 0 && out.contains("1 corrections were booked"), "{out}");
    let (_, out) = reprice(&["--book", "--output", "csv"]);
    assert_eq!(out.lines().count(), 1, "nothing is booked twice: {out}");
    let rows = crate::harness::ledger(&site.data());
    let total: domain::NanoUsd =
        rows.iter().map(|row| row["amount"].as_str().unwrap().parse::<domain::NanoUsd>().unwrap()).sum();
    assert_eq!(total, domain::NanoUsd(due));
    assert!(rows.iter().any(|row| row["cause"] == "correction" && row["basis"] == "corrected"), "{rows:?}");

    let (code, out) = reprice(&["--catalog", "/nowhere/prices.toml"]);
    assert!(code == 1 && out.contains("cannot be read"), "{out}");
}

#[test]
fn a_public_list_is_read_compared_and_written_in_the_catalogs_form() {
    let scratch = testkit::scratch_dir("import");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pure/config/tests/it/fixtures/lists");
    let list = format!("{fixtures}/litellm.json");
    let written = text(&scratch.path().join("rows.toml"));
    let (code, out) = run(&["price", "import", &list, "--as-of", "2026-11-20", "--write", &written]);
    assert!(code == 0 && out.contains("rows read as litellm"), "{out}");
    assert!(out.contains("fedramp_uplift_multiplier: 1 models, such as gpt-5.4"), "{out}");
    assert!(out.contains("providers that the catalog does not know (left out; --all writes them)"), "{out}");
    // What was written is a list like any other.
    let (code, out) = run(&["price", "diff", &written, &written]);
    assert_eq!((code, out.as_str()), (0, "0 added, 0 gone, 0 changed\n"));
    let (code, out) = run(&["price", "import", &format!("{fixtures}/openrouter.json"), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["rows"], &report["format"]), (0, &1.into(), &"openrouter".into()));

    let broken = scratch.path().join("broken.json");
    std::fs::write(&broken, "{").unwrap();
    let (code, out) = run(&["price", "import", &text(&broken)]);
    assert!(code == 1 && out.contains("is no list that is known by its shape"), "{out}");
    let (code, out) = run(&["price", "import", &list, "--format", "lite"]);
    assert!(code == 1 && out.contains("is no format; write openrouter, models-dev, litellm"), "{out}");
    let (code, out) = run(&["price", "import", &list, "--format", "openrouter"]);
    assert!(code == 1 && out.contains("no list of models"), "{out}");
}
