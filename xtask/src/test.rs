//! Everything that must hold before a change goes in: set-up, then each check and test, timed, none skipped in silence.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::workspace::{cargo, root};
use crate::{setup, shell, tidy};

/// One step of the run.
struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

/// How a step came out.
enum Outcome {
    Passed(Duration),
    Failed(Duration, String),
}

/// In order; the cheap ones that find most come first.
const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "tidy", run: tidy::check_all },
    Step { name: "lint", run: lint },
    Step { name: "tests", run: tests },
    Step { name: "real parts", run: real_parts },
    Step { name: "examples in docs", run: doc_tests },
];

/// `test [--no-setup]`. Exit 0: all of it passed. 1: something failed. 2: something must be installed first.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let started = Instant::now();
    let mut outcomes = Vec::new();
    if !arguments.iter().any(|argument| argument == "--no-setup") {
        let missing = setup::missing_packages(&[]);
        if !missing.is_empty() && !setup::is_root() {
            println!("{} missing; run as root:\n{}", missing.join(", "), setup::install_line(&missing));
            return Ok(ExitCode::from(2));
        }
        outcomes.push(("set-up", timed(|| set_up(&missing))));
    }
    for step in STEPS {
        println!("\n=== {} ===", step.name);
        outcomes.push((step.name, timed(step.run)));
    }
    Ok(summary(&outcomes, started.elapsed()))
}

fn set_up(missing: &[&str]) -> Result<()> {
    if !missing.is_empty() {
        setup::install(missing)?;
    }
    setup::python_environment()?;
    setup::focus_environment()?;
    setup::node_packages()
}

fn format() -> Result<()> {
    shell::run(shell::command(cargo(), &["fmt", "--all", "--check"]))
}

fn lint() -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "--deny", "warnings"];
    shell::run(shell::command(cargo(), &arguments))
}

fn tests() -> Result<()> {
    let mut command = if shell::which("cargo-nextest").is_some() {
        shell::command(cargo(), &["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        shell::command(cargo(), &["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"])
    };
    command.env("FREEHOLD_TEST_PYTHON", setup::python());
    shell::run(command)
}

/// The official SDKs, llama.cpp and Chromium. The tests start them; the environment tells them where they lie, and one that
/// is missing is a failure here.
fn real_parts() -> Result<()> {
    let Some(chromium) = shell::which("chromium") else { bail!("chromium is not installed; run without --no-setup") };
    let arguments = [
        "test",
        "--package",
        "freehold",
        "--locked",
        "--test",
        "it",
        "--",
        "--ignored",
        "--test-threads",
        "1",
        "sdk::",
        "books::",
    ];
    let mut command = shell::command(cargo(), &arguments);
    command
        .env("FREEHOLD_TEST_PYTHON", setup::python())
        .env("FREEHOLD_SDK_PYTHON", setup::python())
        .env("FREEHOLD_FOCUS_PYTHON", setup::focus_python())
        .env("FREEHOLD_TEST_NODE", setup::node())
        .env("FREEHOLD_TEST_CHROMIUM", chromium)
        .env("FREEHOLD_TEST_BROWSER", root().join("tests/browser"));
    shell::run(command)
}

fn doc_tests() -> Result<()> {
    shell::run(shell::command(cargo(), &["test", "--workspace", "--locked", "--doc", "--quiet"]))
}

fn timed(step: impl FnOnce() -> Result<()>) -> Outcome {
    let started = Instant::now();
    match step() {
        Ok(()) => Outcome::Passed(started.elapsed()),
        Err(error) => {
            eprintln!("{error:#}");
            Outcome::Failed(started.elapsed(), format!("{error:#}"))
        }
    }
}

fn summary(outcomes: &[(&str, Outcome)], whole: Duration) -> ExitCode {
    println!("\n{:18} {:>8}  outcome", "step", "seconds");
    let mut code = ExitCode::SUCCESS;
    for (name, outcome) in outcomes {
        let (seconds, told) = match outcome {
            Outcome::Passed(took) => (took.as_secs_f64(), "passed".to_owned()),
            Outcome::Failed(took, reason) => {
                code = ExitCode::FAILURE;
                (took.as_secs_f64(), format!("FAILED: {}", reason.lines().next().unwrap_or_default()))
            }
        };
        println!("{name:18} {seconds:>8.1}  {told}");
    }
    println!("{:18} {:>8.1}", "together", whole.as_secs_f64());
    code
}
