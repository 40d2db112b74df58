//! Batches that Freehold runs itself, through the real server: each request is a call of its own under its own workflow, gives way to
//! calls of clients, and a SIGKILL in the middle loses nothing and asks nothing twice that was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::harness::{Freehold, Simulator, Site, eventually};
use crate::http::Answer;
use crate::kept::{code, id, upload};

/// A provider, its model, lane, criticality and workflow, all of one name.
fn row(name: &str, provider: &str, workflow: &str) -> String {
    format!(
        "[providers.{name}]\n{provider}\napi_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\n\
         max_output_tokens = 100\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
         [lanes.{name}]\nclass = \"C\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n[criticality.{name}]\nlanes = [\"{name}\"]\n\n\
         [workflows.{name}]\ncriticality = \"{name}\"\n{workflow}\n\n"
    )
}

/// An own server that has no batches, and a provider of another dialect.
fn configuration(address: SocketAddr) -> String {
    let own = format!("dialect = \"openai-chat\"\nquirks = \"llama-cpp\"\nbase_url = \"http://{address}/sim/v1\"");
    let claude = format!("dialect = \"anthropic\"\nbase_url = \"http://{address}/sim/v1\"");
    let poor = "budget = { limit = \"0.000000001 USD\", per = \"total\", at_limit = \"refuse\" }";
    row("own", &own, "") + &row("claude", &claude, "") + &row("poor", &own, poor)
}

fn chat(custom_id: &str, workflow: &str, says: &str) -> String {
    let body = json!({ "model": workflow, "max_tokens": 20, "messages": [{ "role": "user", "content": says }] });
    line(custom_id, "/v1/chat/completions", &body)
}

fn line(custom_id: &str, url: &str, body: &Value) -> String {
    json!({ "custom_id": custom_id, "method": "POST", "url": url, "body": body }).to_string() + "\n"
}

/// Has a batch made of these lines.
fn made(freehold: &Freehold, lines: &str, endpoint: &str) -> String {
    let file = id(&upload(freehold, &freehold.key, &[], Some("batch"), lines));
    assert!(file.starts_with("file-own_"), "{file}");
    id(&create(freehold, &file, endpoint))
}

fn create(freehold: &Freehold, file: &str, endpoint: &str) -> Answer {
    let ask =
        json!({ "input_file_id": file, "endpoint": endpoint, "completion_window": "24h", "metadata": { "job": "7" } });
    freehold.post("/v1/batches", &ask.to_string())
}

/// A batch once it is over.
fn over(freehold: &Freehold, batch: &str) -> Value {
    eventually("the batch is over", || {
        let told = freehold.ask("GET", &format!("/v1/batches/{batch}")).json();
        (told["status"] != "in_progress" && told["status"] != "cancelling").then_some(told)
    })
}

/// The lines of a file by their `custom_id`.
fn content(freehold: &Freehold, file: &Value) -> BTreeMap<String, Value> {
    let file = file.as_str().expect("the batch has this file");
    let answer = freehold.ask("GET", &format!("/v1/files/{file}/content"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by_id: BTreeMap<String, Value> =
        lines.iter().map(|line| (line["custom_id"].as_str().unwrap().to_owned(), line.clone())).collect();
    assert_eq!(by_id.len(), lines.len(), "each request has one line");
    by_id
}

/// Why each attempt in the books was spent, once there are so many.
fn attempts(freehold: &Freehold, most: usize) -> BTreeMap<String, Value> {
    eventually("the attempts are in the books", || {
        let rows = freehold.ledger().into_iter();
        let causes: BTreeMap<String, Value> =
            rows.map(|row| (row["attempt"].to_string(), row["cause"].clone())).collect();
        (causes.len() >= most).then_some(causes)
    })
}

#[test]
fn each_request_of_a_batch_is_a_call_under_its_own_workflow() {
    let site = Site::new("own-batches", "");
    let simulator = Simulator::start(site.scratch.path(), "[providers.sim]\n");
    site.configure(&configuration(simulator.address));
    let freehold = site.start();
    let lines = chat("a", "own", "Hello") + &chat("b", "claude", "Hello") + &chat("c", "poor", "Hello");
    let batch = made(&freehold, &lines, "/v1/chat/completions");
    let done = over(&freehold, &batch);
    assert_eq!((&done["status"], &done["metadata"]["job"]), (&json!("completed"), &json!("7")));
    assert_eq!(done["request_counts"], json!({ "total": 3, "completed": 2, "failed": 1 }));

    let answers = content(&freehold, &done["output_file_id"]);
    for (custom_id, workflow) in [("a", "own"), ("b", "claude")] {
        let response = &answers[custom_id]["response"];
        assert_eq!((&response["status_code"], &answers[custom_id]["error"]), (&json!(200), &Value::Null));
        assert_eq!(
            (&response["body"]["object"], &response["body"]["model"]),
            (&json!("chat.completion"), &json!(workflow))
        );
        let call = freehold.call(response["request_id"].as_str().unwrap());
        assert_eq!((&call["end"]["workflow"], &call["end"]["status"]), (&json!(workflow), &json!(200)), "{call}");
        assert!(call.to_string().contains(&batch), "the call says which batch it is of: {call}");
    }
    let errors = content(&freehold, &done["error_file_id"]);
    assert_eq!(errors["c"]["response"]["body"]["error"]["code"], "budget_spent", "{errors:?}");
    // Two calls were answered, each booked once as any other.
    let causes = attempts(&freehold, 2);
    let causes: Vec<&Value> = causes.values().collect();
    assert!(causes.iter().all(|cause| **cause == "serve"), "{causes:?}");

    let foreign = site.key(&["--label", "foreign", "--direct"]);
    let output = format!("/v1/files/{}", done["output_file_id"].as_str().unwrap());
    eventually("the other key is known", || {
        (freehold.ask_as(&foreign, "GET", "/v1/models").status == 200).then_some(())
    });
    for path in [format!("/v1/batches/{batch}"), output.clone(), format!("{output}/content")] {
        assert_eq!(code(&freehold.ask_as(&foreign, "GET", &path)), (404, Some("not_kept")), "{path}");
    }
    assert_eq!(freehold.ask_as(&foreign, "GET", "/v1/batches").json()["data"], json!([]));
    let listed = freehold.ask("GET", "/v1/batches?limit=1").json();
    assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&json!(batch), &json!(false)));
    let files = freehold.ask("GET", "/v1/files").json();
    assert_eq!((&files["data"][0]["id"], &files["data"][0]["filename"]), (&done["input_file_id"], &json!("a.txt")));
    let input = format!("/v1/files/{}", done["input_file_id"].as_str().unwrap());
    assert_eq!(freehold.ask("GET", &format!("{input}/content")).text(), lines);
    let described = freehold.ask("GET", &output).json();
    assert_eq!(described["bytes"], freehold.ask("GET", &format!("{output}/content")).text().len());
    for path in [input, output] {
        assert_eq!(freehold.ask("DELETE", &path).json()["deleted"], true);
        assert_eq!(
            freehold.ask("GET", &format!("{path}/content")).status,
            if path.contains("_out_") { 200 } else { 404 }
        );
    }
}

#[test]
fn embeddings_completions_and_responses_are_taken_too() {
    let site = Site::new("own-batch-kinds", "");
    let simulator = Simulator::start(site.scratch.path(), "[providers.sim]\n");
    site.configure(&configuration(simulator.address));
    let freehold = site.start();
    for (url, body, object) in [
        ("/v1/embeddings", json!({ "model": "own", "input": "x" }), "list"),
        ("/v1/completions", json!({ "model": "own", "prompt": "x", "max_tokens": 5 }), "text_completion"),
        (
            "/v1/responses",
            json!({ "model": "claude", "input": "x", "max_output_tokens": 20, "store": false }),
            "response",
        ),
    ] {
        let batch = made(&freehold, &line("a", url, &body), url);
        let done = over(&freehold, &batch);
        assert_eq!(done["request_counts"]["completed"], 1, "{url}: {done}");
        assert_eq!(content(&freehold, &done["output_file_id"])["a"]["response"]["body"]["object"], object);
    }
}

#[test]
fn what_is_wrong_with_a_batch_is_told_before_anything_is_asked() {
    let site = Site::new("own-batch-wrong", "");
    let simulator = Simulator::start(site.scratch.path(), "[providers.sim]\n");
    site.configure(&configuration(simulator.address));
    let freehold = site.start();
    let good = chat("a", "own", "Hello");
    for (lines, says) in [
        (good.clone() + "{oops\n", "2"),
        (good.clone() + &good, "line 2: `custom_id` `a` stands in line 1 too"),
        (good.clone() + &chat("b", "nobody", "Hello"), "nobody"),
        (line("a", "/v1/images/generations", &json!({ "model": "own" })), "must be /v1/chat/completions"),
        (line("a", "/v1/chat/completions", &json!({ "model": "own", "messages": [], "stream": true })), "`stream`"),
        (String::new(), "no line"),
    ] {
        let answer = upload(&freehold, &freehold.key, &[], Some("batch"), &lines);
        assert!(matches!(answer.status, 400 | 404), "{lines}: {}", answer.text());
        assert!(answer.text().contains(says), "{lines}: {}", answer.text());
    }
    let file = id(&upload(&freehold, &freehold.key, &[], Some("batch"), &good));
    let other = create(&freehold, &file, "/v1/embeddings");
    assert_eq!(code(&other), (400, Some("bad_request")));
    assert!(other.text().contains("a batch is for one endpoint"), "{}", other.text());
    let ask = format!(r#"{{"input_file_id":"{file}","endpoint":"/v1/chat/completions","completion_window":"1h"}}"#);
    assert_eq!(code(&freehold.post("/v1/batches", &ask)), (400, Some("bad_request")));
    assert_eq!(code(&create(&freehold, "file-own_0", "/v1/chat/completions")), (404, Some("not_kept")));
    assert_eq!(simulator.transcript().len(), 0, "nobody was asked anything");
    assert_eq!(freehold.ask("GET", "/v1/batches").json()["data"], json!([]));
}

/// A provider that answers when it is told to.
struct Told(TcpListener);

impl Told {
    /// The next request's body, and what waits for its answer.
    fn next(&self) -> (String, TcpStream) {
        let (mut stream, _) = self.0.accept().unwrap();
        let mut got = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "a whole request comes");
            got.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&got).into_owned();
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && serde_json::from_str::<Value>(body).is_ok()
            {
                return (body.to_owned(), stream);
            }
        }
    }
}

fn answer(mut stream: TcpStream) {
    let body = json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "v",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "Hi" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4 },
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ";
    stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
}

#[test]
fn requests_of_a_batch_begin_when_calls_of_clients_leave_room() {
    let provider = Told(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = provider.0.local_addr().unwrap();
    let own = format!("dialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"");
    let site = Site::new("own-batch-room", &row("own", &own, "batch = \"own\"\nbatch_calls_at_once = 1"));
    let freehold = &site.start();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| freehold.chat("own", ""));
        let (_, held) = provider.next();
        let batch = made(
            freehold,
            &(chat("a", "own", "one of a batch") + &chat("b", "own", "one of a batch")),
            "/v1/chat/completions",
        );
        eventually("the batch waits", || {
            freehold.metrics().contains("freehold_own_batch_requests_waiting 2").then_some(())
        });
        // It waits, and a client's next call does not.
        let second = scope.spawn(|| freehold.chat("own", ""));
        let (body, also_held) = provider.next();
        assert!(!body.contains("one of a batch"), "{body}");
        answer(held);
        assert_eq!(first.join().unwrap().status, 200);
        answer(also_held);
        assert_eq!(second.join().unwrap().status, 200);
        // One at a time: the second only when the first is answered.
        let (body, one) = provider.next();
        assert!(body.contains("one of a batch"), "{body}");
        assert_eq!(freehold.ask("GET", &format!("/v1/batches/{batch}")).json()["request_counts"]["completed"], 0);
        answer(one);
        answer(provider.next().1);
        assert_eq!(over(freehold, &batch)["request_counts"], json!({ "total": 2, "completed": 2, "failed": 0 }));
    });
}

#[test]
fn a_batch_that_is_cancelled_keeps_what_was_answered_and_begins_nothing_more() {
    let provider = Told(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = provider.0.local_addr().unwrap();
    let own = format!("dialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"");
    let site = Site::new("own-batch-cancel", &row("own", &own, "batch = \"own\"\nbatch_calls_at_once = 1"));
    let freehold = site.start();
    let lines = chat("a", "own", "x") + &chat("b", "own", "x");
    let batch = made(&freehold, &lines, "/v1/chat/completions");
    let (_, under_way) = provider.next();
    let input = freehold.ask("GET", &format!("/v1/batches/{batch}")).json()["input_file_id"].clone();
    let in_use = freehold.ask("DELETE", &format!("/v1/files/{}", input.as_str().unwrap()));
    assert_eq!(code(&in_use), (400, Some("bad_request")), "{}", in_use.text());
    let cancelled = freehold.ask("POST", &format!("/v1/batches/{batch}/cancel")).json();
    assert_eq!(cancelled["status"], "cancelling");
    answer(under_way);
    let done = over(&freehold, &batch);
    assert_eq!((&done["status"], &done["request_counts"]["completed"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(content(&freehold, &done["output_file_id"]).len(), 1);
    assert_eq!(attempts(&freehold, 1).len(), 1);
}

#[test]
fn a_kill_in_the_middle_loses_no_answer_and_asks_nothing_twice_that_was_answered() {
    const LINES: usize = 60;
    const AT_ONCE: usize = 4;
    let site = Site::new("own-batch-kill", "");
    let scenario = "[transcript]\nbodies = true\n\n[providers.sim]\nfirst_token_ms = { from = 5, to = 40 }\n";
    let simulator = Simulator::start(site.scratch.path(), scenario);
    let own =
        format!("dialect = \"openai-chat\"\nquirks = \"vllm\"\nbase_url = \"http://{}/sim/v1\"", simulator.address);
    site.configure(&row("own", &own, "budget = { limit = \"9 USD\", per = \"total\", at_limit = \"refuse\" }"));
    let mut freehold = site.start();
    let lines: String =
        (0..LINES).map(|number| chat(&format!("r{number}"), "own", &format!("request-{number}."))).collect();
    let batch = made(&freehold, &lines, "/v1/chat/completions");
    let mut kills = 0;
    for enough in [10, 30] {
        eventually("some are answered", || {
            let told = freehold.ask("GET", &format!("/v1/batches/{batch}")).json();
            (told["request_counts"]["completed"].as_u64() >= Some(enough)).then_some(())
        });
        let key = freehold.key.clone();
        freehold.kill();
        kills += 1;
        freehold = site.start_with(key);
    }
    let done = over(&freehold, &batch);
    assert_eq!(done["request_counts"], json!({ "total": LINES, "completed": LINES, "failed": 0 }));
    let answers = content(&freehold, &done["output_file_id"]);
    assert_eq!(answers.len(), LINES);

    assert_eq!(freehold.stop(), Some(0));
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for row in site.ledger() {
        ends.insert(row["attempt"].as_str().unwrap().to_owned(), row["end"].as_str().unwrap().to_owned());
    }
    let answered: BTreeSet<String> =
        answers.values().map(|line| line["response"]["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answered.len(), LINES, "each answer is a call of its own");
    // Every attempt that stands in the books as served is one whose answer is in the file; what was in flight is indeterminate.
    for (attempt, end) in &ends {
        let call = attempt.split('.').next().unwrap();
        assert!(end == "indeterminate" || answered.contains(call), "{attempt} was {end}, and its answer is lost");
    }
    let indeterminate = ends.values().filter(|end| *end == "indeterminate").count();
    assert!(indeterminate <= kills * AT_ONCE, "{indeterminate}");
    let asked = simulator.transcript().len();
    assert!(asked <= LINES + indeterminate, "{asked} asked, {indeterminate} in flight");
}

#[test]
fn what_nobody_can_answer_now_is_asked_again_and_is_no_error() {
    let site = Site::new("own-batch-again", "");
    let scenario = "[providers.sim]\n[[providers.sim.faults]]\nkind = \"rate_limited\"\ncalls = { from = 1, to = 2 }\n";
    let simulator = Simulator::start(site.scratch.path(), scenario);
    let own =
        format!("dialect = \"openai-chat\"\nquirks = \"vllm\"\nbase_url = \"http://{}/sim/v1\"", simulator.address);
    site.configure(&row("own", &own, "retry = { max_attempts = 1, wait_out_ms = 0 }\nbatch_calls_at_once = 1"));
    let freehold = site.start();
    let batch = made(&freehold, &chat("a", "own", "x"), "/v1/chat/completions");
    let done = over(&freehold, &batch);
    assert_eq!(done["request_counts"], json!({ "total": 1, "completed": 1, "failed": 0 }));
    assert_eq!(done["error_file_id"], Value::Null);
    let again = "freehold_own_batch_requests_total{came=\"again\"}";
    let metrics = freehold.metrics();
    assert!(metrics.contains(again), "each time it was a call of its own: {metrics}");
}

#[test]
fn a_batch_whose_day_is_over_keeps_its_answers_and_names_what_was_not_asked() {
    let provider = Told(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = provider.0.local_addr().unwrap();
    let own = format!("dialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"");
    let site = Site::new("own-batch-expired", &row("own", &own, "batch = \"own\"\nbatch_calls_at_once = 1"));
    let freehold = site.start();
    let lines = chat("a", "own", "x") + &chat("b", "own", "x") + &chat("c", "own", "x");
    let batch = made(&freehold, &lines, "/v1/chat/completions");
    answer(provider.next().1);
    let _in_flight = provider.next();
    let key = freehold.key.clone();
    freehold.kill();
    // A day later.
    let late =
        "import sqlite3,sys\nwith sqlite3.connect(sys.argv[1]) as c: c.execute('UPDATE own_batches SET expires = 1')";
    let database = site.data().join("freehold.db");
    assert!(std::process::Command::new("python3").args(["-c", late]).arg(database).status().unwrap().success());
    let freehold = site.start_with(key);
    let done = over(&freehold, &batch);
    assert_eq!(done["status"], "expired");
    assert_eq!(done["request_counts"], json!({ "total": 3, "completed": 1, "failed": 2 }));
    assert_eq!(content(&freehold, &done["output_file_id"]).into_keys().collect::<Vec<_>>(), ["a"]);
    let errors = content(&freehold, &done["error_file_id"]);
    for custom_id in ["b", "c"] {
        assert_eq!(
            (&errors[custom_id]["error"]["code"], &errors[custom_id]["response"]),
            (&json!("batch_expired"), &Value::Null)
        );
    }
}
