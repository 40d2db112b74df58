//! What good answers look like in Google's dialect, streamed and whole, and how it says no.

use serde_json::{Value, json};

use crate::client::{ask, ask_with, get, simulator};

const WHOLE: &str = "/p/v1beta/models/m:generateContent";
const STREAM: &str = "/p/v1beta/models/m:streamGenerateContent?alt=sse";

fn asking(more: Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "Is water covered?"}]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn text(answers: &[Value]) -> String {
    let parts = answers.iter().filter_map(|answer| answer.pointer("/candidates/0/content/parts")?.as_array());
    parts.flatten().filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str()).collect()
}

#[tokio::test]
async fn an_answer_says_the_same_streamed_and_whole_and_costs_the_same() {
    let simulator = simulator("[providers.p]\noutput_tokens = 30\nusage = { cached_tokens = 2 }").await;
    let whole = ask(&simulator, WHOLE, asking(json!({}))).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/json; charset=utf-8"));
    let whole = whole.json();
    let streamed = ask(&simulator, STREAM, asking(json!({}))).await;
    assert_eq!(streamed.header("content-type"), "text/event-stream");
    assert!(streamed.body.ends_with("\r\n\r\n"));
    let events = streamed.events();
    assert_eq!(text(&events), text(std::slice::from_ref(&whole)));
    let last = events.last().unwrap();
    assert_eq!(last["usageMetadata"], whole["usageMetadata"]);
    assert_eq!((&last["candidates"][0]["finishReason"], &last["modelVersion"]), (&json!("STOP"), &json!("m")));
    assert!(events[..events.len() - 1].iter().all(|event| event["candidates"][0]["finishReason"].is_null()));
    let usage = &whole["usageMetadata"];
    assert_eq!((&usage["candidatesTokenCount"], &usage["cachedContentTokenCount"]), (&json!(30), &json!(2)));
}

#[tokio::test]
async fn thoughts_are_counted_beside_the_candidates_and_signed_on_what_follows() {
    let simulator = simulator("[providers.p]\nreasoning_tokens = 8\noutput_tokens = 5").await;
    let body = asking(json!({"generationConfig": {"thinkingConfig": {"thinking_level": "HIGH"}}}));
    let whole = ask(&simulator, WHOLE, body).await.json();
    let parts = &whole["candidates"][0]["content"]["parts"];
    assert_eq!(parts[0]["thought"], true);
    assert!(parts[1]["thoughtSignature"].is_string() && parts[1]["thought"].is_null());
    let usage = &whole["usageMetadata"];
    assert_eq!((&usage["thoughtsTokenCount"], &usage["candidatesTokenCount"]), (&json!(8), &json!(5)));
}

#[tokio::test]
async fn calls_come_whole_and_without_ids() {
    let simulator = simulator("[providers.p]").await;
    let tools = json!([{"function_declarations": [
        {"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING", "enum": ["Ulm"]}}, "required": ["city"]}},
        {"name": "get_time", "parametersJsonSchema": {"type": "object"}}]}]);
    let events = ask(&simulator, STREAM, asking(json!({"tools": tools}))).await.events();
    let calls: Vec<&Value> =
        events.iter().filter_map(|event| event.pointer("/candidates/0/content/parts/0/functionCall")).collect();
    assert_eq!(
        calls,
        [&json!({"name": "get_weather", "args": {"city": "Ulm"}}), &json!({"name": "get_time", "args": {}})]
    );
}

#[tokio::test]
async fn counts_vectors_and_models_are_googles() {
    let simulator = simulator("[providers.p]\nmodels = [\"m\"]\nembedding_dimensions = 3").await;
    let counted = ask(&simulator, "/p/v1beta/models/m:countTokens", asking(json!({}))).await.json();
    assert_eq!(counted["totalTokens"], 5);
    let one = json!({"content": {"parts": [{"text": "x"}]}});
    let vector = ask(&simulator, "/p/v1beta/models/m:embedContent", one.clone()).await.json();
    let list = ask(&simulator, "/p/v1beta/models/m:batchEmbedContents", json!({"requests": [one]})).await.json();
    assert_eq!(vector["embedding"]["values"].as_array().unwrap().len(), 3);
    assert_eq!(list["embeddings"][0], vector["embedding"]);
    assert_eq!(get(&simulator, "/p/v1beta/models").await["models"][0]["name"], "models/m");
    let longer = "/p/v1/projects/a/locations/b/publishers/google/models/m:generateContent";
    assert_eq!(ask(&simulator, longer, asking(json!({}))).await.status, 200);
}

#[tokio::test]
async fn no_is_said_in_googles_words() {
    let faults =
        "[providers.p]\nkeys = [\"right\"]\n[[providers.p.faults]]\nkind = \"rate_limited\"\nretry_after_ms = 1500";
    let simulator = simulator(faults).await;
    let wrong = ask(&simulator, WHOLE, asking(json!({}))).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    let limited = ask_with(&simulator, WHOLE, "x-goog-api-key: right\r\n", asking(json!({}))).await;
    assert!(!limited.head.contains("retry-after"), "{}", limited.head);
    let error = &limited.json()["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(429), &json!("RESOURCE_EXHAUSTED")));
    assert_eq!(error["details"][0]["retryDelay"], "2s");
}
