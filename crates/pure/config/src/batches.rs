//! `batch` and `batch_calls_at_once` of a workflow: who runs the batches of its requests, and how many at a time.

use crate::key::Key;
use crate::raw::Table;

/// Calls at once on a workflow's models up to which requests of batches are begun, where none is set. A judgement: what the smallest
/// own server takes at a time.
const USUAL_AT_ONCE: u32 = 4;
const LARGEST_AT_ONCE: u64 = 1_024;

/// Who runs the batches of a workflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchRunner {
    /// Its provider, at the price of batches.
    Provider,
    /// Freehold itself, request by request.
    Own,
}

/// How the batches of a workflow are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batches {
    /// Who runs them; where nobody says, a provider that has a place for them, and else Freehold.
    pub runner: Option<BatchRunner>,
    /// While so many calls are under way on its models, no further request of a batch is begun.
    pub at_once: u32,
}

impl Batches {
    /// Where nothing is set.
    pub const USUAL: Batches = Batches { runner: None, at_once: USUAL_AT_ONCE };

    /// In words.
    pub(crate) fn text(self) -> String {
        let at_once = self.at_once;
        match self.runner {
            Some(BatchRunner::Provider) => "the provider's".to_owned(),
            Some(BatchRunner::Own) => format!("own, up to {at_once} calls at once"),
            None => format!("the provider's where it has them, else own, up to {at_once} calls at once"),
        }
    }
}

impl BatchRunner {
    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            BatchRunner::Provider => "provider",
            BatchRunner::Own => "own",
        }
    }
}

/// The key `batch`.
pub(crate) const BATCH_KEY: Key = Key {
    name: "batch",
    takes: "`provider` or `own`",
    default: "`provider` where a model's provider speaks OpenAI's dialect and is not known to have no batches, else `own`",
    meaning: "Who runs its batches of `/v1/batches`: the provider, at the price of the tier `batch`, or Freehold, which sends each request as a call of its own while its models have room (docs/endpoints.md).",
    example: "\"own\"",
};

/// The key `batch_calls_at_once`.
pub(crate) const BATCH_CALLS_AT_ONCE_KEY: Key = Key {
    name: "batch_calls_at_once",
    takes: "calls, 1 to 1024",
    default: "4",
    meaning: "While so many calls are under way on its models, calls of clients included, Freehold begins no further request of a batch. When a batch's time runs short, only the batch's own count.",
    example: "16",
};

/// Reads both.
pub(crate) fn read(table: &Table) -> Batches {
    let words = [BatchRunner::Provider, BatchRunner::Own].map(|runner| (runner.as_str(), runner));
    let runner = table.choice("batch", &words);
    if runner == Some(BatchRunner::Provider) && table.has("batch_calls_at_once") {
        let reason = "`batch = \"provider\"` leaves it to the provider how many requests run at once";
        let remedy = "leave `batch_calls_at_once` out, or write `batch = \"own\"`";
        table.problems().error(&table.place_of("batch_calls_at_once"), reason, remedy);
    }
    let at_once = table.count("batch_calls_at_once", 1..=LARGEST_AT_ONCE);
    let at_once = at_once.and_then(|calls| u32::try_from(calls).ok()).unwrap_or(USUAL_AT_ONCE);
    Batches { runner, at_once }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::UnixMs;

    const HEAD: &str = "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
        [models.m]\nprovider = \"p\"\nmodel = \"v\"\n[lanes.l]\nclass = \"B\"\nmodels = [\"m\"]\npick = \"best\"\n\
        [criticality.c]\nlanes = [\"l\"]\n[workflows.w]\ncriticality = \"c\"\n";

    fn checked(keys: &str) -> Result<Batches, String> {
        let text = format!("{HEAD}{keys}");
        let checked = crate::check_elsewhere("freehold.toml", &text, &crate::Catalog::default(), UnixMs(1))
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<String>())?;
        Ok(checked.workflows[&domain::WorkflowName::from("w")].batches)
    }

    #[test]
    fn who_runs_batches_is_said_or_left_open() {
        assert_eq!(checked(""), Ok(Batches::USUAL));
        let own = Batches { runner: Some(BatchRunner::Own), at_once: 16 };
        assert_eq!(checked("batch = \"own\"\nbatch_calls_at_once = 16"), Ok(own));
        assert!(checked("batch = \"provider\"\nbatch_calls_at_once = 16").unwrap_err().contains("leave"));
        assert!(checked("batch = \"cheap\"").unwrap_err().contains("`own`"));
        assert!(checked("batch_calls_at_once = 0").unwrap_err().contains("out of range"));
    }
}
