//! Going on with an answer whose provider broke off: what another model is asked, and how what it says joins what was said.
//!
//! The client sees one stream. So what was said is told once more to a writer of the client's dialect, whose frames nobody
//! gets: it then stands where the client stands, with the same ids and the next numbers.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use domain::{Fault, FaultClass, Loss, LossKind};

use crate::canonical::{Content, Event, Losses, Message, Part, Placed, Role, Target};
use crate::dialect::{Dialect, Operation};
use crate::dialects::{WriteStream, anthropic, grammar};
use crate::hosting;
use crate::overlap::Overlap;
use crate::quirks::{Prefill, Quirks};
use crate::request::{Ask, Outgoing};
use crate::spoken::{Speech, Spoken};

/// What a model is told that cannot simply go on with the beginning of an answer.
const INSTRUCTION: &str = "The connection broke while your last message was being sent, and only what stands above reached the \
                           reader. Go on exactly where it stops, with the very next character. Repeat nothing of it, and add no \
                           introduction and no remark.";

/// An answer that broke off, and what the client knows it by.
#[derive(Clone, Debug)]
pub struct GoingOn {
    /// What it said.
    pub said: Spoken,
    /// Its id, as the client was told.
    pub id: String,
}

/// How a model is had to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// It goes on with a last message of its own.
    Started,
    /// It is told to.
    Told,
    /// It is asked anew: only thoughts had come.
    Anew,
}

impl GoingOn {
    /// How this model is had to go on.
    pub fn way(&self, upstream: Dialect, model: &str, quirks: &Quirks) -> Way {
        let starts = match upstream {
            Dialect::Anthropic => anthropic::goes_on_with_a_started_answer(model),
            // Other vendors' models at Bedrock refuse it, or were not tried.
            Dialect::BedrockConverse => model.contains("claude-") && anthropic::goes_on_with_a_started_answer(model),
            Dialect::OpenAiChat => quirks.prefill != Prefill::None,
            Dialect::OpenAiResponses | Dialect::Gemini | Dialect::Cohere => false,
        };
        match self.said.text().trim().is_empty() {
            true => Way::Anew,
            false if starts => Way::Started,
            false => Way::Told,
        }
    }

    /// Bytes that the prompt grows by at most.
    pub fn prompt_bytes(&self) -> u64 {
        (self.said.text().len() + INSTRUCTION.len()) as u64
    }

    /// Makes the body for a provider that speaks `upstream`, from the client's body. `said_tokens` is what the answer so far
    /// has used of a cap on its output.
    pub fn outgoing(
        &self,
        client: Dialect,
        body: &Bytes,
        upstream: Dialect,
        ask: &Ask<'_>,
        said_tokens: u64,
    ) -> Result<Outgoing, Fault> {
        let body =
            std::str::from_utf8(body).map_err(|_| Fault::new(FaultClass::BadRequest, "the body is not UTF-8"))?;
        let mut losses = Losses::default();
        let mut request = grammar(client).read_request(body, &mut losses)?;
        request.stream = true;
        let way = self.way(upstream, ask.upstream_model, ask.quirks);
        let text = self.said.text();
        let mut say = |role, text| {
            let part = Part::new(AT, Content::Text(text));
            request.messages.push(Message { at: AT.to_owned(), role, name: None, parts: vec![part] });
        };
        match way {
            Way::Anew => {}
            Way::Started => say(Role::Assistant, Cow::Borrowed(text.trim_end())),
            Way::Told => {
                say(Role::Assistant, Cow::Borrowed(&*text));
                say(Role::User, Cow::Borrowed(INSTRUCTION));
            }
        }
        if way == Way::Started {
            // The thinking is done, and a started answer leaves no room for more.
            request.reasoning = None;
        }
        let less = |cap: u64| cap.saturating_sub(said_tokens).max(1);
        request.max_output = request.max_output.map(|cap| Placed { value: less(cap.value), ..cap });
        let target = Target {
            model: ask.upstream_model,
            quirks: ask.quirks,
            insert_max_output: ask.insert_max_output.map(less),
            default_max_output: ask.default_max_output,
            maker: ask.maker,
            starts: way == Way::Started,
        };
        let out = grammar(upstream).write_request(&request, &target, &mut losses)?;
        let operation = Operation::Chat;
        let own = operation.path(upstream, ask.upstream_model, true, false);
        let own = own
            .filter(|_| ask.quirks.hosting.has(upstream, operation))
            .ok_or_else(|| Fault::new(FaultClass::Untranslatable, format!("{upstream} has no {operation}")))?;
        let path = ask.quirks.hosting.path(upstream, operation, ask.upstream_model, true, own);
        let body = match ask.quirks.hosting.version_for_model(upstream, operation) {
            Some(version) => hosting::body_with_version_for_model(out, ask.quirks.hosting, version),
            None => Bytes::from(out),
        };
        // Of what this form does not say, what a started answer means is said by the loss of going on itself.
        let losses = losses.into_list().into_iter().filter(|loss| loss.pointer != AT).collect();
        Ok(Outgoing { path, body, edits: Vec::new(), losses, stream: true })
    }

    /// What the record says of it.
    pub fn loss(&self, way: Way, model: &str, class: FaultClass) -> Loss {
        let how = match way {
            Way::Started => "went on with the started answer",
            Way::Told => "was told to go on where it stops",
            Way::Anew => "was asked anew, since only thoughts had come",
        };
        let reason =
            format!("the answer begins with what {model} said before it broke off ({class}); this model {how}");
        Loss { pointer: String::new(), kind: LossKind::Approximated, reason }
    }
}

/// Where in the request the words stand that we add; no body of a client's has this place.
const AT: &str = "/(continuation)";

/// The seam, while the rest of an answer comes.
pub(crate) struct Seam {
    overlap: Overlap,
    /// Whether text was said before, so that no thought belongs here any more.
    had_text: bool,
    /// Whether anything of the rest has come but thoughts: until then what ends is no block of the client's.
    began: bool,
}

impl Seam {
    pub fn new(going_on: &GoingOn, way: Way) -> Seam {
        let text = going_on.said.text();
        let overlap = match way {
            Way::Told => Overlap::after(&text),
            Way::Started => Overlap::after_white_space(&text),
            Way::Anew => Overlap::after_white_space(""),
        };
        Seam { overlap, had_text: !text.is_empty(), began: false }
    }

    /// Writes an event of the rest, as far as it belongs there.
    pub fn write(
        &mut self,
        event: &Event<'_>,
        writer: &mut dyn WriteStream,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match event {
            // It began long ago.
            Event::Start { .. } => return Ok(()),
            Event::Thinking(_) | Event::RedactedThinking(_) | Event::Signature(_) if self.had_text => return Ok(()),
            Event::BlockEnd if self.had_text && !self.began => return Ok(()),
            Event::Text(text) => {
                self.began = true;
                if self.overlap.is_over() {
                    return writer.write(event, losses, out);
                }
                return match self.overlap.take(text) {
                    Some(text) => writer.write(&Event::Text(text.into()), losses, out),
                    None => Ok(()),
                };
            }
            Event::Usage(_) | Event::ServiceTier(_) | Event::Ping | Event::Thinking(_) => {}
            _ if !self.overlap.is_over() => {
                if let Some(text) = self.overlap.flush() {
                    writer.write(&Event::Text(text.into()), losses, out)?;
                }
            }
            _ => {}
        }
        self.began |= matches!(event, Event::ToolStart { .. } | Event::Refusal(_));
        writer.write(event, losses, out)
    }
}

/// Has a writer stand where the client stands.
pub(crate) fn stand_after(going_on: &GoingOn, writer: &mut dyn WriteStream) -> Result<(), Fault> {
    let (mut losses, mut nobody) = (Losses::default(), Vec::new());
    let mut tell = |writer: &mut dyn WriteStream, event: Event<'_>| {
        nobody.clear();
        writer.write(&event, &mut losses, &mut nobody)
    };
    tell(writer, Event::Start { id: None, created_unix_s: None })?;
    for piece in going_on.said.pieces() {
        let text = Cow::Borrowed(piece.text.as_str());
        match piece.speech {
            Speech::Thinking => tell(writer, Event::Thinking(text))?,
            Speech::Text | Speech::Other => tell(writer, Event::Text(text))?,
        }
        if piece.closed {
            tell(writer, Event::BlockEnd)?;
        }
    }
    writer.stand_at(going_on.said.events, going_on.said.item.as_deref());
    Ok(())
}
