//! Which of the tools offered can be offered anywhere.

use super::json::short;
use super::{Losses, Placed, Request, Tool, ToolChoice};

impl<'a> Request<'a> {
    /// The tools that any provider can be told of: the client's own functions. The others are told as lost, and so is a demand
    /// to call a tool where no function is left.
    pub(crate) fn functions(&self, losses: &mut Losses) -> Vec<&Tool<'a>> {
        for tool in self.tools.iter().filter(|tool| tool.built_in.is_some()) {
            let kind = short(tool.built_in.as_deref().unwrap_or_default());
            let why = format!("the tool `{kind}` exists only at its provider; offer a function instead");
            losses.dropped(&tool.at, why);
        }
        let functions: Vec<_> = self.tools.iter().filter(|tool| tool.built_in.is_none()).collect();
        let demands = |choice: &&Placed<ToolChoice<'_>>| matches!(choice.value, ToolChoice::Any | ToolChoice::Named(_));
        if functions.is_empty()
            && let Some(choice) = self.tool_choice.as_ref().filter(demands)
        {
            losses.dropped(&choice.at, "no tools are offered");
        }
        functions
    }
}
