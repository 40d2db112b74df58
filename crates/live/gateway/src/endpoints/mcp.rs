//! Servers of tools, in the streamable HTTP transport of the Model Context Protocol.

use crate::endpoints::{Endpoint, Serves, endpoint};

/// One address per server, with the transport's three methods.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/mcp/{server}", Serves::ToolServer),
    endpoint!(GET "/mcp/{server}", Serves::ToolServer),
    endpoint!(DELETE "/mcp/{server}", Serves::ToolServer),
];
