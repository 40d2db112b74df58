//! Reads Anthropic's usage, whose input tokens exclude the cache and whose streamed totals replace one another.

use domain::{Meter, Usage};

use super::{Beside, Reported};
use crate::cursor::{Bad, Cursor};

/// Splits one whole Anthropic `usage` object (its JSON text). `None` when it is no object or
/// does not say what was sent.
pub fn anthropic_usage(json: &[u8]) -> Option<Reported> {
    let mut tally = Tally::default();
    (tally.merge(json) && tally.is_complete()).then(|| tally.reported())
}

/// The counts of one answer, as the events of its stream replace them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Sent, neither served by the cache nor stored in it.
    input: u64,
    cache_read: u64,
    /// All stored tokens. Later events name this total only, and it may outgrow the split of the first one.
    cache_write: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    /// Received, thinking included.
    output: u64,
    thinking: u64,
    web_searches: u64,
    /// Where it was processed, as `inference_geo` says.
    geography: Option<String>,
    /// What calls of models within the answer consumed; the totals above leave them out.
    beside: Vec<Beside>,
    /// Whether the tokens sent were ever named.
    knows_input: bool,
}

impl Tally {
    /// Takes a `usage` object (its JSON text): what it names replaces what was known, for the figures are cumulative. False
    /// when it is no object or counts nothing we know.
    pub fn merge(&mut self, json: &[u8]) -> bool {
        let mut next = self.clone();
        let named = next.read(&mut Cursor::new(json));
        if named == Ok(true) {
            *self = next;
        }
        named == Ok(true)
    }

    /// Whether the counts are a whole usage. A stream that lost its opening event never says what was sent: that is a usage
    /// missing, not an input of zero.
    pub fn is_complete(&self) -> bool {
        self.knows_input
    }

    /// The counts so far, split. Stored tokens that the split by lifetime does not explain stand on the lifetime that alone
    /// was used, or on five minutes.
    pub fn reported(&self) -> Reported {
        let (short, long) = (self.cache_write_5m, self.cache_write_1h);
        let residue = self.cache_write.saturating_sub(short.saturating_add(long));
        let only_long = long > 0 && short == 0;
        let thinking = self.thinking.min(self.output);
        let usage = Usage::ZERO
            .with(Meter::Input, self.input)
            .with(Meter::CacheRead, self.cache_read)
            .with(Meter::CacheWrite5m, if only_long { short } else { short.saturating_add(residue) })
            .with(Meter::CacheWrite1h, if only_long { long.saturating_add(residue) } else { long })
            .with(Meter::Output, self.output - thinking)
            .with(Meter::Reasoning, thinking)
            .with(Meter::WebSearches, self.web_searches);
        // Without any split there is nothing to be left over: five minutes is then the only lifetime.
        let explained = short > 0 || long > 0;
        let residue = if explained { residue } else { 0 };
        Reported { residue, geography: self.geography.clone(), beside: self.beside.clone(), ..Reported::of(usage) }
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Bad> {
        let mut named = false;
        cursor.object(|cursor, member| {
            let slot = match &*member.key.name(cursor.bytes()) {
                b"input_tokens" => {
                    if let Some(count) = cursor.count_or_skip()? {
                        (self.input, self.knows_input, named) = (count, true, true);
                    }
                    return Ok(());
                }
                b"cache_read_input_tokens" => &mut self.cache_read,
                b"cache_creation_input_tokens" => &mut self.cache_write,
                b"output_tokens" => &mut self.output,
                b"inference_geo" => {
                    if let Some(word) = cursor.string_or_skip()? {
                        self.geography = word.decode(cursor.bytes()).map(|word| word.into_owned());
                    }
                    return Ok(());
                }
                b"iterations" if cursor.peek() == Some(b'[') => {
                    let mut beside = Vec::new();
                    cursor.array(|cursor| {
                        let span = cursor.value()?;
                        beside.extend(iteration(&cursor.bytes()[span]));
                        Ok(())
                    })?;
                    self.beside = beside;
                    return Ok(());
                }
                b"cache_creation" => {
                    return self.inner(cursor, |tally, key| match key {
                        b"ephemeral_5m_input_tokens" => Some(&mut tally.cache_write_5m),
                        b"ephemeral_1h_input_tokens" => Some(&mut tally.cache_write_1h),
                        _ => None,
                    });
                }
                b"output_tokens_details" => {
                    return self.inner(cursor, |tally, key| (key == b"thinking_tokens").then_some(&mut tally.thinking));
                }
                b"server_tool_use" => {
                    return self.inner(cursor, |tally, key| {
                        (key == b"web_search_requests").then_some(&mut tally.web_searches)
                    });
                }
                _ => return cursor.skip(),
            };
            if let Some(count) = cursor.count_or_skip()? {
                *slot = count;
                named = true;
            }
            Ok(())
        })?;
        Ok(named)
    }

    /// An object inside the usage; `slot` says where each of its figures goes.
    fn inner(
        &mut self,
        cursor: &mut Cursor<'_>,
        slot: impl for<'t> Fn(&'t mut Tally, &[u8]) -> Option<&'t mut u64>,
    ) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            let count = cursor.count_or_skip()?;
            if let (Some(slot), Some(count)) = (slot(self, &name), count) {
                *slot = count;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// An iteration (its JSON text) that the totals leave out: a compaction, as Anthropic's SDK documents, and an advisor, which is billed
/// at its own model's rates. Iterations of other types are parts of the totals already.
fn iteration(json: &[u8]) -> Option<Beside> {
    let (mut cursor, mut kind, mut model) = (Cursor::new(json), None, None);
    cursor
        .object(|cursor, member| {
            match &*member.key.name(json) {
                b"type" => kind = cursor.string_or_skip()?,
                b"model" => model = cursor.string_or_skip()?,
                _ => cursor.skip()?,
            }
            Ok(())
        })
        .ok()?;
    let model = match &json[kind?.span] {
        b"compaction" => None,
        b"advisor_message" => Some(model?.decode(json)?.into_owned()),
        _ => return None,
    };
    Some(Beside { model, usage: anthropic_usage(json)?.usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_excludes_the_cache_and_output_includes_thinking() {
        let read = anthropic_usage(
            br#"{"input_tokens":10,"cache_read_input_tokens":200,"cache_creation_input_tokens":30,
                "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},
                "output_tokens":50,"output_tokens_details":{"thinking_tokens":40},"server_tool_use":{"web_search_requests":2}}"#,
        )
        .unwrap();
        let expected = Usage::ZERO
            .with(Meter::Input, 10)
            .with(Meter::CacheRead, 200)
            .with(Meter::CacheWrite5m, 20)
            .with(Meter::CacheWrite1h, 10)
            .with(Meter::Output, 10)
            .with(Meter::Reasoning, 40)
            .with(Meter::WebSearches, 2);
        assert_eq!((read.usage, read.residue), (expected, 0));
    }

    #[test]
    fn later_totals_replace_earlier_ones() {
        let mut tally = Tally::default();
        assert!(tally.merge(br#"{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}"#));
        assert!(tally.merge(br#"{"output_tokens":7}"#));
        assert!(tally.merge(br#"{"output_tokens":9,"input_tokens":12,"cache_read_input_tokens":null}"#));
        let usage = tally.reported().usage;
        assert_eq!((usage.get(Meter::Input), usage.get(Meter::CacheRead), usage.get(Meter::Output)), (12, 5, 9));
    }

    #[test]
    fn stored_tokens_that_outgrow_their_split_are_a_residue() {
        // BerriAI/litellm#42663: the split comes once, in message_start; the total keeps growing.
        let mut tally = Tally::default();
        tally.merge(br#"{"input_tokens":1,"cache_creation_input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":100},"output_tokens":1}"#);
        tally.merge(br#"{"output_tokens":5,"cache_creation_input_tokens":160}"#);
        let read = tally.reported();
        assert_eq!(
            (read.usage.get(Meter::CacheWrite1h), read.usage.get(Meter::CacheWrite5m), read.residue),
            (160, 0, 60)
        );
    }

    #[test]
    fn stored_tokens_without_a_split_are_of_five_minutes() {
        let read =
            anthropic_usage(br#"{"input_tokens":1,"cache_creation_input_tokens":100,"output_tokens":1}"#).unwrap();
        assert_eq!((read.usage.get(Meter::CacheWrite5m), read.residue), (100, 0));
    }

    #[test]
    fn what_counts_nothing_is_no_usage() {
        for nothing in ["{}", "null", r#"{"input_tokens":null}"#, r#"{"output_tokens":3}"#, "{\"input_tokens\":"] {
            assert_eq!(anthropic_usage(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
