//! Public tokenizers: what turns text into the tokens a model is billed by, where its vendor published that.

/// Every tokenizer a model can name.
pub const TOKENIZERS: &[Tokenizer] = &[
    // What a chat prompt has besides its texts: OpenAI's cookbook, "How to count tokens with tiktoken". gpt-4 and
    // gpt-3.5-turbo were seen to bill no token for the end of an answer, gpt-4o none or one: gateway/src/tokens/examples.rs.
    Tokenizer { name: "o200k_base", vocabulary: Vocabulary::O200kBase, chat: CHAT },
    Tokenizer { name: "cl100k_base", vocabulary: Vocabulary::Cl100kBase, chat: Chat { answer: 0, ..CHAT } },
    // gpt-oss. OpenAI's harmony format ("OpenAI harmony response format") opens every prompt with a system message of its
    // own: 57 tokens in three marks and a role like any other; `<|start|>assistant` then asks for the answer, together 63.
    // In an answer up to ten marks and channel names stand around its reasoning and its text. Instructions (3) and tools
    // (15) add lines of their own, and servers differ in what else they say.
    Tokenizer {
        name: "o200k_harmony",
        vocabulary: Vocabulary::O200kBase,
        chat: Chat { prompt: 63, answer: 10, prompt_error: 24, answer_error: 8, ..CHAT },
    },
];

const CHAT: Chat = Chat { message: 3, name: 1, prompt: 3, answer: 1, prompt_error: 2, answer_error: 1 };

/// A public tokenizer.
#[derive(PartialEq, Eq, Debug)]
pub struct Tokenizer {
    /// As it is written in freehold.toml and the catalog.
    pub name: &'static str,
    /// Its vocabulary.
    pub vocabulary: Vocabulary,
    /// What a conversation has besides its texts.
    pub chat: Chat,
}

/// The merges and the split rule of a tokenizer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vocabulary {
    /// 200,000 tokens; gpt-4o and later.
    O200kBase,
    /// 100,000 tokens; gpt-4, gpt-3.5-turbo and today's embeddings.
    Cl100kBase,
}

/// Tokens of a conversation that stand in none of its texts, and how far off these figures may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chat {
    /// For each message.
    pub message: u64,
    /// For each message with a name.
    pub name: u64,
    /// Once for the prompt.
    pub prompt: u64,
    /// Once for an answer.
    pub answer: u64,
    /// By how many tokens a prompt may be off in all this.
    pub prompt_error: u64,
    /// By how many an answer may be.
    pub answer_error: u64,
}

impl Tokenizer {
    /// The tokenizer of this name.
    pub fn named(name: &str) -> Option<&'static Tokenizer> {
        TOKENIZERS.iter().find(|tokenizer| tokenizer.name == name)
    }

    /// Names and tokenizers, for keys that take one.
    pub(crate) fn choices() -> Vec<(&'static str, &'static Tokenizer)> {
        TOKENIZERS.iter().map(|tokenizer| (tokenizer.name, tokenizer)).collect()
    }
}
