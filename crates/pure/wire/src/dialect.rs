//! Which grammar is spoken, and what is asked for in it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A wire grammar, on the client's side or on a provider's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Dialect {
    /// OpenAI's chat completions, spoken by most servers.
    #[serde(rename = "openai-chat")]
    OpenAiChat,
    /// Anthropic's messages.
    #[serde(rename = "anthropic")]
    Anthropic,
}

impl Dialect {
    /// Every dialect, in the order documents list them.
    pub const ALL: &'static [Dialect] = &[Dialect::OpenAiChat, Dialect::Anthropic];

    /// The stable name in configuration, records and fixtures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::OpenAiChat => "openai-chat",
            Dialect::Anthropic => "anthropic",
        }
    }

    /// The dialect of this stable name.
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL.iter().copied().find(|dialect| dialect.as_str() == name)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// An answer to a conversation.
    Chat,
    /// Vectors for texts.
    Embeddings,
    /// How many tokens a conversation would be. Costs nothing.
    CountTokens,
}

impl Operation {
    /// Every operation.
    pub const ALL: &'static [Operation] = &[Operation::Chat, Operation::Embeddings, Operation::CountTokens];

    /// The stable name in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Embeddings => "embeddings",
            Operation::CountTokens => "count_tokens",
        }
    }

    /// Where a provider of this dialect answers it, appended to a base URL that ends in the version (`/v1`).
    /// `None`: the dialect has no such operation.
    pub const fn path(self, dialect: Dialect) -> Option<&'static str> {
        match (dialect, self) {
            (Dialect::OpenAiChat, Operation::Chat) => Some("/chat/completions"),
            (Dialect::OpenAiChat, Operation::Embeddings) => Some("/embeddings"),
            (Dialect::Anthropic, Operation::Chat) => Some("/messages"),
            (Dialect::Anthropic, Operation::CountTokens) => Some("/messages/count_tokens"),
            (Dialect::OpenAiChat, Operation::CountTokens) | (Dialect::Anthropic, Operation::Embeddings) => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_reads_back_its_name() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.as_str()), Some(*dialect));
            assert_eq!(serde_json::to_string(dialect).unwrap(), format!("\"{dialect}\""));
        }
    }
}
