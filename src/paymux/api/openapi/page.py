"""The document as a page to read: one file that needs nothing from anywhere, and no script."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

# What a browser may do with the page: show it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'"

_STYLE = """\
:root{color-scheme:light dark;--line:#8884;--dim:#777}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:13px/1.45 ui-monospace,monospace}
pre{overflow:auto;background:#8881;padding:.7rem;border-radius:6px}
h2{margin:2.5rem 0 .5rem}
details{border:1px solid var(--line);border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}.verb{display:inline-block;min-width:4.2rem;font-weight:700}.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;
border-bottom:1px solid var(--line)}td p{margin:0;white-space:pre-line}nav a{margin-right:1rem}"""


def rendered(document: Mapping[str, Any]) -> bytes:
    """The page, as HTML."""
    info = document["info"]
    tags = [tag["name"] for tag in document["tags"]]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(info['title'])}</title>",
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>",
        f"<h1>{_text(info['title'])} <small class=dim>{_text(info['version'])}</small></h1>",
        f"<p>{_marked(info['description'])}</p>",
        "<p>The same for machines: <a href=openapi.json>openapi.json</a></p><nav>",
        *(f"<a href='#{_anchor(tag)}'>{_text(tag)}</a>" for tag in tags),
        "</nav>",
    ]
    for tag in tags:
        parts.append(f"<h2 id='{_anchor(tag)}'>{_text(tag)}</h2>")
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if operation["tags"] == [tag]:
                    parts += _operation(document, path, method, operation)
    parts.append("<h2 id=schemas>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts += _schema(name, schema)
    return "\n".join(parts).encode()


def _operation(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> Iterator[str]:
    yield f"<details id='{_text(operation['operationId'])}'><summary><span class=verb>{method.upper()}</span>"
    yield f"<code>{_text(path)}</code> <span class=dim>{_marked(operation['summary'])}</span></summary>"
    if "description" in operation:
        yield f"<p>{_marked(operation['description'])}</p>"
    scopes = [scope for way in operation["security"] for needed in way.values() for scope in needed]
    if scopes:
        yield f"<p class=dim>Needs <code>{_text(', '.join(scopes))}</code>, where anybody is asked.</p>"
    if operation.get("parameters"):
        yield "<h4>Parameters</h4><table>"
        for one in operation["parameters"]:
            shown = json.dumps(one["example"], ensure_ascii=False) if "example" in one else ""
            yield f"<tr><td><code>{_text(one['name'])}</code><td class=dim>{_text(one['in'])}"
            yield f"<td><p>{_marked(one.get('description', ''))}</p><td><code>{_text(shown)}</code>"
        yield "</table>"
    if "requestBody" in operation:
        yield "<h4>Body</h4>"
        yield from _content(operation["requestBody"])
    yield "<h4>Answers</h4>"
    for status, answer in operation["responses"].items():
        ref = answer.get("$ref")
        said = document["components"]["responses"][ref.rpartition("/")[2]] if ref else answer
        yield f"<p><b>{status}</b> {_marked(said['description'])}</p>"
        if not ref:
            yield from _content(said)
    yield "</details>"


def _content(body: Mapping[str, Any]) -> Iterator[str]:
    for media_type, content in body.get("content", {}).items():
        yield f"<p><code>{_text(media_type)}</code> {_named(content['schema'])}</p>"
        if "example" in content:
            yield f"<pre>{_text(json.dumps(content['example'], indent=2, ensure_ascii=False))}</pre>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details id='schema-{_text(name)}'><summary><code>{_text(name)}</code>"
    yield f"<span class=dim>{_marked(schema.get('description', ''))}</span></summary><table>"
    required = schema.get("required", ())
    for field, inner in schema.get("properties", {}).items():
        yield f"<tr><td><code>{_text(field)}</code>{'' if field in required else ' <span class=dim>?</span>'}"
        yield f"<td>{_named(inner)}<td>{_marked(inner.get('description', ''))}"
    if "enum" in schema:
        yield f"<tr><td>{_marked(', '.join(f'`{one}`' for one in schema['enum']))}"
    yield "</table></details>"


def _named(schema: Mapping[str, Any]) -> str:
    """A schema in a word, with links to those that have a name."""
    if "$ref" in schema:
        name = _text(schema["$ref"].rpartition("/")[2])
        return f"<a href='#schema-{name}'>{name}</a>"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(map(_named, schema[several]))
    if "items" in schema:
        return f"list of {_named(schema['items'])}"
    inner = schema.get("properties", {})
    if len(inner) == 1:
        ((name, of),) = inner.items()
        return f"<code>{_text(name)}</code>: {_named(of)}"
    if "data" in inner:
        return f"page: {_named(inner['data'])}"
    kinds = schema.get("type", "anything")
    words = schema.get("format") or (" or ".join(kinds) if isinstance(kinds, list) else kinds)
    return f"<span class=dim>{_text(words)}</span>"


def _text(text: object) -> str:
    return escape(str(text))


def _marked(text: str) -> str:
    """Text with words between backticks as code."""
    parts = _text(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _anchor(tag: str) -> str:
    return "of-" + "-".join(tag.lower().split())
