//! Answers `GET /v1/models` in the client's dialect.

use domain::UnixMs;
use serde_json::{Value, json};

use crate::dialect::Dialect;

/// One name a client may ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedModel {
    /// What goes into `model`.
    pub id: String,
    /// Since when it is offered, seconds since 1970.
    pub created_unix_s: i64,
    /// Who offers it.
    pub owned_by: String,
}

/// The body of the list, complete on one page.
pub fn models_body(client: Dialect, models: &[ListedModel]) -> Vec<u8> {
    let data: Vec<Value> = models.iter().map(|model| listed(client, model)).collect();
    let body = match client {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => json!({ "object": "list", "data": data }),
        Dialect::Anthropic => json!({
            "data": data,
            "has_more": false,
            "first_id": models.first().map(|model| &model.id),
            "last_id": models.last().map(|model| &model.id),
        }),
        Dialect::Gemini => json!({ "models": data }),
        Dialect::BedrockConverse => json!({ "modelSummaries": data }),
        Dialect::Cohere => json!({ "models": data }),
    };
    body.to_string().into_bytes()
}

/// The body of one entry, asked for by its name.
pub fn model_body(client: Dialect, model: &ListedModel) -> Vec<u8> {
    listed(client, model).to_string().into_bytes()
}

/// The body of a count of tokens that no provider gave.
pub fn count_body(client: Dialect, tokens: u64) -> String {
    match client {
        Dialect::Gemini => json!({ "totalTokens": tokens }),
        Dialect::OpenAiResponses => json!({ "object": "response.input_tokens", "input_tokens": tokens }),
        // Of the others only Anthropic's has such a question.
        _ => json!({ "input_tokens": tokens }),
    }
    .to_string()
}

fn listed(client: Dialect, model: &ListedModel) -> Value {
    match client {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => json!({
            "id": model.id,
            "object": "model",
            "created": model.created_unix_s,
            "owned_by": model.owned_by,
        }),
        Dialect::Anthropic => json!({
            "type": "model",
            "id": model.id,
            "display_name": model.id,
            "created_at": UnixMs(model.created_unix_s.saturating_mul(1000)).to_string(),
        }),
        Dialect::Gemini => json!({
            "name": format!("models/{}", model.id),
            "displayName": model.id,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
        Dialect::BedrockConverse => {
            json!({ "modelId": model.id, "modelName": model.id, "responseStreamingSupported": true })
        }
        Dialect::Cohere => json!({ "name": model.id, "endpoints": ["chat", "embed", "rerank"], "finetuned": false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_lists_what_may_be_asked_for() {
        let models =
            [ListedModel { id: "claims-triage".into(), created_unix_s: 951_782_400, owned_by: "freehold".into() }];
        let read = |dialect| serde_json::from_slice::<serde_json::Value>(&models_body(dialect, &models)).unwrap();
        let openai = read(Dialect::OpenAiChat);
        assert_eq!((&openai["object"], &openai["data"][0]["id"]), (&json!("list"), &json!("claims-triage")));
        let anthropic = read(Dialect::Anthropic);
        assert_eq!(anthropic["data"][0]["created_at"], "2000-02-29T00:00:00.000Z");
        assert_eq!(anthropic["last_id"], "claims-triage");
    }

    #[test]
    fn google_lists_models_as_resources() {
        let model = ListedModel { id: "claims-triage".into(), created_unix_s: 0, owned_by: "freehold".into() };
        let body: Value = serde_json::from_slice(&models_body(Dialect::Gemini, &[model])).unwrap();
        assert_eq!(body["models"][0]["name"], "models/claims-triage");
        assert_eq!(count_body(Dialect::Gemini, 7), r#"{"totalTokens":7}"#);
    }

    #[test]
    fn an_empty_list_has_no_first_id() {
        let body: serde_json::Value = serde_json::from_slice(&models_body(Dialect::Anthropic, &[])).unwrap();
        assert_eq!(body["first_id"], json!(null));
    }
}
