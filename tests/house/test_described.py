"""Every route is described, whole, and with words that have a meaning."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from paymux.api import errors
from paymux.api.app import described
from paymux.api.openapi.refusals import REFUSALS
from paymux.api.openapi.vocabulary import FIELDS, PARAMETERS, field

DOCUMENTS = described("0")
DOCUMENT: dict[str, Any] = json.loads(DOCUMENTS.machine)
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
# What msgspec knows without a word of ours.
PLAIN = {"string", "integer", "number"}


def test_the_document_is_openapi() -> None:
    """By the schema of OpenAPI 3.1 itself."""
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_is_described(name: str) -> None:
    """What it is for, what it answers with an example, and how it refuses."""
    operation = OPERATIONS[name]
    answers = operation["responses"]
    good = [answer for status, answer in answers.items() if status < "300"]

    assert operation["summary"].endswith("."), "say in one sentence of its docstring what it is for"
    assert len(good) == 1
    assert {"500", "503"} <= answers.keys()
    assert ({"401", "403"} <= answers.keys()) == bool(operation["security"])
    if "204" not in answers:
        assert good[0]["content"], "give it @described(data=…), page=… or answer=…: its type says too little"
    for place in operation.get("parameters", ()):
        assert place.get("description"), f"put {place['name']} into PARAMETERS of api/openapi/vocabulary.py"


def test_operations_have_names_of_their_own() -> None:
    """Clients are generated with them as names of functions."""
    assert len({operation["operationId"] for operation in OPERATIONS.values()}) == len(OPERATIONS)
    assert all(operation["operationId"].isidentifier() for operation in OPERATIONS.values())


def test_every_field_means_something() -> None:
    """A word a name, in FIELDS of api/openapi/vocabulary.py; kinds that say it all need none."""
    missing = {
        f"{name}.{key}"
        for name, schema in SCHEMAS.items()
        if not name.endswith("Filter")
        for key, inner in schema.get("properties", {}).items()
        if (not inner.keys() - {"description"} or PLAIN & _kinds(inner)) and field(name, key) is None
    }

    assert missing == set()


def test_no_word_is_left_over() -> None:
    """A word that nothing uses any more misleads whoever looks for one."""
    used = {
        word
        for name, schema in SCHEMAS.items()
        for key in schema.get("properties", {})
        for word in (f"{name}.{key}", key)
    }
    places = {place["name"] for one in OPERATIONS.values() for place in one.get("parameters", ())}

    assert FIELDS.keys() - used == set()
    assert PARAMETERS.keys() - places == set()


def test_every_example_fits_its_schema() -> None:
    """What is shown could be sent, or could have come."""
    wrong = []
    for name, content in _contents():
        if "example" in content:
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            wrong += [f"{name}: {error}" for error in validator.iter_errors(content["example"])]

    assert wrong == []


def test_every_error_code_is_in_the_document() -> None:
    """Which codes come with which status."""
    codes = {value for name, value in vars(errors).items() if name == value}

    assert {code for refusal in REFUSALS.values() for code in refusal.codes} == codes


def test_the_page_needs_nothing_from_anywhere() -> None:
    """It is read where there is no network, and runs nothing."""
    page = DOCUMENTS.people.decode()

    assert all(operation["operationId"] in page for operation in OPERATIONS.values())
    assert not any(word in page for word in ("<script", "<link", "<img", "src=", "http://", "https://"))


def _kinds(schema: dict[str, Any]) -> set[str]:
    several = schema.get("anyOf", ())
    return {str(schema.get("type"))} | {str(one.get("type")) for one in several}


def _contents() -> Iterator[tuple[str, dict[str, Any]]]:
    refusals = DOCUMENT["components"]["responses"]
    yield from ((name, content) for name in refusals for content in refusals[name]["content"].values())
    for name, operation in OPERATIONS.items():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        yield from ((name, content) for body in bodies for content in body.get("content", {}).values())
        for place in operation.get("parameters", ()):
            content = place.get("content", {}).get("application/json")
            yield f"{name} {place['name']}", content or place
