#!/usr/bin/env python3
"""Records what the official google-genai SDK really sends, as fixtures for `wire`.

    capture_google.py --into crates/pure/wire/fixtures/captures

A socket of ours takes the place of the provider: it keeps the bytes of each request and answers with the smallest answer
that the SDK accepts. Those answers are made up and are not kept; what is kept is the request, without the value of the
credential. A case lands as

    google-sdk/CASE.request.json  CASE.headers.txt
"""
import argparse
import asyncio
import datetime
import importlib.metadata
import json
import os
import platform
import re
import socket
import threading

import pydantic
from google import genai
from google.genai import types

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fea7c5"
    "b8b10000000049454e44ae426082"
)
KEY = "captured-key"
MODEL = "claims-triage"
SAY = "Say hello to the claims team — in one word. 👋"


class Stand:
    """Stands in for the provider: one exchange a connection, the request kept as raw bytes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.requests = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.exchange, args=(client,), daemon=True).start()

    def exchange(self, client):
        with client:
            data = b""
            while b"\r\n\r\n" not in data:
                part = client.recv(65536)
                if not part:
                    return
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
            while length and len(body) < int(length.group(1)):
                body += client.recv(65536)
            self.requests.append((head, body))
            path = head.split(b" ", 2)[1].decode()
            kind, answer = "application/json", stand_in(path)
            if ":streamGenerateContent" in path:
                kind, answer = "text/event-stream", f"data: {answer}\r\n\r\n"
            answer = answer.encode()
            client.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(answer)}\r\n"
                           "connection: close\r\n\r\n".encode() + answer)

    def take(self):
        taken, self.requests = self.requests, []
        return taken


def stand_in(path):
    if ":countTokens" in path:
        return json.dumps({"totalTokens": 1})
    if ":batchEmbedContents" in path:
        return json.dumps({"embeddings": [{"values": [0.5]}]})
    if ":embedContent" in path:
        return json.dumps({"embedding": {"values": [0.5]}})
    if path.split("?")[0].endswith("/models"):
        return json.dumps({"models": []})
    part = {"text": '{"city": "Ulm", "celsius": 12}'}
    return json.dumps({"candidates": [{"content": {"parts": [part], "role": "model"}, "finishReason": "STOP"}]})


class Weather(pydantic.BaseModel):
    city: str
    celsius: int


class Report(pydantic.BaseModel):
    summary: str
    places: list[Weather]
    remark: str | None = None


DECLARED = types.Tool(function_declarations=[types.FunctionDeclaration(
    name="get_weather", description="Current weather of a city",
    parameters=types.Schema(type="OBJECT", required=["city"], properties={
        "city": types.Schema(type="STRING", description="Where"),
        "unit": types.Schema(type="STRING", enum=["celsius", "kelvin"], nullable=True),
        "days": types.Schema(type="ARRAY", items=types.Schema(type="INTEGER"), min_items=1),
    }))])
BY_JSON_SCHEMA = types.Tool(function_declarations=[types.FunctionDeclaration(
    name="get_time", parameters_json_schema={
        "type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"],
        "additionalProperties": False})])


def get_weather(city: str, unit: str = "celsius") -> dict:
    """Current weather of a city."""
    return {"celsius": 12}


def history(ids):
    call = types.FunctionCall(id="call_1" if ids else None, name="get_weather", args={"city": "Ulm"})
    answer = types.FunctionResponse(id="call_1" if ids else None, name="get_weather", response={"celsius": 12})
    failed = types.FunctionResponse(name="get_time", response={"error": "no such zone"})
    return [
        types.Content(role="user", parts=[types.Part(text="Weather and time?")]),
        types.Content(role="model", parts=[
            types.Part(text="Let me look.", thought=True),
            types.Part(function_call=call, thought_signature=b"\xfb\xff\x00signed"),
            types.Part(function_call=types.FunctionCall(name="get_time", args={"zone": "CET"})),
        ]),
        types.Content(role="user", parts=[types.Part(function_response=answer), types.Part(function_response=failed)]),
    ]


def config(**more):
    return types.GenerateContentConfig(**more)


def cases(client):
    ask = client.models.generate_content
    plain = lambda contents=SAY, **more: ask(model=MODEL, contents=contents, config=config(**more) if more else None)
    yield "plain", lambda: plain()
    yield "stream", lambda: list(client.models.generate_content_stream(model=MODEL, contents=SAY))
    yield "system-and-sampling", lambda: plain(
        system_instruction="Be terse.", temperature=0.2, top_p=0.9, top_k=40, max_output_tokens=64, seed=7,
        stop_sequences=["END"], presence_penalty=0.1, frequency_penalty=0.2, candidate_count=1)
    yield "several-candidates", lambda: plain(candidate_count=2, response_logprobs=True, logprobs=2)
    yield "safety", lambda: plain(safety_settings=[types.SafetySetting(
        category="HARM_CATEGORY_HATE_SPEECH", threshold="BLOCK_ONLY_HIGH")])
    yield "image", lambda: plain([types.Part.from_bytes(data=PIXEL, mime_type="image/png"), "What is this?"])
    yield "document", lambda: plain([types.Part.from_bytes(data=b"%PDF-1.4 \xfb\xff", mime_type="application/pdf"), "Sum up."])
    yield "file", lambda: plain([types.Part.from_uri(
        file_uri="https://generativelanguage.googleapis.com/v1beta/files/abc", mime_type="application/pdf"), "Sum up."])
    yield "image-url", lambda: plain([types.Part.from_uri(
        file_uri="https://example.com/claim.jpg", mime_type="image/jpeg"), "What is this?"])
    yield "tools", lambda: plain(tools=[DECLARED, BY_JSON_SCHEMA])
    yield "tools-forced", lambda: plain(tools=[DECLARED], tool_config=types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["get_weather"])))
    yield "tools-of-python", lambda: plain(tools=[get_weather])
    yield "tool-of-the-provider", lambda: plain(tools=[types.Tool(google_search=types.GoogleSearch()), DECLARED])
    yield "tool-results", lambda: plain(history(ids=False), tools=[DECLARED, BY_JSON_SCHEMA])
    yield "tool-results-with-ids", lambda: plain(history(ids=True), tools=[DECLARED, BY_JSON_SCHEMA])
    yield "structured", lambda: plain(response_mime_type="application/json", response_schema=Report)
    yield "structured-json-schema", lambda: plain(
        response_mime_type="application/json", response_json_schema=Report.model_json_schema())
    yield "json-mode", lambda: plain(response_mime_type="application/json")
    yield "thinking-budget", lambda: plain(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2048))
    yield "thinking-level", lambda: plain(thinking_config=types.ThinkingConfig(thinking_level="HIGH"))
    yield "cached-content", lambda: plain(cached_content="cachedContents/abc")
    yield "chat-two-turns", lambda: chat(client)
    yield "count-tokens", lambda: client.models.count_tokens(model=MODEL, contents=SAY)
    yield "embed", lambda: client.models.embed_content(
        model=MODEL, contents=["one", "two"], config=types.EmbedContentConfig(task_type="RETRIEVAL_DOCUMENT"))
    yield "models-list", lambda: list(client.models.list())
    yield "async-stream", lambda: asyncio.run(streamed(client))


def chat(client):
    session = client.chats.create(model=MODEL)
    session.send_message("Hello")
    session.send_message("And again")


async def streamed(client):
    async for _ in await client.aio.models.generate_content_stream(model=MODEL, contents=SAY):
        pass


def vertex_cases(port):
    os.environ["GOOGLE_CLOUD_PROJECT"] = "acme"
    from google.oauth2.credentials import Credentials
    client = genai.Client(vertexai=True, project="acme", location="europe-west4", credentials=Credentials(KEY),
                          http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{port}"))
    yield "vertex-plain", lambda: client.models.generate_content(model=MODEL, contents=SAY)
    yield "vertex-stream", lambda: list(client.models.generate_content_stream(model=MODEL, contents=SAY))
    yield "vertex-count-tokens", lambda: client.models.count_tokens(model=MODEL, contents=SAY)


def keep(folder, name, head, body):
    lines = head.decode().split("\r\n")
    kept = []
    for line in lines:
        field = line.split(":", 1)[0].lower()
        if field in ("x-goog-api-key", "authorization"):
            line = line.split(":", 1)[0] + ": (left out)"
        kept.append(line)
    with open(os.path.join(folder, f"{name}.headers.txt"), "w", encoding="utf-8", newline="") as file:
        file.write("\n".join(kept) + "\n")
    if body:
        with open(os.path.join(folder, f"{name}.request.json"), "wb") as file:
            file.write(body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", required=True)
    into = os.path.join(parser.parse_args().into, "google-sdk")
    os.makedirs(into, exist_ok=True)
    stand = Stand()
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{stand.port}"))
    for name, case in [*cases(client), *vertex_cases(stand.port)]:
        try:
            case()
        except Exception as error:  # a request is wanted, whatever the SDK makes of the answer
            print(f"{name}: {error!r}")
        taken = stand.take()
        if not taken:
            raise SystemExit(f"{name}: nothing was sent")
        # Of several requests the last one is the case: the turn before is only its way there.
        keep(into, name, *taken[-1])
    with open(os.path.join(into, "origin.toml"), "w", encoding="utf-8") as file:
        file.write(
            "# Where these files come from. Made by tests/real/capture_google.py; not to be edited by hand.\n"
            f'kind = "sdk"\npackage = "google-genai"\nversion = "{importlib.metadata.version("google-genai")}"\n'
            f'runtime = "Python {platform.python_version()}"\ndate = "{datetime.date.today()}"\n'
            'command = "python tests/real/capture_google.py --into crates/pure/wire/fixtures/captures"\n'
            'left_out = "the values of x-goog-api-key and Authorization"\n')
    print(f"{len(os.listdir(into))} files in {into}")


if __name__ == "__main__":
    main()
