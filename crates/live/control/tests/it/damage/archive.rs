//! What is done to an archive, and to one that was never written.

use std::path::Path;

use control::archive::archive;
use control::verify::{Against, Report, verify};

use super::books::{DAY, NOW, PRUNED, facts, filled};
use crate::support::{House, NOON};

const FILE: &str = "attempts-before-2026-11-19.parquet";

/// Books of which a day went into an archive. The day before had gone without one.
async fn archived() -> (House, std::path::PathBuf) {
    let mut facts = facts();
    // Nothing of the day that `filled` erases.
    facts[0].1.clear();
    let house = filled(&facts).await;
    let folder = house.data.root().join("archive");
    let upto = archive(&house.store, &folder, PRUNED + DAY).await.unwrap();
    house.store.prune_upto(PRUNED + DAY, NOON + DAY, upto).await.unwrap();
    (house, folder)
}

async fn look(house: &House, archive: &Path) -> Report {
    verify(&house.store, Against { archive: Some(archive), ..Against::default() }, NOW).await.unwrap()
}

fn codes(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[tokio::test]
async fn kind_33_an_archive_that_is_not_what_was_erased_is_found() {
    let (house, folder) = archived().await;
    let whole = look(&house, &folder).await;
    assert!(whole.proven && whole.findings.is_empty() && whole.read.archived > 20, "{}", whole.table());
    let file = folder.join(FILE);
    let bytes = std::fs::read(&file).unwrap();
    // (a) a byte is flipped: wherever it is, either the file does not read back or a fact is another.
    for place in [bytes.len() / 3, bytes.len() / 2] {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1;
        std::fs::write(&file, flipped).unwrap();
        let report = look(&house, &folder).await;
        assert!(!report.proven, "byte {place}: {}", report.table());
    }
    // (d) a file is gone.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(codes(&look(&house, &folder).await), ["archive_unlike_erased"]);
    // (e) another one has its name.
    std::fs::copy(folder.join(FILE.replace("attempts", "calls")), &file).unwrap();
    assert!(codes(&look(&house, &folder).await).contains(&"archive_unreadable"));
    // (f) a day was erased and never put away.
    std::fs::write(&file, bytes).unwrap();
    house.store.prune(PRUNED + 3 * DAY, NOON + DAY).await.unwrap();
    assert_eq!(codes(&look(&house, &folder).await), ["archive_unlike_erased"]);
    // Without the folder it is said that nobody looked.
    let report = verify(&house.store, Against::default(), NOW).await.unwrap();
    assert!(report.table().contains("was not looked for in an archive"), "{}", report.table());
}
