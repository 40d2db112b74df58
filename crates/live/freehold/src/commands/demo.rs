//! `freehold demo`: the whole of Freehold on one machine, with simulated providers, sample workflows and traffic.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use control::keys::{self, NewKey};
use control::{DataDirectory, Pepper, sessions};
use gateway::chance::Chance;
use gateway::clock;
use hyper::Method;
use simulator::Scenario;
use store::Store;
use tokio::sync::Semaphore;

use super::init;
use crate::assembly::{Instance, Source, StopSignals};
use crate::{fetch, policy};

/// Everything on one machine: simulated providers, sample workflows and traffic, the console.
///
/// Data lies in a temporary directory, and Ctrl-C leaves nothing behind. Sample traffic goes to simulated providers only,
/// never to a real one.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the gateway listens; the console takes the next port
    #[arg(long, default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// No sample traffic
    #[arg(long)]
    no_traffic: bool,
    /// A running llama.cpp server to add as a fourth provider, such as http://127.0.0.1:8080 (see `cargo xtask model`)
    #[arg(long, env = "FREEHOLD_LLAMA_URL")]
    llama: Option<String>,
}

/// Where `cargo xtask model` serves.
const LLAMA: &str = "127.0.0.1:8080";
/// Between two sample calls, milliseconds, on average: about two a second.
const BETWEEN_CALLS_MS: u64 = 450;
/// Sample calls at once.
const CALLS_AT_ONCE: usize = 16;

/// What the sample traffic says, by workflow, with how often out of the sum.
const SAMPLES: &[(&str, u32, &str)] = &[
    (
        "claims-triage",
        3,
        "A pipe burst in the cellar of our shop last night. Which department handles this, and how urgent is it?",
    ),
    (
        "support-reply",
        5,
        "My parcel was to arrive on Tuesday and the tracking page has not changed since. Write me a friendly reply.",
    ),
    (
        "contract-summary",
        2,
        "Summarise for the board: the lessee bears all maintenance, the term is five years, either side may end it with six months' notice.",
    ),
    ("product-tagging", 6, "Tag this product: waterproof hiking boots, leather, ankle-high, sizes 36 to 48."),
    ("nightly-digest", 1, "Condense: two deployments, one rollback, error share at 0.2 percent, no customer noticed."),
];

/// Runs the demo until told to stop.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen_on_a_terminal();
    let scratch = Scratch::new()?;
    let scenario = Scenario::parse(include_str!("../demo/scenario.toml")).context("the demo's scenario")?;
    let simulator = simulator::serve(scenario, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let llama = match arguments.llama {
        Some(url) => Some(url),
        None => reachable(LLAMA).await.then(|| format!("http://{LLAMA}")),
    };
    let file = scratch.0.join("freehold.toml");
    std::fs::write(&file, configuration(arguments.listen, simulator.address, llama.as_deref()))?;

    let data = DataDirectory::open(&scratch.0.join("data"))?;
    let (token, key) = credentials(&data).await?;
    let catalog = policy::catalog().map_err(|problems| anyhow::anyhow!("the catalog is broken: {}", problems[0]))?;
    let source = Source { file, catalog, environment: |name| (name == "DEMO_KEY").then(|| "demo-key".to_owned()) };
    let snapshot = source.read().map_err(|problems| anyhow::anyhow!("{}", problems.join("\n")))?;
    let instance = Instance::start(source, snapshot, &data, None).await?;
    introduce(&instance, &token, &key, llama.as_deref());

    let traffic =
        (!arguments.no_traffic).then(|| tokio::spawn(traffic(instance.gateway_address, key.clone(), llama.is_some())));
    instance.run_until(signals.told()).await;
    if let Some(traffic) = traffic {
        traffic.abort();
    }
    simulator.stop().await;
    drop(scratch);
    // The terminal may be gone.
    let _ = writeln!(std::io::stdout(), "\nThe demo has ended; nothing is left behind.");
    Ok(ExitCode::SUCCESS)
}

/// A directory that goes when the demo goes.
struct Scratch(PathBuf);

impl Scratch {
    /// Readable by its owner alone, and never one that somebody else made: temporary directories are shared.
    fn new() -> anyhow::Result<Scratch> {
        let name = format!("freehold-demo-{}-{:08x}", std::process::id(), Chance::new().draw() as u32);
        let path = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("{} cannot be made; set TMPDIR to a directory you may write", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn reachable(address: &str) -> bool {
    let connecting = tokio::net::TcpStream::connect(address);
    matches!(tokio::time::timeout(Duration::from_millis(200), connecting).await, Ok(Ok(_)))
}

fn configuration(listen: SocketAddr, simulator: SocketAddr, llama: Option<&str>) -> String {
    let console_port = if listen.port() == 0 { 0 } else { listen.port() + 1 };
    let mut text = include_str!("../demo/freehold.toml")
        .replace("LISTEN", &listen.to_string())
        .replace("CONSOLE", &SocketAddr::new(listen.ip(), console_port).to_string())
        .replace("SIMULATOR", &simulator.to_string());
    if let Some(url) = llama {
        text.push_str(&format!(
            "\n[providers.llama]                   # a real model, found running\ndialect = \"openai-chat\"\n\
             base_url = \"{url}/v1\"\nquirks = \"llama-cpp\"\nregion = \"local\"\n\n\
             [models.llama]\nprovider = \"llama\"\nmodel = \"default\"\nprice = {{ input = \"0\", output = \"0\" }}\n\n\
             [lanes.real]\nclass = \"C\"\nmodels = [\"llama\"]\npick = \"cheapest\"\n\n\
             [criticality.real]\nlanes = [\"real\"]\n\n[workflows.real-model]\ncriticality = \"real\"\n"
        ));
    }
    text
}

async fn credentials(data: &DataDirectory) -> anyhow::Result<(String, String)> {
    let store = Store::open(&data.database()).await?;
    let pepper = Pepper::load_or_make(data)?;
    let (_, token) = sessions::create_admin_token(&store, &pepper, "demo", "demo", clock::now()).await?;
    let wish = NewKey { label: "demo".into(), direct: true, ..NewKey::default() };
    let (_, key) = keys::create(&store, &pepper, wish, "demo", clock::now()).await?;
    store.close().await;
    Ok((token, key))
}

fn introduce(instance: &Instance, token: &str, key: &str, llama: Option<&str>) {
    let (gateway, console) = (instance.gateway_address, instance.console_address);
    println!("gateway http://{gateway}");
    println!("console http://{console}");
    println!("\nFreehold runs with three simulated providers; one of them is flaky.\n");
    println!("Watch:   http://{console}");
    println!("Token:   {token}\n");
    println!("Key:     {key}");
    println!("Try:     curl http://{gateway}/v1/chat/completions -H 'authorization: Bearer {key}' \\");
    println!("           -H 'content-type: application/json' \\");
    println!(
        "           -d '{{\"model\":\"claims-triage\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n"
    );
    println!("Python:  from openai import OpenAI");
    println!("         client = OpenAI(base_url=\"http://{gateway}/v1\", api_key=\"{key}\")");
    println!("         client.chat.completions.create(model=\"claims-triage\",");
    println!("             messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}])\n");
    if let Some(url) = llama {
        println!("A real model at {url} answers workflow `real-model`.\n");
    }
    let found = init::found();
    if !found.is_empty() {
        println!("You have {}: for the real thing, stop this and run", found.join(", "));
        println!("         freehold init && freehold serve --config freehold.toml --data freehold-data\n");
    }
    println!(
        "Workflows: claims-triage, support-reply, contract-summary, product-tagging, nightly-digest. Ctrl-C ends it."
    );
}

/// A gentle stream of calls, half of them streamed, a quarter in Anthropic's dialect.
async fn traffic(gateway: SocketAddr, key: String, llama: bool) {
    let http = fetch::client();
    let chance = Chance::new();
    let places = std::sync::Arc::new(Semaphore::new(CALLS_AT_ONCE));
    let sum: u32 = SAMPLES.iter().map(|(_, weight, _)| weight).sum();
    let mut calls: u64 = 0;
    loop {
        let draw = chance.draw();
        let wait_ms = BETWEEN_CALLS_MS / 2 + (draw % u128::from(BETWEEN_CALLS_MS)) as u64;
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let mut at = ((draw >> 32) % u128::from(sum)) as u32;
        let sample = SAMPLES.iter().find(|(_, weight, _)| {
            let hit = at < *weight;
            at = at.saturating_sub(*weight);
            hit
        });
        let (workflow, _, prompt) = sample.copied().unwrap_or(SAMPLES[0]);
        calls += 1;
        // One in twenty goes to the real model, which is slow.
        let workflow = if llama && calls.is_multiple_of(20) { "real-model" } else { workflow };
        let stream = draw & 1 == 0;
        let path = if (draw >> 1) & 3 == 0 { "/v1/messages" } else { "/v1/chat/completions" };
        let body = serde_json::json!({
            "model": workflow, "max_tokens": 160, "stream": stream,
            "messages": [{ "role": "user", "content": prompt }],
        });
        let (http, key, url) = (http.clone(), key.clone(), format!("http://{gateway}{path}"));
        tokio::spawn(async move {
            // What comes of it is in the console; a refused call is a part of the show.
            let _ = fetch::send(&http, Method::POST, &url, &key, body.to_string()).await;
            drop(place);
        });
    }
}
