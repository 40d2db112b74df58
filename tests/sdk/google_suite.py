#!/usr/bin/env python3
"""Drives the official google-genai SDK, sync and async, through Freehold. What it needs is told in suite.py."""
import asyncio
import base64
import json
import time

import pydantic
from google import genai
from google.genai import errors, types

from suite import (DOWN, KEY, KEY_LIMITED, OVERLOADED, PIXEL, RATE_LIMITED, SLOW, SPENT, URL, WORKFLOWS,
                   explains_itself, for_each_workflow, losses, raises, raw, run, speaks, test)

SAY = "Say hello to the claims team."
BOTH = "Weather in Ulm, and what time is it in UTC?"


class Weather(pydantic.BaseModel):
    city: str
    celsius: int
    remark: str | None = None


def function(name, **properties):
    return types.FunctionDeclaration(name=name, description=f"Looks up: {name}", parameters=types.Schema(
        type="OBJECT", properties=properties, required=list(properties)))


TOOLS = [types.Tool(function_declarations=[
    function("get_weather", city=types.Schema(type="STRING", enum=["Ulm", "Graz"])),
    function("get_time", zone=types.Schema(type="STRING"))])]


# A client that nobody holds any more closes its connections, even while what it made still uses them.
HELD = []


def connect(base=URL, key=KEY, **options):
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base, timeout=120_000, **options))
    HELD.append(client)
    return client


def config(**more):
    more.setdefault("max_output_tokens", 64)
    return types.GenerateContentConfig(**more)


def ask(client, workflow, contents=SAY, **more):
    return client.models.generate_content(model=workflow, contents=contents, config=config(**more))


def stream(client, workflow, contents=SAY, **more):
    return list(client.models.generate_content_stream(model=workflow, contents=contents, config=config(**more)))


def head(answer):
    return {name.lower(): value for name, value in answer.sdk_http_response.headers.items()}


def complete(answer, workflow):
    """A whole answer, or the last piece of a streamed one."""
    assert answer.model_version == workflow, answer.model_version
    assert head(answer).get("freehold-call-id"), head(answer)
    assert answer.candidates[0].finish_reason in ("STOP", "MAX_TOKENS"), answer.candidates
    usage = answer.usage_metadata
    if usage is None and workflow == "llama-anthropic":
        # llama.cpp leaves the event with the tokens sent out of a stream that begins with half a character; what no provider told
        # Google's clients are not told either.
        return answer
    assert usage.prompt_token_count > 0 and usage.total_token_count > usage.prompt_token_count, usage
    return answer


def calls_of(answers):
    return [part.function_call for answer in answers for candidate in answer.candidates or []
            for part in (candidate.content and candidate.content.parts) or [] if part.function_call]


# ---------------------------------------------------------------- answers

@for_each_workflow()
def a_plain_question_is_answered_under_the_name_it_asked_for(workflow):
    answer = ask(connect(), workflow, system_instruction="You are terse.", stop_sequences=["END"], temperature=0.5)
    assert complete(answer, workflow).text


@for_each_workflow()
def a_stream_ends_with_a_reason_and_its_usage(workflow):
    pieces = stream(connect(), workflow)
    assert len(pieces) > 2, pieces
    assert "".join(piece.text or "" for piece in pieces)
    complete(pieces[-1], workflow)
    assert all(piece.model_version == workflow for piece in pieces)


@for_each_workflow("sim")
def what_is_streamed_is_what_comes_whole_and_costs_the_same(workflow):
    client = connect()
    whole, pieces = ask(client, workflow), stream(client, workflow)
    assert "".join(piece.text or "" for piece in pieces) == whole.text
    assert pieces[-1].usage_metadata.total_token_count == whole.usage_metadata.total_token_count


@for_each_workflow()
async def the_async_client_is_answered_whole_and_streamed(workflow):
    client = connect().aio
    complete(await client.models.generate_content(model=workflow, contents=SAY, config=config()), workflow)
    pieces = [piece async for piece in await client.models.generate_content_stream(
        model=workflow, contents=SAY, config=config())]
    complete(pieces[-1], workflow)


@for_each_workflow()
async def calls_side_by_side_do_not_mix(workflow):
    client = connect().aio
    answers = await asyncio.gather(*(
        client.models.generate_content(model=workflow, contents=SAY, config=config(max_output_tokens=4)) for _ in range(8)))
    assert len({head(answer)["freehold-call-id"] for answer in answers}) == 8


@for_each_workflow("sim")
def a_chat_has_several_turns(workflow):
    session = connect().chats.create(model=workflow, config=config())
    assert session.send_message("Is water covered?").text
    assert session.send_message("And fire?").text
    assert len(session.get_history()) == 4


# ---------------------------------------------------------------- tools

@for_each_workflow("sim")
def tools_go_round_whole_and_streamed(workflow):
    client = connect()
    whole = ask(client, workflow, BOTH, tools=TOOLS, max_output_tokens=256)
    for answers in ([whole], stream(client, workflow, BOTH, tools=TOOLS, max_output_tokens=256)):
        complete(answers[-1], workflow)
        calls = calls_of(answers)
        assert [call.name for call in calls] == ["get_weather", "get_time"], calls
        assert calls[0].args == {"city": "Ulm"} and "zone" in calls[1].args, calls
    results = [types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"celsius": 12}))
               for call in calls_of([whole])]
    contents = [types.Content(role="user", parts=[types.Part(text=BOTH)]), whole.candidates[0].content,
                types.Content(role="user", parts=results)]
    assert ask(client, workflow, contents, tools=TOOLS).text


@for_each_workflow("sim")
def results_without_ids_find_their_calls(workflow):
    part = lambda **what: types.Part(**what)
    call = lambda city: part(function_call=types.FunctionCall(name="get_weather", args={"city": city}))
    result = lambda celsius: part(function_response=types.FunctionResponse(name="get_weather", response={"celsius": celsius}))
    contents = [types.Content(role="user", parts=[part(text="Weather?")]),
                types.Content(role="model", parts=[call("Ulm"), call("Graz")]),
                types.Content(role="user", parts=[result(12), result(15)])]
    assert ask(connect(), workflow, contents, tools=TOOLS).text


@for_each_workflow("sim")
def a_python_function_is_called_by_the_sdk(workflow):
    asked = []

    def get_weather(city: str) -> dict:
        """Current weather of a city."""
        asked.append(city)
        return {"celsius": 12}

    session = connect().chats.create(model=workflow, config=config(tools=[get_weather]))
    assert session.send_message("Weather in Ulm?").text
    assert len(asked) == 1, asked


@for_each_workflow("sim")
def a_tool_that_must_be_called_is_called(workflow):
    forced = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(
        mode="ANY", allowed_function_names=["get_time"]))
    answer = ask(connect(), workflow, tools=TOOLS, tool_config=forced)
    assert [call.name for call in calls_of([answer])] == ["get_time"]


# ---------------------------------------------------------------- images, schemas, thinking

@for_each_workflow("sim")
def an_image_is_taken(workflow):
    picture = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    assert complete(ask(connect(), workflow, [picture, "What is on this picture?"]), workflow).text


@for_each_workflow("sim")
def a_pydantic_model_is_parsed(workflow):
    client = connect()
    google = ask(client, workflow, "Ulm has 12 degrees.", response_mime_type="application/json", response_schema=Weather)
    assert isinstance(google.parsed, Weather), google
    schema = ask(client, workflow, "Ulm has 12 degrees.", response_mime_type="application/json",
                 response_json_schema=Weather.model_json_schema())
    assert Weather.model_validate_json(schema.text), schema


@for_each_workflow("sim")
def thoughts_are_told_apart_and_come_back(workflow):
    """Where a provider cannot be asked for thoughts by a budget, the translation says what it made of it."""
    client = connect()
    asked = {"max_output_tokens": 4096, "thinking_config": types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)}
    for answers in ([ask(client, workflow, **asked)], stream(client, workflow, **asked)):
        parts = [part for answer in answers for part in (answer.candidates[0].content.parts or [])]
        assert any(part.thought and part.text for part in parts), parts
        assert any(part.text and not part.thought for part in parts), parts
    whole = ask(client, workflow, **asked)
    # Bedrock and Cohere do not tell thoughts apart in what they bill.
    if workflow not in ("sim-bedrock", "sim-cohere"):
        assert whole.usage_metadata.thoughts_token_count > 0, whole.usage_metadata
    contents = [types.Content(role="user", parts=[types.Part(text=SAY)]), whole.candidates[0].content,
                types.Content(role="user", parts=[types.Part(text="And again.")])]
    again = ask(client, workflow, contents, **asked)
    assert again.text
    told = losses(head(again))
    assert bool(told) != speaks(workflow, "gemini"), told


# ---------------------------------------------------------------- counting, embeddings, models

@for_each_workflow("sim")
def tokens_are_counted_by_the_provider_or_estimated_by_us(workflow):
    counted = connect().models.count_tokens(model=workflow, contents=SAY)
    assert counted.total_tokens > 0, counted
    assert ("freehold-estimated" in head(counted)) != speaks(workflow, "gemini"), head(counted)


@for_each_workflow("sim-gemini", "sim-openai", "sim-cohere")
def texts_are_embedded(workflow):
    # The SDK tells from the model's name which route it asks: one vector for all, or one for each.
    answer = connect().models.embed_content(model=workflow, contents=["one", "two"])
    assert len(answer.embeddings) in (1, 2) and len(answer.embeddings[0].values) > 2, answer
    assert answer.usage_metadata.prompt_token_count > 0, answer
    one = {"model": f"models/{workflow}", "content": {"parts": [{"text": "one"}]}}
    status, _, body = raw("POST", f"/v1beta/models/{workflow}:batchEmbedContents", json.dumps({"requests": [one, one]}).encode(), {
        "Content-Type": "application/json", "x-goog-api-key": KEY})
    assert status == 200 and len(json.loads(body)["embeddings"]) == 2, body


@for_each_workflow("sim-anthropic")
def embeddings_that_cannot_be_translated_say_so(workflow):
    error = raises(errors.ClientError, connect().models.embed_content, model=workflow, contents=["one"])
    assert error.code == 400 and "embeddings" in error.message, error


@test
def the_models_list_answers_in_this_dialect():
    names = {model.name for model in connect().models.list()}
    assert {f"models/{name}" for name in WORKFLOWS} <= names, names


# ---------------------------------------------------------------- errors

def told(error, status, word, blame):
    inner = error.details["error"]
    call = error.response.headers["freehold-call-id"]
    assert (error.code, error.status) == (status, word), error
    assert inner["details"][0]["@type"].endswith("ErrorInfo") and inner["details"][0]["domain"] == "freehold", inner
    explains_itself(inner["freehold"], call, blame)
    return inner


@test
def a_wrong_key_is_unauthenticated():
    told(raises(errors.ClientError, ask, connect(key="fh_nobody_nothing"), WORKFLOWS[0]), 401, "UNAUTHENTICATED", "client")


@test
def an_unknown_workflow_is_not_found():
    told(raises(errors.ClientError, ask, connect(), "no-such-workflow"), 404, "NOT_FOUND", "client")


@test
def a_request_without_contents_is_an_invalid_argument():
    status, headers, body = raw("POST", f"/v1beta/models/{WORKFLOWS[0]}:generateContent", b"{}", {
        "Content-Type": "application/json", "x-goog-api-key": KEY})
    answer = json.loads(body)
    assert status == 400 and headers["freehold-call-id"] and answer["error"]["status"] == "INVALID_ARGUMENT", answer


@test
def a_spent_budget_is_a_resource_exhausted():
    inner = told(raises(errors.ClientError, ask, connect(), SPENT), 429, "RESOURCE_EXHAUSTED", "client")
    assert "budget" in inner["message"], inner


@test
def a_key_over_its_limit_is_told_how_long_to_wait():
    error = None
    for _ in range(2):  # the first one may still be inside the limit
        try:
            ask(connect(key=KEY_LIMITED), WORKFLOWS[0])
        except errors.ClientError as refused:
            error = refused
    assert error is not None and error.code == 429, "two calls in a row passed a limit of one a minute"
    waits = [detail["retryDelay"] for detail in error.details["error"]["details"] if "retryDelay" in detail]
    assert len(waits) == 1 and waits[0].endswith("s"), error.details


@test
def a_rate_limited_provider_is_a_resource_exhausted():
    told(raises(errors.ClientError, ask, connect(), RATE_LIMITED), 429, "RESOURCE_EXHAUSTED", "provider")


@test
def a_provider_that_is_down_is_a_server_error_streamed_or_not():
    told(raises(errors.ServerError, ask, connect(), DOWN), 502, "UNAVAILABLE", "provider")
    raises(errors.ServerError, stream, connect(), DOWN)


@test
def an_overloaded_provider_is_unavailable():
    told(raises(errors.ServerError, ask, connect(), OVERLOADED), 503, "UNAVAILABLE", "provider")


# ---------------------------------------------------------------- ways to authenticate, other roots, leaving early

@test
def every_way_to_authenticate_is_taken():
    body = json.dumps({"contents": [{"parts": [{"text": "Hi"}]}]}).encode()
    path = f"/v1beta/models/{WORKFLOWS[0]}:generateContent"
    kind = {"Content-Type": "application/json"}
    for asked, headers in [(path, {"x-goog-api-key": KEY}), (path, {"Authorization": f"Bearer {KEY}"}),
                           (f"{path}?key={KEY}", {})]:
        status, answered, answer = raw("POST", asked, body, kind | headers)
        assert status == 200 and answered["freehold-call-id"], (asked, status, answer)


@for_each_workflow("sim")
def without_alt_sse_a_stream_is_one_json_array(workflow):
    body = json.dumps({"contents": [{"parts": [{"text": "Hi"}]}]}).encode()
    status, headers, answer = raw("POST", f"/v1beta/models/{workflow}:streamGenerateContent", body, {
        "Content-Type": "application/json", "x-goog-api-key": KEY})
    pieces = json.loads(answer)
    assert status == 200 and headers["content-type"].startswith("application/json"), headers
    assert len(pieces) > 2 and pieces[-1]["candidates"][0]["finishReason"] == "STOP", pieces


@test
def the_gemini_root_serves_the_same():
    assert ask(connect(base=URL + "/gemini"), WORKFLOWS[0]).text


@for_each_workflow("sim")
def vertex_paths_serve_the_same(workflow):
    from google.oauth2.credentials import Credentials
    client = genai.Client(vertexai=True, project="acme", location="europe-west4", credentials=Credentials(KEY),
                          http_options=types.HttpOptions(base_url=URL))
    complete(ask(client, workflow), workflow)
    complete(stream(client, workflow)[-1], workflow)


@test
def a_client_that_leaves_a_stream_is_let_go_at_once():
    pieces = connect().models.generate_content_stream(model=SLOW, contents=SAY, config=config(max_output_tokens=512))
    next(pieces)
    started = time.monotonic()
    pieces.close()
    assert time.monotonic() - started < 1.0
    assert ask(connect(), WORKFLOWS[0]).text, "the gateway answers on"


if __name__ == "__main__":
    run("google-genai")
