//! Why something asked of control cannot be done, and what to do about it.

use std::io;
use std::path::PathBuf;

use store::StoreError;
use thiserror::Error;

/// Why something asked of control cannot be done.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The store does not answer. Calls go on meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such thing; the sentence says where to look.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for cannot be; the sentence says what would.
    #[error("{0}")]
    Refused(String),
    /// The admin token is not one of ours, or revoked.
    #[error("this is no admin token of this installation; `freehold init` shows the first one, once")]
    WrongToken,
    /// Too many wrong tokens from one address.
    #[error("too many failed logins; try again in {} seconds", retry_after_ms.div_ceil(1000))]
    TooManyLogins {
        /// How long to wait, milliseconds.
        retry_after_ms: u64,
    },
    /// A file or folder below the data folder cannot be used.
    #[error("{}: {error}", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process serves from the data folder.
    #[error("another freehold serves from {} already; stop it, or name another data folder", .0.display())]
    InUse(PathBuf),
}
