#!/usr/bin/env python3
"""Records what the SDKs of providers that cannot be run here really send, as fixtures for `wire`.

    capture_requests.py --into crates/pure/wire/fixtures/captures [--only cohere]

A raw socket takes each request and answers it with an error that the SDK does not repeat. Nothing is left out of the files but
the value of the credentials and the name of the kernel. A case lands as

    cohere-sdk/CASE.request.json  CASE.headers.txt
    boto3-sdk/ (the same)
    invoke-sdk/ (boto3 and Anthropic's SDK for Bedrock, by `invoke`)
"""
import argparse
import base64
import datetime
import importlib.metadata
import os
import platform
import re
import socket
import threading

KEY = "captured-key"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
    "required": ["city"],
    "additionalProperties": False,
}
SAID = "Say hello to the claims team — in one word. 👋"


class Listener:
    """One exchange a connection: takes a request whole, refuses it, keeps its bytes."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.taken = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            with client:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += client.recv(65536)
                head, _, body = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
                while length and len(body) < int(length.group(1)):
                    body += client.recv(65536)
                self.taken.append((head, body))
                answer = b'{"message":"captured"}'
                client.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
                               b"content-length: %d\r\n\r\n%s" % (len(answer), answer))


def cohere_cases(base):
    import cohere
    client = cohere.ClientV2(api_key=KEY, base_url=base)
    say = [{"role": "user", "content": SAID}]
    tool = {"type": "function", "function": {
        "name": "get_weather", "description": "Current weather of a city", "parameters": SCHEMA}}
    few = {"model": "claims-triage", "max_tokens": 24}

    def stream(**more):
        for _ in client.chat_stream(**more):
            pass

    yield "plain", lambda: client.chat(messages=say, **few)
    yield "sampling", lambda: client.chat(
        messages=[{"role": "system", "content": "You are terse."}, *say], temperature=0.2, p=0.9, k=40, seed=7,
        stop_sequences=["END"], frequency_penalty=0.5, logprobs=True, safety_mode="OFF", **few)
    yield "stream", lambda: stream(messages=say, **few)
    yield "tools", lambda: client.chat(messages=[{"role": "user", "content": "Weather in Ulm?"}], tools=[tool],
                                       tool_choice="REQUIRED", strict_tools=True, **few)
    yield "tools-stream", lambda: stream(messages=[{"role": "user", "content": "Weather in Ulm?"}], tools=[tool], **few)
    yield "tool-results", lambda: client.chat(messages=[
        {"role": "user", "content": "Weather in Ulm and in Graz?"},
        {"role": "assistant", "tool_plan": "I will ask for both.", "tool_calls": [
            {"id": "get_weather_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Ulm\"}"}},
            {"id": "get_weather_2", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Graz\"}"}}]},
        {"role": "tool", "tool_call_id": "get_weather_1", "content": "12 °C"},
        {"role": "tool", "tool_call_id": "get_weather_2", "content": [
            {"type": "document", "document": {"data": {"celsius": "15"}, "id": "d1"}}]},
    ], tools=[tool], **few)
    yield "documents", lambda: client.chat(
        messages=say, documents=[{"id": "d1", "data": {"title": "Policy", "text": "Water is covered."}}, "Fire is not."],
        citation_options={"mode": "ACCURATE"}, **few)
    yield "image", lambda: client.chat(messages=[{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL, "detail": "auto"}}]}], **few)
    yield "structured", lambda: client.chat(
        messages=say, response_format={"type": "json_object", "json_schema": SCHEMA}, **few)
    yield "thinking", lambda: client.chat(messages=say, thinking={"type": "enabled", "token_budget": 512}, **few)
    yield "history", lambda: client.chat(messages=[
        *say, {"role": "assistant", "content": [{"type": "thinking", "thinking": "Short."}, {"type": "text", "text": "Hello"}]},
        {"role": "user", "content": "Again."}], **few)
    yield "embed", lambda: client.embed(
        model="claims-triage", input_type="search_document", texts=["water", "fire"], embedding_types=["float", "base64"],
        output_dimension=256)
    yield "embed-image", lambda: client.embed(
        model="claims-triage", input_type="image", images=["data:image/png;base64," + PIXEL], embedding_types=["float"])
    yield "embed-inputs", lambda: client.embed(
        model="claims-triage", input_type="search_document", embedding_types=["float"], inputs=[
            {"content": [{"type": "text", "text": "a pixel"},
                         {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}]}])
    yield "rerank", lambda: client.rerank(
        model="claims-triage", query="Is water covered?", documents=["Water is covered.", "Fire is not."], top_n=1,
        max_tokens_per_doc=512)


def boto3_cases(base):
    import boto3
    import botocore.config
    client = boto3.client(
        "bedrock-runtime", endpoint_url=base, region_name="eu-central-1", aws_access_key_id="AKIDCAPTURED",
        aws_secret_access_key="captured-secret", config=botocore.config.Config(retries={"total_max_attempts": 1}))
    say = [{"role": "user", "content": [{"text": SAID}]}]
    tool = {"toolSpec": {"name": "get_weather", "description": "Current weather of a city", "inputSchema": {"json": SCHEMA}}}
    few = {"modelId": "claims-triage", "inferenceConfig": {"maxTokens": 24}}
    pixel = base64.b64decode(PIXEL)
    yield "plain", lambda: client.converse(messages=say, **few)
    yield "sampling", lambda: client.converse(
        messages=say, modelId="claims-triage", system=[{"text": "You are terse."}, {"cachePoint": {"type": "default"}}],
        inferenceConfig={"maxTokens": 24, "temperature": 0.2, "topP": 0.9, "stopSequences": ["END"]},
        additionalModelRequestFields={"top_k": 40}, additionalModelResponseFieldPaths=["/stop_sequence"],
        requestMetadata={"run": "r-1"}, performanceConfig={"latency": "optimized"})
    yield "stream", lambda: client.converse_stream(messages=say, **few)
    yield "tools", lambda: client.converse(
        messages=[{"role": "user", "content": [{"text": "Weather in Ulm?"}]}],
        toolConfig={"tools": [tool, {"cachePoint": {"type": "default"}}], "toolChoice": {"any": {}}}, **few)
    yield "tool-results", lambda: client.converse(messages=[
        {"role": "user", "content": [{"text": "Weather in Ulm and in Graz?"}]},
        {"role": "assistant", "content": [
            {"text": "I will ask."},
            {"toolUse": {"toolUseId": "tooluse_1", "name": "get_weather", "input": {"city": "Ulm"}}},
            {"toolUse": {"toolUseId": "tooluse_2", "name": "get_weather", "input": {"city": "Graz"}}}]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "12 °C"}], "status": "success"}},
            {"toolResult": {"toolUseId": "tooluse_2", "content": [{"json": {"celsius": 15}}], "status": "error"}}]},
    ], toolConfig={"tools": [tool], "toolChoice": {"tool": {"name": "get_weather"}}}, **few)
    yield "image", lambda: client.converse(messages=[{"role": "user", "content": [
        {"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": pixel}}}]}], **few)
    yield "document", lambda: client.converse(messages=[{"role": "user", "content": [
        {"text": "Sum it up."},
        {"document": {"format": "txt", "name": "policy", "source": {"bytes": b"Water is covered."}}},
        {"document": {"format": "pdf", "name": "contract", "source": {"bytes": b"%PDF-1.4 not much of one"}}},
        {"cachePoint": {"type": "default"}}]}], **few)
    yield "reasoning", lambda: client.converse(messages=[
        *say, {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "Short.", "signature": "c2ln"}}}, {"text": "Hello"}]},
        {"role": "user", "content": [{"text": "Again."}]}],
        additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 1024}}, **few)
    yield "guarded", lambda: client.converse(messages=[{"role": "user", "content": [
        {"text": "Look at this."}, {"guardContent": {"text": {"text": "Only this is looked at.", "qualifiers": ["query"]}}}]}],
        guardrailConfig={"guardrailIdentifier": "gr1", "guardrailVersion": "1", "trace": "enabled"}, **few)
    yield "model-arn", lambda: client.converse(
        messages=say, modelId="arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5")


def invoke_cases(base):
    import json

    import anthropic
    import boto3
    import botocore.config
    keys = {"aws_access_key_id": "AKIDCAPTURED", "aws_secret_access_key": "captured-secret"}
    client = boto3.client("bedrock-runtime", endpoint_url=base, region_name="eu-central-1",
                          config=botocore.config.Config(retries={"total_max_attempts": 1}), **keys)
    bedrock = anthropic.AnthropicBedrock(base_url=base, aws_region="eu-central-1", aws_access_key="AKIDCAPTURED",
                                         aws_secret_key="captured-secret", max_retries=0)
    say = [{"role": "user", "content": SAID}]
    tool = {"name": "get_weather", "description": "Current weather of a city", "input_schema": SCHEMA}

    def invoke(body, stream=False):
        call = client.invoke_model_with_response_stream if stream else client.invoke_model
        return lambda: call(modelId="claims-triage", body=json.dumps(body))

    messages = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 24, "messages": say}
    yield "boto3-plain", invoke(messages)
    yield "boto3-stream", invoke({**messages, "system": "You are terse.", "anthropic_beta": ["context-1m-2025-08-07"]}, True)
    yield "boto3-titan-embed", invoke({"inputText": "Is water covered?", "dimensions": 256, "normalize": True})
    yield "boto3-llama", invoke({"prompt": SAID, "max_gen_len": 24, "temperature": 0.2})
    yield "anthropic-plain", lambda: bedrock.messages.create(model="claims-triage", max_tokens=24, messages=say)
    yield "anthropic-stream", lambda: bedrock.messages.create(model="claims-triage", max_tokens=24, messages=say, stream=True)
    yield "anthropic-tools-beta", lambda: bedrock.beta.messages.create(
        model="claims-triage", max_tokens=24, messages=say, tools=[tool], betas=["context-1m-2025-08-07"])


# Each with the packages whose requests they are.
SETS = {"cohere": (cohere_cases, ["cohere"]), "boto3": (boto3_cases, ["boto3"]), "invoke": (invoke_cases, ["boto3", "anthropic"])}


def hidden(head):
    """The head without the value of the credentials and the name of the kernel, all that is left out."""
    head = re.sub(rb"(?im)^(authorization: bearer )\S+", rb"\1KEY", head)
    head = re.sub(rb"(os/linux#|linux/)[\w.-]+", rb"\1KERNEL", head)
    return re.sub(rb"(?im)(Signature=)[0-9a-f]+", rb"\1SIGNATURE", head)


def write(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--into", required=True)
    options.add_argument("--only", choices=sorted(SETS))
    options.add_argument("--date", default=datetime.date.today().isoformat())
    options = options.parse_args()
    for name in [options.only] if options.only else sorted(SETS):
        cases, packages = SETS[name]
        listener = Listener()
        folder = os.path.join(options.into, f"{name}-sdk")
        for case, run in cases(f"http://127.0.0.1:{listener.port}"):
            try:
                run()
                outcome = "answered?"
            except Exception as problem:  # the refusal of the listener; the capture is the point
                outcome = type(problem).__name__
            print(f"{name:8} {case:20} {len(listener.taken)} exchange(s)  {outcome}")
            head, body = listener.taken[0]
            listener.taken.clear()
            write(folder, f"{case}.headers.txt", hidden(head).replace(b"\r\n", b"\n") + b"\n")
            write(folder, f"{case}.request.json", body)
        write(folder, "origin.toml", (
            "# Where these files come from. Made by tests/real/capture_requests.py; not to be edited by hand.\n"
            f'kind = "sdk"\npackage = "{", ".join(packages)}"\nversion = "{", ".join(map(importlib.metadata.version, packages))}"\n'
            f'runtime = "Python {platform.python_version()}"\ndate = "{options.date}"\n'
            'command = "python tests/real/capture_requests.py --into crates/pure/wire/fixtures/captures"\n'
            'left_out = "the values of Authorization and of signatures, the name of the kernel"\n').encode())


if __name__ == "__main__":
    main()
