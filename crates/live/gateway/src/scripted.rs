//! What tests of calls through the real server share: the real server on a runtime of its own, and providers made of sockets
//! that say what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Input;
use domain::{CallEnd, Entry, KeyGrant, KeyId, NanoUsd, Record, UnixMs};
use ledger::segment::Decoder;
use ledger::{Scope, Window};
use parking_lot::Mutex;
use testkit::ScratchDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::budgets::Limit;
use crate::clock;
use crate::dataplane::Gateway;
use crate::ports::{Keys, Policy};
use crate::spool::{Durability, Spool};

const PEPPER: [u8; 32] = [7; 32];

/// A last piece that has the provider close the connection in the middle of its answer.
pub const CUT: &str = "(cut)";

/// When a provider says what it has to say.
#[derive(Clone)]
pub enum When {
    /// As soon as it is asked.
    AtOnce,
    /// Once what is watched has come to so many.
    After(watch::Receiver<usize>, usize),
    /// Never; it waits until the gateway leaves.
    Never,
}

/// A provider that answers every request with the same pieces.
pub struct Provider {
    /// Requests that came.
    pub asked: watch::Sender<usize>,
    /// What they were.
    pub heard: Arc<Mutex<Vec<String>>>,
    /// Connections that the gateway closed before the provider had said its last piece.
    pub left: watch::Sender<usize>,
}

impl Provider {
    /// One that nobody has asked yet.
    pub fn new() -> Provider {
        Provider { asked: watch::Sender::new(0), heard: Arc::default(), left: watch::Sender::new(0) }
    }

    /// The last request that came.
    pub fn last_heard(&self) -> String {
        self.heard.lock().last().cloned().unwrap_or_default()
    }

    /// Serves from now on.
    pub async fn serve(&self, when: When, pieces: Vec<String>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, left, heard) = (self.asked.clone(), self.left.clone(), self.heard.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(
                    stream,
                    when.clone(),
                    pieces.clone(),
                    (asked.clone(), heard.clone()),
                    left.clone(),
                ));
            }
        });
        address
    }
}

async fn answer(
    mut stream: TcpStream,
    mut when: When,
    pieces: Vec<String>,
    (asked, heard): (watch::Sender<usize>, Arc<Mutex<Vec<String>>>),
    left: watch::Sender<usize>,
) {
    let mut buffer = [0; 65536];
    let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
    heard.lock().push(String::from_utf8_lossy(&buffer[..read]).into_owned());
    asked.send_modify(|asked| *asked += 1);
    match &mut when {
        When::AtOnce => {}
        When::After(other, count) => {
            let count = *count;
            tokio::select! {
                _ = other.wait_for(|asked| *asked >= count) => {}
                _ = stream.read(&mut buffer) => return left.send_modify(|left| *left += 1),
            }
        }
        When::Never => {
            let _ = stream.read(&mut buffer).await;
            return left.send_modify(|left| *left += 1);
        }
    }
    for piece in pieces.iter().filter(|piece| *piece != CUT) {
        let _ = stream.write_all(piece.as_bytes()).await;
    }
    if pieces.last().is_none_or(|piece| piece != CUT) {
        let _ = stream.read(&mut buffer).await;
    }
}

/// A configuration of workflow `w`, whose lane has models `a` and `b` at two providers, with more settings of the lane and of the
/// workflow. Output costs a thousandth of a dollar a token, input nothing.
pub fn two_models(at: &[SocketAddr], lane: &str, workflow: &str) -> String {
    let (p, q) = (at[0], at[1]);
    format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://{p}\"\n\n\
         [providers.q]\ndialect = \"openai-chat\"\nbase_url = \"http://{q}\"\n\n\
         [models.a]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
         [models.b]\nprovider = \"q\"\nmodel = \"v\"\nprice = {{ input = \"0\", output = \"1000\" }}\n\n\
         [lanes.l]\nclass = \"B\"\nmodels = [\"a\", \"b\"]\n{lane}\n\n\
         [criticality.c]\nlanes = [\"l\"]\n\n\
         [workflows.w]\ncriticality = \"c\"\n{workflow}\n"
    )
}

/// A gateway that serves.
pub struct Served {
    pub gateway: Arc<Gateway>,
    pub address: SocketAddr,
    pub scratch: ScratchDir,
    pub runtime: Runtime,
}

/// A provider, when it answers, and with what.
pub type Script<'p> = (&'p Provider, When, Vec<String>);

/// Serves a configuration with a workflow `w`, which is told where the providers are, under a budget of the workflow.
pub fn serve(name: &str, limit: NanoUsd, providers: &[Script<'_>], text: impl Fn(&[SocketAddr]) -> String) -> Served {
    let scratch = testkit::scratch_dir(name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let serve = |(provider, when, pieces): &Script<'_>| runtime.block_on(provider.serve(when.clone(), pieces.clone()));
    let addresses: Vec<SocketAddr> = providers.iter().map(serve).collect();
    deploy(scratch, runtime, Durability::Batched, limit, &text(&addresses))
}

/// Serves this configuration on a runtime.
pub fn deploy(scratch: ScratchDir, runtime: Runtime, durability: Durability, limit: NanoUsd, text: &str) -> Served {
    let input = Input {
        file_name: "freehold.toml",
        text,
        catalog: &config::Catalog::default(),
        environment: &|_| Some("secret".into()),
        read_secret_file: &|_| Err("there is none".into()),
        now: clock::now(),
    };
    let snapshot = Arc::new(config::check(&input).unwrap());
    let limits = vec![Limit::hard(Scope::Workflow("w".into()), limit, Window::TOTAL)];
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
    let spool = Spool::open(&scratch.path().join("spool"), durability).unwrap();
    let keys = Keys { grants: vec![grant], limits: limits.clone() };
    let gateway = Arc::new(Gateway::new(Policy { snapshot, limits }, keys, PEPPER, spool).unwrap());
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(crate::server::serve(gateway.clone(), listener, std::future::pending()));
    Served { gateway, address, scratch, runtime }
}

/// A request, as it is sent.
pub fn request(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer fh_ab_secret\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request and reads until the gateway closes the connection.
pub async fn call(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

impl Served {
    /// One call on a connection of its own, head and body as they came until the gateway closed it.
    pub fn call(&self, path: &str, body: &str) -> String {
        self.runtime.block_on(call(self.address, &request(path, body)))
    }

    /// What the workflow's budget has booked and holds.
    pub fn balance(&self) -> (NanoUsd, NanoUsd) {
        let view = self.gateway.budgets.view();
        (NanoUsd(view[0].account.settled.0), NanoUsd(view[0].account.held.0))
    }

    /// Everything in the spool.
    pub fn entries(&self) -> Vec<Entry> {
        let mut segments: Vec<_> =
            std::fs::read_dir(self.scratch.path().join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.sort();
        let bytes: Vec<u8> = segments.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
        Decoder::new(&bytes).map(|entry| entry.unwrap().1).collect()
    }

    /// The records, in the order of their attempts, and the end of the only call, which come after as many intents.
    pub fn only_call(&self) -> (Vec<Record>, CallEnd) {
        let entries = self.entries();
        let mut records: Vec<Record> = entries
            .iter()
            .filter_map(|entry| if let Entry::Record(record) = entry { Some((**record).clone()) } else { None })
            .collect();
        records.sort_by_key(|record| record.intent.attempt.ordinal);
        let intents = entries.iter().filter(|entry| matches!(entry, Entry::Intent(_))).count();
        assert_eq!(intents, records.len(), "{entries:#?}");
        let ends: Vec<&CallEnd> =
            entries.iter().filter_map(|entry| if let Entry::Call(end) = entry { Some(&**end) } else { None }).collect();
        assert_eq!(ends.len(), 1);
        (records, ends[0].clone())
    }

    /// Waits for a fact that a call leaves when nobody waits for it any more.
    pub fn once_over(&self) -> (Vec<Record>, CallEnd) {
        let over = async {
            while !self.entries().iter().any(|entry| matches!(entry, Entry::Call(_))) {
                tokio::task::yield_now().await;
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), over).await.unwrap() });
        self.only_call()
    }
}

/// A frame with this event, as a chunk of a streamed body.
pub fn frame(event: &str) -> String {
    let frame = format!("data: {event}\n\n");
    format!("{:x}\r\n{frame}\r\n", frame.len())
}

/// The head of a stream.
pub fn stream_head() -> String {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_owned()
}

/// A streamed answer of ten tokens that says this.
pub fn says(text: &str) -> Vec<String> {
    vec![
        stream_head(),
        frame(&format!(r#"{{"id":"c","model":"v","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#)),
        frame(r#"{"id":"c","model":"v","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#),
        frame(
            r#"{"id":"c","model":"v","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":10,"total_tokens":13}}"#,
        ),
        frame("[DONE]"),
        "0\r\n\r\n".to_owned(),
    ]
}
