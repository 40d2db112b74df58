//! Tools: servers of the Model Context Protocol, what may be called there, what was called and what it cost.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use control::views::{ToolServerView, ToolView};
use serde::Deserialize;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, Live, draw};
use crate::pages::error;
use crate::show::{self, Mark, in_query};

#[derive(Template)]
#[template(path = "tools.html")]
struct ToolsPage {
    frame: Frame,
    servers: Vec<ServerShown>,
}

struct ServerShown {
    anchor: String,
    name: String,
    kind: Mark,
    reach: String,
    sentence: String,
    rules: Vec<String>,
    tools: Vec<ToolShown>,
}

struct ToolShown {
    name: String,
    allowed: Mark,
    price: String,
    calls: String,
    errors: String,
    today: String,
    month: String,
    href: String,
}

/// Whether the page renews itself.
#[derive(Debug, Deserialize)]
pub struct Choice {
    live: Option<u8>,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Query(choice): Query<Choice>) -> Response {
    match desk.source.tool_servers().await {
        Ok(servers) => {
            let live = Live::unless_paused(choice.live, "/tools");
            let frame = Frame::new(&visitor, "Tools", "/tools").living(live);
            draw(&ToolsPage { frame, servers: servers.iter().map(shown).collect() })
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

fn shown(server: &ToolServerView) -> ServerShown {
    let spend = &server.spend;
    let whose = |what: &str, lists: &[(String, Vec<String>)]| {
        let said =
            |(who, tools): &(String, Vec<String>)| format!("{what} `{who}` may use {}.", show::list(tools, "no tool"));
        lists.iter().map(said).collect::<Vec<_>>()
    };
    let mut rules = match server.allows_all {
        true => vec!["Every tool of the server may be called; `tools` would say which.".to_owned()],
        false => Vec::new(),
    };
    rules.extend(whose("Key", &server.by_key));
    rules.extend(whose("Workflow", &server.by_workflow));
    ServerShown {
        anchor: show::anchor("server", &spend.name),
        name: spend.name.clone(),
        kind: Mark::new("", if server.is_process { "process" } else { "HTTP" }),
        reach: server.reach.clone(),
        sentence: format!(
            "Applications reach it at `/mcp/{}`. Today {}, {} USD; this month {} USD.{}",
            spend.name,
            show::counted(spend.calls_today, "call"),
            spend.today,
            spend.month,
            server.region.as_ref().map_or_else(String::new, |region| format!(" It processes in {region}.")),
        ),
        rules,
        tools: server.tools.iter().map(|tool| tool_shown(&spend.name, tool)).collect(),
    }
}

fn tool_shown(server: &str, tool: &ToolView) -> ToolShown {
    let spend = &tool.spend;
    ToolShown {
        name: spend.name.clone(),
        allowed: if tool.allowed { Mark::new("good", "allowed") } else { Mark::new("warn", "not allowed") },
        price: tool.price.map_or_else(|| "unpriced".to_owned(), |price| price.to_string()),
        calls: show::count(spend.calls_today),
        errors: show::count(spend.errors_today),
        today: spend.today.to_string(),
        month: spend.month.to_string(),
        href: format!("/calls?model={}", in_query(&format!("mcp:{server}/{}", spend.name))),
    }
}
