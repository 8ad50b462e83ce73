"""The description of the live interface as a page, which needs no script and loads nothing."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Described = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881 }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.25 }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line) }
h3 { margin-top: 2.25rem }
code, pre { font: .875em/1.5 ui-monospace, monospace; background: var(--soft); border-radius: 4px }
code { padding: .1em .3em; overflow-wrap: anywhere }
pre { padding: .75rem 1rem; overflow-x: auto }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0;
  border-bottom: 1px solid var(--line) }
"""

POLICY = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own style and nothing else."""


def page_of(described: Described) -> str:
    """Return the page, in HTML."""
    info, channels = described["info"], described["channels"]
    title = escape(info["title"])
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f"<p>Version {escape(info['version'])} · for programs: "
        '<a href="/asyncapi.json">/asyncapi.json</a> (AsyncAPI) · '
        '<a href="/docs">all other routes</a></p>',
        _text(info["description"]),
    ]
    for name, channel in channels.items():
        parts += [f'<h2 id="{name}"><code>{escape(channel["address"])}</code></h2>']
        parts += [_text(channel["description"])]
        if codes := channel.get("x-close-codes"):
            parts += ['<h3 id="close-codes">Close codes</h3>', _codes(codes)]
        operations = described["operations"].values()
        for operation in operations:
            if operation["channel"]["$ref"] == f"#/channels/{name}":
                parts += [f"<h3>{escape(operation['title'])}</h3>", _links(operation, described)]
    parts += ["<h2 id='frames'>Frames</h2>"]
    schemas = described["components"]["schemas"]
    messages = described["components"]["messages"]
    for name, message in messages.items():
        parts += [_frame(name, message, schemas[name])]
    parts += ["<h2 id='types'>What frames contain</h2>"]
    for name, schema in schemas.items():
        if name not in messages:
            parts += [f'<h3 id="{name}">{escape(name)}</h3>', _schema(schema)]
    parts += ["<h2 id='token'>Signing in</h2>", _schemes(described)]
    return "\n".join([*parts, "</body></html>", ""])


def _frame(name: str, message: Described, schema: Described) -> str:
    example = json.dumps(message["examples"][0]["payload"], ensure_ascii=False, indent=2)
    return (
        f'<h3 id="{name}"><code>{escape(message["name"])}</code> {escape(name)}</h3>\n'
        f"{_text(message['description'])}\n{_fields(schema)}\n<pre>{escape(example)}</pre>"
    )


def _schema(schema: Described) -> str:
    told = _text(schema.get("description", ""))
    return told + (_fields(schema) if "properties" in schema else f"<p>{_kind(schema)}</p>")


def _fields(schema: Described) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(name)}</code>",
            _kind(field) + ("" if name in required else ", optional"),
            _inline(_description(field)),
        )
        for name, field in schema["properties"].items()
        if name != "type"
    ] + [
        (
            f"<code>payload</code> of <code>{escape(choice['title'])}</code>",
            _kind(choice["properties"]["payload"]),
            "",
        )
        for choice in schema.get("oneOf", ())
    ]
    return _table(("field", "type", "meaning"), rows) if rows else ""


def _description(field: Described) -> str:
    of_all = (field, *field.get("anyOf", ()))
    return next((one["description"] for one in of_all if "description" in one), "")


def _kind(schema: Described) -> str:
    """Return the type of a field, in HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"array of {_kind(schema['items'])}"
    if kind == "object" and isinstance(more := schema.get("additionalProperties"), dict):
        return f"object of {_kind(more)}"
    return escape(str(schema.get("format") or schema.get("title", kind)))


def _links(operation: Described, described: Described) -> str:
    names = [reference["$ref"].rpartition("/")[2] for reference in operation["messages"]]
    messages = described["components"]["messages"]
    rows = [
        (
            f'<a href="#{name}"><code>{escape(messages[name]["name"])}</code></a>',
            _inline(messages[name]["description"].partition("\n\n")[0]),
        )
        for name in names
    ]
    return _table(("type", "meaning"), rows)


def _codes(codes: Iterable[Described]) -> str:
    rows = [(str(one["code"]), _inline(one["description"])) for one in codes]
    return _table(("code", "meaning"), rows)


def _schemes(described: Described) -> str:
    schemes = described["components"]["securitySchemes"].values()
    rows = [
        (f"<code>{escape(one.get('name', 'Authorization'))}</code>", _inline(one["description"]))
        for one in schemes
    ]
    return _table(("header", "meaning"), rows)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _text(text: str) -> str:
    """Return paragraphs of a description."""
    return "\n".join(f"<p>{_inline(one)}</p>" for one in text.split("\n\n") if one.strip())


def _inline(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text.strip(), quote=False))
