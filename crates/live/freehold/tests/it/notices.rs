//! A webhook hears what budgets have reached: signed, again until it is taken, once.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use crate::harness::{Simulator, Site, openssl, text};

/// A receiver that answers each post with the next of these statuses, and hands over what it got.
fn receiver(statuses: &'static [u16]) -> (std::net::SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = Vec::new();
            let mut piece = [0; 4096];
            while !complete(&got) {
                let read = stream.read(&mut piece).unwrap();
                got.extend_from_slice(&piece[..read]);
            }
            let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            tell.send(String::from_utf8(got).unwrap()).unwrap();
        }
    });
    (address, told)
}

fn complete(got: &[u8]) -> bool {
    let got = String::from_utf8_lossy(got);
    let Some((head, body)) = got.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    body.len() >= length.parse::<usize>().unwrap()
}

fn header<'r>(request: &'r str, name: &str) -> &'r str {
    let line = request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {request}"))
}

#[test]
fn a_webhook_is_told_that_a_price_is_out_of_the_ordinary() {
    let scratch = testkit::scratch_dir("notices-anomaly");
    let scenario =
        "[providers.sim]\noutput_tokens = 10\nusage = { price = { input_nano_usd = 0, output_nano_usd = 2000 } }\n";
    let simulator = Simulator::start(scratch.path(), scenario);
    let (hook, told) = receiver(&[204]);
    let configuration = format!(
        "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/sim/v1\"\n\n\
         [models.m]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\n\n[criticality.c]\nlanes = [\"l\"]\n\n[workflows.w]\ncriticality = \"c\"\n\n\
         [notify]\nurl = \"http://{hook}/hook\"\nsecret = {{ env = \"SIM_KEY\" }}\n",
        simulator.address
    );
    let site = Site::new("notices-anomaly-site", &configuration);
    let freehold = site.start();
    assert_eq!(freehold.chat("w", "").status, 200);
    let posted = told.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    let (_, body) = posted.split_once("\r\n\r\n").unwrap();
    let notice: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(notice["type"], "anomaly.began");
    let said = (&notice["data"]["subject"], &notice["data"]["sentence"], &notice["data"]["moves"]);
    assert_eq!(said, (&"model m".into(), &"realised price 2.0 × the catalogue's".into(), &false.into()));
}

#[test]
fn a_webhook_is_told_once_that_a_budget_has_reached_a_share_and_can_check_who_says_so() {
    let scratch = testkit::scratch_dir("notices-scenario");
    let simulator = Simulator::start(scratch.path(), "[providers.sim]\noutput_tokens = 10\n");
    let (hook, told) = receiver(&[503, 204]);
    let configuration = format!(
        "[providers.sim]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/sim/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
         [models.m]\nprovider = \"sim\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\nbudget = {{ limit = \"0.10 USD\", per = \"total\", at_limit = \"notify\", \
         at = [{{ share = \"20%\", do = \"notify\" }}] }}\n\n\
         [notify]\nurl = \"http://{hook}/hook\"\nsecret = {{ env = \"SIM_KEY\" }}\n",
        simulator.address
    );
    let site = Site::new("notices", &configuration);
    let freehold = site.start();
    // Each costs a tenth of the budget.
    (0..4).for_each(|_| assert_eq!(freehold.chat("w", r#","max_tokens":10"#).status, 200));
    let first = told.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    let again = told.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert!(first.starts_with("POST /hook HTTP/1.1"), "{first}");
    assert_eq!(header(&first, "webhook-id"), header(&again, "webhook-id"), "the same notice, tried again");
    let (_, body) = again.split_once("\r\n\r\n").unwrap();
    let notice: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(notice["type"], "budget.reached");
    let said = (&notice["data"]["scope"], &notice["data"]["share_percent"], &notice["data"]["limit"]);
    assert_eq!(said, (&"workflow w".into(), &20.into(), &"0.10 USD".into()));

    let signed = scratch.path().join("signed");
    let (id, at) = (header(&again, "webhook-id"), header(&again, "webhook-timestamp"));
    std::fs::write(&signed, format!("{id}.{at}.{body}")).unwrap();
    let digest = scratch.path().join("digest");
    let (signed, digest) = (text(&signed), text(&digest));
    openssl(&["dgst", "-sha256", "-hmac", "sim-secret", "-binary", "-out", &digest, &signed]);
    let signature = String::from_utf8(openssl(&["base64", "-A", "-in", &digest])).unwrap();
    assert_eq!(header(&again, "webhook-signature"), format!("v1,{signature}"));
    assert!(freehold.metrics().contains("freehold_notices_dropped_total 0"));
    assert_eq!(freehold.stop(), Some(0));
}
