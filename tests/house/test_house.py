"""The house rules that no linter knows. Each failure names the file and the way out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src/paymux"
MODULES = sorted(SRC.rglob("*.py"))
CONNECTORS = sorted(path.parent for path in SRC.glob("connectors/*/__init__.py"))
FOLDERS = ("src", "tests", "docs", "benchmarks", ".ci")
QUERIES = sorted(SRC.glob("storage/queries/*.sql"))
FUNCTIONS = sorted(SRC.glob("storage/functions/*.sql"))

# Raise these only after looking for the split that feels right and not finding it.
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
USUAL = {"__init__.py", "connector.py", "config.py", "client.py", "mapping.py", "webhooks.py", "README.md"}

STATEMENT = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r" *--.*\n?")
# A statement of so many lines says what it is for by its name.
STATEMENT_LINES_PLAIN = 3
# To be explained; nothing is added here.
UNEXPLAINED = {"installations.delete_accounts", "payments.get", "set_aside.list", "tasks.get"}

# In brackets, so that this file does not hold them.
HOST = re.compile(
    r"py[p]i\.org|python[h]osted\.org|npm[j]s\.(?:org|com)|crates\.[i]o|ana[c]onda\.(?:org|com)"
)
MACHINE = re.compile(r"(?<![\w.\-/}])/(?:work|root|(?:home|Users)/\w+)(?![\w\-])")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _files() -> list[Path]:
    """Every file that is ours: not what tools and services leave beside them."""
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    # Of a linked work tree, .git is a file that says where the repository is.
    return [
        path
        for path in (*ROOT.iterdir(), *inside)
        if path.is_file() and not {"__pycache__", ".git"} & set(path.parts)
    ]


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_a_module_fits_in_the_head(module: Path) -> None:
    """A module says what it is for, and is short enough to read before changing it."""
    text = module.read_text("utf-8")
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)

    assert docstring, "say in one sentence what lives here"
    assert docstring.partition("\n\n")[0].rstrip().endswith((".", "::")), "open with a sentence"
    assert len(text.splitlines()) <= MODULE_LINES_MAX, "split it by noun"
    assert module.stem not in NAMELESS, "name it for what lives in it"
    assert not NAMELESS & set(module.relative_to(SRC).parts), "name the folder for what lives in it"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines: give a part of it a name"


@pytest.mark.parametrize("folder", CONNECTORS, ids=_name)
def test_a_connector_is_one_folder_with_the_usual_files(folder: Path) -> None:
    """Whoever knows one connector knows where everything is in all of them."""
    names = {path.name for path in folder.iterdir()} - {"__pycache__"}

    assert names <= USUAL, f"not one of the usual files: {sorted(names - USUAL)}; those are {sorted(USUAL)}"
    if names - {"__init__.py", "README.md"}:
        assert {"connector.py", "config.py"} <= names, "more than one module means connector.py and config.py"


@pytest.mark.parametrize("file", QUERIES, ids=_name)
def test_every_statement_is_named_and_explained(file: Path) -> None:
    """Statements are found by name; what one is for, or why it is as it is, stands below its name."""
    text = file.read_text("utf-8")
    found = {f"{file.stem}.{name}": body.strip() for name, body in STATEMENT.findall(text)}
    bare = {name: COMMENT.sub("", body) for name, body in found.items()}
    long = {name for name, sql in bare.items() if len(sql.splitlines()) > STATEMENT_LINES_PLAIN}
    unexplained = {name for name in long if not found[name].startswith("-- ")}

    assert text.startswith("-- "), "open the file with a comment that says what is in it"
    assert not text.partition("-- name: ")[0].partition(";")[1], "put a name above the first statement"
    assert [name for name, sql in bare.items() if sql.find(";") != len(sql) - 1] == [], (
        "one statement under each name, ended by a semicolon"
    )
    assert unexplained <= UNEXPLAINED, "say below its name what it is for"


@pytest.mark.parametrize("file", FUNCTIONS, ids=_name)
def test_every_database_function_is_explained(file: Path) -> None:
    """A function says above itself what it promises, and what its caller must hold."""
    text = file.read_text("utf-8")
    explained = re.findall(r"^-- .*\nCREATE FUNCTION (\w+)", text, re.MULTILINE)

    assert text.startswith("-- "), "open the file with a comment that says what is in it"
    assert re.findall(r"^CREATE FUNCTION (\w+)", text, re.MULTILINE) == explained, "put a comment above it"


def test_migrations_have_a_number_each() -> None:
    """Their order is their name's, and two of one number would be applied in an order nobody chose."""
    names = sorted(path.name for path in SRC.glob("storage/migrations/*.sql"))

    assert all(re.fullmatch(r"\d{4}_\w+\.sql", name) for name in names)
    assert len({name[:4] for name in names}) == len(names)


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    """The repository works for everybody, wherever their packages come from and their checkout lies."""
    found = [
        f"{_name(path)}:{text.count(chr(10), 0, wrong.start()) + 1}: {wrong[0]}"
        for path in _files()
        if (text := path.read_bytes().decode("utf-8", "replace"))
        for wrong in (*HOST.finditer(text), *MACHINE.finditer(text))
    ]

    assert found == [], "say it without the host or the absolute path"
