//! What the repository is made of: its root, its files, and its packages as cargo sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One package of the resolved graph.
#[derive(Clone, Debug)]
pub struct Package {
    /// The name in its manifest.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SPDX expression of its manifest, where it has one.
    pub license: Option<String>,
    /// The folder of its manifest.
    pub folder: PathBuf,
    /// Names of the packages its manifest asks for directly, dev-dependencies left out.
    pub asks_for: BTreeSet<String>,
    /// Features that are on for it in this workspace.
    pub features: BTreeSet<String>,
}

/// The workspace: our packages, and everything they pull in on this platform.
#[derive(Debug)]
pub struct Workspace {
    /// The folder with the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Our own packages, by name.
    pub ours: BTreeMap<String, Package>,
    /// Every other package of the graph.
    pub theirs: Vec<Package>,
}

/// The folder of the workspace. `cargo xtask` builds this program in it, so it is known when compiling; a moved checkout
/// is found through the working folder.
pub fn root() -> PathBuf {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf();
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file()).map_or(built_in, Path::to_path_buf)
}

impl Workspace {
    /// Reads the graph from `cargo metadata`, for the platform this runs on.
    pub fn read() -> Result<Workspace> {
        let root = root();
        let platform = platform()?;
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform])
            .current_dir(&root)
            .output()
            .context("cargo metadata could not be started")?;
        if !output.status.success() {
            bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        Ok(Workspace::from_metadata(root, &metadata))
    }

    fn from_metadata(root: PathBuf, metadata: &Value) -> Workspace {
        let resolved: BTreeMap<&str, &Value> =
            array(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
        let members: BTreeSet<&str> = array(&metadata["workspace_members"]).map(text).collect();
        let (mut ours, mut theirs) = (BTreeMap::new(), Vec::new());
        for package in array(&metadata["packages"]) {
            let id = text(&package["id"]);
            // A package that is not in the resolved graph belongs to another platform.
            let Some(node) = resolved.get(id) else { continue };
            let read = Package {
                name: text(&package["name"]).to_owned(),
                version: text(&package["version"]).to_owned(),
                license: package["license"].as_str().map(str::to_owned),
                folder: Path::new(text(&package["manifest_path"])).parent().unwrap_or(Path::new("")).to_path_buf(),
                asks_for: array(&package["dependencies"])
                    .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                    .map(|dependency| text(&dependency["name"]).to_owned())
                    .collect(),
                features: array(&node["features"]).map(|feature| text(feature).to_owned()).collect(),
            };
            if members.contains(id) {
                ours.insert(read.name.clone(), read);
            } else {
                theirs.push(read);
            }
        }
        Workspace { root, ours, theirs }
    }

    /// Every file git tracks, or would track, relative to the root.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&self.root)
            .output()
            .context("git could not be started")?;
        if !output.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut files: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .filter(|name| self.root.join(name).is_file())
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// The cargo that runs this program, else the one on the path.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// The triple rustc builds for by default.
fn platform() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
