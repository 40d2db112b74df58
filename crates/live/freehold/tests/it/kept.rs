//! What providers keep for a client: stored answers, files and batches, through the real server and simulated providers. Whose each
//! is, where a request about it goes, and what is booked of it, once.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Freehold, Simulator, Site, eventually};
use crate::http::{Answer, Connection, request};

pub const SCENARIO: &str = "[transcript]\nbodies = true\n\n[providers.one]\n\n[providers.two]\n";

/// Two providers in one lane, of which the first is tried first; workflow `w` over both, `other` over the second alone.
pub fn configuration(address: SocketAddr, dialects: &str, budget: &str, tier: &str) -> String {
    let provider = |name: &str| {
        format!(
            "[providers.{name}]\ndialects = [{dialects}]\nbase_url = \"http://{address}/{name}/v1\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"vendor-{name}\"\n\
             max_output_tokens = 100\nprice = {{ input = \"1\", output = \"2\"{tier} }}\n\n\
             [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n"
        )
    };
    [
        provider("one"),
        provider("two"),
        "[criticality.both]\nlanes = [\"one\", \"two\"]\n\n[criticality.second]\nlanes = [\"two\"]\n\n".to_owned(),
        format!("[workflows.w]\ncriticality = \"both\"\n{budget}\n\n[workflows.other]\ncriticality = \"second\"\n"),
    ]
    .concat()
}

pub const OPENAI: &str = "\"openai-chat\", \"openai-responses\"";
const BUDGET: &str = "budget = { limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }";
pub const TIER: &str = ", tier = [{ tier = \"batch\", input = \"0.5\", output = \"1\" }]";

pub struct Stage {
    pub simulator: Simulator,
    pub site: Site,
    pub freehold: Freehold,
}

pub fn stage(name: &str, dialects: &str, budget: &str, tier: &str) -> Stage {
    stage_of(name, SCENARIO, dialects, budget, tier)
}

fn stage_of(name: &str, scenario: &str, dialects: &str, budget: &str, tier: &str) -> Stage {
    let site = Site::new(name, "");
    let simulator = Simulator::start(site.scratch.path(), scenario);
    site.configure(&configuration(simulator.address, dialects, budget, tier));
    let freehold = site.start();
    Stage { simulator, site, freehold }
}

impl Stage {
    /// What providers received, as `METHOD PATH`.
    pub fn received(&self) -> Vec<String> {
        let text = |exchange: &Value, key: &str| exchange[key].as_str().unwrap().to_owned();
        let said = |exchange: &Value| format!("{} {}", text(exchange, "method"), text(exchange, "path"));
        self.simulator.transcript().iter().map(said).collect()
    }

    pub fn last_body(&self) -> String {
        self.simulator.transcript().last().unwrap()["body"].as_str().unwrap().to_owned()
    }

    /// Meter, amount and basis of every line booked, once there are so many.
    fn booked(&self, lines: usize) -> Vec<[String; 3]> {
        let rows = eventually("the lines are in the ledger", || {
            Some(self.freehold.ledger()).filter(|rows| rows.len() >= lines)
        });
        let line = |row: &Value| ["meter", "amount", "basis"].map(|key| row[key].as_str().unwrap().to_owned());
        rows.iter().map(line).collect()
    }

    /// What is booked in all, nano-dollars, by the ledger and by the budget of `w`.
    fn total(&self, lines: usize) -> (i64, i64) {
        let nano = |[_, amount, _]: &[String; 3]| amount.replace('.', "").parse::<i64>().unwrap_or(0);
        let ledger = self.booked(lines).iter().map(nano).sum();
        let gauge = "freehold_budget_settled_nano_usd{scope=\"workflow w\",per=\"total\"} ";
        let metrics = self.freehold.metrics();
        let budget = metrics.lines().find_map(|line| line.strip_prefix(gauge)).unwrap().parse().unwrap();
        (ledger, budget)
    }

    fn restarted(self) -> Stage {
        let Stage { simulator, site, freehold } = self;
        let key = freehold.key.clone();
        freehold.kill();
        let freehold = site.start_with(key);
        Stage { simulator, site, freehold }
    }
}

pub fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

pub fn code(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("freehold-error"))
}

pub fn upload(
    freehold: &Freehold,
    key: &str,
    headers: &[(&str, &str)],
    purpose: Option<&str>,
    content: &str,
) -> Answer {
    let part = |head: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
    let purpose = purpose.map_or_else(String::new, |purpose| part("name=\"purpose\"", purpose));
    let body = format!("{purpose}{}--b--\r\n", part("name=\"file\"; filename=\"a.txt\"", content));
    let authorization = format!("Bearer {key}");
    let mut all = vec![("authorization", &*authorization), ("content-type", "multipart/form-data; boundary=b")];
    all.extend(headers);
    request(freehold.gateway, "POST", "/v1/files", &all, body.as_bytes())
}

#[test]
fn a_stored_answer_is_asked_for_where_it_was_made_by_the_key_that_made_it() {
    let stage = stage("kept-answers", OPENAI, "", "");
    let freehold = &stage.freehold;
    let made = freehold.post("/v1/responses", r#"{"model":"other","input":"x"}"#);
    let own = id(&made);
    assert!(own.starts_with("resp_fh1_") && !own.contains("vendor"), "{own}");
    let path = format!("/v1/responses/{own}");
    let fetched = freehold.ask("GET", &path);
    assert_eq!(fetched.json(), made.json(), "the same answer under the same names");
    let events = freehold.ask("GET", &format!("{path}?stream=true&starting_after=0"));
    assert_eq!(events.text().matches("event: ").count(), 1, "{}", events.text());
    assert!(events.text().contains(&own) && events.text().contains("\"model\":\"other\""), "{}", events.text());
    let input = freehold.ask("GET", &format!("{path}/input_items?limit=5"));
    assert_eq!(input.json()["data"][0]["content"][0]["text"], "x");

    let foreign = stage.site.key(&["--label", "foreign", "--direct"]);
    let foreign_gets = eventually("the key is known", || {
        let answer = freehold.ask_as(&foreign, "GET", &path);
        (answer.status != 401).then_some(answer)
    });
    assert_eq!(code(&foreign_gets), (404, Some("not_kept")));
    assert_eq!(code(&freehold.ask("GET", "/v1/responses/resp_1")), (404, Some("not_kept")));
    assert_eq!(code(&freehold.ask("GET", &format!("{path}A"))), (404, Some("not_kept")));
    let goes_on = format!(r#"{{"model":"other","input":"y","previous_response_id":"{own}"}}"#);
    assert_eq!(code(&freehold.post_as(&foreign, "/v1/responses", &goes_on)), (400, Some("bad_request")));

    let deleted = freehold.ask("DELETE", &path);
    assert_eq!(deleted.json(), json!({"id": own, "object": "response", "deleted": true}));
    let gone = freehold.ask("GET", &path);
    assert_eq!(code(&gone), (404, Some("gone")), "{}", gone.text());
    assert!(stage.received().iter().all(|said| said.contains(" /two/v1/responses")), "{:?}", stage.received());
    assert_eq!(stage.booked(2).len(), 2, "only the answer itself costs something");
}

#[test]
fn an_answer_is_gone_on_from_where_it_was_made_and_nowhere_else() {
    let stage = stage("kept-previous", OPENAI, "", "");
    let freehold = &stage.freehold;
    let made = id(&freehold.post("/v1/responses", r#"{"model":"other","input":"x"}"#));
    let body = format!(r#"{{"model":"w","input":"y","previous_response_id" : "{made}"}}"#);
    let next = freehold.post("/v1/responses", &body);
    let told = next.json();
    assert_eq!(next.header("freehold-model"), Some("two"), "{told}");
    assert!(told["previous_response_id"].as_str().unwrap().starts_with("resp_fh1_"), "{told}");
    assert!(stage.last_body().contains("\"previous_response_id\" : \"resp_"), "{}", stage.last_body());
    assert!(!stage.last_body().contains("fh1_"), "{}", stage.last_body());
    let view = stage.view(&next);
    assert!(view.to_string().contains("provider two alone has the answer it names"), "{view}");

    let direct = format!(r#"{{"model":"model:one","input":"y","previous_response_id":"{made}"}}"#);
    assert_eq!(code(&freehold.post("/v1/responses", &direct)), (400, Some("kept_elsewhere")));
    let raw = r#"{"model":"w","input":"y","previous_response_id":"resp_1"}"#;
    assert_eq!(code(&freehold.post("/v1/responses", raw)), (400, Some("bad_request")));
    let streamed = freehold.post("/v1/responses", &body.replacen('{', "{\"stream\":true,", 1));
    let ids = streamed.text().matches("\"resp_fh1_").count();
    assert!(ids >= 3 && !streamed.text().contains("\"resp_0"), "every event names it the same: {}", streamed.text());
}

#[test]
fn a_background_answer_is_booked_at_its_upper_bound_and_settled_once_when_it_is_fetched() {
    let stage = stage("kept-background", OPENAI, BUDGET, "");
    let start = |stage: &Stage| {
        let made = stage.freehold.post("/v1/responses", r#"{"model":"w","input":"Hello","background":true}"#);
        assert_eq!(made.json()["status"], "queued", "{}", made.text());
        format!("/v1/responses/{}", id(&made))
    };
    let path = start(&stage);
    let booked = stage.booked(1);
    assert_eq!(booked[0][2], "upper_bound", "{booked:?}");
    let (ledger, budget) = stage.total(1);
    assert!(ledger > 0 && ledger == budget, "{ledger} {budget}");
    assert_eq!(stage.freehold.ask("GET", &path).json()["status"], "in_progress");
    let done = stage.freehold.ask("GET", &path).json();
    assert_eq!((&done["status"], &done["model"]), (&json!("completed"), &json!("w")));
    let usage = |of: &Value, name: &str| of["usage"][name].as_i64().unwrap();
    let cost = |of: &Value| usage(of, "input_tokens") * 1_000 + usage(of, "output_tokens") * 2_000;
    // The bound, what it cost by meter, and the bound taken back.
    assert_eq!(stage.total(4), (cost(&done), cost(&done)));
    (0..3).for_each(|_| assert_eq!(stage.freehold.ask("GET", &path).status, 200));
    assert_eq!(stage.booked(4).len(), 4, "it is settled once");

    // Killed while one is under way: the next process knows of it, and settles it once.
    let path = start(&stage);
    stage.booked(5);
    let stage = stage.restarted();
    assert!(stage.total(5).0 > cost(&done));
    stage.freehold.ask("GET", &path);
    let second = stage.freehold.ask("GET", &path).json();
    let both = cost(&done) + cost(&second);
    assert_eq!(stage.total(8), (both, both));
    let stage = stage.restarted();
    assert_eq!(stage.freehold.ask("GET", &path).status, 200);
    assert_eq!(stage.total(8), (both, both));
    assert_eq!(stage.booked(8).len(), 8);
}

#[test]
fn a_cancelled_background_answer_stays_booked_at_the_most_it_can_have_cost() {
    let stage = stage("kept-cancelled", OPENAI, BUDGET, "");
    let made = id(&stage.freehold.post("/v1/responses", r#"{"model":"w","input":"x","background":true}"#));
    let cancelled = stage.freehold.ask("POST", &format!("/v1/responses/{made}/cancel"));
    assert_eq!(
        (cancelled.json()["status"].as_str(), cancelled.json()["id"].as_str()),
        (Some("cancelled"), Some(&*made))
    );
    assert_eq!(stage.booked(1)[0][2], "upper_bound");
}

#[test]
fn a_background_stream_that_its_client_leaves_is_settled_when_the_answer_is_fetched() {
    let slow = "[providers.one]\noutput_tokens = 400\ntokens_per_second = 40\n\n[providers.two]\n";
    let stage = stage_of("kept-left", slow, OPENAI, BUDGET, "");
    let authorization = format!("Bearer {}", stage.freehold.key);
    let headers = [("authorization", &*authorization), ("content-type", "application/json")];
    let mut connection = Connection::open(stage.freehold.gateway).unwrap();
    let body = br#"{"model":"w","input":"Hello","background":true,"stream":true}"#;
    connection.send("POST", "/v1/responses", &headers, body).unwrap();
    assert_eq!(connection.head().unwrap().status, 200);
    let first = String::from_utf8(connection.chunk().unwrap().unwrap()).unwrap();
    let own = first.split('"').find(|text| text.starts_with("resp_fh1_")).unwrap().to_owned();
    drop(connection);
    assert_eq!(stage.booked(1)[0][2], "upper_bound", "the provider goes on by itself");
    let done = stage.freehold.ask("GET", &format!("/v1/responses/{own}")).json();
    let usage = |name: &str| done["usage"][name].as_i64().unwrap();
    let cost = usage("input_tokens") * 1_000 + usage("output_tokens") * 2_000;
    assert_eq!(stage.total(4), (cost, cost), "{done}");
}

#[test]
fn a_file_is_its_keys_and_its_providers_alone() {
    let stage = stage("kept-files", OPENAI, "", "");
    let freehold = &stage.freehold;
    let other = [("freehold-workflow", "other")];
    let made = upload(freehold, &freehold.key, &other, Some("user_data"), "secret text");
    let own = id(&made);
    assert!(own.starts_with("file-fh1_"), "{own}");
    assert_eq!((made.json()["filename"].as_str(), made.json()["bytes"].as_i64()), (Some("a.txt"), Some(11)));
    assert!(stage.received()[0].contains("POST /two/v1/files"), "{:?}", stage.received());
    let path = format!("/v1/files/{own}");
    assert_eq!(freehold.ask("GET", &path).json(), made.json());
    let content = freehold.ask("GET", &format!("{path}/content"));
    assert_eq!((content.text(), content.header("content-type")), ("secret text", Some("application/octet-stream")));

    let foreign = stage.site.key(&["--label", "foreign", "--direct"]);
    eventually("the key is known", || (freehold.ask_as(&foreign, "GET", &path).status == 404).then_some(()));
    assert_eq!(code(&freehold.ask_as(&foreign, "GET", &format!("{path}/content"))), (404, Some("not_kept")));
    assert_eq!(code(&freehold.ask_as(&foreign, "DELETE", &path)), (404, Some("not_kept")));
    let listed = |key: &str| {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", &*authorization), other[0]];
        let list = request(freehold.gateway, "GET", "/v1/files?limit=10", &headers, b"").json();
        list["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((listed(&freehold.key), listed(&foreign)), (vec![own.clone()], vec![]));

    let ask = |model: &str| {
        format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":[{{"type":"text","text":"{own}"}},{{"type":"file","file":{{"file_id":"{own}"}}}}]}}]}}"#
        )
    };
    let answer = freehold.post("/v1/chat/completions", &ask("w"));
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("two")), "{}", answer.text());
    let sent = stage.last_body();
    assert!(sent.contains("\"file_id\":\"file-0000"), "{sent}");
    assert!(sent.contains(&format!("\"text\":\"{own}\"")), "a text stays a text: {sent}");
    let elsewhere = freehold.post("/v1/chat/completions", &ask("model:one"));
    assert_eq!(code(&elsewhere), (400, Some("kept_elsewhere")));
    assert_eq!(code(&freehold.post_as(&foreign, "/v1/chat/completions", &ask("w"))), (400, Some("bad_request")));

    assert_eq!(freehold.ask("DELETE", &path).json(), json!({"id": own, "object": "file", "deleted": true}));
    assert_eq!(code(&freehold.ask("GET", &path)), (404, Some("gone")));
    let none = upload(freehold, &freehold.key, &[], Some("user_data"), "x");
    assert_eq!(code(&none), (400, Some("bad_request")), "no workflow is named, and the key may use several");
}

#[test]
fn lists_show_what_a_key_owns_page_by_page_and_after_a_restart() {
    let stage = stage("kept-lists", OPENAI, "", "");
    let one = stage.site.key(&["--label", "one", "--workflow", "w"]);
    let two = stage.site.key(&["--label", "two", "--workflow", "w"]);
    eventually("the keys are known", || {
        [&one, &two].iter().all(|key| stage.freehold.ask_as(key, "GET", "/v1/models").status == 200).then_some(())
    });
    let mut own: Vec<String> = Vec::new();
    for number in 0..5 {
        own.push(id(&upload(&stage.freehold, &one, &[], Some("user_data"), &number.to_string())));
        id(&upload(&stage.freehold, &two, &[], Some("user_data"), "foreign"));
    }
    own.reverse();
    eventually("the uploads are in the ledger", || (stage.freehold.ledger().len() == 10).then_some(()));
    let stage = stage.restarted();
    let mut found: Vec<String> = Vec::new();
    let mut after = String::new();
    loop {
        let page = stage.freehold.ask_as(&one, "GET", &format!("/v1/files?limit=2{after}")).json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 2, "{page}");
        found.extend(data.iter().map(|file| file["id"].as_str().unwrap().to_owned()));
        assert_eq!(page["last_id"], *found.last().unwrap(), "{page}");
        if page["has_more"] != true {
            break;
        }
        after = format!("&after={}", found.last().unwrap());
    }
    assert_eq!(found, own);
    let backwards = stage.freehold.ask_as(&one, "GET", "/v1/files?before=x");
    assert_eq!(code(&backwards), (400, Some("bad_request")));
}

/// Lines of a batch's input.
pub fn lines(model: &str) -> String {
    let line = |number: u32, model: &str| {
        format!(
            r#"{{"custom_id":"r{number}","method":"POST","url":"/v1/chat/completions","body":{{"model":"{model}","messages":[{{"role":"user","content":"Hello {number}"}}],"max_tokens":20}}}}"#
        )
    };
    format!("{}\n{}\n", line(1, "w"), line(2, model))
}

/// What lines of results say was consumed, in nano-dollars at the price of batches.
fn cost_of(results: &str) -> i64 {
    let cost = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let openai = &line["response"]["body"]["usage"];
        let usage = if openai.is_null() { &line["result"]["message"]["usage"] } else { openai };
        let count = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_i64()).unwrap();
        count(["prompt_tokens", "input_tokens"]) * 500 + count(["completion_tokens", "output_tokens"]) * 1_000
    };
    results.lines().map(cost).sum()
}

#[test]
fn a_batch_of_openais_is_held_sent_and_settled_by_its_results_once() {
    let stage = stage("kept-batches", OPENAI, BUDGET, TIER);
    let freehold = &stage.freehold;
    let mixed = upload(freehold, &freehold.key, &[], Some("batch"), &lines("other"));
    assert_eq!(code(&mixed), (400, Some("bad_request")), "{}", mixed.text());
    assert!(mixed.text().contains("one workflow"), "{}", mixed.text());
    let file = id(&upload(freehold, &freehold.key, &[], Some("batch"), &lines("w")));
    let sent = stage.last_body();
    assert_eq!((sent.matches("vendor-one").count(), sent.matches("\"w\"").count()), (2, 0), "{sent}");

    let ask = |file: &str| {
        format!(r#"{{"input_file_id":"{file}","endpoint":"/v1/chat/completions","completion_window":"24h"}}"#)
    };
    let made = freehold.post("/v1/batches", &ask(&file));
    let batch = id(&made);
    assert!(batch.starts_with("batch_fh1_"), "{batch}");
    assert_eq!(made.json()["input_file_id"], *file, "the file is called as it was");
    assert!(stage.last_body().contains("\"input_file_id\":\"file-0000"), "{}", stage.last_body());
    assert_eq!(code(&freehold.post("/v1/batches", &ask("file-1"))), (404, Some("not_kept")));
    let plain = id(&upload(freehold, &freehold.key, &[("freehold-workflow", "w")], Some("user_data"), "x"));
    assert_eq!(code(&freehold.post("/v1/batches", &ask(&plain))), (400, Some("bad_request")));
    // Two uploads that cost nothing, and the batch at most.
    let (ledger, budget) = stage.total(3);
    assert!(ledger > 0 && ledger == budget, "{ledger} {budget}");

    let path = format!("/v1/batches/{batch}");
    assert_eq!(freehold.ask("GET", &path).json()["status"], "in_progress");
    // The results are read by another process than the one that took the batch.
    let stage = stage.restarted();
    let done = stage.freehold.ask("GET", &path).json();
    assert_eq!((&done["status"], &done["input_file_id"]), (&json!("completed"), &json!(file)));
    let output = format!("/v1/files/{}/content", done["output_file_id"].as_str().unwrap());
    let results = stage.freehold.ask("GET", &output);
    assert_eq!(results.text().matches("\"model\":\"w\"").count(), 2, "{}", results.text());
    let cost = cost_of(results.text());
    assert_eq!(stage.total(6), (cost, cost));
    assert_eq!(stage.freehold.ask("GET", &output).status, 200);
    let stage = stage.restarted();
    assert_eq!(stage.freehold.ask("GET", &output).status, 200);
    assert_eq!((stage.total(6), stage.booked(6).len()), ((cost, cost), 6));
    let authorization = format!("Bearer {}", stage.freehold.key);
    let headers = [("authorization", &*authorization), ("freehold-workflow", "w")];
    let list = request(stage.freehold.gateway, "GET", "/v1/batches", &headers, b"").json();
    assert_eq!((&list["data"][0]["id"], &list["data"][0]["input_file_id"]), (&json!(batch), &json!(file)));
}

#[test]
fn a_batch_that_is_stopped_without_results_costs_nothing() {
    let stage = stage("kept-stopped", OPENAI, BUDGET, TIER);
    let freehold = &stage.freehold;
    let file = id(&upload(freehold, &freehold.key, &[], Some("batch"), &lines("w")));
    let ask = format!(r#"{{"input_file_id":"{file}","endpoint":"/v1/chat/completions","completion_window":"24h"}}"#);
    let batch = id(&freehold.post("/v1/batches", &ask));
    let stopped = freehold.ask("POST", &format!("/v1/batches/{batch}/cancel"));
    assert_eq!(stopped.json()["status"], "cancelled");
    assert_eq!(stage.total(3), (0, 0));
}

#[test]
fn a_batch_without_a_price_of_batches_is_refused_under_a_budget() {
    let stage = stage("kept-unpriced", OPENAI, BUDGET, "");
    let freehold = &stage.freehold;
    let file = id(&upload(freehold, &freehold.key, &[], Some("batch"), &lines("w")));
    let ask = format!(r#"{{"input_file_id":"{file}","endpoint":"/v1/chat/completions","completion_window":"24h"}}"#);
    assert_eq!(code(&freehold.post("/v1/batches", &ask)), (503, Some("model_unpriced")));
    assert_eq!(stage.received().len(), 1, "nothing was sent but the file");
}

#[test]
fn a_batch_of_anthropics_is_held_sent_and_settled_by_its_results_once() {
    let stage = stage("kept-messages", "\"anthropic\"", BUDGET, TIER);
    let freehold = &stage.freehold;
    let request = |number: u32, model: &str| {
        format!(
            r#"{{"custom_id":"r{number}","params":{{"model":"{model}","max_tokens":20,"messages":[{{"role":"user","content":"Hello {number}"}}]}}}}"#
        )
    };
    let ask = |model: &str| format!(r#"{{"requests":[{},{}]}}"#, request(1, "w"), request(2, model));
    let path = "/v1/messages/batches";
    let mixed = freehold.post(path, &ask("other"));
    assert_eq!((mixed.status, &mixed.json()["type"]), (400, &json!("error")), "{}", mixed.text());
    let made = freehold.post(path, &ask("w"));
    let batch = id(&made);
    assert!(batch.starts_with("msgbatch_fh1_"), "{batch}");
    assert_eq!(stage.last_body(), ask("w").replace("\"w\"", "\"vendor-one\""));
    let (ledger, budget) = stage.total(1);
    assert!(ledger > 0 && ledger == budget, "{ledger} {budget}");
    let path = format!("{path}/{batch}");
    freehold.ask("GET", &path);
    let done = freehold.ask("GET", &path).json();
    let url = done["results_url"].as_str().unwrap();
    assert_eq!(url, format!("{path}/results"), "{done}");
    let results = freehold.ask("GET", url);
    assert_eq!(results.text().matches("\"model\":\"w\"").count(), 2, "{}", results.text());
    let cost = cost_of(results.text());
    assert_eq!(stage.total(4), (cost, cost));
    assert_eq!(freehold.ask("GET", url).text(), results.text());
    assert_eq!(stage.booked(4).len(), 4);
    assert_eq!(freehold.ask("DELETE", &path).json()["id"], *batch);
}

/// What is booked of requests about kept things, for docs/metering.md: every cell was such a request, under a hard budget.
pub fn metered() -> String {
    let openai = stage("metered-openai", OPENAI, BUDGET, TIER);
    let bare = stage("metered-bare", OPENAI, BUDGET, "");
    let anthropic = stage("metered-anthropic", "\"anthropic\"", BUDGET, TIER);
    let bare_anthropic = stage("metered-bare-anthropic", "\"anthropic\"", BUDGET, "");
    let messages = r#"{"requests":[{"custom_id":"r","params":{"model":"w","max_tokens":20,"messages":[{"role":"user","content":"Hello"}]}}]}"#;
    let batch_of = |stage: &Stage| {
        let file = id(&upload(&stage.freehold, &stage.freehold.key, &[], Some("batch"), &lines("w")));
        let ask =
            format!(r#"{{"input_file_id":"{file}","endpoint":"/v1/chat/completions","completion_window":"24h"}}"#);
        stage.freehold.post("/v1/batches", &ask)
    };
    let mut rows: Vec<[String; 4]> = Vec::new();
    let mut row = |request: &str, how: &str, openai: &str, anthropic: &str| {
        rows.push([request, how, openai, anthropic].map(str::to_owned));
    };
    const NONE: &str = "–";
    let (free, most, settled) = ("free", "at most", "settled");

    let made = openai.freehold.post("/v1/responses", r#"{"model":"w","input":"Hello","background":true}"#);
    assert_eq!(openai.word(&made), most);
    row("POST /v1/responses", "in the background", most, NONE);
    let path = format!("/v1/responses/{}", id(&made));
    assert_eq!(openai.word(&openai.freehold.ask("GET", &path)), free);
    row("GET /v1/responses/{id}", "under way", free, NONE);
    assert_eq!(openai.word(&openai.freehold.ask("GET", &path)), settled);
    row("GET /v1/responses/{id}", "finished", settled, NONE);
    let items = openai.freehold.ask("GET", &format!("{path}/input_items"));
    let deleted = openai.freehold.ask("DELETE", &path);
    assert_eq!([openai.word(&items), openai.word(&deleted)], [free, free]);
    row("GET /v1/responses/{id}/input_items", "", free, NONE);
    row("DELETE /v1/responses/{id}", "", free, NONE);

    let workflow = [("freehold-workflow", "w")];
    let version = [workflow[0], ("anthropic-version", "2023-06-01")];
    let kept = upload(&openai.freehold, &openai.freehold.key, &workflow, Some("user_data"), "x");
    let other = upload(&anthropic.freehold, &anthropic.freehold.key, &version, None, "x");
    assert_eq!([openai.word(&kept), anthropic.word(&other)], [free, free]);
    row("POST /v1/files", "", free, free);

    let made = batch_of(&openai);
    let other = anthropic.freehold.post("/v1/messages/batches", messages);
    assert_eq!([openai.word(&made), anthropic.word(&other)], [most, most]);
    row("POST /v1/batches", "", most, NONE);
    row("POST /v1/messages/batches", "", NONE, most);
    let refused = [batch_of(&bare), bare_anthropic.freehold.post("/v1/messages/batches", messages)];
    let unpriced = "refused: `model_unpriced`";
    assert_eq!([bare.word(&refused[0]), bare_anthropic.word(&refused[1])], [unpriced, unpriced]);
    row("POST /v1/batches", "no price of batches", unpriced, NONE);
    row("POST /v1/messages/batches", "no price of batches", NONE, unpriced);
    let path = format!("/v1/batches/{}", id(&made));
    let first = openai.freehold.ask("GET", &path);
    let done = openai.freehold.ask("GET", &path).json();
    let output = format!("/v1/files/{}/content", done["output_file_id"].as_str().unwrap());
    assert_eq!([openai.word(&first), openai.word(&openai.freehold.ask("GET", &output))], [free, settled]);
    row("GET /v1/batches/{id}", "", free, NONE);
    row("GET /v1/files/{id}/content", "results of a batch", settled, NONE);
    let path = format!("/v1/messages/batches/{}/results", id(&other));
    assert_eq!(anthropic.word(&anthropic.freehold.ask("GET", &path)), settled);
    row("GET /v1/messages/batches/{id}/results", "", NONE, settled);

    let rows: String =
        rows.iter().map(|[request, how, one, two]| format!("| `{request}` | {how} | {one} | {two} |\n")).collect();
    format!("\n| request | how | openai-chat, openai-responses | anthropic |\n|---|---|---|---|\n{rows}")
}

impl Stage {
    /// Everything known of the call that was answered so.
    fn view(&self, answer: &Answer) -> Value {
        let call = answer.header("freehold-call-id").unwrap();
        eventually("the call reaches the store", || {
            let authorization = format!("Bearer {}", self.freehold.admin_token);
            let (address, path) = (self.freehold.console, format!("/api/v1/calls/{call}"));
            let answer = request(address, "GET", &path, &[("authorization", &authorization)], b"");
            (answer.status == 200).then(|| answer.json()).filter(|view| !view["end"].is_null())
        })
    }

    /// What was booked by a request, in a word.
    fn word(&self, answer: &Answer) -> String {
        if let Some(code) = answer.header("freehold-error") {
            return format!("refused: `{code}`");
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        let view = self.view(answer);
        let record = view["entries"].as_array().unwrap().iter().rfind(|entry| entry["kind"] == "record").cloned();
        let settles = view["end"]["stages"].to_string().contains("settles call_");
        match (settles, record) {
            (true, _) => "settled".into(),
            (false, Some(record)) if !record["cost"]["at_most"].is_null() => "at most".into(),
            (false, Some(record)) if record["cost"]["priced"]["total"] != 0 => {
                panic!("neither free nor at most: {record}")
            }
            (false, _) => "free".into(),
        }
    }
}
