//! What is to be asked of a provider, in whichever dialect it is then said.

use crate::maker::Maker;
use crate::quirks::Quirks;

/// What is to be asked of the provider.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The model's id at the provider.
    pub upstream_model: &'a str,
    /// How the provider's server departs from its dialect.
    pub quirks: &'a Quirks,
    /// A cap on output tokens to insert when the client named none.
    pub insert_max_output: Option<u64>,
    /// The cap sent where the dialect requires one and neither the client nor `insert_max_output` names it.
    pub default_max_output: u64,
    /// The provider: what carries its tag is given back to it, what carries another's is not sent.
    pub maker: Maker,
    /// Whether another provider is taken for the maker of what carries no tag and only its maker can read or has.
    pub foreign: bool,
}
