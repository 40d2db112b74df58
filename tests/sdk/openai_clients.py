"""Clients of the official OpenAI SDK that point at Freehold, and what its errors must say."""
import openai

from suite import KEY, URL, CallIds, explains_itself

BASE = URL + "/v1"


def connect(key=KEY, **options):
    ids = CallIds()
    http = openai.DefaultHttpxClient(event_hooks={"response": [ids.check]})
    client = openai.OpenAI(base_url=BASE, api_key=key, max_retries=0, timeout=120, http_client=http, **options)
    client.ids = ids
    return client


def connect_async():
    ids = CallIds()
    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [ids.check_async]})
    client = openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0, timeout=120, http_client=http)
    client.ids = ids
    return client


def told(error, client, blame):
    call = error.response.headers["freehold-call-id"]
    explains_itself(error.body["freehold"], call, blame)
    assert error.code, error
    assert client.ids.seen == [call]
