#!/usr/bin/env python3
"""Drives what the official OpenAI and Anthropic SDKs have of things a provider keeps through Freehold: stored and background
answers, files and batches. What it needs is told in suite.py, and FREEHOLD_KEY_ONE: a key of another owner."""
import json
import time

import anthropic
import openai

from openai_clients import connect, connect_async
from suite import KEY, URL, CallIds, environment, raises, run, test

SIM = "sim-openai"
RESPONSES = "sim-responses"
ANTHROPIC = "sim-anthropic"
KEY_ONE = environment("FREEHOLD_KEY_ONE")
FOR_SIM = {"freehold-workflow": SIM}
HELLO = "Say hello to the claims team."


def connect_anthropic():
    ids = CallIds()
    http = anthropic.DefaultHttpxClient(event_hooks={"response": [ids.check]})
    headers = {"freehold-workflow": ANTHROPIC}
    return anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=120, http_client=http, default_headers=headers)


def polled(retrieve, is_over, tries=10):
    """What is told once it is over; a simulated provider is done the second time it is asked."""
    for _ in range(tries):
        told = retrieve()
        if is_over(told):
            return told
    raise AssertionError(f"not over after {tries} tries: {told}")


# ---------------------------------------------------------------- stored answers

@test
def a_stored_answer_is_fetched_whole_streamed_and_deleted():
    client = connect()
    made = client.responses.create(model=RESPONSES, input=HELLO)
    assert made.id.startswith("resp_fh1_"), made.id
    fetched = client.responses.retrieve(made.id)
    assert fetched.output_text == made.output_text and fetched.model == RESPONSES, fetched
    events = list(client.responses.retrieve(made.id, stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.id == made.id, events
    rest = list(client.responses.retrieve(made.id, stream=True, starting_after=0))
    assert len(rest) == len(events) - 1, rest
    items = list(client.responses.input_items.list(made.id))
    assert items[0].content[0].text == HELLO, items
    client.responses.delete(made.id)
    raises(openai.NotFoundError, client.responses.retrieve, made.id)
    raises(openai.NotFoundError, connect(KEY_ONE).responses.retrieve, made.id)


@test
def an_answer_is_gone_on_from_by_its_id():
    client = connect()
    first = client.responses.create(model=RESPONSES, input=HELLO)
    second = client.responses.create(model=RESPONSES, input="And Graz?", previous_response_id=first.id)
    assert second.previous_response_id == first.id, second
    with client.responses.stream(model=RESPONSES, input="And Ulm?", previous_response_id=second.id) as stream:
        final = stream.get_final_response()
    assert final.previous_response_id == second.id, final


@test
def a_background_answer_is_polled_and_one_is_cancelled():
    client = connect()
    made = client.responses.create(model=RESPONSES, input=HELLO, background=True)
    assert made.status == "queued" and made.usage is None, made
    done = polled(lambda: client.responses.retrieve(made.id), lambda told: told.status not in ("queued", "in_progress"))
    assert done.status == "completed" and done.output_text and done.usage.total_tokens > 0, done
    other = client.responses.create(model=RESPONSES, input=HELLO, background=True)
    assert client.responses.cancel(other.id).status == "cancelled"


@test
async def a_stored_answer_is_fetched_by_the_async_client():
    client = connect_async()
    made = await client.responses.create(model=RESPONSES, input=HELLO)
    assert (await client.responses.retrieve(made.id)).id == made.id


# ---------------------------------------------------------------- files

@test
def files_are_kept_listed_read_used_and_deleted():
    client = connect(default_headers=FOR_SIM)
    made = [client.files.create(file=(f"{name}.txt", name.encode()), purpose="user_data") for name in ("a", "b", "c")]
    assert all(file.id.startswith("file-fh1_") for file in made), made
    listed = [file.id for file in client.files.list(limit=2)]
    assert listed[:3] == [file.id for file in reversed(made)], listed
    assert client.files.retrieve(made[0].id).filename == "a.txt"
    assert client.files.content(made[1].id).read() == b"b"
    part = {"type": "file", "file": {"file_id": made[2].id}}
    answer = client.chat.completions.create(model=SIM, messages=[{"role": "user", "content": [part]}], max_tokens=8)
    assert answer.choices[0].finish_reason, answer
    foreign = connect(KEY_ONE)
    raises(openai.NotFoundError, foreign.files.retrieve, made[0].id)
    assert not [file for file in foreign.files.list()], "a key lists its own"
    for file in made:
        assert client.files.delete(file.id).deleted
    raises(openai.NotFoundError, client.files.retrieve, made[0].id)


@test
def anthropics_files_are_kept_listed_read_used_and_deleted():
    client = connect_anthropic()
    made = [client.beta.files.upload(file=(f"{name}.txt", name.encode(), "text/plain")) for name in ("a", "b", "c")]
    assert all(file.id.startswith("file_fh1_") for file in made), made
    listed = [file.id for file in client.beta.files.list(limit=2)]
    assert listed[:3] == [file.id for file in reversed(made)], listed
    assert client.beta.files.retrieve_metadata(made[0].id).filename == "a.txt"
    assert client.beta.files.download(made[1].id).read() == b"b"
    block = {"type": "document", "source": {"type": "file", "file_id": made[2].id}}
    content = [block, {"type": "text", "text": "What does it say?"}]
    answer = client.beta.messages.create(model=ANTHROPIC, max_tokens=8, messages=[{"role": "user", "content": content}],
                                         betas=["files-api-2025-04-14"])
    assert answer.model == ANTHROPIC, answer
    for file in made:
        assert client.beta.files.delete(file.id).id == file.id
    raises(anthropic.NotFoundError, client.beta.files.retrieve_metadata, made[0].id)


# ---------------------------------------------------------------- batches

@test
def a_batch_is_made_polled_read_listed_and_stopped():
    client = connect(default_headers=FOR_SIM)
    body = {"model": SIM, "max_tokens": 8, "messages": [{"role": "user", "content": HELLO}]}
    lines = [{"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body} for number in range(3)]
    text = "\n".join(json.dumps(line) for line in lines)
    file = client.files.create(file=("requests.jsonl", text.encode()), purpose="batch")
    options = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = client.batches.create(**options)
    assert made.id.startswith("batch_fh1_") and made.input_file_id == file.id, made
    done = polled(lambda: client.batches.retrieve(made.id), lambda told: told.status == "completed")
    results = [json.loads(line) for line in client.files.content(done.output_file_id).text.splitlines()]
    assert [line["custom_id"] for line in results] == ["0", "1", "2"], results
    assert all(line["response"]["body"]["model"] == SIM for line in results), results
    stopped = client.batches.create(**options)
    assert client.batches.cancel(stopped.id).status in ("cancelling", "cancelled")
    assert [batch.id for batch in client.batches.list(limit=1)][:2] == [stopped.id, made.id]


@test
def anthropics_batch_is_made_polled_read_listed_stopped_and_deleted():
    client = connect_anthropic()
    params = {"model": ANTHROPIC, "max_tokens": 8, "messages": [{"role": "user", "content": HELLO}]}
    requests = [{"custom_id": str(number), "params": params} for number in range(3)]
    made = client.messages.batches.create(requests=requests)
    assert made.id.startswith("msgbatch_fh1_"), made
    polled(lambda: client.messages.batches.retrieve(made.id), lambda told: told.processing_status == "ended")
    results = list(client.messages.batches.results(made.id))
    assert [line.custom_id for line in results] == ["0", "1", "2"], results
    assert all(line.result.message.model == ANTHROPIC for line in results), results
    stopped = client.messages.batches.create(requests=requests)
    assert client.messages.batches.cancel(stopped.id).processing_status == "canceling"
    assert [batch.id for batch in client.messages.batches.list(limit=1)][:2] == [stopped.id, made.id]
    assert client.messages.batches.delete(made.id).id == made.id
    raises(anthropic.NotFoundError, client.messages.batches.retrieve, made.id)


# ---------------------------------------------------------------- batches that no provider runs

def asked(custom_id, url, **body):
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


@test
def a_batch_of_workflows_without_batches_is_run_by_freehold():
    client = connect()
    url = "/v1/chat/completions"
    messages = [{"role": "user", "content": HELLO}]
    names = {"first": "sim-anthropic", "second": "sim-gemini"}
    lines = [asked(name, url, model=workflow, max_tokens=20, messages=messages) for name, workflow in names.items()]
    file = client.files.create(file=("requests.jsonl", "\n".join(lines).encode()), purpose="batch")
    assert file.filename == "requests.jsonl" and file.purpose == "batch" and file.status == "processed", file
    made = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h", metadata={"job": "7"})
    assert made.id.startswith("batch_own_") and made.metadata == {"job": "7"} and made.request_counts.total == 2, made

    def retrieve():
        time.sleep(0.02)
        return client.batches.retrieve(made.id)

    done = polled(retrieve, lambda told: told.status == "completed", tries=1000)
    assert done.request_counts.completed == 2 and done.error_file_id is None, done
    for line in client.files.content(done.output_file_id).text.splitlines():
        line = json.loads(line)
        answer = openai.types.chat.ChatCompletion.model_validate(line["response"]["body"])
        assert answer.model == names.pop(line["custom_id"]) and answer.choices[0].message.content, line
        assert line["response"]["status_code"] == 200 and line["error"] is None, line
    assert not names, names
    own = client.with_options(default_headers={"freehold-workflow": "sim-anthropic"})
    second = own.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")
    assert own.batches.cancel(second.id).status in ("cancelling", "cancelled", "completed")
    assert [batch.id for batch in own.batches.list(limit=1)][:2] == [second.id, made.id]
    assert own.files.retrieve(done.output_file_id).bytes > 0
    raises(openai.NotFoundError, connect(KEY_ONE).batches.retrieve, made.id)
    bad = client.files.create
    raises(openai.BadRequestError, bad, file=("requests.jsonl", "\n".join([lines[0]] * 2).encode()), purpose="batch")


if __name__ == "__main__":
    run("what providers keep, through the official SDKs")
