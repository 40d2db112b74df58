//! `[notify]`: whom Freehold tells what its budgets have reached, and what is out of the ordinary.

use crate::key::{Key, Section};
use crate::problem::{At, Problems};
use crate::raw::Table;
use crate::secret::{self, CredentialSource, Secret, Shape, Vault};
use crate::url::BaseUrl;

/// Where notices go, and what they are signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// Where they are posted to.
    pub url: BaseUrl,
    /// What their signature is made with.
    pub secret: Secret,
    /// Where that was found.
    pub secret_source: CredentialSource,
}

/// Keys of `[notify]`.
pub const SECTION: Section = Section {
    path: "notify",
    about: "A webhook that is told once a window that a budget has reached a share of its limit, whatever happens from there on (`at` of a budget), and when an anomaly begins and ends (`anomaly.began`, `anomaly.ended`). Notices are posted as JSON and signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`).",
    keys: &[
        Key {
            name: "url",
            takes: "URL; `https` unless the host is in one's own network",
            default: "required",
            meaning: "Where notices are posted to.",
            example: "\"https://hooks.example.com/freehold\"",
        },
        Key {
            name: "secret",
            takes: "`{ env = … }` or `{ file = … }`",
            default: "required",
            meaning: "What notices are signed with; behind `whsec_` it is base64, otherwise it is taken as it is.",
            example: "{ env = \"FREEHOLD_HOOK_SECRET\" }",
        },
    ],
    meters: false,
};

/// Reads `[notify]`.
pub(crate) fn read(root: &Table, vault: Vault) -> Option<Notify> {
    let table = root.table("notify", &SECTION)?;
    for name in ["url", "secret"] {
        if !table.has(name) && !table.is_spoiled() {
            table.missing(name, "a webhook needs `url` and `secret`");
        }
    }
    let url = table.text("url").and_then(|text| address(&text, table.problems()));
    let (secret, secret_source) = secret::named(&table, "secret", vault, Shape::Document)?;
    Some(Notify { url: url?, secret, secret_source })
}

fn address(text: &At<&str>, problems: &Problems) -> Option<BaseUrl> {
    let remedy = "write an `https` URL without user, query and fragment";
    match BaseUrl::parse(text.value) {
        Ok(url) if url.https || url.is_private() => Some(url),
        Ok(_) => {
            problems.error(&text.place, "notices do not go over plain `http` to other networks", remedy);
            None
        }
        Err(reason) => {
            problems.error(&text.place, reason, remedy);
            None
        }
    }
}
