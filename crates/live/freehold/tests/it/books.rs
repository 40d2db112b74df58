//! The books of a real server: proven, handed out as FOCUS, reported on, compared with what a provider says.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Simulator, Site, eventually, run_on, text};

/// Three lanes behind each other: a provider that always fails, one that answers, one that is unpriced.
const CONFIGURATION: &str = r#"
[providers.broken]
dialect = "openai-chat"
base_url = "http://ADDRESS/broken/v1"
api_key = { env = "SIM_KEY" }

[providers.sim]
dialect = "openai-chat"
base_url = "http://ADDRESS/sim/v1"
api_key = { env = "SIM_KEY" }
region = "eu"

[models.first]
provider = "broken"
model = "v-first"
price = { input = "3", output = "15" }
quality = "0.9"

[models.second]
provider = "sim"
model = "v-second"
price = { input = "0.3", output = "1.2", cache_read = "0.03" }
quality = "0.8"

[models.third]
provider = "sim"
model = "v-third"

[lanes.l]
class = "B"
models = ["first", "second"]
pick = "best"

[criticality.c]
lanes = ["l"]

[workflows.claims]
criticality = "c"

[workflows.digest]
criticality = "c"
"#;

const SCENARIO: &str = "[providers.sim]\noutput_tokens = 40\n\n[[providers.broken.faults]]\nkind = \"overloaded\"\n";

/// A server that has answered, failed over and left a client alone, and is stopped.
fn site() -> (Site, Simulator) {
    let scratch = testkit::scratch_dir("books-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("books", &CONFIGURATION.replace("ADDRESS", &simulator.address.to_string()));
    let freehold = site.start();
    for workflow in ["claims", "digest", "claims"] {
        assert_eq!(freehold.chat(workflow, "").status, 200);
    }
    assert_eq!(freehold.chat("model:third", "").status, 200);
    drop(freehold.stream("claims"));
    // The admin API reports what the command does, and the console's page shows it.
    let costs = eventually("the calls are taken over", || {
        Some(freehold.admin("/api/v1/costs?days=1")).filter(|costs| costs["total"]["attempts"].as_u64() >= Some(5))
    });
    assert!(costs["workflows"].as_array().unwrap().iter().any(|it| it["workflow"] == "claims"));
    assert_eq!(freehold.stop(), Some(0));
    (site, simulator)
}

fn ledger(site: &Site, arguments: &[&str]) -> (i32, String) {
    let data = text(&site.data());
    let all: Vec<&str> = arguments.iter().copied().chain(["--data", &data]).collect();
    run_on(&all, &site.database)
}

#[test]
fn the_books_of_a_server_are_proven_handed_out_reported_on_and_compared() {
    let (site, _simulator) = site();
    let (code, out) = ledger(&site, &["ledger", "verify", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["proven"]), (0, &true.into()), "{out}");
    let anchor = report["anchor"].as_str().unwrap();
    assert_eq!(ledger(&site, &["ledger", "verify", "--anchor", anchor]).0, 0);
    let (code, out) = ledger(&site, &["ledger", "verify", "--anchor", &"0".repeat(64)]);
    assert!(code == 3 && out.contains("NOT proven") && out.contains("head_not_found"), "{out}");

    let (code, charges) = ledger(&site, &["ledger", "export", "--format", "focus-1.2"]);
    assert!(code == 0 && charges.starts_with("AvailabilityZone,BilledCost,"), "{charges}");
    assert!(charges.contains("v-second") && charges.contains("claims"));
    let parquet = text(&site.scratch.path().join("charges.parquet"));
    assert_eq!(ledger(&site, &["ledger", "export", "--format", "focus-1.4", "--file", &parquet]).0, 0);
    assert!(std::fs::read(&parquet).unwrap().starts_with(b"PAR1"));
    let details = ["ledger", "export", "--format", "focus-1.4", "--dataset", "invoice-details"];
    assert!(ledger(&site, &details).1.contains("InvoiceDetailId"));
    assert_eq!(ledger(&site, &["ledger", "export", "--format", "focus-1.2", "--dataset", "invoice-details"]).0, 1);

    let (code, out) = ledger(&site, &["report", "hidden-costs"]);
    assert!(
        code == 0 && out.contains("claims") && out.contains("failover served") && out.contains("MULTIPLIER"),
        "{out}"
    );
    let (code, out) = ledger(&site, &["report", "hidden-costs", "--output", "csv"]);
    assert!(code == 0 && out.starts_with("workflow,cause,end,answers,attempts,usd,multiplier"), "{out}");

    let day = serde_json::from_str::<serde_json::Value>(
        ledger(&site, &["ledger", "export", "--output", "json"]).1.lines().next().unwrap(),
    )
    .unwrap()["at"]
        .as_str()
        .unwrap()[..10]
        .to_owned();
    let file = site.scratch.path().join("usage.csv");
    std::fs::write(&file, format!("date,input_tokens,output_tokens\n{day},1,999999\n")).unwrap();
    let (code, out) = ledger(&site, &["ledger", "capture", "--provider", "sim", "--file", &text(&file)]);
    assert!(code == 3 && out.contains("output_tokens") && out.contains("no"), "{out}");
    let (code, out) = ledger(&site, &["ledger", "capture", "--provider", "broken"]);
    assert!(code == 1 && out.contains("nothing was read yet"), "{out}");
}

/// Rules that no file can satisfy: the model of 1.2 states them the wrong way round, or twice with opposite ends.
const IMPOSSIBLE: [&str; 6] = [
    "InvoiceId-C-004-C",
    "InvoiceId-C-005-C",
    "CommitmentDiscountStatus-C-003-C",
    "CommitmentDiscountStatus-C-004-C",
    "CapacityReservationStatus-C-003-C",
    "CapacityReservationStatus-C-004-C",
];

#[test]
#[ignore = "needs the official validator: `cargo xtask test` installs it"]
fn the_official_validator_finds_nothing_but_what_no_file_can_satisfy() {
    let python =
        std::env::var_os("FREEHOLD_FOCUS_PYTHON").expect("FREEHOLD_FOCUS_PYTHON names a Python with focus-validator");
    let (site, _simulator) = site();
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/focus/validate.py");
    for name in ["charges.csv", "charges.parquet"] {
        let file = text(&site.scratch.path().join(name));
        assert_eq!(ledger(&site, &["ledger", "export", "--format", "focus-1.2", "--file", &file]).0, 0);
        let found = Command::new(&python).arg(&program).arg(&file).output().unwrap();
        let out = String::from_utf8(found.stdout).unwrap();
        assert!(found.status.success(), "{out}{}", String::from_utf8_lossy(&found.stderr));
        println!("{name}: {out}");
        let rules: serde_json::Value = serde_json::from_str(&out).unwrap();
        let failed: Vec<&str> = rules["failed"].as_array().unwrap().iter().map(|rule| rule.as_str().unwrap()).collect();
        let ours: Vec<&&str> = failed.iter().filter(|rule| !IMPOSSIBLE.contains(rule)).collect();
        assert!(ours.is_empty(), "{name}: {ours:?}");
        assert!(rules["passed"].as_u64().unwrap() >= 350, "{out}");
    }
}
