//! `freehold init`: a commented freehold.toml from the provider keys found, and the first admin token.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use control::{DataDirectory, Pepper, sessions};
use gateway::clock;

use crate::storage::{self, Storage};
use crate::{exit, policy};

/// Write a commented freehold.toml from the provider keys found, and make the first admin token.
///
/// Looks for OPENAI_API_KEY, ANTHROPIC_API_KEY, MISTRAL_API_KEY, DEEPSEEK_API_KEY, GROQ_API_KEY and TOGETHER_API_KEY. Without
/// any of them, the file names a server of your own at http://127.0.0.1:8080/v1.
#[derive(clap::Args)]
pub struct Arguments {
    /// The file to write
    #[arg(long, default_value = "freehold.toml", env = "FREEHOLD_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    storage: Storage,
    /// Write over an existing configuration
    #[arg(long)]
    force: bool,
    /// Only make and print another admin token
    #[arg(long)]
    token_only: bool,
}

/// A provider that may be found, with a model for each lane. Prices come from the catalog.
struct Known {
    name: &'static str,
    variable: &'static str,
    premium: Option<(&'static str, &'static str, &'static str)>,
    standard: Option<(&'static str, &'static str, &'static str)>,
}

/// Name of the model here, the vendor's id, and a first guess of its quality that evaluation is to replace.
const KNOWN: &[Known] = &[
    Known {
        name: "anthropic",
        variable: "ANTHROPIC_API_KEY",
        premium: Some(("sonnet", "claude-sonnet-5-5", "0.93")),
        standard: Some(("haiku", "claude-haiku-5-5", "0.85")),
    },
    Known {
        name: "openai",
        variable: "OPENAI_API_KEY",
        premium: Some(("gpt", "gpt-5.5", "0.93")),
        standard: Some(("gpt-mini", "gpt-5.4-mini", "0.86")),
    },
    Known {
        name: "mistral",
        variable: "MISTRAL_API_KEY",
        premium: None,
        standard: Some(("mistral-small", "mistral-small-latest", "0.80")),
    },
    Known {
        name: "deepseek",
        variable: "DEEPSEEK_API_KEY",
        premium: None,
        standard: Some(("deepseek-flash", "deepseek-v4-flash", "0.84")),
    },
    Known {
        name: "groq",
        variable: "GROQ_API_KEY",
        premium: None,
        standard: Some(("gpt-oss-groq", "openai/gpt-oss-120b", "0.80")),
    },
    Known {
        name: "together",
        variable: "TOGETHER_API_KEY",
        premium: None,
        standard: Some(("gpt-oss-together", "openai/gpt-oss-120b", "0.80")),
    },
];

/// The provider keys this environment has.
pub fn found() -> Vec<&'static str> {
    let set = |known: &&Known| std::env::var(known.variable).is_ok_and(|value| !value.is_empty());
    KNOWN.iter().filter(set).map(|known| known.variable).collect()
}

/// Writes.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let data = DataDirectory::open(&arguments.storage.data)?;
    if arguments.token_only {
        println!("{}", admin_token(&data, &arguments.storage).await?);
        return Ok(ExitCode::SUCCESS);
    }
    let path = &arguments.config;
    anyhow::ensure!(
        arguments.force || !path.exists(),
        "{} exists already; --force writes over it, --config names another file",
        path.display()
    );
    let present: Vec<&Known> =
        KNOWN.iter().filter(|known| std::env::var(known.variable).is_ok_and(|value| !value.is_empty())).collect();
    let text = configuration(&present);
    std::fs::write(path, &text).with_context(|| format!("{} cannot be written", path.display()))?;
    let catalog = policy::catalog().map_err(|problems| anyhow::anyhow!("the catalog is broken: {}", problems[0]))?;
    if let Err(problems) = policy::check(&path.display().to_string(), &text, &catalog, clock::now()) {
        policy::print_problems(&problems);
        return Ok(ExitCode::from(exit::FAILED));
    }
    let token = admin_token(&data, &arguments.storage).await?;
    let (config, data) = (path.display(), data.root().display());
    println!(
        "{config} is written, with {}.",
        match present.len() {
            0 => "a server of your own; no provider key was found in the environment".to_owned(),
            _ => present.iter().map(|known| known.name).collect::<Vec<_>>().join(", "),
        }
    );
    println!("\nAdmin token for the console, shown only now:\n  {token}\n");
    println!("Next:");
    println!("  freehold check {config}");
    println!("  freehold key create --data {data} --label my-first-key");
    println!("  freehold serve --config {config} --data {data}");
    Ok(ExitCode::SUCCESS)
}

async fn admin_token(data: &DataDirectory, storage: &Storage) -> anyhow::Result<String> {
    let store = storage::open(data, storage.database.as_deref()).await?;
    let pepper = Pepper::load_or_make(data)?;
    let (_, text) =
        sessions::create_admin_token(&store, &pepper, "freehold init", "command line", clock::now()).await?;
    store.close().await;
    Ok(text)
}

fn configuration(present: &[&Known]) -> String {
    let mut text = String::from(
        "# Freehold's whole policy. `freehold check` explains it; docs/configuration.md has every key.\n\
         # Secrets are never written here: { env = \"NAME\" } or { file = \"path\" } say where they are.\n\n",
    );
    let mut write = |line: &str| writeln!(text, "{line}").expect("writing to a string cannot fail");
    let (mut premium, mut standard) = (Vec::new(), Vec::new());
    for known in present {
        write(&format!(
            "[providers.{}]                  # endpoint, dialect and prices come from the catalog",
            known.name
        ));
        write(&format!("api_key = {{ env = \"{}\" }}\n", known.variable));
        for (lane, model) in [(&mut premium, known.premium), (&mut standard, known.standard)] {
            let Some((name, id, quality)) = model else { continue };
            write(&format!("[models.{name}]\nprovider = \"{}\"\nmodel = \"{id}\"", known.name));
            write(&format!("quality = \"{quality}\"               # your own guess until evaluation measures it\n"));
            lane.push(name);
        }
    }
    if present.is_empty() {
        write(
            "[providers.own]                         # any OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama",
        );
        write(
            "dialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:8080/v1\"\nquirks = \"llama-cpp\"\nregion = \"local\"\n",
        );
        write("[models.own]\nprovider = \"own\"\nmodel = \"default\"");
        write("price = { gpu_hour_usd = \"1.00\", tokens_per_second = 1000 }\n");
        standard.push("own");
    }
    let list = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let mut lanes = Vec::new();
    if !premium.is_empty() {
        write(&format!(
            "[lanes.premium]                         # class A: the best there is\nclass = \"A\"\nmodels = [{}]",
            list(&premium)
        ));
        write("pick = \"best\"                            # best | fastest | cheapest\n");
        lanes.push("premium");
    }
    if !standard.is_empty() {
        write(&format!("[lanes.standard]\nclass = \"B\"\nmodels = [{}]", list(&standard)));
        write("pick = \"cheapest\"                        # by this call's expected cost, not by list price\n");
        lanes.push("standard");
    }
    let routine: Vec<&str> = lanes.iter().rev().take(1).copied().collect();
    write(&format!(
        "[criticality.high]                      # lanes in order: the next one when the one before fails\nlanes = [{}]\n",
        list(&lanes)
    ));
    write(&format!("[criticality.routine]\nlanes = [{}]\n", list(&routine)));
    write("[workflows.support-reply]               # what applications write into `model`");
    write("criticality = \"high\"");
    write("budget = { limit = \"100 USD\", per = \"month\", at_limit = \"refuse\" }\n");
    write(
        "[workflows.nightly-digest]\ncriticality = \"routine\"\nbudget = { limit = \"20 USD\", per = \"month\", at_limit = \"refuse\" }\n",
    );
    write("# [aliases]                             # for code that cannot change\n# \"gpt-4o\" = \"support-reply\"");
    text
}

#[cfg(test)]
mod tests {
    use domain::UnixMs;

    use super::*;

    #[test]
    fn every_file_it_can_write_passes_the_check_and_names_no_model_that_is_about_to_end() {
        // Three months after the catalog's lists: when the catalog moves on, so does this day.
        let soon = UnixMs(
            jiff::civil::date(2027, 2, 12).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond(),
        );
        let catalog = policy::catalog().unwrap();
        let all: Vec<&Known> = KNOWN.iter().collect();
        let each = KNOWN.iter().map(|known| vec![known]);
        for present in [Vec::new(), all].into_iter().chain(each) {
            let text = configuration(&present);
            let environment = |_: &str| Some("secret".to_owned());
            let checked = policy::check_with("freehold.toml", &text, &catalog, soon, &environment);
            let warnings = &checked.unwrap_or_else(|problems| panic!("{text}\n{problems:?}")).warnings;
            let ending = warnings.iter().find(|warning| warning.to_string().contains("announced to serve"));
            assert!(ending.is_none(), "{ending:?}");
        }
    }
}
