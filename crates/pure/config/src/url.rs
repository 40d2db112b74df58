//! Addresses of providers, checked once so that nothing a client sends can ever change where a call goes.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where a provider answers: scheme, host, port and the path that operations are appended to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BaseUrl {
    /// Whether TLS is spoken.
    pub https: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, also where it is the scheme's own.
    pub port: u16,
    /// Empty, or a path that begins with a slash and does not end in one, such as `/v1`.
    pub path: String,
}

impl BaseUrl {
    /// Reads an `http` or `https` URL without user, query and fragment. The error says what is wrong, without the text
    /// itself, which may hold a password.
    pub fn parse(text: &str) -> Result<BaseUrl, String> {
        let (scheme, rest) = text.split_once("://").ok_or("this is no URL")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(format!("the scheme `{other}` is not spoken")),
        };
        if rest.contains('@') {
            return Err("a URL with a user or password would print a credential".to_owned());
        }
        if rest.contains(['?', '#']) {
            return Err("a base URL has no query and no fragment".to_owned());
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte)) {
            return Err("the URL holds characters that must be escaped".to_owned());
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let path = path.trim_end_matches('/');
        if path.split('/').any(|part| part == ".." || part == ".") || path.contains("//") {
            return Err("the path has empty, `.` or `..` parts".to_owned());
        }
        let (host, port) = host_and_port(authority)?;
        let port = port.unwrap_or(if https { 443 } else { 80 });
        Ok(BaseUrl { https, host, port, path: path.to_owned() })
    }

    /// Whether the host is this machine or in a network of one's own, as far as an address or `localhost` can say so.
    pub fn is_private(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
            Ok(IpAddr::V6(address)) => {
                address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
            }
            // A name without a dot is resolved inside the network: a container, a Kubernetes service.
            Err(_) => !self.host.contains('.') || self.host.ends_with(".internal") || self.host.ends_with(".local"),
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or("the IPv6 address is not closed by `]`")?;
            host.parse::<Ipv6Addr>().map_err(|_| "there is no IPv6 address between the brackets")?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or("something stands between `]` and the port")?),
            };
            (host, port)
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || !(host.bytes().all(name) || host.contains(':')) {
        return Err("the host is missing or has characters that no host has".to_owned());
    }
    let port = port
        .map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("the port is no number from 1 to 65535"));
    Ok((host.to_ascii_lowercase(), port.transpose()?))
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.https { "https://" } else { "http://" })?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if self.port != if self.https { 443 } else { 80 } {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_prints_as_it_was_meant() {
        for (text, printed) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("HTTPS://API.OpenAI.com:443/v1/", "https://api.openai.com/v1"),
            ("http://10.0.0.5:8000/v1", "http://10.0.0.5:8000/v1"),
            ("http://[fd00::1]:8000", "http://[fd00::1]:8000"),
            ("http://vllm", "http://vllm"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_could_hide_a_credential_or_another_host_is_refused() {
        for text in [
            "api.openai.com/v1",
            "ftp://x/v1",
            "https://user:secret@x/v1",
            "https://x/v1?key=secret",
            "https://x/v1#a",
            "https://",
            "https:///v1",
            "https://x:0/v1",
            "https://x:99999/v1",
            "https://x:/v1",
            "https://a b/v1",
            "https://x/../v1",
            "https://x//v1",
            "https://[::1/v1",
            "https://[x]/v1",
            "https://[::1]8/v1",
            "https://x\\y/",
        ] {
            let error = BaseUrl::parse(text).expect_err(text);
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn own_networks_are_told_from_the_open_one() {
        let private = |text: &str| BaseUrl::parse(text).unwrap().is_private();
        assert!(
            private("http://127.0.0.1:1")
                && private("http://10.0.0.5")
                && private("http://vllm:8000")
                && private("http://[::1]")
        );
        assert!(!private("http://example.com") && !private("http://8.8.8.8"));
    }
}
