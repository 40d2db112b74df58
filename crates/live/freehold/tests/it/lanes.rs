//! Lanes that promise something, through the real gateway: who is moved away from one that does not keep it, where calls of
//! a balanced lane go, and what one vendor may have.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};

use crate::harness::{Freehold, RawProvider, Site, eventually};

const BODY: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#;

fn provider(name: &str, server: &RawProvider, output_price: &str) -> String {
    provider_at(name, server.address, output_price)
}

/// A provider with one model of its name.
fn provider_at(name: &str, address: SocketAddr, output_price: &str) -> String {
    format!(
        "[providers.{name}]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"{output_price}\" }}\n\n"
    )
}

fn answering() -> RawProvider {
    RawProvider::answering_body("application/json", BODY.as_bytes())
}

fn failing() -> RawProvider {
    RawProvider::answering(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec())
}

/// The decision of the last attempt of a call.
fn decision(freehold: &Freehold, workflow: &str) -> String {
    let answer = freehold.chat(workflow, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let view = freehold.call(answer.header("freehold-call-id").unwrap());
    let entries = view["entries"].as_array().unwrap();
    entries.iter().rev().find_map(|entry| entry["decision"].as_str()).unwrap().to_owned()
}

#[test]
fn a_lane_that_burns_its_budget_gets_fewer_calls_and_the_most_critical_are_moved_last() {
    let (broken, good) = (failing(), answering());
    let configuration = [
        provider("broken", &broken, "1").as_str(),
        &provider("good", &good, "1"),
        "[lanes.premium]\nclass = \"A\"\nmodels = [\"broken\"]\nslo = { success = \"99.9%\", total_p95_ms = 60_000 }\n\n",
        "[lanes.own]\nclass = \"C\"\nmodels = [\"good\"]\n\n",
        "[criticality.routine]\nlanes = [\"premium\", \"own\"]\nrank = 2\n\n",
        "[criticality.high]\nlanes = [\"premium\", \"own\"]\nrank = 1\n\n",
        "[workflows.claims]\ncriticality = \"high\"\n\n[workflows.digest]\ncriticality = \"routine\"\n",
    ]
    .concat();
    let site = Site::new("lanes-burn", &configuration);
    let freehold = site.start();
    (0..10).for_each(|_| drop(freehold.chat("claims", "")));
    (0..120).for_each(|_| assert_eq!(freehold.chat("digest", "").status, 200));
    // What is looked at once a second is seen by a call that comes later.
    let moved = eventually("a routine call is moved", || {
        Some(decision(&freehold, "digest")).filter(|decision| decision.contains("moved away"))
    });
    assert!(moved.starts_with("own: moved away from premium (success burns"), "{moved}");
    assert!(moved.contains("budget of errors over 1 h, and more than 14.4 over 5 m"), "{moved}");

    let critical = decision(&freehold, "claims");
    assert!(critical.starts_with("own: premium/broken") && !critical.contains("moved away"), "{critical}");

    let lanes = freehold.admin("/api/v1/lanes");
    let premium = lanes.as_array().unwrap().iter().find(|lane| lane["name"] == "premium").unwrap();
    assert_eq!((&premium["standing"]["level"], &premium["moves"][0]["by"]), (&4.into(), &"burn".into()), "{premium}");
    let kept = &premium["standing"]["kept_permille"];
    assert_eq!(kept[0], 1000, "of `high`, the most critical, everything stays: {kept}");
    assert!(kept[1].as_u64().unwrap() < 200, "of `routine` little does: {kept}");
    let success = &premium["standing"]["promises"][1];
    assert_eq!(
        (&success["indicator"], &success["reading"]["events"]["good"]),
        (&"success".into(), &0.into()),
        "{success}"
    );
    let metrics = freehold.metrics();
    for line in [
        "freehold_calls_moved_total{by=\"burn\"} ",
        "freehold_lane_level{lane=\"premium\"} 4",
        "freehold_lane_kept_permille{lane=\"premium\",criticality=\"high\"} 1000",
        "freehold_lane_events{lane=\"premium\",indicator=\"success\",verdict=\"good\"} 0",
        "freehold_lane_burn_permille{lane=\"premium\",indicator=\"success\",window=\"1h\"} 1000000",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let alarms = freehold.admin("/api/v1/overview")["alarms"].to_string();
    assert!(alarms.contains("lane_burns") && alarms.contains("lane `premium` does not keep its promise"), "{alarms}");

    // Started again, it knows what it had counted, and moves calls from the first one on.
    assert_eq!(freehold.stop(), Some(0));
    let freehold = site.start();
    let again = eventually("a routine call is moved again", || {
        Some(decision(&freehold, "digest")).filter(|decision| decision.contains("moved away"))
    });
    assert!(again.starts_with("own: moved away from premium (success burns"), "{again}");
    let restored = freehold.admin("/api/v1/lanes")[0]["standing"]["promises"][1]["reading"]["events"]["bad"].clone();
    assert!(restored.as_u64().unwrap() >= 100, "{restored}");
}

#[test]
fn faults_of_clients_are_no_broken_promise_and_a_lane_that_fails_over_within_itself_keeps_its() {
    let (broken, good) = (failing(), answering());
    let strict = RawProvider::answering(
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 36\r\nconnection: close\r\n\r\n\
          {\"error\":{\"message\":\"no such thing\"}}".to_vec(),
    );
    let configuration = [
        provider("broken", &broken, "1").as_str(),
        &provider("good", &good, "1"),
        &provider("strict", &strict, "1"),
        "[lanes.premium]\nclass = \"A\"\nmodels = [\"broken\", \"good\"]\nslo = { success = \"99%\" }\n\n",
        "[lanes.strict]\nclass = \"C\"\nmodels = [\"strict\"]\nslo = { success = \"99%\" }\n\n",
        "[criticality.high]\nlanes = [\"premium\"]\n\n[criticality.low]\nlanes = [\"strict\"]\n\n",
        "[workflows.claims]\ncriticality = \"high\"\n\n[workflows.digest]\ncriticality = \"low\"\n",
    ]
    .concat();
    let site = Site::new("lanes-keep", &configuration);
    let freehold = site.start();
    (0..3).for_each(|_| assert_eq!(freehold.chat("claims", "").status, 200));
    assert_eq!(freehold.chat("digest", "").status, 400);
    let lanes = freehold.admin("/api/v1/lanes");
    let events = |lane: usize| lanes[lane]["standing"]["promises"][0]["reading"]["events"].to_string();
    assert_eq!((&*events(0), &*events(1)), (r#"{"bad":0,"good":3}"#, r#"{"bad":0,"good":0}"#));
}

#[test]
fn one_vendor_has_no_more_than_its_share_and_nothing_is_refused() {
    let (one, other) = (answering(), answering());
    let configuration = [
        provider("one", &one, "1").as_str(),
        &provider("other", &other, "9"),
        "[lanes.all]\nclass = \"B\"\nmodels = [\"one\", \"other\"]\npick = \"cheapest\"\n\n",
        "[lanes.single]\nclass = \"C\"\nmodels = [\"one\"]\n\n",
        "[criticality.high]\nlanes = [\"all\"]\n\n[criticality.low]\nlanes = [\"single\"]\n\n",
        "[concentration.high]\nshare = \"60%\"\nattempts = 20\n\n[concentration.low]\nshare = \"60%\"\n\n",
        "[workflows.claims]\ncriticality = \"high\"\n\n[workflows.digest]\ncriticality = \"low\"\n",
    ]
    .concat();
    let site = Site::new("lanes-concentration", &configuration);
    let freehold = site.start();
    let models: Vec<String> = (0..40)
        .map(|_| {
            let answer = freehold.chat("claims", "");
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.header("freehold-model").unwrap().to_owned()
        })
        .collect();
    for twenty in models.windows(20) {
        let cheapest = twenty.iter().filter(|model| *model == "one").count();
        assert!(cheapest <= 12, "{twenty:?}");
    }
    assert_eq!(models.iter().filter(|model| *model == "one").count(), 24, "the share is used as well");

    // The window holds the last twenty, so what stands in it decides which of the next calls is steered.
    let steered = eventually("a call is steered", || {
        Some(decision(&freehold, "claims")).filter(|decision| decision.contains("moved away"))
    });
    assert!(steered.contains("moved away from one (vendor one has 12 of the last 20 attempts"), "{steered}");

    let alone: Vec<String> = (0..12).map(|_| decision(&freehold, "digest")).collect();
    assert!(alone[11].contains("not moved away although vendor one has"), "{alone:?}");
    let metrics = freehold.metrics();
    assert!(metrics.contains("freehold_calls_moved_total{by=\"concentration\"} "), "{metrics}");
    assert!(metrics.contains("freehold_vendor_attempts{criticality=\"high\",vendor=\"one\"} 12"), "{metrics}");
}

/// A provider that answers nobody before it is let: each call stays under way.
struct Held {
    address: SocketAddr,
    let_go: Arc<(Mutex<bool>, Condvar)>,
}

fn held() -> Held {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let let_go = Arc::new((Mutex::new(false), Condvar::new()));
    let gate = let_go.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let gate = gate.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 65536];
                let _ = stream.read(&mut buffer);
                let (open, changed) = &*gate;
                drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    BODY.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(BODY.as_bytes());
            });
        }
    });
    Held { address, let_go }
}

#[test]
fn a_balanced_lane_sends_calls_where_less_is_under_way() {
    let (one, other) = (held(), held());
    let configuration = [
        provider_at("one", one.address, "1").as_str(),
        &provider_at("other", other.address, "1"),
        "[lanes.all]\nclass = \"B\"\nmodels = [\"one\", \"other\"]\npick = \"balanced\"\n\n",
        "[criticality.high]\nlanes = [\"all\"]\n\n[workflows.claims]\ncriticality = \"high\"\n",
    ]
    .concat();
    let site = Site::new("lanes-balanced", &configuration);
    let freehold = site.start();
    let under_way = |model: &str| {
        let lanes = freehold.admin("/api/v1/lanes");
        let models = lanes[0]["models"].as_array().unwrap();
        let model = models.iter().find(|one| one["name"] == model).unwrap();
        model["health"]["in_flight"].as_u64().unwrap()
    };
    std::thread::scope(|scope| {
        let calls: Vec<_> = (1..=10)
            .map(|number| {
                let call = scope.spawn(|| freehold.chat("claims", "").header("freehold-model").unwrap().to_owned());
                // Each is sent before the next one is made, so that what is under way is known.
                eventually("the call is under way", || (under_way("one") + under_way("other") == number).then_some(()));
                call
            })
            .collect();
        assert_eq!((under_way("one"), under_way("other")), (5, 5), "every call goes where less is under way");
        for held in [&one, &other] {
            *held.let_go.0.lock().unwrap() = true;
            held.let_go.1.notify_all();
        }
        let models: Vec<String> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert_eq!(models.iter().filter(|model| *model == "one").count(), 5);
    });
    let view = decision(&freehold, "claims");
    assert!(view.contains("balanced over 2: 0 under way, 0 % failed lately, expected "), "{view}");
}

#[test]
fn bought_capacity_is_used_first_and_what_is_beyond_it_spills_over() {
    let (bought, listed) = (answering(), answering());
    let configuration = [
        provider("bought", &bought, "9").as_str(),
        &provider("listed", &listed, "1"),
        // A minute of it serves one call of these: 5 tokens sent, and the 256 that an answer is first taken to have.
        "[capacity.east]\nmodels = [\"bought\"]\nunits = 1\nunit_hour = \"1 USD\"\ntokens_per_minute = 300\nfrom = 2026-01-01\n\n",
        "[lanes.all]\nclass = \"B\"\nmodels = [\"listed\", \"bought\"]\npick = \"cheapest\"\n\n",
        "[criticality.high]\nlanes = [\"all\"]\n\n[workflows.claims]\ncriticality = \"high\"\n",
    ]
    .concat();
    let site = Site::new("lanes-capacity", &configuration);
    let freehold = site.start();
    let first = decision(&freehold, "claims");
    assert_eq!(first, "all: first of 2, since capacity that was bought for it has room");
    // Six tokens were used of 300, so the next ones fit too, until a call asks for more than is left.
    let body = r#"{"model":"claims","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}"#;
    assert_eq!(freehold.post("/v1/chat/completions", body).header("freehold-model"), Some("bought"));
    let long = format!(r#"{{"model":"claims","messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(2_000));
    let spilled = freehold.post("/v1/chat/completions", &long);
    assert_eq!(spilled.header("freehold-model"), Some("listed"));
    let view = freehold.call(spilled.header("freehold-call-id").unwrap()).to_string();
    assert!(view.contains("bought capacity of bought is full; cheapest of 2"), "{view}");
}

/// A provider that fails as often, and then answers.
fn answering_after(failures: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let mut buffer = [0; 65536];
            let _ = stream.read(&mut buffer);
            let (status, body) = if number < failures { ("500 Oops", "") } else { ("200 OK", BODY) };
            let length = body.len();
            let head = "content-type: application/json\r\nconnection: close\r\n";
            let _ = stream
                .write_all(format!("HTTP/1.1 {status}\r\n{head}content-length: {length}\r\n\r\n{body}").as_bytes());
        }
    });
    address
}

#[test]
fn a_prompt_goes_back_to_where_it_is_cached_when_that_costs_less() {
    let usage = r#""usage":{"prompt_tokens":3000,"completion_tokens":1,"total_tokens":3001,"prompt_tokens_details":{"cached_tokens":2900}}"#;
    let (answer, _) = BODY.split_once("\"usage\"").unwrap();
    let caching = RawProvider::answering_body("application/json", format!("{answer}{usage}}}").as_bytes());
    let configuration = [
        provider_at("cheap", answering_after(2), "1").as_str(),
        &provider("caching", &caching, "1").replace("input = \"1\"", "input = \"2\", cache_read = \"0.2\""),
        "[lanes.all]\nclass = \"B\"\nmodels = [\"caching\", \"cheap\"]\npick = \"cheapest\"\n\n",
        "[criticality.high]\nlanes = [\"all\"]\n\n[workflows.claims]\ncriticality = \"high\"\n",
    ]
    .concat();
    let site = Site::new("lanes-sticky", &configuration);
    let freehold = site.start();
    let ask = |word: &str| {
        let prompt = word.repeat(12_000 / word.len());
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"model":"claims"}}"#);
        let answer = freehold.post("/v1/chat/completions", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        (answer.header("freehold-model").unwrap().to_owned(), answer.header("freehold-call-id").unwrap().to_owned())
    };
    // The cheaper one fails twice, so the other serves this prompt, and has it in its cache from then on.
    assert_eq!(ask("one ").0, "caching");
    let (model, call) = ask("one ");
    let view = freehold.call(&call).to_string();
    assert_eq!(model, "caching", "most of it costs a tenth there: {view}");
    assert!(view.contains("cheapest of 2 by expected") && view.contains("tokens of the prompt cached there"), "{view}");
    assert_eq!(ask("two ").0, "cheap", "another prompt is cached nowhere");
}
