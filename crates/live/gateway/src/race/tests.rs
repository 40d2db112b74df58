//! Calls with a second attempt beside a slow first, through the real server and two providers made of sockets.

use std::time::Duration;

use domain::{AttemptEnd, Cause, Cost, Entry, NanoUsd, Record};
use ledger::Amount;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::clock;
use crate::scripted::{Provider, Script, Served, When, call, frame, request, says, stream_head, two_models};
use crate::trail::TRAP;

/// What 100 tokens of output cost: the hold of an attempt, since input costs nothing.
const HOLD: NanoUsd = NanoUsd(100_000_000);
const PATH: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"w","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}"#;

/// Serves calls to workflow `w`, whose lane has a model at each of two providers. It has measured first tokens of a millisecond,
/// so that a second attempt is due at once.
fn serve(name: &str, share: &str, limit: NanoUsd, a: Script<'_>, b: Script<'_>) -> Served {
    let usd = format!("{}.{:09}", limit.0 / 1_000_000_000, limit.0 % 1_000_000_000);
    let hedge = format!("hedge = {{ share = \"{share}\", least_ms = 1 }}");
    let budget = format!("budget = {{ limit = \"{usd} USD\", per = \"total\" }}");
    let text = |at: &[std::net::SocketAddr]| two_models(at, &hedge, &budget);
    let served = crate::scripted::serve(name, limit, &[a, b], text);
    let lane = served.gateway.deployed.load().hedging[0].clone().unwrap();
    (0..64).for_each(|_| lane.lock().measured(1, clock::now()));
    served
}

/// Has the lane earn half a hedge, of which a call under a share of a half earns the rest.
fn save_up(served: &Served) {
    served.gateway.deployed.load().hedging[0].as_ref().unwrap().lock().begin(clock::now());
}

fn ends(records: &[Record]) -> Vec<(&str, Cause, &AttemptEnd)> {
    records.iter().map(|record| (record.intent.model.as_str(), record.intent.cause, &record.end)).collect()
}

const PLENTY: NanoUsd = NanoUsd(100_000_000_000);

fn served_by_stop() -> AttemptEnd {
    AttemptEnd::Served { finish: Some("stop".into()) }
}

#[test]
fn the_second_answers_for_a_first_that_says_nothing_and_both_are_booked() {
    let (a, b) = (Provider::new(), Provider::new());
    let served =
        serve("hedge-second", "50%", PLENTY, (&a, When::Never, Vec::new()), (&b, When::AtOnce, says("from b")));
    save_up(&served);
    let answer = served.call(PATH, BODY);
    assert!(answer.contains("from b") && answer.contains("freehold-model: b"), "{answer}");
    let (records, end) = served.only_call();
    assert_eq!(ends(&records), [("a", Cause::Serve, &AttemptEnd::Cancelled), ("b", Cause::Hedge, &served_by_stop())]);
    assert_eq!((end.attempts, end.model.clone(), end.failure.as_ref()), (2, Some("b".into()), None));
    let booked: NanoUsd = records.iter().map(|record| record.cost.booked()).sum();
    assert_eq!((served.balance(), end.cost), ((booked, NanoUsd::ZERO), booked));
    assert!(records[1].decision.contains("beside a, which had said nothing after 1 ms"), "{}", records[1].decision);
    assert!(end.stages.iter().any(|stage| stage.note == "a was slow, so b was asked beside it; b was first to answer"));
    served.runtime.block_on(async { a.left.subscribe().wait_for(|left| *left == 1).await.map(drop).unwrap() });
    let health = |index: usize| served.gateway.deployed.load().slots[index].health.lock().view(clock::now());
    assert_eq!((health(0).samples, health(0).in_flight), (0, 0), "to lose is no fault");
    assert_eq!((health(1).samples, health(1).in_flight), (1, 0));
}

#[test]
fn the_first_may_still_win_and_the_second_is_the_hedge_all_the_same() {
    let (a, b) = (Provider::new(), Provider::new());
    let when = When::After(b.asked.subscribe(), 1);
    let served = serve("hedge-first", "50%", PLENTY, (&a, when, says("from a")), (&b, When::Never, Vec::new()));
    save_up(&served);
    assert!(served.call(PATH, BODY).contains("from a"));
    let (records, end) = served.only_call();
    assert_eq!(ends(&records), [("a", Cause::Serve, &served_by_stop()), ("b", Cause::Hedge, &AttemptEnd::Cancelled)]);
    assert_eq!((end.model.clone(), served.balance().1), (Some("a".into()), NanoUsd::ZERO));
}

#[test]
fn where_both_fail_the_call_fails_with_both_booked() {
    let (a, b) = (Provider::new(), Provider::new());
    let broken = vec!["HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned()];
    let when = When::After(b.asked.subscribe(), 1);
    let served = serve("hedge-both", "50%", PLENTY, (&a, when, broken.clone()), (&b, When::AtOnce, broken));
    save_up(&served);
    let answer = served.call(PATH, BODY);
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    let (records, _) = served.only_call();
    assert!(records.iter().all(|record| matches!(record.end, AttemptEnd::Failed { after_content: false, .. })));
    assert_eq!(records[1].intent.cause, Cause::Hedge);
    assert_eq!(served.balance(), (NanoUsd::ZERO, NanoUsd::ZERO));
}

#[test]
fn a_hedge_that_the_budget_does_not_cover_is_not_made_and_the_call_goes_on() {
    let (a, b) = (Provider::new(), Provider::new());
    let gate = watch::Sender::new(0);
    let when = When::After(gate.subscribe(), 1);
    let limit = NanoUsd(HOLD.0 * 3 / 2);
    let served = serve("hedge-money", "50%", limit, (&a, when, says("from a")), (&b, When::AtOnce, says("from b")));
    save_up(&served);
    let (address, gateway) = (served.address, served.gateway.clone());
    let answer = served.runtime.block_on(async move {
        let answer = tokio::spawn(async move { call(address, &request(PATH, BODY)).await });
        let refused = async {
            while gateway.metrics.hedges_without_money.get() == 0 {
                tokio::task::yield_now().await;
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(20), refused).await;
        gate.send_replace(1);
        let answer = answer.await.unwrap();
        assert!(refused.is_ok(), "{answer}");
        answer
    });
    assert!(answer.contains("from a"), "{answer}");
    let (records, end) = served.only_call();
    assert_eq!(ends(&records), [("a", Cause::Serve, &served_by_stop())]);
    let no_money = "no second attempt beside the slow one at b: no money for it";
    assert!(end.stages.iter().any(|stage| stage.note == no_money), "{:?}", end.stages);
    assert_eq!(*b.asked.borrow(), 0);
}

#[test]
fn of_two_hundred_calls_at_once_no_more_than_the_share_is_hedged_and_the_budget_is_kept() {
    let (a, b) = (Provider::new(), Provider::new());
    let gate = watch::Sender::new(0);
    let when = When::After(gate.subscribe(), 1);
    let served = serve("hedge-share", "10%", PLENTY, (&a, when, says("from a")), (&b, When::AtOnce, says("from b")));
    let address = served.address;
    let mut b_asked = b.asked.subscribe();
    served.runtime.block_on(async move {
        let calls: Vec<_> =
            (0..200).map(|_| tokio::spawn(async move { call(address, &request(PATH, BODY)).await })).collect();
        b_asked.wait_for(|asked| *asked >= 10).await.map(drop).unwrap();
        gate.send_replace(1);
        for call in calls {
            let answer = call.await.unwrap();
            assert!(answer.contains("[DONE]"), "{answer}");
        }
    });
    let entries = served.entries();
    let records: Vec<&Record> = entries
        .iter()
        .filter_map(|entry| if let Entry::Record(record) = entry { Some(&**record) } else { None })
        .collect();
    let hedges = records.iter().filter(|record| record.intent.cause == Cause::Hedge).count();
    assert!((10..=20).contains(&hedges), "{hedges}");
    assert_eq!(records.len(), 200 + hedges);
    let booked: NanoUsd = records.iter().map(|record| record.cost.booked()).sum();
    assert_eq!(served.balance(), (booked, NanoUsd::ZERO));
}

#[test]
fn a_panic_with_two_attempts_open_books_both_at_their_holds() {
    let (a, b) = (Provider::new(), Provider::new());
    let when = When::After(b.asked.subscribe(), 1);
    let trap = format!(
        r#"{{"id":"c","model":"v","x":"{}","choices":[{{"index":0,"delta":{{"role":"assistant"}}}}]}}"#,
        std::str::from_utf8(TRAP).unwrap()
    );
    let pieces = vec![stream_head(), frame(&trap)];
    let served = serve("hedge-panic", "50%", PLENTY, (&a, when, pieces), (&b, When::Never, Vec::new()));
    save_up(&served);
    let answer = served.call(PATH, BODY);
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("\"code\":\"defect\""), "{answer}");
    let (records, end) = served.only_call();
    for record in &records {
        assert_eq!((&record.end, &record.cost), (&AttemptEnd::Indeterminate, &Cost::AtMost(Some(HOLD))));
    }
    assert_eq!((records.len(), records[1].intent.cause, end.attempts), (2, Cause::Hedge, 2));
    assert_eq!((served.balance(), end.cost), ((NanoUsd(2 * HOLD.0), NanoUsd::ZERO), NanoUsd(2 * HOLD.0)));
}

#[test]
fn a_client_that_leaves_while_two_are_open_cancels_both() {
    let (a, b) = (Provider::new(), Provider::new());
    let served = serve("hedge-gone", "50%", PLENTY, (&a, When::Never, Vec::new()), (&b, When::Never, Vec::new()));
    save_up(&served);
    let address = served.address;
    let (mut asked, mut left_a, mut left_b) = (b.asked.subscribe(), a.left.subscribe(), b.left.subscribe());
    served.runtime.block_on(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request(PATH, BODY).as_bytes()).await.unwrap();
        asked.wait_for(|asked| *asked == 1).await.map(drop).unwrap();
        drop(stream);
        left_a.wait_for(|left| *left == 1).await.map(drop).unwrap();
        left_b.wait_for(|left| *left == 1).await.map(drop).unwrap();
    });
    let (records, end) = served.once_over();
    assert_eq!(
        ends(&records),
        [("a", Cause::Serve, &AttemptEnd::Cancelled), ("b", Cause::Hedge, &AttemptEnd::Cancelled)]
    );
    assert_eq!((end.status, served.balance().1), (499, NanoUsd::ZERO));
}

#[test]
fn a_call_dropped_with_its_runtime_while_two_are_open_is_booked_at_both_holds() {
    let (a, b) = (Provider::new(), Provider::new());
    let served = serve("hedge-dropped", "50%", PLENTY, (&a, When::Never, Vec::new()), (&b, When::Never, Vec::new()));
    save_up(&served);
    let address = served.address;
    let mut asked = b.asked.subscribe();
    let stream = served.runtime.block_on(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request(PATH, BODY).as_bytes()).await.unwrap();
        asked.wait_for(|asked| *asked == 1).await.map(drop).unwrap();
        stream
    });
    assert_eq!(served.balance(), (NanoUsd::ZERO, NanoUsd(2 * HOLD.0)));
    let Served { gateway, address, scratch, runtime } = served;
    runtime.shutdown_timeout(Duration::from_secs(10));
    drop(stream);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let served = Served { gateway, address, scratch, runtime };
    let (records, _) = served.only_call();
    assert!(records.iter().all(|record| record.end == AttemptEnd::Indeterminate));
    assert_eq!((records.len(), served.balance()), (2, (NanoUsd(2 * HOLD.0), NanoUsd::ZERO)));
}

#[test]
fn a_lane_of_which_little_is_known_hedges_nothing() {
    let (a, b) = (Provider::new(), Provider::new());
    let served =
        serve("hedge-unknown", "50%", PLENTY, (&a, When::AtOnce, says("from a")), (&b, When::AtOnce, says("b")));
    let terms = served.gateway.deployed.load().hedging[0].as_ref().unwrap().lock().terms();
    *served.gateway.deployed.load().hedging[0].as_ref().unwrap().lock() = routing::Hedging::new(terms);
    (0..4).for_each(|_| drop(served.call(PATH, BODY)));
    assert_eq!((*a.asked.borrow(), *b.asked.borrow()), (4, 0));
    let Amount(settled) = served.gateway.budgets.view()[0].account.settled;
    assert_eq!(settled, 4 * 10_000_000);
}
