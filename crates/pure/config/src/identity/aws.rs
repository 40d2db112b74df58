//! Identities of Amazon's: keys of the environment or of the shared files, or short-lived ones that a service gives.

use super::reader::{Need, Reader};
use crate::secret::{CredentialSource, Secret};
use crate::url::BaseUrl;

/// What requests are signed with, and for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aws {
    /// The region in the signature.
    pub region: String,
    /// The service in the signature.
    pub service: String,
    /// Where the keys come from.
    pub source: AwsSource,
}

/// Where the keys come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AwsSource {
    /// Lasting or temporary keys from the environment, as they were when the configuration was read.
    Environment {
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret_access_key: Secret,
        /// Of temporary keys.
        session_token: Option<Secret>,
    },
    /// A profile of the shared files.
    Profile {
        /// The credentials file.
        credentials_file: String,
        /// The configuration file, which need not exist.
        config_file: String,
        /// Which profile.
        profile: String,
        /// Where roles are taken.
        sts: BaseUrl,
    },
    /// A role taken with a token that the platform puts into a file: IRSA, and others by OpenID Connect.
    WebIdentity {
        /// The role.
        role_arn: String,
        /// The token's file.
        token_file: String,
        /// How the session is called in AWS's logs.
        session: String,
        /// Where the role is taken.
        sts: BaseUrl,
    },
    /// The agent beside a container: ECS tasks, EKS pod identities.
    Container {
        /// Where it answers.
        url: BaseUrl,
        /// What it knows us by, where it wants that.
        token: Option<Secret>,
        /// A file with that, which the platform renews.
        token_file: Option<String>,
    },
    /// The instance's metadata service, version 2.
    Instance {
        /// Where it answers.
        url: BaseUrl,
        /// Which role; absent where there is one only.
        role: Option<String>,
    },
}

/// The metadata service of EC2 instances, and the agent of ECS tasks (AWS SDKs reference guide, IMDS and container providers).
const INSTANCE: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
/// Hosts that a container's agent may have without TLS, by the same guide.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

impl Aws {
    pub(super) fn source_word(&self) -> &'static str {
        match self.source {
            AwsSource::Environment { .. } => "aws-environment",
            AwsSource::Profile { .. } => "aws-profile",
            AwsSource::WebIdentity { .. } => "aws-web-identity",
            AwsSource::Container { .. } => "aws-container",
            AwsSource::Instance { .. } => "aws-instance",
        }
    }

    pub(super) fn needs(&self) -> Vec<Need> {
        let variable = |name: &str| Need::Found(CredentialSource::Environment(name.to_owned()));
        match &self.source {
            AwsSource::Environment { .. } => vec![variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")],
            AwsSource::Profile { credentials_file, .. } => vec![Need::ReadEachTime(credentials_file.clone())],
            AwsSource::WebIdentity { token_file, sts, .. } => {
                vec![Need::ReadEachTime(token_file.clone()), Need::Asked(sts.to_string())]
            }
            AwsSource::Container { url, .. } | AwsSource::Instance { url, .. } => vec![Need::Asked(url.to_string())],
        }
    }
}

fn signed(reader: &Reader, source: AwsSource) -> Option<Aws> {
    let region = region(reader)?;
    let service = reader.text_or("service", reader.service.unwrap_or("bedrock"));
    Some(Aws { region, service, source })
}

fn region(reader: &Reader) -> Option<String> {
    let given = reader.table.text("region").map(|text| text.value).or(reader.region);
    if given.is_none() && !reader.table.has("region") {
        reader.table.missing("region", "write the region to sign for, such as `region = \"eu-central-1\"`");
    }
    let fits = |region: &&str| region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if given.is_some_and(|region| !fits(&region)) {
        reader.problem("region", "is no region of AWS", "write it like `eu-central-1`");
    }
    given.filter(fits).map(str::to_owned)
}

/// The region's own STS, as AWS recommends: the global one is a single region's.
fn sts(reader: &Reader) -> Option<BaseUrl> {
    let region = region(reader)?;
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    reader.endpoint(&format!("https://sts.{region}.{suffix}"))
}

pub(super) fn environment(reader: &Reader) -> Option<Aws> {
    let wanted = |variable: &str| {
        let value = reader.set(variable);
        if value.is_none() {
            let remedy = "set it where Freehold is started, or name another source";
            reader.problem("from", format!("environment variable `{variable}` is not set"), remedy);
        }
        value
    };
    let (access_key_id, secret) = (wanted("AWS_ACCESS_KEY_ID"), wanted("AWS_SECRET_ACCESS_KEY"));
    let session_token = reader.set("AWS_SESSION_TOKEN").map(|token| Secret::new(&token));
    let (access_key_id, secret_access_key) = (access_key_id?, Secret::new(&secret?));
    signed(reader, AwsSource::Environment { access_key_id, secret_access_key, session_token })
}

pub(super) fn profile(reader: &Reader) -> Option<Aws> {
    let home = || reader.set("HOME").unwrap_or_default();
    let given = reader.optional("file", "AWS_SHARED_CREDENTIALS_FILE");
    let credentials_file = given.unwrap_or_else(|| format!("{}/.aws/credentials", home()));
    let config_file = reader.set("AWS_CONFIG_FILE").unwrap_or_else(|| {
        let folder = credentials_file.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/config")
    });
    let profile = reader.optional("profile", "AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let sts = sts(reader)?;
    signed(reader, AwsSource::Profile { credentials_file, config_file, profile, sts })
}

pub(super) fn web_identity(reader: &Reader) -> Option<Aws> {
    let role_arn = reader.given_or_set("role_arn", "AWS_ROLE_ARN");
    let token_file = reader.given_or_set("token_file", "AWS_WEB_IDENTITY_TOKEN_FILE");
    let session = reader.optional("session", "AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "freehold".to_owned());
    let sts = sts(reader)?;
    signed(reader, AwsSource::WebIdentity { role_arn: role_arn?, token_file: token_file?, session, sts })
}

pub(super) fn container(reader: &Reader) -> Option<Aws> {
    let relative = reader.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER}{path}"));
    let usual = relative.or_else(|| reader.set("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    if usual.is_none() && !reader.table.has("endpoint") {
        let reason = "neither `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` nor `AWS_CONTAINER_CREDENTIALS_FULL_URI` is set";
        reader.problem("from", reason, "run it as an ECS task or an EKS pod with an identity, or name another source");
        return None;
    }
    let url = reader.endpoint(usual.as_deref().unwrap_or(CONTAINER))?;
    let local = AGENTS.contains(&url.host.as_str()) || url.is_private();
    if !url.https && !local {
        reader.problem("from", "the container's agent is neither local nor asked over TLS", "use `https`");
        return None;
    }
    let token = reader.set("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(|token| Secret::new(&token));
    let token_file = reader.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    signed(reader, AwsSource::Container { url, token, token_file })
}

pub(super) fn instance(reader: &Reader) -> Option<Aws> {
    let url = reader.endpoint(INSTANCE)?;
    let role = reader.table.text("role").map(|text| text.value.to_owned());
    signed(reader, AwsSource::Instance { url, role })
}
