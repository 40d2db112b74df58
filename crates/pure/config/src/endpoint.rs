//! Addresses with places left open, such as `https://{resource}.openai.azure.com/openai/v1`: the catalog knows the form, and
//! freehold.toml fills in what is one's own.

use std::collections::BTreeMap;

use crate::url::BaseUrl;

/// Places that name where a provider is reached; the catalog knows which there are.
pub(crate) const REGIONAL: [&str; 2] = ["region", "location"];

/// An address with named places left open, each written `{name}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    form: String,
    places: Vec<String>,
}

impl Endpoint {
    /// Reads a form; what is left when each place is filled must be an address.
    pub fn parse(form: &str) -> Result<Endpoint, String> {
        let mut places: Vec<String> = Vec::new();
        let mut rest = form;
        while let Some((_, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a `{` is not closed")?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                return Err(format!("`{{{name}}}` is no place: write lower-case letters and `_`"));
            }
            if !places.iter().any(|known| known == name) {
                places.push(name.to_owned());
            }
            rest = after;
        }
        let endpoint = Endpoint { form: form.to_owned(), places };
        let filled = endpoint.places.iter().map(|place| (place.as_str(), "x")).collect();
        endpoint.fill(&filled)?;
        Ok(endpoint)
    }

    /// The places left open, in the order of the form.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// The form as written.
    pub fn form(&self) -> &str {
        &self.form
    }

    /// The address with every place filled; the error names the first that is not.
    pub fn fill(&self, values: &BTreeMap<&str, &str>) -> Result<BaseUrl, String> {
        let mut address = self.form.clone();
        for place in &self.places {
            let value = values.get(place.as_str()).ok_or_else(|| format!("`{place}` is not filled in"))?;
            address = address.replace(&format!("{{{place}}}"), value);
        }
        BaseUrl::parse(&address)
    }
}

/// Whether a text may stand in an open place: it can then neither add a path, a port or a query, nor name another host's user.
pub(crate) fn fills(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=253).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with(['.', '-'])
        && !text.ends_with(['.', '-'])
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_whole_once_each_place_is_filled() {
        let endpoint =
            Endpoint::parse("https://{location}-x.example/v1/projects/{project}/locations/{location}").unwrap();
        assert_eq!(endpoint.places(), ["location", "project"]);
        let values = BTreeMap::from([("location", "europe-west4"), ("project", "p-1")]);
        let filled = endpoint.fill(&values).unwrap().to_string();
        assert_eq!(filled, "https://europe-west4-x.example/v1/projects/p-1/locations/europe-west4");
        assert!(endpoint.fill(&BTreeMap::from([("location", "a")])).unwrap_err().contains("`project`"));
        for broken in ["https://{", "https://{}.x", "https://{A}.x", "ftp://{a}"] {
            assert!(Endpoint::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_fills_a_place_leads_nowhere_else() {
        for good in ["my-resource", "dbc-1.cloud.databricks.com", "europe-west4", "a_b"] {
            assert!(fills(good), "{good}");
        }
        for bad in ["", "a/b", "a:1", "a@b", "a?b", "..", "a..b", ".a", "a.", "-a", "a b", "é", "a%2f"] {
            assert!(!fills(bad), "{bad}");
        }
    }
}
