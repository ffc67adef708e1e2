"""The measured vectors, where they are at hand, and time enough for Hypothesis on a busy machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

VECTORS = Path(__file__).parents[3] / "../shared/vectors/ids-and-canonical-json.jsonl"

Vectors = Callable[[str], list[dict[str, Any]]]

# These properties are about values; a machine that stalls for 200 ms does not make them false.
settings.register_profile("values", deadline=None)
settings.load_profile("values")


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """Return the vectors of a kind, each with ``in`` and either ``out`` or ``error``."""
    if not VECTORS.exists():
        pytest.skip("the measured vectors lie beside the project, and this copy stands alone")
    lines = VECTORS.read_text("utf-8").split("\n")  # not splitlines: a vector may hold U+2028
    every = [json.loads(line) for line in lines if line]
    return lambda kind: [vector for vector in every if vector["kind"] == kind]
