//! What is measured, and the simulated provider behind it: how each is configured, started and asked.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::http::Connection;
use super::process::{Place, Process, pinned};
use crate::shell;

/// Frames of a paced stream, and what a frame waits for the one before it.
pub const FRAMES: u64 = 100;
const FRAMES_PER_SECOND: f64 = 20.0;

/// The provider that all of them forward to.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    _process: Process,
}

/// One thing to measure. `direct` has no process of its own.
pub struct Target {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// What is measured of it.
    pub process: Option<Process>,
    /// From starting it to its first good answer, milliseconds.
    pub start_ms: Option<f64>,
    key: Option<String>,
}

/// A kind of call, by the simulated provider that serves it.
#[derive(Clone, Copy)]
pub enum Ask {
    /// Sixteen tokens, whole, at once.
    Plain,
    /// The same with a prompt of about 100 KB.
    Big,
    /// A hundred frames at the pace of a model.
    Paced,
    /// A hundred frames as fast as they can be written.
    Fast,
}

impl Upstream {
    /// Starts `freehold simulate` with what this bench asks for.
    pub fn start(binary: &Path, folder: &Path) -> Result<Upstream> {
        let scenario = folder.join("scenario.toml");
        fs::write(&scenario, scenario_text())?;
        let address = free_address()?;
        let mut command = pinned(Place::Around, binary);
        command.arg("simulate").arg("--listen").arg(address.to_string()).arg("--scenario").arg(&scenario);
        let log = folder.join("simulate.log");
        let mut process = Process::start("simulate", command, &log)?;
        process.wait_until(&log, || answers(address, &request(None, Ask::Plain)))?;
        Ok(Upstream { address, _process: process })
    }
}

impl Target {
    /// The provider itself: what the others add is counted from here.
    pub fn direct(upstream: &Upstream) -> Target {
        Target { name: "direct", address: upstream.address, process: None, start_ms: None, key: None }
    }

    /// nginx as a plain reverse proxy: the least that a proxy can do.
    pub fn nginx(upstream: &Upstream, folder: &Path) -> Result<Target> {
        let nginx = shell::which("nginx").context("nginx is not installed")?;
        let address = free_address()?;
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, nginx_text(address, upstream.address, folder))?;
        let mut command = pinned(Place::Measured, &nginx);
        command.arg("-c").arg(&configuration).arg("-p").arg(folder);
        Target::started("nginx", address, None, command, &folder.join("nginx.log"))
    }

    /// Freehold with everything on: keys, limits, budgets, ledger, spool, metrics.
    pub fn freehold(
        name: &'static str,
        binary: &Path,
        upstream: &Upstream,
        folder: &Path,
        spool: &str,
        database: Option<&str>,
    ) -> Result<Target> {
        let folder = folder.join(name);
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        let (address, console) = (free_address()?, free_address()?);
        let configuration = folder.join("freehold.toml");
        fs::write(&configuration, freehold_text(address, console, upstream.address, spool))?;
        let key = create_key(binary, &data, database)?;
        let mut command = pinned(Place::Measured, binary);
        command.arg("serve").arg("--config").arg(&configuration).arg("--data").arg(&data).env("FREEHOLD_LOG", "warn");
        command.envs(database.map(|address| ("FREEHOLD_DATABASE", address)));
        Target::started(name, address, Some(key), command, &folder.join("serve.log"))
    }

    fn started(
        name: &'static str,
        address: SocketAddr,
        key: Option<String>,
        command: std::process::Command,
        log: &Path,
    ) -> Result<Target> {
        let mut process = Process::start(name, command, log)?;
        let first = request(key.as_deref(), Ask::Plain);
        let took = process.wait_until(log, || answers(address, &first))?;
        Ok(Target { name, address, process: Some(process), start_ms: Some(took.as_secs_f64() * 1000.0), key })
    }

    /// The bytes of one call.
    pub fn request(&self, ask: Ask) -> String {
        request(self.key.as_deref(), ask)
    }
}

/// With a key the path is Freehold's and `model` a workflow; without one the path chooses the simulated provider.
fn request(key: Option<&str>, ask: Ask) -> String {
    let name = match ask {
        Ask::Plain | Ask::Big => "plain",
        Ask::Paced => "paced",
        Ask::Fast => "fast",
    };
    let (path, authorization) = match key {
        Some(key) => ("/v1/chat/completions".to_owned(), format!("Authorization: Bearer {key}\r\n")),
        None => (format!("/{name}/v1/chat/completions"), String::new()),
    };
    let sentence =
        "The claimant reports water in the basement; the pump had failed, and the policy has a clause on backwater. ";
    let prompt =
        if matches!(ask, Ask::Big) { sentence.repeat(100 * 1024 / sentence.len()) } else { sentence.to_owned() };
    let stream = matches!(ask, Ask::Paced | Ask::Fast);
    let body = format!(
        r#"{{"model":"{name}","max_tokens":{FRAMES},"stream":{stream},"messages":[{{"role":"system","content":"You are terse."}},{{"role":"user","content":"{prompt}"}}]}}"#
    );
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn answers(address: SocketAddr, request: &str) -> bool {
    let Ok(mut connection) = Connection::open(address) else { return false };
    let Ok(head) = connection.ask(request.as_bytes()) else { return false };
    head.status == 200 && connection.body(&head, |_| ()).is_ok()
}

fn create_key(binary: &Path, data: &Path, database: Option<&str>) -> Result<String> {
    let mut command = std::process::Command::new(binary);
    command.args(["key", "create", "--label", "bench", "--budget", "1000000 USD per month"]);
    command.args(["--requests-per-minute", "4000000000", "--tokens-per-minute", "4000000000000", "--output", "json"]);
    command.arg("--data").arg(data);
    command.envs(database.map(|address| ("FREEHOLD_DATABASE", address)));
    let output = command.output().context("freehold key create could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut keys = text.split(|c| !is_part(c)).filter(|word| word.starts_with("fh_") && word.matches('_').count() >= 2);
    match keys.next_back() {
        Some(key) => Ok(key.to_owned()),
        None => bail!("freehold key create printed no key: {text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// An address nobody listens on; another program might take it before it is used, which then fails and says so.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn scenario_text() -> String {
    format!(
        r#"seed = 1
transcript = {{ bodies = false, limit = 1000 }}

[providers.plain]
dialect = "openai-chat"
first_token_ms = 0
output_tokens = 16

[providers.paced]
dialect = "openai-chat"
first_token_ms = 20
output_tokens = {FRAMES}
tokens_per_frame = 1
tokens_per_second = {FRAMES_PER_SECOND}

[providers.fast]
dialect = "openai-chat"
first_token_ms = 0
output_tokens = {FRAMES}
tokens_per_frame = 1
"#
    )
}

fn freehold_text(address: SocketAddr, console: SocketAddr, upstream: SocketAddr, spool: &str) -> String {
    let mut text = format!("[server]\nlisten = \"{address}\"\nconsole_listen = \"{console}\"\nspool = \"{spool}\"\n");
    for name in ["plain", "paced", "fast"] {
        // Two models a lane, and a second lane, so that there is something to choose among.
        text.push_str(&format!(
            r#"
[providers.{name}]
dialect = "openai-chat"
base_url = "http://{upstream}/{name}/v1"
region = "eu-de"

[models.{name}-one]
provider = "{name}"
model = "{name}"
price = {{ input = "3.00", output = "15.00", cache_read = "0.30" }}

[models.{name}-two]
provider = "{name}"
model = "{name}"
price = {{ input = "3.10", output = "15.10" }}

[lanes.{name}-first]
class = "B"
models = ["{name}-one", "{name}-two"]
pick = "cheapest"

[lanes.{name}-last]
class = "C"
models = ["{name}-two"]
pick = "cheapest"

[criticality.{name}]
lanes = ["{name}-first", "{name}-last"]

[workflows.{name}]
criticality = "{name}"
residency = ["eu"]
budget = {{ limit = "1000000 USD", per = "month", at_limit = "refuse" }}
"#
        ));
    }
    text
}

fn nginx_text(address: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let folder: PathBuf = folder.to_path_buf();
    let at = |name: &str| folder.join(name).display().to_string();
    let user = if crate::setup::is_root() { "user root;\n" } else { "" };
    format!(
        "{user}worker_processes 1;
daemon off;
pid {pid};
error_log stderr warn;
worker_rlimit_nofile 65536;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_buffer_size 1m;
  client_body_temp_path {body}; proxy_temp_path {proxy}; fastcgi_temp_path {rest}; uwsgi_temp_path {rest}; scgi_temp_path {rest};
  upstream provider {{ server {upstream}; keepalive 2048; keepalive_requests 100000000; }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
    }}
  }}
}}
",
        pid = at("nginx.pid"),
        body = at("body"),
        proxy = at("proxy"),
        rest = at("rest"),
    )
}
