#!/usr/bin/env python3
"""Drives the official OpenAI SDK, sync and async, through Freehold. What it needs is told in suite.py."""
import asyncio
import json
import pathlib
import typing
import time

import openai
import pydantic

from openai_clients import BASE, connect, connect_async, told
from suite import (DOWN, KEPT, KEY, KEY_LIMITED, LLAMA_RESPONSES, OVERLOADED, PIXEL, RATE_LIMITED, SLOW, SPENT, WORKFLOWS,
                   for_each_workflow, losses, raises, raw, run, speaks, test)

SAY = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Say hello to the claims team."}]


class Weather(pydantic.BaseModel):
    city: str
    celsius: int


def tool(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": f"Looks up: {name}", "parameters": parameters}}


WEATHER = tool("get_weather", city={"type": "string", "enum": ["Ulm", "Graz"]})
CLOCK = tool("get_time", zone={"type": "string"})


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


# ---------------------------------------------------------------- answers

@for_each_workflow()
def a_plain_call_is_answered_under_the_name_it_asked_for(workflow):
    client = connect()
    answer = client.chat.completions.create(model=workflow, messages=SAY, max_completion_tokens=16)
    assert answer.model == workflow, answer.model
    assert answer.object == "chat.completion" and answer.id
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length"), answer.choices[0]
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
    assert len(client.ids.seen) == 1


@for_each_workflow()
def a_stream_comes_in_pieces_without_a_usage_chunk_nobody_asked_for(workflow):
    client = connect()
    with client.chat.completions.create(model=workflow, messages=SAY, max_completion_tokens=16, stream=True) as stream:
        chunks = list(stream)
    assert text_of(chunks), "no text"
    assert {chunk.model for chunk in chunks} == {workflow}, {chunk.model for chunk in chunks}
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.choices for chunk in chunks), "a chunk without choices: the usage chunk was not asked for"
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason][0] in ("stop", "length")


@for_each_workflow()
def a_usage_chunk_comes_last_when_asked_for(workflow):
    stream = connect().chat.completions.create(
        model=workflow, messages=SAY, max_completion_tokens=16, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    last = chunks[-1]
    assert last.choices == [] and last.model == workflow, last
    assert last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


@for_each_workflow()
def the_stream_helper_puts_the_answer_together(workflow):
    # The helper raises when the answer was cut at its length, so this one must come to its end.
    with connect().chat.completions.stream(
            model=workflow, messages=SAY, max_completion_tokens=256, stop=[".", "!"], temperature=0) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content and final.model == workflow


@for_each_workflow()
async def the_async_client_is_answered_whole_and_streamed(workflow):
    async with connect_async() as client:
        answer = await client.chat.completions.create(model=workflow, messages=SAY, max_completion_tokens=16)
        assert answer.choices[0].message.content and answer.model == workflow
        pieces = []
        async for chunk in await client.chat.completions.create(
                model=workflow, messages=SAY, max_completion_tokens=16, stream=True):
            pieces.append(chunk)
        assert text_of(pieces) and len(client.ids.seen) == 2


@for_each_workflow()
async def calls_side_by_side_do_not_mix(workflow):
    async with connect_async() as client:
        answers = await asyncio.gather(*(
            client.chat.completions.create(model=workflow, messages=SAY, max_completion_tokens=4) for _ in range(8)))
        assert len({answer.id for answer in answers}) == 8 and len(set(client.ids.seen)) == 8


@for_each_workflow()
def history_developer_role_and_stop_sequences_are_taken(workflow):
    answer = connect().chat.completions.create(
        model=workflow, max_completion_tokens=8, stop=["\n\n", "END"], temperature=0.2, top_p=0.9,
        messages=[{"role": "developer", "content": "You are terse."}, {"role": "user", "content": "Hello"},
                  {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": [{"type": "text", "text": "Again."}]}])
    assert answer.choices[0].finish_reason in ("stop", "length")


# ---------------------------------------------------------------- tools

@for_each_workflow("sim")
def tools_are_called_side_by_side(workflow):
    answer = connect().chat.completions.create(
        model=workflow, tools=[WEATHER, CLOCK], max_completion_tokens=256,
        messages=[{"role": "user", "content": "Weather in Ulm, and what time is it in UTC?"}])
    calls = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls", answer.choices[0].finish_reason
    assert [call.function.name for call in calls] == ["get_weather", "get_time"], calls
    assert len({call.id for call in calls}) == 2
    assert "city" in json.loads(calls[0].function.arguments) and "zone" in json.loads(calls[1].function.arguments)


@for_each_workflow("sim-openai", "sim-anthropic")  # Google cannot be held to one; the loss list says so
def one_tool_at_a_time_where_parallel_calls_are_off(workflow):
    answer = connect().chat.completions.create(
        model=workflow, tools=[WEATHER, CLOCK], parallel_tool_calls=False, max_completion_tokens=256,
        messages=[{"role": "user", "content": "Weather in Ulm, and what time is it in UTC?"}])
    assert len(answer.choices[0].message.tool_calls) == 1


@for_each_workflow("sim")
def tool_arguments_stream_in_pieces_that_make_json(workflow):
    stream = connect().chat.completions.create(
        model=workflow, tools=[WEATHER, CLOCK], max_completion_tokens=256, stream=True,
        messages=[{"role": "user", "content": "Weather in Ulm, and what time is it in UTC?"}])
    calls, pieces, finish = {}, 0, None
    for chunk in stream:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for part in choice.delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": None, "name": None, "arguments": ""})
                call["id"] = part.id or call["id"]
                call["name"] = part.function.name or call["name"]
                call["arguments"] += part.function.arguments or ""
                pieces += 1
    assert finish == "tool_calls", finish
    assert sorted(calls) == [0, 1], calls
    assert [calls[index]["name"] for index in (0, 1)] == ["get_weather", "get_time"], calls
    assert all(call["id"] and json.loads(call["arguments"]) for call in calls.values()), calls
    assert pieces > 2, "the arguments came in one piece"


@for_each_workflow("sim")
def a_tool_result_goes_back_and_is_answered(workflow):
    client = connect()
    messages = [{"role": "user", "content": "Weather in Ulm?"}]
    first = client.chat.completions.create(model=workflow, tools=[WEATHER], messages=messages, max_completion_tokens=256)
    call = first.choices[0].message.tool_calls[0]
    messages += [first.choices[0].message.model_dump(exclude_none=True),
                 {"role": "tool", "tool_call_id": call.id, "content": "12 °C"}]
    second = client.chat.completions.create(model=workflow, tools=[WEATHER], messages=messages, max_completion_tokens=32)
    assert second.choices[0].message.content, second


@for_each_workflow("llama-openai")
def a_real_model_calls_a_tool_streamed(workflow):
    """Needs the server with `--tool-template`: the bias on its opening token makes SmolLM2 call."""
    with connect().chat.completions.stream(
            model=workflow, tools=[WEATHER], tool_choice="required", logit_bias={"13": 18}, stop=["<jupyter_output>"],
            max_completion_tokens=64, temperature=0, messages=[{"role": "user", "content": "Weather in Ulm?"}]) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls[0].function.name == "get_weather"
    assert json.loads(message.tool_calls[0].function.arguments)["city"] in ("Ulm", "Graz")


@for_each_workflow("llama")
def tool_definitions_and_results_are_taken_by_a_real_server(workflow):
    answer = connect().chat.completions.create(
        model=workflow, tools=[WEATHER], max_completion_tokens=8, messages=[
            {"role": "user", "content": "Weather in Ulm?"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Ulm\"}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"}])
    assert answer.usage.completion_tokens > 0


# ---------------------------------------------------------------- structured output, images, sampling

@for_each_workflow("sim", "llama-openai")
def a_pydantic_model_is_parsed(workflow):
    answer = connect().chat.completions.parse(
        model=workflow, response_format=Weather, max_completion_tokens=64, temperature=0,
        messages=[{"role": "user", "content": "Ulm has 12 degrees."}])
    assert isinstance(answer.choices[0].message.parsed, Weather), answer.choices[0].message


@for_each_workflow("sim")
def an_image_is_taken(workflow):
    answer = connect().chat.completions.create(model=workflow, max_completion_tokens=16, messages=[{"role": "user", "content": [
        {"type": "text", "text": "What is on this picture?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}]}])
    assert answer.choices[0].message.content


@for_each_workflow()
def several_choices_come_or_the_caller_is_told(workflow):
    client = connect()
    ask = {"model": workflow, "messages": SAY, "n": 2, "max_completion_tokens": 8}
    if speaks(workflow, "openai"):
        answer = client.chat.completions.create(**ask)
        assert sorted(choice.index for choice in answer.choices) == [0, 1], answer.choices
        return
    # The Anthropic dialect knows one choice: refused with the reason, or one choice and the loss named; never silent.
    try:
        answer = client.chat.completions.with_raw_response.create(**ask)
    except openai.BadRequestError as error:
        assert "n" in (error.param or error.message), error
        return
    assert any(loss.get("pointer") == "/n" for loss in losses(answer.headers)), dict(answer.headers)


@for_each_workflow("sim-openai", "llama-openai")
def logprobs_and_seed_reach_the_provider(workflow):
    answer = connect().chat.completions.create(
        model=workflow, messages=SAY, logprobs=True, top_logprobs=2, seed=7, max_completion_tokens=4)
    tokens = answer.choices[0].logprobs.content
    assert tokens and all(entry.logprob <= 0 for entry in tokens), tokens


@for_each_workflow("sim-anthropic", "llama-anthropic")
def logprobs_an_anthropic_provider_cannot_give_are_named_as_lost(workflow):
    try:
        answer = connect().chat.completions.with_raw_response.create(
            model=workflow, messages=SAY, logprobs=True, seed=7, max_completion_tokens=4)
    except openai.BadRequestError:
        return
    lost = {loss.get("pointer") for loss in losses(answer.headers)}
    assert "/logprobs" in lost and "/seed" in lost, lost


@for_each_workflow("sim")
def reasoning_effort_is_taken(workflow):
    answer = connect().chat.completions.create(model=workflow, messages=SAY, reasoning_effort="low", max_completion_tokens=2048)
    assert answer.choices[0].message.content


# ---------------------------------------------------------------- responses

HELLO = "Say hello to the claims team."
ASKED = {"input": "Weather in Ulm, and what time is it in UTC?", "max_output_tokens": 256}


def function(chat_tool):
    return {"type": "function", **chat_tool["function"], "strict": True}


@for_each_workflow()
def a_response_is_answered_under_the_name_it_asked_for(workflow):
    client = connect()
    answer = client.responses.create(model=workflow, input=HELLO, instructions="You are terse.", max_output_tokens=16)
    assert answer.model == workflow, answer.model
    assert answer.object == "response" and answer.id and answer.output_text
    assert answer.status in ("completed", "incomplete"), answer.status
    usage = answer.usage
    assert usage.input_tokens > 0 and usage.output_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens, usage
    assert len(client.ids.seen) == 1


@for_each_workflow()
def a_response_streams_in_numbered_events_that_add_up(workflow):
    with connect().responses.create(model=workflow, input=HELLO, max_output_tokens=16, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events))), [e.sequence_number for e in events]
    assert events[0].type == "response.created" and events[-1].type in ("response.completed", "response.incomplete")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    done = [event.text for event in events if event.type == "response.output_text.done"]
    final = events[-1].response
    assert text and done == [text] and final.output_text == text, (text, done, final)
    assert final.model == workflow and events[0].response.model == workflow
    assert events[0].response.id == final.id
    assert final.usage.input_tokens > 0 and final.usage.output_tokens > 0
    cut = final.status == "incomplete"
    assert not cut or final.incomplete_details.reason == "max_output_tokens", final.incomplete_details


@for_each_workflow()
def the_response_stream_helper_puts_the_answer_together(workflow):
    # The helper raises unless the answer comes to its end.
    ask = {"temperature": 0, "instructions": "Answer with one word."} if workflow.startswith("llama") else {}
    pieces = []
    with connect().responses.stream(model=workflow, input=HELLO, max_output_tokens=512, **ask) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
        final = stream.get_final_response()
    assert final.output_text == "".join(pieces) and final.model == workflow and final.output_text


@for_each_workflow()
async def the_async_client_gets_responses_whole_and_streamed(workflow):
    async with connect_async() as client:
        answer = await client.responses.create(model=workflow, input=HELLO, max_output_tokens=16)
        assert answer.output_text and answer.model == workflow
        kinds = [event.type async for event in await client.responses.create(
            model=workflow, input=HELLO, max_output_tokens=16, stream=True)]
        assert "response.output_text.delta" in kinds and len(client.ids.seen) == 2


@test
def the_types_of_events_that_are_tested_are_those_the_sdk_has():
    from openai.types.responses import response_stream_event
    union = typing.get_args(response_stream_event.ResponseStreamEvent)
    union = union if isinstance(union[0], type) else typing.get_args(union[0])
    known = sorted(kind for event in union for kind in typing.get_args(event.model_fields["type"].annotation))
    listed = pathlib.Path(__file__).parents[2] / "crates/pure/wire/fixtures/events/openai-responses.txt"
    assert listed.read_text().split() == known, set(listed.read_text().split()) ^ set(known)


@for_each_workflow("sim-responses")
def a_conversation_is_compacted_and_gone_on_from(workflow):
    client = connect()
    said = [{"role": "user", "content": HELLO}, {"role": "assistant", "content": "Hello, claims team."}]
    compacted = client.responses.compact(model=workflow, input=said)
    assert compacted.object == "response.compaction" and compacted.usage.total_tokens > 0, compacted
    assert [item.type for item in compacted.output] == ["message", "compaction"], compacted.output
    onward = [item.to_dict() for item in compacted.output] + [{"role": "user", "content": "And now?"}]
    answer = client.responses.create(model=workflow, input=onward, max_output_tokens=16)
    assert answer.output_text, answer


@for_each_workflow("sim")
def a_response_is_counted_before_it_is_asked_for(workflow):
    counted = connect().responses.input_tokens.count(model=workflow, input=HELLO, instructions="You are terse.")
    assert counted.object == "response.input_tokens" and counted.input_tokens > 0, counted


@for_each_workflow("sim-anthropic")
def what_no_provider_of_the_dialect_can_compact_is_refused(workflow):
    error = raises(openai.BadRequestError, connect().responses.compact, model=workflow, input=HELLO)
    assert error.code == "untranslatable" and "compacts no conversations" in str(error), error


@for_each_workflow("sim")
def functions_are_called_side_by_side_and_their_results_answered(workflow):
    client = connect()
    tools = [function(WEATHER), function(CLOCK)]
    first = client.responses.create(model=workflow, tools=tools, **ASKED)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "get_time"], first.output
    assert len({call.call_id for call in calls}) == 2
    assert "city" in json.loads(calls[0].arguments) and "zone" in json.loads(calls[1].arguments)
    conversation = [{"role": "user", "content": ASKED["input"]}, *first.output]
    conversation += [{"type": "function_call_output", "call_id": call.call_id, "output": "12"} for call in calls]
    second = client.responses.create(model=workflow, tools=tools, input=conversation, max_output_tokens=64)
    assert second.output_text, second.output


@for_each_workflow("sim-openai", "sim-responses", "sim-anthropic")  # the others cannot be held to one; the loss list says so
def one_function_at_a_time_where_parallel_calls_are_off_in_responses(workflow):
    answer = connect().responses.create(
        model=workflow, tools=[function(WEATHER), function(CLOCK)], parallel_tool_calls=False, **ASKED)
    assert len([item for item in answer.output if item.type == "function_call"]) == 1


@for_each_workflow("sim")
def function_arguments_stream_in_pieces_that_make_json(workflow):
    with connect().responses.stream(model=workflow, tools=[function(WEATHER), function(CLOCK)], **ASKED) as stream:
        pieces = {}
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                pieces.setdefault(event.output_index, []).append(event.delta)
        final = stream.get_final_response()
    calls = {index: item for index, item in enumerate(final.output) if item.type == "function_call"}
    assert [call.name for call in calls.values()] == ["get_weather", "get_time"], final.output
    assert {index: "".join(parts) for index, parts in pieces.items()} == {
        index: call.arguments for index, call in calls.items()}, (pieces, calls)
    assert all(json.loads(call.arguments) for call in calls.values())
    # Google sends a call whole.
    assert workflow == "sim-gemini" or sum(map(len, pieces.values())) > 2, "the arguments came in one piece"


@for_each_workflow("sim", "llama-openai")
def a_pydantic_model_is_parsed_from_a_response(workflow):
    answer = connect().responses.parse(
        model=workflow, text_format=Weather, input="Ulm has 12 degrees.", max_output_tokens=64, temperature=0)
    assert isinstance(answer.output_parsed, Weather), answer.output


@for_each_workflow("sim")
def a_response_takes_an_image(workflow):
    answer = connect().responses.create(model=workflow, max_output_tokens=16, input=[{"role": "user", "content": [
        {"type": "input_text", "text": "What is on this picture?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}]}])
    assert answer.output_text


@for_each_workflow("sim")
def reasoning_effort_is_taken_by_responses(workflow):
    answer = connect().responses.create(model=workflow, input=HELLO, reasoning={"effort": "low"}, max_output_tokens=2048)
    assert answer.output_text
    if speaks(workflow, "responses"):
        assert answer.usage.output_tokens_details.reasoning_tokens > 0


@for_each_workflow("sim-responses")
def encrypted_reasoning_goes_back_to_the_provider_that_made_it(workflow):
    """The simulator refuses a thought whose encrypted content is not the one it gave."""
    client = connect()
    ask = {"model": workflow, "reasoning": {"effort": "low", "summary": "auto"}, "store": False,
           "include": ["reasoning.encrypted_content"], "max_output_tokens": 2048}
    first = client.responses.create(input=HELLO, **ask)
    thought = first.output[0]
    assert thought.type == "reasoning" and thought.summary[0].text and thought.encrypted_content, first.output
    conversation = [{"role": "user", "content": HELLO}, *first.output, {"role": "user", "content": "Again."}]
    second = client.responses.with_raw_response.create(input=conversation, **ask)
    assert second.parse().output_text and losses(second.headers) == []


@for_each_workflow("sim-responses")
def a_thought_streams_as_its_summary(workflow):
    with connect().responses.stream(
            model=workflow, input=HELLO, reasoning={"effort": "low", "summary": "auto"}, max_output_tokens=2048) as stream:
        thought = "".join(event.delta for event in stream if event.type == "response.reasoning_summary_text.delta")
        final = stream.get_final_response()
    assert thought and final.output[0].summary[0].text == thought, final.output


@for_each_workflow("sim-openai", "sim-anthropic")
def what_only_its_provider_keeps_or_reads_is_refused_or_named(workflow):
    client = connect()
    error = raises(openai.BadRequestError, client.responses.create, model=workflow, input="And Graz?",
                   previous_response_id="resp_1")
    assert "previous_response_id" in error.message and "`input`" in error.message, error.message
    answer = client.responses.with_raw_response.create(
        model=workflow, max_output_tokens=16, tools=[{"type": "web_search"}, function(CLOCK)], tool_choice="none",
        input=[{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}, *SAY])
    lost = {loss["pointer"] for loss in losses(answer.headers)}
    assert {"/input/0", "/tools/0"} <= lost, lost


@for_each_workflow("sim-responses")
def an_earlier_answer_that_was_not_made_here_is_refused(workflow):
    client = connect()
    error = raises(openai.BadRequestError, client.responses.create, model=workflow, input="And?", previous_response_id="resp_1")
    assert "resp_1" in error.message, error.message


@for_each_workflow("sim-openai", "sim-anthropic", "sim-gemini", "sim-bedrock", "sim-cohere", "llama")
def an_answer_to_be_fetched_later_is_refused_where_nobody_keeps_it(workflow):
    client = connect()
    error = raises(openai.BadRequestError, client.responses.create, model=workflow, input=HELLO, background=True)
    assert "background" in error.message, error.message


@test
def a_real_server_whose_stream_lacks_fields_is_repaired():
    """llama.cpp leaves out the indices that this SDK reads of every event; without Freehold the helper raises."""
    client = connect()
    with client.responses.stream(model=LLAMA_RESPONSES, input=HELLO, max_output_tokens=512, temperature=0,
                                 instructions="Answer with one word.") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text and final.output_text == text and final.model == LLAMA_RESPONSES, final
    answer = client.responses.create(model=LLAMA_RESPONSES, input=HELLO, max_output_tokens=8)
    assert answer.output_text and answer.model == LLAMA_RESPONSES


@test
def errors_of_responses_are_the_exceptions_the_sdk_has_for_them():
    def responses(client, workflow, **more):
        return client.responses.create(model=workflow, input=HELLO, max_output_tokens=16, **more)

    # A provider that limits its rate is not asked again for a while, and so once in this suite: by the chat test below.
    for workflow, kind, blame in (
            (DOWN, openai.InternalServerError, "provider"), (OVERLOADED, openai.InternalServerError, "provider"),
            (SPENT, openai.RateLimitError, "client"), ("no-such-workflow", openai.NotFoundError, "client")):
        client = connect()
        told(raises(kind, responses, client, workflow), client, blame)
        raises(kind, lambda: list(responses(connect(), workflow, stream=True)))
    client = connect(key="fh_nobody_nothing")
    told(raises(openai.AuthenticationError, responses, client, WORKFLOWS[0]), client, "client")
    client = connect()
    told(raises(openai.BadRequestError, client.post, "/responses", cast_to=object, body={"model": WORKFLOWS[0]}), client, "client")


# ---------------------------------------------------------------- embeddings and models

@for_each_workflow("sim-openai", "sim-gemini", "sim-cohere", "llama-openai")
def embeddings_come_as_numbers_whatever_the_encoding(workflow):
    client = connect()
    several = client.embeddings.create(model=workflow, input=["Water damage", "Storm"])
    assert len(several.data) == 2 and len(several.data[0].embedding) == len(several.data[1].embedding) > 1
    assert several.model == workflow, several.model
    assert all(isinstance(number, float) for number in several.data[0].embedding)
    plain = client.embeddings.create(model=workflow, input="Water damage", encoding_format="float")
    difference = max(abs(one - other) for one, other in zip(plain.data[0].embedding, several.data[0].embedding))
    assert difference < 1e-2, difference
    assert plain.usage.prompt_tokens > 0


@test
def the_models_list_names_the_workflows():
    client = connect()
    names = {model.id for model in client.models.list()}
    assert set(WORKFLOWS) <= names, names


# ---------------------------------------------------------------- errors

def ask(client, workflow, **more):
    return client.chat.completions.create(model=workflow, messages=SAY, max_completion_tokens=8, **more)


@test
def a_wrong_key_is_an_authentication_error():
    client = connect(key="fh_nobody_nothing")
    told(raises(openai.AuthenticationError, ask, client, WORKFLOWS[0]), client, "client")


@test
def a_missing_key_is_an_authentication_error():
    status, headers, body = raw("POST", "/v1/chat/completions", b"{}", {"Content-Type": "application/json"})
    assert status == 401 and headers["freehold-call-id"], (status, body)
    assert json.loads(body)["error"]["type"], body


@test
def an_unknown_workflow_is_not_found():
    client = connect()
    told(raises(openai.NotFoundError, ask, client, "no-such-workflow"), client, "client")


@test
def an_unknown_route_is_not_found_in_the_openai_dialect():
    client = connect()
    error = raises(openai.NotFoundError, client.post, "/nothing/here", cast_to=object, body={})
    assert error.response.headers["freehold-call-id"], error


@for_each_workflow()
def a_request_without_messages_is_a_bad_request(workflow):
    client = connect()
    told(raises(openai.BadRequestError, client.post, "/chat/completions", cast_to=object, body={"model": workflow}), client, "client")


@test
def malformed_json_is_a_bad_request():
    status, headers, body = raw("POST", "/v1/chat/completions", b'{"model":"x","messages":[}',
                                {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"})
    assert status == 400 and headers["freehold-call-id"], (status, body)
    error = json.loads(body)["error"]
    assert error["type"] == "invalid_request_error" and error["freehold"]["blame"] == "client", error


@test
def a_spent_budget_is_a_rate_limit_error():
    client = connect()
    error = raises(openai.RateLimitError, ask, client, SPENT)
    told(error, client, "client")
    assert "budget" in error.message.lower(), error.message


@test
def a_key_over_its_limit_is_a_rate_limit_error():
    error = None
    for _ in range(2):  # the first one may still be inside the limit
        try:
            ask(connect(key=KEY_LIMITED), WORKFLOWS[0])
        except openai.RateLimitError as refused:
            error = refused
    assert error is not None, "two calls in a row passed a limit of one a minute"
    assert int(error.response.headers["retry-after"]) > 0, dict(error.response.headers)


@test
def a_rate_limited_provider_is_a_rate_limit_error():
    client = connect()
    told(raises(openai.RateLimitError, ask, client, RATE_LIMITED), client, "provider")


@test
def a_provider_that_is_down_is_a_server_error_and_not_a_connection_error():
    client = connect()
    told(raises(openai.InternalServerError, ask, client, DOWN), client, "provider")
    client = connect()
    raises(openai.InternalServerError, lambda: list(ask(client, DOWN, stream=True)))


@test
def an_overloaded_provider_is_a_server_error():
    client = connect()
    told(raises(openai.InternalServerError, ask, client, OVERLOADED), client, "provider")


# ---------------------------------------------------------------- keys, leaving early

@test
def a_key_from_a_function_is_taken():
    client = openai.OpenAI(base_url=BASE, api_key=lambda: KEY, max_retries=0)
    assert ask(client, WORKFLOWS[0]).choices


@test
def what_is_given_again_reads_like_the_first_time():
    client = connect()
    answers, streams, had = [], [], []
    for _ in range(2):
        raw_answer = client.chat.completions.with_raw_response.create(model=KEPT, messages=SAY)
        had.append(raw_answer.headers["freehold-cache"])
        answers.append(raw_answer.parse())
        with client.chat.completions.create(model=KEPT, messages=SAY, stream=True) as stream:
            had.append(stream.response.headers["freehold-cache"])
            streams.append(list(stream))
    assert had == ["miss", "miss", "hit", "hit"], had
    assert answers[0] == answers[1] and answers[0].choices[0].message.content
    assert streams[0] == streams[1] and text_of(streams[0])


@test
def a_client_that_leaves_a_stream_is_let_go_at_once():
    client = connect()
    stream = client.chat.completions.create(model=SLOW, messages=SAY, max_completion_tokens=512, stream=True)
    next(iter(stream))
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 1.0
    assert ask(connect(), WORKFLOWS[0]).choices, "the gateway answers on"


@test
async def an_async_client_that_leaves_a_stream_is_let_go_at_once():
    async with connect_async() as client:
        stream = await client.chat.completions.create(model=SLOW, messages=SAY, max_completion_tokens=512, stream=True)
        async for _ in stream:
            break
        started = time.monotonic()
        await stream.close()
        assert time.monotonic() - started < 1.0


if __name__ == "__main__":
    run("openai")
