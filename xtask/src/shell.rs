//! Running other programs, and telling in one line what is run.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A command in the workspace's root.
pub fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::workspace::root());
    command
}

/// Runs it, shows what it prints, and fails unless it succeeds.
pub fn run(mut command: Command) -> Result<()> {
    let line = line_of(&command);
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// What it prints on standard output, trimmed; `None` when it cannot be started or fails.
pub fn answer(mut command: Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a program lies on the path.
pub fn which(program: &str) -> Option<std::path::PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // nginx lies in a folder that is on root's path only.
    std::env::split_paths(&folders)
        .chain([Path::new("/usr/sbin").to_path_buf()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn line_of(command: &Command) -> String {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            let name = word.rsplit_once("/bin/").map_or(&*word, |(_, name)| name);
            if name.contains(' ') { format!("'{name}'") } else { name.to_owned() }
        })
        .collect();
    words.join(" ")
}
