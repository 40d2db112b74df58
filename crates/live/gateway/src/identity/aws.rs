//! Keys of Amazon's to sign with: from the environment, the shared files, a role taken with a token, a container's agent or an
//! instance's metadata service.

use aws_credential_types::Credentials;
use bytes::Bytes;
use config::identity::{Aws, AwsSource};
use config::{BaseUrl, Secret};
use domain::UnixMs;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;

use super::fetch::{self, Ask, Fetch, Trouble};
use super::profile::{Found, Profiles};
use super::token::{Credential, Token, instant};
use crate::clock;
use crate::sigv4::{self, Scope};

/// How long keys of the shared files are used before the files are read again, milliseconds: something else may renew them.
const READ_AGAIN_MS: u64 = 15 * 60 * 1000;
/// How long a session of the instance's metadata service lasts, seconds: its longest.
const INSTANCE_SESSION_S: &str = "21600";
/// Longest chain of profiles that take one another's roles.
const LONGEST_CHAIN: usize = 4;
const FORM: &str = "application/x-www-form-urlencoded";
/// The version of STS's Query API, its only one.
const STS_VERSION: &str = "2011-06-15";

pub(super) async fn keys(fetch: &Fetch, aws: &Aws) -> Result<Token, Trouble> {
    match &aws.source {
        AwsSource::Environment { access_key_id, secret_access_key, session_token } => {
            let session = session_token.as_ref().map(Secret::expose);
            Ok(token(access_key_id, secret_access_key.expose(), session, None))
        }
        AwsSource::Profile { credentials_file, config_file, profile, sts } => {
            let profiles = Profiles::read(credentials_file, config_file).await?;
            of_profile(fetch, &profiles, profile, sts, &aws.region).await
        }
        AwsSource::WebIdentity { role_arn, token_file, session, sts } => {
            web_identity(fetch, sts, role_arn, session, token_file).await
        }
        AwsSource::Container { url, token, token_file } => {
            container(fetch, url, token.as_ref(), token_file.as_deref()).await
        }
        AwsSource::Instance { url, role } => instance(fetch, url, role.as_deref()).await,
    }
}

fn token(id: &str, secret: &str, session: Option<&str>, expires_at: Option<UnixMs>) -> Token {
    // When they expire is kept beside them: the signer does not ask.
    let keys = Credentials::new(id, secret, session.map(str::to_owned), None, "freehold");
    Token::new(Credential::Aws(keys), clock::now(), expires_at)
}

/// A profile's keys, through the profiles whose roles it takes.
async fn of_profile(
    fetch: &Fetch,
    profiles: &Profiles,
    name: &str,
    sts: &BaseUrl,
    region: &str,
) -> Result<Token, Trouble> {
    // From the profile that was named to the one that has keys; then back, taking each role with what came before.
    let mut roles = Vec::new();
    let mut name = name.to_owned();
    let mut keys = loop {
        match profiles.find(&name)? {
            Found::Keys { id, secret, session } => {
                break token(&id, &secret, session.as_deref(), Some(clock::now() + READ_AGAIN_MS));
            }
            Found::WebIdentity { role_arn, session, token_file } => {
                break web_identity(fetch, sts, &role_arn, &session, &token_file).await?;
            }
            Found::Role { role_arn, session, external_id, source } => {
                roles.push((role_arn, session, external_id));
                if roles.len() > LONGEST_CHAIN {
                    return Err(Trouble::Unavailable(format!(
                        "profile `{name}` takes a role of a profile that takes a role, more than {LONGEST_CHAIN} deep"
                    )));
                }
                name = source;
            }
        }
    };
    while let Some((role_arn, session, external_id)) = roles.pop() {
        let mut fields = vec![("Action", "AssumeRole"), ("Version", STS_VERSION)];
        fields.extend([("RoleArn", role_arn.as_str()), ("RoleSessionName", session.as_str())]);
        fields.extend(external_id.as_deref().map(|id| ("ExternalId", id)));
        keys = taken(fetch, sts, &fields, region, &keys).await?;
    }
    Ok(keys)
}

async fn web_identity(
    fetch: &Fetch,
    sts: &BaseUrl,
    role_arn: &str,
    session: &str,
    token_file: &str,
) -> Result<Token, Trouble> {
    let token = fetch::token_file(token_file).await?;
    let body = fetch::form(&[
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", STS_VERSION),
        ("RoleArn", role_arn),
        ("RoleSessionName", session),
        ("WebIdentityToken", &token),
    ]);
    let ask = Ask {
        method: Method::POST,
        base: sts,
        rest: "/",
        headers: &[("accept", "application/xml")],
        body: Some((FORM, body)),
        secrets: &[&token],
    };
    from_xml(&fetch.send(ask).await?)
}

/// Takes a role with keys: the only request to a giver of keys that is signed itself.
async fn taken(
    fetch: &Fetch,
    sts: &BaseUrl,
    fields: &[(&str, &str)],
    region: &str,
    with: &Token,
) -> Result<Token, Trouble> {
    let ours = || Trouble::Unavailable("the request to STS cannot be made".into());
    let Credential::Aws(keys) = with.credential() else { return Err(ours()) };
    let body = Bytes::from(fetch::form(fields));
    let mut request = Request::post(format!("{sts}/")).body(Full::new(body.clone())).map_err(|_| ours())?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/xml"));
    let scope = Scope { region, service: "sts", at: clock::now() };
    sigv4::sign_request(&mut request, &body, keys, &scope).ok_or_else(ours)?;
    let ask = Ask { method: Method::POST, base: sts, rest: "/", headers: &[], body: None, secrets: &[] };
    from_xml(&fetch.send_ready(ask, request).await?)
}

fn from_xml(body: &[u8]) -> Result<Token, Trouble> {
    let text = String::from_utf8_lossy(body);
    let field = |tag: &str| {
        fetch::xml(&text, tag).ok_or_else(|| Trouble::Unavailable(format!("the answer of STS has no `{tag}`")))
    };
    let expires_at = instant(field("Expiration")?, "STS")?;
    Ok(token(field("AccessKeyId")?, field("SecretAccessKey")?, Some(field("SessionToken")?), Some(expires_at)))
}

async fn container(
    fetch: &Fetch,
    url: &BaseUrl,
    token: Option<&Secret>,
    token_file: Option<&str>,
) -> Result<Token, Trouble> {
    let token = match token_file {
        Some(path) => Some(fetch::token_file(path).await?),
        None => token.map(|token| token.expose().to_owned()),
    };
    let headers: Vec<(&str, &str)> = token.iter().map(|token| ("authorization", token.as_str())).collect();
    let secrets: Vec<&str> = token.iter().map(String::as_str).collect();
    let ask = Ask { method: Method::GET, base: url, rest: "", headers: &headers, body: None, secrets: &secrets };
    from_json(&fetch.send(ask).await?, "the container's agent")
}

/// Version 2 of the metadata service: a session first, so that a request somebody tricked a server into sends no keys anywhere.
async fn instance(fetch: &Fetch, url: &BaseUrl, role: Option<&str>) -> Result<Token, Trouble> {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let ask = Ask {
        method: Method::PUT,
        base: url,
        rest: "/latest/api/token",
        headers: &[("x-aws-ec2-metadata-token-ttl-seconds", INSTANCE_SESSION_S)],
        body: None,
        secrets: &[],
    };
    let session = fetch.send(ask).await?;
    let session = String::from_utf8_lossy(&session).trim().to_owned();
    let get = async |rest: &str| {
        let headers = [("x-aws-ec2-metadata-token", session.as_str())];
        fetch
            .send(Ask { method: Method::GET, base: url, rest, headers: &headers, body: None, secrets: &[&session] })
            .await
    };
    let role = match role {
        Some(role) => role.to_owned(),
        None => {
            let listed = get(ROLES).await?;
            let listed = String::from_utf8_lossy(&listed).trim().to_owned();
            let mut roles = listed.lines();
            match (roles.next(), roles.next()) {
                (Some(only), None) if !only.is_empty() => only.to_owned(),
                _ => return Err(Trouble::Refused("the instance has no role, or several; name one with `role`".into())),
            }
        }
    };
    let role = wire::dialect::path_segment(&role);
    from_json(&get(&format!("{ROLES}{role}")).await?, "the metadata service")
}

fn from_json(body: &[u8], whose: &str) -> Result<Token, Trouble> {
    let answer: Value = fetch::json(body, whose)?;
    if let Some(code) = answer["Code"].as_str().filter(|code| *code != "Success") {
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        return Err(Trouble::Unavailable(format!("{whose} answered with the code {code}")));
    }
    let field = |name| fetch::text(&answer, name, whose);
    let expires_at = instant(field("Expiration")?, whose)?;
    Ok(token(field("AccessKeyId")?, field("SecretAccessKey")?, Some(field("Token")?), Some(expires_at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_sts_are_read_and_a_missing_one_is_named() {
        let xml = "<R><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey>\
                   <SessionToken>T</SessionToken><Expiration>2026-11-25T04:09:20Z</Expiration></Credentials></R>";
        let token = from_xml(xml.as_bytes()).unwrap();
        assert_eq!(token.expires_at(), Some(UnixMs(1_795_579_760_000)));
        let Trouble::Unavailable(why) = from_xml(xml.replace("SessionToken", "X").as_bytes()).unwrap_err() else {
            panic!("a broken answer refuses nothing")
        };
        assert!(why.contains("SessionToken"), "{why}");
    }
}
