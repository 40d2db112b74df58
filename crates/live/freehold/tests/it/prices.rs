//! Price lists on the command line: what a new one changes.

use crate::harness::{run, text};

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
