//! A configuration as somebody would write it, and what it means.

/// The file.
pub const CONFIGURATION: &str = r#"# Freehold: one file is the whole policy.
[providers.anthropic]
api_key = { env = "ANTHROPIC_API_KEY" }
terms = { trains_on_data = false, retention_days = 30, evidence = "DPA 2026-03", expires = 2027-03-01 }

[providers.gpu-hall]
dialect = "openai-chat"
base_url = "http://10.0.0.5:8000/v1"
region = "eu-de"

[models.sonnet]
provider = "anthropic"
model = "claude-sonnet-4-5"
quality = "0.93"

[models.qwen-own]
provider = "gpu-hall"
model = "qwen3-32b"
price = { gpu_hour_usd = "2.10", tokens_per_second = 5200 }

[lanes.premium]
class = "A"
models = ["sonnet"]
pick = "best"

[criticality.high]
lanes = ["premium", "own"]

[workflows.claims-triage]
criticality = "high"
budget = { limit = "500 USD", per = "month", at_limit = "downgrade" }
residency = ["eu"]
"#;

/// What `freehold check` says of it.
pub const EXPLAINED: &str = "claims-triage (high), residency eu, 500.00 USD per month, then downgrade
  1. premium (A, best)     sonnet 3/15, sonnet-eu 3.3/16.5 USD per million
  2. own (C, cheapest)     qwen-own 0.112/0.112
nightly-digest (routine), 40.00 USD per month, then refuse
  1. own (C, cheapest)     qwen-own 0.112/0.112
";
