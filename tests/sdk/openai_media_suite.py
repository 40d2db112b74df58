#!/usr/bin/env python3
"""Drives what the official OpenAI SDK has beside chat through Freehold: completions, moderations, pictures, speech, transcripts.

Needs what suite.py tells, and:

    FREEHOLD_WORKFLOW_WHISPER   its model counts audio by the second, and has a budget
    FREEHOLD_WORKFLOW_UNPRICED  its model has no price
    FREEHOLD_KEY_ONE            a key that may use one workflow, one that FREEHOLD_KEY may use too
    FREEHOLD_KEY_POOR           a key with a budget that may use the workflow without a price
"""
import base64
import io
import warnings
import wave

import openai

from openai_clients import connect, connect_async, told
from suite import DOWN, KEY, PIXEL, SPENT, environment, raises, raw, run, test

# This SDK calls translations deprecated; they are served as long as providers do.
warnings.filterwarnings("ignore", category=DeprecationWarning, message="deprecated")

SIM = "sim-openai"
WHISPER = environment("FREEHOLD_WORKFLOW_WHISPER")
UNPRICED = environment("FREEHOLD_WORKFLOW_UNPRICED")
KEY_ONE = environment("FREEHOLD_KEY_ONE")
KEY_POOR = environment("FREEHOLD_KEY_POOR")
PICTURE = ("roof.png", base64.b64decode(PIXEL), "image/png")


def sound(seconds=3):
    """A file of silence, 16 bits at 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(bytes(32_000 * seconds))
    return ("call.wav", file.getvalue(), "audio/wav")


# ---------------------------------------------------------------- completions

@test
def a_completion_is_answered_under_the_name_it_asked_for():
    client = connect()
    answer = client.completions.create(model=SIM, prompt="The claim was", max_tokens=8)
    assert answer.model == SIM and answer.object == "text_completion", answer
    assert answer.choices[0].text and answer.choices[0].finish_reason in ("stop", "length"), answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0, answer.usage
    several = client.completions.create(model=SIM, prompt=["One", "Two"], n=2)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3], several
    assert len(client.ids.seen) == 2


@test
def a_completion_streams_with_a_usage_chunk_only_where_it_was_asked_for():
    whole = connect().completions.create(model=SIM, prompt="The claim was", max_tokens=8)
    chunks = list(connect().completions.create(model=SIM, prompt="The claim was", max_tokens=8, stream=True))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert {chunk.model for chunk in chunks} == {SIM} and len(chunks) > 2, chunks
    assert all(chunk.choices and chunk.usage is None for chunk in chunks), chunks
    chunks = list(connect().completions.create(
        model=SIM, prompt="The claim was", max_tokens=8, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage and chunks[-1].model == SIM, chunks[-1]
    assert all(chunk.usage is None for chunk in chunks[:-1])


@test
async def the_async_client_completes_whole_and_streamed():
    async with connect_async() as client:
        whole = await client.completions.create(model=SIM, prompt="The claim was")
        stream = await client.completions.create(model=SIM, prompt="The claim was", stream=True)
        text = "".join([choice.text async for chunk in stream for choice in chunk.choices])
        assert text == whole.choices[0].text and text
        assert len(client.ids.seen) == 2


# ---------------------------------------------------------------- moderations

@test
def a_moderation_flags_by_category_and_takes_one_input_or_several():
    client = connect()
    judged = client.moderations.create(model=SIM, input=["I will hurt you", "Good morning"])
    assert [result.flagged for result in judged.results] == [True, False] and judged.model == SIM, judged
    first = judged.results[0]
    assert first.categories.violence and not first.categories.self_harm, first
    assert first.category_scores.violence > 0.5 and first.category_applied_input_types.violence == ["text"], first
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    mixed = client.moderations.create(model=SIM, input=[{"type": "text", "text": "Good morning"}, picture])
    assert len(mixed.results) == 1 and not mixed.results[0].flagged, mixed


@test
def a_moderation_without_a_model_goes_by_the_keys_only_workflow_or_the_header():
    judged = connect(key=KEY_ONE).moderations.create(input="Good morning")
    assert judged.model == SIM and not judged.results[0].flagged, judged
    named = connect().moderations.create(input="Good morning", extra_headers={"freehold-workflow": SIM})
    assert named.model == SIM and named.results, named
    client = connect()
    error = raises(openai.BadRequestError, client.moderations.create, input="Good morning")
    told(error, client, "client")
    assert "freehold-workflow" in error.message, error.message


@test
async def the_async_client_moderates():
    async with connect_async() as client:
        judged = await client.moderations.create(model=SIM, input="I will hurt you")
        assert judged.results[0].flagged and len(client.ids.seen) == 1


# ---------------------------------------------------------------- pictures

def is_picture(text):
    return base64.b64decode(text).startswith(b"\x89PNG")


@test
def pictures_are_made_with_the_usage_of_their_tokens():
    made = connect().images.generate(model=SIM, prompt="A roof after the storm", n=2, size="1024x1024", quality="low")
    assert len(made.data) == 2 and all(is_picture(picture.b64_json) for picture in made.data)
    assert made.usage.output_tokens == 544 and made.usage.input_tokens_details.text_tokens > 0, made.usage
    assert (made.size, made.quality, made.output_format) == ("1024x1024", "low", "png"), made
    named = connect().images.generate(prompt="A roof", extra_headers={"freehold-workflow": SIM})
    assert is_picture(named.data[0].b64_json)


@test
def a_picture_streams_its_drafts_and_then_itself():
    events = list(connect().images.generate(
        model=SIM, prompt="A roof after the storm", quality="low", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert is_picture(events[-1].b64_json) and events[-1].usage.output_tokens == 272, events[-1].usage


@test
def a_picture_is_edited_by_a_form_with_files_and_streamed():
    one = connect().images.edit(model=SIM, image=PICTURE, mask=PICTURE, prompt="Bluer", quality="low")
    assert is_picture(one.data[0].b64_json) and one.usage.input_tokens_details.image_tokens > 0, one.usage
    two = connect().images.edit(model=SIM, image=[PICTURE, PICTURE], prompt="Both, ümlaut and all", n=2, quality="low")
    assert len(two.data) == 2, two
    assert two.usage.input_tokens_details.image_tokens == 2 * one.usage.input_tokens_details.image_tokens, two.usage
    events = list(connect().images.edit(model=SIM, image=PICTURE, prompt="Bluer", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"], events


@test
async def the_async_client_makes_and_edits_pictures():
    async with connect_async() as client:
        made = await client.images.generate(model=SIM, prompt="A roof")
        edited = await client.images.edit(model=SIM, image=PICTURE, prompt="Bluer")
        assert is_picture(made.data[0].b64_json) and is_picture(edited.data[0].b64_json)
        assert len(client.ids.seen) == 2


# ---------------------------------------------------------------- speech

@test
def speech_is_the_bytes_of_its_format():
    client = connect()
    spoken = client.audio.speech.create(model=SIM, voice="alloy", input="Your claim was paid.", response_format="wav")
    assert spoken.response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(spoken.read())) as read:
        assert read.getframerate() == 24_000 and read.getnframes() > 24_000, read.getparams()
    assert spoken.response.headers["freehold-call-id"] == client.ids.seen[0]
    usual = connect().audio.speech.create(model=SIM, voice="alloy", input="Your claim was paid.")
    assert usual.response.headers["content-type"] == "audio/mpeg" and len(usual.content) > 10_000


@test
def speech_is_read_as_it_comes():
    with connect().audio.speech.with_streaming_response.create(
            model=SIM, voice="alloy", input="Your claim was paid.", response_format="pcm") as spoken:
        pieces = list(spoken.iter_bytes(chunk_size=1_000))
    whole = connect().audio.speech.create(model=SIM, voice="alloy", input="Your claim was paid.", response_format="pcm")
    assert b"".join(pieces) == whole.content and len(pieces) > 3


@test
def speech_streams_as_events_too():
    with connect().audio.speech.with_streaming_response.create(
            model=SIM, voice="alloy", input="Paid.", stream_format="sse") as spoken:
        lines = [line for line in spoken.iter_lines() if line]
    assert all(line.startswith("data: {") for line in lines), lines[:3]
    assert "speech.audio.delta" in lines[0] and "speech.audio.done" in lines[-1] and "output_tokens" in lines[-1], lines[-1]


@test
async def the_async_client_hears_speech():
    async with connect_async() as client:
        spoken = await client.audio.speech.create(model=SIM, voice="alloy", input="Your claim was paid.")
        assert len(await spoken.aread()) > 10_000 and len(client.ids.seen) == 1


# ---------------------------------------------------------------- transcripts

@test
def a_recording_is_written_down_with_the_usage_of_its_tokens():
    client = connect()
    heard = client.audio.transcriptions.create(model=SIM, file=sound())
    assert heard.text and heard.usage.type == "tokens", heard
    assert heard.usage.input_token_details.audio_tokens == 30 and heard.usage.output_tokens > 0, heard.usage
    assert len(client.ids.seen) == 1


@test
def a_transcript_streams():
    events = list(connect().audio.transcriptions.create(model=SIM, file=sound(), stream=True))
    assert events[-1].type == "transcript.text.done" and events[-1].usage.input_tokens == 30, events[-1]
    pieces = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(pieces) == events[-1].text and len(pieces) > 2


@test
def a_model_that_counts_seconds_tells_them_in_every_form_of_a_transcript():
    heard = connect().audio.transcriptions.create(model=WHISPER, file=sound())
    assert heard.text and heard.usage.type == "duration" and heard.usage.seconds == 3, heard
    verbose = connect().audio.transcriptions.create(
        model=WHISPER, file=sound(), response_format="verbose_json", timestamp_granularities=["segment"])
    assert verbose.duration == 3.0 and verbose.text == heard.text and verbose.segments[0].text == heard.text, verbose
    text = connect().audio.transcriptions.create(model=WHISPER, file=sound(), response_format="text")
    assert text.strip() == heard.text, text
    for form, begins in (("srt", "1\n00:00:00,000 --> 00:00:03,000"), ("vtt", "WEBVTT")):
        captions = connect().audio.transcriptions.create(model=WHISPER, file=sound(), response_format=form)
        assert captions.startswith(begins) and heard.text in captions, captions


@test
def a_recording_is_translated():
    answer = connect().audio.translations.create(model=WHISPER, file=sound(), prompt="About a claim")
    assert answer.text
    verbose = connect().audio.translations.create(model=WHISPER, file=sound(), response_format="verbose_json")
    assert verbose.duration == 3.0 and verbose.segments, verbose


@test
async def the_async_client_writes_recordings_down_and_translates_them():
    async with connect_async() as client:
        heard = await client.audio.transcriptions.create(model=SIM, file=sound())
        stream = await client.audio.transcriptions.create(model=SIM, file=sound(), stream=True)
        last = [event async for event in stream][-1]
        translated = await client.audio.translations.create(model=WHISPER, file=sound())
        assert heard.text == last.text and translated.text and len(client.ids.seen) == 3


# ---------------------------------------------------------------- errors

def calls():
    """Each endpoint: a call of it that is in order, given a client and a workflow."""
    return [
        lambda client, workflow: client.completions.create(model=workflow, prompt="x"),
        lambda client, workflow: client.moderations.create(model=workflow, input="x"),
        lambda client, workflow: client.images.generate(model=workflow, prompt="x"),
        lambda client, workflow: client.images.edit(model=workflow, image=PICTURE, prompt="x"),
        lambda client, workflow: client.audio.speech.create(model=workflow, voice="alloy", input="x"),
        lambda client, workflow: client.audio.transcriptions.create(model=workflow, file=sound()),
        lambda client, workflow: client.audio.translations.create(model=workflow, file=sound()),
    ]


@test
def errors_are_the_exceptions_the_sdk_has_for_them_at_each_endpoint():
    for number, call in enumerate(calls()):
        for key, workflow, kind, blame in (
                (KEY, "no-such-workflow", openai.NotFoundError, "client"), (KEY, SPENT, openai.RateLimitError, "client"),
                (KEY, DOWN, openai.InternalServerError, "provider"), (KEY, "sim-anthropic", openai.BadRequestError, "client"),
                (KEY_POOR, UNPRICED, openai.InternalServerError, "us"),
                ("fh_nobody_nothing", SIM, openai.AuthenticationError, "client")):
            client = connect(key=key)
            try:
                error = raises(kind, call, client, workflow)
            except AssertionError as wrong:
                raise AssertionError(f"endpoint {number}, {workflow}: {wrong}") from wrong
            told(error, client, blame)
            assert workflow != UNPRICED or error.code == "model_unpriced", error


@test
def without_a_budget_a_model_without_a_price_is_still_used():
    assert connect().audio.transcriptions.create(model=UNPRICED, file=sound()).text
    assert connect().moderations.create(model=UNPRICED, input="x").results


@test
def a_form_without_its_file_or_with_too_little_is_a_bad_request():
    client = connect()
    error = raises(openai.BadRequestError, client.post, "/audio/transcriptions", cast_to=object, body={"model": SIM},
                   files=[("other", b"x")], options={"headers": {"Content-Type": "multipart/form-data"}})
    told(error, client, "client")
    assert "file" in error.message, error.message
    for path in ("/images/edits", "/images/generations", "/audio/speech", "/completions", "/moderations"):
        client = connect()
        told(raises(openai.BadRequestError, client.post, path, cast_to=object, body={"model": SIM}), client, "client")
    client = connect()
    error = raises(openai.APIStatusError, client.post, "/audio/transcriptions", cast_to=object, body={"model": SIM})
    told(error, client, "client")
    assert error.status_code == 415, error


@test
def a_form_that_is_cut_off_is_a_bad_request():
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nsim-openai\r\n--b\r\nContent-Disposition: form-data; name="file"'
    status, headers, answer = raw("POST", "/v1/audio/transcriptions", body, {
        "Content-Type": "multipart/form-data; boundary=b", "Authorization": f"Bearer {KEY}"})
    assert status == 400 and headers["freehold-call-id"] and b"invalid_request_error" in answer, (status, answer)


if __name__ == "__main__":
    run("openai beside chat")
