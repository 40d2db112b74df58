//! Reads Bedrock's usage, whose input tokens exclude the cache, and which may split what was stored by lifetime.

use domain::{Meter, Usage};

use super::Reported;
use crate::cursor::{Bad, Cursor};

/// Splits a Converse `usage` object (its JSON text). `None` when it is no object or does not say what was sent.
pub fn bedrock_usage(json: &[u8]) -> Option<Reported> {
    let mut counts = Counts::default();
    counts.read(&mut Cursor::new(json)).ok()?;
    let input = counts.input?;
    let split = counts.short.saturating_add(counts.long);
    // What the split does not explain stands on the lifetime that alone was used, or on five minutes.
    let residue = counts.stored.saturating_sub(split);
    let only_long = counts.long > 0 && counts.short == 0;
    let usage = Usage::ZERO
        .with(Meter::Input, input)
        .with(Meter::CacheRead, counts.read)
        .with(Meter::CacheWrite5m, if only_long { 0 } else { counts.short.saturating_add(residue) })
        .with(Meter::CacheWrite1h, if only_long { counts.long.saturating_add(residue) } else { counts.long })
        .with(Meter::Output, counts.output);
    Some(Reported { residue: if split > 0 { residue } else { 0 }, ..Reported::of(usage) })
}

#[derive(Default)]
struct Counts {
    input: Option<u64>,
    output: u64,
    read: u64,
    stored: u64,
    short: u64,
    long: u64,
}

impl Counts {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"inputTokens" => self.input = cursor.count_or_skip()?,
                b"outputTokens" => self.output = cursor.count_or_skip()?.unwrap_or(0),
                b"cacheReadInputTokens" => self.read = cursor.count_or_skip()?.unwrap_or(0),
                b"cacheWriteInputTokens" => self.stored = cursor.count_or_skip()?.unwrap_or(0),
                b"cacheDetails" if cursor.peek() == Some(b'[') => {
                    cursor.array(|cursor| self.detail(cursor))?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn detail(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        let (mut an_hour, mut tokens) = (false, 0);
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"ttl" => {
                    let ttl = cursor.string_or_skip()?;
                    an_hour = ttl.is_some_and(|ttl| &cursor.bytes()[ttl.span] == b"1h");
                }
                b"inputTokens" => tokens = cursor.count_or_skip()?.unwrap_or(0),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        let slot = if an_hour { &mut self.long } else { &mut self.short };
        *slot = slot.saturating_add(tokens);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_excludes_the_cache_and_what_was_stored_is_split_by_lifetime() {
        let read = bedrock_usage(
            br#"{"inputTokens":10,"outputTokens":50,"totalTokens":290,"cacheReadInputTokens":200,"cacheWriteInputTokens":30,
                "cacheDetails":[{"ttl":"1h","inputTokens":10},{"ttl":"5m","inputTokens":20}]}"#,
        )
        .unwrap();
        let expected = Usage::ZERO
            .with(Meter::Input, 10)
            .with(Meter::CacheRead, 200)
            .with(Meter::CacheWrite5m, 20)
            .with(Meter::CacheWrite1h, 10)
            .with(Meter::Output, 50);
        assert_eq!((read.usage, read.residue), (expected, 0));
    }

    #[test]
    fn stored_tokens_without_a_split_are_of_five_minutes() {
        let read = bedrock_usage(br#"{"inputTokens":1,"outputTokens":1,"cacheWriteInputTokens":9}"#).unwrap();
        assert_eq!((read.usage.get(Meter::CacheWrite5m), read.residue), (9, 0));
    }

    #[test]
    fn what_counts_nothing_is_no_usage() {
        for nothing in ["{}", "null", r#"{"outputTokens":3}"#, r#"{"inputTokens":"3"}"#] {
            assert_eq!(bedrock_usage(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
