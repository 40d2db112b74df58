//! What is near, through the real server, with vectors made of words and a provider that counts its answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use config::{Input, Workflow};
use domain::{CacheUse, CallEnd, Cause, Entry, KeyGrant, KeyId, Likeness, NanoUsd, Record, UnixMs};
use ledger::segment::Decoder;
use testkit::ScratchDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::clock;
use crate::dataplane::Gateway;
use crate::ports::{Embedder, Embedding, Keys, Length, Policy};
use crate::spool::{Durability, Spool};

const PEPPER: [u8; 32] = [7; 32];

/// The words of a text, in no order: two texts of the same words are as near as can be.
struct Words;

impl Embedder for Words {
    fn embed(&self, text: String, _: Length) -> Embedding<'_> {
        let mut vector = vec![0.0f32; 256];
        for word in text.split_whitespace() {
            vector[usize::from(blake3::hash(word.as_bytes()).as_bytes()[0])] += 1.0;
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        Box::pin(std::future::ready(Some(vector.iter().map(|value| value / length).collect())))
    }
}

struct Served {
    gateway: Arc<Gateway>,
    address: SocketAddr,
    asked: Arc<AtomicU32>,
    scratch: ScratchDir,
    runtime: Runtime,
}

/// Serves workflow `w`, of whose near hits this share is compared, by a provider whose answers say `says` of how many came before.
fn serve(name: &str, compare_millipercent: u32, says: fn(u32) -> String) -> Served {
    let scratch = testkit::scratch_dir(name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let provider = runtime.block_on(provider(asked.clone(), says));
    let text = format!(
        "[server]\nembedder = \"/nowhere\"\n\n[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{provider}\"\n\n\
         [models.m]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\n\n[criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n\
         cache = {{ ttl_s = 60, near = {{ threshold = \"0.9\", max_differing = \"2%\" }} }}\n"
    );
    let input = Input {
        file_name: "freehold.toml",
        text: &text,
        catalog: &config::Catalog::default(),
        environment: &|_| Some("secret".into()),
        read_secret_file: &|_| Err("there is none".into()),
        now: clock::now(),
    };
    let mut snapshot = config::check(&input).unwrap();
    // A share of none or of all leaves nothing to chance.
    let workflow: &mut Arc<Workflow> = snapshot.workflows.get_mut("w").unwrap();
    let rule = Arc::make_mut(workflow).cache.as_mut().unwrap();
    rule.near.as_mut().unwrap().compare_millipercent = compare_millipercent;
    let grant = KeyGrant {
        id: KeyId("ab".into()),
        hash: *blake3::keyed_hash(&PEPPER, b"secret").as_bytes(),
        label: "test".into(),
        workflows: None,
        direct: false,
        budgets: Vec::new(),
        requests_per_minute: None,
        tokens_per_minute: None,
        created_at: UnixMs(0),
        expires_at: None,
        revoked_at: None,
    };
    let spool = Spool::open(&scratch.path().join("spool"), Durability::Batched).unwrap();
    let keys = Keys { grants: vec![grant], limits: Vec::new() };
    let policy = Policy { snapshot: Arc::new(snapshot), limits: Vec::new() };
    let gateway = Arc::new(Gateway::new(policy, keys, PEPPER, spool).unwrap());
    gateway.cache.near.embed_with(Ok(Arc::new(Words)));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(crate::server::serve(gateway.clone(), listener, std::future::pending()));
    Served { gateway, address, asked, scratch, runtime }
}

async fn provider(asked: Arc<AtomicU32>, says: fn(u32) -> String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let text = says(asked.fetch_add(1, Ordering::Relaxed));
            let mut buffer = [0; 65536];
            let _ = stream.read(&mut buffer).await;
            let body = format!(
                r#"{{"id":"x","object":"chat.completion","model":"v","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":10,"total_tokens":13}}}}"#
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all([head, body].concat().as_bytes()).await;
        }
    });
    address
}

impl Served {
    /// Asks with a system prompt, and gives what the cache had and what was answered.
    fn ask(&self, system: &str, words: &str) -> (String, String) {
        let body = format!(
            r#"{{"model":"w","messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{words}"}}]}}"#
        );
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer fh_ab_secret\r\n\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let address = self.address;
        let answer = self.runtime.block_on(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all([head, body].concat().as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        });
        let had =
            answer.lines().find_map(|line| line.strip_prefix("freehold-cache: ")).unwrap_or_else(|| panic!("{answer}"));
        let said = answer.split(r#""content":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        (had.to_owned(), said.to_owned())
    }

    fn facts(&self) -> (Vec<Record>, Vec<CallEnd>) {
        let mut segments: Vec<_> =
            std::fs::read_dir(self.scratch.path().join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.sort();
        let bytes: Vec<u8> = segments.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
        let (mut records, mut ends) = (Vec::new(), Vec::new());
        for entry in Decoder::new(&bytes) {
            match entry.unwrap().1 {
                Entry::Intent(_) => {}
                Entry::Record(record) => records.push(*record),
                Entry::Call(end) => ends.push(*end),
            }
        }
        (records, ends)
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn pair(had: &str, said: &str) -> (String, String) {
    (had.to_owned(), said.to_owned())
}

#[test]
fn what_is_near_is_answered_with_what_is_kept_and_saves_its_cost() {
    let served = serve("near-hit", 0, |before| format!("answer {}", ["one", "two", "three", "four"][before as usize]));
    assert_eq!(served.ask("be kind", "how do I reset my password"), pair("miss", "answer one"));
    assert_eq!(served.ask("be kind", "my password how do I reset"), pair("near", "answer one"));
    assert_eq!(served.ask("be curt", "my password how do I reset"), pair("miss", "answer two"), "another context");
    assert_eq!(served.ask("be kind", "what is the capital of France"), pair("miss", "answer three"), "other words");
    assert_eq!(served.asked(), 3);
    let (records, ends) = served.facts();
    assert_eq!(records.len(), 3);
    let found = ends[1].cache.as_deref().unwrap();
    let kept = CacheUse {
        likeness: Likeness::Near { cosine_milli: 1_000 },
        of: ends[0].call,
        age_ms: found.age_ms,
        saved: NanoUsd(10_000_000),
        agrees: None,
    };
    assert_eq!((found, ends[1].cost, ends[1].attempts), (&kept, NanoUsd::ZERO, 0));
    assert_eq!(ends[0].cost, kept.saved);
    let metrics = served.gateway.metrics.text();
    for line in [r#"outcome="near"} 1"#, r#"outcome="miss"} 3"#] {
        assert!(metrics.contains(&format!(r#"freehold_cache_lookups_total{{workflow="w",{line}"#)), "{metrics}");
    }
}

#[test]
fn other_numbers_are_never_near() {
    let served = serve("near-numbers", 0, |_| "an answer".to_owned());
    assert_eq!(served.ask("s", "where is order 1234 of my sister and me").0, "miss");
    assert_eq!(served.ask("s", "where is order 1235 of my sister and me").0, "miss");
    assert_eq!(served.ask("s", "order 1234 of my sister and me where is").0, "near");
}

#[test]
fn a_hit_that_is_compared_is_asked_of_a_model_whose_answer_the_client_gets() {
    let served = serve("near-differ", 100_000, |before| format!("it costs {before} dollars"));
    assert_eq!(served.ask("s", "what does it cost"), pair("miss", "it costs 0 dollars"));
    assert_eq!(served.ask("s", "it does cost what"), pair("compared", "it costs 1 dollars"));
    let (records, ends) = served.facts();
    assert_eq!(records.iter().map(|record| record.intent.cause).collect::<Vec<_>>(), [Cause::Serve, Cause::Shadow]);
    let found = ends[1].cache.as_deref().unwrap();
    assert_eq!((found.agrees, found.saved, found.of), (Some(false), NanoUsd::ZERO, ends[0].call));
    assert_eq!(ends[1].cost, NanoUsd(10_000_000), "it was asked, so it costs");
    let threshold = &served.gateway.cache.near.thresholds()["w"];
    assert_eq!(threshold.milli(), 910, "one in one differed, and two in a hundred may");
    assert_eq!(served.ask("s", "cost what it does").0, "compared", "as near as can be, whatever the threshold");
}

#[test]
fn answers_that_agree_leave_the_threshold_where_it_is() {
    let served = serve("near-agree", 100_000, |before| ["Yes, you may.", "yes you may"][before as usize].to_owned());
    assert_eq!(served.ask("s", "may I go").0, "miss");
    assert_eq!(served.ask("s", "go may I"), pair("compared", "yes you may"));
    let (_, ends) = served.facts();
    assert_eq!(ends[1].cache.as_deref().unwrap().agrees, Some(true));
    let threshold = &served.gateway.cache.near.thresholds()["w"];
    assert_eq!((threshold.milli(), threshold.compared()), (900, (1, 0)));
}

#[test]
fn without_anything_to_make_vectors_with_only_the_same_is_found() {
    let served = serve("near-off", 0, |_| "an answer".to_owned());
    served.gateway.cache.near.embed_with(Err("the folder is empty".to_owned()));
    assert_eq!(served.ask("s", "may I go").0, "miss");
    assert_eq!(served.ask("s", "go may I").0, "miss");
    assert_eq!(served.ask("s", "go may I").0, "hit");
    let (_, ends) = served.facts();
    assert!(ends[0].stages.iter().any(|stage| stage.note.contains("the folder is empty")));
}

#[test]
fn what_is_thrown_away_is_near_to_nothing_any_more() {
    let served = serve("near-purge", 0, |_| "an answer".to_owned());
    assert_eq!(served.ask("s", "may I go").0, "miss");
    assert_eq!(served.gateway.cache.purge(Some(&"w".into())), 1);
    assert_eq!(served.ask("s", "go may I").0, "miss");
    assert_eq!(served.ask("s", "I may go").0, "near");
}
