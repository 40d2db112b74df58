#!/usr/bin/env python3
"""Drives Realtime with the official OpenAI SDK, sync and async, through Freehold. What it needs is told in suite.py. The package
`websockets`, which the SDK speaks by, is there because google-genai needs it too."""
import base64

import openai
import websockets

from suite import KEY, SPENT, URL, environment, raises, raw, run, test

REALTIME = "sim-openai"
KEY_POOR = environment("FREEHOLD_KEY_POOR")


def connect(key=KEY):
    return openai.OpenAI(base_url=URL + "/v1", api_key=key, max_retries=0, timeout=60)


def say(connection, text):
    connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
    connection.response.create()


def answer(connection):
    """The text of a response, and the event that ends it."""
    text = ""
    for event in connection:
        assert event.type != "error", event
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.done":
            return text, event


@test
def a_session_answers_and_tells_its_usage():
    with connect().realtime.connect(model=REALTIME) as connection:
        created = connection.recv()
        assert created.type == "session.created" and created.session.model == REALTIME, created
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        assert connection.recv().type == "session.updated"
        for _ in range(2):
            say(connection, "Is water damage covered?")
            text, done = answer(connection)
            assert text and done.response.status == "completed", done
            assert done.response.usage.output_tokens > 0 and done.response.usage.input_tokens > 0, done


@test
def sound_goes_in_and_comes_out():
    with connect().realtime.connect(model=REALTIME) as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
        connection.input_audio_buffer.append(audio=base64.b64encode(bytes(48_000)).decode())
        connection.input_audio_buffer.commit()
        connection.response.create()
        heard = 0
        for event in connection:
            if event.type == "response.output_audio.delta":
                heard += len(base64.b64decode(event.delta))
            elif event.type == "response.done":
                break
        details = event.response.usage
        assert heard > 0 and details.input_token_details.audio_tokens == 10, details
        assert details.output_token_details.audio_tokens > 0, details


@test
async def the_async_client_works():
    client = openai.AsyncOpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
    async with client.realtime.connect(model=REALTIME) as connection:
        assert (await connection.recv()).type == "session.created"
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done":
                break
        assert event.response.status == "completed", event


@test
def what_is_refused_is_refused_before_the_socket():
    for key, model, status in [
        (KEY, "no-such-workflow", 404), (KEY, SPENT, 429), (KEY, "sim-anthropic", 400), ("fh_no_key", REALTIME, 401),
        (KEY_POOR, "unpriced", 503),
    ]:
        error = raises(websockets.exceptions.InvalidStatus, connect(key).realtime.connect(model=model).enter)
        assert error.response.status_code == status, (model, error.response)
        assert error.response.headers["freehold-error"], error.response.headers


@test
def no_key_of_the_provider_is_given_out():
    error = raises(openai.PermissionDeniedError, connect().realtime.client_secrets.create)
    assert error.code == "no_ephemeral_keys" and "openai-insecure-api-key" in str(error), error


@test
def a_get_that_is_no_websocket_is_told_so():
    status, headers, _ = raw("GET", f"/v1/realtime?model={REALTIME}", None, {"authorization": f"Bearer {KEY}"})
    assert status == 426 and headers["freehold-error"] == "no_socket", (status, headers)


if __name__ == "__main__":
    run("realtime")
