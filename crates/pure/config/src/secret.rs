//! Credentials: where they are found, and a type that no debug output, page or log line can print.

use std::fmt;
use std::sync::Arc;

use crate::key::{Key, Section};
use crate::problem::Place;
use crate::raw::{Table, Value};

/// A text that prints as `…`; only [`Secret::expose`] hands it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: &str) -> Secret {
        Secret(text.into())
    }

    /// The text itself: for the header it is sent in, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where a credential was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialSource {
    /// An environment variable of this name.
    Environment(String),
    /// A file at this path.
    File(String),
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialSource::Environment(name) => write!(f, "environment variable `{name}`"),
            CredentialSource::File(path) => write!(f, "file `{path}`"),
        }
    }
}

/// Keys of `api_key = { … }`.
pub const SECTION: Section = Section {
    path: "providers.NAME.api_key",
    about: "Where the provider's credential is found; exactly one of the two. A credential written into the file itself is refused. `client_secret` of an `identity` is written the same way.",
    keys: &[
        Key {
            name: "env",
            takes: "text, name of an environment variable",
            default: "none",
            meaning: "The variable that holds the credential.",
            example: "\"ANTHROPIC_API_KEY\"",
        },
        Key {
            name: "file",
            takes: "text, path of a file",
            default: "none",
            meaning: "The file that holds the credential and nothing else; white space at its end is left out.",
            example: "\"/run/secrets/anthropic\"",
        },
    ],
    meters: false,
};

/// The ways to a secret, handed in because this crate neither sees the environment nor the disk.
#[derive(Clone, Copy)]
pub(crate) enum Vault<'a> {
    /// Secrets are looked up.
    Open { environment: &'a dyn Fn(&str) -> Option<String>, read_file: &'a dyn Fn(&str) -> Result<String, String> },
    /// Secrets are somewhere else, and taken to be as they should.
    Assumed,
}

/// Stands for a secret nobody looked up.
const ASSUMED: &str = "assumed";

impl Vault<'_> {
    /// The value of a variable.
    pub fn environment(&self, name: &str) -> Option<String> {
        match self {
            Vault::Open { environment, .. } => environment(name),
            Vault::Assumed => Some(ASSUMED.to_owned()),
        }
    }

    /// The content of a file, or why it cannot be read.
    pub fn read_file(&self, path: &str) -> Result<String, String> {
        match self {
            Vault::Open { read_file, .. } => read_file(path),
            Vault::Assumed => Ok(ASSUMED.to_owned()),
        }
    }

    /// Whether nothing is looked up.
    pub fn is_assumed(&self) -> bool {
        matches!(self, Vault::Assumed)
    }
}

/// What a secret is to be fit for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// To stand in a header as it is.
    Header,
    /// To be sent encoded.
    Document,
}

/// Reads `api_key` of a provider: found, empty and unusable values are told apart without ever printing one.
pub(crate) fn read(table: &Table, vault: Vault) -> Option<(Secret, CredentialSource)> {
    named(table, "api_key", vault, Shape::Header)
}

/// The same for the secret of another key.
pub(crate) fn named(
    table: &Table,
    key: &'static str,
    vault: Vault,
    shape: Shape,
) -> Option<(Secret, CredentialSource)> {
    let entry = table.value(key)?;
    if !matches!(entry.value, Value::Table(_)) {
        table.problems().error(
            &entry.place,
            "a credential must not stand in this file",
            format!("write `{key} = {{ env = \"NAME_OF_VARIABLE\" }}` or `{{ file = \"PATH\" }}`, and replace a key that was committed"),
        );
        return None;
    }
    let inner = table.table(key, &SECTION)?;
    match (inner.text("env"), inner.text("file")) {
        (Some(name), None) => {
            let variable = environment_variable(&inner, &name.place, name.value)?;
            let source = CredentialSource::Environment(variable.to_owned());
            let Vault::Open { environment, .. } = vault else { return Some((Secret::new(ASSUMED), source)) };
            let Some(text) = environment(variable) else {
                let reason = match looks_pasted(variable) {
                    true => "the environment variable is not set".to_owned(),
                    false => format!("{source} is not set"),
                };
                table.problems().error(
                    &name.place,
                    reason,
                    "set it where Freehold is started, or use `{ file = \"PATH\" }`",
                );
                return None;
            };
            usable(&inner, &name.place, &text, source, shape)
        }
        (None, Some(path)) => {
            let source = CredentialSource::File(path.value.to_owned());
            let Vault::Open { read_file, .. } = vault else { return Some((Secret::new(ASSUMED), source)) };
            match read_file(path.value) {
                Ok(text) => usable(&inner, &path.place, &text, source, shape),
                Err(why) => {
                    let reason = match looks_pasted(path.value) {
                        true => "the file cannot be read".to_owned(),
                        false => format!("{source} cannot be read: {why}"),
                    };
                    table.problems().error(
                        &path.place,
                        reason,
                        "mend the path or its permissions, or use `{ env = \"NAME\" }`",
                    );
                    None
                }
            }
        }
        (given, other) => {
            if given.is_some() == other.is_some() && !inner.is_spoiled() {
                let reason = "needs exactly one of `env` and `file`";
                table.problems().error(
                    &inner.place,
                    reason,
                    "name the environment variable or the file that holds the key",
                );
            }
            None
        }
    }
}

/// Whether a text is long and has nothing that names and paths of that length have: then it may be the credential itself,
/// pasted where its variable's name or its file's path belongs, and is not repeated.
fn looks_pasted(text: &str) -> bool {
    text.len() >= 20 && !text.contains(['_', '/', '\\', '.'])
}

/// A key pasted where the variable's name belongs must not be printed either, so the name is checked first.
fn environment_variable<'n>(inner: &Table, place: &Place, name: &'n str) -> Option<&'n str> {
    let fits = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !fits {
        let reason = "this is no name of an environment variable (letters, digits and `_`)";
        inner.problems().error(place, reason, "write the variable's name here, not the key itself");
    }
    fits.then_some(name)
}

fn usable(
    inner: &Table,
    place: &Place,
    text: &str,
    source: CredentialSource,
    shape: Shape,
) -> Option<(Secret, CredentialSource)> {
    let text = text.trim();
    if text.is_empty() {
        let reason = format!("{source} is empty");
        inner.problems().error(place, reason, "put the provider's key there");
        return None;
    }
    if shape == Shape::Header && !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = format!("{source} holds white space or characters that no HTTP header can carry");
        inner.problems().error(place, reason, "put the key there and nothing else");
        return None;
    }
    Some((Secret::new(text), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("sk-real");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "… … Some(…)");
        assert_eq!(secret.expose(), "sk-real");
    }
}
