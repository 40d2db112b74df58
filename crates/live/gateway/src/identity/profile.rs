//! AWS's shared files, `credentials` and `config`: what a profile says of where its keys are (AWS SDKs and tools reference
//! guide, shared config and credentials files).

use std::collections::BTreeMap;

use super::fetch::{self, Trouble};

/// The profiles of both files; what `credentials` says of one goes before what `config` says.
pub(super) struct Profiles {
    profiles: BTreeMap<String, BTreeMap<String, String>>,
    file: String,
}

/// Where a profile's keys are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Here.
    Keys { id: String, secret: String, session: Option<String> },
    /// A role, taken with a token.
    WebIdentity { role_arn: String, session: String, token_file: String },
    /// A role, taken with the keys of another profile.
    Role { role_arn: String, session: String, external_id: Option<String>, source: String },
}

/// What other tools do with a profile and this one does not.
const NOT_BUILT: [&str; 5] =
    ["credential_process", "sso_session", "sso_start_url", "login_session", "credential_source"];

impl Profiles {
    /// Reads both files. The configuration file need not exist.
    pub async fn read(credentials: &str, config: &str) -> Result<Profiles, Trouble> {
        let first = fetch::file(credentials).await?;
        let second = fetch::file(config).await.unwrap_or_default();
        Ok(Profiles::of(credentials, &first, &second))
    }

    fn of(file: &str, credentials: &str, config: &str) -> Profiles {
        let mut profiles = BTreeMap::new();
        take(&mut profiles, config, true);
        take(&mut profiles, credentials, false);
        Profiles { profiles, file: file.to_owned() }
    }

    /// Where the keys of a profile are.
    pub fn find(&self, name: &str) -> Result<Found, Trouble> {
        let missing = |what: String| Trouble::Refused(format!("{what} in `{}` and the `config` beside it", self.file));
        let Some(profile) = self.profiles.get(name) else {
            return Err(missing(format!("there is no profile `{name}`")));
        };
        let get = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
        let session = || get("role_session_name").unwrap_or_else(|| "freehold".to_owned());
        if let Some(role_arn) = get("role_arn") {
            if let Some(token_file) = get("web_identity_token_file") {
                return Ok(Found::WebIdentity { role_arn, session: session(), token_file });
            }
            // A profile may be its own source: then its keys take its role.
            match get("source_profile") {
                Some(source) if source == name => {}
                Some(source) => {
                    return Ok(Found::Role { role_arn, session: session(), external_id: get("external_id"), source });
                }
                None => return Err(missing(format!("profile `{name}` takes a role with nothing that is understood"))),
            }
        }
        if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
            return Ok(Found::Keys { id, secret, session: get("aws_session_token") });
        }
        Err(match NOT_BUILT.iter().find(|key| profile.contains_key(**key)) {
            Some(key) => missing(format!("profile `{name}` has `{key}`, which is not built; it stands")),
            None => missing(format!("profile `{name}` has no keys")),
        })
    }
}

/// Reads sections `[name]`, in the configuration file `[profile name]`, and their lines `key = value`. Lines that are indented
/// belong to a nested setting of a service, and are left out.
fn take(profiles: &mut BTreeMap<String, BTreeMap<String, String>>, text: &str, is_config: bool) {
    let mut current: Option<&mut BTreeMap<String, String>> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.trim())
        {
            let name = match (is_config, name.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t']))) {
                (true, Some(rest)) => Some(rest.trim()),
                (true, None) if name != "default" => None,
                _ => Some(name),
            };
            current = name.map(|name| profiles.entry(name.to_owned()).or_default());
            continue;
        }
        if line.starts_with([' ', '\t']) {
            continue;
        }
        if let (Some(profile), Some((key, value))) = (current.as_mut(), trimmed.split_once('=')) {
            // A comment may follow a value after white space.
            let value = value.split(" #").next().unwrap_or_default().split(" ;").next().unwrap_or_default();
            profile.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = A\naws_secret_access_key=S/+=\n# a comment\n\n\
        [temporary]\naws_access_key_id=B\naws_secret_access_key=T\naws_session_token=U\n";
    const CONFIG: &str = "[default]\nregion = eu-central-1\ns3 =\n  aws_access_key_id = nested\n\
        [profile prod]\nrole_arn = arn:role ; why\nsource_profile = default\nexternal_id = x\n\
        [profile irsa]\nrole_arn=arn:r\nweb_identity_token_file=/t\nrole_session_name=me\n\
        [profile sso]\nsso_session = corp\n[sso-session corp]\naws_access_key_id = never\n";

    #[test]
    fn a_profile_leads_to_its_keys() {
        let profiles = Profiles::of("c", CREDENTIALS, CONFIG);
        let keys = |id: &str, secret: &str, session: Option<&str>| Found::Keys {
            id: id.into(),
            secret: secret.into(),
            session: session.map(Into::into),
        };
        assert_eq!(profiles.find("default").unwrap(), keys("A", "S/+=", None));
        assert_eq!(profiles.find("temporary").unwrap(), keys("B", "T", Some("U")));
        let role = Found::Role {
            role_arn: "arn:role".into(),
            session: "freehold".into(),
            external_id: Some("x".into()),
            source: "default".into(),
        };
        assert_eq!(profiles.find("prod").unwrap(), role);
        let token = Found::WebIdentity { role_arn: "arn:r".into(), session: "me".into(), token_file: "/t".into() };
        assert_eq!(profiles.find("irsa").unwrap(), token);
    }

    #[test]
    fn what_is_not_built_is_named() {
        let profiles = Profiles::of("c", CREDENTIALS, CONFIG);
        for (name, word) in [("sso", "`sso_session`"), ("nobody", "no profile `nobody`"), ("corp", "no profile")] {
            let Trouble::Refused(why) = profiles.find(name).unwrap_err() else { panic!("nothing was asked") };
            assert!(why.contains(word), "{why}");
        }
    }
}
