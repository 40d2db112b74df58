"""The small harness of the SDK suites: what they are told by the environment, how tests run, what they may expect.

Environment (every variable is needed; one that is missing fails the run, because a skipped test is not a green one):

    FREEHOLD_URL                    http://127.0.0.1:PORT of the gateway
    FREEHOLD_KEY                    a key that may use every workflow named here
    FREEHOLD_KEY_LIMITED            a key with `requests_per_minute = 1`
    FREEHOLD_KEY_AWS_ID, …_SECRET   what AWS SDKs sign with for the first key; FREEHOLD_KEY_LIMITED_AWS_… for the second
    FREEHOLD_WORKFLOWS              comma list of KIND-DIALECT: sim-openai,sim-responses,sim-anthropic,llama-openai,…
    FREEHOLD_WORKFLOW_LLAMA_RESPONSES   the real llama.cpp server, spoken to in openai-responses, which it speaks in part
    FREEHOLD_WORKFLOW_DOWN          its only provider refuses connections or answers 500
    FREEHOLD_WORKFLOW_OVERLOADED    its only provider answers 503 or 529
    FREEHOLD_WORKFLOW_RATE_LIMITED  its only provider answers 429
    FREEHOLD_WORKFLOW_SPENT         its budget is spent, `at_limit = "refuse"`
    FREEHOLD_WORKFLOW_SLOW          streams for at least five seconds
    FREEHOLD_WORKFLOW_KEPT          gives an answer again to a request that says the same

KIND `sim` is a simulated provider that does all it is asked; `llama` the real llama.cpp server with SmolLM2, which can
neither see nor think and calls tools only when pushed. DIALECT is what Freehold speaks to the provider, whatever the client.

A simulated provider answers a request that has tools, and whose last message is the user's, by calling every tool once (the
first one only, where the request forbids parallel calls); a JSON schema by an instance of it; `thinking` by a signed block.
"""
import asyncio
import inspect
import json
import os
import sys
import time
import traceback
import urllib.error
import urllib.request

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

MISSING = []


def environment(name):
    value = os.environ.get(name, "")
    if not value:
        MISSING.append(name)
    return value


URL = environment("FREEHOLD_URL").rstrip("/")
KEY = environment("FREEHOLD_KEY")
KEY_LIMITED = environment("FREEHOLD_KEY_LIMITED")
WORKFLOWS = [name for name in environment("FREEHOLD_WORKFLOWS").split(",") if name]
DOWN = environment("FREEHOLD_WORKFLOW_DOWN")
OVERLOADED = environment("FREEHOLD_WORKFLOW_OVERLOADED")
RATE_LIMITED = environment("FREEHOLD_WORKFLOW_RATE_LIMITED")
SPENT = environment("FREEHOLD_WORKFLOW_SPENT")
SLOW = environment("FREEHOLD_WORKFLOW_SLOW")
KEPT = environment("FREEHOLD_WORKFLOW_KEPT")
LLAMA_RESPONSES = environment("FREEHOLD_WORKFLOW_LLAMA_RESPONSES")

TESTS = []


def test(function):
    """Runs once."""
    TESTS.append((function.__name__, function, ()))
    return function


def for_each_workflow(*kinds):
    """Runs once for each workflow whose name begins with one of `kinds` (all, when none is given)."""

    def register(function):
        for name in WORKFLOWS:
            if not kinds or name.startswith(tuple(kinds)):
                TESTS.append((f"{function.__name__}[{name}]", function, (name,)))
        return function

    return register


def speaks(workflow, dialect):
    """Whether Freehold speaks `dialect` to the provider behind `workflow`."""
    return workflow.endswith("-" + dialect)


# ---------------------------------------------------------------- assertions

class CallIds:
    """Sees every response of a client and asserts that each one names its call."""

    def __init__(self):
        self.seen = []

    def check(self, response):
        call = response.headers.get("freehold-call-id", "")
        assert call, f"no freehold-call-id on {response.request.method} {response.request.url} -> {response.status_code}"
        self.seen.append(call)

    async def check_async(self, response):
        self.check(response)


def raises(kind, function, *args, **kwargs):
    """The error of type `kind` that the call raises; any other outcome fails."""
    try:
        outcome = function(*args, **kwargs)
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"expected {kind.__name__}, got {type(error).__name__}: {error}") from error
    raise AssertionError(f"expected {kind.__name__}, got an answer: {str(outcome)[:200]}")


def explains_itself(freehold, call, blame):
    """An error says who is to blame, whether to retry, whether it was billed, and which call it was."""
    assert freehold["blame"] == blame, freehold
    assert freehold["retry"] in ("no", "after", "now"), freehold
    assert freehold["billed"] in (True, False), freehold
    assert freehold["code"], freehold
    assert freehold["call_id"] == call, (freehold, call)


def raw(method, path, body=None, headers=None):
    """Status, headers and body of a request that no SDK would send."""
    request = urllib.request.Request(URL + path, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def losses(headers):
    """What a translation dropped or approximated, as the `freehold-loss` header lists it."""
    return json.loads(headers.get("freehold-loss", "[]"))


# ---------------------------------------------------------------- running

def run(title):
    """Runs every registered test, prints what failed and `N passed, M failed`; the exit code is 1 on a failure, 2 without setting."""
    if MISSING:
        print(f"{title}: set {', '.join(MISSING)}; see tests/sdk/suite.py", file=sys.stderr)
        sys.exit(2)
    wanted = sys.argv[1:]
    passed, failed = 0, []
    for name, function, arguments in TESTS:
        if wanted and not any(word in name for word in wanted):
            continue
        started = time.monotonic()
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(function(*arguments))
            else:
                function(*arguments)
            passed += 1
            print(f"ok    {name}  {time.monotonic() - started:.2f}s", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAIL  {name}  {time.monotonic() - started:.2f}s\n{traceback.format_exc()}", flush=True)
    for name in failed:
        print(f"failed: {name}")
    print(f"{title}: {passed} passed, {len(failed)} failed")
    sys.exit(1 if failed or not passed else 0)
