//! Which of our providers each list's entries belong to, and where the lists come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// One provider of the catalog as the two lists name it.
pub struct Source {
    /// In catalog/providers.toml.
    pub provider: &'static str,
    /// Values of litellm's `litellm_provider`.
    pub litellm: &'static [&'static str],
    /// What litellm puts before the vendor's model id.
    pub prefix: &'static str,
    /// The provider's id in genai-prices.
    pub genai: &'static str,
}

/// Every provider whose prices are imported. A row here is all a further one needs.
pub const SOURCES: &[Source] = &[
    Source { provider: "openai", litellm: &["openai"], prefix: "openai/", genai: "openai" },
    Source { provider: "anthropic", litellm: &["anthropic"], prefix: "anthropic/", genai: "anthropic" },
    Source { provider: "google", litellm: &["gemini"], prefix: "gemini/", genai: "google" },
    Source { provider: "mistral", litellm: &["mistral"], prefix: "mistral/", genai: "mistral" },
    Source { provider: "deepseek", litellm: &["deepseek"], prefix: "deepseek/", genai: "deepseek" },
    Source { provider: "cohere", litellm: &["cohere", "cohere_chat"], prefix: "cohere/", genai: "cohere" },
    Source { provider: "groq", litellm: &["groq"], prefix: "groq/", genai: "groq" },
    Source { provider: "together", litellm: &["together_ai"], prefix: "together_ai/", genai: "together" },
    Source {
        provider: "fireworks",
        litellm: &["fireworks_ai", "fireworks_ai-embedding-models"],
        prefix: "fireworks_ai/",
        genai: "fireworks",
    },
    Source { provider: "azure", litellm: &["azure"], prefix: "azure/", genai: "azure" },
    Source { provider: "xai", litellm: &["xai"], prefix: "xai/", genai: "x-ai" },
    Source { provider: "bedrock", litellm: &["bedrock", "bedrock_converse"], prefix: "", genai: "aws" },
    Source {
        provider: "vertex",
        litellm: &[
            "vertex_ai",
            "vertex_ai-language-models",
            "vertex_ai-anthropic_models",
            "vertex_ai-mistral_models",
            "vertex_ai-embedding-models",
        ],
        prefix: "vertex_ai/",
        genai: "google",
    },
];

/// A list as it was fetched.
#[derive(Clone, Debug)]
pub struct Release {
    /// `litellm 1.2.3`.
    pub name: String,
    /// The day the package was uploaded to the index.
    pub day: String,
}

/// Both lists, fetched and laid open in one folder.
pub struct Lists {
    folder: PathBuf,
    /// litellm's release.
    pub litellm: Release,
    /// genai-prices' release.
    pub genai: Release,
}

const UNPACK: &str = include_str!("unpack.py");

impl Lists {
    /// Fetches the newest releases into target/catalog, which is emptied first.
    pub fn fetch(root: &Path) -> Result<Lists> {
        let folder = root.join("target/catalog");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("unpack.py"), UNPACK)?;
        let to = folder.to_string_lossy().into_owned();
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", &to];
        shell::run(shell::command("python3", &[&pip[..], &["litellm", "genai-prices"]].concat()))?;
        unpack(&folder, "open")?;
        let released: Value = serde_json::from_str(&read(&folder, "released.json")?)?;
        let release = |package: &str| -> Result<Release> {
            let text = |key: &str| released[package][key].as_str().map(str::to_owned);
            let (Some(version), Some(day)) = (text("version"), text("day")) else {
                bail!("no wheel of {package} came")
            };
            Ok(Release { name: format!("{package} {version}"), day })
        };
        Ok(Lists { litellm: release("litellm")?, genai: release("genai-prices")?, folder })
    }

    /// litellm's map, as text: its numbers must not become floats.
    pub fn litellm_text(&self) -> Result<String> {
        read(&self.folder, "litellm.json")
    }

    /// genai-prices' providers.
    pub fn genai_providers(&self) -> Result<Value> {
        Ok(serde_json::from_str(&read(&self.folder, "genai.json")?)?)
    }

    /// For each genai-prices provider and name, the id of the model there that matches it.
    pub fn matches(&self, names: &BTreeMap<&str, Vec<&str>>) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        std::fs::write(self.folder.join("names.json"), serde_json::to_string(names)?)?;
        unpack(&self.folder, "match")?;
        Ok(serde_json::from_str(&read(&self.folder, "matches.json")?)?)
    }
}

fn unpack(folder: &Path, what: &str) -> Result<()> {
    let script = folder.join("unpack.py");
    shell::run(shell::command("python3", &[&*script.to_string_lossy(), what, &*folder.to_string_lossy()]))
}

fn read(folder: &Path, name: &str) -> Result<String> {
    std::fs::read_to_string(folder.join(name)).with_context(|| format!("target/catalog/{name}"))
}
