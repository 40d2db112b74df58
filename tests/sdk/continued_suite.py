#!/usr/bin/env python3
"""Reads answers with the official SDKs whose provider breaks off in the middle and that another provider goes on with.

Needs what suite.py tells, and:

    FREEHOLD_WORKFLOW_CONTINUED  its first model's stream breaks off after a few words, its second is of another dialect
"""
import anthropic

from openai_clients import connect
from suite import KEY, URL, environment, run, test

CONTINUED = environment("FREEHOLD_WORKFLOW_CONTINUED")
ASKED = [{"role": "user", "content": "Tell me about the claim."}]


@test
def a_chat_completion_that_broke_off_is_one_completion():
    stream = connect().chat.completions.create(
        model=CONTINUED, messages=ASKED, stream=True, max_tokens=100, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1, {chunk.id for chunk in chunks}
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert [choice.delta.role for choice in choices if choice.delta.role] == ["assistant"], choices
    finishes = [choice.finish_reason for choice in choices if choice.finish_reason]
    assert len(finishes) == 1 and finishes[0] in ("stop", "length"), finishes
    assert "".join(choice.delta.content or "" for choice in choices).strip()
    assert chunks[-1].usage.completion_tokens > 0, chunks[-1]


@test
def a_message_that_broke_off_is_one_message_of_one_block():
    client = anthropic.Anthropic(api_key=KEY, base_url=URL, max_retries=0)
    with client.messages.stream(model=CONTINUED, messages=ASKED, max_tokens=100) as stream:
        events = list(stream)
        message = stream.get_final_message()
    assert [event.type for event in events].count("message_start") == 1
    assert len(message.content) == 1 and message.content[0].type == "text", message.content
    assert message.content[0].text.strip() and message.stop_reason in ("end_turn", "max_tokens"), message
    told = "".join(event.delta.text for event in events if event.type == "content_block_delta")
    assert told == message.content[0].text


@test
def a_response_that_broke_off_is_one_response_with_all_its_text():
    with connect().responses.stream(model=CONTINUED, input="Tell me about the claim.", max_output_tokens=100) as stream:
        events = list(stream)
        response = stream.get_final_response()
    told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert response.status in ("completed", "incomplete") and told, response
    assert response.output_text == told, (response.output_text, told)


if __name__ == "__main__":
    run("answers that broke off")
