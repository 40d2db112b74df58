//! Which public tokenizer counts for a model of the catalog.
//!
//! As OpenAI's own table has it: `MODEL_TO_ENCODING` and `MODEL_PREFIX_TO_ENCODING` of PyPI `tiktoken` 0.14.0. A model that
//! is not in it has none here, and neither has one that only other vendors' models resemble. Vocabularies of models that are
//! no longer served (p50k, r50k) are left out: they are not built in.

/// Ids of OpenAI's own models, whole.
const NAMED: &[(&str, &str)] = &[
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4-mini", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4o", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5-turbo", "cl100k_base"),
    ("davinci-002", "cl100k_base"),
    ("babbage-002", "cl100k_base"),
    ("text-embedding-ada-002", "cl100k_base"),
    ("text-embedding-3-small", "cl100k_base"),
    ("text-embedding-3-large", "cl100k_base"),
];

/// Beginnings of them; the first that fits counts.
const BEGINNINGS: &[(&str, &str)] = &[
    ("o1-", "o200k_base"),
    ("o3-", "o200k_base"),
    ("o4-mini-", "o200k_base"),
    ("gpt-5", "o200k_base"),
    ("gpt-4.5-", "o200k_base"),
    ("gpt-4.1-", "o200k_base"),
    ("chatgpt-4o-", "o200k_base"),
    ("gpt-4o-", "o200k_base"),
    ("gpt-4-", "cl100k_base"),
    ("gpt-3.5-turbo-", "cl100k_base"),
    ("ft:gpt-4o", "o200k_base"),
    ("ft:gpt-4", "cl100k_base"),
    ("ft:gpt-3.5-turbo", "cl100k_base"),
];

/// The tokenizer of a model at a provider. gpt-oss is the same wherever it is served, under whatever prefix.
pub fn tokenizer(provider: &str, id: &str) -> Option<&'static str> {
    if id.contains("gpt-oss") {
        return Some("o200k_harmony");
    }
    if provider != "openai" {
        return None;
    }
    let named = NAMED.iter().find(|(name, _)| *name == id);
    named.or_else(|| BEGINNINGS.iter().find(|(beginning, _)| id.starts_with(beginning))).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_counts_by_its_vendors_table() {
        assert_eq!(tokenizer("openai", "gpt-4"), Some("cl100k_base"));
        assert_eq!(tokenizer("openai", "gpt-4-turbo"), Some("cl100k_base"));
        assert_eq!(tokenizer("openai", "gpt-4.1-mini"), Some("o200k_base"));
        assert_eq!(tokenizer("openai", "gpt-5.4-nano"), Some("o200k_base"));
        assert_eq!(tokenizer("bedrock", "openai.gpt-oss-120b-1:0"), Some("o200k_harmony"));
        assert_eq!(tokenizer("openai", "gpt-6-sol"), None);
        assert_eq!(tokenizer("xai", "o3"), None, "another vendor's model may have any name");
    }
}
