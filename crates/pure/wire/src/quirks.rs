//! Where servers that speak a dialect differ from it: a row of data per server family, never code.

use crate::hosting::Hosting;

/// How a family of servers departs from the dialect it speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quirks {
    /// The name configuration chooses it by.
    pub name: &'static str,
    /// Which field caps the output.
    pub max_tokens_field: MaxTokensField,
    /// How a stream is made to report its usage.
    pub stream_usage: StreamUsage,
    /// Whether the role `developer` is understood; where not, it is sent as `system`.
    pub developer_role: bool,
    /// Whether `n` above 1 is answered with that many choices.
    pub n: bool,
    /// Whether `logprobs` and `top_logprobs` are understood.
    pub logprobs: bool,
    /// Whether `seed` is understood.
    pub seed: bool,
    /// Whether `parallel_tool_calls` is understood.
    pub parallel_tool_calls: bool,
    /// Whether `response_format` of type `json_schema` is understood.
    pub json_schema: bool,
    // The columns from here to `source` matter to translations only; their values are from what is known of each server's
    // documentation and were not tried.
    /// Whether `cache_control` marks on parts and tools are understood.
    pub cache_control: bool,
    /// Whether `top_k` is understood, though the dialect has no such field.
    pub top_k: bool,
    /// Whether `user` is understood.
    pub user: bool,
    /// Whether `service_tier` is understood.
    pub service_tier: bool,
    /// Whether `reasoning_effort` is understood.
    pub reasoning_effort: bool,
    /// How many stop texts are taken.
    pub max_stop: usize,
    /// Whether ids of tool calls must be nine letters or digits.
    pub nine_character_tool_ids: bool,
    /// How it is had to go on with a started answer.
    pub prefill: Prefill,
    /// Where the model's id stands, for who hosts another vendor's models.
    pub hosting: Hosting,
    /// Whether files and batches have a place there at all.
    pub keeps_files: bool,
    /// What the row rests on.
    pub source: &'static str,
}

/// How a server of openai-chat is had to go on with a last message of the model's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefill {
    /// It begins another message.
    None,
    /// It goes on by itself.
    LastMessage,
    /// That message says `prefix: true`.
    PrefixField,
    /// The request says `continue_final_message: true`, and no template is to open another message.
    ContinueFinalMessage,
}

/// Which field caps the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MaxTokensField {
    /// Only `max_tokens` is understood; the newer name is put back into it.
    MaxTokens,
    /// Only `max_completion_tokens` is taken by every model; the older name is put forward into it.
    MaxCompletionTokens,
    /// Both are understood: what the client wrote stays, and a cap of ours is written as `max_tokens`.
    Keep,
}

/// How a stream is made to report its usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamUsage {
    /// `stream_options.include_usage`: one chunk at the end.
    IncludeUsage,
    /// That, and `continuous_usage_stats`: the usage so far in every chunk, so that a cancelled stream is billed exactly.
    Continuous,
    /// Nothing is to be asked for: it is not understood, or usage comes unasked.
    None,
}

/// The servers we know, by name.
pub const QUIRKS: &[Quirks] = &[
    Quirks {
        name: "openai",
        service_tier: true,
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        source: "OpenAI API reference: max_tokens is deprecated and refused by reasoning models",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "vllm",
        keeps_files: false,
        top_k: true,
        max_stop: usize::MAX,
        stream_usage: StreamUsage::Continuous,
        prefill: Prefill::ContinueFinalMessage,
        source: "vLLM protocol.py StreamOptions; vllm-project/vllm#5708; vLLM protocol.py ChatCompletionRequest, continue_final_message and add_generation_prompt",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "sglang",
        top_k: true,
        max_stop: usize::MAX,
        stream_usage: StreamUsage::Continuous,
        prefill: Prefill::ContinueFinalMessage,
        source: "sgl-project/sglang#12241; SGLang protocol.py ChatCompletionRequest, continue_final_message",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "llama-cpp",
        keeps_files: false,
        top_k: true,
        max_stop: usize::MAX,
        max_tokens_field: MaxTokensField::MaxTokens,
        prefill: Prefill::LastMessage,
        source: "fixtures/captures/llama-cpp; takes either name for the cap, the older since ever; server README, --prefill-assistant, on by itself",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "ollama",
        keeps_files: false,
        max_stop: usize::MAX,
        max_tokens_field: MaxTokensField::MaxTokens,
        developer_role: false,
        n: false,
        parallel_tool_calls: false,
        source: "Ollama docs, OpenAI compatibility, supported request fields: the rest is ignored",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "groq",
        service_tier: true,
        n: false,
        logprobs: false,
        source: "Groq docs, OpenAI compatibility: logprobs, top_logprobs and n above 1 are answered with 400",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "together",
        top_k: true,
        max_stop: usize::MAX,
        max_tokens_field: MaxTokensField::MaxTokens,
        developer_role: false,
        parallel_tool_calls: false,
        source: "Together API reference, chat completions; not tried",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "mistral",
        user: false,
        reasoning_effort: false,
        max_stop: usize::MAX,
        nine_character_tool_ids: true,
        max_tokens_field: MaxTokensField::MaxTokens,
        stream_usage: StreamUsage::None,
        developer_role: false,
        logprobs: false,
        seed: false,
        prefill: Prefill::PrefixField,
        source: "Mistral API reference: unknown fields are refused with 422, usage comes unasked, seed is random_seed; not tried; AssistantMessage, prefix",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "deepseek",
        max_stop: 16,
        max_tokens_field: MaxTokensField::MaxTokens,
        developer_role: false,
        n: false,
        seed: false,
        parallel_tool_calls: false,
        json_schema: false,
        source: "DeepSeek API reference, create chat completion, listed parameters; not tried",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "openrouter",
        cache_control: true,
        top_k: true,
        service_tier: true,
        n: false,
        source: "OpenRouter API reference, listed parameters; not tried",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "cohere-compatibility",
        stream_usage: StreamUsage::None,
        n: false,
        parallel_tool_calls: false,
        developer_role: true,
        source: "Cohere documentation, Compatibility API, supported parameters; that `stream_options` is refused: strandsagents.com, \
                 model providers, Cohere. A stream that reports no usage is counted by us; not tried",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "tgi",
        keeps_files: false,
        max_tokens_field: MaxTokensField::MaxTokens,
        developer_role: false,
        n: false,
        parallel_tool_calls: false,
        source: "Text Generation Inference documentation, Messages API, and its OpenAPI form; not tried",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "azure-deployments",
        hosting: Hosting::Deployments,
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        source: "Azure OpenAI REST API reference, data plane inference: the deployment in the path, `api-version` in the query",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "vertex-anthropic",
        hosting: Hosting::RawPredict { anthropic_version: "vertex-2023-10-16" },
        source: "Vertex AI documentation, request predictions with Claude models: `anthropic_version` in the body and no `model`; paths as in Anthropic's Python SDK 2.11.0, lib/vertex; not tried",
        ..Quirks::GENERIC
    },
    Quirks {
        name: "bedrock-invoke",
        hosting: Hosting::Invoke { anthropic_version: "bedrock-2023-05-31" },
        source: "Amazon Bedrock user guide, Anthropic Claude Messages API, and API reference, InvokeModel and InvokeModelWithResponseStream; paths as in Anthropic's Python SDK 2.11.0, lib/bedrock, which sends a version of its own (fixtures/captures/invoke-sdk); not tried",
        ..Quirks::GENERIC
    },
    Quirks::GENERIC,
];

impl Quirks {
    /// A server that keeps to the dialect as published.
    pub const GENERIC: Quirks = Quirks {
        name: "generic",
        max_tokens_field: MaxTokensField::Keep,
        stream_usage: StreamUsage::IncludeUsage,
        developer_role: true,
        n: true,
        logprobs: true,
        seed: true,
        parallel_tool_calls: true,
        json_schema: true,
        cache_control: false,
        top_k: false,
        user: true,
        service_tier: false,
        reasoning_effort: true,
        max_stop: 4,
        nine_character_tool_ids: false,
        prefill: Prefill::None,
        hosting: Hosting::Vendor,
        keeps_files: true,
        source: "the dialect as published",
    };

    /// The row of this name.
    pub fn named(name: &str) -> Option<&'static Quirks> {
        QUIRKS.iter().find(|quirks| quirks.name == name)
    }

    /// The name of the field that caps the output when we write it.
    pub const fn cap_field(&self) -> &'static str {
        match self.max_tokens_field {
            MaxTokensField::MaxTokens | MaxTokensField::Keep => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_name() {
        for quirks in QUIRKS {
            assert_eq!(Quirks::named(quirks.name), Some(quirks));
        }
        assert_eq!(Quirks::named("nobody"), None);
    }
}
