//! Gives back to a provider what it signed or encrypted, exactly as it made it, and keeps that from every other provider.
//!
//! What carries a maker's tag goes to that maker without the tag. What carries none came to the client before Freehold stood
//! between, or from elsewhere: it is taken for the work of the provider that is tried first in its own dialect, and goes to no
//! other. What is signed with nothing goes to nobody: whoever checks signatures refuses it.

use std::collections::BTreeMap;

use domain::{Fault, FaultClass, Loss, LossKind};

use crate::ask::Ask;
use crate::dialects::gemini;
use crate::scan::{Head, MadeBy, Piece, Signed, Whole};
use crate::splice::Splice;

/// What a thought costs that is left out.
const THOUGHT: &str = "only the provider that made this can read it, and another one is asked: the answer goes on without it, \
                       and the model may spend tokens to think it anew";

/// The same of one that nobody can be given.
const UNSIGNED: &str = "this thought carries no signature that a provider would take: the answer goes on without it";

/// What it costs that a model may not think on.
const NO_THINKING: &str = "a model that begins to think between a call of a tool and its result is refused; this answer is \
                           made without thinking";

/// Why a request goes to no other provider.
const REFERENCE: &str = "is kept, or was encrypted, by the provider that made it; no other one can be asked with it";

/// Changes what is signed in the body of `head` so that the provider of `ask` can be sent it.
pub(crate) fn give_back(
    splice: &mut Splice<'_>,
    losses: &mut Vec<Loss>,
    body: &[u8],
    head: &Head,
    ask: &Ask<'_>,
) -> Result<(), Fault> {
    let signed = &head.spans.signed;
    if signed.pieces.is_empty() {
        return Ok(());
    }
    let mut cuts = Cuts::default();
    let mut alone = signed.messages.iter().peekable();
    let mut left_out = Vec::new();
    let mut index = 0;
    while let Some(piece) = signed.pieces.get(index) {
        // A message that is made of others' thoughts goes as a whole.
        let whole = alone.next_if(|alone| alone.pieces.start == index);
        if let Some(whole) =
            whole.filter(|whole| signed.pieces[whole.pieces.clone()].iter().all(|one| !is_its_own(one, ask)))
        {
            let cut_before = cuts.one_more(whole.message.list);
            splice.replace(NAME, whole.message.removal(body, cut_before), &b""[..]);
            left_out.extend(signed.pieces[whole.pieces.clone()].iter());
            index = whole.pieces.end;
            continue;
        }
        index += 1;
        if is_its_own(piece, ask) {
            untag(splice, body, piece, ask);
            continue;
        }
        match &piece.whole {
            Whole::Element(element) => {
                splice.replace(NAME, element.removal(body, cuts.one_more(element.list)), &b""[..]);
            }
            Whole::Member { place, in_call } => match gemini::stand_in_signature(ask.upstream_model) {
                Some(any) if *in_call => {
                    splice.replace(NAME, place.member.value.clone(), format!("\"{any}\"").into_bytes())
                }
                _ => splice.replace(NAME, place.member.removal(body, cuts.one_more(place.object)), &b""[..]),
            },
            Whole::Request => {
                return Err(Fault::new(FaultClass::Untranslatable, format!("`{}` {REFERENCE}", piece.at)));
            }
        }
        left_out.push(piece);
    }
    if left_out.is_empty() {
        return Ok(());
    }
    for piece in &left_out {
        let reason = match (&piece.whole, piece.made_by) {
            (Whole::Member { .. }, _) => gemini::SIGNATURE,
            (_, MadeBy::Nobody) => UNSIGNED,
            _ => THOUGHT,
        };
        let loss = Loss { pointer: piece.at.clone(), kind: LossKind::Dropped, reason: reason.into() };
        if !losses.contains(&loss) {
            losses.push(loss);
        }
    }
    without_ids(splice, &mut cuts, body, head);
    without_thinking(splice, losses, head, signed, &left_out);
    Ok(())
}

const NAME: &str = "signature";

/// How many of a list, or of an object, have been cut.
#[derive(Default)]
struct Cuts(BTreeMap<usize, u32>);

impl Cuts {
    /// Counts one more; returns how many there were before.
    fn one_more(&mut self, of: usize) -> u32 {
        let count = self.0.entry(of).or_default();
        *count += 1;
        *count - 1
    }
}

/// Whether the provider that is asked made it, as far as can be told.
fn is_its_own(piece: &Piece, ask: &Ask<'_>) -> bool {
    match piece.made_by {
        MadeBy::Known(maker) => maker == ask.maker,
        MadeBy::Unknown => !ask.foreign,
        MadeBy::Nobody => false,
    }
}

/// Takes the maker's tags off.
fn untag(splice: &mut Splice<'_>, body: &[u8], piece: &Piece, ask: &Ask<'_>) {
    for text in &piece.texts {
        for tag in ask.maker.tags_in(&body[text.clone()]) {
            splice.replace(NAME, text.start + tag.start..text.start + tag.end, &b""[..]);
        }
    }
}

/// An item whose thought is missing is one that its provider does not know any more by its id ("was provided without its
/// required `reasoning` item", OpenAI's API); without the id it is only what it says.
fn without_ids(splice: &mut Splice<'_>, cuts: &mut Cuts, body: &[u8], head: &Head) {
    for id in &head.spans.item_ids {
        splice.replace("id", id.member.removal(body, cuts.one_more(id.object)), &b""[..]);
    }
}

/// A turn that begins without a thought must end without (Anthropic's extended thinking page; the API: "When `thinking` is
/// enabled, a final `assistant` message must start with a thinking block").
fn without_thinking(
    splice: &mut Splice<'_>,
    losses: &mut Vec<Loss>,
    head: &Head,
    signed: &Signed,
    left_out: &[&Piece],
) {
    let Some(thinking) = &head.spans.thinking else { return };
    if signed.called.is_some() && left_out.iter().any(|piece| piece.message == signed.called) {
        splice.replace("thinking", thinking.clone(), &br#"{"type":"disabled"}"#[..]);
        losses.push(Loss { pointer: "/thinking".into(), kind: LossKind::Dropped, reason: NO_THINKING.into() });
    }
}
