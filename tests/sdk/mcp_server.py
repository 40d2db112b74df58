"""A real server of tools made with the official SDK, for `mcp_suite.py`: `--stdio`, or `--http`, which prints its address."""
import socket
import sys

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("test")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("this tool fails")


@server.tool()
def secret() -> str:
    """Must not be reached."""
    return "reached"


@server.tool()
async def count(ctx: Context) -> str:
    """Reports its progress."""
    for step in range(1, 4):
        await ctx.report_progress(step, 3)
        await anyio.sleep(0.05)
    return "counted"


WAITS = {"running": 0, "stopped": 0}


@server.tool()
async def wait() -> str:
    """Goes on until it is stopped."""
    WAITS["running"] += 1
    try:
        await anyio.sleep(60)
    finally:
        WAITS["stopped"] += 1
    return "waited"


@server.tool()
def waits() -> dict[str, int]:
    """How many waits began, and how many ended."""
    return WAITS


if "--http" in sys.argv:
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    print(f"tools http://{host}:{port}", flush=True)
    app = server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
else:
    server.run("stdio")
