//! Somebody pulls the plug while files are uploaded: what a client was told of is there after the restart, once, and of what was
//! cut off nothing is booked or listed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use serde_json::Value;

use crate::harness::{Freehold, Simulator, Site, ledger};
use crate::http::{Connection, request};

const UPLOADERS: usize = 4;
/// Uploads that a client was told of before the plug is pulled.
const TOLD: usize = 25;

fn configuration(simulated: SocketAddr, silent: SocketAddr) -> String {
    let row = |name: &str, address: &str| {
        format!(
            "[providers.{name}]\ndialect = \"openai-chat\"\nbase_url = \"http://{address}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}\n\n\
             [models.{name}]\nprovider = \"{name}\"\nmodel = \"v\"\nprice = {{ input = \"1\", output = \"1\" }}\n\n\
             [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n[criticality.{name}]\nlanes = [\"{name}\"]\n\n\
             [workflows.{name}]\ncriticality = \"{name}\"\nbudget = {{ limit = \"1 USD\", per = \"total\", at_limit = \"refuse\" }}\n\n"
        )
    };
    row("sim", &format!("{simulated}/sim")) + &row("silent", &silent.to_string())
}

fn form(content: &str) -> String {
    let part = |head: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
    [part("name=\"purpose\"", "user_data"), part("name=\"file\"; filename=\"a.txt\"", content), "--b--\r\n".into()]
        .concat()
}

/// Uploads one file after the other until the server is gone; tells the ids it got.
fn upload(gateway: SocketAddr, key: &str, uploader: usize, told: &Sender<String>) {
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", &*authorization),
        ("content-type", "multipart/form-data; boundary=b"),
        ("freehold-workflow", "sim"),
    ];
    let Ok(mut connection) = Connection::open(gateway) else { return };
    for number in 0.. {
        let body = form(&format!("{uploader}-{number}"));
        let Ok(answer) = connection.exchange("POST", "/v1/files", &headers, body.as_bytes()) else { return };
        let Ok(answer) = serde_json::from_slice::<Value>(&answer.body) else { return };
        if told.send(answer["id"].as_str().unwrap().to_owned()).is_err() {
            return;
        }
    }
}

/// The file that this id names, as this key's client gets it.
fn described(freehold: &Freehold, id: &str) -> u16 {
    freehold.ask("GET", &format!("/v1/files/{id}")).status
}

#[test]
fn what_was_uploaded_before_a_kill_is_there_once_and_what_was_cut_off_is_not() {
    let scratch = testkit::scratch_dir("kill-uploads-scenario");
    let simulator = Simulator::start(scratch.path(), "[transcript]\nbodies = true\n\n[providers.sim]\n");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new("kill-uploads", &configuration(simulator.address, silent.local_addr().unwrap()));
    let key = site.key(&["--label", "uploads"]);
    let freehold = site.start_with(key.clone());
    let gateway = freehold.gateway;

    // One upload that its client has not finished, and one that its provider has and does not answer.
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: f\r\nauthorization: Bearer {key}\r\nfreehold-workflow: sim\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n--b\r\n"
    );
    let mut unfinished = TcpStream::connect(gateway).unwrap();
    unfinished.write_all(head.as_bytes()).unwrap();
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", &*authorization),
        ("content-type", "multipart/form-data; boundary=b"),
        ("freehold-workflow", "silent"),
    ];
    let mut unanswered = Connection::open(gateway).unwrap();
    unanswered.send("POST", "/v1/files", &headers, form("unanswered").as_bytes()).unwrap();
    let (mut taken, mut got) = (silent.accept().unwrap().0, Vec::new());
    while !String::from_utf8_lossy(&got).contains("--b--") {
        let mut piece = [0; 4096];
        let read = taken.read(&mut piece).unwrap();
        assert!(read > 0, "the provider gets all of it");
        got.extend_from_slice(&piece[..read]);
    }

    let told: Mutex<BTreeSet<String>> = Mutex::default();
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for uploader in 0..UPLOADERS {
            let (sender, key) = (sender.clone(), &key);
            scope.spawn(move || upload(gateway, key, uploader, &sender));
        }
        drop(sender);
        let first: Vec<String> = receiver.iter().take(TOLD).collect();
        freehold.kill();
        told.lock().unwrap().extend(first.into_iter().chain(receiver.iter()));
    });
    let told = told.into_inner().unwrap();
    assert!(told.len() >= TOLD);

    let freehold = site.start_with(key.clone());
    for id in &told {
        assert_eq!(described(&freehold, id), 200, "a client was told of {id}");
    }
    let sim = [("authorization", &*authorization), ("freehold-workflow", "sim")];
    let mut listed = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = request(freehold.gateway, "GET", &format!("/v1/files?limit=100{after}"), &sim, b"").json();
        let ids = page["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        listed.extend(ids.iter().cloned());
        match (page["has_more"] == true, ids.last()) {
            (true, Some(last)) => after = format!("&after={last}"),
            _ => break,
        }
    }
    assert!(listed.is_superset(&told), "every one is listed to its key");
    // Those whose record was written, but whose client was not told any more, are its own too.
    assert!(listed.len() <= told.len() + UPLOADERS, "{} of {}", listed.len(), told.len());
    let uploads =
        |exchange: &Value| exchange["method"] == "POST" && exchange["path"].as_str().unwrap().ends_with("/files");
    let received = simulator.transcript().iter().filter(|exchange| uploads(exchange)).count();
    assert!(received <= listed.len() + UPLOADERS, "only what was under way is the provider's alone: {received}");
    let metrics = freehold.metrics();
    for gauge in ["held", "settled"] {
        let name = format!("freehold_budget_{gauge}_nano_usd{{");
        let amounts: Vec<&str> = metrics.lines().filter(|line| line.starts_with(&name)).collect();
        assert!(
            amounts.iter().all(|line| line.ends_with(" 0")),
            "uploads cost nothing, and nothing stays held: {amounts:?}"
        );
    }
    drop(taken);
    assert_eq!(freehold.stop(), Some(0));
    let rows = ledger(&site.data());
    let attempts: BTreeSet<&str> = rows.iter().map(|row| row["attempt"].as_str().unwrap()).collect();
    assert_eq!(attempts.len(), rows.len(), "none is booked twice");
    assert_eq!(rows.len(), listed.len(), "one line for each file, and none for what was cut off");
    assert!(rows.iter().all(|row| row["cause"] == "keep" && row["model"] == "sim"), "{rows:?}");
}
