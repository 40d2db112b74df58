//! Fetches a real llama.cpp server with a small real model and starts it: something real to send calls through.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::root;
use crate::{setup, shell};

/// Runs until it is stopped. `--port 18080 --embeddings` and the other flags are the server's own; see `--help`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    if shell::which("python3").is_none() {
        eprintln!("python3 is missing; run as root: {}", setup::install_line(&["python3", "python3-venv"]));
        return Ok(ExitCode::from(2));
    }
    setup::python_environment()?;
    let mut server = shell::command(setup::python(), &[]);
    server.arg(root().join("tests/real/llama_server.py"));
    if arguments.is_empty() {
        server.args(["--embeddings", "--port", "18080"]);
    }
    shell::run({
        server.args(arguments);
        server
    })?;
    Ok(ExitCode::SUCCESS)
}
