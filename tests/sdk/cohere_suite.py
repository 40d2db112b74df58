"""The official Cohere SDK through Freehold, at simulated providers of each dialect. `suite.py` says what must be set."""
import asyncio
import json

import cohere
import httpx

from suite import (
    DOWN, KEY, KEY_LIMITED, OVERLOADED, PIXEL, RATE_LIMITED, SPENT, URL, CallIds, explains_itself, for_each_workflow, losses,
    raises, raw, run, speaks, test)

SAY = [{"role": "user", "content": "Is water damage covered?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
          "required": ["city", "celsius"], "additionalProperties": False}
TOOL = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
TIME = {"type": "function", "function": {"name": "get_time", "description": "The time", "parameters": {"type": "object", "properties": {}}}}


class Client:
    """An SDK client whose every response is seen."""

    def __init__(self, key=KEY):
        self.calls, self.responses = CallIds(), []
        http = httpx.Client(event_hooks={"response": [self.see]}, timeout=60)
        self.sdk = cohere.ClientV2(api_key=key, base_url=URL, httpx_client=http)

    def see(self, response):
        self.calls.check(response)
        self.responses.append(response)

    def losses(self):
        return losses(self.responses[-1].headers)


def once():
    """The SDK retries 429 and 5xx by itself."""
    return {"max_retries": 0}


def said(answer):
    return "".join(block.text for block in answer.message.content or [] if block.type == "text")


@for_each_workflow()
def plain(workflow):
    client = Client()
    answer = client.sdk.chat(model=workflow, messages=SAY, max_tokens=40, temperature=0.3)
    assert said(answer) and answer.id and answer.finish_reason in ("COMPLETE", "MAX_TOKENS"), answer
    assert answer.usage.billed_units.input_tokens > 0 and answer.usage.billed_units.output_tokens > 0, answer.usage
    assert answer.usage.tokens.output_tokens == answer.usage.billed_units.output_tokens, answer.usage


@for_each_workflow()
def stream(workflow):
    client, texts, kinds = Client(), [], []
    for event in client.sdk.chat_stream(model=workflow, messages=SAY, max_tokens=40):
        kinds.append(event.type)
        if event.type == "content-delta":
            texts.append(event.delta.message.content.text)
    whole = client.sdk.chat(model=workflow, messages=SAY, max_tokens=40)
    assert kinds[:2] == ["message-start", "content-start"] and kinds[-2:] == ["content-end", "message-end"], kinds
    assert "".join(texts) == said(whole), (texts, whole)
    assert event.delta.finish_reason in ("COMPLETE", "MAX_TOKENS") and event.delta.usage.billed_units.output_tokens > 0, event


@for_each_workflow()
def asynchronous_stream(workflow):
    async def go():
        client = cohere.AsyncClientV2(api_key=KEY, base_url=URL)
        return [event.type async for event in client.chat_stream(model=workflow, messages=SAY, max_tokens=20)]
    kinds = asyncio.run(go())
    assert kinds[0] == "message-start" and kinds[-1] == "message-end" and "content-delta" in kinds, kinds


@for_each_workflow()
def tool_round_trip(workflow):
    client = Client()
    asked = [{"role": "user", "content": "Weather in Ulm?"}]
    answer = client.sdk.chat(model=workflow, messages=asked, tools=[TOOL, TIME], tool_choice="REQUIRED", max_tokens=200)
    calls = answer.message.tool_calls
    assert answer.finish_reason == "TOOL_CALL" and [call.function.name for call in calls] == ["get_weather", "get_time"], answer
    assert json.loads(calls[0].function.arguments)["city"], calls
    turn = {"role": "assistant", "tool_calls": calls}
    if answer.message.tool_plan:
        turn["tool_plan"] = answer.message.tool_plan
    results = [{"role": "tool", "tool_call_id": calls[0].id, "content": "12 °C"},
               {"role": "tool", "tool_call_id": calls[1].id, "content": [{"type": "document", "document": {"data": {"time": "noon"}}}]}]
    answer = client.sdk.chat(model=workflow, messages=[*asked, turn, *results], tools=[TOOL, TIME], max_tokens=200)
    assert said(answer) and not answer.message.tool_calls, answer


@for_each_workflow()
def streamed_tools(workflow):
    names, arguments = [], {}
    for event in Client().sdk.chat_stream(
            model=workflow, messages=[{"role": "user", "content": "Weather in Ulm?"}], tools=[TOOL, TIME],
            tool_choice="REQUIRED", max_tokens=200):
        if event.type == "tool-call-start":
            names.append(event.delta.message.tool_calls.function.name)
            arguments[event.index] = event.delta.message.tool_calls.function.arguments or ""
        elif event.type == "tool-call-delta":
            arguments[event.index] += event.delta.message.tool_calls.function.arguments
    assert names == ["get_weather", "get_time"] and event.delta.finish_reason == "TOOL_CALL", (names, event)
    assert [type(json.loads(text)) for text in arguments.values()] == [dict, dict], arguments


@for_each_workflow()
def image(workflow):
    answer = Client().sdk.chat(model=workflow, max_tokens=40, messages=[{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}]}])
    assert said(answer), answer


@for_each_workflow()
def structured(workflow):
    answer = Client().sdk.chat(model=workflow, messages=SAY, max_tokens=60,
                               response_format={"type": "json_object", "json_schema": SCHEMA})
    assert set(json.loads(said(answer))) == {"city", "celsius"}, answer


@for_each_workflow()
def thinking(workflow):
    client = Client()
    answer = client.sdk.chat(model=workflow, messages=SAY, max_tokens=4096, thinking={"type": "enabled", "token_budget": 1024})
    thoughts = [block for block in answer.message.content if block.type == "thinking"]
    assert len(thoughts) == 1 and thoughts[0].thinking and said(answer), answer
    kinds = [event.delta.message.content.type
             for event in client.sdk.chat_stream(model=workflow, messages=SAY, max_tokens=4096, thinking={"type": "enabled", "token_budget": 1024})
             if event.type == "content-start"]
    assert kinds == ["thinking", "text"], kinds


@for_each_workflow()
def documents_are_passed_or_told(workflow):
    client = Client()
    answer = client.sdk.chat(model=workflow, messages=SAY, documents=[{"id": "d1", "data": {"text": "Water is covered."}}],
                             max_tokens=40)
    told = [loss["pointer"] for loss in client.losses()]
    assert said(answer) and ("/documents" in told) == (not speaks(workflow, "cohere")), told


@test
def embed():
    for workflow in ("sim-cohere", "sim-openai", "sim-gemini"):
        answer = Client().sdk.embed(model=workflow, texts=["water", "fire"], input_type="search_document", embedding_types=["float"])
        assert len(answer.embeddings.float_) == 2 and answer.meta.billed_units.input_tokens > 0, answer


@test
def embeddings_of_a_provider_that_makes_none_are_refused():
    error = raises(cohere.BadRequestError, Client().sdk.embed, model="sim-anthropic", texts=["a"], input_type="classification")
    assert error.body["freehold"]["code"] == "untranslatable", error.body


@test
def rerank():
    client = Client()
    answer = client.sdk.rerank(model="sim-cohere", query="Is water covered?", documents=["Fire.", "Water.", "Wind."], top_n=2)
    scores = [result.relevance_score for result in answer.results]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True) and answer.meta.billed_units.search_units == 1, answer


@test
def rerank_by_a_provider_of_the_common_shape():
    answer = Client().sdk.rerank(model="rank-common", query="Is water covered?", documents=["Fire.", "Water."], top_n=1)
    assert len(answer.results) == 1 and answer.meta.tokens.input_tokens > 0, answer


@test
def rerank_in_the_common_shape():
    body = json.dumps({"model": "rank-common", "query": "q", "documents": ["Fire.", {"text": "Water."}], "top_n": 1}).encode()
    status, headers, answer = raw("POST", "/v1/rerank", body, {"authorization": f"Bearer {KEY}", "content-type": "application/json"})
    answer = json.loads(answer)
    assert status == 200 and answer["model"] == "rank-common" and len(answer["results"]) == 1, answer
    assert headers["freehold-call-id"] and answer["usage"]["total_tokens"] > 0, answer


@test
def models_are_listed_as_the_sdk_reads_them():
    names = [model.name for model in cohere.Client(api_key=KEY, base_url=URL).models.list().models]
    assert "sim-cohere" in names, names


@test
def errors_are_the_sdks_own():
    for kind, key, workflow, code, blame in [
        (cohere.UnauthorizedError, "fh_no_key", "sim-cohere", "key_unknown", "client"),
        (cohere.NotFoundError, KEY, "no-such-workflow", "model_not_found", "client"),
        (cohere.TooManyRequestsError, KEY, RATE_LIMITED, "upstream_rate_limited", "provider"),
        (cohere.ServiceUnavailableError, KEY, OVERLOADED, "upstream_overloaded", "provider"),
        (cohere.TooManyRequestsError, KEY, SPENT, "budget_spent", "client"),
    ]:
        client = Client(key)
        error = raises(kind, client.sdk.chat, model=workflow, messages=SAY, request_options=once())
        assert error.body["message"] and error.body["freehold"]["code"] == code, error.body
        explains_itself(error.body["freehold"], client.calls.seen[-1], blame)
    error = raises(cohere.core.ApiError, Client().sdk.chat, model=DOWN, messages=SAY, request_options=once())
    assert error.status_code == 502 and error.body["freehold"]["blame"] == "provider", error
    error = raises(cohere.BadRequestError, Client().sdk.chat, model="sim-cohere", messages="no list", request_options=once())
    assert "messages" in error.body["message"], error.body


@test
def a_limited_key_is_told_when_to_come_back():
    client = Client(KEY_LIMITED)
    client.sdk.chat(model="sim-cohere", messages=SAY, max_tokens=5)
    error = raises(cohere.TooManyRequestsError, client.sdk.chat, model="sim-cohere", messages=SAY, request_options=once())
    assert error.body["freehold"]["retry_after_ms"] > 0 and int(client.responses[-1].headers["retry-after"]) > 0, error.body


if __name__ == "__main__":
    run("cohere")
