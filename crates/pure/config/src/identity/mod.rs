//! `identity = { … }` of a provider: who Freehold is to a cloud that takes no lasting key, and where what proves it is found.
//! Here it is only read; tokens are fetched where calls are sent.
//!
//! Every source is named by `from`. There is no chain of sources that are tried in turn, so no metadata address is asked that
//! nobody wrote down.

mod aws;
mod entra;
mod google;
mod reader;

use std::fmt;

use crate::key::{Key, Section};
use crate::raw::Table;
use crate::secret::Vault;

pub use aws::{Aws, AwsSource};
pub use entra::{Entra, EntraSource};
pub use google::{Google, GoogleSource, SubjectFormat};
pub use reader::Need;
use reader::Reader;

/// Who Freehold is to a provider, and how it shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// Requests are signed (AWS Signature Version 4).
    Aws(Aws),
    /// A bearer token of Microsoft Entra.
    Entra(Entra),
    /// A bearer token of Google's.
    Google(Google),
}

/// Whose identities a provider takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cloud {
    /// Amazon's.
    Aws,
    /// Microsoft's.
    Entra,
    /// Google's.
    Google,
}

impl Cloud {
    /// Every cloud, by the word that sources of its identities begin with.
    pub const ALL: [(&'static str, Cloud); 3] =
        [("aws", Cloud::Aws), ("entra", Cloud::Entra), ("google", Cloud::Google)];

    /// The word.
    pub fn as_str(self) -> &'static str {
        Cloud::ALL.iter().find(|(_, cloud)| *cloud == self).map_or("", |(word, _)| word)
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where identities come from: the word, and how the identity of its cloud is read.
struct Source(&'static str, Read);

/// How an identity of a cloud is read.
enum Read {
    Aws(fn(&Reader<'_, '_>) -> Option<Aws>),
    Entra(fn(&Reader<'_, '_>) -> Option<Entra>),
    Google(fn(&Reader<'_, '_>) -> Option<Google>),
}

/// Every source.
const SOURCES: &[Source] = &[
    Source("aws-environment", Read::Aws(aws::environment)),
    Source("aws-profile", Read::Aws(aws::profile)),
    Source("aws-web-identity", Read::Aws(aws::web_identity)),
    Source("aws-container", Read::Aws(aws::container)),
    Source("aws-instance", Read::Aws(aws::instance)),
    Source("entra-client-secret", Read::Entra(entra::client_secret)),
    Source("entra-workload-identity", Read::Entra(entra::workload_identity)),
    Source("entra-managed-identity", Read::Entra(entra::managed_identity)),
    Source("google-service-account", Read::Google(google::service_account)),
    Source("google-metadata", Read::Google(google::metadata)),
    Source("google-workload-identity", Read::Google(google::workload_identity)),
];

impl Read {
    fn cloud(&self) -> Cloud {
        match self {
            Read::Aws(_) => Cloud::Aws,
            Read::Entra(_) => Cloud::Entra,
            Read::Google(_) => Cloud::Google,
        }
    }

    fn read(&self, reader: &Reader<'_, '_>) -> Option<Identity> {
        match self {
            Read::Aws(read) => read(reader).map(Identity::Aws),
            Read::Entra(read) => read(reader).map(Identity::Entra),
            Read::Google(read) => read(reader).map(Identity::Google),
        }
    }
}

impl Identity {
    /// The words of `from` that name a source of this cloud.
    pub fn sources(of: Cloud) -> impl Iterator<Item = &'static str> {
        SOURCES.iter().filter(move |Source(_, read)| read.cloud() == of).map(|Source(from, _)| *from)
    }

    /// Whose it is.
    pub fn cloud(&self) -> Cloud {
        match self {
            Identity::Aws(_) => Cloud::Aws,
            Identity::Entra(_) => Cloud::Entra,
            Identity::Google(_) => Cloud::Google,
        }
    }

    /// The word of `from`.
    pub fn source_word(&self) -> &'static str {
        match self {
            Identity::Aws(aws) => aws.source_word(),
            Identity::Entra(entra) => entra.source_word(),
            Identity::Google(google) => google.source_word(),
        }
    }

    /// What it rests on beside the file.
    pub fn needs(&self) -> Vec<Need> {
        match self {
            Identity::Aws(aws) => aws.needs(),
            Identity::Entra(entra) => entra.needs(),
            Identity::Google(google) => google.needs(),
        }
    }
}

impl fmt::Display for Identity {
    /// `aws-web-identity (file …)`: where it comes from, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source_word())?;
        let needs: Vec<String> = self.needs().iter().map(Need::to_string).collect();
        if needs.is_empty() { Ok(()) } else { write!(f, " ({})", needs.join(", ")) }
    }
}

/// Keys of `identity = { … }`.
pub const SECTION: Section = Section {
    path: "providers.NAME.identity",
    about: "Instead of `api_key`: who Freehold is to a cloud. Tokens are fetched from the one source that `from` names, renewed before they expire, and never shown. AWS requests are signed (Signature Version 4); Entra and Google tokens are sent as bearer tokens.",
    keys: &[
        Key {
            name: "from",
            takes: "`aws-environment`, `aws-profile`, `aws-web-identity`, `aws-container`, `aws-instance`, `entra-client-secret`, `entra-workload-identity`, `entra-managed-identity`, `google-service-account`, `google-metadata` or `google-workload-identity`",
            default: "required",
            meaning: "Where the identity is found. No other source is tried: the metadata address of a cloud is asked for `aws-instance`, `aws-container`, `entra-managed-identity` and `google-metadata` only.",
            example: "\"aws-web-identity\"",
        },
        Key {
            name: "region",
            takes: "text, an AWS region",
            default: "`region` of `fill`",
            meaning: "AWS: the region that requests are signed for, and whose STS is asked.",
            example: "\"eu-central-1\"",
        },
        Key {
            name: "service",
            takes: "text",
            default: "from the catalog, else `bedrock`",
            meaning: "AWS: the service that requests are signed for.",
            example: "\"bedrock\"",
        },
        Key {
            name: "profile",
            takes: "text",
            default: "`AWS_PROFILE`, else `default`",
            meaning: "aws-profile: which profile of the shared files. Lasting keys, `role_arn` with `source_profile`, and `role_arn` with `web_identity_token_file` are understood.",
            example: "\"production\"",
        },
        Key {
            name: "file",
            takes: "text, path of a file",
            default: "`AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`; `GOOGLE_APPLICATION_CREDENTIALS`",
            meaning: "aws-profile: the shared credentials file, beside which `config` is read too (or `AWS_CONFIG_FILE`). google-service-account and google-workload-identity: the JSON file from Google.",
            example: "\"/run/secrets/google.json\"",
        },
        Key {
            name: "role_arn",
            takes: "text",
            default: "`AWS_ROLE_ARN`",
            meaning: "aws-web-identity: the role to take.",
            example: "\"arn:aws:iam::123456789012:role/freehold\"",
        },
        Key {
            name: "session",
            takes: "text",
            default: "`AWS_ROLE_SESSION_NAME`, else `freehold`",
            meaning: "aws-web-identity: how the session is called in AWS's logs.",
            example: "\"freehold-production\"",
        },
        Key {
            name: "token_file",
            takes: "text, path of a file",
            default: "`AWS_WEB_IDENTITY_TOKEN_FILE`; `AZURE_FEDERATED_TOKEN_FILE`",
            meaning: "aws-web-identity and entra-workload-identity: the token that the platform renews there; read each time.",
            example: "\"/var/run/secrets/tokens/freehold\"",
        },
        Key {
            name: "role",
            takes: "text",
            default: "the instance's only role",
            meaning: "aws-instance: which role of the instance.",
            example: "\"freehold\"",
        },
        Key {
            name: "tenant",
            takes: "text",
            default: "`AZURE_TENANT_ID`",
            meaning: "Entra: the tenant.",
            example: "\"contoso.onmicrosoft.com\"",
        },
        Key {
            name: "client_id",
            takes: "text",
            default: "`AZURE_CLIENT_ID`; none for the managed identity of the system",
            meaning: "Entra: the application, or the user-assigned managed identity.",
            example: "\"00000000-0000-0000-0000-000000000000\"",
        },
        Key {
            name: "client_secret",
            takes: "table",
            default: "`AZURE_CLIENT_SECRET`",
            meaning: "entra-client-secret: where the application's secret is found.",
            example: "{ file = \"/run/secrets/entra\" }",
        },
        Key {
            name: "scope",
            takes: "text",
            default: "from the catalog, else `https://cognitiveservices.azure.com/.default` (Entra), `https://www.googleapis.com/auth/cloud-platform` (Google)",
            meaning: "What the token is to be good for.",
            example: "\"https://ai.azure.com/.default\"",
        },
        Key {
            name: "account",
            takes: "text",
            default: "`default`",
            meaning: "google-metadata: which service account of the machine.",
            example: "\"default\"",
        },
        Key {
            name: "endpoint",
            takes: "text, `http` or `https` URL",
            default: "the cloud's own",
            meaning: "Where tokens are asked for instead: STS, Entra's authority, a metadata service or Google's token endpoint, for sovereign clouds and private endpoints.",
            example: "\"https://login.microsoftonline.us\"",
        },
    ],
    meters: false,
};

/// What the provider's own table and its catalog row say that an identity takes from there.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// The region that the provider's address was filled with.
    pub region: Option<&'a str>,
    /// What the catalog says tokens are to be good for.
    pub scope: Option<&'a str>,
    /// What the catalog says requests are signed for.
    pub service: Option<&'a str>,
    /// Whose identities the catalog says the provider takes.
    pub cloud: Option<Cloud>,
}

/// Reads `identity` of a provider.
pub(crate) fn read(table: &Table, vault: Vault, around: Around<'_>) -> Option<Identity> {
    let inner = table.table("identity", &SECTION)?;
    if !inner.has("from") {
        if !inner.is_spoiled() {
            inner.missing("from", "say where the identity is found, such as `from = \"aws-web-identity\"`");
        }
        return None;
    }
    let choices: Vec<(&str, usize)> = SOURCES.iter().enumerate().map(|(at, Source(from, _))| (*from, at)).collect();
    let Source(from, source) = &SOURCES[inner.choice("from", &choices)?];
    if let Some(cloud) = around.cloud.filter(|cloud| *cloud != source.cloud()) {
        let known = Identity::sources(cloud).map(|from| format!("`{from}`")).collect::<Vec<_>>().join(", ");
        let reason = format!("`{from}` is no identity that this provider takes");
        inner.problems().error(&inner.place_of("from"), reason, format!("write one of {known}"));
        return None;
    }
    let Around { region, scope, service, .. } = around;
    source.read(&Reader { table: &inner, vault, region, scope, service })
}
