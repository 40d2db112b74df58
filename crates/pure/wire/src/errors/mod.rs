//! Reads what providers' errors mean, and writes ours in the client's dialect, so that its SDK raises the right exception.

mod answer;
mod upstream;

pub use answer::{client_error, error_body, error_frame, error_frame_after, error_type, loss_header};
pub(crate) use upstream::exception_fault;
pub use upstream::{embedded_fault, upstream_fault};

use domain::Blame;

/// An error as the client is to see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientError {
    /// HTTP status; it decides the exception an SDK raises.
    pub status: u16,
    /// A stable code, such as `budget_spent` or [`domain::FaultClass::as_str`].
    pub code: String,
    /// What happened and what to do next.
    pub message: String,
    /// Who has to act.
    pub blame: Blame,
    /// Whether the same request may succeed later.
    pub retry: Retry,
    /// Whether anything was booked for the call.
    pub billed: bool,
    /// The call's id.
    pub call: String,
    /// The field of the request concerned.
    pub param: Option<String>,
}

/// Whether the same request may succeed later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Not without changing something.
    No,
    /// After this many milliseconds.
    After(u64),
    /// At once.
    Now,
}
