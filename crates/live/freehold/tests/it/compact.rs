//! Requests about a conversation of openai-responses: making it short, and counting it before it is asked. The provider that
//! compacted a conversation is the only one that can go on from it.

use serde_json::{Value, json};

use crate::harness::{RawProvider, Simulator, Site, eventually};
use crate::http::{Answer, request};

const SCENARIO: &str =
    "[transcript]\nbodies = true\n\n[providers.one]\noutput_tokens = 10\n\n[providers.two]\n\n[providers.chat]\n";

/// Two providers of Responses in one lane, and one of chat in another.
fn configuration(address: impl std::fmt::Display) -> String {
    let row = |name: &str, dialect: &str| {
        format!(
            "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/{name}/v1\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"vendor-{name}\"\n\
             max_output_tokens = 1000\nprice = {{ input = \"1\", output = \"2\" }}\n\n\
             [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n"
        )
    };
    let budget = "budget = { limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }";
    [
        row("one", "openai-responses"),
        row("two", "openai-responses"),
        row("chat", "openai-chat"),
        "[criticality.both]\nlanes = [\"one\", \"two\"]\n\n[criticality.chat]\nlanes = [\"chat\"]\n\n".to_owned(),
        format!(
            "[workflows.w]\ncriticality = \"both\"\n{budget}\n\n[workflows.chat]\ncriticality = \"chat\"\n{budget}\n"
        ),
    ]
    .concat()
}

fn code(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("freehold-error"))
}

#[test]
fn a_compacted_conversation_is_paid_for_and_gone_on_from_where_it_was_compacted() {
    let site = Site::new("compact", "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    site.configure(&configuration(simulator.address));
    let freehold = site.start();
    let last = || simulator.transcript().pop().unwrap();
    let compacted = freehold.post(
        "/v1/responses/compact",
        r#"{"model":"w","input":[{"role":"user","content":"A storm in May."},{"role":"assistant","content":"Noted."}]}"#,
    );
    assert_eq!(compacted.status, 200, "{}", compacted.text());
    let told = compacted.json();
    assert_eq!(told["object"], "response.compaction");
    assert!(told["id"].as_str().unwrap().starts_with("resp_fh1_"), "the id is its key's alone: {told}");
    let [said, kept] = &told["output"].as_array().unwrap()[..] else { panic!("{told}") };
    assert_eq!((&said["role"], &kept["type"]), (&json!("user"), &json!("compaction")));
    assert!(kept["encrypted_content"].as_str().unwrap().starts_with("FHmk"), "whose it is can be told: {told}");
    assert!(last()["body"].as_str().unwrap().contains("\"model\":\"vendor-one\""), "{}", last());
    assert!(last()["path"].as_str().unwrap().ends_with("/responses/compact"), "{}", last());

    let call = compacted.header("freehold-call-id").unwrap();
    let booked: i64 = eventually("it is in the ledger", || {
        let rows: Vec<Value> = freehold.ledger();
        let of_it = rows.iter().filter(|row| row["attempt"].as_str().is_some_and(|id| id.starts_with(call)));
        let nano = |row: &Value| row["amount"].as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
        let amounts: Vec<i64> = of_it.map(nano).collect();
        (amounts.len() == 2).then(|| amounts.iter().sum())
    });
    let tokens = |name: &str| told["usage"][name].as_i64().unwrap();
    assert_eq!(booked, tokens("input_tokens") * 1_000 + tokens("output_tokens") * 2_000);

    let mut input = told["output"].as_array().unwrap().clone();
    input.push(json!({"role": "user", "content": "And now?"}));
    let goes_on = |model: &str| freehold.post("/v1/responses", &json!({"model": model, "input": input}).to_string());
    assert_eq!(goes_on("w").status, 200);
    let sent = last();
    assert!(sent["path"].as_str().unwrap().starts_with("/one/") && !sent["body"].as_str().unwrap().contains("FHmk"));
    assert_eq!(code(&goes_on("model:two")), (400, Some("untranslatable")), "another provider cannot read it");
    let foreign = freehold.post("/v1/responses/compact", r#"{"model":"chat","input":"x"}"#);
    assert_eq!(code(&foreign), (400, Some("untranslatable")));
    assert!(foreign.json()["error"]["message"].as_str().unwrap().contains("compacts no conversations"));
    let raw = freehold.post("/v1/responses/compact", r#"{"model":"w","previous_response_id":"resp_of_another"}"#);
    assert_eq!(code(&raw), (400, Some("bad_request")));
    assert_eq!(code(&freehold.post("/v1/responses/compact", r#"{"model":"w"}"#)), (400, Some("bad_request")));
}

#[test]
fn a_conversation_is_counted_for_nothing_by_its_provider_or_by_us() {
    let site = Site::new("count-responses", "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    site.configure(&configuration(simulator.address));
    let freehold = site.start();
    let path = "/v1/responses/input_tokens";
    let counted = freehold.post(path, r#"{"model":"w","input":"A storm in May.","instructions":"Be brief."}"#);
    assert_eq!(counted.json()["object"], "response.input_tokens", "{}", counted.text());
    assert!(counted.json()["input_tokens"].as_u64().unwrap() > 0 && counted.header("freehold-estimated").is_none());

    // OpenAI's API takes a count without a model: the header says which workflow is meant, or the key's only one is.
    let only = site.key(&["--label", "only", "--workflow", "w"]);
    eventually("the key is known", || (freehold.ask_as(&only, "GET", "/v1/models").status == 200).then_some(()));
    for unnamed in [r#"{"input":"x"}"#, r#"{"input":"x","model":null}"#] {
        let counted = freehold.post_as(&only, path, unnamed);
        assert_eq!(counted.status, 200, "{}", counted.text());
        let sent = simulator.transcript().pop().unwrap()["body"].as_str().unwrap().to_owned();
        assert_eq!(serde_json::from_str::<Value>(&sent).unwrap()["model"], "vendor-one", "{sent}");
    }
    let named = [("authorization", &*format!("Bearer {}", freehold.key)), ("freehold-workflow", "w")];
    assert_eq!(request(freehold.gateway, "POST", path, &named, br#"{"input":"x"}"#).status, 200);

    let ours = freehold.post(path, r#"{"model":"chat","input":"A storm in May."}"#);
    assert_eq!((ours.status, ours.header("freehold-estimated")), (200, Some("input_tokens")), "{}", ours.text());
    assert_eq!(ours.json()["object"], "response.input_tokens");
    let hidden = freehold.post(path, r#"{"model":"chat","input":"x","prompt":{"id":"pmpt_1"}}"#);
    assert_eq!(code(&hidden), (400, Some("untranslatable")), "what the provider keeps nobody else can count");
    let rows = eventually("what was sent is in the ledger", || Some(freehold.ledger()).filter(|rows| rows.len() >= 4));
    let free = |row: &Value| row["amount"].as_str().unwrap().chars().all(|digit| matches!(digit, '0' | '.'));
    assert!(rows.iter().all(free), "a count costs nothing: {rows:?}");
}

#[test]
fn a_server_without_a_route_for_it_keeps_its_conversations() {
    let missing = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 37\r\n\r\n{\"error\":{\"message\":\"no such route\"}}\n";
    let server = RawProvider::answering(missing.to_vec());
    let site = Site::new("count-nowhere", &configuration(server.address));
    let freehold = site.start();
    for _ in 0..30 {
        let counted = freehold.post("/v1/responses/input_tokens", r#"{"model":"model:one","input":"x"}"#);
        assert_eq!((counted.status, counted.header("freehold-estimated")), (200, Some("input_tokens")));
        let compacted = freehold.post("/v1/responses/compact", r#"{"model":"model:one","input":"x"}"#);
        assert_eq!(code(&compacted), (502, Some("upstream_model_missing")), "{}", compacted.text());
    }
    let before = server.received().len();
    freehold.post("/v1/responses", r#"{"model":"model:one","input":"x"}"#);
    assert!(server.received().len() > before, "the breaker is shut: a conversation is still sent there");
}
