//! What the sources of identities are read with: the table, the environment, and what stands around them.

use std::fmt;

use crate::raw::Table;
use crate::secret::{CredentialSource, Vault};
use crate::url::BaseUrl;

/// What of an identity does not stand in the file: found when it was checked, or read anew each time a token is fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Need {
    /// A variable or a file with a secret, found.
    Found(CredentialSource),
    /// A file that is read each time, because something else renews it.
    ReadEachTime(String),
    /// A service that is asked each time.
    Asked(String),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Found(source) => source.fmt(f),
            Need::ReadEachTime(path) => write!(f, "file `{path}`"),
            Need::Asked(address) => write!(f, "{address}"),
        }
    }
}

/// Everything that reading a source may need.
pub(crate) struct Reader<'t, 'd> {
    /// The table.
    pub table: &'t Table<'d>,
    /// The way to the environment and files.
    pub vault: Vault<'t>,
    /// The region that the provider's address was filled with.
    pub region: Option<&'t str>,
    /// What the catalog says tokens are to be good for.
    pub scope: Option<&'t str>,
    /// What the catalog says requests are signed for.
    pub service: Option<&'t str>,
}

impl Reader<'_, '_> {
    /// A key of the table, else a variable of the environment.
    pub fn given_or_set(&self, key: &str, variable: &str) -> Option<String> {
        self.optional(key, variable).or_else(|| {
            if !self.table.has(key) {
                let reason = format!("`{key}` is missing, and environment variable `{variable}` is not set");
                self.table.problems().error(&self.table.place, reason, "give one of the two");
            }
            None
        })
    }

    /// The same where there may be neither.
    pub fn optional(&self, key: &str, variable: &str) -> Option<String> {
        let given = self.table.text(key).map(|text| text.value.to_owned());
        given.or_else(|| (!self.table.has(key)).then(|| self.set(variable)).flatten())
    }

    /// A variable that is set and not empty.
    pub fn set(&self, variable: &str) -> Option<String> {
        self.vault.environment(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// `endpoint`, else what is usual. A credential must not travel in the clear through a network that is not one's own.
    pub fn endpoint(&self, usual: &str) -> Option<BaseUrl> {
        let given = self.table.text("endpoint");
        let parsed = BaseUrl::parse(given.as_ref().map_or(usual, |text| text.value));
        let url = parsed
            .map_err(|reason| {
                let remedy = "write a URL such as https://login.microsoftonline.com";
                self.table.problems().error(&self.table.place_of("endpoint"), reason, remedy);
            })
            .ok()?;
        if given.is_some() && !url.https && !url.is_private() {
            let reason = "tokens would travel unencrypted through a network that is not your own";
            self.table.problems().error(&self.table.place_of("endpoint"), reason, "use `https`");
        }
        Some(url)
    }

    /// What the token is to be good for.
    pub fn scope(&self, usual: &str) -> String {
        let given = self.table.text("scope").map(|text| text.value);
        given.or(self.scope).unwrap_or(usual).to_owned()
    }

    /// A text, or what is usual.
    pub fn text_or(&self, key: &str, usual: &str) -> String {
        self.table.text(key).map_or(usual, |text| text.value).to_owned()
    }

    /// Reports a problem at a key.
    pub fn problem(&self, key: &str, reason: impl Into<String>, remedy: impl Into<String>) {
        self.table.problems().error(&self.table.place_of(key), reason, remedy);
    }
}
