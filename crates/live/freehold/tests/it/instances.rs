//! Instances on one PostgreSQL: what they share, and what goes on while it is away.

use std::collections::BTreeSet;

use testkit::postgres::Postgres;

use crate::harness::{Simulator, Site};

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
