//! The bench: Freehold beside nothing (`direct`) and beside nginx as a plain reverse proxy, on one machine, in one run, with
//! the simulator as the provider. What counts are ratios; absolute figures are of the machine that printed them.

mod http;
mod instructions;
mod load;
mod postgres;
mod process;
mod report;
mod rollups;
mod targets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use self::postgres::Postgres;
use self::process::{Place, machine_ticks, pinned};
use self::report::Measured;
use self::targets::{Ask, FRAMES, Target, Upstream};
use crate::workspace::cargo;
use crate::{setup, shell};

/// How long and how often.
struct Plan {
    rounds: usize,
    lasts_s: f64,
    /// After the streams ended, before the memory is read the last time.
    rest_s: u64,
    /// Calls a second of the open loop.
    per_second: f64,
    exact: bool,
    leases: bool,
}

/// One load, and the name of its figures.
struct Phase {
    name: &'static str,
    ask: Ask,
    shape: &'static str,
    connections: usize,
}

/// In this order on every target. Idle memory is read before the first and after the last.
const PHASES: &[Phase] = &[
    Phase { name: "closed", ask: Ask::Plain, shape: "closed", connections: 64 },
    Phase { name: "open", ask: Ask::Plain, shape: "open", connections: 0 },
    Phase { name: "big", ask: Ask::Big, shape: "closed", connections: 16 },
    Phase { name: "frames", ask: Ask::Fast, shape: "streams", connections: 16 },
    Phase { name: "streams200", ask: Ask::Paced, shape: "streams", connections: 200 },
    Phase { name: "streams1000", ask: Ask::Paced, shape: "streams", connections: 1000 },
];

/// `bench instructions …` counts instead, `bench rollups …` times pages over many records. Else: `bench [--quick] [--exact] [--leases] [--rounds N]
/// [--seconds N] [--rate N] [--binary FILE]`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    if let [flag, order] = arguments
        && flag == "--load"
    {
        return load::run(order);
    }
    if let [what, more @ ..] = arguments
        && what == "instructions"
    {
        return instructions::run(more);
    }
    if let [what, more @ ..] = arguments
        && what == "rollups"
    {
        return rollups::run(more);
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let number = |flag: &str, default: f64| -> Result<f64> {
        match arguments.iter().position(|argument| argument == flag) {
            None => Ok(default),
            Some(at) => {
                let value = arguments.get(at + 1).with_context(|| format!("{flag} takes a number"))?;
                value.parse().with_context(|| format!("{flag} takes a number, not `{value}`"))
            }
        }
    };
    let quick = has("--quick");
    let plan = Plan {
        rounds: number("--rounds", if quick { 1.0 } else { 3.0 })? as usize,
        lasts_s: number("--seconds", if quick { 2.0 } else { 8.0 })?,
        rest_s: if quick { 5 } else { 60 },
        per_second: number("--rate", 300.0)?,
        exact: has("--exact"),
        leases: has("--leases"),
    };
    let missing = setup::missing_packages(&[("nginx", "nginx-light"), ("taskset", "util-linux")]);
    if !missing.is_empty() {
        if !setup::is_root() {
            println!("{} missing; run as root:\n{}", missing.join(", "), setup::install_line(&missing));
            return Ok(ExitCode::from(2));
        }
        setup::install(&missing)?;
    }
    let binary = match arguments.iter().position(|argument| argument == "--binary") {
        Some(at) => PathBuf::from(arguments.get(at + 1).context("--binary takes a file")?),
        None => build()?,
    };
    let measured = measure(&plan, &binary)?;
    println!("{}", report::table(&measured, plan.per_second, &machine()));
    Ok(if measured.iter().all(Measured::is_clean) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The binary as it is shipped.
fn build() -> Result<PathBuf> {
    shell::run(shell::command(cargo(), &["build", "--locked", "--profile", "dist", "--package", "freehold"]))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::workspace::root().join("target"), PathBuf::from);
    Ok(target.join("dist/freehold"))
}

fn measure(plan: &Plan, binary: &Path) -> Result<Vec<Measured>> {
    let folder = setup::folder().join("bench");
    let mut measured = Vec::new();
    for round in 0..plan.rounds {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let upstream = Upstream::start(binary, &folder)?;
        let postgres = if plan.leases { Some(Postgres::start(&folder)?) } else { None };
        let mut starts: Vec<Box<dyn Fn() -> Result<Target> + '_>> = vec![
            Box::new(|| Ok(Target::direct(&upstream))),
            Box::new(|| Target::nginx(&upstream, &folder)),
            Box::new(|| Target::freehold("freehold", binary, &upstream, &folder, "batched", None)),
        ];
        if plan.exact {
            starts.push(Box::new(|| Target::freehold("freehold-exact", binary, &upstream, &folder, "exact", None)));
        }
        if let Some(postgres) = &postgres {
            let database = Some(postgres.address.as_str());
            let (upstream, folder) = (&upstream, &folder);
            starts.push(Box::new(move || {
                Target::freehold("freehold-leases", binary, upstream, folder, "batched", database)
            }));
        }
        for start in starts {
            measured.push(measure_one(plan, round, &start()?)?);
        }
    }
    Ok(measured)
}

fn measure_one(plan: &Plan, round: usize, target: &Target) -> Result<Measured> {
    let mut measured = Measured::new(target.name, round);
    measured.start_ms = target.start_ms;
    if target.process.is_some() {
        std::thread::sleep(Duration::from_secs(2));
    }
    measured.idle_kib = target.process.as_ref().map(process::Process::memory_kib);
    for phase in PHASES {
        let seen = run_phase(plan, target, phase)?;
        eprintln!("# round {round} {:14} {:12} {seen}", target.name, phase.name);
        measured.phases.insert(phase.name, seen);
    }
    if target.process.is_some() {
        std::thread::sleep(Duration::from_secs(plan.rest_s));
    }
    measured.rested_kib = target.process.as_ref().map(process::Process::memory_kib);
    Ok(measured)
}

fn run_phase(plan: &Plan, target: &Target, phase: &Phase) -> Result<Value> {
    // A paced stream lasts five seconds; one must have begun and ended before counting, and one after.
    let paced = matches!(phase.ask, Ask::Paced);
    let order = json!({
        "address": target.address.to_string(),
        "request": target.request(phase.ask),
        "shape": phase.shape,
        "connections": phase.connections,
        "per_second": plan.per_second,
        "frames": FRAMES,
        "warm_s": if paced { 6.0 } else { 1.0 },
        "lasts_s": if paced { plan.lasts_s.max(6.0) } else { plan.lasts_s },
    });
    let mut command = pinned(Place::Around, &std::env::current_exe()?);
    command.args(["bench", "--load", &order.to_string()]).stdout(std::process::Stdio::piped());
    let cpu = || target.process.as_ref().map_or(0, process::Process::cpu_ns);
    let (cpu_before, (_, stolen_before)) = (cpu(), machine_ticks());
    let mut child = command.spawn().context("the load could not be started")?;
    let mut peak_kib = 0;
    while child.try_wait()?.is_none() {
        peak_kib = peak_kib.max(target.process.as_ref().map_or(0, process::Process::memory_kib));
        std::thread::sleep(Duration::from_millis(500));
    }
    let (cpu_after, (_, stolen_after)) = (cpu(), machine_ticks());
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the load ended with {}", output.status);
    }
    let mut seen: Value = serde_json::from_slice(&output.stdout).context("the load printed no JSON")?;
    let each = |count: &Value| {
        let count = count.as_f64().unwrap_or(0.0);
        if target.process.is_some() && count > 0.0 {
            Some((cpu_after - cpu_before) as f64 / 1000.0 / count)
        } else {
            None
        }
    };
    let (call, frame) = (each(&seen["answered"]), each(&seen["frames"]));
    seen["cpu_us_call"] = json!(call);
    seen["cpu_us_frame"] = json!(frame);
    seen["peak_kib"] = json!(peak_kib);
    seen["stolen_ticks"] = json!(stolen_after - stolen_before);
    Ok(seen)
}

fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let commit =
        shell::answer(shell::command("git", &["rev-parse", "--short", "HEAD"])).unwrap_or_else(|| "no commit".into());
    format!("{cores} × {}; commit {commit}", model.unwrap_or("unknown processor"))
}
