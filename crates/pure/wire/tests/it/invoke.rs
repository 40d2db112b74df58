//! What the SDKs send to Bedrock's `invoke`: Anthropic's bodies are that dialect once opened, and hosted at Bedrock they are again
//! what the SDK wrote; other vendors' pass as they are.

use bytes::Bytes;
use serde_json::{Value, json};
use wire::hosting::with_betas;
use wire::invoke::{Invocation, open};
use wire::{Address, Ask, Dialect, Operation, Quirks, outgoing, scan};

use crate::support::files;

#[test]
fn anthropics_bodies_are_opened_and_hosted_again_and_others_pass() {
    let (mut messages, mut others) = (0, 0);
    let quirks = Quirks::named("bedrock-invoke").unwrap();
    for (path, body) in files("captures/invoke-sdk", ".request.json") {
        let address = Address { model: "claims-triage".into(), stream: path.contains("stream") };
        let ask = Ask {
            upstream_model: "claims-triage",
            quirks,
            insert_max_output: None,
            default_max_output: 9,
            foreign: false,
        };
        let original = Bytes::from(body);
        match open(&address, &original).unwrap() {
            Invocation::Messages { body, betas } => {
                let head = scan(Dialect::Anthropic, Operation::Chat, None, &body).unwrap();
                assert_eq!((head.model.as_deref(), head.stream), (Some("claims-triage"), address.stream), "{path}");
                let out =
                    outgoing(Dialect::Anthropic, Operation::Chat, &body, &head, Dialect::Anthropic, &ask).unwrap();
                let method = if address.stream { "invoke-with-response-stream" } else { "invoke" };
                assert_eq!(out.path, format!("/model/claims-triage/{method}"));
                let betas: Vec<&str> = betas.iter().map(String::as_str).collect();
                let mut again: Value = serde_json::from_slice(&with_betas(out.body, &betas)).unwrap();
                let mut first: Value = serde_json::from_slice(&original).unwrap();
                assert_eq!(again["anthropic_version"], "bedrock-2023-05-31");
                // Anthropic's SDK sends a version of its own.
                again["anthropic_version"] = json!(null);
                first["anthropic_version"] = json!(null);
                assert_eq!(again, first, "{path}");
                messages += 1;
            }
            Invocation::Other => {
                let bedrock = Dialect::BedrockConverse;
                let head = scan(bedrock, Operation::Invoke, Some(&address), &original).unwrap();
                let out = outgoing(bedrock, Operation::Invoke, &original, &head, bedrock, &ask).unwrap();
                assert_eq!((out.body, &*out.path), (original, "/model/claims-triage/invoke"), "{path}");
                others += 1;
            }
        }
    }
    assert_eq!((messages, others), (5, 2));
}
