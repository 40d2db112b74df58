//! Identities of Google's: a service account's key, the machine's service account, or a token of another platform that Google
//! was told to trust.

use serde_json::Value;

use super::reader::{Need, Reader};
use crate::secret::{CredentialSource, Secret};
use crate::url::BaseUrl;

/// What a token is asked with, and for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Google {
    /// What the token is to be good for.
    pub scope: String,
    /// Who asks.
    pub source: GoogleSource,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GoogleSource {
    /// A service account, by its key.
    ServiceAccount {
        /// The account.
        email: String,
        /// Which of its keys.
        key_id: Option<String>,
        /// The key, PEM.
        private_key: Secret,
        /// Where the assertion is exchanged.
        token_url: BaseUrl,
        /// The file all that was found in.
        file: String,
    },
    /// The service account of the machine or pod.
    Metadata {
        /// The metadata service.
        url: BaseUrl,
        /// Which account.
        account: String,
    },
    /// A token of another platform, which puts it into a file.
    WorkloadIdentity {
        /// The pool and its provider, as Google names them.
        audience: String,
        /// What kind of token it is.
        subject_token_type: String,
        /// The token's file.
        subject_token_file: String,
        /// How the token stands there.
        format: SubjectFormat,
        /// Where it is exchanged.
        token_url: BaseUrl,
        /// Where a service account is taken on afterwards.
        impersonation: Option<BaseUrl>,
    },
}

/// How a token stands in its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubjectFormat {
    /// The file is the token.
    Text,
    /// In this member of a JSON object.
    Json(String),
}

const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const STS: &str = "https://sts.googleapis.com/v1/token";
/// The metadata service's name, which answers inside Google's cloud only.
const METADATA: &str = "http://metadata.google.internal";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

impl Google {
    pub(super) fn source_word(&self) -> &'static str {
        match self.source {
            GoogleSource::ServiceAccount { .. } => "google-service-account",
            GoogleSource::Metadata { .. } => "google-metadata",
            GoogleSource::WorkloadIdentity { .. } => "google-workload-identity",
        }
    }

    pub(super) fn needs(&self) -> Vec<Need> {
        match &self.source {
            GoogleSource::ServiceAccount { file, token_url, .. } => {
                vec![Need::Found(CredentialSource::File(file.clone())), Need::Asked(token_url.to_string())]
            }
            GoogleSource::Metadata { url, .. } => vec![Need::Asked(url.to_string())],
            GoogleSource::WorkloadIdentity { subject_token_file, token_url, .. } => {
                vec![Need::ReadEachTime(subject_token_file.clone()), Need::Asked(token_url.to_string())]
            }
        }
    }
}

fn google(reader: &Reader, source: GoogleSource) -> Option<Google> {
    Some(Google { scope: reader.scope(SCOPE), source })
}

/// The JSON file from Google, and its path. `Some(None)` where files are taken to be as they should.
fn document(reader: &Reader, kind: &str) -> Option<(Option<Value>, String)> {
    let file = reader.given_or_set("file", "GOOGLE_APPLICATION_CREDENTIALS")?;
    if reader.vault.is_assumed() {
        return Some((None, file));
    }
    let problem = |reason: String, remedy: &str| reader.problem("file", reason, remedy);
    let text = reader
        .vault
        .read_file(&file)
        .map_err(|why| problem(format!("file `{file}` cannot be read: {why}"), "mend the path or its permissions"))
        .ok()?;
    // The parser's own words could quote the key.
    let Ok(document) = serde_json::from_str::<Value>(&text) else {
        problem(format!("file `{file}` is no JSON"), "give the file as Google made it");
        return None;
    };
    if document["type"] != kind {
        let reason = format!("file `{file}` is not of the type `{kind}`");
        problem(reason, "give the file that belongs to this source, or write another `from`");
        return None;
    }
    Some((Some(document), file))
}

/// A member of the file that must be a text.
fn member(reader: &Reader, document: &Value, name: &str) -> Option<String> {
    let text = document[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    if text.is_none() {
        reader.problem("file", format!("the file has no `{name}`"), "give the file as Google made it");
    }
    text
}

fn url(reader: &Reader, text: &str) -> Option<BaseUrl> {
    let url = BaseUrl::parse(text).ok().filter(|url| url.https || url.is_private());
    if url.is_none() {
        reader.problem("file", "an address in the file is no `https` URL", "give the file as Google made it");
    }
    url
}

pub(super) fn service_account(reader: &Reader) -> Option<Google> {
    let (document, file) = document(reader, "service_account")?;
    let Some(document) = document else {
        let (email, private_key) = ("assumed".to_owned(), Secret::new("assumed"));
        let token_url = reader.endpoint(TOKEN_URL)?;
        return google(reader, GoogleSource::ServiceAccount { email, key_id: None, private_key, token_url, file });
    };
    let email = member(reader, &document, "client_email");
    let private_key = member(reader, &document, "private_key");
    let token_url = match reader.table.has("endpoint") {
        true => reader.endpoint(TOKEN_URL),
        false => url(reader, document["token_uri"].as_str().unwrap_or(TOKEN_URL)),
    };
    let private_key = private_key?;
    if !private_key.contains("PRIVATE KEY-----") {
        reader.problem("file", "its `private_key` is no PEM", "give the file as Google made it");
        return None;
    }
    let key_id = document["private_key_id"].as_str().map(str::to_owned);
    let private_key = Secret::new(&private_key);
    google(reader, GoogleSource::ServiceAccount { email: email?, key_id, private_key, token_url: token_url?, file })
}

pub(super) fn metadata(reader: &Reader) -> Option<Google> {
    let account = reader.text_or("account", "default");
    if !account.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@.-_".contains(&byte)) {
        reader.problem("account", "is no service account", "write `default` or the account's address");
        return None;
    }
    let url = reader.endpoint(METADATA)?;
    google(reader, GoogleSource::Metadata { url, account })
}

pub(super) fn workload_identity(reader: &Reader) -> Option<Google> {
    let (document, file) = document(reader, "external_account")?;
    let Some(document) = document else {
        let assumed = || "assumed".to_owned();
        let source = GoogleSource::WorkloadIdentity {
            audience: assumed(),
            subject_token_type: assumed(),
            subject_token_file: file,
            format: SubjectFormat::Text,
            token_url: reader.endpoint(STS)?,
            impersonation: None,
        };
        return google(reader, source);
    };
    let audience = member(reader, &document, "audience");
    let subject_token_type = member(reader, &document, "subject_token_type");
    let source = &document["credential_source"];
    let Some(subject_token_file) = source["file"].as_str().map(str::to_owned) else {
        let reason = "its `credential_source` is no file; addresses, programs and AWS are not built";
        reader.problem("file", reason, "make the configuration for a token in a file");
        return None;
    };
    let format = match source["format"]["type"].as_str() {
        None | Some("text") => SubjectFormat::Text,
        Some("json") => match source["format"]["subject_token_field_name"].as_str() {
            Some(name) => SubjectFormat::Json(name.to_owned()),
            None => {
                reader.problem("file", "its `format` names no `subject_token_field_name`", "name the member");
                return None;
            }
        },
        Some(_) => {
            reader.problem("file", "its `format` is neither `text` nor `json`", "give the file as Google made it");
            return None;
        }
    };
    let token_url = match reader.table.has("endpoint") {
        true => reader.endpoint(STS),
        false => url(reader, document["token_url"].as_str().unwrap_or(STS)),
    };
    let impersonation = match document["service_account_impersonation_url"].as_str() {
        // The account's address stands in the path, where its `@` may as well be encoded.
        Some(text) => Some(url(reader, &text.replace('@', "%40"))?),
        None => None,
    };
    let (audience, subject_token_type, token_url) = (audience?, subject_token_type?, token_url?);
    google(
        reader,
        GoogleSource::WorkloadIdentity {
            audience,
            subject_token_type,
            subject_token_file,
            format,
            token_url,
            impersonation,
        },
    )
}
