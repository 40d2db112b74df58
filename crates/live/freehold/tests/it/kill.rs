//! Somebody pulls the plug: after SIGKILL under load and a restart, the ledger holds every attempt that the simulator
//! served, once, and nothing that was in flight is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Simulator, Site, ledger};
use crate::http::Connection;

/// Kills in the ordinary test run; `cargo xtask prove kill` sets more.
const ROUNDS: usize = 3;

fn rounds() -> usize {
    std::env::var("FREEHOLD_PROVE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

#[test]
fn no_served_attempt_is_lost_or_doubled_by_sigkill_under_load() {
    let scratch = testkit::scratch_dir("kill-scenario");
    let scenario = "[providers.sim]\noutput_tokens = { from = 1, to = 40 }\nfirst_token_ms = { from = 0, to = 30 }\n\
                    tokens_per_second = 2000\n";
    let simulator = Simulator::start(scratch.path(), scenario);
    let site = Site::new(
        "kill",
        &format!(
            "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/sim/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.m]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
             [models.n]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
             [lanes.l]\nclass = \"B\"\nmodels = [\"m\", \"n\"]\npick = \"fastest\"\nhedge = {{ share = \"50%\", least_ms = 1 }}\n\n\
             [criticality.c]\nlanes = [\"l\"]\n\n\
             [workflows.w]\ncriticality = \"c\"\nbudget = {{ limit = \"1000 USD\", per = \"total\", at_limit = \"refuse\" }}\n",
            simulator.address
        ),
    );
    let key = site.key(&["--label", "load"]);
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    println!("seed {seed:#x}, {} kills", rounds());
    for _ in 0..rounds() {
        let freehold = site.start_with(key.clone());
        let stop = AtomicBool::new(false);
        let gateway = freehold.gateway;
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let kill_after = Duration::from_millis(100 + seed % 400);
        std::thread::scope(|scope| {
            for client in 0..16 {
                let (stop, key) = (&stop, &key);
                scope.spawn(move || load(gateway, key, client, stop));
            }
            std::thread::sleep(kill_after);
            freehold.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    // One more start takes over what the last death left; its end has the store take the rest.
    let freehold = site.start_with(key);
    assert_eq!(freehold.stop(), Some(0));

    let mut booked: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for row in ledger(&site.data()) {
        let attempt = row["attempt"].as_str().unwrap().to_owned();
        let meter = row["meter"].as_str().unwrap().to_owned();
        let entry = booked.entry(attempt).or_insert((row["end"].as_str().unwrap().to_owned(), 0));
        entry.1 += usize::from(meter == "output" || meter.is_empty());
    }
    let transcript = simulator.transcript();
    let served: BTreeSet<String> = transcript
        .iter()
        .filter(|exchange| exchange["state"] == "served")
        .map(|exchange| exchange["attempt"].as_str().unwrap().to_owned())
        .collect();
    let received: BTreeSet<String> =
        transcript.iter().filter_map(|exchange| exchange["attempt"].as_str()).map(str::to_owned).collect();
    assert!(served.len() > 20 * rounds(), "there was load: {}", served.len());
    let lost: Vec<_> = received.iter().filter(|attempt| !booked.contains_key(*attempt)).collect();
    assert!(lost.is_empty(), "received by the provider and not in the ledger: {lost:?}");
    let doubled: Vec<_> = booked.iter().filter(|(_, (_, lines))| *lines > 1).collect();
    assert!(doubled.is_empty(), "booked more than once: {doubled:?}");
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    booked.values().for_each(|(end, _)| *ends.entry(end).or_default() += 1);
    println!("{} attempts received, {} served, booked as {ends:?}", received.len(), served.len());
    assert!(ends.contains_key("indeterminate"), "some were in flight: {ends:?}");
}

fn load(gateway: std::net::SocketAddr, key: &str, client: usize, stop: &AtomicBool) {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    let stream = client.is_multiple_of(2);
    let body = format!(
        r#"{{"model":"w","max_tokens":50,"stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#
    );
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::open(gateway) else { return };
        while connection.exchange("POST", "/v1/chat/completions", &headers, body.as_bytes()).is_ok() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// With the store unavailable, calls go on and nothing is lost.
#[test]
fn a_locked_database_stops_no_call_and_loses_nothing() {
    let scratch = testkit::scratch_dir("locked-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\n");
    let site = Site::new(
        "locked",
        &format!(
            "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/sim/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.m]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
             [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
             [workflows.w]\ncriticality = \"c\"\n",
            simulator.address
        ),
    );
    let freehold = site.start();
    // Another process holds the database exclusively, as a backup tool or an administrator may.
    let mut sqlite = std::process::Command::new("python3")
        .args(["-c", "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None,timeout=10)\nc.execute('BEGIN EXCLUSIVE')\nprint('locked',flush=True)\nsys.stdin.read()"])
        .arg(site.data().join("freehold.db"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 6];
    std::io::Read::read_exact(sqlite.stdout.as_mut().unwrap(), &mut said).unwrap();
    (0..50).for_each(|_| assert_eq!(freehold.chat("w", "").status, 200));
    drop(sqlite.stdin.take());
    sqlite.wait().unwrap();
    assert_eq!(freehold.stop(), Some(0));
    let attempts: BTreeSet<String> = ledger(&site.data()).iter().map(|row| row["attempt"].to_string()).collect();
    assert_eq!(attempts.len(), 50);
}
