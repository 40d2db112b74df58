//! Instances on one PostgreSQL: what they share, and what goes on while it is away.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use testkit::postgres::Postgres;

use crate::harness::{Lines, Simulator, Site, eventually, freehold, run, run_on, signal, text};
use crate::http::request;

/// A workflow on a simulated provider.
fn configuration(address: std::net::SocketAddr) -> String {
    format!(
        "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/sim/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n"
    )
}

#[test]
fn calls_go_on_while_postgresql_is_away_and_nothing_is_lost() {
    let mut postgres = Postgres::start();
    let scratch = testkit::scratch_dir("away-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\n");
    let mut site = Site::new("away", &configuration(simulator.address));
    site.database = Some(postgres.database());
    let freehold = site.start();
    assert_eq!(freehold.chat("w", "").status, 200);
    postgres.stop();
    (0..50).for_each(|_| assert_eq!(freehold.chat("w", "").status, 200));
    postgres.resume();
    assert_eq!(freehold.stop(), Some(0));
    let attempts: BTreeSet<String> = site.ledger().iter().map(|row| row["attempt"].to_string()).collect();
    assert_eq!(attempts.len(), 51);
}

#[test]
fn an_instance_whose_database_is_away_at_its_start_says_so_and_serves_once_it_is_there() {
    let mut postgres = Postgres::start();
    let scratch = testkit::scratch_dir("away-at-start-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\n");
    let site = site_on(&postgres, "away-at-start", simulator.address);
    let key = site.key(&["--label", "app"]);
    let console = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text_of = std::fs::read_to_string(site.file()).unwrap();
    let fixed = text_of.replace("console_listen = \"127.0.0.1:0\"", &format!("console_listen = \"{console}\""));
    std::fs::write(site.file(), fixed).unwrap();
    postgres.stop();
    let serve = ["serve", "--config", &text(&site.file()), "--data", &text(&site.data())];
    let start =
        || freehold(&serve).env("FREEHOLD_DATABASE", site.database.as_deref().unwrap()).stdout(Stdio::piped()).spawn();
    let asked = |path: &str| {
        eventually("it answers monitors", || TcpStream::connect(console).ok());
        request(console, "GET", path, &[], b"")
    };
    let mut process = start().unwrap();
    assert_eq!(asked("/healthz").status, 200);
    let ready = eventually("it waits", || Some(asked("/readyz")).filter(|answer| answer.text().contains("waiting")));
    assert!(ready.status == 503 && ready.text().contains("PostgreSQL"), "{}", ready.text());
    signal(process.id(), "TERM");
    assert_eq!(process.wait().unwrap().code(), Some(0), "a wait can be ended");

    let mut process = start().unwrap();
    eventually("it waits", || asked("/readyz").text().contains("waiting").then_some(()));
    postgres.resume();
    let mut lines = Lines::of(process.stdout.take().unwrap());
    let gateway = lines.address("gateway");
    assert_eq!(asked("/readyz").status, 200);
    let body = br#"{"model":"w","messages":[{"role":"user","content":"Hello"}]}"#;
    let authorization = format!("Bearer {key}");
    let answer = request(gateway, "POST", "/v1/chat/completions", &[("authorization", &authorization)], body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    signal(process.id(), "TERM");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_running_instance_of_an_embedded_database_is_listed_as_serving_and_a_killed_one_as_gone() {
    let scratch = testkit::scratch_dir("listed-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\n");
    let site = Site::new("listed", &configuration(simulator.address));
    let freehold = site.start();
    // The lease that nobody renews there is over.
    let over = "import sqlite3,sys\nwith sqlite3.connect(sys.argv[1],timeout=10) as c: c.execute('UPDATE instances SET lease_ends = 1')";
    let done = Command::new("python3").args(["-c", over]).arg(site.data().join("freehold.db")).status().unwrap();
    assert!(done.success());
    let state = || {
        let (code, out) = run(&["instance", "list", "--output", "json", "--data", &text(&site.data())]);
        assert_eq!(code, 0, "{out}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["state"].clone()
    };
    assert_eq!(state(), "serving");
    freehold.kill();
    assert_eq!(state(), "gone");
}

/// Whatever a session's budget leaves: calls go through until it refuses. How many did.
fn calls_in_session(freehold: &crate::harness::Freehold, key: &str) -> usize {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("freehold-session", "run-7")];
    let body = br#"{"model":"w","max_tokens":10,"messages":[{"role":"user","content":"Hello"}]}"#;
    let call = || request(freehold.gateway, "POST", "/v1/chat/completions", &headers, body);
    (0..20).map(|_| call()).take_while(|answer| answer.status == 200).count()
}

#[test]
fn what_a_session_has_spent_outlives_a_restart_and_is_heard_of_by_other_instances() {
    let postgres = Postgres::start();
    let scratch = testkit::scratch_dir("sessions-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\noutput_tokens = 10\n");
    // Ten tokens of output are a cent; a session has five.
    let of_sessions = |address| {
        configuration(address).replace("input = \"1\", output = \"1\"", "input = \"0\", output = \"1000\"").replace(
            "criticality = \"c\"\n",
            "criticality = \"c\"\nbudget = { limit = \"0.05 USD\", per = \"session\", at_limit = \"refuse\" }\n",
        )
    };
    let mut first = Site::new("sessions-1", &of_sessions(simulator.address));
    first.database = Some(postgres.database());
    let one = first.start();
    let key = one.key.clone();
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("freehold-session", "run-7")];
    let body = br#"{"model":"w","max_tokens":10,"messages":[{"role":"user","content":"Hello"}]}"#;
    for _ in 0..2 {
        assert_eq!(request(one.gateway, "POST", "/v1/chat/completions", &headers, body).status, 200);
    }
    assert_eq!(one.stop(), Some(0));
    let mut second = Site::new("sessions-2", &of_sessions(simulator.address));
    second.database = first.database.clone();
    std::fs::create_dir_all(second.data()).unwrap();
    std::fs::copy(first.data().join("pepper"), second.data().join("pepper")).unwrap();
    let (one, two) = (first.start_with(key.clone()), second.start_with(key.clone()));
    // Two cents were spent before the restart, and the other instance knows of them too.
    assert_eq!(request(two.gateway, "POST", "/v1/chat/completions", &headers, body).status, 200);
    let address = first.database.clone().unwrap();
    eventually("the second one has told what it booked", || {
        (postgres.run(&address, "SELECT COUNT(*) FROM session_spend;").trim() == "2").then_some(())
    });
    let spent =
        |freehold: &crate::harness::Freehold| freehold.admin("/api/v1/budgets")["budgets"][0]["settled"].as_i64();
    assert_eq!(request(one.gateway, "POST", "/v1/chat/completions", &headers, body).status, 200);
    eventually("both know of four cents", || {
        let both = [spent(&one), spent(&two)];
        both.iter().all(|spent| *spent == Some(40_000_000)).then_some(())
    });
    assert_eq!((calls_in_session(&two, &key), calls_in_session(&two, &key)), (1, 0));
}

/// A second data directory on the database of the first, with its pepper.
fn beside(first: &Site, name: &str, address: std::net::SocketAddr) -> Site {
    let mut other = Site::new(name, &configuration(address));
    other.database = first.database.clone();
    std::fs::create_dir_all(other.data()).unwrap();
    std::fs::copy(first.data().join("pepper"), other.data().join("pepper")).unwrap();
    other
}

fn site_on(postgres: &Postgres, name: &str, address: std::net::SocketAddr) -> Site {
    let mut site = Site::new(name, &configuration(address));
    site.database = Some(postgres.database());
    site
}

#[test]
fn instances_share_keys_and_a_revoked_one_is_refused_by_all() {
    let postgres = Postgres::start();
    let scratch = testkit::scratch_dir("sharing-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\n");
    let first = site_on(&postgres, "sharing-1", simulator.address);
    let one = first.start();
    let second = beside(&first, "sharing-2", simulator.address);
    let two = second.start_with(one.key.clone());
    assert_eq!((one.chat("w", "").status, two.chat("w", "").status), (200, 200));
    let id = one.key.split('_').nth(1).unwrap();
    let (code, out) = run_on(&["key", "revoke", id, "--data", &text(&second.data())], &second.database);
    assert_eq!(code, 0, "{out}");
    eventually("both refuse it", || (one.chat("w", "").status == 401 && two.chat("w", "").status == 401).then_some(()));
    let (code, out) = run_on(&["instance", "list", "--output", "json"], &first.database);
    assert_eq!((code, out.lines().filter(|line| line.contains("\"serving\"")).count()), (0, 2), "{out}");
}

#[test]
fn a_copied_data_directory_and_another_pepper_are_refused_with_the_remedy() {
    let postgres = Postgres::start();
    let scratch = testkit::scratch_dir("copied-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\n");
    let first = site_on(&postgres, "copied-1", simulator.address);
    let _one = first.start();
    let second = beside(&first, "copied-2", simulator.address);
    std::fs::copy(first.data().join("instance"), second.data().join("instance")).unwrap();
    let serve = ["serve", "--config", &text(&second.file()), "--data", &text(&second.data())];
    let (code, out) = run_on(&serve, &second.database);
    assert!(code == 1 && out.contains("delete the file `instance`"), "{code}: {out}");
    std::fs::write(second.data().join("pepper"), [7; 32]).unwrap();
    let (code, out) = run_on(&serve, &second.database);
    assert!(code == 1 && out.contains("copy the file `pepper`"), "{code}: {out}");
}

/// What an instance leased counts until its spool is read, and no longer.
#[test]
fn the_lease_of_a_killed_instance_is_freed_by_whoever_reads_its_spool() {
    let postgres = Postgres::start();
    let scratch = testkit::scratch_dir("killed-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\noutput_tokens = 10\n");
    let mut site = Site::new(
        "killed",
        &configuration(simulator.address).replace(
            "criticality = \"c\"\n",
            "criticality = \"c\"\nbudget = { limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }\n",
        ),
    );
    site.database = Some(postgres.database());
    let freehold = site.start();
    assert_eq!(freehold.chat("w", r#","max_tokens":10"#).status, 200);
    freehold.kill();
    let address = site.database.clone().unwrap();
    let leased = || postgres.run(&address, "SELECT ceiling > settled FROM leases;");
    assert_eq!(leased().trim(), "t");
    let (code, out) = run_on(&["instance", "recover", "--data", &text(&site.data())], &site.database);
    assert!(code == 0 && out.contains("1 leases settled"), "{out}");
    assert_eq!(leased().trim(), "f");
    let settled = postgres.run(&address, "SELECT settled, held FROM leases;");
    let booked: i64 = site.ledger().iter().map(|row| nano(&row["amount"])).sum();
    assert_eq!(settled.trim(), format!("{booked}|0"));
}

fn nano(amount: &serde_json::Value) -> i64 {
    amount.as_str().unwrap().parse::<domain::NanoUsd>().unwrap().0
}
