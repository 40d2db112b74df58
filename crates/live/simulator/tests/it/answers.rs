//! What good answers look like, in every dialect, streamed and whole.

use serde_json::{Value, json};

use crate::client::{CHAT, MESSAGES, ask, ask_with, chat, message, send, simulator};

fn joined(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
}

fn weather() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string", "enum": ["Ulm", "Graz"]}}, "required": ["city"]})
}

#[tokio::test]
async fn a_chat_completion_says_the_same_streamed_and_whole_and_costs_the_same() {
    let simulator = simulator("[providers.p]\noutput_tokens = 30\nusage = { cached_tokens = 2 }").await;
    let whole = ask(&simulator, CHAT, chat(json!({}))).await;
    assert_eq!((whole.status, whole.complete), (200, true));
    let whole = whole.json();
    let streamed =
        ask(&simulator, CHAT, chat(json!({"stream": true, "stream_options": {"include_usage": true}}))).await;
    assert_eq!(streamed.header("content-type"), "text/event-stream; charset=utf-8");
    let events = streamed.events();
    assert_eq!(
        joined(&events, "/choices/0/delta/content"),
        whole["choices"][0]["message"]["content"].as_str().unwrap()
    );
    let last = events.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
    assert_eq!(whole["usage"]["completion_tokens"], 30);
    assert_eq!(whole["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
    assert!(events[..events.len() - 1].iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert!(streamed.body.ends_with("data: [DONE]\n\n"));
    let silent = ask(&simulator, CHAT, chat(json!({"stream": true}))).await;
    assert!(!silent.body.contains("usage"));
}

#[tokio::test]
async fn a_message_says_the_same_streamed_and_whole_and_costs_the_same() {
    let simulator = simulator("[providers.p]\nusage = { prompt_tokens = 100, cached_tokens = 60, cache_write_tokens = 10, cache_write_1h_tokens = 5 }").await;
    let whole = ask(&simulator, MESSAGES, message(json!({}))).await.json();
    assert_eq!(
        (&whole["stop_reason"], &whole["model"], &whole["type"]),
        (&json!("end_turn"), &json!("m"), &json!("message"))
    );
    assert_eq!((&whole["usage"]["input_tokens"], &whole["usage"]["cache_read_input_tokens"]), (&json!(25), &json!(60)));
    assert_eq!(whole["usage"]["cache_creation_input_tokens"], 15);
    assert_eq!(whole["usage"]["cache_creation"]["ephemeral_1h_input_tokens"], 5);
    let streamed = ask(&simulator, MESSAGES, message(json!({"stream": true}))).await;
    let events = streamed.events();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds[..4], ["message_start", "content_block_start", "ping", "content_block_delta"]);
    assert_eq!(kinds[kinds.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(joined(&events, "/delta/text"), whole["content"][0]["text"].as_str().unwrap());
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 25);
    assert_eq!(events[events.len() - 2]["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

#[tokio::test]
async fn a_response_says_the_same_streamed_and_whole_and_costs_the_same() {
    let simulator = simulator("[providers.p]\nreasoning_tokens = 6\ncheck_signatures = true").await;
    let responses = |more: Value| {
        let mut body = json!({"model": "m", "input": "Is water covered?", "reasoning": {"effort": "low"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let whole = ask(&simulator, "/v1/responses", responses(json!({}))).await.json();
    assert_eq!(
        (&whole["object"], &whole["status"], &whole["error"]),
        (&json!("response"), &json!("completed"), &Value::Null)
    );
    let kinds = |items: &Value| items.as_array().unwrap().iter().map(|item| item["type"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&whole["output"]), ["reasoning", "message"]);
    assert_eq!(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 6);

    let streamed = ask(&simulator, "/v1/responses", responses(json!({"stream": true}))).await;
    let events = streamed.events();
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        events.iter().map(|event| event["type"].as_str().unwrap()).take(3).collect::<Vec<_>>(),
        ["response.created", "response.in_progress", "response.output_item.added"]
    );
    let said = |kind: &str| -> String {
        events.iter().filter(|event| event["type"] == kind).filter_map(|event| event["delta"].as_str()).collect()
    };
    assert_eq!(said("response.output_text.delta"), whole["output"][1]["content"][0]["text"].as_str().unwrap());
    assert_eq!(
        said("response.reasoning_summary_text.delta"),
        whole["output"][0]["summary"][0]["text"].as_str().unwrap()
    );
    let last = &events.last().unwrap()["response"];
    assert_eq!((&last["usage"], &last["status"]), (&whole["usage"], &whole["status"]));

    let short = ask(&simulator, "/v1/responses", responses(json!({"max_output_tokens": 8}))).await.json();
    assert_eq!(
        (&short["status"], &short["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    let back = |encrypted: &Value| {
        let mut thought = whole["output"][0].clone();
        thought["encrypted_content"] = encrypted.clone();
        json!({"model": "m", "input": [thought, {"role": "user", "content": "Again."}]})
    };
    let own = ask(&simulator, "/v1/responses", back(&whole["output"][0]["encrypted_content"])).await;
    let forged = ask(&simulator, "/v1/responses", back(&json!("forged"))).await;
    let kept = ask(&simulator, "/v1/responses", responses(json!({"previous_response_id": "resp_1"}))).await;
    assert_eq!((own.status, forged.status, kept.status), (200, 400, 400));
}

#[tokio::test]
async fn functions_of_responses_are_called_with_streamed_arguments() {
    let simulator = simulator("[providers.p]").await;
    let tool = json!({"type": "function", "name": "get_weather", "parameters": weather(), "strict": true});
    let body =
        json!({"model": "m", "stream": true, "input": [{"role": "user", "content": "Weather?"}], "tools": [tool]});
    let events = ask(&simulator, "/v1/responses", body).await.events();
    let deltas = events.iter().filter(|event| event["type"] == "response.function_call_arguments.delta");
    let arguments: String = deltas.filter_map(|event| event["delta"].as_str()).collect();
    let call = &events.last().unwrap()["response"]["output"][0];
    assert_eq!((arguments.as_str(), &call["arguments"]), (r#"{"city":"Ulm"}"#, &json!(r#"{"city":"Ulm"}"#)));
    let result = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "12"});
    let body = json!({"model": "m", "input": [{"role": "user", "content": "Weather?"}, call, result], "tools": [tool]});
    assert_eq!(ask(&simulator, "/v1/responses", body).await.json()["output"][0]["type"], "message");
}

#[tokio::test]
async fn tools_are_called_side_by_side_with_streamed_arguments() {
    let simulator = simulator("[providers.p]").await;
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": weather()}});
    let tools = json!({"tools": [function("get_weather"), function("get_storm")]});
    let whole = ask(&simulator, CHAT, chat(tools.clone())).await.json();
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(whole["choices"][0]["message"]["tool_calls"][1]["function"]["arguments"], r#"{"city":"Ulm"}"#);
    let mut streaming = tools;
    streaming["stream"] = json!(true);
    let events = ask(&simulator, CHAT, chat(streaming)).await.events();
    for (index, name) in [(0, "get_weather"), (1, "get_storm")] {
        let parts: Vec<&Value> = events
            .iter()
            .filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0"))
            .filter(|part| part["index"] == index)
            .collect();
        assert_eq!(parts[0]["function"]["name"], name);
        assert!(parts.len() > 3);
        let arguments: String = parts.iter().filter_map(|part| part["function"]["arguments"].as_str()).collect();
        assert_eq!(arguments, r#"{"city":"Ulm"}"#);
    }

    let tool = |name: &str| json!({"name": name, "input_schema": weather()});
    let asked = json!({"tools": [tool("get_weather"), tool("get_storm")]});
    let whole = ask(&simulator, MESSAGES, message(asked.clone())).await.json();
    assert_eq!(whole["stop_reason"], "tool_use");
    assert_eq!(whole["content"][1]["input"], json!({"city": "Ulm"}));
    let mut streaming = asked;
    streaming["stream"] = json!(true);
    let events = ask(&simulator, MESSAGES, message(streaming)).await.events();
    let second: Vec<Value> = events.into_iter().filter(|event| event["index"] == 1).collect();
    assert_eq!(second[0]["content_block"]["name"], "get_storm");
    assert_eq!(joined(&second, "/delta/partial_json"), r#"{"city":"Ulm"}"#);
}

#[tokio::test]
async fn thinking_is_signed_and_only_the_right_signature_comes_back_in() {
    let simulator = simulator("[providers.p]").await;
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    let whole = ask(&simulator, MESSAGES, message(thinking.clone())).await.json();
    let block = whole["content"][0].clone();
    assert!(block["type"] == "thinking" && !block["signature"].as_str().unwrap().is_empty());
    let mut streaming = thinking;
    streaming["stream"] = json!(true);
    let events = ask(&simulator, MESSAGES, message(streaming)).await.events();
    assert_eq!(joined(&events, "/delta/thinking"), block["thinking"].as_str().unwrap());
    assert_eq!(joined(&events, "/delta/signature"), block["signature"].as_str().unwrap());

    let back = |block: &Value| {
        message(json!({"messages": [
            {"role": "user", "content": "Is it?"}, {"role": "assistant", "content": [block]}, {"role": "user", "content": "Sure?"}
        ]}))
    };
    assert_eq!(ask(&simulator, MESSAGES, back(&block)).await.status, 200);
    let mut forged = block;
    forged["signature"] = json!("forged");
    let refused = ask(&simulator, MESSAGES, back(&forged)).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
}

#[tokio::test]
async fn reasoning_choices_and_log_probabilities_come_where_asked_for() {
    let simulator = simulator("[providers.p]\noutput_tokens = 5\nreasoning_tokens = 7").await;
    let body =
        ask(&simulator, CHAT, chat(json!({"n": 2, "reasoning_effort": "low", "logprobs": true, "top_logprobs": 2})))
            .await
            .json();
    assert_eq!(body["choices"].as_array().unwrap().len(), 2);
    assert_ne!(body["choices"][0]["message"]["content"], body["choices"][1]["message"]["content"]);
    assert!(!body["choices"][1]["message"]["reasoning_content"].as_str().unwrap().is_empty());
    assert_eq!(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 14);
    assert_eq!(body["usage"]["completion_tokens"], 24);
    let tokens = body["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!((tokens.len(), tokens[0]["top_logprobs"].as_array().unwrap().len()), (5, 2));
    assert!(tokens.iter().all(|token| token["logprob"].as_f64().unwrap() <= 0.0));
}

#[tokio::test]
async fn a_schema_is_answered_by_an_instance_of_it() {
    let simulator = simulator("[providers.p]").await;
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": weather()}}});
    let body = ask(&simulator, CHAT, chat(format)).await.json();
    assert_eq!(body["choices"][0]["message"]["content"], r#"{"city":"Ulm"}"#);
    let format = json!({"output_config": {"format": {"type": "json_schema", "schema": weather()}}});
    let body = ask(&simulator, MESSAGES, message(format)).await.json();
    assert_eq!(body["content"][0]["text"], r#"{"city":"Ulm"}"#);
}

#[tokio::test]
async fn caps_and_stop_sequences_are_told_as_each_dialect_tells_them() {
    let simulator = simulator("[providers.p]\noutput_tokens = \"max\"").await;
    let capped = ask(&simulator, CHAT, chat(json!({"max_completion_tokens": 8}))).await.json();
    assert_eq!(capped["usage"]["completion_tokens"], 8);
    let stopped = ask(&simulator, MESSAGES, message(json!({"stop_sequences": [" "]}))).await.json();
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!(" ")));
    let capped = ask(&simulator, MESSAGES, message(json!({"max_tokens": 3}))).await.json();
    assert_eq!(capped["usage"]["output_tokens"], 3);
}

#[tokio::test]
async fn embeddings_are_the_same_as_numbers_and_packed() {
    use base64::Engine;
    let simulator = simulator("[providers.p]\nembedding_dimensions = 8").await;
    let embed = |input: Value, format: &str| json!({"model": "e", "input": input, "encoding_format": format});
    let plain = ask(&simulator, "/p/v1/embeddings", embed(json!("Storm"), "float")).await.json();
    let packed = ask(&simulator, "/p/v1/embeddings", embed(json!(["Water", "Storm"]), "base64")).await.json();
    assert_eq!(packed["data"][1]["index"], 1);
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(packed["data"][1]["embedding"].as_str().unwrap()).unwrap();
    let unpacked: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    let numbers: Vec<f32> =
        plain["data"][0]["embedding"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect();
    assert_eq!((unpacked.len(), &unpacked), (8, &numbers));
    assert!((numbers.iter().map(|n| n * n).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_eq!(packed["usage"]["prompt_tokens"], 4);
}

#[tokio::test]
async fn models_and_counts_answer_in_the_dialect_that_asked() {
    let simulator = simulator("[providers.p]\nmodels = [\"large\"]\n[providers.only]\ndialect = \"openai-chat\"").await;
    let counted = ask(
        &simulator,
        "/p/v1/messages/count_tokens",
        json!({"model": "large", "messages": [{"role": "user", "content": "12345"}]}),
    )
    .await;
    assert_eq!(counted.json(), json!({"input_tokens": 2}));
    let openai = crate::client::get(&simulator, "/p/v1/models").await;
    assert_eq!(openai["data"][0]["object"], "model");
    let anthropic = crate::client::read(
        send(simulator.address, "GET", "/p/v1/models", "anthropic-version: 2023-06-01\r\n", "").await,
    )
    .await;
    assert_eq!(anthropic.json()["data"][0]["type"], "model");
    assert_eq!(ask(&simulator, "/only/v1/messages", message(json!({}))).await.status, 404);
    assert_eq!(ask(&simulator, "/nobody/v1/messages", message(json!({}))).await.status, 404);
    let default = ask_with(&simulator, "/v1/chat/completions?beta=true", "", chat(json!({}))).await;
    assert_eq!(default.status, 200, "the first provider by name answers without its name");
}
