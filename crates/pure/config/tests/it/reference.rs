//! docs/configuration.md is the reference of every key: generated, complete, and its examples pass.

use config::reference::SECTIONS;

use crate::check;

/// Where the document lies, seen from this crate's manifest.
const DOCUMENT: &str = "../../../docs/configuration.md";

#[test]
#[expect(clippy::disallowed_methods, reason = "the test keeps a document on disk in step with the table")]
fn the_document_is_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let generated = config::reference();
    if std::env::var("FREEHOLD_UPDATE_DOCS").is_ok() {
        std::fs::write(&path, &generated).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == generated,
        "docs/configuration.md is behind; run this test with FREEHOLD_UPDATE_DOCS=1 to write it"
    );
}

#[test]
fn every_known_key_is_used_by_the_example_of_everything() {
    let everything = include_str!("fixtures/everything.toml");
    for section in SECTIONS {
        for key in section.names().filter(|key| !["prompt", "ALIAS"].contains(key)) {
            let used = everything.contains(&format!("\n{key} = ")) || everything.contains(&format!(" {key} = "));
            let used = used || everything.contains(&format!(".{key}]"));
            assert!(used, "{}.{key}", section.path);
        }
    }
}

#[test]
fn every_family_of_oddities_is_named() {
    let mut keys = SECTIONS.iter().flat_map(|section| section.keys);
    let takes = keys.find(|key| key.name == "quirks").unwrap().takes;
    for quirks in wire::quirks::QUIRKS {
        assert!(takes.contains(&format!("`{}`", quirks.name)), "{} is not in `takes` of `quirks`", quirks.name);
    }
}

#[test]
fn the_documents_own_example_passes() {
    let reference = config::reference();
    let example = reference.split("```").nth(1).and_then(|block| block.strip_prefix("toml\n")).unwrap();
    let snapshot = check(example).unwrap_or_else(|problems| panic!("{}", crate::printed(&problems)));
    assert_eq!(snapshot.warnings, []);
}

#[test]
fn the_example_of_each_key_is_of_its_kind() {
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| !key.example.is_empty()) {
            let line = format!("{} = {}", key.name, key.example);
            assert!(toml::from_str::<toml::Table>(&line).is_ok(), "{}: {line}", section.path);
        }
    }
}
