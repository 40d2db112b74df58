//! Three instances race for one budget on one PostgreSQL, while one of them is killed and the database goes away and comes
//! back: nothing is spent beyond the limit, and in the end every book says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

use testkit::postgres::Postgres;

use crate::harness::{Freehold, Simulator, Site, run_on, text};
use crate::http::Connection;

/// Nano-dollars of a token of output; input is free.
const TOKEN_NANO: i64 = 1_000_000;
/// Longest answer, tokens.
const LONGEST: i64 = 40;
/// Calls the budget is worth, if all were as long as they may be.
const WORTH: i64 = 100;

/// Calls in the ordinary run; `cargo xtask prove race` makes 10,000.
const CALLS: usize = 600;

fn calls() -> usize {
    std::env::var("FREEHOLD_PROVE_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(CALLS)
}

fn site(number: usize, simulator: &Simulator, database: &str) -> Site {
    let limit = rusty_usd(WORTH * LONGEST * TOKEN_NANO);
    let mut site = Site::new(
        &format!("race-{number}"),
        &format!(
            "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/sim/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.m]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
             [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
             [workflows.w]\ncriticality = \"c\"\nbudget = {{ limit = \"{limit} USD\", per = \"total\", at_limit = \"refuse\" }}\n",
            simulator.address
        ),
    );
    site.database = Some(database.to_owned());
    site
}

fn rusty_usd(nano: i64) -> String {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

/// What became of a call, as its client saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Served,
    Refused,
    Left,
    Broken,
}

#[test]
fn three_instances_on_one_database_never_spend_more_than_the_budget() {
    let postgres = Mutex::new(Postgres::start());
    let database = postgres.lock().unwrap().database();
    let scratch = testkit::scratch_dir("race-scenario");
    let scenario = format!(
        "[providers.sim]\noutput_tokens = {{ from = 1, to = {LONGEST} }}\nfirst_token_ms = {{ from = 5, to = 60 }}\n\
         tokens_per_second = 400\n"
    );
    let simulator = Simulator::start(scratch.path(), &scenario);
    let sites: Vec<Site> = (0..3).map(|number| site(number, &simulator, &database)).collect();
    let key = sites[0].key(&["--label", "race"]);
    for other in &sites[1..] {
        std::fs::create_dir_all(other.data()).unwrap();
        std::fs::copy(sites[0].data().join("pepper"), other.data().join("pepper")).unwrap();
    }
    let mut running: Vec<Option<Freehold>> = sites.iter().map(|site| Some(site.start_with(key.clone()))).collect();
    let gateways: Vec<_> = running.iter().flatten().map(|freehold| freehold.gateway).collect();

    let (tell, told) = mpsc::channel();
    let (over, limit) = (AtomicBool::new(false), WORTH * LONGEST * TOKEN_NANO);
    // Calls whose clients left. What such a provider went on with, unseen, is estimated.
    let left: Mutex<BTreeSet<String>> = Mutex::default();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        // At every moment what the provider has done is covered by what instances may spend, and that by the limit.
        scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                let transcript = simulator.transcript();
                let ceilings = "SELECT COALESCE(SUM(ceiling), 0) FROM leases;";
                let ceilings = postgres.lock().unwrap().run(&database, ceilings).trim().parse::<i64>().unwrap();
                // Looked at last: who is in it has left before anything was freed for it.
                let done = spent(&transcript, &left.lock().unwrap());
                assert!(done <= ceilings && ceilings <= limit, "{done} spent, {ceilings} leased, {limit} allowed");
                looks += 1;
            }
            println!("{looks} looks while calls were under way");
        });
        for number in 0..calls() {
            let (gateway, key, tell, left) = (gateways[number % 3], &key, tell.clone(), &left);
            let caller = std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, move || {
                let _ = tell.send(call(gateway, key, number, left));
            });
            caller.unwrap();
        }
        drop(tell);
        let (mut served, mut restarted) = (0, false);
        for outcome in told {
            *outcomes.entry(format!("{outcome:?}")).or_default() += 1;
            served += i64::from(outcome == Outcome::Served);
            if served >= WORTH / 10
                && let Some(third) = running[2].take()
            {
                third.kill();
            }
            if served >= WORTH / 5 && !std::mem::replace(&mut restarted, true) {
                let mut postgres = postgres.lock().unwrap();
                postgres.stop();
                postgres.resume();
            }
        }
        assert!(restarted && running[2].is_none(), "both happened while calls were under way: {outcomes:?}");
        over.store(true, Ordering::Relaxed);
    });
    println!("{} calls: {outcomes:?}", calls());

    // The killed one comes back and reads its spool; all end in order and give back what they leased.
    running[2] = Some(sites[2].start_with(key));
    for freehold in running.into_iter().flatten() {
        assert_eq!(freehold.stop(), Some(0));
    }
    // On a busy machine a spool is not taken over before its process has to end; then it is now.
    for site in &sites {
        let (code, out) = run_on(&["instance", "recover", "--data", &text(&site.data())], &site.database);
        assert_eq!(code, 0, "{out}");
    }
    let booked = booked(&sites[0]);
    let transcript = simulator.transcript();
    let mut indeterminate = 0;
    for exchange in &transcript {
        let attempt = exchange["attempt"].as_str().unwrap();
        let Some((end, cost)) = booked.get(attempt) else { panic!("{attempt} is in no book") };
        match (end.as_str(), exchange["state"].as_str().unwrap()) {
            ("served", "served") => assert_eq!(*cost, output(exchange) * TOKEN_NANO, "{attempt}"),
            ("indeterminate", _) => {
                indeterminate += cost - output(exchange) * TOKEN_NANO;
                assert!(*cost >= output(exchange) * TOKEN_NANO, "{attempt}");
            }
            _ => {}
        }
    }
    let total: i64 = booked.values().map(|(_, cost)| cost).sum();
    let postgres = postgres.lock().unwrap();
    let leases = postgres.run(&database, "SELECT SUM(ceiling), SUM(settled), SUM(held) FROM leases;");
    assert_eq!(leases.trim(), format!("{total}|{total}|0"), "counters, ledger, nothing held");
    assert!(total <= limit, "{total} of {limit}");
    assert_eq!(charged(&sites[0]), total, "FOCUS rows, to the nano-dollar");
    println!(
        "{} attempts, {} of {} USD booked, of it {} USD above what the provider did, for what was in flight when killed",
        transcript.len(),
        rusty_usd(total),
        rusty_usd(limit),
        rusty_usd(indeterminate)
    );
}

/// One call; every fifth client leaves after the first words.
fn call(gateway: std::net::SocketAddr, key: &str, number: usize, left: &Mutex<BTreeSet<String>>) -> Outcome {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    let (leaves, stream) = (number % 5 == 4, number.is_multiple_of(2) || number % 5 == 4);
    let body = format!(
        r#"{{"model":"w","max_tokens":{LONGEST},"stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#
    );
    let Ok(mut connection) = Connection::open(gateway) else { return Outcome::Broken };
    if leaves {
        if connection.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).is_err() {
            return Outcome::Broken;
        }
        return match connection.head() {
            Ok(head) if head.status == 200 => {
                let id = head.headers.iter().find(|(name, _)| name == "freehold-call-id");
                left.lock().unwrap().insert(id.expect("every answer names its call").1.clone());
                let _ = connection.chunk();
                Outcome::Left
            }
            Ok(_) => Outcome::Refused,
            Err(_) => Outcome::Broken,
        };
    }
    match connection.exchange("POST", "/v1/chat/completions", &headers, body.as_bytes()) {
        Ok(answer) if answer.status == 200 => Outcome::Served,
        Ok(answer) if answer.status == 429 => Outcome::Refused,
        Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
        Err(_) => Outcome::Broken,
    }
}

/// What the provider has done for sure: whole answers to clients that stayed.
fn spent(transcript: &[serde_json::Value], left: &BTreeSet<String>) -> i64 {
    let stayed = |exchange: &&serde_json::Value| {
        let attempt = exchange["attempt"].as_str().unwrap_or_default();
        !left.contains(attempt.split('.').next().unwrap_or_default())
    };
    let served = transcript.iter().filter(|exchange| exchange["state"] == "served").filter(stayed);
    served.map(|exchange| output(exchange) * TOKEN_NANO).sum()
}

fn output(exchange: &serde_json::Value) -> i64 {
    exchange["usage"]["output"].as_i64().unwrap_or(0)
}

/// End and cost of every attempt.
fn booked(site: &Site) -> BTreeMap<String, (String, i64)> {
    let mut booked: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for row in site.ledger() {
        let entry = booked.entry(row["attempt"].as_str().unwrap().to_owned()).or_default();
        entry.0 = row["end"].as_str().unwrap().to_owned();
        entry.1 += nano(&row);
    }
    booked
}

/// The sum of the FOCUS charges, nano-dollars.
fn charged(site: &Site) -> i64 {
    let (code, csv) =
        run_on(&["ledger", "export", "--format", "focus-1.2", "--data", &text(&site.data())], &site.database);
    assert_eq!(code, 0, "{csv}");
    // Neither of the first two columns is ever quoted.
    let mut billed = csv.lines().map(|line| line.split(',').nth(1).unwrap_or_default());
    assert_eq!(billed.next(), Some("BilledCost"));
    // Twelve places, of which a nano-dollar needs nine.
    billed.map(|billed| billed.strip_suffix("000").unwrap().parse::<domain::NanoUsd>().unwrap().0).sum()
}

fn nano(row: &serde_json::Value) -> i64 {
    let usd: domain::NanoUsd = row["amount"].as_str().unwrap_or("0").parse().unwrap();
    usd.0
}
