//! How many calls are refused that an oracle would admit, who knows how long each answer will be? Open-loop arrivals at twice the
//! budget, through the real gateway and the simulator.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::{Simulator, Site};
use crate::http::Connection;

/// Arrivals a second: as many as a debug build serves on two cores that other tests use as well.
const ARRIVALS_PER_SECOND: u32 = 75;
/// Tokens the budget is worth for each call that it is to be worth: the mean length of an answer.
const MEAN_TOKENS: u64 = 100;

/// Lengths spread evenly from 10 to 190, an answer takes about a tenth of a second, and a token is 0.001 USD.
const SCENARIO: &str = "seed = 7\n[providers.sim]\noutput_tokens = { from = 10, to = 190 }\n\
                        first_token_ms = { from = 10, to = 40 }\ntokens_per_second = 2000\n";

fn configuration(address: SocketAddr, calls: u64) -> String {
    format!(
        r#"
[providers.sim]
dialect = "openai-chat"
base_url = "http://{address}/sim/v1"

[models.sim]
provider = "sim"
model = "sim-1"
max_output_tokens = 4096
price = {{ input = "0", output = "1000" }}

[lanes.sim]
class = "A"
models = ["sim"]
pick = "cheapest"

[criticality.only]
lanes = ["sim"]

[workflows.w]
criticality = "only"
budget = {{ limit = "{}.{:03} USD", per = "total" }}

[workflows.free]
criticality = "only"
"#,
        calls * MEAN_TOKENS / 1000,
        calls * MEAN_TOKENS % 1000
    )
}

/// What became of one call: refused, or the tokens of its answer and whether it was cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Came {
    Refused,
    Whole(u64),
    Cut,
}

fn ask(gateway: SocketAddr, authorization: &str, workflow: &str, number: u64) -> Came {
    let body = format!(
        r#"{{"model":"{workflow}","stream":true,"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"Question {number}"}}]}}"#
    );
    let headers = [("authorization", authorization)];
    let mut connection = Connection::open(gateway).unwrap();
    let answer = connection.exchange("POST", "/v1/chat/completions", &headers, body.as_bytes()).unwrap();
    match answer.status {
        429 => Came::Refused,
        200 if answer.text().contains(": freehold:") => Came::Cut,
        200 => {
            let text = answer.text();
            let (_, rest) = text.rsplit_once("\"completion_tokens\":").expect("the usage was asked for");
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Came::Whole(digits.parse().unwrap())
        }
        other => panic!("{other}: {}", answer.text()),
    }
}

#[test]
fn false_refusals_are_at_most_one_in_a_hundred_of_what_an_oracle_admits() {
    let worth = std::env::var("FREEHOLD_PROVE_CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(1_000_u64);
    let scratch = testkit::scratch_dir("false-refusals");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new("false-refusals", &configuration(simulator.address, worth));
    let freehold = site.start();
    let (gateway, authorization) = (freehold.gateway, format!("Bearer {}", freehold.key));
    let arrivals = 2 * worth;
    // How long each answer is: the same question has the same answer.
    let mut lengths: Vec<u64> = vec![0; usize::try_from(arrivals).unwrap()];
    std::thread::scope(|scope| {
        for (part, lengths) in lengths.chunks_mut(usize::try_from(arrivals.div_ceil(16)).unwrap()).enumerate() {
            let authorization = &authorization;
            scope.spawn(move || {
                let first = u64::try_from(part).unwrap() * arrivals.div_ceil(16);
                for (place, length) in lengths.iter_mut().enumerate() {
                    let Came::Whole(tokens) = ask(gateway, authorization, "free", first + place as u64) else {
                        panic!("no budget, no refusal");
                    };
                    *length = tokens;
                }
            });
        }
    });
    let began = Instant::now();
    let came: Vec<Came> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..arrivals)
            .map(|number| {
                let authorization = &authorization;
                // Arrivals do not wait for answers: that is what makes the load open.
                let due = Duration::from_secs(1) * u32::try_from(number).unwrap() / ARRIVALS_PER_SECOND;
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                std::thread::Builder::new()
                    .stack_size(128 << 10)
                    .spawn_scoped(scope, move || ask(gateway, authorization, "w", number))
                    .unwrap()
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let budget = worth * MEAN_TOKENS;
    let (mut oracle, mut admitted, mut refused, mut cut) = (0, 0_u64, 0_u64, 0_u64);
    for (length, came) in lengths.iter().zip(&came) {
        if oracle + length > budget {
            continue;
        }
        oracle += length;
        admitted += 1;
        refused += u64::from(*came == Came::Refused);
        cut += u64::from(*came == Came::Cut);
    }
    let spent: u64 = came.iter().map(|came| if let Came::Whole(tokens) = came { *tokens } else { 0 }).sum();
    let served = came.iter().filter(|came| matches!(came, Came::Whole(_))).count();
    println!(
        "{arrivals} arrivals at {ARRIVALS_PER_SECOND} a second on a budget of {budget} tokens: the oracle admits {admitted}, of which \
         {refused} were refused and {cut} cut ({:.2} %); {served} were served whole, {spent} tokens spent",
        (refused + cut) as f64 * 100.0 / admitted as f64
    );
    assert!(spent <= budget, "{spent} of {budget}");
    assert!((refused + cut) * 100 <= admitted, "{refused} refused and {cut} cut of {admitted}");
    let held = "freehold_budget_held_nano_usd{scope=\"workflow w\",per=\"total\"} 0";
    assert!(freehold.metrics().contains(held), "nothing stays held");
}
