//! The features of the matrix, in the order of the page.

/// One thing that can be said.
#[derive(PartialEq, Eq, Debug)]
pub struct Feature {
    /// Its section in the fixtures.
    pub name: &'static str,
    /// What the page calls it.
    pub title: &'static str,
}

const fn feature(name: &'static str, title: &'static str) -> Feature {
    Feature { name, title }
}

/// What a client asks for.
pub const ASKED: &[Feature] = &[
    feature("text", "a text"),
    feature("system", "instructions before the conversation"),
    feature("turns", "several turns"),
    feature("instructions-midway", "instructions within the conversation"),
    feature("stream", "a streamed answer"),
    feature("sampling", "temperature and top_p"),
    feature("top-k", "top_k"),
    feature("penalties", "penalties on repetition"),
    feature("stop", "texts to stop at"),
    feature("seed", "a seed"),
    feature("several-answers", "several answers (n)"),
    feature("logprobs", "token probabilities"),
    feature("tools", "tools"),
    feature("tools-strict", "arguments held to their schema"),
    feature("tool-any", "some tool must be called"),
    feature("tool-named", "this tool must be called"),
    feature("tool-none", "no tool may be called"),
    feature("one-tool-at-a-time", "one tool at a time"),
    feature("tool-results", "results of parallel tool calls"),
    feature("tool-result-image", "a picture in a tool's result"),
    feature("tool-failed", "a tool that failed"),
    feature("image", "a picture by value"),
    feature("image-url", "a picture by address"),
    feature("pdf", "a PDF by value"),
    feature("pdf-url", "a PDF by address"),
    feature("file-in-store", "a file in the provider's store"),
    feature("schema", "an answer that follows a schema"),
    feature("json", "an answer that is JSON"),
    feature("reasoning", "how much to think"),
    feature("signed-thoughts", "earlier thoughts, signed or encrypted"),
    feature("cache-marks", "marks of what to cache"),
    feature("provider-tool", "a tool of the provider's own beside a function"),
    feature("documents-to-cite", "documents to cite"),
    feature("user", "who the user is"),
    feature("tier", "a service tier"),
    feature("unknown-field", "a field nobody knows"),
];

/// What a provider answers.
pub const ANSWERED: &[Feature] = &[
    feature("text", "a text"),
    feature("tool-call", "a tool call"),
    feature("parallel-calls", "parallel tool calls"),
    feature("cut", "an end at the cap"),
    feature("stop-text", "an end at a stop text"),
    feature("refusal", "a refusal in words"),
    feature("filtered", "an answer that was filtered"),
    feature("thoughts", "thoughts"),
    feature("signature", "signatures and encrypted thoughts"),
    feature("usage-cached", "usage with tokens read from a cache"),
    feature("usage-reasoning", "usage with tokens of thinking"),
    feature("citations", "citations"),
    feature("logprobs", "token probabilities"),
    feature("several-answers", "several answers"),
];
