//! Where pictures and documents are: addresses that hold the bytes themselves, and those that do not.

use std::borrow::Cow;

use domain::Fault;

use super::{Source, is_media_type, refused};

impl<'a> Source<'a> {
    /// What an address stands for: the bytes it holds itself, or a place on the web.
    pub(crate) fn at_address(url: Cow<'a, str>, at: &str) -> Result<Source<'a>, Fault> {
        if !url.starts_with("data:") {
            return Ok(Source::Url(url));
        }
        let must = "must be base64: data:image/png;base64,…";
        let (head, _) = url.split_once(',').ok_or_else(|| refused(at, must))?;
        let media_type = head["data:".len()..].strip_suffix(";base64").ok_or_else(|| refused(at, must))?;
        // Parameters of the type say nothing that a provider takes.
        let media_type = media_type.split(';').next().unwrap_or_default().to_ascii_lowercase();
        if !is_media_type(&media_type) {
            return Err(refused(at, must));
        }
        let from = head.len() + 1;
        let data = match url {
            Cow::Borrowed(url) => Cow::Borrowed(&url[from..]),
            Cow::Owned(url) => Cow::Owned(url[from..].to_owned()),
        };
        Ok(Source::Base64 { media_type: media_type.into(), data })
    }

    /// The address; what is in the body becomes a data address. None for text and for files in a provider's store.
    pub(crate) fn address(&self) -> Option<Cow<'_, str>> {
        match self {
            Source::Url(url) => Some(Cow::Borrowed(url)),
            Source::Base64 { media_type, data } => Some(Cow::Owned(format!("data:{media_type};base64,{data}"))),
            Source::Text(_) | Source::File(_) => None,
        }
    }

    /// Whether it holds a PDF.
    pub(crate) fn is_pdf(&self) -> bool {
        matches!(self, Source::Base64 { media_type, .. } if media_type == "application/pdf")
    }
}
