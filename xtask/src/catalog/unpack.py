"""Lays the two price lists open for `cargo xtask catalog`, running none of their code.

`unpack.py open FOLDER`: FOLDER holds the wheels and receives litellm.json (as it lies in the wheel), genai.json (the data
module's constructor calls as objects, decimals as text) and released.json (the day each wheel was uploaded, by the
index's own word).

`unpack.py match FOLDER`: reads names.json (genai-prices provider -> model names) and writes matches.json (provider -> name
-> id of the genai-prices model whose clauses match it first). The clauses have look-around expressions, which is why this
is done here.
"""

import ast
import datetime
import json
import pathlib
import re
import subprocess
import sys
import urllib.request
import zipfile


def value(node):
    """A literal or a constructor call as plain data; anything else means that the package has changed its form."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [value(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        return {value(key): value(element) for key, element in zip(node.keys, node.values)}
    if isinstance(node, ast.Attribute):
        return ast.unparse(node)
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        arguments = [value(argument) for argument in node.args]
        named = {keyword.arg: value(keyword.value) for keyword in node.keywords}
        if name == "Decimal":
            return arguments[0]
        if name == "date":
            return datetime.date(*arguments, **named).isoformat()
        if name == "time":
            named.pop("tzinfo", None)
            return datetime.time(*arguments, **named).isoformat()
        if arguments:
            raise SystemExit(f"genai-prices: {name} with positional arguments is new to this importer")
        return {"type": name, **named}
    raise SystemExit(f"genai-prices: {ast.dump(node)[:80]} is new to this importer")


def genai(source):
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and statement.target.id == "providers":
            return value(statement.value)
    raise SystemExit("genai-prices: data.py has no `providers`")


def released(wheel):
    """The upload day by the index that pip uses; a wheel's own file times are set to a constant."""
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    ).stdout.strip()
    if not configured:
        from pip._internal.models.index import PyPI

        configured = PyPI.simple_url
    project = wheel.name.split("-")[0].replace("_", "-")
    root = configured.rstrip("/").removesuffix("/simple")
    with urllib.request.urlopen(f"{root}/pypi/{project}/json", timeout=120) as answer:
        page = json.load(answer)
    files = page["urls"] + [file for release in page.get("releases", {}).values() for file in release]
    return next(file["upload_time"][:10] for file in files if file["filename"] == wheel.name)


def matches(clause, name):
    """Whether a clause matches a name in lower case; the same rules as the package's own `is_match`."""
    kind = clause["type"]
    if kind == "ClauseOr":
        return any(matches(inner, name) for inner in clause["or_"])
    if kind == "ClauseAnd":
        return all(matches(inner, name) for inner in clause["and_"])
    if kind == "ClauseRegex":
        return bool(re.search(clause["regex"], name))
    if kind == "ClauseEquals":
        return name == clause["equals"].lower()
    if kind == "ClauseStartsWith":
        return name.startswith(clause["starts_with"].lower())
    if kind == "ClauseEndsWith":
        return name.endswith(clause["ends_with"].lower())
    if kind == "ClauseContains":
        return clause["contains"].lower() in name
    raise SystemExit(f"genai-prices: {kind} is new to this importer")


def open_wheels(folder):
    days = {}
    for wheel in sorted(folder.glob("*.whl")):
        archive = zipfile.ZipFile(wheel)
        package, version = wheel.name.split("-")[:2]
        days[package.replace("_", "-")] = {"version": version, "day": released(wheel)}
        if package == "litellm":
            name = next(n for n in archive.namelist() if n.endswith("model_prices_and_context_window_backup.json"))
            (folder / "litellm.json").write_bytes(archive.read(name))
        else:
            source = archive.read("genai_prices/data.py").decode()
            (folder / "genai.json").write_text(json.dumps(genai(source)))
    (folder / "released.json").write_text(json.dumps(days))


def match_names(folder):
    providers = {provider["id"]: provider["models"] for provider in json.loads((folder / "genai.json").read_text())}
    found = {}
    for provider, names in json.loads((folder / "names.json").read_text()).items():
        for name in names:
            models = (m["id"] for m in providers[provider] if matches(m["match"], name.lower()))
            if first := next(models, None):
                found.setdefault(provider, {})[name] = first
    (folder / "matches.json").write_text(json.dumps(found))


{"open": open_wheels, "match": match_names}[sys.argv[1]](pathlib.Path(sys.argv[2]))
