//! Vectors and rankings from a provider of another dialect than the client's: real calls, and what was booked of them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Freehold, Simulator, Site};

const SCENARIO: &str = "[transcript]\nbodies = true\n\n[providers.sim]\nembedding_dimensions = 5\n";

/// A workflow per provider that makes vectors, and one that refuses what a translation would lose.
fn configuration(address: SocketAddr) -> String {
    let provider = |dialect: &str, below: &str| {
        format!(
            "[providers.{dialect}]\ndialect = \"{dialect}\"\nbase_url = \"http://{address}/sim{below}\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.{dialect}]\nprovider = \"{dialect}\"\nmodel = \"v\"\n\
             price = {{ input = \"3.00\", output = \"15.00\", search_units = \"2.00\" }}\n\n\
             [lanes.{dialect}]\nclass = \"B\"\nmodels = [\"{dialect}\"]\npick = \"best\"\n\n\
             [criticality.{dialect}]\nlanes = [\"{dialect}\"]\n\n\
             [workflows.{dialect}]\ncriticality = \"{dialect}\"\nbudget = {{ limit = \"9 USD\", per = \"total\" }}\n\n"
        )
    };
    [
        provider("openai-chat", "/v1"),
        provider("gemini", "/v1beta"),
        provider("cohere", "/v2"),
        "[workflows.strict]\ncriticality = \"cohere\"\non_loss = \"refuse\"\n".to_owned(),
    ]
    .concat()
}

/// What each client says for two vectors: where, and what.
fn ask(client: &str, workflow: &str) -> (String, Value) {
    match client {
        "openai-chat" => ("/v1/embeddings".into(), json!({"model": workflow, "input": ["Water", "Fire"]})),
        "gemini" => {
            let one = |text: &str| json!({"model": "models/x", "content": {"parts": [{"text": text}]}});
            let requests = json!({"requests": [one("Water"), one("Fire")]});
            (format!("/v1beta/models/{workflow}:batchEmbedContents"), requests)
        }
        _ => {
            let body = json!({"model": workflow, "texts": ["Water", "Fire"], "input_type": "search_document"});
            ("/v2/embed".into(), body)
        }
    }
}

/// The vectors of an answer, and the tokens it tells.
fn vectors(client: &str, answer: &Value) -> (Vec<Value>, u64) {
    let (list, inner, tokens) = match client {
        "openai-chat" => (&answer["data"], "/embedding", &answer["usage"]["prompt_tokens"]),
        "gemini" => (&answer["embeddings"], "/values", &answer["usageMetadata"]["promptTokenCount"]),
        _ => (&answer["embeddings"]["float"], "", &answer["meta"]["billed_units"]["input_tokens"]),
    };
    let list = list.as_array().unwrap_or_else(|| panic!("{client}: {answer}"));
    (list.iter().map(|item| item.pointer(inner).unwrap().clone()).collect(), tokens.as_u64().unwrap())
}

fn start(name: &str) -> (Freehold, Simulator, testkit::ScratchDir, Site) {
    let scratch = testkit::scratch_dir(name);
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let site = Site::new(name, &configuration(simulator.address));
    (site.start(), simulator, scratch, site)
}

#[test]
fn every_client_gets_vectors_of_every_provider_that_makes_them() {
    let (freehold, simulator, _scratch, _site) = start("vectors-between");
    let dialects = ["openai-chat", "gemini", "cohere"];
    for provider in dialects {
        let mut made = Vec::new();
        for client in dialects {
            let (path, body) = ask(client, provider);
            let answer = freehold.post(&path, &body.to_string());
            assert_eq!(answer.status, 200, "{client} from {provider}: {}", answer.text());
            let (vectors, tokens) = vectors(client, &answer.json());
            assert!(vectors.len() == 2 && vectors[0] != vectors[1] && tokens > 0, "{client} from {provider}");
            assert!(vectors.iter().all(|vector| vector.as_array().unwrap().len() == 5), "{vectors:?}");
            made.push(vectors);
        }
        // One of the clients speaks as the provider does: the others get the same vectors.
        assert!(made.iter().all(|vectors| *vectors == made[0]), "{provider}: {made:?}");
    }
    assert_eq!(simulator.transcript().len(), 9);
    let spent = freehold.metrics();
    for provider in dialects {
        let settled = format!("freehold_budget_settled_nano_usd{{scope=\"workflow {provider}\",per=\"total\"}} ");
        let line = spent.lines().find_map(|line| line.strip_prefix(&settled)).unwrap();
        assert!(line.parse::<f64>().unwrap() > 0.0, "{provider}: {line}");
    }

    let base64 = r#"{"model":"gemini","input":"Water","encoding_format":"base64"}"#;
    let answer = freehold.post("/v1/embeddings", base64).json();
    // Five floats of four bytes.
    assert_eq!(answer["data"][0]["embedding"].as_str().map(str::len), Some(28), "{answer}");
}

#[test]
fn pictures_cross_between_the_dialects_that_take_them_and_are_refused_elsewhere() {
    let (freehold, simulator, _scratch, _site) = start("vectors-of-pictures");
    let cohere = |workflow: &str| {
        let url = json!({"url": "data:image/png;base64,AA=="});
        let content = json!([{"type": "text", "text": "Roof"}, {"type": "image_url", "image_url": url}]);
        let body = json!({"model": workflow, "input_type": "search_document", "inputs": [{"content": content}]});
        freehold.post("/v2/embed", &body.to_string())
    };
    let google = |workflow: &str| {
        let picture = json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}});
        let body = json!({"content": {"parts": [picture]}});
        freehold.post(&format!("/v1beta/models/{workflow}:embedContent"), &body.to_string())
    };
    let answers = [cohere("cohere"), cohere("gemini"), google("gemini"), google("cohere")];
    for answer in &answers {
        assert_eq!((answer.status, answer.header("freehold-loss")), (200, None), "{}", answer.text());
    }
    assert_eq!(answers[1].json()["embeddings"]["float"][0].as_array().unwrap().len(), 5);
    assert_eq!(answers[3].json()["embedding"]["values"].as_array().unwrap().len(), 5);
    for (answer, place) in
        [(cohere("openai-chat"), "/inputs/0/content/1/image_url"), (google("openai-chat"), "/content/parts/0")]
    {
        assert_eq!(
            (answer.status, answer.header("freehold-error")),
            (400, Some("untranslatable")),
            "{}",
            answer.text()
        );
        assert!(
            answer.text().contains(place) && answer.text().contains("makes no vectors of pictures"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(simulator.transcript().len(), 4, "what is refused is sent to nobody");
}

#[test]
fn what_vectors_would_lose_is_told_or_refused() {
    let (freehold, simulator, _scratch, _site) = start("vectors-losses");
    let plain = |workflow: &str| freehold.post("/v1/embeddings", &json!({"model": workflow, "input": "a"}).to_string());
    let told = plain("cohere");
    assert!(told.header("freehold-loss").unwrap().contains("/input_type"), "{:?}", told.header("freehold-loss"));
    let refused = plain("strict");
    assert_eq!((refused.status, refused.header("freehold-error")), (400, Some("translation_loss")));
    let named = freehold.post("/v1/embeddings", r#"{"model":"strict","input":"a","input_type":"search_query"}"#);
    assert_eq!((named.status, named.header("freehold-loss")), (200, None), "{}", named.text());
    let tokens = freehold.post("/v1/embeddings", r#"{"model":"gemini","input":[1212,318]}"#);
    assert_eq!((tokens.status, tokens.header("freehold-error")), (400, Some("untranslatable")));
    assert!(tokens.text().contains("send texts"), "{}", tokens.text());
    assert_eq!(simulator.transcript().len(), 2, "what is refused is sent to nobody");
}

#[test]
fn rankings_cross_in_both_directions() {
    let (freehold, _simulator, _scratch, _site) = start("rankings-between");
    let body = |workflow: &str| {
        json!({"model": workflow, "query": "Is water covered?", "documents": ["Fire.", "Water.", "Wind."], "top_n": 2})
            .to_string()
    };
    let common = freehold.post("/v1/rerank", &body("cohere"));
    assert_eq!(common.status, 200, "{}", common.text());
    let common = common.json();
    assert_eq!((&common["model"], &common["meta"]["billed_units"]["search_units"]), (&json!("cohere"), &json!(1)));
    let own = freehold.post("/v2/rerank", &body("openai-chat"));
    assert_eq!(own.status, 200, "{}", own.text());
    let own = own.json();
    assert!(own["meta"]["tokens"]["input_tokens"].as_u64().unwrap() > 0, "{own}");
    for (answer, has_documents) in [(&common, true), (&own, false)] {
        let results = answer["results"].as_array().unwrap();
        assert!(results.len() == 2 && results[0]["relevance_score"].as_f64() >= results[1]["relevance_score"].as_f64());
        for result in results {
            let index = usize::try_from(result["index"].as_u64().unwrap()).unwrap();
            let text = has_documents.then_some(["Fire.", "Water.", "Wind."][index]);
            assert_eq!(result["document"]["text"].as_str(), text, "{answer}");
        }
    }
}

#[test]
fn a_ranking_that_is_billed_by_the_search_needs_the_price_of_searches_under_a_budget() {
    let scratch = testkit::scratch_dir("rankings-unpriced");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let tokens_alone = configuration(simulator.address).replace(", search_units = \"2.00\"", "");
    let site = Site::new("rankings-unpriced-site", &tokens_alone);
    let freehold = site.start();
    let body = |workflow: &str| json!({"model": workflow, "query": "q", "documents": ["a", "b"]}).to_string();
    let refused = freehold.post("/v2/rerank", &body("cohere"));
    assert_eq!((refused.status, refused.header("freehold-error")), (503, Some("model_unpriced")), "{}", refused.text());
    assert!(simulator.transcript().is_empty(), "nothing is sent");
    assert_eq!(freehold.post("/v2/rerank", &body("openai-chat")).status, 200, "that one tells tokens");
}
