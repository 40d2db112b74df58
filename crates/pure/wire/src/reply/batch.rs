//! Relays what a request of a batch was answered, as a live answer is.

use domain::Fault;

use super::frame::{Changes, Ours, not_json, quoted};
use super::plan::Seen;
use super::{anthropic, openai, responses};
use crate::dialect::Dialect;
use crate::kept::Ids;
use crate::maker::Maker;
use crate::usage::Reported;

/// What the client calls what stands in results.
#[derive(Clone, Debug)]
pub struct Names {
    /// The model, as it was asked for.
    pub asked_model: String,
    /// Whose tag stands before what the provider signed or encrypted.
    pub maker: Maker,
    /// Answers that the provider keeps.
    pub ids: Ids,
}

/// What a line tells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResultLine {
    /// Whether there is an answer in it: a request that came to nothing is billed by nobody.
    pub answered: bool,
    /// What was consumed, as reported.
    pub usage: Option<Reported>,
}

/// Relays what a request of a batch was answered into `out`, and returns what that consumed; an error passes as it is.
pub(crate) fn result_body(
    dialect: Dialect,
    names: &Names,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<ResultLine, Fault> {
    let Names { asked_model, maker, ids } = names;
    if dialect == Dialect::OpenAiResponses {
        let (told, stored) = responses::stored(ids, asked_model, *maker, body)?;
        out.extend_from_slice(&told);
        return Ok(ResultLine { answered: true, usage: stored.owed() });
    }
    let mut seen = Seen::default();
    let read = match dialect {
        Dialect::Anthropic => anthropic::body(body, &mut seen),
        _ => openai::body(body, &mut seen),
    };
    let read = read.map_err(not_json)?;
    if read.error {
        out.extend_from_slice(body);
        return Ok(ResultLine::default());
    }
    let changes = Changes { model: read.model, tags: read.tags, ..Changes::default() };
    changes.write(body, &Ours { asked_model: quoted(asked_model), maker: *maker }, |position| position, out);
    Ok(ResultLine { answered: true, usage: seen.reported() })
}
