//! The long proofs: minutes of fuzzing, kills under load, budget races. `cargo xtask test` runs a small, seeded version of each.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::shell;
use crate::workspace::cargo;

/// One proof: a test that everyday runs ignore, or run with smaller numbers.
struct Proof {
    name: &'static str,
    shows: &'static str,
    package: &'static str,
    /// The `--test` target.
    target: &'static str,
    /// Part of the names of its tests.
    tests: &'static str,
    /// Whether everyday runs ignore them.
    ignored: bool,
    /// What it sets, where the command line says nothing else.
    numbers: &'static [Number],
}

/// A number of a proof: its flag, the variable its tests read, and what it is by default.
struct Number {
    flag: &'static str,
    variable: &'static str,
    default: Option<u64>,
}

const SEED: Number = Number { flag: "--seed", variable: "FREEHOLD_PROVE_SEED", default: None };

/// Every proof.
const PROOFS: &[Proof] = &[
    Proof {
        name: "fuzz",
        shows: "every parser of `wire` takes any bytes without breaking an invariant; --seconds N for each (600), --seed N",
        package: "freehold-wire",
        target: "prove",
        tests: "prove_fuzz",
        ignored: true,
        numbers: &[Number { flag: "--seconds", variable: "FREEHOLD_PROVE_SECONDS", default: Some(600) }, SEED],
    },
    Proof {
        name: "kill",
        shows: "SIGKILL at random moments under load: the ledger holds every served attempt once; --kills N (20)",
        package: "freehold",
        target: "it",
        tests: "kill",
        ignored: false,
        numbers: &[Number { flag: "--kills", variable: "FREEHOLD_PROVE_KILLS", default: Some(20) }],
    },
    Proof {
        name: "leases",
        shows: "whatever instances do with their slices of a budget, in any order: nothing over, nothing leaked; --cases N (1,000,000), --seed N",
        package: "freehold-ledger",
        target: "leases",
        tests: "prove_leases",
        ignored: false,
        numbers: &[Number { flag: "--cases", variable: "FREEHOLD_PROVE_CASES", default: Some(1_000_000) }, SEED],
    },
    Proof {
        name: "race",
        shows: "three instances on one PostgreSQL race for a budget worth 100 calls, one killed, the database restarted: nothing over, all books agree; --calls N (10,000)",
        package: "freehold",
        target: "it",
        tests: "three_instances",
        ignored: false,
        numbers: &[Number { flag: "--calls", variable: "FREEHOLD_PROVE_CALLS", default: Some(10_000) }],
    },
    Proof {
        name: "detectors",
        shows: "four detectors on simulated spend that none was tuned on: false alarms, delays; --series N (300), --seed N",
        package: "freehold-economics",
        target: "detectors",
        tests: "prove_",
        ignored: false,
        numbers: &[Number { flag: "--series", variable: "FREEHOLD_PROVE_SERIES", default: Some(300) }, SEED],
    },
    Proof {
        name: "budget",
        shows: "1,000 calls at once on a budget worth 100: 100 served, nothing over, nothing left held",
        package: "freehold",
        target: "it",
        tests: "a_thousand_calls",
        ignored: false,
        numbers: &[],
    },
    Proof {
        name: "holds",
        shows: "reserve, top up, settle, release, expire in any order over several accounts: nothing over, no leak; --cases N (1000000), --seed N",
        package: "freehold-ledger",
        target: "holds",
        tests: "no_order_of_steps",
        ignored: false,
        numbers: &[Number { flag: "--cases", variable: "FREEHOLD_PROVE_CASES", default: Some(1_000_000) }, SEED],
    },
    Proof {
        name: "resilience",
        shows: "6 % of attempts fail at random and the premium provider is away for ten minutes, under virtual time: what can be saved is saved, nothing is billed twice; --calls N (1,000,000), --seed N",
        package: "freehold-drill",
        target: "it",
        tests: "prove_resilience_virtual",
        ignored: false,
        numbers: &[Number { flag: "--calls", variable: "FREEHOLD_PROVE_CALLS", default: Some(1_000_000) }, SEED],
    },
    Proof {
        name: "resilience-sockets",
        shows: "the same over real sockets, in real time; --calls N (100,000), --seed N",
        package: "freehold-drill",
        target: "it",
        tests: "prove_resilience_sockets",
        ignored: false,
        numbers: &[Number { flag: "--calls", variable: "FREEHOLD_PROVE_SOCKET_CALLS", default: Some(100_000) }, SEED],
    },
    Proof {
        name: "drills",
        shows: "the twelve shipped drills as they are shipped, each twice to the same bytes, with what they find",
        package: "freehold-drill",
        target: "it",
        tests: "prove_drills",
        ignored: true,
        numbers: &[],
    },
    Proof {
        name: "refusals",
        shows: "open-loop arrivals at twice a budget: at most 1 % of what an oracle admits is refused; --calls N (3000)",
        package: "freehold",
        target: "it",
        tests: "false_refusals",
        ignored: false,
        numbers: &[Number { flag: "--calls", variable: "FREEHOLD_PROVE_CALLS", default: Some(3_000) }],
    },
];

/// `prove NAME [PART] [FLAG N]…`: runs it, or what of it is called so (`prove fuzz form`), in release and prints how long it took.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let Some(proof) = arguments.first().and_then(|name| PROOFS.iter().find(|proof| proof.name == name)) else {
        eprintln!("usage: cargo xtask prove NAME [PART] [FLAG N]…\n");
        for proof in PROOFS {
            eprintln!("  {:8} {}", proof.name, proof.shows);
        }
        return Ok(ExitCode::from(2));
    };
    let words = ["test", "--release", "--locked", "--package", proof.package, "--test", proof.target, "--"];
    let mut command = shell::command(cargo(), &words);
    if proof.ignored {
        command.arg("--ignored");
    }
    let part = arguments.get(1).filter(|word| !word.starts_with("--"));
    let tests = part.map_or_else(|| proof.tests.to_owned(), |part| format!("{}_{part}", proof.tests));
    if let Some(part) = part {
        let mut list = shell::command(cargo(), &words);
        list.args(["--list", &tests]);
        if !shell::answer(list).is_some_and(|listed| listed.lines().any(|line| line.ends_with(": test"))) {
            bail!("proof `{}` has no part `{part}`", proof.name);
        }
    }
    command.args(["--nocapture", "--test-threads", "1", &tests]);
    for number in proof.numbers {
        if let Some(value) = value_of(&arguments[1..], number.flag)?.or(number.default) {
            command.env(number.variable, value.to_string());
        }
    }
    let commit =
        shell::answer(shell::command("git", &["rev-parse", "--short", "HEAD"])).unwrap_or_else(|| "none".into());
    let started = Instant::now();
    shell::run(command)?;
    println!("proof `{}` held: {:.0} s, commit {commit}", proof.name, started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn value_of(arguments: &[String], flag: &str) -> Result<Option<u64>> {
    let Some(at) = arguments.iter().position(|argument| argument == flag) else { return Ok(None) };
    match arguments.get(at + 1).map(|value| value.parse()) {
        Some(Ok(value)) => Ok(Some(value)),
        _ => bail!("{flag} takes a whole number"),
    }
}
