"""JSON Schemas of what clients send and receive, made from its types."""

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any, TypeAlias

import msgspec

from chat4all.domain.kinds import Kind
from chat4all.wire.payloads import PAYLOADS, SENT_KINDS, SENT_PAYLOADS

Schema: TypeAlias = dict[str, Any]

_NOTHING: Schema = {"type": "null"}


def schemas_of(types: Iterable[type[Any]], reference: str) -> dict[str, Schema]:
    """Return the schemas of types, and of all that they consist of, by name.

    `reference` is where each is, with its `{name}`.
    """
    _, schemas = msgspec.json.schema_components(types, ref_template=reference)
    messages = [
        one for one in schemas.values() if {"kind", "payload"} <= {*one.get("properties", ())}
    ]
    for message in messages:
        payloads = PAYLOADS if "kind" in message.get("required", ()) else SENT_PAYLOADS
        message["oneOf"] = _by_kind(payloads, reference)
        of_payloads = {struct for struct in payloads.values() if struct is not None}
        schemas |= msgspec.json.schema_components(of_payloads, ref_template=reference)[1]
    for schema in schemas.values():
        if "description" in schema:  # a docstring, with its indentation
            schema["description"] = cleandoc(schema["description"])
    return schemas


def _by_kind(payloads: Mapping[Kind, type[msgspec.Struct] | None], reference: str) -> list[Schema]:
    """Return what a message may be: which payload each kind has."""
    is_sent = payloads is SENT_PAYLOADS
    choices = []
    for kind, struct in payloads.items():
        payload = _NOTHING if kind is Kind.TEXT else _payload_of(struct, reference)
        if not is_sent and payload is not _NOTHING:
            payload = {"anyOf": [payload, _NOTHING]}  # null once it is deleted
        choice: Schema = {
            "title": kind.value,
            "properties": {"kind": {"const": kind.value}, "payload": payload},
        }
        if not (is_sent and kind is Kind.TEXT):  # which is what a message is that says no kind
            choice["required"] = ["kind", "payload"]
        if kind in SENT_KINDS or not is_sent:
            choices.append(choice)
    return choices


def _payload_of(struct: type[Any] | None, reference: str) -> Schema:
    if struct is None:
        return {"type": "object"}
    return {"$ref": reference.format(name=struct.__name__)}
