//! Values of the page of tool servers: what may be called there, at what price, and what was called and spent.

use std::collections::{BTreeMap, BTreeSet};

use config::{McpServer, Reach};
use store::{Dimension, SpendRow};

use crate::alarms::Today;
use crate::control::Control;
use crate::failure::ControlError;
use crate::overview::spend;
use crate::views::{ToolServerView, ToolView};

impl Control {
    /// Every server of tools in the configuration, with its tools: those that are named there, and those that were called.
    pub async fn tool_servers(&self) -> Result<Vec<ToolServerView>, ControlError> {
        let today = Today::of(self.now());
        let (snapshot, _) = self.running().snapshot();
        // A tool call is booked under `mcp:NAME/TOOL`, as a model is under its name.
        let booked = self.store().spend_by(Dimension::Model, today.day, today.month).await?;
        Ok(snapshot.mcp.iter().map(|server| view(server, &booked)).collect())
    }
}

fn view(server: &McpServer, booked: &BTreeMap<String, SpendRow>) -> ToolServerView {
    let nothing = SpendRow::default();
    let model = |tool: &str| format!("mcp:{}/{tool}", server.name);
    let called = booked.keys().filter_map(|model| model.strip_prefix(&format!("mcp:{}/", server.name)));
    let named = server.tools.iter().flatten().chain(server.prices.keys()).map(String::as_str);
    let names: BTreeSet<&str> = named.chain(called).collect();
    let tools = names.into_iter().map(|tool| ToolView {
        allowed: server.tools.as_ref().is_none_or(|tools| tools.contains(tool)),
        price: server.price_of(tool),
        spend: spend(tool.to_owned(), booked.get(&model(tool)).unwrap_or(&nothing), None),
    });
    let of_server =
        |name: &String| name.strip_prefix("mcp:").and_then(|rest| rest.split('/').next()) == Some(&*server.name);
    let total = booked.iter().filter(|(name, _)| of_server(name)).fold(SpendRow::default(), |sum, (_, row)| SpendRow {
        today: sum.today.saturating_add(row.today),
        month: sum.month.saturating_add(row.month),
        calls_today: sum.calls_today.saturating_add(row.calls_today),
        errors_today: sum.errors_today.saturating_add(row.errors_today),
        ..sum
    });
    let listed = |lists: &mut dyn Iterator<Item = (String, &BTreeSet<String>)>| {
        lists.map(|(who, tools)| (who, tools.iter().cloned().collect())).collect()
    };
    ToolServerView {
        reach: match &server.reach {
            Reach::Url(url) => url.clone(),
            // Arguments may hold what is nobody's business.
            Reach::Command(command, _) => command.first().cloned().unwrap_or_default(),
        },
        is_process: matches!(server.reach, Reach::Command(..)),
        region: server.region.as_ref().map(ToString::to_string),
        allows_all: server.tools.is_none(),
        by_key: listed(&mut server.tools_by_key.iter().map(|(key, tools)| (key.clone(), tools))),
        by_workflow: listed(&mut server.tools_by_workflow.iter().map(|(name, tools)| (name.to_string(), tools))),
        price_of_others: server.price_of_others,
        tools: tools.collect(),
        spend: spend(server.name.to_string(), &total, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Input;
    use domain::{NanoUsd, UnixMs};

    #[test]
    fn a_server_shows_the_tools_that_are_named_and_those_that_were_called() {
        let text = "[mcp.crm]\nurl = \"https://crm.example/mcp\"\ntools = [\"read\", \"search\"]\n\
                    price_per_call = { search = \"0.005\", \"*\" = \"0\" }\ntools_by_key = { ab12 = [\"read\"] }\n\
                    [mcp.crm2]\ncommand = [\"/bin/files\", \"--secret\"]\nprice_per_call = \"0\"\n";
        let input = Input {
            file_name: "freehold.toml",
            text,
            catalog: &config::Catalog::default(),
            environment: &|_| None,
            read_secret_file: &|_| Err("there is none".into()),
            now: UnixMs(1_767_225_600_000),
        };
        let snapshot = config::check(&input).unwrap();
        let row = |month, calls_today| SpendRow { month: NanoUsd(month), calls_today, ..SpendRow::default() };
        let booked = BTreeMap::from([
            ("mcp:crm/search".to_owned(), row(10_000_000, 2)),
            ("mcp:crm/delete".to_owned(), row(0, 1)),
            ("mcp:crm".to_owned(), row(5, 1)),
            ("mcp:crm2/x".to_owned(), row(7, 1)),
            ("sonnet".to_owned(), row(9, 9)),
        ]);
        let crm = view(&snapshot.mcp[0], &booked);
        let tools: Vec<_> = crm.tools.iter().map(|tool| (&*tool.spend.name, tool.allowed, tool.price)).collect();
        let free = Some(NanoUsd::ZERO);
        assert_eq!(tools, [("delete", false, free), ("read", true, free), ("search", true, Some(NanoUsd(5_000_000)))]);
        assert_eq!((crm.spend.month, crm.spend.calls_today), (NanoUsd(10_000_005), 4));
        assert_eq!(crm.by_key, [("ab12".to_owned(), vec!["read".to_owned()])]);
        let files = view(&snapshot.mcp[1], &booked);
        assert_eq!((&*files.reach, files.is_process, files.allows_all), ("/bin/files", true, true));
    }
}
