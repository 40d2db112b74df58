//! Reads a stored answer: what it has come to, and what it cost where it is over.

use domain::{Fault, FaultClass, Usage};

use super::Ids;
use crate::maker::Maker;
use crate::reply;
use crate::usage::Reported;

/// What a stored answer tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoredAnswer {
    /// `queued`, `in_progress`, `completed`, `incomplete`, `failed`, `cancelled`.
    pub status: String,
    /// What it consumed, where it says so.
    pub usage: Option<Reported>,
    /// The tier that served it.
    pub service_tier: Option<String>,
}

impl StoredAnswer {
    /// What is owed for it, where that is known: a failed answer is not billed, as nothing is that an error took the place of.
    pub fn owed(&self) -> Option<Reported> {
        match self.status.as_str() {
            "completed" | "incomplete" | "cancelled" => self.usage.clone(),
            "failed" => Some(self.usage.clone().unwrap_or_else(|| Reported::of(Usage::ZERO))),
            _ => None,
        }
    }
}

/// Relays an answer of openai-responses as `maker` stored it, failed ones too: its bytes with the client's names and the maker's
/// tags, and what it tells.
pub fn stored_answer(
    ids: &Ids,
    asked_model: &str,
    maker: Maker,
    body: &[u8],
) -> Result<(Vec<u8>, StoredAnswer), Fault> {
    std::str::from_utf8(body).map_err(|_| Fault::new(FaultClass::Malformed, "the answer is not UTF-8"))?;
    reply::stored_answer(ids, asked_model, maker, body)
}

/// Relays the list of what an answer was asked with: its bytes, with the tags of its maker.
pub fn stored_input(maker: Maker, body: &[u8]) -> Result<Vec<u8>, Fault> {
    std::str::from_utf8(body).map_err(|_| Fault::new(FaultClass::Malformed, "the answer is not UTF-8"))?;
    reply::stored_input(maker, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::Kind;
    use domain::Meter;

    #[test]
    fn a_stored_answer_passes_but_for_its_names_and_tells_what_it_came_to() {
        let ids = Ids::named(|kind, id| (kind == Kind::Answer).then(|| format!("{id}!")));
        let body = r#"{ "id":"resp_2","object":"response","status":"completed","error":null,"model" : "v","previous_response_id":"resp_1","output":[{"id":"msg_1","type":"message","content":[]}],"usage":{"input_tokens":3,"output_tokens":4}}"#;
        let (told, stored) = stored_answer(&ids, "claims", Maker::of("p"), body.as_bytes()).unwrap();
        let expected = body.replace("resp_2", "resp_2!").replace("resp_1", "resp_1!").replace("\"v\"", "\"claims\"");
        assert_eq!(String::from_utf8(told).unwrap(), expected);
        assert_eq!(stored.owed(), Some(Reported::of(Usage::ZERO.with(Meter::Input, 3).with(Meter::Output, 4))));

        let status = |body: &str| stored_answer(&ids, "claims", Maker::of("p"), body.as_bytes()).unwrap().1;
        let queued = status(r#"{"id":"resp_1","status":"queued","usage":null}"#);
        assert_eq!((queued.status.as_str(), queued.owed()), ("queued", None));
        let failed = status(r#"{"id":"resp_1","status":"failed","error":{"message":"x"},"usage":null}"#);
        assert_eq!(failed.owed(), Some(Reported::of(Usage::ZERO)));
        assert_eq!(status(r#"{"id":"resp_1","status":"cancelled","usage":null}"#).owed(), None, "some of it was made");
    }

    #[test]
    fn what_an_answer_was_asked_with_has_the_tags_of_its_maker() {
        let maker = Maker::of("p");
        let body = r#"{"object":"list","data":[{"type":"message","id":"msg_1","content":[]},{"id":"rs_1", "type":"reasoning","encrypted_content":"gAAA","summary":[]}],"last_id":"rs_1"}"#;
        let tag = String::from_utf8(maker.tag().to_vec()).unwrap();
        let expected =
            body.replace("\"id\":\"rs_1", &format!("\"id\":\"{tag}rs_1")).replace("gAAA", &format!("{tag}gAAA"));
        assert_eq!(
            String::from_utf8(stored_input(maker, body.as_bytes()).unwrap()).unwrap(),
            expected.replace(&format!("last_id\":\"{tag}"), "last_id\":\"")
        );
        assert_eq!(stored_input(maker, b"[").unwrap_err().class, FaultClass::Malformed);
    }
}
