//! How clients are told of files and batches that Freehold keeps: in the shapes of OpenAI's API.

use bytes::Bytes;
use domain::{BatchFile, BatchLine, BatchStatus, OwnBatch, UnixMs};
use http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::lines::Line;
use super::{BATCH, FILE};

/// The ids of what came of a batch: answers, or errors.
const ANSWERS: &str = "out_";
const ERRORS: &str = "err_";

/// The id of the file of a batch's answers, or errors.
pub fn output_id(batch: &str, failed: bool) -> String {
    let which = if failed { ERRORS } else { ANSWERS };
    format!("{FILE}{which}{}", batch.strip_prefix(BATCH).unwrap_or(batch))
}

/// The batch whose answers, or errors, a file of this id is.
pub fn output_of(file: &str) -> Option<(String, bool)> {
    let rest = file.strip_prefix(FILE)?;
    let (batch, failed) = match rest.strip_prefix(ANSWERS) {
        Some(batch) => (batch, false),
        None => (rest.strip_prefix(ERRORS)?, true),
    };
    Some((format!("{BATCH}{batch}"), failed))
}

/// A batch.
pub fn batch(batch: &OwnBatch) -> Value {
    let ended = |status: BatchStatus| batch.ended.filter(|_| batch.status == status).map(seconds);
    let output = |failed: bool, count: u64| (batch.status.is_over() && count > 0).then(|| output_id(&batch.id, failed));
    let metadata = batch.metadata.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": null,
        "input_file_id": batch.input,
        "completion_window": "24h",
        "status": batch.status.as_str(),
        "output_file_id": output(false, batch.answered),
        "error_file_id": output(true, batch.failed),
        "created_at": seconds(batch.created),
        "in_progress_at": seconds(batch.created),
        "expires_at": seconds(batch.expires),
        "finalizing_at": ended(BatchStatus::Completed),
        "completed_at": ended(BatchStatus::Completed),
        "failed_at": ended(BatchStatus::Failed),
        "expired_at": ended(BatchStatus::Expired),
        "cancelling_at": batch.cancelling.map(seconds),
        "cancelled_at": ended(BatchStatus::Cancelled),
        "request_counts": { "total": batch.lines, "completed": batch.answered, "failed": batch.failed },
        "metadata": metadata,
    })
}

/// A file of requests.
pub fn file(file: &BatchFile) -> Value {
    json!({
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": seconds(file.created),
        "filename": file.name,
        "purpose": "batch",
        "status": "processed",
        "status_details": null,
    })
}

/// The file of what came of a batch.
pub fn output(batch: &OwnBatch, failed: bool, bytes: u64) -> Value {
    let what = if failed { "errors" } else { "output" };
    json!({
        "id": output_id(&batch.id, failed),
        "object": "file",
        "bytes": bytes,
        "created_at": seconds(batch.ended.unwrap_or(batch.created)),
        "filename": format!("{}_{what}.jsonl", batch.id),
        "purpose": "batch_output",
        "status": "processed",
        "status_details": null,
    })
}

/// What came of a request that was answered, well or not. What is no JSON is told as text.
pub fn answered(batch: &str, line: &Line, call: &str, status: StatusCode, body: &Bytes, failed: bool) -> BatchLine {
    let raw = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    let text = match raw {
        Some(raw) => on_one_line(raw.get()),
        None => Value::from(String::from_utf8_lossy(body)).to_string(),
    };
    let (id, custom_id, call) = (name(batch, line), quoted(&line.custom_id), quoted(call));
    let response = format!("{{\"status_code\":{},\"request_id\":{call},\"body\":{text}}}", status.as_u16());
    let text = format!("{{\"id\":{id},\"custom_id\":{custom_id},\"response\":{response},\"error\":null}}");
    BatchLine { number: line.number, failed, text: text.into_bytes() }
}

/// What came of a request that nobody was asked.
pub fn unasked(batch: &str, line: &Line, code: &str, message: &str) -> BatchLine {
    let text = json!({
        "id": request_id(batch, line),
        "custom_id": line.custom_id,
        "response": null,
        "error": { "code": code, "message": message },
    });
    BatchLine { number: line.number, failed: true, text: text.to_string().into_bytes() }
}

/// A page of things that each have an id.
pub fn page(items: &[Value], has_more: bool) -> Value {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    json!({
        "object": "list",
        "data": items,
        "first_id": id(items.first()),
        "last_id": id(items.last()),
        "has_more": has_more,
    })
}

/// A value of JSON has line ends between its parts only, where a space says the same.
fn on_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

fn request_id(batch: &str, line: &Line) -> String {
    format!("batch_req_{}_{}", batch.strip_prefix(BATCH).unwrap_or(batch), line.number)
}

fn name(batch: &str, line: &Line) -> String {
    quoted(&request_id(batch, line))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn seconds(at: UnixMs) -> i64 {
    at.0.div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use wire::{Dialect, Operation};

    fn line() -> Line {
        Line {
            number: 7,
            custom_id: "say \"a\"".into(),
            endpoint: crate::endpoints::find(&Method::POST, "/v1/chat/completions").unwrap().endpoint,
            dialect: Dialect::OpenAiChat,
            operation: Operation::Chat,
            asked: "w".into(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn an_answer_stands_on_one_line_with_its_numbers_as_they_came() {
        let body = Bytes::from_static(b"{\n  \"cost\": 1.10,\r\n \"text\": \"a\\nb\"}");
        let told = answered("batch_own_1", &line(), "call_x", StatusCode::OK, &body, false);
        let text = String::from_utf8(told.text).unwrap();
        assert!(!text.contains('\n') && text.contains("1.10"), "{text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&told["custom_id"], &told["error"]), (&json!("say \"a\""), &Value::Null));
        assert_eq!(told["response"]["body"]["text"], "a\nb");
        assert_eq!(
            (&told["response"]["status_code"], &told["response"]["request_id"]),
            (&json!(200), &json!("call_x"))
        );
        let plain = answered("batch_own_1", &line(), "c", StatusCode::BAD_GATEWAY, &Bytes::from_static(b"<p>"), true);
        assert_eq!(serde_json::from_slice::<Value>(&plain.text).unwrap()["response"]["body"], "<p>");
    }

    #[test]
    fn the_files_of_a_batch_are_known_by_its_id() {
        for failed in [false, true] {
            assert_eq!(output_of(&output_id("batch_own_1", failed)), Some(("batch_own_1".to_owned(), failed)));
        }
        assert_eq!(output_of("file-own_1"), None);
    }
}
