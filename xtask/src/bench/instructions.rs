//! Instructions instead of time: what one call takes on its way through `wire`, pair by pair, counted by callgrind. They are
//! the same on every run and on every machine of one kind, so a commit can be compared with an earlier one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::workspace::{cargo, root};
use crate::{setup, shell};

/// Frames by which the longer stream is longer; as in the example.
const MORE_FRAMES: u64 = 100;

/// Counts by what was done, client and provider.
type Counts = BTreeMap<[String; 3], u64>;

/// What is counted: an example, and the folder its fixtures lie below.
struct Example {
    package: &'static str,
    name: &'static str,
    folder: &'static str,
}

const WIRE: Example = Example { package: "freehold-wire", name: "instructions", folder: "crates/pure/wire" };
const HOLDS: Example = Example { package: "freehold-gateway", name: "holds", folder: "crates/live/gateway" };

/// `bench instructions [--save FILE] [--against FILE]`: counts, prints a table, keeps the counts, sets them beside kept ones.
/// `bench instructions holds`: what holding and settling take of a call, with leases and without.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let file = |flag: &str| -> Result<Option<&String>> {
        let Some(at) = arguments.iter().position(|argument| argument == flag) else { return Ok(None) };
        arguments.get(at + 1).with_context(|| format!("{flag} takes a file")).map(Some)
    };
    let (save, against) = (file("--save")?, file("--against")?);
    let missing = setup::missing_packages(&[("valgrind", "valgrind")]);
    if missing.contains(&"valgrind") {
        if !setup::is_root() {
            println!("valgrind is missing; run as root:\n{}", setup::install_line(&["valgrind"]));
            return Ok(ExitCode::from(2));
        }
        setup::install(&["valgrind"])?;
    }
    let before = against.map(|file| std::fs::read_to_string(file).with_context(|| file.clone())).transpose()?;
    let before = before.as_deref().map(parse).transpose()?.unwrap_or_default();
    if arguments.first().is_some_and(|what| what == "holds") {
        println!("{}", holds(&counted(&HOLDS)?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let counts = counted(&WIRE)?;
    if let Some(file) = save {
        std::fs::write(file, written(&counts)).with_context(|| file.clone())?;
    }
    println!("{}", table(&counts, &before));
    Ok(ExitCode::SUCCESS)
}

/// Builds the example and runs it once under callgrind, which writes a file each time the counted function is left.
fn counted(example: &Example) -> Result<Counts> {
    let build = ["build", "--release", "--locked", "--package", example.package, "--example", example.name];
    let mut command = shell::command(cargo(), &build);
    // Callgrind knows functions by their symbols.
    command.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    shell::run(command)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), std::path::PathBuf::from);
    let folder = setup::folder().join("instructions");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let out = format!("--callgrind-out-file={}", folder.join("out").display());
    let function = format!("{}::measured", example.name);
    let mut command = shell::command("valgrind", &["--tool=callgrind", "--quiet", "--collect-atstart=no", &out]);
    for flag in ["toggle-collect", "zero-before", "dump-after"] {
        command.arg(format!("--{flag}={function}"));
    }
    command.arg(target.join("release/examples").join(example.name)).current_dir(root().join(example.folder));
    let names = command.output().context("valgrind could not be started")?;
    if !names.status.success() {
        bail!("valgrind ended with {}: {}", names.status, String::from_utf8_lossy(&names.stderr));
    }
    let mut counts = Counts::new();
    for (place, line) in String::from_utf8(names.stdout)?.lines().enumerate() {
        let file = folder.join(format!("out.{}", place + 1));
        counts.insert(key(line)?, total(&file)?);
    }
    Ok(counts)
}

/// Instructions of a hold and its settlement, and the ratio.
fn holds(counts: &Counts) -> Result<String> {
    let each = |which: &str| -> Result<f64> {
        let found = counts.iter().find(|([what, ..], _)| what == which);
        let ([_, _, calls], count) = found.with_context(|| format!("nothing was counted {which}"))?;
        Ok(*count as f64 / calls.parse::<f64>()?)
    };
    let (alone, leased) = (each("alone")?, each("leased")?);
    Ok(format!(
        "a hold and its settlement on two budgets: {alone:.0} instructions alone, {leased:.0} with slices, ratio {:.2}",
        leased / alone
    ))
}

/// The count in a file of callgrind's.
fn total(file: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    let total = total.with_context(|| format!("{} has no total", file.display()))?;
    total.trim().parse().with_context(|| format!("`{total}` is no count"))
}

fn key(line: &str) -> Result<[String; 3]> {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    words.try_into().map_err(|_| anyhow::anyhow!("`{line}` is no name of a count"))
}

/// Counts as they are kept: a line each.
fn written(counts: &Counts) -> String {
    counts.iter().fold(String::new(), |mut text, ([what, client, provider], count)| {
        writeln!(text, "{what} {client} {provider} {count}").expect("a string takes everything");
        text
    })
}

fn parse(text: &str) -> Result<Counts> {
    text.lines()
        .map(|line| {
            let (name, count) = line.rsplit_once(' ').with_context(|| format!("`{line}` is no count"))?;
            Ok((key(name)?, count.parse().with_context(|| format!("`{line}` is no count"))?))
        })
        .collect()
}

/// A row for each pair: request, whole answer, and one more frame of a stream; each with what it was before, where that is known.
fn table(counts: &Counts, before: &Counts) -> String {
    let mut text = String::from("| client | provider | request | answer | a frame |\n|---|---|---|---|---|\n");
    let pairs: Vec<&[String; 3]> = counts.keys().filter(|key| key[0] == "request").collect();
    for pair in pairs {
        let [_, client, provider] = pair;
        let cell = |of: fn(&Counts, &str, &str) -> Option<u64>| {
            let now = of(counts, client, provider).map_or("–".to_owned(), thousands);
            match of(before, client, provider) {
                Some(then) => format!("{now} ({})", thousands(then)),
                None => now,
            }
        };
        let (request, answer, frame) = (
            cell(|counts, client, provider| one(counts, "request", client, provider)),
            cell(|counts, client, provider| one(counts, "answer", client, provider)),
            cell(|counts, client, provider| {
                let longer = one(counts, "longer-stream", client, provider)?;
                Some(longer.checked_sub(one(counts, "stream", client, provider)?)? / MORE_FRAMES)
            }),
        );
        writeln!(text, "| {client} | {provider} | {request} | {answer} | {frame} |")
            .expect("a string takes everything");
    }
    text
}

fn one(counts: &Counts, what: &str, client: &str, provider: &str) -> Option<u64> {
    counts.get(&[what.to_owned(), client.to_owned(), provider.to_owned()]).copied()
}

/// `182,250`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_back_and_shown_beside_earlier_ones() {
        let text = "answer a b 900\nlonger-stream a b 13000\nrequest a b 1234567\nstream a b 3000\n";
        let counts = parse(text).unwrap();
        assert_eq!(written(&counts), text);
        let mut before = counts.clone();
        before.insert(key("request a b").unwrap(), 999);
        let table = table(&counts, &before);
        assert!(table.ends_with("| a | b | 1,234,567 (999) | 900 (900) | 100 (100) |\n"), "{table}");
        assert!(parse("request a 5").is_err() && parse("request a b many").is_err());
    }
}
