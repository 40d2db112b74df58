//! The style, the script and the icon: embedded in the binary, so a page never asks any other host for anything.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// One embedded file.
#[derive(Debug)]
pub struct Asset {
    /// Where it is served.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// How pages look.
pub const STYLE: Asset = Asset {
    path: "/assets/style.css",
    media_type: "text/css; charset=utf-8",
    text: include_str!("../assets/style.css"),
};
/// What renews live parts; pages work without it.
pub const SCRIPT: Asset = Asset {
    path: "/assets/console.js",
    media_type: "text/javascript; charset=utf-8",
    text: include_str!("../assets/console.js"),
};
/// The mark in the browser's tab.
pub const ICON: Asset =
    Asset { path: "/assets/icon.svg", media_type: "image/svg+xml", text: include_str!("../assets/icon.svg") };

/// Every embedded file.
pub const ALL: &[&Asset] = &[&STYLE, &SCRIPT, &ICON];

/// Addresses of the assets as pages write them. Each carries a print of the file, so a browser may keep it for ever and
/// still sees the new one after an upgrade.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Of [`STYLE`].
    pub style: String,
    /// Of [`SCRIPT`].
    pub script: String,
    /// Of [`ICON`].
    pub icon: String,
}

impl Addresses {
    /// The addresses of this build.
    pub fn new() -> Addresses {
        Addresses { style: address(&STYLE), script: address(&SCRIPT), icon: address(&ICON) }
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self::new()
    }
}

fn address(asset: &Asset) -> String {
    format!("{}?v={:016x}", asset.path, print(asset.text))
}

/// FNV-1a, 64 bits: it tells versions of a file apart and guards nothing.
fn print(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The file as an answer.
pub fn answer(asset: &'static Asset) -> Response {
    let headers =
        [(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_has_another_address() {
        assert_ne!(print("a"), print("b"));
        assert_eq!(print(""), 0xcbf2_9ce4_8422_2325);
    }

    #[test]
    fn the_style_asks_no_other_host_for_anything() {
        for asset in ALL {
            let text = asset.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://") && !text.contains("@import"), "{}", asset.path);
        }
    }
}
