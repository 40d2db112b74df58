//! Limits of one's own on requests and on calls at once, exact over three instances that share a PostgreSQL.

use testkit::postgres::Postgres;

use crate::harness::{Freehold, Simulator, Site, eventually};
use crate::http::{Answer, Connection, request};

/// A workflow with this budget on a simulated provider.
fn site(number: usize, simulator: &Simulator, database: &str, limit: &str) -> Site {
    let configuration = format!(
        "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/sim/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"sim\"\nmodel = \"v\"\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\nbudgets = [{limit}]\n",
        simulator.address
    );
    let mut site = Site::new(&format!("limits-{number}"), &configuration);
    site.database = Some(database.to_owned());
    site
}

/// Three instances with one key.
fn three(simulator: &Simulator, database: &str, limit: &str) -> (Vec<Site>, Vec<Freehold>) {
    let sites: Vec<Site> = (0..3).map(|number| site(number, simulator, database, limit)).collect();
    let key = sites[0].key(&["--label", "limits"]);
    for other in &sites[1..] {
        std::fs::create_dir_all(other.data()).unwrap();
        std::fs::copy(sites[0].data().join("pepper"), other.data().join("pepper")).unwrap();
    }
    let running = sites.iter().map(|site| site.start_with(key.clone())).collect();
    (sites, running)
}

fn call(freehold: &Freehold) -> Answer {
    let body = br#"{"model":"w","messages":[{"role":"user","content":"Hello"}]}"#;
    let authorization = format!("Bearer {}", freehold.key);
    request(freehold.gateway, "POST", "/v1/chat/completions", &[("authorization", authorization.as_str())], body)
}

#[test]
fn exactly_as_many_requests_as_a_limit_allows_are_served_by_three_instances_together() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let scratch = testkit::scratch_dir("limits-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\noutput_tokens = 5\n");
    let limit = r#"{ limit = "40 requests", per = "total" }"#;
    let (_sites, running) = three(&simulator, &database, limit);
    // Ten clients of each instance go on until each has been refused ten times in a row: slices have gone where they were needed by then.
    let served: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = running
            .iter()
            .flat_map(|freehold| (0..10).map(move |_| freehold))
            .map(|freehold| {
                scope.spawn(|| {
                    let (mut served, mut refused) = (0, 0);
                    while refused < 10 {
                        match call(freehold).status {
                            200 => (served, refused) = (served + 1, 0),
                            429 => refused += 1,
                            other => panic!("{other}"),
                        }
                    }
                    served
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(served, 40);
    assert_eq!(simulator.transcript().len(), 40, "nobody else reached the provider");
    let refused = call(&running[1]);
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, &error["code"]), (429, &"limit_reached".into()), "{}", refused.text());
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("40 requests per total of workflow `w`"), "{message}");
    for freehold in running {
        assert_eq!(freehold.stop(), Some(0));
    }
}

/// A streamed call that lasts: its connection, or the status it was refused with.
fn stream(freehold: &Freehold) -> Result<Connection, u16> {
    let authorization = format!("Bearer {}", freehold.key);
    let body = br#"{"model":"w","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    let mut connection = Connection::open(freehold.gateway).unwrap();
    connection.send("POST", "/v1/chat/completions", &[("authorization", authorization.as_str())], body).unwrap();
    match connection.head().unwrap().status {
        200 => Ok(connection),
        other => Err(other),
    }
}

#[test]
fn no_more_calls_are_under_way_on_three_instances_than_a_limit_allows_at_once() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let scratch = testkit::scratch_dir("at-once-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\noutput_tokens = 600\ntokens_per_second = 5\n");
    let (_sites, running) = three(&simulator, &database, r#"{ limit = "6 calls at once", per = "total" }"#);
    let mut open: Vec<Connection> = Vec::new();
    let mut turn = 0;
    eventually("six are under way", || {
        turn += 1;
        match stream(&running[turn % 3]) {
            Ok(connection) => open.push(connection),
            Err(status) => assert_eq!(status, 429),
        }
        (open.len() == 6).then_some(())
    });
    for freehold in &running {
        assert_eq!(stream(freehold).err(), Some(429), "a seventh");
    }
    // Who leaves makes room, on whichever instance it is asked for.
    drop(open.pop());
    eventually("another one is let in", || stream(&running[0]).ok().map(|connection| open.push(connection)));
    assert_eq!(stream(&running[2]).err(), Some(429));
    drop(open);
}
