//! The project's chores: `cargo xtask` lists them.

mod bench;
mod catalog;
mod model;
mod prove;
mod setup;
mod shell;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// One chore: its name, what it does in a sentence, and the function that gets the arguments after the name.
struct Chore {
    name: &'static str,
    does: &'static str,
    run: fn(&[String]) -> anyhow::Result<ExitCode>,
}

/// Every chore, in the order a newcomer needs them.
const CHORES: &[Chore] = &[
    Chore {
        name: "test",
        does: "install what tests need, then run every check and test; `--no-setup` leaves the installing out",
        run: test::run,
    },
    Chore {
        name: "tidy",
        does: "hold the house's rules against the tree: imports, loops, licences, links, fixtures",
        run: tidy::run,
    },
    Chore {
        name: "catalog",
        does: "import models and prices from two published lists, and check the catalog; `--check` only checks",
        run: catalog::run,
    },
    Chore {
        name: "model",
        does: "fetch and start a real llama.cpp server with a small model; flags go to it",
        run: model::run,
    },
    Chore {
        name: "bench",
        does: "measure Freehold against direct and nginx in one run, as ratios; `bench instructions` counts by callgrind instead",
        run: bench::run,
    },
    Chore { name: "prove", does: "run a long proof: `prove` lists them", run: prove::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chore = arguments.first().and_then(|name| CHORES.iter().find(|chore| chore.name == name));
    let Some(chore) = chore else {
        eprintln!("usage: cargo xtask CHORE [ARGUMENTS]\n");
        for chore in CHORES {
            eprintln!("  {:8} {}", chore.name, chore.does);
        }
        return ExitCode::from(2);
    };
    (chore.run)(&arguments[1..]).unwrap_or_else(|error| {
        eprintln!("xtask {}: {error:#}", chore.name);
        ExitCode::FAILURE
    })
}
