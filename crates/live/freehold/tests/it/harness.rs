//! Starts the real binary as real processes: a gateway on a scratch directory, simulated providers, and a raw provider
//! that answers whatever a test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::ScratchDir;

use crate::http::{Answer, Connection, request};

/// How long a process may take to say where it listens.
const START: Duration = Duration::from_secs(30);

/// A `freehold serve` process on its own data directory.
pub struct Freehold {
    process: Child,
    pub gateway: SocketAddr,
    pub console: SocketAddr,
    pub admin_token: String,
    pub key: String,
    directory: PathBuf,
    database: Option<String>,
}

/// A scratch directory with a configuration in it.
pub struct Site {
    pub scratch: ScratchDir,
    /// The address of a PostgreSQL database, where the records are not in the data directory.
    pub database: Option<String>,
}

impl Site {
    /// Writes `configuration` (its `[server]` section is added here) into a fresh directory.
    pub fn new(name: &str, configuration: &str) -> Site {
        let site = Site { scratch: testkit::scratch_dir(name), database: None };
        site.configure(configuration);
        site
    }

    /// Replaces the configuration.
    pub fn configure(&self, configuration: &str) {
        let server = "[server]\nlisten = \"127.0.0.1:0\"\nconsole_listen = \"127.0.0.1:0\"\n\n";
        // Written beside and renamed, so that a running server never reads half a file.
        let beside = self.file().with_extension("new");
        std::fs::write(&beside, format!("{server}{configuration}")).unwrap();
        std::fs::rename(&beside, self.file()).unwrap();
    }

    pub fn file(&self) -> PathBuf {
        self.scratch.path().join("freehold.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Starts the server, with a key that may use everything.
    pub fn start(&self) -> Freehold {
        let key = self.key(&["--label", "test", "--direct"]);
        self.start_with(key)
    }

    /// Starts the server again, or with another key.
    pub fn start_with(&self, key: String) -> Freehold {
        let (_, token) = run_on(&["init", "--token-only", "--data", &text(&self.data())], &self.database);
        let mut process = freehold(&["serve", "--config", &text(&self.file()), "--data", &text(&self.data())])
            .envs(self.database.iter().map(|address| ("FREEHOLD_DATABASE", address)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Lines::of(process.stdout.take().unwrap());
        let gateway = lines.address("gateway");
        let console = lines.address("console");
        lines.ignore_rest();
        Freehold {
            process,
            gateway,
            console,
            admin_token: token.trim().to_owned(),
            key,
            directory: self.data(),
            database: self.database.clone(),
        }
    }

    /// Every booked attempt.
    pub fn ledger(&self) -> Vec<serde_json::Value> {
        ledger_of(&self.data(), &self.database)
    }

    /// Makes a key with `freehold key create`.
    pub fn key(&self, arguments: &[&str]) -> String {
        self.made_key(arguments)["key"].as_str().unwrap().to_owned()
    }

    /// Makes a key, and gives all that is said of it.
    pub fn made_key(&self, arguments: &[&str]) -> serde_json::Value {
        let data = text(&self.data());
        let mut all = vec!["key", "create", "--output", "json", "--data", &data];
        all.extend(arguments);
        let (code, out) = run_on(&all, &self.database);
        assert_eq!(code, 0, "{out}");
        serde_json::from_str(&out).unwrap()
    }
}

impl Freehold {
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.post_as(&self.key, path, body)
    }

    pub fn post_as(&self, key: &str, path: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        request(self.gateway, "POST", path, &headers, body.as_bytes())
    }

    /// A request without a body.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_as(&self.key, method, path)
    }

    pub fn ask_as(&self, key: &str, method: &str, path: &str) -> Answer {
        let authorization = format!("Bearer {key}");
        request(self.gateway, method, path, &[("authorization", authorization.as_str())], b"")
    }

    /// A chat call without streaming.
    pub fn chat(&self, model: &str, more: &str) -> Answer {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]{more}}}"#);
        self.post("/v1/chat/completions", &body)
    }

    /// A streamed chat call on a connection of its own, after its head.
    pub fn stream(&self, model: &str) -> Connection {
        let authorization = format!("Bearer {}", self.key);
        let body = format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}"#);
        let mut connection = Connection::open(self.gateway).unwrap();
        let headers = [("authorization", authorization.as_str())];
        connection.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).unwrap();
        assert_eq!(connection.head().unwrap().status, 200);
        connection
    }

    /// A GET of the admin API.
    pub fn admin(&self, path: &str) -> serde_json::Value {
        let authorization = format!("Bearer {}", self.admin_token);
        let answer = request(self.console, "GET", path, &[("authorization", &authorization)], b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Everything that is known of a call that ended, once the store has it.
    pub fn call(&self, id: &str) -> serde_json::Value {
        let authorization = format!("Bearer {}", self.admin_token);
        let path = format!("/api/v1/calls/{id}");
        eventually("the call reaches the store", || {
            let answer = request(self.console, "GET", &path, &[("authorization", &authorization)], b"");
            (answer.status == 200).then(|| answer.json()).filter(|view| !view["end"].is_null())
        })
    }

    pub fn metrics(&self) -> String {
        request(self.console, "GET", "/metrics", &[], b"").text().to_owned()
    }

    /// Every booked attempt, through `freehold ledger export` on the same data directory.
    pub fn ledger(&self) -> Vec<serde_json::Value> {
        ledger_of(&self.directory, &self.database)
    }

    /// Memory the process holds now, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM, and wait for the end.
    pub fn stop(self) -> Option<i32> {
        self.terminate();
        self.ended()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        signal(self.process.id(), "TERM");
    }

    /// Waits for the end of a process that was told to.
    pub fn ended(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    pub fn reload(&self) {
        signal(self.process.id(), "HUP");
    }
}

impl Drop for Freehold {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Every booked attempt with its lines, as `freehold ledger export --output json` gives them.
pub fn ledger(data: &Path) -> Vec<serde_json::Value> {
    ledger_of(data, &None)
}

fn ledger_of(data: &Path, database: &Option<String>) -> Vec<serde_json::Value> {
    let (code, out) = run_on(&["ledger", "export", "--output", "json", "--data", &text(data)], database);
    assert_eq!(code, 0, "{out}");
    // Whatever a test did to its server: the books are balanced and complete.
    let (code, report) = run_on(&["ledger", "verify", "--data", &text(data)], database);
    assert_eq!(code, 0, "{report}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The contents of every file below a directory.
pub fn files(below: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut folders, mut files) = (vec![below.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push((path.clone(), std::fs::read(&path).unwrap())),
            }
        }
    }
    files
}

/// A `freehold simulate` process.
pub struct Simulator {
    process: Child,
    pub address: SocketAddr,
}

impl Simulator {
    pub fn start(site: &Path, scenario: &str) -> Simulator {
        let file = site.join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let mut process = freehold(&["simulate", "--listen", "127.0.0.1:0", "--scenario", &text(&file)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Lines::of(process.stdout.take().unwrap());
        let address = lines.address("simulator");
        lines.ignore_rest();
        Simulator { process, address }
    }

    pub fn transcript(&self) -> Vec<serde_json::Value> {
        let answer = request(self.address, "GET", "/_transcript", &[], b"");
        answer.json()["exchanges"].as_array().expect("the transcript is a list").clone()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the binary to its end: exit code, and what it wrote (standard error only when it failed).
pub fn run(arguments: &[&str]) -> (i32, String) {
    run_on(arguments, &None)
}

/// The same on a PostgreSQL database.
pub fn run_on(arguments: &[&str], database: &Option<String>) -> (i32, String) {
    let mut command = freehold(arguments);
    let output = command.envs(database.iter().map(|address| ("FREEHOLD_DATABASE", address))).output().unwrap();
    let code = output.status.code().unwrap_or(-1);
    let mut out = String::from_utf8(output.stdout).unwrap();
    if code != 0 {
        out.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    (code, out)
}

/// The binary with nothing of this machine's environment that it would read.
pub fn freehold(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("FREEHOLD_LOG", "warn");
    command.env("SIM_KEY", "sim-secret").stdin(Stdio::null());
    command
}

/// What `openssl` answers.
pub fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(status.success());
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("scratch paths are UTF-8").to_owned()
}

/// What a process says about where it listens: lines such as `gateway http://127.0.0.1:41234`.
pub struct Lines(BufReader<ChildStdout>);

impl Lines {
    pub fn of(out: ChildStdout) -> Lines {
        Lines(BufReader::new(out))
    }

    pub fn address(&mut self, what: &str) -> SocketAddr {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).unwrap();
            assert!(read > 0, "the process ended before it said where `{what}` listens; it said: {seen}");
            if let Some(address) = line.trim().strip_prefix(what).and_then(|rest| rest.trim().strip_prefix("http://")) {
                return address.parse().unwrap();
            }
            seen.push_str(&line);
        }
    }

    /// What stands behind a word at the beginning of a line to come.
    pub fn rest_of(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the process ended before it said `{word}`");
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Keeps reading, so that the process never blocks on a full pipe.
    pub fn ignore_rest(mut self) {
        std::thread::spawn(move || std::io::copy(&mut self.0, &mut std::io::sink()));
    }
}

/// Tries until something holds.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(start.elapsed() < START, "{what}: not within {START:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A provider made of a socket: it records the bytes it gets and answers the bytes it was told to.
pub struct RawProvider {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl RawProvider {
    /// Answers every request with the same bytes, status line and all.
    pub fn answering(answer: Vec<u8>) -> RawProvider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = received.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (record, answer) = (record.clone(), answer.clone());
                std::thread::spawn(move || serve_raw(stream, &record, &answer));
            }
        });
        RawProvider { address, received }
    }

    /// Answers with this body and content type.
    pub fn answering_body(content_type: &str, body: &[u8]) -> RawProvider {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        RawProvider::answering([head.as_bytes(), body].concat())
    }

    /// The requests so far, each head and body as they came.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }

    /// The body of the last request.
    pub fn last_body(&self) -> Vec<u8> {
        let last = self.received().pop().expect("a request came");
        let end = last.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        last[end..].to_vec()
    }
}

fn serve_raw(mut stream: TcpStream, record: &Mutex<Vec<Vec<u8>>>, answer: &[u8]) {
    let mut got = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let Ok(read) = stream.read(&mut buffer) else { return };
        if read == 0 {
            return;
        }
        got.extend_from_slice(&buffer[..read]);
        let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        if got.len() >= end + 4 + length {
            break;
        }
    }
    record.lock().unwrap().push(got);
    let _ = stream.write_all(answer);
    let _ = stream.flush();
}
