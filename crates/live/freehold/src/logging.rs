//! Logs on standard error, as text for people or JSON for collectors. `FREEHOLD_LOG` filters, such as `info,gateway=debug`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; a second start in one process changes nothing.
pub fn start(format: Format) {
    let wish = std::env::var(FILTER).unwrap_or_default();
    let (filter, problem) = match EnvFilter::try_new(if wish.is_empty() { "info" } else { &wish }) {
        Ok(filter) => (filter, None),
        Err(problem) => (EnvFilter::new("info"), Some(problem)),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        // Colours are for a person who looks on; in a file or a journal they are noise.
        Format::Text => logs.with_target(false).with_ansi(in_colour()).try_init(),
        Format::Json => logs.json().flatten_event(true).try_init(),
    };
    // Only fails when logging is already on, which tests do.
    let _ = started;
    if let Some(problem) = problem {
        tracing::warn!(
            "{FILTER}=`{wish}` cannot be read ({problem}); logging at `info`; write it like `info,gateway=debug`"
        );
    }
}

/// What to log.
const FILTER: &str = "FREEHOLD_LOG";

/// Whether a terminal shows the log, and its user did not ask for no colours (no-color.org).
fn in_colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
