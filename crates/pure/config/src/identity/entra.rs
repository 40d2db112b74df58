//! Identities of Microsoft Entra: an application with a secret or with a token of its platform, or a managed identity.

use super::reader::{Need, Reader};
use crate::secret::{self, CredentialSource, Secret, Shape};
use crate::url::BaseUrl;

/// What a token is asked with, and for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entra {
    /// What the token is to be good for.
    pub scope: String,
    /// Who asks.
    pub source: EntraSource,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntraSource {
    /// An application with a secret.
    ClientSecret {
        /// Entra itself.
        authority: BaseUrl,
        /// The tenant.
        tenant: String,
        /// The application.
        client_id: String,
        /// Its secret.
        secret: Secret,
        /// Where that was found.
        found: CredentialSource,
    },
    /// An application that trusts the tokens of a platform, which puts one into a file.
    WorkloadIdentity {
        /// Entra itself.
        authority: BaseUrl,
        /// The tenant.
        tenant: String,
        /// The application.
        client_id: String,
        /// The token's file.
        token_file: String,
    },
    /// The identity of the virtual machine.
    ManagedIdentity {
        /// The metadata service.
        url: BaseUrl,
        /// The user-assigned identity; absent for the system's.
        client_id: Option<String>,
    },
}

const AUTHORITY: &str = "https://login.microsoftonline.com";
/// The metadata service of virtual machines (Azure Instance Metadata Service).
const METADATA: &str = "http://169.254.169.254";
/// Azure AI services, Azure OpenAI among them.
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

impl Entra {
    pub(super) fn source_word(&self) -> &'static str {
        match self.source {
            EntraSource::ClientSecret { .. } => "entra-client-secret",
            EntraSource::WorkloadIdentity { .. } => "entra-workload-identity",
            EntraSource::ManagedIdentity { .. } => "entra-managed-identity",
        }
    }

    pub(super) fn needs(&self) -> Vec<Need> {
        match &self.source {
            EntraSource::ClientSecret { authority, found, .. } => {
                vec![Need::Found(found.clone()), Need::Asked(authority.to_string())]
            }
            EntraSource::WorkloadIdentity { authority, token_file, .. } => {
                vec![Need::ReadEachTime(token_file.clone()), Need::Asked(authority.to_string())]
            }
            EntraSource::ManagedIdentity { url, .. } => vec![Need::Asked(url.to_string())],
        }
    }
}

fn entra(reader: &Reader, source: EntraSource) -> Option<Entra> {
    Some(Entra { scope: reader.scope(SCOPE), source })
}

/// The authority, the tenant and the application.
fn application(reader: &Reader) -> Option<(BaseUrl, String, String)> {
    let tenant = reader.given_or_set("tenant", "AZURE_TENANT_ID");
    let client_id = reader.given_or_set("client_id", "AZURE_CLIENT_ID");
    let usual = reader.set("AZURE_AUTHORITY_HOST").filter(|_| !reader.vault.is_assumed());
    let authority = reader.endpoint(usual.as_deref().unwrap_or(AUTHORITY));
    let tenant = tenant?;
    if !tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
        reader.problem("tenant", "is no tenant", "write its id or its domain");
        return None;
    }
    Some((authority?, tenant, client_id?))
}

pub(super) fn client_secret(reader: &Reader) -> Option<Entra> {
    let application = application(reader);
    let usual = || {
        let variable = CredentialSource::Environment("AZURE_CLIENT_SECRET".to_owned());
        let set = reader.set("AZURE_CLIENT_SECRET").map(|secret| (Secret::new(&secret), variable));
        if set.is_none() {
            let remedy = "write `client_secret = { env = \"NAME\" }` or set `AZURE_CLIENT_SECRET`";
            reader.table.missing("client_secret", remedy);
        }
        set
    };
    let secret = match reader.table.has("client_secret") {
        true => secret::named(reader.table, "client_secret", reader.vault, Shape::Document),
        false => usual(),
    };
    let ((authority, tenant, client_id), (secret, found)) = (application?, secret?);
    entra(reader, EntraSource::ClientSecret { authority, tenant, client_id, secret, found })
}

pub(super) fn workload_identity(reader: &Reader) -> Option<Entra> {
    let application = application(reader);
    let token_file = reader.given_or_set("token_file", "AZURE_FEDERATED_TOKEN_FILE");
    let ((authority, tenant, client_id), token_file) = (application?, token_file?);
    entra(reader, EntraSource::WorkloadIdentity { authority, tenant, client_id, token_file })
}

pub(super) fn managed_identity(reader: &Reader) -> Option<Entra> {
    let url = reader.endpoint(METADATA)?;
    // Not from the environment: what is set there is the application of a workload identity.
    let client_id = reader.table.text("client_id").map(|text| text.value.to_owned());
    entra(reader, EntraSource::ManagedIdentity { url, client_id })
}
