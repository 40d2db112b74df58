#!/usr/bin/env python3
"""Records what OpenAI's SDK says over a Realtime connection, as fixtures for `wire`.

    capture_realtime.py --into crates/pure/wire/fixtures/captures

A WebSocket server of another make than ours (the package `websockets`) takes each event and says nothing. Nothing is left out of the
files but the value of the credential. Files land as

    realtime-sdk/handshake.headers.txt
    realtime-sdk/CASE.request.json      one event each
"""
import argparse
import datetime
import importlib.metadata
import os
import platform
import queue
import re
import threading

from websockets.sync.server import serve

KEY = "captured-key"


def cases(connection):
    yield "session-update", lambda: connection.session.update(session={
        "type": "realtime", "model": "claims-triage", "output_modalities": ["audio"], "instructions": "You are terse.",
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": {"model": "whisper-1"},
                            "turn_detection": {"type": "semantic_vad"}},
                  "output": {"voice": "marin"}},
        "tools": [{"type": "function", "name": "get_weather", "description": "Current weather of a city", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}],
        "max_output_tokens": 200})
    yield "item-create", lambda: connection.conversation.item.create(item={
        "type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "Say hello to the claims team — in one word. 👋"}]})
    yield "function-output", lambda: connection.conversation.item.create(item={
        "type": "function_call_output", "call_id": "call_1", "output": "{\"celsius\": 12}"})
    yield "audio-append", lambda: connection.input_audio_buffer.append(audio="AAAA" * 40)
    yield "audio-commit", lambda: connection.input_audio_buffer.commit()
    yield "response-create", lambda: connection.response.create(response={
        "output_modalities": ["text"], "metadata": {"run": "r-1"}, "instructions": "In German."})
    yield "response-cancel", lambda: connection.response.cancel(response_id="resp_1")
    yield "item-truncate", lambda: connection.conversation.item.truncate(item_id="item_1", content_index=0, audio_end_ms=900)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--into", required=True)
    options.add_argument("--date", default=datetime.date.today().isoformat())
    options = options.parse_args()
    folder = os.path.join(options.into, "realtime-sdk")
    os.makedirs(folder, exist_ok=True)
    events = queue.Queue()

    def write(name, data):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)

    def take(connection):
        request = connection.request
        head = [f"GET {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.raw_items())]
        text = re.sub(r"(?im)^(authorization: bearer )\S+", r"\1KEY", "\n".join(head))
        write("handshake.headers.txt", re.sub(r"(?im)^(sec-websocket-key: )\S+", r"\1CHALLENGE", text).encode() + b"\n")
        for event in connection:
            events.put(event)

    with serve(take, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        import openai
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.socket.getsockname()[1]}/v1", api_key=KEY)
        with client.realtime.connect(model="claims-triage") as connection:
            for case, say in cases(connection):
                say()
                write(f"{case}.request.json", events.get(timeout=10).encode())
                print(case)
        server.shutdown()
    write("origin.toml", (
        "# Where these files come from. Made by tests/real/capture_realtime.py; not to be edited by hand.\n"
        f'kind = "sdk"\npackage = "openai"\nversion = "{importlib.metadata.version("openai")}"\n'
        f'runtime = "Python {platform.python_version()}, websockets {importlib.metadata.version("websockets")}"\n'
        f'date = "{options.date}"\n'
        'command = "python tests/real/capture_realtime.py --into crates/pure/wire/fixtures/captures"\n'
        'left_out = "the values of Authorization and of Sec-WebSocket-Key"\n').encode())


if __name__ == "__main__":
    main()
