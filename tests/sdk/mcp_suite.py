"""The official MCP SDK as client, and as the server behind Freehold: over HTTP (`web`) and as a process of Freehold's (`local`).

`web` is driven in both eras of the protocol, with sessions and without; a process is spoken to with sessions only. The keys are
those of suite.py; `secret` is a tool of the server that is not in `tools`.
"""
import anyio
import httpx2
import suite
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from suite import KEY, KEY_LIMITED, URL, raw, run, test

WAYS = [("web", "legacy"), ("web", "auto"), ("local", "legacy"), ("local", "auto")]
TOOLS = ["add", "count", "fail", "wait", "waits"]


def for_each_way(function):
    """Runs once for each server and era."""
    for server, mode in WAYS:
        suite.TESTS.append((f"{function.__name__}[{server}-{mode}]", function, (server, mode)))
    return function



def session(server, mode, key=KEY, seen=None):
    async def note(response):
        if seen is not None:
            seen.append((response.request.method, response.status_code, dict(response.headers)))

    http = httpx2.AsyncClient(
        headers={"authorization": f"Bearer {key}"}, timeout=30, event_hooks={"response": [note]}
    )
    return Client(streamable_http_client(f"{URL}/mcp/{server}", http_client=http), mode=mode)


@for_each_way
async def a_list_has_the_allowed_tools_and_no_other(server, mode):
    async with session(server, mode) as client:
        listed = await client.list_tools()
        assert sorted(tool.name for tool in listed.tools) == TOOLS, listed


@for_each_way
async def a_call_is_answered(server, mode):
    async with session(server, mode) as client:
        answer = await client.call_tool("add", {"a": 2, "b": 40})
        assert not answer.is_error and answer.content[0].text == "42", answer


@for_each_way
async def a_tool_that_fails_says_so_itself(server, mode):
    async with session(server, mode) as client:
        answer = await client.call_tool("fail", {})
        assert answer.is_error, answer


@for_each_way
async def a_tool_outside_the_list_is_refused_with_what_to_do(server, mode):
    async with session(server, mode) as client:
        for tool in ["secret", "Add", "add ", "no-such-tool"]:
            try:
                answer = await client.call_tool(tool, {})
            except MCPError as error:
                assert error.error.data["code"] == "tool_not_allowed", error.error
                assert f"[mcp.{server}]" in error.error.message, error.error
                suite.explains_itself(error.error.data, error.error.data["call_id"], "client")
            else:
                raise AssertionError(f"{tool}: {answer}")


@for_each_way
async def news_of_progress_arrives_before_the_answer(server, mode):
    steps = []

    async def heard(progress, total, message):
        steps.append((progress, total))

    async with session(server, mode) as client:
        answer = await client.call_tool("count", {}, progress_callback=heard)
        assert answer.content[0].text == "counted", answer
        assert steps == [(1, 3), (2, 3), (3, 3)], steps


@for_each_way
async def a_cancelled_call_stops_at_the_server(server, mode):
    async with session(server, mode) as client:
        before = (await client.call_tool("waits", {})).structured_content
        with anyio.move_on_after(0.7):
            await client.call_tool("wait", {})
        for _ in range(100):
            now = (await client.call_tool("waits", {})).structured_content
            if now["stopped"] > before["stopped"]:
                return
            await anyio.sleep(0.05)
        raise AssertionError(f"{before} {now}")


@for_each_way
async def calls_at_once_get_their_own_answers(server, mode):
    async with session(server, mode) as client:
        answers = {}

        async def add(number):
            answers[number] = (await client.call_tool("add", {"a": number, "b": 0})).content[0].text

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(add, number)
        assert answers == {number: str(number) for number in range(20)}, answers


@test
async def a_session_ends_when_its_client_says_so_and_is_no_other_keys():
    for server in ["web", "local"]:
        seen = []
        async with session(server, "legacy", seen=seen) as client:
            await client.call_tool("add", {"a": 1, "b": 1})
            name = next(headers["mcp-session-id"] for _, _, headers in seen if "mcp-session-id" in headers)
            body = b'{"jsonrpc":"2.0","id":99,"method":"tools/list"}'
            headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
            headers |= {"mcp-session-id": name, "mcp-protocol-version": "2025-06-18"}
            status, _, text = raw("POST", f"/mcp/{server}", body, headers | {"authorization": f"Bearer {KEY_LIMITED}"})
            assert status == 404, (status, text)
            status, _, text = raw("POST", f"/mcp/{server}", body, headers | {"authorization": f"Bearer {KEY}"})
            assert status == 200, (status, text)
        assert ("DELETE", 200) in [entry[:2] for entry in seen] or ("DELETE", 204) in [entry[:2] for entry in seen], seen
        status, _, text = raw("POST", f"/mcp/{server}", body, headers | {"authorization": f"Bearer {KEY}"})
        assert status == 404, (status, text)


if __name__ == "__main__":
    run("MCP SDK")
