//! The official SDKs and a real browser, driven against a real server, with simulated providers and a real llama.cpp server
//! behind it. `cargo xtask test` installs what they need and runs them (`--ignored`); each needs the environment it names.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::harness::{Freehold, Lines, Simulator, Site, eventually};
use crate::http::request;

/// Providers that do all they are asked, and some that do not.
const SCENARIO: &str = r#"
[providers.good]
output_tokens = { from = 12, to = 40 }

[providers.thinks]
output_tokens = { from = 12, to = 40 }
reasoning_tokens = 9
check_signatures = true

[[providers.down.faults]]
kind = "server_error"

[[providers.overloaded.faults]]
kind = "overloaded"

[[providers.limited.faults]]
kind = "rate_limited"
retry_after_ms = 30000

[providers.breaks]
tokens_per_second = 40

[[providers.breaks.faults]]
kind = "error_event"
after_frames = 3

[providers.slow]
output_tokens = 400
tokens_per_second = 40
"#;

fn needed(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `cargo xtask test` sets it"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// A real llama.cpp server with a real small model.
struct Llama {
    process: Child,
    address: std::net::SocketAddr,
}

impl Llama {
    fn start() -> Llama {
        let mut process = Command::new(needed("FREEHOLD_TEST_PYTHON"))
            .arg(root().join("tests/real/llama_server.py"))
            .args(["--port", "0", "--embeddings", "--tool-template"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = Lines::of(process.stdout.take().unwrap());
        let address = lines.address("llama.cpp listening on");
        lines.ignore_rest();
        Llama { process, address }
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const PRICE: &str = r#"price = { input = "1", output = "5", search_units = "2000" }"#;
const BUDGET: &str = r#"budget = { limit = "10 USD", per = "total", at_limit = "refuse" }"#;

/// A provider, its model, lane, criticality and workflow, all of one name.
fn row(name: &str, dialect: &str, base_url: &str, more: &str, workflow: &str) -> String {
    format!(
        "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\napi_key = {{ env = \"SIM_KEY\" }}\n{more}\n\n\
         [models.{name}]\nprovider = \"{name}\"\nmodel = \"test-model\"\n{PRICE}\n\n\
         [lanes.{name}]\nclass = \"B\"\nmodels = [\"{name}\"]\npick = \"best\"\n\n[criticality.{name}]\nlanes = [\"{name}\"]\n\n\
         [workflows.{name}]\ncriticality = \"{name}\"\n{workflow}\n\n"
    )
}

fn configuration(simulator: &Simulator, llama: Option<&Llama>) -> String {
    let sim = |provider: &str| format!("http://{}/{provider}/v1", simulator.address);
    let llama_rows = llama.map(|llama| {
        let llama = format!("http://{}/v1", llama.address);
        let openai = row("llama-openai", "openai-chat", &llama, "quirks = \"llama-cpp\"", "");
        let responses = row("llama-responses", "openai-responses", &llama, "quirks = \"llama-cpp\"", "");
        openai + &row("llama-anthropic", "anthropic", &llama, "", "") + &responses
    });
    [
        llama_rows.unwrap_or_default(),
        row("sim-openai", "openai-chat", &sim("good"), "quirks = \"openai\"", ""),
        row("sim-responses", "openai-responses", &sim("thinks"), "quirks = \"openai\"", ""),
        row("sim-anthropic", "anthropic", &sim("good"), "", ""),
        row("sim-gemini", "gemini", &format!("http://{}/good/v1beta", simulator.address), "", ""),
        row("sim-cohere", "cohere", &format!("http://{}/good/v2", simulator.address), "", ""),
        // Claude's name: how a model at Bedrock is asked to think goes by its family.
        row("sim-bedrock", "bedrock-converse", &format!("http://{}/good", simulator.address), "", "")
            .replace("test-model", "eu.anthropic.claude-test-v1:0"),
        row("hosted", "anthropic", &format!("http://{}/good", simulator.address), "quirks = \"bedrock-invoke\"", ""),
        row("breaks", "bedrock-converse", &format!("http://{}/breaks", simulator.address), "", ""),
        row("rank-common", "openai-chat", &sim("good"), "", ""),
        row("whisper", "openai-chat", &sim("good"), "quirks = \"openai\"", BUDGET)
            .replace("test-model", "whisper-1")
            .replace(PRICE, "price = { input_audio_ms = \"0.1\", input = \"1\", output = \"5\" }"),
        row("unpriced", "openai-chat", &sim("good"), "", "").replace(PRICE, ""),
        row("down", "openai-chat", &sim("down"), "", ""),
        row("overloaded", "openai-chat", &sim("overloaded"), "", ""),
        row("limited", "openai-chat", &sim("limited"), "", ""),
        row("slow", "openai-chat", &sim("slow"), "", ""),
        row("kept", "openai-chat", &sim("good"), "", "cache = { ttl_s = 600 }"),
        row("begins", "openai-chat", &sim("breaks"), "", ""),
        "[lanes.continued]\nclass = \"B\"\nmodels = [\"begins\", \"sim-anthropic\"]\npick = \"best\"\n\n\
         [criticality.continued]\nlanes = [\"continued\"]\n\n[workflows.continued]\ncriticality = \"continued\"\n\n"
            .to_owned(),
        row(
            "spent",
            "openai-chat",
            &sim("good"),
            "",
            "budget = { limit = \"0.000000001 USD\", per = \"total\", at_limit = \"refuse\" }",
        ),
    ]
    .concat()
}

/// The workflows of the suites that know what a real small model can do.
const WITH_LLAMA: &str =
    "sim-openai,sim-responses,sim-anthropic,sim-gemini,sim-bedrock,sim-cohere,llama-openai,llama-anthropic";
/// A simulated provider of every dialect.
const SIMULATED: &str = "sim-openai,sim-responses,sim-anthropic,sim-gemini,sim-bedrock,sim-cohere";

/// A real server of tools, made with the official SDK.
struct Tools {
    process: Child,
    address: std::net::SocketAddr,
}

impl Tools {
    fn start() -> Tools {
        let mut process = Command::new(needed("FREEHOLD_SDK_PYTHON"))
            .arg(root().join("tests/sdk/mcp_server.py"))
            .arg("--http")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Lines::of(process.stdout.take().unwrap());
        let address = lines.address("tools");
        lines.ignore_rest();
        Tools { process, address }
    }

    /// It over HTTP, and the same program as a process of Freehold's.
    fn rows(&self) -> String {
        let tools = r#"tools = ["add", "count", "fail", "wait", "waits"]"#;
        let (python, program) = (needed("FREEHOLD_SDK_PYTHON"), root().join("tests/sdk/mcp_server.py"));
        format!(
            "[mcp.web]\nurl = \"http://{}/mcp\"\n{tools}\nprice_per_call = \"0.001\"\n\n\
             [mcp.local]\ncommand = [{python:?}, {:?}, \"--stdio\"]\n{tools}\nprice_per_call = \"0\"\n\n",
            self.address,
            crate::harness::text(&program)
        )
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn suite(name: &str, workflows: &str) {
    // A Node suite finds its packages beside itself.
    let program = if name.ends_with(".mjs") { needed("FREEHOLD_TEST_NODE") } else { needed("FREEHOLD_SDK_PYTHON") };
    let scratch = testkit::scratch_dir("sdk-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let llama = workflows.contains("llama").then(Llama::start);
    let tools = (name == "mcp_suite.py").then(Tools::start);
    let rows = tools.as_ref().map_or_else(String::new, Tools::rows);
    let site = Site::new("sdk", &(configuration(&simulator, llama.as_ref()) + &rows));
    let made = site.made_key(&["--label", "test", "--direct"]);
    let made_limited = site.made_key(&["--label", "limited", "--requests-per-minute", "1"]);
    let one = site.key(&["--label", "one", "--workflow", "sim-openai"]);
    let poor = site.key(&["--label", "poor", "--workflow", "unpriced", "--budget", "1 USD per month"]);
    let said = |made: &serde_json::Value, name: &str| made[name].as_str().unwrap().to_owned();
    let freehold = site.start_with(said(&made, "key"));
    let limited = said(&made_limited, "key");
    // Asking for the list costs nothing of the key's one request a minute.
    let authorization = format!("Bearer {limited}");
    eventually("the limited key is known", || {
        let answer = request(freehold.gateway, "GET", "/v1/models", &[("authorization", &authorization)], b"");
        (answer.status == 200).then_some(())
    });
    let status = Command::new(program)
        .arg(root().join("tests/sdk").join(name))
        .env("FREEHOLD_URL", format!("http://{}", freehold.gateway))
        .env("FREEHOLD_KEY", &freehold.key)
        .env("FREEHOLD_KEY_LIMITED", &limited)
        .env("FREEHOLD_KEY_ONE", one)
        .env("FREEHOLD_KEY_POOR", poor)
        .env("FREEHOLD_WORKFLOW_WHISPER", "whisper")
        .env("FREEHOLD_WORKFLOW_UNPRICED", "unpriced")
        .env("FREEHOLD_KEY_AWS_ID", said(&made, "aws_access_key_id"))
        .env("FREEHOLD_KEY_AWS_SECRET", said(&made, "aws_secret_access_key"))
        .env("FREEHOLD_KEY_LIMITED_AWS_ID", said(&made_limited, "aws_access_key_id"))
        .env("FREEHOLD_KEY_LIMITED_AWS_SECRET", said(&made_limited, "aws_secret_access_key"))
        .env("FREEHOLD_WORKFLOWS", workflows)
        .env("FREEHOLD_WORKFLOW_LLAMA_RESPONSES", "llama-responses")
        .env("FREEHOLD_WORKFLOW_DOWN", "down")
        .env("FREEHOLD_WORKFLOW_OVERLOADED", "overloaded")
        .env("FREEHOLD_WORKFLOW_RATE_LIMITED", "limited")
        .env("FREEHOLD_WORKFLOW_SPENT", "spent")
        .env("FREEHOLD_WORKFLOW_SLOW", "slow")
        .env("FREEHOLD_WORKFLOW_KEPT", "kept")
        .env("FREEHOLD_WORKFLOW_CONTINUED", "continued")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed");
}

#[test]
#[ignore = "needs the official SDKs and llama.cpp; `cargo xtask test` runs it"]
fn the_official_openai_sdk_works_through_freehold() {
    suite("openai_suite.py", WITH_LLAMA);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_openai_sdk_makes_pictures_and_sound_through_freehold() {
    suite("openai_media_suite.py", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_openai_sdk_speaks_realtime_through_freehold() {
    suite("realtime_suite.py", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_sdks_have_providers_keep_answers_files_and_batches_through_freehold() {
    suite("kept_suite.py", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs and llama.cpp; `cargo xtask test` runs it"]
fn the_official_anthropic_sdk_works_through_freehold() {
    suite("anthropic_suite.py", WITH_LLAMA);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_cohere_sdk_works_through_freehold() {
    suite("cohere_suite.py", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_sdks_do_not_notice_an_answer_that_another_provider_goes_on_with() {
    suite("continued_suite.py", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_mcp_sdk_works_through_freehold_as_client_and_as_server() {
    suite("mcp_suite.py", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn boto3_works_through_freehold_by_its_endpoint_url() {
    suite("bedrock_suite.py", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs and llama.cpp; `cargo xtask test` runs it"]
fn the_official_google_sdk_works_through_freehold() {
    suite("google_suite.py", WITH_LLAMA);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_openai_sdk_for_node_works_through_freehold() {
    suite("node/openai_suite.mjs", SIMULATED);
}

#[test]
#[ignore = "needs the official SDKs; `cargo xtask test` runs it"]
fn the_official_anthropic_sdk_for_node_works_through_freehold() {
    suite("node/anthropic_suite.mjs", SIMULATED);
}

#[test]
#[ignore = "needs Chromium and playwright-core; `cargo xtask test` runs it"]
fn the_console_works_in_a_real_browser() {
    let scratch = testkit::scratch_dir("browser-scenario");
    let simulator = Simulator::start(scratch.path(), SCENARIO);
    let sim = |provider: &str| format!("http://{}/{provider}/v1", simulator.address);
    let configuration = [
        row(
            "good",
            "openai-chat",
            &sim("good"),
            "",
            "budget = { limit = \"5 USD\", per = \"day\", at_limit = \"refuse\" }",
        ),
        row("down", "openai-chat", &sim("down"), "", ""),
        "[mcp.crm]\nurl = \"http://127.0.0.1:9/mcp\"\ntools = [\"search\", \"read_claim\"]\nprice_per_call = \"0.005\"\n\n".to_owned(),
    ]
    .concat();
    let site = Site::new("browser", &configuration);
    let freehold: Freehold = site.start();
    for _ in 0..60 {
        freehold.chat("good", r#","max_tokens":40"#);
    }
    (0..3).for_each(|_| assert_eq!(freehold.chat("down", "").status, 502));
    eventually("the calls reach the store", || {
        (freehold.admin("/api/v1/calls?outcome=failed").to_string().matches("call_").count() >= 3).then_some(())
    });
    let status = Command::new(needed("FREEHOLD_TEST_NODE"))
        .arg("console.mjs")
        .current_dir(needed("FREEHOLD_TEST_BROWSER"))
        .env("CONSOLE_URL", format!("http://{}", freehold.console))
        .env("ADMIN_TOKEN", &freehold.admin_token)
        .env("CHROMIUM", needed("FREEHOLD_TEST_CHROMIUM"))
        .status()
        .unwrap();
    assert!(status.success(), "the browser found faults");
}
