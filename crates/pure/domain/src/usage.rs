//! What an attempt consumed, split over meters that never overlap, so that a sum is a sum and nothing is billed twice.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! meters {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $direction:ident;)*) => {
        /// What is counted and priced. Meters partition a usage: cached input is not in `Input`, reasoning not in
        /// `Output`, audio not in the text meter beside it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Meter { $($(#[$doc])* $name,)* }

        impl Meter {
            /// Every meter, in the order reports print them.
            pub const ALL: &'static [Meter] = &[$(Meter::$name,)*];

            /// The stable name in records, price rows and exports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Meter::$name => $text,)* }
            }

            /// Which way it flows.
            pub const fn direction(self) -> Direction {
                match self { $(Meter::$name => Direction::$direction,)* }
            }
        }
    };
}

/// Whether a meter counts what was sent, what came back, or something that is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Tokens sent.
    Input,
    /// Tokens received.
    Output,
    /// Requests, searches, images, milliseconds, characters: counted apiece.
    Apiece,
}

meters! {
    /// Text tokens sent that no cache served or stored.
    Input = "input", Input;
    /// Text tokens sent that a provider's prompt cache served.
    CacheRead = "cache_read", Input;
    /// Tokens sent and stored for five minutes (or the provider's only lifetime).
    CacheWrite5m = "cache_write_5m", Input;
    /// Tokens sent and stored for an hour.
    CacheWrite1h = "cache_write_1h", Input;
    /// Tokens sent and stored for twelve hours.
    CacheWrite12h = "cache_write_12h", Input;
    /// Text tokens received, reasoning apart.
    Output = "output", Output;
    /// Tokens the model thought with; billed, seldom shown.
    Reasoning = "reasoning", Output;
    /// Audio tokens sent.
    InputAudio = "input_audio", Input;
    /// Audio tokens sent that a cache served.
    CacheReadAudio = "cache_read_audio", Input;
    /// Image tokens sent.
    InputImage = "input_image", Input;
    /// Image tokens sent that a cache served.
    CacheReadImage = "cache_read_image", Input;
    /// Audio tokens received.
    OutputAudio = "output_audio", Output;
    /// Image tokens received.
    OutputImage = "output_image", Output;
    /// Tokens of a predicted output that were not used, yet are billed.
    RejectedPrediction = "rejected_prediction", Output;
    /// Tokens of the provider's own tools counted as input.
    ToolPrompt = "tool_prompt", Input;
    /// Tokens of citations.
    Citation = "citation", Output;
    /// Calls billed apiece.
    Requests = "requests", Apiece;
    /// Web searches by the provider's own tool.
    WebSearches = "web_searches", Apiece;
    /// Units in which a ranking of documents is billed: one query over so many documents.
    SearchUnits = "search_units", Apiece;
    /// Images sent that are billed apiece.
    InputImages = "input_images", Apiece;
    /// Images made that are billed apiece.
    OutputImages = "output_images", Apiece;
    /// Milliseconds of audio sent, where audio is billed by its length.
    InputAudioMs = "input_audio_ms", Apiece;
    /// Characters of text to be spoken, where speech is billed by them.
    InputCharacters = "input_characters", Apiece;
    /// Milliseconds of audio made, where speech is billed by its length.
    OutputAudioMs = "output_audio_ms", Apiece;
    /// Milliseconds of video made.
    OutputVideoMs = "output_video_ms", Apiece;
    /// Pages of documents read.
    Pages = "pages", Apiece;
    /// Searches in files by the provider's own tool.
    FileSearches = "file_searches", Apiece;
    /// Look-ups in maps by the provider's own tool.
    MapQueries = "map_queries", Apiece;
    /// Sessions of a provider's own sandbox for code.
    CodeSessions = "code_sessions", Apiece;
    /// Megabytes kept for a day.
    StorageMbDays = "storage_mb_days", Apiece;
    /// Units of text in which a provider's guardrails are billed.
    GuardTextUnits = "guard_text_units", Apiece;
    /// Minutes for which a unit of provisioned capacity was there, used or not.
    CapacityMinutes = "capacity_minutes", Apiece;
}

impl Meter {
    /// How many there are.
    pub const COUNT: usize = Meter::ALL.len();

    /// The meter of this stable name.
    pub fn from_name(name: &str) -> Option<Meter> {
        Meter::ALL.iter().copied().find(|meter| meter.as_str() == name)
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Meter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Meter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Meter::from_name(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown meter `{name}`")))
    }
}

/// Counts by meter. Written as a map of the meters that are not zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage([u64; Meter::COUNT]);

impl Usage {
    /// Nothing consumed.
    pub const ZERO: Usage = Usage([0; Meter::COUNT]);

    /// The count on one meter.
    pub fn get(&self, meter: Meter) -> u64 {
        self.0[meter as usize]
    }

    /// Replaces the count on one meter.
    pub fn set(&mut self, meter: Meter, count: u64) {
        self.0[meter as usize] = count;
    }

    /// Adds to one meter.
    pub fn add(&mut self, meter: Meter, count: u64) {
        self.0[meter as usize] = self.0[meter as usize].saturating_add(count);
    }

    /// A usage with one more meter set; for building examples.
    #[must_use]
    pub fn with(mut self, meter: Meter, count: u64) -> Usage {
        self.set(meter, count);
        self
    }

    /// The meters that are not zero, in order.
    pub fn counts(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        Meter::ALL.iter().map(|meter| (*meter, self.get(*meter))).filter(|(_, count)| *count > 0)
    }

    /// All tokens sent, cached or not.
    pub fn input_tokens(&self) -> u64 {
        self.total(Direction::Input)
    }

    /// All tokens received, reasoning included.
    pub fn output_tokens(&self) -> u64 {
        self.total(Direction::Output)
    }

    fn total(&self, direction: Direction) -> u64 {
        let counts = self.counts().filter(|(meter, _)| meter.direction() == direction);
        // A provider may report anything, so two absurd counts must not overflow.
        counts.fold(0, |sum, (_, count)| sum.saturating_add(count))
    }
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (meter, count) in self.counts() {
            map.serialize_entry(meter.as_str(), &count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = Usage;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counts by meter")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Usage, A::Error> {
                let mut usage = Usage::ZERO;
                while let Some((meter, count)) = map.next_entry::<Meter, u64>()? {
                    usage.add(meter, count);
                }
                Ok(usage)
            }
        }
        deserializer.deserialize_map(Counts)
    }
}

/// Where a usage came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageOrigin {
    /// The provider said so.
    Reported,
    /// The provider said nothing; ours, with the share it may be off by, in percent of the estimate.
    Estimated {
        /// Half-width of the interval around the estimate, percent.
        error_percent: u16,
    },
    /// Nothing reached the provider, so nothing was consumed.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_written_as_a_map_of_what_is_there() {
        let usage = Usage::ZERO.with(Meter::Input, 12).with(Meter::Reasoning, 3).with(Meter::Requests, 1);
        let text = serde_json::to_string(&usage).unwrap();
        assert_eq!(text, r#"{"input":12,"reasoning":3,"requests":1}"#);
        assert_eq!(serde_json::from_str::<Usage>(&text).unwrap(), usage);
        assert_eq!((usage.input_tokens(), usage.output_tokens()), (12, 3));
    }

    #[test]
    fn absurd_counts_add_up_to_the_largest_count() {
        let usage = Usage::ZERO.with(Meter::Input, u64::MAX).with(Meter::CacheRead, u64::MAX);
        assert_eq!(usage.input_tokens(), u64::MAX);
    }

    #[test]
    fn every_meter_reads_back_its_name() {
        for meter in Meter::ALL {
            assert_eq!(Meter::from_name(meter.as_str()), Some(*meter));
        }
    }
}
