"""The description of the API must be what the API does."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tagger.index.groups import GroupWriter
from tagger.index.store import Store
from tests.unit.web.conftest import jpeg, multipart

TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def mistakes(value: Any, schema: dict[str, Any], schemas: dict[str, Any], at: str = "$") -> list:
    """Return where ``value`` is not as ``schema`` says, or has what it does not know."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return [] if value in schema["enum"] else [at]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, TYPES[kind]) for kind in kinds):
        return [at]
    found = []
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += mistakes(item, schema["items"], schemas, f"{at}[{number}]")
    if isinstance(value, dict) and "properties" in schema:
        found += [f"{at}.{name}" for name in value.keys() ^ set(schema["required"])]
        for name in value.keys() & schema["properties"].keys():
            found += mistakes(value[name], schema["properties"][name], schemas, f"{at}.{name}")
    if isinstance(value, dict) and "additionalProperties" in schema:
        for name, item in value.items():
            found += mistakes(item, schema["additionalProperties"], schemas, f"{at}.{name}")
    return found


def asked(client, described: dict[str, Any]) -> dict[str, Any]:
    """Return what a request must have: its file, its arguments, and the page's origin."""
    upload = {}
    if "requestBody" in described:
        [body] = described["requestBody"]["content"].values()
        fields = {}
        if "folder" in body["schema"]["required"]:
            fields["folder"] = client.get("/api/v1/folders").json[0]["id"]
        upload = multipart(jpeg(), **fields)
    needed = {one["name"]: one["example"] for one in described["parameters"] if "example" in one}
    return upload | {"query_string": needed, "headers": {"Origin": "http://localhost"}}


def told(text: str) -> list[tuple[str, Any]]:
    """Return name and data of the events in a stream."""
    lines = re.findall("event: (.*)\nid: [0-9]+\ndata: (.*)\n\n", text)
    return [(name, json.loads(data)) for name, data in lines]


@pytest.fixture
def client(open_site, manager):
    return open_site(manager=manager)


@pytest.fixture
def document(client):
    return client.get("/api/v1/openapi.json").json


def test_every_route_is_described_and_the_other_way_round(client, document):
    routes = {
        (re.sub("<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("api.")
    }
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    assert routes == described


def test_every_answer_is_as_described(client, site, document):
    number = site.add("dog.jpg", "beagle", data=jpeg(), camera="Pixel", latitude=1.0, longitude=2.5)
    other = site.add("cat.jpg", "cat")
    with Store(str(site.state)) as store:
        GroupWriter(store).save("picture", {number: number, other: number}, {})
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        url = path.replace("{photo_id}", str(number))
        for method, described in item.items():
            answer = client.open(url, method=method, **asked(client, described))
            # Nothing is taught or a copy here: see test_teach.py and test_duplicates.py.
            if answer.status_code in (404, 409) and ("taught" in url or url.endswith("/keep")):
                assert mistakes(answer.json, schemas["Error"], schemas) == [], url
                continue
            assert answer.status_code == 200, (url, answer.text)
            [(kind, content)] = described["responses"]["200"]["content"].items()
            assert answer.mimetype == kind, url
            if kind == "text/event-stream":
                assert told(answer.text), url
                for name, said in told(answer.text):
                    schema = {"$ref": f"#/{name.capitalize()}"}
                    assert mistakes(said, schema, schemas) == [], url
            else:
                assert mistakes(answer.json, content["schema"], schemas) == [], url
            refused = client.open(url, method=method, headers={"Host": "evil.example"})
            assert mistakes(refused.json, schemas["Error"], schemas) == [], url


def test_every_limit_of_an_argument_is_kept(client, site, document):
    site.add("dog.jpg")
    tried = 0
    for path, item in document["paths"].items():
        for method, described in item.items():
            for argument in described["parameters"]:
                schema = argument["schema"]
                wrong = [schema["minimum"] - 1] if "minimum" in schema else []
                wrong += [schema["maximum"] + 1] if "maximum" in schema else []
                wrong += ["a" * (schema["maxLength"] + 1)] if "maxLength" in schema else []
                wrong += ["xx"] if "enum" in schema else []
                for value in wrong if argument["in"] == "query" else []:
                    url = path.replace("{photo_id}", "1")
                    request = asked(client, described)
                    request["query_string"] |= {argument["name"]: value}
                    answer = client.open(url, method=method, **request)
                    assert answer.status_code == 400, (url, argument["name"])
                    tried += 1
    assert tried > 10


def test_every_route_says_how_it_refuses(document):
    for path, item in document["paths"].items():
        for method, described in item.items():
            assert {"401", "403", "421", "429"} <= set(described["responses"]), (path, method)
