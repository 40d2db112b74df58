//! Files of others: what a key reaches by an id that only the provider should know, and what hosts do that keep none.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::{RawProvider, Simulator, Site, eventually};
use crate::kept::{OPENAI, SCENARIO, code, configuration, id, stage, upload};

#[test]
fn a_file_of_another_key_is_not_reached_by_the_id_that_its_provider_knows() {
    let stage = stage("kept-raw", OPENAI, "", "");
    let freehold = &stage.freehold;
    let own = id(&upload(freehold, &freehold.key, &[("freehold-workflow", "other")], Some("user_data"), "secret text"));
    let used = format!(
        r#"{{"model":"w","messages":[{{"role":"user","content":[{{"type":"file","file":{{"file_id":"{own}"}}}}]}}]}}"#
    );
    assert_eq!(freehold.post("/v1/chat/completions", &used).status, 200);
    let sent: Value = serde_json::from_str(&stage.last_body()).unwrap();
    let raw = sent["messages"][0]["content"][0]["file"]["file_id"].as_str().unwrap().to_owned();
    assert!(raw.starts_with("file-0"), "the provider's own id, as it might leak: {raw}");

    let foreign = stage.site.key(&["--label", "foreign", "--direct"]);
    eventually("the key is known", || (freehold.ask_as(&foreign, "GET", "/v1/models").status == 200).then_some(()));
    let before = stage.received().len();
    let asks = |file: &str| {
        [
            ("/v1/chat/completions", used.replace(&own, file)),
            ("/v1/chat/completions", used.replace(&own, file).replace("file_id", "file\\u005fid")),
            (
                "/v1/responses",
                format!(
                    r#"{{"model":"other","input":[{{"role":"user","content":[{{"type":"input_file","file_id":"{file}"}}]}}]}}"#
                ),
            ),
            (
                "/v1/responses",
                format!(
                    r#"{{"model":"other","input":"x","tools":[{{"type":"code_interpreter","container":{{"type":"auto","file_ids":["{file}"]}}}}]}}"#
                ),
            ),
        ]
    };
    for (path, body) in asks(&raw) {
        let refused = freehold.post_as(&foreign, path, &body);
        assert_eq!(code(&refused), (400, Some("unsealed_file")), "{path} {body}: {}", refused.text());
    }
    let line = format!(
        "{{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{}}}",
        used.replace(&own, &raw)
    );
    let batch = upload(freehold, &foreign, &[], Some("batch"), &line);
    assert_eq!(code(&batch), (400, Some("unsealed_file")), "{}", batch.text());
    assert_eq!(stage.received().len(), before, "nothing was sent");

    // Where the account's files are everybody's, they pass, and to that provider alone.
    let text = configuration(stage.simulator.address, OPENAI, "", "");
    stage.site.configure(&text.replacen("[providers.two]\n", "[providers.two]\nshared_files = true\n", 1));
    stage.freehold.reload();
    let answer = eventually("the configuration is taken over", || {
        let answer = freehold.post_as(&foreign, "/v1/chat/completions", &used.replace(&own, &raw));
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(answer.header("freehold-model"), Some("two"));
}

#[test]
fn a_host_that_keeps_no_files_is_not_asked_to_and_one_without_the_route_is_named() {
    let site = Site::new("kept-hosted", "");
    let simulator = Simulator::start(site.scratch.path(), SCENARIO);
    let missing = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 24\r\n\r\n{\"message\":\"Not Found\"}\n";
    let bare = RawProvider::answering(missing.to_vec());
    let row = |name: &str, address: SocketAddr, quirks: &str| {
        format!(
            "[providers.{name}]\ndialect = \"anthropic\"\nbase_url = \"http://{address}/one/v1\"\nquirks = \"{quirks}\"\n\
             api_key = {{ env = \"SIM_KEY\" }}\n\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\n\
             price = {{ input = \"1\", output = \"2\" }}\n\n[lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n\
             [criticality.{name}]\nlanes = [\"{name}\"]\n\n[workflows.{name}]\ncriticality = \"{name}\"\n\n"
        )
    };
    let hosts = [("vertex", "vertex-anthropic"), ("bedrock", "bedrock-invoke")];
    let hosted: String = hosts.iter().map(|(name, quirks)| row(name, simulator.address, quirks)).collect();
    let more = row("bare", bare.address, "generic") + &row("vendor", simulator.address, "generic");
    let both = "[criticality.both]\nlanes = [\"vertex\", \"vendor\"]\n\n[workflows.both]\ncriticality = \"both\"\n";
    site.configure(&[&*hosted, &more, both].concat());
    let freehold = site.start();
    let put = |workflow: &str| {
        let headers = [("freehold-workflow", workflow), ("anthropic-version", "2023-06-01")];
        upload(&freehold, &freehold.key, &headers, None, "text")
    };
    for (name, _) in hosts {
        let refused = put(name);
        assert_eq!(code(&refused), (400, Some("keeps_none")), "{}", refused.text());
        assert_eq!(refused.json()["type"], "error", "in the client's dialect");
        let requests =
            r#"[{"custom_id":"a","params":{"model":"W","max_tokens":9,"messages":[{"role":"user","content":"x"}]}}]"#;
        let batch = format!(r#"{{"requests":{}}}"#, requests.replace('W', name));
        assert_eq!(code(&freehold.post("/v1/messages/batches", &batch)), (400, Some("keeps_none")));
    }
    assert!(simulator.transcript().is_empty(), "nobody was asked");
    let refused = put("bare");
    assert_eq!(code(&refused), (400, Some("keeps_none")));
    assert!(refused.text().contains("provider `bare` has no route for it: Not Found"), "{}", refused.text());

    // A model of the vendor's own beside the hosted one has the file, and so answers calls that name it.
    let made = id(&put("both"));
    let source = format!(r#"{{"type":"document","source":{{"type":"file","file_id":"{made}"}}}}"#);
    let asks = |model: &str| {
        format!(r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":[{source}]}}]}}"#)
    };
    let answer = freehold.post("/v1/messages", &asks("both"));
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("vendor")), "{}", answer.text());
    assert_eq!(code(&freehold.post("/v1/messages", &asks("vertex"))), (400, Some("kept_elsewhere")));
}
