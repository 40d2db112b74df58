"""boto3's bedrock-runtime client through Freehold by `endpoint_url` alone, at simulated providers of each dialect. `suite.py` says
what must be set."""
import base64
import json

import boto3
import botocore.config
import botocore.exceptions

from suite import (
    DOWN, KEY, KEY_LIMITED, OVERLOADED, PIXEL, RATE_LIMITED, SPENT, URL, environment, for_each_workflow, losses, raises, raw,
    run, speaks, test)

AWS_ID, AWS_SECRET = environment("FREEHOLD_KEY_AWS_ID"), environment("FREEHOLD_KEY_AWS_SECRET")
LIMITED_ID, LIMITED_SECRET = environment("FREEHOLD_KEY_LIMITED_AWS_ID"), environment("FREEHOLD_KEY_LIMITED_AWS_SECRET")
SAY = [{"role": "user", "content": [{"text": "Is water damage covered?"}]}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
          "required": ["city", "celsius"], "additionalProperties": False}


def tool(name, properties=None):
    schema = {"type": "object", "properties": properties or {}, "required": list(properties or {})}
    return {"toolSpec": {"name": name, "description": f"{name}, now", "inputSchema": {"json": schema}}}


TOOLS = {"tools": [tool("get_weather", {"city": {"type": "string"}}), tool("get_time")]}
REQUIRED = {**TOOLS, "toolChoice": {"any": {}}}


def client(access=AWS_ID, secret=AWS_SECRET, attempts=1, url=URL):
    config = botocore.config.Config(retries={"total_max_attempts": attempts}, read_timeout=60)
    return boto3.client("bedrock-runtime", endpoint_url=url, region_name="eu-central-1", aws_access_key_id=access,
                        aws_secret_access_key=secret, config=config)


def headers(answer):
    found = answer["ResponseMetadata"]["HTTPHeaders"]
    assert found["freehold-call-id"] == answer["ResponseMetadata"]["RequestId"], found
    return found


def blocks(answer, kind):
    return [block[kind] for block in answer["output"]["message"]["content"] if kind in block]


@for_each_workflow()
def plain(workflow):
    answer = client().converse(modelId=workflow, messages=SAY, system=[{"text": "Terse."}],
                               inferenceConfig={"maxTokens": 40, "temperature": 0.3})
    headers(answer)
    assert blocks(answer, "text") and answer["stopReason"] in ("end_turn", "max_tokens"), answer
    usage = answer["usage"]
    assert usage["inputTokens"] > 0 and usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"], usage


@for_each_workflow()
def stream(workflow):
    answer = client().converse_stream(modelId=workflow, messages=SAY, inferenceConfig={"maxTokens": 40})
    headers(answer)
    events = list(answer["stream"])
    kinds = [next(iter(event)) for event in events]
    assert kinds[0] == "messageStart" and kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"], kinds
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
    whole = client().converse(modelId=workflow, messages=SAY, inferenceConfig={"maxTokens": 40})
    assert text == "".join(blocks(whole, "text")), (text, whole)
    assert events[-1]["metadata"]["usage"] == whole["usage"], (events[-1], whole["usage"])


@for_each_workflow()
def tool_round_trip(workflow):
    asked = [{"role": "user", "content": [{"text": "Weather in Ulm?"}]}]
    answer = client().converse(modelId=workflow, messages=asked, toolConfig=REQUIRED, inferenceConfig={"maxTokens": 200})
    calls = blocks(answer, "toolUse")
    assert answer["stopReason"] == "tool_use" and [call["name"] for call in calls] == ["get_weather", "get_time"], answer
    assert calls[0]["input"]["city"], calls
    results = [{"toolResult": {"toolUseId": calls[0]["toolUseId"], "content": [{"json": {"celsius": 12}}]}},
               {"toolResult": {"toolUseId": calls[1]["toolUseId"], "content": [{"text": "no clock"}], "status": "error"}}]
    answer = client().converse(
        modelId=workflow, messages=[*asked, answer["output"]["message"], {"role": "user", "content": results}],
        toolConfig=TOOLS, inferenceConfig={"maxTokens": 200})
    assert blocks(answer, "text") and not blocks(answer, "toolUse"), answer


@for_each_workflow()
def streamed_tools(workflow):
    names, inputs = {}, {}
    for event in client().converse_stream(
            modelId=workflow, messages=SAY, toolConfig=REQUIRED, inferenceConfig={"maxTokens": 200})["stream"]:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            names[start["contentBlockIndex"]] = start["start"]["toolUse"]["name"]
        elif "toolUse" in event.get("contentBlockDelta", {}).get("delta", {}):
            delta = event["contentBlockDelta"]
            index = delta["contentBlockIndex"]
            inputs[index] = inputs.get(index, "") + delta["delta"]["toolUse"]["input"]
        elif "messageStop" in event:
            assert event["messageStop"]["stopReason"] == "tool_use", event
    assert list(names.values()) == ["get_weather", "get_time"] and names.keys() == inputs.keys(), (names, inputs)
    assert [type(json.loads(text)) for text in inputs.values()] == [dict, dict], inputs


@for_each_workflow()
def image(workflow):
    answer = client().converse(modelId=workflow, inferenceConfig={"maxTokens": 40}, messages=[{"role": "user", "content": [
        {"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}}]}])
    assert blocks(answer, "text"), answer


@for_each_workflow("sim-openai", "sim-anthropic", "sim-bedrock")
def document(workflow):
    answer = client().converse(modelId=workflow, inferenceConfig={"maxTokens": 40}, messages=[{"role": "user", "content": [
        {"text": "Sum it up."}, {"document": {"format": "pdf", "name": "policy", "source": {"bytes": b"%PDF-1.4 hm"}}}]}])
    assert blocks(answer, "text"), answer


@test
def a_document_that_cannot_be_read_there_is_refused():
    error = raises(botocore.exceptions.ClientError, client().converse, modelId="sim-cohere", messages=[
        {"role": "user", "content": [{"document": {"format": "pdf", "name": "policy", "source": {"bytes": b"%PDF-1.4 hm"}}}]}])
    assert error.response["ResponseMetadata"]["HTTPHeaders"]["freehold-error"] == "untranslatable", error.response


@for_each_workflow()
def structured(workflow):
    output = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "place"}}}}
    answer = client().converse(modelId=workflow, messages=SAY, outputConfig=output, inferenceConfig={"maxTokens": 60})
    assert set(json.loads(blocks(answer, "text")[0])) == {"city", "celsius"}, answer


@for_each_workflow()
def reasoning(workflow):
    more = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    asked = {"modelId": workflow, "inferenceConfig": {"maxTokens": 4096}, "additionalModelRequestFields": more}
    answer = client().converse(messages=SAY, **asked)
    thought = blocks(answer, "reasoningContent")[0]["reasoningText"]
    assert thought["text"] and blocks(answer, "text"), answer
    signed = speaks(workflow, "bedrock") or speaks(workflow, "anthropic")
    assert ("signature" in thought) == signed, "a signature crosses between the two dialects that have one"
    # What was thought goes back with its signature, unchanged, or not at all.
    again = client().converse(messages=[*SAY, answer["output"]["message"], {"role": "user", "content": [{"text": "Go on."}]}], **asked)
    assert blocks(again, "text"), again
    thoughts = "".join(event["contentBlockDelta"]["delta"].get("reasoningContent", {}).get("text", "")
                       for event in client().converse_stream(messages=SAY, **asked)["stream"] if "contentBlockDelta" in event)
    assert thoughts == thought["text"], (thoughts, thought)


@for_each_workflow()
def what_is_not_carried_over_is_told(workflow):
    answer = client().converse(modelId=workflow, messages=SAY, inferenceConfig={"maxTokens": 20}, requestMetadata={"run": "r1"})
    told = [loss["pointer"] for loss in losses(headers(answer))]
    assert ("/requestMetadata" in told) == (not speaks(workflow, "bedrock")), told


@test
def a_name_with_a_colon_is_one_segment_of_the_path():
    answer = client().converse(modelId="model:sim-bedrock", messages=SAY, inferenceConfig={"maxTokens": 5})
    assert blocks(answer, "text"), answer


@test
def below_the_root_of_its_own_too():
    answer = client(url=URL + "/bedrock").converse(modelId="sim-bedrock", messages=SAY, inferenceConfig={"maxTokens": 5})
    assert blocks(answer, "text"), answer


@test
def a_bearer_token_does_as_well():
    """As AWS_BEARER_TOKEN_BEDROCK is sent; boto3 itself sends it over HTTPS only."""
    body = json.dumps({"messages": SAY, "inferenceConfig": {"maxTokens": 5}}).encode()
    status, headers, answer = raw("POST", "/model/sim-bedrock/converse", body, {
        "authorization": f"Bearer {KEY}", "content-type": "application/json"})
    assert status == 200 and headers["x-amzn-requestid"] and json.loads(answer)["stopReason"], answer


@test
def a_signature_that_is_not_right_is_refused():
    for access, secret, code in [(AWS_ID, "wrong", "key_unknown"), ("nobody", AWS_SECRET, "key_unknown"),
                                 (LIMITED_ID, AWS_SECRET, "key_unknown"), (AWS_ID, AWS_SECRET + "x", "key_unknown")]:
        error = raises(botocore.exceptions.ClientError, client(access, secret).converse, modelId="sim-bedrock", messages=SAY)
        assert error.response["Error"]["Code"] == "UnrecognizedClientException", error.response
        assert error.response["ResponseMetadata"]["HTTPHeaders"]["freehold-error"] == code, error.response


@test
def a_body_that_was_changed_after_signing_is_refused():
    signed = {}

    def keep(request, **_):
        signed.update(request.headers)

    signing = client()
    signing.meta.events.register("before-send.bedrock-runtime", keep)
    signing.converse(modelId="sim-bedrock", messages=SAY, inferenceConfig={"maxTokens": 5})
    text = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in signed.items()}
    text.pop("Content-Length", None)
    status, _, body = raw("POST", "/model/sim-bedrock/converse", b'{"messages":[]}', text)
    assert status == 401, (status, body)


@test
def errors_are_the_sdks_own():
    for workflow, code, freehold in [
        ("no-such-workflow", "ResourceNotFoundException", "model_not_found"),
        (RATE_LIMITED, "ThrottlingException", "upstream_rate_limited"),
        (OVERLOADED, "ServiceUnavailableException", "upstream_overloaded"),
        (SPENT, "ServiceQuotaExceededException", "budget_spent"),
        (DOWN, "ModelErrorException", "upstream_server_error"),
    ]:
        error = raises(botocore.exceptions.ClientError, client().converse, modelId=workflow, messages=SAY)
        assert error.response["Error"]["Code"] == code and error.response["Error"]["Message"], error.response
        assert type(error).__name__ in (code, "ClientError"), type(error)
        assert error.response["ResponseMetadata"]["HTTPHeaders"]["freehold-error"] == freehold, error.response


@test
def a_stream_that_breaks_raises_in_its_midst():
    events = client().converse_stream(modelId="breaks", messages=SAY)["stream"]
    error = raises(botocore.exceptions.EventStreamError, list, events)
    assert error.response["Error"]["Code"] in ("modelStreamErrorException", "serviceUnavailableException"), error.response


@test
def a_limited_key_is_throttled():
    limited = client(LIMITED_ID, LIMITED_SECRET)
    limited.converse(modelId="sim-bedrock", messages=SAY, inferenceConfig={"maxTokens": 5})
    raises(limited.exceptions.ThrottlingException, limited.converse, modelId="sim-bedrock", messages=SAY)


# ---------------------------------------------------------------- invoke: the body of the model's own vendor

MESSAGES = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 40,
            "messages": [{"role": "user", "content": "Is water damage covered?"}]}


def anthropic_bedrock(**more):
    import anthropic
    return anthropic.AnthropicBedrock(base_url=URL, aws_region="eu-central-1", aws_access_key=AWS_ID, aws_secret_key=AWS_SECRET,
                                      max_retries=0, timeout=60, **more)


@for_each_workflow()
def an_anthropic_body_is_invoked(workflow):
    answer = client().invoke_model(modelId=workflow, body=json.dumps(MESSAGES))
    counted = headers(answer)
    message = json.loads(answer["body"].read())
    assert message["type"] == "message" and message["model"] == workflow and message["content"][0]["text"], message
    assert counted["x-amzn-bedrock-input-token-count"] == str(message["usage"]["input_tokens"]), (counted, message)
    assert counted["x-amzn-bedrock-output-token-count"] == str(message["usage"]["output_tokens"]), (counted, message)


@for_each_workflow()
def an_anthropic_body_is_invoked_with_a_stream(workflow):
    answer = client().invoke_model_with_response_stream(modelId=workflow, body=json.dumps(MESSAGES))
    events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop", events
    text = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    whole = json.loads(client().invoke_model(modelId=workflow, body=json.dumps(MESSAGES))["body"].read())
    assert text == whole["content"][0]["text"], (text, whole)
    metrics = events[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == whole["usage"]["output_tokens"] > 0, (metrics, whole["usage"])


@for_each_workflow()
def anthropics_own_client_for_bedrock_works(workflow):
    asked = {"model": workflow, "max_tokens": 40, "messages": MESSAGES["messages"]}
    message = anthropic_bedrock().messages.create(**asked)
    assert message.model == workflow and message.content[0].text and message.usage.output_tokens > 0, message
    with anthropic_bedrock().messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == message.content[0].text and final.usage.output_tokens == message.usage.output_tokens, (final, message)


@for_each_workflow()
def anthropics_own_client_for_bedrock_calls_tools(workflow):
    tool = {"name": "get_weather", "description": "Weather", "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
    message = anthropic_bedrock().beta.messages.create(
        model=workflow, max_tokens=200, messages=[{"role": "user", "content": "Weather in Ulm?"}], tools=[tool],
        tool_choice={"type": "any"}, betas=["token-efficient-tools-2025-02-19"])
    assert message.stop_reason == "tool_use" and message.content[-1].input["city"], message


@test
def the_body_of_another_vendor_reaches_bedrock_alone():
    answer = client().invoke_model(modelId="sim-bedrock", body=json.dumps({"inputText": "water", "dimensions": 256}))
    vector = json.loads(answer["body"].read())
    assert len(vector["embedding"]) == 256 and vector["inputTextTokenCount"] > 0, vector
    assert headers(answer)["x-amzn-bedrock-input-token-count"] == str(vector["inputTextTokenCount"])
    llama = {"prompt": "Is water covered?", "max_gen_len": 30}
    answer = client().invoke_model_with_response_stream(modelId="sim-bedrock", body=json.dumps(llama))
    chunks = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    assert "".join(chunk["generation"] for chunk in chunks) and chunks[-1]["amazon-bedrock-invocationMetrics"], chunks
    error = raises(botocore.exceptions.ClientError, client().invoke_model, modelId="sim-openai", body=json.dumps(llama))
    assert error.response["Error"]["Code"] == "ValidationException", error.response
    assert "anthropic_version" in error.response["Error"]["Message"], error.response


@test
def a_model_hosted_at_bedrock_is_reached_by_invoke():
    message = anthropic_bedrock().messages.create(model="hosted", max_tokens=40, messages=MESSAGES["messages"])
    with anthropic_bedrock().messages.stream(model="hosted", max_tokens=40, messages=MESSAGES["messages"]) as stream:
        assert "".join(stream.text_stream) == message.content[0].text, message
    answer = client().converse(modelId="hosted", messages=SAY, inferenceConfig={"maxTokens": 5})
    assert blocks(answer, "text"), answer


@test
def errors_of_an_invocation_are_the_sdks_own():
    for workflow, code, freehold in [
        ("no-such-workflow", "ResourceNotFoundException", "model_not_found"),
        (OVERLOADED, "ServiceUnavailableException", "upstream_overloaded"),
        (SPENT, "ServiceQuotaExceededException", "budget_spent"),
        (DOWN, "ModelErrorException", "upstream_server_error"),
    ]:
        error = raises(botocore.exceptions.ClientError, client().invoke_model, modelId=workflow, body=json.dumps(MESSAGES))
        assert error.response["Error"]["Code"] == code and error.response["Error"]["Message"], error.response
        assert error.response["ResponseMetadata"]["HTTPHeaders"]["freehold-error"] == freehold, error.response
    events = client().invoke_model_with_response_stream(modelId="breaks", body=json.dumps(MESSAGES))["body"]
    raises(botocore.exceptions.EventStreamError, list, events)
    import anthropic
    raises(anthropic.NotFoundError, anthropic_bedrock().messages.create, model="no-such-workflow", max_tokens=5,
           messages=MESSAGES["messages"])


if __name__ == "__main__":
    run("bedrock")
