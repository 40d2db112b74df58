//! Signatures and encrypted thoughts that a client brings back a turn later: to who made them as they were made, to nobody
//! else.

use serde_json::{Value, json};

use crate::harness::{Freehold, Simulator, Site};
use crate::http::Answer;
use crate::kept::upload;

/// Two providers that think, sign their thoughts, and refuse a signature that is not their own.
const SCENARIO: &str = "[transcript]\nbodies = true\n\n\
    [providers.one]\noutput_tokens = 10\nreasoning_tokens = 9\ncheck_signatures = true\n\n\
    [providers.two]\noutput_tokens = 10\nreasoning_tokens = 9\ncheck_signatures = true\n";

/// How one dialect is asked, and how a conversation goes on in it.
struct Conversation {
    dialect: &'static str,
    version: &'static str,
    /// The route for a model.
    route: fn(&str) -> String,
    /// The request, with the model in it where the dialect has it there.
    first: fn(&str) -> Value,
    /// The field of the messages, and the model's turn in an answer as one or more of them.
    messages: &'static str,
    turn: fn(&Value) -> Vec<Value>,
    /// The user's next turn.
    next: fn() -> Value,
    /// JSON pointer of what is lost elsewhere.
    lost: &'static str,
}

const CONVERSATIONS: &[Conversation] = &[
    Conversation {
        dialect: "anthropic",
        version: "/v1",
        route: |_| "/v1/messages".to_owned(),
        first: |model| {
            json!({"model": model, "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024},
                   "messages": [{"role": "user", "content": "Think"}]})
        },
        messages: "messages",
        turn: |answer| vec![json!({"role": "assistant", "content": answer["content"]})],
        next: || json!({"role": "user", "content": "Go on"}),
        lost: "/messages/1/content/0",
    },
    Conversation {
        dialect: "bedrock-converse",
        version: "",
        route: |model| format!("/model/{model}/converse"),
        first: |_| {
            json!({"messages": [{"role": "user", "content": [{"text": "Think"}]}],
                   "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}})
        },
        messages: "messages",
        turn: |answer| vec![answer["output"]["message"].clone()],
        next: || json!({"role": "user", "content": [{"text": "Go on"}]}),
        lost: "/messages/1/content/0",
    },
    Conversation {
        dialect: "openai-responses",
        version: "/v1",
        route: |_| "/v1/responses".to_owned(),
        first: |model| {
            json!({"model": model, "store": false, "include": ["reasoning.encrypted_content"],
                   "reasoning": {"effort": "low"}, "input": [{"role": "user", "content": "Think"}]})
        },
        messages: "input",
        turn: |answer| answer["output"].as_array().unwrap().clone(),
        next: || json!({"role": "user", "content": "Go on"}),
        lost: "/input/1",
    },
    Conversation {
        dialect: "gemini",
        version: "/v1beta",
        route: |model| format!("/v1beta/models/{model}:generateContent"),
        first: |_| {
            json!({"contents": [{"role": "user", "parts": [{"text": "Think"}]}],
                   "generationConfig": {"thinkingConfig": {"includeThoughts": true}}})
        },
        messages: "contents",
        turn: |answer| vec![answer["candidates"][0]["content"].clone()],
        next: || json!({"role": "user", "parts": [{"text": "Go on"}]}),
        lost: "/contents",
    },
];

/// How the tag of a maker begins.
const TAG: &str = "FHmk";

impl Conversation {
    fn site(&self, simulator: &Simulator) -> Site {
        let (dialect, version) = (self.dialect, self.version);
        let row = |name: &str| {
            format!(
                "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{}/{name}{version}\"\n\
                 api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\n\
                 price = {{ input = \"1\", output = \"5\" }}\n\n",
                simulator.address
            )
        };
        Site::new(&format!("signatures-{dialect}"), &(row("one") + &row("two")))
    }

    fn ask(&self, freehold: &Freehold, model: &str, body: &Value) -> Answer {
        let mut body = body.clone();
        if body.get("model").is_some() {
            body["model"] = json!(model);
        }
        // A colon of ours in the path is encoded, as SDKs encode it.
        freehold.post(&(self.route)(&model.replace(':', "%3A")), &body.to_string())
    }
}

fn last_body(simulator: &Simulator) -> Value {
    serde_json::from_str(simulator.transcript().last().unwrap()["body"].as_str().unwrap()).unwrap()
}

#[test]
fn what_a_provider_signed_comes_back_to_it_as_made_and_goes_to_no_other() {
    for conversation in CONVERSATIONS {
        let dialect = conversation.dialect;
        let scratch = testkit::scratch_dir(&format!("signatures-simulator-{dialect}"));
        let simulator = Simulator::start(scratch.path(), SCENARIO);
        let site = conversation.site(&simulator);
        let freehold = site.start();

        let first = (conversation.first)("model:one");
        let answer = conversation.ask(&freehold, "model:one", &first);
        assert_eq!(answer.status, 200, "{dialect}: {}", answer.text());
        assert!(answer.text().contains(TAG), "{dialect}: {}", answer.text());

        let mut second = first.clone();
        let messages = second[conversation.messages].as_array_mut().unwrap();
        messages.extend((conversation.turn)(&answer.json()));
        messages.push((conversation.next)());

        // The maker gets what it made: it would refuse anything else.
        let again = conversation.ask(&freehold, "model:one", &second);
        assert_eq!((again.status, again.header("freehold-loss")), (200, None), "{dialect}: {}", again.text());
        let sent = last_body(&simulator).to_string();
        assert!(!sent.contains(TAG), "{dialect}: {sent}");
        assert!(again.text().contains(TAG), "{dialect}");

        // The other one is asked without.
        let elsewhere = conversation.ask(&freehold, "model:two", &second);
        assert_eq!(elsewhere.status, 200, "{dialect}: {}", elsewhere.text());
        let loss = elsewhere.header("freehold-loss").unwrap_or_default();
        assert!(loss.contains(conversation.lost), "{dialect}: {loss:?}");
        let given = last_body(&simulator).to_string();
        assert!(!given.contains(TAG) && given.len() < sent.len(), "{dialect}: {given}");
        for signed in signatures(&sent) {
            assert!(!given.contains(&signed), "{dialect}: {given}");
        }
    }
}

/// What each dialect's batch of one request came to, after it was handed over and asked about twice.
fn batched(freehold: &Freehold, dialect: &str, request: &Value) -> Value {
    let line = if dialect == "anthropic" {
        let asked = json!({"requests": [{"custom_id": "a", "params": request}]});
        let made = freehold.post("/v1/messages/batches", &asked.to_string());
        let path = format!("/v1/messages/batches/{}", made.json()["id"].as_str().unwrap());
        (0..2).for_each(|_| assert_eq!(freehold.ask("GET", &path).status, 200));
        freehold.ask("GET", &format!("{path}/results"))
    } else {
        let asked = json!({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": request}).to_string();
        let file = upload(freehold, &freehold.key, &[], Some("batch"), &asked).json();
        let asked = json!({"input_file_id": file["id"], "endpoint": "/v1/responses", "completion_window": "24h"});
        let made = freehold.post("/v1/batches", &asked.to_string());
        let path = format!("/v1/batches/{}", made.json()["id"].as_str().unwrap());
        freehold.ask("GET", &path);
        let done = freehold.ask("GET", &path).json();
        freehold.ask("GET", &format!("/v1/files/{}/content", done["output_file_id"].as_str().unwrap()))
    };
    let line: Value = serde_json::from_str(line.text().trim_end()).unwrap();
    let answer = if dialect == "anthropic" { &line["result"]["message"] } else { &line["response"]["body"] };
    answer.clone()
}

#[test]
fn what_came_of_a_batch_is_tagged_and_goes_back_to_its_maker_alone() {
    for conversation in CONVERSATIONS.iter().filter(|one| ["anthropic", "openai-responses"].contains(&one.dialect)) {
        let dialect = conversation.dialect;
        let scratch = testkit::scratch_dir(&format!("signatures-batch-simulator-{dialect}"));
        let simulator = Simulator::start(scratch.path(), SCENARIO);
        let site = conversation.site(&simulator);
        let freehold = site.start();
        let mut next = (conversation.first)("model:one");
        let answer = batched(&freehold, dialect, &next);
        assert!(answer.to_string().contains(TAG), "{dialect}: {answer}");
        let messages = next[conversation.messages].as_array_mut().unwrap();
        messages.extend((conversation.turn)(&answer));
        messages.push((conversation.next)());

        // A batch that goes on from it, and a call: the maker takes both for its own.
        let again = batched(&freehold, dialect, &next);
        assert!(again.to_string().contains(TAG), "{dialect}: {again}");
        let live = conversation.ask(&freehold, "model:one", &next);
        assert_eq!((live.status, live.header("freehold-loss")), (200, None), "{dialect}: {}", live.text());
        assert!(!last_body(&simulator).to_string().contains(TAG), "{dialect}");
        let elsewhere = conversation.ask(&freehold, "model:two", &next);
        let loss = elsewhere.header("freehold-loss").unwrap_or_default();
        assert!(elsewhere.status == 200 && loss.contains(conversation.lost), "{dialect}: {loss:?}");
        assert!(freehold.metrics().contains("freehold_panics_total 0"));
    }
}

#[test]
fn what_is_stored_is_tagged_when_it_is_fetched_and_so_is_what_it_was_asked_with() {
    let conversation = CONVERSATIONS.iter().find(|one| one.dialect == "openai-responses").unwrap();
    let scratch = testkit::scratch_dir("signatures-stored-simulator");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = conversation.site(&simulator);
    let freehold = site.start();
    let mut asked = (conversation.first)("model:one");
    asked["store"] = json!(true);
    let first = conversation.ask(&freehold, "model:one", &asked).json();
    let path = |answer: &Value| format!("/v1/responses/{}", answer["id"].as_str().unwrap());
    assert_eq!(freehold.ask("GET", &path(&first)).json()["output"], first["output"], "as it was told at first");
    let messages = asked["input"].as_array_mut().unwrap();
    messages.extend((conversation.turn)(&first));
    messages.push((conversation.next)());
    let second = conversation.ask(&freehold, "model:one", &asked).json();
    let items = freehold.ask("GET", &format!("{}/input_items", path(&second))).json();
    assert!(first["output"][0].to_string().contains(TAG), "{first}");
    assert_eq!(items["data"][1], first["output"][0], "the thought is told as the client knows it");
    let thought = first["output"][0]["id"].as_str().unwrap();
    freehold.ask("GET", &format!("{}/input_items?after={thought}", path(&second)));
    let page = simulator.transcript().last().unwrap()["path"].as_str().unwrap().to_owned();
    assert!(page.contains("input_items") && !page.contains(TAG), "{page}");
}

/// What is signed or encrypted in a request.
fn signatures(request: &str) -> Vec<String> {
    let found: Vec<String> = ["\"signature\":\"", "\"encrypted_content\":\"", "\"thoughtSignature\":\""]
        .iter()
        .flat_map(|field| request.split(field).skip(1))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert!(!found.is_empty(), "{request}");
    found
}

/// What a client of either dialect sends back of a signed thought reaches the provider that made it through a translation, as it
/// was made: the simulated provider refuses any other signature. To another provider it does not go.
#[test]
fn a_signed_thought_survives_a_translation_for_the_provider_that_made_it() {
    let scratch = testkit::scratch_dir("signatures-across");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    for (client, spoken, version) in [(0, "bedrock-converse", ""), (1, "anthropic", "/v1")] {
        let conversation = &CONVERSATIONS[client];
        let row = |name: &str| {
            format!(
                "[providers.{name}]\ndialect = \"{spoken}\"\nbase_url = \"http://{}/{name}{version}\"\n\
                 api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\n\
                 model = \"anthropic.claude-test\"\nprice = {{ input = \"1\", output = \"5\" }}\n\n",
                simulator.address
            )
        };
        let site = Site::new(&format!("signatures-across-{spoken}"), &(row("one") + &row("two")));
        let freehold = site.start();
        let first = (conversation.first)("model:one");
        let answer = conversation.ask(&freehold, "model:one", &first);
        assert_eq!(answer.status, 200, "{spoken}: {}", answer.text());
        assert!(
            answer.text().contains(TAG),
            "{spoken}: the signature came along, with its maker's tag: {}",
            answer.text()
        );
        let mut next = first.clone();
        let messages = next[conversation.messages].as_array_mut().unwrap();
        messages.extend((conversation.turn)(&answer.json()));
        messages.push((conversation.next)());
        let goes_on = conversation.ask(&freehold, "model:one", &next);
        assert_eq!(goes_on.status, 200, "{spoken}: {}", goes_on.text());
        let loss = goes_on.header("freehold-loss").unwrap_or_default();
        assert!(!loss.contains(conversation.lost), "{spoken}: {loss}");
        let sent = simulator.transcript().pop().unwrap()["body"].as_str().unwrap().to_owned();
        assert!(sent.contains("\"signature\":\"") && !sent.contains(TAG), "{spoken}: {sent}");

        let elsewhere = conversation.ask(&freehold, "model:two", &next);
        assert_eq!(elsewhere.status, 200, "{spoken}: {}", elsewhere.text());
        let loss = elsewhere.header("freehold-loss").unwrap_or_default();
        assert!(loss.contains(conversation.lost), "{spoken}: what another provider cannot read is named: {loss}");
    }
}

#[test]
fn a_signature_comes_in_a_translated_stream_with_its_makers_tag() {
    let scratch = testkit::scratch_dir("signatures-streamed");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new(
        "signatures-streamed",
        &format!(
            "[providers.one]\ndialect = \"bedrock-converse\"\nbase_url = \"http://{}/one\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.one]\nprovider = \"one\"\nmodel = \"anthropic.claude-test\"\nprice = {{ input = \"1\", output = \"5\" }}\n",
            simulator.address
        ),
    );
    let freehold = site.start();
    let mut body = (CONVERSATIONS[0].first)("model:one");
    body["stream"] = json!(true);
    let answer = freehold.post("/v1/messages", &body.to_string());
    let events: Vec<Value> = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let signatures: Vec<&str> = events
        .iter()
        .filter(|event| event["delta"]["type"] == "signature_delta")
        .map(|event| event["delta"]["signature"].as_str().unwrap())
        .collect();
    assert!(!signatures.is_empty() && signatures.iter().all(|one| one.starts_with(TAG)), "{}", answer.text());
    let block = events.iter().find(|event| event["delta"]["type"] == "signature_delta").unwrap()["index"].clone();
    let thought = |event: &&Value| event["type"] == "content_block_start" && event["index"] == block;
    assert_eq!(events.iter().find(thought).unwrap()["content_block"]["type"], "thinking");
}
