//! A PostgreSQL for the bench: Debian's own binaries, its files and socket in the bench's folder, no network.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::process::{Place, Process, pinned};
use crate::setup;

/// Debian's package makes this user; PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// A running server; ended when dropped.
pub struct Postgres {
    /// The address of its database.
    pub address: String,
    _process: Process,
}

impl Postgres {
    /// Makes its files and starts it, beside what is measured.
    pub fn start(folder: &Path) -> Result<Postgres> {
        let binaries = binaries()?;
        // The bench's folder lies below one that is root's; a socket's path is short, too.
        let home = std::env::temp_dir().join(format!("freehold-bench-postgres-{}", std::process::id()));
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        if setup::is_root() {
            let id = |flag| shell_number(&["id", flag, USER]);
            chown(&home, Some(id("-u")?), Some(id("-g")?))?;
        }
        let data = home.join("data");
        let mut init = unprivileged(&binaries.join("initdb"));
        init.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", USER, "-D"]).arg(&data);
        let made = init.current_dir(&home).output().context("initdb could not be started")?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        let server = unprivileged(&binaries.join("postgres"));
        let mut command = pinned(Place::Around, Path::new(server.get_program()));
        command.args(server.get_args()).args(["-c", "listen_addresses=", "-D"]).arg(&data).arg("-k").arg(&home);
        let log = folder.join("postgres.log");
        let mut process = Process::start("postgres", command, &log)?;
        let is_ready = || {
            let asked = Command::new(binaries.join("pg_isready")).arg("-q").arg("-h").arg(&home).status();
            asked.is_ok_and(|status| status.success())
        };
        process.wait_until(&log, is_ready)?;
        let address = format!("postgres:///postgres?host={}&user={USER}", home.display());
        Ok(Postgres { address, _process: process })
    }
}

/// The newest server on this machine.
fn binaries() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    found.max().context("PostgreSQL is not installed")
}

fn unprivileged(program: &Path) -> Command {
    if !setup::is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
    command
}

fn shell_number(words: &[&str]) -> Result<u32> {
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).output().with_context(|| words.join(" "))?;
    String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| words.join(" "))
}
