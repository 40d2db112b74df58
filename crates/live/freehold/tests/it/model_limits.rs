//! Limits of a model, and of a key in a minute, exact over three instances that share a PostgreSQL: what does not fit at one model is
//! answered by the next.

use testkit::postgres::Postgres;

use crate::harness::{Freehold, Simulator, Site, run, text};
use crate::http::{Answer, request};

/// Two models at two simulated providers, the first with these limits.
fn site(number: usize, simulator: &Simulator, database: Option<&str>, limits: &str) -> Site {
    let provider = |name: &str| {
        let address = simulator.address;
        format!(
            "[providers.{name}]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/{name}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n"
        )
    };
    let configuration = format!(
        "{}{}[models.small]\nprovider = \"near\"\nmodel = \"v\"\n{limits}\n\n[models.large]\nprovider = \"far\"\nmodel = \"v\"\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"small\", \"large\"]\npick = \"best\"\n\n[lanes.only]\nclass = \"B\"\nmodels = [\"small\"]\npick = \"best\"\n\n\
         [criticality.c]\nlanes = [\"l\"]\n\n[criticality.d]\nlanes = [\"only\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n\n[workflows.alone]\ncriticality = \"d\"\n",
        provider("near"),
        provider("far"),
    );
    let mut site = Site::new(&format!("model-limits-{number}"), &configuration);
    site.database = database.map(str::to_owned);
    site
}

/// Three instances with one key.
fn three(simulator: &Simulator, database: &str, limits: &str, key: &[&str]) -> (Vec<Site>, Vec<Freehold>) {
    let sites: Vec<Site> = (0..3).map(|number| site(number, simulator, Some(database), limits)).collect();
    let key = sites[0].key(key);
    for other in &sites[1..] {
        std::fs::create_dir_all(other.data()).unwrap();
        std::fs::copy(sites[0].data().join("pepper"), other.data().join("pepper")).unwrap();
    }
    let running = sites.iter().map(|site| site.start_with(key.clone())).collect();
    (sites, running)
}

fn call(freehold: &Freehold, workflow: &str) -> Answer {
    let body = format!(r#"{{"model":"{workflow}","max_tokens":5,"messages":[{{"role":"user","content":"Hello"}}]}}"#);
    let authorization = format!("Bearer {}", freehold.key);
    let headers = [("authorization", authorization.as_str())];
    request(freehold.gateway, "POST", "/v1/chat/completions", &headers, body.as_bytes())
}

const SCENARIO: &str = "[providers.near]\noutput_tokens = 5\n\n[providers.far]\noutput_tokens = 5\n";

#[test]
fn three_instances_send_a_model_as_many_requests_in_a_minute_as_it_may_have_and_the_others_to_the_next() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let scratch = testkit::scratch_dir("model-limits-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    // A minute that lasts: the test would be wrong on a machine that needed one for it.
    let (_sites, running) = three(&simulator, &database, "requests_per_minute = 30", &["--label", "limits"]);
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for freehold in &running {
            for _ in 0..4 {
                scope.spawn(|| (0..20).for_each(|_| assert_eq!(call(freehold, "w").status, 200)));
            }
        }
    });
    // An instance may have a little of its last slice left, but never more than the limit.
    let moved = (0..31).map(|_| call(&running[0], "w")).find(|moved| moved.header("freehold-model") == Some("large"));
    let moved = moved.expect("the limit is reached and the next model answers");
    let view = running[0].call(moved.header("freehold-call-id").unwrap());
    assert!(view.to_string().contains("its own limit of 30 requests per minute is reached"), "{view}");
    // No call waited long enough to be the last of its slices: those who can wait ask for what is left.
    let mut refused = 0;
    while refused < 15 {
        refused = if call(&running[refused % 3], "alone").status == 200 { 0 } else { refused + 1 };
    }
    let refusal = call(&running[1], "alone");
    assert!(began.elapsed().as_secs() < 55, "too slow a machine to see a minute");
    let sent = simulator.transcript().iter().filter(|line| line["provider"] == "near").count();
    assert_eq!(sent, 30, "as many as it may have, all instances together");
    let error = refusal.json()["error"].clone();
    assert_eq!((refusal.status, &error["code"]), (429, &"limit_reached".into()), "{}", refusal.text());
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("30 requests per minute of model `small`"), "{message}");
    assert!(refusal.header("retry-after").is_some());
    for freehold in running {
        assert_eq!(freehold.stop(), Some(0));
    }
}

#[test]
fn what_a_key_may_ask_for_in_a_minute_is_counted_by_all_instances_together() {
    let postgres = Postgres::start();
    let database = postgres.database();
    let scratch = testkit::scratch_dir("key-limits-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let key = ["--label", "limits", "--requests-per-minute", "30"];
    let (_sites, running) = three(&simulator, &database, "", &key);
    let began = std::time::Instant::now();
    let served: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = running
            .iter()
            .flat_map(|freehold| (0..4).map(move |_| freehold))
            .map(|freehold| {
                scope.spawn(|| {
                    let (mut served, mut refused) = (0, 0);
                    while refused < 10 {
                        match call(freehold, "w").status {
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
    let refused = call(&running[2], "w");
    assert!(began.elapsed().as_secs() < 55, "too slow a machine to see a minute");
    assert_eq!(served, 30);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &"key_limit".into()), "{}", refused.text());
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("30 requests a minute"), "{message}");
    for freehold in running {
        assert_eq!(freehold.stop(), Some(0));
    }
}

#[test]
fn an_instance_that_is_killed_and_started_again_within_the_minute_sends_a_model_no_more_than_it_may_have() {
    let postgres = Postgres::start();
    let scratch = testkit::scratch_dir("model-limits-killed-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = site(8, &simulator, Some(&postgres.database()), "requests_per_minute = 10");
    let key = site.key(&["--label", "limits"]);
    let began = std::time::Instant::now();
    let freehold = site.start_with(key.clone());
    (0..6).for_each(|_| assert_eq!(call(&freehold, "w").status, 200));
    freehold.kill();
    let freehold = site.start_with(key);
    (0..12).for_each(|_| assert_eq!(call(&freehold, "w").status, 200));
    assert!(began.elapsed().as_secs() < 55, "too slow a machine to see a minute");
    assert_eq!(freehold.stop(), Some(0));
    let sent = |name: &str| simulator.transcript().iter().filter(|line| line["provider"] == name).count();
    assert!((1..=10).contains(&sent("near")), "{}", sent("near"));
    assert_eq!(sent("near") + sent("far"), 18);
}

#[test]
fn one_instance_of_an_embedded_database_keeps_the_limits_of_a_model_and_shows_them() {
    let scratch = testkit::scratch_dir("model-limits-alone-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let limits = "requests_per_minute = 3\ntokens_per_minute = 100_000\ncalls_at_once = 2";
    let site = site(9, &simulator, None, limits);
    let freehold = site.start_with(site.key(&["--label", "limits"]));
    (0..5).for_each(|_| assert_eq!(call(&freehold, "w").status, 200));
    let metrics = freehold.metrics();
    let limited = metrics.lines().find(|line| line.starts_with("freehold_model_limited")).unwrap();
    assert!(limited.ends_with(" 2") && limited.contains("small"), "{limited}");
    assert_eq!(freehold.stop(), Some(0));
    let sent = simulator.transcript().iter().filter(|line| line["provider"] == "near").count();
    assert_eq!(sent, 3);
    let zero = std::fs::read_to_string(site.file()).unwrap().replace("calls_at_once = 2", "calls_at_once = 0");
    std::fs::write(site.file(), zero).unwrap();
    let (code, said) = run(&["check", &text(&site.file())]);
    assert!(code != 0 && said.contains("calls_at_once"), "{said}");
}
